"""`save_collection_report`: results files in, one page about the whole collection out."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from rsfiqa import __version__
from rsfiqa.atomic import replacing
from rsfiqa.errors import DataError
from rsfiqa.report.collection.charts import charts, figures
from rsfiqa.report.collection.entry import Entry
from rsfiqa.report.collection.pictures import PictureFinder, link_to
from rsfiqa.report.collection.rows import row_of, script_json, words_of
from rsfiqa.report.collection.sources import Source, find_sources
from rsfiqa.report.collection.statistics import Statistics
from rsfiqa.report.collection.thumbnails import Made, ThumbnailFolder, Trouble, map_ahead
from rsfiqa.report.palette import QUALITY
from rsfiqa.report.templates import Html, asset, fill, join

if TYPE_CHECKING:
    from rsfiqa.types import ModelInfo

FAILURES_SHOWN = 500
"""The page names so many pictures that were not assessed; the results name all."""

_MISSING_NAMED = 5
_MOST_WORKERS = 4
_COPY_CHARACTERS = 1 << 20

_STYLES = ("shared/base.css", "shared/picture.css", "collection/collection.css")
_SCRIPTS = tuple(
    f"collection/{name}.js"
    for name in ("elements", "data", "cards", "detail", "choice", "browse", "start")
)

_TROUBLES: dict[Trouble, str] = {
    "missing": "{} could not be found; --pictures names the folder they are in",
    "changed": "{} changed since they were assessed, and are shown without a thumbnail",
    "unreadable": "{} could not be read for a thumbnail",
    "masks": "the masks of {} are damaged, and their regions are not shown",
}


@dataclass
class CollectionReport:
    """What became of a collection's report.

    Attributes:
        path: the page.
        pictures: how many pictures it shows.
        failures: how many pictures the results say were not assessed.
        troubles: how many pictures have no thumbnail or overlay, by reason.
        missing: the first few pictures that could not be found.
    """

    path: Path
    pictures: int = 0
    failures: int = 0
    troubles: Counter[Trouble] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What the user should know, a sentence each."""
        notes = []
        for trouble, text in _TROUBLES.items():
            if count := self.troubles[trouble]:
                notes.append(f"{text.format(f'{count:,} of {self.pictures:,} pictures')}.")
        return notes


def save_collection_report(
    results: Sequence[str | Path | Source],
    path: str | Path,
    *,
    pictures: str | Path | None = None,
    thumbnails: bool = True,
    workers: int = 1,
    advance: Callable[[int], object] = lambda count: None,
) -> CollectionReport:
    """Write an HTML page about all pictures of one or more results files.

    The page shows how scores, levels and ratings are spread, which problems are most common and in
    what, and all pictures to sort, filter and look at. It needs no network. Thumbnails, and the
    regions that lie over them, are files in a folder beside it (`overview_files` for
    `overview.html`): made once and found again, so that an interrupted run goes on. Memory does not
    grow with the size of the pictures or of their masks.

    Args:
        results: files that `rsfiqa assess` or `rsfiqa read` wrote, and folders of them. Of a
            picture that is in several of them, each result is shown. Or what `find_sources` found.
        path: the page; it is replaced in one step, or left as it was when writing fails.
        pictures: where the pictures are, if not where the results say or beside these.
        thumbnails: make them; without, the page is one file.
        workers: threads that decode pictures.
        advance: called with how many more lines are done.

    Returns:
        what was written, and which pictures could not be shown.

    Raises:
        DataError: there are no results, a file is none, or the page cannot be written.

    Example:
        >>> import tempfile
        >>> line = '{"image": "a.jpg", "error": "the file is empty"}'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "results.jsonl").write_text(line + chr(10))
        ...     save_collection_report([folder], Path(folder, "overview.html")).failures
        1
    """
    target = Path(path)
    sources = find_sources(results)
    report = CollectionReport(target)
    builder = _Builder(sources, report, None if pictures is None else Path(pictures), thumbnails)
    try:
        with tempfile.TemporaryFile("w+", encoding="ascii") as rows:
            for _ in builder.write_rows(rows, min(workers, _MOST_WORKERS)):
                advance(1)
            rows.seek(0)
            with replacing(target) as partial, partial.open("w", encoding="utf-8") as page:
                builder.write_page(page, rows)
    except OSError as error:
        raise DataError(
            f"the report cannot be written to {target} ({error.strerror or error}); give the name "
            "of a file in a folder that you may write to."
        ) from error
    builder.tidy()
    return report


@dataclass(frozen=True)
class _Done:
    """One line of results, worked on."""

    name: str
    entry: Entry | None = None
    error: str = ""
    made: Made = field(default_factory=Made)
    picture: Path | None = None
    source: int = 0


class _Builder:
    """Takes the lines one by one, counts them, and keeps what the page needs of each on disk."""

    def __init__(
        self,
        sources: Sequence[Source],
        report: CollectionReport,
        pictures: Path | None,
        thumbs: bool,
    ) -> None:
        self._sources = sources
        self._report = report
        self._finder = PictureFinder(pictures)
        files = report.path.with_name(f"{report.path.stem}_files")
        self._files = files
        self._thumbnails = ThumbnailFolder(files) if thumbs else None
        self._statistics = Statistics()
        self._failures: list[Html] = []

    def write_rows(self, rows: IO[str], workers: int) -> Iterator[None]:
        """Write a row a picture; yields after each line."""
        lines = (
            (index, record)
            for index, source in enumerate(self._sources)
            for record in source.records()
        )
        for one in map_ahead(self._work_on, lines, max(1, workers)):
            if one.entry is None:
                self._take_failure(one.name, one.error)
            else:
                self._take(one, one.entry, rows)
            yield

    def write_page(self, page: IO[str], rows: IO[str]) -> None:
        """Write the page around the rows."""
        s, report = self._statistics, self._report
        script = "\n".join(asset(name) for name in _SCRIPTS)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        words = words_of(
            [str(source.path) for source in self._sources],
            quote(self._files.name, errors="surrogateescape") + "/",
            scored=s.scored > 0,
            read=s.read > 0,
        )
        head = fill(
            "collection/head.html",
            version=__version__,
            script_hash=Html(f"sha256-{digest}"),
            css=Html("\n".join(asset(name) for name in _STYLES)),
            quality_scale=Html(QUALITY.css_gradient()),
            figures=figures(s, report.failures),
            charts=charts(s),
            notes=self._notes(),
            failures=self._failed(),
            browse=fill("collection/browse.html") if s.pictures else "",
            models=join([_model(model) for model in s.models]),
            words=Html(script_json(words)),
        )
        # A file name may hold bytes that are no text at all; the page still has to be one.
        page.write(head.encode("utf-8", errors="replace").decode("utf-8"))
        while piece := rows.read(_COPY_CHARACTERS):
            page.write(piece)
        page.write(fill("collection/tail.html", script=Html(script)))

    def tidy(self) -> None:
        """Leave in the folder of thumbnails what the page shows."""
        if self._thumbnails is not None:
            self._thumbnails.tidy()

    def _work_on(self, line: tuple[int, dict[str, Any]]) -> _Done:
        """Everything that one line needs; called in several threads at once."""
        index, record = line
        name = record["image"]
        if "error" in record:
            return _Done(name, error=str(record["error"]))
        try:
            entry = Entry.from_record(record)
        except DataError as error:
            return _Done(name, error=str(error))
        picture = self._finder.find(name, beside=self._sources[index].path.parent)
        made = Made() if self._thumbnails is None else self._thumbnails.make(picture, record)
        if self._thumbnails is None and picture is None:
            made = Made(trouble="missing")
        return _Done(name, entry, made=made, picture=picture, source=index)

    def _take(self, one: _Done, entry: Entry, rows: IO[str]) -> None:
        report = self._report
        if one.made.trouble is not None:
            report.troubles[one.made.trouble] += 1
            if one.picture is None and len(report.missing) < _MISSING_NAMED:
                report.missing.append(one.name)
        href = None if one.picture is None else link_to(one.picture, report.path.parent)
        row = script_json(row_of(entry, one.made, href=href, source=one.source))
        rows.write(f",\n{row}" if report.pictures else row)
        report.pictures += 1
        self._statistics.add(entry)

    def _take_failure(self, name: str, error: str) -> None:
        self._report.failures += 1
        if len(self._failures) < FAILURES_SHOWN:
            self._failures.append(fill("failure.html", name=name, reason=error))

    def _notes(self) -> Html:
        notes = list(self._report.notes)
        scorers = {(model.scorer, model.version) for model in self._statistics.models}
        if len(scorers) > 1:
            notes.append("Several scorers made these numbers; they need not be comparable.")
        items = [fill("note.html", text=note[:1].upper() + note[1:]) for note in notes]
        return fill("notes.html", items=join(items)) if items else Html("")

    def _failed(self) -> Html:
        count = self._report.failures
        if not count:
            return Html("")
        more = count - len(self._failures)
        return fill(
            "collection/failures.html",
            count=f"{count:,}",
            items=join(self._failures),
            more=f"And {more:,} more, which the results name." if more else "",
        )


def _model(model: ModelInfo) -> Html:
    return fill(
        "model.html",
        segmenter=model.segmenter,
        reader=model.reader,
        scorer=model.scorer,
        version=model.version,
    )
