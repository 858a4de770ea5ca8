"""Which facts are gathered for which type, and in which order. Data only."""

from collections.abc import Mapping
from types import MappingProxyType

from bot.dialogue.state import CaseFacts

MOST_PER_TURN = 2
MOST_IN_ALL = 6
MOST_OF_ONE = 2  # a question that was put twice and got no answer is left open

# the order is the tone rules': what, number, evidence, when and where, fair solution
FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "peticion": ("what", "reference"),
        "queja": ("what", "when_where", "solution"),
        "reclamo": ("what", "order", "evidence", "when_where", "solution"),
        "sugerencia": ("what", "benefit", "feedback"),
        "felicitacion": ("what", "who", "share"),
        "otro": ("what",),
    }
)

# kinds of facts of the text that make a question needless
FILLED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "what": (),
        "order": ("order", "invoice", "contract"),
        "reference": ("order", "invoice", "contract", "document"),
        "evidence": (),
        "when_where": ("date", "address"),
        "solution": ("wish",),
        "benefit": (),
        "feedback": (),
        "who": ("person", "area"),
        "share": (),
        "contact": (),
    }
)

NUMBERS = frozenset({"order", "invoice", "contract", "document", "email", "phone"})
FREE_TEXT = frozenset({"what", "when_where", "solution", "benefit", "who", "reference"})
WORTH_A_SECOND_ASKING = frozenset({"what", "solution", "share"})
FAILED = frozenset({"queja", "reclamo"})  # something went wrong: an apology comes before any question
CONFIRMED = frozenset({"peticion", "queja", "reclamo"})  # a summary is shown before the case is filed

# what a summary shows, in this order (label_<name> is its line in the catalogue)
SHOWN = (
    "what", "order", "invoice", "contract", "reference", "document", "person", "area", "who", "date", "address",
    "when_where", "amount", "solution", "wish", "benefit", "correction", "more", "evidence",
)  # fmt: skip

TYPES = ("peticion", "queja", "reclamo", "sugerencia", "felicitacion")  # in the order of the choices
SEVERITIES = ("low", "medium", "high", "critical")
BODILY = frozenset({"harm", "electric", "gas", "food", "medicine", "suicide", "minor"})
TO_THE_AGENTS = ("legal", "press", "fraud", "data_leak", "discrimination", "minor")


def known(case: CaseFacts, slot: str) -> bool:
    """Whether the question is answered, by its own words or by a fact that was picked out of a text."""
    return any(case.facts.get(name) for name in (slot, *FILLED_BY[slot]))


def missing(case: CaseFacts) -> tuple[str, ...]:
    """The slots of the form that nobody filled: they go to the agent as pending."""
    return tuple(slot for slot in FORMS[case.type] if not known(case, slot))
