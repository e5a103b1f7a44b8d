"""What sizes of pictures a network takes, and pictures brought to such a size.

Networks differ: most convolutional ones take any size, others need sides that divide evenly
(patches, HRNet, DLA), or sides of some length, and a few are tied to one size by their positions.
No table of architectures says which is which: the network is asked, with small empty pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

TRIED_SIDE = 96
"""About the side of the pictures that are tried. Three times a power of two, so that its
neighbours, or their multiples, halve to odd numbers down to a stride of 32."""
LEAST_SIDES = (1, 64, 96)

Asking = Callable[[int, int], str | None]
"""Given a height and width: None where the network takes it, else its complaint."""


@dataclass(frozen=True)
class InputSizes:
    """Which heights and widths a network takes.

    Attributes:
        multiple: both sides must be multiples of it.
        least: both sides must be at least as long.
        exact: the only height and width, for networks tied to one.

    Example:
        >>> InputSizes(multiple=32).padded(51, 64), InputSizes(least=96).padded(51, 200)
        ((64, 64), (96, 200))
    """

    multiple: int = 1
    least: int = 1
    exact: tuple[int, int] | None = None

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The smallest height and width that are taken and hold the given ones."""
        return self._up(height), self._up(width)

    def fit(self, pixels: Tensor) -> Tensor:
        """Pictures `[B, 3, H, W]` at a size that is taken.

        Padded below and to the right by repeating the border, which makes no edge that a network
        would see; or, where there is one size only, resized to it.
        """
        height, width = pixels.shape[-2:]
        if self.exact is not None:
            if (height, width) == self.exact:
                return pixels
            return F.interpolate(
                pixels, size=self.exact, mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, 1)
        if (self.multiple, self.least) == (1, 1):
            return pixels
        rows, columns = self.padded(height, width)
        if (rows, columns) == (height, width):
            return pixels
        return F.pad(pixels, (0, columns - width, 0, rows - height), mode="replicate")

    def crop(self, feature_map: Tensor, height: int, width: int) -> Tensor:
        """The part of a map `[B, C, h, w]` of fitted pictures that shows the `height` × `width` pixels.

        A position that shows any of them is kept, so that position (i, j) of a map of stride s
        shows pixels from (s·i, s·j) on, padded or not.
        """
        if self.exact is not None or (self.multiple, self.least) == (1, 1):
            return feature_map
        rows, columns = self.padded(height, width)
        kept_rows = -(-height * feature_map.shape[-2] // rows)
        kept_columns = -(-width * feature_map.shape[-1] // columns)
        return feature_map[..., :kept_rows, :kept_columns]

    def _up(self, side: int) -> int:
        return -(-max(side, self.least) // self.multiple) * self.multiple


def find_sizes(
    ask: Asking, reductions: Iterable[int], exact: Sequence[tuple[int, int]] = ()
) -> InputSizes | str:
    """Ask a network which sizes it takes: any, else multiples of one of its strides, else one size.

    Args:
        ask: asks the network.
        reductions: its strides in pixels.
        exact: sizes that it may be tied to, likeliest first.

    Returns:
        the most general rule that holds, or, where none does, the complaint about the last size.

    Example:
        >>> find_sizes(lambda h, w: "not even" if h % 2 or w % 2 else None, [2, 4])
        InputSizes(multiple=2, least=1, exact=None)
    """
    complaint: str | None = None
    for multiple in sorted({1, *reductions}):
        cells = max(4, TRIED_SIDE // multiple)
        if (complaint := ask((cells - 1) * multiple, (cells + 1) * multiple)) is None:
            for least in LEAST_SIDES:
                # Pictures have at least 32 pixels a side: nothing shorter needs to be tried.
                sizes = InputSizes(multiple, least)
                if ask(*sizes.padded(32, 32)) is None:
                    return sizes
    for height, width in exact:
        if (complaint := ask(height, width)) is None:
            return InputSizes(exact=(height, width))
    return complaint or "it takes no picture"
