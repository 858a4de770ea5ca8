"""What every part of a transaction shares: its session, the clock and the source of ids."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from storage.ids import Ids


@dataclass(frozen=True)
class Scope:
    """One open transaction."""

    session: AsyncSession
    now: Callable[[], datetime]
    ids: Ids
