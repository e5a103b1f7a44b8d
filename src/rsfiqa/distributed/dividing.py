"""Step 1 alone, as the assessor that scores would do it: the same encoder, the same regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsfiqa.distributed.rows import Divided

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.images import LoadedImage


class Divider:
    """Divides pictures into the regions that an assessor gives them.

    A scorer may have an encoder of its own, by whose features pictures are divided; so this takes the
    assessor's, and not the default one.

    Args:
        assessor: on the processor; its reader is not asked.
    """

    def __init__(self, assessor: RSFIQA) -> None:
        self._assessor = assessor

    def divide(self, picture: LoadedImage) -> Divided:
        """A picture with its partition.

        Raises:
            DataError: no regions are given for the picture, or they do not fit it.
        """
        given, extractor = self._assessor.regions, self._assessor.extractor
        if given is None:
            _, partition = extractor.encode_and_segment(picture.pixels)
            return Divided(picture, partition, extractor.segmenter.name)
        # Named before they are read: should they change between, they are read anew next time.
        segmenter = given.identity(picture.name)
        size = picture.height, picture.width
        partition = given.partition_for(picture.name, *size, pixels=picture.pixels)
        return Divided(picture, partition, segmenter)
