"""Instruction data: pictures with spoiled regions, and what a reader should say of each region.

A set is a folder with `instructions.jsonl`, one picture a line, and the pictures it names. The
partition is stored with it, so that what was spoiled is what is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rsfiqa.partition import Partition
from rsfiqa.types import Dimension, Rating


@dataclass(frozen=True)
class Fault:
    """One distortion of a region.

    Attributes:
        dimension: which dimension it spoils.
        family: one of `rsfiqa.learning.distortions.FAMILIES[dimension]`.
        strength: 1 (mild) to 4 (severe), any number between.
    """

    dimension: Dimension
    family: str
    strength: float


@dataclass(frozen=True)
class RegionInstruction:
    """What a reader should say of one region.

    Attributes:
        region: its id in the partition.
        ratings: the wanted distribution over levels of every dimension.
        descriptions: ways to say what it shows; empty when no teacher knows.
        noun: what it shows in a word or two, as the descriptions' head; None when unknown.
        faults: what was done to it; empty for a clean region.
    """

    region: int
    ratings: Mapping[Dimension, Rating]
    descriptions: tuple[str, ...] = ()
    noun: str | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, eq=False)
class Instruction:
    """One picture of a set.

    Attributes:
        image: the spoiled (or clean) picture's file.
        source: name of the clean photograph it was made from: splits go by it.
        partition: of the picture's size.
        regions: the instructions of regions worth reading, in order of their ids.
    """

    image: Path
    source: str
    partition: Partition
    regions: tuple[RegionInstruction, ...] = field(default_factory=tuple)
