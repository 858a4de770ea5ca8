"""Tell mail that a machine wrote. It is stored and never answered: two machines would talk for ever (RFC 3834)."""

import re

from channels.mail_headers import Mail, addresses, raw_values, value

_BULK = {"bulk", "junk", "list", "auto_reply", "auto-reply"}
_LIST_HEADERS = ("List-Id", "List-Unsubscribe", "List-Post")
_AUTO_HEADERS = (
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Auto-Reply",
    "X-Mail-Autoreply",
    "X-Autoreply-From",
    "X-FC-MachineGenerated",
)
_ROBOT = re.compile(
    r"^(?:mailer[-_.]?daemon|postmaster|(?:[a-z0-9.]+[-_.])?no[-_.]?reply|do[-_.]?not[-_.]?reply|donot[-_.]?reply|bounces?|"
    r"no[-_.]?responder|no[-_.]?conteste|nao[-_.]?responda|não[-_.]?responda|auto[-_.]?(?:reply|responder|answer)|"
    r"root|daemon|majordomo|listserv)(?:[+._=-].*)?$",
    re.IGNORECASE,
)
_SYSTEM = re.compile(r"^(?:mailer[-_.]?daemon|postmaster)(?:[+._=-].*)?$", re.IGNORECASE)
_AWAY = re.compile(
    r"^\s*(?:\[?auto(?:matic|mated)?[- ]?(?:reply|response|answer)\]?|autoreply|autoresponse|"
    r"out of (?:the )?office|ooo\b|"
    r"on (?:vacation|holiday|leave)|away (?:from|until)|vacation (?:reply|response)|"
    r"respuesta autom[aá]tica|respuesta de ausencia|fuera de (?:la )?oficina|aviso de ausencia|autorrespuesta|"
    r"resposta autom[aá]tica|aus[eê]ncia tempor[aá]ria|fora do escrit[oó]rio|"
    r"r[eé]ponse automatique|absence du bureau|automatische antwort|abwesenheits(?:notiz|meldung)?|"
    r"risposta automatica|fuori sede|automatisch antwoord)\s*(?:[:\-–—(]|$|until\b|till\b|re\b)",
    re.IGNORECASE,
)
_AWAY_UNTIL = re.compile(r"^\s*(?:away|out of (?:the )?office|on vacation) (?:from|until|till)\b", re.IGNORECASE)
_FAILURE = re.compile(
    r"^\s*(?:\*+\s*)?(?:undeliver(?:ed|able)\b|mail delivery (?:fail|status|problem|system)|delivery (?:status )?"
    r"(?:notification|failure|report|problem|has failed)|delivery\b.{0,20}\bfail|failure notice|failed delivery|"
    r"returned mail\b|mail system error|message (?:undeliver|status -|delivery (?:fail|problem))|"
    r"non[- ]?delivery|nondeliverable|mail could not be delivered|warning: (?:could not send|message)|"
    r"unable to deliver|error sending|entrega (?:fallida|no realizada)|no se (?:pudo|puede) entregar|no entregado|"
    r"n[aã]o (?:foi )?(?:poss[ií]vel )?entreg|mensagem n[aã]o entregue|notificaci[oó]n de estado de entrega)",
    re.IGNORECASE,
)


_EVIDENCE = re.compile(
    r"^[> ]*(?:Received: |Return-Path: |Message-ID: )|\b[45]\d\d[ -][45]\.\d\.\d|\([^)\n]{0,200}#?[45]\.\d\.\d\b|"
    r"\bSMTP\b|\b(?:user|mailbox|recipient|address|host)\b.{0,30}\b(?:unknown|not found|unavailable|full|rejected)|"
    r"\bfollowing (?:address|recipient)",
    re.IGNORECASE | re.MULTILINE,
)


def why_machine(mail: Mail, own: frozenset[str] = frozenset()) -> str | None:
    """Why this mail is a machine's; None when a person may have written it. `own` are our addresses, lower case."""
    return _declared(mail) or _reports(mail) or _by_sender(mail, own) or _by_subject(mail)


def is_failure_notice(mail: Mail) -> bool:
    """Whether a mail server says here, in whatever words, that it could not deliver something."""
    if _AWAY.match(value(mail, "Subject")) or value(mail, "Auto-Submitted").lower().startswith("auto-replied"):
        return False
    system = any(_SYSTEM.match(address.partition("@")[0]) for _, address in addresses(mail, "From", "Sender"))
    nameless = re.match(r"\W*mailer-daemon\b", value(mail, "From"), re.IGNORECASE) is not None
    named = _FAILURE.match(value(mail, "Subject")) is not None or bool(value(mail, "X-Failed-Recipients"))
    return (system or nameless or named) and _EVIDENCE.search(_words(mail)) is not None


def _declared(mail: Mail) -> str | None:
    submitted = value(mail, "Auto-Submitted").split(";")[0].strip().lower()
    if submitted and submitted != "no":
        return f"Auto-Submitted: {submitted[:40]}"
    precedence = value(mail, "Precedence").strip().lower()
    if precedence in _BULK:
        return f"Precedence: {precedence}"
    for name in (*_LIST_HEADERS, *_AUTO_HEADERS):
        if value(mail, name):
            return name
    suppress = {one.strip().lower() for one in value(mail, "X-Auto-Response-Suppress").split(",")}
    if suppress & {"all", "autoreply", "oof"}:
        return "X-Auto-Response-Suppress"
    if value(mail, "X-POST-MessageClass").lower().endswith("autoresponder"):
        return "X-POST-MessageClass"
    if any(path.strip() == "<>" for path in raw_values(mail, "Return-Path")):
        return "Return-Path: <>"
    return None


def _reports(mail: Mail) -> str | None:
    kind = mail.get_content_type()
    if kind == "multipart/report":
        return f"report: {str(mail.get_param('report-type') or 'unknown').lower()[:40]}"
    for part in _top_parts(mail):
        if part.get_content_type() in ("message/delivery-status", "message/feedback-report"):
            return f"report: {part.get_content_type()}"
    return "X-Failed-Recipients" if value(mail, "X-Failed-Recipients") else None


def _by_sender(mail: Mail, own: frozenset[str]) -> str | None:
    for name, robot in (("From", _ROBOT), ("Sender", _ROBOT), ("Return-Path", _SYSTEM)):
        for _, address in addresses(mail, name):
            if robot.match(address.partition("@")[0]):
                return f"{name}: {address.partition('@')[0][:40]}"
            if name == "From" and without_tag(address) in own:
                return "from one of our own addresses"
    return None


def _by_subject(mail: Mail) -> str | None:
    subject = value(mail, "Subject")
    if _AWAY.match(subject) or _AWAY_UNTIL.match(subject):
        return "subject of an automatic answer"
    if _FAILURE.match(subject) and _EVIDENCE.search(_words(mail)):  # "Delivery failed" may be a customer's parcel
        return "subject of a delivery failure"
    return None


def without_tag(address: str) -> str:
    """The address without what stands behind a plus, lower case."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _words(mail: Mail) -> str:
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text"][:3]
    contents = (part.get_payload(decode=True) for part in parts)
    return "\n".join(one[:20_000].decode("latin-1") for one in contents if isinstance(one, bytes))


def _top_parts(mail: Mail) -> list[Mail]:
    if not mail.is_multipart():
        return []
    return [one for one in mail.get_payload() if not isinstance(one, str)]
