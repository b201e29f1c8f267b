"""From a log-mel spectrogram back to a waveform: the steps of `spectrogram.py` in reverse.

    waveform ← overlap-add ← spectrum ← phases estimated ← power ← mel ← decibel ← [-1, 1]

A log-mel spectrogram lacks two things, which are estimated: how the power in a mel filter is distributed over
its frequencies (here: smoothly), and all phases (here: such that overlapping frames agree with each other).
"""

import math

import numpy as np
from jaxtyping import Complex, Float

from minitvlt.backends import Array, namespace
from minitvlt.signals.spectrogram import DECIBEL, compute_stft, make_mel_filters, make_window

MEL_STEPS = 20  # iterations of `invert_mel_filters`
MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)


def denormalise_decibel(log_mel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """The inverse of `normalise_decibel` where it did not clip: -1 … 1 to -60 dB … 20 dB."""
    return (log_mel - 1.0) * 40.0 + 20.0


def decibel_to_power(decibel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """The inverse of `power_to_decibel` above its limits: 10 ** (decibel / 10)."""
    return namespace(decibel).exp(decibel * DECIBEL)


def invert_mel_filters(
    mel_power: Float[Array, "*batch S F"], filters: Float[np.ndarray, "F bins"]
) -> Float[Array, "*batch S bins"]:
    """Find non-negative power over frequencies whose power in the mel filters is the given one.

    In each step, every filter gives a factor: its given power divided by its present power. The power at a
    frequency is multiplied by the weighted mean of the factors of the filters that it lies in (Richardson
    1972; Lee and Seung 2001). The pseudo-inverse, by least squares, has negative values beside a tone;
    clipped at zero, it gives an audible sound where there was silence.
    """
    xp = namespace(mel_power)
    collect = xp.as_like(filters.T, mel_power)
    share = xp.as_like(filters / np.maximum(filters.sum(axis=0), 1e-12), mel_power)
    power = xp.matmul(mel_power, share)
    for _ in range(MEL_STEPS):
        power = power * xp.matmul(mel_power / xp.maximum(xp.matmul(power, collect), 1e-20), share)
    return power


def overlap_add(
    frames: Float[Array, "*batch S window_length"], hop_length: int
) -> Float[Array, "*batch (S-1)*{hop_length}"]:
    """Add up overlapping frames, frame t centred on sample t * hop_length: the transpose of `frame_waveform`.

    Frames are divided into pieces of one hop, and the waveform into chunks of one hop: piece j of frame t is
    added to chunk t + j. Samples before the centre of the first frame or after that of the last are cut off.

    >>> overlap_add(np.array([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]), hop_length=3)
    array([ 3., 14., 20.])
    """
    xp = namespace(frames)
    *batch, S, window_length = frames.shape
    pieces = math.ceil(window_length / hop_length)
    chunks = S + pieces - 1
    rest = xp.zeros((*batch, S, pieces * hop_length - window_length), frames)
    gap = xp.zeros((*batch, pieces - 1, hop_length), frames)
    x = xp.concat([frames, rest], axis=-1)  # (*batch, S, pieces * hop_length)
    x = xp.reshape(x, (*batch, S, pieces, hop_length))  # (*batch, S, pieces, hop_length)
    shifted = [xp.concat([gap[..., :j, :], x[..., j, :], gap[..., j:, :]], axis=-2) for j in range(pieces)]
    total = sum(shifted[1:], shifted[0])  # (*batch, chunks, hop_length)
    waveform = xp.reshape(total, (*batch, chunks * hop_length))  # (*batch, chunks * hop_length)
    start, samples = window_length // 2, (S - 1) * hop_length
    return waveform[..., start : start + samples]  # (*batch, samples)


def invert_stft(
    spectrum: Complex[Array, "*batch S bins"], hop_length: int
) -> Float[Array, "*batch (S-1)*{hop_length}"]:
    """The waveform whose STFT is closest to this one in the sense of least squares (Griffin and Lim 1984).

    Every frame is windowed again, and the sum of the frames is divided by the sum of the squared windows,
    which is raised to 0.01 where it is lower: it is near zero where hops are longer than half a window.
    """
    xp = namespace(spectrum)
    S, window_length = spectrum.shape[-2], 2 * (spectrum.shape[-1] - 1)
    window = make_window(window_length)
    weight = overlap_add(np.broadcast_to(window**2, (S, window_length)), hop_length)
    frames = xp.irfft(spectrum, window_length)
    waveform = overlap_add(frames * xp.as_like(window, frames), hop_length)
    return waveform / xp.as_like(np.maximum(weight, 0.01), frames)


def impose_magnitude(
    spectrum: Complex[Array, "*any S bins"], magnitude: Float[Array, "*batch S bins"]
) -> Complex[Array, "*batch S bins"]:
    """Give a spectrum, of one waveform or of a batch, this magnitude, and keep its phases."""
    xp = namespace(spectrum, magnitude)
    return spectrum * (magnitude / xp.maximum(xp.abs(spectrum), 1e-12))


def run_griffin_lim(
    magnitude: Float[Array, "*batch S bins"],
    hop_length: int,
    iterations: int = 32,
    seed: int | np.random.Generator = 0,
) -> Float[Array, "*batch (S-1)*{hop_length}"]:
    """Find a waveform whose STFT has this magnitude, starting from the phases of white noise.

    Each iteration gives the spectrum the wanted magnitude and replaces it by the STFT of the waveform that is
    closest to it, so that the phases of overlapping frames agree. It is accelerated by momentum. The noise is
    drawn from the seed, and is the same for every waveform of a batch.
    """
    xp = namespace(magnitude)
    S, window_length = magnitude.shape[-2], 2 * (magnitude.shape[-1] - 1)
    samples = (S - 1) * max(hop_length, 0)  # `compute_stft` refuses a hop_length below 1
    noise = np.random.default_rng(seed).standard_normal(samples)
    previous = estimate = compute_stft(xp.as_like(noise, magnitude), window_length, hop_length)
    for _ in range(iterations):
        waveform = invert_stft(impose_magnitude(estimate, magnitude), hop_length)
        spectrum = compute_stft(waveform, window_length, hop_length)
        estimate, previous = spectrum + MOMENTUM * (spectrum - previous), spectrum
    return invert_stft(impose_magnitude(estimate, magnitude), hop_length)


def reconstruct_waveform(
    log_mel: Float[Array, "*batch S F"],
    sample_rate: int = 44100,
    window_length: int = 2048,
    hop_length: int = 512,
    iterations: int = 32,
    seed: int | np.random.Generator = 0,
) -> Float[Array, "*batch S*{hop_length}"]:
    """A waveform whose log-mel spectrogram is close to the given one, `hop_length` samples for every step.

    Pitch, loudness and rhythm are recovered, the exact waveform is not. The last step is repeated, in place
    of the one that `log_mel_spectrogram` drops. If that was not dropped, the waveform is longer than the
    original by at most one hop.

    >>> reconstruct_waveform(np.zeros((3, 5, 7)), 8000, window_length=64, hop_length=20).shape
    (3, 100)

    Args:
        log_mel: in [-1, 1], not empty. Leading axes are independent spectrograms.
        sample_rate: in hertz; this and the lengths are those of the spectrogram.
        window_length: samples in a frame.
        hop_length: samples from one step to the next.
        iterations: of Griffin-Lim.
        seed: of the initial phases.

    Raises:
        ValueError: a spectrogram that is empty or not finite, or settings that do not fit.
    """
    xp, shape = namespace(log_mel), tuple(log_mel.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"Expected a log-mel spectrogram (..., S, F) that is not empty, got {shape}.")
    if not xp.max(xp.abs(log_mel)) < np.inf:
        raise ValueError("Expected finite numbers, but the log-mel spectrogram holds NaN or infinity.")
    filters = make_mel_filters(sample_rate, shape[-1], window_length)
    extended = xp.concat([log_mel, log_mel[..., -1:, :]], axis=-2)
    power = invert_mel_filters(decibel_to_power(denormalise_decibel(extended)), filters)
    return run_griffin_lim(xp.sqrt(power), hop_length, iterations, seed)
