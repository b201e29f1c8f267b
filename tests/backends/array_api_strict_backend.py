"""A backend for a library this package has never heard of: the array API standard, read strictly."""

import array_api_strict as strict
import numpy as np
from array_api_strict import *  # noqa: F403
from scipy.special import erf

name, DEVICE = "array-api-strict", strict.Device("device1")  # NumPy cannot reach this device by accident
rfft, irfft = strict.fft.rfft, lambda x, n: strict.fft.irfft(x, n=n)


def sliding_windows(x, length, step):
    starts = range(0, x.shape[-1] - length + 1, step)
    return strict.stack([x[..., t : t + length] for t in starts], axis=-2)


def from_numpy(array, device=None, dtype=None):
    return strict.asarray(array.astype(dtype) if dtype and array.dtype.kind == "f" else array, device=DEVICE)


def to_numpy(x):
    return np.asarray(x.to_device(strict.Device("CPU_DEVICE")))


def as_like(x, like):
    return from_numpy(np.asarray(x), dtype=to_numpy(like).real.dtype if like.dtype != strict.bool else None)


def zeros(shape, like):
    return strict.zeros(shape, dtype=like.dtype, device=DEVICE)


def arange(n, like):
    return strict.arange(n, device=DEVICE)


def linear(x, weight, bias=None):
    return x @ weight.T + (0.0 if bias is None else bias)


def layer_norm(x, weight, bias, eps):
    x = x - strict.mean(x, axis=-1, keepdims=True)
    return x / strict.sqrt(strict.mean(x * x, axis=-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    return x * as_like(0.5 + 0.5 * erf(to_numpy(x) / 2**0.5), x)


def softmax(x):
    y = strict.exp(x - strict.max(x, axis=-1, keepdims=True)) if x.shape[-1] else x
    return y / strict.sum(y, axis=-1, keepdims=True)


def attention(query, key, value, is_real=None):
    scores = query @ strict.permute_dims(key, (0, 1, 3, 2)) * query.shape[-1] ** -0.5
    is_real = strict.ones_like(scores) > 0 if is_real is None else is_real[:, None, None, :]
    return strict.where(is_real, softmax(strict.where(is_real, scores, -1e30)), 0.0) @ value
