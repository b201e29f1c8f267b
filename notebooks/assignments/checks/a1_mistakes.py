"""Wrong solutions of assignment 1, and what a tutor would say about each."""

import inspect
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
    shift: int = 0,
) -> Array:
    """`frame_waveform` with one fault: lengths are in windows and in hops, but `shift` is in samples."""
    front = int(before * window_length) + shift
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


def pad_all_axes(waveform: Array, window_length: int, hop_length: int, padding: str = "reflect") -> Array:
    """np.pad with two numbers for all axes."""
    half = window_length // 2
    padded = np.pad(waveform, (half, window_length - half), mode=padding)  # type: ignore[call-overload]
    places = np.arange(waveform.shape[-1] // hop_length + 1)[:, None] * hop_length + np.arange(window_length)
    return padded[..., places]


def fix_hop(part: int) -> Any:
    """A hop that is a part of the window, whatever is asked for."""
    return lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
        waveform, window_length, max(1, window_length // part), padding
    )


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
    *(
        Mistake(
            partial(cut_frames, shift=shift),
            f"All frames are shifted by one sample: {which} than it should be. Half a window, "
            "window_length // 2, goes before the first sample.",
        )
        for shift, which in ((-1, "each begins one sample later"), (1, "each begins one sample earlier"))
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, window_length, hop_length, padding, shift=window_length % 2
        ),
        "With an odd window length all frames are shifted by one sample: half a window is rounded down, "
        "window_length // 2, before the first sample, and the rest goes to the end.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, window_length, hop_length, padding, shift=hop_length // 2 - window_length // 2
        ),
        "Half a hop of padding stands before the first sample. It has to be half a window.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, window_length, hop_length, padding, shift=-hop_length
        ),
        "The frames begin one hop too late: frame 0 is centred on sample 0.",
    ),
    Mistake(
        pad_all_axes,
        "np.pad extends all axes here, also that of the batch. Only the last one has to be extended: [(0, "
        "0)] * (waveform.ndim - 1) + [(before, after)].",
    ),
    *(
        Mistake(
            fix_hop(part), f"Frames are window_length // {part} samples apart. Use the argument hop_length."
        )
        for part in (2, 4)
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, hop_length, window_length, padding
        ),
        "window_length and hop_length are exchanged.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform, window_length, hop_length, padding
        )[..., ::-1],
        "The samples run backwards inside each frame.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": (
            cut_frames(waveform, window_length, hop_length, padding) * spectrogram.make_window(window_length)
        ),
        "The frames are multiplied by the window already. That belongs to compute_stft.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": np.moveaxis(
            cut_frames(waveform, window_length, hop_length, padding), -2, 0
        ),
        "The axis of the frames comes first. It stands before the last one: np.stack(..., axis=-2).",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform.reshape(-1), window_length, hop_length, padding
        ),
        "The waveforms of a batch are joined to one. Each has its own frames: keep the leading axes.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": cut_frames(
            waveform,
            window_length,
            hop_length,
            padding,
            missing=waveform.shape[-1] % hop_length == 0,
        ),
        "The last frame is missing where hop_length divides the number of samples. There are samples // "
        "hop_length + 1 frames.",
    ),
    Mistake(
        partial(cut_frames, modes=dict.fromkeys(MODES, "symmetric")),
        "The first and the last sample are repeated at the edge (`symmetric` of np.pad), whatever padding "
        "says.",
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
    *(
        Mistake(
            function,
            "This is the Blackman window. The Hann window is 1/2 - 1/2 cos(2 pi m / window_length).",
        )
        for function in (
            lambda window_length: np.blackman(window_length),
            lambda window_length: np.blackman(window_length + 1)[:-1],
        )
    ),
    *(
        Mistake(
            function,
            "This is a triangular window. The Hann window is 1/2 - 1/2 cos(2 pi m / window_length).",
        )
        for function in (
            lambda window_length: np.bartlett(window_length),
            lambda window_length: np.bartlett(window_length + 1)[:-1],
        )
    ),
    Mistake(
        lambda window_length: np.hamming(window_length),
        "This is the Hamming window, which does not begin at 0, and the symmetric one.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(360 * np.arange(window_length) / window_length),
        "np.cos takes radians, not degrees: 2 pi in place of 360.",
    ),
    Mistake(
        lambda window_length: (
            0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(window_length) + 0.5) / window_length)
        ),
        "The window is shifted by half a sample: the argument of the cosine is 2 pi m / window_length, with "
        "m = 0 first.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.sin(2 * np.pi * np.arange(window_length) / window_length),
        "There is a sine in place of the cosine.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(4 * np.pi * np.arange(window_length) / window_length),
        "The cosine has two periods. It has one: 2 pi m / window_length.",
    ),
    Mistake(
        lambda window_length: spectrogram.make_window(window_length) ** 2,
        "This is the square of the Hann window.",
    ),
    Mistake(
        lambda window_length: (
            spectrogram.make_window(window_length) / spectrogram.make_window(window_length).sum()
        ),
        "The window is divided by its sum. Its largest value is 1.",
    ),
    Mistake(
        lambda window_length: spectrogram.make_window(window_length).astype(np.float32),
        "The window is in float32. It has to be in float64.",
    ),
    Mistake(
        lambda window_length: 0.5 - np.cos(2 * np.pi * np.arange(window_length) / window_length),
        "The factor 1/2 of the cosine is missing.",
    ),
    Mistake(
        lambda window_length: np.round(spectrogram.make_window(window_length)),
        "The window is rounded to whole numbers.",
    ),
    Mistake(
        lambda window_length: (
            0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length // 2 + 1) / window_length)
        ),
        "The window ends in the middle: m runs to window_length - 1.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length + 1) / window_length),
        "There is one weight too many: m runs from 0 to window_length - 1.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, window_length) / window_length),
        "The first weight, which is 0, is missing: m runs from 0 to window_length - 1.",
    ),
    Mistake(
        lambda window_length: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / (window_length + 1)),
        "The cosine is divided by window_length + 1. Divide by window_length.",
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


def window_the_spectrum(
    waveform: Array, window_length: int, hop_length: int, padding: str = "reflect"
) -> Array:
    """The window after the Fourier transform, half of it."""
    spectrum = transform(waveform, window_length, hop_length, padding, window=np.ones)
    return spectrum * spectrogram.make_window(2 * spectrum.shape[-1])[: spectrum.shape[-1]]


def window_from_frame_to_frame(
    waveform: Array, window_length: int, hop_length: int, padding: str = "reflect"
) -> Array:
    """The window along the wrong axis."""
    frames = spectrogram.frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * spectrogram.make_window(frames.shape[-2])[:, None])


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
    Mistake(
        partial(transform, fourier=lambda x: np.fft.fft(x)[..., 1 : x.shape[-1] // 2 + 1]),
        "The first frequency, 0, is missing: k runs from 0 to window_length // 2.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x, 2 * x.shape[-1])),
        "The frames are extended by zeros to twice their length before the Fourier transform: leave its "
        "argument n out.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x, 1 << (x.shape[-1]).bit_length())),
        "The frames are extended by zeros to a power of two: leave the argument n of the Fourier transform "
        "out.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x - x.mean(axis=-1, keepdims=True))),
        "The mean of each windowed frame is subtracted, which changes frequency 0.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": np.fft.rfft(
            (f := spectrogram.frame_waveform(waveform, window_length, hop_length, padding))
            * spectrogram.make_window(window_length)
            - f.mean(axis=-1, keepdims=True) * spectrogram.make_window(window_length)
        ),
        "The mean of each frame is subtracted first. The frames are taken as they are.",
    ),
    Mistake(
        lambda waveform, window_length, hop_length, padding="reflect": np.fft.rfft(
            spectrogram.frame_waveform(waveform, window_length, hop_length, padding)
            + spectrogram.make_window(window_length)
        ),
        "The window is added to the frames. It has to multiply them.",
    ),
    Mistake(
        window_the_spectrum,
        "The window multiplies the spectrum. It has to multiply the frames, before the Fourier transform.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.ihfft(x)),
        "This is the inverse transform: the exponent has the other sign, and the sum is divided by "
        "window_length.",
    ),
    Mistake(
        partial(
            transform, fourier=lambda x: np.fft.fftshift(np.fft.fft(x), axes=-1)[..., : x.shape[-1] // 2 + 1]
        ),
        "The frequencies are shifted (fftshift). They begin with 0.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x)[..., ::-1]),
        "The frequencies run from high to low. They begin with 0.",
    ),
    Mistake(
        partial(transform, always="constant"),
        "The waveform is always padded by zeros: hand the argument padding on to frame_waveform.",
    ),
    Mistake(
        partial(transform, window=np.hamming),
        "The window is not the Hann window: use make_window.",
    ),
    Mistake(
        partial(transform, window=lambda n: np.sqrt(spectrogram.make_window(n))),
        "The square root of the window is used: use make_window as it is.",
    ),
    after_transform(
        lambda spectrum, n: 2 * spectrum,
        "The spectrum is doubled.",
    ),
    after_transform(
        lambda spectrum, n: np.angle(spectrum),
        "These are the phases. The STFT is complex.",
    ),
    after_transform(
        lambda spectrum, n: 10 * np.log10(np.abs(spectrum) ** 2 + 1e-10),
        "These are decibels. The STFT is complex: power and decibels come later.",
    ),
    after_transform(
        lambda spectrum, n: spectrum.real + 0j,
        "The imaginary part is missing: the exponential has a cosine and a sine.",
    ),
    after_transform(
        lambda spectrum, n: 1j * spectrum.imag,
        "The real part is missing: the exponential has a cosine and a sine.",
    ),
    after_transform(
        lambda spectrum, n: np.stack([spectrum.real, spectrum.imag], axis=-1),
        "Real and imaginary part have an axis of their own. The result is an array of complex numbers.",
    ),
    after_transform(
        lambda spectrum, n: spectrum / np.linalg.norm(spectrogram.make_window(n)),
        "The window is divided by its length, the root of the sum of its squares. Use make_window as it is.",
    ),
    after_transform(
        lambda spectrum, n: spectrum / spectrogram.make_window(n).mean(),
        "The spectrum is divided by the mean of the window. The STFT of the package is not normalised.",
    ),
    *(
        Mistake(
            partial(
                transform,
                fourier=lambda x, turns=turns: (
                    x
                    @ np.exp(
                        -1j
                        * turns
                        * np.outer(np.arange(x.shape[-1]), np.arange(x.shape[-1] // 2 + 1))
                        / x.shape[-1]
                    )
                ),
            ),
            "A factor in the exponent is missing: it is -2 pi i k m / window_length.",
        )
        for turns in (np.pi, 1.0, 2.0)
    ),
    Mistake(
        partial(transform, window=np.ones, fourier=np.fft.fft),
        "Two things: the frames are not windowed, and all window_length frequencies are kept.",
    ),
    Mistake(
        partial(transform, window=np.ones, fourier=lambda x: np.fft.fft(x)[..., : x.shape[-1] // 2]),
        "Two things: the frames are not windowed, and the last frequency is missing.",
    ),
    Mistake(
        partial(transform, window=np.hanning, fourier=lambda x: np.fft.fft(x)[..., : x.shape[-1] // 2]),
        "Two things: the window is the symmetric one, and the last frequency is missing.",
    ),
    Mistake(
        partial(transform, fourier=lambda x: np.fft.rfft(x, axis=1)),
        "The Fourier transform runs along axis 1, which is not the last one for a batch: axis=-1.",
    ),
    Mistake(
        window_from_frame_to_frame,
        "The window runs from frame to frame. It has to run inside each frame, along the last axis.",
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
    bottom: Any = lambda frequencies: 0.0,
    endpoint: bool = True,
    frequencies_end: bool = True,
    change: Any = lambda edges, frequencies: edges,
) -> Array:
    """`make_mel_filters` with one fault; `top` and `highest` in sample rates."""
    frequencies = np.linspace(0, sample_rate * highest, window_length // 2 + 1, endpoint=frequencies_end)
    start, stop = to_mel(np.array(bottom(frequencies))), to_mel(np.array(sample_rate * top))
    edges = change(to_hertz(np.linspace(start, stop, mel_bins + more, endpoint=endpoint)), frequencies)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    return scale(np.maximum(lowest, combine(rising, falling)), left, centre, right)


def keep(values: Any) -> Any:
    """The same values: a scale in hertz."""
    return values


def swap_slopes(sample_rate: int, mel_bins: int, window_length: int) -> Array:
    """Each side with the width of the other."""
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    highest = spectrogram.hertz_to_mel(np.array(sample_rate / 2))
    edges = spectrogram.mel_to_hertz(np.linspace(0, highest, mel_bins + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    lines = np.minimum((frequencies - left) / (right - centre), (right - frequencies) / (centre - left))
    return np.maximum(0, lines) * 2 / (right - left)


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
    Mistake(
        partial(draw_triangles, change=lambda edges, f: np.round(edges / f[1]) * f[1]),
        "The edges are rounded to frequencies of the STFT. They stay where they are, between these.",
    ),
    Mistake(
        partial(draw_triangles, change=lambda edges, f: np.floor(edges / f[1]) * f[1]),
        "The edges are rounded down to frequencies of the STFT. They stay where they are, between these.",
    ),
    Mistake(
        partial(draw_triangles, bottom=lambda f: f[1]),
        "The edges begin at the first frequency above 0. They begin at 0.",
    ),
    Mistake(
        partial(draw_triangles, endpoint=False),
        "The last edge is below half the sample rate: np.linspace has to include its end here.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: ((rising >= 0) & (falling > 0)) * 0.5),
        "The filters are rectangles. They have to be triangles: the minimum of the rising and the falling "
        "line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: ((rising >= 0) & (falling > 0)) * 1.0),
        "The filters are rectangles. They have to be triangles: the minimum of the rising and the falling "
        "line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: rising * falling),
        "The rising and the falling line are multiplied. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: rising + falling),
        "The rising and the falling line are added. A triangle is their minimum.",
    ),
    Mistake(
        partial(draw_triangles, frequencies_end=False),
        "The last frequency of the STFT is half the sample rate: np.linspace has to include its end.",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: (
                filters * 2 / (spectrogram.hertz_to_mel(right) - spectrogram.hertz_to_mel(left))
            ),
        ),
        "The area is 1 over mel. It has to be 1 over hertz: 2 / (right - left), both in hertz.",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / filters.max(axis=1, keepdims=True),
        ),
        "Every filter is divided by its largest weight. Its area has to be 1: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, scale=lambda filters, left, centre, right: filters / (right - centre)),
        "The filters are divided by the width of their right half. The factor is 2 / (right - left).",
    ),
    Mistake(
        partial(
            draw_triangles,
            scale=lambda filters, left, centre, right: filters / np.sqrt((filters**2).sum(1, keepdims=True)),
        ),
        "Every filter is divided by its Euclidean length. Its area has to be 1: 2 / (right - left).",
    ),
    Mistake(
        partial(draw_triangles, to_mel=np.log1p, to_hertz=np.expm1),
        "The edges are evenly spaced in the logarithm of the frequency. They have to be evenly spaced in "
        "mel.",
    ),
    Mistake(
        partial(draw_triangles, to_hertz=lambda mel: np.asarray(mel)),
        "The edges are in mel and the frequencies in hertz: convert the edges back by mel_to_hertz.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: draw_triangles(sample_rate, mel_bins, window_length - 2),
        "There is one frequency too few: there are window_length // 2 + 1.",
    ),
    Mistake(
        lambda sample_rate, mel_bins, window_length: np.abs(
            draw_triangles(sample_rate, mel_bins, window_length, lowest=-np.inf)
        ),
        "Outside of its triangle a filter is 0. Here the absolute value is taken: use np.maximum(0, ...).",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(rising <= 1, rising, 0)),
        "The filters have no falling side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        partial(draw_triangles, combine=lambda rising, falling: np.where(rising >= 0, falling, 0)),
        "The filters have no rising side: a triangle is the minimum of the rising and the falling line.",
    ),
    Mistake(
        swap_slopes,
        "The widths of the two sides are exchanged: the rising line is divided by (centre - left), the "
        "falling one by (right - centre).",
    ),
    *(
        Mistake(
            partial(draw_triangles, scale=lambda filters, left, centre, right: filters, **fault),
            f"Two things: every filter has a peak of 1 instead of an area of 1, and {text}",
        )
        for fault, text in (
            ({"top": 1}, "the filters reach to the sample rate instead of half of it."),
            ({"highest": 1}, "the frequencies run to the sample rate instead of half of it."),
            ({"to_mel": keep, "to_hertz": keep}, "the edges are evenly spaced in hertz instead of mel."),
            ({"to_mel": to_htk, "to_hertz": from_htk}, "the mel scale is another one than the given."),
            ({"lowest": -np.inf}, "the filters are negative outside of their triangles."),
        )
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


def cut_levels(power: Array, *, value: float) -> Array:
    """A number in place of levels below the limit."""
    decibel = measure_level(power, dynamic=np.inf)
    return np.where(decibel < decibel.max(axis=(-2, -1), keepdims=True) - 80, value, decibel)


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
    Mistake(
        lambda power: np.maximum(
            10 * np.log10(np.maximum(power, 1e-10) / power.max(axis=(-2, -1), keepdims=True)), -80
        ),
        "The power is divided by its maximum, so that the maximum becomes 0 dB. The levels themselves are "
        "asked for.",
    ),
    Mistake(
        lambda power: np.minimum(
            d := measure_level(power, dynamic=np.inf), d.max(axis=(-2, -1), keepdims=True) - 80
        ),
        "np.minimum stands where np.maximum is needed: levels below the limit are raised to it.",
    ),
    Mistake(
        lambda power: np.minimum(
            d := measure_level(power, dynamic=np.inf), d.min(axis=(-2, -1), keepdims=True) + 80
        ),
        "The levels are cut at 80 dB above the minimum. They are raised to at least 80 dB below the maximum.",
    ),
    Mistake(
        lambda power: np.maximum(d := measure_level(power, dynamic=np.inf), d[0].max() - 80),
        "The maximum of the first entry is used: it is that of each clip, over the last two axes.",
    ),
    *(
        Mistake(
            partial(measure_level, lowest=lowest),
            f"The lowest power is {lowest:g} here. It has to be 1e-10.",
        )
        for lowest in (1e-5, 1e-6, 1e-8, 1e-9, 1e-12, 1e-16, float(np.finfo(np.float64).eps), 1e-20)
    ),
    *(
        Mistake(
            partial(cut_levels, value=value),
            f"Levels below the limit are replaced by {name}. They are raised to the limit: the maximum of "
            "the clip minus 80.",
        )
        for value, name in ((-80.0, "-80"), (-100.0, "-100"), (0.0, "0"), (-np.inf, "-inf"), (np.nan, "NaN"))
    ),
    Mistake(
        partial(measure_level, dynamic=60),
        "The range is 60 dB here. It is 80 dB below the maximum of the clip.",
    ),
    Mistake(
        partial(measure_level, dynamic=-80),
        "80 is added to the maximum of the clip. It has to be subtracted.",
    ),
    Mistake(
        lambda power: measure_level(np.sqrt(power)),
        "The square root of the power is taken: 10 log10 is for the power itself.",
    ),
    Mistake(
        lambda power: measure_level(power**2),
        "The power is squared: it is a square already.",
    ),
    Mistake(
        lambda power: 10 * np.log10(1 + power),
        "1 is added to the power before the logarithm. Only powers below 1e-10 are raised, to 1e-10.",
    ),
    Mistake(
        lambda power: np.clip(measure_level(power, dynamic=np.inf), -80, 0),
        "The levels are clipped to [-80, 0]. They are raised to at least 80 dB below the maximum of the "
        "clip.",
    ),
    Mistake(
        partial(measure_level, factor=10 / np.log10(2)),
        "This is 10 times the logarithm to the base 2. Decibels are made with the decimal one: np.log10.",
    ),
    Mistake(
        lambda power: measure_level(power, dynamic=np.inf) - 80,
        "80 is subtracted from all levels. It is subtracted from the maximum of the clip, which gives a "
        "lower limit.",
    ),
    *(
        Mistake(
            partial(measure_level, dynamic=dynamic),
            f"The range is {dynamic} dB here. It is 80 dB: a factor of 10 ** 8 in power.",
        )
        for dynamic in (8, 10, 20, 40, 160)
    ),
    Mistake(
        lambda power: np.maximum(
            measure_level(power, dynamic=np.inf), power.max(axis=(-2, -1), keepdims=True) - 80
        ),
        "80 is subtracted from the largest power. It is subtracted from the largest level, in decibels.",
    ),
    Mistake(
        partial(measure_level, axis=1),
        "The maximum is taken along axis 1 alone. It is that of the whole clip: axis=(-2, -1).",
    ),
    *(
        Mistake(
            partial(measure_level, factor=factor, **fault),
            f"Two things: {first}, and {text}",
        )
        for factor, first in (
            (20, "the factor is 20 instead of 10"),
            (10 * np.log(10), "the logarithm is the natural one instead of log10"),
        )
        for fault, text in (
            ({"dynamic": np.inf}, "the limit of 80 dB below the maximum is missing."),
            ({"axis": None}, "the maximum is taken over the whole batch."),
            ({"lowest": 0}, "powers are not raised to 1e-10."),
        )
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
    before: Any = lambda waveform: waveform,
    collect: Any = lambda power, filters: power @ filters.T,
) -> Array:
    """`log_mel_spectrogram` with one fault."""
    spectrum = spectrogram.compute_stft(before(waveform), window_length, hop_length, always or padding)
    mel = collect(power_of(spectrum), spectrogram.make_mel_filters(sample_rate, mel_bins, window_length))
    return choose(normalise(level(mel)), drop_last_step)


def drop_early(*arguments: Any, **named: Any) -> Array:
    """The last step left out before the decibels."""
    settings = inspect.signature(spectrogram.log_mel_spectrogram).bind(*arguments, **named)
    settings.apply_defaults()
    count = settings.arguments["drop_last_step"]

    def collect(power: Array, filters: Array) -> Array:
        return power[..., : max(1, power.shape[-2] - count), :] @ filters.T

    return run_steps(*settings.args, collect=collect, choose=lambda y, drops: y)


def fix_settings(**fixed: Any) -> Any:
    """Arguments that are replaced by other numbers; a function makes them from all arguments."""

    def run(*arguments: Any, **named: Any) -> Array:
        settings = inspect.signature(spectrogram.log_mel_spectrogram).bind(*arguments, **named)
        settings.apply_defaults()
        changed = {name: f(settings.arguments) if callable(f) else f for name, f in fixed.items()}
        return run_steps(**{**settings.arguments, **changed})

    return run


LOG_MEL_MISTAKES = (
    Mistake(
        partial(
            run_steps,
            level=spectrogram.normalise_decibel,
            normalise=spectrogram.power_to_decibel,
        ),
        "normalise_decibel is called before power_to_decibel. It takes decibels.",
    ),
    Mistake(
        partial(
            run_steps,
            level=lambda mel: spectrogram.power_to_decibel(mel.reshape(-1, mel.shape[-1])).reshape(mel.shape),
        ),
        "The maximum is taken over the whole batch. Each clip has its own: power_to_decibel takes care of "
        "that.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., :-1] if drops else y),
        "The last mel band is dropped in place of the last step: it is the axis before the last.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[: max(1, len(y) - drops)]),
        "The first axis is shortened, which is the batch if there is one: the steps are axis -2.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[:-1] if drops and len(y) > 1 else y),
        "The first axis is shortened, which is the batch if there is one: the steps are axis -2.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : max(1, y.shape[-2] - (not drops)), :]),
        "The last step is dropped where drop_last_step is False, and kept where it is True.",
    ),
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
    Mistake(
        drop_early,
        "The last step is left out before the decibels, so that it is missing in the maximum of the clip. "
        "Leave it out at the end.",
    ),
    Mistake(
        partial(
            run_steps,
            collect=lambda power, filters: spectrogram.power_to_decibel(power) @ filters.T,
            level=lambda mel: mel,
        ),
        "The decibels are taken before the mel filters. Power is summed in the mel bands first.",
    ),
    Mistake(
        partial(run_steps, before=lambda waveform: waveform / np.abs(waveform).max()),
        "The waveform is divided by its largest value first. It is taken as it is.",
    ),
    Mistake(
        partial(run_steps, before=lambda waveform: waveform - waveform.mean(axis=-1, keepdims=True)),
        "The mean of the waveform is subtracted first. It is taken as it is.",
    ),
    *(
        Mistake(
            fix_settings(hop_length=lambda settings, part=part: max(1, settings["window_length"] // part)),
            f"The hop length is window_length // {part}. Hand the argument hop_length on to compute_stft.",
        )
        for part in (2, 4)
    ),
    Mistake(
        fix_settings(window_length=2048),
        "The window length is always 2048. Hand the argument window_length on.",
    ),
    Mistake(
        fix_settings(hop_length=512),
        "The hop length is always 512. Hand the argument hop_length on.",
    ),
    Mistake(
        fix_settings(mel_bins=128),
        "There are always 128 mel bands. Hand the argument mel_bins on.",
    ),
    Mistake(
        partial(run_steps, always="constant"),
        "The waveform is always padded by zeros: hand the argument padding on to compute_stft.",
    ),
    Mistake(
        partial(run_steps, level=lambda mel: spectrogram.power_to_decibel(spectrogram.power_to_decibel(mel))),
        "power_to_decibel is applied twice.",
    ),
    Mistake(
        partial(
            run_steps, normalise=lambda level: (level - level.min()) / (level.max() - level.min()) * 2 - 1
        ),
        "The levels are scaled by their minimum and maximum. Use normalise_decibel, which maps -60 dB … 20 "
        "dB.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.real(spectrum) ** 2 - np.imag(spectrum) ** 2),
        "The square of the imaginary part is subtracted: X ** 2 is complex. The power is |X|², np.abs(X) ** "
        "2.",
    ),
    Mistake(
        partial(run_steps, power_of=lambda spectrum: np.abs(spectrum) ** 2 / (2 * (spectrum.shape[-1] - 1))),
        "The power is divided by window_length. It is |X|² as it is.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: np.sqrt(power @ filters.T)),
        "The square root of the power in the mel bands is taken. power_to_decibel takes the power itself.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: power),
        "The mel filters are missing: multiply the power by the transposed filters.",
    ),
    Mistake(
        partial(run_steps, collect=lambda power, filters: (power @ filters.T) / filters.sum(axis=1)),
        "The power in each band is divided by the sum of the weights of its filter. The filters have an area "
        "of 1 already.",
    ),
    Mistake(
        partial(run_steps, choose=lambda y, drops: y[..., : y.shape[-2] - (drops and y.shape[-2] > 2), :]),
        "Of two steps none is left out. The last step is left out unless it is the only one.",
    ),
    Mistake(
        partial(run_steps, power_of=np.abs, choose=lambda y, drops: y),
        "Two things: the mel filters are applied to magnitudes, and the last step is kept.",
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
