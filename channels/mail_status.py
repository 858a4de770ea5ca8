"""What follows from a mail server's refusal: is the address bad, only this mail, or is it a matter of time?

Enhanced status codes (RFC 3463) decide; where there is none, or one that says nothing, the words do. On doubt only the
mail is given up: an address that is wrongly taken for dead is a person who hears nothing more.
"""

import re
from dataclasses import dataclass
from typing import Literal

Means = Literal["address", "message", "later"]

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.-])([45])[0-7]\d(?:[ -]|: )(?=\S)|\b(?:ERROR_CODE :|ResponseCode )([45])[0-7]\d\b")
_DEAD = {"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"}  # no such mailbox, no such domain, bad syntax, moved, disabled
_PASSING = {"2.2"}  # the mailbox is full: it was emptied before, and may be again
_SAYS_NOTHING = {"0.0", "1.0", "2.0", "3.0", "4.0", "5.0"}

_FULL = re.compile(
    r"\b(?:mail(?:box|folder)|inbox|quota|storage)\b.{0,40}\b(?:full|exceed(?:s|ed)?|over)|over ?quota|"
    r"\bexceed(?:s|ed)\b.{0,30}\b(?:quota|allowed size|local limit)|insufficient (?:system )?storage|"
    r"buz[oó]n.{0,20}lleno|cuota excedida|caixa (?:postal|de correio).{0,20}cheia",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"\b(?:user|recipient|mailbox|account|address|userid|e-?mail)\b[^\n]{0,80}?\b(?:unknown|not (?:be )?(?:found|exist|"
    r"known|recogni[sz]ed|valid|listed)|unavailable|invalid|disabled|inactive|discontinued|does(?: not|n.t) exist|"
    r"wasn.t found|is locked|no longer)|\b(?:unknown|invalid|no such|bad) (?:final delivery )?(?:user|recipient|"
    r"mailbox|account|e-?mail|address|local part|userid)|user doesn.t have|not listed in|"
    r"no (?:valid|such) (?:recipients?|user|person)|"
    r"no mailbox (?:here|by that name)|malformed address|unrouteable address|(?:unknown|no such) host|"
    r"(?:host|domain)\b.{0,60}\b(?:not found|does not exist)|name service error|no SMTP service|"
    r"could not find a gateway|(?:usuario|buz[oó]n|destinatario|cuenta|direcci[oó]n)\b.{0,40}\b(?:no existe|desconocid|"
    r"inexistente)|(?:usu[aá]rio|destinat[aá]rio|conta)\b.{0,40}\b(?:n[aã]o existe|desconhecid|inexistente)",
    re.IGNORECASE,
)
_WAITING = re.compile(
    r"\btim(?:e|ed)[- ]?out\b|\boperation timed out|not responding|did not accept our requests to connect|"
    r"refused to talk|try (?:again )?later|\bdelayed\b|will be retried|temporar(?:y|ily)|gr[ae]ylist|expired|giving up|"
    r"could not deliver for the last|not delivered within|network error|not reachable|connection (?:refused|reset)|"
    r"delivery failed \d+ attempts|were unable to deliver .{0,20}after multiple|aborted after|have been failing|"
    r"too many (?:connections|messages)|rate ?limit",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"permanent(?:ly)?\b|\bfatal errors?\b|black ?list|block(?:ed|list)|\bspam\b|\brejected\b|not accepted|"
    r"(?:size|message) .{0,20}(?:limit|too (?:large|big))|size limit|policy|not allowed|access denied|denied|"
    r"permission|may not exist|misconfigured|hop count|mail loop|unable to deliver message to",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Verdict:
    """`means`: "address", nothing more can go there; "message", only this one was refused; "later", it may work yet."""

    means: Means
    hard: bool


def status_in(*texts: str) -> str | None:
    """The first enhanced status code in these texts, as 5.1.1; of a bare reply code only the class, as 5.0.0."""
    for text in texts:
        if match := _STATUS.search(text):
            return ".".join(match.groups())
    for text in texts:
        if code := _CODE.search(text):
            return f"{code[1] or code[2]}.0.0"
    return None


def judge(status: str | None, words: str) -> Verdict | None:
    """What a refusal means; None when neither the code nor the words tell."""
    kind, _, detail = (status or "").partition(".")
    if detail in _PASSING:
        return Verdict("later", hard=kind == "5")
    if kind == "5" and detail in _DEAD:
        return Verdict("address", hard=True)
    if kind == "4":
        return Verdict("later", hard=False)
    if kind == "5" and detail not in _SAYS_NOTHING:
        return Verdict("message", hard=True)
    return _by_words(words) or (Verdict("message", hard=True) if kind == "5" else None)


def _by_words(words: str) -> Verdict | None:
    if _FULL.search(words):
        return Verdict("later", hard=False)
    if _NOBODY.search(words):
        return Verdict("address", hard=True)
    if _WAITING.search(words):
        return Verdict("later", hard=False)
    return Verdict("message", hard=True) if _REFUSED.search(words) else None
