"""Leaks between training and test pictures, and the perceptual hash that finds copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from skimage import data as pictures
from sklearn.datasets import load_sample_images

from rsfiqa.errors import DataError, ImageError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.leaks import find_leaks, fingerprints, require_no_leak
from rsfiqa.learning.perceptual_hash import NEAR, hash_distance, near_pairs, perceptual_hash

hashes = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def photographs() -> dict[str, Image.Image]:
    china, flower = load_sample_images().images
    found = {
        name: getattr(pictures, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")
    }
    return {
        name: Image.fromarray(p) for name, p in (found | {"china": china, "flower": flower}).items()
    }


def hash_of(picture: Image.Image) -> int:
    found = perceptual_hash(np.array(picture.convert("RGB")))
    assert found is not None
    return found


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    data = BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data)


def noisy(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture, dtype=float)
    pixels = pixels + np.random.default_rng(0).normal(0, 15, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half size": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS),
    "quarter size, JPEG": lambda p: recompressed(p.resize((p.width // 4, p.height // 4)), 70),
    "larger": lambda p: p.resize((p.width * 2, p.height * 2), Image.Resampling.BICUBIC),
    "another aspect ratio": lambda p: p.resize((512, 384)),
    "JPEG 60": lambda p: recompressed(p, 60),
    "JPEG 15": lambda p: recompressed(p, 15),
    "noise": noisy,
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.7),
    "grey": lambda p: p.convert("L"),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_have_nearly_the_same_hash(kind: str, photographs: dict[str, Image.Image]) -> None:
    for name, picture in photographs.items():
        assert hash_distance(hash_of(picture), hash_of(COPIES[kind](picture))) <= NEAR, name


def test_other_pictures_have_another_hash(photographs: dict[str, Image.Image]) -> None:
    for (name, one), (other, two) in combinations(photographs.items(), 2):
        assert hash_distance(hash_of(one), hash_of(two)) > 2 * NEAR, (name, other)


def test_uniform_pictures_have_no_hash() -> None:
    rng = np.random.default_rng(0)
    for value in (0, 128, 255):
        grain = rng.integers(-2, 3, (64, 64, 3))
        pixels = (value + grain).clip(0, 255).astype(np.uint8)
        assert perceptual_hash(pixels) is None


@given(st.lists(hashes, max_size=30), st.lists(hashes, max_size=30), st.integers(0, 64))
def test_pairs_are_those_within_the_distance(
    first: list[int], second: list[int], most: int
) -> None:
    second = second + [value ^ 0b10101 for value in first[::2]]
    expected = {
        (i, j, hash_distance(a, b))
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if hash_distance(a, b) <= most
    }
    assert set(near_pairs(first, second, most)) == expected


def test_ten_thousand_hashes_are_compared_in_seconds() -> None:
    rng = np.random.default_rng(0)
    values = [int(value) for value in rng.integers(0, 2**63, 10_000)]
    start = time.thread_time()  # of this thread's own work, whatever else the machine has to do
    found = list(near_pairs(values[:8000], [*values[8000:], values[17] ^ 1]))
    assert found == [(17, 2000, 1)]
    assert time.thread_time() - start < 20


def scored(
    folder: Path,
    named: dict[str, Image.Image | bytes],
    groups: dict[str, str] | None = None,
    *,
    by_reference: bool = False,
) -> ScoredImages:
    folder.mkdir(exist_ok=True)
    rows = []
    for name, picture in named.items():
        path = folder / name
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            picture.save(path)
        rows.append(ScoredImage(path, name, 1.0, 1.0, group=(groups or {}).get(name, "")))
    return ScoredImages(tuple(rows), (0.0, 100.0), by_reference=by_reference)


def test_pictures_that_have_nothing_in_common(
    tmp_path: Path, photographs: dict[str, Image.Image]
) -> None:
    train = scored(tmp_path / "a", {f"{n}.png": photographs[n] for n in ("astronaut", "coffee")})
    test = scored(tmp_path / "b", {f"{n}.png": photographs[n] for n in ("chelsea", "china")})
    assert find_leaks(train, test) == []
    require_no_leak([])


def test_the_same_file_and_a_near_duplicate_are_leaks(
    tmp_path: Path, photographs: dict[str, Image.Image]
) -> None:
    cat, cup = photographs["chelsea"], photographs["coffee"]
    train = scored(tmp_path / "a", {"cat.png": cat, "cup.jpg": cup})
    same = (tmp_path / "a/cat.png").read_bytes()
    test = scored(tmp_path / "b", {"copy.png": same, "small.jpg": COPIES["half size"](cup)})
    leaks = find_leaks(train, test)
    assert [(leak.kind, leak.train, leak.test) for leak in leaks] == [
        ("same file", "cat.png", "copy.png"),
        ("near-duplicate", "cup.jpg", "small.jpg"),
    ]
    with pytest.raises(
        DataError,
        match=r"of test are in .* 1 × same file: copy\.png and cat\.png; "
        r"1 × near-duplicate: small\.jpg and cup\.jpg \(\d bits of 64 differ\)",
    ):
        require_no_leak(leaks, "test")
    assert find_leaks(train, test, prints=fingerprints([*train, *test])) == leaks


def test_a_shared_reference_is_a_leak_that_is_told_once(
    tmp_path: Path, photographs: dict[str, Image.Image]
) -> None:
    cat, cup = photographs["chelsea"], photographs["coffee"]
    groups = {f"{name}-{i}.png": name for name in ("cat", "cup", "rocket") for i in range(4)}
    train = scored(
        tmp_path / "a",
        {"cat-0.png": cat, "cat-1.png": noisy(cat), "cup-0.png": cup},
        groups,
        by_reference=True,
    )
    test = scored(
        tmp_path / "b",
        {"cat-2.png": COPIES["darker"](cat), "rocket-0.png": photographs["rocket"]},
        groups,
        by_reference=True,
    )
    (leak,) = find_leaks(train, test)
    assert (leak.kind, leak.train, leak.test) == ("same reference", "cat-0.png", "cat-2.png")
    assert str(leak) == "cat-2.png and cat-0.png (same reference, cat)"


def test_a_subset_is_no_reference(tmp_path: Path, photographs: dict[str, Image.Image]) -> None:
    groups = {"cat.png": "ss01", "cup.png": "ss01"}
    train = scored(tmp_path / "a", {"cat.png": photographs["chelsea"]}, groups)
    test = scored(tmp_path / "b", {"cup.png": photographs["coffee"]}, groups)
    assert find_leaks(train, test) == []


def test_uniform_pictures_are_no_copies_of_each_other(tmp_path: Path) -> None:
    black, white = (Image.new("RGB", (64, 48), colour) for colour in ("black", "white"))
    train = scored(tmp_path / "a", {"black.png": black})
    assert find_leaks(train, scored(tmp_path / "b", {"white.png": white})) == []
    (leak,) = find_leaks(train, scored(tmp_path / "c", {"black.png": black}))
    assert leak.kind == "same file"


def test_many_leaks_are_counted(tmp_path: Path, photographs: dict[str, Image.Image]) -> None:
    data = BytesIO()
    photographs["rocket"].save(data, "PNG")
    train = scored(tmp_path / "a", {"r.png": data.getvalue()})
    test = scored(tmp_path / "b", {f"{i}.png": data.getvalue() for i in range(7)})
    with pytest.raises(
        DataError, match=r"7 × same file: 0\.png and r\.png, .*4\.png and r\.png, \.\.\."
    ):
        require_no_leak(find_leaks(train, test))


def test_a_damaged_picture_stops_the_search(
    tmp_path: Path, photographs: dict[str, Image.Image]
) -> None:
    train = scored(tmp_path / "a", {"r.png": photographs["rocket"]})
    test = scored(tmp_path / "b", {"broken.png": b"no picture"})
    with pytest.raises(ImageError, match=r"broken\.png"):
        find_leaks(train, test)


def test_each_picture_is_told_of(tmp_path: Path, photographs: dict[str, Image.Image]) -> None:
    told: list[int] = []
    train = scored(tmp_path / "a", {"r.png": photographs["rocket"], "c.png": photographs["coffee"]})
    prints = fingerprints([*train, *train], told.append)
    assert told == [1, 1]
    assert set(prints) == {row.path for row in train}
