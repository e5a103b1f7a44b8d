"""Pixels that no mask covers: narrow strips told from areas, and what colour regions have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsfiqa.regions.painting import Painting, in_order, joined

_COLOURS_AT_A_TIME = 2**18

_STRIP = -2
"""Who owns strips, for as long as they are told from uncovered areas."""


def split_strips(
    painting: Painting, wide: npt.NDArray[np.bool_], side: int
) -> tuple[Painting, npt.NDArray[np.bool_]]:
    """Find where uncovered runs form strips: where no square of `side` pixels fits.

    Segmenters leave seams of a few pixels between their masks. Together they can be a large
    connected component, which is no thing in the picture: a morphological opening takes it apart.

    Args:
        painting: `n` runs.
        wide: the uncovered runs to look at, `[n]`.
        side: of the square, in pixels.

    Returns:
        the painting with those runs cut where strips begin and end, and, of each of its runs,
        whether it lies in a strip. Runs in strips are `side / 4` long at most, so that a seam along
        several regions can be shared between them.
    """
    from scipy import ndimage

    looked_at = np.repeat(wide, painting.lengths).reshape(painting.width, painting.height)
    # Outside the picture counts as covered: segmenters leave seams along its edges too.
    area = looked_at.view(np.uint8)
    for axis in (1, 0):
        area = ndimage.minimum_filter1d(area, side, axis=axis, mode="constant", cval=0)
    for axis in (0, 1):
        # An even square is not centred: what one filter moves half a pixel, the other moves back.
        area = ndimage.maximum_filter1d(
            area, side, axis=axis, mode="constant", cval=0, origin=0 if side % 2 else -1
        )
    flat = area.ravel()
    flips = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = in_order(painting.starts, flips)
    source = np.searchsorted(painting.starts, starts, side="right") - 1
    in_strip = wide[source] & (flat[starts] == 0)
    cut = joined(
        Painting(
            starts,
            np.where(in_strip, _STRIP, painting.owners[source]),
            painting.height,
            painting.width,
        )
    )
    return _shortened(cut, max(1, side // 4))


def _shortened(painting: Painting, longest: int) -> tuple[Painting, npt.NDArray[np.bool_]]:
    parts = np.where(painting.owners == _STRIP, -(-painting.lengths // longest), 1)
    part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    owners = np.repeat(painting.owners, parts)
    return (
        painting._replace(starts=np.repeat(painting.starts, parts) + part * longest, owners=owners),
        owners == _STRIP,
    )


def mean_colours(
    painting: Painting,
    owner: npt.NDArray[np.int64],
    count: int,
    pixels: npt.NDArray[np.uint8],
) -> npt.NDArray[np.float64]:
    """The mean CIELAB colour of each owner, `[count, 3]`, from the middle pixel of every run.

    Runs weigh as many pixels as they have: at least one pixel a column of each region is looked at,
    at a cost that follows the regions' outlines instead of the picture's pixels.

    Args:
        painting: `n` runs.
        owner: 0..count-1 of every run, `[n]`; none of them without a run.
        count: number of owners.
        pixels: the picture, RGB `[H, W, 3]`.
    """
    from skimage.color import rgb2lab

    lengths = painting.lengths
    column, row = np.divmod(painting.starts + lengths // 2, painting.height)
    sums = np.zeros((3, count))
    for first in range(0, column.size, _COLOURS_AT_A_TIME):
        some = slice(first, first + _COLOURS_AT_A_TIME)
        lab = rgb2lab(pixels[row[some], column[some]][:, None])[:, 0]
        for channel in range(3):
            sums[channel] += np.bincount(owner[some], lab[:, channel] * lengths[some], count)
    means: npt.NDArray[np.float64] = sums.T / np.bincount(owner, lengths, count)[:, None]
    return means
