#!/usr/bin/env python3
"""Set up rsfiqa in this folder and run it: needs Python 3.10 or newer, pip and nothing else.

    python3 run.py demo             assess sample photographs; pictures and a report to look at
    python3 run.py test [ARGS]      run the tests (ARGS go to pytest)
    python3 run.py lint             lint, format and types
    python3 run.py check [ARGS]     lint, then test
    python3 run.py package          build sdist and wheel, look into them, use the wheel
    python3 run.py docs [ARGS]      build the documentation into build/site (ARGS go to mkdocs)
    python3 run.py rsfiqa ARGS      any other rsfiqa command

The first run makes a virtual environment in .venv and installs into it; later runs find it
there and start at once. pip's own configuration (indexes, mirrors, proxies, constraints) holds.
"""

# This file must parse on older Pythons, so that they get a sentence instead of a syntax error.

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 10)
ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
STAMP = "rsfiqa-installed.json"

# PyPI's torch for Linux brings CUDA libraries of some 2.5 GB; this public index has it without.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH_PACKAGES = ["torch>=2.4", "torchvision"]

# Settings with which a user says where packages come from.
SOURCE_SETTINGS = frozenset(
    {"index-url", "extra-index-url", "find-links", "no-index", "constraint", "index"}
)


COMMANDS = ("demo", "test", "lint", "check", "package", "docs", "rsfiqa")
LINT = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])


class SetupError(Exception):
    """A reason, in one sentence, why the environment cannot be made."""


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        say(__doc__.strip())
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        say(f"run.py: no command named {command}; there are {', '.join(COMMANDS)}.")
        return 2
    try:
        require_python(sys.version_info[:3])
        python = prepare(dev=command not in {"demo", "rsfiqa"})
    except SetupError as error:
        say(f"run.py: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nrun.py: interrupted; the next run takes the set-up up again.")
        return 130
    return run(command, python, rest)


def run(command: str, python: Path, rest: list[str]) -> int:
    """Run a command in the environment that is ready; returns the exit status."""
    if command == "test":
        return steps(python, [["pytest", *rest]])
    if command == "lint":
        return steps(python, LINT)
    if command == "check":
        return steps(python, [*LINT, ["pytest", *rest]])
    if command == "docs":
        return steps(python, [["mkdocs", "build", "--strict", *rest]])
    if command == "package":
        return call([python, ROOT / "tests" / "package_check.py"], cwd=ROOT)
    return call([python, "-m", "rsfiqa", *(["demo", *rest] if command == "demo" else rest)])


def steps(python: Path, modules: Sequence[list[str]]) -> int:
    """Run modules with their arguments, each even when one before it fails.

    Returns:
        The exit status of the first that failed, or 0.
    """
    first = 0
    for module in modules:
        say(f"run.py: {' '.join(module)}")
        status = call([python, "-m", *module], cwd=ROOT)
        if status != 0:
            say(f"run.py: {' '.join(module[:2])} failed with exit status {status}")
        first = first or status
    return first


def require_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old.

    >>> require_python((3, 12, 1))
    >>> require_python((3, 8, 10))
    Traceback (most recent call last):
    ...
    run.SetupError: rsfiqa needs Python 3.10 or newer, and this is Python 3.8; run me with a newer one, such as: python3.12 run.py demo
    """
    if tuple(version[:2]) < OLDEST_PYTHON:
        oldest, this = (f"{v[0]}.{v[1]}" for v in (OLDEST_PYTHON, version))
        raise SetupError(
            f"rsfiqa needs Python {oldest} or newer, and this is Python {this}; "
            "run me with a newer one, such as: python3.12 run.py demo"
        )


def prepare(dev: bool) -> Path:
    """Make the environment, or find it as it should be; returns its Python.

    The stamp is taken away before anything is installed and written when all is done, so that an
    installation that was cut short is done again.
    """
    python = environment_python(ENVIRONMENT)
    wanted = fingerprint(dev)
    works = environment_works(python)
    if works and is_installed(read_stamp(ENVIRONMENT), wanted):
        return python
    if not works:
        say(f"run.py: making a virtual environment in {ENVIRONMENT}")
        make_environment(ENVIRONMENT)
    (ENVIRONMENT / STAMP).unlink(missing_ok=True)
    say("run.py: installing rsfiqa and what it needs; the first time takes some minutes")
    install(python, dev)
    write_stamp(ENVIRONMENT, wanted)
    return python


def environment_python(environment: Path, system: str = os.name) -> Path:
    """The Python inside a virtual environment, per system."""
    if system == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def environment_works(python: Path) -> bool:
    """Whether there is an environment with a Python that starts, is new enough and has pip."""
    if not python.exists():
        return False
    probe = (
        "import sys, importlib.util as u; "
        f"sys.exit(sys.version_info[:2] < {OLDEST_PYTHON!r} or u.find_spec('pip') is None)"
    )
    try:
        ended = subprocess.run(
            [str(python), "-c", probe], capture_output=True, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def make_environment(environment: Path) -> None:
    """Make a virtual environment with pip; an earlier, broken one is cleared.

    Debian and Ubuntu split ensurepip off into python3-venv. Without it, the pip that runs outside
    installs one inside.
    """
    complete = [sys.executable, "-m", "venv", "--clear", str(environment)]
    if try_quietly(complete):
        return
    python = str(environment_python(environment))
    without_pip = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)]
    into_it = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "pip"]
    if try_quietly(without_pip) and try_quietly(into_it):
        return
    shutil.rmtree(str(environment), ignore_errors=True)
    raise SetupError(
        f"a virtual environment cannot be made in {environment}; see that the folder is writable and that "
        "Python's venv is installed (on Debian and Ubuntu: sudo apt install python3-venv)."
    )


def install(python: Path, dev: bool) -> None:
    """Install rsfiqa, editable, with pip's own progress shown."""
    if wants_cpu_torch(python):
        say(f"run.py: no NVIDIA GPU here, so torch comes without CUDA, from {TORCH_CPU_INDEX}")
        patience = ["--retries", "1", "--timeout", "20"]
        source = ["--index-url", TORCH_CPU_INDEX]
        if call([python, "-m", "pip", "install", *patience, *source, *TORCH_PACKAGES]) != 0:
            say("run.py: that index did not answer; going on with pip's default index.")
    target = "{}{}".format(ROOT, "[dev]" if dev else "")
    if call([python, "-m", "pip", "install", "--editable", target]) != 0:
        raise SetupError(
            "pip could not install rsfiqa (its own words are above); when the network is back or "
            "the disk has room, run me again: what pip has fetched is kept."
        )


def wants_cpu_torch(python: Path) -> bool:
    """Whether torch is to come from PyTorch's CPU index first."""
    has_gpu = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
    if platform.system() != "Linux" or has_gpu or try_quietly([python, "-c", "import torch"]):
        return False
    listed = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return not names_a_source(listed.stdout, os.environ)


def names_a_source(pip_config: str, environment: Mapping[str, str]) -> bool:
    """Whether pip's configuration says where packages come from: then it is left to it.

    Args:
        pip_config: what `pip config list` prints.
        environment: the environment variables.

    >>> names_a_source("global.index-url='https://mirror.example/simple'", {})
    True
    >>> names_a_source("global.timeout='60'", {"PIP_FIND_LINKS": "/wheels"})
    True
    >>> names_a_source("global.timeout='60'\\n:env:.disable-pip-version-check='1'", {"HOME": "/"})
    False
    """
    keys = {line.partition("=")[0].rpartition(".")[2].strip() for line in pip_config.splitlines()}
    keys |= {
        name[len("PIP_") :].lower().replace("_", "-")
        for name, value in environment.items()
        if name.startswith("PIP_") and value
    }
    return not keys.isdisjoint(SOURCE_SETTINGS)


def fingerprint(dev: bool) -> dict[str, object]:
    """What the environment must have been made from: a changed one is installed anew."""
    return {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "root": str(ROOT),
        "dev": dev,
    }


def is_installed(stamp: dict[str, object] | None, wanted: dict[str, object]) -> bool:
    """Whether a stamp covers what is wanted; an environment with the tests' tools serves both.

    >>> is_installed({"pyproject": "a", "dev": True}, {"pyproject": "a", "dev": False})
    True
    >>> is_installed({"pyproject": "a", "dev": False}, {"pyproject": "a", "dev": True})
    False
    >>> is_installed(None, {"pyproject": "a", "dev": False})
    False
    """
    if stamp is None or (wanted["dev"] and not stamp.get("dev")):
        return False
    return all(stamp.get(key) == value for key, value in wanted.items() if key != "dev")


def read_stamp(environment: Path) -> dict[str, object] | None:
    """The stamp of the last installation that was completed, or None."""
    try:
        stamp = json.loads((environment / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write_stamp(environment: Path, stamp: dict[str, object]) -> None:
    """Note that the installation was completed."""
    unfinished = environment / (STAMP + ".new")
    unfinished.write_text(json.dumps(stamp), encoding="utf-8")
    unfinished.replace(environment / STAMP)


def try_quietly(command: Sequence[str | Path]) -> bool:
    """Run a command without showing its output; whether it went well."""
    try:
        ended = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    except OSError:
        return False
    return ended.returncode == 0


def call(command: Sequence[str | Path], cwd: Path | None = None) -> int:
    """Run a command in the foreground; returns its exit status, 130 when interrupted."""
    process = subprocess.Popen([str(part) for part in command], cwd=cwd)
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:  # the command got it, too, and is winding up
            continue
        return status if status >= 0 else 128 - status


def say(sentence: str) -> None:
    """Tell the user, on standard error."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
