"""Evaluations that a long measurement writes one after the other, and takes up again.

A measurement of many scorers (one a split, one a variant and seed) writes each one's evaluation, all
its files at once, when the scorer is done. Given again, it finds these, sees that they are of the
same settings, and trains the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.differences import differing
from rsfiqa.learning.evaluation import (
    Evaluation,
    Prediction,
    evaluate_predictions,
    write_evaluation,
)

_CONFIG, _PREDICTIONS = "run_config.json", "predictions.jsonl"
_MADE_FROM = "made_from"


def keep_evaluation(
    evaluation: Evaluation, folder: Path, *, made_from: Mapping[str, Any], told: Mapping[str, Any]
) -> None:
    """Write an evaluation as `rsfiqa evaluate` does, with what `kept_evaluation` looks at.

    Args:
        evaluation: of one scorer.
        folder: made if need be.
        made_from: all that the predictions depend on, as plain data.
        told: what else is to stand in `run_config.json`, for people.

    Raises:
        DataError: the folder cannot be written.
    """
    write_evaluation(evaluation, folder, run_config={**told, _MADE_FROM: dict(made_from)})


def kept_evaluation(folder: Path, made_from: Mapping[str, Any]) -> Evaluation | None:
    """What `keep_evaluation` wrote; None where there is nothing.

    Args:
        folder: of one scorer's evaluation.
        made_from: what it has to be made from.

    Raises:
        ConfigError: it was made from something else; the error names what differs.
        DataError: it cannot be read.
    """
    if not (folder / _CONFIG).exists():
        return None
    try:
        before = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))[_MADE_FROM]
        lines = (folder / _PREDICTIONS).read_text(encoding="utf-8").splitlines()
        rows = [Prediction(**json.loads(line)) for line in lines]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the evaluation in {folder} cannot be read ({error}); remove it, or begin anew "
            "(--fresh)."
        ) from error
    odd = differing(before, json.loads(json.dumps(made_from)))
    if odd:
        raise ConfigError(
            f"{folder} was made from other settings ({', '.join(odd)}); give those of before to go "
            "on, name another folder, or begin anew (--fresh)."
        )
    return evaluate_predictions(rows)


def pictures_digest(*parts: ScoredImages) -> str:
    """What tells again which pictures were used for what: 16 hexadecimal digits.

    Args:
        parts: training pictures, validation pictures and so on; names, scores and order count.
    """
    digest = sha256()
    for part in parts:
        rows = [[row.image, row.score] for row in part]
        digest.update(json.dumps(rows).encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()[:16]
