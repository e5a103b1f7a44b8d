"""The command line, `rsfiqa`: thin over the library.

Each command lives in a module of its own and is imported when it is called, so that
`rsfiqa --help` does not wait for torch. To add one, write `cli/NAME.py` with a typed function, or
a `typer.Typer` named app for a command with subcommands, and enter it in `COMMANDS` and `PANELS`.
Command modules import torch and what needs it inside their functions.

Exit status: 0 all went well; 1 something failed, named on standard error; 2 wrong usage; 130
interrupted. A command that ends in an `RsfiqaError` prints its sentence and no traceback;
`RSFIQA_DEBUG=1` shows the traceback of any error. An `RsfiqaWarning` is its sentence, too.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from rsfiqa import __version__
from rsfiqa.errors import ConfigError, RsfiqaError, RsfiqaWarning

COMMANDS: dict[str, str] = {
    "assess": "rsfiqa.cli.assess:assess",
    "segment": "rsfiqa.cli.segment:segment",
    "read": "rsfiqa.cli.read:read",
    "parse": "rsfiqa.cli.parse:parse",
    "report": "rsfiqa.cli.report:report",
    "serve": "rsfiqa.cli.serve:serve",
    "demo": "rsfiqa.cli.demo:demo",
    "gallery": "rsfiqa.cli.gallery:gallery",
    "teach": "rsfiqa.cli.teach:app",
    "data": "rsfiqa.cli.data:app",
    "train": "rsfiqa.cli.train:train",
    "fine-tune": "rsfiqa.cli.fine_tune:fine_tune",
    "evaluate": "rsfiqa.cli.evaluate:evaluate",
    "export": "rsfiqa.cli.export:export",
    "bench": "rsfiqa.cli.bench:app",
    "schema": "rsfiqa.cli.schema:schema",
    "assets": "rsfiqa.cli.assets:app",
}
"""Every command, as "module:attribute", in the order of the help page."""

PANELS: dict[str, tuple[str, ...]] = {
    "Assess pictures": ("assess", "segment", "read", "parse", "report", "serve", "demo", "gallery"),
    "Teach, train and measure": (
        "teach",
        "data",
        "train",
        "fine-tune",
        "evaluate",
        "export",
        "bench",
    ),
    "Set up": ("schema", "assets"),
}
"""The commands as the help page groups them."""


class _LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            found = getattr(import_module(module), attribute)
            if not isinstance(found, typer.Typer):
                function, found = found, typer.Typer(add_completion=False)
                found.command(name=cmd_name)(function)
            command: Any = typer.main.get_command(found)
            command.name = cmd_name
            command.rich_help_panel = next(p for p, names in PANELS.items() if cmd_name in names)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:  # what typer suggests is among what is loaded
            for name in get_close_matches(args[0], COMMANDS):
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _warnings_said():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("interrupted; finished work is kept.")
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("RSFIQA_DEBUG") or _is_usage_error(error):
                raise
            raise typer.Exit(_explain(error)) from None


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Our warnings as the sentences they are; those of others as Python shows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", RsfiqaWarning)
        show_others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, RsfiqaWarning):
                _say(str(message))
            else:
                show_others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _is_usage_error(error: Exception) -> bool:
    """Whether typer itself reports this error: such errors know how to show themselves."""
    return hasattr(error, "show") and hasattr(error, "exit_code")


def _explain(error: Exception) -> int:
    """Say in one sentence what went wrong; returns the exit status."""
    if isinstance(error, RsfiqaError):
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    reason = " ".join(str(error).split()) or "no further word"
    _say(
        f"unexpected {type(error).__name__}: {reason} "
        "(this is a fault of rsfiqa's; RSFIQA_DEBUG=1 shows where it happened)"
    )
    return 1


def _say(sentence: str) -> None:
    typer.echo(f"rsfiqa: {sentence}", err=True)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"rsfiqa {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_LazyGroup,
    name="rsfiqa",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """How good is this picture, where, and why? Quality scores, 0 to 100, higher is better.

    To begin: `rsfiqa demo`, or `rsfiqa assess photo.jpg --out photo.jsonl --report photo.html`.
    """


def main() -> None:
    """Entry point of the `rsfiqa` command."""
    try:
        app()
    except BrokenPipeError:
        _quieten_standard_output()
        sys.exit(1)
    except SystemExit:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _quieten_standard_output()
        raise


def _quieten_standard_output() -> None:
    """Let the interpreter flush into nowhere: the reader of our output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
