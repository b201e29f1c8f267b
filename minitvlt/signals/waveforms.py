"""Sound as numbers: samples of any type to one channel of float32, other rates, pieces joined, WAV files."""

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Num

from minitvlt.backends import Array, namespace
from minitvlt.files import write_atomically

HIGHEST_WAV_RATE = 2**31 - 1  # Hz: bytes a second are written as 32 bits
LARGEST_SAMPLE = 1e12  # its power still fits into float32, for any window
INTEGER_SAMPLES = {  # how to convert samples of these dtypes to floating-point ones in [-1, 1)
    "int16": "divide by 32768",
    "int32": "divide by 2147483648",
    "uint8": "subtract 128 and divide by 128",
}
LONGEST_HOLE = 0.05  # seconds between two pieces of sound; containers round their times to some milliseconds


class Sound(NamedTuple):
    """A piece of sound: the time of its first sample in seconds, samples a second, one channel of samples."""

    time: float
    rate: int
    samples: Float[np.ndarray, " samples"]


def check_waveform(waveform: Array, name: str = "the waveform") -> None:
    """Raise a ValueError unless these are finite floating-point samples, of one waveform or of several."""
    xp, shape = namespace(waveform), tuple(waveform.shape)
    if len(shape) < 1 or 0 in shape:
        raise ValueError(f"Expected {name} of shape (..., samples), at least one sample long, got {shape}.")
    if not str(waveform.dtype).endswith(("float32", "float64")):
        hint = INTEGER_SAMPLES.get(str(waveform.dtype).split(".")[-1])
        what_to_do = f"convert it to float32 and {hint}" if hint else "convert it to float32"
        raise ValueError(f"Expected {name} as float32 or float64, got {waveform.dtype}: {what_to_do}.")
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
    if not isinstance(waveform, np.ndarray):
        raise ValueError(f"Expected {name} as a NumPy array, got {type(waveform).__name__}.")
    if waveform.ndim != 1:
        raise ValueError(
            f"Expected {name} of shape (samples,), got {waveform.shape}: "
            "mix its channels down to one, for instance by their mean."
        )
    check_waveform(waveform, name)


def check_rates(*rates: int) -> None:
    """Raise a ValueError unless all sample rates are whole numbers of at least 1 Hz."""
    if not all(isinstance(rate, int | np.integer) and type(rate) is not bool and rate >= 1 for rate in rates):
        raise ValueError(
            f"Expected sample rates in whole hertz, at least 1, got {' and '.join(map(repr, rates))}."
        )


def resample(
    waveform: Float[np.ndarray, " samples"], from_rate: int, to_rate: int
) -> Float[np.ndarray, " -(-samples*{to_rate}//{from_rate})"]:
    """Change the sample rate without changing the sound, by a polyphase low-pass filter.

    What lies above half the lower rate is removed, as no slower sampling could hold it. The result has
    ceil(samples * to_rate / from_rate) samples and the precision of the input.

    >>> resample(np.zeros(441), 44100, 16000).shape
    (160,)

    Raises:
        ValueError: an empty waveform or one of several channels, whole numbers, NaN or infinity in it, or
            sample rates that are no whole numbers of at least 1 Hz.
    """
    check_channel(waveform)
    check_rates(from_rate, to_rate)
    if from_rate == to_rate:
        return waveform
    from scipy.signal import resample_poly  # imported here: it takes longer than all the rest of the package

    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(waveform, to_rate // divisor, from_rate // divisor)


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
    first, last = (min(max((edge - time) * rate, 0), count) for edge in (start, stop))
    return slice(math.ceil(first - 1e-6), math.ceil(last - 1e-6))


def join_sounds(path: Path, sounds: Sequence[Sound], start: float, stop: float) -> Sound | None:
    """Cut pieces that follow one another to [start, stop) and join them; None if no sample is left.

    Raises:
        ValueError: a hole or an overlap between two pieces, a change of the sample rate, or NaN or infinity.
    """
    kept = []
    for i, (time, rate, samples) in enumerate(sounds):
        before = sounds[max(i - 1, 0)]
        if rate != before.rate:
            raise ValueError(f"{path}: the sample rate changes from {before.rate} to {rate} Hz; convert it.")
        if i and abs(time - before.time - len(before.samples) / rate) > LONGEST_HOLE and time > start:
            raise ValueError(
                f"{path}: the sound does not go on where it should at {time:.3f} s: it has a hole or an "
                "overlap, as damaged files do. Replace it, or read a part before or after by start and stop."
            )
        part = find_samples(time, rate, len(samples), start, stop)
        if part.start < part.stop:
            kept.append(Sound(time + part.start / rate, rate, samples[part]))
    if not kept:
        return None
    waveform = np.concatenate([sound.samples for sound in kept])
    if not np.isfinite(waveform).all():
        raise ValueError(f"{path}: the sound holds NaN or infinity; replace it, or read another part of it.")
    return Sound(kept[0].time, kept[0].rate, waveform)


def read_wav(path: str | os.PathLike[str], start: float = 0.0, stop: float = math.inf) -> Sound:
    """Read the span [start, stop) of a WAV file of whole or floating numbers, the mean of its channels.

    What lies outside stays on disk where the samples can be mapped (all but 24-bit ones).

    Raises:
        ValueError: no WAV file, a coding that SciPy does not read, or a file that ends before its data do.
    """
    from scipy.io import wavfile  # imported here: few need it, and it takes its time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks that are not sound
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
        try:
            rate, samples = _map_or_load(wavfile, path)
        except Exception as error:  # broken headers end in errors of a dozen kinds
            raise ValueError(f"{path} cannot be read as a WAV file ({error}): replace it.") from error
    part = find_samples(0.0, rate, len(samples), start, stop)
    rows = samples[part, None] if samples.ndim == 1 else samples[part]
    return Sound(part.start / rate, rate, mix_channels(rows.T))


def _map_or_load(wavfile: Any, path: str | os.PathLike[str]) -> tuple[int, np.ndarray]:
    try:
        return wavfile.read(path, mmap=True)
    except ValueError:  # 24-bit samples cannot be mapped; what is broken fails once more
        return wavfile.read(path)


def write_wav(
    path: str | os.PathLike[str], waveform: Float[np.ndarray, " samples"], sample_rate: int
) -> Path:
    """Write one channel of 16-bit samples in one step: nobody meets half a file. Missing folders are made.

    What lies outside [-1, 1) is clipped to it, as a loudspeaker would: scale louder sounds down before.

    Raises:
        ValueError: an empty waveform or one of several channels, NaN or infinity in it, or a sample rate that
            is no whole number from 1 Hz to 2,147 MHz.
    """
    content = encode_wav(waveform, sample_rate)
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))


def encode_wav(waveform: Float[np.ndarray, " samples"], sample_rate: int) -> bytes:
    """The WAV file that `write_wav` writes, in memory."""
    check_channel(waveform)
    check_rates(sample_rate)
    if sample_rate > HIGHEST_WAV_RATE:
        raise ValueError(f"A WAV file holds rates up to {HIGHEST_WAV_RATE} Hz, got {sample_rate}: resample.")
    from scipy.io import wavfile

    samples = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    stream = io.BytesIO()
    wavfile.write(stream, int(sample_rate), samples)
    return stream.getvalue()
