"""Time and memory of reading a 512×512 picture with ten regions on two cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rsfiqa.benchmarks import in_a_process, median_seconds, peak_mb, sample_jpeg
from rsfiqa.learning.reading_raters import Pixels, Studio, rating_only
from rsfiqa.partition import Partition
from rsfiqa.reading.base import Reader

SIDE = 512
ROWS, COLUMNS = 2, 5
CORES = 2
REPEATS = 5


def measure_timing(
    spec: str,
    settings: Mapping[str, Any] | None = None,
    *,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Time a reader beyond the features, and the whole assessment with it, each in its own process.

    Nothing is taken from the cache of readings.

    Args:
        spec: a reader by name.
        settings: of `rsfiqa.reading.build.build_reader`, for the reader.
        told: told of each case before it is measured.

    Returns:
        `width`, `height`, `regions`, `threads`, `repeats`; median `seconds` of `ratings` (None for a
        reader that always describes), of `descriptions` (ratings and descriptions), and of `assess`
        (from file to assessment, with the default segmenter's `assess_regions`); and `peak_mb` of
        the process that assessed, Python and libraries included.

    Raises:
        AssetError: weights cannot be had.
        ConfigError: there is no such reader, or it has no such setting.
    """
    given = dict(settings or {})
    told("reading")
    found = in_a_process(partial(_reading, spec, given))
    told("assessing")
    whole = in_a_process(partial(_assessing, spec, given))
    return {
        "width": SIDE,
        "height": SIDE,
        "regions": ROWS * COLUMNS,
        "threads": found["threads"],
        "repeats": REPEATS,
        "seconds": {**found["seconds"], "assess": whole["seconds"]},
        "assess_regions": whole["regions"],
        "peak_mb": whole["peak_mb"],
    }


def time_reader(
    reader: Reader, pixels: Pixels, partition: Partition, studio: Studio, repeats: int = REPEATS
) -> dict[str, float | None]:
    """Median seconds of `ratings` and of `descriptions` with them, the features being there."""

    def seconds(timed: Reader) -> float:
        picture = studio.picture(pixels, partition)
        picture.read_by(timed)  # the first run does not count, and computes the features
        return median_seconds(lambda: picture.read_by(timed), repeats)

    silent = rating_only(reader)
    return {
        "ratings": None if silent is reader else seconds(silent),
        "descriptions": seconds(reader),
    }


def ten_regions() -> Partition:
    """Ten cells of about equal size: two rows of five."""
    row, column = np.arange(SIDE) * ROWS // SIDE, np.arange(SIDE) * COLUMNS // SIDE
    return Partition(row[:, None] * COLUMNS + column[None])


def _two_cores() -> int:
    import torch

    torch.set_num_threads(min(CORES, torch.get_num_threads()))
    return torch.get_num_threads()


def _reading(spec: str, settings: dict[str, Any]) -> dict[str, Any]:
    from rsfiqa.encoders.build import build_encoder
    from rsfiqa.images import load_image
    from rsfiqa.reading.build import build_reader

    threads = _two_cores()
    pixels = load_image(sample_jpeg(SIDE, SIDE)).pixels
    reader = build_reader(spec, **{**settings, "device": "cpu", "cache": False})
    encoder = build_encoder().eval() if reader.encoder_name is not None else None
    studio = Studio(encoder)
    return {"threads": threads, "seconds": time_reader(reader, pixels, ten_regions(), studio)}


def _assessing(spec: str, settings: dict[str, Any]) -> dict[str, Any]:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.reading.build import build_reader

    _two_cores()
    jpeg = in_a_process(partial(sample_jpeg, SIDE, SIDE))
    reader = build_reader(spec, **{**settings, "device": "cpu", "cache": False})
    assessor = RSFIQA.from_pretrained(device="cpu", reader=reader)
    regions = len(assessor.assess(jpeg).regions)  # the first run does not count
    seconds = median_seconds(lambda: assessor.assess(jpeg), REPEATS)
    return {"seconds": seconds, "regions": regions, "peak_mb": peak_mb()}
