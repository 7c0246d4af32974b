"""threads by their root

The keyed hash of the message that a thread begins with, by which the answers to a message that never came to us find each
other. Empty for what came before, and for what a node of the version before files meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("root_key", AutoString(length=64), nullable=True))
    op.create_index("ix_messages_root_key", "messages", ["root_key"])
