"""What every part of a transaction shares: its session, the short way to the driver, the clock and the ids."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from storage.direct import Direct
from storage.ids import Ids


@dataclass(frozen=True)
class Scope:
    """One open transaction."""

    session: AsyncSession
    direct: Direct
    now: Callable[[], datetime]
    ids: Ids
