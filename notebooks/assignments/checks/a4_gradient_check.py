"""Assignment a4, the gradient check: functions with gradients, planted errors, cases and known mistakes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .blanks import Blank, Case, Check, Mistake

Array = np.ndarray
Arrays = Sequence[Array]

# --------------------------------------------------------------------------------------------- measure_slope


def measure_slope(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """The reference: see the notebook."""
    pairs = [(np.asarray(a, float), np.asarray(d, float)) for a, d in zip(arrays, directions, strict=True)]
    ahead, behind = (function(*(a + signed * d for a, d in pairs)) for signed in (step, -step))
    return float((ahead - behind) / (2 * step))


def one_sine(x: Array) -> Any:
    """Σ sin x"""
    return np.sum(np.sin(x))


def two_sines(x: Array, w: Array) -> Any:
    """Σ x sin w"""
    return np.sum(x * np.sin(w))


def one_layer(x: Array, w: Array, b: Array) -> Any:
    """Σ tanh(x w + b)²"""
    return np.sum(np.tanh(x @ w + b) ** 2)


FUNCTIONS: dict[str, Callable] = {
    "the sum of sin(x)": one_sine,
    "the sum of x · sin(w)": two_sines,
    "the sum of tanh(x w + b)²": one_layer,
}


def make_slope_cases(rng: np.random.Generator) -> list[Case]:
    """A function, arrays, directions; steps are large, so that other differences give other values."""

    def draw(
        tag: str, function: str, *shapes: tuple[int, ...], step: float = 0.1, precision: str = "float64"
    ) -> Case:
        arrays = [rng.normal(size=shape) for shape in shapes]
        directions = [rng.normal(size=shape) for shape in shapes]
        names = {"function": function, "step": step, "precision": precision}
        return Case(names | {"arrays": arrays, "directions": directions}, (tag,))

    sine, sines, layer = FUNCTIONS
    return [
        draw("the smallest input", sine, (2,)),
        draw("the smallest input", sine, (2, 3), step=0.3),
        draw("several arrays", sines, (3,), (3,)),
        draw("several arrays", layer, (5, 3), (3, 2), (2,)),
        draw("another step", sine, (3,), step=1e-3),
        draw("another step", sine, (3,), step=1.0),
        draw("arrays in float32", sine, (3,), precision="float32"),
        draw("arrays in float32", sine, (5,), step=1e-3, precision="float32"),
    ]


def call_slope(function: Callable, arguments: dict[str, Any]) -> Any:
    """Measure the slope of one of FUNCTIONS."""
    if arguments["precision"] == "float32":
        arguments = arguments | {"arrays": to_float32(arguments["arrays"])}
    along = FUNCTIONS[arguments["function"]]
    return function(along, arguments["arrays"], arguments["directions"], arguments["step"])


def to_float32(arrays: Arrays) -> list[Array]:
    """The arrays in float32."""
    return [array.astype(np.float32) for array in arrays]


def move(arrays: Arrays, directions: Arrays, step: float) -> list[Array]:
    """All arrays, a step along their directions."""
    return [np.asarray(a, float) + step * d for a, d in zip(arrays, directions, strict=True)]


def slope_of_one_by_one(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """Each array is moved by itself, and the slopes are added."""
    slopes = []
    for i in range(len(arrays)):
        alone = [d if i == j else 0 * d for j, d in enumerate(directions)]
        slopes.append(measure_slope(function, arrays, alone, step))
    return sum(slopes)


def slope_with_unit_direction(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """Directions of length 1."""
    length = np.sqrt(sum(np.sum(np.square(d)) for d in directions))
    return measure_slope(function, arrays, [d / length for d in directions], step)


def slope_along_ones(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """The step is added to all elements."""
    return measure_slope(function, arrays, [np.ones_like(d) for d in directions], step)


def slope_in_place(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """Arrays are changed, and changed back."""
    for a, d in zip(arrays, directions, strict=True):
        a += step * d
    ahead = function(*arrays)
    for a, d in zip(arrays, directions, strict=True):
        a -= 2 * step * d
    behind = function(*arrays)
    return float((ahead - behind) / (2 * step))


def slope_with_unit_directions(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """Each direction of length 1."""
    return measure_slope(function, arrays, [d / np.linalg.norm(d) for d in directions], step)


def slope_element_by_element(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """The gradient by central differences of single elements, times the directions."""
    total = 0.0
    for i, direction in enumerate(directions):
        for index in np.ndindex(direction.shape):
            alone = [np.zeros(d.shape) for d in directions]
            alone[i][index] = 1.0
            total += measure_slope(function, arrays, alone, step) * direction[index]
    return total


def slope_rounded(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> float:
    """Moved arrays are rounded to the precision of the arrays."""
    ahead = [(a + step * d).astype(a.dtype) for a, d in zip(arrays, directions, strict=True)]
    behind = [(a - step * d).astype(a.dtype) for a, d in zip(arrays, directions, strict=True)]
    return float((function(*ahead) - function(*behind)) / (2 * step))


IN_FLOAT32 = (
    "The arrays stay in float32, whose rounding is larger than the difference: convert them to float64 first."
)
SLOPE_MISTAKES = (
    Mistake(
        lambda f, a, d, step: (f(*move(a, d, step)) - f(*move(a, d, 0))) / step,
        "This is a one-sided difference, with an error that grows with the step itself. Go a step in both "
        "directions: (L(x + εv) - L(x - εv)) / (2ε).",
    ),
    Mistake(
        lambda f, a, d, step: (f(*move(a, d, 0)) - f(*move(a, d, -step))) / step,
        "This is a one-sided difference, backwards. Go a step in both directions: "
        "(L(x + εv) - L(x - εv)) / (2ε).",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) * 2,
        "The difference is divided by ε. The two points are 2ε apart: divide by 2ε.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) / 2,
        "The difference is divided by 4ε. The two points are 2ε apart: divide by 2ε.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) * 2 * step,
        "The difference is not divided by the distance 2ε of the two points.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) * step**2,
        "The difference is multiplied by the step: divide it by 2ε, with brackets around 2 * step.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step / 2),
        "Each side goes half a step: go a whole step ε in both directions, and divide by 2ε.",
    ),
    Mistake(
        lambda f, a, d, step: -measure_slope(f, a, d, step),
        "The sign is wrong: the value ahead minus the value behind.",
    ),
    Mistake(
        lambda f, a, d, step: abs(measure_slope(f, a, d, step)),
        "The slope lost its sign: no absolute value here.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, [d[0], *(0 * each for each in d[1:])], step),
        "Only the first array is moved: move all arrays at once, each along its direction.",
    ),
    Mistake(
        slope_of_one_by_one,
        "Each array is moved by itself. Move all arrays at once, each along its direction: two calls of the "
        "function are enough.",
    ),
    Mistake(
        slope_with_unit_direction,
        "The directions are scaled to length 1: use them as they are.",
    ),
    Mistake(
        slope_along_ones,
        "The step is added to every element: multiply it by the direction.",
    ),
    Mistake(slope_rounded, IN_FLOAT32),
    Mistake(
        lambda f, a, d, step: (
            (8 * measure_slope(f, a, d, step) * 2 - measure_slope(f, a, d, 2 * step) * 4) / 12
        ),
        "This is a difference of four points. Use two: (L(x + εv) - L(x - εv)) / (2ε).",
    ),
    Mistake(
        lambda f, a, d, step: (
            (f(*move(a, d, step)) - 2 * f(*move(a, d, 0)) + f(*move(a, d, -step))) / step**2
        ),
        "This is the second derivative: the slope is (L(x + εv) - L(x - εv)) / (2ε).",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, 1e-5),
        "The argument `step` is not used.",
    ),
    Mistake(slope_in_place, "The arrays are changed in place: compute new ones, array + step * direction."),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) * 2 / step,
        "The difference is divided by the step twice: divide by 2ε once.",
    ),
    Mistake(
        slope_with_unit_directions,
        "Each direction is scaled to length 1: use them as they are.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, [v * x for v, x in zip(d, a, strict=True)], step),
        "The step is multiplied by the array too (array * (1 + step * v)): it is added, array + step * v.",
    ),
    Mistake(
        slope_element_by_element,
        "Each element is moved by itself, and the slopes are summed. Move all elements of all arrays at "
        "once, along the directions: two calls of the function are enough.",
    ),
    Mistake(
        lambda f, a, d, step: (f(*move(a, d, step)) - f(*move(a, [-v for v in d], -step))) / (2 * step),
        "The two points are the same: go + step and - step along the same direction.",
    ),
    Mistake(
        lambda f, a, d, step: f(*move(a, d, step)) - f(*move(a, d, -step)) / (2 * step),
        "Only the second value is divided: put brackets around the difference.",
    ),
    Mistake(
        lambda f, a, d, step: (f(*move(a, d, step)) + f(*move(a, d, -step))) / (2 * step),
        "The two values are added: the slope is their difference over 2ε.",
    ),
    Mistake(
        lambda f, a, d, step: (f(*move(a, d, step)) - f(*move(a, d, -step))) / 2,
        "The difference is divided by 2 alone: divide by 2ε, the distance of the two points.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, d, step) / len(a),
        "The slope is divided by the number of arrays: all arrays move at once, so there is nothing to "
        "average.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, [*(0 * each for each in d[:-1]), d[-1]], step),
        "Only the last array is moved: move all arrays at once, each along its direction.",
    ),
    Mistake(
        lambda f, a, d, step: f(*(x + 1j * step * v for x, v in zip(a, d, strict=True))).imag / step,
        "This is a complex step. The central difference is (L(x + εv) - L(x - εv)) / (2ε), with real "
        "numbers.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, [np.sign(v) for v in d], step),
        "Only the signs of the directions are used: use them as they are.",
    ),
    Mistake(
        lambda f, a, d, step: measure_slope(f, a, [np.abs(v) for v in d], step),
        "The directions lost their signs: use them as they are.",
    ),
    Mistake(
        lambda f, a, d, step: (f(a + step * d) - f(a - step * d)) / (2 * step),
        "arrays and directions are lists, with which one cannot compute: move each array by itself, in a "
        "loop, and hand them over as function(*arrays).",
    ),
)

# ------------------------------------------------------------------------------------------- check_gradients


def check_gradients(
    function: Callable, arrays: Arrays, gradients: Arrays, rng: np.random.Generator, tolerance: float = 1e-5
) -> bool:
    """The reference: see the notebook."""
    return not any(
        not _agrees(
            function, arrays, gradients, [rng.normal(size=array.shape) for array in arrays], tolerance
        )
        for _ in range(3)
    )


def _agrees(
    function: Callable, arrays: Arrays, gradients: Arrays, directions: Arrays, tolerance: float
) -> bool:
    slope = measure_slope(function, arrays, directions, 1e-5)
    expected = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    return bool(abs(slope - expected) <= tolerance * max(abs(slope), abs(expected)))


def linear_loss(*arrays: Array) -> Any:
    """Twice the sum of the first array, minus three times that of the second."""
    return sum(factor * np.sum(array) for factor, array in zip((2.0, -3.0), arrays, strict=False))


def make_network(scale: float) -> Callable:
    """A loss of four arrays; b and v have one shape, and w is square."""

    def loss(x: Array, w: Array, b: Array, v: Array) -> Any:
        return scale * np.sum(np.tanh(x @ w + b) @ v)

    return loss


def differentiate_network(scale: float, x: Array, w: Array, b: Array, v: Array) -> list[Array]:
    """The right gradients."""
    y = np.tanh(x @ w + b)
    g = scale * v * (1 - y**2)
    return [g @ w.T, x.T @ g, g.sum(axis=0), scale * y.sum(axis=0)]


def change_element(array: Array, by: float) -> Array:
    """One element differs."""
    changed = array.copy()
    changed[0] += by * np.max(np.abs(array))
    return changed


def double(*gradients: Array) -> list[Array]:
    """All twice as large."""
    return [2 * each for each in gradients]


PLANTED: dict[str, Callable[..., list[Array]]] = {
    "a wrong sign": lambda x, w, b, v: [x, -w, b, v],
    "the first gradient twice as large": lambda x, w, b, v: [2 * x, w, b, v],
    "the last gradient twice as large": lambda x, w, b, v: [x, w, b, 2 * v],
    "the last gradient 0": lambda x, w, b, v: [x, w, b, 0 * v],
    "all gradients of the opposite sign": lambda x, w, b, v: [-x, -w, -b, -v],
    "two gradients exchanged": lambda x, w, b, v: [x, w, v, b],
    "a gradient transposed": lambda x, w, b, v: [x, w.T, b, v],
    "one element 10% off": lambda x, w, b, v: [x, w, change_element(b, 0.1), v],
    "all gradients 0.1% too large": lambda x, w, b, v: [1.001 * each for each in (x, w, b, v)],
    "an element in the wrong place": lambda x, w, b, v: [x, w, b, np.roll(v, 1)],
    "all gradients twice as large": double,
    "all gradients 1": lambda *gradients: [np.ones_like(each) for each in gradients],
    "NaN": lambda x, w, b, v: [x, w, b, v * np.nan],
    "all gradients NaN": lambda x, w, b, v: [each * np.nan for each in (x, w, b, v)],
}


def is_clear(arrays: Arrays, seed: int) -> bool:
    """Whether no slope is so near 0 that the error of the difference prevails."""
    if len(arrays) != 4:
        return True
    rng, gradients = np.random.default_rng(seed), differentiate_network(1.0, *arrays)
    size = np.sqrt(sum(np.sum(g**2) for g in gradients))
    slopes = [sum(np.sum(g * rng.normal(size=g.shape)) for g in gradients) for _ in range(3)]
    return bool(np.min(np.abs(slopes)) > 0.05 * size)


def make_check_cases(rng: np.random.Generator) -> list[Case]:
    """Each case tries the right gradients, then one planted error."""

    def draw(tag: str, planted: str, scale: float = 1.0, n: int = 5, precision: str = "float64") -> Case:
        x, w, b, v = (rng.normal(size=shape) for shape in ((n, 3), (3, 3), (3,), (3,)))
        return make_case(tag, planted, [0.4 * x, 0.5 * w, 0.3 * b, v + 1.0], scale, precision)

    def make_case(
        tag: str, planted: str, arrays: Arrays, scale: float = 1.0, precision: str = "float64"
    ) -> Case:
        loss = (
            f"{scale:g} · Σ tanh(x w + b) v" if len(arrays) == 4 else "2 Σ x - 3 Σ w"[: 3 + 6 * len(arrays)]
        )
        arguments = {"loss": loss, "planted": planted, "scale": scale, "precision": precision}
        seed = next(seed for seed in iter(lambda: int(rng.integers(1000)), None) if is_clear(arrays, seed))
        return Case(arguments | {"seed": seed, "arrays": arrays}, (tag,))

    linear = "a linear loss", "all gradients twice as large"
    return [
        make_case(*linear, [np.zeros(1)]),
        make_case(*linear, [rng.normal(size=1)]),
        make_case(*linear, [rng.normal(size=1), rng.normal(size=1)]),
        make_case(*linear, [rng.normal(size=3)]),
        draw("a gradient with a wrong sign or factor", "a wrong sign", n=1),
        draw("a gradient with a wrong sign or factor", "the first gradient twice as large"),
        draw("a wrong last gradient", "the last gradient twice as large"),
        draw("a wrong last gradient", "the last gradient 0"),
        draw("the opposite sign in all gradients", "all gradients of the opposite sign"),
        draw("two exchanged gradients of equal shape", "two gradients exchanged", n=2),
        draw("a transposed gradient", "a gradient transposed"),
        draw("elements in the wrong place", "an element in the wrong place"),
        draw("a small error", "one element 10% off"),
        draw("a small error", "all gradients 0.1% too large"),
        draw("a tiny loss", "a wrong sign", scale=1e-12),
        draw("a tiny loss", "all gradients 0.1% too large", scale=1e-9),
        draw("a loss that is constant", "all gradients 1", scale=0.0),
        draw("a large loss", "a wrong sign", scale=1e9),
        draw("a gradient that is NaN", "NaN"),
        draw("a gradient that is NaN", "all gradients NaN"),
        draw("a gradient that is NaN", "NaN", scale=0.0),
        draw("arrays in float32", "a wrong sign", precision="float32"),
    ]


def call_check(function: Callable, arguments: dict[str, Any]) -> Any:
    """Check right gradients, then wrong ones: the right answers are True and False."""
    arrays, loss = arguments["arrays"], linear_loss
    if arguments["precision"] == "float32":
        arrays = to_float32(arrays)
    right = [np.full(array.shape, factor) for factor, array in zip((2.0, -3.0), arrays, strict=False)]
    if len(arrays) == 4:
        loss = make_network(arguments["scale"])
        right = differentiate_network(arguments["scale"], *(array.astype(float) for array in arrays))
    wrong, answers = PLANTED[arguments["planted"]](*right), {}
    for name, gradients in (("the right gradients", right), ("the wrong gradients", wrong)):
        rng = np.random.default_rng(arguments["seed"])
        answer = function(loss, arrays, gradients, rng)
        if isinstance(answer, (bool, np.bool_)):
            answers[name] = bool(answer)
        else:
            answers[name] = (
                "a number" if isinstance(answer, (float, np.floating)) else str(type(answer).__name__)
            )
    return answers


def vary_check(
    draw: Callable = lambda rng, arrays: [rng.normal(size=array.shape) for array in arrays],
    measure: Callable = measure_slope,
    agrees: Callable = lambda s, e: abs(s - e) <= 1e-5 * max(abs(s), abs(e)),
    expect: Callable = lambda gradients, directions: sum(
        np.sum(g * d) for g, d in zip(gradients, directions, strict=True)
    ),
    combine: Callable = all,
    count: int = 3,
) -> Callable:
    """The gradient check with one step that can be replaced by a wrong one."""

    def check(
        function: Callable, arrays: Arrays, gradients: Arrays, rng: Any, tolerance: float = 1e-5
    ) -> Any:
        answers = []
        for _ in range(count):
            directions = draw(rng, arrays)
            slope = measure(function, arrays, directions, 1e-5)
            answers.append(agrees(slope, expect(gradients, directions)))
        return bool(combine(answers))

    return check


def draw_anew(rng: Any, arrays: Arrays) -> list[Array]:
    """A new generator for each array."""
    return [np.random.default_rng(0).normal(size=array.shape) for array in arrays]


def expect_other_directions(gradients: Arrays, directions: Arrays) -> Any:
    """Other directions than those of the slope."""
    rng = np.random.default_rng(1)
    return sum(np.sum(g * rng.normal(size=g.shape)) for g in gradients)


def rough_slope(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> Any:
    """A one-sided difference."""
    return (function(*move(arrays, directions, step)) - function(*move(arrays, directions, 0))) / step


def check_array_by_array(
    function: Callable, arrays: Arrays, gradients: Arrays, rng: Any, tolerance: float = 1e-5
) -> bool:
    """The answer for the last array alone is returned."""
    for i in range(len(arrays)):
        directions = [rng.normal(size=a.shape) if i == j else np.zeros(a.shape) for j, a in enumerate(arrays)]
        answer = _agrees(function, arrays, gradients, directions, tolerance)
    return answer


def check_first_array(
    function: Callable, arrays: Arrays, gradients: Arrays, rng: Any, tolerance: float = 1e-5
) -> bool:
    """Only the first array is looked at."""
    directions = [rng.normal(size=a.shape) if i == 0 else np.zeros(a.shape) for i, a in enumerate(arrays)]
    return _agrees(function, arrays, gradients, directions, tolerance)


def close(s: Any, e: Any, **limits: float) -> bool:
    """np.isclose as a plain answer."""
    return bool(np.isclose(s, e, **limits))


EXCHANGED = (
    "Arrays of equal shape get the same direction, so two exchanged gradients do not show. Draw all "
    "directions from the one generator `rng`, one after the other."
)
SIGNED = "The difference lacks its absolute value: errors of one sign are accepted."
TOO_LOOSE = (
    "The tolerance is too large: small errors are accepted. Central differences agree to better than 1e-5."
)
CHECK_MISTAKES = (
    Mistake(vary_check(draw=draw_anew), EXCHANGED),
    Mistake(
        vary_check(draw=lambda rng, arrays: [np.ones(array.shape) for array in arrays]),
        "The direction is 1 everywhere, so only the sum of a gradient is checked: errors that cancel in the "
        "sum do not show. Draw random directions: rng.normal(size=array.shape).",
    ),
    Mistake(
        vary_check(agrees=lambda s, e: not abs(s - e) > 1e-5 * max(abs(s), abs(e))),
        "NaN is accepted: every comparison with NaN is False, also `error > tolerance`. Ask `error <= "
        "tolerance`.",
    ),
    Mistake(
        vary_check(agrees=lambda s, e: np.divide(abs(s - e), max(abs(s), abs(e))) <= 1e-5),
        "Right gradients of a constant loss are rejected: both sides are 0, and 0 / 0 is NaN. Multiply "
        "instead of dividing: error <= tolerance * magnitude.",
    ),
    Mistake(
        vary_check(agrees=lambda s, e: abs(s - e) <= 1e-5),
        "The tolerance is absolute: a small loss is always accepted, a large one never. Compare with the "
        "tolerance times the larger of the two magnitudes.",
    ),
    Mistake(
        vary_check(agrees=close),
        "The tolerance has an absolute part (np.isclose adds 1e-8 and has rtol=1e-5; max(1, …) is a lower "
        "bound), so wrong gradients of a tiny loss are accepted. Use tolerance times the larger magnitude "
        "alone.",
    ),
    Mistake(vary_check(agrees=lambda s, e: abs(s - e) <= 1e-2 * max(abs(s), abs(e))), TOO_LOOSE),
    Mistake(vary_check(agrees=lambda s, e: abs(s - e) <= 1e-1 * max(abs(s), abs(e))), TOO_LOOSE),
    Mistake(vary_check(agrees=lambda s, e: abs(s - e) <= 1e-3 * max(abs(s), abs(e))), TOO_LOOSE),
    Mistake(vary_check(agrees=lambda s, e: s - e <= 1e-5 * max(abs(s), abs(e))), SIGNED),
    Mistake(vary_check(agrees=lambda s, e: s - e <= 1e-5 * max(abs(s), abs(e)), count=1), SIGNED),
    Mistake(
        vary_check(agrees=lambda s, e: abs(abs(s) - abs(e)) <= 1e-5 * max(abs(s), abs(e))),
        "The magnitudes are compared, so gradients of the opposite sign are accepted.",
    ),
    Mistake(
        vary_check(agrees=lambda s, e: abs(s - e) <= 1e-14 * max(abs(s), abs(e))),
        "Right gradients are rejected: rounding alone is larger than the tolerance. Is the tolerance too "
        "small, or the step of the slope? Both are 1e-5.",
    ),
    Mistake(
        vary_check(measure=rough_slope),
        "Right gradients are rejected: the slope is too rough, a one-sided difference or one with a large "
        "step. Use measure_slope with the step 1e-5.",
    ),
    Mistake(
        vary_check(expect=expect_other_directions),
        "Right gradients are rejected: the slope is measured along one direction v, but the gradients are "
        "summed with another one, or without it. Draw v once, and sum g v over all elements of all arrays.",
    ),
    Mistake(
        vary_check(expect=lambda gradients, directions: np.sum(gradients[0] * directions[0])),
        "Right gradients are rejected: the slope moves all arrays, but only one of the gradients is used. "
        "Sum over all arrays.",
    ),
    Mistake(
        vary_check(
            expect=lambda gradients, directions: np.mean(
                [np.sum(g * d) for g, d in zip(gradients, directions, strict=True)]
            )
        ),
        "Right gradients are rejected: the products of gradients and directions are averaged over the "
        "arrays. Add them up.",
    ),
    Mistake(
        vary_check(
            expect=lambda gradients, directions: sum(
                np.mean(g * d) for g, d in zip(gradients, directions, strict=True)
            )
        ),
        "Right gradients are rejected: the products of gradients and directions are averaged. Add them up.",
    ),
    Mistake(check_array_by_array, "Only the answer for the last array counts: all have to agree."),
    Mistake(check_first_array, "Only the first array, or a part of it, is checked: move all arrays."),
    Mistake(
        lambda function, arrays, gradients, rng: True,
        "Wrong gradients are accepted, as if the answer were always True. Is the error of every direction "
        "compared, with its absolute value, and with a small tolerance?",
    ),
    Mistake(
        lambda function, arrays, gradients, rng: False,
        "Right gradients are rejected, as if the answer were always False. Are the gradients multiplied "
        "with the directions of the slope, and summed over all elements of all arrays?",
    ),
    Mistake(
        lambda function, arrays, gradients, rng: not check_gradients(function, arrays, gradients, rng),
        "The answer is the wrong way round: True says that the gradients agree.",
    ),
    Mistake(
        lambda function, arrays, gradients, rng: 0.5,
        "A number is returned: compare the error with the tolerance, and return True or False.",
    ),
    Mistake(
        lambda function, arrays, gradients, rng: check_gradients(
            function, arrays, [np.nan_to_num(g) for g in gradients], rng
        ),
        "NaN is replaced by numbers before the comparison: a gradient with NaN is wrong.",
    ),
    Mistake(
        lambda function, arrays, gradients, rng: (
            None if check_gradients(function, arrays, gradients, rng) else False
        ),
        "Nothing is returned where all directions agree: return True at the end.",
    ),
)

CHECK_BLANKS = (
    Blank(
        "measure_slope",
        measure_slope,
        make_slope_cases,
        (
            Check("the smallest input", 2),
            Check("several arrays", 2),
            Check("another step", 1),
            Check("arrays in float32", 1),
        ),
        "notebook 06, 'Checking gradients' and 'The whole model'",
        SLOPE_MISTAKES,
        float32_points=0,
        call=call_slope,
    ),
    Blank(
        "check_gradients",
        check_gradients,
        make_check_cases,
        (
            Check("a linear loss", 1),
            Check("a gradient with a wrong sign or factor", 2),
            Check("a wrong last gradient", 1),
            Check("the opposite sign in all gradients", 1),
            Check("two exchanged gradients of equal shape", 2),
            Check("a transposed gradient", 1),
            Check("elements in the wrong place", 1),
            Check("a small error", 1),
            Check("a tiny loss", 1),
            Check("a loss that is constant", 1),
            Check("a large loss", 1),
            Check("a gradient that is NaN", 1),
            Check("arrays in float32", 1),
        ),
        "notebook 06, 'The whole model'",
        CHECK_MISTAKES,
        float32_points=0,
        call=call_check,
    ),
)
