"""Features and readings of training pictures, computed once and cached on disk for all runs.

One safetensors file a picture, keyed by the picture's content and by everything that shapes what is
in it (encoder, stem, segmenter, precision, distortion; reader, fixed texts and sentence encoder
where there is a reader): changing any of them makes new files and leaves the old ones alone. A
damaged file is computed again, and once a run so is one with regions that a reader failed to read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa import atomic
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.images import hash_file, load_image, resize_to_budget
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS, VERSION, distort, spoil_region
from rsfiqa.learning.feature_files import (
    contexts_to_bytes,
    read_contexts,
    read_features,
    to_bytes,
)
from rsfiqa.learning.graded import Graded, GradePlan
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.observation import Observation, observe
from rsfiqa.parallel import cpu_workers, parallel_map
from rsfiqa.partition import Partition
from rsfiqa.reading import wording
from rsfiqa.reading.base import NoReader, Reader
from rsfiqa.scoring.semantics import TextEncoder
from rsfiqa.scoring.stem import Stem

SMALLEST_SPOILED_AREA = 0.02
"""Regions smaller than this fraction of the picture are not spoiled: nobody would see it."""


@dataclass(frozen=True)
class SpoilPlan:
    """How to spoil one copy of a picture; which region follows from `choice`, a number in 0..1."""

    source: int
    family: str
    strength: int
    choice: float
    seed: int


def plan_spoiled(pictures: int, copies: int, seed: int) -> list[SpoilPlan]:
    """`copies` plans over a shuffled data set; dimensions, families and strengths at random."""
    rng = np.random.default_rng(seed)
    dimensions = list(FAMILIES)
    order = [
        int(i) for _ in range(-(-copies // max(pictures, 1))) for i in rng.permutation(pictures)
    ]
    plans = []
    for source in order[:copies]:
        families = FAMILIES[dimensions[int(rng.integers(len(dimensions)))]]
        plans.append(
            SpoilPlan(
                source=source,
                family=families[int(rng.integers(len(families)))],
                strength=int(rng.integers(1, 5)),
                choice=float(rng.random()),
                seed=int(rng.integers(2**31)),
            )
        )
    return plans


class FeatureCache:
    """A folder of features, filled as they are asked for; safe for several processes.

    Args:
        folder: where files go; made when needed.
        extractor: computes what is missing.
        reader: reads the regions of clean and of spoiled pictures, from the same encoding; None
            for features without readings.
        sentences: embeds what the reader says; needed with a reader.

    Raises:
        ConfigError: there is a reader and nothing embeds what it says.
    """

    def __init__(
        self,
        folder: Path,
        extractor: FeatureExtractor,
        reader: Reader | None = None,
        sentences: TextEncoder | None = None,
    ) -> None:
        self.folder = folder
        self.extractor = extractor
        self.reader = reader or NoReader()
        if self.reader.name == "none":
            sentences = None
        elif sentences is None:
            raise ConfigError(
                f"the readings of {self.reader.name} cannot be learned from without an encoder of "
                "sentences; give SentenceEncoder.from_pretrained()."
            )
        self.sentences = sentences
        self._retried: set[str] = set()

    def clean(self, path: Path) -> tuple[PictureFeatures, Partition]:
        """Features and partition of a picture."""
        return self._kept(self._key(path, ""), lambda: self._observe(load_image(path).pixels))

    def mirrored(self, path: Path) -> PictureFeatures:
        """Features of a picture turned left to right: divided and read anew, as any picture is."""

        def mirror() -> Observation:
            return self._observe(np.ascontiguousarray(load_image(path).pixels[:, ::-1]))

        return self._kept(self._key(path, "mirrored"), mirror)[0]

    def spoiled(self, path: Path, plan: SpoilPlan) -> Spoiled | None:
        """A locally spoiled copy, seen with the clean picture's partition and read anew.

        None when no region is large enough.
        """
        _, partition = self.clean(path)
        large = [r.id for r in partition.regions if r.area >= SMALLEST_SPOILED_AREA]
        if not large:
            return None
        region = large[int(plan.choice * len(large))]
        key = self._key(path, f"{region},{plan.family},{plan.strength},{plan.seed},v{VERSION}")

        def spoil() -> Observation:
            pixels = load_image(path).pixels
            mask = partition.mask(region)
            spoiled = spoil_region(pixels, mask, plan.family, plan.strength, plan.seed)
            return self._observe(spoiled, partition)

        found = self._kept(key, spoil)
        return Spoiled(found[0], plan.source, region, plan.strength)

    def _observe(
        self, pixels: npt.NDArray[np.uint8], partition: Partition | None = None
    ) -> Observation:
        return observe(pixels, self.extractor, self.reader, self.sentences, partition)

    def all_clean(self, paths: Sequence[Path]) -> Iterator[PictureFeatures]:
        """Features of all pictures, in order, several side by side."""
        return parallel_map(lambda path: self.clean(path)[0], paths, self._workers())

    def all_mirrored(self, paths: Sequence[Path]) -> Iterator[PictureFeatures]:
        """Features of all pictures turned left to right, in order, several side by side."""
        return parallel_map(self.mirrored, paths, self._workers())

    def all_spoiled(
        self, paths: Sequence[Path], plans: Sequence[SpoilPlan]
    ) -> Iterator[Spoiled | None]:
        """Spoiled copies of the pictures that the plans name, in order of the plans."""
        return parallel_map(
            lambda plan: self.spoiled(paths[plan.source], plan), plans, self._workers()
        )

    def graded(self, path: Path, plan: GradePlan) -> Graded:
        """A picture spoiled as a whole, in all strengths: whole-picture features only."""
        settings = f"{self.extractor.name}|{self.extractor.encoder.precision}"
        change = f"graded,{plan.family},{plan.seed},v{VERSION}"
        file = self._file(_digest(f"{hash_file(path)}|{settings}|{change}"))
        shape = (len(STRENGTHS), len(self.extractor.stem.context_center))
        contexts = read_contexts(file, shape)
        if contexts is None:
            pixels = load_image(path).pixels
            copies = (distort(pixels, plan.family, strength, plan.seed) for strength in STRENGTHS)
            contexts = torch.stack([self.extractor.context(copy) for copy in copies]).cpu()
            write_whole(file, contexts_to_bytes(contexts))
        return Graded(contexts, plan.source)

    def all_graded(self, paths: Sequence[Path], plans: Sequence[GradePlan]) -> Iterator[Graded]:
        """Graded copies of the pictures that the plans name, in order of the plans."""
        return parallel_map(
            lambda plan: self.graded(paths[plan.source], plan), plans, self._workers()
        )

    def _workers(self) -> int:
        return cpu_workers() if self.extractor.device.type == "cpu" else 1

    def _kept(
        self, key: str, compute: Callable[[], Observation]
    ) -> tuple[PictureFeatures, Partition]:
        """What the file of a key holds, computed and written first where there is none.

        What was computed is read back, rounded as the file is: a first run trains on the same
        numbers as every later one.
        """
        path, with_readings = self._file(key), self.sentences is not None
        found = read_features(path, with_readings=with_readings)
        if found is None or (found.failed and key not in self._retried):
            self._retried.add(key)
            atomic.sweep_once(self.folder)
            write_whole(path, to_bytes(compute()))
            found = read_features(path, with_readings=with_readings)
        if found is None:
            raise DataError(
                f"features written to {path} cannot be read back; check the disk, or "
                "name another folder for them."
            )
        return found.features, found.partition

    def _key(self, path: Path, change: str) -> str:
        settings = f"{self.extractor.name}|{self.extractor.encoder.precision}"
        if self.sentences is not None:
            settings += f"|{self.reader.name}|{wording.VERSION}|{self.sentences.name}"
        return _digest(f"{hash_file(path)}|{settings}|{change}")

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def fit_stem(
    extractor: FeatureExtractor,
    paths: Sequence[Path],
    folder: Path,
    told: Callable[[int], None] = lambda _: None,
) -> Stem:
    """Fit the extractor's stem to pictures, or find the fit that an earlier run left in `folder`.

    Args:
        extractor: whose encoder and pixel budget are used, and whose stem is fitted in place.
        paths: pictures to fit to.
        folder: where fits are kept; the last bits of a fit depend on how many threads made it,
            and features are cached by the stem, so a fit is kept rather than repeated.
        told: told how many pictures are done.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    stem = extractor.stem
    parts = [extractor.encoder.name, extractor.encoder.precision, str(stem.widths)]
    parts += [str(extractor.pixel_budget), *(hash_file(path) for path in paths)]
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()[:40]
    kept = folder / "stems" / f"{digest}.safetensors"
    if kept.exists():
        # A damaged file is fitted again.
        with suppress(SafetensorError, OSError, RuntimeError):
            stem.load_state_dict(load_file(kept))
            told(len(paths))
            return stem

    def samples() -> Iterator[tuple[Tensor, Tensor]]:
        for done, path in enumerate(paths, start=1):
            pixels = resize_to_budget(load_image(path).pixels, extractor.pixel_budget)
            grid = extractor.encode(pixels)
            yield grid.positions[0].cpu(), grid.context[0].cpu()
            told(done)

    stem.fit(samples())
    atomic.sweep_once(folder)
    write_whole(kept, save(stem.state_dict()))
    return stem


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache whole or not at all, whoever else writes it.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        atomic.write_whole(path, data, durable=False)  # damaged files are made again
    except OSError as error:
        raise DataError(
            f"features cannot be cached in {path.parent}: {os.strerror(error.errno or 0)}."
        ) from error
