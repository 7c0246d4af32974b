"""earlier contacts

Names on cases, sealed, with keyed hashes under which like ones meet. Cases from before have none until an officer names the
adult on them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("source", AutoString(length=16), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_subjects_case_id", "subjects", ["case_id"])
    op.create_table(
        "subject_keys",
        sa.Column("subject_id", AutoString(length=26), nullable=False),
        sa.Column("key", AutoString(length=64), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"]),
        sa.PrimaryKeyConstraint("subject_id", "key"),
    )
    op.create_index("ix_subject_keys_key", "subject_keys", ["key"])
    op.create_index("ix_subject_keys_case_id", "subject_keys", ["case_id"])
    op.create_index("ix_cases_organisation", "cases", ["organisation", "received_at"])
