"""What the commands that make instruction data share: the teacher of content, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.instructions import InstructionSet
    from rsfiqa.learning.set_making import Describe, MakingReport

OutOption = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder of the set. An interrupted run goes on where it stopped.",
    ),
]
ContentOption = Annotated[
    bool, typer.Option("--content/--no-content", help="Say what the regions show, too.")
]
CocoOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="COCO photographs with panoptic labels, from which the teacher of content learns "
        "first; without them it names animals and things only.",
    ),
]
MessagesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Also write conversations (messages and images), one a question and region, for "
        "other tuning tools; their pictures go into FILE-views.",
    ),
]


def check_content(content: bool, coco: Path | None) -> None:
    """Refuse a teacher that nobody listens to.

    Raises:
        ConfigError: there is a folder to learn content from, and no content asked for.
    """
    if coco is not None and not content:
        raise ConfigError("--coco teaches what regions show, which --no-content leaves out.")


def makers(segmenter: str, content: bool, coco: Path | None) -> dict[str, str]:
    """What is kept with a set of who made it.

    Args:
        segmenter: its name.
    """
    kept = {"segmenter": segmenter}
    if content:
        kept["content"] = "coco" if coco else "imagenet"
    return kept


def describer(content: bool, coco: Path | None) -> Describe | None:
    """The teacher of content: one fitted to COCO, or the one that needs nothing; None for nobody."""
    if not content:
        return None
    from rsfiqa.learning import content as teachers

    return teachers.describe_regions if coco is None else teachers.ContentTeacher.fit(coco).describe


def require_writable(out: Path, messages: Path | None) -> None:
    """See that the set, and the conversations where they are asked for, can be written.

    Raises:
        DataError: one cannot.
    """
    outputs.require_writable_folder(out)
    if messages is not None:
        outputs.require_writable_file(messages)


def tell(report: MakingReport, out: Path, messages: Path | None, *, quiet: bool) -> None:
    """Say what was made, and write it as conversations where they are asked for."""
    from rsfiqa.learning.instructions import read_instructions

    made = read_instructions(out)
    if not quiet:
        _say_what_was_made(report, made)
    if messages is not None:
        _write_messages(made, messages, quiet=quiet)


def end(report: MakingReport) -> NoReturn:
    """Name the photographs that could not be used, and why; the exit status tells of them."""
    for name, error in report.failures:
        typer.echo(f"rsfiqa: failed: {name}: {error}", err=True)
    raise typer.Exit(1 if report.failures else 0)


def _say_what_was_made(report: MakingReport, made: InstructionSet) -> None:
    """How much was made by this run, and what the set holds now."""
    counts, sources = made.count_regions(), len(set(made.sources))
    looked_at = f"{counts.labelled} labelled" if counts.labelled else f"{counts.spoiled} spoiled"
    typer.echo(
        f"rsfiqa: {report.made} pictures made, {report.kept} kept; the set has {len(made)} pictures "
        f"of {sources} photographs with {counts.regions} regions, {looked_at} and "
        f"{counts.described} described.",
        err=True,
    )


def _write_messages(made: InstructionSet, path: Path, *, quiet: bool) -> None:
    """Write the set as conversations, and say how many."""
    from rsfiqa.learning.instruction_export import export_messages

    with common.progress("writing", len(made), shown=not quiet and common.on_terminal()) as advance:
        report = export_messages(made, path, told=advance)
    if not quiet:
        typer.echo(
            f"rsfiqa: {report.conversations} conversations about {report.pictures} regions in "
            f"{path}.",
            err=True,
        )
