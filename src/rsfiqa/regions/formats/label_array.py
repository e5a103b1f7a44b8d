"""Label maps and masks as NumPy's .npy files, read without unpickling."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.formats.files import write_bytes
from rsfiqa.regions.formats.mask_set import MaskSet


def write(partition: Partition, path: Path) -> None:
    """Write the label map in the smallest unsigned type that holds its ids.

    Raises:
        DataError: it cannot be written.
    """
    buffer = BytesIO()
    np.save(buffer, partition.labels, allow_pickle=False)
    write_bytes(buffer.getvalue(), path)


def read(path: Path) -> Partition | MaskSet:
    """A partition from integers `[H, W]`, masks from booleans `[H, W]` or `[N, H, W]`.

    Raises:
        DataError: it cannot be read, or holds anything else.
    """
    array = _load(path)
    if array.size and array.dtype == bool and array.ndim in (2, 3):
        return MaskSet.from_arrays(array if array.ndim == 3 else array[None])
    if array.size and np.issubdtype(array.dtype, np.integer) and array.ndim == 2:
        return Partition.from_labels(array)
    raise DataError(
        f"{path} must hold a label map (integers [H, W]) or masks (booleans [N, H, W]); "
        f"got {array.dtype} with shape {list(array.shape)}."
    )


def _load(path: Path) -> npt.NDArray[Any]:
    try:
        # Mapped, so that a header which promises more than the file holds reserves nothing.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, SyntaxError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} is no array of numbers, or damaged: {error}.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is an archive of arrays; save the label map alone, as .npy.")
    return array
