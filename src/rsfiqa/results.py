"""Results on disk: JSON Lines, one object a picture, which an interrupted run takes up again.

The file protocol:

* **One writer.** A writer holds a lock on `.NAME.lock` beside the file for as long as it writes;
  a second writer is refused at once. The lock file is empty, stays behind, and may be deleted.
* **Append, then fsync.** While a run goes on, lines are only ever added at the end, whole lines in
  one write followed by fsync. Whoever reads meanwhile sees whole lines. When a write fails (full
  disk), the file is cut back to the last whole line.
* **The last line of a picture counts.** A picture that is assessed anew gets a new line; the line
  before it is superseded, and stays until the run ends.
* **A torn last line is dropped.** After a crash the file may end in the beginning of a line. No
  proper beginning of a JSON object is itself one, so such an end is recognised and cut off when
  the file is opened for writing; its picture is assessed again.
* **Tidied at the end, atomically.** When a run ends well and the file holds superseded lines, or
  lines out of order, it is written anew beside itself and moved into place (`rsfiqa.atomic`):
  first the pictures that this run was not asked for, as they were, then those of this run in the
  order of its input, one line each. Until that move the old file is complete, and after it the new
  one.
* **A result is never lost to an error.** An error line replaces an earlier result only where the
  picture's bytes have changed since, so that the result is of a picture which is no more. A file
  that cannot be read today keeps the result that it had.
* **Nothing else is overwritten.** A file that holds anything but results is refused.

A picture is unchanged, and not assessed again, when its line has the same name, the same sha256 of
the file's bytes and the same model (segmenter, reader, scorer, version). Where regions are given,
each picture's segmenter is named by the contents of its regions' file, so that other regions are
another model. Error lines are always tried again.

The same protocol serves any work that gives one object a picture: a file's *mark* is the key that
its lines have where work was done ("score" for assessments), and an error line has not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from rsfiqa.atomic import replacing, sweep_partials
from rsfiqa.errors import DataError

if TYPE_CHECKING:
    from rsfiqa.types import ModelInfo

_LINE_START = b'{"image"'
"""What every line begins with: what lets a torn line be told from somebody else's file."""

_COPY_BYTES = 1 << 20
_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


def encode_line(record: Mapping[str, Any]) -> bytes:
    """One record as a whole line of UTF-8 JSON.

    File names that are no valid Unicode (possible on Linux) are written with JSON escapes.

    Raises:
        DataError: the record has no `image` as its first key, or a number that is not finite.

    Example:
        >>> encode_line({"image": "café.jpg", "score": 63.2})
        b'{"image": "caf\\xc3\\xa9.jpg", "score": 63.2}\\n'
    """
    if next(iter(record), None) != "image":
        raise DataError(f"a result begins with its image's name; got the keys {list(record)[:3]}.")
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise DataError(f"the result of {record['image']} cannot be written: {error}.") from error
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, ensure_ascii=True).encode() + b"\n"


def error_record(name: str, message: str) -> dict[str, Any]:
    """What stands in the place of a picture that could not be assessed."""
    return {"image": name, "error": message}


def read_results(path: str | Path) -> Iterator[dict[str, Any]]:
    """The results in a file, one dictionary a picture, in the file's order.

    Superseded lines and a torn last line are left out; error lines are included. The file may be
    one that is being written. Memory grows with the number of pictures, not with their lines.

    Raises:
        DataError: the file cannot be read, or a line is no result.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            scan = _Scan(file, path, "score")
            live = sorted(scan.lines.values(), key=lambda line: line.offset)
            for line in live:
                file.seek(line.offset)
                record: dict[str, Any] = json.loads(file.read(line.length))
                yield record
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a picture's line lies, and what decides whether it still holds.

    `length` leaves out the line break.
    """

    offset: int
    length: int
    sha256: str | None
    model: Mapping[str, Any] | None
    masks: bool

    @property
    def is_result(self) -> bool:
        return self.model is not None


class _Scan:
    """One pass over a results file.

    Attributes:
        lines: the counting line of each picture.
        superseded: how many lines no longer count.
        end: the offset just behind the last whole line.
        torn: how many bytes of a torn line follow `end`.
        unended: the last line is whole but for its line break.
    """

    def __init__(self, file: BinaryIO, path: Path, mark: str) -> None:
        self.lines: dict[str, _Line] = {}
        self.superseded = 0
        self.end = 0
        self.torn = 0
        self.unended = False
        models: dict[str, Mapping[str, Any]] = {}
        for number, raw in enumerate(file, start=1):
            ended = raw.endswith(b"\n")
            record = _parse(raw, mark)
            if record is None:
                if raw.strip() == b"" and ended:
                    self.end += len(raw)
                    continue
                if not ended and _may_be_torn(raw):
                    self.torn = len(raw)
                    break
                raise DataError(
                    f"line {number} of {path} is no result of rsfiqa, so nothing was written to it; "
                    "name another file, or move this one away."
                )
            model = record.get("model")
            if isinstance(model, dict):  # a handful of models share thousands of lines
                model = models.setdefault(json.dumps(model, sort_keys=True), model)
            name = record["image"]
            self.superseded += name in self.lines
            self.lines[name] = _Line(
                offset=self.end,
                length=len(raw) - ended,
                sha256=record.get("sha256"),
                model=model if "error" not in record and isinstance(model, dict) else None,
                masks=all("mask" in region for region in record.get("regions", ())),
            )
            self.end += len(raw)
            self.unended = not ended


def _parse(raw: bytes, mark: str) -> dict[str, Any] | None:
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    whole = isinstance(record, dict) and isinstance(record.get("image"), str)
    return record if whole and ("error" in record or mark in record) else None


def _may_be_torn(raw: bytes) -> bool:
    """Whether these bytes can be the beginning of one of our lines.

    After a power cut some file systems leave zeros where the data did not arrive.
    """
    start = raw.rstrip(b"\0")[: len(_LINE_START)]
    return _LINE_START.startswith(start)


class ResultsFile:
    """A results file that is open for writing; the module's text describes the protocol.

    Use it as a context manager; `finish` tidies the file after a run that reached its end.

    Args:
        path: the JSON Lines file; it and its folder are made where they are missing.
        model: what works now; only results of the same model are taken for unchanged.
        mark: the key by which a line is known for a result.

    Attributes:
        notes: what the user should know of the file as it was found.

    Raises:
        DataError: the file cannot be written, holds something else, or another process writes it.
    """

    def __init__(
        self, path: str | Path, model: ModelInfo | Mapping[str, Any], *, mark: str = "score"
    ) -> None:
        from filelock import FileLock, Timeout

        self.path = Path(path).resolve()
        if self.path.exists() and not self.path.is_file():
            raise DataError(f"{path} cannot be written: it is a folder or a device; name a file.")
        self.notes: list[str] = []
        self._model = dict(model) if isinstance(model, Mapping) else asdict(model)
        self._mark = mark
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DataError(
                f"another rsfiqa process is writing to {path}; wait for it to end, or name another file."
            ) from error
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._open(path)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, given: str | Path) -> None:
        sweep_partials(self.path)
        try:
            self._fd = os.open(self.path, _FLAGS | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(given, error) from error
        try:
            with self.path.open("rb") as file:
                scan = _Scan(file, self.path, self._mark)
            self._lines, self._superseded, self._end = scan.lines, scan.superseded, scan.end
            if scan.torn:
                os.ftruncate(self._fd, self._end)
                self.notes.append(
                    f"{given} ended in a line that was cut off ({scan.torn} bytes); "
                    "it was dropped and its picture is assessed again."
                )
            if scan.unended:
                self._append(b"\n")
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and release its lock. Everything written is on disk already."""
        self._close_file()
        self._lock.release()

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __len__(self) -> int:
        """How many pictures have a line."""
        return len(self._lines)

    def __contains__(self, name: object) -> bool:
        """Whether a picture has a line."""
        return name in self._lines

    def has_result(self, name: str, *, masks: bool = False, segmenter: str | None = None) -> bool:
        """Whether this model has assessed a picture of that name (with masks, when asked for).

        It costs nothing; whether the picture is still the same is for `is_unchanged` to say.

        Args:
            name: the picture's.
            masks: whether its masks are needed.
            segmenter: what divides this picture, where that differs from one to the next.
        """
        line = self._lines.get(name)
        model = self._model if segmenter is None else self._model | {"segmenter": segmenter}
        return line is not None and line.model == model and (line.masks or not masks)

    def is_unchanged(
        self, name: str, sha256: str, *, masks: bool = False, segmenter: str | None = None
    ) -> bool:
        """Whether the file holds this model's result for exactly these bytes under this name."""
        has_result = self.has_result(name, masks=masks, segmenter=segmenter)
        return has_result and self._lines[name].sha256 == sha256

    def text_of(self, name: str) -> bytes:
        """The counting line of a picture, without its line break.

        Raises:
            KeyError: the picture has none.
        """
        line = self._lines[name]
        with self.path.open("rb") as file:
            file.seek(line.offset)
            return file.read(line.length)

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add whole lines at the end and put them on disk.

        An error record for a picture that has a result is left out unless the record's `sha256`
        says that the picture has changed (the key itself is not written).

        Raises:
            DataError: the file cannot be written any more; what it held before is kept.
        """
        added: list[tuple[Mapping[str, Any], bytes]] = []
        for record in records:
            if "error" in record:
                old = self._lines.get(record["image"])
                if old and old.is_result and record.get("sha256") in {None, old.sha256}:
                    continue
                encoded = encode_line({k: v for k, v in record.items() if k != "sha256"})
            else:
                encoded = encode_line(record)
            added.append((record, encoded))
        offset = self._end
        self._append(b"".join(encoded for _, encoded in added))
        for record, encoded in added:
            self._superseded += record["image"] in self._lines
            self._lines[record["image"]] = _Line(
                offset=offset,
                length=len(encoded) - 1,
                sha256=record.get("sha256"),
                model=None if "error" in record else self._shared(record.get("model")),
                masks=all("mask" in region for region in record.get("regions", ())),
            )
            offset += len(encoded)

    def _shared(self, model: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """One mapping for all lines of the same model, so that a line takes little memory."""
        return self._model if model == self._model else model

    def _append(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except BaseException as error:  # an interrupt, too, leaves no half line
            with suppress(OSError):
                os.ftruncate(self._fd, self._end)
            if not isinstance(error, OSError):
                raise
            raise DataError(
                f"{self.path} cannot be written any more ({error.strerror or error}); "
                f"the {len(self._lines)} lines before are kept, and a rerun goes on from there."
            ) from error
        self._end += len(data)

    def finish(self, names: Iterable[str]) -> None:
        """Leave one line a picture: the others first, then `names` in their order.

        Nothing is written when the file is so already.

        Raises:
            DataError: the tidied file cannot be written; the file stays as it was, and complete.
        """
        asked = [name for name in dict.fromkeys(names) if name in self._lines]
        wanted = set(asked)
        by_offset = sorted(self._lines, key=lambda name: self._lines[name].offset)
        order = [name for name in by_offset if name not in wanted] + asked
        if self._superseded == 0 and order == by_offset:
            return
        try:
            self._rewrite(order)
        except OSError as error:
            raise DataError(
                f"{self.path} could not be put in order ({error.strerror or error}); it holds all "
                "results, and where a picture has several lines the last one counts."
            ) from error

    def _rewrite(self, order: Sequence[str]) -> None:
        mode = os.fstat(self._fd).st_mode & 0o777
        try:
            with replacing(self.path) as partial:
                moved, end = self._copy(order, partial)
                with suppress(OSError):
                    partial.chmod(mode)
                self._close_file()  # Windows moves no file over one that is open
        finally:
            if self._fd < 0:
                self._fd = os.open(self.path, _FLAGS)
        self._lines, self._superseded, self._end = moved, 0, end

    def _copy(self, order: Sequence[str], target: Path) -> tuple[dict[str, _Line], int]:
        """Write the counting lines of pictures in an order; returns where they lie now, and the end."""
        moved: dict[str, _Line] = {}
        offset = 0
        with self.path.open("rb") as old, target.open("wb") as new:
            for name in order:
                line = self._lines[name]
                old.seek(line.offset)
                left = line.length
                while left:
                    piece = old.read(min(left, _COPY_BYTES))
                    if not piece:
                        raise OSError(f"{self.path} was cut short by another program")
                    new.write(piece)
                    left -= len(piece)
                new.write(b"\n")
                moved[name] = replace(line, offset=offset)
                offset += line.length + 1
        return moved, offset


def _unwritable(path: str | Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be written: {error.strerror or error}; name another file or folder."
    )
