"""SAM, SAM 2 and SAM-HQ behind one door: pictures are encoded once, then asked with points.

Kirillov et al., *Segment Anything* (2023); Ravi et al., *SAM 2* (2024); Ke et al., *Segment Anything
in High Quality* (2023). The networks are those of transformers. Its mask-generation pipeline is not
used: it enlarges every candidate mask to the picture's size before it drops most of them, and for
SAM 2, which stretches the picture to a square, it places points as if the picture had been padded, so
that part of the picture is never asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    import torch

_THINNEST = 64
"""Pictures longer than this many times their width are stretched for the model, whose input is a
fixed square in which their short side would round to nothing."""


@dataclass(frozen=True)
class EncodedPicture:
    """What a model remembers of one picture.

    Attributes:
        embeddings: the keyword arguments under which the model takes it back.
        content: height and width of the picture in the model's input, in input pixels; what lies
            beyond is padding.
        input_size: height and width of the model's input.
    """

    embeddings: dict[str, Any]
    content: tuple[int, int]
    input_size: tuple[int, int]


class PointPrompted:
    """A SAM-family network with its image processor.

    Args:
        model: SamModel, Sam2Model or SamHQModel of transformers, or what answers alike.
        processor: the image processor saved beside the model.
        label: identifies the weights, for names and caches.
        device: where the model runs.
    """

    def __init__(
        self, model: Any, processor: Any, *, label: str, device: torch.device | str = "cpu"
    ) -> None:
        self._model = model.to(device).eval()
        self._processor = processor
        self.label = label
        self.device = device

    def encode(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[EncodedPicture]:
        """Encode pictures `[H, W, 3]`, of any sizes, in one pass of the image encoder."""
        import torch

        inputs = self._processor(
            images=[_not_too_thin(pixels) for pixels in pictures],
            # Else a picture of three rows would be taken for three channels.
            input_data_format="channels_last",
            return_tensors="pt",
        )
        values = inputs["pixel_values"].to(self.device, torch.float32)
        height, width = values.shape[-2:]
        # SAM scales to a longest side and pads; SAM 2 stretches, whatever sizes some versions of
        # its processor report.
        pads = bool(self._processor.size.get("longest_edge"))
        sizes = inputs["reshaped_input_sizes"].tolist() if pads else [(height, width)] * len(values)
        with torch.inference_mode():
            output = self._model.get_image_embeddings(values)
        return [
            EncodedPicture(_embeddings_of(output, i), (int(rows), int(columns)), (height, width))
            for i, (rows, columns) in enumerate(sizes)
        ]

    def masks_at(
        self, picture: EncodedPicture, points: npt.NDArray[np.float32]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The masks that the model proposes at each point.

        Args:
            picture: from `encode`.
            points: `[P, 2]`, x and y as fractions of the picture, 0..1.

        Returns:
            logits `[P, M, h, w]` over the model's whole input, padding included, at about a quarter
            of its resolution, above 0 inside a mask; and the predicted IoU `[P, M]` of each mask.
            M is 3: SAM offers a whole, a part and a sub-part where a point is ambiguous.
        """
        import torch

        height, width = picture.content
        at = torch.from_numpy(points * np.array([width, height], dtype=np.float32))
        with torch.inference_mode():
            output = self._model(
                input_points=at[None, :, None].to(self.device),
                input_labels=torch.ones((1, len(points), 1), dtype=torch.int64, device=self.device),
                multimask_output=True,
                **picture.embeddings,
            )
        return output.pred_masks[0].float(), output.iou_scores[0].float()


def _not_too_thin(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    size = (max(width, -(-height // _THINNEST)), max(height, -(-width // _THINNEST)))
    if size == (width, height):
        return np.array(pixels, order="C")  # torch takes neither flipped nor read-only arrays
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _embeddings_of(output: Any, index: int) -> dict[str, Any]:
    """One picture's share of `get_image_embeddings`, under the names that `forward` knows.

    SAM gives one map; SAM 2 a list of maps from fine to coarse; SAM-HQ a pair, a map and the maps
    of earlier layers.
    """
    one = slice(index, index + 1)
    if isinstance(output, tuple):
        last, earlier = output
        return {
            "image_embeddings": last[one],
            "intermediate_embeddings": [layer[one] for layer in earlier],
        }
    if isinstance(output, list):
        return {"image_embeddings": [level[one] for level in output]}
    return {"image_embeddings": output[one]}
