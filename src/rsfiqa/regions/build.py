"""Segmenters by name, as the command line and `RSFIQA.from_pretrained` take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsfiqa.errors import ConfigError
from rsfiqa.regions.base import Segmenter

if TYPE_CHECKING:
    import torch

SEGMENTERS = {
    "embedded": "superpixels merged by DINOv2 features and colour (the default)",
    "grid": "near-square cells, 6 along the long side",
    "grid:N": "near-square cells, N along the long side",
    "sam:MODEL": "a model of the SAM family, by hub id or folder",
}
"""What a segmenter may be called, and what it does."""


def build_segmenter(spec: str, *, device: str | torch.device = "cpu", **options: Any) -> Segmenter:
    """A segmenter from its name.

    Args:
        spec: `embedded`; `grid` or `grid:N`, near-square cells with N along the long side;
            `sam:MODEL`, a model of the SAM family by hub id or local folder.
        device: where a segmenter with a network of its own runs.
        options: settings of the segmenter, such as `max_regions=12` for `embedded`.

    Raises:
        ConfigError: there is no such segmenter, or it has no such setting.
        AssetError: a model cannot be had.

    Example:
        >>> build_segmenter("grid:4").name
        'grid-1/4'
    """
    kind, colon, rest = spec.partition(":")
    if kind == "embedded" and not colon:
        from rsfiqa.regions.embedded import EmbeddedSegmenter

        return _made(EmbeddedSegmenter, spec, options)
    if kind == "grid":
        from rsfiqa.regions.grid import GridSegmenter

        if colon:
            options = {"cells": _cells(rest, spec), **options}
        return _made(GridSegmenter, spec, options)
    if kind == "sam" and rest:
        from rsfiqa.regions.sam import SamSegmenter

        return _made(SamSegmenter.from_pretrained, spec, {"device": device, **options}, rest)
    raise ConfigError(f"unknown segmenter {spec!r}; this version knows: {', '.join(SEGMENTERS)}.")


def _cells(text: str, spec: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"grid:N takes a whole number of cells, as in grid:6; got {spec!r}.")
    return int(text[:9])


def _made(make: Any, spec: str, options: dict[str, Any], *arguments: Any) -> Segmenter:
    import inspect

    try:
        inspect.signature(make).bind(*arguments, **options)
    except TypeError as error:
        raise ConfigError(f"the segmenter {spec} does not take these settings: {error}.") from error
    segmenter: Segmenter = make(*arguments, **options)
    return segmenter
