"""The kinds of column that our tables are made of."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

MOMENT: Any = DateTime(timezone=True)


def moment() -> Any:
    """A required point in time (timestamptz; aware datetimes only)."""
    return Field(sa_type=MOMENT, nullable=False)


def maybe_moment() -> Any:
    """A point in time that may not have come."""
    return Field(default=None, sa_type=MOMENT, nullable=True)


def text(default: str = "") -> Any:
    """Text without a limit."""
    return Field(default=default, sa_type=Text, nullable=False)


def maybe_text() -> Any:
    """Text that may be absent."""
    return Field(default=None, sa_type=Text, nullable=True)


def _object() -> dict[str, Any]:
    # pydantic asks a factory for its signature each time: of `dict` and `list` themselves it is dear
    return {}


def _list() -> list[Any]:
    return []


def json_object() -> Any:
    """A JSON object; empty by default."""
    return Field(default_factory=_object, sa_type=JSONB, nullable=False)


def json_list() -> Any:
    """A JSON list; empty by default."""
    return Field(default_factory=_list, sa_type=JSONB, nullable=False)


Json = dict[str, Any]
Moment = datetime
