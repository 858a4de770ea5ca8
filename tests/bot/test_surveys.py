"""After a solved case: whoever closes it, the customer is asked once and reminded once, or the reason stands there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from sqlmodel import col, select

from bot.policy import Policy, SurveyPolicy
from bot.refusals import NotPossible
from bot.surveys import SOLVED
from channels.channel import DeliveryReport, Outbound, Unavailable, Undeliverable
from channels.whatsapp_templates import candidates, load
from storage.tables import Case, CaseEvent, Survey, Timer
from tests.conftest import Clock
from tests.world import NUBE, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
HARM = "el cable de la plancha me quemó la mano y estoy sangrando"


async def _surveys(world: World) -> list[Survey]:
    async with world.parts.database.transaction() as tx:
        return list((await tx.session.exec(select(Survey).order_by(col(Survey.planned_at)))).all())


async def _survey(world: World) -> Survey:
    [found] = await _surveys(world)
    return found


async def _tick(world: World) -> None:
    """What is due now happens, with all that follows from it."""
    await world.ticker.tick()
    for one in await world.conversations():
        await world.settle(one.id)


async def _next(world: World, clock: Clock) -> None:
    """Time goes on to the survey's next look."""
    async with world.parts.database.transaction() as tx:
        wanted = select(Timer).where(Timer.kind == "survey", col(Timer.done_at).is_(None))
        due = [one.due_at for one in (await tx.session.exec(wanted)).all()]
    assert due, "nothing more will be looked at"
    clock.moment = max(clock(), min(due))
    await _tick(world)


def _asked(world: World, account: str = "chat") -> list[Outbound]:
    return [one for one in world.sent(account) if one.kind in ("survey", "reminder")]


async def _solved(world: World, text: str = BROKEN, sender: str = "ana", account: str = "chat") -> UUID:
    """A case that an agent calls solved."""
    talk = await world.write(account, sender, text)
    me = await world.agent(f"pedro-{sender}")
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    return talk


async def _confirmed(world: World, sender: str = "ana", account: str = "chat") -> UUID:
    """The customer agrees."""
    talk = await _solved(world, sender=sender, account=account)
    await world.write(account, sender, "sí", pressed="solved:yes")
    return talk


async def _press(world: World, score: int, sender: str = "ana", account: str = "chat") -> UUID:
    button = _asked(world, account)[-1].buttons[score - 1]
    return await world.write(account, sender, button.label, pressed=button.payload)


async def test_P3_I14_I15_asked_after_the_customers_word_and_answered(world: World, clock: Clock) -> None:
    await _confirmed(world)
    assert (await _survey(world)).state == "waiting"
    await _tick(world)
    [question] = _asked(world)
    assert question.kind == "survey" and len(question.buttons) == 5
    assert "¿cómo calificas la solución?" in question.text and "resuelto" not in question.text  # that was asked before
    assert question.code == (await world.cases())[0].code
    await _press(world, 5)
    await world.write("chat", "ana", "4")  # no press of the button above, which "4" would be too
    found = await _survey(world)
    assert (found.state, found.csat, found.nps, found.comment) == ("answered", 5, 4, None)
    await world.write("chat", "ana", "tardaron mucho en responder")
    assert (await _survey(world)).comment == "tardaron mucho en responder"
    assert len(await world.cases()) == 1
    clock.advance(timedelta(days=30))
    await _tick(world)
    assert len(_asked(world)) == 1


async def test_R112_only_once_even_if_it_is_solved_twice(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    await _tick(world)
    await _press(world, 3)
    clock.advance(timedelta(minutes=5))
    await world.write("chat", "ana", "no", pressed="solved:no")
    me = await world.agent("marta")
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    await world.write("chat", "ana", "sí", pressed="solved:yes")
    clock.advance(timedelta(days=10))
    await _tick(world)
    assert len(_asked(world)) == 1
    assert (await _survey(world)).csat == 3


async def test_P3_one_reminder_and_then_no_more(world: World, clock: Clock) -> None:
    await _confirmed(world)
    await _tick(world)
    await _next(world, clock)
    assert [one.kind for one in _asked(world)] == ["survey", "reminder"]
    await _next(world, clock)
    assert (await _survey(world)).state == "unanswered"
    clock.advance(timedelta(days=60))
    await _tick(world)
    assert len(_asked(world)) == 2
    await _press(world, 4)  # however late, it counts
    assert (await _survey(world)).csat == 4 and (await _survey(world)).state == "answered"


async def test_P3_an_agents_word_that_nobody_contradicts_is_followed_by_one_days_later(
    world: World, clock: Clock
) -> None:
    await _solved(world)
    await _tick(world)
    clock.advance(timedelta(days=2, hours=23))
    await _tick(world)
    assert _asked(world) == []
    await _next(world, clock)
    assert len(_asked(world)) == 1


async def test_L11_never_before_the_resolution(world: World, clock: Clock) -> None:
    talk = await world.write("chat", "ana", BROKEN)
    me = await world.agent()
    for state in ("clasificado", "en_investigacion", "comunicado"):
        await world.desk(me).move(talk, state)
        await world.settle(talk)
        clock.advance(timedelta(days=9))
        await _tick(world)
    assert await _surveys(world) == []
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    await world.write("chat", "ana", "todavía no", pressed="solved:no")
    clock.advance(timedelta(days=9))
    await _tick(world)
    assert _asked(world) == []
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "reopened")
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    await world.write("chat", "ana", "sí", pressed="solved:yes")
    await _tick(world)
    assert len(_asked(world)) == 1  # now it is


async def test_L11_a_case_that_was_moved_back_behind_our_back_is_not_asked_about(world: World, clock: Clock) -> None:
    await _solved(world)
    async with world.parts.database.transaction() as tx:
        [case] = (await tx.session.exec(select(Case))).all()
        case.status = "en_investigacion"
    await _next(world, clock)
    assert _asked(world) == []
    assert (await _survey(world)).reason == "reopened"


async def test_L13_not_at_night_and_not_on_a_holiday(world: World, clock: Clock) -> None:
    clock.moment = datetime(2026, 3, 21, 22, tzinfo=UTC)  # Saturday 17:00 in Colombia; Monday is a holiday
    await _confirmed(world)
    await _tick(world)
    assert _asked(world) == []
    await _next(world, clock)
    assert len(_asked(world)) == 1
    assert clock() == datetime(2026, 3, 24, 12, tzinfo=UTC)  # Tuesday at seven


async def test_P3_after_a_take_over_it_waits(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    me = await world.agent("marta")
    await world.desk(me).take(talk)
    await _tick(world)
    for _ in range(3):
        await _next(world, clock)
    assert _asked(world) == [] and (await _survey(world)).state == "waiting"
    await world.desk(me).give_back(talk)
    await _next(world, clock)
    assert len(_asked(world)) == 1


async def test_P3_nor_is_it_asked_elsewhere_while_a_person_has_the_case(world: World, clock: Clock) -> None:
    praise = await _solved(world, "Felicitaciones a Carlos, muy amable y muy rápido", "77", "telegram")
    await world.write(
        "telegram", "77", "sí", pressed="solved:yes"
    )  # a talk of its own, where nothing is asked any more
    talk = await _confirmed(world)
    async with world.parts.database.transaction() as tx:
        chat, telegram = await tx.people.contact("chat", "ana"), await tx.people.contact("telegram", "77")
        assert chat is not None and telegram is not None
        await tx.people.join(chat.person_id, telegram.person_id)
        (await tx.people.get(chat.person_id)).preferred_contact_id = telegram.id
    me = await world.agent("marta")
    await world.desk(me).take(talk)
    assert [one.speaker for one in await world.conversations() if one.id == praise] == ["bot"]
    await _tick(world)
    assert _asked(world, "telegram") == []
    await world.desk(me).give_back(talk)
    await _next(world, clock)
    assert len(_asked(world, "telegram")) == 1


async def test_P3_whoever_keeps_the_word_for_two_weeks_is_the_reason(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    await world.desk(await world.agent("marta")).take(talk)
    clock.advance(timedelta(days=15))
    await _tick(world)
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "busy")


async def test_P3_a_question_that_a_take_over_withdrew_is_asked_later(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    await world.ticker.tick()
    for one in await world.conversations():
        await world.turns.run(one.id)  # written, not sent
    me = await world.agent("marta")
    await world.desk(me).take(talk)
    await world.settle(talk)
    assert _asked(world) == []
    await world.desk(me).give_back(talk)
    await _next(world, clock)
    assert [one.kind for one in _asked(world)] == ["survey"]


async def test_P3_what_may_have_arrived_is_neither_sent_again_nor_reminded_of(world: World, clock: Clock) -> None:
    await _confirmed(world)
    world.memory("chat").fail(Unavailable("the line broke", may_have_arrived=True))
    await _tick(world)
    await _next(world, clock)
    assert _asked(world) == [] and (await _survey(world)).state == "unanswered"


async def test_P3_what_did_not_arrive_says_so(world: World, clock: Clock) -> None:
    await _confirmed(world)
    world.memory("chat").fail(Undeliverable("refused"))
    await _tick(world)
    await _next(world, clock)
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "undelivered")


async def test_P3_nobody_is_asked_who_does_not_want_it(world: World, clock: Clock) -> None:
    await _confirmed(world)
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact("chat", "ana")
        assert contact is not None
        tx.people.consent(contact, ("survey",), False, who="person", how="link")
    await _tick(world)
    assert _asked(world) == []
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "consent")


async def test_P3_asked_where_they_do_want_it(world: World, clock: Clock) -> None:
    await _confirmed(world)
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact("chat", "ana")
        assert contact is not None
        tx.people.consent(contact, ("survey",), False, who="person", how="link")
        await tx.people.add_contact(contact.person_id, "telegram", "77", verified_by="link")
    await _tick(world)
    assert _asked(world) == [] and len(_asked(world, "telegram")) == 1
    await _press(world, 4, "77", "telegram")
    assert (await _survey(world)).csat == 4


async def test_P3_without_an_address_the_reason_is_kept(world: World, clock: Clock) -> None:
    await _solved(world)
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact("chat", "ana")
        assert contact is not None
        contact.blocked_at = clock()
    await _next(world, clock)
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "unreachable")


async def test_R044_P3_after_harm_only_if_a_person_approves(world: World, clock: Clock) -> None:
    talk = await _solved(world, HARM)
    clock.advance(timedelta(days=20))
    await _tick(world)
    assert _asked(world) == []
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "harm")
    marta = await world.agent("marta")
    await world.desk(marta).approve_survey(talk)
    await _tick(world)
    await _next(world, clock)  # the safety line still holds: only people speak until one of them gives it back
    await world.desk(marta).take(talk)
    await world.desk(marta).give_back(talk)
    await _next(world, clock)
    assert len(_asked(world)) == 1
    assert (await _survey(world)).approved_by == f"agent:{marta.id}"


async def test_an_approval_that_nobody_waits_for_is_refused(world: World) -> None:
    talk = await world.write("chat", "ana", BROKEN)
    with pytest.raises(NotPossible):
        await world.desk(await world.agent()).approve_survey(talk)


async def test_I16_a_poor_score_is_a_matter_for_people(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    await _tick(world)
    await _press(world, 2)
    [flagged] = [one for one in await world.conversations() if one.id == talk]
    assert (flagged.flag_reason, flagged.urgent) == ("low_score", False)
    await world.write("chat", "ana", "3, me hicieron esperar tres semanas")
    async with world.parts.database.transaction() as tx:
        events = (await tx.session.exec(select(CaseEvent).order_by(col(CaseEvent.number)))).all()
    said = [one.data for one in events if one.kind == "survey answered"]
    assert said == [{"csat": 2}, {"nps": 3, "comment": "3, me hicieron esperar tres semanas"}]
    assert [one.data["reason"] for one in events if one.kind == "flagged"] == ["low_score"]  # once


@pytest.mark.parametrize(("nps", "flag"), [(6, "low_score"), (7, None)])
async def test_I15_who_would_not_recommend_us_is_one_too(world: World, nps: int, flag: str | None) -> None:
    talk = await _confirmed(world)
    await _tick(world)
    await _press(world, 4)
    await world.write("chat", "ana", str(nps))
    [found] = [one for one in await world.conversations() if one.id == talk]
    assert found.flag_reason == flag


async def test_a_score_for_somebody_elses_case_is_nobodys(world: World) -> None:
    await _confirmed(world)
    await _tick(world)
    payload = _asked(world)[0].buttons[0].payload
    await world.write("telegram", "mallory", "x", pressed=payload)
    assert (await _survey(world)).csat is None


async def test_a_new_report_in_the_middle_opens_its_case_and_the_reminder_waits(world: World, clock: Clock) -> None:
    await _confirmed(world)
    await _tick(world)
    await world.write("chat", "ana", "ahora me cobraron dos veces la visita del técnico, quiero mi dinero")
    assert len(await world.cases()) == 2
    clock.advance(timedelta(days=3, hours=1))
    await _tick(world)
    assert [one.kind for one in _asked(world)] == ["survey"]  # another question is open there
    await world.write("chat", "ana", "persona")
    assert [one for one in await world.conversations() if one.human_asked_at is not None]


async def test_a_dead_line_or_a_doubled_wake_up_asks_nobody_twice(world: World, clock: Clock) -> None:
    talk = await _confirmed(world)
    await world.ticker.tick()
    await world.turns.run(talk)
    await world.turns.run(talk)
    await world.ticker.tick()
    await _tick(world)
    assert len(_asked(world)) == 1


OFF = SurveyPolicy(enabled=False)


@pytest_asyncio.fixture
async def silent(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A company that asks nobody."""
    policy = Policy(undo_seconds=0, burst_seconds={"webchat": 0}, survey=OFF)
    async with a_world(database_url, clock, tmp_path, policy=policy) as made:
        yield made


async def test_P3_a_company_that_asks_nobody_has_that_as_the_reason(silent: World) -> None:
    await _confirmed(silent)
    await _tick(silent)
    assert _asked(silent) == [] and (await _survey(silent)).reason == "off"


async def test_P3_praise_is_not_followed_by_a_survey(world: World) -> None:
    await _solved(world, "Felicitaciones a Carlos, el técnico, muy amable y muy rápido")
    assert ((await _survey(world)).state, (await _survey(world)).reason) == ("not_sent", "type")


async def test_usted(database_url: str, clock: Clock, tmp_path: Path) -> None:
    company = NUBE.model_copy(update={"treatment": "usted"})
    async with a_world(database_url, clock, tmp_path, company=company) as world:
        await _confirmed(world)
        await _tick(world)
        assert "sobre su caso" in _asked(world)[0].text and "califica " in _asked(world)[0].text


async def test_P3_every_solved_case_has_one_sent_or_a_reason(world: World, clock: Clock) -> None:
    """Whoever closes it, however it is closed."""
    for number, words in enumerate(
        (BROKEN, HARM, "Felicitaciones a Carlos, muy amable", "necesito el certificado de 2025")
    ):
        talk = await _solved(world, words, f"p{number}")
        if number % 2:
            await world.write("chat", f"p{number}", "sí", pressed="solved:yes")
        else:
            await world.desk(await world.agent(f"marta-{number}")).move(talk, "cerrado")
    for _ in range(4):
        clock.advance(timedelta(days=4))
        await _tick(world)
    surveys = {one.case_id: one for one in await _surveys(world)}
    for case in await world.cases():
        assert case.status in SOLVED
        one = surveys[case.id]
        assert one.asked_at is not None or (one.state == "not_sent" and one.reason), (case.type, one)


async def test_a_choice_of_five_is_a_template_where_free_text_may_not_go() -> None:
    """WhatsApp, a day after their last word."""
    for kind in ("survey", "reminder"):
        found = candidates(load(), kind, "es", {"name", "code"}, 5)
        assert found[0].name == "caso_encuesta" and len(found[0].buttons) == 5


async def test_what_was_delivered_is_counted_as_such(world: World, clock: Clock) -> None:
    await _confirmed(world)
    await _tick(world)
    rows = [row for row in await world.outgoing() if row.kind == "survey"]
    start, end = clock() - timedelta(days=1), clock() + timedelta(days=1)
    async with world.parts.database.transaction() as tx:
        standing = await tx.reports.standing(start, end, clock().date())
    assert [one.arrived for one in standing.surveys] == [False]
    report = DeliveryReport(account="chat", provider_id=rows[0].provider_id or "", state="delivered", at=clock())
    async with world.parts.database.transaction() as tx:
        await world.sending._deliveries.report(tx, report)
    async with world.parts.database.transaction() as tx:
        [counted] = (await tx.reports.standing(start, end, clock().date())).surveys
    assert (counted.state, counted.arrived, counted.cases) == ("asked", True, 1)
