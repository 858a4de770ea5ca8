"""Contract 5: one file, checked whole; secrets are replaced in values and never become YAML."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from bot.company import Company
from bot.configuration import ConfigurationFaults, Fault, checked, sections
from bot.policy import Policy
from channels import CHANNELS
from console.site import Settings as ConsoleSettings
from nlu.understander import Settings as NluSettings

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8")


def faults(text: str, env: dict[str, str] | None = None, known: tuple[str, ...] = ()) -> list[Fault]:
    with pytest.raises(ConfigurationFaults) as refused:
        sections(text, env or {}, known)
    return refused.value.faults


def value(text: str, env: dict[str, str] | None = None) -> Any:
    return sections("a: " + text, env or {})["a"]


def test_the_shipped_file_works_unedited() -> None:
    found = sections(SHIPPED, {}, ("company", "database", "channels", "webhooks", "nlu", "bot", "console"))
    assert list(found) == ["company", "database", "channels", "webhooks", "nlu", "bot", "console"]
    assert found["webhooks"] is None
    assert found["database"] is None and found["channels"] == {"webchat": {}}
    assert Policy.model_validate(found["bot"]) == Policy()  # it shows the defaults
    company = Company.model_validate(found["company"])
    assert (company.name, company.bot_name, company.country) == ("Nube", "Clara", "CO")


@pytest.mark.parametrize(
    ("section", "settings"), [("bot", Policy), ("nlu", NluSettings), ("console", ConsoleSettings), ("company", Company)]
)
def test_the_shipped_file_names_every_setting_of_a_section(section: str, settings: type[BaseModel]) -> None:
    """In force or commented out: whoever reads the file has read everything that can be set."""
    own = re.split(r"^(?=\w)", SHIPPED[SHIPPED.index(f"\n{section}:") + 1 :], flags=re.MULTILINE)[1]
    named = set(re.findall(r"^  (?:# )?(\w+):", own, re.MULTILINE))
    assert set(settings.model_fields) <= named


def test_what_is_commented_out_works_once_the_marks_are_gone() -> None:
    plain = "\n".join(
        line.replace("  # ", "  ", 1) if line.startswith("  # ") else line for line in SHIPPED.split("\n")
    )
    twilio = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}
    slack = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    mail = {"MAIL_PASSWORD": "s3cret", "TELEGRAM_TOKEN": "42:x", "DATABASE_URL": "postgresql://x/y"}
    mail["CRM_WEBHOOK_SECRET"] = "whsec_x"
    found = sections(plain, {**twilio, **slack, **mail})
    assert found["channels"]["slack"].keys() == CHANNELS["slack"].settings.model_fields.keys()
    CHANNELS["slack"].settings.model_validate(found["channels"]["slack"])
    assert found["database"] == "postgresql://x/y"
    telegram = {"token": "42:x", "webhook": False, "api_base_url": "https://api.telegram.org"}
    assert found["channels"]["telegram"] == telegram
    email = found["channels"]["email"]
    assert set(email) == set(CHANNELS["email"].settings.model_fields) - {"oauth"}  # which takes the password's place
    CHANNELS["email"].settings.model_validate(email)
    assert set(email["imap"]) == {"host", "port", "security", "ca_file", "mailbox"}
    assert set(email["smtp"]) == {"host", "port", "security", "ca_file"}
    assert email["password"] == "s3cret" and email["imap"]["port"] == 993


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("${X}", {"X": "1"}, "1"),
        ("${X:-2}", {}, "2"),
        ("${X:-2}", {"X": ""}, "2"),
        ("${X:-2}", {"X": "3"}, "3"),
        ("${X:-}", {}, None),
        ("${X:-http://a:80/}", {}, "http://a:80/"),
        ("pre-${X}-${Y:-y}-post", {"X": "x"}, "pre-x-y-post"),
        ("pre${X:-}", {}, "pre"),
        ("$${X}", {}, "${X}"),
        ("'$X and $ and {X}'", {"X": "1"}, "$X and $ and {X}"),
        ("${X}", {"X": "${Y}", "Y": "no second round"}, "${Y}"),
    ],
)
def test_references(text: str, env: dict[str, str], expected: str | None) -> None:
    assert value(text, env) == expected


@given(st.text(min_size=1))
def test_no_secret_becomes_yaml(secret: str) -> None:
    text = "channels:\n  telegram:\n    token: ${T}\n    list: ['${T}', 1]"
    assert sections(text, {"T": secret}) == {"channels": {"telegram": {"token": secret, "list": [secret, 1]}}}


def test_a_comment_is_no_reference() -> None:
    assert value("1  # ${NOT_SET}") == 1


def test_all_faults_come_at_once_with_path_and_remedy() -> None:
    found = faults(
        "a:\n  b: ${ONE}\n  c: ['x', '${TWO} ${no name}']\n  d: {e: '${'}\nf: ${THREE:-3}\ng: ${FOUR}", {"FOUR": ""}
    )
    assert [(fault.path, fault.problem) for fault in found] == [
        ("a.b", "the environment has no ONE"),
        ("a.c.1", "the environment has no TWO"),
        ("a.c.1", "`${` without a name"),
        ("a.d.e", "`${` without a name"),
        ("g", "the environment has no FOUR"),
    ]
    assert all(fault.remedy for fault in found)
    assert "${ONE:-" in found[0].remedy


def test_a_name_that_is_written_twice_is_refused_wherever_it_is() -> None:
    found = faults("a: 1\nb:\n  - c: 1\n    c: 2\na: 3\n")
    assert [(fault.path, fault.problem) for fault in found] == [
        ("b.0.c", "written twice, on lines 3 and 4"),
        ("a", "written twice, on lines 1 and 5"),
    ]


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("a: [1,", "line 1, column 7", "expected"),
        ("a:\n\tb: 1", "line 2, column 1", "cannot start any token"),
        ("- a\n- b", "config", "not a list of sections"),
        ("words", "config", "not a list of sections"),
        ("1: 2", "config", "not text"),
        ("a: {? [x] : 1}", "a", "not text"),
        ("a: &x [*x]", "a.0", "contains itself"),
        ("a: 2026-02-30", "config", "does not exist"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4", "constructor"),
        ("a: 1\n---\nb: 1", "line 2, column 1", "document"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, path: str, problem: str) -> None:
    (fault,) = faults(text)
    assert fault.path == path and problem in fault.problem and fault.remedy


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_has_no_sections(text: str) -> None:
    assert sections(text, {}) == {}


def test_an_unknown_section_is_refused() -> None:
    (fault,) = faults("compny: {}", known=("company", "channels"))
    assert (fault.path, fault.remedy) == ("compny", "did you mean `company`?")
    (fault,) = faults("zzz: {}", known=("company", "channels"))
    assert fault.remedy == "remove it, or write one of company, channels"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17:00", "17:00"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("8080", 8080),
        ("2.5", 2.5),
        ("0800", "0800"),
        ("", None),
        ("null", None),
    ],
)
def test_yaml_surprises_nobody(text: str, expected: object) -> None:
    assert value(text) == expected


def test_anchors_may_share_values() -> None:
    found = sections("a: &x {host: h, port: 1}\nb: {<<: *x, port: 2}\nc: *x", {})
    assert found["b"] == {"host": "h", "port": 2} and found["c"] == found["a"]


class Imap(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str
    port: int = 993


class Mailbox(BaseModel):
    model_config = ConfigDict(extra="forbid")
    password: SecretStr
    imap: Imap | None = None
    boxes: dict[str, Imap] = {}


def test_a_model_s_faults_name_what_was_meant_and_never_a_value() -> None:
    found: list[Fault] = []
    raw = {"passwrd": "s3cret", "imap": {"hots": "s3cret", "port": "s3cret"}, "boxes": 3}
    assert checked(Mailbox, raw, "channels.email", found) is None
    assert {(fault.path, fault.remedy) for fault in found if "correct" not in fault.remedy} == {
        ("channels.email.password", "add `password:` with its value"),
        ("channels.email.passwrd", "did you mean `password`?"),
        ("channels.email.imap.host", "add `host:` with its value"),
        ("channels.email.imap.hots", "did you mean `host`?"),
    }
    assert {fault.path for fault in found} > {"channels.email.imap.port", "channels.email.boxes"}
    assert "s3cret" not in " ".join(str(fault) for fault in found)


def test_an_empty_section_is_an_empty_one_and_a_right_one_is_read() -> None:
    found: list[Fault] = []
    assert checked(Mailbox, None, "m", found) is None and [fault.path for fault in found] == ["m.password"]
    right = checked(Mailbox, {"password": "p", "imap": {"host": "h", "port": "143"}}, "m", found)
    assert right is not None and right.imap == Imap(host="h", port=143) and len(found) == 1
