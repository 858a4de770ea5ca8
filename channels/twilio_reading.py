"""Translate what Twilio posts to us into arrivals. Pure: no network; the caller gives the moment."""

import mimetypes
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, parse_qsl, urlsplit

from twilio.request_validator import (  # type: ignore[import-untyped]  # it ships no types
    HMAC_SHA1,
    RequestValidator,
    get_signature_algorithm,
)

from channels.channel import (
    Address,
    Arrival,
    Blocked,
    DeliveryReport,
    Forged,
    Ignored,
    Inbound,
    Malformed,
    Media,
    Request,
    Unsupported,
)
from channels.storable import storable
from channels.twilio_errors import reason, verdict
from channels.twilio_numbers import variants

WHATSAPP = "whatsapp:"
KEY = "key"  # in the address of a status callback: which of our messages it speaks of
PART = "part"  # the same: which of several parts it is
LAST = "last"  # the same: that part is the last one
OF = "of"  # the same: the sid of the first part, by which we know the message; the first one's callback has none
_SETTLED = {"sent": "sent", "delivered": "delivered", "read": "read"}
_FAILED = ("failed", "undelivered", "canceled")
_MEDIA_LIMIT = 20
_FIELDS_LIMIT = 500
# what Twilio acts on by itself on a long code; Advanced Opt-Out adds others and says so in OptOutType
_STOPS = frozenset({"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"})
_STARTS = frozenset({"start", "unstop"})


class Fields(dict[str, list[str]]):
    """The fields of a form, untouched: the signature is over every blank in them."""

    def getlist(self, name: str) -> list[str]:
        """All values of a field; what Twilio's validator asks for."""
        return self.get(name, [])

    def text(self, name: str) -> str:
        """The first value, storable; empty when it is not there."""
        return storable(self.get(name, [""])[0])

    def number(self, name: str) -> int:
        """The first value as a number from 0 to 999,999; 0 when it is none."""
        value = self.text(name)
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= 6 else 0


def proved(request: Request, url: str, tokens: Iterable[str], shared_key: str | None) -> Fields:
    """The fields of a call that Twilio signed. `tokens`: the auth token, and the next one while it is changed.

    Raises Forged, Malformed, or Unsupported for a body that is no form.
    """
    signature = request.headers.get("x-twilio-signature", "")
    algorithm = get_signature_algorithm(request.headers.get("x-twilio-webhooks-signature-settings", ""))
    keys = list(tokens) if algorithm.upper() == HMAC_SHA1 else [shared_key] if shared_key else []
    is_form = "json" not in request.headers.get("content-type", "").lower()
    signed: Fields | str = _form(request.body) if is_form else _json(request, url)
    valid = [RequestValidator(key).validate(url, signed, signature, algorithm) for key in keys if signature]
    if not any(valid):
        raise Forged("twilio: the signature is not Twilio's: is public_url the address that Twilio calls?")
    if isinstance(signed, str):
        raise Unsupported("twilio: an event in JSON")
    return signed


def _form(body: bytes) -> Fields:
    fields = Fields()
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS_LIMIT)
    except ValueError as error:
        raise Malformed("twilio: not a form") from error
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _json(request: Request, url: str) -> str:
    if "bodySHA256" not in parse_qs(urlsplit(url).query):
        raise Forged("twilio: the body is not signed")  # the signature would be over the address alone
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("twilio: not UTF-8") from error


def read(fields: Fields, url: str, *, account: str, now: datetime) -> list[Arrival]:
    """Translate a call that is proved. Twilio gives no time of its own, so `now` is the moment of a message.

    Raises Malformed.
    """
    sid = fields.text("MessageSid") or fields.text("SmsSid")
    if not sid:
        raise Malformed("twilio: no MessageSid")
    if fields.text("MessageStatus") and "NumMedia" not in fields:
        return [_report(fields, sid, url, account, now)]
    return _message(fields, sid, account, now)


def _report(fields: Fields, sid: str, url: str, account: str, now: datetime) -> Arrival:
    status = fields.text("MessageStatus").lower()
    if status not in _SETTLED and status not in _FAILED:
        return Ignored(why=f"twilio: {status}")  # on its way
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    part = int(query[PART]) if query.get(PART, "").isdecimal() else None
    if part is not None and status == "sent" and LAST not in query:
        return Ignored(why="twilio: sent, but for the last part")
    recipient = fields.text("To").removeprefix(WHATSAPP) or None
    told = partial(
        DeliveryReport,
        account=account,
        provider_id=query.get(OF, sid),
        at=now,
        recipient=recipient,
        key=query.get(KEY),
        part=part,
        last_part=LAST in query,
    )
    if status in _SETTLED:
        return told(state=_SETTLED[status])
    code = fields.number("ErrorCode") or None
    found = verdict(code)
    # a file is not tried again later: the words may be delivered meanwhile, so it goes another way at once, with them
    alone = part is not None and LAST not in query
    means, retries = ("message", ()) if alone and found.means == "later" else (found.means, found.retries)
    return told(
        state="failed",
        reason=reason(code, fields.text("ErrorMessage") or status),
        permanent=means in ("address", "opted_out"),
        means=means,
        retries=retries,
        alert=found.alert and found.means == "later",
    )


def _message(fields: Fields, sid: str, account: str, now: datetime) -> list[Arrival]:
    written_from = fields.text("From")
    address = written_from.removeprefix(WHATSAPP).strip()
    if not address:
        raise Malformed("twilio: nobody wrote it")
    sender = Address(account, address)
    opt = None if written_from.startswith(WHATSAPP) else _opt(fields)
    media = _media(fields)
    text = _text(fields)
    inbound = Inbound(
        key=sid,
        provider_id=sid,
        sender=sender,
        text=text,
        sent_at=now,
        name=fields.text("ProfileName").strip() or None,
        media=media,
        pressed=fields.text("ButtonPayload") or fields.text("ListId") or None,
        replies_to=tuple(filter(None, [fields.text("OriginalRepliedMessageSid")])),
        same_as=variants(address),
        voice=bool(media) and not text and all((one.declared_type or "").startswith("audio/") for one in media),
        # kept, and not answered: Twilio has done so, and more words of ours would not arrive
        machine=f"sms: {opt}" if opt else None,
    )
    if opt is None:
        return [inbound]
    return [inbound, Blocked(address=sender, blocked=opt == "stop", at=now, opted_out=True)]


def _opt(fields: Fields) -> str | None:
    """stop | start: what Twilio has acted on already."""
    told = fields.text("OptOutType").lower()
    word = fields.text("Body").strip().casefold()
    if told == "stop" or (not told and word in _STOPS):
        return "stop"
    return "start" if told == "start" or (not told and word in _STARTS) else None


def _text(fields: Fields) -> str:
    said = fields.text("Body").strip()
    chosen = fields.text("ButtonText").strip() or fields.text("ListTitle").strip()
    lines = [said or chosen]
    if fields.text("Latitude") and fields.text("Longitude"):
        place = [fields.text("Label").strip(), fields.text("Address").strip()]
        where = f"{fields.text('Latitude')},{fields.text('Longitude')}"
        lines.append("\N{ROUND PUSHPIN} " + ", ".join([*filter(None, place), where]))
    return "\n".join(filter(None, lines))


def _media(fields: Fields) -> tuple[Media, ...]:
    """References to the files; WhatsApp tells no names."""
    found = []
    for number in range(min(fields.number("NumMedia"), _MEDIA_LIMIT)):
        ref, kind = fields.text(f"MediaUrl{number}"), fields.text(f"MediaContentType{number}").partition(";")[0]
        if ref:
            stem = {"audio": "audio", "image": "foto", "video": "video"}.get(kind.partition("/")[0], "documento")
            name = f"{stem}-{number + 1}{_ending(kind)}"
            found.append(Media(name=name, declared_type=kind or None, ref=ref))
    return tuple(found)


def _ending(kind: str) -> str:
    known = {"audio/ogg": ".ogg", "audio/amr": ".amr", "audio/aac": ".aac", "image/webp": ".webp"}
    return known.get(kind) or mimetypes.guess_extension(kind) or ""
