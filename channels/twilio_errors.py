"""What Twilio's error codes mean for a message, as data: the class of each, and what must be done."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from channels.channel import ChannelError, Unavailable, Undeliverable

Class = Literal["soft", "hard", "config", "bug"]
Means = Literal["address", "opted_out", "message", "window", "later", "account"]

_BACK_OFF = tuple(timedelta(minutes=m) for m in (5, 15, 60, 240, 720, 1440))
_SOON = tuple(timedelta(seconds=s) for s in (5, 20, 60, 240, 600))
_HANDSET = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6))
_MENDED = tuple(timedelta(minutes=m) for m in (10, 30, 60))


@dataclass(frozen=True)
class Verdict:
    """What an error code means.

    `means`: see `channels.channel.DeliveryReport`. `retries`: the pauses before each new attempt, if it means "later".
    `alert`: somebody must look at the account or at us.
    """

    kind: Class
    means: Means
    words: str
    retries: tuple[timedelta, ...] = ()
    alert: bool = False


VERDICTS: dict[int, Verdict] = {
    # WhatsApp
    63016: Verdict("soft", "window", "outside the 24-hour window"),
    63018: Verdict("soft", "later", "the sender's messaging limit is reached", _BACK_OFF, alert=True),
    63017: Verdict("soft", "later", "more than the account may send in a second", _SOON),
    63014: Verdict("hard", "opted_out", "the recipient blocked us or withdrew consent"),
    63024: Verdict("hard", "address", "the recipient has no WhatsApp or cannot receive"),
    63027: Verdict("config", "account", "the template does not exist in this language", alert=True),
    63028: Verdict("config", "account", "the template has another number of variables", alert=True),
    63029: Verdict("config", "account", "a variable of the template has a wrong format", alert=True),
    63032: Verdict("soft", "message", "the recipient is in an experiment of Meta and cannot be reached now"),
    63003: Verdict("hard", "address", "there is no such address"),
    63013: Verdict("config", "message", "the message is against the channel's policy", alert=True),
    63019: Verdict("config", "message", "a file could not be downloaded from us", alert=True),
    63021: Verdict("config", "message", "the content is not valid on this channel", alert=True),
    63022: Verdict("config", "message", "the content is not valid on this channel", alert=True),
    63038: Verdict("soft", "later", "the account's limit of the day is reached", _BACK_OFF[2:], alert=True),
    # SMS
    21610: Verdict("hard", "opted_out", "the recipient opted out (STOP)"),
    21611: Verdict("soft", "later", "the sender's queue is longer than 10 hours", _BACK_OFF, alert=True),
    21617: Verdict("bug", "message", "the text is longer than 1,600 characters", alert=True),
    21211: Verdict("hard", "address", "not a number that can be written to"),
    21614: Verdict("hard", "address", "not a mobile number"),
    30003: Verdict("soft", "later", "the handset cannot be reached (off, no coverage, or a landline)", _HANDSET),
    30004: Verdict("hard", "address", "the recipient's carrier blocks the message"),
    30005: Verdict("hard", "address", "unknown handset"),
    30006: Verdict("hard", "address", "a landline, or a carrier that cannot be reached"),
    30007: Verdict("config", "account", "filtered by the carrier", alert=True),
    30008: Verdict("soft", "later", "unknown error", (timedelta(minutes=2),)),
    # both
    11751: Verdict("bug", "message", "the file is too large", alert=True),
    20429: Verdict("soft", "later", "too many requests", _SOON),
    # what the call itself may be refused with
    20003: Verdict("config", "later", "the credentials are not accepted", _MENDED, alert=True),
    21408: Verdict("config", "account", "sending to this country is not switched on", alert=True),
    21606: Verdict("config", "later", "the sender's number cannot send", _MENDED, alert=True),
    21659: Verdict("config", "later", "the sender's number is not of this account", _MENDED, alert=True),
    63007: Verdict("config", "later", "the sender is not set up for this channel", _MENDED, alert=True),
    30034: Verdict("config", "account", "the number is not registered with the carriers (A2P 10DLC)", alert=True),
    21656: Verdict("bug", "message", "the variables of the content are not valid", alert=True),
}
UNKNOWN = Verdict("bug", "message", "refused")


def verdict(code: int | None) -> Verdict:
    """What a code means; one that we do not know speaks of this message only, never of the address."""
    return VERDICTS.get(code or 0, UNKNOWN)


def reason(code: int | None, said: str = "") -> str:
    """One line for people: our words, else what Twilio said."""
    known = VERDICTS.get(code or 0)
    words = known.words if known else (said[:200] or UNKNOWN.words)
    return f"twilio {code}: {words}" if code else f"twilio: {words}"


def fault(code: int | None, status: int, said: str = "", retry_after: timedelta | None = None) -> ChannelError:
    """The error of a call that was refused, named by its remedy."""
    if code not in VERDICTS:
        if status == 429 or status >= 500:
            return Unavailable(reason(code, said or f"answered with {status}"), retry_after)
        if status in (401, 403):
            return Unavailable(reason(20003), VERDICTS[20003].retries[0], account=True)
        return Undeliverable(reason(code, said), means="message")
    found = VERDICTS[code]
    match found.means:
        case "later":
            return Unavailable(reason(code), retry_after or found.retries[0], account=found.alert)
        case "address" | "opted_out" | "account":
            return Undeliverable(reason(code), means=found.means)
    return Undeliverable(reason(code), means="message")
