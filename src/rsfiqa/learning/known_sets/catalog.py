"""The descriptions that come with rsfiqa, by name."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.known_sets.description import Description
from rsfiqa.learning.plain_data import from_plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN_CSV = "csv"
"""The name that stands for no set of the field: a user's own pictures and scores."""

_FOLDER = Path(__file__).parent


@cache
def set_names() -> tuple[str, ...]:
    """Names of the data sets that have a description, sorted; one's own CSV comes last.

    Example:
        >>> "koniq10k" in set_names()
        True
    """
    names = sorted(file.stem for file in _FOLDER.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name == OWN_CSV))


@cache
def describe(name: str) -> Description:
    """The description of a data set.

    Raises:
        ConfigError: there is none of this name.

    Example:
        >>> describe("kadid10k").images
        10125
    """
    if name not in set_names():
        raise ConfigError(f"There is no data set {name!r}; there are {', '.join(set_names())}.")
    return read_description(_FOLDER / f"{name}.toml")


def read_description(file: Path) -> Description:
    """A description from a file of its own; its name is that of the file.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it is no TOML, or no description.
    """
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}.") from error
    return from_plain(Description, {"name": file.stem, **data}, file.name)
