"""Which list a page shows beside the conversation: a view, a search or what a manager's number counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request

from bot.figures import Filter
from bot.rooms import Rooms
from bot.views import AccountNotice, Line

VIEWS = ("flagged", "mine", "open", "overdue", "all")
_MOMENTS = ("opened_from", "opened_to", "received_from", "received_to")
_TEXTS = ("account", "type", "severity", "status")
LONGEST_SEARCH = 200


@dataclass(frozen=True)
class Wanted:
    """What the address of the page asks for."""

    view: str
    q: str = ""
    before: str | None = None
    only: Filter | None = None

    @property
    def query(self) -> str:
        """The same list in the address of another page; without the place in it."""
        values: dict[str, str] = {"q": self.q} if self.q else {"view": self.view}
        if self.only is not None:
            for one in fields(self.only):
                value = getattr(self.only, one.name)
                if value is not None:
                    values[one.name] = value.isoformat() if isinstance(value, datetime) else value
        return urlencode(values)


@dataclass(frozen=True)
class Listing:
    """A list, and how many the other views hold."""

    wanted: Wanted
    lines: Sequence[Line]
    next: str | None
    counts: Mapping[str, int]
    notices: Sequence[AccountNotice] = ()

    @property
    def query(self) -> str:
        """For the addresses of its rows."""
        return self.wanted.query

    @property
    def frame(self) -> dict[str, Any]:
        """What a page around it shows: the list, the counts, and which view of the rail is open."""
        plain = not self.wanted.q and self.wanted.only is None
        return {"list": self, "counts": self.counts, "view": self.wanted.view if plain else ""}


def wanted(request: Request) -> Wanted:
    """Read the address; what cannot be read is left out."""
    asked = request.query_params
    only = _filter(asked)
    view = asked.get("view", "")
    if view not in VIEWS:
        view = "all" if only else "flagged"
    return Wanted(view, asked.get("q", "").strip()[:LONGEST_SEARCH], asked.get("before"), only)


async def listing(rooms: Rooms, want: Wanted) -> Listing:
    """Five or six queries."""
    notices = await rooms.notices()
    if want.q:
        return Listing(want, await rooms.search(want.q), None, await rooms.counts(), notices)
    page = await rooms.queue(want.view, before=want.before, only=want.only)
    return Listing(want, page.lines, page.next, page.counts, notices)


async def waiting(rooms: Rooms, shown: Listing) -> Sequence[Line]:
    """Everybody who waits for a person, for the alert; usually the list on the page is that list already."""
    plain = replace(shown.wanted, before=None)
    if plain == Wanted("flagged"):
        return shown.lines
    return (await rooms.queue("flagged")).lines if shown.counts["flagged"] else []


def _filter(asked: Mapping[str, str]) -> Filter | None:
    values: dict[str, str | datetime] = {name: asked[name] for name in _TEXTS if asked.get(name)}
    for name in _MOMENTS:
        try:
            at = datetime.fromisoformat(asked.get(name, ""))
        except ValueError:
            continue
        if at.tzinfo is not None:
            values[name] = at
    return Filter(**values) if values else None  # type: ignore[arg-type]  # each name got the type of its field
