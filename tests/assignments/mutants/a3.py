"""Wrong and right solutions of assignment 3, as students write them."""

import math

import numpy as np
from scipy.special import erf, log_softmax, ndtr

from . import mutant, variant

# ---------------------------------------------------------------------------------------------- layer_norm


@mutant("layer_norm", "loses digits")
def norm_by_mean_of_squares(x, weight, bias, eps):
    size = x.shape[-1]
    mean = x.sum(axis=-1, keepdims=True) / size
    variance = (x**2).sum(axis=-1, keepdims=True) / size - mean**2
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


@mutant("layer_norm", "ddof")
def norm_with_the_other_variance(x, weight, bias, eps):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, ddof=1, keepdims=True)
    return weight * (x - mean) / np.sqrt(variance + eps) + bias


@mutant("layer_norm", "under the square root")
def norm_with_eps_outside(x, weight, bias, eps):
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", "square root")
def norm_by_the_variance(x, weight, bias, eps):
    return (x - x.mean(-1, keepdims=True)) / (x.var(-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", "weight and bias")
def norm_without_parameters(x, weight, bias, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


@mutant("layer_norm", "last")
def norm_scales_last(x, weight, bias, eps):
    return ((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) + bias) * weight


@mutant("layer_norm", "whole array")
def norm_of_everything(x, weight, bias, eps):
    return (x - x.mean()) / np.sqrt(x.var() + eps) * weight + bias


@mutant("layer_norm", "mean")
def norm_by_difference_of_squares(x, weight, bias, eps):
    mean = x.mean(-1, keepdims=True)
    variance = (x * x).mean(-1, keepdims=True) - mean * mean
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


@mutant("layer_norm", "in place")
def norm_in_place(x, weight, bias, eps):
    x -= x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", "float32")
def norm_in_float64(x, weight, bias, eps):
    x = np.asarray(x, dtype=np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", ("single row", "axis -2"))
def norm_of_matrices_alone(x, weight, bias, eps):
    mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


@variant("layer_norm")
def norm_by_loop(x, weight, bias, eps):
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty_like(rows)
    for i, row in enumerate(rows):
        mean = sum(row) / len(row)
        variance = sum((row - mean) ** 2) / len(row)
        out[i] = (row - mean) / (variance + eps) ** 0.5 * weight + bias
    return out.reshape(x.shape)


@variant("layer_norm")
def norm_by_einsum(x, weight, bias, eps):
    centred = x - np.einsum("...i->...", x)[..., None] / x.shape[-1]
    variance = np.einsum("...i,...i->...", centred, centred) / x.shape[-1]
    return np.einsum("...i,...,i->...i", centred, 1 / np.sqrt(variance + eps), weight) + bias


@variant("layer_norm")
def norm_by_numpy(x, weight, bias, eps):
    mean, variance = np.mean(x, axis=-1, keepdims=True), np.var(x, axis=-1, keepdims=True)
    return weight * ((x - mean) / np.sqrt(variance + eps)) + bias


@variant("layer_norm")
def norm_in_a_copy(x, weight, bias, eps):
    y = x.copy()
    y -= y.mean(axis=x.ndim - 1)[..., np.newaxis]
    y /= np.sqrt(np.square(y).sum(axis=-1, keepdims=True) / y.shape[-1] + eps)
    y *= weight
    y += bias
    return y


# ------------------------------------------------------------------------------------------------- softmax


@mutant("softmax", "overflow")
def softmax_naive(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@mutant("softmax", "each row")
def softmax_with_one_maximum(x):
    y = np.exp(x - np.max(x))
    return y / y.sum(axis=-1, keepdims=True)


@mutant("softmax", "first axis")
def softmax_over_the_first_axis(x):
    y = np.exp(x - x.max(axis=0))
    return y / y.sum(axis=0)


@mutant("softmax", "sum")
def softmax_without_sum(x):
    return np.exp(x - x.max(axis=-1, keepdims=True))


@mutant("softmax", "whole array")
def softmax_with_one_sum(x):
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum()


@mutant("softmax", ("more than two", "axis before the last"))
def softmax_of_matrices(x):
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return y / y.sum(axis=1, keepdims=True)


@mutant("softmax", "logarithm")
def softmax_as_logarithm(x):
    return log_softmax(x, axis=-1)


@mutant("softmax", ("keepdims", "broadcast"))
def softmax_without_keepdims(x):
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1)


@mutant("softmax", "mean")
def softmax_with_the_mean(x):
    y = np.exp(x - x.mean(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)


@mutant("softmax", ("large values", "clip"))
def softmax_clipped(x):
    y = np.exp(np.clip(x, -50, 50))
    return y / y.sum(axis=-1, keepdims=True)


@variant("softmax")
def softmax_by_logarithm(x):
    return np.exp(log_softmax(x, axis=-1))


@variant("softmax")
def softmax_by_loop(x):
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:-1]):
        e = np.exp(x[index] - max(x[index]))
        out[index] = e / sum(e)
    return out


@variant("softmax")
def softmax_with_new_axes(x):
    e = np.exp(x - np.amax(x, -1)[..., None])
    return e / np.einsum("...i->...", e)[..., None]


@variant("softmax")
def softmax_in_a_copy(x):
    y = np.array(x)
    y -= y.max(axis=-1, keepdims=True)
    np.exp(y, out=y)
    y *= 1 / y.sum(axis=-1, keepdims=True)
    return y


# ---------------------------------------------------------------------------------------------------- gelu


@mutant("gelu", "tanh")
def gelu_by_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@mutant("gelu", "sigmoid")
def gelu_by_sigmoid(x):
    return x / (1 + np.exp(-1.702 * x))


@mutant("gelu", "√2")
def gelu_without_root(x):
    return 0.5 * x * (1 + erf(x))


@mutant("gelu", "factor x")
def gelu_without_x(x):
    return 0.5 * (1 + erf(x / 2**0.5))


@mutant("gelu", "ReLU")
def gelu_as_relu(x):
    return np.where(x > 0, x, 0)


@mutant("gelu", "1/2")
def gelu_twice(x):
    return x * (1 + erf(x / math.sqrt(2)))


@mutant("gelu", "float32")
def gelu_one_by_one(x):
    return np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))), otypes=[float])(x)


@mutant("gelu", "density")
def gelu_by_density(x):
    return x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


@mutant("gelu", "sign")
def gelu_mirrored(x):
    return x * ndtr(-x)


@mutant("gelu", "SiLU")
def gelu_as_silu(x):
    return x * (1 / (1 + np.exp(-x)))


@variant("gelu")
def gelu_by_ndtr(x):
    return x * ndtr(x)


@variant("gelu")
def gelu_by_scalars(x):
    flat = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel().tolist()]
    return np.array(flat, dtype=x.dtype).reshape(x.shape)


@variant("gelu")
def gelu_by_erfc(x):
    from scipy.special import erfc

    return x * 0.5 * erfc(-x / math.sqrt(2))


@variant("gelu")
def gelu_by_distribution(x):
    from scipy.stats import norm

    return (x * norm.cdf(x)).astype(x.dtype)


# --------------------------------------------------------------------------------- split_heads, join_heads


def run_linear(x, linear):
    return x @ linear.weight.T + linear.bias


def project(x, attention):
    return run_linear(x, attention.qkv)


@mutant("split_heads", "next to each other")
def split_into_alternating_features(x, attention, heads):
    B, N, D = x.shape
    qkv = project(x, attention).reshape(B, N, 3, D // heads, heads).transpose(2, 0, 4, 1, 3)
    return qkv[0], qkv[1], qkv[2]


@mutant("split_heads", "head by head")
def split_head_first(x, attention, heads):
    B, N, D = x.shape
    qkv = project(x, attention).reshape(B, N, heads, 3, D // heads).transpose(3, 0, 2, 1, 4)
    return qkv[0], qkv[1], qkv[2]


@mutant("split_heads", "not exchanged")
def split_without_permutation(x, attention, heads):
    B, N, D = x.shape
    qkv = project(x, attention).reshape(B, N, 3, heads, D // heads)
    return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]


@mutant("split_heads", "mixes")
def split_by_reshape_alone(x, attention, heads):
    B, N, D = x.shape
    query, key, value = np.split(project(x, attention), 3, axis=-1)
    return tuple(part.reshape(B, heads, N, D // heads) for part in (query, key, value))


@mutant("split_heads", "mixes")
def split_at_once(x, attention, heads):
    B, N, D = x.shape
    return tuple(project(x, attention).reshape(3, B, heads, N, D // heads))


@mutant("split_heads", "bias")
def split_without_bias(x, attention, heads):
    B, N, D = x.shape
    qkv = (x @ attention.qkv.weight.T).reshape(B, N, 3, heads, D // heads)
    return tuple(qkv.transpose(2, 0, 3, 1, 4))


@mutant("split_heads", "exchanged")
def split_key_first(x, attention, heads):
    B, N, D = x.shape
    key, query, value = project(x, attention).reshape(B, N, 3, heads, D // heads).transpose(2, 0, 3, 1, 4)
    return query, key, value


@mutant("split_heads", "transpose")
def split_without_transposed_weight(x, attention, heads):
    B, N, D = x.shape
    qkv = x @ attention.qkv.weight + attention.qkv.bias
    return tuple(qkv.reshape(B, N, 3, heads, D // heads).transpose(2, 0, 3, 1, 4))


@mutant("split_heads", "a batch of clips")
def split_one_clip(x, attention, heads):
    N, D = x.shape[1:]
    qkv = project(x, attention)[0].reshape(N, 3, heads, D // heads).transpose(1, 2, 0, 3)
    return qkv[0][None], qkv[1][None], qkv[2][None]


@mutant("split_heads", "transposed")
def split_with_transposed_keys(x, attention, heads):
    B, N, D = x.shape
    q, k, v = project(x, attention).reshape(B, N, 3, heads, D // heads).transpose(2, 0, 3, 1, 4)
    return q, k.transpose(0, 1, 3, 2), v


@variant("split_heads")
def split_by_slices(x, attention, heads):
    B, N, D = x.shape
    d, qkv = D // heads, project(x, attention)
    parts = []
    for i in range(3):
        each = [qkv[:, :, i * D + h * d : i * D + (h + 1) * d] for h in range(heads)]
        parts.append(np.stack(each, axis=1))
    return tuple(parts)


@variant("split_heads")
def split_by_np_split(x, attention, heads):
    B, N, D = x.shape
    thirds = np.split(project(x, attention), 3, axis=-1)
    return tuple(np.swapaxes(t.reshape(B, N, heads, D // heads), 1, 2) for t in thirds)


@variant("split_heads")
def split_weights_first(x, attention, heads):
    B, N, D = x.shape
    weight = attention.qkv.weight.reshape(3, heads, D // heads, D)
    bias = attention.qkv.bias.reshape(3, 1, heads, 1, D // heads)
    qkv = np.einsum("bni,phdi->pbhnd", x, weight) + bias
    return qkv[0], qkv[1], qkv[2]


@variant("split_heads")
def split_by_moveaxis(x, attention, heads):
    qkv = project(x, attention).reshape(*x.shape[:2], 3, heads, -1)
    qkv = np.moveaxis(qkv, 2, 0)
    return [np.moveaxis(part, 2, 1) for part in qkv]


@mutant("join_heads", "before the reshape")
def join_by_reshape_alone(x, attention):
    B, heads, N, d = x.shape
    return run_linear(x.reshape(B, N, heads * d), attention.output)


@mutant("join_heads", "alternate")
def join_alternating(x, attention):
    B, heads, N, d = x.shape
    return run_linear(x.transpose(0, 2, 3, 1).reshape(B, N, d * heads), attention.output)


@mutant("join_heads", "projection is missing")
def join_without_projection(x, attention):
    B, heads, N, d = x.shape
    return np.swapaxes(x, 1, 2).reshape(B, N, heads * d)


@mutant("join_heads", "bias")
def join_without_bias(x, attention):
    B, heads, N, d = x.shape
    return np.swapaxes(x, 1, 2).reshape(B, N, heads * d) @ attention.output.weight.T


@mutant("join_heads", "not transposed")
def join_with_the_weight_as_it_is(x, attention):
    B, heads, N, d = x.shape
    joined = np.swapaxes(x, 1, 2).reshape(B, N, heads * d)
    return joined @ attention.output.weight + attention.output.bias


@mutant("join_heads", ("mean", "divided"))
def join_by_mean(x, attention):
    B, heads, N, d = x.shape
    joined = np.tile(x.mean(axis=1), (1, 1, heads))
    return run_linear(joined, attention.output)


@mutant("join_heads", "reverse")
def join_backwards(x, attention):
    joined = np.concatenate([x[:, h] for h in reversed(range(x.shape[1]))], axis=-1)
    return run_linear(joined, attention.output)


@mutant("join_heads", "a batch of clips")
def join_one_clip(x, attention):
    joined = x[0].transpose(1, 0, 2).reshape(1, x.shape[2], -1)
    return run_linear(joined, attention.output)


@mutant("join_heads", "two heads")
def join_two_heads(x, attention):
    joined = np.concatenate([x[:, 0], x[:, 1]], axis=-1)
    return run_linear(joined, attention.output)


@variant("join_heads")
def join_by_concatenation(x, attention):
    joined = np.concatenate([x[:, head] for head in range(x.shape[1])], axis=-1)
    return run_linear(joined, attention.output)


@variant("join_heads")
def join_by_einsum(x, attention):
    B, heads, N, d = x.shape
    weight = attention.output.weight.reshape(heads * d, heads, d)
    return np.einsum("bhnd,ohd->bno", x, weight) + attention.output.bias


@variant("join_heads")
def join_by_sum_over_heads(x, attention):
    B, heads, N, d = x.shape
    parts = [x[:, h] @ attention.output.weight[:, h * d : (h + 1) * d].T for h in range(heads)]
    return sum(parts) + attention.output.bias


@variant("join_heads")
def join_by_filling(x, attention):
    B, heads, N, d = x.shape
    joined = np.zeros((B, N, heads * d), x.dtype)
    for h in range(heads):
        joined[..., h * d : (h + 1) * d] = x[:, h]
    return joined @ attention.output.weight.T + attention.output.bias


# ----------------------------------------------------------------------------- attention_weights, attention


def right_softmax(x):
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)


def right_weights(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is None:
        return right_softmax(scores)
    mask = is_real[:, None, None, :]
    return np.where(mask, right_softmax(np.where(mask, scores, -1e30)), 0)


def wrong_weights(cause_word):
    """Register wrong weights, and attention with them."""

    def register(function):
        mutant("attention_weights", cause_word)(function)

        def attend(query, key, value, is_real=None):
            return function(query, key, is_real) @ value

        mutant("attention", cause_word)(attend)
        return function

    return register


def right_alternative(function):
    """Register right weights, and attention with them."""
    variant("attention_weights")(function)

    def attend(query, key, value, is_real=None):
        return function(query, key, is_real) @ value

    variant("attention")(attend)
    return function


@wrong_weights("√d")
def weights_without_scale(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2)
    if is_real is None:
        return right_softmax(scores)
    mask = is_real[:, None, None, :]
    return np.where(mask, right_softmax(np.where(mask, scores, -1e30)), 0)


@wrong_weights("instead of √d")
def weights_divided_by_d(query, key, is_real=None):
    return right_weights(query / math.sqrt(query.shape[-1]), key, is_real)


@wrong_weights("all heads")
def weights_divided_by_the_width(query, key, is_real=None):
    return right_weights(query / math.sqrt(query.shape[1]), key, is_real)


@wrong_weights("over the queries")
def weights_over_queries(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is not None:
        scores = np.where(is_real[:, None, None, :], scores, -1e30)
    y = np.exp(scores - scores.max(axis=-2, keepdims=True))
    weights = y / y.sum(axis=-2, keepdims=True)
    return weights if is_real is None else np.where(is_real[:, None, None, :], weights, 0)


@wrong_weights("after the softmax")
def weights_masked_too_late(query, key, is_real=None):
    weights = right_weights(query, key)
    return weights if is_real is None else weights * is_real[:, None, None, :].astype(weights.dtype)


@wrong_weights("real key")
def weights_of_padding_alone(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is not None:
        scores = np.where(is_real[:, None, None, :], scores, -1e30)
    return right_softmax(scores)


@wrong_weights("NaN")
def weights_with_infinity(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is not None:
        scores = np.where(is_real[:, None, None, :], scores, -np.inf)
    return right_softmax(scores)


@wrong_weights("inverted")
def weights_with_inverted_mask(query, key, is_real=None):
    return right_weights(query, key, None if is_real is None else np.logical_not(is_real))


@wrong_weights("not used")
def weights_without_mask(query, key, is_real=None):
    return right_softmax(np.einsum("bhnd,bhmd->bhnm", query, key) / math.sqrt(query.shape[-1]))


@wrong_weights("added")
def weights_with_added_mask(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    return right_softmax(scores if is_real is None else scores + is_real[:, None, None, :])


@wrong_weights("negative enough")
def weights_with_a_weak_mask(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is not None:
        scores = scores - 10 * (1 - is_real[:, None, None, :].astype(scores.dtype))
    return right_softmax(scores)


@wrong_weights("queries")
def weights_with_masked_queries(query, key, is_real=None):
    if is_real is None:
        return right_weights(query, key)
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    mask = is_real[:, None, :, None]
    return np.where(mask, right_softmax(np.where(mask, scores, -1e30)), 0)


@wrong_weights("overflow")
def weights_without_maximum(query, key, is_real=None):
    y = np.exp(query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1]))
    if is_real is not None:
        y = y * is_real[:, None, None, :]
    total = y.sum(axis=-1, keepdims=True)
    return y / np.where(total == 0, 1, total)


@wrong_weights("first clip")
def weights_with_the_first_mask(query, key, is_real=None):
    return right_weights(query, key, None if is_real is None else is_real[:1])


@wrong_weights("float32")
def weights_in_float64(query, key, is_real=None):
    weights = right_weights(query, key / np.sqrt(np.float64(1)), is_real)
    return weights.astype(np.float64)


@mutant("attention_weights", "in place")
def weights_in_place(query, key, is_real=None):
    query /= math.sqrt(query.shape[-1])
    return right_weights(query * math.sqrt(query.shape[-1]), key, is_real)


@mutant("attention_weights", "softmax is missing")
def weights_as_scores(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    return scores if is_real is None else np.where(is_real[:, None, None, :], scores, 0)


@mutant("attention", "product with value")
def attention_as_weights(query, key, value, is_real=None):
    return right_weights(query, key, is_real)


@mutant("attention", "multiplied by the keys")
def attention_of_keys(query, key, value, is_real=None):
    return right_weights(query, key, is_real) @ key


@mutant("attention", "its values")
def attention_with_zeroed_values(query, key, value, is_real=None):
    if is_real is not None:
        value = value * is_real[:, None, :, None]
    return right_weights(query, key) @ value


@mutant("attention", "exchanged")
def attention_tokens_first(query, key, value, is_real=None):
    return np.einsum("bhnm,bhmd->bnhd", right_weights(query, key, is_real), value)


@right_alternative
def weights_by_einsum(query, key, is_real=None):
    scores = np.einsum("bhnd,bhmd->bhnm", query, key) * query.shape[-1] ** -0.5
    if is_real is not None:
        scores = np.where(is_real[:, None, None], scores, -1e30)
    y = np.exp(scores - scores.max(-1, keepdims=True))
    y = y / y.sum(-1, keepdims=True)
    return y if is_real is None else y * is_real[:, None, None].astype(y.dtype)


@right_alternative
def weights_by_loops(query, key, is_real=None):
    B, heads, N, d = query.shape
    out = np.zeros((B, heads, N, key.shape[2]), query.dtype)
    for b in range(B):
        real = slice(None) if is_real is None else np.flatnonzero(is_real[b])
        for h in range(heads):
            keys = key[b, h][real]
            for n in range(N):
                if len(keys):
                    scores = keys @ query[b, h, n] / math.sqrt(d)
                    e = np.exp(scores - scores.max())
                    out[b, h, n, real] = e / e.sum()
    return out


@right_alternative
def weights_by_where_in_sum(query, key, is_real=None):
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(0, 1, 3, 2)
    real = np.ones(key.shape[::2][:2], bool) if is_real is None else is_real
    real = np.broadcast_to(real[:, None, None, :], scores.shape)
    highest = np.max(scores, axis=-1, keepdims=True, where=real, initial=-1e30)
    y = np.where(real, np.exp(np.minimum(scores - highest, 0)), 0)
    total = y.sum(axis=-1, keepdims=True)
    return np.divide(y, total, out=np.zeros_like(y), where=total > 0)


@right_alternative
def weights_by_infinity_and_nan(query, key, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is not None:
        scores = np.where(is_real[:, None, None, :], scores, -np.inf)
    with np.errstate(invalid="ignore"):
        y = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.nan_to_num(y / y.sum(axis=-1, keepdims=True))


@variant("attention")
def attention_divided_at_the_end(query, key, value, is_real=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    mask = True if is_real is None else is_real[:, None, None, :]
    scores = np.where(mask, scores, -1e30)
    y = np.where(mask, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    return y @ value / np.maximum(y.sum(axis=-1, keepdims=True), 1e-30)


# ----------------------------------------------------------------------------------------------- run_block

# These names are replaced by the references while run_block is checked
layer_norm = softmax = gelu = split_heads = join_heads = attention_weights = attention = None


def attend_to(x, block, heads, is_real=None, maps=None):
    query, key, value = split_heads(x, block.attention, heads)
    weights = attention_weights(query, key, is_real)
    if maps is not None:
        maps.append(weights)
    return join_heads(weights @ value, block.attention)


def normed(x, norm, eps):
    return layer_norm(x, norm.weight, norm.bias, eps)


def run_mlp(x, mlp, activation=None):
    return run_linear((activation or gelu)(run_linear(x, mlp.expand)), mlp.contract)


@mutant("run_block", "counts as False")
def block_if_maps(x, block, heads, eps, is_real=None, maps=None):
    normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
    query, key, value = split_heads(normed, block.attention, heads)
    if maps:
        maps.append(attention_weights(query, key, is_real))
    x = x + join_heads(attention(query, key, value, is_real), block.attention)
    normed = layer_norm(x, block.mlp_norm.weight, block.mlp_norm.bias, eps)
    return x + run_linear(gelu(run_linear(normed, block.mlp.expand)), block.mlp.contract)


@mutant("run_block", "post-LN")
def block_post_norm(x, block, heads, eps, is_real=None, maps=None):
    x = normed(x + attend_to(x, block, heads, is_real, maps), block.attention_norm, eps)
    return normed(x + run_mlp(x, block.mlp), block.mlp_norm, eps)


@mutant("run_block", "second residual")
def block_without_second_sum(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "first residual")
def block_without_first_sum(x, block, heads, eps, is_real=None, maps=None):
    x = attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "normalised tokens are added")
def block_adds_normed_tokens(x, block, heads, eps, is_real=None, maps=None):
    x = normed(x, block.attention_norm, eps)
    x = x + attend_to(x, block, heads, is_real, maps)
    x = normed(x, block.mlp_norm, eps)
    return x + run_mlp(x, block.mlp)


@mutant("run_block", "attention_norm")
def block_with_one_norm(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.attention_norm, eps), block.mlp)


@mutant("run_block", "is_real")
def block_without_mask(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, None, maps)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "ReLU")
def block_with_relu(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp, lambda t: np.maximum(t, 0))


@mutant("run_block", "maps")
def block_without_maps(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "parallel")
def block_in_parallel(x, block, heads, eps, is_real=None, maps=None):
    a = attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + a + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "in place")
def block_in_place(x, block, heads, eps, is_real=None, maps=None):
    x += attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "eps")
def block_with_its_own_eps(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, 1e-6), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.mlp_norm, 1e-6), block.mlp)


@mutant("run_block", "not normalised")
def block_without_second_norm(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(x, block.mlp)


@variant("run_block")
def block_as_asked(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


@variant("run_block")
def block_by_attention(x, block, heads, eps, is_real=None, maps=None):
    query, key, value = split_heads(normed(x, block.attention_norm, eps), block.attention, heads)
    y = join_heads(attention(query, key, value, is_real), block.attention)
    if maps is not None:
        maps += [attention_weights(query, key, is_real)]
    y += x
    return y + run_mlp(normed(y, block.mlp_norm, eps), block.mlp)


@variant("run_block")
def block_clip_by_clip(x, block, heads, eps, is_real=None, maps=None):
    clips, each = [], []
    for b in range(len(x)):
        real = None if is_real is None else is_real[b : b + 1]
        y = x[b : b + 1] + attend_to(
            normed(x[b : b + 1], block.attention_norm, eps), block, heads, real, each
        )
        clips.append(y + run_mlp(normed(y, block.mlp_norm, eps), block.mlp))
    if maps is not None:
        maps.append(np.concatenate(each))
    return np.concatenate(clips)


@variant("run_block")
def block_by_itself(x, block, heads, eps, is_real=None, maps=None):
    def norm(t, p):
        t = t - t.mean(-1, keepdims=True)
        return t / np.sqrt((t**2).mean(-1, keepdims=True) + eps) * p.weight + p.bias

    B, N, D = x.shape
    qkv = run_linear(norm(x, block.attention_norm), block.attention.qkv)
    q, k, v = qkv.reshape(B, N, 3, heads, D // heads).transpose(2, 0, 3, 1, 4)
    weights = right_weights(q, k, is_real)
    if maps is not None:
        maps.append(weights)
    joined = (weights @ v).transpose(0, 2, 1, 3).reshape(B, N, D)
    x = x + run_linear(joined, block.attention.output)
    h = run_linear(norm(x, block.mlp_norm), block.mlp.expand)
    return x + run_linear(h * 0.5 * (1 + erf(h / math.sqrt(2))), block.mlp.contract)


# ---------------------------------------------------------------------------------------- attend_in_blocks


def start_sums(query, lowest=-1e30):
    highest = np.full((*query.shape[:-1], 1), lowest, query.dtype)
    return highest, np.zeros_like(highest), np.zeros_like(query)


def score(query, key, is_real, part, padding=-1e30):
    scores = query @ np.swapaxes(key[:, :, part], -1, -2) / math.sqrt(query.shape[-1])
    mask = np.True_ if is_real is None else is_real[:, None, None, part]
    return np.where(mask, scores, padding), mask


def divide(u, total):
    return u / np.where(total == 0, 1, total)


@mutant("attend_in_blocks", "at once")
def blocks_all_at_once(query, key, value, is_real, size):
    return right_weights(query, key, is_real) @ value


@mutant("attend_in_blocks", "exp(old maximum - new maximum)")
def blocks_without_correction(query, key, value, is_real, size):
    highest, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        highest = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e = np.where(mask, np.exp(scores - highest), 0)
        total = total + e.sum(axis=-1, keepdims=True)
        u = u + e @ value[:, :, part]
    return divide(u, total)


@mutant("attend_in_blocks", "denominator")
def blocks_correct_the_denominator(query, key, value, is_real, size):
    highest, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e = np.where(mask, np.exp(scores - new), 0)
        total = np.exp(highest - new) * total + e.sum(axis=-1, keepdims=True)
        u = u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@mutant("attend_in_blocks", "averaged")
def blocks_averaged(query, key, value, is_real, size):
    outputs = []
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        real = None if is_real is None else is_real[:, part]
        outputs.append(right_weights(query, key[:, :, part], real) @ value[:, :, part])
    return sum(outputs) / len(outputs)


@mutant("attend_in_blocks", "shorter block")
def blocks_without_the_rest(query, key, value, is_real, size):
    highest, total, u = start_sums(query)
    for block in range(key.shape[2] // size):
        part = slice(block * size, block * size + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.where(mask, np.exp(scores - new), 0), np.exp(highest - new)
        total, u = shrink * total + e.sum(axis=-1, keepdims=True), shrink * u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@mutant("attend_in_blocks", "overflow")
def blocks_without_maximum(query, key, value, is_real, size):
    _, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        e = np.where(mask, np.exp(scores), 0)
        total, u = total + e.sum(axis=-1, keepdims=True), u + e @ value[:, :, part]
    return divide(u, total)


@mutant("attend_in_blocks", "real key")
def blocks_mean_of_padding(query, key, value, is_real, size):
    highest, total, u = start_sums(query, -np.inf)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, _ = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.exp(scores - new), np.exp(highest - new)
        total, u = shrink * total + e.sum(axis=-1, keepdims=True), shrink * u + e @ value[:, :, part]
        highest = new
    return u / total


@mutant("attend_in_blocks", "-inf")
def blocks_with_infinity(query, key, value, is_real, size):
    highest, total, u = start_sums(query, -np.inf)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, _ = score(query, key, is_real, part, -np.inf)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.exp(scores - new), np.exp(highest - new)
        total, u = shrink * total + e.sum(axis=-1, keepdims=True), shrink * u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@mutant("attend_in_blocks", "√d")
def blocks_without_scale(query, key, value, is_real, size):
    return blocks_as_asked(query * math.sqrt(query.shape[-1]), key, value, is_real, size)


@mutant("attend_in_blocks", "is_real is not used")
def blocks_without_mask(query, key, value, is_real, size):
    return blocks_as_asked(query, key, value, None, size)


@mutant("attend_in_blocks", "inverse")
def blocks_with_inverse_correction(query, key, value, is_real, size):
    highest, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e = np.where(mask, np.exp(scores - new), 0)
        grow = np.where(highest > -1e29, np.exp(new - np.maximum(highest, -1e29)), 1)
        total, u = grow * total + e.sum(axis=-1, keepdims=True), grow * u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@mutant("attend_in_blocks", ("at once", "memory"))
def blocks_kept_in_a_list(query, key, value, is_real, size):
    parts = [slice(start, start + size) for start in range(0, key.shape[2], size)]
    scores = [score(query, key, is_real, part)[0] for part in parts]
    highest = np.max([s.max(axis=-1, keepdims=True) for s in scores], axis=0)
    total, u = 0, 0
    for s, part in zip(scores, parts, strict=True):
        e = np.where(s > -1e29, np.exp(s - highest), 0)
        total, u = total + e.sum(axis=-1, keepdims=True), u + e @ value[:, :, part]
    return divide(u, total)


@mutant("attend_in_blocks", "float32")
def blocks_in_float64(query, key, value, is_real, size):
    return blocks_as_asked(query.astype(float), key, value, is_real, size)


@variant("attend_in_blocks")
def blocks_as_asked(query, key, value, is_real, size):
    highest, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.where(mask, np.exp(scores - new), 0), np.exp(highest - new)
        total, u = shrink * total + e.sum(axis=-1, keepdims=True), shrink * u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@variant("attend_in_blocks")
def blocks_with_running_output(query, key, value, is_real, size):
    highest, total, output = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e = np.where(mask, np.exp(scores - new), 0)
        before = total * np.exp(highest - new)
        total = before + e.sum(axis=-1, keepdims=True)
        safe = np.where(total == 0, 1, total)
        output = output * (before / safe) + (e / safe) @ value[:, :, part]
        highest = new
    return output


@variant("attend_in_blocks")
def blocks_in_two_passes(query, key, value, is_real, size):
    parts = [slice(start, start + size) for start in range(0, key.shape[2], size)]
    highest, total, u = start_sums(query)
    for part in parts:
        highest = np.maximum(highest, score(query, key, is_real, part)[0].max(axis=-1, keepdims=True))
    for part in parts:
        scores, mask = score(query, key, is_real, part)
        e = np.where(mask, np.exp(scores - highest), 0)
        total, u = (
            total + e.sum(axis=-1, keepdims=True),
            u + np.einsum("bhnm,bhmd->bhnd", e, value[:, :, part]),
        )
    return divide(u, total)


@variant("attend_in_blocks")
def blocks_clip_by_clip(query, key, value, is_real, size):
    out = np.zeros(query.shape, query.dtype)
    for b in range(query.shape[0]):
        real = None if is_real is None else is_real[b : b + 1]
        for h in range(query.shape[1]):
            some = np.s_[b : b + 1, h : h + 1]
            out[some] = blocks_as_asked(query[some], key[some], value[some], real, size)
    return out


@variant("attend_in_blocks")
def blocks_merged_by_logarithms(query, key, value, is_real, size):
    log_total, output = np.full((*query.shape[:-1], 1), -1e30, query.dtype), np.zeros_like(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        m = scores.max(axis=-1, keepdims=True)
        e = np.where(mask, np.exp(scores - m), 0)
        s = e.sum(axis=-1, keepdims=True)
        block = e @ value[:, :, part] / np.where(s == 0, 1, s)
        block_log = np.where(s == 0, query.dtype.type(-1e30), m + np.log(np.where(s == 0, 1, s)))
        new = np.logaddexp(log_total, block_log)
        output = output * np.exp(log_total - new) + block * np.where(s == 0, 0, np.exp(block_log - new))
        log_total = new
    return output


# ------------------------------------------------------------------------------------------ found by trying


@mutant("layer_norm", "summed")
def norm_by_length(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).sum(-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", "RMSNorm")
def norm_without_mean(x, weight, bias, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight + bias


@mutant("layer_norm", "exchanged")
def norm_with_exchanged_parameters(x, weight, bias, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * bias + weight


@mutant("softmax", "small number")
def softmax_with_a_small_number(x):
    y = np.exp(x - x.max(-1, keepdims=True))
    return y / (y.sum(-1, keepdims=True) + 1e-6)


@mutant("softmax", "NaN is replaced")
def softmax_that_hides_nan(x):
    return np.nan_to_num(np.exp(x) / np.exp(x).sum(-1, keepdims=True))


@mutant("gelu", "Brackets")
def gelu_without_brackets(x):
    return 0.5 * x * 1 + erf(x / math.sqrt(2))


@mutant("gelu", "derivative")
def gelu_slope(x):
    return ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@mutant("split_heads", "always 2")
def split_into_two_heads(x, attention, heads):
    B, N, D = x.shape
    return tuple(project(x, attention).reshape(B, N, 3, 2, D // 2).transpose(2, 0, 3, 1, 4))


@mutant("split_heads", "projection is missing")
def split_tokens(x, attention, heads):
    B, N, D = x.shape
    part = x.reshape(B, N, heads, D // heads).transpose(0, 2, 1, 3)
    return part, part, part


@mutant("join_heads", "Heads and features")
def join_features_first(x, attention):
    B, heads, N, d = x.shape
    return run_linear(np.swapaxes(x, 1, 3).reshape(B, N, heads * d), attention.output)


@mutant("join_heads", "Two things")
def join_by_a_product(x, attention):
    B, heads, N, d = x.shape
    return np.swapaxes(x, 1, 2).reshape(B, N, heads * d) @ attention.output.weight


@wrong_weights("Two things")
def weights_with_two_faults(query, key, is_real=None):
    weights = right_softmax(query @ np.swapaxes(key, -1, -2) / query.shape[-1])
    return weights if is_real is None else np.where(is_real[:, None, None, :], weights, 0)


@wrong_weights("far larger")
def weights_normalised_again(query, key, is_real=None):
    weights = right_weights(query, key)
    if is_real is None:
        return weights
    weights = weights * is_real[:, None, None, :]
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


@wrong_weights("number of keys")
def weights_with_a_number_of_keys(query, key, is_real=None):
    if is_real is None:
        return right_weights(query, key)
    return right_weights(query, key, np.arange(key.shape[2]) < is_real.sum(axis=1, keepdims=True))


@mutant("run_block", "between the two")
def block_with_gelu_last(x, block, heads, eps, is_real=None, maps=None):
    x = x + attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    hidden = run_linear(normed(x, block.mlp_norm, eps), block.mlp.expand)
    return x + gelu(run_linear(hidden, block.mlp.contract))


@mutant("run_block", "output of attention alone")
def block_with_a_chain(x, block, heads, eps, is_real=None, maps=None):
    y = attend_to(normed(x, block.attention_norm, eps), block, heads, is_real, maps)
    return x + y + run_mlp(normed(y, block.mlp_norm, eps), block.mlp)


@mutant("run_block", "values come from tokens")
def block_with_plain_values(x, block, heads, eps, is_real=None, maps=None):
    query, key, _ = split_heads(normed(x, block.attention_norm, eps), block.attention, heads)
    _, _, value = split_heads(x, block.attention, heads)
    if maps is not None:
        maps.append(attention_weights(query, key, is_real))
    x = x + join_heads(attention(query, key, value, is_real), block.attention)
    return x + run_mlp(normed(x, block.mlp_norm, eps), block.mlp)


def run_loop(query, key, value, is_real, size, update):
    highest, total, u = start_sums(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.where(mask, np.exp(scores - new), 0), np.exp(highest - new)
        highest, total, u = update(highest, new, total, u, e, shrink, value[:, :, part])
    return total, u


@mutant("attend_in_blocks", "not divided")
def blocks_without_division(query, key, value, is_real, size):
    return run_loop(
        query,
        key,
        value,
        is_real,
        size,
        lambda old, new, total, u, e, f, v: (new, f * total + e.sum(-1, keepdims=True), f * u + e @ v),
    )[1]


@mutant("attend_in_blocks", "not kept for the next block")
def blocks_that_forget_the_maximum(query, key, value, is_real, size):
    total, u = run_loop(
        query,
        key,
        value,
        is_real,
        size,
        lambda old, new, total, u, e, f, v: (old, f * total + e.sum(-1, keepdims=True), f * u + e @ v),
    )
    return divide(u, total)


@mutant("attend_in_blocks", "what the new block adds")
def blocks_that_shrink_the_new(query, key, value, is_real, size):
    total, u = run_loop(
        query,
        key,
        value,
        is_real,
        size,
        lambda old, new, total, u, e, f, v: (new, total + f * e.sum(-1, keepdims=True), u + f * (e @ v)),
    )
    return divide(u, total)


@mutant("attend_in_blocks", "begins at 0")
def blocks_from_a_maximum_of_0(query, key, value, is_real, size):
    highest, total, u = start_sums(query, 0.0)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores, mask = score(query, key, is_real, part)
        new = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        e, shrink = np.where(mask, np.exp(scores - new), 0), np.exp(highest - new)
        total, u = shrink * total + e.sum(axis=-1, keepdims=True), shrink * u + e @ value[:, :, part]
        highest = new
    return divide(u, total)


@mutant("attend_in_blocks", "NaN")
def blocks_that_divide_by_0(query, key, value, is_real, size):
    total, u = run_loop(
        query,
        key,
        value,
        is_real,
        size,
        lambda old, new, total, u, e, f, v: (new, f * total + e.sum(-1, keepdims=True), f * u + e @ v),
    )
    return u / total
