"""The page: the devices, what happened, and forms for what a customer or a bad day does."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bot.shipped import shipped
from console.pages import STATIC
from demo.devices import Device, Look
from demo.provider import Failing
from demo.standin import Bubble, Diary, Happening, State

HERE = Path(__file__).parent
LANGUAGES = (("es", "Español"), ("en", "English"), ("pt", "Português"))
SAMPLES = (
    *(("broken", "box"), ("treated", "sad"), ("paper", "file"), ("idea", "bulb")),
    *(("thanks", "heart"), ("harm", "alert"), ("person", "human")),
)
SHOWABLE = ("image/png", "image/jpeg", "image/webp", "image/gif")
SHOWN = 120  # lines of the diary
BEAT = 15.0
_GLYPHS = {"email": "mail", "webchat": "web", "slackdesk": "slack"}
_ADDRESS = re.compile(r"(https?://[^\s<>\"']+[^\s<>\"'.,;:!?)])")
_COLOURS = {"whatsapp": "wa", "sms": "sms", "telegram": "tg", "email": "mail", "slack": "slack", "webchat": "web"}


@dataclass(frozen=True)
class Told:
    """The sign beside a message."""

    glyph: str
    word: str
    tone: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the page leads to."""

    acuse: str  # address of the running Acuse
    login: str
    password: str
    timezone: str
    webchat: bool = True


class Page:
    """All routes. `devices` by the kind of their channel, in the order of the page."""

    def __init__(self, devices: Sequence[Device], diary: Diary, around: Surroundings) -> None:
        self._devices = {device.look.kind: device for device in devices}
        self._diary = diary
        self._around = around
        self._words: Mapping[str, Mapping[str, str]] = shipped(HERE / "words.yaml")
        self._open: set[asyncio.Queue[str | None]] = set()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        zone = ZoneInfo(around.timezone)
        self._templates.filters |= {
            "clock": lambda at, seconds=False: _clock(at, zone, seconds),
            "linked": _linked,
            "told": _told,
            "device_glyph": lambda look: _GLYPHS.get(look.kind, look.kind),
            "glyph": lambda line: "alert" if line.tone == "bad" else _GLYPHS.get(line.channel, line.channel),
            "colour": lambda line: "" if line.tone == "bad" else _COLOURS.get(line.channel, "muted"),
        }
        diary.watchers.append(self._tell)
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/diary", self._show_diary),
                Route("/events", self._events),
                Route("/restart", self._restart, methods=["POST"]),
                Route("/devices/{kind}", self._screen),
                Route("/devices/{kind}/files/{number:int}", self._file),
                Route("/devices/{kind}/{verb}", self._act, methods=["POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
                Mount("/demo", StaticFiles(directory=HERE / "static")),
            ]
        )
        self.app.state.closing = [self.close]

    def close(self) -> None:
        """End the open streams."""
        for queue in self._open:
            queue.put_nowait(None)

    async def _page(self, request: Request) -> Response:
        around = self._around
        return self._drawn(
            request,
            "demo.html",
            devices=list(self._devices.values()),
            samples=SAMPLES,
            languages=LANGUAGES,
            webchat=around.acuse if around.webchat else None,
            desk=f"{around.acuse}/desk",
            login=around.login,
            password=around.password,
            diary=self._newest(),
        )

    async def _screen(self, request: Request) -> Response:
        return self._drawn(request, "screen.html", device=self._device(request))

    async def _show_diary(self, request: Request) -> Response:
        return self._drawn(request, "diary.html", diary=self._newest())

    async def _file(self, request: Request) -> Response:
        bubble = self._device(request).phone.bubble(request.query_params.get("bubble", ""))
        number = request.path_params["number"]
        if bubble is None or number >= len(bubble.files):
            raise HTTPException(404)
        file = bubble.files[number]
        shown = file.type if file.type in SHOWABLE else "application/octet-stream"
        return Response(file.content, media_type=shown, headers={"X-Content-Type-Options": "nosniff"})

    async def _act(self, request: Request) -> Response:
        _must_be_ours(request)
        device = self._device(request)
        async with request.form(max_files=1, max_fields=10) as form:
            match request.path_params["verb"]:
                case "write":
                    await self._write(device, str(form.get("text", "")).strip(), form.get("file"))
                case "press":
                    await self._press(device, str(form.get("bubble", "")), str(form.get("payload", "")))
                case "failing":
                    self._set(device, str(form.get("how", "")))
                case "trick":
                    if (trick := str(form.get("trick", ""))) in device.look.tricks:
                        await device.trick(trick)
                case _:
                    raise HTTPException(404)
        self._diary.changed(device.standin.kind)
        return RedirectResponse(f"/?lang={self._language(request)}#dev-{device.look.kind}", status_code=303)

    async def _write(self, device: Device, text: str, file: object) -> None:
        sent = None
        if isinstance(file, UploadFile) and file.filename:
            sent = (file.filename, file.content_type or "application/octet-stream", await file.read())
        if text or sent:
            await device.write(text, sent)

    async def _press(self, device: Device, bubble_id: str, payload: str) -> None:
        bubble = device.phone.bubble(bubble_id)
        if bubble is None:
            return
        chosen = next((pair for pair in bubble.buttons if payload in pair), None)
        if chosen and chosen[1]:
            await device.press(bubble, chosen[1])
        elif chosen:
            await device.write(chosen[0], None)

    def _set(self, device: Device, how: str) -> None:
        with suppress(ValueError):
            device.standin.fail(Failing(how))
            self._diary.write(device.standin.kind, f"set_{how}", tone="ok" if how == "not" else "bad")

    async def _restart(self, request: Request) -> Response:
        _must_be_ours(request)
        for device in self._devices.values():
            device.phone.bubbles.clear()
            device.standin.fail(Failing.NOT)
        self._diary.lines.clear()
        return RedirectResponse(f"/?lang={self._language(request)}", status_code=303)

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _stream(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._open.add(queue)
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    changed = await asyncio.wait_for(queue.get(), BEAT)
                except TimeoutError:
                    yield ": \n\n"
                    continue
                if changed is None:
                    return
                yield f"data: {changed}\n\n"
        finally:
            self._open.discard(queue)

    def _tell(self, channel: str) -> None:
        concerned = [device.look.kind for device in self._devices.values() if device.standin.kind == channel]
        for queue in self._open:
            for name in concerned or ["diary"]:
                queue.put_nowait(name)

    def _newest(self) -> list[Happening]:
        return self._diary.lines[: -SHOWN - 1 : -1]

    def _device(self, request: Request) -> Device:
        found = self._devices.get(request.path_params["kind"])
        if found is None:
            raise HTTPException(404)
        return found

    def _language(self, request: Request) -> str:
        wanted = request.query_params.get("lang") or request.headers.get("accept-language", "")[:2].lower()
        return wanted if wanted in self._words else LANGUAGES[0][0]

    def _drawn(self, request: Request, template: str, **values: Any) -> Response:
        language = self._language(request)
        html = self._templates.get_template(template).render(language=language, w=self._words[language], **values)
        return HTMLResponse(html, headers={"Cache-Control": "no-store", "Content-Security-Policy": self._policy()})

    def _policy(self) -> str:
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            f"form-action 'self'; frame-src {self._around.acuse}; base-uri 'none'; frame-ancestors 'none'"
        )


def _must_be_ours(request: Request) -> None:
    """Another site's page must not write for the customers."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403)


def _told(one: Bubble, look: Look) -> Told | None:
    if one.state is State.FAILED:
        return Told("fail", "st_failed", "bad")
    if one.mine:
        return Told("check2", "st_kept") if one.state is State.DELIVERED else Told("check", "st_sent")
    if not look.fails:
        return None
    if not look.confirms:
        return Told("check", "st_arrived" if look.kind == "email" else "st_no_more")
    return {
        State.SENT: Told("check", "st_sent"),
        State.DELIVERED: Told("check2", "st_delivered"),
        State.READ: Told("read", "st_read", "read"),
    }[one.state]


def _clock(at: datetime, zone: ZoneInfo, seconds: bool) -> str:
    there = at.astimezone(zone)
    return f"{there.hour}:{there:%M:%S}" if seconds else f"{there.hour}:{there:%M}"


def _linked(text: str) -> Markup:
    """Addresses of web pages as links."""
    words = [
        Markup('<a href="{0}" target="_blank" rel="noopener">{0}</a>').format(word)
        if word.startswith(("http://", "https://"))
        else escape(word)
        for word in _pieces(text)
    ]
    return Markup("").join(words)


def _pieces(text: str) -> list[str]:
    return _ADDRESS.split(text)
