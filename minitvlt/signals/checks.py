"""What a sound, its picture and the numbers that lead from one to the other have to be."""

import numpy as np

from minitvlt.backends import Array, namespace

LOUDEST = 1e12  # the largest sample: its power still fits into float32, whatever the window
INTEGER_SAMPLES = {  # how to make floating-point samples in [-1, 1) of whole ones
    "int16": "divide by 32768",
    "int32": "divide by 2147483648",
    "uint8": "subtract 128 and divide by 128",
}


def check_waveform(waveform: Array, name: str = "the waveform") -> None:
    """Raise a ValueError that says what is wrong with a waveform, before any work is done on it."""
    namespace(waveform)
    shape = tuple(waveform.shape)
    if len(shape) < 1 or 0 in shape:
        raise ValueError(f"Expected {name} of shape (..., samples), at least one sample long, got {shape}.")
    if not str(waveform.dtype).endswith(("float32", "float64")):
        hint = INTEGER_SAMPLES.get(str(waveform.dtype).split(".")[-1])
        what_to_do = f"convert it to float32 and {hint}" if hint else "convert it to float32"
        raise ValueError(f"Expected {name} as float32 or float64, got {waveform.dtype}: {what_to_do}.")
    if check_finite(waveform, name) > LOUDEST:
        raise ValueError(
            f"Expected samples in [-1, 1], but {name} goes beyond {LOUDEST:g}, where its power overflows: "
            "divide it by its largest magnitude."
        )


def check_finite(x: Array, name: str) -> float:
    """Raise a ValueError if x holds NaN or infinity: one of them would spoil the whole picture.

    Returns:
        The largest magnitude, which tells.
    """
    xp = namespace(x)
    peak = float(xp.to_numpy(xp.max(xp.abs(x))))
    if not np.isfinite(peak):
        raise ValueError(f"Expected finite numbers, but {name} holds NaN or infinity: replace them.")
    return peak


def check_geometry(sample_rate: int, mel_bins: int, window_length: int, hop_length: int) -> None:
    """Raise a ValueError if no picture can be made with these numbers."""
    if not 1 <= sample_rate < np.inf or mel_bins < 1:
        raise ValueError(f"Expected at least 1 Hz and 1 mel bin, got {sample_rate} and {mel_bins}.")
    if window_length < 4 or window_length % 2:
        raise ValueError(f"Expected an even window_length of at least 4 samples, got {window_length}.")
    if not 1 <= hop_length <= window_length:
        raise ValueError(
            f"Expected a hop_length from 1 to window_length={window_length}, got {hop_length}: "
            "a longer hop skips samples."
        )
