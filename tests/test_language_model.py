"""The conversion of the language model's file: silent, and clear where it fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

from rsfiqa.errors import AssetError
from rsfiqa.reading.language_model import convert_weights


def test_conversion_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """transformers' progress bar of a GGUF conversion would end up in users' logs."""

    def chatty(*_: Any, **__: Any) -> None:
        sys.stderr.write("Converting: 50%")
        raise RuntimeError("and then it breaks")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", chatty)
    with pytest.raises(AssetError, match="cannot be read as a GGUF model: and then it breaks"):
        convert_weights(tmp_path / "model.gguf", tmp_path / "model.safetensors")
    assert capfd.readouterr().err == ""


def test_a_file_that_is_no_gguf_is_named(tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"no model")
    with pytest.raises(AssetError, match=r"model\.gguf cannot be read as a GGUF model"):
        convert_weights(source, tmp_path / "model.safetensors")
