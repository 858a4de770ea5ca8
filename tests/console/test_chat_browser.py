"""The chat in a real browser: through to the receipt, offline and back, reload, two tabs, files."""

from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import Live

PHONE = {"width": 390, "height": 844}
REPORT = "La licuadora que compré llegó con el vaso roto, quiero que me la cambien. Pedido 48213"


def opened(browser: Browser, live: Live, **options: object) -> Page:
    context = browser.new_context(viewport=PHONE, locale="es-CO", **options)
    page = context.new_page()
    page.goto(f"{live.base}/")
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Tu mensaje").fill(text)
    page.get_by_role("button", name="Enviar").click()


def test_R_from_a_complaint_to_the_receipt(browser: Browser, live: Live) -> None:
    page = opened(browser, live)
    say(page, REPORT)
    expect(page.locator(".wb--me .tick")).to_have_text("Recibido")
    expect(page.locator(".rcpt .c")).to_have_text(__import__("re").compile(r"^PQR-[0-9A-Z]{7}$"))
    page.wait_for_timeout(1000)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(PHONE)
        page.screenshot(path=f"/tmp/shots/chat-390-{scheme}.png")
        page.set_viewport_size({"width": 1440, "height": 900})
        page.screenshot(path=f"/tmp/shots/chat-1440-{scheme}.png")
    print(page.locator("#log").inner_text())
