"""From a trained scorer to one with fine-tuned branches: what `rsfiqa fine-tune` does.

The scorer itself stays as it is. Its whole-picture logit becomes the mean of its own and of the
branches', so that regions keep what they have learned of how they differ from the whole. What it knows
of its own reliability is fitted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsfiqa import __version__
from rsfiqa.assets import cache_folder
from rsfiqa.atomic import write_whole
from rsfiqa.devices import Precision, choose_device, require_precision
from rsfiqa.encoders.backbone import FeatureMaps
from rsfiqa.encoders.build import build_encoder, without_branches
from rsfiqa.encoders.fine_tuned import BranchConfig, FineTunedBranch, branch_to_bytes
from rsfiqa.encoders.grid import GridEncoder, to_tensor
from rsfiqa.errors import ConfigError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.fine_tuning import (
    FineTuningReport,
    ScoredPictures,
    fine_tune,
    load_as_encoded,
)
from rsfiqa.learning.fine_tuning_config import FineTuningConfig
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.prepared import Progress, Recipe, split, teller, told
from rsfiqa.learning.reliability import fit_reliability
from rsfiqa.learning.reliability_adding import feature_cache, renamed
from rsfiqa.learning.training import predict, require_enough
from rsfiqa.learning.training_state import TrainingState
from rsfiqa.reading.build import default_reader
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import Checkpoint
from rsfiqa.scoring.model import RegionScorer

WEIGHTS = "branch-{}.safetensors"
"""Weights of one branch, in the folder of the run's state."""


@dataclass(frozen=True)
class FineTuning:
    """What is to be done.

    Attributes:
        data: the pictures that the scorer was trained and validated on, with the same split.
        branches: which blocks to teach, by the position of their backbone.
        work: folder for the state of the run and the branches' weights.
        config: settings of teaching.
        precision: of the backbones, as in training: frozen features are then found in the cache.
        cache: folder of cached features; by default inside the asset cache.
        device: where it is done.
    """

    data: ScoredImages
    branches: Mapping[int, BranchConfig]
    work: Path
    config: FineTuningConfig = field(default_factory=FineTuningConfig)
    precision: Precision = "fp32"
    cache: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        require_precision(self.precision)


def fine_tuned(
    checkpoint: Checkpoint,
    plan: FineTuning,
    *,
    on_epoch: Callable[[str, FineTuningReport], None] = lambda *_: None,
    progress: Progress | None = None,
) -> Checkpoint:
    """A scorer with branches taught on its pictures; branches that it has are left behind.

    Args:
        checkpoint: the scorer.
        plan: what is to be done.
        on_epoch: told of each epoch, with its backbone's name.
        progress: told how far the work is.

    Raises:
        AssetError: weights cannot be had.
        ConfigError: a backbone cannot be fine-tuned so, or the folder holds a run of other settings.
        DataError: the data are too few or the run's state cannot be used.
        ImageError: a picture cannot be read.
    """
    before = without_verdicts(checkpoint)
    train, held = split(plan.data, Recipe())
    require_enough(len(train), len(held))
    training = ScoredPictures([r.path for r in train], [r.score for r in train])
    validation = ScoredPictures([r.path for r in held], [r.score for r in held])
    specs = [dict(spec) for spec in before.encoder]
    record: dict[str, Any] = {}
    for index, config in plan.branches.items():
        name = str(specs[index]["backbone"])
        branch, reports = _taught(
            specs, index, config, plan, training, validation, on_epoch, progress
        )
        path = plan.work / WEIGHTS.format(index)
        write_whole(path, branch_to_bytes(branch))
        specs[index]["fine_tuned"] = {**asdict(config), "weights": str(path)}
        record[name] = {**asdict(config), "epochs": [asdict(report) for report in reports]}
    branched = with_verdicts(
        replace(before, encoder=list[Mapping[str, Any]](specs)), len(plan.branches)
    )
    seen = _features(branched, before, plan, training, validation, progress)
    scorer = branched.scorer
    figures = correlations(predict(scorer, seen[1]), validation.scores).to_dict()
    reliability = fit_reliability(scorer, seen[0], training.scores, seen[1], validation.scores)
    told_of = {
        "rsfiqa": __version__,
        "settings": asdict(plan.config),
        "precision": plan.precision,
        "branches": record,
        "validation_before": before.training.get("validation"),
    }
    done = replace(
        branched,
        training={**before.training, "validation": figures, "fine_tuning": told_of},
        reliability=reliability,
    )
    done.training.pop("validation_unread", None)
    return renamed(checkpoint, replace(done, card=None))


def without_verdicts(checkpoint: Checkpoint) -> Checkpoint:
    """The scorer as it was before it had branches."""
    count = checkpoint.scorer.config.verdicts
    if not count:
        return checkpoint
    before = checkpoint.training.get("fine_tuning", {}).get("validation_before")
    training = {k: v for k, v in checkpoint.training.items() if k != "fine_tuning"}
    return replace(
        checkpoint,
        scorer=_resized(checkpoint.scorer, 0),
        stem=checkpoint.stem.narrowed(count),
        encoder=list(without_branches(checkpoint.encoder)),
        training={**training, "validation": before},
    )


def with_verdicts(checkpoint: Checkpoint, count: int) -> Checkpoint:
    """The scorer with its whole-picture logit the mean of its own and of so many others."""
    return replace(
        checkpoint,
        scorer=_resized(checkpoint.scorer, count),
        stem=checkpoint.stem.widened(count),
    )


def _resized(scorer: RegionScorer, verdicts: int) -> RegionScorer:
    context_dim = scorer.config.frozen_dim + verdicts
    config = replace(scorer.config, context_dim=context_dim, verdicts=verdicts)
    resized = RegionScorer(config)
    resized.load_state_dict(scorer.state_dict())
    return resized.eval()


def _taught(
    specs: Sequence[Mapping[str, Any]],
    index: int,
    config: BranchConfig,
    plan: FineTuning,
    training: ScoredPictures,
    validation: ScoredPictures,
    on_epoch: Callable[[str, FineTuningReport], None],
    progress: Progress | None,
) -> tuple[FineTunedBranch, list[FineTuningReport]]:
    """One branch, taught."""
    spec = without_branches(specs)[index]
    name = str(spec["backbone"])
    device = choose_device(plan.device)
    torch.manual_seed(plan.config.seed)  # of the head
    (whole,) = build_encoder([spec]).backbones
    branch = FineTunedBranch(whole, config).to(device)
    shallow = build_encoder(
        [{**spec, "indices": list(spec["indices"])[: config.depth + 1]}], precision=plan.precision
    )
    if shallow.backbones[0].input_size != "grid":
        shallow.to(memory_format=torch.channels_last)
    shallow.to(device).eval()

    def frozen(pixels: Tensor) -> FeatureMaps:
        # Convolutions take half the time on batches with channels side by side.
        return shallow.maps(0, pixels.contiguous(memory_format=torch.channels_last))

    def step(done: int, of: int) -> None:
        teller(f"fine-tuning {name}", of, progress)(done)

    settings = {"branch": asdict(config), "backbone": spec, **asdict(plan.config)}
    settings |= {"precision": plan.precision, "pictures": len(training.paths)}
    return fine_tune(
        branch,
        frozen,
        training,
        validation,
        plan.config,
        state=TrainingState(plan.work, settings).member(index, {}),
        on_step=step,
        on_epoch=lambda report: on_epoch(name, report),
        device=device,
        half=plan.precision == "bf16" and shallow.backbones[0].input_size == "grid",
    )


def _features(
    branched: Checkpoint,
    before: Checkpoint,
    plan: FineTuning,
    training: ScoredPictures,
    validation: ScoredPictures,
    progress: Progress | None,
) -> tuple[list[PictureFeatures], list[PictureFeatures]]:
    """Features of all pictures: those of the frozen encoder, and the branches' verdicts behind them."""
    device = choose_device(plan.device)
    encoder = build_encoder(branched.encoder, precision=plan.precision).to(device).eval()
    extractor = FeatureExtractor(
        encoder.without_branches(), EmbeddedSegmenter(), before.stem, device=device
    )
    folder = plan.cache or cache_folder() / "features"
    cache = feature_cache(folder, extractor, default_reader(before.reads), plan.precision)

    def seen(pictures: ScoredPictures, stage: str) -> list[PictureFeatures]:
        found = told(cache.all_clean(pictures.paths), stage, len(pictures.paths), progress)
        return [
            replace(features, context=torch.cat([features.context, _verdicts(encoder, path)]))
            for features, path in zip(found, pictures.paths, strict=True)
        ]

    return seen(training, "training pictures"), seen(validation, "validation pictures")


@torch.inference_mode()
def _verdicts(encoder: GridEncoder, path: Path) -> Tensor:
    """What the branches say of a picture, `[n]`."""
    pixels = to_tensor(load_as_encoded(path)).to(next(encoder.parameters()).device)
    found = [branch(encoder.maps(i, pixels)) for i, branch in encoder.branches.items()]
    return torch.cat(found).cpu()


def require_same_split(checkpoint: Checkpoint, data: ScoredImages) -> None:
    """See that a scorer is fine-tuned on as many pictures as it was trained on.

    Raises:
        ConfigError: it was trained on another number: its validation pictures might be learned.
    """
    counts = [len(part) for part in split(data, Recipe())]
    keys = ("training_pictures", "validation_pictures")
    known = [checkpoint.training.get(key) for key in keys]
    if None not in known and known != counts:
        raise ConfigError(
            f"{checkpoint.name} was trained on {known[0]} pictures and validated on {known[1]}; the "
            f"data has {counts[0]} and {counts[1]}. Give the data that it was trained on, with its split."
        )
