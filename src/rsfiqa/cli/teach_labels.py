"""`rsfiqa teach labels`: instruction data from photographs whose faults somebody has labelled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, teach_common
from rsfiqa.errors import DataError

if TYPE_CHECKING:
    from rsfiqa.learning.fault_labels import PhotographLabels

_NAMED = 10
"""Of the photographs that are missing, so many by name."""


def labels(
    given: Annotated[
        str,
        typer.Argument(
            metavar="LABELS",
            help="A CSV with a line a photograph: image; blur, noise, artifact and color, each 0 "
            "(none) to 4 (extreme), with blur_cells and so on, where it shows in a grid of three by "
            "three (all, digits such as 1245, or -); overall, 1 (bad) to 5. Or biq2021-train or "
            "biq2021-val, the labels that come with rsfiqa.",
            show_default=False,
        ),
    ],
    photographs: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOGRAPHS",
            help="Folder of the photographs that the labels name.",
            show_default=False,
        ),
    ],
    out: teach_common.OutOption,
    segmenter: common.SegmenterOption = "embedded",
    content: teach_common.ContentOption = True,
    coco: teach_common.CocoOption = None,
    messages: teach_common.MessagesOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Make instruction data of photographs as they are: what to say of regions with labelled faults.

    Photographs that are not in the folder are counted and named. Those that cannot be read are
    named, and give exit status 1.
    """
    from rsfiqa.learning.labelled_making import make_labelled, require_photographs
    from rsfiqa.regions.build import build_segmenter
    from rsfiqa.segmentation import PictureSegmenter

    # All that can be refused is refused before weights are loaded.
    teach_common.check_content(content, coco)
    found = _labels_of(given)
    require_photographs(found, photographs)
    teach_common.require_writable(out, messages)
    picture_segmenter = PictureSegmenter(build_segmenter(segmenter))
    with common.progress("making", len(found), shown=not quiet and common.on_terminal()) as advance:
        report = make_labelled(
            found,
            photographs,
            out,
            segment=picture_segmenter.segment,
            describe=teach_common.describer(content, coco),
            made_by=teach_common.makers(picture_segmenter.segmenter.name, content, coco),
            told=advance,
        )
    teach_common.tell(report, out, messages, quiet=quiet)
    if report.missing:
        typer.echo(f"rsfiqa: {_missing(report.missing, photographs)}", err=True)
    teach_common.end(report)


def _labels_of(given: str) -> tuple[PhotographLabels, ...]:
    """The labels in a file, or those of the package by that name."""
    from rsfiqa.learning.fault_labels import packaged_labels, packaged_names, read_labels

    if given in packaged_names():
        return packaged_labels(given)
    if not Path(given).exists():
        known = ", ".join(packaged_names())
        raise DataError(
            f"{given} does not exist; name a CSV of labels"
            + (f", or labels that come with rsfiqa: {known}." if known else ".")
        )
    return read_labels(given)


def _missing(names: tuple[str, ...], folder: Path) -> str:
    rest = len(names) - _NAMED
    return f"{len(names)} labelled photographs are not in {folder}: {', '.join(names[:_NAMED])}" + (
        f" and {rest} more." if rest > 0 else "."
    )
