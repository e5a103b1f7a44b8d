"""Backbones take pictures of any size: which sizes networks need, padding, and places kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import grid_shape
from rsfiqa.encoders.sizes import InputSizes, find_sizes
from rsfiqa.errors import ConfigError
from tiny_backbones import TINY, noise

REAL = [
    "resnet10t",
    "efficientnet_lite0",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "vit_relpos_small_patch16_224",
    "swin_tiny_patch4_window7_224",
    "hrnet_w18_small",
    "dla46_c",
    "pit_ti_224",
    "edgenext_xx_small",
    "fastvit_t8",
]
"""Architectures of every kind, small ones, built without weights."""


def of_kind(kind: str, indices: tuple[int, ...] = (0, -1), **settings: Any) -> TimmBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return TimmBackbone(TINY[kind](), name="tiny", indices=indices, **settings)


def maps_of(backbone: TimmBackbone, pixels: Tensor) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        return backbone(pixels).maps


# What networks need


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("convolutional", InputSizes()),
        ("ConvNeXt", InputSizes()),
        ("plain ViT", InputSizes(multiple=16)),
        ("ViT with patches of 8", InputSizes(multiple=8)),
        ("convolutions under a ViT", InputSizes(multiple=32)),
        ("Swin", InputSizes(multiple=4)),
        ("HRNet", InputSizes(multiple=32)),
        ("DLA", InputSizes(multiple=32)),
        ("tied to one size", InputSizes(exact=(160, 160))),
    ],
)
def test_a_network_is_asked_what_it_takes(kind: str, sizes: InputSizes) -> None:
    assert of_kind(kind).sizes == sizes


def test_a_network_that_needs_longer_sides() -> None:
    backbone = TimmBackbone(timm.create_model("inception_v3"), name="inception", indices=[4])
    assert backbone.sizes == InputSizes(least=96)
    assert maps_of(backbone, noise(32, 40))[0].shape[-2:] > (0, 0)


@given(st.sampled_from([1, 2, 3, 8, 14, 32]), st.sampled_from([1, 32, 64, 70]))
def test_the_rule_of_a_network_is_found(multiple: int, least: int) -> None:
    def ask(height: int, width: int) -> str | None:
        taken = height % multiple == width % multiple == 0 and min(height, width) >= least
        return None if taken else "no"

    found = find_sizes(ask, [2, 3, 8, 14, 32])
    assert isinstance(found, InputSizes)
    assert found.multiple == multiple
    assert all(ask(*found.padded(h, w)) is None for h, w in [(32, 32), (33, 500), (640, 481)])


def test_one_size_is_the_last_resort() -> None:
    def ask(height: int, width: int) -> str | None:
        return None if (height, width) == (60, 90) else f"{height}×{width}?"

    assert find_sizes(ask, [4], [(24, 24), (60, 90)]) == InputSizes(exact=(60, 90))
    assert find_sizes(ask, [4], [(24, 24)]) == "24×24?"


# Padding and cropping


@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.sampled_from([1, 4, 14, 32]),
    st.sampled_from([1, 64, 96]),
)
@example(64, 96, 32, 1)
def test_padding_is_the_least_that_does(h: int, w: int, multiple: int, least: int) -> None:
    padded = InputSizes(multiple, least).padded(h, w)
    for side, given_side in zip(padded, (h, w), strict=True):
        assert side % multiple == 0
        assert side >= max(given_side, least)
        assert side - multiple < max(given_side, least)


@given(st.integers(8, 90), st.integers(8, 90), st.sampled_from([(4, 1), (32, 1), (1, 64)]))
def test_a_map_of_padded_pictures_is_cropped_to_the_pixels_places(
    height: int, width: int, rule: tuple[int, int]
) -> None:
    sizes = InputSizes(*rule)
    pixels = torch.arange(height * width).view(1, 1, height, width).float()
    fitted = sizes.fit(pixels)
    assert fitted.shape[-2:] == sizes.padded(height, width)
    assert torch.equal(fitted[..., :height, :width], pixels)
    assert float(fitted.max()) == float(pixels.max())
    assert torch.equal(sizes.crop(fitted, height, width), pixels)
    if rule[0] > 1:
        stride = rule[0]
        cropped = sizes.crop(fitted[..., ::stride, ::stride], height, width)
        assert torch.equal(cropped, pixels[..., ::stride, ::stride])


def test_a_size_that_is_taken_is_passed_on_as_it_is() -> None:
    for sizes, size in [
        (InputSizes(), (51, 71)),
        (InputSizes(32), (64, 96)),
        (InputSizes(least=64), (64, 71)),
        (InputSizes(exact=(48, 64)), (48, 64)),
    ]:
        pixels = noise(*size)
        assert sizes.fit(pixels) is pixels


@pytest.mark.parametrize("kind", [k for k in TINY if k != "tied to one size"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (51, 71), (130, 65)])
def test_maps_of_any_size(kind: str, size: tuple[int, int]) -> None:
    backbone = of_kind(kind)
    for feature_map, channels, reduction in zip(
        maps_of(backbone, noise(*size)), backbone.channels, backbone.reductions, strict=True
    ):
        assert feature_map.isfinite().all()
        assert feature_map.shape[:2] == (1, channels)
        for positions, pixels in zip(feature_map.shape[-2:], size, strict=True):
            # Some networks leave out pixels at the far border that fill no position.
            assert positions in {max(1, pixels // reduction), -(-pixels // reduction)}


@pytest.mark.parametrize("kind", ["Swin", "HRNet", "DLA", "plain ViT"])
def test_padding_is_as_if_the_picture_went_on(kind: str) -> None:
    backbone = of_kind(kind)
    pixels = noise(70, 90)
    rows, columns = backbone.sizes.padded(70, 90)
    assert (rows, columns) != (70, 90)
    by_hand = nn.functional.pad(pixels, (0, columns - 90, 0, rows - 70), mode="replicate")
    for mine, whole in zip(maps_of(backbone, pixels), maps_of(backbone, by_hand), strict=True):
        assert torch.equal(mine, whole[..., : mine.shape[-2], : mine.shape[-1]])


@pytest.mark.parametrize("kind", [k for k in TINY if "any size" not in k])
@pytest.mark.parametrize("place", [(0.1, 0.1), (0.9, 0.2), (0.5, 0.95)])
def test_every_position_keeps_its_place(kind: str, place: tuple[float, float]) -> None:
    """What changes at a place of the picture changes the map most at the same place."""
    height, width = 131, 163
    backbone = of_kind(kind, indices=(0,))
    (reduction,) = backbone.reductions
    y, x = int(place[0] * height), int(place[1] * width)
    half = max(2, reduction // 4)
    pixels = noise(height, width)
    spot = pixels.clone()
    spot[..., max(0, y - half) : y + half, max(0, x - half) : x + half] = 1
    before, after = maps_of(backbone, pixels)[0], maps_of(backbone, spot)[0]
    change = (after - before).abs().sum(1)[0]
    rows, columns = change.shape
    row, column = divmod(int(change.argmax()), columns)
    stride = reduction * (max(height, width) / 160 if backbone.input_size == "exact" else 1)
    assert abs((row + 0.5) / rows * height - y) <= 1.5 * stride + half
    assert abs((column + 0.5) / columns * width - x) <= 1.5 * stride + half


def test_a_network_of_one_size_sees_the_whole_picture() -> None:
    backbone = of_kind("tied to one size")
    assert backbone.input_size == "exact"
    pixels = noise(90, 200)
    resized = nn.functional.interpolate(
        pixels, size=(160, 160), mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 1)
    for mine, whole in zip(maps_of(backbone, pixels), maps_of(backbone, resized), strict=True):
        assert torch.equal(mine, whole)


# Refusals


class Broken(nn.Module):
    """A network whose maps are not what it announces."""

    feature_info = ({"num_chs": 3, "reduction": 2}, {"num_chs": 3, "reduction": 4})

    def __init__(self, answer: Callable[[Tensor], list[Tensor]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answer = answer

    def forward_intermediates(self, x: Tensor, **_: object) -> list[Tensor]:
        return self.answer(x)


def fail(_: Tensor) -> list[Tensor]:
    raise RuntimeError("no such kernel.\nand more")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fail, "(no such kernel)"),
        (lambda x: [x.flatten(1)], "its maps are (1, "),
        (lambda x: [x[:, :2]], "where [3] channels were announced"),
        (lambda _: [], "its maps are none"),
    ],
)
def test_networks_without_the_maps_they_announce(
    answer: Callable[[Tensor], list[Tensor]], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        TimmBackbone(Broken(answer), name="mine", indices=[1])
    message = str(caught.value)
    assert message.startswith("mine gives no feature maps at any size")
    assert reason in message
    assert "\n" not in message


# Real architectures


@pytest.mark.parametrize("name", REAL)
def test_real_architectures_without_weights(name: str) -> None:
    encoder = build_encoder([{"backbone": f"timm:{name}", "indices": [0, -1]}])
    height, width = 70, 99
    grid = encoder(noise(height, width))
    assert grid.positions.shape == (1, sum(encoder.groups), *grid_shape(height, width))
    assert grid.context.shape == (1, encoder.context_dim)
    assert grid.positions.isfinite().all()
