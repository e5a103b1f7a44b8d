"""The vocabulary of rsfiqa: ratings, readings, assessed regions and the assessment of a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition, Region

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "DIMENSIONS",
    "LEVELS",
    "Assessment",
    "Dimension",
    "Level",
    "ModelInfo",
    "Partition",
    "Rating",
    "Reading",
    "Region",
    "RegionAssessment",
    "level_of",
]

Dimension = Literal["color", "noise", "artifact", "blur", "overall"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What a region is rated on. `color` covers exposure, saturation, contrast and white balance;
`artifact` compression, ringing, pixelation, banding and over-sharpening; `blur` defocus and motion."""

Level = Literal["excellent", "good", "fair", "poor", "bad"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The five category words of ITU-R BT.500 and ITU-T P.910, best (5) first."""

_LEVEL_VALUES = (5.0, 4.0, 3.0, 2.0, 1.0)

ReadingStatus = Literal["ok", "failed", "absent"]


def level_of(score: float) -> Level:
    """The level word of a score: 0..100 cut into five equal parts.

    Example:
        >>> level_of(63.2), level_of(100.0), level_of(0.0)
        ('good', 'excellent', 'bad')
    """
    return LEVELS[4 - min(4, max(0, int(score // 20)))]


@dataclass(frozen=True)
class Rating:
    """A probability over the five levels, for one dimension of one region.

    Attributes:
        probabilities: five numbers in the order of `LEVELS` (best first), which sum to 1.

    Example:
        >>> Rating((0.5, 0.5, 0.0, 0.0, 0.0)).value
        4.5
    """

    probabilities: tuple[float, float, float, float, float]

    def __post_init__(self) -> None:
        values = self.probabilities
        if (
            len(values) != 5
            or not all(0.0 <= p <= 1.0 for p in values)
            or abs(sum(values) - 1) > 1e-4
        ):
            raise DataError(f"a rating is five probabilities that sum to 1; got {values}.")

    @property
    def value(self) -> float:
        """The mean level on 1..5, where 5 is best (for `noise`, 5 = no noise)."""
        return sum(p * v for p, v in zip(self.probabilities, _LEVEL_VALUES, strict=True))


@dataclass(frozen=True)
class Reading:
    """What a reader says of one region.

    Attributes:
        status: `ok`; `failed`, with the reason; or `absent`, when nobody read the region.
        description: what the region shows, in a few words.
        ratings: one rating a dimension when the status is `ok`, else empty.
        reason: why a reading failed.
    """

    status: ReadingStatus = "absent"
    description: str | None = None
    ratings: Mapping[Dimension, Rating] = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.status not in get_args(ReadingStatus):
            raise DataError(
                f"a reading is {', '.join(get_args(ReadingStatus))}; got {self.status!r}."
            )
        if self.status == "ok" and set(self.ratings) != set(DIMENSIONS):
            raise DataError(
                f"a reading that is ok rates {', '.join(DIMENSIONS)}; got {sorted(self.ratings)}."
            )
        if self.status != "ok" and self.ratings:
            raise DataError(f"a reading that is {self.status} has no ratings.")
        if self.status == "failed" and not self.reason:
            raise DataError("a failed reading says why.")

    @property
    def values(self) -> dict[str, float] | None:
        """The mean level of each dimension on 1..5, or None when the region was not read."""
        return {d: self.ratings[d].value for d in DIMENSIONS} if self.status == "ok" else None

    def to_dict(self) -> dict[str, Any]:
        """The reading as plain data for JSON: part of a region's entry in results.

        `ratings` are the mean levels, `levels` the probabilities in the order of `LEVELS`, rounded;
        a region that was not read has no `levels`.

        Example:
            >>> Reading(status="failed", reason="the server does not answer").to_dict()
            {'description': None, 'ratings': None, 'reading': 'failed', 'reading_reason': 'the server does not answer'}
        """
        plain: dict[str, Any] = {
            "description": self.description,
            "ratings": _rounded(self.values),
        }
        if self.ratings:
            plain["levels"] = {d: _rounded_levels(self.ratings[d]) for d in DIMENSIONS}
        plain["reading"] = self.status
        if self.reason:
            plain["reading_reason"] = self.reason
        return plain

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Reading:
        """Read back what `to_dict` wrote, up to its rounding.

        An entry without `levels`, as earlier versions wrote it, has the means only: what comes back
        is the narrowest distribution over neighbouring levels that has this mean.

        Raises:
            DataError: the entry holds no proper ratings.
            KeyError: a part is missing.
        """
        ratings: dict[Dimension, Rating] = {}
        if entry["ratings"] is not None:
            levels = entry.get("levels")
            for d in DIMENSIONS:
                mean = entry["ratings"][d]
                ratings[d] = _rating_with_mean(mean) if levels is None else Rating(tuple(levels[d]))
        return cls(
            status=entry["reading"],
            description=entry["description"],
            ratings=ratings,
            reason=entry.get("reading_reason"),
        )


@dataclass(frozen=True)
class RegionAssessment:
    """One region of an assessed picture.

    Attributes:
        id: the region's id in the partition.
        area: fraction of the picture's pixels.
        bbox: `(x, y, width, height)` in pixels.
        score: quality of the region, 0..100, higher is better.
        weight: its share in the picture's score; the weights of a picture sum to 1.
        reading: what the reader said of it.
    """

    id: int
    area: float
    bbox: tuple[int, int, int, int]
    score: float
    weight: float
    reading: Reading = field(default_factory=Reading)

    @property
    def level(self) -> Level:
        return level_of(self.score)


@dataclass(frozen=True)
class ModelInfo:
    """Which parts made an assessment: names with versions, enough to repeat it."""

    segmenter: str
    reader: str
    scorer: str
    version: str


@dataclass(frozen=True, eq=False)
class Assessment:
    """The whole result for one picture.

    `sum(region.weight * region.score for region in regions)` equals `score`: the explanation adds up.

    Attributes:
        image: the picture's name, as given.
        width, height: size in pixels, after EXIF orientation.
        score: 0..100, higher is better, on the MOS scale of the scorer's training data.
        regions: the assessed regions, in order of their ids.
        partition: the label map at the picture's size.
        model: what made it.
        uncertainty: standard deviation of the score's error, in points; None, as the next two, from a
            scorer that does not know it.
        interval: `(low, high)` in points: for nine in ten pictures like those that the scorer was
            validated on, what people say lies in it. It holds the score and stays within 0..100.
        novelty: how unlike the training pictures the picture is, 0..1: the fraction of validation
            pictures that are more like them; see `familiar`.
        sha256: hash of the file's bytes (of the pixels, for arrays and tensors), the key under
            which work already done is found again.
        notes: what the user should know of the input, such as "first of 12 frames".
        attention: the global attention map on the scorer's grid, float32 `[h, w]`, sums to 1;
            None when the assessment was read back from JSON.
        attention_labels: the partition on the same grid, `[h, w]`.
        preview: the picture itself, uint8 RGB, at most `PREVIEW_SIDE` pixels on its long side,
            for overlays; None when read back from JSON.
    """

    image: str
    width: int
    height: int
    score: float
    regions: tuple[RegionAssessment, ...]
    partition: Partition
    model: ModelInfo
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    attention: npt.NDArray[np.float32] | None = None
    attention_labels: npt.NDArray[Any] | None = None
    preview: npt.NDArray[np.uint8] | None = None
    uncertainty: float | None = None
    interval: tuple[float, float] | None = None
    novelty: float | None = None

    PREVIEW_SIDE = 2048
    NOVEL_FROM = 0.99

    @property
    def familiar(self) -> bool | None:
        """Whether the picture is like those that the scorer was trained on; None if not known.

        The least alike one in a hundred are not, and their scores and intervals are to be taken
        with care.
        """
        return None if self.novelty is None else self.novelty < self.NOVEL_FROM

    @property
    def level(self) -> Level:
        """The score in one word."""
        return level_of(self.score)

    @property
    def ratings(self) -> dict[str, float] | None:
        """The regions' ratings weighted by region weight, 1..5; None when no region was read."""
        read = [(r.weight, r.reading.values) for r in self.regions if r.reading.status == "ok"]
        total = sum(weight for weight, _ in read)
        if not read or total <= 0:
            return None
        return {d: sum(w * v[d] for w, v in read if v is not None) / total for d in DIMENSIONS}

    @property
    def summary(self) -> str:
        """One sentence or two, composed by rule from the numbers: it can only say what they say.

        See `rsfiqa.summary.summarize`.
        """
        from rsfiqa.summary import summarize

        return summarize(self)

    @cached_property
    def attention_map(self) -> npt.NDArray[np.float32] | None:
        """The global attention map at the picture's size, float32 `[H, W]`, sums to 1.

        Attention is spread inside each region only, so that the sum over a region's pixels is
        its weight. None when the assessment was read back from JSON.
        """
        if self.attention is None or self.attention_labels is None:
            return None
        from rsfiqa.maps import upsample_attention

        weights = np.array([region.weight for region in self.regions])
        return upsample_attention(self.attention, self.attention_labels, weights, self.partition)

    @cached_property
    def quality_map(self) -> npt.NDArray[np.float32]:
        """The score of the region under each pixel, float32 `[H, W]`, 0..100."""
        scores = np.array([region.score for region in self.regions], dtype=np.float32)
        quality: npt.NDArray[np.float32] = scores[self.partition.labels]
        return quality

    def to_dict(self, *, masks: bool = True) -> dict[str, Any]:
        """The assessment as plain data for JSON; `masks=False` leaves the region masks out.

        Each region has the `sentence` that `rsfiqa.sentences.region_sentences` says of it.
        """
        from rsfiqa.sentences import region_sentences

        rles: Sequence[dict[str, Any] | None]
        rles = self.partition.to_rle() if masks else [None] * len(self.regions)
        regions = []
        for region, rle, said in zip(self.regions, rles, region_sentences(self), strict=True):
            entry: dict[str, Any] = {
                "id": region.id,
                "area": round(region.area, 6),
                "bbox": list(region.bbox),
            }
            if rle is not None:
                entry["mask"] = rle
            entry |= {
                "score": round(region.score, 5),
                "weight": round(region.weight, 8),
                "level": region.level,
                "sentence": said,
            }
            regions.append(entry | region.reading.to_dict())
        result: dict[str, Any] = {
            "image": self.image,
            "width": self.width,
            "height": self.height,
            "score": round(self.score, 5),
            "level": self.level,
            "uncertainty": None if self.uncertainty is None else round(self.uncertainty, 3),
            "interval": None if self.interval is None else _rounded_outwards(self.interval),
            "familiar": self.familiar,
            "novelty": None if self.novelty is None else _cut(self.novelty),
            "summary": self.summary,
            "ratings": _rounded(self.ratings),
            "regions": regions,
            "model": {
                "segmenter": self.model.segmenter,
                "reader": self.model.reader,
                "scorer": self.model.scorer,
                "version": self.model.version,
            },
        }
        if self.sha256:
            result["sha256"] = self.sha256
        if self.notes:
            result["notes"] = list(self.notes)
        return result

    def to_json(self, *, masks: bool = True, indent: int | None = None) -> str:
        """The assessment as one JSON object, on one line unless `indent` is given."""
        return json.dumps(
            self.to_dict(masks=masks), ensure_ascii=False, indent=indent, allow_nan=False
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Assessment:
        """Read back what `to_json` wrote with masks. The attention map and preview are not in JSON.

        Ratings come back as `Reading.from_dict` says.

        Raises:
            DataError: the text is no assessment, or was written without masks.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise TypeError(f"not an object but {type(data).__name__}")
            if "error" in data:
                raise DataError(f"{data.get('image')} was not assessed: {data['error']}")
            partition = Partition.from_rle([entry["mask"] for entry in data["regions"]])
            regions = tuple(
                RegionAssessment(
                    id=entry["id"],
                    area=partition.regions[entry["id"]].area,
                    bbox=partition.regions[entry["id"]].bbox,
                    score=entry["score"],
                    weight=entry["weight"],
                    reading=Reading.from_dict(entry),
                )
                for entry in data["regions"]
            )
            return cls(
                image=data["image"],
                width=data["width"],
                height=data["height"],
                score=data["score"],
                regions=regions,
                partition=partition,
                model=ModelInfo(**data["model"]),
                sha256=data.get("sha256"),
                notes=tuple(data.get("notes", ())),
                uncertainty=data.get("uncertainty"),
                interval=_pair(data.get("interval")),
                novelty=data.get("novelty"),
            )
        except DataError:
            raise
        # Among them what is no JSON, or no text.
        except (
            AttributeError,
            KeyError,
            TypeError,
            IndexError,
            ValueError,
            RecursionError,
        ) as error:
            raise DataError(
                "this is not an assessment with masks as to_json() writes it: "
                f"{type(error).__name__}: {error}."
            ) from error

    def overlay(
        self,
        kind: Literal["regions", "attention", "quality"] = "regions",
        *,
        picture: Image.Image | None = None,
    ) -> Image.Image:
        """The picture with its regions, attention or quality drawn over it.

        See `rsfiqa.report.overlay` for what each kind shows.

        Args:
            kind: what to draw.
            picture: what to draw on; by default the preview, which JSON does not hold.
        """
        from rsfiqa.report.overlay import draw_overlay

        return draw_overlay(self, kind, picture=picture)

    def _repr_html_(self) -> str:
        """How notebooks show it; see `rsfiqa.display`."""
        from rsfiqa.display import render_html

        return render_html(self)

    def save_report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about this picture; returns its path."""
        from rsfiqa.report.html import save_report

        return save_report([self], path)


def _rounded(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else {name: round(value, 4) for name, value in values.items()}


def _rounded_outwards(interval: tuple[float, float]) -> list[float]:
    """Three digits, and never so that the score falls out of its interval."""
    low, high = interval
    return [math.floor(low * 1000) / 1000, math.ceil(high * 1000) / 1000]


def _cut(novelty: float) -> float:
    """Four digits, cut off: what is below `Assessment.NOVEL_FROM` stays below it."""
    return math.floor(novelty * 10_000) / 10_000


def _pair(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != 2:
        raise TypeError(f"an interval is two numbers, not {values!r}")
    return values[0], values[1]


def _rounded_levels(rating: Rating) -> list[float]:
    """Six digits of each probability; their sum is 1 up to this rounding."""
    total = sum(rating.probabilities)
    return [round(p / total, 6) for p in rating.probabilities]


def _rating_with_mean(value: float) -> Rating:
    """The narrowest distribution over neighbouring levels that has this mean."""
    probabilities = [max(0.0, 1.0 - abs(value - level)) for level in _LEVEL_VALUES]
    return Rating(tuple(probabilities))  # type: ignore[arg-type]
