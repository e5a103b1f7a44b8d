"""From a torch network to an ONNX model with every size open."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import nn

from rsfiqa.errors import ConfigError
from rsfiqa.export.interface import Interface, example_of
from rsfiqa.export.same_padding import padded_evenly, restore

OPSET = 18
_SIZES = {"batch": 2, "regions": 3, "rows": 9, "columns": 11, "height": 141, "width": 179}
"""Of the tensors that the exporter follows; all differ, so that none is taken for another."""


def trace(graph: nn.Module, interface: Interface) -> Any:
    """The network as an `onnx.ModelProto`, with its inputs and outputs named.

    Raises:
        ConfigError: torch cannot export it.
    """
    traced = tuple(example_of(port, _SIZES) for port in interface.inputs)
    # One open size a name, whatever the exporter finds to be equal: the names are given afterwards.
    open_axis = torch.export.Dim.DYNAMIC
    axes: list[Any] = [
        {i: open_axis for i, axis in enumerate(port.axes) if isinstance(axis, str)}
        for port in interface.inputs
    ]
    try:
        with padded_evenly(graph) as padded, _quietly(), torch.no_grad():
            program = torch.export.export(
                graph,
                traced,
                dynamic_shapes=tuple(axes),
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            written = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[port.name for port in interface.inputs],
                output_names=[port.name for port in interface.outputs],
                optimize=False,
                verbose=False,
            )
    except ConfigError:
        raise
    except Exception as error:  # whatever the exporter meets in somebody's backbone
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"torch {torch.__version__} cannot export this network ({reason}); part='scorer' does "
            "without the backbones."
        ) from error
    model = _optimized(written, padded)
    _name(model, interface)
    return model


def _optimized(written: Any, padded: frozenset[str]) -> Any:
    """The exporter's program as a model with its paddings restored and constants folded."""
    from onnxscript import optimizer

    model = written.model_proto
    restore(model, padded)
    with _quietly():
        return optimizer.optimize(model)


def _name(model: Any, interface: Interface) -> None:
    """Call the open sizes what they are."""
    for values, ports in (
        (model.graph.input, interface.inputs),
        (model.graph.output, interface.outputs),
    ):
        for value, port in zip(values, ports, strict=True):
            if value.name != port.name:
                raise ConfigError(
                    f"torch {torch.__version__} exported {value.name} in the place of {port.name}."
                )
            value.doc_string = port.what
            for dimension, axis in zip(value.type.tensor_type.shape.dim, port.axes, strict=True):
                dimension.Clear()
                if isinstance(axis, str):
                    dimension.dim_param = axis
                else:
                    dimension.dim_value = axis
    # Shapes of what is inside are named after the exporter's own symbols.
    del model.graph.value_info[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's own words about its steps and its future off the screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
