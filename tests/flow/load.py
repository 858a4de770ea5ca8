"""Start nodes and load them: what the kill test and the benchmark share."""

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[2]


@dataclass
class Node:
    """A running process."""

    process: asyncio.subprocess.Process
    said: str  # its first line: the port of a web node

    async def kill(self) -> None:
        """As if the power failed."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start(role: str, url: str, port: int, files: Path, *rest: str) -> Node:
    """Start a node and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flow.node", role, url, str(port), str(files), *rest,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert line, f"the {role} node ended at once"
    return Node(process, line.decode().split()[-1])


@dataclass(frozen=True)
class Forked:
    """A running process that a `Mother` made."""

    pid: int
    said: str

    def kill(self) -> None:
        """As if the power failed."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Mother:
    """Makes nodes quickly: everything is imported once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._forked: asyncio.Queue[int] = asyncio.Queue()
        self._said: dict[int, asyncio.Future[str]] = defaultdict(asyncio.get_running_loop().create_future)
        self._one = asyncio.Lock()
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def begin(cls) -> "Mother":
        """Start her."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "tests.flow.node", "mother")
        return cls(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe))

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            first, second = line.decode().split()
            if first == "forked":
                self._forked.put_nowait(int(second))
            else:
                self._said[int(first)].set_result(second)

    async def bear(self, role: str, url: str, port: int, files: Path, *rest: str) -> Forked:
        """A node, when it is ready."""
        assert self._process.stdin is not None
        async with self._one:
            self._process.stdin.write(json.dumps([role, url, str(port), str(files), *rest]).encode() + b"\n")
            pid = await asyncio.wait_for(self._forked.get(), 60)
        return Forked(pid, await asyncio.wait_for(self._said[pid], 60))

    async def end(self) -> None:
        """She ends, and all her children with her."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        self._hearing.cancel()


class Client:
    """Posts messages as a provider does: again and again until it is told ok."""

    def __init__(self, port: int) -> None:
        self.port = port  # of the web node that is alive at the moment

    async def post(self, key: str, sender: str, text: str, *, patience: float = 60) -> float:
        """Returns the moment (time.monotonic) of the first try."""
        began = monotonic()
        line = json.dumps({"key": key, "sender": sender, "text": text}).encode() + b"\n"
        while monotonic() - began < patience:
            with suppress(OSError, TimeoutError):
                if await self._post_once(line):
                    return began
            await asyncio.sleep(0.05)
        raise AssertionError(f"{key} was never taken in")

    async def _post_once(self, line: bytes) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(line)
            await writer.drain()
            return await asyncio.wait_for(reader.readline(), 10) == b"ok\n"
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
