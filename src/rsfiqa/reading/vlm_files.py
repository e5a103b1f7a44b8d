"""The files of a local vision-language model: what kind it is, and what tells it from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsfiqa.assets.pretrained import snapshot_label
from rsfiqa.errors import AssetError

SAFETENSORS_NEEDED = (
    "*.safetensors files are needed: fetch those of the model, or save it anew with "
    "save_pretrained(…, safe_serialization=True)."
)
"""How a folder without such weights is mended, see `rsfiqa.assets.pretrained.require_safetensors`."""

_SETTINGS = ("*.json", "*.jinja", "*.txt", "tokenizer.model")
_BLOCK, _BLOCKS = 1 << 16, 16


def read_json(folder: Path, name: str, what: str) -> dict[str, Any]:
    """A JSON object among a model's files.

    Args:
        folder: of the model.
        name: of the file.
        what: what the folder should be, as a user would say it.

    Raises:
        AssetError: it is missing, or not a JSON object.
    """
    path = folder / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssetError(
            f"{folder} holds no readable {name}; give a hub id, or the folder of {what} as "
            "save_pretrained writes it."
        ) from error
    except ValueError as error:
        raise AssetError(f"{path} is not JSON; fetch the model again.") from error
    if not isinstance(found, dict):
        raise AssetError(f"{path} is not a JSON object; fetch the model again.")
    return found


def label_of(given: str | Path, folder: Path) -> str:
    """A model's name with what pins its weights: the hub's commit, or a fingerprint of its files.

    Weights of many gigabytes are not hashed whole but at 16 places of each file, which every
    training changes.

    Raises:
        AssetError: a file cannot be read.
    """
    if label := snapshot_label(given, folder):
        return label
    digest = hashlib.sha256()
    try:
        for path in sorted({path for pattern in _SETTINGS for path in folder.glob(pattern)}):
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
        for path in sorted(folder.glob("*.safetensors")):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            for block in _samples(path):
                digest.update(block)
    except OSError as error:
        raise AssetError(f"the files in {folder} cannot be read ({error}).") from error
    return f"{folder.resolve().name}#{digest.hexdigest()[:8]}"


def _samples(path: Path) -> Iterator[bytes]:
    """Blocks spread evenly over a file; all of it when it is small."""
    step = max(_BLOCK, path.stat().st_size // _BLOCKS)
    with path.open("rb") as stream:
        for start in range(0, path.stat().st_size, step):
            stream.seek(start)
            yield stream.read(_BLOCK)
