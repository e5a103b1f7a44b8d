"""Builds rsfiqa as it would be published and looks whether all of it is there: `run.py package`.

The sdist is built from this folder and the wheel from the sdist, as pip does it, so that both hold what
they need. The wheel is installed into a clean environment, with what it requires and nothing else, and
used from there.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from clean_environment import make_clean

ROOT = Path(__file__).resolve().parent.parent
WHEEL_LIMIT = 50_000_000
"""Bytes: weights that would not fit are fetched instead."""

IN_SDIST = (
    "src/rsfiqa/py.typed",
    "tests/conftest.py",
    "tests/public_api.txt",
    "docs/method.md",
    "examples",
    "README.md",
    "mkdocs.yml",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "NOTICE",
    "run.py",
    "pyproject.toml",
)

USE_IT = """
import sys
from importlib.util import find_spec
import rsfiqa
assert rsfiqa.__file__.startswith(sys.prefix), rsfiqa.__file__
assert not [name for name in ("pytest", "fastapi", "pandas", "peft") if find_spec(name)]
for name in rsfiqa.__all__:
    getattr(rsfiqa, name)
from rsfiqa.assessor import load_scorer
from rsfiqa.report.templates import asset
from rsfiqa.schema import result_schema
load_scorer(), asset("page.html"), result_schema()
from rsfiqa.cli import COMMANDS, app
for name in COMMANDS:
    app([name, "--help"], standalone_mode=False)
"""


def main() -> int:
    """Build, look and try; returns the exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        problems = check(Path(scratch))
    for problem in problems:
        say(f"package: {problem}")
    return 1 if problems else 0


def check(scratch: Path) -> list[str]:
    """Everything that is wrong with what is built in an empty folder."""
    sdist = build_sdist(ROOT, scratch / "sdist")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    wheel = build_wheel(sdist, scratch / "wheel")
    size = wheel.stat().st_size
    say(f"package: {sdist.name} {sdist.stat().st_size:,} bytes, {wheel.name} {size:,} bytes")
    with zipfile.ZipFile(wheel) as archive:
        problems = [
            *sdist_problems(names),
            *wheel_problems(archive.namelist(), size, package_files(ROOT / "src")),
        ]
    return [*problems, *use_problems(wheel, scratch)]


def use_problems(wheel: Path, scratch: Path) -> list[str]:
    """What keeps the wheel from being installed and used where nothing else is."""
    try:
        python = make_clean(scratch / "clean", wheel)
    except (OSError, subprocess.CalledProcessError, PackageNotFoundError) as error:
        return [f"the wheel cannot be installed in a clean environment: {error}"]
    program = python.with_name(f"rsfiqa{python.suffix}")
    for step in ([python, "-I", "-c", USE_IT], [program, "--version"]):
        used = subprocess.run(step, cwd=scratch, check=False, capture_output=True, text=True)
        if used.returncode:
            return [f"the wheel cannot be used in a clean environment:\n{used.stderr}"]
    return []


def build_sdist(source: Path, folder: Path) -> Path:
    """Build the sdist with the project's own backend; returns its file."""
    return _made(["hatchling", "build", "-t", "sdist", "-d", str(folder)], source, folder)


def build_wheel(sdist: Path, folder: Path) -> Path:
    """Build the wheel from an sdist, as pip does when it installs one; returns its file."""
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    command = ["pip", "wheel", "--quiet", *offline, "-w", str(folder), str(sdist)]
    return _made(command, sdist.parent, folder)


def _made(module: Sequence[str], cwd: Path, folder: Path) -> Path:
    """The one file that a module of Python's makes in a folder."""
    if subprocess.run([sys.executable, "-m", *module], cwd=cwd, check=False).returncode:
        sys.exit(f"package: {' '.join(module[:2])} failed")
    (made,) = folder.iterdir()
    return made


def package_files(source: Path) -> set[str]:
    """Every file of the package, as a wheel names it."""
    return {
        path.relative_to(source).as_posix()
        for path in (source / "rsfiqa").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def sdist_problems(names: Iterable[str]) -> list[str]:
    """What an sdist lacks, or holds and should not.

    Args:
        names: its files, without the leading folder.
    """
    held = set(names)
    lacking = [
        wanted
        for wanted in IN_SDIST
        if wanted not in held and not any(name.startswith(wanted + "/") for name in held)
    ]
    tops = {wanted.partition("/")[0] for wanted in IN_SDIST} | {"", "PKG-INFO", ".gitignore"}
    strays = sorted({name.partition("/")[0] for name in held} - tops)
    return [f"the sdist lacks {name}" for name in lacking] + [
        f"the sdist holds {name}, which is not to be published" for name in strays
    ]


def wheel_problems(names: Sequence[str], size: int, wanted: set[str]) -> list[str]:
    """What a wheel lacks, or holds and should not.

    Args:
        names: its files.
        size: of the wheel in bytes.
        wanted: the package's files.
    """
    package = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    notices = {name.rpartition("/")[2] for name in set(names) - package}
    problems = [f"the wheel lacks {name}" for name in sorted(wanted - package)]
    problems += [f"the wheel holds {name}, a stray file" for name in sorted(package - wanted)]
    problems += [
        f"the wheel lacks {name}"
        for name in ("LICENSE", "NOTICE", "METADATA", "entry_points.txt")
        if name not in notices
    ]
    if size >= WHEEL_LIMIT:
        problems.append(f"the wheel has {size:,} bytes; the limit is {WHEEL_LIMIT:,}")
    return problems


def say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


if __name__ == "__main__":
    sys.exit(main())
