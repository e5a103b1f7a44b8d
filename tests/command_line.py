"""Running the command in a test, the pictures it is given and the lines it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image
from typer.testing import CliRunner, Result

from rsfiqa.cli import app


def rsfiqa(*arguments: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=given)


def require_done(ended: Result) -> None:
    assert ended.exit_code == 0, ended.output


def require_one_sentence(ended: Result, code: int, *words: str) -> None:
    """The command failed with one line that holds these words, and no traceback."""
    assert ended.exit_code == code, ended.output
    lines = [line for line in ended.stderr.splitlines() if line.startswith("rsfiqa: ")]
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.output
    assert "fault of rsfiqa" not in lines[0]
    for word in words:
        assert word in lines[0]


def save_picture(path: Path, value: int = 100, size: tuple[int, int] = (60, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def records(text: str | Path) -> list[dict[str, Any]]:
    if isinstance(text, Path):
        text = text.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
