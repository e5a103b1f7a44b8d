"""What a person sees on standard error while an asset is fetched."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Notices:
    """Plain lines, and a progress bar where somebody can watch it.

    Args:
        show: True and False force both on and off; None shows the lines always and the bar on
            a terminal only, so that a log gets one line an asset.
    """

    def __init__(self, show: bool | None = None) -> None:
        stream = sys.stderr
        self._lines = show is not False and stream is not None
        self._bar = self._lines and (bool(show) or stream.isatty())

    def say(self, text: str) -> None:
        """Write one line."""
        if self._lines:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show progress towards `total` bytes; yields a function to call with the bytes so far."""
        if not self._bar:
            yield lambda _: None
            return
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task(title, total=total)
            yield lambda done: shown.update(task, completed=done)


def megabytes(size: int) -> str:
    """A size in bytes as a person reads it.

    Example:
        >>> megabytes(97_447_603)
        '97.4 MB'
        >>> megabytes(812)
        '0.8 kB'
    """
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def redacted(text: str) -> str:
    """The text without user names, passwords and query strings in its URLs.

    Example:
        >>> redacted("at https://me:p@ss@index.example/simple?token=1 it failed")
        'at https://****@index.example/simple?**** it failed'
    """
    text = re.sub(r"://[^\s/]*@", "://****@", text)
    return re.sub(r"(://[^\s?]*)\?[^\s)'\"]+", r"\1?****", text)
