"""What a user names, as one list of pictures: files, object storage, and Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from rsfiqa.distributed.locations import find_pictures, is_address
from rsfiqa.distributed.pictures import StoredSource
from rsfiqa.distributed.tables import PictureTable, is_table, open_table
from rsfiqa.errors import DataError
from rsfiqa.inputs import BadInput, find_images


@dataclass(frozen=True)
class Part:
    """Pictures of a collection that are had in the same way.

    Attributes:
        inputs: names in order, and what leads to no picture. A name is a path, an address, or what the
            table calls the picture.
        table: the Parquet that holds the pictures themselves; None where names say where they are.
    """

    inputs: tuple[str | BadInput, ...]
    table: PictureTable | None = None


@dataclass(frozen=True)
class Collection:
    """Pictures to work on, in the order in which they were named, each once.

    Iterating gives where each picture comes from, and every input that leads to none; its length is the
    number of both.
    """

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(len(part.inputs) for part in self.parts)

    def __iter__(self) -> Iterator[StoredSource | BadInput]:
        """The sources in order; those of a table are read from it as they are asked for.

        Raises:
            DataError: a table cannot be read.
        """
        for part in self.parts:
            if part.table is not None:
                for name, data in part.table.pictures():
                    yield StoredSource(name, data)
            else:
                for given in part.inputs:
                    yield StoredSource(given) if isinstance(given, str) else given

    @property
    def inputs(self) -> list[str | BadInput]:
        """Every picture by its name, and every input that leads to none, in order."""
        return [given for part in self.parts for given in part.inputs]

    @property
    def bad(self) -> list[BadInput]:
        """Inputs that lead to no picture."""
        return [given for given in self.inputs if isinstance(given, BadInput)]


def gather(
    paths: Iterable[str],
    *,
    image_column: str | None = None,
    name_column: str | None = None,
    stdin: BinaryIO | None = None,
) -> Collection:
    """Find the pictures that a user names.

    Besides what `rsfiqa.inputs.find_images` knows, these are addresses of object storage (`s3://…`: a
    file, a folder, a pattern), also in lists; and Parquet, by path or address: `NAME.parquet`, a file or
    folder, or a folder with such files in it.

    Args:
        paths: as given by the user.
        image_column, name_column: of Parquet; see `open_table`.
        stdin: where `-` reads from; standard input by default.

    Raises:
        ConfigError: Parquet has no such column, or nobody here knows a protocol.
        DataError: Parquet cannot be read, or several pictures in it have one name.
        MissingExtraError: pyarrow is not installed.
    """
    given = list(dict.fromkeys(paths))
    seen: set[str] = set()
    parts: list[Part] = []
    listed: list[str | BadInput] = []

    def end_list() -> None:
        if listed:
            parts.append(Part(tuple(listed)))
            listed.clear()

    def add(entries: Iterable[str | BadInput]) -> None:
        for entry in entries:
            key = _key(entry)
            if key not in seen:
                seen.add(key)
                listed.append(entry)

    for path in given:
        if not is_table(path):
            add(find_pictures(path) if is_address(path) else _find_files(path, stdin))
            continue
        table = open_table(path, image_column=image_column, name_column=name_column)
        if not table.holds_pictures:
            add(table.names())
            continue
        end_list()
        names = tuple(table.names())
        _require_distinct(names, seen, path)
        parts.append(Part(names, table))
    end_list()
    return Collection(tuple(parts))


def _find_files(given: str, stdin: BinaryIO | None) -> Iterator[str | BadInput]:
    for entry in find_images([given], stdin=stdin):
        # A line of a list: whether there is such a picture shows when its turn comes.
        is_line = given == "-" and isinstance(entry, BadInput) and is_address(entry.path)
        yield entry[0] if is_line else entry


def _key(entry: str | BadInput) -> str:
    path = entry.path if isinstance(entry, BadInput) else entry
    return os.path.abspath(path) if path and not is_address(path) else path  # noqa: PTH100


def _require_distinct(names: Iterable[str], seen: set[str], table: str) -> None:
    """Results are told apart by their picture's name."""
    for name in names:
        key = _key(name)
        if key in seen:
            raise DataError(
                f"{table} calls several pictures {name}, or one that was named before; give each a name "
                "of its own, or another column with --name-column."
            )
        seen.add(key)
