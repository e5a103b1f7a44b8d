"""Colour profiles: which are applied, and what is said of those that are not.

The embedded profile of an RGB or grey picture is not applied: its pixel values are scored as they
are stored. That is what the scores of the common data sets and of other quality metrics rest on,
and it keeps equal pixels at equal scores whether or not a format can carry a profile. CMYK and
Lab have no RGB values of their own, so there the profile decides what the picture looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageCms

_NAME_LENGTH = 60


def profile_note(image: Image.Image) -> str | None:
    """Say that the embedded RGB profile was not applied, unless it is sRGB, where nothing changes."""
    profile = _embedded(image)
    if profile is None or image.mode not in ("RGB", "RGBA", "P"):
        return None
    try:
        name = " ".join(ImageCms.getProfileDescription(profile).split())
    except Exception:
        return None
    if not name or "srgb" in name.lower() or not name.isprintable():
        return None
    return f"colour profile {name[:_NAME_LENGTH]!r} not applied"


def srgb_converter(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """What brings a CMYK image with an embedded profile, or a Lab image, to sRGB.

    Returns:
        A function for the image and pieces of it; None where there is nothing to go by.
    """
    try:
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else _embedded(image)
        if source is None:
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), image.mode, "RGB"
        )
    # A damaged profile, one for another colour space, or a Pillow that was built without ImageCms.
    except Exception:
        return None

    def convert(piece: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(piece, transform)
        if converted is None:  # only when converting in place
            raise ValueError("the colour conversion gave no image")
        return converted

    return convert


def _embedded(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(BytesIO(data))
    except Exception:
        return None
