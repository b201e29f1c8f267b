"""Known mistakes as changes of the right solution's text, read from `mistakes/aN.toml`.

    layer_norm = [
        ["axis=-1", "axis=0", "Mean and variance are taken over the tokens. They are taken over …"],
    ]

says: where the text of `layer_norm` has `axis=-1`, a student has `axis=0`, and is told the last string. More
pairs of what stands there and what is written instead may come before it; they are applied in turn, each
wherever it occurs. The text is the source of the reference: the package's function, or the one here where
the package has none. Several blanks may share entries, of a part of their texts: "patchify_video
patchify_audio" = [ … ]. An entry with the word SMALL is as many mistakes: 1e-3, 1e-4 and so on, one after the
other, stand in its place.
"""

from __future__ import annotations  # of compiled texts as well: to evaluate them takes most of the time

import ast
import inspect
import math
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .blanks import Assignment, Mistake, Text

SMALL = tuple(f"1e-{n}" for n in range(3, 17))  # what students add or cut off at


def read_text(function: Callable[..., Any], *parts: Callable[..., Any], **names: Any) -> Text:
    """The source of a function, without docstring and decorators.

    Args:
        function: of the package; the last one of the text.
        parts: functions that it calls, which mistakes may change as well.
        names: what the changed texts need beside the names of their modules, `np` and `math`.
    """
    source = "\n\n".join(read_source(each) for each in (*parts, function))
    known = {"np": np, "math": math}
    for each in (*parts, function):
        known |= inspect.unwrap(each).__globals__
    return Text(source, function.__name__, known | names)


def read_source(function: Callable[..., Any]) -> str:
    """The lines of one function that are code."""
    lines = textwrap.dedent(inspect.getsource(inspect.unwrap(function))).splitlines()
    node = ast.parse("\n".join(lines)).body[0]
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        lines[first.lineno - 1 : first.end_lineno] = []
    return "\n".join(lines[node.lineno - 1 :])


def add_mistakes(assignment: Assignment, file: str) -> Assignment:
    """The assignment whose blanks with a text know the mistakes of `mistakes/file`.

    Raises:
        ValueError: mistakes of a blank without a text, or changes of what does not stand in it.
    """
    table = tomllib.loads((Path(__file__).parent / "mistakes" / file).read_text(encoding="utf-8"))
    with_text = [blank.name for blank in assignment.blanks if blank.text]
    unknown = {name for names in table for name in names.split()}.difference(with_text)
    if unknown:
        raise ValueError(f"{file}: no blank with a text is called {' or '.join(sorted(unknown))}")
    blanks = []
    for blank in assignment.blanks:
        entries = [entry for names in table if blank.name in names.split() for entry in table[names]]
        filled = (each for entry in entries for each in fill_in(entry))
        added = tuple(make_mistake(blank.text, *entry) for entry in filled)
        blanks.append(replace(blank, mistakes=blank.mistakes + added))
    return replace(assignment, blanks=tuple(blanks))


def fill_in(entry: Sequence[str]) -> list[list[str]]:
    """An entry once for each number that SMALL may be; not for the right one."""
    if not any("SMALL" in part for part in entry):
        return [list(entry)]
    filled = [[part.replace("SMALL", number) for part in entry] for number in SMALL]
    return [each for each in filled if each[:-1:2] != each[1:-1:2]]


def make_mistake(text: Text, *entry: str) -> Mistake:
    """The mistake of one entry: pairs of old and new text, then the cause."""
    *pairs, cause = entry
    changes = tuple(zip(pairs[::2], pairs[1::2], strict=True))
    source = change_source(text.source, changes)
    if source is None:
        raise ValueError(f"{text.name}: not all of {pairs[::2]} stand in this text, in turn:\n{text.source}")
    return Mistake(compile_text(text, source), " ".join(cause.split()), changes)


def change_source(source: str, changes: Sequence[tuple[str, str]]) -> str | None:
    """The source with every change made wherever it applies; None if one does not apply."""
    for old, new in changes:
        if old not in source:
            return None
        source = source.replace(old, new)
    return source


def compile_text(text: Text, source: str | ast.Module) -> Callable[..., Any]:
    """The function of a changed source."""
    names = dict(text.names)
    exec(compile(source, f"<{text.name}, changed>", "exec"), names)
    return names[text.name]
