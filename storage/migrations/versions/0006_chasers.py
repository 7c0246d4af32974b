"""chasers

Reminders of what somebody owes, planned with the action. Actions from before are chased once an officer records them anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chasers",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("action_id", AutoString(length=26), nullable=False),
        sa.Column("address_key", AutoString(length=64), nullable=True),
        sa.Column("kind", AutoString(length=16), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("cancelled_because", AutoString(length=32), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("action_id", "kind"),
    )
    op.create_index("ix_chasers_case_id", "chasers", ["case_id"])
    op.create_index("ix_chasers_state_due", "chasers", ["state", "due_at"])
