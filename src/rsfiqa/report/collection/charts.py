"""The numbers of a collection as charts: drawn here, so that they show without a script, too.

Colour is never alone: every bar has its word and its number, and what is poor or bad is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence

from rsfiqa.report.collection.rows import fault_text
from rsfiqa.report.collection.statistics import ProblemCount, Statistics, levels_of
from rsfiqa.report.palette import QUALITY, ink_on
from rsfiqa.report.readings import DIMENSION_NAMES, value_text
from rsfiqa.report.templates import Html, fill, join
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.sentences.numbers import capitalized, score_text
from rsfiqa.types import DIMENSIONS, LEVELS, Dimension, Level

_BINS = 25
_MOST_CONTENTS = 6
_BAR_HEIGHT = 100.0


def figures(statistics: Statistics, failed: int) -> Html:
    """The numbers that come first, as a list of terms."""
    s = statistics
    told: list[tuple[str, str, str]] = [("Pictures", f"{s.pictures:,}", "")]
    if failed:
        told.append(("Not assessed", f"{failed:,}", ""))
    if s.scored:
        told.append(("Mean score", score_text(s.mean_score, 1), "of 100"))
        low, median, high = (s.quantile(share) for share in (0.25, 0.5, 0.75))
        told.append(("Median", score_text(median, 1), f"half lie within {low:.1f} to {high:.1f}"))
    if s.read:
        share = percent(s.with_problems, s.read)
        told.append(("With problems", f"{s.with_problems:,}", share))
    if s.rates_familiarity:
        told.append(("Unfamiliar", f"{s.unfamiliar:,}", percent(s.unfamiliar, s.pictures)))
    unread = f"{s.unread:,} could not be read" if s.unread else ""
    told.append(("Regions", f"{s.regions:,}", unread))
    items = [fill("collection/figure.html", term=t, value=v, note=n) for t, v, n in told]
    return fill("collection/figures.html", items=join(items))


def charts(statistics: Statistics) -> Html:
    """All charts that there are numbers for."""
    parts: list[Html] = []
    if statistics.scored:
        parts += [_scores(statistics), _levels(statistics)]
    if statistics.read:
        parts += [_ratings(statistics), _problems(statistics)]
    return join(parts)


def percent(part: int, whole: int) -> str:
    """A share in percent; what is not nothing is never called 0 %.

    Example:
        >>> percent(1, 3), percent(1, 10_000), percent(0, 0), percent(9_999, 10_000)
        ('33 %', 'under 1 %', '0 %', '99 %')
    """
    if not part:
        return "0 %"
    if part / whole < 0.01:
        return "under 1 %"
    return f"{min(round(100 * part / whole), 100 if part == whole else 99)} %"


def _scores(statistics: Statistics) -> Html:
    counts = statistics.histogram(_BINS)
    width, most = 100 / _BINS, max(counts)
    bars = []
    for i, count in enumerate(counts):
        low = i * width
        # A single picture among thousands is still seen.
        height = max(1.5, _BAR_HEIGHT * count / most) if count else 0.0
        bars.append(
            fill(
                "collection/bar.html",
                low=f"{low:g}",
                high=f"{low + width:g}",
                step=f"{width:g}",
                x=f"{low + 0.12 * width:.2f}",
                y=f"{_BAR_HEIGHT - height:.2f}",
                width=f"{0.76 * width:.2f}",
                height=f"{height:.2f}",
                color=QUALITY.hex((low + width / 2) / 100),
                title=f"{low:g} to {low + width:g}: {_pictures(count)}",
            )
        )
    told = ", ".join(f"{level} {count:,}" for level, count in levels_of(statistics.levels))
    return fill(
        "collection/scores.html",
        bars=join(bars),
        most=f"{most:,}",
        label=f"Histogram of the scores, 0 to 100. By level: {told}.",
    )


def _levels(statistics: Statistics) -> Html:
    most = max(statistics.levels.values())
    rows = [
        fill(
            "collection/level.html",
            level=level,
            color=_level_color(level),
            hatch=_hatch(level),
            width=f"{100 * count / most:.1f}",
            count=f"{count:,}",
            share=percent(count, statistics.scored),
        )
        for level, count in reversed(levels_of(statistics.levels))
    ]
    return fill("collection/levels.html", rows=join(rows))


def _ratings(statistics: Statistics) -> Html:
    rows = []
    for index, dimension in enumerate(DIMENSIONS):
        counts = levels_of(statistics.ratings[dimension])
        named: list[tuple[Level, str, int]] = [(level, level, count) for level, count in counts]
        mean = statistics.mean_rating(dimension)
        below = sum(count for level, count in counts if level in {"poor", "bad"})
        rows.append(
            fill(
                "collection/rating.html",
                index=index,
                name=DIMENSION_NAMES[dimension],
                parts=_stack(named),
                label=", ".join(f"{level} {count:,}" for level, count in counts),
                mean=value_text(mean),
                level=level_of_rating(mean),
                below=percent(below, statistics.read),
            )
        )
    return fill("collection/ratings.html", rows=join(rows))


def _problems(statistics: Statistics) -> Html:
    found = statistics.problems_by_frequency()
    if not found:
        return fill("collection/no_problems.html")
    most = found[0][1].pictures
    rows = [_problem(d, count, most, statistics.read) for d, count in found]
    return fill("collection/problems.html", rows=join(rows))


def _problem(dimension: Dimension, count: ProblemCount, most: int, read: int) -> Html:
    worst_first: list[tuple[Level, str, int]] = [
        ("bad", fault_text(dimension, 3), count.degrees[2]),
        ("poor", fault_text(dimension, 2), count.degrees[1]),
        ("fair", fault_text(dimension, 1), count.degrees[0]),
    ]
    common = count.contents.most_common()
    common.sort(key=lambda item: (-item[1], item[0]))
    contents = [
        fill("collection/content.html", content=content, count=f"{n:,}")
        for content, n in common[:_MOST_CONTENTS]
    ]
    return fill(
        "collection/problem.html",
        index=DIMENSIONS.index(dimension),
        name=capitalized(fault_text(dimension, 2)),
        count=f"{count.pictures:,}",
        share=percent(count.pictures, read),
        width=f"{100 * count.pictures / most:.1f}",
        parts=_stack(worst_first),
        degrees=", ".join(f"{n:,} {text}" for _, text, n in worst_first if n),
        contents=join(contents) if contents else Html("–"),
    )


def _stack(parts: Sequence[tuple[Level, str, int]]) -> Html:
    """Parts of one bar, side by side; wide ones carry their number."""
    total = sum(count for _, _, count in parts)
    return join(
        [
            fill(
                "collection/part.html",
                color=_level_color(level),
                ink="#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(_level_share(level)))),
                hatch=_hatch(level),
                width=f"{100 * count / total:.2f}",
                title=f"{text}: {_pictures(count)}",
            )
            for level, text, count in parts
            if count
        ]
    )


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _level_share(level: Level) -> float:
    """The middle of a level on 0..1."""
    return 0.9 - 0.2 * LEVELS.index(level)


def _level_color(level: Level) -> str:
    return QUALITY.hex(_level_share(level))


def _hatch(level: Level) -> str:
    return f" {level}" if level in {"poor", "bad"} else ""
