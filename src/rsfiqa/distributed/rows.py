"""What goes between stages on Ray, as Arrow tables of one row a picture.

Names are bytes, since a file's name need not be valid Unicode.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rsfiqa.distributed.pictures import StoredSource
from rsfiqa.images import LoadedImage
from rsfiqa.partition import Partition

SOURCES = pa.schema([("name", pa.binary()), ("data", pa.large_binary())])
"""Pictures to be worked on; without data, the name says where they are."""

_FINISHED = [
    ("name", pa.binary()),
    ("line", pa.large_binary()),
    ("error", pa.binary()),
    ("sha256", pa.string()),
    ("kept", pa.bool_()),
    ("fatal", pa.string()),
]
FINISHED = pa.schema(_FINISHED)
"""What became of pictures."""

DIVIDED = pa.schema(
    [
        *_FINISHED,
        ("pixels", pa.large_binary()),
        ("labels", pa.large_binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("segmenter", pa.string()),
        ("notes", pa.list_(pa.string())),
    ]
)
"""Pictures with their partitions; those that are finished already have no pixels."""


@dataclass(frozen=True)
class Finished:
    """What became of a picture.

    Attributes:
        name: the picture's.
        line: its result as a line of JSON.
        error: why there is none, in one sentence.
        sha256: hash of the file's bytes, where it could be read.
        kept: it is unchanged, and its earlier result holds.
        fatal: the class of an error that every picture would fail by; `error` is its sentence.
    """

    name: str
    line: bytes | None = None
    error: str | None = None
    sha256: str | None = None
    kept: bool = False
    fatal: str | None = None


@dataclass(frozen=True, eq=False)
class Divided:
    """A decoded picture with its partition, and the name of what divided it."""

    picture: LoadedImage
    partition: Partition
    segmenter: str


def sources_table(sources: Sequence[StoredSource]) -> pa.Table:
    """Pictures to be worked on as a table."""
    rows = [{"name": os.fsencode(source.name), "data": source.data} for source in sources]
    return pa.Table.from_pylist(rows, schema=SOURCES)


def read_sources(table: pa.Table) -> Iterator[StoredSource]:
    """The pictures of such a table."""
    for row in table.to_pylist():
        yield StoredSource(os.fsdecode(row["name"]), row["data"])


def finished_table(finished: Finished, schema: pa.Schema = FINISHED) -> pa.Table:
    """One picture that is finished, as a table of any of the schemas that can hold it."""
    error = finished.error
    row = {
        "name": os.fsencode(finished.name),
        "line": finished.line,
        "error": None if error is None else error.encode("utf-8", "surrogatepass"),
        "sha256": finished.sha256,
        "kept": finished.kept,
        "fatal": finished.fatal,
    }
    return pa.Table.from_pylist([row], schema=schema)


def divided_table(divided: Divided) -> pa.Table:
    """One picture with its partition as a table; the label map is compressed."""
    picture = divided.picture
    row = {
        "name": os.fsencode(picture.name),
        "sha256": picture.sha256,
        "pixels": picture.pixels.tobytes(),
        "labels": zlib.compress(divided.partition.labels.astype(np.uint32).tobytes(), 1),
        "height": picture.height,
        "width": picture.width,
        "segmenter": divided.segmenter,
        "notes": list(picture.notes),
    }
    return pa.Table.from_pylist([row], schema=DIVIDED)


def read_finished(table: pa.Table) -> Iterator[Finished]:
    """The finished pictures of a table."""
    for k in range(table.num_rows):
        yield _finished_of(table, k)


def read_divided(table: pa.Table) -> Iterator[Divided | Finished]:
    """The pictures of a table of the schema `DIVIDED`, one at a time: each may be large."""
    for k in range(table.num_rows):
        pixels = table["pixels"][k]
        if not pixels.is_valid:
            yield _finished_of(table, k)
            continue
        size = table["height"][k].as_py(), table["width"][k].as_py()
        labels = np.frombuffer(zlib.decompress(table["labels"][k].as_py()), np.uint32)
        # A copy, since torch takes no memory that cannot be written to without a warning.
        array = np.frombuffer(pixels.as_buffer(), np.uint8).reshape(*size, 3).copy()
        array.flags.writeable = False
        picture = LoadedImage(
            array,
            os.fsdecode(table["name"][k].as_py()),
            table["sha256"][k].as_py(),
            tuple(table["notes"][k].as_py() or ()),
        )
        yield Divided(picture, Partition(labels.reshape(size)), table["segmenter"][k].as_py())


def _finished_of(table: pa.Table, k: int) -> Finished:
    error = table["error"][k].as_py()
    return Finished(
        os.fsdecode(table["name"][k].as_py()),
        table["line"][k].as_py(),
        None if error is None else error.decode("utf-8", "surrogatepass"),
        table["sha256"][k].as_py(),
        bool(table["kept"][k].as_py()),
        table["fatal"][k].as_py(),
    )
