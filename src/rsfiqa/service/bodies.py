"""Requests to pictures and options: sizes first, then the content type, then every field."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from rsfiqa.service.multipart import Part, parse_form
from rsfiqa.service.options import ManyPictures, OnePicture, Options, Picture, base_name
from rsfiqa.service.refusals import ClientGone, Refusal
from rsfiqa.service.settings import ServiceSettings

M = TypeVar("M", bound=BaseModel)

FORM = "multipart/form-data"
JSON = "application/json"
_FIELDS = 16
"""Parts of a form that are no pictures; there are fewer options, but lists may come in pieces."""
_LISTS = ("maps", "overlays")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class SentPicture:
    """A picture's file as it came.

    Attributes:
        name: without folders.
        data: the file's bytes.
    """

    name: str
    data: bytes = field(repr=False)


def announced_bytes(request: Request, most: int) -> int:
    """The length that a request's body will have.

    Raises:
        Refusal: 411, it does not say; 413, it is too long; 415, no type that is read; 422, there
            are options in the address, which would be overlooked otherwise.
    """
    if request.url.query:
        raise Refusal(422, "options stand in the body, not in the address; leave out the query.")
    if media_type(request) not in (FORM, JSON):
        raise Refusal(415, f"send pictures as {FORM} or {JSON}, as the Content-Type says.")
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise Refusal(411, "say in Content-Length how long the body is; chunks are not taken.")
    if int(length) > most:
        raise Refusal(413, f"the request has {int(length):,} bytes; at most {most:,} are taken.")
    return int(length)


def media_type(request: Request) -> str:
    """The request's content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, length: int, seconds: float) -> bytes:
    """The whole body, of the announced length.

    Raises:
        Refusal: 408, it does not arrive in time; 413, it is longer than announced.
        ClientGone: the client left while it was sending.
    """
    body = bytearray()

    async def receive() -> None:
        more = True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body.extend(message.get("body", b""))
            more = message.get("more_body", False)
            if len(body) > length:
                raise Refusal(413, "the body is longer than its Content-Length.")

    try:
        await asyncio.wait_for(receive(), seconds)
    except asyncio.TimeoutError:
        raise Refusal(408, f"the body did not arrive within {seconds:g} seconds.") from None
    return bytes(body)


def parse_one(
    body: bytes, content_type: str, settings: ServiceSettings
) -> tuple[list[SentPicture], Options]:
    """The one picture and the options of `POST /v1/assess`.

    Raises:
        Refusal: 413, 415 or 422.
    """
    if content_type.lower().startswith(FORM):
        return _parse_form(body, content_type, settings, "image", most=1)
    sent = _validated_json(OnePicture, body)
    return [_sent(sent.name, sent.image, settings)], sent


def parse_many(
    body: bytes, content_type: str, settings: ServiceSettings
) -> tuple[list[SentPicture], Options]:
    """The pictures and the options of `POST /v1/assess/batch`.

    Raises:
        Refusal: 413, 415 or 422.
    """
    if content_type.lower().startswith(FORM):
        return _parse_form(body, content_type, settings, "images", most=settings.max_batch)
    sent = _validated_json(ManyPictures, body)
    _require_few(sent.images, settings)
    return [_sent(one.name, one.image, settings) for one in sent.images], sent


def _parse_form(
    body: bytes, content_type: str, settings: ServiceSettings, pictures: str, *, most: int
) -> tuple[list[SentPicture], Options]:
    parts = parse_form(body, content_type, most_parts=most + _FIELDS)
    files = [part for part in parts if part.name == pictures]
    if not files:
        raise Refusal(422, f"the form has no field {pictures} with a picture's file.")
    if most == 1 and len(files) > 1:
        raise Refusal(422, "the form has several pictures; send them to /v1/assess/batch.")
    _require_few(files, settings)
    options = _options(part for part in parts if part.name != pictures)
    for part in files:
        kind = part.content_type
        if kind and not kind.startswith("image/") and kind != "application/octet-stream":
            raise Refusal(415, f"the field {pictures} holds a picture; its type is image/*.")
    return [_sent(p.filename or "image", bytes(p.data), settings) for p in files], options


def _options(parts: Any) -> Options:
    texts: dict[str, Any] = {}
    given: Sequence[Part] = list(parts)
    for name, count in Counter(part.name for part in given).items():
        values = [part.text for part in given if part.name == name]
        if name in _LISTS:
            texts[name] = tuple(v.strip() for value in values for v in value.split(","))
        elif count > 1:
            raise Refusal(422, f"the field {_shown(name)} is given {count} times.")
        else:
            # A form knows text alone; what is neither word is refused as no boolean.
            texts[name] = _BOOLEANS.get(values[0].lower(), values[0])
    try:
        return Options.model_validate(texts, strict=True)
    except ValidationError as error:
        raise Refusal(422, _sentence(error)) from None


def _validated_json(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise Refusal(422, _sentence(error)) from None


def _require_few(pictures: Sequence[Part] | Sequence[Picture], settings: ServiceSettings) -> None:
    if len(pictures) > settings.max_batch:
        raise Refusal(
            413,
            f"the request has {len(pictures)} pictures; at most {settings.max_batch} are taken.",
        )


def _sent(name: str, data: bytes, settings: ServiceSettings) -> SentPicture:
    name = base_name(name)
    if len(data) > settings.max_bytes:
        raise Refusal(
            413, f"{name} has {len(data):,} bytes; at most {settings.max_bytes:,} are taken."
        )
    return SentPicture(name, data)


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, without the value, which may be a picture."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(_shown(str(step)) for step in first["loc"])
    what = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "extra_forbidden":
        return f"there is no field {where}; the documentation at /docs lists them."
    if first["type"] == "missing":
        return f"the field {where} is missing."
    return f"{where}: {what}." if where else f"the body is not as it should be: {what}."


def _shown(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"
