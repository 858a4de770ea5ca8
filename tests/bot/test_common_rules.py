"""Rules of every channel: one key is one message (A0-2), the provider's order (P16), nobody in a log (A0-12)."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bot.chat import Chat
from bot.policy import Policy
from channels.channel import Unavailable, Undeliverable
from channels.webchat import WebChat
from nlu.understander import Settings, open_understander
from nlu.understanding import Hint, Understander, Understanding
from tests.bot.rows import messages
from tests.conftest import Clock
from tests.world import World, a_world

WORDS = "La licuadora Tornado llegó partida, mi cédula es 52987123 y vivo en la calle Miraflores"
WHO = {"chat": "573005550199", "telegram": "88112233", "email": "josefina@correo.example"}
THEIRS = ("Tornado", "52987123", "Miraflores", "Josefina", "Arbeláez", "josefina", *WHO.values())


class Heard:
    """The rules, and what they were given to read."""

    def __init__(self, rules: Understander) -> None:
        self._rules = rules
        self.texts: list[str] = []

    async def understand(self, text: str, hint: Hint) -> Understanding:
        """Keep it and read it."""
        self.texts.append(text)
        return await self._rules.understand(text, hint)

    @property
    def space(self) -> str | None:
        """The rules'."""
        return self._rules.space

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Vectors, as the rules have them."""
        return await self._rules.embed(texts)


@pytest.mark.parametrize("account", WHO)
async def test_A0_2_the_key_of_its_provider_makes_a_message_one_on_every_channel(world: World, account: str) -> None:
    """However often and however parallel it is handed over, also after its answer; another key is another message."""
    first = world.memory(account).write(WHO[account], WORDS, key="k-1", thread="t")
    await asyncio.gather(*(world.intake.keep(account, first) for _ in range(20)))
    [talk] = await world.conversations()
    await world.settle(talk.id)
    answered = len(world.sent(account))
    await asyncio.gather(*(world.intake.keep(account, first) for _ in range(20)))
    await world.settle(talk.id)
    assert len(await messages(world)) == 1 and len(world.sent(account)) == answered > 0
    await world.write(account, WHO[account], WORDS + ".", key="k-2", thread="t")
    assert len(await messages(world)) == 2


async def test_A0_2_two_accounts_may_give_the_same_key(world: World) -> None:
    """Telegram counts from one for each bot."""
    for account in ("chat", "telegram"):
        await world.write(account, WHO[account], WORDS, key="1")
    assert len(await messages(world)) == 2


async def test_P16_late_and_shuffled_webhooks_are_read_in_the_order_of_the_provider(world: World, clock: Clock) -> None:
    """What was written before our answer and comes after it stands before it; near it, arrival decides."""
    nine = clock()
    clock.advance(timedelta(minutes=5))
    for minute in (3, 1, 2, 0):
        await world.write("chat", "ana", f"minuto {minute}", sent_at=nine + timedelta(minutes=minute))
    clock.advance(timedelta(minutes=5))
    me = await world.agent()
    [talk] = await world.conversations()
    await world.desk(me).take(talk.id)
    await world.desk(me).reply(talk.id, "Ya lo reviso.", key="1")
    await world.settle(talk.id)
    await world.write("chat", "ana", "minuto 4", sent_at=nine + timedelta(minutes=4))
    await world.write(
        "chat", "ana", "gracias", sent_at=clock() - timedelta(seconds=1)
    )  # whole seconds, as Telegram has
    room = await world.rooms(me).room(talk.id)
    assert room is not None
    said = [one.text for one in room.entries if one.author in ("person", "agent") and one.text]
    assert said == [*(f"minuto {minute}" for minute in range(5)), "Ya lo reviso.", "gracias"]


async def test_P16_the_words_of_one_burst_are_understood_in_the_order_of_the_provider(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """The third came first; a mail's moment is its sender's word, and there arrival decides."""
    policy = Policy(burst_seconds=dict.fromkeys(WHO, 3))
    said = ["Compré una licuadora", "llegó rota", "quiero otra"]
    heard = Heard(await open_understander(Settings(enabled=False)))
    async with a_world(database_url, clock, tmp_path, policy=policy, understander=heard) as world:
        for account in WHO:
            for number in (2, 0, 1):
                written = clock() - timedelta(seconds=9 - 3 * number)
                talk = await world.write(account, WHO[account], said[number], sent_at=written, thread="t")
            clock.advance(timedelta(seconds=4))
            await world.settle(talk)
    assert heard.texts[:2] == ["\n".join(said)] * 2
    assert heard.texts[2:] == ["\n".join([said[2], said[0], said[1]])]


async def test_P16_the_chat_page_shows_what_agents_see(world: World, clock: Clock) -> None:
    """A photo that took long to keep was written before the words that overtook it."""
    page, chat = Chat(world.parts, world.intake, "webchat", "s" * 20), world.parts.channels["webchat"]
    assert isinstance(chat, WebChat)
    nine = clock()
    clock.advance(timedelta(minutes=5))
    for minute in (1, 0):
        moment = nine + timedelta(minutes=minute)
        await world.keep(chat.inbound("s" * 20, f"client-{minute}", f"minuto {minute}", sent_at=moment))
    [talk] = await world.conversations()
    room = await world.rooms(await world.agent()).room(talk.id)
    assert room is not None
    seen = [one.text for one in await page.history() if one.who == "me"]
    assert seen == [one.text for one in room.entries if one.author == "person"] == ["minuto 0", "minuto 1"]


async def test_A0_12_no_word_name_or_address_of_a_customer_is_logged(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Through a report, an outage, a refusal that quotes them, a machine's mail and an agent's answer."""
    caplog.set_level(logging.INFO)
    for account, address in WHO.items():
        memory = world.memory(account)
        memory.fail(Unavailable("503"))
        talk = await world.write(account, address, WORDS, name="Josefina Arbeláez", thread="t")
        clock.advance(timedelta(minutes=5))
        await world.settle(talk)
        me = await world.agent(login=f"pedro-{account}")
        await world.desk(me).take(talk)
        memory.fail(Undeliverable(f"550 no such user: {address}"), times=2)
        await world.desk(me).reply(talk, "Señora Josefina, su licuadora Tornado va en camino.", key="1")
        await world.settle(talk)
        await world.write(account, address, WORDS, machine="Auto-Submitted", thread="t")
    await world.ticker.tick()
    said = "\n".join(f"{one.getMessage()} {one.exc_text or ''}" for one in caplog.records)
    assert caplog.records and [one for one in THEIRS if one in said] == [], said
