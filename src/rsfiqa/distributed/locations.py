"""Object storage and its like, by address: `s3://bucket/photos/`, `gs://…`, `memory://…`, `file://…`.

fsspec (https://filesystem-spec.readthedocs.io) knows the protocols; most need a package of their own,
such as `s3fs`, and take their keys from where that package takes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.images.decode import IMAGE_SUFFIXES
from rsfiqa.inputs import BadInput

_MAGIC = frozenset("*?[")


def is_address(text: str) -> bool:
    """Whether a text is an address of object storage, not a path of this machine.

    Addresses of web pages are none: pictures are not downloaded from pages.

    Example:
        >>> is_address("s3://bucket/a.jpg"), is_address("photos/a.jpg"), is_address("https://x/a.jpg")
        (True, False, False)
    """
    protocol, found, _ = text.partition("://")
    return bool(found) and protocol.isidentifier() and protocol not in {"http", "https"}


def open_location(location: str, mode: str = "rb") -> BinaryIO:
    """Open a file by path or address, for binary reading or writing.

    Raises:
        ConfigError: nobody here knows the protocol.
        OSError: it cannot be opened.
    """
    if not is_address(location):
        return cast("BinaryIO", Path(location).open(mode))
    files, path = _files_of(location)
    with _as_oserror(location):
        return cast("BinaryIO", files.open(path, mode))


def exists(location: str) -> bool:
    """Whether there is a file or folder at a path or address.

    Raises:
        ConfigError, OSError: as for `open_location`.
    """
    if not is_address(location):
        return Path(location).exists()
    files, path = _files_of(location)
    with _as_oserror(location):
        return bool(files.exists(path))


def files_below(location: str, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[str]:
    """The files of a folder, or those that a pattern (`*`, `?`, `[…]`, `**`) matches, sorted by name.

    Args:
        location: an address.
        suffixes: what the names of files end in, in lower case; hidden files are left out.

    Returns:
        addresses; the address itself where it is a file, whatever its name ends in. None where there
        is nothing.

    Raises:
        ConfigError, OSError: as for `open_location`.
    """
    files, path = _files_of(location)
    with _as_oserror(location):
        if _MAGIC & set(location) and not files.exists(path):
            found = [match for match in files.glob(path) if not files.isdir(match)]
        elif files.isdir(path):
            found = files.find(path)
        else:
            return [location] if files.exists(path) else []
        wanted = [name for name in found if _is_wanted(name, path, suffixes)]
        return sorted(str(files.unstrip_protocol(name)) for name in wanted)


def find_pictures(location: str) -> list[str | BadInput]:
    """The pictures at an address: a file, a folder with its sub-folders, or a pattern.

    Returns:
        addresses; a `BadInput` where there is none or it cannot be listed.

    Raises:
        ConfigError: nobody here knows the protocol.
    """
    try:
        found = files_below(location)
    except OSError as error:
        return [BadInput(location, f"{location} cannot be searched: {error}.")]
    if not found:
        return [BadInput(location, f"{location} holds no pictures; check the address.")]
    return list(found)


def read_picture(location: str) -> bytes:
    """The bytes of a picture file at an address.

    Raises:
        ConfigError: nobody here knows the protocol.
        ImageError: there is none, or it cannot be read.
    """
    try:
        with open_location(location) as file:
            return file.read()
    except FileNotFoundError as error:
        raise ImageError(f"{location} does not exist; check the address.") from error
    except OSError as error:
        raise ImageError(f"{location} cannot be read: {error}.") from error


def remove(location: str) -> None:
    """Delete a file by path or address.

    Raises:
        ConfigError, OSError: as for `open_location`.
    """
    if not is_address(location):
        Path(location).unlink()
        return
    files, path = _files_of(location)
    with _as_oserror(location):
        files.rm_file(path)


def require_writable(location: str) -> None:
    """Find out before the work, not after it, that an address takes no file.

    A file is written beside it and deleted.

    Raises:
        ConfigError: nobody here knows the protocol.
        DataError: it cannot be written.
    """
    probe = f"{location.rstrip('/')}.rsfiqa-probe"
    try:
        with open_location(probe, "wb") as file:
            file.write(b"\n")
        remove(probe)
    except OSError as error:
        raise DataError(f"{location} cannot be written: {error}; name another place.") from error


def _is_wanted(name: str, folder: str, suffixes: frozenset[str]) -> bool:
    below = PurePosixPath(name.removeprefix(folder))
    hidden = any(part.startswith(".") for part in below.parts)
    return below.suffix.lower() in suffixes and not hidden


def _files_of(location: str) -> tuple[Any, str]:
    """The file system of an address, and the path on it."""
    from fsspec.core import url_to_fs

    try:
        found: tuple[Any, str] = url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{location} cannot be reached: {_sentence(error)}.") from error
    return found


@contextmanager
def _as_oserror(location: str) -> Iterator[None]:
    """What clients of object storage raise, of which many is no `OSError`, as one."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {_sentence(error)} ({location})") from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
