"""docs/webhooks.md: its example checks what Acuse really sends, and its numbers are those of the program."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.webhooks.handing import BACK_OFF
from bot.webhooks.posting import Post
from bot.webhooks.settings import KINDS, Webhook
from tests.bot.receiver import OTHER_SECRET, SECRET, a_receiver

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def example() -> Any:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "webhooks.md", "exec"), names)
    return names["event_of"]


async def test_the_example_takes_what_we_send_once_and_nothing_else() -> None:
    receiver, event_of = a_receiver(), example()
    webhook = Webhook.model_validate(
        {"name": "crm", "url": receiver.url, "secret": SECRET, "secret_next": OTHER_SECRET, "allow_private": True}
    )
    post = Post(webhook, now=lambda: datetime.now(UTC), version="1")
    async with receiver.up():
        assert await post.send("event-1", '{"type":"case.opened","ñ":"sí"}'.encode()) is None
    await post.close()
    [call] = receiver.taken
    seen: set[str] = set()
    assert event_of(call.headers, call.body, OTHER_SECRET, set()) == {"type": "case.opened", "ñ": "sí"}
    assert event_of(call.headers, call.body, SECRET, seen) is not None
    assert event_of(call.headers, call.body, SECRET, seen) is None  # a repeat
    with pytest.raises(PermissionError):
        event_of(call.headers, call.body + b" ", SECRET, set())
    with pytest.raises(PermissionError):
        event_of(call.headers | {"webhook-id": "event-2"}, call.body, SECRET, set())
    with pytest.raises(PermissionError):
        event_of(call.headers | {"webhook-timestamp": "1700000000"}, call.body, SECRET, set())


def test_the_page_says_what_the_program_does() -> None:
    told = [f"{s} s" if s < 60 else f"{s // 60} min" for s in (int(one.total_seconds()) for one in BACK_OFF)]
    assert f"{', '.join(told[:-1])}, and then every {told[-1]}" in PAGE
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
    assert f"`retry_hours` ({Webhook.model_fields['retry_hours'].default})" in PAGE
