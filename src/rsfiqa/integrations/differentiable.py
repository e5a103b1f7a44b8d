"""The scorer as one differentiable function: pictures in, scores out, gradients back.

`RSFIQA.assess` rounds a picture to 8 bits and keeps no graph. Here the same networks see the values
as they are, and everything between them and the score is differentiable but the regions: where one
ends and the next begins is found without gradient and held fixed.
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.encoders.grid import GridFeatures
from rsfiqa.errors import DataError, ImageError
from rsfiqa.images import MIN_SIDE, resize_to_budget
from rsfiqa.images.limits import check_size, pixel_limit
from rsfiqa.partition import Partition
from rsfiqa.regions.grid_labels import grid_labels

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA

_REMEMBERED = 64
"""How many pictures' regions are kept at hand; a label map takes one or two bytes a pixel."""


@dataclass(frozen=True, eq=False)
class _View:
    """One picture as the networks see it.

    Attributes:
        image: `[1, 3, h, w]` within the pixel budget.
        pixels: the same in 8 bits, `[h, w, 3]`, for segmenting.
        size: height and width of the picture itself.
    """

    image: Tensor
    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]


class DifferentiableScorer(nn.Module):
    """Scores of pictures with gradients to the pictures, by the parts of an assessor.

    Every picture is encoded by itself, so that its score does not depend on its batch, and in fp32,
    under autocast too. No reader is asked: regions are scored unread, as by `reader="none"`. The
    parts are frozen: no parameter requires a gradient, and the module stays in evaluation mode.

    Args:
        assessor: its encoder, stem and segmenter are shared, so that memory holds them once (and
            moving this module to another device moves the assessor's, too); of its scorer a copy is
            frozen.

    Shape:
        - images: `[B, 3, H, W]`, floating point, RGB in 0..1. Values outside are clipped, as a file
          would clip them, and get no gradient. Sides have at least 32 pixels; pictures over
          `rsfiqa.images.PIXEL_BUDGET` are scaled down first, as `RSFIQA.assess` does.
        - output: `[B]`, 0..100, higher is better.

    Example:
        >>> from rsfiqa import RSFIQA
        >>> scorer = DifferentiableScorer(RSFIQA.from_pretrained(reader="none"))
        >>> image = torch.rand(1, 3, 64, 96, requires_grad=True)
        >>> scorer(image).sum().backward()
        >>> bool(image.grad.any())
        True
    """

    def __init__(self, assessor: RSFIQA) -> None:
        super().__init__()
        extractor = assessor.extractor
        self.encoder = extractor.encoder
        self.stem = extractor.stem
        self.scorer = copy.deepcopy(assessor.scorer).requires_grad_(False)
        self.segmenter = extractor.segmenter
        self.pixel_budget = extractor.pixel_budget
        self._partitions: OrderedDict[bytes, Partition] = OrderedDict()
        self.eval()

    def train(self, mode: bool = True) -> DifferentiableScorer:
        """Stay in evaluation mode: a measure must not change with use."""
        return super().train(False)

    def forward(self, images: Tensor, partitions: Sequence[Partition] | None = None) -> Tensor:
        """Scores `[B]` of pictures `[B, 3, H, W]`.

        Args:
            images: see the class.
            partitions: the regions of each picture, at its size; by default they are segmented,
                and those of the last pictures are remembered by their pixels.

        Raises:
            ImageError: the images have another shape or type, are too small or too large, or hold
                NaN or infinity.
            DataError: there are not as many partitions as pictures, or one has another size.
        """
        _require_pictures(images)
        regions = _fitting(partitions, images)
        with torch.autocast(self.device.type, enabled=False):
            scores = [
                self._score(self._view(image), partition)
                for image, partition in zip(images, regions, strict=True)
            ]
        return torch.stack(scores)

    @torch.no_grad()
    def segment(self, images: Tensor) -> list[Partition]:
        """The regions of pictures `[B, 3, H, W]`, as `forward` finds them, to give to it again.

        Raises:
            ImageError: as for `forward`.
        """
        _require_pictures(images)
        with torch.autocast(self.device.type, enabled=False):
            return [self._partition(self._view(image)) for image in images]

    @property
    def device(self) -> torch.device:
        """Where the networks are; pictures are brought there."""
        return next(self.scorer.parameters()).device

    def _view(self, image: Tensor) -> _View:
        """A picture `[3, H, W]` at the size at which the networks see it."""
        exact = image.to(self.device, torch.float32).clamp(0, 1)
        rounded = exact.detach().mul(255).round().byte()
        pixels = resize_to_budget(rounded.permute(1, 2, 0).cpu().numpy(), self.pixel_budget)
        size = pixels.shape[:2]
        if size != exact.shape[1:]:
            exact = F.interpolate(
                exact[None], size=size, mode="bicubic", align_corners=False, antialias=True
            )[0].clamp(0, 1)
        return _View(exact[None], pixels, (image.shape[1], image.shape[2]))

    def _score(self, view: _View, partition: Partition | None) -> Tensor:
        grid = self.encoder.features(view.image)
        partition = partition or self._partition(view, grid)
        positions, context = self.stem(grid.positions, grid.context)
        labels = torch.from_numpy(grid_labels(partition, *positions.shape[-2:]))
        area = torch.tensor([region.area for region in partition.regions])
        out = self.scorer(
            positions, context, labels[None].to(self.device), area[None].to(self.device)
        )
        score: Tensor = out.score[0]
        return score

    def _partition(self, view: _View, grid: GridFeatures | None = None) -> Partition:
        """The remembered regions of a picture, or new ones, from its features if they are known."""
        key = hashlib.sha256(f"{view.size}{view.pixels.shape}".encode() + view.pixels.tobytes())
        partition = self._partitions.pop(key.digest(), None)
        if partition is None:
            grid = grid or self.encoder.features(view.image)
            semantic = replace(grid, semantic=grid.semantic.detach()).semantic_of(0)
            partition = self.segmenter.segment(view.pixels, semantic).resize(*view.size)
        self._partitions[key.digest()] = partition
        if len(self._partitions) > _REMEMBERED:
            self._partitions.popitem(last=False)
        return partition


def _require_pictures(images: Tensor) -> None:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(
            f"images must be a floating-point tensor [B, 3, H, W] in 0..1; got {kind}"
            f"{': divide by 255' if kind == torch.uint8 else ''}."
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise ImageError(
            f"images must be [B, 3, H, W]; got {list(images.shape)}: use expand(-1, 3, -1, -1) for "
            "grey pictures, [None] for a single one."
        )
    height, width = images.shape[2:]
    check_size(width, height, "a picture", max_pixels=pixel_limit(None), min_side=MIN_SIDE)
    if not images.isfinite().all():
        raise ImageError("the images hold NaN or infinity; every value must be a number in 0..1.")


def _fitting(
    partitions: Sequence[Partition] | None, images: Tensor
) -> Sequence[Partition] | Sequence[None]:
    """One partition a picture, or None for each.

    Raises:
        DataError: they do not fit the pictures.
    """
    if partitions is None:
        return [None] * len(images)
    if len(partitions) != len(images):
        raise DataError(
            f"got {len(partitions)} partitions for {len(images)} pictures; give one each."
        )
    height, width = images.shape[2:]
    for partition in partitions:
        if (partition.height, partition.width) != (height, width):
            raise DataError(
                f"the pictures are {width}×{height} but a partition {partition.width}×"
                f"{partition.height}; resize the partition first."
            )
    return partitions
