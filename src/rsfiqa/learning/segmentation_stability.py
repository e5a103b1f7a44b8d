"""Does a segmenter still see the same regions when the picture is spoiled?

Clean photographs are spoiled as a whole, and the partition of the copy is compared with that of the
photograph: their covering, taken both ways and averaged, so that neither many small regions nor one
large one look stable for free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.distortions import STRENGTHS, distort
from rsfiqa.learning.partition_metrics import Overlap
from rsfiqa.learning.segmentation_agreement import Segment
from rsfiqa.parallel import parallel_map

KINDS: Mapping[str, tuple[str, ...]] = {
    "blur": ("gaussian_blur",),
    "noise": ("gaussian_noise",),
    "JPEG": ("jpeg",),
    "exposure": ("underexpose", "overexpose"),
}
"""The families of `rsfiqa.learning.distortions` in each kind; exposure is spoiled both ways."""

_Case = tuple[str, int]
_BothWays = tuple[float, float]


def measure_stability(
    segments: Mapping[str, Segment],
    paths: Sequence[Path],
    *,
    seed: int = 0,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, Any]]:
    """Compare the partitions of clean photographs with those of their spoiled copies.

    Args:
        segments: the segmenters by name.
        paths: clean photographs.
        seed: of the distortions; each photograph gets a seed of its own from it.
        workers: photographs side by side.
        told: called after each photograph.

    Returns:
        by name: `covering`, the mean over kinds and strengths (the two exposures are one kind);
        `families`, for each family its coverings by strength, 1 to 4; `clean_by_spoiled` and
        `spoiled_by_clean`, the two directions of `covering`; and `rows`, one a photograph with
        its mean covering and the regions of its clean partition.

    Raises:
        DataError: there are no photographs.
        ImageError: one of them cannot be read.
    """
    if not paths:
        raise DataError("stability needs at least one clean photograph; none was given.")

    def compare(numbered: tuple[int, Path]) -> dict[str, tuple[int, dict[_Case, _BothWays]]]:
        number, path = numbered
        pixels = load_image(path).pixels
        clean = {name: segment(pixels) for name, segment in segments.items()}
        found: dict[str, dict[_Case, _BothWays]] = {name: {} for name in segments}
        for family in (family for families in KINDS.values() for family in families):
            for strength in STRENGTHS:
                spoiled = distort(pixels, family, strength, seed + number)
                for name, segment in segments.items():
                    overlap = Overlap.between(clean[name], segment(spoiled))
                    ways = overlap.covering, overlap.reversed().covering
                    found[name][family, strength] = ways
        return {name: (len(clean[name]), cases) for name, cases in found.items()}

    coverings: dict[str, list[dict[_Case, _BothWays]]] = {name: [] for name in segments}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in segments}
    for path, found in zip(
        paths, parallel_map(compare, list(enumerate(paths)), workers), strict=True
    ):
        for name, (regions, cases) in found.items():
            coverings[name].append(cases)
            mean = _mean_over_kinds({case: fmean(ways) for case, ways in cases.items()})
            rows[name].append({"image": path.name, "covering": mean, "regions": regions})
        told()
    return {name: _summarise(coverings[name]) | {"rows": rows[name]} for name in segments}


def _summarise(pictures: Sequence[Mapping[_Case, _BothWays]]) -> dict[str, Any]:
    cases = list(pictures[0])
    ways = [{c: fmean(picture[c][way] for picture in pictures) for c in cases} for way in (0, 1)]
    both = {case: fmean(way[case] for way in ways) for case in cases}
    return {
        "covering": _mean_over_kinds(both),
        "clean_by_spoiled": _mean_over_kinds(ways[0]),
        "spoiled_by_clean": _mean_over_kinds(ways[1]),
        "families": {
            family: [both[family, strength] for strength in STRENGTHS]
            for families in KINDS.values()
            for family in families
        },
    }


def _mean_over_kinds(values: Mapping[_Case, float]) -> float:
    """The mean in which each kind weighs the same, however many families it has."""
    return fmean(
        fmean(values[family, strength] for family in families for strength in STRENGTHS)
        for families in KINDS.values()
    )
