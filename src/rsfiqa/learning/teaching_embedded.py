"""The embedded reader as a pupil: a projector warmed up alone, then taught with a LoRA adapter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError, MissingExtraError
from rsfiqa.learning.teaching import TeachingConfig
from rsfiqa.learning.teaching_evidence import TaughtRegions
from rsfiqa.learning.teaching_figures import taught_figures
from rsfiqa.reading.embedded_checkpoint import EmbeddedCheckpoint, save_embedded
from rsfiqa.reading.language_model import ASSET, LanguageModel, level_word_ids
from rsfiqa.reading.projector import EvidenceBatch, Projector, ProjectorConfig
from rsfiqa.reading.region_model import RegionLanguageModel
from rsfiqa.reading.wording import LEVEL_WORDS, RATING_PREFIXES
from rsfiqa.types import DIMENSIONS

TARGETS = ("q_proj", "v_proj")
"""The language model's layers that adapters are added to, as in the LoRA paper."""

WARM_UP_EPOCHS = 12
_WARM_UP_BATCH = 256
_WARM_UP_RATE = 1e-3
_WARM_UP_DECAY = 0.1
_FITTED_ON = 4096
_JUDGED_AT_ONCE = 64


class EmbeddedPupil:
    """The embedded reader, being taught.

    Args:
        language: the language model; an adapter is wrapped around it.
        encoder: whose features the evidence holds.
        training, validation: regions of photographs apart.
        config: of the teaching.

    Raises:
        ConfigError: there are no regions to learn from.
        MissingExtraError: peft is not installed.
    """

    def __init__(
        self,
        language: LanguageModel,
        encoder: GridEncoder,
        training: TaughtRegions,
        validation: TaughtRegions,
        config: TeachingConfig,
    ) -> None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtraError("Teaching a reader", "teach") from error
        if not len(training):
            raise ConfigError("there are no regions to learn from; make more instruction data.")
        torch.manual_seed(config.seed)
        self.training, self.validation = training, validation
        self._encoder_name = encoder.name
        self._config = config
        self.projector = Projector(ProjectorConfig.of(encoder, language.width))
        embeddings = language.model.get_input_embeddings().weight.detach().float()  # type: ignore[operator]
        self.projector.fit(
            _spread(training.evidence, _FITTED_ON),
            embeddings[_level_words(language)],
            float(embeddings.square().mean().sqrt()),
        )
        warm_up(self.projector, training, config.seed)
        if config.precision == "bf16":
            language.model.to(torch.bfloat16)
        adapted = get_peft_model(
            language.model,
            LoraConfig(
                r=config.rank,
                lora_alpha=config.alpha,
                lora_dropout=config.dropout,
                target_modules=list(TARGETS),
            ),
        )
        adapted.base_model.model.config._attn_implementation = "eager"
        self._region_model = RegionLanguageModel(replace(language, model=adapted), self.projector)
        self._wordings = [
            [_ids(language, text) for text in region.descriptions]
            for region in training.instructions
        ]
        self.module: nn.Module = _Losses(self._region_model)

    def __len__(self) -> int:
        return len(self.training)

    def batch(self, indices: Sequence[int], step: int) -> dict[str, Tensor]:
        """Evidence, wanted ratings and one wording of each description."""
        chosen = torch.tensor(list(indices))
        evidence = self.training.evidence.at(chosen).float()
        rng = random.Random(f"{self._config.seed}|{step}")  # noqa: S311
        words = [rng.choice(self._wordings[i]) if self._wordings[i] else [] for i in indices]
        length = max(1, max(map(len, words), default=1))
        return {
            "features": evidence.features,
            "pixels": evidence.pixels,
            "context": evidence.context,
            "parts": evidence.parts,
            "ratings": self.training.ratings[chosen],
            "words": torch.tensor([w + [0] * (length - len(w)) for w in words]),
            "said": torch.tensor([[i < len(w) for i in range(length)] for w in words]),
        }

    def parameter_groups(self, config: TeachingConfig) -> list[dict[str, Any]]:
        """The adapter and the projector, each with its own rate."""
        adapter = [p for p in self._region_model.model.parameters() if p.requires_grad]
        return [
            {"params": adapter, "lr": config.learning_rate},
            {"params": list(self.projector.parameters()), "lr": config.projector_rate},
        ]

    def figures(self) -> dict[str, Any]:
        """Figures on the validation photographs, see `rsfiqa.learning.teaching_figures`."""
        regions = self.validation
        if not len(regions):
            return {}
        said = self.probabilities(regions.evidence).numpy()
        return taught_figures(said, regions.instructions, regions.pictures)

    @torch.inference_mode()
    def probabilities(self, evidence: EvidenceBatch) -> Tensor:
        """Level probabilities `[N, 5, 5]` of regions."""
        self.module.eval()
        device = next(self.projector.parameters()).device
        found = [
            self._region_model(evidence.at(chunk).float().to(device)).float().softmax(-1).cpu()
            for chunk in torch.arange(len(evidence)).split(_JUDGED_AT_ONCE)
        ]
        return torch.cat(found)

    def save(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the reader as `rsfiqa.reading.embedded` loads it."""
        from peft import get_peft_model_state_dict

        checkpoint = EmbeddedCheckpoint(
            projector=self.projector,
            adapter=dict(get_peft_model_state_dict(self._region_model.model)),
            scale=self._config.alpha / self._config.rank,
            encoder_name=self._encoder_name,
            language_model=ASSET,
            training={**training, "regions": len(self.training)},
        )
        save_embedded(checkpoint, folder)


class _Losses(nn.Module):
    """Forward pass to losses, as the teaching loop wants it."""

    def __init__(self, model: RegionLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        evidence = EvidenceBatch(
            batch["features"], batch["pixels"], batch["context"], batch["parts"]
        )
        projector = self.model.projector
        hidden = projector.hidden(evidence)
        levels, words = self.model.answers(projector.tokens_of(hidden), batch["words"])
        said = batch["said"]
        next_token = F.cross_entropy(
            words.flatten(0, 1), batch["words"].flatten(), reduction="none"
        )
        description = (next_token * said.flatten()).sum() / said.sum().clamp_min(1)
        # The first guesses are kept true, or the language model's words would drift away from them.
        guessed = soft_cross_entropy(projector.guesses(hidden[0]), batch["ratings"])
        said_levels = soft_cross_entropy(levels, batch["ratings"])
        return {"levels": said_levels, "description": description, "guesses": guessed}


@dataclass(frozen=True)
class WarmUp:
    """What warming up left: the loss on level words at its end."""

    loss: float


def warm_up(projector: Projector, regions: TaughtRegions, seed: int) -> WarmUp:
    """Teach the projector's hidden layers and first guesses before any language model sees it.

    As in LLaVA's first stage, the projector is aligned alone; here against the ratings themselves
    and, with two small heads that are thrown away, the nouns, which takes minutes and spares the
    language model hours of noise.
    """
    torch.manual_seed(seed)
    hidden = projector.config.hidden
    nouns = {n: i for i, n in enumerate(sorted({r.noun for r in regions.instructions if r.noun}))}
    shown = torch.tensor([nouns.get(r.noun or "", -1) for r in regions.instructions])
    heads = nn.ModuleDict(
        {
            "nouns": nn.Linear(hidden, max(1, len(nouns))),
            "part_nouns": nn.Linear(hidden, max(1, len(nouns))),
        }
    )
    parameters = [*projector.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, _WARM_UP_RATE, weight_decay=_WARM_UP_DECAY)
    steps = WARM_UP_EPOCHS * -(-len(regions) // _WARM_UP_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _WARM_UP_RATE, total_steps=max(steps, 6), pct_start=0.15
    )
    rng = torch.Generator().manual_seed(seed)
    projector.train()
    last = 0.0
    for _ in range(WARM_UP_EPOCHS):
        for chosen in torch.randperm(len(regions), generator=rng).split(_WARM_UP_BATCH):
            quality, content, parts = projector.hidden(regions.evidence.at(chosen).float())
            loss = soft_cross_entropy(projector.guesses(quality), regions.ratings[chosen])
            last = float(loss.detach())
            known = shown[chosen] >= 0
            if known.any():
                wanted = shown[chosen][known]
                loss = loss + 0.2 * F.cross_entropy(heads["nouns"](content[known]), wanted)
                pooled = parts[known].mean(1)
                loss = loss + 0.1 * F.cross_entropy(heads["part_nouns"](pooled), wanted)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
    projector.eval()
    return WarmUp(last)


def soft_cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of level logits `[N, 5, 5]` against wanted probabilities of that shape."""
    return -(logits.float().log_softmax(-1) * wanted).sum(-1).mean()


def _spread(evidence: EvidenceBatch, count: int) -> EvidenceBatch:
    """Some regions, evenly spread over all."""
    chosen = torch.linspace(0, len(evidence) - 1, min(count, len(evidence))).long()
    return evidence.at(chosen).float()


def _level_words(language: LanguageModel) -> list[int]:
    """The level words' tokens, best first, as they stand behind a prefix."""
    prefix = RATING_PREFIXES[DIMENSIONS[0]]
    return level_word_ids(language, prefix, LEVEL_WORDS)


def _ids(language: LanguageModel, text: str) -> list[int]:
    return [*language.ids(f" {text}"), language.end]
