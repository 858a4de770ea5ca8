"""Tokens for mail servers that take no passwords (OAuth 2): fetched, renewed in time, kept where only we can read.

Access tokens live for about an hour. The refresh token comes from the configuration or from the file that
`acuse mail login` writes; providers may replace it at each renewal, and the file then holds the newer one.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from channels.channel import Unavailable
from channels.imap import LoginRefused

logger = logging.getLogger(__name__)

_EARLY = timedelta(minutes=5)  # a token that ends so soon is renewed before it is used
_TIME_LIMIT = 20.0
LOGIN_AGAIN = "The mailbox's permission ended or was withdrawn. Give it anew: acuse mail login ACCOUNT"
UNREADABLE = "Give it to the user that runs Acuse, or log in anew as that user: acuse mail login ACCOUNT"
_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/"


@dataclass(frozen=True)
class Provider:
    """Where a provider is asked, and for what. `device`: where one logs in on another device."""

    token: str
    authorize: str
    device: str | None
    scope: str
    app_scope: str | None = None


PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "google": Provider(
            "https://oauth2.googleapis.com/token",
            "https://accounts.google.com/o/oauth2/v2/auth",
            None,  # Google's login on another device does not give access to mail
            "https://mail.google.com/",
        ),
        "microsoft": Provider(
            f"{_MICROSOFT}token",
            f"{_MICROSOFT}authorize",
            f"{_MICROSOFT}devicecode",
            "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access",
            "https://outlook.office365.com/.default",
        ),
    }
)


class OAuthSettings(BaseModel):
    """How tokens are had. The addresses and the scope need to be given only for another provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Literal["google", "microsoft"] | None = None
    tenant: str = "common"  # Microsoft: the directory's name or number
    client_id: str
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    token_file: Path | None = None
    app_only: bool = False  # the program's own permission (Microsoft: IMAP.AccessAsApp), no person logs in
    token_url: str | None = None
    authorize_url: str | None = None
    device_url: str | None = None
    scope: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> "OAuthSettings":
        if self.provider is None and self.token_url is None:
            raise ValueError("needs a provider (google or microsoft) or a token_url")
        if self.app_only and self.client_secret is None:
            raise ValueError("app_only needs client_secret")
        if not self.app_only and self.refresh_token is None and self.token_file is None:
            raise ValueError("needs token_file (written by `acuse mail login`) or refresh_token")
        return self

    def where(self) -> Provider:
        """The provider's addresses, with those that the configuration gives instead."""
        known = PROVIDERS[self.provider] if self.provider else Provider(self.token_url or "", "", None, "")
        device = self.device_url or (known.device.format(tenant=self.tenant) if known.device else None)
        return Provider(
            self.token_url or known.token.format(tenant=self.tenant),
            self.authorize_url or known.authorize.format(tenant=self.tenant),
            device,
            self.scope or (known.app_scope if self.app_only and known.app_scope else known.scope),
        )


class Tokens:
    """The tokens of one account. `transport` replaces the network."""

    def __init__(
        self,
        settings: OAuthSettings,
        *,
        now: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._transport = transport
        self._access: str | None = None
        self._until: datetime | None = None
        self._unsaved: str | None = None  # a newer refresh token than the file holds: the older may be worth nothing
        self._lock = asyncio.Lock()

    async def access(self, *, refused: str | None = None) -> str:
        """A token that is good for some minutes. `refused`: the one that the mail server did not take.

        Raises LoginRefused when a person must log in again, Unavailable when the provider cannot be asked now.
        """
        async with self._lock:
            fresh = self._until is not None and self._now() + _EARLY < self._until
            if self._access is None or not fresh or self._access == refused:
                await self._renew()
            assert self._access is not None
            return self._access

    async def _renew(self) -> None:
        self._access = None
        answer = await ask(self._settings.where().token, await self._form(), transport=self._transport)
        if isinstance(answer, Refused):
            self._unsaved = None  # somebody may have logged in anew: what the file holds by then is tried next
            raise LoginRefused(f"OAuth: the token was refused: {answer.error}. {LOGIN_AGAIN}")
        token, newer = answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(token, str) or not token.isascii() or any(one.isspace() for one in token):
            raise Unavailable("OAuth: the provider sent no token")
        self._access = token
        self._until = self._now() + timedelta(seconds=seconds_in(answer))
        if isinstance(newer, str):
            self._unsaved = newer
        await self._save()

    async def _save(self) -> None:
        """A file that cannot be written now stops nobody: the token is in use, and writing is tried at each renewal."""
        file, newer = self._settings.token_file, self._unsaved
        if file is None or newer is None:
            return
        try:
            await asyncio.to_thread(save_refresh_token, file, newer)
        except OSError as fault:
            logger.error(
                "mail: the newer permission cannot be kept in %s (%s) and is lost at a restart. Make the folder "
                "writable for the user that runs Acuse.",
                file,
                type(fault).__name__,
            )
        else:
            self._unsaved = None

    async def _form(self) -> dict[str, str]:
        own = self._settings
        form = {"client_id": own.client_id}
        if own.client_secret is not None:
            form["client_secret"] = own.client_secret.get_secret_value()
        if own.app_only:
            return {**form, "grant_type": "client_credentials", "scope": own.where().scope}
        return {**form, "grant_type": "refresh_token", "refresh_token": await self._refresh_token()}

    async def _refresh_token(self) -> str:
        own, hindrance = self._settings, None
        if self._unsaved is not None and own.token_file is not None:
            return self._unsaved
        try:
            kept = await asyncio.to_thread(_kept_in, own.token_file) if own.token_file else None
        except OSError as fault:
            kept, hindrance = None, type(fault).__name__
        kept = kept or (own.refresh_token.get_secret_value() if own.refresh_token else None)
        if kept is not None:
            return kept
        if hindrance is not None:
            raise LoginRefused(f"OAuth: {own.token_file} cannot be read ({hindrance}). {UNREADABLE}")
        raise LoginRefused(f"OAuth: nobody has logged in yet ({own.token_file} holds no token). {LOGIN_AGAIN}")


@dataclass(frozen=True)
class Refused:
    """The provider's no: the error's name by RFC 6749, never its text, which may quote what was sent."""

    error: str


async def ask(
    url: str, form: Mapping[str, str], *, transport: httpx.AsyncBaseTransport | None = None
) -> dict[str, Any] | Refused:
    """Post a form to a provider. Raises Unavailable when it is down or busy."""
    try:
        async with httpx.AsyncClient(transport=transport, timeout=_TIME_LIMIT) as client:
            response = await client.post(url, data=dict(form), headers={"Accept": "application/json"})
    except httpx.HTTPError as fault:
        raise Unavailable(f"OAuth: {httpx.URL(url).host} does not answer: {type(fault).__name__}") from None
    told: Any = None
    with suppress(ValueError):
        told = response.json()
    if response.status_code == 200 and isinstance(told, dict):
        return told
    error = str(told.get("error", ""))[:60] if isinstance(told, dict) else ""
    if error and response.status_code < 500 and response.status_code != 429:
        return Refused(error)
    raise Unavailable(f"OAuth: {httpx.URL(url).host} answers {response.status_code}")


def seconds_in(answer: Mapping[str, Any]) -> int:
    """How long a token is good; an hour if the provider does not say."""
    told = answer.get("expires_in")
    return int(told) if isinstance(told, int | float | str) and str(told).isdigit() else 3600


def save_refresh_token(file: Path, token: str) -> None:
    """Write it so that only this user can read it, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump({"refresh_token": token}, out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _kept_in(file: Path) -> str | None:
    """None when it is not there or holds none. Raises OSError when it is there and not for us."""
    try:
        kept = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    token = kept.get("refresh_token") if isinstance(kept, dict) else None
    return token if isinstance(token, str) and token else None
