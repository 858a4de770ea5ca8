"""Rows for managers' figures, written straight into the tables: a test decides each moment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from storage.tables import Case, ContactPoint, Conversation, Message, Outgoing, Person
from storage.transaction import Transaction

TABLES = (Person, ContactPoint, Case, Conversation, Message, Outgoing)


class Rows:
    """Everything that a figure can count. Numbers in a conversation follow the order of calls; `write` keeps it all."""

    def __init__(self, tx: Transaction, ids: Callable[[], UUID]) -> None:
        self._tx = tx
        self._ids = ids
        self._codes = 0
        self._made: dict[type[SQLModel], list[SQLModel]] = {table: [] for table in TABLES}

    async def write(self) -> None:
        """Everything that was made since the last time, each table after those that it points to."""
        for table in TABLES:
            self._tx.session.add_all(self._made[table])
            await self._tx.flush()
            self._made[table].clear()

    def conversation(self, account: str, at: datetime, name: str | None = "Ana Pérez", **values: Any) -> Conversation:
        """A person who writes for the first time, and where."""
        person = Person(id=self._ids(), name=name, folded=(name or "").lower(), created_at=at)
        self._made[Person].append(person)
        address = f"{account}-{person.id}"
        contact = ContactPoint(id=self._ids(), person_id=person.id, account=account, address=address, created_at=at)
        self._made[ContactPoint].append(contact)
        conversation = Conversation(
            id=self._ids(),
            person_id=person.id,
            contact_point_id=contact.id,
            account=account,
            created_at=at,
            last_at=at,
            **values,
        )
        self._made[Conversation].append(conversation)
        return conversation

    def said(
        self, where: Conversation, at: datetime, *, answered: datetime | None = None, kind: str = "person"
    ) -> Message:
        """A message of the person. `answered`: when its turn ran."""
        where.last_number += 1
        message = Message(
            id=self._ids(), conversation_id=where.id, number=where.last_number, account=where.account, kind=kind,
            provider_key=str(self._ids()), text="Mi pedido no llegó", sent_at=at, received_at=at,
            handled_at=answered or at + timedelta(seconds=1),
        )  # fmt: skip
        self._made[Message].append(message)
        return message

    def left(
        self, where: Conversation, kind: str, at: datetime, *, author: str = "bot", sent: bool = True, **values: Any
    ) -> Outgoing:
        """Something of ours that left at this moment, or never did."""
        where.last_number += 1
        row = Outgoing(
            id=self._ids(), conversation_id=where.id, number=where.last_number, account=where.account, address="x",
            author=author, kind=kind, state="sent" if sent else "queued", created_at=at, not_before=at,
            sent_at=at if sent else None, **values,
        )  # fmt: skip
        self._made[Outgoing].append(row)
        return row

    def case(self, where: Conversation, at: datetime, type: str, severity: str, **values: Any) -> Case:
        """A case that was opened in a conversation."""
        self._codes += 1
        case = Case(
            id=self._ids(), code=f"PQR-{self._codes:07}", person_id=where.person_id, account=where.account, type=type,
            severity=severity, opened_at=at, updated_at=at, **values,
        )  # fmt: skip
        self._made[Case].append(case)
        where.case_id = case.id
        return case
