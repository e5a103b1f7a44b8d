"""What is said of a region, which is the same in JSON, report, notebook and table."""

from __future__ import annotations

import json
from html import escape

import pytest
from hypothesis import given, settings

from fake_assessments import assessment, grid_labels, read_assessments, reading
from rsfiqa import Assessment, Reading
from rsfiqa.report.html import render_report
from rsfiqa.sentences import region_sentences
from rsfiqa.table import to_frame


def said_in_json(result: Assessment) -> list[str]:
    return [region["sentence"] for region in json.loads(result.to_json(masks=False))["regions"]]


def example(description: str = "a dog") -> Assessment:
    return assessment(
        grid_labels(40, 60, 1, 3),
        [20, 50, 90],
        readings={0: reading(description, blur=2), 1: Reading(status="failed", reason="no answer")},
    )


def test_it_is_what_a_person_would_say() -> None:
    assert said_in_json(example()) == [
        "A dog: blurred, otherwise clean.",
        "A band down the middle could not be read: no answer.",
        "The right side, 33 % of the picture: excellent (90 of 100).",
    ]


@settings(max_examples=40)
@given(result=read_assessments())
def test_every_region_has_its_sentence_everywhere(result: Assessment) -> None:
    said = said_in_json(result)
    assert said == region_sentences(result)
    notebook, report = result._repr_html_(), render_report([result])
    for region, sentence in zip(result.regions, said, strict=True):
        assert sentence.endswith(".")
        assert escape(sentence) in notebook
        if region.reading.status != "absent":
            assert escape(sentence) in report


def test_it_is_said_anew_of_what_was_read_back() -> None:
    """By the numbers, whatever stands in the file: it can only say what they say."""
    lines = json.loads(example().to_json())
    lines["regions"][0]["sentence"] = "A cat: sharp and clean."
    assert said_in_json(Assessment.from_json(json.dumps(lines))) == said_in_json(example())


def test_tables_have_it() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = to_frame([example()], rows="region")
    assert frame["sentence"].tolist() == said_in_json(example())
