"""The page of `rsfiqa serve` in a real Chromium: what people do with it, and what goes wrong."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from page_world import SHOWN, Served, browser, choose, opened, page_server, sync_api
from rsfiqa.images import load_image
from rsfiqa.report import save_report
from rsfiqa.types import Assessment
from service_world import encoded

__all__ = ["browser"]

expect = sync_api.expect
HOSTILE = "<img src=x onerror=alert(1)>"


def small(picture: Any) -> Any:
    """A picture of 256 pixels and more, above which outlines are simplified."""
    return np.asarray(Image.fromarray(picture).resize((300, 240)))


CAT = ("cat.png", encoded(small(data.chelsea())))
WOMAN = ("woman.jpg", encoded(small(data.astronaut()), "JPEG"))


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with page_server(max_bytes=500_000) as server:
        yield server


@pytest.fixture
def page(browser: Any, server: Served) -> Iterator[Any]:
    with opened(browser, server.url) as page:
        yield page


def card(page: Any, name: str) -> Any:
    return page.locator("#tray li", has_text=name)


def region(page: Any, index: int) -> Any:
    return page.locator(".region").nth(index)


def told(page: Any) -> Any:
    return page.locator(".region-card")


def layer(page: Any, name: str) -> None:
    page.locator(".segments label", has_text=re.compile(f"^{name}$")).first.click()


def test_a_picture_is_assessed_and_shown(page: Any) -> None:
    expect(page.locator("#limits")).to_have_text("Each up to 500 kB and 64 megapixels.")
    choose(page, CAT)
    expect(page.get_by_role("heading", name="cat.png")).to_be_visible()
    expect(page.locator(".region")).to_have_count(len(SHOWN))
    answer = page.evaluate("document.querySelector('.badge b').textContent")
    expect(card(page, "cat.png")).to_contain_text(answer)
    expect(page.locator("#status")).to_have_text(re.compile(rf"cat\.png: {answer}, \w+\."))
    expect(page.locator(".picture > .ratings .rating")).to_have_count(5)
    rows = page.get_by_role("row", name=re.compile(r"^\d "))
    expect(rows).to_have_count(len(SHOWN))
    expect(page.locator(".numbers")).to_contain_text("A brown dog")
    expect(page.locator("tr.detail .rating")).to_have_count(5 * 4)
    expect(page.locator(".photo")).to_have_js_property("naturalWidth", 300)


def test_many_pictures_say_how_far_they_are(page: Any, server: Served) -> None:
    server.hold()
    try:
        choose(page, CAT, WOMAN, ("third.png", encoded(9)), ("fourth.png", encoded(8)))
        expect(card(page, "cat.png")).to_contain_text("assessing")
        expect(card(page, "third.png")).to_contain_text("waiting")
        expect(page.get_by_role("progressbar")).to_have_count(4)
        expect(card(page, "cat.png")).to_contain_text(re.compile(r"assessing, \d+ s"))
        page.get_by_role("button", name="Cancel: third.png").click()
        expect(card(page, "third.png")).to_contain_text("Cancelled.")
        page.get_by_role("button", name="Cancel: cat.png").click()
        expect(card(page, "fourth.png")).to_contain_text("assessing")
    finally:
        server.release()
    for name in ("woman.jpg", "fourth.png"):
        expect(card(page, name)).to_have_attribute("data-state", "done")
    card(page, "woman.jpg").locator(".open").click()
    expect(page.get_by_role("heading", name="woman.jpg")).to_be_visible()
    page.get_by_role("button", name="Try again: third.png").click()
    expect(card(page, "third.png")).to_have_attribute("data-state", "done")
    page.get_by_role("button", name="Remove: woman.jpg").click()
    expect(page.get_by_role("heading", name="fourth.png")).to_be_visible()
    expect(page.locator("#tray li")).to_have_count(3)


def test_the_pointer_tells_of_regions(page: Any) -> None:
    choose(page, CAT)
    expect(told(page)).to_contain_text("Point at a region")
    dog = SHOWN.index("a brown dog")
    region(page, dog).hover()
    expect(told(page).get_by_role("heading")).to_contain_text("A brown dog: ")
    expect(told(page).locator(".rating")).to_have_count(5)
    expect(told(page)).to_contain_text(re.compile(r"Noise\s+2\.0 poor"))
    expect(told(page)).to_contain_text("16.7 % of the weight")
    expect(page.locator(f"tbody[data-region='{dog}']")).to_have_class("on")
    page.mouse.move(2, 2)
    expect(told(page)).to_contain_text("Point at a region")
    page.locator("tbody[data-region='3'] th").hover()
    expect(told(page)).to_contain_text("could not be read: no answer")
    page.mouse.move(2, 2)
    page.get_by_role("button", name="Show the worst region").click()
    expect(region(page, 3)).to_have_attribute("aria-pressed", "true")
    expect(told(page)).to_contain_text("Region 3")


def test_the_keyboard_reaches_every_region(page: Any) -> None:
    choose(page, CAT)
    page.locator("input[value=borders]").focus()
    page.keyboard.press("Tab")
    expect(region(page, 0)).to_be_focused()
    expect(told(page).get_by_role("heading")).to_contain_text("A clear blue sky: ")
    page.keyboard.press("ArrowRight")
    expect(told(page).get_by_role("heading")).to_contain_text("A brown dog: ")
    for key, index in (("End", 4), ("ArrowDown", 0), ("ArrowLeft", 4), ("Home", 0)):
        page.keyboard.press(key)
        expect(region(page, index)).to_be_focused()
    page.keyboard.press("Enter")
    expect(region(page, 0)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")  # on to the table, with the region still told of
    expect(told(page).get_by_role("heading")).to_contain_text("A clear blue sky: ")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    expect(told(page)).to_contain_text("Point at a region")
    expect(region(page, 0)).to_be_focused()
    label = region(page, 1).get_attribute("aria-label")
    assert label.startswith("Region 1. A brown dog: ")


def test_everything_can_be_done_without_a_pointer(page: Any) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    choose(page, CAT, WOMAN)
    expect(card(page, "woman.jpg")).to_have_attribute("data-state", "done")
    page.locator("#tray .open").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stage h2")).to_have_text("woman.jpg")
    expect(page.locator("#stage h2")).to_be_focused()
    page.locator(".segments input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tints.quality")).to_be_visible()


def test_a_finger_chooses_regions(browser: Any, server: Served) -> None:
    narrow = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    with opened(browser, server.url, **narrow) as page:
        choose(page, CAT)
        region(page, 1).tap()
        expect(told(page).get_by_role("heading")).to_contain_text("A brown dog: ")
        region(page, 2).tap()
        expect(told(page).get_by_role("heading")).to_contain_text("Trees: ")
        region(page, 2).tap()
        expect(region(page, 2)).to_have_attribute("aria-pressed", "false")


def test_layers(page: Any) -> None:
    choose(page, CAT)
    expect(page.locator(".edge.light")).to_be_visible()
    page.get_by_label("Borders and numbers").uncheck()
    expect(page.locator(".edge.light")).to_be_hidden()
    page.get_by_label("Borders and numbers").check()
    layer(page, "Score")
    expect(page.locator(".tints.quality")).to_be_visible()
    expect(page.locator(".tints.noise")).to_be_hidden()
    layer(page, "Noise")
    expect(page.locator(".tints.quality")).to_be_hidden()
    expect(page.locator(".tints.noise")).to_be_visible()
    expect(page.locator(".tag[data-region='1']")).to_contain_text("2.0")
    expect(page.locator(".tag[data-region='1'] .scored")).to_be_hidden()
    # The unread region has no colour; poor and bad ones have a pattern beside theirs.
    expect(page.locator(".tints.noise use:not(.hatched)")).to_have_count(4)
    fills = page.locator(".tints.noise .hatched").evaluate_all(
        "es => es.map(e => e.getAttribute('fill'))"
    )
    assert [re.sub(r"url\(#p\d+-|\)", "", fill) for fill in fills] == ["bad", "poor"]
    layer(page, "Attention")
    heat = page.locator("canvas.attention")
    expect(heat).to_be_visible()
    expect(page.locator(".attention-legend .ticks")).to_contain_text("or more")
    pixels = heat.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    colors = np.reshape(pixels, (-1, 4))
    assert len(np.unique(colors, axis=0)) > 50
    assert colors[:, 3].min() > 100


def test_two_pictures_side_by_side(page: Any) -> None:
    choose(
        page,
        ("dark.png", encoded(small(data.astronaut() // 3))),
        ("light.png", encoded(220, size=(300, 240))),
    )
    page.locator("#tray .open", has_text="dark.png").click()
    page.get_by_label("Compare with").select_option(label="light.png")
    expect(page.get_by_role("heading", name="Side by side")).to_be_focused()
    expect(page.locator(".comparison")).to_contain_text(
        re.compile(r"light\.png is better by [\d.]+ points")
    )
    expect(page.locator(".comparison")).to_contain_text("differ most in sharpness")
    table = page.get_by_role("table", name="Differences")
    for name in ("Score", "Colour", "Noise", "Artifacts", "Sharpness", "Overall", "Worst region"):
        expect(table.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
    expect(table).to_contain_text(re.compile(r"\+[\d.]+ better"))
    expect(table).to_contain_text("about the same")
    expect(page.locator(".pair .picture")).to_have_count(2)
    layer(page, "Noise")  # of the first, and the second follows
    assert (
        page.locator(".segments input[value=noise]").evaluate_all("es => es.map(e => e.checked)")
        == [True] * 2
    )
    left, right = page.locator(".pair .picture").evaluate_all(
        "es => es.map(e => e.getBoundingClientRect().toJSON())"
    )
    assert left["top"] == right["top"]
    assert right["left"] >= left["right"]
    page.get_by_role("button", name="End comparison").click()
    expect(page.locator("#stage .picture")).to_have_count(1)
    expect(page.locator("#stage h2")).to_have_text("dark.png")


def test_what_is_no_picture_is_said_at_once(page: Any) -> None:
    expect(page.locator("#limits")).not_to_be_empty()
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), dtype=np.uint8)
    choose(page, ("notes.txt", b"hello"), ("empty.png", b""), ("large.png", encoded(noise)))
    expect(card(page, "notes.txt")).to_contain_text("notes.txt is no picture.")
    expect(card(page, "empty.png")).to_contain_text("empty.png is empty.")
    expect(card(page, "large.png")).to_contain_text(
        re.compile(r"large\.png has \d+ kB; at most 500 kB are taken\.")
    )
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_what_the_server_refuses_is_said_in_its_place(page: Any) -> None:
    choose(
        page,
        ("broken.jpg", b"\xff\xd8\xff\xe0 no more"),
        ("refuse.png", encoded()),
        ("bug.png", encoded()),
    )
    expect(card(page, "broken.jpg").locator(".trouble")).to_contain_text("broken.jpg")
    expect(card(page, "refuse.png")).to_contain_text("refuse.png is refused.")
    expect(card(page, "bug.png")).to_contain_text("The server has a fault")
    expect(page.get_by_role("button", name=re.compile("Try again"))).to_have_count(1)
    expect(page.locator("#stage")).to_be_empty()


REMEMBER = """() => {
  const tray = document.querySelector("#tray");
  window.shown = [];
  new MutationObserver(() => window.shown.push(tray.textContent))
    .observe(tray, { subtree: true, childList: true, characterData: true });
}"""
"""Whatever the list of pictures says from now on, were it for a moment only."""


def test_a_busy_server_is_asked_again(page: Any) -> None:
    answers = iter([429, 503])

    def busy(route: Any) -> None:
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, headers={"Retry-After": "1"}, json={"error": "busy."})

    page.route("**/v1/assess", busy)
    page.evaluate(REMEMBER)
    choose(page, CAT)
    expect(page.get_by_role("heading", name="cat.png")).to_be_visible()
    shown = page.evaluate("window.shown")
    assert any("The server is busy; asking again in 1 s." in text for text in shown)
    assert next(answers, None) is None, "it was asked twice in vain"


def test_a_full_queue(browser: Any) -> None:
    with page_server(queue=1, max_batch=1) as server, opened(browser, server.url) as page:
        server.hold()
        choose(page, CAT, WOMAN)
        expect(page.locator("#tray")).to_contain_text("The server is busy; asking again")
        server.release()
        expect(page.locator("#tray li[data-state=done]")).to_have_count(2)


def test_a_server_that_is_gone(page: Any) -> None:
    page.route("**/v1/assess", lambda route: route.abort())
    choose(page, CAT)
    expect(card(page, "cat.png")).to_contain_text(
        "The server does not answer; is it still running?"
    )
    page.unroute("**/v1/assess")
    page.get_by_role("button", name="Try again: cat.png").click()
    expect(page.get_by_role("heading", name="cat.png")).to_be_visible()


def test_answers_of_others_than_the_server(page: Any) -> None:
    page.route("**/v1/assess", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"))
    choose(page, CAT)
    expect(card(page, "cat.png")).to_contain_text("The picture is larger than the server takes.")


def test_a_server_with_a_key(browser: Any) -> None:
    with page_server(api_key="sesame") as server, opened(browser, server.url) as page:
        expect(page.locator("#key")).to_be_visible()
        choose(page, CAT)
        expect(card(page, "cat.png")).to_contain_text("This server wants its key")
        page.get_by_label("This server wants its key.").fill("wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#key")).to_be_visible()
        page.get_by_label("This server wants its key.").fill("sesame")
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("heading", name="cat.png")).to_be_visible()
        expect(page.locator("#key")).to_be_hidden()


TRANSFER = """async ([kind, name, bytes, type]) => {
  const file = new File([new Uint8Array(bytes)], name, { type });
  const transfer = new DataTransfer();
  transfer.items.add(file);
  const options = { bubbles: true, cancelable: true };
  if (kind === "paste") {
    document.body.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
    return;
  }
  for (const step of kind) {
    document.body.dispatchEvent(new DragEvent(step, { ...options, dataTransfer: transfer }));
  }
}"""


def test_pictures_are_dropped_and_pasted(page: Any) -> None:
    name, content = CAT
    sent = [name, list(content), "image/png"]
    page.evaluate(TRANSFER, [["dragenter", "dragover"], *sent])
    expect(page.locator("#zone")).to_have_class(re.compile("over"))
    page.evaluate(TRANSFER, [["drop"], *sent])
    expect(page.locator("#zone")).not_to_have_class(re.compile("over"))
    expect(card(page, "cat.png")).to_have_attribute("data-state", "done")
    page.evaluate(TRANSFER, ["paste", "image.png", list(content), "image/png"])
    expect(card(page, "pasted picture 1.png")).to_have_attribute("data-state", "done")


def saved(page: Any, button: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role("group", name="Download").get_by_role("button", name=button).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_downloads(page: Any, server: Served) -> None:
    choose(page, CAT)
    name, content = saved(page, "JSON")
    assert name == "cat.json"
    expected = server.reading.assess(load_image(CAT[1], name="cat.png"))
    assert json.loads(content) == json.loads(expected.to_json())  # type: ignore[union-attr]
    name, content = saved(page, "Overlay")
    assert name == "cat.regions.png"
    assert Image.open(io.BytesIO(content)).width >= 300
    layer(page, "Attention")
    assert saved(page, "Overlay")[0] == "cat.attention.png"
    name, content = saved(page, "Report")
    assert name == "cat.html"
    assert content.startswith(b"<!doctype html>")
    page.route("**/v1/assess", lambda route: route.abort())
    page.get_by_role("button", name="Report").click()
    expect(page.locator(".actions")).to_contain_text("The server does not answer")


def test_regions_need_not_be_read(page: Any, server: Served) -> None:
    page.get_by_label("Describe and rate each region").uncheck()
    choose(page, ("unread.png", CAT[1]))
    expect(page.get_by_role("heading", name="unread.png")).to_be_visible()
    assert ["unread.png"] in server.silent.batches
    assert not any("unread.png" in batch for batch in server.reading.batches)
    expect(page.locator(".ratings")).to_have_count(0)
    expect(page.locator(".segments label")).to_have_count(3)
    region(page, 0).hover()
    expect(told(page)).to_contain_text("Nobody read this region")


def test_regions_are_told_in_the_words_of_the_json(page: Any, server: Served) -> None:
    picture = load_image(CAT[1], name="cat.png")
    result = server.reading.assess(picture)
    assert isinstance(result, Assessment)
    said = [region["sentence"] for region in result.to_dict()["regions"]]
    choose(page, CAT)
    for k, sentence in enumerate(said):
        region(page, k).hover()
        expect(told(page).get_by_role("heading")).to_have_text(sentence)
        expect(page.locator(f"tbody[data-region='{k}'] .said")).to_have_text(sentence)
        assert sentence in region(page, k).get_attribute("aria-label")


def test_hostile_names_and_readings_stay_texts(page: Any) -> None:
    choose(page, (f"hostile.{HOSTILE}.png", CAT[1]))
    expect(page.locator("#stage h2")).to_contain_text(HOSTILE)
    region(page, 0).hover()
    expect(told(page).get_by_role("heading")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0


def test_a_picture_that_the_browser_cannot_show(page: Any) -> None:
    choose(page, ("scan.tif", encoded(small(data.chelsea()), "TIFF")))
    expect(page.locator("#stage")).to_contain_text("does not show pictures of this kind")
    expect(page.locator(".tints.quality")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nothing_sticks_out(browser: Any, server: Served, width: int) -> None:
    with opened(browser, server.url, viewport={"width": width, "height": 900}) as page:
        choose(page, CAT, ("best" * 20 + ".png", WOMAN[1]), ("b" * 80 + ".txt", b"-"))
        expect(page.locator("#tray li[data-state=done]")).to_have_count(2)
        region(page, 1).hover()

        def wide() -> int:
            """The page's width, or that of a card that is narrower than what it holds."""
            cards = (
                "[...document.querySelectorAll('.card')].some(c => c.scrollWidth > c.clientWidth)"
            )
            return int(page.evaluate(f"{cards} ? 9999 : document.documentElement.scrollWidth"))

        assert wide() <= width
        page.get_by_label("Compare with").select_option(index=1)
        expect(page.locator(".pair .picture")).to_have_count(2)
        assert wide() <= width


def test_light_and_dark(page: Any) -> None:
    choose(page, CAT)
    expect(page.locator(".facts")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert (sum(_rgb(page, "body", "backgroundColor")) < 384) == (scheme == "dark")
        assert _contrast(page, "body") > 7
        assert _contrast(page, ".facts", behind=".picture") > 4.5
        assert _contrast(page, ".choose span") > 4.5


def _rgb(page: Any, selector: str, name: str) -> list[int]:
    style = page.locator(selector).first.evaluate("(e, n) => getComputedStyle(e)[n]", name)
    return [int(v) for v in re.findall(r"\d+", style)[:3]]


def _contrast(page: Any, selector: str, behind: str | None = None) -> float:
    """The contrast ratio of WCAG 2 between text and its ground."""

    def luminance(rgb: list[int]) -> float:
        v = np.array(rgb) / 255
        linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    text = luminance(_rgb(page, selector, "color"))
    ground = luminance(_rgb(page, behind or selector, "backgroundColor"))
    return (max(text, ground) + 0.05) / (min(text, ground) + 0.05)


def test_the_theme_is_remembered(browser: Any, server: Served) -> None:
    with opened(browser, server.url, color_scheme="light") as page:
        assert sum(_rgb(page, "body", "backgroundColor")) > 384
        page.get_by_label("Theme").select_option("dark")
        assert sum(_rgb(page, "body", "backgroundColor")) < 384
        page.reload()
        assert sum(_rgb(page, "body", "backgroundColor")) < 384
        expect(page.get_by_label("Theme")).to_have_value("dark")
        page.get_by_label("Theme").select_option("system")
        page.reload()
        assert sum(_rgb(page, "body", "backgroundColor")) > 384


def test_motion_is_left_out_where_it_is_unwanted(browser: Any, server: Served) -> None:
    for motion, moves in (("no-preference", True), ("reduce", False)):
        with opened(browser, server.url, reduced_motion=motion) as page:
            server.hold()
            choose(page, CAT)
            expect(card(page, "cat.png")).to_have_attribute("data-state", "assessing")
            name = page.locator("progress").evaluate("e => getComputedStyle(e).animationName")
            server.release()
            assert (name != "none") == moves
            expect(page.locator(".region")).to_have_count(len(SHOWN))


def test_who_cannot_see_it_is_told_everything(page: Any) -> None:
    choose(page, CAT)
    expect(page.get_by_role("heading", name="cat.png")).to_be_visible()
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=button]")]
            .filter((e) => !e.closest("[hidden]"))
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    expect(page.get_by_role("table", name=re.compile("Regions, heaviest first"))).to_be_visible()
    expect(page.get_by_role("group", name="Regions of the picture")).to_be_visible()
    page.locator("thead").get_by_role("button", name="Score").click()
    expect(page.get_by_role("columnheader", name="Score")).to_have_attribute(
        "aria-sort", "ascending"
    )


def test_the_report_has_the_same_parts(browser: Any, server: Served, tmp_path: Path) -> None:
    picture = load_image(CAT[1], name="cat.png")
    path = save_report([server.reading.assess(picture)], tmp_path / "report.html")
    with opened(browser, path.as_uri(), color_scheme="dark") as page:
        region(page, 1).hover()
        expect(page.locator(".readout")).to_contain_text("A brown dog")
        page.mouse.move(2, 2)
        region(page, 0).focus()
        page.keyboard.press("ArrowRight")
        expect(region(page, 1)).to_be_focused()
        layer(page, "Noise")
        expect(page.locator(".tints.noise")).to_be_visible()
        expect(page.locator(".tag[data-region='1'] .rated.noise")).to_have_text("2.0")
        assert sum(_rgb(page, "body", "backgroundColor")) < 384
    with opened(browser, path.as_uri(), java_script_enabled=False) as page:
        layer(page, "Score")
        expect(page.locator(".tints.quality")).to_be_visible()
