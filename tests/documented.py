"""What the documentation shows: its pages, their blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/README.md")]
)

SHELLS = ("console", "sh", "bash")
"""What blocks of commands are marked as."""

_FENCED = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(rsfiqa [^`]+)`(?!`)")
_SUBSTITUTED = re.compile(r"\$\([^()]*\)")
_ASSIGNED = re.compile(r"\w+=")
_BREAKS = {"|", "&&", ";", "||"}


@dataclass(frozen=True)
class Block:
    """One block of code of a page, with the line that it begins at."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Line:
    """One command of the program, as it is written on a page.

    Attributes:
        place: page and line of its block.
        arguments: what follows `rsfiqa`.
        alone: not part of a pipe, nothing redirected or set.
    """

    place: str
    arguments: tuple[str, ...]
    alone: bool

    def __str__(self) -> str:
        return f"{self.place} rsfiqa {shlex.join(self.arguments)}"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks in these languages, in their order."""
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3])
        for found in _FENCED.finditer(text)
        if found[2] in languages
    ]


def lines_of(block: Block) -> list[Line]:
    """Every command of the program in a block for a shell."""
    lines: list[Line] = []
    for written in block.code.replace("\\\n", " ").splitlines():
        lines += _program_calls(str(block), written)
    return lines


def inline_commands(page: str) -> list[tuple[str, ...]]:
    """What follows `rsfiqa` in the page's running text, in words."""
    prose = _FENCED.sub("", text_of(page))
    return [tuple(found[1].split()[1:]) for found in _INLINE.finditer(prose)]


def _program_calls(place: str, written: str) -> Iterator[Line]:
    lexer = shlex.shlex(_SUBSTITUTED.sub("GIVEN", written), posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    words: list[list[str]] = [[]]
    for word in lexer:
        if word in _BREAKS:
            words.append([])
        else:
            words[-1].append(word)
    for call in words:
        bare = [word for k, word in enumerate(call) if not (_ASSIGNED.match(word) and k == 0)]
        redirected = next((k for k, word in enumerate(bare) if word in {"<", ">"}), None)
        arguments = _after_program(bare[:redirected])
        if arguments is not None:
            alone = len(words) == 1 and redirected is None and bare == call
            yield Line(place, tuple(arguments), alone)


def _after_program(words: list[str]) -> list[str] | None:
    """The program's arguments, however it is started; None for another program."""
    if words[:1] == ["rsfiqa"]:
        return words[1:]
    for k in range(len(words) - 1):
        if words[k] in {"-m", "run.py"} and words[k + 1] == "rsfiqa":
            return words[k + 2 :]
    return None
