"""Assignment a4, the tape: programs that run on the student's functions, cases and references."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from minitvlt.backends.tape import sum_to_shape

from .blanks import Blank, Case, Check
from .edits import read_text

Array = np.ndarray
_numbers = count()


class TapeArray:
    """An array that knows what it was computed from: as in the notebook."""

    def __init__(self, value: Any, parents: tuple = (), vjp: Callable | None = None) -> None:
        self.value, self.parents, self.vjp = value, parents, vjp
        self.number = next(_numbers)
        self.cotangent: Any = None


def find_class(function: Any) -> Any:
    """The TapeArray beside the student's function, so that `isinstance` is true in it."""
    return getattr(function, "__globals__", {}).get("TapeArray", TapeArray)


# ---------------------------------------------------------------------------------------------------- record


def record(value: Any, parents: tuple, vjp: Callable) -> Any:
    """The reference: see the notebook."""
    recorded = tuple(parent if isinstance(parent, TapeArray) else None for parent in parents)
    return TapeArray(value, recorded, vjp) if any(parent is not None for parent in recorded) else value


def make_record_cases(rng: np.random.Generator) -> list[Case]:
    """A product or a sum with arrays and constants: `recorded` names those that are on the tape."""

    def draw(tag: str, recorded: str, *shape: int) -> Case:
        x, y, g = rng.normal(size=(3, *shape))
        return Case({"recorded": recorded, "x": x, "y": y, "g": g}, (tag,))

    return [
        draw("the smallest input", "x and y", 2),
        draw("a constant as second parent", "x", 2, 3),
        draw("a constant as first parent", "y", 2, 3),
        draw("constants alone", "none", 3),
        draw("an array that is its own partner", "x twice", 3),
        draw("a number as parent", "x, and 3.0 for y", 3),
        draw("a missing bias", "x, and None for y", 3),
    ]


def call_record(function: Callable, arguments: dict[str, Any]) -> Any:
    """Record x · y, and say what the record holds."""
    make, recorded = find_class(function), arguments["recorded"]
    x, y, g = (arguments[name] for name in "xyg")
    left = make(x) if recorded[0] == "x" else x
    right = {"x twice": left, "x, and None for y": None, "x, and 3.0 for y": 3.0, "x": y, "none": y}.get(
        recorded, ...
    )
    right = make(y) if right is ... else right
    calls = []

    def vjp(cotangent: Array) -> tuple:
        calls.append(1)
        return cotangent * y, cotangent * x

    value = x * (y if right is not None else 1)
    result = function(value, (left, right), vjp)
    if type(result) is not make:
        is_plain = isinstance(result, (np.ndarray, np.generic, float, int))
        return result if is_plain else f"an object of the type {type(result).__name__}"
    early = len(calls)
    parents = ["left" if p is left else "right" if p is right else "a constant" for p in result.parents]
    parents = ["None" if p is None else name for p, name in zip(result.parents, parents, strict=True)]
    return {
        "value": result.value,
        "parents": ", ".join(parents),
        "vjp": result.vjp(g) if callable(result.vjp) else result.vjp,
        "calls of vjp by record": early,
        "cotangent": result.cotangent,
    }


# -------------------------------------------------------------------------------------------------- backward


class Steps:
    """Operations on the student's arrays, which count how often a VJP runs."""

    def __init__(self, make: Any) -> None:
        self.make, self.calls = make, 0

    def record(self, value: Any, parents: tuple, vjp: Callable) -> Any:
        """A result with a VJP that counts."""

        def counted(g: Array) -> tuple:
            self.calls += 1
            return vjp(g)

        return self.make(value, tuple(p if type(p) is self.make else None for p in parents), counted)

    def add(self, x: Any, y: Any) -> Any:
        """x + y, both recorded: both get the same array g."""
        return self.record(x.value + y.value, (x, y), lambda g: (g, g))

    def multiply(self, x: Any, y: Any) -> Any:
        """x · y; y may be a constant, for which the VJP returns None."""
        if type(y) is not self.make:
            return self.record(x.value * y, (x, y), lambda g: (g * y, None))
        return self.record(x.value * y.value, (x, y), lambda g: (g * y.value, g * x.value))

    def tanh(self, x: Any) -> Any:
        """tanh x"""
        y = np.tanh(x.value)
        return self.record(y, (x,), lambda g: (g * (1 - y * y),))

    def total(self, x: Any) -> Any:
        """Sum of all elements."""
        return self.record(np.sum(x.value), (x,), lambda g: (g * np.ones_like(x.value),))


def run_sum(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """x + w"""
    y = s.add(x, w)
    return {"x": x, "w": w, "output": y}


def run_product(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """the sum of x · w"""
    y = s.total(s.multiply(x, w))
    return {"x": x, "w": w, "output": y}


def run_square(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """y + y with y = x · x"""
    y = s.multiply(x, x)
    return {"x": x, "y": y, "output": s.add(y, y)}


def run_diamond(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """a · w + a · a with a = tanh(x)"""
    a = s.tanh(x)
    left, right = s.multiply(a, w), s.multiply(a, a)
    return {"x": x, "w": w, "a": a, "output": s.add(left, right)}


def run_long_first(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """tanh(tanh(a) · w) · a with a = tanh(x)"""
    a = s.tanh(x)
    y = s.multiply(s.tanh(s.multiply(s.tanh(a), w)), a)
    return {"x": x, "w": w, "a": a, "output": y}


def run_short_first(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """x + (a + tanh(tanh(a · w))) with a = x · w"""
    a = s.multiply(x, w)
    y = s.add(a, s.tanh(s.tanh(s.multiply(a, w))))
    return {"x": x, "w": w, "a": a, "output": s.add(x, y)}


def run_shared(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """((x + w) + x) + tanh(x)"""
    z = s.add(x, w)
    return {"x": x, "w": w, "x + w": z, "output": s.add(s.add(z, x), s.tanh(x))}


def run_constant(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """tanh((x · 3) · w)"""
    y = s.tanh(s.multiply(s.multiply(x, 3.0), w))
    return {"x": x, "w": w, "output": y}


def run_parameter(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """x alone"""
    return {"output": x}


def run_chain(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """x · w, then 5000 products with numbers"""
    y = s.multiply(x, w)
    for i in range(5000):
        y = s.multiply(y, 1.0 + 0.1 * (-1) ** i)
    return {"x": x, "w": w, "output": y}


def run_doublings(s: Steps, x: Any, w: Any) -> dict[str, Any]:
    """y = x · w, then ten times y = y + y"""
    y = s.multiply(x, w)
    for _ in range(10):
        y = s.add(y, y)
    return {"x": x, "w": w, "output": y}


PROGRAMS: dict[str, Callable] = {
    str(program.__doc__): program
    for program in (
        run_sum,
        run_product,
        run_square,
        run_diamond,
        run_long_first,
        run_short_first,
        run_shared,
        run_constant,
        run_parameter,
        run_chain,
        run_doublings,
    )
}


def make_backward_cases(rng: np.random.Generator) -> list[Case]:
    """Programs, with two arrays and the cotangent to start with."""

    def draw(tag: str, program: str, *shape: int, w: tuple = (), g: bool = False, passes: int = 1) -> Case:
        x, start = rng.normal(size=(2, *shape))
        arguments = {"program": program, "x": x, "w": rng.normal(size=w or shape)}
        return Case(arguments | {"cotangent": start if g else None, "passes": passes}, (tag,))

    names = list(PROGRAMS)
    return [
        draw("the smallest input", names[0], 2),
        draw("the smallest input", names[1], 2, 3),
        draw("an array that is used twice", names[2], 3),
        draw("an array that is used twice", names[3], 2),
        draw("paths of unequal length", names[4], 3),
        draw("paths of unequal length", names[5], 3),
        draw("a cotangent that several arrays share", names[6], 3),
        draw("a constant", names[7], 3),
        draw("a given cotangent", names[0], 3, g=True),
        draw("a given cotangent", names[3], 2, 3, g=True),
        draw("broadcasting", names[0], 2, 3, w=(3,)),
        draw("broadcasting", names[3], 5, 3, w=(5, 1)),
        draw("a parameter as output", names[8], 3),
        draw("a parameter as output", names[8], 2, g=True),
        draw("a second pass", names[1], 2, passes=2),
        draw("a second pass", names[3], 3, passes=2),
        draw("many paths", names[10], 2),
        draw("a chain of 5000 steps", names[9], 2),
    ]


def call_backward(function: Callable, arguments: dict[str, Any]) -> Any:
    """Run the program, go back from its output, and list the cotangents."""
    steps = Steps(find_class(function))
    leaves = [steps.make(arguments[name]) for name in "xw"]
    arrays = PROGRAMS[arguments["program"]](steps, *leaves)
    output, cotangent = arrays["output"], arguments["cotangent"]
    if cotangent is None:
        function(output)
    else:
        function(output, cotangent)
    if arguments["passes"] == 2:
        steps.calls = 0
        function(output, -2.0 * np.ones_like(output.value))
    found = {name: "no cotangent" if a.cotangent is None else a.cotangent for name, a in arrays.items()}
    return found | {"calls of VJPs": steps.calls}


def start(output: Any, cotangent: Any) -> Any:
    """The cotangent to begin with."""
    return np.ones_like(output.value) if cotangent is None else cotangent


def backward(output: Any, cotangent: Any = None) -> None:
    """The reference: see the notebook."""
    output.cotangent = start(output, cotangent)
    waiting, reached = [output], {output}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        waiting.remove(latest)
        contributions = latest.vjp(latest.cotangent) if latest.vjp else ()
        for parent, g in zip(latest.parents, contributions, strict=True):
            if parent is not None:
                g = sum_to_shape(g, parent.value)
                if parent in reached:
                    parent.cotangent = parent.cotangent + g
                else:
                    parent.cotangent = g
                    waiting.append(parent)
                    reached.add(parent)


TAPE_BLANKS = (
    Blank(
        "record",
        record,
        make_record_cases,
        (
            Check("the smallest input", 1),
            Check("a constant as second parent", 1),
            Check("a constant as first parent", 1),
            Check("constants alone", 1),
            Check("an array that is its own partner", 1),
            Check("a number as parent", 1),
            Check("a missing bias", 1),
        ),
        "notebook 06, 'A tape'",
        text=read_text(record),
        call=call_record,
    ),
    Blank(
        "backward",
        backward,
        make_backward_cases,
        (
            Check("the smallest input", 2),
            Check("an array that is used twice", 2),
            Check("paths of unequal length", 2),
            Check("a cotangent that several arrays share", 1),
            Check("a constant", 1),
            Check("a given cotangent", 1),
            Check("broadcasting", 1),
            Check("a parameter as output", 1),
            Check("a second pass", 1),
            Check("many paths", 1),
            Check("a chain of 5000 steps", 1),
        ),
        "notebook 06, 'A tape'",
        text=read_text(backward, start),
        call=call_backward,
    ),
)
