"""The proof of all notifications of a case: one document that anybody can keep, and whose wholeness anybody can check.

`sha256` is that of `content` as JSON with sorted keys, without blanks, in UTF-8. `seal` is this installation's own mark
on it: whoever changes the content can count a new hash, but not the seal.
"""

import hashlib
import hmac
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

from bot.codes import readings
from bot.evidence import Evidence
from bot.parts import Parts
from storage.cases import BrokenChain
from storage.tables import Attachment, Case, Delivery
from storage.transaction import Transaction

FORMAT = "acuse-proof/1"
HOW = "SHA-256 of `content` as JSON: keys sorted, no blanks, UTF-8"
_EMBEDDED = re.compile(r'<script type="application/json" id="acuse-proof">(.*?)</script>', re.DOTALL)


class NoProof(ValueError):
    """What was given is no such document."""


@dataclass(frozen=True)
class Checked:
    """What a document is worth: `whole` it says what its hash says, `ours` we made it so."""

    code: str
    made_at: str
    messages: int
    sha256: str
    verdict: Literal["ours", "whole", "changed"]


class CaseProofs:
    """Makes the document and checks it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, code: str, *, actor: str) -> dict[str, Any] | None:
        """The document of a case, in whatever spelling its code comes; None: there is no such case.

        That it was made, by whom and with which hash, is kept in the audit.
        """
        codes = readings(code)
        async with self._parts.database.transaction() as tx:
            case = await tx.cases.by_code(*codes) if codes else None
            if case is None:
                return None
            content = await self._content(tx, case)
            digest = digest_of(content)
            tx.agents.audit(actor, "proof", case.code, sha256=digest)
        return {"format": FORMAT, "how": HOW, "sha256": digest, "seal": self._seal(digest), "content": content}

    def check(self, text: str) -> Checked:
        """Check a document, or a page that holds one. Raises NoProof."""
        embedded = _EMBEDDED.search(text)
        try:
            document = json.loads(embedded[1] if embedded else text)
            content, told, seal = document["content"], str(document["sha256"]), str(document["seal"])
            known = document["format"] == FORMAT
            code, made_at = str(content["case"]["code"]), str(content["made_at"])
            messages = len(content["messages"])
        except (ValueError, KeyError, TypeError):
            raise NoProof("it holds no proof of a case") from None
        if not known:
            raise NoProof("it was made by another version")
        digest = digest_of(content)
        ours = hmac.compare_digest(seal.encode(), self._seal(digest).encode())
        verdict: Literal["ours", "whole", "changed"] = "ours" if ours else "whole"
        return Checked(code, made_at, messages, digest, verdict if digest == told else "changed")

    async def _content(self, tx: Transaction, case: Case) -> dict[str, Any]:
        rows = await tx.outbox.of_case(case.id)
        steps, files = defaultdict(list), defaultdict(list)
        for step in await tx.outbox.all_deliveries([row.id for row in rows]):
            steps[step.outgoing_id].append(step)
        for file in await tx.outbox.files([row.id for row in rows]):
            files[file.outgoing_id].append(file)
        evidence = Evidence(self._parts)
        return {
            "company": self._parts.company.name,
            "made_at": self._parts.now().isoformat(),
            "case": _case(case, [merged.code for _, merged in await tx.merges.standing(case.id)]),
            "person": (await tx.people.get(case.person_id)).name,
            "history": await _history(tx, case),
            "messages": [
                evidence.proof(row, _in_order(steps[row.id])).as_json()
                | {"files": [_file(one) for one in files[row.id]]}
                for row in rows
            ],
        }

    def _seal(self, digest: str) -> str:
        return hmac.new(self._parts.secret, f"proof of a case:{digest}".encode(), hashlib.sha256).hexdigest()


def digest_of(content: dict[str, Any]) -> str:
    """The hash that stands in the document."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def as_text(document: dict[str, Any]) -> str:
    """The document as a file."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def embedded(document: dict[str, Any]) -> str:
    """The document as it may stand inside a page."""
    return json.dumps(document, ensure_ascii=False).replace("<", "\\u003c")


def _in_order(steps: list[Delivery]) -> list[Delivery]:
    return sorted(steps, key=lambda one: (one.learned_at, one.at))


def _case(case: Case, merged: list[str]) -> dict[str, Any]:
    return {
        "code": case.code,
        "merged": merged,  # codes of the cases that it goes on for
        "type": case.type,
        "status": case.status,
        "opened_at": case.opened_at.isoformat(),
        "due": case.due.isoformat() if case.due else None,
        "due_kind": case.due_kind,
        "closed_at": case.closed_at.isoformat() if case.closed_at else None,
    }


async def _history(tx: Transaction, case: Case) -> dict[str, Any]:
    """The case's own chain, so that the document names the state of things that it speaks of."""
    try:
        whole = await tx.cases.verify(case.id) == case.last_event
    except BrokenChain:
        whole = False
    return {"events": case.last_event, "hash": case.last_hash, "whole": whole}


def _file(file: Attachment) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "size": file.size}
