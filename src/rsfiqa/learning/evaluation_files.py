"""An evaluation on disk: what is needed to check its figures and to run it again."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rsfiqa.atomic import replacing_all
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.learning.evaluation_plot import grid_png, scatter_png

if TYPE_CHECKING:
    from rsfiqa.learning.evaluation import Evaluation
    from rsfiqa.learning.evaluation_matrix import EvaluationMatrix

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
_UNSAFE = re.compile(r"[^\w.+-]+")


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
    contents = {
        "predictions.jsonl": b"".join(_line(row.to_dict()) for row in evaluation.predictions),
        **_settings(run_config, environment),
    }
    summary = evaluation.to_dict() | _add_plot(contents, lambda: scatter_png(evaluation))
    contents["summary.json"] = _document(summary)
    return _write(Path(folder), contents)


def write_matrix(
    matrix: EvaluationMatrix,
    folder: str | Path,
    *,
    run_config: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write several evaluations into a folder, made if need be.

    Each has a folder of its own, `SCORER/SET`, as `write_evaluation` writes it. Beside these,
    `summary.json` and `matrix.csv` have all figures side by side, `scatter.png` all plots.

    Args:
        run_config, environment: as for `write_evaluation`.

    Returns:
        All files: those of the whole first.

    Raises:
        ConfigError: `run_config` or `environment` holds something that JSON cannot.
        DataError: the folder cannot be written.
    """
    folder = Path(folder)
    contents = {
        "matrix.csv": matrix.to_csv().encode("utf-8", "backslashreplace"),
        **_settings(run_config, environment),
    }
    summary = matrix.to_dict() | _add_plot(contents, lambda: grid_png(matrix))
    rows, columns = _folder_names(matrix.scorers), _folder_names(matrix.sets)
    summary["folders"] = {
        scorer: {name: f"{rows[scorer]}/{columns[name]}" for name in matrix.sets}
        for scorer in matrix.scorers
    }
    contents["summary.json"] = _document(summary)
    written = []
    for (scorer, name), evaluation in matrix.cells.items():
        written += write_evaluation(
            evaluation,
            folder / rows[scorer] / columns[name],
            run_config={**run_config, "scorer": scorer, "set": name},
            environment=environment,
        )
    return [*_write(folder, contents), *written]


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


def _settings(
    run_config: Mapping[str, Any], environment: Mapping[str, Any] | None
) -> dict[str, bytes]:
    return {
        "run_config.json": _document(run_config),
        "environment.json": _document(
            describe_environment() if environment is None else environment, "environment"
        ),
    }


def _add_plot(contents: dict[str, bytes], draw: Callable[[], bytes]) -> dict[str, str | None]:
    """Add the plot where it can be drawn; what the summary says of it."""
    try:
        contents[_PLOT] = draw()
    except MissingExtraError as error:
        return {"plot": None, "plot_note": str(error)}
    return {"plot": _PLOT}


def _folder_names(names: Iterable[str]) -> dict[str, str]:
    """A folder for each name, distinct where case does not count and without odd characters."""
    folders: dict[str, str] = {}
    for name in names:
        plain = first = _UNSAFE.sub("-", name).strip("-.") or "unnamed"
        number = 1
        while plain.casefold() in {taken.casefold() for taken in folders.values()}:
            number += 1
            plain = f"{first}-{number}"
        folders[name] = plain
    return folders


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    try:
        _replace_all(folder, contents)
    except OSError as error:
        raise DataError(
            f"The evaluation cannot be written to {folder}: {error.strerror or error}; "
            "name another folder, or free it."
        ) from error
    order = ["predictions.jsonl", "summary.json", "matrix.csv"]
    order += ["run_config.json", "environment.json", _PLOT]
    return [folder / name for name in order if name in contents]


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
