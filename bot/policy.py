"""What the operator may decide about the bot's manners."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SurveyPolicy(BaseModel):
    """Whether, of which cases and when customers are asked how the solution was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    types: list[Literal["peticion", "queja", "reclamo", "sugerencia", "otro"]] = ["peticion", "queja", "reclamo"]
    delay_minutes: float = Field(default=0, ge=0)  # after the customer's own word that it is solved
    unconfirmed_days: float = Field(default=3, gt=0)  # after an agent's word that nobody contradicted
    remind_days: float = Field(default=3, gt=0)  # after the question: one reminder; after that, no more


class Policy(BaseModel):
    """The `bot` section of config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    burst_seconds: dict[str, float] = Field(default_factory=dict)  # by account; else the channel's own
    silence_hours: float = Field(default=24, gt=0)  # an open question waits so long before people are told
    ack_after_hours: float = Field(default=24, gt=0)  # the Ack is due after so much silence
    attachment_limit_mb: float = Field(default=20, gt=0)
    status_lookups_per_hour: int = Field(default=10, ge=1)
    code_tries: int = Field(default=5, ge=1)  # wrong codes before a proof must start anew
    undo_seconds: float = Field(default=5, ge=0)  # an agent's message can be taken back so long
    alert_repeat_minutes: float = Field(
        default=10, gt=0
    )  # at first; after an hour the pause grows, unless it is urgent
    share_corrections: bool = False  # agents' corrections may leave as anonymous examples (acuse export labels)
    # where the provider confirms: what matters and was not confirmed after so long takes another way
    confirmed_in_hours: float = Field(default=24, gt=0)
    critical_confirmed_in_hours: float = Field(default=1, gt=0)  # in a critical case
    bot_answers_per_hour: int = Field(default=30, ge=1)  # to one address: two machines must not talk for ever
    survey: SurveyPolicy = SurveyPolicy()

    def burst(self, account: str, default: timedelta) -> timedelta:
        """How long to wait for silence on an account."""
        seconds = self.burst_seconds.get(account)
        return default if seconds is None else timedelta(seconds=seconds)

    @property
    def attachment_limit(self) -> int:
        """In bytes."""
        return int(self.attachment_limit_mb * 1024 * 1024)
