"""The application: routes, what stands before them, and how they start and stop."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from rsfiqa import __version__
from rsfiqa.images.limits import MIN_SIDE
from rsfiqa.service import openapi
from rsfiqa.service.engine import Engine
from rsfiqa.service.model_worker import Assessor
from rsfiqa.service.pages import packaged, page_router
from rsfiqa.service.refusals import ClientGone, Refusal
from rsfiqa.service.routes import router
from rsfiqa.service.security import Doorkeeper, Outermost, error_response
from rsfiqa.service.settings import ServiceSettings

GUARDED = ("/v1/", "/metrics")
"""Prefixes of what needs the key; health, pages and the description are for all."""

_DESCRIPTION = (
    "How good is this picture, where, and why? Scores run from 0 to 100, ratings from 1 to 5; "
    "higher is better."
)
_CLIENT_CLOSED_REQUEST = 499
_NOT_FOUND = {404: "there is nothing at this address.", 405: "this address has other methods."}


def create_app(assessors: dict[bool, Assessor], settings: ServiceSettings | None = None) -> FastAPI:
    """The ASGI application around a loaded model.

    Args:
        assessors: the model by whether it reads; see `rsfiqa.service.engine.assessors_of`.
        settings: limits and access; the defaults if None.

    Example:
        >>> app = create_app({})
        >>> sorted(app.openapi()["paths"])
        ['/healthz', '/metrics', '/readyz', '/v1/assess', '/v1/assess/batch', '/v1/models']
    """
    settings = settings or ServiceSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = Engine(assessors, settings)
        app.state.engine, app.state.metrics = engine, engine.metrics
        try:
            await engine.check(_small_picture())
            yield
            await engine.stop()
        finally:
            await engine.close()

    app = FastAPI(
        title="rsfiqa",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Those load scripts from another host; /docs here is a page of our own.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router)
    # The report's parts are the page's too.
    page = packaged("page") | packaged("assets/shared", package="rsfiqa.report")
    app.include_router(page_router(page))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(ClientGone, _gone)
    app.add_exception_handler(HTTPException, _http_error)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    # The last one added comes first.
    app.add_middleware(
        Doorkeeper, key=settings.api_key, guarded=GUARDED, origins=tuple(settings.origins)
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(Outermost, paths=[*_described(app)["paths"], "/", "/docs"])
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schema.setdefault("components", {}).setdefault("schemas", {}).update(openapi.SCHEMAS)
        schema["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, methods in schema["paths"].items():
            if path.startswith(GUARDED):
                for route in methods.values():
                    route["security"] = [{}, {"bearer": []}, {"header": []}]
        app.openapi_schema = schema
    return app.openapi_schema


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return error_response(error)


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody reads it; proxies and the counters know this status."""
    return error_response(Refusal(_CLIENT_CLOSED_REQUEST, "the client left."))


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    sentence = _NOT_FOUND.get(error.status_code, f"{error.detail}.")
    return error_response(Refusal(error.status_code, sentence, headers=error.headers))


def _small_picture() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (MIN_SIDE, MIN_SIDE)).save(buffer, "PNG")
    return buffer.getvalue()
