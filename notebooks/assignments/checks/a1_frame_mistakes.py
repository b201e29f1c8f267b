"""Wrong frames, windows and Fourier transforms, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from minitvlt.signals import spectrogram

from .blanks import Mistake

Array = np.ndarray
MODES = {"reflect": "reflect", "constant": "constant"}

# ------------------------------------------------------------------------------------------- frame_waveform


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


def cut_one_waveform(waveform: Array, window_length: int, hop_length: int, padding: str = "reflect") -> Array:
    """As in notebook 01: for one waveform and an even window."""
    padded = np.pad(waveform, window_length // 2, mode=padding)  # type: ignore[call-overload]
    starts = np.arange(0, len(waveform) + 1, hop_length)
    return padded[starts[:, None] + np.arange(window_length)]


FRAME_MISTAKES = (
    Mistake(
        cut_one_waveform,
        "This is written for one waveform and an even window, as in notebook 01. np.pad with one number pads "
        "all axes, len(waveform) is the size of the batch, and only padded[..., places] takes samples. An "
        "odd window needs one sample more at the end.",
    ),
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


# ---------------------------------------------------------------------------------------------- make_window

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


# --------------------------------------------------------------------------------------------- compute_stft


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
