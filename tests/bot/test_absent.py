"""An agent took a conversation and went away (issue 2): it is flagged again, people are told, another may take it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from bot.alerts import Alerts
from bot.desk import Desk
from bot.hours import Hours, open_between, parse_week
from bot.refusals import AlreadyTaken
from bot.views import Me
from tests.bot.rows import outgoing, send_all
from tests.conftest import Clock
from tests.world import NUBE, World, a_world

REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
BOGOTA = ZoneInfo("America/Bogota")


@pytest_asyncio.fixture
async def pedro(world: World) -> Me:
    return await world.agent()


@pytest_asyncio.fixture
async def talk(world: World, pedro: Me) -> AsyncIterator[UUID]:
    """Pedro has it since 9:30, and has answered once."""
    made = await world.write("chat", "ana", REPORT)
    await world.desk(pedro).take(made)
    await world.desk(pedro).reply(made, "Hola, soy Pedro", key="0")
    await send_all(world)
    yield made


async def told(world: World, clock: Clock, minutes: float = 0) -> int:
    """Let time pass in small steps, as the alerts' loop looks; how many alerts were written."""
    alerts, before = Alerts(world.parts), len(await outgoing(world, "alert"))
    end = clock.moment + timedelta(minutes=minutes)
    while clock.moment < end:
        clock.moment = min(end, clock.moment + timedelta(minutes=5))
        await alerts.alert()
    await alerts.alert()
    await send_all(world)
    return len(await outgoing(world, "alert")) - before


async def flagged(world: World, me: Me) -> list[UUID]:
    return [one.id for one in (await world.rooms(me).queue("flagged")).lines]


async def test_who_waits_half_an_hour_for_the_person_who_has_it_is_flagged_and_told_of(
    world: World, clock: Clock, pedro: Me, talk: UUID
) -> None:
    clock.advance(timedelta(minutes=5))
    await world.write("chat", "ana", "¿sigue ahí?")
    assert await told(world, clock, 29) == 0
    assert await flagged(world, pedro) == []
    assert await told(world, clock, 5) == 1
    assert await flagged(world, pedro) == [talk]
    [line] = (await world.rooms(pedro).queue("flagged")).lines
    assert (line.flag_reason, line.speaker, line.speaker_name, line.left) == ("unanswered", "me", "Pedro", True)
    assert line.taken_at == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    mail = world.sent("email", "turno@nube.example")[-1]  # it left, though a person speaks there
    assert "la tiene Pedro desde 09:30" in mail.text
    assert "sigue ahí" not in mail.text


async def test_the_bot_stays_silent_and_people_are_told_again(
    world: World, clock: Clock, pedro: Me, talk: UUID
) -> None:
    """P19: never a word of the bot after a person took over; the alert comes back every ten minutes."""
    clock.advance(timedelta(minutes=1))
    await send_all(world)
    said = len(world.sent("chat"))
    await world.write("chat", "ana", "¿sigue ahí?")
    assert await told(world, clock, 31) == 1
    assert await told(world, clock, 25) == 2
    await world.write("chat", "ana", "quiero hablar con una persona ya")
    assert len(world.sent("chat")) == said
    assert await flagged(world, pedro) == [talk]


async def test_any_colleague_takes_it_over_at_once_and_only_one(world: World, clock: Clock, talk: UUID) -> None:
    marta, luis = await world.agent("marta", "Marta"), await world.agent("luis", "Luis")
    await world.write("chat", "ana", "¿sigue ahí?")
    with pytest.raises(AlreadyTaken, match="Pedro"):
        await world.desk(marta).take(talk)
    await told(world, clock, 35)
    await world.desk(marta).take(talk)
    with pytest.raises(AlreadyTaken, match="Marta"):
        await world.desk(luis).take(talk)
    assert await flagged(world, marta) == []
    assert await told(world, clock, 25) == 0
    assert await told(world, clock, 10) == 1  # she has it now, and has not answered either
    [line] = (await world.rooms(luis).queue("flagged")).lines
    assert line.speaker_name == "Marta"


async def test_an_answer_or_a_move_ends_it_and_thanks_wait_for_none(
    world: World, clock: Clock, pedro: Me, talk: UUID
) -> None:
    desk = world.desk(pedro)
    await world.write("chat", "ana", "¿sigue ahí?")
    await told(world, clock, 35)
    await desk.reply(talk, "Sí, lo estoy mirando", key="1")
    assert await flagged(world, pedro) == []
    clock.advance(timedelta(minutes=1))
    await world.write("chat", "ana", "muchas gracias")
    assert await told(world, clock, 60) == 0
    await world.write("chat", "ana", "¿y cuándo llega la nueva?")
    clock.advance(timedelta(minutes=1))
    await desk.move(talk, "en_investigacion")
    assert await told(world, clock, 60) == 0


async def test_an_answer_that_was_taken_back_is_none(world: World, clock: Clock, pedro: Me, talk: UUID) -> None:
    await world.write("chat", "ana", "¿sigue ahí?")
    clock.advance(timedelta(minutes=1))
    sent = await world.desk(pedro).reply(talk, "Sí", key="1")
    await world.desk(pedro).undo(sent)
    assert await told(world, clock, 40) >= 1


async def test_whoever_was_handed_it_has_time_of_their_own(world: World, clock: Clock, pedro: Me, talk: UUID) -> None:
    marta = await world.agent("marta", "Marta")
    await world.write("chat", "ana", "¿sigue ahí?")
    clock.advance(timedelta(minutes=25))
    await world.desk(pedro).assign(talk, marta.id)
    assert await told(world, clock, 25) == 0
    assert await told(world, clock, 10) == 1


async def test_who_took_it_and_never_wrote_has_half_an_hour_from_the_take_over(
    world: World, clock: Clock, pedro: Me
) -> None:
    """Also when nobody writes again: what was asked before the take-over has no answer of a person."""
    made = await world.write("chat", "ana", REPORT)
    clock.advance(timedelta(minutes=50))
    await world.desk(pedro).take(made)
    assert await told(world, clock, 25) == 0
    assert await told(world, clock, 10) == 1


async def test_only_hours_in_which_people_are_there_count(world: World, clock: Clock, pedro: Me) -> None:
    """Written ten minutes before the day ends: due twenty minutes after the next one begins."""
    talk = await world.write("chat", "ana", REPORT)
    await world.desk(pedro).take(talk)
    await world.desk(pedro).reply(talk, "Hola, soy Pedro", key="0")
    clock.moment = datetime(2026, 3, 2, 17, 50, tzinfo=BOGOTA).astimezone(UTC)
    await world.write("chat", "ana", "¿sigue ahí?")
    alerts = Alerts(world.parts)
    for day, hour, minute in ((2, 23, 0), (3, 7, 59), (3, 8, 15)):
        clock.moment = datetime(2026, 3, day, hour, minute, tzinfo=BOGOTA).astimezone(UTC)
        assert await alerts.alert() == 0
    clock.moment = datetime(2026, 3, 3, 8, 21, tzinfo=BOGOTA).astimezone(UTC)
    assert await alerts.alert() == 1


async def test_the_time_is_the_company_s(database_url: str, clock: Clock, tmp_path: Path) -> None:
    company = NUBE.model_copy(update={"taken_answer_minutes": 5})
    async with a_world(database_url, clock, tmp_path, company=company) as world:
        talk = await world.write("chat", "ana", REPORT)
        await Desk(world.parts, await world.agent()).take(talk)
        await world.write("chat", "ana", "¿sigue ahí?")
        assert await told(world, clock, 10) == 1


def test_how_long_people_were_there() -> None:
    """Over a night, a holiday and a change of clocks; up to midnight and from it."""
    week = parse_week({"mon-fri": "08:00-12:00, 14:00-24:00", "sun": "00:00-04:00"})
    madrid = ZoneInfo("Europe/Madrid")
    hours = Hours(week, madrid, lambda day: day == datetime(2026, 3, 3, tzinfo=madrid).date())

    def between(start: tuple[int, int, int], end: tuple[int, int, int]) -> float:
        first, last = (datetime(2026, 3, d, h, m, tzinfo=madrid) for d, h, m in (start, end))
        return open_between(hours, first, last.astimezone(UTC)) / timedelta(hours=1)

    assert between((2, 7, 0), (2, 9, 30)) == 1.5
    assert between((2, 11, 0), (2, 15, 0)) == 2
    assert between((2, 23, 0), (4, 8, 30)) == 1.5  # Tuesday is a holiday
    assert between((29, 0, 0), (29, 23, 0)) == 3  # Sunday: clocks go forward, and an hour is missing
    assert between((2, 9, 0), (2, 9, 0)) == 0
    assert open_between(
        hours, datetime(2026, 3, 2, 10, tzinfo=madrid), datetime(2026, 3, 1, tzinfo=madrid)
    ) == timedelta(0)
