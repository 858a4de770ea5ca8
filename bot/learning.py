"""What agents corrected, as anonymous examples that `acuse train` reads. Only with the company's leave."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator

from bot.parts import Parts
from nlu.understander import read_by_rules
from nlu.understanding import Hint
from storage.examples import Corrected

PRIVATE = frozenset({"email", "phone", "document", "address", "person", "order", "invoice", "contract"})
_DIGITS = re.compile(r"\d")
_LONG_NUMBER = re.compile(r"\d[\d .-]{3,}\d")
_LINK = re.compile(r"(?:https?://|www\.)\S+|[^\s,;:<>()]+@[^\s,;:<>()]*[\w]", re.IGNORECASE)
_STANDS_FOR = {"email": "correo@example.com", "address": "Calle 00 # 00-00", "person": "Ana"}


class NoConsent(Exception):
    """The company has not said that its customers' words may be used to learn from; the text is the remedy."""

    def __init__(self) -> None:
        super().__init__(
            "Corrections are not given out: set bot.share_corrections: true in config.yaml, if your customers were told"
            " that their messages, made anonymous, may be used to improve the classifier."
        )


async def examples(parts: Parts) -> AsyncIterator[str]:
    """One line of JSON for each case that an agent corrected, in the form of the training data. Raises NoConsent."""
    if not parts.policy.share_corrections:
        raise NoConsent
    after = None
    while True:
        async with parts.database.transaction() as tx:
            page = await tx.reports.examples.corrected(after)
        for one in page:
            yield _line(parts, one)
        if not page:
            return
        after = (page[-1].at, page[-1].case_id)


def _line(parts: Parts, one: Corrected) -> str:
    mark = hmac.new(parts.secret, one.case_id.bytes, hashlib.sha256).hexdigest()[:16]
    critical = one.severity == "critical"
    example = {
        "id": mark,
        "text": anonymous(one.text, one.name, Hint(now=one.at, country=parts.company.country)),
        "language": one.language,
        "type": one.type,
        "second": None,
        "severity": one.severity if one.type != "otro" else "low",
        "act": "report",
        "human_now": critical and one.type != "otro",
        "country": parts.company.country,
        "sector": parts.company.sector or "other",
        "channel": parts.kinds.get(one.account, one.account),
        "genre": "corrected",
        "scenario": mark,
    }
    return json.dumps(example, ensure_ascii=False)


def anonymous(text: str, name: str, hint: Hint) -> str:
    """The words without what points at a person: addresses, numbers, names. What happened stays readable."""
    for fact in sorted(read_by_rules(text, hint).understanding.facts, key=lambda fact: -fact.start):
        if fact.kind in PRIVATE:
            stands = _STANDS_FOR.get(fact.kind) or _DIGITS.sub("0", fact.text)
            text = text[: fact.start] + stands + text[fact.end :]
    text = _LONG_NUMBER.sub(lambda found: _DIGITS.sub("0", found.group()), _LINK.sub(_without, text))
    for part in name.split():
        if len(part) > 2:
            text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "Ana", text, flags=re.IGNORECASE)
    return text


def _without(found: re.Match[str]) -> str:
    return _STANDS_FOR["email"] if "@" in found.group() else "https://example.com"
