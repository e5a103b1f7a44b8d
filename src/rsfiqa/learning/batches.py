"""Pictures of one grid size, and of one data set, stacked for the scorer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
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

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; `indices` stay where they are."""
        return Batch(
            positions=self.positions.to(device),
            context=self.context.to(device),
            labels=self.labels.to(device),
            area=self.area.to(device),
            indices=self.indices,
            semantics=None if self.semantics is None else self.semantics.to(device),
        )


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
    order = np.arange(len(pictures)) if rng is None else rng.permutation(len(pictures))
    return _cut(order.tolist(), lambda i: tuple(pictures[i].labels.shape), size, rng)


def balanced_chunks(
    sets: Sequence[int], kinds: Sequence[Hashable], size: int, seed: int, epoch: int
) -> list[list[int]]:
    """One epoch's batches of several data sets: each batch of one set, each set equally often.

    An epoch is as long as all sets together, and each set has the same share of it: a small one is
    gone through several times, of a large one each epoch takes another part, the next in an order
    of its own, so that all its pictures are seen equally often (but for one).

    Args:
        sets: which data set each picture is of.
        kinds: pictures of different kinds, such as grid sizes, are not in one batch.
        size: pictures a batch, at most.
        seed: of the order.
        epoch: which one, from 1; the same seed and epoch give the same batches.

    Example:
        >>> epoch = balanced_chunks([0, 0, 0, 0, 0, 1], [(4, 4)] * 6, 2, seed=0, epoch=1)
        >>> sorted(len(batch) for batch in epoch), sum(batch.count(5) for batch in epoch)
        ([1, 1, 2, 2], 3)
    """
    members: dict[int, list[int]] = defaultdict(list)
    for i, owner in enumerate(sets):
        members[owner].append(i)
    share = max(1, round(len(sets) / len(members)))
    drawn = [
        mine[i]
        for owner, mine in sorted(members.items())
        for i in _turn(len(mine), share, [seed, owner], epoch)
    ]
    rng = np.random.default_rng([seed, len(members), epoch])
    return _cut(drawn, lambda i: (sets[i], kinds[i]), size, rng)


def _turn(count: int, share: int, seed: list[int], epoch: int) -> list[int]:
    """The `epoch`-th `share` of an endless row of shuffles of `count` numbers."""
    start, end = (epoch - 1) * share, epoch * share
    passes = range(start // count, -(-end // count))
    row = np.concatenate([np.random.default_rng([*seed, p]).permutation(count) for p in passes])
    return [int(i) for i in row[start - passes.start * count :][:share]]


def _cut(
    order: Sequence[int],
    kind: Callable[[int], Hashable],
    size: int,
    rng: np.random.Generator | None,
) -> list[list[int]]:
    """An order cut into batches of one kind each, shuffled when `rng` is given."""
    by_kind: dict[Hashable, list[int]] = defaultdict(list)
    for i in order:
        by_kind[kind(i)].append(i)
    found = [
        members[start : start + size]
        for members in by_kind.values()
        for start in range(0, len(members), size)
    ]
    return found if rng is None else [found[i] for i in rng.permutation(len(found))]


def batches(
    pictures: Sequence[PictureFeatures], size: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    """The batches of `chunks`, stacked one at a time."""
    for chunk in chunks(pictures, size, rng):
        yield stack(pictures, chunk)
