"""Configuration files: what they may say, what is said of them, and that they repeat a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.learning.prepared import Recipe
from rsfiqa.learning.train_config import (
    DataSource,
    TrainConfig,
    config_from_options,
    config_of,
    plain_config,
    read_config,
    result_settings,
    with_data_settings,
    write_config,
)
from rsfiqa.reading.build import DEFAULT_READER


def written(folder: Path, text: str) -> Path:
    file = folder / "run.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
data:
  - pictures/scores.csv
  - path: koniq10k:koniq
    name: KonIQ
  - {path: /data/dmos.csv, score_column: dmos, score_range: [0, 9], lower_is_better: true}
model: {members: 3, dim: 64}
training:
  epochs: 9
  learning_rate: 1e-3
  weight_decay: 1
encoder:
  - {backbone: "timm:resnet18", indices: [2, 3], pretrained: true}
reader: none
flips: true
leaks: drop
""",
    )
    config = read_config(file)
    assert [source.path for source in config.data] == [
        str(tmp_path / "pictures/scores.csv"),
        f"koniq10k:{tmp_path / 'koniq'}",
        "/data/dmos.csv",
    ]
    assert [source.label for source in config.data] == ["pictures", "KonIQ", "dmos"]
    assert config.data[2].score_range == (0.0, 9.0)
    assert (config.model.members, config.model.dim, config.model.hidden) == (3, 64, 128)
    assert (config.training.epochs, config.training.batch_size) == (9, 64)
    assert config.training.learning_rate == 0.001, "YAML 1.1 takes 1e-3 for a text"
    assert config.training.weight_decay == 1.0
    assert config.encoder[0]["indices"] == [2, 3]
    assert (config.reader, config.flips, config.leaks) == ("none", True, "drop")


def test_an_empty_file_is_all_defaults_and_the_reader_is_the_commands(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "# nothing\n"))
    assert config == TrainConfig()
    assert config.reader == DEFAULT_READER
    assert Recipe().reader == "none", "in Python nobody reads unless asked"
    with pytest.raises(ConfigError, match="nothing is named to train on"):
        config.load_data()


def test_data_may_be_one_path(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "data: mine")).data == (
        DataSource(str(tmp_path / "mine")),
    )


def test_options_win_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "training: {epochs: 9, seed: 4}\nreader: none\ndata: mine")
    options = {"training.epochs": 2, "model.members": 2, "data": [{"path": "other"}]}
    config = read_config(file, options)
    assert (config.training.epochs, config.training.seed, config.model.members) == (2, 4, 2)
    assert [source.path for source in config.data] == ["other"]
    assert with_data_settings(config, {"score_column": "q"}).data[0].score_column == "q"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trainning: {epochs: 3}", "the top level has no field 'trainning'; do you mean training?"),
        ("training: {epoch: 3}", "training has no field 'epoch'; do you mean epochs?"),
        ("colour: red", "the top level has no field 'colour'; there are model, training, "),
        ("training: {epochs: many}", "training.epochs is a whole number; got 'many'"),
        ("training: {epochs: 2.5}", "training.epochs is a whole number; got 2.5"),
        ("training: {epochs: true}", "training.epochs is a whole number; got True"),
        ("training: {learning_rate: fast}", "training.learning_rate is a number; got 'fast'"),
        ("training: {epochs: 0}", "training.epochs must be 1 or more; got 0"),
        ("training: 3", "training is a table; got 3"),
        ("flips: sometimes", "flips is true or false; got 'sometimes'"),
        ("spoiled: -1", "spoiled must be 0 or more; got -1"),
        ("precision: fp16", "precision is fp32 or bf16; got 'fp16'"),
        ("readings: theirs", "readings is own, shuffled or none; got 'theirs'"),
        ("leaks: maybe", "leaks is exact, fail, warn, ignore or drop; got 'maybe'"),
        ("model: {aggregation: mean}", "model.aggregation is rsa or pooling; got 'mean'"),
        ("model: {channels: 8}", "model.channels follows from the encoder; leave it out"),
        ("model: {dim: 10, heads: 4}", "model.dim must be a multiple of model.heads; got 10 and 4"),
        ("model: {dropout: 1.0}", "model.dropout must be from 0 to below 1"),
        ("validation_fraction: 1.0", "validation_fraction must be between 0 and 1"),
        ("data: [3]", "data[0] is a table; got 3"),
        ("data: [{name: x}]", "data[0] needs the field 'path'"),
        ("data: [{path: x, score_range: [1]}]", "data[0].score_range is a list of 2; got [1]"),
        ("data: [{path: x, score_colum: q}]", "data[0] has no field 'score_colum'; do you mean"),
        ("encoder: [dinov2-small]", "encoder[0] is a table; got 'dinov2-small'"),
        ("reader: none\nreadings: shuffled", "there are no readings to shuffle"),
        ("flips: true\nflips: false", "'flips' twice in one place"),
        ("training: {seed: 1, seed: 2}", "'seed' twice in one place"),
        ("- one\n- two", "is no mapping of settings"),
        ("training: {epochs: 3", "is not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config(written(tmp_path, text))
    told = str(raised.value)
    assert told.startswith(str(tmp_path / "run.yaml"))
    assert sentence in told
    assert "\n" not in told


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml cannot be read"):
        read_config(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_config(tmp_path / "latin.yaml")


configs = st.builds(
    lambda training, rest: config_of({**rest, "training": training}),
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 10**6),
            "learning_rate": st.floats(1e-12, 1e6),
            "weight_decay": st.floats(0, 1e9),
            "average": st.floats(0, 0.999999),
            "seed": st.integers(0, 2**40),
        },
    ),
    st.fixed_dictionaries(
        {"data": st.lists(st.fixed_dictionaries({"path": st.just("/data/a.csv")}), max_size=2)},
        optional={
            "name": st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=9),
            "flips": st.booleans(),
            "limit": st.integers(0, 99),
            "reader": st.sampled_from(["none", "embedded", "hf:a/b"]),
            "reader_settings": st.dictionaries(
                st.sampled_from(["view", "precision"]), st.just("x")
            ),
            "model": st.fixed_dictionaries({}, optional={"members": st.integers(1, 9)}),
        },
    ),
)


@given(configs)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, config: Any
) -> None:
    file = tmp_path_factory.mktemp("config") / "run_config.yaml"
    write_config(config, file)
    again = read_config(file)
    assert plain_config(again) == plain_config(config)
    assert again.training == config.training


def test_a_written_file_holds_every_setting_and_plain_yaml(tmp_path: Path) -> None:
    config = config_from_options({"data": [{"path": "mine"}], "training.epochs": 3})
    write_config(config, tmp_path / "run_config.yaml")
    text = (tmp_path / "run_config.yaml").read_text(encoding="utf-8")
    assert "rsfiqa train run_config.yaml --out FOLDER" in text
    held = yaml.safe_load(text)
    assert held["training"]["epochs"] == 3
    assert held["training"]["patience"] == 0
    assert held["encoder"][0]["backbone"] == "dinov2-small"
    assert "channels" not in held["model"]
    assert Path(held["data"][0]["path"]).is_absolute()
    write_config(config, tmp_path / "run_config.yaml", splits="splits.csv")
    with_splits = (tmp_path / "run_config.yaml").read_text(encoding="utf-8")
    assert "rsfiqa train run_config.yaml --splits splits.csv --out FOLDER" in with_splits
    assert yaml.safe_load(with_splits) == held


def test_weights_do_not_depend_on_names_and_logs() -> None:
    plain = config_of({"data": [{"path": "/a"}]})
    told = config_of({"data": [{"path": "/b"}], "name": "x", "tensorboard": True, "leaks": "warn"})
    assert result_settings(plain) == result_settings(told)
    assert result_settings(plain) != result_settings(config_of({"flips": True}))


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/data/koniq/scores.csv", "koniq"),
        ("/data/mine.csv", "mine"),
        ("/data/folder", "folder"),
        ("kadid10k:/data/x", "kadid10k"),
    ],
)
def test_data_sets_are_called_by_their_own_name(path: str, label: str) -> None:
    assert DataSource(path).label == label
