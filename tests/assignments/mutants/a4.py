"""Solutions of assignment a4, wrong and right: vector-Jacobian products and `sum_to_shape`."""

import math

import numpy as np
from scipy.special import erf, ndtr

from minitvlt.backends.tape_backend import softmax_vjp
from tests.assignments.mutants import mutant, variant

# ---- linear_vjp


@mutant("linear_vjp", "rows")
def linear_bias_not_summed(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, g_rows.T @ x_rows, g


@mutant("linear_vjp", "transposed")
def linear_weight_transposed(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, x_rows.T @ g_rows, g_rows.sum(axis=0)


@mutant("linear_vjp", "single batch axis")
def linear_only_matrices(g, x, weight):
    return g @ weight, g.T @ x, g.sum(axis=0)


@mutant("linear_vjp", "mean")
def linear_mean_over_rows(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, g_rows.T @ x_rows / len(g_rows), g_rows.mean(axis=0)


@mutant("linear_vjp", "order")
def linear_bias_before_weight(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, g_rows.sum(axis=0), g_rows.T @ x_rows


@mutant("linear_vjp", "transposed weight")
def linear_transposed_for_x(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight.T, g_rows.T @ x_rows, g_rows.sum(axis=0)


@mutant("linear_vjp", "missing")
def linear_without_bias(g, x, weight):
    return g @ weight, g.reshape(-1, g.shape[-1]).T @ x.reshape(-1, x.shape[-1])


@mutant("linear_vjp", "axis")
def linear_keeps_an_axis(g, x, weight):
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, g_rows.T @ x_rows, g_rows.sum(axis=0, keepdims=True)


@mutant("linear_vjp", "float64")
def linear_in_float64(g, x, weight):
    g, x = np.asarray(g, dtype=np.float64), np.asarray(x, dtype=np.float64)
    g_rows, x_rows = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ weight, g_rows.T @ x_rows, g_rows.sum(axis=0)


@mutant("linear_vjp", "in place")
def linear_in_place(g, x, weight):
    g *= 1.5
    g_rows, x_rows = g.reshape(-1, g.shape[-1]) / 1.5, x.reshape(-1, x.shape[-1])
    return g @ weight / 1.5, g_rows.T @ x_rows, g_rows.sum(axis=0)


@variant("linear_vjp")
def linear_by_einsum(g, x, weight):
    return (
        np.einsum("...o,oi->...i", g, weight),
        np.einsum("no,ni->oi", g.reshape(-1, len(weight)), x.reshape(-1, x.shape[-1])),
        np.einsum("no->o", g.reshape(-1, len(weight))),
    )


@variant("linear_vjp")
def linear_by_loops(g, x, weight):
    g_weight, g_bias = np.zeros_like(weight), np.zeros(len(weight), weight.dtype)
    for index in np.ndindex(g.shape[:-1]):
        g_weight += np.outer(g[index], x[index])
        g_bias += g[index]
    return np.dot(g, weight), g_weight, g_bias


@variant("linear_vjp")
def linear_by_tensordot(g, x, weight):
    axes = tuple(range(g.ndim - 1))
    return np.tensordot(g, weight, axes=1), np.tensordot(g, x, axes=(axes, axes)), np.sum(g, axis=axes)


@variant("linear_vjp")
def linear_with_copies(g, x, weight):
    out, width = weight.shape
    rows = x.size // width
    flat = np.ascontiguousarray(g).reshape(rows, out).copy()
    return [
        (weight.T @ flat.T).T.reshape(x.shape),
        (x.reshape(rows, width).T @ flat).T,
        np.ones(rows, g.dtype) @ flat,
    ]


# ---- gelu_vjp


@mutant("gelu_vjp", "tanh")
def gelu_by_tanh(g, x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return g * (0.5 * (1 + np.tanh(inner)) + 0.5 * x * (1 - np.tanh(inner) ** 2) * slope)


@mutant("gelu_vjp", "factor x")
def gelu_without_x(g, x):
    return g * (ndtr(x) + np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


@mutant("gelu_vjp", "√2")
def gelu_erf_of_x(g, x):
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return g * (0.5 * (1 + erf(x)) + x * density)


@mutant("gelu_vjp", "multiplies it by the cotangent")
def gelu_without_g(g, x):
    return ndtr(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


@mutant("gelu_vjp", "1/√(2π)")
def gelu_density_without_root(g, x):
    return g * (ndtr(x) + x * np.exp(-0.5 * x * x))


@mutant("gelu_vjp", "x φ(x) is missing")
def gelu_without_density(g, x):
    return ndtr(x) * g


@mutant("gelu_vjp", "float64")
def gelu_in_float64(g, x):
    return g * (ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


@mutant("gelu_vjp", "in place")
def gelu_in_place(g, x):
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    g[...] = g * (ndtr(x) + x * density)
    return g


@mutant("gelu_vjp", ("value", "gelu(x)"))
def gelu_itself(g, x):
    return g * (x * ndtr(x))


@variant("gelu_vjp")
def gelu_by_erf(g, x):
    return g * (0.5 * (1 + erf(x / 2**0.5)) + x * np.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5)


@variant("gelu_vjp")
def gelu_by_erfc(g, x):
    from scipy.special import erfc

    density = np.exp(np.square(x) * -0.5) * 0.3989422804014327
    return np.multiply(g, 0.5 * erfc(-x / math.sqrt(2))) + np.multiply(g, x * density)


@variant("gelu_vjp")
def gelu_by_loops(g, x):
    back = np.empty_like(x)
    for index in np.ndindex(x.shape):
        t = float(x[index])
        slope = 0.5 * math.erfc(-t / math.sqrt(2)) + t * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
        back[index] = g[index] * slope
    return back


@variant("gelu_vjp")
def gelu_by_norm(g, x):
    from scipy.stats import norm

    slope = norm.cdf(x.astype(float)) + x * norm.pdf(x.astype(float))
    return (g * slope).astype(x.dtype)


# ---- softmax_vjp


@mutant("softmax_vjp", "diagonal")
def softmax_diagonal(g, y):
    return g * y * (1 - y)


@mutant("softmax_vjp", "first axis")
def softmax_sum_over_rows(g, y):
    return y * (g - (g * y).sum(axis=0))


@mutant("softmax_vjp", "all elements")
def softmax_sum_over_all(g, y):
    return y * (g - (g * y).sum())


@mutant("softmax_vjp", ("keepdims", "broadcast"))
def softmax_without_keepdims(g, y):
    return y * (g - (g * y).sum(axis=-1))


@mutant("softmax_vjp", "once more")
def softmax_of_result(g, y):
    y = np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True)
    return y * (g - (g * y).sum(axis=-1, keepdims=True))


@mutant("softmax_vjp", "factor y")
def softmax_bracket_alone(g, y):
    return g - (g * y).sum(axis=-1, keepdims=True)


@mutant("softmax_vjp", "sign")
def softmax_plus(g, y):
    return y * (g + (g * y).sum(axis=-1, keepdims=True))


@mutant("softmax_vjp", "axis 1")
def softmax_axis_one(g, y):
    return y * (g - (g * y).sum(axis=1, keepdims=True))


@mutant("softmax_vjp", "sum")
def softmax_mean(g, y):
    return y * (g - (g * y).mean(axis=-1, keepdims=True))


@variant("softmax_vjp")
def softmax_by_jacobian(g, y):
    n = y.shape[-1]
    jacobian = y[..., :, None] * (np.eye(n, dtype=y.dtype) - y[..., None, :])
    return (g[..., None, :] @ jacobian)[..., 0, :]


@variant("softmax_vjp")
def softmax_by_einsum(g, y):
    return y * g - y * np.einsum("...i,...i->...", g, y)[..., None]


@variant("softmax_vjp")
def softmax_by_loops(g, y):
    back = np.zeros_like(y)
    for row in np.ndindex(y.shape[:-1]):
        c = sum(a * b for a, b in zip(g[row], y[row], strict=True))
        for i in range(y.shape[-1]):
            back[(*row, i)] = y[(*row, i)] * (g[(*row, i)] - c)
    return back


@variant("softmax_vjp")
def softmax_with_reshape(g, y):
    rows, weights = g.reshape(-1, g.shape[-1]), y.reshape(-1, y.shape[-1])
    inner = np.sum(rows * weights, axis=1)
    return (weights * (rows - inner[:, np.newaxis])).reshape(y.shape)


# ---- layer_norm_vjp


def normalise(x, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    sigma = ((centred**2).mean(axis=-1, keepdims=True) + eps) ** 0.5
    return centred / sigma, sigma


def mean_of(a):
    return a.mean(axis=-1, keepdims=True)


@mutant("layer_norm_vjp", "D - 1")
def norm_biased_variance(g, x, weight, eps):
    sigma = np.sqrt(x.var(axis=-1, keepdims=True, ddof=1) + eps)
    z, h = (x - mean_of(x)) / sigma, g * weight
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, g * z, g


@mutant("layer_norm_vjp", "constant")
def norm_constant_statistics(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    return g * weight / sigma, g * z, g


@mutant("layer_norm_vjp", "summed")
def norm_summed(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    h, rows = g * weight, tuple(range(g.ndim - 1))
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, (g * z).sum(axis=rows), g.sum(axis=rows)


@mutant("layer_norm_vjp", "weight")
def norm_weight_last(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    return weight * (g - mean_of(g) - z * mean_of(g * z)) / sigma, g * z, g


@mutant("layer_norm_vjp", "inside the square root")
def norm_eps_outside(g, x, weight, eps):
    sigma = x.std(axis=-1, keepdims=True) + eps
    z, h = (x - mean_of(x)) / sigma, g * weight
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, g * z, g


@mutant("layer_norm_vjp", "g x")
def norm_weight_from_x(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    h = g * weight
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, g * x, g


@mutant("layer_norm_vjp", "square of the mean")
def norm_by_mean_of_squares(g, x, weight, eps):
    sigma = ((x**2).mean(axis=-1, keepdims=True) - mean_of(x) ** 2 + eps) ** 0.5
    z, h = (x - mean_of(x)) / sigma, g * weight
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, g * z, g


@mutant("layer_norm_vjp", "z ⟨h z⟩")
def norm_without_last_term(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    h = g * weight
    return (h - mean_of(h)) / sigma, g * z, g


@mutant("layer_norm_vjp", "sums")
def norm_sums(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    h = g * weight
    back = h - h.sum(axis=-1, keepdims=True) - z * (h * z).sum(axis=-1, keepdims=True)
    return back / sigma, g * z, g


@mutant("layer_norm_vjp", "order")
def norm_bias_before_weight(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    h = g * weight
    return (h - mean_of(h) - z * mean_of(h * z)) / sigma, g, g * z


@variant("layer_norm_vjp")
def norm_by_three_paths(g, x, weight, eps):
    n, centred = x.shape[-1], x - mean_of(x)
    variance = mean_of(centred**2)
    root = (variance + eps) ** -0.5
    h = g * weight
    g_variance = (h * centred).sum(axis=-1, keepdims=True) * -0.5 * root**3
    g_mean = -(h * root).sum(axis=-1, keepdims=True)
    return h * root + g_variance * 2 * centred / n + g_mean / n, g * centred * root, g


@variant("layer_norm_vjp")
def norm_by_loops(g, x, weight, eps):
    back, g_weight = np.zeros_like(x), np.zeros_like(x)
    for row in np.ndindex(x.shape[:-1]):
        sigma = math.sqrt(np.var(x[row]) + eps)
        z, h = (x[row] - np.mean(x[row])) / sigma, g[row] * weight
        back[row] = (h - h.mean() - z * np.dot(h, z) / len(z)) / sigma
        g_weight[row] = g[row] * z
    return back, g_weight, g.copy()


@variant("layer_norm_vjp")
def norm_by_var(g, x, weight, eps):
    inverse = 1 / np.sqrt(np.var(x, axis=-1, keepdims=True) + eps)
    z = (x - np.mean(x, axis=-1, keepdims=True)) * inverse
    h = weight * g * inverse
    average = np.einsum("...d,...d->...", h, z)[..., None] / x.shape[-1]
    return h - h.mean(axis=-1, keepdims=True) - average * z, z * g, 1 * g


@variant("layer_norm_vjp")
def norm_by_projection(g, x, weight, eps):
    z, sigma = normalise(x, eps)
    n = x.shape[-1]
    centre = np.eye(n, dtype=x.dtype) - np.ones((n, n), x.dtype) / n
    h = np.expand_dims(g * weight, -1)
    column = np.expand_dims(z, -1)
    back = centre @ h - column @ (np.swapaxes(column, -1, -2) @ h) / n
    return back[..., 0] / sigma, g * z, +g


# ---- attention_vjp


def flip(a):
    return np.swapaxes(a, -1, -2)


def find_weights(query, key, is_real, scale=None):
    scores = query @ flip(key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    real = True if is_real is None else is_real[:, None, None, :]
    scores = np.where(real, scores, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.where(real, weights / weights.sum(axis=-1, keepdims=True), 0.0)


@mutant("attention_vjp", "√d")
def attention_last_scale_missing(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = softmax_vjp(g @ flip(value), weights)
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "√d")
def attention_without_scale(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real, scale=1.0)
    r = softmax_vjp(g @ flip(value), weights)
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "transpos")
def attention_values_not_transposed(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, weights @ g


@mutant("attention_vjp", "mask is not used")
def attention_without_mask(g, query, key, value, is_real):
    weights = find_weights(query, key, None)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "without a real key")
def attention_equal_weights_for_padding(g, query, key, value, is_real):
    scores = query @ flip(key) / query.shape[-1] ** 0.5
    if is_real is not None:
        scores = np.where(is_real[:, None, None, :], scores, -1e9)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "after the softmax")
def attention_masked_after_softmax(g, query, key, value, is_real):
    weights = find_weights(query, key, None)
    if is_real is not None:
        weights = weights * is_real[:, None, None, :]
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "overflow")
def attention_unstable(g, query, key, value, is_real):
    scores = np.exp(query @ flip(key) / query.shape[-1] ** 0.5)
    if is_real is not None:
        scores = scores * is_real[:, None, None, :]
    total = scores.sum(axis=-1, keepdims=True)
    weights = scores / np.where(total == 0, 1, total)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", ("along the queries", "real"))
def attention_mask_along_queries(g, query, key, value, is_real):
    scores = query @ flip(key) / query.shape[-1] ** 0.5
    if is_real is not None:
        scores = np.where(is_real[:, None, :, None], scores, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "softmax")
def attention_without_softmax_step(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = g @ flip(value) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "exchanged")
def attention_query_and_key_exchanged(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ query, flip(r) @ key, flip(weights) @ g


@mutant("attention_vjp", "order")
def attention_value_first(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return flip(weights) @ g, r @ key, flip(r) @ query


@mutant("attention_vjp", "float64")
def attention_in_float64(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    r = softmax_vjp(g @ flip(value), weights) / np.sqrt(query.shape[-1])
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "the wrong way round")
def attention_mask_inverted(g, query, key, value, is_real):
    weights = find_weights(query, key, None if is_real is None else ~is_real)
    r = softmax_vjp(g @ flip(value), weights) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@mutant("attention_vjp", "a batch of 2")
def attention_for_one_clip(g, query, key, value, is_real):
    g, q, k, v = (array[0] for array in (g, query, key, value))
    scores = q @ flip(k) / q.shape[-1] ** 0.5
    if is_real is not None:
        scores = np.where(is_real[0], scores, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    r = softmax_vjp(g @ flip(v), weights) / q.shape[-1] ** 0.5
    return (r @ k)[None], (flip(r) @ q)[None], (flip(weights) @ g)[None]


@mutant("attention_vjp", "sum over")
def attention_sum_over_queries(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    g_weights = g @ flip(value)
    r = weights * (g_weights - (g_weights * weights).sum(axis=-2, keepdims=True)) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@variant("attention_vjp")
def attention_by_einsum(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    g_weights = np.einsum("bhnd,bhmd->bhnm", g, value)
    c = np.einsum("bhnm,bhnm->bhn", g_weights, weights)[..., None]
    r = weights * (g_weights - c) * query.shape[-1] ** -0.5
    g_query = np.einsum("bhnm,bhmd->bhnd", r, key)
    return g_query, np.einsum("bhnm,bhnd->bhmd", r, query), np.einsum("bhnm,bhnd->bhmd", weights, g)


@variant("attention_vjp")
def attention_by_loops(g, query, key, value, is_real):
    g_query, g_key, g_value = (np.zeros_like(array) for array in (query, key, value))
    for b, head, n in np.ndindex(query.shape[:3]):
        real = np.ones(key.shape[2], bool) if is_real is None else is_real[b]
        if not real.any():
            continue
        keys, values = key[b, head][real], value[b, head][real]
        scores = keys @ query[b, head, n] / query.shape[-1] ** 0.5
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        g_weights = values @ g[b, head, n]
        r = weights * (g_weights - weights @ g_weights) / query.shape[-1] ** 0.5
        g_query[b, head, n] = r @ keys
        g_key[b, head, real] += np.outer(r, query[b, head, n])
        g_value[b, head, real] += np.outer(weights, g[b, head, n])
    return g_query, g_key, g_value


@variant("attention_vjp")
def attention_from_its_output(g, query, key, value, is_real):
    weights = find_weights(query, key, is_real)
    output = weights @ value
    c = (g * output).sum(axis=-1, keepdims=True)
    r = weights * (g @ flip(value) - c) / query.shape[-1] ** 0.5
    return r @ key, flip(r) @ query, flip(weights) @ g


@variant("attention_vjp")
def attention_with_infinite_fill(g, query, key, value, is_real):
    scaled = query * query.shape[-1] ** -0.5
    scores = scaled @ key.transpose(0, 1, 3, 2)
    if is_real is not None:
        scores = np.where(is_real[:, np.newaxis, np.newaxis, :], scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
    total = weights.sum(axis=-1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    r = softmax_vjp(g @ value.transpose(0, 1, 3, 2), weights)
    return (
        r @ key * query.shape[-1] ** -0.5,
        r.transpose(0, 1, 3, 2) @ scaled,
        weights.transpose(0, 1, 3, 2) @ g,
    )


# ---- sum_to_shape


@mutant("sum_to_shape", "length 1")
def sum_leading_alone(g, like):
    while g.ndim > like.ndim:
        g = g.sum(axis=0)
    return g


@mutant("sum_to_shape", "in front")
def sum_repeated_alone(g, like):
    for axis in range(-like.ndim, 0):
        if like.shape[axis] == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


@mutant("sum_to_shape", "first axis")
def sum_first_axis_once(g, like):
    if g.ndim > like.ndim:
        g = g.sum(axis=0)
    for axis, n in enumerate(like.shape):
        if n == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


@mutant("sum_to_shape", "mean")
def sum_as_mean(g, like):
    while g.ndim > like.ndim:
        g = g.mean(axis=0)
    for axis, n in enumerate(like.shape):
        if n == 1:
            g = g.mean(axis=axis, keepdims=True)
    return g


@mutant("sum_to_shape", "keepdims")
def sum_loses_axes(g, like):
    while g.ndim > like.ndim:
        g = g.sum(axis=0)
    axes = tuple(axis for axis, n in enumerate(like.shape) if n == 1)
    return g.sum(axis=axes)


@mutant("sum_to_shape", "one copy")
def sum_takes_one(g, like):
    while g.ndim > like.ndim:
        g = g[0]
    for axis, n in enumerate(like.shape):
        if n == 1:
            g = np.take(g, [0], axis=axis)
    return g


@mutant("sum_to_shape", "last axis")
def sum_from_the_left(g, like):
    while g.ndim > like.ndim:
        g = g.sum(axis=-1)
    for axis, n in enumerate(like.shape):
        if n == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


@mutant("sum_to_shape", "without axes")
def sum_never_to_a_number(g, like):
    extra = g.ndim - max(like.ndim, 1)
    g = g.sum(axis=tuple(range(extra))) if extra else g
    for axis, n in enumerate(like.shape):
        if n == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


@variant("sum_to_shape")
def sum_at_once(g, like):
    shape = (1,) * (g.ndim - like.ndim) + like.shape
    axes = tuple(axis for axis in range(g.ndim) if shape[axis] == 1)
    return g.sum(axis=axes).reshape(like.shape)


@variant("sum_to_shape")
def sum_by_loops(g, like):
    result = np.zeros(like.shape, g.dtype)
    for index in np.ndindex(g.shape):
        own = index[g.ndim - like.ndim :]
        result[tuple(0 if n == 1 else i for i, n in zip(own, like.shape, strict=True))] += g[index]
    return result


@variant("sum_to_shape")
def sum_by_add_at(g, like):
    places = np.broadcast_to(np.arange(like.size).reshape(like.shape), g.shape)
    return np.bincount(places.ravel(), g.ravel(), like.size).astype(g.dtype).reshape(like.shape)


@variant("sum_to_shape")
def sum_if_needed(g, like):
    if g.shape == like.shape:
        return g
    extra = g.ndim - like.ndim
    repeated = tuple(extra + i for i, n in enumerate(like.shape) if n == 1)
    return np.squeeze(np.add.reduce(g, axis=(*range(extra), *repeated), keepdims=True), tuple(range(extra)))
