"""Pages for browsers: the files in `service/page`, and the API's description to read.

The files are read once, at the start; a request chooses among them by name, and no path of a
client's is ever opened.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from rsfiqa import __version__
from rsfiqa.service.refusals import Refusal

if TYPE_CHECKING:
    from importlib.abc import Traversable  # moved in Python 3.11

INDEX = "index.html"


@dataclass(frozen=True)
class PageFile:
    """One packaged file: its bytes, type and tag for caches."""

    content: bytes
    media_type: str
    etag: str


def packaged(folder: str, *, package: str = "rsfiqa.service") -> dict[str, PageFile]:
    """The files in a folder of a package and below, by their path in it; none if there is none.

    Example:
        >>> packaged("docs_page")["docs.css"].media_type
        'text/css'
    """
    root = files(package) / folder
    return dict(_walk(root, "")) if root.is_dir() else {}


def page_router(page: dict[str, PageFile]) -> APIRouter:
    """`/` and `/page/NAME` for the page where there is one, and `/docs`."""
    router = APIRouter(include_in_schema=False)
    docs = packaged("docs_page")

    @router.get("/")
    async def index(request: Request) -> Response:
        return _answer(request, page[INDEX]) if INDEX in page else await describe(request)

    @router.get("/page/{name:path}")
    async def page_file(request: Request, name: str) -> Response:
        if name not in page:
            raise Refusal(404, "there is no such file.")
        return _answer(request, page[name])

    @router.get("/docs")
    async def describe(request: Request) -> Response:
        template = docs["docs.html"].content.decode("utf-8")
        return Response(render_docs(template, request.app.openapi()), media_type="text/html")

    @router.get("/docs.css")
    async def style(request: Request) -> Response:
        return _answer(request, docs["docs.css"])

    return router


def render_docs(template: str, description: dict[str, Any]) -> str:
    """The OpenAPI description as a page without scripts."""
    routes = []
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            routes.append(_route(path, method, route, description["components"]["schemas"]))
    return Template(template).substitute(version=escape(__version__), routes="\n".join(routes))


def _route(path: str, method: str, route: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p><strong>{escape(route['summary'])}.</strong> {escape(route.get('description', ''))}</p>",
    ]
    for kind, content in route.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body as <code>{escape(kind)}</code></h3>{_fields(content['schema'])}")
        if "example" in content:
            parts.append(_example(content["example"]))
    rows = []
    for status, response in route["responses"].items():
        rows.append(f"<tr><td>{status}</td><td>{escape(response['description'])}</td></tr>")
    parts.append(f"<h3>Answers</h3><table>{''.join(rows)}</table>")
    name = _schema_name(route)
    if name and "example" in schemas.get(name, {}):
        parts.append(_example(schemas[name]["example"]))
    return "".join([*parts, "</section>"])


def _schema_name(route: dict[str, Any]) -> str:
    content = route["responses"].get("200", {}).get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"<tr><td><code>{escape(name)}</code>{' (required)' if name in required else ''}</td>"
        f"<td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _example(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, PageFile]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            content = entry.read_bytes()
            kind = _media_type(entry.name)
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            yield prefix + entry.name, PageFile(content, kind, tag)


def _media_type(name: str) -> str:
    """By the name's ending; a browser runs no script of another type, and registries may say one."""
    if name.endswith(".js"):
        return "text/javascript"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _answer(request: Request, file: PageFile) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
