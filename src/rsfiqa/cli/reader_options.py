"""The options of commands that read: which reader, how it is set up, what is kept of what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

READER_PANEL = "Reader"
ReaderOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=READER_PANEL,
        help="What describes and rates the regions: none; embedded, or embedded:FOLDER for one you "
        "taught; hf:MODEL, a vision-language model by hub id or folder; server:URL or "
        "server:URL#MODEL, an OpenAI-compatible server.",
    ),
]
ReaderPrecisionOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=READER_PANEL,
        help="Precision of hf:MODEL: auto, fp32, bf16 or 4bit; of embedded: fp32 or bf16.",
        show_default="auto; for embedded that of --precision",
    ),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=READER_PANEL,
        help="A LoRA adapter for hf:MODEL.",
        show_default="none",
    ),
]
ViewOption = Annotated[
    str | None,
    typer.Option(
        metavar="crop|picture",
        rich_help_panel=READER_PANEL,
        help="What hf:MODEL and server:URL are shown of a region: a crop around it, or the whole "
        "picture.",
        show_default="the reader's own",
    ),
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=READER_PANEL,
        help="How many requests server:URL gets at a time.",
        show_default="the reader's own",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="SECONDS",
        rich_help_panel=READER_PANEL,
        help="Give up a request to server:URL after so many seconds.",
        show_default="the reader's own",
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        rich_help_panel=READER_PANEL,
        help="How often a request to server:URL that failed is made again, where that may help.",
        show_default="the reader's own",
    ),
]
CacheReadingsOption = Annotated[
    bool | None,
    typer.Option(
        "--cache-readings/--no-cache-readings",
        rich_help_panel=READER_PANEL,
        help="Keep readings on disk, so that the same regions are read once.",
        show_default="for hf and server",
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=READER_PANEL,
        help="Folder in which readings are kept.",
        show_default="the cache of rsfiqa",
    ),
]


@dataclass(frozen=True)
class ReaderSettings:
    """How a reader is set up; what is None is the reader's own. See `rsfiqa.cli.unfolding`."""

    reader_precision: ReaderPrecisionOption = None
    adapter: AdapterOption = None
    view: ViewOption = None
    concurrency: ConcurrencyOption = None
    timeout: TimeoutOption = None
    retries: RetriesOption = None

    @property
    def settings(self) -> dict[str, Any]:
        """As `rsfiqa.reading.build.build_reader` takes them."""
        return {
            "precision": self.reader_precision,
            "adapter": self.adapter,
            "view": self.view,
            "concurrency": self.concurrency,
            "timeout": self.timeout,
            "retries": self.retries,
        }

    def kept_in(self, folder: Path) -> ReaderOptions:
        """These, with the readings kept in a folder."""
        return ReaderOptions(**vars(self), cache=folder)


@dataclass(frozen=True)
class ReaderOptions(ReaderSettings):
    """How a reader is set up, and whether and where its readings are kept."""

    cache_readings: CacheReadingsOption = None
    cache: CacheOption = None
