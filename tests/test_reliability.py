"""How sure a score is, and which pictures are unlike those a scorer was trained on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fake_assessments import assessment, grid_labels, read_assessments
from rsfiqa import RSFIQA, Assessment
from rsfiqa.cli import app
from rsfiqa.errors import AssetError, DataError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.reliability import LEAST_PICTURES, Judged, fit_judged, fit_reliability
from rsfiqa.learning.reliability_adding import add_reliability
from rsfiqa.learning.reliability_figures import reliability_figures
from rsfiqa.scoring.checkpoint import load_checkpoint, save_checkpoint, weights_digest
from rsfiqa.scoring.model import RegionScorer, ScorerConfig
from rsfiqa.scoring.reliability import Reliability
from rsfiqa.scoring.uncertainty import COVERAGE, LEAST_ERROR, Uncertainty
from rsfiqa.summary import LONGEST, summarize
from scored_pictures import write_scored_pictures

WIDTH = 12


def judged(count: int, seed: int, *, spread: float = 1.0, hard: float = 0.0) -> Judged:
    """Pictures of a world in which errors grow with the first feature when `hard` is above 0."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(count, WIDTH)) * np.linspace(3, 0.5, WIDTH) * spread
    predicted = rng.uniform(5, 95, count)
    sigma = 8 * np.exp(hard * contexts[:, 0] / 3)
    scores = np.clip(predicted + rng.normal(size=count) * sigma, 0, 100)
    return Judged(torch.from_numpy(contexts).float(), predicted, scores)


@pytest.fixture(scope="module")
def reliability() -> Reliability:
    return fit_judged(judged(600, 0, hard=0.5), judged(400, 1, hard=0.5))


contexts = st.lists(st.floats(-60, 60, width=32), min_size=WIDTH, max_size=WIDTH).map(torch.tensor)
scores = st.floats(0, 100)


# Uncertainty


@given(score=scores, context=contexts)
def test_the_interval_holds_the_score_and_stays_on_the_scale(
    reliability: Reliability, score: float, context: torch.Tensor
) -> None:
    found = reliability.of(score, context)
    low, high = found.interval
    assert 0 <= low <= score <= high <= 100
    assert math.isfinite(found.uncertainty)
    assert found.uncertainty >= LEAST_ERROR * reliability.uncertainty.deviation
    assert 0 <= found.novelty < 1


@given(score=scores, context=contexts, factor=st.floats(1, 10))
def test_further_away_is_never_more_certain(
    reliability: Reliability, score: float, context: torch.Tensor, factor: float
) -> None:
    coordinates = reliability.familiarity.coordinates(context)
    expected = reliability.uncertainty.expected_error
    assert expected(score, coordinates, factor) >= expected(score, coordinates)
    assert expected(score, coordinates, 1 / factor) == expected(score, coordinates)


@given(score=scores, step=st.floats(0, 5), at=st.floats(-5, 5))
def test_a_harder_kind_is_never_more_certain(
    reliability: Reliability, score: float, step: float, at: float
) -> None:
    uncertainty = reliability.uncertainty
    direction = torch.from_numpy(uncertainty.difficulty[:-1]).float()
    easy, hard = at * direction, (at + step) * direction
    assert uncertainty.expected_error(score, hard) >= uncertainty.expected_error(score, easy) - 1e-5


def test_intervals_cover_pictures_that_nothing_was_fitted_to(reliability: Reliability) -> None:
    fresh = judged(2000, 2, hard=0.5)
    found = [
        reliability.of(float(s), c) for s, c in zip(fresh.predicted, fresh.contexts, strict=True)
    ]
    figures = reliability_figures(
        list(fresh.predicted),
        list(fresh.scores),
        [one.uncertainty for one in found],
        [one.interval for one in found],
    )
    assert figures.coverage == pytest.approx(COVERAGE, abs=0.04)
    assert figures.deviation_ratio == pytest.approx(1, abs=0.15)
    assert figures.srcc is not None
    assert figures.srcc > 0.15, "hard pictures are known to be hard"
    assert reliability.figures["coverage"] == pytest.approx(COVERAGE, abs=0.04)


def test_errors_that_do_not_depend_on_the_kind_give_intervals_of_one_width() -> None:
    found = fit_judged(judged(600, 0), judged(400, 1))
    widths = [
        high - low for low, high in (found.of(50.0, c).interval for c in judged(50, 3).contexts)
    ]
    assert np.std(widths) < 0.15 * np.mean(widths)


def test_so_few_that_one_error_in_ten_cannot_be_bounded_bound_nothing() -> None:
    uncertainty = Uncertainty(np.ones(4), np.zeros(4), np.zeros(3), 1.0, math.inf)
    assert uncertainty.interval(40.0, 1.0) == (0.0, 100.0)


# Familiarity


def test_at_most_one_in_a_hundred_pictures_of_the_kind_is_unfamiliar(
    reliability: Reliability,
) -> None:
    novelty = [reliability.of(50.0, c).novelty for c in judged(2000, 5).contexts]
    assert np.mean(np.array(novelty) >= Assessment.NOVEL_FROM) < 0.03
    assert np.mean(novelty) == pytest.approx(0.5, abs=0.08)


def test_strangers_are_unfamiliar_and_their_scores_uncertain(reliability: Reliability) -> None:
    for context in judged(50, 6, spread=12.0).contexts:
        found = reliability.of(50.0, context)
        assert found.novelty >= Assessment.NOVEL_FROM
        assert found.uncertainty > 2 * reliability.of(50.0, torch.zeros(WIDTH)).uncertainty


def test_few_held_out_pictures_cannot_call_anything_unfamiliar() -> None:
    found = fit_judged(judged(100, 0), judged(LEAST_PICTURES, 1))
    assert found.of(50.0, torch.full((WIDTH,), 1e3)).novelty < Assessment.NOVEL_FROM


# Fitting


def test_the_same_pictures_give_the_same_reliability() -> None:
    one, two = (fit_judged(judged(100, 0), judged(60, 1)).to_tensors() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_too_few_pictures() -> None:
    with pytest.raises(DataError, match="reliability needs 20 training and as many held-out"):
        fit_judged(judged(100, 0), judged(LEAST_PICTURES - 1, 1))


def test_features_that_never_vary_do_no_harm() -> None:
    flat = replace(judged(40, 0), contexts=torch.ones(40, WIDTH))
    found = fit_judged(flat, flat)
    for context in (torch.ones(WIDTH), torch.zeros(WIDTH)):
        one = found.of(50.0, context)
        assert math.isfinite(one.uncertainty)
        assert one.interval[0] <= 50 <= one.interval[1]


def pictures(count: int, seed: int) -> tuple[list[PictureFeatures], list[float]]:
    source = judged(count, seed)
    labels = torch.zeros(2, 2, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    features = [
        PictureFeatures(torch.randn(4, 2, 2, generator=generator), c, labels, torch.ones(1))
        for c in source.contexts
    ]
    return features, list(source.scores)


def test_a_scorer_learns_of_its_reliability_from_features() -> None:
    torch.manual_seed(0)
    scorer = RegionScorer(ScorerConfig(4, WIDTH, dim=4, hidden=4)).eval()
    training, validation = pictures(40, 0), pictures(30, 1)
    found = fit_reliability(scorer, *training, *validation)
    assert found is not None
    assert found.figures["n"] == 30
    assert fit_reliability(scorer, *training, *pictures(LEAST_PICTURES - 1, 1)) is None
    sets = JointSets(("mine", "other"), (0,) * 25 + (1,) * 15, (0,) * 20 + (1,) * 10)
    joint = fit_reliability(scorer, *training, *validation, sets=sets)
    assert joint is not None
    assert joint.figures["n"] == 20, "errors are those on the first set"
    assert len(joint.familiarity.bank) == 40, "all sets are familiar"
    few = JointSets(("mine", "other"), (0,) * 10 + (1,) * 30, (0,) * 20 + (1,) * 10)
    assert fit_reliability(scorer, *training, *validation, sets=few) is None


# Figures


def test_figures_of_known_intervals() -> None:
    found = reliability_figures([50, 50, 50], [50, 60, 80], [10, 10, 10], [(40, 60)] * 3)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.width == 20
    assert found.interval_score == pytest.approx(20 + 20 * 20 / 3)
    assert found.deviation_ratio == pytest.approx(math.sqrt((0 + 1 + 9) / 3))
    assert found.to_dict()["n"] == 3


@pytest.mark.parametrize("lengths", [(0, 0, 0, 0), (2, 1, 2, 2)])
def test_figures_of_what_does_not_fit_together(lengths: tuple[int, ...]) -> None:
    a, b, c, d = lengths
    with pytest.raises(DataError, match="one a picture"):
        reliability_figures([1.0] * a, [1.0] * b, [1.0] * c, [(0.0, 1.0)] * d)


# In files


@pytest.fixture(scope="module")
def reliable_folder(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny scorer with a reliability whose pictures are standard normal."""
    checkpoint = load_checkpoint(tiny_model_folder)
    width = len(checkpoint.stem.context_center)
    rng = np.random.default_rng(0)

    def normal(count: int) -> Judged:
        contexts = torch.from_numpy(rng.normal(size=(count, width))).float()
        predicted = rng.uniform(30, 70, count)
        return Judged(contexts, predicted, predicted + 5 * rng.normal(size=count))

    folder = tmp_path_factory.mktemp("reliable") / "tiny"
    fitted = fit_judged(normal(200), normal(150))
    save_checkpoint(replace(checkpoint, reliability=fitted), folder)
    return folder


@given(score=scores, context=contexts)
@settings(max_examples=20)
def test_tensors_bring_reliability_back(
    reliability: Reliability, score: float, context: torch.Tensor
) -> None:
    back = Reliability.from_tensors(reliability.to_tensors(), reliability.figures)
    one, other = reliability.of(score, context), back.of(score, context)
    assert other.novelty == one.novelty
    assert other.uncertainty == pytest.approx(one.uncertainty, rel=1e-5)
    assert other.interval == pytest.approx(one.interval, rel=1e-5, abs=1e-4)


def test_a_checkpoint_keeps_its_reliability(reliable_folder: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(reliable_folder)
    assert checkpoint.reliability is not None
    assert checkpoint.reliability.figures["n"] == 150
    save_checkpoint(checkpoint, tmp_path)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (reliable_folder / name).read_bytes()
    without = replace(checkpoint, reliability=None)
    assert weights_digest(without) != weights_digest(checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        {"uncertainty.level": torch.zeros(3)},
        {"uncertainty.factors": torch.tensor([-1.0, 1.0])},
        {"uncertainty.factors": torch.tensor([math.nan, 1.0])},
        {"uncertainty.difficulty": torch.zeros(2)},
        {"familiarity.offset": torch.zeros(1)},
        {"familiarity.bank": torch.zeros(0, WIDTH)},
        {"familiarity.distances": torch.zeros(0)},
        {"familiarity.bank": None},
    ],
)
def test_damaged_tensors_are_refused(
    reliability: Reliability, change: dict[str, torch.Tensor | None]
) -> None:
    tensors = reliability.to_tensors() | change  # type: ignore[operator]
    with pytest.raises((KeyError, ValueError)):
        Reliability.from_tensors({k: v for k, v in tensors.items() if v is not None}, {})


def test_a_folder_with_half_a_reliability_is_told_in_a_sentence(
    reliable_folder: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(reliable_folder / "model.safetensors")
    del tensors["reliability.familiarity.bank"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((reliable_folder / "config.json").read_bytes())
    with pytest.raises(AssetError, match="is incomplete: 'bank'"):
        load_checkpoint(tmp_path)


# In results


@pytest.fixture(scope="module")
def assessor(reliable_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(reliable_folder, reader="none")


def test_a_result_says_how_sure_it_is(assessor: RSFIQA, cat: npt.NDArray[np.uint8]) -> None:
    alone = assessor.assess(cat[:128, :160])
    assert alone.uncertainty is not None
    assert alone.interval is not None
    assert alone.novelty is not None
    assert alone.interval[0] <= alone.score <= alone.interval[1]
    crops = [cat[:128, :160], cat[100:200, 100:300], cat[:64, :64]]
    first, *_ = assessor.assess_batch(crops)
    assert isinstance(first, Assessment)
    for name in ("uncertainty", "interval", "novelty", "familiar"):
        assert getattr(first, name) == pytest.approx(getattr(alone, name), abs=1e-4), name


def test_a_scorer_that_knows_nothing_of_it_says_nothing(
    tiny_model_folder: Path, cat: npt.NDArray[np.uint8]
) -> None:
    result = RSFIQA.from_pretrained(tiny_model_folder, reader="none").assess(cat[:64, :64])
    written = json.loads(result.to_json())
    for name in ("uncertainty", "interval", "familiar", "novelty"):
        assert getattr(result, name) is None
        assert written[name] is None
    back = Assessment.from_json(result.to_json())
    assert (back.uncertainty, back.interval, back.familiar) == (None, None, None)


@st.composite
def reliable_assessments(draw: st.DrawFn) -> Assessment:
    plain = draw(read_assessments())
    low, high = draw(st.floats(0, plain.score)), draw(st.floats(plain.score, 100))
    return replace(
        plain,
        uncertainty=draw(st.floats(0.1, 40)),
        interval=(low, high),
        novelty=draw(st.one_of(st.floats(0, 0.9999), st.sampled_from([0.98999, 0.99, 496 / 501]))),
    )


@given(reliable_assessments())
@settings(max_examples=50)
def test_json_brings_it_back(one: Assessment) -> None:
    back = Assessment.from_json(one.to_json())
    assert back.familiar == one.familiar
    assert back.novelty == pytest.approx(one.novelty, abs=1e-4)
    assert back.uncertainty == pytest.approx(one.uncertainty, abs=1e-3)
    assert back.interval is not None
    assert back.interval == pytest.approx(one.interval, abs=2e-3)
    assert back.interval[0] <= back.score + 1e-5
    assert back.score <= back.interval[1] + 1e-5
    assert all(0 <= edge <= 100 for edge in back.interval)


def test_results_of_earlier_versions_are_read() -> None:
    old = json.loads(assessment(grid_labels(20, 20, 2, 2), [50] * 4).to_json())
    for name in ("uncertainty", "interval", "familiar", "novelty"):
        del old[name]
    back = Assessment.from_json(json.dumps(old))
    assert back.interval is None
    assert back.familiar is None


@pytest.mark.parametrize("interval", [[1], "x", [1, 2, 3], 7])
def test_a_result_with_an_odd_interval_is_refused(interval: Any) -> None:
    record = json.loads(assessment(grid_labels(20, 20, 2, 2), [50] * 4).to_json())
    with pytest.raises(DataError, match="not an assessment"):
        Assessment.from_json(json.dumps(record | {"interval": interval}))


@pytest.mark.parametrize("text", ['"error"', "[]", "3", "null", b"\xff{", "[" * 100_000, "{", "{}"])
def test_what_is_no_result_is_refused(text: str | bytes) -> None:
    with pytest.raises(DataError, match="not an assessment"):
        Assessment.from_json(text)


def test_a_reading_of_an_unknown_kind_is_refused() -> None:
    record = json.loads(assessment(grid_labels(20, 20, 2, 2), [50] * 4).to_json())
    record["regions"][0]["reading"] = "guessed"
    with pytest.raises(DataError, match="a reading is ok, failed, absent; got 'guessed'"):
        Assessment.from_json(json.dumps(record))


@given(reliable_assessments())
@settings(max_examples=50)
def test_the_summary_says_of_strangers_that_they_are_strange(one: Assessment) -> None:
    text = summarize(one)
    known = summarize(replace(one, novelty=0.5))
    if one.familiar:
        assert text == known
    else:
        assert text.startswith(known)
        assert text.endswith("so take the score with care.")
    assert len(text) <= LONGEST
    assert "\n" not in text


def test_the_report_gives_interval_and_warning(tmp_path: Path) -> None:
    plain = assessment(grid_labels(40, 60, 2, 2), [50] * 4)
    strange = replace(plain, uncertainty=5.0, interval=(38.2, 61.8), novelty=0.998)
    page = strange.save_report(tmp_path / "strange.html").read_text(encoding="utf-8")
    assert "90 % interval of the score 38 to 62" in page
    assert "take the score with care" in page
    page = plain.save_report(tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "interval of the score" not in page


def test_the_command_names_strangers(reliable_folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(tmp_path / "white.png")
    arguments = ["assess", tmp_path / "white.png", "--model", reliable_folder, "--reader", "none"]
    ended = CliRunner().invoke(app, [str(a) for a in arguments])
    assert ended.exit_code == 0, ended.output
    record = json.loads(ended.stdout.splitlines()[0])
    assert record["familiar"] is False
    assert record["novelty"] >= 0.99
    told = [line for line in ended.stderr.splitlines() if "take the score with care" in line]
    assert len(told) == 1
    assert told[0].endswith("white.png.")


# For scorers that are trained already


def test_reliability_is_added_to_a_folder(tiny_model_folder: Path, tmp_path: Path) -> None:
    plain = load_checkpoint(tiny_model_folder)
    name = f"tiny-{weights_digest(plain)}"
    folder = tmp_path / "model"
    save_checkpoint(replace(plain, name=name, card=f"# {name}\n"), folder)
    data = write_scored_pictures(tmp_path / "data", 42, splits=("train", "val"), side=40)
    told: list[tuple[str, int, int]] = []
    added = add_reliability(
        folder,
        ScoredImages.from_csv(data),
        cache=tmp_path / "cache",
        progress=lambda *now: told.append(now),
    )
    loaded = load_checkpoint(folder)
    assert loaded.reliability is not None
    assert loaded.reliability.figures["n"] == 21
    assert loaded.name == added.name != name
    assert loaded.card == f"# {added.name}\n"
    assert told[-1] == ("validation pictures", 21, 21)
    for one, other in zip(
        plain.scorer.state_dict().values(), loaded.scorer.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_reliability_is_not_added_from_few_pictures(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save_checkpoint(load_checkpoint(tiny_model_folder), folder)
    before = (folder / "model.safetensors").read_bytes()
    data = write_scored_pictures(tmp_path / "data", 6, splits=("train", "val"), side=40)
    with pytest.raises(DataError, match="got 3 and 3"):
        add_reliability(folder, ScoredImages.from_csv(data), cache=tmp_path / "cache")
    assert (folder / "model.safetensors").read_bytes() == before
