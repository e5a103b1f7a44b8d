"""The HTML report: self-contained, valid, safe, and its numbers add up."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from fake_assessments import assessment, grid_labels, reading
from rsfiqa.errors import RsfiqaError
from rsfiqa.report import save_report
from rsfiqa.report.html import apportion, render_report
from rsfiqa.types import Assessment, Reading

VOID = {"meta", "img", "input", "br", "link", "hr"}
HOSTILE = '"><script>alert(1)</script>&$name\u202egpj.exe'


class Page(HTMLParser):
    """Checks that elements nest, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += text
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += text

    @property
    def spaced(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]


def fake(rows: int = 2, columns: int = 3, **more: Any) -> Assessment:
    picture = data.astronaut()[:300, :400]
    count = rows * columns
    rng = np.random.default_rng(count)
    return assessment(
        grid_labels(300, 400, rows, columns),
        rng.uniform(5, 95, count),
        rng.random(count) + 0.05,
        picture=picture,
        **more,
    )


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (5, 8)])
def test_a_page_about_one_picture(tmp_path: Path, rows: int, columns: int) -> None:
    result = fake(rows, columns)
    path = save_report([result], tmp_path / "new folder" / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    count = rows * columns
    assert len(page.all("use", class_="region")) == count
    assert len(page.all("span", class_="swatch")) == count
    assert result.summary in page.text
    for words in ("bad", "excellent", "photo.jpg", "segmenter grid", "scorer fake"):
        assert words in page.text
    assert all(img.get("alt") is not None for img in page.all("img"))
    assert page.all("div", class_="legend quality-legend")
    assert not page.all("nav")


def test_numbers_shown_add_up_to_the_sums_shown() -> None:
    result = fake(5, 8)
    *regions, total = Page(render_report([result])).rows[1:]
    for column in (2, 3, 4):
        shown = sum(float(row[column]) for row in regions)
        assert shown == pytest.approx(float(total[column]), abs=1e-6)
    assert float(total[4]) == pytest.approx(result.score, abs=0.005)


def test_a_page_about_many_pictures_and_failures() -> None:
    results = [fake(image=f"{i}.jpg") for i in range(4)]
    page = Page(render_report(results, failures=[("broken.jpg", "the file is empty")]))
    assert len(page.all("article")) == 4
    links = {a["href"] for a in page.all("a")}
    assert links == {f"#p{i}" for i in range(4)}
    assert {a["id"] for a in page.all("article")} == {link[1:] for link in links if link}
    assert "broken.jpg: the file is empty" in page.text


def test_nothing_assessed_is_still_a_page() -> None:
    assert "0 pictures assessed, 1 could not be" in Page(render_report([], [("a", "b")])).text


def test_the_page_needs_no_network() -> None:
    text = render_report([fake(), fake()])
    assert not re.search(r"https?:|//[a-z]+\.", re.sub(r"data:image/[^\"]*", "", text))
    page = Page(text)
    assert all((img["src"] or "").startswith("data:image/") for img in page.all("img"))
    assert not page.all("link")
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert policy.startswith("default-src 'none'; img-src data:")


def test_hostile_texts_stay_texts() -> None:
    result = fake(
        image=HOSTILE,
        notes=(HOSTILE,),
        readings={0: reading(HOSTILE, blur=2.0), 1: Reading(status="failed", reason=HOSTILE)},
    )
    hostile_model = replace(result.model, reader=HOSTILE)
    result = replace(result, model=hostile_model)
    page = Page(render_report([result, result], failures=[(HOSTILE, HOSTILE)]))
    assert len(page.all("script")) == 1
    assert page.text.count(HOSTILE) >= 8


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = save_report([fake(image="caf\udce9.jpg")], tmp_path / "report.html")
    assert "caf?.jpg" in path.read_text(encoding="utf-8")


def test_readings_are_shown() -> None:
    readings = {
        0: reading("a clear blue sky", noise=2.0),
        1: Reading(status="failed", reason="no answer"),
    }
    page = Page(render_report([fake(readings=readings)]))
    assert "A clear blue sky: noisy, otherwise clean." in page.text
    assert "The top could not be read: no answer." in page.text
    assert "6 regions, 1 of them could not be read, 4 of them not read" in page.text
    assert "Noise 2.0 poor" in page.spaced
    assert "Sharpness 4.5 excellent" in page.spaced
    assert len(page.all("li", class_="rating")) == 10, "five of the picture, five of the region"
    assert page.all("li", class_="rating")[6]["title"] == "poor 100 %"
    assert "for noise and artifacts, 5 means none" in page.text
    titles = [title["aria-label"] or "" for title in page.all("use", class_="region")]
    assert titles[0].endswith("the weight. A clear blue sky: noisy, otherwise clean.")
    assert titles[2].endswith("of the weight")


def test_a_page_without_readings_says_nothing_of_ratings() -> None:
    page = Page(render_report([fake()]))
    assert "Ratings" not in page.text
    assert not page.all("ul", class_="ratings")
    assert not page.all("tr", class_="detail")


def test_the_heaviest_region_comes_first() -> None:
    result = fake(3, 4)
    *regions, _ = Page(render_report([result])).rows[1:]
    weights = [result.regions[int(row[0])].weight for row in regions]
    assert weights == sorted(weights, reverse=True)


@given(st.text(max_size=200))
@settings(max_examples=25, deadline=None)
def test_whatever_a_reader_writes_the_page_stays_a_page(description: str) -> None:
    read = {
        0: reading(description, noise=2.0),
        1: Reading(status="failed", reason=f"x{description}"),
    }
    page = Page(render_report([assessment([[0, 1]], [50, 60], readings=read)]))
    assert len(page.all("script")) == 1
    assert len(page.all("p", class_="said")) == 1
    assert len(page.all("p", class_="said unread")) == 1


def test_an_assessment_from_json_is_shown_without_its_photo() -> None:
    result = fake()
    back = Assessment.from_json(result.to_json())
    page = Page(render_report([back]))
    assert len(page.all("use", class_="region")) == len(result.regions)
    assert "by region, without the map itself" in page.text
    assert any("not in JSON" in (img["alt"] or "") for img in page.all("img"))


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render_report([fake()]) == render_report([fake()])


def test_a_failed_write_says_so_and_keeps_the_old_report(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(RsfiqaError, match="cannot be written"):
        save_report([fake(1, 1)], tmp_path / "file" / "report.html")
    with pytest.raises(RsfiqaError, match="cannot be written"):
        save_report([fake(1, 1)], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(0, 3))
def test_apportioned_numbers_add_up(values: list[float], digits: int) -> None:
    total = sum(values)
    shown = [float(text) for text in apportion(values, total, digits)]
    assert sum(shown) == pytest.approx(float(apportion([total], total, digits)[0]), abs=1e-6)
    assert all(abs(a - b) <= 10.0**-digits + 1e-6 for a, b in zip(shown, values, strict=True))
