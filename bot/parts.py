"""What the verbs of the bot work with; main puts it together once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from bot.catalogue import Catalogue
from bot.company import Company
from bot.policy import Policy
from channels.channel import Channel, Features
from nlu.speech import Transcriber
from nlu.understanding import Understander
from storage.database import Database
from storage.files import Files


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The database, the channels by account name, and everything that is injected."""

    database: Database
    channels: Mapping[str, Channel]
    kinds: Mapping[str, str]  # account name -> kind of channel
    files: Files
    catalogue: Catalogue
    company: Company
    policy: Policy
    understander: Understander
    now: Callable[[], datetime]
    choose: Callable[[int], int]  # a random number below n
    secret: bytes = field(repr=False)  # for codes and links that we sign
    hearing: Transcriber | None = None  # who listens to voice notes; None: nobody, they are asked for in writing

    def features(self, account: str) -> Features:
        """What an account's channel can show; an account that was removed from the configuration can do nothing."""
        channel = self.channels.get(account)
        return channel.features if channel is not None else Features(may_write_first=False)

    def lane(self, account: str) -> str:
        """Where an account's sends run; of one that was removed from the configuration, where all others do."""
        return account if account in self.channels else ""

    def account_of_kind(self, kind: str) -> str | None:
        """The first account of a kind of channel."""
        return next((account for account, of in self.kinds.items() if of == kind), None)

    @property
    def timezone(self) -> ZoneInfo:
        """The company's."""
        return ZoneInfo(self.company.timezone)

    def today(self) -> date:
        """The company's day."""
        return self.now().astimezone(self.timezone).date()

    def treatment(self, own: str | None = None) -> str:
        """tu | usted: the person's own, else the company's."""
        return own or self.company.treatment

    def language(self, wanted: str | None) -> str:
        """A language that the company speaks."""
        languages = self.company.languages
        return wanted if wanted in languages else languages[0]
