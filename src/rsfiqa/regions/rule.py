"""The partition rule: any list of overlapping masks becomes one true partition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.masks import AnyMask, ScoredMask, mask_runs, score_of
from rsfiqa.regions.merging import merge_regions
from rsfiqa.regions.painting import (
    UNCOVERED,
    Candidate,
    Painting,
    content_key,
    paint,
    without_duplicates,
)
from rsfiqa.regions.pieces import Ints, Pieces, give_up, joined_pieces, numbered_by_first, pieces_of
from rsfiqa.regions.uncovered import mean_colours, split_strips
from rsfiqa.runs import area_of


@dataclass(frozen=True)
class PartitionRule:
    """Turns scored masks, which may overlap and leave holes, into a partition.

    1. Masks smaller than `min_area` are dropped, the empty ones among them. Masks of another
       resolution are brought to the picture's first, each pixel taking the mask's pixel under its
       centre.
    2. Of masks whose intersection over union reaches `duplicate_iou` only the better-scored stays;
       among equals the larger, then the one whose runs come first.
    3. The rest is painted, smaller over larger, so that parts survive on top of what they are part
       of; of equal areas the better-scored lies on top, then the one whose runs come first. A
       mask is left out when less than `min_area` of the picture, or less than `min_visible` of
       itself, would be seen: what lies behind it shows instead.
    4. What no mask covers falls into connected components. One of at least `min_area` becomes a
       region; its strips narrower than `strip` do not: they are shared out among the regions that
       they border most. A smaller component joins the neighbouring region most similar to it in
       mean CIELAB colour, or the one with the longest shared border when no picture is given.
    5. A region may be seen in several pieces, as behind a pole. Pieces smaller than `min_piece`
       times `min_area` join the neighbouring region with the longest shared border.
    6. While a region is smaller than `min_area`, or there are more than `max_regions`, the smallest
       is dissolved: each of its pieces joins the neighbour with the longest shared border.
    7. Regions are numbered in order of their first pixels, read row by row from the top left. The
       same order breaks ties in steps 4 to 6.

    Pieces are connected through pixel edges, not corners. Nothing depends on the order in which
    masks arrive, and the masks of a partition that the rule made give the same partition again.

    Painting smaller masks over larger is common for turning SAM's masks (Kirillov et al., Segment
    Anything, 2023) into label maps; the rest of the rule is this library's own.

    Attributes:
        min_area: smallest region, as a fraction of the picture, in [0, 1]. The default is some
            three 14-pixel patches of a picture of 518 × 518: of less, patch features say little.
        max_regions: most regions, at least 1.
        duplicate_iou: masks that overlap as much as this are the same thing, in (0, 1].
        min_visible: a mask of which less is seen is left out, as a fraction of it, in [0, 1].
        min_piece: smallest piece of a region, as a fraction of the smallest region, in [0, 1].
        strip: uncovered strips narrower than this fraction of the picture's shorter side belong to
            the regions beside them, in [0, 1]; 0 makes no difference between strips and areas.

    Raises:
        ConfigError: a setting is outside its range.

    Example:
        A small mask on a large one, a second copy of it, and pixels that no mask covers:

        >>> large, small = np.zeros((2, 4, 6), dtype=bool)
        >>> large[:, :4] = True
        >>> small[1:3, 1:3] = True
        >>> PartitionRule().apply([large, ScoredMask(small, score=0.8), small], 4, 6).labels
        array([[0, 0, 0, 0, 1, 1],
               [0, 2, 2, 0, 1, 1],
               [0, 2, 2, 0, 1, 1],
               [0, 0, 0, 0, 1, 1]], dtype=uint8)
    """

    min_area: float = 0.002
    max_regions: int = 64
    duplicate_iou: float = 0.8
    min_visible: float = 0.1
    min_piece: float = 0.25
    strip: float = 0.01

    def __post_init__(self) -> None:
        for name in ("min_area", "duplicate_iou", "min_visible", "min_piece", "strip"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is a fraction from 0 to 1; got {value!r}.")
        if self.duplicate_iou == 0:
            raise ConfigError("duplicate_iou must be over 0: at 0 all masks would be duplicates.")
        if not self.max_regions >= 1 or self.max_regions % 1 != 0:
            raise ConfigError(
                f"max_regions is a whole number of at least 1; got {self.max_regions!r}."
            )

    @property
    def name(self) -> str:
        """Identifies the rule with all its settings, for results and caches.

        Example:
            >>> PartitionRule(max_regions=16).name
            'rule-1/a0.002,k16,d0.8,v0.1,p0.25,s0.01'
        """
        return (
            f"rule-1/a{float(self.min_area)!r},k{int(self.max_regions)},"
            f"d{float(self.duplicate_iou)!r},v{float(self.min_visible)!r},"
            f"p{float(self.min_piece)!r},s{float(self.strip)!r}"
        )

    def apply(
        self,
        masks: Iterable[ScoredMask | AnyMask],
        height: int,
        width: int,
        *,
        pixels: npt.NDArray[np.uint8] | None = None,
    ) -> Partition:
        """Make a partition of `height` × `width` pixels.

        Time and memory follow the picture's pixels and the masks' outlines, not masks times
        pixels. Masks are taken one at a time, so a generator of arrays never has to hold two.

        Args:
            masks: scored masks, or masks alone, whose score is then 1; none is fine.
            height: of the picture, in pixels.
            width: of the picture, in pixels.
            pixels: the picture, RGB `[H, W, 3]`, if uncovered pixels are to join the neighbour of
                the most similar colour.

        Returns:
            the partition; a single region where nothing else is left.

        Raises:
            DataError: a mask is neither a boolean array nor valid run-length encoding, a score is
                not finite, or the picture has another size.

        Example:
            >>> PartitionRule().apply([], 2, 3).labels
            array([[0, 0, 0],
                   [0, 0, 0]], dtype=uint8)
        """
        if height < 1 or width < 1:
            raise DataError(f"a partition has at least one pixel; got {width}×{height}.")
        if pixels is not None and (pixels.shape != (height, width, 3) or pixels.dtype != np.uint8):
            raise DataError(
                f"the picture of a partition of {width}×{height} is an 8-bit RGB array of shape "
                f"({height}, {width}, 3); got {pixels.dtype} with shape {pixels.shape}."
            )
        least = max(1, math.ceil(self.min_area * height * width))
        candidates = without_duplicates(
            _candidates(masks, height, width, least), self.duplicate_iou, height, width
        )
        painting = paint(candidates, height, width, least=least, min_visible=self.min_visible)
        painting, pieces = self._tidied(painting, least, pixels)
        owner = merge_regions(pieces, least, self.max_regions)
        return _partition(painting, owner[pieces.piece])

    def _tidied(
        self, painting: Painting, least: int, pixels: npt.NDArray[np.uint8] | None
    ) -> tuple[Painting, Pieces]:
        """Steps 4 and 5: no pixel uncovered, no piece too small."""
        pieces = pieces_of(painting)
        loose = np.zeros(pieces.owner.size, dtype=bool)
        wide = (pieces.owner == UNCOVERED) & (pieces.area >= least)
        side = round(self.strip * min(painting.height, painting.width))
        if side > 1 and wide.any():
            painting, in_strip = split_strips(painting, wide[pieces.piece], side)
            pieces = pieces_of(painting, loose=in_strip)
            loose = np.zeros(pieces.owner.size, dtype=bool)
            loose[pieces.piece[in_strip]] = True
        uncovered = pieces.owner < 0
        pieces = pieces._replace(owner=_distinct_owners(pieces.owner))
        smallest_piece = math.ceil(self.min_piece * least)
        small = loose | (pieces.area < np.where(uncovered, least, smallest_piece))
        by_colour = uncovered & ~loose
        colour = None
        if pixels is not None and (small & by_colour).any():
            count = int(pieces.owner.max()) + 1
            colour = mean_colours(painting, pieces.owner[pieces.piece], count, pixels)
        owner = give_up(pieces, small, by_colour=by_colour, colour=colour)
        return painting, joined_pieces(pieces, owner)


def _candidates(
    masks: Iterable[ScoredMask | AnyMask], height: int, width: int, least: int
) -> list[Candidate]:
    """The masks of at least so many pixels, each content once, with its best score."""
    found: dict[bytes, Candidate] = {}
    for mask in masks:
        scored = mask if isinstance(mask, ScoredMask) else ScoredMask(mask)
        score = score_of(scored)
        edges = mask_runs(scored.mask, height, width)
        del mask, scored  # so that an iterator of arrays can free one before it makes the next
        area = area_of(edges)
        if area < least:
            continue
        key = content_key(edges)
        if key not in found or found[key].score < score:
            found[key] = Candidate(edges, area, score)
    return list(found.values())


def _distinct_owners(owner: Ints) -> Ints:
    """Owners numbered by the first of their pieces; every uncovered piece owns itself."""
    pieces = np.arange(owner.size)
    own = np.where(owner < 0, int(owner.max()) + 1 + pieces, owner)
    return numbered_by_first(own, int(own.max()) + 1, pieces)


def _partition(painting: Painting, owner: Ints) -> Partition:
    """The label map of a painting whose runs belong to these owners."""
    region = numbered_by_first(owner, int(owner.max()) + 1, painting.reading_order())
    ids = region.astype(np.min_scalar_type(int(region.max())))
    columns = np.repeat(ids, painting.lengths).reshape(painting.width, painting.height)
    return Partition(np.ascontiguousarray(columns.T))
