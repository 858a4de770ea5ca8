"""Files that the provider still holds: fetched after the message is safe, again when it is away, never for ever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bot.media import TRIES, MediaFetcher
from bot.policy import Policy
from bot.unkept import Unkept, unkept
from channels.channel import Media, Unavailable
from channels.memory import Memory
from storage.tables import Attachment
from tests.bot.rows import rows
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

PHOTO = b"\x89PNG\r\n\x1a\n" + b"0" * 100_000


class Away(Memory):
    """Fails as it is told before it gives the file."""

    trouble: Exception | None = None
    asked = 0
    discarded = 0

    async def discard(self, media: Media) -> None:
        """Count."""
        self.discarded += 1

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """The file, or the trouble."""
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        async for piece in super().fetch(media):
            yield piece


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """Its chat holds files."""
    async with a_world(
        database_url, clock, tmp_path, channels={"chat": Away("chat", features=CHAT, now=clock)}
    ) as made:
        yield made


def _chat(world: World) -> Away:
    channel = world.parts.channels["chat"]
    assert isinstance(channel, Away)
    return channel


async def _photo(world: World, content: bytes | None = PHOTO) -> MediaFetcher:
    if content is not None:
        _chat(world).files["f1"] = content
    await world.write("chat", "ana", "así llegó", media=(Media(name="foto.png", ref="f1"),))
    [waiting] = await rows(world, Attachment)
    assert waiting.state == "waiting"
    return MediaFetcher(world.parts)


async def test_a_file_is_fetched_and_typed_by_its_content(world: World) -> None:
    """A0-8: the bytes decide what it is; a second look finds nothing to do."""
    fetcher = await _photo(world)
    assert await fetcher.fetch_some() == 1
    [stored] = await rows(world, Attachment)
    assert (stored.state, stored.type, stored.size) == ("stored", "image/png", len(PHOTO))
    assert world.parts.files.path(stored.sha256 or "").read_bytes() == PHOTO
    assert await fetcher.fetch_some() == 0


@pytest.mark.parametrize(("content", "why"), [(b"MZ\0\0", "programs"), (b"0" * 1_000_001, "1 MB"), (None, "no such")])
async def test_what_is_not_taken_is_named_and_people_see_it(world: World, content: bytes | None, why: str) -> None:
    """A0-8: refused by kind or size, or gone at the provider."""
    fetcher = await _photo(world, content)
    assert await fetcher.fetch_some() == 1
    [row] = await rows(world, Attachment)
    assert row.state == "refused"
    assert why in (row.reason or "")
    [talk] = await world.conversations()
    assert talk.flag_reason == "file"


@pytest.mark.parametrize("trouble", [Unavailable("busy"), KeyError("what nobody foresaw")])
async def test_a_provider_that_is_away_is_asked_again_in_growing_pauses(
    world: World, clock: Clock, trouble: Exception
) -> None:
    """P24: a minute's outage loses no photo, and one bad file stops no other."""
    chat = _chat(world)
    fetcher = await _photo(world)
    chat.trouble = trouble
    for _ in range(5):
        assert await fetcher.fetch_some() == 0
    assert chat.asked == 1
    clock.advance(timedelta(seconds=5))
    await fetcher.fetch_some()
    await fetcher.fetch_some()
    assert chat.asked == 2
    chat.trouble = None
    clock.advance(timedelta(seconds=60))
    assert await fetcher.fetch_some() == 1


async def test_after_the_last_try_it_is_given_up_and_people_see_it(world: World, clock: Clock) -> None:
    """Not for ever, and not in silence."""
    chat = _chat(world)
    fetcher = await _photo(world)
    chat.trouble = Unavailable("busy")
    for _ in range(20):
        await fetcher.fetch_some()
        clock.advance(timedelta(minutes=10))
    assert chat.asked == TRIES
    [row] = await rows(world, Attachment)
    assert (row.state, row.attempts) == ("failed", TRIES)
    [talk] = await world.conversations()
    assert talk.flag_reason == "file"


async def test_two_workers_fetch_one_file_and_it_is_there_once(world: World) -> None:
    """Twice would be harmless: it is stored under its hash."""
    await _photo(world)
    settled = await asyncio.gather(*(MediaFetcher(world.parts).fetch_some() for _ in range(4)))
    assert sum(settled) >= 1
    [row] = await rows(world, Attachment)
    assert row.state == "stored"


async def test_A0_8_what_is_too_large_by_its_sender_s_own_word_is_asked_for_smaller_and_not_fetched(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """A.3: Telegram hands out 20 MB at the most; the person is told at once, in the Answer."""
    chat = Away("chat", features=replace(CHAT, file_limit=20_000_000), now=clock)
    async with a_world(database_url, clock, tmp_path, channels={"chat": chat}) as world:
        film = Media(name="licuadora.mp4", size=20_000_001, ref="film")
        await world.write("chat", "ana", "Así llegó la licuadora rota", media=(film,))
        assert await MediaFetcher(world.parts).fetch_some() == 0 and chat.asked == 0
        [file] = await rows(world, Attachment)
        assert (file.state, file.reason, file.size) == ("refused", "larger than 20 MB", 20_000_001)
        assert "pesa más de 20 MB" in " ".join(one.text for one in world.sent("chat"))
        assert [one.flag_reason for one in await world.conversations()] == [None]


@pytest.mark.parametrize(
    ("policy", "provider", "told"),
    [(50, 20_000_000, "20 MB"), (5, 20_000_000, "5 MB"), (5, None, "5 MB"), (50, 2_500_000, "2.5 MB")],
)
async def test_A0_8_the_limit_that_is_told_is_the_one_that_held(
    database_url: str, clock: Clock, tmp_path: Path, policy: float, provider: int | None, told: str
) -> None:
    """ "Larger than 50 MB", somebody heard of 30 MB that Telegram does not hand out."""
    chat = Away("chat", features=replace(CHAT, file_limit=provider), now=clock)
    limits = Policy(attachment_limit_mb=policy)
    async with a_world(database_url, clock, tmp_path, channels={"chat": chat}, policy=limits) as world:
        films = [Media(name=f"licuadora{one}.mp4", size=60_000_000, ref=f"film{one}") for one in (1, 2)]
        await world.write("chat", "ana", "Así llegó la licuadora rota", media=tuple(films))
        assert " ".join(one.text for one in world.sent("chat")).count(f"pesa más de {told} ") == 1


@pytest.mark.parametrize(
    ("reason", "line", "limit"),
    [
        ("telegram: a file larger than 20 MB", "file_too_large", "20 MB"),  # found out while it was fetched
        ("larger than 21 MB", "file_too_large", "20 MB"),  # our own limit, counted in other units
        ("a program", "file_refused", ""),
        (None, "file_refused", ""),
    ],
)
def test_A0_8_why_a_file_was_not_kept_is_read_from_its_reason(reason: str | None, line: str, limit: str) -> None:
    assert unkept(Policy(), reason) == Unkept(line, limit)


async def test_what_is_stored_is_not_left_at_the_provider_and_what_is_not_stays(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    chat = Away("chat", features=CHAT, now=clock)
    chat.files["photo"] = PHOTO
    async with a_world(database_url, clock, tmp_path, channels={"chat": chat}) as world:
        await world.write("chat", "ana", "Así llegó", media=(Media(name="foto.png", ref="photo"),))
        chat.trouble = Unavailable("away")
        assert await MediaFetcher(world.parts).fetch_some() == 0 and chat.discarded == 0
        chat.trouble = None
        clock.advance(timedelta(minutes=10))
        assert await MediaFetcher(world.parts).fetch_some() == 1 and chat.discarded == 1
