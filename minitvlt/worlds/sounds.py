"""How the shapes of `shapes.py` sound: voices of a few harmonics, and the clicks of bounces.

A wavetable synthesiser, as in the first digital instruments: one period of each timbre is worked out once, and a
voice reads it round and round, the faster the higher.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

LOWEST_PITCH = 220.0  # Hz, at the floor
OCTAVES = 2.0  # from the floor to the ceiling
TREMBLE_RATE = 6.0  # Hz
LOUDEST = 0.4  # amplitude of a voice
CLICK = 0.4  # amplitude
PERIOD = 4096  # samples of a wavetable

# Loudness of the harmonics 1, 2, 3 and 4; the highest one at the ceiling is 3,520 Hz.
TIMBRES = {
    "circle": (1.0, 0.0, 0.0, 0.0),
    "square": (0.7, 0.0, 0.5, 0.0),
    "triangle": (0.5, 0.5, 0.4, 0.3),
    "cross": (0.7, 0.0, 0.0, 0.6),
}


@lru_cache(maxsize=1)
def make_wavetables() -> Float[np.ndarray, "shapes {PERIOD}"]:
    """One period of every timbre."""
    harmonic = np.arange(1, 5)[:, None]
    sines = np.sin(2 * np.pi * harmonic * np.arange(PERIOD) / PERIOD)  # (4, PERIOD)
    tables = (np.array(list(TIMBRES.values())) @ sines).astype(np.float32)  # (len(TIMBRES), PERIOD)
    tables.flags.writeable = False  # the cache hands the same array to everyone
    return tables


def sing(
    shape: Int[np.ndarray, " n"],
    height: Float[np.ndarray, "n k samples"],
    loudness: Float[np.ndarray, "n k"],
    tremble: Float[np.ndarray, " n"],
    sample_rate: int,
) -> Float[np.ndarray, "n samples"]:
    """Let k copies of a shape sing in each clip.

    Args:
        shape: which of `TIMBRES`.
        height: of each copy at each sample: 0 sings the lowest pitch, 1 the highest.
        loudness: amplitude of each copy's voice, 0 for one that is silent.
        tremble: how far the loudness swings: 0 is a steady voice, 1 falls silent at every swing.
        sample_rate: samples a second.
    """
    samples = height.shape[-1]
    pitch = np.float32(LOWEST_PITCH / sample_rate) * np.exp2(np.float32(OCTAVES) * height)
    phase = np.cumsum(pitch, axis=-1, dtype=np.float64)  # in periods
    place = (phase * PERIOD).astype(np.int64) % PERIOD + shape[:, None, None] * PERIOD  # (n, k, samples)
    voices = np.take(make_wavetables(), place)  # (n, k, samples)
    swing = np.sin(np.pi * TREMBLE_RATE / sample_rate * np.arange(samples)) ** 2
    gain = 1 - tremble[:, None] * swing.astype(np.float32)  # (n, samples)
    return gain * (loudness[:, None] @ voices)[:, 0]


def add_clicks(
    waveforms: Float[np.ndarray, "n samples"], moments: Float[np.ndarray, "n k"], sample_rate: int
) -> None:
    """Add, in place, a click at each moment: 0 is the beginning of the clip, 1 its end; later ones are not heard.

    A click is a tone of 2.5 kHz, or of a quarter of a low sample rate, that dies away within some milliseconds.
    """
    n, samples = waveforms.shape
    time = np.arange(min(samples, sample_rate // 50)) / sample_rate
    tone = np.sin(2 * np.pi * min(2500.0, sample_rate / 4) * time)
    click = (CLICK * tone * np.exp(-time / 0.004)).astype(np.float32)
    clip, copy = np.nonzero(moments < 1)
    first = (moments[clip, copy] * samples).astype(np.int64)
    for row, begin in zip(clip, first, strict=True):
        heard = waveforms[row, begin : begin + len(click)]
        heard += click[: len(heard)]
