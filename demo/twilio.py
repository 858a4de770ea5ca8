"""A stand-in of Twilio for one sender, WhatsApp or SMS: REST with state, the window, signed calls, status callbacks."""

import asyncio
import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # it ships no types

from demo.standin import Bubble, Diary, Failing, Phone, Picture, StandIn, State
from demo.twilio_content import ContentApi, Shown, refused

WINDOW = timedelta(hours=24)
LONGEST = 1600  # characters of a message
WHATSAPP = "whatsapp:"
STOPS = frozenset({"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"})
STARTS = frozenset({"start", "unstop", "yes"})
DELIVERED_AFTER, READ_AFTER = 1, 3  # steps
STEP = 0.5  # seconds between two steps when it runs by itself
_HARD = {"whatsapp": 63024, "sms": 30006}


@dataclass
class Sent:
    """A message of Acuse on its way. `fails`: the code it will fail with."""

    sid: str
    form: Mapping[str, list[str]]
    bubble: Bubble
    phone: Phone
    made: datetime
    status: str = "queued"
    fails: int | None = None
    steps: int = 0
    told: list[str] = field(default_factory=list)

    def one(self, name: str) -> str:
        """A parameter as it was given."""
        return self.form.get(name, [""])[0]


class TwilioStandIn(StandIn):
    """`webhooks`: our sender (whatsapp:+1… or +1…) to the address that Twilio calls. People are known by theirs."""

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        now: Callable[[], datetime],
        send: httpx.AsyncClient,
        webhooks: Mapping[str, str],
        kind: str = "whatsapp",
        diary: Diary | None = None,
        window: timedelta = WINDOW,
    ) -> None:
        super().__init__(now=now, diary=diary)
        self.kind = kind
        self.account_sid, self.auth_token = account_sid, auth_token
        self.webhooks = dict(webhooks)
        self.window = window
        self.sent: dict[str, Sent] = {}
        self.stopped: set[str] = set()
        self.codes: dict[str, int] = {}  # address: the code that its next message fails with, by callback
        self.codes_now: dict[str, int] = {}  # the same, refused at once
        self.reorder = False
        self.repeats = 1
        self.reads = True  # people look at their phones; WhatsApp only
        self.content = ContentApi(account_sid, self.note)
        self._send = send
        self._wrote_at: dict[str, datetime] = {}
        self._files: dict[str, Picture] = {}
        self._held: list[tuple[str, dict[str, str], Bubble]] = []  # not taken by Acuse yet
        self._ids = itertools.count(1)
        account = f"/2010-04-01/Accounts/{account_sid}"
        self.app = Starlette(
            routes=[
                Route(f"{account}.json", self._account),
                Route(f"{account}/Messages.json", self._create, methods=["POST"]),
                Route(f"{account}/Messages.json", self._list),
                Route(f"{account}/Messages/{{sid}}.json", self._fetch),
                Route(f"{account}/Messages/{{sid}}/Media/{{file}}", self._media),
                Route("/cdn/{file}", self._cdn),
                Route("/v2/Indicators/Typing.json", self._typing, methods=["POST"]),
                *self.content.routes(self._known),
            ]
        )
        self.app.state.url = "https://api.twilio.com"

    # what a person does

    async def write(
        self,
        sender: str,
        text: str,
        *,
        to: str | None = None,
        profile: str = "",
        media: Sequence[tuple[str, bytes]] = (),
        button: tuple[str, str] | None = None,
        reply_to: str | None = None,
        repeat: int = 1,
        more: Mapping[str, str] | None = None,
    ) -> int:
        """The person writes. The status that Acuse answered with; 0 when it did not."""
        phone = self.phone(sender, profile)
        sid = self._sid("MM" if media else "SM")
        fields = self._fields(sid, phone, to or next(iter(self.webhooks)), text, media)
        if button:
            fields |= {"ButtonText": button[0], "ButtonPayload": button[1], "Body": button[0], "MessageType": "button"}
        if reply_to:
            fields["OriginalRepliedMessageSid"] = reply_to
        fields |= more or {}
        files = [Picture(f"archivo-{number}", *one) for number, one in enumerate(media, 1)]
        bubble = Bubble(id=sid, mine=True, text=fields["Body"], at=self.now(), files=files)
        self.show(phone, bubble)
        self._wrote_at[sender] = self.now()
        self._opt(phone, text)
        url = self.webhooks[fields["To"]]
        if self.failing is Failing.DOWN:
            self._held.append((url, fields, bubble))
            return 0
        statuses = await asyncio.gather(*(self._deliver(url, fields, bubble) for _ in range(repeat)))
        return max(statuses)

    async def press(self, bubble: Bubble, address: str, payload: str) -> int:
        """The person presses a button or chooses from a list."""
        label = next((label for label, given in bubble.buttons if given == payload), payload)
        bubble.buttons = []
        return await self.write(address, label, button=(label, payload), reply_to=bubble.id)

    def close_window(self, address: str) -> None:
        """As if the person had not written for a day."""
        self._wrote_at[address] = self.now() - self.window

    def in_window(self, address: str) -> bool:
        """Whether free text may go there."""
        wrote_at = self._wrote_at.get(address)
        return wrote_at is not None and self.now() - wrote_at < self.window

    # what becomes of our messages

    async def advance(self) -> int:
        """Everything that is on its way goes a step, and Acuse is told. How many went."""
        moving = [one for one in self.sent.values() if self._next(one)]
        for one in moving:
            one.steps += 1
            if status := self._next(one, one.steps):
                await self._become(one, status)
        for held in list(self._held) if self.failing is not Failing.DOWN else []:
            if (await self._deliver(*held)) // 100 == 2:
                self._held.remove(held)
        return len(moving)

    async def run(self) -> None:
        """Go on step by step until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(STEP)

    async def read(self, address: str) -> None:
        """The person looks at the phone: all that was delivered is read."""
        for one in list(self.sent.values()):
            if one.phone.address == address and one.status == "delivered":
                await self._become(one, "read")

    async def report(self, sid: str, status: str, code: int | None = None) -> None:
        """A status callback for one message, whatever its state."""
        one = self.sent[sid]
        one.fails = code
        await self._become(one, status)

    def _next(self, one: Sent, steps: int | None = None) -> str | None:
        """The status after so many steps (None: the one to come); None when it stays as it is."""
        if one.status in ("failed", "undelivered", "read"):
            return None
        if one.fails is not None:
            return "failed" if self.kind == "whatsapp" else "undelivered"
        if one.status == "queued":
            return "delivered" if self.reorder else "sent"
        if one.status in ("sent", "delivered") and "delivered" not in one.told:
            return "delivered" if steps is None or steps > DELIVERED_AFTER else None
        if self.reorder and "sent" not in one.told:
            return "sent"
        looks = self.kind == "whatsapp" and self.reads
        return "read" if looks and (steps is None or steps > READ_AFTER) else None

    async def _become(self, one: Sent, status: str) -> None:
        one.status = status
        one.told.append(status)
        states = {"sent": State.SENT, "delivered": State.DELIVERED, "read": State.READ}
        bubble = one.bubble
        bubble.state = states.get(status, State.FAILED)
        if bubble.state is State.FAILED:
            bubble.why = f"error {one.fails}"
        if status == "sent" and "delivered" in one.told:
            bubble.state, one.status = State.DELIVERED, "delivered"
        tone = "bad" if bubble.state is State.FAILED else "ok" if status != "sent" else ""
        if status != "sent":
            self.diary.write(
                self.kind, str(bubble.state), f"{one.phone.name}{f', error {one.fails}' if tone == 'bad' else ''}", tone
            )
        if url := one.one("StatusCallback"):
            for _ in range(self.repeats):
                await self._post(url, self._callback(one, status))

    def _callback(self, one: Sent, status: str) -> dict[str, str]:
        fields = {
            "MessageSid": one.sid, "SmsSid": one.sid, "MessageStatus": status, "SmsStatus": status,
            "AccountSid": self.account_sid, "ApiVersion": "2010-04-01", "From": self._sender(one), "To": one.one("To"),
        }  # fmt: skip
        if one.one("To").startswith(WHATSAPP):
            fields |= {"ChannelPrefix": "whatsapp", "ChannelToAddress": one.one("To").removeprefix(WHATSAPP)}
        if one.fails is not None:
            fields |= {"ErrorCode": str(one.fails), "ErrorMessage": "as simulated"}
        return fields

    # what Acuse calls

    def _known(self, request: Request) -> bool:
        secret = f"{self.account_sid}:{self.auth_token}".encode()
        return request.headers.get("authorization") == "Basic " + base64.b64encode(secret).decode()

    async def _account(self, request: Request) -> Response:
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        if self.failing is Failing.DOWN:
            return refused(503, 20500, "Service unavailable")
        told = {"sid": self.account_sid, "status": "active", "friendly_name": "Nube (simulada)", "type": "Full"}
        return JSONResponse(told | {"auth_token": "-", "uri": request.url.path})

    async def _create(self, request: Request) -> Response:
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        self.note("Messages", form)
        how = self.fault()
        if how is Failing.DOWN:
            return refused(503, 20500, "Service unavailable")
        if how is Failing.BUSY:
            return refused(429, 20429, "Too many requests", {"Retry-After": "3"})
        if how is Failing.SLOW:
            await asyncio.sleep(self.slowness.total_seconds())
        shown = self._shown(form)
        if isinstance(shown, Response):
            return shown
        one = await self._take(form, shown)
        if how is Failing.REFUSES:
            one.fails = _HARD[self.kind]
        return JSONResponse(self._resource(one), status_code=201)

    def _shown(self, form: Mapping[str, list[str]]) -> Shown | Response:
        """What the person will see, or why Twilio does not take it."""
        one = {name: values[0] for name, values in form.items()}
        to = one.get("To", "")
        if one.get("From") not in self.webhooks and not one.get("MessagingServiceSid"):
            return refused(400, 63007 if self.kind == "whatsapp" else 21606, "The From number is not yours")
        if to.startswith(WHATSAPP) != (self.kind == "whatsapp") or not to.removeprefix(WHATSAPP) or to.endswith("000"):
            return refused(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if (code := self.codes_now.pop(to, None)) is not None:
            return refused(400, code, "as simulated")
        if to in self.stopped:
            return refused(400, 21610, "Attempt to send to unsubscribed recipient")
        if len(one.get("Body", "")) > LONGEST:
            return refused(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if "ContentSid" in one:
            return self.content.shown(one)
        if not one.get("Body") and "MediaUrl" not in one:
            return refused(400, 21619, "A text message body or media urls must be specified")
        return Shown(one.get("Body", ""))

    async def _take(self, form: Mapping[str, list[str]], shown: Shown) -> Sent:
        to, sid = form["To"][0], self._sid("SM")
        phone = self.phone(to)
        fails = self.codes.pop(to, None)
        if fails is None and self.kind == "whatsapp" and not shown.approved and not self.in_window(to):
            fails = 63016
            self.diary.write(self.kind, "window", phone.name, "bad")
        files = [await self._fetched(url) for url in form.get("MediaUrl", [])]
        bubble = Bubble(id=sid, mine=False, text=shown.text, at=self.now(), buttons=list(shown.buttons), files=files)
        if shown.approved:
            self.diary.write(self.kind, "template", shown.name)
            bubble.extra["template"] = shown.name
        one = Sent(sid, form, self.show(phone, bubble), phone, self.now(), fails=fails)
        self.sent[sid] = one
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
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        wanted = request.query_params.get("To")
        found = [one for one in self.sent.values() if wanted in (None, one.one("To"))]
        page = {"messages": [self._resource(one) for one in reversed(found)], "page": 0, "page_size": 50, "start": 0}
        return JSONResponse(page | {"end": len(found), "uri": request.url.path, "next_page_uri": None})

    async def _fetch(self, request: Request) -> Response:
        one = self.sent.get(request.path_params["sid"])
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        return JSONResponse(self._resource(one)) if one else refused(404, 20404, "not found")

    async def _media(self, request: Request) -> Response:
        """Files ask for the credentials and are elsewhere, where the credentials must not go."""
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        if request.path_params["file"] not in self._files:
            return refused(404, 20404, "not found")
        return RedirectResponse(f"/cdn/{request.path_params['file']}", status_code=307)

    async def _cdn(self, request: Request) -> Response:
        found = self._files.get(request.path_params["file"])
        return Response(found.content, media_type=found.type) if found else Response(status_code=404)

    async def _typing(self, request: Request) -> Response:
        if not self._known(request):
            return refused(401, 20003, "Authenticate")
        form = parse_qs((await request.body()).decode())
        self.note("Typing", form)
        return JSONResponse({"success": True}, status_code=201)

    def _resource(self, one: Sent) -> dict[str, Any]:
        uri = f"/2010-04-01/Accounts/{self.account_sid}/Messages/{one.sid}"
        moment = format_datetime(one.made)
        return {
            "sid": one.sid, "account_sid": self.account_sid, "api_version": "2010-04-01", "body": one.bubble.text,
            "date_created": moment, "date_sent": moment if one.told else None, "date_updated": moment,
            "direction": "outbound-api", "error_code": one.fails if one.status in ("failed", "undelivered") else None,
            "error_message": None, "from": self._sender(one), "to": one.one("To"),
            "messaging_service_sid": one.one("MessagingServiceSid") or None, "num_segments": "1",
            "num_media": str(len(one.bubble.files)), "price": None, "price_unit": "USD", "status": one.status,
            "uri": f"{uri}.json", "subresource_uris": {"media": f"{uri}/Media.json"},
        }  # fmt: skip

    def _sender(self, one: Sent) -> str:
        return one.one("From") or next(iter(self.webhooks))

    def _fields(self, sid: str, phone: Phone, to: str, text: str, media: Sequence[tuple[str, bytes]]) -> dict[str, str]:
        fields = {
            "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": self.account_sid, "Body": text,
            "From": phone.address, "To": to, "NumMedia": str(len(media)), "NumSegments": "1", "SmsStatus": "received",
            "ApiVersion": "2010-04-01",
        }  # fmt: skip
        if phone.address.startswith(WHATSAPP):
            number = phone.address.removeprefix(WHATSAPP)
            fields |= {"ProfileName": phone.name, "WaId": number.removeprefix("+"), "MessageType": "text"}
        for number_, (type_, content) in enumerate(media):
            file = f"ME{next(self._ids):032x}"
            self._files[file] = Picture(file, type_, content)
            where = f"{self.app.state.url}/2010-04-01/Accounts/{self.account_sid}/Messages/{sid}/Media/{file}"
            fields |= {f"MediaUrl{number_}": where, f"MediaContentType{number_}": type_}
        return fields

    def _opt(self, phone: Phone, text: str) -> None:
        """What Twilio does by itself on SMS."""
        word = text.strip().casefold()
        if self.kind != "sms" or word not in STOPS | STARTS:
            return
        (self.stopped.add if word in STOPS else self.stopped.discard)(phone.address)
        said = "You have successfully been unsubscribed." if word in STOPS else "You have been re-subscribed."
        self.show(
            phone,
            Bubble(id=self._sid("SM"), mine=False, text=said, at=self.now(), extra={"carrier": True}),
            tell=False,
        )

    async def _deliver(self, url: str, fields: dict[str, str], bubble: Bubble) -> int:
        status = await self._post(url, fields)
        if status // 100 == 2:
            if bubble.state is State.SENT:
                bubble.state = State.DELIVERED
                self.diary.write(self.kind, "taken")
        elif (url, fields, bubble) not in self._held:
            self._held.append((url, fields, bubble))
            self.diary.write(self.kind, "hook_failed", str(status), "bad")
        return status

    async def _post(self, url: str, fields: Mapping[str, str]) -> int:
        signature = RequestValidator(self.auth_token).compute_signature(url, dict(fields))
        try:
            answer = await self._send.post(url, data=dict(fields), headers={"X-Twilio-Signature": signature})
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _sid(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):032x}"
