"""Kill the processes of the running program under load, and count at the provider what became of everything."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic
from uuid import UUID

import pytest
from sqlmodel import col, func, select

from storage.database import Database
from storage.ids import uuid7_source
from storage.tables import Case, Conversation, Delivery, Message, Outgoing
from tests.flow.load import Client, Forked, Mother
from tests.flow.wire import Ledger, moment, provider

# One report and what follows it: whatever is answered together, it is one case.
WORDS = (
    "Compré una licuadora, pedido {order}, y llegó rota. Quiero otra.",
    "fue el jueves pasado",
    "en la sede Centro",
    "gracias",
    "¿cuándo me responden?",
)


class Machines:
    """One web node and two workers; each that is killed is started again."""

    def __init__(self, mother: Mother, url: str, port: int, files: Path, client: Client) -> None:
        self._mother = mother
        self._how = (url, port, files)
        self._client = client
        self._alive: dict[str, Forked] = {}
        self._starting: set[asyncio.Task[None]] = set()

    async def begin(self, name: str) -> None:
        """Start a node (again)."""
        node = await self._mother.bear(name.split()[0], *self._how, "quick")
        self._alive[name] = node
        if name == "web":
            self._client.port = int(node.said)

    async def kill_one(self, random: Random) -> str:
        """Kill one that runs, whatever it does at the moment; it comes back by itself."""
        async with asyncio.timeout(60):
            while not self._alive:
                await asyncio.sleep(0.02)
        name = random.choice(sorted(self._alive))
        self._alive.pop(name).kill()
        task = asyncio.create_task(self.begin(name))
        self._starting.add(task)
        return name

    async def all_back(self) -> None:
        """Wait until each runs."""
        await asyncio.gather(*self._starting)


@asynccontextmanager
async def _machines(url: str, port: int, files: Path, client: Client) -> AsyncIterator[Machines]:
    mother = await Mother.begin()
    machines = Machines(mother, url, port, files, client)
    try:
        await asyncio.gather(*(machines.begin(name) for name in ("web", "worker 1", "worker 2")))
        yield machines
    finally:
        await mother.end()


class Load:
    """People who write, each message once the last is taken in; now and then the provider delivers one twice.

    They are let go slice by slice, one for each kill, so that each kill hits a program at work, on any machine.
    """

    def __init__(self, client: Client, people: int, seed: str) -> None:
        self.taken_in = 0
        self.size = people * len(WORDS)
        self._client = client
        self._let_go = asyncio.Semaphore(0)
        self._writers = [
            asyncio.create_task(self._person(number, Random(f"{seed} {number}"))) for number in range(people)
        ]

    async def _person(self, number: int, random: Random) -> None:
        for place, words in enumerate(WORDS):
            await self._let_go.acquire()
            message = (f"{number}:{place}", f"person {number}", words.format(order=48000 + number))
            again = 2 if random.random() < 0.02 or (number, place) in ((0, 0), (1, 1), (2, 2)) else 1
            await asyncio.gather(*(self._client.post(*message) for _ in range(again)))
            self.taken_in += 1

    async def go_on(self, more: int, meet: int) -> None:
        """Let them write so many messages more, and come back when `meet` of all are taken in."""
        for _ in range(more):
            self._let_go.release()
        async with asyncio.timeout(60):
            while self.taken_in < meet:
                await asyncio.sleep(0.005)

    async def all_written(self) -> None:
        """Wait for the last one. Raises what a writer raised."""
        await asyncio.gather(*self._writers)


async def _settled(database: Database, seconds: float) -> None:
    """Wait until nothing waits any more."""
    unhandled = select(func.count()).select_from(Message).where(col(Message.handled_at).is_(None))
    unsent = select(func.count()).select_from(Outgoing).where(col(Outgoing.state).in_(("queued", "sending")))
    ends = monotonic() + seconds
    while True:
        async with database.transaction() as tx:
            waiting = (await tx.session.exec(unhandled)).one(), (await tx.session.exec(unsent)).one()
        if waiting == (0, 0):
            return
        assert monotonic() < ends, f"{waiting[0]} messages and {waiting[1]} rows still wait"
        await asyncio.sleep(0.2)


async def _play(url: str, files: Path, *, people: int, kills: int) -> None:
    seed = os.environ.get("ACUSE_SEED") or os.urandom(4).hex()
    print(f"ACUSE_SEED={seed}")
    random = Random(seed)
    database = Database(url, now=moment, ids=uuid7_source(moment, os.urandom))
    client = Client(0)
    try:
        async with provider() as ledger, _machines(url, ledger.port, files, client) as machines:
            load = Load(client, people, seed)
            slices = [load.size * number // kills for number in range(kills + 1)]
            for number, (begin, end) in enumerate(pairwise(slices)):
                await load.go_on(end - begin, random.randint(begin + 1, end))
                await asyncio.sleep(random.uniform(0, 0.3))  # somewhere in what the messages bring about
                name = await machines.kill_one(random)
                print(f"kill {number}: {name}; {load.taken_in} taken in, {len(ledger.entries)} sent")
            await load.all_written()
            await machines.all_back()
            await _settled(database, 60)
        await _judge(database, ledger, people)
    finally:
        await database.close()


async def _judge(database: Database, ledger: Ledger, people: int) -> None:
    async with database.transaction() as tx:
        session = tx.session
        conversations = (await session.exec(select(Conversation))).all()
        messages = (await session.exec(select(Message).order_by(col(Message.number)))).all()
        rows = (await session.exec(select(Outgoing).order_by(col(Outgoing.number)))).all()
        cases = (await session.exec(select(Case))).all()
        uncertain = Counter(
            (await session.exec(select(Delivery.outgoing_id).where(Delivery.state == "uncertain"))).all()
        )
        for case in cases:
            await tx.cases.verify(case.id)
    assert len(conversations) == people
    assert len(messages) == people * len(WORDS)
    assert Counter(case.person_id for case in cases) == Counter(one.person_id for one in conversations)
    _nothing_sent_that_was_not_written(ledger, rows)
    _twice_only_in_doubt(ledger, uncertain)
    for conversation in conversations:
        mine = [row for row in rows if row.conversation_id == conversation.id]
        _one_talk(ledger, [one for one in messages if one.conversation_id == conversation.id], mine)
    twice = sum(count > 1 for count in Counter(entry.key for entry in ledger.entries).values())
    doubts = sum(uncertain.values())
    print(f"{len(messages)} messages, {len(ledger.entries)} sent, {twice} of them twice, {doubts} in doubt")


def _nothing_sent_that_was_not_written(ledger: Ledger, rows: Sequence[Outgoing]) -> None:
    """What a transaction that rolled back wanted to say has never left."""
    written = {str(row.id): row for row in rows}
    for entry in ledger.entries:
        assert (written[entry.key].address, written[entry.key].text) == (entry.to, entry.text)
    assert {row.state for row in rows} == {"sent"}
    assert set(written) == {entry.key for entry in ledger.entries}


def _twice_only_in_doubt(ledger: Ledger, uncertain: Counter[UUID]) -> None:
    for key, times in Counter(entry.key for entry in ledger.entries).items():
        assert times - 1 <= uncertain[UUID(key)], f"{key} was sent {times} times"


def _one_talk(ledger: Ledger, messages: Sequence[Message], rows: Sequence[Outgoing]) -> None:
    """One person's side: their words in their order, one Ack, one Receipt, an Answer to the last; numbers ascend."""
    number = messages[0].provider_key.partition(":")[0]
    assert [one.provider_key for one in messages] == [f"{number}:{place}" for place in range(len(WORDS))]
    assert all(one.understanding for one in messages)
    assert Counter(row.kind for row in rows)["ack"] == Counter(row.kind for row in rows)["receipt"] == 1
    bursts = [one for one in messages if "with" not in one.understanding]
    assert rows[-1].number > messages[-1].number
    assert len(bursts) <= len(rows) - 1
    numbers = {str(row.id): row.number for row in rows}
    got = list(dict.fromkeys(numbers[entry.key] for entry in ledger.to(f"person {number}")))
    assert got == sorted(got)


@pytest.mark.timeout(600)  # half a minute of work; a shared machine may give it late
async def test_twenty_kills_lose_nothing_and_do_nothing_twice(database_url: str, tmp_path: Path) -> None:
    """R006: 150 messages of thirty people while twenty processes die by SIGKILL. ACUSE_SEED=… plays one run again."""
    await _play(database_url, tmp_path, people=30, kills=20)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_hundred_kills_lose_nothing_and_do_nothing_twice(database_url: str, tmp_path: Path) -> None:
    """The same, ten times as long."""
    await _play(database_url, tmp_path, people=200, kills=200)
