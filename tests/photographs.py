"""A folder of small clean photographs, from what the dependencies carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from rsfiqa.partition import Partition

CROPS = {
    "cat": lambda: data.chelsea()[20:140, 80:240],
    "people/astronaut": lambda: data.astronaut()[:150, 150:290],
    "coffee": lambda: data.coffee()[60:180, 100:260],
}


def save_photographs(folder: Path, *names: str) -> Path:
    """Write the named crops (all by default) as PNG."""
    for name in names or CROPS:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(CROPS[name]()).save(path)
    return folder


def quarters(pixels: np.ndarray) -> Partition:
    """Four regions, like a window's panes; a fifth of a few pixels in the first one's corner."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    labels = rows[:, None] * 2 + columns[None]
    labels[:6, :6] = 4
    return Partition(labels)
