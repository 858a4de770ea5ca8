"""P14 A0-11: two robots that face each other, neither saying what it is; and people who only look like one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from bot.machines import fingerprint
from channels.channel import Channel
from channels.memory import Memory
from tests.bot.rows import messages, outgoing
from tests.channels.mail_standin import AtMail
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

ROBOT = "Gracias por escribir a Ventas. Su solicitud {n} fue recibida y le responderemos en 24 horas."
BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
SECOND = timedelta(seconds=1)


@pytest.fixture
async def at_mail(clock: Clock) -> AsyncIterator[AtMail]:
    standin = AtMail(now=clock)
    yield standin
    await standin.close()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, at_mail: AtMail) -> AsyncIterator[World]:
    """A chat, and a mailbox between a real IMAP and a real SMTP server."""
    channels: dict[str, Channel] = {
        "chat": Memory("chat", features=CHAT, now=clock),
        "email": at_mail.channel,
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


async def until_nobody_writes(
    world: World, clock: Clock, at_mail: AtMail, first: str, delay: timedelta, *, threaded: bool
) -> int:
    """The robot answers every mail of ours after `delay`, and only those. Gives how many we sent it."""
    heard = at_mail.channel.listen(None)
    number, answered, waiting = 0, 0, [(first, "")]
    while waiting and number < 30:
        number += 1
        text, reference = waiting.pop(0)
        head = f"From: Ventas <ventas@test.local>\r\nMessage-ID: <r{number}@test.local>\r\nSubject: Su mensaje\r\n"
        head += f"In-Reply-To: {reference}\r\nReferences: {reference}\r\n" if threaded and reference else ""
        at_mail.imap.mails.append(f"{head}\r\n{text.format(n=number)}\r\n".encode())
        async with asyncio.timeout(20):
            kept = await world.intake.keep("email", await anext(heard))
        assert kept is not None
        await world.settle(kept.conversation_id)
        if len(at_mail.smtp.taken) == answered:  # the Ack waits for a minute in case an Answer leaves
            clock.advance(61 * SECOND)
            await world.ticker.tick()
            await world.settle(kept.conversation_id)
        for raw in at_mail.smtp.taken[answered:]:
            clock.advance(delay)
            waiting.append((ROBOT, message_from_bytes(raw, policy=default)["Message-ID"]))
        answered = len(at_mail.smtp.taken)
    await heard.aclose()
    assert number < 30, "they would go on for ever"
    return answered


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("delay", [SECOND, timedelta(minutes=5)])
async def test_P14_two_auto_responders_face_each_other_and_one_mail_leaves(
    world: World, clock: Clock, at_mail: AtMail, delay: timedelta, threaded: bool
) -> None:
    """No Auto-Submitted, no list, no bounce; another number in each, and perhaps no thread."""
    sent = await until_nobody_writes(world, clock, at_mail, ROBOT, delay, threaded=threaded)
    assert sent <= 1
    assert len(await world.cases()) <= 1
    assert len(await messages(world)) == 2  # all of it is kept, and the last one waits for people
    flagged = [one for one in await world.conversations() if one.flag_reason == "repeats"]
    assert len(flagged) == 1


@pytest.mark.parametrize("delay", [SECOND, timedelta(minutes=5)])
async def test_P14_a_person_s_own_robot_gets_one_answer_and_the_person_their_receipt(
    world: World, clock: Clock, at_mail: AtMail, delay: timedelta
) -> None:
    await until_nobody_writes(world, clock, at_mail, BROKEN, delay, threaded=True)
    left = [one.kind for one in await outgoing(world) if one.sent_at is not None]
    assert left.count("receipt") == 1 and len(left) <= 2 and "ack" not in left
    assert len(await world.cases()) == 1


async def chat(world: World, clock: Clock, texts: Sequence[str], pause: timedelta) -> list[int]:
    """How many rows each of these brought about."""
    found = []
    for text in texts:
        before = len(world.sent("chat"))
        await world.write("chat", "ana", text)
        found.append(len(world.sent("chat")) - before)
        clock.advance(pause)
    return found


async def test_A0_11_who_says_the_same_again_and_again_is_left_to_people_until_they_say_something_else(
    world: World, clock: Clock
) -> None:
    again = "Nadie me ha resuelto el problema"
    answers = await chat(world, clock, [again] * 6, timedelta(minutes=1))
    assert all(answers[:3]) and answers[3:] == [0, 0, 0]
    [talk] = await world.conversations()
    assert talk.flag_reason is not None
    before = len(world.sent("chat"))
    await world.write("chat", "ana", "La licuadora del pedido 48213 llegó rota y quiero otra")
    assert len(world.sent("chat")) > before


async def test_A0_11_sentences_at_once_after_each_of_ours_are_no_person_s(world: World, clock: Clock) -> None:
    """A bot with words of its own: nothing repeats."""
    said = [
        "Hola, soy el asistente de Ventas, cuéntame",
        "No entendí tu mensaje, intenta otra vez",
        "Puedo ayudarte con facturas y pedidos",
        "Escribe menú para volver al comienzo",
        "Nuestro horario es de lunes a viernes",
        "Gracias por comunicarte con nosotros",
    ]
    answers = await chat(world, clock, said, SECOND)
    assert all(answers[:3]) and answers[4:] == [0, 0]


@pytest.mark.parametrize("pause", [SECOND, 20 * SECOND])
async def test_people_who_are_quick_or_short_are_never_taken_for_a_machine(
    world: World, clock: Clock, pause: timedelta
) -> None:
    """Short words may come at once and may repeat; whole sentences take their time."""
    words = ["hola", "sí", "sí", "sí", "gracias", "ok", "ok", "ok", "no sé", "no sé", "no sé"]
    await chat(world, clock, words, pause)
    await chat(world, clock, [f"Otra cosa que pasó: {one} llegó tarde" for one in ("el pan", "la sal", "el té")], pause)
    [talk] = await world.conversations()
    assert talk.flag_reason != "repeats"


async def test_a_person_who_sends_the_same_mail_on_another_day_is_answered(
    world: World, clock: Clock, at_mail: AtMail
) -> None:
    heard = at_mail.channel.listen(None)
    for day in range(2):
        head = f"From: Ana <ana@test.local>\r\nMessage-ID: <d{day}@test.local>\r\nSubject: Hola\r\n"
        at_mail.imap.mails.append(f"{head}\r\n{BROKEN}\r\n".encode())
        kept = await world.intake.keep("email", await anext(heard))
        assert kept is not None
        await world.settle(kept.conversation_id)
        clock.advance(timedelta(hours=25))
    await heard.aclose()
    assert len(at_mail.smtp.taken) == 2


async def test_A0_11_a_person_who_sends_the_same_mail_again_is_told_once_how_the_case_stands(
    world: World, clock: Clock, at_mail: AtMail
) -> None:
    """Not again for a third and a fourth: then people look. No second case is opened."""
    heard = at_mail.channel.listen(None)
    left = []
    for number in range(4):
        head = f"From: Ana <ana@test.local>\r\nMessage-ID: <again{number}@test.local>\r\nSubject: Hola\r\n"
        at_mail.imap.mails.append(f"{head}\r\n{BROKEN}\r\n".encode())
        kept = await world.intake.keep("email", await anext(heard))
        assert kept is not None
        await world.settle(kept.conversation_id)
        left.append(len(at_mail.smtp.taken))
        clock.advance(timedelta(hours=2))
        await world.ticker.tick()
        await world.settle(kept.conversation_id)
    await heard.aclose()
    assert left == [1, 2, 2, 2] and len(at_mail.smtp.taken) == 2
    [case] = await world.cases()
    pointer = message_from_bytes(at_mail.smtp.taken[1], policy=default)
    said = pointer.get_body(("plain",))
    assert said is not None and case.code in said.get_content() and "recibido" in said.get_content()
    talks = await world.conversations()
    assert [one.flag_reason for one in talks] == [None, None, "repeats", "repeats"]
    assert [one.case_id for one in talks[:2]] == [case.id] * 2


async def test_A0_11_the_same_mail_within_minutes_is_left_to_people(
    world: World, clock: Clock, at_mail: AtMail
) -> None:
    """So fast are auto-responders, and our answer has crossed it."""
    heard = at_mail.channel.listen(None)
    for number in range(2):
        head = f"From: Ana <ana@test.local>\r\nMessage-ID: <quick{number}@test.local>\r\nSubject: Hola\r\n"
        at_mail.imap.mails.append(f"{head}\r\n{BROKEN}\r\n".encode())
        kept = await world.intake.keep("email", await anext(heard))
        assert kept is not None
        await world.settle(kept.conversation_id)
        clock.advance(timedelta(minutes=14))
    await heard.aclose()
    assert len(at_mail.smtp.taken) == 1


def test_numbers_and_dates_make_no_other_text_of_whole_sentences_and_do_of_a_few_words() -> None:
    robot = "Su caso #{}, del {}, fue RECIBIDO por el área de servicio al cliente."
    assert fingerprint(robot.format(4521, "24/11 9:20")) == fingerprint(robot.format(7, "25/11 10:05").lower())
    assert fingerprint("mi pedido es el 48213") != fingerprint("mi pedido es el 48312")
    assert fingerprint("¡Mi pedido es el 48213!") == fingerprint("mi pedido es el 48213")
    assert fingerprint("¿Cómo va?") != fingerprint("¿Cuándo va?")
