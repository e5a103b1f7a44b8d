"""Assessments as pandas tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from fake_assessments import assessment, grid_labels, read_assessments, reading
from rsfiqa import Assessment, ConfigError, DataError, ImageError, MissingExtraError, Reading
from rsfiqa import to_frame as exported
from rsfiqa.results import ResultsFile, error_record, read_results
from rsfiqa.table import PICTURE_COLUMNS, REGION_COLUMNS, to_frame
from rsfiqa.types import DIMENSIONS

pd = pytest.importorskip("pandas", reason="pandas is not installed")


def example(image: str = "photo.jpg") -> Assessment:
    return assessment(
        grid_labels(40, 60, 1, 3),
        [20, 50, 90],
        [1, 1, 2],
        readings={0: reading("a dog", blur=2), 1: Reading(status="failed", reason="no answer")},
        image=image,
        interval=(40.0, 80.5),
        novelty=0.995,
        notes=("first of 12 frames", "alpha composited on white"),
    )


def test_one_row_a_picture() -> None:
    frame = to_frame([example("a.jpg"), example("b.jpg")])
    assert list(frame.columns) == list(PICTURE_COLUMNS)
    assert frame["image"].tolist() == ["a.jpg", "b.jpg"]
    row = frame.iloc[0]
    assert row["score"] == pytest.approx(example().score, abs=1e-4)
    assert (row["width"], row["height"], row["regions"]) == (60, 40, 3)
    assert (row["interval_low"], row["interval_high"]) == (40, 80.5)
    assert row["familiar"] is False or not row["familiar"]
    assert row["blur"] == 2
    assert row["scorer"] == "fake"
    assert row["notes"] == "first of 12 frames; alpha composited on white"
    assert pd.isna(row["error"])


def test_one_row_a_region() -> None:
    frame = to_frame([example("a.jpg"), example("b.jpg")], rows="region")
    assert list(frame.columns) == list(REGION_COLUMNS)
    assert frame["region"].tolist() == [0, 1, 2] * 2
    assert frame["image"].tolist() == ["a.jpg"] * 3 + ["b.jpg"] * 3
    first = frame.iloc[0]
    assert (first["x"], first["y"], first["width"], first["height"]) == (0, 0, 20, 40)
    assert (first["description"], first["blur"], first["reading"]) == ("a dog", 2, "ok")
    assert first["sentence"] == "A dog: blurred, otherwise clean."
    assert frame.loc[1, "reading_reason"] == "no answer"
    assert frame.loc[1:2, list(DIMENSIONS)].isna().all(axis=None)


@settings(max_examples=20)
@given(result=read_assessments())
def test_the_rows_of_the_regions_add_up(result: Assessment) -> None:
    frame = to_frame([result], rows="region")
    assert (frame["weight"] * frame["score"]).sum() == pytest.approx(result.score, abs=1e-3)
    assert frame["area"].sum() == pytest.approx(1, abs=1e-4)


def test_types_are_the_same_whatever_is_in_it() -> None:
    failed = [error_record("torn.jpg", "the file ends early"), ImageError("too small")]
    for rows, columns in (("picture", PICTURE_COLUMNS), ("region", REGION_COLUMNS)):
        frames = [to_frame(items, rows=rows) for items in ([], failed, [example()])]  # type: ignore[call-overload]
        for frame in frames:
            assert frame.dtypes.astype(str).to_dict() == columns


def test_failures_keep_their_place_and_have_no_regions() -> None:
    items = [ImageError("too small"), example(), error_record("torn.jpg", "the file ends early")]
    frame = to_frame(items)
    assert frame["error"].fillna("").tolist() == ["too small", "", "the file ends early"]
    assert frame["score"].isna().tolist() == [True, False, True]
    assert len(to_frame(items, rows="region")) == 3


def test_results_of_a_run_make_the_same_table(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    result = example()
    with ResultsFile(path, result.model) as file:
        file.write([result.to_dict()])
    for rows in ("picture", "region"):
        from_file = to_frame(read_results(path), rows=rows)  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(from_file, to_frame([result], rows=rows))  # type: ignore[arg-type]


def test_it_is_exported() -> None:
    assert exported is to_frame


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="picture or region"):
        to_frame([], rows="pixel")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="str"):
        to_frame(["photo.jpg"])  # type: ignore[list-item]


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[pandas\]"):
        to_frame([example()])
