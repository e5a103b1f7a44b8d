"""`from_pretrained`, `save_pretrained` and `push_to_hub`, on a hub that only these tests know."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, ModelHubMixin

from rsfiqa import RSFIQA
from rsfiqa.assessor import load_scorer
from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.hub_card import hub_card
from rsfiqa.scoring.checkpoint import load_checkpoint, save_checkpoint

FILES = ["README.md", "config.json", "model.safetensors"]


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none")


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSFIQA_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


class Hub:
    """What stands for `HfApi`: repositories are folders."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None
        monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", self.api)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.download)

    def api(self, token: str | None = None) -> Hub:
        self.calls.append({"token": token})
        return self

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        if self.error is not None:
            raise self.error
        self.calls.append(options)
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> str:
        self.calls.append(options)
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return f"https://hub.example/{repo_id}/commit/1"

    def download(self, repo: str, **options: Any) -> str:
        self.calls.append(options)
        return str(self.folder / repo)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(tmp_path / "hub", monkeypatch)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def require_same_scores(one: RSFIQA, other: RSFIQA, cat: npt.NDArray[np.uint8]) -> None:
    crop = cat[40:140, 100:220]
    assert one.assess(crop).score == other.assess(crop).score


def metadata_of(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


# Folders


def test_what_is_saved_is_loaded_again(
    assessor: RSFIQA, cat: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    assert assessor.save_pretrained(tmp_path / "saved") is None
    assert names(tmp_path / "saved") == FILES
    back = RSFIQA.from_pretrained(tmp_path / "saved", reader="none")
    require_same_scores(assessor, back, cat)
    assert back.info == assessor.info


def test_it_is_one_of_the_hubs_models(assessor: RSFIQA) -> None:
    assert isinstance(assessor, ModelHubMixin)
    wanted = inspect.signature(ModelHubMixin.from_pretrained).parameters
    offered = inspect.signature(RSFIQA.from_pretrained).parameters
    for name in ("force_download", "token", "cache_dir", "local_files_only", "revision"):
        assert offered[name].default == wanted[name].default


def test_the_packaged_scorer_is_the_default() -> None:
    assert load_scorer().name == load_scorer(None, revision="main", force_download=True).name


def test_saving_again_replaces_scorer_and_card(assessor: RSFIQA, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# of another scorer\n")
    (tmp_path / "config.json").write_text("{}")
    assessor.save_pretrained(tmp_path)
    assert "another" not in (tmp_path / "README.md").read_text()
    assert load_checkpoint(tmp_path).name == "tiny-test"


def test_a_folder_that_cannot_be_written(assessor: RSFIQA, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        assessor.save_pretrained(tmp_path / "file")


# The card


def test_a_card_tells_the_hub_what_it_is(assessor: RSFIQA, tmp_path: Path) -> None:
    assessor.save_pretrained(
        tmp_path, model_card_kwargs={"license": "mit", "tags": ["macro"], "datasets": ["me/mine"]}
    )
    metadata = metadata_of(tmp_path)
    assert metadata["library_name"] == "rsfiqa"
    assert metadata["pipeline_tag"] == "image-classification"
    assert metadata["license"] == "mit"
    assert metadata["datasets"] == ["me/mine"]
    assert {"image-quality-assessment", "macro"} <= set(metadata["tags"])
    text = (tmp_path / "README.md").read_text()
    assert "RSFIQA.from_pretrained" in text
    assert ModelCard(text).data.library_name == "rsfiqa"


def test_no_licence_is_invented(assessor: RSFIQA, tmp_path: Path) -> None:
    assessor.save_pretrained(tmp_path)
    assert "license" not in metadata_of(tmp_path)


def test_a_scorers_own_card_is_kept(assessor: RSFIQA, tmp_path: Path) -> None:
    own = "---\nlicense: apache-2.0\ntags:\n- mine\n---\n\n# Mine\n\nMade by me, für alle.\n"
    save_checkpoint(replace(assessor.checkpoint, card=own), tmp_path / "one")
    loaded = RSFIQA.from_pretrained(tmp_path / "one", reader="none")
    loaded.save_pretrained(tmp_path / "two")
    text = (tmp_path / "two" / "README.md").read_text(encoding="utf-8")
    assert text.endswith("---\n\n# Mine\n\nMade by me, für alle.\n")
    metadata = metadata_of(tmp_path / "two")
    assert metadata["license"] == "apache-2.0"
    assert metadata["library_name"] == "rsfiqa"
    assert "mine" in metadata["tags"]
    again = replace(assessor.checkpoint, card=text)
    assert hub_card(again) == text, "nothing is added twice"


def test_a_tag_may_stand_alone(assessor: RSFIQA) -> None:
    card = hub_card(
        replace(assessor.checkpoint, card="---\ntags: macro\n---\n# Mine\n"), {"tags": "night"}
    )
    tags = ModelCard(card).data.tags
    assert {"macro", "night"} <= set(tags)
    assert not [tag for tag in tags if len(tag) == 1]


@pytest.mark.parametrize("head", ["a: [", "- a list"])
def test_metadata_that_is_none(assessor: RSFIQA, tmp_path: Path, head: str) -> None:
    broken = replace(assessor.checkpoint, card=f"---\n{head}\n---\n# Mine\n")
    with pytest.raises(ConfigError, match="metadata of tiny-test's card"):
        hub_card(broken)
    with pytest.raises(ConfigError, match="a card's metadata is text"):
        hub_card(assessor.checkpoint, {"license": object()})


# The hub


def test_what_is_pushed_is_loaded_from_the_hub(
    assessor: RSFIQA, cat: npt.NDArray[np.uint8], hub: Hub
) -> None:
    url = assessor.push_to_hub(
        "me/mine",
        private=True,
        token="hf_x",  # noqa: S106
        commit_message="First",
        branch="new",
        model_card_kwargs={"license": "mit"},
    )
    assert url == "https://hub.example/me/mine/commit/1"
    assert names(hub.folder / "me" / "mine") == FILES
    assert metadata_of(hub.folder / "me" / "mine")["license"] == "mit"
    asked = {k: v for call in hub.calls for k, v in call.items()}
    assert asked["token"] == "hf_x"  # noqa: S105
    assert asked["private"] is True
    assert asked["commit_message"] == "First"
    assert asked["revision"] == "new"
    back = RSFIQA.from_pretrained("me/mine", reader="none")
    require_same_scores(assessor, back, cat)
    assert back.checkpoint.card is not None
    assert "license: mit" in back.checkpoint.card


def test_saving_can_push(assessor: RSFIQA, hub: Hub, tmp_path: Path) -> None:
    url = assessor.save_pretrained(tmp_path / "mine", push_to_hub=True, private=True)
    assert url == "https://hub.example/mine/commit/1"
    assert names(tmp_path / "mine") == FILES
    url = assessor.save_pretrained(tmp_path / "mine", push_to_hub=True, repo_id="me/other")
    assert url == "https://hub.example/me/other/commit/1"


def test_the_hubs_options_are_passed_on(assessor: RSFIQA, hub: Hub, tmp_path: Path) -> None:
    assessor.push_to_hub("me/mine")
    load_scorer(
        "me/mine",
        revision="v1",
        cache_dir=tmp_path,
        token=False,
        force_download=True,
        local_files_only=True,
    )
    asked = hub.calls[-1]
    assert asked.pop("allow_patterns")
    assert asked == {
        "revision": "v1",
        "cache_dir": tmp_path,
        "token": False,
        "force_download": True,
        "local_files_only": True,
    }
    load_scorer("me/mine@v1")
    assert hub.calls[-1]["revision"] == "v1"
    assert set(hub.calls[-1]) == {"revision", "allow_patterns", "local_files_only"}


def test_a_revision_is_given_once(hub: Hub) -> None:
    with pytest.raises(ConfigError, match="names the revision v1, and revision='v2' another"):
        load_scorer("me/mine@v1", revision="v2")
    assert hub.calls == []


def test_offline_nothing_is_pushed(
    assessor: RSFIQA, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSFIQA_OFFLINE", "1")
    with pytest.raises(AssetError, match="me/mine was not pushed: offline mode is on") as refused:
        assessor.push_to_hub("me/mine")
    assert "\n" not in str(refused.value)
    assert hub.calls == []


def test_the_hubs_own_offline_mode_is_told_in_a_sentence(assessor: RSFIQA, hub: Hub) -> None:
    hub.error = huggingface_hub.errors.OfflineModeIsEnabled("offline mode is enabled.\nmore")
    with pytest.raises(AssetError, match="me/mine could not be pushed") as refused:
        assessor.push_to_hub("me/mine")
    assert "offline mode is enabled" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_hub_that_fails_is_told_in_a_sentence(assessor: RSFIQA, hub: Hub) -> None:
    hub.error = ConnectionError("https://u:pw@host broke\nmore")
    with pytest.raises(AssetError, match="could not be pushed") as refused:
        assessor.push_to_hub("me/mine")
    assert "****@host broke" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("hub")
def test_names_and_arguments_that_there_are_not(assessor: RSFIQA) -> None:
    with pytest.raises(ConfigError, match="no hub id"):
        assessor.push_to_hub("not/a/name")
    with pytest.raises(TypeError, match="colour"):
        assessor.push_to_hub("me/mine", colour="red")


def test_only_safetensors_and_json_are_saved(assessor: RSFIQA, tmp_path: Path) -> None:
    from safetensors import safe_open

    assessor.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["name"] == "tiny-test"
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert all(isinstance(file.get_tensor(name), torch.Tensor) for name in file.keys())  # noqa: SIM118
