"""Instruction data as the inputs of a vision-language model, asked exactly as the reader asks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.reading import wording
from rsfiqa.reading.views import View, region_view, view_instruction
from rsfiqa.reading.vlm_loading import LoadedVLM
from rsfiqa.reading.vlm_prompts import (
    CONTENT,
    QUESTIONS,
    Question,
    model_inputs,
    prompt_text,
    question_messages,
    tokenize,
)
from rsfiqa.types import LEVELS

INPUT = "input."
"""What the names of the model's own inputs begin with in a batch."""

UNLABELLED = -100
"""At places whose token nobody is asked to foretell; torch's cross-entropy leaves it out."""


@dataclass(frozen=True)
class _Conversation:
    """One question about one region, and its wanted answer.

    Attributes:
        text: the prompt, and for a description the answer, too.
        answer: token ids at the end of the text that are to be foretold.
        wanted: probabilities of the level words, for a rating.
    """

    text: str
    answer: Sequence[int]
    wanted: tuple[float, ...] | None


class Examples:
    """The regions of a set, one after the other, as questions and answers.

    Args:
        vlm: whose processor and chat template make the inputs.
        instructions: the pictures; opened whenever a region of them is asked for.
        view, max_pixels: what is shown of a region, see `rsfiqa.reading.views.region_view`.
        questions: asked of a region at a time, drawn from the five ratings and, where a teacher
            described the region, its content; all questions are equally likely.
        seed: of what is drawn.
    """

    def __init__(
        self,
        vlm: LoadedVLM,
        instructions: Sequence[Instruction],
        *,
        view: View,
        max_pixels: int,
        questions: int,
        seed: int,
    ) -> None:
        self._vlm, self._instructions = vlm, instructions
        self._view, self._max_pixels = view, max_pixels
        self._questions, self._seed = questions, seed
        self._end = end_of_turn(vlm)
        self._places = [
            (picture, place)
            for picture, instruction in enumerate(instructions)
            for place in range(len(instruction.regions))
        ]

    def __len__(self) -> int:
        return len(self._places)

    def batch(self, indices: Sequence[int], step: int) -> dict[str, Tensor]:
        """The inputs and wanted outputs of some regions.

        Returns:
            The model's inputs under `input.NAME`, padded on the left to R rows; `levels`, the
            wanted probabilities `[R, 5]` of the level words as the next token; `rated`, in which
            rows that holds, bool `[R]`; `labels` `[R, L]`, the tokens at the end of each row that
            are to be foretold, filled with -100 in front.

        Raises:
            ImageError, DataError: a picture cannot be read, or is not its partition's size.
        """
        conversations: list[_Conversation] = []
        pictures: list[Image.Image] = []
        for index in indices:
            picture, found = self._region(index, step)
            conversations += found
            pictures += [picture] * len(found)
        inputs = model_inputs(self._vlm.processor, [c.text for c in conversations], pictures)
        longest = max(len(c.answer) for c in conversations)
        return {
            **{f"{INPUT}{name}": self._in_precision(value) for name, value in inputs.items()},
            "levels": torch.tensor([c.wanted or (0.0,) * len(LEVELS) for c in conversations]),
            "rated": torch.tensor([c.wanted is not None for c in conversations]),
            "labels": torch.tensor(
                [[UNLABELLED] * (longest - len(c.answer)) + [*c.answer] for c in conversations],
                dtype=torch.long,
            ),
        }

    def _region(self, index: int, step: int) -> tuple[Image.Image, list[_Conversation]]:
        number, place = self._places[index]
        instruction = self._instructions[number]
        region, partition = instruction.regions[place], instruction.partition
        pixels = load_image(instruction.image).pixels
        if pixels.shape[:2] != (partition.height, partition.width):
            raise DataError(
                f"{instruction.image} has another size than its partition of {partition.width}×"
                f"{partition.height}; make the set anew."
            )
        shown = {"view": self._view, "max_pixels": self._max_pixels}
        picture = region_view(pixels, partition, region.region, **shown)  # type: ignore[arg-type]
        where = view_instruction(partition, region.region, **shown)  # type: ignore[arg-type]
        rng = random.Random(f"{self._seed}|{step}|{index}")  # noqa: S311
        possible = [q for q in QUESTIONS if q is not CONTENT or region.descriptions]
        asked = rng.sample(possible, min(self._questions, len(possible)))
        return picture, [self._conversation(q, region, picture, where, rng) for q in asked]

    def _conversation(
        self,
        question: Question,
        region: RegionInstruction,
        picture: Image.Image,
        where: str,
        rng: random.Random,
    ) -> _Conversation:
        processor = self._vlm.processor
        messages = question_messages(picture, where, question.text)
        prompt = prompt_text(processor, messages, question.prefix)
        if question.dimension is not None:
            return _Conversation(prompt, (), region.ratings[question.dimension].probabilities)
        text = f"{prompt} {rng.choice(region.descriptions)}{self._end}"
        before, whole = tokenize(processor, prompt), tokenize(processor, text)
        shared = next(
            (i for i, pair in enumerate(zip(before, whole, strict=False)) if pair[0] != pair[1]),
            len(before),
        )
        return _Conversation(text, whole[shared:], None)

    def _in_precision(self, value: Tensor) -> Tensor:
        """Pictures in the model's precision, as `rsfiqa.reading.vlm_stems.placed` gives them."""
        if not value.is_floating_point() or self._vlm.precision == "fp32":
            return value
        return value.to(torch.bfloat16)


def end_of_turn(vlm: LoadedVLM) -> str:
    """The text of the token with which the model should end an answer.

    Of the tokens that end its generation, the one that its chat template writes after an answer.
    """
    given: Any = vlm.base_model.generation_config.eos_token_id
    ids = (
        given
        if isinstance(given, list)
        else [vlm.tokenizer.eos_token_id if given is None else given]
    )
    ends = [str(vlm.tokenizer.convert_ids_to_tokens(int(token))) for token in ids]
    said = wording.content_answer("something")
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": said}]},
    ]
    try:
        chat = vlm.processor.apply_chat_template(messages, tokenize=False)
    except Exception:  # templates are programs of their own; some know no answers
        return ends[0]
    after = str(chat).rpartition(said)[2]
    return min((end for end in ends if end in after), key=after.index, default=ends[0])
