"""The server reader against a server that fails in every way."""

from __future__ import annotations

import json
import logging
import math
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from failing_server import (
    PATIENT,
    Asked,
    Behaviour,
    FailingServer,
    Reply,
    always,
    completion,
    failing_server,
    in_turn,
    seconds,
    token_logprobs,
    until,
)
from rsfiqa.errors import ConfigError, MissingExtraError
from rsfiqa.partition import Partition
from rsfiqa.reading.answers import CONTENT_KEY, RATING_KEYS
from rsfiqa.reading.server import ServerReader
from rsfiqa.reading.server_address import ServerAddress
from rsfiqa.reading.server_breaker import Breaker
from rsfiqa.reading.server_connection import Connection, Patience, ServerError
from rsfiqa.reading.views import region_view
from rsfiqa.types import DIMENSIONS, Level, Reading

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RSFIQA_SERVER_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)


def columns(count: int) -> Partition:
    """Regions of the same size side by side."""
    return Partition(np.tile(np.arange(200) * count // 200, (120, 1)))


def region_in(asked: Asked, pixels: npt.NDArray[np.uint8], partition: Partition) -> int:
    """Which region a request shows, pixel for pixel."""
    shown = np.asarray(asked.picture)
    views = [np.asarray(region_view(pixels, partition, n)) for n in range(len(partition))]
    (found,) = (n for n, view in enumerate(views) if np.array_equal(view, shown))
    return found


def said(level: Level = "good", content: str = "a brown dog") -> str:
    return json.dumps({CONTENT_KEY: content} | dict.fromkeys(RATING_KEYS.values(), level))


GOOD = Reply(completion(said()))


def reader(server: FailingServer | str, **settings: Any) -> ServerReader:
    """A reader that tries again at once, and has all the time that a busy machine needs."""
    url = server if isinstance(server, str) else server.url
    return ServerReader.from_spec(url, **{"timeout": PATIENT, "backoff": 0.01} | settings)


def read(
    behaviour: Behaviour, pixels: npt.NDArray[np.uint8], regions: int = 1, **settings: Any
) -> tuple[Sequence[Reading], FailingServer]:
    with failing_server(behaviour) as server:
        return reader(server, **settings).read(pixels, columns(regions)), server


def failed(reading: Reading, *words: str) -> None:
    assert reading.status == "failed"
    assert reading.ratings == {}
    assert reading.description is None
    assert reading.reason is not None
    assert "\n" not in reading.reason
    for word in words:
        assert word in reading.reason


def short(value: object) -> str:
    """A readable name for a case."""
    if not isinstance(value, Reply):
        return str(value)[:40]
    details = [value.status, value.cut, *value.headers.values(), str(value.body)[:24]]
    details += [f"slow-{value.delay}"] * bool(value.delay) + ["drips"] * bool(value.drip)
    return "-".join(str(detail) for detail in details if detail)


# What a healthy server gives


def test_every_region_is_asked_about_once_and_read_in_order(
    pixels: npt.NDArray[np.uint8],
) -> None:
    partition = columns(6)

    def behaviour(asked: Asked) -> Reply:
        region = region_in(asked, pixels, partition)
        # Later regions are answered earlier.
        return Reply(completion(said(content=f"column {region}")), delay=(6 - region) * 0.01)

    with failing_server(behaviour) as server:
        readings = reader(server).read(pixels, partition)
    assert [reading.description for reading in readings] == [f"column {n}" for n in range(6)]
    for reading in readings:
        assert reading.status == "ok"
        assert reading.values == dict.fromkeys(DIMENSIONS, 4.0)
    assert sorted(region_in(asked, pixels, partition) for asked in server.asked) == [*range(6)]
    for asked in server.asked:
        assert asked.path == "/v1/chat/completions"
        assert asked.body["model"] == "tiny"
        assert asked.body["temperature"] == 0
        assert asked.body["seed"] == 0
        assert asked.body["response_format"]["json_schema"]["strict"] is True
        assert "Judge the region only." in asked.question


def test_the_view_is_a_choice(pixels: npt.NDArray[np.uint8]) -> None:
    _, server = read(always(GOOD), pixels, 2, view="picture")
    assert {asked.picture.size for asked in server.asked} == {(200, 120)}
    assert len({asked.question for asked in server.asked}) == 2


def test_probabilities_become_distributions(pixels: npt.NDArray[np.uint8]) -> None:
    text = said("good")
    start = text.index('"good"', text.index(RATING_KEYS["blur"]))
    tokens = [text[:start], '"', "good", text[start + 5 :]]
    alternatives = {2: {"good": math.log(0.5), "fair": math.log(0.2), "b": math.log(0.1), "x": -2}}
    for as_bytes in (True, False):
        logprobs = token_logprobs(tokens, alternatives, as_bytes=as_bytes)
        (reading,), server = read(always(Reply(completion(text, logprobs=logprobs))), pixels)
        expected = (0.0, 0.625, 0.25, 0.0, 0.125)
        assert reading.ratings["blur"].probabilities == pytest.approx(expected)
        assert reading.values is not None
        assert reading.values["color"] == 4.0
        assert server.asked[0].body["logprobs"] is True


def test_the_first_model_is_asked_for_once_and_another_can_be_named(
    pixels: npt.NDArray[np.uint8],
) -> None:
    with failing_server(always(GOOD), models=["first", "second"]) as server:
        one = reader(server)
        assert server.asked_for_models == 0
        for _ in range(2):
            assert one.read(pixels, columns(2))[0].status == "ok"
        assert one.name.startswith(f"server:first@{server.host}/crop/")
        assert server.asked_for_models == 1
        other = reader(f"{server.url}/v1#org/second:7b")
        assert other.read(pixels, columns(1))[0].status == "ok"
        assert other.name.startswith(f"server:org/second:7b@{server.host}/crop/")
        assert other.name != reader(f"{server.url}#org/second:7b", view="picture").name
        assert server.asked_for_models == 1
        assert server.asked[-1].body["model"] == "org/second:7b"


def test_all_pictures_share_one_limit_on_requests(pixels: npt.NDArray[np.uint8]) -> None:
    two = threading.Barrier(2, timeout=PATIENT)

    def behaviour(asked: Asked) -> Reply:
        if asked.number < 2:
            two.wait()  # that there are two at once is no matter of luck
        return Reply(completion(said()), delay=0.05)

    with failing_server(behaviour) as server:
        shared = reader(server, concurrency=2)
        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(lambda n: shared.read(pixels, columns(n)), [3, 4, 5]))
        assert [len(readings) for readings in results] == [3, 4, 5]
        assert all(one.status == "ok" for readings in results for one in readings)
        assert server.most_at_once == 2


# Servers that know less than we ask for


def without(*refused: str, message: str | None = None, status: int = 400) -> Behaviour:
    """Refuses requests with one of these parameters, naming the first unless told otherwise."""

    def behaviour(asked: Asked) -> Reply:
        found = [name for name in refused if name in asked.body]
        if not found:
            return GOOD
        text = message if message is not None else f"Unsupported parameter: {found[0]}"
        return Reply({"error": {"message": text, "type": "invalid_request_error"}}, status)

    return behaviour


@pytest.mark.parametrize(
    ("refused", "message", "status"),
    [
        ("logprobs", None, 400),
        ("logprobs", "Bad Request", 400),
        ("response_format", None, 400),
        ("response_format", "Bad Request", 422),
        ("seed", None, 422),
        ("seed", "Bad Request", 400),
        ("max_tokens", None, 400),
        ("max_tokens", "Bad Request", 501),
    ],
)
def test_what_a_server_refuses_is_given_up_for_the_rest_of_the_run(
    refused: str, message: str | None, status: int, pixels: npt.NDArray[np.uint8]
) -> None:
    with failing_server(without(refused, message=message, status=status)) as server:
        one = reader(server, concurrency=1)
        assert [reading.status for reading in one.read(pixels, columns(3))] == ["ok"] * 3
        first = len(server.asked) - 2
        assert 2 <= first <= 6
        assert not any(refused in asked.body for asked in server.asked[first - 1 :])
        if message is None and refused != "logprobs":
            assert first == 2
            assert "logprobs" in server.asked[-1].body
    for asked in server.asked:
        assert asked.body["temperature"] == 0
        assert "max_tokens" in asked.body or "max_completion_tokens" in asked.body


def test_fewer_alternatives_are_better_than_none(pixels: npt.NDArray[np.uint8]) -> None:
    def behaviour(asked: Asked) -> Reply:
        if asked.body.get("top_logprobs", 0) > 5:
            return Reply({"detail": "top_logprobs must be at most 5"}, 400)
        return GOOD

    _, server = read(behaviour, pixels, 2, concurrency=1)
    assert [asked.body["top_logprobs"] for asked in server.asked] == [20, 5, 5]


def test_a_server_that_refuses_everything_is_asked_a_few_times_and_changes_nothing(
    pixels: npt.NDArray[np.uint8],
) -> None:
    refuses = Reply({"error": "this model takes no pictures"}, 400)
    with failing_server(always(refuses)) as server:
        one = reader(server, concurrency=1)
        failed(one.read(pixels, columns(1))[0], "status 400: this model takes no pictures")
        assert len(server.asked) <= 6
        server.behaviour = always(GOOD)
        assert one.read(pixels, columns(1))[0].status == "ok"
        assert "logprobs" in server.asked[-1].body
        assert "response_format" in server.asked[-1].body


def test_temperature_is_never_given_up(pixels: npt.NDArray[np.uint8]) -> None:
    (reading,), _ = read(without("temperature", message="temperature must be 1"), pixels)
    failed(reading, "temperature must be 1")


# Servers that fail for a while


def busy(**headers: str) -> Reply:
    return Reply({"error": {"message": "slow down"}}, 429, headers=headers)


BROKEN = Reply({"error": "out of memory"}, 500)


# Far later than anybody waits; the server's own end cuts both short.
SLOW = Reply(completion(said()), delay=100 * PATIENT)
DRIPPING = Reply(completion(said() + " " * 20_000), drip=0.05)
CUT_BEFORE = Reply(completion(said()), cut="before")
CUT_WITHIN = Reply(completion(said()), cut="within")


@pytest.mark.parametrize(
    "failure",
    [
        busy(),
        busy(**{"Retry-After": "0.05"}),
        busy(**{"Retry-After": "soon"}),
        busy(**{"Retry-After": "nan"}),
        busy(**{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        BROKEN,
        Reply(b"<html>bad gateway</html>", 502),
        Reply(None, 503),
        CUT_BEFORE,
        CUT_WITHIN,
        SLOW,
        DRIPPING,
    ],
    ids=short,
)
def test_a_failure_that_passes_does_no_harm(failure: Reply, pixels: npt.NDArray[np.uint8]) -> None:
    with failing_server(always(failure)) as server:
        one = reader(f"{server.url}#m", retries=2, timeout=patience_with(failure))
        mended_after(2, one, server)
        (reading,) = one.read(pixels, columns(1))
        assert reading.status == "ok"
        until(lambda: len(server.asked) >= 3)
        assert len(server.asked) == 3


def patience_with(failure: Reply) -> float:
    return 0.3 if failure in (SLOW, DRIPPING) else PATIENT


def mended_after(failures: int, one: ServerReader, server: FailingServer) -> None:
    """After so many failed attempts the server is well, and is given all the time that it needs."""
    connection = one.connection
    pause = connection._pause

    def mend(failure: ServerError, attempt: int) -> float:
        if attempt == failures:
            server.behaviour = always(GOOD)
            connection.patience = replace(connection.patience, timeout=PATIENT)
            connection._client.timeout = PATIENT
        return pause(failure, attempt)

    connection._pause = mend  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (busy(), "status 429: slow down"),
        (BROKEN, "status 500: out of memory"),
        (CUT_BEFORE, "failed"),
        (CUT_WITHIN, "broke off"),
        (SLOW, "no answer within 0.3 s"),
        (DRIPPING, "no answer within 0.3 s"),
    ],
    ids=short,
)
def test_a_failure_that_stays_fails_with_its_reason_in_bounded_time(
    failure: Reply, reason: str, pixels: npt.NDArray[np.uint8]
) -> None:
    with failing_server(always(failure)) as server:
        one = reader(f"{server.url}#m", retries=1, timeout=patience_with(failure))
        readings, duration = seconds(lambda: one.read(pixels, columns(1)))
        failed(readings[0], reason)
        assert duration < PATIENT
        until(lambda: len(server.asked) >= 2)
        assert len(server.asked) == 2


def test_the_wait_that_a_server_asks_for_is_kept(pixels: npt.NDArray[np.uint8]) -> None:
    later = in_turn(busy(**{"Retry-After": "0.5"}), GOOD)
    (readings, _), duration = seconds(lambda: read(later, pixels))
    assert readings[0].status == "ok"
    assert duration >= 0.5


@pytest.mark.parametrize("wait", ["3600", "1e99", "Thu, 31 Dec 2099 23:59:59 GMT"])
def test_a_server_that_wants_us_back_in_an_hour_is_not_waited_for(
    wait: str, pixels: npt.NDArray[np.uint8]
) -> None:
    (reading,), server = read(always(busy(**{"Retry-After": wait})), pixels)
    failed(reading, "wants us to come back in", "slow down")
    assert len(server.asked) == 1


# Servers that talk nonsense


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"<html>Welcome to nginx!</html>"), "no JSON but '<html>Welcome"),
        (Reply(b""), "no JSON"),
        (Reply(b"\xff\xfe\x00"), "no JSON"),
        (Reply(b"[" * 50_000), "no JSON"),
        (Reply(None), "no chat completion"),
        (Reply([]), "no chat completion"),
        (Reply({"choices": []}), "no chat completion"),
        (Reply({"choices": [None]}), "no chat completion"),
        (Reply({"error": "no"}), "no chat completion"),
        (Reply(completion(None)), "no chat completion"),
        (Reply(completion(["good"])), "no chat completion"),
        (Reply({"choices": [{"message": {"content": None, "refusal": "No."}}]}), "declined"),
        (Reply(completion("")), "it is empty"),
        (Reply(completion("The dog is nice.")), "begins with 'The dog is nice.'"),
        (Reply(completion(said()[:40], finish="length")), "cut off after 512 tokens"),
        (Reply(completion('{"quality": "good"}')), "lacks 'content', 'color'"),
        (Reply(completion(said("great"))), "'color' is not one of excellent"),  # type: ignore[arg-type]
        (Reply(completion(said(content="a\nb"))), "'content' is not one line"),
        (Reply(b"", 204), "no JSON"),
        (Reply({"detail": "Not Found"}, 404), "(404): Not Found"),
        (Reply({"message": "too large"}, 413), "(413): too large"),
    ],
    ids=short,
)
def test_nonsense_is_a_failed_reading_never_a_number(
    reply: Reply, reason: str, pixels: npt.NDArray[np.uint8]
) -> None:
    (reading,), server = read(always(reply), pixels)
    failed(reading, reason)
    assert len(server.asked) <= 2


def test_an_answer_that_is_not_valid_is_asked_for_once_more_with_the_reason(
    pixels: npt.NDArray[np.uint8],
) -> None:
    (reading,), server = read(in_turn(Reply(completion('{"color": "good"}')), GOOD), pixels)
    assert reading.status == "ok"
    first, second = (asked.question for asked in server.asked)
    assert second.startswith(first)
    assert "lacks 'content'" in second


def test_a_complete_answer_counts_even_if_the_model_never_stopped(
    pixels: npt.NDArray[np.uint8],
) -> None:
    endless = Reply(completion(said() + "\n" * 300, finish="length"))
    assert read(always(endless), pixels)[0][0].status == "ok"


@pytest.mark.parametrize(
    "failure",
    [BROKEN, Reply(b"?"), Reply(completion("?")), Reply(None, cut="before"), SLOW],
    ids=short,
)
def test_one_region_that_fails_does_not_touch_the_others(
    failure: Reply, pixels: npt.NDArray[np.uint8]
) -> None:
    partition = columns(5)

    def behaviour(asked: Asked) -> Reply:
        return failure if region_in(asked, pixels, partition) == 2 else GOOD

    with failing_server(behaviour) as server:
        one = reader(server, retries=0)
        impatient_with(2, one, reader(server, retries=0, timeout=patience_with(failure)))
        readings = one.read(pixels, partition)
    assert [reading.status for reading in readings] == ["ok", "ok", "failed", "ok", "ok"]


def impatient_with(region: int, one: ServerReader, impatient: ServerReader) -> None:
    """Have one region read by another's patience, so that the others need not be quick as well."""
    impatient._breaker = one._breaker
    read_region = one._read_region

    def read_by_either(pixels: Any, partition: Partition, k: int, model: str) -> Reading:
        chosen = impatient._read_region if k == region else read_region
        return chosen(pixels, partition, k, model)

    one._read_region = read_by_either  # type: ignore[method-assign]


def test_a_picture_that_does_not_fit_its_partition_fails_region_by_region(
    pixels: npt.NDArray[np.uint8],
) -> None:
    with failing_server(always(GOOD)) as server:
        readings = reader(server).read(pixels[:60], columns(2))
    for reading in readings:
        failed(reading, "could not be read")


# Servers that are not there


@pytest.fixture
def closed_port() -> Iterator[str]:
    """Where nobody listens, and nobody else can begin to while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("model", ["", "#some-model"])
def test_a_server_that_is_not_there_fails_readings_not_assessments(
    model: str, closed_port: str, pixels: npt.NDArray[np.uint8]
) -> None:
    one = reader(closed_port + model)
    readings, duration = seconds(lambda: one.read(pixels, columns(12)))
    assert len(readings) == 12
    for reading in readings:
        failed(reading, "the connection to 127.0.0.1:")
    assert duration < PATIENT


def test_regions_after_some_without_an_answer_do_not_wait(pixels: npt.NDArray[np.uint8]) -> None:
    with failing_server(always(Reply(None, cut="before"))) as server:
        one = reader(f"{server.url}#m", retries=2, concurrency=1)
        one._breaker.rest = math.inf
        readings = one.read(pixels, columns(12))
        assert len(server.asked) == 9  # three regions with all their attempts
        failed(readings[-1], "asked again only now and then")


def test_asking_for_the_name_takes_no_attempts_from_reading(pixels: npt.NDArray[np.uint8]) -> None:
    with failing_server(always(GOOD), models=Reply(None, cut="before")) as server:
        one = reader(server, retries=3)
        one._breaker.rest = math.inf
        for _ in range(5):
            assert "unknown-model" in one.name
        readings = one.read(pixels, columns(4))
        assert server.asked_for_models == 5 + 4
        failed(readings[0], "the connection to")
        failed(one.read(pixels, columns(4))[0], "asked again only now and then")
        assert "unknown-model" in one.name
        assert server.asked_for_models == 5 + 4


def test_a_server_that_comes_back_is_used_again(pixels: npt.NDArray[np.uint8]) -> None:
    with failing_server(always(Reply(None, cut="before"))) as server:
        connection = Connection(
            ServerAddress.parse(server.url + "#m"), None, Patience(timeout=PATIENT, retries=0)
        )
        now = [0.0]
        breaker = Breaker(rest=10, clock=lambda: now[0])
        one = ServerReader(connection, concurrency=1, breaker=breaker)
        assert {reading.status for reading in one.read(pixels, columns(5))} == {"failed"}
        server.behaviour = always(GOOD)
        now[0] = 10.0
        assert {reading.status for reading in one.read(pixels, columns(5))} == {"ok"}


def test_a_model_that_cannot_be_asked_for_is_asked_for_again(
    pixels: npt.NDArray[np.uint8],
) -> None:
    with failing_server(always(GOOD), models=Reply({"error": "loading"}, 503)) as server:
        one, other = reader(server, retries=0), reader(server, retries=0)
        failed(one.read(pixels, columns(2))[1], "status 503: loading", "URL#MODEL")
        assert "unknown-model" in one.name
        assert one.name != other.name
        server.models = ["late"]
        assert one.read(pixels, columns(2))[1].status == "ok"
        assert "server:late@" in one.name


@pytest.mark.parametrize(
    ("models", "reason"),
    [([], "lists no model"), (Reply({"data": 3}), "list of models is none"), (Reply(b"?"), "JSON")],
)
def test_a_server_without_models_says_how_to_name_one(
    models: Any, reason: str, pixels: npt.NDArray[np.uint8]
) -> None:
    with failing_server(always(GOOD), models=models) as server:
        failed(reader(server).read(pixels, columns(1))[0], reason, "URL#MODEL")


# The key


def echo(asked: Asked) -> Reply:
    """A server that repeats what it was shown wherever it can."""
    shown = asked.headers["authorization"]
    replies = [
        Reply({"error": {"message": f"Incorrect API key provided: {shown}"}}, 401),
        Reply({"detail": {"headers": dict(asked.headers)}}, 403),
        Reply(f"traceback: {shown}".encode(), 500),
        Reply(shown.encode()),
        Reply(completion(shown)),
        Reply(completion(json.dumps({shown: 1}))),
        Reply(shown.encode(), 400),
    ]
    return replies[asked.number % len(replies)]


def test_the_key_is_sent_and_never_shown(
    pixels: npt.NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RSFIQA_SERVER_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with failing_server(echo) as server:
        one = reader(server, retries=0)
        shown = [str(one.read(pixels, columns(4))) for _ in range(7)]
        shown += [repr(one), one.name, repr(one.connection), repr(vars(one)), str(one.connection)]
        assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    shown += [caplog.text, *capfd.readouterr()]
    assert "Incorrect API key provided: Bearer ***" in shown[0]
    for text in shown:
        assert KEY not in text
        assert KEY[:12] not in text


def test_a_key_meant_for_openai_is_not_sent_elsewhere(
    pixels: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "my-organization")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "my-project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}")
    with failing_server(always(GOOD)) as server:
        assert reader(server).read(pixels, columns(1))[0].status == "ok"
        sent = json.dumps(dict(server.asked[0].headers))
        assert not any(secret in sent for secret in (KEY, "my-organization", "my-project"))
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        assert reader(server).read(pixels, columns(1))[0].status == "ok"
        assert server.asked[1].headers["authorization"] == f"Bearer {KEY}"


def test_a_refused_key_is_not_tried_again(pixels: npt.NDArray[np.uint8]) -> None:
    (reading,), server = read(always(Reply({"error": "no"}, 401)), pixels)
    failed(reading, "the server refused the key (401)", "RSFIQA_SERVER_KEY")
    assert len(server.asked) == 1


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 0},
        {"timeout": 0},
        {"timeout": math.inf},
        {"timeout": math.nan},
        {"retries": -1},
        {"backoff": -1},
        {"view": "everything"},
        {"longest_answer": 0},
    ],
    ids=short,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ServerReader.from_spec("http://localhost:1", **settings)


def test_without_openai_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[server\]"):
        ServerReader.from_spec("http://localhost:1")
