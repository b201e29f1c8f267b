"""From a waveform to the log-mel picture that the model sees.

    waveform → frames → windowed → spectrum → power → mel → decibel → [-1, 1]

Letters: `S` steps in time, one every `hop_length` samples; `F` mel bins; `bins` = window_length // 2 + 1
frequencies. Leading axes (`*batch`) are clips that do not touch each other. TVLT listens at 44.1 kHz with
windows of 2048 samples, a hop of 512 and 128 mel bins (Tang et al. 2022); here any rate and any even window
will do. The way back to a sound is in `inversion.py`.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float

from minitvlt.backends import Array, namespace
from minitvlt.signals.checks import check_geometry, check_waveform

QUIETEST_POWER = 1e-10  # what is weaker counts as this: -100 dB
DYNAMIC_RANGE = 80.0  # dB: what lies further below the loudest spot of its own clip is raised to this
DECIBEL = math.log(10) / 10  # one decibel of power, as a step of the natural logarithm


def pad_by_reflection(
    waveform: Float[Array, "*batch samples"], before: int, after: int
) -> Float[Array, "*batch {before}+samples+{after}"]:
    """Continue a waveform as in a mirror on each end sample; a short one is mirrored back and forth.

    >>> pad_by_reflection(np.array([1.0, 2.0, 3.0]), 4, 1)
    array([1., 2., 3., 2., 1., 2., 3., 2.])
    """
    xp = namespace(waveform)
    samples = waveform.shape[-1]
    period = max(1, 2 * (samples - 1))  # there and back again; one sample alone mirrors itself
    outside = np.concatenate([np.arange(-before, 0), np.arange(samples, samples + after)]) % period
    mirrored = xp.take(waveform, xp.as_like(np.minimum(outside, period - outside), waveform), axis=-1)
    return xp.concat([mirrored[..., :before], waveform, mirrored[..., before:]], axis=-1)


def pad_by_zeros(
    waveform: Float[Array, "*batch samples"], before: int, after: int
) -> Float[Array, "*batch {before}+samples+{after}"]:
    """Continue a waveform with silence on both sides.

    >>> pad_by_zeros(np.array([1.0, 2.0, 3.0]), 2, 1)
    array([0., 0., 1., 2., 3., 0.])
    """
    xp = namespace(waveform)
    batch = waveform.shape[:-1]
    left, right = (xp.zeros((*batch, count), waveform) for count in (before, after))
    return xp.concat([left, waveform, right], axis=-1)


PADDINGS = {"reflect": pad_by_reflection, "constant": pad_by_zeros}


def cut_hops(
    waveform: Float[Array, "*batch samples"], window_length: int, hop_length: int, padding: str = "reflect"
) -> Float[Array, "*batch chunks {hop_length}"]:
    """Cut a waveform, its ends padded as `PADDINGS` says, into chunks of one hop that do not overlap.

    Frame t, centred on sample t * hop_length, begins with chunk t. The last chunk is the last one of the last
    of samples // hop_length + 1 frames.
    """
    xp = namespace(waveform)
    *batch, samples = waveform.shape
    chunks = samples // hop_length + math.ceil(window_length / hop_length)
    before, total = window_length // 2, chunks * hop_length
    padded = PADDINGS[padding](waveform, before, max(0, total - before - samples))
    return xp.reshape(padded[..., :total], (*batch, chunks, hop_length))  # (*batch, chunks, hop_length)


def join_hops(
    hops: Float[Array, "*batch chunks hop_length"], window_length: int
) -> Float[Array, "*batch S {window_length}"]:
    """Lay out overlapping frames: frame t is chunk t, chunk t + 1 and so on in one row.

    Nothing is gathered by index: piece j of all frames at once is the chunks from the j-th onwards.
    """
    xp = namespace(hops)
    chunks, hop_length = hops.shape[-2:]
    pieces = math.ceil(window_length / hop_length)
    S = chunks - pieces + 1
    x = xp.concat([hops[..., j : j + S, :] for j in range(pieces)], axis=-1)
    return x[..., :window_length]  # (*hops.shape[:-2], S, window_length)


def frame_waveform(
    waveform: Float[Array, "*batch samples"], window_length: int, hop_length: int, padding: str = "reflect"
) -> Float[Array, "*batch samples//{hop_length}+1 {window_length}"]:
    """Cut overlapping frames, frame t centred on sample t * hop_length, the ends padded as `PADDINGS` says.

    >>> frame_waveform(np.arange(6.0), window_length=4, hop_length=3)
    array([[2., 1., 0., 1.],
           [1., 2., 3., 4.],
           [4., 5., 4., 3.]])
    """
    return join_hops(cut_hops(waveform, window_length, hop_length, padding), window_length)


def make_window(window_length: int) -> Float[np.ndarray, " {window_length}"]:
    """Periodic Hann window: it fades every frame in and out, so that the cut ends do not sound as clicks.

    >>> make_window(4)
    array([0. , 0.5, 1. , 0.5])
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length)


def compute_stft(
    waveform: Float[Array, "*batch samples"], window_length: int, hop_length: int, padding: str = "reflect"
) -> Complex[Array, "*batch samples//{hop_length}+1 {window_length}//2+1"]:
    """Short-time Fourier transform: the spectrum of every windowed frame.

    Bin k is the frequency k * sample_rate / window_length, from 0 to half the sample rate.
    """
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return compute_spectrum(frames, namespace(frames).as_like(make_window(window_length), frames))


def compute_spectrum(
    frames: Float[Array, "*batch S window_length"], window: Float[Array, "window_length"]
) -> Complex[Array, "*batch S window_length//2+1"]:
    """Fade every frame in and out, and take its Fourier transform."""
    return namespace(frames).rfft(frames * window)


def compute_power(spectrum: Complex[Array, "*batch S bins"]) -> Float[Array, "*batch S bins"]:
    """Squared magnitude: how much there is of each frequency, whatever its phase."""
    xp = namespace(spectrum)
    return xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2


def hertz_to_mel(hertz: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Slaney's scale of perceived pitch: linear up to 1 kHz, which is mel 15; then 27 mel a factor of 6.4."""
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, hertz * 3 / 200, above)


def mel_to_hertz(mel: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """The inverse of `hertz_to_mel`."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


@lru_cache(maxsize=16)
def make_mel_filters(sample_rate: int, mel_bins: int, window_length: int) -> Float[np.ndarray, "F bins"]:
    """Triangles over frequency, evenly spaced in mel, half overlapping, of area one in hertz (Slaney).

    The last one ends at half the sample rate. Where the window is so short that a triangle falls between two
    frequencies, a row of the picture would stay empty for ever: a ValueError says what fits.
    """
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    highest = hertz_to_mel(np.array(sample_rate / 2))
    edges = mel_to_hertz(np.linspace(0, highest, mel_bins + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)
    if not filters.any(axis=1).all():
        spacing = hertz_to_mel(np.array(sample_rate / window_length))  # a wider triangle holds a frequency
        fitting_bins = math.ceil(2 * highest / spacing - 1e-9) - 2
        fitting_window = 2 * int(sample_rate / edges[2] / 2) + 2
        raise ValueError(
            f"{mel_bins} mel bins with window_length={window_length} at {sample_rate} Hz leave one empty: "
            f"use at most {fitting_bins} mel bins, or a window_length of at least {fitting_window}."
        )
    filters.flags.writeable = False  # the cache hands the same array to everyone
    return filters


def apply_mel_filters(
    power: Float[Array, "*batch S bins"], filters: Float[np.ndarray, "F bins"]
) -> Float[Array, "*batch S F"]:
    """Add up the power that falls into each mel filter."""
    xp = namespace(power)
    return xp.matmul(power, xp.as_like(filters.T, power))


def compute_mel_power(
    hops: Float[Array, "*batch chunks hop_length"],
    window_length: int,
    filters: Float[np.ndarray, "F {window_length}//2+1"],
) -> Float[Array, "*batch S F"]:
    """All steps from the chunks of `cut_hops` to the power in each mel filter, a few frames at a time.

    A window of 2048 samples and a hop of 512 make four times as many numbers as the waveform had, and the
    spectrum as many again; so frames are never all there at once.
    """
    xp = namespace(hops)
    further = math.ceil(window_length / hops.shape[-1]) - 1  # chunks that a frame needs behind its first
    window, weights = (xp.as_like(x, hops) for x in (make_window(window_length), filters.T.copy()))

    def compute(steps: slice) -> Float[Array, "*batch _ F"]:
        frames = join_hops(hops[..., steps.start : steps.stop + further, :], window_length)
        return xp.matmul(compute_power(compute_spectrum(frames, window)), weights)

    return compute(slice(0, hops.shape[-2] - further))


def power_to_decibel(power: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """10 log10(power), at least -100 dB, and at least the loudest spot of the same clip less 80 dB."""
    xp = namespace(power)
    decibel = xp.log(xp.maximum(power, QUIETEST_POWER)) / DECIBEL
    return xp.maximum(decibel, xp.max(decibel, axis=(-2, -1), keepdims=True) - DYNAMIC_RANGE)


def normalise_decibel(decibel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """Bring -60 dB and everything below to -1, which is silence, and 20 dB and everything above to 1."""
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
    """The picture of a sound, (..., S, F) in [-1, 1]: a row a step in time, low to high pitch along it.

    Samples are expected in [-1, 1], at least one. Beyond its ends a waveform goes on as in a mirror
    (`padding="reflect"`) or with zeros ("constant"). There is a step every hop from the first sample on, that
    is samples // hop_length + 1; the last one is dropped, unless it is the only one or `drop_last_step` is
    False. At 44.1 kHz this is the processor of transformers; the released code of TVLT pads with zeros and
    keeps the last step.

    >>> log_mel_spectrogram(np.zeros((3, 1000)), 8000, mel_bins=7, window_length=64, hop_length=20).shape
    (3, 50, 7)
    """
    check_geometry(sample_rate, mel_bins, window_length, hop_length)
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, not {padding!r}.")
    check_waveform(waveform)
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    hops = cut_hops(waveform, window_length, hop_length, padding)
    log_mel = normalise_decibel(power_to_decibel(compute_mel_power(hops, window_length, filters)))
    S = max(1, log_mel.shape[-2] - drop_last_step)
    return log_mel[..., :S, :]
