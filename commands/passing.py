"""Whether something passes through an account: its last messages, and whether its provider could reach us."""

from datetime import datetime, timedelta
from urllib.parse import quote

import httpx

from bot.views import AccountNotice
from storage.traffic import Last

PATIENCE = 10.0  # seconds for our own address to answer
_LONG = timedelta(days=1)  # a moment older than that is told with its day


def last_words(last: Last | None, now: datetime) -> str:
    """When the last message came and went, for a line of `acuse check`."""
    if last is None or (last.came is None and last.gone is None):
        return "nothing has come in yet"
    return f"last in {when(last.came, now)}, out {when(last.gone, now)}"


def notice_words(notice: AccountNotice, now: datetime) -> str:
    """Why nothing leaves on an account, and what to do, for a line of `acuse check`."""
    since = when(notice.since, now)
    if notice.what == "paused":
        return f"paused since {since} by {notice.who or 'somebody'} ({notice.why}): resume it in the console, Accounts"
    return f"its provider refuses what we send since {since} ({notice.why}): mend it there, then say so in the console"


async def unreachable(client: httpx.AsyncClient, public_url: str, account: str) -> str | None:
    """What keeps a provider from calling this account, with the remedy; None: a call gets through to us.

    The call that is made here is not signed, so ours is the server that refuses it.
    """
    address = f"{public_url.rstrip('/')}/webhooks/{quote(account)}"
    try:
        answer = await client.post(address, content=b"", timeout=PATIENCE)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return (
            f"{address} does not answer ({type(error).__name__}): start Acuse, and let name, certificate and proxy "
            "of company.public_url lead to it"
        )
    if answer.status_code in (400, 403):
        return None
    if answer.status_code == 404:
        return f"{address} is answered with 404: let the proxy pass /webhooks on, and restart Acuse after a new account"
    if answer.has_redirect_location:
        return f"{address} leads elsewhere ({answer.status_code}): no provider follows; set company.public_url to it"
    return f"{address} is answered with {answer.status_code} by something before Acuse: let the proxy pass /webhooks on"


def when(moment: datetime | None, now: datetime) -> str:
    """A moment on this machine's clock, with its day if that is not today's."""
    if moment is None:
        return "never"
    here = moment.astimezone()
    return f"{here:%H:%M}" if now - moment < _LONG else f"{here:%Y-%m-%d %H:%M}"
