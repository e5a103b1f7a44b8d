"""Readers by name, as the command line and `RSFIQA.from_pretrained` take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from rsfiqa.reading.base import Reader

DEFAULT_READER = "embedded"
"""What reads where nobody says otherwise."""

READERS = {
    "none": "nobody: regions are scored unread",
    "embedded": "the small language model of this package, for two processor cores",
    "embedded:FOLDER": "the same, taught by you",
    "hf:MODEL": "a vision-language model by hub id or folder, on this machine",
    "server:URL": "an OpenAI-compatible server, with its first model",
    "server:URL#MODEL": "the same, with the model of that name",
}
"""What a reader may be called, and what it is."""

_SETTINGS = {
    "none": (),
    "embedded": ("precision",),
    "hf": ("precision", "view", "adapter"),
    "server": ("view", "concurrency", "timeout", "retries"),
}
"""What can be set of each kind of reader, beyond its name and device."""

_SLOW = ("hf", "server")
"""Readers that take seconds or money for a picture: their readings are kept unless refused."""


def default_reader(reads: bool) -> str:
    """What reads for a scorer where nobody says otherwise.

    Args:
        reads: whether the scorer was trained with readings. One that sees none scores the same
            without them, and sooner.

    Example:
        >>> default_reader(True), default_reader(False)
        ('embedded', 'none')
    """
    return DEFAULT_READER if reads else "none"


def build_reader(
    spec: str,
    *,
    device: str | torch.device = "auto",
    precision: str | None = None,
    view: str | None = None,
    adapter: str | Path | None = None,
    concurrency: int | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    cache: bool | str | Path | None = None,
) -> Reader:
    """A reader from its name. Settings left at None are the reader's own.

    Args:
        spec: one of `READERS`.
        device: where a model on this machine runs; `auto` is a CUDA device where there is one.
        precision: of an `hf` model `auto`, `fp32`, `bf16` or `4bit`; of the embedded one `fp32` or
            `bf16`.
        view: what an `hf` model or a server is shown of a region: `crop` or `picture`.
        adapter: folder of a LoRA adapter for an `hf` model.
        concurrency: requests that a server gets at a time.
        timeout: seconds after which a request to a server is given up.
        retries: how often such a request is made again.
        cache: see `with_cache`.

    Raises:
        ConfigError: there is no such reader, or it has no such setting.
        AssetError: a model cannot be had.
        MissingExtraError: the reader needs a package that is not installed.

    Example:
        >>> build_reader("none").name
        'none'
    """
    kind, colon, rest = spec.partition(":")
    named = bool(rest) and kind != "none" if colon else kind not in _SLOW
    if kind not in _SETTINGS or not named:
        raise ConfigError(f"unknown reader {spec!r}; this version knows: {', '.join(READERS)}.")
    given = {
        "precision": precision,
        "view": view,
        "adapter": adapter,
        "concurrency": concurrency,
        "timeout": timeout,
        "retries": retries,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    for name in settings:
        if name not in _SETTINGS[kind]:
            takes = ", ".join(_SETTINGS[kind]) or "no settings"
            raise ConfigError(f"the reader {spec} has no {name} to set; it takes {takes}.")
    return with_cache(_build(kind, rest, device, settings), cache, spec=spec)


def precision_of(spec: str, encoder: str) -> str | None:
    """The precision of a reader where nobody says otherwise, given that of the encoder.

    The embedded reader, which reads the encoder's features, takes the encoder's; others choose.

    Example:
        >>> precision_of("embedded", "bf16"), precision_of("hf:some/model", "bf16")
        ('bf16', None)
    """
    return encoder if spec.partition(":")[0] == "embedded" else None


def _build(kind: str, rest: str, device: str | torch.device, settings: dict[str, Any]) -> Reader:
    if kind == "embedded":
        from rsfiqa.devices import choose_device
        from rsfiqa.reading.embedded import EmbeddedReader

        return EmbeddedReader.from_pretrained(
            folder=rest or None, device=choose_device(str(device)), **settings
        )
    if kind == "hf":
        from rsfiqa.reading.vlm import LocalVLMReader

        return LocalVLMReader.from_spec(rest, device=str(device), **settings)
    if kind == "server":
        from rsfiqa.reading.server import ServerReader

        return ServerReader.from_spec(rest, **settings)
    from rsfiqa.reading.base import NoReader

    return NoReader()


def with_cache(reader: Reader, cache: bool | str | Path | None = None, *, spec: str = "") -> Reader:
    """The reader, with its readings kept on disk where that is wanted.

    Args:
        reader: any; one that reads nothing is returned as it is.
        cache: True keeps readings in the cache folder (`rsfiqa.assets.cache_folder`), a path in
            that folder instead, False nowhere; None keeps those of readers that are slow or cost
            money, `hf` and `server`, which a rerun should not pay again, and no others.
        spec: the name that the reader was built from.
    """
    if cache is None:
        cache = spec.partition(":")[0] in _SLOW
    if cache is False or reader.name == "none":
        return reader
    from rsfiqa.reading.cache import CachedReader, default_folder

    return CachedReader(reader, default_folder(None if cache is True else Path(cache)))
