"""What a client may ask of an assessment, and pictures as they come in JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

MapKind = Literal["attention", "quality"]
OverlayKind = Literal["regions", "attention", "quality"]
LONGEST_NAME = 255


class Options(BaseModel):
    """What the answer holds beside scores and regions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: bool | None = Field(
        default=None,
        description="Whether regions are read: descriptions and ratings. By default they are, "
        "where the server has a reader; without it is faster.",
    )
    masks: bool = Field(
        default=True, description="Whether regions have their masks, as COCO run-length encoding."
    )
    maps: tuple[MapKind, ...] = Field(
        default=(),
        max_length=2,
        description="Maps to add, as 16-bit grey PNG in base64: attention (sums to 1) or "
        "quality (0 to 100).",
    )
    overlays: tuple[OverlayKind, ...] = Field(
        default=(),
        max_length=3,
        description="The picture with something drawn over it, as PNG in base64: regions, "
        "attention or quality.",
    )
    report: bool = Field(
        default=False, description="Whether to add a self-contained HTML page about the picture."
    )

    @field_validator("maps", "overlays")
    @classmethod
    def _once(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kinds))


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("give the picture's file as text in base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            "this is no base64; neither white space nor a data: prefix is taken"
        ) from None


def base_name(name: str) -> str:
    """What a picture is called in answers: never a path.

    Example:
        >>> base_name("C:\\\\fakepath\\\\photo.jpg"), base_name("../../a/b.png"), base_name("/")
        ('photo.jpg', 'b.png', 'image')
    """
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()[:LONGEST_NAME] or "image"


class Picture(BaseModel):
    """A picture's file in JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[bytes, BeforeValidator(_from_base64)] = Field(
        description="The picture's file in base64.", repr=False
    )
    name: str = Field(
        default="image", max_length=4096, description="What the answer calls the picture."
    )


class OnePicture(Options, Picture):
    """The body of `POST /v1/assess` as JSON."""


class ManyPictures(Options):
    """The body of `POST /v1/assess/batch` as JSON."""

    images: tuple[Picture, ...] = Field(min_length=1, description="The pictures.", repr=False)
