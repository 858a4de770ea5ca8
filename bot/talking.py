"""One conversation in one transaction: feed events to the dialogue, do what it wants, write one Answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bot import phones, wording
from bot.casework import Casework
from bot.consent import PURPOSES
from bot.dialogue import effects as fx
from bot.dialogue import events as ev
from bot.dialogue.state import CaseFacts, Profile, State, Talk, dump, load
from bot.dialogue.step import step
from bot.parts import Parts
from bot.proofs import Proofs
from bot.surveys import Surveys
from bot.writing import button, marked, write
from channels.channel import Address
from nlu.understanding import Understanding
from storage.tables import Case, ContactPoint, Conversation, Outgoing, Person
from storage.transaction import Transaction

_LINKS = {"telegram_link": "channel_telegram", "whatsapp_link": "channel_whatsapp"}  # lines that hold one: to where


@dataclass
class Talking:
    """Made by `begin`; then `feed` any number of events, then `finish` once."""

    parts: Parts
    tx: Transaction
    conversation: Conversation  # locked
    contact: ContactPoint
    person: Person
    case: Case | None
    state: State
    entries: Sequence[UUID] = ()  # messages that belong to whatever case this turn ends with
    received: datetime | None = None  # when the first of them came: the term of a new case counts from there
    said: list[fx.Say] = field(default_factory=list)
    link: str | None = None
    following: UUID | None = None  # the proof of a link that this chat follows: its caller joins the people
    unsent: set[str] = field(default_factory=set)  # addresses that no code could be sent to in this turn
    actor: str = "bot"
    understood: tuple[str, Understanding] | None = None  # the words that are answered, and their reading
    authentic: bool = True  # False: the sender of what is answered is not proved

    @classmethod
    async def begin(
        cls, parts: Parts, tx: Transaction, conversation: Conversation, *, about: UUID | None = None, **values: Any
    ) -> "Talking":
        """Put the state together from its three places.

        `about` is the case that is meant, where the conversation may talk of another one of the same person.
        """
        scene = await tx.scene(conversation.id, about or conversation.case_id)
        person, case, known = scene.person, scene.case, scene.contacts
        if case is not None and case.id == conversation.case_id and conversation.speaker == "bot":
            # whoever took the case holds its row until the commit: from then on the bot is silent here too,
            # however late this conversation came to belong to it
            conversation.speaker = scene.speaker
        contact = next(one for one in known if one.id == conversation.contact_point_id)
        preferred = next((one for one in known if one.id == person.preferred_contact_id), None)
        contacts: dict[str, bool] = {}
        for one in known:  # one proved address of a kind is enough
            if one.account in parts.kinds and one.blocked_at is None:
                kind = parts.kinds[one.account]
                contacts[kind] = contacts.get(kind, False) or one.verified_at is not None
        profile = Profile(
            language=person.language,
            name=person.name,
            preferred=parts.kinds.get(preferred.account) if preferred else None,
            contacts=contacts,
            treatment=parts.treatment(person.treatment),
            opted_out=contact.opted_out_at is not None,
        )
        state = State(talk=_talk(conversation, case), case=case_facts(case) if case else None, profile=profile)
        return cls(parts, tx, conversation, contact, person, case, state, **values)

    async def feed(self, event: ev.Event) -> None:
        """One event, and all that follows from it in this turn."""
        self.state, wanted = step(self.state, event)
        for effect in wanted:
            await self._do(effect)

    async def _do(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Say():
                self.said.append(self._as_it_is(effect))
            case fx.OpenCase():
                await self._open(effect)
            case fx.AskStatus(code):
                await self._look_up(code)
            case fx.VerifyCode(code):
                # else a forged sender would get the news of the person whose name was used, at an address of its own
                checked = self._proofs.check_code(self.conversation, self.person, code) if self.authentic else None
                await self.feed(ev.CodeFailed(0) if checked is None else await checked)
            case fx.SendCode(address, kind):
                if not await self._proofs.send_code(self.conversation, self.person, address, kind):
                    self.unsent.add(address)
            case fx.MakeLink(kind):
                self.link = await self._proofs.make_link(self.conversation, self.person, kind)
            case fx.FollowLink(proof):
                self.following = UUID(proof)
            case fx.LeaveCase():
                await self._leave()
            case fx.SetLanguage(language):
                self.person.language = self.parts.language(language)
            case fx.SetTreatment(treatment):
                self.person.treatment = treatment
            case fx.SetName(name):
                await self.tx.people.rename(self.person, name[:200])
            case fx.SetPreferred(kind, address):
                await self._prefer(kind, address)
            case fx.OptOut():
                self.tx.people.consent(self.contact, PURPOSES, False, who="person", how="in words")
            case fx.CallPerson(reason, urgent):
                await self.flag(reason, urgent=urgent)
            case fx.Flag(reason):
                await self.flag(reason, urgent=False)
            case fx.StartTimer(kind):
                due = self.parts.now() + timedelta(hours=self.parts.policy.silence_hours)
                self.tx.timers.start(f"{kind}:{self.conversation.id}", self.conversation.id, kind, due)
            case fx.StopTimer(kind):
                self.tx.timers.stop(f"{kind}:{self.conversation.id}")
            case fx.UpdateCase() | fx.Reopen() | fx.ConfirmSolved():
                if self.case is not None:
                    await Casework(self.parts, self.tx, self.actor).change(self.case, effect)
                    await Surveys(self.parts, self.tx, self.actor).after(effect, self.case, self.conversation)
            case fx.RecordSurvey(code):
                await self._keep_score(code, effect)
            case fx.AddContact():
                pass  # an unproved address is a fact of the case and nothing more

    @property
    def apart(self) -> bool:
        """Whether this is about another case than the conversation's own, whose pending question stays as it is."""
        return self.case is not None and self.case.id != self.conversation.case_id

    @property
    def _proofs(self) -> Proofs:
        return Proofs(self.parts, self.tx)

    def _as_it_is(self, said: fx.Say) -> fx.Say:
        """No code is announced that did not leave."""
        if said.line == "code_sent" and said.blanks.get("address") in self.unsent:
            return replace(said, line="code_not_sent")
        return said

    async def tell_state(self) -> None:
        """Say how the talk's own case stands, as if they had asked."""
        await self._look_up(None)

    async def _look_up(self, code: str | None) -> None:
        """What is said of the case that was found holds its own code and dates, and nothing else of the turn does."""
        case, found = await self._proofs.look_up(self.conversation, self.contact, code)
        before = len(self.said)
        await self.feed(found)
        if case is not None:
            language = self.parts.language(self.person.language)
            self.said[before:] = [
                wording.of_case(self.parts, one, case, language) if one.line.startswith("status_") else one
                for one in self.said[before:]
            ]

    async def _open(self, effect: fx.OpenCase) -> None:
        casework = Casework(self.parts, self.tx, self.actor)
        self.case = await casework.open(self.person, self.conversation.account, effect, self.received)
        self.conversation.case_id = self.case.id
        if self.understood is not None:
            casework.keep_vector(self.case, *self.understood)

    async def _leave(self) -> None:
        """The talk goes on without the case; the people at the desk still find it."""
        left = await self.tx.cases.get(self.conversation.case_id) if self.conversation.case_id else None
        if left is not None:
            await self.tx.conversations.keep_case(self.conversation, self.contact, left.id, left.code)
        self.case = self.conversation.case_id = None

    async def _keep_score(self, code: str, said: fx.RecordSurvey) -> None:
        """What they say of a case of theirs, whichever the talk is about now; a bad word is looked at by people."""
        known = self.case if self.case is not None and self.case.code == code else await self.tx.cases.by_code(code)
        case = await self.tx.cases.get(known.id, lock=True) if known is not None else None
        if case is None or case.person_id != self.person.id:
            return
        if await Surveys(self.parts, self.tx, self.actor).record(case, said):
            await self.flag("low_score", urgent=False, case=case)

    async def flag(self, reason: str, *, urgent: bool, case: Case | None = None) -> None:
        """Put the conversation on the agents' list; an urgent reason is never replaced by a lesser one.

        `case`: the one that it is about, where that is not the talk's own.
        """
        case = case or self.case
        now = self.parts.now()
        if self.conversation.flagged_at is None or (urgent and not self.conversation.urgent):
            self.conversation.alerted_at = None  # news: people are told at once, whenever they were told last
        if self.conversation.flagged_at is None or urgent:
            self.conversation.flag_reason = reason
        self.conversation.flagged_at = self.conversation.flagged_at or now
        self.conversation.urgent = self.conversation.urgent or urgent
        if reason == "asked":
            self.conversation.human_asked_at = self.conversation.human_asked_at or now
        if case is not None:
            await self.tx.cases.add_event(case, actor=self.actor, kind="flagged", data={"reason": reason})

    async def _prefer(self, kind: str, address: str | None) -> None:
        known = await self.tx.people.contacts(self.person.id)
        for contact in sorted(known, key=lambda one: one.id != self.contact.id):  # "here" is where they are
            fits = self.parts.kinds.get(contact.account) == kind
            fits = fits and (address is None or contact.address in phones.forms(address))
            if fits and contact.verified_at is not None and contact.blocked_at is None:
                self.person.preferred_contact_id = contact.id
                if contact.opted_out_at is not None:
                    self.tx.people.consent(contact, ("case",), True, who="person", how="chose the channel")
                if self.case is not None:
                    data = {"channel": contact.account}
                    await self.tx.cases.add_event(self.case, actor=self.actor, kind="preferred", data=data)
                return

    async def finish(
        self, *, author: str = "bot", news: bool = False, kind: str | None = None, about: Case | None = None
    ) -> list[Outgoing]:
        """Keep the state and write one Answer of all that was said; `news` is something that nobody asked for.

        `about`: the case that the words are of, where that is not the talk's own. `kind`: of the row, where the words
        do not tell it.
        """
        if not self.apart:
            self.conversation.state = dump(self.state.talk)
        if self.case is not None and self.state.case is not None:
            Casework.keep_facts(self.case, self.state.case)
        if self.link is None:  # nobody said under which name we are found there: a link is not promised
            self.said = [
                fx.Say(line="channel_unavailable", blanks={"channel": fx.Word(_LINKS[one.line])})
                if one.line in _LINKS
                else one
                for one in self.said
            ]
        author = self._speak_as(author)
        case = about or self.case
        if not self.said:
            if self.case is not None:
                self.tx.cases.link(self.case.id, self.entries)
            return []
        language = self.parts.language(self.person.language)
        words = wording.answer(self.parts, self.said, case, language, self.link, self.state.profile.treatment)
        return await write(
            self.parts,
            self.tx,
            self.conversation,
            Address(self.contact.account, self.contact.address),
            author=author,
            kind=kind or wording.kind(words.lines, news=news),
            text=words.text,
            buttons=marked([button(*one) for one in words.buttons], self.conversation, self.case),
            lines=words.lines,
            case=case,
            language=language,
            entries=self.entries,
        )

    def _speak_as(self, author: str) -> str:
        """While a person speaks, nothing of the bot's own is written; what that person's act asked for is a notice."""
        if author == "bot" and self.conversation.speaker != "bot":
            self.said = [one for one in self.said if one.notice]
            return self.conversation.speaker.replace("agent:", "notice:")
        return author


def _talk(conversation: Conversation, case: Case | None) -> Talk:
    """The talk as stored; who speaks is decided by the conversation's own column, the lock of all of it."""
    own = case is None or case.id == conversation.case_id
    talk = load(Talk, conversation.state if own else {})
    if conversation.speaker != "bot":
        return replace(talk, speaker="person")
    return replace(talk, speaker="bot") if talk.speaker == "person" else talk


def case_facts(case: Case) -> CaseFacts:
    """The dialogue's view of a case."""
    stored: Mapping[str, Any] = {
        "code": case.code,
        "type": case.type,
        "doubt": case.doubt,
        "severity": case.severity,
        "facts": case.facts,
        "asked": case.understanding.get("asked", []),
        "stage": case.stage,
        "status": case.status,
        "solved_by": case.solved_by,
    }
    return load(CaseFacts, stored)
