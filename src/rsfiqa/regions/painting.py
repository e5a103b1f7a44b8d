"""Overlapping masks to one owner a pixel: near-duplicates out, smaller painted over larger.

The picture is handled as runs (see `runs`): a `Painting` says where each run of one owner begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rsfiqa import runs

UNCOVERED = -1
"""The owner of pixels that no mask covers."""

_IOU_BLOCK = 64


class Candidate(NamedTuple):
    """A mask in the picture's size, with what decides its place among the others."""

    edges: runs.Edges
    area: int
    score: float


class Painting(NamedTuple):
    """Who owns the picture, run by run, each within one column.

    Attributes:
        starts: where each run begins, ascending from 0, `[n]`.
        owners: whose it is, `[n]`.
        height: of the picture.
        width: of the picture.
    """

    starts: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Pixels of each run."""
        return np.diff(self.starts, append=self.pixels)

    def reading_order(self) -> npt.NDArray[np.int64]:
        """The place of each run's first pixel when the picture is read row by row."""
        column, row = np.divmod(self.starts, self.height)
        return row * self.width + column


def without_duplicates(
    candidates: Sequence[Candidate], iou: float, height: int, width: int
) -> list[Candidate]:
    """Drop every mask that overlaps a better one by `iou` or more.

    Better is the higher score, then the larger area, then the earlier in the order of runs. A mask
    that was dropped drops no other.
    """
    from pycocotools import mask as coco

    # Masks whose areas are further apart than this ratio cannot reach the IoU: sorted by area,
    # each has to be compared only with the few that follow it.
    by_area = sorted(candidates, key=lambda one: one.area)
    areas = np.array([one.area for one in by_area])
    size, pixels = [height, width], height * width
    encoded = [
        coco.frPyObjects({"size": size, "counts": runs.to_counts(one.edges, pixels)}, height, width)
        for one in by_area
    ]
    rivals: list[list[int]] = [[] for _ in by_area]
    for first in range(0, len(by_area), _IOU_BLOCK):
        block = encoded[first : first + _IOU_BLOCK]
        reach = areas[first + len(block) - 1] / iou
        end = int(np.searchsorted(areas, reach * (1 + 1e-9), side="right"))
        overlaps = coco.iou(block, encoded[first:end], [0] * (end - first))
        for one, other in zip(*np.nonzero(overlaps >= iou), strict=True):
            if one != other:
                rivals[first + one].append(first + int(other))
                rivals[first + int(other)].append(first + int(one))
    kept = np.zeros(len(by_area), dtype=bool)
    order = sorted(
        range(len(by_area)),
        key=lambda k: (-by_area[k].score, -by_area[k].area, content_key(by_area[k].edges)),
    )
    for k in order:
        kept[k] = not kept[rivals[k]].any()
    return [by_area[k] for k in np.flatnonzero(kept)]


def content_key(edges: runs.Edges) -> bytes:
    """Sorts masks by where their runs begin and end, whatever order they came in."""
    return edges.astype(">i8").tobytes()


def paint(
    candidates: Sequence[Candidate],
    height: int,
    width: int,
    *,
    least: int,
    min_visible: float,
) -> Painting:
    """Give every pixel to the smallest mask that covers it.

    Masks are painted from the front: the smallest first, among equals the better-scored, then the
    earlier in the order of runs; each takes what is still free. One of which fewer than `least`
    pixels, or less than the share `min_visible`, are free is left out, and what lies behind it
    shows instead.
    """
    pixels = height * width
    # Between two neighbouring edges of any masks all pixels have the same masks over them.
    is_edge = np.zeros(pixels + 1, dtype=bool)
    is_edge[::height] = True
    for candidate in candidates:
        is_edge[candidate.edges] = True
    starts = np.flatnonzero(is_edge[:-1]).astype(np.int64)
    lengths = np.diff(starts, append=pixels)
    owners = np.full(starts.size, UNCOVERED, dtype=np.int64)
    front_to_back = sorted(
        candidates, key=lambda one: (one.area, -one.score, content_key(one.edges))
    )
    for k, candidate in enumerate(front_to_back):
        at = np.searchsorted(starts, candidate.edges)
        extent = slice(int(at[0]), int(at[-1]))
        covered = np.repeat(np.arange(at.size - 1) % 2 == 0, np.diff(at))
        free = covered & (owners[extent] == UNCOVERED)
        visible = int(lengths[extent][free].sum())
        if visible >= max(least, min_visible * candidate.area):
            owners[extent][free] = k
    return joined(Painting(starts, owners, height, width))


def joined(painting: Painting) -> Painting:
    """The same painting with the fewest runs: neighbours of one owner in a column become one."""
    starts, owners = painting.starts, painting.owners
    begins = np.append(True, owners[1:] != owners[:-1]) | (starts % painting.height == 0)
    return painting._replace(starts=starts[begins], owners=owners[begins])


def in_order(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Two ascending arrays as one, each value once: faster on them than `np.union1d`."""
    both = np.concatenate([one, other])
    both.sort(kind="stable")
    each_once: npt.NDArray[np.int64] = both[np.append(True, np.diff(both) > 0)[: both.size]]
    return each_once
