"""A sentence encoder that makes its vectors of the letters: quick, and like texts are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from rsfiqa.reading import sentence_encoder


class FakeSentences:
    """Counts letters by their code modulo the width, as a vector of unit length."""

    name = "letters/1"

    def __init__(self, width: int = 8) -> None:
        self.width = width
        self.asked: list[str | None] = []

    def encode(self, texts: Sequence[str | None]) -> Tensor:
        self.asked.extend(texts)
        vectors = torch.zeros(len(texts), self.width)
        for vector, text in zip(vectors, texts, strict=True):
            for letter in text or "":
                vector[ord(letter) % self.width] += 1
        return torch.nn.functional.normalize(vectors, dim=-1)


def replace_sentence_encoder(monkeypatch: pytest.MonkeyPatch) -> list[FakeSentences]:
    """Have fakes stand for the real encoder; returns those that were asked for."""
    loaded: list[FakeSentences] = []

    def load(**_: Any) -> FakeSentences:
        loaded.append(FakeSentences())
        return loaded[-1]

    monkeypatch.setattr(sentence_encoder.SentenceEncoder, "from_pretrained", load)
    return loaded
