from __future__ import annotations

import pytest
import torch

from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.reading.language_model import LanguageModel, level_word_ids, merge_lora
from rsfiqa.reading.projector import Projector, ProjectorConfig
from rsfiqa.reading.region_model import _AFTER, _BEFORE, RegionLanguageModel
from rsfiqa.reading.wording import (
    CONTENT_PREFIX,
    LEVEL_WORDS,
    LONGEST_DESCRIPTION,
    RATING_PREFIXES,
)
from rsfiqa.types import DIMENSIONS
from tiny_language import WIDTH, tiny_language


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return tiny_language()


@pytest.fixture(scope="module")
def model(language: LanguageModel) -> RegionLanguageModel:
    sizes = ProjectorConfig(
        features=8, parts=4, pixels=3, fine=((0, 4),), content=((4, 8),), width=WIDTH, hidden=8
    )
    return RegionLanguageModel(language, Projector(sizes)).eval()


def soft_tokens(count: int, model: RegionLanguageModel, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, model.projector.config.tokens, WIDTH, generator=rng)


def alone(model: RegionLanguageModel, soft: torch.Tensor, text: str) -> torch.Tensor:
    """The last hidden state when only this prefix is asked, without any branching."""
    language = model.language
    ids = [language.ids(part) for part in (_BEFORE, _AFTER + text)]
    # Both texts are tokenised apart from the soft tokens, but the answer's prefix is its own branch.
    ids[1] = [*language.ids(_AFTER), *language.ids(text)]
    before, after = (model.embedded(torch.tensor(part)).expand(len(soft), -1, -1) for part in ids)
    out = language.model.model(inputs_embeds=torch.cat([before, soft, after], 1))  # type: ignore[operator]
    hidden: torch.Tensor = out.last_hidden_state[:, -1]
    return hidden


@torch.inference_mode()
def test_every_branch_answers_as_if_asked_alone(
    model: RegionLanguageModel, language: LanguageModel
) -> None:
    soft = soft_tokens(3, model)
    logits = model.level_logits(soft)
    embeddings = language.model.get_input_embeddings().weight  # type: ignore[operator]
    for index, dimension in enumerate(DIMENSIONS):
        ids = level_word_ids(language, RATING_PREFIXES[dimension], LEVEL_WORDS)
        expected = alone(model, soft, RATING_PREFIXES[dimension]) @ embeddings[ids].T
        torch.testing.assert_close(logits[:, index], expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_descriptions_are_what_greedy_decoding_without_branches_gives(
    model: RegionLanguageModel, language: LanguageModel
) -> None:
    soft = soft_tokens(4, model, seed=3)
    _, described = model.read(soft)
    embeddings = language.model.get_input_embeddings().weight  # type: ignore[operator]
    for row, text in enumerate(described):
        written: list[int] = []
        inputs = torch.cat(
            [
                model.prefix(soft[row : row + 1]),
                model.embedded(torch.tensor(language.ids(CONTENT_PREFIX)))[None],
            ],
            1,
        )
        for _ in range(LONGEST_DESCRIPTION):
            out = language.model.model(inputs_embeds=inputs)  # type: ignore[operator]
            word = int((out.last_hidden_state[0, -1] @ embeddings.T).argmax())
            if word == language.end:
                break
            written.append(word)
            inputs = torch.cat([inputs, model.embedded(torch.tensor([[word]]))], 1)
        assert text == language.text(written).split("\n")[0].strip().rstrip(".")


@torch.inference_mode()
def test_a_region_reads_the_same_alone_and_among_others(model: RegionLanguageModel) -> None:
    soft = soft_tokens(5, model)
    together, described = model.read(soft)
    for row in range(5):
        single, text = model.read(soft[row : row + 1])
        torch.testing.assert_close(single[0], together[row], atol=1e-5, rtol=1e-4)
        assert text == [described[row]]


@torch.inference_mode()
def test_probabilities_sum_to_one(model: RegionLanguageModel) -> None:
    probabilities, nothing = model.read(soft_tokens(2, model), describe=False)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, 5))
    assert nothing == []


@torch.inference_mode()
def test_taught_answers_are_read_where_reading_looks(model: RegionLanguageModel) -> None:
    soft = soft_tokens(2, model)
    words = torch.tensor([[5, 6, 7], [8, 9, 0]])
    levels, logits = model.answers(soft, words)
    torch.testing.assert_close(levels, model.level_logits(soft), atol=1e-5, rtol=1e-4)
    first = alone(model, soft, CONTENT_PREFIX) @ model._embedding.weight.T
    torch.testing.assert_close(logits[:, 0], first, atol=1e-4, rtol=1e-4)
    longer = model.answers(soft, torch.tensor([[5, 6, 11], [8, 9, 12]]))[1]
    torch.testing.assert_close(logits[:, :3], longer[:, :3], atol=1e-5, rtol=1e-4)


def test_words_of_several_tokens_are_refused(language: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="is not one token"):
        level_word_ids(language, "Color:", (" zyxwvut",))


def test_a_merged_adapter_is_what_lora_says() -> None:
    language = tiny_language()
    layer = dict(language.model.named_modules())["model.layers.0.self_attn.q_proj"]
    before = layer.weight.detach().clone()  # type: ignore[operator, union-attr]
    down, up = torch.randn(2, WIDTH), torch.randn(WIDTH, 2)
    stem = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    merge_lora(language.model, {f"{stem}A.weight": down, f"{stem}B.weight": up}, 0.5)
    torch.testing.assert_close(layer.weight, before + 0.5 * up @ down)
    with pytest.raises(AssetError, match="does not fit"):
        merge_lora(language.model, {f"{stem}A.weight": down[:, :3], f"{stem}B.weight": up}, 1.0)
    with pytest.raises(AssetError, match="does not fit"):
        merge_lora(language.model, {"base_model.model.none.lora_A.weight": down}, 1.0)
