"""One click ends one kind of mail (RFC 8058): through the real sending path, and back over HTTP."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, expect

from bot.sending import Sending
from bot.unsubscribing import HOW, link
from console.site import Site
from storage.tables import Consent, ContactPoint
from tests.channels.mail_standin import AtMail
from tests.conftest import Clock
from tests.console.conftest import Live, a_client, now
from tests.world import World, a_world

HERE = "https://nube.example"
CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def at_mail() -> AsyncIterator[AtMail]:
    standin = AtMail()
    yield standin
    await standin.close()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """At a moment when surveys may leave."""
    async with a_world(database_url, clock, tmp_path / "files") as made:
        yield made


@pytest.fixture
async def site(site: Site, world: World, at_mail: AtMail) -> Site:
    """Mail goes to a real server, and the house has a public address."""
    company = world.parts.company.model_copy(update={"public_url": HERE})
    channels = {**world.parts.channels, "email": at_mail.channel}
    world.parts = replace(world.parts, company=company, channels=channels)
    world.sending = Sending(world.parts)
    return replace(site, parts=world.parts)


async def mail_of(world: World, at_mail: AtMail, kind: str) -> EmailMessage | None:
    """A mail of this kind to Ana, as it arrived at her server; None: it did not leave."""
    before = len(at_mail.smtp.taken)
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.ensure("email", at_mail.person, name="Ana", language="es", verified_by="dmarc")
        talk = await tx.conversations.of(contact, "<t@test.local>")
        tx.outbox.queue(talk, address=at_mail.person, author="bot", kind=kind, text="¿Cómo te fue?")
    await world.sending.run(talk.id)
    new = at_mail.smtp.taken[before:]
    return message_from_bytes(new[0], policy=default) if new else None


async def link_of(world: World, at_mail: AtMail, kind: str = "survey") -> str:
    """The path of the link in such a mail."""
    mail = await mail_of(world, at_mail, kind)
    assert mail is not None and mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return str(mail["List-Unsubscribe"]).strip("<>").removeprefix(HERE)


async def consents(world: World) -> tuple[ContactPoint, list[Consent]]:
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact("email", AtMail.person)
        assert contact is not None
        return contact, await tx.people.consents(contact.id)


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [("survey", "survey"), ("followup", "survey"), ("broadcast", "broadcast"), ("marketing", "marketing")],
)
async def test_RFC8058_the_link_of_a_mail_that_left_ends_this_purpose_and_no_other(
    site: Site, world: World, at_mail: AtMail, kind: str, purpose: str
) -> None:
    """As Gmail calls it: no cookie, no page before it, a multipart body."""
    path = await link_of(world, at_mail, kind)
    async with a_client(site) as client:
        answer = await client.post(path, files={"List-Unsubscribe": (None, "One-Click")})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    contact, history = await consents(world)
    assert contact.consent == {purpose: False} and contact.opted_out_at is None
    assert [(one.purpose, one.given, one.who, one.how) for one in history] == [(purpose, False, "person", HOW)]
    assert await mail_of(world, at_mail, kind) is None  # and the next one does not leave
    others = {"survey", "broadcast", "marketing", "update"} - {purpose}
    assert all([await mail_of(world, at_mail, one) is not None for one in others])


async def test_looking_at_the_link_changes_nothing(site: Site, world: World, at_mail: AtMail) -> None:
    """Scanners of mail servers follow every link."""
    path = await link_of(world, at_mail)
    async with a_client(site) as client:
        page = await client.get(path)
        await client.head(path)
    assert page.status_code == 200 and "¿Quieres dejar de recibir encuestas de Nube?" in page.text
    assert page.text.count("<button") == 1
    assert (await consents(world))[0].consent == {}


async def test_twice_or_at_once_is_as_good_as_once(site: Site, world: World, at_mail: AtMail) -> None:
    path = await link_of(world, at_mail)
    async with a_client(site) as client:
        answers = await asyncio.gather(*(client.post(path, data=CLICK) for _ in range(5)))
    assert {one.status_code for one in answers} == {200} and len({one.text for one in answers}) == 1
    assert len((await consents(world))[1]) == 1


async def test_a_person_who_wants_surveys_again_can_end_them_again(site: Site, world: World, at_mail: AtMail) -> None:
    path = await link_of(world, at_mail)
    async with a_client(site) as client:
        await client.post(path, data=CLICK)
        async with world.parts.database.transaction() as tx:
            contact = await tx.people.contact("email", AtMail.person)
            assert contact is not None
            tx.people.consent(contact, ("survey",), True, who="person", how="in words")
        await client.post(path, data=CLICK)
    contact, history = await consents(world)
    assert contact.consent == {"survey": False} and [one.given for one in history] == [False, True, False]


@pytest.mark.parametrize("body", [{}, {"List-Unsubscribe": "yes"}, {"other": "One-Click"}])
async def test_a_post_without_the_words_of_the_standard_does_nothing(
    site: Site, world: World, at_mail: AtMail, body: dict[str, str]
) -> None:
    path = await link_of(world, at_mail)
    async with a_client(site) as client:
        assert (await client.post(path, data=body)).status_code == 400
    assert (await consents(world))[0].consent == {}


async def test_a_guess_learns_nothing(site: Site, world: World, at_mail: AtMail) -> None:
    """One answer for all that is not ours, whether or not somebody is there; and only so many of them."""
    token = (await link_of(world, at_mail)).rpartition("/")[2].partition("?")[0]
    contact, mark = token[:32], token[33:]
    guesses = [f"{contact}b{mark}", f"{'0' * 32}s{mark}", f"{contact}s{'A' * 43}", contact, "x", f"{token}x"]
    async with a_client(site, peer="203.0.113.9") as client:
        answers = [await client.post(f"/unsubscribe/{one}", data=CLICK) for one in guesses]
        answers += [await client.get(f"/unsubscribe/{one}") for one in guesses]
        assert {(one.status_code, one.text) for one in answers} == {(404, answers[0].text)}
        more = [(await client.get(f"/unsubscribe/{n}")).status_code for n in range(20)]
        assert more[:8] == [404] * 8 and set(more[8:]) == {429}
        assert (await client.post(f"/unsubscribe/{token}", data=CLICK)).status_code == 200  # a provider's own address
    assert (await consents(world))[0].consent == {"survey": False}


async def test_one_link_cannot_keep_the_database_busy(site: Site, world: World, at_mail: AtMail) -> None:
    path = await link_of(world, at_mail)
    async with a_client(site) as client:
        codes = [(await client.post(path, data=CLICK)).status_code for _ in range(12)]
    assert codes == [200] * 10 + [429] * 2


async def test_whoever_is_gone_is_no_fault(site: Site, world: World) -> None:
    gone = ContactPoint(id=uuid4(), person_id=uuid4(), account="email", address="x", created_at=world.parts.now())
    path = link(world.parts, gone, "survey", "es")
    assert path is not None
    async with a_client(site) as client:
        assert (await client.post(path.removeprefix(HERE), data=CLICK)).status_code == 200


async def test_mails_of_a_case_carry_no_link_nor_does_a_house_without_an_address(
    site: Site, world: World, at_mail: AtMail
) -> None:
    for kind in ("ack", "answer", "receipt", "update", "closing", "agent", "code", "alert"):
        mail = await mail_of(world, at_mail, kind)
        assert mail is not None and mail["List-Unsubscribe"] is None, kind
    hidden = world.parts.company.model_copy(update={"public_url": None})
    world.sending = Sending(replace(world.parts, company=hidden))
    mail = await mail_of(world, at_mail, "survey")
    assert mail is not None and mail["List-Unsubscribe"] is None


def test_the_page_is_for_everybody(live: Live, browser: Browser) -> None:
    """In three languages, by keyboard, without a script, at every width, in light and dark."""
    parts = replace(live.world.parts, company=live.world.parts.company.model_copy(update={"public_url": HERE}))
    spoken = parts.company.languages
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", java_script_enabled=True)
        page = context.new_page()
        for language in spoken:
            someone = ContactPoint(id=uuid4(), person_id=uuid4(), account="email", address="x", created_at=now())
            path = link(parts, someone, "survey", language)
            assert path is not None
            page.goto(live.base + path.removeprefix(HERE))
            assert page.locator("html").get_attribute("lang") == language
            for width in (390, 1440):
                page.set_viewport_size({"width": width, "height": 800})
                assert Axe().run(page).response["violations"] == []
                if folder := os.environ.get("ACUSE_PICTURES"):
                    page.screenshot(path=f"{folder}/unsubscribe-{language}-{scheme}-{width}.png")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.locator("button")).to_have_count(0)
            assert Axe().run(page).response["violations"] == []
            page.set_viewport_size({"width": 320, "height": 256})
            page.wait_for_function("document.documentElement.scrollWidth <= 320")
        context.close()
