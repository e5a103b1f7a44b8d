"""What is said of a region: by its description and its ratings, and never more than they say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assessments import assessment, grid_labels, rating, read_assessments, reading
from rsfiqa.sentences import region_sentence, region_sentences, verdict
from rsfiqa.sentences.faults import (
    GOOD_FROM,
    SURE_FROM,
    below_good,
    fault_of,
    faults_of,
    level_of_rating,
)
from rsfiqa.sentences.phrases import MOST_CHARACTERS, clean_text, phrase_of
from rsfiqa.sentences.things import find_things, names_of
from rsfiqa.types import DIMENSIONS, Assessment, Rating, Reading


@pytest.mark.parametrize(
    ("description", "name", "plural"),
    [
        ("a brown dog", "the brown dog", False),
        ("A brown dog.", "the brown dog", False),
        ("an old, red car", "the old, red car", False),
        ("the sky", "the sky", False),
        ("Trees", "the trees", True),
        ("some grass", "the grass", False),
        ("glass", "the glass", False),
        ("two dogs", "the two dogs", True),
        ("people on the beach", "the people on the beach", True),
        ("several men", "several men", True),
        ("his hat", "his hat", False),
        ("a group of people", "the group of people", False),
        ("a pair of skis", "the pair of skis", False),
        ("a cat and a dog", "the cat and a dog", True),
        ("a black and white cat", "the black and white cat", False),
        ("the sky, blue", "the blue sky", False),
        ("a dog, orange", "the orange dog", False),
        ("a bus", "the bus", False),
        ("TV screen", "the TV screen", False),
        ("Eiffel Tower", "the Eiffel Tower", False),
        ("A view of the mountains", "the mountains", True),
        ("The region shows a brick wall.", "the brick wall", False),
        ("This is a photo of a cat", "the cat", False),
        ("a café", "the café", False),
        (
            "a man standing at the side of a long and winding road in the rain at night",
            "the man",
            False,
        ),
    ],
)
def test_descriptions_as_names(description: str, name: str, plural: bool) -> None:
    phrase = phrase_of(description)
    assert phrase is not None
    assert (phrase.name, phrase.plural) == (name, plural)


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        " . ",
        "a",
        "the",
        "Is this a dog?",
        "狗",
        "on the left",
        "nothing",
        "7",
        "a; b",
        "x" * 90,
        "standing in a field of tall grass with trees in the background under a blue sky",
        "in the background of a photograph of the countryside at night",
    ],
)
def test_what_is_no_noun_phrase_is_no_name(description: str | None) -> None:
    assert phrase_of(description) is None


@pytest.mark.parametrize(
    ("description", "placed"),
    [
        ("the blue sky at the top", True),
        ("grass filling most of the picture", True),
        ("a tree near the middle", True),
        ("a cup on the table", False),
        ("a top", False),
    ],
)
def test_descriptions_that_say_a_place(description: str, placed: bool) -> None:
    phrase = phrase_of(description)
    assert phrase is not None
    assert phrase.placed == placed


WORDS = (
    *("a", "An", "the", "two", "his", "each", "dog", "Tower", "trees", "glass", "and", "orange,"),
    *("of", "in", "standing", "which", "is", "nothing", "left", "middle", "photograph", "red"),
)
"""Words that mean something to the rules, in any order: models write all kinds of sentences."""


@given(
    st.text(max_size=400) | st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join),
)
def test_names_are_bounded_and_printable(description: str) -> None:
    phrase = phrase_of(description)
    if phrase is not None:
        assert len(phrase.name) <= MOST_CHARACTERS
        assert (phrase.name + phrase.text + phrase.noun).isprintable()
        assert phrase.noun
    assert clean_text(description).isprintable()
    assert len(clean_text(description)) <= 120


def said(*read: Reading) -> list[str]:
    return region_sentences(
        assessment([range(len(read))], [70] * len(read), readings=dict(enumerate(read)))
    )


def test_a_sentence_for_each_kind_of_rating() -> None:
    assert said(
        reading("a brown dog"),
        reading("the sky", noise=2.0, color=3.0),
        reading("A street", blur=3.0),
        reading("trees", noise=1.2, blur=2.9, artifact=2.0),
        reading("a cat", overall=1.0),
        reading("fog"),
        reading("water", blur=4.0),
        reading("sand", noise=3.6),
        reading("a wall", blur=3.4),
        reading("a car", blur=2.0, color=3.7),
    ) == [
        "A brown dog: sharp and clean.",
        "The sky: noisy, and slightly off in exposure or colour.",
        "A street: slightly blurred, otherwise clean.",
        "Trees: very noisy, marred by artifacts, and slightly blurred.",
        "A cat: rated bad overall, with no single fault named.",
        "Fog: clean.",
        "Water: clean.",
        "Sand: probably clean.",
        "A wall: perhaps slightly blurred, otherwise clean.",
        "A car: blurred, otherwise clean.",
    ]


def test_regions_that_show_the_same_are_told_apart_by_their_places() -> None:
    dog = reading("a dog")
    assert said(dog, reading("a dog in the middle"), reading("a wall"), reading("a black dog")) == [
        "A dog on the left side: sharp and clean.",
        "A dog in the middle: sharp and clean.",
        "A wall: sharp and clean.",
        "A black dog on the right side: sharp and clean.",
    ]


def test_regions_without_a_usable_description() -> None:
    assert said(reading(None), reading("狗"), reading("\u202e<b>\x00 ")) == [
        "The left side: sharp and clean.",
        "“狗”: sharp and clean.",
        "“<b>”: sharp and clean.",
    ]


def test_regions_that_were_not_read() -> None:
    failed = Reading(status="failed", reason="no answer\nwithin 60 s.")
    result = assessment([[0, 1]], [70, 30], readings={0: failed})
    assert region_sentence(result, result.regions[0]) == (
        "The left side could not be read: no answer within 60 s."
    )
    assert region_sentence(result, result.regions[1]) == (
        "The right side, 50 % of the picture: poor (30 of 100)."
    )


def test_an_overall_rating_worse_than_the_fault_is_told_too() -> None:
    assert (
        verdict(reading("a cat", blur=3.0, overall=1.0))
        == "slightly blurred, and rated bad overall"
    )
    assert verdict(reading("a cat", blur=3.0, overall=2.6)) == "slightly blurred, otherwise clean"


WORDS = {
    "noisy": "noise",
    "blurred": "blur",
    "marred by artifacts": "artifact",
    "off in exposure": "color",
}


@given(read_assessments())
def test_sentences_say_what_the_ratings_say(result: Assessment) -> None:
    for region, sentence in zip(result.regions, region_sentences(result), strict=True):
        assert sentence.isprintable()
        assert sentence.endswith(".")
        assert len(sentence) <= 400
        if region.reading.status != "ok":
            continue
        values = region.reading.values or {}
        for words, dimension in WORDS.items():
            assert (words in sentence) == (values[dimension] < GOOD_FROM)
        if "otherwise clean" in sentence:
            assert sum(values[d] < GOOD_FROM for d in WORDS.values()) == 1
        elif "clean" in sentence:
            assert min(values.values()) >= GOOD_FROM
        if re.search(r": (sharp and )?clean", sentence):
            assert max(map(below_good, region.reading.ratings.values())) <= 1 - SURE_FROM + 1e-9
        if "sharp" in sentence:
            assert values["blur"] >= 4.5


@given(read_assessments())
def test_what_is_said_of_a_thing_holds_for_all_its_regions(result: Assessment) -> None:
    found = {r.id: faults_of(r.reading.ratings) for r in result.regions if r.reading.status == "ok"}
    faults = {k: each for k, each in found.items() if each}
    things = find_things(result, faults)
    assert sorted(r.id for thing in things for r in thing.regions) == sorted(faults)
    for thing in things:
        assert thing.faults
        for fault in thing.faults:
            values = [r.reading.ratings[fault.dimension].value for r in thing.regions]
            assert max(values) < GOOD_FROM
            assert min(values) - 1e-9 <= fault.value <= max(values) + 1e-9
    names = names_of(result, things)
    assert len(set(names)) == len(names)


@given(st.floats(1, 5))
def test_degrees_follow_levels(value: float) -> None:
    fault = fault_of("noise", rating(value))
    level = level_of_rating(rating(value).value)
    assert (fault is None) == (level in {"excellent", "good"})
    if fault is not None:
        assert ("fair", "poor", "bad")[fault.degree - 1] == level


def test_sure_faults_come_before_unsure_ones() -> None:
    unsure = Rating((0.4, 0.0, 0.0, 0.0, 0.6))
    ratings = {d: rating(4.8) for d in DIMENSIONS} | {"blur": unsure, "noise": rating(3.0)}
    assert [(f.dimension, f.sure) for f in faults_of(ratings)] == [("noise", True), ("blur", False)]


def test_many_regions_are_told_of_quickly_and_in_order() -> None:
    labels = np.kron(grid_labels(40, 40, 8, 8), np.ones((25, 25), dtype=int))
    result = assessment(labels, [50] * 64, readings={k: reading("a tile") for k in range(64)})
    sentences = region_sentences(result)
    assert len(sentences) == 64
    assert sentences[0] == "A tile in the upper left: sharp and clean."
