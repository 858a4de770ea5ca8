"""Alembic's entrance: it is handed a connection by storage.migrate and never opens one."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString, SQLModel

import storage.tables  # noqa: F401  the tables register themselves


def include_name(name: str | None, kind: str, parents: object) -> bool:
    """Leave the job engine's tables and our vector column's extension alone."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def render_item(kind: str, item: Any, context: object) -> str | Literal[False]:
    """Write SQLModel's string as what it is in the database."""
    return "sa.String()" if kind == "type" and isinstance(item, AutoString) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_name=include_name,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
