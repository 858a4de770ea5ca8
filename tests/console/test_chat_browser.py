"""The chat in a real browser: through to the receipt, offline and back, reload, two tabs, files, for everybody."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from bot.desk import Desk
from tests.console.conftest import Live
from tests.databases import Databases

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
REPORT = "La licuadora que compré llegó con el vaso roto, quiero que me la cambien. Pedido 48213"
CODE = re.compile(r"^PQR-[0-9A-HJKMNP-TV-Z]{7}$")


@pytest.fixture(scope="module")
def live(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One running Acuse for all these visitors; each browser context is a visitor of its own."""
    with databases.one() as url:
        made = Live(url, tmp_path_factory.mktemp("files"))
        made.start()
        yield made
        made.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A phone in Colombia that nobody has used before."""
    made = browser.new_context(viewport=PHONE, locale="es-CO")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, live: Live) -> Iterator[Page]:
    """The chat, opened; at the end the browser must have complained about nothing."""
    opened = context.new_page()
    told: list[str] = []
    opened.on("console", lambda line: told.append(line.text) if line.type == "error" else None)
    opened.on("pageerror", lambda fault: told.append(str(fault)))
    opened.goto(f"{live.base}/")
    yield opened
    meant = ("ERR_INTERNET_DISCONNECTED", "404 (Not Found)")  # by the tests
    assert [one for one in told if not any(why in one for why in meant)] == []


def say(page: Page, text: str) -> None:
    page.get_by_label("Tu mensaje").fill(text)
    page.get_by_role("button", name="Enviar").click()


def mine(page: Page) -> list[str]:
    return page.locator("#log .wm--me").all_inner_texts()


def test_R_from_a_complaint_to_the_receipt(page: Page, live: Live) -> None:
    expect(page.get_by_text("Hablas con una IA, no con una persona.")).to_be_visible()
    say(page, REPORT)
    expect(page.locator(".wb--me .tick")).to_have_text("Recibido")
    expect(page.locator("[data-kind=receipt] .rcpt .c")).to_have_text(CODE)
    expect(page.locator("[data-kind=receipt] .rcpt-y")).to_have_text("reclamo")
    expect(page.locator("#typing")).to_be_hidden()
    expect(page.locator("#log .wb")).to_have_count(3)  # mine, the Ack, the Answer
    expect(page.get_by_label("Tu mensaje")).to_be_focused()
    poll(live, lambda states: states == {"read"})


def poll(live: Live, good: Callable[[set[str]], bool]) -> None:
    """Wait until the states of what we sent are as they should be."""

    async def states() -> set[str]:
        last = (await live.world.conversations())[-1]
        return {one.state for one in await live.world.outgoing() if one.conversation_id == last.id}

    for _ in range(100):
        if good(found := live.call(states)):
            return
    raise AssertionError(found)


def test_what_is_written_offline_is_sent_in_order_when_the_line_is_back(page: Page, context: BrowserContext) -> None:
    say(page, "hola")
    expect(page.locator("[data-who=bot]")).to_have_count(2)
    context.set_offline(True)
    say(page, "uno")
    say(page, "dos")
    waiting = page.locator(".tick[data-state=waiting]")
    expect(waiting).to_have_count(2)
    expect(page.get_by_text("Sin conexión. Lo que escribas queda guardado")).to_be_visible()
    context.set_offline(False)
    expect(page.locator(".tick[data-state=sent]")).to_have_count(3)
    expect(page.get_by_text("Sin conexión. Lo que escribas queda guardado")).to_be_hidden()
    page.reload()
    assert mine(page) == ["hola", "uno", "dos"]


def test_what_was_written_offline_survives_closing_the_page(page: Page, context: BrowserContext, live: Live) -> None:
    context.set_offline(True)
    say(page, REPORT)
    expect(page.locator(".tick[data-state=waiting]")).to_have_count(1)
    page.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto(f"{live.base}/chat")
    expect(again.locator("[data-kind=receipt]")).to_have_count(1)
    again.reload()
    assert mine(again) == [REPORT]


def test_returning_shows_the_history_and_hears_what_comes(page: Page, live: Live) -> None:
    say(page, REPORT)
    code = page.locator(".rcpt .c")
    expect(code).to_have_text(CODE)
    was = code.inner_text()
    page.reload()
    expect(code).to_have_text(was)

    async def agent_answers() -> None:
        me = await live.world.agent(name="Marta")
        conversation = (await live.world.conversations())[-1]
        desk: Desk = live.world.desk(me)
        await desk.take(conversation.id)
        await desk.reply(conversation.id, "Hola, soy Marta. Mira https://nube.example/vaso", key="one")

    live.call(agent_answers)
    answer = page.locator("[data-who=agent]")
    expect(answer).to_contain_text("Marta · persona", timeout=10_000)
    expect(page.get_by_text("Te atiende Marta, una persona de Nube.")).to_be_visible()
    expect(answer.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer nofollow")
    page.reload()
    expect(page.get_by_text("Te atiende Marta, una persona de Nube.")).to_be_visible()
    expect(page.locator(".rcpt .c")).to_have_count(1)


def test_two_tabs_show_the_same(page: Page, context: BrowserContext, live: Live) -> None:
    other = context.new_page()
    other.goto(f"{live.base}/chat")
    say(page, REPORT)
    expect(other.locator("[data-kind=receipt]")).to_have_count(1)
    expect(other.locator(".wm--me")).to_have_text(REPORT)
    say(other, "48213")
    expect(page.locator("#log .wm--me")).to_have_text([REPORT, "48213"])
    expect(page.locator("#log .wb")).to_have_count(other.locator("#log .wb").count())


def test_I_a_choice_is_pressed_once(page: Page) -> None:
    say(page, REPORT)
    button = page.get_by_role("group", name="Respuestas rápidas").get_by_role("button").first
    label = button.inner_text()
    button.click()
    expect(button).to_be_disabled()
    expect(page.locator("#log .wm--me").last).to_have_text(label)


def test_R_a_person_is_one_press_away(page: Page, live: Live) -> None:
    page.get_by_role("button", name="Hablar con una persona").click()
    expect(page.locator("#log .wm--me")).to_have_text("persona")
    expect(page.locator("[data-kind=answer]")).to_have_count(1)
    conversation = live.call(live.world.conversations)[-1]
    assert conversation.flag_reason == "asked"


def test_a_photo_is_sent_and_a_file_too_large_is_refused_before(page: Page, tmp_path: Path, live: Live) -> None:
    page.screenshot(path=str(photo := tmp_path / "roto.png"))
    page.locator("#files").set_input_files([photo])
    expect(page.get_by_role("button", name="Quitar: roto.png")).to_be_visible()
    say(page, "Así llegó la licuadora")
    expect(page.locator("#log .wpic img")).to_have_js_property("complete", True)
    assert page.locator("#log .wpic img").evaluate("image => image.naturalWidth") == 390
    expect(page.locator("#chosen")).to_be_hidden()
    (large := tmp_path / "largo.bin").write_bytes(b"\0" * (live.site.parts.policy.attachment_limit + 1))
    page.locator("#files").set_input_files([large])
    expect(page.get_by_role("alert")).to_contain_text("20 MB")
    page.get_by_role("button", name="Enviar").click()
    assert page.locator("#log .wb--me").count() == 1
    page.get_by_role("button", name="Quitar: largo.bin").click()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_file_cannot_wait_offline_and_can_be_tried_again(page: Page, context: BrowserContext, tmp_path: Path) -> None:
    (paper := tmp_path / "factura.txt").write_text("48213")
    context.set_offline(True)
    page.locator("#files").set_input_files([paper])
    say(page, "")
    expect(page.locator(".tick--bad")).to_contain_text("Los archivos no se guardan sin conexión")
    context.set_offline(False)
    page.get_by_role("button", name="Reintentar").click()
    expect(page.locator("#log").get_by_role("link", name="factura.txt")).to_be_visible()


def test_the_keyboard_is_enough(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("hola")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("qué tal")
    page.keyboard.press("Enter")
    assert mine(page) == ["hola\nqué tal"]


def test_without_a_script_it_works_as_a_form(browser: Browser, live: Live) -> None:
    context = browser.new_context(viewport=PHONE, locale="es-CO", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live.base}/chat")
    say(page, REPORT)
    expect(page.locator("#log .wm--me")).to_have_text(REPORT)
    for _ in range(40):
        if page.locator(".rcpt").count():
            break
        page.get_by_role("link", name="Ver respuestas nuevas").click()
    expect(page.locator(".rcpt .c")).to_have_text(CODE)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(context: BrowserContext, live: Live, scheme: str) -> None:
    faults: list[str] = []
    for path in ("/chat", "/chat?lang=en", "/nowhere"):
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.goto(live.base + path)
        if path == "/chat":
            say(page, REPORT)
            expect(page.locator("[data-kind=receipt]")).to_have_count(1)
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            found = Axe().run(page).response["violations"]
            faults += [f"{path} {size['width']}: {one['id']}: {one['nodes'][0]}" for one in found]
        page.set_viewport_size({"width": 320, "height": 256})  # a wide screen at 400 %
        page.wait_for_function("document.documentElement.scrollWidth <= 320")
    assert faults == []


def test_targets_are_large_enough_for_a_thumb(page: Page) -> None:
    say(page, REPORT)
    expect(page.locator(".wq button")).to_be_visible()
    for target in page.locator(".wg-f button, .wg-f label.ib, .wg-h summary, .wq button").all():
        box = target.bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] >= 44, target.inner_html()
