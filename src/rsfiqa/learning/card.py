"""The model card that `rsfiqa train` writes beside the weights."""

from __future__ import annotations

from typing import Any

from rsfiqa.scoring.checkpoint import Checkpoint

_CARD = """# {name}

A scorer for rsfiqa: quality of photographs, 0..100, higher is
better, as the exact weighted sum of region scores.

| | |
|---|---|
| aggregation | {aggregation}, {members} member(s) |
| backbones (frozen) | {backbones} |
| regions | {segmenter} |
| readings | {readings} |
| trained on | {training_pictures} scored pictures{mirrored}, {spoiled_copies} locally spoiled copies{graded} |
| {chosen} on | {validation_pictures} validation pictures |
| seeds | {seeds} |
| precision of the backbones in training | {precision} |
| epochs, batch, learning rate, weight decay | {epochs}, {batch_size}, {learning_rate}, {weight_decay} |

{fine_tuning}On the validation pictures, from the features it was trained on: SRCC {srcc}, PLCC (raw) {plcc},
PLCC (after the logistic fit) {plcc_logistic}, KRCC {krcc}, RMSE {rmse}.{unread}{reliability}{sets}

Trained by:

```console
{command}
```
"""


def model_card(checkpoint: Checkpoint, command: str) -> str:
    """The card of a trained scorer, in Markdown.

    Args:
        checkpoint: as `rsfiqa.learning.recipe.train` returns it.
        command: what was run.
    """
    training = checkpoint.training
    settings: dict[str, Any] = training["settings"]
    config = checkpoint.scorer.config
    return _CARD.format(
        name=checkpoint.name,
        aggregation=config.aggregation,
        members=config.members,
        backbones=", ".join(
            f"{spec['backbone']} depths {spec['indices']}" for spec in checkpoint.encoder
        ),
        segmenter=checkpoint.segmenter,
        readings=_readings(training),
        chosen="chosen" if settings.get("keep", "best") == "best" else "validated",
        mirrored=" and their mirror images" if training.get("flips") else "",
        graded=_graded(training),
        unread=_unread(training),
        reliability=_reliability(checkpoint),
        sets=_sets(training),
        fine_tuning=_fine_tuning(training),
        seeds=", ".join(str(settings["seed"] + i) for i in range(config.members)),
        command=command,
        **{
            key: training[key]
            for key in ("training_pictures", "spoiled_copies", "validation_pictures", "precision")
        },
        **{key: settings[key] for key in ("epochs", "batch_size", "learning_rate", "weight_decay")},
        **{
            key: _figure(value)
            for key, value in training["validation"].items()
            if key in ("srcc", "plcc", "plcc_logistic", "krcc", "rmse")
        },
    )


def _readings(training: dict[str, Any]) -> str:
    if "reader" not in training:
        return "none"
    whose = {"own": "", "shuffled": ", shuffled among pictures: an ablation"}[training["readings"]]
    return f"{training['reader']}, of {training['regions_read']:.1%} of the regions{whose}"


def _graded(training: dict[str, Any]) -> str:
    count = training.get("graded_copies", 0)
    return f", {count} spoiled as a whole in rising strength" if count else ""


def _unread(training: dict[str, Any]) -> str:
    if "validation_unread" not in training:
        return ""
    figures = training["validation_unread"]
    return (
        f"\nWithout a reader: SRCC {_figure(figures['srcc'])}, PLCC (raw) "
        f"{_figure(figures['plcc'])}."
    )


def _reliability(checkpoint: Checkpoint) -> str:
    if checkpoint.reliability is None:
        return ""
    figures = checkpoint.reliability.figures
    return (
        f"\nIntervals at 90 %, cross-validated on the same pictures: they hold {figures['coverage']:.1%} "
        f"of the human scores and are {figures['width']:.1f} points wide on average."
    )


def _fine_tuning(training: dict[str, Any]) -> str:
    """What was taught further, in a paragraph; nothing where nothing was."""
    if "fine_tuning" not in training:
        return ""
    told = training["fine_tuning"]
    settings = told["settings"]
    parts = []
    for name, branch in told["branches"].items():
        how = f"by changes of rank {branch['rank']}" if branch["rank"] else "as a whole"
        last = branch["epochs"][-1]
        parts.append(
            f"{name} behind depth {branch['depth']}, {how} (alone: SRCC {_figure(last['srcc'])})"
        )
    return (
        f"Fine-tuned end to end for {settings['epochs']} epochs of batches of "
        f"{settings['batch_size']}, seed {settings['seed']}: {'; '.join(parts)}. The logit of the "
        "whole picture is the mean of its own and the branches'. Before: SRCC "
        f"{_figure(told['validation_before']['srcc'])}.\n\n"
    )


def _sets(training: dict[str, Any]) -> str:
    if "sets" not in training:
        return ""
    rows = [
        f"| {s['name']} | {s['training_pictures']} | {s['validation_pictures']} | "
        f"{_figure(s['srcc'])} | {_figure(s['plcc'])} | {_figure(s['rmse'])} | "
        f"{s['line']['slope']:.3f} · score {s['line']['offset']:+.1f} |"
        for s in training["sets"]
    ]
    first = training["sets"][0]["name"]
    said = (
        f" These are the figures on {first}, on whose scale the scores are. Each data set had a "
        "scale of its own in training, a line that is learned and then left behind:"
    )
    head = (
        "| data set | training | validation | SRCC | PLCC (raw) | RMSE on its scale | its scale |",
        "|---|---|---|---|---|---|---|",
    )
    return "\n".join([said, "", *head, *rows])


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
