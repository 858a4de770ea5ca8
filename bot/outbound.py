"""Make what a channel gets of an outgoing row, at the moment of sending: only then is known what may go."""

from bot import dates, unsubscribing, wording
from bot.consent import TO_COLLEAGUES, purpose
from bot.parts import Parts
from bot.writing import button
from channels.channel import Address, File, Outbound
from storage.tables import Conversation, Outgoing
from storage.transaction import Transaction

_UNPROVED = ("code", "knock")  # whoever reads them may be a stranger
_APART = (*_UNPROVED, *TO_COLLEAGUES)  # of no thread, whatever conversation they stand in


async def outbound(parts: Parts, tx: Transaction, conversation: Conversation, row: Outgoing) -> Outbound:
    """One message for the row's account; the conversation is locked."""
    features = parts.features(row.account)
    buttons = tuple(button(one["label"], one["payload"]) for one in row.buttons)
    thread: tuple[str, ...] = ()
    if in_its_thread(parts, conversation, row):
        thread = tuple(await tx.messages.recent_ids(conversation.id))
    windowed = features.free_text_window is not None
    return Outbound(
        key=str(row.id),
        to=address(row),
        text=row.text,
        buttons=buttons if len(buttons) <= features.buttons else (),
        files=await _files(parts, tx, row),
        subject=row.subject or _subject(parts, row),
        replies_to=thread,
        automatic=_automatic(row),
        code=row.code,
        language=row.language,
        kind=row.kind,
        window_open=not windowed or await _window_open(parts, tx, conversation, row),
        unsubscribe=await _unsubscribe(parts, tx, row),
        blanks=await _blanks(parts, tx, conversation, row) if windowed else {},
    )


def in_its_thread(parts: Parts, conversation: Conversation, row: Outgoing) -> bool:
    """Whether it goes into the thread that the conversation is, and not just to the person."""
    at_home = row.account == conversation.account and row.kind not in _APART
    return at_home and parts.features(row.account).threads


def address(row: Outgoing) -> Address:
    """Where it goes."""
    return Address(row.account, row.address)


async def _files(parts: Parts, tx: Transaction, row: Outgoing) -> tuple[File, ...]:
    if row.kind != "agent":  # only people send files
        return ()
    return tuple(
        File(one.name, one.type or "application/octet-stream", parts.files.path(one.sha256))
        for one in await tx.outbox.files([row.id])
        if one.sha256
    )


async def _window_open(parts: Parts, tx: Transaction, conversation: Conversation, row: Outgoing) -> bool:
    """Whether the person wrote so shortly ago that free text may still go: by the provider's clock, strictly less."""
    window = parts.features(row.account).free_text_window
    if window is None:
        return True
    if row.as_template:
        return False
    since = parts.now() - window
    theirs = row.account == conversation.account and row.kind not in _APART and row.fallback_of is None
    if theirs and conversation.last_in_at is not None and conversation.last_in_at > since:
        return True  # where the conversation is; anything else may go to another number of the same account
    heard = await tx.outbox.last_heard(row.account, row.address)  # perhaps about another case of theirs
    return heard is not None and heard > since


async def _blanks(parts: Parts, tx: Transaction, conversation: Conversation, row: Outgoing) -> dict[str, str]:
    """What the blanks of a template may be filled with; what is not known is left out, and what a stranger may not."""
    if row.kind in _UNPROVED:
        return {"text": row.text}
    person = await tx.people.get(conversation.person_id)
    case = await tx.cases.get(row.case_id) if row.case_id else None
    known = {
        "name": (person.name or "").strip().partition(" ")[0],
        "code": row.code or "",
        "date": dates.day(case.due, row.language, parts.today()) if case is not None and case.due else "",
        "text": row.text,
        **wording.progress(parts.catalogue, row, case),
    }
    return {blank: value for blank, value in known.items() if value}


async def _unsubscribe(parts: Parts, tx: Transaction, row: Outgoing) -> str | None:
    """Where a person ends what they may do without; what is owed to them has no such link."""
    if purpose(row.kind) == "case":
        return None
    return unsubscribing.link(parts, await tx.people.contact(row.account, row.address), row.kind, row.language)


def _subject(parts: Parts, row: Outgoing) -> str | None:
    if not parts.features(row.account).subject:
        return None
    blanks = {"company": parts.company.name, "code": row.code or ""}
    line = "subject_code" if row.kind == "code" else "subject_case" if row.code else "subject_plain"
    return parts.catalogue.render(line, row.language, parts.treatment(), blanks)


def _automatic(row: Outgoing) -> str | None:
    """What a mail says of its author (RFC 3834): replies to a person, news on our own account, or a person's words."""
    if row.author.startswith("agent:"):
        return None
    return "auto-replied" if row.kind in ("ack", "answer", "receipt") else "auto-generated"
