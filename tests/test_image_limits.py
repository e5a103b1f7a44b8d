"""Pictures that are too large, too small or cannot be read: one clear sentence for each."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rsfiqa.errors import ConfigError, ImageError
from rsfiqa.images import hash_file, load_image
from rsfiqa.samples import sample_picture

Array = npt.NDArray[Any]


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photo() -> Array:
    return sample_picture("chelsea")[:120, :90].copy()


class TestLimits:
    def test_the_limit_is_checked_before_decoding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = bytearray(encode(Image.new("L", (64, 64)), "BMP"))
        data[18:26] = np.array([60_000, 60_000], "<i4").tobytes()
        monkeypatch.setattr(
            Image.Image, "load", lambda _: pytest.fail("a picture over the limit was decoded")
        )

        with pytest.raises(ImageError, match=r"60000x60000 = 3,600,000,000 pixels, over the limit"):
            load_image(bytes(data))

    def test_the_limit_is_an_argument_or_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = encode(Image.new("L", (64, 64)), "PNG")

        with pytest.raises(ImageError, match="over the limit of 4,095"):
            load_image(data, max_pixels=4095)
        monkeypatch.setenv("RSFIQA_MAX_PIXELS", "4095")
        with pytest.raises(ImageError, match="over the limit of 4,095"):
            load_image(data)
        assert load_image(data, max_pixels=4096).width == 64

    @pytest.mark.parametrize("text", ["many", "-3", "1e6"])
    def test_a_limit_that_is_no_number(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RSFIQA_MAX_PIXELS", text)
        with pytest.raises(ConfigError, match="RSFIQA_MAX_PIXELS"):
            load_image(np.zeros((40, 40)))
        with pytest.raises(ConfigError, match="max_pixels"):
            load_image(np.zeros((40, 40)), max_pixels=0)

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
    def test_pillows_own_limit_neither_warns_nor_raises(
        self, compression: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = [
            encode(Image.new("RGB", (64, 64)), "TIFF", compression=compression),
            *(encode(Image.new("RGB", (64, 64)), name) for name in ("JPEG", "PNG", "BMP", "GIF")),
        ]
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for data in files:
                assert load_image(data).height == 64
        assert Image.MAX_IMAGE_PIXELS == 100

    @pytest.mark.parametrize("size", [(1, 1), (31, 500), (500, 31)])
    def test_pictures_that_are_too_small(self, size: tuple[int, int]) -> None:
        image = Image.new("RGB", size)

        for source in (image, encode(image, "PNG"), np.asarray(image)):
            with pytest.raises(ImageError, match="both sides must have at least 32"):
                load_image(source)

    def test_the_smallest_and_the_narrowest_that_are_accepted(self) -> None:
        assert load_image(Image.new("L", (32, 32))).pixels.shape == (32, 32, 3)
        assert load_image(Image.new("L", (32, 3000))).pixels.shape == (3000, 32, 3)
        assert load_image(Image.new("L", (1, 1)), min_side=1).pixels.shape == (1, 1, 3)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


class TestUnreadable:
    @pytest.mark.parametrize(
        ("prepare", "says"),
        [
            (lambda path: None, "does not exist"),
            (lambda path: path.mkdir(), "is a folder"),
            (lambda path: path.touch(), r"is empty \(0 bytes\)"),
            (lambda path: path.write_text("no picture"), "is not a picture of a known format"),
            (lambda path: path.symlink_to(path.name + "-gone"), "does not exist"),
            pytest.param(
                make_pipe,
                "is a pipe or a device",
                marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes"),
            ),
        ],
    )
    def test_paths(self, prepare: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
        path = tmp_path / "picture.jpg"
        prepare(path)

        with pytest.raises(ImageError, match=f"picture.jpg {says}"):
            load_image(path)
        if "known format" not in says:
            with pytest.raises(ImageError, match=f"picture.jpg {says}"):
                hash_file(path)

    def test_a_file_that_may_not_be_read(
        self, photo: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "picture.png"
        Image.fromarray(photo).save(path)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ImageError, match=r"picture\.png may not be read"):
            load_image(path)

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("", "path of a picture is empty"),
            ("https://example.org/a.jpg", "is an address"),
            ("a\0b.jpg", "cannot be opened"),
            ("n" * 5000, "cannot be opened"),
            (b"", "is empty"),
            (b"\x00" * 100, "not a picture"),
            (io.BytesIO(), "is empty"),
            (io.StringIO("text"), "open it in mode 'rb'"),
            (None, "of type NoneType; accepted are paths"),
            (42, "of type int"),
            ([[0.5]], "of type list"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n", "not a picture"),
        ],
    )
    def test_sources(self, source: Any, says: str) -> None:
        with pytest.raises(ImageError, match=says):
            load_image(source)

    def test_a_closed_file_object(self) -> None:
        file = io.BytesIO(b"data")
        file.close()
        with pytest.raises(ImageError, match="cannot be read from its file object"):
            load_image(file)

    def test_a_closed_pil_image(self, photo: Array) -> None:
        image = Image.open(io.BytesIO(encode(Image.fromarray(photo), "JPEG")))
        image.close()
        with pytest.raises(ImageError, match="image is truncated or damaged"):
            load_image(image)
