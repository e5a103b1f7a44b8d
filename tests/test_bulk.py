"""Many pictures: side by side without barriers, in order, in bounded memory; each fails alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import save_picture
from rsfiqa.assessor import RSFIQA
from rsfiqa.bulk import AHEAD_PIXELS, WINDOW, Outcome, assess_many, work_through
from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.images import LoadedImage, load_image
from rsfiqa.images.header import header_pixels
from rsfiqa.inputs import BadInput
from rsfiqa.sources import Source
from rsfiqa.types import Assessment

WAIT = 10.0


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    return [str(save_picture(tmp_path / f"{k:02}.png", 10 * k)) for k in range(12)]


def brightness(picture: LoadedImage) -> int:
    return int(picture.pixels[0, 0, 0])


def outcomes_of(*arguments: Any, **options: Any) -> list[Outcome[Any]]:
    return [outcome for some in work_through(*arguments, **options) for outcome in some]


@pytest.mark.parametrize("workers", [None, 1, 2, 5])
def test_outcomes_are_in_the_order_of_the_inputs(names: list[str], workers: int | None) -> None:
    found = outcomes_of(brightness, names, workers=workers)
    assert [outcome.name for outcome in found] == names
    assert [outcome.result for outcome in found] == [10 * k for k in range(12)]
    assert found[3].sha256 == load_image(names[3]).sha256


def test_any_iterable_will_do_and_nothing_is_nothing(names: list[str]) -> None:
    assert len(outcomes_of(brightness, iter(names))) == 12
    assert outcomes_of(brightness, []) == []


def test_later_pictures_do_not_wait_for_a_slow_one(names: list[str]) -> None:
    last_done = threading.Event()

    def work(picture: LoadedImage) -> str:
        if picture.name == names[0]:
            assert last_done.wait(WAIT), "the others wait for the first"
        elif picture.name == names[-1]:
            last_done.set()
        return picture.name

    assert [o.result for o in outcomes_of(work, names, workers=2)] == names


def test_pictures_are_worked_on_while_the_caller_writes(names: list[str]) -> None:
    last_done = threading.Event()

    def work(picture: LoadedImage) -> str:
        if picture.name == names[-1]:
            last_done.set()
        return picture.name

    for number, (outcome,) in enumerate(work_through(work, names, workers=2)):
        assert outcome.name == names[number]
        if not number:
            assert last_done.wait(WAIT)


def test_only_so_many_are_worked_on_at_a_time_and_one_more_is_decoded(names: list[str]) -> None:
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=60)
    at_work = most = 0

    def work(picture: LoadedImage) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        if picture.name in names[:2]:
            both.wait()
        time.sleep(0.01)
        with lock:
            at_work -= 1

    outcomes_of(work, names, workers=2)
    assert most == 2


class Large(Source):
    """Of which few find room."""

    def estimated_pixels(self) -> int:
        return AHEAD_PIXELS // 3


def test_the_window_is_bounded_in_number_and_pixels(tmp_path: Path) -> None:
    names = [str(save_picture(tmp_path / f"{k:03}.png", size=(64, 64))) for k in range(60)]
    begun: list[str] = []

    def work(picture: LoadedImage) -> str:
        begun.append(picture.name)
        return picture.name

    found = work_through(work, names, workers=1)
    next(found)
    time.sleep(0.2)
    assert len(begun) <= WINDOW + 1
    found.close()
    begun.clear()
    found = work_through(work, map(Large, names), workers=1)
    next(found)
    time.sleep(0.2)
    assert len(begun) <= 3
    assert sum(len(some) for some in found) == 59


def test_each_fails_alone_and_says_why(names: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    inputs = [
        names[0], str(broken), BadInput("nowhere/*", "nowhere/* matches no picture."),
        str(tmp_path / "gone.png"), names[1], names[2], names[3],
    ]  # fmt: skip

    def work(picture: LoadedImage) -> int:
        if picture.name == names[1]:
            raise ImageError("this one is refused.")
        if picture.name == names[2]:
            raise MemoryError
        if picture.name == names[3]:
            raise RuntimeError("a fault\nin two lines")
        return 1

    found = outcomes_of(work, inputs)
    assert [outcome.name for outcome in found] == [str(getattr(g, "path", g)) for g in inputs]
    errors = [outcome.error for outcome in found]
    assert errors[0] is None
    assert found[0].result == 1
    assert "broken.jpg" in str(errors[1])
    assert found[1].sha256 is not None
    assert errors[2] == "nowhere/* matches no picture."
    assert "does not exist" in str(errors[3])
    assert errors[4] == "this one is refused."
    assert found[4].sha256 == load_image(names[1]).sha256
    assert errors[5] == "there was not enough memory for this picture."
    assert errors[6] == "unexpected RuntimeError: a fault in two lines"


def test_debugging_lets_an_unforeseen_error_through(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: LoadedImage) -> None:
        raise RuntimeError("odd")

    monkeypatch.setenv("RSFIQA_DEBUG", "1")
    with pytest.raises(RuntimeError, match="odd"):
        outcomes_of(work, names)


def test_a_wrong_setting_is_no_pictures_fault(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="max_pixels"):
        outcomes_of(brightness, names, max_pixels=0)


def test_a_setting_that_the_work_finds_wrong_ends_the_run_in_its_turn(names: list[str]) -> None:
    def work(picture: LoadedImage) -> str:
        if picture.name == names[3]:
            raise ConfigError("there is no such device.")
        return picture.name

    taken = []
    with pytest.raises(ConfigError, match="no such device"):
        for (outcome,) in work_through(work, names, workers=2):
            taken.append(outcome.name)
    assert taken == names[:3]


def test_what_is_kept_is_not_decoded(names: list[str]) -> None:
    decoded: list[str] = []

    class Watched(Source):
        def load(self, max_pixels: int | None = None) -> LoadedImage:
            decoded.append(self.name)
            return super().load(max_pixels)

    found = outcomes_of(
        brightness, map(Watched, names), is_kept=lambda source: source.name != names[4]
    )
    assert [outcome.kept for outcome in found] == [name != names[4] for name in names]
    assert decoded == [names[4]]


def test_sources_are_fetched_once_and_those_that_cannot_be_fail_alone(names: list[str]) -> None:
    fetched: list[str] = []

    class Elsewhere(Source):
        def fetched(self) -> Source:
            fetched.append(self.name)
            if self.name == names[1]:
                raise ImageError(f"{self.name} cannot be had.")
            return Source(self.name, Path(self.name).read_bytes())

    kept: list[tuple[str, str]] = []

    def is_kept(source: Source) -> bool:
        kept.append((source.name, source.sha256()))
        return source.name == names[2]

    found = outcomes_of(brightness, map(Elsewhere, names[:4]), is_kept=is_kept)
    assert [outcome.result for outcome in found] == [0, None, None, 30]
    assert found[1].error == f"{names[1]} cannot be had."
    assert found[2].kept
    assert found[3].sha256 == load_image(names[3]).sha256
    assert sorted(fetched) == names[:4]
    assert dict(kept) == {name: load_image(name).sha256 for name in (names[0], *names[2:4])}


def test_bytes_are_worked_on_under_the_name_they_were_given(names: list[str]) -> None:
    data = Path(names[5]).read_bytes()
    sources = [Source("of a table", data), Source("empty", b""), Source("bad", b"no picture" * 99)]
    good, empty, bad = outcomes_of(brightness, sources)
    assert (good.name, good.result) == ("of a table", 50)
    assert good.sha256 == load_image(names[5]).sha256 == sources[0].sha256()
    assert "empty is empty" in str(empty.error)
    assert "bad is not a picture" in str(bad.error)
    assert bad.sha256 == sources[2].sha256()
    assert sources[0].estimated_pixels() == 48 * 60
    assert sources[2].estimated_pixels() == 330, "what is no picture takes memory, too"


def test_results_are_finished_in_the_background_and_a_fault_there_ends_the_run(
    names: list[str],
) -> None:
    finished: dict[str, int] = {}
    threads: set[str] = set()

    def finish(name: str, result: int) -> None:
        threads.add(threading.current_thread().name)
        finished[name] = result
        if name == names[5]:
            raise DataError("the disk is full.")

    taken = []
    with pytest.raises(DataError, match="full"):
        for (outcome,) in work_through(brightness, names, finish=finish):
            assert finished[outcome.name] == outcome.result
            taken.append(outcome.name)
    assert taken == names[:5]
    assert threading.current_thread().name not in threads


def test_an_interrupt_loses_nothing_that_was_being_worked_on(names: list[str]) -> None:
    worked: list[str] = []

    def work(picture: LoadedImage) -> str:
        if picture.name == names[3]:
            raise KeyboardInterrupt
        time.sleep(0.02)
        worked.append(picture.name)
        return picture.name

    taken = []
    with pytest.raises(KeyboardInterrupt):
        for (outcome,) in work_through(work, names, workers=2):
            taken.append(outcome.name)
    assert sorted(worked) == taken
    assert names[:3] == taken[:3]
    assert not any(t.name.startswith("rsfiqa-worker") for t in threading.enumerate())


def test_leaving_early_ends_the_threads(names: list[str]) -> None:
    found = work_through(brightness, names, workers=2)
    next(found)
    found.close()
    assert not any(t.name.startswith("rsfiqa-worker") for t in threading.enumerate())


def test_assessments_are_those_of_each_picture_alone(
    tmp_path: Path, tiny_model_folder: Path, cat: np.ndarray
) -> None:
    sizes = [(40, 60), (128, 160), (64, 200), (300, 451), (33, 32), (90, 90)]
    names = []
    for k, (height, width) in enumerate(sizes):
        names.append(str(tmp_path / f"{k}.png"))
        Image.fromarray(cat).resize((width, height)).save(names[-1])
    assessor = RSFIQA.from_pretrained(
        tiny_model_folder, segmenter="grid:3", reader="none", device="cpu"
    )
    drawn: list[str] = []

    def draw(name: str, assessment: Assessment) -> None:
        assert assessment.image == name
        drawn.append(name)

    found = [o for some in assess_many(assessor, names, finish=draw) for o in some]
    assert sorted(drawn) == names
    for name, outcome in zip(names, found, strict=True):
        assert outcome.result is not None
        alone = assessor.assess(name)
        assert outcome.result.score == pytest.approx(alone.score, abs=1e-4)
        assert outcome.result.partition == alone.partition


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_header_tells_the_pixels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"picture.{kind.lower()}"
    Image.new("RGB", (70, 41)).save(path, kind)
    assert header_pixels(path) == header_pixels(path.read_bytes()) == 70 * 41


def test_what_has_no_header_has_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    for path in (tmp_path / "empty.png", tmp_path / "text.png", tmp_path, tmp_path / "gone.png"):
        assert header_pixels(path) == 0
    for data in (b"", b"no picture"):
        assert header_pixels(data) == 0
