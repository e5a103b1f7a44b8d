"""The frame of an overlay: title, legend and key, and the tags that stand on regions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rsfiqa.report.key import draw_key
from rsfiqa.report.palette import HEAT, QUALITY, ColorScale, ink_on
from rsfiqa.sentences.numbers import score_text
from rsfiqa.types import LEVELS

if TYPE_CHECKING:
    from rsfiqa.types import Assessment

_PAPER = (250, 249, 246)
_INK = (28, 28, 30)
_QUIET = (104, 104, 108)
_SMOOTHING = 4
"""Shapes are drawn this many times larger and scaled down: Pillow's own are not antialiased."""

_CAPTIONS = {
    "regions": "region number and score",
    "quality": "score of each region",
    "attention": "where the score comes from",
}


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(6, size))


def tag_size(number: str | None, score: float, size: float) -> tuple[float, float]:
    """Width and height in pixels of the tag that `draw_tag` draws."""
    font, text = _font(round(size)), score_text(score)
    width = font.getlength(text) + size * 0.8
    if number is not None:
        width += font.getlength(number) + size * 0.8
    return width, size * 1.5


def draw_tag(number: str | None, score: float, size: float) -> Image.Image:
    """A pill with the region's number in white on dark and its score on the score's colour."""
    scale = _SMOOTHING
    width, height = (round(side) for side in tag_size(number, score, size))
    big = Image.new("RGBA", (width * scale, height * scale))
    draw = ImageDraw.Draw(big)
    color = tuple(QUALITY.colors(score / 100).tolist())
    box = (0, 0, big.width - 1, big.height - 1)
    radius, rim = big.height * 0.3, max(scale, big.height // 16)
    draw.rounded_rectangle(box, radius, fill=(20, 20, 22, 255))
    inner = (rim, rim, box[2] - rim, box[3] - rim)
    font = _font(round(size * scale))
    split = 0.0
    if number is None:
        draw.rounded_rectangle(inner, radius - rim, fill=color)
    else:
        split = font.getlength(number) + size * scale * 0.8
        right = (round(split), *inner[1:])
        draw.rounded_rectangle(right, radius - rim, fill=color, corners=(False, True, True, False))
        draw.text((split / 2, big.height / 2), number, (255, 255, 255), font, anchor="mm")
    middle = (split + big.width) / 2
    draw.text((middle, big.height / 2), score_text(score), ink_on(color), font, anchor="mm")
    return big.resize((width, height), Image.Resampling.BOX)


def draw_panel(
    picture: Image.Image, assessment: Assessment, kind: str, most_attention: float = 1.0
) -> Image.Image:
    """Set a drawn picture between its title line and its legend; with regions, what they show."""
    size = max(14.0, max(picture.size) / 52)
    margin = round(size * 0.9)
    title = _title(assessment, kind, size)
    width = max(picture.width, title.width, round(26 * size))
    legend = (
        _attention_legend(width, size, most_attention)
        if kind == "attention"
        else _quality_legend(width, size, assessment.score)
    )
    gap = round(size * 0.7)
    parts = [title, picture, legend]
    if kind == "regions":
        font = _font(round(size))
        key = draw_key(assessment, width, font, size, paper=_PAPER, ink=_INK)
        parts += [] if key is None else [key]
    height = sum(part.height for part in parts) + (len(parts) - 1) * gap
    panel = Image.new("RGB", (width + 2 * margin, height + 2 * margin), _PAPER)
    top = margin
    for part in parts:
        left = margin + ((width - part.width) // 2 if part is picture else 0)
        panel.paste(part, (left, top))
        top += part.height + gap
    return panel


def _title(assessment: Assessment, kind: str, size: float) -> Image.Image:
    """ "63.2 good": the score on its colour, its level, and what the picture shows."""
    large, small = _font(round(size * 1.5)), _font(round(size))
    count = len(assessment.regions)
    about = f"{count} region{'s' if count > 1 else ''} · {_CAPTIONS[kind]}"
    if kind == "attention" and assessment.attention is None:
        about += ", by region"
    level = assessment.level.capitalize()
    score = score_text(assessment.score, 1)
    color = tuple(QUALITY.colors(assessment.score / 100).tolist())
    badge_width = large.getlength(score) + size * 1.2
    level_at = badge_width + size * 0.7
    about_at = level_at + large.getlength(level) + size * 1.0
    height = round(size * 2.2)
    title = Image.new("RGB", (round(about_at + small.getlength(about)) + 1, height), _PAPER)
    badge = _rounded(round(badge_width), height, size * 0.4, color)
    title.paste(badge, (0, 0), badge)
    draw = ImageDraw.Draw(title)
    base = height * 0.72
    draw.text((badge_width / 2, base), score, ink_on(color), large, anchor="ms")
    draw.text((level_at, base), level, _INK, large, anchor="ls")
    draw.text((about_at, base), about, _QUIET, small, anchor="ls")
    return title


def _quality_legend(width: int, size: float, score: float) -> Image.Image:
    """The scale of scores, its five level words, and a pointer at the picture's score."""
    legend = Image.new("RGB", (width, round(size * 4.3)), _PAPER)
    draw = ImageDraw.Draw(legend)
    left, length = size * 0.6, width - size * 1.2
    top, height = round(size * 0.8), round(size * 1.7)
    _paste_scale(legend, QUALITY, left, length, top, height, size)
    font = _font(round(size))
    for i, level in enumerate(reversed(LEVELS)):
        x = left + length * (i + 0.5) / 5
        ink = ink_on(QUALITY.colors((i + 0.5) / 5))
        draw.text((x, top + height / 2), level, ink, font, anchor="mm")
    for edge in range(0, 101, 20):
        x = left + length * edge / 100
        anchor = {0: "la", 100: "ra"}.get(edge, "ma")
        draw.text((x, top + height + size * 0.45), str(edge), _QUIET, font, anchor=anchor)
    _paste_pointer(legend, left + length * score / 100, top, size)
    return legend


def _attention_legend(width: int, size: float, most: float) -> Image.Image:
    """The scale of attention: 1 is the share that a pixel would have if all had the same."""
    legend = Image.new("RGB", (width, round(size * 4.9)), _PAPER)
    draw = ImageDraw.Draw(legend)
    left, length = size * 0.6, width - size * 1.2
    top, height = 0, round(size * 1.2)
    _paste_scale(legend, HEAT, left, length, top, height, size)
    font = _font(round(size))
    below = top + height + size * 0.45
    end = f"{most:.1f} or more"
    draw.text((left, below), "0", _QUIET, font, anchor="la")
    draw.text((left + length, below), end, _QUIET, font, anchor="ra")
    at = left + length / most
    clear = left + length - font.getlength(end) - size
    label = "1 = even"
    half = font.getlength(label) / 2
    if left + size * 1.5 + half < at < clear - half:
        draw.text((at, below), label, _QUIET, font, anchor="ma")
        draw.line(
            (at, top + height, at, top + height + size * 0.35), _QUIET, max(1, round(size / 12))
        )
    caption = "share of the score, relative to area"
    draw.text((left + length / 2, below + size * 1.5), caption, _INK, font, anchor="ma")
    return legend


def _paste_scale(
    panel: Image.Image,
    scale: ColorScale,
    left: float,
    length: float,
    top: int,
    height: int,
    size: float,
) -> None:
    row = scale.colors(np.linspace(0, 1, max(2, round(length))))
    bar = Image.fromarray(np.repeat(row[None], height, axis=0))
    panel.paste(bar, (round(left), top), _rounded(bar.width, height, size * 0.35, _INK))


def _paste_pointer(panel: Image.Image, x: float, bottom: int, size: float) -> None:
    """A small triangle whose tip stands on the scale at `x`."""
    side = round(size * 0.8)
    big = Image.new("L", (side * _SMOOTHING, side * _SMOOTHING))
    corner = side * _SMOOTHING - 1
    ImageDraw.Draw(big).polygon([(0, 0), (corner, 0), (corner / 2, corner)], fill=255)
    tip = big.resize((side, side), Image.Resampling.BOX)
    panel.paste(_INK, (round(x - side / 2), bottom - side), tip)


def _rounded(width: int, height: int, radius: float, color: tuple[int, ...]) -> Image.Image:
    """A filled rounded rectangle on transparent ground; serves as its own mask."""
    scale = _SMOOTHING
    mask = Image.new("L", (width * scale, height * scale))
    box = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * scale, fill=255)
    shape = Image.new("RGBA", (width, height), color)
    shape.putalpha(mask.resize((width, height), Image.Resampling.BOX))
    return shape
