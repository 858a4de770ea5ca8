"""One sender at Twilio, without its web interface: people, the window, messages on their way, signed calls to us."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from demo.provider import Failing, Picture, Provider
from demo.twilio_calls import VERSION, callback, signature, written
from demo.twilio_content import Shown

WINDOW = timedelta(hours=24)
STOPS = frozenset({"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"})
STARTS = frozenset({"start", "unstop", "yes"})
DELIVERED_AFTER, READ_AFTER = 1, 3  # steps
STEP = 0.5  # seconds between two steps when it runs by itself


@dataclass
class Sent:
    """A message of Acuse on its way. `fails`: the code it will fail with."""

    sid: str
    form: Mapping[str, list[str]]
    shown: Shown
    files: Sequence[Picture]
    made: datetime
    status: str = "queued"
    fails: int | None = None
    steps: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def to(self) -> str:
        """The person."""
        return self.one("To")

    def one(self, name: str) -> str:
        """A parameter as it was given."""
        return self.form.get(name, [""])[0]

    def told_as(self) -> dict[str, Any]:
        """Its parameters, its `sid`, and what the person sees: `shown`."""
        given = {name: values[0] for name, values in self.form.items()}
        return {"sid": self.sid, **given, "shown": self.shown.whole()}


@dataclass
class Written:
    """A message of a person: where it is brought to, and what Acuse is told."""

    url: str
    fields: Mapping[str, str]
    files: Sequence[Picture] = ()
    profile: str = ""
    taken: bool = False


class TwilioLine(Provider):
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
        window: timedelta = WINDOW,
    ) -> None:
        super().__init__(now=now)
        self.kind = kind
        self.account_sid, self.auth_token = account_sid, auth_token
        self.webhooks = dict(webhooks)
        self.window = window
        self.window_at_once = False  # a closed window is told in the answer to the call, not by a callback
        self.sent: dict[str, Sent] = {}
        self.stopped: set[str] = set()
        self.codes: dict[str, int] = {}  # address: the code that its next message fails with, by callback
        self.reorder = False
        self.repeats = 1
        self.reads = True  # people look at their phones; WhatsApp only
        self.files: dict[str, Picture] = {}
        self._send = send
        self._wrote_at: dict[str, datetime] = {}
        self._held: list[Written] = []  # not taken by Acuse yet
        self._ids = itertools.count(1)

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return "https://api.twilio.com"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What Acuse sent and Twilio took, oldest first."""
        return [one.told_as() for one in self.sent.values()]

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
        sid, ours = self._sid("MM" if media else "SM"), to or next(iter(self.webhooks))
        fields = written(
            text,
            sid=sid,
            account=self.account_sid,
            sender=sender,
            to=ours,
            profile=profile or self.name_of(sender),
            media=[self.keep(sid, *one) for one in media],
        )
        if button:
            fields |= {"ButtonText": button[0], "ButtonPayload": button[1], "Body": button[0], "MessageType": "button"}
        if reply_to:
            fields["OriginalRepliedMessageSid"] = reply_to
        fields |= more or {}
        files = [Picture(f"archivo-{number}", *one) for number, one in enumerate(media, 1)]
        message = Written(self.webhooks[fields["To"]], fields, files, profile)
        self.wrote(message)
        self.open_window(sender)
        self._opt(sender, text)
        if self.failing is Failing.DOWN:
            self._held.append(message)
            return 0
        return max(await asyncio.gather(*(self._deliver(message) for _ in range(repeat))))

    def open_window(self, address: str) -> None:
        """As if the person had just written."""
        self._wrote_at[address] = self.now()

    def close_window(self, address: str) -> None:
        """As if the person had not written for a day."""
        self._wrote_at[address] = self.now() - self.window

    def in_window(self, address: str) -> bool:
        """Whether free text may go there."""
        wrote_at = self._wrote_at.get(address)
        return wrote_at is not None and self.now() - wrote_at < self.window

    def keep(self, sid: str, type_: str, content: bytes) -> tuple[str, str]:
        """A file in a person's message: its address, which asks for our credentials, and its type."""
        file = f"ME{next(self._ids):032x}"
        self.files[file] = Picture(file, type_, content)
        return f"{self.url}/{VERSION}/Accounts/{self.account_sid}/Messages/{sid}/Media/{file}", type_

    # what becomes of our messages

    async def advance(self) -> int:
        """Everything that is on its way goes a step, and Acuse is told. How many went."""
        moving = [one for one in self.sent.values() if self._next(one)]
        for one in moving:
            one.steps += 1
            if status := self._next(one, one.steps):
                await self._become(one, status)
        for held in list(self._held) if self.failing is not Failing.DOWN else []:
            if (await self._deliver(held)) // 100 == 2:
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
            if one.to == address and one.status == "delivered":
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
        if status == "sent" and "delivered" in one.told:
            one.status = "delivered"
        self.moved(one, status)
        if url := one.one("StatusCallback"):
            fields = callback(
                status, sid=one.sid, account=self.account_sid, sender=self.sender(one), to=one.to, code=one.fails
            )
            for _ in range(self.repeats):
                await self._post(url, fields)

    def sender(self, one: Sent) -> str:
        """Who it comes from."""
        return one.one("From") or next(iter(self.webhooks))

    # what the page's half shows of it; the protocol alone shows nothing

    def name_of(self, address: str) -> str:
        """How the person calls themselves."""
        return "Ana"

    def wrote(self, message: Written) -> None:
        """A person wrote."""

    def taken(self, message: Written) -> None:
        """Acuse has a person's message."""

    def appeared(self, one: Sent) -> None:
        """A message of ours is on its way to a person."""

    def moved(self, one: Sent, status: str) -> None:
        """It was delivered, read, or failed."""

    def carrier_said(self, address: str, text: str) -> None:
        """Twilio answered a person by itself."""

    # how it calls us

    def _opt(self, address: str, text: str) -> None:
        """What Twilio does by itself on SMS."""
        word = text.strip().casefold()
        if self.kind != "sms" or word not in STOPS | STARTS:
            return
        (self.stopped.add if word in STOPS else self.stopped.discard)(address)
        gone = "You have successfully been unsubscribed."
        self.carrier_said(address, gone if word in STOPS else "You have been re-subscribed.")

    async def _deliver(self, message: Written) -> int:
        status = await self._post(message.url, message.fields)
        if status // 100 == 2:
            if not message.taken:
                message.taken = True
                self.taken(message)
        elif message not in self._held:
            self._held.append(message)
            self.tell("hook_failed", str(status), "bad")
        return status

    async def _post(self, url: str, fields: Mapping[str, str]) -> int:
        headers = {"X-Twilio-Signature": signature(url, fields, self.auth_token)}
        try:
            answer = await self._send.post(url, data=dict(fields), headers=headers)
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _sid(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):032x}"
