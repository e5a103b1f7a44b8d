"""Time and memory of step 1 at growing sizes, each case in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from rsfiqa.benchmarks import in_a_process, median_seconds, peak_mb, sample_jpeg

MEGAPIXELS = (0.25, 1.0, 12.0, 50.0)
RULE_MASKS, RULE_SIZE = 300, (3000, 4000)
"""The partition rule's case: how many masks, on what height and width."""


def measure_stages(
    spec: str,
    megapixels: Sequence[float] = MEGAPIXELS,
    *,
    told: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Time the stages of segmenting a photograph of 4:3, on the CPU.

    Args:
        spec: a segmenter by name, as `build_segmenter` takes it.
        megapixels: the sizes.
        told: told of each case before it is measured.

    Returns:
        one row a size: `megapixels`, `width`, `height`; the median `seconds` of each stage:
        `shrink` (to the pixel budget), `features`, `segment`, `enlarge` (the label map to full
        size) and `whole`; `peak_mb` of the process, the decoded photograph and libraries included;
        `regions`; and `repeats`.
    """
    rows = []
    for size in megapixels:
        told(f"{spec} at {size:g} megapixels")
        rows.append(in_a_process(partial(_stages, spec, size)))
    return rows


def measure_rule(*, told: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Time the partition rule on random overlapping ellipses of all sizes, as run lengths.

    Returns:
        `masks`, `width`, `height`, the median `seconds`, `peak_mb`, `regions` and `repeats`.
    """
    told(f"the partition rule, {RULE_MASKS} masks")
    return in_a_process(_rule)


def random_masks(count: int, height: int, width: int, seed: int = 0) -> list[dict[str, Any]]:
    """Ellipses with areas from tiny to a quarter of the picture, as COCO run-length encoding.

    Example:
        >>> random_masks(2, 30, 40)[0]["size"]
        [30, 40]
    """
    from pycocotools import mask as coco

    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    polygons = []
    for _ in range(count):
        centre = rng.uniform((0, 0), (width, height))
        radii = 0.3 * min(height, width) * np.exp(rng.uniform(-4, 0, 2))
        outline = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        polygons.append(outline.ravel().tolist())
    masks: list[dict[str, Any]] = coco.frPyObjects(polygons, height, width)
    return masks


def _stages(spec: str, megapixels: float) -> dict[str, Any]:
    height, width = round(sqrt(megapixels * 0.75e6)), round(sqrt(megapixels / 0.75e-6))
    jpeg = in_a_process(partial(sample_jpeg, height, width))
    from rsfiqa.images import load_image, resize_to_budget
    from rsfiqa.regions.build import build_segmenter
    from rsfiqa.segmentation import PictureSegmenter

    pixels = load_image(jpeg).pixels
    step = PictureSegmenter(build_segmenter(spec))
    whole = step.segment(pixels)  # the first run does not count
    small = resize_to_budget(pixels, step.pixel_budget)
    semantic = step.semantic(small)
    partition = step.segmenter.segment(small, semantic)
    stages: dict[str, Callable[[], Any]] = {
        "shrink": lambda: resize_to_budget(pixels, step.pixel_budget),
        "features": lambda: step.semantic(small),
        "segment": lambda: step.segmenter.segment(small, semantic),
        "enlarge": lambda: partition.resize(height, width),
        "whole": lambda: step.segment(pixels),
    }
    repeats = 5 if megapixels <= 1 else 3
    return {
        "megapixels": megapixels,
        "width": width,
        "height": height,
        "seconds": {name: median_seconds(stage, repeats) for name, stage in stages.items()},
        "peak_mb": peak_mb(),
        "regions": len(whole),
        "repeats": repeats,
    }


def _rule() -> dict[str, Any]:
    from rsfiqa.regions.rule import PartitionRule

    height, width = RULE_SIZE
    masks = random_masks(RULE_MASKS, height, width)
    rule = PartitionRule()
    regions = len(rule.apply(masks, height, width))
    return {
        "rule": rule.name,
        "masks": len(masks),
        "width": width,
        "height": height,
        "seconds": median_seconds(lambda: rule.apply(masks, height, width), 3),
        "peak_mb": peak_mb(),
        "regions": regions,
        "repeats": 3,
    }
