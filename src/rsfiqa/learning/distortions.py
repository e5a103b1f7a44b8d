"""Synthetic distortions of known family and strength, of whole pictures or of one region.

They make locally spoiled copies for training (so that a region's score answers for that region)
and for demonstrations. Strengths 1..4 look mild, visible, strong and severe on a picture with 512
pixels on its long side. Lengths (blur, blocks of pixels, the feather) scale with the long side, so
that they look alike at any size; below 256 pixels they stay what they are there, since a fault
finer than a pixel is none. What a sensor or a codec does pixel by pixel (noise, JPEG's blocks of 8)
does not scale. Families are grouped by the dimension they spoil.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.types import Dimension

STRENGTHS = (1, 2, 3, 4)
VERSION = "1"
"""Part of the key of cached features: change it whenever a distortion's pixels change."""
_REFERENCE_SIDE = 512
_SMALLEST_SCALE = 0.5
_LUMA = np.array([0.299, 0.587, 0.114])

Pixels = npt.NDArray[np.uint8]
_Float = npt.NDArray[np.float64]
_Distortion = Callable[[Pixels, int, np.random.Generator], npt.NDArray[Any]]

FAMILIES: Mapping[Dimension, tuple[str, ...]] = MappingProxyType(
    {
        "blur": ("gaussian_blur", "defocus", "motion_blur"),
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "chroma_noise"),
        "artifact": ("jpeg", "pixelate", "resample", "banding"),
        "color": ("underexpose", "overexpose", "low_contrast", "desaturate", "color_cast"),
    }
)
"""The families of each dimension."""


def distort(pixels: Pixels, family: str, strength: int, seed: int = 0) -> Pixels:
    """Distort a whole picture.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        family: one of `FAMILIES`.
        strength: 1 (mild) to 4 (severe).
        seed: of noise, directions and casts; the same seed gives the same picture.

    Raises:
        ConfigError: the family or the strength is unknown.
        DataError: the pixels are not uint8 RGB.

    Example:
        >>> flat = np.full((64, 64, 3), 120, np.uint8)
        >>> int(distort(flat, "underexpose", 2).mean()) < 100
        True
    """
    if family not in _DISTORTIONS:
        raise ConfigError(f"unknown distortion {family!r}; known: {', '.join(_DISTORTIONS)}.")
    if strength not in STRENGTHS:
        raise ConfigError(f"strength is 1, 2, 3 or 4; got {strength!r}.")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(
            f"distortions take uint8 RGB [H, W, 3]; got {pixels.dtype} {list(pixels.shape)}."
        )
    spoiled = _DISTORTIONS[family](pixels, strength - 1, np.random.default_rng(seed))
    return spoiled if spoiled.dtype == np.uint8 else _to_uint8(spoiled)


def spoil_region(
    pixels: Pixels,
    mask: npt.NDArray[np.bool_],
    family: str,
    strength: int,
    seed: int = 0,
    feather: float = 4.0,
) -> Pixels:
    """Distort one region and leave every pixel outside of it untouched, bit for bit.

    The distortion fades in over `feather` pixels (at 512 on the long side) inside the border, so
    that the seam itself gives nothing away; over fewer in a region too thin for that, which would
    otherwise be spoiled less than its strength says.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        mask: the region, `[H, W]`.
        family, strength, seed: see `distort`.
        feather: width of the transition; 0 for a hard edge.

    Raises:
        DataError: the mask has another size than the picture or is empty.
    """
    if mask.shape != pixels.shape[:2] or not mask.any():
        raise DataError(
            f"the mask must mark pixels of a {list(pixels.shape[:2])} picture; "
            f"got {list(mask.shape)} with {int(mask.sum())} pixels set."
        )
    spoiled = distort(pixels, family, strength, seed)
    width = feather * _scale(pixels)
    # Of a mask without background the distance transform is not defined: no edge, no fade.
    if width > 0 and not mask.all():
        # A border of the picture is no border of the region: only the inside edge fades.
        depth = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
        depth = np.where(mask, depth, 0.0)
        width = min(width, float(depth.max() - 1) / 2)
        share = np.clip(depth / (width + 1), 0, 1)[..., None]
    else:
        share = mask[..., None].astype(float)
    blended = _to_uint8(pixels * (1 - share) + spoiled * share)
    return np.where(mask[..., None], blended, pixels)


def _scale(pixels: npt.NDArray[Any]) -> float:
    return max(_SMALLEST_SCALE, float(max(pixels.shape[:2])) / _REFERENCE_SIDE)


def _to_uint8(values: npt.NDArray[Any]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _gaussian_blur(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    sigma = (1.0, 2.0, 3.5, 6.0)[level] * _scale(pixels)
    return np.asarray(ndimage.gaussian_filter(pixels.astype(float), (sigma, sigma, 0), truncate=3))


def _defocus(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    radius = (2.0, 3.5, 6.0, 10.0)[level] * _scale(pixels)
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _convolve(pixels, np.clip(radius + 0.5 - np.hypot(y, x), 0, 1))


def _motion_blur(pixels: Pixels, level: int, rng: np.random.Generator) -> _Float:
    length = (5, 9, 17, 31)[level] * _scale(pixels)
    angle = rng.uniform(0, np.pi)
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for t in np.linspace(-length / 2, length / 2, 8 * reach):
        y, x = reach + t * np.sin(angle), reach + t * np.cos(angle)
        row, column = int(y), int(x)
        fy, fx = y - row, x - column
        kernel[row : row + 2, column : column + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return _convolve(pixels, kernel)


def _convolve(pixels: Pixels, kernel: _Float) -> _Float:
    from scipy.signal import fftconvolve

    reach = kernel.shape[0] // 2
    padded = np.pad(
        pixels.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric"
    )
    return np.asarray(fftconvolve(padded, (kernel / kernel.sum())[..., None], "valid", axes=(0, 1)))


def _gaussian_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> _Float:
    return pixels + rng.normal(0, (8, 16, 30, 55)[level], pixels.shape)


def _shot_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> _Float:
    photons = (500, 130, 36, 10)[level]
    return np.asarray(rng.poisson(pixels / 255 * photons) / photons * 255)


def _impulse_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    hit = rng.random(pixels.shape[:2]) < (0.005, 0.02, 0.06, 0.15)[level]
    salt = rng.random(pixels.shape[:2]) < 0.5
    return np.where(hit[..., None], np.where(salt, 255, 0)[..., None], pixels).astype(np.uint8)


def _chroma_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> _Float:
    noise = rng.normal(0, (14, 26, 45, 80)[level], pixels.shape)
    noise = ndimage.gaussian_filter(noise, (0.8, 0.8, 0)) * 1.8
    return np.asarray(pixels + noise - (noise @ _LUMA)[..., None])


def _jpeg(pixels: Pixels, level: int, _: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=(35, 18, 10, 5)[level])
    return np.asarray(Image.open(buffer).convert("RGB"))


def _pixelate(pixels: Pixels, level: int, _: np.random.Generator) -> Pixels:
    return _resized(pixels, (2.5, 4, 7, 12)[level], Image.Resampling.BOX, Image.Resampling.NEAREST)


def _resample(pixels: Pixels, level: int, _: np.random.Generator) -> Pixels:
    """Thrown away by nearest neighbour and brought back smoothly: jagged, aliased edges."""
    return _resized(
        pixels, (1.7, 2.5, 4, 6)[level], Image.Resampling.NEAREST, Image.Resampling.BICUBIC
    )


def _resized(pixels: Pixels, factor: float, down: Image.Resampling, up: Image.Resampling) -> Pixels:
    height, width = pixels.shape[:2]
    scale = _scale(pixels)
    # A factor of 1 changes nothing, so that what shrinks with the picture is its distance from 1.
    factor = factor * scale if scale > 1 else 1 + (factor - 1) * scale
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(Image.fromarray(pixels).resize(small, down).resize((width, height), up))


def _banding(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    steps = (14, 9, 6, 3)[level]
    return np.asarray(np.rint(pixels / 255 * steps) / steps * 255)


def _expose(pixels: Pixels, stops: float) -> _Float:
    """Scale linear light by 2^stops and clip, as a sensor does (display gamma 2.2)."""
    table = np.clip((np.arange(256) / 255) ** 2.2 * 2.0**stops, 0, 1) ** (1 / 2.2) * 255
    return np.asarray(table[pixels])


def _underexpose(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    return _expose(pixels, (-1.0, -1.8, -2.8, -4.0)[level])


def _overexpose(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    return _expose(pixels, (0.8, 1.4, 2.2, 3.2)[level])


def _low_contrast(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    keep = (0.7, 0.5, 0.32, 0.18)[level]
    return np.asarray(128 + (pixels - 128.0) * keep)


def _desaturate(pixels: Pixels, level: int, _: np.random.Generator) -> _Float:
    luma = (pixels @ _LUMA)[..., None]
    return np.asarray(luma + (pixels - luma) * (0.6, 0.35, 0.15, 0.0)[level])


def _color_cast(pixels: Pixels, level: int, rng: np.random.Generator) -> _Float:
    angle = rng.uniform(0, 2 * np.pi)
    amount = (0.12, 0.22, 0.36, 0.55)[level]
    gains = 1 + amount * np.cos(angle + np.array([0, 2, 4]) * np.pi / 3)
    return np.asarray(pixels * gains)


_DISTORTIONS: dict[str, _Distortion] = {
    "gaussian_blur": _gaussian_blur,
    "defocus": _defocus,
    "motion_blur": _motion_blur,
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "chroma_noise": _chroma_noise,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
    "resample": _resample,
    "banding": _banding,
    "underexpose": _underexpose,
    "overexpose": _overexpose,
    "low_contrast": _low_contrast,
    "desaturate": _desaturate,
    "color_cast": _color_cast,
}
