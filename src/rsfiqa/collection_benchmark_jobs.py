"""What is measured on a collection: the work of `rsfiqa assess` or `rsfiqa read`, whole and by stages."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rsfiqa.bulk import Outcome, assess_many, work_through
from rsfiqa.errors import ConfigError
from rsfiqa.images import LoadedImage, load_image, resize_to_budget

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.parsing import Parser

COMMANDS = ("assess", "read")

Stage = Callable[[dict[str, Any]], Any]
"""Takes what the stages before have made of a picture, by their names, and gives what it makes."""


@dataclass(frozen=True)
class Setting:
    """What the command is given.

    Attributes:
        command: `assess`, or `read`, which needs no scorer and with `grid` and `none` no network.
        segmenter, reader, precision, model: as for the command.
    """

    command: str = "assess"
    segmenter: str = "embedded"
    reader: str = "embedded"
    precision: str = "fp32"
    model: str | None = None

    def __post_init__(self) -> None:
        if self.command not in COMMANDS:
            raise ConfigError(f"the command is {' or '.join(COMMANDS)}; got {self.command!r}.")


class Job(Protocol):
    """One command's work."""

    mark: str
    info: Any

    def run(self, names: Sequence[str]) -> Generator[list[Outcome[Any]], None, None]:
        """The whole, as the command does it."""
        ...

    def stages(self) -> dict[str, Stage]:
        """The same in pieces, in their order. The first is given `name`, the picture's path."""
        ...

    def line(self, result: Any) -> Mapping[str, Any]:
        """What is written of a result."""
        ...


def load_job(setting: Setting) -> Job:
    """Load what a command needs, on the CPU.

    Raises:
        AssetError: weights cannot be had.
        ConfigError: a setting is not accepted.
    """
    from rsfiqa.cli.common import make_assessor, make_parser, make_reader

    # Nothing is kept between runs: what is measured is the work.
    from rsfiqa.cli.reader_options import ReaderOptions

    reader = make_reader(
        setting.reader,
        options=ReaderOptions(cache_readings=False),
        device="cpu",
        encoder_precision=setting.precision,
    )
    parts: dict[str, Any] = {
        "segmenter": setting.segmenter,
        "device": "cpu",
        "precision": setting.precision,
    }
    if setting.command == "read":
        return _Read(make_parser(reader, **parts))
    return _Assess(make_assessor(model=setting.model, reader=reader, **parts))


class _Assess:
    mark = "score"

    def __init__(self, assessor: RSFIQA) -> None:
        self._assessor = assessor
        self.info = assessor.info

    def run(self, names: Sequence[str]) -> Generator[list[Outcome[Any]], None, None]:
        return assess_many(self._assessor, names)

    def stages(self) -> dict[str, Stage]:
        from dataclasses import replace

        from rsfiqa.observation import Observation
        from rsfiqa.scoring.semantics import semantics_of

        assessor, extractor = self._assessor, self._assessor.extractor
        reader, sentences = assessor.reader, assessor.sentences

        def encode(made: dict[str, Any]) -> Any:
            return extractor.encode(resize_to_budget(made["decode"].pixels, extractor.pixel_budget))

        def segment(made: dict[str, Any]) -> Any:
            picture: LoadedImage = made["decode"]
            small = resize_to_budget(picture.pixels, extractor.pixel_budget)
            return extractor.segment(small, made["encode"]).resize(picture.height, picture.width)

        def read(made: dict[str, Any]) -> Any:
            shared = reader.encoder_name == extractor.encoder.name
            grid = made["encode"] if shared else None
            return reader.read(made["decode"].pixels, made["segment"], grid)

        def score(made: dict[str, Any]) -> Any:
            features = extractor.reduce(made["encode"], made["segment"])
            if sentences is not None:
                features = replace(features, semantics=semantics_of(made["read"], sentences))
            seen = Observation(features, made["segment"], made["read"])
            return assessor._assemble(made["decode"], seen, self.info)

        return {
            "decode": _decode,
            "encode": encode,
            "segment": segment,
            "read": read,
            "score": score,
        }

    def line(self, result: Any) -> Mapping[str, Any]:
        line: Mapping[str, Any] = result.to_dict(masks=True)
        return line


class _Read:
    mark = "readings"

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self.info = parser.info

    def run(self, names: Sequence[str]) -> Generator[list[Outcome[Any]], None, None]:
        return work_through(self._parser.parse, names, workers=self._parser.workers)

    def stages(self) -> dict[str, Stage]:
        return {
            "decode": _decode,
            "segment and read": lambda made: self._parser.parse(made["decode"]),
        }

    def line(self, result: Any) -> Mapping[str, Any]:
        line: Mapping[str, Any] = result.to_dict(self.info, masks=True)
        return line


def _decode(made: dict[str, Any]) -> LoadedImage:
    return load_image(made["name"])
