"""Draw the chat: the page, and each bubble for the script that keeps the page fresh."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse

from bot import dates
from bot.chat import Bubble, embedding
from bot.hours import next_open, open_at
from console.pages import Pages
from console.public.bubbles import view, views
from console.public.embed import embedded
from console.public.said import FILES
from console.site import Site
from console.words import choose

NAMES = {"es": "Español", "en": "English", "pt": "Português"}
VOICE = ("ack", "answer", "receipt")  # what the bot says of its own
SCRIPT = (
    "sending",
    "sent",
    "waiting",
    "failed",
    "retry",
    "files_count",
    "files_limit",
    "files_kept",
    "copied",
    "detach",
    "notice",
    "person_speaks",
)


class ChatPage:
    """The look of the chat in the visitor's language."""

    def __init__(self, site: Site, pages: Pages, account: str) -> None:
        self._parts = site.parts
        self._pages = pages
        self._token = site.token
        self._title = embedding(site.parts, account).title

    def language(self, request: Request) -> str:
        """As asked for in the address, else as the browser prefers."""
        asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language")
        return choose(self._parts.company.languages, asked, accepted)

    def query(self, request: Request) -> str:
        """What every address of this page carries on: the language, and that it stands in another site's page."""
        return f"?lang={self.language(request)}" + ("&embed=1" if embedded(request) else "")

    def words(self, request: Request) -> Mapping[str, str]:
        """The chat's own words, with the blanks filled."""
        return self._words(self.language(request))

    def drawn(self, bubbles: Sequence[Bubble], language: str) -> list[dict[str, Any]]:
        """Each bubble as the script wants it."""
        words = self._words(language)
        return [
            {
                "key": one.key,
                "who": one.bubble.who,
                "kind": one.bubble.kind,
                "place": one.bubble.place,
                "html": self._pages.text("public/bubble.html", language, one=one, c=words),
            }
            for one in views(bubbles, language, self._parts.company.timezone, self._parts.now())
        ]

    def page(
        self, request: Request, bubbles: Sequence[Bubble], status: int, *, problem: str | None, draft: str
    ) -> HTMLResponse:
        """The whole page; `problem` names why the last message was not kept, `draft` is its text."""
        language = self.language(request)
        words = self._words(language)
        empty = Bubble(UUID(int=0), "me", None, self._parts.now(), "", "", client_id="new")
        ours = [one.place for one in bubbles if one.who != "me"]
        return self._pages.page(
            "public/chat.html",
            language,
            status,
            c=words,
            bubbles=views(bubbles, language, self._parts.company.timezone, self._parts.now()),
            mine=view(empty, language, self._parts.company.timezone, self._parts.now()),
            after=ours[-1] if ours else "",
            languages=[(one, NAMES[one]) for one in self._parts.company.languages],
            script=json.dumps({name: words[name] for name in SCRIPT}),
            limits={"bytes": self._parts.policy.attachment_limit, "files": FILES},
            client_id=self._token()[:40],
            problem=words[problem] if problem else None,
            draft=draft,
            title=self._title,
            embedded=embedded(request),
            query=self.query(request),
            person=_person(bubbles),
        )

    def _words(self, language: str) -> dict[str, str]:
        company, now = self._parts.company, self._parts.now()
        calendar = company.hours_calendar()
        opens = next_open(calendar, now)
        blanks = {
            "company": company.name,
            "bot_name": company.bot_name,
            "limit": f"{self._parts.policy.attachment_limit_mb:g}",
            "count": str(FILES),
            "hours": dates.hours_in_words(company.hours, language),
            "when": dates.when_open(opens, now, language, company.timezone) if opens else "",
        }
        words = {name: text.format_map(blanks) for name, text in self._pages.words(language)["chat"].items()}
        words["people"] = words["human_open"] if open_at(calendar, now) else words["human_closed"] if opens else ""
        return words


def _person(bubbles: Sequence[Bubble]) -> str | None:
    """The name of the person who speaks on our side; None while it is the bot. A notice says nothing of that."""
    voices = [one for one in bubbles if one.who == "agent" or one.kind in VOICE]
    return voices[-1].name if voices and voices[-1].who == "agent" else None
