"""Arrays and tensors: layouts, types, value ranges, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rsfiqa.errors import ImageError
from rsfiqa.images import load_image, split_batch
from rsfiqa.samples import sample_picture

Array = npt.NDArray[Any]

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(32, 40), st.integers(32, 40), st.just(3)))


@pytest.fixture(scope="module")
def photo() -> Array:
    return sample_picture("chelsea")[:120, :90].copy()


@given(pixels=pictures)
def test_every_type_gives_back_the_same_pixels(pixels: Array) -> None:
    chw = torch.from_numpy(pixels).permute(2, 0, 1)
    sources = [
        pixels,
        pixels.astype(np.uint16) * 257,
        *(pixels.astype(kind) / kind(255) for kind in (np.float16, np.float32, np.float64)),
        pixels[::-1, ::-1][::-1, ::-1],
        np.asfortranarray(pixels),
        chw,
        chw[None],
        chw.float() / 255,
        chw.double() / 255,
    ]
    loaded = [load_image(source) for source in sources]

    for picture, source in zip(loaded, sources, strict=True):
        np.testing.assert_array_equal(picture.pixels, pixels, err_msg=str(source.dtype))
    assert len({picture.sha256 for picture in loaded}) == 1


def test_other_pixels_or_shapes_have_another_hash(photo: Array) -> None:
    other = photo.copy()
    other[0, 0, 0] ^= 1
    turned = photo.reshape(photo.shape[1], photo.shape[0], 3)

    assert len({load_image(array).sha256 for array in (photo, other, turned)}) == 3


def test_the_callers_array_stays_its_own(photo: Array) -> None:
    mine = photo.copy()
    loaded = load_image(mine)
    mine[:] = 0

    np.testing.assert_array_equal(loaded.pixels, photo)
    assert mine.flags.writeable


@pytest.mark.parametrize("kind", ["u2", "f4", "f8"])
def test_the_order_of_bytes_makes_no_difference(photo: Array, kind: str) -> None:
    array = photo.astype(f"<{kind}") * 257 if kind == "u2" else photo.astype(f"<{kind}") / 255
    for order in "<>":
        loaded = load_image(array.astype(f"{order}{kind}"))
        np.testing.assert_array_equal(loaded.pixels, photo)


def test_grey_and_bool() -> None:
    checks = np.indices((40, 48)).sum(axis=0) % 2 == 0
    expected = np.dstack([checks * 255] * 3)

    for source in (checks, checks[..., None], checks.astype(float), torch.from_numpy(checks)[None]):
        np.testing.assert_array_equal(load_image(source).pixels, expected)


def test_alpha_is_composited_on_white_as_for_files(photo: Array) -> None:
    alpha = np.linspace(0, 255, photo[..., 0].size).astype(np.uint8).reshape(photo.shape[:2])
    rgba = np.dstack([photo, alpha])
    expected = load_image(Image.fromarray(rgba))

    for source in (rgba, rgba / 255, torch.from_numpy(rgba).permute(2, 0, 1)):
        loaded = load_image(source)
        np.testing.assert_array_equal(loaded.pixels, expected.pixels)
        assert loaded.notes == expected.notes == ("alpha composited on white",)


def test_strips_make_no_difference(photo: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = np.dstack([photo, photo[..., :1]]) / 255
    whole = load_image(rgba)
    monkeypatch.setattr("rsfiqa.images.arrays.STRIP_PIXELS", 1000)

    np.testing.assert_array_equal(load_image(rgba).pixels, whole.pixels)
    assert load_image(rgba).notes == whole.notes


def test_values_just_outside_0_to_1_are_clipped() -> None:
    ramp = np.linspace(-1e-3, 1 + 1e-3, 40 * 40).reshape(40, 40)
    pixels = load_image(ramp).pixels

    assert pixels.min() == 0
    assert pixels.max() == 255


def with_value(value: float, kind: type = np.float64) -> Array:
    array = np.full((40, 40, 3), 0.5, kind)
    array[3, 5, 1] = value
    return array


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            with_value(np.nan),
            r"in image, 1 of 4,800 values are NaN or infinite, the others 0.5..0.5",
        ),
        (with_value(-np.inf), r"1 of 4,800 values are NaN or infinite"),
        (np.full((40, 40), np.nan), r"1,600 of 1,600 values are NaN or infinite; float"),
        (with_value(1.002), r"from 0.5 to 1.002; they must lie in 0..1: divide by 255"),
        (with_value(255), r"from 0.5 to 255; .* divide by 255"),
        (with_value(-0.5), r"from -0.5 to 0.5; .* scale them first"),
        (with_value(4095), r"from 0.5 to 4095; .* scale them first"),
        (torch.from_numpy(with_value(np.nan)).permute(2, 0, 1), "NaN or infinite"),
        (np.zeros((40, 40), np.int64), r"type int64; accepted are uint8.*astype\('uint8'\)"),
        (np.zeros((40, 40), complex), "type complex128; accepted are"),
        (np.zeros((40, 40), object), "type object; accepted are"),
        (torch.zeros(3, 40, 40, dtype=torch.int32), "type int32; accepted are"),
        (np.zeros((40, 40, 2)), r"shape \(40, 40, 2\); accepted are HW, and HWC"),
        (np.zeros((40, 40, 5)), r"shape \(40, 40, 5\)"),
        (np.zeros((3, 40, 50)), r"looks like CHW: use transpose\(1, 2, 0\)"),
        (np.zeros(40), r"shape \(40,\)"),
        (np.zeros((2, 40, 40, 3)), r"holds 2 pictures; .* assess_batch"),
        (np.zeros((0, 40, 3)), "both sides must have at least 32"),
        (np.zeros((1, 1, 3)), "both sides must have at least 32"),
        (torch.zeros(2, 3, 40, 40), r"holds 2 pictures; .* assess_batch"),
        (torch.zeros(0, 3, 40, 40), r"holds 0 pictures"),
        (torch.zeros(40, 50, 3), r"looks like HWC: use permute\(2, 0, 1\)"),
        (torch.zeros(2, 40, 40), "accepted are CHW and 1CHW"),
        (torch.zeros(3), "accepted are HW"),
        (torch.zeros(3, 40, 40, device="meta"), "no array of values"),
        (torch.zeros(3, 40, 40).to_sparse(), "no array of values"),
    ],
)
def test_what_is_no_picture(source: Any, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        load_image(source)


def test_arrays_have_the_same_limit_as_files() -> None:
    with pytest.raises(ImageError, match="over the limit of 1,000"):
        load_image(np.zeros((40, 40), np.uint8), max_pixels=1000)


class TestTensors:
    def test_gradients_and_half_precision_are_no_obstacle(self) -> None:
        tensor = torch.full((3, 40, 40), 0.5)

        assert (load_image(tensor.clone().requires_grad_()).pixels == 128).all()
        assert (load_image(tensor.bfloat16()).pixels == 128).all()
        assert (load_image(tensor.half()).pixels == 128).all()

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
    def test_any_device(self) -> None:
        assert (load_image(torch.full((3, 40, 40), 0.5, device="cuda")).pixels == 128).all()


class TestSplitBatch:
    def test_tensors(self) -> None:
        batch = torch.rand(3, 3, 40, 50)

        parts = split_batch(batch)
        assert len(parts) == 3
        for part, expected in zip(parts, batch, strict=True):
            np.testing.assert_array_equal(load_image(part).pixels, load_image(expected).pixels)
        assert len(split_batch(batch[0])) == 1

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_arrays_with_channels_last_or_first(self, channels: int) -> None:
        batch = np.random.default_rng(0).random((2, 40, 50, channels))

        for given_batch in (batch, np.moveaxis(batch, -1, 1)):
            for part, expected in zip(split_batch(given_batch), batch, strict=True):
                np.testing.assert_array_equal(load_image(part).pixels, load_image(expected).pixels)

    def test_one_picture_is_a_batch_of_one(self, photo: Array) -> None:
        for source in ("a.png", b"bytes", photo, Image.fromarray(photo), load_image(photo)):
            assert split_batch(source) == [source]

    def test_lists_and_other_iterables(self) -> None:
        names = ["a.png", "b.png"]

        assert split_batch(names) == split_batch(tuple(names)) == split_batch(iter(names)) == names
        assert split_batch([]) == []

    @pytest.mark.parametrize("source", [None, 3, {"a": 1}])
    def test_no_batch(self, source: Any) -> None:
        with pytest.raises(ImageError, match="a batch cannot be of type"):
            split_batch(source)
