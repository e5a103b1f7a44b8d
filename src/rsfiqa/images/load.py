"""`load_image`: whatever holds a picture, as a `LoadedImage`."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ImageError
from rsfiqa.images.arrays import array_to_rgb, check_shape, tensor_to_array
from rsfiqa.images.decode import decode_file, decode_image
from rsfiqa.images.files import hash_stream, open_picture_file
from rsfiqa.images.limits import MIN_SIDE, check_size, pixel_limit

if TYPE_CHECKING:
    import torch

_DEFAULT_NAME = "image"


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """A picture, ready to be assessed.

    Attributes:
        pixels: uint8 RGB `[H, W, 3]`, upright, contiguous and read-only.
        name: the path as given, or "image" for a picture that came without one.
        sha256: hash of the file's bytes; for arrays, tensors and PIL images of the pixels (their
            shape, type and values), so that the same pixels have the same hash in each of these.
        notes: what the user should know, such as "first of 12 frames".
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    name: str
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


ImageSource: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    BinaryIO,
    Image.Image,
    "npt.NDArray[Any]",
    "torch.Tensor",
    LoadedImage,
]


def load_image(
    source: ImageSource,
    *,
    name: str | None = None,
    max_pixels: int | None = None,
    min_side: int = MIN_SIDE,
) -> LoadedImage:
    """Bring a picture of any kind to uint8 RGB.

    What is done to it: EXIF orientation is applied; alpha is composited on white; of several
    frames or pages the first is taken (of a PIL image, the current one); 16-bit values are divided
    by 257 and rounded, floats multiplied by 255 and rounded; grey becomes three equal channels.
    16-bit RGB files are the exception: Pillow keeps their high bytes only.

    What is not done: embedded colour profiles of RGB and grey pictures are not applied, as is
    usual for quality metrics, so that equal pixels score equally in any container; a note says
    so where the profile is not sRGB. CMYK is brought to sRGB by its profile, or without one by
    Pillow's plain formula.

    Args:
        source: a path; the bytes of a file; a file object, read from its start and left open; a
            PIL image; an array `[H, W]` or `[H, W, C]` of uint8, uint16, bool, or float in
            0..1; a tensor `[C, H, W]` or `[1, C, H, W]` of the same types on any device; C is 1,
            3 or, with alpha, 4. A `LoadedImage` is returned as it is.
        name: what results and errors call it; a path's own name by default.
        max_pixels: the limit on width times height, checked before anything is decoded; None is
            the environment variable `RSFIQA_MAX_PIXELS`, or else 200 million.
        min_side: the fewest pixels along either side.

    Raises:
        ImageError: the picture cannot be read, or its size, type or values are not accepted.
        ConfigError: the limit is not a whole number of at least 1.

    Example:
        >>> picture = load_image(np.full((40, 60), 0.5))
        >>> picture.pixels.shape, int(picture.pixels[0, 0, 0]), picture.name
        ((40, 60, 3), 128, 'image')
    """
    limits = {"max_pixels": pixel_limit(max_pixels), "min_side": min_side}
    if isinstance(source, LoadedImage):
        check_size(source.width, source.height, name or source.name, **limits)
        return source if name is None else replace(source, name=name)
    if isinstance(source, str | os.PathLike):
        label = os.fsdecode(source) if name is None else name
        with open_picture_file(source, label) as file:
            return _load_file(file, label, limits)
    return _load_from_memory(source, _DEFAULT_NAME if name is None else name, limits)


def split_batch(source: object) -> list[ImageSource]:
    """The single pictures of a batch, each of a kind that `load_image` accepts.

    Args:
        source: a tensor `[N, C, H, W]`; an array `[N, H, W, C]` or `[N, C, H, W]`; a list or
            another iterable of pictures; or one picture, which makes a batch of one.

    Raises:
        ImageError: the source is none of these.

    Example:
        >>> [picture.shape for picture in split_batch(np.zeros((2, 3, 40, 60), np.uint8))]
        [(40, 60, 3), (40, 60, 3)]
    """
    if _is_tensor(source):
        return list(source) if source.ndim == 4 else [source]
    if isinstance(source, np.ndarray):
        if source.ndim != 4:
            return [source]
        channels_first = source.shape[3] not in (1, 3, 4) and source.shape[1] in (1, 3, 4)
        return list(np.moveaxis(source, 1, -1) if channels_first else source)
    if isinstance(source, _SINGLES) or hasattr(source, "read"):
        return [source]  # type: ignore[list-item]
    if isinstance(source, Iterable) and not isinstance(source, Mapping):
        return list(source)
    raise ImageError(
        f"a batch cannot be of type {type(source).__name__}; accepted are lists of pictures, "
        "NCHW tensors, and NHWC or NCHW arrays."
    )


_SINGLES = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, LoadedImage)


def _is_tensor(source: object) -> TypeGuard[torch.Tensor]:
    # Whoever has a tensor has imported torch already; nobody else should wait for it.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _load_from_memory(source: object, name: str, limits: Mapping[str, int]) -> LoadedImage:
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_bytes(bytes(source), name, limits)
    if isinstance(source, Image.Image):
        return _finish(*decode_image(source, name, **limits), name)
    if _is_tensor(source):
        return _load_array(tensor_to_array(source, name), name, limits)
    if isinstance(source, np.ndarray):
        return _load_array(source, name, limits)
    if hasattr(source, "read"):
        return _load_bytes(_read_all(source, name), name, limits)
    raise ImageError(
        f"{name} is of type {type(source).__name__}; accepted are paths, bytes, file objects, "
        "PIL images, numpy arrays and torch tensors."
    )


def _load_file(file: BinaryIO, name: str, limits: Mapping[str, int]) -> LoadedImage:
    sha256 = hash_stream(file)
    file.seek(0)
    pixels, notes = decode_file(file, name, **limits)
    return _finish(pixels, notes, name, sha256)


def _load_bytes(data: bytes, name: str, limits: Mapping[str, int]) -> LoadedImage:
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); give the bytes of a picture file.")
    return _load_file(BytesIO(data), name, limits)


def _load_array(array: npt.NDArray[Any], name: str, limits: Mapping[str, int]) -> LoadedImage:
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    check_shape(array.shape, name)
    check_size(array.shape[1], array.shape[0], name, **limits)
    return _finish(*array_to_rgb(array, name), name)


def _read_all(file: Any, name: str) -> bytes:
    try:
        # Some can be turned back and do not say so, such as SpooledTemporaryFile before Python 3.11.
        if getattr(file, "seekable", lambda: hasattr(file, "seek"))():
            file.seek(0)
        data = file.read()
    except (OSError, ValueError, AttributeError) as error:
        raise ImageError(f"{name} cannot be read from its file object: {error}.") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError(
            f"{name} is a file object that gives {type(data).__name__}; open it in mode 'rb'."
        )
    return bytes(data)


def _finish(
    pixels: npt.NDArray[np.uint8], notes: tuple[str, ...], name: str, sha256: str | None = None
) -> LoadedImage:
    if sha256 is None:
        digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
        digest.update(pixels.data)
        sha256 = digest.hexdigest()
    pixels.flags.writeable = False
    return LoadedImage(pixels, name, sha256, notes)
