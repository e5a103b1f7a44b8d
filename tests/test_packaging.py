"""What is published: the project's metadata, and the check that `run.py package` makes of builds."""

from __future__ import annotations

import importlib
import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import yaml

import package_check
import rsfiqa
from clean_environment import requirements_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs a clone")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_versions_agree(pyproject: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert pyproject["project"]["version"] == rsfiqa.__version__ == str(citation["version"])
    assert citation["license"] == pyproject["project"]["license"]


def test_entry_points_lead_somewhere(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    for target in [target for group in groups for target in group.values()]:
        module, _, attribute = target.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_every_extra_that_an_error_names_is_there(pyproject: dict[str, Any]) -> None:
    extras = pyproject["project"]["optional-dependencies"]
    call = re.compile(r'MissingExtraError\(\s*f?"[^"]*",\s*"([\w-]+)"')
    named = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in call.findall(path.read_text(encoding="utf-8"))
    }
    assert {"plot", "pandas", "torchmetrics"} <= named
    assert named <= set(extras)


def test_a_clean_environment_has_what_is_required_and_no_more(pyproject: dict[str, Any]) -> None:
    required = requirements_of(pyproject["project"]["dependencies"])
    assert {"torch", "numpy", "transformers", "typing-extensions"} <= set(required)
    assert not {"pytest", "hypothesis", "fastapi", "pandas", "rsfiqa"} & set(required)
    with pytest.raises(PackageNotFoundError):
        requirements_of(["rsfiqa-needs-no-such-thing>=1"])


def test_pyiqa_is_no_dependency(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    for requirements in [project["dependencies"], *project["optional-dependencies"].values()]:
        assert not [requirement for requirement in requirements if requirement.startswith("pyiqa")]


def test_what_the_sdist_is_to_hold_is_there(pyproject: dict[str, Any]) -> None:
    for name in pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (ROOT / name.lstrip("/")).exists(), name
    for name in package_check.IN_SDIST:
        assert (ROOT / name).exists(), name


def test_the_package_is_far_below_its_limit() -> None:
    """Uncompressed; weights hardly compress."""
    files = package_check.package_files(ROOT / "src")
    assert "rsfiqa/schemas/result-1.json" in files
    size = sum((ROOT / "src" / name).stat().st_size for name in files)
    assert size < package_check.WHEEL_LIMIT


INFO = "rsfiqa-0.dist-info"
WHEEL = [
    "rsfiqa/__init__.py",
    f"{INFO}/METADATA",
    f"{INFO}/entry_points.txt",
    f"{INFO}/licenses/LICENSE",
    f"{INFO}/licenses/NOTICE",
]


def test_a_whole_wheel_has_no_problem() -> None:
    assert package_check.wheel_problems(WHEEL, 1000, {"rsfiqa/__init__.py"}) == []


@pytest.mark.parametrize(
    ("names", "size", "said"),
    [
        (WHEEL[1:], 1, "lacks rsfiqa/__init__.py"),
        (WHEEL[:-1], 1, "lacks NOTICE"),
        ([*WHEEL, "tests/test_rsa.py"], 1, "stray"),
        (WHEEL, package_check.WHEEL_LIMIT, "limit"),
    ],
)
def test_problems_of_a_wheel(names: list[str], size: int, said: str) -> None:
    problems = package_check.wheel_problems(names, size, {"rsfiqa/__init__.py"})
    assert len(problems) == 1
    assert said in problems[0]


def test_problems_of_an_sdist() -> None:
    whole = ["PKG-INFO", "examples/one.py", *package_check.IN_SDIST]
    assert package_check.sdist_problems(whole) == []
    (lacking,) = package_check.sdist_problems([n for n in whole if n != "CITATION.cff"])
    assert "lacks CITATION.cff" in lacking
    (stray,) = package_check.sdist_problems([*whole, "demo-results/report.html"])
    assert "demo-results" in stray
