"""Exported files run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import AssetError, DataError, MissingExtraError

Arrays = Mapping[str, npt.NDArray[Any]]


class OnnxModel:
    """An exported file, ready to run on the CPU. It needs NumPy and ONNX Runtime and no torch.

    Args:
        source: the file, or its bytes.
        threads: processor cores to use; 0 leaves it to ONNX Runtime, which takes all.

    Attributes:
        inputs, outputs: names, in order.
        facts: the file's metadata: version, scorer, part, and what each input and output means.

    Raises:
        AssetError: the file cannot be read.
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(self, source: str | Path | bytes, *, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("Running an ONNX file", "onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        if threads == 1:
            options.inter_op_num_threads = 1
        given = source if isinstance(source, bytes) else str(source)
        try:
            self._session = onnxruntime.InferenceSession(
                given, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of its own kinds, which share no base but this
            what = "the ONNX file" if isinstance(source, bytes) else str(source)
            reason = (str(error).strip().splitlines() or ["no further word"])[0]
            raise AssetError(f"{what} cannot be read by ONNX Runtime: {reason}.") from error
        self.inputs = tuple(port.name for port in self._session.get_inputs())
        self.outputs = tuple(port.name for port in self._session.get_outputs())
        self.facts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, given: Arrays) -> dict[str, npt.NDArray[np.float32]]:
        """The outputs by name.

        Args:
            given: the inputs by name; see `facts` for their shapes.

        Raises:
            DataError: an input is missing, unknown, or of a shape or kind that does not fit.
        """
        if set(given) != set(self.inputs):
            raise DataError(
                f"the file takes {', '.join(self.inputs)}; got {', '.join(given) or 'nothing'}."
            )
        try:
            found = self._session.run(None, dict(given))
        except Exception as error:  # as above
            reason = (str(error).strip().splitlines() or ["no further word"])[0]
            raise DataError(f"an input does not fit the ONNX file: {reason}.") from error
        return dict(zip(self.outputs, found, strict=True))
