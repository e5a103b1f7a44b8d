"""Readings and partitions on disk: the key, the round trip, failures, damage, several processes."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fake_assessments import assessment
from fake_reader import FakeReader, SelectiveReader, read_often, serve
from rsfiqa import RSFIQA
from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.reading import wording
from rsfiqa.reading.base import NoReader
from rsfiqa.reading.build import READERS, build_reader, with_cache
from rsfiqa.reading.cache import CachedReader, is_complete, reading_key
from rsfiqa.regions.cache import PartitionCache
from rsfiqa.types import DIMENSIONS, Assessment, Rating, Reading

Pixels = npt.NDArray[np.uint8]


def picture(seed: int = 0, height: int = 12, width: int = 16) -> tuple[Pixels, Partition]:
    """Noise, and three regions."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    labels[height // 2 :, : width // 3] = 2
    return pixels, Partition(labels)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


@st.composite
def ratings(draw: st.DrawFn) -> Rating:
    weights = draw(st.lists(st.floats(0, 1e6), min_size=5, max_size=5).filter(lambda w: sum(w) > 0))
    total = sum(weights)
    return Rating(tuple(weight / total for weight in weights))  # type: ignore[arg-type]


texts = st.text(st.characters(exclude_categories=()), max_size=30)
readings = st.one_of(
    st.builds(
        Reading,
        status=st.just("ok"),
        description=st.none() | texts,
        ratings=st.fixed_dictionaries({d: ratings() for d in DIMENSIONS}),
    ),
    st.builds(Reading, status=st.just("failed"), reason=texts.filter(bool)),
    st.just(Reading()),
)


# The key


@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))),
    data=st.data(),
)
def test_any_change_of_content_is_another_key(pixels: Pixels, data: st.DataObject) -> None:
    height, width = pixels.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    key = reading_key(pixels, Partition(labels), "reader/1")
    assert key == reading_key(pixels.copy(), Partition(labels.astype(np.int64)), "reader/1")

    keys = {key, reading_key(pixels, Partition(labels), "reader/2")}
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    changed = pixels.copy()
    changed[y, x, data.draw(st.integers(0, 2))] ^= data.draw(st.integers(1, 255))
    keys.add(reading_key(changed, Partition(labels), "reader/1"))
    expected = 3
    if height * width > 1:
        other = labels.copy()
        other[y, x] = 1
        keys.add(reading_key(pixels, Partition.from_labels(other), "reader/1"))
        expected += 1
    if height != width:
        turned = pixels.reshape(width, height, 3)
        keys.add(reading_key(turned, Partition(labels.reshape(width, height)), "reader/1"))
        expected += 1
    assert len(keys) == expected


def test_other_fixed_texts_are_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reading_key(*picture(), "reader/1")
    monkeypatch.setattr(wording, "VERSION", "another")
    assert reading_key(*picture(), "reader/1") != before


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_lists_of_texts_are_not_confused(one: list[str], other: list[str]) -> None:
    assert (content_key(*one) == content_key(*other)) == (one == other)


# The round trip


@settings(max_examples=60)
@given(st.lists(readings, min_size=1, max_size=4))
def test_what_comes_back_is_what_was_read(said: list[Reading]) -> None:
    pixels = np.zeros((2, 4, 3), np.uint8)
    partition = Partition.from_labels(np.arange(8).reshape(2, 4) % len(said))

    class Says(FakeReader):
        def read(self, *_: Any) -> list[Reading]:
            self.shapes.append(())
            return said

    with tempfile.TemporaryDirectory() as folder:
        reader = Says()
        first = CachedReader(reader, Path(folder)).read(pixels, partition)
        again = CachedReader(reader, Path(folder))
        assert list(first) == list(again.read(pixels, partition)) == said
        assert len(reader.shapes) == (1 if is_complete(said) else 2)
        kept = again.kept(reading_key(pixels, partition, reader.name))
        if all(reading.status == "failed" for reading in said):
            assert kept is None
            assert entries(Path(folder)) == []
        else:
            assert kept == tuple(said)


def test_a_second_read_asks_nobody_and_another_picture_or_reader_does(tmp_path: Path) -> None:
    reader = FakeReader()
    cached = CachedReader(reader, tmp_path)
    assert (cached.name, cached.encoder_name) == ("fake/1", None)
    first = cached.read(*picture())
    assert cached.read(*picture()) == first
    assert len(reader.shapes) == 1
    cached.read(*picture(1))
    assert len(reader.shapes) == 2
    reader.name = "fake/2"
    cached.read(*picture())
    assert len(reader.shapes) == 3
    assert cached.notes == []


# Failed readings


def test_what_failed_is_read_again_and_what_was_read_stays(tmp_path: Path) -> None:
    reader = FakeReader(failing=[1])
    cached = CachedReader(reader, tmp_path)
    assert [r.status for r in cached.read(*picture())] == ["ok", "failed", "ok"]
    kept = cached.kept(reading_key(*picture(), reader.name))
    assert kept is not None
    assert not is_complete(kept)

    reader.failing = {0, 1, 2}
    assert [r.status for r in cached.read(*picture())] == ["ok", "failed", "ok"]
    reader.failing = {0}
    assert [r.status for r in cached.read(*picture())] == ["ok", "ok", "ok"]
    asked = len(reader.shapes)
    assert is_complete(cached.read(*picture()))
    assert len(reader.shapes) == asked == 3


def test_a_reader_of_single_regions_is_asked_for_the_failed_ones_only(tmp_path: Path) -> None:
    reader = SelectiveReader(failing=[0, 2])
    cached = CachedReader(reader, tmp_path)
    cached.read(*picture())
    reader.failing = {2}
    assert [r.status for r in cached.read(*picture())] == ["ok", "ok", "failed"]
    reader.failing = set()
    assert is_complete(cached.read(*picture()))
    assert reader.asked == [[0, 2], [2]]
    assert len(reader.shapes) == 1
    assert list(cached.read(*picture())) == list(reader.read(*picture()))


def test_a_picture_of_which_nothing_was_read_is_not_kept(tmp_path: Path) -> None:
    reader = FakeReader(failing=range(9))
    assert {r.status for r in CachedReader(reader, tmp_path).read(*picture())} == {"failed"}
    assert entries(tmp_path) == []


def test_a_reader_that_learns_its_name_files_its_readings_under_it(tmp_path: Path) -> None:
    class Server(FakeReader):
        def read(self, *given: Any) -> Any:
            self.name = "known/1"
            return super().read(*given)

    first = CachedReader(Server("unknown/123"), tmp_path).read(*picture())
    known = FakeReader("known/1")
    assert CachedReader(known, tmp_path).read(*picture()) == first
    assert known.shapes == []


# Damage


def damaged(data: bytes, how: str) -> bytes:
    document = json.loads(data)
    if how == "another key":
        document["key"] = "0" * 64
    elif how == "another kind":
        document["kind"] = "notes"
    elif how == "a changed number":
        document["content"][0]["ratings"]["blur"][0] /= 2
    elif how == "too few":
        return b"[]"
    else:
        return {
            "empty": b"",
            "cut off": data[: len(data) // 2],
            "no JSON": b"\x00\xff" * 40,
            "nested": b"[" * 100_000,
            "a number": b"7",
            "NaN": data.replace(b"0.", b"NaN, 0.", 1),
        }[how]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "how",
    [
        "empty", "cut off", "no JSON", "nested", "a number", "NaN", "another key", "another kind",
        "a changed number", "too few",
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_read_anew_and_mended(tmp_path: Path, how: str) -> None:
    reader = FakeReader()
    cached = CachedReader(reader, tmp_path)
    first = cached.read(*picture())
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(damaged(whole, how))
    assert cached.read(*picture()) == first
    assert len(reader.shapes) == 2
    assert entry.read_bytes() == whole
    assert entries(tmp_path) == [entry]


@settings(max_examples=80)
@given(position=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_one_changed_byte_never_changes_a_reading(position: float, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cached = CachedReader(FakeReader(), Path(folder))
        first = cached.read(*picture())
        (entry,) = entries(Path(folder))
        data = bytearray(entry.read_bytes())
        data[int(position * len(data))] ^= change
        entry.write_bytes(data)
        assert cached.read(*picture()) == first


@pytest.mark.parametrize("content", [{}, [], [7], [{"status": "ok"}], "text", [[1]], {"a": 1}])
def test_sound_files_with_other_content_are_no_readings(tmp_path: Path, content: Any) -> None:
    cached = CachedReader(FakeReader(), tmp_path)
    key = reading_key(*picture(), cached.name)
    assert ContentFolder(tmp_path, "rsfiqa readings 1").save(key, content)
    assert cached.kept(key) is None
    assert is_complete(cached.read(*picture()))


def test_a_file_in_the_place_of_a_folder_is_noted_once_and_reading_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    reader = FakeReader()
    cached = CachedReader(reader, tmp_path / "file")
    for _ in range(2):
        assert is_complete(cached.read(*picture()))
    assert len(reader.shapes) == 2
    assert len(cached.notes) == 1
    assert str(tmp_path / "file") in cached.notes[0]
    assert "cannot be written" in cached.notes[0]
    assert (tmp_path / "file").read_text() == "mine"


# Several processes


def test_two_processes_may_write_the_same_entry_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=read_often, args=(str(tmp_path), picture(), barrier), daemon=True)
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    silent = FakeReader()
    again = CachedReader(silent, tmp_path).read(*picture())
    assert list(again) == list(FakeReader().read(*picture()))
    assert silent.shapes == []
    assert len(list(tmp_path.rglob("*"))) == 2, "one folder, one file, nothing unfinished"


# Partitions


def test_a_partition_is_made_once_and_again_where_its_file_is_damaged(tmp_path: Path) -> None:
    pixels, partition = picture()
    made: list[int] = []

    def segment() -> Partition:
        made.append(1)
        return partition

    cache = PartitionCache(tmp_path)
    for made_by in ("grid", "grid", "other"):
        assert cache.partition(pixels, made_by, segment) == partition
    assert len(made) == 2
    for entry in entries(tmp_path):
        entry.write_bytes(entry.read_bytes()[:-9])
    assert cache.partition(pixels, "grid", segment) == partition
    assert len(made) == 3
    key = content_key("partition", "grid", pixels)
    for content in ([{"size": [2, 2], "counts": "x"}], [7], {"a": 1}, "text"):
        ContentFolder(tmp_path, "rsfiqa partition 1").save(key, content)
        assert cache.partition(pixels, "grid", segment) == partition
    assert len(made) == 7
    assert cache.notes == []


# Readers by name


def test_readers_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "cache"))
    assert isinstance(build_reader("none"), NoReader)
    assert isinstance(build_reader("none", cache=True), NoReader), "there is nothing to keep"
    fake = FakeReader()
    asked = serve(monkeypatch, fake)
    reader = build_reader("server:http://localhost:1#m", view="picture", timeout=2, retries=0)
    assert asked == [
        {"spec": "http://localhost:1#m", "view": "picture", "timeout": 2, "retries": 0}
    ]
    assert isinstance(reader, CachedReader), "a server's readings are kept unless refused"
    assert reader.folder == tmp_path / "cache" / "readings"
    assert build_reader("server:x", cache=False) is fake
    elsewhere = build_reader("server:x", cache=tmp_path / "mine")
    assert isinstance(elsewhere, CachedReader)
    assert elsewhere.folder == tmp_path / "mine" / "readings"


def test_local_models_get_their_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def make(*given: Any, **settings: Any) -> FakeReader:
        asked.append((*given, settings))
        return FakeReader()

    for module, attribute, method in (
        ("vlm", "LocalVLMReader", "from_spec"),
        ("embedded", "EmbeddedReader", "from_pretrained"),
    ):
        fake = ModuleType(module)
        setattr(fake, attribute, SimpleNamespace(**{method: make}))
        monkeypatch.setitem(sys.modules, f"rsfiqa.reading.{module}", fake)
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path))
    slow = build_reader("hf:org/model", device="cpu", precision="bf16", adapter=tmp_path)
    quick = [build_reader("embedded", device="cpu"), build_reader("embedded:mine", device="cpu")]
    assert isinstance(slow, CachedReader)
    assert not any(isinstance(reader, CachedReader) for reader in quick)
    assert isinstance(build_reader("embedded", device="cpu", cache=True), CachedReader)
    assert asked[0] == ("org/model", {"device": "cpu", "precision": "bf16", "adapter": tmp_path})
    assert [settings["folder"] for (settings,) in asked[1:3]] == [None, "mine"]


@pytest.mark.parametrize(
    "spec",
    ["", "robot", "none:", "none:x", "embedded:", "hf", "hf:", "server", "server:", "Embedded"],
)
def test_an_unknown_reader_names_those_that_are_known(spec: str) -> None:
    with pytest.raises(ConfigError, match="unknown reader") as raised:
        build_reader(spec)
    assert all(known in str(raised.value) for known in READERS)


@pytest.mark.parametrize(
    ("spec", "setting"),
    [
        ("none", {"view": "crop"}),
        ("embedded", {"adapter": "folder"}),
        ("hf:x", {"timeout": 2}),
        ("server:x", {"precision": "bf16"}),
    ],
)
def test_a_setting_that_the_reader_has_not_is_refused(spec: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"has no {next(iter(setting))} to set"):
        build_reader(spec, **setting)


def test_any_reader_can_be_given_a_cache(tmp_path: Path) -> None:
    reader = FakeReader()
    assert with_cache(reader) is with_cache(reader, False) is reader
    assert isinstance(with_cache(reader, tmp_path), CachedReader)


# In the assessor


def test_an_assessor_reads_a_picture_once_and_hands_over_its_features(
    tiny_model_folder: Path, cat: Pixels, tmp_path: Path
) -> None:
    crop = cat[40:168, 100:260]
    reader = FakeReader()

    def build(cache: Path | None) -> RSFIQA:
        return RSFIQA.from_pretrained(
            tiny_model_folder, segmenter="grid:2", reader=reader, cache_readings=cache
        )

    first = build(tmp_path).assess(crop)
    assert build(tmp_path).assess(crop).regions == first.regions
    assert reader.grids == [None], "it does not take over features"
    assert first.model.reader == "fake/1"
    model = build(None)
    reader.encoder_name = model.extractor.encoder.name
    assert model.assess(crop).regions == first.regions
    grid = reader.grids[-1]
    assert grid is not None
    assert grid.positions.shape[0] == 1
    assert grid.context.shape[-1] == model.extractor.encoder.context_dim


# The probabilities in results


@settings(max_examples=60)
@given(readings, st.booleans())
def test_level_probabilities_come_back_from_json(said: Reading, ensure_older: bool) -> None:
    entry = json.loads(json.dumps(said.to_dict()))
    if ensure_older:
        entry.pop("levels", None)
    back = Reading.from_dict(entry)
    assert (back.status, back.description, back.reason) == (
        said.status,
        said.description,
        said.reason,
    )
    if said.values is None:
        assert back.values is None
        return
    assert back.values == pytest.approx(said.values, abs=1e-4)
    if not ensure_older:
        for d in DIMENSIONS:
            expected = said.ratings[d].probabilities
            assert back.ratings[d].probabilities == pytest.approx(expected, abs=1e-6)


def test_a_rating_at_the_edge_of_its_tolerance_can_be_read_back() -> None:
    for excess in (0.99e-4, -0.99e-4):
        edge = Rating((0.123456 + excess, 0.234567, 0.345678, 0.111111, 0.185188))
        said = Reading(status="ok", ratings=dict.fromkeys(DIMENSIONS, edge))
        assert sum(Reading.from_dict(said.to_dict()).ratings["blur"].probabilities) == (
            pytest.approx(1, abs=1e-5)
        )


def test_an_assessment_keeps_its_readings_in_json() -> None:
    sure, unsure = Rating((0, 0, 1, 0, 0)), Rating((0.3, 0.2, 0.0, 0.2, 0.3))
    said = [
        Reading(status="ok", description="x", ratings=dict.fromkeys(DIMENSIONS, rating))
        for rating in (sure, unsure)
    ]
    result = assessment([[0, 1]], [50, 50], readings=dict(enumerate(said)))
    back = Assessment.from_json(result.to_json())
    assert [region.reading for region in back.regions] == said
    broken = result.to_dict()
    broken["regions"][0]["levels"]["blur"] = [0.5, 0.5, 0.5, 0, 0]
    with pytest.raises(DataError, match="sum to 1"):
        Assessment.from_json(json.dumps(broken))
    del broken["regions"][0]["levels"]["blur"]
    with pytest.raises(DataError):
        Assessment.from_json(json.dumps(broken))
