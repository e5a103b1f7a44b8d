"""The model cards that `rsfiqa teach tune` writes beside a taught reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_CARD = """{head}# {name}

{what}

| | |
|---|---|
| base | {base} |
| data | {data} |
| regions learnt from | {regions} |
| weight updates, processes | {steps}, {processes} |
{settings}

## On validation photographs

{figures}

Photographs are apart from those it was taught on. `naming`: fraction of regions with one fault of
strength 2 or more (of 4) whose worst-rated dimension is the fault's; `overall_srcc`: Spearman's
correlation of the overall rating with the fault's strength; `auc`: area under the ROC of clean
against spoiled regions; `calibration_error`: expected calibration error of the level probabilities.

## Use

```console
{use}
```

## How it was taught

```console
{command}
```

## Licence

Whoever shares these weights chooses their licence, within what the licence of the base model and
the terms of the photographs allow; rsfiqa states none for them.
"""


def embedded_card(training: Mapping[str, Any], folder: Path) -> str:
    """The card of an embedded reader, in Markdown.

    Args:
        training: what `rsfiqa.learning.teaching.teach` had it save.
        folder: where it lies; its name is the reader's.
    """
    what = (
        "An embedded reader for rsfiqa: describes and rates regions of photographs with a small\n"
        "language model, on two processor cores."
    )
    use = f"rsfiqa read photo.jpg --reader embedded:{folder.name}"
    return _card(training, folder.name, what, use, head="")


def vlm_card(training: Mapping[str, Any], folder: Path) -> str:
    """The card of a vision-language model's adapter, in Markdown.

    Args:
        training: what `VLMPupil.save` keeps: the record of `teach` with `base`, `precision`, `view`
            and `max_pixels`.
        folder: where it lies; its name is the adapter's.
    """
    base = str(training["base"]).partition("@")[0].partition("#")[0]
    what = (
        "A LoRA adapter (peft) with which a vision-language model describes and rates regions of\n"
        "photographs for rsfiqa. Read with the view that it was taught with."
    )
    use = (
        f"rsfiqa read photo.jpg --reader hf:{base} --adapter {folder.name} "
        f"--view {training['view']}"
    )
    tags = "tags:\n- image-quality-assessment\n"
    known = f"base_model: {base}\n" if "/" in base else ""  # else no hub would find it
    head = f"---\nlibrary_name: peft\n{known}{tags}---\n\n"
    return _card(training, folder.name, what, use, head=head)


def figure_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of figures, those of dimensions one by one.

    Example:
        >>> list(figure_rows({"regions": 3, "auc": None, "dimension_auc": {"blur": 0.98765}}))
        [('regions', '3'), ('auc', '-'), ('dimension_auc blur', '0.988')]
    """
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {part}", text) for part, text in figure_rows(value))
        elif isinstance(value, float):
            yield name, f"{value:.3f}"
        else:
            yield name, "-" if value is None else str(value)


def _card(training: Mapping[str, Any], name: str, what: str, use: str, *, head: str) -> str:
    figures = list(figure_rows(training.get("validation", {})))
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures)
    settings = {
        name: value if isinstance(value, (int, float, str)) else json.dumps(value)
        for name, value in training["settings"].items()
    }
    return _CARD.format(
        head=head,
        name=name,
        what=what,
        use=use,
        base=training.get("base", "-"),
        data=training.get("data", "-"),
        regions=training.get("regions", "-"),
        steps=training.get("steps", "-"),
        processes=training.get("processes", 1),
        command=training.get("command", "by the library, not by a command"),
        settings="\n".join(f"| {name} | {value} |" for name, value in settings.items()),
        figures=f"| | |\n|---|---|\n{rows}" if rows else "None were held back.",
    )
