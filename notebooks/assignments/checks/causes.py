"""Likely causes of a difference."""

from typing import Any

from .blanks import Blank
from .evaluate import Trial


def find_cause(blank: Blank, trials: list[Trial], failed: Trial, call: Any) -> str:
    """The likely cause of a failed trial, in one or two sentences."""
    return "The values differ."
