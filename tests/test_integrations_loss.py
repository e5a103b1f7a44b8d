"""The scorer as a differentiable loss: it agrees with `assess`, and its gradients are the slopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsfiqa import RSFIQA, Partition, as_loss
from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.images import PIXEL_BUDGET
from rsfiqa.integrations.loss import QualityLoss
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.samples import sample_picture

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none", device="cpu")


@pytest.fixture(scope="module")
def loss(assessor: RSFIQA) -> QualityLoss:
    return as_loss(assessor)


@pytest.fixture(scope="module")
def crop(cat: Pixels) -> Pixels:
    return cat[40:168, 100:260].copy()


def to_images(*pictures: Pixels) -> Tensor:
    return torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1) for p in pictures]) / 255


def halves(height: int, width: int) -> Partition:
    return Partition(np.repeat(np.arange(2), -(-width // 2))[None, :width].repeat(height, 0))


# What it says


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_it_agrees_with_assess(assessor: RSFIQA, loss: QualityLoss, name: str) -> None:
    pixels = np.ascontiguousarray(sample_picture(name)[::3, ::3])
    assessed = assessor.assess(pixels)
    assert loss.segment(to_images(pixels)) == [assessed.partition]
    assert 100 * (1 - loss(to_images(pixels)).item()) == pytest.approx(assessed.score, abs=1e-3)


def test_it_agrees_on_pictures_over_the_pixel_budget(assessor: RSFIQA, loss: QualityLoss) -> None:
    pixels = np.ascontiguousarray(sample_picture("coffee").repeat(2, 0).repeat(2, 1))
    assert pixels.shape[0] * pixels.shape[1] > PIXEL_BUDGET
    partition = halves(800, 1200)
    score = loss.scorer(to_images(pixels), [partition]).item()
    assert score == pytest.approx(assessor.assess(pixels, partition=partition).score, abs=0.5)


def test_the_shipped_scorer_agrees_with_assess(real_asset: object, crop: Pixels) -> None:
    assert callable(real_asset)
    for asset in ("dinov2-small", "efficientnet-lite0"):
        real_asset(asset)
    shipped = RSFIQA.from_pretrained(reader="none", device="cpu")
    image = to_images(crop).requires_grad_()
    score = as_loss(shipped).scorer(image)
    score.sum().backward()
    assert score.item() == pytest.approx(shipped.assess(crop).score, abs=0.5)
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0


def test_given_regions_are_used(assessor: RSFIQA, loss: QualityLoss, crop: Pixels) -> None:
    partition = halves(*crop.shape[:2])
    with_halves = loss.scorer(to_images(crop), [partition]).item()
    assert with_halves == pytest.approx(assessor.assess(crop, partition=partition).score, abs=1e-3)
    assert with_halves != pytest.approx(loss.scorer(to_images(crop)).item(), abs=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 99), others=st.integers(1, 3))
def test_a_score_does_not_depend_on_the_batch(
    assessor: RSFIQA, loss: QualityLoss, seed: int, others: int
) -> None:
    torch.manual_seed(seed)
    images = torch.rand(1 + others, 3, 48, 64)
    together = loss.scorer(images)
    assert together.shape == (1 + others,)
    assert ((together >= 0) & (together <= 100)).all()
    torch.testing.assert_close(together[:1], loss.scorer(images[:1]), atol=1e-4, rtol=0)


def test_reductions(assessor: RSFIQA) -> None:
    images = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    each = as_loss(assessor, reduction="none")(images)
    assert each.shape == (3,)
    assert ((each >= 0) & (each <= 1)).all()
    torch.testing.assert_close(as_loss(assessor)(images), each.mean())
    torch.testing.assert_close(as_loss(assessor, reduction="sum")(images), each.sum())


# Gradients


def test_gradients_are_the_slopes_of_the_loss(loss: QualityLoss, crop: Pixels) -> None:
    image = to_images(crop[::2, ::2]) * 0.8 + 0.1
    regions = loss.segment(image)
    image.requires_grad_()
    loss(image, regions).backward()
    assert image.grad is not None
    gradient = image.grad.clone()
    generator = torch.Generator().manual_seed(8)
    # Along the gradient, where the slope is steepest, and along three mixtures with chance.
    for share in (0.0, 0.5, 0.7, 0.9):
        noise = torch.randn(gradient.shape, generator=generator)
        direction = (1 - share) * gradient / gradient.norm() + share * noise / noise.norm()
        step = 0.005 / direction.abs().max()
        with torch.no_grad():
            up, down = (loss(image + s * step * direction, regions) for s in (1, -1))
        slope = ((up - down) / (2 * step)).item()
        assert slope == pytest.approx((gradient * direction).sum().item(), rel=0.02)


def test_a_step_down_the_gradient_raises_the_score(loss: QualityLoss, crop: Pixels) -> None:
    image = to_images(crop).requires_grad_()
    regions = loss.segment(image)
    before = loss(image, regions)
    before.backward()
    assert image.grad is not None
    with torch.no_grad():
        after = loss(image - 0.02 * image.grad / image.grad.abs().max(), regions)
    assert after < before


def test_only_the_picture_gets_a_gradient(assessor: RSFIQA, loss: QualityLoss) -> None:
    image = torch.rand(1, 3, 40, 40, requires_grad=True)
    loss(image).backward()
    assert image.grad is not None
    assert not any(p.requires_grad or p.grad is not None for p in loss.parameters())
    assert all(p.grad is None for p in assessor.scorer.parameters())


def test_assessing_goes_on_as_before(assessor: RSFIQA, loss: QualityLoss, crop: Pixels) -> None:
    before = assessor.assess(crop).score
    loss.train()
    assert not any(module.training for module in loss.scorer.modules())
    loss(to_images(crop).requires_grad_()).backward()
    assert assessor.assess(crop).score == before


def test_autocast_changes_nothing(loss: QualityLoss, crop: Pixels) -> None:
    plain = loss(to_images(crop))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(to_images(crop)) == plain


def test_values_outside_are_clipped_and_get_no_gradient(loss: QualityLoss, crop: Pixels) -> None:
    image = to_images(crop)
    image[..., :20] += 2
    image.requires_grad_()
    scored = loss(image)
    scored.backward()
    assert image.grad is not None
    assert not image.grad[..., :20].any()
    assert image.grad[..., 20:].any()
    assert loss(image.detach().clamp(0, 1)) == scored


def framed(height: int = 96, width: int = 128) -> Tensor:
    """A picture between black bars."""
    image = torch.zeros(1, 3, height, width)
    ramp = torch.linspace(0.1, 0.9, width) * torch.linspace(0.5, 1, height // 3)[:, None]
    image[..., height // 3 : 2 * (height // 3), :] = ramp
    return image


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 3, 64, 96),
        torch.ones(1, 3, 64, 96),
        torch.full((1, 3, 40, 40), 0.5),
        framed(),
    ],
    ids=["black", "white", "grey", "framed"],
)
def test_gradients_are_numbers_where_nothing_varies(loss: QualityLoss, image: Tensor) -> None:
    image = image.clone().requires_grad_()
    loss(image).backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_an_assessor_goes_where_its_parts_are_moved(tiny_model_folder: Path) -> None:
    assessor = RSFIQA.from_pretrained(tiny_model_folder, reader="none", device="cpu")
    as_loss(assessor).to("meta")
    assert assessor.extractor.device.type == "meta"


# Regions


class CountingSegmenter(GridSegmenter):
    """Cuts into cells, and counts how often."""

    segmented = 0

    def segment(self, *arguments: Any) -> Partition:
        type(self).segmented += 1
        return super().segment(*arguments)


def test_regions_of_a_picture_are_segmented_once(tiny_model_folder: Path, crop: Pixels) -> None:
    counting = CountingSegmenter(4)
    scorer = as_loss(RSFIQA.from_pretrained(tiny_model_folder, segmenter=counting, reader="none"))
    images = to_images(crop, crop[::-1])
    assert scorer.segment(images) == scorer.segment(images)
    scorer(images)
    assert counting.segmented == 2


# Refusals


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(3, 40, 40), "B, 3, H, W"),
        (torch.zeros(1, 1, 40, 40), "grey"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "divide by 255"),
        (np.zeros((1, 3, 40, 40)), "tensor"),
        (torch.zeros(1, 3, 20, 40), "at least 32"),
        (torch.full((1, 3, 40, 40), torch.nan), "NaN"),
    ],
)
def test_what_is_no_batch_of_pictures_is_refused(
    loss: QualityLoss, images: Tensor, said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        loss(images)
    with pytest.raises(ImageError, match=said):
        loss.segment(images)


def test_partitions_must_fit(loss: QualityLoss) -> None:
    images = torch.rand(2, 3, 40, 48)
    with pytest.raises(DataError, match="1 partitions for 2 pictures"):
        loss(images, [halves(40, 48)])
    with pytest.raises(DataError, match="48×40 but a partition 40×48"):
        loss(images, [halves(40, 48), halves(48, 40)])


def test_an_unknown_reduction_is_refused(assessor: RSFIQA) -> None:
    with pytest.raises(ConfigError, match="mean, sum, none"):
        as_loss(assessor, reduction="median")  # type: ignore[arg-type]
