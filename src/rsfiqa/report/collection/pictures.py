"""Where the pictures of a results file are: it names them as they were given to the command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote


class PictureFinder:
    """Finds pictures by the names that results call them.

    A name is looked for in the folder of the pictures, whole and then with ever fewer of its
    leading folders, so that a collection may have moved; then as it stands, and beside the results.

    Args:
        folder: where the pictures are; None where the results are.

    Example:
        >>> PictureFinder(None).find("no/such.jpg", beside=Path("results")) is None
        True
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def find(self, name: str, *, beside: Path) -> Path | None:
        """The picture's file; None where there is none.

        Args:
            name: as in the results.
            beside: the folder of the results.
        """
        return next((path for path in self._places(name, beside) if _is_file(path)), None)

    def _places(self, name: str, beside: Path) -> Iterator[Path]:
        parts = _parts(name)
        if self._folder is not None:
            for start in range(len(parts)):
                yield self._folder.joinpath(*parts[start:])
        yield beside / name  # which is the name itself where that is absolute
        yield Path(name)
        if self._folder is None:
            for start in range(1, len(parts)):
                yield beside.joinpath(*parts[start:])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that this system cannot have
        return False


def _parts(name: str) -> tuple[str, ...]:
    """The folders and file of a name, whichever system wrote it, without ways up."""
    kind = PureWindowsPath if "\\" in name and "/" not in name else PurePosixPath
    path = kind(name)
    return tuple(part for part in path.parts if part not in {path.anchor, "..", "."})


def link_to(path: Path, folder: Path) -> str:
    """A file as an address in a page that lies in `folder`: relative, where that is possible.

    Example:
        >>> link_to(Path("/pictures/a b.jpg"), Path("/pictures/report"))
        '../a%20b.jpg'
    """
    absolute = path.absolute()
    try:
        relative = os.path.relpath(absolute, folder.absolute())
    except ValueError:  # another drive
        return absolute.as_uri()
    # Colons are encoded too, so that no file is named like a scheme.
    return quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")
