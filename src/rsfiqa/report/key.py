"""The key under an overlay: what was read of its regions, a numbered sentence each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from rsfiqa.sentences import region_sentences
from rsfiqa.sentences.numbers import count_text

if TYPE_CHECKING:
    from rsfiqa.types import Assessment

MOST_REGIONS = 8
"""The heaviest regions are told; the report tells all."""

_MOST_LINES = 3
_LINE = 1.4
_UNKNOWN = "□"


def draw_key(
    assessment: Assessment,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: float,
    *,
    paper: tuple[int, int, int],
    ink: tuple[int, int, int],
) -> Image.Image | None:
    """Draw the sentences of the heaviest regions beneath each other.

    Args:
        assessment: whose regions to tell of.
        width: of the picture returned, in pixels; long sentences are wrapped, and cut off after
            three lines.
        font: of about `size` pixels.
        size: of the text.
        paper: colour of the ground.
        ink: colour of the text.

    Returns:
        RGB picture, or None when no region was read and none failed to be.
    """
    if all(region.reading.status == "absent" for region in assessment.regions):
        return None
    sentences = region_sentences(assessment)
    told = [r for r in assessment.regions if r.reading.status != "absent"]
    told.sort(key=lambda region: (-region.weight, region.id))
    left = font.getlength(f"{max(region.id for region in told)}") + size
    lines: list[tuple[str, str]] = []
    for region in told[:MOST_REGIONS]:
        wrapped = wrap(drawable(sentences[region.id]), width - left, font.getlength)
        lines += [(str(region.id), wrapped[0]), *(("", line) for line in wrapped[1:])]
    more = len(told) - MOST_REGIONS
    if more > 0:
        lines.append(("", f"… and {count_text(more, 'region')} of less weight"))
    key = Image.new("RGB", (width, round(len(lines) * _LINE * size)), paper)
    draw = ImageDraw.Draw(key)
    for i, (number, line) in enumerate(lines):
        middle = (i + 0.5) * _LINE * size
        draw.text((left - size * 0.6, middle), number, ink, font, anchor="rm")
        draw.text((left, middle), line, ink, font, anchor="lm")
    return key


def drawable(text: str) -> str:
    """The text with a box for every letter that the built-in font lacks: all that is not Latin.

    Example:
        >>> drawable("“狗”: clean.")
        '"□": clean.'
    """
    plain = text.translate({ord("“"): '"', ord("”"): '"', ord("’"): "'", ord("‘"): "'"})
    return "".join(c if ord(c) < 0x100 or c == "…" else _UNKNOWN for c in plain)


def wrap(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """A text in lines no wider than `width`, where words allow, and no more than three.

    Args:
        text: one line.
        width: in the unit of `length`.
        length: how wide a text is.

    Example:
        >>> wrap("a brown dog: clean.", 8, len)
        ['a brown', 'dog:', 'clean.']
    """
    lines: list[str] = []
    for word in text.split(" "):
        if lines and length(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} …"]
    return lines
