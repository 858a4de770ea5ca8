"""The labelled messages are varied, consistent and large enough; near-duplicates are refused (issue 3, 1)."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from nlu.train_data import BadData, Example, load, split
from nlu.train_join import RECORD, digest
from nlu.train_noise import noisy_all

DATA = Path(__file__).parents[2] / "nlu" / "data"


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return load(DATA)


def grams(text: str) -> set[str]:
    plain = re.sub(r"\d", "0", " ".join(text.lower().split()))
    return {plain[i : i + 5] for i in range(max(1, len(plain) - 4))}


def near_duplicates(texts: list[str]) -> list[tuple[str, str]]:
    """Pairs whose character 5-grams, digits masked, overlap by Jaccard 0.5 or more."""
    seen = [grams(t) for t in texts]
    holders: dict[str, list[int]] = defaultdict(list)
    found: list[tuple[str, str]] = []
    for i, own in enumerate(seen):
        shared = Counter(j for gram in own for j in holders[gram])
        found += [(texts[j], texts[i]) for j, n in shared.items() if n / (len(own) + len(seen[j]) - n) >= 0.5]
        for gram in own:
            holders[gram].append(i)
    return found


def test_no_message_is_a_near_duplicate_of_another(examples: list[Example]) -> None:
    assert near_duplicates([e.text for e in examples]) == []


def test_a_template_with_other_numbers_is_seen_as_a_duplicate() -> None:
    assert near_duplicates(["El pedido 4411 no llegó el lunes", "El pedido 9023 no llegó el lunes"])
    assert not near_duplicates(["El pedido 4411 no llegó el lunes", "Se fue la luz en toda la cuadra"])


def test_ids_are_unique_and_texts_are_distinct(examples: list[Example]) -> None:
    assert len({e.id for e in examples}) == len({e.text for e in examples}) == len(examples)


def test_every_critical_message_calls_a_person_and_otro_is_always_low(examples: list[Example]) -> None:
    assert [e.id for e in examples if e.severity == "critical" and not e.human_now] == []
    assert [e.id for e in examples if e.type == "otro" and e.severity != "low"] == []
    assert [e.id for e in examples if e.human_now and e.severity in ("low", "medium")] == []
    assert [e.id for e in examples if e.second == e.type] == []


def test_there_are_enough_messages_of_every_kind(examples: list[Example]) -> None:
    assert len(examples) >= 6000
    by = {k: Counter(getattr(e, k) for e in examples) for k in ("language", "type", "severity", "act", "genre")}
    assert min(by["type"].values()) >= 500
    assert by["severity"]["high"] >= 900
    assert by["severity"]["critical"] >= 500
    assert by["genre"]["alarming"] >= 500
    assert min(by["act"].values()) >= 140
    share = {language: n / len(examples) for language, n in by["language"].items()}
    assert share == pytest.approx({"es": 0.65, "en": 0.2, "pt": 0.15}, abs=0.03)
    assert len(by["type"]) == 6 and len(by["act"]) == 11


def test_the_happenings_come_from_everywhere(examples: list[Example]) -> None:
    countries = Counter(e.country for e in examples if e.language == "es")
    sectors = Counter(e.sector for e in examples)
    assert len([c for c, n in countries.items() if n >= 300]) >= 7
    assert len([s for s, n in sectors.items() if n >= 70 and s != "other"]) >= 12


def test_retellings_share_a_scenario_as_the_record_of_resemblances_says(examples: list[Example]) -> None:
    """`python -m nlu.train_join` must be run after messages were added or rewritten."""
    record = json.loads((DATA / RECORD).read_text(encoding="utf-8"))
    assert record["digest"] == digest(examples)
    scenario = {e.id: e.scenario for e in examples}
    assert len(record["pairs"]) >= 300
    assert [pair for pair in record["pairs"] if scenario[pair[0]] != scenario[pair[1]]] == []


def test_every_type_has_notes_of_five_words_or_less(examples: list[Example]) -> None:
    """Or the model learns that short means otro."""
    short = Counter(e.type for e in examples if len(e.text.split()) <= 5)
    assert min(short.values()) >= 60 and len(short) == 6


def test_openings_are_varied(examples: list[Example]) -> None:
    openings = {" ".join(e.text.lower().split()[:3]) for e in examples}
    assert len(openings) >= max(4000, 0.9 * len(examples))


def test_no_scenario_crosses_the_split_and_adding_data_moves_nothing(examples: list[Example]) -> None:
    parts = split(examples)
    scenarios = [{e.scenario for e in part} for part in (parts.train, parts.validation, parts.held_out)]
    assert not scenarios[0] & scenarios[1] | scenarios[0] & scenarios[2] | scenarios[1] & scenarios[2]
    assert 0.1 < len(parts.held_out) / len(examples) < 0.2
    some = split(examples[::3]).held_out
    assert {e.id for e in some} <= {e.id for e in parts.held_out}


def test_noise_is_the_same_each_time_and_keeps_the_length() -> None:
    once, again = noisy_all(["¿Cuándo llega mi pedido de ayer?"]), noisy_all(["¿Cuándo llega mi pedido de ayer?"])
    assert once == again
    assert once[0].isupper() and "Á" not in once[0]
    assert abs(len(once[0]) - 32) <= 6


@pytest.mark.parametrize(
    ("row", "fault"),
    [({"text": " ", "type": "queja"}, "no text"), ({"text": "hola", "type": "reclamación"}, "none of peticion")],
)
def test_a_bad_row_is_named_by_file_line_and_fault(tmp_path: Path, row: dict[str, str], fault: str) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"text": "ok", "type": "otro"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(BadData, match=rf"mine\.jsonl:2: .*{fault}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", b"mensaje,tipo\nhola,otro\n", "no column text nor type; the columns are mensaje, tipo"),
        ("b.csv", b"text,type\n", "holds no message"),
        ("c.csv", "text,type\nno llegó,reclamo\n".encode("latin-1"), "not UTF-8"),
        ("d.jsonl", b"[1]\n", "d.jsonl:1: not an object"),
        ("e.jsonl", b"{no json\n", "e.jsonl:1: not JSON"),
    ],
)
def test_an_unreadable_file_says_what_to_do(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=fault):
        load(tmp_path / name)
    with pytest.raises(BadData, match="cannot be read"):
        load(tmp_path / "none.csv")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_company_s_csv_needs_only_text_and_type(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "mine.csv"
    rows = [["Text", "TYPE ", "human_now"], ['"No llegó, ¿qué hago?"', "reclamo", "sí"], ["Gracias", "otro", ""]]
    file.write_text("\ufeff" + "".join(mark.join(row) + "\n" for row in rows), encoding="utf-8")
    first, second = load(file)
    assert (first.text, first.type, first.human_now, first.act) == ("No llegó, ¿qué hago?", "reclamo", True, "report")
    assert (second.severity, second.human_now) == ("low", False)


def test_copies_of_a_message_stay_on_one_side(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("text,type\nNo llegó,reclamo\nno  LLEGÓ,queja\nGracias,otro\n", encoding="utf-8")
    first, copy, other = load(file)
    assert first.scenario == copy.scenario != other.scenario
