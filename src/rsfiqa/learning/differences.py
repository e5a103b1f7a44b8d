"""Which settings of a run are not those of another: what decides whether its work is taken up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differing(before: Any, now: Any, path: str = "") -> list[str]:
    """Names, with dots, of what differs between two mappings of plain data.

    What is missing on one side counts as None there: a former version did not know it yet.

    Args:
        before, now: as JSON gives them back: mappings inside mappings, and values.
        path: what stands before the names.

    Example:
        >>> differing({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5})
        ['b.c', 'e']
        >>> differing({"a": 1}, {"a": 1, "b": None})
        []
    """
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        return [] if before == now else [path]
    return [
        name
        for key in dict.fromkeys([*before, *now])
        for name in differing(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    ]


def differing_known(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The same for what both know: facts that come to be known on the way are left out until then.

    Example:
        >>> differing_known({"seed": 0, "pictures": "c0ffee"}, {"seed": 1})
        ['seed']
    """
    both = [name for name in before if name in now]
    return differing({name: before[name] for name in both}, {name: now[name] for name in both})
