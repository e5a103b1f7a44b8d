"""Collections on a local Ray: as this process would assess them, whatever happens to workers."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from command_line import records, rsfiqa, save_picture
from ray_world import FakeRecipe
from rsfiqa.bulk import Outcome
from rsfiqa.cli import assess as assess_command
from rsfiqa.cli import assess_ray
from rsfiqa.distributed.collection import gather
from rsfiqa.distributed.plan import Plan, Pool
from rsfiqa.errors import AssetError

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signal"),
]

ONE = Plan(Pool(1, 1.0))


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    """A Ray with two cores, whose workers can import what lies beside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        # A token of its own, so that Ray leaves none in the home of whoever runs the tests.
        patch.setenv("RAY_AUTH_MODE", "")
        patch.delenv("RAY_AUTH_MODE")  # which Ray sets, and which is undone afterwards
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    for k, name in enumerate(("a", "b", "deadly", "once", "z")):
        save_picture(folder / f"{name}.png", 20 + 40 * k)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def outcomes(
    folder: Path, recipe: FakeRecipe, plan: Plan = ONE, *, in_order: bool = False
) -> list[Outcome[bytes]]:
    from rsfiqa.distributed.engine import assess_on_ray

    ready = assess_on_ray(gather([str(folder)]), recipe, plan, in_order=in_order)
    return [outcome for some in ready for outcome in some]


def test_a_killed_worker_costs_no_picture_and_a_deadly_picture_only_itself(
    album: Path, marks: Path
) -> None:
    recipe = FakeRecipe(str(marks), once="once", always="deadly", refused="b.png")
    found = outcomes(album, recipe, in_order=True)
    assert [Path(outcome.name).stem for outcome in found] == [
        "a", "b", "broken", "deadly", "once", "z",
    ]  # fmt: skip
    errors = [outcome.error or "" for outcome in found]
    assert [bool(error) for error in errors] == [False, True, True, True, False, False]
    assert "is refused" in errors[1]
    assert "not a picture" in errors[2]
    assert "ended abruptly 3 times" in errors[3]
    # Nothing was done twice but what died: a picture is a task.
    worked = [name.removesuffix(".png") for name in recipe.worked_on()]
    assert worked == ["a", "b", "deadly", "deadly", "deadly", "once", "once", "z"]
    scores = [json.loads(outcome.result)["score"] for outcome in found if outcome.result]
    assert scores == sorted(scores)


def test_pictures_are_divided_by_some_workers_and_scored_by_others(
    album: Path, marks: Path
) -> None:
    recipe = FakeRecipe(str(marks), once="once")
    found = outcomes(album, recipe, Plan(Pool(1, 1.0), Pool(1, 1.0)), in_order=True)
    assert [bool(outcome.result) for outcome in found] == [True, True, False, True, True, True]
    assert recipe.worked_on().count("once.png") == 2


def test_a_worker_killed_from_outside_loses_and_doubles_nothing(
    tmp_path: Path, marks: Path
) -> None:
    folder = tmp_path / "many"
    for k in range(12):
        save_picture(folder / f"{k:02}.png", 10 * k)
    recipe = FakeRecipe(str(marks), slow=0.3)

    def kill_the_worker() -> None:
        while len(recipe.worked_on()) < 3:
            time.sleep(0.05)
        os.kill(recipe.workers().pop(), signal.SIGKILL)

    killer = threading.Thread(target=kill_the_worker)
    killer.start()
    found = outcomes(folder, recipe)
    killer.join()
    assert sorted(Path(outcome.name).stem for outcome in found) == [f"{k:02}" for k in range(12)]
    assert all(outcome.result for outcome in found)
    assert len(recipe.workers()) == 2
    # The one that it was at, and one that was done and not yet handed over.
    assert 12 <= len(recipe.worked_on()) <= 14


def test_a_model_that_cannot_be_loaded_ends_the_run_with_its_sentence(
    album: Path, marks: Path
) -> None:
    with pytest.raises(AssetError, match="the weights cannot be had"):
        outcomes(album, FakeRecipe(str(marks), broken=True))


def on_ray(monkeypatch: pytest.MonkeyPatch, recipe: FakeRecipe, *arguments: str | Path) -> Result:
    """The command with one worker, whose model is a fake."""
    monkeypatch.setattr(assess_command, "make_recipe", lambda *_, **__: recipe)
    return rsfiqa("assess", *arguments, "--engine", "ray", "--workers", "1")


def test_results_equal_the_local_engines_byte_for_byte(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    from PIL import Image

    from rsfiqa.samples import sample_picture

    folder = tmp_path / "album"
    folder.mkdir()
    for k, name in enumerate(("chelsea", "astronaut", "coffee")):
        Image.fromarray(sample_picture(name)[100 : 228 + 16 * k, 60:220]).save(folder / f"{k}.png")
    (folder / "1b.png").write_bytes(b"no picture")
    options = ("--model", tiny_model_folder, "--segmenter", "grid:2", "--reader", "none")
    local, there = tmp_path / "local.jsonl", tmp_path / "ray.jsonl"
    assert rsfiqa("assess", folder, "--out", local, *options).exit_code == 1
    ended = rsfiqa("assess", folder, "--out", there, *options, "--engine", "ray", "--workers", "1")
    assert ended.exit_code == 1, ended.output
    assert "3 assessed, 1 failed" in ended.stderr
    assert there.read_bytes() == local.read_bytes()
    assert len(records(there)) == 4


def test_what_is_kept_and_unchanged_is_not_done_again(
    album: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, recipe = tmp_path / "results.jsonl", FakeRecipe(str(marks))
    ended = on_ray(monkeypatch, recipe, album, "--out", out)
    assert "5 assessed, 1 failed" in ended.stderr, ended.output
    before = out.read_bytes()
    save_picture(album / "b.png", 5)
    ended = on_ray(monkeypatch, recipe, album, "--out", out)
    assert "1 assessed, 4 unchanged and kept, 1 failed" in ended.stderr, ended.output
    assert [Path(r["image"]).stem for r in records(out)] == [
        "a", "b", "broken", "deadly", "once", "z",
    ]  # fmt: skip
    assert out.read_bytes() != before


def test_an_interrupted_run_goes_on(
    album: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (album / "broken.png").unlink()
    out, recipe, taken = tmp_path / "results.jsonl", FakeRecipe(str(marks)), []
    take = assess_ray._RayRun.take

    def interrupted(run: Any, some: Any, tally: Any) -> None:
        take(run, some, tally)
        taken.extend(some)
        if len(taken) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(assess_ray._RayRun, "take", interrupted)
        assert on_ray(patch, recipe, album, "--out", out).exit_code == 130
    assert len(records(out)) == 2
    ended = on_ray(monkeypatch, recipe, album, "--out", out)
    assert ended.exit_code == 0, ended.output
    assert "3 assessed, 2 unchanged and kept" in ended.stderr
    assert [Path(r["image"]).stem for r in records(out)] == ["a", "b", "deadly", "once", "z"]


def test_parquet_goes_in_and_out(
    album: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["z.png", "a.png", "broken.png", "b.png"]
    table = {"image": [(album / name).read_bytes() for name in names], "name": names}
    pq.write_table(pa.table(table), tmp_path / "album.parquet")
    out, recipe = tmp_path / "out.parquet", FakeRecipe(str(marks))
    run = (f"file://{tmp_path}/album.parquet", album / "once.png", "--out", out)
    ended = on_ray(monkeypatch, recipe, *run)
    assert "4 assessed, 1 failed" in ended.stderr, ended.output
    found = pq.read_table(out)
    assert found["image"].to_pylist() == [*names, str(album / "once.png")]
    lines = [json.loads(line) for line in found["result"].to_pylist()]
    assert found["score"].to_pylist() == [line.get("score") for line in lines]
    assert ["error" in line for line in lines] == [False, False, True, False, False]
    ended = on_ray(monkeypatch, recipe, *run)
    assert "0 assessed, 4 unchanged and kept, 1 failed" in ended.stderr, ended.output
    assert pq.read_table(out).equals(found)


def test_standard_output_has_results_in_order_and_nothing_else(
    album: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = FakeRecipe(str(marks), once="once", slow=0.2)
    ended = on_ray(monkeypatch, recipe, album, album / "gone.png", "--quiet")
    assert ended.exit_code == 1
    assert [Path(r["image"]).stem for r in records(ended.stdout)] == [
        "a", "b", "broken", "deadly", "once", "z", "gone",
    ]  # fmt: skip
