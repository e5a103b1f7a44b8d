"""The overview of a collection in a real Chromium: filters, order, pages, the enlarged view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from collection_world import blurred, line, save_results
from page_world import browser, sync_api
from rsfiqa.report.collection import save_collection_report
from service_world import PATIENT
from test_report import HOSTILE

__all__ = ["browser"]

expect = sync_api.expect
COUNT = 300


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """300 pictures of rising score, the first ten of them there; every third is blurred."""
    folder = tmp_path_factory.mktemp("collection")
    records = [
        line(
            f"{'trip' if i % 2 else HOSTILE.replace('/', '-')}/{i:03d}.png",
            100 * i / COUNT,
            folder=folder if i < 10 and i % 2 else None,
            readings=None if i % 3 else blurred("a dog" if i % 2 else "a cat", 1 + i / COUNT),
            interval=(100 * i / COUNT - i / 30, 100 * i / COUNT),
            novelty=0.999 if i % 50 == 1 else 0.5,
        )
        for i in range(COUNT)
    ]
    results = save_results(folder / "results.jsonl", records)
    save_collection_report([results], folder / "overview.html")
    return (folder / "overview.html").as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page; nothing may fail in its script, nor ask for anything but files."""
    troubles: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENT)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.on("request", lambda r: None if r.url.startswith("file:") else troubles.append(r.url))
        page.goto(address)
        yield page
        assert troubles == []


def told(page: Any) -> Any:
    return page.locator("#told")


def first_card(page: Any) -> Any:
    return page.locator("#cards .card").first


def test_the_worst_come_first_and_pages_lead_on(page: Any) -> None:
    expect(told(page)).to_have_text("300 pictures")
    expect(first_card(page)).to_contain_text("000.png")
    expect(page.locator("#cards .card")).to_have_count(120)
    page.get_by_role("button", name="After").click()
    page.get_by_role("button", name="After").click()
    expect(page.locator("#page")).to_have_text("Page 3 of 3")
    expect(page.locator("#cards .card")).to_have_count(60)
    expect(page.get_by_role("button", name="After")).to_be_disabled()
    page.reload()
    expect(page.locator("#page")).to_have_text("Page 3 of 3")


def test_strips_show_what_to_look_at_first(page: Any) -> None:
    for name, first in (
        ("Worst", "000"),
        ("Best", "299"),
        ("Least certain", "299"),
        ("Unfamiliar", "001"),
    ):
        strip = page.get_by_role("region", name=name)
        expect(strip.locator(".card").first).to_contain_text(f"{first}.png")
    page.get_by_role("region", name="Unfamiliar").get_by_role("button", name="all in").click()
    expect(told(page)).to_have_text("6 of 300 pictures")


def test_filters(page: Any) -> None:
    page.get_by_label("Lowest score").fill("50")
    expect(told(page)).to_have_text("150 of 300 pictures")
    page.get_by_role("checkbox", name="excellent").check()
    expect(told(page)).to_have_text("60 of 300 pictures")
    page.get_by_label("Problem", exact=True).select_option("blurred")
    expect(told(page)).to_have_text("20 of 300 pictures")
    page.get_by_label("Search").fill("TRIP dog")
    expect(told(page)).to_have_text("10 of 300 pictures")
    expect(page.locator("#active")).to_have_text("(3)")
    page.get_by_role("button", name="Clear").click()
    expect(told(page)).to_have_text("300 pictures")
    page.get_by_label("Problem", exact=True).select_option("no problem found")
    expect(told(page)).to_have_text("0 of 300 pictures")
    page.get_by_label("Problem", exact=True).select_option("any problem")
    page.get_by_label("How bad").select_option("badly")
    expect(told(page)).to_have_text("50 of 300 pictures")
    page.get_by_label("Sort").select_option("best first")
    expect(first_card(page)).to_contain_text("147.png")


def test_a_view_has_an_address(page: Any, address: str) -> None:
    page.goto(f"{address}#levels=bad&sort=best")
    expect(told(page)).to_have_text("60 of 300 pictures")
    expect(first_card(page)).to_contain_text("059.png")
    expect(page.get_by_role("checkbox", name="bad")).to_be_checked()


def test_charts_lead_to_pictures(page: Any) -> None:
    page.get_by_role("button", name="poor: show").click()
    expect(told(page)).to_have_text("60 of 300 pictures")
    page.get_by_role("button", name="Blurred: show").click()
    expect(told(page)).to_have_text("100 of 300 pictures")
    page.get_by_role("button", name="cat 50: show").click()
    expect(told(page)).to_have_text("50 of 300 pictures")
    page.locator(".bin").nth(24).click()
    expect(told(page)).to_have_text("12 of 300 pictures")


def test_the_enlarged_view(page: Any) -> None:
    page.locator("#cards .card", has_text="003.png").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("trip/003.png")
    expect(dialog).to_contain_text("badly blurred, 25 %: dog")
    whole = dialog.locator("img.whole")
    expect(whole).to_have_js_property("naturalWidth", 128)
    dialog.get_by_label("Regions").uncheck()
    expect(dialog.locator(".overlay")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_contain_text("004.png")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_keyboard_moves_among_the_cards(page: Any) -> None:
    first_card(page).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_contain_text("001.png")
    page.keyboard.press("ArrowDown")
    assert page.locator(":focus").get_attribute("data-picture") not in {"0", "1", "2"}
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_nothing_sticks_out(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first_card(page).click()
    assert page.evaluate("document.getElementById('detail').scrollWidth") <= width
