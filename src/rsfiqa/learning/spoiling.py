"""Plans of what to spoil in a picture, and pictures made by them.

A plan names for every region the faults it gets, or none. Both are seeded: the same picture,
partition and seed give the same plan and the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.distortions import FAMILIES, distort
from rsfiqa.learning.distortions.base import Pixels, scale_of, to_uint8
from rsfiqa.learning.distortions.regions import FEATHER, Box, blend, box_to_spoil
from rsfiqa.learning.full_reference import similarity
from rsfiqa.learning.instructions import Fault
from rsfiqa.partition import Partition
from rsfiqa.types import Dimension

Kind = Literal["none", "some", "all", "global"]

KINDS: Mapping[Kind, float] = MappingProxyType(
    {"none": 0.25, "some": 0.50, "all": 0.10, "global": 0.15}
)
"""How much is spoiled, and in which share of pictures: no region; some; all, each in its own way;
the picture as a whole, all regions alike."""

SMALLEST_AREA = 0.01
"""Regions smaller than this fraction of the picture are neither spoiled nor read."""

VISIBLE = 2.0
"""A fault that changes a region by less than this many grey levels (root mean square over its pixels
and channels) is none: blur of a clear sky, darkening of black. It is undone and not in the labels."""

_CAMERA_ORDER: tuple[Dimension, ...] = ("blur", "color", "noise", "artifact")
_SECOND_FAULT = 0.2
_ALIKE = 0.15
_MOST_OF_SOME = 0.6
_DECOYS = 0.25
_DECOY_GAIN = 0.03


@dataclass(frozen=True)
class PlannedFault:
    """A fault with the seed of its noise, direction or cast."""

    fault: Fault
    seed: int


@dataclass(frozen=True)
class SpoilingPlan:
    """What to do to one picture.

    Attributes:
        kind: how much is spoiled.
        faults: by region id, in the order a camera would commit them; the same for all regions
            where the kind is `global`.
        decoys: clean regions that are blended with a harmless change, ±3 % of gain, so that a seam
            is no sign of a fault; with the seed of the change.
    """

    kind: Kind
    faults: Mapping[int, tuple[PlannedFault, ...]] = field(default_factory=dict)
    decoys: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SpoiledRegion:
    """What became of a region.

    Attributes:
        faults: those of the plan that can be seen.
        similarity: HaarPSI of the region's box before and after, where all of the box was spoiled,
            so that untouched surroundings do not count; 1 for a clean region.
    """

    faults: tuple[Fault, ...] = ()
    similarity: float = 1.0


def plan_copies(
    partition: Partition, copies: int, rng: np.random.Generator
) -> tuple[SpoilingPlan, ...]:
    """Plans for several copies of one picture, together true to the shares of `KINDS`.

    Copies take turns: kinds are drawn systematically (of four copies one is clean), and `some`
    prefers regions that have not been spoiled yet, so that four copies show every region clean and
    spoiled.

    Args:
        partition: of the clean picture.
        copies: 1 or more.
        rng: of all choices.

    Raises:
        ConfigError: there are fewer than one copies.
    """
    if copies < 1:
        raise ConfigError(f"a picture has at least one copy; got {copies}.")
    regions = large_regions(partition)
    spoiled = dict.fromkeys(regions, 0)
    plans = []
    for kind in _draw_kinds(copies, rng):
        chosen = _choose(kind, regions, spoiled, rng)
        chains = _draw_chains(rng)
        alike = next(chains) if kind == "global" or rng.random() < _ALIKE else None
        faults = {region: alike or next(chains) for region in chosen}
        for region in chosen:
            spoiled[region] += 1
        seeds = rng.integers(2**31, size=len(regions))
        is_decoy = rng.random(len(regions)) < _DECOYS
        decoys = {
            region: int(seed)
            for region, seed, drawn in zip(regions, seeds, is_decoy, strict=True)
            if drawn and region not in faults
        }
        plans.append(SpoilingPlan(kind, faults, decoys))
    return tuple(plans)


def large_regions(partition: Partition) -> list[int]:
    """Ids of the regions that are spoiled and read: `SMALLEST_AREA` and more."""
    return [region.id for region in partition.regions if region.area >= SMALLEST_AREA]


def _draw_kinds(copies: int, rng: np.random.Generator) -> list[Kind]:
    """Systematic sampling: each kind occurs its share of the copies, rounded up or down."""
    bounds = np.cumsum(list(KINDS.values()))
    points = (np.arange(copies) + rng.random()) / copies
    drawn = np.searchsorted(bounds[:-1], points, side="right")
    names = list(KINDS)
    return [names[int(i)] for i in rng.permutation(drawn)]


def _choose(
    kind: Kind, regions: Sequence[int], spoiled: Mapping[int, int], rng: np.random.Generator
) -> list[int]:
    if kind == "none" or not regions:
        return []
    if kind != "some":
        return list(regions)
    most = max(1, math.ceil(_MOST_OF_SOME * len(regions)))
    count = int(rng.integers(1, most + 1))
    shuffled = [regions[int(i)] for i in rng.permutation(len(regions))]
    return sorted(sorted(shuffled, key=lambda region: spoiled[region])[:count])


def _draw_chains(rng: np.random.Generator) -> Iterator[tuple[PlannedFault, ...]]:
    """Faults for one region after another; dimensions are dealt like cards, so that they differ."""
    while True:
        hand = [_CAMERA_ORDER[int(i)] for i in rng.permutation(len(_CAMERA_ORDER))]
        for number, dimension in enumerate(hand):
            dimensions = {dimension}
            if rng.random() < _SECOND_FAULT:
                dimensions.add(hand[(number + 1) % len(hand)])
            yield tuple(_draw_fault(d, rng) for d in _CAMERA_ORDER if d in dimensions)


def _draw_fault(dimension: Dimension, rng: np.random.Generator) -> PlannedFault:
    families = FAMILIES[dimension]
    family = families[int(rng.integers(len(families)))]
    strength = round(float(rng.uniform(1, 4)), 3)
    return PlannedFault(Fault(dimension, family, strength), int(rng.integers(2**31)))


def spoil_picture(
    pixels: Pixels, partition: Partition, plan: SpoilingPlan
) -> tuple[Pixels, dict[int, SpoiledRegion]]:
    """Make the picture of a plan.

    Every region is spoiled from the clean picture and blended in inside its border: pixels of
    regions that the plan does not name stay as they are, bit for bit.

    Args:
        pixels: the clean picture, uint8 RGB `[H, W, 3]`.
        partition: of its size.
        plan: names regions of the partition.

    Returns:
        the picture, and what became of each region of `large_regions` and of the plan.

    Raises:
        DataError: the partition has another size than the picture.
        MissingExtraError: piq, which measures how much a region changed, is not installed.
    """
    if pixels.shape[:2] != (partition.height, partition.width):
        raise DataError(
            f"the partition of {partition.width}×{partition.height} does not fit a picture of "
            f"{pixels.shape[1]}×{pixels.shape[0]}."
        )
    found = {region: SpoiledRegion() for region in large_regions(partition)}
    if plan.kind == "global":
        return _spoil_globally(pixels, partition, plan, found)
    result = pixels.copy()
    for region, chain in plan.faults.items():
        found[region] = _spoil_one(pixels, result, partition, region, chain)
    for region, seed in plan.decoys.items():
        _blend_decoy(pixels, result, partition, region, seed)
    return result, found


def _spoil_one(
    pixels: Pixels,
    result: Pixels,
    partition: Partition,
    region: int,
    chain: Sequence[PlannedFault],
) -> SpoiledRegion:
    """Spoil a region in `result`, in place."""
    box = _box(partition, region)
    rim = _with_margin(box, 1, pixels.shape)
    steps = [(planned.fault.family, planned.fault.strength) for planned in chain]
    outer = box_to_spoil(rim, pixels.shape, steps)
    mask = partition.labels[rim.slices] == region
    part, inner, scale = pixels[outer.slices], rim.within(outer), scale_of(pixels)
    faults = []
    for planned in chain:
        fault = planned.fault
        changed = distort(part, fault.family, fault.strength, planned.seed, scale=scale)
        if _change(part[inner.slices], changed[inner.slices], mask) >= VISIBLE:
            part = changed
            faults.append(fault)
    if not faults:
        return SpoiledRegion()
    spoiled = part[inner.slices]
    blended = blend(pixels[rim.slices], spoiled, mask, FEATHER * scale)
    result[rim.slices] = np.where(mask[..., None], blended, result[rim.slices])
    return SpoiledRegion(tuple(faults), similarity(pixels[rim.slices], spoiled))


def _spoil_globally(
    pixels: Pixels, partition: Partition, plan: SpoilingPlan, found: dict[int, SpoiledRegion]
) -> tuple[Pixels, dict[int, SpoiledRegion]]:
    """All regions alike and without seams; a region where a fault cannot be seen does not have it."""
    if not plan.faults:
        return pixels.copy(), found
    chain = next(iter(plan.faults.values()))
    stages = [pixels]
    for planned in chain:
        fault = planned.fault
        stages.append(distort(stages[-1], fault.family, fault.strength, planned.seed))
    for region in plan.faults:
        box = _box(partition, region).slices
        mask = partition.labels[box] == region
        faults = tuple(
            planned.fault
            for planned, before, after in zip(chain, stages, stages[1:], strict=False)
            if _change(before[box], after[box], mask) >= VISIBLE
        )
        if faults:
            found[region] = SpoiledRegion(faults, similarity(pixels[box], stages[-1][box]))
    return stages[-1], found


def _blend_decoy(
    pixels: Pixels, result: Pixels, partition: Partition, region: int, seed: int
) -> None:
    """Change a clean region in `result` by a few percent of gain, in place."""
    rim = _with_margin(_box(partition, region), 1, pixels.shape)
    mask = partition.labels[rim.slices] == region
    gain = 1 + np.random.default_rng(seed).uniform(-_DECOY_GAIN, _DECOY_GAIN)
    changed = to_uint8(pixels[rim.slices] * gain)
    blended = blend(pixels[rim.slices], changed, mask, FEATHER * scale_of(pixels))
    result[rim.slices] = np.where(mask[..., None], blended, result[rim.slices])


def _box(partition: Partition, region: int) -> Box:
    left, top, width, height = partition.regions[region].bbox
    return Box(top, top + height, left, left + width)


def _with_margin(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    return Box(
        max(0, box.top - margin),
        min(shape[0], box.bottom + margin),
        max(0, box.left - margin),
        min(shape[1], box.right + margin),
    )


def _change(before: Pixels, after: Pixels, mask: npt.NDArray[np.bool_]) -> float:
    """Root mean square of the change inside a mask, in grey levels."""
    difference = after[mask].astype(np.float32) - before[mask]
    return float(np.sqrt(np.mean(difference * difference)))
