"""`acuse templates` against a stand-in of Twilio on loopback."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demo.serving import serving
from demo.twilio_api import TwilioApi
from main import app
from tests.channels.at_twilio import ACCOUNT, TOKEN, a_twilio

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
def twilio() -> Iterator[tuple[TwilioApi, str]]:
    """The stand-in behind a socket, in a loop of its own: the command runs another."""
    stand_in, ready = a_twilio(), Future[tuple[str, Callable[[], object]]]()

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        async with serving(stand_in.app) as url:
            ready.set_result((url, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    url, end = ready.result(30)
    yield stand_in, url
    end()
    thread.join(30)


def command(tmp_path: Path, base: str, *words: str, token: str = TOKEN) -> tuple[int, str]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(account=ACCOUNT, base=base), encoding="utf-8")
    env = {"ACUSE_CONFIG": str(config), "ACUSE_DATA": str(tmp_path / "data"), "TOKEN_OF_TWILIO": token}
    done = CliRunner(env=env).invoke(app, ["templates", *words])
    return done.exit_code, done.output


def test_push_submits_and_status_tells_what_to_do(tmp_path: Path, twilio: tuple[TwilioApi, str]) -> None:
    stand_in, base = twilio
    code, said = command(tmp_path, base, "status")
    assert code == 0 and "linea" in said and "caso_cierre" in said and "missing" in said
    assert command(tmp_path, base, "push")[0] == 0
    assert command(tmp_path, base, "push")[0] == 0
    assert len(stand_in.content.contents) == 33 and stand_in.faults == []
    stand_in.content.decide()
    code, said = command(tmp_path, base, "status", "--account", "linea")
    assert code == 0 and said.count("approved") == 33
    next(iter(stand_in.content.contents.values()))["approval_requests"]["status"] = "rejected"
    assert command(tmp_path, base, "status")[0] == 1


def test_faults_are_one_sentence(tmp_path: Path, twilio: tuple[TwilioApi, str]) -> None:
    code, said = command(tmp_path, twilio[1], "status", "--account", "webchat")
    assert code == 2 and "whatsapp.md" in said
    code, said = command(tmp_path, twilio[1], "status", token="wrong")
    assert code == 2 and "credentials" in said and "Traceback" not in said
    code, said = command(tmp_path, "http://127.0.0.1:9", "push")
    assert code == 2 and "acuse check" in said
