"""The way to Twilio: what a call that broke off leaves behind."""

import httpx
import pytest

from channels.channel import Unavailable
from channels.twilio_http import Http

MESSAGES = "https://api.twilio.com/2010-04-01/Accounts/AC0/Messages.json"


class Breaking(httpx.AsyncBaseTransport):
    def __init__(self, error: httpx.HTTPError) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error


@pytest.mark.parametrize(
    ("method", "error", "arrived"),
    [
        ("POST", httpx.RemoteProtocolError("Server disconnected without sending a response."), True),
        ("POST", httpx.ReadTimeout("slow"), True),
        ("POST", httpx.ReadError("reset"), True),
        ("POST", httpx.ConnectError("refused"), False),
        ("POST", httpx.ConnectTimeout("slow"), False),
        ("POST", httpx.PoolTimeout("busy"), False),
        ("GET", httpx.RemoteProtocolError("Server disconnected without sending a response."), False),
    ],
)
async def test_a_sending_call_that_broke_off_may_have_arrived(
    method: str, error: httpx.HTTPError, arrived: bool
) -> None:
    http = Http(Breaking(error), None)
    with pytest.raises(Unavailable) as caught:
        await http.request(method, MESSAGES, data={"Body": "Hola"})
    assert caught.value.may_have_arrived is arrived and ("may have arrived" in str(caught.value)) is arrived
    await http.close()
