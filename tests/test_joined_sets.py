"""Several sets of instruction data one behind the other: their pictures, and their evidence."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.encoders.build import build_encoder
from rsfiqa.learning.instructions import (
    InstructionSet,
    JoinedInstructions,
    RegionInstruction,
    read_instructions,
)
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.learning.teaching_evidence import EvidenceStore, TaughtRegions
from rsfiqa.reading.projector import EvidenceBatch
from tiny_set import tiny_set

# The pictures


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[InstructionSet]:
    folder = tmp_path_factory.mktemp("sets")
    both = [read_instructions(tiny_set(folder / name, n)) for name, n in (("a", 3), ("b", 2))]
    return [both[0], both[0][:0], both[1]]


def test_joined_sets_are_one_behind_the_other(sets: list[InstructionSet]) -> None:
    joined = JoinedInstructions(sets)
    images = [instruction.image for part in sets for instruction in part]
    assert len(joined) == len(images) == 5
    assert [instruction.image for instruction in joined] == images
    assert [joined[i - 5].image for i in range(5)] == images
    for chosen in (slice(1, 4), slice(None, None, -2), slice(9, None)):
        assert [instruction.image for instruction in joined[chosen]] == images[chosen]
    for outside in (5, -6):
        with pytest.raises(IndexError):
            joined[outside]


@pytest.mark.parametrize("parts", [0, 2])
def test_joined_nothing_is_nothing(sets: list[InstructionSet], parts: int) -> None:
    nothing = JoinedInstructions(sets[1:2] * parts)
    assert len(nothing) == 0
    assert list(nothing) == nothing[:] == []
    with pytest.raises(IndexError):
        nothing[0]


# Their evidence


def regions_of(pictures: list[int], mark: float) -> TaughtRegions:
    """Regions whose evidence is `mark` and their place; as a set without any, of no width."""
    count, width = len(pictures), 2 if pictures else 0
    features = torch.full((count, width), mark)
    features[:, :1] = torch.arange(count).float()[:, None]
    some = torch.zeros(count, width)
    regions = [RegionInstruction(i, wanted_ratings([]), noun=f"{mark}") for i in range(count)]
    evidence = EvidenceBatch(features, some, some, some)
    return TaughtRegions(evidence, torch.full((count, 5, 5), mark), regions, pictures)


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 4), max_size=6).map(sorted), min_size=1, max_size=5))
def test_joined_regions_keep_what_they_are_and_their_pictures_apart(
    numbers: list[list[int]],
) -> None:
    parts = [regions_of(pictures, float(i)) for i, pictures in enumerate(numbers)]
    joined = TaughtRegions.joined(parts)
    lengths = [len(pictures) for pictures in numbers]
    assert len(joined) == len(joined.evidence) == len(joined.ratings) == sum(lengths)
    start = 0
    taken: list[set[int]] = []
    for part, length in zip(parts, lengths, strict=True):
        if not length:
            continue
        here = slice(start, start + length)
        torch.testing.assert_close(joined.evidence.features[here], part.evidence.features)
        torch.testing.assert_close(joined.ratings[here], part.ratings)
        assert list(joined.instructions[here]) == part.instructions
        # Of one picture before means of one picture after.
        moved = list(joined.pictures[here])
        assert len({new - old for new, old in zip(moved, part.pictures, strict=True)}) == 1
        taken.append(set(moved))
        start += length
    assert all(max(before) < min(after) for before, after in pairwise(taken))


def test_gathered_sets_are_joined(
    sets: list[InstructionSet], tiny_encoder_specs: list[dict[str, Any]], tmp_path: Path
) -> None:
    store = EvidenceStore(tmp_path / "evidence", build_encoder(tiny_encoder_specs).eval())
    joined = TaughtRegions.joined([store.gather(part) for part in sets])
    assert len(joined) == 10
    assert list(joined.pictures) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    together = store.gather(JoinedInstructions(sets))
    torch.testing.assert_close(joined.evidence.features, together.evidence.features)
    torch.testing.assert_close(joined.ratings, together.ratings)
    assert joined.instructions == together.instructions
    assert len(TaughtRegions.joined([store.gather(part[:0]) for part in sets])) == 0
