"""`rsfiqa teach tune`: teach a reader with instruction data.

The same command teaches the embedded reader on a processor and a vision-language model on GPUs:

    rsfiqa teach tune SET... --out DIR
    accelerate launch -m rsfiqa teach tune SET... --out DIR --reader hf:Qwen/Qwen2.5-VL-7B-Instruct
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.instructions import InstructionSet
    from rsfiqa.learning.teaching import Pupil, StepReport
    from rsfiqa.learning.teaching_config import TeachingConfig

_OWN = "the reader's own"


def tune(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="SET...",
            help="Instruction data that rsfiqa teach data and rsfiqa teach labels made.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for the taught reader. An interrupted run goes on when the same command "
            "is given again.",
        ),
    ],
    reader: Annotated[
        str,
        typer.Option(
            help="What is taught: embedded, or hf:MODEL, a vision-language model by hub id or "
            "folder."
        ),
    ] = "embedded",
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Settings as a JSON object; options given here win. It may set more than they "
            'do, such as {"targets": ["q_proj", "v_proj"], "train_vision": true}.',
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the regions.", show_default=_OWN)
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(help="Weight updates at most; 0 for no limit.", show_default="0"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Regions in a batch of one process.", show_default=_OWN)
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches in a weight update.", show_default=_OWN)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate of the adapter.", show_default=_OWN)
    ] = None,
    projector_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate of the projector.", show_default=_OWN)
    ] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA's rank.", show_default=_OWN)] = None,
    alpha: Annotated[
        int | None,
        typer.Option(help="LoRA's alpha: the adapter counts alpha / rank.", show_default=_OWN),
    ] = None,
    description_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of the loss on descriptions, beside that on ratings.", show_default=_OWN
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32 or bf16; for hf:MODEL also 4bit (QLoRA).", show_default="bf16"),
    ] = None,
    held: Annotated[
        float | None,
        typer.Option(help="Fraction of the photographs kept for validation.", show_default="0.1"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all random choices.", show_default="0")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Weight updates between checkpoints.", show_default="200")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="crop|picture", help="What hf:MODEL is shown of a region.", show_default="crop"
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Where models run: auto, cpu, cuda, cuda:1, mps; under accelerate launch auto."
        ),
    ] = "auto",
    quiet: common.QuietOption = False,
) -> None:
    """Teach a reader with instruction data.

    Several GPUs, by accelerate:

    `accelerate launch -m rsfiqa teach tune SET --out DIR --reader hf:Qwen/Qwen2.5-VL-7B-Instruct`
    """
    from rsfiqa.learning.instructions import read_instructions
    from rsfiqa.learning.teaching_config import read_settings

    options = {
        "epochs": epochs,
        "max_steps": max_steps,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "learning_rate": learning_rate,
        "projector_rate": projector_rate,
        "rank": rank,
        "alpha": alpha,
        "description_weight": description_weight,
        "precision": precision,
        "held": held,
        "seed": seed,
        "checkpoint_every": checkpoint_every,
        "view": view,
    }
    given = {name: value for name, value in options.items() if value is not None}
    settings = _settings(reader, {**(read_settings(config) if config else {}), **given})
    sets = [
        _Set(folder, *read_instructions(folder).split(settings.held, seed=settings.seed))
        for folder in data
    ]
    if not any(part.training.count_regions().regions for part in sets):
        named = " and ".join(map(str, data))
        raise ConfigError(
            f"of the pictures in {named} none with regions is left to learn from; make more "
            "instruction data, or hold fewer back (--held)."
        )
    outputs.require_writable_folder(out)
    with warnings.catch_warnings():
        # Libraries' remarks to each other, such as peft's use of a name that transformers changed.
        warnings.simplefilter("ignore")
        _Run(reader, settings, sets, out, device, quiet).teach()


def _settings(reader: str, values: Mapping[str, Any]) -> TeachingConfig:
    from rsfiqa.learning.teaching_config import TeachingConfig, config_from

    kind, _, model = reader.partition(":")
    if reader == "embedded":
        return config_from(TeachingConfig, values, reader)
    if kind == "hf" and model:
        from rsfiqa.learning.teaching_vlm import VLMTeachingConfig

        return config_from(VLMTeachingConfig, values, reader)
    raise ConfigError(f"what can be taught is embedded or hf:MODEL; got {reader!r}.")


@dataclass(frozen=True)
class _Set:
    """One set of instruction data, its photographs parted."""

    folder: Path
    training: InstructionSet
    validation: InstructionSet

    @property
    def label(self) -> str:
        """What the set is, with a digest of what it says."""
        from rsfiqa.images import hash_file
        from rsfiqa.learning.instructions import INSTRUCTIONS_FILE

        digest = hash_file(self.folder / INSTRUCTIONS_FILE)[:8]
        return f"{self.folder.resolve().name}#{digest}"


@dataclass(frozen=True)
class _Run:
    """One call of the command, in one of its processes."""

    reader: str
    settings: TeachingConfig
    sets: Sequence[_Set]
    out: Path
    device: str
    quiet: bool

    def teach(self) -> None:
        from rsfiqa.learning.teaching import teach
        from rsfiqa.learning.teaching_plan import Plan
        from rsfiqa.learning.teaching_processes import join_processes

        processes = join_processes(self.device)
        talks = processes.is_main_process
        shown = talks and not self.quiet and common.on_terminal()
        make = _embedded_pupil if self.reader == "embedded" else _vlm_pupil
        pupil, base = make(self, processes, shown)
        data = ", ".join(part.label for part in self.sets)
        steps = Plan(len(pupil), self.settings, processes.num_processes).steps
        with common.progress("teaching", steps, shown=shown) as advance:
            figures = teach(
                pupil,
                self.settings,
                self.out,
                _teller(advance),
                facts={"base": base, "data": data},
                notes={"command": _command(processes.num_processes)},
            )
        if talks:
            if self.reader == "embedded":
                self._write_card()
            self._say(figures)

    def _write_card(self) -> None:
        import json

        from rsfiqa.learning.reader_card import embedded_card
        from rsfiqa.reading.embedded_checkpoint import CONFIG

        saved = json.loads((self.out / CONFIG).read_text(encoding="utf-8"))
        card = embedded_card(saved["training"], self.out.resolve())
        (self.out / "README.md").write_text(card, encoding="utf-8")

    def _say(self, figures: Mapping[str, Any]) -> None:
        """The figures to standard output, where it was written and how it is used to the other."""
        from rsfiqa.learning.reader_card import figure_rows

        rows = list(figure_rows(figures))
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            typer.echo(f"{name:<{width}}  {value}")
        if self.quiet:
            return
        folder = shlex.quote(str(self.out))
        use = f"--reader embedded:{folder}"
        if self.reader != "embedded":
            chosen = getattr(self.settings, "view", "crop")
            use = f"--reader {shlex.quote(self.reader)} --adapter {folder} --view {chosen}"
        typer.echo(f"rsfiqa: taught; use it with {use}", err=True)


def _teller(advance: common.Advance) -> Callable[[StepReport], None]:
    """Moves a progress bar, also past the steps of an earlier run."""
    done = 0

    def tell(report: StepReport) -> None:
        nonlocal done
        word = f"levels {report.levels:.3f}  description {report.description:.3f}"
        advance(report.step - done, word)
        done = report.step

    return tell


def _command(processes: int) -> str:
    launcher = f"accelerate launch --num_processes {processes} -m " if processes > 1 else ""
    return launcher + common.given_command()


def _vlm_pupil(run: _Run, processes: Any, shown: bool) -> tuple[Pupil, str]:
    """The model on this process's device, with what pins its weights."""
    from rsfiqa.learning.instructions import JoinedInstructions
    from rsfiqa.learning.teaching_vlm import VLMPupil, VLMTeachingConfig
    from rsfiqa.reading.vlm_loading import load_vlm

    settings = run.settings
    if not isinstance(settings, VLMTeachingConfig):  # settings follow from the reader
        raise ConfigError(f"{type(settings).__name__} holds no settings of {run.reader}.")
    with processes.main_process_first():  # which fetches what the others then find
        vlm = load_vlm(
            run.reader.removeprefix("hf:"),
            device=str(processes.device),
            precision=settings.precision,  # type: ignore[arg-type]
            max_pixels=settings.max_pixels,
        )
    label = vlm.label
    training = JoinedInstructions([part.training for part in run.sets])
    validation = JoinedInstructions([part.validation for part in run.sets])
    return VLMPupil(vlm, training, validation, settings), label


def _embedded_pupil(run: _Run, processes: Any, shown: bool) -> tuple[Pupil, str]:
    """The untaught embedded reader, with what its evidence and weights are."""
    from rsfiqa.encoders.build import build_encoder
    from rsfiqa.learning.teaching_embedded import EmbeddedPupil
    from rsfiqa.learning.teaching_evidence import EvidenceStore, TaughtRegions
    from rsfiqa.reading.language_model import ASSET, load_language_model

    with processes.main_process_first():
        language = load_language_model()
        encoder = build_encoder().eval()
        if run.settings.precision == "bf16":
            encoder.to_bf16()
        total = sum(len(part.training) + len(part.validation) for part in run.sets)
        learnt, held = [], []
        with common.progress("looking", total, shown=shown) as advance:
            for part in run.sets:
                store = EvidenceStore(part.folder / "evidence", encoder)
                learnt.append(store.gather(part.training, lambda _: advance(1)))
                held.append(store.gather(part.validation, lambda _: advance(1)))
    pupil = EmbeddedPupil(
        language, encoder, TaughtRegions.joined(learnt), TaughtRegions.joined(held), run.settings
    )
    return pupil, f"{ASSET}, {encoder.name} {encoder.precision}"
