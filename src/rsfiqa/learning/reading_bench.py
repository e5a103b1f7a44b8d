"""The measurements behind `rsfiqa bench read`: a reader, and beside it a linear head, on what is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError
from rsfiqa.learning.content_panoptic import CocoPanoptic
from rsfiqa.learning.instructions import InstructionSet, read_instructions
from rsfiqa.learning.mmp2k import read_mmp2k
from rsfiqa.learning.reading_content import measure_content
from rsfiqa.learning.reading_labelled import measure_labelled
from rsfiqa.learning.reading_leak import measure_leak
from rsfiqa.learning.reading_linear import PENALTIES, LinearHead, fit_linear_head
from rsfiqa.learning.reading_people import measure_people
from rsfiqa.learning.reading_raters import LINEAR, READER, Rater, ReaderRater, Studio
from rsfiqa.learning.reading_spoiled import RatedRegions, rate_spoiled, spoiled_figures
from rsfiqa.learning.teaching_config import TeachingConfig
from rsfiqa.learning.teaching_evidence import EvidenceStore, TaughtRegions
from rsfiqa.reading.base import Reader
from rsfiqa.regions.base import Segmenter

EVIDENCE_FOLDER = "evidence"
"""Where a set's evidence is kept, below its folder."""

HELD = TeachingConfig().held
"""The fraction of photographs on which the linear head's penalty is chosen; the default of teaching,
so that both learn from the same photographs."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given what is done and in how many steps: a context whose value is told of those done."""


def _silent(_what: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _count: None)


@dataclass(frozen=True)
class BenchData:
    """What to measure on; a part without data is left out.

    Attributes:
        spoiled: folder of instruction data from photographs that nobody learned from.
        taught_on: folders of the instruction data that the reader learned from: the linear head
            learns from all of them.
        labelled: folder of instruction data from labelled photographs that nobody learned from.
        clean: clean photographs, for the leak.
        people: folder of MMP-2k.
        coco: folder of COCO with panoptic labels of its val split.
    """

    spoiled: Path | None = None
    taught_on: Sequence[Path] = ()
    labelled: Path | None = None
    clean: Sequence[Path] = ()
    people: Path | None = None
    coco: Path | None = None


@dataclass(frozen=True, eq=False)
class BenchOutcome:
    """What was found.

    Attributes:
        figures: plain data; see `bench_reading`.
        rated: the regions of the spoiled set, for plots; None where there was none.
        notes: what a reader of the figures should know.
    """

    figures: dict[str, Any]
    rated: RatedRegions | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def bench_reading(
    reader: Reader,
    data: BenchData,
    segmenter: Segmenter,
    *,
    encoder: GridEncoder | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    workers: int = 1,
    progress: Progress = _silent,
) -> BenchOutcome:
    """Measure a reader on all data that is given.

    Args:
        reader: step 2.
        data: what to measure on.
        segmenter: divides pictures that come without a partition.
        encoder: whose features are shared by all; by default the default one, where any is needed.
        limit: pictures at most, of each part; the linear head learns from all it is given.
        seed: of all that is drawn.
        device: where features are computed.
        precision: of the default encoder, `fp32` or `bf16`.
        workers: pictures side by side.
        progress: shows how far the work is.

    Returns:
        `figures` with `reader` and `segmenter` (names), `settings`; as far as there is data for
        them `linear` (see `describe_linear`), `spoiled` (see `spoiled_figures`), `labelled` (see
        `measure_labelled`), `leak` (see `measure_leak`), `people` (see `measure_people`) and
        `content` (see `measure_content`); and `left_out`, the parts without data. Parts have one row for the `reader` and one for the
        `linear` head, where it was given something to learn from.

    Raises:
        ConfigError: the reader reads nothing.
        DataError: a data set is not as it should be.
        ImageError: a picture cannot be read.
    """
    if reader.name == "none":
        raise ConfigError("the reader none reads nothing; name one with --reader.")
    coco = CocoPanoptic.open(data.coco, "val") if data.coco else None
    people = read_mmp2k(data.people)[:limit] if data.people else []
    spoiled = read_instructions(data.spoiled)[:limit] if data.spoiled else None
    labelled = read_instructions(data.labelled)[:limit] if data.labelled else None
    studio = Studio(encoder or _encoder(reader, data, segmenter, device, precision), segmenter)
    figures: dict[str, Any] = {
        "reader": reader.name,
        "segmenter": segmenter.name,
        "settings": {
            "limit": limit,
            "seed": seed,
            "precision": studio.encoder.precision if studio.encoder else None,
        },
    }
    raters: dict[str, Rater] = {READER: ReaderRater(reader)}
    notes: list[str] = []
    if data.taught_on:
        taught = [read_instructions(folder) for folder in data.taught_on]
        notes += _shared_sources(taught, spoiled, "spoiled")
        notes += _shared_sources(taught, labelled, "labelled")
        linear, figures["linear"] = _learn(taught, studio, progress)
        raters[LINEAR] = linear
    rated: RatedRegions | None = None
    if spoiled is not None:
        with progress("spoiled regions", len(spoiled)) as advance:
            rated = rate_spoiled(raters, spoiled, studio, workers=workers, told=lambda: advance(1))
        figures["spoiled"] = {"pictures": len(spoiled), **spoiled_figures(rated, seed=seed)}
    if labelled is not None:
        with progress("labelled photographs", len(labelled)) as advance:
            found = measure_labelled(
                raters, labelled, studio, seed=seed, workers=workers, told=lambda: advance(1)
            )
        figures["labelled"] = {"pictures": len(labelled), **found}
    if data.clean:
        photographs = data.clean[:limit]
        with progress("the leak", len(photographs)) as advance:
            figures["leak"] = measure_leak(
                raters, photographs, studio, seed=seed, workers=workers, told=lambda: advance(1)
            )
    if people:
        with progress("agreement with people", len(people)) as advance:
            figures["people"] = measure_people(
                raters, people, studio, workers=workers, told=lambda: advance(1)
            )
    if coco is not None:
        names = coco.names[:limit]
        with progress("content", len(names)) as advance:
            figures["content"] = measure_content(
                reader, coco, names, studio, workers=workers, told=lambda: advance(1)
            )
    parts = ("linear", "spoiled", "labelled", "leak", "people", "content")
    figures["left_out"] = [part for part in parts if part not in figures]
    return BenchOutcome(figures, rated, tuple(notes))


def describe_linear(head: LinearHead, regions: int, held: int) -> dict[str, Any]:
    """The linear head as plain data.

    Returns:
        `regions` it learned from, `held` regions its penalty was chosen on, `penalty`, and
        `held_losses`, the cross-entropy of a level word by penalty, as pairs.
    """
    losses: list[Sequence[float]] = [list(pair) for pair in head.held_losses.items()]
    return {"regions": regions, "held": held, "penalty": head.penalty, "held_losses": losses}


def _learn(
    taught: Sequence[InstructionSet], studio: Studio, progress: Progress
) -> tuple[LinearHead, Mapping[str, Any]]:
    if studio.encoder is None:
        raise ConfigError("the linear head needs an encoder; give one.")
    training, held = zip(*(part.split(HELD) for part in taught), strict=True)
    for parts, use in ((training, "to learn from"), (held, "to choose the penalty on")):
        if not any(part.count_regions().regions for part in parts):
            named = " and ".join(str(part.folder) for part in taught)
            raise ConfigError(
                f"of the pictures in {named} none with regions is left for the linear head {use}; "
                "give a set of more photographs."
            )
    with progress("evidence for the linear head", sum(map(len, taught))) as advance:
        regions, kept = (
            TaughtRegions.joined(
                [
                    EvidenceStore(part.folder / EVIDENCE_FOLDER, studio.encoder).gather(
                        part, lambda _: advance(1)
                    )
                    for part in parts
                ]
            )
            for parts in (training, held)
        )
    with progress("teaching the linear head", len(PENALTIES)) as advance:
        head = fit_linear_head(regions, kept, told=lambda _: advance(1))
    return head, describe_linear(head, len(regions), len(kept))


def _shared_sources(
    taught: Sequence[InstructionSet], measured: InstructionSet | None, name: str
) -> list[str]:
    """A set knows its photographs by name only, so that this can be no more than a warning."""
    learned = {source for part in taught for source in part.sources}
    shared = sorted(learned.intersection(measured.sources)) if measured is not None else []
    if not shared:
        return []
    return [
        (
            f"{len(shared)} photographs of the {name} set have names that occur in what was learned "
            f"from, such as {shared[0]}; if they are the same, the figures flatter."
        )
    ]


def _encoder(
    reader: Reader,
    data: BenchData,
    segmenter: Segmenter,
    device: torch.device | str,
    precision: str,
) -> GridEncoder | None:
    segments = segmenter.needs_semantic and bool(data.clean or data.people or data.coco)
    alone = reader.encoder_name is None and not data.taught_on
    if alone and not segments:
        return None
    from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder

    # Only the first backbone's maps serve for segmenting.
    encoder = build_encoder(DEFAULT_ENCODER[:1] if alone else DEFAULT_ENCODER)
    if precision == "bf16":
        encoder.to_bf16()
    return encoder.to(device).eval()
