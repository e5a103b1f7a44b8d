"""A small data set with a rule: crops of a photograph, the blurrier the worse."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from skimage import data


def write_scored_pictures(
    folder: Path, count: int = 16, *, splits: Sequence[str] = (), side: int = 64
) -> Path:
    """Write `count` pictures and their `scores.csv`; returns the folder.

    Args:
        splits: dealt out in turn; without any there is no such column.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cat = data.chelsea()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        top, left = rng.integers(cat.shape[0] - side), rng.integers(cat.shape[1] - side)
        radius = float(rng.uniform(0, 4))
        blurred = Image.fromarray(cat).filter(ImageFilter.GaussianBlur(radius))
        name = f"picture-{i:02}.png"
        blurred.crop((left, top, left + side, top + side)).save(folder / name)
        row = {"image": name, "mos": f"{5 - radius:.3f}"}
        if splits:
            row["split"] = splits[i % len(splits)]
        rows.append(row)
    write_scores(folder, rows)
    return folder


def write_scores(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write rows as `scores.csv`."""
    with (folder / "scores.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_scores(folder: Path) -> list[dict[str, str]]:
    """The rows of `scores.csv`."""
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
