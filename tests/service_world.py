"""A server around a stand-in for the model, for the tests of the service."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")

from starlette.testclient import TestClient

from fake_assessments import assessment, grid_labels
from rsfiqa.errors import ImageError, RsfiqaError
from rsfiqa.images import LoadedImage
from rsfiqa.service.app import create_app
from rsfiqa.service.settings import ServiceSettings
from rsfiqa.types import Assessment, ModelInfo

PATIENT = 60.0
"""Seconds after which a test that waits for something has failed. Nothing is waited for so long where
all is well, and a machine with other work to do may need many times what it needs alone."""


def limits(**changes: Any) -> ServiceSettings:
    """A server's limits, by default with time for decoders that a busy machine starts slowly."""
    return ServiceSettings(**{"decode_within": 2 * PATIENT, **changes})


@dataclass
class FakeModel:
    """Scores a picture by its brightness; waits while its gate is closed.

    A picture named `refuse.*` is refused, `bug.*` meets a fault.
    """

    reader: str = "none"
    batches: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(segmenter="grid", reader=self.reader, scorer="fake", version="0")

    def assess_batch(
        self, pictures: list[LoadedImage], *, on_error: str
    ) -> list[Assessment | RsfiqaError]:
        assert on_error == "return"
        self.batches.append([picture.name for picture in pictures])
        assert self.gate.wait(PATIENT)
        return [self.assess(picture) for picture in pictures]

    def assess(self, picture: LoadedImage) -> Assessment | RsfiqaError:
        if picture.name.startswith("refuse"):
            return ImageError(f"{picture.name} is refused.")
        if picture.name.startswith("bug"):
            raise RuntimeError("a secret of the picture")
        bright = float(picture.pixels.mean()) / 2.55
        return assessment(
            grid_labels(picture.height, picture.width, 2, 2),
            [bright] * 4,
            picture=picture.pixels,
            image=picture.name,
            sha256=picture.sha256,
            notes=picture.notes,
        )


@contextmanager
def served(
    model: FakeModel | None = None, *, reading: FakeModel | None = None, **settings: Any
) -> Iterator[TestClient]:
    """A client of an application that is started, and stopped at the end."""
    assessors: dict[bool, Any] = {False: model or FakeModel()}
    if reading is not None:
        assessors[True] = reading
    app = create_app(assessors, limits(**settings))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def encoded(
    pixels: npt.NDArray[np.uint8] | int = 100, kind: str = "PNG", size: tuple[int, int] = (60, 48)
) -> bytes:
    """The bytes of a picture's file; a number is a grey one."""
    picture = (
        Image.new("RGB", size, (pixels, pixels, pixels))
        if isinstance(pixels, int)
        else Image.fromarray(pixels)
    )
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def until(condition: Any) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + PATIENT
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
