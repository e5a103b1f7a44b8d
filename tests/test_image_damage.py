"""Damaged files: an `ImageError`, or a picture, and nothing else."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, features

from rsfiqa.errors import ImageError
from rsfiqa.images import LoadedImage, load_image
from rsfiqa.samples import sample_picture


def _files() -> dict[str, bytes]:
    image = Image.fromarray(sample_picture("chelsea")[100:148, 100:160])
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = image.rotate(90).resize(image.size)
    options: dict[str, dict[str, Any]] = {
        "png": {"format": "PNG", "exif": exif},
        "png16": {"format": "PNG"},
        "apng": {"format": "PNG", "save_all": True, "append_images": [frame]},
        "jpeg": {"format": "JPEG", "exif": exif},
        "progressive": {"format": "JPEG", "progressive": True},
        "cmyk": {"format": "JPEG"},
        "gif": {"format": "GIF", "save_all": True, "append_images": [frame]},
        "webp": {"format": "WEBP", "lossless": True, "exif": exif},
        "webp-lossy": {"format": "WEBP"},
        "webp-frames": {"format": "WEBP", "save_all": True, "append_images": [frame]},
        "tiff": {"format": "TIFF", "exif": exif},
        "tiff-lzw": {"format": "TIFF", "compression": "tiff_lzw"},
        "tiff-jpeg": {"format": "TIFF", "compression": "jpeg"},
        "tiff-pages": {"format": "TIFF", "save_all": True, "append_images": [frame]},
        "bmp": {"format": "BMP"},
        "ppm": {"format": "PPM"},
    }
    if features.check("jpg_2000"):
        options["jp2"] = {"format": "JPEG2000"}
    if features.check("avif"):
        options["avif"] = {"format": "AVIF"}
    modes = {"png16": "I;16", "cmyk": "CMYK"}
    files = {}
    for kind, settings_ in options.items():
        buffer = io.BytesIO()
        if modes.get(kind) == "I;16":
            grey = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
            grey.save(buffer, **settings_)
        else:
            image.convert(modes.get(kind, "RGB")).save(buffer, **settings_)
        files[kind] = buffer.getvalue()
    return files


FILES = _files()


def loads_or_is_refused(data: bytes) -> None:
    """Anything else that is raised fails the test."""
    try:
        # Small limits, so that a mutated header does not ask for gigabytes.
        loaded = load_image(data, max_pixels=1_000_000)
    except ImageError as error:
        message = str(error)
        assert message.startswith("image ") or " image" in message
        assert message.endswith(".")
        assert "\n" not in message
    else:
        assert isinstance(loaded, LoadedImage)
        assert loaded.pixels.ndim == 3


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    # Headers are short and pixels many: half of the mutations go to the first bytes.
    places = st.one_of(st.integers(0, 200), st.integers(0, 100_000))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(places) % len(data)
        data[place] = draw(st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255)))
    if draw(st.booleans()):
        start = draw(places) % len(data)
        stop = start + draw(st.integers(1, 64))
        data[start:stop] = draw(st.sampled_from([b"", bytes(8), data[start:stop] * 2]))
    if draw(st.integers(0, 3)) == 0:
        del data[draw(places) % len(data) + 1 :]
    return bytes(data)


@given(data=mutated_files())
@example(data=b"\x89PNG\r\n\x1a\n")
@example(data=b"GIF89a")
@example(data=b"RIFF\0\0\0\0WEBP")
@example(data=b"II*\0\x08\0\0\0")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_file_is_a_picture_or_an_error(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on damaged metadata
        loads_or_is_refused(data)


@given(data=st.binary(max_size=200), kind=st.sampled_from(sorted(FILES)))
@settings(max_examples=100, deadline=None)
def test_noise_behind_a_good_header(data: bytes, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loads_or_is_refused(FILES[kind][:24] + data)


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_whole_file_loads(kind: str) -> None:
    assert load_image(FILES[kind]).pixels.size == 48 * 60 * 3


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_truncated_file_is_an_error_not_half_a_picture(kind: str, share: float) -> None:
    data = FILES[kind]
    frames = {"apng", "gif", "webp-frames", "tiff-pages"}
    if kind in frames and share > 0.3:
        pytest.skip("the first frame may be whole")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match=r"image is (truncated or )?damaged|not a picture"):
            load_image(data[: int(len(data) * share)])


def test_grey_filling_of_truncated_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    with pytest.raises(ImageError, match="LOAD_TRUNCATED_IMAGES is on"):
        load_image(FILES["jpeg"][:-200])
    # What needs no decoding is not concerned.
    assert load_image(Image.new("RGB", (40, 40))).height == 40


def test_too_little_memory_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageError, match="does not fit in memory"):
        load_image(FILES["png"])


def test_many_threads_get_the_same_pixels() -> None:
    expected = {kind: load_image(data).sha256 for kind, data in FILES.items()}
    jobs = sorted(FILES) * 8
    with ThreadPoolExecutor(8) as pool:
        hashes = list(pool.map(lambda kind: load_image(FILES[kind]).sha256, jobs))

    assert hashes == [expected[kind] for kind in jobs]
