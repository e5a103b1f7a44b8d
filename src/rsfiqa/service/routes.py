"""The routes of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from rsfiqa import __version__
from rsfiqa.service import openapi
from rsfiqa.service.answers import to_json
from rsfiqa.service.bodies import (
    SentPicture,
    announced_bytes,
    parse_many,
    parse_one,
    read_body,
)
from rsfiqa.service.engine import Engine
from rsfiqa.service.metrics import CONTENT_TYPE
from rsfiqa.service.options import MapKind, Options, OverlayKind
from rsfiqa.service.refusals import ClientGone, Refusal, retry_later
from rsfiqa.service.settings import ServiceSettings

router = APIRouter()

Parse = Callable[[bytes, str, ServiceSettings], tuple[list[SentPicture], Options]]
"""A body with its content type to the pictures and options in it."""
Assess = Callable[[list[SentPicture], Options], Coroutine[Any, Any, bytes]]
"""Pictures to the answer about them, as JSON."""

_RETRY_SECONDS = 5.0


@router.post(
    "/v1/assess",
    summary="Assess one picture",
    response_class=Response,
    responses=openapi.ASSESS_RESPONSES,
    openapi_extra=openapi.ASSESS_BODY,
    tags=["assess"],
)
async def assess(request: Request) -> Response:
    """Score, regions and readings of one picture: what the command rsfiqa assess writes for it."""
    engine = _engine(request)
    return await _answered(
        request,
        engine.settings.single_body,
        parse_one,
        lambda pictures, options: engine.one(pictures[0], options),
    )


@router.post(
    "/v1/assess/batch",
    summary="Assess several pictures",
    response_class=Response,
    responses=openapi.BATCH_RESPONSES,
    openapi_extra=openapi.BATCH_BODY,
    tags=["assess"],
)
async def assess_batch(request: Request) -> Response:
    """One entry a picture, in their order; one that fails has its error in its place."""
    engine = _engine(request)
    return await _answered(request, engine.settings.batch_body, parse_many, engine.many)


@router.get(
    "/v1/models",
    summary="The model and the limits of this server",
    response_class=Response,
    responses=openapi.MODELS_RESPONSES,
    tags=["about"],
)
async def models(request: Request) -> Response:
    """What assesses here, what may be asked of it, and how much."""
    engine = _engine(request)
    settings = engine.settings
    model = asdict(engine.info) | {
        "reads": engine.reads,
        "maps": get_args(MapKind),
        "overlays": get_args(OverlayKind),
    }
    limits = {
        name: getattr(settings, name)
        for name in ("max_bytes", "max_pixels", "max_batch", "max_batch_bytes", "answer_within")
    }
    return _json(to_json({"models": [model], "limits": limits}))


@router.get(
    "/healthz",
    summary="Is the server alive?",
    response_class=Response,
    responses=openapi.HEALTH_RESPONSES,
    tags=["about"],
)
async def healthz() -> Response:
    """Answers as long as the process does."""
    return _json(to_json({"status": "alive", "version": __version__}))


@router.get(
    "/readyz",
    summary="Should work be sent here?",
    response_class=Response,
    responses=openapi.READY_RESPONSES,
    tags=["about"],
)
async def readyz(request: Request) -> Response:
    """503 while the server stops, or when its model no longer answers."""
    trouble = _engine(request).trouble
    if trouble is not None:
        raise retry_later(503, trouble, _RETRY_SECONDS)
    return _json(to_json({"status": "ready"}))


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses=openapi.METRICS_RESPONSES,
    tags=["about"],
)
async def metrics(request: Request) -> Response:
    """Requests, pictures, queue, batches, memory."""
    return Response(_engine(request).metrics.text(), media_type=CONTENT_TYPE)


async def _answered(request: Request, most_bytes: int, parse: Parse, assess: Assess) -> Response:
    """Let a request in, take its pictures out of its body, and answer with what is said of them.

    Raises:
        ClientGone: the client left.
        Refusal: the request is not accepted, or takes too long.
    """
    engine = _engine(request)
    length = announced_bytes(request, most_bytes)
    with engine.admission.visit(length) as visit:
        body = await read_body(request, length, engine.settings.upload_within)
        pictures, options = parse(body, request.headers["content-type"], engine.settings)
        del body
        visit.brings(len(pictures))
        return _json(await _attended(request, assess(pictures, options)))


async def _attended(request: Request, work: Coroutine[Any, Any, bytes]) -> bytes:
    """Await the work for as long as the client waits and time lasts; else it is cancelled.

    Raises:
        ClientGone: the client left.
        Refusal: 504, it took too long.
    """
    seconds = _engine(request).settings.answer_within
    working = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({working, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if left.done():
            raise ClientGone
        raise Refusal(504, f"there was no answer within {seconds:g} seconds; try again later.")
    finally:
        for task in (working, left):
            task.cancel()
        await asyncio.gather(working, left, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
