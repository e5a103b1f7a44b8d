"""rsfiqa: region-aware no-reference image quality assessment.

Heavy imports (torch and what needs it) happen when first used, so that `import rsfiqa` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.errors import (
        AssetError,
        ConfigError,
        DataError,
        ImageError,
        MissingExtraError,
        RsfiqaError,
    )
    from rsfiqa.integrations.loss import as_loss
    from rsfiqa.scoring.rsa import RSAModule
    from rsfiqa.table import to_frame
    from rsfiqa.types import (
        Assessment,
        Partition,
        Rating,
        Reading,
        Region,
        RegionAssessment,
    )

_HOMES = {
    "RSFIQA": "rsfiqa.assessor",
    "RSAModule": "rsfiqa.scoring.rsa",
    "as_loss": "rsfiqa.integrations.loss",
    "to_frame": "rsfiqa.table",
    **dict.fromkeys(
        [
            "AssetError",
            "ConfigError",
            "DataError",
            "ImageError",
            "MissingExtraError",
            "RsfiqaError",
        ],
        "rsfiqa.errors",
    ),
    **dict.fromkeys(
        ["Assessment", "Partition", "Rating", "Reading", "Region", "RegionAssessment"],
        "rsfiqa.types",
    ),
}

__all__ = [
    "RSFIQA",
    "Assessment",
    "AssetError",
    "ConfigError",
    "DataError",
    "ImageError",
    "MissingExtraError",
    "Partition",
    "RSAModule",
    "Rating",
    "Reading",
    "Region",
    "RegionAssessment",
    "RsfiqaError",
    "__version__",
    "as_loss",
    "to_frame",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rsfiqa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
