"""A fortnight of a company's traffic, by the program's own verbs with a clock that is set back."""

import gc
import heapq
import itertools
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text as sql

from bot import states
from bot.catalogue import Catalogue
from bot.desk import Desk
from bot.intake import Intake
from bot.parts import Parts
from bot.refusals import NotPossible
from bot.sending import Sending
from bot.shipped import shipped
from bot.staff import Staff
from bot.ticker import Ticker
from bot.turn import Turns
from bot.views import Me
from channels import CHANNELS
from channels.channel import Channel, DeliveryReport
from channels.memory import Memory
from demo.city import City
from demo.house import Place
from installation import Configuration, now, read_configuration, secret_of
from nlu.language import detect
from nlu.understander import Reader, open_understander
from storage.database import Database
from storage.files import Files
from storage.ids import uuid7_source

LOGIN, PASSWORD = "admin", "acuse-demo"
AGENTS = (("pedro", "Pedro Salas", "agent"), ("marta", "Marta Ruiz", "agent"), ("lucia", "Lucía Gómez", "manager"))
STORIES = Path(__file__).parent / "fortnight.yaml"
MOST_REPLIES = 5
TICK = timedelta(hours=6)
_WAYS = {  # the states that an agent leads the case to
    "taken": (),
    "investigating": ("en_investigacion",),
    "proposed": ("en_investigacion", "propuesta"),
    "solved": ("en_investigacion", "cumplido"),
    "told": ("en_investigacion", "cumplido"),
    "again": ("en_investigacion", "cumplido"),
}
_SEEN = """
UPDATE outgoing SET state = CASE WHEN account = 'sms' THEN 'delivered' ELSE 'read' END,
       delivered_at = sent_at + interval '2 seconds',
       read_at = CASE WHEN account = 'sms' THEN NULL ELSE sent_at + interval '40 seconds' END
 WHERE state = 'sent' AND account IN ('whatsapp', 'sms', 'webchat')"""
_DUE = """
SELECT DISTINCT conversation_id FROM outgoing WHERE state = 'queued' AND not_before <= :now"""
_UNANSWERED = "SELECT DISTINCT conversation_id FROM messages WHERE handled_at IS NULL"


@dataclass(frozen=True)
class Story:
    """One customer."""

    began: datetime
    account: str
    name: str
    words: str
    outcome: str
    address: str


class Past:
    """A clock that goes where the story is."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def reach(self, moment: datetime) -> None:
        """Forward only."""
        self.moment = max(self.moment, moment)


Act = Callable[[], Awaitable[None]]


class Fortnight:
    """Plays the stories side by side, in the order of their moments."""

    def __init__(self, parts: Parts, past: Past, agents: Mapping[str, Me], until: datetime, told: Mapping[str, Any]):
        self._parts, self._past, self._agents, self._until = parts, past, agents, until
        self._told = told
        self._random = Random(20261124)  # noqa: S311  the same fortnight each time
        self._scores = Random(20261125)  # noqa: S311  the same
        self._intake = Intake(parts, lambda text, sticky: detect(text, sticky).language)
        self._turns, self._sending, self._ticker = Turns(parts), Sending(parts), Ticker(parts)
        self._queue: list[tuple[datetime, int, Act]] = []
        self._numbers = itertools.count()
        self._ticked = past()
        self.messages = 0

    async def play(self, stories: list[Story]) -> None:
        """To the end, or to the present."""
        for story in stories:
            self._at(story.began, lambda story=story: self._begin(story))  # type: ignore[misc]  # bound now
        while self._queue:
            moment, _, act = heapq.heappop(self._queue)
            if moment > self._until:
                break
            await self._tick(moment)
            self._past.reach(moment)
            with suppress(NotPossible):
                await act()
        self._past.reach(self._until - timedelta(seconds=30))
        await self._time_passes()

    def _at(self, moment: datetime, act: Act) -> None:
        heapq.heappush(self._queue, (moment, next(self._numbers), act))

    def _later(self, act: Act, *, minutes: float = 0, hours: float = 0) -> None:
        spread = self._random.uniform(0.7, 1.4)
        moment = self._past() + spread * timedelta(minutes=minutes, hours=hours)
        self._at(self._working(moment) if hours else moment, act)

    def _working(self, moment: datetime) -> datetime:
        """Agents work by day."""
        local = moment.astimezone(self._parts.timezone)
        if 8 <= local.hour < 18 and local.weekday() < 5:
            return moment
        following = (local + timedelta(days=1 if local.hour >= 18 else 0)).replace(hour=8, minute=20)
        while following.weekday() > 4:
            following += timedelta(days=1)
        return following.astimezone(moment.tzinfo) + timedelta(minutes=self._random.randrange(150))

    async def _begin(self, story: Story) -> None:
        where = await self._say(story, story.words)
        if story.outcome == "failed":
            await self._fail(where)
        if story.outcome != "person":
            self._later(lambda: self._answer(story, where, 1), minutes=2)
        if story.outcome in _WAYS:
            self._later(lambda: self._take(story, where), hours=self._random.choice((0.3, 0.7, 1, 2, 4)))

    async def _say(self, story: Story, words: str, **fields: Any) -> UUID:
        channel = self._parts.channels[story.account]
        assert isinstance(channel, Memory)
        if self._parts.features(story.account).subject:
            fields = {"subject": words.split(".")[0][:60], "thread": f"thread-{story.address}", **fields}
        elif self._parts.features(story.account).threads:
            fields = {"thread": f"C0SOPORTE:{story.began.timestamp():.6f}", **fields}
        written = channel.write(story.address, words, name=story.name, **fields)
        kept = await self._intake.keep(story.account, replace(written, cursor=None))  # a place no provider has heard of
        assert kept is not None
        self.messages += 1
        self._past.reach(self._past() + timedelta(seconds=self._random.uniform(1.6, 4.5)))
        await self._settle(kept.conversation_id)
        return kept.conversation_id

    async def _answer(self, story: Story, where: UUID, number: int) -> None:
        """The customer answers what was asked, by a button if there is one."""
        if number > MOST_REPLIES or (story.outcome == "quit" and number > 1) or not await self._bot_speaks(where):
            return
        if story.outcome == "quit" and self._random.random() < 0.6:
            return
        lines, buttons = await self._asked(where)
        wanted = ("confirm:yes", "channel:here", "share:yes", "feedback:yes", "type:reclamo", "link:no")
        pressed = next((one for one in wanted if any(button["payload"] == one for button in buttons)), None)
        known = self._told["questions"]
        asked = [line.partition(".")[0] for line in lines]
        replies = [self._one_of(known[line]) for line in asked if line in known]
        if pressed:
            await self._say(story, "", pressed=pressed)
        elif replies:
            await self._say(story, ". ".join(replies[:2]))
        else:
            return
        self._later(lambda: self._answer(story, where, number + 1), minutes=3)

    async def _take(self, story: Story, where: UUID) -> None:
        login = self._random.choice(("pedro", "marta"))
        me, desk = self._agents[login], Desk(self._parts, self._agents[login])
        await desk.take(where)
        await self._reply(
            desk,
            where,
            self._one_of(self._told["agents"]["hello"]).format(name=story.name.split()[0], agent=me.name.split()[0]),
        )
        if self._random.random() < 0.5:
            await desk.note(where, self._one_of(self._told["agents"]["notes"]))
        for number, state in enumerate(_WAYS[story.outcome], 1):
            self._later(lambda state=state: self._move(story, where, desk, state), hours=7 * number)  # type: ignore[misc]  # bound now

    async def _move(self, story: Story, where: UUID, desk: Desk, to: str) -> None:
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.get(where)
            case = await tx.cases.get(conversation.case_id) if conversation and conversation.case_id else None
        if case is None:
            return
        way = _way(case.status, to)
        if not way:
            return
        *between, last = way
        for state in between:
            await desk.move(where, state)
        kind = {"propuesta": "proposal", "cumplido": "solution"}.get(last)
        await desk.move(where, last, self._one_of(self._told["agents"][kind]) if kind else None)
        await self._settle(where, others=True)
        if to == "cumplido":
            await desk.give_back(where)
            await self._settle(where)
            if story.outcome in ("solved", "again"):
                self._later(lambda: self._judge(story), minutes=90)

    async def _judge(self, story: Story) -> None:
        """The customer says whether it is solved."""
        said = {"solved": "sí, todo bien", "again": "no, todavía no, sigue igual"}[story.outcome]
        where = await self._say(story, said)
        if story.outcome == "solved":
            self._later(lambda: self._rate(story, where), hours=8)

    async def _rate(self, story: Story, where: UUID) -> None:
        """How the solution was, from those who answer a survey."""
        _, buttons = await self._asked(where)
        scores = [one["payload"] for one in buttons if one["payload"].startswith("csat:")]
        if not scores or self._scores.random() < 0.25:
            return
        score = self._scores.choice((2, 3, 4, 4, 4, 5, 5, 5, 5))
        await self._say(story, "", pressed=scores[score - 1])
        await self._say(story, str(min(10, 2 * score + self._scores.choice((-1, 0, 0)))))

    async def _reply(self, desk: Desk, where: UUID, words: str) -> None:
        await desk.reply(where, words, key=str(self._past()))
        self._past.reach(self._past() + timedelta(seconds=self._parts.policy.undo_seconds + 1))
        await self._settle(where)

    async def _fail(self, where: UUID) -> None:
        """The provider says that our last message did not arrive."""
        async with self._parts.database.transaction() as tx:
            query = sql("SELECT account, provider_id FROM outgoing WHERE conversation_id = :id ORDER BY number")
            rows = (await (await tx.session.connection()).execute(query, {"id": where})).all()
        account, provider_id = rows[-1]
        reason = "Forbidden: bot was blocked by the user"
        report = DeliveryReport(
            account=account, provider_id=provider_id, state="failed", at=self._past(), reason=reason, permanent=True
        )
        await self._intake.keep(account, report)

    async def _bot_speaks(self, where: UUID) -> bool:
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.get(where)
        return conversation is not None and conversation.speaker == "bot"

    async def _asked(self, where: UUID) -> tuple[list[str], list[dict[str, Any]]]:
        async with self._parts.database.transaction() as tx:
            query = sql("SELECT lines, buttons FROM outgoing WHERE conversation_id = :id ORDER BY number DESC LIMIT 2")
            rows = (await (await tx.session.connection()).execute(query, {"id": where})).all()
        return (list(rows[0][0]), list(rows[0][1])) if rows else ([], [])

    async def _settle(self, where: UUID, *, others: bool = False) -> None:
        """Run what the wake-ups of a conversation would run. `others`: and of those that its turn touched."""
        await self._turns.run(where)
        await self._sending.run(where)
        for one in await self._found(_DUE) if others else ():
            await self._sending.run(one)

    async def _tick(self, moment: datetime) -> None:
        """Timers fire near their time; until then nobody looks."""
        while moment - self._ticked > TICK:
            self._ticked += TICK
            self._past.reach(self._ticked)
            await self._time_passes()

    async def _time_passes(self) -> None:
        async with self._parts.database.transaction() as tx:
            await (await tx.session.connection()).execute(sql(_SEEN))
            due = await tx.timers.next_due_at(timedelta(seconds=15))
        if due is not None and due <= self._past():
            await self._ticker.tick()
            for one in await self._found(_UNANSWERED):
                await self._settle(one, others=True)

    async def _found(self, query: str) -> list[UUID]:
        async with self._parts.database.transaction() as tx:
            rows = await (await tx.session.connection()).execute(sql(query), {"now": self._past()})
            return list(rows.scalars().all())

    def _one_of(self, words: list[str]) -> str:
        return self._random.choice(words)


async def seed(place: Place, url: str, city: City, *, everything: bool) -> str:
    """Agents, and (`everything`) the fortnight. How much, in words."""
    os.environ |= {"ACUSE_CONFIG": str(place.config), "ACUSE_DATA": str(place.data)}
    os.environ.pop("PORT", None)
    os.environ.pop("DATABASE_URL", None)
    config = read_configuration()
    until = now()
    told: Mapping[str, Any] = shipped(STORIES)
    stories = _stories(told, until, ZoneInfo(config.company.timezone)) if everything else []
    past = Past(min((story.began for story in stories), default=until) - timedelta(hours=1))
    reader = await open_understander(config.nlu) if everything else Reader(None)
    parts = _parts(config, url, place, past, reader)
    try:
        staff = Staff(parts, lambda: secrets.token_urlsafe(32))
        agents = {login: await staff.add(login, name, role, PASSWORD) for login, name, role in AGENTS}
        await staff.add(LOGIN, "Admin", "admin", PASSWORD)
        _introduce(city, stories)
        fortnight = Fortnight(parts, past, agents, until, told)
        gc.disable()  # nothing of this is garbage yet, and looking for some takes a tenth of the time
        await fortnight.play(stories)
    finally:
        gc.enable()
        await reader.close()
        await parts.database.close()
    return f"{len(stories)} customers, {fortnight.messages} messages"


def _parts(config: Configuration, url: str, place: Place, past: Past, reader: Reader) -> Parts:
    random, secret = Random(7), secret_of(place.data)  # noqa: S311  the same each time
    channels: dict[str, Channel] = {}
    for name, (kind, settings) in config.accounts.items():
        real = CHANNELS[kind].open(name, settings, now=past, secret=secret, public_url=config.company.public_url)
        features = replace(real.features, burst=timedelta(0), pace=())
        channels[name] = Memory(name, features=features, now=past)
    return Parts(
        database=Database(url, now=past, ids=uuid7_source(past, random.randbytes)),
        channels=channels,
        kinds={name: kind for name, (kind, _) in config.accounts.items()},
        files=Files(place.data / "files", limit_bytes=config.policy.attachment_limit),
        catalogue=Catalogue.load(),
        company=config.company,
        policy=config.policy.model_copy(update={"burst_seconds": {}}),
        understander=reader,
        now=past,
        choose=random.randrange,
        secret=secret,
    )


def _stories(told: Mapping[str, Any], until: datetime, zone: ZoneInfo) -> list[Story]:
    found = []
    today = until.astimezone(zone)
    for number, (days, hour, account, name, words, outcome) in enumerate(told["stories"]):
        hours, minutes = (int(part) for part in hour.split(":"))
        began = (today - timedelta(days=days)).replace(hour=hours, minute=minutes, second=number % 60)
        if days == 0:  # this morning, whatever time it is now
            began = today - timedelta(minutes=25 + 17 * (len(told["stories"]) - number))
        found.append(Story(began.astimezone(until.tzinfo), account, name, words, outcome, _address(account, number)))
    return sorted(found, key=lambda story: story.began)


def _address(account: str, number: int) -> str:
    return {
        "whatsapp": f"+5730055510{number:02}",
        "sms": f"+5731055520{number:02}",
        "telegram": str(710_000 + number),
        "email": f"cliente{number}@correo.example",
        "slack": "T0ANDINA:U0INES",
        "webchat": f"{number:064x}",
    }[account]


def _introduce(city: City, stories: list[Story]) -> None:
    """The providers know these people, so that agents can answer them."""
    for story in stories:
        if story.account == "telegram":
            city.telegram.phone(story.address, story.name)


def _way(current: str, to: str) -> list[str]:
    """The shortest lawful way from one state to another."""
    ways = [[current]]
    while ways:
        way = ways.pop(0)
        if way[-1] == to:
            return way[1:]
        ways += [[*way, str(state)] for state in states.moves(way[-1]) if state not in way]
    raise NotPossible(f"no way from {current} to {to}")
