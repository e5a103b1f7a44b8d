"""Markdown as lines, told apart into prose and code."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")


def lines_with_code(text: str) -> Iterator[tuple[str, bool]]:
    """Every line with its end, and whether it belongs to a fenced block of code.

    Example:
        >>> list(lines_with_code("a\\n```\\n# b\\n```\\n"))
        [('a\\n', False), ('```\\n', True), ('# b\\n', True), ('```\\n', True)]
    """
    fence: str | None = None
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence is None:
            fence = mark[1] if mark else None
            yield line, mark is not None
        else:
            closes = mark is not None and mark[1].startswith(fence) and line.strip() == mark[1]
            yield line, True
            fence = None if closes else fence


def heading_of(line: str) -> tuple[int, str] | None:
    """Level and text of a heading, or None.

    Example:
        >>> heading_of("### What `it` means"), heading_of("#hash")
        ((3, 'What `it` means'), None)
    """
    found = _HEADING.match(line)
    return (len(found[1]), found[2]) if found else None


def slug_of(title: str) -> str:
    """The address of a heading within its page, as code hosts and MkDocs make it.

    Example:
        >>> slug_of("Speed, and `memory`")
        'speed-and-memory'
    """
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def section_of(text: str, title: str, *, whole: bool = True) -> str | None:
    """What stands under a heading; None where there is no such.

    Args:
        text: Markdown.
        title: the heading's text.
        whole: with its subsections; else up to the first of them.

    Example:
        >>> section_of("# A\\n\\nx\\n\\n## B\\n\\ny\\n\\n### C\\n\\n## D\\n", "B")
        '\\ny\\n\\n### C\\n\\n'
    """
    kept: list[str] = []
    level = 0
    for line, is_code in lines_with_code(text):
        heading = None if is_code else heading_of(line)
        if level and heading and (heading[0] <= level or not whole):
            break
        if level:
            kept.append(line)
        elif heading and heading[1] == title:
            level = heading[0]
    return "".join(kept) if level else None


def with_headings_from(text: str, level: int) -> str:
    """The text with its headings moved, so that the highest of them has the given level.

    Example:
        >>> with_headings_from("### a\\n#### b\\n", 2)
        '## a\\n### b\\n'
    """
    lines = list(lines_with_code(text))
    levels = [h[0] for line, is_code in lines if not is_code and (h := heading_of(line))]
    shift = level - min(levels, default=level)
    moved = []
    for line, is_code in lines:
        heading = None if is_code else heading_of(line)
        if heading is not None:
            line = "#" * (heading[0] + shift) + line.lstrip("#")  # noqa: PLW2901
        moved.append(line)
    return "".join(moved)
