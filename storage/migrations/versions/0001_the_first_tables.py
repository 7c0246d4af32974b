"""the first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("chain", AutoString(length=26), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", AutoString(length=128), nullable=False),
        sa.Column("act", AutoString(length=48), nullable=False),
        sa.Column("code", AutoString(length=64), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous", AutoString(length=64), nullable=False),
        sa.Column("hash", AutoString(length=64), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("chain", AutoString(length=26), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", AutoString(length=64), nullable=False),
        sa.PrimaryKeyConstraint("chain"),
    )
    op.create_table(
        "cases",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("reference", AutoString(length=32), nullable=False),
        sa.Column("reply_tag", AutoString(length=32), nullable=False),
        sa.Column("status", AutoString(length=24), nullable=False),
        sa.Column("channel", AutoString(length=16), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("organisation", AutoString(), nullable=True),
        sa.Column("sector", AutoString(length=64), nullable=True),
        sa.Column("officer", AutoString(length=128), nullable=True),
        sa.Column("no_names", sa.Boolean(), nullable=False),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("category", AutoString(length=24), nullable=True),
        sa.Column("threshold", AutoString(length=32), nullable=True),
        sa.Column("category_by", AutoString(length=16), nullable=True),
        sa.Column("decision", AutoString(length=32), nullable=True),
        sa.Column("outcome", AutoString(length=32), nullable=True),
        sa.Column("remarks", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("desk_channel", AutoString(length=64), nullable=True),
        sa.Column("desk_ts", AutoString(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reference"),
        sa.UniqueConstraint("reply_tag"),
    )
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.create_index("ix_cases_status_received", ["status", "received_at"], unique=False)

    op.create_table(
        "meta",
        sa.Column("name", AutoString(length=64), nullable=False),
        sa.Column("value", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "raw",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "deadlines",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("target", AutoString(length=32), nullable=False),
        sa.Column("rule", AutoString(length=64), nullable=False),
        sa.Column("calendar", AutoString(length=64), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("met_at", UTCDateTime(), nullable=True),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "target"),
    )
    with op.batch_alter_table("deadlines", schema=None) as batch_op:
        batch_op.create_index("ix_deadlines_state_due", ["state", "due_at"], unique=False)

    op.create_table(
        "decisions",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("decision", AutoString(length=32), nullable=False),
        sa.Column("category", AutoString(length=24), nullable=False),
        sa.Column("criteria", sa.JSON(), nullable=False),
        sa.Column("by", AutoString(length=128), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("suggestion_version", AutoString(length=64), nullable=True),
        sa.Column("signed_off_by", AutoString(length=128), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decisions_case_id"), ["case_id"], unique=False)

    op.create_table(
        "links",
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("other_case_id", AutoString(length=26), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("why", AutoString(length=32), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["other_case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("case_id", "other_case_id"),
    )
    op.create_table(
        "messages",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=True),
        sa.Column("channel", AutoString(length=16), nullable=False),
        sa.Column("direction", AutoString(length=4), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("identity", AutoString(length=64), nullable=False),
        sa.Column("rfc_key", AutoString(length=64), nullable=True),
        sa.Column("sender_key", AutoString(length=64), nullable=True),
        sa.Column("opened_case", sa.Boolean(), nullable=False),
        sa.Column("machine_sent", AutoString(length=64), nullable=True),
        sa.Column("sender_trust", AutoString(length=8), nullable=False),
        sa.Column("version_of", AutoString(length=26), nullable=True),
        sa.Column("parked", sa.Boolean(), nullable=False),
        sa.Column("raw_id", AutoString(length=26), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["raw_id"],
            ["raw.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("identity"),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_messages_case_id"), ["case_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_received_at"), ["received_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_rfc_key"), ["rfc_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_sender_key"), ["sender_key"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("key", AutoString(length=255), nullable=False),
        sa.Column("channel", AutoString(length=16), nullable=False),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("available_at", UTCDateTime(), nullable=True),
        sa.Column("lease_by", AutoString(length=64), nullable=True),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("error", AutoString(length=64), nullable=True),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("mail_id", AutoString(length=255), nullable=True),
        sa.Column("address_key", AutoString(length=64), nullable=True),
        sa.Column("words_key", AutoString(length=64), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_address_key"), ["address_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_outbox_available_at"), ["available_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_outbox_case_id"), ["case_id"], unique=False)
        batch_op.create_index("ix_outbox_state", ["state"], unique=False)

    op.create_table(
        "participants",
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("address_key", AutoString(length=64), nullable=False),
        sa.Column("source", AutoString(length=16), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("case_id", "address_key"),
    )
    op.create_table(
        "spool",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("channel", AutoString(length=16), nullable=False),
        sa.Column("key", AutoString(length=255), nullable=True),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("raw_id", AutoString(length=26), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("available_at", UTCDateTime(), nullable=True),
        sa.Column("lease_by", AutoString(length=64), nullable=True),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", AutoString(length=64), nullable=True),
        sa.Column("outcome", AutoString(length=32), nullable=True),
        sa.Column("message_id", AutoString(length=26), nullable=True),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["raw_id"],
            ["raw.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("spool", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spool_available_at"), ["available_at"], unique=False)
        batch_op.create_index("ix_spool_state", ["state"], unique=False)

    op.create_table(
        "reminders",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("deadline_id", AutoString(length=26), nullable=False),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("recipient", AutoString(length=128), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("cancelled_because", AutoString(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["deadline_id"],
            ["deadlines.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("deadline_id", "kind", "due_at", "recipient"),
    )
    with op.batch_alter_table("reminders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reminders_case_id"), ["case_id"], unique=False)
        batch_op.create_index("ix_reminders_state_due", ["state", "due_at"], unique=False)

    op.create_table(
        "suggestions",
        sa.Column("id", AutoString(length=26), nullable=False),
        sa.Column("case_id", AutoString(length=26), nullable=False),
        sa.Column("message_id", AutoString(length=26), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("engine", AutoString(length=64), nullable=False),
        sa.Column("version", AutoString(length=64), nullable=False),
        sa.Column("category", AutoString(length=24), nullable=False),
        sa.Column("category_confidence", sa.Float(), nullable=False),
        sa.Column("threshold", AutoString(length=32), nullable=False),
        sa.Column("threshold_confidence", sa.Float(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("suggestions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_suggestions_case_id"), ["case_id"], unique=False)
