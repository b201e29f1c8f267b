"""Assignment a4, the smaller vector-Jacobian products and `sum_to_shape`: cases and known mistakes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf, expit, ndtr

from minitvlt.backends import numpy_backend, tape, tape_backend

from .blanks import Blank, Case, Check, Mistake

Array = np.ndarray
DENSITY = (2 * np.pi) ** -0.5  # of the normal distribution at 0


def case(tag: str, **arguments: Any) -> Case:
    """A case with one tag."""
    return Case(arguments, (tag,))


def change_result(vjp: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    """A mistake that is made at the end of a right solution: `change` gets the contributions as a list."""

    def changed(**arguments: Any) -> Any:
        return tuple(change(*vjp(**arguments)))

    return changed


def sum_rows(g: Array) -> Array:
    """Sum over all axes but the last."""
    return g.reshape(-1, g.shape[-1]).sum(axis=0)


# ---------------------------------------------------------------------------------------------------- linear


def make_linear_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `linear_vjp`."""

    def draw(tag: str, batch: tuple[int, ...], width: int, out: int) -> Case:
        sizes = ((*batch, out), (*batch, width), (out, width))
        return case(
            tag, **dict(zip(("g", "x", "weight"), map(rng.normal, [0] * 3, [1] * 3, sizes), strict=True))
        )

    return [
        draw("the smallest input", (1,), 3, 2),
        draw("several rows", (5,), 3, 2),
        draw("several rows", (2,), 5, 7),
        draw("no batch axis", (), 3, 2),
        draw("two batch axes", (2, 5), 3, 7),
        draw("three batch axes", (2, 3, 5), 7, 2),
        draw("a square weight", (1,), 3, 3),
    ]


LINEAR = "notebook 06, 'Linear'"
linear_vjp = tape_backend.linear_vjp

LINEAR_MISTAKES = (
    Mistake(
        lambda g, x, weight: (g @ weight.T, *linear_vjp(g, x, weight)[1:]),
        "∂L/∂x is computed with the transposed weight. The map is y = x Wᵀ, so the way back is g W, without "
        "a transposition.",
    ),
    Mistake(
        change_result(linear_vjp, lambda x, weight, bias: (x, weight.T, bias)),
        "∂L/∂W is transposed: it is gᵀ x of shape (out, in), as the weight, and not xᵀ g.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, g[..., :, None] * x[..., None, :], g),
        "∂L/∂W and ∂L/∂b are not summed over the rows. All rows use the same weight and bias, so their "
        "contributions are added: gᵀ x over all rows, and the sum of the rows of g.",
    ),
    Mistake(
        change_result(linear_vjp, lambda x, weight, bias: (x, bias, weight)),
        "The order of the results is wrong: x, weight, bias, as in the arguments of linear.",
    ),
    Mistake(
        change_result(linear_vjp, lambda x, weight, bias: (x, weight)),
        "∂L/∂b is missing: three contributions are returned, for x, weight and bias. That of the bias is the "
        "sum of the rows of g.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, linear_vjp(g, x, weight)[1], g),
        "∂L/∂b is g itself. The bias is added to every row, so its cotangent is the sum of the rows of g.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, linear_vjp(g, x, weight)[1], np.atleast_2d(g).sum(axis=0)),
        "∂L/∂b is summed over the first axis alone. It is the sum over all batch axes: make rows of g first, "
        "g.reshape(-1, out).",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, linear_vjp(g, x, weight)[1], g.sum(axis=-1)),
        "∂L/∂b is summed over the features, the last axis. It is summed over the rows, so that one number "
        "for each feature is left.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, np.swapaxes(g, -1, -2) @ x, np.atleast_2d(g).sum(axis=-2)),
        "The sums for ∂L/∂W and ∂L/∂b run over the last batch axis alone. Make rows of g and x first: "
        "g.reshape(-1, out) and x.reshape(-1, in).",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, g.T @ x, np.sum(g, axis=0)),
        "This is right for a single batch axis alone. Make rows of g and x first, whatever the number of "
        "axes: g.reshape(-1, out) and x.reshape(-1, in).",
    ),
    Mistake(
        lambda g, x, weight: (
            g @ weight,
            *(each / max(1, g.size // g.shape[-1]) for each in linear_vjp(g, x, weight)[1:]),
        ),
        "∂L/∂W and ∂L/∂b are means over the rows. The chain rule adds the contributions of all rows: a sum.",
    ),
    Mistake(
        lambda g, x, weight: (
            g @ weight,
            linear_vjp(g, x, weight)[1],
            linear_vjp(g, x, weight)[2] / max(1, g.size // g.shape[-1]),
        ),
        "∂L/∂b is a mean over the rows. The bias is added to every row, so its cotangent is the sum.",
    ),
    Mistake(
        lambda g, x, weight: (
            np.ones_like(g) @ weight,
            sum_rows(x) + np.zeros_like(weight),
            np.full(len(weight), float(g.size // len(weight))),
        ),
        "The cotangent g of the result is not used: these are the derivatives of the sum of all y. Multiply "
        "by g, the derivative of L with respect to y.",
    ),
    Mistake(
        lambda g, x, weight: (*linear_vjp(g, x, weight)[:2], g.sum()),
        "∂L/∂b is summed over all elements into one number. Sum over the rows alone: one number for each "
        "feature.",
    ),
    Mistake(
        lambda g, x, weight: (
            g @ weight,
            linear_vjp(g, x, weight)[1],
            np.sum(g.reshape(-1, g.shape[-1]), axis=0, keepdims=True),
        ),
        "∂L/∂b has one axis too many: its shape is (out,), that of the bias. Sum without keepdims.",
    ),
    Mistake(
        lambda g, x, weight: (
            g @ weight,
            np.outer(g.reshape(-1, g.shape[-1])[0], x.reshape(-1, x.shape[-1])[0]),
            linear_vjp(g, x, weight)[2],
        ),
        "∂L/∂W is that of the first row alone: sum gᵀ x over all rows.",
    ),
    Mistake(
        lambda g, x, weight: (x @ weight.T @ weight, *linear_vjp(g, x, weight)[1:]),
        "∂L/∂x is computed from x instead of g: it is g W.",
    ),
    Mistake(
        lambda g, x, weight: (
            (g * weight.sum(), *linear_vjp(g, x, weight)[1:])
            if g.shape == x.shape
            else (g @ weight, x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1]), g)
        ),
        "∂L/∂W is xᵀ g and ∂L/∂b is not summed: ∂L/∂W is gᵀ x of shape (out, in), and ∂L/∂b the sum of the "
        "rows.",
    ),
    Mistake(
        lambda g, x, weight: (
            g @ weight,
            g.T.reshape(g.shape[-1], -1) @ x.reshape(-1, x.shape[-1]),
            linear_vjp(g, x, weight)[2],
        ),
        "The rows of g and of x run in different orders: g.T reverses all batch axes. Make rows first, "
        "g.reshape(-1, out), and transpose these.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, weight * g.sum(), linear_vjp(g, x, weight)[2]),
        "∂L/∂W is computed from the weight itself: it is gᵀ x, summed over the rows.",
    ),
    Mistake(
        lambda g, x, weight: (sum_rows(g @ weight), *linear_vjp(g, x, weight)[1:]),
        "∂L/∂x is summed over the rows: each row of x has a cotangent of its own, so keep the shape of x.",
    ),
    Mistake(
        lambda g, x, weight: (g @ weight, linear_vjp(g, x, weight)[1] + weight, linear_vjp(g, x, weight)[2]),
        "The weight itself is added to ∂L/∂W: it is gᵀ x alone.",
    ),
)

# ------------------------------------------------------------------------------------------------------ gelu


def make_gelu_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `gelu_vjp`."""

    def draw(tag: str, *shape: int) -> Case:
        return case(tag, g=rng.normal(size=shape), x=rng.normal(size=shape))

    large = np.array([-40.0, -9.0, -5.0, 5.0, 9.0, 40.0])
    return [
        draw("the smallest input", 3),
        draw("one number without axes"),
        draw("two axes", 5, 3),
        draw("two axes", 1, 2),
        draw("four axes", 2, 1, 3, 7),
        case("the value 0", g=rng.normal(size=3), x=np.zeros(3)),
        case("large values", g=rng.normal(size=6), x=large),
        case("large values", g=rng.normal(size=(2, 1)), x=np.array([[-37.0], [31.0]])),
    ]


def differentiate_tanh_gelu(g: Array, x: Array) -> Array:
    """The VJP of the approximation by tanh."""
    root = (2 / np.pi) ** 0.5
    t = np.tanh(root * (x + 0.044715 * x**3))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * root * (1 + 3 * 0.044715 * x**2))


def differentiate_sigmoid_gelu(g: Array, x: Array) -> Array:
    """The VJP of the approximation by a sigmoid."""
    s = 0.5 * (1 + np.tanh(0.5 * 1.702 * x))
    return g * (s + 1.702 * x * s * (1 - s))


def phi(x: Array) -> Array:
    """The density of the normal distribution."""
    return np.exp(-0.5 * x**2) * DENSITY


GELU_MISTAKES = (
    Mistake(
        lambda g, x: g * ndtr(x),
        "The term x φ(x) is missing: Φ(x) depends on x as well, so the product rule gives Φ(x) + x φ(x).",
    ),
    Mistake(
        lambda g, x: g * x * phi(x),
        "The term Φ(x) is missing: the product rule for x Φ(x) gives Φ(x) + x φ(x).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + phi(x)),
        "The factor x of φ(x) is missing: the product rule for x Φ(x) gives Φ(x) + x φ(x).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) - x * phi(x)),
        "The sign of x φ(x) is wrong: the derivative of Φ is +φ.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) - x**2 * phi(x)),
        "The derivative of φ was used for that of Φ. The derivative of Φ is φ, that of φ is -x φ.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * phi(x) / DENSITY),
        "φ lacks its factor 1/√(2π): φ(x) = exp(-x²/2) / √(2π).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * phi(x) * DENSITY),
        "φ has the factor 1/(2π) instead of 1/√(2π).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-(x**2)) * DENSITY),
        "The exponent of φ lacks its 1/2: φ(x) = exp(-x²/2) / √(2π).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x * 2**0.5) + x * phi(x)),
        "Φ is computed without dividing x by √2: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda g, x: g * (2 * ndtr(x) + x * phi(x)),
        "Φ lacks its factor 1/2: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda g, x: ndtr(x) + x * phi(x),
        "This is the derivative alone: the VJP multiplies it by the cotangent g.",
    ),
    Mistake(
        lambda g, x: x * (ndtr(g) + g * phi(g)),
        "The roles of g and x are exchanged: the derivative is taken at x and multiplied by g.",
    ),
    Mistake(
        lambda g, x: ndtr(g * x) + g * x * phi(g * x),
        "The derivative is taken at g x. Take it at x, and multiply the result by g.",
    ),
    Mistake(
        lambda g, x: g * x * ndtr(x),
        "This is g times gelu(x) itself, the value and not the derivative: Φ(x) + x φ(x).",
    ),
    Mistake(
        differentiate_tanh_gelu,
        "This is the derivative of the tanh approximation of GELU. Here GELU is exact, x Φ(x): use "
        "scipy.special.ndtr or erf.",
    ),
    Mistake(
        differentiate_sigmoid_gelu,
        "This is the derivative of the sigmoid approximation x σ(1.702 x). Here GELU is exact, x Φ(x): use "
        "scipy.special.ndtr or erf.",
    ),
    Mistake(lambda g, x: g * (x > 0), "This is the derivative of ReLU. That of GELU is Φ(x) + x φ(x)."),
    Mistake(
        lambda g, x: g * (expit(x) + x * expit(x) * (1 - expit(x))),
        "This is the derivative of x σ(x), with a sigmoid (SiLU). GELU has Φ, the cumulative normal "
        "distribution.",
    ),
    Mistake(lambda g, x: g * (ndtr(x) + 0.5 * x * phi(x)), "The term x φ(x) is too small by the factor 2."),
    Mistake(lambda g, x: g * (ndtr(x) + 2 * x * phi(x)), "The term x φ(x) is too large by the factor 2."),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(0.5 * x**2) * DENSITY),
        "The exponent of φ has the wrong sign: φ(x) = exp(-x²/2) / √(2π), and (-x)**2 is x².",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-0.5 * x**2) / 2 * np.pi**0.5),
        "The factor of φ is √π / 2 instead of 1/√(2π): put brackets around 2 * np.pi, and around the "
        "divisor.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-0.5 * x**2) * (2 * np.pi) ** 0.5),
        "φ is multiplied by √(2π): it has to be divided.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-0.5 * x**2) / np.pi**0.5),
        "φ is divided by √π: the divisor is √(2π).",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-0.5 * x**2) / 2**0.5 * np.pi),
        "The factor of φ is wrong: it is 1/√(2π), with brackets around 2 * np.pi.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * np.exp(-0.5 * x) * DENSITY),
        "The exponent of φ lacks the square: φ(x) = exp(-x²/2) / √(2π).",
    ),
    Mistake(
        lambda g, x: ndtr(x) + g * x * phi(x),
        "g multiplies x φ(x) alone: it multiplies the whole derivative.",
    ),
    Mistake(
        lambda g, x: g * ndtr(x) + x * phi(x), "g multiplies Φ(x) alone: it multiplies the whole derivative."
    ),
    Mistake(
        lambda g, x: g * (ndtr(x / 2**0.5) + x * phi(x)),
        "Φ is taken at x / √2 or x / 2: Φ(x) is ndtr(x), or (1 + erf(x / √2)) / 2.",
    ),
    Mistake(lambda g, x: g * (erf(x / 2**0.5) + x * phi(x)), "erf is not Φ: Φ(x) = (1 + erf(x / √2)) / 2."),
    Mistake(lambda g, x: g * (erf(x) + x * phi(x)), "erf is not Φ: Φ(x) = (1 + erf(x / √2)) / 2."),
    Mistake(
        lambda g, x: g * phi(x), "This is g φ(x), the derivative of Φ alone: that of x Φ(x) is Φ(x) + x φ(x)."
    ),
    Mistake(lambda g, x: g * (x * ndtr(x) + phi(x)), "The factor x is at the wrong term: Φ(x) + x φ(x)."),
    Mistake(
        lambda g, x: g * (x * ndtr(x) + x * phi(x)),
        "Φ(x) has a factor x too much: the derivative is Φ(x) + x φ(x).",
    ),
    Mistake(lambda g, x: g / (ndtr(x) + x * phi(x)), "g is divided by the derivative: the VJP multiplies."),
    Mistake(
        lambda g, x: np.sum(g * (ndtr(x) + x * phi(x))),
        "The result is summed into one number: each element has its own derivative, and the result the "
        "shape of x.",
    ),
    Mistake(
        lambda g, x: g * (ndtr(x) + x * ndtr(x) * (1 - ndtr(x))),
        "The derivative Φ (1 - Φ) belongs to a sigmoid. That of Φ is the density φ(x) = exp(-x²/2) / √(2π).",
    ),
    Mistake(
        lambda g, x: np.where(x > 0, g * (ndtr(x) + x * phi(x)), 0),
        "Negative x get no gradient. GELU is not cut off at 0, as ReLU is: use the formula for all x.",
    ),
    Mistake(
        lambda g, x: g * (0.5 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) + x * phi(x)),
        "Φ is approximated by tanh. Here it is exact: use scipy.special.ndtr or erf.",
    ),
    Mistake(
        lambda g, x: g * (0.5 * (1 + math.erf(x / 2**0.5)) + x * phi(x)),
        "math.erf takes a single number: use scipy.special.erf, or ndtr, which take arrays.",
    ),
)

# ------------------------------------------------------------------------------------------------ layer norm


def make_layer_norm_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `layer_norm_vjp`; eps is negligible but in the cases that try it."""

    def draw(tag: str, *shape: int, eps: float = 1e-12, offset: float = 0.0) -> Case:
        g, x = rng.normal(size=shape), offset + rng.normal(size=shape)
        return case(tag, g=g, x=x, weight=rng.normal(size=shape[-1]) + 0.5, eps=eps)

    g, equal = rng.normal(size=(2, 5)), np.repeat([[2.5], [-1.0]], 5, axis=1)
    return [
        draw("the smallest input", 1, 3),
        draw("several rows", 5, 3),
        draw("several rows", 3, 7),
        draw("no batch axis", 5),
        draw("two batch axes", 2, 3, 5),
        draw("as many rows as features", 5, 5),
        draw("a large eps", 1, 3, eps=0.5),
        draw("a large eps", 2, 7, eps=2.0),
        draw("a mean far from 0", 1, 7, offset=1e4),
        case("equal elements in a row", g=g, x=equal, weight=rng.normal(size=5), eps=0.01),
    ]


layer_norm_vjp = tape_backend.layer_norm_vjp


def vary_layer_norm(
    find_h: Callable[..., Array] = lambda g, weight: g * weight,
    remove: Callable[..., Array] = lambda h, z, mean: h - mean(h) - z * mean(h * z),
    find_sigma: Callable[..., Array] = lambda centred, eps: np.sqrt(
        np.mean(centred**2, axis=-1, keepdims=True) + eps
    ),
    finish: Callable[..., Array] = lambda x, sigma, weight: x / sigma,
    axis: int = -1,
) -> Callable[..., Any]:
    """LayerNorm's VJP with one step that can be replaced by a wrong one."""

    def vjp(g: Array, x: Array, weight: Array, eps: float) -> tuple[Array, Array, Array]:
        centred = x - np.mean(x, axis=axis, keepdims=True)
        sigma = find_sigma(centred, eps)
        z = centred / sigma
        back = remove(find_h(g, weight), z, lambda a: np.mean(a, axis=-1, keepdims=True))
        return finish(back, sigma, weight), g * z, g

    return vjp


def vary_whole_layer_norm(back: Callable[..., Array]) -> Callable[..., Any]:
    """LayerNorm's VJP with another formula for x, of g, h, x - μ, z, σ, w and the mean of rows."""

    def vjp(g: Array, x: Array, weight: Array, eps: float) -> tuple[Array, Array, Array]:
        def mean(a: Array) -> Array:
            return np.mean(a, axis=-1, keepdims=True)

        centred = x - mean(x)
        sigma = np.sqrt(mean(centred**2) + eps)
        z = centred / sigma
        return back(g, g * weight, centred, z, sigma, weight, mean), g * z, g

    return vjp


COLUMNS = "Mean and σ are taken over the first axis. Each row has its own: take them over the last, axis=-1."


def normalise_columns(g: Array, x: Array, weight: Array, eps: float) -> Any:
    """Statistics over the first axis."""
    centred = x - x.mean(axis=0)
    sigma = np.sqrt((centred**2).mean(axis=0) + eps)
    z, h = centred / sigma, g * weight
    return (h - h.mean(axis=0) - z * (h * z).mean(axis=0)) / sigma, g * z, g


def layer_norm_vjp_by_squares(g: Array, x: Array, weight: Array, eps: float) -> Any:
    """The variance is computed as ⟨x²⟩ - ⟨x⟩²."""
    mean = np.mean(x, axis=-1, keepdims=True)
    sigma = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) - mean**2 + eps)
    z, h = (x - mean) / sigma, g * weight
    back = h - np.mean(h, axis=-1, keepdims=True) - z * np.mean(h * z, axis=-1, keepdims=True)
    return back / sigma, g * z, g


def find_x_by_x(g: Array, x: Array, weight: Array, eps: float) -> Any:
    """x instead of z in the last term."""
    _, g_weight, g_bias = layer_norm_vjp(g, x, weight, eps)
    h = g * weight
    back = h - np.mean(h, axis=-1, keepdims=True) - x * np.mean(h * x, axis=-1, keepdims=True)
    return back / np.sqrt(np.var(x, axis=-1, keepdims=True) + eps), g_weight, g_bias


def scale_weight(g: Array, x: Array, weight: Array, eps: float) -> Any:
    """The cotangent of x times z."""
    back, _, g_bias = layer_norm_vjp(g, x, weight, eps)
    return back, back * layer_norm_vjp(np.ones_like(g), x, weight, eps)[1], g_bias


def without_centre(everywhere: bool) -> Callable[..., Any]:
    """The mean of the squares of x as variance, and with `everywhere` no mean at all."""

    def vjp(g: Array, x: Array, weight: Array, eps: float) -> Any:
        def mean(a: Array) -> Array:
            return np.mean(a, axis=-1, keepdims=True)

        sigma = np.sqrt(mean(x**2) + eps)
        z, h = (x - (0.0 if everywhere else mean(x))) / sigma, g * weight
        return (h - mean(h) - z * mean(h * z)) / sigma, g * z, g

    return vjp


LAYER_NORM_MISTAKES = (
    Mistake(
        layer_norm_vjp_by_squares,
        "The variance is computed as the mean of the squares minus the square of the mean, which loses "
        "digits where the mean is far from 0. Use the mean of (x - mean)².",
    ),
    Mistake(
        vary_layer_norm(
            find_sigma=lambda c, eps: np.sqrt(np.sum(c**2, axis=-1, keepdims=True) / (c.shape[-1] - 1) + eps)
        ),
        "The variance is divided by D - 1 (ddof=1). LayerNorm divides by D: np.mean of the squares.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h),
        "σ and the mean are taken as constant: both depend on x. Subtract ⟨h⟩ and z ⟨h z⟩ from h.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - z * mean(h * z)),
        "The mean ⟨h⟩ of the row is not subtracted: adding a constant to a row of x does not change z.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - mean(h)),
        "The term z ⟨h z⟩ is missing, which is there because σ depends on x too. (It is the mean of the "
        "product h z, not the product of the means, which is 0.)",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - mean(h) + z * mean(h * z)),
        "The sign of z ⟨h z⟩ is wrong: the component of h along z is subtracted.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - mean(h) - mean(h * z)),
        "The factor z of ⟨h z⟩ is missing: subtract z ⟨h z⟩, the component of h along z.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - (mean(h) + z * mean(h * z)) * h.shape[-1]),
        "Sums over the row are subtracted instead of means: ⟨a⟩ is the sum divided by D.",
    ),
    Mistake(
        vary_layer_norm(find_h=lambda g, weight: g),
        "The weight is missing in ∂L/∂x: the cotangent of z is h = g w.",
    ),
    Mistake(
        vary_layer_norm(find_h=lambda g, weight: g, finish=lambda x, sigma, weight: x * weight / sigma),
        "The weight is multiplied in last. It belongs into h = g w, before the means are taken.",
    ),
    Mistake(
        vary_layer_norm(finish=lambda x, sigma, weight: x),
        "The division by σ is missing: ∂L/∂x = (h - ⟨h⟩ - z ⟨h z⟩) / σ.",
    ),
    Mistake(
        vary_layer_norm(finish=lambda x, sigma, weight: x * sigma),
        "∂L/∂x is multiplied by σ: it has to be divided by it.",
    ),
    Mistake(
        vary_layer_norm(finish=lambda x, sigma, weight: x / sigma**2),
        "∂L/∂x is divided by the variance: divide by its square root σ.",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.sqrt(np.mean(c**2, axis=-1, keepdims=True)) + eps),
        "eps is added to σ. It is added to the variance, inside the square root.",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.sqrt(np.mean(c**2, axis=-1, keepdims=True))),
        "eps is not used: σ = √(variance + eps).",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.sqrt(np.mean(c**2, axis=-1, keepdims=True) + eps**2)),
        "eps is squared: σ = √(variance + eps).",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.mean(c**2, axis=-1, keepdims=True) + eps),
        "x is divided by the variance instead of its square root σ.",
    ),
    Mistake(
        change_result(layer_norm_vjp, lambda x, weight, bias: (x, sum_rows(weight), sum_rows(bias))),
        "∂L/∂w and ∂L/∂b are summed over the rows here. Return one row for each row of x: sum_to_shape adds "
        "them up later.",
    ),
    Mistake(
        change_result(layer_norm_vjp, lambda x, weight, bias: (x, weight, sum_rows(bias))),
        "∂L/∂b is summed over the rows here. Return one row for each row of x: sum_to_shape adds them up "
        "later.",
    ),
    Mistake(
        change_result(layer_norm_vjp, lambda x, weight, bias: (x, bias, weight)),
        "The order of the results is wrong: x, weight, bias. The cotangent of the weight is g z.",
    ),
    Mistake(
        lambda g, x, weight, eps: (layer_norm_vjp(g, x, weight, eps)[0], g * x, g),
        "∂L/∂w is g x. The weight multiplies the normalised row z, so it is g z.",
    ),
    Mistake(
        lambda g, x, weight, eps: (*layer_norm_vjp(g, x, weight, eps)[:2], g * weight),
        "∂L/∂b is g w. The bias is added last, so its cotangent is g itself.",
    ),
    Mistake(
        lambda g, x, weight, eps: (
            layer_norm_vjp(g, x, weight, eps)[0],
            layer_norm_vjp(g, x, weight, eps)[1] * weight,
            g,
        ),
        "∂L/∂w is g w z. The derivative of w z with respect to w is z, so it is g z.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h + mean(h) - z * mean(h * z)),
        "The sign of ⟨h⟩ is wrong: the mean of the row is subtracted.",
    ),
    Mistake(
        vary_layer_norm(find_h=lambda g, weight: g / weight),
        "g is divided by the weight: the cotangent of z is h = g w.",
    ),
    Mistake(
        vary_layer_norm(find_h=lambda g, weight: g * weight**2),
        "The weight is multiplied in twice: once is right, h = g w.",
    ),
    Mistake(
        vary_layer_norm(finish=lambda x, sigma, weight: x * weight / sigma),
        "The weight is multiplied in twice, in h and at the end: once is right, h = g w.",
    ),
    *(
        Mistake(vary_whole_layer_norm(back), text)
        for back, text in (
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - c * mean(h * c)) / s,
                "x - μ stands where z should: subtract z ⟨h z⟩ with z = (x - μ) / σ.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - c * mean(h * z)) / s,
                "x - μ stands for one z: subtract z ⟨h z⟩ with z = (x - μ) / σ.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(g) - z * mean(g * z)) / s,
                "The means are those of g and g z: they have to be those of h and h z, with h = g w.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - z * mean(g * z)) / s,
                "The second mean is that of g z: it has to be that of h z, with h = g w.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(g) - z * mean(h * z)) / s,
                "The first mean is that of g: it has to be that of h, with h = g w.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (g - mean(h) - z * mean(h * z)) / s,
                "The first term is g: it has to be h = g w.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - z * w * mean(h * z * w)) / s,
                "z w stands where z should, the result without its bias: subtract z ⟨h z⟩.",
            ),
            (
                lambda g, h, c, z, s, w, mean: h / s - mean(h) - z * mean(h * z),
                "Only h is divided by σ: put brackets around the three terms.",
            ),
            (
                lambda g, h, c, z, s, w, mean: h - mean(h) - z * mean(h * z) / s,
                "Only the last term is divided by σ: put brackets around the three terms.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - mean(h * z * z)) / s,
                "z stands inside the mean: it is z times the mean of h z.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - z * mean(h) * mean(h * z)) / s,
                "The terms are multiplied: subtract ⟨h⟩ and z ⟨h z⟩ one after the other.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h)) / s * (1 - z * mean(h * z)),
                "The terms are multiplied: subtract ⟨h⟩ and z ⟨h z⟩ one after the other.",
            ),
            (
                lambda g, h, c, z, s, w, mean: (h - mean(h) - h * mean(h * z)) / s,
                "h stands before the second mean: it has to be z ⟨h z⟩.",
            ),
        )
    ),
    Mistake(
        lambda g, x, weight, eps: (
            layer_norm_vjp(g, x, weight, eps)[0],
            g * (x - x.mean(axis=-1, keepdims=True)),
            g,
        ),
        "∂L/∂w is g (x - μ). The weight multiplies z, which is divided by σ too: g z.",
    ),
    Mistake(
        lambda g, x, weight, eps: (
            layer_norm_vjp(g, x, weight, eps)[0],
            x * 0 + layer_norm_vjp(np.ones_like(g), x, weight, eps)[1],
            g,
        ),
        "∂L/∂w is z alone: multiply it by g.",
    ),
    Mistake(normalise_columns, COLUMNS),
    Mistake(
        find_x_by_x,
        "x stands where z should: subtract z ⟨h z⟩ with z = (x - μ) / σ.",
    ),
    Mistake(
        without_centre(True),
        "The mean of x is not subtracted (RMS norm): z = (x - μ) / σ, and the variance is the mean of (x - "
        "μ)².",
    ),
    Mistake(
        without_centre(False),
        "σ is the root of the mean of x². The variance is the mean of (x - μ)².",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.mean(np.abs(c), axis=-1, keepdims=True) + eps),
        "σ is the mean of absolute deviations: it has to be the root of the mean of their squares.",
    ),
    Mistake(
        vary_layer_norm(find_sigma=lambda c, eps: np.sqrt(np.sum(c**2, axis=-1, keepdims=True) + eps)),
        "The variance is a sum: it is the mean of the squared deviations.",
    ),
    Mistake(
        scale_weight,
        "∂L/∂w is computed from the cotangent of x. It is g z, with the cotangent g of the result.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - mean(h) - 0.5 * z * mean(h * z)),
        "The term z ⟨h z⟩ has a factor 1/2 too much.",
    ),
    Mistake(
        vary_layer_norm(remove=lambda h, z, mean: h - mean(h) - 2 * z * mean(h * z)),
        "The term z ⟨h z⟩ has a factor 2 too much.",
    ),
)

# --------------------------------------------------------------------------------------------------- softmax


def make_softmax_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `softmax_vjp`: y is a result of softmax."""

    def draw(tag: str, *shape: int, is_real: Array | None = None) -> Case:
        y = np.exp(rng.normal(size=shape)) * (1.0 if is_real is None else is_real)
        return case(tag, g=rng.normal(size=shape), y=y / y.sum(axis=-1, keepdims=True))

    return [
        draw("the smallest input", 1, 3),
        draw("several rows", 5, 3),
        draw("several rows", 2, 7),
        draw("no batch axis", 5),
        draw("three batch axes", 2, 3, 5, 7),
        draw("as many rows as columns", 3, 3),
        draw("weights that are 0", 2, 5, is_real=np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]])),
    ]


SOFTMAX_MISTAKES = (
    Mistake(
        lambda g, y: y * (g - np.sum(g * y, axis=0, keepdims=True)),
        "The sum runs over the first axis. Each row of y is a softmax of its own: sum over the last, "
        "axis=-1.",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g * y)),
        "The sum runs over all elements. Each row of y is a softmax of its own: sum over the last axis, "
        "axis=-1, and keep it (keepdims=True).",
    ),
    Mistake(
        lambda g, y: g * y * (1 - y),
        "Only the diagonal of the Jacobian is used, y_i (1 - y_i). Each x_i also changes all other y_j of "
        "its row, by -y_i y_j.",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g, axis=-1, keepdims=True)),
        "The sum over the row lacks the weights y: subtract Σ g y.",
    ),
    Mistake(
        lambda g, y: y * (g - np.mean(g, axis=-1, keepdims=True)),
        "The plain mean of g is subtracted: it has to be the mean weighted by y, Σ g y.",
    ),
    Mistake(
        lambda g, y: y * (g - np.mean(g * y, axis=-1, keepdims=True)),
        "Σ g y is a sum over the row, not a mean: the weights y sum to 1 already.",
    ),
    Mistake(
        lambda g, y: g * y - np.sum(g * y, axis=-1, keepdims=True),
        "The subtracted sum lacks the factor y: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: g - np.sum(g * y, axis=-1, keepdims=True),
        "The factor y before the bracket is missing: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: y * (g + np.sum(g * y, axis=-1, keepdims=True)),
        "The sign of the sum is wrong: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: g * y,
        "The sum is missing: x_i occurs in the denominator of every y_j of its row as well. Subtract Σ g y "
        "from g.",
    ),
    Mistake(
        lambda g, y: tape_backend.softmax_vjp(g, numpy_backend.softmax(y)),
        "The softmax is applied once more: y is its result already, not its argument.",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(y * y, axis=-1, keepdims=True)),
        "The sum is that of y², without g: subtract Σ g y.",
    ),
    Mistake(
        lambda g, y: y * (1 - np.sum(g * y, axis=-1, keepdims=True)),
        "The g inside the bracket is missing: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: y * (g - y * g.sum(axis=-1, keepdims=True)),
        "The Jacobian is multiplied from the wrong side of the sum: the sum is Σ_j g_j y_j, not y_i Σ_j g_j.",
    ),
    Mistake(
        lambda g, y: g * (y - np.sum(g * y, axis=-1, keepdims=True)),
        "The roles of g and y are exchanged: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: g - y * np.sum(g, axis=-1, keepdims=True),
        "This is the VJP of the logarithm of the softmax. That of the softmax is y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: y[..., :, None] * (np.eye(y.shape[-1]) - y[..., None, :]),
        "This is the Jacobian: multiply it by g from the left, and sum over j.",
    ),
    Mistake(
        lambda g, y: y * (g - (g * y).sum(axis=-1)) if y.shape[-1] == y.shape[-2] else "an error",
        "The sum over each row lost its axis, so that it is subtracted from columns: keepdims=True.",
    ),
    Mistake(
        lambda g, y: y * (g - np.max(g, axis=-1, keepdims=True)),
        "The maximum of g is subtracted: it has to be the mean weighted by y, Σ g y.",
    ),
    Mistake(
        lambda g, y: y * (np.sum(g * y, axis=-1, keepdims=True) - g), "The sign is wrong: y (g - Σ g y)."
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g * y, axis=1, keepdims=True)),
        "The sum runs over axis 1: the row is the last axis, axis=-1, whatever the number of axes is.",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g * y, axis=(0, -1), keepdims=True)) if y.ndim > 1 else "an error",
        "The sum runs over the batch as well: sum over the last axis alone.",
    ),
    Mistake(lambda g, y: y * (g - y), "y is subtracted from g. It has to be the sum over the row, Σ g y."),
    Mistake(
        lambda g, y: g * y - np.mean(g * y, axis=-1, keepdims=True),
        "The mean of g y is subtracted from g y: it has to be y times the sum, y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: y * y * (g - np.sum(g * y, axis=-1, keepdims=True)),
        "The factor y stands twice before the bracket: y (g - Σ g y).",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g * y, axis=-2, keepdims=True)),
        "The sum runs over the last axis but one. Each row of y is a softmax of its own: axis=-1.",
    ),
    Mistake(
        lambda g, y: y * (g - np.sum(g * y * y, axis=-1, keepdims=True)),
        "The sum has one factor y too much: subtract Σ g y.",
    ),
)

# ---------------------------------------------------------------------------------------------- sum_to_shape


def make_sum_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `sum_to_shape`."""

    def draw(tag: str, shape: tuple[int, ...], like: tuple[int, ...]) -> Case:
        return case(tag, g=rng.normal(size=shape), like=rng.normal(size=like))

    return [
        draw("the smallest input", (2, 3), (3,)),
        draw("equal shapes", (2, 3), (2, 3)),
        draw("equal shapes", (3,), (3,)),
        draw("two axes more in front", (2, 5, 3), (3,)),
        draw("an axis of length 1", (5, 3), (5, 1)),
        draw("an axis of length 1", (2, 5, 3), (2, 1, 3)),
        draw("an axis of length 1", (2, 5, 3, 7), (2, 1, 3, 1)),
        draw("an axis more in front and one of length 1", (2, 5, 3), (5, 1)),
        draw("an axis more in front and one of length 1", (2, 5, 3), (1, 3)),
        draw("an axis of length 1 in both", (2, 1, 3), (1, 3)),
        draw("an axis of length 1 in both", (1, 3), (1, 1)),
        draw("axes that are equally long", (3, 3, 3), (3, 3)),
        draw("axes that are equally long", (3, 3), (1, 3)),
        draw("an array without axes", (2, 3), ()),
    ]


def sum_leading(g: Array, like: Array) -> Array:
    """Sum the axes in front that `like` does not have."""
    return g.sum(axis=tuple(range(g.ndim - like.ndim)))


def find_repeated(g: Array, like: Array) -> list[int]:
    """Axes of g, counted from the last, along which `like` was repeated."""
    return [-i for i in range(1, g.ndim + 1) if i > like.ndim or (like.shape[-i] == 1 and g.shape[-i] != 1)]


def sum_from_left(g: Array, like: Array) -> Array:
    """Align the shapes at the first axis."""
    shape = like.shape + (1,) * (g.ndim - like.ndim)
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=axes, keepdims=True).reshape(like.shape)


def sum_first_repeated(g: Array, like: Array) -> Array:
    """Only the first axis of length 1."""
    g = sum_leading(g, like)
    return g.sum(axis=like.shape.index(1), keepdims=True) if 1 in like.shape else g


def sum_but_the_last(g: Array, like: Array) -> Array:
    """Right but for an array without axes."""
    return tape.sum_to_shape(g, like if like.ndim else g[(0,) * (g.ndim - 1)])


SUM_MISTAKES = (
    Mistake(
        lambda g, like: np.atleast_1d(tape.sum_to_shape(g, like)),
        "The result has an axis where `like` has none: sum over all axes, so that the shape is ().",
    ),
    Mistake(
        sum_but_the_last,
        "An array without axes was repeated along every axis: sum over all of them, also the last.",
    ),
    Mistake(
        lambda g, like: sum_leading(g, like),
        "An axis of length 1 in `like` is not summed: an element was repeated along it too. Sum over it, and "
        "keep the axis (keepdims=True).",
    ),
    Mistake(
        lambda g, like: g.sum(
            axis=tuple(i for i in find_repeated(g, like) if -i <= like.ndim), keepdims=True
        ),
        "The axes in front that `like` does not have are not summed: broadcasting adds axes in front.",
    ),
    Mistake(
        lambda g, like: g.sum(axis=tuple(find_repeated(g, like))),
        "The axes of length 1 are lost in the sum: the result must have the shape of `like`. Use "
        "keepdims=True, then reshape.",
    ),
    Mistake(
        lambda g, like: g.mean(axis=tuple(find_repeated(g, like))).reshape(like.shape),
        "This is the mean over the copies. The cotangent of an element that was repeated is the sum.",
    ),
    Mistake(
        lambda g, like: g.sum(axis=0) if g.ndim > like.ndim else g,
        "Only the first axis is summed. Sum over all axes in front that `like` does not have, and over those "
        "of length 1 in `like`.",
    ),
    Mistake(
        lambda g, like: g.sum(axis=0),
        "The first axis is summed whatever the shapes are: compare g.shape with like.shape first.",
    ),
    Mistake(
        lambda g, like: sum_from_left(g, like),
        "The shapes are compared from the first axis on. Broadcasting aligns them at the last axis.",
    ),
    Mistake(
        lambda g, like: np.full(like.shape, g.sum()),
        "All elements are summed into one number: sum over the repeated axes alone.",
    ),
    Mistake(
        lambda g, like: g[(0,) * (g.ndim - like.ndim)],
        "One copy is taken instead of the sum over all copies.",
    ),
    Mistake(
        lambda g, like: g.reshape(-1, like.shape[-1]).sum(axis=0) if like.ndim else g.sum(),
        "Everything but the last axis is summed. Sum over the axes that `like` does not have, and over those "
        "of length 1 in `like`.",
    ),
    Mistake(
        lambda g, like: g,
        "Nothing is summed: g is returned as it is.",
    ),
    Mistake(
        lambda g, like: g.max(axis=tuple(find_repeated(g, like))).reshape(like.shape),
        "This is the maximum over the copies. The cotangent of an element that was repeated is the sum.",
    ),
    Mistake(
        lambda g, like: g.sum(axis=tuple(range(g.ndim - like.ndim)), keepdims=True).sum(
            axis=tuple(i for i in find_repeated(g, like) if -i <= like.ndim), keepdims=True
        ),
        "The axes in front are summed, but kept with length 1: they have to go. The shape is that of `like`.",
    ),
    Mistake(
        sum_first_repeated,
        "Only one of several axes of length 1 is summed: sum over all of them.",
    ),
    Mistake(
        lambda g, like: g.reshape(-1)[: like.size].reshape(like.shape),
        "The first values are taken instead of sums: an element that was repeated gets the sum over its "
        "copies.",
    ),
    Mistake(
        lambda g, like: np.broadcast_to(g.sum(axis=tuple(find_repeated(g, like)), keepdims=True), g.shape),
        "The sums are repeated to the shape of g: the result has the shape of `like`.",
    ),
)

# ------------------------------------------------------------------------------------------------ the blanks

VJP_BLANKS = (
    Blank(
        "linear_vjp",
        linear_vjp,
        make_linear_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 2),
            Check("no batch axis", 1),
            Check("two batch axes", 1),
            Check("three batch axes", 1),
            Check("a square weight", 1),
        ),
        LINEAR,
        LINEAR_MISTAKES,
    ),
    Blank(
        "gelu_vjp",
        tape_backend.gelu_vjp,
        make_gelu_cases,
        (
            Check("the smallest input", 2),
            Check("one number without axes", 1),
            Check("two axes", 1),
            Check("four axes", 1),
            Check("the value 0", 1),
            Check("large values", 1),
        ),
        "notebook 06, 'Try it', question 1",
        GELU_MISTAKES,
    ),
    Blank(
        "softmax_vjp",
        tape_backend.softmax_vjp,
        make_softmax_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 1),
            Check("no batch axis", 1),
            Check("three batch axes", 1),
            Check("as many rows as columns", 1),
            Check("weights that are 0", 1),
        ),
        "notebook 06, 'Softmax'",
        SOFTMAX_MISTAKES,
    ),
    Blank(
        "layer_norm_vjp",
        layer_norm_vjp,
        make_layer_norm_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 2),
            Check("no batch axis", 1),
            Check("two batch axes", 1),
            Check("as many rows as features", 1),
            Check("a large eps", 1),
            Check("a mean far from 0", 1),
            Check("equal elements in a row", 1),
        ),
        "notebook 06, 'LayerNorm'",
        LAYER_NORM_MISTAKES,
    ),
)
SUM_BLANKS = (
    Blank(
        "sum_to_shape",
        tape.sum_to_shape,
        make_sum_cases,
        (
            Check("the smallest input", 1),
            Check("equal shapes", 1),
            Check("two axes more in front", 1),
            Check("an axis of length 1", 1),
            Check("an axis more in front and one of length 1", 1),
            Check("an axis of length 1 in both", 1),
            Check("axes that are equally long", 1),
            Check("an array without axes", 1),
        ),
        "notebook 06, 'A tape'",
        SUM_MISTAKES,
    ),
)
