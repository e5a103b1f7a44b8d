"""Scorers on disk: a folder with `config.json`, `model.safetensors` and, as `README.md`, a model card.

A fine-tuned branch has a file of its own, `fine-tuned-BACKBONE.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from rsfiqa.atomic import replacing_all
from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.scoring.model import RegionScorer, ScorerConfig
from rsfiqa.scoring.reliability import Reliability
from rsfiqa.scoring.stem import Stem
from rsfiqa.types import DIMENSIONS

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1


@dataclass
class Checkpoint:
    """A scorer with all that belongs to it.

    Attributes:
        name: how results call it.
        scorer, stem: the networks.
        encoder: descriptions of the backbones, see `rsfiqa.encoders.build.build_encoder`; weights
            of fine-tuned branches by the paths of their files.
        segmenter: name of the segmenter whose partitions it was trained on.
        reader: name of the reader whose readings it was trained with; `none` for a scorer that is
            to see none. Another reader serves as well, as far as it rates alike.
        training: what it was trained on and how well it did; free form, for people.
        reliability: what it knows of how sure its scores are and of which pictures are unlike those
            it was trained on; None for one that knows nothing of it.
        card: its model card, Markdown; None where there is none.
    """

    name: str
    scorer: RegionScorer
    stem: Stem
    encoder: list[Mapping[str, Any]]
    segmenter: str = "embedded"
    training: dict[str, Any] = field(default_factory=dict)
    reader: str = "none"
    reliability: Reliability | None = None
    card: str | None = None

    @property
    def reads(self) -> bool:
        """Whether the scorer was trained with readings; one that was not is never shown any."""
        return self.reader != "none"


def default_folder() -> Path:
    """The scorer that ships with the package."""
    return Path(str(resources.files("rsfiqa.scoring") / "weights" / "default"))


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a scorer to a folder: its own weights in half precision, the stem's in full.

    The stem stays exact, since cached features were made with it. The files take their places when
    all are whole, so that a failure leaves an earlier scorer as it was. A model card is written
    where the checkpoint has one, and else left as it is.

    Raises:
        ConfigError: the folder cannot be written.
    """
    from safetensors.torch import save

    tensors = _tensors(checkpoint)
    encoder, branches = _with_files(checkpoint.encoder)
    config: dict[str, Any] = {
        "format": FORMAT,
        "name": checkpoint.name,
        "encoder": encoder,
        "segmenter": checkpoint.segmenter,
        "reader": checkpoint.reader,
        "stem": {
            "groups": list(checkpoint.stem.groups),
            "width": max(checkpoint.stem.widths),
            "context_dim": len(checkpoint.stem.context_center),
        },
        "scorer": asdict(checkpoint.scorer.config),
        "training": checkpoint.training,
    }
    if checkpoint.reliability is not None:
        config["reliability"] = dict(checkpoint.reliability.figures)
    contents = {
        **branches,
        WEIGHTS: save(tensors),
        CONFIG: (json.dumps(config, indent=2) + "\n").encode(),
    }
    if checkpoint.card is not None:
        contents[CARD] = checkpoint.card.encode()
    try:
        with replacing_all([folder / name for name in contents]) as partials:
            for partial, data in zip(partials, contents.values(), strict=True):
                partial.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"the scorer cannot be written to {folder}: {error.strerror}.") from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; safetensors only.

    Raises:
        AssetError: a file is missing, damaged, or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors: dict[str, Tensor] = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise AssetError(
            f"{folder} holds no scorer: {Path(error.filename or WEIGHTS).name} is missing; "
            "`rsfiqa train` writes such a folder."
        ) from error
    except (json.JSONDecodeError, SafetensorError, OSError, UnicodeDecodeError) as error:
        raise AssetError(f"the scorer in {folder} cannot be read: {error}.") from error
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise AssetError(f"the scorer in {folder} has format {found}; this version reads {FORMAT}.")
    try:
        scorer = RegionScorer(ScorerConfig(**config["scorer"]))
        stem = Stem(**config["stem"])
        scorer.load_state_dict(_with_map_a_dimension(_part(tensors, "scorer.")))
        stem.load_state_dict(_part(tensors, "stem."))
        return Checkpoint(
            name=config["name"],
            scorer=scorer.eval(),
            stem=stem.eval(),
            encoder=_with_paths(config["encoder"], folder),
            segmenter=config["segmenter"],
            training=config.get("training", {}),
            reader=config.get("reader", "none"),
            reliability=_reliability(tensors, config.get("reliability", {})),
            card=_card(folder),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AssetError(f"the scorer in {folder} is incomplete: {error}.") from error


def weights_digest(checkpoint: Checkpoint) -> str:
    """Eight hexadecimal digits that change whenever a saved weight changes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_tensors(checkpoint).items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    for name, data in sorted(_with_files(checkpoint.encoder)[1].items()):
        digest.update(name.encode())
        digest.update(data)
    return digest.hexdigest()[:8]


def _with_files(
    specs: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Descriptions that name files beside the weights, and the content of these files."""
    told: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for spec in specs:
        one = dict(spec)
        if "fine_tuned" in one:
            path = Path(one["fine_tuned"]["weights"])
            backbone = re.sub(r"[^A-Za-z0-9_-]+", "-", str(one["backbone"]))
            name = f"fine-tuned-{backbone}.safetensors"
            try:
                files[name] = path.read_bytes()
            except OSError as error:
                raise AssetError(
                    f"the fine-tuned branch in {path} cannot be read: {error.strerror or error}."
                ) from error
            one["fine_tuned"] = {**one["fine_tuned"], "weights": name}
        told.append(one)
    return told, files


def _with_paths(specs: Sequence[Mapping[str, Any]], folder: Path) -> list[Mapping[str, Any]]:
    """Descriptions whose files are found from anywhere; they lie in the scorer's own folder."""
    found: list[Mapping[str, Any]] = []
    for spec in specs:
        one = dict(spec)
        if "fine_tuned" in one:
            name = Path(one["fine_tuned"]["weights"]).name
            one["fine_tuned"] = {**one["fine_tuned"], "weights": str(folder / name)}
        found.append(one)
    return found


def _tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    scorer = {
        f"scorer.{name}": tensor.detach().cpu().half().contiguous()
        for name, tensor in checkpoint.scorer.state_dict().items()
    }
    stem = {
        f"stem.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in checkpoint.stem.state_dict().items()
    }
    if checkpoint.reliability is None:
        return scorer | stem
    known = {
        f"reliability.{name}": tensor
        for name, tensor in checkpoint.reliability.to_tensors().items()
    }
    return scorer | stem | known


def _reliability(tensors: Mapping[str, Tensor], figures: Mapping[str, float]) -> Reliability | None:
    """What the file says of it; scorers of earlier versions say nothing."""
    known = _part(tensors, "reliability.")
    return Reliability.from_tensors(known, figures) if known else None


def _card(folder: Path) -> str | None:
    """The model card; one that is no text is none, since nothing depends on it."""
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _with_map_a_dimension(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are now: once, one map served the ratings of all dimensions."""
    return {
        name: tensor.repeat(len(DIMENSIONS), 1, 1)
        if name.endswith("tokens.rating.weight") and tensor.ndim == 2
        else tensor
        for name, tensor in tensors.items()
    }
