"""Time and memory of region-aware semantic attention, against positions and regions.

One layer of unmasked attention of the same width (`torch.nn.MultiheadAttention`) is measured beside it
in the same run: the two take turns, so that whatever else the machine does slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rsfiqa.benchmarks import in_a_process, peak_mb
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rsfiqa.scoring.rsa import RSAOutput

SIDES = (16, 32, 64)
REGIONS = (4, 16, 64, 256)
GOAL_SIDE, GOAL_REGIONS, GOAL_RATIO = 64, 64, 2.0
"""The goal: this many regions on a square map of this side, forward and backward, in less than this
many times the time of attention."""


@dataclass(frozen=True)
class RSACase:
    """What is measured.

    Attributes:
        side: of the square map, in positions.
        regions: compact and about equally large.
        width: channels of the map, and the width of queries and keys of both.
        heads: of both.
        batch: maps at once.
        repeats: counted runs, after one that does not count.
        threads: cores to use; 0 leaves them as they are.
    """

    side: int
    regions: int
    width: int = 64
    heads: int = 4
    batch: int = 1
    repeats: int = 7
    threads: int = 0


def bench_rsa(
    sides: Sequence[int] = SIDES,
    regions: Sequence[int] = REGIONS,
    *,
    width: int = 64,
    heads: int = 4,
    batch: int = 1,
    repeats: int = 7,
    threads: int = 0,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure RSA and attention, forward and backward, each case in processes of its own.

    Maps of every side are measured with `GOAL_REGIONS` regions (or the nearest given number), and the
    largest map with every number of regions.

    Args:
        sides: of the square maps, in positions.
        regions: numbers of regions.
        width, heads, batch, repeats, threads: see `RSACase`.
        told: told of each case before it is measured.

    Returns:
        plain data: `width`, `heads`, `batch`, `repeats`; one of `rows` a case with `side`,
        `positions`, `regions`, `threads`, and for `rsa` and `attention` the median seconds `forward`
        and `backward` and the `peak_mb` beyond what the process held before (None where the platform
        does not tell); `ratio`, RSA's whole time over attention's, the median over turns; and `goal`,
        or None where its case was not measured.

    Raises:
        ConfigError: a map has fewer positions than regions, or heads do not divide the width.
    """
    chosen = _cases(sides, regions)
    if width % heads:
        raise ConfigError(f"heads must divide the width; got width {width} and {heads} heads.")
    rows = []
    attention_mb: dict[int, float | None] = {}
    for side, count in chosen:
        told(f"{count} regions on {side}×{side} positions")
        case = RSACase(side, count, width, heads, batch, repeats, threads)
        if side not in attention_mb:
            attention_mb[side] = in_a_process(partial(_memory, case, "attention"))
        rows.append(
            _row(
                case,
                in_a_process(partial(measure_times, case)),
                {
                    "rsa": in_a_process(partial(_memory, case, "rsa")),
                    "attention": attention_mb[side],
                },
            )
        )
    return {
        "width": width,
        "heads": heads,
        "batch": batch,
        "repeats": repeats,
        "rows": rows,
        "goal": _judge(rows),
    }


def measure_times(case: RSACase) -> dict[str, Any]:
    """Seconds of RSA's and attention's steps in turns, in this process.

    Returns:
        `threads`, and one `(forward, backward)` a repeat in each of `rsa` and `attention`.
    """
    threads = _use_threads(case.threads)
    steps = {name: _STEPS[name](case) for name in _STEPS}
    for step in steps.values():
        step()
    times: dict[str, Any] = {name: [] for name in steps}
    for _ in range(case.repeats):
        for name, step in steps.items():
            times[name].append(step())
    return {"threads": threads, **times}


def compact_regions(side: int, regions: int) -> Tensor:
    """Labels `[1, side, side]` of compact regions of nearly equal size: rows of rectangles.

    Example:
        >>> compact_regions(4, 4)[0, 0].tolist(), int(compact_regions(64, 60).max())
        ([0, 0, 1, 1], 59)
    """
    import torch

    rows = max(1, round(regions**0.5))
    row = torch.arange(side) * rows // side
    # The first rows hold one region more where they do not divide evenly.
    columns = torch.tensor([regions // rows + (r < regions % rows) for r in range(rows)])
    first = columns.cumsum(0) - columns
    column = torch.arange(side)[None] * columns[row][:, None] // side
    return (first[row][:, None] + column)[None]


def _cases(sides: Sequence[int], regions: Sequence[int]) -> list[tuple[int, int]]:
    if not sides or not regions or min(*sides, *regions) < 1:
        raise ConfigError("sides and regions are positive numbers, and there must be one of each.")
    usual = min(regions, key=lambda count: abs(count - GOAL_REGIONS))
    by_side = [(side, usual) for side in sorted(set(sides))]
    by_regions = [(max(sides), count) for count in sorted(set(regions))]
    chosen = list(dict.fromkeys([*by_side, *by_regions]))
    for side, count in chosen:
        if int(compact_regions(side, count).unique().numel()) != count:
            raise ConfigError(
                f"{side}×{side} positions cannot hold {count} regions; give larger sides or fewer "
                "regions."
            )
    return chosen


def _row(case: RSACase, times: dict[str, Any], memory: dict[str, float | None]) -> dict[str, Any]:
    both = zip(times["rsa"], times["attention"], strict=True)
    return {
        "side": case.side,
        "positions": case.side**2,
        "regions": case.regions,
        "threads": times["threads"],
        **{
            name: {
                "forward": statistics.median(forward for forward, _ in times[name]),
                "backward": statistics.median(backward for _, backward in times[name]),
                "peak_mb": memory[name],
            }
            for name in _STEPS
        },
        "ratio": statistics.median(sum(rsa) / sum(attention) for rsa, attention in both),
    }


def _judge(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for row in rows:
        if (row["side"], row["regions"]) == (GOAL_SIDE, GOAL_REGIONS):
            return {"under": GOAL_RATIO, "ratio": row["ratio"], "met": row["ratio"] < GOAL_RATIO}
    return None


def _memory(case: RSACase, name: str) -> float | None:
    """Peak memory of one step beyond what the process held before it, in MB."""
    _use_threads(case.threads)
    step = _STEPS[name](case)
    _STEPS[name](
        RSACase(1, 1, case.heads, case.heads)
    )()  # what any first step loads does not count
    before = peak_mb()
    step()
    after = peak_mb()
    return None if before is None or after is None else round(after - before, 1)


def _use_threads(threads: int) -> int:
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def _feature_map(case: RSACase) -> Tensor:
    import torch

    torch.manual_seed(0)
    return torch.randn(case.batch, case.width, case.side, case.side)


def _rsa(case: RSACase) -> Callable[[], tuple[float, float]]:
    import torch

    from rsfiqa.scoring.rsa import RSAModule

    features = _feature_map(case)
    module = RSAModule(case.width, dim=case.width, heads=case.heads)
    labels = compact_regions(case.side, case.regions).expand(case.batch, -1, -1)
    area = torch.full((case.batch, case.regions), 1 / case.regions)

    def loss(x: Tensor) -> Tensor:
        out: RSAOutput = module(x, labels, area)
        pooled = (out.weights[..., None] * (out.mean + out.deviation)).sum()
        return pooled + out.attended.sum() + out.attention.square().sum()

    return partial(_step, module, features, loss)


def _attention(case: RSACase) -> Callable[[], tuple[float, float]]:
    import torch

    features = _feature_map(case)
    module = torch.nn.MultiheadAttention(case.width, case.heads, batch_first=True)

    def loss(x: Tensor) -> Tensor:
        positions = x.flatten(2).transpose(1, 2)
        # Without the weights torch takes its fastest path, which never holds the whole matrix.
        attended, _ = module(positions, positions, positions, need_weights=False)
        total: Tensor = attended.sum()
        return total

    return partial(_step, module, features, loss)


def _step(
    module: torch.nn.Module, features: Tensor, loss: Callable[[Tensor], Tensor]
) -> tuple[float, float]:
    """Seconds forward and backward, to the parameters and to the feature map."""
    module.zero_grad()
    x = features.clone().requires_grad_()
    started = time.perf_counter()
    value = loss(x)
    between = time.perf_counter()
    value.backward()
    return between - started, time.perf_counter() - between


_STEPS: dict[str, Callable[[RSACase], Callable[[], tuple[float, float]]]] = {
    "rsa": _rsa,
    "attention": _attention,
}
