"""A person with two cases: what is said and decided belongs to the case that is meant."""

from datetime import timedelta

from bot.casework import Casework
from storage.tables import Case, CaseMessage
from tests.bot.rows import messages, outgoing, rows, send_all
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
RUDE = "Quiero poner una queja: el vendedor de la tienda del centro me trató muy mal ayer."


async def test_news_of_one_case_never_touch_the_other(world: World) -> None:
    """The preferred chat talks of a newer case: the older one's news name the older, and neither's facts move."""
    talk = await world.write("chat", "ana", BROKEN)
    other = await world.write("telegram", "77", RUDE)
    async with world.parts.database.transaction() as tx:
        old, new = [(await tx.conversations.get(one)).case_id for one in (talk, other)]  # type: ignore[union-attr]
        ana = await tx.people.contact("chat", "ana")
        telegram = await tx.people.contact("telegram", "77")
        assert ana is not None and telegram is not None
        await tx.people.join(ana.person_id, telegram.person_id)
        (await tx.people.get(ana.person_id)).preferred_contact_id = telegram.id
    before = {one.id: one for one in await world.cases()}
    desk = world.desk(await world.agent())
    await desk.move(talk, "en_investigacion")
    await desk.move(talk, "comunicado")
    await desk.move(talk, "cumplido")
    await send_all(world)
    assert old is not None and new is not None
    news = world.sent("telegram", "77")[-1]
    assert news.code == before[old].code
    after = {one.id: one for one in await world.cases()}
    assert (after[new].facts, after[new].stage, after[new].doubt) == (
        before[new].facts,
        before[new].stage,
        before[new].doubt,
    )
    await world.write("telegram", "77", "Sí", pressed=news.buttons[0].payload)
    after = {one.id: one for one in await world.cases()}
    assert after[old].status == "cerrado"
    assert after[new].status == before[new].status


async def test_an_old_question_decides_about_the_case_that_it_was_asked_of(world: World, clock: Clock) -> None:
    """Instead of an answer they report something new, and press the old button later: the new case stays open."""
    talk = await world.write("chat", "ana", BROKEN)
    desk = world.desk(await world.agent())
    for state in ("en_investigacion", "comunicado", "cumplido"):
        await desk.move(talk, state)
    await send_all(world)
    question = world.sent("chat", "ana")[-1]
    clock.advance(timedelta(hours=1))
    await world.write("chat", "ana", RUDE)
    await world.write("chat", "ana", "Es otro caso", pressed="same:no")
    old, new = await world.cases()
    await world.write("chat", "ana", "Sí", pressed=question.buttons[0].payload)
    after = {one.id: one for one in await world.cases()}
    assert (after[old.id].status, after[new.id].status) == ("cerrado", new.status)


async def test_a_receipt_beside_a_look_up_names_its_own_case(world: World) -> None:
    """Two bursts of one turn: asked after a stranger's code, then a report; nobody gets the other's code or date."""
    await world.write("telegram", "eva", BROKEN)
    [hers] = await world.cases()
    await world.write("chat", "ana", "hola")
    for text, pressed in ((f"estado {hers.code}", None), ("Sí", "x:none"), (BROKEN, None)):
        await world.intake.keep("chat", world.memory("chat").write("ana", text, pressed=pressed))
    [talk] = [one for one in await world.conversations() if one.account == "chat"]
    await world.settle(talk.id)
    [own] = [one for one in await world.cases() if one.id != hers.id]
    [receipt] = [one for one in await outgoing(world, "receipt") if one.conversation_id == talk.id]
    said = receipt.text.split("\n\n")
    assert [hers.code in one for one in said if one.startswith(hers.code)] == [True]  # the state that they asked for
    assert own.code in receipt.text
    assert receipt.text.count(hers.code) == 1


async def test_a_case_that_a_person_has_taken_is_silent_wherever_it_turns_up(world: World) -> None:
    """One speaker: however a conversation came to belong to the case, the bot is silent there from its next turn on."""
    talk = await world.write("chat", "ana", BROKEN)
    await world.desk(await world.agent()).take(talk)
    other = await world.write("telegram", "77", "hola")
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(other)
        taken = await tx.conversations.get(talk)
        assert conversation is not None and taken is not None
        conversation.case_id = taken.case_id  # a thread that was being made while the agent took the case
    before = len(world.sent("telegram", "77"))
    await world.write("telegram", "77", "¿Y mi licuadora?")
    assert len(world.sent("telegram", "77")) == before


async def _news_of_another_case(world: World, clock: Clock) -> tuple[Case, str]:
    """One person's case that was solved in the chat, whose question stands on Telegram in the talk of another case."""
    talk = await world.write("chat", "ana", BROKEN)
    await world.write("telegram", "77", RUDE)
    async with world.parts.database.transaction() as tx:
        ana, telegram = await tx.people.contact("chat", "ana"), await tx.people.contact("telegram", "77")
        assert ana is not None and telegram is not None
        await tx.people.join(ana.person_id, telegram.person_id)
        (await tx.people.get(ana.person_id)).preferred_contact_id = telegram.id
    desk = world.desk(await world.agent())
    for state in ("en_investigacion", "comunicado", "cumplido"):
        await desk.move(talk, state)
    await send_all(world)
    solved = world.sent("telegram", "77")[-1].buttons[0].payload
    [old] = [one for one in await world.cases() if one.code in solved]
    clock.advance(timedelta(hours=2))
    return old, solved


async def test_what_is_said_behind_another_cases_button_is_of_its_own_case_from_its_own_moment(
    world: World, clock: Clock
) -> None:
    """Both wait for one turn: the new case has its message, and its term counts from when that came."""
    old, solved = await _news_of_another_case(world, clock)
    await world.write("telegram", "77", "que me pidan disculpas")
    await world.write("telegram", "77", "Sí", pressed="confirm:yes")
    await world.write("telegram", "77", BROKEN)  # the talk's own case needs nothing more: is this another one?
    memory, came = world.memory("telegram"), clock()
    for text, pressed in (("Sí", solved), ("Es otro caso", "same:no")):
        await world.intake.keep("telegram", memory.write("77", text, pressed=pressed))
    clock.advance(timedelta(days=3))
    [talk] = [one for one in await world.conversations() if one.account == "telegram"]
    await world.settle(talk.id)
    cases = await world.cases()
    assert len(cases) == 3 and next(one for one in cases if one.id == old.id).status == "cerrado"
    new = cases[-1]
    yes, other = (await messages(world, talk.id))[-2:]
    links = {(one.case_id, one.entry_id) for one in await rows(world, CaseMessage, "case_id")}
    assert (new.id, other.id) in links and (old.id, yes.id) in links
    assert (new.id, yes.id) not in links
    assert Casework.received(new) == came


async def test_an_answer_about_another_case_is_one_of_those_of_an_hour(world: World, clock: Clock) -> None:
    """A0-11: also a machine that presses buttons gets no answer for ever."""
    _, solved = await _news_of_another_case(world, clock)
    await world.write("telegram", "77", "hola")
    before = await _answers(world)
    await world.write("telegram", "77", "Sí", pressed=solved)
    assert await _answers(world) == before + 1


async def _answers(world: World) -> int:
    return next(one.answers for one in await world.conversations() if one.account == "telegram")
