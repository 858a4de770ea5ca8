"""What stands in Twilio's Content API: our templates with their approval, and the shapes of questions."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from twilio.rest.content.v1.content import ContentList  # type: ignore[import-untyped]  # it ships no types
from twilio.rest.content.v1.content.approval_create import (  # type: ignore[import-untyped]  # as above
    ApprovalCreateList,
)

from channels.channel import ChannelError, TemplateState
from channels.twilio import Refused
from channels.whatsapp_templates import Template
from channels.whatsapp_writing import Choices

logger = logging.getLogger(__name__)

FRESH = timedelta(minutes=10)  # how long the list is believed
_PAGE = 500
_STATES: dict[str, tuple[str, str | None]] = {
    "approved": ("approved", None),
    "received": ("pending", "Meta looks at it; usually minutes, at most a day or two."),
    "pending": ("pending", "Meta looks at it; usually minutes, at most a day or two."),
    "unsubmitted": ("unsubmitted", "acuse templates push"),
    "paused": ("paused", "Too many people blocked it: it comes back by itself; send it to fewer."),
    "disabled": ("disabled", "Meta has switched it off: change its words in channels/templates/, then push again."),
}


class Worded(Protocol):
    """A content of ours: a template, or the shape of a question."""

    @property
    def friendly_name(self) -> str: ...

    def types(self) -> dict[str, Any]: ...

    def sample_variables(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Content:
    """One content at Twilio and how Meta sees it."""

    sid: str
    status: str
    rejection: str


class Contents:
    """The list of our contents at Twilio, asked for when it is needed and kept for a while."""

    def __init__(
        self,
        client: Any,
        asked: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._asked = asked
        self._now = now
        self._known: dict[tuple[str, str], Content] = {}
        self._read_at: datetime | None = None

    def forget(self) -> None:
        """Ask again the next time."""
        self._read_at = None

    async def choices(self, choices: Choices) -> str | None:
        """The content that shows such a question, made when it is not there; None when that fails: numbers will do."""
        try:
            found = await self._find(choices.friendly_name, "es")
            return found.sid if found else await self._create(choices, "es")
        except (Refused, ChannelError) as error:
            logger.warning("whatsapp: no buttons, numbers instead: %s", error)
            return None

    async def approved(self, template: Template) -> str | None:
        """The content of an approved template; None when it is not (yet) approved. Raises Refused, Unavailable."""
        found = await self._find(template.friendly_name, template.language)
        return found.sid if found and found.status == "approved" else None

    async def state(self, template: Template, *, push: bool) -> TemplateState:
        """How a template stands; `push`: created and submitted if it is not. Raises Refused, Unavailable."""
        found = await self._find(template.friendly_name, template.language)
        if push and found is None:
            found = Content(await self._create(template, template.language), "unsubmitted", "")
        if push and found is not None and found.status == "unsubmitted":
            await self._submit(found.sid, template)
            found = Content(found.sid, "pending", "")
            self._known[template.friendly_name, template.language] = found
        if found is None:
            return TemplateState(template.name, template.language, "missing", "acuse templates push")
        if found.status == "rejected":
            remedy = (
                f"Meta: {found.rejection or 'no reason given'}. Change channels/templates/{template.name}.yaml, push."
            )
            return TemplateState(template.name, template.language, "rejected", remedy)
        known = _STATES.get(found.status, (found.status, "See Twilio's console: Content Template Builder."))
        return TemplateState(template.name, template.language, *known)

    async def _find(self, friendly_name: str, language: str) -> Content | None:
        if self._read_at is None or self._now() - self._read_at >= FRESH:
            listed = await self._asked(
                lambda: self._client.content.v1.content_and_approvals.list_async(page_size=_PAGE)
            )
            self._known = {(one.friendly_name, one.language): _content(one) for one in listed}
            self._read_at = self._now()
        return self._known.get((friendly_name, language))

    async def _create(self, worded: Worded, language: str) -> str:
        request = ContentList.ContentCreateRequest(
            {
                "friendly_name": worded.friendly_name,
                "language": language,
                "variables": worded.sample_variables(),
                "types": _Types(worded.types()),
            }
        )
        made = await self._asked(lambda: self._client.content.v1.contents.create_async(request))
        self._known[worded.friendly_name, language] = Content(str(made.sid), "unsubmitted", "")
        return str(made.sid)

    async def _submit(self, sid: str, template: Template) -> None:
        request = ApprovalCreateList.ContentApprovalRequest(
            {"name": template.friendly_name, "category": template.category}
        )
        await self._asked(lambda: self._client.content.v1.contents(sid).approval_create.create_async(request))


class _Types:
    """The content as it is; the library would copy field by field and leave out what it does not know yet."""

    def __init__(self, types: dict[str, Any]) -> None:
        self._types = types

    def to_dict(self) -> dict[str, Any]:
        """What goes into the call."""
        return self._types


def _content(one: Any) -> Content:
    approval = one.approval_requests or {}
    return Content(
        str(one.sid), str(approval.get("status") or "unsubmitted").lower(), str(approval.get("rejection_reason") or "")
    )
