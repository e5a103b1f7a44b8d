"""`rsfiqa assess`, with a small stand-in for the assessor: files, resuming, bad input."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import records, rsfiqa, save_picture
from fake_assessments import assessment, grid_labels
from rsfiqa.cli import common
from rsfiqa.errors import ConfigError, ImageError, RsfiqaError, RsfiqaWarning
from rsfiqa.images import LoadedImage
from rsfiqa.results import ResultsFile
from rsfiqa.types import Assessment, ModelInfo


class FakeAssessor:
    """Scores a picture by its brightness; refuses the ones that are told to it."""

    def __init__(self) -> None:
        self.info = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="0")
        self.regions = None
        self.assessed: list[str] = []
        self.batches: list[int] = []
        self.refused: set[str] = set()
        self.interrupted_at: str | None = None
        self.options: dict[str, Any] = {}

    def assess_batch(
        self, pictures: list[LoadedImage], *, on_error: str
    ) -> list[Assessment | RsfiqaError]:
        assert on_error == "return"
        self.batches.append(len(pictures))
        return [self._assess(picture) for picture in pictures]

    def _assess(self, picture: LoadedImage) -> Assessment | RsfiqaError:
        if picture.name == self.interrupted_at:
            raise KeyboardInterrupt
        if Path(picture.name).name in self.refused:
            return ImageError(f"{picture.name} is refused.")
        if Path(picture.name).name == "bug.png":
            raise RuntimeError("a fault\nin two lines")
        self.assessed.append(picture.name)
        bright = float(picture.pixels.mean()) / 2.55
        return assessment(
            grid_labels(picture.height, picture.width, 2, 2),
            [bright] * 4,
            picture=picture.pixels,
            image=picture.name,
            sha256=picture.sha256,
            notes=picture.notes,
        )


@pytest.fixture
def assessor(monkeypatch: pytest.MonkeyPatch) -> FakeAssessor:
    fake = FakeAssessor()

    def make(**options: Any) -> FakeAssessor:
        if options["segmenter"] != "embedded":
            raise ConfigError(f"there is no segmenter {options['segmenter']}; accepted: embedded.")
        fake.options = options
        return fake

    make_reader = common.make_reader

    def read(reader: str, **options: Any) -> Any:
        # The default reader's weights are not what is tested here.
        return make_reader("none" if reader == "embedded" else reader, **options)

    monkeypatch.setattr(common, "make_assessor", make)
    monkeypatch.setattr(common, "make_reader", read)
    return fake


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three good pictures, one of them in a sub-folder."""
    folder = tmp_path / "album"
    save_picture(folder / "a.png", 50)
    save_picture(folder / "b.png", 100)
    save_picture(folder / "sub" / "c.png", 150)
    return folder


def test_json_lines_go_to_standard_output_and_the_summary_to_standard_error(
    assessor: FakeAssessor, album: Path
) -> None:
    ended = rsfiqa("assess", album)
    assert ended.exit_code == 0
    results = records(ended.stdout)
    assert [r["image"] for r in results] == sorted(assessor.assessed)
    assert len(results) == 3
    assert results[0]["regions"][0]["mask"]["size"] == [48, 60]
    assert "3 assessed, 0 failed" in ended.stderr


def test_options_reach_the_assessor(assessor: FakeAssessor, album: Path) -> None:
    ended = rsfiqa(
        "assess", album, "--no-masks", "--device", "cpu", "--precision", "bf16",
        "--batch-size", "2", "--max-pixels", "100000", "--model", "mine", "--quiet",
    )  # fmt: skip
    assert ended.exit_code == 0
    assert ended.stderr == ""
    assert "mask" not in records(ended.stdout)[0]["regions"][0]
    assert assessor.batches == [1, 1, 1]  # side by side: none waits for another
    assert assessor.options.pop("reader").name == "none"
    assert assessor.options == {
        "model": "mine",
        "segmenter": "embedded",
        "regions": None,
        "device": "cpu",
        "precision": "bf16",
        "max_pixels": 100_000,
    }


def test_a_list_on_standard_input(assessor: FakeAssessor, album: Path) -> None:
    ended = rsfiqa("assess", "-", given=f"{album / 'b.png'}\n{album / 'a.png'}\n")
    assert [r["image"] for r in records(ended.stdout)] == [
        str(album / "b.png"),
        str(album / "a.png"),
    ]


def test_bad_files_among_good_ones_fail_alone_and_in_their_place(
    assessor: FakeAssessor, tmp_path: Path
) -> None:
    good = save_picture(tmp_path / "1.png")
    empty = tmp_path / "2.png"
    empty.touch()
    truncated = tmp_path / "3.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(truncated)
    truncated.write_bytes(truncated.read_bytes()[:900])
    text = tmp_path / "4.png"
    text.write_text("not a picture")
    large = save_picture(tmp_path / "5.png", size=(300, 300))
    missing = tmp_path / "6.png"
    refused = save_picture(tmp_path / "7.png")
    bug = save_picture(tmp_path / "bug.png")
    last = save_picture(tmp_path / "8.png")
    assessor.refused = {"7.png"}
    inputs = [good, empty, truncated, text, large, missing, refused, bug, last]
    ended = rsfiqa("assess", *inputs, "--max-pixels", "50000")
    assert ended.exit_code == 1
    results = records(ended.stdout)
    assert [r["image"] for r in results] == [str(path) for path in inputs]
    assert [("error" in r) for r in results] == [False, *[True] * 7, False]
    assert all(set(r) == {"image", "error"} for r in results if "error" in r)
    assert "2 assessed, 7 failed" in ended.stderr
    for path in inputs[1:-1]:
        assert f"failed: {path}" in ended.stderr
    assert "unexpected RuntimeError: a fault in two lines" in ended.stderr
    assert "Traceback" not in ended.output


def test_a_rerun_keeps_what_is_unchanged_and_redoes_the_rest(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    assessor.refused = {"b.png"}
    assert rsfiqa("assess", album, "--out", out).exit_code == 1
    assert len(records(out)) == 3

    assessor.assessed.clear()
    assessor.refused = set()
    save_picture(album / "a.png", 60)  # changed
    save_picture(album / "d.png", 200)  # new
    ended = rsfiqa("assess", album, "--out", out)
    assert ended.exit_code == 0
    assert "3 assessed, 1 unchanged and kept, 0 failed" in ended.stderr
    assert sorted(Path(n).name for n in assessor.assessed) == ["a.png", "b.png", "d.png"]
    names = [r["image"] for r in records(out)]
    assert names == [r["image"] for r in records(rsfiqa("assess", album).stdout)]
    assert not any("error" in r for r in records(out))

    assessor.assessed.clear()
    before = out.read_bytes()
    assert "4 unchanged and kept" in rsfiqa("assess", album, "--out", out).stderr
    assert assessor.assessed == []
    assert out.read_bytes() == before


def test_another_model_or_missing_masks_mean_assessing_again(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    rsfiqa("assess", album, "--out", out, "--no-masks")
    assessor.assessed.clear()
    rsfiqa("assess", album, "--out", out, "--no-masks")
    assert assessor.assessed == []
    rsfiqa("assess", album, "--out", out)
    assert len(assessor.assessed) == 3
    assert all("mask" in r["regions"][0] for r in records(out))
    assessor.assessed.clear()
    assessor.info = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="1")
    rsfiqa("assess", album, "--out", out)
    assert len(assessor.assessed) == 3


def test_an_interrupted_run_goes_on_where_it_stopped(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out, threads = tmp_path / "r.jsonl", {*threading.enumerate()}
    assessor.interrupted_at = str(album / "b.png")
    ended = rsfiqa("assess", album, "--out", out, "--batch-size", "1")
    assert ended.exit_code == 130
    assert "finished work is kept" in ended.stderr
    left = {*threading.enumerate()} - threads
    assert not any(thread.name.startswith("rsfiqa-worker") for thread in left)
    done = [r["image"] for r in records(out)]
    assert done == sorted(assessor.assessed)
    assessor.interrupted_at = None
    assert rsfiqa("assess", album, "--out", out).exit_code == 0
    assert len(assessor.assessed) == len(set(assessor.assessed)) == len(records(out)) == 3


def test_a_torn_last_line_is_dropped_with_a_note(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    rsfiqa("assess", album, "--out", out)
    whole = out.read_bytes()
    out.write_bytes(whole[:-100])
    ended = rsfiqa("assess", album, "--out", out)
    assert "was cut off" in ended.stderr
    assert "1 assessed, 2 unchanged" in ended.stderr
    assert out.read_bytes() == whole


def test_a_picture_that_cannot_be_read_today_keeps_its_result(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    inputs = [album / "a.png", album / "b.png"]
    rsfiqa("assess", *inputs, "--out", out)
    before = out.read_bytes()
    inputs[0].unlink()
    ended = rsfiqa("assess", *inputs, "--out", out)
    assert ended.exit_code == 1
    assert f"failed: {inputs[0]}" in ended.stderr
    assert out.read_bytes() == before


def test_a_second_run_on_the_same_file_is_refused(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    with ResultsFile(out, assessor.info):
        ended = rsfiqa("assess", album, "--out", out)
    assert ended.exit_code == 1
    assert "another rsfiqa process is writing" in ended.stderr


def test_a_picture_given_for_out_stays_as_it_is(assessor: FakeAssessor, album: Path) -> None:
    before = (album / "a.png").read_bytes()
    ended = rsfiqa("assess", album / "b.png", "--out", album / "a.png")
    assert ended.exit_code == 1
    assert "no result of rsfiqa" in ended.stderr
    assert (album / "a.png").read_bytes() == before


def test_two_inputs_of_one_name_get_two_results_and_two_sets_of_overlays(
    assessor: FakeAssessor, tmp_path: Path
) -> None:
    inputs = [
        save_picture(tmp_path / "in" / folder / name, value)
        for folder, name, value in (("a", "x.png", 10), ("b", "x.png", 200), ("b", "x.bmp", 90))
    ]
    overlay = tmp_path / "overlays"
    ended = rsfiqa("assess", *inputs, "--overlay", overlay)
    assert [r["image"] for r in records(ended.stdout)] == [str(path) for path in inputs]
    found = sorted(str(p.relative_to(overlay)) for p in overlay.rglob("*.png"))
    stems = ["a/x", "b/x.bmp", "b/x.png"]
    assert found == sorted(
        f"{s}.{k}.png" for s in stems for k in ("attention", "quality", "regions")
    )


def test_one_picture_gives_overlays_of_its_name_and_lost_ones_are_drawn_again(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out, overlay = tmp_path / "r.jsonl", tmp_path / "new" / "overlays"
    arguments = ("assess", album / "a.png", "--out", out, "--overlay", overlay)
    rsfiqa(*arguments)
    names = {"a.regions.png", "a.attention.png", "a.quality.png"}
    assert {p.name for p in overlay.iterdir()} == names
    assert "1 unchanged" in rsfiqa(*arguments).stderr
    (overlay / "a.quality.png").unlink()
    assert "1 assessed" in rsfiqa(*arguments).stderr
    assert {p.name for p in overlay.iterdir()} == names
    assert len(records(out)) == 1


def test_the_report_shows_kept_and_new_results_and_failures(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out, report = tmp_path / "r.jsonl", tmp_path / "report.html"
    rsfiqa("assess", album / "a.png", "--out", out)
    (album / "broken.png").write_text("no picture")
    ended = rsfiqa("assess", album, "--out", out, "--report", report)
    assert ended.exit_code == 1
    assert str(report) in ended.stderr
    page = report.read_text(encoding="utf-8")
    for name in ("a.png", "b.png", "c.png", "broken.png"):
        assert name in page


def test_a_report_of_very_many_pictures_says_that_it_is_limited(
    assessor: FakeAssessor, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.cli.assess.REPORT_LIMIT", 2)
    ended = rsfiqa("assess", album, "--report", tmp_path / "report.html")
    assert "the first 2 of 3 pictures" in ended.stderr
    assert "c.png" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--out", "--overlay", "--report"])
def test_unwritable_output_is_found_before_any_work(
    assessor: FakeAssessor, album: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    ended = rsfiqa("assess", album, option, tmp_path / "file" / "below.html")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert assessor.options == {}


def test_a_folder_for_out_is_refused(assessor: FakeAssessor, album: Path, tmp_path: Path) -> None:
    ended = rsfiqa("assess", album, "--out", tmp_path)
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr


def test_a_folder_without_pictures_is_an_error_that_leaves_results_alone(
    assessor: FakeAssessor, album: Path, tmp_path: Path
) -> None:
    out, bare = tmp_path / "r.jsonl", tmp_path / "bare"
    rsfiqa("assess", album, "--out", out)
    before = out.read_bytes()
    bare.mkdir()
    (bare / "notes.txt").write_text("no picture")
    ended = rsfiqa("assess", bare, "--out", out)
    assert ended.exit_code in {1, 2}
    assert str(bare) in ended.stderr
    assert "Traceback" not in ended.output
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["assess"],
        ["asses", "x.png"],
        ["assess", "PICTURE", "--batch-size", "0"],
        ["assess", "PICTURE", "--segmenter", "no-such"],
        ["assess", "PICTURE", "--report", "report.pdf"],
        ["assess", "PICTURE", "--out", "results.csv"],
        ["assess", "PICTURE", "--no-such-option"],
    ],
)
def test_wrong_usage_exits_with_2(
    assessor: FakeAssessor, album: Path, arguments: list[str]
) -> None:
    ended = rsfiqa(*(str(album / "a.png") if a == "PICTURE" else a for a in arguments))
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr.strip()


def test_an_unforeseen_error_is_one_sentence_unless_debugging(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(common, "make_assessor", fail)
    ended = rsfiqa("assess", album)
    assert ended.exit_code == 1
    assert "unexpected RuntimeError: odd" in ended.stderr
    assert "Traceback" not in ended.output
    monkeypatch.setenv("RSFIQA_DEBUG", "1")
    assert isinstance(rsfiqa("assess", album).exception, RuntimeError)


@pytest.mark.filterwarnings("ignore:of others")
def test_a_warning_is_one_sentence(
    assessor: FakeAssessor, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_reader, shows = common.make_reader, warnings.showwarning

    def warn(reader: str, **options: Any) -> Any:
        warnings.warn("the adapter was taught otherwise.", RsfiqaWarning, stacklevel=1)
        warnings.warn("of others", UserWarning, stacklevel=1)
        return make_reader(reader, **options)

    monkeypatch.setattr(common, "make_reader", warn)
    for _ in range(2):
        ended = rsfiqa("assess", album, "--out", "-", "-q")
        assert ended.exit_code == 0, ended.output
        assert ended.stderr.splitlines() == ["rsfiqa: the adapter was taught otherwise."]
        assert len(records(ended.stdout)) == 3
    assert warnings.showwarning is shows, "the library shows warnings as Python does"


def test_help_and_version_import_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom rsfiqa.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'timm', 'numpy', 'skimage', 'sklearn', 'onnx'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for arguments in (["--version"], ["--help"], ["assess", "--help"], ["segment", "--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX pipe")
def test_a_reader_that_goes_away_is_no_error_to_talk_about() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rsfiqa", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert said == ""
