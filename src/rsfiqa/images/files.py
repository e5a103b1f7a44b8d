"""Opening and hashing picture files, with one clear sentence for each thing that can go wrong."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rsfiqa.errors import ImageError

_CHUNK = 1 << 20


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes as hexadecimal digits: the `sha256` of the picture loaded from it.

    The file is read in pieces and not decoded.

    Raises:
        ImageError: the file does not exist, is empty, is no regular file or cannot be read.
    """
    with open_picture_file(path, os.fsdecode(path)) as file:
        return hash_stream(file)


def hash_stream(file: BinaryIO) -> str:
    """SHA-256 of what is left to read of a file."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def open_picture_file(path: str | os.PathLike[str], name: str) -> Iterator[BinaryIO]:
    """Open a regular file that is not empty for reading; it is closed on the way out.

    Args:
        path: where it is.
        name: what errors call it.

    Raises:
        ImageError: the file does not exist, is empty, is no regular file or cannot be read.
    """
    try:
        # Looked at before it is opened: opening a named pipe would wait for its other end.
        _check_regular(os.stat(path), name)  # noqa: PTH116  (Path() accepts less than os does)
        file = Path(path).open("rb")  # noqa: SIM115  (closed below; its errors are not the body's)
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(_why_not_opened(error, name)) from error
    with file:
        yield file


def _check_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{name} is a folder; give the picture files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is a pipe or a device; give a regular file, or the bytes.")
    if status.st_size == 0:
        raise ImageError(f"{name} is empty (0 bytes); fetch or save the picture again.")


def _why_not_opened(error: OSError | ValueError, name: str) -> str:
    if not name:
        return "the path of a picture is empty; give the path of a file."
    if name.startswith(("http://", "https://")):
        return f"{name} is an address; pictures are not downloaded: save it as a file first."
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{name} does not exist; check the path."
    if isinstance(error, PermissionError):
        return f"{name} may not be read; change its permissions."
    reason = getattr(error, "strerror", None) or str(error)
    return f"{name!r} cannot be opened: {reason}."
