"""What loading models of the hub through transformers has in common, whatever they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from rsfiqa.errors import AssetError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = ("*.bin", "*.pt", "*.pth")


def require_safetensors(folder: Path, mend: str) -> None:
    """See that a folder holds weights that load without running code.

    Args:
        folder: of the model.
        mend: which files are needed, and how to have them; the end of the error's sentence.

    Raises:
        AssetError: it holds pickled weights or none.
    """
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    found = (
        f"only pickled weights ({pickled[0]}), which are not loaded" if pickled else "no weights"
    )
    raise AssetError(f"{folder} holds {found}; {mend}")


def snapshot_label(given: str | Path, folder: Path) -> str | None:
    """A model's name with the hub's commit; None for a folder that is no snapshot of the hub."""
    if folder.parent.name != "snapshots" or not _COMMIT.fullmatch(folder.name):
        return None
    repo = str(given).removeprefix("hf:").partition("@")[0]
    # A snapshot that was given by its path goes by the name of its repository's folder.
    repo = folder.parent.parent.name if folder == Path(given).expanduser() else repo
    return f"{repo.removeprefix('models--').replace('--', '/')}@{folder.name[:8]}"


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def quiet_loading(transformers: ModuleType) -> Iterator[None]:
    """Without transformers' progress bar and remarks: what matters is checked and said by us."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
