"""Assessments put aside in little memory, for a report at the end of a long run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import RsfiqaError
from rsfiqa.types import Assessment

_PREVIEW_QUALITY = 92


@dataclass(frozen=True)
class _Compact:
    """An assessment as JSON, with the preview as JPEG, or the file to make one from."""

    text: bytes
    preview: bytes | Path | None
    attention: npt.NDArray[np.float32] | None = None
    attention_labels: npt.NDArray[Any] | None = None

    def unfold(self) -> Assessment:
        return replace(
            Assessment.from_json(self.text),
            preview=_read_preview(self.preview),
            attention=self.attention,
            attention_labels=self.attention_labels,
        )


class Shelf(Sequence[Assessment]):
    """A sequence of assessments of which only one at a time takes its full size.

    A label map and a preview take tens of megabytes; on the shelf a picture takes less than one.
    """

    def __init__(self) -> None:
        self._compact: list[_Compact] = []

    def put(self, assessment: Assessment) -> None:
        """Add an assessment that was just made."""
        self._compact.append(
            _Compact(
                assessment.to_json(masks=True).encode("utf-8", "surrogatepass"),
                None if assessment.preview is None else _to_jpeg(assessment.preview),
                assessment.attention,
                assessment.attention_labels,
            )
        )

    def put_line(self, text: bytes, picture: Path) -> None:
        """Add a line of an earlier run, with masks, whose picture is still at its place.

        Its attention map is not kept in JSON, so that this view stays out of the report.
        """
        self._compact.append(_Compact(text, picture))

    def __len__(self) -> int:
        return len(self._compact)

    @overload
    def __getitem__(self, index: int) -> Assessment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Assessment]: ...
    def __getitem__(self, index: int | slice) -> Assessment | Sequence[Assessment]:
        if isinstance(index, slice):
            part = Shelf()
            part._compact = self._compact[index]
            return part
        return self._compact[index].unfold()


def _to_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_PREVIEW_QUALITY, subsampling=0)
    return buffer.getvalue()


def _read_preview(source: bytes | Path | None) -> npt.NDArray[np.uint8] | None:
    from PIL import Image

    if source is None:
        return None
    if isinstance(source, bytes):
        with Image.open(BytesIO(source)) as picture:
            return np.asarray(picture.convert("RGB"))
    from rsfiqa.images import load_image

    try:
        full = Image.fromarray(load_image(source, name=str(source)).pixels)
    except (RsfiqaError, OSError):
        return None
    full.thumbnail((Assessment.PREVIEW_SIDE, Assessment.PREVIEW_SIDE))
    return np.asarray(full)
