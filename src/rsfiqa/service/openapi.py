"""What the OpenAPI description says of bodies and answers, with examples."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rsfiqa.service.options import ManyPictures, OnePicture, Options

Schema = dict[str, Any]

_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAGElEQVR42mOcxoAfMDGMKhhVMKpghCoAAPJoANZoYTkH"
    "AAAAAElFTkSuQmCC"
)
"""A grey square, so that the examples can be sent as they are."""
_RATINGS = {"color": 4.2, "noise": 4.6, "artifact": 4.0, "blur": 3.1, "overall": 3.7}
_ASSESSMENT = {
    "image": "photo.jpg",
    "width": 1024,
    "height": 768,
    "score": 63.2,
    "level": "good",
    "summary": "Good (63 of 100). The brown dog is slightly blurred; the rest is clean.",
    "ratings": _RATINGS,
    "regions": [
        {
            "id": 0,
            "area": 1.0,
            "bbox": [0, 0, 1024, 768],
            "score": 63.2,
            "weight": 1.0,
            "level": "good",
            "sentence": "The brown dog: slightly blurred, otherwise clean.",
            "description": "the brown dog",
            "ratings": _RATINGS,
            "reading": "ok",
        }
    ],
    "model": {"segmenter": "embedded", "reader": "embedded", "scorer": "rsfiqa", "version": "1"},
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

_LEVEL: Schema = {"type": "string", "enum": ["excellent", "good", "fair", "poor", "bad"]}
_SCORE: Schema = {"type": "number", "minimum": 0, "maximum": 100}
_RATING_SCHEMA: Schema = {
    "type": ["object", "null"],
    "description": "Mean levels from 1 to 5, where 5 is best; null where nothing was read.",
    "additionalProperties": {"type": "number", "minimum": 1, "maximum": 5},
}
_PNG: Schema = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}

SCHEMAS: Schema = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "What is wrong, in a sentence."}},
    },
    "Region": {
        "type": "object",
        "required": ["id", "area", "bbox", "score", "weight", "level", "reading"],
        "properties": {
            "id": {"type": "integer", "minimum": 0},
            "area": {"type": "number", "description": "Fraction of the picture's pixels."},
            "bbox": {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 4,
                "maxItems": 4,
                "description": "x, y, width, height in pixels.",
            },
            "mask": {"type": "object", "description": "COCO run-length encoding."},
            "score": _SCORE,
            "weight": {"type": "number", "description": "Its share in the picture's score."},
            "level": _LEVEL,
            "sentence": {
                "type": "string",
                "description": "What the region shows and where it falls short.",
            },
            "description": {"type": ["string", "null"]},
            "ratings": _RATING_SCHEMA,
            "levels": {
                "type": "object",
                "description": "Probabilities of excellent, good, fair, poor, bad.",
            },
            "reading": {"type": "string", "enum": ["ok", "failed", "absent"]},
            "reading_reason": {"type": "string"},
        },
    },
    "Map": {
        "type": "object",
        "required": ["size", "maximum", "png"],
        "properties": {
            "size": {
                "type": "array",
                "items": {"type": "integer"},
                "description": "Height and width.",
            },
            "maximum": {
                "type": "number",
                "description": "A pixel stands for its value / 65535 · maximum.",
            },
            "png": _PNG,
        },
    },
    "Assessment": {
        "type": "object",
        "description": "The score is the sum over the regions of weight · score.",
        "required": ["image", "width", "height", "score", "level", "summary", "regions", "model"],
        "properties": {
            "image": {"type": "string"},
            "width": {"type": "integer"},
            "height": {"type": "integer"},
            "score": _SCORE,
            "level": _LEVEL,
            "summary": {"type": "string"},
            "ratings": _RATING_SCHEMA,
            "regions": {"type": "array", "items": {"$ref": "#/components/schemas/Region"}},
            "model": {"type": "object", "additionalProperties": {"type": "string"}},
            "sha256": {"type": "string"},
            "notes": {"type": "array", "items": {"type": "string"}},
            "maps": {
                "type": "object",
                "additionalProperties": {"$ref": "#/components/schemas/Map"},
            },
            "overlays": {"type": "object", "additionalProperties": _PNG},
            "report": {"type": "string", "description": "A self-contained HTML page."},
        },
        "example": _ASSESSMENT,
    },
    "Failure": {
        "type": "object",
        "required": ["image", "error"],
        "properties": {"image": {"type": "string"}, "error": {"type": "string"}},
    },
}

_WHY = {
    401: "The server has a key and the request does not show it.",
    403: "A page of another site asks, whose origin is not allowed.",
    405: "Another method.",
    408: "The body did not arrive in time.",
    411: "There is no Content-Length.",
    413: "Too many bytes or pictures.",
    415: "Neither multipart/form-data nor application/json, or a file that is no picture.",
    422: "A picture that cannot be read or is too large, or a field that is not accepted.",
    429: "The queue is full; Retry-After says when to come back.",
    503: "The server is stopping.",
    504: "The answer took too long.",
}


def _json_content(schema: Schema, **more: Any) -> Schema:
    return {"application/json": {"schema": schema, **more}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _responses(schema: Schema, what: str, *statuses: int) -> dict[int | str, Schema]:
    refusals: dict[int | str, Schema] = {
        status: {
            "description": _WHY[status],
            "content": _json_content(_ref("Error"), example={"error": _WHY[status]}),
        }
        for status in statuses
    }
    return {200: {"description": what, "content": _json_content(schema)}} | refusals


_WORK = (401, 403, 408, 411, 413, 415, 422, 429, 503, 504)
ASSESS_RESPONSES = _responses(_ref("Assessment"), "The assessment.", *_WORK)
BATCH_RESPONSES = _responses(
    {
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {"anyOf": [_ref("Assessment"), _ref("Failure")]},
            }
        },
    },
    "One entry a picture, in their order.",
    *_WORK,
)
MODELS_RESPONSES = _responses({"type": "object"}, "The model and the limits.", 401, 403)
HEALTH_RESPONSES = _responses({"type": "object"}, "It is alive.")
READY_RESPONSES = _responses({"type": "object"}, "It is ready.", 503)
METRICS_RESPONSES: dict[int | str, Schema] = _responses({}, "", 401, 403) | {
    200: {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def _body(picture_field: str, files: Schema, model: type[Options], example: Schema) -> Schema:
    """A request body that may be a form or JSON."""
    json_schema = _inlined(model.model_json_schema())
    form_properties = _inlined(Options.model_json_schema())["properties"]
    form_schema = {
        "type": "object",
        "required": [picture_field],
        "additionalProperties": False,
        "properties": {picture_field: files} | form_properties,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": form_schema,
                    "encoding": {
                        picture_field: {"contentType": "image/*, application/octet-stream"}
                    },
                },
                "application/json": {"schema": json_schema, "example": example},
            },
        }
    }


def _inlined(schema: Schema) -> Schema:
    """A schema of pydantic's with its definitions put where they are used."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return resolve(deepcopy(definitions[value["$ref"].rpartition("/")[2]]))
        return {name: resolve(item) for name, item in value.items()}

    resolved: Schema = resolve(schema)
    return resolved


_FILE: Schema = {"type": "string", "format": "binary", "description": "The picture's file."}

ASSESS_BODY = _body(
    "image",
    _FILE,
    OnePicture,
    {"image": _PICTURE, "name": "photo.jpg", "masks": False, "maps": ["attention"]},
)
BATCH_BODY = _body(
    "images",
    {"type": "array", "items": _FILE, "minItems": 1},
    ManyPictures,
    {"images": [{"image": _PICTURE, "name": "photo.jpg"}], "reader": False},
)
