"""Models by hub id or local folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsfiqa.assets.notices import redacted
from rsfiqa.assets.store import is_offline
from rsfiqa.errors import AssetError, ConfigError

_HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?")
_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", "README.md"]


def resolve_model(
    spec: str | os.PathLike[str],
    *,
    offline: bool | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    force_download: bool = False,
) -> Path:
    """The file or folder that a model is read from.

    Args:
        spec: a local file or folder, which is used as it is; or a hub id, `org/name` or
            `hf:org/name`, with `@revision` for a branch, tag or commit. A local folder called
            `org/name` comes first; `hf:` leaves no doubt.
        offline: True forbids the network; None asks `RSFIQA_OFFLINE` (and the hub's own
            `HF_HUB_OFFLINE`).
        revision: a branch, tag or commit, as `@revision` of a hub id.
        cache_dir, token, force_download: as `huggingface_hub.snapshot_download` takes them; they and
            the revision say nothing of a local file or folder.

    Returns:
        The local path; for a hub id the snapshot folder in the hub's cache (`HF_HOME`), which
        holds the repository's `*.safetensors`, `*.json` and text files and nothing else.

    Raises:
        ConfigError: a revision is given twice, and not the same.
        AssetError: there is no such file; or the hub has no such model, refuses it, cannot be
            reached, or has the weights as pickle only.
    """
    text = os.fspath(spec)
    prefixed = isinstance(spec, str) and text.startswith("hf:")
    path = Path(text).expanduser()
    if not prefixed and path.exists():
        return path
    found = _HUB_ID.fullmatch(text.removeprefix("hf:")) if isinstance(spec, str) else None
    if found is None:
        what = "is no hub id" if prefixed else "is neither an existing file or folder nor a hub id"
        raise AssetError(f"{text!r} {what}; give a path that exists, or a hub id as hf:org/name.")
    named = found["revision"]
    if named and revision and named != revision:
        raise ConfigError(
            f"{text} names the revision {named}, and revision={revision!r} another; give one of them."
        )
    options: dict[str, Any] = {"cache_dir": cache_dir, "token": token}
    options = {name: value for name, value in options.items() if value is not None}
    if force_download:
        options["force_download"] = True
    return _snapshot(found["repo"], named or revision, options, offline=is_offline(offline))


def _snapshot(
    repo: str, revision: str | None, options: Mapping[str, Any], *, offline: bool
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = Path(
            snapshot_download(
                repo,
                revision=revision,
                allow_patterns=_PATTERNS,
                local_files_only=offline,
                **options,
            )
        )
    except GatedRepoError as error:
        raise AssetError(
            f"{repo} on the hub is open only to who accepted its terms; accept them on its page "
            "and log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise AssetError(
            f"the hub has no model {repo}, or it is private; check the name, or log in with "
            "`hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise AssetError(f"{repo} on the hub has no revision {revision}; check it.") from error
    except LocalEntryNotFoundError as error:
        why = "offline mode is on" if offline else "the hub cannot be reached or is switched off"
        raise AssetError(
            f"{repo} is not in the hub's local cache and {why}; on a machine with a network run "
            f"`hf download {repo}` and give the path of the folder here, or copy the cache "
            "(HF_HOME)."
        ) from error
    except Exception as error:  # the hub's network errors change class from release to release
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssetError(
            f"{repo} could not be fetched from the hub ({redacted(reason)}); check the network and the "
            "disk, or give the path of a local folder."
        ) from error
    if not any(folder.rglob("*.safetensors")):
        raise AssetError(
            f"{repo} holds no *.safetensors file; pickled weights are not loaded: convert them, "
            "or choose a model that has safetensors."
        )
    return folder
