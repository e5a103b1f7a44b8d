"""An environment with one wheel and what it requires in it, and nothing else.

What the wheel requires is not fetched again, which would be gigabytes: it is linked from the
environment that runs this. What the tests and the extras bring stays out, so that a requirement that
the wheel does not declare is missed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def make_clean(folder: Path, wheel: Path) -> Path:
    """Make it; returns its Python.

    Raises:
        subprocess.CalledProcessError: the environment cannot be made, or the wheel not installed.
        PackageNotFoundError: something that the wheel requires is not installed here.
    """
    run = [sys.executable, "-m"]
    subprocess.run([*run, "venv", "--clear", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*run, "pip", "--python", str(python), *install], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    packages = Path(asked.stdout.strip())
    (installed,) = Distribution.discover(name=wheel.name.partition("-")[0], path=[str(packages)])
    for required in requirements_of(installed.requires or ()).values():
        for source in _parts_of(required):
            if not (packages / source.name).exists():
                _bring(source, packages / source.name)
    return python


def requirements_of(requirements: Iterable[str]) -> dict[str, Distribution]:
    """What is required here without any extra, and what that requires in turn, by name.

    Raises:
        PackageNotFoundError: some of it is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    met = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in met:
                met.add((name, wanted))
                found[name] = distribution(name)
                waiting += [(Requirement(text), wanted) for text in found[name].requires or ()]
    return found


def _parts_of(required: Distribution) -> set[Path]:
    """The folders and files of a distribution that lie right in the folder of packages."""
    tops = {PurePosixPath(file).parts[0] for file in required.files or ()} - {"..", "__pycache__"}
    return {Path(str(required.locate_file(top))) for top in tops}


def _bring(source: Path, place: Path) -> None:
    try:
        place.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:  # a system that does not let everybody link
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, place)
