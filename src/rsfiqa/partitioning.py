"""Many pictures into partitions, by a segmenter or from given regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa import __version__
from rsfiqa.devices import Precision, choose_device, require_precision
from rsfiqa.images import LoadedImage
from rsfiqa.parallel import workers_on
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.build import build_segmenter
from rsfiqa.regions.given import NAME as GIVEN
from rsfiqa.regions.given import GivenRegions, given_or_none
from rsfiqa.segmentation import PictureSegmenter


@dataclass(frozen=True, eq=False)
class Partitioned:
    """A picture with its partition.

    Attributes:
        picture: the picture.
        partition: of its size.
        segmenter: what made the partition, by name.
    """

    picture: LoadedImage
    partition: Partition
    segmenter: str


class Partitioner:
    """What gives pictures their partitions: a segmenter, or regions that were given.

    Args:
        source: either.

    Example:
        >>> from rsfiqa.images import load_image
        >>> from rsfiqa.samples import sample_picture
        >>> picture = load_image(sample_picture("astronaut"))
        >>> Partitioner.build("grid:2").partition(picture).partition
        Partition(512×512, 4 regions)
    """

    def __init__(self, source: PictureSegmenter | GivenRegions) -> None:
        self._source = source

    @classmethod
    def build(
        cls,
        segmenter: str | Segmenter = "embedded",
        *,
        regions: str | Path | GivenRegions | None = None,
        device: str = "auto",
        precision: Precision = "fp32",
    ) -> Partitioner:
        """Make one from names; the arguments are those of `RSFIQA.from_pretrained`.

        Raises:
            AssetError: weights cannot be had.
            ConfigError: an argument is not among those accepted.
            DataError: the folder of regions cannot be read or holds none.
        """
        require_precision(precision)
        given = given_or_none(regions, segmenter)
        if given is not None:
            return cls(given)
        chosen = choose_device(device)
        if isinstance(segmenter, str):
            segmenter = build_segmenter(segmenter, device=chosen)
        source = PictureSegmenter(segmenter, device=chosen)
        if source.encoder is not None and precision == "bf16":
            source.encoder.to_bf16()
        return cls(source)

    @property
    def info(self) -> dict[str, Any]:
        """Names and versions of the parts: the same parts give the same partitions."""
        info = {"segmenter": GIVEN, "version": __version__}
        if isinstance(self._source, PictureSegmenter):
            info["segmenter"] = self._source.segmenter.name
            encoder = self._source.encoder
            if encoder is not None:
                suffix = "" if encoder.precision == "fp32" else f"+{encoder.precision}"
                info["encoder"] = encoder.name + suffix
        return info

    def identity(self, name: str) -> str:
        """What a picture's partition is made by; for given regions, their contents.

        Raises:
            DataError: no regions are given for the picture, or they cannot be read.
        """
        if isinstance(self._source, GivenRegions):
            return self._source.identity(name)
        return self._source.segmenter.name

    def partition(self, picture: LoadedImage) -> Partitioned:
        """The partition of one picture.

        Raises:
            DataError: no regions are given for the picture, or they do not fit it.
        """
        # Named before regions are read: should they change between, they are read anew next time.
        name = self.identity(picture.name)
        if isinstance(self._source, GivenRegions):
            size = picture.height, picture.width
            partition = self._source.partition_for(picture.name, *size, pixels=picture.pixels)
        else:
            partition = self._source.segment(picture.pixels)
        return Partitioned(picture, partition, name)

    @property
    def workers(self) -> int:
        """How many pictures are best divided side by side; `partition` may be called by several
        threads."""
        return workers_on("cpu" if isinstance(self._source, GivenRegions) else self._source.device)
