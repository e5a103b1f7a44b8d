"""The page of `rsfiqa serve` in a real Chromium, before a stand-in for the model."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("playwright", reason="Playwright is not installed")
pytest.importorskip("fastapi")

import uvicorn
from playwright import sync_api

from fake_assessments import assessment, reading
from rsfiqa.errors import RsfiqaError
from rsfiqa.images import LoadedImage
from rsfiqa.service.app import create_app
from rsfiqa.types import Assessment, Reading
from service_world import PATIENT, FakeModel, limits, until

sync_api.expect.set_options(timeout=1000 * PATIENT)

SHOWN = ("a clear blue sky", "a brown dog", "trees", "grass", None)


def chromium() -> str | None:
    """Where a Chromium is; Playwright's own, which it would download, is not asked for."""
    named = os.environ.get("RSFIQA_CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next((path for path in found if path), None)


@dataclass
class PageModel(FakeModel):
    """Five regions around seeds; blur and scores follow the picture's brightness.

    One region's reading failed. Of a picture named `hostile*` it is markup that was read, and one
    named `best*` is excellent.
    """

    reader: str = "fake"

    def assess(self, picture: LoadedImage) -> Assessment | RsfiqaError:
        plain = super().assess(picture)
        if isinstance(plain, RsfiqaError):
            return plain
        bright = float(picture.pixels.mean()) / 255
        said: dict[int, Reading] = {}
        for k, shown in enumerate(SHOWN):
            values = {"blur": 1 + 4 * bright, "noise": 1.2 + 0.8 * k, "color": 4.8 - 0.5 * k}
            hostile = picture.name.startswith("hostile")
            said[k] = reading("<img src=x onerror=alert(1)>" if hostile else shown, **values)
        said[3] = Reading(status="failed", reason="no answer")
        return assessment(
            seeded_labels(picture.height, picture.width, len(SHOWN)),
            [88.8] * len(SHOWN)
            if picture.name.startswith("best")
            else [100 * bright * share for share in (1.0, 0.35, 0.8, 0.15, 0.6)],
            [3, 2, 4, 1, 2],
            readings=said if self.reader != "none" else None,
            picture=picture.pixels,
            image=picture.name,
            sha256=picture.sha256,
            notes=picture.notes,
        )


def seeded_labels(height: int, width: int, count: int) -> npt.NDArray[np.int64]:
    """Each pixel to the nearest of a few seeds, with wavy borders."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    seeds = rng.random((count, 2)) * (height, width)
    wave = 0.03 * height * np.sin(x / width * 25)
    distances = [(y + wave - row) ** 2 + (x - column) ** 2 for row, column in seeds]
    labels: npt.NDArray[np.int64] = np.argmin(distances, axis=0)
    return labels


@dataclass
class Served:
    """A server that runs: where, and what it runs."""

    url: str
    reading: PageModel
    silent: PageModel

    def hold(self) -> None:
        """Let the model wait until `release`."""
        self.reading.gate.clear()
        self.silent.gate.clear()

    def release(self) -> None:
        self.reading.gate.set()
        self.silent.gate.set()


@contextmanager
def page_server(**settings: Any) -> Iterator[Served]:
    """A server on a port of its own."""
    reading, silent = PageModel(), PageModel(reader="none")
    app = create_app({True: reading, False: silent}, limits(**settings))
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    served = Served(f"http://127.0.0.1:{port}", reading, silent)
    try:
        yield served
    finally:
        served.release()
        server.should_exit = True
        thread.join(PATIENT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium here; RSFIQA_CHROMIUM may name one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=2000 * PATIENT
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, url: str, **context: Any) -> Iterator[Any]:
    """A page that is open; nothing may fail in its scripts or ask another host."""
    troubles: list[str] = []
    with browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}) as made:
        page = made.new_page()
        page.set_default_timeout(1000 * PATIENT)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda m: troubles.append(m.text) if "Content Security Policy" in m.text else None,
        )
        page.on(
            "request",
            lambda r: (
                None if r.url.startswith((url, "blob:" + url, "data:")) else troubles.append(r.url)
            ),
        )
        page.goto(url)
        yield page
        assert troubles == []


def choose(page: Any, *files: tuple[str, bytes] | Path) -> None:
    """Choose pictures as with the button."""
    page.set_input_files("#choose", [_payload(file) for file in files])


def _payload(file: tuple[str, bytes] | Path) -> Any:
    if isinstance(file, Path):
        return file
    name, data = file
    kind = {"png": "image/png", "jpg": "image/jpeg", "txt": "text/plain"}.get(name[-3:], "")
    return {"name": name, "mimeType": kind, "buffer": data}
