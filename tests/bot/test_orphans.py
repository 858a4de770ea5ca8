"""Files that nobody speaks of: swept once a day, and nothing else is."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bot.orphans import Orphans
from channels.channel import Media
from storage.tables import Attachment, Message
from tests.bot.rows import rows
from tests.conftest import Clock
from tests.world import World

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def _came_at(world: World, sha256: str, before: timedelta) -> Path:
    """That file, as if it had come so long ago."""
    path = world.parts.files.path(sha256)
    moment = (world.clock() - before).timestamp()
    os.utime(path, (moment, moment))
    return path


async def test_only_old_files_that_no_row_speaks_of_are_swept(world: World) -> None:
    """Contract 6: a photo and a mail as it came are spoken of; a file of 23 hours may be soon."""
    mail = replace(world.memory("email").write("ana@x.example", "Llegó rota."), raw=b"From: ana@x.example\n\nrota")
    await world.keep(replace(mail, media=(Media(name="foto.png", content=PNG),)))
    [photo], [message] = await rows(world, Attachment), [one for one in await rows(world, Message) if one.raw_sha256]
    assert photo.sha256 is not None and message.raw_sha256 is not None
    orphan, young = [await world.parts.files.put(content) for content in (b"orphan", b"young")]
    days = timedelta(days=9)
    kept = [_came_at(world, sha256, days) for sha256 in (photo.sha256, message.raw_sha256)]
    kept.append(_came_at(world, young.sha256, timedelta(hours=23)))
    gone = _came_at(world, orphan.sha256, timedelta(hours=25))
    assert await Orphans(world.parts).look() == 1
    assert (not gone.exists(), [path.exists() for path in kept]) == (True, [True] * 3)


async def test_one_of_many_workers_sweeps_once_a_day(world: World, clock: Clock) -> None:
    """However often they are started again: to look at every file costs something."""
    swept: list[int] = []
    for hours in (0, 1, 22, 1):
        clock.advance(timedelta(hours=hours))
        orphan = await world.parts.files.put(b"orphan %d" % len(swept))
        _came_at(world, orphan.sha256, timedelta(days=2))
        swept.append(await Orphans(world.parts).look())
    assert swept == [1, 0, 0, 3]
