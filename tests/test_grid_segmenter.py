"""The grid segmenter, and segmenters by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.partition import Partition
from rsfiqa.regions.build import build_segmenter
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.regions.grid import GridSegmenter

sides = st.integers(1, 90)


def cut(cells: int, height: int, width: int) -> Partition:
    return GridSegmenter(cells).segment(np.zeros((height, width, 3), np.uint8), None)


@given(st.integers(1, 64), sides, sides)
def test_any_picture_is_cut_into_cells(cells: int, height: int, width: int) -> None:
    partition = cut(cells, height, width)
    assert (partition.height, partition.width) == (height, width)
    long_cells = min(cells, max(height, width))
    assert len(partition) % long_cells == 0
    heights = {region.bbox[3] for region in partition.regions}
    widths = {region.bbox[2] for region in partition.regions}
    assert max(heights) - min(heights) <= 1
    assert max(widths) - min(widths) <= 1
    for region in partition.regions:
        assert region.area * height * width == pytest.approx(region.bbox[2] * region.bbox[3])


@given(st.integers(2, 8), st.integers(40, 90), st.integers(40, 90))
def test_cells_are_near_squares(cells: int, height: int, width: int) -> None:
    x, y, w, h = cut(cells, height, width).regions[0].bbox
    assert (x, y) == (0, 0)
    assert 0.5 <= w / h <= 2


def test_ids_run_row_by_row_from_the_upper_left() -> None:
    assert cut(3, 4, 6).labels.tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2


def test_an_upright_picture_has_its_cells_along_the_height() -> None:
    assert [r.bbox for r in cut(2, 8, 4).regions] == [(0, 0, 4, 4), (0, 4, 4, 4)]


def test_names_say_the_settings() -> None:
    assert build_segmenter("grid").name == GridSegmenter().name == "grid-1/6"
    assert build_segmenter("grid:12").name == "grid-1/12"
    assert build_segmenter("grid", cells=3).name == "grid-1/3"
    assert not build_segmenter("grid").needs_semantic


def test_the_embedded_segmenter_takes_its_settings() -> None:
    assert build_segmenter("embedded") == EmbeddedSegmenter()
    assert build_segmenter("embedded", max_regions=5) == EmbeddedSegmenter(max_regions=5)


@pytest.mark.parametrize("spec", ["", "gird", "embedded:3", "sam", "sam:", "Grid"])
def test_unknown_names_are_answered_with_those_accepted(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"knows: embedded, grid, grid:N, sam:MODEL"):
        build_segmenter(spec)


@pytest.mark.parametrize("spec", ["grid:", "grid:x", "grid:-1", "grid:2.5", "grid:²"])
def test_a_grid_takes_a_whole_number(spec: str) -> None:
    with pytest.raises(ConfigError, match="a whole number of cells, as in grid:6"):
        build_segmenter(spec)


@pytest.mark.parametrize("spec", ["grid:0", "grid:65", "grid:99999999999999999999"])
def test_a_grid_is_bounded(spec: str) -> None:
    with pytest.raises(ConfigError, match="1 to 64 cells"):
        build_segmenter(spec)


def test_settings_that_a_segmenter_does_not_have() -> None:
    with pytest.raises(ConfigError, match=r"does not take these settings: .*'size'"):
        build_segmenter("grid", size=4)
