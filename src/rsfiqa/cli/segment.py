"""`rsfiqa segment`: pictures in, partitions out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from rsfiqa.cli import common, outputs, runs
from rsfiqa.errors import ConfigError, ImageError
from rsfiqa.results import ResultsFile

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.partitioning import Partitioned, Partitioner
    from rsfiqa.regions.formats import PartitionFormat
    from rsfiqa.sources import Source

INDEX = "regions.jsonl"
"""One line a picture beside the partitions: which files, of which bytes, cut by what."""

FORMATS = ("rle", "panoptic", "png", "npy")
"""Those of `rsfiqa.regions.formats`, which help does not wait for."""


def segment(
    paths: common.PathsArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Write the partitions into this folder, with an index of them ({INDEX}). Pictures "
            "whose files are there and unchanged are skipped, so that an interrupted run goes on. "
            "Without it, COCO JSON goes to standard output, one line a picture.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002
        str,
        typer.Option(
            metavar="|".join(FORMATS),
            help="rle: COCO JSON with run-length encoded masks. panoptic: COCO panoptic PNG and "
            "JSON. png: 16-bit label map. npy: label array.",
        ),
    ] = "rle",
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay", help="Also write NAME.regions.png, the regions over the picture."
        ),
    ] = False,
    segmenter: common.SegmenterOption = "embedded",
    regions: common.RegionsOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    max_pixels: common.MaxPixelsOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Divide pictures into regions: every pixel belongs to exactly one.

    One that fails is named, and gives exit status 1.
    """
    if format not in FORMATS:
        raise ConfigError(f"--format takes {', '.join(FORMATS)}; got {format!r}.")
    if out is None and (overlay or format != "rle"):
        raise ConfigError(
            "--overlay and formats other than rle are files: name a folder, --out DIR."
        )
    if out is not None:
        outputs.require_writable_folder(out)
        outputs.require_writable_file(out / INDEX)
    from rsfiqa.bulk import work_through
    from rsfiqa.inputs import find_images

    inputs = find_images(paths)
    if not any(isinstance(given, str) for given in inputs):
        runs.give_up(inputs, to_standard_output=out is None)
    partitioner = common.make_partitioner(
        segmenter=segmenter, regions=regions, device=device, precision=precision
    )
    names = [given if isinstance(given, str) else given.path for given in inputs]
    with ExitStack() as stack:
        run: _ToFolder | _ToStandardOutput = _ToStandardOutput(partitioner)
        if out is not None:
            model = partitioner.info | {"format": format}
            index = stack.enter_context(ResultsFile(out / INDEX, model, mark="regions"))
            chosen = cast("PartitionFormat", format)
            run = _ToFolder(out, names, index, partitioner, chosen, model, with_overlay=overlay)
        ready = work_through(
            partitioner.partition,
            inputs,
            is_kept=run.is_kept,
            workers=partitioner.workers,
            max_pixels=max_pixels,
        )
        shown = not quiet and common.on_terminal(prints=out is None)
        tally = runs.take_all(run.take, ready, "segmenting", len(inputs), shown=shown)
        if isinstance(run, _ToFolder):
            run.index.finish(names)
    runs.summarise(tally, "segmented", run.notes, quiet=quiet)
    raise typer.Exit(1 if tally.failures else 0)


class _ToStandardOutput:
    """Each partition as COCO JSON on a line of its own."""

    notes: Sequence[str] = ()

    def __init__(self, partitioner: Partitioner) -> None:
        self._info = partitioner.info
        self._sink = outputs.StandardOutput()

    def is_kept(self, _: Source) -> bool:
        return False

    def take(self, outcomes: Sequence[Outcome[Partitioned]], tally: runs.Tally) -> None:
        from rsfiqa.regions.formats.coco import to_coco

        for outcome in outcomes:
            if outcome.result is not None:
                tally.done += 1
                info = self._info | {"segmenter": outcome.result.segmenter}
                document = to_coco(outcome.result.partition, image=outcome.name, info=info)
                self._sink.write([{"image": outcome.name, **document}])
            else:
                tally.failures.append((outcome.name, outcome.error or ""))
                if runs.names_a_picture(outcome.name):
                    self._sink.write([runs.error_line(outcome, None)])


class _ToFolder:
    """Each partition in files of its own, and a line of the index that says so.

    The files are written before the line, so that a line says that all is there. The line holds
    the files' hashes: a file that another picture or program has overwritten is made again.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        index: ResultsFile,
        partitioner: Partitioner,
        format: PartitionFormat,  # noqa: A002
        model: dict[str, Any],
        *,
        with_overlay: bool,
    ) -> None:
        self._folder = folder
        self._stems = dict(zip(names, outputs.distinct_stems(names), strict=True))
        self.index = index
        self.notes: list[str] = list(index.notes)
        self._partitioner = partitioner
        self._model = model
        self._format = format
        self._overlay = with_overlay

    def _paths(self, name: str) -> list[Path]:
        """The files that are made of a picture."""
        from rsfiqa.regions.formats import partition_paths

        stem = self._folder / self._stems[name]
        paths = list(partition_paths(stem, self._format))
        return [*paths, self._overlay_path(name)] if self._overlay else paths

    def _overlay_path(self, name: str) -> Path:
        return self._folder / f"{self._stems[name]}.regions.png"

    def is_kept(self, source: Source) -> bool:
        """Whether the picture, what cuts it, and the files made of it are unchanged."""
        from rsfiqa.images import hash_file

        name = source.name
        if name not in self.index:
            return False
        segmenter = self._partitioner.identity(name)
        if not self.index.is_unchanged(name, source.sha256(), segmenter=segmenter):
            return False
        files = json.loads(self.index.text_of(name)).get("files", {})
        try:
            return all(files.get(self._below(p)) == hash_file(p) for p in self._paths(name))
        except ImageError:  # a file is gone or empty: it is made again
            return False

    def _below(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def take(self, outcomes: Sequence[Outcome[Partitioned]], tally: runs.Tally) -> None:
        records: list[dict[str, Any]] = []
        for outcome in outcomes:
            if outcome.result is not None:
                tally.done += 1
                records.append(self._write(outcome.name, outcome.result))
            elif outcome.error is not None:
                tally.failures.append((outcome.name, outcome.error))
                if runs.names_a_picture(outcome.name):
                    records.append(runs.error_line(outcome, self.index))
            else:
                tally.kept += 1
        if records:
            self.index.write(records)

    def _write(self, name: str, result: Partitioned) -> dict[str, Any]:
        """Write the files of a picture; returns its line of the index."""
        from rsfiqa.images import hash_file
        from rsfiqa.regions.formats import save_partition

        partition, model = result.partition, self._model | {"segmenter": result.segmenter}
        stem = self._folder / self._stems[name]
        save_partition(partition, stem, self._format, image=Path(name).name, info=model)
        if self._overlay:
            from rsfiqa.report.partition_overlay import draw_partition

            drawn = draw_partition(result.picture.pixels, partition)
            outputs.save_picture(drawn, self._overlay_path(name))
        record = {
            "image": name,
            "width": partition.width,
            "height": partition.height,
            "regions": [
                {"id": r.id, "area": round(r.area, 6), "bbox": list(r.bbox)}
                for r in partition.regions
            ],
            "files": {self._below(path): hash_file(path) for path in self._paths(name)},
            "model": model,
            "sha256": result.picture.sha256,
        }
        if result.picture.notes:
            record["notes"] = list(result.picture.notes)
        return record
