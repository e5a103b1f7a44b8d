"""Ranges of settings, as the configurations of training and teaching check them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.learning import ranges
from rsfiqa.learning.ranges import Range, require
from rsfiqa.learning.teaching_config import TeachingConfig
from rsfiqa.learning.training_config import TrainingConfig

ALL = [value for value in vars(ranges).values() if isinstance(value, Range)]


@pytest.mark.parametrize("accepted", ALL, ids=lambda accepted: accepted.words)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1])
def test_no_range_holds_what_is_no_setting(accepted: Range, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.width must be {accepted.words}; got {value}"):
        require(SimpleNamespace(width=value), accepted, "width", where="model.")


@given(st.floats(allow_nan=False))
def test_ranges_hold_what_their_words_say(value: float) -> None:
    held = {accepted.words: accepted.holds(value) for accepted in ALL}
    assert held == {
        "1 or more": math.isfinite(value) and value >= 1,
        "0 or more": math.isfinite(value) and value >= 0,
        "above 0": math.isfinite(value) and value > 0,
        "from 0 to 1": 0 <= value <= 1,
        "from 0 to below 1": 0 <= value < 1,
        "between 0 and 1": 0 < value < 1,
    }


def test_the_first_that_is_out_of_range_is_named() -> None:
    sizes = SimpleNamespace(epochs=1, rank=0, alpha=0)
    with pytest.raises(ConfigError, match="rank must be 1 or more; got 0"):
        require(sizes, ranges.AT_LEAST_ONE, "epochs", "rank", "alpha")


@pytest.mark.parametrize("kind", [TrainingConfig, TeachingConfig])
def test_training_and_teaching_refuse_in_the_same_words(
    kind: type[TrainingConfig] | type[TeachingConfig],
) -> None:
    for name, value, words in (
        ("epochs", 0, "1 or more"),
        ("batch_size", -3, "1 or more"),
        ("learning_rate", math.nan, "(above 0|0 or more)"),
        ("weight_decay", math.inf, "0 or more"),
    ):
        with pytest.raises(ConfigError, match=rf"^{name} must be {words}; got {value}\.$"):
            kind(**{name: value})
