"""Artifacts: what codecs, resampling, too few tones and over-eager sharpening leave behind."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage, special

from rsfiqa.learning.distortions.base import (
    Distortion,
    Floats,
    Pixels,
    at_strength,
    convolve,
    pixels_of,
)

_CODEC_BLOCK = 16
"""Codecs see macroblocks of 16 pixels: 8 of JPEG's chroma at half resolution, 16 of WebP's luma."""


def _jpeg(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Pixels:
    return _coded(pixels, "JPEG", at_strength(strength, (35, 18, 10, 5), geometric=True))


def _webp(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Pixels:
    """Lossy WebP, a key frame of VP8: smeared blocks where JPEG has sharp ones."""
    return _coded(pixels, "WEBP", at_strength(strength, (30, 12, 4, 0)))


def _coded(pixels: Pixels, codec: str, quality: float) -> Pixels:
    buffer = io.BytesIO()
    # `method` is WebP's effort: the least, since size does not matter here and its pixels look alike.
    Image.fromarray(pixels).save(buffer, codec, quality=round(quality), method=0)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _pixelate(pixels: Pixels, strength: float, _: np.random.Generator, scale: float) -> Pixels:
    factor = at_strength(strength, (2.5, 4, 7, 12), geometric=True)
    return _resized(pixels, factor, scale, Image.Resampling.BOX, Image.Resampling.NEAREST)


def _resample(pixels: Pixels, strength: float, _: np.random.Generator, scale: float) -> Pixels:
    """Thrown away by nearest neighbour and brought back smoothly: jagged, aliased edges."""
    factor = at_strength(strength, (1.7, 2.5, 4, 6), geometric=True)
    return _resized(pixels, factor, scale, Image.Resampling.NEAREST, Image.Resampling.BICUBIC)


def _resized(
    pixels: Pixels, factor: float, scale: float, down: Image.Resampling, up: Image.Resampling
) -> Pixels:
    height, width = pixels.shape[:2]
    # A factor of 1 changes nothing, so that what shrinks with the picture is its distance from 1.
    factor = factor * scale if scale > 1 else 1 + (factor - 1) * scale
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(Image.fromarray(pixels).resize(small, down).resize((width, height), up))


def _banding(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    # Whole steps, so that black and white stay what they are.
    steps = round(at_strength(strength, (14, 9, 6, 3), geometric=True))
    return np.asarray(np.rint(pixels / 255 * steps) / steps * 255)


def _halo(scale: float) -> float:
    return 1.4 * scale


def _sharpen(
    pixels: Pixels, strength: float, _: np.random.Generator, scale: float
) -> npt.NDArray[np.float32]:
    """An unsharp mask far too strong: bright and dark halos along edges, harsh texture."""
    amount = at_strength(strength, (1.0, 2.0, 3.8, 7.0), geometric=True)
    values, sigma = pixels.astype(np.float32), _halo(scale)
    smooth = ndimage.gaussian_filter(values, (sigma, sigma, 0), truncate=3)
    return np.asarray(values + np.float32(amount) * (values - smooth))


def _ringing_reach(_: float, scale: float) -> int:
    return pixels_of(13 * max(scale, 1.0))


def _ringing(pixels: Pixels, strength: float, _: np.random.Generator, scale: float) -> Floats:
    """Echoes along edges: a band of frequencies with sharp ends is amplified.

    The band is the difference of two ideal circular low-passes, whose kernels (the sinc filter of
    a disc) Real-ESRGAN (arXiv 2107.10833) uses to make ringing. Adding the band instead of cutting
    above it leaves fine detail where it is, so that this is an artifact and no blur.
    """
    gain = at_strength(strength, (0.9, 1.7, 3.2, 6.0), geometric=True)
    reach = _ringing_reach(strength, scale)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x)
    window = np.clip(1.0 - (radius / (reach + 1)) ** 2, 0, 1)
    cut = np.pi / 2.6 / max(scale, 1.0)
    band = (_low_pass(radius, cut) - _low_pass(radius, 0.62 * cut)) * window
    return pixels + gain * convolve(pixels, band - band.mean())


def _low_pass(radius: Floats, cut: float) -> Floats:
    """The kernel of an ideal circular low-pass with its cut-off in radians a pixel."""
    safe = np.maximum(radius, 1e-9)
    return np.asarray(
        np.where(
            radius > 0, cut * special.j1(cut * safe) / (2 * np.pi * safe), cut**2 / (4 * np.pi)
        )
    )


def _block_reach(_: float, __: float) -> int:
    return _CODEC_BLOCK


ARTIFACT = {
    "jpeg": Distortion(_jpeg, _block_reach, grid=_CODEC_BLOCK),
    "pixelate": Distortion(_pixelate, whole=True),
    "resample": Distortion(_resample, whole=True),
    "banding": Distortion(_banding),
    "webp": Distortion(_webp, _block_reach, grid=_CODEC_BLOCK),
    "sharpen": Distortion(_sharpen, lambda _, scale: pixels_of(3 * _halo(scale))),
    "ringing": Distortion(_ringing, _ringing_reach),
}
