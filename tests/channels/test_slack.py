"""Slack at the edge of the network: what leaves and where to, faults by their remedy, files, the check, Socket Mode."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.errors import SlackClientError

from channels.channel import Address, Button, ChannelError, File, Inbound, Media, Outbound, Unavailable, Undeliverable
from channels.slack import Settings, Slack, SlackSocket
from channels.slack_errors import fault
from demo.provider import Failing, Picture
from demo.slack_api import SlackApi
from tests.channels.at_slack import BOT, DESK, ME, SHARED, TEAM, AtSlack, Events, a_slack, account, now, signed

ANA = Address("slack", f"{TEAM}:U0ANA")
events = Events()


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackApi]:
    async with a_slack() as made:
        yield made
        assert made.faults == []


@pytest_asyncio.fixture
async def channel(slack: SlackApi) -> AsyncIterator[Slack]:
    made = account(slack.url, socket=False, agents_channel=DESK)
    yield made
    await made.close()


def out(text: str = "Recibido", **fields: Any) -> Outbound:
    return Outbound(**{"key": "k1", "to": ANA, "text": text, **fields})


async def test_an_answer_goes_into_the_thread_that_was_written_in(slack: SlackApi, channel: Slack) -> None:
    sent = await channel.send(out(replies_to=(f"{SHARED}:100.1", f"{SHARED}:101.1:100.1")))
    (call,) = slack.asked("chat.postMessage")
    assert (call["channel"], call["thread_ts"]) == (SHARED, "100.1")
    assert sent == f"{SHARED}:{sent.split(':')[1]}:100.1"


async def test_in_a_direct_message_there_is_no_thread_but_in_the_pane_there_is(slack: SlackApi, channel: Slack) -> None:
    await channel.send(out(replies_to=("D0ANA:5.1",)))
    await channel.send(out(replies_to=("D0ANA:6.1:5.9",)))
    assert [call.get("thread_ts") for call in slack.asked("chat.postMessage")] == [None, "5.9"]


async def test_who_has_not_written_is_written_to_directly(slack: SlackApi, channel: Slack) -> None:
    assert (await channel.send(out())).startswith("D0ANA:")
    await channel.send(out(key="k2"))
    assert len(slack.asked("conversations.open")) == 1


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel"])
async def test_where_the_channel_is_closed_to_us_the_person_is_reached_directly(
    slack: SlackApi, channel: Slack, error: str
) -> None:
    slack.errors.append(("chat.postMessage", error))
    assert (await channel.send(out(replies_to=(f"{SHARED}:100.1",)))).startswith("D0ANA:")


async def test_buttons_stand_below_a_text_that_is_there_for_every_reader(slack: SlackApi, channel: Slack) -> None:
    await channel.send(out("a < b & *c*", buttons=(Button("Sí", "solved:yes"), Button("x" * 90, "p" * 64))))
    (call,) = slack.asked("chat.postMessage")
    assert call["text"] == "a &lt; b &amp; *c*" and "solved:yes" in str(call["blocks"])


REFUSALS = {
    "user_not_found": (Undeliverable, "address"),
    "user_disabled": (Undeliverable, "address"),
    "cannot_dm_bot": (Undeliverable, "address"),
    "channel_not_found": (Undeliverable, "address"),
    "is_archived": (Undeliverable, "address"),
    "not_in_channel": (Undeliverable, "address"),
    "msg_too_long": (Undeliverable, "message"),
    "invalid_blocks": (Undeliverable, "message"),
    "no_text": (Undeliverable, "message"),
    "users_list_not_supplied": (Undeliverable, "message"),
    "messages_tab_disabled": (Unavailable, None),
    "account_inactive": (Unavailable, None),
    "invalid_auth": (Unavailable, None),
    "token_revoked": (Unavailable, None),
    "missing_scope": (Unavailable, None),
    "internal_error": (Unavailable, None),
    "ratelimited": (Unavailable, None),
}


@pytest.mark.parametrize("error", REFUSALS)
async def test_p15_a_refusal_is_named_by_its_remedy(slack: SlackApi, channel: Slack, error: str) -> None:
    kind, means = REFUSALS[error]
    slack.errors.append(("chat.postMessage", error))
    with pytest.raises(ChannelError) as caught:
        await channel.send(out())
    assert type(caught.value) is kind and error.replace("ratelimited", "too many") in str(caught.value)
    assert getattr(caught.value, "means", None) == means
    assert "xoxb" not in repr(caught.value) and caught.value.__cause__ is None


async def test_a_switch_of_the_operators_closes_nobodys_address_and_says_where_it_is(
    slack: SlackApi, channel: Slack
) -> None:
    slack.errors.append(("chat.postMessage", "messages_tab_disabled"))
    with pytest.raises(Unavailable, match="App Home") as caught:
        await channel.send(out())
    assert caught.value.retry_after == timedelta(minutes=5)


async def test_a_busy_slack_says_how_long_and_we_do_not_wait_here(slack: SlackApi, channel: Slack) -> None:
    slack.fail(Failing.BUSY, times=1)
    with pytest.raises(Unavailable) as caught:
        await channel.send(out())
    assert caught.value.retry_after == timedelta(seconds=7)
    assert slack.asked("chat.postMessage") == []


async def test_a_slack_that_is_away_is_unavailable() -> None:
    async with a_slack() as slack:
        channel = account(slack.url, socket=False)
        slack.fail(Failing.DOWN)
        with pytest.raises(Unavailable):
            await channel.send(out())
    with pytest.raises(Unavailable) as caught:
        await channel.send(out())
    assert not caught.value.may_have_arrived
    await channel.close()


async def test_a_call_that_breaks_off_may_have_arrived(slack: SlackApi, channel: Slack) -> None:
    await channel.send(out())
    slack.breaks = 1
    with pytest.raises(Unavailable) as caught:
        await channel.send(out())
    assert caught.value.may_have_arrived and len(slack.asked("chat.postMessage")) == 2


async def test_a_room_that_could_not_be_opened_held_no_message(slack: SlackApi, channel: Slack) -> None:
    """Nothing was shown to anybody, so a second attempt repeats nothing."""
    slack.breaks = 1
    with pytest.raises(Unavailable) as caught:
        await channel.send(out())
    assert len(slack.asked("conversations.open")) == 1 and slack.asked("chat.postMessage") == []
    assert not caught.value.may_have_arrived and "arrived" not in str(caught.value)
    await channel.send(out())
    assert len(slack.asked("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("error", "arrived"),
    [
        (TimeoutError(), True),
        (aiohttp.SocketTimeoutError(), True),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientOSError(), True),
        (aiohttp.ClientPayloadError(), True),
        (aiohttp.ConnectionTimeoutError(), False),
        (SlackClientError(), False),
    ],
)
def test_only_what_never_left_did_surely_not_arrive(error: Exception, arrived: bool) -> None:
    found = fault(error)
    assert isinstance(found, Unavailable) and found.may_have_arrived is arrived


async def test_files_go_out_and_a_second_attempt_does_not_repeat_them(
    slack: SlackApi, channel: Slack, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"%PDF-1.7")
    message = out(files=(File("guia.pdf", "application/pdf", tmp_path / "a"),), replies_to=(f"{SHARED}:100.1",))
    slack.errors.append(("chat.postMessage", "internal_error"))
    with pytest.raises(Unavailable):
        await channel.send(message)
    await channel.send(message)
    (completed,) = slack.asked("files.completeUploadExternal")
    assert (completed["channel_id"], completed["thread_ts"]) == (SHARED, "100.1")
    assert [one.content for one in slack.files.values()] == [b"%PDF-1.7"]
    assert len(slack.asked("chat.postMessage")) == 1


async def fetched(channel: Slack, ref: str = "F1") -> bytes:
    return b"".join([piece async for piece in channel.fetch(Media(ref=ref, name="a"))])


async def test_a_file_is_fetched_with_our_token(slack: SlackApi, channel: Slack) -> None:
    slack.keep(Picture("a.jpg", "image/jpeg", b"x" * 200_000), "F1")
    assert await fetched(channel) == b"x" * 200_000


async def test_a_page_instead_of_a_file_is_a_missing_scope(slack: SlackApi, channel: Slack) -> None:
    slack.keep(Picture("a.jpg", "image/jpeg", b"x"), "F1")
    slack.readable = False
    with pytest.raises(Undeliverable, match="files:read"):
        await fetched(channel)


@pytest.mark.parametrize(
    "address", ["https://evil.example/files/F1", "http://files.slack.com/F1", "https://slack.com.evil.example/F1", ""]
)
async def test_our_token_goes_to_slack_and_to_nobody_else(slack: SlackApi, channel: Slack, address: str) -> None:
    slack.keep(Picture("a.jpg", "image/jpeg", b"x"), "F1", elsewhere=address)
    with pytest.raises(Undeliverable, match="not kept at Slack"):
        await fetched(channel)


async def test_the_check_names_what_is_missing(slack: SlackApi, channel: Slack) -> None:
    assert (await channel.check()).ok
    slack.rooms[DESK].member = False
    health = await channel.check()
    assert not health.ok and "/invite" in (health.remedy or "")
    slack.rooms[DESK].member, slack.scopes = True, "chat:write"
    health = await channel.check()
    assert not health.ok and "files:read" in health.detail
    slack.errors.append(("auth.test", "invalid_auth"))
    health = await channel.check()
    assert not health.ok and "token" in (health.remedy or "")


async def test_a_name_and_language_are_asked_for_and_their_absence_stops_nothing(
    slack: SlackApi, channel: Slack
) -> None:
    slack.person("U0ANA", "Ana Ruiz", locale="pt-BR")
    plain = Inbound(key="1", sender=ANA, text="oi", sent_at=now())
    assert ((known := await channel.introduce(plain)).name, known.language) == ("Ana Ruiz", "pt")
    slack.people.clear()
    other = Inbound(key="2", sender=Address("slack", f"{TEAM}:U0NN"), text="oi", sent_at=now())
    assert await channel.introduce(other) == other


async def test_who_is_not_of_our_workspace_has_no_email_here(slack: SlackApi, channel: Slack) -> None:
    slack.person("U0PEDRO", "Pedro", email="Pedro@nube.example")
    assert (await channel.colleague("U0PEDRO")).email == "pedro@nube.example"
    odd: dict[str, dict[str, Any]] = {
        "U1": {"team_id": "T0ELSE"},
        "U2": {"is_stranger": True},
        "U3": {"is_email_confirmed": False},
        "U4": {"is_ultra_restricted": True},
        "U5": {"deleted": True},
    }
    for user, fields in odd.items():
        slack.person(user, "Pedro", email="pedro@nube.example", **fields)
        assert (await channel.colleague(user)).email is None


async def test_a_pressed_button_goes_and_the_choice_stays(slack: SlackApi, channel: Slack) -> None:
    sent = await channel.send(out("¿Quedó resuelto?", buttons=(Button("Sí", "solved:yes"),)))
    pressed = pressed_in(channel, events.press("choice:0", "solved:yes", ts=sent.partition(":")[2]))
    await channel.settle(pressed)
    (call,) = slack.asked("chat.update")
    assert "✓ Sí" in call["text"] and "actions" not in str(call["blocks"])
    slack.errors.append(("chat.update", "message_not_found"))
    await channel.settle(pressed)


def pressed_in(channel: Slack, body: dict[str, Any]) -> Inbound:
    (arrival,) = channel.read(signed(body, form=True))
    assert isinstance(arrival, Inbound)
    return arrival


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ({"bot_token": "xoxp-1", "app_token": "xapp-1"}, "bot_token"),
        ({"bot_token": "xoxb-1", "app_token": "xoxb-1"}, "app_token"),
        ({"bot_token": "xoxb-1"}, "signing_secret"),
        ({"bot_token": "xoxb-1", "signing_secret": "s", "agents_channel": "#soporte"}, "channel's id"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(section: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Settings.model_validate(section)


# ---- Socket Mode


@pytest_asyncio.fixture
async def socket() -> AsyncIterator[AtSlack]:
    stand_in = AtSlack()
    await stand_in.open()
    yield stand_in
    await stand_in.channel.close()
    await stand_in.close()


@asynccontextmanager
async def listening(socket: AtSlack) -> AsyncIterator[AsyncIterator[Any]]:
    """As a process that ends with the block, whatever it was doing."""
    listener = socket.channel.listen(None)
    assert isinstance(listener, AsyncGenerator)
    async with aclosing(listener):
        yield listener


async def soon(listener: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(30):
        return await anext(listener)


async def test_what_was_not_committed_comes_again(socket: AtSlack) -> None:
    """A process that dies after the message arrived and before it is kept loses nothing."""
    await socket.arrive("uno")
    async with listening(socket) as listener:
        first = await soon(listener)
    assert socket.confirmed() == 0
    async with listening(socket) as listener:
        assert (await soon(listener)).key == first.key


async def test_a_connection_that_breaks_is_made_anew_and_nothing_is_lost(socket: AtSlack) -> None:
    await socket.arrive("uno")
    async with listening(socket) as listener:
        assert (await soon(listener)).text == "uno"
        await socket.socket.cut()
        await socket.arrive("dos")
        # "uno" could not be confirmed on the dead connection: it comes again, and its key says so
        texts = [(await soon(listener)).text for _ in range(2)]
    assert set(texts) <= {"uno", "dos"} and "dos" in texts


@pytest.mark.parametrize("error", ["invalid_auth", "internal_error"])
async def test_who_is_not_let_in_says_so_and_does_not_pretend_to_listen(socket: AtSlack, error: str) -> None:
    socket.slack.errors.append(("apps.connections.open", error))
    async with listening(socket) as listener:
        with pytest.raises(Unavailable, match=error):
            await soon(listener)


async def test_the_check_tries_the_way_in(socket: AtSlack) -> None:
    assert (await socket.channel.check()).ok
    socket.slack.errors.append(("apps.connections.open", "invalid_auth"))
    health = await socket.channel.check()
    assert not health.ok and "token" in (health.remedy or "")


async def test_presses_and_forms_come_over_the_socket_too(socket: AtSlack) -> None:
    assert isinstance(socket.channel, SlackSocket)
    await socket.socket.bring(events.press("choice:0", "solved:yes"), kind="interactive")
    async with listening(socket) as listener:
        assert (await soon(listener)).pressed == "solved:yes"


async def test_our_own_echo_is_confirmed_and_goes_nowhere(socket: AtSlack) -> None:
    await socket.socket.bring(events.message("eco", user=ME, bot_id=BOT))
    await socket.arrive("persona")
    async with listening(socket) as listener:
        while not isinstance(arrival := await soon(listener), Inbound):
            pass
    assert arrival.text == "persona" and socket.confirmed() == 1
