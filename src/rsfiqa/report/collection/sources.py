"""Results files, whichever command wrote them, read one picture at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa.errors import DataError

_MARKS = ("error", "score", "readings")
"""The keys of which every line has one: a failure, an assessment, or readings without a score."""


@dataclass(frozen=True)
class Source:
    """A results file, and where in it each picture's line lies.

    Attributes:
        path: the file.
        places: offset and length in bytes of each picture's line, in the file's order; the last
            line of a picture counts, and a torn last line is left out.
    """

    path: Path
    places: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.places)

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines, one at a time.

        Raises:
            DataError: the file cannot be read any more, or has changed since it was looked at.
        """
        try:
            with self.path.open("rb") as file:
                for offset, length in self.places:
                    file.seek(offset)
                    record = _record(file.read(length))
                    if record is None:
                        raise DataError(
                            f"{self.path} changed while it was read; run the report again."
                        )
                    yield record
        except OSError as error:
            raise _unreadable(self.path, error) from error


def find_sources(given: Sequence[str | Path | Source]) -> list[Source]:
    """The results files that a user names.

    Args:
        given: results files of `rsfiqa assess` or `rsfiqa read`, and folders. Of a folder, the
            files below it that end in .jsonl and hold results are taken, by name. A file that is
            reached twice counts once. What was found before is passed on.

    Raises:
        DataError: a file cannot be read or holds something else, or a folder holds no results.
    """
    found: dict[Path, Source] = {}
    for name in given:
        for source in [name] if isinstance(name, Source) else _find(Path(name)):
            found.setdefault(source.path.resolve(), source)
    return list(found.values())


def _find(path: Path) -> list[Source]:
    return _in_folder(path) if path.is_dir() else [_scan(path)]


def _in_folder(folder: Path) -> list[Source]:
    paths = sorted(path for path in folder.rglob("*.jsonl") if _is_visible(path, folder))
    sources = [_scan(path) for path in paths if path.is_file() and _begins_with_results(path)]
    if not sources:
        raise DataError(
            f"{folder} holds no results: no file in it or below it ends in .jsonl and was written "
            "by rsfiqa; name the folder of the results, or the file."
        )
    return sources


def _is_visible(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _begins_with_results(path: Path) -> bool:
    """Whether the first line is a result: a folder may hold JSON Lines of other kinds."""
    try:
        with path.open("rb") as file:
            return _record(file.readline()) is not None
    except OSError as error:
        raise _unreadable(path, error) from error


def _scan(path: Path) -> Source:
    places: dict[str, tuple[int, int]] = {}
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                record = _record(raw)
                if record is not None:
                    places[record["image"]] = offset, len(raw)
                elif raw.strip() and raw.endswith(b"\n"):
                    raise DataError(
                        f"line {number} of {path} is no result of rsfiqa; name a file that "
                        "rsfiqa assess --out or rsfiqa read --out wrote."
                    )
                elif number == 1 and raw.strip() and not raw.startswith(b'{"image"'):
                    raise DataError(f"{path} is no results file of rsfiqa; name one that is.")
                # Else a line that is being written, or was when its writer was killed.
                offset += len(raw)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Source(path, tuple(sorted(places.values())))


def _record(raw: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("image"), str):
        return None
    return record if any(mark in record for mark in _MARKS) else None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")
