"""Options that several commands share, declared once as a dataclass.

typer takes a command's options from its signature, one parameter each. A command that is `unfolded`
may have a parameter that is a dataclass instead: its fields become options, in its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

Command = Callable[..., None]


def unfolded(command: Command) -> Command:
    """A command for typer, with the fields of its dataclass parameters as parameters of their own.

    Args:
        command: its hints, and those of the dataclasses, are typer's `Annotated` types. A field
            without a default is an option that has to be given.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Size:
        ...     width: int = 4
        ...     height: int = 3
        >>> @unfolded
        ... def draw(name: str, *, size: Size, fill: bool = False) -> None:
        ...     print(name, size, fill)
        >>> list(inspect.signature(draw).parameters)
        ['name', 'width', 'height', 'fill']
        >>> draw(name="a box", height=1)
        a box Size(width=4, height=1) False
    """
    hints = get_type_hints(command, include_extras=True)
    folded: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and is_dataclass(hint):
            folded[parameter.name] = hint
            parameters += _parameters_of(hint)
        else:
            # By name only, as typer gives them: so they may stand in any order.
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hint))

    @wraps(command)
    def run(**given: Any) -> None:
        for name, kind in folded.items():
            values = {f.name: given.pop(f.name) for f in fields(kind) if f.name in given}
            given[name] = kind(**values)
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters_of(kind: type) -> list[inspect.Parameter]:
    """A parameter for each field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
