"""A process of the running program, for tests that kill it: `python -m tests.flow.node web|worker URL PORT FILES`.

With `mother` alone it becomes the mother of nodes: each line [role, …] on its standard input forks one, which need not
import everything again. Its first line is its number, the node's own is its number and what it has to say.

`web` takes in one JSON line {key, sender, text} at a time and answers "ok" after the commit, as a webhook does.
"""

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import SystemRandom
from threading import Thread

from bot.catalogue import Catalogue
from bot.intake import Intake
from bot.keeper import Keep, Keeper
from bot.parts import Parts
from bot.policy import Policy
from bot.sending import Sending
from bot.ticker import Ticker
from bot.turn import Turns
from channels.channel import Address, Inbound
from nlu.language import detect
from nlu.understander import Settings, open_understander
from storage.database import Database
from storage.files import Files
from storage.ids import uuid7_source
from storage.wake import Pace, Worker
from tests.flow.wire import Wire, moment
from tests.world import NUBE


async def parts_at(url: str, port: int, files: Path, *, model: bool = False) -> Parts:
    """The parts of a node, with the one channel `wire`."""
    return Parts(
        database=Database(url, now=moment, ids=uuid7_source(moment, os.urandom)),
        channels={"wire": Wire("wire", port)},
        kinds={"wire": "telegram"},
        files=Files(files, limit_bytes=1_000_000),
        catalogue=Catalogue.load(),
        company=NUBE,
        policy=Policy(bot_answers_per_hour=1000, undo_seconds=0),
        understander=await open_understander(Settings(enabled=model)),
        now=moment,
        choose=secrets.randbelow,
        secret=b"a secret of the tests",
    )


def _tell(said: object) -> None:
    print(os.getpid(), said, flush=True)


async def web(parts: Parts) -> None:
    """Take in messages; prints the port."""
    intake = Intake(parts, lambda text, sticky: detect(text, sticky).language)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            inbound = Inbound(
                key=said["key"], sender=Address("wire", said["sender"]), text=said["text"], sent_at=moment()
            )
            try:
                await intake.keep("wire", inbound)
                writer.write(b"ok\n")
            except Exception as error:
                logging.getLogger("node").warning("not kept: %s", type(error).__name__)
                writer.write(b"no\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    _tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def worker(parts: Parts, url: str, *, quick: bool) -> None:
    """Answer and send; prints a line when it begins. `quick`: the dead are missed after seconds, for the kill test."""
    sending, ticker, pace = Sending(parts), Ticker(parts), Pace()
    if quick:
        second = timedelta(seconds=1)
        sending = Sending(parts, patience=3 * second, grace=second)
        ticker = Ticker(parts, sweep_every=second, forgotten_after=2 * second)
        pace = Pace(beat=1, stalled=5)
    handlers = Worker(
        url,
        {"turn": Turns(parts).run, "send": sending.run},
        lanes=["wire"],
        log=logging.getLogger("worker"),
        pace=pace,
    )
    keeper = Keeper(moment, SystemRandom(), asyncio.sleep, log=logging.getLogger("keeper"))
    _tell("ready")
    await keeper.run_all([Keep("worker", handlers.run), Keep("timers", ticker.run)])


async def main(role: str, url: str, port: str, files: str, *rest: str) -> None:
    """One node."""
    parts = await parts_at(url, int(port), Path(files), model="model" in rest)
    await (web(parts) if role == "web" else worker(parts, url, quick="quick" in rest))


def _end_with_the_test() -> None:
    """A test that is itself killed leaves no node behind."""
    sys.stdin.buffer.read()  # ends when whoever started us is gone
    os._exit(1)


def mother() -> None:
    """Fork nodes until standard input ends, and end them with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever was killed is gone at once
    children = []
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(main(*json.loads(line)))
            os._exit(0)
        children.append(child)
        print("forked", child, flush=True)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if sys.argv[1:] == ["mother"]:
        mother()
    else:
        Thread(target=_end_with_the_test, daemon=True).start()
        asyncio.run(main(*sys.argv[1:]))
