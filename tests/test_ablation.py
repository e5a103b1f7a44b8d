"""What regions and readings are worth: variants, their figures, and `rsfiqa bench ablation`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from command_line import records, require_done, require_one_sentence, rsfiqa
from fake_reader import FakeReader
from fake_sentences import replace_sentence_encoder
from interrupted_training import interrupted_in_epoch
from rsfiqa.errors import ConfigError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning import recipe as recipes
from rsfiqa.learning.ablation import (
    KINDS,
    AblationData,
    GridCut,
    Variant,
    parse_variant,
    recipe_of,
)
from rsfiqa.learning.ablation_figures import Ablation
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.ensemble import train
from rsfiqa.learning.evaluation import Prediction, evaluate_predictions
from rsfiqa.learning.metrics import correlations, paired_bootstrap
from rsfiqa.learning.prepared import Recipe, split
from rsfiqa.learning.recipe import prepare, prepare_bank
from rsfiqa.learning.training import TrainingConfig
from rsfiqa.scoring.model import ScorerConfig
from scored_pictures import write_scored_pictures

Specs = list[dict[str, Any]]
Write = Callable[..., Path]
SPLITS = ("train", "train", "val")
BACKBONES = ("timm:test_vit", "timm:test_efficientnet")


# Variants


def test_a_variant_is_named_as_it_is_written() -> None:
    for kind in KINDS:
        for backbone in ("", *BACKBONES):
            variant = Variant(kind, backbone)
            assert parse_variant(variant.name, BACKBONES) == variant


@pytest.mark.parametrize("text", ["", "rsb", "resnet18:rsa", "timm:test_vit", "timm:test_vit:"])
def test_other_variants_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a variant is pooling, rsa"):
        parse_variant(text, BACKBONES)


@given(st.sampled_from(KINDS), st.sampled_from(["", *BACKBONES]))
def test_following_what_a_variant_stands_beside_ends_at_the_pooling_twin(
    kind: Any, backbone: str
) -> None:
    variant = Variant(kind, backbone)
    for _ in range(5):
        variant = variant.beside
    assert variant == Variant("pooling")


def test_variants_differ_in_what_they_are_called_after_alone() -> None:
    base = Recipe(reader="embedded", training=TrainingConfig(epochs=3, patience=2))
    made = {kind: recipe_of(Variant(kind), base, 7) for kind in KINDS}
    for recipe in made.values():
        assert (recipe.training.keep, recipe.training.seed, recipe.spoiled) == ("last", 7, 0)
    assert made["rsa"] == made["grid"]
    assert replace(made["readings"], readings="shuffled") == made["shuffled"]
    assert (made["rsa"].reader, made["readings"].reader) == ("none", "embedded")
    twin = made["pooling"]
    assert twin.model.aggregation == "pooling"
    assert twin.training.epochs == made["rsa"].training.context_epochs + 3
    assert replace(twin, model=made["rsa"].model, training=made["rsa"].training) == made["rsa"]


def test_readings_need_a_reader() -> None:
    with pytest.raises(ConfigError, match="shuffled needs readings; name a reader"):
        recipe_of(Variant("shuffled"), Recipe(), 0)


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(8, 14), st.integers(8, 14))
def test_a_grid_is_a_partition_of_the_same_features(cells: int, rows: int, columns: int) -> None:
    features = PictureFeatures(
        torch.rand(3, rows, columns),
        torch.rand(5),
        torch.zeros(rows, columns, dtype=torch.int16),
        torch.ones(1),
    )
    found = GridCut(cells).of(features)
    assert found.positions is features.positions
    assert found.context is features.context
    assert found.labels.shape == features.labels.shape
    counts = found.labels.flatten().long().bincount()
    assert counts.min() > 0
    torch.testing.assert_close(found.area, counts / counts.sum())
    assert len(counts) <= cells * cells


# Figures


def evaluation_of(scores: Any, targets: Any) -> Any:
    return evaluate_predictions(
        Prediction(f"{i}", float(score), float(target))
        for i, (score, target) in enumerate(zip(scores, targets, strict=True))
    )


def noisy(seed: int, scale: float, n: int = 40) -> Any:
    targets = np.linspace(0, 100, n)
    return evaluation_of(targets + np.random.default_rng(seed).normal(0, scale, n), targets)


@pytest.mark.parametrize("metric", ["srcc", "plcc"])
def test_one_seed_gives_the_paired_bootstrap(metric: Any) -> None:
    one, other = noisy(1, 20), noisy(2, 30)
    variants = Variant("rsa"), Variant("pooling")
    found = Ablation({variants[0]: [one], variants[1]: [other]}, (0,)).difference(*variants, metric)
    wanted = paired_bootstrap(
        [row.score for row in one.predictions],
        [row.score for row in other.predictions],
        [row.target for row in one.predictions],
        metric,
    )
    assert found is not None
    assert wanted is not None
    assert found.difference == pytest.approx(wanted.difference)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(1, 3))
def test_means_are_of_the_seeds_and_differences_antisymmetric(start: int, count: int) -> None:
    rsa, pooling = Variant("rsa"), Variant("pooling")
    runs = {
        pooling: [noisy(start + i, 30) for i in range(count)],
        rsa: [noisy(start + 50 + i, 10) for i in range(count)],
    }
    found = Ablation(runs, tuple(range(count)))
    each = [
        correlations([r.score for r in e.predictions], [r.target for r in e.predictions]).srcc
        for e in runs[rsa]
    ]
    assert found.values(rsa, "srcc") == each
    assert found.mean(rsa, "srcc") == pytest.approx(np.mean(each))
    assert (found.deviation(rsa, "srcc") is None) is (count == 1)
    one = found.difference(rsa, pooling, "srcc")
    other = found.difference(pooling, rsa, "srcc")
    assert one is not None
    assert other is not None
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert found.difference(rsa, rsa, "srcc") is None
    told = found.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert len(told["differences"]) == 2


def test_a_constant_scorer_has_no_figure_and_ends_nothing() -> None:
    rsa, pooling = Variant("rsa"), Variant("pooling")
    flat = evaluation_of([50.0] * 40, np.linspace(0, 100, 40))
    found = Ablation({pooling: [flat, noisy(0, 9)], rsa: [noisy(1, 9), noisy(2, 9)]}, (0, 1))
    assert found.mean(pooling, "srcc") is None
    assert found.difference(rsa, pooling, "srcc") is None
    assert found.to_dict()["variants"]["pooling"]["srcc"]["each"][0] is None


# What is trained


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))
    monkeypatch.setenv("COLUMNS", "140")
    # Plots have tests of their own, and take most of the time here.
    monkeypatch.setattr("rsfiqa.learning.evaluation_files.scatter_png", lambda _: b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", 15, splits=SPLITS)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[FakeReader]:
    """Readers that were built: fakes, as the sentence encoder is."""
    built: list[FakeReader] = []

    def build(spec: str, **_: Any) -> Any:
        from rsfiqa.reading.base import NoReader

        if spec == "none":
            return NoReader()
        built.append(FakeReader())
        return built[-1]

    monkeypatch.setattr(recipes, "build_reader", build)
    replace_sentence_encoder(monkeypatch)
    return built


QUICK = {"epochs": 1, "batch_size": 8, "context_epochs": 1}
SMALL = {"dim": 8, "hidden": 16}


@pytest.fixture
def write(tiny_encoder_specs: Specs, folder: Path, tmp_path: Path) -> Write:
    def make(**given_: Any) -> Path:
        values = {
            "data": str(folder),
            "encoder": tiny_encoder_specs,
            "reader": "none",
            "graded": 2,
            "model": SMALL,
            "training": QUICK,
            **given_,
        }
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        return file

    return make


def ablation(file: Path, out: Path, *options: str | Path) -> Result:
    return rsfiqa("bench", "ablation", file, "--out", out, *options)


def test_a_backbone_alone_is_trained_as_if_there_were_no_other(
    folder: Path, tiny_encoder_specs: Specs, tmp_path: Path
) -> None:
    """Its pooling twin, which sees no regions, is that of an encoder which has it alone."""
    data = ScoredImages.from_csv(folder)
    base = Recipe(
        model=ScorerConfig(0, 0, **SMALL),
        training=TrainingConfig(**QUICK),
        encoder=tiny_encoder_specs,
        graded=0,
    )
    training, validation = split(data, base)
    rows = replace(data, rows=(*training.rows, *validation.rows))
    bank = prepare_bank(rows, base, tmp_path / "cache", stem=training)
    held = AblationData(bank, base, training, validation)
    for index, name in enumerate(BACKBONES):
        variant = Variant("pooling", bank.backbones[index].name)
        assert variant.backbone == name
        found = held.prepared(variant, 3)
        alone = replace(recipe_of(variant, base, 3), encoder=[tiny_encoder_specs[index]])
        wanted = prepare(data, alone, tmp_path / "cache")
        assert found.recipe == alone
        for one, same in zip(found.training, wanted.training, strict=True):
            torch.testing.assert_close(one.context, same.context, rtol=1e-3, atol=1e-3)
        checkpoint = train(found, "alone")
        assert checkpoint.stem.widths == wanted.stem.widths
        rmse = held.evaluation(found, checkpoint).overall.rmse
        expected = train(wanted, "alone").training["validation"]["rmse"]
        assert rmse == pytest.approx(expected, abs=0.05)


def test_figures_are_those_of_training_on_the_variant(folder: Path, write: Write) -> None:
    out, file = folder.parent / "out", write(training={**QUICK, "seed": 4})
    require_done(ablation(file, out, "--seeds", "4", "--variants", "rsa,grid"))
    for name in ("rsa", "grid"):
        config = json.loads((out / name / "seed-4" / "run_config.json").read_text("utf-8"))
        summary = json.loads((out / name / "seed-4" / "summary.json").read_text("utf-8"))
        told = config["training"]
        assert summary["overall"]["rmse"] == pytest.approx(told["validation"]["rmse"], abs=1e-4)
        assert told["settings"]["keep"] == "last"
    trained = folder.parent / "scorer"
    options = ("--spoiled", "0", "--keep", "last", "--leaks", "ignore")
    require_done(rsfiqa("train", file, "--out", trained, *options))
    rsa = json.loads((out / "rsa" / "seed-4" / "run_config.json").read_text("utf-8"))["training"]
    same = json.loads((trained / "config.json").read_text("utf-8"))["training"]
    assert rsa["validation"] == same["validation"]


def test_the_whole_table(
    write: Write, tmp_path: Path, reads: list[FakeReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, file, figures = tmp_path / "out", write(reader="embedded"), tmp_path / "figures.json"
    ended = ablation(file, out, "--seeds", "0,1", "--alone", "--json", figures)
    require_done(ended)
    assert "pictures: 15" in ended.stderr
    assert ended.stderr.count("epoch ") == 2 * (2 + 4 + 2 * (2 + 1)), "the twin has two"
    assert "18 of 18" in ended.stderr
    assert len(reads) == 1
    assert len(reads[0].shapes) == 15, "each picture is read once"
    written = json.loads(figures.read_text(encoding="utf-8"))
    assert written == json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    alone = [f"{name}:{kind}" for name in BACKBONES for kind in ("pooling", "rsa")]
    assert list(written["variants"]) == [*KINDS, *alone]
    assert written["pictures"] == 5
    assert len(written["differences"]) <= 2 * 9 * 8 // 2
    for name in written["variants"]:
        assert name in ended.stdout
    folders = {path.parent.parent.name for path in out.glob("*/*/predictions.jsonl")}
    assert folders == {name.replace(":", "-") for name in written["variants"]}
    rows = records(out / "grid" / "seed-1" / "predictions.jsonl")
    assert len(rows) == 5
    shown = {
        name: json.loads((out / name / "seed-0" / "run_config.json").read_text("utf-8"))
        for name in KINDS
    }
    readings = {name: told["training"].get("readings") for name, told in shown.items()}
    assert readings == {"readings": "own", "shuffled": "shuffled"} | dict.fromkeys(
        ("pooling", "rsa", "grid")
    )

    monkeypatch.setattr(
        FeatureExtractor, "__init__", lambda *_, **__: pytest.fail("work was begun")
    )
    again = ablation(file, out, "--seeds", "1", "--variants", "rsa,readings")
    require_done(again)
    assert "2 of 2 runs are there already" in again.stderr


def test_an_interrupted_measurement_goes_on(write: Write, tmp_path: Path) -> None:
    file, whole, halted = write(), tmp_path / "whole", tmp_path / "halted"
    options = ("--seeds", "0,1", "--variants", "pooling,rsa", "--epochs", "2")
    require_done(ablation(file, whole, *options))
    with interrupted_in_epoch(5):  # the second one of rsa's first seed
        assert ablation(file, halted, *options).exit_code == 130
    other = ablation(file, halted, *options, "--epochs", "3")
    require_one_sentence(other, 2, "other settings (training.epochs)", "--fresh")
    ended = ablation(file, halted, *options)
    require_done(ended)
    assert "1 of 4 runs are there already" in ended.stderr
    assert ended.stderr.count("epoch ") == 1 + 3 + 2
    assert not list(halted.rglob("training"))
    one, same = (json.loads((out / "ablation.json").read_text("utf-8")) for out in (whole, halted))
    assert one == same
    more = ablation(file, halted, *options, "--variants", "pooling,grid")
    require_done(more)
    assert "2 of 4 runs are there already" in more.stderr
    fresh = ablation(file, halted, *options, "--fresh", "--seeds", "1")
    require_done(fresh)
    assert "there already" not in fresh.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--variants", "rsa,mean"), 2, ("a variant is", "'mean'")),
        (("--variants", "readings"), 2, ("readings needs readings; name a reader",)),
        (("--seeds", "0,x"), 2, ("whole numbers", "'0,x'")),
        (("--cells", "99"), 2, ("1 to 64 cells",)),
        (("--limit", "4"), 2, ("at least 2 training and 3 validation pictures",)),
    ],
)
def test_what_cannot_be_is_one_sentence(
    write: Write, tmp_path: Path, options: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    require_one_sentence(ablation(write(), tmp_path / "out", *options), code, *words)
    assert not (tmp_path / "out").exists()


def test_one_backbone_is_alone_already(
    write: Write, tiny_encoder_specs: Specs, tmp_path: Path
) -> None:
    file = write(encoder=tiny_encoder_specs[:1])
    ended = ablation(file, tmp_path / "out", "--alone")
    require_one_sentence(ended, 2, "timm:test_vit is the encoder's only backbone")


def test_an_ablation_is_of_one_data_set(write: Write, folder: Path, tmp_path: Path) -> None:
    second = write_scored_pictures(tmp_path / "more", 6)
    ended = rsfiqa("bench", "ablation", write(), folder, second, "--out", tmp_path / "out")
    require_one_sentence(ended, 2, "of one data set; got 2: data, more")
