"""`rsfiqa bench segment`: the figures on step 1, as tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

FAMILY_NAMES = {
    "gaussian_blur": "blur",
    "gaussian_noise": "noise",
    "jpeg": "JPEG",
    "underexpose": "exposure, too dark",
    "overexpose": "exposure, too bright",
}


def segment(
    bsds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of BSDS500 (research use: evaluation only), for agreement with people."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of BSDS500 to measure on.")] = "val",
    clean: Annotated[
        Path | None, typer.Option(help="Folder of clean photographs, for stability.")
    ] = None,
    segmenter: Annotated[
        list[str] | None,
        typer.Option(help="The segmenter to measure; may be given again.", show_default="embedded"),
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Measure grid, SLIC and Felzenszwalb, too.")
    ] = True,
    limit: Annotated[
        int | None,
        typer.Option(help="Use at most so many pictures of each split and folder.", min=1),
    ] = None,
    seed: common.SeedOption = 0,
    timing: Annotated[bool, typer.Option(help="Measure time and memory, up to 50 MP.")] = True,
    device: common.DeviceOption = "auto",
    out: common.FiguresOption = None,
) -> None:
    """Partitions: do they agree with people, stay when a picture is spoiled, and what they cost.

    With --bsds the baselines get their best single setting, searched on the train split; other
    segmenters are taken as they are. Time and memory are always those of the CPU.
    """
    specs = list(dict.fromkeys(segmenter or ["embedded"]))
    if bsds is None and clean is None and not timing:
        raise ConfigError("there is nothing to measure; give --bsds, --clean, or leave timing on.")
    outputs.require_writable_figures(out)
    from rich.console import Console

    from rsfiqa.benchmarks import machine

    figures: dict[str, Any] = {"machine": machine()}
    console = Console()
    if bsds is not None or clean is not None:
        figures |= _compare(specs, bsds, split, clean, baselines, limit, seed, device)
        _print_quality(console, figures)
    if timing:
        figures["timing"] = _time(specs)
        for spec, rows in figures["timing"]["stages"].items():
            console.print(_stages_table(spec, rows, figures["machine"]["cores"]))
        rule = figures["timing"]["rule"]
        console.print(
            f"partition rule: {rule['masks']} masks on {rule['width']}×{rule['height']} pixels in "
            f"{rule['seconds']:.2f} s, peak memory {_megabytes(rule['peak_mb'])}"
        )
    outputs.write_figures(figures, out)


def _compare(
    specs: Sequence[str],
    bsds: Path | None,
    split: str,
    clean: Path | None,
    baselines: bool,
    limit: int | None,
    seed: int,
    device: str,
) -> dict[str, Any]:
    from rsfiqa.devices import choose_device
    from rsfiqa.inputs import find_images
    from rsfiqa.learning.segmentation_bench import bench_segmenters
    from rsfiqa.parallel import cpu_workers
    from rsfiqa.regions.build import build_segmenter

    photographs = (
        [Path(p) for p in find_images([str(clean)]) if isinstance(p, str)] if clean else []
    )
    if clean is not None and not photographs:
        raise ConfigError(f"{clean} holds no photographs; --clean names a folder of them.")
    where = choose_device(device)
    return bench_segmenters(
        {spec: build_segmenter(spec, device=where) for spec in specs},
        bsds=bsds,
        split=split,
        clean=photographs,
        baselines=baselines,
        limit=limit,
        seed=seed,
        device=where,
        workers=cpu_workers() if where.type == "cpu" else 1,
        progress=_progress,
    )


def _time(specs: Sequence[str]) -> dict[str, Any]:
    from rich.console import Console

    from rsfiqa.learning.segmentation_timing import measure_rule, measure_stages

    errors = Console(stderr=True)

    def told(case: str) -> None:
        errors.print(f"measuring {case}", style="dim")

    return {
        "stages": {spec: measure_stages(spec, told=told) for spec in specs},
        "rule": measure_rule(told=told),
    }


def _progress(what: str, total: int) -> AbstractContextManager[common.Advance]:
    return common.progress(what, total, shown=common.on_terminal())


def _print_quality(console: Any, figures: Mapping[str, Any]) -> None:
    if agreement := figures.get("agreement"):
        console.print(_agreement_table(agreement))
    if stability := figures.get("stability"):
        console.print(_stability_table(stability))
    for name, setting in figures["settings"].items():
        console.print(f"{name}: {setting}")
    if search := figures.get("search"):
        tried = ", ".join(f"{len(tried)} of {name}" for name, tried in search["covering"].items())
        console.print(
            f"baselines: best covering on {search['pictures']} pictures of the {search['split']} "
            f"split among {tried}"
        )


def _agreement_table(agreement: Mapping[str, Any]) -> Table:
    table = _table(
        f"Agreement with people, {agreement['pictures']} pictures of BSDS500 {agreement['split']}",
        ("", "covering", "PRI", "VOI, bits", "boundary F", "regions"),
    )
    for name, row in agreement["rows"].items():
        table.add_row(
            name,
            *(f"{row[key]:.3f}" for key in ("covering", "pri", "voi", "boundary_f")),
            f"{row['regions']:.1f} ± {row['regions_sd']:.1f}",
        )
    return table


def _stability_table(stability: Mapping[str, Any]) -> Table:
    rows = stability["rows"]
    table = _table(
        f"Stability: covering between clean and spoiled, {stability['pictures']} photographs",
        ("", "strength", *rows),
    )
    for family, title in FAMILY_NAMES.items():
        columns = [row["families"][family] for row in rows.values()]
        for k, values in enumerate(zip(*columns, strict=True)):
            table.add_row("" if k else title, str(k + 1), *(f"{value:.3f}" for value in values))
    table.add_section()
    table.add_row("mean of the 4 kinds", "", *(f"{row['covering']:.3f}" for row in rows.values()))
    return table


def _stages_table(spec: str, rows: Sequence[Mapping[str, Any]], cores: int) -> Table:
    stages = list(rows[0]["seconds"])
    table = _table(
        f"Seconds a picture, {spec}, {cores} cores", ("MP", *stages, "memory", "regions")
    )
    for row in rows:
        table.add_row(
            f"{row['megapixels']:g}",
            *(f"{row['seconds'][stage]:.3f}" for stage in stages),
            _megabytes(row["peak_mb"]),
            str(row["regions"]),
        )
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def _megabytes(peak: float | None) -> str:
    return "unknown" if peak is None else f"{peak:.0f} MB"
