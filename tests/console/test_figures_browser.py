"""The manager's page in a real browser: the chart under the strict policy, for everybody, at every width."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, Page, expect

from storage.ids import uuid7_source
from tests.console.conftest import Live, now
from tests.figures_rows import Rows

PASSWORD = "correct horse battery"


@pytest.fixture
def token(live: Live) -> str:
    """A manager's session, in a house with cases of today and yesterday."""

    async def furnish() -> str:
        async with live.world.parts.database.transaction() as tx:
            rows = Rows(tx, uuid7_source(now, Random(2).randbytes))
            for days in (0, 1):
                at = now() - timedelta(days=days, minutes=1)
                for account, type, severity in (
                    ("email", "reclamo", "critical"),
                    ("webchat", "queja", "medium"),
                    ("telegram", "peticion", "low"),
                    ("telegram", "peticion", "high"),
                ):
                    one = rows.conversation(account, at, first_human_at=at + timedelta(seconds=20))
                    rows.said(one, at)
                    rows.left(one, "ack", at + timedelta(seconds=1))
                    rows.left(one, "receipt", at + timedelta(seconds=4))
                    rows.case(one, at, type, severity, due=at.date() - timedelta(days=3))
            await rows.write()
        await live.site.staff.add("elena", "Elena Gil", "manager", PASSWORD)
        return await live.site.staff.log_in("elena", PASSWORD, "test")

    return live.call(furnish)


def opened(
    browser: Browser, live: Live, token: str, width: int, scheme: Literal["light", "dark"], *, script: bool = True
) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
    )
    context.add_cookies([{"name": "acuse_desk", "value": token, "url": f"{live.base}/desk"}])
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda line: told.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: told.append(str(fault)))
    page.goto(f"{live.base}/desk/figures")
    yield page
    context.close()
    assert told == []


def test_the_chart_is_drawn_under_the_strict_policy_and_axe_is_content(
    browser: Browser, live: Live, token: str
) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        for width in (390, 1440):
            for page in opened(browser, live, token, width, scheme):
                drawing = page.locator(".chart-in svg")
                expect(drawing).to_be_visible(timeout=60_000)  # the library is made at the first visit
                expect(drawing.locator(".mark-rect path")).to_have_count(
                    12 + 6
                )  # empty days keep a place without height
                expect(page.locator(".chart-in svg")).to_contain_text("Telegram")
                page.get_by_text("Por día").click()
                report = Axe().run(page, options={"runOnly": TAGS})
                assert [one["id"] for one in report.response["violations"]] == []
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def test_a_piece_of_a_column_says_its_number_and_opens_its_list(browser: Browser, live: Live, token: str) -> None:
    for page in opened(browser, live, token, 1440, "light"):
        piece = page.locator(".chart-in .mark-rect path").nth(12)  # the first of yesterday
        expect(piece).to_be_visible(timeout=60_000)
        piece.hover()
        expect(page.locator(".chart-tip")).to_contain_text("Correo: 1")
        piece.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 caso")
        page.get_by_role("link", name="Volver a los indicadores").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Indicadores")
        report = Axe().run(page, options={"runOnly": TAGS})
        assert [one["id"] for one in report.response["violations"]] == []


def test_without_script_the_chart_is_a_picture(browser: Browser, live: Live, token: str) -> None:
    for page in opened(browser, live, token, 1440, "dark", script=False):
        picture = page.locator(".chart img")
        expect(picture).to_be_visible(timeout=60_000)
        assert "scheme=dark" in page.locator(".chart source").get_attribute("srcset")  # type: ignore[operator]  # it has one
        box = picture.bounding_box()
        assert box is not None
        assert box["height"] > 150
