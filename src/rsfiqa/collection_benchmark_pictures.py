"""A collection to measure on: photographs of mixed sizes, some of them damaged."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from rsfiqa.images import load_image
from rsfiqa.samples import sample_names, sample_picture

DISTINCT = 240
"""So many different files are made; a larger collection has links to them."""

DAMAGED_EVERY = 50
"""One picture of so many ends in the middle, the second of all being the first of these."""

_QUALITY = 90
_FOLDER_OF = 1000


def make_collection(
    folder: Path,
    count: int,
    *,
    sources: Sequence[str] = (),
    sides: tuple[int, int] = (256, 4000),
    seed: int = 0,
) -> list[str]:
    """Make JPEG files of photographs at many sizes.

    Args:
        folder: where; it is empty.
        count: how many.
        sources: picture files that are shown again and again; by default `rsfiqa.samples`.
        sides: shortest and longest long side, in pixels; sizes are spread evenly over its logarithm,
            and each picture is cut to a shape of its own.
        seed: of sizes and shapes.

    Returns:
        their paths, in order.

    Raises:
        ImageError: a source cannot be read.
    """
    originals = folder / "originals"
    originals.mkdir()
    made = [
        _write(originals / f"{k}.jpg", jpeg)
        for k, jpeg in enumerate(_jpegs(min(count, DISTINCT), sources, sides, seed))
    ]
    names = []
    for k in range(count):
        path = folder / f"{k // _FOLDER_OF:04}" / f"{k:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        original = made[k % len(made)]
        if is_damaged(k):
            whole = original.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
        else:
            _link(original, path)
        names.append(str(path))
    return names


def is_damaged(number: int) -> bool:
    """Whether the picture of that number, from 0, is a damaged one."""
    return number % DAMAGED_EVERY == 1


def _jpegs(
    count: int, sources: Sequence[str], sides: tuple[int, int], seed: int
) -> Iterator[bytes]:
    originals = sources or sample_names()
    # A sample is shown again and again; of one's own photographs all would not fit in memory.
    opened = lru_cache(maxsize=8)(_load if sources else _sample)
    random = np.random.default_rng(seed)
    low, high = map(math.log, sides)
    for k in range(count):
        picture = opened(originals[k % len(originals)])
        long = round(math.exp(random.uniform(low, high)))
        short = max(min(sides), round(long * random.uniform(0.55, 1.0)))
        size = (long, short) if picture.width >= picture.height else (short, long)
        buffer = io.BytesIO()
        picture.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=_QUALITY)
        yield buffer.getvalue()


def _sample(name: str) -> Image.Image:
    return Image.fromarray(sample_picture(name))


def _load(path: str) -> Image.Image:
    return Image.fromarray(load_image(path).pixels)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _link(original: Path, path: Path) -> None:
    try:
        os.link(original, path)
    except OSError:  # no hard links here, or too many of one file
        shutil.copyfile(original, path)
