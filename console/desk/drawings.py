"""Drawn charts and the browser's drawing library, made by a process of its own and kept in memory."""

import asyncio
import contextlib
import hashlib
import json
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROGRAM = Path(__file__).with_name("charts.py")
_STYLESHEET = Path(__file__).parent.parent / "static" / "acuse.css"
_TOKEN = re.compile(r"--([a-z0-9-]+):light-dark\((#[0-9a-f]+),(#[0-9a-f]+)\)")
KEPT = 24
PATIENCE = 60  # seconds


class NotDrawn(Exception):
    """The drawing process failed; the table says the same."""


class Drawings:
    """Asks each thing once, however many pages want it at the same time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, asyncio.Future[bytes]] = OrderedDict()
        self._colours: tuple[Mapping[str, str], Mapping[str, str]] | None = None

    async def mix(
        self, language: str, datasets: Mapping[str, list[dict[str, Any]]], values: Mapping[str, float]
    ) -> dict[str, Any]:
        """The specification of the channel mix, with its numbers. Raises NotDrawn."""
        spec: dict[str, Any] = json.loads(await self._ask({"want": "spec", "language": language}))
        spec["datasets"] = dict(datasets)
        for param in spec["params"]:
            param["value"] = values.get(param["name"], param["value"])
        return spec

    async def svg(self, spec: Mapping[str, Any], scheme: str) -> str:
        """The same chart for reports and for pages without script, in light or dark colours. Raises NotDrawn."""
        drawn = (await self._ask({"want": "svg", "spec": spec})).decode()
        colours = self._scheme(scheme)
        return re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: colours[found[1]], drawn)

    async def library(self) -> bytes:
        """The browser's drawing library (vegaEmbed), gzipped. Takes seconds the first time. Raises NotDrawn."""
        return await self._ask({"want": "bundle"})

    def _scheme(self, scheme: str) -> Mapping[str, str]:
        if self._colours is None:
            tokens = _TOKEN.findall(_STYLESHEET.read_text(encoding="utf-8"))
            light, dark = ({name: pair[n] for name, *pair in tokens} for n in (0, 1))
            self._colours = (light, dark)
        return self._colours[scheme == "dark"]

    async def _ask(self, request: Mapping[str, Any]) -> bytes:
        said = json.dumps(request, sort_keys=True).encode()
        key = hashlib.sha256(said).hexdigest()
        if key not in self._kept:
            self._kept[key] = asyncio.ensure_future(_run(said))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        try:
            # one reader who goes away must not take the drawing from the others
            return await asyncio.shield(self._kept[key])
        except NotDrawn:
            self._kept.pop(key, None)
            raise


async def _run(said: bytes) -> bytes:
    # -P: the modules beside the program must not hide those of the standard library;
    # a session of its own: Ctrl-C is meant for the server
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        str(_PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        drawn, complaint = await asyncio.wait_for(child.communicate(said), PATIENCE)
    except TimeoutError:
        raise NotDrawn(f"nothing was drawn within {PATIENCE} s") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode != 0:
        raise NotDrawn(complaint.decode(errors="replace").strip().rpartition("\n")[2] or "the drawing process ended")
    return drawn
