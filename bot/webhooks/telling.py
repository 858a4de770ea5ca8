"""What other programs are told of a case: built at the end of the transaction in which it happened, and kept in it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from bot.evidence import shown
from bot.webhooks.settings import Webhook
from storage.notices import Notices
from storage.tables import Case, Conversation, Message, Outgoing
from storage.transaction import Transaction
from storage.webhooks import Sender, Told, line_of

KEPT_TO_OURSELVES = ("code", "alert")  # kinds of our rows: a proof of a mailbox, a call for colleagues


@dataclass(frozen=True)
class _News:
    """A happening. `contents` is what people wrote or who they are, for those who may see it."""

    kind: str
    key: str
    case: Case
    data: Mapping[str, Any]
    contents: Mapping[str, Any]


class Telling:
    """Called by the database before each commit that changed something; `kinds`: account name -> kind of channel."""

    def __init__(self, webhooks: Mapping[str, Webhook], kinds: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self._webhooks = webhooks
        self._kinds = kinds
        self._now = now
        self._contents = any(one.contents for one in webhooks.values())  # who wrote is looked up for nobody else

    async def __call__(self, tx: Transaction, notices: Notices) -> None:
        """Append what happened to the lines of those who want to know, and wake their sending."""
        news = await self._news(tx, notices)
        told = [one for name, webhook in self._webhooks.items() for one in self._for(name, webhook, news)]
        if not told:
            return
        names = {line_of(one.webhook, one.case_id): one.webhook for one in told}
        for line in await tx.webhooks.append(told):
            await tx.wake("hook", line, lane=names[line])

    def _for(self, name: str, webhook: Webhook, news: Sequence[_News]) -> Iterator[Told]:
        for one in news:
            if one.kind in webhook.events:
                case = self._case(one.case) | ({"facts": one.case.facts} if webhook.contents else {})
                data = {"case": case, **one.data} | (dict(one.contents) if webhook.contents else {})
                yield Told(name, one.case.id, one.kind, one.key, data)

    async def _news(self, tx: Transaction, notices: Notices) -> list[_News]:
        """Of each case: that it was opened, what came in, what changed, and what left."""
        known = {one.id: one for one in notices.changed.values()}

        async def case_of(case_id: UUID) -> Case:
            if case_id not in known:
                found = await tx.cases.get(case_id)
                assert found is not None  # a foreign key holds it
                known[case_id] = found
            return known[case_id]

        found = [_opened(await case_of(case_id)) for case_id in notices.opened]
        entries = await tx.webhooks.entries(list(notices.linked)) if notices.linked else []
        senders = await tx.webhooks.senders([one.id for one in entries]) if entries and self._contents else {}
        for message in entries:
            found.append(self._came(message, senders.get(message.id), await case_of(notices.linked[message.id])))
        for case_id, case in notices.changed.items():
            if case_id not in notices.opened:
                found += self._changed(case, notices.before[case_id])
        for talk in notices.flagged.values():
            if talk.case_id is not None and talk.flagged_at is not None:
                found.append(_flagged(talk, await case_of(talk.case_id)))
        left = [one for one in notices.sent.values() if one.case_id is not None and one.kind not in KEPT_TO_OURSELVES]
        names = await self._names(tx, left)
        for row in left:
            assert row.case_id is not None
            found.append(self._left(row, names.get(row.id), await case_of(row.case_id)))
        return found

    async def _names(self, tx: Transaction, rows: Sequence[Outgoing]) -> Mapping[UUID, str]:
        """By message: the agent who wrote it. What the bot says in an agent's stead is nobody's word."""
        wrote = {row.id: UUID(row.author.removeprefix("agent:")) for row in rows if row.author.startswith("agent:")}
        if not wrote or not self._contents:
            return {}
        names = await tx.webhooks.agents(list(wrote.values()))
        return {row_id: names[agent] for row_id, agent in wrote.items() if agent in names}

    def _changed(self, case: Case, before: Mapping[str, Any]) -> Iterable[_News]:
        version = f"{case.last_event}:{self._now().isoformat()}"  # it happens once
        changed = {
            name: {"from": _plain(before[name]), "to": _plain(getattr(case, name))}
            for name in ("status", "severity", "type", "merged_into")
            if name in before and before[name] != getattr(case, name)
        }
        if changed:
            yield _News("case.changed", f"changed:{version}", case, {"changed": changed}, {})
        solved = {"solved_by", "solved_at"} & before.keys()
        if solved and case.solved_at is not None:
            yield _News("case.solved", f"solved:{version}", case, {"solved_by": case.solved_by}, {})

    def _came(self, message: Message, sender: Sender | None, case: Case) -> _News:
        data = {
            "message": {
                "id": str(message.id),
                "direction": "in",
                "author": "customer" if message.kind == "person" else "machine",
                "channel": self._kinds.get(message.account, message.account),
                "at": _plain(message.sent_at),
            }
        }
        words = {"text": message.text, "subject": message.subject}
        if sender is not None:
            words |= {"name": sender.name, "from": shown(self._kinds.get(message.account), sender.address)}
        return _News("case.message", f"in:{message.id}", case, data, {"content": words})

    def _left(self, row: Outgoing, name: str | None, case: Case) -> _News:
        data = {
            "message": {
                "id": str(row.id),
                "direction": "out",
                "author": row.author.partition(":")[0],
                "kind": row.kind,
                "channel": self._kinds.get(row.account, row.account),
                "at": _plain(row.sent_at),
            }
        }
        address = shown(self._kinds.get(row.account), row.address)
        words = {"text": row.text, "subject": row.subject, "name": name, "to": address}
        return _News("case.message", f"out:{row.id}", case, data, {"content": words})

    def _case(self, case: Case) -> dict[str, Any]:
        """The case as it stands, without a word of the customer."""
        return {
            "id": str(case.id),
            "code": case.code,
            "person": str(case.person_id),
            "channel": self._kinds.get(case.account, case.account),
            "type": case.type,
            "severity": case.severity,
            "status": case.status,
            "due": _plain(case.due),
            "due_kind": case.due_kind,
            "opened_at": _plain(case.opened_at),
            "solved_by": case.solved_by,
            "solved_at": _plain(case.solved_at),
            "closed_at": _plain(case.closed_at),
            "merged_into": _plain(case.merged_into),
        }


def _opened(case: Case) -> _News:
    return _News("case.opened", "opened", case, {}, {})


def _flagged(talk: Conversation, case: Case) -> _News:
    assert talk.flagged_at is not None
    data = {"reason": talk.flag_reason, "urgent": talk.urgent, "conversation": str(talk.id)}
    return _News("case.flagged", f"flagged:{talk.id}:{talk.flagged_at.isoformat()}", case, data, {})


def _plain(value: datetime | date | UUID | str | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, UUID) else value.isoformat()
