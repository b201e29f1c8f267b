"""Waveforms: samples of any type to one channel of float32, other sample rates, WAV files."""

import math
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from minitvlt.backends import Array, namespace
from minitvlt.files import write_atomically

HIGHEST_RATE = 1_000_000  # Hz: the filter of `resample` is as long as 20 periods of the higher rate
LARGEST_SAMPLE = 1e12  # its power still fits into float32, for any window


def check_waveform(waveform: Array, name: str = "the waveform") -> None:
    """Raise a ValueError unless these are finite floating-point samples, of one waveform or of several."""
    xp, shape = namespace(waveform), tuple(waveform.shape)
    if len(shape) < 1 or 0 in shape:
        raise ValueError(f"Expected {name} of shape (..., samples), at least one sample long, got {shape}.")
    if not str(waveform.dtype).endswith(("float32", "float64")):
        raise ValueError(
            f"Expected {name} as float32 or float64, got {waveform.dtype}: convert it to float32 and divide "
            "integers by half of their range (int16 by 32768; of uint8 subtract 128 before)."
        )
    largest = xp.max(xp.abs(waveform))
    if not largest < np.inf:
        raise ValueError(f"Expected finite samples, but {name} holds NaN or infinity: replace them.")
    if largest > LARGEST_SAMPLE:
        raise ValueError(
            f"Expected samples in [-1, 1], but {name} goes beyond {LARGEST_SAMPLE:g}, where its power "
            "overflows: divide it by its largest magnitude."
        )


def check_channel(waveform: np.ndarray, name: str = "the waveform") -> None:
    """Raise a ValueError unless this is one channel of finite floating-point samples."""
    if not isinstance(waveform, np.ndarray) or waveform.ndim != 1:
        found = getattr(waveform, "shape", waveform)
        raise ValueError(f"Expected {name} as an array (samples,), got {found!r:.40}: mix its channels down.")
    check_waveform(waveform, name)


def check_rates(*rates: int) -> None:
    """Raise a ValueError unless all sample rates are whole numbers from 1 Hz to `HIGHEST_RATE`."""
    for rate in rates:
        if type(rate) is bool or not isinstance(rate, int | np.integer) or not 1 <= rate <= HIGHEST_RATE:
            raise ValueError(f"Expected a sample rate in whole hertz, 1 to {HIGHEST_RATE:,}, got {rate!r}.")


def resample(
    waveform: Float[np.ndarray, " samples"], from_rate: int, to_rate: int, low_pass: str = "kaiser"
) -> Float[np.ndarray, " -(-samples*{to_rate}//{from_rate})"]:
    """Change the sample rate without changing the sound, by a polyphase low-pass filter.

    What lies above half the lower rate is removed, as no slower sampling could hold it. The result has
    ceil(samples * to_rate / from_rate) samples and the precision of the input.

    >>> resample(np.zeros(441), 44100, 16000).shape
    (160,)

    Args:
        waveform: one channel of samples.
        from_rate: its sample rate, in hertz.
        to_rate: the sample rate of the result.
        low_pass: the window of the filter: "kaiser" for SciPy's default, or "hann" for `make_hann_filter`.

    Raises:
        ValueError: an empty waveform or one of several channels, whole numbers, NaN or infinity in it, or
            sample rates that are no whole numbers from 1 Hz to 1 MHz.
    """
    check_channel(waveform)
    check_rates(from_rate, to_rate)
    if from_rate == to_rate:
        return waveform
    from scipy.signal import resample_poly  # imported here: it takes longer than all the rest of the package

    divisor = math.gcd(from_rate, to_rate)
    up, down = to_rate // divisor, from_rate // divisor
    window = make_hann_filter(max(up, down)).astype(waveform.dtype) if low_pass == "hann" else ("kaiser", 5.0)
    return resample_poly(waveform, up, down, window=window)


def make_hann_filter(spacing: int) -> Float[np.ndarray, " filter"]:
    """The low-pass filter of torchaudio's `resample`: a sinc of 0.99 of the bandwidth, in a Hann window.

    The window ends at the sixth zero of the sinc.

    Args:
        spacing: how many values of the filter make up one sample at the lower rate.
    """
    cutoff = 0.99 / spacing
    half = int(6 / cutoff)
    t = cutoff * np.arange(-half, half + 1)  # the sinc is 0 at the whole numbers
    return cutoff * np.sinc(t) * np.cos(np.pi * t / 12) ** 2


def mix_channels(samples: Num[np.ndarray, "channels samples"]) -> Float[np.ndarray, " samples"]:
    """Bring samples of any type to float32 in [-1, 1) and take the mean of the channels.

    Whole numbers are divided by half of their range; unsigned bytes have their zero in its middle, as in WAV
    files and in FFmpeg. Floating samples keep their values.

    >>> mix_channels(np.array([[0, 64, 255]], np.uint8))
    array([-1.       , -0.5      ,  0.9921875], dtype=float32)
    >>> mix_channels(np.array([[-32768, 0, 8192], [16384, 8192, 8192]], np.int16))  # two channels
    array([-0.25 ,  0.125,  0.25 ], dtype=float32)
    """
    mean = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype.kind != "f":
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        mean = (mean - half if samples.dtype.kind == "u" else mean) / half
    return mean.astype(np.float32)


def find_samples(time: float, rate: int, count: int, start: float, stop: float) -> slice:
    """Which of `count` samples, the first at `time`, lie in [start, stop); equal to a millionth of a sample.

    >>> find_samples(0.5, 100, 50, 0.6, 0.75), find_samples(0.5, 100, 50, 0.0, math.inf)
    (slice(10, 25, None), slice(0, 50, None))
    """
    first, last = (min(max((edge - time) * rate, 0), count) if count else 0 for edge in (start, stop))
    return slice(math.ceil(first - 1e-6), math.ceil(last - 1e-6))


def write_wav(
    path: str | os.PathLike[str], waveform: Float[np.ndarray, " samples"], sample_rate: int
) -> Path:
    """Write one channel of 16-bit samples in one step: nobody meets half a file. Missing folders are made.

    What lies outside [-1, 1) is clipped to it, as a loudspeaker would: scale louder sounds down before.

    Raises:
        ValueError: an empty waveform or one of several channels, NaN or infinity in it, or a sample rate that
            is no whole number from 1 Hz to 1 MHz.
    """
    check_channel(waveform)
    check_rates(sample_rate)
    from scipy.io import wavfile  # imported here: it is rarely needed

    samples = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    return write_atomically(path, lambda temporary: wavfile.write(temporary, int(sample_rate), samples))
