"""What comes from outside, as it can be stored."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from channels.storable import storable

Value = TypeVar("Value")


def clean(value: Value) -> Value:
    """The same thing with every text in it made storable, however deep; bytes and all else stay as they are.

    One message that the database refuses would be refused again for ever, and block those behind it (P11).
    """
    cleaned: Any = value
    match value:
        case str():
            cleaned = storable(value)
        case tuple() | list():
            cleaned = type(value)(clean(one) for one in value)
        case Mapping():
            cleaned = {clean(key): clean(one) for key, one in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            cleaned = replace(value, **{f.name: clean(getattr(value, f.name)) for f in fields(value)})
    return cleaned  # type: ignore[no-any-return]  # each branch gives back what it got
