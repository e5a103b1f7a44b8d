"""Parquet as a list of pictures: a column of their paths, or of the bytes of their files.

Also understood is the column that data sets of the hub have, a struct of `bytes` and `path`
(https://huggingface.co/docs/datasets/about_dataset_features#image-feature).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsfiqa.distributed.locations import files_below, is_address, open_location
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.images.decode import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

IMAGE_COLUMNS = ("image", "path", "file", "file_name", "filename", "url")
"""Where pictures are looked for, in this order, unless the user names the column."""

NAME_COLUMNS = ("name", "image_name", "path", "file_name", "filename", "id", "key")
"""Where the names of pictures are looked for that are in the table as bytes."""

_SUFFIXES = frozenset({".parquet"})
_ROWS_AT_A_TIME = 16
"""Pictures are some megabytes each."""

Kind = Literal["paths", "bytes", "structs"]


def is_table(given: str) -> bool:
    """Whether what a user named is Parquet: `NAME.parquet`, a file or folder, or on this machine a folder
    with such files, and no pictures, directly in it."""
    if given.rstrip("/").lower().endswith(".parquet"):
        return True
    if is_address(given):
        return False
    try:
        folder = Path(given)
        suffixes = {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    except (OSError, ValueError):
        return False
    return bool(suffixes & _SUFFIXES) and not suffixes & IMAGE_SUFFIXES


@dataclass(frozen=True)
class PictureTable:
    """Parquet files whose rows are pictures.

    Attributes:
        files: their paths or addresses, in order.
        image_column: the column of pictures.
        name_column: the column of their names; None where the pictures' column says it.
        kind: what the pictures' column holds: paths or addresses; the bytes of files; structs of both.
    """

    files: tuple[str, ...]
    image_column: str
    name_column: str | None
    kind: Kind

    @property
    def holds_pictures(self) -> bool:
        """Whether the pictures themselves are in it."""
        return self.kind != "paths"

    @property
    def columns(self) -> list[str]:
        """The columns that are needed to assess."""
        named = [] if self.name_column is None else [self.name_column]
        return list(dict.fromkeys([self.image_column, *named]))

    def names(self) -> Iterator[str]:
        """The names of the pictures, in order; where the table holds paths, these.

        Raises:
            DataError: a file cannot be read, or a row has no name.
        """
        column = self.image_column if self.name_column is None else self.name_column
        wanted = (
            f"{column}.path" if column == self.image_column and self.kind == "structs" else column
        )
        for file in self.files:
            row = 0
            for batch in _batches(file, [wanted], 65_536):
                values = batch.column(0)
                for value in values.to_pylist():
                    name = value["path"] if isinstance(value, dict) else value
                    yield _require_name(name, file, row, column)
                    row += 1

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of the pictures in it, in order; a row without bytes gives b"".

        Raises:
            DataError: as for `names`.
        """
        for file in self.files:
            row = 0
            for batch in _batches(file, self.columns, _ROWS_AT_A_TIME):
                yield from self.read_rows(batch, file, row)
                row += batch.num_rows

    def read_rows(
        self, batch: pa.RecordBatch | pa.Table, file: str = "", row: int = 0
    ) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of rows that have the table's `columns`.

        Raises:
            DataError: a row has no name.
        """
        images = batch.column(self.image_column).to_pylist()
        if self.kind == "structs":
            paths = [image["path"] if image else None for image in images]
            images = [image["bytes"] if image else None for image in images]
        else:
            paths = [None] * len(images)
        names = paths if self.name_column is None else batch.column(self.name_column).to_pylist()
        column = self.name_column or f"{self.image_column}.path"
        for k, (name, image) in enumerate(zip(names, images, strict=True)):
            yield _require_name(name, file, row + k, column), image or b""


def open_table(
    given: str, *, image_column: str | None = None, name_column: str | None = None
) -> PictureTable:
    """Find out what a Parquet file, or a folder of them, holds.

    Args:
        given: path or address.
        image_column: the column of pictures; by default the first of `IMAGE_COLUMNS` that is there.
        name_column: the column of names, for pictures that are in it as bytes; by default the first of
            `NAME_COLUMNS` that is there.

    Raises:
        ConfigError: it has no such column, or one of another type.
        DataError: it cannot be read, or there is no file.
        MissingExtraError: pyarrow is not installed.
    """
    import_parquet()
    files = _files(given)
    with _opened(files[0]) as parquet:
        schema = parquet.schema_arrow
    image_column = image_column or _first(IMAGE_COLUMNS, schema, given, "--image-column")
    kind = _kind_of(_field(schema, image_column, given), given)
    if kind == "paths":
        return PictureTable(tuple(files), image_column, None, kind)
    if name_column is None and kind == "structs":
        return PictureTable(tuple(files), image_column, None, kind)
    name_column = name_column or _first(NAME_COLUMNS, schema, given, "--name-column")
    if not _is_text(_field(schema, name_column, given).type):
        raise ConfigError(
            f"the column {name_column} of {given} holds no text; name the column of the pictures' "
            "names with --name-column."
        )
    return PictureTable(tuple(files), image_column, name_column, kind)


def import_parquet() -> Any:
    """`pyarrow.parquet`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pq


def parquet_files(location: str) -> list[str]:
    """The Parquet files of a folder, or the file itself, by path or address; in order of their names.

    Raises:
        ConfigError, OSError: an address cannot be listed.
    """
    if is_address(location):
        return files_below(location, _SUFFIXES)
    folder = Path(location)
    if not folder.is_dir():
        return [location] if folder.exists() else []
    visible = (path for path in folder.rglob("*.parquet") if path.is_file())
    return sorted(
        str(path)
        for path in visible
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _files(given: str) -> list[str]:
    try:
        files = parquet_files(given)
    except OSError as error:
        raise DataError(f"{given} cannot be searched: {error}.") from error
    if not files:
        raise DataError(f"{given} does not exist or holds no .parquet file; check the path.")
    return files


@contextmanager
def _opened(file: str) -> Iterator[pq.ParquetFile]:
    pq = import_parquet()
    import pyarrow as pa

    try:
        with open_location(file) as stream, pq.ParquetFile(stream) as parquet:
            yield parquet
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{file} cannot be read as Parquet: {reason}.") from error


def _batches(file: str, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    with _opened(file) as parquet:
        yield from parquet.iter_batches(batch_size=rows, columns=list(columns))


def _first(known: Sequence[str], schema: pa.Schema, given: str, option: str) -> str:
    found = next((name for name in known if name in schema.names), None)
    if found is None:
        raise ConfigError(
            f"{given} has the columns {', '.join(schema.names)}, none of them named "
            f"{', '.join(known[:3])} or the like; name the right one with {option}."
        )
    return found


def _field(schema: pa.Schema, column: str, given: str) -> pa.Field:
    if column not in schema.names:
        raise ConfigError(
            f"{given} has no column {column}; its columns are {', '.join(schema.names)}."
        )
    return schema.field(column)


def _kind_of(field: pa.Field, given: str) -> Kind:
    import pyarrow as pa

    if _is_text(field.type):
        return "paths"
    if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
        return "bytes"
    if pa.types.is_struct(field.type):
        parts = {field.type.field(k).name for k in range(field.type.num_fields)}
        if {"bytes", "path"} <= parts:
            return "structs"
    raise ConfigError(
        f"the column {field.name} of {given} holds {field.type}; pictures are paths (text), the bytes "
        "of files (binary), or structs of bytes and path."
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _require_name(name: object, file: str, row: int, column: str) -> str:
    if not isinstance(name, str) or not name:
        where = f"row {row} of {file}" if file else "a row"
        raise DataError(f"{where} has no name in the column {column}; give every picture one.")
    return name
