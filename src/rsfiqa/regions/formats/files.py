"""Reading and writing files of regions, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsfiqa.atomic import write_whole
from rsfiqa.errors import DataError


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise DataError(f"{path} is empty (0 bytes); write the regions again.")
    return data


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file whole or not at all; its folder is made where missing.

    Raises:
        DataError: it cannot be written.
    """
    try:
        # One of many, which can be made again: not worth a wait for the disk each.
        write_whole(path, data, durable=False)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; name another place."
        ) from error


def parse_json(data: bytes, path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}.") from error


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write one JSON object; file names that are no valid Unicode are escaped."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False)
    write_bytes(text.encode("ascii") + b"\n", path)
