"""Which readings a scorer is shown in training: a picture's own, another picture's, or none.

The other two are ablations: a scorer gains from readings as far as it does better with its
pictures' own than with shuffled ones, which have the same distribution and say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch

from rsfiqa.errors import ConfigError
from rsfiqa.extraction import PictureFeatures

Readings = Literal["own", "shuffled", "none"]


def require_readings(readings: str, reader: str) -> None:
    """See that a way to show readings is known, and that there are readings to be shown.

    Args:
        readings: the way.
        reader: name of what reads.

    Raises:
        ConfigError: they are not so.
    """
    if readings not in get_args(Readings):
        raise ConfigError(f"readings are {', '.join(get_args(Readings))}; got {readings!r}.")
    if readings == "shuffled" and reader == "none":
        raise ConfigError("without a reader there are no readings to shuffle; name a reader.")


def without_readings(pictures: Sequence[PictureFeatures]) -> list[PictureFeatures]:
    """The same pictures as if nobody had read them."""
    return [replace(picture, semantics=None) for picture in pictures]


def donors(count: int, seed: int) -> list[int]:
    """For each of `count` pictures another one, each of them once, at random.

    Example:
        >>> sorted(donors(4, seed=0)), any(i == d for i, d in enumerate(donors(4, seed=0)))
        ([0, 1, 2, 3], False)
    """
    order = np.random.default_rng(seed).permutation(count)
    found = [0] * count
    for mine, other in zip(order, np.roll(order, 1), strict=True):
        found[int(mine)] = int(other)
    return found


def with_readings_of(picture: PictureFeatures, donor: PictureFeatures) -> PictureFeatures:
    """A picture with another's readings: its region k has that of region k, counted round."""
    if donor.semantics is None:
        return replace(picture, semantics=None)
    regions = torch.arange(len(picture.area)) % len(donor.area)
    return replace(picture, semantics=donor.semantics.at(regions))


def shuffle_readings(pictures: Sequence[PictureFeatures], seed: int) -> list[PictureFeatures]:
    """Pictures with the readings of others, whole pictures' readings being dealt out by `donors`."""
    return [
        with_readings_of(picture, pictures[donor])
        for picture, donor in zip(pictures, donors(len(pictures), seed), strict=True)
    ]
