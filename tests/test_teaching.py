"""The teaching loop: its settings, its order, and runs that go on, with a tiny embedded reader."""

from __future__ import annotations

import json
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.learning import teaching_embedded
from rsfiqa.learning.instructions import read_instructions
from rsfiqa.learning.reader_card import embedded_card, figure_rows
from rsfiqa.learning.teaching import CHECKPOINT, PROGRESS, StepReport, teach
from rsfiqa.learning.teaching_config import TeachingConfig, config_from, read_settings
from rsfiqa.learning.teaching_embedded import EmbeddedPupil
from rsfiqa.learning.teaching_evidence import EvidenceStore, TaughtRegions
from rsfiqa.learning.teaching_plan import Plan
from rsfiqa.learning.teaching_vlm import VLMTeachingConfig
from rsfiqa.reading.embedded_checkpoint import load_embedded
from rsfiqa.reading.language_model import LanguageModel
from tiny_language import tiny_language
from tiny_set import tiny_set

pytest.importorskip("peft")
pytest.importorskip("accelerate")

QUICK = TeachingConfig(
    epochs=2, batch_size=4, rank=2, alpha=4, learning_rate=1e-2, precision="fp32"
)


@pytest.fixture(scope="module")
def encoder(tiny_encoder_specs: list[dict[str, Any]]) -> GridEncoder:
    return build_encoder(tiny_encoder_specs).eval()


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory, encoder: GridEncoder) -> TaughtRegions:
    folder = tiny_set(tmp_path_factory.mktemp("sets") / "set")
    return EvidenceStore(folder / "evidence", encoder).gather(read_instructions(folder))


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching_embedded, "WARM_UP_EPOCHS", 2)


_language = cache(tiny_language)


def language() -> LanguageModel:
    """An untouched one: teaching puts adapters into it."""
    return replace(_language(), model=deepcopy(_language().model))


def pupil_of(
    encoder: GridEncoder, regions: TaughtRegions, config: TeachingConfig = QUICK
) -> EmbeddedPupil:
    return EmbeddedPupil(language(), encoder, regions, regions, config)


def weights(pupil: EmbeddedPupil) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in pupil.module.named_parameters() if p.requires_grad}


class InterruptionError(Exception):
    pass


def interrupted_at(step: int) -> Any:
    def told(report: StepReport) -> None:
        if report.step == step:
            raise InterruptionError

    return told


@given(
    examples=st.integers(1, 60),
    batch_size=st.integers(1, 7),
    accumulate=st.integers(1, 4),
    processes=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_every_region_is_seen_once_an_epoch(
    examples: int, batch_size: int, accumulate: int, processes: int, seed: int
) -> None:
    config = TeachingConfig(batch_size=batch_size, accumulate=accumulate, epochs=2, seed=seed)
    plan = Plan(examples, config, processes)
    steps_an_epoch = plan.steps // 2
    orders = []
    for epoch in range(2):
        seen: Counter[int] = Counter()
        order = []
        for step in range(epoch * steps_an_epoch, (epoch + 1) * steps_an_epoch):
            batches = [list(plan.batches(step, process)) for process in range(processes)]
            # Every process has something to do, and knows when it is done.
            assert all(
                [b.is_last for b in mine] == [False] * (len(mine) - 1) + [True] for mine in batches
            )
            assert all(len(mine) <= accumulate for mine in batches)
            assert sum(b.share for mine in batches for b in mine) == pytest.approx(1)
            for batch in (b for mine in batches for b in mine):
                assert 1 <= len(batch.indices) <= batch_size
                if batch.share:
                    seen.update(batch.indices)
                    order += batch.indices
        assert seen == Counter(range(examples))
        orders.append(order)
    assert examples < 20 or orders[0] != orders[1]


@given(examples=st.integers(1, 60), epochs=st.integers(1, 3), most=st.integers(0, 40))
@example(examples=60, epochs=3, most=1)
def test_a_limit_of_steps_ends_a_run_earlier_and_in_the_same_order(
    examples: int, epochs: int, most: int
) -> None:
    whole = Plan(examples, TeachingConfig(batch_size=4, epochs=epochs))
    limited = Plan(examples, TeachingConfig(batch_size=4, epochs=epochs, max_steps=most))
    assert limited.steps == (min(most, whole.steps) if most else whole.steps)
    for step in range(limited.steps):
        assert list(limited.batches(step)) == list(whole.batches(step))
    # Rates fall to the limited run's end, not to that of the whole one.
    last = limited.steps - 1
    still_rising = limited.steps < whole.steps and whole.rate(last) < whole.rate(last + 1)
    assert still_rising or limited.rate(last) <= whole.rate(last)


@given(steps=st.integers(1, 300), warmup=st.floats(0, 0.99))
def test_rates_rise_and_fall(steps: int, warmup: float) -> None:
    plan = Plan(steps, TeachingConfig(batch_size=1, epochs=1, warmup=warmup))
    rates = [plan.rate(step) for step in range(plan.steps)]
    assert len(rates) == steps
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)


def test_teaching_lowers_the_loss_and_the_reader_is_saved(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=12)
    told: list[StepReport] = []
    pupil = pupil_of(encoder, regions, config)
    facts, notes = {"data": "these"}, {"command": "rsfiqa teach tune set"}
    figures = teach(pupil, config, tmp_path / "taught", told.append, facts=facts, notes=notes)
    assert [(r.step, r.steps) for r in told] == [(i, 36) for i in range(1, 37)]
    assert told[-1].levels < told[0].levels
    assert told[-1].description < told[0].description
    assert figures["regions"] == 12
    saved = load_embedded(tmp_path / "taught")
    assert saved.training["validation"] == figures
    assert saved.training["settings"]["epochs"] == 12
    card = embedded_card(saved.training, tmp_path / "taught")
    assert "rsfiqa teach tune set" in card
    assert "| data | these |" in card
    assert "| regions learnt from | 12 |" in card
    assert "| epochs | 12 |" in card
    assert all(f"| {name} | {value} |" in card for name, value in figure_rows(figures))
    assert list((tmp_path / "taught" / "events").iterdir())


def test_a_limit_of_steps_is_kept_and_part_of_the_run(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    config = replace(QUICK, max_steps=2)
    told: list[StepReport] = []
    teach(pupil_of(encoder, regions, config), config, tmp_path, told.append)
    assert [(r.step, r.steps) for r in told] == [(1, 2), (2, 2)]
    saved = load_embedded(tmp_path)
    assert saved.training["steps"] == saved.training["settings"]["max_steps"] == 2
    with pytest.raises(ConfigError, match=r"other settings \(max_steps\)"):
        teach(pupil_of(encoder, regions), QUICK, tmp_path)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_interrupted_run_goes_on_to_the_same_weights(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path, accumulate: int
) -> None:
    config = replace(QUICK, accumulate=accumulate, batch_size=2, epochs=3, checkpoint_every=2)
    whole = pupil_of(encoder, regions, config)
    teach(whole, config, tmp_path / "whole")
    with pytest.raises(InterruptionError):
        teach(pupil_of(encoder, regions, config), config, tmp_path / "parts", interrupted_at(5))
    told: list[StepReport] = []
    # How often checkpoints are written may change on the way.
    again = replace(config, checkpoint_every=100)
    parts = pupil_of(encoder, regions, again)
    teach(parts, again, tmp_path / "parts", told.append)
    assert told[0].step == 5
    expected = weights(whole)
    for name, value in weights(parts).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)
    # A run that is done is judged and saved again, and learns nothing more.
    told.clear()
    done = pupil_of(encoder, regions, again)
    teach(done, again, tmp_path / "parts", told.append)
    assert told == []
    for name, value in weights(done).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)


def test_precisions_follow_each_other_in_one_process(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    for precision in ("bf16", "fp32"):
        config = replace(QUICK, precision=precision, epochs=1)
        pupil = pupil_of(encoder, regions, config)
        before = weights(pupil)
        teach(pupil, config, tmp_path / precision)
        assert any(not torch.equal(v, before[n]) for n, v in weights(pupil).items())


def test_a_folder_of_another_run_is_refused(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=1)
    teach(pupil_of(encoder, regions, config), config, tmp_path, facts={"data": "these"})
    other = replace(config, learning_rate=1e-4, seed=1)
    with pytest.raises(ConfigError, match=r"other settings \(learning_rate, seed\)"):
        teach(pupil_of(encoder, regions, other), other, tmp_path)
    with pytest.raises(ConfigError, match=r"other settings \(data\)"):
        teach(pupil_of(encoder, regions, config), config, tmp_path, facts={"data": "those"})
    few = TaughtRegions(
        regions.evidence.at(torch.arange(8)),
        regions.ratings[:8],
        regions.instructions[:8],
        regions.pictures[:8],
    )
    with pytest.raises(ConfigError, match=r"other settings \(regions\)"):
        teach(pupil_of(encoder, few, config), config, tmp_path)
    wider = EmbeddedPupil(language(), encoder, regions, regions, replace(config, rank=4))
    with pytest.raises(ConfigError, match="is of another model"):
        teach(wider, config, tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_one(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, checkpoint_every=2)
    replace_file, written = Path.replace, []

    def full(self: Path, target: Path) -> Path:
        written.append(target.name)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match=r"the checkpoint cannot be written to .*No space left"):
        teach(pupil_of(encoder, regions, config), config, tmp_path)
    monkeypatch.undo()
    assert written == [CHECKPOINT, PROGRESS, CHECKPOINT]
    assert json.loads((tmp_path / PROGRESS).read_text())["step"] == 2
    assert not list(tmp_path.glob(".partial-*"))


def test_a_damaged_checkpoint_is_named(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    checkpoint = tmp_path / CHECKPOINT
    checkpoint.write_bytes(b"torn")
    pupil = pupil_of(encoder, regions)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors cannot be read .*delete it"):
        teach(pupil, QUICK, tmp_path)
    for progress in ("{}", "[]", '{"step": 1, "settings": 2}'):
        save_file({"weight.a": torch.zeros(1)}, checkpoint, {"progress": progress})
        with pytest.raises(DataError, match="cannot be read"):
            teach(pupil, QUICK, tmp_path)


def test_a_checkpoint_of_before_a_setting_was_known_goes_on(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    config = replace(QUICK, epochs=1)
    teach(pupil_of(encoder, regions, config), config, tmp_path)
    path = tmp_path / CHECKPOINT
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    del progress["settings"]["dropout"], progress["facts"]
    save_file(load_file(path), path, {"progress": json.dumps(progress)})
    told: list[StepReport] = []
    teach(pupil_of(encoder, regions, config), config, tmp_path, told.append)
    assert told == []


def test_nothing_to_learn_from_and_missing_extras(
    encoder: GridEncoder, regions: TaughtRegions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Empty:
        def __len__(self) -> int:
            return 0

    with pytest.raises(ConfigError, match="no regions to learn from"):
        teach(Empty(), QUICK, tmp_path)  # type: ignore[arg-type]
    pupil = pupil_of(encoder, regions)
    for missing in ("accelerate", "torch.utils.tensorboard"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(MissingExtraError, match=r"rsfiqa\[teach\]"):
                teach(pupil, QUICK, tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "epochs must be 1 or more; got 0"),
        ({"epochs": 1.5}, "epochs is a whole number; got 1.5"),
        ({"epochs": True}, "epochs is a whole number; got True"),
        ({"epochs": float("nan")}, "epochs is a whole number; got nan"),
        ({"rank": "16"}, "rank is a whole number; got '16'"),
        ({"learning_rate": "fast"}, "learning_rate is a number; got 'fast'"),
        ({"learning_rate": -1}, "learning_rate must be 0 or more; got -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be 0 or more; got nan"),
        ({"max_steps": -1}, "max_steps must be 0 or more; got -1"),
        ({"held": 1.0}, "held must be from 0 to below 1; got 1.0"),
        ({"precision": "fp8"}, "precision is fp32, bf16, 4bit for this reader; got 'fp8'"),
        ({"precision": 16}, "precision is a text; got 16"),
        ({"view": "peek"}, "a view is crop or picture; got 'peek'"),
        ({"view": 1}, "view is a text; got 1"),
        ({"targets": "q_proj"}, "targets is a list of texts; got 'q_proj'"),
        ({"targets": [1]}, r"targets is a list of texts; got \[1\]"),
        ({"train_vision": 1}, "train_vision is true or false; got 1"),
        ({"epoch": 1}, "has no setting 'epoch'; there are epochs, max_steps"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_from(VLMTeachingConfig, values)


def test_settings_from_plain_data(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"epochs": 3.0, "learning_rate": 1, "targets": ["q_proj"], "view": "picture"}')
    found = config_from(VLMTeachingConfig, read_settings(path))
    wanted = VLMTeachingConfig(epochs=3, learning_rate=1.0, targets=("q_proj",), view="picture")
    assert found == wanted
    assert config_from(TeachingConfig, {}) == TeachingConfig()
    with pytest.raises(ConfigError, match="precision is fp32, bf16 for this reader; got '4bit'"):
        TeachingConfig(precision="4bit")
    for text, said in (("[1]", "not a JSON object"), ("{", "is not JSON")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_settings(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / "missing.json")
