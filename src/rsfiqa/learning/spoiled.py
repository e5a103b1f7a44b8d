"""Spoiled copies in training: what a fault in one region must do to the scores of all regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.batches import stack
from rsfiqa.learning.losses import locality_loss
from rsfiqa.learning.training_config import TrainingConfig
from rsfiqa.scoring.model import RegionScorer
from rsfiqa.scoring.semantics import Semantics

MARGINS = {1: 1.0, 2: 3.0, 3: 6.0, 4: 10.0}
"""Points by which a region's score must fall when it is spoiled at each strength."""


@dataclass(frozen=True)
class Spoiled:
    """A copy of a training picture, spoiled in one region and seen with the same partition.

    Attributes:
        features: of the spoiled copy.
        source: index of the clean picture.
        region: id of the spoiled region.
        strength: 1..4.
    """

    features: PictureFeatures
    source: int
    region: int
    strength: int


def locality_of(
    scorer: RegionScorer,
    pictures: Sequence[PictureFeatures],
    spoiled: Sequence[Spoiled],
    config: TrainingConfig,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The locality loss of some spoiled copies, drawn at random, of one grid size."""
    count = config.spoiled_per_step
    grid = spoiled[int(rng.integers(len(spoiled)))].features.labels.shape
    alike = [i for i, s in enumerate(spoiled) if s.features.labels.shape == grid]
    chosen = [spoiled[alike[i]] for i in rng.integers(len(alike), size=count)]
    before = stack([pictures[s.source] for s in chosen], range(count)).to(device)
    after = stack([s.features for s in chosen], range(count)).to(device)
    region = torch.tensor([s.region for s in chosen]).to(device)
    margin = torch.tensor([MARGINS[s.strength] for s in chosen]).to(device)
    shown = some_unread([before.semantics, after.semantics], config.unread, rng)
    # Both are seen in the clean picture's context: regions learn to answer for themselves, and
    # context stays free to say what a fault does to the picture as a whole.
    clean, changed = (
        scorer(b.positions, before.context, before.labels, before.area, semantics).region_scores
        for b, semantics in zip((before, after), shown, strict=True)
    )
    return locality_loss(clean, changed, region, before.area, margin)


def some_unread(
    versions: Sequence[Semantics | None], fraction: float, rng: np.random.Generator
) -> list[Semantics | None]:
    """Versions of the same pictures' readings, with those of some pictures hidden in all of them."""
    read = [version for version in versions if version is not None]
    if not read or not fraction:
        return list(versions)
    hidden = torch.from_numpy(rng.random((len(read[0].known), 1)) < fraction)
    hidden = hidden.to(read[0].known.device)
    return [None if version is None else version.hidden(hidden) for version in versions]
