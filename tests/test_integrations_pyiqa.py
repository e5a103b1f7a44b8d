"""The metric `rsfiqa` in pyiqa; what needs pyiqa itself runs where that is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from rsfiqa import RSFIQA
from rsfiqa.errors import RsfiqaError
from rsfiqa.integrations import pyiqa as plugin

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pyiqa() -> ModuleType:
    module: ModuleType = pytest.importorskip(
        "pyiqa", reason="pyiqa is not installed; rsfiqa does not depend on it"
    )
    plugin.register()
    return module


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none", device="cpu")


@pytest.fixture(scope="module")
def crop(cat: Pixels) -> Pixels:
    return cat[40:168, 100:260].copy()


def to_images(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255


# Without pyiqa


def test_the_network_scores_a_batch(
    tiny_model_folder: Path, assessor: RSFIQA, crop: Pixels
) -> None:
    network = plugin.RSFIQANetwork(tiny_model_folder)
    scores = network(to_images(crop).expand(2, -1, -1, -1))
    assert scores.shape == (2, 1)
    assert scores[:, 0].tolist() == pytest.approx([assessor.assess(crop).score] * 2, abs=1e-3)


def test_grey_pictures_are_taken(tiny_model_folder: Path, assessor: RSFIQA, crop: Pixels) -> None:
    grey = crop[:, :, 1].copy()
    score = plugin.RSFIQANetwork(tiny_model_folder)(torch.from_numpy(grey)[None, None] / 255)
    assert score.item() == pytest.approx(assessor.assess(grey).score, abs=1e-3)


def test_without_pyiqa_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyiqa"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(RsfiqaError, match="pip install pyiqa"):
        plugin.register()


# With it


def test_it_is_listed(pyiqa: ModuleType) -> None:
    plugin.register()  # again
    assert "rsfiqa" in pyiqa.list_models()
    assert "rsfiqa" in pyiqa.list_models(metric_mode="NR")
    assert "rsfiqa" not in pyiqa.list_models(metric_mode="FR")


def test_it_gives_the_scores_of_assess(
    pyiqa: Any, tiny_model_folder: Path, assessor: RSFIQA, crop: Pixels, tmp_path: Path
) -> None:
    metric = pyiqa.create_metric("rsfiqa", device=torch.device("cpu"), model=tiny_model_folder)
    assert metric.lower_better is False
    assert metric.score_range == "0, 100"
    Image.fromarray(crop).save(tmp_path / "cat.png")
    expected = assessor.assess(crop).score
    assert metric(to_images(crop)).item() == pytest.approx(expected, abs=1e-3)
    assert metric(str(tmp_path / "cat.png")).item() == pytest.approx(expected, abs=1e-3)


def test_it_gives_gradients_as_a_loss(pyiqa: Any, tiny_model_folder: Path, crop: Pixels) -> None:
    cpu = torch.device("cpu")
    metric = pyiqa.create_metric("rsfiqa", as_loss=True, device=cpu, model=tiny_model_folder)
    image = to_images(crop).requires_grad_()
    metric(image).backward()
    assert image.grad is not None
    assert image.grad.any()
