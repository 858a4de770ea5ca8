"""The `webhooks` section of config.yaml: which other programs are told of cases, and how."""

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot.configuration import Fault, checked
from bot.webhooks.guard import is_public

EventKind = Literal["case.opened", "case.changed", "case.message", "case.solved", "case.flagged"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret, as Standard Webhooks wants
_MAKE = "make one with `openssl rand -base64 32` and write whsec_ before it"


def key_of(secret: SecretStr) -> bytes:
    """The bytes that a secret means. Raises ValueError with the remedy."""
    text = secret.get_secret_value().strip()
    if not text.startswith(PREFIX):
        raise ValueError(f"does not begin with whsec_; {_MAKE}")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"is not base64 behind whsec_; {_MAKE}") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"holds {len(key)} bytes, not {_SHORTEST} to {_LONGEST}; {_MAKE}")
    return key


def _all_when_empty(value: Any) -> Any:
    return list(KINDS) if value is None else value


class Webhook(BaseModel):
    """One receiver."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_-]+$")
    url: str = Field(repr=False)  # a path may hold a secret of the receiver's
    secret: SecretStr
    secret_next: SecretStr | None = None  # while the secret is changed: both sign
    events: Annotated[list[EventKind], BeforeValidator(_all_when_empty)] = Field(default=list(KINDS), min_length=1)
    contents: bool = False  # what people wrote, their names and addresses go along
    allow_private: bool = False  # the receiver is in our own network; then http:// may do as well
    ca_file: Path | None = None  # a certificate authority of your own
    timeout_seconds: float = Field(default=15, ge=1, le=60)
    retry_hours: float = Field(default=72, gt=0, le=24 * 30)  # then an event is given up, and the next one goes
    keep_days: float = Field(default=7, ge=0, le=365)  # of what was delivered or given up

    @field_validator("secret", "secret_next")
    @classmethod
    def _key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            key_of(secret)
        return secret

    @field_validator("ca_file")
    @classmethod
    def _there(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("there is no such file; write the path of a certificate in PEM form")
        return file

    @model_validator(mode="after")
    def _reachable(self) -> "Webhook":
        parts = urlsplit(self.url)
        try:
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("url is not a web address; write it as https://crm.example.com/acuse") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("url is not a web address; write it as https://crm.example.com/acuse")
        if parts.username is not None or parts.password is not None:
            raise ValueError("url holds a login; leave it out, the signature says who we are")
        if not self.allow_private:
            if parts.scheme == "http":
                raise ValueError(
                    "url is not encrypted; write https://, or allow_private: true in a network of your own"
                )
            if host == "localhost" or _is_private(host):
                raise ValueError("url leads into a private network; write allow_private: true if that is meant")
        return self

    @property
    def keys(self) -> list[bytes]:
        """With each of these a request is signed."""
        return [key_of(one) for one in (self.secret, self.secret_next) if one is not None]

    @property
    def patience(self) -> timedelta:
        """For how long an event is tried."""
        return timedelta(hours=self.retry_hours)

    @property
    def keep(self) -> timedelta:
        """For how long a settled event is kept."""
        return timedelta(days=self.keep_days)


def webhooks_of(raw: Any, faults: list[Fault]) -> Mapping[str, Webhook]:
    """The receivers by name; what is wrong is added to `faults`."""
    if raw is None:
        return {}
    if not isinstance(raw, list):
        faults.append(Fault("webhooks", "is not a list", "begin each webhook with `- name: crm`"))
        return {}
    found: dict[str, Webhook] = {}
    for place, one in _sections(raw):
        settings = checked(Webhook, one, place, faults)
        if settings is not None and settings.name in found:
            faults.append(Fault(f"{place}.name", f"there are two webhooks {settings.name}", "give each its own name"))
        elif settings is not None:
            found[settings.name] = settings
    return found


def _sections(raw: list[Any]) -> Iterable[tuple[str, Any]]:
    for number, one in enumerate(raw):
        yield f"webhooks.{number}", one


def _is_private(host: str) -> bool:
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return False  # a name: its addresses are looked at whenever we connect
