"""who does what

Who of the duty rota is away, whom a new case is proposed to, and an index of the clocks that tick for the desk's lists.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "absences",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("person", AutoString(length=128), nullable=False),
        sa.Column("first", AutoString(length=10), nullable=False),
        sa.Column("last", AutoString(length=10), nullable=False),
        sa.Column("cover", AutoString(length=128), nullable=True),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_absences_last", "absences", ["last"])
    op.add_column("cases", sa.Column("proposed", AutoString(length=128), nullable=True))
    ticking = sa.text("met_at IS NULL AND state IN ('running', 'missed')")
    op.create_index(
        "ix_deadlines_ticking", "deadlines", ["case_id", "due_at"], sqlite_where=ticking, postgresql_where=ticking
    )
