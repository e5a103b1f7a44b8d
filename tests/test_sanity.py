"""Sanity without labels: scores against strength, and what must not move them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from command_line import rsfiqa
from photographs import save_photographs
from rsfiqa import RSFIQA
from rsfiqa.cli import common
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.images import ImageSource, load_image
from rsfiqa.learning.distortions import FAMILIES
from rsfiqa.learning.sanity import LEVELS, FamilyCurves, Invariance, all_families, measure_sanity
from rsfiqa.learning.sanity_plot import curves_png
from rsfiqa.learning.sanity_variants import EXPECTED, TOLERANCES, variants
from rsfiqa.samples import sample_picture
from strict_warnings import no_warnings

Pixels = npt.NDArray[np.uint8]


def sharpness(pictures: Sequence[ImageSource]) -> list[float]:
    """A scorer that falls with blur, and for which noise is all to the good."""
    found = []
    for picture in pictures:
        grey = load_image(picture).pixels.astype(float).mean(axis=2)
        found.append(float(min(100, 4 * np.abs(np.diff(grey, axis=1)).mean())))
    return found


def crop(name: str) -> Pixels:
    return np.ascontiguousarray(sample_picture(name)[40:200, 60:260])


def test_a_scorer_of_sharpness_falls_with_blur_and_rises_with_noise() -> None:
    pictures = [(name, crop(name)) for name in ("chelsea", "coffee")]
    told: list[int] = []
    found = measure_sanity(
        sharpness,
        pictures,
        families=["gaussian_blur", "gaussian_noise"],
        told=lambda: told.append(1),
    )
    assert found.pictures == ("chelsea", "coffee")
    assert len(told) == 2 * 3
    blur, noise = found.families
    assert (blur.dimension, noise.dimension) == ("blur", "noise")
    assert (blur.spearman, blur.monotone, blur.worst_rise) == (pytest.approx(-1), 1, 0)
    assert (noise.spearman, noise.monotone) == (pytest.approx(1), 0)
    assert noise.worst_rise > 0 > noise.fall
    assert [row[0] for row in blur.scores] == [row[0] for row in noise.scores], "the clean picture"
    assert blur.means[0] == pytest.approx(np.mean(sharpness([pixels for _, pixels in pictures])))
    rows = {row.name: row for row in found.invariances}
    assert list(rows) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        if expected == "equal":
            assert rows[name].largest == 0
            assert rows[name].holds
    assert rows["mirrored"].largest == pytest.approx(0)
    assert rows["0.5 of its size"].bias > 0, "smaller pictures have steeper edges"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["families"][0]["monotone"] == 1


def test_the_same_seed_measures_the_same() -> None:
    pictures = [("coffee", crop("coffee"))]
    how: dict[str, Any] = {"families": ["gaussian_noise"], "invariances": False}
    first = measure_sanity(sharpness, pictures, **how)
    assert measure_sanity(sharpness, pictures, **how) == first
    assert measure_sanity(sharpness, pictures, **how, seed=1) != first
    assert first.invariances == ()


curve = st.lists(st.floats(0, 100), min_size=len(LEVELS), max_size=len(LEVELS))


@settings(max_examples=60)
@given(st.lists(curve, min_size=1, max_size=5))
def test_figures_of_any_curves_are_within_range(scores: list[list[float]]) -> None:
    found = FamilyCurves("haze", "color", tuple(tuple(row) for row in scores))
    assert -1 - 1e-9 <= found.spearman <= 1 + 1e-9
    assert 0 <= found.monotone <= 1
    assert found.worst_rise >= 0
    if found.monotone == 1:
        assert found.spearman == pytest.approx(-1)
        assert found.worst_rise == 0
        assert found.fall > 0
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_a_score_that_never_moves_is_neither_monotone_nor_correlated() -> None:
    found = FamilyCurves("haze", "color", ((50.0,) * 5,))
    assert (found.spearman, found.monotone, found.fall, found.worst_rise) == (0, 0, 0, 0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6))
def test_a_change_holds_within_its_tolerance(changes: list[float]) -> None:
    found = Invariance("mirrored", "close", tuple(changes))
    assert found.holds is (max(map(abs, changes)) <= TOLERANCES["close"])
    assert abs(found.bias) <= found.mean + 1e-9
    assert found.mean <= found.largest + 1e-9


@settings(max_examples=10)
@given(st.integers(32, 90), st.integers(32, 90), st.integers(0, 99))
def test_files_of_equal_pixels_are_equal(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    for name, copy in variants(pixels).items():
        opened = load_image(copy).pixels
        if EXPECTED[name] == "equal":
            assert isinstance(copy, bytes)
            np.testing.assert_array_equal(opened, pixels)
        assert min(opened.shape[:2]) >= 32, name


def test_files_are_what_they_are_called() -> None:
    for name, copy in variants(crop("coffee")).items():
        if isinstance(copy, bytes):
            with Image.open(io.BytesIO(copy)) as image:
                assert image.format is not None
                assert image.format.lower() in name.lower()


def test_frames() -> None:
    pixels = crop("coffee")  # 160 × 200
    shapes = {k: v.shape[:2] for k, v in variants(pixels).items() if isinstance(v, np.ndarray)}
    assert shapes["0.75 of its size"] == (120, 150)
    assert shapes["1.5 times its size"] == (240, 300)
    assert shapes["cut to 1:1"] == (160, 160)
    assert shapes["cut to 2:1"] == (100, 200)
    assert shapes["cut to 1:2"] == (160, 80)
    assert shapes["black bars"] == (212, 200)


def test_what_cannot_be_measured() -> None:
    pictures = [("coffee", crop("coffee"))]
    with pytest.raises(ConfigError, match="unknown distortion 'fog'"):
        measure_sanity(sharpness, pictures, families=["fog"])
    with pytest.raises(ConfigError, match="no distortion"):
        measure_sanity(sharpness, pictures, families=[])
    with pytest.raises(DataError, match="no photographs"):
        measure_sanity(sharpness, [])


def test_all_families_are_measured_by_default() -> None:
    assert set(all_families()) == {name for names in FAMILIES.values() for name in names}


@no_warnings
@pytest.mark.parametrize("count", [1, 6])
def test_plot(count: int) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra 'plot'")
    found = measure_sanity(
        sharpness, [("a", crop("chelsea"))], families=all_families()[:count], invariances=False
    )
    with Image.open(io.BytesIO(curves_png(found, "sharpness"))) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300


# The command


@pytest.fixture
def tiny(tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny scorer in the place of the packaged one."""
    monkeypatch.setattr("rsfiqa.assessor.default_folder", lambda: tiny_model_folder)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("tiny")
def test_the_command_prints_tables_and_writes_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra 'plot'")
    folder = save_photographs(tmp_path / "in", "cat", "coffee")
    out, plot = tmp_path / "new" / "sanity.json", tmp_path / "sanity.png"
    how = (
        "--family",
        "jpeg",
        "--family",
        "gaussian_noise",
        "--limit",
        "1",
        "--out",
        out,
        "--plot",
        plot,
    )
    ended = rsfiqa("bench", "sanity", folder, *how)
    assert ended.exit_code == 0, ended.output
    for word in ("jpeg", "gaussian_noise", "artifact", "mirrored", "TIFF"):
        assert word in ended.stdout
    assert "…" not in ended.stdout
    figures = json.loads(out.read_text("utf-8"))
    assert figures["model"]["scorer"] == "tiny-test"
    assert len(figures["pictures"]) == 1
    assert [row["family"] for row in figures["families"]] == ["jpeg", "gaussian_noise"]
    equal = [row for row in figures["invariances"] if row["expected"] == "equal"]
    assert len(equal) == 4
    assert all(row["holds"] for row in equal), "scores do not depend on the file's format"
    with Image.open(plot) as image:
        assert image.format == "PNG"


@pytest.mark.usefixtures("tiny")
def test_the_command_takes_samples_and_shrinks_large_pictures(tmp_path: Path) -> None:
    out = tmp_path / "sanity.json"
    how = ("--family", "haze", "--no-invariances", "--long-side", "96", "--limit", "5")
    ended = rsfiqa("bench", "sanity", *how, "--out", out)
    assert ended.exit_code == 0, ended.output
    figures = json.loads(out.read_text("utf-8"))
    assert figures["pictures"] == ["astronaut", "camera", "chelsea", "china", "coffee"]
    assert "must not move" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.png",), 1, "missing.png does not exist"),
        (("--family", "fog"), 2, "unknown distortion 'fog'"),
        (("--model", "no/such folder"), 1, "neither an existing file or folder nor a hub id"),
    ],
)
def test_what_the_command_cannot_do_is_one_sentence(
    arguments: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(**_: Any) -> RSFIQA:
        pytest.fail("work was begun")

    monkeypatch.setattr(common, "make_assessor", begun)
    ended = rsfiqa("bench", "sanity", *arguments)
    assert ended.exit_code == code, ended.output
    assert words in ended.stderr


def test_figures_that_cannot_be_kept_are_found_out_before_measuring(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra 'plot'")
    for option in ("--out", "--plot"):
        ended = rsfiqa("bench", "sanity", option, tmp_path)
        assert ended.exit_code == 1
        assert "cannot be written" in ended.stderr
