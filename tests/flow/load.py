"""Start nodes and load them: what the kill test and the benchmark share."""

import asyncio
import json
import sys
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
    return Node(process, line.decode().strip())


class Client:
    """Posts messages as a provider does: again and again until it is told ok."""

    def __init__(self, port: int) -> None:
        self.port = port  # of the web node that is alive at the moment

    async def post(self, key: str, sender: str, text: str, *, patience: float = 60) -> float:
        """Returns the moment (time.monotonic) of the first try."""
        began = monotonic()
        line = json.dumps({"key": key, "sender": sender, "text": text}).encode() + b"\n"
        while monotonic() - began < patience:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(line)
                await writer.drain()
                answer = await asyncio.wait_for(reader.readline(), 10)
                writer.close()
                if answer == b"ok\n":
                    return began
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(0.05)
        raise AssertionError(f"{key} was never taken in")
