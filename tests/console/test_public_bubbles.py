"""How a message looks: everything that a person wrote is shown as it was written, and harmless."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat import Bubble
from bot.views import FileView
from console.public.bubbles import rich, view, views

NOW = datetime(2026, 11, 27, 15, 14, tzinfo=UTC)
ZONE = "America/Bogota"
RECEIPT = (
    "Lo siento.\n\nTu caso quedó abierto:\nPQR-7K3M9QX\nvie 27 nov 2026, 10:14 · reclamo\n"
    "Te respondemos pronto.\n\n¿Cuál es el pedido?"
)


def a_bubble(text: str, who: str = "bot", **fields: object) -> Bubble:
    values: dict[str, object] = {"id": UUID(int=1), "who": who, "name": None, "at": NOW, "text": text, "place": "p"}
    return Bubble(**(values | fields))  # type: ignore[arg-type]  # the fields are those of the test


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ('https://a.example/"onmouseover=x', '"onmouseover=x'),
        ("(https://a.example/x?y=1&z=2).", 'href="https://a.example/x?y=1&amp;z=2"'),
    ],
)
def test_links_are_safe_and_the_rest_is_escaped(text: str, drawn: str) -> None:
    html = str(rich(text, bold=True))
    assert drawn in html.replace("&#34;", '"')
    assert "<script" not in html and html.count("<a ") == text.count("https://")
    assert not html.count("<a ") or 'rel="noopener noreferrer nofollow"' in html


@given(st.text(st.sampled_from("<>&\"'*https:/. \n{}abc"), max_size=60))
def test_nothing_that_is_written_becomes_a_tag(text: str) -> None:
    left = str(rich(text, bold=True)).replace("<b>", "").replace("</b>", "").replace("</a>", "")
    assert left.count("<") == left.count('<a href="http')


def test_our_own_words_may_be_bold() -> None:
    assert rich("escribe *persona* ya", bold=True) == "escribe <b>persona</b> ya"
    assert rich("2*3*4 y *x", bold=True) == "2*3*4 y *x"
    assert view(a_bubble("*no*", "me"), "es", ZONE, NOW).blocks[0].text == "*no*"


def test_R_the_receipt_has_its_own_shape() -> None:
    sorry, opened, receipt, question = view(a_bubble(RECEIPT), "es", ZONE, NOW).blocks
    assert (receipt.code, receipt.stamp, receipt.type) == ("PQR-7K3M9QX", "vie 27 nov 2026, 10:14", "reclamo")
    assert receipt.text == "Te respondemos pronto."
    assert (sorry.code, opened.text, question.text) == (None, "Tu caso quedó abierto:", "¿Cuál es el pedido?")


def test_a_visitors_words_are_no_receipt() -> None:
    assert [one.code for one in view(a_bubble(RECEIPT, "me"), "es", ZONE, NOW).blocks] == [None]


def test_only_the_last_question_can_be_answered_by_a_button() -> None:
    asked = [a_bubble("¿Sí?", buttons=[("Sí", "yes")]), a_bubble("¿Y esto?", buttons=[("No", "no")])]
    assert [one.buttons for one in views(asked, "es", ZONE, NOW)] == [(), [("No", "no")]]
    assert [one.buttons for one in views([*asked, a_bubble("sí", "me")], "es", ZONE, NOW)] == [(), (), ()]


def test_only_pictures_that_are_stored_are_shown() -> None:
    files = [
        FileView(UUID(int=2), "a.png", "image/png", 1, "stored", None),
        FileView(UUID(int=3), "a.svg", "image/svg+xml", 1, "stored", None),
        FileView(UUID(int=4), "b.png", "image/png", 1, "refused", "too large"),
    ]
    shown = view(a_bubble("", files=files), "es", ZONE, NOW)
    assert [one.name for one in shown.pictures] == ["a.png"]
    assert [one.name for one in shown.papers] == ["a.svg", "b.png"]


def test_the_hour_is_the_companys_and_says_its_day_when_it_is_not_today() -> None:
    assert view(a_bubble("x"), "es", ZONE, NOW).hour == "10:14 a. m."
    assert view(a_bubble("x"), "es", ZONE, NOW.replace(day=28)).hour == "27 nov, 10:14 a. m."
