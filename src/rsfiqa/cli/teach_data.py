"""`rsfiqa teach data`: instruction data from a folder of clean photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.instruction_making import Describe
    from rsfiqa.learning.instructions import InstructionSet


def data(
    photographs: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER",
            help="Clean photographs: folders (searched with their sub-folders) or files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of the set. An interrupted run goes on where it stopped; a larger "
            "--pictures adds to what is there.",
        ),
    ],
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures to make.")] = 2000,
    copies: Annotated[
        int, typer.Option(min=1, help="Pictures from one partition of a photograph.")
    ] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    largest_side: Annotated[
        int, typer.Option(min=64, help="Of the pictures' long side, in pixels.")
    ] = 640,
    segmenter: common.SegmenterOption = "embedded",
    content: Annotated[
        bool, typer.Option("--content/--no-content", help="Say what the regions show, too.")
    ] = True,
    coco: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="COCO photographs with panoptic labels, from which the teacher of content learns "
            "first; without them it names animals and things only.",
        ),
    ] = None,
    messages: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Also write conversations (messages and images), one a question and region, for "
            "other tuning tools; their pictures go into FILE-views.",
        ),
    ] = None,
    quiet: common.QuietOption = False,
) -> None:
    """Make instruction data: pictures with spoiled regions, and what to say of each region.

    Photographs that cannot be read are named, and give exit status 1.
    """
    from rsfiqa.learning.full_reference import require_measure
    from rsfiqa.learning.instruction_making import make_instructions, name_photographs
    from rsfiqa.learning.instructions import read_instructions
    from rsfiqa.regions.build import build_segmenter
    from rsfiqa.segmentation import PictureSegmenter

    if coco is not None and not content:
        raise ConfigError("--coco teaches what regions show, which --no-content leaves out.")
    # All that can be refused is refused before weights are loaded.
    require_measure()
    outputs.require_writable_folder(out)
    if messages is not None:
        outputs.require_writable_file(messages)
    name_photographs(photographs)
    picture_segmenter = PictureSegmenter(build_segmenter(segmenter))
    made_by = {"segmenter": picture_segmenter.segmenter.name}
    if content:
        made_by["content"] = "coco" if coco else "imagenet"
    with common.progress("making", pictures, shown=not quiet and common.on_terminal()) as advance:
        report = make_instructions(
            photographs,
            out,
            segment=picture_segmenter.segment,
            describe=_describer(coco) if content else None,
            pictures=pictures,
            seed=seed,
            copies=copies,
            largest_side=largest_side,
            made_by=made_by,
            told=advance,
        )
    made = read_instructions(out)
    if not quiet:
        typer.echo(
            f"rsfiqa: {report.made} pictures made, {report.kept} kept; {_summary(made)}", err=True
        )
    if messages is not None:
        _export(made, messages, quiet=quiet)
    for name, error in report.failures:
        typer.echo(f"rsfiqa: failed: {name}: {error}", err=True)
    raise typer.Exit(1 if report.failures else 0)


def _describer(coco: Path | None) -> Describe:
    """The teacher of content: one fitted to COCO, or the one that needs nothing."""
    from rsfiqa.learning import content

    return content.describe_regions if coco is None else content.ContentTeacher.fit(coco).describe


def _summary(made: InstructionSet) -> str:
    counts, sources = made.count_regions(), len(set(made.sources))
    return (
        f"the set has {len(made)} pictures of {sources} photographs with {counts.regions} regions, "
        f"{counts.spoiled} spoiled and {counts.described} described."
    )


def _export(made: InstructionSet, path: Path, *, quiet: bool) -> None:
    from rsfiqa.learning.instruction_export import export_messages

    with common.progress("writing", len(made), shown=not quiet and common.on_terminal()) as advance:
        report = export_messages(made, path, told=advance)
    if not quiet:
        typer.echo(
            f"rsfiqa: {report.conversations} conversations about {report.pictures} regions in "
            f"{path}.",
            err=True,
        )
