"""Webhooks as an operator has them: in config.yaml, in a running Acuse, in /health and in `acuse check`."""

import hashlib
import hmac
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from main import app
from tests.main.house import CONFIG, House, Visitor, free_port, until

KEY = b"a key of thirty-two bytes, fixed"
SECRET = "whsec_" + b64encode(KEY).decode()


@contextmanager
def receiving(port: int, taken: list[dict[str, Any]]) -> Iterator[None]:
    """Somebody's CRM, which checks the signature and keeps what it was told."""

    class Crm(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
            mark = "v1," + b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
            right = self.headers["webhook-signature"] == mark
            if right and abs(time.time() - int(self.headers["webhook-timestamp"])) < 300:
                taken.append(json.loads(body))
            self.send_response(204 if right else 401)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """It keeps quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Crm)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_P17_a_running_acuse_tells_a_receiver_that_was_away(a_house: Callable[..., House]) -> None:
    port = free_port()
    webhook = f"{{name: crm, url: 'http://127.0.0.1:{port}/acuse', secret: '${{CRM_SECRET}}', allow_private: true}}"
    house = a_house(config=f"{CONFIG}webhooks: [{webhook}]\n", CRM_SECRET=SECRET)
    house.serve()
    Visitor(house).say("Llegó rota la licuadora del pedido 48213, quiero que me la cambien")

    def state() -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{house.address}/health", timeout=10).json()["webhooks"]["crm"]
        return found

    until(lambda: state()["error"], what="the failure in /health")
    check = house.start("check")
    assert check.ended() == 1, check.said
    assert "✗ webhook crm: nothing delivered yet;" in check.said
    assert "it cannot be reached; see whether the receiver runs" in check.said
    taken: list[dict[str, Any]] = []
    with receiving(port, taken):
        again = house.start("webhooks", "retry", "crm")
        assert again.ended() == 0, again.said
        assert "crm: 0 events that were given up wait again" in again.said
        until(lambda: len(taken) >= 3 and state()["waiting"] == 0, what="the events")
    assert taken[0]["type"] == "case.opened"
    assert [one["sequence"] for one in taken] == sorted({one["sequence"] for one in taken})
    assert state()["error"] is None and state()["delivered_at"]
    said = house.runs[0].said + house.runs[0].complained + check.said
    assert SECRET[6:] not in said and "licuadora" not in said


def test_a_receiver_that_is_not_configured(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    house = House(place, CONFIG, None)
    for name in ("ACUSE_DATA", "ACUSE_CONFIG", "PORT"):
        monkeypatch.setenv(name, house.env[name])
    result = CliRunner().invoke(app, ["webhooks", "retry", "erp"])
    assert (result.exit_code, result.output.strip()) == (
        2,
        "There is no webhook erp in config.yaml; there is: none.",
    )
