"""Pictures of any kind in, one representation out: uint8 RGB `[H, W, 3]`.

Files, bytes, file objects, PIL images, numpy arrays and torch tensors all become a
`LoadedImage`, so that the score of a picture does not depend on what held it.
"""

from __future__ import annotations

from rsfiqa.images.files import hash_file
from rsfiqa.images.limits import MAX_PIXELS, MIN_SIDE
from rsfiqa.images.load import ImageSource, LoadedImage, load_image, split_batch
from rsfiqa.images.resize import PIXEL_BUDGET, resize_to_budget

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "PIXEL_BUDGET",
    "ImageSource",
    "LoadedImage",
    "hash_file",
    "load_image",
    "resize_to_budget",
    "split_batch",
]
