"""Do descriptions name what people labelled? Agreement with COCO's panoptic labels, by region area."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.content_agreement import NounAgreement, evaluate_nouns
from rsfiqa.learning.content_panoptic import CocoPanoptic
from rsfiqa.learning.reading_raters import Studio
from rsfiqa.parallel import parallel_map
from rsfiqa.reading.base import Reader


def measure_content(
    reader: Reader,
    coco: CocoPanoptic,
    names: Sequence[str],
    studio: Studio,
    *,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Compare descriptions of a segmenter's regions with the labels that cover them.

    Args:
        reader: with its descriptions.
        coco: labels and photographs.
        names: file names of the photographs.
        studio: what they are divided and looked at with.
        workers: photographs side by side.
        told: called after each photograph.

    Returns:
        `pictures`, `failed` (regions that could not be read, which count as silence), and what
        `rsfiqa.learning.content_agreement.NounAgreement.to_dict` gives.

    Raises:
        DataError: there are no photographs, or labels cannot be read.
        ImageError: a photograph cannot be read.
    """
    if not names:
        raise DataError("agreement with labels needs photographs; none was given.")

    def one(name: str) -> tuple[NounAgreement, int]:
        labels = coco.regions(name)
        picture = studio.picture(load_image(coco.photograph(name)).pixels)
        readings = picture.read_by(reader)
        said = [reading.description for reading in readings]
        partition = picture.partition.resize(*labels.ids.shape)
        failed = sum(reading.status == "failed" for reading in readings)
        return evaluate_nouns(said, partition, labels), failed

    total, unread = NounAgreement(), 0
    for agreement, failed in parallel_map(one, names, workers):
        total += agreement
        unread += failed
        told()
    return {"pictures": len(names), "failed": unread, **total.to_dict()}
