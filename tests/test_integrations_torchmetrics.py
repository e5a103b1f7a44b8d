"""The torchmetrics metric: the scores of `assess`, with the conventions of every metric."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rsfiqa import RSFIQA
from rsfiqa.errors import ConfigError, ImageError, MissingExtraError

pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")

from torchmetrics import MetricCollection, MetricTracker

from rsfiqa.integrations.torchmetrics import RSFIQAMetric

Pixels = npt.NDArray[np.uint8]

# Metrics that are asked before they have seen anything, or got their state by merging, say so.
pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none", device="cpu")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def scores(assessor: RSFIQA, images: torch.Tensor) -> list[float]:
    return [assessor.assess(image).score for image in images]


def test_its_conventions() -> None:
    assert RSFIQAMetric.higher_is_better is True
    assert RSFIQAMetric.is_differentiable is False
    assert RSFIQAMetric.full_state_update is False
    assert (RSFIQAMetric.plot_lower_bound, RSFIQAMetric.plot_upper_bound) == (0, 100)


def test_it_is_the_mean_of_the_scores_of_assess(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    metric = RSFIQAMetric(assessor)
    assert metric(images[:2]).item() == pytest.approx(np.mean(scores[:2]), abs=1e-4)
    metric.update(images[2:])
    assert metric.compute().item() == pytest.approx(np.mean(scores), abs=1e-4)
    metric.reset()
    metric.update(images[1:2])
    assert metric.compute().item() == pytest.approx(scores[1], abs=1e-4)


def test_unreduced_it_keeps_the_order(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    metric = RSFIQAMetric(assessor, reduction="none")
    assert metric.compute().shape == (0,)
    metric.update(images[:1])
    metric.update(images[1:])
    assert metric.compute().tolist() == pytest.approx(scores, abs=1e-4)


def test_pictures_may_differ_in_size_and_kind(assessor: RSFIQA, cat: Pixels) -> None:
    small, large = cat[:60, :80].copy(), cat[:100, :90].copy()
    metric = RSFIQAMetric(assessor)
    metric.update([small, torch.from_numpy(large).permute(2, 0, 1)])
    expected = np.mean([assessor.assess(small).score, assessor.assess(large).score])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-4)


def test_a_batch_with_a_broken_picture_does_not_count(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    metric = RSFIQAMetric(assessor)
    metric.update(images)
    broken = images.clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(ImageError):
        metric.update(broken)
    assert metric.compute().item() == pytest.approx(np.mean(scores), abs=1e-4)


def test_processes_are_summed_up(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    """As after a synchronisation: the states of two processes, reduced as they are declared."""
    parts = [RSFIQAMetric(assessor), RSFIQAMetric(assessor)]
    parts[0].update(images[:1])
    parts[1].update(images[1:])
    merged = RSFIQAMetric(assessor)
    for part in parts:
        merged.merge_state(part)
    assert merged.compute().item() == pytest.approx(np.mean(scores), abs=1e-4)


def test_copies_count_apart_and_share_the_networks(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    metric = RSFIQAMetric(assessor)
    metric.update(images[:1])
    copy = metric.clone()
    copy.update(images[1:])
    assert copy._shared.assessor is assessor
    assert metric.compute().item() == pytest.approx(scores[0], abs=1e-4)
    assert copy.compute().item() == pytest.approx(np.mean(scores), abs=1e-4)


def test_it_serves_in_collections_and_trackers(
    assessor: RSFIQA, images: torch.Tensor, scores: list[float]
) -> None:
    collection = MetricCollection({"quality": RSFIQAMetric(assessor)}, prefix="val_")
    assert collection(images)["val_quality"].item() == pytest.approx(np.mean(scores), abs=1e-4)
    tracker = MetricTracker(RSFIQAMetric(assessor))
    for image in images:
        tracker.increment()
        tracker.update(image[None])
    best, step = tracker.best_metric(return_step=True)
    assert step == int(np.argmax(scores))
    assert best == pytest.approx(max(scores), abs=1e-4)


def test_its_state_is_saved_only_when_asked(assessor: RSFIQA) -> None:
    metric = RSFIQAMetric(assessor)
    assert metric.state_dict() == {}
    metric.persistent(True)
    assert set(metric.state_dict()) == {"total", "count"}
    assert pickle.dumps(metric.state_dict())


def test_it_plots_on_the_scale_of_scores(assessor: RSFIQA, images: torch.Tensor) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    metric = RSFIQAMetric(assessor)
    figure, axes = metric.plot([metric(image[None]) for image in images])
    low, high = axes.get_ylim()
    assert low <= 0
    assert high >= 100
    matplotlib.pyplot.close(figure)


def test_an_unknown_reduction_is_refused(assessor: RSFIQA) -> None:
    with pytest.raises(ConfigError, match="mean or none"):
        RSFIQAMetric(assessor, reduction="sum")  # type: ignore[arg-type]


def test_without_torchmetrics_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, "rsfiqa.integrations.torchmetrics")
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[torchmetrics\]"):
        importlib.import_module("rsfiqa.integrations.torchmetrics")
