"""A local vision-language model's answers to all questions about some regions.

`answers_from_stems` lets questions share what they have in common; `answers_apart` asks each from
the start, through transformers' own `generate`, for models that do not allow it. Both give the same
numbers. Nothing is sampled: logits of the five level words, and the likeliest next token of a
description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from rsfiqa.reading import wording
from rsfiqa.reading.vlm_loading import LoadedVLM
from rsfiqa.reading.vlm_prompts import CONTENT, QUESTIONS, model_inputs
from rsfiqa.reading.vlm_stems import Branches, Stem, placed

if TYPE_CHECKING:
    import torch

_ASKED = len(QUESTIONS)
_CONTENT_ROW = QUESTIONS.index(CONTENT)


@dataclass(frozen=True)
class Answer:
    """What a model answers about one region.

    Attributes:
        description: in a few words; None when it wrote nothing.
        level_logits: of the five level words (best first), for each dimension in the order of
            `DIMENSIONS`; five fives.
    """

    description: str | None
    level_logits: tuple[tuple[float, ...], ...]


def answers_from_stems(
    vlm: LoadedVLM,
    stems: Sequence[Stem],
    owners: Sequence[int],
    tails: Sequence[Sequence[int]],
) -> list[Answer]:
    """Answer all questions about some regions, going on from stems.

    Args:
        vlm: the model.
        stems: of `grow_stem`.
        owners: of each region, the index of its stem.
        tails: of each region and question (region by region, in the order of `QUESTIONS`), the
            tokens that follow the stem.
    """
    rows = [owner for owner in owners for _ in QUESTIONS]
    branches = Branches(vlm, stems, rows, tails)
    levels = branches.logits[:, list(vlm.level_tokens)].tolist()
    branches.keep(range(_CONTENT_ROW, len(rows), _ASKED))
    return _answers(_descriptions(vlm, branches), levels)


def answers_apart(
    vlm: LoadedVLM, texts: Sequence[str], pictures: Sequence[Image.Image]
) -> list[Answer]:
    """Answer all questions about some regions, each from the start.

    Args:
        vlm: the model.
        texts: of each region and question (region by region, in the order of `QUESTIONS`), the
            prompt.
        pictures: of each region.
    """
    repeated = [picture for picture in pictures for _ in QUESTIONS]
    first = _generate(vlm, texts, repeated, tokens=1)
    levels = first.logits[0][:, list(vlm.level_tokens)].float().tolist()
    written = _generate(
        vlm, texts[_CONTENT_ROW::_ASKED], pictures, tokens=wording.LONGEST_DESCRIPTION
    )
    new = written.sequences[:, -len(written.logits) :].tolist()
    return _answers([_description(vlm, tokens) for tokens in new], levels)


def _generate(
    vlm: LoadedVLM, texts: Sequence[str], pictures: Sequence[Image.Image], *, tokens: int
) -> Any:
    import torch

    with torch.no_grad():
        return vlm.model.generate(
            **placed(vlm, model_inputs(vlm.processor, texts, pictures)),
            max_new_tokens=tokens,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )


def _answers(descriptions: Sequence[str | None], levels: list[list[float]]) -> list[Answer]:
    answers = []
    for region, description in enumerate(descriptions):
        mine = levels[region * _ASKED : (region + 1) * _ASKED]
        rated = [tuple(row) for index, row in enumerate(mine) if index != _CONTENT_ROW]
        answers.append(Answer(description, tuple(rated)))
    return answers


def _descriptions(vlm: LoadedVLM, branches: Branches) -> list[str | None]:
    """What the model writes greedily in each row, until all rows have ended their line."""
    tokens = branches.logits.argmax(-1)
    written: list[list[int]] = [[token] for token in tokens.tolist()]
    while len(written[0]) < wording.LONGEST_DESCRIPTION:
        if all(_has_ended(vlm, row) for row in written):
            break
        branches.advance(tokens)
        tokens = branches.logits.argmax(-1)
        for row, token in zip(written, tokens.tolist(), strict=True):
            row.append(token)
    return [_description(vlm, row) for row in written]


def _has_ended(vlm: LoadedVLM, tokens: Sequence[int]) -> bool:
    return not _end_tokens(vlm).isdisjoint(tokens) or "\n" in _decoded(vlm, tokens).lstrip()


def _description(vlm: LoadedVLM, tokens: Sequence[int]) -> str | None:
    """One line without a full stop, of the tokens before the one that ends an answer."""
    end = next((i for i, token in enumerate(tokens) if token in _end_tokens(vlm)), len(tokens))
    line = next(iter(_decoded(vlm, tokens[:end]).strip().splitlines()), "")
    # A character cut off in the middle decodes to a replacement character.
    legible = (c if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}" else " " for c in line)
    line = " ".join("".join(legible).split()).rstrip(" .")
    return line or None


def _decoded(vlm: LoadedVLM, tokens: Sequence[int]) -> str:
    return str(vlm.tokenizer.decode(list(tokens), skip_special_tokens=True))


def _end_tokens(vlm: LoadedVLM) -> set[int]:
    end: torch.Tensor | list[int] | int | None = vlm.base_model.generation_config.eos_token_id
    return set() if end is None else set(end if isinstance(end, list) else [int(end)])
