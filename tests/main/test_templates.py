"""`acuse templates` against a stand-in of Twilio on loopback."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from main import app
from tests.channels.twilio_standin import ACCOUNT, TOKEN, TwilioStandIn

CONFIG = """
company: {{name: Nube, bot_name: Clara, country: CO, timezone: America/Bogota}}
channels:
  webchat: {{}}
  linea:
    kind: whatsapp
    account_sid: {account}
    auth_token: ${{TOKEN_OF_TWILIO}}
    from_number: "+14155238886"
    api_base_url: {base}
"""


@pytest.fixture
def twilio() -> Iterator[tuple[TwilioStandIn, str]]:
    """The stand-in behind a socket."""
    stand_in = TwilioStandIn()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            url = f"http://{self.headers['host']}{self.path}"
            request = httpx.Request(self.command, url, headers=dict(self.headers), content=self.rfile.read(length))
            answer = asyncio.run(stand_in.handle_async_request(request))
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stand_in, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def command(tmp_path: Path, base: str, *words: str, token: str = TOKEN) -> tuple[int, str]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(account=ACCOUNT, base=base), encoding="utf-8")
    env = {"ACUSE_CONFIG": str(config), "ACUSE_DATA": str(tmp_path / "data"), "TOKEN_OF_TWILIO": token}
    done = CliRunner(env=env).invoke(app, ["templates", *words])
    return done.exit_code, done.output


def test_push_submits_and_status_tells_what_to_do(tmp_path: Path, twilio: tuple[TwilioStandIn, str]) -> None:
    stand_in, base = twilio
    code, said = command(tmp_path, base, "status")
    assert code == 0 and "linea" in said and "caso_cierre" in said and "missing" in said
    assert command(tmp_path, base, "push")[0] == 0
    assert command(tmp_path, base, "push")[0] == 0
    assert len(stand_in.contents) == 30 and stand_in.faults == []
    stand_in.approve_all()
    code, said = command(tmp_path, base, "status", "--account", "linea")
    assert code == 0 and said.count("approved") == 30
    next(iter(stand_in.contents.values()))["approval_requests"]["status"] = "rejected"
    assert command(tmp_path, base, "status")[0] == 1


def test_faults_are_one_sentence(tmp_path: Path, twilio: tuple[TwilioStandIn, str]) -> None:
    code, said = command(tmp_path, twilio[1], "status", "--account", "webchat")
    assert code == 2 and "whatsapp.md" in said
    code, said = command(tmp_path, twilio[1], "status", token="wrong")
    assert code == 2 and "credentials" in said and "Traceback" not in said
    code, said = command(tmp_path, "http://127.0.0.1:9", "push")
    assert code == 2 and "acuse check" in said
