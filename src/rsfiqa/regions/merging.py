"""Regions merged, smallest first, until none is too small and there are few enough."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np

from rsfiqa.regions.pieces import Ints, Pieces


def merge_regions(pieces: Pieces, least: int, max_regions: int) -> Ints:
    """Dissolve regions, smallest first, while one has fewer than `least` pixels or there are more
    than `max_regions`; the last one stays.

    Each piece of a dissolved region goes to the region with which it shares the longest border.
    Ties, in size as in border, go to the lower owner.

    Returns:
        the new owner of each piece.
    """
    graph = _Graph(pieces)
    smallest = [(area, owner) for owner, area in graph.area.items()]
    heapq.heapify(smallest)
    while len(graph.area) > 1:
        area, owner = smallest[0]
        if graph.area.get(owner) != area:  # has grown or gone since it was noted
            heapq.heappop(smallest)
            continue
        if area >= least and len(graph.area) <= max_regions:
            break
        for taker in graph.dissolve(owner):
            heapq.heappush(smallest, (graph.area[taker], taker))
    return graph.owners()


class _Graph:
    """Pieces that are joined one by one: a joined piece lives on in the one that holds it."""

    def __init__(self, pieces: Pieces) -> None:
        self._owner: list[int] = pieces.owner.tolist()
        self._pixels: list[int] = pieces.area.tolist()
        self._held_by = list(range(len(self._owner)))
        self._borders: list[dict[int, int]] = [{} for _ in self._owner]
        for one, other, border in zip(
            pieces.one.tolist(), pieces.other.tolist(), pieces.border.tolist(), strict=True
        ):
            self._borders[one][other] = border
        self._pieces: defaultdict[int, set[int]] = defaultdict(set)
        self.area: defaultdict[int, int] = defaultdict(int)
        for piece, (owner, pixels) in enumerate(zip(self._owner, self._pixels, strict=True)):
            self._pieces[owner].add(piece)
            self.area[owner] += pixels

    def dissolve(self, owner: int) -> set[int]:
        """Give every piece of a region away; returns the regions that took them."""
        takers = set()
        del self.area[owner]
        for piece in self._pieces.pop(owner):
            shared: defaultdict[int, int] = defaultdict(int)
            for neighbour, border in self._borders[piece].items():
                shared[self._owner[neighbour]] += border
            taker = min(shared, key=lambda other: (-shared[other], other))
            self.area[taker] += self._pixels[piece]
            self._owner[piece] = taker
            self._pieces[taker].add(piece)
            self._join_neighbours(piece)
            takers.add(taker)
        return takers

    def owners(self) -> Ints:
        """The owner of each piece, the joined ones included."""
        for piece in range(len(self._owner)):
            holder = piece
            while self._held_by[holder] != holder:
                self._held_by[holder] = holder = self._held_by[self._held_by[holder]]
            self._owner[piece] = self._owner[holder]
        return np.array(self._owner, dtype=np.int64)

    def _join_neighbours(self, piece: int) -> None:
        """Make one piece of it and those of its neighbours that have the same owner."""
        owner = self._owner[piece]
        group = [other for other in self._borders[piece] if self._owner[other] == owner]
        group.append(piece)
        holder = max(group, key=lambda one: len(self._borders[one]))  # fewest borders to move
        for member in group:
            if member == holder:
                continue
            for neighbour, border in self._borders[member].items():
                del self._borders[neighbour][member]
                if neighbour != holder:
                    total = self._borders[holder].get(neighbour, 0) + border
                    self._borders[holder][neighbour] = self._borders[neighbour][holder] = total
            self._borders[member].clear()
            self._pixels[holder] += self._pixels[member]
            self._held_by[member] = holder
            self._pieces[owner].discard(member)
