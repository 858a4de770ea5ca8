"""What arrives is kept once, in its order, with its cursor, and acknowledged when that is due."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from bot.policy import Policy
from channels.channel import Address, Blocked, Edited, Media
from storage.tables import Attachment, ContactPoint, Person
from tests.bot.rows import contact, messages, outgoing, rows
from tests.conftest import Clock
from tests.world import World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
OTHER = "El técnico del pedido 99120 nunca vino a instalar la nevera."


async def test_a_message_that_comes_twenty_times_at_once_is_one_message(world: World) -> None:
    """P5 R006: one message, one Ack, one Answer."""
    inbound = world.memory("chat").write("ana", BROKEN)
    kept = await asyncio.gather(*(world.intake.keep("chat", inbound) for _ in range(20)))
    assert sum(one is not None and one.message_id is not None for one in kept) == 1
    [talk] = await world.conversations()
    await world.settle(talk.id)
    assert len(await messages(world)) == 1
    assert [one.kind for one in await outgoing(world)] == ["ack", "receipt"]
    assert len(world.sent("chat")) == 2
    await world.keep(inbound)  # and once more when all is over
    assert len(world.sent("chat")) == 2


async def test_ten_first_messages_at_once_are_one_person_and_one_conversation(world: World) -> None:
    """P4: the race of a new sender."""
    arrivals = [world.memory("chat").write("ana", f"mensaje {number}") for number in range(10)]
    await asyncio.gather(*(world.intake.keep("chat", one) for one in arrivals))
    assert len(await rows(world, Person)) == len(await rows(world, ContactPoint)) == 1
    [talk] = await world.conversations()
    numbers = sorted([one.number for one in await messages(world)] + [one.number for one in await outgoing(world)])
    assert numbers == list(range(1, 12))
    assert [one.kind for one in await outgoing(world)] == ["ack"]
    assert talk.last_number == 11


async def test_messages_keep_the_order_in_which_they_came(world: World) -> None:
    """P16: the number under the conversation's lock is the order."""
    for number in range(5):
        await world.intake.keep("chat", world.memory("chat").write("ana", f"{number}"))
    assert [one.text for one in await messages(world)] == ["0", "1", "2", "3", "4"]


async def test_the_cursor_is_saved_with_the_message_or_not_at_all(world: World) -> None:
    """A listener that confirms by its cursor can lose nothing."""
    first, second = world.memory("chat").write("ana", "uno"), world.memory("chat").write("eva", "dos")
    await world.intake.keep("chat", first)
    await _run(world, "ALTER TABLE outgoing RENAME TO away")  # the Ack cannot be written
    with pytest.raises(Exception, match="outgoing"):
        await world.intake.keep("chat", second)
    async with world.parts.database.transaction() as tx:
        assert await tx.cursors.load("chat") == first.cursor
    assert [one.text for one in await messages(world)] == ["uno"]
    await _run(world, "ALTER TABLE away RENAME TO outgoing")
    await world.intake.keep("chat", second)
    async with world.parts.database.transaction() as tx:
        assert await tx.cursors.load("chat") == second.cursor
    assert sorted(one.text for one in await messages(world)) == ["dos", "uno"]


async def test_machine_mail_is_kept_and_never_answered(world: World, clock: Clock) -> None:
    """P14 A0-11: an absence note, a newsletter, a bounce."""
    talk = await world.write("email", "robot@x.example", "Estoy de vacaciones", machine="auto-submitted")
    clock.advance(timedelta(minutes=5))
    await world.ticker.tick()
    await world.settle(talk)
    [kept] = await messages(world)
    assert (kept.kind, kept.machine) == ("machine", "auto-submitted")
    assert kept.handled_at is not None
    assert await outgoing(world) == []
    assert await world.cases() == []


async def test_no_address_gets_more_than_so_many_answers_in_an_hour(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """P14 A0-11: each of their mails is a thread of its own, so neither Answers nor Acks may go on for ever."""
    told = ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "octubre", "noviembre")
    async with a_world(database_url, clock, tmp_path, policy=Policy(bot_answers_per_hour=5)) as world:
        for number, month in enumerate(told):
            clock.advance(timedelta(seconds=5))
            await world.write("email", "bot@x.example", f"La factura de {month} llegó mal", thread=f"t{number}")
        clock.advance(timedelta(seconds=61))
        await _tick(world)
        assert len(world.sent("email")) == 5
        assert len(await messages(world)) == 10


async def test_edits_are_kept_as_revisions_and_what_waits_is_answered_as_it_reads_now(
    world: World, clock: Clock
) -> None:
    """The first version is never lost; the same edit twice is one; an edit after the Answer changes no case."""
    memory = world.memory("chat")
    inbound = memory.write("ana", "Llegó rota la licuadora del pedido 11111, quiero otra", provider_id="m1")
    await world.intake.keep("chat", inbound)
    sender = Address("chat", "ana")
    edit = memory.put(
        Edited(key="e1", original="m1", sender=sender, text=inbound.text.replace("11111", "48213"), sent_at=clock())
    )
    for _ in range(2):
        await world.intake.keep("chat", edit)
    await world.intake.keep(
        "chat", Edited(key="e9", original="unknown", sender=sender, text="\x00\ud800", sent_at=clock())
    )
    [talk] = await world.conversations()
    await world.settle(talk.id)
    [case] = await world.cases()
    assert case.facts["order"] == ["48213"]
    late = memory.put(Edited(key="e2", original="m1", sender=sender, text="nada\x00\ud800", sent_at=clock()))
    before = len(world.sent("chat"))
    await world.intake.keep("chat", late)
    await world.settle(talk.id)
    [message] = await messages(world)
    assert [one["key"] for one in message.revisions] == ["e1", "e2"]
    assert message.revisions[0]["was"] == inbound.text
    assert message.text == "nada?"
    assert len(world.sent("chat")) == before


async def test_the_ack_comes_once_in_a_day(world: World, clock: Clock) -> None:
    """R001 R004: the first message after 24 h of silence, and no other."""
    await world.write("chat", "ana", BROKEN)
    clock.advance(timedelta(hours=23, minutes=59))
    await world.write("chat", "ana", "¿hay novedades?")
    clock.advance(timedelta(hours=23, minutes=59))
    await world.write("chat", "ana", "¿y ahora?")
    assert len(await outgoing(world, "ack")) == 1
    clock.advance(timedelta(hours=24, seconds=1))
    await world.write("chat", "ana", "¿hola?")
    assert len(await outgoing(world, "ack")) == 2


async def test_mail_that_waited_for_three_days_is_acknowledged_once(world: World, clock: Clock) -> None:
    """P10: after a long outage all of it arrives at once, with the sender's old dates."""
    old = clock() - timedelta(days=3)
    for hours in range(4):
        await world.write(
            "email", "ana@x.example", f"mensaje {hours}", thread="t", sent_at=old + timedelta(hours=hours)
        )
    assert len(await outgoing(world, "ack")) == 1


async def test_a_delayed_message_does_not_turn_the_clock_back(world: World, clock: Clock) -> None:
    """P16: shuffled webhooks; windows count from the newest word."""
    await world.write("chat", "ana", "hola", sent_at=clock())
    await world.write("chat", "ana", "antes", sent_at=clock() - timedelta(hours=2))
    [talk] = await world.conversations()
    assert talk.last_in_at == clock()


async def test_a_date_from_the_future_is_not_believed(world: World, clock: Clock) -> None:
    """A mail's Date is its sender's claim: one from next year must not silence every Ack until then."""
    await world.write("email", "ana@x.example", "hola", thread="t", sent_at=clock() + timedelta(days=365))
    [talk] = await world.conversations()
    assert talk.last_in_at is not None
    assert talk.last_in_at <= clock()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, my blender arrived broken, order 48213", "virtual assistant (AI)"),
        ("Olá, meu liquidificador chegou quebrado", "assistente virtual (IA)"),
        ("Hola, mi licuadora llegó rota", "asistente virtual (IA)"),
    ],
)
async def test_the_ack_speaks_the_persons_language(world: World, clock: Clock, text: str, words: str) -> None:
    """R003 P23: of the message, and later of the person, also when the message says nothing of a language."""
    await world.write("chat", "ana", text)
    assert words in world.sent("chat")[0].text
    clock.advance(timedelta(days=2))
    await world.write("chat", "ana", "48213")
    acks = await outgoing(world, "ack")
    assert words in acks[-1].text
    assert len(acks) == 2


async def test_a_late_ack_leaves_only_when_no_answer_did(world: World, clock: Clock) -> None:
    """E-mail: within 60 s the Answer makes the Ack needless."""
    talk = await world.write("email", "ana@x.example", BROKEN)
    clock.advance(timedelta(seconds=61))
    await _tick(world)
    assert [one.state for one in await outgoing(world)] == ["withdrawn", "sent"]

    slow = world.memory("email").write("eva@x.example", BROKEN)
    await world.intake.keep("email", slow)
    clock.advance(timedelta(seconds=59))
    await _tick(world)
    assert world.sent("email", "eva@x.example") == []
    clock.advance(timedelta(seconds=2))
    await _tick(world)
    [ack] = world.sent("email", "eva@x.example")
    assert "quedó guardado" in ack.text
    assert talk in [one.id for one in await world.conversations()]


@pytest.mark.parametrize(
    "text",
    ["\x00 cero", "medio \ud83d par", "x" * 1_000_000, "\u202eal revés\u202c مرحبا", "😀" * 300, "\x1b[31m", "'; --"],
    ids=["nul", "surrogate", "1 MB", "rtl", "emoji", "escape", "sql"],
)
async def test_hostile_text_is_kept_and_answered(world: World, text: str) -> None:
    """P11: nothing that somebody writes blocks those behind it."""
    fields: dict[str, Any] = {"name": text[:300], "subject": text[:300], "extra": {"html": text, text[:20]: [text[:5]]}}
    await world.write("email", "ana@x.example", text, key=f"k{text[:20]}", thread=f"t{text[:20]}", **fields)
    [message] = await messages(world)
    assert message.text == text.replace("\x00", "").replace("\ud83d", "?")
    assert message.handled_at is not None
    [person] = await rows(world, Person)
    assert person.name
    assert len(world.sent("email")) == 1


async def test_files_are_kept_and_those_that_are_not_are_noted(world: World) -> None:
    """A0-8 P24: a photo stays, a program and a giant are named with the reason, and the message is kept anyhow."""
    photo = Media(name="../../foto.png", content=b"\x89PNG\r\n\x1a\n" + b"0" * 100, declared_type="text/html")
    program = Media(name="factura.pdf", content=b"MZ" + b"\0" * 100)
    giant = Media(name="video.mp4", content=b"0" * 1_000_001)
    await world.write("chat", "ana", BROKEN, media=(photo, program, giant))
    found = {one.name: one for one in await rows(world, Attachment)}
    assert {name: one.state for name, one in found.items()} == {
        "foto.png": "stored",
        "factura.pdf": "refused",
        "video.mp4": "refused",
    }
    assert found["foto.png"].type == "image/png"
    assert world.parts.files.path(found["foto.png"].sha256 or "").is_file()
    assert "programs are not taken" in (found["factura.pdf"].reason or "")
    assert "1 MB" in (found["video.mp4"].reason or "")
    answer = world.sent("chat")[-1].text
    assert "No puedo recibir ese tipo de archivo" in answer
    assert "pesa más de" in answer


async def test_a_file_that_was_not_kept_is_not_said_to_be_kept(world: World) -> None:
    """A0-8: nothing came but a program."""
    await world.write("chat", "ana", "", media=(Media(name="x.exe", content=b"MZ" + b"\0" * 100),))
    answer = world.sent("chat")[-1].text
    assert "No puedo recibir ese tipo de archivo" in answer
    assert "lo guardé" not in answer


async def test_only_a_file_is_answered_too(world: World) -> None:
    """P24: a photo or a voice note without a word is acknowledged and answered."""
    await world.write("chat", "ana", "", media=(Media(name="nota.ogg", content=b"OggS" + b"\0" * 60),))
    assert len(world.sent("chat")) == 2


async def test_who_blocked_us_is_marked_and_lets_us_in_by_writing(world: World, clock: Clock) -> None:
    """Telegram's 403 and my_chat_member."""
    await world.write("telegram", "1", "hola")
    gone = world.memory("telegram").put(Blocked(address=Address("telegram", "1"), blocked=True, at=clock()))
    await world.intake.keep("telegram", gone)
    assert (await contact(world, "telegram", "1")).blocked_at == clock()
    await world.intake.keep("telegram", Blocked(address=Address("telegram", "nobody"), blocked=True, at=clock()))
    await world.write("telegram", "1", "hola otra vez")
    assert (await contact(world, "telegram", "1")).blocked_at is None


class TestMailThreads:
    """P13: a thread goes on where it was, and nobody gets into somebody else's."""

    async def _begin(self, world: World) -> tuple[Any, str]:
        talk = await world.write("email", "ana@x.example", BROKEN, thread="<1@x>", key="1", authentic=True)
        [case] = await world.cases()
        return talk, case.code

    async def test_by_references_to_ours_and_to_theirs(self, world: World) -> None:
        talk, _ = await self._begin(world)
        [answer] = [one for one in await outgoing(world) if one.provider_id]
        ours = await world.write("email", "ana@x.example", "¿y?", thread="<2@x>", replies_to=(answer.provider_id,))
        theirs = await world.write("email", "ana@x.example", "¿y?", thread="<3@x>", replies_to=("1",))
        assert {ours, theirs} == {talk}
        assert len(await world.cases()) == 1

    async def test_by_the_code_for_the_cases_own_person_only(self, world: World) -> None:
        talk, code = await self._begin(world)
        own = await world.write("email", "ana@x.example", "¿y?", thread="<2@x>", tokens=(code,))
        assert own == talk
        other = await world.write("email", "eva@x.example", "¿y mi caso?", thread="<3@x>", tokens=(code,))
        assert other != talk
        mine, strange = sorted(await world.conversations(), key=lambda one: one.id != talk)
        assert strange.case_id != mine.case_id
        assert all(code not in one.text for one in world.sent("email", "eva@x.example"))

    async def test_first_our_reply_address_then_references_then_the_subject(self, world: World, clock: Clock) -> None:
        """A.5: the first that hits wins, whatever the subject still bears of an older case."""
        first, code = await self._begin(world)
        clock.advance(timedelta(minutes=1))
        second = await world.write("email", "ana@x.example", OTHER, thread="<9@x>", key="9", authentic=True)
        assert second != first
        both: dict[str, Any] = {"replies_to": ("9",), "tokens": (code,)}
        assert await world.write("email", "ana@x.example", "¿y?", thread="<2@x>", **both) == second
        assert await world.write("email", "ana@x.example", "¿y?", thread="<3@x>", **both, signed=(code,)) == first
        eva = await world.write("email", "eva@x.example", OTHER, thread="<4@x>", key="4", authentic=True)
        assert eva not in (first, second)
        forwarded: dict[str, Any] = {"replies_to": ("4",), "tokens": (code,)}
        assert await world.write("email", "ana@x.example", "mira esto", thread="<5@x>", **forwarded) == first

    async def test_references_of_another_persons_thread_open_nothing(self, world: World) -> None:
        talk, code = await self._begin(world)
        other = await world.write("email", "eva@x.example", "¿y mi caso?", thread="<3@x>", replies_to=("1",))
        assert other != talk
        assert all(code not in one.text for one in world.sent("email", "eva@x.example"))

    async def test_a_new_mail_without_a_reference_is_a_new_thread(self, world: World) -> None:
        talk, _ = await self._begin(world)
        assert await world.write("email", "ana@x.example", "Otra cosa", thread="<9@x>") != talk


async def _run(world: World, statement: str) -> None:
    async with world.parts.database.transaction() as tx:
        await (await tx.session.connection()).execute(sql(statement))


async def _tick(world: World) -> None:
    await world.ticker.tick()
    for one in await world.conversations():
        await world.sending.run(one.id)
