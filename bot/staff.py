"""Who works in the console: passwords, sessions and roles."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bot.catalogue import LANGUAGES
from bot.parts import Parts
from bot.views import Me
from storage.tables import Agent

ROLES = ("agent", "manager", "admin")
SHORTEST_PASSWORD = 10
TRIES, TRIES_WITHIN = 10, timedelta(minutes=15)


class WrongPassword(Exception):
    """Login or password is wrong; which of the two is not said."""


class TooManyTries(Exception):
    """Wait a quarter of an hour."""


class WeakPassword(Exception):
    """At least ten characters."""


class Staff:
    """Log agents in and out. `token` makes random secrets of 32 bytes, as text."""

    def __init__(
        self,
        parts: Parts,
        token: Callable[[], str],
        *,
        lasts: timedelta = timedelta(hours=12),
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._parts = parts
        self._token = token
        self._lasts = lasts
        self._hasher = hasher or PasswordHasher()

    async def log_in(self, login: str, password: str, address: str) -> str:
        """A new session's token, for a cookie. Raises WrongPassword or TooManyTries."""
        keys = [f"login:{login.strip().lower()}", f"login-from:{address}"]
        async with self._parts.database.transaction() as tx:
            for key in keys:
                if not await tx.limits.use(key, at_most=TRIES, within=TRIES_WITHIN):
                    raise TooManyTries
            agent = await tx.agents.by_login(login)
        # the same work for a login that does not exist: time must not tell
        known = agent.password_hash if agent is not None and agent.active else await self._hash("nobody")
        if not await asyncio.to_thread(self._fits, known, password) or agent is None or not agent.active:
            raise WrongPassword
        token = self._token()
        async with self._parts.database.transaction() as tx:
            for key in keys:
                await tx.limits.forget(key)
            tx.sessions.add(_digest(token), self._token(), self._lasts, agent_id=agent.id)
            tx.agents.audit(f"agent:{agent.id}", "log in", agent.login)
        return token

    async def who(self, token: str | None) -> tuple[Me, str] | None:
        """The agent behind a cookie, and the session's secret for forms (CSRF)."""
        if not token:
            return None
        async with self._parts.database.transaction() as tx:
            found = await tx.sessions.of_agent(_digest(token))
            if found is None or not found[1].active:
                return None
            session, agent = found
            return _me(agent), session.csrf

    async def log_out(self, token: str) -> None:
        """End this session."""
        async with self._parts.database.transaction() as tx:
            await tx.sessions.end(token_hash=_digest(token))

    async def add(self, login: str, name: str, role: str, password: str) -> Me:
        """A new agent. Raises WeakPassword, ValueError for a role or login that cannot be."""
        if role not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}")
        self._strong(password)
        async with self._parts.database.transaction() as tx:
            if await tx.agents.by_login(login) is not None:
                raise ValueError(f"{login} exists already; use `acuse user password {login}`")
            hashed = await self._hash(password)
            return _me(await tx.agents.add(login=login, name=name, role=role, password_hash=hashed))

    async def set_password(self, login: str, password: str) -> None:
        """A new password; all sessions of this agent end."""
        self._strong(password)
        async with self._parts.database.transaction() as tx:
            agent = await tx.agents.by_login(login)
            if agent is None:
                raise ValueError(f"there is no {login}; use `acuse user add {login}`")
            agent.password_hash = await self._hash(password)
            await tx.sessions.end(agent_id=agent.id)

    async def speak(self, me: Me, language: str) -> None:
        """The language of this agent's console."""
        if language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}")
        async with self._parts.database.transaction() as tx:
            agent = await tx.agents.get(me.id)
            if agent is not None:
                agent.language = language

    async def first(self) -> str | None:
        """Make `admin` when nobody works here yet; returns the password, which is shown once and kept nowhere."""
        async with self._parts.database.transaction() as tx:
            if await tx.agents.count():
                return None
            password = self._token()[:16]
            hashed = await self._hash(password)
            await tx.agents.add(login="admin", name="Admin", role="admin", password_hash=hashed)
        return password

    def _strong(self, password: str) -> None:
        if len(password) < SHORTEST_PASSWORD:
            raise WeakPassword(f"use at least {SHORTEST_PASSWORD} characters")

    async def _hash(self, password: str) -> str:
        return await asyncio.to_thread(self._hasher.hash, password)

    def _fits(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _me(agent: Agent) -> Me:
    return Me(agent.id, agent.login, agent.name, agent.role, agent.language)
