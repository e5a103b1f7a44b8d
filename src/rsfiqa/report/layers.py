"""What overlays and pages share: regions and attention at the size of the shown picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from rsfiqa.errors import DataError
from rsfiqa.maps import upsample_attention
from rsfiqa.partition import Partition

if TYPE_CHECKING:
    from rsfiqa.types import Assessment

Labels = npt.NDArray[np.unsignedinteger[Any]]

_PLACING_SIDE = 512
"""Labels are placed on a map of at most this long side: a few pixels do not matter there."""


def labels_at(partition: Partition, height: int, width: int) -> Labels:
    """The label map at another size, by nearest neighbour; ids are kept, some may vanish."""
    rows = (np.arange(height) + 0.5) * (partition.height / height)
    columns = (np.arange(width) + 0.5) * (partition.width / width)
    labels: Labels = partition.labels[rows.astype(int)[:, None], columns.astype(int)]
    return labels


def preview_of(
    assessment: Assessment, picture: Image.Image | npt.NDArray[np.uint8] | None = None
) -> Image.Image:
    """The assessed picture for display, RGB, at most `PREVIEW_SIDE` on its long side.

    Raises:
        DataError: neither the assessment nor the caller has the picture, or it is another one.
    """
    source = assessment.preview if picture is None else picture
    if source is None:
        raise DataError(
            f"the assessment of {assessment.image} does not hold the picture (JSON leaves it out); "
            "give it as picture=PIL.Image.open(...), or assess the file again."
        )
    shown = source if isinstance(source, Image.Image) else Image.fromarray(np.asarray(source))
    shown = shown.convert("RGB")
    factor = min(1.0, assessment.PREVIEW_SIDE / max(assessment.width, assessment.height))
    size = (
        max(1, round(assessment.width * factor)),
        max(1, round(assessment.height * factor)),
    )
    # Previews may be rounded another way, by up to a row: in a picture much wider than high that is
    # many columns. Anything further off is another picture.
    aspect = assessment.width / assessment.height
    if abs(shown.width - shown.height * aspect) > 1 + aspect + 0.02 * max(shown.size):
        raise DataError(
            f"{assessment.image} has {assessment.width} × {assessment.height} pixels; the picture "
            f"given has {shown.width} × {shown.height}, which is another shape."
        )
    if picture is not None and shown.size != size:
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    return shown


def relative_attention(assessment: Assessment, labels: Labels) -> npt.NDArray[np.float32]:
    """Each pixel's share in the score, relative to an even spread: 1 is its share by area.

    Without an attention map (an assessment read back from JSON) every region's weight is spread
    evenly over its pixels: still true, only coarser.

    Args:
        assessment: the picture's assessment.
        labels: its label map at the size wanted, `[H, W]`.

    Returns:
        float32 `[H, W]`, 0 or more, mean 1.
    """
    present, compact = np.unique(labels, return_inverse=True)
    shown = Partition(compact.reshape(labels.shape))
    weights = np.array([assessment.regions[int(k)].weight for k in present])
    weights = (
        weights / weights.sum() if weights.sum() > 0 else np.full(len(present), 1.0 / len(present))
    )
    if assessment.attention is None or assessment.attention_labels is None:
        per_pixel = weights / np.bincount(shown.labels.ravel())
        spread: npt.NDArray[np.float32] = (per_pixel[shown.labels] * labels.size).astype(np.float32)
        return spread
    position = np.full(len(assessment.regions), -1)
    position[present] = np.arange(len(present))
    grid = position[assessment.attention_labels]
    return upsample_attention(assessment.attention, grid, weights, shown) * np.float32(labels.size)


@dataclass(frozen=True)
class LabelPlace:
    """Where a region's label goes: its centre in pixels, and how roomy it is there.

    Attributes:
        x, y: centre of the label.
        room: factor by which the label could grow before it leaves the region; below 1 it sticks
            out.
        free: whether it keeps clear of the labels placed before it.
    """

    x: float
    y: float
    room: float
    free: bool


def place_labels(labels: Labels, boxes: Mapping[int, tuple[float, float]]) -> dict[int, LabelPlace]:
    """Put a label box into each region at its most interior point, clear of the other labels.

    The point is the region's pole of inaccessibility, by distance transform, with distances
    measured in the shape of the box: wide labels go where the region is wide. Small regions
    choose first.

    Args:
        labels: label map `[H, W]`.
        boxes: width and height of the label of each region, in pixels; ids that the map does not
            hold are left out.

    Returns:
        a place for each region of `boxes` that the map holds.
    """
    height, width = labels.shape
    step = max(1.0, max(height, width) / _PLACING_SIDE)
    rows, columns = _centres(height, step), _centres(width, step)
    coarse = labels[rows.astype(int)[:, None], columns.astype(int)]
    depth = _interior_depth(coarse, _mean_aspect(boxes)) * step
    slices = ndimage.find_objects(coarse.astype(np.int32) + 1)
    areas = np.bincount(coarse.ravel(), minlength=max(boxes, default=0) + 1)
    places: dict[int, LabelPlace] = {}
    taken: list[tuple[float, float, float, float]] = []
    for k in sorted(boxes, key=lambda k: (int(areas[k]), k)):
        if areas[k] == 0:
            continue
        box_width, box_height = boxes[k]
        window = slices[k]
        inside = coarse[window] == k
        y, x = rows[window[0]][:, None], columns[window[1]][None, :]
        blocked = np.zeros(inside.shape, dtype=bool)
        for other_x, other_y, other_width, other_height in taken:
            near_x = np.abs(x - other_x) < (box_width + other_width) / 2
            blocked |= near_x & (np.abs(y - other_y) < (box_height + other_height) / 2)
        open_depth = np.where(inside & ~blocked, depth[window], 0)
        free = bool(open_depth.any())
        best = np.where(inside, depth[window], 0) if not free else open_depth
        row, column = _middle_of_deepest(best)
        centre = (float(columns[window[1]][column]), float(rows[window[0]][row]))
        # The inscribed box reaches its corner at sqrt(2) of its half-width, in the box's metric.
        room = float(best[row, column]) * 2 / (box_width * 2**0.5)
        places[k] = LabelPlace(*centre, room=room, free=free)
        taken.append((*centre, box_width, box_height))
    return places


def _middle_of_deepest(depth: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Row and column of a place about as deep as any, in the middle of all such places.

    A wide region is equally deep along a line, and its very deepest point an accident.
    """
    deep = np.argwhere(depth >= 0.95 * depth.max())
    nearest = np.abs(deep - deep.mean(axis=0)).sum(axis=1).argmin()
    row, column = deep[nearest].tolist()
    return row, column


def _centres(length: int, step: float) -> npt.NDArray[np.float64]:
    count = max(1, round(length / step))
    centres: npt.NDArray[np.float64] = (np.arange(count, dtype=np.float64) + 0.5) * length / count
    return centres


def _interior_depth(labels: Labels, aspect: float) -> npt.NDArray[np.float64]:
    """Distance of each pixel to the next region or the frame; rows count `aspect` columns."""
    inside = np.pad(np.ones(labels.shape, dtype=bool), 1)
    differs_below = labels[1:] != labels[:-1]
    differs_right = labels[:, 1:] != labels[:, :-1]
    core = inside[1:-1, 1:-1]
    core[1:][differs_below] = False
    core[:, 1:][differs_right] = False
    distance = ndimage.distance_transform_edt(inside, sampling=(aspect, 1.0))
    # Pixels on an edge are half a pixel deep: a region of edges alone still has a deepest one.
    depth: npt.NDArray[np.float64] = distance[1:-1, 1:-1] + 0.5
    return depth


def _mean_aspect(boxes: Mapping[int, tuple[float, float]]) -> float:
    if not boxes:
        return 1.0
    return float(np.mean([width / height for width, height in boxes.values()]))
