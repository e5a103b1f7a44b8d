"""Directives: places in a page that are filled in when the site is built.

    <!-- site: section README.md "Speed and memory" -->
    See [the README](../README.md#speed-and-memory).
    <!-- /site -->

What stands between the two lines is for those who read the file as it is. `section` shows a section
of another file of the repository, `opening` the same without its subsections, `commands` the command line's help, `assets` and `data-sets` what
licences the weights and data sets have, `notice` the file NOTICE.
"""

from __future__ import annotations

import re
from pathlib import Path

from site_commands import commands
from site_licences import asset_table, data_set_table, notice
from site_links import DIRECTIVE, LinkMap, rewrite_links
from site_markdown import section_of, with_headings_from


def fill(text: str, root: Path, page: str) -> str:
    """A page with its directives filled in.

    Args:
        text: Markdown.
        root: of the repository.
        page: its name on the site.

    Raises:
        ValueError: a directive is unknown, or names a section that is not there.
    """

    def filled(found: re.Match[str]) -> str:
        what = found["what"]
        if what in {"section", "opening"} and found["file"]:
            return _section(root, page, found["file"], found["title"], whole=what == "section")
        if what not in _MADE:
            known = ", ".join(['section FILE "TITLE"', 'opening FILE "TITLE"', *_MADE])
            raise ValueError(f"{page} has an unknown directive {what!r}; there are {known}.")
        return _MADE[what](root) + "\n"

    done = DIRECTIVE.sub(filled, text)
    if re.search(r"^<!-- /?site\b", done, re.MULTILINE):
        raise ValueError(f"{page} has a directive that is not closed, or not on lines of its own.")
    return done


def _section(root: Path, page: str, file: str, title: str, *, whole: bool) -> str:
    """A section with its heading as one of the second level."""
    found = section_of((root / file).read_text(encoding="utf-8"), title, whole=whole)
    if found is None:
        raise ValueError(
            f"{page} shows the section {title!r} of {file}, which has no such section."
        )
    body = with_headings_from(found, 3).strip("\n")
    whole = f"## {title}\n\n{body}\n"
    return rewrite_links(whole, file, page, LinkMap.read(root))


_MADE = {
    "commands": lambda _: commands(),
    "assets": lambda _: asset_table(),
    "data-sets": lambda _: data_set_table(),
    "notice": notice,
}
