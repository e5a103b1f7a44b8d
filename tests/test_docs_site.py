"""The documentation as a site: what is filled in, where links lead, and that all of it is there."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from documented import ROOT
from rsfiqa.cli import COMMANDS

HOOKS = ROOT / "docs" / "hooks"
PICTURES_LIMIT = 1_500_000
"""Bytes of all pictures of the documentation: they stay in the history for ever."""

pytestmark = pytest.mark.skipif(not HOOKS.is_dir(), reason="needs a clone")


@pytest.fixture(scope="module")
def hooks() -> Any:
    """Import modules of the hooks by name."""
    sys.path.insert(0, str(HOOKS))
    yield importlib.import_module
    sys.path.remove(str(HOOKS))


@pytest.fixture(scope="module")
def directives(hooks: Any) -> ModuleType:
    found: ModuleType = hooks("site_directives")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any link that leads nowhere is an error."""
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    if not (ROOT / "mkdocs.yml").exists():
        pytest.skip("needs a clone")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


class Requests(HTMLParser):
    """Addresses that a browser asks for by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [
            given[name] or "" for name in ("src", "srcset", "poster") if name in given
        ]
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev"}:
            self.addresses.append(given.get("href") or "")


@pytest.mark.parametrize("name", ["site_markdown", "site_links", "site_directives"])
def test_examples_of_the_hooks_hold(hooks: Any, name: str) -> None:
    assert doctest.testmod(hooks(name)).failed == 0


def test_no_page_asks_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        seen = Requests()
        seen.feed(page.read_text(encoding="utf-8"))
        assert seen.addresses
        assert not [a for a in seen.addresses if "//" in a and not a.startswith("data:")], page
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), style


def test_nothing_is_left_unfilled(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- site:" not in page.read_text(encoding="utf-8"), page
    assert not (site / "hooks").exists()


def test_every_command_is_on_its_page(site: Path) -> None:
    text = (site / "commands.html").read_text(encoding="utf-8")
    for name in [*COMMANDS, "teach-tune", "data-check", "assets-fetch"]:
        assert f'id="rsfiqa-{name}"' in text, name
    assert "--reader-precision" in text


def test_figures_of_the_readme_are_on_the_site(site: Path) -> None:
    text = (site / "numbers.html").read_text(encoding="utf-8")
    assert 'id="how-well-scores-agree-with-people"' in text
    assert text.count("<table>") >= 3


def test_cards_changelog_and_guide_are_pages(site: Path) -> None:
    for page in ("cards/scorer", "cards/reader", "changelog", "contributing"):
        assert (site / f"{page}.html").exists()


def test_every_page_is_in_the_navigation() -> None:
    if not (ROOT / "mkdocs.yml").exists():
        pytest.skip("needs a clone")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(_leaves(yaml.safe_load(text)["nav"]))
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert pages <= listed, f"give mkdocs.yml's nav {', '.join(sorted(pages - listed))}"


def _leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [leaf for part in parts for leaf in _leaves(part)]


def test_pictures_stay_small() -> None:
    pictures = [p for p in (ROOT / "docs").rglob("*") if p.suffix in {".jpg", ".png", ".webp"}]
    assert sum(p.stat().st_size for p in pictures) < PICTURES_LIMIT


def test_a_section_is_filled_in_with_its_links(directives: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "read.md").write_text("# Read\n")
    (tmp_path / "NOTE.md").write_text(
        "# Note\n\n## One\n\nSee [reading](docs/read.md#how) and [code](src/x.py).\n\n"
        "```sh\n# no heading\n```\n\n### Two\n\nmore\n\n## Three\n"
    )
    page = '<!-- site: section NOTE.md "One" -->\nelsewhere\n<!-- /site -->\n'
    filled = directives.fill(page, tmp_path, "sub/page.md")
    assert filled == (
        "## One\n\nSee [reading](../read.md#how) and code.\n\n"
        "```sh\n# no heading\n```\n\n### Two\n\nmore\n"
    )
    opening = directives.fill(page.replace("section", "opening"), tmp_path, "sub/page.md")
    assert "Two" not in opening
    assert "no heading" in opening


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<!-- site: section README.md "Nothing" -->\n<!-- /site -->\n', "no such section"),
        ("<!-- site: figures -->\n<!-- /site -->\n", "unknown directive"),
        ("<!-- site: assets -->\n", "not closed"),
    ],
)
def test_a_wrong_directive_ends_the_build(directives: ModuleType, page: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        directives.fill(page, ROOT, "page.md")
