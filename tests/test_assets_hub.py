"""Where models come from by hub id or path, and where the cache is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.errors
import pytest

from rsfiqa import assets
from rsfiqa.errors import AssetError


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "HOME/.cache/rsfiqa"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/rsfiqa"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "HOME/.cache/rsfiqa"),
        ("linux", {"RSFIQA_CACHE": ""}, "HOME/.cache/rsfiqa"),
        ("linux", {"RSFIQA_CACHE": "~/mine"}, "HOME/mine"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "HOME/Library/Caches/rsfiqa"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/rsfiqa"),
        ("win32", {}, "HOME/AppData/Local/rsfiqa"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="POSIX paths")
def test_cache_folder(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("RSFIQA_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert assets.cache_folder() == Path(expected.replace("HOME", "/home/me"))


def test_a_relative_cache_folder_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RSFIQA_CACHE", "here")
    assert assets.cache_folder() == tmp_path / "here"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("0", False), (" Off ", False), ("no", False), ("1", True), ("yse", True)],
)
def test_offline_switch(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("RSFIQA_OFFLINE", value)
    assert assets.is_offline() is expected
    assert assets.is_offline(not expected) is not expected


class Hub:
    """A hub with a canned answer, which remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self)

    def __call__(self, repo: str, **options: Any) -> str:
        self.asked = {"repo": repo, **options}
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def test_a_local_path_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = Hub(monkeypatch, AssertionError("asked the hub"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert assets.resolve_model(tmp_path) == tmp_path
    assert assets.resolve_model("org/name") == Path("org/name")
    assert assets.resolve_model("weights.safetensors") == Path("weights.safetensors")
    assert hub.asked == {}


@pytest.mark.parametrize(
    ("spec", "revision"),
    [("org/name", None), ("hf:org/name", None), ("hf:org/name@v1.0", "v1.0")],
)
def test_a_hub_id_becomes_a_snapshot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: str, revision: str | None
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    hub = Hub(monkeypatch, tmp_path)
    assert assets.resolve_model(spec, offline=False) == tmp_path
    assert hub.asked == {
        "repo": "org/name",
        "revision": revision,
        "allow_patterns": [
            *("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", "README.md")
        ],
        "local_files_only": False,
    }


def test_offline_asks_only_the_hubs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    hub = Hub(monkeypatch, tmp_path)
    monkeypatch.setenv("RSFIQA_OFFLINE", "1")
    assets.resolve_model("org/name")
    assert hub.asked["local_files_only"] is True


def _hub_error(kind: str) -> Exception:
    """An error of the hub without the HTTP response that its class wants."""
    chosen: type[Exception] = getattr(huggingface_hub.errors, kind)
    return chosen.__new__(chosen)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_hub_error("RepositoryNotFoundError"), "no model org/name"),
        (_hub_error("GatedRepoError"), "accept"),
        (_hub_error("RevisionNotFoundError"), "no revision v2"),
        (_hub_error("LocalEntryNotFoundError"), "hf download org/name"),
        (ConnectionError("https://u:pw@host broke\nmore"), "****@host broke"),
    ],
)
def test_hub_failures_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    Hub(monkeypatch, error)
    with pytest.raises(AssetError) as raised:
        assets.resolve_model("hf:org/name@v2", offline=False)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pickled_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    Hub(monkeypatch, tmp_path)
    with pytest.raises(AssetError, match="pickled"):
        assets.resolve_model("org/name")


@pytest.mark.parametrize("spec", ["nowhere", "./no/where", "a/b/c", "hf:name", "hf:", "../x/y"])
def test_what_is_neither_path_nor_hub_id(spec: str) -> None:
    with pytest.raises(AssetError, match="hf:org/name"):
        assets.resolve_model(spec)


def test_a_path_object_is_never_a_hub_id(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch, AssertionError("asked the hub"))
    with pytest.raises(AssetError, match="neither"):
        assets.resolve_model(Path("org/name"))
