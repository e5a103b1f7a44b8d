"""The whole road from a picture to its assessment, on a tiny untrained model.

What must hold whatever the weights: the explanation adds up, a picture's score depends on its
pixels alone, and a reading that failed neither stops nor decides anything.
"""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsfiqa import RSFIQA
from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder
from rsfiqa.encoders.grid import GridFeatures
from rsfiqa.errors import AssetError, ConfigError, DataError, ImageError, RsfiqaError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.images import load_image
from rsfiqa.partition import Partition
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.samples import sample_picture
from rsfiqa.scoring.checkpoint import Checkpoint
from rsfiqa.scoring.model import RegionScorer, ScorerConfig
from rsfiqa.scoring.stem import Stem
from rsfiqa.types import DIMENSIONS, LEVELS, Assessment, Rating, Reading

Pixels = npt.NDArray[np.uint8]

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "china", "flower")


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none")


@pytest.fixture(scope="module")
def crop(cat: Pixels) -> Pixels:
    """The cat's face: small, and with several regions."""
    return cat[40:168, 100:260].copy()


@pytest.fixture(scope="module")
def assessed(assessor: RSFIQA, crop: Pixels) -> Assessment:
    return assessor.assess(crop, name="cat")


def photograph(name: str) -> Pixels:
    """Half its size in each direction."""
    return np.ascontiguousarray(sample_picture(name)[::2, ::2])


def textured(height: int, width: int, seed: int, parts: int) -> Pixels:
    """Patches of different brightness and roughness: something to segment."""
    rng = np.random.default_rng(seed)
    rows = np.arange(height) * parts // height
    columns = np.arange(width) * parts // width
    base = rng.integers(0, 256, (parts, parts, 3))[rows][:, columns]
    rough = rng.integers(0, 60, (parts, parts, 1))[rows][:, columns]
    values = base + rng.normal(size=(height, width, 3)) * rough
    return np.clip(values, 0, 255).astype(np.uint8)


def require_sound(result: Assessment, pixels: Pixels) -> None:
    """What every assessment must fulfil."""
    height, width = pixels.shape[:2]
    weights = np.array([region.weight for region in result.regions])
    scores = np.array([region.score for region in result.regions])
    assert (result.height, result.width) == (height, width)
    assert math.isfinite(result.score)
    assert 0 <= result.score <= 100
    assert ((scores >= 0) & (scores <= 100)).all()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert weights @ scores == pytest.approx(result.score, abs=1e-4)
    assert [region.id for region in result.regions] == list(range(len(result.partition)))
    assert result.partition.labels.shape == (height, width)
    assert sum(region.area for region in result.regions) == pytest.approx(1)
    attention = result.attention_map
    assert attention is not None
    assert attention.shape == (height, width)
    assert (attention >= 0).all()
    assert attention.sum(dtype=float) == pytest.approx(1, abs=1e-4)
    by_region = np.bincount(result.partition.labels.ravel(), attention.ravel().astype(float))
    assert by_region == pytest.approx(weights, abs=1e-4)
    assert (result.quality_map == scores.astype(np.float32)[result.partition.labels]).all()


def require_same(first: Assessment, second: Assessment) -> None:
    assert first.partition == second.partition
    assert second.score == pytest.approx(first.score, abs=1e-4)
    for one, other in zip(first.regions, second.regions, strict=True):
        assert other.score == pytest.approx(one.score, abs=1e-4)
        assert other.weight == pytest.approx(one.weight, abs=1e-6)


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# The explanation adds up


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(32, 120),
    width=st.integers(32, 120),
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 5),
)
def test_the_explanation_adds_up_on_any_picture(
    assessor: RSFIQA, height: int, width: int, seed: int, parts: int
) -> None:
    pixels = textured(height, width, seed, parts)
    require_sound(assessor.assess(pixels), pixels)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_explanation_adds_up_on_photographs(assessor: RSFIQA, name: str) -> None:
    pixels = photograph(name)
    result = assessor.assess(pixels)
    require_sound(result, pixels)
    assert len(result.regions) > 1
    assert len({round(region.score, 3) for region in result.regions}) > 1, "regions do differ"


EXTREMES: dict[str, Callable[[], Pixels]] = {
    "smallest": lambda: textured(32, 32, 0, 3),
    "odd": lambda: textured(33, 47, 1, 3),
    "wide": lambda: textured(32, 800, 2, 4),
    "tall": lambda: textured(800, 32, 2, 4),
    "over the pixel budget": lambda: textured(900, 1300, 3, 4),
    "grey": lambda: np.full((64, 80, 3), 128, np.uint8),
    "black": lambda: np.zeros((64, 80, 3), np.uint8),
    "white": lambda: np.full((64, 80, 3), 255, np.uint8),
    "large and flat": lambda: np.full((700, 1200, 3), 90, np.uint8),
    "noise": lambda: np.random.default_rng(4).integers(0, 256, (96, 96, 3), dtype=np.uint8),
    "checkerboard": lambda: (
        np.indices((64, 64)).sum(0)[..., None].repeat(3, 2).astype(np.uint8) % 2 * np.uint8(255)
    ),
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_extreme_pictures_get_a_score_that_adds_up(assessor: RSFIQA, kind: str) -> None:
    pixels = EXTREMES[kind]()
    require_sound(assessor.assess(pixels), pixels)


# The same picture, the same score


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_scores_alike_alone_again_and_in_any_batch(
    assessor: RSFIQA, threads: int
) -> None:
    pictures = [photograph("chelsea"), textured(40, 200, 5, 3), photograph("coffee")]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        alone = [assessor.assess(pixels) for pixels in pictures]
        again = [assessor.assess(pixels) for pixels in pictures]
        batch = assessor.assess_batch(pictures)
        reverse = assessor.assess_batch(pictures[::-1])[::-1]
    finally:
        torch.set_num_threads(before)
    for other in (again, batch, reverse):
        for one, same in zip(alone, other, strict=True):
            assert isinstance(same, Assessment)
            require_same(one, same)


def test_two_fresh_models_score_alike(tiny_model_folder: Path, crop: Pixels) -> None:
    torch.manual_seed(1)
    first = RSFIQA.from_pretrained(tiny_model_folder, reader="none").assess(crop)
    torch.manual_seed(2)
    second = RSFIQA.from_pretrained(str(tiny_model_folder), reader="none").assess(crop)
    require_same(first, second)
    assert first.score == second.score
    assert first.model == second.model


def test_identical_pictures_in_a_batch_have_identical_results(
    assessor: RSFIQA, crop: Pixels
) -> None:
    results = assessor.assess_batch([crop] * 7)
    assert len({result.score for result in results}) == 1  # type: ignore[union-attr]
    assert len({result.partition for result in results}) == 1  # type: ignore[union-attr]


def numpy_state() -> npt.NDArray[np.uint32]:
    """The state of numpy's global generator."""
    state: npt.NDArray[np.uint32] = np.random.get_state(legacy=False)["state"]["key"].copy()
    return state


def test_assessing_leaves_torchs_threads_and_all_random_states_alone(
    assessor: RSFIQA, crop: Pixels
) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        states = torch.get_rng_state(), numpy_state(), random.getstate()
        assessor.assess(crop)
        assessor.assess_batch([crop, crop, crop])
        assessor.assess_batch([crop, b"no picture"], on_error="return")
        with pytest.raises(ImageError):
            assessor.assess_batch([b"no picture", crop, crop])
        assert torch.get_num_threads() == 3
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (numpy_state() == states[1]).all()
        assert random.getstate() == states[2]
    finally:
        torch.set_num_threads(before)


def test_no_gradients_are_kept_and_the_picture_is_not_written_to(
    assessor: RSFIQA, crop: Pixels
) -> None:
    given = torch.from_numpy(crop).permute(2, 0, 1).float().div(255).requires_grad_()
    copied = given.detach().clone()
    assessor.assess(given)
    assert given.grad is None
    assert torch.equal(given, copied)
    assert all(parameter.grad is None for parameter in assessor.scorer.parameters())
    assert not assessor.scorer.training


@pytest.fixture(scope="module")
def real_assessor(real_asset: Callable[[str], Path]) -> RSFIQA:
    """The real encoder, whose features decide the partition, under an untrained scorer."""
    for name in ("dinov2-small", "efficientnet-lite0"):
        real_asset(name)
    encoder = build_encoder()
    stem = Stem(encoder.groups, 8, encoder.context_dim)
    config = ScorerConfig(stem.channels, encoder.context_dim, hidden=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        checkpoint = Checkpoint("untrained", RegionScorer(config), stem, [*DEFAULT_ENCODER])
    return RSFIQA(checkpoint, FeatureExtractor(encoder, EmbeddedSegmenter(), stem))


def test_the_real_encoder_and_segmenter_do_not_see_a_pictures_company(
    real_assessor: RSFIQA,
) -> None:
    pictures = [photograph(name) for name in ("chelsea", "coffee", "rocket")]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        alone = [real_assessor.assess(pixels) for pixels in pictures]
        batch = real_assessor.assess_batch(pictures)
    finally:
        torch.set_num_threads(before)
    for pixels, one, same in zip(pictures, alone, batch, strict=True):
        assert isinstance(same, Assessment)
        require_sound(one, pixels)
        require_same(one, same)


# The container does not matter


def as_file(suffix: str, **options: Any) -> Callable[[Pixels], bytes]:
    def save(pixels: Pixels) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, suffix, **options)
        return buffer.getvalue()

    return save


def turned(pixels: Pixels) -> bytes:
    """Stored on its side, with the EXIF tag that sets it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90° clockwise
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(pixels)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def as_bytes(image: Image.Image, suffix: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix)
    return buffer.getvalue()


CONTAINERS: dict[str, Callable[[Pixels], bytes]] = {
    "BMP": as_file("BMP"),
    "TIFF": as_file("TIFF"),
    "TIFF, compressed": as_file("TIFF", compression="tiff_lzw"),
    "WebP, lossless": as_file("WEBP", lossless=True),
    "PPM": as_file("PPM"),
    "EXIF orientation": turned,
    "RGBA, opaque": lambda pixels: as_bytes(Image.fromarray(pixels).convert("RGBA")),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_equal_pixels_score_alike_in_any_container(
    assessor: RSFIQA, crop: Pixels, container: str
) -> None:
    require_same(assessor.assess(png(crop)), assessor.assess(CONTAINERS[container](crop)))


def test_grey_scores_as_the_same_grey_in_colour(assessor: RSFIQA, crop: Pixels) -> None:
    grey = np.asarray(Image.fromarray(crop).convert("L"))
    in_colour = assessor.assess(np.stack([grey] * 3, axis=-1))
    sixteen = as_bytes(Image.fromarray(grey.astype(np.uint16) * 257))
    for same in (grey, grey[..., None], as_bytes(Image.fromarray(grey)), sixteen):
        require_same(in_colour, assessor.assess(same))


def test_a_palette_scores_as_its_colours(assessor: RSFIQA, crop: Pixels) -> None:
    palette = Image.fromarray(crop).quantize(32)
    colours = np.asarray(palette.convert("RGB"))
    require_same(assessor.assess(colours), assessor.assess(as_bytes(palette)))
    require_same(assessor.assess(colours), assessor.assess(as_bytes(palette, "GIF")))


def test_what_is_seen_through_is_white(assessor: RSFIQA, crop: Pixels) -> None:
    alpha = np.full(crop.shape[:2], 255, np.uint8)
    alpha[20:60, 30:90] = 0
    on_white = np.where(alpha[..., None] == 255, crop, np.uint8(255))
    rgba = np.dstack([crop, alpha])
    result = assessor.assess(as_bytes(Image.fromarray(rgba)))
    require_same(assessor.assess(on_white), result)
    assert result.notes, "the result says what was done"


# Whatever holds the picture


def test_every_kind_of_source_gives_the_same_score(
    assessor: RSFIQA, crop: Pixels, assessed: Assessment, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(png(crop))
    chw = torch.from_numpy(crop).permute(2, 0, 1)
    sources: dict[str, Any] = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "bytearray": bytearray(path.read_bytes()),
        "file object": io.BytesIO(path.read_bytes()),
        "PIL image": Image.open(path),
        "uint8": crop,
        "not contiguous": np.asfortranarray(crop),
        "uint16": crop.astype(np.uint16) * 257,
        "float32": crop.astype(np.float32) / 255,
        "float64": crop / 255,
        "CHW": chw.float() / 255,
        "NCHW": chw[None].float() / 255,
        "uint8 tensor": chw,
        "float64 tensor": chw.double() / 255,
        "loaded": load_image(path),
    }
    for kind, source in sources.items():
        result = assessor.assess(source)
        assert result.partition == assessed.partition, kind
        assert result.score == pytest.approx(assessed.score, abs=1e-4), kind


def test_results_are_called_by_path_or_by_name(
    assessor: RSFIQA, crop: Pixels, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(png(crop))
    loaded = load_image(path)
    assert assessor.assess(path).image == str(path)
    assert assessor.assess(path, name="my cat").image == "my cat"
    assert assessor.assess(loaded).image == str(path)
    assert assessor.assess(loaded, name="my cat").image == "my cat"
    assert assessor.assess(crop).image == "image"
    assert assessor.assess(path).sha256 == loaded.sha256


@pytest.mark.parametrize(
    "source",
    [
        np.full((64, 64, 3), np.nan),
        np.full((64, 64, 3), 1.5),
        np.zeros((5, 3000, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((64, 64, 2), np.uint8),
        np.zeros((64, 64, 3), np.int64),
        torch.zeros(2, 3, 64, 64),
        torch.full((3, 64, 64), torch.inf),
        b"",
        b"no picture at all",
        "/does/not/exist.png",
        12,
        None,
    ],
    ids=str,
)
def test_what_is_no_picture_is_an_image_error(assessor: RSFIQA, source: Any) -> None:
    with pytest.raises(ImageError) as raised:
        assessor.assess(source)
    assert "\n" not in str(raised.value)


def test_pictures_over_the_limit_are_refused(tiny_model_folder: Path, crop: Pixels) -> None:
    small = RSFIQA.from_pretrained(tiny_model_folder, max_pixels=10_000, reader="none")
    with pytest.raises(ImageError, match="over the limit of 10,000"):
        small.assess(crop)
    with pytest.raises(ImageError, match="over the limit of 10,000"):
        small.assess(load_image(crop))
    assert small.assess(crop[:64, :64]).score >= 0


# Batches


def test_a_tensor_is_a_batch_of_pictures(assessor: RSFIQA, crop: Pixels) -> None:
    other = crop[:, ::-1].copy()
    arrays = np.stack([crop, other])
    tensor = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
    wanted = [assessor.assess(crop), assessor.assess(other)]
    for batch in (tensor, arrays, (picture for picture in arrays)):
        for one, same in zip(wanted, assessor.assess_batch(batch), strict=True):
            assert isinstance(same, Assessment)
            require_same(one, same)


def test_an_empty_batch_has_no_results(assessor: RSFIQA) -> None:
    assert assessor.assess_batch([]) == []


def test_errors_are_returned_in_their_place(assessor: RSFIQA, crop: Pixels) -> None:
    sources: list[Any] = [crop, b"no picture", crop[:64], np.zeros((5, 3000, 3), np.uint8), crop]
    results = assessor.assess_batch(sources, names=list("abcde"), on_error="return")
    kinds = [isinstance(result, Assessment) for result in results]
    assert kinds == [True, False, True, False, True]
    for i, result in enumerate(results):
        if isinstance(result, Assessment):
            assert result.image == "abcde"[i]
        else:
            assert isinstance(result, ImageError)
            assert "abcde"[i] in str(result)
    first, last = results[0], results[4]
    assert isinstance(first, Assessment)
    assert isinstance(last, Assessment)
    require_same(first, last)


def test_the_first_error_is_raised_unless_asked_otherwise(assessor: RSFIQA, crop: Pixels) -> None:
    with pytest.raises(ImageError, match="second"):
        assessor.assess_batch([crop, b"?", b"?"], names=["first", "second", "third"])


@pytest.mark.parametrize("names", [[], ["one"], ["one", "two", "three"]])
def test_names_must_be_as_many_as_pictures(
    assessor: RSFIQA, crop: Pixels, names: list[str]
) -> None:
    with pytest.raises(ConfigError, match=f"got {len(names)} names for 2 pictures"):
        assessor.assess_batch([crop, crop], names=names)


def test_an_unknown_way_with_errors_is_refused(assessor: RSFIQA, crop: Pixels) -> None:
    with pytest.raises(ConfigError, match="on_error is raise or return; got 'ignore'"):
        assessor.assess_batch([crop], on_error="ignore")  # type: ignore[arg-type]


# A given partition, a segmenter of one's own


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
    st.integers(0, 1000),
)
def test_a_given_partition_is_used_as_it_is(assessor: RSFIQA, cells: list[int], seed: int) -> None:
    pixels = textured(60, 90, seed, 3)
    labels = np.array(cells).reshape(2, 3).repeat(30, 0).repeat(30, 1)
    partition = Partition.from_labels(labels)
    result = assessor.assess(pixels, partition=partition)
    assert result.partition == partition
    require_sound(result, pixels)


def test_thin_and_tiny_regions_are_assessed_too(assessor: RSFIQA, crop: Pixels) -> None:
    labels = np.zeros(crop.shape[:2], int)
    labels[:, 7] = 1
    labels[50, 60] = 2
    require_sound(assessor.assess(crop, partition=Partition(labels)), crop)


def test_more_regions_than_grid_cells_still_add_up(assessor: RSFIQA) -> None:
    pixels = textured(32, 32, 6, 4)
    labels = np.arange(32 * 32).reshape(32, 32) // 2
    require_sound(assessor.assess(pixels, partition=Partition(labels)), pixels)


def test_a_partition_of_a_large_picture_keeps_its_size(assessor: RSFIQA) -> None:
    pixels = textured(900, 1300, 7, 3)
    labels = (np.arange(1300) >= 650).astype(int)[None].repeat(900, 0)
    result = assessor.assess(pixels, partition=Partition(labels))
    assert result.partition.labels.shape == (900, 1300)
    require_sound(result, pixels)


def test_a_partition_of_another_size_is_refused(assessor: RSFIQA, crop: Pixels) -> None:
    turned_round = Partition(np.zeros(crop.shape[1::-1], int))
    with pytest.raises(DataError, match="picture is 160×128 but its partition 128×160"):
        assessor.assess(crop, partition=turned_round)


class Halves:
    """A segmenter that cuts every picture down the middle."""

    name = "halves-1"

    needs_semantic = False

    def segment(self, pixels: Pixels, semantic: npt.NDArray[np.floating[Any]] | None) -> Partition:
        assert semantic.ndim == 3
        height, width = pixels.shape[:2]
        return Partition((np.arange(width) >= width // 2).astype(int)[None].repeat(height, 0))


def test_a_segmenter_of_ones_own_is_used_and_named(tiny_model_folder: Path, crop: Pixels) -> None:
    result = RSFIQA.from_pretrained(tiny_model_folder, segmenter=Halves(), reader="none").assess(
        crop
    )
    assert [region.bbox for region in result.regions] == [(0, 0, 80, 128), (80, 0, 80, 128)]
    assert result.model.segmenter == "halves-1"


# Readers


class Reads:
    """A reader that says the given of the first regions, and nothing of the others."""

    name = "test-reader/1"
    encoder_name: str | None = None

    def __init__(self, *readings: Reading) -> None:
        self.readings = readings

    def read(
        self, pixels: Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        assert pixels.shape[:2] == partition.labels.shape
        return [*self.readings, *[Reading()] * len(partition)][: len(partition)]


def reading(description: str, **levels: str) -> Reading:
    """A reading that is sure of every level: excellent where none is given."""
    sure = {level: Rating(tuple(float(level == word) for word in LEVELS)) for level in LEVELS}  # type: ignore[arg-type]
    ratings = {d: sure[levels.get(d, "excellent")] for d in DIMENSIONS}  # type: ignore[index]
    return Reading(status="ok", description=description, ratings=ratings)


def test_without_a_reader_nothing_is_read(assessed: Assessment) -> None:
    assert {region.reading.status for region in assessed.regions} == {"absent"}
    assert assessed.ratings is None
    assert assessed.model.reader == "none"


def test_readings_appear_in_regions_ratings_summary_and_json(
    tiny_model_folder: Path, crop: Pixels
) -> None:
    left = reading("a striped ear", blur="bad", overall="poor")
    right = reading("a plain wall")
    model = RSFIQA.from_pretrained(tiny_model_folder, segmenter=Halves(), reader=Reads(left, right))
    result = model.assess(crop)
    require_sound(result, crop)
    assert [region.reading for region in result.regions] == [left, right]
    assert result.model.reader == "test-reader/1"
    weight = result.regions[0].weight
    assert result.ratings == pytest.approx(
        {"color": 5, "noise": 5, "artifact": 5, "blur": 5 - 4 * weight, "overall": 5 - 3 * weight}
    )
    assert "striped ear" in result.summary
    assert "blurred" in result.summary
    written = json.loads(result.to_json())
    assert [entry["description"] for entry in written["regions"]] == [
        "a striped ear",
        "a plain wall",
    ]
    assert written["regions"][0]["ratings"]["blur"] == 1


def test_a_failed_reading_stops_nothing_and_becomes_no_number(
    tiny_model_folder: Path, crop: Pixels
) -> None:
    failed = Reading(status="failed", reason="the server does not answer")
    ok = reading("a plain wall", noise="fair")
    model = RSFIQA.from_pretrained(tiny_model_folder, segmenter=Halves(), reader=Reads(failed, ok))
    result = model.assess(crop)
    require_sound(result, crop)
    assert result.ratings == pytest.approx(ok.values), "the region that was not read is left out"
    written = json.loads(result.to_json())["regions"][0]
    assert written["reading"] == "failed"
    assert written["reading_reason"] == "the server does not answer"
    assert written["ratings"] is None
    assert "1 region was not read" in result.summary
    all_failed = RSFIQA.from_pretrained(tiny_model_folder, reader=Reads(*[failed] * 99))
    nothing_read = all_failed.assess(crop)
    require_sound(nothing_read, crop)
    assert nothing_read.ratings is None


# Settings


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any touch of weights fails the test."""

    def touched(*_: Any, **__: Any) -> Any:
        pytest.fail("weights were touched before the settings were checked")

    for name in ("load_checkpoint", "build_encoder", "default_folder"):
        monkeypatch.setattr(f"rsfiqa.assessor.{name}", touched)
    monkeypatch.setattr("rsfiqa.assets.resolve_model", touched)


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"segmenter": "sam9"}, "unknown segmenter 'sam9'; this version knows: embedded"),
        ({"reader": "oracle"}, "unknown reader 'oracle'; this version knows: none"),
        ({"precision": "fp8"}, "precision is fp32 or bf16; got 'fp8'"),
        ({"device": "tpu9"}, "device 'tpu9' cannot be used here"),
        ({"device": ""}, "device '' cannot be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"max_pixels": 0}, "max_pixels must be at least 1; got 0"),
    ],
)
def test_settings_are_checked_before_any_weights_are_touched(
    settings_: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as raised:
        RSFIQA.from_pretrained("some/model", **settings_)
    assert "\n" not in str(raised.value)


def test_a_model_folder_that_is_not_there_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="neither an existing file or folder nor a hub id"):
        RSFIQA.from_pretrained(tmp_path / "missing")


def test_a_folder_without_a_scorer_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"holds no scorer: config\.json is missing"):
        RSFIQA.from_pretrained(tmp_path)


def test_a_model_whose_backbone_is_gone_is_an_asset_error(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    config = json.loads((tiny_model_folder / "config.json").read_text())
    config["encoder"][0]["weights"] = str(tmp_path / "gone.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = (tiny_model_folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(RsfiqaError, match=r"gone\.safetensors"):
        RSFIQA.from_pretrained(tmp_path)


def test_the_device_is_the_one_asked_for(tiny_model_folder: Path) -> None:
    model = RSFIQA.from_pretrained(tiny_model_folder, device="cpu", reader="none")
    assert model.extractor.device == torch.device("cpu")


def test_bf16_is_named_and_scores_about_alike(
    tiny_model_folder: Path, crop: Pixels, assessed: Assessment
) -> None:
    half = RSFIQA.from_pretrained(tiny_model_folder, precision="bf16", reader="none")
    result = half.assess(crop, partition=assessed.partition)
    require_sound(result, crop)
    assert result.model.scorer == f"{assessed.model.scorer}+bf16"
    assert result.score == pytest.approx(assessed.score, abs=3)


# What can be done with a result


def test_json_brings_score_weights_and_partition_back(assessed: Assessment) -> None:
    back = Assessment.from_json(assessed.to_json())
    assert back.score == pytest.approx(assessed.score, abs=1e-4)
    assert back.partition == assessed.partition
    assert back.model == assessed.model
    assert back.sha256 == assessed.sha256
    assert back.image == "cat"
    for one, other in zip(assessed.regions, back.regions, strict=True):
        assert other.weight == pytest.approx(one.weight, abs=1e-7)
        assert other.score == pytest.approx(one.score, abs=1e-4)
        assert other.bbox == one.bbox
    added = sum(region.weight * region.score for region in back.regions)
    assert added == pytest.approx(back.score, abs=1e-4)


@pytest.mark.parametrize("kind", ["regions", "attention", "quality"])
def test_overlays_can_be_drawn(assessed: Assessment, crop: Pixels, kind: Any) -> None:
    drawn = assessed.overlay(kind).convert("RGB")
    assert min(drawn.size) >= min(crop.shape[:2])
    assert np.ptp(np.asarray(drawn)) > 0


def test_a_report_can_be_saved(assessed: Assessment, tmp_path: Path) -> None:
    written = assessed.save_report(tmp_path / "cat.html")
    page = written.read_text(encoding="utf-8")
    assert written == tmp_path / "cat.html"
    assert "cat" in page
    assert "data:image/" in page, "the page holds its picture"


@pytest.mark.parametrize("size", [(900, 1300), (2500, 40), (3000, 2100), (32, 66_000)])
def test_the_preview_is_bounded(assessor: RSFIQA, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 90, np.uint8)
    preview = assessor.assess(pixels).preview
    assert preview is not None
    assert max(preview.shape[:2]) <= Assessment.PREVIEW_SIDE
    if max(size) <= Assessment.PREVIEW_SIDE:
        assert preview.shape == pixels.shape
    else:
        assert max(preview.shape[:2]) == Assessment.PREVIEW_SIDE
        asked = min(size) * Assessment.PREVIEW_SIDE / max(size)
        assert min(preview.shape[:2]) == pytest.approx(asked, abs=1)
