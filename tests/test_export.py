"""`rsfiqa export`: the file says what torch says, at every size, and documents itself."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from command_line import rsfiqa
from conftest import uneven
from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.grid import GridEncoder, grid_shape
from rsfiqa.errors import AssetError, ConfigError, DataError, MissingExtraError
from rsfiqa.export import onnx_file
from rsfiqa.export.graphs import EncoderGraph, PictureGraph, ScorerGraph
from rsfiqa.export.interface import Interface, example_of, interface_of
from rsfiqa.export.onnx_file import PARITY, Exported, export_onnx
from rsfiqa.export.resampling import bicubic, resample, to_cells
from rsfiqa.export.runtime import OnnxModel
from rsfiqa.export.same_padding import padded_evenly, restore
from rsfiqa.scoring.checkpoint import Checkpoint
from rsfiqa.scoring.model import Aggregation, RegionScorer, ScorerConfig
from rsfiqa.scoring.semantics import Semantics
from rsfiqa.scoring.stem import Stem


@cache
def make_encoder() -> GridEncoder:
    """A plain ViT and a convolutional network that pads as TensorFlow does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        vit = timm.create_model("test_vit", depth=2, dynamic_img_size=True)
        convolutional = timm.create_model("test_efficientnet", pad_type="same")
    return GridEncoder(
        [
            TimmBackbone(vit, name="vit", indices=[0, 1]),
            TimmBackbone(convolutional, name="same", indices=[0, 2, 4]),
        ]
    )


def make_checkpoint(
    encoder: GridEncoder | None = None,
    *,
    reader: str = "embedded",
    aggregation: Aggregation = "rsa",
    members: int = 1,
) -> Checkpoint:
    groups, context = (encoder.groups, encoder.context_dim) if encoder else ((6,), 9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        stem = Stem(groups, 4, context)
        config = ScorerConfig(
            stem.channels,
            context,
            aggregation=aggregation,
            dim=8,
            hidden=8,
            members=members,
            description_dim=7,
        )
        scorer = uneven(RegionScorer(config)).eval()
    assert isinstance(scorer, RegionScorer)
    return Checkpoint("tiny", scorer, stem.eval(), [{"backbone": "timm:tiny"}], reader=reader)


def examples(interface: Interface, seed: int = 0, **sizes: int) -> dict[str, Tensor]:
    return {port.name: example_of(port, sizes, seed) for port in interface.inputs}


def run(session: OnnxModel, given_inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    found = session({name: tensor.numpy() for name, tensor in given_inputs.items()})
    return {name: torch.from_numpy(value) for name, value in found.items()}


# Resampling by matrices


@given(st.integers(1, 50), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_cells_are_torchs_adaptive_means(height: int, width: int, rows: int, columns: int) -> None:
    picture = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(0))
    found = resample(picture, to_cells(height, rows), to_cells(width, columns))
    size = (max(height, rows), max(width, columns))
    fine = (
        F.interpolate(picture, size=size, mode="bilinear") if size != (height, width) else picture
    )
    torch.testing.assert_close(
        found, F.adaptive_avg_pool2d(fine, (rows, columns)), atol=1e-5, rtol=1e-5
    )


# Where a side is one pixel, torch makes something else; ours have 32 a side or more.
@given(st.integers(2, 80), st.integers(2, 80), st.integers(2, 60), st.integers(2, 60))
def test_bicubic_is_torchs_antialiased(height: int, width: int, rows: int, columns: int) -> None:
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    found = resample(picture, bicubic(height, rows), bicubic(width, columns))
    expected = F.interpolate(picture, size=(rows, columns), mode="bicubic", antialias=True)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


# The networks that are exported


@settings(max_examples=5)
@given(st.integers(32, 200), st.integers(32, 200), st.integers(1, 2))
def test_the_encoders_twin_gives_what_the_encoder_gives(
    height: int, width: int, batch: int
) -> None:
    encoder = make_encoder()
    stem = make_checkpoint(encoder).stem
    pixels = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    grid = encoder(pixels)
    expected = (*stem(grid.positions, grid.context), grid.semantic)
    cells = torch.zeros(grid_shape(height, width))
    with torch.inference_mode():
        for mine, theirs in zip(EncoderGraph(encoder, stem)(pixels, cells), expected, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=1e-3)


def test_evenly_padded_layers_keep_sizes_and_come_back() -> None:
    network = timm.create_model("test_efficientnet", pad_type="same").eval()
    pixels = torch.rand(1, 3, 61, 94)
    with torch.no_grad():
        before = network.forward_features(pixels)
        with padded_evenly(network) as weights:
            during = network.forward_features(pixels)
        after = network.forward_features(pixels)
    assert weights
    assert all(name.endswith(".weight") for name in weights)
    assert during.shape == before.shape
    assert not torch.equal(during, before)
    assert torch.equal(after, before)


def test_a_kernel_that_would_change_sizes_is_refused() -> None:
    from timm.layers.conv2d_same import Conv2dSame

    network = nn.Sequential(Conv2dSame(3, 4, 2, stride=2))
    with pytest.raises(ConfigError, match="cannot be exported"), padded_evenly(network):
        pass


def test_a_convolution_that_lost_its_name_is_missed() -> None:
    from onnx import helper

    model = helper.make_model(helper.make_graph([], "empty", [], []))
    with pytest.raises(ConfigError, match="1 convolutions"):
        restore(model, frozenset({"stem.weight"}))


# Interfaces


def test_a_scorer_without_readings_has_no_inputs_for_them() -> None:
    names = [
        [port.name for port in interface_of("scorer", make_checkpoint(reader=r), None).inputs]
        for r in ("none", "embedded")
    ]
    assert names[0] == ["features", "context", "labels", "area"]
    assert names[1] == [*names[0], "description", "ratings", "known"]


@pytest.mark.parametrize("part", ["scorer", "encoder", "whole"])
def test_networks_give_what_the_interface_says(part: str) -> None:
    encoder = make_encoder()
    checkpoint = make_checkpoint(encoder)
    interface = interface_of(part, checkpoint, encoder)
    encode, attend = EncoderGraph(encoder, checkpoint.stem), ScorerGraph(checkpoint.scorer)
    graphs = {"scorer": attend, "encoder": encode, "whole": PictureGraph(encode, attend)}
    sizes = {"batch": 2, "regions": 3, "rows": 8, "columns": 9, "height": 64, "width": 70}
    with torch.inference_mode():
        found = graphs[part].eval()(*examples(interface, **sizes).values())
    for port, value in zip(interface.outputs, found, strict=True):
        assert value.shape == tuple(a if isinstance(a, int) else sizes[a] for a in port.axes)
        assert value.dtype == port.kind


def test_parts_are_named() -> None:
    with pytest.raises(ConfigError, match="scorer, encoder, whole; got 'half'"):
        interface_of("half", make_checkpoint(), None)


# Without torch's exporter


def test_a_missing_extra_names_the_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[onnx\]"):
        export_onnx(make_checkpoint(), tmp_path / "scorer.onnx")
    result = rsfiqa("export", tmp_path / "scorer.onnx")
    assert result.exit_code == 1
    assert "rsfiqa[onnx]" in result.stderr
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[onnx\]"):
        OnnxModel(tmp_path / "scorer.onnx")


def test_files_that_are_none(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "no.onnx").write_bytes(b"no model")
    for source in (tmp_path / "no.onnx", tmp_path / "missing.onnx", b"no model"):
        with pytest.raises(AssetError, match="cannot be read by ONNX Runtime"):
            OnnxModel(source)


# Files


@pytest.fixture(scope="module")
def exporter() -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def scorer(exporter: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Exported]:
    checkpoint = make_checkpoint()
    path = tmp_path_factory.mktemp("scorer") / "new" / "scorer.onnx"
    return checkpoint, export_onnx(checkpoint, path)


@pytest.fixture(scope="module")
def whole(
    exporter: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[GridEncoder, Checkpoint, Exported]:
    encoder = make_encoder()
    checkpoint = make_checkpoint(encoder, reader="none")
    path = tmp_path_factory.mktemp("whole") / "whole.onnx"
    return encoder, checkpoint, export_onnx(checkpoint, path, part="whole", encoder=encoder)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("grid", [(1, 1), (8, 128), (32, 32), (13, 9)])
@pytest.mark.parametrize("regions", [1, 2, 30])
def test_the_file_scores_as_torch_does_at_every_size(
    scorer: tuple[Checkpoint, Exported], batch: int, grid: tuple[int, int], regions: int
) -> None:
    checkpoint, exported = scorer
    sizes = {"batch": batch, "regions": regions, "rows": grid[0], "columns": grid[1]}
    inputs = examples(exported.interface, 3, **sizes)
    with torch.inference_mode():
        expected = ScorerGraph(checkpoint.scorer)(*inputs.values())
    found = run(OnnxModel(exported.path), inputs)
    for value, port in zip(expected, exported.interface.outputs, strict=True):
        torch.testing.assert_close(found[port.name], value, atol=PARITY, rtol=0)
    total = (found["weights"] * found["region_scores"]).sum(1)
    torch.testing.assert_close(total, found["score"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found["attention"].sum((1, 2)), torch.ones(batch), atol=1e-4, rtol=0)


def test_readings_count_and_unknown_ones_are_none(scorer: tuple[Checkpoint, Exported]) -> None:
    checkpoint, exported = scorer
    inputs = examples(exported.interface, batch=2, regions=4, rows=6, columns=7)
    session = OnnxModel(exported.path)
    nobody = torch.zeros(2, 4, dtype=torch.bool)
    with torch.inference_mode():
        unread = checkpoint.scorer(*list(inputs.values())[:4])
        read = checkpoint.scorer(*list(inputs.values())[:4], Semantics(*list(inputs.values())[4:]))
    hidden = run(session, {**inputs, "known": nobody})["score"]
    torch.testing.assert_close(hidden, unread.score, atol=PARITY, rtol=0)
    assert (read.score - unread.score).abs().max() > 10 * PARITY
    nan = torch.full_like(inputs["description"], torch.nan)
    spoiled = run(session, {**inputs, "known": nobody, "description": nan})["score"]
    torch.testing.assert_close(spoiled, hidden, atol=1e-5, rtol=0)


def test_fewer_regions_in_one_picture_of_a_batch(scorer: tuple[Checkpoint, Exported]) -> None:
    _, exported = scorer
    inputs = examples(exported.interface, batch=1, regions=3, rows=6, columns=7)
    session = OnnxModel(exported.path)
    padded = {
        **inputs,
        **{
            name: torch.cat([inputs[name], torch.zeros_like(inputs[name][:, :1])], 1)
            for name in ("area", "description", "ratings", "known")
        },
    }
    alone, beside = run(session, inputs), run(session, padded)
    torch.testing.assert_close(beside["score"], alone["score"], atol=1e-4, rtol=0)
    assert not beside["weights"][:, 3].any()


def test_the_file_says_what_it_is(scorer: tuple[Checkpoint, Exported]) -> None:
    import onnx

    _, exported = scorer
    session = OnnxModel(exported.path, threads=1)
    assert session.facts["scorer"] == "tiny"
    assert session.facts["part"] == "scorer"
    assert session.facts["rsfiqa"]
    for port in exported.interface.inputs:
        assert session.facts[f"input.{port.name}"] == port.text
    assert session.inputs == tuple(port.name for port in exported.interface.inputs)
    assert session.outputs == ("score", "region_scores", "weights", "attention")
    model = onnx.load(str(exported.path))
    onnx.checker.check_model(model)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes["labels"] == ["batch", "rows", "columns"]
    assert shapes["features"] == ["batch", 4, "rows", "columns"]
    assert shapes["region_scores"] == ["batch", "regions"]
    assert max(exported.differences.values()) <= PARITY


def test_inputs_that_do_not_fit(scorer: tuple[Checkpoint, Exported]) -> None:
    _, exported = scorer
    session = OnnxModel(exported.path)
    arrays = {
        name: tensor.numpy()
        for name, tensor in examples(
            exported.interface, batch=1, regions=2, rows=3, columns=3
        ).items()
    }
    with pytest.raises(DataError, match="the file takes features, context"):
        session({"features": arrays["features"]})
    for changed in (arrays["context"][:, 1:], arrays["context"].astype(np.float64)):
        with pytest.raises(DataError, match="does not fit"):
            session({**arrays, "context": changed})


@pytest.mark.parametrize(("height", "width", "batch"), [(40, 300, 1), (128, 128, 2), (77, 53, 1)])
def test_the_whole_file_takes_pictures_of_any_size(
    whole: tuple[GridEncoder, Checkpoint, Exported], height: int, width: int, batch: int
) -> None:
    encoder, checkpoint, exported = whole
    rows, columns = grid_shape(height, width)
    sizes = {"batch": batch, "regions": 5, "rows": rows, "columns": columns}
    inputs = examples(exported.interface, 2, height=height, width=width, **sizes)
    grid = encoder(inputs["pixels"])
    with torch.inference_mode():
        expected = checkpoint.scorer(
            *checkpoint.stem(grid.positions, grid.context), inputs["labels"], inputs["area"]
        )
    found = run(OnnxModel(exported.path), inputs)
    for name, value in found.items():
        torch.testing.assert_close(value, getattr(expected, name), atol=PARITY, rtol=0)


def test_the_twin_without_regions_is_exported_too(exporter: None, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(aggregation="pooling", reader="none")
    exported = export_onnx(checkpoint, tmp_path / "pooling.onnx")
    assert exported.differences["score"] <= PARITY


# Failures


def test_what_cannot_be_exported(exporter: None, tmp_path: Path) -> None:
    encoder = make_encoder.__wrapped__()  # one of its own, which may be changed
    checkpoint = make_checkpoint(encoder)
    with pytest.raises(ConfigError, match="needs the encoder"):
        export_onnx(checkpoint, tmp_path / "x.onnx", part="encoder")
    encoder.to_bf16()
    with pytest.raises(ConfigError, match="fp32"):
        export_onnx(checkpoint, tmp_path / "x.onnx", part="encoder", encoder=encoder)
    assert not list(tmp_path.iterdir())


def test_a_network_that_torch_cannot_follow(
    exporter: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_value(self: Any, features: Tensor, *_: Tensor) -> Tensor:
        return features if features.sum() > 0 else -features

    monkeypatch.setattr(ScorerGraph, "forward", by_value)
    with pytest.raises(ConfigError, match="cannot export this network"):
        export_onnx(make_checkpoint(), tmp_path / "x.onnx")


def test_a_file_that_says_something_else_is_not_kept(
    exporter: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_model", lambda *_: _Nothing())
    monkeypatch.setattr(onnx_file, "_document", lambda *_: None)
    for gap in (0.5, float("nan")):
        monkeypatch.setattr(onnx_file, "_differences", lambda *_, gap=gap: {"score": gap})
        with pytest.raises(ConfigError, match="score differs by"):
            export_onnx(make_checkpoint(), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


class _Nothing:
    def SerializeToString(self) -> bytes:  # noqa: N802
        return b""


# The command


def test_the_command_writes_a_file_and_says_what_it_takes(
    exporter: None, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "tiny.onnx"
    result = rsfiqa("export", out, "--model", tiny_model_folder)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "float32 [batch, regions]: quality of each region" in " ".join(
        result.stderr.replace("│", " ").split()
    )
    assert "tiny-test, scorer" in " ".join(result.stderr.split())
    assert OnnxModel(out).facts["scorer"] == "tiny-test"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--part", "half"], 2, "got 'half'"),
        (["--model", "nowhere/at/all"], 1, "nowhere"),
    ],
)
def test_the_command_says_what_is_wrong(
    exporter: None, tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    result = rsfiqa("export", tmp_path / "x.onnx", *arguments)
    assert result.exit_code == status, result.output
    assert words in result.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    result = rsfiqa("export", tmp_path)
    assert result.exit_code == 1
    assert "name a file" in result.stderr


@pytest.mark.parametrize("module", ["cli.export", "cli.bench_score", "export.runtime"])
def test_importing_costs_no_torch(module: str) -> None:
    code = f"import sys, rsfiqa.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
