"""run.py, the one-file set-up: what it decides, without installing anything."""

from __future__ import annotations

import doctest
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "run.py").exists(), reason="needs a clone")


@pytest.fixture
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    if spec is None or spec.loader is None:
        pytest.fail("run.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """A machine on which commands are only noted; those that contain `failing` fail."""

    def __init__(self, run: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.commands: list[str] = []
        self.failing: list[str] = []
        self.python_works = False
        self.environment = folder / ".venv"
        monkeypatch.setattr(run, "ENVIRONMENT", self.environment)
        monkeypatch.setattr(run, "call", self.call)
        monkeypatch.setattr(run, "try_quietly", lambda command: self.call(command) == 0)
        monkeypatch.setattr(run, "environment_works", lambda _: self.python_works)
        monkeypatch.setattr(run, "wants_cpu_torch", lambda _: False)

    def call(self, command: Sequence[Any], cwd: Path | None = None) -> int:
        line = " ".join(map(str, command))
        self.commands.append(line)
        if any(part in line for part in self.failing):
            return 1
        if " venv " in line:
            self.environment.mkdir(exist_ok=True)
            self.python_works = True
        return 0

    def ran(self, part: str) -> int:
        return sum(part in line for line in self.commands)


@pytest.fixture
def machine(run: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(run, monkeypatch, tmp_path)


def test_its_examples_hold(run: ModuleType) -> None:
    assert doctest.testmod(run, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


def test_the_oldest_python_is_that_of_the_package(run: ModuleType) -> None:
    oldest = ".".join(map(str, run.OLDEST_PYTHON))
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text()


def test_an_old_python_is_refused_in_one_sentence(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    assert run.main(["demo"]) == 1
    assert "needs Python 3.10 or newer, and this is Python 3.9" in capsys.readouterr().err


def test_the_second_run_installs_nothing(run: ModuleType, machine: Machine) -> None:
    assert run.main(["demo"]) == 0
    assert run.main(["demo", "--out", "there"]) == 0
    assert machine.ran("pip install") == 1
    assert machine.commands[-1].endswith("-m rsfiqa demo --out there")


def test_tests_bring_their_tools_and_serve_the_demo_too(run: ModuleType, machine: Machine) -> None:
    run.main(["demo"])
    run.main(["test", "-x"])
    run.main(["demo"])
    assert machine.ran(" venv ") == 1
    assert machine.ran("pip install") == 2
    assert machine.ran("[dev]") == 1
    assert machine.ran("-m pytest -x") == 1


def test_a_changed_pyproject_is_installed_again(
    run: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run.main(["demo"])
    (tmp_path / "pyproject.toml").write_text("changed")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    run.main(["demo"])
    assert machine.ran("pip install") == 2


def test_a_broken_environment_is_made_anew(run: ModuleType, machine: Machine) -> None:
    run.main(["demo"])
    machine.python_works = False
    run.main(["demo"])
    assert machine.ran("venv --clear") == 2


@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_install_is_not_believed_by_the_next_run(
    run: ModuleType, machine: Machine, capsys: pytest.CaptureFixture[str], earlier: bool
) -> None:
    if earlier:
        run.main(["demo"])
    machine.failing = ["pip install"]
    assert run.main(["test"]) == 1
    assert "pip could not install rsfiqa" in capsys.readouterr().err
    assert machine.ran("-m pytest") == 0
    machine.failing = []
    before = machine.ran("pip install")
    assert run.main(["test"]) == 0
    assert machine.ran("pip install") == before + 1


def test_without_ensurepip_the_outer_pip_helps(run: ModuleType, machine: Machine) -> None:
    machine.failing = [f"venv --clear {machine.environment}"]
    assert run.main(["demo"]) == 0
    assert machine.ran("--without-pip") == 1
    assert machine.ran("-m pip --python") == 1


def test_without_any_venv_it_says_what_to_install(
    run: ModuleType, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.failing = [" venv ", "--python"]
    assert run.main(["demo"]) == 1
    assert "sudo apt install python3-venv" in capsys.readouterr().err
    assert not machine.environment.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"pyproject": "x"})])
def test_a_damaged_stamp_means_not_installed(
    run: ModuleType, machine: Machine, content: str
) -> None:
    run.main(["demo"])
    (machine.environment / run.STAMP).write_text(content)
    run.main(["demo"])
    assert machine.ran("pip install") == 2


def test_steps_go_on_after_a_failure_and_report_it(run: ModuleType, machine: Machine) -> None:
    run.main(["demo"])
    machine.failing = ["ruff check"]
    assert run.main(["check", "-q"]) == 1
    assert machine.ran("mypy") == 1
    assert machine.commands[-1].endswith("-m pytest -q")


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ("", {}, False),
        ("global.index-url='https://mirror.example/simple'\n", {}, True),
        ("global.extra-index-url='https://mirror.example/simple'\n", {}, True),
        ("install.find-links='/wheels'\n", {}, True),
        (":env:.constraint='/c.txt'\n", {}, True),
        ("global.timeout='60'\nglobal.proxy='http://proxy.example:3128'\n", {}, False),
        ("", {"PIP_INDEX_URL": "https://mirror.example/simple"}, True),
        ("", {"PIP_NO_INDEX": "1"}, True),
        ("", {"PIP_INDEX_URL": "", "PIP_CACHE_DIR": "/cache", "PATH": "/bin"}, False),
    ],
)
def test_a_users_own_package_source_is_respected(
    run: ModuleType, config: str, environment: dict[str, str], expected: bool
) -> None:
    assert run.names_a_source(config, environment) is expected


@pytest.mark.parametrize("answers", [True, False])
def test_the_cpu_index_is_tried_first_and_not_needed(
    run: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(run, "wants_cpu_torch", lambda _: True)
    machine.failing = [] if answers else [run.TORCH_CPU_INDEX]
    assert run.main(["demo"]) == 0
    installs = [line for line in machine.commands if "pip install" in line]
    assert run.TORCH_CPU_INDEX in installs[0]
    assert "--editable" in installs[1]


def test_wrong_usage_exits_2_and_touches_nothing(tmp_path: Path) -> None:
    for arguments in ([], ["dmeo"]):
        ended = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert ended.returncode == 2
        assert "demo" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_exit_statuses_are_passed_on(run: ModuleType) -> None:
    assert run.call([sys.executable, "-c", "raise SystemExit(7)"]) == 7
    assert not run.try_quietly(["no-such-program-anywhere"])
