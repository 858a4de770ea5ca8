"""What Slack's Web API answers when it does not do it, named by the remedy."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from channels.channel import ChannelError, Unavailable, Undeliverable

logger = logging.getLogger(__name__)

MENDING = timedelta(minutes=5)  # until an operator may have mended our side
_NO_WAY_IN = frozenset({"channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "message_not_found"})
_GONE = {
    "user_not_found",
    "users_not_found",
    "user_disabled",
    "user_not_visible",
    "cannot_dm_bot",
    "cannot_dm_user",
}
_OURS = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "org_login_required",
        "team_access_not_granted",
        "ekm_access_denied",
        "access_denied",
        "team_added_to_org",
        "messages_tab_disabled",
        "two_factor_setup_required",
    }
)
_LATER = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    }
)
_NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
REMEDIES = {
    "missing_scope": "Add the scope to the app (docs/channels/slack.md) and install it again.",
    "account_inactive": "The app was taken out of the workspace: install it again and copy the new bot token.",
    "messages_tab_disabled": "Turn on App Home > Messages tab on the app's page, and let people write there.",
    "not_in_channel": "Invite the app to the channel: /invite @name.",
    "channel_not_found": "Invite the app to the channel, and copy its id from the channel's details.",
}


class NoWayIn(Undeliverable):
    """The place is closed to us; the person may be reached elsewhere."""


def code_of(error: SlackApiError) -> str:
    """Slack's own word for what is wrong; a page of HTML has none."""
    answer: Any = error.response
    try:
        return str(answer["error"] or "")
    except (AttributeError, KeyError, TypeError, ValueError):  # a body that is no JSON at all is text
        return ""


def fault(error: Exception, *, shows: bool = True) -> ChannelError:
    """What follows from it. No cause is kept: it can hold the call's headers, and those the token.

    `shows`: the call shows somebody something, so what broke off may have arrived.
    """
    if not isinstance(error, SlackApiError):
        broke_off = shows and isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, _NEVER_LEFT)
        said = " (it may have arrived)" if broke_off else ""
        return Unavailable(f"slack: {type(error).__name__}{said}", may_have_arrived=broke_off)
    code, status = code_of(error), int(getattr(error.response, "status_code", 0) or 0)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return Unavailable("slack: too many calls", _wait(error))
    reason = f"slack: {code or f'answered with {status}'}"
    if code in _OURS:
        more = _field(error, "needed") or REMEDIES.get(code)
        return Unavailable(f"{reason} ({more})" if more else reason, MENDING, account=True)
    if code in _NO_WAY_IN:
        return NoWayIn(reason)
    if code in _GONE:
        return Undeliverable(reason)
    if code in _LATER or status >= 500 or not code:
        return Unavailable(reason)
    logger.error("slack: our call was refused: %s", code)
    return Undeliverable(reason, "message")


def _wait(error: SlackApiError) -> timedelta:
    headers = getattr(error.response, "headers", None) or {}
    given = {str(name).lower(): value for name, value in headers.items()}.get("retry-after", "30")
    try:
        return timedelta(seconds=max(float(given), 1.0))
    except ValueError:
        return timedelta(seconds=30)


def _field(error: SlackApiError, name: str) -> str:
    try:
        return str(error.response.get(name) or "")
    except (AttributeError, ValueError):
        return ""


@contextmanager
def named_by_remedy(*, shows: bool = True) -> Iterator[None]:
    """Around every call: what the library raises becomes Undeliverable or Unavailable. `shows`: as for `fault`."""
    try:
        yield
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise fault(error, shows=shows) from None
