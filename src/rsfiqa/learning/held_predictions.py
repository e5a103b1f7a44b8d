"""What a scorer says of pictures whose features are held: predictions as an evaluation takes them.

The same as of an assessor that opens the pictures, but for the half precision in which features are
cached and a saved scorer's weights are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.evaluation import Prediction
from rsfiqa.learning.shown_readings import Readings, shuffle_readings, without_readings
from rsfiqa.learning.training import predict
from rsfiqa.scoring.checkpoint import Checkpoint


def shown_as(
    pictures: Sequence[PictureFeatures], readings: Readings, seed: int
) -> Sequence[PictureFeatures]:
    """Pictures with the readings that a scorer is to see of them.

    Args:
        pictures: with their own.
        readings: whose are seen; see `rsfiqa.learning.prepared.Prepared.shown`.
        seed: of shuffling.
    """
    if readings == "own":
        return pictures
    return without_readings(pictures) if readings == "none" else shuffle_readings(pictures, seed)


def held_predictions(
    checkpoint: Checkpoint, pictures: Sequence[PictureFeatures], data: ScoredImages
) -> list[Prediction]:
    """Predictions for pictures, in their order, with what the scorer knows of its errors.

    Args:
        checkpoint: a trained scorer.
        pictures: features, with the readings that it is to see.
        data: the pictures' names, human scores and groups.
    """
    scores = predict(checkpoint.scorer, pictures)
    return [
        _prediction(checkpoint, row, score, features)
        for row, score, features in zip(data, scores, pictures, strict=True)
    ]


def _prediction(
    checkpoint: Checkpoint, row: ScoredImage, score: float, features: PictureFeatures
) -> Prediction:
    known = checkpoint.reliability
    if known is None:
        return Prediction(row.image, score, row.score, row.group)
    found = known.of(score, features.context)
    low, high = found.interval
    return Prediction(
        row.image,
        score,
        row.score,
        row.group,
        uncertainty=found.uncertainty,
        low=low,
        high=high,
    )
