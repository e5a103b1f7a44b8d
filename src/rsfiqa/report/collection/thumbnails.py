"""Thumbnails and overlays as files beside the page: made once, whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeVar

from PIL import Image

from rsfiqa.atomic import sweep_stale, write_whole
from rsfiqa.errors import DataError, RsfiqaError
from rsfiqa.images import load_image
from rsfiqa.in_order import map_in_order
from rsfiqa.report.collection.overlay import draw_small_overlay, overlay_key

THUMBNAIL_SIDE = 160
"""Pixels along the long side of a thumbnail."""

_OURS = re.compile(r"[0-9a-f]{20}\.(jpg|png)")
_HEX = re.compile(r"[0-9a-f]{64}")
_KEY_LENGTH = 20

Trouble = Literal["missing", "changed", "unreadable", "masks"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Made:
    """The files of one picture, by their names without suffix.

    Attributes:
        thumbnail: of `THUMBNAIL.jpg`; None where there is none.
        overlay: of `OVERLAY.png`; None where the results have no masks.
        trouble: why there is no thumbnail or overlay: the picture is missing, has changed since it
            was assessed, cannot be read, or its masks are damaged.
    """

    thumbnail: str | None = None
    overlay: str | None = None
    trouble: Trouble | None = None


class ThumbnailFolder:
    """The folder of a page's thumbnails and overlays.

    A file is named by what it shows, so that a picture which was done before is not opened again,
    and an interrupted run goes on.

    Args:
        folder: made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def make(self, picture: Path | None, record: Mapping[str, Any]) -> Made:
        """The files of one picture; may be called from several threads.

        Args:
            picture: its file, if it was found.
            record: its line of results.

        Raises:
            DataError: the folder cannot be written.
        """
        trouble: Trouble | None = None
        thumbnail = overlay = None
        if picture is None:
            trouble = "missing"
        else:
            thumbnail, trouble = self._thumbnail(picture, record.get("sha256"))
        try:
            overlay = self._overlay(record)
        except DataError:
            trouble = trouble or "masks"
        return Made(thumbnail, overlay, trouble)

    def tidy(self) -> None:
        """Remove what an earlier page used and this one does not, and what killed runs left."""
        if not self.folder.is_dir():
            return
        sweep_stale(self.folder)
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in self._used:
                with suppress(OSError):
                    path.unlink()

    def _thumbnail(self, picture: Path, sha256: object) -> tuple[str | None, Trouble | None]:
        known = isinstance(sha256, str) and _HEX.fullmatch(sha256) is not None
        key = str(sha256)[:_KEY_LENGTH] if known else _file_key(picture)
        if not self._has(f"{key}.jpg"):
            try:
                loaded = load_image(picture, min_side=1)
            except RsfiqaError:
                return None, "unreadable"
            if known and loaded.sha256 != sha256:
                # Its numbers are of another picture than the one that would be shown.
                return None, "changed"
            small = Image.fromarray(loaded.pixels)
            small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
            self._write(f"{key}.jpg", small, "JPEG", quality=80, optimize=True)
        return key, None

    def _overlay(self, record: Mapping[str, Any]) -> str | None:
        key = overlay_key(record)
        if key is not None and not self._has(f"{key}.png"):
            drawn = draw_small_overlay(record)
            transparency = drawn.info["transparency"]
            self._write(f"{key}.png", drawn, "PNG", optimize=True, transparency=transparency)
        return key

    def _has(self, name: str) -> bool:
        self._used.add(name)
        return (self.folder / name).is_file()

    def _write(self, name: str, image: Image.Image, kind: str, **settings: object) -> None:
        buffer = BytesIO()
        image.save(buffer, kind, **settings)
        try:
            # Not synced: what a power cut spoils is made again, at the price of deleting it.
            write_whole(self.folder / name, buffer.getvalue(), durable=False)
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot be written: {error.strerror or error}; name another place "
                "with --out, or leave the thumbnails out with --no-thumbnails."
            ) from error


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Results in the order of the items, worked on side by side, a bounded number ahead.

    Decoding and scaling pictures release Python's global lock, so that threads use all cores.

    Example:
        >>> list(map_ahead(lambda n: n * n, [1, 2, 3], workers=2))
        [1, 4, 9]
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="rsfiqa-thumbnails") as pool:
        yield from map_in_order(pool, function, items, 2 * workers)


def _file_key(picture: Path) -> str:
    """A name for a file whose bytes' hash the results do not tell."""
    try:
        status = picture.stat()
        text = f"{picture.resolve()} {status.st_mtime_ns} {status.st_size}"
    except OSError:
        text = str(picture)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10)
    return digest.hexdigest()
