"""Content teachers that see the same in every region, for the tests of commands that ask them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


class Cat:
    """What they say of a region."""

    noun, descriptions = "cat", ("a cat",)


def teach_cats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have them stand for the content teachers: every region shows a cat."""

    def describe_regions(pixels: Any, partition: Any) -> list[Cat]:
        return [Cat()] * len(partition)

    teachers = ModuleType("rsfiqa.learning.content")
    teachers.describe_regions = describe_regions  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rsfiqa.learning.content", teachers)
    monkeypatch.setattr("rsfiqa.learning.content", teachers, raising=False)
