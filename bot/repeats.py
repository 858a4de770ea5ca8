"""Somebody sends a mail once more: a person is told how the case stands, a robot nothing (P14, RFC 3834).

Two robots that answer each other do so within minutes, and in the thread. Whoever sends the same again as a mail of its
own, after a while, has probably seen no answer: one pointer a day harms nobody, and ends no loop later than without it.
"""

from collections.abc import Sequence
from datetime import timedelta

from bot.bursts import Burst
from bot.machines import LOOKS_BACK, fingerprint
from bot.parts import Parts
from bot.talking import Talking
from storage.messages import Heard
from storage.tables import Conversation, Message
from storage.transaction import Transaction

AFTER = timedelta(minutes=15)  # since the last of the same words: auto-responders are faster
ONCE_IN = timedelta(hours=24)


async def pointed(parts: Parts, tx: Transaction, conversation: Conversation, bursts: Sequence[Burst]) -> bool:
    """Answer what machines.why took for a machine's with the state of its case. False: nothing is said.

    The mail then belongs to that case, where colleagues see it beside the first one.
    """
    messages = [message for burst in bursts for message in burst.messages]
    if not parts.features(conversation.account).threads or len(messages) != 1 or conversation.case_id is not None:
        return False
    message = messages[0]
    heard = await tx.messages.heard_from(conversation.contact_point_id, parts.now() - LOOKS_BACK)
    if (first := _first(message, heard)) is None:
        return False
    known = await tx.messages.get(first.id)
    beside = await tx.conversations.get(known.conversation_id) if known is not None else None
    case = await tx.cases.get(beside.case_id) if beside is not None and beside.case_id is not None else None
    if case is None or case.closed_at is not None:
        return False  # whoever writes the same of a case that is over is read by people
    if not await tx.limits.use(f"again:{conversation.contact_point_id}", at_most=1, within=ONCE_IN):
        return False
    await tx.conversations.enter(conversation, case.id, beside=beside)
    await tx.flush()
    talking = await Talking.begin(parts, tx, conversation, entries=[message.id], received=message.received_at)
    await talking.tell_state()
    await talking.finish()
    await tx.outbox.withdraw_late_acks(conversation.id, parts.now())
    return True


def _first(message: Message, heard: Sequence[Heard]) -> Heard | None:
    """The last of the same words before this mail, if this one begins a thread and did not come right after it."""
    now = next((one for one in heard if one.id == message.id), None)
    if now is None or now.ours_at is not None:
        return None  # it answers ours
    print_ = fingerprint(message.text)
    before = next((one for one in heard if one.id != message.id and fingerprint(one.text) == print_), None)
    return before if before is not None and now.at - before.at >= AFTER else None
