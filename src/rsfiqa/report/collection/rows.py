"""The pictures as data inside the page: one compact JSON array a picture, read by its script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rsfiqa.report.collection.entry import Entry
from rsfiqa.report.collection.thumbnails import Made
from rsfiqa.report.palette import QUALITY, ink_on
from rsfiqa.report.readings import DIMENSION_NAMES, value_text
from rsfiqa.sentences.faults import Fault
from rsfiqa.sentences.numbers import score_text
from rsfiqa.types import DIMENSIONS, LEVELS, Dimension

_COLOR_STEPS = 100


def script_json(value: object) -> str:
    """JSON that may stand inside a `script` element: it cannot end it, whatever a text holds.

    Example:
        >>> script_json("</script>")
        '"\\\\u003c/script>"'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def row_of(entry: Entry, made: Made, *, href: str | None, source: int) -> list[Any]:
    """One picture, in the order in which `assets/collection/data.js` takes it apart.

    Numbers are rounded as they are shown, never over the edge of their level.

    Args:
        entry: what is told of it.
        made: its thumbnail and overlay.
        href: address of the picture itself.
        source: which of the results files told of it.
    """
    ratings = entry.ratings
    return [
        entry.name,
        href,
        made.thumbnail,
        made.overlay,
        entry.width,
        entry.height,
        None if entry.score is None else float(score_text(entry.score, 1)),
        None if entry.interval is None else [round(end, 1) for end in entry.interval],
        entry.familiar,
        None if ratings is None else [float(value_text(ratings[d])) for d in DIMENSIONS],
        [
            [
                DIMENSIONS.index(problem.dimension),
                problem.degree,
                max(1, round(100 * problem.area)),
                list(problem.contents),
            ]
            for problem in entry.problems
        ],
        " ".join(entry.contents),
        entry.summary,
        source,
        entry.regions,
        entry.unread,
    ]


def words_of(sources: Sequence[str], files: str, *, scored: bool, read: bool) -> dict[str, Any]:
    """What the script has to know beside the pictures: names, words and colours.

    Args:
        sources: what the results files are called.
        files: the folder of the thumbnails, as an address that ends in a slash.
        scored, read: whether any picture has a score, and ratings.
    """
    shares = [step / _COLOR_STEPS for step in range(_COLOR_STEPS + 1)]
    return {
        "dimensions": [DIMENSION_NAMES[d] for d in DIMENSIONS],
        "faults": [[fault_text(d, degree) for degree in (1, 2, 3)] for d in DIMENSIONS],
        "levels": list(LEVELS),
        "colors": [QUALITY.hex(share) for share in shares],
        "inks": ["#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(s))) for s in shares],
        "sources": list(sources),
        "files": files,
        "scored": scored,
        "read": read,
    }


def fault_text(dimension: Dimension, degree: int) -> str:
    """A fault in words, such as "badly blurred"."""
    return Fault(dimension, degree, True, 0.0).text  # type: ignore[arg-type]
