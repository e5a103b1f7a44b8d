"""`rsfiqa teach data`: instruction data from a folder of clean photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsfiqa.cli import common, teach_common


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
        int, typer.Option(min=1, help="Pictures made of one photograph, with one partition.")
    ] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    largest_side: Annotated[
        int, typer.Option(min=64, help="Most pixels along a picture's long side.")
    ] = 640,
    segmenter: common.SegmenterOption = "embedded",
    content: teach_common.ContentOption = True,
    coco: teach_common.CocoOption = None,
    messages: teach_common.MessagesOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Make instruction data: pictures with spoiled regions, and what to say of each region.

    Photographs that cannot be read are named, and give exit status 1.
    """
    from rsfiqa.learning.full_reference import require_measure
    from rsfiqa.learning.instruction_making import make_instructions
    from rsfiqa.learning.set_making import name_photographs
    from rsfiqa.regions.build import build_segmenter
    from rsfiqa.segmentation import PictureSegmenter

    teach_common.check_content(content, coco)
    # All that can be refused is refused before weights are loaded.
    require_measure()
    teach_common.require_writable(out, messages)
    name_photographs(photographs)
    picture_segmenter = PictureSegmenter(build_segmenter(segmenter))
    with common.progress("making", pictures, shown=not quiet and common.on_terminal()) as advance:
        report = make_instructions(
            photographs,
            out,
            segment=picture_segmenter.segment,
            describe=teach_common.describer(content, coco),
            pictures=pictures,
            seed=seed,
            copies=copies,
            largest_side=largest_side,
            made_by=teach_common.makers(picture_segmenter.segmenter.name, content, coco),
            told=advance,
        )
    teach_common.tell(report, out, messages, quiet=quiet)
    teach_common.end(report)
