"""One file of cached features: a picture's observation as safetensors, rounded to half precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rsfiqa.extraction import PictureFeatures
from rsfiqa.observation import Observation
from rsfiqa.partition import Partition
from rsfiqa.scoring.semantics import Semantics


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """What a file holds.

    Attributes:
        features, partition: of the picture.
        failed: how many regions could not be read.
    """

    features: PictureFeatures
    partition: Partition
    failed: int


def to_bytes(seen: Observation) -> bytes:
    """The content of a file."""
    from safetensors.torch import save

    features = seen.features
    tensors = {
        "positions": features.positions.half().cpu().contiguous(),
        "context": features.context.float().cpu().contiguous(),
        "labels": features.labels.to(torch.int16).contiguous(),
        "area": features.area.contiguous(),
    }
    metadata = {"partition": json.dumps(seen.partition.to_rle())}
    if features.semantics is not None:
        tensors["description"] = features.semantics.description.half().contiguous()
        tensors["ratings"] = features.semantics.ratings.float().contiguous()
        tensors["known"] = features.semantics.known.to(torch.uint8).contiguous()
        failed = sum(reading.status == "failed" for reading in seen.readings)
        # For people only: what was said of the regions.
        said = [reading.description for reading in seen.readings]
        metadata |= {"failed": str(failed), "descriptions": json.dumps(said)}
    return save(tensors, metadata=metadata)


def read_features(path: Path, *, with_readings: bool) -> CachedFeatures | None:
    """What a file holds; None where there is none that is whole.

    Args:
        path: of the file.
        with_readings: whether it has to have readings.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.exists():
            return None
        with safe_open(path, framework="pt") as file:
            # Copies, since tensors that view the file would keep it mapped for hours.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        semantics = None
        if with_readings:
            known = tensors["known"].bool()
            semantics = Semantics(tensors["description"], tensors["ratings"], known)
        features = PictureFeatures(
            _channels_last(tensors["positions"]),
            tensors["context"],
            tensors["labels"],
            tensors["area"],
            semantics,
        )
        partition = Partition.from_rle(json.loads(metadata["partition"]))
        return CachedFeatures(features, partition, failed=int(metadata.get("failed", 0)))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def contexts_to_bytes(contexts: Tensor) -> bytes:
    """The content of a file of whole-picture features `[N, D]`."""
    from safetensors.torch import save

    return save({"contexts": contexts.float().cpu().contiguous()})


def read_contexts(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Whole-picture features `[N, D]` of a file; None where there is none that is whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        contexts = load(path.read_bytes())["contexts"]
    except (SafetensorError, OSError, KeyError):
        return None
    return contexts if contexts.shape == shape else None


def _channels_last(positions: Tensor) -> Tensor:
    """The same `[c, h, w]`, its channels side by side in memory, as batches want them."""
    return positions.permute(1, 2, 0).contiguous().permute(2, 0, 1)
