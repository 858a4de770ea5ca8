"""What agents do where they work outside the console: the same hands, the same transaction, the same outbox."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from bot.catalogue import Catalogue
from bot.desk import Desk, Upload, note_id, reply_id
from bot.parts import Parts
from bot.refusals import AlreadyTaken, Empty, NotPossible, NotTaken, Refusal, TooBig
from bot.views import Me
from channels.channel import ChannelError, DeskAct, Fetches, Media, Undeliverable
from channels.desk_place import Colleague, DeskPlace, Form
from storage.desk_threads import ACTS, TOLD, remember
from storage.tables import Agent
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
NOTE_MARKS = ("//", "🔒")
_WORDS = Path(__file__).parent / "desk_words"


@cache
def desk_words() -> Catalogue:
    """What agents read outside the console, in three languages; read at the first use."""
    return Catalogue.load(_WORDS)


@dataclass(frozen=True)
class _Doing:
    """An act with all that it is done with."""

    act: DeskAct
    place: DeskPlace
    me: Me
    desk: Desk
    conversation_id: UUID
    account: str  # of the conversation


class DeskLine:
    """Takes the acts of agents from a channel. What is refused is told to whoever tried, and to nobody else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = desk_words()

    async def act(self, act: DeskAct) -> None:
        """Do it; when this returns it is committed. Raises Unavailable when it cannot be known who that is."""
        place = self._parts.channels.get(act.account)
        if not isinstance(place, DeskPlace):
            return
        colleague = await place.colleague(act.who)
        usual = self._parts.company.languages[0]
        async with self._parts.database.transaction() as tx:
            me = _me(await self._agent(tx, colleague))
            thread = await tx.desk_threads.by_name(act.account, act.thread)
            if thread is not None and act.key in thread.acts:
                return
            conversation = await tx.conversations.get(thread.conversation_id) if thread is not None else None
            if me is not None and thread is not None and conversation is not None:
                # before it is written, so that nobody shows it below the card a second time
                own = [str(make(me, conversation.id, act.key)) for make in (reply_id, note_id)]
                thread.told = remember(thread.told, *own, at_most=TOLD)
        if me is None:
            await self._whisper(place, act, "not_an_agent", usual)
            return
        if thread is None or conversation is None:
            await self._whisper(place, act, "unknown_thread", me.language)
            return
        doing = _Doing(act, place, me, Desk(self._parts, me), conversation.id, conversation.account)
        try:
            await self._do(doing)
        except Refusal as refusal:
            await self._refused(doing, refusal)
        async with self._parts.database.transaction() as tx:
            known = await tx.desk_threads.get(thread.id)
            if known is not None:
                known.acts = remember(known.acts, act.key, at_most=ACTS)

    async def _agent(self, tx: Transaction, colleague: Colleague) -> Agent | None:
        for login in (colleague.login, colleague.email):
            agent = await tx.agents.by_login(login) if login else None
            if agent is not None:
                return agent if agent.active else None
        return None

    async def _do(self, doing: _Doing) -> None:
        desk, here, act = doing.desk, doing.conversation_id, doing.act
        match act.verb:
            case "take":
                await desk.take(here)
            case "give_back":
                await desk.give_back(here)
            case "escalate":
                await desk.escalate(here)
            case "resolve":
                await desk.resolve(here)
            case "compose_reply" | "compose_note":
                await self._ask(doing, act.verb.removeprefix("compose_"))
            case "note":
                await desk.note(here, act.text, key=act.key)
            case "reply" | "say":
                await self._say(doing)
            case _:
                logger.warning("desk: %s: there is no act %s", act.account, act.verb[:40])

    async def _say(self, doing: _Doing) -> None:
        """To the customer; marked lines are for colleagues. Whoever speaks where nobody does has taken it."""
        act, here = doing.act, doing.conversation_id
        said, noted = _apart(act.text)
        if noted:
            await doing.desk.note(here, noted, key=act.key)
            await self._whisper(doing.place, act, "noted", doing.me.language)
        if not said and not act.media:
            if noted:
                return
            raise Empty("nothing was written")
        await doing.desk.take(here)
        files = [await self._file(doing.place, media) for media in act.media]
        await doing.desk.reply(here, said, key=act.key, files=files)

    async def _file(self, place: DeskPlace, media: Media) -> Upload:
        content, limit = bytearray(), self._parts.policy.attachment_limit
        if not isinstance(place, Fetches):
            raise TooBig("this place has no files")
        try:
            async for piece in place.fetch(media):
                content += piece
                if len(content) > limit:
                    raise TooBig("larger than the limit")
        except Undeliverable as fault:
            raise TooBig(str(fault)) from fault
        return Upload(media.name or "archivo", bytes(content))

    async def _ask(self, doing: _Doing, verb: str) -> None:
        if doing.act.handle is None:
            return
        kind = self._parts.kinds.get(doing.account, doing.account)
        channel = self._line(f"channel_{kind}", doing.me.language) or doing.account
        form = Form(
            verb=verb,
            title=self._text(f"form_{verb}", doing.me.language),
            label=self._text(f"form_{verb}_label", doing.me.language, channel=channel),
            send=self._text("send" if verb == "reply" else "save", doing.me.language),
            cancel=self._text("cancel", doing.me.language),
        )
        try:
            await doing.place.ask(doing.act.handle, doing.act.thread, form)
        except ChannelError as fault:  # three seconds are over
            logger.info("desk: no form was opened: %s", fault)
            await self._whisper(doing.place, doing.act, "failed", doing.me.language)

    async def _refused(self, doing: _Doing, refusal: Refusal) -> None:
        line, blanks = "failed", {}
        match refusal:
            case AlreadyTaken():
                line, blanks = "taken", {"name": refusal.by}
            case NotTaken():
                line = "not_taken"
            case Empty():
                line = "empty"
            case TooBig():
                line = "too_big"
            case NotPossible():
                line, blanks = await self._not_possible(doing)
        await self._whisper(doing.place, doing.act, line, doing.me.language, **blanks)

    async def _not_possible(self, doing: _Doing) -> tuple[str, dict[str, str]]:
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.get(doing.conversation_id)
            case = await tx.cases.get(conversation.case_id) if conversation and conversation.case_id else None
        if case is None:
            return "no_case_here", {}
        return "not_possible", {"status": self._parts.catalogue.line(f"status_{case.status}", doing.me.language)}

    async def _whisper(self, place: DeskPlace, act: DeskAct, line: str, language: str, **blanks: str) -> None:
        try:
            await place.whisper(act.thread, act.who, self._text(line, language, **blanks))
        except ChannelError as fault:
            logger.info("desk: %s was not told: %s", line, fault)

    def _text(self, line: str, language: str, **blanks: str) -> str:
        return self._words.render(line, self._parts.language(language), "tu", blanks)

    def _line(self, line: str, language: str) -> str | None:
        spoken = self._parts.language(language)
        return self._words.line(line, spoken) if line in self._words.names(spoken) else None


def _me(agent: Agent | None) -> Me | None:
    return Me(agent.id, agent.login, agent.name, agent.role, agent.language) if agent is not None else None


def _apart(text: str) -> tuple[str, str]:
    """What goes to the customer, and what is for colleagues: marked lines, or all of it if it begins with a mark."""
    lines = text.strip().split("\n")
    if lines[0].lstrip().startswith(NOTE_MARKS):
        return "", "\n".join(map(_unmarked, lines)).strip()
    marked = [line.lstrip().startswith(NOTE_MARKS) for line in lines]
    said = "\n".join(line for line, apart in zip(lines, marked, strict=True) if not apart)
    noted = "\n".join(_unmarked(line) for line, apart in zip(lines, marked, strict=True) if apart)
    return said.strip(), noted.strip()


def _unmarked(line: str) -> str:
    bare = line.lstrip()
    for mark in NOTE_MARKS:
        if bare.startswith(mark):
            return bare.removeprefix(mark).lstrip()
    return line
