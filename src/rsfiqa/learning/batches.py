"""Pictures of one grid size, stacked for the scorer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rsfiqa.extraction import PictureFeatures
from rsfiqa.scoring.semantics import Semantics, stack_semantics


@dataclass(frozen=True)
class Batch:
    """Features of B pictures, padded to their largest number of regions, K.

    Attributes:
        positions `[B, c, h, w]`, context `[B, D]`, labels `[B, h, w]`, area `[B, K]` as in
        `PictureFeatures`; area is 0 for regions that a picture does not have.
        indices: `[B]`, where the pictures stand in the data set.
        semantics: the regions' readings; regions that a picture does not have are unread. None
            where no picture was read.
    """

    positions: Tensor
    context: Tensor
    labels: Tensor
    area: Tensor
    indices: Tensor
    semantics: Semantics | None = None


def stack(pictures: Sequence[PictureFeatures], indices: Sequence[int]) -> Batch:
    """One batch of the pictures at `indices`, which must share one grid size."""
    chosen = [pictures[i] for i in indices]
    regions = max(len(picture.area) for picture in chosen)
    area = torch.zeros(len(chosen), regions)
    for row, picture in zip(area, chosen, strict=True):
        row[: len(picture.area)] = picture.area
    return Batch(
        positions=_stack_channels_last([p.positions for p in chosen]),
        context=torch.stack([p.context for p in chosen]).float(),
        labels=torch.stack([p.labels for p in chosen]).long(),
        area=area,
        indices=torch.tensor(list(indices)),
        semantics=stack_semantics([p.semantics for p in chosen], regions),
    )


def _stack_channels_last(maps: Sequence[Tensor]) -> Tensor:
    """Maps `[c, h, w]` as fp32 `[B, c, h, w]` whose channels lie together in memory.

    Attention reads positions, not channels: this saves it a copy of the largest tensor.
    """
    return torch.stack([m.permute(1, 2, 0) for m in maps]).float().permute(0, 3, 1, 2)


def chunks(
    pictures: Sequence[PictureFeatures], size: int, rng: np.random.Generator | None = None
) -> list[list[int]]:
    """Indices of all pictures in batches of one grid size each; shuffled when `rng` is given."""
    by_grid: dict[tuple[int, ...], list[int]] = defaultdict(list)
    order = np.arange(len(pictures)) if rng is None else rng.permutation(len(pictures))
    for i in order:
        by_grid[tuple(pictures[i].labels.shape)].append(int(i))
    found = [
        members[start : start + size]
        for members in by_grid.values()
        for start in range(0, len(members), size)
    ]
    return found if rng is None else [found[i] for i in rng.permutation(len(found))]


def batches(
    pictures: Sequence[PictureFeatures], size: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    """The batches of `chunks`, stacked one at a time."""
    for chunk in chunks(pictures, size, rng):
        yield stack(pictures, chunk)
