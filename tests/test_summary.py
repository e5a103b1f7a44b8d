"""Summaries: the level word first, then only what the numbers say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assessments import (
    DESCRIPTIONS,
    assessment,
    grid_labels,
    rating,
    read_assessments,
    reading,
)
from rsfiqa.sentences.faults import GOOD_FROM
from rsfiqa.sentences.numbers import score_text
from rsfiqa.sentences.phrases import phrase_of
from rsfiqa.sentences.places import place_of
from rsfiqa.sentences.scores import CLEAR_GAP
from rsfiqa.summary import LONGEST, summarize
from rsfiqa.types import DIMENSIONS, Assessment, Rating, Reading, level_of

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
    assert place_of(result, [result.regions[1]]).name == place


def test_a_frame_around_the_picture_is_spread_over_it() -> None:
    labels = np.ones((100, 100), dtype=int)
    labels[10:90, 10:90] = 0
    result = assessment(labels, [50, 50])
    place = place_of(result, [result.regions[1]])
    assert place.name == "an area spread over the picture"
    assert place.where == "spread over the picture"


def test_regions_together_have_one_place() -> None:
    result = assessment(THIRDS, [50] * 9)
    top, left = result.regions[:3], [result.regions[0], result.regions[6]]
    assert place_of(result, top).where == "in the upper part"
    assert place_of(result, left).where == "on the left side"


def test_a_hair_thin_region_has_a_place() -> None:
    labels = np.zeros((600, 900), dtype=int)
    labels[np.arange(500), np.arange(500) + 300] = 1
    labels[::2] = np.minimum(labels[::2], 0)
    result = assessment(labels, [50, 50])
    assert place_of(result, [result.regions[1]]).name == "a band down the middle"


def summary_of(*read: Reading, score: float = 70) -> str:
    """The summary of regions side by side, without the opening that says the score."""
    text = summarize(
        assessment([range(len(read))], [score] * len(read), readings=dict(enumerate(read)))
    )
    opening, _, rest = text.partition(" of 100). ")
    assert opening
    return rest


def test_readings_name_the_thing_and_its_fault() -> None:
    read = {0: reading("a clear blue sky"), 1: reading("the dog in front", blur=3.0)}
    text = summarize(assessment([[0, 1]], [70, 56], readings=read))
    assert text == "Good (63 of 100). The dog in front is slightly blurred; the rest is clean."


def test_readings_without_faults() -> None:
    sky, sea = reading("sky"), reading("sea")
    assert summary_of(sky, sea) == "Every region reads as clean."
    assert summary_of(sky, reading("sea", noise=3.6)) == "No region shows a clear fault."
    assert summary_of(sky, sea, score=50) == (
        "The readings name no fault. Quality is even across the picture."
    )
    text = summarize(assessment([[0, 0, 1]], [70, 56], readings={0: sky, 1: sea}))
    assert "Every region reads as clean. The right side (region 1: 56 of 100" in text


def test_the_faults_that_weigh_most_come_first() -> None:
    text = summary_of(
        reading("two dogs", blur=3.0),
        reading("a wall.", noise=1.2, artifact=1.4, blur=3.0),
        reading("an old tree", color=2.0),
        reading("grass"),
    )
    assert text == (
        "The wall is very noisy, badly marred by artifacts, and slightly blurred, and the old tree "
        "is off in exposure or colour; 1 more region falls below good, the rest is clean."
    )


def test_things_with_the_same_fault_are_told_together() -> None:
    text = summary_of(
        reading("the sky", noise=2.0),
        reading("a tower"),
        reading("trees", noise=2.0, blur=3.0),
        reading("the sky", noise=2.1),
        reading("water"),
        reading("a boat"),
    )
    assert text == "The sky and the trees are noisy; the rest is clean."


def test_pieces_of_one_thing_are_one_and_two_things_apart_are_two() -> None:
    dog, wall = reading("a dog", blur=2.0), reading("a wall")
    assert summary_of(dog, dog, wall, wall).startswith("The dog is blurred;")
    assert summary_of(dog, wall, wall, dog) == (
        "The dog on the left side and the dog on the right side are blurred; the rest is clean."
    )


def test_a_thing_is_told_by_its_place_when_another_is_called_the_same() -> None:
    text = summary_of(reading("a dog"), reading("a wall"), reading("a white dog", blur=2.0))
    assert text == "The white dog on the right side is blurred; the rest is clean."


def test_names_that_would_be_the_same_get_numbers() -> None:
    dog, tree = reading("a dog", blur=2.0), reading("a tree")
    labels = np.zeros((30, 60), dtype=int)
    labels[1:6, 1:6], labels[1:6, 10:15] = 1, 2
    result = assessment(labels, [70] * 3, readings={0: tree, 1: dog, 2: dog})
    assert summarize(result).endswith(
        "The dog in the upper left (region 1) and the dog in the upper left (region 2) are "
        "blurred; the rest is clean."
    )


def test_a_fault_of_most_regions_is_told_of_the_picture() -> None:
    things = ["a cat", "the wall", "a cup", "people", "the floor"]
    every = [reading(thing, blur=3.0, overall=3.2) for thing in things]
    assert summary_of(*every) == "The whole picture is slightly blurred; otherwise it is clean."
    assert summary_of(*every[:3], reading("people", blur=1.0, noise=2.0), every[4]) == (
        "The whole picture is slightly blurred; the people are badly blurred, and noisy."
    )
    assert summary_of(*every[:4], reading("the floor")) == (
        "Most of the picture is slightly blurred; the rest is clean."
    )


def test_every_fault_of_the_whole_picture_is_named() -> None:
    bad = reading("the sky", color=1.0, noise=1.0, artifact=1.0, blur=1.0)
    assert summary_of(bad) == (
        "The whole picture is far off in exposure or colour, very noisy, badly marred by "
        "artifacts and badly blurred."
    )


def test_what_the_reader_was_not_sure_of_is_said_with_care() -> None:
    unsure = Rating((0.2, 0.25, 0.3, 0.2, 0.05))
    cat = Reading("ok", "a cat", {d: rating(4.8) for d in DIMENSIONS} | {"blur": unsure})
    assert summary_of(cat, reading("a wall")) == (
        "The cat is perhaps slightly blurred; the rest is clean."
    )
    assert summary_of(reading("a cat", blur=2.0), reading("a wall", noise=3.6)) == (
        "The cat is blurred; the rest seems clean."
    )


def test_descriptions_that_are_no_noun_phrase_are_quoted() -> None:
    text = summary_of(reading("Is this\n a dog?", blur=2.0), reading("a wall"))
    assert text == "Region 0 (“Is this a dog?”) is blurred; the rest is clean."


def test_a_region_without_a_description_is_named_by_its_place() -> None:
    text = summary_of(reading(None, blur=2.0), reading("a wall"))
    assert text == "The left side (region 0) is blurred; the rest is clean."


def test_only_the_overall_rating_is_low() -> None:
    text = summary_of(reading("a cat", overall=1.8), reading("a wall"))
    assert text == "The cat is rated poor overall; the rest is clean."


def test_small_spots_are_counted_but_not_named() -> None:
    labels = np.zeros((100, 100), dtype=int)
    labels[3, 3] = 1
    read = {0: reading("a wall"), 1: reading("a fly", blur=1.0)}
    text = summarize(assessment(labels, [70, 10], readings=read))
    assert text == "Good (70 of 100). 1 small spot falls below good, the rest is clean."


def test_unread_regions_are_never_called_clean() -> None:
    failed = Reading(status="failed", reason="no answer")
    assert summary_of(reading("a cat"), failed) == (
        "The regions that were read are clean. 1 region was not read."
    )
    assert summary_of(reading("a cat", blur=2.0), reading("a dog"), failed) == (
        "The cat is blurred; the rest of what was read is clean. 1 region was not read."
    )


WORDS = {
    "noisy": "noise",
    "blurred": "blur",
    "marred by artifacts": "artifact",
    "off in exposure": "color",
}


def values_of(result: Assessment) -> list[dict[str, float]]:
    return [r.reading.values or {} for r in result.regions]


@given(read_assessments())
def test_nothing_is_claimed_that_the_ratings_do_not_say(result: Assessment) -> None:
    text = summarize(result)
    values = [v for v in values_of(result) if v]
    lowest = [min(v.values()) for v in values]
    for words, dimension in WORDS.items():
        if words in text:
            assert min(v[dimension] for v in values) < GOOD_FROM
    if "The whole picture is" in text:
        share = sum(
            r.area
            for r in result.regions
            if min((r.reading.values or {"": 5}).values()) < GOOD_FROM
        )
        assert share >= 0.9 - 1e-9
    if "Every region reads as clean" in text:
        assert len(values) == len(result.regions)
    if re.search(r"reads as clean|No region shows|that were read are clean|name no fault", text):
        assert not lowest or min(lowest) >= GOOD_FROM
    if "otherwise it is clean" in text:
        assert len(values) == len(result.regions)
        told = {d for words, d in WORDS.items() if words in text} | {"overall"}
        assert all(v[d] >= GOOD_FROM for v in values for d in v if d not in told)
    if "the rest is clean" in text or "the rest of what was read is clean" in text:
        assert max(lowest) >= GOOD_FROM, "something must be left that is clean"
    if "the rest is clean" in text:
        assert len(values) == len(result.regions)
        counted = re.search(r"(\d+) (?:more region|small spot)", text)
        if "picture is" not in text and not counted:
            for region in result.regions:
                phrase = phrase_of(region.reading.description)
                if phrase is not None and phrase.noun not in text:
                    assert min((region.reading.values or {}).values()) >= GOOD_FROM


@given(read_assessments())
def test_only_things_that_fall_short_are_named(result: Assessment) -> None:
    text = summarize(result).partition("of 100). ")[2]
    short = {
        r.reading.description
        for r in result.regions
        if r.reading.values and min(r.reading.values.values()) < GOOD_FROM
    }
    for description in DESCRIPTIONS:
        phrase = phrase_of(description)
        assert phrase is not None
        if re.search(rf"\b{phrase.name}\b", text, re.IGNORECASE):
            assert description in short


@given(read_assessments(st.one_of(st.none(), st.text(max_size=300), st.from_regex(r"\w+ \w+"))))
def test_whatever_a_reader_writes_the_summary_is_one_bounded_line(result: Assessment) -> None:
    text = summarize(result)
    assert text == summarize(result)
    assert text.startswith(f"{result.level.capitalize()} (")
    assert text.endswith(".")
    assert text.isprintable()
    assert len(text) <= LONGEST
    for number in re.findall(r"\bregion (\d+) \(", text):
        assert int(number) < len(result.regions)


scores = st.floats(0, 100, allow_nan=False)


@given(st.lists(scores, min_size=9, max_size=9))
def test_what_is_said_of_scores_holds(values: list[float]) -> None:
    result = assessment(THIRDS, values)
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
