"""Collections from Parquet and object storage, and the parts of the work on Ray that need no Ray."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from command_line import records, rsfiqa, save_picture
from ray_world import FakeRecipe
from rsfiqa.bulk import AHEAD_PIXELS, work_through
from rsfiqa.distributed.collection import gather
from rsfiqa.distributed.kept import KeptPictures
from rsfiqa.distributed.ledger import MOST_TRIES, Ledger
from rsfiqa.distributed.locations import open_location, read_picture
from rsfiqa.distributed.pictures import UNKNOWN_PIXELS, StoredSource
from rsfiqa.distributed.plan import Pool, make_plan
from rsfiqa.distributed.publishing import Destination
from rsfiqa.distributed.recipe import Recipe
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.inputs import BadInput
from rsfiqa.results import ResultsFile

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    for k, name in enumerate(("a", "b", "c")):
        save_picture(folder / f"{name}.png", 60 + 50 * k)
    return folder


@pytest.fixture
def bucket(album: Path) -> Iterator[str]:
    """The same pictures, and a file that is none, in storage that lives in memory."""
    import fsspec

    files = fsspec.filesystem("memory")
    for path in album.iterdir():
        files.pipe(f"/bucket/photos/{path.name}", path.read_bytes())
    files.pipe("/bucket/photos/sub/notes.txt", b"no picture")
    files.pipe("/bucket/photos/sub/d.jpg", b"no picture")
    yield "memory://bucket"
    files.rm("/bucket", recursive=True)


def write_table(path: Path, /, **columns: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def stems(inputs: list[str | BadInput]) -> list[str]:
    return [Path(entry if isinstance(entry, str) else entry.path).name for entry in inputs]


# --- what is named ---------------------------------------------------------------------------------


def test_addresses_are_folders_files_and_patterns(bucket: str) -> None:
    assert stems(gather([f"{bucket}/photos"]).inputs) == ["a.png", "b.png", "c.png", "d.jpg"]
    assert stems(gather([f"{bucket}/photos/[bc].png"]).inputs) == ["b.png", "c.png"]
    assert stems(gather([f"{bucket}/photos/sub/notes.txt"]).inputs) == ["notes.txt"]
    (bad,) = gather([f"{bucket}/nothing/"]).bad
    assert "holds no pictures" in bad.error


def test_an_unknown_protocol_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"gopher://x/a\.jpg cannot be reached"):
        gather(["gopher://x/a.jpg"])


def test_each_picture_is_listed_once_in_the_order_it_was_named(album: Path, bucket: str) -> None:
    table = write_table(album / "list.parquet", path=[str(album / "b.png"), f"{bucket}/x.png"])
    found = gather([str(album / "c.png"), str(table), str(album), str(table)])
    assert stems(found.inputs) == ["c.png", "b.png", "x.png", "a.png"]
    assert [source.name for source in found] == found.inputs
    assert [source.is_file for source in found] == [True, True, False, True]


def test_a_folder_of_parquet_is_read_and_a_folder_of_pictures_with_some_in_it_is_not(
    album: Path, tmp_path: Path
) -> None:
    write_table(tmp_path / "tables" / "2.parquet", image=["y.png"])
    write_table(tmp_path / "tables" / "1.parquet", image=["x.png"])
    assert gather([str(tmp_path / "tables")]).inputs == ["x.png", "y.png"]
    write_table(album / "labels.parquet", image=["x.png"])
    assert stems(gather([str(album)]).inputs) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("form", ["bytes", "structs"])
def test_pictures_may_be_in_the_table(album: Path, tmp_path: Path, form: str) -> None:
    names = ["c.png", "a.png"]
    data = [(album / name).read_bytes() for name in names]
    if form == "bytes":
        table = write_table(tmp_path / "t.parquet", image=data, file_name=names)
    else:
        rows = [{"bytes": d, "path": n} for d, n in zip(data, names, strict=True)]
        table = write_table(tmp_path / "t.parquet", image=rows)
    collection = gather([str(table)])
    assert collection.inputs == names
    (part,) = collection.parts
    assert part.table is not None
    assert list(part.table.pictures()) == list(zip(names, data, strict=True))
    assert [(source.name, source.data) for source in collection] == list(part.table.pictures())
    assert not any(source.is_file for source in collection)


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"photo": ["a.png"]}, ConfigError, "--image-column"),
        ({"image": [b"a"]}, ConfigError, "--name-column"),
        ({"image": [1]}, ConfigError, "holds int64; pictures are paths"),
        ({"image": [b"a"], "name": [1]}, ConfigError, "holds no text"),
        ({"image": [b"a", b"b"], "name": ["x", "x"]}, DataError, "several pictures x"),
        ({"image": ["a.png", None]}, DataError, "row 1 of .* has no name"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(
    tmp_path: Path, columns: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        gather([str(write_table(tmp_path / "t.parquet", **columns))])


def test_damaged_and_missing_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        gather([str(tmp_path / "t.parquet")])
    with pytest.raises(DataError, match="does not exist"):
        gather([str(tmp_path / "gone.parquet")])


# --- the local engine ------------------------------------------------------------------------------


@pytest.fixture
def options(tiny_model_folder: Path, cache: Path) -> tuple[str | Path, ...]:
    return ("--model", tiny_model_folder, "--segmenter", "grid:2", "--reader", "none", "--quiet")


def without_names(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "image"} for line in lines]


def test_object_storage_and_parquet_give_the_results_of_files(
    album: Path, bucket: str, tmp_path: Path, options: tuple[str | Path, ...]
) -> None:
    names = ["a.png", "b.png", "c.png"]
    data = [(album / name).read_bytes() for name in names]
    table = write_table(tmp_path / "t.parquet", image=[*data, b"bad"], name=[*names, "bad"])
    plain = rsfiqa("assess", album, *options)
    stored = rsfiqa("assess", f"{bucket}/photos/*.png", *options)
    tabled = rsfiqa("assess", table, *options)
    assert (plain.exit_code, stored.exit_code, tabled.exit_code) == (0, 0, 1), tabled.output
    expected = without_names(records(plain.stdout))
    assert without_names(records(stored.stdout)) == expected
    assert without_names(records(tabled.stdout))[:3] == expected
    assert [line["image"] for line in records(tabled.stdout)] == [*names, "bad"]
    assert "not a picture" in records(tabled.stdout)[3]["error"]


def test_results_go_to_object_storage_and_a_rerun_goes_on_from_there(
    bucket: str, cache: Path, options: tuple[str | Path, ...], tmp_path: Path
) -> None:
    for out in (f"{bucket}/out.jsonl", f"{bucket}/out.parquet"):
        run = ("assess", f"{bucket}/photos", "--out", out, *options[:-1])
        assert "3 assessed, 1 failed" in rsfiqa(*run).stderr
        assert "0 assessed, 3 unchanged and kept, 1 failed" in rsfiqa(*run).stderr
        assert not list((cache / "journals").glob("*.jsonl"))
    with open_location(f"{bucket}/out.jsonl") as file:
        lines = [json.loads(line) for line in file]
    with open_location(f"{bucket}/out.parquet") as file:
        table = pq.read_table(file)
    assert [json.loads(line) for line in table["result"].to_pylist()] == lines
    assert [Path(line["image"]).name for line in lines] == ["a.png", "b.png", "c.png", "d.jpg"]


def test_a_report_of_pictures_in_a_table_is_made(
    album: Path, tmp_path: Path, options: tuple[str | Path, ...]
) -> None:
    data = (album / "a.png").read_bytes()
    table = write_table(tmp_path / "t.parquet", image=[data], name=["the picture"])
    out, report = tmp_path / "r.jsonl", tmp_path / "r.html"
    for _ in range(2):
        ended = rsfiqa("assess", table, "--out", out, "--report", report, *options)
        assert ended.exit_code == 0, ended.output
    assert "the picture" in report.read_text(encoding="utf-8")


def test_of_pictures_whose_size_nobody_knows_few_are_fetched_ahead(
    album: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    for k in range(20):
        data = (album / "a.png").read_bytes()
        fsspec.filesystem("memory").pipe(f"/bucket/many/{k:02}.png", data)
    fetched: list[str] = []

    def fetch(address: str) -> bytes:
        fetched.append(address)
        return read_picture(address)

    monkeypatch.setattr("rsfiqa.distributed.pictures.read_picture", fetch)
    collection = gather([f"{bucket}/many"])
    found = work_through(lambda picture: picture.name, collection, workers=1)
    assert [outcome.result for outcome in next(found)] == collection.inputs[:1]
    time.sleep(0.2)
    assert len(fetched) <= AHEAD_PIXELS // UNKNOWN_PIXELS < len(collection)
    assert [outcome.result for some in found for outcome in some] == collection.inputs[1:]
    assert sorted(fetched) == collection.inputs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "dask"), "--engine is local or ray"),
        (("--engine", "ray", "--report", "r.html"), "rsfiqa report"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    album: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = rsfiqa("assess", album, *arguments)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_without_ray_its_extra_is_named(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    ended = rsfiqa("assess", album, "--engine", "ray")
    assert ended.exit_code == 1
    assert 'pip install "rsfiqa[ray]"' in ended.stderr


# --- where results go ------------------------------------------------------------------------------


def line_of(name: str, score: float = 50.0) -> dict[str, Any]:
    model = {"segmenter": "s", "reader": "none", "scorer": "m", "version": "0"}
    return {"image": name, "score": score, "regions": [], "model": model, "sha256": "00"}


def fill(destination: Destination, names: list[str]) -> None:
    destination.require_writable()
    destination.take_up()
    with ResultsFile(destination.journal, line_of("")["model"]) as file:
        file.write([line_of(name) for name in names if name not in file])
        file.finish(names)
        destination.publish()


def test_a_parquet_folder_is_made_of_parts_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.distributed.publishing.ROWS_IN_PART", 2)
    destination = Destination.of(f"{tmp_path}/out.parquet/")
    for names in (["a", "b", "c"], ["c", "a", "b", "d", "\udcff"]):
        fill(destination, names)
        found = [pq.read_table(p) for p in sorted((tmp_path / "out.parquet").iterdir())]
        assert [len(part) for part in found] == [2] * (len(names) // 2) + [1]
        lines = [json.loads(line) for part in found for line in part["result"].to_pylist()]
        assert lines == [line_of(name) for name in names]
        assert not destination.journal.exists()
    assert found[-1]["image"].to_pylist() == ["\\udcff"]


def test_a_killed_run_leaves_a_journal_that_the_next_one_takes_up(tmp_path: Path) -> None:
    destination = Destination.of(f"{tmp_path}/out.parquet")
    fill(destination, ["a"])
    assert destination.take_up()
    with ResultsFile(destination.journal, line_of("")["model"]) as file:
        file.write([line_of("b", 7.0)])  # and no further
    fill(destination, ["a", "b", "c"])
    assert pq.read_table(tmp_path / "out.parquet")["score"].to_pylist() == [50.0, 7.0, 50.0]


def test_somebody_elses_parquet_is_not_overwritten(tmp_path: Path) -> None:
    path = write_table(tmp_path / "out.parquet", x=[1])
    before = path.read_bytes()
    with pytest.raises(DataError, match="holds no results of rsfiqa"):
        Destination.of(str(path)).take_up()
    assert path.read_bytes() == before


# --- what workers do -------------------------------------------------------------------------------


def test_dividing_and_scoring_apart_gives_the_same_bytes(
    tmp_path: Path, tiny_model_folder: Path, cat: Any
) -> None:
    from rsfiqa.distributed.rows import read_finished, sources_table
    from rsfiqa.distributed.stages import AssessWorker, DivideWorker, Job, ScoreWorker

    Image.fromarray(cat[60:220, 100:300]).save(tmp_path / "cat.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    table = sources_table([StoredSource(str(tmp_path / name)) for name in ("cat.png", "bad.png")])
    job = Job(Recipe(str(tiny_model_folder), segmenter="embedded", device="cpu"))
    whole = [row for done in AssessWorker(job)(table) for row in read_finished(done)]
    score = ScoreWorker(job)
    apart = [
        row
        for divided in DivideWorker(job)(table)
        for done in score(divided)
        for row in read_finished(done)
    ]
    assert whole == apart
    assert len(json.loads(whole[0].line or b"")["regions"]) > 1
    assert "not a picture" in (whole[1].error or "")


def test_a_picture_that_is_given_up_stays_so(album: Path, tmp_path: Path) -> None:
    from rsfiqa.distributed.rows import read_finished, sources_table
    from rsfiqa.distributed.stages import AssessWorker, Job

    ledger = Ledger()
    name = str(album / "a.png")
    for _ in range(MOST_TRIES):
        assert ledger.begin(f"AssessWorker {name}")
    (tmp_path / "marks").mkdir()
    worker = AssessWorker(Job(FakeRecipe(str(tmp_path / "marks")), ledger=ledger))
    for _ in range(2):
        (done,) = worker(sources_table([StoredSource(name)]))
        (row,) = read_finished(done)
        assert "was given up" in (row.error or "")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=5), st.text("0123", max_size=3)), max_size=20))
def test_kept_pictures_are_those_that_were_given(pictures: list[tuple[str, str]]) -> None:
    kept = KeptPictures(pictures)
    assert all(picture in kept for picture in pictures)
    assert ("not", "there") not in kept


@settings(max_examples=80)
@given(
    cpus=st.integers(1, 64),
    gpus=st.integers(0, 8),
    segmenter=st.sampled_from(["embedded", "sam:x"]),
    reader=st.sampled_from(["none", "server:x", "hf:x"]),
    device=st.sampled_from(["auto", "cpu"]),
    spare=st.sampled_from([0.0, 1.0]),
)
def test_a_plan_never_takes_more_than_there_is(
    cpus: int, gpus: int, segmenter: str, reader: str, device: str, spare: float
) -> None:
    plan = make_plan(
        cpus, gpus, segmenter=segmenter, reader=reader, device=device, spare_cpus=spare
    )
    pools = [plan.assess, *([] if plan.divide is None else [plan.divide])]
    assert all(pool.workers >= 1 for pool in pools)
    assert sum(pool.workers * pool.cpus for pool in pools) <= cpus - min(spare, cpus / 2)
    assert sum(pool.workers * pool.gpus for pool in pools) <= gpus
    assert (plan.assess.gpus > 0) == (gpus > 0 and device == "auto")


def test_plans_follow_the_options() -> None:
    assert make_plan(4, 0, reader="server:x").assess == Pool(8, 0.5)
    assert make_plan(16, 1, gpus_per_worker=0.25).assess == Pool(4, 1.0, 0.25)
    assert make_plan(16, 2, segmenter="sam:x").divide is None
    assert make_plan(8, 0, workers=3, cpus_per_worker=2).assess == Pool(3, 2.0)
    for wrong, said in (
        ({"device": "mps"}, "auto, cpu or cuda"),
        ({"device": "cuda"}, "has 0"),
        ({"cpus_per_worker": 16}, "--cpus-per-worker"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_plan(8, 0, **wrong)  # type: ignore[arg-type]


def test_names_that_are_no_unicode_and_label_maps_survive_the_way() -> None:
    from rsfiqa.distributed import rows
    from rsfiqa.images import LoadedImage
    from rsfiqa.partition import Partition

    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    picture = LoadedImage(pixels, "a\udcff.png", "00", ("first of 2 frames",))
    partition = Partition(np.arange(35).reshape(5, 7))
    (back,) = rows.read_divided(rows.divided_table(rows.Divided(picture, partition, "grid")))
    assert isinstance(back, rows.Divided)
    assert (back.picture.pixels == pixels).all()
    assert back.partition == partition
    assert (back.picture.name, back.picture.sha256, back.picture.notes) == (
        picture.name, "00", picture.notes,
    )  # fmt: skip


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere"])
def test_a_cluster_that_is_not_there_is_told_at_once(album: Path, address: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    ended = rsfiqa("assess", album, "--engine", "ray", "--ray-address", address)
    assert ended.exit_code == 2
    assert f"no Ray cluster can be reached at {address}" in ended.stderr
