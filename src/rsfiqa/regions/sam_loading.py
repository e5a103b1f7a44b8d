"""SAM-family checkpoints from a hub id or a local folder: safetensors only, no remote code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rsfiqa.assets.hub import resolve_model
from rsfiqa.assets.integrity import sha256_of
from rsfiqa.assets.pretrained import (
    first_line,
    quiet_loading,
    require_safetensors,
    snapshot_label,
)
from rsfiqa.devices import choose_device
from rsfiqa.errors import AssetError, ConfigError, MissingExtraError
from rsfiqa.regions.sam_models import PointPrompted

if TYPE_CHECKING:
    import torch

MODEL_CLASSES: Mapping[str, str] = {
    "sam": "SamModel",
    "sam2": "Sam2Model",
    # Published SAM 2 checkpoints hold the video model, of which pictures need a part.
    "sam2_video": "Sam2Model",
    "sam_hq": "SamHQModel",
}
"""The `model_type` of a checkpoint's config.json → the class of transformers that reads it."""

_MEND = (
    "a model.safetensors is needed: fetch that file of the model, or save it anew with "
    "save_pretrained(…, safe_serialization=True)."
)


def load_sam(
    id_or_folder: str | Path, *, device: torch.device | str = "cpu", offline: bool | None = None
) -> PointPrompted:
    """Load a model of the SAM family.

    Args:
        id_or_folder: a hub id (`facebook/sam2.1-hiera-small`, with `@revision` if you like), or a
            folder that holds config.json, model.safetensors and preprocessor_config.json, as
            `save_pretrained` writes them.
        device: where the model runs: `auto` (a CUDA device where there is one), `cpu`, `cuda`,
            `cuda:1`, `mps`.
        offline: True forbids the network; None asks `RSFIQA_OFFLINE` and `HF_HUB_OFFLINE`. A local
            folder never needs it.

    Raises:
        MissingExtraError: transformers (the extra `sam`) is not installed.
        AssetError: the files cannot be had, are incomplete, or hold pickled weights only.
        ConfigError: the model is not of the SAM family, or the installed transformers does not
            know it, or the device cannot be used or does not hold the model.
    """
    transformers = _transformers()
    chosen_device = choose_device(str(device))
    folder = resolve_model(id_or_folder, offline=offline)
    class_name = _class_of(folder, id_or_folder)
    if not hasattr(transformers, class_name):
        raise ConfigError(
            f"transformers {transformers.__version__} has no {class_name}, which {id_or_folder} "
            'needs; mend it with: pip install -U "rsfiqa[sam]"'
        )
    require_safetensors(folder, _MEND)
    model = _model(transformers, class_name, folder)
    processor = _processor(transformers, folder)
    label = _label(id_or_folder, folder)
    try:
        return PointPrompted(model, processor, label=label, device=chosen_device)
    except RuntimeError as error:
        raise ConfigError(
            f"{chosen_device} cannot hold {label} ({first_line(error)}); free its memory, choose a "
            "smaller model, or use device='cpu'."
        ) from error


def _transformers() -> ModuleType:
    try:
        import torchvision  # noqa: F401  (the image processors are built on it)
        import transformers
    except ImportError as error:
        raise MissingExtraError("Segmenting with SAM", "sam") from error
    return transformers


def _class_of(folder: Path, given: str | Path) -> str:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model_type = config["model_type"]
    except OSError as error:
        raise AssetError(
            f"{given} holds no readable config.json; give a hub id, or the folder of a SAM model "
            "as save_pretrained writes it."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise AssetError(
            f"{path} is not the description of a model (JSON with a model_type); fetch it again."
        ) from error
    if model_type not in MODEL_CLASSES:
        raise ConfigError(
            f"{given} is a model of type {model_type!r}; a segmenter needs one of "
            f"{', '.join(MODEL_CLASSES)}, for example facebook/sam2.1-hiera-small."
        )
    return MODEL_CLASSES[model_type]


def _model(transformers: ModuleType, class_name: str, folder: Path) -> Any:
    import torch

    try:
        with quiet_loading(transformers):
            # The config keeps its own class: that of a video checkpoint differs from the model's.
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            model, report = getattr(transformers, class_name).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # damaged files raise whatever their reader raises
        raise AssetError(
            f"the model in {folder} cannot be loaded ({first_line(error)}); fetch it again, or "
            'update transformers with: pip install -U "rsfiqa[sam]"'
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise AssetError(
            f"the weights in {folder} lack {len(missing)} of {class_name}'s tensors "
            f"({missing[0]} is the first); fetch the model again."
        )
    return model


def _processor(transformers: ModuleType, folder: Path) -> Any:
    try:
        with quiet_loading(transformers):
            return transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # see _model
        raise AssetError(
            f"the image processor in {folder} cannot be loaded ({first_line(error)}); "
            "preprocessor_config.json must lie beside the weights, as on the hub."
        ) from error


def _label(given: str | Path, folder: Path) -> str:
    """The model's name with what pins its weights: the hub's commit, or the files' content."""
    if label := snapshot_label(given, folder):
        return label
    files = [*folder.glob("*.safetensors"), *folder.glob("*config.json")]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return f"{folder.resolve().name}#{digest.hexdigest()[:8]}"
