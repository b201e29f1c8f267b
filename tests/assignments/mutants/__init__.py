"""Wrong and right solutions of the blanks, to try the checks on.

@mutant("patchify_video", "column by column")    # a word of the cause that the message must name
def patchify_video(video, patch): ...

@variant("patchify_video")
def patchify_video(video, patch): ...            # another right solution
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A wrong solution."""

    blank: str
    cause_word: str | tuple[str, ...]  # occurs (or one of them does) in the cause of a failed check
    function: Any
    number: int


@dataclass(frozen=True)
class Variant:
    """Another right solution."""

    blank: str
    function: Any
    number: int


MUTANTS: list[Mutant] = []
VARIANTS: list[Variant] = []


def mutant(blank: str, cause_word: str | tuple[str, ...]) -> Callable[[Any], Any]:
    """Register a wrong solution of a blank."""

    def register(function: Any) -> Any:
        MUTANTS.append(Mutant(blank, cause_word, function, len(MUTANTS)))
        return function

    return register


def variant(blank: str) -> Callable[[Any], Any]:
    """Register another right solution of a blank."""

    def register(function: Any) -> Any:
        VARIANTS.append(Variant(blank, function, len(VARIANTS)))
        return function

    return register


def load_all() -> None:
    """Import all modules of this folder, which registers their functions."""
    for path in sorted(Path(__file__).parent.glob("a[0-9]*.py")):
        import_module(f"{__name__}.{path.stem}")
