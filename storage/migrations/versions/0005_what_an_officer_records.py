"""what an officer records

Meetings, actions owed, strands of other bodies, regulators told and pauses; who may see a restricted case; what becomes of a
case that is transferred, merged, set aside or waits for a second officer. Only additions, each empty for what came before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column("sub_sector", AutoString(length=64), nullable=True))
    op.add_column("cases", sa.Column("source", AutoString(length=32), nullable=True))
    op.add_column("cases", sa.Column("themes", sa.JSON(), nullable=True))
    op.add_column("cases", sa.Column("restricted_to", sa.JSON(), nullable=True))
    op.add_column("cases", sa.Column("employer_action", AutoString(length=32), nullable=True))
    op.add_column("cases", sa.Column("transferred_to", AutoString(length=100), nullable=True))
    op.add_column("cases", sa.Column("escalated", AutoString(length=32), nullable=True))
    op.add_column("cases", sa.Column("set_aside", AutoString(length=32), nullable=True))
    op.add_column("cases", sa.Column("merged_into", AutoString(length=26), nullable=True))
    op.add_column("cases", sa.Column("sign_off", AutoString(length=16), nullable=True))
    op.create_index("ix_participants_address_key", "participants", ["address_key"])
    op.create_index("ix_cases_merged_into", "cases", ["merged_into"])
    op.create_table(
        "meetings",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("held_at", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("note_id", AutoString(length=26), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_meetings_case_id", "meetings", ["case_id"])
    op.create_table(
        "actions",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("owner", AutoString(length=32), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.Column("address_key", AutoString(length=64), nullable=True),
        sa.Column("asked_in", AutoString(length=26), nullable=True),
        sa.Column("note_id", AutoString(length=26), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_actions_case_id", "actions", ["case_id"])
    op.create_index("ix_actions_state_due", "actions", ["state", "due_at"])
    op.create_table(
        "strands",
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("strand", AutoString(length=32), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("case_id", "strand"),
    )
    op.create_table(
        "regulators",
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("body", AutoString(length=32), nullable=False),
        sa.Column("told_at", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("case_id", "body"),
    )
    op.create_table(
        "pauses",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("reason", AutoString(length=32), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_pauses_case_id", "pauses", ["case_id"])
