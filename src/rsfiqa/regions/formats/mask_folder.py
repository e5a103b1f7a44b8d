"""A folder of black and white PNGs, one a mask, as SAM's own command line writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.regions.formats import label_png
from rsfiqa.regions.formats.mask_set import MaskSet


def mask_files(folder: Path) -> list[Path]:
    """The PNGs of a folder by name; hidden ones are skipped.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() == ".png" and not path.name.startswith(".")
        )
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error


def read(folder: Path) -> MaskSet:
    """The masks of a folder; every pixel that is not black is inside.

    Raises:
        DataError: there is none, one cannot be read or has more than two values, or sizes differ.
    """
    files = mask_files(folder)
    if not files:
        raise DataError(f"{folder} holds no masks; put a black and white PNG there for each.")
    return MaskSet.from_arrays(_masks(files))


def _masks(files: list[Path]) -> Iterator[npt.NDArray[Any]]:
    first: tuple[int, ...] | None = None
    for path in files:
        values = label_png.decode(path)
        if values.ndim == 3:
            values = values.max(axis=2) if values.shape[2] in (1, 3) else values[..., :-1].max(2)
        inside = values != 0
        if inside.any() and np.ptp(values[inside]) != 0:
            raise DataError(f"{path} is no mask: it must be black and one other value.")
        if first is not None and values.shape != first:
            raise DataError(
                f"{path} has {values.shape[1]}×{values.shape[0]} pixels, but the masks before it "
                f"{first[1]}×{first[0]}; the masks of a picture share one size."
            )
        first = values.shape
        yield inside
