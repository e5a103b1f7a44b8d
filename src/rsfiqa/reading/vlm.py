"""The local reader: any image-text-to-text model of transformers, asked about every region.

Ratings are the model's probabilities of the five level words right after a fixed prefix (as
Q-Align rates whole pictures, arXiv 2312.17090), so nothing is sampled or parsed; the description is
its greedy answer of one line. Out of the box such models are poor at telling what is wrong with a
region; they are meant to be taught (`rsfiqa teach`). The reference is Qwen2.5-VL-7B-Instruct, which
sees pictures at their own resolution; models that bring every picture to one small size fit too, but
see no noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.assets.pretrained import first_line
from rsfiqa.errors import ConfigError, RsfiqaWarning
from rsfiqa.partition import Partition
from rsfiqa.reading import views, wording
from rsfiqa.reading.views import MAX_PIXELS, View, region_view, view_instruction
from rsfiqa.reading.vlm_answers import Answer, answers_apart, answers_from_stems
from rsfiqa.reading.vlm_loading import LoadedVLM, VLMPrecision, load_vlm
from rsfiqa.reading.vlm_prompts import QUESTIONS, prompt_text, question_messages
from rsfiqa.reading.vlm_stems import NotShareableError, Stem, grow_stem
from rsfiqa.types import DIMENSIONS, Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures

REGIONS_AT_ONCE = 4
"""Regions that are asked about together; six prompts each."""

_Pixels = npt.NDArray[np.uint8]
_Ask = Callable[[Sequence[int]], list[Answer]]

_LARGEST_DIFFERENCE = {"fp32": 1e-3, "bf16": 0.05, "4bit": 0.05}
"""Between probabilities with and without a shared beginning: rounding explains no more."""


class LocalVLMReader:
    """Reads regions with a vision-language model on this machine.

    Args:
        vlm: of `load_vlm`.
        view: what the model sees of a region, see `rsfiqa.reading.views`; with `picture` all regions
            of a picture share it, and it goes through the model once.
        max_pixels: the most pixels of a view.
        regions_at_once: asked about together; fewer when the device runs out of memory. Results do
            not depend on it beyond rounding.

    Attributes:
        shares_stems: whether the model lets questions share their common beginning, found out when
            the reader is made; it takes about four times as long where not.

    Raises:
        ConfigError: a setting is not accepted, or the model cannot answer about a test picture.

    Warns:
        RsfiqaWarning: the model's adapter was taught with another view.
    """

    encoder_name: str | None = None

    def __init__(
        self,
        vlm: LoadedVLM,
        *,
        view: View = "crop",
        max_pixels: int = MAX_PIXELS,
        regions_at_once: int = REGIONS_AT_ONCE,
    ) -> None:
        if regions_at_once < 1:
            raise ConfigError(f"regions_at_once is at least 1; got {regions_at_once}.")
        if vlm.taught_view not in (None, view):
            warnings.warn(
                f"{vlm.label} was taught with the view {vlm.taught_view} and is shown {view}, which "
                f"it does not know: its readings may be poor; give the view {vlm.taught_view}.",
                RsfiqaWarning,
                stacklevel=2,
            )
        self._vlm = vlm
        self._view: View = view
        self._max_pixels = max_pixels
        self._at_once = regions_at_once
        # transformers keeps the positions of the last picture in the model: one picture at a time.
        self._lock = Lock()
        self.shares_stems = self._try_stems()

    @classmethod
    def from_spec(
        cls,
        id_or_folder: str | Path,
        *,
        adapter: str | Path | None = None,
        device: str = "auto",
        precision: VLMPrecision = "auto",
        view: View = "crop",
        max_pixels: int = MAX_PIXELS,
        regions_at_once: int = REGIONS_AT_ONCE,
        offline: bool | None = None,
    ) -> LocalVLMReader:
        """Load a model and make a reader of it.

        Args:
            id_or_folder: a hub id, with or without `hf:` in front, or a local folder.
            adapter, device, precision, offline: as for `rsfiqa.reading.vlm_loading.load_vlm`.
            view, max_pixels, regions_at_once: as for the class.

        Raises:
            MissingExtraError, AssetError, ConfigError: as `load_vlm` and the class.
        """
        views.require_view(view, max_pixels)  # before the weights, which take minutes
        vlm = load_vlm(
            id_or_folder,
            adapter=adapter,
            device=device,
            precision=precision,
            max_pixels=max_pixels,
            offline=offline,
        )
        return cls(vlm, view=view, max_pixels=max_pixels, regions_at_once=regions_at_once)

    @property
    def name(self) -> str:
        """Model and adapter with what pins their weights, precision, view, and versions of texts."""
        seen = f"{self._view}-{self._max_pixels}"
        texts = f"{wording.VERSION}.{views.VERSION}"
        return f"hf:{self._vlm.label};{self._vlm.precision};{seen};texts-{texts}"

    def read(
        self, pixels: _Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        """One reading a region; see `rsfiqa.reading.base.Reader`. `grid` is not looked at."""
        with self._lock:
            regions = range(len(partition))
            try:
                ask = self._asking(pixels, partition)
            except Exception as error:  # such as no memory for a picture that all regions share
                return [_failed(_reason(error))] * len(regions)
            readings: list[Reading] = []
            for start in regions[:: self._at_once]:
                readings += _read(ask, regions[start : start + self._at_once])
            return readings

    def _asking(self, pixels: _Pixels, partition: Partition) -> _Ask:
        """What answers about regions of a picture; what all regions share is computed here."""
        prompts = _Prompts(self._vlm, pixels, partition, self._view, self._max_pixels)
        if not self.shares_stems:
            return partial(_ask_apart, prompts)
        if self._view == "crop":
            return partial(_ask_from_own_stems, prompts)
        picture = prompts.picture(0)
        texts = [
            text for region in range(len(partition)) for text in prompts.texts(region, picture)
        ]
        stem, tails = grow_stem(self._vlm, texts, picture)
        return partial(_ask_from_one_stem, self._vlm, stem, tails)

    def _try_stems(self) -> bool:
        """Ask about a test picture both ways: can questions share, and can the model answer?"""
        ramp = np.linspace(0, 255, 84 * 112 * 3).reshape(84, 112, 3).astype(np.uint8)
        picture = Image.fromarray(ramp)
        texts = _texts(self._vlm, picture, "The region is the whole picture. Judge all of it.")
        try:
            [apart] = answers_apart(self._vlm, texts, [picture])
        except Exception as error:
            raise ConfigError(
                f"{self._vlm.label} cannot answer about a picture ({_reason(error)}); choose another "
                "model, such as Qwen/Qwen2.5-VL-7B-Instruct, or update transformers with: pip install "
                '-U "rsfiqa[vlm]"'
            ) from error
        try:
            stem, tails = grow_stem(self._vlm, texts, picture)
            [shared] = answers_from_stems(self._vlm, [stem], [0], tails)
        except NotShareableError:
            return False
        except Exception:  # whatever a model raises that is not made to go on from a stem
            return False
        return _difference(apart, shared) <= _LARGEST_DIFFERENCE[self._vlm.precision]


@dataclass(frozen=True, eq=False)
class _Prompts:
    """What a model is shown and asked about the regions of one picture."""

    vlm: LoadedVLM
    pixels: _Pixels
    partition: Partition
    view: View
    max_pixels: int

    def picture(self, region: int) -> Image.Image:
        return region_view(
            self.pixels, self.partition, region, view=self.view, max_pixels=self.max_pixels
        )

    def texts(self, region: int, picture: Image.Image) -> list[str]:
        instruction = view_instruction(
            self.partition, region, view=self.view, max_pixels=self.max_pixels
        )
        return _texts(self.vlm, picture, instruction)


def _texts(vlm: LoadedVLM, picture: Image.Image, instruction: str) -> list[str]:
    return [
        prompt_text(
            vlm.processor, question_messages(picture, instruction, question.text), question.prefix
        )
        for question in QUESTIONS
    ]


def _ask_apart(prompts: _Prompts, regions: Sequence[int]) -> list[Answer]:
    pictures, texts = [], []
    for region in regions:
        pictures.append(prompts.picture(region))
        texts += prompts.texts(region, pictures[-1])
    return answers_apart(prompts.vlm, texts, pictures)


def _ask_from_own_stems(prompts: _Prompts, regions: Sequence[int]) -> list[Answer]:
    stems, tails = [], []
    for region in regions:
        picture = prompts.picture(region)
        stem, after = grow_stem(prompts.vlm, prompts.texts(region, picture), picture)
        stems.append(stem)
        tails += after
    return answers_from_stems(prompts.vlm, stems, range(len(stems)), tails)


def _ask_from_one_stem(
    vlm: LoadedVLM, stem: Stem, tails: Sequence[Sequence[int]], regions: Sequence[int]
) -> list[Answer]:
    each = len(QUESTIONS)
    mine = [tail for region in regions for tail in tails[region * each : (region + 1) * each]]
    return answers_from_stems(vlm, [stem], [0] * len(regions), mine)


def _difference(one: Answer, other: Answer) -> float:
    """The largest between their probabilities; infinite when there are none."""
    try:
        pairs = [
            (
                wording.rating_from_logits(a).probabilities,
                wording.rating_from_logits(b).probabilities,
            )
            for a, b in zip(one.level_logits, other.level_logits, strict=True)
        ]
    except ValueError:
        return float("inf")
    return float(np.abs(np.diff(np.array(pairs), axis=1)).max())


def _read(ask: _Ask, regions: Sequence[int]) -> list[Reading]:
    """Ask about regions together; when that fails, about halves of them, down to single ones."""
    reason, answers = None, []
    try:
        answers = ask(regions)
    except Exception as error:
        # The error is not kept: its traceback holds on to tensors, perhaps those that did not fit.
        reason = _reason(error)
    if reason is None:
        return [_reading(answer) for answer in answers]
    _free_memory()
    if len(regions) == 1:
        return [_failed(reason)]
    half = len(regions) // 2
    return _read(ask, regions[:half]) + _read(ask, regions[half:])


def _reading(answer: Answer) -> Reading:
    try:
        ratings = {
            dimension: wording.rating_from_logits(logits)
            for dimension, logits in zip(DIMENSIONS, answer.level_logits, strict=True)
        }
    except ValueError:
        return _failed("the model gives no finite numbers; another precision may mend it")
    return Reading("ok", answer.description, ratings)


def _failed(reason: str) -> Reading:
    return Reading("failed", reason=reason)


def _reason(error: Exception) -> str:
    said = first_line(error)
    return said if "out of memory" in said else f"{type(error).__name__}: {said}"


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
