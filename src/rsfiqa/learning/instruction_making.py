"""Making a set of instruction data from clean photographs.

A photograph is changed harmlessly, divided into regions and described once; several copies of it
are then spoiled by different plans, since dividing and describing cost most of the time. Everything
follows from the seed and the pictures' numbers: a run that was interrupted goes on where it stopped
and ends in the same set, and asking for more pictures keeps those that are there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.images import load_image
from rsfiqa.learning.augmentation import LARGEST_SIDE, augment
from rsfiqa.learning.distortions import VERSION as DISTORTIONS_VERSION
from rsfiqa.learning.distortions.base import Pixels
from rsfiqa.learning.full_reference import require_measure
from rsfiqa.learning.instructions import (
    INSTRUCTIONS_FILE,
    PICTURES_FOLDER,
    Instruction,
    RegionInstruction,
    record_of,
)
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.learning.spoiling import SpoiledRegion, SpoilingPlan, plan_copies, spoil_picture
from rsfiqa.parallel import cpu_workers, parallel_map
from rsfiqa.partition import Partition

SETTINGS_FILE = "settings.json"
"""What a set was made of: going on with anything else would mix two sets."""

VERSION = "1"
"""Kept with a set: change it whenever the same seed gives other pictures or labels."""

COPIES = 4
"""Spoiled copies of one augmented photograph."""

SMALLEST_PHOTOGRAPH = 96
"""Photographs with a shorter side, in pixels, are refused: regions of them show next to nothing."""


class Words(Protocol):
    """What a region shows, as `rsfiqa.learning.content.RegionWords` says it."""

    @property
    def noun(self) -> str: ...
    @property
    def descriptions(self) -> Sequence[str]: ...


Segment = Callable[[Pixels], Partition]
Describe = Callable[[Pixels, Partition], Sequence["Words | None"]]


@dataclass(frozen=True)
class MakingReport:
    """What a run did.

    Attributes:
        made: pictures made by this run.
        kept: pictures that an earlier run had made.
        failures: photographs that could not be used, with the reason.
    """

    made: int = 0
    kept: int = 0
    failures: tuple[tuple[str, str], ...] = ()


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


@dataclass(frozen=True)
class _Made:
    lines: tuple[bytes, ...] = ()
    failure: tuple[str, str] | None = None


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
    from filelock import FileLock, Timeout

    if pictures < 1 or copies < 1 or largest_side < 64:
        raise ConfigError(
            "a set has at least one picture, one copy of each photograph, and 64 pixels on the "
            f"long side; got {pictures}, {copies} and {largest_side}."
        )
    require_measure()
    named = name_photographs(photographs)
    out = Path(out)
    try:
        (out / PICTURES_FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(out / f".{INSTRUCTIONS_FILE}.lock", timeout=0):
            settings = _settings(named, seed, copies, largest_side, describe is not None, made_by)
            _keep_settings(out / SETTINGS_FILE, settings)
            there = _recover(out)
            told(len(there & set(range(pictures))))
            maker = _Maker(out, segment, describe, seed, copies, largest_side)
            groups = _groups(named, pictures, seed, copies, there)
            return _run(maker, groups, pictures, there, workers or cpu_workers(), told)
    except Timeout as error:
        raise DataError(f"another run is writing to {out}; wait for it.") from error
    except OSError as error:
        if isinstance(error, ImageError):
            raise
        raise DataError(
            f"{out} cannot be written: {error.strerror or error}; name another place."
        ) from error


def name_photographs(photographs: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Photographs by their names: their paths below the deepest folder they share.

    Args:
        photographs: a folder, or files and folders.

    Raises:
        DataError: one leads to no picture.
    """
    from rsfiqa.inputs import BadInput, find_images

    given = [photographs] if isinstance(photographs, str | Path) else list(photographs)
    found = find_images([os.fspath(path) for path in given])
    bad = [entry for entry in found if isinstance(entry, BadInput)]
    if bad or not found:
        raise DataError(bad[0].error if bad else "no photographs were given; name a folder.")
    paths = [Path(entry).absolute() for entry in found if isinstance(entry, str)]
    shared = Path(os.path.commonpath({path.parent for path in paths}))
    return {path.relative_to(shared).as_posix(): path for path in sorted(paths)}


def _run(
    maker: _Maker,
    groups: Sequence[_Group],
    pictures: int,
    there: set[int],
    workers: int,
    told: Callable[[int], None],
) -> MakingReport:
    made = 0
    failures: dict[str, str] = {}
    with (maker.out / INSTRUCTIONS_FILE).open("ab") as file:
        for done in parallel_map(maker.make, groups, workers):
            if done.failure:
                failures.setdefault(*done.failure)
            file.writelines(done.lines)
            file.flush()
            os.fsync(file.fileno())
            made += len(done.lines)
            told(len(done.lines))
    kept = len(there & set(range(pictures)))
    return MakingReport(made, kept, tuple(failures.items()))


@dataclass(frozen=True)
class _Maker:
    """Makes the pictures of groups, one group independently of all others."""

    out: Path
    segment: Segment
    describe: Describe | None
    seed: int
    copies: int
    largest_side: int

    def make(self, group: _Group) -> _Made:
        try:
            pixels = load_image(group.path).pixels
        except ImageError as error:
            return _Made(failure=(group.source, str(error)))
        if min(pixels.shape[:2]) < SMALLEST_PHOTOGRAPH:
            reason = (
                f"{group.path} is {pixels.shape[1]}×{pixels.shape[0]}; a photograph to learn from "
                f"has at least {SMALLEST_PHOTOGRAPH} pixels on its short side."
            )
            return _Made(failure=(group.source, reason))
        rng = np.random.default_rng([self.seed, group.number])
        clean = augment(pixels, rng, self.largest_side)
        partition = self.segment(clean)
        words = self.describe(clean, partition) if self.describe else [None] * len(partition)
        plans = plan_copies(partition, self.copies, rng)
        lines = []
        for copy in group.copies:
            number = group.number * self.copies + copy
            lines.append(self._copy(number, group.source, clean, partition, words, plans[copy]))
        return _Made(tuple(lines))

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
        path = self.out / PICTURES_FOLDER / f"{number:06d}.png"
        # Noise hardly compresses: more effort would cost time and save nothing.
        Image.fromarray(spoiled).save(path, compress_level=1)
        regions = tuple(
            _instruction_of(region, found[region], words[region]) for region in sorted(found)
        )
        record = record_of(Instruction(path, source, partition, regions), self.out)
        return json.dumps({**record, "kind": plan.kind}, ensure_ascii=False).encode() + b"\n"


def _instruction_of(region: int, found: SpoiledRegion, words: Words | None) -> RegionInstruction:
    return RegionInstruction(
        region,
        wanted_ratings(found.faults, found.similarity),
        tuple(words.descriptions) if words else (),
        words.noun if words else None,
        found.faults,
    )


def _groups(
    named: dict[str, Path], pictures: int, seed: int, copies: int, there: set[int]
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


def _keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new set; refuse to go on with a set of other settings."""
    if not path.exists():
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        kept = None
    if kept != settings:
        kept = kept if isinstance(kept, dict) else {}
        differs = [key for key in {**kept, **settings} if kept.get(key) != settings.get(key)]
        raise DataError(
            f"{path.parent} holds a set that was made otherwise (other: {', '.join(differs)}); "
            "name another folder, or give the settings of before."
        )


def _recover(out: Path) -> set[int]:
    """The numbers of the pictures that are there; a torn last line is cut off.

    Raises:
        DataError: a line is no instruction.
    """
    path = out / INSTRUCTIONS_FILE
    there: set[int] = set()
    if not path.exists():
        return there
    end = 0
    with path.open("r+b") as file:
        for line_number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                there.add(int(Path(json.loads(line)["image"]).stem))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"line {line_number} of {path} is no instruction; make the set anew."
                ) from error
            end += len(line)
        file.truncate(end)
    return there
