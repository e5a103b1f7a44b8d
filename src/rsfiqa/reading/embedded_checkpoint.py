"""Embedded readers on disk: a folder with a projector, a LoRA adapter and what belongs to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from rsfiqa.atomic import replacing_all
from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.reading.evidence import VERSION as EVIDENCE_VERSION
from rsfiqa.reading.projector import Projector, ProjectorConfig
from rsfiqa.reading.wording import VERSION as WORDING_VERSION

CONFIG, PROJECTOR, ADAPTER = "config.json", "projector.safetensors", "adapter.safetensors"
FORMAT = 1


@dataclass
class EmbeddedCheckpoint:
    """What was taught.

    Attributes:
        projector: the network in front of the language model.
        adapter: LoRA tensors as peft names them.
        scale: of the adapter, alpha over rank.
        encoder_name: the encoder whose features the projector reads.
        language_model: the asset that the adapter is for.
        training: on what and how it was taught, and how well it did; free form, for people.
    """

    projector: Projector
    adapter: dict[str, Tensor]
    scale: float
    encoder_name: str
    language_model: str
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`embedded-` and digits that change whenever a weight, a text or the evidence changes."""
        digest = hashlib.sha256(f"{EVIDENCE_VERSION}|{WORDING_VERSION}|{self.scale}".encode())
        for tensors in self._tensors():
            for name, tensor in sorted(tensors.items()):
                digest.update(name.encode())
                digest.update(tensor.numpy().tobytes())
        return f"embedded-{digest.hexdigest()[:8]}"

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        projector = self.projector.state_dict()
        return tuple(  # type: ignore[return-value]
            {
                name: tensor.detach().cpu().half().contiguous()
                if not name.endswith(("_mean", "_scale"))
                else tensor.detach().cpu().float().contiguous()
                for name, tensor in tensors.items()
            }
            for tensors in (projector, self.adapter)
        )


def default_folder() -> Path:
    """The reader that ships with the package."""
    return Path(str(resources.files("rsfiqa.reading") / "weights" / "default"))


def save_embedded(checkpoint: EmbeddedCheckpoint, folder: Path) -> None:
    """Write a reader to a folder, in half precision but for what standardises the evidence.

    The files take their places when all are whole, so that a failure leaves an earlier reader as it
    was.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from safetensors.torch import save

    projector, adapter = checkpoint._tensors()
    config = {
        "format": FORMAT,
        "evidence": EVIDENCE_VERSION,
        "wording": WORDING_VERSION,
        "encoder": checkpoint.encoder_name,
        "language_model": checkpoint.language_model,
        "projector": checkpoint.projector.config.to_dict(),
        "lora_scale": checkpoint.scale,
        "training": checkpoint.training,
    }
    contents = {
        PROJECTOR: save(projector),
        ADAPTER: save(adapter),
        CONFIG: (json.dumps(config, indent=2) + "\n").encode(),
    }
    try:
        with replacing_all([folder / name for name in contents]) as partials:
            for partial, data in zip(partials, contents.values(), strict=True):
                partial.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"the reader cannot be written to {folder}: {error.strerror}.") from error


def load_embedded(folder: Path) -> EmbeddedCheckpoint:
    """Read what `save_embedded` wrote; safetensors only.

    Raises:
        AssetError: a file is missing, damaged, or of another version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors, adapter = load_file(folder / PROJECTOR), load_file(folder / ADAPTER)
    except FileNotFoundError as error:
        raise AssetError(
            f"{folder} holds no reader: {Path(error.filename or PROJECTOR).name} is missing; "
            "`rsfiqa teach tune` writes such a folder."
        ) from error
    except (json.JSONDecodeError, SafetensorError, OSError, UnicodeDecodeError) as error:
        raise AssetError(f"the reader in {folder} cannot be read: {error}.") from error
    wanted = (FORMAT, EVIDENCE_VERSION, WORDING_VERSION)
    try:
        found = (config["format"], config["evidence"], config["wording"])
        if found != wanted:
            raise AssetError(
                f"the reader in {folder} was taught by another version (format, evidence, wording "
                f"{found}; this version reads {wanted}); teach it anew."
            )
        projector = Projector(ProjectorConfig.from_dict(config["projector"]))
        projector.load_state_dict({name: value.float() for name, value in tensors.items()})
        return EmbeddedCheckpoint(
            projector=projector.eval(),
            adapter=adapter,
            scale=config["lora_scale"],
            encoder_name=config["encoder"],
            language_model=config["language_model"],
            training=config.get("training", {}),
        )
    except AssetError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AssetError(f"the reader in {folder} is incomplete: {error}.") from error
