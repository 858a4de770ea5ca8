"""Agents, browsers that we know, drafts, proofs that are under way, and the audit."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, func, select

from storage.scope import Scope
from storage.tables import Agent, Audit, Draft, Note, Session, Verification


class Agents:
    """Who works in the console."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, agent_id: UUID) -> Agent | None:
        """One agent."""
        return await self._scope.session.get(Agent, agent_id)

    async def by_login(self, login: str) -> Agent | None:
        """The agent with this login."""
        return (await self._scope.session.exec(select(Agent).where(Agent.login == login.strip().lower()))).first()

    async def all(self) -> list[Agent]:
        """All agents, by name."""
        return list((await self._scope.session.exec(select(Agent).order_by(Agent.name))).all())

    async def count(self) -> int:
        """How many there are."""
        return (await self._scope.session.exec(select(func.count()).select_from(Agent))).one()

    async def add(self, *, login: str, name: str, role: str, password_hash: str, language: str = "es") -> Agent:
        """A new agent; the login must be free."""
        agent = Agent(
            id=self._scope.ids(),
            login=login.strip().lower(),
            name=name,
            role=role,
            password_hash=password_hash,
            language=language,
            created_at=self._scope.now(),
        )
        self._scope.session.add(agent)
        await self._scope.session.flush()
        return agent

    def audit(self, actor: str, action: str, object: str, **detail: Any) -> None:
        """Who did what."""
        row = Audit(
            id=self._scope.ids(), at=self._scope.now(), actor=actor, action=action, object=object, detail=detail
        )
        self._scope.session.add(row)

    async def audited(self, audit_id: UUID) -> Audit | None:
        """One entry of the audit, locked."""
        query = select(Audit).where(Audit.id == audit_id).with_for_update()
        return (await self._scope.session.exec(query)).first()


class Sessions:
    """Browsers that we know by the hash of their token."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def of_agent(self, token_hash: str) -> tuple[Session, Agent] | None:
        """An agent's session with the agent, in one look, unless it has expired."""
        query = (
            select(Session, Agent)
            .join(Agent, col(Agent.id) == col(Session.agent_id))
            .where(Session.token_hash == token_hash, col(Session.expires_at) > self._scope.now())
        )
        return (await self._scope.session.exec(query)).first()

    def add(
        self, token_hash: str, csrf: str, lasts: timedelta, *, agent_id: UUID | None = None, address: str | None = None
    ) -> Session:
        """A new session."""
        now = self._scope.now()
        row = Session(
            token_hash=token_hash,
            agent_id=agent_id,
            address=address,
            csrf=csrf,
            created_at=now,
            seen_at=now,
            expires_at=now + lasts,
        )
        self._scope.session.add(row)
        return row

    async def end(self, *, token_hash: str | None = None, agent_id: UUID | None = None) -> None:
        """End one session, or all of an agent (after a change of password)."""
        query = delete(Session)
        query = (
            query.where(col(Session.token_hash) == token_hash)
            if token_hash
            else query.where(col(Session.agent_id) == agent_id)
        )
        await self._scope.session.exec(query)

    async def sweep(self) -> None:
        """Drop what has expired."""
        await self._scope.session.exec(delete(Session).where(col(Session.expires_at) < self._scope.now()))


class Desks:
    """What agents write for themselves and for each other."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def has_note(self, note_id: UUID) -> bool:
        """Whether this note is written already."""
        return await self._scope.session.get(Note, note_id) is not None

    def note(self, conversation_id: UUID, number: int, agent_id: UUID, text: str) -> Note:
        """A note that no customer ever sees."""
        row = Note(
            id=self._scope.ids(),
            conversation_id=conversation_id,
            number=number,
            agent_id=agent_id,
            text=text,
            created_at=self._scope.now(),
        )
        self._scope.session.add(row)
        return row

    async def save_draft(self, agent_id: UUID, conversation_id: UUID, mode: str, text: str) -> None:
        """Keep it; an empty one is dropped."""
        if not text:
            await self._scope.session.exec(
                delete(Draft).where(
                    col(Draft.agent_id) == agent_id,
                    col(Draft.conversation_id) == conversation_id,
                    col(Draft.mode) == mode,
                )
            )
            return
        row = {
            "agent_id": agent_id,
            "conversation_id": conversation_id,
            "mode": mode,
            "text": text,
            "updated_at": self._scope.now(),
        }
        query = insert(Draft).values(**row)
        await self._scope.session.exec(
            query.on_conflict_do_update(
                index_elements=["agent_id", "conversation_id", "mode"],
                set_={"text": query.excluded.text, "updated_at": query.excluded.updated_at},
            )
        )


class Verifications:
    """Proofs that are under way: a code by mail or SMS, a single-use link."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def start(self, *, lasts: timedelta, **values: Any) -> Verification:
        """A new proof; only the hash of its secret is kept."""
        now = self._scope.now()
        row = Verification(id=self._scope.ids(), created_at=now, expires_at=now + lasts, **values)
        self._scope.session.add(row)
        return row

    async def pending(self, conversation_id: UUID, kinds: Sequence[str]) -> Verification | None:
        """The newest proof that this conversation waits for, locked."""
        query = (
            select(Verification)
            .where(
                Verification.conversation_id == conversation_id,
                col(Verification.kind).in_(kinds),
                col(Verification.used_at).is_(None),
                col(Verification.expires_at) > self._scope.now(),
            )
            .order_by(col(Verification.created_at).desc())
            .limit(1)
            .with_for_update()
        )
        return (await self._scope.session.exec(query)).first()

    async def by_secret(self, secret_hash: str) -> Verification | None:
        """The unused, unexpired proof with this secret, locked: it is taken once."""
        return await self._unused(col(Verification.secret_hash) == secret_hash)

    async def unused(self, verification_id: UUID) -> Verification | None:
        """This proof, locked, as long as it serves."""
        return await self._unused(col(Verification.id) == verification_id)

    async def _unused(self, condition: ColumnElement[bool]) -> Verification | None:
        query = (
            select(Verification)
            .where(
                condition,
                col(Verification.used_at).is_(None),
                col(Verification.expires_at) > self._scope.now(),
            )
            .with_for_update()
        )
        return (await self._scope.session.exec(query)).first()

    def use(self, verification: Verification) -> datetime:
        """It served; it will not serve again."""
        verification.used_at = self._scope.now()
        return verification.used_at
