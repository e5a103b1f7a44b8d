"""A scorer's model card for the hub: its own card, or one from what it knows of itself, with metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rsfiqa.errors import ConfigError
from rsfiqa.scoring.checkpoint import Checkpoint

Metadata = Mapping[str, Any]

METADATA: dict[str, Any] = {
    "library_name": "rsfiqa",
    "pipeline_tag": "image-classification",  # the hub knows no task for a score
    "tags": [
        "image-quality-assessment",
        "no-reference",
        "region-aware",
        "explainability",
        "rsfiqa",
    ],
}
"""What the hub is told of every scorer; a licence is not among it, since no default could be right."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)

_CARD = """# {name}

A scorer for rsfiqa: quality of photographs, 0..100, higher is better, as the exact weighted sum of
region scores.

```python
from rsfiqa import RSFIQA

assessor = RSFIQA.from_pretrained("{name}")  # this repository's id, or a folder with its files
print(assessor.assess("photo.jpg").summary)
```

| | |
|---|---|
{rows}
"""


def hub_card(checkpoint: Checkpoint, metadata: Metadata | None = None) -> str:
    """A card in Markdown that begins with metadata for the hub, in YAML.

    Args:
        checkpoint: whose card, if it has one, is kept as it is; its own metadata, too, and what is
            given takes precedence.
        metadata: such as `license`, `datasets`, `language`, or `tags`, which are added.

    Raises:
        ConfigError: the card's metadata, or what is given, is not what YAML can hold.
    """
    text = checkpoint.card or _own_card(checkpoint)
    found = _FRONT_MATTER.match(text)
    kept: Any = {}
    if found:
        try:
            kept = yaml.safe_load(found[1]) or {}
        except yaml.YAMLError as error:
            raise ConfigError(
                f"the metadata of {checkpoint.name}'s card is no YAML: {error}"
            ) from error
    if not isinstance(kept, dict):
        raise ConfigError(
            f"the metadata of {checkpoint.name}'s card is no mapping; it is `name: value` lines."
        )
    given = dict(metadata or {})
    tags = [*METADATA["tags"], *_listed(kept.get("tags")), *_listed(given.get("tags"))]
    merged = {**METADATA, **kept, **given, "tags": list(dict.fromkeys(tags))}
    try:
        head = yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise ConfigError(
            "a card's metadata is text, numbers, lists and mappings; "
            f"got {', '.join(given) or 'something else'}."
        ) from error
    body = text[found.end() :] if found else text
    return f"---\n{head}---\n\n{body.lstrip()}"


def _listed(tags: Any) -> list[Any]:
    """Tags as a list; a single one may stand alone."""
    return [tags] if isinstance(tags, str) else list(tags or ())


def _own_card(checkpoint: Checkpoint) -> str:
    """A card for a scorer that has none: only what it knows of itself."""
    training, config = checkpoint.training, checkpoint.scorer.config
    facts: dict[str, Any] = {
        "aggregation": f"{config.aggregation}, {config.members} member(s)",
        "backbones (frozen)": ", ".join(
            f"{spec.get('backbone')} depths {spec.get('indices')}" for spec in checkpoint.encoder
        ),
        "regions": checkpoint.segmenter,
        "readings": checkpoint.reader,
        "scored pictures it was trained on": training.get("training_pictures"),
        "on validation pictures": _figures(training.get("validation")),
        "reliability on them, cross-validated": _figures(
            None if checkpoint.reliability is None else checkpoint.reliability.figures
        ),
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items() if value not in (None, "")]
    return _CARD.format(name=checkpoint.name, rows="\n".join(rows))


def _figures(figures: Any) -> str | None:
    if not isinstance(figures, Mapping):
        return None
    numbers = {k: v for k, v in figures.items() if isinstance(v, (int, float))}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
