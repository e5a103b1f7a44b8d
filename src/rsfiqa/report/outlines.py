"""Outlines of regions as polygons that fit together: neighbours share every border point.

A ring is traced along pixel edges, cut where three or more regions meet, and each piece is
simplified on its own (Douglas-Peucker, 1973). Both neighbours of a piece simplify it in the same
direction, so no gap or overlap can open between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

TOLERANCE = 0.75
"""Pixels by which a simplified outline may stray: just enough to turn the stairs of a diagonal
(0.71 off its chord) into a line."""

_SHORTEST_SIMPLIFIED = 9
"""Pieces of fewer points stay exact, so that a region of a few pixels keeps an area."""


@dataclass(frozen=True)
class Outlines:
    """The outlines of a label map, in its pixel coordinates: (0, 0) is its upper left corner.

    Attributes:
        rings: for each region id, its closed polygons `[n, 2]` of x and y, holes included; fill
            them by the even-odd rule.
        borders: each border between two regions once, as open or closed lines `[n, 2]`.
    """

    rings: dict[int, list[Points]]
    borders: list[Points]


def trace_outlines(labels: npt.NDArray[Any], tolerance: float = TOLERANCE) -> Outlines:
    """Trace the outlines of every region of a label map `[H, W]`.

    Args:
        labels: the label map, ids 0 or more.
        tolerance: pixels by which a simplified outline may stray; 0 keeps to the pixel edges.

    Example:
        >>> outlines = trace_outlines(np.array([[0, 0, 1, 1]]))
        >>> outlines.borders[0].tolist()
        [[2.0, 0.0], [2.0, 1.0]]
    """
    height, width = labels.shape
    padded = np.pad(labels.astype(np.int64), 1, constant_values=-1)
    junctions = _junctions(padded)
    rings: dict[int, list[Points]] = {}
    pieces: dict[tuple[int, ...], Points] = {}
    stride = width + 1
    edges = _directed_edges(padded)
    for region_id, region_edges in edges.items():
        rings[region_id] = [
            _join(_simplified(piece, stride, tolerance, pieces) for piece in _cut(ring, junctions))
            for ring in _rings(region_edges)
        ]
    borders = [points for key, points in pieces.items() if not _on_frame(key, stride, height)]
    return Outlines(rings, borders)


def _junctions(padded: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where outlines are cut, flat `[(H + 1) * (W + 1)]`: the lattice points at which more than two
    border edges meet, and the picture's corners, which no simplification may cut off.
    """
    up_left, up_right = padded[:-1, :-1], padded[:-1, 1:]
    down_left, down_right = padded[1:, :-1], padded[1:, 1:]
    degree = (
        (up_left != up_right).astype(int)
        + (down_left != down_right)
        + (up_left != down_left)
        + (up_right != down_right)
    )
    junctions: npt.NDArray[np.bool_] = degree > 2
    junctions[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return junctions.ravel()


def _directed_edges(padded: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int64]]:
    """For each region the lattice edges around it, `[n, 2]` start and end, region on the right.

    Lattice points are numbered row by row; a region is walked around clockwise on the screen.
    """
    inner = padded[1:-1, 1:-1]
    height, width = inner.shape
    corner = np.arange(height)[:, None] * (width + 1) + np.arange(width)
    sides = (
        (padded[:-2, 1:-1], corner, corner + 1),
        (padded[1:-1, 2:], corner + 1, corner + width + 2),
        (padded[2:, 1:-1], corner + width + 2, corner + width + 1),
        (padded[1:-1, :-2], corner + width + 1, corner),
    )
    owners, starts, ends = [], [], []
    for neighbour, start, end in sides:
        apart = neighbour != inner
        owners.append(inner[apart])
        starts.append(start[apart])
        ends.append(end[apart])
    owner = np.concatenate(owners)
    edges = np.stack([np.concatenate(starts), np.concatenate(ends)], axis=1)
    order = np.argsort(owner, kind="stable")
    ids, first = np.unique(owner[order], return_index=True)
    return {int(k): part for k, part in zip(ids, np.split(edges[order], first[1:]), strict=True)}


def _rings(edges: npt.NDArray[np.int64]) -> list[list[int]]:
    """Chain directed edges into closed rings of lattice points (first point not repeated)."""
    following: dict[int, list[int]] = {}
    for start, end in edges.tolist():
        following.setdefault(start, []).append(end)
    rings = []
    while following:
        point = next(iter(following))
        ring = []
        while point in following:
            ring.append(point)
            ends = following[point]
            after = ends.pop()
            if not ends:
                del following[point]
            point = after
        rings.append(ring)
    return rings


def _cut(ring: list[int], junctions: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Cut a ring at its junctions into pieces that overlap in their end points.

    A ring without junctions is one closed piece from its first lattice point in reading order, so
    that the regions inside and outside of it cut alike.
    """
    cuts = [i for i, point in enumerate(ring) if junctions[point]] or [ring.index(min(ring))]
    turned = ring[cuts[0] :] + ring[: cuts[0]] + [ring[cuts[0]]]
    bounds = [cut - cuts[0] for cut in cuts] + [len(ring)]
    return [turned[a : b + 1] for a, b in pairwise(bounds)]


def _simplified(
    piece: list[int], stride: int, tolerance: float, known: dict[tuple[int, ...], Points]
) -> Points:
    """The simplified piece, the same (reversed) from either side; `known` remembers each."""
    from skimage.measure import approximate_polygon

    backward = piece[::-1] < piece
    key = tuple(piece[::-1] if backward else piece)
    if key not in known:
        lattice = np.array(key)
        points = np.stack([lattice % stride, lattice // stride], axis=1).astype(np.float64)
        if tolerance > 0 and len(points) >= _SHORTEST_SIMPLIFIED:
            points = approximate_polygon(points, tolerance)
        known[key] = points
    return known[key][::-1] if backward else known[key]


def _join(pieces: Iterable[Points]) -> Points:
    return np.concatenate([piece[:-1] for piece in pieces])


def _on_frame(piece: tuple[int, ...], stride: int, height: int) -> bool:
    """Whether a piece runs along the frame; its first edge tells, since borders cut the frame."""
    (y0, x0), (y1, x1) = (divmod(point, stride) for point in piece[:2])
    return (x0 == x1 and x0 in {0, stride - 1}) or (y0 == y1 and y0 in {0, height})
