"""Agents who work in Slack: cards, take-over, words to the customer, notes, and what comes back."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from bot.catalogue import blanks_of
from bot.desk_cards import DeskCards
from bot.desk_line import desk_words
from bot.hooks import Hooks
from bot.writing import write
from channels.channel import Address, DeskAct, Forged, Undeliverable
from channels.memory import Memory
from channels.slack import Slack
from demo.provider import Failing, Picture
from demo.slack_api import SlackApi
from storage.tables import DeskThread, Note
from tests.bot.rows import messages, outgoing, rows, send_all
from tests.channels.at_slack import DESK, SHARED, Events, a_slack, account, signed
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

HELP = "Compré una licuadora, pedido 48213, y llegó rota. Quiero hablar con una persona."


class Together:
    """Time for several workers: it goes on when all of them wait, to the moment that comes first."""

    def __init__(self, clock: Clock, workers: int) -> None:
        self._clock = clock
        self._working = workers
        self._waiting: list[tuple[datetime, int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        """Wait for that moment."""
        due = self._clock() + timedelta(seconds=seconds)
        self._waiting.append((due, len(self._waiting), come := asyncio.Event()))
        self._working -= 1
        self._go_on()
        await come.wait()

    def leave(self) -> None:
        """A worker is done."""
        self._working -= 1
        self._go_on()

    def _go_on(self) -> None:
        if self._working or not self._waiting:
            return
        due, _, come = first = min(self._waiting)
        self._waiting.remove(first)
        self._clock.moment = max(self._clock.moment, due)
        self._working += 1
        come.set()


class Office:
    """Agents in Slack, customers in the chat."""

    def __init__(self, world: World, slack: SlackApi, channel: Slack, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.slack = slack
        self.channel = channel
        self.cards = DeskCards(world.parts, sleep=self.pass_by)
        self.events = Events()

    async def pass_by(self, seconds: float) -> None:
        """Nobody waits here: the clock goes on instead."""
        self.clock.advance(timedelta(seconds=seconds))

    async def flagged(self, who: str = "ana") -> UUID:
        """A customer asks for a person, and the card is shown."""
        here = await self.world.write("chat", who, HELP, name="Ana Ruiz")
        await self.cards.show()
        return here

    async def thread(self, here: UUID) -> str:
        (found,) = [one for one in await rows(self.world, DeskThread) if one.conversation_id == here]
        assert found.thread
        return found.thread

    async def press(self, verb: str, thread: str, user: str = "U0PEDRO") -> None:
        channel, _, ts = thread.partition(":")
        await self.deliver(self.events.press(f"desk:{verb}", verb, user=user, channel=channel, ts=ts), form=True)

    async def say(self, text: str, thread: str, user: str = "U0PEDRO", **fields: Any) -> dict[str, Any]:
        ts = thread.partition(":")[2]
        body = self.events.message(text, user=user, channel=DESK, thread_ts=ts, **fields)
        await self.deliver(body)
        return body

    async def deliver(self, body: dict[str, Any], *, form: bool = False) -> None:
        """As Slack calls us."""
        at = str(int(self.world.parts.now().timestamp()))
        for arrival in self.channel.read(signed(body, form=form, at=at)):
            assert isinstance(arrival, DeskAct), arrival
            await self.world.intake.keep("slack", arrival)

    async def keep(self, body: dict[str, Any]) -> UUID | None:
        """A customer writes in Slack; returns the conversation."""
        at = str(int(self.world.parts.now().timestamp()))
        (arrival,) = self.channel.read(signed(body, at=at))
        kept = await self.world.intake.keep("slack", arrival)
        return kept.conversation_id if kept else None

    def said(self) -> list[dict[str, Any]]:
        """What was posted."""
        return self.slack.asked("chat.postMessage")

    def below(self) -> list[str]:
        """What was written below cards."""
        return [one["text"] for one in self.said() if one.get("thread_ts")]

    def whispers(self) -> list[tuple[str, str]]:
        return [(one["user"], one["text"]) for one in self.slack.asked("chat.postEphemeral")]

    def card(self) -> str:
        """The card as it was last shown."""
        shown = [one for one in self.slack.calls if one.method in ("chat.postMessage", "chat.update")]
        last = [dict(one.parameters) for one in shown if one.parameters.get("blocks")][-1]
        return json.dumps(_blocks(last), ensure_ascii=False)

    def got(self) -> list[str]:
        """What the customer got from people."""
        return [one.text for one in self.world.sent("chat", "ana") if one.automatic is None]


def _blocks(values: dict[str, Any]) -> Any:
    return json.loads(values["blocks"]) if isinstance(values["blocks"], str) else values["blocks"]


@pytest_asyncio.fixture
async def office(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Office]:
    async with a_slack(clock=clock, pace=timedelta(seconds=1)) as slack:
        slack.person("U0PEDRO", "Pedro", email="pedro@nube.example")
        slack.person("U0MARTA", "Marta", email="marta@nube.example")
        channel = account(slack.url, socket=False, clock=clock, agents_channel=DESK, agents={"U0LUZ": "luz"})
        chat = Memory("chat", features=CHAT, now=clock)
        async with a_world(database_url, clock, tmp_path, channels={"chat": chat, "slack": channel}) as world:
            await world.agent("pedro@nube.example", "Pedro")
            await world.agent("marta@nube.example", "Marta")
            yield Office(world, slack, channel, clock)
            assert slack.faults == [] and slack.slowed == []
        await channel.close()


async def test_r015_who_asks_for_a_person_is_a_card_with_its_buttons(office: Office) -> None:
    await office.flagged()
    (case,) = await office.world.cases()
    card = office.card()
    assert case.code in card and "Reclamo" in card and "llegó rota" in card and "pidió una persona" in card
    for label in ("Tomar", "Responder", "Nota", "Escalar", "Resolver"):
        assert f'"text": "{label}"' in card
    told = len(office.slack.calls)
    await office.cards.show()
    assert len(office.slack.calls) == told  # it stands there already


async def test_nobody_is_shown_who_needs_no_person(office: Office) -> None:
    await office.world.write("chat", "ana", "Compré una licuadora, pedido 48213, y llegó rota.")
    await office.cards.show()
    assert office.said() == []


async def test_p19_who_presses_take_has_it_and_a_second_one_is_told_who(office: Office) -> None:
    here = await office.flagged()
    thread = await office.thread(here)
    await office.press("take", thread)
    await office.cards.show()
    assert "Atiende: Pedro" in office.card() and "Devolver al bot" in office.card()
    await office.press("take", thread, user="U0MARTA")
    await office.say("yo también", thread, user="U0MARTA")
    assert [who for who, _ in office.whispers()] == ["U0MARTA", "U0MARTA"]
    assert all("La tiene Pedro" in text for _, text in office.whispers())
    await send_all(office.world)
    assert office.got() == []
    await office.world.write("chat", "ana", "¿hola?")
    assert all(row.author != "bot" or row.created_at < row.not_before for row in (await outgoing(office.world))[-1:])


async def test_what_an_agent_writes_below_the_card_reaches_the_customer_once(office: Office) -> None:
    """P5: five deliveries of one event at the same time are one message."""
    here = await office.flagged()
    thread = await office.thread(here)
    body = office.events.message(
        "Hola Ana, soy Pedro &amp; lo veo ya", user="U0PEDRO", channel=DESK, thread_ts=thread.split(":")[1]
    )
    await asyncio.gather(*(office.deliver(body) for _ in range(5)))
    await send_all(office.world)
    assert office.got() == ["Hola Ana, soy Pedro & lo veo ya"]
    (conversation,) = await office.world.conversations()
    assert conversation.speaker.startswith("agent:") and conversation.flagged_at is None
    await office.cards.show()
    assert not any("lo veo ya" in text for text in office.below())  # it stands there in his own words


async def test_marked_lines_are_notes_and_never_leave(office: Office) -> None:
    here = await office.flagged()
    thread = await office.thread(here)
    await office.say("// ojo, cliente difícil\nno decirle nada", thread)
    await office.say("Ya reviso su pedido.\n🔒 pedir foto a bodega", thread)
    await office.press("compose_note", thread)
    await office.deliver(office.events.form("note", thread, "llamar mañana", user="U0PEDRO"), form=True)
    await send_all(office.world)
    assert office.got() == ["Ya reviso su pedido."]
    notes = [note.text for note in await rows(office.world, Note, "number")]
    assert notes == ["ojo, cliente difícil\nno decirle nada", "pedir foto a bodega", "llamar mañana"]
    (form,) = office.slack.asked("views.open")
    assert "Nota interna" in json.dumps(form["view"], ensure_ascii=False)


async def test_the_same_note_twice_is_one(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    ts = thread.partition(":")[2]
    body = office.events.message("// una vez", user="U0PEDRO", channel=DESK, thread_ts=ts)
    await asyncio.gather(*(office.deliver(body) for _ in range(5)))
    assert len(await rows(office.world, Note)) == 1


async def test_a_reply_by_the_form_reaches_the_customer(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    await office.press("compose_reply", thread)
    assert office.slack.asked("views.open")
    await office.deliver(office.events.form("reply", thread, "Le escribo desde la caja", user="U0PEDRO"), form=True)
    await send_all(office.world)
    assert office.got() == ["Le escribo desde la caja"]


async def test_strangers_do_nothing_and_are_told_what_to_do(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    office.slack.person("U0GUEST", "Guest", email="pedro@nube.example", is_restricted=True)
    office.slack.person("U0NEW", "New", email="pedro@nube.example", is_email_confirmed=False)
    office.slack.person("U0OTHER", "Other", email="other@nube.example")
    for user in ("U0GUEST", "U0NEW", "U0OTHER"):
        await office.press("take", thread, user=user)
        await office.say("hola", thread, user=user)
    assert len(office.whispers()) == 6 and all("No encuentro tu usuario" in text for _, text in office.whispers())
    (conversation,) = await office.world.conversations()
    assert conversation.speaker == "bot"


async def test_an_agent_by_the_configuration(office: Office) -> None:
    luz = await office.world.agent("luz", "Luz")
    office.slack.person("U0LUZ", "Luz")
    await office.press("take", await office.thread(await office.flagged()), user="U0LUZ")
    (conversation,) = await office.world.conversations()
    assert conversation.speaker == f"agent:{luz.id}"


async def test_the_thread_follows_the_conversation(office: Office) -> None:
    here = await office.flagged()
    thread = await office.thread(here)
    await office.press("take", thread)
    await office.world.write("chat", "ana", "¿sigue ahí? <!channel>")
    pedro = await office.world.agent_by_mark((await office.world.conversations())[0].speaker)
    await office.world.desk(pedro).reply(here, "Sí, aquí sigo", key="k")
    await office.world.desk(pedro).note(here, "pagó con tarjeta")
    for _ in range(2):
        await office.cards.show()
    below = "\n".join(office.below())
    assert below.count("Ana Ruiz: ¿sigue ahí? &lt;!channel&gt;") == 1  # nobody is called by a customer's words
    assert below.count("Pedro (desde la consola): Sí, aquí sigo") == 1
    assert below.count("🔒 Pedro (nota): pagó con tarjeta") == 1


async def test_p15_what_did_not_arrive_comes_back_to_the_thread(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    await office.say("Le envío la guía", thread)
    office.world.memory("chat").fail(Undeliverable("chat: blocked us"), times=5)
    await send_all(office.world)
    for text in ("¿hola?", "¿siguen ahí?"):
        await office.cards.show()
        await office.world.write("chat", "ana", text)
    await office.cards.show()
    assert sum("No llegó: «Le envío la guía»" in text for text in office.below()) == 1


async def test_who_escalates_calls_everybody_and_lets_go(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    await office.press("take", thread)
    await office.press("escalate", thread)
    for _ in range(2):
        await office.cards.show()
    loud = [one for one in office.said() if str(one.get("reply_broadcast")).lower() in ("1", "true")]
    assert len(loud) == 1 and "Piden ayuda" in loud[0]["text"]
    (conversation,) = await office.world.conversations()
    assert (conversation.speaker, conversation.urgent, conversation.flag_reason) == ("bot", True, "escalated")
    await office.press("take", thread, user="U0MARTA")
    await office.cards.show()
    assert "Atiende: Marta" in office.card()


async def test_who_resolves_moves_the_case_by_lawful_steps_and_the_customer_is_asked(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    await office.press("take", thread)
    await office.press("resolve", thread)
    (case,) = await office.world.cases()
    assert case.status == "cumplido"
    assert len(await outgoing(office.world, "closing")) == 1
    await office.press("resolve", thread)
    assert any("no puede darse por cumplido" in text for _, text in office.whispers())


async def test_a_busy_slack_delays_and_loses_nothing(office: Office, clock: Clock) -> None:
    here = await office.flagged()
    await office.press("take", await office.thread(here))
    for _ in range(2):
        await office.cards.show()
    for text in ("uno", "dos", "tres"):
        await office.world.write("chat", "ana", text)
    office.slack.fail(Failing.BUSY, times=1)
    await office.cards.show()
    await office.cards.show()
    assert not any("Ana Ruiz" in text for text in office.below())  # it asked for seven seconds
    clock.advance(timedelta(seconds=8))
    await office.cards.show()
    assert [text for text in office.below() if text.startswith("Ana Ruiz: ")] == [
        f"Ana Ruiz: {text}" for text in ("uno", "dos", "tres")
    ]


async def test_on_a_paused_account_no_card_is_shown_and_none_is_lost(office: Office) -> None:
    async with office.world.parts.database.transaction() as tx:
        await tx.pacing.pause("slack", "agent:x", "it is being moved")
    await office.flagged()
    assert office.said() == []
    async with office.world.parts.database.transaction() as tx:
        await tx.pacing.resume("slack")
    await office.cards.show()
    assert len(office.said()) == 1


async def test_several_workers_show_one_card(office: Office) -> None:
    await office.world.write("chat", "ana", HELP)
    await asyncio.gather(*(DeskCards(office.world.parts).show() for _ in range(4)))
    assert len([one for one in office.said() if not one.get("thread_ts")]) == 1


async def test_workers_together_write_no_faster_than_slack_bears(office: Office, clock: Clock) -> None:
    """Issue 4, item 6: one message a second and channel, over all workers; the stand-in refuses what comes faster."""
    everybody = ("ana", "luis", "eva", "rosa")

    async def work(cards: DeskCards, time: Together) -> None:
        while await cards.show():
            pass
        time.leave()

    async def all_shown() -> None:
        time = Together(clock, 2)
        await asyncio.gather(*(work(DeskCards(office.world.parts, sleep=time.sleep), time) for _ in range(2)))

    for who in everybody:
        await office.world.write("chat", who, HELP, name=who)
    await all_shown()
    for who in everybody:
        for number in range(3):
            await office.world.write("chat", who, f"sigo esperando {number}")
    await all_shown()
    below = [text for text in office.below() if "sigo esperando" in text]
    assert sorted(below) == sorted(f"{who}: sigo esperando {number}" for who in everybody for number in range(3))
    posts = [one.ts.partition(".")[0] for one in office.slack.posts.values() if one.room == DESK]
    assert office.slack.slowed == [] and max(Counter(posts).values()) == 1


async def test_a_file_below_the_card_reaches_the_customer(office: Office) -> None:
    thread = await office.thread(await office.flagged())
    office.slack.keep(Picture("guia.pdf", "application/pdf", b"%PDF-1.7 guia"), "F1")
    await office.say("La guía", thread, subtype="file_share", files=[{"id": "F1", "name": "guia.pdf", "size": 13}])
    await send_all(office.world)
    (sent,) = [one for one in office.world.sent("chat", "ana") if one.files]
    assert (sent.text, sent.files[0].name) == ("La guía", "guia.pdf")


async def test_a_customer_who_writes_in_slack_is_answered_in_the_thread(office: Office, clock: Clock) -> None:
    office.slack.person("U0EXT", "Rosa Gil", locale="es-CO", team="T0ELSE")
    body = office.events.mention(HELP, user="U0EXT", user_team="T0ELSE", ts="100.1")
    here = await office.keep(body)
    assert here is not None
    clock.advance(timedelta(seconds=4))
    await office.world.settle(here)
    said = [one for one in office.said() if one["channel"] != DESK]
    assert said and all(one["thread_ts"] == "100.1" for one in said)
    assert len(await messages(office.world, here)) == 1


async def test_in_a_shared_channel_the_talk_goes_on_without_our_name_and_others_talk_in_peace(office: Office) -> None:
    first = await office.keep(office.events.mention(HELP, user="U0ROSA", ts="100.1"))
    assert first is not None
    more = office.events.message("el pedido es 48213", user="U0ROSA", channel=SHARED, thread_ts="100.1")
    assert await office.keep(more) == first
    colleague = office.events.message("¿almorzamos?", user="U0LUIS", channel=SHARED, thread_ts="100.1")
    assert await office.keep(colleague) is None
    assert [one.text for one in await messages(office.world)] == [HELP, "el pedido es 48213"]


async def test_two_people_of_one_shared_channel_get_one_message_a_second_between_them(
    office: Office, clock: Clock
) -> None:
    """A0, A.4: Slack counts for a channel, whoever the message is for; a direct message waits for neither."""
    people = [("U0ROSA", SHARED, "100.1"), ("U0LUIS", SHARED, "200.1"), ("U0GIL", "D0GIL", None)]
    talks = []
    for who, place, ts in people:
        office.slack.person(who, who)
        said = office.events.mention if place == SHARED else office.events.message
        talk = await office.keep(said(HELP, user=who, channel=place, **({"ts": ts} if ts else {})))
        assert talk is not None
        for _ in range(9):  # the Ack, then the Answer
            clock.advance(timedelta(seconds=1))
            await office.world.settle(talk)
        talks.append(talk)
    before = len(office.said())
    for talk in talks:
        async with office.world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None
            contact = await tx.people.contact_by_id(conversation.contact_point_id)
            to = Address(contact.account, contact.address)
            await write(office.world.parts, tx, conversation, to, author="bot", kind="answer", text="Novedad.")
    await send_all(office.world)
    at_once = [one["channel"] for one in office.said()[before:]]
    assert len(at_once) == 2 and at_once.count(SHARED) == 1
    clock.advance(timedelta(seconds=1))
    await send_all(office.world)
    assert [one["channel"] for one in office.said()[before:]].count(SHARED) == 2
    assert office.slack.slowed == []


async def test_the_card_says_that_nothing_leaves_and_why_until_it_does(office: Office, clock: Clock) -> None:
    here = await office.flagged()
    async with office.world.parts.database.transaction() as tx:
        await tx.pacing.pause("chat", "admin", "Cambio de número")
    await office.cards.show()
    assert "Cuenta en pausa" in office.card() and "Cambio de número. Lo que escribas sale" in office.card()
    async with office.world.parts.database.transaction() as tx:
        await tx.pacing.resume("chat")
        await tx.faults.note("chat", "twilio 63018: the sender's messaging limit is reached", here)
    await office.cards.show()
    assert "Cuenta en pausa" not in office.card()
    assert "El proveedor no acepta mensajes" in office.card() and "twilio 63018" in office.card()
    async with office.world.parts.database.transaction() as tx:
        await tx.faults.mend("chat")
    await office.cards.show()
    assert "no acepta" not in office.card()


async def test_p5_twenty_calls_with_one_event_are_one_message_and_the_challenge_is_answered(office: Office) -> None:
    hooks, at = Hooks(office.world.parts, office.world.intake), str(int(office.world.parts.now().timestamp()))
    body = office.events.message("hola", user="U0ROSA", channel="D0ROSA")
    replies = await asyncio.gather(*(hooks.take("slack", signed(body, at=at)) for _ in range(20)))
    assert {one.status for one in replies} == {200} and len(await messages(office.world)) == 1
    challenge = {"type": "url_verification", "challenge": "c-1"}
    assert (await hooks.take("slack", signed(challenge, at=at))).body == b"c-1"
    with pytest.raises(Forged):
        await hooks.take("slack", signed(body, at="not-a-number"))


def test_the_three_languages_say_the_same() -> None:
    words = desk_words()
    names = words.names("es")
    assert names == words.names("en") == words.names("pt")
    for name in names:
        blanks = {blanks_of(words.line(name, language)) for language in ("es", "en", "pt")}
        assert len(blanks) == 1, name
