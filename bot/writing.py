"""Write outgoing rows: render the catalogue's lines, fit them to the channel, put them into the outbox."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bot.dialogue.effects import SHARE_PHONE
from bot.fitting import fit
from bot.parts import Parts
from bot.wording import company_facts
from channels.channel import Address, Button
from storage.tables import Case, Conversation, Outgoing
from storage.transaction import Transaction

_ABOUT = "@"  # between a choice and the code of its case
_SUBJECT_PREFIX = re.compile(r"^\s*((re|rv|fwd?|enc|res|aw)\s*:\s*)+", re.IGNORECASE)
# what stands for bytes that were in no known charset: its sign, control signs, FF and FE read as letters, "=?utf-8?Q?"
_UNDECODED = re.compile(
    r"[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ffÿþ]|=\?[\w-]+\?[bq]\b", re.IGNORECASE
)
_SAYS = re.compile(r"[^\W_]|[\u2190-\u2bff\U0001f000-\U0001faff]")  # a letter, a digit, or at least a face


async def write(
    parts: Parts,
    tx: Transaction,
    conversation: Conversation,
    to: Address,
    *,
    author: str,
    kind: str,
    text: str,
    buttons: Sequence[Button] = (),
    lines: Sequence[str] = (),
    case: Case | None = None,
    language: str = "es",
    not_before: datetime | None = None,
    first_id: UUID | None = None,
    entries: Sequence[UUID] = (),
    **values: Any,
) -> list[Outgoing]:
    """Queue a text in a (locked) conversation and wake its sending. Several rows when the channel's limit wants it.

    `entries` are messages that belong to the case as well.
    """
    features = parts.features(to.account)
    buttons = [one for one in buttons if one.asks is None or features.proves_phone]
    rows = []
    for number, (part, shown) in enumerate(fit(text, buttons, features)):
        row = tx.outbox.queue(
            conversation,
            address=to.value,
            account=to.account,
            author=author,
            kind=kind,
            text=part,
            # numbered choices are kept too: a typed "2" is then understood
            buttons=[{"label": b.label, "payload": b.payload} for b in shown or (buttons if number == 0 else ())],
            lines=list(lines),
            subject=subject(conversation, case) if features.subject else None,
            code=case.code if case else None,
            case_id=case.id if case else None,
            language=language,
            not_before=not_before or parts.now(),
            **values,
        )
        if number == 0 and first_id is not None:
            row.id = first_id
        rows.append(row)
    if case is not None:
        tx.cases.link(case.id, [*entries, *(row.id for row in rows)])
    if not_before is None or not_before <= parts.now():
        await tx.wake("send", conversation.id, lane=parts.lane(conversation.account))
    await tx.ring(f"conversation:{conversation.id}")
    await tx.ring("desk")
    return rows


def subject(conversation: Conversation, case: Case | None) -> str:
    """The thread's own subject, so that a mail program keeps the thread; the channel adds the code's token.

    Empty where it could not be decoded: a line of ours stands there then, and the references keep the thread.
    """
    own = _SUBJECT_PREFIX.sub("", conversation.subject or "").strip()
    if own and (_UNDECODED.search(own) or not _SAYS.search(own)):
        return ""
    return f"Re: {own}" if own else (case.code if case else "")


def marked(buttons: Sequence[Button], conversation: Conversation, case: Case | None) -> list[Button]:
    """Choices that know which case they decide about: the talk may be of another one, now or when they are pressed."""
    if case is None:
        return list(buttons)
    apart = case.id != conversation.case_id
    choices = ((one, one.payload.partition(_ABOUT)[0]) for one in buttons)
    return [
        Button(one.label, f"{choice}{_ABOUT}{case.code}") if apart or choice.startswith("solved:") else one
        for one, choice in choices
    ]


def meant(pressed: str | None) -> tuple[str | None, str | None]:
    """A choice without its mark, and the code of the case that it was marked with."""
    choice, _, code = (pressed or "").partition(_ABOUT)
    return choice or None, code or None


def offered(rows: Sequence[Outgoing]) -> list[Button]:
    """The choices that stand under the newest message that offers any; a typed "sí" to an agent chooses none."""
    for row in reversed(rows):
        if row.author.startswith("agent:"):
            break
        if row.buttons and row.state != "withdrawn":
            choices = [button(one["label"], one["payload"]) for one in row.buttons]
            return [one for one in choices if one.asks is None]  # what asks for the phone is not chosen by words
    return []


def button(label: str, payload: str) -> Button:
    """A choice as it is kept; one asks for the phone itself."""
    return Button(label, payload, asks="phone" if payload == SHARE_PHONE else None)


def say(
    parts: Parts, line: str, language: str, blanks: Mapping[str, str] | None = None, treatment: str | None = None
) -> str:
    """One line of the catalogue, with the company's own words filled in. `treatment`: the person's own, if known."""
    return parts.catalogue.render(
        line, language, parts.treatment(treatment), {**company_facts(parts, language), **(blanks or {})}
    )
