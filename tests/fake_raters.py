"""Readers and data for the tests of `rsfiqa bench read`: what was done is known to who asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from photographs import save_photographs
from rsfiqa.learning.distortions import spoil_region
from rsfiqa.learning.instructions import (
    INSTRUCTIONS_FILE,
    PICTURES_FOLDER,
    Fault,
    Instruction,
    RegionInstruction,
    record_of,
)
from rsfiqa.learning.levels import level_distribution, wanted_ratings
from rsfiqa.partition import Partition
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS, Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures

Pixels = npt.NDArray[np.uint8]
FAMILIES = {
    "blur": "gaussian_blur",
    "noise": "gaussian_noise",
    "artifact": "jpeg",
    "color": "underexpose",
}


_distribution = lru_cache(maxsize=1000)(level_distribution)


def ok(level: float, description: str | None = None) -> Reading:
    """A reading with this mean level on all dimensions."""
    return Reading("ok", description, dict.fromkeys(DIMENSIONS, _distribution(level)))


class Oracle:
    """Knows what each region of each picture of a set should be rated; others it calls clean.

    Args:
        known: by the picture's bytes, the readings of its regions.
        failing: ids of regions that it cannot read.
    """

    encoder_name: str | None = None
    name = "oracle/1"

    def __init__(
        self, known: dict[bytes, dict[int, Reading]] | None = None, failing: Sequence[int] = ()
    ) -> None:
        self.known = known or {}
        self.failing = set(failing)

    def read(
        self, pixels: Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        mine = self.known.get(pixels.tobytes(), {})
        refused = Reading("failed", reason="refused")
        return [
            refused if k in self.failing else mine.get(k, ok(4.8)) for k in range(len(partition))
        ]


class LevelReader(Oracle):
    """Rates each region by its own brightness, and a share of the whole picture's: a known leak."""

    name = "level/1"

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.leak = leak

    def read(
        self, pixels: Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        whole = pixels.mean()
        means = [float(pixels[partition.mask(k)].mean()) for k in range(len(partition))]
        mixed = [(1 - self.leak) * mean + self.leak * whole for mean in means]
        return [ok(1 + 4 * value / 255) for value in mixed]


def write_set(folder: Path, *, cells: int = 3, names: Sequence[str] = ()) -> Path:
    """A set of instruction data, made without the measure that real sets need.

    Of each photograph four copies: in each, every second region has one fault, strength 1 to 4.
    """
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir(parents=True)
    clean = save_photographs(folder / "clean", *names)
    segmenter = GridSegmenter(cells)
    records: list[dict[str, Any]] = []
    for source in sorted(clean.rglob("*.png")):
        pixels = np.asarray(Image.open(source))
        partition = segmenter.segment(pixels, None)
        for copy in range(4):
            spoiled = pixels
            regions = []
            for k in range(len(partition)):
                faults: tuple[Fault, ...] = ()
                if (k + copy) % 2:
                    dimension = list(FAMILIES)[(k // 2 + copy) % 4]
                    strength = float(1 + (k + copy) % 4)
                    family = FAMILIES[dimension]
                    faults = (Fault(dimension, family, strength),)
                    spoiled = spoil_region(spoiled, partition.mask(k), family, strength, k)
                ratings = wanted_ratings(faults, 1 - sum(f.strength for f in faults) / 5)
                regions.append(RegionInstruction(k, ratings, faults=faults))
            path = pictures / f"{source.stem}-{copy}.png"
            Image.fromarray(spoiled).save(path)
            name = source.relative_to(clean).as_posix()
            records.append(record_of(Instruction(path, name, partition, tuple(regions)), folder))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / INSTRUCTIONS_FILE).write_text(lines, encoding="utf-8")
    return folder


def oracle_of(folder: Path, failing: Sequence[int] = ()) -> Oracle:
    """Who knows the labels of a set."""
    from rsfiqa.learning.instructions import read_instructions

    known = {}
    for instruction in read_instructions(folder):
        pixels = np.asarray(Image.open(instruction.image))
        known[pixels.tobytes()] = {
            r.region: Reading("ok", None, dict(r.ratings)) for r in instruction.regions
        }
    return Oracle(known, failing)


def write_mmp2k(folder: Path, annotations: Sequence[Sequence[tuple[str, str, str]]]) -> Path:
    """Flat photographs, each a little darker than the one before, with what people said of them."""
    (folder / "images").mkdir(parents=True)
    lines = ["image,mos,distortion_annotation"]
    for number, entries in enumerate(annotations):
        value = 250 - 20 * number
        Image.new("RGB", (48, 40), (value, value, value)).save(folder / f"images/{number}.png")
        named = [dict(zip(("factor", "magnitude", "position"), e, strict=True)) for e in entries]
        quoted = json.dumps(named).replace('"', '""')
        lines.append(f'images/{number}.png,50,"{quoted}"')
    (folder / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_coco(folder: Path) -> Path:
    """One photograph of COCO's val split: sky above, a cat below, a strip that nobody labelled."""
    height, width = 60, 80
    ids = np.zeros((height, width), np.uint8)
    ids[:30], ids[30:56] = 1, 2
    colors = np.zeros((height, width, 3), np.uint8)
    colors[..., 0] = ids
    (folder / "images" / "val2017").mkdir(parents=True)
    (folder / "panoptic_val2017").mkdir()
    Image.fromarray(colors).save(folder / "panoptic_val2017" / "1.png")
    Image.new("RGB", (width, height), (90, 120, 200)).save(folder / "images/val2017/1.jpg")
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": width, "height": height}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 187, "name": "sky-other-merged"}],
        "annotations": [
            {
                "image_id": 1,
                "file_name": "1.png",
                "segments_info": [{"id": 1, "category_id": 187}, {"id": 2, "category_id": 17}],
            }
        ],
    }
    (folder / "panoptic_val2017.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
