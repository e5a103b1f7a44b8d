"""From pixels to what the scorer reads: encode once, segment, reduce.

The same object serves inference, training and evaluation, so that what is learned is what is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa.encoders.grid import GridEncoder, GridFeatures, to_tensor
from rsfiqa.errors import DataError
from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.grid_labels import grid_labels
from rsfiqa.scoring.semantics import Semantics
from rsfiqa.scoring.stem import Stem


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """What the scorer reads of one picture.

    Attributes:
        positions: `[c, h, w]`, after the stem.
        context: `[D]`, whole-picture features, standardised.
        labels: `[h, w]`, region ids on the grid.
        area: `[K]`, fraction of the picture of each region.
        semantics: what a reader said of the regions, without the batch dimension; None where
            nobody read them. The extractor leaves it open: see `rsfiqa.observation`.
    """

    positions: Tensor
    context: Tensor
    labels: Tensor
    area: Tensor
    semantics: Semantics | None = None


class FeatureExtractor:
    """Encoder, segmenter and stem in a row.

    Pictures are encoded one at a time: a picture's features, and the partition that is cut from
    them, must not depend on what else is in the batch, not even in the last bit.

    Args:
        encoder: backbones on a grid.
        segmenter: step 1.
        stem: the projection that belongs to the scorer.
        pixel_budget: see `PIXEL_BUDGET`.
        device: where the encoder and the stem run.
    """

    def __init__(
        self,
        encoder: GridEncoder,
        segmenter: Segmenter,
        stem: Stem,
        *,
        pixel_budget: int = PIXEL_BUDGET,
        device: torch.device | str = "cpu",
    ) -> None:
        self.encoder = encoder.to(device).eval()
        self.segmenter = segmenter
        self.stem = stem.to(device).eval()
        self.pixel_budget = pixel_budget

    @property
    def device(self) -> torch.device:
        """Where the encoder and the stem are; whoever shares them may have moved them."""
        return next(self.stem.parameters()).device

    @property
    def name(self) -> str:
        """Identifies the features for caches: encoder with its branches, stem, segmenter and budget."""
        digest = hashlib.sha256()
        for parameter in self.stem.parameters():
            digest.update(parameter.detach().cpu().float().numpy().tobytes())
        for branch in self.encoder.branches.values():
            digest.update(branch.digest.encode())
        parts = [self.encoder.name, self.segmenter.name, str(self.pixel_budget)]
        return "|".join([*parts, digest.hexdigest()[:16]])

    @torch.inference_mode()
    def extract(
        self, pixels: npt.NDArray[np.uint8], partition: Partition | None = None
    ) -> tuple[PictureFeatures, Partition]:
        """Features and partition of one picture `[H, W, 3]`.

        Args:
            pixels: RGB.
            partition: the regions to use instead of segmenting, of the picture's size.

        Raises:
            DataError: the given partition has another size than the picture.
        """
        grid, partition = self.encode_and_segment(pixels, partition)
        return self.reduce(grid, partition), partition

    def encode_and_segment(
        self, pixels: npt.NDArray[np.uint8], partition: Partition | None = None
    ) -> tuple[GridFeatures, Partition]:
        """The backbones' features, which all steps share, and the partition, of one picture.

        Args:
            pixels: RGB `[H, W, 3]`; it is encoded within the pixel budget.
            partition: as for `extract`.

        Returns:
            features of a batch of one, and a partition of the picture's size.

        Raises:
            DataError: as for `extract`.
        """
        height, width = pixels.shape[:2]
        if partition is not None and (partition.height, partition.width) != (height, width):
            raise DataError(
                f"the picture is {width}×{height} but its partition {partition.width}×"
                f"{partition.height}; resize the partition first."
            )
        small = resize_to_budget(pixels, self.pixel_budget)
        grid = self.encode(small)
        if partition is None:
            partition = self.segment(small, grid).resize(height, width)
        return grid, partition

    @torch.inference_mode()
    def encode(self, pixels: npt.NDArray[np.uint8]) -> GridFeatures:
        """The backbones' features of a picture within the pixel budget."""
        grid: GridFeatures = self.encoder(to_tensor(pixels).to(self.device))
        return grid

    @torch.inference_mode()
    def context(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """The whole-picture features `[D]` of a picture, standardised: no regions are needed."""
        grid = self.encode(resize_to_budget(pixels, self.pixel_budget))
        context: Tensor = self.stem(grid.positions, grid.context)[1]
        return context[0]

    def segment(self, pixels: npt.NDArray[np.uint8], grid: GridFeatures) -> Partition:
        """The partition of a picture whose features are known."""
        return self.segmenter.segment(pixels, grid.semantic_of(0))

    @torch.inference_mode()
    def reduce(self, grid: GridFeatures, partition: Partition) -> PictureFeatures:
        """Features through the stem, with the partition on their grid."""
        positions, context = self.stem(grid.positions, grid.context)
        labels = grid_labels(partition, *positions.shape[-2:])
        area = np.array([region.area for region in partition.regions], dtype=np.float32)
        return PictureFeatures(
            positions[0], context[0], torch.from_numpy(labels), torch.from_numpy(area)
        )
