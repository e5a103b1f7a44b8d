"""One backbone's part of features that several made side by side, as if it had been alone.

A grid encoder puts the maps of its backbones side by side, and the stem projects each map and
standardises each number of the context by itself. So the part of one backbone is a slice: the same
numbers as of an encoder and a stem that have nothing else. What a picture's regions are is not
sliced: these are those of the encoder as a whole, whose first backbone they were made with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.graded import Graded
from rsfiqa.scoring.stem import Stem


@dataclass(frozen=True)
class BackbonePart:
    """Where one backbone's features lie among those of an encoder.

    Attributes:
        spec: the backbone's description, as `rsfiqa.encoders.build.build_encoder` takes it.
        maps: of the stem's groups.
        raw: of the positions' channels before the stem.
        channels: of those after it.
        context: of the whole-picture features.
    """

    spec: Mapping[str, Any]
    maps: slice
    raw: slice
    channels: slice
    context: slice

    @property
    def name(self) -> str:
        """The backbone's name, such as `dinov2-small` or `timm:resnet18`."""
        return str(self.spec["backbone"])

    def of_features(self, features: PictureFeatures) -> PictureFeatures:
        """The features of one picture without the other backbones'; no memory is taken for them."""
        return replace(
            features,
            positions=features.positions[self.channels],
            context=features.context[self.context],
        )

    def of_graded(self, copy: Graded) -> Graded:
        """Graded copies of one picture without the other backbones' features."""
        return replace(copy, contexts=copy.contexts[:, self.context])

    def of_stem(self, stem: Stem) -> Stem:
        """The stem that makes these features of this backbone's maps alone."""
        groups = stem.groups[self.maps]
        alone = Stem(groups, max(stem.widths), len(stem.context_center[self.context]))
        with torch.no_grad():
            alone.center.copy_(stem.center[self.raw])
            mine = list(stem.projections)[self.maps]
            for projection, given in zip(alone.projections, mine, strict=True):
                projection.copy_(given)
            alone.context_center.copy_(stem.context_center[self.context])
            alone.context_scale.copy_(stem.context_scale[self.context])
        return alone


def backbone_parts(
    encoder: GridEncoder, specs: Sequence[Mapping[str, Any]], stem: Stem
) -> tuple[BackbonePart, ...]:
    """The part of each backbone, in their order.

    Args:
        encoder: with all backbones.
        specs: what they were built from.
        stem: made for the encoder.
    """
    parts: list[BackbonePart] = []
    maps = raw = channels = context = 0
    for backbone, spec in zip(encoder.backbones, specs, strict=True):
        alone = GridEncoder([backbone])
        more_maps = maps + len(alone.groups)
        more_raw = raw + sum(alone.groups)
        more_channels = channels + sum(stem.widths[maps:more_maps])
        more_context = context + alone.context_dim
        parts.append(
            BackbonePart(
                spec=spec,
                maps=slice(maps, more_maps),
                raw=slice(raw, more_raw),
                channels=slice(channels, more_channels),
                context=slice(context, more_context),
            )
        )
        maps, raw, channels, context = more_maps, more_raw, more_channels, more_context
    return tuple(parts)
