"""Backbones behind one contract, their features on one grid, and the weights that assets bring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor, nn

from rsfiqa.encoders import dinov2, lite0
from rsfiqa.encoders.backbone import IMAGENET_MEAN, IMAGENET_STD, TimmBackbone
from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import (
    MAX_CELLS,
    MAX_SIDE,
    MIN_SIDE,
    GridEncoder,
    _deviation_on_grid,
    _mean_on_grid,
    grid_shape,
)
from rsfiqa.errors import AssetError, ConfigError
from tiny_backbones import TINY, noise, tiny_vit

Pixels = npt.NDArray[np.uint8]
FindAsset = Callable[[str], Path]


def as_tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


# timm models of every kind


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("indices", [(0, -1), (-2, -1), (1,)])
def test_channels_and_reductions_are_those_of_the_maps(kind: str, indices: tuple[int, ...]) -> None:
    backbone = TimmBackbone(TINY[kind](), name="tiny", indices=indices)
    with torch.inference_mode():
        features = backbone(noise(64, 96, batch=2))
    assert tuple(m.shape[1] for m in features.maps) == backbone.channels
    for feature_map, reduction in zip(features.maps, backbone.reductions, strict=True):
        if backbone.input_size != "exact":
            assert feature_map.shape[-2:] == (64 // reduction, 96 // reduction)
        assert feature_map.shape[0] == 2
        assert feature_map.isfinite().all()
        assert feature_map.dtype == torch.float32
    wanted = [(2, channels) for channels in backbone.channels] if backbone.has_token else []
    assert [tuple(token.shape) for token in features.tokens] == wanted


@pytest.mark.parametrize(
    ("kind", "input_size", "has_token"),
    [
        ("plain ViT", "grid", True),
        ("ViT without a class token", "grid", False),
        ("ViT with register tokens", "grid", True),
        ("convolutional", "native", False),
        ("Swin", "native", False),
        ("HRNet", "native", False),
        ("convolutions under a ViT", "grid", True),
        ("tied to one size", "exact", False),
    ],
)
def test_plain_transformers_are_fed_by_the_grid_and_pyramids_natively(
    kind: str, input_size: str, has_token: bool
) -> None:
    backbone = TimmBackbone(TINY[kind](), name="tiny", indices=[-1])
    assert backbone.input_size == input_size
    assert backbone.has_token is has_token


def test_the_class_token_is_the_first_token_of_its_depth() -> None:
    model = tiny_vit(reg_tokens=2).eval()
    backbone = TimmBackbone(model, name="tiny", indices=[1, 3], mean=(0, 0, 0), std=(1, 1, 1))
    taken: list[Tensor] = []
    hooks = [
        model.blocks[i].register_forward_hook(lambda _m, _i, output: taken.append(output))
        for i in (1, 3)
    ]
    pixels = noise(48, 64)
    with torch.inference_mode():
        features = backbone(pixels)
    for hook in hooks:
        hook.remove()
    for token, feature_map, tokens in zip(features.tokens, features.maps, taken, strict=True):
        assert torch.equal(token, tokens[:, 0])
        assert torch.equal(feature_map.flatten(2).transpose(1, 2), tokens[:, 3:])


def test_pictures_are_normalised() -> None:
    model = timm.create_model("test_efficientnet")
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    backbone = TimmBackbone(model, name="tiny", indices=[0], mean=mean, std=std)
    plain = TimmBackbone(model, name="tiny", indices=[0], mean=(0, 0, 0), std=(1, 1, 1))
    pixels = noise(32, 32)
    by_hand = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(pixels).maps[0], plain(by_hand).maps[0])


def test_a_backbone_stays_frozen_and_in_evaluation() -> None:
    encoder = GridEncoder([TimmBackbone(timm.create_model("test_resnet"), name="t", indices=[1])])
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.train()
    encoder(noise(64, 64))
    assert not any(module.training for module in encoder.backbones[0].modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("indices", [(5,), (0, 99), (-6,), ("first",)])
def test_depths_that_are_not_there(indices: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match="tiny has 5 depths to choose from"):
        TimmBackbone(timm.create_model("test_resnet"), name="tiny", indices=indices)


def test_a_model_without_intermediate_features() -> None:
    with pytest.raises(ConfigError, match="mine gives no feature maps"):
        TimmBackbone(nn.Conv2d(3, 4, 1), name="mine", indices=[0])


def test_a_pyramid_has_no_patch_grid() -> None:
    with pytest.raises(ConfigError, match="input_size='native'"):
        TimmBackbone(timm.create_model("test_resnet"), name="tiny", indices=[0], input_size="grid")


# The grid


@settings(max_examples=300)
@given(st.integers(1, 20_000), st.integers(1, 20_000))
@example(32, 32)
@example(768, 1024)
@example(128, 2048)
@example(1, 20_000)
def test_the_grid_is_bounded_and_keeps_the_aspect(height: int, width: int) -> None:
    rows, columns = grid_shape(height, width)
    assert rows * columns <= MAX_CELLS
    assert MIN_SIDE <= rows <= MAX_SIDE
    assert MIN_SIDE <= columns <= MAX_SIDE
    assert grid_shape(width, height) in {(columns, rows), (rows, columns)}
    if min(rows, columns) > MIN_SIDE:
        # Half a cell of rounding on the short side, and what the long side gives way.
        stretch = (rows / columns) / (height / width)
        assert 1 / 1.16 < stretch < 1.16
    if height * width >= 16 * 16 * MAX_CELLS and 1 / 10 < height / width < 10:
        assert rows * columns > 0.85 * MAX_CELLS


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((512, 512), (32, 32)),
        ((256, 384), (16, 24)),
        ((384, 256), (24, 16)),
        ((32, 32), (8, 8)),
        ((32, 900), (8, 56)),
        ((4000, 6000), (26, 39)),
        ((40, 4000), (8, 128)),
    ],
)
def test_grids_of_common_sizes(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_shape(*size) == grid


class Averages(nn.Module):
    """A backbone whose features are the picture itself, at chosen reductions."""

    def __init__(self, *reductions: int) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.reductions = reductions
        self.feature_info = [{"num_chs": 3, "reduction": r} for r in reductions]

    def forward_intermediates(self, x: Tensor, *, indices: list[int], **_: object) -> list[Tensor]:
        return [nn.functional.avg_pool2d(x, self.reductions[i]) for i in indices]


def averages(*reductions: int) -> GridEncoder:
    indices = range(len(reductions))
    model = Averages(*reductions)
    return GridEncoder(
        [TimmBackbone(model, name="mean", indices=indices, mean=(0, 0, 0), std=(1, 1, 1))]
    )


def test_a_cell_holds_the_mean_and_deviation_of_its_pixels() -> None:
    pixels = noise(160, 192)
    grid = averages(1)(pixels)
    cells = pixels.unfold(2, 16, 16).unfold(3, 16, 16).flatten(4)
    torch.testing.assert_close(grid.positions[:, :3], cells.mean(-1))
    torch.testing.assert_close(
        grid.positions[:, 3:], cells.std(-1, correction=0), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(grid.context[:, :3], pixels.mean((2, 3)))
    torch.testing.assert_close(grid.context[:, 3:], pixels.std((2, 3), correction=0))


def test_flat_pictures_have_no_deviation() -> None:
    grid = averages(1, 4, 16)(torch.full((1, 3, 96, 150), 0.37))
    assert averages(1, 4, 16).groups == (6, 6, 3)
    assert float(grid.positions[:, [3, 4, 5, 9, 10, 11]].max()) < 1e-3
    torch.testing.assert_close(
        grid.positions[:, [0, 1, 2, 6, 7, 8, 12, 13, 14]],
        torch.full((1, 9, *grid.positions.shape[-2:]), 0.37),
    )


def test_noise_below_the_cell_size_is_seen_as_deviation() -> None:
    flat = torch.full((1, 3, 128, 128), 0.5)
    grid = averages(1)(flat + 0.1 * (noise(128, 128) - 0.5))
    torch.testing.assert_close(
        grid.positions[:, 3:].mean(), torch.tensor(0.1 / 12**0.5), atol=1e-3, rtol=0
    )


def test_a_map_coarser_than_the_grid_is_interpolated() -> None:
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 256, 256)
    grid = averages(64)(ramp)
    assert grid.positions.shape == (1, 3, 16, 16)
    along = grid.positions[0, 0, 0]
    assert (along.diff() >= 0).all()
    centres = (torch.arange(16) + 0.5) / 16
    torch.testing.assert_close(along[2:-2], centres[2:-2], atol=0.01, rtol=0)


def test_semantics_have_unit_length_a_depth() -> None:
    grid = averages(1, 2, 4)(noise(128, 128))
    assert grid.semantic.shape == (1, 9, 8, 8)
    for part in grid.semantic.split(3, 1):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(1, 8, 8))


def test_semantics_are_those_of_the_first_backbone(
    tiny_encoder_specs: list[dict[str, Any]],
) -> None:
    pixels = noise(64, 80)
    both, first = (build_encoder(s)(pixels) for s in (tiny_encoder_specs, tiny_encoder_specs[:1]))
    assert torch.equal(both.semantic, first.semantic)
    assert both.depths == first.depths == 2


@pytest.mark.parametrize("kind", ["plain ViT", "ViT with register tokens", "convolutional"])
def test_a_map_of_the_grids_size_is_taken_as_it_is(kind: str) -> None:
    """Which the mean over cells of one position each would not change either, to the bit."""
    encoder = GridEncoder([TimmBackbone(TINY[kind](), name="tiny", indices=(-2,))])
    (backbone,) = encoder.backbones
    pixels = noise(128, 8 * backbone.reductions[0])
    with torch.inference_mode():
        (feature_map,) = backbone(pixels).maps
    assert feature_map.shape[-2:] == grid_shape(*pixels.shape[-2:])
    averaged = nn.functional.adaptive_avg_pool2d(feature_map, feature_map.shape[-2:])
    means = encoder(pixels).positions[:, : feature_map.shape[1]].clone()
    for one in (averaged, means):
        assert torch.equal(one.view(torch.int32), feature_map.contiguous().view(torch.int32))


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 200), (150, 90), (300, 400)])
def test_widths_are_those_of_the_tensors(
    tiny_encoder_specs: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    encoder = build_encoder(tiny_encoder_specs)
    grid = encoder(noise(*size))
    rows, columns = grid_shape(*size)
    assert grid.positions.shape == (1, sum(encoder.groups), rows, columns)
    assert grid.context.shape == (1, encoder.context_dim)
    assert grid.semantic.shape == (1, 128, rows, columns)
    for tensor in (grid.positions, grid.context, grid.semantic):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("name", timm.list_models("test_*"))
def test_any_timm_model_fills_the_grid(name: str) -> None:
    encoder = build_encoder([{"backbone": f"timm:{name}", "indices": [1, -1]}])
    for height, width in ((32, 32), (50, 71)):
        grid = encoder(noise(height, width))
        assert grid.positions.shape == (1, sum(encoder.groups), *grid_shape(height, width))
        assert grid.context.shape == (1, encoder.context_dim)
        assert grid.positions.isfinite().all()


def test_encoding_repeats_and_batches_agree(tiny_encoder_specs: list[dict[str, Any]]) -> None:
    pixels = noise(64, 80, batch=3)
    together = build_encoder(tiny_encoder_specs)(pixels)
    again = build_encoder(tiny_encoder_specs)(pixels)
    alone = build_encoder(tiny_encoder_specs)(pixels[1:2])
    for name in ("positions", "context", "semantic"):
        assert torch.equal(getattr(together, name), getattr(again, name))
        torch.testing.assert_close(
            getattr(alone, name)[0], getattr(together, name)[1], atol=1e-4, rtol=1e-4
        )


def test_half_precision_is_for_transformers_only(tiny_encoder_specs: list[dict[str, Any]]) -> None:
    encoder = build_encoder(tiny_encoder_specs)
    pixels = noise(64, 64)
    full = encoder(pixels)
    assert encoder.precision == "fp32"
    encoder.to_bf16()
    assert encoder.precision == "bf16"
    half = encoder(pixels)
    assert half.positions.dtype == torch.float32
    convolutional = sum(encoder.groups[2:])
    assert torch.equal(half.positions[:, -convolutional:], full.positions[:, -convolutional:])
    assert not torch.equal(half.positions, full.positions)
    torch.testing.assert_close(half.positions, full.positions, atol=0.1, rtol=0.1)


def test_the_name_tells_backbones_depths_and_weights(
    tiny_encoder_specs: list[dict[str, Any]],
) -> None:
    vit, convolutional = tiny_encoder_specs
    names = {
        build_encoder(specs).name
        for specs in (
            [vit],
            [vit | {"indices": [1]}],
            [vit | {"weights": None}],
            [convolutional],
            [vit, convolutional],
            [convolutional, vit],
        )
    }
    assert len(names) == 6
    assert build_encoder([vit]).name in names


# Descriptions


@pytest.mark.parametrize(
    ("specs", "word"),
    [
        ([], "at least one backbone"),
        ([{"indices": [1]}], "needs a name and depths"),
        ([{"backbone": "dinov2-small"}], "needs a name and depths"),
        ([{"backbone": "timm:test_resnet", "indices": []}], "needs a name and depths"),
        ([{"backbone": "resnet50", "indices": [1]}], "unknown backbone 'resnet50'"),
        ([{"backbone": "timm:no_such_model", "indices": [1]}], "timm cannot build"),
        ([{"backbone": "timm:test_resnet", "indices": [9]}], "5 depths"),
    ],
)
def test_descriptions_of_no_backbone(specs: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        build_encoder(specs)


def test_local_weights_are_used(tmp_path: Path) -> None:
    spec = {"backbone": "timm:test_resnet", "indices": [0], "weights": str(tmp_path / "w")}
    model = timm.create_model("test_resnet")
    save_file(model.state_dict(), tmp_path / "w")
    built = build_encoder([spec]).backbones[0].model.state_dict()
    assert all(torch.equal(tensor, built[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("tensors", "error"),
    [
        ({"conv1.0.weight": torch.zeros(3)}, ConfigError),
        ({"something.else": torch.zeros(3)}, ConfigError),
        (None, AssetError),
    ],
)
def test_local_weights_that_do_not_fit(
    tmp_path: Path, tensors: dict[str, Tensor] | None, error: type[Exception]
) -> None:
    path = tmp_path / "weights.safetensors"
    if tensors is None:
        path.write_bytes(b"not safetensors")
    else:
        save_file(tensors, path)
    with pytest.raises(error, match=r"weights\.safetensors"):
        build_encoder([{"backbone": "timm:test_resnet", "indices": [0], "weights": str(path)}])


# DINOv2, from its ONNX export


@pytest.fixture(scope="module")
def dino(real_asset: FindAsset) -> TimmBackbone:
    real_asset("dinov2-small")
    return build_encoder([{"backbone": "dinov2-small", "indices": [3, 11]}]).backbones[0]


def test_converted_dinov2_agrees_with_onnx_runtime(
    real_asset: FindAsset, cat: Pixels, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    last = "/backbone/layernorm/Add_1_output_0"
    source = real_asset("dinov2-small")
    dinov2.convert_onnx(source, tmp_path / "converted.safetensors")
    network = dinov2.build_dinov2_small().eval()
    network.load_state_dict(load_file(tmp_path / "converted.safetensors"))
    model = onnx.load(str(source))
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)
    )
    onnx.save(model, str(tmp_path / "backbone.onnx"))
    session = runtime.InferenceSession(
        str(tmp_path / "backbone.onnx"), providers=["CPUExecutionProvider"]
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = (as_tensor(cat[:224, 100:324]) - mean) / std
    (expected,) = session.run([last], {session.get_inputs()[0].name: pixels.numpy()})
    with torch.inference_mode():
        features = network.forward_features(pixels)
    assert features.shape == (1, 257, 384)
    assert float((features - torch.from_numpy(expected)).abs().max()) < 1e-4


def test_the_encoder_holds_the_converted_weights(
    dino: TimmBackbone, real_asset: FindAsset, tmp_path: Path
) -> None:
    dinov2.convert_onnx(real_asset("dinov2-small"), tmp_path / "converted.safetensors")
    converted = load_file(tmp_path / "converted.safetensors")
    built = dino.model.state_dict()
    assert converted.keys() == built.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in built.items())


@pytest.mark.parametrize("size", [(14, 14), (14, 140), (112, 154), (518, 28)])
def test_dinov2_takes_any_multiple_of_its_patch(dino: TimmBackbone, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        features = dino(noise(*size))
    for feature_map, token in zip(features.maps, features.tokens, strict=True):
        assert feature_map.shape == (1, 384, size[0] // 14, size[1] // 14)
        assert token.shape == (1, 384)
        assert feature_map.isfinite().all()


def test_dinov2_sees_the_same_thing_at_another_size(dino: TimmBackbone, cat: Pixels) -> None:
    def token(pixels: Pixels, side: int) -> Tensor:
        resized = np.asarray(Image.fromarray(pixels).resize((side, side)))
        return dino(as_tensor(resized)).tokens[-1][0]

    with torch.inference_mode():
        small, large = (token(cat[:, 75:375], side) for side in (140, 280))
        other = token(data.rocket()[:, 100:500], 280)
    similarity = nn.functional.cosine_similarity
    assert similarity(small, large, 0) > similarity(large, other, 0) + 0.2


def test_onnx_files_of_something_else_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "other.onnx"))
    (tmp_path / "text.onnx").write_bytes(b"this is no ONNX file at all" * 9)
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("other", "text", "empty"):
        with pytest.raises(AssetError, match=rf"{name}\.onnx is not"):
            dinov2.convert_onnx(tmp_path / f"{name}.onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# EfficientNet-Lite0, from its checkpoint


def test_converted_lite0_names_the_cat(real_asset: FindAsset, cat: Pixels, tmp_path: Path) -> None:
    lite0.convert_checkpoint(real_asset("efficientnet-lite0"), tmp_path / "converted.safetensors")
    network = lite0.build_lite0().eval()
    network.load_state_dict(load_file(tmp_path / "converted.safetensors"), strict=False)
    small = np.asarray(Image.fromarray(cat).resize((224, 224), Image.Resampling.BICUBIC))
    with torch.inference_mode():
        probabilities = network((as_tensor(small) - 0.5) / 0.5).softmax(1)[0]
    assert int(probabilities.argmax()) == 285  # ImageNet: Egyptian cat
    assert float(probabilities[285]) == pytest.approx(0.77, abs=0.01)
    (backbone,) = build_encoder([{"backbone": "efficientnet-lite0", "indices": [0]}]).backbones
    built = backbone.model.state_dict()
    assert all(torch.equal(built[name], tensor) for name, tensor in network.state_dict().items())


def test_lite0_reads_the_smallest_picture(real_asset: FindAsset) -> None:
    real_asset("efficientnet-lite0")
    encoder = build_encoder([{"backbone": "efficientnet-lite0", "indices": [0, 1, 2, 3, 4]}])
    grid = encoder(noise(32, 32))
    assert encoder.backbones[0].reductions == (2, 4, 8, 16, 32)
    assert encoder.groups == (32, 48, 80, 112, 320)
    assert grid.positions.shape == (1, sum(encoder.groups), 8, 8)


def test_checkpoints_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_bytes(b"this is no checkpoint")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("other", "list", "text", "empty"):
        with pytest.raises(AssetError, match=rf"{name}\.pth holds"):
            lite0.convert_checkpoint(tmp_path / f"{name}.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_would_run_code_is_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(AssetError):
        lite0.convert_checkpoint(tmp_path / "trap.pth", tmp_path / "out")
    assert not (tmp_path / "sprung").exists()


def test_untaught_networks_are_not_taken_for_others() -> None:
    spec = {"backbone": "timm:test_resnet", "indices": [0]}
    names = {build_encoder([spec]).backbones[0].name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("timm:test_resnet#untrained-") for name in names)


def test_the_deviation_in_a_cell_has_a_gradient_wherever_it_is() -> None:
    flat = torch.full((1, 2, 16, 16), 0.3)
    flat[:, :, 8:] = torch.rand(8, 16, generator=torch.Generator().manual_seed(0))
    flat.requires_grad_()
    deviation = _deviation_on_grid(flat, _mean_on_grid(flat, 4, 4))
    deviation.sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert flat.grad[:, :, 8:].any()
    expected = flat.detach().reshape(2, 4, 4, 4, 4).std((2, 4), correction=0)
    torch.testing.assert_close(deviation.detach()[0], expected, atol=1e-3, rtol=0)
