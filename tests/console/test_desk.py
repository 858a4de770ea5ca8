"""The desk over HTTP, with the real database behind it: the door, the lists, a conversation and what is done in it."""

import json
import re
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, event

from bot.views import Me
from channels.channel import Undeliverable
from console.site import Site
from tests.world import World

PASSWORD = "una clave larga"
REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


async def hire(site: Site, login: str, name: str, role: str = "agent") -> Me:
    """Somebody who can log in."""
    return await site.staff.add(login, name, role, PASSWORD)


def csrf(page: str) -> str:
    """The token of a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"|data-csrf="([^"]+)"', page)
    assert found is not None
    return found.group(1) or found.group(2)


async def enter(client: httpx.AsyncClient, login: str) -> str:
    """Log in; returns the token of the session's forms."""
    door = await client.get("/desk/login")
    fields = {"csrf": csrf(door.text), "login": login, "password": PASSWORD}
    answer = await client.post("/desk/login", data=fields)
    assert answer.status_code == 303, answer.text
    page = await client.get("/desk")
    assert page.status_code == 200
    return csrf(page.text)


@pytest.fixture
async def pedro(site: Site) -> Me:
    return await hire(site, "pedro", "Pedro Salas")


@pytest.fixture
async def token(client: httpx.AsyncClient, pedro: Me) -> str:
    """Pedro is logged in."""
    return await enter(client, "pedro")


async def post(client: httpx.AsyncClient, path: str, token: str, **fields: str) -> httpx.Response:
    """A post as the page's script sends it."""
    return await client.post(path, data=fields, headers={"X-CSRF-Token": token, "HX-Request": "true"})


# --- the door


async def test_nobody_comes_in_without_a_login(client: httpx.AsyncClient) -> None:
    for path in ("/desk", "/desk/live", "/desk/failed", "/desk/me", f"/desk/c/{UUID(int=1)}", "/desk/stream"):
        answer = await client.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/desk/login"), path
    htmx = await client.get("/desk/live", headers={"HX-Request": "true"})
    assert (htmx.status_code, htmx.headers["hx-redirect"]) == (401, "/desk/login?next=/desk")


async def test_the_cookie_is_for_the_desk_only_and_no_script_reads_it(
    client: httpx.AsyncClient, site: Site, pedro: Me
) -> None:
    door = await client.get("/desk/login?next=/desk/failed")
    fields = {"csrf": csrf(door.text), "login": "pedro", "password": PASSWORD}
    answer = await client.post("/desk/login?next=/desk/failed", data=fields)
    assert answer.headers["location"] == "/desk/failed"
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("acuse_desk="))
    assert {"HttpOnly", "SameSite=lax", "Path=/desk"} <= set(cookie.split("; "))


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/desk\\evil", "/chat", "/deskevil"])
async def test_a_login_never_leads_elsewhere(client: httpx.AsyncClient, pedro: Me, target: str) -> None:
    door = await client.get("/desk/login", params={"next": target})
    fields = {"csrf": csrf(door.text), "login": "pedro", "password": PASSWORD}
    answer = await client.post("/desk/login", params={"next": target}, data=fields)
    assert answer.headers["location"] == "/desk"


async def test_a_wrong_password_says_nothing_of_the_login(client: httpx.AsyncClient, pedro: Me) -> None:
    answers = []
    for login in ("pedro", "nobody"):
        door = await client.get("/desk/login")
        fields = {"csrf": csrf(door.text), "login": login, "password": "otra clave larga"}
        answer = await client.post("/desk/login", data=fields)
        assert answer.status_code == 401
        answers.append(re.sub(r'value="[^"]*"', "", answer.text).replace(" autofocus", ""))
    assert answers[0] == answers[1]


async def test_ten_tries_and_then_a_wait(client: httpx.AsyncClient, pedro: Me) -> None:
    codes = []
    for _ in range(11):
        door = await client.get("/desk/login")
        fields = {"csrf": csrf(door.text), "login": "pedro", "password": "otra clave larga"}
        codes.append((await client.post("/desk/login", data=fields)).status_code)
    assert codes == [401] * 10 + [429]


async def test_another_site_cannot_log_a_browser_in(client: httpx.AsyncClient, pedro: Me) -> None:
    answer = await client.post("/desk/login", data={"csrf": "", "login": "pedro", "password": PASSWORD})
    assert answer.status_code == 403


async def test_every_post_needs_the_token(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    for path in (f"c/{talk}/take", f"c/{talk}/move", f"c/{talk}/note", f"c/{talk}/draft", "logout", "me"):
        answer = await client.post(f"/desk/{path}", data={"csrf": "wrong", "language": "en"})
        assert answer.status_code == 403, path
    [conversation] = await world.conversations()
    assert conversation.speaker == "bot"


async def test_logging_out_ends_the_session_on_the_server(client: httpx.AsyncClient, token: str) -> None:
    cookie = client.cookies["acuse_desk"]
    assert (await client.post("/desk/logout", data={"csrf": token})).status_code == 303
    client.cookies.set("acuse_desk", cookie, path="/desk", domain="acuse.test")
    assert (await client.get("/desk")).status_code == 303


@pytest.mark.parametrize(("language", "word"), [("en", "Take the conversation"), ("pt", "Assumir a conversa")])
async def test_the_console_speaks_the_agents_language(
    client: httpx.AsyncClient, world: World, token: str, language: str, word: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    assert "Tomar la conversación" in (await client.get(f"/desk/c/{talk}")).text
    await client.post("/desk/me", data={"csrf": token, "language": language})
    page = await client.get(f"/desk/c/{talk}")
    assert word in page.text
    assert f'<html lang="{language}"' in page.text
    assert "Tomar la conversación" not in page.text


# --- the lists


async def test_each_view_shows_its_conversations(client: httpx.AsyncClient, world: World, token: str) -> None:
    calm = await world.write("chat", "ana", REPORT)
    asks = await world.write("telegram", "luis", "quiero hablar con una persona")
    await world.desk(await world.agent("marta", "Marta")).take(calm)
    flagged, opened, all_of_them = [
        (await client.get(f"/desk?view={view}")).text for view in ("flagged", "open", "all")
    ]
    assert (f"cv-{asks}" in flagged, f"cv-{calm}" in flagged) == (True, False)
    assert "Pide una persona" in flagged
    assert (f"cv-{calm}" in opened, f"cv-{asks}" in opened) == (True, False)
    assert f"cv-{asks}" in all_of_them
    assert "Marta" in opened
    assert flagged.startswith("<!doctype html>")
    assert "<title>(1) Marcadas · Acuse</title>" in flagged


async def test_a_long_list_goes_on_below_and_shows_nobody_twice(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    for number in range(53):
        await world.intake.keep("chat", world.memory("chat").write(f"p{number}", "hola"))
    first = (await client.get("/desk?view=all")).text
    link = re.search(r'id="more" href="([^"]+)" hx-get="([^"]+)"', first)
    assert link is not None
    second = (await client.get(link.group(2).replace("&amp;", "&"))).text
    one, two = (set(re.findall(r'id="cv-([^"]+)"', page)) for page in (first, second))
    assert (len(one), len(two), one & two) == (50, 3, set())
    assert 'id="more"' not in second


async def test_a_managers_number_opens_its_list(client: httpx.AsyncClient, world: World, token: str) -> None:
    claim = await world.write("chat", "ana", REPORT)
    praise = await world.write("chat", "luis", "Felicitaciones a Carlos el técnico, muy amable")
    page = (await client.get("/desk", params={"view": "all", "type": "reclamo"})).text
    assert (f"cv-{claim}" in page, f"cv-{praise}" in page) == (True, False)
    tomorrow = (world.parts.now() + timedelta(days=1)).isoformat()
    page = (await client.get("/desk", params={"view": "all", "opened_from": tomorrow})).text
    assert f"cv-{claim}" not in page
    assert "Con filtro" in page


@pytest.mark.parametrize("spelled", ["{code}", "{body}", "{lower}", "{blank}"])
async def test_a_case_is_found_by_its_code_in_any_spelling(
    client: httpx.AsyncClient, world: World, token: str, spelled: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    [case] = await world.cases()
    body = case.code.partition("-")[2]
    words = {"code": case.code, "body": body, "lower": case.code.lower(), "blank": f"{body[:3]} {body[3:]}"}
    page = (await client.get("/desk", params={"q": spelled.format(**words)})).text
    assert f"cv-{talk}" in page


async def test_a_conversation_is_found_by_name_and_by_text_without_accents(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", "El técnico no llegó a la cita", name="Ana Núñez")
    for words in ("nunez", "tecnico cita", "Ana Núñez"):
        assert f"cv-{talk}" in (await client.get("/desk", params={"q": words})).text, words
    assert "Sin resultados" in (await client.get("/desk", params={"q": "bicicleta"})).text
    assert f"/desk/c/{talk}" in (await client.get("/desk/palette", params={"q": "tecnico"})).text


# --- the work


async def test_an_agent_takes_answers_and_gives_back(client: httpx.AsyncClient, world: World, token: str) -> None:
    """R096: the whole turn of a conversation, as the page's script does it."""
    talk = await world.write("chat", "ana", REPORT)
    taken = await post(client, f"/desk/c/{talk}/take", token)
    assert taken.status_code == 200
    assert 'data-speaker="me"' in taken.text
    assert "taken" in taken.headers["hx-trigger-after-swap"]
    before = len(world.sent("chat"))
    sent = await post(client, f"/desk/c/{talk}/reply", token, text="Hola, soy Pedro.", key="k1")
    assert "Mensaje en camino" in sent.text
    again = await post(client, f"/desk/c/{talk}/reply", token, text="Hola, soy Pedro.", key="k1")
    assert again.status_code == 200
    await world.settle(talk)
    assert [one.text for one in world.sent("chat")[before:]][-1:] == ["Hola, soy Pedro."]
    assert sum(one.text == "Hola, soy Pedro." for one in world.sent("chat")) == 1
    back = await post(client, f"/desk/c/{talk}/back", token)
    assert 'data-speaker="bot"' in back.text


async def test_the_second_who_takes_is_told_who_has_it(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await world.desk(await world.agent("marta", "Marta Lozano")).take(talk)
    answer = await post(client, f"/desk/c/{talk}/take", token)
    assert answer.status_code == 409
    assert "Marta Lozano ya tiene esta conversación" in answer.text
    reply = await post(client, f"/desk/c/{talk}/reply", token, text="hola", key="k")
    assert reply.status_code == 409
    page = (await client.get(f"/desk/c/{talk}")).text
    assert "Habla Marta Lozano" in page


async def test_a_manager_takes_in_the_place_of_somebody(client: httpx.AsyncClient, world: World, site: Site) -> None:
    """The button is there for managers only."""
    talk = await world.write("chat", "ana", REPORT)
    await world.desk(await world.agent("marta", "Marta Lozano")).take(talk)
    await hire(site, "pedro", "Pedro Salas")
    token = await enter(client, "pedro")
    assert "do-take-over" not in (await client.get(f"/desk/c/{talk}")).text
    assert (await post(client, f"/desk/c/{talk}/take?over=1", token)).status_code == 409
    client.cookies.clear()
    await hire(site, "luz", "Luz Ríos", "manager")
    token = await enter(client, "luz")
    assert "Tomar en lugar de Marta Lozano" in (await client.get(f"/desk/c/{talk}")).text
    taken = await post(client, f"/desk/c/{talk}/take?over=1", token)
    assert taken.status_code == 200
    assert 'data-speaker="me"' in taken.text


async def test_files_go_with_an_answer_and_come_back_as_downloads(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    files = [("files", ("<b>guía.html", b"<script>alert(1)</script>", "text/html"))]
    headers = {"X-CSRF-Token": token, "HX-Request": "true"}
    data = {"text": "Te dejo la guía", "key": "k"}
    answer = await client.post(f"/desk/c/{talk}/reply", data=data, files=files, headers=headers)
    assert answer.status_code == 200, answer.text
    link = re.search(r'href="(/desk/files/[^"]+)"', answer.text)
    assert link is not None
    file = await client.get(link.group(1))
    assert file.content == b"<script>alert(1)</script>"
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in file.headers["content-security-policy"]


async def test_a_file_that_is_too_big_is_refused_with_what_to_do(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    files = [("files", ("grande.bin", b"x" * 1_000_001, "application/octet-stream"))]
    headers = {"X-CSRF-Token": token, "HX-Request": "true"}
    answer = await client.post(f"/desk/c/{talk}/reply", data={"text": "va"}, files=files, headers=headers)
    assert answer.status_code == 413
    assert "Tu texto sigue aquí" in answer.text


async def test_undo_gives_the_text_back_and_nothing_leaves(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    await post(client, f"/desk/c/{talk}/reply", token, text="Me equivoqué de Ana", key="k")
    row = next(one for one in await world.outgoing() if one.text == "Me equivoqué de Ana")
    answer = await post(client, f"/desk/sent/{row.id}/undo", token)
    assert "Me equivoqu\\u00e9 de Ana" in answer.headers["hx-trigger"]
    await world.settle(talk)
    assert all(one.text != "Me equivoqué de Ana" for one in world.sent("chat"))
    late = await post(client, f"/desk/sent/{row.id}/undo", token)
    assert late.status_code == 409


async def test_undo_takes_back_all_parts_of_a_long_message(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    await world.settle(talk)
    text = "\n".join(f"punto {number}: lo que vamos a hacer por ti" for number in range(200))
    await post(client, f"/desk/c/{talk}/reply", token, text=text, key="k")
    rows = [one for one in await world.outgoing() if one.kind == "agent"]
    assert len(rows) > 1
    answer = await post(client, f"/desk/sent/{rows[0].id}/undo", token)
    assert json.loads(answer.headers["hx-trigger"])["putback"]["text"].split() == text.split()
    await world.settle(talk)
    assert all("punto" not in one.text for one in world.sent("chat"))


async def test_an_address_that_somebody_typed_wrong_is_not_found(client: httpx.AsyncClient, token: str) -> None:
    for path in (
        "/desk/c/nonsense",
        f"/desk/c/{UUID(int=7)}",
        f"/desk/files/{UUID(int=7)}",
        f"/desk/mail/{UUID(int=7)}",
    ):
        assert (await client.get(path)).status_code == 404, path


async def test_a_note_stays_inside(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    answer = await post(client, f"/desk/c/{talk}/note", token, text="<b>ojo</b> con este caso")
    assert "&lt;b&gt;ojo&lt;/b&gt; con este caso" in answer.text
    await world.settle(talk)
    assert all("ojo" not in one.text for one in await world.outgoing())


async def test_drafts_come_back_and_go_with_what_was_sent(client: httpx.AsyncClient, world: World, token: str) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    saved = await post(client, f"/desk/c/{talk}/draft", token, mode="reply", text="Te propongo…")
    assert saved.status_code == 204
    assert "Te propongo…</textarea>" in (await client.get(f"/desk/c/{talk}")).text
    await post(client, f"/desk/c/{talk}/reply", token, text="Te propongo…", key="k")
    assert "Te propongo…</textarea>" not in (await client.get(f"/desk/c/{talk}")).text


async def test_the_case_moves_only_where_it_may_and_the_customer_is_told(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    refused = await post(client, f"/desk/c/{talk}/move", token, to="cerrado")
    assert refused.status_code == 409
    assert "Elige uno de la lista" in refused.text
    moved = await post(client, f"/desk/c/{talk}/move", token, to="en_investigacion", note="Ya la estamos buscando.")
    assert moved.status_code == 200
    assert "Cambiaste el estado a <b>En investigación</b>" in moved.text
    await world.settle(talk)
    assert "Ya la estamos buscando." in world.sent("chat")[-1].text
    for state in ("propuesta", "comunicado", "aceptado", "cumplido"):
        moved = await post(client, f"/desk/c/{talk}/move", token, to=state)
    assert "El cliente todavía no lo confirma" in moved.text


async def test_type_severity_and_who_works_on_it_are_corrected(
    client: httpx.AsyncClient, world: World, site: Site, token: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    marta = await hire(site, "marta", "Marta Lozano")
    page = await post(client, f"/desk/c/{talk}/classify", token, type="queja")
    assert "Corregiste el tipo: reclamo → <b>queja</b>" in page.text
    page = await post(client, f"/desk/c/{talk}/grade", token, severity="critical")
    assert "<b>crítica</b>" in page.text
    page = await post(client, f"/desk/c/{talk}/assign", token, agent=str(marta.id))
    assert "Asignaste el caso a <b>Marta Lozano</b>" in page.text
    for path, field in (("classify", "type"), ("grade", "severity"), ("assign", "agent")):
        assert (await post(client, f"/desk/c/{talk}/{path}", token, **{field: "nonsense"})).status_code == 409
    [case] = await world.cases()
    assert (case.type, case.severity, case.assigned_to) == ("queja", "critical", marta.id)


async def test_what_was_understood_is_shown_with_the_words_that_say_why(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", "El cable de la licuadora <i>me quemó</i> la mano, pedido 48213")
    page = (await client.get(f"/desk/c/{talk}")).text
    assert re.search(r"<mark>[^<]*quemó[^<]*</mark>", page)
    assert "<i>me" not in page
    assert "según las reglas" in page
    assert "Corregir" in page


async def test_what_did_not_arrive_is_listed_and_leaves_again(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await post(client, f"/desk/c/{talk}/take", token)
    await world.settle(talk)
    world.memory("chat").fail(Undeliverable("the person blocked us"))
    await post(client, f"/desk/c/{talk}/reply", token, text="Hola Ana", key="k")
    await world.settle(talk)
    row = next(one for one in await world.outgoing() if one.text == "Hola Ana")
    assert row.state == "failed"
    page = (await client.get(f"/desk/c/{talk}")).text
    assert "No entregado" in page
    listed = (await client.get("/desk/failed")).text
    assert f"f-{row.id}" in listed
    answer = await post(client, f"/desk/sent/{row.id}/resend", token)
    assert answer.status_code == 200
    await world.settle(talk)
    assert world.sent("chat")[-1].text == "Hola Ana"
    assert f"f-{row.id}" not in (await client.get("/desk/failed")).text


async def test_a_mails_original_can_do_nothing(client: httpx.AsyncClient, world: World, token: str) -> None:
    raw = (
        b"From: luis@example.com\r\nSubject: Mi queja\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<h1>Hola</h1><script>alert(1)</script>"
    )
    talk = await world.write("email", "luis@example.com", "Hola", raw=raw, subject="Mi queja")
    page = (await client.get(f"/desk/c/{talk}")).text
    link = re.search(r'data-frame="(/desk/mail/[^"]+)"', page)
    assert link is not None
    mail = await client.get(link.group(1))
    assert "<h1>Hola</h1>" in mail.text
    policy = mail.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "script" not in policy
    assert "default-src 'none'" in policy


# --- speed


async def test_pages_ask_few_questions_of_the_database(client: httpx.AsyncClient, world: World, token: str) -> None:
    """The queue at most 12 queries, a conversation at most 15, however much was said."""
    talk = await world.write("chat", "ana", REPORT)
    for text in ("fue el jueves en la sede Centro", "sí, correcto", "¿cómo va?"):
        await world.write("chat", "ana", text)
    for number in range(6):
        await world.write("telegram", f"p{number}", "Felicitaciones a Carlos, muy amable")
    await post(client, f"/desk/c/{talk}/take", token)
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        for path, most in (("/desk?view=all", 12), (f"/desk/c/{talk}?view=all", 15)):
            asked.clear()
            assert (await client.get(path)).status_code == 200
            assert 3 <= len(asked) <= most, (path, len(asked), asked)
    finally:
        event.remove(Engine, "before_cursor_execute", count)
