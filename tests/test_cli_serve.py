"""`rsfiqa serve` and what loads it, with a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from command_line import rsfiqa, save_picture
from rsfiqa import RSFIQA
from rsfiqa.service.engine import assessors_of
from rsfiqa.service.load_clients import Clients, Sample, is_proper, post
from rsfiqa.types import Reading
from service_running import running
from service_world import FakeModel, encoded, served, until


def test_a_server_answers_as_the_command_line_and_stops_when_asked(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    picture = save_picture(tmp_path / "grey.png", 90, (96, 64))
    options = ["--model", str(tiny_model_folder), "--segmenter", "grid:3", "--reader", "none"]
    said = rsfiqa("assess", picture, "--no-masks", *options)
    assert said.exit_code == 0, said.output
    expected = json.loads(said.stdout)

    command = [sys.executable, "-m", "rsfiqa", "serve", "--port", "0", *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(240, server.kill)
    watchdog.start()
    try:
        line = server.stderr.readline()  # type: ignore[union-attr]
        port = int(line.partition(";")[0].rpartition(":")[2])
        sample = Sample("grey.png", picture.read_bytes(), expected)
        status, _, answer = post(port, sample)
        assert is_proper(status, answer, sample), answer
        if os.name == "posix":
            server.send_signal(signal.SIGTERM)
            assert server.wait(100) == 0
    finally:
        watchdog.cancel()
        server.kill()
        server.wait()
        server.stderr.close()  # type: ignore[union-attr]


def test_wrong_usage_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "an origin is" in rsfiqa("serve", "--origin", "example.org").stderr
    assert "never fit" in rsfiqa("serve", "--queue", "2").stderr
    monkeypatch.setenv("RSFIQA_API_KEY", "  ")
    said = rsfiqa("serve")
    assert said.exit_code == 2
    assert "blank" in said.stderr


def test_both_kinds_of_work_share_one_model(tiny_model_folder: Path, cat: Any) -> None:
    class Reader:
        name, encoder_name = "fake", None

        def read(self, pixels: Any, partition: Any, grid: Any = None) -> list[Reading]:
            return [Reading(status="failed", reason="it was only asked")] * len(partition)

    assessor = RSFIQA.from_pretrained(
        tiny_model_folder,
        segmenter="grid:2",
        reader=Reader(),  # type: ignore[arg-type]
        device="cpu",
    )
    both = assessors_of(assessor)
    assert both[False].scorer is both[True].scorer  # type: ignore[attr-defined]
    with served(both[False], reading=both[True]) as client:  # type: ignore[arg-type]
        files = {"image": ("cat.png", encoded(cat))}
        read = client.post("/v1/assess", files=files).json()
        unread = client.post("/v1/assess", files=files, data={"reader": "false"}).json()
    assert {region["reading"] for region in read["regions"]} == {"failed"}
    assert {region["reading"] for region in unread["regions"]} == {"absent"}
    assert read["model"]["reader"] == "fake"
    assert read["score"] == pytest.approx(unread["score"], abs=1e-3)
    assert json.loads(assessor.assess(encoded(cat), name="cat.png").to_json()) == read


def test_the_benchmarks_clients_tell_right_from_wrong() -> None:
    model = FakeModel()
    with running(model, queue=2, max_batch=2) as world:
        good = post(world.port, Sample("a.png", encoded(50), None))[2]
        samples = [
            Sample("a.png", encoded(50), good),
            Sample("broken.png", b"nothing", None),
        ]
        clients = Clients(world.port, samples, 6)
        clients.start()
        until(lambda: clients.tally.statuses[200] > 20 < clients.tally.statuses[422])
        clients.stop()
        assert clients.tally.improper == 0
        liars = Clients(world.port, [Sample("a.png", encoded(60), good)], 1)
        liars.start()
        until(lambda: liars.tally.wrong > 0)
        liars.stop()
