"""Ratings from the probabilities of tokens, wherever tokens begin and end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.reading.answers import CONTENT_KEY, RATING_KEYS, AnswerError, parse_answer
from rsfiqa.reading.server_completion import completion_in
from rsfiqa.reading.server_logprobs import Token, ratings_from_tokens
from rsfiqa.types import DIMENSIONS, LEVELS, Dimension, Rating

WORDS: dict[Dimension, str] = {
    "color": "good",
    "noise": "good",
    "artifact": "fair",
    "blur": "poor",
    "overall": "good",
}


def text_of(description: str = "a brown dog", **dump: Any) -> str:
    data = {CONTENT_KEY: description} | {RATING_KEYS[d]: WORDS[d] for d in DIMENSIONS}
    return json.dumps(data, **dump)


def log(alternatives: dict[str, float]) -> dict[bytes, float]:
    return {word.encode(): math.log(p) for word, p in alternatives.items()}


def plain(*texts: str) -> list[Token]:
    return [Token(text.encode(), {text.encode(): 0.0}) for text in texts]


def tokens_around(
    text: str, dimension: Dimension, token: str, alternatives: dict[str, float]
) -> list[Token]:
    """The text as tokens, of which one begins at, or just before, a dimension's level word."""
    value = text.index(f'"{RATING_KEYS[dimension]}"') + len(RATING_KEYS[dimension]) + 2
    start = text.index(token, value)
    special = Token(token.encode(), log(alternatives))
    return [*plain(text[:start]), special, *plain(*text[start + len(token) :])]


def rating(tokens: Sequence[Token], dimension: Dimension, text: str | None = None) -> Rating | None:
    text = text or text_of()
    return ratings_from_tokens(text, tokens, parse_answer(text)).get(dimension)


def near(found: Rating | None, *expected: float) -> None:
    assert found is not None
    assert found.probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_word_that_is_one_token_gives_its_distribution(dimension: Dimension) -> None:
    alternatives = {"excellent": 0.1, "good": 0.4, "fair": 0.2, "poor": 0.1, "bad": 0.2}
    tokens = tokens_around(text_of(), dimension, WORDS[dimension], alternatives)
    near(rating(tokens, dimension), 0.1, 0.4, 0.2, 0.1, 0.2)


def test_words_that_are_not_listed_have_no_probability() -> None:
    alternatives = {"poor": 0.3, "bad": 0.1, "terrible": 0.4, "0": 0.2}
    near(
        rating(tokens_around(text_of(), "blur", "poor", alternatives), "blur"), 0, 0, 0, 0.75, 0.25
    )


def test_pieces_and_spellings_of_a_word_are_summed() -> None:
    alternatives = {"po": 0.2, "p": 0.1, "Poor": 0.1, ' "poor"': 0.1, "exc": 0.25, "e": 0.25}
    near(rating(tokens_around(text_of(), "blur", "po", alternatives), "blur"), 0.5, 0, 0, 0.5, 0)


def test_a_word_may_share_its_token_with_marks() -> None:
    alternatives = {'"poor': 0.5, '"bad': 0.25, '"fair",': 0.25, '"': 0.3, "{": 0.1, "pool": 0.2}
    near(
        rating(tokens_around(text_of(), "blur", '"poor', alternatives), "blur"),
        0,
        0,
        0.25,
        0.5,
        0.25,
    )


def test_alternatives_that_begin_no_word_say_nothing() -> None:
    tokens = tokens_around(text_of(), "blur", "poor", {"Ok": 0.5, "7": 0.2, " ": 0.2, "": 0.1})
    assert rating(tokens, "blur") is None


def test_equal_words_of_several_dimensions_are_told_apart() -> None:
    text = text_of()
    for dimension in ("color", "noise", "overall"):
        tokens = tokens_around(text, dimension, "good", {"good": 0.5, "bad": 0.5})
        near(rating(tokens, dimension), 0, 0.5, 0, 0, 0.5)


def test_a_description_that_looks_like_a_rating_misleads_nobody() -> None:
    text = text_of('"sharpness": "bad" in a poor, good picture')
    start = text.rindex("poor")
    tokens = [*plain(text[:start]), Token(b"poor", log({"poor": 0.5, "fair": 0.5}))]
    tokens += plain(text[start + 4 :])
    near(rating(tokens, "blur", text), 0, 0, 0.5, 0.5, 0)


def test_thoughts_before_and_marks_after_the_answer_do_not_matter() -> None:
    alternatives = {"poor": 0.9, "fair": 0.1}
    tokens = tokens_around(text_of(), "blur", "poor", alternatives)
    thoughts = plain("<think>", text_of(), "</think>", "\n\n")
    near(rating([*thoughts, *tokens, *plain("<|im_end|>")], "blur"), 0, 0, 0.1, 0.9, 0)


def test_characters_of_several_tokens_before_the_ratings_do_not_matter() -> None:
    text = text_of("日本の犬 🐕", ensure_ascii=False)
    start = text.rindex("poor")
    before = [Token(bytes([byte]), {}) for byte in text[:start].encode()]
    word = Token(b"poor", log({"poor": 0.5, "fair": 0.5}))
    near(rating([*before, word, *plain(text[start + 4 :])], "blur", text), 0, 0, 0.5, 0.5, 0)
    # A server that gives broken characters instead of bytes.
    broken = plain(text[:start].replace("🐕", "\ufffd" * 4))
    near(rating([*broken, word, *plain(text[start + 4 :])], "blur", text), 0, 0, 0.5, 0.5, 0)


def test_tokens_of_another_text_say_nothing() -> None:
    assert ratings_from_tokens(text_of(), plain("Hello", " world"), parse_answer(text_of())) == {}
    assert ratings_from_tokens(text_of(), [], parse_answer(text_of())) == {}


def test_a_word_hidden_by_an_escape_is_not_looked_for() -> None:
    text = text_of().replace('"poor"', '"\\u0070oor"')
    assert rating(plain(*text), "blur", text) is None


@given(cuts=st.sets(st.integers(1, len(text_of(indent=1).encode()) - 1)), data=st.data())
def test_wherever_tokens_are_cut_a_sure_model_gives_its_words(cuts: set[int], data: Any) -> None:
    text = text_of(indent=1)
    raw = text.encode()
    edges = [0, *sorted(cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    tokens = [Token(piece, {piece: data.draw(st.floats(-3, 0))}) for piece in pieces]
    for dimension, found in ratings_from_tokens(text, tokens, parse_answer(text)).items():
        expected = [float(level == WORDS[dimension]) for level in LEVELS]
        assert found.probabilities == pytest.approx(expected)


def entry(token: Any, logprob: Any, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob} | more


def completed(content: Any) -> Any:
    message = {"content": text_of()}
    return {"choices": [{"message": message, "logprobs": {"content": content}}]}


def test_a_token_counts_even_if_it_is_not_among_those_listed() -> None:
    listed = [entry("bad", -0.7), entry("fair", -1.2)]
    (token,) = completion_in(completed([entry("good", -3.0, top_logprobs=listed)])).tokens
    assert token.alternatives == {b"good": -3.0, b"bad": -0.7, b"fair": -1.2}


def test_bytes_go_before_text() -> None:
    (token,) = completion_in(completed([entry("\ufffd", -1.0, bytes=[0xF0, 0x9F])])).tokens
    assert token.text == b"\xf0\x9f"


@pytest.mark.parametrize(
    "bad",
    [None, {}, "good", entry(None, -1), entry("good", None), entry("good", math.nan), entry(1, -1)],
)
def test_one_unsound_token_makes_all_of_them_unknown(bad: Any) -> None:
    assert completion_in(completed([entry("good", -1.0), bad])).tokens == ()


@pytest.mark.parametrize("raw", [["x"], [300], [None], "good", 7, {}])
def test_unsound_bytes_fall_back_to_the_text(raw: Any) -> None:
    (token,) = completion_in(completed([entry("good", -1.0, bytes=raw)])).tokens
    assert token.text == b"good"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "logprobs",
                    "top_logprobs",
                    "token",
                    "logprob",
                    "bytes",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(ANY_JSON)
def test_json_of_any_shape_is_a_completion_or_an_answer_error(data: Any) -> None:
    try:
        found = completion_in(data)
    except AnswerError as error:
        assert str(error)
    else:
        assert isinstance(found.text, str)


@given(ANY_JSON)
def test_logprobs_of_any_shape_do_no_harm(data: Any) -> None:
    found = completion_in(completed(data))
    ratings_from_tokens(found.text, found.tokens, parse_answer(found.text))
