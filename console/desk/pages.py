"""Pages of the desk: templates with their words, their dates in the company's time zone, and small signs."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bot import dates
from bot.macros import Macros
from bot.views import Me
from console.desk import signs
from console.desk.words import Dictionary, Words
from console.pages import asset_version
from console.site import Site

KEYS = (
    ("J K", "key_jk"),
    ("↵", "key_enter"),
    ("T", "do_take"),
    ("R", "do_reply"),
    ("N", "do_note"),
    ("A", "do_assign"),
    ("C", "do_classify"),
    ("E", "do_close"),
    ("/", "key_search"),
    ("Ctrl K", "key_palette"),
    ("Ctrl ↵", "key_send"),
    ("G I", "key_gi"),
    ("G D", "key_gd"),
    ("?", "keys"),
)
_TEMPLATES = Path(__file__).parent.parent / "templates"


class Visitor(Protocol):
    """What every page needs to know of a visit."""

    @property
    def me(self) -> Me:
        """Who looks."""

    @property
    def csrf(self) -> str:
        """The token of the session's forms."""

    @property
    def words(self) -> Words:
        """The words of the agent's language."""


class Pages:
    """Renders templates; one for the whole installation."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.words = Dictionary()
        self.macros = Macros.load()
        self._jinja = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals |= {
            "version": asset_version(site.version),
            "company": site.parts.company,
            "policy": site.parts.policy,
            "signs": signs,
            "zone": site.parts.timezone,
            "w_keys": KEYS,
        }

    def render(self, template: str, visit: Visitor, **values: Any) -> str:
        """A page or a part of one, in the agent's language."""
        told = {"visit": visit, "me": visit.me, "w": visit.words, "language": visit.me.language}
        return self._jinja.get_template(template).render(told | {"tell": self.tell(visit.me.language)} | values)

    def plain(self, template: str, language: str, **values: Any) -> str:
        """A page for somebody who is not logged in."""
        told = {"w": self.words[language], "language": language, "tell": self.tell(language)}
        return self._jinja.get_template(template).render(told | values)

    def tell(self, language: str) -> "Tell":
        """Dates and hours for this reader, seen from now."""
        return Tell(self.site, language, self.words[language])


class Tell:
    """Dates and hours in words. 24 hours, the company's time zone."""

    def __init__(self, site: Site, language: str, words: Words) -> None:
        self._parts = site.parts
        self._language = language
        self._words = words

    @property
    def now(self) -> datetime:
        """The clock."""
        return self._parts.now()

    @property
    def today(self) -> date:
        """The company's."""
        return self._parts.today()

    def moment(self, at: datetime) -> str:
        """*14:05* today, *27 nov, 14:05* before."""
        return dates.console_moment(at, self.now, self._language, self._parts.company.timezone)

    def clock(self, at: datetime) -> str:
        """*14:05*."""
        return f"{at.astimezone(self._parts.timezone):%H:%M}"

    def full(self, at: datetime) -> str:
        """*vie 27 nov 2026, 10:14*."""
        return dates.moment(at, self._language, self._parts.company.timezone)

    def recent(self, at: datetime) -> str:
        """For a row of the list: the hour today, the weekday this week, the date before."""
        local = at.astimezone(self._parts.timezone)
        ago = (self.today - local.date()).days
        if ago <= 0:
            return f"{local:%H:%M}"
        if ago < 7:
            return dates.weekdays([local.weekday()], self._language)
        return dates.short_day(local.date(), self._language, self.today)

    def day(self, value: date) -> str:
        """*lunes 21 de diciembre*."""
        return dates.day(value, self._language, self.today)

    def short_day(self, value: date) -> str:
        """*21 dic*."""
        return dates.short_day(value, self._language, self.today)

    def local_day(self, at: datetime) -> date:
        """The company's day of a moment."""
        return at.astimezone(self._parts.timezone).date()

    def last_day(self, end: datetime) -> date:
        """The last day of a period whose end is excluded."""
        return self.local_day(end - timedelta(seconds=1))

    def day_of(self, at: datetime) -> str:
        """*Hoy, sábado 28 de noviembre*, for the line between two days."""
        day = self.local_day(at)
        ago = (self.today - day).days
        name = self.day(day)
        return self._words(("today_is", "yesterday_was")[ago], day=name) if ago in (0, 1) else name.capitalize()

    def since(self, at: datetime) -> str:
        """*hace 5 min*, *hace 3 h*, *desde el 27 nov*."""
        minutes = int((self.now - at).total_seconds() // 60)
        if minutes < 1:
            return self._words("just_now")
        if minutes < 60:
            return self._words("minutes_ago", n=minutes)
        if minutes < 24 * 60:
            return self._words("hours_ago", n=minutes // 60)
        return self._words("since_day", day=self.short_day(self.local_day(at)))

    def workdays_left(self, due: date) -> int:
        """Working days after today up to the date; negative when it is past."""
        return self._parts.company.workdays.between(self.today, due)

    def amount(self, stated: str) -> str:
        """An amount as the company's country writes it."""
        return dates.amount(stated, self._language, self._parts.company.country)

    def fact(self, kind: str, value: str) -> str:
        """A fact as people read it: dates and amounts in words, the rest as it was said."""
        if kind == "amount":
            return self.amount(value)
        if kind == "date":
            try:
                return self.day(date.fromisoformat(value))
            except ValueError:
                return value
        return value
