"""What an answer fills: every fact that was said is kept, under the question it answers or beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.dialogue import numbers, words
from bot.dialogue.events import Said
from bot.dialogue.forms import FAILED, FILLED_BY, FREE_TEXT, NUMBERS, known
from bot.dialogue.state import CaseFacts, Facts

_SAYS_NOTHING = frozenset({"affirm", "thanks", "greeting", "deny", "status"})


@dataclass(frozen=True)
class Absorbed:
    """All facts of the case after an answer, and how the answer was."""

    facts: Facts
    corrected: tuple[str, ...] = ()  # values that took the place of others
    question: bool = False  # it was a question of their own
    new: bool = False  # something was added
    none: bool = False  # they do not know, or have none


def facts_of(said: Said) -> dict[str, tuple[str, ...]]:
    """The facts of a first report: what the reader picked out, and the files."""
    facts: dict[str, tuple[str, ...]] = {}
    for heard in said.facts:
        _add(facts, heard.kind, heard.value)
    _add_files(facts, said.files)
    return facts


def merged(one: Facts, two: Facts) -> dict[str, tuple[str, ...]]:
    """Both, nothing twice; files are counted together."""
    facts = dict(one)
    for slot, values in two.items():
        if slot == "evidence":
            _add_files(facts, int(values[0]))
            continue
        for value in values:
            _add(facts, slot, value)
    return facts


def absorb(case: CaseFacts, pending: Iterable[str], said: Said, *, correcting: bool = False) -> Absorbed:
    """Put an answer where it belongs. `pending`: the slots that wait; `correcting`: we asked what is wrong."""
    waiting = [slot for slot in pending if slot in FILLED_BY]
    fixing = correcting or words.corrects(said.text)
    facts = dict(case.facts)
    corrected = _typed_facts(facts, said, fixing=fixing)
    _add_files(facts, said.files)
    if _does_not_know(said, waiting):
        open_slots = [slot for slot in waiting if not _filled(case, facts, slot)]
        for slot in open_slots:
            _add(facts, "unknown", slot)
        if words.words_of_content(said.text) > 3:
            _add(facts, "more", said.text.strip())
        return Absorbed(facts, corrected, new=True, none=True)
    corrected += _number(facts, waiting, said, fixing=fixing)
    if _is_question(said, waiting, facts, case):
        _add(facts, "more", said.text.strip())
        return Absorbed(facts, question=True, new=True)
    _free_text(facts, waiting, said, case, aside="correction" if correcting and not corrected else "more")
    return Absorbed(facts, corrected, new=facts != case.facts)


def _add(facts: dict[str, tuple[str, ...]], slot: str, value: str) -> None:
    if value and value not in facts.get(slot, ()):
        facts[slot] = (*facts.get(slot, ()), value)


def _add_files(facts: dict[str, tuple[str, ...]], files: int) -> None:
    if files:
        facts["evidence"] = (str(int(facts.get("evidence", ("0",))[0]) + files),)


def _filled(case: CaseFacts, facts: Mapping[str, tuple[str, ...]], slot: str) -> bool:
    return any(facts.get(name) for name in (slot, *FILLED_BY[slot])) or known(case, slot)


def _put(facts: dict[str, tuple[str, ...]], kind: str, value: str, *, fixing: bool) -> tuple[str, ...]:
    """Add a value, or put it in the place of the old ones, which are kept as corrected."""
    old = facts.get(kind, ())
    if not fixing or not old or value in old:
        _add(facts, kind, value)
        return ()
    for was in old:
        _add(facts, "corrected", f"{kind}: {was}")
    facts[kind] = (value,)
    return (value,)


def _typed_facts(facts: dict[str, tuple[str, ...]], said: Said, *, fixing: bool) -> tuple[str, ...]:
    corrected: tuple[str, ...] = ()
    before = dict(facts)
    fresh: set[str] = set()  # "no, they are 48214 and 48215": the second one does not push the first out
    for heard in said.facts:
        if fixing and heard.value in before.get(heard.kind, ()):
            continue  # "not yesterday, the day before": what is taken back is named too
        corrected += _put(facts, heard.kind, heard.value, fixing=fixing and heard.kind not in fresh)
        fresh.add(heard.kind)
    return corrected


def _number(facts: dict[str, tuple[str, ...]], waiting: list[str], said: Said, *, fixing: bool) -> tuple[str, ...]:
    """A bare number answers the question for one, or corrects the one that we have."""
    asked = {"order", "reference"} & {*waiting, *facts.get("unknown", ())}  # found in the end, after a "no sé"
    if any(heard.kind in FILLED_BY["reference"] for heard in said.facts) or not (
        asked or (fixing and "order" in facts)
    ):
        return ()
    number = numbers.number_in(said.text)
    if number is None or any(number in heard.text for heard in said.facts):
        return ()
    facts["unknown"] = tuple(slot for slot in facts.get("unknown", ()) if slot not in asked)
    return _put(facts, "reference" if "reference" in asked else "order", number, fixing=fixing)


def _does_not_know(said: Said, waiting: list[str]) -> bool:
    plain_no = said.act == "deny" and words.words_of_content(said.text) <= 1
    return bool(waiting) and not said.files and not said.facts and (plain_no or words.unknown(said.text))


def _is_question(said: Said, waiting: list[str], facts: Mapping[str, tuple[str, ...]], case: CaseFacts) -> bool:
    filled = any(_filled(case, facts, slot) and not known(case, slot) for slot in waiting)
    return not filled and words.asks(said.text)


def _free_text(
    facts: dict[str, tuple[str, ...]], waiting: list[str], said: Said, case: CaseFacts, *, aside: str
) -> None:
    """Sentence by sentence to the free question that it answers; the rest is kept aside."""
    text = said.text.strip()
    if words.shows_file(text) and not words.wishes(text):
        return
    if not text or (said.act in _SAYS_NOTHING and words.words_of_content(text) <= 2 and aside == "more"):
        return
    free = [slot for slot in waiting if slot in FREE_TEXT and not known(case, slot)]
    if "what" not in free and _says_the_matter(case, said):
        _add(facts, "what", text)
        return
    told_late = free == ["solution"] and words.says_when(text) and not words.wishes(text) and len(text.split()) <= 8
    if told_late and not words.starts_wishing(text) and not known(case, "when_where"):
        _add(facts, "when_where", text)
        return
    if len(free) == 1 and not _only_facts(text, said) and _answers(text, free[0], said):
        _add(facts, free[0], text)
        return
    left: list[str] = []
    for sentence in words.sentences(text):
        slots = _slots_of(sentence, free)
        if not slots and not _only_facts(sentence, said) and not words.insults(sentence):
            open_slots = [slot for slot in free if not _filled(case, facts, slot)]
            slots = [slot for slot in open_slots if _answers(sentence, slot, said)][:1]
        for slot in slots:
            _add(facts, slot, sentence)
        if not slots:
            left.append(sentence)
    rest = " ".join(left)
    if rest and not _only_facts(rest, said):
        _add(facts, aside, rest)


def _says_the_matter(case: CaseFacts, said: Said) -> bool:
    """ "Nobody answers!!" opened the case, and only now comes what it is about."""
    told = " ".join(case.facts.get("what", ()))
    short = words.words_of_content(told) <= 2 and not case.facts.get("order")
    return short and said.act == "report" and said.type in FAILED and words.words_of_content(said.text) >= 4


def _answers(sentence: str, slot: str, said: Said) -> bool:
    """Whether it can be taken as an answer: a number is no wish, and an outburst is no time."""
    numbered = any(heard.text and heard.text in sentence and heard.kind in NUMBERS for heard in said.facts)
    numbered = numbered or numbers.long_number(sentence)
    if slot == "solution":
        return words.wishes(sentence) or not (numbered or words.insults(sentence) or words.has_none(sentence))
    return slot != "when_where" or not (words.insults(sentence) or numbered or words.wishes(sentence))


def _slots_of(sentence: str, free: list[str]) -> list[str]:
    wishing = words.starts_wishing(sentence)  # "send it tomorrow" says when it shall be, not when it was
    fits = {"solution": words.wishes(sentence), "when_where": words.says_when(sentence) and not wishing}
    return [slot for slot in free if fits.get(slot)]


def _only_facts(text: str, said: Said) -> bool:
    """Nothing is left to keep once the picked-out facts are taken away."""
    for heard in said.facts:
        text = text.replace(heard.text, " ") if heard.text else text
    number = numbers.number_in(text)
    if number:
        text = text.replace(number, " ")
    return words.words_of_content(text) <= 1 and (bool(said.facts) or number is not None)
