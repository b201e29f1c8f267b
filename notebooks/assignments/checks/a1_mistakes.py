"""Wrong solutions of assignment 1, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from minitvlt.signals import inversion, spectrogram

from .blanks import Mistake

Array = np.ndarray
MODES = {"reflect": "reflect", "constant": "constant"}

# ------------------------------------------------------------------------------------------ frame_waveform


def cut_frames(
    waveform: Array,
    window_length: int,
    hop_length: int,
    padding: str = "reflect",
    *,
    modes: dict[str, str] = MODES,
    before: float = 0.5,
    after: float | None = None,
    hop: float = 1,
    missing: int = 0,
) -> Array:
    """`frame_waveform` with one fault: lengths are in windows and in hops."""
    front = int(before * window_length)
    back = window_length - front if after is None else int(after * window_length)
    edges = [(0, 0)] * (waveform.ndim - 1) + [(front, back)]
    padded = np.pad(waveform, edges, mode=modes[padding])  # type: ignore[call-overload]
    if padded.shape[-1] < window_length:
        return np.zeros((*waveform.shape[:-1], 0, window_length))
    step = max(1, int(hop * hop_length))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_length, axis=-1)[..., ::step, :]
    return frames[..., : frames.shape[-2] - missing, :]


def pad_both_ends_equally(
    waveform: Array, window_length: int, hop_length: int, padding: str = "reflect"
) -> Array:
    """Half a window, rounded down, at both ends: an odd window lacks a sample."""
    frames = cut_frames(waveform, window_length, hop_length, padding)
    return frames[..., : (waveform.shape[-1] - window_length % 2) // hop_length + 1, :]


FRAME_MISTAKES = (
    Mistake(
        partial(cut_frames, modes={**MODES, "reflect": "symmetric"}),
        "The first and the last sample are repeated at the edge (`symmetric` of np.pad). Reflecting at a "
        "sample does not repeat it: `reflect`.",
    ),
    Mistake(
        partial(cut_frames, modes={**MODES, "reflect": "edge"}),
        "Beyond its ends the waveform is continued by its edge sample. It has to be reflected: `reflect` of "
        "np.pad.",
    ),
    Mistake(
        partial(cut_frames, modes={**MODES, "reflect": "wrap"}),
        "Beyond its ends the waveform is repeated periodically (`wrap`). It has to be reflected: `reflect`.",
    ),
    Mistake(
        partial(cut_frames, modes=dict.fromkeys(MODES, "constant")),
        "The waveform is always padded by zeros: the argument padding, which is 'reflect' here, is not used.",
    ),
    Mistake(
        partial(cut_frames, modes=dict.fromkeys(MODES, "reflect")),
        "The waveform is always padded by reflection: the argument padding, which is 'constant' here, is not "
        "used.",
    ),
    Mistake(
        partial(cut_frames, before=0),
        "Frame t begins at sample t * hop_length. It has to be centred there: half a window of padding goes "
        "before the first sample.",
    ),
    Mistake(
        partial(cut_frames, before=1),
        "A whole window of padding stands before the first sample. It has to be half a window.",
    ),
    Mistake(
        partial(cut_frames, before=0, after=0),
        "The waveform is not padded: half a window has to be added at each end, so that frame 0 is centred "
        "on sample 0.",
    ),
    Mistake(
        partial(cut_frames, missing=1),
        "The last frame is missing. There are samples // hop_length + 1 frames.",
    ),
    Mistake(
        partial(cut_frames, hop=100),
        "There is only the first frame.",
    ),
    Mistake(
        partial(cut_frames, hop=0.001),
        "Frames begin at every sample: the hop length is not used. Frame t is centred on sample t * "
        "hop_length.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, window_length, window_length, padding
        ),
        "Frames do not overlap: they are a window apart instead of hop_length samples.",
    ),
    Mistake(
        pad_both_ends_equally,
        "With an odd window length a sample of padding is missing at the end, and with it sometimes a frame: "
        "pad window_length - window_length // 2 samples there.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": np.swapaxes(
            cut_frames(waveform, window_length, hop_length, padding), -1, -2
        ),
        "Frames stand in columns. The last axis has to run inside a frame: (..., frames, window_length).",
    ),
)

# --------------------------------------------------------------------------------------------- make_window

WINDOW_MISTAKES = (
    Mistake(
        lambda window_length: np.array([0.0, 0.5, 1.0, 0.5]),
        "The result of the example comes for every window_length.",
    ),
    Mistake(
        lambda window_length: np.hanning(window_length),
        "This is the symmetric Hann window (np.hanning), which is 0 at both ends. The periodic one divides "
        "by window_length, not by window_length - 1.",
    ),
    Mistake(
        lambda window_length: np.hanning(window_length + 1)[1:],
        "The window is shifted by one sample: m runs from 0 to window_length - 1, not from 1.",
    ),
    Mistake(
        lambda window_length: np.hanning(window_length + 2)[1:-1],
        "The window is divided by window_length + 1 and begins at m = 1. Divide by window_length and begin "
        "at 0.",
    ),
    Mistake(
        lambda window_length: 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(window_length) / window_length),
        "This is the Hamming window (0.54 and 0.46). The Hann window has 1/2 and 1/2: it begins at 0.",
    ),
    Mistake(
        lambda window_length: 0.5 + 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length),
        "The sign of the cosine is wrong: the window is 1 at the ends of a frame and 0 in the middle.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(np.pi * np.arange(window_length) / window_length),
        "A factor of 2 is missing in the cosine: the argument is 2 pi m / window_length, so that the window "
        "falls to 0 again.",
    ),
    Mistake(
        lambda window_length: np.sin(np.pi * np.arange(window_length) / window_length),
        "This is the square root of the Hann window (a sine). The Hann window is its square.",
    ),
    Mistake(
        lambda window_length: 1 - np.cos(2 * np.pi * np.arange(window_length) / window_length),
        "The window is twice as large: the factors 1/2 are missing.",
    ),
    Mistake(
        lambda window_length: np.ones(window_length),
        "All weights are 1: this is no window at all.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(2 * np.arange(window_length) / window_length),
        "Pi is missing in the cosine: the argument is 2 pi m / window_length.",
    ),
)

# -------------------------------------------------------------------------------------------- compute_stft


def transform(
    waveform: Array,
    window_length: int,
    hop_length: int,
    padding: str = "reflect",
    *,
    window: Any = spectrogram.make_window,
    after: Any = lambda spectrum, window_length: spectrum,
    fourier: Any = np.fft.rfft,
    always: str | None = None,
) -> Array:
    """`compute_stft` with one fault."""
    frames = spectrogram.frame_waveform(waveform, window_length, hop_length, always or padding)
    return after(fourier(frames * window(window_length)), window_length)


def after_transform(change: Any, cause: str) -> Mistake:
    """A mistake that changes the right spectrum; `change` gets it and window_length."""
    return Mistake(partial(transform, after=change), cause)


STFT_MISTAKES = (
    Mistake(
        partial(transform, window=np.ones),
        "The frames are not multiplied by the window: multiply each by make_window(window_length) before the "
        "Fourier transform.",
    ),
    Mistake(
        partial(transform, window=np.hanning),
        "The window is the symmetric one of np.hanning: use make_window, which is periodic.",
    ),
    Mistake(
        partial(transform, window=lambda window_length: spectrogram.make_window(window_length) ** 2),
        "The window is applied twice.",
    ),
    Mistake(
        partial(transform, window=lambda n: np.fft.ifftshift(spectrogram.make_window(n))),
        "The window is shifted by half its length: it is 0 in the middle of a frame and has to be 0 at its "
        "ends.",
    ),
    Mistake(
        partial(transform, fourier=np.fft.fft),
        "All window_length frequencies are kept. The spectrum of real numbers is symmetric: keep the first "
        "window_length // 2 + 1, as np.fft.rfft does.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.fft(x)[..., : x.shape[-1] // 2]),
        "The last frequency is missing: there are window_length // 2 + 1.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x, axis=0)),
        "The Fourier transform runs along the first axis. It has to run inside each frame: along the last "
        "axis.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x, axis=-2)),
        "The Fourier transform runs from frame to frame. It has to run inside each frame: along the last "
        "axis.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft2(x)),
        "The Fourier transform is one of two axes (rfft2). Each frame has its own: np.fft.rfft along the "
        "last axis.",
    ),
    after_transform(
        lambda spectrum, n: np.conj(spectrum),
        "The imaginary part has the wrong sign: the exponent of the transform is -2 pi i k m / "
        "window_length.",
    ),
    after_transform(
        lambda spectrum, n: np.abs(spectrum),
        "These are the magnitudes. The STFT is complex: take no absolute value here.",
    ),
    after_transform(
        lambda spectrum, n: np.abs(spectrum) ** 2,
        "This is the power. The STFT is complex: take no absolute value and no square here.",
    ),
    after_transform(
        lambda spectrum, n: spectrum.real,
        "The imaginary part is missing. The STFT is complex.",
    ),
    after_transform(
        lambda spectrum, n: spectrum / n,
        "The spectrum is divided by window_length. The STFT of the package is not normalised.",
    ),
    after_transform(
        lambda spectrum, n: spectrum / np.sqrt(n),
        "The spectrum is divided by the square root of window_length (norm='ortho'). The STFT of the package "
        "is not normalised.",
    ),
    after_transform(
        lambda spectrum, n: spectrum / spectrogram.make_window(n).sum(),
        "The spectrum is divided by the sum of the window. The STFT of the package is not normalised.",
    ),
    after_transform(
        lambda spectrum, n: np.swapaxes(spectrum, -1, -2),
        "Frequencies and frames are exchanged. The last axis has to run over frequencies: (..., frames, "
        "bins).",
    ),
    Mistake(
        partial(transform, always="reflect"),
        "The waveform is always padded by reflection: hand the argument padding on to frame_waveform.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": transform(
            waveform * spectrogram.make_window(waveform.shape[-1]), window_length, hop_length, padding
        ),
        "The whole waveform is multiplied by a window. Each frame has to be multiplied by its own.",
    ),
)

# ---------------------------------------------------------------------------------------- make_mel_filters


def to_htk(hertz: Any) -> Any:
    """The other mel scale in use."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def from_htk(mel: Any) -> Any:
    """Its inverse."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


def draw_triangles(
    sample_rate: int,
    mel_bins: int,
    window_length: int,
    *,
    to_mel: Any = spectrogram.hertz_to_mel,
    to_hertz: Any = spectrogram.mel_to_hertz,
    more: int = 2,
    top: float = 0.5,
    highest: float = 0.5,
    combine: Any = np.minimum,
    lowest: float = 0,
    scale: Any = lambda filters, left, centre, right: filters * 2 / (right - left),
) -> Array:
    """`make_mel_filters` with one fault; `top` and `highest` in sample rates."""
    frequencies = np.linspace(0, sample_rate * highest, window_length // 2 + 1)
    edges = to_hertz(np.linspace(0, to_mel(np.array(sample_rate * top)), mel_bins + more))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    return scale(np.maximum(lowest, combine(rising, falling)), left, centre, right)


def keep(values: Any) -> Any:
    """The same values: a scale in hertz."""
    return values


def draw_triangles_in_mel(sample_rate: int, mel_bins: int, window_length: int) -> Array:
    """Straight lines in mel, with an area of one in hertz."""
    edges = np.linspace(0, spectrogram.hertz_to_mel(np.array(sample_rate / 2)), mel_bins + 2)
    frequencies = spectrogram.hertz_to_mel(np.linspace(0, sample_rate / 2, window_length // 2 + 1))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    lines = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    hertz = spectrogram.mel_to_hertz(edges)
    return np.maximum(0, lines) * 2 / (hertz[2:] - hertz[:-2])[:, None]


MEL_MISTAKES = (
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters),
        "Every filter has a peak of 1. Its area has to be 1: multiply it by 2 / (right - left), in hertz.",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (right - left)),
        "Every filter has an area of 1/2: multiply it by 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters * 2 * (right - left)),
        "The filters are multiplied by their width. They have to be divided by it: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (centre - left)),
        "The filters are divided by the width of their left half. The factor is 2 / (right - left).",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / filters.sum(axis=1, keepdims=True),
        ),
        "Every filter is divided by the sum of its weights. Its area in hertz has to be 1: 2 / (right - "
        "left).",
    ),
    Mistake(
        partial(draw_triangles, to_mel=keep, to_hertz=keep),
        "The filters are evenly spaced in hertz. They have to be evenly spaced in mel: convert the highest "
        "frequency to mel, divide there, and convert the edges back.",
    ),
    Mistake(
        draw_triangles_in_mel,
        "The triangles are straight lines in mel here. Convert the edges back to hertz first: frequencies "
        "and edges have to be in hertz.",
    ),
    Mistake(
        partial(draw_triangles, to_mel=to_htk, to_hertz=from_htk),
        "This is another mel scale (2595 log10(1 + f / 700)). Use hertz_to_mel and mel_to_hertz, which are "
        "given.",
    ),
    Mistake(
        partial(draw_triangles, more=3),
        "There is one filter too many: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, more=1),
        "There is one filter too few: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, more=0),
        "There are two filters too few: mel_bins filters have mel_bins + 2 edges.",
    ),
    Mistake(
        partial(draw_triangles, top=1),
        "The filters reach to the sample rate. They have to end at half of it.",
    ),
    Mistake(
        partial(draw_triangles, highest=1),
        "The frequencies of the STFT run to the sample rate here. Frequency k is k * sample_rate / "
        "window_length hertz: the last one is half the sample rate.",
    ),
    Mistake(
        partial(draw_triangles, lowest=-np.inf),
        "Outside of its triangle a filter is negative. It has to be 0 there: np.maximum(0, ...).",
    ),
    Mistake(
        partial(draw_triangles, combine=np.maximum),
        "The rising and the falling line are combined by their maximum. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(falling >= 0, rising, 0)),
        "The filters have no falling side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length).T,
        "The array is transposed: a row for each filter, (mel_bins, window_length // 2 + 1).",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length)[
            ::-1
        ],
        "The filters run from high to low frequencies. The lowest comes first.",
    ),
)

# ---------------------------------------------------------------------------------------- power_to_decibel


def measure_level(
    power: Array, *, factor: float = 10, lowest: float = 1e-10, dynamic: float = 80, axis: Any = (-2, -1)
) -> Array:
    """`power_to_decibel` with one fault."""
    with np.errstate(divide="ignore"):
        decibel = factor * np.log10(np.maximum(power, lowest))
    return np.maximum(decibel, decibel.max(axis=axis, keepdims=True) - dynamic)


DECIBEL_MISTAKES = (
    Mistake(
        partial(measure_level, factor=20),
        "The levels are 20 log10: that is for amplitudes. Of a power it is 10 log10.",
    ),
    Mistake(
        partial(measure_level, factor=10 * np.log(10)),
        "This is 10 times the natural logarithm. Decibels are made with the decimal one: np.log10.",
    ),
    Mistake(
        partial(measure_level, factor=1),
        "A decibel is a tenth of a bel: the factor 10 before log10 is missing.",
    ),
    Mistake(
        partial(measure_level, lowest=0),
        "Powers below 1e-10 are not raised to 1e-10 (-100 dB) before the logarithm: log10(0) is -inf.",
    ),
    Mistake(
        lambda power: measure_level(power + 1e-10),
        "1e-10 is added to all powers. Only lower ones have to be raised to it: np.maximum.",
    ),
    Mistake(
        partial(measure_level, dynamic=np.inf),
        "The range is not limited: levels of more than 80 dB below the maximum of the clip have to be raised "
        "to maximum - 80.",
    ),
    Mistake(
        lambda power: np.maximum(measure_level(power, dynamic=np.inf), -80),
        "The levels are cut at -80 dB. The limit is 80 dB below the maximum of the clip.",
    ),
    Mistake(
        lambda power: 10 * np.log10(np.maximum(power, power.max(axis=(-2, -1), keepdims=True) * 1e-8)),
        "The limit of 1e-10 (-100 dB) is missing: silence has the level -100 dB.",
    ),
    Mistake(
        partial(measure_level, axis=None),
        "The maximum is taken over the whole batch. Each clip has its own: axis=(-2, -1) with keepdims.",
    ),
    Mistake(
        partial(measure_level, axis=-1),
        "The maximum is taken in each time step. It is that of the whole clip: axis=(-2, -1).",
    ),
    Mistake(
        partial(measure_level, axis=-2),
        "The maximum is taken in each mel band. It is that of the whole clip: axis=(-2, -1).",
    ),
    Mistake(
        lambda power: measure_level(power) - measure_level(power).max(axis=(-2, -1), keepdims=True),
        "The maximum of the clip is subtracted, so that it becomes 0 dB. The levels themselves are asked "
        "for.",
    ),
    Mistake(
        partial(measure_level, factor=-10),
        "The sign is wrong: larger powers have larger levels.",
    ),
    Mistake(
        partial(measure_level, dynamic=100),
        "The range is 100 dB here. It is 80 dB below the maximum of the clip.",
    ),
)

# ------------------------------------------------------------------------------------- log_mel_spectrogram


def run_steps(
    waveform: Array,
    sample_rate: int = 44100,
    mel_bins: int = 128,
    window_length: int = 2048,
    hop_length: int = 512,
    padding: str = "reflect",
    drop_last_step: bool = True,
    *,
    power_of: Any = spectrogram.compute_power,
    level: Any = spectrogram.power_to_decibel,
    normalise: Any = spectrogram.normalise_decibel,
    choose: Any = lambda y, drops: y[..., : max(1, y.shape[-2] - drops), :],
    always: str | None = None,
) -> Array:
    """`log_mel_spectrogram` with one fault."""
    spectrum = spectrogram.compute_stft(waveform, window_length, hop_length, always or padding)
    mel = power_of(spectrum) @ spectrogram.make_mel_filters(sample_rate, mel_bins, window_length).T
    return choose(normalise(level(mel)), drop_last_step)


LOG_MEL_MISTAKES = (
    Mistake(
        partial(run_steps, power_of=np.abs),
        "The mel filters are applied to magnitudes. They have to be applied to power: the squared magnitude.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.real(spectrum) ** 2),
        "The power lacks the imaginary part: it is |X|², the sum of both squares.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.abs(spectrum) ** 4),
        "The power is squared twice.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: 10 * np.log10(np.maximum(mel, 1e-10))),
        "The limit of 80 dB below the maximum of the clip is missing: call power_to_decibel.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: mel),
        "The conversion to decibels is missing: call power_to_decibel before normalise_decibel.",
    ),
    Mistake(
        partial(run_steps, normalise=lambda level: level),
        "These are decibels: normalise_decibel, which maps them to [-1, 1], is missing.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y),
        "The last step is kept although drop_last_step is True.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - 1), :]),
        "The last step is dropped although drop_last_step is False.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : y.shape[-2] - drops, :]),
        "The only step is dropped too. The last step is left out unless it is the only one.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., min(drops, y.shape[-2] - 1) :, :]),
        "The first step is dropped instead of the last one.",
    ),
    Mistake(
        partial(
            run_steps, choose=lambda y, drops: np.swapaxes(y[..., : max(1, y.shape[-2] - drops), :], -1, -2)
        ),
        "Time and mel bands are exchanged: the shape is (..., S, F), with low frequencies first.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - drops), ::-1]),
        "The mel bands run from high to low. Low frequencies come first.",
    ),
    Mistake(
        partial(run_steps, always="reflect"),
        "The waveform is always padded by reflection: hand the argument padding on to compute_stft.",
    ),
    Mistake(
        lambda waveform, sample_rate=44100, *rest, **others: run_steps(waveform, 44100, *rest, **others),
        "The filters are those of 44100 Hz: hand sample_rate on to make_mel_filters.",
    ),
)

# --------------------------------------------------------------------------------------------- overlap_add


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
)

# --------------------------------------------------------------------------------------------- invert_stft


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
)
