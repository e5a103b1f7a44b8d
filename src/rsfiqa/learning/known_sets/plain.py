"""Plain data, as from a TOML file, into nested dataclasses, with every key and type checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rsfiqa.errors import ConfigError

T = TypeVar("T")

_WHAT = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def from_plain(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """A dataclass from plain data.

    Fields are texts, numbers, flags, dataclasses, tuples of one kind and mappings from texts to one
    kind; a single text stands for a tuple of one.

    Args:
        kind: the dataclass.
        data: its fields by name; those with defaults may be left out.
        where: what errors call the place.

    Raises:
        ConfigError: a field is unknown, missing, of another type or not accepted by the class.

    Example:
        >>> from rsfiqa.learning.known_sets.description import Scale
        >>> from_plain(Scale, {"low": 1, "high": 5}, "scale")
        Scale(low=1.0, high=5.0, lower_is_better=False, note='')
        >>> from_plain(Scale, {"low": 1, "high": "five"}, "scale")
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: scale.high is a number; got 'five'.
    """
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise ConfigError(f"{where} has no field {name!r}; there are {', '.join(known)}.")
    for name, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and name not in data:
            raise ConfigError(f"{where} needs the field {name!r}.")
    values = {name: _value(hints[name], value, f"{where}.{name}") for name, value in data.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    options = [option for option in get_args(hint) if option is not NoneType]
    if get_origin(hint) is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ConfigError(f"{where} is a list; got {value!r}.")
        return tuple(_value(options[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table; got {value!r}.")
        return {key: _value(options[1], item, f"{where}.{key}") for key, item in value.items()}
    kind = options[0] if options else hint  # the only unions are with None
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table; got {value!r}.")
        return from_plain(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{where} is {_WHAT[kind]}; got {value!r}.")
    return value
