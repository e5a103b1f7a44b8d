"""`rsfiqa bench sanity`: is the scorer sane off its training set? As tables, JSON and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.images import ImageSource
    from rsfiqa.learning.sanity import Pixels, Sanity

_NOT_CLEAN = ("clock",)
"""Samples that are no clean photographs: the camera moved."""


def sanity(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Clean photographs, or folders of them.",
            show_default="the sharp photographs that scikit-image and scikit-learn carry",
        ),
    ] = None,
    model: common.ModelOption = None,
    limit: common.LimitOption = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Only this distortion; may be given again.", show_default="all"),
    ] = None,
    invariances: Annotated[
        bool, typer.Option(help="Measure what must not move scores, too.")
    ] = True,
    long_side: Annotated[
        int, typer.Option(help="Larger pictures are first brought to this long side.", min=64)
    ] = 768,
    seed: common.SeedOption = 0,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw score against strength into this file."),
    ] = None,
    out: common.FiguresOption = None,
) -> None:
    """Do scores fall with every fault's strength, and stay where quality does? No labels needed."""
    from rich.console import Console

    from rsfiqa.assessor import load_scorer
    from rsfiqa.learning.reading_plots import require_plots
    from rsfiqa.learning.sanity import measure_sanity
    from rsfiqa.learning.sanity_plot import curves_png
    from rsfiqa.reading.build import default_reader

    outputs.require_writable_figures(out)
    if plot is not None:
        require_plots()
        outputs.require_writable_file(plot)
    families = _families(family)
    chosen = _photographs(pictures, limit, long_side)
    scorer = load_scorer(model)
    assessor = common.make_assessor(
        model=scorer,
        reader=default_reader(scorer.reads),
        device=device,
        precision=precision,
    )

    def score(copies: Sequence[ImageSource]) -> list[float]:
        # Raised rather than returned: a copy that cannot be scored is a fault of rsfiqa's.
        return [found.score for found in assessor.assess_batch(list(copies))]  # type: ignore[union-attr]

    batches = len(chosen) * (len(families) + invariances)
    with common.progress("spoiling", batches, shown=common.on_terminal()) as advance:
        found = measure_sanity(
            score,
            chosen,
            families=families,
            invariances=invariances,
            seed=seed,
            told=lambda: advance(1),
        )
    console = Console()
    console.print(_families_table(found))
    if found.invariances:
        console.print(_invariances_table(found))
    name = assessor.info.scorer
    figures: dict[str, Any] = {"model": {"scorer": name, "reader": assessor.info.reader}}
    outputs.write_figures(figures | found.to_dict(), out)
    if plot is not None:
        from rsfiqa.atomic import write_whole

        try:
            write_whole(plot, curves_png(found, name))
        except OSError as error:
            raise outputs.unwritable(plot, error) from error


def _families(given: list[str] | None) -> tuple[str, ...]:
    """The distortions asked for, found out to exist before anything is loaded."""
    from rsfiqa.learning.distortions import dimension_of
    from rsfiqa.learning.sanity import all_families

    for family in given or ():
        dimension_of(family)
    return tuple(dict.fromkeys(given)) if given else all_families()


def _photographs(
    given: list[str] | None, limit: int | None, long_side: int
) -> list[tuple[str, Pixels]]:
    from rsfiqa.images import load_image
    from rsfiqa.images.resize import resize_to_budget
    from rsfiqa.inputs import find_images
    from rsfiqa.samples import sample_names, sample_picture

    def shrunk(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        scale = min(1.0, long_side / max(height, width))
        return resize_to_budget(pixels, max(1, int(height * scale) * int(width * scale)))

    if not given:
        names = [name for name in sample_names() if name not in _NOT_CLEAN][:limit]
        return [(name, shrunk(sample_picture(name))) for name in names]
    found = find_images(given)
    bad = [entry for entry in found if not isinstance(entry, str)]
    if bad:
        raise ImageError(bad[0].error)
    paths = [entry for entry in found if isinstance(entry, str)][:limit]
    if not paths:
        raise ConfigError("there are no photographs to measure; give files or folders of them.")
    return [(path, shrunk(load_image(Path(path)).pixels)) for path in paths]


def _families_table(sanity: Sanity) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    count = len(sanity.pictures)
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"Score against strength, {count} photograph{'s' if count > 1 else ''}",
        caption="Spearman: of score and strength, mean over pictures, -1 is wanted; monotone: the "
        "score falls at every step; fall: points from clean to severe; worst rise: most points that "
        "a stronger fault gained in one step",
        caption_justify="left",
    )
    for column in ("", "family"):
        table.add_column(column, no_wrap=True)
    for column in ("Spear-\nman", "mono-\ntone", "fall", "worst\nrise", "mean scores\nat 0 to 4"):
        table.add_column(column, justify="right", no_wrap=True)
    before = ""
    for row in sanity.families:
        if before and row.dimension != before:
            table.add_section()
        table.add_row(
            row.dimension if row.dimension != before else "",
            row.family,
            f"{row.spearman:+.2f}",
            f"{row.monotone:.0%}",
            f"{row.fall:.1f}",
            f"{row.worst_rise:.1f}",
            " ".join(f"{mean:2.0f}" for mean in row.means),
        )
        before = row.dimension
    return table


def _invariances_table(sanity: Sanity) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from rsfiqa.learning.sanity_variants import TOLERANCES

    table = Table(title="What must not move a score (points)", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("change", no_wrap=True)
    for column in ("mean", "largest", "bias", "allowed"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    for row in sanity.invariances:
        digits = 5 if row.expected == "equal" else 2
        table.add_row(
            row.name,
            f"{row.mean:.{digits}f}",
            f"{row.largest:.{digits}f}",
            f"{row.bias:+.{digits}f}",
            f"{TOLERANCES[row.expected]:g}",
            "yes" if row.holds else "no",
        )
    return table
