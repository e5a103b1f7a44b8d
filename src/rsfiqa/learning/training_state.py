"""What an interrupted training run left, so that the same command goes on to the same weights.

One file a member, `member-0.safetensors`, written whole after every epoch: weights, their average,
the optimiser's moments, the weights to keep so far and the state of the random numbers as tensors; the
rest (epochs done, figures, the schedule's place, settings) as JSON in its header.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsfiqa.atomic import sweep_partials, write_whole
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.differences import differing_known
from rsfiqa.learning.graded import Graded
from rsfiqa.learning.spoiled import Spoiled

_FORMAT = 1
_MEMBER = "member-{}.safetensors"


class TrainingState:
    """The folder in which a run keeps its state until it is done.

    Args:
        folder: made when the first epoch is done.
        settings: all that the result depends on, as plain data; a run of others is not taken up.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))

    def member(self, index: int, facts: Mapping[str, Any]) -> MemberState:
        """The state of one member; `facts` are known only when features are there."""
        return MemberState(self.folder / _MEMBER.format(index), {**self._settings, **facts})

    def check(self) -> bool:
        """See that what lies there, if anything, is of a run of the same settings.

        Returns:
            whether there is anything.

        Raises:
            ConfigError: it is of other settings.
            DataError: it is damaged.
        """
        found = sorted(self.folder.glob(_MEMBER.format("*")))
        for path in found:
            MemberState(path, self._settings).load()
        return bool(found)

    def clear(self) -> None:
        """Forget the run."""
        for path in self.folder.glob(_MEMBER.format("*")):
            sweep_partials(path)
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            self.folder.rmdir()


@dataclass(frozen=True)
class MemberState:
    """The state of one member.

    Attributes:
        path: of its file.
        settings: as for `TrainingState`.
    """

    path: Path
    settings: Mapping[str, Any]

    def save(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Write it, whole or not at all.

        Raises:
            DataError: the folder cannot be written.
        """
        from safetensors.torch import save

        # Copies: tensors that share memory cannot be saved, nor such as lie on a device.
        whole = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        header = {"format": _FORMAT, "settings": dict(self.settings), "progress": dict(progress)}
        try:
            write_whole(self.path, save(whole, metadata={"training": json.dumps(header)}))
        except OSError as error:
            raise DataError(
                f"the state of training cannot be written to {self.path.parent}: "
                f"{error.strerror or error}; free space there, and give the same command again to "
                "go on."
            ) from error

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved, None where nothing was.

        Raises:
            ConfigError: it is of a run of other settings.
            DataError: it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = json.loads(file.metadata()["training"])
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']}")
            before, progress = dict(header["settings"]), dict(header["progress"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise self.damaged(error) from error
        differs = differing_known(before, self.settings)
        if differs:
            raise ConfigError(
                f"{self.path.parent.parent} holds an unfinished run of other settings "
                f"({', '.join(differs)}); give those of before to go on, name another folder, or "
                "begin anew (--fresh)."
            )
        return tensors, progress

    def damaged(self, error: Exception) -> DataError:
        """The error that says so."""
        return DataError(
            f"the state of training in {self.path} cannot be read ({error}); begin anew (--fresh)."
        )


def data_digest(
    pictures: Iterable[PictureFeatures],
    targets: Iterable[float],
    spoiled: Iterable[Spoiled] = (),
    graded: Iterable[Graded] = (),
) -> str:
    """What tells training data again: 16 hexadecimal digits.

    Whole-picture features, areas and readings tell a picture well enough; its positions, which are
    a hundred times as much, are left out.
    """
    digest = hashlib.sha256()
    digest.update(torch.tensor(list(targets), dtype=torch.float64).numpy().tobytes())
    for copy in spoiled:
        digest.update(f"{copy.source} {copy.region} {copy.strength}".encode())
        _add(digest, copy.features)
    for grades in graded:
        digest.update(f"{grades.source}".encode())
        digest.update(grades.contexts.contiguous().numpy().tobytes())
    for picture in pictures:
        _add(digest, picture)
    return digest.hexdigest()[:16]


def _add(digest: Any, picture: PictureFeatures) -> None:
    tensors = [picture.context, picture.area, picture.labels]
    if picture.semantics is not None:
        tensors += [picture.semantics.ratings, picture.semantics.known]
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
