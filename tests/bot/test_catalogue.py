"""Everything the bot says: complete in three languages, in tone, and nothing stated that no fact filled."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from bot.catalogue import LANGUAGES, Catalogue, MissingBlank, MissingLine, blanks_of
from bot.dialogue.effects import Bullets, Choice, Say, Word
from bot.dialogue.forms import FORMS, SHOWN
from bot.dialogue.opening import TYPE_CHOICES
from bot.dialogue.reach import NAMED

ROOT = Path(__file__).parents[2]
CATALOGUE = Catalogue.load()
TREATMENTS = ("tu", "usted")
STATES = (
    "recibido", "acusado", "clasificado", "en_investigacion", "propuesta", "comunicado", "aceptado", "cumplido",
    "cerrado", "rechazado", "escalado_interno", "derivado_externo",
)  # fmt: skip
# R102-R106, R113: no favours, no excuses, no judgement, no hurry to close
FORBIDDEN = {
    "es": r"excepcionalmente|hacemos el favor|est[áa]s? seguro|mi gerente|otro departamento|el proveedor|no se puede"
    r"|algo m[áa]s en que|lamentablemente|pol[íi]tica de la empresa|tranquil[íi]z|c[áa]lm[ea]",
    "en": r"exceptionally|do you (the|a) favou?r|are you sure|my manager|other department|the supplier|cannot be done"
    r"|anything else i can|unfortunately|company policy|calm down",
    "pt": r"excepcionalmente|fazer o favor|tem certeza|meu gerente|outro departamento|o fornecedor"
    r"|n[ãa]o [ée] poss[íi]vel|algo mais em que|infelizmente|pol[íi]tica da empresa|acalme",
}
BUTTON_WORDS, LINE_WORDS, MAIL_WORDS = 7, 45, 60


def texts(language: str) -> list[tuple[str, str]]:
    """All lines as (name, text), both treatments."""
    names = sorted(CATALOGUE.names(language))
    return [(name, CATALOGUE.line(name, language, treatment)) for name in names for treatment in TREATMENTS]


def plain(text: str) -> str:
    return re.sub(r"\{\w+\}|\[\[|\]\]", " ", text)


def test_the_three_languages_have_the_same_lines() -> None:
    assert CATALOGUE.names("en") == CATALOGUE.names("es") == CATALOGUE.names("pt")


def test_the_three_languages_and_both_treatments_have_the_same_blanks() -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for language in LANGUAGES:
        for name, text in texts(language):
            found.setdefault(name, set()).add(blanks_of(text))
    assert {name: blanks for name, blanks in found.items() if len(blanks) > 1} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_line_states_no_digit_and_no_amount_that_no_fact_filled(language: str) -> None:
    for name, text in texts(language):
        assert not re.search(r"[\d$€£%]", plain(text)), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_R105_a_line_is_calm(language: str) -> None:
    for name, text in texts(language):
        assert text.count("!") <= 1, name
        assert not re.search(r"\.\.\.|!!|\?\?", text), name
        shouted = [word for word in re.findall(r"[^\W\d_]{3,}", plain(text)) if word.isupper() and word != "PDF"]
        assert shouted == [], name


@pytest.mark.parametrize("language", LANGUAGES)
def test_R103_R104_R106_R113_no_forbidden_phrase(language: str) -> None:
    for name, text in texts(language):
        assert not re.search(FORBIDDEN[language], text, re.IGNORECASE), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_line_is_short(language: str) -> None:
    for name, text in texts(language):
        most = MAIL_WORDS if name.startswith(("ack", "alert", "help")) else LINE_WORDS
        most = BUTTON_WORDS if name.startswith("button_") else most
        assert len(plain(text).split()) <= most, name
        assert not name.startswith("button_") or len(text.encode()) <= 64, name


def test_who_is_addressed_as_usted_never_reads_a_tu() -> None:
    familiar = re.compile(
        r"\b(tú|tu|tus|te|ti|contigo|tuyo|tuya|quieres|puedes|prefieres|tienes|necesitas|cuéntame|escríbelo|dame"
        r"|envíame|\w{3,}(arte|erte|irte))\b",
        re.IGNORECASE,
    )
    for name in CATALOGUE.names("es"):
        assert not familiar.search(CATALOGUE.line(name, "es", "usted")), name


def test_who_is_addressed_as_tu_never_reads_a_usted() -> None:
    for name in CATALOGUE.names("es"):
        assert not re.search(r"\b(usted|su|sus|suyo|le)\b", CATALOGUE.line(name, "es", "tu"), re.IGNORECASE), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_L5_the_first_words_say_that_this_is_an_ai_and_how_to_reach_a_person(language: str) -> None:
    for name in ("ack", "ack_out_of_hours", "ai_notice"):
        assert re.search(r"\((IA|AI)\)", CATALOGUE.line(name, language))
        assert re.search(r"«(persona|pessoa)»|“person”", CATALOGUE.line(name, language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_R012_the_code_stands_on_a_line_of_its_own_in_every_receipt(language: str) -> None:
    for line in ("receipt", "receipt_short"):
        for variant in ("due", "target", "undated"):
            text = CATALOGUE.line(f"{line}.{variant}", language)
            assert "\n{code}\n" in text
            assert {"opened_at", "type"} <= blanks_of(text)
            assert ("due_date" in blanks_of(text)) == (variant != "undated")


def test_every_line_that_the_code_names_exists() -> None:
    """Also those that are put together from a type, a state, a kind of channel."""
    composed = {f"type_{kind}" for kind in FORMS} | {f"next_{kind}" for kind in FORMS}
    composed |= {f"status_{state}" for state in STATES} | {f"channel_{kind}" for kind in NAMED} | {"channel_here"}
    composed |= {f"step_{state}" for state in STATES if state != "cerrado"}
    composed |= {f"label_{slot}" for slot in SHOWN} | {choice.line for choice in TYPE_CHOICES}
    composed |= {f"ask_{slot}" for form in FORMS.values() for slot in form}
    assert composed - CATALOGUE.names() == set()
    assert _named_in_code() - CATALOGUE.names() == set()


def _named_in_code() -> set[str]:
    """First arguments of say(…) and Choice(…) in the dialogue, with the variants of the dated ones."""
    found: set[str] = set()
    for path in (ROOT / "bot" / "dialogue").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in ("say", "Choice"):
                continue
            dated = any(keyword.arg == "dated" for keyword in node.keywords)
            for name in ast.walk(node.args[0]):
                if isinstance(name, ast.Constant) and isinstance(name.value, str) and "_" in name.value + "_":
                    whole = isinstance(node.args[0], ast.Constant | ast.IfExp)
                    found |= {f"{name.value}.{v}" for v in ("due", "target", "undated")} if dated else set()
                    found |= {name.value} if whole and not dated and _is_line(node.args[0], name) else set()
    return found


def _is_line(argument: ast.expr, constant: ast.Constant) -> bool:
    """In `say("a" if x == "y" else "b")` only a and b are lines."""
    return constant is argument or (isinstance(argument, ast.IfExp) and constant in (argument.body, argument.orelse))


def test_rendering_fills_blanks_and_refuses_to_say_what_is_not_known() -> None:
    assert CATALOGUE.render("corrected", "es", blanks={"value": "48214"}) == "Corregido: 48214."
    with pytest.raises(MissingBlank, match="value"):
        CATALOGUE.render("corrected", "es")
    with pytest.raises(MissingLine):
        CATALOGUE.render("no_such_line", "es")


def test_an_optional_part_goes_when_its_blank_is_empty() -> None:
    known = {"bot_name": "Clara", "company": "Nube"}
    assert "Privacidad" not in CATALOGUE.render("ack", "es", blanks={**known, "privacy_url": ""})
    assert CATALOGUE.render("ack", "es", blanks={**known, "privacy_url": "https://n.co"}).endswith("https://n.co")


def test_what_a_person_wrote_is_never_filled_itself() -> None:
    items = Bullets((("label_what", "{code} [[x]]"),))
    assert "{code} [[x]]" in CATALOGUE.render("summary", "es", blanks={"items": items, "code": "secret"})


def test_one_answer_of_several_lines() -> None:
    says = (
        Say(line="apology"),
        Say(line="receipt", blanks={"type": Word("type_queja"), "next": Word("next_queja")}, dated=True),
        Say(line="ask_share", buttons=(Choice("button_share_yes", "share:yes"), Choice("button_share_no", "share:no"))),
    )
    facts = {"code": "PQR-7K3M9QX", "opened_at": "vie 27 nov 2026, 10:14", "due_date": "lunes 21 de diciembre"}
    answer = CATALOGUE.answer(says, "es", "usted", facts, "legal")
    assert answer.lines == ("apology", "receipt.due", "ask_share")
    assert answer.text.startswith(
        "Lo siento. Entiendo que esto debe ser frustrante para usted. Puedo ayudarle con eso."
    )
    assert "\nPQR-7K3M9QX\nvie 27 nov 2026, 10:14 · queja\nLe respondemos a más tardar el lunes 21" in answer.text
    assert answer.buttons == (("Sí, compártanlas", "share:yes"), ("Mejor no", "share:no"))
    assert CATALOGUE.answer(says, "pt", "tu", facts, "internal").lines[1] == "receipt.target"


def test_the_files_are_plain_and_name_nothing_twice() -> None:
    for language in LANGUAGES:
        path = ROOT / "bot" / "utterances" / f"{language}.yaml"
        keys = re.findall(r"^([\w.]+):", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(keys) == sorted(set(keys))
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert all(isinstance(name, str) for name in loaded)
        for name, text in loaded.items():
            assert isinstance(text, str) or set(text) == {"tu", "usted"}, name
            assert isinstance(text, str) or (language == "es" and text["tu"] != text["usted"]), name


def test_an_hour_at_the_end_of_a_sentence_has_one_full_stop() -> None:
    """*vuelven mañana a las 8 a. m..* looks careless, and stands in each message outside hours."""
    blanks = {"back_at": "mañana a las 8 a. m."}
    said = CATALOGUE.render("person_alerted_later", "es", "tu", blanks)
    assert said.endswith("vuelven mañana a las 8 a. m.") and ".." not in said
