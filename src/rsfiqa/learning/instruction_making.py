"""Making a set of instruction data from clean photographs.

A photograph is changed harmlessly, divided into regions and described once; several copies of it
are then spoiled by different plans, since dividing and describing cost most of the time. Everything
follows from the seed and the pictures' numbers: a run that was interrupted goes on where it stopped
and ends in the same set, and asking for more pictures keeps those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsfiqa.errors import ConfigError, ImageError
from rsfiqa.learning.augmentation import LARGEST_SIDE, augment
from rsfiqa.learning.distortions import VERSION as DISTORTIONS_VERSION
from rsfiqa.learning.distortions.base import Pixels
from rsfiqa.learning.full_reference import require_measure
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.learning.set_making import (
    Describe,
    Made,
    MakingReport,
    Segment,
    Words,
    growing_set,
    line_of,
    name_photographs,
    open_photograph,
    save_picture,
)
from rsfiqa.learning.spoiling import SpoiledRegion, SpoilingPlan, plan_copies, spoil_picture
from rsfiqa.parallel import cpu_workers, parallel_map
from rsfiqa.partition import Partition

VERSION = "2"
"""Kept with a set: change it whenever the same seed gives other pictures or labels."""

COPIES = 4
"""Spoiled copies of one augmented photograph."""


@dataclass(frozen=True)
class _Group:
    """The copies of one augmented photograph that are to be made.

    Attributes:
        number: of the group; the seed of everything about it.
        path, source: the photograph's file and its name.
        copies: which of the group's copies are asked for and not there yet.
    """

    number: int
    path: Path
    source: str
    copies: tuple[int, ...]


def make_instructions(
    photographs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    segment: Segment,
    describe: Describe | None = None,
    pictures: int,
    seed: int = 0,
    copies: int = COPIES,
    largest_side: int = LARGEST_SIDE,
    made_by: dict[str, str] | None = None,
    workers: int | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> MakingReport:
    """Make a set of instruction data, or go on making it.

    Args:
        photographs: clean photographs: a folder, or files and folders. A photograph is known by its
            path below the deepest folder they share.
        out: the folder of the set; made when needed.
        segment: pixels `[H, W, 3]` → their partition.
        describe: clean pixels and their partition → what each region shows, or None where nobody
            knows; None makes a set without descriptions.
        pictures: how many there shall be. Photographs are used in turn, in an order drawn by the
            seed, and changed anew each time.
        seed: of everything.
        copies: pictures from one augmented photograph and its partition.
        largest_side: of the pictures, in pixels.
        made_by: what `segment` and `describe` are, to be kept with the set: such as
            `{"segmenter": "grid-1/4"}`.
        workers: photographs side by side; as many as there are cores by default.
        told: called with the number of further pictures that are done.

    Returns:
        what was done; photographs that cannot be read are named there, and their pictures are
        missing from the set.

    Raises:
        MissingExtraError: piq is not installed.
        ConfigError: a number is out of range.
        DataError: there are no photographs, the folder holds a set made otherwise, or cannot be
            written, or another run is writing to it.
    """
    if pictures < 1 or copies < 1 or largest_side < 64:
        raise ConfigError(
            "a set has at least one picture, one copy of each photograph, and 64 pixels on the "
            f"long side; got {pictures}, {copies} and {largest_side}."
        )
    require_measure()
    named = name_photographs(photographs)
    out = Path(out)
    settings = _settings(named, seed, copies, largest_side, describe is not None, made_by)
    with growing_set(out, settings) as growing:
        kept = len(growing.there & set(range(pictures)))
        told(kept)
        maker = _Maker(out, segment, describe, seed, copies, largest_side)
        groups = _groups(named, pictures, seed, copies, growing.there)
        done = parallel_map(maker.make, groups, workers or cpu_workers())
        made, failures = growing.extend(done, told)
    return MakingReport(made, kept, failures)


@dataclass(frozen=True)
class _Maker:
    """Makes the pictures of groups, one group independently of all others."""

    out: Path
    segment: Segment
    describe: Describe | None
    seed: int
    copies: int
    largest_side: int

    def make(self, group: _Group) -> Made:
        try:
            pixels = open_photograph(group.path)
        except ImageError as error:
            return Made(failure=(group.source, str(error)))
        rng = np.random.default_rng([self.seed, group.number])
        clean = augment(pixels, rng, self.largest_side)
        partition = self.segment(clean)
        words = self.describe(clean, partition) if self.describe else [None] * len(partition)
        plans = plan_copies(partition, self.copies, rng)
        lines = []
        for copy in group.copies:
            number = group.number * self.copies + copy
            lines.append(self._copy(number, group.source, clean, partition, words, plans[copy]))
        return Made(tuple(lines))

    def _copy(
        self,
        number: int,
        source: str,
        clean: Pixels,
        partition: Partition,
        words: Sequence[Words | None],
        plan: SpoilingPlan,
    ) -> bytes:
        spoiled, found = spoil_picture(clean, partition, plan)
        path = save_picture(spoiled, self.out, number)
        regions = tuple(
            _instruction_of(region, found[region], words[region]) for region in sorted(found)
        )
        return line_of(Instruction(path, source, partition, regions), self.out, plan.kind)


def _instruction_of(region: int, found: SpoiledRegion, words: Words | None) -> RegionInstruction:
    return RegionInstruction(
        region,
        wanted_ratings(found.faults, found.similarity),
        tuple(words.descriptions) if words else (),
        words.noun if words else None,
        found.faults,
    )


def _groups(
    named: dict[str, Path], pictures: int, seed: int, copies: int, there: frozenset[int]
) -> list[_Group]:
    """What is left to do, in the order of the pictures' numbers."""
    names = list(named)
    groups = []
    order: list[int] = []
    for number in range(-(-pictures // copies)):
        if number % len(names) == 0:
            order = list(np.random.default_rng([seed, 1, number]).permutation(len(names)))
        left = tuple(
            copy
            for copy in range(copies)
            if number * copies + copy < pictures and number * copies + copy not in there
        )
        if left:
            source = names[int(order[number % len(names)])]
            groups.append(_Group(number, named[source], source, left))
    return groups


def _settings(
    named: dict[str, Path],
    seed: int,
    copies: int,
    largest_side: int,
    described: bool,
    made_by: dict[str, str] | None,
) -> dict[str, Any]:
    sources = hashlib.sha256("\n".join(named).encode(errors="surrogateescape")).hexdigest()
    return {
        "version": f"{VERSION}-{DISTORTIONS_VERSION}",
        "photographs": f"{len(named)} with sha256 of names {sources[:16]}",
        "seed": seed,
        "copies": copies,
        "largest_side": largest_side,
        "described": described,
        **(made_by or {}),
    }
