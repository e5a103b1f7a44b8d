"""Forms with files, parsed in memory: nothing of a picture is written to disk, not even for a moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from rsfiqa.service.refusals import Refusal


@dataclass
class Part:
    """One field of a form.

    Attributes:
        name: of the field.
        filename: None for a plain field.
        content_type: in lower case and without parameters; empty where none was given.
        data: its content.
    """

    name: str = ""
    filename: str | None = None
    content_type: str = ""
    data: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def text(self) -> str:
        """The content as text.

        Raises:
            Refusal: 422, it is no UTF-8.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(422, f"the field {self.name} is no text in UTF-8.") from None


class _TooManyPartsError(FormParserError):
    pass


class _Collector:
    """Gathers the parser's events into parts."""

    def __init__(self, most: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = most
        self._name = bytearray()
        self._value = bytearray()

    def part_begin(self) -> None:
        if len(self.parts) >= self._most:
            raise _TooManyPartsError
        self.parts.append(Part())

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        name, value = self._name.lower(), bytes(self._value)
        part = self.parts[-1]
        if name == b"content-disposition":
            options = parse_options_header(value)[1]
            part.name = options.get(b"name", b"").decode("utf-8", errors="replace")
            if b"filename" in options:
                part.filename = options[b"filename"].decode("utf-8", errors="replace")
        elif name == b"content-type":
            part.content_type = parse_options_header(value)[0].decode("latin-1").lower()
        self._name.clear()
        self._value.clear()

    def end(self) -> None:
        self.ended = True


def parse_form(body: bytes, content_type: str, *, most_parts: int) -> list[Part]:
    """The parts of a `multipart/form-data` body.

    Args:
        body: whole.
        content_type: the request's header, with its boundary.
        most_parts: more are refused.

    Raises:
        Refusal: 422, it is no such form or has too many parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Refusal(422, "the Content-Type of a form names its boundary; this one does not.")
    collector = _Collector(most_parts)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.part_begin,
                "on_part_data": collector.part_data,
                "on_header_field": collector.header_field,
                "on_header_value": collector.header_value,
                "on_header_end": collector.header_end,
                "on_end": collector.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except _TooManyPartsError:
        raise Refusal(422, f"the form has more than {most_parts} parts.") from None
    except FormParserError:
        raise Refusal(422, "the form is malformed; send it as multipart/form-data.") from None
    if not collector.ended:
        raise Refusal(422, "the form is cut off: its closing boundary is missing.")
    return collector.parts
