"""Results files with made-up numbers, and pictures for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fake_assessments import assessment, grid_labels, reading
from rsfiqa.report import collection
from rsfiqa.results import encode_line
from rsfiqa.types import Reading

QUARTERS = grid_labels(96, 128, 2, 2)


def line(
    name: str, score: float = 60.0, *, folder: Path | None = None, **more: Any
) -> dict[str, Any]:
    """A line of results about a picture in quarters; with a folder, the picture is made there."""
    readings: dict[int, Reading] | None = more.pop("readings", None)
    picture = None if folder is None else save_picture(folder / name, score)
    masks = more.pop("masks", True)
    made = assessment(QUARTERS, [score] * 4, readings=readings, image=name, **more)
    record = made.to_dict(masks=masks)
    if picture is not None:
        record["sha256"] = hashlib.sha256(picture.read_bytes()).hexdigest()
    return record


def blurred(content: str = "a brown dog", value: float = 2.0) -> dict[int, Reading]:
    """A quarter that is blurred, the others clean."""
    clean = {k: reading("the sky") for k in range(1, 4)}
    return {0: reading(content, blur=value), **clean}


def save_picture(path: Path, value: float) -> Path:
    """A picture with a ramp, so that no two values give the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:96, :128]
    pixels = np.stack([x * 2, y * 2, np.full_like(x, int(value))], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def save_results(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(encode_line, records)))
    return path


def make_report(
    *results: Path, out: Path, **options: Any
) -> tuple[collection.CollectionReport, str]:
    made = collection.save_collection_report(results, out, **options)
    return made, out.read_text(encoding="utf-8")


def rows_in(page: str) -> list[list[Any]]:
    """The data that the page's script reads."""
    text = page.split('id="rows">', 1)[1].split("</script>", 1)[0]
    rows: list[list[Any]] = json.loads(text)
    return rows
