"""What a local vision-language model is asked about a region, and how it becomes its inputs.

Reading and teaching build their prompts here, so that a model is asked exactly what it was taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from rsfiqa.assets.pretrained import first_line
from rsfiqa.errors import ConfigError
from rsfiqa.reading import wording
from rsfiqa.types import DIMENSIONS, Dimension

if TYPE_CHECKING:
    import torch

Message = dict[str, Any]

_GREY = (128, 128, 128)


@dataclass(frozen=True)
class Question:
    """One question about a region.

    Attributes:
        dimension: what its answer rates; None when it asks what the region shows.
        text: the question.
        prefix: what the answer begins with.
    """

    dimension: Dimension | None
    text: str
    prefix: str


CONTENT = Question(None, wording.CONTENT_QUESTION, wording.CONTENT_PREFIX)
QUESTIONS: tuple[Question, ...] = (
    CONTENT,
    *(Question(d, wording.rating_question(d), wording.RATING_PREFIXES[d]) for d in DIMENSIONS),
)
"""All that is asked of a region: what it shows, then its ratings in the order of `DIMENSIONS`."""


def question_messages(picture: Image.Image, instruction: str, question: str) -> list[Message]:
    """The chat that asks one question about one region, as transformers' chat templates take it.

    The picture comes first and the question last, so that all that questions share is in front.

    Args:
        picture: what the model sees, of `rsfiqa.reading.views.region_view`.
        instruction: where in it the region is, of `rsfiqa.reading.views.view_instruction`.
        question: a `Question.text`.

    Example:
        >>> [message] = question_messages(Image.new("RGB", (56, 56)), "All of it.", "How good?")
        >>> message["role"], message["content"][1]["text"]
        ('user', 'All of it.\\nHow good?')
    """
    content = [
        {"type": "image", "image": picture},
        {"type": "text", "text": f"{instruction}\n{question}"},
    ]
    return [{"role": "user", "content": content}]


def prompt_text(processor: Any, messages: Sequence[Message], prefix: str) -> str:
    """The text of a chat up to and including the fixed prefix of the answer.

    What the model says next is, for a rating, a level word with its leading space.

    Args:
        processor: of the model, with a chat template.
        messages: of `question_messages`.
        prefix: a `Question.prefix`.

    Raises:
        ConfigError: the processor has no chat template, or it fails.
    """
    try:
        text = processor.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # templates are programs of their own and raise what they like
        raise ConfigError(
            f"the model's chat template cannot be applied ({first_line(error)}); choose an instruction-tuned "
            "model whose folder holds a chat template (chat_template.jinja)."
        ) from error
    # Templates that end with a name ("ASSISTANT:") leave the space before the answer to the answer.
    return f"{text} {prefix}" if text.endswith(":") else f"{text}{prefix}"


def tokenize(processor: Any, text: str) -> list[int]:
    """The token ids of a prompt, before the processor puts in the picture's own tokens."""
    tokenizer = processor.tokenizer
    ids = tokenizer(text, add_special_tokens=_wants_special_tokens(tokenizer, text))["input_ids"]
    return [int(token) for token in ids]


def model_inputs(
    processor: Any, texts: Sequence[str], pictures: Sequence[Image.Image]
) -> dict[str, torch.Tensor]:
    """A batch of prompts with one picture each, as the model takes it, padded on the left.

    Args:
        processor: of the model.
        texts: of `prompt_text`.
        pictures: one a text.
    """
    batch = processor(
        text=list(texts),
        # A list a prompt: processors disagree on whose picture is whose in a flat list.
        images=[[_fitted(processor, picture)] for picture in pictures],
        padding=True,
        return_tensors="pt",
        add_special_tokens=_wants_special_tokens(processor.tokenizer, texts[0]),
    )
    # Some processors add notes for themselves.
    return {name: value for name, value in batch.items() if hasattr(value, "is_floating_point")}


def _wants_special_tokens(tokenizer: Any, text: str) -> bool:
    """Some chat templates write the token that begins a text, some leave it to the tokenizer."""
    begin = tokenizer.bos_token
    return begin is None or not text.startswith(begin)


def _fitted(processor: Any, picture: Image.Image) -> Image.Image:
    """Made square with grey for processors that would cut the long sides off (CLIP's do)."""
    if not getattr(processor.image_processor, "do_center_crop", False):
        return picture
    square = Image.new("RGB", (max(picture.size), max(picture.size)), _GREY)
    square.paste(picture)  # at the top left, where the coordinates of boxes count from
    return square
