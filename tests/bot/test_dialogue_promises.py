"""The promises of the dialogue, over thousands of conversations that stay on the road most of the time."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.dialogue import effects as fx
from bot.dialogue import events as ev
from bot.dialogue.forms import FILLED_BY, known
from bot.dialogue.state import CaseFacts, State, Talk, dump, load
from bot.dialogue.step import step

QUESTIONS = {f"ask_{slot}" for slot in FILLED_BY} | {"ask_contact_email"}
EXAMPLES = int(os.environ.get("ACUSE_EXAMPLES", "120"))
TYPES = ("peticion", "queja", "reclamo", "reclamo", "sugerencia", "felicitacion")

numbers = st.integers(10000, 99999).map(str)
fact = st.one_of(
    st.builds(lambda n: ev.Heard("order", n, n), numbers),
    st.builds(lambda n: ev.Heard("invoice", n, n), numbers),
    st.builds(lambda n: ev.Heard("amount", f"{n} COP", n), numbers),
    st.just(ev.Heard("date", "2026-11-26", "ayer")),
    st.just(ev.Heard("wish", "que lo cambien", "que lo cambien")),
    st.builds(lambda n: ev.Heard("email", f"a{n}@ejemplo.co", f"a{n}@ejemplo.co"), numbers),
    st.builds(lambda n: ev.Heard("person", f"Persona {n}", f"Persona {n}"), numbers),
)
facts = st.lists(fact, max_size=3).map(tuple)


def _text(start: str, heard: tuple[ev.Heard, ...]) -> str:
    return " ".join([start, *(one.text for one in heard)]).strip()


@st.composite
def reports(draw: st.DrawFn) -> ev.Said:
    """Somebody brings a case."""
    heard = draw(facts)
    start = draw(st.sampled_from(["llegó rota la licuadora que compré", "nadie me responde", "un reclamo"]))
    return ev.Said(
        text=_text(start, heard),
        type=draw(st.sampled_from(TYPES)),
        type_confidence=0.9,
        sure=draw(st.sampled_from([True, True, True, False])),
        act=draw(st.sampled_from(["report", "report", "report", "human"])),
        severity=draw(st.sampled_from(["low", "medium", "high"])),
        facts=heard,
        files=draw(st.sampled_from([0, 0, 1])),
    )


@st.composite
def replies(draw: st.DrawFn) -> ev.Said:
    """Somebody answers, or does not."""
    heard = draw(facts)
    start = draw(
        st.sampled_from(
            ["", "ayer en la tienda", "quiero que lo cambien", "no, es el", "no sé", "es el pedido", "2",
             "fue anoche. Quiero que lo arreglen"]
        )
    )  # fmt: skip
    return ev.Said(text=_text(start, heard), act="provide", facts=heard, files=draw(st.sampled_from([0, 0, 0, 1])))


def _acts(*acts: tuple[str, str]) -> st.SearchStrategy[ev.Event]:
    return st.sampled_from([ev.Said(text=text, act=act) for act, text in acts])


def _presses(*payloads: str) -> st.SearchStrategy[ev.Event]:
    return st.sampled_from([ev.Said(pressed=payload) for payload in payloads])


yes_or_no = _acts(("affirm", "sí"), ("affirm", "sí, correcto"), ("deny", "no"))
asides = _acts(
    ("greeting", "hola"), ("thanks", "gracias"), ("status", "estado"), ("human", "una persona por favor"),
    ("smalltalk", "jaja"), ("smalltalk", "idiotas"), ("stop", "baja"), ("spam", "gane dinero ya"),
)  # fmt: skip
presses = _presses(
    "confirm:yes", "confirm:no", "type:queja", "channel:here", "channel:email", "channel:telegram", "share:yes",
    "feedback:no", "same:yes", "same:no", "solved:yes", "solved:no", "person",
    "csat:2:PQR-7K3M9QX", "csat:5:PQR-7K3M9QX",
)  # fmt: skip
desk: st.SearchStrategy[ev.Event] = st.sampled_from(
    [
        ev.AgentTook("Pedro"), ev.AgentTook("Pedro"), ev.AgentGaveBack("Pedro"), ev.SolutionAnnounced("Pedro"),
        ev.StateChanged("en_investigacion", "Pedro"), ev.SilenceDay(), ev.ChannelLinked("telegram", "4"),
        ev.SurveyDue("PQR-7K3M9QX"), ev.SurveyDue("PQR-7K3M9QX", reminder=True),
    ]
)  # fmt: skip
mail: st.SearchStrategy[ev.Event] = st.sampled_from(
    [ev.Said(text="482130", act="provide"), ev.Said(text="escríbeme por correo a ana@ejemplo.co", act="provide")]
)


@st.composite
def crowded(draw: st.DrawFn) -> ev.Said:
    """A fact comes along with something else."""
    heard = draw(facts)
    act, start = draw(st.sampled_from([("thanks", "gracias"), ("status", "estado"), ("human", "una persona"),
                                       ("smalltalk", "jaja"), ("stop", "baja"), ("greeting", "hola")]))  # fmt: skip
    return ev.Said(text=_text(start, heard), act=act, facts=heard)


digressions: st.SearchStrategy[ev.Event] = st.sampled_from(
    [ev.Said(text="¿hasta qué hora atienden?", type="peticion", sure=True), ev.Said(text="estado", act="status")]
)
harms = st.builds(
    lambda said: replace(said, severity="critical", human_now=True, alarms=("electric",), sure=True), reports()
)
scores = st.sampled_from([ev.Said(text=text, act="provide") for text in ("5", "un 2", "9, muy amables", "0", "no sé")])
EXPECTED: dict[str, st.SearchStrategy[ev.Event]] = {  # what usually follows a question
    "confirm": st.one_of(yes_or_no, replies(), _presses("confirm:yes", "confirm:no")),
    "closing": st.one_of(yes_or_no, _presses("solved:yes", "solved:no"), _acts(("thanks", "gracias"))),
    "type": st.one_of(_presses("type:queja", "type:sugerencia"), replies()),
    "same_case": st.one_of(_presses("same:yes", "same:no"), reports(), replies()),
    "channel": _presses("channel:here", "channel:email", "channel:telegram"),
    "share": st.one_of(yes_or_no, replies()),
    "feedback": st.one_of(yes_or_no, replies()),
    "csat": st.one_of(_presses("csat:1:PQR-7K3M9QX", "csat:4:PQR-7K3M9QX"), scores, reports(), yes_or_no),
    "nps": st.one_of(scores, replies(), reports(), yes_or_no),
    "comment": st.one_of(replies(), reports(), asides),
}
LOOK_UPS: dict[str, ev.Event] = {
    "own": ev.CaseFound("acusado", own=True),
    "none": ev.CaseNotFound(),
    "limited": ev.StatusLimited(),
}


def _next(state: State) -> st.SearchStrategy[ev.Event]:
    """Two times of three what the road has next; else anything."""
    anything = st.one_of(reports(), replies(), yes_or_no, presses, asides, crowded(), desk, harms, mail)
    if state.talk.speaker == "person":
        at_the_desk = [ev.AgentSpoke(), ev.AgentGaveBack("Pedro"), ev.SolutionAnnounced("Pedro")]
        return st.one_of(st.sampled_from(at_the_desk), replies(), reports(), yes_or_no, mail, anything)
    if state.talk.proving and not state.talk.pending:
        return st.one_of(mail, mail, anything)
    if not state.talk.pending:
        solved: st.SearchStrategy[ev.Event] = st.just(ev.SolutionAnnounced("Pedro"))
        return st.one_of(reports(), solved if state.case else reports(), desk, anything)
    expected = EXPECTED.get(state.talk.pending[0], st.one_of(replies(), digressions))
    return st.one_of(expected, expected, anything)


@dataclass
class Turn:
    """One event with all that came of it."""

    before: State
    event: ev.Event
    after: State
    effects: list[fx.Effect] = field(default_factory=list)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """One line in a failing example."""
        printer.text(f"{self.event} → {' '.join(one.line for one in self.said)}")

    @property
    def said(self) -> list[fx.Say]:
        """What was said in it."""
        return [one for one in self.effects if isinstance(one, fx.Say)]


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    """Played as the caller does: look-ups are answered in the turn, the state is stored and loaded between turns."""
    reachable, online, look_up = draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(sorted(LOOK_UPS)))
    state = State()
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 14))):
        event = draw(_next(state))
        if isinstance(event, ev.Said):
            event = replace(event, reachable=reachable, people_online=online)
        turn = Turn(state, event, state)
        queue: list[ev.Event] = [event]
        while queue:
            state, wanted = step(state, queue.pop(0))
            turn.effects += wanted
            for one in wanted:
                if isinstance(one, fx.AskStatus):
                    queue.append(LOOK_UPS[look_up])
                elif isinstance(one, fx.VerifyCode):
                    queue.append(ev.CodeVerified("ana@ejemplo.co") if online else ev.CodeFailed(1))
        case = load(CaseFacts, dump(state.case)) if state.case else None
        turn.after = state = replace(state, talk=load(Talk, dump(state.talk)), case=case)
        turns.append(turn)
    return turns


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_R013_a_case_at_the_first_report_and_never_without_its_receipt(turns: list[Turn]) -> None:
    for turn in turns:
        opened = [place for place, one in enumerate(turn.effects) if isinstance(one, fx.OpenCase)]
        assert len(opened) <= 1
        for place in opened:
            receipts = [
                one for one in turn.effects[place:] if isinstance(one, fx.Say) and one.line.startswith("receipt")
            ]
            assert len(receipts) == 1
            assert receipts[0].dated
        case = turn.before.case
        free = turn.before.talk.speaker != "person" and not turn.before.talk.safety
        reported = isinstance(turn.event, ev.Said) and turn.event.act == "report" and turn.event.type != "otro"
        if reported and free and (case is None or case.solved_by == "customer"):
            # the answer to "what should be better?" belongs to the case that people see already
            told = "comment" in turn.before.talk.pending and any(
                isinstance(one, fx.RecordSurvey) and one.comment for one in turn.effects
            )
            assert opened or told, turn.event


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_P19_the_bot_is_silent_while_a_person_speaks(turns: list[Turn]) -> None:
    speaking = False
    for turn in turns:
        speaking = (speaking or isinstance(turn.event, ev.AgentTook)) and not isinstance(turn.event, ev.AgentGaveBack)
        if speaking:
            assert [one.line for one in turn.said if not one.notice] == []
            assert not any(isinstance(one, fx.OpenCase) for one in turn.effects)


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_R073_at_most_two_questions_a_turn_and_six_for_a_case(turns: list[Turn]) -> None:
    asked = 0
    for turn in turns:
        now = [one.line for one in turn.said if one.line in QUESTIONS]
        assert len(now) <= 2, now
        fresh = any(isinstance(one, fx.OpenCase) for one in turn.effects)
        # a case counts its own; what was asked while there was none yet (an address) counts for the first one
        asked = (0 if fresh and turn.before.case is not None else asked) + len(now)
        assert asked <= 6


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_P22_nothing_is_asked_that_is_known(turns: list[Turn]) -> None:
    for turn in turns:
        for line in [one.line for one in turn.said if one.line in QUESTIONS]:
            slot = line.removeprefix("ask_")
            if slot.startswith("contact"):
                assert not turn.before.talk.contact_asked
                assert not turn.after.talk.reachable or turn.after.talk.proving
            else:
                assert turn.after.case is not None
                assert not known(turn.after.case, slot), (slot, turn.after.case.facts)


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_R013_every_fact_that_was_said_is_kept(turns: list[Turn]) -> None:
    told: set[str] = set()
    left: set[str] = set()
    for turn in turns:
        if isinstance(turn.event, ev.Said):
            told |= {one.value for one in turn.event.facts}
        if turn.before.case is not None and any(isinstance(one, fx.LeaveCase) for one in turn.effects):
            left |= _values(turn.before.case.facts)
        kept = left | _values(turn.after.case.facts if turn.after.case else {}) | _values(turn.after.talk.held_facts)
        assert [value for value in told if not any(value in one for one in kept)] == []


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_R113_only_the_customers_word_closes(turns: list[Turn]) -> None:
    for turn in turns:
        if any(isinstance(one, fx.ConfirmSolved) for one in turn.effects):
            assert isinstance(turn.event, ev.Said)
            assert turn.event.pressed == "solved:yes" or turn.event.act == "affirm"


@settings(max_examples=EXAMPLES)
@given(conversations())
def test_L3_a_person_is_called_at_any_turn_without_conditions(turns: list[Turn]) -> None:
    """Whoever asks for a person has one called in the very turn, or had one called before."""
    for turn in turns:
        asks = isinstance(turn.event, ev.Said) and (turn.event.act == "human" or turn.event.pressed == "person")
        if asks and turn.before.talk.speaker == "bot":
            assert any(isinstance(one, fx.CallPerson) for one in turn.effects)
            assert turn.after.talk.speaker == "waiting"
            assert any(one.line.startswith(("handover", "person_alerted")) for one in turn.said)
            assert not any(one.line in QUESTIONS - {"ask_contact", "ask_contact_email"} for one in turn.said)


def _values(kept: object) -> set[str]:
    return {value for values in kept.values() for value in values} if isinstance(kept, dict) else set()
