"""Numpy arrays and torch tensors to uint8 RGB: layouts, types and value ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ImageError

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]

ALPHA_NOTE = "alpha composited on white"

STRIP_PIXELS = 1 << 22
"""Pictures are converted in strips of about this many pixels, so that no second copy of the
whole picture is needed in a wider type."""

_TOLERANCE = 1e-3
"""How far floats may lie outside 0..1, as they do after resizing or a round trip; they are clipped."""


def array_to_rgb(array: npt.NDArray[Any], name: str) -> tuple[Pixels, tuple[str, ...]]:
    """An array as a new uint8 RGB array, with notes on what was done to it.

    Args:
        array: `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or, with alpha, `[H, W, 4]`; uint8, uint16
            (divided by 257), bool, or float in 0..1.
        name: what errors call it.

    Raises:
        ImageError: another shape or type, values outside 0..1, NaN or infinity.
    """
    check_shape(array.shape, name)
    if not array.dtype.isnative:  # as TIFF and FITS files of other machines give it
        array = array.astype(array.dtype.newbyteorder("="))
    check_values(array, name)
    layers = array[:, :, np.newaxis] if array.ndim == 2 else array
    height, width = layers.shape[:2]
    pixels = np.empty((height, width, 3), np.uint8)
    notes: tuple[str, ...] = ()
    rows = rows_per_strip(width)
    for top in range(0, height, rows):
        strip = _to_uint8(layers[top : top + rows])
        if strip.shape[2] == 4:
            strip, seen_through = composite_on_white(strip)
            notes = (ALPHA_NOTE,) if seen_through else notes
        pixels[top : top + rows] = strip
    return pixels, notes


def tensor_to_array(tensor: torch.Tensor, name: str) -> npt.NDArray[Any]:
    """A tensor `[C, H, W]`, `[1, C, H, W]` or `[H, W]` as an array `[H, W, C]` or `[H, W]`.

    Raises:
        ImageError: several pictures in one tensor, another shape, or no data to copy.
    """
    import torch

    shape = tuple(tensor.shape)
    if tensor.ndim == 4:
        if shape[0] != 1:
            raise ImageError(_why_not_one(shape, name))
        tensor = tensor[0]
    if tensor.ndim == 3 and tensor.shape[0] not in (1, 3, 4):
        hint = "; it looks like HWC: use permute(2, 0, 1)" if shape[-1] in (1, 3, 4) else ""
        raise ImageError(
            f"{name} is a tensor of shape {shape}; accepted are CHW and 1CHW with 1, 3 or 4 "
            f"channels{hint}."
        )
    try:
        tensor = tensor.detach().cpu()
        if tensor.dtype == torch.bfloat16:  # numpy has no such type
            tensor = tensor.float()
        array: npt.NDArray[Any] = tensor.numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{name} is a tensor that has no array of values: {reason}") from error
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse an array that is neither HW nor HWC with 1, 3 or 4 channels.

    Raises:
        ImageError: another shape.
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    if len(shape) == 4:
        raise ImageError(_why_not_one(shape, name))
    looks_like_chw = len(shape) == 3 and shape[0] in (1, 3, 4)
    hint = "; it looks like CHW: use transpose(1, 2, 0)" if looks_like_chw else ""
    raise ImageError(
        f"{name} is an array of shape {shape}; accepted are HW, and HWC with 1 (grey), "
        f"3 (RGB) or 4 (RGB and alpha) channels{hint}."
    )


def check_values(array: npt.NDArray[Any], name: str) -> None:
    """Refuse types and values that are no picture.

    Raises:
        ImageError: neither uint8, uint16, bool nor float; or floats outside 0..1, NaN, infinite.
    """
    if array.dtype in (np.uint8, np.uint16, np.bool_) or array.size == 0:
        return
    if array.dtype.kind != "f":
        hint = "; if the values are 0..255, convert with astype('uint8')"
        raise ImageError(
            f"{name} holds values of type {array.dtype}; accepted are uint8, uint16, bool and "
            f"float in 0..1{hint if array.dtype.kind in 'iu' else ''}."
        )
    low, high = float(array.min()), float(array.max())  # NaN if any value is
    if low >= -_TOLERANCE and high <= 1 + _TOLERANCE:
        return
    if not np.isfinite([low, high]).all():
        finite = array[np.isfinite(array)]
        bad = f"{array.size - finite.size:,} of {array.size:,} values are NaN or infinite"
        rest = f", the others {finite.min():.4g}..{finite.max():.4g}" if finite.size else ""
        raise ImageError(f"in {name}, {bad}{rest}; float values must lie in 0..1.")
    hint = "divide by 255" if 1 + _TOLERANCE < high <= 255 and low >= 0 else "scale them first"
    raise ImageError(
        f"{name} holds float values from {low:.4g} to {high:.4g}; they must lie in 0..1: {hint}."
    )


def composite_on_white(rgba: Pixels) -> tuple[Pixels, bool]:
    """Straight (not premultiplied) alpha over white, rounded to nearest.

    Returns:
        `[H, W, 3]`, and whether anything is to be seen through.

    Example:
        >>> half = np.array([[[0, 100, 255, 128]]], np.uint8)
        >>> composite_on_white(half)[0].tolist()
        [[[127, 177, 255]]]
    """
    alpha = rgba[:, :, 3:]
    if (alpha == 255).all():
        return rgba[:, :, :3], False
    # At most 255 * 255 + 127, which 16 bits hold.
    wide = alpha.astype(np.uint16)
    flat = (rgba[:, :, :3] * wide + (255 - wide) * np.uint16(255) + np.uint16(127)) // 255
    return flat.astype(np.uint8), True


def rows_per_strip(width: int) -> int:
    """How many rows of this width make a strip."""
    return max(1, STRIP_PIXELS // max(1, width))


def _to_uint8(values: npt.NDArray[Any]) -> Pixels:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        # 257 brings 65535 to 255, and every 8-bit value that was repeated in both bytes back.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    precision = np.float64 if values.dtype == np.float64 else np.float32
    unit = np.clip(values.astype(precision), 0, 1)
    scaled: Pixels = np.rint(unit * 255).astype(np.uint8)
    return scaled


def _why_not_one(shape: tuple[int, ...], name: str) -> str:
    return (
        f"{name} has shape {shape}, which holds {shape[0]} pictures; give one picture, or use "
        "assess_batch."
    )
