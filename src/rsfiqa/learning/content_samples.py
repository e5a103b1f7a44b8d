"""Regions as a classifier of content sees them, and labelled ones from COCO photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from rsfiqa.encoders.grid import GridEncoder, GridFeatures, to_tensor
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.images import load_image
from rsfiqa.learning.content_classifier import Floats
from rsfiqa.learning.content_imagenet import ImageNetNouns
from rsfiqa.learning.content_panoptic import CocoPanoptic, Panoptic, region_categories
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter

SMALLEST = 0.001
"""Segments below this fraction of a photograph teach nothing: a cell of the grid is as large."""


class ContentFeatures:
    """What a grid of features says of a region's content.

    The first backbone's two deepest maps and the last one's deepest: semantics of two kinds.

    Args:
        encoder: the default encoder, or one of the same kind (`build_encoder`).

    Raises:
        ConfigError: the encoder has not two backbones, the last of them with an ImageNet head.
    """

    def __init__(self, encoder: GridEncoder) -> None:
        depths = len(encoder.backbones[0].channels)
        if len(encoder.backbones) < 2 or depths < 2:
            raise ConfigError(
                "content words need an encoder of two backbones, the first with two depths; got "
                f"{encoder.name}."
            )
        self.encoder = encoder
        self.nouns = ImageNetNouns(encoder.backbones[-1])
        ends = np.cumsum(encoder.groups).tolist()
        starts = [0, *ends[:-1]]
        self._channels = ends[-1]
        self._slices = [slice(starts[k], ends[k]) for k in (depths - 2, depths - 1, -1)]

    @property
    def name(self) -> str:
        """Identifies the features."""
        return f"content-1|{self.encoder.name}"

    def grid(self, pixels: npt.NDArray[np.uint8]) -> GridFeatures:
        """The features of a picture within the pixel budget."""
        device = next(self.encoder.backbones[0].parameters()).device
        grid: GridFeatures = self.encoder(to_tensor(pixels).to(device))
        return grid

    @torch.inference_mode()
    def of_regions(self, grid: GridFeatures, partition: Partition) -> tuple[Floats, Floats]:
        """Features `[K, D]` of the regions, and probabilities `[K, N]` of ImageNet's nouns.

        Raises:
            ConfigError: the grid was computed by another encoder.
        """
        positions = grid.positions[0].float().cpu()
        if len(positions) != self._channels:
            raise ConfigError(
                f"the features have {len(positions)} channels where {self.encoder.name} gives "
                f"{self._channels}; compute them with that encoder."
            )
        shares = cell_shares(partition, *positions.shape[-2:])
        maps = [positions[part] for part in self._slices]
        pooled = [F.normalize(shares @ one.flatten(1).T, dim=1) for one in maps]
        return torch.cat(pooled, 1).numpy(), self.nouns.of_regions(maps[-1], shares)


@dataclass(frozen=True, eq=False)
class RegionSamples:
    """Labelled regions of many photographs.

    Attributes:
        features: `[N, D]`.
        seen: probabilities of ImageNet's nouns, `[N, M]`.
        category: the COCO category of each; empty where no label covers enough of it.
        photograph: the index of each one's photograph.
        area: fraction of the photograph.
        cut: whether it is a segmenter's region; else it is a labelled segment itself.
    """

    features: Floats
    seen: Floats
    category: npt.NDArray[np.str_]
    photograph: npt.NDArray[np.int64]
    area: npt.NDArray[np.float64]
    cut: npt.NDArray[np.bool_]


def collect(
    coco: CocoPanoptic,
    images: Sequence[str],
    features: ContentFeatures,
    segmenter: Segmenter,
    *,
    flipped: bool = False,
) -> RegionSamples:
    """The regions of labelled photographs, both as labelled and as a segmenter cuts them.

    Args:
        coco: labels and photographs.
        images: which photographs.
        features: what is seen of a region.
        segmenter: cuts regions.
        flipped: also take every photograph mirrored.

    Raises:
        DataError: no photograph is given, or one cannot be read or does not fit its labels.
    """
    parts: list[tuple[Floats, Floats, list[str], npt.NDArray[np.float64], bool, int]] = []
    for index, image in enumerate(images):
        for pixels, panoptic in _views(coco, image, flipped):
            grid = features.grid(pixels)
            cut = segmenter.segment(pixels, grid.semantic_of(0))
            labelled = Partition.from_labels(panoptic.ids)
            for partition, is_cut in ((cut, True), (labelled, False)):
                found = [c or "" for c in region_categories(partition, panoptic)]
                area = np.array([region.area for region in partition.regions])
                # Regions that no label covers stay, to see how often a teacher speaks of them.
                keep = np.flatnonzero(
                    [
                        is_cut or (c != "" and a >= SMALLEST)
                        for c, a in zip(found, area, strict=True)
                    ]
                )
                x, seen = features.of_regions(grid, partition)
                names = np.array(found)[keep].tolist()
                parts.append((x[keep], seen[keep], names, area[keep], is_cut, index))
    if not parts:
        raise DataError("a teacher of content words needs labelled photographs; got none.")
    return RegionSamples(
        features=np.concatenate([p[0] for p in parts]),
        seen=np.concatenate([p[1] for p in parts]),
        category=np.array([name for p in parts for name in p[2]]),
        photograph=np.concatenate([np.full(len(p[2]), p[5], np.int64) for p in parts]),
        area=np.concatenate([p[3] for p in parts]),
        cut=np.concatenate([np.full(len(p[2]), p[4]) for p in parts]),
    )


def cell_shares(partition: Partition, rows: int, columns: int) -> Tensor:
    """How much of each region every grid cell holds, `[K, rows * columns]`, rows summing to 1.

    Shares, not the cells' owners: a region of a few cells is mostly border.

    Example:
        >>> cell_shares(Partition(np.array([[0, 0, 1, 1], [0, 0, 0, 1]])), 1, 2)
        tensor([[0.8000, 0.2000],
                [0.0000, 1.0000]])
    """
    labels = partition.labels.astype(np.int64)
    # A picture smaller than the grid gives a pixel to several cells.
    labels = labels.repeat(-(-rows // labels.shape[0]), 0).repeat(-(-columns // labels.shape[1]), 1)
    height, width = labels.shape
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    pairs = (labels * rows + row[:, None]) * columns + column
    counts = np.bincount(pairs.ravel(), minlength=len(partition) * rows * columns)
    shares = torch.from_numpy(counts.reshape(len(partition), -1).astype(np.float32))
    return shares / shares.sum(1, keepdim=True)


def _views(
    coco: CocoPanoptic, image: str, flipped: bool
) -> Iterator[tuple[npt.NDArray[np.uint8], Panoptic]]:
    pixels = load_image(coco.photograph(image)).pixels
    panoptic = coco.regions(image)
    if panoptic.ids.shape != pixels.shape[:2]:
        raise DataError(
            f"{image} has {pixels.shape[1]}×{pixels.shape[0]} pixels, but its labels "
            f"{panoptic.ids.shape[1]}×{panoptic.ids.shape[0]}."
        )
    yield pixels, panoptic
    if flipped:
        mirrored = Panoptic(np.ascontiguousarray(panoptic.ids[:, ::-1]), panoptic.segments)
        yield np.ascontiguousarray(pixels[:, ::-1]), mirrored
