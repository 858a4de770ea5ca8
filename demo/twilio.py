"""The demo's Twilio: the protocol of twilio_api.py, and the phones that the page shows."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from demo.standin import Bubble, Diary, StandIn, State, brief
from demo.twilio_api import TwilioApi
from demo.twilio_line import WINDOW, Sent, Written

_STATES = {"sent": State.SENT, "delivered": State.DELIVERED, "read": State.READ}


class TwilioStandIn(TwilioApi, StandIn):
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
        super().__init__(account_sid, auth_token, now=now, send=send, webhooks=webhooks, kind=kind, window=window)
        self.diary = diary or self.diary
        self._bubbles: dict[str, Bubble] = {}  # by sid

    async def press(self, bubble: Bubble, address: str, payload: str) -> int:
        """The person presses a button or chooses from a list."""
        label = next((label for label, given in bubble.buttons if given == payload), payload)
        bubble.buttons = []
        return await self.write(address, label, button=(label, payload), reply_to=bubble.id)

    def name_of(self, address: str) -> str:
        """As it stands on the phone."""
        return self.phone(address).name

    def wrote(self, message: Written) -> None:
        """A bubble of the person's own."""
        fields = message.fields
        bubble = Bubble(
            id=fields["MessageSid"], mine=True, text=fields["Body"], at=self.now(), files=list(message.files)
        )
        self._bubbles[bubble.id] = self.show(self.phone(fields["From"], message.profile), bubble)

    def taken(self, message: Written) -> None:
        """One tick more."""
        bubble = self._bubbles[message.fields["MessageSid"]]
        if bubble.state is State.SENT:
            bubble.state = State.DELIVERED
            self.tell("taken")

    def appeared(self, one: Sent) -> None:
        """A bubble of ours, with the choices under it."""
        phone, extra = self.phone(one.to), dict[str, Any]()
        if one.fails == 63016:
            self.tell("window", phone.name, "bad")
        if one.shown.approved:
            self.tell("template", one.shown.name)
            extra["template"] = one.shown.name
        bubble = Bubble(
            id=one.sid,
            mine=False,
            text=one.shown.text,
            at=self.now(),
            buttons=one.shown.choices,
            files=list(one.files),
            extra=extra,
        )
        self._bubbles[one.sid] = self.show(phone, bubble, tell=False)
        self.tell("accepted", f"{phone.name}: {brief(one.shown.text)}")  # whether it arrives is told by its ticks

    def moved(self, one: Sent, status: str) -> None:
        """Its ticks, or why it failed."""
        bubble = self._bubbles[one.sid]
        bubble.state = _STATES.get(one.status, State.FAILED)
        failed = bubble.state is State.FAILED
        if failed:
            bubble.why = f"error {one.fails}"
        if status != "sent":
            name = self.phone(one.to).name
            self.tell(str(bubble.state), f"{name}, error {one.fails}" if failed else name, "bad" if failed else "ok")

    def carrier_said(self, address: str, text: str) -> None:
        """It stands on the phone, and is not of ours."""
        extra = {"carrier": True}
        self.show(
            self.phone(address),
            Bubble(id=self._sid("SM"), mine=False, text=text, at=self.now(), extra=extra),
            tell=False,
        )
