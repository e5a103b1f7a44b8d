"""all-MiniLM-L6-v2, which turns descriptions into vectors; from its asset wheel.

The model is Microsoft's MiniLM-L6 (Wang et al., arXiv 2002.10957) as the sentence-transformers
project tuned it (Reimers and Gurevych, arXiv 1908.10084; Apache-2.0): sentences of like meaning
have a high cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rsfiqa.errors import AssetError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHTS = "minilm-l6-v2"
TOKENIZER = "minilm-l6-v2-tokenizer"
WIDTH = 384
LONGEST = 256
"""Tokens after which a text is cut off, as the model was tuned."""

_AT_ONCE = 64
_PADDING = 0
_SHAPE: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": WIDTH,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}


class SentenceEncoder:
    """Texts → vectors of unit length, near each other when the texts mean the same.

    Safe for several threads.

    Args:
        model: a transformers `BertModel`.
        tokenizer: its own, of the `tokenizers` library; padding and truncation are set here.
        device: where the model runs.

    Example:
        >>> sentences = SentenceEncoder.from_pretrained()
        >>> dog, puppy, wall = sentences.encode(["a dog", "a puppy", "a brick wall"])
        >>> bool(dog @ puppy > dog @ wall)
        True
    """

    name = "minilm-l6-v2/1"
    """Identifies the vectors for caches."""

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, *, device: torch.device | str = "cpu"
    ) -> None:
        self._model = model.to(device).eval().requires_grad_(False)
        self._device = torch.device(device)
        # Set once: threads that share a tokenizer may not change it under each other.
        tokenizer.enable_truncation(LONGEST)
        tokenizer.enable_padding(pad_id=_PADDING)
        self._tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, *, device: torch.device | str = "cpu", offline: bool | None = None
    ) -> SentenceEncoder:
        """Load the weights; the first call fetches them (84 MB).

        Args:
            device: where it runs.
            offline: True forbids the network; None asks `RSFIQA_OFFLINE`.

        Raises:
            AssetError: the weights cannot be had or read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        from rsfiqa.assets import ensure

        weights = ensure(WEIGHTS, offline=offline)
        words = ensure(TOKENIZER, offline=offline)
        try:
            model = build_sentence_model(load_file(weights))
            return cls(model, Tokenizer.from_file(str(words)), device=device)
        except (OSError, SafetensorError, RuntimeError, ValueError) as error:
            raise AssetError(
                f"the sentence encoder in {weights.parent} cannot be read: {error}; "
                f"run `rsfiqa assets verify {WEIGHTS} {TOKENIZER}`."
            ) from error

    @property
    def width(self) -> int:
        """Entries of a vector."""
        return WIDTH

    @torch.inference_mode()
    def encode(self, texts: Sequence[str | None]) -> Tensor:
        """One vector a text, `[N, 384]` in fp32, on the CPU.

        A text's vector does not depend on which others are encoded with it (1e-5).

        Args:
            texts: None and blank ones give zeros.
        """
        vectors = torch.zeros(len(texts), WIDTH)
        places: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            if text and text.strip():
                places.setdefault(text, []).append(i)
        # Texts of like length together, so that little is computed for padding.
        different = sorted(places, key=len)
        for start in range(0, len(different), _AT_ONCE):
            some = different[start : start + _AT_ONCE]
            for text, vector in zip(some, self._encode(some), strict=True):
                vectors[places[text]] = vector
        return vectors

    def _encode(self, texts: list[str]) -> Tensor:
        encodings = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([e.ids for e in encodings], device=self._device)
        mask = torch.tensor([e.attention_mask for e in encodings], device=self._device)
        tokens = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        shares = mask[..., None].to(tokens.dtype)
        means = (tokens * shares).sum(1) / shares.sum(1)
        return nn.functional.normalize(means, dim=-1).float().cpu()


def build_sentence_model(tensors: dict[str, Tensor]) -> nn.Module:
    """The network with the given weights; buffers and the unused pooler are left out.

    Raises:
        RuntimeError: the weights do not fit.
    """
    from transformers import BertConfig, BertModel

    config = BertConfig(**_SHAPE)
    model: nn.Module = BertModel(config, add_pooling_layer=False)
    wanted = model.state_dict()
    model.load_state_dict({name: value for name, value in tensors.items() if name in wanted})
    return model
