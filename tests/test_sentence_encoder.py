"""The sentence encoder: meaning as nearness, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa import assets
from rsfiqa.errors import AssetError
from rsfiqa.reading.sentence_encoder import TOKENIZER, WEIGHTS, WIDTH, SentenceEncoder

WORDS = ("sky", "dog", "a brick wall", "the hand of a person", "grass", "Ünïcode", "夜", "x" * 600)


@pytest.fixture(scope="module")
def sentences(real_asset: Callable[[str], Path]) -> SentenceEncoder:
    real_asset(WEIGHTS)
    real_asset(TOKENIZER)
    return SentenceEncoder.from_pretrained()


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("a dog", "a puppy", "a brick wall"),
        ("a clear blue sky", "the sky with some clouds", "a wooden table"),
        ("a person", "a man's face", "green grass"),
        ("a car on a road", "vehicles in the street", "a cup of coffee"),
    ],
)
def test_like_meanings_are_near(sentences: SentenceEncoder, text: str, near: str, far: str) -> None:
    one, other, third = sentences.encode([text, near, far])
    assert one @ other > one @ third + 0.2


def test_the_vectors_stay_what_they_are(sentences: SentenceEncoder) -> None:
    dog, puppy, wall = sentences.encode(["a dog", "a puppy", "a brick wall"])
    assert float(dog @ puppy) == pytest.approx(0.77, abs=0.01)
    assert float(dog @ wall) == pytest.approx(0.23, abs=0.01)


@settings(max_examples=10)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
def test_a_vector_has_unit_length_and_does_not_depend_on_the_others(
    sentences: SentenceEncoder, texts: list[str]
) -> None:
    together = sentences.encode(texts)
    assert together.shape == (len(texts), WIDTH)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(texts)))
    for text, vector in zip(texts, together, strict=True):
        torch.testing.assert_close(sentences.encode([text])[0], vector, atol=1e-5, rtol=0)


def test_nothing_said_gives_zeros(sentences: SentenceEncoder) -> None:
    vectors = sentences.encode([None, "", "  ", "sky"])
    assert not vectors[:3].any()
    assert vectors[3].any()
    assert sentences.encode([]).shape == (0, WIDTH)


def test_many_texts_come_back_in_their_order(sentences: SentenceEncoder) -> None:
    texts = [f"{WORDS[i % 4]} number {i}" for i in range(70)]
    vectors = sentences.encode(texts)
    torch.testing.assert_close(vectors[69], sentences.encode([texts[69]])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(vectors[0], sentences.encode([texts[0]])[0], atol=1e-5, rtol=0)


def test_damaged_weights_are_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(b"no tensors")
    monkeypatch.setattr(assets, "ensure", lambda *_, **__: tmp_path / "model")
    with pytest.raises(AssetError, match="rsfiqa assets verify minilm-l6-v2"):
        SentenceEncoder.from_pretrained()


def test_weights_of_another_shape_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    save_file({"embeddings.word_embeddings.weight": torch.zeros(3, 4)}, tmp_path / "model")
    monkeypatch.setattr(assets, "ensure", lambda *_, **__: tmp_path / "model")
    with pytest.raises(AssetError, match="cannot be read"):
        SentenceEncoder.from_pretrained()
