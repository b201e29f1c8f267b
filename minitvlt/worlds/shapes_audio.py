"""How the shapes of `shapes.py` sound: voices of a few harmonics, and the clicks of bounces.

A wavetable synthesiser, as in the first digital instruments: one period of each timbre is worked out once,
and a voice reads it round and round, the faster the higher.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

LOWEST_PITCH = 220.0  # Hz, at the floor
OCTAVES = 2.0  # from the floor to the ceiling
TREMBLE_RATE = 6.0  # Hz
LOUDEST_VOICE, CLICK = 0.4, 0.2  # amplitudes
TABLE_BITS = 12  # a period is kept as 2**12 samples

# Loudness of the harmonics 1, 2, 3 and 4, of sum 1. At the ceiling the highest one is at 3,520 Hz.
TIMBRES = {
    "circle": (1.0, 0.0, 0.0, 0.0),
    "square": (0.6, 0.0, 0.4, 0.0),
    "triangle": (0.3, 0.3, 0.2, 0.2),
    "cross": (0.6, 0.0, 0.0, 0.4),
}


@lru_cache(maxsize=1)
def make_wavetables() -> Float[np.ndarray, "shapes period"]:
    """One period of every timbre."""
    harmonic, place = np.arange(1, 5)[:, None], np.arange(1 << TABLE_BITS) / (1 << TABLE_BITS)
    waves = np.cos(2 * np.pi * harmonic * place)  # (4, 1 << TABLE_BITS)
    tables = (np.array(list(TIMBRES.values())) @ waves).astype(np.float32)
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
        loudness: of each copy's voice, from 0 (silent) to 1.
        tremble: how far the loudness swings: 0 is a steady voice, 1 falls silent at every swing.
        sample_rate: samples a second.
    """
    # The phase is a 32-bit number that overflows once a period; its highest bits are the place in the table.
    samples = height.shape[-1]
    slowest = np.float32(LOWEST_PITCH / sample_rate * 2**32)
    advance = (slowest * np.exp2(np.float32(OCTAVES) * height)).astype(np.uint32)
    phase = np.cumsum(advance, axis=-1, dtype=np.uint32) - advance  # 0 at the first sample
    place = (phase >> (32 - TABLE_BITS)) + (shape[:, None, None] << TABLE_BITS)
    voices = np.take(make_wavetables(), place)
    time = np.arange(samples) / sample_rate
    swing = 1 - tremble[:, None] * np.sin(np.pi * TREMBLE_RATE * time) ** 2
    return LOUDEST_VOICE * swing.astype(np.float32) * np.einsum("nk,nks->ns", loudness, voices)


def add_clicks(
    waveforms: Float[np.ndarray, "n samples"], moments: Float[np.ndarray, "n k"], sample_rate: int
) -> None:
    """Add, in place, a click at each moment from 0, the beginning of a clip, to 1, its end; later is never.

    A click is a tone of 2.5 kHz, or of a quarter of a low sample rate, that dies away in some milliseconds.
    """
    samples = waveforms.shape[-1]
    time = np.arange(min(samples, sample_rate // 50)) / sample_rate
    tone = np.sin(2 * np.pi * min(2500.0, sample_rate / 4) * time)
    click = (CLICK * tone * np.exp(-time / 0.004)).astype(np.float32)
    clip, copy = np.nonzero(moments < 1)
    first = (moments[clip, copy] * samples).astype(np.int64)
    for row, begin in zip(clip, first, strict=True):
        heard = waveforms[row, begin : begin + len(click)]
        heard += click[: len(heard)]
