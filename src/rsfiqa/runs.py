"""Masks as runs: where a mask begins and ends, counted down the columns as COCO does.

A mask of `[height, width]` is one ascending array `s0, e0, s1, e1, …`: it covers the half-open
runs `[s0, e0)`, `[s1, e1)`, … of the picture read column by column, no two of which touch. Work and
memory then follow a mask's outline, not the picture's pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError

Edges = npt.NDArray[np.int64]

_LONGEST_NUMBER = 7
"""Characters of a compressed count, of 5 bits each: more than any picture needs."""


def area_of(edges: Edges) -> int:
    """How many pixels a mask covers."""
    return int((edges[1::2] - edges[::2]).sum())


def from_array(mask: npt.NDArray[np.bool_]) -> Edges:
    """The runs of a boolean mask `[h, w]`.

    Example:
        >>> from_array(np.array([[False, True], [True, True]])).tolist()
        [1, 4]
    """
    height = mask.shape[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return np.empty(0, np.int64)
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    # An empty pixel above each column keeps its runs apart from those of the column before.
    tall = crop.shape[0] + 1
    padded = np.zeros((crop.shape[1], tall), dtype=bool)
    padded[:, 1:] = crop.T
    flat = padded.ravel()
    flips = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flips.size % 2:
        flips = np.append(flips, flat.size)
    column, row = np.divmod(flips[::2], tall)
    starts = (left + column) * height + top + row - 1
    return _joined(starts, starts + (flips[1::2] - flips[::2]))


def from_counts(counts: npt.NDArray[np.int64]) -> Edges:
    """The runs of COCO's run lengths: outside, inside, outside, …

    Example:
        >>> from_counts(np.array([1, 2, 0, 3, 4])).tolist()
        [1, 6]
    """
    flips = np.cumsum(counts)
    ends = flips[1::2]
    starts = flips[::2][: ends.size]
    some = ends > starts
    return _joined(starts[some], ends[some])


def to_counts(edges: Edges, pixels: int) -> npt.NDArray[np.int64]:
    """COCO's run lengths of a mask in a picture of so many pixels."""
    return np.diff(edges, prepend=0, append=pixels)


def label_map(
    masks: Sequence[Edges], height: int, width: int
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The picture in which every pixel has the number of its mask, `[height, width]`.

    Args:
        masks: the runs of each.

    Raises:
        DataError: two masks overlap, or some pixel is in none.

    Example:
        >>> label_map([np.array([0, 2]), np.array([2, 4])], 2, 2).tolist()
        [[0, 1], [0, 1]]
    """
    counts = np.array([edges.size // 2 for edges in masks], dtype=np.int64)
    owner = np.repeat(np.arange(len(masks)), counts)
    runs = np.concatenate([np.empty(0, np.int64), *masks]).reshape(-1, 2)
    order = np.argsort(runs[:, 0], kind="stable")
    start, end = runs[order].T
    owner = owner[order]
    overlapping = np.flatnonzero(start[1:] < end[:-1])
    if overlapping.size:
        one, other = sorted(owner[overlapping[0] : overlapping[0] + 2].tolist())
        raise DataError(
            f"the masks of a partition must not overlap; mask {other} does, with mask {one}."
        )
    if int((end - start).sum()) != height * width:
        raise DataError("the masks of a partition must cover every pixel; some are left out.")
    numbers = owner.astype(np.min_scalar_type(len(masks) - 1))
    columns = np.repeat(numbers, end - start).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def decompress(counts: bytes) -> npt.NDArray[np.int64]:
    """Run lengths from COCO's compressed text.

    Every number is written five bits a character, lowest first, as its difference from the number
    two before it (from the fourth on), in two's complement.

    Raises:
        DataError: the text holds other characters or ends inside a number.

    Example:
        >>> decompress(b"255").tolist()
        [2, 5, 5]
    """
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    last = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise DataError(
            "the run lengths of a mask are damaged: they hold other characters than COCO writes, "
            "or end inside a number."
        )
    ends = np.flatnonzero(last)
    begins = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - begins + 1
    if digits.max() > _LONGEST_NUMBER:
        raise DataError("the run lengths of a mask are damaged: a number is too long.")
    place = 5 * (np.arange(codes.size) - np.repeat(begins, digits))
    numbers = np.add.reduceat((codes & 0x1F) << place, begins)
    numbers -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * digits), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def resized(edges: Edges, size: tuple[int, int], new_size: tuple[int, int]) -> Edges:
    """A mask at another `(height, width)`: each new pixel takes the old pixel under its centre.

    Example:
        >>> resized(np.array([1, 2]), (2, 2), (4, 4)).tolist()
        [2, 4, 6, 8]
    """
    if size == new_size or not edges.size:
        return edges
    height, new_height = size[0], new_size[0]
    column, top, bottom = _by_column(edges, height)
    new_top, new_bottom = (_first_from(row, size[0], new_size[0]) for row in (top, bottom))
    new_left, new_right = (_first_from(old, size[1], new_size[1]) for old in (column, column + 1))
    copies = np.where(new_bottom > new_top, new_right - new_left, 0)
    copy = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    offset = (np.repeat(new_left, copies) + copy) * new_height
    starts = offset + np.repeat(new_top, copies)
    order = np.argsort(starts)
    return _joined(starts[order], (offset + np.repeat(new_bottom, copies))[order])


def _first_from(place: npt.NDArray[np.int64], old: int, new: int) -> npt.NDArray[np.int64]:
    """The first of `new` pixels whose centre lies at or after `place` of `old`, rounded exactly."""
    first: npt.NDArray[np.int64] = -((old - 2 * new * place) // (2 * old))
    return first


def _by_column(edges: Edges, height: int) -> tuple[npt.NDArray[Any], ...]:
    """Column, first row and end row of every run, cut where it crosses into the next column."""
    starts, ends = edges[::2], edges[1::2]
    first, last = starts // height, (ends - 1) // height
    parts = last - first + 1
    column = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts - first, parts)
    top = np.maximum(np.repeat(starts, parts), column * height) - column * height
    bottom = np.minimum(np.repeat(ends, parts), (column + 1) * height) - column * height
    return column, top, bottom


def _joined(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Edges:
    """Ascending runs, those that touch made one."""
    apart = starts[1:] != ends[:-1]
    edges = np.stack(
        [starts[np.append(True, apart)[: starts.size]], ends[np.append(apart, True)[: ends.size]]],
        axis=1,
    )
    return edges.ravel()
