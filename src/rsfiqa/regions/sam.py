"""Segmenters of the SAM family: everything that a SAM model finds, made into one partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ConfigError, ImageError
from rsfiqa.partition import Partition
from rsfiqa.regions.masks import ScoredMask
from rsfiqa.regions.rule import PartitionRule
from rsfiqa.regions.sam_models import EncodedPicture, PointPrompted
from rsfiqa.regions.sam_points import enlarged, generate_masks, point_grid, unless_out_of_memory

if TYPE_CHECKING:
    import torch

SAM_RULE = PartitionRule(min_area=0.005, max_regions=24)
"""Few, large regions, as many as the embedded segmenter gives: quality is judged by the region, and
a region of a few pixels has none that could be judged."""


@dataclass(frozen=True)
class SamSegmenter:
    """A model of the SAM family, asked at a grid of points, and a rule that makes a partition.

    The defaults suit quality work, for which few and large regions are wanted: a grid of 16 × 16
    points where SAM's own generator asks at 32 × 32, and thresholds (its own: 0.88 and 0.95 for SAM,
    0.8 and 0.95 for SAM 2) low enough to keep skies, water and walls, whose borders are soft.

    Deterministic: nothing is sampled, and pictures are encoded one at a time unless
    `pictures_per_batch` says otherwise.

    Attributes:
        model: the network; `from_pretrained` loads one.
        points_per_side: points along each side of the grid, at least 1.
        points_per_batch: points asked at once, at least 1; halved when a device's memory runs out.
        pred_iou_thresh: masks with a lower predicted IoU are dropped.
        stability_score_thresh: masks with a lower stability, 0..1, are dropped.
        duplicate_iou: of two masks that overlap more than this, the better-scored stays.
        max_side: masks are drawn with at most this many pixels along the longer side; the label map
            is then brought back to the picture's size. At least 16. The model's own input has a
            fixed size, 1024 for all published models.
        rule: what makes a partition of overlapping masks that leave holes.
        pictures_per_batch: pictures that `segment_batch` encodes in one pass, at least 1. More can
            be faster on a GPU, at the price of the last digits: a mask that lies on a threshold may
            then fall to its other side.

    Raises:
        ConfigError: a setting is outside its range.
    """

    needs_semantic = False

    model: PointPrompted
    points_per_side: int = 16
    points_per_batch: int = 32
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.92
    duplicate_iou: float = 0.8
    max_side: int = 1024
    rule: PartitionRule = field(default=SAM_RULE)
    pictures_per_batch: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("points_per_side", 1),
            ("points_per_batch", 1),
            ("max_side", 16),
            ("pictures_per_batch", 1),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        for name in ("pred_iou_thresh", "stability_score_thresh", "duplicate_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in 0..1; got {getattr(self, name)}.")

    @classmethod
    def from_pretrained(
        cls,
        id_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        offline: bool | None = None,
        **settings: Any,
    ) -> SamSegmenter:
        """A segmenter with a model from the hub or a folder.

        Args:
            id_or_folder: a hub id such as `facebook/sam2.1-hiera-small`, `facebook/sam-vit-base`,
                `syscv-community/sam-hq-vit-base`, with `@revision` if you like; or a local folder
                with config.json, model.safetensors and preprocessor_config.json.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
            offline: True forbids the network; None asks `RSFIQA_OFFLINE` and `HF_HUB_OFFLINE`.
            settings: the attributes of this class, by name.

        Raises:
            MissingExtraError: the extra `sam` is not installed.
            AssetError: the model cannot be had or read.
            ConfigError: the model is of another family, the device cannot take it, or a setting is
                unknown or outside its range.
        """
        from rsfiqa.regions.sam_loading import load_sam

        known = [name for name in cls.__dataclass_fields__ if name != "model"]
        if unknown := sorted(settings.keys() - set(known)):
            raise ConfigError(f"unknown setting {unknown[0]!r}; known are {', '.join(known)}.")
        return cls(load_sam(id_or_folder, device=device, offline=offline), **settings)

    @property
    def name(self) -> str:
        """The model, its weights and every setting that can change a partition."""
        return (
            f"sam-1/{self.model.label}/{self.points_per_side}pt,i{self.pred_iou_thresh:g},"
            f"s{self.stability_score_thresh:g},d{self.duplicate_iou:g},m{self.max_side}"
            f"/{self.rule.name}"
        )

    def segment(
        self,
        pixels: npt.NDArray[np.uint8],
        semantic: npt.NDArray[np.floating[Any]] | None = None,
    ) -> Partition:
        """Partition a picture `[H, W, 3]`; see `Segmenter`. `semantic` is not looked at.

        Where the model finds nothing, the rule decides about an empty list of masks.

        Raises:
            ConfigError: the device's memory does not hold the picture.
        """
        return self.segment_batch([pixels])[0]

    def segment_batch(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[Partition]:
        """Partition pictures `[H, W, 3]`, of any sizes, in their order; see `segment`."""
        partitions = []
        for start in range(0, len(pictures), self.pictures_per_batch):
            chunk = pictures[start : start + self.pictures_per_batch]
            shrunk = [_within(pixels, self.max_side) for pixels in chunk]
            for pixels, small, encoded in zip(chunk, shrunk, self._encoded(shrunk), strict=True):
                partition = self._partition(small, encoded)
                partitions.append(partition.resize(*pixels.shape[:2]))
        return partitions

    def _encoded(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[EncodedPicture]:
        encoded = unless_out_of_memory(lambda: self.model.encode(pictures))
        if encoded is not None:
            return list(encoded)
        if len(pictures) > 1:
            half = len(pictures) // 2
            return [*self._encoded(pictures[:half]), *self._encoded(pictures[half:])]
        raise ImageError(  # of this picture: others may be smaller, and the run goes on
            f"{self.model.label} runs out of memory on {self.model.device} with a single picture; "
            "choose a smaller model, free the device's memory, or use device='cpu'."
        )

    def _partition(self, pixels: npt.NDArray[np.uint8], encoded: EncodedPicture) -> Partition:
        height, width = pixels.shape[:2]
        return self.rule.apply(self._masks(encoded, height, width), height, width, pixels=pixels)

    def _masks(self, encoded: EncodedPicture, height: int, width: int) -> Iterator[ScoredMask]:
        """One mask at a time at the size of the label map; the rule keeps them as run lengths."""
        for candidate in generate_masks(
            self.model,
            encoded,
            point_grid(self.points_per_side),
            points_per_batch=self.points_per_batch,
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
            duplicate_iou=self.duplicate_iou,
        ):
            yield ScoredMask(enlarged(candidate, encoded, height, width), candidate.score)


def _within(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture with its longer side at most `side`, antialiased."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
