"""What a segmenter hands over: masks with scores, as arrays or in COCO's run-length encoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa import runs
from rsfiqa.errors import DataError

_MOST_PIXELS = 2**32 - 1
"""What COCO's own run lengths can count."""

AnyMask = npt.NDArray[np.bool_] | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ScoredMask:
    """One mask of a segmenter, and how sure the segmenter is of it.

    Attributes:
        mask: boolean `[h, w]`, or COCO run-length encoding: `{"size": [h, w], "counts": …}` with
            compressed text or bytes, or a list of run lengths. Of any size.
        score: any finite number, higher is better; only compared with other masks' scores.
    """

    mask: AnyMask
    score: float = 1.0


def mask_runs(mask: AnyMask, height: int, width: int) -> runs.Edges:
    """The runs of a mask in a picture of `height` × `width`; a mask of another size is brought to
    it, each pixel of the picture taking the mask's pixel under its centre.

    Raises:
        DataError: the mask is no boolean `[h, w]` array and no valid run-length encoding.

    Example:
        >>> mask_runs({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2).tolist()
        [1, 3]
    """
    if isinstance(mask, Mapping):
        size = _size_of(mask)
        edges = runs.from_counts(_counts_of(mask, size))
    elif isinstance(mask, np.ndarray):
        if mask.ndim != 2 or mask.dtype != np.bool_ or not mask.size:
            raise DataError(
                f"a mask is a boolean array [height, width] of at least one pixel; got {mask.dtype} "
                f"with shape {mask.shape}. Make one by a comparison, such as mask > 0."
            )
        size = (mask.shape[0], mask.shape[1])
        edges = runs.from_array(mask)
    else:
        raise DataError(
            "a mask is a boolean NumPy array [height, width] or a COCO run-length encoding with "
            f"size and counts; got {type(mask).__name__}."
        )
    return runs.resized(edges, size, (height, width))


def score_of(mask: ScoredMask) -> float:
    """The score as a number.

    Raises:
        DataError: it is not finite, or no number.
    """
    try:
        score = float(mask.score)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"the score of a mask is a finite number; got {mask.score!r}.")
    return score


def _size_of(mask: Mapping[str, Any]) -> tuple[int, int]:
    size = mask.get("size")
    try:
        height, width = (int(side) for side in size)  # type: ignore[union-attr]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"a mask in run-length encoding has a size, [height, width]; got {size!r}."
        ) from error
    if height < 1 or width < 1 or [height, width] != list(size):  # type: ignore[arg-type]
        raise DataError(f"a mask has a whole number of pixels a side, at least one; got {size!r}.")
    if height * width > _MOST_PIXELS:
        raise DataError(f"a mask has at most {_MOST_PIXELS:,} pixels; got {width}×{height}.")
    return height, width


def _counts_of(mask: Mapping[str, Any], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The run lengths, checked: whole, none negative, together as many as the mask's pixels."""
    counts = mask.get("counts")
    if isinstance(counts, str | bytes):
        text = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
        lengths = runs.decompress(text)
    elif isinstance(counts, list | tuple | np.ndarray):
        lengths = _whole_numbers(counts)
    else:
        raise DataError(
            "a mask in run-length encoding has counts, as compressed text or a list of run "
            f"lengths; got {type(counts).__name__}."
        )
    height, width = size
    # The largest is checked on its own, since the sum of several such could wrap around.
    if lengths.size and (lengths.min() < 0 or lengths.max() > height * width):
        raise DataError(f"the run lengths of a mask do not fit {width}×{height}.")
    if int(lengths.sum()) != height * width:
        raise DataError(
            f"the run lengths of a mask of {width}×{height} must sum to {height * width} pixels; "
            f"got {int(lengths.sum())}."
        )
    return lengths


def _whole_numbers(counts: Any) -> npt.NDArray[np.int64]:
    try:
        numbers = np.asarray(counts)
    except (ValueError, OverflowError) as error:
        raise DataError("the run lengths of a mask are a flat list of whole numbers.") from error
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise DataError(
            "the run lengths of a mask are a flat list of whole numbers; "
            f"got {numbers.dtype} with shape {numbers.shape}."
        )
    return numbers.astype(np.int64)
