"""Who somebody is: what a forged sender, a second address or a join must not bring about."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlmodel import select

from channels.memory import Memory
from storage.tables import ContactPoint, Conversation, Person
from tests.bot.rows import contact, rows
from tests.conftest import Clock
from tests.world import CHAT, MAIL, Linked, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """With a Telegram that has a name."""
    channels: dict[str, Any] = {
        "chat": Memory("chat", features=CHAT, now=clock),
        "telegram": Linked("telegram", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


def _code(world: World, address: str) -> str | None:
    mails = [one.text for one in world.sent("email", address)]
    found = re.search(r"\b\d{6}\b", mails[-1]) if mails else None
    return found.group() if found else None


async def test_a_forged_sender_wins_nothing_by_proving_an_address_of_their_own(world: World) -> None:
    """E-mail's From is no proof: who forges it and has another address proved would get the victim's news."""
    await world.write("email", "ana@x.example", BROKEN, thread="<1@x>", authentic=False)
    ana = await contact(world, "email", "ana@x.example")
    await world.write(
        "email", "ana@x.example", "prefiero por correo: eva@evil.example", thread="<1@x>", authentic=False
    )
    code = _code(world, "eva@evil.example")
    await world.write("email", "ana@x.example", code or "123456", thread="<1@x>", authentic=False)
    theirs = [one for one in await rows(world, ContactPoint) if one.person_id == ana.person_id]
    assert [one.address for one in theirs] == ["ana@x.example"]


async def test_a_proved_sender_may_move_to_another_address(world: World) -> None:
    """The same wish from a sender that the mail server vouches for."""
    await world.write("email", "ana@x.example", BROKEN, thread="<1@x>", authentic=True)
    await world.write("email", "ana@x.example", "prefiero por correo: ana@y.example", thread="<1@x>", authentic=True)
    code = _code(world, "ana@y.example")
    assert code is not None
    await world.write("email", "ana@x.example", code, thread="<1@x>", authentic=True)
    assert (await contact(world, "email", "ana@y.example")).verified_by == "code"


async def test_who_answers_our_own_mail_reads_that_mailbox(world: World) -> None:
    """Where no server vouches for senders: the id of our mail is known only to whom it was sent."""
    await world.write("email", "ana@x.example", BROKEN, thread="<1@x>", authentic=False)
    await world.write("email", "ana@x.example", "prefiero por correo: ana@y.example", thread="<1@x>", authentic=False)
    async with world.parts.database.transaction() as tx:
        talk = (await tx.session.exec(select(Conversation))).one()
        ours = [one for _, one in await tx.outbox.thread_ids(talk.id)]
    code = _code(world, "ana@y.example")
    await world.write("email", "ana@x.example", code or "", replies_to=(ours[-1],), authentic=False)
    assert (await contact(world, "email", "ana@y.example")).verified_by == "code"


async def test_a_link_made_before_a_join_leads_to_the_person_who_is_left(world: World) -> None:
    """P8: the proof that is under way moves with the person whom it is for."""
    await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "prefiero por telegram")
    link = re.search(r"start=(\S+)", world.sent("chat", "ana")[-1].text)
    assert link is not None
    await world.write("chat", "ana2", "hola")
    first, second = await contact(world, "chat", "ana"), await contact(world, "chat", "ana2")
    async with world.parts.database.transaction() as tx:
        await tx.people.join(second.person_id, first.person_id)
    await world.write("telegram", "77", "/start", start=link.group(1))
    await world.write("telegram", "77", "Sí, fui yo", pressed="link:yes")
    assert (await contact(world, "telegram", "77")).person_id == second.person_id


async def test_here_means_the_address_that_they_write_from(world: World, clock: Clock) -> None:
    """Of two chats of one person, the one that they are in becomes the preferred one."""
    await world.write("chat", "old", "hola")
    clock.advance(timedelta(hours=1))
    talk = await world.write("chat", "new", BROKEN)
    old, new = await contact(world, "chat", "old"), await contact(world, "chat", "new")
    async with world.parts.database.transaction() as tx:
        await tx.people.join(new.person_id, old.person_id)
    await world.write("chat", "new", "prefiero que me escriban por aquí", pressed="channel:here")
    assert talk
    person = next(one for one in await rows(world, Person) if one.id == new.person_id)
    assert person.preferred_contact_id == new.id
