"""Pictures parsed into regions and what is said of them: steps 1 and 2, without a scorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rsfiqa import __version__
from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.devices import Precision, choose_device, require_precision
from rsfiqa.images import LoadedImage, resize_to_budget
from rsfiqa.parallel import workers_on
from rsfiqa.partition import Partition
from rsfiqa.reading import wording
from rsfiqa.reading.base import Reader
from rsfiqa.reading.cache import CachedReader, is_complete, reading_key
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.build import build_segmenter
from rsfiqa.regions.cache import PartitionCache, default_folder
from rsfiqa.regions.given import NAME as GIVEN
from rsfiqa.regions.given import GivenRegions, given_or_none
from rsfiqa.segmentation import PictureSegmenter
from rsfiqa.sources import Source
from rsfiqa.types import Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridEncoder, GridFeatures


@dataclass(frozen=True, eq=False)
class Parsed:
    """A picture with its partition and readings.

    Attributes:
        picture: the picture.
        partition: of its size.
        readings: one a region, in order of region ids.
        segmenter: what made the partition, by name.
    """

    picture: LoadedImage
    partition: Partition
    readings: tuple[Reading, ...]
    segmenter: str

    @property
    def failed(self) -> list[Reading]:
        """The readings that failed."""
        return [reading for reading in self.readings if reading.status == "failed"]

    def to_dict(self, model: Mapping[str, Any], *, masks: bool = True) -> dict[str, Any]:
        """What was read, as plain data for JSON, in the words of `Assessment.to_dict`.

        Args:
            model: names and versions of the parts, as `Parser.info` gives them.
            masks: put the regions' masks in.
        """
        rles = self.partition.to_rle() if masks else [None] * len(self.partition)
        regions = []
        for region, rle, reading in zip(self.partition.regions, rles, self.readings, strict=True):
            entry: dict[str, Any] = {
                "id": region.id,
                "area": round(region.area, 6),
                "bbox": list(region.bbox),
            }
            if rle is not None:
                entry["mask"] = rle
            regions.append(entry | reading.to_dict())
        statuses = [reading.status for reading in self.readings]
        result: dict[str, Any] = {
            "image": self.picture.name,
            "width": self.partition.width,
            "height": self.partition.height,
            "readings": {status: statuses.count(status) for status in ("ok", "failed", "absent")},
            "regions": regions,
            "model": {**model, "segmenter": self.segmenter},
            "sha256": self.picture.sha256,
        }
        if self.picture.notes:
            result["notes"] = list(self.picture.notes)
        return result


class Parser:
    """Divides pictures into regions and has them read.

    An encoder whose features both the segmenter and the reader use looks at a picture once.

    Args:
        source: a segmenter with its encoder, or regions that were given.
        reader: step 2; a `CachedReader` remembers.
        cache: folder in which partitions are kept, and which files have been read; None keeps
            neither.

    Example:
        >>> from rsfiqa.images import load_image
        >>> from rsfiqa.reading.base import NoReader
        >>> from rsfiqa.samples import sample_picture
        >>> parser = Parser.build("grid:2", NoReader())
        >>> parsed = parser.parse(load_image(sample_picture("astronaut")))
        >>> [reading.status for reading in parsed.readings]
        ['absent', 'absent', 'absent', 'absent']
    """

    def __init__(
        self, source: PictureSegmenter | GivenRegions, reader: Reader, *, cache: Path | None = None
    ) -> None:
        self.source = source
        self.reader = reader
        self._partitions = None if cache is None else PartitionCache(default_folder(cache))
        self._files = None if cache is None else ContentFolder(cache / "files", "rsfiqa file 1")

    @classmethod
    def build(
        cls,
        segmenter: str | Segmenter,
        reader: Reader,
        *,
        regions: str | Path | GivenRegions | None = None,
        device: str = "auto",
        precision: Precision = "fp32",
        cache: Path | None = None,
    ) -> Parser:
        """Make one from names; the arguments are those of `RSFIQA.from_pretrained`.

        Raises:
            AssetError: weights cannot be had.
            ConfigError: an argument is not among those accepted.
            DataError: the folder of regions cannot be read or holds none.
        """
        require_precision(precision)
        given = given_or_none(regions, segmenter)
        if given is not None:
            return cls(given, reader, cache=cache)
        chosen = choose_device(device)
        if isinstance(segmenter, str):
            segmenter = build_segmenter(segmenter, device=chosen)
        shared = _encoder_of(reader) if segmenter.needs_semantic else None
        source = PictureSegmenter(segmenter, shared, device=chosen)
        if source.encoder is not None and precision == "bf16":
            source.encoder.to_bf16()
        return cls(source, reader, cache=cache)

    @property
    def info(self) -> dict[str, str]:
        """Names and versions of the parts: the same parts give the same readings."""
        segmenter = GIVEN if isinstance(self.source, GivenRegions) else self.source.segmenter.name
        return {"segmenter": segmenter, "reader": self.reader.name, "version": __version__}

    @property
    def notes(self) -> list[str]:
        """What the user should know, such as that something could not be kept."""
        keepers = (self.reader, self._partitions, self._files)
        return list(dict.fromkeys(note for k in keepers for note in getattr(k, "notes", ())))

    def identity(self, name: str) -> str:
        """What a picture's partition is made by; for given regions, their contents.

        Raises:
            DataError: no regions are given for the picture, or they cannot be read.
        """
        if isinstance(self.source, GivenRegions):
            return self.source.identity(name)
        return self.source.segmenter.name

    def is_kept(self, picture: Source) -> bool:
        """Whether this very file has been parsed and all its regions' readings are in the cache.

        The file is hashed but not decoded.

        Raises:
            ImageError: the file cannot be read.
            DataError: no regions are given for the picture, or they cannot be read.
        """
        if self._files is None or not isinstance(self.reader, CachedReader):
            return False
        key = self._files.load(self._file_key(picture.sha256(), self.identity(picture.name)))
        kept = self.reader.kept(key) if isinstance(key, str) else None
        return kept is not None and is_complete(kept)

    def parse(self, picture: LoadedImage) -> Parsed:
        """The regions of one picture and what is said of them.

        Raises:
            DataError: no regions are given for the picture, or they do not fit it.
        """
        # Named before regions are read: should they change between, they are read anew next time.
        segmenter = self.identity(picture.name)
        if isinstance(self.source, GivenRegions):
            look = None
            size = picture.height, picture.width
            partition = self.source.partition_for(picture.name, *size, pixels=picture.pixels)
        else:
            look = _Look(self.source, picture.pixels)
            partition = self._segment(picture, look)
        readings = self._read(picture.pixels, partition, look)
        parsed = Parsed(picture, partition, readings, segmenter)
        if self._files is not None and not parsed.failed:
            key = reading_key(picture.pixels, partition, self.reader.name)
            self._files.save(self._file_key(picture.sha256, segmenter), key)
        return parsed

    @property
    def workers(self) -> int:
        """How many pictures are best parsed side by side; `parse` may be called by several threads."""
        return workers_on("cpu" if isinstance(self.source, GivenRegions) else self.source.device)

    def _segment(self, picture: LoadedImage, look: _Look) -> Partition:
        if self._partitions is None:
            small = look.partition()
        else:
            made_by = self._made_by(self.identity(picture.name))
            small = self._partitions.partition(picture.pixels, made_by, look.partition)
        return small.resize(picture.height, picture.width)

    def _read(
        self, pixels: npt.NDArray[np.uint8], partition: Partition, look: _Look | None
    ) -> tuple[Reading, ...]:
        reader = self.reader
        if isinstance(reader, CachedReader):
            # Looked up before features are computed that only a reading needs.
            kept = reader.kept(reading_key(pixels, partition, reader.name), len(partition))
            if kept is not None and is_complete(kept):
                return kept
        shared = look is not None and look.encoder_name == reader.encoder_name
        grid = look.grid if look is not None and shared else None
        return tuple(reader.read(pixels, partition, grid))

    def _file_key(self, sha256: str, segmenter: str) -> str:
        made_by = self._made_by(segmenter)
        return content_key("file", sha256, made_by, self.reader.name, wording.VERSION)

    def _made_by(self, segmenter: str) -> str:
        """All that shapes a picture's partition, given what its segmenter is called."""
        parts = [segmenter, __version__]
        if isinstance(self.source, PictureSegmenter):
            parts.append(str(self.source.pixel_budget))
            if self.source.encoder is not None:
                # The first backbone's maps alone serve for segmenting.
                first = self.source.encoder.backbones[0]
                parts.append(f"{first.name}[{','.join(map(str, first.indices))}]")
                parts.append(self.source.encoder.precision)
        return "|".join(parts)


class _Look:
    """One picture within the pixel budget; its features are computed when first asked for."""

    def __init__(self, source: PictureSegmenter, pixels: npt.NDArray[np.uint8]) -> None:
        self._source = source
        self._pixels = pixels

    @property
    def encoder_name(self) -> str | None:
        return None if self._source.encoder is None else self._source.encoder.name

    @cached_property
    def _small(self) -> npt.NDArray[np.uint8]:
        return resize_to_budget(self._pixels, self._source.pixel_budget)

    @cached_property
    def grid(self) -> GridFeatures | None:
        if self._source.encoder is None:
            return None
        from rsfiqa.encoders.grid import to_tensor

        features: GridFeatures = self._source.encoder(
            to_tensor(self._small).to(self._source.device)
        )
        return features

    def partition(self) -> Partition:
        """The partition at the size within the budget."""
        semantic = None if self.grid is None else self.grid.semantic_of(0)
        return self._source.segmenter.segment(self._small, semantic)


def _encoder_of(reader: Reader) -> GridEncoder | None:
    """The default encoder, where it is the one whose features the reader takes over."""
    if reader.encoder_name is None:
        return None
    from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder

    encoder = build_encoder(DEFAULT_ENCODER)
    return encoder if encoder.name == reader.encoder_name else None
