"""Loading a local vision-language model for reading or teaching: safetensors only, no remote code."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from rsfiqa.assets.hub import resolve_model
from rsfiqa.assets.pretrained import first_line, quiet_loading, require_safetensors
from rsfiqa.errors import AssetError, ConfigError, MissingExtraError
from rsfiqa.reading import wording
from rsfiqa.reading.views import MAX_PIXELS, View
from rsfiqa.reading.vlm_adapter import with_adapter
from rsfiqa.reading.vlm_files import SAFETENSORS_NEEDED, label_of, read_json

if TYPE_CHECKING:
    import torch

VLMPrecision = Literal["auto", "fp32", "bf16", "4bit"]

_ANY_COUNT_OF_PIXELS = 1 << 14
"""Above this a processor's `longest_edge` is no length but a number of pixels (Qwen's are)."""


@dataclass(frozen=True, eq=False)
class LoadedVLM:
    """A vision-language model with what is needed to ask it.

    Attributes:
        model: in evaluation mode, of any image-text-to-text class of transformers, or a peft model
            around one.
        processor: its tokenizer, image processor and chat template; pads on the left.
        level_tokens: the token ids of the five level words, in the order of `LEVELS`.
        label: its name, with what pins the weights of model and adapter.
        device: where it runs.
        precision: `fp32`, `bf16` or `4bit`.
        taught_view: what the adapter was taught to see of a region; None where there is no adapter
            or nothing says so.
    """

    model: Any
    processor: Any
    level_tokens: tuple[int, ...]
    label: str
    device: torch.device
    precision: str
    taught_view: View | None = None

    @property
    def base_model(self) -> Any:
        """The model of transformers, without peft around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer


def load_vlm(
    id_or_folder: str | Path,
    *,
    adapter: str | Path | None = None,
    device: str = "auto",
    precision: VLMPrecision = "auto",
    max_pixels: int = MAX_PIXELS,
    offline: bool | None = None,
) -> LoadedVLM:
    """Load a vision-language model with its processor and, if any, its LoRA adapter.

    Args:
        id_or_folder: a hub id (`Qwen/Qwen2.5-VL-7B-Instruct`, with `@revision` if you like), or a
            folder as `save_pretrained` writes it, of any model that transformers loads as
            image-text-to-text.
        adapter: the folder (or hub id) of a peft adapter taught on this model.
        device: `auto` (a CUDA device where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: of weights and arithmetic; `auto` is bf16 on CUDA and fp32 elsewhere; `4bit`
            is bitsandbytes' NF4 with bf16 arithmetic.
        max_pixels: the most pixels that the processor may make of a picture, where it has such a
            limit; never raises the model's own.
        offline: True forbids the network; None asks `RSFIQA_OFFLINE` and `HF_HUB_OFFLINE`.

    Raises:
        MissingExtraError: transformers, peft or bitsandbytes is needed and not installed.
        AssetError: files of the model or adapter cannot be had, are incomplete, damaged or pickled.
        ConfigError: a setting is not accepted; the model takes no pictures, splits level words into
            several tokens, does not fit the adapter, or the device does not hold it.
    """
    from rsfiqa.devices import choose_device

    if precision not in get_args(VLMPrecision):
        raise ConfigError(f"precision is {', '.join(get_args(VLMPrecision))}; got {precision!r}.")
    transformers = _transformers()
    chosen = choose_device(device)
    exact = precision if precision != "auto" else "bf16" if chosen.type == "cuda" else "fp32"
    folder = resolve_model(id_or_folder, offline=offline)
    _require_vlm(transformers, folder, id_or_folder)
    require_safetensors(folder, SAFETENSORS_NEEDED)
    processor = _processor(transformers, folder, max_pixels)
    # Before the weights, which take minutes where this takes a moment.
    level_tokens = level_token_ids(processor.tokenizer, str(id_or_folder))
    label = label_of(id_or_folder, folder)
    model = _model(transformers, folder, label, chosen, exact)
    taught_view: View | None = None
    if adapter is not None:
        model, adapter_label, taught_view = with_adapter(model, adapter, offline=offline)
        label = f"{label}+{adapter_label}"
    _forget_sampling(transformers, model, processor.tokenizer)
    return LoadedVLM(model.eval(), processor, level_tokens, label, chosen, exact, taught_view)


def level_token_ids(tokenizer: Any, name: str = "the model") -> tuple[int, ...]:
    """The one token of each level word after every prefix of a rating, in the order of `LEVELS`.

    Only then is the probability of a level word that of one token, and comparable among the five.
    Whole words spelt from several tokens would need a forward pass each: they are refused.

    Args:
        tokenizer: of the model.
        name: of the model, for the error's text.

    Raises:
        ConfigError: a level word is not one token, or two share one.
    """
    found: list[tuple[int, ...]] = []
    for prefix in wording.RATING_PREFIXES.values():
        start = _ids(tokenizer, prefix)
        words = [_ids(tokenizer, prefix + word) for word in wording.LEVEL_WORDS]
        for word, ids in zip(wording.LEVEL_WORDS, words, strict=True):
            if ids[:-1] != start:
                raise ConfigError(
                    f"the tokenizer of {name} makes no single token of the level word "
                    f"{word!r} after {prefix!r}; choose a model that does, such as "
                    "Qwen/Qwen2.5-VL-7B-Instruct, or run it as a server and use server:URL."
                )
        found.append(tuple(ids[-1] for ids in words))
    if len(set(found)) > 1 or len(set(found[0])) < len(wording.LEVEL_WORDS):
        raise ConfigError(
            f"the tokenizer of {name} does not tell the five level words apart by one token each; "
            "choose another model, such as Qwen/Qwen2.5-VL-7B-Instruct."
        )
    return found[0]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


def _transformers() -> ModuleType:
    try:
        import torchvision  # noqa: F401  (the image processors are built on it)
        import transformers
    except ImportError as error:
        raise MissingExtraError("Reading with a local vision-language model", "vlm") from error
    return transformers


def _require_vlm(transformers: ModuleType, folder: Path, given: str | Path) -> None:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    model_type = read_json(folder, "config.json", "a vision-language model").get("model_type")
    if model_type not in KNOWN:
        raise ConfigError(
            f"{given} is a model of type {model_type!r}, which transformers "
            f"{transformers.__version__} does not know as one that reads pictures and writes text; "
            "give such a model, for example Qwen/Qwen2.5-VL-7B-Instruct, or update transformers "
            'with: pip install -U "rsfiqa[vlm]"'
        )


def _processor(transformers: ModuleType, folder: Path, max_pixels: int) -> Any:
    try:
        with quiet_loading(transformers):
            processor = transformers.AutoProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # damaged files raise whatever their reader raises
        raise AssetError(
            f"the processor in {folder} cannot be loaded ({first_line(error)}); its tokenizer and "
            "preprocessor_config.json must lie beside the weights, as on the hub."
        ) from error
    tokenizer = getattr(processor, "tokenizer", None)
    image_processor = getattr(processor, "image_processor", None)
    if tokenizer is None or image_processor is None:
        raise AssetError(
            f"{folder} holds a {type(processor).__name__} without a tokenizer or image processor; "
            "both must lie beside the weights, as on the hub."
        )
    if not getattr(processor, "chat_template", None) and not tokenizer.chat_template:
        raise ConfigError(
            f"{folder} holds no chat template (chat_template.jinja), so nobody knows how to ask its "
            "model; choose an instruction-tuned model, or fetch that file too."
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    _limit_pixels(image_processor, max_pixels)
    return processor


def _limit_pixels(image_processor: Any, max_pixels: int) -> None:
    """Keep what the processor makes of a picture within a budget, where it goes by one.

    Processors that bring every picture to one small size (CLIP's, SigLIP's) have none.
    """
    size = dict(getattr(image_processor, "size", None) or {})
    longest = size.get("longest_edge") or 0
    tile = dict(getattr(image_processor, "max_image_size", None) or {}).get("longest_edge")
    if longest >= _ANY_COUNT_OF_PIXELS:
        image_processor.size = {**size, "longest_edge": min(longest, max_pixels)}
    elif longest and tile and getattr(image_processor, "do_image_splitting", False):
        # Idefics3 and SmolVLM enlarge every picture to this length and cut it into tiles.
        within = max(tile, isqrt(max_pixels) // tile * tile)
        image_processor.size = {**size, "longest_edge": min(longest, within)}
    if getattr(image_processor, "max_pixels", None):
        image_processor.max_pixels = min(image_processor.max_pixels, max_pixels)


def _model(
    transformers: ModuleType, folder: Path, label: str, device: torch.device, precision: str
) -> Any:
    import torch

    settings: dict[str, Any] = {"dtype": torch.float32 if precision == "fp32" else torch.bfloat16}
    if precision == "4bit":
        settings |= _four_bits(transformers, device)
    try:
        with quiet_loading(transformers):
            model, report = transformers.AutoModelForImageTextToText.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **settings,
            )
    except Exception as error:  # see _processor
        if _is_memory(error):
            raise _too_large(label, device, error) from error
        raise AssetError(
            f"the model in {folder} cannot be loaded ({first_line(error)}); fetch it again, or "
            'update transformers with: pip install -U "rsfiqa[vlm]"'
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise AssetError(
            f"the weights in {folder} lack {len(missing)} of {type(model).__name__}'s tensors "
            f"({missing[0]} is the first); fetch the model again."
        )
    if precision == "4bit":
        return model  # already placed
    try:
        return model.to(device)
    except RuntimeError as error:
        raise _too_large(label, device, error) from error


def _four_bits(transformers: ModuleType, device: torch.device) -> dict[str, Any]:
    import torch

    if any(importlib.util.find_spec(name) is None for name in ("bitsandbytes", "accelerate")):
        raise MissingExtraError("A model in 4 bits", "vlm-4bit")
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error)


def _too_large(label: str, device: torch.device, error: Exception) -> ConfigError:
    return ConfigError(
        f"{device} cannot hold {label} ({first_line(error)}); free its memory, use precision bf16 "
        "or 4bit, choose a smaller model, or use device='cpu'."
    )


def _forget_sampling(transformers: ModuleType, model: Any, tokenizer: Any) -> None:
    """Generate greedily: of the model's own settings keep only where an answer ends."""
    given = model.generation_config
    model.generation_config = transformers.GenerationConfig(
        do_sample=False,
        num_beams=1,
        bos_token_id=given.bos_token_id,
        eos_token_id=given.eos_token_id or tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
