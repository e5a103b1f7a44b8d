"""What a description of a data set states: layouts, scale, grouping, split and provenance."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rsfiqa.errors import ConfigError

KINDS = ("synthetic", "authentic", "generated", "mixed", "any")
"""How faults came into the pictures: put there, as cameras make them, as generators do, ..."""

SPLITS = ("train", "val", "test")
"""The names of splits, whatever a set's own files call them."""

_FIELD = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Scale:
    """How the human scores of a set are meant.

    Attributes:
        low, high: its ends; scores outside are faults of the copy.
        lower_is_better: as for differential scores (DMOS).
        note: what a reader should know of it.
    """

    low: float
    high: float
    lower_is_better: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"a scale runs from low to high; got {self.low:g} to {self.high:g}.")


@dataclass(frozen=True)
class Table:
    """A file of labels with a row a picture: .csv, .txt or .xlsx, by its suffix.

    Attributes:
        file: its path below the data set's folder; of several, the first that is there. With `*`,
            all that match, one after the other.
        columns: names of its columns, where it has no header.
        delimiter: between the cells of a .txt; white space unless given.
        sheet: of a workbook; its first unless given.
        constants: columns that the file lacks, the same for each of its rows.
    """

    file: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str = ""
    sheet: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """A column that is a variable of a MATLAB file (up to version 7), one value a picture."""

    file: tuple[str, ...]
    variable: str


@dataclass(frozen=True)
class Derived:
    """A column made from others.

    Attributes:
        of: a template such as `{image}`.
        pattern: a regular expression whose one group is kept of it.
        values: what replaces it, by value; where there are any, all its values must be among them.
        lower: whether it is brought to lower case.
    """

    of: str
    pattern: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    lower: bool = False

    def __post_init__(self) -> None:
        if self.pattern:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ConfigError(f"{self.pattern!r} is no regular expression: {error}.") from error
            if groups != 1:
                raise ConfigError(f"{self.pattern!r} needs one group; it has {groups}.")


@dataclass(frozen=True)
class Listed:
    """A value for those pictures that another table names, such as the test set's.

    Attributes:
        file: of that table, as in `Table`.
        name: its column of names.
        key: template of what is looked for there.
        column, value: what is set for pictures found there.
        where: cells that a row there must have to count.
    """

    file: tuple[str, ...]
    name: str
    key: str
    column: str
    value: str
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """One way in which copies of a set lie on disk; it is recognised by its label files.

    Templates such as `images/{name}` are filled with the columns of a row.

    Attributes:
        note: whose layout it is.
        image: templates of a picture's path; of several, the first that exists.
        score: the column of human scores.
        tables: the label files, or:
        arrays: label columns in MATLAB files, by column.
        runs: folders and how many rows each has, in the order of the rows: they make the columns
            `run` and `number`, which counts from 1 in each.
        skip_first: rows at the start that are no part of the set.
        skip: cells that mark rows that are no part of the set.
        derive: further columns, in this order.
        lists: columns from other tables.
        optional: columns that may be missing, and are empty then.
        reference: template of what the picture is a copy of.
        subset: template of a part of the set; not with `reference`.
        split: template of the official split.
    """

    note: str
    image: tuple[str, ...]
    score: str
    tables: tuple[Table, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)
    skip_first: int = 0
    skip: Mapping[str, str] = field(default_factory=dict)
    derive: Mapping[str, Derived] = field(default_factory=dict)
    lists: tuple[Listed, ...] = ()
    optional: tuple[str, ...] = ()
    reference: str = ""
    subset: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        if bool(self.tables) == bool(self.arrays):
            raise ConfigError("a layout has either tables or arrays.")
        if not self.image or not self.score:
            raise ConfigError("a layout says where image and score are.")
        if self.reference and self.subset:
            raise ConfigError("pictures are grouped by reference or by subset, not by both.")

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that must be in the label files."""
        made = {*self.derive, *self.optional, *(entry.column for entry in self.lists)}
        made |= {"run", "number"} if self.runs else set()
        used = [self.score, *self.skip]
        for template in self._templates():
            used += fields_of(template)
        return tuple(dict.fromkeys(name for name in used if name not in made))

    def _templates(self) -> Iterator[str]:
        yield from (*self.image, self.reference, self.subset, self.split)
        yield from (derived.of for derived in self.derive.values())
        yield from (entry.key for entry in self.lists)

    @property
    def files(self) -> tuple[tuple[str, ...], ...]:
        """The label files, each with its alternatives."""
        sources: list[Table | Array | Listed] = [*self.tables, *self.arrays.values(), *self.lists]
        return tuple(dict.fromkeys(source.file for source in sources))


@dataclass(frozen=True)
class Description:
    """A data set of the field.

    Attributes:
        name: what the command line calls it.
        title: what papers call it.
        summary: one sentence.
        kind: one of `KINDS`.
        layouts: how copies may lie on disk; the first whose label files are there counts.
        scale: of the human scores; None for a set whose scale is taken from its values.
        images: how many scored pictures a whole copy has; 0 where that is open.
        references: how many pictures they are made from; 0 where there are none, or unknown.
        split_note: where the official split comes from, or that there is none.
        licence, citation, homepage: as far as its makers say.
        knowledge: where this description's facts come from, and which were not seen at the source.
    """

    name: str
    title: str
    summary: str
    kind: str
    layouts: tuple[Layout, ...]
    split_note: str
    licence: str
    citation: str
    knowledge: str
    homepage: str = ""
    scale: Scale | None = None
    images: int = 0
    references: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind is {', '.join(KINDS)}; got {self.kind!r}.")
        if not self.layouts:
            raise ConfigError("a description has one layout or more.")


def fields_of(template: str) -> tuple[str, ...]:
    """The columns that a template is filled with.

    Example:
        >>> fields_of("images/{folder}/{name}.png")
        ('folder', 'name')
    """
    return tuple(_FIELD.findall(template))


def fill(template: str, cells: Mapping[str, str]) -> str:
    """A template with a row's cells in it; columns that the row lacks are empty.

    Example:
        >>> fill("images/{name}.png", {"name": "7"})
        'images/7.png'
    """
    return _FIELD.sub(lambda found: cells.get(found[1], ""), template)
