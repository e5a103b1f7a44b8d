"""An assessment as a small piece of HTML, for notebooks.

It stands among other people's cells, in light and dark themes: no style sheet and no script, colours
only where they mean something, and text in whatever colour the notebook has.
"""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from html import escape
from string import Template
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rsfiqa.report.html import apportion
from rsfiqa.report.overlay import draw_overlay
from rsfiqa.report.palette import QUALITY, ink_on, quality_hex
from rsfiqa.sentences import region_sentences
from rsfiqa.sentences.numbers import count_text, score_text
from rsfiqa.sentences.reliability import interval_text
from rsfiqa.types import Assessment, Reading

if TYPE_CHECKING:
    from rsfiqa.types import RegionAssessment

_SIDE = 640
"""Long side of the picture, in pixels: a notebook holds many, and saves each into its file."""

_CELL = "padding:.25em .6em;text-align:right;vertical-align:top;white-space:nowrap"
_TEXT_CELL = "padding:.25em .6em;text-align:left;vertical-align:top;white-space:normal"

_PAGE = Template("""\
<div style="max-width:${side}px;line-height:1.4">
<div><span style="$badge;font-size:1.4em;padding:.05em .4em">$score</span>
<strong style="font-size:1.2em">$level</strong> &nbsp;<bdi>$name</bdi>: $facts</div>
<p style="margin:.5em 0"><bdi>$summary</bdi></p>
$notes$picture<details open style="margin:.5em 0"><summary>$count, heaviest first</summary>
<div style="max-height:26em;overflow:auto">
<table style="border-collapse:collapse;font-size:.9em;margin:.3em 0">
<thead><tr><th scope="col" style="$cell">region</th><th scope="col" style="$cell">score</th>\
<th scope="col" style="$cell">weight</th><th scope="col" style="$cell">area</th>\
<th scope="col" style="$text_cell">what is said of it</th></tr></thead>
<tbody>
$rows</tbody></table></div></details>
</div>
""")
_NOTE = Template('<p style="margin:.5em 0;opacity:.75">Note: <bdi>$text</bdi></p>\n')
_PICTURE = Template(
    '<img src="$source" alt="$alt" width="$width" height="$height" '
    'style="max-width:100%;height:auto;display:block">\n'
)
_ROW = Template(
    '<tr><th scope="row" style="$cell">$id</th>'
    '<td style="$cell"><span style="$badge;padding:.05em .4em">$score</span></td>'
    '<td style="$cell">$weight&nbsp;%</td><td style="$cell">$area&nbsp;%</td>'
    '<td style="$text_cell"><bdi>$said</bdi></td></tr>\n'
)


def render_html(assessment: Assessment) -> str:
    """Score, summary, the picture with its regions (if it is at hand) and a table of the regions.

    Args:
        assessment: what to show; one read back from JSON has no picture.

    Returns:
        one self-contained `<div>`; every text of the assessment is escaped.
    """
    a = assessment
    order = sorted(range(len(a.regions)), key=lambda k: (-a.regions[k].weight, k))
    weights = apportion([100 * r.weight for r in a.regions], 100, 1)
    areas = apportion([100 * r.area for r in a.regions], 100, 1)
    said = region_sentences(a)
    interval = interval_text(a)
    facts = f"{a.width} × {a.height} pixels{'' if interval is None else '; ' + interval}"
    return _PAGE.substitute(
        side=_SIDE,
        badge=_badge(a.score),
        score=score_text(a.score, 1),
        level=a.level,
        name=escape(a.image),
        facts=escape(facts),
        summary=escape(a.summary),
        notes="".join(_NOTE.substitute(text=escape(note)) for note in a.notes),
        picture=_picture(a),
        count=count_text(len(a.regions), "region"),
        rows="".join(_row(a.regions[k], weights[k], areas[k], said[k]) for k in order),
        cell=_CELL,
        text_cell=_TEXT_CELL,
    )


def _row(region: RegionAssessment, weight: str, area: str, said: str) -> str:
    return _ROW.substitute(
        id=region.id,
        badge=_badge(region.score),
        score=score_text(region.score, 1),
        weight=weight,
        area=area,
        said=escape(said),
        cell=_CELL,
        text_cell=_TEXT_CELL,
    )


def _badge(score: float) -> str:
    ink = "#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(score / 100)))
    return f"background:{quality_hex(score)};color:{ink};border-radius:.3em"


def _picture(assessment: Assessment) -> str:
    if assessment.preview is None:
        return ""
    # Drawn on a small copy, which is fast, and without what was read, which the table says.
    preview = Image.fromarray(assessment.preview)
    preview.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    unread = tuple(replace(region, reading=Reading()) for region in assessment.regions)
    shown = replace(assessment, preview=np.asarray(preview), regions=unread)
    overlay = draw_overlay(shown, "regions")
    overlay.thumbnail((_SIDE, overlay.height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    overlay.save(buffer, "JPEG", quality=85)
    return _PICTURE.substitute(
        source="data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        alt=escape(f"{assessment.image} with its regions and their scores", quote=True),
        width=overlay.width,
        height=overlay.height,
    )
