"""`rsfiqa teach tune`, on tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from command_line import rsfiqa
from rsfiqa.encoders import build
from rsfiqa.learning import teaching_embedded
from rsfiqa.learning.instructions import read_instructions
from rsfiqa.reading import language_model, wording
from rsfiqa.reading.embedded import EmbeddedReader
from rsfiqa.reading.embedded_checkpoint import load_embedded
from rsfiqa.reading.vlm import LocalVLMReader
from tiny_language import tiny_language
from tiny_set import tiny_set
from tiny_vlm import tiny_vlm

pytest.importorskip("peft")
pytest.importorskip("accelerate")

HELD = "0.5"
"""Of four photographs, which splits them in some way."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm(tmp_path_factory.mktemp("qwen") / "tiny-qwen")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_set(tmp_path / "set", pictures=4)


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "LONGEST_DESCRIPTION", 3)


@pytest.fixture
def tiny_embedded(
    monkeypatch: pytest.MonkeyPatch, tiny_encoder_specs: list[dict[str, Any]]
) -> None:
    """The embedded reader's parts, tiny and untrained."""
    encoder = build.build_encoder(tiny_encoder_specs)
    monkeypatch.setattr(build, "build_encoder", lambda: encoder)
    monkeypatch.setattr(language_model, "load_language_model", lambda **_: tiny_language())
    monkeypatch.setattr("rsfiqa.reading.embedded.load_language_model", lambda **_: tiny_language())
    monkeypatch.setattr(teaching_embedded, "WARM_UP_EPOCHS", 2)


def test_a_vision_language_model(data: Path, folder: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "taught", tmp_path / "settings.json"
    settings.write_text('{"max_pixels": 12544, "rank": 2, "epochs": 9, "targets": ["q_proj"]}')
    given: list[str | Path] = [data, "--out", out, "--reader", f"hf:{folder}", "--config", settings]
    given += ["--epochs", "1", "--batch-size", "2", "--precision", "fp32", "--device", "cpu"]
    given += ["--held", HELD]
    first = rsfiqa("teach", "tune", *given)
    assert first.exit_code == 0, first.output
    training, validation = read_instructions(data).split(float(HELD))
    assert 0 < len(training) < 4  # else the set is too small to split
    table = dict(line.rsplit(maxsplit=1) for line in first.stdout.splitlines())
    assert table["regions"] == str(2 * len(validation))
    assert table["failed"] == "0"
    assert f"--adapter {out} --view crop" in first.stderr
    record = json.loads((out / "training.json").read_text())
    assert record["settings"]["epochs"] == 1
    assert record["settings"]["rank"] == 2
    assert record["settings"]["targets"] == ["q_proj"]
    assert record["regions"] == 2 * len(training)
    assert record["data"].startswith("set#")
    assert record["command"].startswith("rsfiqa")
    assert "## Licence" in (out / "README.md").read_text()
    # Given again, there is nothing left to do.
    weights = (out / "adapter_model.safetensors").read_bytes()
    again = rsfiqa("teach", "tune", *given, "-q")
    assert again.exit_code == 0, again.output
    assert again.stderr == ""
    assert again.stdout == first.stdout
    assert (out / "adapter_model.safetensors").read_bytes() == weights
    other = rsfiqa("teach", "tune", *given, "--learning-rate", "0.1")
    assert other.exit_code == 2
    assert "run of other settings (learning_rate)" in other.stderr
    reader = LocalVLMReader.from_spec(folder, adapter=out, device="cpu")
    assert "+taught#" in reader.name


@pytest.mark.usefixtures("tiny_embedded")
def test_the_embedded_reader(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "taught"
    given: list[str | Path] = [data, "--out", out, "--rank", "2", "--epochs", "1", "--held", HELD]
    result = rsfiqa("teach", "tune", *given, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "calibration_error" in result.stdout
    assert f"--reader embedded:{out}" in result.stderr
    saved = load_embedded(out)
    assert saved.training["settings"]["precision"] == "bf16"
    card = (out / "README.md").read_text()
    assert "| rank | 2 |" in card
    assert "rsfiqa read photo.jpg --reader embedded:taught" in card
    assert EmbeddedReader.from_pretrained(out).name == saved.name
    # What was computed of the pictures is kept for the next run.
    assert len(list((data / "evidence").iterdir())) == 4


@pytest.mark.usefixtures("tiny_embedded")
def test_without_validation_pictures(data: Path, tmp_path: Path) -> None:
    given: list[str | Path] = [data, "--out", tmp_path / "out", "--held", "0", "--epochs", "1"]
    result = rsfiqa("teach", "tune", *given, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "None were held back." in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.usefixtures("tiny_embedded")
def test_the_embedded_reader_from_two_sets(data: Path, tmp_path: Path) -> None:
    # Too few photographs for a part to be held back, which the other set has.
    out, more = tmp_path / "taught", tiny_set(tmp_path / "more", pictures=1)
    given: list[str | Path] = ["--out", out, "--rank", "2", "--epochs", "9", "--max-steps", "2"]
    given += ["--held", HELD, "--device", "cpu"]
    result = rsfiqa("teach", "tune", data, more, *given)
    assert result.exit_code == 0, result.output
    parted = [read_instructions(folder).split(float(HELD)) for folder in (data, more)]
    training = load_embedded(out).training
    assert training["regions"] == 2 * sum(len(learnt) for learnt, _ in parted)
    assert training["validation"]["regions"] == 2 * sum(len(held) for _, held in parted)
    assert [name.split("#")[0] for name in training["data"].split(", ")] == ["set", "more"]
    assert training["steps"] == 2
    # What was computed of a set's pictures is kept beside that set.
    assert [len(list((folder / "evidence").iterdir())) for folder in (data, more)] == [4, 1]
    # The sets are part of what a run is.
    other = rsfiqa("teach", "tune", data, *given)
    assert other.exit_code == 2
    assert "data" in other.stderr


def test_a_vision_language_model_from_two_sets(data: Path, folder: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "taught", tmp_path / "settings.json"
    more = tiny_set(tmp_path / "more", pictures=2)
    settings.write_text('{"max_pixels": 3136, "rank": 2, "targets": ["q_proj"]}')
    given: list[str | Path] = ["--out", out, "--reader", f"hf:{folder}", "--config", settings]
    given += ["--max-steps", "1", "--batch-size", "2", "--precision", "fp32", "--held", "0"]
    result = rsfiqa("teach", "tune", data, more, *given, "--device", "cpu")
    assert result.exit_code == 0, result.output
    record = json.loads((out / "training.json").read_text())
    assert (record["regions"], record["steps"]) == (12, 1)
    assert [name.split("#")[0] for name in record["data"].split(", ")] == ["set", "more"]


def test_sets_of_which_one_is_missing(data: Path, tmp_path: Path) -> None:
    missing = rsfiqa("teach", "tune", data, tmp_path / "nothing", "--out", tmp_path / "out")
    assert missing.exit_code == 1
    assert str(tmp_path / "nothing") in missing.stderr.replace("\n", "")
    none = rsfiqa("teach", "tune", data, data, "--out", tmp_path / "out", "--held", "0.9999")
    assert none.exit_code == 2
    assert f"of the pictures in {data} and {data} none" in " ".join(none.stderr.split())


def test_what_can_be_refused_is_refused_at_once(data: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "out", tmp_path / "settings.json"
    settings.write_text('{"epoch": 1}')
    refused = {
        ("--reader", "none"): "what can be taught is embedded or hf:MODEL; got 'none'",
        ("--reader", "hf:"): "what can be taught is embedded or hf:MODEL; got 'hf:'",
        ("--view", "crop"): "teaching embedded has no setting 'view'",
        ("--precision", "4bit"): "precision is fp32, bf16 for this reader",
        ("--epochs", "0"): "epochs must be 1 or more; got 0",
        ("--config", str(settings)): "teaching embedded has no setting 'epoch'",
        ("--config", str(tmp_path / "none.json")): "cannot be read",
        ("--held", "0.9999"): "none with regions is left to learn from",
        ("--device", "abacus"): "device 'abacus' cannot be used here",
    }
    for options, said in refused.items():
        result = rsfiqa("teach", "tune", data, "--out", out, *options)
        assert result.exit_code == 2, options
        assert said in result.stderr
    missing = rsfiqa("teach", "tune", tmp_path / "nothing", "--out", out)
    assert missing.exit_code == 1
    assert "rsfiqa teach data makes such a set" in missing.stderr
    (tmp_path / "file").write_text("in the way")
    assert rsfiqa("teach", "tune", data, "--out", tmp_path / "file").exit_code == 1


def test_missing_extras_are_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    result = rsfiqa("teach", "tune", data, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "rsfiqa[teach]" in result.stderr


def test_two_processes_learn_what_one_learns(folder: Path, tmp_path: Path) -> None:
    """With a last step that is short.

    They are started by torchrun, which is what `accelerate launch` does for GPUs; for processors it
    wants MPI.
    """
    data, settings = tiny_set(tmp_path / "set"), tmp_path / "settings.json"
    # All questions of all regions, so that every batch has the same share of each.
    settings.write_text('{"max_pixels": 3136, "rank": 2, "questions": 6, "accumulate": 2}')
    given = ["--reader", f"hf:{folder}", "--config", str(settings), "--learning-rate", "1e-2"]
    given += ["--precision", "fp32", "--held", HELD, "--device", "cpu"]
    alone = rsfiqa("teach", "tune", data, "--out", tmp_path / "one", *given, "--batch-size", "2")
    assert alone.exit_code == 0, alone.output
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launch, "-m", "rsfiqa", "teach", "tune", str(data), "--out"]
    result = subprocess.run(
        [*command, str(tmp_path / "two"), *given, "--batch-size", "1"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # The main process alone speaks.
    assert result.stdout.count("calibration_error") == result.stderr.count("rsfiqa: taught") == 1
    record = json.loads((tmp_path / "two" / "training.json").read_text())
    assert record["processes"] == 2
    assert record["steps"] == 2
    assert record["command"].startswith("accelerate launch --num_processes 2 -m rsfiqa teach tune")
    one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-3, atol=1e-4)
    moved = [value for name, value in one.items() if "lora_B" in name]
    assert max(float(value.abs().max()) for value in moved) > 1e-3
