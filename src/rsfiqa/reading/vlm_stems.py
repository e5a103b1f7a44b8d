"""Many questions about one picture, of which the model reads the common beginning only once.

The prompts about a picture differ in their last tokens. What they share, the *stem* with the
picture in it, goes through the model alone; its keys and values are then laid out once a *branch*,
and all branches go on together, padded on the left. Every branch gets the numbers that its whole
prompt alone would give, up to rounding. This holds for models whose every layer keeps all keys and
values and looks back only; `try_stems` finds out whether one is of these.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from rsfiqa.reading.vlm_loading import LoadedVLM
from rsfiqa.reading.vlm_prompts import model_inputs, tokenize

if TYPE_CHECKING:
    import torch


class NotShareableError(Exception):
    """The model or its processor does not allow prompts to share their beginning."""


@dataclass(frozen=True, eq=False)
class Stem:
    """What several prompts share, as the model remembers it.

    Attributes:
        memory: keys and values of each layer, each `[1, heads, length, channels]`.
        length: tokens of the stem.
        position: of the next token; with positions in three dimensions (Qwen2.5-VL's M-RoPE) a
            picture takes up fewer positions than tokens.
        axes: how many dimensions positions have, or 0 when it is one and goes without saying.
    """

    memory: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    length: int
    position: int
    axes: int


def grow_stem(
    vlm: LoadedVLM, texts: Sequence[str], picture: Image.Image
) -> tuple[Stem, list[list[int]]]:
    """Read what prompts about one picture share.

    Args:
        vlm: the model.
        texts: of `prompt_text`, at least two of them different, each with the picture once.
        picture: theirs.

    Returns:
        The stem, and of each text the tokens that follow it, at least one.

    Raises:
        NotShareableError: the texts share no picture, or the model remembers in another way.
    """
    import torch

    prompts = [tokenize(vlm.processor, text) for text in texts]
    shared = _common_length(prompts)
    tails = [prompt[shared:] for prompt in prompts]
    inputs = model_inputs(vlm.processor, texts[:1], [picture])
    whole = inputs["input_ids"].shape[1]
    length = whole - len(tails[0])
    # The processor puts tokens in for the picture: they must all lie before the tails.
    if inputs["input_ids"][0, length:].tolist() != tails[0] or length < shared:
        raise NotShareableError("the picture is not among what the prompts share")
    stem_inputs = {
        name: (value[:, :length] if value.shape[:2] == (1, whole) and value.ndim == 2 else value)
        for name, value in inputs.items()
    }
    with torch.no_grad():
        output = vlm.model(
            **placed(vlm, stem_inputs), use_cache=True, **_last_logits_only(vlm.base_model)
        )
    # Only models with positions in several dimensions have this: positions minus tokens.
    delta = getattr(getattr(vlm.base_model, "model", None), "rope_deltas", None)
    skipped = 0 if delta is None else int(delta.flatten()[0])
    memory = _memory_of(output.past_key_values)
    return Stem(memory, length, length + skipped, 0 if delta is None else 3), tails


def _common_length(prompts: Sequence[Sequence[int]]) -> int:
    """Of the longest common beginning that leaves every prompt a token."""
    limit = min(map(len, prompts)) - 1
    for index in range(limit):
        if any(prompt[index] != prompts[0][index] for prompt in prompts):
            return index
    return limit


def _memory_of(cache: Any) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    from transformers.cache_utils import DynamicCache, DynamicLayer

    # Windows, recurrent states and the like are subclasses, or other classes.
    if type(cache) is not DynamicCache or any(type(x) is not DynamicLayer for x in cache.layers):
        raise NotShareableError("its layers do not keep all keys and values")
    layers: list[Any] = cache.layers
    return tuple((layer.keys, layer.values) for layer in layers)


class Branches:
    """Prompts that go on from stems, one a row.

    Args:
        vlm: the model.
        stems: of `grow_stem`.
        owners: of each row, the index of its stem.
        tails: of each row, the tokens that follow the stem.

    Attributes:
        logits: of the token that comes next in each row, float32 `[rows, vocabulary]`.
    """

    logits: torch.Tensor

    def __init__(
        self,
        vlm: LoadedVLM,
        stems: Sequence[Stem],
        owners: Sequence[int],
        tails: Sequence[Sequence[int]],
    ) -> None:
        import torch
        from transformers.cache_utils import DynamicCache

        self._vlm = vlm
        longest = max(stem.length for stem in stems)
        rows = torch.tensor(list(owners), device=vlm.device)
        self._cache = DynamicCache()
        for layer in range(len(stems[0].memory)):
            keys, values = (
                torch.cat([_padded(stem.memory[layer][part], longest) for stem in stems])[rows]
                for part in (0, 1)
            )
            self._cache.update(keys, values, layer)
        lengths = torch.tensor([stem.length for stem in stems], device=vlm.device)
        columns = torch.arange(longest, device=vlm.device)
        self._mask = (columns >= longest - lengths[:, None]).long()[rows]
        self._next = torch.tensor([stem.position for stem in stems], device=vlm.device)[rows]
        self._axes = stems[0].axes
        width = max(map(len, tails))
        tokens = torch.zeros(len(tails), width, dtype=torch.long)
        seen = torch.zeros_like(tokens)
        for row, tail in enumerate(tails):
            tokens[row, width - len(tail) :] = torch.tensor(list(tail))
            seen[row, width - len(tail) :] = 1
        self._forward(tokens.to(vlm.device), seen.to(vlm.device))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only."""
        import torch

        chosen = torch.tensor(list(rows), device=self._vlm.device)
        self._cache.batch_select_indices(chosen)
        self._mask, self._next = self._mask[chosen], self._next[chosen]
        self.logits = self.logits[chosen]

    def advance(self, tokens: torch.Tensor) -> None:
        """Append one token to every row: `[rows]`."""
        import torch

        self._forward(tokens[:, None], torch.ones_like(tokens)[:, None])

    def _forward(self, tokens: torch.Tensor, seen: torch.Tensor) -> None:
        import torch

        self._mask = torch.cat([self._mask, seen], dim=1)
        # Padding gets the first position; nobody looks at it.
        positions = self._next[:, None] + (seen.cumsum(1) - 1).clamp_min(0)
        self._next = positions[:, -1] + 1
        with torch.no_grad():
            output = self._vlm.model(
                input_ids=tokens,
                attention_mask=self._mask,
                position_ids=positions.expand(self._axes, -1, -1) if self._axes else positions,
                past_key_values=self._cache,
                use_cache=True,
                **_last_logits_only(self._vlm.base_model),
            )
        self.logits = output.logits[:, -1].float()


def _padded(memory: torch.Tensor, length: int) -> torch.Tensor:
    """Keys or values `[1, heads, tokens, channels]` with zeros in front, up to `length` tokens."""
    import torch

    return torch.nn.functional.pad(memory, (0, 0, length - memory.shape[2], 0))


def placed(vlm: LoadedVLM, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs on the model's device, pictures in its precision."""
    import torch

    picture_dtype = torch.float32 if vlm.precision == "fp32" else torch.bfloat16
    return {
        name: value.to(vlm.device, picture_dtype)
        if value.is_floating_point()
        else value.to(vlm.device)
        for name, value in inputs.items()
    }


def _last_logits_only(model: Any) -> dict[str, int]:
    """Spare the vocabulary's logits at all tokens but the last, where the model can."""
    return (
        {"logits_to_keep": 1}
        if "logits_to_keep" in inspect.signature(model.forward).parameters
        else {}
    )
