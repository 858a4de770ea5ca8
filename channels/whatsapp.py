"""WhatsApp: free text, buttons and lists within 24 hours of the person's last message, approved templates after."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

import httpx

from channels import twilio, whatsapp_writing
from channels.channel import (
    Arrival,
    ChannelError,
    Features,
    File,
    Health,
    House,
    Inbound,
    Outbound,
    Rate,
    Request,
    TemplateState,
    Unavailable,
    Undeliverable,
)
from channels.links import link
from channels.twilio_parts import Part, of_text
from channels.twilio_reading import WHATSAPP
from channels.whatsapp_contents import Contents
from channels.whatsapp_templates import Template, candidates, load, with_links
from channels.whatsapp_writing import TEXT_LIMIT

logger = logging.getLogger(__name__)
WINDOW = timedelta(hours=24)
_CLOSED = 63016
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{16,64}")  # of a link: long enough that nobody types it
_TEMPLATE_FAULTS = (63027, 63028, 63029)


class Settings(twilio.Settings):
    """The section of a WhatsApp sender in config.yaml."""


class WhatsApp(twilio.Twilio):
    """One WhatsApp sender."""

    prefix = WHATSAPP

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        house: House,
        transport: httpx.AsyncBaseTransport | None = None,
        templates: Sequence[Template] | None = None,
    ) -> None:
        public = bool(settings.public_url or house.public_url)
        features = Features(
            buttons=10,
            text_limit=TEXT_LIMIT,
            files=public,  # Twilio fetches them from us
            free_text_window=WINDOW,
            burst=timedelta(seconds=8),
            receipts=public,
            pace=(Rate(1, timedelta(seconds=6), "recipient"), Rate(80, timedelta(seconds=1))),
        )
        super().__init__(name, settings, now=now, house=house, features=features, transport=transport)
        self._templates = tuple(templates) if templates is not None else load()
        self._contents = Contents(self._client, self._asked, now)

    async def send(self, message: Outbound) -> str:
        """Free text while the window is open, else a template. Raises Undeliverable or Unavailable."""
        try:
            if not message.window_open:
                return await self._send_template(message)
            try:
                return await self._send_parts(message, await self._parts(message))
            except twilio.Refused as refused:
                if refused.code != _CLOSED:
                    raise
                self._left.drop(message.key)
                return await self._send_template(message)
        except twilio.Refused as refused:
            raise refused.fault from None

    async def _parts(self, message: Outbound) -> list[Part]:
        """Files, each as its own message (documents have no caption), then the text with its choices."""
        media, links = await self._files_of(message)
        text = "\n\n".join(filter(None, (message.text.strip(), *links)))
        message = replace(message, text=text)
        choices = whatsapp_writing.shape(message)
        sid = await self._contents.choices(choices) if choices else None
        if choices and sid:
            return [*media, Part(whatsapp_writing.with_choices(message, sid, choices), "choices")]
        return [*media, *of_text(whatsapp_writing.numbered(message))]

    async def _files_of(self, message: Outbound) -> tuple[list[Part], list[str]]:
        media, links = [], []
        for file in message.files:
            address, size = await self._handed_out(file)
            if whatsapp_writing.is_taken(file, size):
                media.append(Part({"media_url": [address]}, f"file {file.path.name} {file.name}"))
            else:
                links.append(f"{file.name}: {address}")
        return media, links

    async def _handed_out(self, file: File) -> tuple[str, int]:
        """Where a file can be fetched, and its size. Raises Undeliverable."""
        if not self._public:
            raise Undeliverable("whatsapp: files need company.public_url", means="message")
        try:
            size = (await asyncio.to_thread(file.path.stat)).st_size
        except OSError:
            raise Undeliverable("whatsapp: the file to send cannot be read", means="message") from None
        return link(replace(self._house, public_url=self._public), file, now=self._now()), size

    async def _send_template(self, message: Outbound) -> str:
        """The most telling template that is approved; one that Meta does not take is tried in the next language.

        No template carries a file, so each is a link in one that has room for words; else the message is refused.
        """
        links = [(await self._handed_out(file))[0] for file in message.files]
        numbers = [f"{number}. {button.label}" for number, button in enumerate(message.buttons, start=1)]
        text = with_links("\n".join(filter(None, (message.text.strip(), *numbers))), links)
        if text is None:
            raise Undeliverable("whatsapp: a template has no room for so many files", means="message")
        blanks = {**message.blanks, "text": text, **({"code": message.code} if message.code else {})}
        blanks = {name: value for name, value in blanks.items() if value.strip()}
        fitting = candidates(self._templates, message.kind, message.language, blanks, len(message.buttons))
        fitting = [one for one in fitting if "text" in one.blanks or not links]
        fault: ChannelError = Undeliverable("whatsapp: no template is approved: acuse templates status", "message")
        for template in fitting:
            sid = await self._contents.approved(template)
            if sid is None:
                continue
            payloads = [button.payload for button in message.buttons] if template.buttons else []
            values = json.dumps(template.variables(blanks, payloads), ensure_ascii=False)
            try:
                fields = {"content_sid": sid, "content_variables": values}
                return await self._send_parts(message, [Part(fields, f"template {sid}")])
            except twilio.Refused as refused:
                if refused.code not in _TEMPLATE_FAULTS:
                    raise
                logger.error(
                    "%s: the template %s (%s) was refused: %s", self.name, template.name, template.language, refused
                )
                self._contents.forget()
                fault = refused.fault
        raise fault

    async def deep_link(self, payload: str) -> str:
        """The address that opens a chat with us in which a text with this payload waits to be sent.

        It comes back as `Inbound.start`. Raises Unavailable where only a messaging service, and no number, is known.
        """
        sender = self._settings.from_number
        if not sender:
            raise Unavailable("whatsapp: the number of the sender is not known")
        return f"https://wa.me/{sender.removeprefix('+')}?text={quote(self._opener(payload))}"

    def read(self, request: Request) -> list[Arrival]:
        """As of any sender at Twilio; a text that a link of ours wrote is its payload."""
        return [self._opened(one) if isinstance(one, Inbound) else one for one in super().read(request)]

    def _opener(self, payload: str) -> str:
        return f"{self._house.company} {payload}".strip()

    def _opened(self, inbound: Inbound) -> Inbound:
        payload = inbound.text.strip().rpartition(" ")[2]
        ours = _PAYLOAD.fullmatch(payload) and inbound.text.strip() == self._opener(payload)
        return replace(inbound, start=payload) if ours else inbound

    async def _webhook_of_sender(self, sender: str) -> str | None:
        senders = await self._asked(
            lambda: self._client.messaging.v2.channels_senders.list_async(channel="whatsapp", limit=100)
        )
        ours = next((one for one in senders if one.sender_id == self.prefix + sender), None)
        return (ours.webhook or {}).get("callback_url") or "" if ours else None

    async def notice(self, inbound: Inbound) -> None:
        """Show "typing" for at most 25 s, which marks the message as read."""
        try:
            await self._asked(
                lambda: self._client.messaging.v2.typing_indicator.create_async(
                    channel="whatsapp", message_id=inbound.key
                )
            )
        except (twilio.Refused, ChannelError) as error:
            logger.info("%s: no typing sign: %s", self.name, type(error).__name__)

    async def templates(self, *, push: bool = False) -> list[TemplateState]:
        """How each template stands; `push` creates and submits what is missing. Raises Unavailable."""
        try:
            return [await self._contents.state(template, push=push) for template in self._templates]
        except twilio.Refused as refused:
            raise Unavailable(str(refused.fault)) from None

    async def check(self) -> Health:
        """The account, and how many templates are approved."""
        health = await super().check()
        if not health.ok:
            return health
        try:
            states = await self.templates()
        except Exception as error:  # a check tells, it never raises
            return Health(False, f"templates: {type(error).__name__}", "Ask again later: acuse templates status.")
        approved = sum(one.state == "approved" for one in states)
        detail = f"{health.detail}; {approved} of {len(states)} templates approved"
        if approved == len(states):
            return Health(True, detail)
        missing = any(one.state in ("missing", "unsubmitted") for one in states)
        remedy = "acuse templates push" if missing else "acuse templates status tells what to do"
        return Health(approved > 0, f"{detail} (after 24 hours only these can be sent)", remedy)
