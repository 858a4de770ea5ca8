"""Where providers call: signatures over the public address, 2xx after the commit, one message whatever is repeated."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlmodel import col, select

from bot.consent import refusal
from bot.intake import Intake
from bot.sending import Sending
from channels.channel import Arrival, File, House, Request
from channels.links import link
from channels.twilio_sms import Settings as SmsSettings
from channels.twilio_sms import Sms
from channels.whatsapp import Settings, WhatsApp
from console.site import Settings as SiteSettings
from console.site import Site
from demo.twilio_api import TwilioApi
from storage.listen import Bell
from storage.tables import Message
from tests.channels.at_twilio import ACCOUNT, HERE, TOKEN, a_twilio, callback, signed, wire, written
from tests.console.conftest import a_client, a_site, now
from tests.world import World

ANA = "+573001112233"


@pytest.fixture
def twilio() -> TwilioApi:
    return a_twilio(now=now)


@pytest.fixture
async def site(world: World, database_url: str, twilio: TwilioApi) -> AsyncIterator[Site]:
    """A house with a WhatsApp sender and a number, reached at its public address through a proxy."""
    company = world.parts.company.model_copy(update={"public_url": HERE})
    house = House(world.parts.secret, HERE, "Nube")
    section = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": "+14155238886"}
    whatsapp = WhatsApp("whatsapp", Settings.model_validate(section), now=now, house=house, transport=wire(twilio))
    sms = Sms("sms", SmsSettings.model_validate(section), now=now, house=house, transport=wire(twilio))
    channels = {**world.parts.channels, "whatsapp": whatsapp, "sms": sms}
    world.parts = replace(world.parts, company=company, channels=channels)
    world.intake = Intake(world.parts, lambda text, sticky: sticky or "es")
    yield a_site(world, Bell(database_url))
    await whatsapp.close()
    await sms.close()


async def post(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    """As a proxy passes it on: to a host and a scheme of its own."""
    path = request.url.removeprefix(HERE)
    return await client.post(path, content=request.body, headers=dict(request.headers))


async def rows(world: World) -> list[Message]:
    async with world.parts.database.transaction() as tx:
        return list((await tx.session.exec(select(Message).order_by(col(Message.number)))).all())


async def texts(world: World) -> list[str]:
    return [one.text for one in await rows(world)]


async def test_what_twilio_signed_is_kept_and_answered_with_nothing(site: Site, world: World) -> None:
    async with a_client(site) as client:
        answer = await post(client, signed(written("  Llegó roto  ")))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await texts(world) == ["Llegó roto"]


async def test_nothing_is_confirmed_before_it_is_committed(site: Site, world: World) -> None:
    """A0-1, P5: while the commit is open there is no answer; when it fails there is no 2xx."""
    committed, may_commit = asyncio.Event(), asyncio.Event()
    keep = site.intake.keep

    async def slow(account: str, arrival: Arrival) -> Any:
        await may_commit.wait()
        kept = await keep(account, arrival)
        committed.set()
        return kept

    site.intake.keep = slow  # type: ignore[method-assign]  # the real one, held up
    async with a_client(site) as client:
        asking = asyncio.ensure_future(post(client, signed(written())))
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done and not await texts(world)
        may_commit.set()
        assert (await asking).status_code == 204 and committed.is_set()


async def test_when_the_database_is_away_twilio_is_told_to_come_again(site: Site) -> None:
    async def away(account: str, arrival: Arrival) -> Any:
        raise ConnectionError("away")

    site.intake.keep = away  # type: ignore[method-assign]  # a database that is away
    async with a_client(site) as client:
        assert (await post(client, signed(written()))).status_code >= 500


async def test_P5_twenty_deliveries_at_once_make_one_message(site: Site, world: World) -> None:
    async with a_client(site) as client:
        answers = await asyncio.gather(*(post(client, signed(written("una vez"))) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {204}
    assert await texts(world) == ["una vez"]


async def test_P4_ten_first_messages_at_once_are_one_person_and_one_conversation(site: Site, world: World) -> None:
    async with a_client(site) as client:
        calls = [signed(written(f"{n}", sid=f"SM{n:032d}")) for n in range(10)]
        answers = await asyncio.gather(*(post(client, call) for call in calls))
    assert {answer.status_code for answer in answers} == {204}
    kept = await rows(world)
    assert sorted(int(row.text) for row in kept) == list(range(10))
    assert [row.number for row in kept] == sorted({row.number for row in kept})
    assert len({row.conversation_id for row in kept}) == 1 == len(await world.conversations())


@pytest.mark.parametrize(
    "changed",
    [
        {"token": "another"},
        {"url": f"{HERE.replace('https', 'http')}/webhooks/whatsapp"},
        {"url": "https://10.0.0.7:8080/webhooks/whatsapp"},
    ],
)
async def test_a_wrong_signature_is_refused(site: Site, world: World, changed: dict[str, Any]) -> None:
    request = replace(signed(written(), **changed), url=f"{HERE}/webhooks/whatsapp")
    async with a_client(site) as client:
        assert (await post(client, request)).status_code == 403
    assert await texts(world) == []


async def test_whoever_forges_again_and_again_gets_no_more_answers(site: Site) -> None:
    request = replace(signed(written(), token="another"))
    async with a_client(site, peer="203.0.113.9") as client:
        codes = [(await post(client, request)).status_code for _ in range(32)]
        assert codes == [403] * 30 + [429] * 2
        assert (await post(client, signed(written()))).status_code == 204  # what is signed passes all the same


async def test_other_ways_to_be_wrong(site: Site) -> None:
    async with a_client(site) as client:
        assert (await post(client, signed(written(), url=f"{HERE}/webhooks/nobody"))).status_code == 404
        assert (await post(client, signed(written(), url=f"{HERE}/webhooks/webchat"))).status_code == 404
        assert (await client.get("/webhooks/whatsapp")).status_code == 405
        nameless = {name: value for name, value in written().items() if not name.endswith("Sid")}
        assert (await post(client, signed(nameless))).status_code == 400
        large = signed(written("x" * (1024 * 1024)))
        assert (await post(client, large)).status_code == 413


async def test_a_proxy_is_believed_only_when_it_is_declared(world: World, site: Site) -> None:
    site = replace(site, settings=SiteSettings(trusted_proxies=["10.0.0.0/8"]))
    request = signed(written(), token="another")
    async with a_client(site, peer="10.0.0.2") as client:
        for number in range(31):
            headers = {**request.headers, "x-forwarded-for": f"203.0.113.{number}"}
            answer = await client.post("/webhooks/whatsapp", content=request.body, headers=headers)
            assert answer.status_code == 403  # each of them for the first time


async def test_status_callbacks_come_in_any_order_and_never_move_a_message_back(
    site: Site, world: World, twilio: TwilioApi
) -> None:
    async with a_client(site) as client:
        await post(client, signed(written("Hola, llegó roto")))
        async with world.parts.database.transaction() as tx:
            contact = await tx.people.contact("whatsapp", ANA)
            assert contact is not None
            conversation = await tx.conversations.of(contact)
        await Sending(world.parts).run(conversation.id)
        sid, about = twilio.messages[0]["sid"], twilio.messages[0]["StatusCallback"]
        assert about.startswith(f"{HERE}/webhooks/whatsapp/status?key=")
        for status in ("queued", "read", "sent", "delivered", "delivered", "sending"):
            answer = await post(client, signed(callback(status, sid=sid), url=about))
            assert answer.status_code == 204
    async with world.parts.database.transaction() as tx:
        row = await tx.outbox.by_provider_id("whatsapp", sid)
        assert row is not None and row.state == "read"


async def test_the_typing_sign_goes_out_after_the_commit(site: Site, twilio: TwilioApi) -> None:
    first, second = "SM" + "7" * 32, "SM" + "8" * 32
    async with a_client(site) as client:
        for sid in (first, first, second):
            await post(client, signed(written(sid=sid)))
        async with asyncio.timeout(5):
            while second not in twilio.typing:
                await asyncio.sleep(0.01)
    assert twilio.typing == [first, second]  # a repetition shows nothing


async def test_STOP_is_kept_unanswered_and_the_number_is_closed_until_START(site: Site, world: World) -> None:
    """A0-10: Twilio has confirmed it already; a word of ours would be refused with 21610."""
    url = f"{HERE}/webhooks/sms"
    async with a_client(site) as client:
        for number, (word, blocked) in enumerate((("Stop", True), ("START", False), ("BAJA", False))):
            fields = written(word, sender=ANA, sid=f"SM{number:032d}", To="+15005550006")
            assert (await post(client, signed(fields, url=url))).status_code == 204
            async with world.parts.database.transaction() as tx:
                contact = await tx.people.contact("sms", ANA)
                assert contact is not None and (refusal(contact, "answer") is not None) == blocked
        assert [(row.text, bool(row.machine)) for row in await rows(world)] == [
            ("Stop", True),
            ("START", True),
            ("BAJA", False),
        ]


async def test_a_file_is_handed_to_whoever_holds_its_link_for_a_day(site: Site, world: World) -> None:
    stored = await world.parts.files.put(b"%PDF-1.7 an answer")
    house = House(world.parts.secret, HERE, "Nube")
    file = File("respuesta ñ.pdf", "application/pdf", world.parts.files.path(stored.sha256))
    path = link(house, file, now=now()).removeprefix(HERE)
    over = link(house, file, now=now() - timedelta(hours=25)).removeprefix(HERE)
    async with a_client(site) as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.content) == (200, b"%PDF-1.7 an answer")
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-security-policy"].startswith("sandbox")
        for wrong in (over, path.replace("respuesta", "otra"), path.replace("/f/", "/f/0"), path[:-3] + "exe"):
            assert (await client.get(wrong)).status_code == 404
        await asyncio.to_thread(Path(file.path).unlink)
        assert (await client.get(path)).status_code == 404


async def test_the_body_is_passed_on_untouched(site: Site, world: World) -> None:
    """A blank in Body, a parameter of tomorrow and a doubled one are all under the signature."""
    fields = {**written(" con espacios \n"), "Tomorrow": "", "Ñandú": "á+b&c=d"}
    request = signed(fields)
    assert urlencode(fields).encode() == request.body
    async with a_client(site) as client:
        assert (await post(client, request)).status_code == 204
    assert await texts(world) == ["con espacios"]
