"""Teaching a vision-language model, on a tiny untrained one: what is taught is what is read."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction, InstructionSet, read_instructions
from rsfiqa.learning.teaching import StepReport, teach
from rsfiqa.learning.teaching_vlm import VLMPupil, VLMTeachingConfig
from rsfiqa.learning.teaching_vlm_examples import UNLABELLED, end_of_turn
from rsfiqa.learning.teaching_vlm_layers import adapted_layers
from rsfiqa.reading import wording
from rsfiqa.reading.vlm import LocalVLMReader
from rsfiqa.reading.vlm_loading import LoadedVLM, load_vlm
from rsfiqa.types import DIMENSIONS, Reading
from tiny_llava import tiny_llava
from tiny_set import SAID, tiny_set
from tiny_vlm import END_OF_TURN, tiny_vlm

pytest.importorskip("peft")
pytest.importorskip("accelerate")

BUDGET = 112 * 112
QUICK = VLMTeachingConfig(
    epochs=1,
    batch_size=2,
    accumulate=1,
    learning_rate=5e-3,
    projector_rate=5e-3,
    rank=4,
    alpha=8,
    precision="fp32",
    max_pixels=BUDGET,
    gradient_checkpointing=False,
    judged=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm(tmp_path_factory.mktemp("qwen") / "tiny-qwen")


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> InstructionSet:
    return read_instructions(tiny_set(tmp_path_factory.mktemp("sets") / "set", pictures=4))


@pytest.fixture(scope="module")
def undescribed(tmp_path_factory: pytest.TempPathFactory) -> InstructionSet:
    out = tmp_path_factory.mktemp("sets") / "undescribed"
    return read_instructions(tiny_set(out, pictures=2, described=False))


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "LONGEST_DESCRIPTION", 6)


def loaded(folder: Path, **settings: Any) -> LoadedVLM:
    return load_vlm(
        folder, **{"device": "cpu", "precision": "fp32", "max_pixels": BUDGET, **settings}
    )


def pupil_of(
    folder: Path,
    training: Sequence[Instruction],
    config: VLMTeachingConfig = QUICK,
    validation: Sequence[Instruction] = (),
) -> VLMPupil:
    return VLMPupil(loaded(folder), training, validation, config)


def read(vlm: LoadedVLM, instruction: Instruction) -> Sequence[Reading]:
    pixels = load_image(instruction.image).pixels
    return LocalVLMReader(vlm, max_pixels=BUDGET).read(pixels, instruction.partition)


def probabilities(readings: Sequence[Reading]) -> npt.NDArray[np.float64]:
    return np.array([[r.ratings[d].probabilities for d in DIMENSIONS] for r in readings])


def weights(pupil: VLMPupil) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in pupil.module.named_parameters() if p.requires_grad}


def adapter_names(pupil: VLMPupil) -> list[str]:
    return [name for name, p in pupil.module.named_parameters() if p.requires_grad]


def test_what_is_taught_is_what_is_read(folder: Path, instructions: InstructionSet) -> None:
    """The loss of an untaught pupil is that of the reader's own probabilities."""
    config = replace(QUICK, questions=6)
    pupil = pupil_of(folder, instructions, config)
    assert len(pupil) == 2 * len(instructions)
    indices = [0, 3, 6]
    with torch.no_grad():
        losses = pupil.module(pupil.batch(indices, 0))
    apart = []
    for index in indices:
        instruction = instructions[index // 2]
        said = probabilities(read(loaded(folder), instruction))[index % 2]
        region = instruction.regions[index % 2]
        wanted = np.array([region.ratings[d].probabilities for d in DIMENSIONS])
        apart.append(-(wanted * np.log(said)).sum(1).mean())
    assert losses["levels"].item() == pytest.approx(np.mean(apart), abs=1e-3)


def test_labels_are_the_description_and_the_end_of_the_turn(
    folder: Path, instructions: InstructionSet
) -> None:
    vlm = loaded(folder)
    batch = VLMPupil(vlm, instructions, (), replace(QUICK, questions=6)).batch([1, 2], 5)
    assert batch["rated"].sum() == 10
    assert batch["levels"][batch["rated"]].sum(1).tolist() == pytest.approx([1.0] * 10, abs=1e-5)
    [one, other] = batch["labels"][~batch["rated"]].tolist()
    assert one == other
    assert vlm.tokenizer.decode(one) == f" {SAID}{END_OF_TURN}"
    assert (batch["labels"][batch["rated"]] == UNLABELLED).all()
    ids = batch["input.input_ids"]
    assert ids[~batch["rated"]][0, -len(one) :].tolist() == one
    # Every row ends where its answer does: padding is in front.
    assert batch["input.attention_mask"][:, -1].all()
    ends = {vlm.tokenizer.decode(row[-4:]) for row in ids[batch["rated"]].tolist()}
    assert len(ends) == 5


def test_a_batch_follows_from_seed_and_step(folder: Path, instructions: InstructionSet) -> None:
    pupil = pupil_of(folder, instructions)
    first, again = (pupil.batch([0, 1], 3) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = {tuple(pupil.batch([0], step)["rated"].tolist()) for step in range(20)}
    assert drawn == {(True, True), (True, False), (False, True)}
    ids = {str(pupil.batch([0], step)["input.input_ids"].tolist()) for step in range(20)}
    assert len(ids) > 5


def test_regions_without_descriptions_are_rated_only(
    folder: Path, undescribed: InstructionSet
) -> None:
    pupil = pupil_of(folder, undescribed, replace(QUICK, questions=6))
    batch = pupil.batch([0, 1], 0)
    assert batch["rated"].tolist() == [True] * 10
    losses = pupil.module(batch)
    assert losses["description"].item() == 0
    (losses["levels"] + losses["description"]).backward()


def test_a_batch_of_descriptions_only_has_no_loss_on_levels(
    folder: Path, instructions: InstructionSet
) -> None:
    pupil = pupil_of(folder, instructions, replace(QUICK, questions=1))
    batch = next(b for b in (pupil.batch([0], s) for s in range(50)) if not b["rated"].any())
    losses = pupil.module(batch)
    assert losses["levels"].item() == 0
    assert losses["description"].item() > 0


def test_teaching_lowers_both_losses_and_the_reader_says_what_it_was_taught(
    folder: Path, instructions: InstructionSet, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=12, batch_size=4, questions=6, learning_rate=2e-2, warmup=0.1)
    told: list[StepReport] = []
    vlm = loaded(folder)
    pupil = VLMPupil(vlm, instructions, instructions, config)
    before = probabilities(read(vlm, instructions[1]))
    figures = teach(pupil, config, tmp_path / "taught", told.append)
    assert [r.step for r in told] == list(range(1, told[0].steps + 1))
    assert told[-1].levels < 0.8 * told[0].levels
    assert told[-1].description < 0.3 * told[0].description
    assert figures["regions"] == 4
    assert figures["failed"] == 0
    # From disk, through the reader: the same outputs to the last digits that matter.
    reloaded = loaded(folder, adapter=tmp_path / "taught")
    taught = read(replace(vlm, model=pupil.module.model), instructions[1])
    found = read(reloaded, instructions[1])
    assert probabilities(found) == pytest.approx(probabilities(taught), abs=1e-5)
    assert [r.description for r in found] == [r.description for r in taught] == [SAID, SAID]
    wanted = [[r.ratings[d].probabilities for d in DIMENSIONS] for r in instructions[1].regions]
    assert np.abs(probabilities(found) - wanted).mean() < 0.5 * np.abs(before - wanted).mean()
    record = json.loads((tmp_path / "taught" / "training.json").read_text())
    assert record["base"].startswith("tiny-qwen#")
    assert record["view"] == "crop"
    assert record["settings"]["epochs"] == 12
    card = (tmp_path / "taught" / "README.md").read_text()
    assert "--reader hf:tiny-qwen --adapter taught --view crop" in card
    for name in ("README.md", "adapter_config.json", "training.json"):
        assert str(folder.parent) not in (tmp_path / "taught" / name).read_text()


class InterruptionError(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_weights(
    folder: Path, instructions: InstructionSet, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=2, checkpoint_every=2, dropout=0.1)
    whole = pupil_of(folder, instructions, config)
    teach(whole, config, tmp_path / "whole")

    def interrupt(report: StepReport) -> None:
        if report.step == 5:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        teach(pupil_of(folder, instructions, config), config, tmp_path / "parts", interrupt)
    told: list[StepReport] = []
    parts = pupil_of(folder, instructions, config)
    teach(parts, config, tmp_path / "parts", told.append)
    assert [r.step for r in told] == [5, 6, 7, 8]
    expected = weights(whole)
    assert expected.keys() == weights(parts).keys()
    for name, value in weights(parts).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)


def test_gradients_add_up_over_batches(
    folder: Path, instructions: InstructionSet, tmp_path: Path
) -> None:
    found = []
    for batch_size, accumulate in ((4, 1), (2, 2)):
        config = replace(QUICK, batch_size=batch_size, accumulate=accumulate, questions=6)
        pupil = pupil_of(folder, instructions, config)
        teach(pupil, config, tmp_path / str(accumulate))
        found.append(weights(pupil))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-3, atol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(
    folder: Path, instructions: InstructionSet
) -> None:
    gradients = []
    for checkpointing in (False, True):
        pupil = pupil_of(folder, instructions, replace(QUICK, gradient_checkpointing=checkpointing))
        pupil.module.train()
        losses = pupil.module(pupil.batch([0, 1], 0))
        (losses["levels"] + losses["description"]).backward()
        gradients.append({n: p.grad for n, p in pupil.module.named_parameters() if p.requires_grad})
    assert any(g is not None and g.any() for g in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_adapters_are_where_they_were_asked_for(folder: Path, instructions: InstructionSet) -> None:
    names = adapter_names(pupil_of(folder, instructions))
    assert all("lora_" in name for name in names)
    assert any("language_model" in name and "down_proj" in name for name in names)
    assert any("merger" in name for name in names)
    assert not any("visual.blocks" in name for name in names)
    config = replace(QUICK, targets=("q_proj",), train_projector=False)
    names = adapter_names(pupil_of(folder, instructions, config))
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in names} == {"q_proj"}
    config = replace(QUICK, train_vision=True)
    pupil = pupil_of(folder, instructions, config)
    assert any("visual.blocks.1.attn.qkv" in name for name in adapter_names(pupil))
    slow = replace(config, projector_rate=1e-9)
    sizes = [len(group["params"]) for group in pupil.parameter_groups(slow)]
    assert [group["lr"] for group in pupil.parameter_groups(slow)] == [5e-3, 1e-9]
    assert sizes[1] == sum("merger" in name for name in adapter_names(pupil)) == 4


def test_other_architectures(tmp_path: Path, folder: Path, instructions: InstructionSet) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    out = tiny_llava(tmp_path / "llava", tokenizer)
    pattern = adapted_layers(load_vlm(out, device="cpu").model, ["q_proj"])
    assert pattern == (
        r"model\.language_model\.layers\.\d+\.self_attn\.q_proj"
        r"|model\.multi_modal_projector\.linear_1|model\.multi_modal_projector\.linear_2"
    )
    config = replace(QUICK, targets=("q_proj",), batch_size=8)
    vlm = load_vlm(out, device="cpu", precision="fp32")
    assert end_of_turn(vlm)
    teach(VLMPupil(vlm, instructions, (), config), config, tmp_path / "taught")
    read(load_vlm(out, device="cpu", adapter=tmp_path / "taught"), instructions[0])


def test_bf16(folder: Path, undescribed: InstructionSet, tmp_path: Path) -> None:
    config = replace(QUICK, precision="bf16", gradient_checkpointing=True)
    vlm = loaded(folder, precision="bf16")
    pupil = VLMPupil(vlm, undescribed, (), config)
    before = weights(pupil)
    assert teach(pupil, config, tmp_path) == {}
    assert all(value.dtype == torch.float32 for value in before.values())
    assert any(not torch.equal(value, before[name]) for name, value in weights(pupil).items())


def test_what_does_not_fit_is_refused(
    folder: Path,
    instructions: InstructionSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"no layers named wq; .*down_proj, gate_proj, k_proj"):
        pupil_of(folder, instructions, replace(QUICK, targets=("wq",)))
    with pytest.raises(ConfigError, match="loaded in fp32 and is to be taught in 4bit"):
        pupil_of(folder, instructions, replace(QUICK, precision="4bit"))
    with pytest.raises(ConfigError, match="no regions to learn from"):
        pupil_of(folder, ())
    with pytest.raises(ConfigError, match="view is crop or picture"):
        replace(QUICK, view="peek")
    with pytest.raises(ConfigError, match="questions must be 1 or more; got 0"):
        replace(QUICK, questions=0)
    with pytest.raises(ConfigError, match="targets names at least one"):
        replace(QUICK, targets=())
    pupil = pupil_of(folder, instructions)
    with pytest.raises(ConfigError, match="cannot be written"):
        (tmp_path / "file").write_text("in the way")
        pupil.save(tmp_path / "file" / "out", {"settings": {}})
    copy = shutil.copytree(instructions.folder, tmp_path / "set")
    wrong = read_instructions(copy)
    Image.new("RGB", (50, 40)).save(wrong[0].image)
    with pytest.raises(DataError, match="another size than its partition"):
        pupil_of(folder, wrong).batch([0], 0)
    with pytest.raises(DataError, match="another size"):  # also out of the thread that reads ahead
        teach(pupil_of(folder, wrong), QUICK, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[teach\]"):
        pupil_of(folder, instructions)
