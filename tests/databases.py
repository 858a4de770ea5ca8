"""Databases for tests, cloned from one template and used again: to empty one takes 10 ms, to clone one 150.

A database is handed to the next test only if nothing but rows of empty tables came into it: its catalogue (tables,
columns, functions, triggers, settings …) and the rows that the template brings along are compared with the template's.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from storage.migrate import upgrade

TEMPLATE = "template_acuse"
MOST_GROWTH = 2_000_000  # bytes of dead rows after which a fresh clone is quicker

# what a migration, a test that alters a table or a measurement of the planner changes
_CATALOGUE = """
SELECT md5(string_agg(row, '' ORDER BY row)) FROM (
    SELECT concat('c', oid, relname, xmin, reltuples, relhastriggers) row FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT concat('a', attrelid, attname, xmin) FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT concat('p', oid, xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat('t', oid, xmin) FROM pg_trigger
    UNION ALL SELECT concat('k', oid, xmin) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat('y', oid, xmin) FROM pg_type WHERE oid >= 16384
    UNION ALL SELECT concat('e', oid, xmin) FROM pg_extension
    UNION ALL SELECT concat('n', oid, xmin) FROM pg_namespace
    UNION ALL SELECT concat('s', setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
               WHERE d.datname = current_database()) rows
"""
_TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1"
_SEQUENCES = """
SELECT setval(c.oid::regclass, s.seqstart, false) FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid
"""
_OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Databases:
    """The databases of one server; for one process, one test after the other."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._free: list[str] = []
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        upgrade(self._at(TEMPLATE))
        with psycopg.connect(self._at(TEMPLATE), autocommit=True) as connection:
            self._catalogue = _one(connection, _CATALOGUE)
            self._size = int(_one(connection, "SELECT pg_database_size(current_database())"))
            tables = [str(name) for (name,) in connection.execute(_TABLES)]
            self._kept = {name: _rows(connection, name) for name in tables if _rows(connection, name)}
            self._emptied = [name for name in tables if name not in self._kept]

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address (postgresql://…) of a database with all tables and nothing in them, until the block is left."""
        name = self._free.pop() if self._free else self._clone()
        try:
            yield self._at(name)
        finally:
            if self._as_new(name):
                self._free.append(name)
            else:
                with psycopg.connect(self._server, autocommit=True) as connection:
                    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _clone(self) -> str:
        name = f"test_{os.urandom(6).hex()}"
        clone = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(clone)
        return name

    def _as_new(self, name: str) -> bool:
        """Empty a database again; False if that cannot be done, or if more than rows came into it."""
        try:
            with psycopg.connect(self._at(name), autocommit=True) as connection:
                return _left_alone(connection) and self._empty(connection)
        except psycopg.Error:
            return False

    def _empty(self, connection: psycopg.Connection) -> bool:
        if _one(connection, _CATALOGUE) != self._catalogue:
            return False
        connection.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        connection.execute("; ".join(f"DELETE FROM {table}" for table in self._emptied).encode())
        connection.execute(_SEQUENCES)
        if any(_rows(connection, table) != rows for table, rows in self._kept.items()):
            return False
        return int(_one(connection, "SELECT pg_database_size(current_database())")) < self._size + MOST_GROWTH

    def _at(self, name: str) -> str:
        return urlsplit(self._server)._replace(path=f"/{name}").geturl()


def _left_alone(connection: psycopg.Connection) -> bool:
    """End what a test left connected, and wait for it to be gone."""
    deadline = time.monotonic() + 5
    while connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({_OTHERS}) others").fetchall():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _one(connection: psycopg.Connection, question: str) -> str:
    row = connection.execute(question.encode()).fetchone()
    return str(row[0]) if row else ""


def _rows(connection: psycopg.Connection, table: str) -> str:
    """What stands in a table, as one comparable text; empty for no rows."""
    return _one(connection, f"SELECT coalesce(string_agg(t::text, '' ORDER BY t::text), '') FROM {table} t")
