"""A gallery: assessed pictures as one Markdown page with small JPEGs beside it.

Markdown is shown by code hosts and by generators of sites without further help; for a page to look
at and work with, there is `rsfiqa.report.html.save_report`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote

from PIL import Image

from rsfiqa.atomic import replacing, write_whole
from rsfiqa.report.overlay import draw_overlay
from rsfiqa.sentences.numbers import count_text, score_text, share_text
from rsfiqa.sentences.reliability import interval_text
from rsfiqa.types import DIMENSIONS

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, ModelInfo, RegionAssessment

PAGE = "index.md"
JPEG_QUALITY = 80
DEFAULT_WIDTH = 560

GalleryKind = Literal["regions", "attention"]

_CAPTIONS: dict[GalleryKind, str] = {
    "regions": "{} with its regions and their scores",
    "attention": "where the score of {} comes from",
}
_MEANING = (
    "Scores are 0 to 100, ratings 1 to 5; higher is better in both. A picture's score is the sum of "
    "weight times score over its regions."
)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")


def save_gallery(
    named: Iterable[tuple[str, Assessment]],
    folder: str | Path,
    *,
    width: int = DEFAULT_WIDTH,
    made_by: str = "rsfiqa gallery",
) -> Path:
    """Write assessed pictures as a Markdown page, `index.md`, with small JPEGs beside it.

    Each picture has its score and interval, the summary, two overlays (`NAME.regions.jpg`,
    `NAME.attention.jpg`) and the table of its regions, heaviest first. Pictures are taken one at
    a time, so that the memory is that of one. The same input gives the same bytes.

    Args:
        named: file names without suffix below the folder, each once, and the assessments, with
            their previews.
        folder: made where it is missing; files of the same names are replaced, the page last.
        width: of the JPEGs in pixels; nothing is enlarged.
        made_by: the command that the page says it was made by.

    Returns:
        the page.

    Raises:
        DataError: an assessment does not hold its picture.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    sections: list[str] = []
    models: list[ModelInfo] = []
    for name, assessment in named:
        for kind in get_args(GalleryKind):
            _save_jpeg(draw_overlay(assessment, kind), folder / f"{name}.{kind}.jpg", width)
        sections.append(_section(name, assessment))
        models.append(assessment.model)
    page = folder / PAGE
    # A file name may hold bytes that are no text at all; the page still has to be one.
    write_whole(page, _page(sections, models, made_by).encode("utf-8", errors="replace"))
    return page


def _page(sections: list[str], models: list[ModelInfo], made_by: str) -> str:
    by = [
        f"scorer `{model.scorer}`, regions by `{model.segmenter}`, readings by `{model.reader}`, "
        f"rsfiqa {model.version}"
        for model in dict.fromkeys(models)
    ]
    head = [
        "# Gallery",
        f"Made by `{made_by}`: {'; '.join(by)}." if by else f"Made by `{made_by}`: no pictures.",
        _MEANING,
    ]
    return "\n\n".join([*head, *sections]) + "\n"


def _section(name: str, assessment: Assessment) -> str:
    shown = _escaped(Path(assessment.image).name)
    scored = f"**{score_text(assessment.score)} of 100, {assessment.level}**"
    interval = interval_text(assessment)
    pictures = "\n".join(
        f"![{_CAPTIONS[kind].format(shown)}]({_address(name)}.{kind}.jpg)"
        for kind in get_args(GalleryKind)
    )
    return "\n\n".join(
        [
            f"## {shown}",
            scored if interval is None else f"{scored} ({interval})",
            _escaped(assessment.summary),
            pictures,
            f"<details markdown>\n<summary>{count_text(len(assessment.regions), 'region')}</summary>",
            _table(assessment.regions),
            "</details>",
        ]
    )


def _table(regions: Iterable[RegionAssessment]) -> str:
    rows = [
        ("region", "shows", "area", "weight", "score", *DIMENSIONS),
        ("---", "---", *["--:"] * (3 + len(DIMENSIONS))),
    ]
    for region in sorted(regions, key=lambda r: (-r.weight, r.id)):
        values = region.reading.values
        ratings = (
            ["–"] * len(DIMENSIONS) if values is None else [f"{v:.1f}" for v in values.values()]
        )
        rows.append(
            (
                str(region.id),
                _escaped(region.reading.description or "–"),
                share_text(region.area),
                share_text(region.weight),
                score_text(region.score),
                *ratings,
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escaped(text: str) -> str:
    """Text as Markdown that shows it as it is, on one line.

    Example:
        >>> _escaped("a <b>| sign\\nof *x*")
        'a \\\\<b\\\\>\\\\| sign of \\\\*x\\\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _address(name: str) -> str:
    return quote(os.fsencode(Path(name).as_posix()))


def _save_jpeg(picture: Image.Image, path: Path, width: int) -> None:
    picture.thumbnail((width, picture.height), Image.Resampling.LANCZOS)
    with replacing(path, durable=False) as partial:
        picture.save(partial, format="JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
