"""The safety net: what must reach a person however calm or funny it sounds. A model never overrules it downward."""

from collections.abc import Iterable, Iterator
from functools import cache

from nlu.fold import Folded
from nlu.phrases import Group, group
from nlu.understanding import SEVERITIES, Trigger

CRITICAL = ("harm", "electric", "gas", "food", "medicine", "minor", "suicide", "fraud")
HIGH = ("data_leak", "discrimination", "legal")
ALARMS = (*CRITICAL, *HIGH, "press")
_NEVER_PAST = frozenset({"suicide"})  # whoever tells of it is not out of danger
_STILL = frozenset({"data_leak"})  # below critical, and yet hours matter: somebody is still exposed


@cache
def _alarm(name: str) -> Group:
    return group(name, prefix="safety.")


def alarms(text: str, folded: Folded) -> tuple[Trigger, ...]:
    """What the text raises, in reading order. All languages are read: an alarm may stand in the other one."""
    calm = folded.without(m.span() for _, m in _alarm("harmless").find(folded))
    found = [trigger for alarm in ALARMS for trigger in _triggers(alarm, text, calm)]
    return tuple(sorted(found, key=lambda t: (t.start, t.end, t.alarm)))


def _triggers(alarm: str, text: str, folded: Folded) -> Iterator[Trigger]:
    taken: list[tuple[int, int]] = []
    for _, match in _alarm(alarm).find(folded):
        start, end = folded.span(*match.span())
        if any(start < stop and begin < end for begin, stop in taken):
            continue  # the same words, seen by the other language
        taken.append((start, end))
        yield Trigger(alarm, text[start:end], start, end)


def is_past(folded: Folded) -> bool:
    """The text tells of long ago ("hace dos años", "last year")."""
    return group("severity", "past").any(folded)


def floor(triggers: Iterable[Trigger], *, past: bool) -> str:
    """The least severity that the alarms allow. Harm that is over and long ago is high, not critical."""
    names = {t.alarm for t in triggers}
    dire = names.intersection(CRITICAL)
    if dire & _NEVER_PAST or (dire and not past):
        return "critical"
    return "high" if dire or names.intersection(HIGH) else "low"


def pages(triggers: Iterable[Trigger], *, past: bool) -> bool:
    """Whether a person must be alerted at once."""
    names = {t.alarm for t in triggers}
    return floor(triggers, past=past) == "critical" or (bool(names & _STILL) and not past)


def worse(one: str, other: str) -> str:
    """The graver of two severities."""
    return max(one, other, key=SEVERITIES.index)
