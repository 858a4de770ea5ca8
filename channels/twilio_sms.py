"""SMS: plain text, company and code first, GSM-7 where it can be, numbers instead of buttons."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import httpx
from pydantic import Field

from channels import twilio
from channels.channel import Features, House, Outbound, Rate
from channels.sms import labelled, segments, transliterated
from channels.twilio_parts import of_text

TEXT_LIMIT = 1600  # characters that Twilio takes
_ROOM = 160  # of them for the label, and for where one may answer
_ANSWER_AT = {"es": "Para responder: {}", "en": "To reply: {}", "pt": "Para responder: {}"}


class Settings(twilio.Settings):
    """The section of a number in config.yaml."""

    transliterate: Literal["auto", "never"] = "auto"
    """auto: á í ó ú lose their accent where that makes the message cheaper; ñ é ü keep it."""
    two_way: bool = True
    """Whether people can answer to the sender; some countries and alphanumeric senders cannot be answered."""
    answer_at: str | None = None
    """Where to answer instead; null: the chat at public_url."""
    per_second: int = Field(default=1, ge=1)
    """Messages that the sender may send: 1 for a long code, more for toll-free numbers, short codes and pools."""


class Sms(twilio.Twilio):
    """One number or messaging service."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        house: House,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        features = Features(
            text_limit=TEXT_LIMIT - _ROOM,
            files=False,
            burst=timedelta(seconds=20),
            late_ack=timedelta(seconds=60),
            receipts=bool(settings.public_url or house.public_url),
            pace=(Rate(settings.per_second, timedelta(seconds=1)),),
        )
        super().__init__(name, settings, now=now, house=house, features=features, transport=transport)
        self._sms = settings

    async def send(self, message: Outbound) -> str:
        """Send the text as one SMS of several segments. Raises Undeliverable or Unavailable."""
        text = self.written(message)
        try:
            return await self._send_parts(message, of_text([self._part(text)] if text else []))
        except twilio.Refused as refused:
            raise refused.fault from None

    async def _webhook_of_sender(self, sender: str) -> str | None:
        numbers = await self._asked(
            lambda: self._client.incoming_phone_numbers.list_async(phone_number=sender, limit=1)
        )
        return (numbers[0].sms_url or "") if numbers else None

    def written(self, message: Outbound) -> str:
        """The text as it leaves."""
        text = message.text.strip()
        where = self._sms.answer_at or (f"{self._public}/chat" if self._public else None)
        if not self._sms.two_way and where:
            text = f"{text}\n{_ANSWER_AT.get(message.language, _ANSWER_AT['en']).format(where)}"
        text = labelled(text, self._house.company, message.code) if text else ""
        if self._sms.transliterate == "never":
            return text
        plain = transliterated(text)
        return plain if len(plain) <= TEXT_LIMIT and segments(plain).count < segments(text).count else text

    def segments(self, message: Outbound) -> int:
        """How many SMS are paid for it, as it leaves."""
        return segments(self.written(message)).count

    def _part(self, text: str) -> dict[str, object]:
        """Twilio's own replacing of typographic signs is a transliteration, too."""
        return {"body": text, "smart_encoded": True} if self._sms.transliterate == "auto" else {"body": text}
