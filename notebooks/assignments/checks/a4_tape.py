"""Assignment a4, the tape: programs that run on the student's functions, cases and known mistakes."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from minitvlt.backends.tape import sum_to_shape

from .blanks import Blank, Case, Check, Mistake

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
    recorded = tuple(parent if hasattr(parent, "vjp") else None for parent in parents)
    kinds = [type(parent) for parent in recorded if parent is not None]
    return kinds[0](value, recorded, vjp) if kinds else value


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


def is_recorded(parent: Any) -> bool:
    """Whether this is on the tape."""
    return isinstance(parent, TapeArray)


def record_early(value: Any, parents: tuple, vjp: Callable) -> Any:
    """Run the VJP at once."""
    if not any(map(is_recorded, parents)):
        return value
    contributions = vjp(np.ones_like(value))
    return TapeArray(value, tuple(p if is_recorded(p) else None for p in parents), lambda g: contributions)


RECORD_MISTAKES = (
    Mistake(
        lambda value, parents, vjp: TapeArray(
            value, tuple(p if is_recorded(p) else None for p in parents), vjp
        ),
        "A result of constants alone is recorded. It has no gradient: return the value itself.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, parents, vjp) if any(map(is_recorded, parents)) else value
        ),
        "Constants are kept as parents. Only a TapeArray has a cotangent: put None in a constant's place.",
    ),
    Mistake(
        lambda value, parents, vjp: TapeArray(value, parents, vjp),
        "Constants are not told from recorded arrays: put None in a constant's place, and return the value "
        "itself if all are constants.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, tuple(filter(is_recorded, parents)), vjp)
            if any(map(is_recorded, parents))
            else value
        ),
        "Constants are left out of the parents, so that later ones move up and get the wrong contribution of "
        "the VJP. Put None in a constant's place.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, parents, vjp) if all(map(is_recorded, parents)) else value
        ),
        "A result with one constant among its parents is not recorded. It is a constant only if none of its "
        "parents is recorded: any, not all.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, tuple(p if is_recorded(p) else None for p in parents), vjp)
            if is_recorded(parents[0])
            else value
        ),
        "Only the first parent decides whether the result is recorded. One recorded parent is enough, at any "
        "place: any(…).",
    ),
    Mistake(
        record_early,
        "The VJP runs during the forward pass. It is only stored here: backward calls it with the cotangent, "
        "which is not known yet.",
    ),
    Mistake(
        lambda value, parents, vjp: TapeArray(value) if any(map(is_recorded, parents)) else value,
        "Parents and VJP are not stored, so that no way leads back: TapeArray(value, parents, vjp).",
    ),
    Mistake(
        lambda value, parents, vjp: value,
        "The plain value is returned also where a parent is recorded: return TapeArray(value, parents, vjp).",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, tuple(p.value if is_recorded(p) else None for p in parents), vjp)
            if any(map(is_recorded, parents))
            else value
        ),
        "The values of the parents are stored. backward needs the TapeArrays themselves, to give them their "
        "cotangents.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(
                value,
                tuple(p if is_recorded(p) and p not in parents[:i] else None for i, p in enumerate(parents)),
                vjp,
            )
            if any(map(is_recorded, parents))
            else value
        ),
        "A parent that occurs twice is kept once. Each place gets a contribution of its own, and backward "
        "adds them.",
    ),
    Mistake(
        lambda value, parents, vjp: (
            TapeArray(value, tuple(None if isinstance(p, np.ndarray) else p for p in parents), vjp)
            if any(p is not None and not isinstance(p, np.ndarray) for p in parents)
            else value
        ),
        "Only arrays are taken for constants: a number is one too. Ask whether a parent is a TapeArray.",
    ),
    Mistake(
        lambda value, parents, vjp: record(value, parents[::-1], vjp),
        "The parents are in another order than the contributions of the VJP: keep their order.",
    ),
    Mistake(
        lambda value, parents, vjp: record(value, parents, lambda g: vjp(g)[0]),
        "The VJP returns one contribution: it has to return the tuple with one for each parent.",
    ),
    Mistake(
        lambda value, parents, vjp: TapeArray(
            value, tuple(p if is_recorded(p) else TapeArray(p) for p in parents), vjp
        ),
        "Constants are recorded as new TapeArrays: put None in their place, and return the value itself if "
        "all are constants.",
    ),
    Mistake(
        lambda value, parents, vjp: (value, parents, vjp),
        "A tuple is returned: make a TapeArray(value, parents, vjp) of it.",
    ),
    Mistake(
        lambda value, parents, vjp: None, "Nothing is returned: is the `return` missing, or not reached?"
    ),
)

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
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        latest.cotangent = waiting.pop(latest)
        contributions = latest.vjp(latest.cotangent) if latest.vjp else ()
        for parent, contribution in zip(latest.parents, contributions, strict=True):
            if parent is not None:
                contribution = sum_to_shape(contribution, parent.value)
                waiting[parent] = waiting[parent] + contribution if parent in waiting else contribution


def vary_backward(
    choose: Callable = lambda waiting: max(waiting, key=lambda array: array.number),
    combine: Callable = lambda old, new: new if old is None else old + new,
    begin: Callable = start,
    fit: Callable = sum_to_shape,
    keeps: bool = False,
    skips_constants: bool = True,
    once: bool = False,
    feed: Callable = lambda array, g: g,
    repeats: bool = False,
    take: int | None = None,
    stops: bool = False,
) -> Callable:
    """Backward with one step that can be replaced by a wrong one; `keeps` does not clear old cotangents."""

    def go(output: Any, cotangent: Any = None) -> None:
        order, waiting = [], [output]
        found = {output: begin(output, cotangent)}
        while waiting:
            latest = choose(waiting)
            waiting.remove(latest)
            order.append(latest)
            g = latest.cotangent = found[latest]
            parts = latest.vjp(feed(latest, g)) if latest.vjp else ()
            for parent, part in list(zip(latest.parents, parts, strict=False))[:take]:
                if parent is None and stops:
                    return
                if parent is None and skips_constants:
                    continue
                before = found.get(parent, parent.cotangent if keeps else None)
                found[parent] = parent.cotangent = combine(before, fit(part, parent.value))
                if repeats or (parent not in waiting and not (once and parent in order)):
                    waiting.append(parent)

    return go


def add_in_place(old: Any, new: Any) -> Any:
    """+= on an array that others may hold."""
    if old is None:
        return new
    if isinstance(old, np.ndarray) and old.ndim:
        old += new
        return old
    return old + new


def go_down(output: Any, cotangent: Any = None) -> None:
    """By recursion, once for each path."""
    cleared = set()

    def visit(array: Any, g: Any) -> None:
        g = sum_to_shape(g, array.value)
        array.cotangent = array.cotangent + g if array in cleared else g
        cleared.add(array)
        for parent, contribution in zip(array.parents, array.vjp(g) if array.vjp else (), strict=False):
            if parent is not None:
                visit(parent, contribution)

    visit(output, start(output, cotangent))


def go_in_recorded_order(output: Any, cotangent: Any = None) -> None:
    """By recursion, in the order of a depth-first search: right but for long chains."""
    order: list = []
    seen = set()

    def visit(array: Any) -> None:
        seen.add(array)
        for parent in array.parents:
            if parent is not None and parent not in seen:
                visit(parent)
        order.append(array)

    visit(output)
    found = {output: start(output, cotangent)}
    for array in reversed(order):
        array.cotangent = found[array]
        for parent, g in zip(array.parents, array.vjp(found[array]) if array.vjp else (), strict=False):
            if parent is not None:
                g = sum_to_shape(g, parent.value)
                found[parent] = found[parent] + g if parent in found else g


def go_without_output(output: Any, cotangent: Any = None) -> None:
    """The output's own cotangent is not set."""
    backward(output, cotangent)
    output.cotangent = None


def collect(output: Any) -> list:
    """All arrays that the output was computed from."""
    found, stack = [output], [output]
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in found:
                found.append(parent)
                stack.append(parent)
        if len(found) > 200:
            break  # a long chain: its end does not matter here
    return found


def store_nothing(output: Any, cotangent: Any = None) -> None:
    """Cotangents in a dictionary that is lost."""
    backward(output, cotangent)
    for array in collect(output):
        array.cotangent = None


def store_parameters(output: Any, cotangent: Any = None) -> None:
    """Cotangents of results are dropped."""
    backward(output, cotangent)
    for array in collect(output):
        if array.vjp is not None:
            array.cotangent = None


def add_to_parameters(output: Any, cotangent: Any = None) -> None:
    """Cotangents of parameters are added up over several passes."""
    before = [(array, array.cotangent) for array in collect(output) if array.vjp is None]
    backward(output, cotangent)
    for array, old in before:
        array.cotangent = array.cotangent if old is None else old + array.cotangent


def forget_record(output: Any, cotangent: Any = None) -> None:
    """Parents and VJPs are deleted on the way."""
    arrays = collect(output)
    backward(output, cotangent)
    for array in arrays:
        array.parents, array.vjp = (), None


def keep_one_place(output: Any, cotangent: Any = None) -> None:
    """A dictionary of contributions by parent, for each array."""
    waiting = {output: start(output, cotangent)}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        parts = dict(zip(latest.parents, latest.vjp(g) if latest.vjp else (), strict=False))
        for parent, part in parts.items():
            if parent is not None:
                part = sum_to_shape(part, parent.value)
                waiting[parent] = waiting[parent] + part if parent in waiting else part


def go_depth_first(output: Any, cotangent: Any = None) -> None:
    """In the order in which a depth-first search finds the arrays."""
    order, seen, stack = [], set(), [output]
    while stack:
        array = stack.pop()
        if array not in seen:
            seen.add(array)
            order.append(array)
            stack += [parent for parent in array.parents if parent is not None]
    found = {output: start(output, cotangent)}
    for array in order:
        array.cotangent = found[array]
        for parent, g in zip(array.parents, array.vjp(found[array]) if array.vjp else (), strict=False):
            if parent is not None:
                g = sum_to_shape(g, parent.value)
                found[parent] = found[parent] + g if parent in found else g


SECOND = "A second pass adds to the cotangents of the first. Start each pass without them."
BACKWARD_MISTAKES = (
    Mistake(
        vary_backward(combine=lambda old, new: new),
        "An array that is used several times keeps the last contribution alone. Add up the contributions of "
        "all uses.",
    ),
    Mistake(
        vary_backward(combine=lambda old, new: new if old is None else old),
        "An array that is used several times keeps the first contribution alone. Add up the contributions of "
        "all uses.",
    ),
    Mistake(
        vary_backward(choose=lambda waiting: waiting[0], once=True),
        "The VJP of an array runs before all contributions to its cotangent have come. Take the array with "
        "the largest number first, not the one that was reached first.",
    ),
    Mistake(
        vary_backward(choose=lambda waiting: waiting[0]),
        "An array is visited again when a later contribution comes, and passes on the earlier ones twice. "
        "Take the array with the largest number first.",
    ),
    Mistake(
        vary_backward(choose=lambda waiting: waiting[-1], once=True),
        "The VJP of an array runs before all contributions to its cotangent have come. Take the array with "
        "the largest number first, not the one that was reached last.",
    ),
    Mistake(
        vary_backward(choose=lambda waiting: waiting[-1]),
        "An array is visited again when a later contribution comes, and passes on the earlier ones twice. "
        "Take the array with the largest number first.",
    ),
    Mistake(
        vary_backward(choose=lambda waiting: min(waiting, key=lambda array: array.number)),
        "The earliest array is taken first. Go backwards: the one with the largest number first.",
    ),
    Mistake(
        vary_backward(keeps=True),
        SECOND,
    ),
    Mistake(
        vary_backward(combine=add_in_place),
        "A cotangent is changed in place (+=), but several arrays can hold the same one: that of a sum goes "
        "to both parents. Compute a new array: a = a + b.",
    ),
    Mistake(
        vary_backward(fit=lambda g, like: g),
        "Broadcasting is not undone: call sum_to_shape(contribution, parent.value) for each contribution.",
    ),
    Mistake(
        vary_backward(begin=lambda output, cotangent: np.ones_like(output.value)),
        "The argument `cotangent` is not used: the pass starts with it, and with ones if it is None.",
    ),
    Mistake(
        vary_backward(begin=lambda output, cotangent: output.value if cotangent is None else cotangent),
        "The pass starts with the value of the output. It starts with its cotangent: ones, unless another "
        "one is given.",
    ),
    Mistake(
        vary_backward(begin=lambda output, cotangent: 1.0 if cotangent is None else cotangent),
        "The pass starts with the number 1.0. The cotangent has the shape and dtype of the output: "
        "np.ones_like(output.value).",
    ),
    Mistake(
        vary_backward(skips_constants=False),
        "A parent that is None is a constant: skip it, and its contribution.",
    ),
    Mistake(
        go_down,
        "Every path is followed by itself, so that a VJP runs many times, and a long chain is too deep a "
        "recursion. Visit each array once, when its cotangent is complete, in a loop.",
    ),
    Mistake(
        go_in_recorded_order,
        "The recursion is too deep for a long chain: Python allows about 1000 calls inside one another. Use "
        "a loop.",
    ),
    Mistake(
        go_without_output,
        "The cotangent of the output itself is not stored in output.cotangent.",
    ),
    Mistake(
        lambda output, cotangent=None: None,
        "No cotangent is stored: set array.cotangent of every array that the output was computed from.",
    ),
    Mistake(
        store_nothing,
        "The cotangents are computed, but not stored: set array.cotangent of every array that is visited.",
    ),
    Mistake(
        store_parameters,
        "Only parameters get a cotangent: set array.cotangent of every array that is visited, also of "
        "results.",
    ),
    Mistake(add_to_parameters, SECOND),
    Mistake(
        forget_record,
        "The record is deleted during the first pass. A second pass needs parents and VJPs again: leave "
        "them.",
    ),
    Mistake(
        vary_backward(fit=lambda g, like: sum_to_shape(like, g)),
        "The arguments of sum_to_shape are exchanged: sum_to_shape(contribution, parent.value).",
    ),
    Mistake(
        vary_backward(feed=lambda array, g: array.value),
        "The VJP gets the value of the array: it needs its cotangent.",
    ),
    Mistake(
        vary_backward(feed=lambda array, g: np.ones_like(g)),
        "Each VJP gets ones: it needs the cotangent of its array.",
    ),
    Mistake(
        keep_one_place,
        "Of a parent that occurs twice, as in x · x, only one contribution counts (a dictionary keeps one "
        "entry): add up both.",
    ),
    Mistake(
        go_depth_first,
        "The VJP of an array runs before all contributions to its cotangent have come: the order of a "
        "depth-first search is not enough. Take the array with the largest number first.",
    ),
    Mistake(
        vary_backward(repeats=True),
        "An array that is used several times is visited several times, and passes its whole cotangent on "
        "each time. Visit each array once.",
    ),
    Mistake(
        vary_backward(combine=lambda old, new: new if old is None else old * new),
        "The contributions of several uses are multiplied: add them up.",
    ),
    Mistake(
        vary_backward(take=1),
        "Only the first parent of each array gets a contribution: go through all parents.",
    ),
    Mistake(
        vary_backward(stops=True),
        "The pass ends at the first constant (return or break): skip it, and go on (continue).",
    ),
)

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
        RECORD_MISTAKES,
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
        BACKWARD_MISTAKES,
        call=call_backward,
    ),
)
