"""Synthetic distortions of known family and strength, of whole pictures or of one region.

They make locally spoiled copies for training (so that a region's score answers for that region),
instruction data for readers, and demonstrations. Strengths 1..4 look mild, visible, strong and
severe on a picture with 512 pixels on its long side; any number between is a strength, too. Lengths
(blur, blocks of pixels, the feather) scale with the long side, so that they look alike at any size;
below 256 pixels they stay what they are there, since a fault finer than a pixel is none. What a
sensor or a codec does pixel by pixel (noise, the blocks of JPEG and WebP) does not scale. Families
are grouped by the dimension they spoil, a module each.
"""

from rsfiqa.learning.distortions.base import STRENGTHS
from rsfiqa.learning.distortions.catalogue import FAMILIES, dimension_of, distort
from rsfiqa.learning.distortions.regions import spoil_region

VERSION = "2"
"""Part of the key of cached features: change it whenever a distortion's pixels change."""

__all__ = ["FAMILIES", "STRENGTHS", "VERSION", "dimension_of", "distort", "spoil_region"]
