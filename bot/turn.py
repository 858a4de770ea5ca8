"""The turn: understand what waits in one conversation and answer it, all kept or nothing."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from bot import dates, hours, machines, phones, repeats
from bot.bursts import PHONE, Burst, Waiting, bursts_of, understood_of
from bot.codes import find as find_codes
from bot.dialogue import effects as fx
from bot.dialogue import events as ev
from bot.dialogue.survey import QUESTIONS
from bot.joins import Joins
from bot.listening import awaited
from bot.parts import Parts
from bot.proofs import LINK_LENGTH, Proofs
from bot.provider_order import counts
from bot.spoken import spoken
from bot.survey_asking import Asking
from bot.surveys import TIMER as SURVEY
from bot.talking import Talking
from bot.unkept import Unkept, unkept
from bot.writing import meant, offered, say, write
from channels.channel import Address
from nlu.understander import read_by_rules
from nlu.understanding import Hint, Understanding
from storage.tables import Conversation
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
ROUNDS = 5  # a wake-up looks again this often before it leaves the rest to the next
PATIENCE = timedelta(seconds=10)  # with whoever understands; then the rules answer
QUOTED = 280  # letters of what was heard that the customer gets to see
TRIES = 3  # of an Answer that fails; then people are called


class Turns:
    """Handler of the wake-up `turn:<conversation>`."""

    def __init__(self, parts: Parts, *, patience: timedelta = PATIENCE) -> None:
        self._parts = parts
        self._patience = patience

    async def run(self, conversation_id: UUID) -> None:
        """Answer what waits, and what came meanwhile; what comes later brings a wake-up of its own."""
        for _ in range(ROUNDS):
            if not await self._once(conversation_id):
                return

    async def _once(self, conversation_id: UUID) -> bool:
        """True: something waits still."""
        waiting = await self._read(conversation_id)
        if waiting is None:
            return False
        try:
            return await self._think_and_answer(conversation_id, waiting)
        except Overtaken:
            return True  # it is rolled back: what waits now is read anew
        except Exception as error:
            if not await self._give_up(conversation_id, waiting, error):
                raise
            return True

    async def _think_and_answer(self, conversation_id: UUID, waiting: Waiting) -> bool:
        bursts = [await self._understand(burst, waiting) for burst in bursts_of(waiting)]  # outside any transaction
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(conversation_id)
            if conversation is None:
                return False
            understood = {message.id: understood_of(burst, message) for burst in bursts for message in burst.messages}
            read = [message for burst in bursts for message in burst.messages]
            ticked, more = await tx.messages.handled(conversation_id, understood, as_read=read)
            if ticked != len(understood):
                raise Overtaken("another turn answered these messages, or one was edited")
            await self._answer(tx, conversation, bursts)
        return more

    async def _give_up(self, conversation_id: UUID, waiting: Waiting, error: Exception) -> bool:
        """An Answer that fails again and again must leave nobody in limbo (P20): people are told, and the customer.

        False: it has not failed often enough, and the sweep tries once more.
        """
        async with self._parts.database.transaction() as tx:
            key = f"failed turn:{waiting.messages[0].id}"
            if await tx.limits.use(key, at_most=TRIES - 1, within=timedelta(days=1)):
                return False
            conversation = await tx.conversations.locked(conversation_id)
            if conversation is None:
                return False
            await tx.messages.handled(conversation_id, {message.id: {} for message in waiting.messages})
            if conversation.flagged_at is None:
                conversation.flagged_at, conversation.flag_reason = self._parts.now(), "bot_failed"
            await tx.ring("desk")
        logger.error("turn: %s: given to people after %d tries: %s", conversation_id, TRIES, type(error).__name__)
        try:
            await self._apologise(conversation_id)
        except Exception as second:  # the very words may be what fails
            logger.warning("turn: %s: not even an apology: %s", conversation_id, type(second).__name__)
        return True

    async def _apologise(self, conversation_id: UUID) -> None:
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(conversation_id)
            if conversation is None or conversation.speaker != "bot":
                return
            contact = await tx.people.contact_by_id(conversation.contact_point_id)
            language = self._parts.language((await tx.people.get(conversation.person_id)).language)
            await write(
                self._parts,
                tx,
                conversation,
                Address(contact.account, contact.address),
                author="bot",
                kind="answer",
                text=say(self._parts, "bot_failed", language),
                lines=["bot_failed"],
                language=language,
            )

    async def _read(self, conversation_id: UUID) -> Waiting | None:
        async with self._parts.database.transaction() as tx:
            found = await tx.unanswered(conversation_id)
        if found is None or not found.messages:
            return None
        conversation = found.conversation
        if conversation.answer_after is not None and conversation.answer_after > self._parts.now():
            return None  # still in the burst window: the ticker wakes us when it ends
        if awaited(self._parts, found.messages):
            return None  # somebody listens to a voice note, and wakes us; if not, the sweep does
        files: dict[UUID, int] = {}
        refused: dict[UUID, list[Unkept]] = {}
        for attachment in found.files:
            if attachment.message_id is None or attachment.inline:
                continue
            if attachment.state == "refused":
                why = unkept(self._parts.policy, attachment.reason)
                refused.setdefault(attachment.message_id, []).append(why)
            else:
                files[attachment.message_id] = files.get(attachment.message_id, 0) + 1
        pending = conversation.state.get("pending") or []
        asked = pending[0] if pending else None
        buttons = offered(found.choices)
        account, language = conversation.account, found.person.language
        clock = counts(self._parts.kinds.get(account, account))
        return Waiting(account, language, asked, found.messages, files, refused, buttons, clock)

    async def _understand(self, burst: Burst, waiting: Waiting) -> Burst:
        if burst.messages[0].kind == "internal":
            return burst
        last = burst.messages[-1]
        hint = Hint(
            now=last.sent_at.astimezone(self._parts.timezone),
            language=waiting.language or self._parts.company.languages[0],
            country=self._parts.company.country,
            channel=waiting.account,
            pending=None if waiting.pending in QUESTIONS else waiting.pending,
        )
        return replace(burst, understanding=await self._understood(burst.text, hint))

    async def _understood(self, text: str, hint: Hint) -> Understanding:
        """Whatever becomes of the model, something is understood: the rules need nothing."""
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                return await self._parts.understander.understand(text, hint)
        except Exception as error:
            logger.warning("turn: the rules answer, the model did not: %s", type(error).__name__)
            return (await asyncio.to_thread(read_by_rules, text, hint)).understanding

    async def _answer(self, tx: Transaction, conversation: Conversation, bursts: Sequence[Burst]) -> None:
        if (why := await machines.why(self._parts, tx, conversation, bursts)) is not None:
            if await repeats.pointed(self._parts, tx, conversation, bursts):
                return
            logger.warning("turn: %s: taken for a machine and not answered: %s", conversation.id, why)
            await self._leave_to_people(tx, conversation)
            return
        talking = await Talking.begin(self._parts, tx, conversation, **_entries(bursts))
        since = 0  # the first burst that this part of the talk is about
        for place, burst in enumerate(bursts):
            start = burst.messages[0].event.get("start")
            if start and len(start) == LINK_LENGTH:
                await self._opened(tx, talking, start)
                if talking.following is not None:
                    talking = await self._joined(tx, talking, bursts)
                continue
            if number := burst.messages[0].event.get(PHONE):
                await self._shared(tx, talking, number)
                continue
            if burst.messages[0].event.get("kind") == SURVEY:
                talking.entries = _entries(bursts[since:place])["entries"]
                since = place + 1
                talking = await self._ask_how_it_was(tx, talking, burst, bursts[since:])
                continue
            talking.authentic = all(message.authentic for message in burst.messages)
            talking.understood = (burst.text, burst.understanding) if burst.understanding is not None else None
            if (case := await self._other_case(tx, talking, burst)) is not None:
                talking.entries = _entries(bursts[since:place])["entries"]
                since = place + 1
                talking = await self._aside(tx, talking, burst, case, bursts[since:])
                continue
            if not burst.empty:
                before = len(talking.said)
                await talking.feed(self._event(burst, talking))
                if burst.heard and len(talking.said) > before:
                    talking.said.insert(before, fx.Say(line="voice_heard", blanks={"words": _short(burst.heard)}))
            if talking.following is not None:
                talking = await self._joined(tx, talking, bursts)
            talking.said.extend(fx.Say(line=one.line, blanks={"limit": one.limit}) for one in burst.refused)
        await self._finish(tx, talking)
        await tx.ring("desk")

    async def _leave_to_people(self, tx: Transaction, conversation: Conversation) -> None:
        """What stays unanswered is seen; nothing that was to leave a little later leaves either."""
        if conversation.flagged_at is None:
            conversation.flagged_at, conversation.flag_reason = self._parts.now(), "repeats"
        await tx.outbox.withdraw_late_acks(conversation.id, self._parts.now())
        await tx.ring("desk")

    async def _ask_how_it_was(self, tx: Transaction, talking: Talking, burst: Burst, rest: Sequence[Burst]) -> Talking:
        """A survey is due: it is asked where the customer wants to read it, in a message of its own."""
        await self._finish(tx, talking)
        await Asking(self._parts, tx).due(talking.conversation, UUID(burst.messages[0].event["case"]))
        return await Talking.begin(self._parts, tx, talking.conversation, **_entries(rest))

    async def _aside(
        self, tx: Transaction, talking: Talking, burst: Burst, case: UUID, rest: Sequence[Burst]
    ) -> Talking:
        """Answer a choice about another case, in an Answer of its own; the talk goes on behind it with the rest."""
        await self._finish(tx, talking)
        conversation = talking.conversation
        aside = await Talking.begin(self._parts, tx, conversation, about=case, **_entries([burst]))
        aside.authentic = talking.authentic
        await aside.feed(self._event(burst, aside))
        await self._finish(tx, aside)
        return await Talking.begin(self._parts, tx, conversation, **_entries(rest))

    async def _finish(self, tx: Transaction, talking: Talking) -> None:
        """Write the Answer, if there is one and it is not one too many; a late Ack need not leave any more."""
        conversation = talking.conversation
        allowed = not talking.said or await self._may_answer(tx, talking)
        if not allowed:
            logger.warning("turn: %s: too many answers in an hour, this one stays unsaid", conversation.id)
            talking.said.clear()
        rows = await talking.finish()
        if (rows or not allowed) and self._parts.features(conversation.account).late_ack:
            await tx.outbox.withdraw_late_acks(conversation.id, self._parts.now())

    async def _other_case(self, tx: Transaction, talking: Talking, burst: Burst) -> UUID | None:
        """The case that a choice was made about, where it stood under news of another case than the talk's own."""
        _, code = meant(burst.pressed)
        case = await tx.cases.by_code(code) if code else None
        if case is None or case.person_id != talking.person.id or case.id == talking.conversation.case_id:
            return None
        return case.id

    async def _may_answer(self, tx: Transaction, talking: Talking) -> bool:
        """Two machines must not talk to each other for ever (A0-11), not even if each mail begins a thread."""
        now, conversation = self._parts.now(), talking.conversation
        at_most = self._parts.policy.bot_answers_per_hour
        if conversation.answers_since is None or now - conversation.answers_since > timedelta(hours=1):
            conversation.answers, conversation.answers_since = 0, now
        conversation.answers += 1
        if conversation.answers > at_most or not self._parts.features(conversation.account).threads:
            return conversation.answers <= at_most
        return await tx.limits.use(f"answers:{talking.contact.id}", at_most=at_most, within=timedelta(hours=1))

    async def _opened(self, tx: Transaction, talking: Talking, payload: str) -> None:
        """A single-use link was opened here. Whoever is not that person yet is asked whether they wished for it."""
        proof = await Proofs(self._parts, tx).open_link(talking.contact, payload)
        if proof is None:
            await talking.feed(ev.LinkOver())
        elif proof.person_id == talking.person.id:
            talking.following = proof.id
        else:
            asked_in = await tx.conversations.get(proof.conversation_id)
            account = asked_in.account if asked_in is not None else talking.conversation.account
            await talking.feed(ev.LinkOpened(str(proof.id), self._parts.kinds.get(account, account)))

    async def _shared(self, tx: Transaction, talking: Talking, number: str) -> None:
        """The person's own number came by the button: it is theirs, and so is what was said there before (P7)."""
        await Joins(self._parts, tx).prove_phone(talking.person, number, "provider")
        kinds = {self._parts.kinds[account] for account in phones.accounts(self._parts)}
        await talking.feed(ev.PhoneShared(number, tuple(kind for kind in phones.KINDS if kind in kinds)))

    async def _joined(self, tx: Transaction, talking: Talking, bursts: Sequence[Burst]) -> Talking:
        """This chat is now of the person who asked for the link, and goes on with the same case."""
        conversation, proof_id = talking.conversation, talking.following
        assert proof_id is not None
        await self._finish(tx, talking)  # what was said before belongs to the talk as it was
        proof = await Proofs(self._parts, tx).follow_link(talking.contact, proof_id)
        if proof is not None:
            asked_in = await tx.conversations.get(proof.conversation_id)
            if asked_in is not None and asked_in.id != conversation.id:
                await tx.conversations.enter(conversation, asked_in.case_id, beside=asked_in)
            person = await tx.people.get(proof.person_id)
            person.preferred_contact_id = talking.contact.id
            await tx.flush()
        joined = await Talking.begin(self._parts, tx, conversation, **_entries(bursts))
        kind = self._parts.kinds[conversation.account]
        await joined.feed(ev.ChannelLinked(kind, joined.contact.address) if proof is not None else ev.LinkOver())
        return joined

    def _event(self, burst: Burst, talking: Talking) -> ev.Event:
        if burst.understanding is None:
            return _internal(burst.messages[0].event)
        understood = burst.understanding
        words = "" if burst.pressed else burst.text  # what stands on a button is ours
        language = spoken(self._parts, talking.person, words, understood)
        codes = find_codes(burst.text)
        kinds = tuple(dict.fromkeys(self._parts.kinds.values()))
        now = self._parts.now()
        opens = hours.next_open(self._parts.company.hours_calendar(), now)
        return ev.Said(
            text=burst.text,
            language=language,
            type=understood.type,
            type_confidence=understood.type_confidence,
            sure=understood.sure,
            second_type=understood.second_type,
            severity=understood.severity,
            act=understood.act,
            human_now=understood.human_now,
            facts=tuple(ev.Heard(fact.kind, fact.value, fact.text) for fact in understood.facts),
            alarms=tuple(dict.fromkeys(trigger.alarm for trigger in understood.triggers)),
            source=understood.source,
            pressed=meant(burst.pressed)[0],
            files=burst.files,
            voice=burst.voice,
            other_subject=any(message.event.get("other_subject") for message in burst.messages),
            code=codes[0] if codes else None,
            channel=self._parts.kinds.get(talking.conversation.account, talking.conversation.account),
            channels=kinds,
            acked=talking.conversation.acked_at is not None
            and self._parts.features(talking.conversation.account).late_ack is None,
            reachable=_reachable(self._parts, talking),
            proves_phone=self._parts.features(talking.conversation.account).proves_phone,
            people_online=hours.open_at(self._parts.company.hours_calendar(), now),
            back_at=dates.when_open(opens, now, language, self._parts.company.timezone) if opens else None,
        )


class Overtaken(Exception):
    """Somebody answered in the meantime, or an edit came; all of this turn is rolled back and nothing is lost."""


def _entries(bursts: Sequence[Burst]) -> dict[str, Any]:
    """The messages of people in them, and when the first one came."""
    messages = [message for burst in bursts for message in burst.messages if message.kind == "person"]
    return {
        "entries": [message.id for message in messages],
        # the provider's time counts where it is earlier: what waited for us during an outage had arrived all the same
        "received": min((min(one.sent_at, one.received_at) for one in messages), default=None),
    }


def _short(heard: str) -> str:
    """So much that the customer recognises it, on one line."""
    line = " ".join(heard.split())
    return line if len(line) <= QUOTED else f"{line[: QUOTED - 1].rstrip()}…"


def _internal(event: dict[str, Any]) -> ev.Event:
    match event:
        case {"kind": "silence"}:
            return ev.SilenceDay()
        case {"kind": "linked", "channel": channel, "address": address}:
            return ev.ChannelLinked(channel, address)
        case _:
            raise ValueError(f"an internal row holds an event that this version does not know: {event.get('kind')}")


def _reachable(parts: Parts, talking: Talking) -> bool:
    """Whether we can still write when a web page is closed."""
    own = parts.kinds.get(talking.conversation.account)
    return own != "webchat" or any(
        proved for kind, proved in talking.state.profile.contacts.items() if kind != "webchat"
    )
