"""Spoiling one region: on its box with a margin, faded in at its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsfiqa.errors import DataError
from rsfiqa.learning.distortions.base import Pixels, scale_of, to_uint8
from rsfiqa.learning.distortions.catalogue import distort, find_distortion

FEATHER = 4.0
"""Width of the transition at a region's border, in pixels at 512 on the long side."""


@dataclass(frozen=True)
class Box:
    """A part of a picture: rows `top` to `bottom` and columns `left` to `right`, ends left out."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Box) -> Box:
        """This box in the coordinates of one that holds it."""
        return Box(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """The smallest box that holds all pixels of a mask, which has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def box_to_spoil(box: Box, shape: tuple[int, ...], chain: Sequence[tuple[str, float]]) -> Box:
    """What must be distorted so that `box` gets the pixels that distorting all would give it.

    Args:
        box: the part that is wanted.
        shape: of the picture, `(H, W, …)`.
        chain: families with their strengths, applied one after the other.
    """
    height, width = shape[:2]
    found = [find_distortion(family) for family, _ in chain]
    if any(distortion.whole for distortion in found):
        return Box(0, height, 0, width)
    scale = scale_of(np.empty(shape[:2], np.bool_))
    margin = sum(
        distortion.reach(strength, scale)
        for distortion, (_, strength) in zip(found, chain, strict=True)
    )
    grid = max((distortion.grid for distortion in found), default=1)
    return Box(
        max(0, (box.top - margin) // grid * grid),
        min(height, -(-(box.bottom + margin) // grid) * grid),
        max(0, (box.left - margin) // grid * grid),
        min(width, -(-(box.right + margin) // grid) * grid),
    )


def fade(mask: npt.NDArray[np.bool_], width: float) -> npt.NDArray[np.float64]:
    """How much of a change a region's pixels get: 0 outside, rising to 1 over `width` inside.

    A region too thin for that gets a narrower transition, since it would otherwise be spoiled less
    than its strength says. A border of the picture is no border of the region.

    Args:
        mask: the region `[H, W]`, with some pixels set.
        width: of the transition in pixels; 0 for a hard edge.
    """
    # Of a mask without background the distance transform is not defined: no edge, no fade.
    if width <= 0 or mask.all():
        return mask.astype(float)
    box = box_of(mask)
    height, breadth = mask.shape
    # One pixel of background around the box is as near as any farther off.
    ringed = Box(
        max(0, box.top - 1),
        min(height, box.bottom + 1),
        max(0, box.left - 1),
        min(breadth, box.right + 1),
    )
    inside = mask[ringed.slices]
    depth = ndimage.distance_transform_edt(inside)
    width = min(width, float(depth.max() - 1) / 2)
    share = np.zeros(mask.shape)
    share[ringed.slices] = np.clip(depth / (width + 1), 0, 1)
    return share


def blend(
    pixels: Pixels, changed: Pixels, mask: npt.NDArray[np.bool_], feather: float = FEATHER
) -> Pixels:
    """`changed` in a region and `pixels` elsewhere, bit for bit, with a transition inside.

    Args:
        pixels, changed: uint8 RGB `[H, W, 3]`.
        mask: the region `[H, W]`.
        feather: width of the transition in pixels; see `fade`.
    """
    share = fade(mask, feather)[..., None]
    blended = to_uint8(pixels * (1 - share) + changed * share)
    return np.where(mask[..., None], blended, pixels)


def spoil_region(
    pixels: Pixels,
    mask: npt.NDArray[np.bool_],
    family: str,
    strength: float,
    seed: int = 0,
    feather: float = FEATHER,
) -> Pixels:
    """Distort one region and leave every pixel outside of it untouched, bit for bit.

    The distortion fades in over `feather` pixels (at 512 on the long side) inside the border, so
    that the seam itself gives nothing away; over fewer in a region too thin for that.

    Only the region's box with a margin is distorted. Beyond the border the result is what
    distorting the whole picture gives; of noise it is another draw, and of WebP nearly that, since
    it allots its bits by the whole.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        mask: the region, `[H, W]`.
        family, strength, seed: see `distort`.
        feather: width of the transition; 0 for a hard edge.

    Raises:
        DataError: the mask has another size than the picture or is empty.
    """
    check_mask(pixels, mask)
    box = box_of(mask)
    outer = box_to_spoil(box, pixels.shape, [(family, strength)])
    scale = scale_of(pixels)
    spoiled = distort(pixels[outer.slices], family, strength, seed, scale=scale)
    # A pixel of background around the box, so that the region ends where its box does.
    rim = Box(
        max(0, box.top - 1),
        min(pixels.shape[0], box.bottom + 1),
        max(0, box.left - 1),
        min(pixels.shape[1], box.right + 1),
    )
    changed = pixels[rim.slices].copy()
    inner = box.within(rim)
    changed[inner.slices] = spoiled[box.within(outer).slices]
    result = pixels.copy()
    result[rim.slices] = blend(pixels[rim.slices], changed, mask[rim.slices], feather * scale)
    return result


def check_mask(pixels: Pixels, mask: npt.NDArray[np.bool_]) -> None:
    """Refuse a mask that marks nothing of the picture.

    Raises:
        DataError: the mask has another size than the picture or is empty.
    """
    if mask.shape != pixels.shape[:2] or not mask.any():
        raise DataError(
            f"the mask must mark pixels of a {list(pixels.shape[:2])} picture; "
            f"got {list(mask.shape)} with {int(mask.sum())} pixels set."
        )
