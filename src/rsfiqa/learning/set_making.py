"""What all makers of instruction sets share: a set that grows, and the photographs it is made from.

A set is written line by line, so that a run that was interrupted goes on where it stopped. One run
writes to a set at a time, and none goes on with a set that was made otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from rsfiqa.errors import DataError, ImageError
from rsfiqa.images import load_image
from rsfiqa.learning.distortions.base import Pixels
from rsfiqa.learning.instructions import INSTRUCTIONS_FILE, PICTURES_FOLDER, Instruction, record_of
from rsfiqa.partition import Partition

SETTINGS_FILE = "settings.json"
"""What a set was made of: going on with anything else would mix two sets."""

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
        missing: photographs that were named but are not there.
    """

    made: int = 0
    kept: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What became of one photograph: lines for the set, or its name and why there are none."""

    lines: tuple[bytes, ...] = ()
    failure: tuple[str, str] | None = None


@dataclass(frozen=True)
class GrowingSet:
    """A set that this run alone writes to.

    Attributes:
        folder: of the set.
        there: the numbers of the pictures that earlier runs made.
    """

    folder: Path
    there: frozenset[int]

    def extend(
        self, made: Iterable[Made], told: Callable[[int], None]
    ) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Write what is made as it comes.

        Args:
            made: one a photograph.
            told: called with the number of further pictures that are done.

        Returns:
            how many pictures were made, and the photographs that failed, each once.
        """
        count = 0
        failures: dict[str, str] = {}
        with (self.folder / INSTRUCTIONS_FILE).open("ab") as file:
            for done in made:
                if done.failure:
                    failures.setdefault(*done.failure)
                file.writelines(done.lines)
                file.flush()
                os.fsync(file.fileno())
                count += len(done.lines)
                told(len(done.lines))
        return count, tuple(failures.items())


@contextmanager
def growing_set(folder: Path, settings: dict[str, Any]) -> Iterator[GrowingSet]:
    """A new set, or the one in a folder, to be gone on with.

    Args:
        folder: made when needed.
        settings: all that the set follows from.

    Raises:
        DataError: the folder holds a set of other settings or a damaged one, cannot be written, or
            another run is writing to it.
    """
    from filelock import FileLock, Timeout

    try:
        (folder / PICTURES_FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{INSTRUCTIONS_FILE}.lock", timeout=0):
            _keep_settings(folder / SETTINGS_FILE, settings)
            yield GrowingSet(folder, frozenset(_recover(folder)))
    except Timeout as error:
        raise DataError(f"another run is writing to {folder}; wait for it.") from error
    except OSError as error:
        if isinstance(error, ImageError):
            raise
        raise DataError(
            f"{folder} cannot be written: {error.strerror or error}; name another place."
        ) from error


def open_photograph(path: Path) -> Pixels:
    """A photograph to learn from, `[H, W, 3]`.

    Raises:
        ImageError: it cannot be read, or is too small to show anything in its regions.
    """
    pixels = load_image(path).pixels
    if min(pixels.shape[:2]) < SMALLEST_PHOTOGRAPH:
        raise ImageError(
            f"{path} is {pixels.shape[1]}×{pixels.shape[0]}; a photograph to learn from "
            f"has at least {SMALLEST_PHOTOGRAPH} pixels on its short side."
        )
    return pixels


def save_picture(pixels: Pixels, folder: Path, number: int) -> Path:
    """Write a picture of a set, without loss.

    Args:
        folder: of the set.
        number: of the picture.
    """
    path = folder / PICTURES_FOLDER / f"{number:06d}.png"
    # Noise hardly compresses: more effort would cost time and save nothing.
    Image.fromarray(pixels).save(path, compress_level=1)
    return path


def line_of(instruction: Instruction, folder: Path, kind: str) -> bytes:
    """A set's line on a picture.

    Args:
        folder: of the set.
        kind: how the picture came about, kept for who looks into the file.
    """
    record = {**record_of(instruction, folder), "kind": kind}
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


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


def _recover(folder: Path) -> set[int]:
    """The numbers of the pictures that are there; a torn last line is cut off.

    Raises:
        DataError: a line is no instruction.
    """
    path = folder / INSTRUCTIONS_FILE
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
