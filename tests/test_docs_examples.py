"""Every example of the documentation: commands are those of the program, Python runs.

What needs weights runs with a tiny model; what needs a GPU, a server or a data set is compiled, and its
imports are made.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from documented import PAGES, ROOT, SHELLS, Block, Line, blocks, inline_commands, lines_of
from fake_reader import FakeReader
from rsfiqa.cli import app, common
from rsfiqa.samples import sample_picture

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs a clone")

LINES = [line for page in PAGES for block in blocks(page, *SHELLS) for line in lines_of(block)]
PYTHON = [block for page in PAGES for block in blocks(page, "python")]

RUNNABLE = {"assess", "gallery", "report", "schema", "--version"}
RUNNABLE_PAIRS = {("data", "list"), ("data", "show"), ("assets", "list")}
NEEDS_MORE = (
    "?",
    "hf:",
    "server:",
    "sam:",
    "embedded:",
    "--regions",
    "--model",
    "cuda",
    "--engine",
    "s3:",
    ".parquet",
)

NOT_RUN = {
    'OnnxModel("whole.onnx"': "needs an exported file",
    "urllib.request": "asks a server",
    "load_set(": "reads a data set",
    "read_splits(": "reads splits of a data set",
    "SamSegmenter": "fetches a model of the hub",
    "hrnet.safetensors": "needs weights in a file",
    "prepare(ScoredImages": "trains",
}
"""Blocks of Python that contain this are not run, and why."""


def names_for_readme() -> dict[str, Any]:
    import torch

    pictures = torch.rand(2, 3, 64, 96)
    restored = pictures.clone().requires_grad_()
    return {"pictures": pictures, "restored": restored, "paths": ["photo.jpg", "holidays/1.jpg"]}


def names_for_evaluation() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    scores = [rng.uniform(0, 100, 12) for _ in range(3)]
    return {"each_split": [(s, s + rng.normal(0, 5, 12)) for s in scores]}


def names_for_backbones() -> dict[str, Any]:
    import torch

    return {"feature_map": torch.rand(2, 256, 6, 8), "labels": torch.arange(96).view(2, 6, 8) % 4}


NAMES: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": names_for_readme,
    "docs/backbones.md": names_for_backbones,
    "docs/evaluate.md": names_for_evaluation,
}
"""What the blocks of a page take for granted."""


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_folder: Path, cache: Path
) -> Path:
    """A folder as the examples have it: photographs, and the model is a tiny one."""
    from rsfiqa.assessor import RSFIQA

    assessor = RSFIQA.from_pretrained(
        tiny_model_folder, segmenter="grid:3", reader=FakeReader(), device="cpu"
    )
    monkeypatch.setattr(RSFIQA, "from_pretrained", lambda *_, **__: assessor)
    monkeypatch.setattr(common, "make_reader", lambda *_, **__: assessor.reader)
    picture = Image.fromarray(sample_picture("chelsea")[60:188, 100:260])
    for name in ("photo.jpg", "holidays/1.jpg", "holidays/2.png", "scans/a.tif", "photos/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    monkeypatch.setattr("rsfiqa.samples.sample_names", lambda: ("chelsea",))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command_at(words: tuple[str, ...]) -> tuple[Any, list[str], str]:
    """The command that words lead to, the words that are left, and its name."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="rsfiqa")
    left, path = list(words), "rsfiqa"
    while left and hasattr(command, "get_command") and not left[0].startswith("-"):
        found = command.get_command(context, left[0])
        if found is None:
            pytest.fail(f"{path} has no command {left[0]}")
        command, path = found, f"{path} {left.pop(0)}"
    return command, left, path


def test_there_are_examples() -> None:
    assert len(LINES) > 60
    assert len(PYTHON) > 10


@pytest.mark.parametrize("line", LINES, ids=str)
def test_the_program_understands_every_command(line: Line) -> None:
    command, left, path = command_at(line.arguments)
    if left in (["--help"], ["--version"]) or "COMMAND" in line.arguments:
        return
    assert not hasattr(command, "list_commands"), f"{path} lacks a command"
    try:
        command.make_context(path, left)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        pytest.fail(f"{line}: {error.format_message()}")


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_commands_and_options_in_running_text_exist(page: str) -> None:
    for words in inline_commands(page):
        if words[0].isupper() or words[0] in {"--help", "--version", "…"}:
            continue
        command, left, path = command_at(tuple(words))
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        options = {word for word in left if word.startswith("--")} - {"--help"}
        assert options <= known, f"{page}: {path} has no {', '.join(sorted(options - known))}"


def is_cheap(line: Line) -> bool:
    words = line.arguments
    known = words[:1] and (words[0] in RUNNABLE or words[:2] in RUNNABLE_PAIRS)
    return bool(known) and line.alone and not any(m in w for w in words for m in NEEDS_MORE)


def is_run(block: Block) -> bool:
    return block.language == "python" or any(map(is_cheap, lines_of(block)))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(is_run, blocks(page, "python", *SHELLS)))]
)
def test_a_page_can_be_followed(page: str, folder: Path) -> None:
    """Its cheap commands and its Python, in their order, in one folder."""
    names: dict[str, Any] = {"__name__": "example", **NAMES.get(page, dict)()}
    for block in blocks(page, "python", *SHELLS):
        if block.language == "python":
            run_block(block, names)
            continue
        for line in filter(is_cheap, lines_of(block)):
            ended = CliRunner().invoke(app, list(line.arguments))
            assert ended.exit_code == 0, f"{line}: {ended.output}"


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block, or only its imports where it is named in `NOT_RUN`."""
    tree = ast.parse(block.code, filename=str(block))
    if any(mark in block.code for mark in NOT_RUN):
        tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    try:
        exec(compile(tree, str(block), "exec"), names)  # noqa: S102
    except Exception as error:
        raise AssertionError(
            f"{block} does not run ({error}); give NAMES what the example takes for granted, or say "
            "in NOT_RUN why it cannot be run"
        ) from error


def test_every_reason_not_to_run_is_of_an_example() -> None:
    for mark in NOT_RUN:
        assert any(mark in block.code for block in PYTHON), mark


def test_run_py_knows_the_commands_that_are_shown() -> None:
    shown = {
        words[k + 1]
        for page in PAGES
        for block in blocks(page, *SHELLS)
        for written in block.code.splitlines()
        for words in [written.split()]
        for k in range(len(words) - 1)
        if words[k] == "run.py"
    }
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    known = ast.literal_eval(source.partition("\nCOMMANDS = ")[2].partition("\n")[0])
    assert shown <= set(known)
