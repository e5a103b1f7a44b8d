"""A partition of a picture into regions: every pixel belongs to exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa import runs
from rsfiqa.errors import DataError

_ROWS_AT_A_TIME = 512
"""Label maps are walked in bands of rows, so that memory stays linear in pixels with a small factor."""


@dataclass(frozen=True)
class Region:
    """One label of a partition.

    Attributes:
        id: 0..K-1, the value in the label map.
        area: fraction of the picture's pixels, in (0, 1].
        bbox: `(x, y, width, height)` in pixels, the smallest box that holds the region.
    """

    id: int
    area: float
    bbox: tuple[int, int, int, int]


class Partition:
    """An H×W label map: every pixel has exactly one region id, 0..K-1, and no id is empty.

    Args:
        labels: integer array `[H, W]` with ids 0..K-1, each of which occurs.

    Raises:
        DataError: labels are not two-dimensional integers, are empty, or ids have gaps.

    Example:
        >>> partition = Partition(np.array([[0, 0, 1], [0, 2, 1]]))
        >>> [region.bbox for region in partition.regions]
        [(0, 0, 2, 2), (2, 0, 1, 2), (1, 1, 1, 1)]
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        array = np.asarray(labels)
        if array.ndim != 2 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
            raise DataError(
                f"a partition needs a non-empty 2-D integer label map; got {array.dtype} with shape {array.shape}."
            )
        lowest, highest = int(array.min()), int(array.max())
        if lowest < 0 or highest >= array.size:
            raise DataError(
                f"region ids must run from 0 without gaps; got ids from {lowest} to {highest}. "
                "Partition.from_labels renumbers any integer map."
            )
        self._extents = _measure(array, highest + 1)
        if not self._extents.pixels.all():
            empty = int(np.flatnonzero(self._extents.pixels == 0)[0])
            raise DataError(
                f"region ids must run from 0 without gaps; id {empty} of 0..{highest} is empty. "
                "Partition.from_labels renumbers any integer map."
            )
        compact = array.astype(np.min_scalar_type(highest))
        compact.setflags(write=False)
        self._labels = compact

    @classmethod
    def from_labels(cls, labels: npt.ArrayLike) -> Partition:
        """Make a partition of any integer map: ids are renumbered in ascending order.

        Example:
            >>> Partition.from_labels(np.array([[7, 7, -1]])).labels
            array([[1, 1, 0]], dtype=uint8)
        """
        array = np.asarray(labels)
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"a label map holds integers; got {array.dtype}.")
        _, inverse = np.unique(array, return_inverse=True)
        return cls(inverse.reshape(array.shape))

    @property
    def labels(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The read-only label map `[H, W]`, in the smallest unsigned type that holds its ids."""
        return self._labels

    @property
    def height(self) -> int:
        return int(self._labels.shape[0])

    @property
    def width(self) -> int:
        return int(self._labels.shape[1])

    def __len__(self) -> int:
        """Number of regions, K."""
        return len(self._extents.pixels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partition) and np.array_equal(self._labels, other._labels)

    def __hash__(self) -> int:
        return hash((self._labels.shape, self._labels.tobytes()))

    def __repr__(self) -> str:
        return f"Partition({self.height}×{self.width}, {len(self)} regions)"

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The regions in order of their ids."""
        total = self._labels.size
        return tuple(
            Region(
                id=k,
                area=pixels / total,
                bbox=(left, top, right - left + 1, bottom - top + 1),
            )
            for k, (pixels, left, right, top, bottom) in enumerate(
                zip(*(values.tolist() for values in self._extents), strict=True)
            )
        )

    def mask(self, region_id: int) -> npt.NDArray[np.bool_]:
        """The boolean mask `[H, W]` of one region.

        Raises:
            IndexError: no region has that id.
        """
        if not 0 <= region_id < len(self):
            raise IndexError(f"region ids run from 0 to {len(self) - 1}; got {region_id}.")
        mask: npt.NDArray[np.bool_] = self._labels == region_id
        return mask

    def resize(self, height: int, width: int) -> Partition:
        """The partition at another size, by nearest neighbour; ids that vanish are closed up.

        Raises:
            DataError: a side is shorter than one pixel.
        """
        if height < 1 or width < 1:
            raise DataError(f"a partition has at least one pixel; got {width}×{height}.")
        if (height, width) == self._labels.shape:
            return self
        picture = (
            Image.fromarray(self._labels.astype(np.int32), mode="I")
            if len(self) > 256
            else Image.fromarray(self._labels)
        )
        resized = np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))
        try:
            return Partition(resized)
        except DataError:  # some region has vanished
            return Partition.from_labels(resized)

    def to_rle(self) -> list[dict[str, Any]]:
        """Every region as COCO compressed run-length encoding, in order of ids.

        Returns:
            `{"size": [H, W], "counts": str}` a region, as pycocotools reads and writes it.
        """
        from pycocotools import mask as coco

        # Column-major runs of the whole map at once: one pass over the pixels for all regions.
        columns = np.asfortranarray(self._labels).ravel(order="F")
        starts = np.concatenate([[0], np.flatnonzero(columns[1:] != columns[:-1]) + 1])
        ends = np.append(starts[1:], columns.size)
        owners = columns[starts]
        encoded = []
        for k in range(len(self)):
            mine = owners == k
            edges = np.stack([starts[mine], ends[mine]], axis=1).ravel()
            counts = np.diff(np.concatenate([[0], edges]))
            # A region's neighbouring runs never touch, so only the first count can be zero.
            tail = columns.size - edges[-1]
            runs = [*counts.tolist(), int(tail)] if tail else counts.tolist()
            rle = coco.frPyObjects(
                {"size": [self.height, self.width], "counts": runs}, self.height, self.width
            )
            encoded.append(
                {"size": [self.height, self.width], "counts": rle["counts"].decode("ascii")}
            )
        return encoded

    @classmethod
    def from_rle(cls, masks: Sequence[Mapping[str, Any]]) -> Partition:
        """Read back what `to_rle` wrote.

        Raises:
            DataError: the masks overlap, leave holes, are empty or damaged, or differ in size.
        """
        if not masks:
            raise DataError("a partition needs at least one mask; got none.")
        try:
            sizes = {
                (int(height), int(width)) for height, width in (mask["size"] for mask in masks)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a mask has a size, [height, width]; {error!r}.") from error
        if len(sizes) > 1:
            raise DataError(f"the masks of a partition share one size; got {sorted(sizes)}.")
        height, width = sizes.pop()
        if height < 1 or width < 1:
            raise DataError(f"a mask has at least one pixel; got {width}×{height}.")
        # As runs: work and memory follow the regions' outlines, not the pixels of every mask.
        edges = [_runs_of(mask.get("counts"), height, width, k) for k, mask in enumerate(masks)]
        return cls(runs.label_map(edges, height, width))


def _runs_of(counts: Any, height: int, width: int, k: int) -> runs.Edges:
    """The runs of mask `k` from its compressed run lengths."""
    if not isinstance(counts, str | bytes):
        raise DataError(f"mask {k} has no compressed run lengths (counts).")
    misfit = f"the run lengths of mask {k} do not fit {width}×{height}."
    try:
        lengths = runs.decompress(counts.encode("ascii") if isinstance(counts, str) else counts)
    except ValueError as error:  # such as DataError
        raise DataError(misfit) from error
    pixels = height * width
    # The largest is looked at on its own, since the sum of several such could wrap around.
    if lengths.size and (lengths.min() < 0 or lengths.max() > pixels or lengths.sum() > pixels):
        raise DataError(misfit)
    edges = runs.from_counts(lengths)
    if not edges.size or lengths.sum() < pixels:
        raise DataError(f"mask {k} is empty, or its run lengths end before {width}×{height}.")
    return edges


class _Extents(NamedTuple):
    """Of each label: how many pixels it has, and its first and last column and row."""

    pixels: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    top: npt.NDArray[np.int64]
    bottom: npt.NDArray[np.int64]


def _measure(labels: npt.NDArray[Any], size: int) -> _Extents:
    """Measure labels 0..size-1 by their runs along rows, of which there are few, in one pass."""
    height, width = labels.shape
    found = _Extents(
        pixels=np.zeros(size, np.int64),
        left=np.full(size, width, np.int64),
        right=np.full(size, -1, np.int64),
        top=np.full(size, height, np.int64),
        bottom=np.full(size, -1, np.int64),
    )
    for first_row in range(0, height, _ROWS_AT_A_TIME):
        band = labels[first_row : first_row + _ROWS_AT_A_TIME]
        starts = np.ones(band.shape, dtype=bool)
        starts[:, 1:] = band[:, 1:] != band[:, :-1]
        row, column = np.divmod(np.flatnonzero(starts), width)
        label = band[row, column]
        length = np.diff(row * width + column, append=band.size)
        np.add.at(found.pixels, label, length)
        np.minimum.at(found.left, label, column)
        np.maximum.at(found.right, label, column + length - 1)
        np.minimum.at(found.top, label, row + first_row)
        np.maximum.at(found.bottom, label, row + first_row)
    return found
