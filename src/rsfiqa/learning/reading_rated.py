"""The instructed regions of a set, as several raters see them: what figures on sets start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.learning.reading_raters import Levels, Rater, Studio
from rsfiqa.parallel import parallel_map


@dataclass(frozen=True, eq=False)
class InstructedRegions:
    """Regions side by side, with what raters say of them.

    Attributes:
        levels: by rater, the level probabilities `[N, 5, 5]`; nan where a region was not read.
        regions: what should be said.
        sources: the names of the photographs that the regions' pictures were made from.
        pictures: the place of each region's picture among the instructions, `[N]`.
        areas: of the regions, as fractions of their pictures, `[N]`.
    """

    levels: Mapping[str, Levels]
    regions: Sequence[RegionInstruction]
    sources: Sequence[str]
    pictures: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.regions)


def rate_instructed(
    raters: Mapping[str, Rater],
    instructions: Sequence[Instruction],
    studio: Studio,
    *,
    belongs: Callable[[RegionInstruction], bool],
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> InstructedRegions:
    """Have the instructed regions of a set rated.

    Args:
        raters: by name.
        instructions: the pictures of the set, with their partitions.
        studio: what they are looked at with.
        belongs: which of the regions are asked for.
        workers: pictures side by side.
        told: called after each picture.

    Raises:
        ImageError: a picture cannot be read.
    """

    def one(number: int) -> tuple[Instruction, list[RegionInstruction], dict[str, Levels]]:
        instruction = instructions[number]
        wanted = [region for region in instruction.regions if belongs(region)]
        if not wanted:
            return instruction, [], {}
        picture = studio.picture(load_image(instruction.image).pixels, instruction.partition)
        ids = [region.region for region in wanted]
        return instruction, wanted, {n: rater.rate(picture)[ids] for n, rater in raters.items()}

    said: dict[str, list[Levels]] = {name: [] for name in raters}
    regions: list[RegionInstruction] = []
    sources: list[str] = []
    pictures: list[int] = []
    areas: list[float] = []
    found = parallel_map(one, range(len(instructions)), workers)
    for number, (instruction, wanted, rated) in enumerate(found):
        for name, levels in rated.items():
            said[name].append(levels)
        regions += wanted
        sources += [instruction.source] * len(wanted)
        pictures += [number] * len(wanted)
        areas += [instruction.partition.regions[region.region].area for region in wanted]
        told()
    return InstructedRegions(
        levels={name: np.concatenate(levels) for name, levels in said.items() if levels},
        regions=regions,
        sources=sources,
        pictures=np.array(pictures, dtype=np.int64),
        areas=np.array(areas, dtype=np.float64),
    )
