"""`rsfiqa gallery`: assessed pictures as a Markdown page with small pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from rsfiqa.cli import common, outputs, runs
from rsfiqa.cli.reader_options import ReaderOption
from rsfiqa.errors import RsfiqaError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.images import ImageSource
    from rsfiqa.types import Assessment


class _Picture(NamedTuple):
    """What is shown: under which name, by which file name, and where its pixels are."""

    name: str
    stem: str
    source: Callable[[], ImageSource]


def gallery(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Pictures, folders (searched with their sub-folders), globs, or - for a list on "
            "standard input.",
            show_default="the photographs that scikit-image and scikit-learn carry",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for index.md and its pictures.")
    ] = Path("gallery"),
    width: Annotated[int, typer.Option(min=160, help="Width of its pictures, in pixels.")] = 560,
    segmenter: common.SegmenterOption = "embedded",
    reader: ReaderOption = DEFAULT_READER,
    model: common.ModelOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    quiet: common.QuietOption = False,
) -> None:
    """Assess pictures and write a Markdown page: overlays, summaries, tables of regions.

    Pictures that cannot be assessed are named, and give exit status 1.
    """
    outputs.require_writable_folder(out)
    pictures, failures = _named(paths) if paths else (_samples(), [])
    if not pictures:
        runs.name_failures(failures)
        raise typer.Exit(1)
    chosen_reader = common.make_reader(reader, device=device, encoder_precision=precision)
    assessor = common.make_assessor(
        model=model, segmenter=segmenter, reader=chosen_reader, device=device, precision=precision
    )
    from rsfiqa.report.gallery import save_gallery

    tally = runs.Tally(failures=failures)
    shown = not quiet and common.on_terminal()
    with common.progress("assessing", len(pictures), shown=shown) as advance:

        def assessed() -> Iterator[tuple[str, Assessment]]:
            for picture in pictures:
                try:
                    assessment = assessor.assess(picture.source(), name=picture.name)
                except RsfiqaError as error:
                    tally.failures.append((picture.name, str(error)))
                else:
                    yield picture.stem, assessment
                advance(1)

        try:
            page = save_gallery(assessed(), out, width=width)
        except OSError as error:
            raise outputs.unwritable(out, error) from error
    runs.name_failures(tally.failures)
    if not quiet:
        typer.echo(f"rsfiqa: the gallery is at {page.resolve()}", err=True)
    raise typer.Exit(1 if tally.failures else 0)


def _samples() -> list[_Picture]:
    from rsfiqa.samples import sample_names, sample_picture

    return [_Picture(name, name, partial(sample_picture, name)) for name in sample_names()]


def _named(paths: list[str]) -> tuple[list[_Picture], list[tuple[str, str]]]:
    """The pictures that the paths lead to, and those that lead to none, with the reason."""
    from rsfiqa.inputs import find_images

    found = find_images(paths)
    names = [given for given in found if isinstance(given, str)]
    stems = outputs.distinct_stems(names)
    pictures = [_Picture(n, stem, partial(str, n)) for n, stem in zip(names, stems, strict=True)]
    return pictures, [(given.path, given.error) for given in found if not isinstance(given, str)]
