"""Assessments as pandas tables, one row a picture or one row a region (extra `pandas`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from rsfiqa.errors import ConfigError, DataError, MissingExtraError, RsfiqaError
from rsfiqa.types import DIMENSIONS, Assessment

if TYPE_CHECKING:
    import pandas as pd

Rows = Literal["picture", "region"]

_RATINGS: dict[str, str] = dict.fromkeys(DIMENSIONS, "float64")

PICTURE_COLUMNS: dict[str, str] = {
    "image": "string",
    "width": "Int64",
    "height": "Int64",
    "score": "float64",
    "level": "string",
    "uncertainty": "float64",
    "interval_low": "float64",
    "interval_high": "float64",
    "familiar": "boolean",
    "novelty": "float64",
    "summary": "string",
    **_RATINGS,
    "regions": "Int64",
    "segmenter": "string",
    "reader": "string",
    "scorer": "string",
    "version": "string",
    "sha256": "string",
    "notes": "string",
    "error": "string",
}
"""Columns of a table of pictures, with their types."""

REGION_COLUMNS: dict[str, str] = {
    "image": "string",
    "region": "Int64",
    "area": "float64",
    "x": "Int64",
    "y": "Int64",
    "width": "Int64",
    "height": "Int64",
    "score": "float64",
    "weight": "float64",
    "level": "string",
    "sentence": "string",
    "description": "string",
    **_RATINGS,
    "reading": "string",
    "reading_reason": "string",
}
"""Columns of a table of regions, with their types."""


def to_frame(
    assessments: Iterable[Assessment | Mapping[str, Any] | RsfiqaError],
    *,
    rows: Rows = "picture",
) -> pd.DataFrame:
    """Assessments as a pandas data frame.

    Args:
        assessments: what `RSFIQA.assess` and `assess_batch` give, errors among them included; or
            results as dictionaries, as `Assessment.to_dict` makes and
            `rsfiqa.results.read_results` reads them.
        rows: `picture` for one row a picture, in order (`PICTURE_COLUMNS`); `region` for one row a
            region (`REGION_COLUMNS`), where `x`, `y`, `width` and `height` are the region's box in
            pixels. A picture that could not be assessed has a row with its `error`, and no regions.

    Returns:
        a frame whose columns and types are the same for any assessments, and for none. Scores are
        0..100 and ratings 1..5, higher is better; what is not known is missing.

    Raises:
        ConfigError: `rows` is neither of the two.
        DataError: something is neither an assessment nor a result.
        MissingExtraError: pandas is not installed.

    Example:
        >>> frame = to_frame([{"image": "torn.jpg", "error": "the file ends early"}])
        >>> frame.loc[0, ["image", "error"]].tolist()
        ['torn.jpg', 'the file ends early']
    """
    if rows not in get_args(Rows):
        raise ConfigError(f"rows is picture or region; got {rows!r}.")
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtraError("A table of assessments", "pandas") from error
    results = [_result(assessment) for assessment in assessments]
    if rows == "picture":
        entries, columns = [_picture_row(result) for result in results], PICTURE_COLUMNS
    else:
        entries = [row for result in results for row in _region_rows(result)]
        columns = REGION_COLUMNS
    return pd.DataFrame(entries, columns=list(columns)).astype(columns)


def _result(item: Assessment | Mapping[str, Any] | RsfiqaError) -> Mapping[str, Any]:
    if isinstance(item, Assessment):
        return item.to_dict(masks=False)
    if isinstance(item, RsfiqaError):  # which of the pictures, its place in the table says
        return {"image": None, "error": str(item)}
    if isinstance(item, Mapping) and "image" in item and ("error" in item or "score" in item):
        return item
    raise DataError(
        "a table is made of assessments, or of results as read_results gives them; "
        f"got {type(item).__name__}."
    )


def _picture_row(result: Mapping[str, Any]) -> dict[str, Any]:
    low, high = result.get("interval") or (None, None)
    return {
        **{name: result.get(name) for name in PICTURE_COLUMNS},
        **(result.get("ratings") or {}),
        **(result.get("model") or {}),
        "interval_low": low,
        "interval_high": high,
        "regions": len(result["regions"]) if "regions" in result else None,
        "notes": "; ".join(result.get("notes") or ()) or None,
    }


def _region_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for region in result.get("regions", ()):
        x, y, width, height = region["bbox"]
        rows.append(
            {
                **{name: region.get(name) for name in REGION_COLUMNS},
                **(region["ratings"] or {}),
                "image": result["image"],
                "region": region["id"],
                "x": x,
                "y": y,
                "width": width,
                "height": height,
            }
        )
    return rows
