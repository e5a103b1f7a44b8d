"""All that a scorer sees of one picture: features, partition and readings, from one encoding.

The same function serves inference and training, so that what is learned is what is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.partition import Partition
from rsfiqa.reading.base import Reader
from rsfiqa.scoring.semantics import TextEncoder, semantics_of
from rsfiqa.types import Reading


@dataclass(frozen=True, eq=False)
class Observation:
    """What is known of one picture before it is scored.

    Attributes:
        features: what the scorer reads; with semantics where descriptions were embedded.
        partition: of the picture's size.
        readings: one a region.
    """

    features: PictureFeatures
    partition: Partition
    readings: Sequence[Reading]


def observe(
    pixels: npt.NDArray[np.uint8],
    extractor: FeatureExtractor,
    reader: Reader,
    sentences: TextEncoder | None = None,
    partition: Partition | None = None,
) -> Observation:
    """Encode a picture `[H, W, 3]` once, divide it, have its regions read, and reduce all that.

    Args:
        pixels: RGB.
        extractor: encoder, segmenter and stem.
        reader: reads the regions; it is given the encoder's features if it can take them over.
        sentences: embeds descriptions for the scorer; None for a scorer that is shown no readings.
        partition: the regions to use instead of segmenting, of the picture's size.

    Raises:
        DataError: the given partition has another size than the picture.
    """
    grid, partition = extractor.encode_and_segment(pixels, partition)
    shared = reader.encoder_name == extractor.encoder.name
    readings = reader.read(pixels, partition, grid if shared else None)
    features = extractor.reduce(grid, partition)
    if sentences is not None:
        features = replace(features, semantics=semantics_of(readings, sentences))
    return Observation(features, partition, readings)
