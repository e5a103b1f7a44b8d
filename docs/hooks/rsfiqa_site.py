"""What MkDocs calls while it builds the documentation: fills in what is told elsewhere.

Nothing stands in two places: a page has a directive where a section of the README, the command
line's help or a table of licences belongs, and this puts it there; see `site_directives`. Model
cards, the changelog and the guide for contributors become pages as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from site_directives import fill
from site_links import LinkMap, rewrite_links

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages whose text lies elsewhere in the repository."""
    for source, page in LinkMap.read(ROOT).pages.items():
        if not source.startswith("docs/"):
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the directives, and lead links into the repository to pages of the site."""
    links = LinkMap.read(ROOT)
    source = links.source_of(page.file.src_uri)
    led = rewrite_links(markdown, source, page.file.src_uri, links)
    return fill(led, ROOT, page.file.src_uri)
