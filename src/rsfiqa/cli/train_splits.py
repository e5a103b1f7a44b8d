"""What `rsfiqa train --splits` does: one scorer a split, each tested on what it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rsfiqa.cli import common
from rsfiqa.cli import train_output as output
from rsfiqa.cli.train_run import LEAKS, RUN_CONFIG, STATE, Run
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.cross_validation import Cut
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.evaluation import Evaluation
    from rsfiqa.learning.feature_bank import FeatureBank
    from rsfiqa.learning.prepared import Progress
    from rsfiqa.learning.splits import Splits
    from rsfiqa.learning.training_state import TrainingState

EVALUATION = "evaluation"
"""Folder of a split's test figures, inside that of its scorer."""
SPLITS = "splits.csv"


@dataclass
class SplitRuns(Run):
    """Training runs of the command, one for each split.

    Args:
        splits: how many random splits, or a file of them.
    """

    splits: str = ""

    def go(self) -> None:
        """Train and test the scorers that are not there yet; write and print figures of all.

        Raises:
            RsfiqaError: something is not as it should be.
        """
        from rich.console import Console

        from rsfiqa.cli.outputs import require_writable_folder
        from rsfiqa.learning.cross_validation import under_splits
        from rsfiqa.learning.splits import write_splits

        processes = self._processes()
        self._leads = processes is None or processes.is_main_process
        self._console = Console(stderr=True, markup=False, soft_wrap=True, quiet=not self._leads)
        data = self._one_data_set()
        splits = _splits_of(self.splits, data)
        applied = under_splits(data, splits, limit=self.config.limit)
        require_writable_folder(self.out)
        with output.stages(self._console) as told:
            with processes.main_process_first() if processes else nullcontext():
                cuts = self._cuts(applied, told)
            found = {cut.name: self._kept(cut) for cut in cuts}
            bank = None
            if None in found.values():
                used = next(iter(applied.values()))  # the same pictures under each split
                bank = self._bank(used, cuts, len(data), processes, told)
        if not self._leads:
            return
        write_splits(splits, self.out / SPLITS)
        for cut in cuts:
            if bank is not None and found[cut.name] is None:
                found[cut.name] = self._train_and_test(bank, cut)
        self._show_and_write({name: each for name, each in found.items() if each is not None})

    def _one_data_set(self) -> ScoredImages:
        sets = self.config.load_data()
        if len(sets) > 1:
            raise ConfigError(
                f"--splits are splits of one data set; got {len(sets)}: {', '.join(sets)}."
            )
        output.say_data(self._console, sets)
        return next(iter(sets.values()))

    def _cuts(self, applied: dict[str, ScoredImages], told: Progress) -> list[Cut]:
        """What each split is trained and tested on, after a look for leaks between these."""
        from rsfiqa.assets import cache_folder
        from rsfiqa.learning import training_leaks as leaks
        from rsfiqa.learning.cross_validation import make_cut
        from rsfiqa.learning.fingerprint_cache import kept_fingerprints
        from rsfiqa.learning.prepared import teller

        config, policy = replace(self.config, limit=0), self.config.leaks
        if policy == "ignore":
            return [make_cut(name, data, config) for name, data in applied.items()]
        rows = next(iter(applied.values())).rows  # the same pictures under each split
        tell, done = teller("looking for leaks", len(rows), told), 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            tell(done)

        prints = kept_fingerprints(rows, cache_folder() / "fingerprints", advance)
        cuts = []
        for name, data in applied.items():
            found = leaks.find_training_leaks({"": data}, config, prints)
            listed = self.out / name / LEAKS
            if self._leads:
                listed.unlink(missing_ok=True)
                if found:
                    leaks.write_leaks(found, listed)
            kept, said = leaks.apply_policy({"": data}, found, policy, config, listed)
            for sentence in said:
                self._console.print(f"{name}: {sentence}")
            cuts.append(make_cut(name, data, config, kept[""]))
        return cuts

    def _kept(self, cut: Cut) -> Evaluation | None:
        """What an earlier run made of a split, if it came to its end."""
        from rsfiqa.learning.kept_evaluations import kept_evaluation

        folder, state = self.out / cut.name, self._state(cut)
        if self.fresh:
            if self._leads:
                state.clear()
            return None
        found = kept_evaluation(folder / EVALUATION, self._made_from(cut))
        if found is not None:
            self._console.print(f"{cut.name}: is there already, in {folder}")
        elif state.check():
            self._console.print(f"{cut.name}: going on with the run in {state.folder}")
        return found

    def _bank(
        self,
        data: ScoredImages,
        cuts: Sequence[Cut],
        whole: int,
        processes: Any,
        told: Progress,
    ) -> FeatureBank | None:
        """All features; None in processes that only help to compute them.

        Args:
            data: the pictures that are used, of `whole` that there are.
        """
        from rsfiqa.learning import recipe
        from rsfiqa.learning.cross_validation import plan_copies, stem_pictures

        stem = stem_pictures(data, cuts)
        spoiled, graded = plan_copies(data, cuts, self.config, whole)
        if processes is not None:
            share = (data, self.config, processes, self.cache, told, self.device)
            recipe.prepare_bank_share(*share, stem=stem, spoiled=spoiled, graded=graded)
            if not self._leads:
                return None
        given = (data, self.config, self.cache, told, self.device)
        return recipe.prepare_bank(*given, stem=stem, spoiled=spoiled, graded=graded)

    def _train_and_test(self, bank: FeatureBank, cut: Cut) -> Evaluation:
        """Train a split's scorer, write it, and then how it does on the split's test part."""
        from rsfiqa.learning.card import model_card
        from rsfiqa.learning.cross_validation import evaluate_cut
        from rsfiqa.learning.kept_evaluations import keep_evaluation
        from rsfiqa.scoring.checkpoint import save_checkpoint

        folder, state = self.out / cut.name, self._state(cut)
        config = replace(self.config, name=f"{self._name()}-{cut.name}")
        run = Run(config, folder, self.cache, self.device)
        run._console = self._console
        self._console.print(
            f"{cut.name}: {len(cut.training)} training, {len(cut.validation)} validation and "
            f"{len(cut.test)} test pictures"
        )
        prepared = bank.prepared(self.config, cut.training, cut.validation)
        checkpoint = run._train(prepared, state)
        card = model_card(checkpoint, f"{common.given_command()}  # {cut.name}")
        save_checkpoint(replace(checkpoint, card=card), folder)
        evaluation = evaluate_cut(bank, cut, prepared, checkpoint)
        told = {"split": cut.name, "part": "test", "scorer": checkpoint.name}
        keep_evaluation(evaluation, folder / EVALUATION, made_from=self._made_from(cut), told=told)
        state.clear()
        srcc = output.figure(evaluation.overall.srcc)
        self._console.print(f"{checkpoint.name}: test SRCC {srcc}, written to {folder}")
        return evaluation

    def _show_and_write(self, evaluations: dict[str, Evaluation]) -> None:
        """Figures over all splits, in the terminal and as files."""
        from rich.console import Console

        from rsfiqa.learning.cross_validation import CrossValidation
        from rsfiqa.learning.cross_validation_files import (
            cross_validation_table,
            write_cross_validation,
        )
        from rsfiqa.learning.train_config import plain_config, write_config

        found = CrossValidation(evaluations)
        Console().print(cross_validation_table(found, f"{self._name()}, {len(evaluations)} splits"))
        settings = {
            "command": common.given_command(),
            "splits": SPLITS,
            **plain_config(self.config),
        }
        write_cross_validation(found, self.out, run_config=settings)
        write_config(self.config, self.out / RUN_CONFIG, splits=SPLITS)
        self._console.print(f"written to {self.out}")

    def _state(self, cut: Cut) -> TrainingState:
        from rsfiqa.learning.training_state import TrainingState

        return TrainingState(self.out / cut.name / STATE, self._made_from(cut))

    def _made_from(self, cut: Cut) -> dict[str, Any]:
        """What a split's scorer and its figures depend on."""
        from rsfiqa.learning.kept_evaluations import pictures_digest
        from rsfiqa.learning.train_config import result_settings

        pictures = pictures_digest(cut.training, cut.validation, cut.test)
        return {**result_settings(self.config), "pictures": pictures}


def _splits_of(given: str, data: ScoredImages) -> Splits:
    from rsfiqa.learning.splits import random_splits, read_splits

    return random_splits(data, count=int(given)) if given.isdecimal() else read_splits(given)
