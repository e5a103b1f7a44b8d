"""`rsfiqa train` and `evaluate` with a reader: what is shown, and what is said where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fake_reader import FakeReader, serve
from fake_sentences import FakeSentences, replace_sentence_encoder
from rsfiqa import assessor
from rsfiqa.cli import app
from rsfiqa.cli import train as train_module
from rsfiqa.scoring.checkpoint import Checkpoint, load_checkpoint
from scored_pictures import write_scored_pictures

SERVER = "server:http://localhost:1/v1"


def rsfiqa(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", 12, splits=("train", "train", "train", "val"))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeReader:
    """What stands for the server, with caches of its own."""
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))
    found = FakeReader()
    serve(monkeypatch, found)
    return found


@pytest.fixture
def sentences(monkeypatch: pytest.MonkeyPatch) -> list[FakeSentences]:
    return replace_sentence_encoder(monkeypatch)


@pytest.fixture
def tiny(
    tiny_encoder_specs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, ...]:
    """Arguments that train on the tiny backbones, in few steps."""

    def parse(text: str) -> dict[str, Any]:
        return tiny_encoder_specs[int(text.removeprefix("tiny:"))]

    monkeypatch.setattr(train_module, "parse_backbone", parse)
    how = (
        "--backbone",
        "tiny:0",
        "--backbone",
        "tiny:1",
        "--epochs",
        "8",
        "--spoiled",
        "3",
        "--graded",
        "2",
    )
    return (*how, "--cache", str(tmp_path / "features"))


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


@pytest.mark.usefixtures("sentences")
def test_train_and_evaluate_with_a_reader(
    folder: Path, reader: FakeReader, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "model"
    trained = rsfiqa("train", folder, "--out", out, "--reader", SERVER, *tiny)
    assert trained.exit_code == 0, trained.output
    assert config_of(out)["reader"] == "fake/1"
    assert "| readings | fake/1, of 100.0% of the regions |" in (out / "README.md").read_text()
    read = len(reader.shapes)
    assert read > 12, "every picture, and spoiled copies"

    for readings in ("shuffled", "none"):
        other = tmp_path / readings
        how = ("--out", other, "--reader", SERVER, "--readings", readings)
        ended = rsfiqa("train", folder, *how, *tiny)
        assert ended.exit_code == 0, ended.output
        assert config_of(other)["reader"] == "none"
    assert len(reader.shapes) == read, "all three share cached features"

    scores: dict[str, list[float]] = {}
    for name in (SERVER, "none"):
        results = tmp_path / name.partition(":")[0]
        ended = rsfiqa("evaluate", folder, "--model", out, "--reader", name, "--out", results)
        assert ended.exit_code == 0, ended.output
        lines = (results / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        scores[name] = [json.loads(line)["score"] for line in lines]
        model = json.loads((results / "run_config.json").read_text(encoding="utf-8"))["model"]
        assert model["reader"] == ("none" if name == "none" else "fake/1")
    assert scores[SERVER] != scores["none"]


def test_evaluate_has_nobody_read_for_a_scorer_that_sees_no_readings(
    folder: Path,
    reader: FakeReader,
    sentences: list[FakeSentences],
    tiny_model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[Path] = []

    def load(folder: Path) -> Checkpoint:
        loaded.append(folder)
        return load_checkpoint(folder)

    monkeypatch.setattr(assessor, "load_checkpoint", load)
    silent = rsfiqa("evaluate", folder, "--model", tiny_model_folder)
    assert silent.exit_code == 0, silent.output
    assert "readings" not in silent.stderr
    assert loaded == [tiny_model_folder], "once, for the question and for the scores"
    told = rsfiqa("evaluate", folder, "--model", tiny_model_folder, "--reader", SERVER)
    assert told.exit_code == 0, told.output
    assert "tiny-test was trained without readings and sees none" in told.stderr
    assert not reader.shapes
    assert not sentences


@pytest.mark.usefixtures("sentences")
def test_evaluate_tells_of_regions_that_could_not_be_read(
    folder: Path, reader: FakeReader, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "model"
    assert rsfiqa("train", folder, "--out", out, "--reader", SERVER, *tiny).exit_code == 0
    reader.failing = {0}
    again = ("--reader", SERVER, "--no-cache-readings")
    ended = rsfiqa("evaluate", folder, "--model", out, *again)
    assert ended.exit_code == 0, ended.output
    assert "12 of 12 pictures have regions that could not be read" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reader", "none", "--readings", "shuffled"), "there are no readings to shuffle"),
        (("--readings", "theirs"), "readings is own, shuffled or none; got 'theirs'"),
        (("--reader", "oracle"), "unknown reader 'oracle'"),
        (("--reader", "none", "--reader-precision", "bf16"), "has no precision to set"),
    ],
)
def test_wrong_readers_and_readings_are_refused(
    folder: Path, tiny: tuple[str, ...], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", *tiny, *arguments)
    assert ended.exit_code == 2, ended.output
    assert words in ended.stderr
    assert "Traceback" not in ended.output
    assert not (tmp_path / "features").exists()
