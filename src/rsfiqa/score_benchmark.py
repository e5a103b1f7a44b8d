"""What scoring a picture costs, stage by stage: against sizes, regions, cores and engines.

Every setting runs in a process of its own, whose peak memory is then the setting's. Inside it all stages
take turns, so that whatever else the machine does slows all alike, and processor time is taken beside
the wall clock's, since it hardly minds company.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rsfiqa.benchmarks import in_a_process, machine, peak_mb
from rsfiqa.errors import ConfigError
from rsfiqa.score_benchmark_steps import (
    BOOKKEEPING,
    ENGINES,
    Setting,
    Steps,
    compact_partition,
    load,
    obstacle,
    reading_step,
    resnet50_step,
    scoring_steps,
)

SIZES = (256, 512, 1024, 2048)
REGIONS = (4, 16, 64)
REFERENCE_SIZE, REFERENCE_REGIONS = 512, 16
PRECISIONS = ("fp32", "bf16")
GOAL = 0.15
"""RSA and its bookkeeping (labels on the grid, stem, attention with its tokens) add less than this
fraction of the backbones' time."""


@dataclass(frozen=True)
class Plan:
    """What a setting measures.

    Attributes:
        sizes: sides of square pictures, in pixels; with the reference number of regions.
        regions: numbers of regions; on the reference picture.
        repeats: turns at most, after one that does not count.
        budget: seconds for the turns of one case; two are taken whatever they take.
        reader: whose reading of the reference picture is timed, or `none`.
    """

    sizes: tuple[int, ...] = SIZES
    regions: tuple[int, ...] = REGIONS
    repeats: int = 5
    budget: float = 2.0
    reader: str = "embedded"

    @property
    def reference(self) -> tuple[int, int]:
        """Size and regions of the case that everything is measured on."""
        return (
            min(self.sizes, key=lambda size: abs(size - REFERENCE_SIZE)),
            min(self.regions, key=lambda count: abs(count - REFERENCE_REGIONS)),
        )

    @property
    def cases(self) -> list[tuple[int, int]]:
        """Size and regions of every case, small pictures first."""
        size, regions = self.reference
        pairs = [(side, regions) for side in self.sizes] + [(size, n) for n in self.regions]
        return sorted(set(pairs))


def bench_score(
    plan: Plan | None = None,
    *,
    engines: Sequence[str] = ("eager",),
    precisions: Sequence[str] = PRECISIONS,
    threads: Sequence[int] = (1, 2),
    model: str | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Time and memory of scoring and of each of its stages.

    Args:
        plan: pictures and turns.
        engines: of `eager`, `compile` and `onnx`. Compiled code is measured on the reference case only,
            since every size is compiled anew, for about a minute; `onnx` exports first, as long.
        precisions: of the backbones.
        threads: numbers of cores.
        model: a scorer's folder or hub id; None for the one that ships with the package.
        told: told of each setting before it is measured.

    Returns:
        plain data: `machine`; `reference`, size and regions; `skipped`, engines that cannot run and why;
        one of `rows` a setting and case with `engine`, `precision`, `threads`, `size`, `regions`,
        `peak_mb` (None where another case of the process needed more before, or the platform does not
        tell), the `stages` (see `scoring_steps`; `resnet50`, and `read` on the reference case) with
        `median`, `low` and `high` wall-clock seconds, the median `cpu` seconds of all threads, and
        `turns`; and `added`, what regions add as a fraction of the backbones' `wall` and `cpu` time, and
        the same `wall_after_grid` and `cpu_after_grid`, without what bringing maps to the grid takes,
        or None; and `goal`, or None where no fraction was measured.

    Raises:
        ConfigError: a setting is not among those accepted.
        AssetError: weights cannot be had.
    """
    plan = plan or Plan()
    _require(plan, engines, precisions, threads)
    skipped: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        files: tuple[str, str] | None = None
        for setting in _settings(engines, precisions, threads, model):
            if reason := obstacle(setting.engine, setting.precision):
                skipped[f"{setting.engine} {setting.precision}"] = reason
                continue
            if setting.engine == "onnx":
                if files is None:
                    told("exporting to ONNX, for about a minute")
                    files = in_a_process(partial(_export, model, folder))
                setting = replace(setting, encoder_file=files[0], scorer_file=files[1])  # noqa: PLW2901
            told(setting.name)
            rows.extend(in_a_process(partial(measure_setting, setting, plan)))
    return {
        "machine": machine(),
        "reference": dict(zip(("size", "regions"), plan.reference, strict=True)),
        "skipped": skipped,
        "rows": rows,
        "goal": _judge(rows, plan.reference),
    }


def by_setting(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each engine, precision and number of threads, under its name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        name = Setting(row["engine"], row["precision"], row["threads"]).name
        found.setdefault(name, []).append(row)
    return found


def measure_setting(setting: Setting, plan: Plan) -> list[dict[str, Any]]:
    """All cases of one setting, in this process; see `bench_score` for a row."""
    assessor = load(setting)
    cases = plan.cases if setting.engine != "compile" else [plan.reference]
    peaks: dict[tuple[int, int], float | None] = {}
    highest = 0.0
    for case in cases:  # before anything else grows the process; this warms up, too
        scoring_steps(assessor, setting, *case)["whole"]()
        peak = peak_mb()
        peaks[case] = peak if peak is not None and peak > highest else None
        highest = max(highest, peak or 0.0)
    rows = []
    for case in cases:
        steps = scoring_steps(assessor, setting, *case)
        steps["resnet50"] = resnet50_step(assessor, setting, case[0])
        stages, added = take_turns(steps, plan.repeats, plan.budget)
        if case == plan.reference and plan.reader != "none":
            read = reading_step(assessor, plan.reader, *case)
            stages |= take_turns({"read": read}, plan.repeats, plan.budget)[0]
        rows.append(
            {
                "engine": setting.engine,
                "precision": setting.precision,
                "threads": setting.threads,
                "size": case[0],
                "regions": case[1],
                "peak_mb": peaks[case],
                "stages": stages,
                "added": added,
            }
        )
    return rows


def take_turns(
    steps: Steps, repeats: int, budget: float
) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
    """Time steps one after the other, again and again.

    Args:
        steps: what to time.
        repeats: turns at most, after one that does not count.
        budget: seconds after which no further turn begins, except the second.

    Returns:
        a row for each step (see `bench_score`), and what regions add: the grid, which is what `encode`
        does beyond the `backbones`, and the `BOOKKEEPING` as a fraction of the backbones' own time,
        the median over turns, by the wall clock and in processor time; None without `backbones`.
    """
    for step in steps.values():
        step()
    gc.collect()
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    started = time.perf_counter()
    turns = 0
    while turns < repeats and (turns < 2 or time.perf_counter() - started < budget):
        for name, step in steps.items():
            before = time.perf_counter(), time.process_time()
            step()
            wall[name].append(time.perf_counter() - before[0])
            cpu[name].append(time.process_time() - before[1])
        turns += 1
    stages = {
        name: {
            "median": statistics.median(times),
            "low": min(times),
            "high": max(times),
            "cpu": statistics.median(cpu[name]),
            "turns": turns,
        }
        for name, times in wall.items()
    }
    if "backbones" not in steps:
        return stages, None
    added = {"wall": _added(wall), "cpu": _added(cpu)}
    added |= {
        "wall_after_grid": _added(wall, grid=False),
        "cpu_after_grid": _added(cpu, grid=False),
    }
    return stages, added


def _added(times: Mapping[str, Sequence[float]], *, grid: bool = True) -> float:
    """What regions add, as a fraction of the backbones' time; `grid` counts what that costs, too."""
    shares = []
    for turn, plain in enumerate(times["backbones"]):
        after = sum(times[name][turn] for name in BOOKKEEPING)
        shares.append((after + (times["encode"][turn] - plain if grid else 0.0)) / plain)
    return statistics.median(shares)


def _settings(
    engines: Sequence[str], precisions: Sequence[str], threads: Sequence[int], model: str | None
) -> list[Setting]:
    return [
        Setting(engine, precision, count, model)
        for engine in ENGINES
        if engine in engines
        for precision in dict.fromkeys(precisions)
        for count in sorted(set(threads))
    ]


def _require(
    plan: Plan, engines: Sequence[str], precisions: Sequence[str], threads: Sequence[int]
) -> None:
    from rsfiqa.devices import require_precision
    from rsfiqa.reading.build import READERS

    if not engines or set(engines) - set(ENGINES):
        raise ConfigError(f"engines are {', '.join(ENGINES)}; got {', '.join(engines) or 'none'}.")
    for precision in precisions:
        require_precision(precision)
    numbers = (*plan.sizes, *plan.regions, *threads, plan.repeats)
    if not (plan.sizes and plan.regions and precisions and threads) or min(numbers) < 1:
        raise ConfigError(
            "sizes, regions, threads and repeats are positive numbers, and there must be one of each."
        )
    if min(plan.sizes) < 32:
        raise ConfigError(f"pictures have 32 pixels a side or more; got {min(plan.sizes)}.")
    if plan.reader not in ("none", "embedded") and ":" not in plan.reader:
        raise ConfigError(f"unknown reader {plan.reader!r}; there are: {', '.join(READERS)}.")
    for case in plan.cases:
        compact_partition(*case)


def _export(model: str | None, folder: str) -> tuple[str, str]:
    from rsfiqa.assessor import load_scorer
    from rsfiqa.encoders.build import build_encoder
    from rsfiqa.export.onnx_file import export_onnx

    checkpoint = load_scorer(model)
    paths = tuple(str(Path(folder) / f"{part}.onnx") for part in ("encoder", "scorer"))
    encoder = build_encoder(checkpoint.encoder)
    export_onnx(checkpoint, paths[0], part="encoder", encoder=encoder, check=False)
    export_onnx(checkpoint, paths[1], part="scorer", check=False)
    return paths[0], paths[1]


def _judge(rows: Sequence[dict[str, Any]], reference: tuple[int, int]) -> dict[str, Any] | None:
    """The goal on the reference case: the worst of the settings counts."""
    shares = [
        row["added"]
        for row in rows
        if (row["size"], row["regions"]) == reference
        and row["engine"] == "eager"
        and row["added"] is not None
    ]
    if not shares:
        return None
    added = max(share["wall_after_grid"] for share in shares)
    with_grid = max(share["wall"] for share in shares)
    return {"under": GOAL, "added": added, "with_grid": with_grid, "met": added < GOAL}
