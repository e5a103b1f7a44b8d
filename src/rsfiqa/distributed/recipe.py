"""How an assessor is made, as plain data that can be sent to the machines where it is to work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.devices import Precision
    from rsfiqa.distributed.dividing import Divider
    from rsfiqa.reading.base import Reader


@dataclass(frozen=True)
class Recipe:
    """The settings of an assessor; see `rsfiqa.RSFIQA.from_pretrained` and `build_reader`.

    Attributes:
        model: folder or hub id of a scorer; None for the one in the package.
        segmenter: what divides pictures.
        regions: folder of regions to use instead of segmenting.
        reader: what reads, by name.
        reader_settings: of `build_reader`; those that are None are the reader's own.
        cache_readings: whether, or in which folder, readings are kept.
        device: where networks run.
        precision: of the encoder.
        max_pixels: larger pictures are refused; None for the default.
        masks: put the regions' masks into results.
    """

    model: str | None = None
    segmenter: str = "embedded"
    regions: str | None = None
    reader: str = "none"
    reader_settings: Mapping[str, Any] = field(default_factory=dict)
    cache_readings: bool | str | None = None
    device: str = "auto"
    precision: str = "fp32"
    max_pixels: int | None = None
    masks: bool = True

    def load_assessor(self, *, divided: bool = False) -> RSFIQA:
        """The assessor.

        Args:
            divided: it will be given partitions, so that the segmenter need not be loaded.

        Raises:
            RsfiqaError: as `RSFIQA.from_pretrained` and `build_reader`.
        """
        from rsfiqa.assessor import RSFIQA

        return RSFIQA.from_pretrained(
            self.model,
            segmenter="grid" if divided else self.segmenter,
            reader=self._load_reader(),
            regions=None if divided else self.regions,
            device=self.device,
            precision=cast("Precision", self.precision),  # which it checks
            max_pixels=self.max_pixels,
        )

    def load_divider(self) -> Divider:
        """What divides pictures as the assessor would, on the processor.

        Raises:
            RsfiqaError: as `RSFIQA.from_pretrained`.
        """
        from rsfiqa.assessor import RSFIQA
        from rsfiqa.distributed.dividing import Divider

        return Divider(
            RSFIQA.from_pretrained(
                self.model,
                segmenter=self.segmenter,
                reader="none",
                regions=self.regions,
                device="cpu",
                precision=cast("Precision", self.precision),
            )
        )

    def _load_reader(self) -> Reader:
        from rsfiqa.reading.build import build_reader, precision_of

        settings = dict(self.reader_settings)
        precision = settings.pop("precision", None) or precision_of(self.reader, self.precision)
        return build_reader(
            self.reader,
            device=self.device,
            precision=precision,
            cache=self.cache_readings,
            **settings,
        )
