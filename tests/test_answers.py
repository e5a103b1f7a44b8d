"""A region's reading as JSON: what is asked, what is accepted, and why anything else is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.reading import wording
from rsfiqa.reading.answers import (
    CONTENT_KEY,
    LONGEST_DESCRIPTION,
    RATING_KEYS,
    SCHEMA,
    Answer,
    AnswerError,
    correction,
    instruction,
    one_hot,
    parse_answer,
    reading_of,
)
from rsfiqa.types import DIMENSIONS, LEVELS, Rating

LEVELS_SAID = st.fixed_dictionaries({d: st.sampled_from(LEVELS) for d in DIMENSIONS})
PHRASES = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=60)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def said(**changes: Any) -> dict[str, Any]:
    """Sound data of an answer, with changes; a key set to `...` is left out."""
    data = {CONTENT_KEY: "a brown dog"} | dict.fromkeys(RATING_KEYS.values(), "good")
    return {key: value for key, value in (data | changes).items() if value is not ...}


def reason(text: str) -> str:
    with pytest.raises(AnswerError) as caught:
        parse_answer(text)
    return str(caught.value)


@given(description=PHRASES, levels=LEVELS_SAID, indent=st.none() | st.integers(0, 4))
def test_a_sound_answer_is_read_as_it_was_said(
    description: str, levels: Any, indent: int | None
) -> None:
    data = {CONTENT_KEY: description} | {RATING_KEYS[d]: levels[d] for d in DIMENSIONS}
    answer = parse_answer(json.dumps(data, indent=indent))
    assert answer == Answer(description, levels)
    reading = reading_of(answer)
    assert reading.status == "ok"
    assert reading.description == description
    assert reading.values == {d: 5.0 - LEVELS.index(levels[d]) for d in DIMENSIONS}


@pytest.mark.parametrize("opening", ["```json\n", "```\n", " \n```JSON \n"])
@pytest.mark.parametrize("closing", ["\n```", "```\n\n", "\n ```  "])
def test_one_fenced_block_is_unwrapped(opening: str, closing: str) -> None:
    assert parse_answer(opening + json.dumps(said()) + closing).description == "a brown dog"


def test_order_of_keys_and_white_space_do_not_matter() -> None:
    data = dict(reversed(said().items()))
    assert parse_answer(f"\n\t {json.dumps(data, indent=3)} \n") == parse_answer(json.dumps(said()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("Sure, here it is: {}", "begins with 'Sure, here it is: {}'"),
        (json.dumps(said()) + " I hope this helps!", "not one JSON object"),
        (f"Here:\n```json\n{json.dumps(said())}\n```", "not one JSON object"),
        (f"```json\n{json.dumps(said())}\n```\nDone.", "not one JSON object"),
        (f"```python\n{json.dumps(said())}\n```", "not one JSON object"),
        (json.dumps(said())[:-1], "not one JSON object"),
        (json.dumps(said()) * 2, "not one JSON object"),
        ("good", "not one JSON object"),
        ('"good"', "not a JSON object but 'good'"),
        (json.dumps([said()]), "not a JSON object but an array"),
        ("null", "not a JSON object but None"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 10_000, "no sound JSON"),
        ('{"color": "good", "color": "bad"}', "a key occurs twice"),
    ],
)
def test_what_is_not_one_json_object_is_refused(text: str, expected: str) -> None:
    assert expected in reason(text)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sharpness": ...}, "lacks 'sharpness'"),
        ({"color": ..., "content": ...}, "lacks 'content', 'color'"),
        ({"blur": "good"}, "unknown keys: 'blur'"),
        ({"color": "great"}, "'color' is not one of excellent, good, fair, poor, bad but 'great'"),
        ({"color": "Good"}, "but 'Good'"),
        ({"color": "good "}, "but 'good '"),
        ({"color": 4}, "but 4"),
        ({"color": True}, "but True"),
        ({"color": None}, "but None"),
        ({"color": ["good"]}, "but an array"),
        ({"color": {"level": "good"}}, "but an object"),
        ({"content": 3}, "'content' is not a string but 3"),
        ({"content": None}, "'content' is not a string"),
        ({"content": " "}, "'content' is not one line"),
        ({"content": "a dog\nand a cat"}, "'content' is not one line"),
        ({"content": "a dog\x1b[31m"}, "'content' is not one line"),
        ({"content": "\ud800"}, "'content' is not one line"),
        ({"content": "x" * (LONGEST_DESCRIPTION + 1)}, "'content' is not one line"),
    ],
)
def test_wrong_fields_are_refused_with_their_name(changes: dict[str, Any], expected: str) -> None:
    assert expected in reason(json.dumps(said(**changes)))


@given(st.text() | ANY_JSON.map(json.dumps) | st.dictionaries(st.sampled_from([*RATING_KEYS.values(), CONTENT_KEY]), ANY_JSON).map(json.dumps))  # fmt: skip
def test_any_other_text_is_an_error_and_nothing_else(text: str) -> None:
    message = reason(text)
    assert message.isprintable()
    assert len(message) < 400


def test_the_schema_allows_what_is_accepted() -> None:
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(said())
    assert SCHEMA["additionalProperties"] is False
    for key in RATING_KEYS.values():
        assert SCHEMA["properties"][key]["enum"] == list(LEVELS)
    assert json.loads(json.dumps(dict(SCHEMA))) == SCHEMA


def test_the_instruction_says_all_that_is_wanted() -> None:
    text = instruction("The region is on the left.")
    assert text.startswith("The region is on the left.")
    for wanted in (*said(), *LEVELS, *wording.MEANINGS.values()):
        assert wanted in text
    assert "because it lacks 'color'." in correction("it lacks 'color'")


def test_known_distributions_take_the_place_of_words() -> None:
    spread = Rating((0.5, 0.5, 0.0, 0.0, 0.0))
    reading = reading_of(Answer("a dog", dict.fromkeys(DIMENSIONS, "bad")), {"noise": spread})
    assert reading.ratings["noise"] is spread
    assert reading.ratings["blur"] == one_hot("bad")
