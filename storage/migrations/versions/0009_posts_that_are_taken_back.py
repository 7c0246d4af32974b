"""posts that are taken back

Where answers and the events of a thread stand on the desk, so that they can be deleted there; how much of a case's
audit its thread has told; and the way from a card to its case.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "desk_posts",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("holds", AutoString(length=16), nullable=False),
        sa.Column("channel", AutoString(length=64), nullable=False),
        sa.Column("ts", AutoString(length=64), nullable=False),
        sa.Column("posted_at", UTCDateTime(), nullable=False),
        sa.Column("erased_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_desk_posts_case_id", "desk_posts", ["case_id"])
    op.add_column("cases", sa.Column("desk_told", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_cases_desk_ts", "cases", ["desk_ts"])
    # What was done before is no news.
    op.execute("UPDATE cases SET desk_told = COALESCE((SELECT seq FROM audit_heads WHERE chain = cases.id), 0)")
