"""What a user names on the command line, as a list of picture files."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rsfiqa.images.decode import IMAGE_SUFFIXES


class BadInput(NamedTuple):
    """An input that leads to no picture, and why, in one sentence that names it."""

    path: str
    error: str


def find_images(
    inputs: Iterable[str], *, recursive: bool = True, stdin: BinaryIO | None = None
) -> list[str | BadInput]:
    """Expand files, folders, globs and lists of paths to picture files.

    - A file is taken whatever its name ends in; opening it shows whether it is a picture.
    - A folder gives the files in it, and in the folders below, that are named like pictures;
      hidden ones are skipped, and links to folders below it are not followed.
    - A pattern with `*`, `?` or `[...]` that is not itself the name of a file is expanded as by
      a shell, `**` to any depth of folders. Where it spells out the ending (`*.dat`) all matches
      are taken, otherwise those named like pictures. Matching folders are searched.
    - `-` reads one path a line from standard input; each is a file or a folder, not a pattern.

    Args:
        inputs: as given by the user.
        recursive: also search the folders below a given folder.
        stdin: where `-` reads from; standard input by default.

    Returns:
        Paths and `BadInput`s in the order of the inputs, sorted within a folder or pattern. A
        file that is reached twice is listed once, where it came first.
    """
    found: dict[str, str | BadInput] = {}
    for entry in _expand_all(inputs, recursive, stdin):
        path = entry.path if isinstance(entry, BadInput) else entry
        found.setdefault(os.path.abspath(path) if path else path, entry)  # noqa: PTH100
    return list(found.values())


def _expand_all(
    inputs: Iterable[str], recursive: bool, stdin: BinaryIO | None
) -> Iterator[str | BadInput]:
    stdin_read = False
    for given in inputs:
        if given != "-":
            yield from _expand(given, recursive, patterns=True)
        elif not stdin_read:
            stdin_read = True
            yield from _expand_stdin(stdin or sys.stdin.buffer, recursive)


def _expand_stdin(stdin: BinaryIO, recursive: bool) -> Iterator[str | BadInput]:
    lines = [os.fsdecode(line.rstrip(b"\r\n")) for line in stdin]
    paths = [line for line in lines if line.strip()]
    if not paths:
        yield BadInput("-", "- gave no path: standard input is empty; write one path a line.")
    for path in paths:
        yield from _expand(path, recursive, patterns=False)


def _expand(given: str, recursive: bool, *, patterns: bool) -> Iterator[str | BadInput]:
    try:
        is_folder = Path(given).is_dir() if given else False
        exists = is_folder or (bool(given) and os.path.lexists(given))
    except (OSError, ValueError) as error:
        yield BadInput(given, f"{given!r} cannot be looked up: {error}.")
        return
    if is_folder:
        yield from _search_or_complain(given, recursive)
    elif exists:
        yield given
    elif patterns and glob.has_magic(given):
        yield from _expand_pattern(given, recursive)
    else:
        yield BadInput(given, _why_missing(given))


def _why_missing(given: str) -> str:
    if not given:
        return "an input is empty; give a file, a folder, a pattern or -."
    if given.startswith(("http://", "https://")):
        return f"{given} is an address; pictures are not downloaded: save it as a file first."
    return f"{given} does not exist; check the path."


def _search_or_complain(folder: str, recursive: bool) -> Iterator[str | BadInput]:
    entries = list(_search(folder, recursive))
    if not entries:
        where = "or below it" if recursive else "itself"
        yield BadInput(
            folder,
            f"{folder} holds no pictures: no file in it {where} ends in .jpg, .png or the like.",
        )
    yield from entries


def _search(folder: str, recursive: bool) -> Iterator[str | BadInput]:
    """The pictures of a folder by name, then those of the folders in it."""
    unreadable: list[OSError] = []
    for path, folders, files in os.walk(folder, onerror=unreadable.append):
        # os.walk goes on into what is left in this list.
        visible = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(visible) if recursive else []
        for name in sorted(files):
            if not name.startswith(".") and _is_named_like_picture(name):
                yield os.path.join(path, name)  # noqa: PTH118  (keeps "./")
    for error in unreadable:
        path = os.fsdecode(error.filename or folder)
        yield BadInput(path, f"{path} cannot be searched: {error.strerror}.")


def _expand_pattern(pattern: str, recursive: bool) -> Iterator[str | BadInput]:
    ending = Path(pattern).suffix
    takes_all = bool(ending) and not glob.has_magic(ending)
    entries: list[str | BadInput] = []
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  (takes absolute ones)
        if Path(match).is_dir():
            entries.extend(_search(match, recursive))
        elif takes_all or _is_named_like_picture(match):
            entries.append(match)
    if not entries:
        yield BadInput(pattern, f"{pattern} matches no picture; check the pattern.")
    yield from entries


def _is_named_like_picture(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
