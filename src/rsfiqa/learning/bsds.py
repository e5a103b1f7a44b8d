"""Reader of BSDS500: photographs that several people have segmented, each in their own way.

The data set of Arbeláez, Maire, Fowlkes and Malik (TPAMI 33(5), 2011) may be used for research;
here it serves to evaluate segmenters, and nothing that ships is trained on it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.partition import Partition


@dataclass(frozen=True)
class BsdsPicture:
    """One photograph with its human segmentations, read when asked for.

    Attributes:
        name: such as `101085`.
        image: the photograph's file.
        ground_truth: the MATLAB file of its segmentations.
    """

    name: str
    image: Path
    ground_truth: Path

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The photograph, RGB `[H, W, 3]`.

        Raises:
            ImageError: it cannot be read.
        """
        return load_image(self.image).pixels

    def humans(self) -> tuple[Partition, ...]:
        """The segmentation of each annotator, in the order of the file; regions renumbered.

        Raises:
            DataError: the file cannot be read, or holds no segmentations of one size.
        """
        cells = np.ravel(_load(self.ground_truth))
        try:
            maps = [np.asarray(cell["Segmentation"][0, 0]) for cell in cells]
            humans = tuple(Partition.from_labels(labels) for labels in maps)
        except (ValueError, IndexError, TypeError) as error:  # DataError is a ValueError
            raise DataError(
                f"{self.ground_truth} is not a file of BSDS500: a cell of groundTruth has no "
                f"label map named Segmentation ({error})."
            ) from error
        sizes = sorted({(human.width, human.height) for human in humans})
        if len(sizes) != 1:
            raise DataError(
                f"{self.ground_truth} must hold segmentations of one size; got {sizes or 'none'}."
            )
        return humans


def read_bsds(folder: Path, split: str) -> list[BsdsPicture]:
    """List one split of BSDS500, in the order of names.

    Args:
        folder: holds `images/SPLIT/NAME.jpg` and `groundTruth/SPLIT/NAME.mat`, as in the archive.
        split: `train`, `val` or `test`.

    Raises:
        DataError: a folder is missing or empty, or a photograph has no segmentations.
    """
    images, truths = folder / "images" / split, folder / "groundTruth" / split
    for needed in (images, truths):
        if not needed.is_dir():
            raise DataError(
                f"{needed} is not a folder; BSDS500 has images/SPLIT/*.jpg and "
                "groundTruth/SPLIT/*.mat, with SPLIT such as train or val."
            )
    pictures = [
        BsdsPicture(image.stem, image, truths / f"{image.stem}.mat")
        for image in sorted(images.glob("*.jpg"))
    ]
    if not pictures:
        raise DataError(f"{images} holds no photographs (*.jpg).")
    missing = [picture.name for picture in pictures if not picture.ground_truth.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(pictures)} photographs have no segmentations in {truths}, "
            f"such as {missing[0]}.mat."
        )
    return pictures


def _load(path: Path) -> Any:
    """The variable groundTruth of a MATLAB file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(path, variable_names=["groundTruth"])["groundTruth"]
    except KeyError as error:
        raise DataError(f"{path} holds no variable named groundTruth.") from error
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a MATLAB file ({' '.join(str(error).split())}); "
            "fetch the data set anew."
        ) from error
