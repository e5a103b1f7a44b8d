"""The public names of rsfiqa with their signatures, as text; run it to renew `public_api.txt`.

python tests/public_api.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

FROZEN = Path(__file__).with_name("public_api.txt")

MODULES = (
    "rsfiqa",
    "rsfiqa.integrations.differentiable",
    "rsfiqa.integrations.loss",
    "rsfiqa.integrations.pyiqa",
    "rsfiqa.integrations.torchmetrics",
    "rsfiqa.schema",
)


def describe() -> str:
    """One line for each public name, and one for each public member of a class below it."""
    lines: list[str] = []
    for name in MODULES:
        module = import_module(name)
        lines += [name, *(f"    {line}" for line in _module_lines(module)), ""]
    return "\n".join(lines)


def _module_lines(module: Any) -> Iterator[str]:
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    for name in sorted(names):
        value = getattr(module, name)
        if inspect.isclass(value):
            bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
            yield f"class {name}({bases})" if bases else f"class {name}"
            yield from (f"    {line}" for line in _class_lines(value))
        elif callable(value):
            yield f"{name}{_signature(value)}"
        else:
            yield name


def _class_lines(cls: type) -> Iterator[str]:
    # Members of our own classes only: what torch or Exception bring is theirs to change.
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("rsfiqa"):
            members.update(vars(base))
    fields = getattr(cls, "__dataclass_fields__", {})  # which the signature shows
    if "__init__" in members:
        yield f"__init__{_signature(members['__init__'])}"
    for name in sorted(name for name in members if not name.startswith("_")):
        value = members[name]
        if isinstance(value, property | cached_property):
            yield f"{name}: {_annotation(value)}"
        elif isinstance(value, classmethod | staticmethod):
            yield f"{type(value).__name__} {name}{_signature(value.__func__)}"
        elif inspect.isfunction(value):
            yield f"{name}{_signature(value)}"
        elif isinstance(value, bool | int | float | str) and name not in fields:
            yield f"{name} = {value!r}"


def _annotation(value: Any) -> str:
    getter = value.fget if isinstance(value, property) else value.func
    return str(getter.__annotations__.get("return", "Any"))


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(value: Any) -> str:
    signature = inspect.signature(value)
    parameters = [p.replace(annotation=_bare(p.annotation)) for p in signature.parameters.values()]
    returned = _bare(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=returned))


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


if __name__ == "__main__":
    FROZEN.write_text(describe(), encoding="utf-8")
