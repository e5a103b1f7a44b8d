"""A painting as a graph: its connected pieces, what they border on, and small ones given up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from rsfiqa.regions.painting import Painting, in_order

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Pieces(NamedTuple):
    """The connected pieces of a painting, in order of their first pixels, read row by row.

    Attributes:
        piece: the piece of each run of the painting, `[n]`.
        owner: the owner of each piece, `[P]`.
        area: pixels of each piece, `[P]`.
        one: pieces that share a border, ascending, `[E]`; each pair is there in both directions.
        other: the other piece of each pair, `[E]`.
        border: length of the border that they share, in pixel edges, `[E]`.
    """

    piece: Ints
    owner: Ints
    area: Ints
    one: Ints
    other: Ints
    border: Ints


def pieces_of(painting: Painting, *, loose: npt.NDArray[np.bool_] | None = None) -> Pieces:
    """The pieces of a painting: runs of one owner that share an edge (4-connected).

    Args:
        painting: `n` runs.
        loose: runs that stay pieces of their own, `[n]`.
    """
    one, other, border = _touching_runs(painting)
    same = painting.owners[one] == painting.owners[other]
    if loose is not None:
        same &= ~(loose[one] | loose[other])
    count, piece = _connected(painting.starts.size, one[same], other[same])
    piece = numbered_by_first(piece, count, painting.reading_order())
    owner = np.empty(count, np.int64)
    owner[piece] = painting.owners
    area = np.bincount(piece, painting.lengths, minlength=count).astype(np.int64)
    return Pieces(piece, owner, area, *_borders(piece[one], piece[other], border, count))


def joined_pieces(pieces: Pieces, owner: Ints) -> Pieces:
    """The pieces after some have changed hands: neighbours of one owner become one piece."""
    same = owner[pieces.one] == owner[pieces.other]
    count, group = _connected(owner.size, pieces.one[same], pieces.other[same])
    group = numbered_by_first(group, count, np.arange(owner.size))
    new_owner = np.empty(count, np.int64)
    new_owner[group] = owner
    area = np.bincount(group, pieces.area, minlength=count).astype(np.int64)
    borders = _borders(group[pieces.one], group[pieces.other], pieces.border, count)
    return Pieces(group[pieces.piece], new_owner, area, *borders)


def give_up(
    pieces: Pieces,
    small: npt.NDArray[np.bool_],
    *,
    by_colour: npt.NDArray[np.bool_],
    colour: Floats | None,
) -> Ints:
    """Give every small piece to a neighbouring region; returns the new owner of each piece.

    In rounds: all small pieces that border on others which are not small join one of those, at
    once, and count as part of it from the next round on. A piece joins the region with which it
    shares the longest border; one of `by_colour` the region whose colour is nearest, then the
    longest border. Ties go to the lower owner. When all pieces are small, the largest takes the
    others.

    Args:
        pieces: `P` pieces.
        small: which to give up, `[P]`.
        by_colour: which of them choose by colour, `[P]`; unused without `colour`.
        colour: of every owner, `[owners, channels]`.
    """
    owner, small = pieces.owner.copy(), small.copy()
    if small.all():
        return np.full_like(owner, owner[pieces.area.argmax()])
    givers = np.unique(pieces.one[small[pieces.one] & ~small[pieces.other]])
    while givers.size:
        around = _edges_from(pieces, givers)
        ready = around[~small[pieces.other[around]]]
        giver, taker, border = _summed(
            pieces.one[ready], owner[pieces.other[ready]], pieces.border[ready]
        )
        distance = np.zeros(giver.size)
        if colour is not None:
            difference = colour[owner[giver]] - colour[taker]
            distance = np.where(by_colour[giver], np.linalg.norm(difference, axis=1), 0.0)
        best_first = np.lexsort((taker, -border, distance, giver))
        _, best = np.unique(giver[best_first], return_index=True)
        owner[givers] = taker[best_first][best]
        small[givers] = False
        next_to = pieces.other[around]
        givers = np.unique(next_to[small[next_to]])
    return owner


def numbered_by_first(group: Ints, count: int, place: Ints) -> Ints:
    """Groups 0..count-1 renumbered in order of their members' lowest place.

    Example:
        >>> numbered_by_first(np.array([2, 0, 2]), 3, np.array([7, 5, 4])).tolist()
        [0, 1, 0]
    """
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, group, place)
    number = np.empty(count, np.int64)
    number[np.argsort(first)] = np.arange(count)
    return number[group]


def _connected(count: int, one: Ints, other: Ints) -> tuple[int, Ints]:
    links = sparse.coo_matrix((np.ones(one.size, bool), (one, other)), shape=(count, count))
    found, group = csgraph.connected_components(links, directed=False)
    return int(found), group.astype(np.int64)


def _edges_from(pieces: Pieces, some: Ints) -> Ints:
    """Where in the list of borders those of some pieces stand."""
    first = np.searchsorted(pieces.one, some)
    count = np.searchsorted(pieces.one, some, side="right") - first
    places: Ints = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    return places


def _touching_runs(painting: Painting) -> tuple[Ints, Ints, Ints]:
    """All pairs of runs that share a border, each once, and how long it is."""
    starts, height = painting.starts, painting.height
    # Laid beside its left-hand neighbour, a column falls into stretches that lie between two
    # ends of runs, on either side: each stretch borders one run on one.
    right = starts[starts >= height]
    left = starts[starts < painting.pixels - height] + height
    stretch = in_order(right, left)
    after = np.searchsorted(starts, stretch, side="right") - 1
    before = np.searchsorted(starts, stretch - height, side="right") - 1
    length = np.diff(stretch, append=painting.pixels)
    below = np.flatnonzero(starts % height != 0)
    return (
        np.concatenate([before, below - 1]),
        np.concatenate([after, below]),
        np.concatenate([length, np.ones(below.size, np.int64)]),
    )


def _borders(one: Ints, other: Ints, border: Ints, count: int) -> tuple[Ints, Ints, Ints]:
    """Borders between different ones of `count`, in both directions, each pair summed."""
    apart = one != other
    one, other, border = one[apart], other[apart], border[apart]
    return _summed(
        np.concatenate([one, other]),
        np.concatenate([other, one]),
        np.concatenate([border, border]),
    )


def _summed(one: Ints, other: Ints, border: Ints) -> tuple[Ints, Ints, Ints]:
    """Equal pairs made one, their borders added."""
    if not one.size:
        return one, other, border
    key = one * (int(other.max()) + 1) + other
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    return one[order][first], other[order][first], np.add.reduceat(border[order], first)
