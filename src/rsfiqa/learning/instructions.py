"""Instruction data: pictures with faults, and what a reader should say of each region.

Faults were put there by us, region by region, or came with the photograph and were labelled.

A set is a folder with `instructions.jsonl`, one picture a line, and the pictures it names. The
partition is stored with it, so that what was spoiled is what is read.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any, overload

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.distortions import dimension_of
from rsfiqa.learning.distortions.base import check_strength
from rsfiqa.learning.fault_labels import LABELLED, check_severity
from rsfiqa.partition import Partition
from rsfiqa.types import DIMENSIONS, Dimension, Rating

INSTRUCTIONS_FILE = "instructions.jsonl"
"""The file of a set that names its pictures."""

PICTURES_FOLDER = "pictures"
"""Where a set's pictures are, below its folder."""


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
        faults: what was done to it; empty for a clean region, and where `seen` is not None.
        seen: of a region of a real photograph whose faults somebody has labelled, the severity by
            dimension, 0 (none) to 4 (extreme); a dimension whose severity nobody knows is left out.
            None for computed data: such a region is neither clean nor spoiled by us.
    """

    region: int
    ratings: Mapping[Dimension, Rating]
    descriptions: tuple[str, ...] = ()
    noun: str | None = None
    faults: tuple[Fault, ...] = ()
    seen: Mapping[Dimension, float] | None = None


@dataclass(frozen=True, eq=False)
class Instruction:
    """One picture of a set.

    Attributes:
        image: the picture's file: spoiled, clean, or as somebody labelled it.
        source: name of the photograph it was made from: splits go by it.
        partition: of the picture's size.
        regions: the instructions of regions worth reading, in order of their ids.
    """

    image: Path
    source: str
    partition: Partition
    regions: tuple[RegionInstruction, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class RegionCounts:
    """How many regions a set speaks of, and how many of them are spoiled, labelled, described.

    A region is spoiled when a fault was put there, labelled when somebody looked for the faults that
    its photograph came with.
    """

    regions: int = 0
    spoiled: int = 0
    labelled: int = 0
    described: int = 0


class InstructionSet(Sequence[Instruction]):
    """The pictures of a set, in the order of its file; each is read when it is asked for.

    Opening a set looks at every line, so that a damaged one is found before an hour of training;
    partitions are decoded, and checked, picture by picture. The last line of a set that is still
    being made may be torn: it is left out.

    Args:
        folder: of the set.

    Raises:
        DataError: there is no set, a line is damaged, or a picture is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lines = list(_whole_lines(self.folder / INSTRUCTIONS_FILE))
        self._sources: list[str] = []
        for number, line in enumerate(self._lines, start=1):
            record = _load(line, self.folder, number)
            if not (self.folder / record["image"]).is_file():
                raise DataError(
                    f"{self.folder / record['image']} is missing, which line {number} of "
                    f"{self.folder / INSTRUCTIONS_FILE} names; make the set anew."
                )
            self._sources.append(record["source"])
        self._numbers: Sequence[int] = range(1, len(self._lines) + 1)

    @property
    def sources(self) -> tuple[str, ...]:
        """Of each picture the name of the photograph it was made from."""
        return tuple(self._sources)

    def count_regions(self) -> RegionCounts:
        """Count regions without decoding partitions.

        Raises:
            DataError: a line is damaged.
        """
        regions = spoiled = labelled = described = 0
        for line, number in zip(self._lines, self._numbers, strict=True):
            record = _load(line, self.folder, number)
            regions += len(record["regions"])
            spoiled += sum(bool(entry.get("faults")) for entry in record["regions"])
            labelled += sum(entry.get("seen") is not None for entry in record["regions"])
            described += sum(bool(entry.get("descriptions")) for entry in record["regions"])
        return RegionCounts(regions, spoiled, labelled, described)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Instruction: ...
    @overload
    def __getitem__(self, index: slice) -> InstructionSet: ...
    def __getitem__(self, index: int | slice) -> Instruction | InstructionSet:
        if isinstance(index, slice):
            return self._subset(range(len(self))[index])
        number = self._numbers[index]
        record = _load(self._lines[index], self.folder, number)
        try:
            return instruction_from(record, self.folder)
        except (DataError, ConfigError) as error:  # no strength, no family: a setting elsewhere
            raise DataError(
                f"line {number} of {self.folder / INSTRUCTIONS_FILE} is damaged: {error}"
            ) from error

    def split(self, fraction: float, *, seed: int = 0) -> tuple[InstructionSet, InstructionSet]:
        """Two sets without a photograph in common: all but, and about `fraction` of the sources.

        Which part a photograph goes to depends on its name and the seed only: a set that grows
        keeps its parts.

        Args:
            fraction: of the sources in the second part, 0..1.
            seed: another seed, other parts.
        """
        held = [_share_of(source, seed) < fraction for source in self._sources]
        return (
            self._subset([i for i, is_held in enumerate(held) if not is_held]),
            self._subset([i for i, is_held in enumerate(held) if is_held]),
        )

    def _subset(self, indices: Sequence[int]) -> InstructionSet:
        part = InstructionSet.__new__(InstructionSet)
        part.folder = self.folder
        part._lines = [self._lines[i] for i in indices]
        part._sources = [self._sources[i] for i in indices]
        part._numbers = [self._numbers[i] for i in indices]
        return part


class JoinedInstructions(Sequence[Instruction]):
    """Several sets one behind the other, to learn from all of them."""

    def __init__(self, sets: Sequence[InstructionSet]) -> None:
        self.sets = tuple(sets)
        self._ends = list(accumulate(map(len, self.sets)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Instruction: ...
    @overload
    def __getitem__(self, index: slice) -> list[Instruction]: ...
    def __getitem__(self, index: int | slice) -> Instruction | list[Instruction]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        at = range(len(self))[index]
        number = bisect_right(self._ends, at)
        return self.sets[number][at - (self._ends[number - 1] if number else 0)]


def read_instructions(folder: str | Path) -> InstructionSet:
    """The set in a folder that `make_instructions` or `make_labelled` wrote.

    Raises:
        DataError: there is no set, a line is damaged, or a picture is missing.
    """
    return InstructionSet(folder)


def record_of(instruction: Instruction, folder: Path) -> dict[str, Any]:
    """An instruction as plain data for JSON; the picture's path is relative to `folder`."""
    return {
        "image": instruction.image.relative_to(folder).as_posix(),
        "source": instruction.source,
        "regions": [_entry_of(region) for region in instruction.regions],
        "partition": instruction.partition.to_rle(),
    }


def _entry_of(region: RegionInstruction) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "region": region.region,
        "ratings": {d: [round(p, 6) for p in region.ratings[d].probabilities] for d in DIMENSIONS},
        "noun": region.noun,
        "descriptions": list(region.descriptions),
        "faults": [
            {"dimension": f.dimension, "family": f.family, "strength": f.strength}
            for f in region.faults
        ],
    }
    if region.seen is not None:
        entry["seen"] = dict(region.seen)
    return entry


def instruction_from(record: Mapping[str, Any], folder: Path) -> Instruction:
    """Read back what `record_of` made.

    Raises:
        DataError: something is missing, of another type, or contradicts itself.
        ConfigError: a fault is of no known family or strength.
    """
    try:
        partition = Partition.from_rle(record["partition"])
        regions = tuple(_region_from(entry, partition) for entry in record["regions"])
        return Instruction(folder / record["image"], record["source"], partition, regions)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"this is no instruction: {type(error).__name__} {error}.") from error


def _region_from(entry: Mapping[str, Any], partition: Partition) -> RegionInstruction:
    region = entry["region"]
    if not isinstance(region, int) or not 0 <= region < len(partition):
        raise DataError(f"region ids run from 0 to {len(partition) - 1}; got {region!r}.")
    if set(entry["ratings"]) != set(DIMENSIONS):
        raise DataError(f"a region is rated on {', '.join(DIMENSIONS)}; see region {region}.")
    faults = tuple(
        Fault(fault["dimension"], fault["family"], fault["strength"]) for fault in entry["faults"]
    )
    for fault in faults:
        check_strength(fault.strength)
        if dimension_of(fault.family) != fault.dimension:
            raise DataError(f"{fault.family} does not spoil {fault.dimension!r}.")
    ratings: dict[Dimension, Rating] = {d: Rating(tuple(entry["ratings"][d])) for d in DIMENSIONS}
    seen = _seen_from(entry.get("seen"))
    if faults and seen is not None:
        raise DataError(f"region {region} is spoiled and labelled; it can be one of both only.")
    said = (tuple(entry["descriptions"]), entry["noun"])
    return RegionInstruction(region, ratings, *said, faults, seen)


def _seen_from(entry: Mapping[str, Any] | None) -> dict[Dimension, float] | None:
    """What `seen` of a record says; None where a record has none, as in computed data."""
    if entry is None:
        return None
    unknown = set(entry) - set(LABELLED)
    if unknown:
        raise DataError(f"severities are of {', '.join(LABELLED)}; got {sorted(unknown)}.")
    for severity in entry.values():
        check_severity(severity)
    return {dimension: entry[dimension] for dimension in LABELLED if dimension in entry}


def _whole_lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):  # what follows was torn by an interruption
                    yield line
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}; rsfiqa teach data makes such a set."
        ) from error


def _load(line: bytes, folder: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
        texts = isinstance(record["image"], str) and isinstance(record["source"], str)
        if texts and all(isinstance(entry, dict) for entry in record["regions"]):
            return dict(record)
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(
        f"line {number} of {folder / INSTRUCTIONS_FILE} is no instruction; make the set anew."
    )


def _share_of(source: str, seed: int) -> float:
    """A number in 0..1 that is the source's own, whatever folder it was found in: sets that were made
    from one photograph have to agree on its part."""
    digest = hashlib.sha256(f"{seed}|{PurePosixPath(source).name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
