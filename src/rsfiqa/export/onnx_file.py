"""A scorer as an ONNX file, written by torch's exporter, named, documented and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsfiqa import __version__
from rsfiqa.atomic import replacing
from rsfiqa.encoders.build import without_branches
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.export.graphs import EncoderGraph, PictureGraph, ScorerGraph
from rsfiqa.export.interface import Interface, example_of, interface_of
from rsfiqa.export.joining import join
from rsfiqa.export.tracing import trace
from rsfiqa.scoring.checkpoint import Checkpoint

PARITY = 1e-3
"""Scores, weights and attention of the file differ from torch's by at most this."""

_CHECKED = (
    {"batch": 1, "regions": 1, "rows": 8, "columns": 8, "height": 64, "width": 96},
    {"batch": 3, "regions": 5, "rows": 12, "columns": 9, "height": 200, "width": 150},
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        interface: its inputs and outputs.
        differences: the largest difference of each output from torch's, over two sizes; empty
            where it was not checked.
    """

    path: Path
    interface: Interface
    differences: dict[str, float]


def export_onnx(
    checkpoint: Checkpoint,
    path: str | Path,
    *,
    part: str = "scorer",
    encoder: GridEncoder | None = None,
    check: bool = True,
) -> Exported:
    """Write a part of a scorer as an ONNX file that takes any batch, grid and number of regions.

    Args:
        checkpoint: the scorer; it and the encoder are moved to the CPU.
        path: the file; it is written whole or not at all.
        part: see `rsfiqa.export.interface.Part`.
        encoder: the checkpoint's, in fp32, for a part that holds it.
        check: run the file with ONNX Runtime and compare it with torch.

    Raises:
        ConfigError: there is no such part, its encoder is missing or cannot be exported, or the file
            says something else than torch.
        DataError: the file cannot be written.
        MissingExtraError: the packages for it are not installed.
    """
    target = Path(path)
    require_onnx(check=check)
    interface = interface_of(part, checkpoint, encoder)
    graph = _graph(part, checkpoint, encoder)
    model = _model(part, graph, interface, checkpoint, encoder)
    _document(model, interface, part, checkpoint)
    data = model.SerializeToString()
    differences = _differences(graph, interface, data) if check else {}
    _require_parity(differences)
    try:
        with replacing(target) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}.") from error
    return Exported(target, interface, differences)


def require_onnx(*, check: bool = True) -> None:
    """See that what writes and runs ONNX files is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import onnxscript  # noqa: F401

        if check:
            import onnxruntime  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("The export to ONNX", "onnx") from error


def _graph(part: str, checkpoint: Checkpoint, encoder: GridEncoder | None) -> nn.Module:
    scorer = ScorerGraph(checkpoint.scorer)
    if part == "scorer":
        return scorer.cpu().eval()
    if encoder is None:
        raise ConfigError(f"the part {part} needs the encoder; give encoder=, or part='scorer'.")
    if encoder.precision != "fp32":
        raise ConfigError("only an encoder in fp32 can be exported; build another.")
    seen = EncoderGraph(encoder, checkpoint.stem)
    return (seen if part == "encoder" else PictureGraph(seen, scorer)).cpu().eval()


def _model(
    part: str,
    graph: nn.Module,
    interface: Interface,
    checkpoint: Checkpoint,
    encoder: GridEncoder | None,
) -> Any:
    """The part as an `onnx.ModelProto`."""
    if not isinstance(graph, PictureGraph):
        return trace(graph, interface)
    # Two small problems are easier on the exporter than the two in one.
    first = trace(graph.encode, interface_of("encoder", checkpoint, encoder))
    second = trace(graph.attend, interface_of("scorer", checkpoint, encoder))
    return join(first, second, interface)


def _document(model: Any, interface: Interface, part: str, checkpoint: Checkpoint) -> None:
    """Say in the file what it is."""
    from onnx import helper

    model.producer_name, model.producer_version = "rsfiqa", __version__
    model.graph.name = f"rsfiqa {part}"
    model.doc_string = (
        f"rsfiqa's {part} of the scorer {checkpoint.name}: region-aware no-reference image quality "
        "assessment."
    )
    facts = {
        "rsfiqa": __version__,
        "scorer": checkpoint.name,
        "part": part,
        "encoder": json.dumps(without_branches(checkpoint.encoder)),
        "segmenter": checkpoint.segmenter,
        "reader": checkpoint.reader,
        **{f"input.{port.name}": port.text for port in interface.inputs},
        **{f"output.{port.name}": port.text for port in interface.outputs},
    }
    helper.set_model_props(model, facts)


def _differences(graph: nn.Module, interface: Interface, data: bytes) -> dict[str, float]:
    """How far each output of the file is from torch's, at most, over a few sizes."""
    from rsfiqa.export.runtime import OnnxModel

    session = OnnxModel(data)
    worst = {port.name: 0.0 for port in interface.outputs}
    for sizes in _CHECKED:
        given = [example_of(port, sizes, seed=1) for port in interface.inputs]
        with torch.inference_mode():
            expected = graph(*given)
        named = zip(interface.inputs, given, strict=True)
        found = session({port.name: tensor.numpy() for port, tensor in named})
        for port, value in zip(interface.outputs, expected, strict=True):
            gap = float((torch.from_numpy(found[port.name]) - value).abs().max())
            worst[port.name] = max(worst[port.name], gap)
    return worst


def _require_parity(differences: dict[str, float]) -> None:
    for name in ("score", "region_scores", "weights", "attention"):
        if not differences.get(name, 0.0) <= PARITY:
            raise ConfigError(
                f"the exported file says something else than torch: {name} differs by "
                f"{differences[name]:.2g}, where {PARITY:g} is allowed. Nothing was written."
            )
