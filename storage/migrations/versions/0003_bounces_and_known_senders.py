"""bounces that find their row, and known senders

A tag on each letter by which a bounce finds it, when one came back, and the directory of known senders. Only additions, each
with a default or empty, so that a node of the version before can go on meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("bounce_tag", AutoString(length=32), nullable=True))
    op.add_column("outbox", sa.Column("bounced_at", UTCDateTime(), nullable=True))
    op.create_index("ix_outbox_bounce_tag", "outbox", ["bounce_tag"], unique=True)
    op.create_index("ix_outbox_mail_id", "outbox", ["mail_id"])
    op.create_table(
        "known_senders",
        sa.Column("source", AutoString(length=16), nullable=False),
        sa.Column("identity", AutoString(length=64), nullable=False),
        sa.Column("domain", AutoString(length=255), nullable=False),
        sa.Column("organisation", AutoString(length=200), nullable=False),
        sa.Column("kind", AutoString(length=100), nullable=True),
        sa.Column("trust", AutoString(length=200), nullable=True),
        sa.Column("sector", AutoString(length=64), nullable=True),
        sa.Column("authority", AutoString(length=100), nullable=True),
        sa.Column("elsewhere", sa.Boolean(), nullable=True),
        sa.Column("imported_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "identity", "domain"),
    )
    op.create_index("ix_known_senders_domain", "known_senders", ["domain"])
    op.add_column("cases", sa.Column("elsewhere", sa.Boolean(), nullable=True))
