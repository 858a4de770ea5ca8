"""Identifiers that grow with time (UUID version 7, RFC 9562), made from an injected clock and random source."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

Ids = Callable[[], UUID]


def uuid7_source(now: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> Ids:
    """A source of version 7 identifiers: 48 bits of milliseconds, then randomness. Never used to order rows."""

    def make() -> UUID:
        milliseconds = int(now().timestamp() * 1000) & ((1 << 48) - 1)
        tail = int.from_bytes(random_bytes(10), "big")
        value = milliseconds << 80 | 0x7 << 76 | (tail >> 64 & 0xFFF) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
        return UUID(int=value)

    return make
