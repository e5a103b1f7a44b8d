"""Descriptions as parts of sentences: "Brown dog." becomes "the brown dog", and takes "is".

A description is what a model wrote, so nothing is taken for granted: it is cleaned, bounded, and
where it does not look like a noun phrase it is quoted instead of built into a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MOST_WORDS = 12
MOST_CHARACTERS = 48
"""Longer descriptions are shortened to the thing itself, or cut off."""


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for lookup."""
    return frozenset(words.split())


_LEAD_IN = re.compile(
    r"(?:(?:(?:the|this) (?:region|image|picture|photo|area|crop|part) "
    r"(?:shows|contains|depicts|is)|(?:it|this|there) (?:is|are|shows)) +)?"
    r"(?:(?:an?|the) (?:image|picture|photo|photograph|close-up|view) of +)?",
    re.IGNORECASE,
)
"""What models put before the thing that they were asked for."""

_COLORS = word_set(
    "dark black grey gray white red orange brown yellow beige green blue purple pink"
)
_NOUN_PHRASE = re.compile(r"[a-zA-ZÀ-ɏ][\wÀ-ɏ'’-]*(?:,? [\wÀ-ɏ'’-]+)*", re.ASCII)
"""Words in Latin letters: others could not follow an English article."""

_A_THING = frozenset({"a", "an", "one"})
_DROPPED = _A_THING | {"the", "this", "that", "these", "those", "some"}
"""Articles and the like, which "the" takes the place of."""

_KEPT = word_set("his her its their my our your no all both each every many most several few")
"""Words that stand where "the" would."""

_MANY = word_set("two three four five six seven eight nine ten both many several few these those")
_NO_THING = word_set("nothing none unknown unclear something anything it")
_AFTER_NOUN = word_set(
    "of on at in with without near across under over above below behind beside between along "
    "around through against from to by for inside outside that which who whose is are filling "
    "lying standing sitting running walking holding wearing looking covering hanging facing "
    "covered surrounded filled made seen lit"
)
"""Words that end the thing and begin what is said about it."""

_SINGULAR_S = ("ss", "us", "is")
_SINGULAR = word_set("gas lens canvas atlas christmas series news chess species")
_PLURAL = word_set("people men women children mice feet geese teeth cattle police")
_PLACED = re.compile(
    r" (?:(?:on|at|in|near|across|filling) (?:most of )?the "
    r"(?:left|right|top|bottom|middle|centre|center|front|back|foreground|background|distance|"
    r"corner|picture|upper|lower|edge))\b"
)


@dataclass(frozen=True)
class Phrase:
    """A description that fits into a sentence.

    Attributes:
        text: the description, cleaned: "a brown dog on the left".
        name: the same as something already spoken of: "the brown dog on the left".
        noun: what it is, without what is said about it: "dog".
        plural: whether it takes "are".
        single: whether it speaks of one thing, so that a second such region is another thing.
        placed: whether it says where in the picture the thing is.
    """

    text: str
    name: str
    noun: str
    plural: bool
    single: bool
    placed: bool


def clean_text(text: str, longest: int = 120) -> str:
    r"""Text of a model or a server as one bounded line without control characters.

    Example:
        >>> clean_text("  “A\tbrown\n dog\u202e.” ")
        'A brown dog'
    """
    kept = "".join(
        c if c.isprintable() else "" if unicodedata.category(c) == "Cf" else " " for c in text
    )
    line = " ".join(kept.split()).strip(" .,;:!\"'“”‘’`")
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def phrase_of(description: str | None) -> Phrase | None:
    """A description as part of a sentence; None when it is no noun phrase that we understand.

    Example:
        >>> phrase_of("A brown dog on the left.").name
        'the brown dog on the left'
        >>> trees = phrase_of("trees")
        >>> trees.text, trees.name, trees.plural
        ('trees', 'the trees', True)
        >>> phrase_of("the sky, blue").text
        'the blue sky'
        >>> phrase_of("Is this a dog?")
    """
    text = clean_text(description or "", longest=1000)
    text = text[len(_LEAD_IN.match(text)[0]) :]  # type: ignore[index]
    if not _NOUN_PHRASE.fullmatch(text):
        return None
    text = _color_first(_uncapitalized(text))
    words = _shortened(text.split(" "))
    lead = words[0].lower() if words else ""
    rest = words[1:] if lead in _DROPPED else words
    thing = _thing(rest)
    if not thing or thing[-1].lower() in _NO_THING:
        return None
    name = " ".join(words if lead in _KEPT else ["the", *rest])
    if len(name) > MOST_CHARACTERS:
        return None
    return Phrase(
        text=clean_text(text),
        name=name,
        noun=thing[-1].lower(),
        plural=_is_plural(lead, thing),
        single=lead in _A_THING,
        placed=_PLACED.search(name) is not None,
    )


def _uncapitalized(text: str) -> str:
    """Sentence case undone, while names ("Eiffel Tower") and "TV" keep their capitals."""
    first, *rest = text.split(" ")
    is_name = first[1:] != first[1:].lower() or any(word[0].isupper() for word in rest if word)
    if is_name and first.lower() not in _DROPPED | _KEPT | _MANY:
        return text
    return " ".join([first.lower(), *rest])


def _color_first(text: str) -> str:
    """ "a dog, orange" as "an orange dog"."""
    thing, _, color = text.rpartition(", ")
    if not thing or color not in _COLORS:
        return text
    first, _, rest = thing.partition(" ")
    if first in _A_THING and rest:
        return f"{'an' if color[0] in 'aeiou' else 'a'} {color} {rest}"
    if first in _DROPPED | _KEPT and rest:
        return f"{first} {color} {rest}"
    return f"{color} {thing}"


def _shortened(words: list[str]) -> list[str]:
    """A long description without what is said about the thing after its noun."""
    if len(words) <= MOST_WORDS and len(" ".join(words)) <= MOST_CHARACTERS:
        return words
    article = 1 if words[0].lower() in _DROPPED else 0
    return words[: article + len(_thing(words[article:]))]


def _thing(words: list[str]) -> list[str]:
    """The words up to the noun: before any preposition or clause."""
    for i, word in enumerate(words):
        if word.lower() in _AFTER_NOUN:
            return words[:i]
        if word.endswith(","):
            return [*words[:i], word[:-1]]
    return words


def _is_plural(lead: str, thing: list[str]) -> bool:
    if lead in _MANY or _joins_two(thing):
        return True
    noun = thing[-1].lower()
    if lead in _A_THING or lead in {"this", "that", "each", "every"}:
        return False
    ends = noun.endswith("s") and not noun.endswith(_SINGULAR_S)
    return noun in _PLURAL or (ends and noun not in _SINGULAR)


def _joins_two(thing: list[str]) -> bool:
    """Whether "and" joins two things, not two colours of one."""
    if "and" not in thing[1:-1]:
        return False
    at = thing.index("and", 1)
    return not (thing[at - 1].lower() in _COLORS and thing[at + 1].lower() in _COLORS)
