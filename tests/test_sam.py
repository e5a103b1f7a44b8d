"""The SAM family: every point asked, little memory, and always a true partition."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa import Partition
from rsfiqa.errors import AssetError, ConfigError, ImageError, MissingExtraError
from rsfiqa.regions.rule import PartitionRule
from rsfiqa.regions.sam import SamSegmenter
from rsfiqa.regions.sam_models import PointPrompted
from rsfiqa.regions.sam_points import generate_masks, point_grid

pytest.importorskip("transformers")
from tiny_sam import FAMILIES, SIDE, ColourModel, processor, save_tiny

Pixels = npt.NDArray[np.uint8]
ANYTHING = {"points_per_side": 5, "points_per_batch": 7, "pred_iou_thresh": 0.5}
"""Settings under which an untrained model's masks stay."""

SQUARES: Pixels = np.zeros((60, 90, 3), np.uint8)
"""Black, with a red square at the lower left and a blue one at the right edge."""
SQUARES[32:58, 4:30] = (255, 0, 0)
SQUARES[10:50, 60:] = (0, 0, 255)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each family."""
    return save_tiny(request.param, tmp_path_factory.mktemp("sam") / f"tiny-{request.param}")


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("sam", tmp_path_factory.mktemp("sam") / "tiny")


@pytest.fixture
def broken(sam_folder: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be damaged."""
    return shutil.copytree(sam_folder, tmp_path / "broken")


def seeing_colour(kind: str = "pad", **settings: Any) -> tuple[SamSegmenter, ColourModel]:
    network = ColourModel()
    model = PointPrompted(network, processor(kind), label="colour")
    return SamSegmenter(model, **{"rule": PartitionRule(min_area=0.08), **settings}), network


def out_of_memory_above(limit: int, what: str = "points") -> Callable[[str, int], None]:
    def before(step: str, count: int) -> None:
        if step == what and count > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return before


class TestEveryFamily:
    def test_a_saved_model_gives_a_partition(self, folder: Path, cat: Pixels) -> None:
        segmenter = SamSegmenter.from_pretrained(folder, **ANYTHING)
        partition = segmenter.segment(cat, None)
        assert (partition.height, partition.width) == cat.shape[:2]
        assert len(partition) > 1
        again = SamSegmenter.from_pretrained(folder, **ANYTHING)
        assert again.segment(cat) == partition
        assert again.name == segmenter.name
        assert not segmenter.needs_semantic

    def test_points_at_once_change_nothing(self, folder: Path, cat: Pixels) -> None:
        seven, many = (
            SamSegmenter.from_pretrained(folder, **{**ANYTHING, "points_per_batch": n})
            for n in (7, 64)
        )
        same = seven.segment(cat).labels == many.segment(cat).labels
        assert same.mean() > 0.995  # a border may move by the rounding of floats
        assert seven.name == many.name

    def test_a_batch_gives_what_each_picture_gives(self, folder: Path, cat: Pixels) -> None:
        segmenter = SamSegmenter.from_pretrained(folder, **ANYTHING)
        pictures = [cat, cat[:50, ::-1], SQUARES]
        alone = [segmenter.segment(pixels) for pixels in pictures]
        assert segmenter.segment_batch(pictures) == alone
        together = SamSegmenter.from_pretrained(folder, pictures_per_batch=3, **ANYTHING)
        for one, other in zip(together.segment_batch(pictures), alone, strict=True):
            assert (one.labels == other.labels).mean() > 0.99
        assert segmenter.segment_batch([]) == []

    def test_a_model_that_finds_nothing(self, folder: Path, cat: Pixels) -> None:
        segmenter = SamSegmenter.from_pretrained(
            folder, points_per_side=3, pred_iou_thresh=1, stability_score_thresh=1
        )
        assert segmenter.segment(cat) == Partition(np.zeros(cat.shape[:2], int))

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 40)])
    def test_pictures_of_odd_shapes(self, folder: Path, size: tuple[int, int]) -> None:
        segmenter = SamSegmenter.from_pretrained(folder, **ANYTHING)
        partition = segmenter.segment(np.full((*size, 3), 77, np.uint8))
        assert partition.labels.shape == size


@pytest.mark.parametrize("kind", ["pad", "stretch"])
class TestWholePath:
    def test_what_the_model_sees_is_what_the_partition_holds(self, kind: str) -> None:
        segmenter, _ = seeing_colour(kind)
        partition = segmenter.segment(SQUARES)
        assert len(partition) == 3
        colours = SQUARES.reshape(-1, 3).astype(int)
        for region in range(3):
            inside = colours[partition.mask(region).ravel()]
            _, counts = np.unique(inside, axis=0, return_counts=True)
            assert counts.max() / len(inside) > 0.93  # borders blur at 64 pixels

    @pytest.mark.parametrize("shape", [(60, 90), (90, 60), (64, 64), (20, 90)])
    def test_the_points_cover_the_whole_picture(self, kind: str, shape: tuple[int, int]) -> None:
        segmenter, network = seeing_colour(kind, points_per_side=10)
        segmenter.segment(np.zeros((*shape, 3), np.uint8))
        long = max(shape)
        height, width = (
            (SIDE, SIDE) if kind == "stretch" else (round(side * SIDE / long) for side in shape)
        )
        expected = point_grid(10) * np.array([width, height])
        assert np.allclose(torch.cat(network.asked), expected, atol=1e-4)

    def test_large_pictures_are_drawn_small_and_brought_back(self, kind: str) -> None:
        segmenter, _ = seeing_colour(kind, max_side=45)
        large = SQUARES.repeat(8, 0).repeat(8, 1)
        partition = segmenter.segment(large)
        assert (partition.height, partition.width) == large.shape[:2]
        small = segmenter.segment(SQUARES)
        assert len(partition) == len(small) == 3


class TestPoints:
    @given(st.integers(1, 20))
    def test_a_grid_lies_evenly_inside_the_picture(self, per_side: int) -> None:
        points = point_grid(per_side)
        assert points.shape == (per_side**2, 2)
        assert 0 < points.min() < points.max() < 1 or per_side == 1
        assert np.allclose(points.mean(0), 0.5, atol=1e-5)

    @pytest.mark.parametrize("at_once", [1, 7, 24, 25, 64])
    def test_the_last_partial_batch_is_asked_too(self, at_once: int) -> None:
        segmenter, network = seeing_colour(points_per_side=5, points_per_batch=at_once)
        partition = segmenter.segment(SQUARES)
        assert sum(len(points) for points in network.asked) == 25
        assert max(len(points) for points in network.asked) <= at_once
        everything, _ = seeing_colour(points_per_side=5, points_per_batch=25)
        assert everything.segment(SQUARES) == partition

    def test_masks_come_once_and_best_first(self) -> None:
        segmenter, _ = seeing_colour()
        [encoded] = segmenter.model.encode([SQUARES])
        masks = generate_masks(
            segmenter.model,
            encoded,
            point_grid(8),
            points_per_batch=64,
            pred_iou_thresh=0.0,
            stability_score_thresh=0.9,
            duplicate_iou=0.8,
        )
        scores = [mask.score for mask in masks]
        assert scores == sorted(scores, reverse=True)
        assert scores.count(0.1) == 1  # the same mask at each of the 64 points
        assert 0.95 not in scores  # well scored, but not stable
        assert len(scores) <= 8


class TestMemory:
    def test_fewer_points_at_once_until_they_fit(self) -> None:
        segmenter, network = seeing_colour(points_per_side=5, points_per_batch=16)
        expected = segmenter.segment(SQUARES)
        network.asked.clear()
        network.before = out_of_memory_above(4)
        assert segmenter.segment(SQUARES) == expected
        assert [len(points) for points in network.asked] == [4, 4, 4, 4, 4, 4, 1]

    @pytest.mark.parametrize("words", ["MPS backend out of memory (MPS allocated: 9 GB)"])
    def test_errors_known_by_their_words(self, words: str) -> None:
        segmenter, network = seeing_colour(points_per_side=2)

        def before(step: str, count: int) -> None:
            if count > 1:
                raise RuntimeError(words)

        network.before = before
        segmenter.segment(SQUARES)
        assert len(network.asked) == 4

    def test_a_point_that_does_not_fit(self) -> None:
        segmenter, network = seeing_colour()
        network.before = out_of_memory_above(0)
        with pytest.raises(ConfigError, match="one point at a time; choose a smaller model"):
            segmenter.segment(SQUARES)

    def test_pictures_are_encoded_in_halves(self) -> None:
        segmenter, network = seeing_colour(pictures_per_batch=5, points_per_side=3)
        network.before = out_of_memory_above(2, "pictures")
        partitions = segmenter.segment_batch([SQUARES] * 5)
        assert network.encoded == [2, 1, 2]
        assert partitions == [partitions[0]] * 5

    def test_a_picture_that_does_not_fit(self) -> None:
        segmenter, network = seeing_colour()
        network.before = out_of_memory_above(0, "pictures")
        with pytest.raises(ImageError, match="with a single picture"):
            segmenter.segment(SQUARES)

    def test_other_errors_are_not_swallowed(self) -> None:
        segmenter, network = seeing_colour()

        def before(step: str, count: int) -> None:
            raise RuntimeError("shapes do not match")

        network.before = before
        with pytest.raises(RuntimeError, match="shapes do not match"):
            segmenter.segment(SQUARES)


class TestNames:
    def test_weights_and_settings_are_told_apart(self, sam_folder: Path, tmp_path: Path) -> None:
        other = save_tiny("sam", tmp_path / "tiny", seed=1)
        rule = PartitionRule(max_regions=7)
        names = [
            SamSegmenter.from_pretrained(sam_folder).name,
            SamSegmenter.from_pretrained(other).name,
            SamSegmenter.from_pretrained(sam_folder, points_per_side=32).name,
            SamSegmenter.from_pretrained(sam_folder, pred_iou_thresh=0.7).name,
            SamSegmenter.from_pretrained(sam_folder, stability_score_thresh=0.7).name,
            SamSegmenter.from_pretrained(sam_folder, max_side=512).name,
            SamSegmenter.from_pretrained(sam_folder, rule=rule).name,
        ]
        assert len(set(names)) == len(names)
        assert all(name.startswith("sam-1/tiny#") for name in names)

    def test_a_copy_has_the_same_name(self, sam_folder: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(sam_folder, tmp_path / "elsewhere" / sam_folder.name)
        one, other = (SamSegmenter.from_pretrained(f).name for f in (sam_folder, copy))
        assert one == other

    @pytest.mark.parametrize("by_path", [True, False])
    def test_a_model_of_the_hub_is_named_by_its_commit(
        self, sam_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_path: bool
    ) -> None:
        commit = "0123456789abcdef" * 2 + "01234567"
        snapshot = tmp_path / "models--org--tiny-sam" / "snapshots" / commit
        shutil.copytree(sam_folder, snapshot)
        monkeypatch.setattr(
            "rsfiqa.regions.sam_loading.resolve_model", lambda spec, offline: snapshot
        )
        segmenter = SamSegmenter.from_pretrained(snapshot if by_path else "hf:org/tiny-sam@main")
        assert segmenter.name.startswith("sam-1/org/tiny-sam@01234567/16pt,")


class TestFailures:
    def test_without_transformers(self, sam_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(MissingExtraError, match=r'pip install "rsfiqa\[sam\]"'):
            SamSegmenter.from_pretrained(sam_folder)

    def test_a_model_that_transformers_does_not_know_yet(
        self, sam_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "rsfiqa.regions.sam_loading.MODEL_CLASSES", {"sam": "SamModelOfTomorrow"}
        )
        with pytest.raises(ConfigError, match="has no SamModelOfTomorrow"):
            SamSegmenter.from_pretrained(sam_folder)

    def test_no_such_folder(self) -> None:
        with pytest.raises(AssetError, match="neither an existing file or folder nor a hub id"):
            SamSegmenter.from_pretrained("./nowhere/at/all")

    def test_the_hub_is_not_asked_when_offline(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setenv("RSFIQA_OFFLINE", "1")
        with pytest.raises(AssetError, match="offline mode is on"):
            SamSegmenter.from_pretrained("rsfiqa-tests/no-such-sam")

    def test_no_config(self, tmp_path: Path) -> None:
        with pytest.raises(AssetError, match=r"holds no readable config\.json"):
            SamSegmenter.from_pretrained(tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", "{}"])
    def test_a_damaged_config(self, broken: Path, text: str) -> None:
        (broken / "config.json").write_text(text)
        with pytest.raises(AssetError, match="not the description of a model"):
            SamSegmenter.from_pretrained(broken)

    def test_another_family(self, broken: Path) -> None:
        (broken / "config.json").write_text(json.dumps({"model_type": "vit"}))
        with pytest.raises(ConfigError, match=r"of type 'vit'; a segmenter needs one of sam, sam2"):
            SamSegmenter.from_pretrained(broken)

    def test_pickled_weights_only(self, broken: Path) -> None:
        (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
        with pytest.raises(AssetError, match=r"only pickled weights \(pytorch_model\.bin\)"):
            SamSegmenter.from_pretrained(broken)

    def test_no_weights(self, broken: Path) -> None:
        (broken / "model.safetensors").unlink()
        with pytest.raises(AssetError, match=r"holds no weights; a model\.safetensors is needed"):
            SamSegmenter.from_pretrained(broken)

    def test_damaged_weights(self, broken: Path) -> None:
        weights = broken / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(AssetError, match="cannot be loaded"):
            SamSegmenter.from_pretrained(broken)

    def test_missing_tensors_are_not_made_up(self, broken: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(broken / "model.safetensors")
        gone = next(name for name in sorted(tensors) if name.startswith("mask_decoder"))
        del tensors[gone]
        save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(AssetError, match=f"lack 1 of SamModel's tensors .{gone}"):
            SamSegmenter.from_pretrained(broken)

    def test_no_image_processor(self, broken: Path) -> None:
        (broken / "preprocessor_config.json").unlink()
        with pytest.raises(AssetError, match=r"preprocessor_config\.json must lie beside"):
            SamSegmenter.from_pretrained(broken)

    def test_a_device_that_is_not_there(self, sam_folder: Path) -> None:
        with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used here"):
            SamSegmenter.from_pretrained(sam_folder, device="cuda:99")

    def test_a_device_too_small_for_the_model(
        self, sam_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def out_of_memory(*_: Any) -> None:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

        monkeypatch.setattr(torch.nn.Module, "to", out_of_memory)
        with pytest.raises(ConfigError, match=r"cpu cannot hold tiny#\w{8} \(CUDA out of memory"):
            SamSegmenter.from_pretrained(sam_folder)

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"points_per_side": 0}, "points_per_side must be at least 1; got 0"),
            ({"points_per_batch": 0}, "points_per_batch must be at least 1"),
            ({"pictures_per_batch": 0}, "pictures_per_batch must be at least 1"),
            ({"max_side": 8}, "max_side must be at least 16"),
            ({"pred_iou_thresh": 1.2}, r"pred_iou_thresh must lie in 0\.\.1; got 1\.2"),
            ({"duplicate_iou": float("nan")}, r"duplicate_iou must lie in 0\.\.1"),
            ({"points": 3}, "unknown setting 'points'; known are points_per_side"),
        ],
    )
    def test_settings_outside_their_range(
        self, sam_folder: Path, settings: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ConfigError, match=sentence):
            SamSegmenter.from_pretrained(sam_folder, **settings)
