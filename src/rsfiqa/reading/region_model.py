"""The embedded multi-modal model: soft tokens of regions in, level words and descriptions out.

Every region is one short conversation. Its questions are answered side by side: after the region's
tokens the sequence branches, one branch an answer's fixed prefix, and a mask keeps the branches from
seeing each other, so that one pass over a region gives all five ratings, each as if it had been
asked alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.reading.language_model import LanguageModel, level_word_ids
from rsfiqa.reading.projector import EvidenceBatch, Projector
from rsfiqa.reading.wording import (
    CONTENT_PREFIX,
    LEVEL_WORDS,
    LONGEST_DESCRIPTION,
    RATING_PREFIXES,
)
from rsfiqa.types import DIMENSIONS

_BEFORE = "<|im_start|>user\nRegion:"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n"


class RegionLanguageModel(nn.Module):
    """A projector in front of a language model.

    Args:
        language: the language model; taught adapters are merged or wrapped beforehand.
        projector: makes the soft tokens.

    Raises:
        ConfigError: a level word is not one token in this language model.
    """

    def __init__(self, language: LanguageModel, projector: Projector) -> None:
        super().__init__()
        self.language = language
        self.projector = projector
        self.model = language.model
        self._layout = _Layout(language, projector.config.tokens)

    @property
    def dtype(self) -> torch.dtype:
        """Of the language model's computations."""
        return self._embedding.weight.dtype

    @property
    def _embedding(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        return embedding

    def embedded(self, ids: Tensor) -> Tensor:
        """The embeddings of token ids."""
        found: Tensor = self._embedding(ids)
        return found

    def prefix(self, soft: Tensor) -> Tensor:
        """What every branch begins with, as embeddings `[N, P, width]`."""
        layout, device = self._layout, soft.device
        before = self.embedded(layout.before.to(device)).expand(len(soft), -1, -1)
        after = self.embedded(layout.after.to(device)).expand(len(soft), -1, -1)
        return torch.cat([before, soft.to(before.dtype), after], 1)

    def level_logits(self, soft: Tensor) -> Tensor:
        """The logits of the level words `[N, 5, 5]`, dimensions by levels, best level first."""
        hidden, _ = self._branches(soft, None, keep=False)
        return self._levels(hidden)

    def answers(self, soft: Tensor, descriptions: Tensor) -> tuple[Tensor, Tensor]:
        """Level logits, and next-token logits along given descriptions, in one pass.

        Args:
            soft: `[N, T, width]`.
            descriptions: token ids `[N, L]` that follow the content prefix, padded behind.

        Returns:
            logits `[N, 5, 5]`, and `[N, L, vocabulary]`: at each place, of the token that stands
            there.
        """
        hidden, _ = self._branches(soft, descriptions, keep=False)
        length = descriptions.shape[1]
        start = self._layout.content_end
        # The token at each place is foretold by the place before it.
        told = hidden[:, start : start + length].flatten(0, 1)
        logits = F.linear(told, self._embedding.weight).float()
        return self._levels(hidden), logits.unflatten(0, (-1, length))

    @torch.inference_mode()
    def read(self, soft: Tensor, *, describe: bool = True) -> tuple[Tensor, list[str]]:
        """Level probabilities `[N, 5, 5]` and greedy descriptions of all regions.

        The pass over the region's tokens is shared by ratings and descriptions.
        """
        hidden, cache = self._branches(soft, None, keep=describe)
        probabilities = self._levels(hidden).float().softmax(-1)
        return probabilities, self._describe(hidden, cache, len(soft)) if describe else []

    def _levels(self, hidden: Tensor) -> Tensor:
        layout = self._layout
        at = hidden[:, layout.rating_ends]
        words = self._embedding.weight[layout.level_ids.to(at.device)]
        return torch.einsum("ndw,dlw->ndl", at.float(), words.float())

    def _branches(
        self, soft: Tensor, descriptions: Tensor | None, *, keep: bool
    ) -> tuple[Tensor, Any]:
        layout, device = self._layout, soft.device
        parts = [
            self.prefix(soft),
            self.embedded(layout.branches.to(device)).expand(len(soft), -1, -1),
        ]
        extra = 0
        if descriptions is not None:
            parts.append(self.embedded(descriptions))
            extra = descriptions.shape[1]
        inputs = torch.cat(parts, 1)
        allowed, positions = layout.tree(extra)
        mask = torch.zeros(allowed.shape, dtype=inputs.dtype, device=device)
        mask.masked_fill_(~allowed.to(device), torch.finfo(inputs.dtype).min)
        out = self._backbone(
            inputs_embeds=inputs,
            attention_mask=mask[None, None].expand(len(soft), 1, -1, -1),
            position_ids=positions.to(device)[None].expand(len(soft), -1),
            use_cache=keep,
        )
        return out.last_hidden_state, out.past_key_values if keep else None

    @property
    def _backbone(self) -> nn.Module:
        """The transformer under the language model's head, adapters of peft included."""
        base: Any = self.model
        if hasattr(base, "get_base_model"):
            base = base.get_base_model()
        backbone: nn.Module = base.model
        return backbone

    def _describe(self, hidden: Tensor, cache: Any, count: int) -> list[str]:
        """Greedy descriptions: the content branch goes on, the others are hidden from it."""
        layout, device = self._layout, hidden.device
        allowed, positions = layout.tree(LONGEST_DESCRIPTION)
        start = layout.length
        written: list[Tensor] = []
        going = torch.ones(count, dtype=torch.bool, device=device)
        last = hidden[:, layout.content_end]
        for place in range(LONGEST_DESCRIPTION):
            word = F.linear(last, self._embedding.weight).argmax(-1)
            word = torch.where(going, word, self.language.end)
            going &= word != self.language.end
            written.append(word)
            if not going.any() or place == LONGEST_DESCRIPTION - 1:
                break
            row = start + place
            seen = allowed[row, : row + 1].to(device)
            mask = torch.zeros(seen.shape, dtype=hidden.dtype, device=device)
            mask.masked_fill_(~seen, torch.finfo(hidden.dtype).min)
            out = self._backbone(
                inputs_embeds=self.embedded(word[:, None]),
                attention_mask=mask[None, None, None].expand(count, 1, 1, -1),
                position_ids=positions[row].to(device).expand(count, 1),
                past_key_values=cache,
                use_cache=True,
            )
            last = out.last_hidden_state[:, -1]
        return [self._clean(row) for row in torch.stack(written, 1).tolist()]

    def _clean(self, ids: list[int]) -> str:
        if self.language.end in ids:
            ids = ids[: ids.index(self.language.end)]
        return self.language.text(ids).split("\n")[0].strip().rstrip(".")

    def forward(self, evidence: EvidenceBatch) -> Tensor:
        """Level logits `[N, 5, 5]` of regions."""
        return self.level_logits(self.projector(evidence))


class _Layout:
    """Where everything stands in the branching sequence."""

    def __init__(self, language: LanguageModel, tokens: int) -> None:
        self.before = torch.tensor(language.ids(_BEFORE))
        self.after = torch.tensor(language.ids(_AFTER))
        self.prefix = len(self.before) + tokens + len(self.after)
        texts = [RATING_PREFIXES[dimension] for dimension in DIMENSIONS] + [CONTENT_PREFIX]
        branches = [language.ids(text) for text in texts]
        ends, at = [], self.prefix
        for branch in branches:
            at += len(branch)
            ends.append(at - 1)
        self.branches = torch.tensor([token for branch in branches for token in branch])
        self.rating_ends = ends[:-1]
        self.content_end = ends[-1]
        self.length = at
        self.level_ids = torch.tensor(
            [level_word_ids(language, text, LEVEL_WORDS) for text in texts[:-1]]
        )
        owners = torch.full((self.prefix,), -1)
        self._owner = torch.cat(
            [owners, *(torch.full((len(branch),), i) for i, branch in enumerate(branches))]
        )
        self._position = torch.cat(
            [torch.arange(self.prefix), *(self.prefix + torch.arange(len(b)) for b in branches)]
        )

    def tree(self, extra: int) -> tuple[Tensor, Tensor]:
        """Which place may see which `[L, L]`, and each place's position, with `extra` more places
        behind the content branch."""
        content = int(self._owner[-1])
        owner = torch.cat([self._owner, torch.full((extra,), content)])
        further = self._position[-1] + 1 + torch.arange(extra)
        position = torch.cat([self._position, further])
        same = (owner[:, None] == owner[None]) | (owner[None] == -1)
        order = torch.arange(len(owner))
        return same & (order[:, None] >= order[None]), position
