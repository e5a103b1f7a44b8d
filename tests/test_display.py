"""How an assessment shows itself in a notebook."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fake_assessments import assessment, grid_labels, read_assessments, reading
from rsfiqa import Assessment

Pixels = npt.NDArray[np.uint8]

ALLOWED = {"div", "span", "strong", "bdi", "p", "img", "details", "summary", "table", "thead"} | {
    "tbody",
    "tr",
    "th",
    "td",
}


class Page(HTMLParser):
    """The tags, attributes and text of a piece of HTML, which must be well formed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def picture_in(page: Page) -> Image.Image:
    source = dict(page.attributes)["src"]
    assert source is not None
    return Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))


@pytest.fixture(scope="module")
def shown(cat: Pixels) -> Assessment:
    labels = grid_labels(*cat.shape[:2], 2, 2)
    read = {0: reading("a wall"), 1: reading("the cat's ear", blur=2)}
    return assessment(labels, [20, 40, 60, 80], readings=read, picture=cat)


def test_it_shows_score_summary_picture_and_regions(shown: Assessment) -> None:
    page = Page(shown._repr_html_())
    assert f"{shown.score:.1f}" in page.text
    assert shown.level in page.text
    assert shown.summary in page.text
    assert page.tags.count("tr") == 1 + len(shown.regions)
    for region in shown.regions:
        assert f"{region.score:.1f}" in page.text
    assert "ear" in page.text
    picture = picture_in(page)
    assert picture.format == "JPEG"
    assert max(picture.size) <= 1000


def test_it_is_small_and_needs_nothing_else(shown: Assessment) -> None:
    html = shown._repr_html_()
    assert len(html) < 200_000
    assert not re.search(r"https?:|<script|<style|<link|url\(", html)


def test_without_its_picture_it_shows_the_rest(shown: Assessment) -> None:
    page = Page(Assessment.from_json(shown.to_json())._repr_html_())
    assert "img" not in page.tags
    assert page.tags.count("tr") == 1 + len(shown.regions)


def test_the_shares_shown_add_up(shown: Assessment) -> None:
    weights = re.findall(r"([\d.]+)&nbsp;%", shown._repr_html_())
    assert sum(map(float, weights)) == pytest.approx(200)


@settings(max_examples=10)
@given(
    text=st.one_of(
        st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=y>', "</bdi></div>"]),
        st.text(min_size=1, max_size=20),
    )
)
def test_whatever_names_say_is_text(text: str) -> None:
    labels = grid_labels(40, 60, 1, 2)
    result = assessment(
        labels,
        [30, 70],
        readings={0: reading(text), 1: reading("a wall")},
        picture=np.zeros((40, 60, 3), np.uint8),
        image=text,
        notes=(text,),
    )
    page = Page(result._repr_html_())
    assert set(page.tags) <= ALLOWED
    assert page.tags.count("img") == 1
    assert {name for name, _ in page.attributes} <= {
        "style",
        "scope",
        "src",
        "alt",
        "width",
        "height",
        "open",
    }


@settings(max_examples=20)
@given(result=read_assessments())
def test_every_assessment_shows_itself(result: Assessment) -> None:
    assert set(Page(result._repr_html_()).tags) <= ALLOWED


@pytest.mark.parametrize("size", [(60, 3600), (32, 2100), (3600, 60)])
def test_panoramas_are_shown(size: tuple[int, int]) -> None:
    shown = assessment(grid_labels(*size, 1, 2), [40, 60], picture=np.zeros((*size, 3), np.uint8))
    assert "<img" in shown._repr_html_()
