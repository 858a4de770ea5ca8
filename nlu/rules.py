"""Type, severity and act by rules: useful alone, and what stands behind the model when it is missing."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nlu import safety
from nlu.fold import Folded
from nlu.phrases import group
from nlu.understanding import TYPES, Trigger

FEW = 4  # words
SURE = 0.6  # confidence from which the bot need not ask
YES_NO = frozenset(  # questions of ours that a yes or a no answers
    {"confirm", "share", "feedback", "solved", "accept", "proposal", "contact_ok", "safety", "consent", "identity"}
)
_NO_CASE = frozenset(
    {"greeting", "status", "human", "affirm", "deny", "provide", "thanks", "stop", "smalltalk", "spam"}
)
_CODE = re.compile(r"(?<![\w@.])(?:pqrs?|fel)[\s_#:-]{0,3}(?:[0-9a-z][\s-]?){6}[0-9a-z](?![\w@])")
_BARE = re.compile(r"(?<![\w@.-])(?=[a-z]*\d)(?=\d*[a-z])[0-9a-z]{7}(?![\w@-])")
_THUMBS = {
    "👍": "affirm",
    "👌": "affirm",
    "✅": "affirm",
    "✔": "affirm",
    "👎": "deny",
    "❌": "deny",
    "🙏": "thanks",
} | dict.fromkeys("❤💙💚💛🧡💜🥰😊😍😘", "thanks")
_WORD = re.compile(r"[^\W_]+")
_LARGE = {"COP": 2_000_000, "CLP": 500_000, "ARS": 500_000, "MXN": 10_000, "PEN": 2_000, "BRL": 3_000}
_LARGE_OTHER = 500  # dollars, euros, pounds and what is worth about as much


@dataclass(frozen=True)
class Verdict:
    """What the rules make of a message."""

    type: str
    confidence: float
    sure: bool
    severity: str
    act: str
    human_now: bool
    firm: bool = False  # the act is certain: no model may change it
    second: str | None = None
    scores: dict[str, float] = field(default_factory=dict)


def judge(
    folded: Folded, triggers: tuple[Trigger, ...], *, pending: str | None, facts_only: bool, money: float
) -> Verdict:
    """Weigh the evidence. `money`: the largest amount, in multiples of what counts as large."""
    evidence = _evidence(folded, triggers)
    act, firm = _act(folded, evidence, pending, facts_only, bool(triggers))
    scores = _scores(folded, evidence)
    kind, confidence, second = _choose(scores, act, len(_WORD.findall(folded.text)))
    severity = _severity(folded, kind, triggers, money)
    past = safety.is_past(folded)
    urgent = safety.pages(triggers, past=past) or (not past and _urgent(folded))
    sure = confidence >= SURE and (act != "report" or max(scores.values()) >= 2)
    return Verdict(kind, confidence, sure, severity, act, urgent, firm, second, scores)


def large(currency: str) -> float:
    """From which amount money counts as large in this currency."""
    return float(_LARGE.get(currency, _LARGE_OTHER))


def has_code(folded: Folded) -> bool:
    """A case code stands in the text: with its prefix, or alone with letters and digits mixed."""
    return bool(_CODE.search(folded.text) or _BARE.search(folded.text))


def case_codes(text: str) -> list[tuple[int, int]]:
    """Where case codes stand in a lower-case text."""
    return [m.span() for pattern in (_CODE, _BARE) for m in pattern.finditer(text)]


# -- type ---

_KINDS = ("failure", "demand", "treatment", "ask", "idea", "idea_not", "sarcasm", "praise", "solved")


def _evidence(folded: Folded, triggers: tuple[Trigger, ...]) -> dict[str, int]:
    denied = [m.span() for _, m in group("types", "denied").find(folded)]
    rest = folded.without(denied)
    found = {kind: group("types", kind).most(rest) for kind in _KINDS}
    found |= {kind: group("types", kind).most(rest, 1) for kind in TYPES if kind != "otro"}
    found["denied"] = len(denied)
    found["alarm"] = sum(t.alarm in safety.CRITICAL for t in triggers)
    found["unfair"] = sum(t.alarm == "discrimination" for t in triggers)
    found["legal"] = sum(t.alarm in ("legal", "press", "data_leak") for t in triggers)
    found["question"] = int("?" in folded.text or "¿" in folded.text)
    return found


def _scores(folded: Folded, e: Mapping[str, int]) -> dict[str, float]:
    wrong = bool(e["failure"] or e["treatment"] or e["alarm"])
    sour = bool(e["sarcasm"])
    over = bool(e["solved"])
    reclamo = 2.5 * min(e["failure"], 1) + 0.5 * max(0, e["failure"] - 1) + 2.5 * min(e["demand"], 1) + 3 * e["reclamo"]
    reclamo += 1.5 * min(e["alarm"], 1) + 0.5 * min(e["legal"], 1)
    queja = 2.2 * min(e["treatment"], 1) + 0.5 * max(0, e["treatment"] - 1) + 2.5 * e["queja"] + 2.5 * sour
    queja += 2 * min(e["unfair"], 1) + 0.5 * min(e["legal"], 1)
    ask = 2.2 * min(e["ask"], 1) + 0.4 * max(0, e["ask"] - 1) + 3 * e["peticion"] + 0.4 * e["question"]
    idea = (0 if sour or e["idea_not"] else 2.5 * min(e["idea"], 1)) + 3 * e["sugerencia"]
    praise = 2.5 * min(e["praise"], 1) + 0.5 * max(0, e["praise"] - 1) + 3 * e["felicitacion"] + 2.0 * over
    if wrong and not e["queja"]:
        queja *= 0.5 if e["failure"] or e["demand"] else 1
    if e["queja"] and not e["demand"]:
        reclamo *= 0.6
    if e["demand"] or e["failure"] or sour:
        ask *= 0.5
    if (wrong or e["demand"] or sour) and not (over and not e["demand"]):
        praise *= 0.3
    if e["idea"] and not sour and not e["demand"] and not e["idea_not"]:
        reclamo, queja, ask = reclamo * 0.5, queja * 0.5, ask * 0.5
    if over and e["praise"] and not e["demand"]:
        reclamo, queja = reclamo * 0.5, queja * 0.4
    raw = {"peticion": ask, "queja": queja, "reclamo": reclamo, "sugerencia": idea, "felicitacion": praise, "otro": 0.0}
    return {kind: round(score, 2) for kind, score in raw.items()}


def _choose(scores: dict[str, float], act: str, words: int) -> tuple[str, float, str | None]:
    ranked = sorted(scores, key=lambda kind: -scores[kind])
    best, second = ranked[0], ranked[1]
    top, next_ = scores[best], scores[second]
    if act in _NO_CASE and top < 2:
        return "otro", 0.9, "felicitacion" if act == "thanks" else None
    if act in ("greeting", "affirm", "deny", "thanks", "stop", "smalltalk", "spam"):
        return "otro", 0.8, best
    if top < 1 and act in ("report", "provide"):
        return _guess(scores, words)
    if top == 0:
        return "otro", 0.3, None
    return best, round(top / (top + next_ + 0.9), 2), second if next_ > 0 else None


def _guess(scores: dict[str, float], words: int) -> tuple[str, float, str | None]:
    """No evidence: a question asks for something; whoever writes a whole sentence most often tells of a failure."""
    if scores["peticion"]:
        return "peticion", 0.4, None
    return ("reclamo", 0.3, "queja") if words >= FEW else ("otro", 0.3, None)


# -- act ---


def _act(folded: Folded, e: Mapping[str, int], pending: str | None, facts_only: bool, alarm: bool) -> tuple[str, bool]:
    words = len(_WORD.findall(folded.text))
    case = any(
        e[k] for k in ("failure", "demand", "treatment", "sarcasm", "sugerencia", "felicitacion", "reclamo", "queja")
    )
    if _wants_person(folded):
        return "human", True
    pressed = _pressed(folded, words, pending)
    if pressed and not alarm:
        return pressed, True
    if group("acts", "stop").any(folded) and _stops(folded, words):
        return "stop", True
    coded = has_code(folded)
    told = any(e[k] for k in ("failure", "demand", "treatment", "sarcasm"))
    if not told and not alarm and _asks_status(folded, words, coded):
        return "status", coded
    for act in ("thanks", "greeting", "smalltalk"):
        if not alarm and group("acts", act, entire=True).fills(folded):
            return act, act != "smalltalk"
    if not case and not alarm and group("acts", "spam").any(folded):
        return "spam", False
    if pending is not None or (facts_only and words):
        return ("provide", False) if words or facts_only else ("smalltalk", False)
    if not words:
        return "smalltalk", False
    return "report", False


def _wants_person(folded: Folded) -> bool:
    if group("acts", "human_word", entire=True).fills(folded):
        return True
    told = folded.without(m.span() for _, m in group("acts", "not_human").find(folded))
    return group("acts", "human").any(told)


def _pressed(folded: Folded, words: int, pending: str | None) -> str | None:
    """A yes, a no or a thumb, alone; with a yes/no question waiting also at the head of a short answer."""
    yes_no = pending is not None and not YES_NO.isdisjoint(re.split(r"[\s,]+", pending))
    bare = folded.text.strip(" .!?¡¿,\ufe0f\n")
    for sign, act in _THUMBS.items():
        if sign in bare and not words:
            return act
    if bare in ("1", "2") and yes_no:
        return "affirm" if bare == "1" else "deny"
    if words <= 6 and group("acts", "deny", entire=True).fills(folded):
        return "deny"
    if words <= 6 and group("acts", "affirm", entire=True).fills(folded):
        return "affirm"
    if yes_no and words <= 12:
        return _head(folded, ("deny", "affirm"))
    return None


def _head(folded: Folded, acts: tuple[str, ...]) -> str | None:
    start = len(folded.text) - len(folded.text.lstrip(" ¡¿,."))
    for act in acts:
        if any(p.match(folded.text, start) for _, p in group("acts", act).patterns):
            return act
    return None


def _stops(folded: Folded, words: int) -> bool:
    """The bare words ("baja", "stop") count only alone: "una baja de tension" and "stop the charges" are no opt-out."""
    return group("acts", "stop", entire=True).fills(folded) or (words >= 3 and _long_match(folded, "stop", 12))


def _long_match(folded: Folded, act: str, letters: int) -> bool:
    return any(m.end() - m.start() >= letters for _, m in group("acts", act).find(folded))


def _asks_status(folded: Folded, words: int, coded: bool) -> bool:
    if coded and words <= 4:
        return True
    if not group("acts", "status").any(folded):
        return False
    return coded or _long_match(folded, "status", 9) or group("acts", "status", entire=True).fills(folded)


# -- severity ---


def _severity(folded: Folded, kind: str, triggers: tuple[Trigger, ...], money: float) -> str:
    past = safety.is_past(folded)
    floor = safety.floor(triggers, past=past)
    if kind == "otro":
        return floor
    level = "medium" if kind in ("queja", "reclamo") else "low"
    if level == "medium" and _says("trivial", folded) and not triggers:
        level = "low"
    grave = kind in ("queja", "reclamo") and (_says("repeated", folded) or _says("outage", folded) or money >= 1)
    if grave or (kind != "felicitacion" and any(map(_reader(folded), ("life", "block", "coercion", "humiliation")))):
        level = safety.worse(level, "high" if level != "low" or not _says("trivial", folded) else "low")
    if level == "low" and _says("bereavement", folded):
        level = "medium"
    return safety.worse(level, floor)


def _urgent(folded: Folded) -> bool:
    says = _reader(folded)
    return says("coercion") or says("block") or says("bereavement") or (says("life") and says("soon"))


def _reader(folded: Folded) -> Callable[[str], bool]:
    return lambda name: _says(name, folded)


def _says(name: str, folded: Folded) -> bool:
    return group("severity", name).any(folded)
