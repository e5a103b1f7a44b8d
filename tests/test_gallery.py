"""`rsfiqa gallery` and the page that it writes, with made-up assessments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from command_line import rsfiqa, save_picture
from fake_assessments import assessment, grid_labels, reading
from fake_reader import FakeReader
from rsfiqa.cli import common
from rsfiqa.errors import ImageError
from rsfiqa.report.gallery import _escaped, save_gallery
from rsfiqa.types import Assessment, Reading


def assessed(name: str = "photo.jpg", **more: Any) -> Assessment:
    picture = np.full((90, 120, 3), 90, np.uint8)
    labels = grid_labels(90, 120, 1, 2)
    return assessment(labels, [80.0, 40.0], picture=picture, image=name, **more)


class FakeAssessor:
    def __init__(self) -> None:
        self.names: list[str | None] = []

    def assess(
        self, picture: str | npt.NDArray[np.uint8], *, name: str | None = None
    ) -> Assessment:
        self.names.append(name)
        if isinstance(picture, str) and "broken" in picture:
            raise ImageError(f"{picture} is damaged.")
        return assessed(name or "")


@pytest.fixture
def assessor(monkeypatch: pytest.MonkeyPatch) -> FakeAssessor:
    fake = FakeAssessor()
    monkeypatch.setattr(common, "make_assessor", lambda **_: fake)
    monkeypatch.setattr(common, "make_reader", lambda *_, **__: FakeReader())
    return fake


def test_a_page_with_pictures_that_are_there(tmp_path: Path) -> None:
    failed = Reading(status="failed", reason="no answer")
    readings = {0: reading("the sky", noise=2.0), 1: failed}
    one = assessed("a b.jpg", readings=readings, interval=(40.0, 75.0), uncertainty=8.0)
    page = save_gallery([("a b", one), ("sub/c", assessed("c.jpg"))], tmp_path / "new")
    text = page.read_text(encoding="utf-8")
    assert "## a b.jpg" in text
    assert "(90 % interval of the score 40 to 75)" in text
    assert "| 0 | the sky | 50 % |" in text
    assert "| – | – | – | – | – |" in text  # of the region that could not be read
    for name in ("a%20b", "sub/c"):
        for kind in ("regions", "attention"):
            address = f"{name}.{kind}.jpg"
            assert f"]({address})" in text
            assert (page.parent / address.replace("%20", " ")).exists()
    assert "<summary>2 regions</summary>" in text


def test_pictures_are_as_wide_as_asked_for_and_bytes_repeat(tmp_path: Path) -> None:
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        save_gallery([("x", assessed())], folder, width=200)
    names = sorted(p.name for p in folders[0].iterdir())
    assert names == ["index.md", "x.attention.jpg", "x.regions.jpg"]
    assert Image.open(folders[0] / "x.regions.jpg").width == 200
    assert all((folders[0] / n).read_bytes() == (folders[1] / n).read_bytes() for n in names)


@given(st.text(max_size=40))
def test_text_is_shown_as_it_is(text: str) -> None:
    """Whatever a reader says neither ends a cell of the table nor becomes HTML."""
    escaped = _escaped(text)
    assert "\n" not in escaped
    for special in "|<>`*":
        assert escaped.count(special) == escaped.count("\\" + special)


def test_the_samples_without_paths(
    assessor: FakeAssessor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.samples.sample_names", lambda: ("chelsea", "coffee"))
    ended = rsfiqa("gallery", "--out", tmp_path / "out")
    assert ended.exit_code == 0, ended.output
    assert assessor.names == ["chelsea", "coffee"]
    assert "index.md" in ended.stderr
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_failures_are_named_and_the_rest_is_shown(assessor: FakeAssessor, tmp_path: Path) -> None:
    for name in ("a.png", "broken.png", "sub/a.png"):
        save_picture(tmp_path / name)
    ended = rsfiqa("gallery", tmp_path, tmp_path / "none.png", "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "broken.png is damaged" in ended.stderr
    assert "none.png" in ended.stderr
    text = (tmp_path / "out" / "index.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == 2
    assert (tmp_path / "out" / "sub" / "a.regions.jpg").exists()


def test_nothing_to_show_loads_no_model(assessor: FakeAssessor, tmp_path: Path) -> None:
    ended = rsfiqa("gallery", tmp_path / "none.png", "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert assessor.names == []
    assert not (tmp_path / "out" / "index.md").exists()


def test_a_folder_that_cannot_be_written_is_found_before_any_work(
    assessor: FakeAssessor, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = rsfiqa("gallery", "--out", tmp_path / "file" / "out")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert assessor.names == []


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = "caf\udce9"
    text = save_gallery([(name, assessed(f"{name}.jpg"))], tmp_path).read_text(encoding="utf-8")
    assert "## caf?.jpg" in text
    assert "](caf%E9.regions.jpg)" in text
    assert (tmp_path / f"{name}.regions.jpg").exists()
