"""Twilio as the network sees it: REST over a sender with state. It keeps Twilio's rules and refuses as Twilio does."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.provider import Failing, Picture
from demo.twilio_calls import VERSION, WHATSAPP
from demo.twilio_content import ContentApi, Shown, refused
from demo.twilio_line import Sent, TwilioLine

LONGEST = 1600  # characters of a message
_HARD = {"whatsapp": 63024, "sms": 30006}

Form = Mapping[str, list[str]]


@dataclass
class Refusal:
    """What the next call that fits is refused with: `times` times, or again and again. `wait`: its Retry-After."""

    status: int
    code: int
    wait: int | None = None
    when: Callable[[Form], bool] = lambda _: True
    times: int | None = 1


class TwilioApi(TwilioLine):
    """The protocol, whole; the page's half is in twilio.py."""

    def __init__(self, account_sid: str, auth_token: str, **line: Any) -> None:
        """As TwilioLine."""
        super().__init__(account_sid, auth_token, **line)
        self.refusals: list[Refusal] = []
        self.requests: list[Request] = []
        self.typing: list[str] = []  # ids of the messages that were shown as being answered
        self.cdn = ""  # where files really are; "": here
        self.forgotten: set[str] = set()  # files that are no longer here; whoever sent one still has it
        self.media_status: int | None = None  # what files are answered with; 307: they point to themselves
        self.content = ContentApi(account_sid, self.note)
        account = f"/{VERSION}/Accounts/{account_sid}"
        guarded = self._guarded
        self.app = Starlette(
            routes=[
                Route(f"{account}.json", guarded(self._account)),
                Route(f"{account}/IncomingPhoneNumbers.json", guarded(self._numbers)),
                Route(f"{account}/Messages.json", guarded(self._create), methods=["POST"]),
                Route(f"{account}/Messages.json", guarded(self._list)),
                Route(f"{account}/Messages/{{sid}}.json", guarded(self._fetch)),
                Route(f"{account}/Messages/{{sid}}/Media/{{file}}", guarded(self._media), methods=["GET", "DELETE"]),
                Route("/cdn/{file}", self._cdn),
                Route("/v1/Services/{sid}", guarded(self._service)),
                Route("/v2/Channels/Senders", guarded(self._senders)),
                Route("/v2/Indicators/Typing.json", guarded(self._typing), methods=["POST"]),
                *self.content.routes(guarded),
                Route("/{rest:path}", guarded(self._nothing), methods=["GET", "POST"]),
            ],
            middleware=[Middleware(_Watched, seen=self.requests)],
        )
        self.app.state.url = "https://api.twilio.com"

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return str(self.app.state.url)

    def _guarded(self, verb: Callable[[Request], Any]) -> Callable[[Request], Any]:
        secret = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()

        async def handle(request: Request) -> Response:
            if request.headers.get("authorization") != f"Basic {secret}":
                return refused(401, 20003, "Authenticate")
            return await verb(request)  # type: ignore[no-any-return]  # each verb answers

        return handle

    async def _account(self, request: Request) -> Response:
        if self.failing is Failing.DOWN:
            return refused(503, 20500, "Service unavailable")
        told = {"sid": self.account_sid, "status": "active", "friendly_name": "Nube (simulada)", "type": "Full"}
        return JSONResponse(told | {"auth_token": "-", "uri": request.url.path})

    async def _numbers(self, request: Request) -> Response:
        wanted = request.query_params.get("PhoneNumber")
        found = [{"phone_number": one, "sms_url": url} for one, url in self.webhooks.items() if wanted in (None, one)]
        return JSONResponse({"incoming_phone_numbers": found, "page": 0, "uri": request.url.path})

    async def _senders(self, _: Request) -> Response:
        found = [{"sender_id": one, "webhook": {"callback_url": url}} for one, url in self.webhooks.items()]
        return JSONResponse({"senders": found, "meta": {"key": "senders", "page": 0, "next_page_url": None}})

    async def _service(self, request: Request) -> Response:
        url = next(iter(self.webhooks.values()))
        return JSONResponse({"sid": request.path_params["sid"], "inbound_request_url": url})

    async def _nothing(self, request: Request) -> Response:
        return refused(404, 20404, f"The requested resource {request.url.path} was not found")

    async def _typing(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        self.note("Typing", form)
        self.typing += form.get("messageId", [])
        return JSONResponse({"success": True}, status_code=201)

    # messages

    async def _create(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        self.note("Messages", form)
        how = self.fault()
        if how is Failing.DOWN:
            return refused(503, 20500, "Service unavailable")
        if how is Failing.BUSY:
            wait = str(int(self.busy_for.total_seconds()))
            return refused(429, 20429, "Too many requests", {"Retry-After": wait})
        if how is Failing.SLOW:
            await asyncio.sleep(self.slowness.total_seconds())
        shown = self._told(form) or self._shown(form)
        if isinstance(shown, Response):
            return shown
        one = await self._take(form, shown)
        if how is Failing.REFUSES:
            one.fails = _HARD[self.kind]
        return JSONResponse(self._resource(one), status_code=201)

    def _told(self, form: Form) -> Response | None:
        """What this call is refused with because somebody asked for it."""
        found = next((one for one in self.refusals if one.when(form)), None)
        if found is None:
            return None
        if found.times is not None:
            found.times -= 1
            if not found.times:
                self.refusals.remove(found)
        wait = {"Retry-After": str(found.wait)} if found.wait is not None else None
        return refused(found.status, found.code, "as simulated", wait)

    def _shown(self, form: Form) -> Shown | Response:
        """What the person will see, or why Twilio does not take it."""
        one = {name: values[0] for name, values in form.items()}
        to = one.get("To", "")
        if one.get("From") not in self.webhooks and not one.get("MessagingServiceSid"):
            return refused(400, 63007 if self.kind == "whatsapp" else 21606, "The From number is not yours")
        if to.startswith(WHATSAPP) != (self.kind == "whatsapp") or not to.removeprefix(WHATSAPP) or to.endswith("000"):
            return refused(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if to in self.stopped:
            return refused(400, 21610, "Attempt to send to unsubscribed recipient")
        if len(one.get("Body", "")) > LONGEST:
            return refused(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if "ContentSid" not in one and not one.get("Body") and "MediaUrl" not in one:
            return refused(400, 21619, "A text message body or media urls must be specified")
        shown = self.content.shown(one) if "ContentSid" in one else Shown(one.get("Body", ""))
        if isinstance(shown, Response):
            return shown
        if "ContentSid" in one:
            self.faults += shown.faults()
        if self.window_at_once and self._too_late(to, shown):
            return refused(400, 63016, "Failed to send freeform message because you are outside the allowed window")
        return shown

    def _too_late(self, to: str, shown: Shown) -> bool:
        return self.kind == "whatsapp" and not shown.approved and not self.in_window(to)

    async def _take(self, form: Form, shown: Shown) -> Sent:
        to = form["To"][0]
        files = [await self._fetched(url) for url in form.get("MediaUrl", [])]
        one = Sent(self._sid("SM"), form, shown, files, self.now(), fails=self.codes.pop(to, None))
        if one.fails is None and self._too_late(to, shown):
            one.fails = 63016
        self.sent[one.sid] = one
        self.appeared(one)
        return one

    async def _fetched(self, url: str) -> Picture:
        """A file of ours, as Twilio fetches it: without a sign of who it is."""
        name = url.split("?")[0].rsplit("/", 1)[-1]
        try:
            answer = await self._send.get(url)
        except httpx.HTTPError:
            return Picture(name, "text/plain", b"11200 could not be fetched")
        return Picture(name, answer.headers.get("content-type", "").partition(";")[0], answer.content)

    async def _list(self, request: Request) -> Response:
        wanted = request.query_params.get("To")
        found = [one for one in self.sent.values() if wanted in (None, one.to)]
        page = {"messages": [self._resource(one) for one in reversed(found)], "page": 0, "page_size": 50, "start": 0}
        return JSONResponse(page | {"end": len(found), "uri": request.url.path, "next_page_uri": None})

    async def _fetch(self, request: Request) -> Response:
        one = self.sent.get(request.path_params["sid"])
        return JSONResponse(self._resource(one)) if one else refused(404, 20404, "not found")

    async def _media(self, request: Request) -> Response:
        """Files ask for the credentials and are elsewhere, where the credentials must not go."""
        if self.media_status is not None:
            return Response(status_code=self.media_status, headers={"location": str(request.url)})
        file = request.path_params["file"]
        if file not in self.files or file in self.forgotten:
            return refused(404, 20404, "not found")
        if request.method == "DELETE":
            self.forgotten.add(file)
            return Response(status_code=204)
        return RedirectResponse(f"{self.cdn}/cdn/{file}", status_code=307)

    async def _cdn(self, request: Request) -> Response:
        """As a store with signed addresses: a second proof beside the signature is refused."""
        if self.cdn and "authorization" in request.headers:
            self.faults.append("the credentials went to where the file is")
            return Response(status_code=400)
        found = self.files.get(request.path_params["file"])
        return Response(found.content, media_type=found.type) if found else Response(status_code=404)

    def _resource(self, one: Sent) -> dict[str, Any]:
        uri = f"/{VERSION}/Accounts/{self.account_sid}/Messages/{one.sid}"
        moment = format_datetime(one.made)
        return {
            "sid": one.sid, "account_sid": self.account_sid, "api_version": VERSION, "body": one.shown.text,
            "date_created": moment, "date_sent": moment if one.told else None, "date_updated": moment,
            "direction": "outbound-api", "error_code": one.fails if one.status in ("failed", "undelivered") else None,
            "error_message": None, "from": self.sender(one), "to": one.to,
            "messaging_service_sid": one.one("MessagingServiceSid") or None, "num_segments": "1",
            "num_media": str(len(one.files)), "price": None, "price_unit": "USD", "status": one.status,
            "uri": f"{uri}.json", "subresource_uris": {"media": f"{uri}/Media.json"},
        }  # fmt: skip


class _Watched:
    """Remembers who called."""

    def __init__(self, app: ASGIApp, seen: list[Request]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._seen.append(Request(scope))
            del self._seen[:-1000]
        await self._app(scope, receive, send)
