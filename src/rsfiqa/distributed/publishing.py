"""Where the results of a run go: JSON Lines on this machine, or from there to Parquet or object storage.

Results are kept in a JSON Lines file of this machine as they come, the *journal*
(`rsfiqa.results.ResultsFile`). Where the user asked for JSON Lines on this machine, that file is the
result. Otherwise the journal lies beside the result, or for object storage in the cache; when the run ends
well, the result is made of it and it is deleted. A rerun goes on from the journal where there is one, or
else from the result, so that nothing is assessed twice.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rsfiqa.atomic import replacing
from rsfiqa.distributed.locations import (
    exists,
    is_address,
    open_location,
    remove,
    require_writable,
)
from rsfiqa.distributed.tables import import_parquet, parquet_files
from rsfiqa.errors import DataError, RsfiqaError
from rsfiqa.results import encode_line, read_results
from rsfiqa.types import DIMENSIONS

ROWS_IN_PART = 10_000
"""Pictures in a file of a Parquet folder."""

_ROWS_AT_A_TIME = 256
_PART = re.compile(r"part-[0-9a-f]{8}-[0-9]{5}\.parquet")

_TYPES: dict[str, str] = {
    "image": "string",
    "width": "int32",
    "height": "int32",
    "score": "double",
    "level": "string",
    "uncertainty": "double",
    "interval_low": "double",
    "interval_high": "double",
    "familiar": "bool",
    "novelty": "double",
    "summary": "string",
    **{str(dimension): "double" for dimension in DIMENSIONS},
    "regions": "int32",
    "segmenter": "string",
    "reader": "string",
    "scorer": "string",
    "version": "string",
    "sha256": "string",
    "error": "string",
    "result": "string",
}
"""Columns of results in Parquet: those of `rsfiqa.to_frame`, and the whole result as JSON."""


@dataclass(frozen=True)
class Destination:
    """Where a run's results go.

    Attributes:
        location: as the user named it: path or address.
        is_parquet: in Parquet, not in JSON Lines.
        is_folder: as a folder of Parquet files.
        journal: the JSON Lines file in which results are kept as they come.
    """

    location: str
    is_parquet: bool
    is_folder: bool
    journal: Path

    @classmethod
    def of(cls, location: str) -> Destination:
        """What a name means: `NAME.parquet` is Parquet, a folder of files where one is there or the name
        ends in `/`; any other is JSON Lines.

        Example:
            >>> where = Destination.of("out/results.jsonl")
            >>> where.is_direct, where.journal.as_posix()
            (True, 'out/results.jsonl')
            >>> where = Destination.of("out/results.parquet/")
            >>> where.is_folder, where.journal.as_posix()
            (True, 'out/.results.parquet.jsonl')
        """
        plain = location.rstrip("/")
        is_parquet = plain.lower().endswith(".parquet")
        if is_address(location):
            is_folder = is_parquet and location.endswith("/")
            return cls(location, is_parquet, is_folder, _journal_in_cache(location))
        if not is_parquet:
            return cls(location, False, False, Path(location))
        path = Path(plain)
        is_folder = location.endswith("/") or path.is_dir()
        return cls(location, True, is_folder, path.with_name(f".{path.name}.jsonl"))

    @property
    def is_direct(self) -> bool:
        """Whether the journal is the result."""
        return not self.is_parquet and not is_address(self.location)

    def require_writable(self) -> None:
        """Find out before the work, not after it, that results cannot be written.

        Raises:
            ConfigError: nobody here knows the protocol.
            DataError: they cannot be.
            MissingExtraError: Parquet needs pyarrow, which is not installed.
        """
        if self.is_parquet:
            import_parquet()
        if is_address(self.location):
            require_writable(self.location)

    def take_up(self) -> bool:
        """Have the journal hold the earlier results, if there are any; returns whether it has some.

        Raises:
            DataError: what is there cannot be read, or is no result of rsfiqa.
        """
        try:
            if not self.is_direct and not self.journal.exists() and exists(self.location):
                with replacing(self.journal) as partial, partial.open("wb") as journal:
                    journal.writelines(self._earlier())
            return self.journal.is_file() and self.journal.stat().st_size > 0
        except OSError as error:
            raise DataError(f"{self.location} cannot be read: {error}.") from error

    def publish(self) -> None:
        """Make the result of the journal, and delete the journal; nothing where it is the result.

        Raises:
            DataError: it cannot be written; the journal stays, and a rerun makes the result of it.
        """
        if self.is_direct:
            return
        try:
            if self.is_folder:
                self._publish_parts()
            elif self.is_parquet:
                with _written(self.location) as made:
                    _write_parquet(read_results(self.journal), made)
            else:
                with _written(self.location) as made:
                    shutil.copyfile(self.journal, made)
            self.journal.unlink()
        except OSError as error:
            raise DataError(
                f"{self.location} cannot be written ({error}); the results are kept in {self.journal}, and "
                "the same command goes on from there."
            ) from error

    def _earlier(self) -> Iterator[bytes]:
        """The lines of the result that is there."""
        if not self.is_parquet:
            with open_location(self.location) as file:
                yield from file
            return
        pq = import_parquet()
        for name in parquet_files(self.location):
            with open_location(name) as file:
                parquet = pq.ParquetFile(file)
                if "result" not in parquet.schema_arrow.names:
                    raise DataError(
                        f"{name} holds no results of rsfiqa, so nothing was written; name another place, "
                        "or move this one away."
                    )
                for batch in parquet.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=["result"]):
                    for line in batch.column(0).to_pylist():
                        yield line.encode() + b"\n"

    def _publish_parts(self) -> None:
        """Write new files into the folder, then delete those of an earlier run."""
        folder = self.location.rstrip("/")
        earlier = parquet_files(folder)
        token = secrets.token_hex(4)
        records = read_results(self.journal)
        for k, first in enumerate(records):
            with _written(f"{folder}/part-{token}-{k:05}.parquet") as made:
                _write_parquet(_chained(first, islice(records, ROWS_IN_PART - 1)), made)
        for name in earlier:
            if _PART.fullmatch(name.rpartition("/")[2]):
                remove(name)


def _journal_in_cache(address: str) -> Path:
    from rsfiqa.assets import cache_folder

    return (
        cache_folder() / "journals" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.jsonl"
    )


@contextmanager
def _written(location: str) -> Iterator[Path]:
    """A path to write to; what is there when the block ends well is moved or sent to the location, whole."""
    if not is_address(location):
        with replacing(Path(location)) as partial:
            yield partial
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made")
        yield made
        with made.open("rb") as source, open_location(location, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)


def _chained(first: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from rest


def _write_parquet(records: Iterator[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa

    pq = import_parquet()
    types = {
        "string": pa.large_string(),
        "int32": pa.int32(),
        "double": pa.float64(),
        "bool": pa.bool_(),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in _TYPES.items()])
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while rows := [_row(record) for record in islice(records, _ROWS_AT_A_TIME)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    except pa.ArrowException as error:
        if isinstance(error, OSError):
            raise
        raise RsfiqaError(f"{path.name} could not be written as Parquet: {error}.") from error


def _row(record: dict[str, Any]) -> dict[str, Any]:
    row = {name: record.get(name) for name in _TYPES}
    row.update(record.get("ratings") or {})
    row.update(record.get("model") or {})
    regions = record.get("regions")
    row["regions"] = None if regions is None else len(regions)
    row["interval_low"], row["interval_high"] = record.get("interval") or (None, None)
    # Names that are no valid Unicode are readable here, and exact in the JSON.
    row["image"] = _readable(record["image"])
    row["error"] = _readable(record.get("error"))
    row["result"] = encode_line(record)[:-1].decode()
    return row


def _readable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
