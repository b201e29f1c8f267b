"""From a waveform to the log-mel spectrogram that the model takes.

    waveform → frames → windowed → spectrum → power → mel → decibel → [-1, 1]

Letters: `S` steps in time, one every `hop_length` samples; `F` mel bins; `bins` = window_length // 2 + 1
frequencies. Leading axes (`*batch`) are independent waveforms. TVLT uses audio at 44.1 kHz, windows of 2048
samples, a hop of 512 samples and 128 mel bins (Tang et al. 2022); any sample rate and any even window length
work here. The inverse, from a spectrogram to a waveform, is in `inversion.py`.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float

from minitvlt.backends import Array, namespace
from minitvlt.signals.waveforms import check_waveform

LOWEST_POWER = 1e-10  # lower power counts as this: -100 dB
DYNAMIC_RANGE = 80.0  # dB below the maximum of a clip: its lowest level
DECIBEL = math.log(10) / 10  # one decibel of power, as a difference of natural logarithms


def pad_by_reflection(
    waveform: Float[Array, "*batch samples"], before: int, after: int
) -> Float[Array, "*batch {before}+samples+{after}"]:
    """Extend a waveform by reflecting it at its first and last sample, repeatedly if it is short.

    >>> pad_by_reflection(np.array([1.0, 2.0, 3.0]), 4, 1)
    array([1., 2., 3., 2., 1., 2., 3., 2.])
    """
    xp = namespace(waveform)
    samples = waveform.shape[-1]
    period = max(1, 2 * (samples - 1))  # of the reflected waveform; a single sample is repeated
    outside = np.concatenate([np.arange(-before, 0), np.arange(samples, samples + after)]) % period
    reflected = xp.take(waveform, xp.as_like(np.minimum(outside, period - outside), waveform), axis=-1)
    return xp.concat([reflected[..., :before], waveform, reflected[..., before:]], axis=-1)


def pad_by_zeros(
    waveform: Float[Array, "*batch samples"], before: int, after: int
) -> Float[Array, "*batch {before}+samples+{after}"]:
    """Extend a waveform by zeros, which are silence.

    >>> pad_by_zeros(np.array([1.0, 2.0, 3.0]), 2, 1)
    array([0., 0., 1., 2., 3., 0.])
    """
    xp = namespace(waveform)
    left, right = (xp.zeros((*waveform.shape[:-1], count), waveform) for count in (before, after))
    return xp.concat([left, waveform, right], axis=-1)


PADDINGS = {"reflect": pad_by_reflection, "constant": pad_by_zeros}


def frame_waveform(
    waveform: Float[Array, "*batch samples"], window_length: int, hop_length: int, padding: str = "reflect"
) -> Float[Array, "*batch samples//{hop_length}+1 {window_length}"]:
    """Cut a waveform into overlapping frames, frame t centred on sample t * hop_length.

    Sample m of frame t is sample t * hop_length + m - window_length//2 of the waveform, which is padded by
    half a window at each end. On NumPy and PyTorch the frames are a view: they take no memory beyond that of
    the padded waveform, and must not be written to.

    >>> frame_waveform(np.arange(6.0), window_length=4, hop_length=3)
    array([[2., 1., 0., 1.],
           [1., 2., 3., 4.],
           [4., 5., 4., 3.]])

    Args:
        waveform: at least one sample.
        window_length: samples in a frame.
        hop_length: samples from the centre of one frame to that of the next, from 1 to window_length.
        padding: "reflect" or "constant" (zeros), the keys of `PADDINGS`.

    Raises:
        ValueError: another hop_length or padding.
    """
    if not 1 <= hop_length <= window_length:
        raise ValueError(
            f"Expected a hop_length from 1 to window_length={window_length}, got {hop_length}: "
            "a longer hop skips samples."
        )
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, not {padding!r}.")
    before = window_length // 2
    padded = PADDINGS[padding](waveform, before, window_length - before)
    return namespace(padded).sliding_windows(padded, window_length, hop_length)


def make_window(window_length: int) -> Float[np.ndarray, " {window_length}"]:
    """Periodic Hann window: w_m = 1/2 - 1/2 cos(2πm / window_length). It fades a frame in and out.

    >>> make_window(4)
    array([0. , 0.5, 1. , 0.5])
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length)


def compute_stft(
    waveform: Float[Array, "*batch samples"], window_length: int, hop_length: int, padding: str = "reflect"
) -> Complex[Array, "*batch samples//{hop_length}+1 {window_length}//2+1"]:
    """Short-time Fourier transform: frames times the Hann window, and the Fourier transform of each.

    Bin k is the frequency k * sample_rate / window_length in hertz. Arguments and errors are those of
    `frame_waveform`. The windowed frames and their spectrum are the large arrays on the way to a spectrogram:
    each takes window_length / hop_length times the memory of the waveform, 4 times for TVLT.
    """
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    xp = namespace(frames)
    return xp.rfft(frames * xp.as_like(make_window(window_length), frames))


def compute_power(spectrum: Complex[Array, "*batch S bins"]) -> Float[Array, "*batch S bins"]:
    """Squared magnitude, (Re z)² + (Im z)²: the power at each frequency. The phase is dropped."""
    xp = namespace(spectrum)
    return xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2


def hertz_to_mel(hertz: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Slaney's mel scale, the default of librosa: linear up to 1 kHz = 15 mel, logarithmic above.

    >>> hertz_to_mel(np.array([200.0, 1000.0, 6400.0]))
    array([ 3., 15., 42.])
    """
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, hertz * 3 / 200, above)


def mel_to_hertz(mel: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """The inverse of `hertz_to_mel`.

    >>> mel_to_hertz(np.array([3.0, 15.0, 42.0]))
    array([ 200., 1000., 6400.])
    """
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


@lru_cache(maxsize=16)
def make_mel_filters(
    sample_rate: int, mel_bins: int, window_length: int
) -> Float[np.ndarray, "{mel_bins} {window_length}//2+1"]:
    """Triangular filters over frequency, centres evenly spaced in mel, each of area one in hertz (Slaney).

    They are those of `librosa.filters.mel`. Each begins and ends at the centres of its neighbours; the last
    one ends at half the sample rate. The array is read-only, because it is cached.

    >>> make_mel_filters(8000, mel_bins=3, window_length=16).shape
    (3, 9)

    Raises:
        ValueError: a sample rate below 1 Hz, no mel bin, a window that is odd or shorter than 4 samples, or
            one so short that no frequency lies in one of the filters; the message says what fits.
    """
    if not 1 <= sample_rate < np.inf or mel_bins < 1:
        raise ValueError(f"Expected at least 1 Hz and 1 mel bin, got {sample_rate} and {mel_bins}.")
    if window_length < 4 or window_length % 2:
        raise ValueError(f"Expected an even window_length of at least 4 samples, got {window_length}.")
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    highest = hertz_to_mel(np.array(sample_rate / 2))
    edges = mel_to_hertz(np.linspace(0, highest, mel_bins + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)
    if not filters.any(axis=1).all():
        spacing = hertz_to_mel(np.array(sample_rate / window_length))  # a wider filter holds a frequency
        fitting_bins = math.ceil(2 * highest / spacing - 1e-9) - 2
        fitting_window = 2 * int(sample_rate / edges[2] / 2) + 2
        raise ValueError(
            f"{mel_bins} mel bins with window_length={window_length} at {sample_rate} Hz leave one empty: "
            f"use at most {fitting_bins} mel bins, or a window_length of at least {fitting_window}."
        )
    filters.flags.writeable = False
    return filters


def apply_mel_filters(
    power: Float[Array, "*batch S bins"], filters: Float[np.ndarray, "F bins"]
) -> Float[Array, "*batch S F"]:
    """Sum the power over frequencies, weighted by each mel filter: power @ filters.T"""
    xp = namespace(power)
    return xp.matmul(power, xp.as_like(filters.T, power))


def power_to_decibel(power: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """10 log10(power), at least -100 dB, and at least the maximum of the same clip minus 80 dB.

    >>> power_to_decibel(np.array([[1.0, 1e-3, 1e-9]])).round(6)
    array([[  0., -30., -80.]])
    """
    xp = namespace(power)
    decibel = xp.log(xp.maximum(power, LOWEST_POWER)) / DECIBEL
    return xp.maximum(decibel, xp.max(decibel, axis=(-2, -1), keepdims=True) - DYNAMIC_RANGE)


def normalise_decibel(decibel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """Map -60 dB … 20 dB to -1 … 1, and clip what lies outside. Silence is -1.

    >>> normalise_decibel(np.array([[-80.0, -60.0, -10.0, 20.0]]))
    array([[-1.  , -1.  ,  0.25,  1.  ]])
    """
    xp = namespace(decibel)
    return xp.minimum(xp.maximum((decibel - 20.0) / 40.0, -2.0), 0.0) + 1.0


def log_mel_spectrogram(
    waveform: Float[Array, "*batch samples"],
    sample_rate: int = 44100,
    mel_bins: int = 128,
    window_length: int = 2048,
    hop_length: int = 512,
    padding: str = "reflect",
    drop_last_step: bool = True,
) -> Float[Array, "*batch max(1,samples//{hop_length}+1-{drop_last_step}) {mel_bins}"]:
    """The log-mel spectrogram of a waveform, (..., S, F) in [-1, 1]: step by step, low frequencies first.

    There is a step for every `hop_length` samples, the first one centred on the first sample: samples //
    hop_length + 1 steps. The default is what transformers' `TvltFeatureExtractor` computes at 44.1 kHz; the
    released code of TVLT pads with zeros and keeps the last step.

    >>> log_mel_spectrogram(np.zeros((3, 1000)), 8000, mel_bins=7, window_length=64, hop_length=20).shape
    (3, 50, 7)

    Args:
        waveform: float32 or float64, in [-1, 1], at least one sample. Leading axes are independent waveforms.
        sample_rate: in hertz.
        mel_bins: F.
        window_length: samples in a frame, an even number.
        hop_length: samples from one step to the next, from 1 to window_length.
        padding: how the waveform is extended by half a window at each end: "reflect" or "constant" (zeros).
        drop_last_step: leave the last step out, unless it is the only one.

    Raises:
        ValueError: a waveform that is empty, of another dtype or not finite, or settings that do not fit.
    """
    check_waveform(waveform)
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    power = compute_power(compute_stft(waveform, window_length, hop_length, padding))
    log_mel = normalise_decibel(power_to_decibel(apply_mel_filters(power, filters)))
    S = max(1, log_mel.shape[-2] - drop_last_step)
    return log_mel[..., :S, :]
