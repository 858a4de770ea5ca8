"""What is understood of one message: the port between the bot and whatever reads texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

TYPES = ("peticion", "queja", "reclamo", "sugerencia", "felicitacion", "otro")
SEVERITIES = ("low", "medium", "high", "critical")
ACTS = (
    "report", "greeting", "status", "human", "affirm", "deny", "thanks", "stop", "provide", "smalltalk", "spam",
)  # fmt: skip
LANGUAGES = ("es", "en", "pt")


@dataclass(frozen=True)
class Fact:
    """Something the text states. `text` is text[start:end] of the message, `value` its normal form.

    kind: order | invoice | contract | date | amount | email | phone | document | address | person | area | wish
    value: date ISO; amount "289000 COP"; phone E.164; e-mail lower case; the rest as written.
    """

    kind: str
    value: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Trigger:
    """Words that raised an alarm, and which one.

    alarm: harm | electric | gas | food | medicine | minor | suicide | fraud | data_leak | discrimination | legal
    | press
    """

    alarm: str
    text: str
    start: int
    end: int
    source: str = "rules"


@dataclass(frozen=True)
class Embedding:
    """Where a text lies among others: of length one, so that the inner product of two is how alike they are."""

    numbers: tuple[float, ...]
    space: str  # whose numbers these are: those of another model mean something else


@dataclass(frozen=True, kw_only=True)
class Hint:
    """What is known beside the text."""

    now: datetime  # when it was written, in the company's time zone
    language: str | None = None  # sticky language of the person
    country: str = "CO"
    channel: str | None = None
    pending: str | None = None  # the question that waits for an answer ("order", "when_where", …)


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """The reading of one message (labels: docs/labels.md)."""

    language: str  # es | en | pt
    language_confidence: float
    type: str
    type_confidence: float  # 0..1, calibrated when a model answered
    sure: bool  # confidence is above the threshold: the bot need not ask
    second_type: str | None = None
    severity: str
    act: str
    human_now: bool
    facts: tuple[Fact, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    source: str  # "rules" | "model:<name>"
    scores: dict[str, float] = field(default_factory=dict)  # per type
    embedding: Embedding | None = field(default=None, repr=False)  # None: no model read it, or none that compares


class Understander(Protocol):
    """Whoever reads a message. Never raises on any text; never blocks the event loop."""

    async def understand(self, text: str, hint: Hint) -> Understanding:
        """Read one message."""

    @property
    def space(self) -> str | None:
        """Whose vectors `embed` gives, as in `Embedding`; None: it gives none."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Vectors of the texts, or None when there is no model."""
