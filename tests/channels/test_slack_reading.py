"""Slack's calls: signature and age, what is a message for us, what is an agent's act."""

import json
from dataclasses import replace
from typing import Any

import pytest

from channels.channel import (
    Arrival,
    DeliveryReport,
    DeskAct,
    Edited,
    Forged,
    Ignored,
    Inbound,
    Malformed,
    Reply,
    Request,
    Unsupported,
)
from channels.slack_reading import plain
from tests.channels.at_slack import DESK, ME, SHARED, TEAM, Events, account, now, resigned, signed

events = Events()


def read(body: dict[str, Any], *, form: bool = False) -> Arrival:
    slack = account("http://127.0.0.1:9", socket=False, agents_channel=DESK, open_channels=["C0OPEN"])
    (arrival,) = slack.read(signed(body, form=form))
    return arrival


def message(body: dict[str, Any]) -> Inbound:
    arrival = read(body)
    assert isinstance(arrival, Inbound), arrival
    return arrival


def act(body: dict[str, Any], *, form: bool = False) -> DeskAct:
    arrival = read(body, form=form)
    assert isinstance(arrival, DeskAct), arrival
    return arrival


def header(name: str, value: str) -> Request:
    request = signed(events.message("hola"))
    return replace(request, headers={**request.headers, name: value})


@pytest.mark.parametrize(
    "request_",
    [
        header("x-slack-signature", "v0=00"),
        header("x-slack-request-timestamp", "not-a-number"),
        header("x-slack-request-timestamp", ""),
        header("x-slack-request-timestamp", "9" * 400),
        signed(events.message("hola"), secret="another"),
        signed(events.message("hola"), at=str(int(now().timestamp()) - 301)),
        replace(signed(events.message("hola")), headers={}),
        replace(signed(events.message("hola")), body=b"\xff\xfe"),
    ],
    ids=["signature", "time", "no-time", "huge-time", "secret", "old", "none", "bytes"],
)
def test_what_slack_did_not_sign_is_forged_and_no_fault_of_ours(request_: Request) -> None:
    with pytest.raises(Forged):
        account("http://127.0.0.1:9", socket=False).read(request_)


def test_an_account_with_socket_mode_takes_no_calls() -> None:
    with pytest.raises(Forged):
        account("http://127.0.0.1:9", socket=True).read(signed(events.message("hola")))


def test_the_signature_is_that_of_the_raw_body() -> None:
    request = signed(events.message("hola"))
    respaced = json.dumps(json.loads(request.body), separators=(",", ":")).encode()
    with pytest.raises(Forged):
        account("http://127.0.0.1:9", socket=False).read(replace(request, body=respaced))


def test_the_challenge_is_given_back() -> None:
    slack, request = (
        account("http://127.0.0.1:9", socket=False),
        signed({"type": "url_verification", "challenge": "x1"}),
    )
    assert slack.read(request) == []
    assert slack.reply(request) == Reply(200, body=b"x1")


def test_what_is_signed_and_makes_no_sense_is_named() -> None:
    slack = account("http://127.0.0.1:9", socket=False)
    for body, error in ((b"[]", Malformed), (b"{", Malformed)):
        with pytest.raises(error):
            slack.read(resigned(body))
    look = resigned(b"ssl_check=1", "application/x-www-form-urlencoded")
    with pytest.raises(Unsupported):
        slack.read(look)
    assert slack.reply(look) == Reply(200)
    assert isinstance(
        read({"type": "event_callback", "event_id": "E1", "event": {"type": "message", "user": 3}}), Ignored
    )


def test_a_direct_message_is_one_conversation_and_its_key_is_the_event() -> None:
    body = events.message("Llegó roto &amp; tarde &lt;3")
    first = message(body)
    assert (first.key, first.thread) == (body["event_id"], "D0ANA")
    assert first.sender.value == f"{TEAM}:U0ANA"
    assert first.text == "Llegó roto & tarde <3"
    assert first.provider_id == f"D0ANA:{body['event']['ts']}"
    assert message(events.message("y otra cosa")).thread == first.thread


def test_p5_a_retry_has_the_same_key() -> None:
    body = events.message("hola")
    assert message(body).key == message(body).key


def test_in_a_shared_channel_each_thread_is_a_conversation() -> None:
    mention = message(events.mention("se dañó la impresora", ts="100.1"))
    assert (mention.text, mention.thread) == ("se dañó la impresora", f"{SHARED}:100.1")
    reply = message(events.mention("¿y?", ts="101.1", thread_ts="100.1"))
    assert (reply.thread, reply.replies_to) == (mention.thread, (mention.provider_id,))
    assert reply.provider_id == f"{SHARED}:101.1:100.1"
    assert message(events.mention("otro", ts="102.1")).thread != mention.thread


def test_people_of_a_shared_channel_may_talk_among_themselves() -> None:
    assert isinstance(read(events.message("¿almorzamos?", channel=SHARED)), Ignored)
    assert isinstance(read(events.message(f"<@{ME}> hola", channel=SHARED)), Ignored)  # the mention brings it


def test_words_in_a_thread_without_our_name_are_aside() -> None:
    got = message(events.message("¿y mi caso?", channel=SHARED, thread_ts="100.1"))
    assert got.aside and got.replies_to == (f"{SHARED}:100.1",)
    assert not message(events.mention("¿y mi caso?", thread_ts="100.1")).aside
    assert not message(events.message("¿y mi caso?", thread_ts="100.1")).aside


def test_where_every_message_is_for_us_it_comes_once() -> None:
    assert message(events.message("se dañó", channel="C0OPEN")).text == "se dañó"
    assert message(events.message(f"<@{ME}> se dañó", channel="C0OPEN")).text == "se dañó"
    assert isinstance(read(events.mention("se dañó", channel="C0OPEN")), Ignored)


def test_the_assistant_pane_is_a_thread_of_its_own() -> None:
    first = message(events.message("hola", thread_ts="90.1"))
    assert first.thread == "D0ANA:90.1" and first.extra["pane"]
    assert message(events.message("otra", thread_ts="91.1")).thread == "D0ANA:91.1"


def test_a_person_from_another_workspace_has_that_workspace_in_the_address() -> None:
    assert message(events.mention("hola", user="U0EXT", user_team="T0ELSE")).sender.value == "T0ELSE:U0EXT"


@pytest.mark.parametrize(
    "fields",
    [
        {"bot_id": "B0BOT"},
        {"user": ME},
        {"subtype": "bot_message", "bot_id": "B1"},
        {"subtype": "message_deleted", "deleted_ts": "1.1"},
        {"subtype": "channel_join"},
        {"text": ""},
    ],
)
def test_echoes_deletions_and_joins_are_passed_over(fields: dict[str, str]) -> None:
    given: dict[str, str] = {"text": "hola", **fields}
    assert isinstance(read(events.message(given.pop("text"), **given)), Ignored)


def test_an_edit_is_a_revision_of_the_message() -> None:
    new = {"user": "U0ANA", "ts": "5.1", "text": "pedido 48213", "edited": {"user": "U0ANA", "ts": "6.0"}, "team": TEAM}
    body = events.event(
        type="message",
        subtype="message_changed",
        channel="D0ANA",
        channel_type="im",
        message=new,
        previous_message={**new, "text": "pedido 48"},
    )
    edited = read(body)
    assert isinstance(edited, Edited)
    assert (edited.original, edited.text, edited.sender.value) == ("D0ANA:5.1", "pedido 48213", f"{TEAM}:U0ANA")
    unfurled = json.loads(json.dumps(body))
    unfurled["event"]["previous_message"]["text"] = "pedido 48213"
    assert isinstance(read(unfurled), Ignored)


def test_a_file_that_is_new_in_a_message_comes_with_the_edit_and_a_deleted_one_is_kept() -> None:
    """Slack marks no change of files as an edit."""
    files: list[dict[str, Any]] = [
        {"id": one, "name": f"{one}.pdf", "mimetype": "application/pdf", "size": 9} for one in ("F1", "F2")
    ]
    old, new = files
    said = {"user": "U0ANA", "ts": "5.1", "text": "la factura", "team": TEAM}

    def changed(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Arrival:
        told: dict[str, Any] = {"channel": "D0ANA", "channel_type": "im", "event_ts": "7.0"}
        told |= {"message": {**said, "files": after}, "previous_message": {**said, "files": before}}
        return read(events.event(type="message", subtype="message_changed", **told))

    edited = changed([old], [new])
    assert isinstance(edited, Edited) and edited.media is not None
    assert (edited.text, edited.sent_at.timestamp()) == ("la factura", 7.0)
    assert [(one.ref, one.name) for one in edited.media] == [("F2", "F2.pdf")]
    assert isinstance(changed([old], [{**old, "mode": "tombstone"}]), Ignored)
    assert isinstance(changed([old], [old]), Ignored)


def test_files_come_with_a_reference_and_hidden_ones_not_at_all() -> None:
    shown = {"id": "F1", "name": "foto.jpg", "mimetype": "image/jpeg", "size": 9, "file_access": "check_file_info"}
    got = message(events.message("", subtype="file_share", files=[shown, {"id": "F2", "mode": "tombstone"}]))
    assert [(one.ref, one.name, one.size) for one in got.media] == [("F1", "foto.jpg", 9)]


def test_a_pressed_button_of_a_message_is_a_choice() -> None:
    got = read(events.press("choice:0", "solved:yes"), form=True)
    assert isinstance(got, Inbound)
    assert (got.pressed, got.text, got.thread) == ("solved:yes", "Sí", "D0ANA")
    assert got.replies_to == ("D0ANA:1772461800.000001",)


def test_a_thumb_on_a_message_of_ours_says_that_it_was_read() -> None:
    item = {"type": "message", "channel": "D0ANA", "ts": "7.1"}
    got = read(events.event(type="reaction_added", user="U0ANA", reaction="+1", item_user=ME, item=item))
    assert isinstance(got, DeliveryReport)
    assert (got.provider_id, got.state) == ("D0ANA:7.1", "read")


def test_a_button_of_a_card_a_form_and_words_below_a_card_are_acts_of_an_agent() -> None:
    pressed = act(events.press("desk:take", "take", user="U0PEDRO", channel=DESK, ts="8.1"), form=True)
    assert (pressed.verb, pressed.who, pressed.thread) == ("take", "U0PEDRO", f"{DESK}:8.1")
    assert pressed.handle
    form = act(events.form("note", pressed.thread, "llamar a bodega", user="U0PEDRO"), form=True)
    assert (form.verb, form.text, form.thread) == ("note", "llamar a bodega", pressed.thread)
    words = act(events.message("Ya va", user="U0PEDRO", channel=DESK, thread_ts="8.1"))
    assert (words.verb, words.text, words.thread) == ("say", "Ya va", pressed.thread)


def test_agents_among_themselves_are_not_read() -> None:
    assert isinstance(read(events.message("buenos días", user="U0PEDRO", channel=DESK)), Ignored)
    assert isinstance(read(events.message("eco", user=ME, channel=DESK, thread_ts="8.1", bot_id="B0BOT")), Ignored)


def test_marks_are_read_as_people_see_them() -> None:
    assert plain("<@U1|ana> en <#C1|ventas>, <https://a.co/x|aquí> <mailto:a@b.co|a@b.co> <!here>") == (
        "@ana en #ventas, aquí (https://a.co/x) a@b.co @here"
    )
