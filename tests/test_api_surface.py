"""The public names and signatures of rsfiqa, which other people's code relies on, are frozen."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import public_api
import rsfiqa


def test_the_public_names_and_signatures_are_as_frozen() -> None:
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    assert public_api.describe() == public_api.FROZEN.read_text(encoding="utf-8"), (
        "the public names or signatures have changed; where that is meant, say so in CHANGELOG.md "
        "and renew them with: python tests/public_api.py"
    )


def test_every_public_name_can_be_had_and_is_listed() -> None:
    for name in rsfiqa.__all__:
        assert getattr(rsfiqa, name) is not None
        assert name in dir(rsfiqa)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rsfiqa.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", public_api.MODULES)
def test_public_things_say_what_they_are(name: str) -> None:
    if name.endswith("torchmetrics"):
        pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        assert isinstance(value, str) or (value.__doc__ or "").strip(), public


def test_importing_rsfiqa_is_quick() -> None:
    code = (
        "import sys, rsfiqa; rsfiqa.Assessment, rsfiqa.to_frame; "
        "heavy = {'torch', 'timm', 'skimage', 'sklearn', 'onnx', 'pandas', 'transformers'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
