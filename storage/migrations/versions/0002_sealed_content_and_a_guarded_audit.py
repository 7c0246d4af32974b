"""sealed content and a guarded audit

Data keys' ids beside what they seal, retention on the case, destructions, signed heads, and an audit that the database
itself refuses to change. Only additions, each with a default, so that a node of the version before can go on meanwhile.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GUARDED = ("audit", "audit_signed_heads")
# INSERT OR REPLACE deletes without firing a delete trigger.
NO_REPLACING = (
    "CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON audit "
    "WHEN EXISTS (SELECT 1 FROM audit WHERE chain = NEW.chain AND seq = NEW.seq) "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_signed_heads_refuses_replace BEFORE INSERT ON audit_signed_heads "
    "WHEN EXISTS (SELECT 1 FROM audit_signed_heads WHERE seq = NEW.seq) "
    "BEGIN SELECT RAISE(ABORT, 'audit_signed_heads is append-only'); END",
)


def upgrade() -> None:
    op.add_column("raw", sa.Column("key_id", AutoString(length=32), nullable=False, server_default=""))
    op.add_column("spool", sa.Column("case_id", AutoString(length=26), nullable=True))
    op.create_index("ix_spool_case_id", "spool", ["case_id"])
    # A purge deletes raw bytes, and the database then looks for whatever may still lead to them.
    op.create_index("ix_spool_raw_id", "spool", ["raw_id"])
    op.create_index("ix_messages_raw_id", "messages", ["raw_id"])
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("key_id", AutoString(length=32), nullable=False, server_default=""),
        sa.Column("concluded_at", UTCDateTime(), nullable=True),
        sa.Column("review_at", UTCDateTime(), nullable=True),
        sa.Column("hold", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("strip_names", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("purged_at", UTCDateTime(), nullable=True),
    )
    for column in columns:
        op.add_column("cases", column)
    op.add_column("audit_heads", sa.Column("signed_seq", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_cases_concluded_at", "cases", ["concluded_at"])
    op.create_index("ix_cases_review_at", "cases", ["review_at"])
    op.add_column("outbox", sa.Column("give_up_from", UTCDateTime(), nullable=True))
    op.create_index("ix_cases_purged_at", "cases", ["purged_at"])
    # The search reads reasons newest first, as it does messages.
    op.create_index("ix_decisions_at", "decisions", ["at"])
    op.create_table(
        "notes",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("act", AutoString(length=48), nullable=False),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notes_case_id", "notes", ["case_id"])
    op.create_table(
        "destructions",
        sa.Column("key_id", AutoString(length=32), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("ordered_at", UTCDateTime(), nullable=False),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index("ix_destructions_case_id", "destructions", ["case_id"])
    op.create_index("ix_destructions_done_at", "destructions", ["done_at"])
    op.create_table(
        "audit_signed_heads",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("previous", AutoString(length=64), nullable=False),
        sa.Column("hash", AutoString(length=64), nullable=False),
        sa.Column("signature", AutoString(length=128), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for statement in NO_REPLACING:
            op.execute(statement)
        for table in GUARDED:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
    else:
        op.execute(
            "CREATE FUNCTION intake_bot_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        for table in GUARDED:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION intake_bot_append_only()"
            )
