"""Instruction data as conversations: the JSON Lines that tools for tuning vision-language models read.

One conversation a line, one question about one region, as `rsfiqa.reading` asks it:

    {"messages": [{"role": "user", "content": "<image>The region is … How good is …?"},
                  {"role": "assistant", "content": "Color: good"}],
     "images": ["tuning-views/000012-03.png"]}

ms-swift takes this file as it stands; LLaMA-Factory with `"formatting": "sharegpt"` and the tags
`role`, `content`, `user`, `assistant`. Both put the picture where `<image>` stands. TRL puts it in
front by itself: write its file without the tag. Pictures are named relative to the file: start the
tool in its folder, or name that folder (ms-swift's `ROOT_IMAGE_DIR`, LLaMA-Factory's `media_dir`).

Conversations have one word a rating, the most probable level: the soft labels are in the set itself,
which `rsfiqa teach tune` uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.atomic import replacing
from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.reading import wording
from rsfiqa.reading.views import MAX_PIXELS, View, region_view, view_instruction
from rsfiqa.types import DIMENSIONS, LEVELS, Level, Rating

IMAGE_TAG = "<image>"


@dataclass(frozen=True)
class ExportReport:
    """What was written: conversations, and pictures of regions for them."""

    conversations: int = 0
    pictures: int = 0


def export_messages(
    instructions: Iterable[Instruction],
    path: str | Path,
    *,
    view: View = "crop",
    max_pixels: int = MAX_PIXELS,
    image_tag: str = IMAGE_TAG,
    told: Callable[[int], None] = lambda _: None,
) -> ExportReport:
    """Write conversations about every region of a set, and the pictures they are about.

    A region gives a conversation for each dimension whose level is known, and one about its content
    where a teacher knew it. The pictures go into the folder `NAME-views` beside `NAME.jsonl`. The file appears when it is
    whole.

    Args:
        instructions: such as `read_instructions(folder)`.
        path: the file to write, `NAME.jsonl`.
        view, max_pixels: what is shown of a region; see `rsfiqa.reading.views.region_view`.
        image_tag: what stands for the picture in the question; empty for tools that need no tag.
        told: called with 1 after each picture of the set.

    Raises:
        DataError: the file or a picture cannot be written.
        ImageError: a picture of the set cannot be read.
    """
    path = Path(path)
    views = path.with_name(f"{path.stem}-views")
    conversations = pictures = 0
    try:
        views.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
            for instruction in instructions:
                pixels = load_image(instruction.image).pixels
                partition = instruction.partition
                _require_size(instruction, pixels)
                for region in instruction.regions:
                    shown = views / f"{instruction.image.stem}-{region.region:02d}.png"
                    region_view(
                        pixels, partition, region.region, view=view, max_pixels=max_pixels
                    ).save(shown, compress_level=1)
                    pictures += 1
                    where = view_instruction(
                        partition, region.region, view=view, max_pixels=max_pixels
                    )
                    for question, answer in questions_and_answers(region):
                        record = _conversation(
                            f"{image_tag}{where}\n{question}",
                            answer,
                            shown.relative_to(path.parent).as_posix(),
                        )
                        file.write(json.dumps(record, ensure_ascii=False) + "\n")
                        conversations += 1
                told(1)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; name another place."
        ) from error
    return ExportReport(conversations, pictures)


def questions_and_answers(region: RegionInstruction) -> Iterator[tuple[str, str]]:
    """What is asked about a region, and the wanted answers, in the words of `rsfiqa.reading.wording`.

    Of several descriptions one is taken, another for another region id, so that wordings vary. Of a
    labelled region (`RegionInstruction.seen`) nothing is asked whose severity nobody knows: one word
    cannot say "unsure", as the set's soft levels do.
    """
    if region.descriptions:
        chosen = region.descriptions[region.region % len(region.descriptions)]
        yield wording.CONTENT_QUESTION, wording.content_answer(chosen)
    for dimension in DIMENSIONS:
        if region.seen is not None and dimension not in (*region.seen, "overall"):
            continue
        level = most_probable_level(region.ratings[dimension])
        yield wording.rating_question(dimension), wording.rating_answer(dimension, level)


def most_probable_level(rating: Rating) -> Level:
    """The level word of a rating; of two that are equally probable the better one.

    Example:
        >>> most_probable_level(Rating((0.1, 0.6, 0.3, 0.0, 0.0)))
        'good'
    """
    return LEVELS[int(np.argmax(rating.probabilities))]


def _conversation(question: str, answer: str, picture: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "images": [picture],
    }


def _require_size(instruction: Instruction, pixels: npt.NDArray[np.uint8]) -> None:
    partition = instruction.partition
    if pixels.shape[:2] != (partition.height, partition.width):
        raise DataError(
            f"{instruction.image} has another size than its partition of {partition.width}×"
            f"{partition.height}; make the set anew."
        )
