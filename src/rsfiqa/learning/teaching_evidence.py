"""The evidence of a set's regions, computed once and kept beside the set for all teaching runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

import torch
from torch import Tensor

from rsfiqa.atomic import sweep_once
from rsfiqa.encoders.grid import GridEncoder, to_tensor
from rsfiqa.images import PIXEL_BUDGET, load_image, resize_to_budget
from rsfiqa.learning.features import write_whole
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.parallel import cpu_workers, parallel_map
from rsfiqa.reading.evidence import VERSION, RegionEvidence, region_evidence
from rsfiqa.reading.projector import EvidenceBatch
from rsfiqa.types import DIMENSIONS

_FIELDS = ("features", "parts", "pixels", "geometry", "context")


@dataclass(frozen=True, eq=False)
class TaughtRegions:
    """The regions of a set, side by side.

    Attributes:
        evidence: of N regions, in half precision.
        ratings: the wanted level probabilities `[N, 5, 5]`, dimensions by levels.
        instructions: of each region.
        pictures: the number of each region's picture in the set.
    """

    evidence: EvidenceBatch
    ratings: Tensor
    instructions: Sequence[RegionInstruction]
    pictures: Sequence[int]

    def __len__(self) -> int:
        return len(self.instructions)

    @classmethod
    def joined(cls, sets: Sequence[TaughtRegions]) -> TaughtRegions:
        """Several sets one behind the other, their pictures numbered on; empty ones have no part."""
        there = [part for part in sets if len(part)] or list(sets[:1])
        firsts = accumulate((max(part.pictures, default=-1) + 1 for part in there), initial=0)
        return cls(
            EvidenceBatch.joined([part.evidence for part in there]),
            torch.cat([part.ratings for part in there]),
            list(chain.from_iterable(part.instructions for part in there)),
            [first + n for first, part in zip(firsts, there, strict=False) for n in part.pictures],
        )


class EvidenceStore:
    """A folder of evidence, filled as it is asked for; safe for several processes.

    Args:
        folder: where files go; made when needed.
        encoder: computes the features.
    """

    def __init__(self, folder: Path, encoder: GridEncoder) -> None:
        self.folder = folder
        self.encoder = encoder
        self._settings = f"{encoder.name}|{encoder.precision}|{VERSION}"

    def gather(
        self, instructions: Sequence[Instruction], told: Callable[[int], None] = lambda _: None
    ) -> TaughtRegions:
        """The evidence of all instructed regions of the pictures.

        Args:
            instructions: the pictures; opened one by one.
            told: called with the number of pictures that are done.
        """
        found: list[EvidenceBatch] = []
        ratings: list[list[tuple[float, ...]]] = []
        regions: list[RegionInstruction] = []
        pictures: list[int] = []
        numbers = range(len(instructions))
        workers = cpu_workers()
        for number, (instruction, batch) in zip(
            numbers,
            parallel_map(lambda i: self._instructed(instructions[i]), numbers, workers),
            strict=True,
        ):
            if instruction.regions:
                found.append(batch.half())
            for region in instruction.regions:
                ratings.append([region.ratings[d].probabilities for d in DIMENSIONS])
                regions.append(region)
                pictures.append(number)
            told(number + 1)
        if not found:
            return _nothing()
        return TaughtRegions(EvidenceBatch.joined(found), torch.tensor(ratings), regions, pictures)

    def _instructed(self, instruction: Instruction) -> tuple[Instruction, EvidenceBatch]:
        batch = EvidenceBatch.of([self.of(instruction)])
        index = torch.tensor([region.region for region in instruction.regions], dtype=torch.long)
        return instruction, batch.at(index)

    def of(self, instruction: Instruction) -> RegionEvidence:
        """The evidence of all regions of one picture."""
        from safetensors.torch import save

        path = self._file(instruction)
        found = self._read(path)
        if found is None:
            pixels = resize_to_budget(load_image(instruction.image).pixels, PIXEL_BUDGET)
            device = next(self.encoder.parameters()).device
            grid = self.encoder(to_tensor(pixels).to(device))
            found = region_evidence(pixels, instruction.partition, grid)
            tensors = {name: getattr(found, name).half().contiguous() for name in _FIELDS}
            sweep_once(self.folder)
            write_whole(path, save(tensors))
        return found

    def _file(self, instruction: Instruction) -> Path:
        stat = instruction.image.stat()
        text = f"{instruction.image.name}|{stat.st_size}|{stat.st_mtime_ns}|{self._settings}"
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"

    def _read(self, path: Path) -> RegionEvidence | None:
        """What a file holds; None where there is none or it is damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(path.read_bytes())
            return RegionEvidence(**{name: tensors[name].float() for name in _FIELDS})
        except (OSError, SafetensorError, KeyError, ValueError):
            return None


def _nothing() -> TaughtRegions:
    none = torch.zeros(0, 0, dtype=torch.half)
    return TaughtRegions(EvidenceBatch(none, none, none, none), torch.zeros(0, 5, 5), [], [])
