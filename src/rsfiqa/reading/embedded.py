"""The embedded reader: a small language model, taught to read region tokens, on two CPU cores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from rsfiqa.devices import Precision, require_precision
from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.partition import Partition
from rsfiqa.reading.embedded_checkpoint import EmbeddedCheckpoint, default_folder, load_embedded
from rsfiqa.reading.evidence import labels_at, region_evidence
from rsfiqa.reading.language_model import LanguageModel, load_language_model, merge_lora
from rsfiqa.reading.projector import EvidenceBatch
from rsfiqa.reading.region_model import RegionLanguageModel
from rsfiqa.types import DIMENSIONS, Dimension, Rating, Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridEncoder, GridFeatures

REGIONS_AT_ONCE = 32
_SILENT = "+ratings-only"
_UNSEEN = "the region is too thin to be seen at the size that pictures are read at."


class EmbeddedReader:
    """Reads regions with a taught projector and language model.

    Args:
        checkpoint: what was taught.
        language: the language model it was taught for; its weights are changed (the adapter is
            merged into them).
        device: where both run.
        precision: of the language model, and of the encoder where it has to make features itself;
            `bf16` is about three times as fast on processors made for it and moves ratings by some
            hundredths of a level.

    Example:
        >>> from rsfiqa.reading.embedded import EmbeddedReader
        >>> EmbeddedReader.from_pretrained().name.startswith("embedded-")
        True
    """

    def __init__(
        self,
        checkpoint: EmbeddedCheckpoint,
        language: LanguageModel,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        require_precision(precision)
        merge_lora(language.model, checkpoint.adapter, checkpoint.scale)
        if precision == "bf16":
            language.model.to(torch.bfloat16)
        self._model = RegionLanguageModel(language, checkpoint.projector).to(device).eval()
        self._device = torch.device(device)
        self._precision = precision
        self._name = checkpoint.name + ("" if precision == "fp32" else f"+{precision}")
        self._encoder_name = checkpoint.encoder_name
        self._encoder: GridEncoder | None = None
        self._lock = Lock()
        self._describes = True

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path | None = None,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        offline: bool | None = None,
    ) -> EmbeddedReader:
        """Load a taught reader; the first call fetches the language model's weights.

        Args:
            folder: what `rsfiqa teach tune` wrote; None for the reader that ships with the package.
            device: where it runs.
            precision: of the language model.
            offline: True forbids the network; None asks `RSFIQA_OFFLINE`.

        Raises:
            AssetError: weights cannot be had or read.
            ConfigError: the precision is unknown.
        """
        require_precision(precision)
        checkpoint = load_embedded(Path(folder) if folder is not None else default_folder())
        language = load_language_model(offline=offline)
        return cls(checkpoint, language, device=device, precision=precision)

    @property
    def name(self) -> str:
        return self._name

    @property
    def encoder_name(self) -> str | None:
        return self._encoder_name

    def rating_only(self) -> EmbeddedReader:
        """The same reader, its weights shared, that rates and writes no descriptions.

        Its name differs, so that readings without a description are never kept as whole ones.
        """
        silent = copy(self)
        silent._describes = False
        silent._name = f"{self._name.removesuffix(_SILENT)}{_SILENT}"
        return silent

    def read(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        """One reading a region; see `rsfiqa.reading.base.Reader`."""
        small = resize_to_budget(pixels, PIXEL_BUDGET)
        labels = labels_at(partition, *small.shape[:2])
        evidence = region_evidence(small, partition, grid or self._encode(small), labels)
        batch = EvidenceBatch.of([evidence]).to(self._device)
        readings: list[Reading] = []
        for chunk in torch.arange(len(batch)).split(REGIONS_AT_ONCE):
            readings += self._read(batch.at(chunk))
        seen = np.bincount(labels.ravel(), minlength=len(partition))
        return [
            reading if pixels_seen else Reading("failed", reason=_UNSEEN)
            for reading, pixels_seen in zip(readings, seen, strict=True)
        ]

    @torch.inference_mode()
    def _read(self, batch: EvidenceBatch) -> list[Reading]:
        probabilities, said = self._model.read(
            self._model.projector(batch), describe=self._describes
        )
        descriptions = said or [""] * len(probabilities)
        readings = []
        for levels, description in zip(probabilities.tolist(), descriptions, strict=True):
            if any(map(math.isnan, chain.from_iterable(levels))):
                readings.append(
                    Reading("failed", reason="the model's probabilities are no numbers.")
                )
                continue
            ratings: dict[Dimension, Rating] = {
                dimension: Rating((row[0], row[1], row[2], row[3], row[4]))
                for dimension, row in zip(DIMENSIONS, levels, strict=True)
            }
            readings.append(Reading("ok", description or None, ratings))
        return readings

    @torch.inference_mode()
    def _encode(self, pixels: npt.NDArray[np.uint8]) -> GridFeatures:
        from rsfiqa.encoders.build import build_encoder
        from rsfiqa.encoders.grid import to_tensor

        with self._lock:
            if self._encoder is None:
                encoder = build_encoder().to(self._device).eval()
                if self._precision == "bf16":  # as that of an assessor of this precision
                    encoder.to_bf16()
                self._encoder = encoder
        grid: GridFeatures = self._encoder(to_tensor(pixels).to(self._device))
        return grid
