"""The JSON Schema of results: whatever is written is valid by it, and nothing in it is left out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from command_line import records, rsfiqa, save_picture
from fake_assessments import assessment, grid_labels, read_assessments, reading
from rsfiqa import Assessment, Reading
from rsfiqa.results import error_record
from rsfiqa.schema import SCHEMA_VERSION, result_schema

jsonschema = pytest.importorskip("jsonschema_rs", reason="jsonschema_rs is not installed")

Validate = Callable[[Any], None]


def strict(schema: Any) -> Any:
    """The schema with no property allowed that it does not name: what we write, it documents."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(part) for name, part in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


@pytest.fixture(scope="module")
def validate() -> Validate:
    validator = jsonschema.validator_for(strict(result_schema()))
    return validator.validate  # type: ignore[no-any-return]


def example(**more: Any) -> Assessment:
    return assessment(
        grid_labels(40, 60, 1, 3),
        [20, 50, 90],
        readings={0: reading("a dog"), 1: Reading(status="failed", reason="no answer")},
        **more,
    )


def test_it_is_a_schema_and_says_its_version() -> None:
    assert jsonschema.meta.is_valid(result_schema())
    assert result_schema()["$id"].endswith(f":{SCHEMA_VERSION}")


@settings(max_examples=40)
@given(result=read_assessments())
def test_every_assessment_is_valid(validate: Validate, result: Assessment) -> None:
    validate(json.loads(result.to_json()))
    validate(json.loads(result.to_json(masks=False)))


def test_with_all_that_a_result_may_hold(validate: Validate) -> None:
    validate(
        example(
            sha256="0" * 64,
            notes=("first of 12 frames",),
            uncertainty=6.2,
            interval=(40.0, 80.5),
            novelty=0.995,
        ).to_dict()
    )


def test_results_of_the_command_are_valid(
    validate: Validate, tmp_path: Path, tiny_model_folder: Path
) -> None:
    save_picture(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    result = rsfiqa("assess", tmp_path, "--model", tiny_model_folder, "--reader", "none")
    lines = records(result.stdout)
    assert [("error" in line) for line in lines] == [False, True]
    for line in lines:
        validate(line)


def test_a_failure_is_valid(validate: Validate) -> None:
    validate(error_record("torn.jpg", "the file ends early"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("score"),
        lambda r: r.update(score=100.1),
        lambda r: r.update(score="63"),
        lambda r: r.update(level="great"),
        lambda r: r.update(error="and yet it failed"),
        lambda r: r.update(interval=[40]),
        lambda r: r["regions"].clear(),
        lambda r: r["regions"][0].update(ratings=None),
        lambda r: r["regions"][0].update(reading="absent"),
        lambda r: r["regions"][0]["levels"].update(blur=[1.0]),
        lambda r: r["regions"][1].pop("reading_reason"),
        lambda r: r["regions"][0].update(sentence=None),
        lambda r: r["regions"][2]["bbox"].append(0),
        lambda r: r["model"].pop("version"),
    ],
)
def test_what_is_no_result_is_not_valid(spoil: Callable[[dict[str, Any]], object]) -> None:
    result = json.loads(example().to_json())
    jsonschema.validate(result_schema(), result)
    spoilt = copy.deepcopy(result)
    spoil(spoilt)
    assert not jsonschema.is_valid(result_schema(), spoilt)


def test_properties_may_be_added(validate: Validate) -> None:
    result = example().to_dict() | {"sharpness": 3}
    jsonschema.validate(result_schema(), result)
    with pytest.raises(jsonschema.ValidationError):
        validate(result)


def test_a_result_without_the_newer_properties_is_valid(validate: Validate) -> None:
    """Files of earlier versions stay valid within one version of the schema."""
    result = example().to_dict()
    for name in ("uncertainty", "interval", "familiar", "novelty"):
        result.pop(name, None)
    for region in result["regions"]:
        region.pop("levels", None)
        del region["sentence"]
    validate(result)


def test_the_command_prints_it() -> None:
    result = rsfiqa("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == result_schema()
