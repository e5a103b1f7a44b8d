"""The local reader on tiny untrained models: what it says is what the model alone would say."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from rsfiqa.errors import AssetError, ConfigError, MissingExtraError, RsfiqaWarning
from rsfiqa.partition import Partition
from rsfiqa.reading import wording
from rsfiqa.reading.views import region_view, view_instruction
from rsfiqa.reading.vlm import LocalVLMReader
from rsfiqa.reading.vlm_loading import LoadedVLM, level_token_ids, load_vlm
from rsfiqa.reading.vlm_prompts import (
    QUESTIONS,
    model_inputs,
    prompt_text,
    question_messages,
)
from rsfiqa.types import DIMENSIONS, LEVELS, Reading
from tiny_llava import tiny_llava
from tiny_vlm import tiny_vlm

pytest.importorskip("transformers")
pytest.importorskip("torchvision")

Pixels = npt.NDArray[np.uint8]
BUDGET = 112 * 112


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm(tmp_path_factory.mktemp("qwen") / "tiny-qwen")


@pytest.fixture(scope="module")
def vlm(folder: Path) -> LoadedVLM:
    return load_vlm(folder, device="cpu", max_pixels=BUDGET)


@pytest.fixture(scope="module")
def partition(cat: Pixels) -> Partition:
    """Five regions of the cat, of very different sizes."""
    labels = np.zeros(cat.shape[:2], int)
    labels[:, 200:] = 1
    labels[100:200, 50:300] = 2
    labels[10:30, 10:30] = 3
    labels[250:, :] = 4
    return Partition(labels)


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short descriptions: what untrained models write is nonsense, and takes its time."""
    monkeypatch.setattr(wording, "LONGEST_DESCRIPTION", 4)


def reader_of(vlm: LoadedVLM, **settings: Any) -> LocalVLMReader:
    return LocalVLMReader(vlm, **{"max_pixels": BUDGET, **settings})


def probabilities(readings: Sequence[Reading]) -> npt.NDArray[np.float64]:
    """`[regions, dimensions, levels]`; every reading must be ok."""
    assert [(r.status, r.reason) for r in readings] == [("ok", None)] * len(readings)
    return np.array([[r.ratings[d].probabilities for d in DIMENSIONS] for r in readings])


def plainly(vlm: LoadedVLM, picture: Image.Image, instruction: str) -> npt.NDArray[np.float64]:
    """The ratings, `[dimensions, levels]`, by a whole forward of each prompt without a cache."""
    rated = []
    for question in QUESTIONS[1:]:
        messages = question_messages(picture, instruction, question.text)
        text = prompt_text(vlm.processor, messages, question.prefix)
        with torch.no_grad():
            output = vlm.model(**model_inputs(vlm.processor, [text], [picture]), use_cache=False)
        logits = output.logits[0, -1, list(vlm.level_tokens)]
        rated.append(logits.double().softmax(0).numpy())
    return np.array(rated)


@pytest.mark.parametrize("view", ["crop", "picture"])
def test_sharing_gives_what_each_prompt_alone_gives(
    vlm: LoadedVLM, cat: Pixels, partition: Partition, view: Any
) -> None:
    reader = reader_of(vlm, view=view)
    assert reader.shares_stems
    found = probabilities(reader.read(cat, partition))
    assert found.sum(axis=2) == pytest.approx(1)
    for region in range(len(partition)):
        picture = region_view(cat, partition, region, view=view, max_pixels=BUDGET)
        said = view_instruction(partition, region, view=view, max_pixels=BUDGET)
        alone = plainly(vlm, picture, said)
        assert found[region] == pytest.approx(alone, abs=1e-4)
    # The model tells regions and questions apart, or the comparison would say nothing.
    assert np.ptp(found, axis=0).max() > 1e-2
    assert np.ptp(found, axis=1).max() > 1e-2


@pytest.mark.parametrize("view", ["crop", "picture"])
def test_how_many_regions_are_asked_at_once_does_not_matter(
    vlm: LoadedVLM, cat: Pixels, partition: Partition, view: Any
) -> None:
    one = reader_of(vlm, view=view, regions_at_once=1).read(cat, partition)
    all_at_once = reader_of(vlm, view=view, regions_at_once=8).read(cat, partition)
    assert probabilities(one) == pytest.approx(probabilities(all_at_once), abs=1e-4)
    assert [r.description for r in one] == [r.description for r in all_at_once]


def test_reading_again_gives_the_same(vlm: LoadedVLM, cat: Pixels, partition: Partition) -> None:
    reader = reader_of(vlm)
    assert reader.read(cat, partition) == reader.read(cat, partition)


def test_a_crop_is_read_by_itself(vlm: LoadedVLM, cat: Pixels, partition: Partition) -> None:
    """What lies outside a region's crop cannot change its reading."""
    spoiled = cat.copy()
    spoiled[260:] = 255 - spoiled[260:]
    reader = reader_of(vlm)
    before, after = (probabilities(reader.read(p, partition)) for p in (cat, spoiled))
    assert after[3] == pytest.approx(before[3], abs=1e-4)
    assert np.abs(after[4] - before[4]).max() > 1e-3


def test_models_that_cannot_share_are_asked_question_by_question(
    vlm: LoadedVLM, cat: Pixels, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_of(vlm)
    shared = reader.read(cat, partition)
    monkeypatch.setattr(reader, "shares_stems", False)
    found = reader.read(cat, partition)
    assert probabilities(found) == pytest.approx(probabilities(shared), abs=1e-4)
    assert [r.description for r in found] == [r.description for r in shared]


def test_a_description_is_one_clean_line(vlm: LoadedVLM, cat: Pixels, partition: Partition) -> None:
    for reading in reader_of(vlm).read(cat, partition):
        if reading.description is not None:
            assert reading.description == " ".join(reading.description.split())
            assert not reading.description.endswith(".")
            tokens = vlm.tokenizer(reading.description)["input_ids"]
            assert len(tokens) <= 2 * wording.LONGEST_DESCRIPTION


def test_a_picture_with_one_region(vlm: LoadedVLM, cat: Pixels) -> None:
    whole = Partition(np.zeros(cat.shape[:2], int))
    for view in ("crop", "picture"):
        [reading] = reader_of(vlm, view=view).read(cat, whole)
        assert reading.status == "ok"


@pytest.mark.parametrize("window", [None, 8])
def test_another_architecture(
    tmp_path: Path, folder: Path, cat: Pixels, partition: Partition, window: int | None
) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    llava = load_vlm(tiny_llava(tmp_path / "llava", tokenizer, window=window), device="cpu")
    reader = LocalVLMReader(llava)
    # A layer that forgets what lies behind its window cannot go on from a shared beginning.
    assert reader.shares_stems == (window is None)
    found = probabilities(reader.read(cat, partition))
    picture, said = region_view(cat, partition, 2), view_instruction(partition, 2)
    alone = plainly(llava, picture, said)
    assert found[2] == pytest.approx(alone, abs=1e-4)


def test_prompts_leave_a_space_after_a_name(tmp_path: Path, folder: Path) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    llava = load_vlm(tiny_llava(tmp_path / "llava", tokenizer), device="cpu")
    messages = question_messages(Image.new("RGB", (56, 56)), "Here.", "How?")
    text = prompt_text(llava.processor, messages, "Color:")
    assert text == "USER: <image>\nHere.\nHow? ASSISTANT: Color:"


def test_a_processor_that_cuts_squares_out_sees_all_of_a_picture(
    tmp_path: Path, folder: Path
) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    llava = load_vlm(tiny_llava(tmp_path / "llava", tokenizer), device="cpu")
    wide = np.zeros((56, 224, 3), np.uint8)
    wide[:, 196:] = 255  # would be cut off
    black = np.zeros_like(wide)
    seen = [
        model_inputs(llava.processor, ["<image>"], [Image.fromarray(p)])["pixel_values"]
        for p in (wide, black)
    ]
    assert not torch.equal(*seen)


class Failing:
    """A model that fails on some calls; else it is the model it is made of."""

    def __init__(self, model: Any, fails: Any) -> None:
        self.whole, self.fails = model, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def __call__(self, **inputs: Any) -> Any:
        self.fails(inputs)
        return self.whole(**inputs)


def failing_reader(vlm: LoadedVLM, fails: Any, **settings: Any) -> LocalVLMReader:
    quiet = Failing(vlm.model, lambda inputs: None)
    reader = reader_of(replace(vlm, model=quiet), **settings)
    assert reader.shares_stems
    quiet.fails = fails
    return reader


def test_too_little_memory_means_fewer_regions_at_once(
    vlm: LoadedVLM, cat: Pixels, partition: Partition
) -> None:
    def fails(inputs: dict[str, Any]) -> None:
        if len(inputs["input_ids"]) > 2 * len(QUESTIONS):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    found = failing_reader(vlm, fails, regions_at_once=5).read(cat, partition)
    assert probabilities(found) == pytest.approx(
        probabilities(reader_of(vlm).read(cat, partition)), abs=1e-4
    )


def test_a_region_that_fails_leaves_the_others_alone(
    vlm: LoadedVLM, cat: Pixels, partition: Partition
) -> None:
    bad = region_view(cat, partition, 3, max_pixels=BUDGET)
    picture = model_inputs(vlm.processor, ["<|image_pad|>"], [bad])["pixel_values"]

    def fails(inputs: dict[str, Any]) -> None:
        shown = inputs.get("pixel_values")
        if shown is not None and torch.equal(shown, picture):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    found = list(failing_reader(vlm, fails).read(cat, partition))
    failed = found.pop(3)
    assert failed.status == "failed"
    assert failed.reason == "CUDA out of memory. Tried to allocate 2 GiB."
    assert not failed.ratings
    expected = probabilities(reader_of(vlm).read(cat, partition))
    assert probabilities(found) == pytest.approx(np.delete(expected, 3, axis=0), abs=1e-4)


def test_a_model_whose_beginning_depends_on_its_end_is_found_out(
    vlm: LoadedVLM, cat: Pixels, partition: Partition
) -> None:
    class BothWays(Failing):
        def __call__(self, **inputs: Any) -> Any:
            output = self.whole(**inputs)
            output.logits.mul_(0.5)
            return output

    reader = reader_of(replace(vlm, model=BothWays(vlm.model, None)))
    assert not reader.shares_stems
    expected = probabilities(reader_of(vlm).read(cat, partition))
    assert probabilities(reader.read(cat, partition)) == pytest.approx(expected, abs=1e-4)


def test_a_model_that_cannot_answer_at_all_is_refused(vlm: LoadedVLM) -> None:
    class Mute(Failing):
        def generate(self, **inputs: Any) -> Any:
            raise TypeError("unexpected picture")

    with pytest.raises(ConfigError, match=r"cannot answer about a picture .*unexpected picture"):
        reader_of(replace(vlm, model=Mute(vlm.model, None)))


@pytest.mark.parametrize("view", ["crop", "picture"])
def test_a_broken_model_fails_every_region_and_raises_nothing(
    vlm: LoadedVLM, cat: Pixels, partition: Partition, view: Any
) -> None:
    def fails(inputs: dict[str, Any]) -> None:
        raise ValueError("shapes\ndo not fit")

    found = failing_reader(vlm, fails, view=view).read(cat, partition)
    assert [(r.status, r.reason) for r in found] == [("failed", "ValueError: shapes")] * 5


def test_a_partition_of_another_size_fails_every_region(vlm: LoadedVLM, cat: Pixels) -> None:
    found = reader_of(vlm).read(cat[:100], Partition(np.zeros((90, 90), int)))
    assert [r.status for r in found] == ["failed"]
    assert "partition's size" in str(found[0].reason)


def test_no_number_is_made_of_nan(
    vlm: LoadedVLM, cat: Pixels, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_of(vlm)
    head = vlm.base_model.lm_head
    handle = head.register_forward_hook(lambda module, given, out: out * float("nan"))
    try:
        found = reader.read(cat, partition)
    finally:
        handle.remove()
    assert {r.status for r in found} == {"failed"}
    assert "no finite numbers" in str(found[0].reason)


def adapted(folder: Path, out: Path) -> tuple[Path, Any]:
    """A LoRA adapter that does something, saved; and the model it is on."""
    peft = pytest.importorskip("peft")
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tuned = peft.get_peft_model(model, config)
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.5)
    tuned.save_pretrained(out)
    return out, tuned.eval()


def test_an_adapter_reloads_to_the_same_ratings(
    tmp_path: Path, folder: Path, vlm: LoadedVLM, cat: Pixels, partition: Partition
) -> None:
    adapter, tuned = adapted(folder, tmp_path / "adapter")
    loaded = load_vlm(folder, adapter=adapter, device="cpu", max_pixels=BUDGET)
    reader = reader_of(loaded)
    assert reader.shares_stems
    found = probabilities(reader.read(cat, partition))
    picture = region_view(cat, partition, 2, max_pixels=BUDGET)
    alone = plainly(replace(vlm, model=tuned), picture, view_instruction(partition, 2))
    assert found[2] == pytest.approx(alone, abs=1e-4)
    bare = probabilities(reader_of(vlm).read(cat, partition))
    assert np.abs(found - bare).max() > 1e-3
    assert "+adapter#" in reader.name


def test_another_view_than_the_adapter_was_taught_with_is_warned_of(
    tmp_path: Path, folder: Path
) -> None:
    adapter, _ = adapted(folder, tmp_path / "adapter")

    def reading(view: str, record: str) -> list[str]:
        (adapter / "training.json").write_text(record)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", RsfiqaWarning)
            LocalVLMReader.from_spec(
                folder, adapter=adapter, device="cpu", view=view, max_pixels=BUDGET
            )
        return [str(w.message) for w in said if w.category is RsfiqaWarning]

    (said,) = reading("picture", '{"view": "crop"}')
    assert "+adapter#" in said
    assert "was taught with the view crop and is shown picture" in said
    assert reading("crop", '{"view": "crop"}') == []
    # A record that says nothing is no fault of the adapter.
    for record in ('{"view": "keyhole"}', '{"view": []}', "{}", "[]", "{"):
        assert reading("picture", record) == []


def test_adapters_that_do_not_fit_are_refused(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter, _ = adapted(folder, tmp_path / "adapter")
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file(dict(list(tensors.items())[1:]), weights)
    with pytest.raises(AssetError, match="lacks 1 tensors of the adapter"):
        load_vlm(folder, adapter=adapter, device="cpu")
    save_file({name: torch.zeros(3, 3) for name in tensors}, weights)
    with pytest.raises(ConfigError, match="does not fit the model"):
        load_vlm(folder, adapter=adapter, device="cpu")
    weights.rename(adapter / "adapter_model.bin")
    with pytest.raises(AssetError, match="pickled"):
        load_vlm(folder, adapter=adapter, device="cpu")
    with pytest.raises(AssetError, match=r"adapter_config\.json"):
        load_vlm(folder, adapter=folder, device="cpu")


def test_the_name_pins_what_readings_depend_on(
    tmp_path: Path, folder: Path, vlm: LoadedVLM
) -> None:
    names = [
        reader_of(vlm).name,
        reader_of(vlm, view="picture").name,
        reader_of(vlm, max_pixels=BUDGET - 1).name,
    ]
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    assert reader_of(load_vlm(copy, device="cpu", max_pixels=BUDGET)).name == names[0]
    other = tiny_vlm(tmp_path / "other" / folder.name, seed=1)
    names.append(reader_of(load_vlm(other, device="cpu", max_pixels=BUDGET)).name)
    names.append(LocalVLMReader.from_spec(folder, device="cpu", precision="bf16").name)
    assert len(set(names)) == len(names)
    assert names[0].startswith("hf:tiny-qwen#")
    assert str(folder.parent) not in names[0]


def test_bf16_is_close(vlm: LoadedVLM, folder: Path, cat: Pixels, partition: Partition) -> None:
    reader = LocalVLMReader.from_spec(folder, device="cpu", precision="bf16", max_pixels=BUDGET)
    assert reader.shares_stems
    found = probabilities(reader.read(cat, partition))
    assert found == pytest.approx(probabilities(reader_of(vlm).read(cat, partition)), abs=0.1)


def test_the_processor_keeps_the_budget(vlm: LoadedVLM, cat: Pixels) -> None:
    large = Image.fromarray(cat)
    inputs = model_inputs(vlm.processor, ["<|image_pad|>"], [large])
    assert int(inputs["image_grid_thw"].prod()) * 14 * 14 <= BUDGET


def test_the_model_generates_without_its_own_sampling(tmp_path: Path, folder: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "sampling")
    settings = copy / "generation_config.json"
    given = json.loads(settings.read_text())
    given |= {"do_sample": True, "temperature": 2.0, "repetition_penalty": 3.0}
    settings.write_text(json.dumps(given))
    config = load_vlm(copy, device="cpu").model.generation_config
    assert config.do_sample is False
    assert config.repetition_penalty in (None, 1.0)
    assert config.eos_token_id == given["eos_token_id"]


class Spelling:
    """A tokenizer of letters."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


class Deaf(Spelling):
    """A tokenizer that has one token for all words it does not know."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [1] * len(text.split())}


def test_level_words_of_several_tokens_are_refused(vlm: LoadedVLM) -> None:
    words = [vlm.tokenizer.decode([token]) for token in vlm.level_tokens]
    assert words == [f" {level}" for level in LEVELS]
    with pytest.raises(ConfigError, match="no single token of the level word ' excellent'"):
        level_token_ids(Spelling())
    with pytest.raises(ConfigError, match="does not tell the five level words apart"):
        level_token_ids(Deaf(), "this model")


def test_folders_that_are_no_vlm_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(AssetError, match="neither an existing file or folder"):
        load_vlm(tmp_path / "nowhere")
    with pytest.raises(AssetError, match=r"no readable config\.json"):
        load_vlm(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(AssetError, match="not JSON"):
        load_vlm(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="'bert', which transformers"):
        load_vlm(tmp_path)
    shutil.copy(folder / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(AssetError, match=r"only pickled weights \(pytorch_model.bin\)"):
        load_vlm(tmp_path)
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "model.safetensors")
    with pytest.raises(AssetError, match="processor"):
        load_vlm(tmp_path)


def test_damaged_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "damaged")
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    kept = {name: value for name, value in tensors.items() if "visual.blocks.1" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(AssetError, match=r"lack .* tensors"):
        load_vlm(copy, device="cpu")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(AssetError, match="cannot be loaded"):
        load_vlm(copy, device="cpu")
    for path in copy.glob("chat_template*"):
        path.unlink()
    for path in copy.glob("*.json"):
        settings = json.loads(path.read_text())
        if settings.pop("chat_template", None):
            path.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="no chat template"):
        load_vlm(copy, device="cpu")


def test_settings_that_are_not_accepted(folder: Path, vlm: LoadedVLM) -> None:
    with pytest.raises(ConfigError, match="precision is auto, fp32, bf16, 4bit; got 'fp8'"):
        load_vlm(folder, precision="fp8")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="device 'abacus'"):
        load_vlm(folder, device="abacus")
    with pytest.raises(ConfigError, match="a view is"):
        LocalVLMReader.from_spec(folder, view="peek")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        LocalVLMReader(vlm, regions_at_once=0)


def test_missing_extras_name_the_line_that_mends_them(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util
    import sys

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name)
    )
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[vlm-4bit\]"):
        load_vlm(folder, device="cpu", precision="4bit")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[vlm\]"):
        load_vlm(folder, adapter=tmp_path, device="cpu")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[vlm\]"):
        load_vlm(folder, device="cpu")
