"""What regions show, in words: the nouns that teachers use, and short phrases made of them.

A phrase says only what was given or measured: the noun, a colour (see
`rsfiqa.learning.content_colors`) and where in the picture the region lies.

The nouns stand in `content_nouns.csv`: the word, its form (`count`, `mass`, `plural`, or `unique`
for what takes "the"), the colours that may be told of it (a person's clothes have a colour, a person
has not; blue trees are sky seen through branches), the COCO categories that it may truthfully name, and other words for it.
`content_categories.csv` gives the noun of each of COCO's 133 panoptic categories (Kirillov et al.,
"Panoptic Segmentation", CVPR 2019), and a broader noun for whoever knows no labels.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, cast

from rsfiqa.errors import DataError
from rsfiqa.learning.content_colors import COLORS
from rsfiqa.partition import Region

Form = Literal["count", "mass", "plural", "unique"]

_IRREGULAR = {"person": "people", "knife": "knives", "sheep": "sheep", "fish": "fish"}
_MOST_OF_PICTURE = 0.6
_ACROSS = 0.8
"""A box that spans this fraction of both sides lies across the picture."""
_OFF_CENTRE = 0.17
"""Fraction of a side by which the box's centre must be off the picture's to lie at one side."""


@dataclass(frozen=True)
class Noun:
    """A noun of the vocabulary.

    Attributes:
        word: as said in the middle of a phrase, such as `traffic light`.
        form: how it takes an article.
        colors: the colours that may be told of it, words of `rsfiqa.learning.content_colors`.
        categories: COCO panoptic categories that it may truthfully name; empty for things that
            COCO does not label.
        also: other words that mean the same.
    """

    word: str
    form: Form
    colors: frozenset[str] = frozenset(COLORS)
    categories: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegionWords:
    """What a region shows.

    Attributes:
        noun: the head of every description.
        descriptions: two to four noun phrases, the plainest first.
    """

    noun: str
    descriptions: tuple[str, ...]


@dataclass(frozen=True)
class CategoryNouns:
    """The nouns of one COCO category: of a labelled region, and of one seen by features only."""

    noun: str
    broad: str


def rows_of(table: str) -> list[dict[str, str]]:
    """The rows of one of the CSV tables beside this module."""
    text = resources.files("rsfiqa.learning").joinpath(table).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@lru_cache(maxsize=1)
def nouns() -> Mapping[str, Noun]:
    """The vocabulary, by word.

    Example:
        >>> nouns()["sky"].form
        'unique'
    """
    return MappingProxyType(
        {
            row["noun"]: Noun(
                word=row["noun"],
                form=cast(Form, row["form"]),
                colors=_colors(row["colors"]),
                categories=frozenset(filter(None, row["categories"].split(";"))),
                also=tuple(row["also"].split()),
            )
            for row in rows_of("content_nouns.csv")
        }
    )


@lru_cache(maxsize=1)
def categories() -> Mapping[str, CategoryNouns]:
    """The nouns of COCO's panoptic categories, by the category's name in COCO.

    Example:
        >>> categories()["wall-brick"]
        CategoryNouns(noun='brick wall', broad='wall')
    """
    return MappingProxyType(
        {
            row["category"]: CategoryNouns(row["noun"], row["broad"])
            for row in rows_of("content_categories.csv")
        }
    )


def find_noun(word: str) -> Noun:
    """The noun of a word, or of the plural of one that can be counted.

    Raises:
        DataError: the vocabulary has no such noun.

    Example:
        >>> find_noun("benches").form, find_noun("benches").categories
        ('plural', frozenset({'bench'}))
    """
    known = nouns().get(word) or _plurals().get(word)
    if known is None:
        raise DataError(
            f"{word!r} is not among the {len(nouns())} nouns of the vocabulary; add it to "
            "content_nouns.csv."
        )
    return known


def plural_of(word: str) -> str:
    """The plural of a noun of the vocabulary.

    Example:
        >>> plural_of("person"), plural_of("toothbrush"), plural_of("wine glass")
        ('people', 'toothbrushes', 'wine glasses')
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.startswith("pair of "):
        return word.replace("pair", "pairs", 1)
    return f"{word}es" if word.endswith(("s", "sh", "ch", "x")) else f"{word}s"


@lru_cache(maxsize=1)
def _plurals() -> Mapping[str, Noun]:
    counted = [noun for noun in nouns().values() if noun.form == "count"]
    return MappingProxyType(
        {
            plural_of(noun.word): Noun(plural_of(noun.word), "plural", noun.colors, noun.categories)
            for noun in counted
        }
    )


def words_of(noun: Noun, *, color: str | None = None, place: str | None = None) -> RegionWords:
    """Short descriptions of a region, the plainest first.

    Args:
        noun: what it shows.
        color: its colour; left out where the noun does not take it, or is called by it.
        place: where it lies, such as `on the left`.

    Example:
        >>> words_of(nouns()["sky"], color="blue", place="at the top").descriptions
        ('the sky', 'the blue sky', 'the blue sky at the top', 'the sky, blue')
    """
    if color not in noun.colors or color == noun.word:
        color = None
    plain = _with_article(noun, "")
    phrases = [plain]
    if color is not None:
        phrases.append(_with_article(noun, color))
    if place is not None:
        phrases.append(f"{phrases[-1]} {place}")
    if color is not None:
        phrases.append(f"{plain}, {color}")
    return RegionWords(noun.word, tuple(phrases))


def place_of(region: Region, height: int, width: int) -> str:
    """Where in a picture of `height`×`width` pixels a region lies, by the box around it.

    Example:
        >>> place_of(Region(0, 0.2, (0, 0, 100, 30)), 100, 100)
        'at the top'
    """
    x, y, w, h = region.bbox
    if region.area >= _MOST_OF_PICTURE:
        return "filling most of the picture"
    if w >= _ACROSS * width and h >= _ACROSS * height:
        return "across the picture"
    # The box's centre from the picture's, as fractions of it, over a common divisor: exact, so that
    # a mirrored region lies in the mirrored place.
    right, down = (2 * x + w - width) * height, (2 * y + h - height) * width
    if max(abs(right), abs(down)) < _OFF_CENTRE * 2 * width * height:
        return "near the middle"
    if abs(down) >= abs(right):
        return "at the bottom" if down > 0 else "at the top"
    return "on the right" if right > 0 else "on the left"


def _colors(listed: str) -> frozenset[str]:
    if listed == "none":
        return frozenset()
    return frozenset(COLORS if listed == "any" else listed.split())


def _with_article(noun: Noun, color: str) -> str:
    phrase = f"{color} {noun.word}".strip()
    if noun.form == "count":
        return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
    return f"the {phrase}" if noun.form == "unique" else phrase
