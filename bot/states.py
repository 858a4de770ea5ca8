"""The states of a case, after the process of ISO 10002, and how it may move between them.

A case never closes by itself, nothing that was rejected closes before the alternatives were told, and a *Todavía no*
leads back to the investigation from wherever the customer was told that it was solved.
"""

from enum import StrEnum

ALTERNATIVES_REMEDY = "tell the customer the internal and external alternatives first, then close"


class CaseState(StrEnum):
    """Where a case stands. The words are the domain's own and are stored as they are."""

    RECIBIDO = "recibido"
    ACUSADO = "acusado"
    CLASIFICADO = "clasificado"
    EN_INVESTIGACION = "en_investigacion"
    PROPUESTA = "propuesta"
    COMUNICADO = "comunicado"
    ACEPTADO = "aceptado"
    CUMPLIDO = "cumplido"
    RECHAZADO = "rechazado"
    ESCALADO_INTERNO = "escalado_interno"
    DERIVADO_EXTERNO = "derivado_externo"
    CERRADO = "cerrado"


class ForbiddenMove(Exception):
    """A case may not move that way. `remedy` says what to do instead; `reason` is its name for translations.

    reason: same | unknown | alternatives | fulfil | reopen | order; of a merge: answered | waits
    """

    def __init__(self, current: str, wanted: str, reason: str, remedy: str) -> None:
        super().__init__(f"a case cannot go from {current} to {wanted}: {remedy}")
        self.current = current
        self.wanted = wanted
        self.reason = reason
        self.remedy = remedy


S = CaseState
TERMINAL = frozenset({S.CERRADO})
CLOSED = TERMINAL
OPEN = frozenset(S) - CLOSED
REOPENABLE = frozenset({S.COMUNICADO, S.CUMPLIDO, S.CERRADO})

MOVES: dict[CaseState, tuple[CaseState, ...]] = {
    # an agent may speak before the receipt has left: then their words are the acknowledgement
    S.RECIBIDO: (S.ACUSADO, S.CLASIFICADO, S.EN_INVESTIGACION),
    S.ACUSADO: (S.CLASIFICADO, S.EN_INVESTIGACION, S.PROPUESTA, S.COMUNICADO),
    S.CLASIFICADO: (S.EN_INVESTIGACION, S.PROPUESTA, S.COMUNICADO),
    S.EN_INVESTIGACION: (S.PROPUESTA, S.COMUNICADO),
    S.PROPUESTA: (S.COMUNICADO, S.EN_INVESTIGACION),
    S.COMUNICADO: (S.ACEPTADO, S.RECHAZADO, S.CUMPLIDO, S.CERRADO, S.EN_INVESTIGACION),
    S.ACEPTADO: (S.CUMPLIDO, S.RECHAZADO),
    S.CUMPLIDO: (S.CERRADO, S.RECHAZADO, S.EN_INVESTIGACION),
    # whoever said no may think better of it
    S.RECHAZADO: (S.ESCALADO_INTERNO, S.DERIVADO_EXTERNO, S.PROPUESTA, S.EN_INVESTIGACION, S.ACEPTADO),
    S.ESCALADO_INTERNO: (S.EN_INVESTIGACION, S.PROPUESTA, S.COMUNICADO, S.ACEPTADO, S.DERIVADO_EXTERNO),
    S.DERIVADO_EXTERNO: (S.CERRADO, S.PROPUESTA, S.ACEPTADO, S.EN_INVESTIGACION),
    S.CERRADO: (S.EN_INVESTIGACION,),
}

# The customer's word moves a case further than one step: each step is a lawful move and stands in the history.
_SOLVED: dict[CaseState, tuple[CaseState, ...]] = {
    S.RECIBIDO: (S.ACUSADO, S.COMUNICADO, S.CERRADO),
    S.ACUSADO: (S.COMUNICADO, S.CERRADO),
    S.CLASIFICADO: (S.COMUNICADO, S.CERRADO),
    S.EN_INVESTIGACION: (S.COMUNICADO, S.CERRADO),
    S.PROPUESTA: (S.COMUNICADO, S.CERRADO),
    S.COMUNICADO: (S.CERRADO,),
    S.ACEPTADO: (S.CUMPLIDO, S.CERRADO),
    S.CUMPLIDO: (S.CERRADO,),
    S.RECHAZADO: (S.ACEPTADO, S.CUMPLIDO, S.CERRADO),
    S.ESCALADO_INTERNO: (S.ACEPTADO, S.CUMPLIDO, S.CERRADO),
    S.DERIVADO_EXTERNO: (S.CERRADO,),
    S.CERRADO: (),
}

CELLS = ("recepcion", "acuse", "evaluacion", "investigacion", "respuesta", "comunicacion", "cierre")
_CELL: dict[CaseState, int] = {
    S.RECIBIDO: 1,
    S.ACUSADO: 2,
    S.CLASIFICADO: 3,
    S.EN_INVESTIGACION: 4,
    S.PROPUESTA: 5,
    S.COMUNICADO: 6,
}


def moves(current: str) -> tuple[CaseState, ...]:
    """The states that may follow, the usual next one first."""
    return MOVES[CaseState(current)]


def check(current: str, wanted: str, *, alternatives_sent: bool = False) -> None:
    """Raise ForbiddenMove, with the remedy, unless a case may go from `current` to `wanted`.

    `alternatives_sent`: the customer who rejected the answer was told where else to go; only then may it close.
    """
    try:
        here, there = CaseState(current), CaseState(wanted)
    except ValueError:
        raise ForbiddenMove(current, wanted, "unknown", f"the states are {', '.join(S)}") from None
    if there in MOVES[here] or (here is S.RECHAZADO and there is S.CERRADO and alternatives_sent):
        return
    reason, remedy = _remedy(here, there)
    raise ForbiddenMove(here, there, reason, remedy)


def _remedy(here: CaseState, there: CaseState) -> tuple[str, str]:
    if here is there:
        return "same", "it is there already"
    if here is S.CERRADO:
        return "reopen", f"reopen it first, to {S.EN_INVESTIGACION}"
    if there is S.CERRADO and here in (S.RECHAZADO, S.ESCALADO_INTERNO):
        return "alternatives", ALTERNATIVES_REMEDY
    if there is S.CERRADO and here is S.ACEPTADO:
        return "fulfil", f"carry out what was agreed and set {S.CUMPLIDO} first"
    return "order", f"from here it can go to {', '.join(MOVES[here])}"


UNDECIDED = frozenset({S.RECIBIDO, S.ACUSADO, S.CLASIFICADO, S.EN_INVESTIGACION})
OWES_ANSWER = UNDECIDED | {S.PROPUESTA, S.RECHAZADO, S.ESCALADO_INTERNO}


def check_merge(state: str, into: str) -> None:
    """Raise ForbiddenMove, with the remedy, unless a case in `state` may go on as part of one in `into`.

    Whoever reported something is owed an answer: an answer that was given is not hidden in another case, and none is
    given for a report that came after it.
    """
    here, there = CaseState(state), CaseState(into)
    if here not in UNDECIDED:
        raise ForbiddenMove(here, there, "answered", "it has its own answer: see it through on its own")
    if there not in OWES_ANSWER:
        raise ForbiddenMove(
            here, there, "waits", f"the other one was answered: reopen it first, to {S.EN_INVESTIGACION}"
        )


def decides(to: str) -> bool:
    """Whether this move says something about the case to the customer, so that a merge before it stands for good."""
    return CaseState(to) not in UNDECIDED


def steps_to_solved(current: str) -> tuple[CaseState, ...]:
    """The lawful moves from here to closed, when the customer says that it is solved. Closed already: none."""
    return _SOLVED[CaseState(current)]


def steps_to_fulfilled(current: str) -> tuple[CaseState, ...]:
    """The moves from here to fulfilled, when an agent says that it is done. What the customer rejected has no such way:
    only they can accept.
    """
    here = CaseState(current)
    if S.CUMPLIDO in MOVES[here]:
        return (S.CUMPLIDO,)
    if S.COMUNICADO in MOVES[here]:
        return (S.COMUNICADO, S.CUMPLIDO)
    return (S.ACUSADO, S.COMUNICADO, S.CUMPLIDO) if here is S.RECIBIDO else (S.CUMPLIDO,)  # the last is refused


def steps_to_reopened(current: str) -> tuple[CaseState, ...]:
    """The lawful moves from here back to the investigation, when the customer says that it is not solved."""
    here = CaseState(current)
    if here is S.EN_INVESTIGACION:
        return ()
    return (S.EN_INVESTIGACION,) if S.EN_INVESTIGACION in MOVES[here] else (S.RECHAZADO, S.EN_INVESTIGACION)


def reopens(current: str, wanted: str) -> bool:
    """Whether this move takes back that it was answered or solved (the customer's *Todavía no*)."""
    return current in REOPENABLE and wanted == S.EN_INVESTIGACION


def cell(state: str) -> int:
    """The cell of the seven of the ISO bar, from 1 (`CELLS` names them)."""
    return _CELL.get(CaseState(state), len(CELLS))


def bar(state: str) -> tuple[str, ...]:
    """The seven cells of the ISO bar: done, now or next. A closed case has all of them done."""
    if state in TERMINAL:
        return ("done",) * len(CELLS)
    here = cell(state)
    return tuple("done" if n < here else "now" if n == here else "next" for n in range(1, len(CELLS) + 1))
