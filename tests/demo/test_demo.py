"""`make demo` as a newcomer meets it: the page in a real browser, a provider that fails, and Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from demo.house import MARK, Place
from installation import Remedy
from tests.main.house import ROOT, free_port, until

CHROMIUM = Path("/usr/bin/chromium")
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
CODE = re.compile(r"(PQR|FEL)-[0-9A-HJKMNP-TV-Z]{7}")
PATIENCE = 60_000  # milliseconds on a machine that does ten other things


@dataclass
class Demo:
    """The running command."""

    process: subprocess.Popen[bytes]
    page: str
    acuse: str
    folder: Path
    said: Path

    def text(self) -> str:
        """What it printed so far."""
        return self.said.read_text("utf-8", "replace")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """As `make demo` starts it, with the fortnight: what that leaves behind is where a newcomer begins."""
    place = Path(tempfile.mkdtemp(prefix="acuse-demo-"))
    place.chmod(0o711)  # as root the database's own user must get through
    said, folder, port, acuse = place / "said", place / "demo", free_port(), free_port()
    environment = {name: one for name, one in os.environ.items() if name not in ("PORT", "DATABASE_URL", "ACUSE_DATA")}
    arguments = ["--port", str(port), "--acuse-port", str(acuse), "--data", str(folder)]
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    made = Demo(process, f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{acuse}", folder, said)

    def serves() -> bool:
        assert process.poll() is None, made.text()
        return "Stop it" in made.text()

    try:
        until(serves, 150, "the demo")
        yield made
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not there: apt install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The page; at the end the browser must have complained about nothing."""
    context = browser.new_context(viewport=DESKTOP, locale="es-CO")
    opened = context.new_page()
    told: list[str] = []
    opened.on("console", lambda line: told.append(line.text) if line.type == "error" else None)
    opened.on("pageerror", lambda fault: told.append(str(fault)))
    opened.goto(demo.page, wait_until="domcontentloaded")
    opened.set_default_timeout(PATIENCE)
    yield opened
    context.close()
    assert told == []


def write(page: Page, channel: str, person: str, text: str) -> None:
    page.get_by_label(f"Escribir por {channel} como {person}").fill(text)
    page.get_by_label(f"Enviar por {channel}", exact=True).click()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "channel", "person", "sign"),
    [
        ("telegram", "Telegram", "Rosa", "Telegram no confirma más"),
        ("email", "Correo", "Luis Ortega", "Recibido"),
        ("whatsapp", "WhatsApp", "Ana Torres", "Leído"),
    ],
)
def test_a_customer_writes_and_has_a_code(
    demo: Demo, page: Page, kind: str, channel: str, person: str, sign: str
) -> None:
    write(page, channel, person, "La licuadora que compré llegó rota, pedido 48213.")
    screen = page.locator(f"#screen-{kind}")
    expect(screen).to_contain_text("Acuse lo tiene", timeout=PATIENCE)
    expect(screen).to_contain_text(CODE, timeout=PATIENCE)
    expect(screen).to_contain_text(sign, timeout=PATIENCE)
    expect(page.locator("#diary")).to_contain_text(f"Caso abierto · {channel}", timeout=PATIENCE)


def test_all_channels_are_well_after_the_fortnight(demo: Demo) -> None:
    """Nothing that the fortnight left keeps a listener from its provider."""
    until(lambda: _ill(demo) == {}, 20, f"the listeners: {_ill(demo)}")
    said = (demo.folder / "acuse.log").read_text("utf-8")
    assert "again in" not in said and "Traceback" not in said, said[-2000:]
    assert "WARNING" not in demo.text() and "taken for a machine" not in demo.text()


def _ill(demo: Demo) -> dict[str, object]:
    told = httpx.get(f"{demo.acuse}/health").json()
    return {name: one for name, one in told["parts"].items() if one.get("error")}


@pytest.mark.timeout(300)
def test_the_web_chat_is_acuses_own_page(demo: Demo, page: Page) -> None:
    chat = page.frame_locator("#dev-webchat iframe")
    chat.get_by_label("Tu mensaje").fill("Deberían dejar pagar con QR")
    chat.get_by_role("button", name="Enviar").click()
    expect(chat.locator("body")).to_contain_text(CODE, timeout=PATIENCE)
    expect(page.locator("#diary")).to_contain_text("Caso abierto · Chat web", timeout=PATIENCE)


@pytest.mark.timeout(300)
def test_a_provider_that_is_down_loses_nothing(demo: Demo, page: Page) -> None:
    page.get_by_label("Proveedor, SMS").select_option("down")
    expect(page.locator("#dev-sms .ph")).to_have_class(re.compile("down"))
    expect(page.locator("#screen-sms")).to_contain_text("Está caído")
    write(page, "SMS", "Ana Torres", "mi pedido no llegó, pedido 48214")
    page.get_by_label("Proveedor, SMS").select_option("not")
    expect(page.locator("#screen-sms")).to_contain_text(CODE, timeout=PATIENCE)
    expect(page.locator("#screen-sms")).to_contain_text("Entregado", timeout=PATIENCE)


@pytest.mark.timeout(300)
def test_agents_work_in_slack(demo: Demo, page: Page) -> None:
    write(page, "Slack", "Inés Prada", "quiero hablar con una persona")
    desk = page.locator("#screen-slackdesk")
    expect(desk).to_contain_text(
        "│ quiero hablar con una persona", timeout=PATIENCE
    )  # after the cards of the fortnight
    desk.get_by_role("button", name="Tomar", exact=True).last.click(timeout=PATIENCE)
    write(page, "Slack, tu equipo", "Pedro Salas", "Hola, Inés. Ya lo miro.")
    expect(page.locator("#screen-slack")).to_contain_text("Hola, Inés. Ya lo miro.", timeout=PATIENCE)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["390", "1440"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_for_everybody(demo: Demo, page: Page, size: ViewportSize, scheme: str) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.reload()
    page.locator("#dev-telegram summary").click()
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.timeout(300)
def test_it_works_without_a_script(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(java_script_enabled=False, locale="pt-BR")
    plain = context.new_page()
    plain.goto(demo.page, wait_until="domcontentloaded")
    expect(plain.locator("h1")).to_have_text("Escreva como cliente. Veja o que sua equipe vê.")
    plain.get_by_label("Escrever por Telegram como Rosa").fill("olá")
    plain.get_by_label("Enviar por Telegram", exact=True).click()
    expect(plain.locator("#screen-telegram")).to_contain_text("olá")
    context.close()


@pytest.mark.timeout(120)
def test_ctrl_c_ends_it_soon_and_leaves_nothing(demo: Demo) -> None:
    began = time.monotonic()
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0, demo.text()
    took = time.monotonic() - began
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # neighbours on this machine stretch everything
    assert took < 5 * busy, f"{took:.1f} s"
    assert not demo.folder.exists() and "Nothing of the demo is left" in demo.text()


def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Remedy):
        Place(tmp_path).take()
    assert (tmp_path / "mine").read_text() == "precious"


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = Place(tmp_path / "demo"), Place(tmp_path / "demo")
    first.take()
    with pytest.raises(Remedy, match="runs already"):
        second.take()
    second.leave(keep=False)
    assert (tmp_path / "demo" / MARK).exists()
    first.leave(keep=False)
    assert not (tmp_path / "demo").exists()
