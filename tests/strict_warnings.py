"""Warnings as errors, but for those that may come from elsewhere at any moment."""

from __future__ import annotations

import pytest

no_warnings = pytest.mark.filterwarnings(
    "error",
    # What earlier tests left is collected whenever Python likes, and is no fault of this one.
    "default::ResourceWarning",
    "default::pytest.PytestUnraisableExceptionWarning",
    "default::pytest.PytestUnhandledThreadExceptionWarning",
)
"""A test during which nothing may warn."""
