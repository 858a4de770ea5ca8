"""A link into WhatsApp: the text that it writes comes back as its payload, and no other text does (L-2)."""

from urllib.parse import parse_qs, urlsplit

import pytest

from channels.channel import Unavailable
from tests.channels.test_twilio_reading import read, whatsapp

PAYLOAD = "kPmA7Qx2wHbT9sRcUdE4fGzN3vJyK5nM"


async def _text() -> str:
    link = urlsplit(await whatsapp().deep_link(PAYLOAD))
    assert (link.scheme, link.netloc, link.path) == ("https", "wa.me", "/14155238886")
    [text] = parse_qs(link.query)["text"]
    return text


async def test_L2_the_text_of_the_link_comes_back_as_its_payload() -> None:
    text = await _text()
    assert text == f"Nube {PAYLOAD}"
    came = read(Body=text)
    assert (came.start, came.text) == (PAYLOAD, text)
    assert read(Body=f"  {text}\n").start == PAYLOAD


@pytest.mark.parametrize(
    "text",
    [
        "Hola",
        PAYLOAD,
        f"Otra {PAYLOAD}",
        f"Nube {PAYLOAD} y algo más",
        f"Miren: Nube {PAYLOAD}",
        "Nube 48213",
        "Nube",
        "",
    ],
)
def test_no_other_text_is_one(text: str) -> None:
    assert read(Body=text).start is None


async def test_without_a_number_there_is_no_link() -> None:
    channel = whatsapp(from_number=None, messaging_service_sid="MG" + "0" * 32)
    with pytest.raises(Unavailable):
        await channel.deep_link(PAYLOAD)
