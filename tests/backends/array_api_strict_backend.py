"""A backend for a library that this package has never heard of: the strictest reading of the array API standard."""

import array_api_strict as strict
import numpy as np
from array_api_strict import *  # noqa: F403
from scipy.special import erf

name, DEVICE = "array-api-strict", strict.Device("device1")  # NumPy cannot reach this device by accident
rfft, irfft = strict.fft.rfft, lambda x, n: strict.fft.irfft(x, n=n)


def from_numpy(array, device=None, dtype=None):
    floating = dtype is not None and array.dtype.kind == "f"
    return strict.asarray(array.astype(dtype) if floating else array, device=DEVICE)


def to_numpy(x):
    return np.asarray(x.to_device(strict.Device("CPU_DEVICE")))


def as_like(x, like):
    x = np.asarray(x)
    return from_numpy(x, dtype=to_numpy(like).real.dtype if strict.isdtype(like.dtype, "numeric") else None)


def zeros(shape, like): return strict.zeros(shape, dtype=like.dtype, device=DEVICE)
def arange(n, like): return strict.arange(n, device=DEVICE)
def linear(x, weight, bias=None): return x @ weight.T + (0.0 if bias is None else bias)
def gelu(x): return x * as_like(0.5 + 0.5 * erf(to_numpy(x) / 2**0.5), x)
def softmax(x): return (y := exp(x - max(x, axis=-1, keepdims=True))) / sum(y, axis=-1, keepdims=True)  # noqa: F405
