"""Assignment a4, the gradient check: functions with gradients, planted errors, cases and references."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .blanks import Blank, Case, Check
from .edits import read_text

Array = np.ndarray
Arrays = Sequence[Array]

# --------------------------------------------------------------------------------------------- measure_slope


def measure_slope(function: Callable, arrays: Arrays, directions: Arrays, step: float) -> Any:
    """The reference: see the notebook."""
    ahead = function(*(np.asarray(a, float) + step * v for a, v in zip(arrays, directions, strict=True)))
    behind = function(*(np.asarray(a, float) - step * v for a, v in zip(arrays, directions, strict=True)))
    return (ahead - behind) / (2 * step)


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


# ------------------------------------------------------------------------------------------- check_gradients


def check_gradients(
    function: Callable, arrays: Arrays, gradients: Arrays, rng: np.random.Generator, tolerance: float = 1e-5
) -> bool:
    """The reference: see the notebook."""
    return all(agree(function, arrays, gradients, rng, tolerance) for _ in range(3))


def agree(
    function: Callable, arrays: Arrays, gradients: Arrays, rng: np.random.Generator, tolerance: float
) -> bool:
    """Whether slope and gradients agree along one direction."""
    directions = [rng.normal(size=array.shape) for array in arrays]
    slope = measure_slope(function, arrays, directions, 1e-5)
    total = sum(np.sum(g * v) for g, v in zip(gradients, directions, strict=True))
    return bool(abs(slope - total) <= tolerance * max(abs(slope), abs(total)))


def linear_loss(*arrays: Array) -> Any:
    """Twice the sum of the first array, minus three times that of the second."""
    return sum(factor * np.sum(array) for factor, array in zip((2.0, -3.0), arrays, strict=False))


def make_network(scale: float) -> Callable:
    """A loss of four arrays; b and v have one shape, and w is square."""

    def loss(x: Array, w: Array, b: Array, v: Array) -> Any:
        return scale * np.sum(np.tanh(x @ w + b) @ v)

    return loss


def differentiate_network(scale: float, x: Array, w: Array, b: Array, v: Array) -> list[Array]:
    """Its gradients."""
    y = np.tanh(x @ w + b)
    g = scale * v * (1 - y**2)
    return [g @ w.T, x.T @ g, g.sum(axis=0), scale * y.sum(axis=0)]


def differentiate(scale: float, *arrays: Array) -> list[Array]:
    """The right gradients of the network, which has four arrays, or of the linear loss."""
    if len(arrays) == 4:
        return differentiate_network(scale, *arrays)
    return [np.full(array.shape, factor) for factor, array in zip((2.0, -3.0), arrays, strict=False)]


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
    "all gradients 1e-7 too large": lambda *gradients: [(1 + 1e-7) * each for each in gradients],
    "an element in the wrong place": lambda x, w, b, v: [x, w, b, np.roll(v, 1)],
    "all gradients twice as large": double,
    "all gradients 1": lambda *gradients: [np.ones_like(each) for each in gradients],
    "NaN": lambda x, w, b, v: [x, w, b, v * np.nan],
    "all gradients NaN": lambda x, w, b, v: [each * np.nan for each in (x, w, b, v)],
}
HIDDEN = "errors in the last two that cancel along the first direction"


def hide_error(gradients: Arrays, seed: int) -> list[Array]:
    """Errors in the last two of four gradients that cancel along the first direction."""
    rng = np.random.default_rng(seed)
    directions = [rng.normal(size=gradient.shape) for gradient in gradients]
    return [
        gradient + factor * direction / np.sum(direction**2)
        for gradient, direction, factor in zip(gradients, directions, (0, 0, 5, -5), strict=True)
    ]


def is_clear(gradients: Arrays, seed: int) -> bool:
    """Whether no slope is so near 0 that the error of the difference prevails."""
    rng = np.random.default_rng(seed)
    size = np.sqrt(sum(np.sum(g**2) for g in gradients))
    slopes = [sum(np.sum(g * rng.normal(size=g.shape)) for g in gradients) for _ in range(3)]
    return bool(np.min(np.abs(slopes)) > 0.05 * size)


def make_check_cases(rng: np.random.Generator) -> list[Case]:
    """Each case tries the right gradients, then one planted error."""

    def draw(tag: str, planted: str, scale: float = 1.0, n: int = 5, precision: str = "float64") -> Case:
        x, w, b, v = (rng.normal(size=shape) for shape in ((n, 3), (3, 3), (3,), (3,)))
        return make_case(tag, planted, [0.4 * x, 0.5 * w, 0.3 * b, v + 1.0], scale, precision)

    def make_case(
        tag: str, planted: str, arrays: Arrays, scale: float = 1.0, precision: str = "float64", **more: float
    ) -> Case:
        loss = (
            f"{scale:g} · Σ tanh(x w + b) v" if len(arrays) == 4 else "2 Σ x - 3 Σ w"[: 3 + 6 * len(arrays)]
        )
        arguments = {"loss": loss, "planted": planted, "scale": scale, "precision": precision, **more}
        gradients, seeds = differentiate(1.0, *arrays), iter(lambda: int(rng.integers(1000)), None)
        seed = next(seed for seed in seeds if is_clear(gradients, seed))
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
        draw("a wrong last gradient", HIDDEN),
        make_case("a small error", "all gradients 1e-7 too large", [rng.uniform(size=3) / 5], tolerance=1e-9),
    ]


def call_check(function: Callable, arguments: dict[str, Any]) -> Any:
    """Check right gradients, then wrong ones: the right answers are True and False."""
    arrays, loss = arguments["arrays"], linear_loss
    if arguments["precision"] == "float32":
        arrays = to_float32(arrays)
    if len(arrays) == 4:
        loss = make_network(arguments["scale"])
    right = differentiate(arguments["scale"], *(array.astype(float) for array in arrays))
    seed, planted = arguments["seed"], arguments["planted"]
    wrong = hide_error(right, seed) if planted == HIDDEN else PLANTED[planted](*right)
    given = {name: arguments[name] for name in ("tolerance",) if name in arguments}
    answers = {}
    for name, gradients in (("the right gradients", right), ("the wrong gradients", wrong)):
        answer = function(loss, arrays, gradients, np.random.default_rng(seed), **given)
        if isinstance(answer, (bool, np.bool_)):
            answers[name] = bool(answer)
        else:
            answers[name] = (
                "a number" if isinstance(answer, (float, np.floating)) else str(type(answer).__name__)
            )
    return answers


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
        text=read_text(measure_slope),
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
        text=read_text(check_gradients, agree),
        float32_points=0,
        call=call_check,
    ),
)
