"""The measurements behind `rsfiqa bench segment`: whom to compare, on which pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import torch

from rsfiqa.errors import ConfigError
from rsfiqa.learning.bsds import BsdsPicture, read_bsds
from rsfiqa.learning.segmentation_agreement import Segment, measure_agreement, measure_covering
from rsfiqa.learning.segmentation_stability import measure_stability
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.baselines import FelzenszwalbSegmenter, SlicSegmenter
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.segmentation import PictureSegmenter

SEARCH_SPLIT = "train"
"""Of BSDS500: what the baselines' settings are searched on."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given what is done and in how many pictures: a context whose value is told of those done."""

BASELINES: Mapping[str, Sequence[Segmenter]] = {
    "grid": [GridSegmenter(cells) for cells in (3, 1, 2, 4, 5, 6, 8)],
    "SLIC": [
        SlicSegmenter(regions, compactness)
        for regions, compactness in product((3, 2, 4, 6, 8, 12, 16, 24), (10.0, 3.0, 30.0))
    ],
    "Felzenszwalb": [
        FelzenszwalbSegmenter(scale, sigma, min_area)
        for scale, sigma, min_area in product(
            (400.0, 200.0, 800.0, 1600.0), (1.2, 0.8, 1.6, 2.4), (0.01, 0.005, 0.02)
        )
    ],
}
"""The settings tried of each baseline; the first one serves where there is nothing to search on."""


def _silent(_what: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _count: None)


def bench_segmenters(
    segmenters: Mapping[str, Segmenter],
    *,
    bsds: Path | None = None,
    split: str = "val",
    clean: Sequence[Path] = (),
    baselines: bool = True,
    limit: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Compare segmenters at their own settings with baselines at their best single one.

    Args:
        segmenters: by name.
        bsds: the folder of BSDS500, for agreement with people; None leaves that out.
        split: of BSDS500, to measure on.
        clean: clean photographs, for stability; none leaves that out.
        baselines: measure those of `BASELINES` too. Their settings are searched by covering on the
            train split; without BSDS500 they keep their first ones.
        limit: pictures at most, of each split and of the clean ones.
        seed: of the distortions.
        device: where features are computed.
        workers: pictures side by side.
        progress: shows how far the work is.

    Returns:
        plain data: `settings`, the full name of each segmenter; `search`, if there was one, with
        the coverings of all settings; `agreement` (see `measure_agreement`) and `stability` (see
        `measure_stability`), as far as they were asked for.

    Raises:
        ConfigError: baselines are to be measured on the split that they are searched on.
        DataError: a data set is not as it should be.
        ImageError: a photograph cannot be read.
    """
    if bsds is not None and baselines and split == SEARCH_SPLIT:
        raise ConfigError(
            f"the baselines' settings are searched on the {SEARCH_SPLIT} split, and figures on it "
            "would flatter them; measure on another split, or leave the baselines out."
        )
    pictures = read_bsds(bsds, split)[:limit] if bsds is not None else []
    photographs = clean[:limit]
    found: dict[str, Any] = {"limit": limit, "seed": seed}
    contestants = dict(segmenters)
    if baselines and bsds is not None:
        training = read_bsds(bsds, SEARCH_SPLIT)[:limit]
        with progress("searching the baselines' settings", len(training)) as advance:
            searched = search_baselines(training, workers=workers, told=lambda: advance(1))
        found["search"] = {"split": SEARCH_SPLIT, "pictures": len(training), "covering": searched}
        contestants |= {name: _best(name, tried) for name, tried in searched.items()}
    elif baselines:
        contestants |= {name: settings[0] for name, settings in BASELINES.items()}
    found["settings"] = {name: segmenter.name for name, segmenter in contestants.items()}
    segments = _runnable(contestants, device)
    if pictures:
        with progress("agreement with people", len(pictures)) as advance:
            rows = measure_agreement(segments, pictures, workers=workers, told=lambda: advance(1))
        found["agreement"] = {"split": split, "pictures": len(pictures), "rows": rows}
    if photographs:
        with progress("stability", len(photographs)) as advance:
            stable = measure_stability(
                segments, photographs, seed=seed, workers=workers, told=lambda: advance(1)
            )
        found["stability"] = {"pictures": len(photographs), "rows": stable}
    return found


def search_baselines(
    pictures: Sequence[BsdsPicture], *, workers: int = 1, told: Callable[[], None] = lambda: None
) -> dict[str, dict[str, float]]:
    """The covering that every setting of every baseline reaches: by baseline, then by full name."""
    settings = {s.name: s for several in BASELINES.values() for s in several}
    coverings = measure_covering(_runnable(settings), pictures, workers=workers, told=told)
    return {
        name: {s.name: coverings[s.name] for s in several} for name, several in BASELINES.items()
    }


def _best(baseline: str, tried: Mapping[str, float]) -> Segmenter:
    return max(BASELINES[baseline], key=lambda segmenter: tried[segmenter.name])


def _runnable(
    segmenters: Mapping[str, Segmenter], device: torch.device | str = "cpu"
) -> dict[str, Segment]:
    """Each segmenter as a function of a picture; those that read features share one encoder."""
    encoder = None
    runnable: dict[str, Segment] = {}
    for name, segmenter in segmenters.items():
        shared = encoder if segmenter.needs_semantic else None
        step = PictureSegmenter(segmenter, shared, device=device)
        encoder = encoder or step.encoder
        runnable[name] = step.segment
    return runnable
