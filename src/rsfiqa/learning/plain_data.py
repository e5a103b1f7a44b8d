"""Plain data, as from a TOML or YAML file, into nested dataclasses, every key and type checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from difflib import get_close_matches
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rsfiqa.errors import ConfigError

T = TypeVar("T")

_WHAT = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def from_plain(kind: type[T], data: Mapping[str, Any], where: str, base: T | None = None) -> T:
    """A dataclass from plain data.

    Fields are texts, numbers, flags, one of several words, dataclasses, tuples (of one kind and any
    length, or of a kind each) and mappings from texts to one kind; a single text stands for a tuple
    of one. Fields of kind Any are taken as they are.

    Args:
        kind: the dataclass.
        data: its fields by name; those with defaults may be left out. Of a dataclass that is the
            default of a field, any may be left out.
        where: what errors call the place; empty for the top of a file.
        base: what has the fields that are left out; the class's defaults unless given.

    Raises:
        ConfigError: a field is unknown, missing, of another type or not accepted by the class.

    Example:
        >>> from rsfiqa.learning.known_sets.description import Scale
        >>> from_plain(Scale, {"low": 1, "high": 5}, "scale")
        Scale(low=1.0, high=5.0, lower_is_better=False, note='')
        >>> from_plain(Scale, {"low": 1, "high": "five"}, "scale")
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: scale.high is a number; got 'five'.
        >>> from_plain(Scale, {"low": 1, "hihg": 5}, "scale")
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: scale has no field 'hihg'; do you mean high?
    """
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise ConfigError(
                f"{where or 'the top level'} has no field {name!r}; {_instead(name, known)}"
            )
    for name, entry in known.items() if base is None else ():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and name not in data:
            raise ConfigError(f"{where or 'the top level'} needs the field {name!r}.")
    values = {}
    for name, value in data.items():
        default = _default(known[name]) if base is None else getattr(base, name)
        values[name] = _value(hints[name], value, f"{where}.{name}" if where else name, default)
    try:
        return kind(**values) if base is None else replace(base, **values)  # type: ignore[type-var]
    except ConfigError as error:
        # What begins with a field's name is said of that field.
        own = str(error).partition(" ")[0] in known
        raise ConfigError(
            f"{where}{'.' if own else ': '}{error}" if where else str(error)
        ) from error


def _default(entry: Field[Any]) -> Any:
    """What a field is when it is left out; None where it has to be given."""
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return None if entry.default is MISSING else entry.default


def _instead(name: str, known: Iterable[str]) -> str:
    """Names that may have been meant: the nearest, or else all."""
    near = get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"do you mean {near[0]}?" if near else f"there are {', '.join(known)}."


def _value(hint: Any, value: Any, where: str, default: Any = None) -> Any:  # noqa: PLR0911
    if hint is Any:
        return value
    options = [option for option in get_args(hint) if option is not NoneType]
    if NoneType in get_args(hint):  # the only unions are with None
        return None if value is None else _value(options[0], value, where)
    if get_origin(hint) is Literal:
        if value not in options:
            raise ConfigError(f"{where} is {_listed(options)}; got {value!r}.")
        return value
    if get_origin(hint) in (tuple, Sequence):
        return _items(options, value, where)
    if get_origin(hint) is Mapping or is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table; got {value!r}.")
        if isinstance(hint, type):
            return from_plain(hint, value, where, default)
        return {key: _value(options[1], item, f"{where}.{key}") for key, item in value.items()}
    return _plain_value(hint, value, where)


def _plain_value(hint: Any, value: Any, where: str) -> Any:
    """A text, a number or a flag."""
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where} is {_WHAT[hint]}; got {value!r}.")
    return value


def _items(options: Sequence[Any], value: Any, where: str) -> tuple[Any, ...]:
    """The items of a list, all of one kind, or of a kind each."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise ConfigError(f"{where} is a list; got {value!r}.")
    kinds = [kind for kind in options if kind is not Ellipsis]
    if len(kinds) > 1:
        if len(items) != len(kinds):
            raise ConfigError(f"{where} is a list of {len(kinds)}; got {value!r}.")
    else:
        kinds = kinds * len(items)
    return tuple(
        _value(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, items, strict=True))
    )


def _listed(words: Sequence[Any]) -> str:
    return " or ".join(", ".join(map(str, words)).rsplit(", ", 1))
