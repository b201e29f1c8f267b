"""From the log-mel picture back to a sound that can be heard: `spectrogram.py` walked backwards.

    waveform ← overlap-add ← spectrum ← phases guessed ← power ← mel ← decibel ← [-1, 1]

Two things were lost on the way there and can only be guessed: how the power in a mel filter was spread over
its frequencies (here: smoothly), and all phases (here: such that overlapping frames agree with each other).
"""

import math

import numpy as np
from jaxtyping import Complex, Float

from minitvlt.backends import Array, namespace
from minitvlt.signals.checks import check_finite, check_geometry
from minitvlt.signals.spectrogram import (
    DECIBEL,
    compute_stft,
    make_mel_filters,
    make_window,
)

MEL_STEPS = 20
MOMENTUM = 0.99  # of the fast variant (Perraudin, Balazs and Søndergaard 2013)


def denormalise_decibel(log_mel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """Undo `normalise_decibel` as far as nothing was clipped: -1 becomes -60 dB and 1 becomes 20 dB."""
    return (log_mel - 1.0) * 40.0 + 20.0


def decibel_to_power(decibel: Float[Array, "*batch S F"]) -> Float[Array, "*batch S F"]:
    """Undo `power_to_decibel`: 10 ** (decibel / 10)."""
    return namespace(decibel).exp(decibel * DECIBEL)


def invert_mel_filters(
    mel_power: Float[Array, "*batch S F"], filters: Float[np.ndarray, "F bins"]
) -> Float[Array, "*batch S bins"]:
    """Find power over frequencies that fills the mel filters as asked, and is nowhere negative.

    Each step asks how far every filter is from what it should hold, and multiplies each frequency by the mean
    of these factors over the filters that it falls into (Richardson 1972; Lee and Seung 2001). The
    pseudo-inverse by least squares rings: cut off below zero, it makes a sound of the silence beside a tone.
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
    """Lay frames where `frame_waveform` cut them, frame t centred on sample t * hop_length, and add them up.

    The transpose of the cutting: piece j of frame t is added to chunk t + j. What lies before the centre of
    the first frame or after that of the last is cut off.

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
    """The waveform whose spectra come nearest to these in the sense of least squares (Griffin and Lim 1984).

    Every frame is windowed once more and added up, and the sum is divided by the sum of the squared windows.
    Where all windows have nearly faded out, as they do with hops beyond half a window, the division is held
    back.
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
    """Keep the phases of a spectrum, of one clip or of all of them, and give it this magnitude."""
    xp = namespace(spectrum, magnitude)
    return spectrum * (magnitude / xp.maximum(xp.abs(spectrum), 1e-12))


def run_griffin_lim(
    magnitude: Float[Array, "*batch S bins"],
    hop_length: int,
    iterations: int = 32,
    seed: int | np.random.Generator = 0,
) -> Float[Array, "*batch (S-1)*{hop_length}"]:
    """Find a waveform whose spectra have this magnitude, from the phases of white noise drawn from the seed.

    By turns the spectrum is given the wanted magnitude and made the spectrum of a waveform, which makes the
    phases of overlapping frames agree. To go on a little in the direction of the last step helps (momentum).
    """
    xp = namespace(magnitude)
    S, window_length = magnitude.shape[-2], 2 * (magnitude.shape[-1] - 1)
    noise = np.random.default_rng(seed).standard_normal((S - 1) * hop_length)  # the same for every clip
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
    """A sound whose log-mel picture is close to the given one, a hop of samples for every step.

    Pitch, loudness and rhythm come back, the exact waveform does not. In place of the step that
    `log_mel_spectrogram` dropped, the last one is repeated. Where it was kept, that makes the sound longer
    than the original by a hop at most.

    >>> reconstruct_waveform(np.zeros((3, 5, 7)), 8000, window_length=64, hop_length=20).shape
    (3, 100)
    """
    xp = namespace(log_mel)
    shape = tuple(log_mel.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"Expected a log-mel picture of shape (..., S, F) that is not empty, got {shape}.")
    check_geometry(sample_rate, shape[-1], window_length, hop_length)
    check_finite(log_mel, "the log-mel picture")
    filters = make_mel_filters(sample_rate, shape[-1], window_length)
    extended = xp.concat([log_mel, log_mel[..., -1:, :]], axis=-2)
    power = invert_mel_filters(decibel_to_power(denormalise_decibel(extended)), filters)
    return run_griffin_lim(xp.sqrt(power), hop_length, iterations, seed)
