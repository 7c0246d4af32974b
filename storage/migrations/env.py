"""Run by Alembic. The connection comes from :mod:`storage.schema`; there is no alembic.ini to find."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from storage import tables

connection = context.config.attributes["connection"]
assert tables.Case.__tablename__ in SQLModel.metadata.tables  # noqa: S101 (the import is what fills the metadata)
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
