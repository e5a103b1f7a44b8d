"""The errors that rsfiqa raises on purpose, and its warnings: one clear sentence each.

Every message says what was given, what is accepted, and how to mend it, so that the command
line can print it as it stands.
"""

from __future__ import annotations


class RsfiqaError(Exception):
    """Base of all errors that a user can mend."""


class ImageError(RsfiqaError, ValueError):
    """A picture cannot be read or is outside the accepted sizes, types or values."""


class AssetError(RsfiqaError, RuntimeError):
    """A weight file cannot be found, fetched, verified or converted."""


class DataError(RsfiqaError, ValueError):
    """A data set, its score file or a cache of it is not as it should be."""


class ConfigError(RsfiqaError, ValueError):
    """A setting has a value that is not accepted."""


class RsfiqaWarning(UserWarning):
    """Something is done as asked for, but probably not as meant."""


class MissingExtraError(RsfiqaError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: what was asked for, as a user would say it.
        extra: the name of the extra that brings the dependency.

    Example:
        >>> print(MissingExtraError("The scatter plot", "plot"))
        The scatter plot needs an optional dependency; install it with: pip install "rsfiqa[plot]"
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f'{feature} needs an optional dependency; install it with: pip install "rsfiqa[{extra}]"'
        )
