"""The HTML report: one self-contained page about one picture or many."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa import __version__
from rsfiqa.atomic import write_whole
from rsfiqa.errors import RsfiqaError
from rsfiqa.report.layers import Labels, labels_at, place_labels, preview_of, relative_attention
from rsfiqa.report.outlines import TOLERANCE, Outlines, Points, trace_outlines
from rsfiqa.report.palette import HEAT, QUALITY, ink_on, quality_hex
from rsfiqa.report.readings import mean_ratings, said_of
from rsfiqa.report.templates import Html, asset, fill, join
from rsfiqa.report.tints import rated_tags, rating_switches, tints
from rsfiqa.sentences import region_sentences
from rsfiqa.sentences.numbers import count_text, score_text
from rsfiqa.sentences.reliability import interval_text

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, ModelInfo, RegionAssessment

_PHOTO_SIDE = 1600
_THUMBNAIL_SIDE = 320
_ATTENTION_SIDE = 512
_OUTLINE_SIDE = 800
_TENTHS = 10
"""Outlines are written as whole tenths of a pixel: short, and finer than anyone sees."""

_PIXELS_SHOW_BELOW = 256
_HEAT_PERCENTILE = 99.7
_TAG_BOX = (62.0, 18.0)

# Those in shared/ are also parts of the page that `rsfiqa serve` shows.
_STYLES = ("shared/base.css", "shared/picture.css", "report.css")
_SCRIPTS = ("shared/regions.js", "shared/tables.js", "report.js")


def save_report(
    assessments: Sequence[Assessment],
    path: str | Path,
    *,
    failures: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a self-contained HTML page about assessed pictures.

    The page needs no network and no other file: pictures, styles and script are inside. Each
    picture is shown with its regions (borders, scores, quality and attention as layers) beside a
    table of scores, weights and contributions that add up to the picture's score, the heaviest
    region first, each with what was read of it: a sentence and five ratings. It can be read
    without a script, by keyboard, and on a telephone. The same input gives the same bytes.

    Args:
        assessments: what to show, in this order. One without a preview (read back from JSON) is
            shown without the photo.
        path: the file to write; folders on the way are made. An existing file is replaced in one
            step, or left as it was when writing fails.
        failures: name and reason of each picture that could not be assessed.

    Returns:
        the path written.

    Raises:
        RsfiqaError: the file cannot be written.
    """
    target = Path(path)
    text = render_report(assessments, failures)
    try:
        # A file name may hold bytes that are no text at all; the page still has to be one.
        write_whole(target, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise RsfiqaError(
            f"the report cannot be written to {target} ({error.strerror or error}); "
            "give the name of a file in a folder that you may write to."
        ) from error
    return target


def render_report(
    assessments: Sequence[Assessment], failures: Sequence[tuple[str, str]] = ()
) -> str:
    """The page that `save_report` writes, as text."""
    pictures, cards, names = [], [], []
    models: dict[ModelInfo, None] = {}
    read = False
    # Once through, one at a time: the sequence may load its assessments as they are asked for.
    for i, assessment in enumerate(assessments):
        pictures.append(_picture(assessment, f"p{i}"))
        cards.append(_card(assessment, f"p{i}"))
        names.append(assessment.image)
        models[assessment.model] = None
        read = read or assessment.ratings is not None
    listed = [fill("failure.html", name=name, reason=reason) for name, reason in failures]
    # One module of all files: their exports go nowhere, and do no harm.
    script = "\n".join(asset(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return fill(
        "page.html",
        title=names[0] if len(names) == 1 else "Image quality report",
        version=__version__,
        script_hash=Html(f"sha256-{digest}"),
        script=Html(script),
        css=Html("\n".join(asset(name) for name in _STYLES)),
        quality_scale=Html(QUALITY.css_gradient()),
        attention_scale=Html(HEAT.css_gradient()),
        counts=_counts(len(names), len(failures)),
        overview=fill("overview.html", cards=join(cards)) if len(names) > 1 else "",
        failures=fill("failures.html", items=join(listed)) if listed else "",
        pictures=join(pictures),
        models=join([_model(model) for model in models]),
        ratings_note=fill("ratings_note.html") if read else "",
    )


def apportion(values: Sequence[float], total: float, digits: int) -> list[str]:
    """Round numbers for display so that what is shown adds up to the shown total.

    Largest remainder method: each number is rounded down, and the units that are then missing go
    to the numbers that lost most. No number moves by a whole unit of its last digit.

    Args:
        values: numbers of 0 or more that add up to `total`.
        total: their sum.
        digits: decimals to show.

    Example:
        >>> apportion([1 / 3, 1 / 3, 1 / 3], 1.0, 2)
        ['0.34', '0.33', '0.33']
    """
    units = np.asarray(values, dtype=np.float64) * 10**digits
    shown = np.floor(units + 1e-9)
    missing = int(round(total * 10**digits) - shown.sum())
    order = np.argsort(shown - units, kind="stable")
    shown[order[: max(0, missing)]] += 1
    return [f"{value / 10**digits:.{digits}f}" for value in shown]


def _counts(assessed: int, failed: int) -> str:
    text = f"{assessed} picture{'' if assessed == 1 else 's'} assessed"
    return f"{text}, {failed} could not be" if failed else text


def _model(model: ModelInfo) -> Html:
    return fill(
        "model.html",
        segmenter=model.segmenter,
        reader=model.reader,
        scorer=model.scorer,
        version=model.version,
    )


def _card(assessment: Assessment, anchor: str) -> Html:
    thumbnail = _photo(assessment).copy()
    thumbnail.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return fill(
        "card.html",
        anchor=anchor,
        name=assessment.image,
        thumbnail=_data_url(thumbnail, "JPEG", quality=80),
        percent=f"{assessment.score:.1f}",
        color=quality_hex(assessment.score),
        score=score_text(assessment.score, 1),
        level=assessment.level,
    )


def _picture(assessment: Assessment, anchor: str) -> Html:
    a = assessment
    photo = _photo(a)
    photo.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE), Image.Resampling.LANCZOS)
    labels = _labels(a, _OUTLINE_SIDE)
    height, width = labels.shape
    outlines = trace_outlines(labels, TOLERANCE if max(width, height) >= _PIXELS_SHOW_BELOW else 0)
    attention, most = _attention(a)
    named = f"{a.image}, {score_text(a.score)} of 100"
    areas = apportion([100 * r.area for r in a.regions], 100, 1)
    weights = apportion([100 * r.weight for r in a.regions], 100, 1)
    parts = apportion([r.weight * r.score for r in a.regions], a.score, 2)
    said = region_sentences(a)
    order = sorted(range(len(a.regions)), key=lambda k: (-a.regions[k].weight, k))
    return fill(
        "picture.html",
        anchor=anchor,
        name=a.image,
        score=score_text(a.score, 1),
        level=a.level,
        color=quality_hex(a.score),
        ink=_ink(a.score),
        facts=_facts(a),
        summary=a.summary,
        notes=_notes(a),
        ratings=mean_ratings(a.ratings),
        width=a.width,
        height=a.height,
        canvas_class=" pixels" if max(a.width, a.height) < _PIXELS_SHOW_BELOW else "",
        photo_checked="" if a.preview is None else Html(" checked"),
        quality_checked=Html(" checked") if a.preview is None else "",
        photo=_data_url(photo, "JPEG", quality=85),
        photo_alt=named if a.preview is not None else f"{named}; the photo itself is not in JSON",
        attention=attention,
        attention_alt=f"Heat map over {a.image}: where its score comes from",
        most_attention=f"{most:.1f}",
        attention_note="" if a.attention is not None else "; by region, without the map itself",
        view_width=width * _TENTHS,
        view_height=height * _TENTHS,
        shapes=_shapes(outlines, anchor),
        borders=_path(outlines.borders, closed=False),
        rating_layers=rating_switches(a, anchor),
        tints=tints(a, outlines.rings, anchor),
        regions=join(
            [_region(a.regions[k], anchor, said[k], areas[k], weights[k]) for k in outlines.rings]
        ),
        tags=_tags(a, labels),
        rows=join([_row(a.regions[k], said[k], areas[k], weights[k], parts[k]) for k in order]),
        sum=apportion([a.score], a.score, 2)[0],
    )


def _shapes(outlines: Outlines, anchor: str) -> Html:
    return join(
        [
            fill("shape.html", anchor=anchor, id=k, path=_path(rings, closed=True))
            for k, rings in outlines.rings.items()
        ]
    )


def _path(lines: Sequence[Points], *, closed: bool) -> str:
    """Lines as SVG path data in tenths of a pixel, with relative steps."""
    parts = []
    for line in lines:
        points = np.rint(line * _TENTHS).astype(int)
        steps = np.diff(points, axis=0)
        moves = "".join(f"{x}{y:+d} " if y < 0 else f"{x} {y} " for x, y in steps.tolist())
        parts.append(f"M{points[0, 0]} {points[0, 1]}l{moves.rstrip()}{'z' if closed else ''}")
    return "".join(parts)


def _facts(assessment: Assessment) -> str:
    counts = Counter(region.reading.status for region in assessment.regions)
    text = f"{assessment.width} × {assessment.height} pixels, "
    text += count_text(len(assessment.regions), "region")
    if counts["failed"]:
        text += f", {counts['failed']} of them could not be read"
    if counts["ok"] and counts["absent"]:
        text += f", {counts['absent']} of them not read"
    interval = interval_text(assessment)
    return text if interval is None else f"{text}; {interval}"


def _region(region: RegionAssessment, anchor: str, sentence: str, area: str, weight: str) -> Html:
    label = (
        f"Region {region.id}: score {score_text(region.score, 1)}, {region.level}; "
        f"{area} % of the picture; {weight} % of the weight"
    )
    if region.reading.status != "absent":  # whose sentence says the same again
        label += f". {sentence}"
    return fill("region.html", anchor=anchor, id=region.id, label=label)


def _tags(assessment: Assessment, labels: Labels) -> Html:
    height, width = labels.shape
    # Boxes as on a page that shows the picture about 800 pixels wide.
    box = (_TAG_BOX[0] * width / _OUTLINE_SIDE, _TAG_BOX[1] * width / _OUTLINE_SIDE)
    places = place_labels(labels, {r.id: box for r in assessment.regions})
    return join(
        [
            fill(
                "tag.html",
                id=k,
                small="" if place.room >= 1 and place.free else " small",
                x=f"{100 * place.x / width:.2f}",
                y=f"{100 * place.y / height:.2f}",
                color=quality_hex(assessment.regions[k].score),
                ink=_ink(assessment.regions[k].score),
                score=score_text(assessment.regions[k].score),
                rated=rated_tags(assessment.regions[k]),
            )
            for k, place in sorted(places.items())
        ]
    )


def _row(
    region: RegionAssessment, sentence: str, area: str, weight: str, contribution: str
) -> Html:
    return fill(
        "row.html",
        id=region.id,
        color=quality_hex(region.score),
        percent=f"{region.score:.1f}",
        score=score_text(region.score, 1),
        area=area,
        weight=weight,
        contribution=contribution,
        detail=said_of(region.reading, sentence),
    )


def _notes(assessment: Assessment) -> Html:
    items = [fill("note.html", text=note) for note in assessment.notes]
    return fill("notes.html", items=join(items)) if items else Html("")


def _ink(score: float) -> str:
    return "#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(score / 100)))


def _labels(assessment: Assessment, side: int) -> Labels:
    factor = min(1.0, side / max(assessment.width, assessment.height))
    height, width = (max(1, round(s * factor)) for s in (assessment.height, assessment.width))
    return labels_at(assessment.partition, height, width)


def _photo(assessment: Assessment) -> Image.Image:
    if assessment.preview is not None:
        return preview_of(assessment)
    height, width = _labels(assessment, _THUMBNAIL_SIDE).shape
    return Image.new("RGB", (width, height), (150, 150, 150))


def _attention(assessment: Assessment) -> tuple[str, float]:
    """The attention map as a PNG whose palette is the heat scale, and where its scale ends."""
    relative = relative_attention(assessment, _labels(assessment, _ATTENTION_SIDE))
    most = max(1.0, float(np.percentile(relative, _HEAT_PERCENTILE)))
    share: npt.NDArray[np.float32] = (relative / most).clip(0, 1)
    heat = Image.fromarray(np.rint(share * 255).astype(np.uint8)).convert("L")
    heat.putpalette(HEAT.table.ravel().tolist())
    opacity = bytes(np.linspace(0.45 * 255, 0.85 * 255, 256).astype(np.uint8))
    return _data_url(heat, "PNG", transparency=opacity, optimize=True), most


def _data_url(image: Image.Image, kind: str, **settings: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"
