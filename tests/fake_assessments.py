"""Assessments with made-up numbers, for tests of what is said and drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from rsfiqa.partition import Partition
from rsfiqa.types import (
    DIMENSIONS,
    Assessment,
    ModelInfo,
    Rating,
    Reading,
    RegionAssessment,
)

MODEL = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="0")


def rating(value: float) -> Rating:
    """The narrowest rating with this mean."""
    return Rating(tuple(max(0.0, 1.0 - abs(value - level)) for level in (5, 4, 3, 2, 1)))  # type: ignore[arg-type]


def reading(description: str | None = None, **values: float) -> Reading:
    """A reading that is ok: 4.5 in every dimension that is not given."""
    ratings = {d: rating(values.get(d, 4.5)) for d in DIMENSIONS}
    return Reading(status="ok", description=description, ratings=ratings)


DESCRIPTIONS = (
    "the sky",
    "trees",
    "a brown dog",
    "A white dog on the left.",
    "grass",
    "a wall, orange",
    "two people",
    "Glass",
    "a woman standing at the side of a long and winding road in the rain at night",
)


def level_ratings() -> st.SearchStrategy[Rating]:
    """Any rating, often one that is sure."""
    narrow = st.floats(1, 5).map(rating)
    shares = st.lists(st.integers(0, 9), min_size=5, max_size=5).filter(any)
    wide = shares.map(lambda p: Rating(tuple(x / sum(p) for x in p)))  # type: ignore[arg-type]
    return st.one_of(st.sampled_from([4.0, 4.8]).map(rating), narrow, wide)


def readings(
    descriptions: st.SearchStrategy[str | None] | None = None,
) -> st.SearchStrategy[Reading]:
    """Any reading: most are ok, some absent or failed."""
    said = st.sampled_from(DESCRIPTIONS) if descriptions is None else descriptions
    ratings = st.fixed_dictionaries({d: level_ratings() for d in DIMENSIONS})
    read = st.builds(Reading, st.just("ok"), said, ratings)
    unread = st.sampled_from([Reading(), Reading(status="failed", reason="no answer\nat all.")])
    return st.one_of(read, read, read, read, unread)


@st.composite
def read_assessments(
    draw: st.DrawFn, descriptions: st.SearchStrategy[str | None] | None = None
) -> Assessment:
    """Any assessment of one to twelve regions with readings."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    count = rows * columns
    labels = grid_labels(60, 80, rows, columns)
    if draw(st.booleans()):
        labels[0, 0] = labels.max() + 1
        count += 1
    numbers = st.lists(st.integers(1, 99), min_size=count, max_size=count)
    found = draw(st.lists(readings(descriptions), min_size=count, max_size=count))
    return assessment(labels, draw(numbers), draw(numbers), readings=dict(enumerate(found)))


def assessment(
    labels: npt.ArrayLike,
    scores: Sequence[float],
    weights: Sequence[float] | None = None,
    *,
    readings: Mapping[int, Reading] | None = None,
    picture: npt.NDArray[np.uint8] | None = None,
    image: str = "photo.jpg",
    seed: int = 0,
    **more: Any,
) -> Assessment:
    """An assessment of these regions that adds up; weights follow area unless given."""
    partition = Partition(np.asarray(labels))
    areas = [region.area for region in partition.regions]
    shares = np.asarray(areas if weights is None else weights, dtype=float)
    shares = shares / shares.sum()
    regions = tuple(
        RegionAssessment(
            id=region.id,
            area=region.area,
            bbox=region.bbox,
            score=float(score),
            weight=float(weight),
            reading=(readings or {}).get(region.id, Reading()),
        )
        for region, score, weight in zip(partition.regions, scores, shares, strict=True)
    )
    attention, attention_labels = _attention(partition, shares, seed)
    return Assessment(
        image=image,
        width=partition.width,
        height=partition.height,
        score=float(sum(r.weight * r.score for r in regions)),
        regions=regions,
        partition=partition,
        model=MODEL,
        attention=attention,
        attention_labels=attention_labels,
        preview=None if picture is None else _preview(picture),
        **more,
    )


def grid_labels(height: int, width: int, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """A label map of `rows` by `columns` rectangles."""
    y = np.arange(height) * rows // height
    x = np.arange(width) * columns // width
    labels: npt.NDArray[np.int64] = y[:, None] * columns + x
    return labels


def _attention(
    partition: Partition, weights: npt.NDArray[np.float64], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    rows, columns = min(32, partition.height), min(32, partition.width)
    y = ((np.arange(rows) + 0.5) * partition.height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * partition.width / columns).astype(int)
    labels = partition.labels[y[:, None], x]
    noise = np.random.default_rng(seed).random((rows, columns))
    smooth = np.exp(8 * ndimage.gaussian_filter(noise, 2))
    sums = np.bincount(labels.ravel(), smooth.ravel(), minlength=len(partition))
    attention = smooth / np.maximum(sums, 1e-12)[labels] * weights[labels]
    return (attention / attention.sum()).astype(np.float32), labels


def _preview(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    longest = max(picture.shape[:2])
    if longest <= Assessment.PREVIEW_SIDE:
        return picture
    factor = Assessment.PREVIEW_SIDE / longest
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    return np.asarray(Image.fromarray(picture).resize(size))
