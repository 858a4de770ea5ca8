"""The console's words and macros: the three languages hold the same lines with the same blanks."""

import re
from pathlib import Path

import pytest
import yaml

from bot.macros import Macros

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "console" / "desk" / "words"
MACROS = ROOT / "bot" / "macros"
TEMPLATES = ROOT / "console" / "templates" / "desk"
BLANK = re.compile(r"\{(\w+)\}")


def lines(folder: Path, language: str) -> dict[str, str]:
    """A file of words."""
    found: dict[str, str] = yaml.safe_load((folder / f"{language}.yaml").read_text(encoding="utf-8"))
    return found


def texts_of_macros(language: str) -> dict[str, dict[str, str]]:
    """A file of macros: their titles and texts."""
    found: dict[str, dict[str, str]] = yaml.safe_load((MACROS / f"{language}.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_word_exists_in_every_language_with_the_same_blanks(language: str) -> None:
    spanish, other = lines(WORDS, "es"), lines(WORDS, language)
    assert list(other) == list(spanish)
    for key, text in spanish.items():
        assert sorted(set(BLANK.findall(other[key]))) == sorted(set(BLANK.findall(text))), key
        assert other[key].count("*") % 2 == 0, key


def test_every_word_that_a_template_names_exists() -> None:
    spanish = lines(WORDS, "es")
    for template in TEMPLATES.glob("*.html"):
        if template.name.startswith("figures"):
            continue  # that page has a file of words of its own
        for key in re.findall(r"\bw(?:\.bold)?\(\"(\w+)\"", template.read_text(encoding="utf-8")):
            assert key in spanish or key.endswith("_"), f"{template.name}: {key}"
        for key in re.findall(r"\bw\.many\(\"(\w+)\"", template.read_text(encoding="utf-8")):
            assert f"{key}_one" in spanish, f"{template.name}: {key}"
            assert f"{key}_other" in spanish, f"{template.name}: {key}"


def test_every_value_that_the_bot_stores_has_a_word() -> None:
    from bot.casework import SEVERITIES
    from bot.dialogue.forms import FORMS
    from bot.states import CELLS, CaseState

    spanish = lines(WORDS, "es")
    wanted = [f"type_{one}" for one in FORMS] + [f"severity_{one}" for one in SEVERITIES]
    wanted += [f"state_{one}" for one in CaseState] + [f"cell_{one}" for one in CELLS]
    wanted += [f"fact_{slot}" for form in FORMS.values() for slot in form]
    assert [key for key in wanted if key not in spanish] == []


def test_there_are_ten_macros_in_each_language_and_none_states_a_number_or_a_date() -> None:
    spanish = texts_of_macros("es")
    assert len(spanish) == 10
    for language in ("es", "en", "pt"):
        found = texts_of_macros(language)
        assert list(found) == list(spanish)
        for name, texts in found.items():
            for voice in {"tu", "usted"} & set(texts):
                words = re.sub(r"(?m)^\d\. ?$", "", texts[voice])  # the empty points of a proposal
                assert not re.search(r"\d", words), (language, name)
                assert set(BLANK.findall(texts[voice])) <= {"name", "code", "company", "agent"}


def test_a_macro_speaks_the_customers_language_and_leaves_out_what_is_not_known() -> None:
    blanks = {"name": None, "code": "PQR-7K3M9QX", "company": "Nube", "agent": "Pedro"}
    made = Macros.load().all(agent_language="es", language="en", blanks=blanks)
    hello = made[0]
    assert hello.title == "Presentarme"
    assert hello.text.startswith("Hello. I'm Pedro, from Nube.")
    assert all("{" not in one.text and "[[" not in one.text for one in made)


@pytest.mark.parametrize("language", ["es", "en", "pt"])
def test_why_a_person_is_needed_has_words_in_the_console_in_mails_and_on_cards(language: str) -> None:
    """A reason of the program's own, as in *Motivo: undelivered*, tells nobody what to do."""
    program = "".join(path.read_text("utf-8") for path in sorted((ROOT / "bot").rglob("*.py")))
    set_here = set(re.findall(r'flag_reason = self\._parts\.now\(\), "(\w+)"', program))
    in_mails = {name[7:] for name in lines(ROOT / "bot" / "utterances", language) if name.startswith("reason_")}
    in_console = {name[5:] for name in lines(WORDS, language) if name.startswith("flag_")}
    assert {"undelivered", "unreachable", "recovered"} <= set_here <= in_mails
    assert in_mails == in_console
