"""The encoder's file and the scorer's file in a row, as one."""

from __future__ import annotations

from typing import Any

from rsfiqa.export.interface import Interface

_BETWEEN = ("features", "context")
"""What the encoder gives and the scorer takes, under one name in both."""


def join(encoder: Any, scorer: Any, interface: Interface) -> Any:
    """One `onnx.ModelProto` of two; the labels' size is the grid's.

    Args:
        encoder, scorer: as `trace` gives them.
        interface: the inputs and outputs of the whole.
    """
    from onnx import TensorProto, compose, helper

    joined = compose.merge_models(
        _inside_prefixed(encoder, "encoder."),
        _inside_prefixed(scorer, "scorer."),
        io_map=[(name, name) for name in _BETWEEN],
        outputs=[port.name for port in interface.outputs],
    )
    first = helper.make_tensor("first_picture", TensorProto.INT64, [], [0])
    grid = [
        helper.make_node("Gather", ["labels", "first_picture"], ["first_labels"], axis=0),
        helper.make_node("Cast", ["first_labels"], ["grid"], to=TensorProto.FLOAT),
    ]
    graph = joined.graph
    graph.initializer.append(first)
    nodes = [*grid, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    found = {value.name: value for value in graph.input}
    inputs = [found[port.name] for port in interface.inputs]
    del graph.input[:]
    graph.input.extend(inputs)
    return joined


def _inside_prefixed(model: Any, prefix: str) -> Any:
    """The model with all names but those of inputs and outputs behind a prefix."""
    from onnx import compose

    return compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)
