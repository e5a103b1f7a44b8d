"""Decoding picture files, with limits and with one kind of error.

Pillow does the decoding, but its `Image.open` is not used. It guards against decompression bombs
by a limit that belongs to the whole process (`PIL.Image.MAX_IMAGE_PIXELS`, an error from about
179 million pixels on and a warning from half of that), and switching this off for one call, be it
by the limit or by a warnings filter, would switch it off for every other thread. Here the
decoders that Pillow has registered are asked directly, and our own limit is applied to the size
in the header, before any pixel is decoded. Only formats that photographs come in are tried: some
of Pillow's other decoders start programs (EPS) or accept nearly anything (TGA).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, ImageFile, TiffImagePlugin

from rsfiqa.errors import ImageError
from rsfiqa.images.arrays import Pixels
from rsfiqa.images.convert import to_rgb
from rsfiqa.images.limits import check_size

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "HEIF", "JXL")
"""Pillow's names of the formats that are read; the last two need a plug-in of the user's."""

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".gif", ".tif",
    ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx",
    ".heic", ".heif", ".jxl",
})
# fmt: on
"""File name endings, in lower case, by which pictures are found in folders."""


def decode_file(
    file: BinaryIO, name: str, *, max_pixels: int, min_side: int
) -> tuple[Pixels, tuple[str, ...]]:
    """Decode the first picture of an open file.

    Returns:
        uint8 RGB `[H, W, 3]`, and notes on what was left out or changed.

    Raises:
        ImageError: not a picture, damaged, too large or too small.
    """
    image = _identify(file, name)
    return decode_image(image, name, max_pixels=max_pixels, min_side=min_side)


def decode_image(
    image: Image.Image, name: str, *, max_pixels: int, min_side: int
) -> tuple[Pixels, tuple[str, ...]]:
    """A PIL image, decoded yet or not, as uint8 RGB `[H, W, 3]`, with notes; as `decode_file`."""
    check_size(*image.size, name, max_pixels=max_pixels, min_side=min_side)
    _check_truncation_is_seen(image, name)
    with _as_image_error(name):
        frames = _frame_note(image)
        image.load()
    # Once more: some formats correct the header's size when decoding.
    check_size(*image.size, name, max_pixels=max_pixels, min_side=min_side)
    with _as_image_error(name):
        pixels, notes = to_rgb(image, name)
    return pixels, (*frames, *notes)


class _TiffImageFile(TiffImagePlugin.TiffImageFile):
    """TIFF without Pillow's second check of its own pixel limit, made when memory is reserved."""

    def load_prepare(self) -> None:
        size = getattr(self, "_tile_size", None)
        if size is not None and getattr(self, "_im", None) is None:
            self.im = Image.new(self.mode, size).im
        super().load_prepare()


def _identify(file: BinaryIO, name: str) -> Image.Image:
    Image.init()
    prefix = file.read(16)
    problem: Exception | str | None = None
    for format_name in FORMATS:
        factory, accept = Image.OPEN.get(format_name, (None, None))
        if factory is None:
            continue
        if format_name == "TIFF":
            factory = _TiffImageFile
        try:
            accepted = accept(prefix) if accept is not None else True
            if isinstance(accepted, str):  # the format is known, but this Pillow was built without
                problem = problem or accepted
            elif accepted:
                file.seek(0)
                # No file name: Pillow would map the file into memory, and the process would be
                # killed if another one cut it short meanwhile.
                return factory(file, "")
        except Image.DecompressionBombError as error:
            raise _over_pillows_limit(name) from error
        except MemoryError as error:
            raise _out_of_memory(name) from error
        except Exception as error:
            problem = problem or error
    raise ImageError(_why_not_identified(prefix, problem, name)) from (
        problem if isinstance(problem, Exception) else None
    )


def _why_not_identified(prefix: bytes, problem: Exception | str | None, name: str) -> str:
    brands = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1")
    if prefix[4:12] in brands and "HEIF" not in Image.OPEN:
        return (
            f"{name} is a HEIC picture, which Pillow does not read; convert it to JPEG or PNG, or "
            "register the plug-in pillow-heif."
        )
    if problem is not None:
        return f"{name} is damaged or of a kind that cannot be read: {_reason(problem)}."
    return (
        f"{name} is not a picture of a known format; accepted are JPEG, PNG, WebP, AVIF, GIF, "
        "TIFF, BMP, PPM and JPEG 2000."
    )


def _check_truncation_is_seen(image: Image.Image, name: str) -> None:
    """With this switch on, Pillow fills what is missing with grey, which would be scored."""
    if ImageFile.LOAD_TRUNCATED_IMAGES and getattr(image, "tile", None):
        raise ImageError(
            f"{name} is not decoded while PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, since a "
            "truncated picture could not be told from a whole one; set it to False."
        )


@contextmanager
def _as_image_error(name: str) -> Iterator[None]:
    """Damaged files make Pillow raise errors of nearly any type."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise _over_pillows_limit(name) from error
    except MemoryError as error:
        raise _out_of_memory(name) from error
    except Exception as error:
        raise ImageError(
            f"{name} is truncated or damaged: {_reason(error)}; fetch or save it again."
        ) from error


def _out_of_memory(name: str) -> ImageError:
    return ImageError(f"{name} does not fit in memory; make the picture smaller.")


def _over_pillows_limit(name: str) -> ImageError:
    return ImageError(
        f"{name} is over the pixel limit that Pillow itself sets for this format; make it "
        "smaller, or raise PIL.Image.MAX_IMAGE_PIXELS."
    )


def _reason(problem: Exception | str) -> str:
    text = " ".join(str(problem).split()).rstrip(".")
    return text or type(problem).__name__


def _frame_note(image: Image.Image) -> tuple[str, ...]:
    # The further pictures of an MPO are previews, depth and gain maps of the same photograph.
    if image.format == "MPO":
        return ()
    count, current = getattr(image, "n_frames", 1), image.tell()
    if count < 2:
        return ()
    return (f"first of {count} frames" if current == 0 else f"frame {current + 1} of {count}",)
