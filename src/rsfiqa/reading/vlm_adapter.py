"""A peft adapter on a local vision-language model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rsfiqa.assets.hub import resolve_model
from rsfiqa.assets.pretrained import first_line, require_safetensors
from rsfiqa.errors import AssetError, ConfigError, MissingExtraError
from rsfiqa.reading.views import View
from rsfiqa.reading.vlm_files import SAFETENSORS_NEEDED, label_of, read_json

TRAINING = "training.json"
"""The file beside an adapter that says how `rsfiqa teach tune` taught it."""


class Adapted(NamedTuple):
    """A model with an adapter.

    Attributes:
        model: of peft, frozen.
        label: the adapter's name, with what pins its weights.
        view: what it was taught to see of a region; None where nothing says so.
    """

    model: Any
    label: str
    view: View | None


def with_adapter(model: Any, given: str | Path, *, offline: bool | None = None) -> Adapted:
    """The model with a peft adapter on it.

    Args:
        model: of transformers, the one that the adapter was taught on.
        given: the adapter's folder or hub id.
        offline: as for `rsfiqa.assets.resolve_model`.

    Raises:
        MissingExtraError: peft is not installed.
        AssetError: the adapter's files cannot be had, are incomplete or pickled.
        ConfigError: it does not fit the model.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("A model with an adapter", "vlm") from error
    folder = resolve_model(given, offline=offline)
    read_json(folder, "adapter_config.json", "a peft adapter")
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():  # peft would look for pickled weights next
        require_safetensors(folder, SAFETENSORS_NEEDED)
        raise AssetError(f"{folder} holds no {weights.name}; copy the adapter again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked below
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        wanted = set(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
        missing = sorted(wanted - _names_in(weights))
    except Exception as error:
        raise ConfigError(
            f"the adapter in {folder} does not fit the model ({first_line(error)}); give the model "
            "that it was taught on."
        ) from error
    if missing:  # peft would go on with an untaught part in their place
        raise AssetError(
            f"{weights} lacks {len(missing)} tensors of the adapter ({missing[0]} is the first); "
            "copy the adapter again."
        )
    return Adapted(adapted, label_of(given, folder), _taught_view(folder))


def _taught_view(folder: Path) -> View | None:
    """The view that an adapter's training record names; an adapter may well come without one."""
    try:
        view = json.loads((folder / TRAINING).read_text(encoding="utf-8"))["view"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((known for known in get_args(View) if known == view), None)


def _names_in(path: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        return set(tensors.keys())
