"""Instruction data as conversations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photographs import CROPS, quarters
from rsfiqa.errors import DataError, ImageError
from rsfiqa.learning.instruction_export import export_messages, questions_and_answers
from rsfiqa.learning.instructions import Fault, Instruction, RegionInstruction
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.reading import wording
from rsfiqa.reading.views import region_view, view_instruction
from rsfiqa.types import DIMENSIONS

SPOILED = RegionInstruction(
    1,
    wanted_ratings([Fault("noise", "gaussian_noise", 4.0)], 0.5),
    ("a cat", "a cat's ear"),
    "cat",
    (Fault("noise", "gaussian_noise", 4.0),),
)
CLEAN = RegionInstruction(2, wanted_ratings([]))


@pytest.fixture
def instruction(tmp_path: Path) -> Instruction:
    pixels = CROPS["cat"]()
    Image.fromarray(pixels).save(tmp_path / "000007.png")
    return Instruction(tmp_path / "000007.png", "cat.png", quarters(pixels), (SPOILED, CLEAN))


def test_answers_are_what_a_reader_should_say() -> None:
    answers = dict(questions_and_answers(SPOILED))
    assert answers[wording.CONTENT_QUESTION] == "Content: a cat's ear"
    assert answers[wording.rating_question("noise")] == "Freedom from noise: bad"
    assert answers[wording.rating_question("color")] == "Color: excellent"
    clean = dict(questions_and_answers(CLEAN))
    assert set(clean) == {wording.rating_question(d) for d in DIMENSIONS}


def test_nothing_is_asked_of_what_nobody_labelled() -> None:
    seen = RegionInstruction(0, wanted_ratings([]), seen={"blur": 3.0, "color": 0.0})
    asked = dict(questions_and_answers(seen))
    assert set(asked) == {wording.rating_question(d) for d in ("blur", "color", "overall")}
    none = RegionInstruction(0, wanted_ratings([]), ("a cat",), seen={})
    assert [answer.split(":")[0] for _, answer in questions_and_answers(none)] == [
        "Content",
        "Overall quality",
    ]


def test_conversations_have_the_form_that_tools_read(
    instruction: Instruction, tmp_path: Path
) -> None:
    out, told = tmp_path / "out" / "tuning.jsonl", []
    report = export_messages([instruction], out, told=told.append)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (report.conversations, report.pictures, told) == (11, 2, [1])
    assert len(records) == 11
    for record in records:
        assert set(record) == {"messages", "images"}
        assert [message["role"] for message in record["messages"]] == ["user", "assistant"]
        question = record["messages"][0]["content"]
        assert question.startswith("<image>")
        assert question.count("<image>") == len(record["images"]) == 1
        region = int(Path(record["images"][0]).stem.split("-")[1])
        assert view_instruction(instruction.partition, region) in question
        shown = np.asarray(Image.open(out.parent / record["images"][0]))
        pixels = np.asarray(Image.open(instruction.image))
        wanted = np.asarray(region_view(pixels, instruction.partition, region))
        np.testing.assert_array_equal(shown, wanted)
    assert sorted(path.name for path in out.parent.iterdir()) == ["tuning-views", "tuning.jsonl"]


def test_the_tag_and_the_view_can_be_chosen(instruction: Instruction, tmp_path: Path) -> None:
    out = tmp_path / "plain.jsonl"
    export_messages([instruction], out, view="picture", image_tag="")
    first = json.loads(out.read_text().splitlines()[0])
    assert first["messages"][0]["content"].startswith("The picture is 160 pixels wide")


def test_what_cannot_be_written_or_read_is_said(instruction: Instruction, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        export_messages([instruction], tmp_path / "file" / "tuning.jsonl")
    out = tmp_path / "tuning.jsonl"
    Image.new("RGB", (200, 100)).save(instruction.image)
    with pytest.raises(DataError, match="another size"):
        export_messages([instruction], out)
    instruction.image.write_bytes(b"no picture")
    with pytest.raises(ImageError):
        export_messages([instruction], out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))
