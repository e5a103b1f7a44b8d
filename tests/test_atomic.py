"""Files that are written whole or not at all, and the sweeping of what killed writers left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from fake_reader import FakeReader
from rsfiqa import atomic
from rsfiqa.atomic import (
    replacing,
    replacing_all,
    sweep_once,
    sweep_partials,
    sweep_stale,
    write_whole,
)
from rsfiqa.cli.outputs import save_picture
from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import RsfiqaError
from rsfiqa.learning.instructions import read_instructions
from rsfiqa.learning.splits import Splits, write_splits
from rsfiqa.learning.teaching_evidence import EvidenceStore
from rsfiqa.partition import Partition
from rsfiqa.reading.cache import CachedReader
from rsfiqa.regions.formats import save_partition
from rsfiqa.report.html import save_report
from tiny_set import tiny_set

DAY = 24 * 60 * 60


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def leftover(folder: Path, name: str, age: float) -> Path:
    """An unfinished file that nobody has touched for `age` seconds."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


# Writing


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_there_when_it_is_whole(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "new" / "file.bin"
    with replacing(target, durable=durable) as partial:
        assert partial.parent == target.parent
        assert partial.suffix == target.suffix
        partial.write_bytes(b"half")
        assert not target.exists()
        partial.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    write_whole(target, b"other", durable=durable)
    assert target.read_bytes() == b"other"
    assert names(tmp_path) == ["new", "new/file.bin"]


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def write_half(error: BaseException) -> None:
        with replacing(target) as partial:
            partial.write_bytes(b"half of the n")
            raise error

    for error in (RuntimeError("stop"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_half(error)
        assert names(tmp_path) == ["file.bin"]
        assert target.read_bytes() == b"old"


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    for durable in (True, False):
        with pytest.raises(FileNotFoundError), replacing(tmp_path / "file", durable=durable):
            pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda path: save_picture(Image.new("RGB", (4, 4)), path),
        lambda path: save_partition(Partition([[0, 1]]), path.with_suffix(""), "npy"),
        lambda path: write_splits(Splits(("a.jpg",), (("train",),)), path),
        lambda path: save_report([], path),
    ],
    ids=["picture", "regions", "splits", "report"],
)
def test_whoever_writes_leaves_nothing_behind(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    (tmp_path / "taken.npy").mkdir()
    with pytest.raises(RsfiqaError, match="cannot be written"):
        write(tmp_path / "taken.npy")
    assert names(tmp_path) == ["taken.npy"]
    write(tmp_path / "free.npy")
    assert names(tmp_path) == ["free.npy", "taken.npy"]


def test_files_that_belong_together_come_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [tmp_path / "a", tmp_path / "sub" / "b"]

    def write(content: bytes) -> None:
        with replacing_all(targets) as partials:
            for partial in partials:
                partial.write_bytes(content)

    write(b"old")
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(b"new")
    assert [target.read_bytes() for target in targets] == [b"old", b"old"]
    write(b"new")
    assert [target.read_bytes() for target in targets] == [b"new", b"new"]
    assert names(tmp_path) == ["a", "sub", "sub/b"]


def test_of_many_writers_one_wins_and_readers_see_whole_files(tmp_path: Path) -> None:
    target = tmp_path / "file"
    contents = [bytes([n]) * 20_000 for n in range(4)]
    write_whole(target, contents[0])

    def write(content: bytes) -> None:
        for _ in range(20):
            write_whole(target, content, durable=False)

    threads = [Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert target.read_bytes() in contents
    assert target.read_bytes() in contents
    assert names(tmp_path) == ["file"]


# Sweeping


def test_only_stale_leftovers_are_swept(tmp_path: Path) -> None:
    stale = [".partial-0123abcd-a.json", "ab/.partial-fedc4567-b.safetensors"]
    kept = [
        ("ab/.partial-00000000-fresh.json", DAY - 60),
        ("ab/.partial-notours-x.json", 9 * DAY),
        (".partial-0123abcd", 9 * DAY),
        ("partial-0123abcd-a.json", 9 * DAY),
        ("ab/whole.json", 9 * DAY),
    ]
    for name in stale:
        leftover(tmp_path, name, DAY + 60)
    for name, age in kept:
        leftover(tmp_path, name, age)
    assert sweep_stale(tmp_path) == 2
    assert names(tmp_path) == sorted(["ab", *(name for name, _ in kept)])
    assert sweep_stale(tmp_path) == 0
    assert sweep_stale(tmp_path, older_than=60) == 1
    assert sweep_stale(tmp_path / "nowhere") == 0


def test_what_cannot_be_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leftover(tmp_path, ".partial-0123abcd-a", 2 * DAY)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert sweep_stale(tmp_path) == 0


def test_a_folder_is_swept_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    monkeypatch.setattr(atomic, "sweep_stale", swept.append)
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        sweep_once(folder)
    monkeypatch.chdir(tmp_path)
    sweep_once(Path("b"))
    assert swept == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("name", ["run[1].jsonl", "a*.pt", "what?.pt"])
def test_names_are_no_patterns(tmp_path: Path, name: str) -> None:
    mine = leftover(tmp_path, f".partial-0123abcd-{name}", 60)
    other = leftover(tmp_path, ".partial-0123abcd-ab.pt", 60)
    sweep_partials(tmp_path / name)
    assert not mine.exists()
    assert other.exists()


def _documents(folder: Path) -> None:
    ContentFolder(folder, "test 1").save(content_key("a"), [1])


def _readings(folder: Path) -> None:
    reader = CachedReader(FakeReader(), folder)
    reader.read(np.zeros((4, 6, 3), np.uint8), Partition([[0] * 6] * 4))


@pytest.mark.parametrize("write", [_documents, _readings])
def test_a_cache_is_swept_when_it_is_written_to(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    stale = leftover(tmp_path, "ab/.partial-0123abcd-abcd.json", 2 * DAY)
    fresh = leftover(tmp_path, "ab/.partial-0123abce-abcd.json", 60)
    ContentFolder(tmp_path, "test 1").load(content_key("a"))
    assert stale.exists(), "who only reads removes nothing"
    write(tmp_path)
    assert not stale.exists()
    assert fresh.exists()


def test_the_evidence_of_a_set_is_swept(
    tmp_path: Path, tiny_encoder_specs: list[dict[str, object]]
) -> None:
    folder = tiny_set(tmp_path / "set", pictures=1)
    stale = leftover(folder / "evidence", ".partial-0123abcd-abcd.safetensors", 2 * DAY)
    store = EvidenceStore(folder / "evidence", build_encoder(tiny_encoder_specs).eval())
    assert len(store.gather(read_instructions(folder))) == 2
    assert not stale.exists()
