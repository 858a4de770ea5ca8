"""What comes from outside, as it can be stored."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from channels.channel import Address, Arrival, Inbound
from channels.storable import storable

_LONGEST_NAME = 500  # characters of an id or an address, at most 2,000 bytes; an index of the database holds 2,700
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


def bounded(arrival: Arrival) -> Arrival:
    """The same arrival with ids and addresses that an index can hold; no provider of ours gives out longer ones."""
    if not isinstance(arrival, Inbound):
        return arrival
    return replace(
        arrival,
        key=_short(arrival.key),
        provider_id=arrival.provider_id and _short(arrival.provider_id),
        thread=arrival.thread and _short(arrival.thread),
        replies_to=tuple(map(_short, arrival.replies_to)),
        sender=Address(arrival.sender.account, _short(arrival.sender.value)),
    )


def _short(name: str) -> str:
    """Different long names stay different."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 65]}|{hashlib.sha256(name.encode()).hexdigest()}"
