"""Masks of everything in a picture: a SAM model asked at a grid of points, its answers sifted.

The procedure of *Segment Anything* (Kirillov et al., 2023, appendix B): prompt at a regular grid,
keep masks that the model trusts and that hardly change with the threshold, drop repetitions. Ours
are three choices that keep memory small: masks are judged at the resolution in which the model draws
them and enlarged only when they stay; repetitions are found by the overlap of masks, not of their
boxes, so that a frame and what it frames both stay; crops of the picture are not asked again, since
they find small things and regions of quality are large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ConfigError
from rsfiqa.regions.sam_models import EncodedPicture, PointPrompted

if TYPE_CHECKING:
    import torch

STABILITY_OFFSET = 1.0
"""Stability is the IoU of a mask cut at this logit and at its negative, as in SAM."""

_SCORE_DIGITS = 4
"""Scores are rounded, so that the rounding of floats, which differs with the number of points asked
at once, does not change the order of masks."""


@dataclass(frozen=True)
class Candidate:
    """A mask as the model drew it.

    Attributes:
        logits: half-precision `[h, w]` over the model's input, above 0 inside the mask.
        score: the model's own prediction of the mask's IoU with the truth, about 0..1.
        run_lengths: the mask, cut to the picture's part of the input, as COCO RLE at that
            resolution.
    """

    logits: npt.NDArray[np.float16]
    score: float
    run_lengths: dict[str, Any]


def point_grid(per_side: int) -> npt.NDArray[np.float32]:
    """Centres of `per_side` × `per_side` equal cells, row by row: `[per_side², 2]`, x and y in 0..1.

    Example:
        >>> point_grid(2)
        array([[0.25, 0.25],
               [0.75, 0.25],
               [0.25, 0.75],
               [0.75, 0.75]], dtype=float32)
    """
    centres = (np.arange(per_side, dtype=np.float32) + 0.5) / per_side
    x, y = np.meshgrid(centres, centres)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def generate_masks(
    model: PointPrompted,
    picture: EncodedPicture,
    points: npt.NDArray[np.float32],
    *,
    points_per_batch: int,
    pred_iou_thresh: float,
    stability_score_thresh: float,
    duplicate_iou: float,
) -> list[Candidate]:
    """The masks that a model finds at the points, best first, none of them twice.

    Args:
        model: the prompted model.
        picture: what it made of the picture.
        points: `[P, 2]`, fractions of the picture; every one of them is asked.
        points_per_batch: how many are asked at once; halved when the device runs out of memory.
        pred_iou_thresh: masks with a lower predicted IoU are dropped.
        stability_score_thresh: masks with a lower stability are dropped.
        duplicate_iou: of two masks that overlap more than this, the better-scored stays.

    Returns:
        none to `3 * P` masks.

    Raises:
        ConfigError: not even one point fits into the device's memory.
    """
    found: list[Candidate] = []
    for logits, scores in _asked(model, picture, points, points_per_batch):
        found += _sifted(logits, scores, picture, pred_iou_thresh, stability_score_thresh)
    return _without_repetitions(found, duplicate_iou)


def enlarged(
    candidate: Candidate, picture: EncodedPicture, height: int, width: int
) -> npt.NDArray[np.bool_]:
    """The mask at another size `[height, width]`, padding cut off, logits bilinearly interpolated."""
    rows, columns = _content_of(picture, candidate.logits.shape)
    # resize() takes a box of fractional pixels: the picture seldom ends on a whole one.
    drawn = Image.fromarray(candidate.logits.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR, box=(0, 0, columns, rows)
    )
    mask: npt.NDArray[np.bool_] = np.asarray(drawn) > 0
    return mask


def _asked(
    model: PointPrompted, picture: EncodedPicture, points: npt.NDArray[np.float32], at_once: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    start = 0
    while start < len(points):
        chunk = points[start : start + at_once]
        answer = unless_out_of_memory(lambda chunk=chunk: model.masks_at(picture, chunk))  # type: ignore[misc]
        if answer is not None:
            yield answer
            start += len(chunk)
        elif len(chunk) > 1:
            at_once = len(chunk) // 2
        else:
            raise ConfigError(
                f"{model.label} runs out of memory on {model.device} even when asked at one point at "
                "a time; choose a smaller model, free the device's memory, or use device='cpu'."
            )


def unless_out_of_memory(compute: Callable[[], Any]) -> Any:
    """What `compute` returns, or None when the device runs out of memory in it.

    The error is not kept: its traceback would hold on to the very tensors that did not fit.
    """
    import torch

    try:
        return compute()
    except RuntimeError as error:
        # CUDA has a class of its own for this, MPS and the processor's allocator only words.
        if not isinstance(error, torch.cuda.OutOfMemoryError) and not any(
            words in str(error) for words in ("out of memory", "can't allocate memory")
        ):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return None


def _sifted(
    logits: torch.Tensor,
    scores: torch.Tensor,
    picture: EncodedPicture,
    pred_iou_thresh: float,
    stability_score_thresh: float,
) -> list[Candidate]:
    """The masks of one batch of points that are trusted, stable and not empty."""
    trusted = scores >= pred_iou_thresh
    logits, scores = logits[trusted], scores[trusted]
    rows, columns = _content_of(picture, tuple(logits.shape[-2:]))
    seen = logits[:, : math.ceil(rows), : math.ceil(columns)]
    inner = (seen > STABILITY_OFFSET).sum((1, 2))
    outer = (seen > -STABILITY_OFFSET).sum((1, 2))
    # An empty mask has 0 of 0 pixels: not a number, and never above a threshold.
    stable = (inner / outer >= stability_score_thresh) & (seen > 0).any(2).any(1)
    kept = logits[stable].half().cpu().numpy()
    return [
        Candidate(mask, round(score, _SCORE_DIGITS), _encoded(mask, rows, columns))
        for mask, score in zip(kept, scores[stable].tolist(), strict=True)
    ]


def _content_of(picture: EncodedPicture, shape: Sequence[int]) -> tuple[float, float]:
    """Rows and columns of a map over the model's input that show the picture, in fractions too."""
    return (
        shape[0] * picture.content[0] / picture.input_size[0],
        shape[1] * picture.content[1] / picture.input_size[1],
    )


def _encoded(logits: npt.NDArray[np.float16], rows: float, columns: float) -> dict[str, Any]:
    from pycocotools import mask as coco

    seen = logits[: math.ceil(rows), : math.ceil(columns)] > 0
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(seen.astype(np.uint8)))
    return encoded


def _without_repetitions(found: Sequence[Candidate], duplicate_iou: float) -> list[Candidate]:
    """Best first; equal scores in the order of their points."""
    from pycocotools import mask as coco

    kept: list[Candidate] = []
    for candidate in sorted(found, key=lambda one: -one.score):
        others = [one.run_lengths for one in kept]
        if others:
            overlap = coco.iou([candidate.run_lengths], others, [0] * len(others))
            if np.max(overlap) > duplicate_iou:
                continue
        kept.append(candidate)
    return kept
