"""The API: what it answers, and how it refuses."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from rsfiqa.errors import ConfigError
from rsfiqa.images import load_image
from rsfiqa.service.settings import ServiceSettings
from service_world import FakeModel, encoded, served

Pixels = Any


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with served(
        FakeModel(),
        reading=FakeModel(reader="fake"),
        max_bytes=300_000,
        max_batch_bytes=400_000,
        max_pixels=250_000,
        max_batch=3,
    ) as client:
        yield client


def one(client: TestClient, data: bytes, name: str = "a.png", **fields: Any) -> Any:
    return client.post("/v1/assess", files={"image": (name, data)}, data=fields)


def in_json(data: bytes, **more: Any) -> dict[str, Any]:
    return {"image": base64.b64encode(data).decode(), **more}


def error_of(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    sentence = answer.json()["error"]
    assert sentence.endswith(".")
    return str(sentence)


def test_the_answer_is_the_assessments_own_json(client: TestClient, cat: Pixels) -> None:
    data = encoded(cat)
    expected = FakeModel().assess(load_image(data, name="cat.png"))
    answer = one(client, data, "cat.png")
    assert answer.status_code == 200
    assert answer.json() == json.loads(expected.to_json())  # type: ignore[union-attr]
    without = one(client, data, "cat.png", masks="false")
    assert without.json() == json.loads(expected.to_json(masks=False))  # type: ignore[union-attr]


def test_a_form_and_json_get_the_same_answer(client: TestClient) -> None:
    data = encoded(77)
    form = one(client, data, "grey.png", maps="quality")
    plain = client.post(
        "/v1/assess", json=in_json(data, name="C:\\pictures\\grey.png", maps=["quality"])
    )
    assert form.json() == plain.json()
    assert plain.json()["image"] == "grey.png"


def test_a_batch_answers_in_order_with_errors_in_their_place(client: TestClient) -> None:
    files = [
        ("images", ("a.png", encoded(10))),
        ("images", ("broken.jpg", b"\xff\xd8\xff\xe0 no more")),
        ("images", ("bug.png", encoded(20))),
    ]
    answer = client.post("/v1/assess/batch", files=files, data={"masks": "false"})
    first, broken, bug = answer.json()["results"]
    assert first == one(client, encoded(10), masks="false").json()
    assert set(broken) == set(bug) == {"image", "error"}
    assert broken["image"] == "broken.jpg"
    assert "secret" not in bug["error"]


@pytest.mark.parametrize(("wanted", "model"), [(None, "fake"), (True, "fake"), (False, "none")])
def test_reading_can_be_left_out(client: TestClient, wanted: bool | None, model: str) -> None:
    body = in_json(encoded(), masks=False, **({} if wanted is None else {"reader": wanted}))
    assert client.post("/v1/assess", json=body).status_code == 200
    engine = client.app.state.engine  # type: ignore[attr-defined]
    assert engine._assessors[model == "fake"].batches[-1] == ["image"]


def test_maps_overlays_and_report(client: TestClient, cat: Pixels) -> None:
    asked = {"maps": ["attention", "quality"], "overlays": ["regions"], "report": True}
    data = encoded(cat)
    answer = client.post("/v1/assess", json=in_json(data, name="cat.png", **asked)).json()
    attention, quality = answer["maps"]["attention"], answer["maps"]["quality"]
    assert attention["size"] == quality["size"] == [300, 451]

    def values(entry: dict[str, Any]) -> Any:
        picture = Image.open(io.BytesIO(base64.b64decode(entry["png"])))
        return np.asarray(picture).astype(float) / 65535 * entry["maximum"]

    assert values(attention).sum() == pytest.approx(1, abs=1e-3)
    region = answer["regions"][0]
    x, y, w, h = region["bbox"]
    inside = values(attention)[y : y + h, x : x + w].sum()
    assert inside == pytest.approx(region["weight"], abs=1e-3)
    assert values(quality) == pytest.approx(answer["score"], abs=0.01)
    overlay = Image.open(io.BytesIO(base64.b64decode(answer["overlays"]["regions"])))
    assert overlay.width >= 451
    assert "cat.png" in answer["report"]
    assert answer["report"].startswith("<!doctype html>")


def test_pictures_that_are_refused(client: TestClient) -> None:
    assert "refuse.png is refused" in error_of(one(client, encoded(), "refuse.png"), 422)
    assert "not a picture" in error_of(one(client, b"plain text"), 422)
    assert "empty" in error_of(one(client, b""), 422)
    assert "501x500" in error_of(one(client, encoded(size=(501, 500))), 422)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert "300,000" in error_of(one(client, encoded(noise)), 413)


def test_a_fault_is_one_sentence_and_its_words_are_nowhere(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert "fault" in error_of(one(client, encoded(), "bug-of-mine.png"), 500)
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert "of-mine" not in caplog.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{}", "image is missing"),
        (b"nonsense", "JSON"),
        (b'{"image": "%%%"}', "base64"),
        (b'{"image": 7}', "base64"),
        (b'{"image": "data:image/png;base64,AAAA"}', "base64"),
        (b'{"image": "http://example.org/a.jpg"}', "base64"),
        (b'{"image": "AAAA", "path": "/etc/passwd"}', "no field path"),
        (b'{"image": "AAAA", "masks": "yes"}', "masks"),
        (b'{"image": "AAAA", "maps": ["depth"]}', "maps"),
        (b'{"image": "AAAA", "name": "\\ud800"}', "JSON"),
        (b'{"image": "AAAA", "name": null}', "name"),
        (b"[" * 100_000, "JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_json_that_is_not_as_it_should_be(client: TestClient, body: bytes, says: str) -> None:
    answer = client.post("/v1/assess", content=body, headers={"content-type": "application/json"})
    assert says in error_of(answer, 422)


@pytest.mark.parametrize(
    ("files", "fields", "says"),
    [
        ([], {"masks": "true"}, "no field image"),
        (["image", "image"], {}, "/v1/assess/batch"),
        (["image"], {"url": "http://example.org/a.jpg"}, "no field url"),
        (["image"], {"masks": "perhaps"}, "masks"),
        (["image"], {"masks": ["true", "false"]}, "given 2 times"),
        (["image"], {"maps": "depth"}, "maps"),
        (["image"], {"maps": ["quality"] * 40}, "parts"),
    ],
)
def test_forms_that_are_not_as_they_should_be(
    client: TestClient, files: list[str], fields: dict[str, Any], says: str
) -> None:
    # Always a form, also without a file.
    sent = [(name, ("a.png", encoded())) for name in files] or [("masks", (None, "true"))]
    answer = client.post("/v1/assess", files=sent, data=fields if files else {})
    assert says in error_of(answer, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x--",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\nab",
    ],
)
def test_damaged_forms(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    error_of(client.post("/v1/assess", content=body, headers=headers), 422)
    headers = {"content-type": "multipart/form-data"}
    assert "boundary" in error_of(client.post("/v1/assess", content=body, headers=headers), 422)


def test_content_types_lengths_and_addresses(client: TestClient) -> None:
    for kind in ("image/png", "text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/v1/assess", content=encoded(), headers={"content-type": kind})
        error_of(answer, 415)
    files = {"image": ("a.html", b"<p>", "text/html")}
    error_of(client.post("/v1/assess", files=files), 415)
    error_of(client.post("/v1/assess?masks=false", files={"image": encoded()}), 422)

    def chunks() -> Iterator[bytes]:
        yield b"{}"

    headers = {"content-type": "application/json"}
    error_of(client.post("/v1/assess", content=chunks(), headers=headers), 411)
    too_long = {"content-type": "application/json", "content-length": "999999999"}
    assert "999,999,999" in error_of(client.post("/v1/assess", content=b"", headers=too_long), 413)
    longer = {"content-type": "application/json", "content-length": "2"}
    assert client.post("/v1/assess", content=b'{"a": 1}', headers=longer).status_code in (413, 422)
    error_of(client.get("/v1/assess"), 405)
    error_of(client.get("/v1/nothing"), 404)
    error_of(client.get("/page/../app.py"), 404)
    error_of(client.get("/page/%2e%2e/settings.py"), 404)


def test_batches_are_limited(client: TestClient) -> None:
    files = [("images", (f"{i}.png", encoded(i))) for i in range(4)]
    assert "4 pictures" in error_of(client.post("/v1/assess/batch", files=files), 413)
    body = {"images": [in_json(encoded(i)) for i in range(4)]}
    assert "4 pictures" in error_of(client.post("/v1/assess/batch", json=body), 413)
    assert "images" in error_of(client.post("/v1/assess/batch", json={"images": []}), 422)


def test_every_answer_has_the_headers(client: TestClient) -> None:
    answers = [
        one(client, encoded()),
        one(client, b""),
        one(client, encoded(), "bug.png"),
        client.get("/"),
        client.get("/docs"),
        client.get("/nothing"),
        client.get("/metrics"),
        client.put("/healthz"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        # Files of the page are asked about again, by their tag; answers are never kept.
        kept = "no-cache" if "etag" in answer.headers else "no-store"
        assert answer.headers["cache-control"] == kept


def test_about_the_server(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "alive"
    assert client.get("/readyz").json() == {"status": "ready"}
    models = client.get("/v1/models").json()
    assert models["models"][0]["reader"] == "fake"
    assert models["limits"]["max_bytes"] == 300_000
    one(client, encoded())
    counted = client.get("/metrics").text
    assert 'rsfiqa_requests_total{path="/v1/assess",status="200"}' in counted
    assert 'rsfiqa_pictures_total{outcome="assessed"}' in counted
    assert "rsfiqa_queue_pictures 0.0" in counted


def test_pages_ask_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /v1/assess" in page.text
    assert "<script" not in page.text
    assert "https://" not in page.text
    style = client.get("/docs.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "//" not in style.text
    again = client.get("/docs.css", headers={"if-none-match": style.headers["etag"]})
    assert again.status_code == 304


def test_the_key_is_wanted_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    key = "a-key-ümlaut"
    assert key not in repr(ServiceSettings(api_key=key))
    with caplog.at_level(logging.DEBUG), served(api_key=key) as client:
        shown = key.encode()
        for path in ("/v1/models", "/metrics"):
            assert client.get(path).headers["www-authenticate"] == "Bearer"
            error_of(client.get(path, headers={"X-API-Key": "wrong"}), 401)
            error_of(client.get(path, headers={"Authorization": b"Basic " + shown}), 401)
            assert client.get(path, headers={"X-API-Key": shown}).status_code == 200
            bearer = {"Authorization": b"Bearer " + shown}
            assert client.get(path, headers=bearer).status_code == 200
        error_of(one(client, encoded()), 401)
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
    assert key not in caplog.text


def test_pages_of_other_sites_stay_out_unless_let_in() -> None:
    foreign = {"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}
    with served() as client:
        error_of(client.get("/v1/models", headers=foreign), 403)
        own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
        assert client.get("/v1/models", headers=own).status_code == 200
    with served(origins=["https://example.org"]) as client:
        answer = client.get("/v1/models", headers=foreign)
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        other = foreign | {"Origin": "https://example.com"}
        error_of(client.get("/v1/models", headers=other), 403)
        asks = foreign | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-API-Key",
        }
        assert client.options("/v1/assess", headers=asks).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"max_bytes": 0},
        {"answer_within": 0.0},
        {"max_batch": 64, "queue": 32},
        {"queue_bytes": 1000},
        {"api_key": " "},
        {"api_key": "key\n"},
        {"origins": ["example.org"]},
        {"origins": ["https://example.org/page"]},
    ],
)
def test_settings_that_are_not_accepted(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ServiceSettings(**settings)


def test_the_key_is_wanted_behind_a_proxy_that_puts_a_prefix_before_paths() -> None:
    with served(api_key="a-key") as client:
        behind = TestClient(client.app, root_path="/quality", raise_server_exceptions=False)
        for path in ("/quality/v1/models", "/quality/metrics", "/v1/models"):
            error_of(behind.get(path), 401)
        shown = behind.get("/quality/metrics", headers={"X-API-Key": "a-key"})
        assert shown.status_code == 200
        assert 'path="/metrics",status="401"' in shown.text
        assert behind.get("/quality/healthz").status_code == 200
