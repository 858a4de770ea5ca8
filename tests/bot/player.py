"""Plays the conversations of tests/dialogues through the pure dialogue; the language is described in read().

    # what it is about
    given:  channel=web channels=web,email proves_phone=yes online=no back_at=el_lunes acked=no profile.email=proved
    person: two weeks waiting! [type=reclamo facts=order:48213 alarms=electric severity=critical files=1 conf=0.5]
    person.en: … / person.pt: …       the same words for the other languages (the reading is taken over)
    press:  confirm:yes
    bot:    apology receipt ask_order ask_evidence          nothing after "bot:" is silence
    notice: agent_joined
    agent:  took Pedro | spoke | back Pedro | state en_investigacion | note cerrado some words | solved
    clock:  a day of silence | survey | reminder           the question after a solved case is due
    link:   telegram
    phone:  +573001234567                                   the number of the phone itself, by the button
    database:
      type: reclamo

In the person's words stand {own_code}, {foreign_code}, {wrong_code}, {mail_code}, {wrong_mail_code}.
Under `database:` "*" means anything; `fact.order: 48213` is a fact, several values stand as "a | b"; "-" means none;
`survey.csat`, `survey.nps` and `survey.comment` are what the customer said of the solution.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.dialogue import effects as fx
from bot.dialogue import events as ev
from bot.dialogue.state import CaseFacts, Profile, State, Talk, dump, load
from bot.dialogue.step import step

DIALOGUES = Path(__file__).parent.parent / "dialogues"
LANGUAGES = ("es", "en", "pt")
CODES = {
    "own_code": "PQR-7K3M9QX",
    "foreign_code": "PQR-4H8WT2B",
    "wrong_code": "PQR-9TC2XZ4",
    "mail_code": "482130",
    "wrong_mail_code": "111222",
}
_READING = re.compile(r"\s*\[([^\]]*=[^\]]*)\]\s*$")


@dataclass(frozen=True)
class Line:
    """One line of a dialogue: who, and in which words for each language."""

    who: str
    words: Mapping[str, str]
    reading: Mapping[str, str] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class Dialogue:
    """A conversation and what the database must say at its end."""

    name: str
    lines: tuple[Line, ...]
    database: Mapping[str, str]

    @property
    def turns(self) -> int:
        """How often somebody spoke."""
        return sum(1 for line in self.lines if line.who != "given")


def read(path: Path) -> Dialogue:
    """Read one file."""
    lines: list[Line] = []
    database: dict[str, str] = {}
    in_database = False
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        who, _, rest = raw.strip().partition(":")
        if who == "database":
            in_database = True
        elif in_database:
            database[who] = rest.strip()
        elif who.startswith("person."):
            last = lines[-1]
            lines[-1] = replace(last, words={**last.words, who.removeprefix("person."): rest.strip()})
        else:
            found = _READING.search(rest) if who == "person" else None
            reading = dict(one.split("=", 1) for one in found[1].split()) if found else {}
            text = rest[: found.start()].strip() if found else rest.strip()
            lines.append(Line(who, {"es": text}, reading, number))
    return Dialogue(path.stem, tuple(lines), database)


def all_dialogues() -> list[Dialogue]:
    """Every file, in the order of their names."""
    return [read(path) for path in sorted(DIALOGUES.glob("*.txt"))]


@dataclass
class Stored:
    """What a database would hold after the effects: no more than the dialogues ask for."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    current: dict[str, Any] | None = None
    flags: list[str] = field(default_factory=list)
    person: dict[str, str] = field(default_factory=dict)
    sent_codes: list[str] = field(default_factory=list)
    survey: dict[str, Any] = field(default_factory=dict)

    def take(self, effect: fx.Effect) -> None:
        """Execute one effect."""
        match effect:
            case fx.OpenCase():
                self.current = {
                    "type": effect.type, "severity": effect.severity, "doubt": effect.doubt, "stage": "gathering",
                    "facts": dict(effect.facts), "status": "acusado", "solved_by": None, "share_words": None,
                }  # fmt: skip
                self.cases.append(self.current)
            case fx.UpdateCase():
                assert self.current is not None, "an update without a case"
                for name in ("type", "doubt", "severity", "facts", "stage", "share_words"):
                    value = getattr(effect, name)
                    if value is not None:
                        self.current[name] = value
            case fx.CallPerson(reason, urgent):
                self.flags.append(f"{reason}!" if urgent else reason)
            case fx.Flag(reason):
                self.flags.append(reason)
            case fx.LeaveCase():
                self.current = None
            case fx.Reopen():
                assert self.current is not None
                self.current |= {"status": "en_investigacion", "solved_by": None}
            case fx.ConfirmSolved():
                assert self.current is not None
                self.current |= {"status": "cerrado", "solved_by": "customer"}
            case fx.RecordSurvey():
                told = {"csat": effect.csat, "nps": effect.nps, "comment": effect.comment}
                self.survey |= {name: said for name, said in told.items() if said is not None}
                self.flags += ["low_score"] if effect.low and "low_score" not in self.flags else []
            case _:
                self._take_of_person(effect)

    def _take_of_person(self, effect: fx.Effect) -> None:
        match effect:
            case fx.SetPreferred(kind, _):
                self.person["preferred"] = kind
            case fx.AddContact(kind, address):
                self.person[f"told.{kind}"] = address
            case fx.SetLanguage(language):
                self.person["language"] = language
            case fx.SetName(name):
                self.person["name"] = name
            case fx.SetTreatment(treatment):
                self.person["treatment"] = treatment
            case fx.OptOut():
                self.person["opted_out"] = "yes"
            case fx.SendCode(address, _):
                self.sent_codes.append(address)
            case _:
                pass

    def value(self, name: str) -> str:
        """What stands under this name, as the dialogues write it."""
        if name == "cases":
            return str(len(self.cases))
        if name == "flags":
            return " ".join(self.flags) or "-"
        if name == "codes_sent":
            return " ".join(self.sent_codes) or "-"
        if name.startswith("survey."):
            return str(self.survey.get(name.removeprefix("survey."), "-"))
        case = self.current or (self.cases[-1] if self.cases else {})
        if name.startswith("fact."):
            return " | ".join(case.get("facts", {}).get(name.removeprefix("fact."), ())) or "-"
        value = case[name] if name in case else self.person.get(name)
        if value is None:
            return "-"
        return ("yes" if value else "no") if isinstance(value, bool) else str(value)


class Player:
    """One conversation, played in one language. `last` holds the effects of the last turn."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.state = State()
        self.stored = Stored()
        self.given: dict[str, str] = {}
        self.last: list[fx.Effect] = []
        self._heard: set[bool] = set()
        self._linked = "telegram"

    def play(self, line: Line) -> None:
        """One line of a dialogue: an event, or what must have been said."""
        match line.who:
            case "given":
                self._given(dict(one.split("=", 1) for one in line.words["es"].split()))
            case "person":
                self._happens(self._said(line))
            case "press":
                self._happens(self._said(replace(line, words={"es": ""}), pressed=line.words["es"]))
            case "agent":
                self._happens(self._agent(line.words["es"]))
            case "clock":
                asked = line.words["es"] in ("survey", "reminder")
                due = ev.SurveyDue(CODES["own_code"], reminder=line.words["es"] == "reminder")
                self._happens(due if asked else ev.SilenceDay())
            case "link":
                self._linked = line.words["es"]
                self._happens(ev.LinkOpened("proof", self.given.get("channel", "web")))
            case "phone":
                here = self.given.get("channels", "web,telegram,email").split(",")
                kinds = tuple(kind for kind in ("whatsapp", "sms") if kind in here)
                self._happens(ev.PhoneShared(line.words["es"], kinds))
            case "bot":
                self._must_say(line, notice=False)
            case "notice":
                self._must_say(line, notice=True)
            case other:
                raise ValueError(f"line {line.number}: {other}")

    def check(self, database: Mapping[str, str]) -> None:
        """The end: what must be stored."""
        found = {name: self.stored.value(name) for name in database}
        wanted = {
            name: found[name] if value == "*" and found[name] != "-" else value for name, value in database.items()
        }
        assert found == wanted

    def _given(self, given: dict[str, str]) -> None:
        self.given |= given
        contacts = {k.removeprefix("profile."): v == "proved" for k, v in given.items() if k.startswith("profile.")}
        profile = replace(self.state.profile, contacts={**self.state.profile.contacts, **contacts})
        self.state = replace(self.state, profile=profile)

    def _happens(self, event: ev.Event) -> None:
        self._heard = set()
        self.last = list(self._feed(event))
        # what is stored must be enough to go on with
        self.state = State(
            talk=load(Talk, dump(self.state.talk)),
            case=load(CaseFacts, dump(self.state.case)) if self.state.case else None,
            profile=load(Profile, dump(self.state.profile)),
        )

    def _feed(self, event: ev.Event) -> Iterator[fx.Effect]:
        self.state, wanted = step(self.state, event)
        for effect in wanted:
            self.stored.take(effect)
            yield effect
            match effect:
                case fx.AskStatus(code):
                    yield from self._feed(self._look_up(code))
                case fx.VerifyCode(code):
                    yield from self._feed(self._verify(code))
                case fx.FollowLink():
                    yield from self._feed(ev.ChannelLinked(self._linked, "4242"))
                case _:
                    pass

    def _look_up(self, code: str | None) -> ev.Event:
        if self.given.get("limited") == "yes":
            return ev.StatusLimited()
        own = self.stored.current is not None and code in (None, CODES["own_code"])
        if own:
            assert self.stored.current is not None
            return ev.CaseFound(self.stored.current["status"], own=True)
        known = code == CODES["foreign_code"]
        return ev.CaseFound("en_investigacion", own=False) if known else ev.CaseNotFound()

    def _verify(self, code: str) -> ev.Event:
        address = self.state.talk.proving or ""
        if code == CODES["mail_code"]:
            return ev.CodeVerified(address, "email" if "@" in address else "phone")
        return ev.CodeFailed(int(self.given.get("tries_left", "4")))

    def _said(self, line: Line, pressed: str | None = None) -> ev.Said:
        reading = line.reading
        text = line.words.get(self.language) or line.words["es"]
        text = text.replace("\\n", "\n")
        for name, code in CODES.items():
            text = text.replace("{" + name + "}", code)
        facts = tuple(_heard(one, text) for one in reading.get("facts", "").split(",") if one)
        kind = reading.get("type", "otro")
        confidence = float(reading.get("conf", "0.9"))
        codes = [code for code in (CODES["own_code"], CODES["foreign_code"]) if code in text]
        return ev.Said(
            text=text,
            language=reading.get("lang", self.language),
            type=kind,
            type_confidence=confidence,
            sure=confidence >= 0.7 and reading.get("sure") != "no",
            second_type=reading.get("second"),
            severity=reading.get("severity", "low"),
            act=reading.get("act", "report" if kind != "otro" else "provide"),
            human_now=reading.get("now") == "yes",
            facts=facts,
            alarms=tuple(one for one in reading.get("alarms", "").split(",") if one),
            source=reading.get("source", "model:test"),
            pressed=pressed,
            files=int(reading.get("files", "0")),
            code=codes[0] if codes else None,
            channel=self.given.get("channel", "telegram"),
            channels=tuple(self.given.get("channels", "web,telegram,email").split(",")),
            acked=self.given.get("acked") != "no",
            reachable=self.given.get("reachable") != "no",
            proves_phone=self.given.get("proves_phone") == "yes",
            people_online=self.given.get("online") != "no",
            back_at=self.given["back_at"].replace("_", " ") if "back_at" in self.given else None,
        )

    def _agent(self, words: str) -> ev.Event:
        verb, _, rest = words.partition(" ")
        match verb:
            case "took":
                return ev.AgentTook(rest)
            case "spoke":
                return ev.AgentSpoke()
            case "back":
                return ev.AgentGaveBack(rest)
            case "state":
                return ev.StateChanged(rest, "Pedro")
            case "note":
                to, _, note = rest.partition(" ")
                if to in ("cumplido", "cerrado"):
                    return ev.SolutionAnnounced("Pedro", note)
                return ev.StateChanged(to, "Pedro", note)
            case "solved":
                return ev.SolutionAnnounced("Pedro")
            case other:
                raise ValueError(other)

    def _must_say(self, line: Line, *, notice: bool) -> None:
        said = [one.line for one in self.last if isinstance(one, fx.Say) and one.notice == notice]
        assert " ".join(said) == " ".join(line.words["es"].split()), f"line {line.number}"
        self._heard.add(notice)

    def unchecked(self) -> list[str]:
        """Lines that were said and that the dialogue does not name."""
        return [one.line for one in self.last if isinstance(one, fx.Say) and one.notice not in self._heard]


def _heard(fact: str, text: str) -> ev.Heard:
    kind, _, value = fact.partition(":")
    value = value.replace("_", " ")
    at = text.casefold().find(value.casefold())
    return ev.Heard(kind, value, text[at : at + len(value)] if at >= 0 else "")


def play(dialogue: Dialogue, language: str) -> Player:
    """The whole conversation; fails at the first line that was not said."""
    player = Player(language)
    for line in dialogue.lines:
        if line.who not in ("bot", "notice", "given"):
            assert not player.unchecked(), f"before line {line.number}: the bot also said {player.unchecked()}"
        player.play(line)
    assert not player.unchecked(), f"at the end: the bot also said {player.unchecked()}"
    player.check(dialogue.database)
    return player
