"""Builds rsfiqa as it would be published and looks whether all of it is there: `run.py package`.

The sdist is built from this folder and the wheel from the unpacked sdist, so that both hold what they
need. The wheel is installed without dependencies into an empty folder and used from there.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

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
folder = sys.argv[1]
sys.path.insert(0, folder)
import rsfiqa
assert rsfiqa.__file__.startswith(folder), rsfiqa.__file__
for name in rsfiqa.__all__:
    getattr(rsfiqa, name)
from rsfiqa.assessor import load_scorer
from rsfiqa.report.templates import asset
from rsfiqa.schema import result_schema
load_scorer(), asset("page.html"), result_schema()
from rsfiqa.cli import main
sys.argv = ["rsfiqa", "--version"]
main()
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
    sdist = build("sdist", ROOT, scratch / "sdist")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        archive.extractall(scratch / "source", filter="data")
    (source,) = (scratch / "source").iterdir()
    wheel = build("wheel", source, scratch / "wheel")
    size = wheel.stat().st_size
    say(f"package: {sdist.name} {sdist.stat().st_size:,} bytes, {wheel.name} {size:,} bytes")
    with zipfile.ZipFile(wheel) as archive:
        problems = [
            *sdist_problems(names),
            *wheel_problems(archive.namelist(), size, package_files(ROOT / "src")),
        ]
    installed = scratch / "installed"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    for step in ([*pip, str(installed), str(wheel)], ["-I", "-c", USE_IT, str(installed)]):
        if run([sys.executable, *step], cwd=scratch):
            return [*problems, f"the wheel cannot be installed and used: {step[:3]} failed"]
    return problems


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build an sdist or a wheel with the project's own backend; returns its file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    if run(command, cwd=source):
        sys.exit(f"package: the {kind} cannot be built")
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


def run(command: Sequence[str], cwd: Path) -> int:
    """Run a command in the foreground; returns its exit status."""
    return subprocess.run(command, cwd=cwd, check=False).returncode


def say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


if __name__ == "__main__":
    sys.exit(main())
