"""What `rsfiqa train` does, once it is known what is asked for."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsfiqa.cli import common
from rsfiqa.cli import train_output as output

if TYPE_CHECKING:
    from rich.console import Console

    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.prepared import Prepared, Progress
    from rsfiqa.learning.recipe import Data
    from rsfiqa.learning.train_config import TrainConfig
    from rsfiqa.scoring.checkpoint import Checkpoint

RUN_CONFIG = "run_config.yaml"
LEAKS = "leaks.csv"
STATE = "training"
"""Folder of what an interrupted run left, inside that of the scorer."""


@dataclass
class Run:
    """A training run of the command.

    Args:
        config: what is trained, on what.
        out: folder of the scorer.
        cache: folder of cached features; None for the one in the asset cache.
        device: where features are computed and the scorer is trained.
        fresh: whether to forget what an interrupted run left.
    """

    config: TrainConfig
    out: Path
    cache: Path | None = None
    device: str = "auto"
    fresh: bool = False

    def go(self) -> None:
        """Train and write the scorer; nothing of it is written before the end.

        Raises:
            RsfiqaError: something is not as it should be.
        """
        from rsfiqa.cli.outputs import require_writable_folder
        from rsfiqa.learning.train_config import result_settings
        from rsfiqa.learning.training_state import TrainingState

        processes = self._processes()
        self._leads = processes is None or processes.is_main_process
        self._console = console = _console(quiet=not self._leads)
        sets = self.config.load_data()
        output.say_data(console, sets)
        require_writable_folder(self.out)
        state = TrainingState(self.out / STATE, result_settings(self.config))
        if self._leads and self.fresh:
            state.clear()
        if self._leads and state.check():
            console.print(f"going on with the run in {state.folder}")
        with output.stages(console) as told:
            with processes.main_process_first() if processes else nullcontext():
                sets = self._without_leaks(sets, told)
            prepared = self._prepare(sets, processes, told)
        if prepared is not None:
            checkpoint = self._train(prepared, state)
            self._write(checkpoint)
            state.clear()

    def _processes(self) -> Any:
        """The processes that accelerate launched, if it did."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return None
        from rsfiqa.errors import MissingExtraError
        from rsfiqa.learning.teaching_processes import join_processes

        try:
            return join_processes(self.device)
        except MissingExtraError as error:
            raise MissingExtraError("Sharing features out", "train") from error

    def _without_leaks(
        self, sets: dict[str, ScoredImages], told: Progress
    ) -> dict[str, ScoredImages]:
        """The data, after a look at whether validation and test are in it twice."""
        from rsfiqa.assets import cache_folder
        from rsfiqa.learning import training_leaks as leaks
        from rsfiqa.learning.fingerprint_cache import kept_fingerprints

        if self.config.leaks == "ignore":
            return sets
        if len(sets) == 1:  # pictures of one set need no other name
            sets = {"": next(iter(sets.values()))}
        rows = leaks.compared_rows(sets, self.config)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            told("looking for leaks", done, total)

        total = len({row.path for row in rows})
        prints = kept_fingerprints(rows, cache_folder() / "fingerprints", advance)
        found = leaks.find_training_leaks(sets, self.config, prints)
        listed = self.out / LEAKS
        if self._leads:
            listed.unlink(missing_ok=True)
            if found:
                leaks.write_leaks(found, listed)
        kept, said = leaks.apply_policy(sets, found, self.config.leaks, self.config, listed)
        for sentence in said:
            self._console.print(sentence)
        return kept

    def _prepare(
        self, sets: dict[str, ScoredImages], processes: Any, told: Progress
    ) -> Prepared | None:
        """The features; None in processes that only help to compute them."""
        from rsfiqa.learning import recipe

        data: Data = sets if len(sets) > 1 else next(iter(sets.values()))
        if processes is not None:
            recipe.prepare_share(data, self.config, processes, self.cache, told, device=self.device)
            if not self._leads:
                return None
        return recipe.prepare(data, self.config, self.cache, told, self.device)

    def _train(self, prepared: Prepared, state: Any) -> Checkpoint:
        from rsfiqa.learning.ensemble import train
        from rsfiqa.learning.train_config import plain_config
        from rsfiqa.learning.training_log import training_logs

        config, name = self.config, self._name()
        settings = plain_config(config)
        with training_logs(
            self.out,
            tensorboard=config.tensorboard,
            wandb=config.wandb,
            name=name,
            settings=settings,
        ) as logs:
            return train(
                prepared,
                name,
                lambda report: self._console.print(output.epoch_line(report)),
                state=state,
                logs=logs,
                device=self.device,
            )

    def _write(self, checkpoint: Checkpoint) -> None:
        from rsfiqa.learning.card import model_card
        from rsfiqa.learning.train_config import write_config
        from rsfiqa.scoring.checkpoint import save_checkpoint

        save_checkpoint(checkpoint, self.out)
        write_config(self.config, self.out / RUN_CONFIG)
        command = common.given_command()
        (self.out / "README.md").write_text(model_card(checkpoint, command), encoding="utf-8")
        srcc = output.figure(checkpoint.training["validation"]["srcc"])
        self._console.print(f"{checkpoint.name}: val SRCC {srcc}, written to {self.out}")

    def _name(self) -> str:
        """What results call the scorer, before a digest of its weights."""
        labels = "+".join(source.label for source in self.config.data)
        return self.config.name or f"{self.config.model.aggregation}-{labels}"


def _console(*, quiet: bool) -> Console:
    from rich.console import Console

    return Console(stderr=True, markup=False, soft_wrap=True, quiet=quiet)
