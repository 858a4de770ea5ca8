"""Tell that the other side is a machine though it says so nowhere: two that answer each other must not go on (A0-11).

What it writes is kept and shown to people, and not answered. A person who is taken for one is waited for by people, and
the next message that reads otherwise is answered as ever.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

from bot.bursts import VOICE, Burst
from bot.parts import Parts
from storage.folding import fold
from storage.messages import Heard
from storage.tables import Conversation, Message
from storage.transaction import Transaction

LOOKS_BACK = timedelta(hours=24)
AT_ONCE = timedelta(seconds=2)  # after a message of ours: nobody reads it and writes a sentence in that time
IN_A_ROW = 4  # messages that came so fast, the last one included
SAME = 3  # times that the same words were answered already; in mail one is enough, as RFC 3834 has it
LETTERS = 15  # anybody may write "sí, gracias" twice
SENTENCES = 40  # letters
_SIGNS = re.compile(r"[\W_]+")
_NO_LETTERS = re.compile(r"[\W\d_]+")


async def why(parts: Parts, tx: Transaction, conversation: Conversation, bursts: Sequence[Burst]) -> str | None:
    """What makes these messages look like a machine's; None: a person's.

    Only plain words can: nobody else presses a button, sends a file, speaks or opens a link.
    """
    threads = parts.features(conversation.account).threads
    messages = [message for burst in bursts for message in burst.messages]
    if not messages or conversation.speaker != "bot" or not (threads or conversation.answers):
        return None
    if any(burst.pressed or burst.files or burst.understanding is None for burst in bursts):
        return None
    if any(message.extra.get(VOICE) for message in messages):
        return None
    prints = [fingerprint(message.text) for message in messages]
    if min(map(len, prints)) < LETTERS:
        return None
    heard = await tx.messages.heard_from(conversation.contact_point_id, parts.now() - LOOKS_BACK)
    return _looks(prints, messages, heard, at_most=1 if threads else SAME)


def _looks(prints: Sequence[str], messages: Sequence[Message], heard: Sequence[Heard], *, at_most: int) -> str | None:
    now = {message.id for message in messages}
    before = [one for one in heard if one.id not in now]
    known = [fingerprint(one.text) for one in before]
    repeated = min(known.count(one) for one in prints)
    quick = [_at_once(one) for one in heard]  # the newest first
    if repeated and quick[:1] == [True]:
        return "the same words at once after ours"
    if repeated >= at_most:
        return "the same words again and again"
    streak = [fast and len(fingerprint(one.text)) >= LETTERS for fast, one in zip(quick, heard, strict=True)]
    if len(streak) >= IN_A_ROW and all(streak[:IN_A_ROW]):
        return "whole sentences within two seconds of ours, time after time"
    return None


def fingerprint(text: str) -> str:
    """What makes a text the same as another.

    Of whole sentences the letters: a robot's ticket numbers and dates make no other text of it. Of a few words the
    digits too: whoever corrects an order number says something else.
    """
    folded = fold(text[:2_000])
    letters = _NO_LETTERS.sub("", folded)
    return letters if len(letters) >= SENTENCES else _SIGNS.sub("", folded)


def _at_once(one: Heard) -> bool:
    return one.ours_at is not None and timedelta(0) < one.at - one.ours_at <= AT_ONCE
