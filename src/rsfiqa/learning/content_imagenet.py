"""What an ImageNet classifier sees in regions, in nouns.

EfficientNet-Lite0's head is applied to every position of its last map, and its activations are
averaged over a region's positions before they are classified, as class activation maps do (Zhou et
al., "Learning Deep Features for Discriminative Localization", CVPR 2016): the region alone is
seen, and all regions of a picture cost one pass. Crops around the regions, at the size that the
classifier was made for, are a second opinion: they see what surrounds a region too.

`content_imagenet.csv` gives the plain noun of ImageNet's classes, by ranges of indices; classes that
it leaves out are too special, or too often said of things that they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.grid import to_tensor
from rsfiqa.errors import ConfigError
from rsfiqa.learning.content_words import rows_of
from rsfiqa.partition import Partition

CLASSES = 1000
CROP_SIDE = 224
"""Pixels: what the classifier was trained at."""
CONTEXT = 1.15
"""How much wider than the region's box a crop is."""


class ImageNetNouns:
    """Probabilities of nouns from a timm EfficientNet with its ImageNet head.

    Args:
        backbone: of a model with `conv_head`, `bn2` and `classifier`, as timm's EfficientNets have.

    Attributes:
        words: the nouns, in the order of probabilities.
        members: `(first, last, noun)`, which classes each noun stands for.

    Raises:
        ConfigError: the backbone is no such network, or has not ImageNet's 1000 classes.
    """

    def __init__(self, backbone: TimmBackbone) -> None:
        model: Any = backbone.model
        has_head = all(hasattr(model, part) for part in ("conv_head", "bn2", "classifier"))
        if not has_head or model.num_classes != CLASSES:
            raise ConfigError(
                f"nouns need an EfficientNet with its head of {CLASSES} ImageNet classes; got "
                f"{backbone.name}."
            )
        self._model = model
        self._mean, self._std = backbone.mean.cpu(), backbone.std.cpu()
        rows = rows_of("content_imagenet.csv")
        self.words: tuple[str, ...] = tuple(dict.fromkeys(row["noun"] for row in rows))
        self.members = tuple((int(row["first"]), int(row["last"]), row["noun"]) for row in rows)
        self._membership = torch.zeros(CLASSES, len(self.words))
        for first, last, noun in self.members:
            self._membership[first : last + 1, self.words.index(noun)] = 1

    @property
    def _device(self) -> torch.device:
        found: torch.device = self._model.conv_head.weight.device
        return found

    @torch.inference_mode()
    def of_regions(self, last_map: Tensor, shares: Tensor) -> npt.NDArray[np.float32]:
        """Probabilities `[K, N]` of the nouns in each region; what is missing to 1 has none.

        Args:
            last_map: the network's last map before its head, `[C, h, w]`.
            shares: weights of the positions in each region, `[K, h * w]`, each row summing to 1.
        """
        on = self._device
        activation: Tensor = self._model.bn2(self._model.conv_head(last_map[None].float().to(on)))
        pooled = shares.to(on) @ activation[0].flatten(1).T
        return self._nouns(self._model.classifier(pooled))

    @torch.inference_mode()
    def of_crops(
        self, pixels: npt.NDArray[np.uint8], partition: Partition, regions: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Probabilities `[len(regions), N]` of the nouns in square crops around some regions."""
        if not regions:
            return np.zeros((0, len(self.words)), np.float32)
        picture = Image.fromarray(pixels)
        crops = [to_tensor(_crop(picture, partition.regions[k].bbox)) for k in regions]
        return self._nouns(
            self._model(((torch.cat(crops) - self._mean) / self._std).to(self._device))
        )

    def _nouns(self, logits: Tensor) -> npt.NDArray[np.float32]:
        shares = logits.float().softmax(-1).cpu()
        probabilities: npt.NDArray[np.float32] = (shares @ self._membership).numpy()
        return probabilities


def _crop(picture: Image.Image, bbox: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    x, y, w, h = bbox
    half = max(w, h) * CONTEXT / 2
    box = (
        max(0.0, x + w / 2 - half),
        max(0.0, y + h / 2 - half),
        min(float(picture.width), x + w / 2 + half),
        min(float(picture.height), y + h / 2 + half),
    )
    size = (CROP_SIDE, CROP_SIDE)
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box))
