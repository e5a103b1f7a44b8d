"""Overlay pictures: regions with their scores, the attention map, the quality map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ConfigError
from rsfiqa.report.borders import draw_borders, enlarged, region_borders
from rsfiqa.report.layers import (
    Labels,
    labels_at,
    place_labels,
    preview_of,
    relative_attention,
)
from rsfiqa.report.palette import HEAT, QUALITY
from rsfiqa.report.panel import draw_panel, draw_tag, tag_size

if TYPE_CHECKING:
    from rsfiqa.types import Assessment

OverlayKind = Literal["regions", "attention", "quality"]

_HEAT_PERCENTILE = 99.7
"""The attention scale ends here: single peaks would leave the rest of the map dark."""

_SMALLEST_TAG, _LARGEST_TAG = 0.62, 1.2
"""Tags are drawn in these multiples of their size, as the region has room."""


def draw_overlay(
    assessment: Assessment,
    kind: OverlayKind = "regions",
    *,
    picture: Image.Image | npt.NDArray[np.uint8] | None = None,
) -> Image.Image:
    """Draw an assessment over its picture, with a title and a legend.

    Args:
        assessment: the assessment to show.
        kind: `regions` draws region borders, each region's number and its score, and below them
            what was read of the eight heaviest; `attention` draws where the score comes from, as a heat map over the greyed picture; `quality`
            tints every region by its score.
        picture: the assessed picture (upright, at any size), needed only when the assessment
            was read back from JSON.

    Returns:
        RGB picture: the assessed picture at its preview size (small ones enlarged), with a title
        line above and a legend with the scale below.

    Raises:
        ConfigError: `kind` is none of the three.
        DataError: the assessment does not hold the picture and none was given, or one of another
            shape was.
    """
    if kind not in get_args(OverlayKind):
        raise ConfigError(f"an overlay is one of {', '.join(get_args(OverlayKind))}; got {kind!r}.")
    shown = enlarged(preview_of(assessment, picture))
    labels = labels_at(assessment.partition, shown.height, shown.width)
    borders = region_borders(assessment.partition, shown.size)
    line = max(shown.size) / 800
    if kind == "attention":
        relative = relative_attention(assessment, labels)
        most = max(1.0, float(np.percentile(relative[::3, ::3], _HEAT_PERCENTILE)))
        image = _heated(shown, relative / most)
        draw_borders(image, borders, line * 0.6, opacity=0.5)
        return draw_panel(image, assessment, kind, most_attention=most)
    image = _tinted(shown, _scores(assessment)[labels]) if kind == "quality" else shown
    draw_borders(image, borders, line)
    _draw_tags(image, assessment, labels, numbers=kind == "regions")
    return draw_panel(image, assessment, kind)


def _scores(assessment: Assessment) -> npt.NDArray[np.float32]:
    return np.array([region.score for region in assessment.regions], dtype=np.float32)


def _tinted(picture: Image.Image, scores: npt.NDArray[np.float32]) -> Image.Image:
    """Every pixel in the colour of its score, with the picture faintly under it."""
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None]
    return _to_image(0.62 * QUALITY.colors(scores / 100) + 0.38 * (40 + 0.8 * grey))


def _heated(picture: Image.Image, share: npt.NDArray[np.float32]) -> Image.Image:
    """A heat map over the greyed picture: opaque where attention is, sparing where it is not."""
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None]
    opacity = (0.45 + 0.4 * share.clip(0, 1))[..., None]
    return _to_image(0.7 * grey * (1 - opacity) + HEAT.colors(share) * opacity)


def _draw_tags(image: Image.Image, assessment: Assessment, labels: Labels, numbers: bool) -> None:
    """Every region's number (if asked for) and score, at the roomiest place inside it."""
    size = max(image.size) / 54
    tags = {r.id: (str(r.id) if numbers else None, r.score) for r in assessment.regions}
    boxes = {k: tag_size(*tag, size * _SMALLEST_TAG) for k, tag in tags.items()}
    for k, place in place_labels(labels, boxes).items():
        factor = min(_LARGEST_TAG, max(1.0, place.room) * _SMALLEST_TAG)
        tag = draw_tag(*tags[k], size * factor)
        x = min(max(round(place.x - tag.width / 2), 0), max(0, image.width - tag.width))
        y = min(max(round(place.y - tag.height / 2), 0), max(0, image.height - tag.height))
        image.paste(tag, (x, y), tag)


def _to_image(pixels: npt.NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
