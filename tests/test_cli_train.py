"""`rsfiqa train`, `evaluate` and `bench`: what they write, and what they say when they cannot.

The command names backbones by hub names; the tiny ones of these tests have local weights, so a
stand-in parses `--backbone tiny:0` and `tiny:1`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from command_line import require_one_sentence, rsfiqa
from rsfiqa import RSFIQA, benchmarks
from rsfiqa.benchmarks import machine, peak_mb
from rsfiqa.cli import common
from rsfiqa.cli import train as train_module
from rsfiqa.cli.train import parse_backbone
from rsfiqa.errors import ConfigError
from rsfiqa.samples import sample_picture
from scored_pictures import read_scores, write_scored_pictures, write_scores

SPLITS = ("train", "train", "train", "val")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", splits=SPLITS)


@pytest.fixture
def tiny_backbones(
    tiny_encoder_specs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, ...]:
    """Arguments that train on the tiny backbones, in few steps and with a cache of their own."""

    def parse(text: str) -> dict[str, Any]:
        return tiny_encoder_specs[int(text.removeprefix("tiny:"))]

    monkeypatch.setattr(train_module, "parse_backbone", parse)
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))
    cache = str(tmp_path / "cache")
    backbones = ("--backbone", "tiny:0", "--backbone", "tiny:1", "--reader", "none")
    return (*backbones, "--cache", cache, "--epochs", "1", "--spoiled", "3", "--graded", "2")


# Training and evaluating


def test_train_then_assess_then_evaluate(
    folder: Path, tiny_backbones: tuple[str, ...], tmp_path: Path
) -> None:
    trained = rsfiqa(
        "train", folder, "--out", tmp_path / "model", "--name", "mine", *tiny_backbones
    )
    assert trained.exit_code == 0, trained.output
    assert "16 pictures, scores 1..5 (guessed from the values)" in trained.stderr
    assert "training pictures: 12" in trained.stderr
    assert "epoch   1" in trained.stderr
    assert f"written to {tmp_path / 'model'}" in trained.stderr
    assert not trained.stdout, "figures of the way go to standard error"

    result = RSFIQA.from_pretrained(tmp_path / "model", reader="none").assess(
        folder / "picture-00.png"
    )
    assert result.model.scorer.startswith("mine-")

    out = tmp_path / "evaluation"
    ended = rsfiqa("evaluate", folder, "--model", tmp_path / "model", "--out", out)
    assert ended.exit_code == 0, ended.output
    assert "SRCC" in ended.stdout
    written = {path.name for path in out.iterdir()}
    assert written >= {
        "predictions.jsonl",
        "summary.json",
        "run_config.json",
        "environment.json",
    }
    lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    predictions = [json.loads(line) for line in lines]
    assert [row["image"] for row in predictions] == [row["image"] for row in read_scores(folder)]
    assert predictions[0]["score"] == pytest.approx(result.score, abs=1e-3)
    wanted = [25 * (float(row["mos"]) - 1) for row in read_scores(folder)]
    assert [row["target"] for row in predictions] == pytest.approx(wanted)
    config = json.loads((out / "run_config.json").read_text(encoding="utf-8"))
    assert config["model"]["scorer"] == result.model.scorer
    assert config["score_range"] == [1, 5]
    assert "torch" in (out / "environment.json").read_text(encoding="utf-8")
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert "srcc" in json.dumps(summary).lower()


def test_the_name_is_by_default_what_was_trained_on_what(
    folder: Path, tiny_backbones: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "twin[1]"
    ended = rsfiqa("train", folder, "--out", out, "--aggregation", "pooling", *tiny_backbones)
    assert ended.exit_code == 0, ended.output
    assert "pooling-data-" in ended.stderr
    assert f"written to {out}" in ended.stderr, "a name with brackets is no markup"
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["scorer"]["aggregation"] == "pooling"


def test_columns_range_and_direction_can_be_told(
    folder: Path, tiny_backbones: tuple[str, ...], tmp_path: Path, tiny_model_folder: Path
) -> None:
    rows = read_scores(folder)
    write_scores(
        folder, [{"file": r["image"], "dmos": r["mos"], "split": r["split"]} for r in rows]
    )
    how = ("--image-column", "file", "--score-column", "dmos", "--lower-is-better")
    scale = ("--score-range", "0", "8")
    trained = rsfiqa("train", folder, "--out", tmp_path / "m", *how, *scale, *tiny_backbones)
    assert trained.exit_code == 0, trained.output
    assert "scores 0..8\n" in trained.stderr
    out = tmp_path / "evaluation"
    model = ("--model", tiny_model_folder, "--split", "val")
    ended = rsfiqa("evaluate", folder, *how, *scale, *model, "--out", out)
    assert ended.exit_code == 0, ended.output
    lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    first = next(row for row in rows if row["split"] == "val")
    assert json.loads(lines[0])["target"] == pytest.approx(100 - 12.5 * float(first["mos"]))
    config = json.loads((out / "run_config.json").read_text(encoding="utf-8"))
    assert config["split"] == "val"
    assert config["lower_is_better"] is True


def test_a_damaged_picture_has_no_prediction_and_the_others_have(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    (folder / "picture-03.png").write_bytes(b"no picture")
    out = tmp_path / "evaluation"
    ended = rsfiqa("evaluate", folder, "--model", tiny_model_folder, "--out", out)
    require_one_sentence(ended, 1, "picture-03.png")
    lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    predictions = [json.loads(line) for line in lines]
    assert len(predictions) == 16
    assert [row["image"] for row in predictions if row["score"] is None] == ["picture-03.png"]
    assert predictions[3]["error"]


def test_training_stops_at_a_damaged_picture(
    folder: Path, tiny_backbones: tuple[str, ...], tmp_path: Path
) -> None:
    (folder / "picture-04.png").write_bytes(b"no picture")
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", *tiny_backbones)
    require_one_sentence(ended, 1, "picture-04.png")


# What cannot be


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any work beyond looking at what is asked for fails the test."""

    def begun(*_: Any, **__: Any) -> Any:
        pytest.fail("work was begun")

    monkeypatch.setattr("rsfiqa.learning.recipe.prepare", begun)
    monkeypatch.setattr(common, "make_assessor", begun)
    monkeypatch.setattr(benchmarks, "bench_assess", begun)


def without_a_picture(folder: Path) -> None:
    (folder / "picture-01.png").unlink()


def without_scores(folder: Path) -> None:
    write_scores(folder, [{"image": row["image"]} for row in read_scores(folder)])


def with_words_for_scores(folder: Path) -> None:
    write_scores(folder, [{**row, "mos": "good"} for row in read_scores(folder)])


def without_rows(folder: Path) -> None:
    (folder / "scores.csv").write_text("image,mos\n", encoding="utf-8")


def without_a_csv(folder: Path) -> None:
    (folder / "scores.csv").unlink()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_a_picture, ("do not exist", "picture-01.png")),
        (without_scores, ("no column 'mos'",)),
        (with_words_for_scores, ("not numbers", "'good'")),
        (without_rows, ("no rows",)),
        (without_a_csv, ("no CSV file",)),
    ],
)
def test_faults_of_the_data_are_one_sentence(
    folder: Path,
    tmp_path: Path,
    command: str,
    spoil: Callable[[Path], None],
    words: tuple[str, ...],
) -> None:
    spoil(folder)
    ended = rsfiqa(command, folder, "--out", tmp_path / "out")
    require_one_sentence(ended, 1, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_data_that_is_not_there_is_one_sentence(command: str, tmp_path: Path) -> None:
    ended = rsfiqa(command, tmp_path / "missing", "--out", tmp_path / "out")
    require_one_sentence(ended, 1, "There is no file or folder", "missing")


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--aggregation", "mean"), ("aggregation is rsa or pooling", "'mean'")),
        (("--precision", "fp16"), ("precision is fp32 or bf16", "'fp16'")),
        (("--backbone", "resnet18"), ("a backbone is NAME:DEPTHS", "'resnet18'")),
        (("--backbone", "timm:resnet18"), ("a backbone is NAME:DEPTHS",)),
        (("--backbone", "timm:resnet18:1,x"), ("a backbone is NAME:DEPTHS",)),
        (("--backbone", ""), ("a backbone is NAME:DEPTHS",)),
    ],
)
def test_settings_of_training_are_checked_first(
    folder: Path, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", *options)
    require_one_sentence(ended, 2, *words)


@pytest.mark.parametrize(
    ("backbone", "code", "words"),
    [
        ("resnet18:1,2", 2, ("unknown backbone 'resnet18'",)),
        ("timm:no_such_model:1", 2, ("timm cannot build 'no_such_model'",)),
    ],
)
def test_a_backbone_that_is_not_known_is_one_sentence(
    folder: Path, tmp_path: Path, backbone: str, code: int, words: tuple[str, ...]
) -> None:
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", "--backbone", backbone)
    require_one_sentence(ended, code, *words)


def test_a_backbone_that_cannot_be_fetched_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_: Any, **__: Any) -> Any:
        raise LocalEntryNotFoundError("the hub cannot be reached")

    monkeypatch.setattr(timm, "create_model", unreachable)
    ended = rsfiqa("train", folder, "--out", tmp_path / "m", "--backbone", "timm:resnet18:1")
    require_one_sentence(ended, 1, "resnet18", "the hub cannot be reached")


@pytest.mark.parametrize("option", ["--epochs", "--members"])
def test_at_least_one_epoch_and_member(folder: Path, tmp_path: Path, option: str) -> None:
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", option, "0")
    assert ended.exit_code == 2
    assert "Traceback" not in ended.output


def test_too_few_pictures_are_one_sentence(tmp_path: Path, tiny_backbones: tuple[str, ...]) -> None:
    folder = write_scored_pictures(tmp_path / "data", 4, splits=("train", "val"))
    ended = rsfiqa("train", folder, "--out", tmp_path / "model", *tiny_backbones)
    require_one_sentence(ended, 2, "at least 2 training and 3 validation pictures; got 2 and 2")


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_an_output_that_cannot_be_written_is_found_out_before_the_work(
    folder: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("a file")
    ended = rsfiqa(command, folder, "--out", tmp_path / "file" / "out")
    require_one_sentence(ended, 1, "cannot be written")


@pytest.mark.usefixtures("no_work")
def test_a_split_that_is_not_there_is_one_sentence(folder: Path) -> None:
    ended = rsfiqa("evaluate", folder, "--split", "test")
    require_one_sentence(ended, 1, "no split 'test'", "train, val")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--precision", "fp16"), 2, ("precision is fp32 or bf16",)),
        (("--device", "tpu"), 2, ("device 'tpu' cannot be used here",)),
        (("--model", "no/such folder"), 1, ("neither an existing file or folder nor a hub id",)),
    ],
)
def test_settings_of_an_evaluation_are_one_sentence(
    folder: Path, options: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    require_one_sentence(rsfiqa("evaluate", folder, *options), code, *words)


def test_the_command_itself_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("image,score\na.png,3\n", encoding="utf-8")
    command = [sys.executable, "-m", "rsfiqa", "train", str(tmp_path), "--out", str(tmp_path / "m")]
    environment = {k: v for k, v in os.environ.items() if k != "RSFIQA_DEBUG"}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=280
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("rsfiqa: ")
    assert len(ended.stderr.splitlines()) == 1
    assert "no column 'mos'" in ended.stderr


# Backbones by text


@given(
    st.sampled_from(["dinov2-small", "efficientnet-lite0", "timm:resnet18", "timm:vit.in1k"]),
    st.lists(st.integers(-12, 30), min_size=1, max_size=5),
)
def test_a_backbone_is_a_name_and_depths(name: str, depths: list[int]) -> None:
    spec = parse_backbone(f"{name}:{','.join(map(str, depths))}")
    assert spec["backbone"] == name
    assert spec["indices"] == depths
    assert spec.get("pretrained", False) is name.startswith("timm:")


@pytest.mark.parametrize("text", ["", ":", "resnet18", ":1,2", "resnet18:", "resnet18:1,", "a:b"])
def test_what_is_no_backbone_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a backbone is NAME:DEPTHS"):
        parse_backbone(text)


# Benchmarks


def test_the_machine_is_described_in_plain_data() -> None:
    described = machine()
    assert described["cores"] >= 1
    assert described["torch_threads"] >= 1
    assert json.loads(json.dumps(described)) == described


def test_peak_memory_is_in_megabytes_and_never_falls() -> None:
    before = peak_mb()
    if before is None:
        pytest.skip("this platform does not tell")
    assert 50 < before < 100_000, "Python with torch takes some hundreds of MB"
    block = bytearray(os.urandom(1024)) * (64 * 1024)
    after = peak_mb()
    assert len(block) == 64 * 1024 * 1024
    assert after is not None
    assert after >= before


def figures(precision: str, *, huge: bool, told: Callable[[str], None]) -> dict[str, Any]:
    told("one picture")
    return {
        "precision": precision,
        "huge": huge,
        "machine": {"cores": 2},
        "stages": {"decode": 0.004, "attend": 0.25},
        "measurements": [
            {"case": "one picture", "seconds": 0.5, "peak_mb": 812.3, "repeats": 7},
            {"case": "the command line", "seconds": 3.0, "peak_mb": None, "repeats": 3},
        ],
    }


def test_bench_assess_prints_a_table_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "bench_assess", figures)
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "new" / "figures.json"
    ended = rsfiqa("bench", "assess", "--no-huge", "--precision", "bf16", "--json", file)
    assert ended.exit_code == 0, ended.output
    assert "812 MB" in ended.stdout
    assert "0.50" in ended.stdout
    assert "250" in ended.stdout
    assert "one picture" in ended.stderr
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["precision"] == "bf16"
    assert written["huge"] is False
    assert written["measurements"][1]["peak_mb"] is None


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", ["assess", "locality"])
def test_figures_that_cannot_be_kept_are_found_out_before_measuring(
    command: str, tmp_path: Path
) -> None:
    Image.fromarray(sample_picture("chelsea")).save(tmp_path / "cat.png")
    given = [tmp_path] if command == "locality" else []
    ended = rsfiqa("bench", command, *given, "--json", tmp_path)
    require_one_sentence(ended, 1, "cannot be written")


def test_bench_says_what_it_can_do() -> None:
    ended = rsfiqa("bench", "--help")
    assert ended.exit_code == 0
    assert "assess" in ended.output
    assert "locality" in ended.output
    for command in ("assess", "locality"):
        assert rsfiqa("bench", command, "--help").exit_code == 0


def test_bench_locality_prints_a_table_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_folder: Path
) -> None:
    monkeypatch.setattr(
        common,
        "make_assessor",
        lambda **_: RSFIQA.from_pretrained(tiny_model_folder, reader="none"),
    )
    monkeypatch.setenv("COLUMNS", "120")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("chelsea", "coffee"):
        Image.fromarray(sample_picture(name)[60:188, 90:250]).save(pictures / f"{name}.png")
    file = tmp_path / "locality.json"
    ended = rsfiqa("bench", "locality", pictures, "--limit", "1", "--json", file)
    assert ended.exit_code == 0, ended.output
    assert "falls most" in ended.stdout
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["pictures"] == 1
    assert "all" in written["rows"]


def test_bench_locality_of_no_photographs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_folder: Path
) -> None:
    monkeypatch.setattr(
        common,
        "make_assessor",
        lambda **_: RSFIQA.from_pretrained(tiny_model_folder, reader="none"),
    )
    require_one_sentence(rsfiqa("bench", "locality", tmp_path), 1, "at least two regions")


# The real thing


def test_train_and_evaluate_with_the_real_backbones(
    tmp_path: Path, real_asset: Callable[[str], Path]
) -> None:
    for name in ("dinov2-small", "efficientnet-lite0"):
        real_asset(name)
    folder = write_scored_pictures(tmp_path / "data", 12, splits=SPLITS)
    out = tmp_path / "model"
    cache = ("--cache", tmp_path / "cache")
    trained = rsfiqa(
        "train", folder, "--out", out, "--epochs", "1", "--spoiled", "2", "--graded", "2", *cache
    )
    assert trained.exit_code == 0, trained.output
    ended = rsfiqa("evaluate", folder, "--model", out, "--out", tmp_path / "evaluation")
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / "evaluation" / "summary.json").is_file()
