"""The server reader against a real server: `transformers serve` with a tiny vision-language model."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from failing_server import PATIENT, seconds
from rsfiqa.partition import Partition
from rsfiqa.reading.answers import CONTENT_KEY, RATING_KEYS, instruction
from rsfiqa.reading.server import ServerReader
from rsfiqa.reading.views import view_instruction

NEEDED = ("fastapi", "uvicorn", "openai", "transformers.cli.serve")
SECONDS_TO_START = 240
WORDS = dict(zip(RATING_KEYS, ["good", "fair", "poor", "bad", "excellent"], strict=True))


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not all(map(_found, NEEDED)),
    reason="transformers serve needs transformers 5, fastapi, uvicorn and openai",
)


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    from skimage.data import astronaut

    picture: npt.NDArray[np.uint8] = astronaut()
    return picture[:240, :320]


@pytest.fixture(scope="module")
def partition() -> Partition:
    labels = np.zeros((240, 320), int)
    labels[:, 160:] = 1
    labels[170:] = 2
    return Partition(labels)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, partition: Partition) -> tuple[Path, Path]:
    """A model that babbles, and one that was taught to answer as it should."""
    from tiny_vlm import teach_to_say, tiny_vlm

    folder = tmp_path_factory.mktemp("models")
    babbling, taught = tiny_vlm(folder / "babbling"), tiny_vlm(folder / "taught")
    answer = {CONTENT_KEY: "a brown dog"} | {RATING_KEYS[d]: WORDS[d] for d in WORDS}
    teach_to_say(taught, instruction(view_instruction(partition, 0)), json.dumps(answer))
    return babbling, taught


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("hub")
    log = home / "serve.log"
    options = ["--host", "127.0.0.1", "--port", "0", "--device", "cpu"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "transformers.cli.transformers", "serve", *options],
            env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _address_of(server, log)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address_of(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where it says that it listens: a port that it chose itself, which nobody else can take before."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        said = re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text(errors="replace"))
        if said:
            return said[1]
        time.sleep(0.2)
    pytest.fail(f"transformers serve did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_model_that_answers_as_asked_is_read(
    url: str, models: tuple[Path, Path], pixels: npt.NDArray[np.uint8], partition: Partition
) -> None:
    reader = ServerReader.from_spec(
        f"{url}#{models[1]}", timeout=PATIENT, retries=1, longest_answer=120
    )
    for reading in reader.read(pixels, partition):
        assert reading.status == "ok", reading.reason
        assert reading.description == "a brown dog"
        assert reading.values is not None
        assert list(reading.values.values()) == [4.0, 3.0, 2.0, 1.0, 5.0]


def test_a_model_that_babbles_fails_with_a_reason_in_bounded_time(
    url: str, models: tuple[Path, Path], pixels: npt.NDArray[np.uint8], partition: Partition
) -> None:
    reader = ServerReader.from_spec(
        f"{url}#{models[0]}", timeout=PATIENT, retries=1, longest_answer=40
    )
    readings, duration = seconds(lambda: reader.read(pixels, partition))
    assert len(readings) == 3
    for reading in readings:
        assert reading.status == "failed"
        assert "not usable, twice" in str(reading.reason)
    assert duration < 2 * PATIENT, "it is asked twice"


def test_a_model_that_is_not_there_fails_with_a_reason(
    url: str, pixels: npt.NDArray[np.uint8], partition: Partition
) -> None:
    reader = ServerReader.from_spec(f"{url}#no/such-model", timeout=PATIENT, retries=0)
    for reading in reader.read(pixels, partition):
        assert reading.status == "failed"
        # It tells the client, or gives up the connection: which of them depends on how busy it is.
        assert re.search("answered with status|connection", str(reading.reason))
