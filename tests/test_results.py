"""The results file: whole lines, resumed runs, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsfiqa.errors import DataError
from rsfiqa.results import ResultsFile, encode_line, error_record, read_results
from rsfiqa.types import ModelInfo

MODEL = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="1")
OTHER = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="2")


def result(
    name: str, sha256: str = "aa", score: float = 50.0, model: ModelInfo = MODEL
) -> dict[str, Any]:
    return {
        "image": name,
        "score": score,
        "regions": [{"id": 0, "mask": {"size": [1, 1], "counts": "01"}}],
        "model": {
            "segmenter": model.segmenter,
            "reader": model.reader,
            "scorer": model.scorer,
            "version": model.version,
        },
        "sha256": sha256,
    }


def names_in(path: Path) -> list[str]:
    return [json.loads(line)["image"] for line in path.read_text().splitlines()]


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result("b.jpg"), error_record("x.jpg", "is no picture.")])
        file.write([result("a.jpg", score=70.0)])
        file.finish(["b.jpg", "x.jpg", "a.jpg"])
    records = list(read_results(path))
    assert [r["image"] for r in records] == ["b.jpg", "x.jpg", "a.jpg"]
    assert records[1] == {"image": "x.jpg", "error": "is no picture."}
    assert records[2]["score"] == 70.0


def test_a_picture_takes_less_than_a_kilobyte_of_memory(tmp_path: Path) -> None:
    names = [f"folder/of/pictures/{k:06}.jpg" for k in range(500)]
    with ResultsFile(tmp_path / "r.jsonl", MODEL) as file:
        file.write([result("first.jpg")])
        tracemalloc.start()
        for name in names:
            file.write([result(name, sha256=f"{len(name):064}")])
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken / len(names) < 600
        file.finish(["first.jpg", *names])
    assert len(list(read_results(tmp_path / "r.jsonl"))) == 501


def test_only_same_bytes_same_name_same_model_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    without_masks = {**result("n.jpg"), "regions": [{"id": 0}]}
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg", "aa"), error_record("x.jpg", "broken"), without_masks])
    with ResultsFile(path, MODEL) as file:
        assert file.is_unchanged("a.jpg", "aa", masks=True)
        assert not file.is_unchanged("a.jpg", "bb")
        assert not file.is_unchanged("b.jpg", "aa")
        assert not file.has_result("x.jpg")
        assert file.has_result("n.jpg")
        assert not file.has_result("n.jpg", masks=True)
        assert json.loads(file.text_of("a.jpg")) == result("a.jpg", "aa")
    with ResultsFile(path, OTHER) as file:
        assert not file.is_unchanged("a.jpg", "aa")


def test_finish_leaves_one_line_a_picture_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result("other.jpg"), result("a.jpg", "old"), error_record("b.jpg", "broken")])
        file.finish(["other.jpg", "a.jpg", "b.jpg"])
    with ResultsFile(path, MODEL) as file:
        file.write([result("b.jpg"), result("a.jpg", "new", 10.0)])
        file.finish(["a.jpg", "b.jpg"])
        file.write([result("c.jpg")])  # the file goes on working after it was put in order
    assert names_in(path) == ["other.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert [r["sha256"] for r in read_results(path)] == ["aa", "new", "aa", "aa"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".r.jsonl.lock", "r.jsonl"]


def test_a_file_in_order_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg"), result("b.jpg")])
    inode = path.stat().st_ino
    with ResultsFile(path, MODEL) as file:
        file.finish(["a.jpg", "b.jpg"])
    assert path.stat().st_ino == inode


def test_the_last_line_of_a_picture_counts_before_the_file_is_tidied(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg", "old", 1.0), result("b.jpg")])
        file.write([result("a.jpg", "new", 2.0)])
    assert len(names_in(path)) == 3
    assert [(r["image"], r["score"]) for r in read_results(path)] == [
        ("b.jpg", 50.0),
        ("a.jpg", 2.0),
    ]


@pytest.mark.parametrize(("sha256", "replaced"), [(None, False), ("aa", False), ("changed", True)])
def test_an_error_replaces_a_result_only_where_the_picture_changed(
    tmp_path: Path, sha256: str | None, replaced: bool
) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg", "aa")])
        file.write([{**error_record("a.jpg", "cannot be read."), "sha256": sha256}])
        file.finish(["a.jpg"])
    (record,) = read_results(path)
    assert ("error" in record) == replaced
    assert not replaced or record == {"image": "a.jpg", "error": "cannot be read."}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0), zeros=st.integers(min_value=0, max_value=3))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, cut: int, zeros: int) -> None:
    lines = [encode_line(result(f"{k}é.jpg")) for k in range(3)]
    whole = b"".join(lines)
    cut %= len(whole) + 1
    path = tmp_path / "r.jsonl"
    ends_whole = any(cut == len(b"".join(lines[:k])) - 1 for k in (1, 2, 3))
    path.write_bytes(whole[:cut] + (b"" if ends_whole else b"\0" * zeros))
    expected = [k for k in range(3) if len(b"".join(lines[: k + 1])) - 1 <= cut]
    assert [r["image"] for r in read_results(path)] == [f"{k}é.jpg" for k in expected]
    with ResultsFile(path, MODEL) as file:
        assert len(file) == len(expected)
        file.write([result(f"{k}é.jpg") for k in range(3) if k not in expected])
        file.finish([f"{k}é.jpg" for k in range(3)])
    assert path.read_bytes() == whole


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcdef"), unique=True),  # the pictures of a run, in order
            st.integers(0, 6),  # how many it finishes before it is stopped
            st.sampled_from("xyz"),  # what the pictures' bytes are by then
        ),
        max_size=5,
    )
)
def test_any_history_of_runs_ends_in_one_true_line_a_picture(
    tmp_path: Path, runs: list[tuple[list[str], int, str]]
) -> None:
    path = tmp_path / "r.jsonl"
    path.unlink(missing_ok=True)
    truth: dict[str, str] = {}
    for names, stop, content in runs:
        with ResultsFile(path, MODEL) as file:
            for name in names[:stop]:
                assert file.is_unchanged(name, content) == (truth.get(name) == content)
                if not file.is_unchanged(name, content):
                    file.write([result(name, content)])
                    truth[name] = content
            if stop >= len(names):
                file.finish(names)
                in_file = names_in(path)
                assert len(in_file) == len(set(in_file))
                assert [n for n in in_file if n in set(names)] == names
        assert {r["image"]: r["sha256"] for r in read_results(path)} == truth


@pytest.mark.parametrize(
    "content",
    [b"my notes\n", b"my notes", b'{"image": 3}\n', b"[1, 2]\n", b"\xff\xd8\xff\xe0", b"{}"],
)
def test_somebody_elses_file_is_refused_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no result of rsfiqa"):
        ResultsFile(path, MODEL)
    assert path.read_bytes() == content


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    code = (
        "import sys; from rsfiqa.results import ResultsFile; from rsfiqa.types import ModelInfo\n"
        "from rsfiqa.errors import DataError\n"
        "try: ResultsFile(sys.argv[1], ModelInfo('', '', '', ''))\n"
        "except DataError as error: sys.exit(str(error))"
    )
    command = [sys.executable, "-c", code, str(path)]
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg")])
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "another rsfiqa process is writing" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0
    assert names_in(path) == ["a.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_writer_leaves_whole_lines_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_results import MODEL, result; from rsfiqa.results import ResultsFile\n"
        "file = ResultsFile(sys.argv[1], MODEL); k = 0\n"
        "while True: file.write([{**result(f'{k}.jpg'), 'summary': 'x' * 50_000}]); k += 1"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path), str(Path(__file__).parent)])
    try:
        deadline = time.monotonic() + 120
        while (not path.exists() or path.stat().st_size < 200_000) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with ResultsFile(path, MODEL) as file:
        assert len(file) >= 4
        file.write([result("last.jpg")])
    names = names_in(path)
    assert names == [*(f"{k}.jpg" for k in range(len(names) - 1)), "last.jpg"]


def test_a_full_disk_costs_no_earlier_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    write = os.write

    def half_then_full(fd: int, data: Any) -> int:
        if len(data) > 100:
            return write(fd, bytes(data[: len(data) // 2]))
        raise OSError(28, "No space left on device")

    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg")])
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half_then_full)
            with pytest.raises(DataError, match="No space left"):
                file.write([result("b.jpg")])
        assert path.read_bytes() == before
        file.write([result("c.jpg")])
    assert names_in(path) == ["a.jpg", "c.jpg"]


def test_a_failed_tidying_leaves_all_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"

    def refuse(*_: Any) -> None:
        raise OSError(13, "Permission denied")

    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg", "old"), result("b.jpg"), result("a.jpg", "new")])
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", refuse)
            with pytest.raises(DataError, match="last one counts"):
                file.finish(["a.jpg", "b.jpg"])
        file.write([result("c.jpg")])  # the file goes on working
    found = {r["image"]: r["sha256"] for r in read_results(path)}
    assert found == {"a.jpg": "new", "b.jpg": "aa", "c.jpg": "aa"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".r.jsonl.lock", "r.jsonl"]


@pytest.mark.parametrize("name", ["r.jsonl", "r[1].jsonl"])
def test_what_a_killed_tidying_left_is_removed_by_the_next_writer(
    tmp_path: Path, name: str
) -> None:
    left, others = (tmp_path / f".partial-0123abcd-{n}" for n in (name, "other.jsonl"))
    for path in (left, others):
        path.write_bytes(b"half")
    with ResultsFile(tmp_path / name, MODEL):
        assert not left.exists()
        assert others.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind there")
def test_a_tidied_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.touch()
    path.chmod(0o640)
    with ResultsFile(path, MODEL) as file:
        file.write([result("a.jpg", "old"), result("a.jpg", "new")])
        file.finish(["a.jpg"])
    assert names_in(path) == ["a.jpg"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_names_that_are_no_unicode_survive(tmp_path: Path) -> None:
    name = "caf\udce9.jpg"  # how Python gives a Latin-1 file name on a UTF-8 system
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, MODEL) as file:
        file.write([result(name)])
    with ResultsFile(path, MODEL) as file:
        assert file.is_unchanged(name, "aa")
    path.read_bytes().decode("utf-8")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    real.touch()
    link.symlink_to(real)
    with ResultsFile(link, MODEL) as file:
        file.write([result("a.jpg", "old"), result("a.jpg", "new")])
        file.finish(["a.jpg"])
    assert link.is_symlink()
    assert names_in(real) == ["a.jpg"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_never_written(number: float) -> None:
    with pytest.raises(DataError, match=r"a\.jpg"):
        encode_line({"image": "a.jpg", "score": number})
