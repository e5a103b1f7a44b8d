"""Measurements of time and memory, each case in a process of its own."""

from __future__ import annotations

import io
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

T = TypeVar("T")

REPEATS = 7


@dataclass(frozen=True)
class Measurement:
    """One case: median seconds (a picture), and the peak resident memory of its process.

    Attributes:
        case: what was done.
        seconds: median over `repeats` runs after one that does not count.
        peak_mb: peak resident memory in MB (10⁶ bytes), Python and libraries included; None
            where the platform does not tell.
        repeats: counted runs.
    """

    case: str
    seconds: float
    peak_mb: float | None
    repeats: int


def bench_assess(
    precision: str = "fp32",
    *,
    huge: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Time and memory of assessing pictures, and where the time goes.

    Args:
        precision: of the backbones.
        huge: measure a picture of 100 megapixels too.
        told: told of each case before it is measured.

    Returns:
        plain data: `machine`, `stages` (seconds of a 512×512 picture) and `measurements`.
    """
    cases: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("one 512×512 picture", partial(_single, (512, 512), precision, REPEATS)),
        ("eight 512×512 pictures one by one, each", partial(_series, precision, batch=False)),
        ("eight 512×512 pictures in a batch, each", partial(_series, precision, batch=True)),
        ("one 1024×768 picture", partial(_single, (768, 1024), precision, 3)),
        ("one 12-megapixel picture", partial(_single, (3000, 4000), precision, 3)),
    ]
    if huge:
        cases.append(("one 100-megapixel picture", partial(_single, (10000, 10000), precision, 2)))
    measurements: list[Measurement] = []
    stages: dict[str, float] = {}
    for name, case in cases:
        told(name)
        found = in_a_process(case)
        stages |= found.pop("stages", {})
        measurements.append(Measurement(name, **found))
    told("the command line, from start to first result")
    measurements.append(_start_to_result(precision))
    return {
        "precision": precision,
        "machine": machine(),
        "stages": stages,
        "measurements": [asdict(m) for m in measurements],
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def in_a_process(case: Callable[[], T]) -> T:
    """Call in a fresh process, whose peak memory is then the case's own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(case).result()


def sample_jpeg(height: int, width: int) -> bytes:
    """A photograph of any size; its peak memory is not the case's, so a helper process makes it."""
    from rsfiqa.samples import sample_picture

    picture = Image.fromarray(sample_picture("astronaut"))
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _single(size: tuple[int, int], precision: str, repeats: int) -> dict[str, Any]:
    jpeg = in_a_process(partial(sample_jpeg, *size))
    from rsfiqa.cli.common import make_assessor

    assessor = make_assessor(precision=precision, device="cpu")
    assessor.assess(jpeg)
    seconds = median_seconds(lambda: assessor.assess(jpeg), repeats)
    found: dict[str, Any] = {"seconds": seconds, "peak_mb": peak_mb(), "repeats": repeats}
    if size == (512, 512):
        found["stages"] = _stages(assessor, jpeg)
    return found


def _series(precision: str, *, batch: bool) -> dict[str, Any]:
    from rsfiqa.cli.common import make_assessor

    jpeg = sample_jpeg(512, 512)
    assessor = make_assessor(precision=precision, device="cpu")
    pictures: list[Any] = [jpeg] * 8

    def run() -> None:
        if batch:
            assessor.assess_batch(pictures)
        else:
            for picture in pictures:
                assessor.assess(picture)

    run()
    return {"seconds": median_seconds(run, 3) / len(pictures), "peak_mb": peak_mb(), "repeats": 3}


def _stages(assessor: Any, jpeg: bytes) -> dict[str, float]:
    """Seconds of each step of one picture; reports are made on request only."""
    from rsfiqa.images import load_image

    extractor = assessor.extractor
    pixels: npt.NDArray[np.uint8] = load_image(jpeg).pixels
    grid = extractor.encode(pixels)
    partition = extractor.segment(pixels, grid)
    assessment = assessor.assess(jpeg)

    def report() -> None:
        with tempfile.TemporaryDirectory() as folder:
            assessment.save_report(Path(folder) / "report.html")

    steps: dict[str, Callable[[], Any]] = {
        "decode": lambda: load_image(jpeg),
        "encode": lambda: extractor.encode(pixels),
        "segment": lambda: extractor.segment(pixels, grid),
        "read": lambda: assessor.reader.read(pixels, partition, grid),
        "attend": lambda: assessor.score_regions(extractor.reduce(grid, partition)),
        "json": assessment.to_json,
        "overlay": assessment.overlay,
        "report": report,
    }
    return {name: median_seconds(step, REPEATS) for name, step in steps.items()}


def median_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Median wall-clock seconds of `repeats` calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _start_to_result(precision: str) -> Measurement:
    """A whole run of the command on one picture, weights in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.jpg"
        picture.write_bytes(sample_jpeg(512, 512))
        command = [sys.executable, "-m", "rsfiqa", "assess", str(picture), "--precision", precision]

        def run() -> None:
            subprocess.run(command, check=True, capture_output=True)

        run()
        return Measurement(
            "the command line, from start to first result", median_seconds(run, 3), None, 3
        )


def peak_mb() -> float | None:
    """Peak resident memory of this process in MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3 / 1.024), 1)
