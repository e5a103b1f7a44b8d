"""An evaluation on disk: what is needed to check its figures and to run it again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rsfiqa.atomic import replacing_all
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.learning.evaluation_plot import scatter_png

if TYPE_CHECKING:
    from rsfiqa.learning.evaluation import Evaluation

_PACKAGES = (
    "rsfiqa",
    "torch",
    "timm",
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "pillow",
)
_PLOT = "scatter.png"


def write_evaluation(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    run_config: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an evaluation's files into a folder, made if need be.

    `predictions.jsonl` has a line for each picture, `summary.json` the statistics and failures,
    `run_config.json` the settings as given, `environment.json` the versions; `scatter.png` is drawn
    where matplotlib is installed, and `summary.json` says if it is not. All files are complete
    before the first takes its place, so that a failure leaves an earlier evaluation as it was.

    Args:
        run_config: what the run was asked for; JSON values, paths and dataclasses.
        environment: where the predictions were made, if not here; by default `describe_environment`.

    Returns:
        The files, in the order above.

    Raises:
        ConfigError: `run_config` or `environment` holds something that JSON cannot.
        DataError: the folder cannot be written.
    """
    summary = evaluation.to_dict()
    contents: dict[str, bytes] = {
        "predictions.jsonl": b"".join(_line(row.to_dict()) for row in evaluation.predictions),
        "run_config.json": _document(run_config),
        "environment.json": _document(
            describe_environment() if environment is None else environment, "environment"
        ),
    }
    try:
        contents[_PLOT] = scatter_png(evaluation)
        summary["plot"] = _PLOT
    except MissingExtraError as error:
        summary["plot"] = None
        summary["plot_note"] = str(error)
    contents["summary.json"] = _document(summary)
    folder = Path(folder)
    try:
        _replace_all(folder, contents)
    except OSError as error:
        raise DataError(
            f"The evaluation cannot be written to {folder}: {error.strerror or error}; "
            "name another folder, or free it."
        ) from error
    order = ["predictions.jsonl", "summary.json", "run_config.json", "environment.json", _PLOT]
    return [folder / name for name in order if name in contents]


def describe_environment() -> dict[str, Any]:
    """Versions and kind of machine: nothing that names the machine, its user or its folders."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _replace_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    targets = [folder / name for name in contents]
    for target in targets:
        if target.is_dir():
            raise IsADirectoryError(0, f"{target.name} is a folder")
    with replacing_all(targets) as partials:
        for partial, data in zip(partials, contents.values(), strict=True):
            partial.write_bytes(data)
    if _PLOT not in contents:
        # A picture of earlier predictions beside new ones would mislead.
        (folder / _PLOT).unlink(missing_ok=True)


def _line(record: Mapping[str, Any]) -> bytes:
    return _encoded(record, indent=None)


def _document(record: Mapping[str, Any], name: str = "run_config") -> bytes:
    return _encoded(record, indent=2, name=name)


def _encoded(record: Mapping[str, Any], indent: int | None, name: str = "run_config") -> bytes:
    try:
        text = json.dumps(
            dict(record), indent=indent, ensure_ascii=False, allow_nan=False, default=_plain
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} holds what JSON cannot: {error}; give text, finite numbers, lists, "
            "mappings with text keys, paths or dataclasses."
        ) from error
    # File names that are no valid Unicode come out as JSON escapes, which read back the same.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a value of type {type(value).__name__}")
