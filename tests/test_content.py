"""Content words: what regions show, from labels and from teachers, and how words are judged."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning import content
from rsfiqa.learning.content import ContentTeacher
from rsfiqa.learning.content_agreement import (
    NounAgreement,
    agrees,
    evaluate_nouns,
    head_noun,
    noun_agreement,
)
from rsfiqa.learning.content_classifier import fit_linear, left_out, lowest_threshold
from rsfiqa.learning.content_colors import COLORS, color_word
from rsfiqa.learning.content_panoptic import (
    CocoPanoptic,
    Panoptic,
    Segment,
    panoptic_regions,
    region_categories,
    words_from_panoptic,
)
from rsfiqa.learning.content_samples import ContentFeatures, cell_shares
from rsfiqa.learning.content_words import (
    categories,
    find_noun,
    nouns,
    place_of,
    rows_of,
    words_of,
)
from rsfiqa.partition import Partition, Region
from rsfiqa.regions.grid import GridSegmenter

COCO = Path(__file__).parents[2] / "shared/data/coco_panoptic"
HEIGHT, WIDTH = 96, 128
LOOKS = {  # category: colour, and the period of its stripes
    "sky-other-merged": ((90, 150, 220), 64),
    "grass-merged": ((60, 140, 50), 3),
    "cat": ((200, 120, 40), 7),
}


# The vocabulary


def test_every_category_has_nouns_that_may_name_it() -> None:
    assert len(categories()) == 133
    for category, found in categories().items():
        for word in (found.noun, found.broad):
            assert category in nouns()[word].categories, (category, word)


def test_the_tables_know_only_each_other() -> None:
    for noun in nouns().values():
        assert noun.categories <= set(categories())
        assert noun.colors <= set(COLORS)
    assert {row["noun"] for row in rows_of("content_imagenet.csv")} <= set(nouns())
    said = [word for noun in nouns().values() for word in (noun.word, *noun.also)]
    assert len(said) == len(set(said)), "a word means one noun"


def test_imagenet_ranges_are_in_order_and_apart() -> None:
    rows = [(int(r["first"]), int(r["last"])) for r in rows_of("content_imagenet.csv")]
    edges = [edge for row in rows for edge in row]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] < 1000
    assert all(edge[1] < after[0] for edge, after in pairwise(rows))


@pytest.mark.parametrize(
    ("index", "noun"),
    [(207, "dog"), (281, "cat"), (323, "butterfly"), (497, "church"), (963, "pizza")],
)
def test_imagenet_ranges_mean_what_timm_says(index: int, noun: str) -> None:
    from timm.data import ImageNetInfo

    described = ImageNetInfo().index_to_description(index, detailed=True)
    row = next(
        r for r in rows_of("content_imagenet.csv") if int(r["first"]) <= index <= int(r["last"])
    )
    assert row["noun"] == noun
    assert noun in described or noun == "dog"


@given(
    word=st.sampled_from(sorted(nouns())),
    color=st.sampled_from([None, *COLORS]),
    place=st.sampled_from(["at the top", "on the left", "across the picture"]),
)
def test_descriptions_are_about_their_noun(word: str, color: str | None, place: str) -> None:
    words = words_of(nouns()[word], color=color, place=place)
    assert words.noun == word
    assert 2 <= len(words.descriptions) <= 4
    assert len(set(words.descriptions)) == len(words.descriptions)
    assert words.descriptions[0].endswith(word)
    for text in words.descriptions:
        assert head_noun(text) == nouns()[word]


@pytest.mark.parametrize(
    ("word", "color", "first", "second"),
    [
        ("wall", "white", "a wall", "a white wall"),
        ("umbrella", "red", "an umbrella", "a red umbrella"),
        ("bus", "orange", "a bus", "an orange bus"),
        ("sky", "blue", "the sky", "the blue sky"),
        ("grass", "green", "grass", "green grass"),
        ("trees", "brown", "trees", "brown trees"),
    ],
)
def test_articles_and_colors(word: str, color: str, first: str, second: str) -> None:
    assert words_of(nouns()[word], color=color).descriptions[:2] == (first, second)


@pytest.mark.parametrize(
    ("word", "color"), [("person", "red"), ("trees", "blue"), ("sky", "green")]
)
def test_colors_that_a_noun_does_not_take_are_not_told(word: str, color: str) -> None:
    assert color not in " ".join(words_of(nouns()[word], color=color).descriptions)


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="'zyzzyva' is not among"):
        find_noun("zyzzyva")


@given(st.data())
def test_every_region_lies_somewhere(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 200))
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    place = place_of(Region(0, w * h / (width * height), (x, y, w, h)), height, width)
    mirrored = Region(0, w * h / (width * height), (width - x - w, y, w, h))
    swap = {"on the left": "on the right", "on the right": "on the left"}
    assert place_of(mirrored, height, width) == swap.get(place, place)


# Colours


@pytest.mark.parametrize(
    ("rgb", "word"),
    [
        ((10, 10, 10), "dark"),
        ((128, 128, 128), "grey"),
        ((250, 250, 250), "white"),
        ((200, 20, 20), "red"),
        ((245, 140, 20), "orange"),
        ((110, 70, 35), "brown"),
        ((240, 220, 40), "yellow"),
        ((222, 203, 164), "beige"),
        ((60, 140, 50), "green"),
        ((90, 150, 220), "blue"),
        ((130, 50, 160), "purple"),
        ((250, 170, 190), "pink"),
    ],
)
def test_plain_colors_have_their_names(rgb: tuple[int, int, int], word: str) -> None:
    assert color_word(np.full((50, 3), rgb, np.uint8)) == word


def test_no_color_prevails_in_a_mixture() -> None:
    mixed = np.array([(200, 20, 20), (60, 140, 50), (90, 150, 220)] * 10, np.uint8)
    assert color_word(mixed) is None
    assert color_word(np.zeros((0, 3), np.uint8)) is None


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_color_does_not_depend_on_the_order_of_pixels(pixels: list[tuple[int, int, int]]) -> None:
    array = np.array(pixels, np.uint8)
    word = color_word(array)
    assert word is None or word in COLORS
    assert color_word(array[::-1].copy()) == word


# Labels


def panoptic(ids: Any, **segments: Segment) -> Panoptic:
    return Panoptic(np.array(ids, np.int32), {int(k[1:]): v for k, v in segments.items()})


def test_a_label_needs_most_of_a_region() -> None:
    truth = panoptic(
        [[1, 1, 1, 2, 2], [1, 1, 2, 2, 0]], _1=Segment("cat"), _2=Segment("sky-other-merged")
    )
    halves = Partition([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]])
    assert region_categories(halves, truth) == ["cat", "sky-other-merged"]
    whole = Partition([[0] * 5] * 2)
    assert region_categories(whole, truth) == [None]


def test_several_things_are_told_in_the_plural() -> None:
    truth = panoptic(
        [[1, 1, 2, 2, 3]], _1=Segment("person"), _2=Segment("person"), _3=Segment("cat")
    )
    words = words_from_panoptic(Partition([[0] * 5]), truth)
    assert words[0] is not None
    assert words[0].descriptions[0] == "people"
    crowd = panoptic([[1, 1]], _1=Segment("car", crowd=True))
    words = words_from_panoptic(Partition([[0, 0]]), crowd)
    assert words[0] is not None
    assert words[0].descriptions[0] == "cars"


def test_labelled_words_tell_the_color_when_they_see_it() -> None:
    truth = panoptic(np.ones((8, 8)), _1=Segment("wall-brick"), _2=Segment("cat"))
    pixels = np.full((8, 8, 3), (90, 150, 220), np.uint8)
    partition = Partition(np.zeros((8, 8), int))
    assert words_from_panoptic(partition, truth, pixels)[0].descriptions == (  # type: ignore[union-attr]
        "a brick wall",
        "a brick wall filling most of the picture",
    )
    sky = panoptic(np.ones((8, 8)), _1=Segment("sky-other-merged"))
    assert words_from_panoptic(partition, sky, pixels)[0].descriptions[1] == "the blue sky"  # type: ignore[union-attr]


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="the labels are 2×1 but the partition 3×1"):
        region_categories(Partition([[0, 0, 1]]), panoptic([[1, 1]], _1=Segment("cat")))


# COCO's files


@pytest.fixture(scope="module")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of stripes: sky above, grass below, and sometimes a cat between."""
    return write_coco(tmp_path_factory.mktemp("coco"), photographs=6)


def write_coco(root: Path, photographs: int) -> Path:
    rng = np.random.default_rng(4)
    names = list(LOOKS)
    (root / "images/train2017").mkdir(parents=True)
    (root / "panoptic_train2017").mkdir()
    images, annotations = [], []
    for k in range(photographs):
        ids = np.zeros((HEIGHT, WIDTH), np.int32)
        border = 32 + 16 * (k % 3)
        ids[:border], ids[border:] = 300, 70_000
        if k % 2:
            ids[border - 16 : border + 16, 32:96] = 5
        segment_ids = dict(zip(names, (300, 70_000, 5), strict=True))
        pixels = np.zeros((HEIGHT, WIDTH, 3))
        for name, (color, period) in LOOKS.items():
            stripes = (np.arange(WIDTH) // period % 2)[None, :, None] * 30
            look = np.array(color) + stripes + rng.normal(0, 4, (HEIGHT, WIDTH, 3))
            pixels = np.where((ids == segment_ids[name])[..., None], look, pixels)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            root / f"images/train2017/{k:03}.png"
        )
        rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], 2).astype(np.uint8)
        Image.fromarray(rgb).save(root / f"panoptic_train2017/{k:03}.png")
        images.append({"id": k, "file_name": f"{k:03}.png", "height": HEIGHT, "width": WIDTH})
        annotations.append(
            {
                "image_id": k,
                "file_name": f"{k:03}.png",
                "segments_info": [
                    {"id": segment_ids[name], "category_id": c, "iscrowd": 0}
                    for c, name in enumerate(names)
                    if (ids == segment_ids[name]).any()
                ],
            }
        )
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": c, "name": name} for c, name in enumerate(names)],
    }
    (root / "panoptic_train2017.json").write_text(json.dumps(document))
    return root


def test_reading_coco(coco_folder: Path) -> None:
    coco = CocoPanoptic.open(coco_folder)
    assert coco.names == [f"{k:03}.png" for k in range(6)]
    found = coco.regions("001.png")
    assert set(np.unique(found.ids)) == {5, 300, 70_000}
    assert found.segments[5] == Segment("cat")
    again = panoptic_regions(
        coco_folder / "panoptic_train2017.json", coco_folder / "panoptic_train2017", "001.png"
    )
    assert np.array_equal(again.ids, found.ids)


def test_coco_that_is_not_as_it_should_be(tmp_path: Path, coco_folder: Path) -> None:
    with pytest.raises(DataError, match="COCO is incomplete"):
        CocoPanoptic.open(tmp_path)
    with pytest.raises(DataError, match="labels no photograph named nobody"):
        CocoPanoptic.open(coco_folder).regions("nobody")
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="is not COCO panoptic JSON"):
        CocoPanoptic(tmp_path / "bad.json")
    with pytest.raises(DataError, match="cannot be read"):
        CocoPanoptic(tmp_path / "none.json")
    with pytest.raises(DataError, match="no folder of photographs"):
        CocoPanoptic(coco_folder / "panoptic_train2017.json").photograph("000.png")
    alone = CocoPanoptic(coco_folder / "panoptic_train2017.json", tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        alone.regions("000.png")


# Features and the classifier


@given(
    labels=st.integers(1, 30).flatmap(
        lambda w: st.lists(
            st.lists(st.integers(0, 4), min_size=w, max_size=w), min_size=1, max_size=30
        )
    ),
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
)
@settings(max_examples=50)
def test_every_region_has_a_share_of_the_grid(
    labels: list[list[int]], rows: int, columns: int
) -> None:
    partition = Partition.from_labels(np.array(labels))
    shares = cell_shares(partition, rows, columns)
    assert shares.shape == (len(partition), rows * columns)
    assert shares.min() >= 0
    assert np.allclose(shares.sum(1), 1, atol=1e-5)


def test_a_linear_classifier_learns_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    features = (np.eye(3)[labels] + rng.normal(0, 0.2, (120, 3))).astype(np.float32)
    first, second = fit_linear(features, labels, 3), fit_linear(features, labels, 3)
    assert np.array_equal(first.weight, second.weight)
    assert (first.log_probabilities(features).argmax(1) == labels).mean() > 0.95
    outside = left_out(features, labels, np.arange(120) // 10, 3)
    assert (outside.argmax(1) == labels).mean() > 0.9


def test_left_out_photographs_are_not_trained_on() -> None:
    """A class that one photograph alone has is never guessed in that photograph."""
    features = np.eye(2, dtype=np.float32)[[0, 0, 1]]
    labels = np.array([0, 0, 1])
    found = left_out(features, labels, np.array([0, 1, 2]), 2, folds=3)
    assert found[2].argmax() == 0


def test_fits_without_data_are_refused() -> None:
    with pytest.raises(DataError, match="at least one labelled region"):
        fit_linear(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), 2)
    with pytest.raises(DataError, match="at least two photographs"):
        left_out(np.zeros((2, 3), np.float32), np.zeros(2, np.int64), np.zeros(2, np.int64), 2)


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60),
    st.floats(0.05, 1),
)
def test_a_threshold_keeps_its_promise(pairs: list[tuple[float, bool]], wanted: float) -> None:
    confidence = np.array([c for c, _ in pairs])
    right = np.array([r for _, r in pairs])
    found = lowest_threshold(confidence, right, wanted)
    said = confidence >= found.threshold
    assert said.mean() == pytest.approx(found.coverage)
    if said.any():
        assert right[said].mean() == pytest.approx(found.precision)
        assert found.precision >= wanted
    else:
        assert all(right[confidence >= c].mean() < wanted for c in confidence)


# The teacher


@pytest.fixture(scope="module")
def tiny_features(tiny_encoder_specs: list[dict[str, Any]]) -> ContentFeatures:
    return ContentFeatures(build_encoder(tiny_encoder_specs))


@pytest.fixture(scope="module")
def teacher(coco_folder: Path, tiny_features: ContentFeatures) -> ContentTeacher:
    return ContentTeacher.fit(
        coco_folder, encoder=tiny_features.encoder, segmenter=GridSegmenter(8), cache=False
    )


def picture(coco_folder: Path, k: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(coco_folder / f"images/train2017/{k:03}.png") as opened:
        return np.array(opened)


def test_the_teacher_knows_what_it_was_taught(coco_folder: Path, teacher: ContentTeacher) -> None:
    coco = CocoPanoptic.open(coco_folder)
    truth = coco.regions("001.png")
    partition = Partition.from_labels(truth.ids)
    words = teacher.describe(picture(coco_folder, 1), partition)
    assert (
        evaluate_nouns([w and w.descriptions[0] for w in words], partition, truth).overall.agreed
        >= 2
    )
    sky = words[1]
    assert sky is not None
    assert sky.descriptions[:2] == ("the sky", "the blue sky")


def test_known_features_change_nothing(coco_folder: Path, teacher: ContentTeacher) -> None:
    pixels = picture(coco_folder, 3)
    partition = GridSegmenter(4).segment(pixels, None)
    grid = teacher.features.grid(pixels)
    assert teacher.describe(pixels, partition, grid) == teacher.describe(pixels, partition)


def test_more_precision_says_less(coco_folder: Path, tiny_features: ContentFeatures) -> None:
    said = []
    for precision in (0.2, 1.0):
        strict = ContentTeacher.fit(
            coco_folder,
            encoder=tiny_features.encoder,
            segmenter=GridSegmenter(8),
            precision=precision,
            cache=False,
        )
        assert strict.classifier is not None
        said.append(strict.classifier.operating.coverage)
    assert said[0] >= said[1]


def test_a_fit_is_kept_and_a_damaged_one_made_again(
    coco_folder: Path,
    tiny_features: ContentFeatures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path))
    calls = []
    grid = ContentFeatures.grid
    monkeypatch.setattr(
        ContentFeatures, "grid", lambda self, pixels: calls.append(1) or grid(self, pixels)
    )

    def fit() -> ContentTeacher:
        return ContentTeacher.fit(
            coco_folder, encoder=tiny_features.encoder, segmenter=GridSegmenter(4), photographs=3
        )

    first = fit()
    made = len(calls)
    second = fit()
    assert made > 0
    assert len(calls) == made, "the second is read from the cache"
    assert first.classifier is not None
    assert second.classifier is not None
    assert np.array_equal(first.classifier.linear.weight, second.classifier.linear.weight)
    assert first.classifier.operating == second.classifier.operating
    (kept,) = (tmp_path / "content").iterdir()
    kept.write_bytes(b"damaged")
    third = fit()
    assert len(calls) == 2 * made
    assert third.classifier is not None
    assert np.array_equal(first.classifier.linear.weight, third.classifier.linear.weight)


def test_the_teacher_refuses_what_does_not_fit(
    coco_folder: Path, teacher: ContentTeacher, tiny_encoder_specs: list[dict[str, Any]]
) -> None:
    pixels = picture(coco_folder, 0)
    with pytest.raises(DataError, match="resize the partition first"):
        teacher.describe(pixels, Partition([[0, 1]]))
    other = build_encoder([{**tiny_encoder_specs[0], "indices": [1, 2, 5]}, tiny_encoder_specs[1]])
    partition = GridSegmenter(4).segment(pixels, None)
    with pytest.raises(ConfigError, match="compute them with that encoder"):
        teacher.describe(pixels, partition, ContentFeatures(other).grid(pixels))
    with pytest.raises(DataError, match="fit it again"):
        ContentTeacher(ContentFeatures(other), teacher.classifier)
    with pytest.raises(ConfigError, match="two backbones"):
        ContentFeatures(build_encoder(tiny_encoder_specs[:1]))
    with pytest.raises(ConfigError, match="ImageNet classes"):
        ContentFeatures(build_encoder([*tiny_encoder_specs[::-1]]))
    with pytest.raises(ConfigError, match="precision"):
        ContentTeacher.fit(coco_folder, encoder=teacher.features.encoder, precision=0)


def test_labels_of_another_size_than_the_photograph(
    tmp_path: Path, tiny_features: ContentFeatures
) -> None:
    root = write_coco(tmp_path, photographs=2)
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(root / "images/train2017/001.png")
    with pytest.raises(DataError, match=r"001\.png has 128×97 pixels, but its labels 128×96"):
        ContentTeacher.fit(
            root, encoder=tiny_features.encoder, segmenter=GridSegmenter(4), cache=False
        )


def test_without_coco_an_animal_is_known_and_the_rest_left_open(
    real_asset: Any, cat: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    for name in ("dinov2-small", "efficientnet-lite0"):
        real_asset(name)
    small = np.ascontiguousarray(cat[::2, ::2])
    words = content.describe_regions(small, Partition(np.zeros(small.shape[:2], int)))
    assert words[0] is not None
    assert words[0].noun == "cat"
    flat = np.full((64, 64, 3), 120, np.uint8)
    assert content.describe_regions(flat, Partition(np.zeros((64, 64), int))) == [None]


# Agreement


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a man on a bicycle", "person"),
        ("the sky behind trees", "sky"),
        ("A Group of PEOPLE.", "people"),
        ("a brown-and-white dog", "dog"),
        ("several traffic lights", "traffic light"),
        ("a teddy bear", "teddy bear"),
        ("tennis rackets", "tennis racket"),
        ("a sheet of paper", "paper"),
        ("a small, red car", "car"),
        ("something blurred", None),
        ("", None),
    ],
)
def test_head_nouns(text: str, word: str | None) -> None:
    found = head_noun(text)
    assert (found and found.word) == word


@given(st.text(max_size=60))
def test_any_text_can_be_judged(text: str) -> None:
    found = head_noun(text)
    assert found is None or found.word in nouns()


@pytest.mark.parametrize(
    ("text", "category", "right"),
    [
        ("two boys", "person", True),
        ("the floor", "floor-wood", True),
        ("a wooden floor", "floor-other-merged", False),
        ("an animal", "zebra", True),
        ("a zebra", "horse", False),
        ("a lawn", "grass-merged", True),
        ("nothing to see", "grass-merged", False),
    ],
)
def test_agreement_of_a_word_with_a_category(text: str, category: str, right: bool) -> None:
    assert agrees(text, category) is right


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "", "a dog", "an animal", "a wall", "mist"]),
            st.sampled_from([None, "dog", "wall-brick", "sky-other-merged"]),
            st.floats(1e-6, 1),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_agreement_adds_up(rows: list[tuple[str | None, str | None, float]], cut: int) -> None:
    def judged(part: list[tuple[str | None, str | None, float]]) -> NounAgreement:
        return noun_agreement([r[0] for r in part], [r[1] for r in part], [r[2] for r in part])

    whole = judged(rows)
    assert judged(rows[:cut]) + judged(rows[cut:]) == whole
    found = whole.overall
    assert found.broad <= found.agreed <= found.recognised <= found.said <= found.regions
    assert found.regions == sum(category is not None for _, category, _ in rows)
    assert found.accuracy is None or 0 <= found.accuracy <= 1
    json.dumps(whole.to_dict(), allow_nan=False)


def test_agreement_by_area_and_kind() -> None:
    found = noun_agreement(
        ["an animal", "a brick wall", None], ["dog", "wall-brick", "dog"], [0.01, 0.5, 1.0]
    )
    assert [row.regions for row in found.by_area] == [1, 0, 0, 2]
    assert found.overall.broad == 1
    assert found.overall.coverage == pytest.approx(2 / 3)


def test_agreement_refuses_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="got 1, 2 and 1"):
        noun_agreement(["a dog"], ["dog", "dog"], [0.5])
    with pytest.raises(DataError, match="none of COCO's 133"):
        noun_agreement(["a dog"], ["hound"], [0.5])
    with pytest.raises(DataError, match="fraction of the picture"):
        noun_agreement(["a dog"], ["dog"], [2.0])
    with pytest.raises(DataError, match="none of COCO's 133"):
        agrees("a dog", "hound")


@pytest.mark.skipif(not COCO.is_dir(), reason="needs the COCO panoptic slice in ../shared/data")
def test_words_from_real_labels_agree_with_the_labels() -> None:
    coco = CocoPanoptic.open(COCO, "val")
    total = NounAgreement()
    for image in coco.names[:4]:
        truth = coco.regions(image)
        partition = Partition.from_labels(truth.ids)
        words = words_from_panoptic(partition, truth)
        total += evaluate_nouns([w and w.descriptions[-1] for w in words], partition, truth)
    assert total.overall.accuracy == 1.0
    assert total.overall.coverage == 1.0
    assert total.overall.regions > 20
