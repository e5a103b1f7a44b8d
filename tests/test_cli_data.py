"""`rsfiqa data`, and NAME:FOLDER in `train` and `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import rsfiqa
from known_copies import COPIES, put_csv, write_live
from rsfiqa.errors import DataError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.splits import read_splits
from scored_pictures import read_scores, write_scored_pictures, write_scores


def different_pictures(folder: Path, count: int) -> list[str]:
    """Pictures with nothing in common, so that no leak is found among them."""
    folder.mkdir(parents=True)
    names = [f"{i}.jpg" for i in range(count)]
    for seed, name in enumerate(names):
        coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 48), Image.Resampling.NEAREST).save(folder / name)
    return names


def spaq(folder: Path, count: int = 10) -> Path:
    names = different_pictures(folder / "TestImage", count)
    put_csv(
        folder / "MOS and Image attribute scores.csv",
        ("Image name", "MOS"),
        [(name, 10 + i) for i, name in enumerate(names)],
    )
    return folder


def test_list_names_every_set() -> None:
    ended = rsfiqa("data", "list")
    assert ended.exit_code == 0
    for name in COPIES:
        assert name in ended.stdout


@pytest.mark.parametrize("name", COPIES)
def test_show_tells_all_one_needs_to_know(name: str) -> None:
    ended = rsfiqa("data", "show", name)
    assert ended.exit_code == 0
    for word in ("scores", "split", "layout", "labels", "picture", "licence", "cite", "known by"):
        assert word in ended.stdout


def test_an_unknown_name_is_wrong_usage() -> None:
    ended = rsfiqa("data", "show", "koniq")
    assert ended.exit_code == 2
    assert "no data set 'koniq'" in ended.stderr


def test_check_of_a_whole_copy(tmp_path: Path) -> None:
    write_live(tmp_path)
    ended = rsfiqa("data", "check", "live", tmp_path)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines()[-1] == "nothing is missing or odd"
    quiet = rsfiqa("data", "check", "live", tmp_path, "--quick", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_check_names_what_is_missing_or_odd(tmp_path: Path) -> None:
    write_live(tmp_path)
    for i in range(1, 21):
        (tmp_path / f"jpeg/img{i}.bmp").unlink()
    (tmp_path / "wn/img174.bmp").write_bytes(b"no picture")
    ended = rsfiqa("data", "check", "live", tmp_path)
    assert ended.exit_code == 1
    assert "rsfiqa: pictures that are missing: " in ended.stderr
    assert "more; --all names them" in ended.stderr
    whole = rsfiqa("data", "check", "live", tmp_path, "--all")
    assert "--all" not in whole.stderr
    assert whole.stderr.count("  jpeg/img") > 5


def test_check_of_a_folder_that_is_no_copy(tmp_path: Path) -> None:
    ended = rsfiqa("data", "check", "kadid10k", tmp_path)
    assert ended.exit_code == 1
    assert "is no copy of KADID-10k" in ended.stderr


def test_random_splits_of_a_set_without_an_official_one(tmp_path: Path) -> None:
    folder, out = spaq(tmp_path / "spaq"), tmp_path / "splits.csv"
    ended = rsfiqa("data", "splits", "spaq", folder, "--out", out)
    assert ended.exit_code == 0, ended.output
    assert "10 random splits by picture of 10 pictures" in ended.stdout
    splits = read_splits(out)
    assert len(splits) == 10
    assert all(column.count("test") == 2 for column in splits.columns)
    again = tmp_path / "again.csv"
    rsfiqa("data", "splits", "spaq", folder, "--out", again, "--quiet", "--no-check-leaks")
    assert again.read_bytes() == out.read_bytes()
    rsfiqa("data", "splits", "spaq", folder, "--out", again, "--seed", "1")
    assert again.read_bytes() != out.read_bytes()


def test_the_official_split_goes_first(tmp_path: Path) -> None:
    COPIES["biq2021"](tmp_path / "biq")
    out = tmp_path / "splits.csv"
    ended = rsfiqa("data", "splits", "biq2021", tmp_path / "biq", "--out", out, "--no-check-leaks")
    assert ended.exit_code == 0, ended.output
    assert "official split of 3 pictures" in ended.stdout
    assert read_splits(out).columns == (("train", "train", "test"),)
    rsfiqa(
        "data", "splits", "biq2021", tmp_path / "biq", "--out", out, "--no-check-leaks",
        "--random", "--count", "3", "--fraction", "0.5",
    )  # fmt: skip
    assert len(read_splits(out)) == 3


def test_leaks_fail_the_run_and_nothing_is_written(tmp_path: Path) -> None:
    folder = spaq(tmp_path / "spaq", 4)
    first = (folder / "TestImage/0.jpg").read_bytes()
    for i in range(1, 4):
        (folder / f"TestImage/{i}.jpg").write_bytes(first)
    out = tmp_path / "splits.csv"
    ended = rsfiqa("data", "splits", "spaq", folder, "--out", out)
    assert ended.exit_code == 1
    assert "test (split_0) are in the training set too: 3 × same file" in ended.stderr
    assert not out.exists()


# NAME:FOLDER


@pytest.fixture
def macro(tmp_path: Path) -> Path:
    """Scored pictures in the layout of a slice of MMP-2k."""
    return write_scored_pictures(tmp_path / "macro", 6)


def test_evaluate_takes_a_name_and_a_folder(
    macro: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = rsfiqa("evaluate", f"mmp2k:{macro}", "--model", tiny_model_folder, "--out", out)
    assert ended.exit_code == 0, ended.output
    config = json.loads((out / "run_config.json").read_text(encoding="utf-8"))
    assert config["score_range"] == [0, 100], "that of the description, not a guess"
    assert len((out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()) == 6


def test_train_takes_a_name_and_a_folder(
    macro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ScoredImages] = []

    def prepare(data: ScoredImages, *_: Any) -> None:
        given.append(data)
        raise DataError("far enough.")

    monkeypatch.setattr("rsfiqa.learning.recipe.prepare", prepare)
    ended = rsfiqa("train", f"mmp2k:{macro}", "--out", tmp_path / "model", "--reader", "none")
    assert "far enough" in ended.stderr
    assert "6 pictures, scores 0..100" in ended.stderr
    assert "guessed" not in ended.stderr
    assert [row.image for row in given[0]] == [row["image"] for row in read_scores(macro)]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_faults_of_a_copy_are_one_sentence(macro: Path, tmp_path: Path, command: str) -> None:
    write_scores(macro, [{**row, "mos": "101"} for row in read_scores(macro)])
    ended = rsfiqa(command, f"mmp2k:{macro}", "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "scores outside 0..100 (6): " in ended.stderr
    assert f"rsfiqa data check mmp2k {macro}" in ended.stderr
    unknown = rsfiqa(command, f"koniq:{macro}", "--out", tmp_path / "out")
    assert unknown.exit_code == 2
    assert "there are agiqa3k" in unknown.stderr
    settings = rsfiqa(command, f"mmp2k:{macro}", "--out", tmp_path / "out", "--score-column", "q")
    assert settings.exit_code == 2
