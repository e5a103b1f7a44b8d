"""Assessments as the JSON that clients get: that of `rsfiqa assess`, and what they asked for beside it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.maps import upsample_attention
from rsfiqa.partition import Partition
from rsfiqa.report.layers import labels_at
from rsfiqa.service.options import MapKind, Options
from rsfiqa.types import Assessment

MAP_SIDE = 1024
"""Pixels along the long side of a map at most; the scorer's own grid is far coarser."""

_WHITE = 65_535


def answer_of(assessment: Assessment, options: Options) -> dict[str, Any]:
    """The assessment as `Assessment.to_dict` gives it, with `maps`, `overlays` and `report` if asked."""
    answer = assessment.to_dict(masks=options.masks)
    if options.maps:
        answer["maps"] = {kind: encoded_map(assessment, kind) for kind in options.maps}
    if options.overlays:
        answer["overlays"] = {
            kind: _png(assessment.overlay(kind).convert("RGB")) for kind in options.overlays
        }
    if options.report:
        from rsfiqa.report.html import render_report

        answer["report"] = render_report([assessment])
    return answer


def to_json(answer: dict[str, Any] | Sequence[Any]) -> bytes:
    """As `Assessment.to_json` writes it."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8")


def encoded_map(assessment: Assessment, kind: MapKind) -> dict[str, Any]:
    """A map as a 16-bit grey PNG within `MAP_SIDE`.

    Returns:
        `size` (height, width), `maximum` and `png` (base64): a pixel stands for its value /
        65535 · `maximum`. Attention is a share of the score, which sums to 1 over this map;
        quality is the score of the region, whose `maximum` is 100.
    """
    scale = min(1.0, MAP_SIDE / max(assessment.height, assessment.width))
    height = max(1, round(assessment.height * scale))
    width = max(1, round(assessment.width * scale))
    labels = labels_at(assessment.partition, height, width)
    if kind == "quality":
        scores = np.array([region.score for region in assessment.regions])
        values, maximum = scores[labels], 100.0
    else:
        values = _attention(assessment, labels)
        maximum = float(values.max())
    return {"size": [height, width], "maximum": maximum, "png": _grey_png(values / maximum)}


def _attention(assessment: Assessment, labels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The attention map on a label map of another size, from which small regions may be missing."""
    if assessment.attention is None or assessment.attention_labels is None:
        raise ValueError("an assessment that was read back from JSON has no attention map")
    seen = np.unique(labels)
    place = np.full(len(assessment.regions), -1)
    place[seen] = np.arange(len(seen))
    weights = np.array([region.weight for region in assessment.regions])[seen]
    return upsample_attention(
        assessment.attention,
        place[assessment.attention_labels],
        weights / weights.sum(),
        Partition(place[labels]),
    )


def _grey_png(shares: npt.NDArray[np.floating[Any]]) -> str:
    levels = np.rint(shares.clip(0, 1) * _WHITE).astype(np.uint16)
    return _png(Image.fromarray(levels))


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
