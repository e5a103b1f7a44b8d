"""The page's modules that compute: each says the same as its twin in Python."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from page_world import browser, opened, page_server
from rsfiqa.partition import Partition
from rsfiqa.report.html import apportion
from rsfiqa.report.layers import labels_at
from rsfiqa.report.outlines import trace_outlines
from rsfiqa.report.palette import HEAT, QUALITY, ink_on
from rsfiqa.report.readings import value_text
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.sentences.numbers import score_text
from rsfiqa.types import level_of

__all__ = ["browser"]

MODULES = ["rle", "outlines", "scales", "words", "grey16", "places", "compare"]

Call = Callable[..., Any]
few = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def call(browser: Any) -> Iterator[Call]:
    """Call what a module of the page exports, with JSON in and out."""
    with page_server() as server, opened(browser, server.url) as page:

        def call(code: str, argument: Any = None) -> Any:
            # The page's policy forbids eval to scripts, and so `code` is part of what is sent in.
            return page.evaluate(
                f"""async (a) => {{
                  const names = {MODULES};
                  const loaded = await Promise.all(names.map((n) => import(`/page/${{n}}.js`)));
                  const m = Object.fromEntries(names.map((n, i) => [n, loaded[i]]));
                  return await ({code});
                }}""",
                argument,
            )

        yield call


@st.composite
def label_maps(draw: st.DrawFn, most: int = 24) -> npt.NDArray[np.int64]:
    """Any partition of a small picture."""
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    ids = st.integers(0, draw(st.integers(0, 5)))
    raw = draw(hnp.arrays(np.int64, (height, width), elements=ids))
    compact: npt.NDArray[np.int64] = np.unique(raw, return_inverse=True)[1].reshape(raw.shape)
    return compact


@given(label_maps())
@few
def test_masks_decode_as_pycocotools_does(call: Call, labels: npt.NDArray[np.int64]) -> None:
    masks = Partition(labels).to_rle()
    shape = labels.shape
    decoded = call("a.masks.map(({counts}) => m.rle.runsOf(counts))", {"masks": masks})
    for mask, runs in zip(masks, decoded, strict=True):
        rle = {"size": list(shape), "counts": mask["counts"].encode()}
        expected = coco.decode(rle)
        flat = np.repeat(np.arange(len(runs)) % 2, runs)
        assert (flat.reshape(shape, order="F") == expected).all()
    whole = call(
        "[...m.rle.labelMap(a.masks, a.w, a.h)]", {"masks": masks, "w": shape[1], "h": shape[0]}
    )
    assert (np.reshape(whole, shape) == labels).all()


def test_long_runs_do_not_wrap(call: Call) -> None:
    height = width = 1 << 15
    start, end = 3, height * width - 5
    rle = coco.frPyObjects(
        {"size": [height, width], "counts": [start, end - start, 5]}, height, width
    )
    runs = call("m.rle.runsOf(a)", rle["counts"].decode())
    assert runs == [start, end - start, 5]


@given(label_maps(), st.data())
@few
def test_smaller_label_maps_as_the_report_makes_them(
    call: Call, labels: npt.NDArray[np.int64], data: st.DataObject
) -> None:
    partition = Partition(labels)
    height = data.draw(st.integers(1, partition.height))
    width = data.draw(st.integers(1, partition.width))
    sent = {"masks": partition.to_rle(), "w": width, "h": height}
    shown = call("[...m.rle.labelMap(a.masks, a.w, a.h)]", sent)
    assert (np.reshape(shown, (height, width)) == labels_at(partition, height, width)).all()


def _signed_areas(shapes: list[list[Any]]) -> dict[int, float]:
    """The area inside each region's path, holes taken off, by the shoelace formula."""
    areas = {}
    for label, path in shapes:
        total = 0.0
        for ring in re.findall(r"M([^Mz]*)z", path):
            points = np.array(re.findall(r"-?[\d.]+", ring), dtype=float).reshape(-1, 2) / 10
            x, y = points.T
            total += float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        areas[label] = total
    return areas


@pytest.mark.parametrize("tolerance", [0, 0.75])
@given(label_maps())
@few
def test_outlines_hold_their_regions(
    call: Call, tolerance: float, labels: npt.NDArray[np.int64]
) -> None:
    height, width = labels.shape
    sent = {"labels": labels.ravel().tolist(), "w": width, "h": height, "t": tolerance}
    code = "[...m.outlines.traceOutlines(Uint16Array.from(a.labels), a.w, a.h, a.t).shapes]"
    areas = _signed_areas(call(code, sent))
    assert sum(areas.values()) == pytest.approx(labels.size), "no gap and no overlap"
    if tolerance == 0:
        assert areas == {k: int(n) for k, n in enumerate(np.bincount(labels.ravel()))}
    else:
        expected = {
            k: sum(
                float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 for x, y in (r.T for r in rings)
            )
            for k, rings in trace_outlines(labels, tolerance).rings.items()
        }
        assert set(areas) == set(expected)
        for k, area in expected.items():
            assert areas[k] == pytest.approx(area, abs=0.75 * sum(labels.shape))


def test_colours_are_those_of_the_report(call: Call) -> None:
    tables = call("[m.scales.QUALITY.table, m.scales.HEAT.table]")
    for table, scale in zip(tables, (QUALITY, HEAT), strict=True):
        assert np.abs(np.array(table) - scale.table.astype(int)).max() <= 1
    inks = call("Array.from({length: 101}, (_, i) => m.scales.QUALITY.ink(i / 100))")
    expected = ["#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(i / 100))) for i in range(101)]
    assert inks == expected


def test_numbers_are_those_of_the_report(call: Call) -> None:
    scores = np.concatenate([np.linspace(0, 100, 1001), np.linspace(79.9, 80.1, 40)]).tolist()
    assert call("a.map(m.words.levelOfScore)", scores) == [level_of(s) for s in scores]
    for digits in (0, 1):
        shown = call("a.s.map((s) => m.words.scoreText(s, a.d))", {"s": scores, "d": digits})
        # A half is rounded up here and to even there.
        wrong = [
            (s, a)
            for s, a in zip(scores, shown, strict=True)
            if a != score_text(s, digits) and abs(s * 10**digits % 1 - 0.5) > 1e-6
        ]
        assert wrong == []
    ratings = np.linspace(1, 5, 401).tolist()
    assert call("a.map(m.words.levelOfRating)", ratings) == [level_of_rating(v) for v in ratings]
    shown = call("a.map(m.words.ratingText)", ratings)
    wrong = [
        v
        for v, a in zip(ratings, shown, strict=True)
        if a != value_text(v) and abs(v * 10 % 1 - 0.5) > 1e-6
    ]
    assert wrong == []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(0, 3))
@few
def test_shares_are_those_of_the_report(call: Call, values: list[float], digits: int) -> None:
    assume(
        abs(sum(values) * 10**digits % 1 - 0.5) > 1e-6
    )  # a half is rounded up here, to even there
    shown = call("m.words.apportion(a.v, a.t, a.d)", {"v": values, "t": sum(values), "d": digits})
    assert sum(map(float, shown)) == pytest.approx(
        sum(map(float, apportion(values, sum(values), digits))), abs=1e-6
    )


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
@few
def test_grey_pictures_keep_their_sixteen_bits(call: Call, grey: npt.NDArray[np.uint16]) -> None:
    _equal_grey(call, grey)


def test_every_filter_of_a_grey_picture(call: Call) -> None:
    y, x = np.mgrid[:64, :90]
    noise = np.random.default_rng(0).integers(0, 2000, (64, 90))
    # Rows of ramps, slopes and noise make the encoder choose each of its filters.
    rows = np.where(y % 16 < 4, x * 700, np.where(y % 16 < 8, y * 900, x * 300 + y * 200 + noise))
    _equal_grey(call, rows.astype(np.uint16))


def _equal_grey(call: Call, grey: npt.NDArray[np.uint16]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    code = "m.grey16.grey16(a).then(({width, height, values}) => [width, height, [...values]])"
    width, height, values = call(code, base64.b64encode(buffer.getvalue()).decode())
    assert (height, width) == grey.shape
    assert (np.reshape(values, grey.shape) == grey).all()


@given(label_maps(40))
@few
def test_numbers_stand_in_their_regions(call: Call, labels: npt.NDArray[np.int64]) -> None:
    height, width = labels.shape
    sent = {"labels": labels.ravel().tolist(), "w": width, "h": height}
    code = "[...m.places.placeLabels(Uint16Array.from(a.labels), a.w, a.h, [0.08, 0.02])]"
    places = dict(call(code, sent))
    assert set(places) == set(labels.ravel().tolist())
    for label, place in places.items():
        assert labels[int(place["y"] * height), int(place["x"] * width)] == label


def _answer(score: float, **ratings: float) -> dict[str, Any]:
    full = {"color": 4.0, "noise": 4.0, "artifact": 4.0, "blur": 4.0, "overall": 4.0} | ratings
    region = {"id": 0, "score": score, "weight": 1.0, "level": level_of(score), "description": "it"}
    return {
        "score": score,
        "level": level_of(score),
        "ratings": full,
        "interval": None,
        "regions": [region],
    }


def test_differences_are_named(call: Call) -> None:
    a, b = _answer(40, blur=2.0), _answer(70, noise=3.0)

    def between(first: Any, second: Any) -> Any:
        sent = {"a": {"name": "a.jpg", "answer": first}, "b": {"name": "b.jpg", "answer": second}}
        return call("m.compare.differences(a.a, a.b)", sent)

    told = between(a, b)
    assert told["sentences"] == [
        "b.jpg is better by 30.0 points (70.0 against 40.0).",
        (
            "Their ratings differ most in sharpness (4.0 against 2.0, better in b.jpg) and noise "
            "(4.0 against 3.0, better in a.jpg)."
        ),
    ]
    rows = {row["name"]: row["difference"] for row in told["rows"]}
    assert rows["Score"] == rows["Worst region"] == "+30.0 better"
    assert rows["Sharpness"] == "+2.0 better"
    assert rows["Noise"] == "−1.0 worse"
    assert rows["Colour"] == "about the same"
    same = between(a, a)
    assert same["sentences"] == [
        "The two score about the same: 40.0 and 40.0.",
        "Their ratings are about the same.",
    ]
    unread = between(a | {"ratings": None}, b)
    assert len(unread["sentences"]) == 1
    assert [row["name"] for row in unread["rows"]] == ["Score", "Worst region"]
    near = between(a | {"interval": [30, 60]}, b | {"interval": [55, 80]})
    assert "people may rank them the other way" in near["sentences"][0]
