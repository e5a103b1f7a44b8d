"""A picture's regions as a small transparent picture that lies over its thumbnail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa import runs
from rsfiqa.errors import DataError
from rsfiqa.report.palette import QUALITY
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.types import level_of

OVERLAY_SIDE = 320
"""Twice a thumbnail: borders are to be crisp on fine screens and in the enlarged view."""

_VERSION = "1"
_LONGEST_SIDE = 1_000_000
_STEPS = 64
_LIGHT, _DARK, _HATCHED, _FIRST_TINT = 1, 2, 3, 4
_ALPHAS = (0, 255, 190, 125)
_TINT_ALPHA = 105
_HATCH_PERIOD, _HATCH_WIDTH = 20, 3

Labels = npt.NDArray[np.int32]


def overlay_key(record: Mapping[str, Any]) -> str | None:
    """A name for the overlay of a line of results; None where the line has no masks.

    Lines whose overlays look alike have the same.
    """
    regions = record.get("regions") or ()
    if not regions or not all("mask" in region for region in regions):
        return None
    parts = [[r["mask"], r.get("score"), (r.get("ratings") or {}).get("overall")] for r in regions]
    text = json.dumps([_VERSION, OVERLAY_SIDE, parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def draw_small_overlay(record: Mapping[str, Any]) -> Image.Image:
    """Borders of the regions, and in each the colour of its score, or without scores of its
    overall rating; poor regions are hatched, bad ones cross-hatched.

    The masks are scaled as runs: work follows their outlines, not the picture's pixels.

    Returns:
        a palette picture of about `OVERLAY_SIDE` pixels, with transparency.

    Raises:
        DataError: the masks are damaged.
    """
    regions = record["regions"]
    try:
        height, width = (int(side) for side in regions[0]["mask"]["size"])
        labels = _labels([region["mask"] for region in regions], height, width)
        tints = [_tint(region) for region in regions]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the masks of {record.get('image')} are damaged: {error}.") from error
    painted = np.zeros(labels.shape, np.uint8)
    for label, (step, level) in enumerate(tints):
        if step is not None:
            inside = labels == label
            painted[inside] = _FIRST_TINT + step
            painted[inside & _hatch(labels.shape, level)] = _HATCHED
    light = _borders(labels)
    painted[_widened(light)] = _DARK
    painted[light] = _LIGHT
    return _as_palette(painted)


def _labels(masks: Sequence[Mapping[str, Any]], height: int, width: int) -> Labels:
    """The regions at overlay size `[h, w]`; -1 where none is."""
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise ValueError(f"a mask of {width} by {height} pixels")
    factor = min(1.0, OVERLAY_SIDE / max(height, width))
    small = max(1, round(height * factor)), max(1, round(width * factor))
    flat = np.full(small[0] * small[1], -1, np.int32)
    for label, mask in enumerate(masks):
        if list(mask["size"]) != [height, width]:
            raise ValueError("they are of different sizes")
        lengths = runs.decompress(mask["counts"].encode("ascii"))
        if lengths.size and (lengths.min() < 0 or lengths.sum() > height * width):
            raise ValueError("a mask covers more than the picture")
        edges = runs.from_counts(lengths)
        edges = runs.resized(edges, (height, width), small)
        turns = np.zeros(flat.size + 1, np.int32)
        turns[edges[::2]] += 1
        turns[edges[1::2]] -= 1
        flat[np.cumsum(turns[:-1]) > 0] = label
    return flat.reshape(small[1], small[0]).T


def _tint(region: Mapping[str, Any]) -> tuple[int | None, str]:
    """The step on the quality scale, and the level in a word; none without a number."""
    score = region.get("score")
    if score is not None:
        return _step(score / 100), level_of(score)
    rated = (region.get("ratings") or {}).get("overall")
    return (None, "") if rated is None else (_step((rated - 1) / 4), level_of_rating(rated))


def _step(share: float) -> int:
    return round(min(1.0, max(0.0, share)) * (_STEPS - 1))


def _hatch(shape: tuple[int, ...], level: str) -> npt.NDArray[np.bool_]:
    y, x = np.ogrid[: shape[0], : shape[1]]
    rising: npt.NDArray[np.bool_] = (x + y) % _HATCH_PERIOD < _HATCH_WIDTH
    if level == "bad":
        rising = rising | ((x - y) % _HATCH_PERIOD < _HATCH_WIDTH)
    return rising if level in {"poor", "bad"} else np.zeros(shape, bool)


def _borders(labels: Labels) -> npt.NDArray[np.bool_]:
    """Both pixels of every pair of neighbours that belong to different regions."""
    borders = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    borders[:, 1:] |= across
    borders[:, :-1] |= across
    borders[1:] |= down
    borders[:-1] |= down
    return borders


def _widened(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    return wide


def _as_palette(painted: npt.NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(painted).convert("P")
    tints = QUALITY.colors(np.linspace(0, 1, _STEPS))
    fixed = np.array([(0, 0, 0), (255, 255, 255), (16, 16, 18), (16, 16, 18)], np.uint8)
    picture.putpalette(np.concatenate([fixed, tints]).ravel().tolist())
    picture.info["transparency"] = bytes([*_ALPHAS, *[_TINT_ALPHA] * _STEPS])
    return picture
