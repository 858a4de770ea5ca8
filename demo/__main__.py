"""`make demo`: Acuse with simulated providers, a fortnight of traffic, and a page to play on."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from demo.city import City
from demo.house import Acuse, Place, configuration, database, write
from demo.page.app import Page, Surroundings
from demo.seed import LOGIN, PASSWORD, seed
from demo.serving import listen, serving
from demo.watch import Watch
from installation import HERE, Remedy, now
from storage.embedded import DatabaseFault

terminal = Console(highlight=False, soft_wrap=True)
FAULT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it until Ctrl-C; the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"  # nothing of it leaves this computer
    wanted = _arguments(arguments)
    place = Place(wanted.data.absolute())
    try:
        _run(wanted, place)
    except (Remedy, DatabaseFault) as fault:
        terminal.print(str(fault), markup=False)
        return FAULT
    except KeyboardInterrupt:
        pass
    finally:
        place.leave(keep=wanted.keep)
    terminal.print("Stopped. Nothing of the demo is left." if not wanted.keep else f"Stopped. Kept: {place.folder}")
    return 0


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="acuse demo", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("DEMO_PORT", "8090")), help="of the page")
    parser.add_argument("--acuse-port", type=int, default=int(os.environ.get("PORT", "8080")), help="of Acuse itself")
    parser.add_argument("--data", type=Path, default=HERE / "data-demo", help="a folder that is emptied and removed")
    parser.add_argument("--keep", action="store_true", help="leave the folder for looking at it")
    parser.add_argument("--no-seed", action="store_true", help="without the fortnight of traffic")
    return parser.parse_args(given)


def _run(wanted: argparse.Namespace, place: Place) -> None:
    taken = _port(wanted.port, "DEMO_PORT")
    _port(wanted.acuse_port, "PORT").close()
    place.take()
    terminal.print("[bold]Acuse, demo.[/bold] Everything is simulated; nothing leaves this computer.")
    terminal.print("  Starting a database of its own ...")
    with database(place) as url, asyncio.Runner() as runner:
        runner.run(_serve(wanted, place, url, taken))


async def _serve(wanted: argparse.Namespace, place: Place, database_url: str, taken: socket.socket) -> None:
    stopping = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(one, stopping.set)
    acuse_url, page_url = f"http://127.0.0.1:{wanted.acuse_port}", f"http://127.0.0.1:{wanted.port}"
    async with contextlib.AsyncExitStack() as stack:
        city = await stack.enter_async_context(City.open(now=now, acuse=acuse_url))
        settings = configuration(city.accounts, url=acuse_url, port=wanted.acuse_port, page=page_url)
        write(place, settings)
        work = asyncio.create_task(_prepare(wanted, place, database_url, city, stack, acuse_url))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            return
        acuse = work.result()
        watch = Watch(database_url, city.diary, {name: name for name in city.accounts}, now())
        watching = asyncio.create_task(watch.run())
        page = Page(
            city.devices,
            city.diary,
            Surroundings(acuse=acuse_url, login=LOGIN, password=PASSWORD, timezone=settings["company"]["timezone"]),
        )
        await stack.enter_async_context(serving(page.app, taken))
        _greet(page_url, acuse_url, acuse.log)
        ended = asyncio.create_task(acuse.ended())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        acuse.interrupt()  # everything else ends meanwhile
        watching.cancel()
        if not stopping.is_set():
            raise Remedy("Acuse ended by itself:\n" + acuse.last_words())
        ended.cancel()


async def _prepare(
    wanted: argparse.Namespace,
    place: Place,
    database_url: str,
    city: City,
    stack: contextlib.AsyncExitStack,
    acuse_url: str,
) -> Acuse:
    began = time.monotonic()
    if not wanted.no_seed:
        terminal.print("  Two weeks of a company's traffic ...")
    told = await seed(place, database_url, city, everything=not wanted.no_seed)
    terminal.print(f"    {told} in {time.monotonic() - began:.0f} s")
    terminal.print("  Starting Acuse ...")
    acuse = Acuse(place, acuse_url)
    stack.push_async_callback(acuse.stop)
    await acuse.start()
    return acuse


def _port(number: int, variable: str) -> socket.socket:
    try:
        return listen(number)
    except OSError as error:
        raise Remedy(
            f"Port {number} cannot be used ({error.strerror}): choose another with {variable}={number + 100} make demo."
        ) from error


def _greet(page: str, acuse: str, log: Path) -> None:
    terminal.print("\n[bold]Acuse, demo[/bold], serves.")
    terminal.print(f"  Customers' phones  [bold]{page}/[/bold]")
    terminal.print(f"  Console            {acuse}/desk")
    terminal.print(f"                     user [bold]{LOGIN}[/bold], password [bold]{PASSWORD}[/bold]")
    terminal.print(f"  What Acuse says    {log}")
    terminal.print("  Stop it with Ctrl-C; everything is removed then.\n")


if __name__ == "__main__":
    sys.exit(main())
