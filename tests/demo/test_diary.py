"""The page's diary speaks the language of its reader, and never the program's."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import demo
from bot.shipped import shipped
from demo.standin import Diary, brief
from demo.watch import _TOLD, Watch

ROOT = Path(demo.__file__).parent

AT = datetime(2026, 11, 25, 15, tzinfo=UTC)
ROW: dict[str, Any] = {
    "at": AT,
    "code": "PQR-7K3M9QX",
    "type": "reclamo",
    "severity": "low",
    "due": date(2026, 12, 16),
    "account": "sms",
    "name": "Ana",
    "actor": "bot",
}


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("opened", {}, ("Reclamo, baja, miércoles 16 de diciembre", "Claim, low, Wednesday 16 December")),
        ("moved", {"to": "en_investigacion"}, ("En investigación", "Under investigation")),
        ("classified", {"type": ["queja", "peticion"]}, ("Petición", "Request")),
        ("graded", {"severity": ["low", "critical"]}, ("Crítica", "Critical")),
        ("flagged", {"reason": "harm"}, ("Daño a una persona", "Somebody was harmed")),
    ],
)
def test_what_became_of_a_case_is_told_in_the_reader_s_language(
    kind: str, data: dict[str, Any], told: tuple[str, str]
) -> None:
    diary = Diary(lambda: AT)
    Watch("", diary, {}, AT)._tell(ROW | {"kind": kind, "data": data})
    [line] = diary.lines
    assert (line.told("es"), line.told("en")) == tuple(f"PQR-7K3M9QX, Ana, {one}" for one in told)
    assert line.told("pt").startswith("PQR-7K3M9QX, Ana, ")


def test_what_somebody_wrote_is_cut_after_a_whole_word() -> None:
    assert brief("uno dos\ntres " * 20, 20) == "uno dos tres uno …"
    assert brief("corto") == "corto"
    assert brief("x" * 200, 90) == "x" * 90


@pytest.mark.parametrize("language", ["es", "en", "pt"])
def test_each_happening_has_its_words(language: str) -> None:
    """Names of happenings stand in the stand-ins; whoever adds one adds its words."""
    words = shipped(ROOT / "page" / "words.yaml")
    program = "".join(path.read_text("utf-8") for path in sorted(ROOT.glob("*.py")))
    told = set(re.findall(r'\.tell\("(\w+)"', program)) | {f"e_{one.replace(' ', '_')}" for one in _TOLD}
    assert len(told) > 12 and told <= words[language].keys()
    assert all(words[one].keys() == words[language].keys() for one in words)
