"""Fine-tuned branches: what they see and say, how they are kept, and `rsfiqa fine-tune`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from command_line import require_done, require_one_sentence, rsfiqa
from rsfiqa import RSFIQA
from rsfiqa.cli import train as train_module
from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.fine_tuned import (
    BranchConfig,
    FineTunedBranch,
    branch_to_bytes,
    load_branch,
)
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import AssetError, ConfigError, ImageError
from rsfiqa.learning import fine_tuning
from rsfiqa.learning.fine_tuned_scorer import with_verdicts, without_verdicts
from rsfiqa.learning.fine_tuning import FineTuningReport, ScoredPictures, fine_tune
from rsfiqa.learning.fine_tuning_config import FineTuningConfig, branches_for
from rsfiqa.scoring.checkpoint import load_checkpoint, save_checkpoint, weights_digest
from rsfiqa.scoring.model import to_score
from scored_pictures import write_scored_pictures
from tiny_backbones import noise

SPLITS = ("train", "train", "train", "val")


def make_backbone(kind: str) -> TimmBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if kind == "vit":
            model = timm.create_model("test_vit", dynamic_img_size=True)
            return TimmBackbone(model, name="vit", indices=[1, 3, 5])
        model = timm.create_model("test_efficientnet")
        return TimmBackbone(model, name="convolutional", indices=[0, 2, 4])


BRANCHES = {
    "vit": BranchConfig(1, 4),
    "whole vit": BranchConfig(0),
    "convolutional": BranchConfig(1),
}


def make_branch(kind: str) -> tuple[TimmBackbone, FineTunedBranch]:
    backbone = make_backbone(kind.removeprefix("whole "))
    return backbone, FineTunedBranch(backbone, BRANCHES[kind]).eval()


def taught_at_random(branch: FineTunedBranch, seed: int = 7) -> FineTunedBranch:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in branch.taught().values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return branch


# A branch


@pytest.mark.parametrize("kind", BRANCHES)
def test_an_untaught_branch_knows_nothing_and_learns_all_it_may(kind: str) -> None:
    backbone, branch = make_branch(kind)
    logits = branch(backbone(noise(64, 96, batch=2)))
    assert logits.shape == (2,)
    assert torch.equal(logits, torch.zeros(2)), "the middle of the scale"
    with torch.no_grad():  # the head's last layer lets nothing through at zero
        branch.head[-1].weight.fill_(0.1)
    branch(backbone(noise(64, 96))).sum().backward()
    assert all(weight.grad is not None for weight in branch.taught().values())
    left = [n for n, _ in branch.tail.named_parameters(prefix="tail") if n not in branch.taught()]
    assert bool(left) == (kind == "vit"), "of low rank, the weights themselves stay"
    assert all(p.grad is None for p in backbone.parameters())


@pytest.mark.parametrize("kind", BRANCHES)
def test_a_branch_with_a_head_of_its_own_sees_what_the_backbone_sees(kind: str) -> None:
    """Untaught blocks go on exactly as the frozen ones do: their maps are the same."""
    backbone, branch = make_branch(kind)
    pixels = noise(64, 64)
    with torch.no_grad():
        whole = backbone(pixels)
        given: list[Tensor] = []
        branch.head.register_forward_pre_hook(lambda _, args: given.append(args[0]))
        branch(whole)
    described = given[0]
    deepest = whole.maps[-1].flatten(2)
    if branch.has_token:
        tokens = torch.cat([whole.tokens[-1][:, None], deepest.mT], 1)
        deepest = branch.norm(tokens)[:, 1:].mT
        means = described[:, -2 * deepest.shape[1] : -deepest.shape[1]]
    else:
        means = described[:, -2 * deepest.shape[1] : -deepest.shape[1]]
    assert torch.allclose(means, deepest.mean(2), atol=1e-5)


@pytest.mark.parametrize("kind", BRANCHES)
def test_kept_weights_say_the_same(kind: str, tmp_path: Path) -> None:
    backbone, branch = make_branch(kind)
    taught_at_random(branch)
    path = tmp_path / "branch.safetensors"
    path.write_bytes(branch_to_bytes(branch))
    loaded = load_branch(backbone, BRANCHES[kind], path)
    features = backbone(noise(64, 64))
    assert torch.allclose(loaded(features), branch(features), atol=2e-2), "half precision"
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded.taught()
    names = [name for name, _ in loaded.named_parameters()]
    assert not any("parametrizations" in name for name in names), "merged into the weights"


def test_merging_changes_of_low_rank_changes_nothing() -> None:
    backbone, branch = make_branch("vit")
    features = backbone(noise(64, 64))
    before = taught_at_random(branch)(features)
    assert torch.allclose(branch.freeze()(features), before, atol=1e-5)


def test_files_of_other_branches_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    backbone, branch = make_branch("vit")
    path = tmp_path / "branch.safetensors"
    path.write_bytes(branch_to_bytes(branch))
    for other in (BranchConfig(0, 4), BranchConfig(1), BranchConfig(1, 2)):
        with pytest.raises(ConfigError, match="not those of a branch"):
            load_branch(backbone, other, path)
    path.write_bytes(b"no weights")
    with pytest.raises(AssetError, match="cannot be read"):
        load_branch(backbone, BRANCHES["vit"], path)


def test_what_cannot_be_fine_tuned_is_refused() -> None:
    pyramid = TimmBackbone(timm.create_model("resnet18"), name="resnet18", indices=[1, 2, 3])
    with pytest.raises(ConfigError, match="cannot be fine-tuned"):
        FineTunedBranch(pyramid, BranchConfig(0))
    convolutional = make_backbone("convolutional")
    with pytest.raises(ConfigError, match="one of the depths 0 to 1"):
        FineTunedBranch(convolutional, BranchConfig(2))
    with pytest.raises(ConfigError, match="no linear layers"):
        FineTunedBranch(convolutional, BranchConfig(0, 4))
    for wrong in ((-1, 0), (0, -1), (0, 1.5)):
        with pytest.raises(ConfigError, match="0 or more"):
            BranchConfig(*wrong)  # type: ignore[arg-type]


# In the encoder


def test_an_encoder_puts_what_branches_say_behind_the_context() -> None:
    pairs = [make_branch("vit"), make_branch("convolutional")]
    frozen = GridEncoder([backbone for backbone, _ in pairs])
    branches = {i: taught_at_random(branch).freeze() for i, (_, branch) in enumerate(pairs)}
    whole = GridEncoder(list(frozen.backbones), branches)
    pixels = noise(80, 112, batch=2)
    before, after = frozen(pixels), whole(pixels)
    assert whole.context_dim == frozen.context_dim + 2 == after.context.shape[1]
    assert whole.name == frozen.name, "the features are the same, and so are their readers"
    assert torch.equal(after.positions, before.positions)
    assert torch.equal(after.semantic, before.semantic)
    assert torch.equal(after.context[:, :-2], before.context)
    said = [branch(whole.maps(i, pixels)) for i, branch in branches.items()]
    assert torch.equal(after.context[:, -2:], torch.stack(said, 1))


def test_branches_run_in_half_precision_where_their_backbone_does() -> None:
    backbone, branch = make_branch("vit")
    encoder = GridEncoder([backbone], {0: taught_at_random(branch).freeze()})
    pixels = noise(64, 64)
    exact = encoder(pixels).context[0, -1]
    encoder.to_bf16()
    assert next(branch.tail.parameters()).dtype == torch.bfloat16
    assert float(encoder(pixels).context[0, -1]) == pytest.approx(float(exact), abs=0.2)


def test_which_branches_are_meant() -> None:
    specs = [{"backbone": "dinov2-small"}, {"backbone": "timm:vit_tiny"}]
    assert branches_for(specs) == {0: BranchConfig(2, 16)}
    named = branches_for(specs, ["timm:vit_tiny:1:8", "dinov2-small:0"])
    assert named == {0: BranchConfig(0), 1: BranchConfig(1, 8)}
    for wrong in ("efficientnet-lite0:2", "dinov2-small", "dinov2-small:x", "dinov2-small:1:2:3"):
        with pytest.raises(ConfigError, match="BACKBONE:DEPTH"):
            branches_for(specs, [wrong])
    with pytest.raises(ConfigError, match="twice"):
        branches_for(specs, ["dinov2-small:0", "dinov2-small:1"])
    with pytest.raises(ConfigError, match="has to be said"):
        branches_for(specs[1:])


# Teaching


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", splits=SPLITS)


def pictures_of(folder: Path) -> ScoredPictures:
    paths = sorted(folder.glob("*.png"))
    return ScoredPictures(paths, [100 * i / len(paths) for i in range(len(paths))])


def test_the_loss_falls_and_averaged_weights_come_of_it(folder: Path) -> None:
    backbone, branch = make_branch("convolutional")
    pictures = pictures_of(folder)
    config = FineTuningConfig(epochs=6, batch_size=4, grading_weight=0.0, learning_rate=3e-3)
    taught, reports = fine_tune(branch, backbone, pictures, pictures, config)
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].loss < reports[0].loss
    assert taught is not branch
    assert not taught.training


def test_graded_copies_take_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, branch = make_branch("convolutional")
    graded: list[tuple[int, ...]] = []
    loss_of = fine_tuning.grading_loss

    def seen(scores: Tensor, falls: Tensor) -> Tensor:
        graded.append(tuple(scores.shape))
        return loss_of(scores, falls)

    monkeypatch.setattr(fine_tuning, "grading_loss", seen)
    config = FineTuningConfig(epochs=1, batch_size=8, graded_per_step=2)
    fine_tune(branch, backbone, pictures_of(folder), pictures_of(folder), config)
    assert graded == [(2, 5), (2, 5)], "two a step: clean, and four strengths"


def test_a_picture_that_cannot_be_read_is_named(folder: Path) -> None:
    backbone, branch = make_branch("convolutional")
    pictures = pictures_of(folder)
    pictures.paths[3].write_bytes(b"no picture")  # type: ignore[index]
    with pytest.raises(ImageError, match=pictures.paths[3].name):
        fine_tune(branch, backbone, pictures, pictures, FineTuningConfig(epochs=1))


# The command


@pytest.fixture
def scorer(
    folder: Path,
    tiny_encoder_specs: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """A scorer trained on the tiny backbones."""

    def parse(text: str) -> dict[str, Any]:
        return tiny_encoder_specs[int(text.removeprefix("tiny:"))]

    monkeypatch.setattr(train_module, "parse_backbone", parse)
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))
    backbones = ("--backbone", "tiny:0", "--backbone", "tiny:1", "--reader", "none")
    settings = ("--epochs", "1", "--spoiled", "2", "--graded", "2", "--members", "2")
    out = tmp_path / "scorer"
    require_done(rsfiqa("train", folder, "--out", out, "--name", "mine", *backbones, *settings))
    return out


TINY = ("--branch", "timm:test_vit:0:4", "--branch", "timm:test_efficientnet:1")
QUICK = ("--epochs", "2", "--batch-size", "4")


def test_fine_tune_then_assess(folder: Path, scorer: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    ended = rsfiqa("fine-tune", folder, "--model", scorer, "--out", out, *TINY, *QUICK)
    require_done(ended)
    assert not ended.stdout
    assert "timm:test_vit: epoch   2" in ended.stderr
    assert not (out / "fine-tuning").exists(), "what is safe is not kept twice"

    before, after = load_checkpoint(scorer), load_checkpoint(out)
    assert after.name.startswith("mine-")
    assert after.name != before.name
    assert after.name.endswith(weights_digest(after))
    assert after.scorer.config.verdicts == 2
    told = after.training["fine_tuning"]
    assert set(told["branches"]) == {"timm:test_vit", "timm:test_efficientnet"}
    assert told["validation_before"] == before.training["validation"]
    assert after.card is not None
    assert "Fine-tuned end to end for 2 epochs" in after.card

    picture = folder / "picture-00.png"
    found = RSFIQA.from_pretrained(out, reader="none").assess(picture)
    total = sum(region.weight * region.score for region in found.regions)
    assert total == pytest.approx(found.score, abs=1e-4)
    plain = RSFIQA.from_pretrained(scorer, reader="none").assess(picture)
    assert [r.weight for r in found.regions] == pytest.approx([r.weight for r in plain.regions])
    assert found.score != plain.score


def test_the_whole_pictures_logit_is_the_mean_of_all(
    folder: Path, scorer: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned"
    require_done(rsfiqa("fine-tune", folder, "--model", scorer, "--out", out, *TINY, *QUICK))
    before, after = load_checkpoint(scorer), load_checkpoint(out)
    context = torch.randn(3, after.scorer.config.context_dim)
    for old, new in zip(before.scorer.members, after.scorer.members, strict=True):
        own = old.context(context[:, :-2])
        assert torch.allclose(new.context(context), (own + context[:, -2:].sum(1)) / 3, atol=1e-6)
    encoder = build_encoder(after.encoder)
    said = encoder(noise(64, 64)).context[:, -2:]
    assert torch.equal(
        after.stem(torch.zeros(1, sum(after.stem.groups), 8, 8), encoder(noise(64, 64)).context)[1][
            :, -2:
        ],
        said,
    )
    assert bool(((to_score(said) > 0) & (to_score(said) < 100)).all())


def test_fine_tuning_again_leaves_earlier_branches_behind(
    folder: Path, scorer: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    require_done(rsfiqa("fine-tune", folder, "--model", scorer, "--out", first, *TINY, *QUICK))
    one = ("--branch", "timm:test_efficientnet:0")
    require_done(rsfiqa("fine-tune", folder, "--model", first, "--out", second, *one, *QUICK))
    found = load_checkpoint(second)
    assert found.scorer.config.verdicts == 1
    assert [name for spec in found.encoder for name in spec if name == "fine_tuned"] == [
        "fine_tuned"
    ]
    original = load_checkpoint(scorer)
    assert found.training["fine_tuning"]["validation_before"] == original.training["validation"]
    assert weights_digest(replace(without_verdicts(found), reliability=None)) == weights_digest(
        replace(original, reliability=None)
    )


def test_a_fine_tuned_scorer_moves_with_its_files(
    folder: Path, scorer: Path, tmp_path: Path
) -> None:
    tuned, copy = tmp_path / "tuned", tmp_path / "elsewhere"
    require_done(rsfiqa("fine-tune", folder, "--model", scorer, "--out", tuned, *TINY, *QUICK))
    picture = folder / "picture-01.png"
    assessor = RSFIQA.from_pretrained(tuned, reader="none")
    wanted = assessor.assess(picture).score
    assessor.save_pretrained(copy)
    for path in tuned.iterdir():
        path.unlink()
    specs = json.loads((copy / "config.json").read_text(encoding="utf-8"))["encoder"]
    names = {spec["fine_tuned"]["weights"] for spec in specs}
    assert names == {path.name for path in copy.glob("fine-tuned-*")}, "names, no paths"
    assert RSFIQA.from_pretrained(copy, reader="none").assess(picture).score == wanted
    next(copy.glob("fine-tuned-*")).unlink()
    with pytest.raises(AssetError, match="cannot be read"):
        RSFIQA.from_pretrained(copy, reader="none")


@contextmanager
def interrupted_after(epochs: int) -> Iterator[None]:
    """Within the block, fine-tuning is interrupted when so many epochs are kept."""
    done = 0
    make = FineTuningReport.__init__

    def counted(self: FineTuningReport, *args: Any, **kwargs: Any) -> None:
        nonlocal done
        if done == epochs:
            raise KeyboardInterrupt
        done += 1
        make(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTuningReport, "__init__", counted)
        yield


def test_an_interrupted_run_ends_with_the_same_weights(
    folder: Path, scorer: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    arguments = ("fine-tune", folder, "--model", scorer, *TINY, *QUICK)
    require_done(rsfiqa(*arguments, "--out", whole))
    with interrupted_after(3):
        assert rsfiqa(*arguments, "--out", parts).exit_code == 130
    assert not (parts / "config.json").exists()
    other = rsfiqa(*arguments, "--out", parts, "--seed", "5")
    require_one_sentence(other, 2, "unfinished run of other settings", "seed")
    require_done(rsfiqa(*arguments, "--out", parts))
    for path in whole.glob("fine-tuned-*.safetensors"):
        wanted, found = load_file(path), load_file(parts / path.name)
        assert wanted.keys() == found.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_data_that_the_scorer_was_not_trained_on_are_refused(scorer: Path, tmp_path: Path) -> None:
    other = write_scored_pictures(tmp_path / "other", count=12, splits=SPLITS)
    ended = rsfiqa("fine-tune", other, "--model", scorer, "--out", tmp_path / "out", *TINY)
    require_one_sentence(ended, 2, "was trained on 12 pictures", "has 9 and 3")
    ended = rsfiqa("fine-tune", other, "--model", scorer, "--out", tmp_path / "out")
    require_one_sentence(ended, 2, "has to be said", "--branch")


def test_weights_with_paths_stay_in_their_folder(
    folder: Path, scorer: Path, tmp_path: Path
) -> None:
    """A scorer from elsewhere names no file but its own."""
    out = tmp_path / "tuned"
    require_done(rsfiqa("fine-tune", folder, "--model", scorer, "--out", out, *TINY, *QUICK))
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    outside = tmp_path / "outside.safetensors"
    save_file({"secret": torch.zeros(1)}, outside)
    config["encoder"][0]["fine_tuned"]["weights"] = str(outside)
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (spec, _) = load_checkpoint(out).encoder
    assert Path(spec["fine_tuned"]["weights"]).parent == out


def test_saved_without_change_a_scorer_without_branches_stays_as_it_was(
    scorer: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(scorer)
    assert without_verdicts(checkpoint) is checkpoint
    widened = with_verdicts(checkpoint, 2)
    narrowed = without_verdicts(widened)
    save_checkpoint(replace(narrowed, training=checkpoint.training), tmp_path / "same")
    assert weights_digest(load_checkpoint(tmp_path / "same")) == weights_digest(checkpoint)
