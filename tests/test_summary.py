"""Summaries: the level word first, then only what the numbers say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assessments import assessment, grid_labels, reading
from rsfiqa.summary import CLEAR_GAP, place_of, score_text, summarize
from rsfiqa.types import Reading, level_of

THIRDS = grid_labels(90, 120, 3, 3)


def test_an_even_picture_is_called_even() -> None:
    assert (
        summarize(assessment(THIRDS, [63] * 9))
        == "Good (63 of 100). Quality is even across the picture."
    )


def test_the_weakest_region_is_named_with_place_score_and_size() -> None:
    text = summarize(assessment(THIRDS, [70, 70, 70, 70, 70, 70, 70, 70, 30]))
    assert text == (
        "Good (66 of 100). The lower right (region 8: 30 of 100, 11 % of the picture) "
        "stands out as weakest."
    )


def test_several_weak_regions_are_counted() -> None:
    text = summarize(assessment(THIRDS, [20, 70, 70, 30, 70, 70, 40, 70, 70]))
    assert "The upper left (region 0: 20 of 100" in text
    assert "and the left (region 3: 30 of 100" in text
    assert text.endswith(
        "stand out as weakest; 1 more region also scores clearly below most of the picture."
    )


def test_a_picture_with_one_strong_region_is_not_called_even() -> None:
    text = summarize(assessment(THIRDS, [50, 50, 50, 50, 80, 50, 50, 50, 50]))
    assert "The centre (region 4: 80 of 100" in text
    assert "best" in text


def test_a_tiny_weak_region_is_counted_but_not_named() -> None:
    labels = np.zeros((100, 100), dtype=int)
    labels[3, 3] = 1
    text = summarize(assessment(labels, [70, 10]))
    assert text == "Good (70 of 100). Quality is even across the picture, but for 1 small spot."


def test_a_single_region_says_nothing_of_places() -> None:
    text = summarize(assessment(np.zeros((40, 40), dtype=int), [12]))
    assert text == "Bad (12 of 100). The whole picture was judged as one region."


@pytest.mark.parametrize(
    ("box", "place"),
    [
        (np.s_[0:30, 0:30], "the upper left"),
        (np.s_[35:65, 35:65], "the centre"),
        (np.s_[0:30, 0:100], "the upper part"),
        (np.s_[40:60, 0:100], "a band across the middle"),
        (np.s_[0:100, 70:100], "the right side"),
        (np.s_[0:100, 40:60], "a band down the middle"),
        (np.s_[40:60, 90:100], "the right edge"),
        (np.s_[95:100, 40:60], "the bottom edge"),
        (np.s_[70:90, 40:60], "the bottom"),
        (np.s_[0:100, 0:90], "most of the picture"),
    ],
)
def test_places_in_words(box: tuple[slice, slice], place: str) -> None:
    labels = np.zeros((100, 100), dtype=int)
    labels[box] = 1
    result = assessment(labels, [50, 50])
    assert place_of(result, result.regions[1]).startswith(place)


def test_a_frame_around_the_picture_is_spread_over_it() -> None:
    labels = np.ones((100, 100), dtype=int)
    labels[10:90, 10:90] = 0
    result = assessment(labels, [50, 50])
    assert place_of(result, result.regions[1]) == "an area spread over the picture"


def test_readings_name_the_region_and_its_fault() -> None:
    readings = {
        0: reading("a clear blue sky"),
        1: reading("the dog in front", blur=3.1),
    }
    text = summarize(assessment([[0, 1]], [70, 56], readings=readings))
    assert text == "Good (63 of 100). The dog in front is slightly blurred; the rest is clean."


def test_readings_without_faults() -> None:
    readings = {0: reading("sky"), 1: reading("sea")}
    text = summarize(assessment([[0, 1]], [70, 56], readings=readings))
    assert text == "Good (63 of 100). Every region reads as clean."


def test_the_worst_dimensions_of_the_worst_regions() -> None:
    readings = {
        0: reading("two dogs", blur=3.0),
        1: reading("a wall.", noise=1.2, artifact=1.4, blur=3.0),
        2: reading("an old tree", color=2.0),
        3: reading("grass"),
    }
    text = summarize(assessment([[0, 1, 2, 3]], [50] * 4, readings=readings))
    assert text == (
        "Fair (50 of 100). The wall is strongly noisy and marred by artifacts and the old tree is "
        "clearly off in exposure or colour; 1 more region falls below good too."
    )


def test_descriptions_that_may_be_plural_are_quoted() -> None:
    text = summarize(assessment([[0]], [50], readings={0: reading("two\n dogs", blur=2.0)}))
    assert text == "Fair (50 of 100). Region 0 (“two dogs”) is clearly blurred."


def test_regions_of_one_description_are_told_apart() -> None:
    readings = {k: reading("a dog", blur=3.0) for k in range(2)}
    text = summarize(assessment([[0, 1]], [50, 50], readings=readings))
    assert "Region 0 (“a dog”)" in text
    assert "region 1 (“a dog”)" in text


def test_only_the_overall_rating_is_low() -> None:
    text = summarize(assessment([[0]], [30], readings={0: reading("a cat", overall=1.8)}))
    assert "The cat is rated poor overall" in text


def test_unread_regions_are_never_called_clean() -> None:
    readings = {0: reading("a cat"), 1: Reading(status="failed", reason="no answer")}
    text = summarize(assessment([[0, 1]], [50, 50], readings=readings))
    assert text == "Fair (50 of 100). The regions that were read are clean. 1 region was not read."


scores = st.floats(0, 100, allow_nan=False)


@given(st.lists(scores, min_size=9, max_size=9), st.integers(0, 9))
def test_what_is_said_holds(values: list[float], read: int) -> None:
    readings = {k: reading("a thing", blur=1 + k / 2) for k in range(read)}
    result = assessment(THIRDS, values, readings=readings)
    text = summarize(result)
    assert text.startswith(result.level.capitalize())
    assert text.endswith(".")
    assert "\n" not in text
    for number, score in re.findall(r"region (\d+): (\d+) of 100", text):
        assert abs(values[int(number)] - int(score)) <= 1
        assert level_of(int(score)) == level_of(values[int(number)])
    if "even" in text:
        assert max(values) - min(values) < 2 * CLEAR_GAP
    if "stands out as weakest" in text:
        assert f"region {int(np.argmin(values))}:" in text or values.count(min(values)) > 1


@given(scores, st.integers(0, 2))
def test_a_score_as_text_keeps_its_level(score: float, digits: int) -> None:
    assert level_of(float(score_text(score, digits))) == level_of(score)
