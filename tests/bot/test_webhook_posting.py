"""One POST to a receiver: signed as Standard Webhooks says, to it and nobody else, and nothing told of it after."""

import logging
import re
import shutil
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.webhooks import signing
from bot.webhooks.guard import PrivateAddress
from bot.webhooks.posting import Post, Refused
from bot.webhooks.settings import Webhook
from tests.bot.receiver import KEY, OTHER_KEY, OTHER_SECRET, SECRET, Receiver, a_receiver
from tests.conftest import Clock

BODY = b'{"type":"case.opened"}'


def settings(receiver: Receiver, **fields: Any) -> Webhook:
    given = {"name": "crm", "url": receiver.url, "secret": SECRET, "allow_private": True, "timeout_seconds": 1}
    return Webhook.model_validate(given | fields)


async def send(webhook: Webhook, clock: Clock, **fields: Any) -> Refused | None:
    post = Post(webhook, now=clock, version="1", **fields)
    try:
        return await post.send("event-1", BODY)
    finally:
        await post.close()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example that the standard's own libraries are tested with."""
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signing.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_while_the_secret_is_changed_both_sign(clock: Clock) -> None:
    receiver = a_receiver()
    async with receiver.up():
        assert await send(settings(receiver), clock) is None
        assert await send(settings(receiver, secret_next=OTHER_SECRET), clock) is None
    before, after = receiver.taken
    assert before.signed_by(KEY) and not before.signed_by(OTHER_KEY)
    assert after.signed_by(KEY) and after.signed_by(OTHER_KEY)
    assert before.headers["webhook-timestamp"] == str(int(clock().timestamp()))
    assert before.headers["webhook-id"] == before.headers["idempotency-key"] == "event-1"
    assert (before.body, before.headers["content-type"]) == (BODY, "application/json")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(clock: Clock, status: int) -> None:
    receiver, elsewhere = a_receiver(), a_receiver()
    receiver.answer, receiver.extra = status, f"Location: {elsewhere.url}\r\n"
    async with receiver.up(), elsewhere.up():
        refused = await send(settings(receiver), clock)
    assert refused is not None and "redirects are not followed" in refused.remedy
    assert elsewhere.calls == []


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [(503, "90", 90), (429, "999999", 3600), (500, "90", None), (503, "soon", None), (503, "-5", None)],
)
async def test_a_receiver_may_ask_for_a_pause(clock: Clock, status: int, header: str, wait: int | None) -> None:
    receiver = a_receiver()
    receiver.answer, receiver.extra = status, f"Retry-After: {header}\r\n"
    async with receiver.up():
        refused = await send(settings(receiver), clock)
    assert refused is not None
    assert refused.retry_after == (None if wait is None else timedelta(seconds=wait))


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fd00::1",
        "224.0.0.1",
        "0.0.0.0",
        "100.64.0.9",
    ],
)
async def test_a_name_that_leads_into_a_private_network_is_not_called(clock: Clock, address: str) -> None:
    """However innocent the name: it is looked at when we connect, and what was looked at is connected to."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [address]

    webhook = settings(a_receiver(), url="https://crm.example.com/acuse", allow_private=False)
    refused = await send(webhook, clock, resolve=resolve)
    assert refused is not None
    assert refused.problem == "the name leads into a private network"
    assert asked == ["crm.example.com"]


async def test_where_it_is_allowed_a_name_of_the_own_network_is_called(clock: Clock) -> None:
    receiver = a_receiver()

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    url = f"http://crm.intern:{receiver.port}/acuse"
    async with receiver.up():
        assert await send(settings(receiver, url=url), clock, resolve=resolve) is None
    assert receiver.taken[0].headers["host"] == f"crm.intern:{receiver.port}"


async def test_no_socket_of_this_machine_is_called() -> None:
    from bot.webhooks.guard import Guarded

    with pytest.raises(PrivateAddress):
        await Guarded(allow_private=True).connect_unix_socket("/run/docker.sock")


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A receiver's, which no authority knows; and the file that makes it known."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: apt-get install openssl")
    key, file = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key)]
    subprocess.run([*made, "-out", str(file), *subject], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file, key)
    return tls, file


async def test_a_certificate_must_be_trusted(clock: Clock, tmp_path: Path) -> None:
    tls, file = certificate(tmp_path)
    receiver = a_receiver()
    url = receiver.url.replace("http:", "https:")
    async with receiver.up(tls):
        refused = await send(settings(receiver, url=url), clock)
        assert refused is not None and "its certificate is not trusted" in refused.problem
        assert receiver.calls == []
        assert await send(settings(receiver, url=url, ca_file=str(file)), clock) is None
        mistaken = url.replace("127.0.0.1", "localhost")
        refused = await send(settings(receiver, url=mistaken, ca_file=str(file)), clock)
        assert refused is not None and "its certificate is not trusted" in refused.problem


@pytest.mark.parametrize(
    ("answer", "seconds", "problem"), [(200, 3, "no answer in time"), (0, 0, "the connection broke")]
)
async def test_silence_and_a_broken_connection_are_failures(
    clock: Clock, answer: int, seconds: float, problem: str
) -> None:
    receiver = a_receiver()
    receiver.answer, receiver.seconds = answer, seconds
    async with receiver.up():
        refused = await send(settings(receiver), clock)
    assert refused is not None and refused.problem == problem


async def test_nothing_of_an_answer_nor_any_secret_is_written_down(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = a_receiver()
    receiver.answer, receiver.words = 500, b"Error while saving: Ana, licuadora, 48213"
    async with receiver.up():
        refused = await send(settings(receiver), clock)
    for ours in [one.getMessage() for one in caplog.records if one.name.startswith("bot.")] + [str(refused)]:
        assert not re.search(r"licuadora|whsec_|v1,|/acuse", ours), ours
    assert "licuadora" not in caplog.text and SECRET[6:] not in caplog.text
