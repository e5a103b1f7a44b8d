"""The server under load and at its end: queue, batches, time, clients that leave, signals."""

from __future__ import annotations

import http.client
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rsfiqa.errors import ConfigError
from rsfiqa.service.server import open_socket
from service_running import running
from service_world import PATIENT, FakeModel, encoded, served, until


def test_what_waits_goes_together_and_a_full_queue_says_when_to_come_back() -> None:
    model = FakeModel()
    with running(model, queue=5, max_batch=5, batch_size=3) as world:
        model.gate.clear()
        first = world.later("0.png")
        until(lambda: model.batches)
        others = [world.later(f"{i}.png") for i in range(1, 5)]
        until(lambda: world.engine._worker.waiting == 4)
        status, headers, answer = world.post("late.png")
        assert status == 429
        assert int(headers["Retry-After"]) >= 1
        assert "come back" in answer["error"]
        status, _, _ = world.post("a.png", "b.png", path="/v1/assess/batch")
        assert status == 429
        model.gate.set()
        answers = [future.result(PATIENT) for future in (first, *others)]
        assert [status for status, _, _ in answers] == [200] * 5
        # Whatever was in the batch, each has its own answer.
        assert [answer["image"] for _, _, answer in answers] == [f"{i}.png" for i in range(5)]
        assert [len(batch) for batch in model.batches] == [1, 3, 1]
        assert world.engine.admission.pictures == 0
        assert world.post()[0] == 200


def test_a_batch_counts_as_its_pictures() -> None:
    model = FakeModel()
    with running(model, queue=3, max_batch=3) as world:
        model.gate.clear()
        batch = world.later("a.png", "b.png", "c.png", path="/v1/assess/batch")
        world.accepted(3)
        assert world.post()[0] == 429
        model.gate.set()
        assert len(batch.result(PATIENT)[2]["results"]) == 3
        assert world.post()[0] == 200


def test_bytes_are_counted_before_they_are_read() -> None:
    settings = {"max_bytes": 3000, "max_batch_bytes": 3000, "queue_bytes": 70_000}
    model = FakeModel()
    with running(model, **settings) as world:
        # Announces much, and sends nothing.
        with socket.create_connection(("127.0.0.1", world.port)) as silent:
            head = "POST /v1/assess HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            silent.sendall(f"{head}Content-Length: 69000\r\n\r\n".encode())
            world.accepted(1)
            status, _, _ = world.post("a.png", "b.png", path="/v1/assess/batch")
            assert status == 200  # small ones still fit
            with socket.create_connection(("127.0.0.1", world.port)) as second:
                second.sendall(f"{head}Content-Length: 60000\r\n\r\n".encode() + b" " * 60_000)
                assert second.recv(100).startswith(b"HTTP/1.1 429")
        world.accepted(0)


def test_a_client_that_leaves_takes_its_work_along() -> None:
    model = FakeModel()
    with running(model, batch_size=1) as world:
        model.gate.clear()
        first = world.later("first.png")
        until(lambda: model.batches)
        connection = http.client.HTTPConnection("127.0.0.1", world.port)
        world.send(connection, "left.png")
        until(lambda: world.engine._worker.waiting == 1)
        connection.close()
        world.accepted(1)
        assert world.engine._worker.waiting == 0
        model.gate.set()
        assert first.result(PATIENT)[0] == 200
        assert world.post("last.png")[0] == 200
        assert [name for batch in model.batches for name in batch] == ["first.png", "last.png"]


def test_work_that_its_client_left_is_given_up_in_the_model_too() -> None:
    model = FakeModel()
    with running(model, batch_size=1) as world:
        model.gate.clear()
        connection = http.client.HTTPConnection("127.0.0.1", world.port)
        world.send(connection, "left.png")
        until(lambda: model.batches)
        connection.close()
        world.accepted(0)
        model.gate.set()
        assert world.post("last.png")[0] == 200
        assert model.batches == [["left.png"], ["last.png"]]


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    model = FakeModel()
    with running(model) as world:
        model.gate.clear()
        first = world.later("first.png")
        until(
            lambda: model.batches
        )  # and so the model is at work for as long as the gate is closed
        world.now_with(answer_within=0.3)
        status, _, answer = world.post("second.png")
        assert status == 504
        assert "0.3 seconds" in answer["error"]
        world.accepted(1)
        until(lambda: world.engine.trouble is not None)
        connection = http.client.HTTPConnection("127.0.0.1", world.port)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 503
        connection.close()
        model.gate.set()
        assert first.result(PATIENT)[0] == 200
        until(lambda: world.engine.trouble is None)
        world.now_with(answer_within=PATIENT)
        assert world.post("last.png")[0] == 200
        assert model.batches == [["first.png"], ["last.png"]]


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with running(FakeModel(), upload_within=0.3) as world:
        with socket.create_connection(("127.0.0.1", world.port)) as slow:
            head = "POST /v1/assess HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            slow.sendall(f"{head}Content-Length: 50\r\n\r\n".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        world.accepted(0)
        world.now_with(upload_within=PATIENT)
        assert world.post()[0] == 200


def test_stopping_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    model = FakeModel()
    with running(model) as world:
        model.gate.clear()
        accepted = [world.later(f"{i}.png") for i in range(3)]
        world.accepted(3)
        world.server.handle_exit(signal.SIGTERM, None)
        until(lambda: world.engine.admission.closed)
        status, headers, _ = world.post("late.png")
        assert status == 503
        assert "Retry-After" in headers
        model.gate.set()
        assert [future.result(PATIENT)[0] for future in accepted] == [200] * 3
        until(lambda: world.server.should_exit)


def test_stopping_does_not_wait_for_ever() -> None:
    model = FakeModel()
    with running(model, drain_within=0.2) as world:
        model.gate.clear()
        unanswered = world.later()
        world.accepted(1)
        world.server.handle_exit(signal.SIGTERM, None)
        until(lambda: world.server.should_exit)
        model.gate.set()
        unanswered.exception(PATIENT)


def test_work_of_different_kinds_is_not_mixed() -> None:
    silent, reading = FakeModel(), FakeModel(reader="fake")
    with served(silent, reading=reading) as client, ThreadPoolExecutor(8) as pool:
        for model in (silent, reading):
            model.gate.clear()

        def ask(i: int) -> Any:
            files = {"image": (f"{i}.png", encoded(i))}
            return client.post("/v1/assess", files=files, data={"reader": str(i % 2 == 0)}).json()

        asked = [pool.submit(ask, i) for i in range(6)]
        engine = client.app.state.engine  # type: ignore[attr-defined]
        until(lambda: engine.admission.pictures == 6)
        for model in (silent, reading):
            model.gate.set()
        assert [future.result(PATIENT)["image"] for future in asked] == [
            f"{i}.png" for i in range(6)
        ]
    assert {n for batch in reading.batches for n in batch} == {"0.png", "2.png", "4.png"}
    assert {n for batch in silent.batches for n in batch} == {"1.png", "3.png", "5.png"}


def test_a_port_that_is_taken_is_said_so() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(ConfigError, match="choose another"):
            open_socket("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ConfigError, match="cannot be listened on"):
        open_socket("no.such.host.invalid", 0)
