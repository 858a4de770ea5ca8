"""Corners of the dialogue that no whole conversation is needed for."""

from collections import Counter
from dataclasses import replace

import pytest

from bot.dialogue import effects as fx
from bot.dialogue import events as ev
from bot.dialogue import numbers, words
from bot.dialogue.forms import missing
from bot.dialogue.state import CaseFacts, Profile, State, Talk, dump, load
from bot.dialogue.step import step

FILED = CaseFacts(code="PQR-7K3M9QX", type="reclamo", stage="filed", facts={"what": ("roto",), "order": ("48213",)})
GATHERING = replace(FILED, stage="gathering", asked=("order", "evidence"))
THANKS = ev.Said(text="gracias", act="thanks")
REPORT = ev.Said(text="me cobraron dos veces el envío", type="reclamo", type_confidence=0.9, sure=True)


def said(state: State, event: ev.Event) -> list[str]:
    """Names of the lines that this event brings."""
    return [one.line for one in step(state, event)[1] if isinstance(one, fx.Say)]


def talking(*pending: str, case: CaseFacts | None = None, **talk: object) -> State:
    return State(talk=replace(Talk(pending=pending, noticed=True), **talk), case=case)  # type: ignore[arg-type]  # free


# --- what is stored ---


def test_an_old_row_loads_after_an_update_and_a_new_one_before_it() -> None:
    assert load(Talk, {"pending": ["order"], "no_longer_known": 7}) == Talk(pending=("order",))
    assert load(CaseFacts, {"facts": {"order": "48213", "date": ["2026-11-26"]}}).facts == {
        "order": ("48213",),
        "date": ("2026-11-26",),
    }
    assert load(Profile, None) == Profile()
    assert load(Talk, {"held": None, "speaker": "person"}).speaker == "person"


def test_each_part_comes_back_as_it_was() -> None:
    talk = Talk(pending=("order", "contact"), held_facts={"a": ("b",)})
    assert load(Talk, dump(talk)) == talk
    assert load(CaseFacts, dump(FILED)) == FILED
    assert load(Profile, dump(Profile(name="Ana", contacts={"email": True}))).contacts == {"email": True}


def test_R036_what_nobody_filled_is_pending_for_the_agent() -> None:
    assert missing(FILED) == ("evidence", "when_where", "solution")


# --- voice notes ---

SPOKEN = ev.Said(files=1, voice=True, act="provide")


def test_P24_a_voice_note_is_kept_and_politely_asked_for_in_writing() -> None:
    assert said(talking(), SPOKEN) == ["voice_received"]
    assert said(talking("order", case=GATHERING), SPOKEN)[0] == "voice_added"
    assert said(talking(case=FILED), SPOKEN) == ["voice_added"]


def test_a_picture_is_no_voice_note() -> None:
    assert "file_received" in said(talking(), replace(SPOKEN, voice=False))
    assert said(talking(case=FILED), replace(SPOKEN, voice=False)) == ["file_added"]


# --- numbers and codes ---


def test_the_digits_of_a_one_time_code_are_no_fact_of_the_case() -> None:
    state = talking("channel", case=FILED, proving="ana@ejemplo.co")
    after, _ = step(state, ev.Said(text="482130", act="provide", facts=(ev.Heard("order", "482130", "482130"),)))
    assert after.case is not None
    assert after.case.facts["order"] == ("48213",)


def test_what_is_no_answer_is_taken_for_none() -> None:
    asked = talking("solution", case=replace(GATHERING, facts={"what": ("la nevera llegó rayada",)}))
    for text in ("ahí va la foto", "no tengo foto", "ya les dije, es el 5521098", "idiotas"):
        after, _ = step(asked, ev.Said(text=text, act="provide"))
        assert after.case is not None
        assert "solution" not in after.case.facts, text


def test_not_yesterday_but_the_day_before_leaves_one_date() -> None:
    facts = {"what": ("la nevera llegó rayada",), "date": ("2026-03-01",), "solution": ("otra",), "order": ("48213",)}
    heard = (ev.Heard("date", "2026-03-01", "ayer"), ev.Heard("date", "2026-02-28", "anteayer"))
    state = talking("confirm", case=replace(GATHERING, stage="confirming", facts=facts))
    after, _ = step(state, ev.Said(text="que no fue ayer, fue anteayer", act="provide", facts=heard))
    assert after.case is not None
    assert after.case.facts["date"] == ("2026-02-28",)


def test_a_guess_builds_nothing() -> None:
    guess = replace(REPORT, text="el portero habló de las cajas", type_confidence=0.3, sure=False)
    state, effects = step(State(), guess)
    assert state.case is not None
    assert (state.case.type, state.case.doubt) == ("otro", True)
    assert "apology" not in [one.line for one in effects if isinstance(one, fx.Say)]


def test_whoever_says_at_last_what_it_is_about_is_understood_as_that() -> None:
    case = CaseFacts(code="PQR-7K3M9QX", type="otro", doubt=True, stage="filed", facts={"what": ("hablen conmigo",)})
    assert said(talking(case=case), REPORT) == ["apology", "ask_order", "ask_evidence"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("estado 7k3m9qx", "7K3M9QX"),
        ("cómo va PQR-7K3M9QX", "PQR-7K3M9QX"),
        ("status of my case 7K3M9QX please", "7K3M9QX"),
        ("qual é o status do caso pqr 7K3 M9QX", "PQR 7K3 M9QX"),
        ("estado de mi pedido", None),
        ("estado del caso", None),
        ("estado 4821345", None),
    ],
)
def test_R012_what_looks_like_a_code(text: str, code: str | None) -> None:
    assert numbers.case_code(text, status=True) == code


def test_another_type_brings_another_date_and_it_is_told() -> None:
    doubtful = CaseFacts(code="PQR-7K3M9QX", type="peticion", doubt=True, facts={"what": ("pagar con QR",)})
    for answer, line in (("una sugerencia", "type_changed"), ("una petición", "type_settled")):
        effects = step(talking("type", case=doubtful), ev.Said(text=answer, act="provide"))[1]
        told = next(one for one in effects if isinstance(one, fx.Say))
        assert (told.line, told.dated) == (line, line == "type_changed")


def waiting(text: str, **more: object) -> ev.Said:
    """Read as a question for the state, and surely as something that failed."""
    return replace(REPORT, text=text, act="status", **more)  # type: ignore[arg-type]  # free


def test_what_failed_is_a_report_where_there_is_no_case_to_ask_for() -> None:
    assert said(talking(), waiting("still waiting for my refund of last month"))[:2] == ["apology", "receipt"]
    for known in (
        (talking(case=FILED), waiting("still waiting for my refund")),
        (talking(), waiting("¿cómo va mi reclamo?")),
        (talking(), waiting("still waiting for my refund", sure=False)),
        (talking(), waiting("esperando, PQR-7K3M9QX")),
    ):
        assert any(isinstance(one, fx.AskStatus) for one in step(*known)[1])


@pytest.mark.parametrize("text", ["estado", "¿Estado?", "ESTADO por favor.", "status please", "andamento", "my status"])
def test_the_bare_word_is_no_yes(text: str) -> None:
    yes = ev.Said(text=text, act="affirm")
    assert any(isinstance(one, fx.AskStatus) for one in step(talking("confirm", case=GATHERING), yes)[1])


def test_an_order_number_is_no_code_where_nobody_asks_for_a_status() -> None:
    assert numbers.case_code("el pedido AB12345", status=False) is None


@pytest.mark.parametrize(
    "text", ["482130", "482 130", "el código es 482130.", "the code is 482130", "o código é 482130."]
)
def test_a_one_time_code_is_six_digits_alone_or_named(text: str) -> None:
    assert numbers.one_time_code(text) == "482130"


@pytest.mark.parametrize("text", ["pedido 482130", "4821301", "48213"])
def test_other_numbers_are_no_one_time_code(text: str) -> None:
    assert numbers.one_time_code(text) is None


# --- a person, harm ---


def test_R043_a_report_that_asks_for_a_person_is_a_case_and_a_call() -> None:
    event = replace(REPORT, act="human", text="me cobraron dos veces el envío, quiero un asesor")
    _, effects = step(State(), event)
    assert [type(one) for one in effects if isinstance(one, fx.CallPerson | fx.OpenCase)] == [
        fx.CallPerson,
        fx.OpenCase,
    ]
    assert said(State(), event) == ["handover", "receipt"]


def test_out_of_hours_without_a_known_hour_nothing_is_promised() -> None:
    event = ev.Said(text="una persona", act="human", people_online=False, reachable=True)
    assert said(State(), event) == ["handover_unknown", "handover_meanwhile"]


def test_a_harm_while_a_person_speaks_is_flagged_without_a_word() -> None:
    state = talking(case=FILED, speaker="person")
    after, effects = step(state, replace(REPORT, severity="critical", human_now=True))
    assert fx.Flag("harm") in effects
    assert after.case is not None
    assert after.case.severity == "critical"
    assert not [one for one in effects if isinstance(one, fx.Say)]


def test_stop_counts_while_a_person_speaks() -> None:
    after, effects = step(talking(speaker="person"), ev.Said(text="baja", act="stop"))
    assert fx.OptOut() in effects
    assert after.profile.opted_out


def test_R044_a_known_number_is_not_asked_for() -> None:
    harm = replace(REPORT, severity="critical", human_now=True, alarms=("harm",))
    assert "ask_callback" in said(State(), harm)
    phone = replace(harm, facts=(ev.Heard("phone", "+573001234567", "3001234567"),))
    assert "ask_callback" not in said(State(), phone)


def test_L5_the_ai_notice_comes_with_the_safety_line_where_no_ack_left() -> None:
    harm = replace(REPORT, severity="critical", human_now=True, acked=False)
    assert said(State(), harm)[0] == "harm_safety"
    assert said(State(), harm)[-1] == "ai_notice"


def test_a_past_harm_of_low_severity_goes_the_ordinary_way() -> None:
    assert said(State(), replace(REPORT, alarms=("harm",)))[0] == "apology"


def test_R048_mentions_of_law_and_press_are_flagged_and_the_talk_goes_on() -> None:
    _, effects = step(State(), replace(REPORT, alarms=("legal", "press")))
    assert {fx.Flag("legal"), fx.Flag("press")} <= {one for one in effects if isinstance(one, fx.Flag)}


# --- questions beside the form ---


def test_same_case_is_asked_twice_and_then_the_types_decide() -> None:
    state = talking("same_case", case=FILED, held="además la caja venía abierta", held_type="reclamo")
    vague = ev.Said(text="la caja de abajo", act="provide")
    assert said(state, vague) == ["ask_same_case"]
    again, _ = step(state, vague)
    after, effects = step(again, vague)
    assert [one.line for one in effects if isinstance(one, fx.Say)] == ["added"]
    assert after.case is not None
    assert "además la caja venía abierta\nla caja de abajo\nla caja de abajo" in after.case.facts["more"]
    other = replace(again, talk=replace(again.talk, held_type="sugerencia"))
    assert "receipt" in said(other, vague)


def test_no_or_another_opens_a_new_case() -> None:
    state = talking("same_case", case=FILED, held="el control no prende", held_type="reclamo")
    for text, act in (("no", "deny"), ("es algo nuevo", "provide"), ("2", "provide")):
        assert "receipt" in said(state, ev.Said(text=text, act=act))


def test_a_type_chosen_by_a_late_press_still_settles_the_doubt() -> None:
    case = replace(GATHERING, type="otro", doubt=True)
    after, _ = step(talking(case=case), ev.Said(pressed="type:queja"))
    assert after.case is not None
    assert (after.case.type, after.case.doubt) == ("queja", False)


def test_the_doubt_on_a_page_without_an_address_asks_for_one_too() -> None:
    unsure = replace(REPORT, sure=False, type="peticion", reachable=False, channels=("web", "email"))
    assert said(State(), unsure) == ["opener_otro", "receipt", "ask_type", "ask_contact_email"]


def test_thanks_do_not_answer_the_question_for_the_type() -> None:
    case = replace(GATHERING, type="otro", doubt=True)
    after, _ = step(talking("type", case=case), ev.Said(text="gracias", act="thanks"))
    assert after.talk.pending == ("type",)


def test_before_any_case_a_report_beats_the_open_question_for_the_type() -> None:
    after, _ = step(talking("type", held="ayuda"), REPORT)
    assert after.case is not None
    assert after.case.facts["more"] == ("ayuda",)


def test_a_type_that_is_told_before_any_case_opens_one() -> None:
    event = ev.Said(text="tengo una idea para la aplicación del banco", act="provide")
    after, _ = step(talking("type"), event)
    assert after.case is not None
    assert after.case.type == "sugerencia"
    assert after.case.facts["what"] == ("tengo una idea para la aplicación del banco",)


@pytest.mark.parametrize(("act", "text"), [("report", "¿hasta qué hora atienden?"), ("smalltalk", "jaja")])
def test_P22_R073_no_question_is_put_a_third_time_however_often_somebody_digresses(act: str, text: str) -> None:
    state, effects = step(State(), REPORT)
    asked = [one.line for one in effects if isinstance(one, fx.Say) and one.line.startswith("ask_")]
    for _ in range(12):
        state, effects = step(state, ev.Said(text=text, act=act, type="peticion", sure=True))
        asked += [one.line for one in effects if isinstance(one, fx.Say) and one.line.startswith("ask_")]
    assert max(Counter(asked).values()) == 2
    assert len(asked) <= 6


def test_P22_whether_it_is_solved_is_asked_twice_and_not_at_every_thanks() -> None:
    state = talking("closing", case=replace(FILED, solved_by="agent"))
    heard = []
    for _ in range(3):
        heard += said(state, THANKS)
        state = step(state, THANKS)[0]
    assert heard.count("closing_question") == 1  # the agent's act has asked before
    assert said(state, ev.Said(text="sí", act="affirm"))[0] == "closing_thanks"


def test_P22_what_kind_of_case_it_is_is_asked_twice_at_most() -> None:
    aside = ev.Said(text="¿hasta qué hora atienden?", type="peticion", sure=True)
    state = talking("type", case=replace(GATHERING, type="otro", doubt=True, asked=()))
    first, second = said(state, aside), said(step(state, aside)[0], aside)
    assert (first, second) == (["side_question", "ask_type"], ["side_question"])


def test_P22_a_date_told_beside_the_kind_of_case_is_not_asked_for() -> None:
    state = talking("type", case=replace(GATHERING, type="queja", doubt=True, asked=(), facts={"what": ("roto",)}))
    told = ev.Said(text="ayer", act="provide", facts=(ev.Heard("date", "2026-11-26", "ayer"),))
    assert said(state, told) == ["apology", "ask_solution"]


def test_P22_what_should_be_better_is_answered_by_words_that_the_reader_takes_for_idle() -> None:
    state = talking("comment", case=replace(FILED, solved_by="customer"), survey=FILED.code)
    said_so = ev.Said(text="esperar menos en la fila", act="smalltalk", sure=True)
    assert [one.comment for one in step(state, said_so)[1] if isinstance(one, fx.RecordSurvey)] == [said_so.text]


# --- channels ---


def test_R002_a_channel_without_its_address_asks_for_it_and_takes_what_comes() -> None:
    state = talking(case=GATHERING, channels=("web", "email"))
    asked, _ = step(state, ev.Said(pressed="channel:email", channels=("web", "email")))
    assert asked.talk.pending == ("address",)
    given = ev.Said(text="es ana@ejemplo.co", act="provide", channels=("web", "email"))
    _, effects = step(asked, given)
    assert fx.SendCode("ana@ejemplo.co") in effects
    assert said(asked, ev.Said(text="luego te digo", act="provide"))[0] == "address_not_understood"
    assert said(asked, ev.Said(text="no", act="deny"))[0] == "preferred_here"


def test_a_report_instead_of_the_address_is_taken_as_a_report() -> None:
    assert "receipt" in said(talking("address", channels=("web", "email")), REPORT)


def test_R002_a_proved_channel_is_taken_at_once() -> None:
    state = State(profile=Profile(contacts={"email": True}), case=FILED)
    _, effects = step(state, ev.Said(text="escríbeme por correo", act="provide", channels=("web", "email")))
    assert fx.SetPreferred("email", None) in effects


def test_a_wish_within_the_report_is_taken_with_it() -> None:
    text = "me cobraron dos veces el envío del pedido, escríbanme por correo a ana@ejemplo.co"
    _, effects = step(State(), replace(REPORT, text=text, channels=("web", "email"), reachable=False))
    lines = [one.line for one in effects if isinstance(one, fx.Say)]
    assert lines[:2] == ["apology", "receipt"]
    assert lines[-1] == "code_sent"
    assert "ask_contact_email" not in lines


def test_words_about_a_mail_are_no_wish_for_one() -> None:
    text = "no responden el correo que les mandé hace un mes sobre el pedido"
    _, effects = step(State(), replace(REPORT, text=text, channels=("web", "email")))
    assert not [one for one in effects if isinstance(one, fx.SendCode | fx.SetPreferred)]


def test_a_telephone_is_a_way_to_reach_somebody() -> None:
    state = talking("contact", reachable=False, contact_asked=True)
    phone = ev.Said(text="3001234567", act="provide", facts=(ev.Heard("phone", "+573001234567", "3001234567"),))
    after, effects = step(state, phone)
    assert fx.AddContact("phone", "+573001234567") in effects
    assert after.talk.pending == ()


def test_telegram_answers_the_question_for_an_address() -> None:
    event = ev.Said(text="por telegram", act="provide", channels=("web", "telegram"), reachable=False)
    state = talking("contact", reachable=False, contact_asked=True)
    assert said(state, event) == ["telegram_link"]
    both = replace(REPORT, text="me cobraron dos veces el envío. Telegram", channels=("web", "telegram"))
    assert "receipt" in said(state, both)


def test_something_else_than_an_address_is_no_condition() -> None:
    state = talking("contact", reachable=False, contact_asked=True)
    assert said(state, ev.Said(text="no quiero darlo", act="provide", reachable=False)) == ["what_can_i_do"]
    report = ev.Said(text="cobraron un servicio que nunca pedí", act="provide", reachable=False)
    assert said(state, report) == ["opener_otro", "receipt", "ask_type"]


def test_a_guess_is_not_apologised_for_before_the_type_is_clear() -> None:
    guess = replace(REPORT, text="necesito el certificado de pagos", sure=False, type_confidence=0.3)
    assert said(State(), guess)[0] == "opener_otro"
    after, _ = step(State(), guess)
    assert said(after, ev.Said(pressed="type:reclamo", text="Quiero que me lo reparen o devuelvan"))[0] == "apology"
    settled, _ = step(after, ev.Said(pressed="type:reclamo", text="Quiero que me lo reparen o devuelvan"))
    assert settled.case is not None
    assert "more" not in settled.case.facts


def test_R014_a_file_alone_is_a_file_whatever_the_reader_made_of_nothing() -> None:
    state = talking("evidence", case=replace(GATHERING, facts={"what": ("roto",), "order": ("1",)}))
    assert said(state, ev.Said(text="", files=1, act="smalltalk"))[0] == "file_added"


def test_a_channel_that_links_itself_is_told() -> None:
    assert said(State(), ev.ChannelLinked("telegram", "4242")) == ["preferred_set"]


OPENED = ev.LinkOpened("proof", "web")


def test_P8_a_link_that_was_opened_joins_nobody_before_they_say_that_it_was_they() -> None:
    asked, effects = step(State(), OPENED)
    assert [one.line for one in effects if isinstance(one, fx.Say)] == ["link_confirm"]
    assert not any(isinstance(one, fx.FollowLink) for one in effects)
    for yes in (ev.Said(text="sí", act="affirm"), ev.Said(text="Sí, fui yo", pressed="link:yes")):
        after, effects = step(asked, yes)
        assert fx.FollowLink("proof") in effects
        assert (after.talk.linking, after.talk.pending) == (None, ())


def test_P8_who_did_not_ask_for_the_link_is_not_joined() -> None:
    asked, _ = step(State(), OPENED)
    for no in (ev.Said(text="no", act="deny"), ev.Said(pressed="link:no")):
        after, effects = step(asked, no)
        assert [one.line for one in effects if isinstance(one, fx.Say)] == ["link_refused"]
        assert not any(isinstance(one, fx.FollowLink) for one in effects)
        assert said(after, ev.Said(pressed="link:yes")) == ["link_expired"]


def test_P8_a_yes_to_something_else_follows_no_link_and_a_late_press_does() -> None:
    asked, _ = step(State(), OPENED)
    later, effects = step(asked, ev.Said(text="hola", act="greeting"))
    _, effects = step(later, ev.Said(text="sí", act="affirm"))
    assert not any(isinstance(one, fx.FollowLink) for one in effects)
    _, effects = step(later, ev.Said(pressed="link:yes"))
    assert fx.FollowLink("proof") in effects


def test_a_channel_that_came_later_than_the_catalogue_has_a_name() -> None:
    _, effects = step(State(), ev.ChannelLinked("carrier_pigeon"))
    spoken = [one for one in effects if isinstance(one, fx.Say)]
    assert spoken[0].blanks["channel"] == fx.Word("channel_here")


def test_a_failure_told_with_its_number_is_a_report_though_it_reads_like_an_answer() -> None:
    """ "mi pedido no llegó, pedido 48214": nothing was asked, so it answers nothing."""
    order = ev.Heard("order", "48214", "48214")
    text = "mi pedido no llegó, 48214"
    told = ev.Said(text=text, act="provide", type="reclamo", type_confidence=0.71, facts=(order,))
    assert "receipt" in said(State(), told)
    assert "receipt" not in said(State(), ev.Said(text="48214", act="provide", facts=(order,)))


def test_waiting_for_a_code_a_message_goes_its_way() -> None:
    assert "receipt" in said(talking(proving="ana@ejemplo.co"), REPORT)


# --- manners ---


def test_R108_who_says_usted_is_answered_so() -> None:
    after, effects = step(State(), ev.Said(text="¿usted me puede ayudar?", act="greeting"))
    assert fx.SetTreatment("usted") in effects
    assert after.profile.treatment == "usted"


def test_an_advert_while_a_case_is_open_and_a_greeting_when_it_is_complete() -> None:
    assert said(talking(case=FILED), ev.Said(text="hola", act="greeting")) == ["greeting_case"]
    assert said(talking(case=FILED), ev.Said(text="jaja", act="smalltalk")) == ["off_topic_case"]
    assert said(talking(case=FILED), ev.Said(text="vale", act="affirm")) == ["case_in_hand"]


def test_a_stale_button_asks_the_open_question_once_more() -> None:
    state = talking("when_where", case=replace(GATHERING, asked=("order",)))
    assert said(state, ev.Said(pressed="old:button")) == ["ask_when_where"]


def test_thanks_in_the_middle_of_the_form() -> None:
    assert said(talking("when_where", case=GATHERING), ev.Said(text="gracias", act="thanks")) == ["welcome"]


def test_bare_words_on_a_page_without_an_address() -> None:
    bare = ev.Said(text="ok", act="affirm", reachable=False, channels=("web", "email"))
    assert said(State(), bare) == ["what_can_i_do", "ask_contact_email"]
    assert said(State(), replace(bare, channels=("web",))) == ["what_can_i_do"]  # we could write nowhere


def test_a_greeting_within_the_summary_shows_it_again() -> None:
    state = talking("confirm", case=replace(GATHERING, stage="confirming"))
    assert said(state, ev.Said(text="hola", act="greeting")) == ["greeting_back", "summary"]


def test_a_summary_says_nothing_twice_and_cuts_long_words_short() -> None:
    facts = {"what": ("uno " * 40,), "solution": ("que me lo cambien ya",), "wish": ("me lo cambien", "un descuento")}
    case = replace(GATHERING, facts=facts, asked=("order", "evidence", "when_where", "solution"))
    _, effects = step(talking(case=case), ev.Said(text="ya les dije todo", act="provide"))
    summary = next(one for one in effects if isinstance(one, fx.Say) and one.line == "summary")
    items = summary.blanks["items"]
    assert isinstance(items, fx.Bullets)
    assert dict(items.items)["label_wish"] == "un descuento"
    assert dict(items.items)["label_what"].endswith("…")


def test_not_knowing_in_many_words_keeps_the_words() -> None:
    event = ev.Said(text="no tengo la factura del señor del almacén", act="provide")
    after, _ = step(talking("order", case=replace(GATHERING, facts={"what": ("roto",)})), event)
    assert after.case is not None
    assert after.case.facts["more"] == ("no tengo la factura del señor del almacén",)


# --- closing ---


def test_news_without_a_case_say_nothing() -> None:
    for event in (ev.StateChanged("cerrado", "P"), ev.SolutionAnnounced("P"), ev.SilenceDay()):
        assert step(State(), event) == (State(), ())
    assert said(State(case=FILED), ev.StateChanged("recibido", "P")) == []


def test_R113_thanks_are_no_yes() -> None:
    state = talking("closing", case=replace(FILED, solved_by="agent"))
    assert said(state, ev.Said(text="gracias", act="thanks")) == ["welcome", "closing_question"]


def test_R113_a_failure_after_the_closing_question_is_a_no() -> None:
    state = talking("closing", case=replace(FILED, solved_by="agent"))
    after, effects = step(state, replace(REPORT, facts=(ev.Heard("amount", "18000 COP", "18.000"),)))
    assert fx.Reopen() in effects
    assert after.case is not None
    assert after.case.facts["amount"] == ("18000 COP",)


def test_another_matter_after_the_closing_question_is_not_its_answer() -> None:
    state = talking("closing", case=replace(FILED, solved_by="agent"))
    idea = ev.Said(text="sugiero abrir los domingos en la tarde", type="sugerencia", sure=True)
    assert said(state, idea) == ["ask_same_case"]


def test_a_second_yes_closes_nothing_again() -> None:
    state = talking(case=replace(FILED, solved_by="customer", status="cerrado"))
    _, effects = step(state, ev.Said(pressed="solved:yes"))
    assert fx.ConfirmSolved() not in effects


# --- words ---


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("quiero felicitar", "felicitacion"),
        ("algo salió mal", "queja"),
        ("a refund please", "reclamo"),
        ("x " * 10, None),
    ],
)
def test_a_type_in_words(text: str, named: str | None) -> None:
    assert words.named_type(text) == named


@pytest.mark.parametrize("text", ["todavía no", "sigue igual", "not yet", "ainda não", "no quedó bien"])
def test_not_yet(text: str) -> None:
    assert words.not_yet(text)


@pytest.mark.parametrize("text", ["no, es el 48214", "perdón, 48214", "actually, 48214", "na verdade, 48214"])
def test_corrections_are_heard(text: str) -> None:
    assert words.corrects(text)


@pytest.mark.parametrize("text", ["no llegó el pedido", "nothing works", "no funciona"])
def test_a_failure_is_no_correction(text: str) -> None:
    assert not words.corrects(text)


def test_L3_who_asks_for_a_person_after_an_alarm_hears_that_one_comes() -> None:
    """Seen in a real chat: after the alarm, "persona" was met with silence."""
    state = talking("callback", case=GATHERING, speaker="waiting", safety=True)
    person = ev.Said(text="persona", act="human")
    after, effects = step(state, person)
    assert [one.line for one in effects if isinstance(one, fx.Say)] == ["still_waiting"]
    assert said(after, person) == []  # once
