"""Names, shapes and meaning of an exported file's inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from rsfiqa.encoders.grid import SEMANTIC_DEPTHS, GridEncoder
from rsfiqa.errors import ConfigError
from rsfiqa.scoring.checkpoint import Checkpoint
from rsfiqa.types import DIMENSIONS, LEVELS

Part = Literal["scorer", "encoder", "whole"]
"""`scorer` is step 3 alone; `encoder` makes of pixels what it reads; `whole` is both in a row."""

Axis = str | int
"""A size: its name where it is open, or the number."""


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: in the file.
        axes: its shape; sizes of one name are equal.
        what: its meaning, for the file's metadata.
        kind: its element type.
    """

    name: str
    axes: tuple[Axis, ...]
    what: str
    kind: torch.dtype = torch.float32

    @property
    def text(self) -> str:
        """Shape and meaning in one line."""
        shape = ", ".join(map(str, self.axes))
        return f"{str(self.kind).removeprefix('torch.')} [{shape}]: {self.what}"


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a part, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def require_part(part: str) -> None:
    """See that a part is one of `Part`.

    Raises:
        ConfigError: it is not.
    """
    if part not in get_args(Part):
        raise ConfigError(f"a part is {', '.join(get_args(Part))}; got {part!r}.")


def interface_of(part: str, checkpoint: Checkpoint, encoder: GridEncoder | None) -> Interface:
    """The inputs and outputs of a part of a scorer.

    Args:
        part: one of `Part`.
        checkpoint: the scorer. One that was trained without readings has no inputs for them.
        encoder: for the parts that hold it.

    Raises:
        ConfigError: there is no such part.
    """
    require_part(part)
    if part == "encoder":
        return Interface((_PIXELS, _GRID), (*_features(checkpoint), _semantic(encoder)))
    regions = (_LABELS, _AREA, *(_readings(checkpoint) if checkpoint.reads else ()))
    first = _features(checkpoint) if part == "scorer" else (_PIXELS,)
    return Interface((*first, *regions), _RESULTS)


def example_of(port: Port, sizes: dict[str, int], seed: int = 0) -> Tensor:
    """A tensor that fits an input, for tracing and checking; values are as they may occur.

    Args:
        port: the input.
        sizes: the length of every open axis.
        seed: of the values.

    Example:
        >>> example_of(Port("area", ("batch", "regions"), ""), {"batch": 1, "regions": 2}).sum()
        tensor(1.)
    """
    generator = torch.Generator().manual_seed(seed)
    shape = [axis if isinstance(axis, int) else sizes[axis] for axis in port.axes]
    if port.kind == torch.int64:
        return torch.randint(sizes["regions"], shape, generator=generator)
    if port.kind == torch.bool:
        return torch.rand(shape, generator=generator) < 0.7
    if port.name in ("area", "ratings"):
        return torch.randn(shape, generator=generator).softmax(-1)
    if port.name == "pixels":
        # Smooth, as pictures are: features of mere noise are unlike any that were trained on.
        coarse = torch.rand(shape[0], 3, 9, 9, generator=generator)
        size = (shape[2], shape[3])
        smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
        return (smooth + 0.02 * torch.randn(shape, generator=generator)).clamp(0, 1)
    return torch.randn(shape, generator=generator)


_GRID_AXES: tuple[Axis, ...] = ("rows", "columns")
_PIXELS = Port(
    "pixels",
    ("batch", 3, "height", "width"),
    "RGB in 0..1, upright, alpha on white; at most 786432 pixels, resized by area or bicubic",
)
_GRID = Port(
    "grid",
    _GRID_AXES,
    "any values; its size is that of the grid, about 16 pixels a cell and 1024 cells at most "
    "(rsfiqa.encoders.grid.grid_shape)",
)
_LABELS = Port(
    "labels",
    ("batch", *_GRID_AXES),
    "region of each cell of the grid, 0..regions-1 (rsfiqa.regions.grid_labels)",
    torch.int64,
)
_AREA = Port(
    "area",
    ("batch", "regions"),
    "fraction of the picture that each region takes; 0 where a picture has fewer regions",
)
_RESULTS = (
    Port("score", ("batch",), "quality of the picture, 0..100, higher is better"),
    Port("region_scores", ("batch", "regions"), "quality of each region, 0..100"),
    Port(
        "weights",
        ("batch", "regions"),
        "how much each region counts; sums to 1; score = sum of weights * region_scores",
    ),
    Port("attention", ("batch", *_GRID_AXES), "the global attention map; sums to 1"),
)


def _features(checkpoint: Checkpoint) -> tuple[Port, Port]:
    config = checkpoint.scorer.config
    return (
        Port(
            "features",
            ("batch", config.channels, *_GRID_AXES),
            "the backbones' maps on the grid, through the stem",
        ),
        Port("context", ("batch", config.context_dim), "features of the whole picture"),
    )


def _semantic(encoder: GridEncoder | None) -> Port:
    width: Axis = (
        "channels" if encoder is None else sum(encoder.backbones[0].channels[-SEMANTIC_DEPTHS:])
    )
    return Port(
        "semantic",
        ("batch", width, *_GRID_AXES),
        "what belongs together, for segmenting (rsfiqa.regions.embedded)",
    )


def _readings(checkpoint: Checkpoint) -> tuple[Port, ...]:
    width = checkpoint.scorer.config.description_dim
    levels = ", ".join(LEVELS)
    return (
        Port(
            "description",
            ("batch", "regions", width),
            "sentence embedding (MiniLM-L6-v2) of each region's description",
        ),
        Port(
            "ratings",
            ("batch", "regions", len(DIMENSIONS), len(LEVELS)),
            f"probabilities of the levels {levels} for {', '.join(DIMENSIONS)}",
        ),
        Port(
            "known",
            ("batch", "regions"),
            "whether a region was read; all false equals no reader",
            torch.bool,
        ),
    )
