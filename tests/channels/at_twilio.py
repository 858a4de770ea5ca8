"""The demo's Twilio at the end of our wire: no network in between, judged by Twilio's own descriptions."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from channels.channel import Request
from demo import twilio_calls
from demo.twilio_api import TwilioApi
from tests.channels.twilio_judge import SPECS, TwilioJudge

ACCOUNT = "AC" + "0" * 32
TOKEN = "12345"
HERE = "https://acuse.example"
ANA, NUMBER = "+573001112233", "+14155238886"
WHATSAPP = f"whatsapp:{NUMBER}"


@cache
def judge() -> TwilioJudge | None:
    """None where the descriptions are not there."""
    return TwilioJudge() if SPECS.exists() else None


def a_twilio(
    kind: str = "whatsapp",
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sender: str | None = None,
    account: str = "",
    opened: Iterable[str] = (f"whatsapp:{ANA}", "whatsapp:CO.123456"),
) -> TwilioApi:
    """One sender, whose incoming messages go to our page; Ana has just written.

    A closed window is told at once, so that no test sends into one unseen. Nobody is at home: files are not fetched.
    """
    nobody = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    ours = sender or (WHATSAPP if kind == "whatsapp" else NUMBER)
    hooks = {ours: f"{HERE}/webhooks/{account or kind}"}
    made = TwilioApi(ACCOUNT, TOKEN, now=now, send=nobody, webhooks=hooks, kind=kind)
    made.window_at_once = True
    made.cdn = "https://mms.example-cdn.com"
    made.judge = judge()
    for address in opened:
        made.open_window(address)
    return made


def wire(twilio: TwilioApi, below: str = "") -> httpx.ASGITransport:
    """What a channel takes for the network. `below`: where the server is mounted."""
    return httpx.ASGITransport(app=Starlette(routes=[Mount(below, twilio.app)]) if below else twilio.app)


def signed(
    fields: dict[str, str],
    *,
    url: str = f"{HERE}/webhooks/whatsapp",
    token: str = TOKEN,
    headers: dict[str, str] | None = None,
    algorithm: str | None = None,
) -> Request:
    """A call as Twilio makes it."""
    return Request(
        method="POST",
        url=url,
        headers={
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": twilio_calls.signature(url, fields, token, algorithm),
            **(headers or {}),
        },
        body=urlencode(fields).encode(),
    )


def written(
    text: str = "Hola", *, sid: str = "SM" + "1" * 32, sender: str = f"whatsapp:{ANA}", **more: str
) -> dict[str, str]:
    """The fields of a message to our sender."""
    return twilio_calls.written(text, sid=sid, account=ACCOUNT, sender=sender, to=WHATSAPP, profile="Ana") | more


def callback(status: str, *, sid: str = "SM" + "2" * 32, **more: str) -> dict[str, str]:
    """The fields of a status callback."""
    fields = twilio_calls.callback(status, sid=sid, account=ACCOUNT, sender=WHATSAPP, to=f"whatsapp:{ANA}")
    return fields | more


def query_of(message: dict[str, Any]) -> dict[str, list[str]]:
    """What stands in the address of a message's status callback."""
    return parse_qs(urlsplit(message["StatusCallback"]).query)
