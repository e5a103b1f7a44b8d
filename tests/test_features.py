"""The feature cache and the stem: what is found again equals what was computed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import DataError, ImageError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.images import load_image
from rsfiqa.learning.distortions import FAMILIES, spoil_region
from rsfiqa.learning.features import (
    SMALLEST_SPOILED_AREA,
    FeatureCache,
    SpoilPlan,
    fit_stem,
    plan_spoiled,
    write_whole,
)
from rsfiqa.partition import Partition
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.stem import Stem

Pixels = npt.NDArray[np.uint8]
Specs = list[dict[str, Any]]
PLAN = SpoilPlan(source=0, family="gaussian_blur", strength=4, choice=0.5, seed=7)


@pytest.fixture
def make_extractor(tiny_encoder_specs: Specs) -> Callable[..., FeatureExtractor]:
    def make(specs: Specs = tiny_encoder_specs, **options: Any) -> FeatureExtractor:
        encoder = build_encoder(specs)
        stem = options.pop("stem", None) or Stem(encoder.groups, 8, encoder.context_dim)
        if options.pop("bf16", False):
            encoder.to_bf16()
        segmenter = options.pop("segmenter", EmbeddedSegmenter())
        return FeatureExtractor(encoder, segmenter, stem, **options)

    return make


@pytest.fixture
def extractor(make_extractor: Callable[..., FeatureExtractor]) -> FeatureExtractor:
    return make_extractor()


@pytest.fixture
def pictures(tmp_path: Path, cat: Pixels) -> list[Path]:
    """Three different crops of a photograph."""
    paths = []
    for i in range(3):
        path = tmp_path / f"picture-{i}.png"
        Image.fromarray(cat[40 * i : 40 * i + 96, 100 : 196 + 16 * i]).save(path)
        paths.append(path)
    return paths


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def fail(*_: Any, **__: Any) -> Any:
    pytest.fail("features were computed again")


def require_equal(first: PictureFeatures, second: PictureFeatures) -> None:
    for one, other in (
        (first.positions, second.positions),
        (first.context, second.context),
        (first.labels, second.labels),
        (first.area, second.area),
    ):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


# The cache


def test_what_is_found_equals_what_was_computed(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    fresh, partition = extractor.extract(load_image(pictures[0]).pixels)
    cache = FeatureCache(tmp_path / "cache", extractor)
    cache.clean(pictures[0])
    found, found_partition = cache.clean(pictures[0])
    assert found_partition == partition
    assert torch.allclose(found.positions.float(), fresh.positions, rtol=2e-3, atol=1e-4)
    assert torch.equal(found.context, fresh.context)
    assert torch.equal(found.labels.long(), fresh.labels)
    assert torch.equal(found.area, fresh.area)


def test_a_first_run_gives_the_same_features_as_a_second(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    first, again = cache.clean(pictures[0]), cache.clean(pictures[0])
    require_equal(first[0], again[0])
    assert first[1] == again[1]
    spoiled, spoiled_again = (cache.spoiled(pictures[0], PLAN) for _ in range(2))
    assert spoiled is not None
    assert spoiled_again is not None
    require_equal(spoiled.features, spoiled_again.features)


def test_the_second_time_nothing_is_computed_by_any_process(
    make_extractor: Callable[..., FeatureExtractor],
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = FeatureCache(tmp_path / "cache", make_extractor())
    before = [first.clean(pictures[0]), first.spoiled(pictures[0], PLAN)]
    other = FeatureCache(tmp_path / "cache", make_extractor())
    monkeypatch.setattr(other.extractor, "encode_and_segment", fail)
    after = [other.clean(pictures[0]), other.spoiled(pictures[0], PLAN)]
    assert before[0][1] == after[0][1]  # type: ignore[index]
    assert after[1] is not None
    assert after[1].region == before[1].region  # type: ignore[union-attr]


def test_a_copy_of_a_picture_is_the_same_picture(
    extractor: FeatureExtractor,
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    cache.clean(pictures[0])
    moved = tmp_path / "other" / "name.png"
    moved.parent.mkdir()
    moved.write_bytes(pictures[0].read_bytes())
    monkeypatch.setattr(extractor, "encode_and_segment", fail)
    cache.clean(moved)


def test_a_changed_picture_is_another_picture(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    before, _ = cache.clean(pictures[0])
    pictures[0].write_bytes(pictures[1].read_bytes())
    after, _ = cache.clean(pictures[0])
    assert not torch.equal(before.context, after.context)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "without its end": lambda whole: whole[:-1],
    "empty": lambda _: b"",
    "random": lambda _: random.Random(0).randbytes(1000),
    "without a partition": lambda whole: whole.replace(b"partition", b"petition_"),
    "with other masks": lambda whole: whole.replace(b"counts", b"kounts"),
    "without positions": lambda whole: whole.replace(b"positions", b"pos1tions"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_computed_again(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "cache"
    cache = FeatureCache(folder, extractor)
    before, partition = cache.clean(pictures[0])
    (file,) = files(folder)
    whole = file.read_bytes()
    file.unlink()  # what was read may be a view of it
    file.write_bytes(DAMAGES[damage](whole))
    assert file.read_bytes() != whole
    after, partition_after = cache.clean(pictures[0])
    require_equal(before, after)
    assert partition == partition_after
    assert file.read_bytes() == whole, "and is mended"


def test_nothing_but_whole_files_is_left(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    cache = FeatureCache(folder, extractor)
    list(cache.all_clean(pictures))
    list(cache.all_spoiled(pictures, plan_spoiled(3, 5, seed=0)))
    assert {path.suffix for path in files(folder)} == {".safetensors"}


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        write_whole(tmp_path / "cache" / "file", b"data")
    assert not files(tmp_path / "cache")


def test_anything_that_shapes_features_makes_a_key_of_its_own(
    make_extractor: Callable[..., FeatureExtractor],
    tiny_encoder_specs: Specs,
    pictures: list[Path],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "cache"
    specs = tiny_encoder_specs
    fitted = make_extractor().stem
    fitted.projections[0].data *= 2
    other_weights = tmp_path / "other.safetensors"
    save_other_weights(Path(specs[1]["weights"]), other_weights)
    kinds = [
        make_extractor(),
        make_extractor(specs[:1]),
        make_extractor([specs[0], {**specs[1], "indices": [0, 2, 3]}]),
        make_extractor([specs[0], {**specs[1], "weights": str(other_weights)}]),
        make_extractor(bf16=True),
        make_extractor(stem=fitted),
        make_extractor(segmenter=EmbeddedSegmenter(distance=0.3)),
        make_extractor(pixel_budget=4096),
    ]
    for expected, kind in enumerate(kinds, start=1):
        FeatureCache(folder, kind).clean(pictures[0])
        assert len(files(folder)) == expected
    cache = FeatureCache(folder, kinds[0])
    changes = [
        PLAN,
        replace(PLAN, family="jpeg"),
        replace(PLAN, strength=1),
        replace(PLAN, seed=8),
        replace(PLAN, choice=0.0),
    ]
    for expected, plan in enumerate(changes, start=len(kinds) + 1):
        cache.spoiled(pictures[0], plan)
        assert len(files(folder)) == expected
    cache.clean(pictures[1])
    assert len(files(folder)) == len(kinds) + len(changes) + 1


def save_other_weights(source: Path, target: Path) -> None:
    """Another network of the same kind."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(source)
    changed = {k: v * 1.5 if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(changed, target)


def test_order_is_kept_however_many_work(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    wanted = [cache.clean(path)[0] for path in pictures]
    for found, one in zip(cache.all_clean(pictures[::-1]), wanted[::-1], strict=True):
        require_equal(found, one)


def test_a_picture_that_cannot_be_read_is_named(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    pictures[1].write_bytes(b"no picture")
    results = cache.all_clean(pictures)
    next(results)
    with pytest.raises(ImageError, match=r"picture-1\.png"):
        next(results)


def test_a_folder_that_cannot_be_made_is_a_data_error(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="features cannot be cached in") as raised:
        FeatureCache(tmp_path / "cache", extractor).clean(pictures[0])
    assert "\n" not in str(raised.value)


# Spoiled copies


def test_a_spoiled_copy_is_the_clean_picture_but_for_one_region(
    extractor: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", extractor)
    clean, partition = cache.clean(pictures[0])
    copy = cache.spoiled(pictures[0], replace(PLAN, source=2))
    assert copy is not None
    assert (copy.source, copy.strength) == (2, PLAN.strength)
    assert partition.regions[copy.region].area >= SMALLEST_SPOILED_AREA
    assert torch.equal(copy.features.labels, clean.labels)
    assert torch.equal(copy.features.area, clean.area)
    pixels = load_image(pictures[0]).pixels
    by_hand = spoil_region(
        pixels, partition.mask(copy.region), PLAN.family, PLAN.strength, PLAN.seed
    )
    wanted, _ = extractor.extract(by_hand, partition)
    assert torch.equal(copy.features.context, wanted.context)


class Specks:
    """A segmenter whose every region is too small to be spoiled."""

    name = "specks"

    needs_semantic = False

    def segment(self, pixels: Pixels, semantic: npt.NDArray[np.floating[Any]] | None) -> Partition:
        rows, columns = np.indices(pixels.shape[:2])
        return Partition(rows // 8 * (-(-pixels.shape[1] // 8)) + columns // 8)


def test_a_picture_of_tiny_regions_has_no_spoiled_copy(
    make_extractor: Callable[..., FeatureExtractor], pictures: list[Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", make_extractor(segmenter=Specks()))
    assert cache.spoiled(pictures[0], PLAN) is None
    assert list(cache.all_spoiled(pictures, [PLAN, PLAN])) == [None, None]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 20), st.integers(0, 50), st.integers(0, 2**31))
def test_plans_are_repeatable_and_go_round_all_pictures(
    pictures: int, copies: int, seed: int
) -> None:
    plans = plan_spoiled(pictures, copies, seed)
    assert plans == plan_spoiled(pictures, copies, seed)
    assert len(plans) == copies
    known = {family for families in FAMILIES.values() for family in families}
    for plan in plans:
        assert plan.family in known
        assert plan.strength in (1, 2, 3, 4)
        assert 0 <= plan.choice < 1
    counts = np.bincount([plan.source for plan in plans], minlength=pictures)
    assert len(counts) == pictures
    assert np.ptp(counts) <= 1, "no picture is spoiled twice before all are spoiled once"


def test_plans_cover_all_families_and_strengths_and_follow_the_seed() -> None:
    plans = plan_spoiled(100, 400, seed=0)
    known = {family for families in FAMILIES.values() for family in families}
    assert {plan.family for plan in plans} == known
    assert {plan.strength for plan in plans} == {1, 2, 3, 4}
    per_dimension = [
        sum(plan.family in families for plan in plans) for families in FAMILIES.values()
    ]
    assert min(per_dimension) > 60, "dimensions come equally often, not families"
    assert plan_spoiled(100, 400, seed=1) != plans


def test_no_pictures_give_no_plans() -> None:
    assert plan_spoiled(0, 10, seed=0) == []


# The stem


def spread(channels: int, count: int, seed: int) -> Tensor:
    """Correlated features of uneven scale `[channels, count]`."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(channels, channels, generator=generator) @ torch.randn(
        channels, count, generator=generator
    )
    scale = torch.logspace(-2, 2, channels)[:, None]
    return mixed * scale + 5 * scale


def samples(groups: tuple[int, ...], context: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """Pictures of different grid sizes."""
    found = []
    for i in range(count):
        rows, columns = 8, 8 + i % 3
        maps = [spread(c, rows * columns, seed=i * 10 + g) for g, c in enumerate(groups)]
        positions = torch.cat(maps).view(-1, rows, columns)
        generator = torch.Generator().manual_seed(i)
        found.append((positions, 3 + 4 * torch.randn(context, generator=generator)))
    return found


def test_fitted_channels_are_decorrelated_and_of_unit_variance() -> None:
    groups, given = (6, 12), samples((6, 12), 5, 20)
    stem = Stem(groups, 4, 5).fit(given)
    assert stem.channels == 8
    reduced, contexts = zip(*(stem(p[None], c[None]) for p, c in given), strict=True)
    flat = torch.cat([r[0].flatten(1) for r in reduced], 1)
    assert flat.mean(1) == pytest.approx(np.zeros(8), abs=1e-3)
    for part in flat.split(4):
        assert torch.cov(part, correction=0).numpy() == pytest.approx(np.eye(4), abs=2e-3)
    context = torch.cat(contexts)
    assert context.mean(0).numpy() == pytest.approx(np.zeros(5), abs=1e-4)
    assert context.std(0, correction=0).numpy() == pytest.approx(np.ones(5), abs=1e-4)


def test_a_refit_is_identical_and_an_iterator_will_do() -> None:
    given = samples((5, 3), 4, 6)
    first, second = Stem((5, 3), 4, 4).fit(given), Stem((5, 3), 4, 4).fit(iter(given))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


def test_a_map_of_few_channels_keeps_them_all() -> None:
    stem = Stem((3, 100), 16, 2)
    assert stem.widths == (3, 16)
    positions, context = stem(torch.zeros(2, 103, 4, 5), torch.zeros(2, 2))
    assert positions.shape == (2, 19, 4, 5)
    assert context.shape == (2, 2)


def test_channels_that_never_vary_do_no_harm() -> None:
    given = [(p.clone(), c.clone()) for p, c in samples((4,), 3, 5)]
    for positions, context in given:
        positions[1] = 7.0
        context[2] = 7.0
    stem = Stem((4,), 4, 3).fit(given)
    for positions, context in given:
        reduced, standard = stem(positions[None], context[None])
        assert reduced.isfinite().all()
        assert standard.isfinite().all()
        assert float(standard[0, 2].abs()) < 1e-3


def test_a_stem_needs_a_picture_and_the_dimensions_it_was_made_for() -> None:
    stem = Stem((4, 2), 3, 5)
    with pytest.raises(ValueError, match="at least one picture"):
        stem.fit([])
    with pytest.raises(RuntimeError):
        stem(torch.zeros(1, 7, 2, 2), torch.zeros(1, 5))
    with pytest.raises(RuntimeError):
        stem(torch.zeros(1, 6, 2, 2), torch.zeros(1, 4))
    with pytest.raises(RuntimeError):
        stem.fit([(torch.zeros(7, 2, 2), torch.zeros(5))])


def test_a_fit_is_kept_and_found_again(
    make_extractor: Callable[..., FeatureExtractor],
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "cache"
    told: list[int] = []
    fitted = fit_stem(make_extractor(), pictures, folder, told.append)
    assert told == [1, 2, 3]
    assert fitted.context_scale.ne(1).any()
    other = make_extractor()
    monkeypatch.setattr(other, "encode", fail)
    told.clear()
    found = fit_stem(other, pictures, folder, told.append)
    assert told == [3]
    assert found is other.stem
    for one, same in zip(fitted.parameters(), found.parameters(), strict=True):
        assert torch.equal(one, same)


def test_other_pictures_or_another_encoder_fit_another_stem(
    make_extractor: Callable[..., FeatureExtractor], pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    fit_stem(make_extractor(), pictures, folder)
    fit_stem(make_extractor(), pictures[:2], folder)
    fit_stem(make_extractor(bf16=True), pictures, folder)
    fit_stem(make_extractor(pixel_budget=4096), pictures, folder)
    assert len(files(folder)) == 4


def test_a_damaged_fit_is_made_again(
    make_extractor: Callable[..., FeatureExtractor], pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    wanted = fit_stem(make_extractor(), pictures, folder)
    (file,) = files(folder)
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: len(whole) // 3])
    found = fit_stem(make_extractor(), pictures, folder)
    for one, same in zip(wanted.parameters(), found.parameters(), strict=True):
        assert torch.allclose(one, same, atol=1e-5)
    assert len(file.read_bytes()) == len(whole)
