"""Where a server is, which key it is shown, and when it is no longer asked."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.reading.server_address import ServerAddress, key_for
from rsfiqa.reading.server_breaker import Breaker

HIDDEN = "sk-secret-1234567890"


@pytest.mark.parametrize(
    ("spec", "base_url", "label", "model"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1", "localhost:8000", None),
        ("http://localhost:8000/", "http://localhost:8000/v1", "localhost:8000", None),
        ("http://localhost:8000/v1", "http://localhost:8000/v1", "localhost:8000", None),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1", "localhost:8000", None),
        ("https://a.example/openai", "https://a.example/openai/v1", "a.example/openai", None),
        ("https://a.example/v1beta/x", "https://a.example/v1beta/x", "a.example/v1beta/x", None),
        ("http://[::1]:80#m", "http://[::1]:80/v1", "[::1]:80", "m"),
        ("http://h#Qwen/Qwen2.5-VL:7b@main", "http://h/v1", "h", "Qwen/Qwen2.5-VL:7b@main"),
        (" http://h# ", "http://h/v1", "h", None),
        ("http://h#/models/a b", "http://h/v1", "h", "/models/a b"),
    ],
)
def test_addresses(spec: str, base_url: str, label: str, model: str | None) -> None:
    assert ServerAddress.parse(spec) == ServerAddress(base_url, label, model)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "localhost:8000",
        "ftp://localhost",
        "file:///etc/passwd",
        "http://",
        "http://:8000",
        "http://localhost:99999",
        f"http://localhost:{HIDDEN}",
        "http://localhost:0",
        "http://[::1",
        "http://local host",
        "http://local\nhost",
        "http://höst",
        f"http://localhost?key={HIDDEN}",
        f"http://user:{HIDDEN}@localhost",
        f"https://{HIDDEN}@localhost/v1",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(spec: str) -> None:
    with pytest.raises(ConfigError, match="server") as caught:
        ServerAddress.parse(spec)
    assert HIDDEN not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_a_config_error(spec: str) -> None:
    with suppress(ConfigError):
        assert ServerAddress.parse(spec).base_url.startswith(("http://", "https://"))


OWN, SHARED, URL = "RSFIQA_SERVER_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"


@pytest.mark.parametrize(
    ("spec", "environ", "expected"),
    [
        ("http://localhost:8000", {}, None),
        ("http://localhost:8000", {OWN: "own"}, "own"),
        ("http://localhost:8000", {OWN: " own\n"}, "own"),
        ("http://localhost:8000", {OWN: "", SHARED: "shared"}, None),
        ("https://api.openai.com", {OWN: "own", SHARED: "shared"}, "own"),
        ("https://api.openai.com", {SHARED: "shared"}, "shared"),
        ("https://API.openai.com:443/v1", {SHARED: "shared"}, "shared"),
        ("http://api.openai.com", {SHARED: "shared"}, None),
        ("https://api.openai.com.example", {SHARED: "shared"}, None),
        ("https://not-api.openai.com", {SHARED: "shared"}, None),
        ("http://h:8000", {SHARED: "shared", URL: "http://h:8000/v1"}, "shared"),
        ("http://h:8000", {SHARED: "shared", URL: "http://h:8001/v1"}, None),
        ("http://h", {SHARED: "shared", URL: "https://h"}, None),
        ("http://h", {SHARED: "shared", URL: "http://h:80/v1"}, "shared"),
        ("http://h", {SHARED: "shared", URL: "nonsense"}, None),
        ("http://h", {SHARED: "shared", URL: "http://["}, None),
    ],
)
def test_keys_go_only_where_they_belong(
    spec: str, environ: dict[str, str], expected: str | None
) -> None:
    assert key_for(ServerAddress.parse(spec), environ) == expected


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "sk-ä"])
def test_a_key_that_no_header_carries_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigError, match=OWN) as caught:
        key_for(ServerAddress.parse("http://h"), {OWN: key})
    assert key not in str(caught.value)
    assert caught.value.__cause__ is None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_after_some_regions_in_a_row_and_lets_one_try_now_and_then() -> None:
    clock = Clock()
    breaker = Breaker(threshold=3, rest=10, clock=clock)
    for _ in range(2):
        breaker.unanswered("refused")
        assert breaker.attempts(4) == 4
    breaker.unanswered("still refused")
    assert breaker.why == "still refused"
    assert [breaker.attempts(4) for _ in range(3)] == [0, 0, 0]
    clock.now = 10.0
    assert [breaker.attempts(4) for _ in range(3)] == [1, 0, 0]
    breaker.unanswered("refused")
    clock.now = 19.9
    assert breaker.attempts(4) == 0
    clock.now = 20.0
    assert breaker.attempts(4) == 1
    breaker.answered()
    assert [breaker.attempts(4) for _ in range(3)] == [4, 4, 4]


@given(st.lists(st.sampled_from(["answered", "unanswered", "later"]), max_size=30))
def test_a_breaker_is_open_exactly_after_enough_regions_in_a_row(events: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(threshold=3, rest=10, clock=clock)
    in_a_row = 0
    for event in events:
        if event == "later":
            clock.now += 4
        elif event == "answered":
            breaker.answered()
            in_a_row = 0
        else:
            breaker.unanswered("refused")
            in_a_row += 1
        if in_a_row < 3:
            assert breaker.attempts(4) == 4
        else:
            assert breaker.attempts(4) in (0, 1)
