"""Statements that go straight to the driver, any number of them in one journey to the server.

SQLAlchemy thinks for about a millisecond about each statement, and each waits for its own answer; a message on its way
cannot afford forty of those. What is read here becomes the same objects as elsewhere, in the same session and the same
transaction; and what was changed in objects is written with the next journey, everything in one go.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar, cast

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import DivisionByZero
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic.fields import FieldInfo
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import class_mapper, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

Statement = tuple[str, Mapping[str, Any] | Sequence[Any]]
"""The text as psycopg reads it (%s or %(name)s), and its values."""

LOCKED = "WHERE id = %s FOR NO KEY UPDATE"
"""The rest of a `reading` of one row that nobody else may write until this transaction ends."""

Row = TypeVar("Row", bound=SQLModel)
Watch = Callable[[Sequence[SQLModel], Sequence[tuple[SQLModel, tuple[str, ...]]]], None]


class Vanished(Exception):
    """A row that we had read is gone, though nobody may have taken it away."""


class Session(AsyncSession):
    """A session that writes what is pending by `Direct`, before each of its own queries and never in another way.

    SQLAlchemy's own order of writing knows nothing of foreign keys without declared relationships.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, expire_on_commit=False, autoflush=False)
        self.direct = Direct(self)

    async def exec(self, statement: Any, **options: Any) -> Any:
        """Run a query, as it stands when everything before it is written."""
        await self.direct.run()
        return await super().exec(statement, **options)


class Direct:
    """One transaction's own door to the driver."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._driver: AsyncConnection[TupleRow] | None = None
        self._later: list[Statement] = []
        self._known: list[SQLModel] = []  # the session itself forgets what nobody else holds, and reads it again
        self.watch: Watch | None = None  # sees what will be written: new objects, and changed ones with their columns

    async def run(self, *statements: Statement, last: bool = False) -> list[list[tuple[Any, ...]]]:
        """Write what is pending, then run them in their order; in one journey. Gives the rows of each.

        Each sees what those before it did. With `last` the transaction is committed in the same journey, if anything
        travels at all. Raises psycopg's errors, and Vanished.
        """
        sync = self._session.sync_session
        fresh: list[SQLModel] = sorted(sync.new, key=_place)
        # in one order for everybody, so that two transactions never wait for each other
        changed = sorted(((one, names) for one in sync.dirty if (names := _changed(one))), key=_first_held)
        before = [inserting(one) for one in fresh] + [_update(one, names) for one, names in changed] + self._later
        self._later = []
        if self.watch is not None and (fresh or changed):
            self.watch(fresh, changed)
        try:
            found = await self._journey([*before, *statements], last=last)
        except DivisionByZero as gone:
            raise Vanished(", ".join(sorted({type(one).__name__ for one, _ in changed}))) from gone
        for one in fresh:
            sync.expunge(one)
            self.adopt(one)
        for one, _ in changed:
            state = instance_state(one)
            state._commit_all(state.dict, sync.identity_map)  # what a flush does too; no public name does all of it
        return found[len(before) : len(before) + len(statements)]

    async def _journey(self, statements: Sequence[Statement], *, last: bool) -> list[list[tuple[Any, ...]]]:
        if not statements:
            return []
        driver = self._driver or await self._open()
        try:
            if len(statements) == 1 and not last and driver.info.transaction_status is not TransactionStatus.IDLE:
                cursors = [await driver.execute(*statements[0])]
            else:  # BEGIN travels with the first of them, COMMIT with the last
                async with driver.pipeline():
                    cursors = [await driver.execute(*statement) for statement in statements]
                    if last:
                        await driver.execute("COMMIT", prepare=False)
        except OperationalError:
            if driver.closed:
                await self._session.invalidate()  # there is nothing to roll back, and trying hides why
            raise
        return [await cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else [] for cursor in cursors]

    async def _open(self) -> AsyncConnection[TupleRow]:
        connection = (await self._session.connection()).sync_connection
        assert connection is not None  # it was opened just now
        self._driver = cast(AsyncConnection[TupleRow], connection.connection.driver_connection)
        return self._driver

    async def find(self, table: type[Row], rest: str, *values: Any) -> list[Row]:
        """The rows of a table that fit; `rest` is what stands behind FROM and the table's name."""
        [found] = await self.run(reading(table, rest, *values))
        return self.load(table, found)

    def held(self, table: type[Row], key: Any) -> Row | None:
        """The object, if this transaction has read it already."""
        return self._session.sync_session.identity_map.get(identity_key(table, key))

    def later(self, *statements: Statement) -> None:
        """Statements whose result nobody waits for: they go with the next journey, behind the objects."""
        self._later.extend(statements)

    def load(self, table: type[Row], found: Sequence[Sequence[Any]]) -> list[Row]:
        """The objects of rows that `reading` gave. One that was read before gets the new values."""
        return [self._load(table, values) for values in found]

    def _load(self, table: type[Row], values: Sequence[Any]) -> Row:
        names = _names(table)
        known = self.held(table, values[0])
        if known is None:
            made: Row = class_mapper(table).class_manager.new_instance()
            made.__dict__.update(zip(names, values, strict=True))
            return self.adopt(made)
        for name, value in zip(names, values, strict=True):
            if known.__dict__.get(name) != value:
                set_committed_value(known, name, value)
        return known

    def new(self, table: type[Row], **values: Any) -> Row:
        """A new object with the table's defaults, written with the next journey.

        The constructor of the class would do the same in half a millisecond.
        """
        made = blank(table, **values)
        self.add(made)
        return made

    def add(self, made: SQLModel) -> None:
        """Write this object with the next journey."""
        self._session.sync_session.add(made)

    def adopt(self, made: Row) -> Row:
        """An object that stands in the database exactly so: from now on its changes are written."""
        make_transient_to_detached(made)
        self._known.append(made)
        self._session.sync_session.add(made)
        return made


def blank(table: type[Row], **values: Any) -> Row:
    """An object with the table's defaults that belongs to no transaction. Raises TypeError for an unknown column."""
    if unknown := values.keys() - _known(table):
        raise TypeError(f"{table.__name__} has no {', '.join(sorted(unknown))}")
    made: Row = class_mapper(table).class_manager.new_instance()
    made.__dict__.update({name: make() for name, make in _defaults(table)}, **values)
    return made


def reading(table: type[SQLModel], rest: str, *values: Any, also: str = "") -> Statement:
    """A statement that reads what `Direct.load` wants; tables with one key only.

    `also` is one more expression, whose value stands last in each row: the caller cuts it off before it loads.
    """
    return f"{_select(table, also)} {rest}", values


def inserting(one: SQLModel, rest: str = "") -> Statement:
    """A statement that inserts an object; `rest` says what happens if it is there already, and what is returned."""
    return f"{_insert_text(type(one))} {rest}", _values(one, _names(type(one)))


@cache
def _table(table: type[SQLModel]) -> Table:
    return cast(Table, class_mapper(table).local_table)


@cache
def _names(table: type[SQLModel]) -> tuple[str, ...]:
    return tuple(column.name for column in _table(table).columns if column.computed is None)


@cache
def _known(table: type[SQLModel]) -> frozenset[str]:
    return frozenset(_names(table))


@cache
def _defaults(table: type[SQLModel]) -> tuple[tuple[str, Callable[[], Any]], ...]:
    fields = table.model_fields
    return tuple((name, partial(_default, fields[name])) for name in _names(table))


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]  # ours take none


@cache
def _json(table: type[SQLModel]) -> frozenset[str]:
    return frozenset(column.name for column in _table(table).columns if isinstance(column.type, JSONB))


@cache
def _key(table: type[SQLModel]) -> tuple[str, ...]:
    return tuple(column.name for column in _table(table).primary_key)


@cache
def _order() -> dict[str, int]:
    return {table.name: place for place, table in enumerate(SQLModel.metadata.sorted_tables)}


def _place(one: SQLModel) -> int:
    """Where its table stands: behind those that it refers to."""
    return _order()[_table(type(one)).name]


def _first_held(changed: tuple[SQLModel, tuple[str, ...]]) -> tuple[int, tuple[str, ...]]:
    """Where an object that is to be written stands among all: by its table, then by its key."""
    one, _ = changed
    return _place(one), tuple(str(one.__dict__[name]) for name in _key(type(one)))


def _changed(one: SQLModel) -> tuple[str, ...]:
    """The columns that now hold something else than the database."""
    state = instance_state(one)
    return tuple(name for name, was in state.committed_state.items() if state.dict.get(name) != was)


def _values(one: SQLModel, names: Iterable[str]) -> list[Any]:
    held, json = one.__dict__, _json(type(one))
    return [Jsonb(held[name]) if name in json else held.get(name) for name in names]


@cache
def _select(table: type[SQLModel], also: str = "") -> str:
    name = _table(table).name
    wanted = [*(f"{name}.{column}" for column in _names(table)), *([also] if also else [])]
    return f"SELECT {', '.join(wanted)} FROM {name}"  # noqa: S608  names of ours


@cache
def _insert_text(table: type[SQLModel]) -> str:
    places = ", ".join(["%s"] * len(_names(table)))
    return f"INSERT INTO {_table(table).name} ({', '.join(_names(table))}) VALUES ({places})"  # noqa: S608  names of ours


def _update(one: SQLModel, names: tuple[str, ...]) -> Statement:
    table = type(one)
    return _update_text(table, names), [*_values(one, names), *(one.__dict__[name] for name in _key(table))]


@cache
def _update_text(table: type[SQLModel], names: tuple[str, ...]) -> str:
    wanted = ", ".join(f"{name} = %s" for name in names)
    which = " AND ".join(f"{name} = %s" for name in _key(table))
    update = f"UPDATE {_table(table).name} SET {wanted} WHERE {which} RETURNING 1"  # noqa: S608  names of ours
    return f"WITH written AS ({update}) SELECT 1 / count(*) FROM written"  # noqa: S608  no row: nothing is committed
