"""Measure: `make bench` prints JSON lines {name, value, unit, cores}. Nothing here is asserted anywhere.

A message goes its whole way: a web process takes it in, a worker answers, a provider on the loopback gets the words.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from statistics import quantiles
from time import monotonic, sleep

import psycopg

from storage.embedded import Embedded
from storage.migrate import upgrade
from tests.flow.load import ROOT, Client, Node, start
from tests.flow.wire import Ledger, provider

REPORT = "Llegó rota la licuadora del pedido 48213, quiero que me la cambien"
# whoever says the same words again and again is taken for a machine
THINGS = (
    "licuadora", "cafetera", "nevera", "plancha", "estufa", "lavadora", "tostadora", "batidora", "radio", "lámpara",
    "silla", "mesa", "cama", "puerta", "ventana", "bicicleta", "cámara", "impresora", "pantalla", "maleta",
)  # fmt: skip
TICKS = os.sysconf("SC_CLK_TCK")


def tell(name: str, value: float, unit: str) -> None:
    """One line of the result."""
    line = {"name": name, "value": round(value, 2), "unit": unit, "cores": len(os.sched_getaffinity(0))}
    print(json.dumps(line), flush=True)


async def latency(url: str, files: Path, seconds: int) -> None:
    """Ten messages a second, each of a new person: how long until the Ack, and until the Answer."""
    async with provider() as ledger:
        web, worker = await _nodes(url, ledger, files)
        client = Client(int(web.said))
        for number in range(5):
            await client.post(f"warm-{number}", f"warm-{number}", REPORT)
        await _until(ledger, 10)
        began: dict[str, float] = {}

        async def post(number: int) -> None:
            began[f"p{number}"] = await client.post(f"l{number}", f"p{number}", REPORT)

        tasks = []
        first = monotonic()
        for number in range(seconds * 10):
            await asyncio.sleep(max(0.0, first + number / 10 - monotonic()))
            tasks.append(asyncio.create_task(post(number)))
        await asyncio.gather(*tasks)
        await _until(ledger, 10 + 2 * len(tasks))
        acks = [(ledger.to(person)[0].at - at) * 1000 for person, at in began.items()]
        answers = [(ledger.to(person)[1].at - at) * 1000 for person, at in began.items()]
        for name, found in (("ack", acks), ("answer", answers)):
            cuts = quantiles(found, n=100)
            tell(f"{name}_p50_ms", cuts[49], "ms")
            tell(f"{name}_p99_ms", cuts[98], "ms")
        tell("rss_mb", _rss(web) + _rss(worker), "MB")
        busy = _cpu(worker) + _cpu(web)
        await asyncio.sleep(10)
        tell("idle_cpu_pct", (_cpu(worker) + _cpu(web) - busy) * 10, "%")
        await web.kill()
        await worker.kill()


async def throughput(url: str, files: Path, name: str, messages: int, people: int) -> None:
    """All at once: how many go their whole way in a second."""
    async with provider() as ledger:
        web, worker = await _nodes(url, ledger, files)
        client = Client(int(web.said))
        gate = asyncio.Semaphore(50)

        async def post(number: int) -> None:
            async with gate:
                said = REPORT.replace(THINGS[0], THINGS[number // people % len(THINGS)])
                await client.post(f"{name}{number}", f"{name}{number % people}", said)

        began = monotonic()
        await asyncio.gather(*(post(number) for number in range(messages)))
        taken_in = monotonic()
        await _all_done(url)
        tell(name, messages / (monotonic() - began), "messages/s")
        if messages == people:
            tell("intake_msgs_s", messages / (taken_in - began), "messages/s")
        await web.kill()
        await worker.kill()


async def bare_insert(url: str, count: int = 500) -> None:
    """A committed insert in the same database: what the disk gives."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE bare (n int, words text)")
        began = monotonic()
        for number in range(count):
            await connection.execute("INSERT INTO bare VALUES (%s, %s)", (number, REPORT))
        tell("bare_insert_msgs_s", count / (monotonic() - began), "messages/s")


def cold_start(folder: Path) -> None:
    """From the command to the first good answer of /health; the second start, as the first one makes the database."""
    for turn in range(2):
        env = os.environ | {"PORT": "18765", "ACUSE_DATA": str(folder / "start")}
        began = monotonic()
        process = subprocess.Popen([sys.executable, "-m", "main", "run"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        while monotonic() - began < 120:
            try:
                with urllib.request.urlopen("http://127.0.0.1:18765/health", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                sleep(0.05)
        if turn == 1:
            tell("cold_start_s", monotonic() - began, "s")
        process.terminate()
        process.wait(30)


async def _nodes(url: str, ledger: Ledger, files: Path) -> tuple[Node, Node]:
    return await start("web", url, ledger.port, files), await start("worker", url, ledger.port, files, "model")


async def _until(ledger: Ledger, entries: int, patience: float = 120) -> None:
    end = monotonic() + patience
    while len(ledger.entries) < entries:
        if monotonic() > end:
            raise SystemExit(f"only {len(ledger.entries)} of {entries} messages arrived in {patience} s")
        await asyncio.sleep(0.02)


async def _all_done(url: str) -> None:
    waiting = """SELECT EXISTS (SELECT 1 FROM messages WHERE handled_at IS NULL)
                     OR EXISTS (SELECT 1 FROM outgoing WHERE state IN ('queued', 'sending'))"""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while (row := await (await connection.execute(waiting)).fetchone()) is None or row[0]:
            await asyncio.sleep(0.05)


def _rss(node: Node) -> float:
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _cpu(node: Node) -> float:
    """Seconds that the process has computed."""
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(scale: float = 1.0) -> None:
    """Everything; a scale below 1 makes it shorter and rougher."""
    with tempfile.TemporaryDirectory(prefix="acuse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        embedded = Embedded(folder / "postgres", log=logging.getLogger("bench"))
        url = embedded.start()
        try:
            upgrade(url)
            asyncio.run(bare_insert(url))
            asyncio.run(latency(url, folder / "files", int(20 * scale) or 2))
            asyncio.run(throughput(url, folder / "files", "end_to_end_msgs_s", int(1000 * scale), int(100 * scale)))
            asyncio.run(throughput(url, folder / "files", "one_each_msgs_s", int(1000 * scale), int(1000 * scale)))
        finally:
            embedded.stop()
        cold_start(folder)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
