"""`rsfiqa bench segment` and beneath it: the data set's reader, agreement, stability, the search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from rsfiqa.cli import app
from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.learning import segmentation_bench, segmentation_timing
from rsfiqa.learning.boundary_metrics import boundary_map
from rsfiqa.learning.bsds import read_bsds
from rsfiqa.learning.segmentation_agreement import PEOPLE, HumanReference, measure_agreement
from rsfiqa.learning.segmentation_bench import bench_segmenters, search_baselines
from rsfiqa.learning.segmentation_stability import KINDS, measure_stability
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.baselines import FelzenszwalbSegmenter, SlicSegmenter
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.samples import sample_picture

BSDS = Path(__file__).parents[1] / ".." / "shared" / "data" / "bsds500"
Pixels = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 60, 90


def halves(columns: int = WIDTH // 2) -> npt.NDArray[np.uint16]:
    labels = np.ones((HEIGHT, WIDTH), np.uint16)
    labels[:, columns:] = 2
    return labels


def quarters() -> npt.NDArray[np.uint16]:
    labels = halves()
    labels[HEIGHT // 2 :] += 2
    return labels


def write_truth(path: Path, maps: Sequence[npt.NDArray[Any]]) -> None:
    cells = np.empty((1, len(maps)), dtype=object)
    for k, labels in enumerate(maps):
        cells[0, k] = {"Segmentation": labels, "Boundaries": labels * 0}
    savemat(path, {"groundTruth": cells})


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    """Two photographs a split, in the data set's layout."""
    folder = tmp_path / "bsds"
    for split in ("train", "val"):
        images, truths = folder / "images" / split, folder / "groundTruth" / split
        images.mkdir(parents=True)
        truths.mkdir(parents=True)
        for name, sample in (("b", "coffee"), ("a", "chelsea")):
            pixels = sample_picture(sample)[100 : 100 + HEIGHT, 120 : 120 + WIDTH]
            Image.fromarray(pixels).save(images / f"{name}.jpg")
            write_truth(truths / f"{name}.mat", [halves(), quarters(), halves(30)])
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Segmenter]]:
    """A small choice of settings."""
    settings: dict[str, list[Segmenter]] = {
        "grid": [GridSegmenter(5), GridSegmenter(2)],
        "SLIC": [SlicSegmenter(), SlicSegmenter(9)],
        "Felzenszwalb": [FelzenszwalbSegmenter()],
    }
    monkeypatch.setattr(segmentation_bench, "BASELINES", settings)
    return settings


def rsfiqa(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def split_at(columns: int) -> Partition:
    return Partition.from_labels(halves(columns))


# The reader


def test_a_split_is_listed_by_name_and_read(bsds: Path) -> None:
    pictures = read_bsds(bsds, "val")
    assert [p.name for p in pictures] == ["a", "b"]
    assert pictures[0].pixels().shape == (HEIGHT, WIDTH, 3)
    humans = pictures[0].humans()
    assert [len(h) for h in humans] == [2, 4, 2]
    assert humans[0] == split_at(WIDTH // 2)


def test_what_is_missing_is_named(bsds: Path) -> None:
    with pytest.raises(DataError, match="test is not a folder"):
        read_bsds(bsds, "test")
    (bsds / "groundTruth" / "val" / "b.mat").unlink()
    with pytest.raises(DataError, match=r"1 of 2 .* b\.mat"):
        read_bsds(bsds, "val")
    for image in (bsds / "images" / "train").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="no photographs"):
        read_bsds(bsds, "train")


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"MATLAB 7.3 MAT-file" + b"\0" * 600])
def test_a_damaged_file_is_one_sentence(bsds: Path, content: bytes) -> None:
    picture = read_bsds(bsds, "val")[0]
    picture.ground_truth.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mat"):
        picture.humans()


def test_a_file_cut_short_is_one_sentence(bsds: Path) -> None:
    picture = read_bsds(bsds, "val")[0]
    content = picture.ground_truth.read_bytes()
    picture.ground_truth.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.mat"):
        picture.humans()


@pytest.mark.parametrize(
    "variables",
    [{"other": 1}, {"groundTruth": np.ones((2, 2))}, {"groundTruth": np.empty((1, 0), object)}],
)
def test_a_file_with_something_else_is_one_sentence(bsds: Path, variables: dict[str, Any]) -> None:
    picture = read_bsds(bsds, "val")[0]
    savemat(picture.ground_truth, variables)
    with pytest.raises(DataError, match=r"a\.mat"):
        picture.humans()


def test_annotators_who_saw_other_sizes_are_refused(bsds: Path) -> None:
    picture = read_bsds(bsds, "val")[0]
    write_truth(picture.ground_truth, [halves(), halves()[:20]])
    with pytest.raises(DataError, match="one size"):
        picture.humans()
    write_truth(picture.ground_truth, [halves()[:20]])
    with pytest.raises(DataError, match=r"90×20 .* 90×60"):
        measure_agreement({}, [picture])


@pytest.mark.skipif(not BSDS.is_dir(), reason="BSDS500 is not beside the project")
def test_boundaries_are_those_of_the_data_set() -> None:
    from scipy.io import loadmat

    for picture in read_bsds(BSDS, "val")[:3]:
        cells = loadmat(picture.ground_truth)["groundTruth"][0]
        for cell, human in zip(cells, picture.humans(), strict=True):
            assert (boundary_map(human) == cell["Boundaries"][0, 0].astype(bool)).all()


# Agreement


def test_a_machine_that_does_as_every_annotator_agrees_wholly() -> None:
    found = HumanReference.of([split_at(40)] * 3).judge(split_at(40))
    assert found.covering == pytest.approx(1)
    assert found.rand_index == 1
    assert found.variation_of_information == 0
    assert found.boundary.f == 1
    assert found.regions == 2
    assert found.human_pixels == 3 * HEIGHT * WIDTH


def test_people_are_judged_by_the_others() -> None:
    agreeing = HumanReference.of([split_at(40), split_at(40)]).judge_people()
    assert agreeing is not None
    assert agreeing.covering == pytest.approx(1)
    assert agreeing.boundary.f == 1
    first, second = split_at(40), split_at(60)
    found = HumanReference.of([first, second]).judge_people()
    assert found is not None
    ways = [HumanReference.of([a]).judge(b).covering for a, b in ((first, second), (second, first))]
    assert found.covering == pytest.approx(np.mean(ways))
    assert HumanReference.of([first]).judge_people() is None


def test_no_annotator_is_a_data_error() -> None:
    with pytest.raises(DataError, match="at least one human"):
        HumanReference.of([]).judge(split_at(40))


def test_figures_of_a_data_set(bsds: Path) -> None:
    pictures = read_bsds(bsds, "val")
    write_truth(pictures[1].ground_truth, [halves(70)])
    done: list[int] = []
    found = measure_agreement(
        {"machine": lambda _: split_at(WIDTH // 2)}, pictures, told=lambda: done.append(1)
    )
    assert len(done) == 2
    assert list(found) == ["machine", PEOPLE]
    row = found["machine"]
    first, second = (r["covering"] for r in row["rows"])
    assert row["covering_by_picture"] == pytest.approx((first + second) / 2)
    assert row["covering"] == pytest.approx((3 * first + second) / 4)
    assert row["pri"] == pytest.approx(np.mean([r["pri"] for r in row["rows"]]))
    assert row["regions"] == 2
    assert row["regions_sd"] == 0
    assert [r["image"] for r in found[PEOPLE]["rows"]] == ["a"], "one annotator has no others"
    assert json.loads(json.dumps(found)) == found


def test_side_by_side_gives_the_same_figures(bsds: Path) -> None:
    pictures = read_bsds(bsds, "val")
    segments = {"grid": lambda pixels: GridSegmenter(3).segment(pixels, None)}
    alone = measure_agreement(segments, pictures)
    assert measure_agreement(segments, pictures, workers=2) == alone


def test_no_pictures_are_a_data_error() -> None:
    with pytest.raises(DataError, match="at least one picture"):
        measure_agreement({}, [])
    with pytest.raises(DataError, match="at least one picture"):
        search_baselines([])


# Stability


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("chelsea", "coffee"):
        Image.fromarray(sample_picture(name)[100:160, 120:210]).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


def test_a_segmenter_that_does_not_look_is_perfectly_stable(photographs: list[Path]) -> None:
    row = measure_stability({"blind": lambda _: split_at(40)}, photographs)["blind"]
    assert row["covering"] == pytest.approx(1)
    families = [family for families in KINDS.values() for family in families]
    assert list(row["families"]) == families
    assert all(values == pytest.approx([1] * 4) for values in row["families"].values())
    assert [r["image"] for r in row["rows"]] == ["chelsea.png", "coffee.png"]


def test_covering_is_taken_both_ways_and_kinds_weigh_alike(photographs: list[Path]) -> None:
    whole = Partition(np.zeros((HEIGHT, WIDTH), int))
    dark = np.asarray(Image.open(photographs[0])).mean() * 0.8

    def segment(pixels: Pixels) -> Partition:
        """Sees nothing in a picture that is too dark."""
        return whole if pixels.mean() < dark else split_at(30)

    row = measure_stability({"one": segment}, photographs[:1])["one"]
    assert row["families"]["jpeg"] == pytest.approx([1] * 4)
    assert row["families"]["overexpose"] == pytest.approx([1] * 4)
    # A third and two thirds by the whole: 1/9 + 4/9; the whole by two thirds: 2/3.
    both_ways = (5 / 9 + 2 / 3) / 2
    assert row["families"]["underexpose"] == pytest.approx([both_ways] * 4)
    assert row["covering"] == pytest.approx((3 + (1 + both_ways) / 2) / 4)
    assert row["clean_by_spoiled"] < row["spoiled_by_clean"]
    assert row["rows"][0]["covering"] == pytest.approx(row["covering"])


def test_a_seed_repeats_the_figures(photographs: list[Path]) -> None:
    segments = {"felzenszwalb": FelzenszwalbSegmenter().segment}
    found = measure_stability(segments, photographs)
    assert measure_stability(segments, photographs, workers=2) == found
    assert measure_stability(segments, photographs, seed=1) != found


def test_photographs_are_needed_and_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="clean photograph"):
        measure_stability({}, [])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.png"):
        measure_stability({}, [tmp_path / "bad.png"])


# All together


def test_baselines_get_their_best_setting(bsds: Path, few: dict[str, list[Segmenter]]) -> None:
    found = bench_segmenters({"mine": GridSegmenter(4)}, bsds=bsds)
    assert found["settings"]["mine"] == "grid-1/4"
    assert found["settings"]["grid"] == "grid-1/2", "4 cells cover halves and quarters best"
    for name, tried in found["search"]["covering"].items():
        assert set(tried) == {s.name for s in few[name]}
        assert tried[found["settings"][name]] == max(tried.values())
    assert set(found["agreement"]["rows"]) == {"mine", *few, PEOPLE}
    assert "stability" not in found


def test_without_the_data_set_baselines_keep_their_first_setting(
    photographs: list[Path], few: dict[str, list[Segmenter]]
) -> None:
    found = bench_segmenters({}, clean=photographs, limit=1)
    assert found["settings"] == {name: several[0].name for name, several in few.items()}
    assert found["stability"]["pictures"] == 1
    assert "agreement" not in found
    assert "search" not in found


def test_baselines_are_not_flattered(bsds: Path) -> None:
    with pytest.raises(ConfigError, match="flatter"):
        bench_segmenters({}, bsds=bsds, split="train")
    found = bench_segmenters({"g": GridSegmenter(2)}, bsds=bsds, split="train", baselines=False)
    assert set(found["agreement"]["rows"]) == {"g", PEOPLE}


def test_the_first_settings_are_the_defaults() -> None:
    first = {name: several[0] for name, several in segmentation_bench.BASELINES.items()}
    assert first["SLIC"] == SlicSegmenter()
    assert first["Felzenszwalb"] == FelzenszwalbSegmenter()
    for several in segmentation_bench.BASELINES.values():
        assert len({s.name for s in several}) == len(several)


@pytest.mark.parametrize("segmenter", [SlicSegmenter(9), FelzenszwalbSegmenter(50, 0.5, 0.02)])
def test_baselines_are_segmenters(
    segmenter: SlicSegmenter | FelzenszwalbSegmenter, cat: Pixels
) -> None:
    partition = segmenter.segment(cat)
    assert (partition.height, partition.width) == cat.shape[:2]
    assert 2 <= len(partition) <= 50
    assert segmenter.segment(cat) == partition
    assert not segmenter.needs_semantic
    if isinstance(segmenter, FelzenszwalbSegmenter):
        assert min(region.area for region in partition.regions) >= 0.02 - 1e-5


# The command


def stub_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stages(spec: str, **_: Any) -> list[dict[str, Any]]:
        row = {"megapixels": 12.0, "seconds": {"features": 0.25, "whole": 0.5}, "regions": 7}
        return [row | {"spec": spec, "peak_mb": None}]

    def rule(**_: Any) -> dict[str, Any]:
        return {"masks": 300, "width": 4000, "height": 3000, "seconds": 1.25, "peak_mb": 321.0}

    monkeypatch.setattr(segmentation_timing, "measure_stages", stages)
    monkeypatch.setattr(segmentation_timing, "measure_rule", rule)


@pytest.mark.usefixtures("few")
def test_the_command_prints_tables_and_writes_json(
    bsds: Path, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_timing(monkeypatch)
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "new" / "figures.json"
    ended = rsfiqa(
        *("bench", "segment", "--bsds", bsds, "--clean", photographs[0].parent),
        *("--segmenter", "grid:2", "--segmenter", "grid:3", "--limit", "1", "--json", file),
    )
    assert ended.exit_code == 0, ended.output
    for word in ("covering", "grid:2", "grid:3", "Felzenszwalb", "people", "JPEG", "mean", "1.25"):
        assert word in ended.stdout
    assert "unknown" in ended.stdout, "a platform that does not tell its memory"
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["agreement"]["pictures"] == figures["stability"]["pictures"] == 1
    assert figures["settings"]["grid:3"] == "grid-1/3"
    assert set(figures["timing"]["stages"]) == {"grid:2", "grid:3"}
    assert figures["machine"]["cores"]


def test_timing_alone_needs_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_timing(monkeypatch)
    ended = rsfiqa("bench", "segment", "--segmenter", "grid")
    assert ended.exit_code == 0, ended.output
    assert "300 masks on 4000×3000" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--no-timing",), 2, "nothing to measure"),
        (("--no-timing", "--bsds", "nowhere", "--segmenter", "grid"), 1, "is not a folder"),
        (("--no-timing", "--clean", "nowhere", "--segmenter", "grid"), 2, "no photographs"),
        (("--bsds", "nowhere", "--segmenter", "squares"), 2, "squares"),
        (("--bsds", "x", "--split", "train", "--segmenter", "grid"), 2, "flatter"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: tuple[str, ...], status: int, words: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = rsfiqa("bench", "segment", *arguments)
    assert ended.exit_code == status, ended.output
    assert words in ended.stderr
    assert "Traceback" not in ended.output


def test_figures_that_cannot_be_kept_are_found_out_before_measuring(tmp_path: Path) -> None:
    ended = rsfiqa("bench", "segment", "--segmenter", "grid", "--json", tmp_path)
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr


def test_stages_are_timed_in_a_process_of_their_own() -> None:
    (row,) = segmentation_timing.measure_stages("grid", [0.01])
    assert (row["width"], row["height"]) == (115, 87)
    assert set(row["seconds"]) == {"shrink", "features", "segment", "enlarge", "whole"}
    assert row["regions"] > 1
    assert row["peak_mb"] is None or row["peak_mb"] > 0


def test_random_masks_are_many_and_varied() -> None:
    from pycocotools import mask as coco

    masks = segmentation_timing.random_masks(50, 300, 400)
    assert len(masks) == 50
    areas = coco.area(masks)
    assert areas.min() < 300
    assert areas.max() > 5000
    assert masks == segmentation_timing.random_masks(50, 300, 400)
