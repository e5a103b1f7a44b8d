"""How well a whole collection is worked through: pictures a second against what the stages alone allow,
and memory against the number of pictures.

**What the whole is held against.** All stages share the same cores, so the slowest stage alone, with all
cores to itself, says little: a command that spends half its time on the backbones and half on segments
cannot be as fast as either. Two bounds are told instead:

* *in a row*: the stages one after the other, each alone with all cores, by the clock. It is taken on the
  same pictures by the same machine in the same state. To come near it, stages have to overlap as well
  as each does with itself; to beat it, they have to fill each other's gaps.
* *the cores' time*: processor seconds of all stages for a picture, over the cores that the machine gave.
  No order of work on these cores is faster. On a machine that does other work it gives fewer than it
  has: as many as the stage that used most of them got.

Where a stage waits for something else than the cores (a server that reads, a disk), no order of work is
faster than that stage alone; then this is the second bound, and the figures say so.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rsfiqa.benchmarks import in_a_process, machine
from rsfiqa.collection_benchmark_jobs import Job, Setting, load_job
from rsfiqa.collection_benchmark_memory import MemorySampler, memory_figures, resident_mb
from rsfiqa.collection_benchmark_pictures import is_damaged, make_collection
from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.images.limits import MIN_SIDE

STAGE_PICTURES = 24
"""So many are kept with all that stages make of them, which takes some megabytes each."""

_WARM_UP = 2


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        pictures: how many.
        sources: picture files that they are made of; by default the samples.
        sides: shortest and longest long side of a picture, in pixels.
        setting: what the command is given.
        stages: measure the stages alone, too.
        seed: of the pictures' sizes.

    Raises:
        ConfigError: a number is not among those accepted.
    """

    pictures: int = 40
    sources: tuple[str, ...] = ()
    sides: tuple[int, int] = (256, 4000)
    setting: Setting = field(default_factory=Setting)
    stages: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ConfigError(f"a collection has at least 1 picture; got {self.pictures}.")
        low, high = self.sides
        if not MIN_SIDE <= low <= high:
            raise ConfigError(
                f"sides are the shortest and the longest, from {MIN_SIDE} pixels on; got {low} and {high}."
            )


def bench_collection(
    plan: Plan | None = None, *, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Work through a collection and see how fast, and in how much memory.

    Args:
        plan: what is measured.
        told: told of each step before it is taken.

    Returns:
        plain data: `machine`, with the `cores` that may be used; `plan`; `whole`, of which `pictures`,
        how many `failed`, `seconds`, pictures a second (`rate`) and `cpu` seconds a picture; `stages`,
        for each the `rate` alone with all cores and `cpu` seconds a picture; `bounds`, see `bounds_of`;
        `memory`, see `collection_benchmark_memory.memory_figures`; and `damaged`, how many had to fail.

    Raises:
        AssetError: weights cannot be had.
        ConfigError: a setting is not accepted.
        ImageError: a source cannot be read.
    """
    plan = plan or Plan()
    with tempfile.TemporaryDirectory() as folder:
        told(f"making {plan.pictures:,} pictures")
        names = make_collection(
            Path(folder), plan.pictures, sources=plan.sources, sides=plan.sides, seed=plan.seed
        )
        stages: dict[str, dict[str, float]] = {}
        if plan.stages:
            told("each stage alone")
            good = [name for k, name in enumerate(names) if not is_damaged(k)]
            # Spread over the sizes, as the whole is.
            chosen = good[:: max(1, len(good) // STAGE_PICTURES)][:STAGE_PICTURES]
            stages = in_a_process(partial(measure_stages, plan.setting, chosen))
        told("the whole")
        out = Path(folder) / "results.jsonl"
        found = in_a_process(partial(measure_whole, plan.setting, names, out))
    whole, memory = found["whole"], memory_figures(found["samples"])
    return {
        "machine": machine() | {"cores": cores()},
        "plan": asdict(plan) | {"sources": len(plan.sources)},
        "damaged": sum(map(is_damaged, range(plan.pictures))),
        "whole": whole,
        "stages": stages,
        "bounds": bounds_of(whole["rate"], stages, cores()) if stages else None,
        "memory": memory | {"loaded_mb": found["loaded_mb"]},
    }


def cores() -> int:
    """How many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def bounds_of(rate: float, stages: Mapping[str, Mapping[str, float]], cores: int) -> dict[str, Any]:
    """What the whole is held against; the module's text tells why.

    Args:
        rate: pictures a second of the whole.
        stages: each with its `rate` and `cpu`.
        cores: that may be used.

    Returns:
        pictures a second `in_a_row`; how many `cores` the machine gave; the name of the `slowest` stage
        alone; the `bound`, pictures a second by these cores or by that stage, whichever is lower, and
        which (`bound_by`: `cores` or the stage's name); and the whole as a fraction of these: `of_row`
        and `of_bound`.

    Example:
        >>> stages = {"decode": {"rate": 20, "cpu": 0.1}, "score": {"rate": 5, "cpu": 0.3}}
        >>> found = bounds_of(4, stages, cores=2)
        >>> found["in_a_row"], found["bound"], found["bound_by"], found["of_bound"]
        (4.0, 5.0, 'cores', 0.8)
    """
    in_a_row = 1 / sum(1 / stage["rate"] for stage in stages.values())
    given = min(cores, max(stage["rate"] * stage["cpu"] for stage in stages.values()))
    by_cores = given / sum(stage["cpu"] for stage in stages.values())
    slowest = min(stages, key=lambda name: stages[name]["rate"])
    alone = stages[slowest]["rate"]
    bound = min(by_cores, alone)
    return {
        "in_a_row": round(in_a_row, 4),
        "cores": round(given, 2),
        "slowest": slowest,
        "bound": round(bound, 4),
        "bound_by": "cores" if by_cores <= alone else slowest,
        "of_row": round(rate / in_a_row, 4),
        "of_bound": round(rate / bound, 4),
    }


def measure_whole(setting: Setting, names: Sequence[str], out: Path) -> dict[str, Any]:
    """The whole command in this process: from files to lines on disk.

    Returns:
        `whole`, see `bench_collection`; `samples` of memory; and memory when all was loaded, `loaded_mb`.
    """
    from rsfiqa.results import ResultsFile, error_record

    job = load_job(setting)
    _warm_up(job, names)
    loaded = resident_mb()
    done = failed = 0
    with ResultsFile(out, job.info, mark=job.mark) as file, MemorySampler() as memory:
        clock, processor = time.perf_counter(), time.process_time()
        for outcomes in job.run(names):
            records = [
                error_record(o.name, o.error or "") if o.result is None else job.line(o.result)
                for o in outcomes
            ]
            file.write(records)
            failed += sum(outcome.result is None for outcome in outcomes)
            done += len(outcomes)
            memory.done = done
            del outcomes, records
        file.finish(names)
        seconds = time.perf_counter() - clock
        cpu = time.process_time() - processor
    whole = {
        "pictures": done,
        "failed": failed,
        "seconds": round(seconds, 3),
        "rate": round(done / seconds, 4),
        "cpu": round(cpu / done, 5),
    }
    return {"whole": whole, "samples": memory.samples, "loaded_mb": loaded and round(loaded, 1)}


def measure_stages(setting: Setting, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each stage alone on the same pictures, side by side on the cores, in this process.

    Returns:
        for each, and for `write`, which is one thread's, `rate` and `cpu`; see `bench_collection`.
    """
    from rsfiqa.parallel import cpu_workers, parallel_map

    job = load_job(setting)
    _warm_up(job, names)
    made: list[dict[str, Any]] = [{"name": name} for name in names]
    figures: dict[str, dict[str, float]] = {}
    for name, stage in job.stages().items():
        clock, processor = time.perf_counter(), time.process_time()
        results = list(parallel_map(stage, made, min(len(made), cpu_workers())))
        figures[name] = _figures(len(made), clock, processor)
        for one, result in zip(made, results, strict=True):
            one[name] = result
    clock, processor = time.perf_counter(), time.process_time()
    _write(job, [_last(one) for one in made])
    return figures | {"write": _figures(len(made), clock, processor)}


def _figures(pictures: int, clock: float, processor: float) -> dict[str, float]:
    return {
        "rate": round(pictures / (time.perf_counter() - clock), 4),
        "cpu": round((time.process_time() - processor) / pictures, 5),
    }


def _write(job: Job, results: Sequence[Any]) -> None:
    from rsfiqa.results import ResultsFile

    with (
        tempfile.TemporaryDirectory() as folder,
        ResultsFile(Path(folder) / "r.jsonl", job.info, mark=job.mark) as file,
    ):
        for result in results:
            file.write([job.line(result)])


def _warm_up(job: Job, names: Sequence[str]) -> None:
    """Libraries are loaded and code is compiled before anything counts."""
    left = _WARM_UP
    for name in names:
        one: dict[str, Any] = {"name": name}
        try:
            for stage, work in job.stages().items():
                one[stage] = work(one)
        except RsfiqaError:  # a damaged picture
            continue
        job.line(_last(one))
        left -= 1
        if not left:
            return


def _last(made: Mapping[str, Any]) -> Any:
    """What the last stage has made: the whole result."""
    return made[next(reversed(list(made)))]
