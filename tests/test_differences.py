"""What differs between settings: named once, by where it stands; nothing where nothing does."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.learning.differences import differing, differing_known

NAMES = st.sampled_from("abc")
VALUES = st.none() | st.booleans() | st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2)
SETTINGS: st.SearchStrategy[Any] = st.dictionaries(
    NAMES, st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner)), max_size=3
)


def without_none(value: Any) -> Any:
    """Settings without what counts as missing."""
    if not isinstance(value, dict):
        return value
    return {name: without_none(inner) for name, inner in value.items() if inner is not None}


@given(SETTINGS)
def test_settings_differ_from_themselves_in_nothing_and_none_is_as_good_as_missing(
    settings: dict[str, Any],
) -> None:
    assert differing(settings, settings) == []
    assert differing(settings, without_none(settings)) == []
    assert differing(without_none(settings), settings) == []


@given(SETTINGS, SETTINGS)
def test_each_difference_is_named_once_whichever_comes_first(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    found = differing(one, other)
    assert len(set(found)) == len(found)
    assert sorted(differing(other, one)) == sorted(found)
    assert (found == []) == (without_none(one) == without_none(other))


@given(SETTINGS, SETTINGS)
def test_of_what_one_side_alone_knows_nothing_is_said(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    both = one.keys() & other.keys()
    told = differing_known(one, other)
    assert told == [name for name in differing(one, other) if name.partition(".")[0] in both]
