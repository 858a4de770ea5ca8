"""The `webhooks` section: what can be wrong with it is one sentence each, with path and remedy; secrets stay secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.configuration import Fault
from bot.webhooks.settings import KINDS, Webhook, webhooks_of
from tests.bot.receiver import KEY, OTHER_KEY, OTHER_SECRET, SECRET

SHIPPED = (Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8")
GOOD: dict[str, Any] = {"name": "crm", "url": "https://crm.example.com/acuse", "secret": SECRET}


def faults(*sections: Any) -> list[str]:
    found: list[Fault] = []
    webhooks_of(list(sections), found)
    return [str(one) for one in found]


def test_the_shipped_file_names_every_setting_and_its_default() -> None:
    own = re.split(r"^(?=\w)", SHIPPED[SHIPPED.index("\nwebhooks:") + 1 :], flags=re.MULTILINE)[1]
    [example] = yaml.safe_load("\n".join(line.strip().removeprefix("# ") for line in own.splitlines()[1:]))
    assert set(Webhook.model_fields) == set(example)
    shown = Webhook.model_validate(example | {"secret": SECRET})
    assert shown == Webhook.model_validate(GOOD)
    assert shown.events == list(KINDS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"secret": "secreta"}, "webhooks.0.secret: does not begin with whsec_; make one with `openssl rand"),
        ({"secret": "whsec_ñ"}, "webhooks.0.secret: is not base64 behind whsec_; make one"),
        ({"secret": "whsec_c2hvcnQ="}, "webhooks.0.secret: holds 5 bytes, not 24 to 64; make one"),
        ({"secret_next": "x"}, "webhooks.0.secret_next: does not begin with whsec_"),
        ({"url": "crm.example.com"}, "webhooks.0: url is not a web address; write it as https://"),
        ({"url": "https://a:1x/"}, "webhooks.0: url is not a web address; write it as https://"),
        ({"url": "http://crm.example.com"}, "webhooks.0: url is not encrypted; write https://"),
        ({"url": "https://me:pw@crm.example.com"}, "webhooks.0: url holds a login; leave it out"),
        ({"url": "https://10.0.0.7/x"}, "webhooks.0: url leads into a private network; write allow_private: true"),
        ({"url": "https://[::1]/x"}, "webhooks.0: url leads into a private network; write allow_private: true"),
        ({"url": "https://localhost/x"}, "webhooks.0: url leads into a private network; write allow_private: true"),
        ({"events": ["case.close"]}, "webhooks.0.events.0: not one of the choices; write one of"),
        ({"event": []}, "webhooks.0.event: unknown setting; did you mean `events`?"),
        ({"name": "my crm"}, "webhooks.0.name: "),
        ({"ca_file": "/no/such/ca.pem"}, "webhooks.0.ca_file: there is no such file; write the path"),
    ],
)
def test_a_broken_setting_is_one_sentence_with_path_and_remedy(change: dict[str, Any], sentence: str) -> None:
    [said] = faults(GOOD | change)
    assert said.startswith(sentence), said
    assert "secreta" not in said and "pw" not in said


def test_two_of_one_name_and_no_list_at_all() -> None:
    assert faults(GOOD, GOOD) == ["webhooks.1.name: there are two webhooks crm; give each its own name"]
    found: list[Fault] = []
    assert webhooks_of({"crm": GOOD}, found) == {}
    assert str(found[0]) == "webhooks: is not a list; begin each webhook with `- name: crm`"
    assert webhooks_of(None, found) == {} and len(found) == 1


def test_no_secret_and_no_address_is_shown_by_accident() -> None:
    shown = repr(Webhook.model_validate(GOOD | {"secret_next": OTHER_SECRET}))
    assert "example.com" not in shown and SECRET[6:] not in shown and OTHER_SECRET[6:] not in shown
    assert Webhook.model_validate(GOOD | {"secret_next": OTHER_SECRET}).keys == [KEY, OTHER_KEY]
