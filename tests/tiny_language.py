"""A language model and an embedded reader small enough for tests: real classes, untrained."""

from __future__ import annotations

from typing import Any

import torch

from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.reading.embedded_checkpoint import EmbeddedCheckpoint
from rsfiqa.reading.language_model import LanguageModel, build_causal_model
from rsfiqa.reading.projector import Projector, ProjectorConfig
from tiny_vlm import END_OF_TURN, _tokenizer

WIDTH = 32


def tiny_language(seed: int = 0) -> LanguageModel:
    """A Llama of two layers over the tokenizer of the tiny vision-language model."""
    tokenizer = _tokenizer().backend_tokenizer
    shape: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_causal_model(shape).requires_grad_(False)
    return LanguageModel(model, tokenizer, tokenizer.token_to_id(END_OF_TURN))


def tiny_projector(encoder: GridEncoder, width: int = WIDTH, seed: int = 0) -> Projector:
    """An untrained projector for an encoder's features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Projector(ProjectorConfig.of(encoder, width, hidden=16)).eval()


def tiny_checkpoint(encoder: GridEncoder) -> EmbeddedCheckpoint:
    """A reader's checkpoint with an untrained projector and a small random adapter."""
    language = tiny_language()
    adapter: dict[str, torch.Tensor] = {}
    rng = torch.Generator().manual_seed(1)
    for name, layer in language.model.named_modules():
        if name.endswith("q_proj"):
            weight: Any = layer.weight
            stem = f"base_model.model.{name}.lora_"
            adapter[f"{stem}A.weight"] = torch.randn(2, weight.shape[1], generator=rng) * 0.1
            adapter[f"{stem}B.weight"] = torch.randn(weight.shape[0], 2, generator=rng) * 0.1
    return EmbeddedCheckpoint(
        tiny_projector(encoder), adapter, 2.0, encoder.name, "tiny", {"regions": 0}
    )
