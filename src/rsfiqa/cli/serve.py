"""`rsfiqa serve`: the HTTP API around one loaded model."""

from __future__ import annotations

import ipaddress
import warnings
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common
from rsfiqa.cli.reader_options import ReaderOption, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.errors import MissingExtraError, RsfiqaWarning
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.service.settings import ServiceSettings

LIMITS = "Limits"
ACCESS = "Access"


@dataclass(frozen=True)
class ServeLimits:
    """Options that are fields of `rsfiqa.service.settings.ServiceSettings`, which checks them."""

    max_bytes: Annotated[
        int, typer.Option(min=1, rich_help_panel=LIMITS, help="Most bytes of one picture's file.")
    ] = 25_000_000
    max_pixels: Annotated[
        int, typer.Option(min=1, rich_help_panel=LIMITS, help="Most pixels of one picture.")
    ] = 64_000_000
    max_batch: Annotated[
        int, typer.Option(min=1, rich_help_panel=LIMITS, help="Most pictures of one batch request.")
    ] = 16
    queue: Annotated[
        int,
        typer.Option(
            min=1,
            rich_help_panel=LIMITS,
            help="Most pictures that are accepted and not yet answered; more are told to come back "
            "(429).",
        ),
    ] = 32
    answer_within: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="Time to answer a request; after that the client gets 504.",
        ),
    ] = 120.0
    drain_within: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="Time that a stopping server has to finish what it accepted.",
        ),
    ] = 60.0
    decoders: Annotated[
        int, typer.Option(min=1, rich_help_panel=LIMITS, help="Processes that decode pictures.")
    ] = 2
    decode_within: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            rich_help_panel=LIMITS,
            help="Time to decode one picture.",
        ),
    ] = 20.0


@unfolded
def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            rich_help_panel=ACCESS,
            help="Address to listen at; 0.0.0.0 lets other machines in.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            rich_help_panel=ACCESS,
            help="Port to listen at; 0 takes any free one.",
        ),
    ] = 8000,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            rich_help_panel=ACCESS,
            help="A site whose pages may ask from a browser, such as https://example.org; may be "
            "given again.",
            show_default="none",
        ),
    ] = None,
    segmenter: common.SegmenterOption = "embedded",
    reader: ReaderOption = DEFAULT_READER,
    reading: ReaderOptions,
    model: common.ModelOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    batch_size: common.BatchSizeOption = 4,
    limits: ServeLimits,
    quiet: common.QuietOption = False,
) -> None:
    """Serve a web page and an HTTP API: POST a picture to /v1/assess; /docs tells the rest.

    With the environment variable RSFIQA_API_KEY set, clients have to show that key. Nothing of a
    picture is kept or logged. Ctrl+C finishes what was accepted and stops; a second one stops at once.
    """
    try:
        from rsfiqa.service.app import create_app
        from rsfiqa.service.server import open_socket, serve_app, url_of
    except ImportError as error:
        if (error.name or "").startswith("rsfiqa"):
            raise
        raise MissingExtraError("The server", "serve") from error
    from rsfiqa.service.engine import assessors_of

    settings = _settings(limits, batch_size=batch_size, origins=tuple(origin or ()))
    _warn_if_open(host, settings)
    listening = open_socket(host, port)
    chosen_reader = common.make_reader(
        reader, options=reading, device=device, encoder_precision=precision
    )
    assessor = common.make_assessor(
        model=model,
        segmenter=segmenter,
        reader=chosen_reader,
        device=device,
        precision=precision,
        max_pixels=settings.max_pixels,
    )
    _warm_up(assessor)

    def ready() -> None:
        if not quiet:
            typer.echo(f"rsfiqa: serving at {url_of(listening)}; Ctrl+C stops it.", err=True)

    started = serve_app(create_app(assessors_of(assessor), settings), listening, ready=ready)
    raise typer.Exit(0 if started else 1)


def _settings(limits: ServeLimits, **more: Any) -> ServiceSettings:
    from rsfiqa.service.settings import ServiceSettings, api_key_from_environment

    given = {field.name: getattr(limits, field.name) for field in fields(limits)}
    # Room for whatever a request may hold: the limits that have no option follow those that have.
    batch_bytes = max(ServiceSettings.max_batch_bytes, limits.max_bytes)
    queue_bytes = max(ServiceSettings.queue_bytes, 2 * batch_bytes)
    return ServiceSettings(
        **given,
        **more,
        max_batch_bytes=batch_bytes,
        queue_bytes=queue_bytes,
        api_key=api_key_from_environment(),
    )


def _warn_if_open(host: str, settings: ServiceSettings) -> None:
    from rsfiqa.service.settings import API_KEY_VARIABLE

    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and settings.api_key is None:
        warnings.warn(
            f"anybody who reaches {host} may use this server; set {API_KEY_VARIABLE} to a key "
            "that clients must show.",
            RsfiqaWarning,
            stacklevel=2,
        )


def _warm_up(assessor: Any) -> None:
    """The first picture takes longer than any other: let it not be a client's."""
    import numpy as np

    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    assessor.assess(np.stack([np.tile(ramp, (64, 1))] * 3, axis=-1))
