"""`acuse check` tells whether anything passes, and whether a provider could call us."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bot.views import AccountNotice
from commands.passing import last_words, notice_words, unreachable
from storage.traffic import Last

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def test_when_something_last_passed() -> None:
    here = NOW.astimezone()
    assert last_words(None, NOW) == last_words(Last(), NOW) == "nothing has come in yet"
    assert last_words(Last(NOW, None), NOW) == f"last in {here:%H:%M}, out never"
    old = NOW - timedelta(days=3)
    assert last_words(Last(old, NOW), NOW) == f"last in {old.astimezone():%Y-%m-%d %H:%M}, out {here:%H:%M}"


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, None), (400, None), (404, "pass /webhooks on"), (301, "no provider follows"), (502, "before Acuse")],
)
async def test_what_answers_at_our_own_address_is_us_or_the_remedy_is_told(status: int, words: str | None) -> None:
    called: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        called.append(request)
        return httpx.Response(status, headers={"location": "https://other.example/"} if status == 301 else {})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        fault = await unreachable(client, "https://acuse.example/", "mi whatsapp")
    assert [(one.method, str(one.url)) for one in called] == [("POST", "https://acuse.example/webhooks/mi%20whatsapp")]
    assert fault is None if words is None else words in str(fault)


async def test_nobody_answers() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(away)) as client:
        fault = await unreachable(client, "https://acuse.example", "sms")
    assert fault is not None and "start Acuse" in fault


def test_a_paused_account_and_one_that_is_refused_are_told_with_the_remedy() -> None:
    """Issue 4, item 10: `acuse check` says since when, by whom and why."""
    now = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    since = now - timedelta(days=3)
    paused = notice_words(AccountNotice("paused", "sms", "sms", since, "cambio de número", "Marta"), now)
    assert f"paused since {since.astimezone():%Y-%m-%d %H:%M} by Marta (cambio de número)" in paused
    assert "resume it in the console" in paused
    refused = notice_words(AccountNotice("refused", "sms", "sms", since, "twilio 20003", None), now)
    assert "(twilio 20003)" in refused
    assert "mend it" in refused
