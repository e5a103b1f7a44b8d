"""The JSON Schema of results: what other programs may rely on.

A result's schema has a version of its own. Within one, properties may be added, so readers ignore
those that they do not know; a property that is taken away or changes its meaning makes a new version,
in a new file beside the old one.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

SCHEMA_VERSION = 1


def schema_text() -> str:
    """The schema of one result (JSON Schema, draft 2020-12) as the text of its file."""
    name = f"result-{SCHEMA_VERSION}.json"
    return (files("rsfiqa") / "schemas" / name).read_text(encoding="utf-8")


def result_schema() -> dict[str, Any]:
    """The schema of one result: an assessment as `Assessment.to_json` writes it, or a failure.

    Example:
        >>> result_schema()["$id"]
        'urn:rsfiqa:schema:result:1'
    """
    schema: dict[str, Any] = json.loads(schema_text())
    return schema
