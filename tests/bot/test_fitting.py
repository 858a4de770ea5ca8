"""What is said is fitted to what a channel can show."""

from hypothesis import given
from hypothesis import strategies as st

from bot.fitting import fit, pressed_of
from channels.channel import Button, Features

YES_NO = (Button("Sí", "yes"), Button("Todavía no", "no"))


def test_choices_become_numbers_where_there_are_no_buttons() -> None:
    [(text, shown)] = fit("¿Quedó bien resuelto?", YES_NO, Features(buttons=0))
    assert text == "¿Quedó bien resuelto?\n\n1. Sí\n2. Todavía no"
    assert shown == ()


def test_buttons_stand_under_the_last_part() -> None:
    parts = fit("a" * 30 + " " + "b" * 30, YES_NO, Features(buttons=3, text_limit=40))
    assert [shown for _, shown in parts] == [(), YES_NO]


def test_a_long_text_is_cut_between_paragraphs_rather_than_words() -> None:
    text = "Primer párrafo, que es largo.\n\nSegundo: una línea\ny otra línea con muchas palabras más"
    assert [part for part, _ in fit(text, (), Features(text_limit=50))] == [
        "Primer párrafo, que es largo.",
        "Segundo: una línea\ny otra línea con muchas",
        "palabras más",
    ]


@given(st.text(alphabet="ab \n", max_size=300), st.integers(5, 60))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    parts = [part for part, _ in fit(text, (), Features(text_limit=limit))]
    assert all(len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_typed_number_or_label_is_the_choice() -> None:
    assert pressed_of(" 2. ", YES_NO) == "no"
    assert pressed_of("TODAVÍA NO", YES_NO) == "no"
    assert pressed_of("3", YES_NO) is None
    assert pressed_of("2 veces llamé", YES_NO) is None
