"""Where a run's output goes: checked before work starts, and never two pictures to one file."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import typer

from rsfiqa.atomic import replacing
from rsfiqa.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

    from rsfiqa.types import Assessment

OverlayKind = Literal["regions", "attention", "quality"]
OVERLAY_KINDS: tuple[OverlayKind, ...] = get_args(OverlayKind)


def require_writable_folder(folder: Path) -> None:
    """Make a folder where it is missing and try to write into it.

    Raises:
        DataError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def require_writable_file(path: Path) -> None:
    """See that a file can be written, without changing it.

    Raises:
        DataError: it is a folder, or cannot be written.
    """
    if path.exists():
        if not path.is_file():
            raise DataError(f"{path} cannot be written: it is a folder or a device; name a file.")
        try:
            with path.open("r+b"):
                return
        except OSError as error:
            raise unwritable(path, error) from error
    require_writable_folder(path.parent)


def require_writable_figures(path: Path | None) -> None:
    """Find out before the minutes of measuring, not after, that the figures cannot be kept.

    Raises:
        DataError: they cannot.
    """
    if path is not None:
        require_writable_file(path)


def write_figures(figures: Mapping[str, Any], path: Path | None) -> None:
    """Keep the figures of a measurement as JSON, where that is asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def unwritable(path: Path, error: OSError) -> DataError:
    """The error that says why a file or folder cannot be written."""
    return DataError(f"{path} cannot be written: {error.strerror or error}; name another place.")


class StandardOutput:
    """Writes results to standard output, with the methods of `ResultsFile` that a run needs."""

    notes: Sequence[str] = ()

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        from rsfiqa.results import encode_line

        stream = typer.get_binary_stream("stdout")
        for record in records:
            stream.write(encode_line(record))
        stream.flush()


def save_overlay(assessment: Assessment, kind: OverlayKind, path: Path) -> None:
    """Draw an overlay and write it as PNG, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    from rsfiqa.report.overlay import draw_overlay

    save_picture(draw_overlay(assessment, kind), path)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    try:
        # One of many, which can be made again: not worth a wait for the disk each.
        with replacing(path, durable=False) as partial:
            picture.save(partial, format="PNG")
    except OSError as error:
        raise unwritable(path, error) from error


class OverlayFolder:
    """Names and writes the overlay pictures of a run.

    The folders below the inputs' deepest common folder are mirrored, so that two pictures of one
    name in different folders stay apart. Pictures of one folder that differ in their suffix only
    (`x.jpg`, `x.png`) keep the suffix in the overlay's name (`x.jpg.regions.png`).

    Args:
        folder: where the overlays go.
        names: the paths of all pictures of the run, in order.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._stems = dict(zip(names, distinct_stems(names), strict=True))

    def path(self, name: str, kind: OverlayKind) -> Path:
        """Where the overlay of a picture is, or will be."""
        return self._folder / f"{self._stems[name]}.{kind}.png"

    def is_complete(self, name: str) -> bool:
        """Whether all overlays of a picture are there."""
        return all(self.path(name, kind).exists() for kind in OVERLAY_KINDS)

    def save(self, name: str, assessment: Assessment) -> None:
        """Draw and write all overlays of a picture.

        Raises:
            DataError: they cannot be written.
        """
        for kind in OVERLAY_KINDS:
            save_overlay(assessment, kind, self.path(name, kind))


def distinct_stems(names: Sequence[str]) -> list[str]:
    """One relative path without suffix per name, distinct even where case does not count."""
    relative = _below_common_folder(names)
    stems = [os.path.splitext(path)[0] for path in relative]  # noqa: PTH122 - 100,000 of them
    uses = Counter(stem.casefold() for stem in stems)
    taken: set[str] = set()
    distinct = []
    for path, stem in zip(relative, stems, strict=True):
        label = first = stem if uses[stem.casefold()] == 1 else path
        number = 1
        while label.casefold() in taken:
            number += 1
            label = f"{first}-{number}"
        taken.add(label.casefold())
        distinct.append(label)
    return distinct


def _below_common_folder(names: Sequence[str]) -> list[str]:
    absolute = [os.path.abspath(name) for name in names]  # noqa: PTH100
    try:
        common = os.path.commonpath({os.path.dirname(path) for path in absolute})  # noqa: PTH120
    except ValueError:  # several drives: each becomes a folder
        return [path.replace(":", "").lstrip("\\/") for path in absolute]
    return [os.path.relpath(path, common) for path in absolute]
