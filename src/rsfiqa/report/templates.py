"""Filling the page's templates: whatever is not markup of our own is escaped."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from string import Template


class Html(str):
    """Text that is markup already and goes into a page as it stands."""

    __slots__ = ()


@cache
def asset(name: str) -> str:
    """The text of a file in `report/assets`."""
    return (files("rsfiqa.report") / "assets" / name).read_text(encoding="utf-8")


def fill(template: str, **values: object) -> Html:
    """Fill a template of `report/assets`; values that are not `Html` are escaped.

    Example:
        >>> fill("failure.html", name="<b>.jpg", reason="empty file")
        '<li><bdi>&lt;b&gt;.jpg</bdi>: empty file</li>\\n'
    """
    return Html(Template(asset(template)).substitute({k: _safe(v) for k, v in values.items()}))


def join(parts: list[Html]) -> Html:
    return Html("".join(parts))


def _safe(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value), quote=True)
