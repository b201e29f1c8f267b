"""Wrong ways back to a waveform, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from minitvlt.signals import inversion, spectrogram

from .blanks import Mistake

Array = np.ndarray

# ---------------------------------------------------------------------------------------------- overlap_add


def add_frames(
    frames: Array,
    hop_length: int,
    *,
    adds: bool = True,
    start: float = 0.5,
    hop: int = 0,
    is_cut: bool = True,
) -> Array:
    """`overlap_add` with one fault; `start` in windows."""
    *batch, count, length = frames.shape
    step, samples = hop_length + hop, (count - 1) * hop_length
    total = np.zeros((*batch, (count - 1) * step + 2 * length), frames.dtype)
    for t in range(count):
        part = total[..., t * step : t * step + length]
        part[...] = frames[..., t, :] + adds * part
    if not is_cut:
        return total[..., : (count - 1) * step + length]
    return total[..., int(start * length) : int(start * length) + samples]


def cut_elsewhere(
    frames: Array, hop_length: int, *, start: Any = lambda length, hop: length // 2, more: int = 0
) -> Array:
    """Another part of the sum."""
    total = add_frames(frames, hop_length, is_cut=False)
    first, samples = start(frames.shape[-1], hop_length), (frames.shape[-2] - 1) * hop_length + more
    return total[..., first : first + max(0, samples)]


def add_frames_at(frames: Array, hop_length: int, hop: int | None = None, *, combine: Any = np.add) -> Array:
    """Another hop, or another operation than the sum."""
    *batch, count, length = frames.shape
    step, samples = hop or hop_length, (count - 1) * hop_length
    total = np.zeros((*batch, samples + count * length), frames.dtype)
    for t in range(count):
        part = total[..., t * step : t * step + length]
        part[...] = combine(part, frames[..., t, :])
    return total[..., length // 2 : length // 2 + samples]


def take_middles(frames: Array, hop_length: int) -> Array:
    """The middle of each frame, side by side."""
    middle = frames[..., :-1, frames.shape[-1] // 2 :][..., :hop_length]
    return middle.reshape(*frames.shape[:-2], -1)


def wrap_around(frames: Array, hop_length: int) -> Array:
    """Negative places at the end."""
    *batch, count, length = frames.shape
    samples = (count - 1) * hop_length
    waveform = np.zeros((*batch, samples), frames.dtype)
    for t in range(count):
        for m in range(length):
            place = t * hop_length + m - length // 2
            if -samples <= place < samples:
                waveform[..., place] += frames[..., t, m]
    return waveform


OVERLAP_MISTAKES = (
    Mistake(
        partial(add_frames, adds=False),
        "A frame replaces what earlier frames left there. Overlapping frames have to be added: +=.",
    ),
    Mistake(
        partial(add_frames, start=0),
        "Half a window too much stands before the waveform: it begins at the centre of the first frame.",
    ),
    Mistake(
        partial(add_frames, start=1),
        "The waveform begins at the end of the first frame. It begins at its centre, window_length // 2.",
    ),
    Mistake(
        partial(add_frames, is_cut=False),
        "The half frames at both ends are kept: the waveform goes from the centre of the first frame to that "
        "of the last one, (S - 1) * hop_length samples.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames, hop_length) / np.ceil(frames.shape[-1] / hop_length),
        "The sum is divided by the number of overlapping frames. The sum itself is asked for.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames, frames.shape[-1])[
            ..., : (frames.shape[-2] - 1) * hop_length
        ],
        "The frames are put one after the other without overlap: frame t begins t * hop_length samples after "
        "frame 0.",
    ),
    Mistake(
        partial(add_frames, hop=1),
        "The hop is too long by one sample: frame t begins t * hop_length samples after frame 0.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(
            frames * (np.arange(frames.shape[-2]) < frames.shape[-2] - 1)[:, None], hop_length
        ),
        "The last frame is not added.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(
            frames * (np.arange(frames.shape[-2]) > 0)[:, None], hop_length
        ),
        "The first frame is not added.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames[..., ::-1, :], hop_length),
        "The frames are added in reverse order.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames[..., ::-1], hop_length),
        "The samples of each frame run backwards.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames, hop_length, is_cut=False)[..., frames.shape[-1] // 2 :],
        "The end is not cut off: (S - 1) * hop_length samples remain.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames, hop_length, is_cut=False)[
            ..., frames.shape[-1] // 2 : -(frames.shape[-1] // 2) or None
        ],
        "With an odd window length one sample too many is kept at the end: (S - 1) * hop_length samples "
        "remain.",
    ),
    *(
        Mistake(
            partial(cut_elsewhere, start=start),
            f"The cut is at {name}. It has to be at half a window, window_length // 2.",
        )
        for start, name in (
            (lambda length, hop: hop, "hop_length"),
            (lambda length, hop: hop // 2, "half a hop"),
            (lambda length, hop: length // 2 + 1, "window_length // 2 + 1"),
            (lambda length, hop: length // 2 - 1, "window_length // 2 - 1"),
            (lambda length, hop: (length + 1) // 2, "half a window, rounded up"),
        )
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames, hop_length) / add_frames(0 * frames + 1, hop_length),
        "The sum is divided by the number of frames at each sample. The sum itself is asked for.",
    ),
    Mistake(
        lambda frames, hop_length: add_frames(frames * spectrogram.make_window(frames.shape[-1]), hop_length),
        "The frames are multiplied by the window here. That belongs to invert_stft.",
    ),
    Mistake(
        partial(add_frames, hop=-1),
        "The hop is too short by one sample: frame t begins t * hop_length samples after frame 0.",
    ),
    *(
        Mistake(
            lambda frames, hop_length, more=more: cut_elsewhere(frames, hop_length, more=more),
            "There is one sample too many at the end: (S - 1) * hop_length samples remain."
            if more > 0
            else "There is one sample too few at the end: (S - 1) * hop_length samples remain.",
        )
        for more in (1, -1)
    ),
    Mistake(
        lambda frames, hop_length: cut_elsewhere(frames, hop_length, more=hop_length),
        "There are S * hop_length samples. There have to be (S - 1) * hop_length.",
    ),
    Mistake(
        lambda frames, hop_length: np.broadcast_to(
            add_frames(frames.sum(axis=tuple(range(frames.ndim - 2))), hop_length),
            (*frames.shape[:-2], (frames.shape[-2] - 1) * hop_length),
        ),
        "The waveforms of the batch are added up. Each has its own frames.",
    ),
    *(
        Mistake(
            lambda frames, hop_length, part=part: add_frames_at(
                frames, hop_length, max(1, frames.shape[-1] // part)
            ),
            f"Frames are window_length // {part} samples apart. Use the argument hop_length.",
        )
        for part in (2, 4)
    ),
    Mistake(
        partial(add_frames_at, hop=None, combine=np.maximum),
        "Where frames overlap, the larger value is taken. The values have to be added.",
    ),
    Mistake(
        take_middles,
        "Only hop_length samples of each frame are used. All samples are added to what overlaps.",
    ),
    Mistake(
        wrap_around,
        "What lies before the first sample is added at the end: negative indices count from the end. Cut it "
        "off.",
    ),
)


# ---------------------------------------------------------------------------------------------- invert_stft


def invert(
    spectrum: Array,
    hop_length: int,
    *,
    window: Any = spectrogram.make_window,
    weigh: Any = np.square,
    lowest: float = 0.01,
    floor: Any = np.maximum,
    change: Any = lambda frames: frames,
    more: int = 0,
) -> Array:
    """`invert_stft` with one fault."""
    length = 2 * (spectrum.shape[-1] - 1) + more
    total = np.broadcast_to(weigh(spectrogram.make_window(length)), (spectrum.shape[-2], length))
    weight = floor(inversion.overlap_add(total, hop_length), lowest)
    frames = change(np.fft.irfft(spectrum, length)) * window(length)
    with np.errstate(all="ignore"):
        return inversion.overlap_add(frames, hop_length) / weight


INVERT_MISTAKES = (
    Mistake(
        partial(invert, window=np.ones),
        "The frames are not multiplied by the window again before they are added.",
    ),
    Mistake(
        partial(invert, window=np.ones, weigh=lambda window: window),
        "The frames are not windowed again, and the sum is divided by the sum of the windows. For least "
        "squares it takes the window once more, and the sum of its squares below.",
    ),
    Mistake(
        partial(invert, weigh=lambda window: window),
        "The sum is divided by the sum of the windows. It has to be the sum of their squares: the window is "
        "applied twice, before and after.",
    ),
    Mistake(
        partial(invert, weigh=np.ones_like, floor=lambda weight, lowest: np.ones_like(weight)),
        "The sum of the frames is not divided by the sum of the squared windows.",
    ),
    Mistake(
        partial(invert, weigh=np.ones_like),
        "The sum of the frames is divided by the number of frames. It has to be the sum of the squared "
        "windows.",
    ),
    Mistake(
        partial(invert, floor=lambda weight, lowest: weight),
        "The sum of the squared windows is not raised to 0.01 where it is lower: the division by nearly 0 "
        "makes large values.",
    ),
    Mistake(
        partial(invert, floor=np.add),
        "0.01 is added to the sum of the squared windows. Only lower values have to be raised to it: "
        "np.maximum.",
    ),
    *(
        Mistake(
            partial(invert, more=more),
            "The window length is wrong: bins frequencies belong to windows of 2 * (bins - 1) samples.",
        )
        for more in (1, 2)
    ),
    Mistake(
        lambda spectrum, hop_length: invert(spectrum, hop_length, more=2 - spectrum.shape[-1]),
        "The number of frequencies is taken for the window length: bins frequencies belong to windows of 2 * "
        "(bins - 1) samples.",
    ),
    Mistake(
        partial(invert, change=lambda frames: frames[..., ::-1]),
        "Each frame is reversed in time. That is what the other sign of the exponent gives: use "
        "np.fft.irfft.",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(spectrum.real, hop_length),
        "The imaginary part of the spectrum, and with it the phase, is dropped.",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(np.abs(spectrum), hop_length),
        "The spectrum is replaced by its magnitude: the phase is dropped.",
    ),
    Mistake(
        partial(invert, change=lambda frames: frames * frames.shape[-1]),
        "The frames are too large by window_length: the inverse transform divides by it (np.fft.irfft does).",
    ),
    *(
        Mistake(
            partial(invert, lowest=lowest),
            "The lower limit of the sum of the squared windows is not 0.01: the sum has to be raised to 0.01 "
            "where it is lower.",
        )
        for lowest in (1e-10, 1e-8, 1e-6, 1e-3, 0.1)
    ),
    Mistake(
        partial(invert, floor=lambda weight, lowest: np.where(weight < lowest, 1.0, weight)),
        "Where the sum of the squared windows is low, it is replaced by 1. It has to be raised to 0.01.",
    ),
    Mistake(
        partial(invert, floor=lambda weight, lowest: np.where(weight < lowest, np.inf, weight)),
        "Where the sum of the squared windows is low, the waveform is set to 0. The sum has to be raised to "
        "0.01.",
    ),
    Mistake(
        partial(
            invert, weigh=lambda window: window, floor=lambda weight, lowest: np.maximum(weight**2, lowest)
        ),
        "The sum of the windows is squared. The squared windows have to be added up.",
    ),
    Mistake(
        partial(invert, window=lambda length: 1 / np.maximum(spectrogram.make_window(length), 0.01)),
        "The frames are divided by the window. They have to be multiplied by it once more.",
    ),
    Mistake(
        partial(invert, window=lambda length: spectrogram.make_window(length) ** 2),
        "The frames are multiplied by the window twice. Once is enough: they carry it once already.",
    ),
    Mistake(
        lambda spectrum, hop_length: (
            invert(
                spectrum, hop_length, weigh=np.ones_like, floor=lambda weight, lowest: np.ones_like(weight)
            )
            / (spectrogram.make_window(2 * (spectrum.shape[-1] - 1)) ** 2).sum()
            * hop_length
        ),
        "The waveform is divided by one number. It has to be divided by the sum of the squared windows at "
        "each sample, which differs at the ends and between the frames.",
    ),
    Mistake(
        partial(invert, weigh=lambda window: window**4),
        "The window is squared twice in the denominator: overlap_add of window ** 2.",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(
            np.concatenate([spectrum[..., :1], spectrum[..., 1:-1] / 2, spectrum[..., -1:]], axis=-1),
            hop_length,
        ),
        "Half of the spectrum is missing: real samples need the conjugated half too. np.fft.irfft adds it, "
        "np.fft.ifft does not.",
    ),
    Mistake(
        partial(invert, change=lambda frames: np.fft.fftshift(frames, axes=-1)),
        "The halves of each frame are exchanged (fftshift).",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(spectrum, hop_length)[..., ::-1],
        "The waveform runs backwards.",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(np.conj(spectrum), hop_length),
        "Each frame runs backwards: the exponent of the inverse transform has the wrong sign.",
    ),
    Mistake(
        partial(invert, floor=np.minimum),
        "np.minimum stands where np.maximum is needed: the sum is raised to at least 0.01.",
    ),
    Mistake(
        partial(invert, floor=lambda weight, lowest: 1 / np.maximum(weight, lowest)),
        "The waveform is multiplied by the sum of the squared windows. It has to be divided by it.",
    ),
    Mistake(
        partial(invert, floor=lambda weight, lowest: np.maximum(np.sqrt(weight), lowest)),
        "The square root of the sum of the squared windows is taken. It divides as it is.",
    ),
    Mistake(
        partial(
            invert,
            window=lambda length: (w := spectrogram.make_window(length)) / np.maximum(w**2, 0.01),
            floor=lambda weight, lowest: np.ones_like(weight),
        ),
        "Each frame is divided by its own squared window. The sum of the frames has to be divided by the sum "
        "of the squared windows.",
    ),
    Mistake(
        lambda spectrum, hop_length: invert(
            np.concatenate([2 * spectrum[..., :1], spectrum[..., 1:-1], 2 * spectrum[..., -1:]], axis=-1),
            hop_length,
        ),
        "The first and the last frequency, which have no conjugate, are doubled: use np.fft.irfft.",
    ),
    *(
        Mistake(
            lambda spectrum, hop_length, factor=factor: (
                invert(
                    spectrum,
                    hop_length,
                    weigh=np.ones_like,
                    floor=lambda weight, lowest: np.ones_like(weight),
                )
                * factor
            ),
            "The waveform is multiplied by one number. It has to be divided by the sum of the squared "
            "windows at each sample, which differs at the ends and between the frames.",
        )
        for factor in (2 / 3, 1 / 1.5, 8 / 3, 3 / 8, 0.5, 2)
    ),
)
