"""Picture files and PIL images: one representation whatever the container, mode or orientation."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image, ImageCms, ImageOps, features

from rsfiqa.errors import ImageError
from rsfiqa.images import LoadedImage, hash_file, load_image
from rsfiqa.samples import sample_picture

Array = npt.NDArray[Any]

LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "WEBP": {"lossless": True, "exact": True},
    "PPM": {},
}


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def exif_with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


@pytest.fixture(scope="module")
def photo() -> Array:
    return sample_picture("chelsea")[:120, :90].copy()


pictures = hnp.arrays(np.uint8, st.tuples(st.integers(32, 40), st.integers(32, 40), st.just(3)))


class TestOneRepresentation:
    @given(pixels=pictures)
    def test_equal_pixels_are_equal_in_every_lossless_container(self, pixels: Array) -> None:
        image = Image.fromarray(pixels)

        for format_name, options in LOSSLESS.items():
            loaded = load_image(encode(image, format_name, **options))
            np.testing.assert_array_equal(loaded.pixels, pixels, err_msg=format_name)
        assert load_image(image).sha256 == load_image(pixels).sha256

    def test_pixels_are_contiguous_read_only_rgb(self, photo: Array) -> None:
        for source in (encode(Image.fromarray(photo), "PNG"), photo, Image.fromarray(photo)):
            pixels = load_image(source).pixels

            assert pixels.dtype == np.uint8
            assert pixels.flags.c_contiguous
            assert not pixels.flags.writeable

    def test_path_bytes_and_file_object_are_the_same(self, photo: Array, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        Image.fromarray(photo).save(path)
        data = path.read_bytes()
        expected = hashlib.sha256(data).hexdigest()

        with path.open("rb") as file:
            file.seek(5)
            sources = [path, str(path), data, bytearray(data), memoryview(data), file]
            loaded = [load_image(source) for source in sources]
            assert not file.closed

        assert {picture.sha256 for picture in loaded} == {expected, hash_file(path)}
        for picture in loaded:
            np.testing.assert_array_equal(picture.pixels, photo)
        assert [picture.name for picture in loaded] == [str(path)] * 2 + ["image"] * 4

    def test_file_objects_that_do_not_say_whether_they_can_be_turned_back(
        self, photo: Array
    ) -> None:
        class Turning:
            def __init__(self, data: bytes) -> None:
                self._file = io.BytesIO(data)
                self.seek, self.read = self._file.seek, self._file.read

        class Streaming:
            def __init__(self, data: bytes) -> None:
                self.read = io.BytesIO(data).read

        data = encode(Image.fromarray(photo), "PNG")
        turning = Turning(data)
        turning.seek(5)
        for source in (turning, Streaming(data)):
            loaded = load_image(source)  # type: ignore[arg-type]
            np.testing.assert_array_equal(loaded.pixels, photo)

    def test_a_name_can_be_given(self, photo: Array, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        Image.fromarray(photo).save(path)

        assert load_image(path, name="holiday").name == "holiday"
        assert load_image(photo, name="holiday").name == "holiday"

    def test_a_loaded_image_passes_through(self, photo: Array) -> None:
        loaded = load_image(photo)

        assert load_image(loaded) is loaded
        assert load_image(loaded, name="again").name == "again"
        with pytest.raises(ImageError, match="over the limit"):
            load_image(loaded, max_pixels=100)

    def test_no_file_stays_open(self, photo: Array, tmp_path: Path) -> None:
        fds = Path("/proc/self/fd")
        if not fds.exists():
            pytest.skip("counts open files through /proc")
        image = Image.fromarray(photo)
        for format_name, options in [*LOSSLESS.items(), ("TIFF", {"compression": "tiff_lzw"})]:
            path = tmp_path / f"photo.{format_name}"
            path.write_bytes(encode(image, format_name, **options))
            half = tmp_path / f"half.{format_name}"
            half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            before = len(list(fds.iterdir()))
            load_image(path)
            with pytest.raises(ImageError):
                load_image(half)
            assert len(list(fds.iterdir())) == before, format_name


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
    def test_exif_orientation_is_applied(
        self, photo: Array, orientation: int, format_name: str
    ) -> None:
        options = LOSSLESS[format_name]
        data = encode(
            Image.fromarray(photo), format_name, exif=exif_with_orientation(orientation), **options
        )
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

        np.testing.assert_array_equal(load_image(data).pixels, np.asarray(upright))
        np.testing.assert_array_equal(
            load_image(Image.open(io.BytesIO(data))).pixels, np.asarray(upright)
        )
        if orientation == 6:
            np.testing.assert_array_equal(load_image(data).pixels, np.rot90(photo, -1))

    def test_jpeg_is_upright_in_strips_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rsfiqa.images.arrays.STRIP_PIXELS", 1000)
        image = Image.fromarray(sample_picture("coffee"))
        data = encode(image, "JPEG", exif=exif_with_orientation(8))
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

        np.testing.assert_array_equal(load_image(data).pixels, np.asarray(upright))

    def test_an_orientation_outside_the_standard_is_ignored(self, photo: Array) -> None:
        data = encode(Image.fromarray(photo), "PNG", exif=exif_with_orientation(77))

        np.testing.assert_array_equal(load_image(data).pixels, photo)

    def test_damaged_exif_does_not_spoil_the_pixels(self, photo: Array) -> None:
        data = encode(Image.fromarray(photo), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")

        np.testing.assert_array_equal(load_image(data).pixels, photo)


class TestAlpha:
    @pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF"])
    def test_alpha_is_composited_on_white(self, photo: Array, format_name: str) -> None:
        alpha = np.linspace(0, 255, photo[..., 0].size).astype(np.uint8).reshape(photo.shape[:2])
        image = Image.fromarray(np.dstack([photo, alpha]))
        loaded = load_image(encode(image, format_name, **LOSSLESS[format_name]))
        share = alpha[..., np.newaxis] / 255

        np.testing.assert_array_equal(loaded.pixels, np.rint(photo * share + 255 * (1 - share)))
        assert loaded.notes == ("alpha composited on white",)

    def test_opaque_alpha_changes_nothing(self, photo: Array) -> None:
        loaded = load_image(encode(Image.fromarray(photo).convert("RGBA"), "PNG"))

        np.testing.assert_array_equal(loaded.pixels, photo)
        assert loaded.notes == ()

    @pytest.mark.parametrize("mode", ["LA", "PA", "La", "RGBa"])
    def test_other_modes_with_alpha(self, photo: Array, mode: str) -> None:
        step = {"PA": ("P", "PA"), "La": ("LA", "La"), "RGBa": ("RGBA", "RGBa")}.get(mode, (mode,))
        clear = Image.fromarray(photo)
        clear.putalpha(0)
        if mode == "PA":
            clear = Image.fromarray(photo).quantize(16)
            clear.putalpha(0)
        else:
            for each in step:
                clear = clear.convert(each)
        assert clear.mode == mode

        assert (load_image(clear).pixels == 255).all()

    @pytest.mark.parametrize("as_bytes", [False, True])
    def test_transparent_palette_entries(self, as_bytes: bool) -> None:
        image = Image.new("P", (40, 40), 0)
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.paste(1, (0, 0, 20, 40))
        data = encode(image, "PNG", transparency=b"\x00\xff" if as_bytes else 0)
        pixels = load_image(data).pixels

        assert pixels[0, 0].tolist() == [0, 0, 255]
        assert pixels[0, 39].tolist() == [255, 255, 255]

    def test_a_transparent_colour(self) -> None:
        image = Image.new("RGB", (40, 40), (9, 8, 7))
        image.paste((1, 2, 3), (0, 0, 20, 40))
        pixels = load_image(encode(image, "PNG", transparency=(9, 8, 7))).pixels

        assert pixels[0, 0].tolist() == [1, 2, 3]
        assert pixels[0, 39].tolist() == [255, 255, 255]


class TestModes:
    @pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
    def test_converted_as_pillow_does(self, photo: Array, mode: str) -> None:
        image = Image.fromarray(photo).convert(mode)

        np.testing.assert_array_equal(load_image(image).pixels, np.asarray(image.convert("RGB")))

    def test_lab_is_brought_to_srgb(self) -> None:
        grey = Image.merge(
            "LAB", [Image.new("L", (40, 40), value) for value in (255 * 53 // 100, 128, 128)]
        )
        values = load_image(grey).pixels.reshape(-1, 3)

        assert (np.ptp(values, axis=0) == 0).all()
        assert np.abs(values[0].astype(int) - 127).max() <= 3

    @pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
    def test_sixteen_bit_grey_is_divided_by_257(self, format_name: str) -> None:
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        loaded = load_image(encode(Image.fromarray(values), format_name))
        expected = np.rint(values / 257).astype(np.uint8)

        np.testing.assert_array_equal(loaded.pixels, np.dstack([expected] * 3))
        np.testing.assert_array_equal(load_image(values).pixels, loaded.pixels)

    def test_sixteen_bit_pgm(self) -> None:
        data = b"P5 40 40 65535\n" + np.full((40, 40), 25700, ">u2").tobytes()

        assert (load_image(data).pixels == 100).all()

    def test_sixteen_bit_rgb_keeps_its_high_bytes(self) -> None:
        data = b"P6 40 40 65535\n" + np.full((40, 40, 3), 25700, ">u2").tobytes()

        assert np.abs(load_image(data).pixels.astype(int) - 100).max() <= 1

    def test_mode_i_is_sixteen_bit_and_nothing_else(self) -> None:
        assert (load_image(Image.new("I", (40, 40), 65535)).pixels == 255).all()
        with pytest.raises(ImageError, match=r"from -5 to -5; they must lie in 0..65535"):
            load_image(Image.new("I", (40, 40), -5))

    def test_float_mode_lies_in_0_to_1(self) -> None:
        assert (load_image(Image.new("F", (40, 40), 0.5)).pixels == 128).all()
        with pytest.raises(ImageError, match=r"from 9 to 9; .*divide by 255"):
            load_image(encode(Image.new("F", (40, 40), 9.0), "TIFF"))

    def test_palette_pictures_in_strips(
        self, photo: Array, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = Image.fromarray(photo).quantize(64)
        whole = load_image(image).pixels
        monkeypatch.setattr("rsfiqa.images.arrays.STRIP_PIXELS", 500)

        np.testing.assert_array_equal(load_image(image).pixels, whole)


class TestProfiles:
    def test_an_rgb_profile_is_named_and_not_applied(self, photo: Array) -> None:
        # The XYZ profile stands for any that is not sRGB.
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
        loaded = load_image(encode(Image.fromarray(photo), "PNG", icc_profile=profile))

        np.testing.assert_array_equal(loaded.pixels, photo)
        assert len(loaded.notes) == 1
        assert loaded.notes[0].startswith("colour profile ")

    def test_srgb_goes_without_saying(self, photo: Array) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

        assert load_image(encode(Image.fromarray(photo), "PNG", icc_profile=profile)).notes == ()

    @pytest.mark.parametrize("mode", ["RGB", "CMYK"])
    def test_a_damaged_profile_changes_nothing(self, photo: Array, mode: str) -> None:
        image = Image.fromarray(photo).convert(mode)
        data = encode(image, "TIFF", icc_profile=b"no profile at all")

        np.testing.assert_array_equal(load_image(data).pixels, np.asarray(image.convert("RGB")))

    def test_cmyk_is_said_to_be_converted(self, photo: Array) -> None:
        data = encode(Image.fromarray(photo).convert("CMYK"), "JPEG", quality=95)

        assert load_image(data).notes == ("CMYK converted to RGB",)


class TestFrames:
    @pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_the_first_frame_is_taken_and_said_so(self, format_name: str) -> None:
        frames = [Image.new("RGB", (40, 40), color) for color in ("red", "lime", "blue")]
        options = {"lossless": True} if format_name == "WEBP" else {}
        data = encode(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
        loaded = load_image(data)

        assert loaded.notes == ("first of 3 frames",)
        assert (loaded.pixels == [255, 0, 0]).all()

    def test_a_pil_image_keeps_the_frame_it_stands_at(self) -> None:
        frames = [Image.new("L", (40, 40), value) for value in (10, 20, 30)]
        image = Image.open(
            io.BytesIO(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
        )
        image.seek(1)
        loaded = load_image(image)

        assert loaded.notes == ("frame 2 of 3",)
        assert (loaded.pixels == 20).all()

    @pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
    def test_avif(self, photo: Array) -> None:
        loaded = load_image(encode(Image.fromarray(photo), "AVIF", quality=100))

        assert np.abs(loaded.pixels.astype(int) - photo).mean() < 3

    @pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000")
    def test_jpeg_2000(self, photo: Array) -> None:
        loaded = load_image(encode(Image.fromarray(photo), "JPEG2000"))

        np.testing.assert_array_equal(loaded.pixels, photo)


def test_loaded_image_says_its_size() -> None:
    loaded = load_image(np.zeros((40, 60)))

    assert isinstance(loaded, LoadedImage)
    assert (loaded.width, loaded.height) == (60, 40)
    assert "pixels" not in repr(loaded)
