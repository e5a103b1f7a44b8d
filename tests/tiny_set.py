"""Instruction data small enough to teach with in a test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from photographs import CROPS
from rsfiqa.learning.instructions import (
    INSTRUCTIONS_FILE,
    PICTURES_FOLDER,
    Fault,
    Instruction,
    RegionInstruction,
    record_of,
)
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.partition import Partition

NOISE = Fault("noise", "gaussian_noise", 4.0)
SAID = "a brown cat"


def tiny_set(folder: Path, pictures: int = 6, *, described: bool = True) -> Path:
    """A set of pictures of two halves, of which the right one is noise in every second picture."""
    (folder / PICTURES_FOLDER).mkdir(parents=True)
    with (folder / INSTRUCTIONS_FILE).open("w") as file:
        for number in range(pictures):
            file.write(
                json.dumps(record_of(_instruction(folder, number, described), folder)) + "\n"
            )
    return folder


def _instruction(folder: Path, number: int, described: bool) -> Instruction:
    crop = list(CROPS.values())[number % len(CROPS)]
    pixels: npt.NDArray[np.uint8] = crop()[:80, :120].copy()
    labels = np.zeros(pixels.shape[:2], int)
    labels[:, 60:] = 1
    faults = (NOISE,) if number % 2 else ()
    if faults:
        rng = np.random.default_rng(number)
        pixels[:, 60:] = rng.integers(0, 256, pixels[:, 60:].shape)
    path = folder / PICTURES_FOLDER / f"{number:06d}.png"
    Image.fromarray(pixels).save(path)
    words, noun = ((SAID,), "cat") if described else ((), None)
    regions = (
        RegionInstruction(0, wanted_ratings([]), words, noun),
        RegionInstruction(1, wanted_ratings(list(faults), 0.2), words, noun, faults),
    )
    return Instruction(path, f"photograph-{number}", Partition(labels), regions)
