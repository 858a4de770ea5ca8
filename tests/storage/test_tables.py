"""The migrations make exactly the tables that the program works with."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import storage.tables
from storage.migrate import _config, revisions, sqlalchemy_url


def test_the_migrations_leave_no_difference_to_the_tables(database_url: str) -> None:
    """Contract 4; the job engine's own tables are left out."""
    assert storage.tables.Case.__tablename__ in SQLModel.metadata.tables
    ours = set(SQLModel.metadata.tables)

    def is_ours(name: str | None, kind: str, parents: object) -> bool:
        return kind != "table" or name in ours

    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours, "compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_the_revisions_that_a_start_reads_from_the_files_are_alembics(database_url: str) -> None:
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(_config(connection))
        known = frozenset(one.revision for one in script.walk_revisions())
        assert revisions() == (known, script.get_current_head())
    engine.dispose()
