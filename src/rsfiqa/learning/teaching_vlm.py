"""A local vision-language model as a pupil: LoRA adapters (Hu et al., arXiv 2106.09685) with peft.

The model is asked as `rsfiqa.reading.vlm` asks it, about the same views with the same texts, so
that what is taught is what is read. Its rating of a dimension is compared with the wanted
distribution over the five level words, at the one place where the reader looks at them (as in
Q-Align, arXiv 2312.17090, with soft labels as in DeQA-Score, arXiv 2501.11561).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.errors import ConfigError, MissingExtraError
from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction
from rsfiqa.learning.ranges import AT_LEAST_ONE, require
from rsfiqa.learning.teaching_config import TeachingConfig
from rsfiqa.learning.teaching_figures import taught_figures
from rsfiqa.learning.teaching_vlm_examples import INPUT, UNLABELLED, Examples
from rsfiqa.learning.teaching_vlm_layers import adapted_layers, is_projector
from rsfiqa.reading import views, wording
from rsfiqa.reading.views import MAX_PIXELS, View, require_view
from rsfiqa.reading.vlm import LocalVLMReader
from rsfiqa.reading.vlm_adapter import TRAINING
from rsfiqa.reading.vlm_loading import LoadedVLM
from rsfiqa.types import DIMENSIONS


@dataclass(frozen=True)
class VLMTeachingConfig(TeachingConfig):
    """Settings for teaching a vision-language model, beyond those of `TeachingConfig`.

    Attributes:
        precision: `fp32`, `bf16`, or `4bit`: the frozen model in 4 bits (QLoRA, arXiv 2305.14314).
        targets: names of the language model's layers that get an adapter.
        train_projector: give the layers between vision tower and language model one, too, which
            learns at `projector_rate`.
        train_vision: and those of the vision tower.
        gradient_checkpointing: compute layers twice instead of keeping what they give: a third
            slower, and a fraction of the memory.
        questions: asked of a region each time, 1 to 6: the five ratings and its content.
        view: what the model is shown of a region, `crop` or `picture`; read with the same.
        max_pixels: the most pixels of a view.
        judged: most regions that validation figures are computed from.
    """

    PRECISIONS: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "4bit")

    epochs: int = 1
    batch_size: int = 4
    accumulate: int = 4
    learning_rate: float = 1e-4
    projector_rate: float = 5e-5
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    train_projector: bool = True
    train_vision: bool = False
    gradient_checkpointing: bool = True
    questions: int = 2
    view: View = "crop"
    max_pixels: int = MAX_PIXELS
    judged: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        require_view(self.view, self.max_pixels)
        if not self.targets:
            raise ConfigError("targets names at least one layer, such as q_proj.")
        require(self, AT_LEAST_ONE, "questions", "judged")


class VLMPupil:
    """A vision-language model, being taught.

    Args:
        vlm: of `rsfiqa.reading.vlm_loading.load_vlm`, in the configuration's precision; adapters
            are put into it.
        training, validation: pictures of photographs apart.
        config: of the teaching.

    Raises:
        ConfigError: there are no regions to learn from, the precision is not the model's, or it
            has no such layers.
        MissingExtraError: peft is not installed.
    """

    def __init__(
        self,
        vlm: LoadedVLM,
        training: Sequence[Instruction],
        validation: Sequence[Instruction],
        config: VLMTeachingConfig,
    ) -> None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtraError("Teaching a reader", "teach") from error
        if vlm.precision != config.precision:
            raise ConfigError(
                f"the model was loaded in {vlm.precision} and is to be taught in "
                f"{config.precision}; load it in that precision."
            )
        self._examples = Examples(
            vlm,
            training,
            view=config.view,
            max_pixels=config.max_pixels,
            questions=config.questions,
            seed=config.seed,
        )
        if not len(self._examples):
            raise ConfigError("there are no regions to learn from; make more instruction data.")
        self._validation, self._config = validation, config
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=adapted_layers(
                vlm.model,
                config.targets,
                projector=config.train_projector,
                vision=config.train_vision,
            ),
        )
        torch.manual_seed(config.seed)
        adapted = get_peft_model(vlm.model, lora)
        if config.gradient_checkpointing:
            _checkpoint_gradients(vlm.model)
        self._vlm = replace(vlm, model=adapted)
        self.module: nn.Module = _Losses(adapted, vlm.level_tokens)

    def __len__(self) -> int:
        return len(self._examples)

    def batch(self, indices: Sequence[int], step: int) -> dict[str, Tensor]:
        """Some questions about regions with their wanted answers, see `Examples.batch`."""
        return self._examples.batch(indices, step)

    def parameter_groups(self, config: TeachingConfig) -> list[dict[str, Any]]:
        """The adapters of the language model (and vision tower), and those of the projector."""
        named = [(n, p) for n, p in self._vlm.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in named if not is_projector(n)], "lr": config.learning_rate},
            {"params": [p for n, p in named if is_projector(n)], "lr": config.projector_rate},
        ]
        return [group for group in groups if group["params"]]

    def figures(self) -> dict[str, Any]:
        """Figures of the reader itself on validation pictures, evenly spread over all of them.

        `rsfiqa.learning.teaching_figures` says what they are; besides these, how many regions could
        not be read, `failed`. Empty without validation pictures.
        """
        said, regions, pictures, failed = [], [], [], 0
        reader = self._reader()
        for number, instruction in enumerate(self._judged()):
            pixels = load_image(instruction.image).pixels
            readings = reader.read(pixels, instruction.partition)
            for region in instruction.regions:
                reading = readings[region.region]
                if reading.status != "ok":
                    failed += 1
                    continue
                said.append([reading.ratings[d].probabilities for d in DIMENSIONS])
                regions.append(region)
                pictures.append(number)
        if not said:
            return {"failed": failed} if failed else {}
        return {**taught_figures(np.array(said), regions, pictures), "failed": failed}

    def save(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the adapter as `--adapter FOLDER` takes it, a model card and a training record.

        Raises:
            ConfigError: the folder cannot be written.
        """
        from rsfiqa.learning.reader_card import vlm_card

        record = {
            "base": self._vlm.label,
            "precision": self._vlm.precision,
            "view": self._config.view,
            "max_pixels": self._config.max_pixels,
            "texts": f"{wording.VERSION}.{views.VERSION}",
            **training,
        }
        adapted = self._vlm.model
        # Where the base model lay on this machine is nobody's business, and no use elsewhere.
        adapted.peft_config["default"].base_model_name_or_path = model_name(self._vlm.label)
        try:
            # Told not to look at the embeddings, peft does not ask the hub about them either.
            adapted.save_pretrained(str(folder), save_embedding_layers=False)
            text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
            (folder / TRAINING).write_text(text, encoding="utf-8")
            (folder / "README.md").write_text(vlm_card(record, folder), encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"the adapter cannot be written to {folder}: {error.strerror or error}."
            ) from error

    def _reader(self) -> LocalVLMReader:
        self.module.eval()
        device = next(self.module.parameters()).device
        return LocalVLMReader(
            replace(self._vlm, device=device),
            view=self._config.view,
            max_pixels=self._config.max_pixels,
        )

    def _judged(self) -> list[Instruction]:
        """Validation pictures, evenly spread, with no more than so many regions together."""
        order = np.argsort([(i * 0.6180339887) % 1 for i in range(len(self._validation))])
        chosen: list[Instruction] = []
        regions = 0
        for number in order.tolist():
            instruction = self._validation[number]
            regions += len(instruction.regions)
            if chosen and regions > self._config.judged:
                break
            if instruction.regions:
                chosen.append(instruction)
        return chosen


def model_name(label: str) -> str:
    """A model's name without what pins its weights.

    Example:
        >>> model_name("Qwen/Qwen2.5-VL-7B-Instruct@cc594898"), model_name("mine#01234567")
        ('Qwen/Qwen2.5-VL-7B-Instruct', 'mine')
    """
    return label.partition("@")[0].partition("#")[0]


class _Losses(nn.Module):
    """Forward pass to losses, as the teaching loop wants it."""

    def __init__(self, model: nn.Module, level_tokens: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self._level_tokens = list(level_tokens)
        base: Any = model.get_base_model()  # type: ignore[operator]
        # The logits of a whole prompt over a large vocabulary would take gigabytes.
        self._keeps = "logits_to_keep" in inspect.signature(base.forward).parameters

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = {k.removeprefix(INPUT): v for k, v in batch.items() if k.startswith(INPUT)}
        labels, rated = batch["labels"], batch["rated"]
        tail = labels.shape[1] + 1
        kept = {"logits_to_keep": tail} if self._keeps else {}
        logits = self.model(**inputs, use_cache=False, **kept).logits[:, -tail:].float()
        levels = logits[:, -1, self._level_tokens].log_softmax(-1)
        apart = -(levels * batch["levels"]).sum(-1)
        # The token at each place is foretold by the place before it.
        told = F.cross_entropy(
            logits[:, :-1].flatten(0, 1),
            labels.flatten(),
            ignore_index=UNLABELLED,
            reduction="sum",
        )
        return {
            "levels": (apart * rated).sum() / rated.sum().clamp_min(1),
            "description": told / (labels != UNLABELLED).sum().clamp_min(1),
        }


def _checkpoint_gradients(model: Any) -> None:
    if not getattr(model, "supports_gradient_checkpointing", False):
        return
    # The name since transformers 5; before, the other one.
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    # The reentrant way would find no gradient at the frozen embeddings and teach nothing.
    enable({"use_reentrant": False})
