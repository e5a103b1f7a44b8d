"""Links between files of the repository as links between pages of the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from site_markdown import lines_with_code, slug_of

MOVED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/rsfiqa/scoring/weights/default/README.md": "cards/scorer.md",
}
"""Files outside docs/ that are pages of the site, under these names."""

READER_CARDS = "src/rsfiqa/reading/weights/*/README.md"

DIRECTIVE = re.compile(
    r'^<!-- site: (?P<what>[a-z-]+)(?: (?P<file>\S+) "(?P<title>[^"]+)")? -->\n'
    r"(?P<shown>.*?)^<!-- /site -->\n",
    re.MULTILINE | re.DOTALL,
)
"""A place to fill in. What stands inside is for those who read the file without the site."""

_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^()\s]+)\)")
_CODE = re.compile(r"(`+[^`]+`+)")


@dataclass(frozen=True)
class LinkMap:
    """Where files and sections of the repository are on the site.

    Attributes:
        root: of the repository.
        pages: pages of the site by the files that they are made from.
        sections: pages by file and slug of a section that they show.
    """

    root: Path
    pages: Mapping[str, str]
    sections: Mapping[tuple[str, str], str]

    @classmethod
    @cache
    def read(cls, root: Path) -> LinkMap:
        """Look at the repository."""
        docs = root / "docs"
        texts = {path.relative_to(docs).as_posix(): path for path in sorted(docs.rglob("*.md"))}
        pages = {f"docs/{name}": name for name in texts} | MOVED
        for card in sorted(root.glob(READER_CARDS)):
            pages[card.relative_to(root).as_posix()] = "cards/reader.md"
        sections = {}
        for name, path in texts.items():
            for found in DIRECTIVE.finditer(path.read_text(encoding="utf-8")):
                if found["file"]:
                    sections[found["file"], slug_of(found["title"])] = name
        return cls(root, pages, sections)

    def source_of(self, page: str) -> str:
        """The file in the repository from which a page of the site is made."""
        return next(source for source, name in self.pages.items() if name == page)

    def target(self, address: str, source: str, page: str) -> str | None:
        """Where a link leads on the site; None where it leads to a file that is no part of it.

        Args:
            address: as written, relative to `source`.
            source: the file in which it is written.
            page: the page of the site on which it will stand.
        """
        path, _, anchor = address.partition("#")
        if "://" in address or address.startswith("mailto:"):
            return address
        if not path:
            return (
                address if self.pages.get(source) == page else self._section(source, anchor, page)
            )
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if file in self.pages:
            return _relative(self.pages[file], page) + (f"#{anchor}" if anchor else "")
        if file.startswith("docs/"):
            return _relative(file.removeprefix("docs/"), page)
        return self._section(file, anchor, page)

    def _section(self, file: str, anchor: str, page: str) -> str | None:
        home = self.sections.get((file, anchor))
        return None if home is None else f"{_relative(home, page)}#{anchor}"


def rewrite_links(text: str, source: str, page: str, links: LinkMap) -> str:
    """The text with every link leading to the site; those that lead nowhere are their words alone.

    Args:
        text: Markdown.
        source: the file in the repository in which it is written.
        page: the page of the site on which it will stand.
    """

    def lead(found: re.Match[str]) -> str:
        target = links.target(found[2], source, page)
        return found[1].lstrip("!")[1:-1] if target is None else f"{found[1]}({target})"

    def rewrite(line: str) -> str:
        parts = _CODE.split(line)  # odd ones are code, and links may have code in their words
        if any("](" in part for part in parts[1::2]):
            return "".join(part if k % 2 else _LINK.sub(lead, part) for k, part in enumerate(parts))
        return _LINK.sub(lead, line)

    lines = lines_with_code(text)
    return "".join(line if is_code else rewrite(line) for line, is_code in lines)


def _relative(target: str, page: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")
