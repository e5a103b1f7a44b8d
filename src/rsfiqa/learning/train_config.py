"""The configuration of a training run: a YAML file, options on top of it, and what came of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rsfiqa.errors import ConfigError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.plain_data import from_plain
from rsfiqa.learning.prepared import Recipe
from rsfiqa.learning.training_leaks import LeakPolicy
from rsfiqa.reading.build import DEFAULT_READER

_FROM_ENCODER = ("channels", "context_dim", "description_dim")
"""Sizes of a model that follow from the encoder and the reader."""
_NAMED_FOLDER = re.compile(r"[A-Za-z0-9][\w-]+:(?P<folder>.+)", re.DOTALL)


@dataclass(frozen=True)
class DataSource:
    """A data set to train on.

    Attributes:
        path: a CSV, its folder, or `NAME:FOLDER`; see `ScoredImages.from_csv`.
        name: what reports call it; by default the folder's or the set's name.
        image_column, score_column, score_range, lower_is_better: see `ScoredImages.from_csv`.
    """

    path: str
    name: str = ""
    image_column: str = "image"
    score_column: str = "mos"
    score_range: tuple[float, float] | None = None
    lower_is_better: bool = False

    def load(self) -> ScoredImages:
        """Read it.

        Raises:
            DataError: it is not as it should be; see `ScoredImages.from_csv`.
            ConfigError: its settings are not.
        """
        return ScoredImages.from_csv(
            self.path,
            image_column=self.image_column,
            score_column=self.score_column,
            score_range=self.score_range,
            lower_is_better=self.lower_is_better,
        )

    @property
    def label(self) -> str:
        """What reports call it."""
        path = Path(self.path).absolute()
        stem = path.parent.name if path.stem in ("scores", "labels") else path.stem
        named = _NAMED_FOLDER.fullmatch(self.path)
        return self.name or (self.path.partition(":")[0] if named else stem or "data")


@dataclass(frozen=True)
class TrainConfig(Recipe):
    """A recipe, and what is trained on, checked and told.

    Attributes:
        data: one set or several, of which the first gives the scale of the scores.
        name: what results call the scorer; by default what was trained on what.
        leaks: see `rsfiqa.learning.training_leaks.LeakPolicy`.
        tensorboard: whether figures are written for TensorBoard, into the run's folder.
        wandb: project at Weights & Biases that figures are sent to; empty for none.

    Raises:
        ConfigError: as for `Recipe`; or a size is set that follows from the encoder.
    """

    reader: str = DEFAULT_READER
    data: tuple[DataSource, ...] = ()
    name: str = ""
    leaks: LeakPolicy = "exact"
    tensorboard: bool = False
    wandb: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.channels or self.model.context_dim:
            raise ConfigError(
                "model.channels and model.context_dim follow from the encoder; leave them out."
            )

    def load_data(self) -> dict[str, ScoredImages]:
        """The data sets by name, names told apart by a number where they are alike.

        Raises:
            ConfigError: there are none.
            DataError: one is not as it should be.
        """
        if not self.data:
            raise ConfigError("nothing is named to train on; name a CSV, a folder or NAME:FOLDER.")
        found: dict[str, ScoredImages] = {}
        for source in self.data:
            label = first = source.label
            number = 1
            while label in found:
                number += 1
                label = f"{first}-{number}"
            found[label] = source.load()
        return found


def read_config(file: Path, options: Mapping[str, Any] | None = None) -> TrainConfig:
    """The configuration in a YAML file.

    Paths of data sets, backbones' weights aside, are relative to the file.

    Args:
        file: the YAML file: a mapping of `TrainConfig`'s fields, nested ones as mappings; what is
            left out has its default. `data` may be a path, or a list of paths and mappings.
        options: what is given besides, and wins: names with dots for nested fields, such as
            `training.epochs`.

    Raises:
        ConfigError: it cannot be read, is not YAML, or a value is not as it should be; the error
            names the file and the field.
    """
    values = _read_yaml(file)
    try:
        _lift_data(values, file.absolute().parent)
        for option, value in (options or {}).items():
            _set(values, option, value)
        return config_of(values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def config_of(values: Mapping[str, Any]) -> TrainConfig:
    """A configuration from plain data.

    Args:
        values: fields of `TrainConfig` by name, nested ones as mappings.

    Raises:
        ConfigError: a field is unknown, of another type or out of range.

    Example:
        >>> config_of({"training": {"epochs": 3}}).training.epochs
        3
        >>> config_of({"training": {"epoch": 3}})
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: training has no field 'epoch'; do you mean epochs?
        >>> config_of({"training": {"epochs": 0}})
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: training.epochs must be 1 or more; got 0.
    """
    model = values.get("model")
    for name in _FROM_ENCODER:
        if isinstance(model, dict) and name in model:
            raise ConfigError(f"model.{name} follows from the encoder; leave it out.")
    return from_plain(TrainConfig, values, "")


def config_from_options(options: Mapping[str, Any]) -> TrainConfig:
    """A configuration from names with dots, such as `training.epochs`.

    Raises:
        ConfigError: as for `config_of`.
    """
    values: dict[str, Any] = {}
    for option, value in options.items():
        _set(values, option, value)
    return config_of(values)


def with_data_settings(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some fields of `DataSource` set for all its data sets."""
    return replace(config, data=tuple(replace(source, **settings) for source in config.data))


def write_config(config: TrainConfig, file: Path, *, splits: str = "") -> None:
    """Write all settings, defaults included, so that a run from the file repeats this one.

    Args:
        config: the settings.
        file: where to.
        splits: name of the file of splits beside it, where a scorer was trained for each of them:
            splits are no setting, so that the command at the file's head has to name them.

    Raises:
        ConfigError: the file cannot be written.
    """
    import yaml

    from rsfiqa import __version__

    text = yaml.safe_dump(plain_config(config), sort_keys=False, allow_unicode=True)
    options = f"--splits {splits} --out FOLDER" if splits else "--out FOLDER"
    head = f"# rsfiqa {__version__}. To train the same again: rsfiqa train {file.name} {options}\n"
    try:
        file.write_text(head + text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}.") from error


def plain_config(config: TrainConfig) -> dict[str, Any]:
    """All settings as plain data; paths of data sets are absolute."""
    settings = {
        name: value for name, value in asdict(config.model).items() if name not in _FROM_ENCODER
    }
    sources = [replace(s, path=_absolute(s.path, Path.cwd())) for s in config.data]
    first = {"data": [asdict(source) for source in sources], "name": config.name}
    plain: dict[str, Any] = _plain({**first, **asdict(config), **first, "model": settings})
    return plain


def result_settings(config: TrainConfig) -> dict[str, Any]:
    """Those settings that the weights depend on, as plain data."""
    told = ("data", "name", "leaks", "tensorboard", "wandb")
    return {name: value for name, value in plain_config(config).items() if name not in told}


def _read_yaml(file: Path) -> dict[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's numbers (1e-3 is one), and no key twice."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"{file} has {key!r} twice in one place; keep one of them.")
        return {
            key: loader.construct_object(value, deep=True)
            for key, (_, value) in zip(keys, node.value, strict=True)
        }

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader)  # noqa: S506 - it is a safe one
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file} is not YAML ({reason}).") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(
            f"{file} is no mapping of settings; write lines such as `data: pictures`."
        )
    return found


def _lift_data(values: dict[str, Any], folder: Path) -> None:
    """Bring `data` to a list of mappings with absolute paths."""
    if "data" not in values:
        return
    given = values["data"]
    items = given if isinstance(given, list) else [given]
    lifted = [{"path": item} if isinstance(item, str) else item for item in items]
    values["data"] = [
        {**item, "path": _absolute(item["path"], folder)}
        if isinstance(item, dict) and isinstance(item.get("path"), str)
        else item
        for item in lifted
    ]


def _absolute(path: str, folder: Path) -> str:
    """A path, or the one in NAME:FOLDER, made absolute."""
    named = None if (folder / path).exists() else _NAMED_FOLDER.fullmatch(path)
    if named is None:
        return str(folder / Path(path).expanduser())
    name = path.partition(":")[0]
    return f"{name}:{folder / Path(named['folder']).expanduser()}"


def _set(values: dict[str, Any], option: str, value: Any) -> None:
    """Set a field that may be nested: `training.epochs`."""
    *parents, last = option.split(".")
    for parent in parents:
        inner = values.get(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{parent} is a table; got {inner!r}.")
        values[parent] = inner
        values = inner
    values[last] = value


def _plain(value: Any) -> Any:
    """Tuples as lists, paths as texts: what YAML can write safely."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
