"""Plays the conversations of tests/dialogues through a whole Acuse: real intake, rules, turn, database, desk and clock.

What is not on the file's page comes from where it comes from in life: codes from the mail that was sent, links from
the Answer that holds one, a day of silence from the clock and the ticker. The file's readings are not looked at.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlmodel import col, select

from bot import states
from bot.policy import Policy
from bot.views import Me
from channels.channel import Channel, Media
from channels.memory import Memory
from storage.tables import Case, CaseEvent, ContactPoint, Conversation, Outgoing, Person, Survey, Timer
from tests.bot.player import CODES, Dialogue, Line
from tests.conftest import Clock
from tests.world import CHAT, MAIL, Linked, World, a_world

ACCOUNTS = {"web": "webchat"}  # the dialogues' word for the kind of a channel → the account
KINDS = {account: kind for kind, account in ACCOUNTS.items()}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
MORNING = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)  # a Monday, 9:30 in Colombia: people are there
EVENING = datetime(2026, 3, 3, 2, 30, tzinfo=UTC)  # 21:30: nobody is
_DATED = re.compile(r"\.(due|target|undated)$")
_TOLD = ("ack", "code")  # kinds of rows that are not the Answer


class Stage:
    """One conversation. `transcript` grows with everything that is said."""

    def __init__(self, world: World, clock: Clock, given: Mapping[str, str], sender: str = "ana") -> None:
        self.world = world
        self.clock = clock
        self.sender = sender
        kind = given.get("channel", "telegram")
        self.account = ACCOUNTS.get(kind, kind)
        self.transcript: list[str] = []
        self.flags: set[str] = set()
        self.lines: list[str] = []  # of the Answers since the last event
        self._agents: dict[str, Me] = {}
        self._seen: set[UUID] = set()

    async def given(self, given: Mapping[str, str]) -> None:
        """What becomes true in the middle of a conversation."""
        if given.get("online") == "yes":
            self.clock.moment = self.clock.moment.replace(hour=14) + timedelta(
                hours=0 if self.clock().hour < 14 else 24
            )
        if given.get("limited") == "yes":
            async with self.world.parts.database.transaction() as tx:
                key = f"status:{self.account}:{self.sender}"
                while await tx.limits.use(key, at_most=10, within=timedelta(hours=1)):
                    pass

    async def write(self, text: str, files: int = 0, pressed: str | None = None, **event: str) -> None:
        """The person writes."""
        self._tell("PERSON", text + (f" [{files} files]" if files else "") + (f" [{pressed}]" if pressed else ""))
        media = tuple(Media(name=f"foto{number}.png", content=PNG) for number in range(files))
        await self._event()
        await self.world.write(self.account, self.sender, text, media=media, pressed=pressed, **event)
        await self._heard()

    async def agent(self, words: str) -> None:
        """Somebody in the console does something."""
        self._tell("AGENT", words)
        verb, _, rest = words.partition(" ")
        me = await self._agent(rest if verb in ("took", "back") else "Pedro")
        talk = (await self.talks())[-1]
        if talk.speaker != "bot":
            me = await self.world.agent_by_mark(talk.speaker)
        desk = self.world.desk(me)
        if verb in ("state", "note", "solved"):
            to, _, note = rest.partition(" ")
            await self._move(me, talk.id, "cumplido" if verb == "solved" else to, note if verb == "note" else None)
        else:
            await self._event()
            match verb:
                case "took":
                    await desk.take(talk.id)
                case "spoke":
                    await desk.reply(talk.id, "Hola, soy del equipo.", key=str(self.clock()))
                case "back":
                    await desk.give_back(talk.id)
                case _:
                    raise ValueError(words)
        await self.world.settle(talk.id)
        await self._heard(author="agent")

    async def silence(self) -> None:
        """A day passes without a word."""
        self._tell("CLOCK", "a day")
        await self._event()
        self.clock.advance(timedelta(hours=24, minutes=1))
        await self.world.ticker.tick()
        for talk in await self.talks():
            await self.world.settle(talk.id)
        await self._heard()

    async def survey(self) -> None:
        """The survey's timer is due, perhaps first at a night or on a Sunday."""
        self._tell("CLOCK", "the survey")
        await self._event()
        for _ in range(3):
            async with self.world.parts.database.transaction() as tx:
                wanted = select(Timer).where(Timer.kind == "survey", col(Timer.done_at).is_(None))
                timers = (await tx.session.exec(wanted)).all()
            for due in [timer.due_at for timer in timers]:
                self.clock.moment = max(self.clock(), due)
            await self.world.ticker.tick()
            for talk in await self.talks():
                await self.world.settle(talk.id)
            await self._heard()
            if self.lines:
                return

    async def follow_link(self, account: str) -> None:
        """The person opens the link of the last Answer, and goes on in that chat."""
        links = [found for row in await self.rows() for found in re.findall(r"start=(\w+)", row.text)]
        self.account, self.sender = account, f"{self.sender}-4242"
        await self.write("", start=links[-1])

    async def rows(self) -> list[Outgoing]:
        """What was written to this person, by anybody."""
        talks = {talk.id for talk in await self.talks()}
        return [row for row in await self.world.outgoing() if row.conversation_id in talks]

    async def talks(self) -> list[Conversation]:
        """The person's conversations, the one that was written in last at the end."""
        people = {one.person_id for one in await self._contacts()}
        found = [talk for talk in await self.world.conversations() if talk.person_id in people]
        return sorted(found, key=lambda talk: (talk.account == self.account, talk.last_at))

    async def cases(self) -> list[Case]:
        """The person's cases, oldest first."""
        people = {one.person_id for one in await self._contacts()}
        return [case for case in await self.world.cases() if case.person_id in people]

    async def _contacts(self) -> list[ContactPoint]:
        async with self.world.parts.database.transaction() as tx:
            points = (await tx.session.exec(select(ContactPoint))).all()
        mine = {one.person_id for one in points if one.address.split("-")[0] == self.sender.split("-")[0]}
        return [one for one in points if one.person_id in mine]

    async def _agent(self, name: str) -> Me:
        name = name or "Pedro"
        if name not in self._agents:
            self._agents[name] = await self.world.agent(name.casefold(), name)
        return self._agents[name]

    async def _move(self, me: Me, talk: UUID, to: str, note: str | None) -> None:
        """Along the states that lie between; only the last one is what the file tells of."""
        async with self.world.parts.database.transaction() as tx:
            conversation = await tx.conversations.get(talk)
            assert conversation is not None and conversation.case_id is not None
            case = await tx.cases.get(conversation.case_id)
            assert case is not None
        *between, last = _way(case.status, to)
        for state in between:
            await self.world.desk(me).move(talk, state)
            await self.world.settle(talk)
        await self._event()
        await self.world.desk(me).move(talk, last, note)

    async def _event(self) -> None:
        """Something happens now: what was said before is no longer looked at."""
        self.clock.advance(timedelta(seconds=20))
        self._seen = {row.id for row in await self.rows()}

    async def _heard(self, author: str = "bot") -> None:
        fresh = [row for row in await self.rows() if row.id not in self._seen and row.state != "withdrawn"]
        said = [row for row in fresh if row.kind not in _TOLD and not row.author.startswith("agent:")]
        self.lines = [_DATED.sub("", line) for row in said for line in row.lines]
        for row in fresh:
            buttons = " ".join(f"[{button['label']}]" for button in row.buttons)
            self._tell(
                f"{row.author.split(':')[0].upper()} ({row.kind}, {len(row.text.split())} words)", row.text, buttons
            )
        self.flags |= await self._flags()

    def _tell(self, who: str, *words: str) -> None:
        self.transcript.append(f"{who}: " + " ".join(one for one in words if one))

    async def _flags(self) -> set[str]:
        talks = await self.talks()
        flags = {talk.flag_reason for talk in talks if talk.flag_reason}
        flags |= {"asked" for talk in talks if talk.human_asked_at}
        cases = {case.id for case in await self.cases()}
        async with self.world.parts.database.transaction() as tx:
            events = (await tx.session.exec(select(CaseEvent).where(CaseEvent.kind == "flagged"))).all()
        return flags | {event.data["reason"] for event in events if event.case_id in cases}

    async def person(self) -> Person:
        """Who they are to us."""
        async with self.world.parts.database.transaction() as tx:
            return await tx.people.get((await self.talks())[-1].person_id)

    async def value(self, name: str) -> str:
        """What stands in the database under this name, as the dialogues write it."""
        cases = await self.cases()
        match name:
            case "cases":
                return str(len(cases))
            case "flags":
                return " ".join(sorted(self.flags)) or "-"
            case "codes_sent":
                return " ".join(row.address for row in await self.rows() if row.kind == "code") or "-"
            case "preferred" | "opted_out":
                return await self._of_contact(name)
            case "language" | "name" | "treatment":
                return str(getattr(await self.person(), name) or "-")
        case = cases[-1] if cases else None
        if name.startswith("survey."):
            return await self._of_survey(name.removeprefix("survey."))
        kind, _, slot = name.rpartition(".")
        if kind:
            held = (await self.talks())[-1].state.get("held_facts", {})
            return " | ".join((case.facts if case else held).get(slot, ())) or "-"
        value = getattr(case, name) if case else None
        return "-" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)

    async def _of_survey(self, name: str) -> str:
        cases = {case.id for case in await self.cases()}
        async with self.world.parts.database.transaction() as tx:
            surveys = [one for one in (await tx.session.exec(select(Survey))).all() if one.case_id in cases]
        said = [getattr(one, name) for one in surveys if getattr(one, name) is not None]
        return str(said[-1]) if said else "-"

    async def _of_contact(self, name: str) -> str:
        person, contacts = await self.person(), await self._contacts()
        if name == "opted_out":
            return "yes" if any(one.opted_out_at for one in contacts) else "-"
        account = next((one.account for one in contacts if one.id == person.preferred_contact_id), "-")
        return KINDS.get(account, account)


def _way(current: str, to: str) -> list[str]:
    """The shortest way from one state of a case to another."""
    ways = [[current]]
    while ways:
        way = ways.pop(0)
        if way[-1] == to and len(way) > 1:
            return way[1:]
        ways += [[*way, str(state)] for state in states.moves(way[-1]) if state not in way[1:]]
    raise ValueError(f"no way from {current} to {to}")


@asynccontextmanager
async def a_stage(url: str, files: Path, given: Mapping[str, str]) -> AsyncIterator[Stage]:
    """A world in which this can be true."""
    clock = Clock(EVENING if given.get("online") == "no" else MORNING)
    chat = replace(CHAT, late_ack=timedelta(seconds=60)) if given.get("acked") == "no" else CHAT
    telegram = replace(chat, proves_phone=given.get("proves_phone") == "yes")
    wanted = given.get("channels", "web,telegram,email").split(",")
    made: dict[str, Channel] = {
        "web": Memory("webchat", features=CHAT, now=clock),
        "telegram": Linked("telegram", features=telegram, now=clock),
        "whatsapp": Linked("whatsapp", features=CHAT, now=clock),
        "sms": Memory("sms", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    policy = Policy(undo_seconds=0, code_tries=int(given.get("tries_left", "4")) + 1)
    channels = {ACCOUNTS.get(kind, kind): made[kind] for kind in wanted}
    async with a_world(url, clock, files, policy=policy, channels=channels) as world:
        yield Stage(world, clock, given)


def given_of(lines: Iterable[Line]) -> dict[str, str]:
    """What holds from the first line on."""
    found: dict[str, str] = {}
    for line in lines:
        if line.who != "given":
            break
        found |= _pairs(line)
    return found


def _pairs(line: Line) -> dict[str, str]:
    return dict(one.split("=", 1) for one in line.words["es"].split())


async def play(stage: Stage, dialogue: Dialogue, language: str) -> None:
    """The whole conversation, and what must be stored at its end; fails at the first Answer that is another."""
    heard: list[str] | None = None
    for line in dialogue.lines:
        if line.who in ("bot", "notice"):
            heard = [*(heard or []), *line.words["es"].split()]
            continue
        _agree(stage, heard, line)
        heard = None if line.who == "given" else []
        await _act(stage, line, language)
    _agree(stage, heard, None)
    found = {name: await stage.value(name) for name in dialogue.database}
    wanted = {name: _wanted(name, value, found[name]) for name, value in dialogue.database.items()}
    assert found == wanted, _shown(stage)


def _agree(stage: Stage, heard: list[str] | None, before: Line | None) -> None:
    if heard is not None:
        place = f"before line {before.number}" if before else "at the end"
        assert stage.lines == heard, f"{place}\n{_shown(stage)}"


def _shown(stage: Stage) -> str:
    return "\n".join(stage.transcript)


async def _act(stage: Stage, line: Line, language: str) -> None:
    words = line.words.get(language) or line.words["es"]
    match line.who:
        case "given":
            await stage.given(_pairs(line))
        case "person":
            text = await _filled(stage, words.replace("\\n", "\n"))
            await stage.write(text, files=int(line.reading.get("files", "0")))
        case "press":
            await stage.write("", pressed=words)
        case "agent":
            await stage.agent(words)
        case "clock":
            await (stage.survey() if words in ("survey", "reminder") else stage.silence())
        case "link":
            await stage.follow_link(words)
        case "phone":
            await stage.write("", phone=words)
        case other:
            raise ValueError(f"line {line.number}: {other}")


async def _filled(stage: Stage, text: str) -> str:
    """The codes that a person reads elsewhere."""
    if "{own_code}" in text:
        text = text.replace("{own_code}", (await stage.cases())[-1].code)
    if "{foreign_code}" in text:
        text = text.replace("{foreign_code}", await _foreign(stage))
    if "{mail_code}" in text:
        mails = [row.text for row in await stage.rows() if row.kind == "code"]
        text = text.replace("{mail_code}", re.findall(r"\b\d{6}\b", mails[-1])[0])
    return text.replace("{wrong_code}", CODES["wrong_code"]).replace("{wrong_mail_code}", CODES["wrong_mail_code"])


async def _foreign(stage: Stage) -> str:
    """Somebody else's case."""
    mine = {case.id for case in await stage.cases()}
    if not [case for case in await stage.world.cases() if case.id not in mine]:
        await stage.world.write("telegram", "vecino", "sugiero que abran los domingos")
    return next(case.code for case in await stage.world.cases() if case.id not in mine)


def _wanted(name: str, value: str, found: str) -> str:
    if value == "*" and found != "-":
        return found
    if name == "flags":
        return " ".join(sorted({one.rstrip("!") for one in value.split()}))
    return value
