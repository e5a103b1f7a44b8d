"""Small JSON documents on disk, keyed by what they were made from: what caches share.

One file a document, `FOLDER/ab/abcd….json`. It is written whole or not at all, whoever else writes
it, and says what it is, for which key, and the checksum of its content. One that is damaged, cut off
or somebody else's is as good as none: it is made again and replaced.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.atomic import sweep_once, write_whole


def content_key(*parts: str | npt.NDArray[Any]) -> str:
    """SHA-256 over texts and arrays, as 64 hexadecimal digits.

    Each part is preceded by its kind, type and size, so that no two lists of parts are confused.

    Example:
        >>> content_key("ab", "c") == content_key("a", "bc")
        False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(f"text {len(data)}\n".encode())
            digest.update(data)
        else:
            array = np.ascontiguousarray(part)
            digest.update(f"array {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
    return digest.hexdigest()


class ContentFolder:
    """A folder of documents of one kind; safe for several threads and processes.

    Args:
        folder: where the documents are; made when the first one is written.
        kind: what they are, with the version of their form: others are not read.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self._failure: str | None = None
        self._lock = threading.Lock()

    @property
    def notes(self) -> list[str]:
        """What the user should know: at most one sentence, on documents that were not kept."""
        return [] if self._failure is None else [self._failure]

    def path(self, key: str) -> Path:
        """Where the document of a key is, or would be."""
        return self.folder / key[:2] / f"{key}.json"

    def load(self, key: str) -> Any:
        """The content kept under a key; None where there is none that is whole and ours."""
        try:
            document = json.loads(self.path(key).read_bytes())
            content = document["content"]
            ours = (document["kind"], document["key"]) == (self.kind, key)
            return content if ours and document["sha256"] == _checksum(content) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def save(self, key: str, content: Any) -> bool:
        """Keep content under a key, in place of what was there.

        Where the folder cannot be written, nothing is kept and `notes` says so, once.

        Args:
            key: from `content_key`.
            content: plain data for JSON, not None; numbers come back exactly as they are.

        Returns:
            whether it was kept.

        Raises:
            ValueError: a number is not finite.
        """
        document = {
            "kind": self.kind,
            "key": key,
            "sha256": _checksum(content),
            "content": content,
        }
        path = self.path(key)
        try:
            sweep_once(self.folder)
            write_whole(path, f"{_encode(document)}\n".encode("ascii"))
        except OSError as error:
            with self._lock:
                self._failure = self._failure or (
                    f"{self.folder} cannot be written ({error.strerror or error}), so what was to "
                    "be kept there will be made again; free space there, or name another folder."
                )
            return False
        return True


def _encode(content: Any) -> str:
    # Escaped, since texts may hold what is no valid Unicode; sorted, for the checksum.
    return json.dumps(content, ensure_ascii=True, allow_nan=False, sort_keys=True)


def _checksum(content: Any) -> str:
    return hashlib.sha256(_encode(content).encode("ascii")).hexdigest()
