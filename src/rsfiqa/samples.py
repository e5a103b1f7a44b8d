"""The sample photographs that scikit-image and scikit-learn carry, for a first try and for tests.

All of them lie in the installed packages; nothing is downloaded. Those of scikit-image are in the
public domain or CC0 (see `skimage.data`), those of scikit-learn CC BY 2.0 (see
`sklearn.datasets.load_sample_images`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError


def sample_names() -> tuple[str, ...]:
    """The names that `sample_picture` knows, always in the same order.

    Example:
        >>> sample_names()
        ('astronaut', 'camera', 'chelsea', 'china', 'clock', 'coffee', 'flower', 'rocket')
    """
    return tuple(_SAMPLES)


def sample_picture(name: str) -> npt.NDArray[np.uint8]:
    """A sample photograph by name: uint8 RGB `[H, W, 3]`, a new array at each call.

    `camera` and `clock` are grey, and the camera moved while `clock` was taken.

    Raises:
        ConfigError: no sample has this name.

    Example:
        >>> sample_picture("chelsea").shape
        (300, 451, 3)
    """
    if name not in _SAMPLES:
        raise ConfigError(f"there is no sample picture {name!r}; there are {', '.join(_SAMPLES)}.")
    pixels = np.asarray(_SAMPLES[name]())
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return np.array(pixels, dtype=np.uint8, order="C")


def _skimage(name: str) -> npt.NDArray[Any]:
    from skimage import data

    pixels: npt.NDArray[Any] = getattr(data, name)()
    return pixels


def _sklearn(name: str) -> npt.NDArray[Any]:
    from sklearn.datasets import load_sample_image

    pixels: npt.NDArray[Any] = load_sample_image(f"{name}.jpg")
    return pixels


_SAMPLES: dict[str, Callable[[], npt.NDArray[Any]]] = {
    "astronaut": lambda: _skimage("astronaut"),
    "camera": lambda: _skimage("camera"),
    "chelsea": lambda: _skimage("chelsea"),
    "china": lambda: _sklearn("china"),
    "clock": lambda: _skimage("clock"),
    "coffee": lambda: _skimage("coffee"),
    "flower": lambda: _sklearn("flower"),
    "rocket": lambda: _skimage("rocket"),
}
