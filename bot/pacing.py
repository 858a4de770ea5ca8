"""How fast an account may send: its turn is taken when a message is about to leave, over all workers."""

from datetime import datetime, timedelta

from bot.consent import purpose
from bot.outbound import in_its_thread
from bot.parts import Parts
from channels.channel import Places
from storage.pacing import Bucket, bucket
from storage.tables import Conversation, Outgoing
from storage.transaction import Transaction

YIELDS = timedelta(seconds=1)  # what may wait looks again after so long


async def turn(parts: Parts, tx: Transaction, conversation: Conversation, row: Outgoing) -> datetime:
    """When it is this row's turn: now, or later. A turn that was given is kept (`slot_at`), so nobody overtakes.

    Surveys and broadcasts have a queue of their own, at half the pace, and leave only where no conversation waits.
    """
    buckets, now = _buckets(parts, row.account, _reader(parts, conversation, row)), parts.now()
    if not buckets:
        return now
    if purpose(row.kind) == "case":
        if row.slot_at is None:
            row.slot_at = await tx.pacing.turn(buckets)
        return row.slot_at
    if row.slot_at is None:
        row.slot_at = await tx.pacing.turn([_apart(row.account, buckets)])
    if row.slot_at > now:
        return row.slot_at
    if await tx.pacing.turn_if_idle(buckets):
        return now
    return now + YIELDS + timedelta(milliseconds=parts.choose(1000))


async def turn_at(parts: Parts, tx: Transaction, account: str, place: str) -> datetime:
    """When something may be shown at a place where agents work: the next turn there is taken, and is ours."""
    buckets = _buckets(parts, account, place)
    return await tx.pacing.turn(buckets) if buckets else parts.now()


def _reader(parts: Parts, conversation: Conversation, row: Outgoing) -> str:
    """Who gets it: a person, or all who read in one place, where the provider counts what is said to any of them."""
    channel = parts.channels.get(row.account)
    if not isinstance(channel, Places) or not in_its_thread(parts, conversation, row):
        return row.address
    return channel.place_of(conversation.thread_key) or row.address


def _buckets(parts: Parts, account: str, reader: str) -> list[Bucket]:
    return [
        bucket(account if rate.per == "account" else f"{account}\n{reader}", rate.messages, rate.within)
        for rate in parts.features(account).pace
    ]


def _apart(account: str, buckets: list[Bucket]) -> Bucket:
    """The queue of what may always wait."""
    steps = [one.step for one in buckets if one.key == account]
    return Bucket(f"{account}\n\nlater", 2 * min(steps or [one.step for one in buckets]))
