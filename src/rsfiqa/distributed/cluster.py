"""Being connected to a Ray cluster, and what Ray raises as sentences."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rsfiqa import errors
from rsfiqa.errors import ConfigError, MissingExtraError, RsfiqaError

_CONNECT_SECONDS = 10.0


def import_ray() -> Any:
    """`ray`, with its data library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray") from error
    return ray


@contextmanager
def cluster(address: str | None = None) -> Iterator[tuple[float, float]]:
    """A Ray cluster to work on, for as long as the block lasts.

    Args:
        address: `HOST:PORT`, or `auto` for the cluster that this machine belongs to; by default the environment variable
            `RAY_ADDRESS`, or else a Ray of our own on this machine, which is stopped afterwards. A
            cluster to which this process is connected already is used as it is.

    Yields:
        its cores and GPUs.

    Raises:
        ConfigError: there is no cluster at the address.
        MissingExtraError: Ray is not installed.
    """
    ray = import_ray()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    connected = ray.is_initialized()
    if not connected:
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
    try:
        found = ray.cluster_resources()
        yield float(found.get("CPU", 0)), float(found.get("GPU", 0))
    finally:
        if not connected:
            ray.shutdown()


@contextmanager
def ray_errors() -> Iterator[None]:
    """What Ray raises, as one sentence."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        lines = [line for line in str(cause).splitlines() if line.strip()]
        raise RsfiqaError(
            f"the work on Ray failed: {type(cause).__name__}: {lines[-1].strip() if lines else 'no further word'}. "
            "What was done is kept; run the same command again."
        ) from error


def error_of(kind: str | None, sentence: str) -> RsfiqaError:
    """An error of a worker, as it was raised there."""
    found = getattr(errors, kind or "", RsfiqaError)
    return RsfiqaError(sentence) if found is MissingExtraError else found(sentence)


def _connect(ray: Any, address: str | None) -> None:
    if not os.environ.get("RSFIQA_DEBUG"):
        # Its core tells every run of dangers that Ray Data has seen to.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        _require_listening(address)
        # A Ray of our own needs no dashboard; one that is there has it or not.
        own = {} if address else {"include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"at {address}" if address else "on this machine"
        reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
        raise ConfigError(
            f"no Ray cluster can be reached {where} ({reason}); start one with ray start --head, check "
            "--ray-address, or set RAY_AUTH_MODE=token where the cluster asks for its token."
        ) from error


def _require_listening(address: str | None) -> None:
    """Ask whether anybody is at an address: Ray itself would go on asking for minutes.

    Raises:
        OSError: nobody is.
        ValueError: it is no address.
    """
    if address in {None, "auto", "local"}:
        return
    host, colon, port = str(address).rpartition("//")[2].rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"{address} is not HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
