"""P9 and P8 by the hands of people: two agents with the same page open, and a manager, in a real browser."""

from playwright.sync_api import Browser, Page, expect

from storage.tables import Case
from tests.console.conftest import Live
from tests.console.test_merging import one_person

PASSWORD = "una clave larga"


def logged_in(live: Live, browser: Browser, login: str) -> Page:
    page = browser.new_context(locale="es-CO", viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{live.base}/desk/login")
    page.get_by_label("Usuario de acceso").fill(login)
    page.get_by_label("Contraseña").fill(PASSWORD)
    page.get_by_role("button", name="Entrar").click()
    expect(page.get_by_role("heading", name="Marcadas", exact=True)).to_be_visible()
    return page


def merge_by_hand(page: Page, into: Case) -> None:
    page.get_by_text("Unir con otro caso").click()
    page.get_by_label("Unir PQR").select_option(into.code)
    page.get_by_label("¿Por qué son el mismo asunto?").fill("La misma compra")
    page.get_by_role("button", name="Unir y avisar").click()


def test_P8_P9_merged_told_parted_and_the_people_parted(live: Live, browser: Browser) -> None:
    live.call(lambda: live.site.staff.add("pedro", "Pedro Salas", "agent", PASSWORD))
    live.call(lambda: live.site.staff.add("marta", "Marta Lozano", "manager", PASSWORD))
    older, newer = live.call(lambda: one_person(live.world))

    talks = {one.case_id: one.id for one in live.call(live.world.conversations)}
    mail, chat = talks[older.id], talks[newer.id]
    pedro, marta = logged_in(live, browser, "pedro"), logged_in(live, browser, "marta")
    pedro.goto(f"{live.base}/desk/c/{chat}?view=all")
    marta.goto(f"{live.base}/desk/c/{mail}?view=all")
    marta.get_by_text("Unir con otro caso").click()  # Marta has the form open while Pedro is faster
    marta.get_by_label("¿Por qué son el mismo asunto?").fill("Es lo mismo")
    merge_by_hand(pedro, older)
    expect(pedro.locator("#toast")).to_contain_text("Casos unidos")
    expect(pedro.locator("#side-merged")).to_contain_text("Lo unió Pedro Salas")
    expect(pedro.locator("#side-merged")).to_contain_text(newer.code)
    expect(marta.locator("#side-merged")).to_contain_text(newer.code)  # her page learned it by itself
    expect(marta.locator("#m-merge")).to_have_count(0)
    marta.locator("#m-part summary").click()
    marta.get_by_role("button", name="Separar los casos").click()
    expect(marta.locator("#toast")).to_contain_text("Casos separados")
    expect(marta.locator("#side-merged")).to_have_count(0)
    marta.locator("#side-joins summary").click()
    marta.get_by_role("button", name="Separar a las dos personas").click()
    expect(marta.locator("#toast")).to_contain_text("Personas separadas")
    expect(marta.locator("#side-joins")).to_contain_text("Las separó Marta Lozano")
    expect(marta.locator("#side-others")).to_have_count(0)
