"""What config.yaml says of an e-mail account."""

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from channels.mail_headers import is_address
from channels.mail_oauth import OAuthSettings


class ImapSettings(BaseModel):
    """Where mail is read. There is no STARTTLS for IMAP: use tls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=993, ge=1, le=65_535)
    security: Literal["tls", "none"] = "tls"
    ca_file: Path | None = None
    mailbox: tuple[str, ...] = ("INBOX",)
    """The folders that are read, each over a connection of its own."""

    @field_validator("mailbox", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("mailbox")
    @classmethod
    def _are_folders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value) or len(set(value)) != len(value) or len(value) > 10:
            raise ValueError("must name one to ten different folders, such as [INBOX, Reclamos]")
        return value


class SmtpSettings(BaseModel):
    """Where mail is sent. Without a name of its own the account's is used; an empty name means no login."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["tls", "starttls", "none"] = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None


class Settings(BaseModel):
    """The section of an e-mail account in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    name: str = Field(default="", max_length=80)
    username: str | None = None
    password: SecretStr | None = None
    oauth: OAuthSettings | None = None
    """Instead of the password, where the provider wants OAuth 2 (Gmail, Microsoft 365)."""
    imap: ImapSettings
    smtp: SmtpSettings
    aliases: tuple[str, ...] = ()
    """Other addresses of ours: mail from them is our own and never answered."""
    own_lists: tuple[str, ...] = ()
    """List-Ids through which customers' mail reaches this mailbox, such as a Google group as the company's address."""
    since: Literal["installation", "all"] | date | None = None
    """What the first start reads: only newer mail (the default), mail from a day on, or all that is there."""
    trusted_authserv: list[str] = []
    """Names in Authentication-Results that our own mail server writes."""
    check_signatures: bool | None = None
    """Whether DKIM signatures are checked here, which asks the DNS. None: only where no server is trusted."""
    max_bytes: int = Field(default=40_000_000, ge=10_000)
    """Of a longer mail only so much is read; the file that is cut off can be found in the mailbox."""
    reply_tag: bool = True
    """Whether answers go to address+code@…; turn it off where the server knows no plus addresses."""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not is_address(value):
            raise ValueError("must be an address such as soporte@example.com")
        return value

    @field_validator("aliases")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_address(one) for one in value):
            raise ValueError("must be addresses such as [ventas@example.com]")
        return value

    @field_validator("trusted_authserv", "aliases", "own_lists", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [] if value is None else [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way_in(self) -> "Settings":
        if (self.password is None) == (self.oauth is None):
            raise ValueError("needs either password or oauth")
        return self
