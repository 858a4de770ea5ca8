"""P17: what other programs are told of a case arrives, once, signed, in its order, whatever becomes of the receiver."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bot.webhooks.handing import Handing, Rounds, Watching, in_words
from bot.webhooks.posting import Post
from bot.webhooks.settings import KINDS, Webhook
from bot.webhooks.telling import Telling
from storage.tables import WebhookEvent
from storage.wake import Worker
from tests.bot.receiver import KEY, SECRET, Call, Receiver, a_receiver
from tests.bot.rows import rows
from tests.conftest import Clock
from tests.world import World, a_world

REPORT = "Llegó rota la licuadora del pedido 48213, quiero que me la cambien"
ACCOUNTS = {"chat": "chat", "telegram": "telegram", "email": "email", "webchat": "webchat"}


class Told:
    """A world whose cases are told to one receiver, and the hands that do it."""

    def __init__(self, world: World, receiver: Receiver, webhook: Webhook) -> None:
        self.world, self.receiver, self.webhook = world, receiver, webhook
        self.posts = {webhook.name: Post(webhook, now=world.clock, version="1")}
        self.hooks = {webhook.name: webhook}
        self.handing = Handing(world.parts, self.hooks, self.posts)
        self.rounds = Rounds(world.parts, self.hooks)

    async def due(self) -> list[UUID]:
        """The lines that may be handed over now."""
        async with self.world.parts.database.transaction() as tx:
            return [line for line, _ in await tx.webhooks.due(list(self.hooks))]

    async def deliver(self) -> None:
        """What the worker does with the wake-ups of now: each line by itself, all at once."""
        await asyncio.gather(*(self.handing.run(line) for line in await self.due()))

    async def for_long(self, time: timedelta, step: timedelta = timedelta(minutes=1)) -> None:
        """Let time pass, with all attempts that fall due in it."""
        until = self.world.clock() + time
        while self.world.clock() < until:
            await self.deliver()
            self.world.clock.advance(step)

    async def events(self) -> list[WebhookEvent]:
        """All of them."""
        return await rows(self.world, WebhookEvent)


@asynccontextmanager
async def telling(
    url: str,
    clock: Clock,
    files: Path,
    receiver: Receiver | None = None,
    kinds: Mapping[str, str] = ACCOUNTS,
    **settings: Any,
) -> AsyncIterator[Told]:
    """Put it together."""
    receiver = receiver or a_receiver()
    given = {"name": "crm", "url": receiver.url, "secret": SECRET, "allow_private": True, "timeout_seconds": 1}
    webhook = Webhook.model_validate(given | settings)
    teller = Telling({"crm": webhook}, kinds, clock)
    async with a_world(url, clock, files, teller=teller) as world:
        told = Told(world, receiver, webhook)
        yield told
        for post in told.posts.values():
            await post.close()


@pytest.fixture
async def told(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Told]:
    async with telling(database_url, clock, tmp_path) as made:
        yield made


async def two_stories(told: Told) -> None:
    """Two cases, with words in both directions, a change by an agent, and an end."""
    world = told.world
    ana = await world.write("chat", "ana", REPORT)
    eva = await world.write("chat", "eva", "Me cobraron dos veces la factura 991, devuélvanme el dinero")
    me = await world.agent()
    await world.desk(me).move(ana, "en_investigacion")
    await world.desk(me).grade(eva, "high")
    await world.write("chat", "eva", "fue el martes en la sede Centro")
    await world.desk(me).resolve(ana)
    for talk in (ana, eva):
        await world.settle(talk)


def in_order(calls: list[Call]) -> bool:
    """Whether the events of each case came in the order of their numbers, each once."""
    by_case: dict[str, list[int]] = {}
    for call in calls:
        by_case.setdefault(call.code, []).append(call.told["sequence"])
    return len({call.id for call in calls}) == len(calls) and all(
        numbers == sorted(set(numbers)) for numbers in by_case.values()
    )


async def test_P17_receiver_down_an_hour_then_slow_failing_gone_and_up(told: Told) -> None:
    """Every event arrives once, signed, in order per case."""
    receiver = told.receiver
    await two_stories(told)
    await told.for_long(timedelta(hours=1))  # nobody listens
    assert receiver.calls == []
    async with receiver.up():
        receiver.answer = 500
        await told.for_long(timedelta(minutes=15))
        receiver.answer = 410
        await told.for_long(timedelta(minutes=15))
        receiver.answer, receiver.seconds = 200, 1.3  # longer than we wait: taken there, and not known here
        slow = len(await told.events())
        while not await told.due():
            told.world.clock.advance(timedelta(minutes=1))
        await told.deliver()
        assert receiver.calls and not [one for one in await told.events() if one.state != "waiting"]
        receiver.answer, receiver.seconds = 503, 0
        await asyncio.sleep(0.4)  # until the slow ones have ended, whose answers nobody waits for
        await told.for_long(timedelta(minutes=15))
        receiver.answer = 200
        receiver.taken.clear()
        await told.for_long(timedelta(minutes=25))
    events = await told.events()
    assert len(events) == slow > 8
    assert {one.state for one in events} == {"delivered"}
    assert {call.id for call in receiver.taken} == {str(one.id) for one in events}
    assert in_order(receiver.taken)
    assert all(call.signed_by(KEY) for call in receiver.taken)
    assert len({call.code for call in receiver.taken}) == 2


async def test_P17_the_next_event_of_a_case_waits_for_the_one_before_and_no_other_case_does(told: Told) -> None:
    await two_stories(told)
    first, other = sorted(await told.due(), key=str)
    async with told.receiver.up():
        told.receiver.answer = 500
        await told.handing.run(first)
        assert len(told.receiver.calls) == 1  # the next one was not tried
        told.receiver.answer = 200
        await told.handing.run(first)  # a wake-up too many, within the pause
        assert len(told.receiver.calls) == 1
        await told.handing.run(other)
        assert len({call.code for call in told.receiver.taken}) == 1
        assert len(told.receiver.taken) > 3
        told.world.clock.advance(timedelta(seconds=5))
        await told.deliver()
    assert in_order(told.receiver.taken)


async def test_P17_whoever_dies_in_the_middle_sends_the_same_event_again_under_its_id(told: Told) -> None:
    """At least once: a repeat bears the id of the first, and the very same words."""
    await two_stories(told)
    line = (await told.due())[0]
    await told.handing._take(line)
    assert line not in await told.due()  # the others do not take it meanwhile
    async with told.receiver.up():
        await told.handing.run(line)
        assert told.receiver.calls == []
        told.world.clock.advance(timedelta(seconds=17))
        taken = await told.handing._take(line)
        assert taken is not None
        await told.handing._post(taken)  # it arrives, and then we die before it is written down
        told.world.clock.advance(timedelta(seconds=17))
        await told.deliver()
    first, again = [call for call in told.receiver.taken if call.id == str(taken.event_id)]
    assert first.body == again.body
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == first.id
    assert again.headers["webhook-timestamp"] > first.headers["webhook-timestamp"]


async def test_P17_an_event_stands_or_falls_with_its_change(told: Told) -> None:
    talk = await told.world.write("chat", "ana", REPORT)
    before = len(await told.events())
    with pytest.raises(ZeroDivisionError):
        async with told.world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None and conversation.case_id is not None
            case = await tx.cases.get(conversation.case_id, lock=True)
            assert case is not None
            case.severity = "critical"
            await tx.flush()
            1 / 0  # noqa: B018  the power fails
    assert len(await told.events()) == before


async def test_P17_each_happening_is_told_in_its_order_and_no_word_of_the_customer(told: Told) -> None:
    world = told.world
    talk = await world.write("chat", "ana", REPORT)
    await world.write("chat", "ana", "fue ayer en la sede Centro, quiero hablar con una persona")
    me = await world.agent()
    await world.desk(me).take(talk)
    await world.desk(me).reply(talk, "Lo revisamos hoy mismo", key="1")
    await world.desk(me).classify(talk, "queja")
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    async with told.receiver.up():
        await told.deliver()
    kinds = [call.told["type"] for call in told.receiver.taken]
    assert kinds[:2] == ["case.opened", "case.message"]
    assert set(kinds) == set(KINDS)
    messages = [call.told["data"]["message"] for call in told.receiver.taken if call.told["type"] == "case.message"]
    assert Counter((one["direction"], one["author"]) for one in messages)["in", "customer"] == 2
    assert {one["author"] for one in messages if one["direction"] == "out"} >= {"bot", "agent"}
    [kind] = [one["data"]["changed"]["type"] for one in map(_told, told.receiver.taken) if "type" in _changed(one)]
    assert kind["to"] == "queja"
    [solved] = [call.told["data"] for call in told.receiver.taken if call.told["type"] == "case.solved"]
    assert (solved["solved_by"], solved["case"]["status"]) == ("agent", "cumplido")
    said = b"".join(call.body for call in told.receiver.calls).decode()
    assert not [word for word in ("licuadora", "48213", "revisamos", "Centro", '"ana"') if word in said]


def _told(call: Call) -> dict[str, Any]:
    return call.told


def _changed(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told["data"].get("changed", {})
    return found


async def test_contents_go_along_only_where_they_are_wanted(database_url: str, clock: Clock, tmp_path: Path) -> None:
    async with telling(database_url, clock, tmp_path, contents=True, events=["case.message"]) as told:
        await told.world.write("chat", "ana", REPORT)
        async with told.receiver.up():
            await told.deliver()
        assert {call.told["type"] for call in told.receiver.taken} == {"case.message"}
        came, *left = [call.told["data"] for call in told.receiver.taken]
        assert came["content"]["text"] == REPORT
        assert left[-1]["content"]["to"] == "ana"
        assert came["case"]["facts"]["what"]


async def test_with_contents_each_message_says_who_wrote_it_and_from_where(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """A CRM opens a contact with it: name and address of the customer, the agent's name, nobody's for the bot."""
    async with telling(database_url, clock, tmp_path, contents=True, events=["case.message"]) as told:
        talk = await told.world.write("chat", "ana", REPORT, name="Ana Prado")
        me = await told.world.agent(name="Pedro Ruiz")
        await told.world.desk(me).take(talk)
        await told.world.desk(me).reply(talk, "Hola, Ana. Ya lo reviso.", key="r1")
        await told.world.settle(talk)
        await told.world.write("telegram", "eva", "Me cobraron dos veces la factura 991, devuélvanme el dinero")
        async with told.receiver.up():
            await told.deliver()
        said = [call.told["data"]["message"] | call.told["data"]["content"] for call in told.receiver.taken]
        names = {(one["author"], one["channel"]): (one["name"], one.get("from", one.get("to"))) for one in said}
        assert names[("customer", "chat")] == ("Ana Prado", "ana")
        assert names[("customer", "telegram")] == (None, "eva")
        assert names[("agent", "chat")] == ("Pedro Ruiz", "ana")
        assert names[("bot", "telegram")] == (None, "eva")


async def test_the_key_to_a_web_chat_leaves_with_no_message(database_url: str, clock: Clock, tmp_path: Path) -> None:
    """Its address is the cookie: whoever has it reads the conversation."""
    kinds = ACCOUNTS | {"chat": "webchat"}
    async with telling(database_url, clock, tmp_path, kinds=kinds, contents=True) as told:
        await told.world.write("chat", "0f" * 32, REPORT)
        async with told.receiver.up():
            await told.deliver()
        came = next(one.told["data"] for one in told.receiver.taken if one.told["type"] == "case.message")
        assert came["content"]["from"].startswith("webchat-")
        assert not any("0f" * 32 in str(call.told) for call in told.receiver.taken)


async def test_without_contents_nobody_is_named(told: Told) -> None:
    await told.world.write("chat", "ana", REPORT, name="Ana Prado")
    async with told.receiver.up():
        await told.deliver()
    assert told.receiver.taken and not any("Ana" in str(call.told) for call in told.receiver.taken)


async def test_a_merged_case_is_told_with_the_one_that_goes_on(told: Told) -> None:
    world = told.world
    for who in ("ana", "eva"):
        await world.write("chat", who, REPORT)
    case, into = await world.cases()
    async with world.parts.database.transaction() as tx:
        merged = await tx.cases.get(case.id, lock=True)
        assert merged is not None
        merged.merged_into = into.id
    async with told.receiver.up():
        await told.deliver()
    [change] = [call.told["data"] for call in told.receiver.taken if _changed(call.told)]
    assert change["case"]["code"] == case.code
    assert change["changed"] == {"merged_into": {"from": None, "to": str(into.id)}}


async def test_a_code_or_an_alert_is_nobodys_news(told: Told) -> None:
    """Not even where it belongs to a case."""
    world = told.world
    await world.write("chat", "ana", REPORT)
    [case] = await world.cases()
    before = len(await told.events())
    ways = {"code": 0, "alert": 0, "update": 1}
    for kind, more in ways.items():
        async with world.parts.database.transaction() as tx:
            [receipt] = [row for row in await tx.outbox.of_case(case.id) if row.kind == "receipt"]
            talk = await tx.conversations.locked(receipt.conversation_id)
            assert talk is not None
            made = tx.outbox.queue(talk, address="ana", author="bot", kind=kind, text="123456", case_id=case.id)
        async with world.parts.database.transaction() as tx:
            row = await tx.outbox.get(made.id, lock=True)
            assert row is not None
            tx.outbox.learn(row, "sent", world.clock())
        before += more
        assert len(await told.events()) == before, kind


async def test_an_event_is_given_up_after_the_limit_and_sent_again_by_hand(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    async with telling(database_url, clock, tmp_path, retry_hours=1) as told:
        await told.world.write("chat", "ana", REPORT)
        await told.for_long(timedelta(hours=2))
        events = await told.events()
        assert {one.state for one in events} == {"given up"}
        assert await told.due() == []  # nothing is left to be tried
        state = (await Watching(told.world.parts, told.hooks).look())["crm"]
        sign, words = in_words("crm", state, lambda moment: f"{moment:%H:%M}")
        assert sign is False and f"{len(events)} given up" in words and "acuse webhooks retry crm" in words
        async with told.world.parts.database.transaction() as tx:
            assert await tx.webhooks.again("crm") == len(events)
        async with told.receiver.up():
            await told.deliver()
        assert in_order(told.receiver.taken) and len(told.receiver.taken) == len(events)


async def test_what_was_delivered_is_dropped_after_its_days_and_what_waits_is_not(told: Told) -> None:
    await told.world.write("chat", "ana", REPORT)
    async with told.receiver.up():
        await told.deliver()
    await told.world.write("chat", "eva", REPORT)
    waiting = [one.id for one in await told.events() if one.state == "waiting"]
    assert waiting
    await told.rounds.look()
    told.world.clock.advance(timedelta(days=8))
    await told.rounds.look()
    assert sorted(one.id for one in await told.events()) == sorted(waiting)


async def test_its_state_is_told_with_the_remedy(told: Told) -> None:
    watching = Watching(told.world.parts, told.hooks)
    await watching.look()
    assert watching.health()["crm"]["delivered_at"] is None
    await told.world.write("chat", "ana", REPORT)
    at = told.world.clock()
    async with told.receiver.up():
        told.receiver.answer = 404
        await told.deliver()
        state = (await watching.look())["crm"]
        sign, words = in_words("crm", state, lambda moment: f"{moment:%H:%M}")
        assert (sign, state.oldest_waiting) == (False, at)
        assert "the oldest since 14:30" in words and "it answered 404; correct the path in url" in words
        shown = str(watching.health())
        assert "404" in shown and told.receiver.url not in shown
        told.receiver.answer = 204
        told.world.clock.advance(timedelta(seconds=3))
        await told.deliver()
        state = (await watching.look())["crm"]
        assert (state.waiting, state.error, state.delivered_at) == (0, None, told.world.clock())
        assert in_words("crm", state, lambda moment: f"{moment:%H:%M}") == (True, "last delivered 14:30")


async def test_without_webhooks_no_statement_is_spent_on_them(
    database_url: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same way costs not one statement less when no webhook exists than it did before there were any."""
    statements: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def counted(cursor: psycopg.AsyncCursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
        statements.append(str(query))
        return await execute(cursor, query, *rest, **options)

    async with a_world(database_url, clock, tmp_path) as world:
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
        talk = await world.write("chat", "ana", REPORT)
        await world.desk(await world.agent()).resolve(talk)
        await world.settle(talk)
    assert len(statements) > 40
    assert not [one for one in statements if "webhook" in one or "hook:" in one]


async def test_P17_the_worker_is_woken_by_the_commit_itself(database_url: str, tmp_path: Path) -> None:
    """No round and no sweep: the wake-up lies in the same transaction. One that hangs stops no other receiver."""
    clock = Clock()
    hanging, well = a_receiver(), a_receiver()
    hooks = {
        name: Webhook(name=name, url=one.url, secret=SECRET, allow_private=True, timeout_seconds=20)  # type: ignore[arg-type] # pydantic reads it
        for name, one in (("hanging", hanging), ("crm", well))
    }
    hanging.seconds = 30
    async with (
        a_world(database_url, clock, tmp_path, teller=Telling(hooks, ACCOUNTS, clock)) as world,
        hanging.up(),
        well.up(),
    ):
        posts = {name: Post(one, now=clock, version="1") for name, one in hooks.items()}
        handlers: Any = {
            "turn": world.turns.run,
            "send": world.sending.run,
            "hook": Handing(world.parts, hooks, posts).run,
        }
        worker = Worker(
            database_url,
            handlers,
            lanes=list(ACCOUNTS),
            webhooks=list(hooks),
            log=logging.getLogger("tests.worker"),
        )
        running = asyncio.create_task(worker.run())
        await world.intake.keep("chat", world.memory("chat").write("ana", REPORT))
        deadline = time.monotonic() + 20
        while {"case.opened", "case.message"} - {call.told["type"] for call in well.taken}:
            assert time.monotonic() < deadline, "nothing was told"
            await asyncio.sleep(0.02)
        assert len(hanging.calls) <= 1
        running.cancel()
        await asyncio.wait([running])
        for post in posts.values():
            await post.close()
