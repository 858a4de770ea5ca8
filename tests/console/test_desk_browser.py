"""The desk in real browsers: two agents at once, live within two seconds, drafts, undo, keyboard, for everybody."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from channels.channel import Undeliverable
from storage.similar import DIMENSIONS
from tests.console.conftest import Live
from tests.databases import Databases
from tests.world import World

PASSWORD = "una clave larga"
REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
TAKE_DOWN_NOTIFICATIONS = """() => {
  window.notes = [];
  window.Notification = class {
    static permission = "granted";
    constructor(text) { window.notes.push(text); }
  };
}"""
SOON = 2_000  # milliseconds: what the issue allows a second browser


@pytest.fixture(scope="module")
def live(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One running Acuse with two agents; every test writes from people of its own."""
    with databases.one() as url:
        made = Live(url, tmp_path_factory.mktemp("files"))
        made.start()
        made.call(lambda: made.site.staff.add("pedro", "Pedro Salas", "agent", PASSWORD))
        made.call(lambda: made.site.staff.add("marta", "Marta Lozano", "manager", PASSWORD))
        yield made
        made.stop()


@pytest.fixture(scope="module")
def sessions(live: Live, browser: Browser) -> dict[str, Any]:
    """Both agents, logged in through the page."""
    found = {}
    for login in ("pedro", "marta"):
        context = browser.new_context(locale="es-CO")
        page = context.new_page()
        page.goto(f"{live.base}/desk/login")
        page.get_by_label("Usuario de acceso").fill(login)
        page.get_by_label("Contraseña").fill(PASSWORD)
        page.get_by_role("button", name="Entrar").click()
        expect(page.get_by_role("heading", name="Marcadas", exact=True)).to_be_visible()
        found[login] = context.storage_state()
        context.close()
    return found


Opener = Callable[..., Page]


@pytest.fixture
def opened(live: Live, browser: Browser, sessions: dict[str, Any]) -> Iterator[Opener]:
    """Open a page as an agent; at the end no browser may have complained about anything."""
    contexts: list[BrowserContext] = []
    told: list[str] = []

    def go(login: str, path: str, size: ViewportSize = DESKTOP, **more: Any) -> Page:
        context = browser.new_context(viewport=size, storage_state=sessions[login], **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: told.append(f"{line.text} {line.location}") if line.type == "error" else None)
        page.on("pageerror", lambda fault: told.append(str(fault)))
        with page.expect_response(lambda answer: "/desk/live" in answer.url):  # the stream is open, and was read
            page.goto(live.base + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert [
        one
        for one in told
        if not any(meant in one for meant in ("409", "/reply", "htmx:afterRequest", "htmx:sendError"))
    ] == []  # what the tests provoke


def write(live: Live, who: str, text: str, account: str = "chat") -> UUID:
    """Somebody writes; the worker does the rest. Returns the conversation when it was answered."""

    async def keep() -> UUID:
        kept = await live.world.intake.keep(account, live.world.memory(account).write(who, text, name=who))
        assert kept is not None
        return kept.conversation_id

    talk = live.call(keep)
    poll(lambda: any(one.conversation_id == talk for one in live.call(live.world.outgoing)))
    return talk


def poll(good: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def reported(live: Live, who: str) -> UUID:
    """A conversation with a case."""
    talk = write(live, who, REPORT)
    poll(lambda: any(one.id == talk and one.case_id for one in live.call(live.world.conversations)))
    return talk


def take(page: Page) -> None:
    page.get_by_role("button", name="Tomar la conversación").click()
    expect(page.locator("#reply")).to_be_focused()


async def all_alike(world: World) -> None:
    """As if a model had read the cases and found them all the same."""
    async with world.parts.database.transaction() as tx:
        for case in await world.cases():
            tx.similar.keep(case.id, [1.0] + [0.0] * (DIMENSIONS - 1), "small")


def test_two_agents_press_take_at_once_and_one_is_told_who_has_it(live: Live, opened: Opener) -> None:
    talk = reported(live, "Ana Torres")
    pedro, marta = opened("pedro", f"/desk/c/{talk}"), opened("marta", f"/desk/c/{talk}")
    names = {"pedro": "Pedro Salas", "marta": "Marta Lozano"}
    pages = {"pedro": pedro, "marta": marta}
    for page in pages.values():  # both leave before either is answered
        page.evaluate("document.getElementById('do-take').click()")
    for page in pages.values():
        expect(page.locator("#speak")).not_to_have_attribute("data-speaker", "bot")
    speakers = {login: page.locator("#speak").get_attribute("data-speaker") for login, page in pages.items()}
    assert sorted(map(str, speakers.values())) == ["me", "other"]
    winner = next(login for login, speaker in speakers.items() if speaker == "me")
    loser = pages["marta" if winner == "pedro" else "pedro"]
    expect(loser.get_by_role("alert").first).to_contain_text(f"{names[winner]} ya tiene esta conversación")
    expect(loser.locator("#speak")).to_contain_text(f"Habla {names[winner]}")
    expect(loser.locator("#reply")).to_be_hidden()
    expect(pages[winner].locator("#reply")).to_be_visible()


def test_a_second_browser_sees_a_message_a_take_over_and_a_state_within_two_seconds(live: Live, opened: Opener) -> None:
    talk = reported(live, "Luis Herrera")
    pedro, marta = opened("pedro", f"/desk/c/{talk}"), opened("marta", f"/desk/c/{talk}?view=open")
    take(pedro)
    expect(marta.locator("#speak")).to_contain_text("Habla Pedro Salas", timeout=SOON)
    write(live, "Luis Herrera", "¿Y cuándo llega la nueva?")
    expect(marta.locator("#tl")).to_contain_text("¿Y cuándo llega la nueva?", timeout=SOON)
    expect(marta.locator(f"#cv-{talk}")).to_contain_text("¿Y cuándo llega la nueva?", timeout=SOON)
    expect(marta.locator("#say")).to_have_text("Luis Herrera escribió", timeout=SOON)
    pedro.locator("#m-move > summary").click()
    pedro.get_by_label("Nuevo estado").select_option("en_investigacion")
    pedro.get_by_role("button", name="Cambiar y avisar").click()
    expect(pedro.locator("#side-state")).to_contain_text("En investigación", timeout=10_000)
    expect(marta.locator("#side-state .steps-l")).to_contain_text("En investigación", timeout=SOON)


def test_news_do_not_disturb_who_is_writing(live: Live, opened: Opener) -> None:
    """What comes in keeps focus, typed words, the place in the timeline and an open form; a pill says that it came."""
    talk = reported(live, "Rosa Díaz")
    for number in range(8):
        write(live, "Rosa Díaz", f"otra cosa, número {number}\n\n\n\ny una línea más")
    page = opened("pedro", f"/desk/c/{talk}", {"width": 1440, "height": 700})
    take(page)
    page.locator("#m-move > summary").click()
    page.get_by_label("Mensaje para el cliente").fill("Ya la estamos buscando")
    page.locator("#tl").evaluate("one => { one.scrollTop = 0 }")
    box = page.locator("#reply")
    box.fill("Hola Rosa, te")
    before = page.locator("#tl").evaluate("one => one.scrollTop")
    write(live, "Rosa Díaz", "¿hay alguien?")
    expect(page.locator("#tl")).to_contain_text("¿hay alguien?", timeout=SOON)
    assert page.locator("#tl").evaluate("one => one.scrollTop") == before
    expect(page.locator("#new-said")).to_contain_text("nueva")
    expect(box).to_be_focused()
    box.press_sequentially(" escribo")
    expect(box).to_have_value("Hola Rosa, te escribo")
    expect(page.get_by_label("Mensaje para el cliente")).to_have_value("Ya la estamos buscando")
    page.locator("#new-said").click()
    expect(page.locator("#new-said")).to_be_hidden()


def test_a_draft_survives_a_reload_and_goes_when_it_is_sent(live: Live, opened: Opener) -> None:
    talk = reported(live, "Mateo Quintero")
    page = opened("pedro", f"/desk/c/{talk}")
    take(page)
    box = page.locator("#reply")
    box.fill("Te propongo lo siguiente")
    expect(page.locator("#saved")).to_have_text("Borrador guardado")
    box.press_sequentially(": una nueva")
    page.reload()  # before the pause is over: leaving saves too
    expect(box).to_have_value("Te propongo lo siguiente: una nueva")
    box.press("Control+Enter")
    expect(page.get_by_text("Mensaje en camino")).to_be_visible()
    expect(box).to_have_value("")
    page.reload()
    expect(box).to_have_value("")


def test_undo_brings_text_and_file_back_and_nothing_leaves(live: Live, opened: Opener) -> None:
    talk = reported(live, "Camila Restrepo")
    page = opened("pedro", f"/desk/c/{talk}")
    take(page)
    box = page.locator("#reply")
    box.fill("Me equivoqué de persona")
    page.locator("#files").set_input_files({"name": "guía.txt", "mimeType": "text/plain", "buffer": b"uno"})
    expect(page.locator("#picked")).to_contain_text("guía.txt")
    box.press("Control+Enter")
    page.locator("#undo").click()
    expect(page.get_by_text("Está otra vez en el cuadro")).to_be_visible()
    expect(box).to_have_value("Me equivoqué de persona")
    expect(page.locator("#picked")).to_contain_text("guía.txt")
    time.sleep(2.5)  # longer than the time to undo: had it been going to leave, it would have left
    assert all("Me equivoqué" not in one.text for one in live.call(_sent(live)))
    box.press("Control+Enter")
    poll(lambda: any(one.text == "Me equivoqué de persona" for one in live.call(_sent(live))))
    assert next(one for one in live.call(_sent(live)) if one.text == "Me equivoqué de persona").files


def _sent(live: Live) -> Callable[[], Any]:
    async def sent() -> list[Any]:
        return live.world.sent("chat")

    return sent


def test_somebody_who_waits_is_announced_in_title_and_voice(live: Live, opened: Opener) -> None:
    page = opened("pedro", "/desk?view=open")
    page.evaluate(TAKE_DOWN_NOTIFICATIONS)
    write(live, "Jorge Patiño", "El cable me quemó la mano y a mi hijo le dio corriente")
    expect(page.locator("#alarm")).to_contain_text("Urgente: Jorge Patiño", timeout=SOON)
    assert page.title().startswith("(")
    assert page.evaluate("window.notes") == ["Jorge Patiño espera a una persona"]
    page.goto(f"{live.base}/desk?view=flagged")
    expect(page.locator(".cv", has_text="Jorge Patiño")).to_contain_text("Daño a una persona")


def test_the_keyboard_does_the_work(live: Live, opened: Opener) -> None:
    talk = reported(live, "Daniel Osorio")
    page = opened("pedro", "/desk?view=open")
    page.keyboard.press("j")
    expect(page.locator(".cv").first).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("osorio")
    expect(page.locator(f"#p-{talk}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Daniel Osorio").first).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("revisar la garantía")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".nt")).to_contain_text("revisar la garantía")
    page.locator("#tl").focus()
    page.keyboard.press("t")
    expect(page.locator("#reply")).to_be_focused()
    page.get_by_label("Frases hechas").click()
    page.get_by_role("button", name="Presentarme").click()
    expect(page.locator("#reply")).to_have_value(
        "Hola, Daniel. Soy Pedro Salas, de Nube. Ya leí todo lo que nos contaste, así que no tienes que repetir nada."
        " Yo me encargo."
    )
    page.locator("#tl").focus()
    page.keyboard.press("c")
    page.get_by_role("button", name="Queja").click()
    expect(page.locator("#tl")).to_contain_text("Corregiste el tipo")
    page.locator("#tl").focus()
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Tomar la conversación")).to_be_visible()


def test_the_server_away_loses_no_words(live: Live, opened: Opener) -> None:
    talk = reported(live, "Valentina Ríos")
    page = opened("pedro", f"/desk/c/{talk}")
    take(page)
    box = page.locator("#reply")
    box.fill("No lo pierdas")
    page.route("**/reply*", lambda route: route.abort())
    box.press("Control+Enter")
    expect(page.locator("#bar")).to_contain_text("Tu texto sigue aquí")
    expect(box).to_have_value("No lo pierdas")


def test_a_stream_ends_at_once_when_the_server_stops(live: Live, opened: Opener) -> None:
    page = opened("pedro", "/desk?view=open")
    page.evaluate("() => { window.ended = new Promise(r => new EventSource('/desk/stream').onerror = () => r(true)) }")
    poll(lambda: live.site.bell.subscribers >= 2)  # type: ignore[attr-defined]  # the real bell of storage counts them
    page.close()
    poll(lambda: live.site.bell.subscribers == 0, 20)  # type: ignore[attr-defined]  # as above


def test_axe_finds_nothing_and_nothing_sticks_out(live: Live, opened: Opener) -> None:
    talk = reported(live, "Ferretería Andina y Compañía Limitada de Bogotá")
    reported(live, "Luz Ángela Ríos")
    live.call(lambda: all_alike(live.world))
    page = opened("marta", f"/desk/c/{talk}?view=all", reduced_motion="reduce")
    expect(page.locator("#side-similar li").first).to_be_attached()
    take(page)
    page.locator("#reply").fill("Hola")
    page.locator("#reply").press("Control+Enter")
    expect(page.locator("#undo")).to_be_visible()
    _clean(page, "a message on its way")
    for path in (f"/desk/c/{talk}?view=all", "/desk?view=flagged"):
        page.goto(live.base + path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for size in (PHONE, DESKTOP):
                page.set_viewport_size(size)
                _clean(page, f"{path} {scheme} {size['width']}")
        page.set_viewport_size({"width": 320, "height": 640})  # a wide screen at 400 %
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    page.set_viewport_size(PHONE)
    page.goto("about:blank")
    for path in (f"/desk/c/{talk}?view=all#ficha", "/desk/failed", "/desk/me", "/desk?q=nada"):
        page.goto(live.base + path)
        _clean(page, path)


def test_axe_finds_nothing_where_an_account_rests(live: Live, opened: Opener) -> None:
    """Issue 4, item 10: the accounts' page, the banner over the list and the bar in the room."""
    talk = reported(live, "Papelería Andina y Compañía Limitada de Boyacá")
    page = opened("marta", "/desk/accounts", reduced_motion="reduce")
    why = "El proveedor cambia el remitente esta noche y hasta mañana no podemos enviar nada por ahí"
    page.get_by_label("Motivo para pausar chat").fill(why)
    page.get_by_role("button", name="Pausar chat").click()
    expect(page.get_by_role("button", name="Reanudar chat")).to_be_visible()
    expect(page.get_by_text("in memory").first).to_be_visible()
    try:
        for path in ("/desk/accounts", f"/desk/c/{talk}?view=all", "/desk?view=all"):
            page.goto(live.base + path)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                for size in (PHONE, DESKTOP):
                    page.set_viewport_size(size)
                    _clean(page, f"{path} {scheme} {size['width']}")
        expect(page.locator("#notices")).to_contain_text(why)
    finally:
        page.goto(live.base + "/desk/accounts")
        page.get_by_role("button", name="Reanudar chat").click()
    expect(page.get_by_label("Motivo para pausar chat")).to_be_visible()


def test_axe_finds_nothing_where_a_person_left_somebody_waiting(live: Live, opened: Opener) -> None:
    """Issue 2: who has it, since when, and the button to take it over."""
    talk = reported(live, "Droguería Andina y Compañía Limitada de Tunja")
    pedro = opened("pedro", f"/desk/c/{talk}?view=all")
    take(pedro)

    async def left() -> None:
        async with live.world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None
            conversation.flagged_at, conversation.flag_reason = live.world.clock(), "unanswered"
            await tx.ring("desk")

    live.call(left)
    page = opened("marta", f"/desk/c/{talk}?view=flagged", reduced_motion="reduce")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            _clean(page, f"left {scheme} {size['width']}")
    expect(page.locator("#list")).to_contain_text("La tiene Pedro Salas desde")
    take(page)
    expect(page.locator("#list")).not_to_contain_text("La tiene Pedro Salas desde")


def test_a_failed_mail_goes_to_a_corrected_address_and_axe_finds_nothing(live: Live, opened: Opener) -> None:
    """Issue 4, item 5: on a phone, by keyboard, and the row is gone from the list when it was sent."""
    mail = live.world.memory("email")
    mail.fail(Undeliverable("550 5.1.1 no such user here"), times=4)

    async def keep() -> UUID:
        inbound = mail.write("ama@example.com", REPORT, name="Ana Gómez", subject="Mi licuadora", authentic=True)
        kept = await live.world.intake.keep("email", inbound)
        assert kept is not None
        return kept.conversation_id

    talk = live.call(keep)
    poll(lambda: any(one.state == "failed" and one.case_id for one in live.call(live.world.outgoing)))
    mail._failures.clear()
    page = opened("marta", "/desk/failed", reduced_motion="reduce")
    page.get_by_text("Corregir la dirección").first.click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            _clean(page, f"failed {scheme} {size['width']}")
    page.get_by_label("Dirección nueva").first.fill("ana")
    page.get_by_label("Dirección nueva").first.press("Enter")
    expect(page.locator("#bar")).to_contain_text("no es una dirección de correo")
    page.get_by_label("Dirección nueva").first.fill("ana@example.com")
    page.get_by_label("Dirección nueva").first.press("Enter")
    expect(page.get_by_text("Sale a la dirección nueva")).to_be_visible()
    poll(lambda: any(one.to.value == "ana@example.com" for one in mail.sent))
    page.goto(f"{live.base}/desk/c/{talk}?view=all")
    expect(page.locator("#tl")).to_contain_text("Espera a que confirmen la dirección")
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        _clean(page, f"withheld {size['width']}")


# A new colour scheme is drawn in the next frame, and some colours move there: nothing is judged on the way.
_SETTLED = """async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
  await Promise.all(document.getAnimations().map(one => one.finished.catch(() => null)))
}"""


def _clean(page: Page, what: str) -> None:
    """Fresh parts may come while axe measures; what is really wrong is found a second time."""
    told = _violations(page) and _violations(page)
    assert told == [], what
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what


def _violations(page: Page) -> list[tuple[str, list[str]]]:
    page.evaluate(_SETTLED)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
    return [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found.response["violations"]]
