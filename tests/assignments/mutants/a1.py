"""Wrong and right solutions of assignment 1, as students write them."""

import numpy as np
from scipy import signal

from minitvlt.signals.inversion import overlap_add
from minitvlt.signals.spectrogram import (
    compute_stft,
    frame_waveform,
    hertz_to_mel,
    make_mel_filters,
    make_window,
    mel_to_hertz,
    normalise_decibel,
    power_to_decibel,
)

from . import mutant, variant

# ------------------------------------------------------------------------------------------ frame_waveform


def pad(waveform, before, after, mode="reflect"):
    return np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(before, after)], mode=mode)


def slide(padded, window_length, hop_length):
    return np.lib.stride_tricks.sliding_window_view(padded, window_length, axis=-1)[..., ::hop_length, :]


@mutant("frame_waveform", "one waveform")
def frames_of_one_waveform(waveform, window_length, hop_length, padding="reflect"):
    padded = np.pad(waveform, window_length // 2, mode=padding)
    starts = np.arange(0, len(waveform) + 1, hop_length)
    return padded[starts[:, None] + np.arange(window_length)]


@mutant("frame_waveform", "symmetric")
def frame_by_symmetric_padding(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    mode = "symmetric" if padding == "reflect" else padding
    return slide(pad(waveform, half, window_length - half, mode), window_length, hop_length)


@mutant("frame_waveform", "centred")
def frame_from_its_first_sample(waveform, window_length, hop_length, padding="reflect"):
    return slide(pad(waveform, 0, window_length, padding), window_length, hop_length)


@mutant("frame_waveform", "not padded")
def frame_without_padding(waveform, window_length, hop_length, padding="reflect"):
    count = 1 + (waveform.shape[-1] - window_length) // hop_length
    frames = [waveform[..., t * hop_length : t * hop_length + window_length] for t in range(count)]
    return np.stack(frames, axis=-2)


@mutant("frame_waveform", "last frame")
def frame_one_too_few(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    count = waveform.shape[-1] // hop_length
    return np.stack([padded[..., t * hop_length :][..., :window_length] for t in range(count)], axis=-2)


@mutant("frame_waveform", "argument padding")
def frame_always_by_reflection(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    return slide(pad(waveform, half, window_length - half), window_length, hop_length)


@mutant("frame_waveform", ("a batch of waveforms", "one waveform"))
def frame_only_one_waveform(waveform, window_length, hop_length, padding="reflect"):
    padded = np.pad(waveform, (window_length // 2, window_length - window_length // 2), mode=padding)
    starts = np.arange(0, len(waveform) // hop_length + 1) * hop_length
    return padded[starts[:, None] + np.arange(window_length)]


@mutant("frame_waveform", "odd window")
def frame_for_even_windows(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, half, padding)
    return slide(padded, window_length, hop_length)


@mutant("frame_waveform", "float")
def frame_in_float64(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    frames = np.zeros((*waveform.shape[:-1], waveform.shape[-1] // hop_length + 1, window_length))
    for t in range(frames.shape[-2]):
        frames[..., t, :] = padded[..., t * hop_length : t * hop_length + window_length]
    return frames


@mutant("frame_waveform", "overlap")
def frame_hop_off_by_one(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    return slide(pad(waveform, half, window_length - half, padding), window_length, window_length)


@mutant("frame_waveform", "half a window")
def frame_for_short_waveforms_wrongly(waveform, window_length, hop_length, padding="reflect"):
    half, rest = window_length // 2, window_length - window_length // 2
    if padding == "constant":
        return slide(pad(waveform, half, rest, padding), window_length, hop_length)
    left, right = waveform[..., 1 : half + 1][..., ::-1], waveform[..., -rest - 1 : -1][..., ::-1]
    padded = np.concatenate([left, waveform, right], axis=-1)
    missing = waveform.shape[-1] + window_length - padded.shape[-1]
    padded = pad(padded, missing, 0, "constant")
    return slide(padded, window_length, hop_length)


@variant("frame_waveform")
def frame_by_loop(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    count = waveform.shape[-1] // hop_length + 1
    frames = np.empty((*waveform.shape[:-1], count, window_length), dtype=waveform.dtype)
    for t in range(count):
        frames[..., t, :] = padded[..., t * hop_length : t * hop_length + window_length]
    return frames


@variant("frame_waveform")
def frame_by_view(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    return slide(pad(waveform, half, window_length - half, padding), window_length, hop_length)


@variant("frame_waveform")
def frame_by_stack(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    starts = range(0, waveform.shape[-1] + 1, hop_length)
    return np.stack([padded[..., start : start + window_length] for start in starts], axis=-2)


@variant("frame_waveform")
def frame_by_reflected_indices(waveform, window_length, hop_length, padding="reflect"):
    samples = waveform.shape[-1]
    starts = np.arange(samples // hop_length + 1) * hop_length - window_length // 2
    n = starts[:, None] + np.arange(window_length)
    period = max(1, 2 * (samples - 1))
    folded = np.minimum(n % period, period - n % period)
    frames = waveform[..., folded]
    if padding == "constant":
        frames = np.where((n >= 0) & (n < samples), frames, frames.dtype.type(0))
    return frames


# --------------------------------------------------------------------------------------------- make_window


@mutant("make_window", "symmetric")
def window_of_hanning(window_length):
    return np.hanning(window_length)


@mutant("make_window", "Hamming")
def window_of_hamming(window_length):
    return signal.windows.hamming(window_length, sym=False)


@mutant("make_window", "sign")
def window_with_a_plus(window_length):
    return 0.5 * (1 + np.cos(2 * np.pi * np.arange(window_length) / window_length))


@mutant("make_window", "factor of 2")
def window_of_half_a_period(window_length):
    return 0.5 - 0.5 * np.cos(np.pi * np.arange(window_length) / window_length)


@mutant("make_window", "square root")
def window_of_a_sine(window_length):
    return np.sqrt(signal.get_window("hann", window_length))


@mutant("make_window", "twice")
def window_without_a_half(window_length):
    return 1 - np.cos(np.linspace(0, 2 * np.pi, window_length, endpoint=False))


@mutant("make_window", "symmetric")
def window_by_linspace(window_length):
    return 0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, window_length))


@mutant("make_window", "example")
def window_of_the_example(window_length):
    return np.array([0.0, 0.5, 1.0, 0.5])


@mutant("make_window", "its square")
def window_squared(window_length):
    return np.sin(np.pi * np.arange(window_length) / window_length) ** 4


@mutant("make_window", "size 1")
def window_as_a_row(window_length):
    return signal.get_window("hann", window_length)[None]


@variant("make_window")
def window_by_square(window_length):
    return np.sin(np.pi * np.arange(window_length) / window_length) ** 2


@variant("make_window")
def window_by_scipy(window_length):
    return signal.get_window("hann", window_length, fftbins=True)


@variant("make_window")
def window_cut_from_a_symmetric_one(window_length):
    return np.hanning(window_length + 1)[:-1]


@variant("make_window")
def window_by_list(window_length):
    return np.array([(1 - np.cos(2 * np.pi * m / window_length)) / 2 for m in range(window_length)])


# -------------------------------------------------------------------------------------------- compute_stft


def right_stft(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * make_window(window_length).astype(frames.dtype))


@mutant("compute_stft", "window")
def stft_without_window(waveform, window_length, hop_length, padding="reflect"):
    return np.fft.rfft(frame_waveform(waveform, window_length, hop_length, padding))


@mutant("compute_stft", "symmetric")
def stft_with_hanning(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * np.hanning(window_length).astype(frames.dtype))


@mutant("compute_stft", "float32")
def stft_in_float64(waveform, window_length, hop_length, padding="reflect"):
    return np.fft.rfft(
        frame_waveform(waveform, window_length, hop_length, padding) * make_window(window_length)
    )


@mutant("compute_stft", "sign")
def stft_with_the_other_sign(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    frames = frames * make_window(window_length).astype(frames.dtype)
    return np.fft.ifft(frames)[..., : window_length // 2 + 1] * window_length


@mutant("compute_stft", "window_length // 2 + 1")
def stft_with_all_frequencies(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.fft(frames * make_window(window_length).astype(frames.dtype))


@mutant("compute_stft", "complex")
def stft_as_magnitude(waveform, window_length, hop_length, padding="reflect"):
    return np.abs(right_stft(waveform, window_length, hop_length, padding))


@mutant("compute_stft", "argument padding")
def stft_forgets_the_padding(waveform, window_length, hop_length, padding="reflect"):
    return right_stft(waveform, window_length, hop_length)


@mutant("compute_stft", "ortho")
def stft_normalised(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * make_window(window_length).astype(frames.dtype), norm="ortho")


@mutant("compute_stft", "exchanged")
def stft_in_columns(waveform, window_length, hop_length, padding="reflect"):
    return np.swapaxes(right_stft(waveform, window_length, hop_length, padding), -1, -2)


@mutant("compute_stft", "in place")
def stft_in_place(waveform, window_length, hop_length, padding="reflect"):
    waveform -= 0.0
    return right_stft(waveform, window_length, hop_length, padding)


@variant("compute_stft")
def stft_by_matrix(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    m, k = np.arange(window_length), np.arange(window_length // 2 + 1)
    exponentials = np.exp(-2j * np.pi * np.outer(m, k) / window_length) * make_window(window_length)[:, None]
    kind = np.complex64 if frames.dtype == np.float32 else np.complex128
    return frames @ exponentials.astype(kind)


@variant("compute_stft")
def stft_in_place(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    frames *= make_window(window_length).astype(frames.dtype)  # its own frames, so it may
    return np.fft.rfft(frames)


@variant("compute_stft")
def stft_by_half_of_fft(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    frames = frames * make_window(window_length).astype(frames.dtype)
    return np.fft.fft(frames, axis=-1)[..., : window_length // 2 + 1]


@variant("compute_stft")
def stft_frame_by_frame(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    window = make_window(window_length).astype(frames.dtype)
    each = [np.fft.rfft(frames[..., t, :] * window) for t in range(frames.shape[-2])]
    return np.stack(each, axis=-2)


@variant("compute_stft")
def stft_by_cosines_and_sines(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    angle = 2 * np.pi * np.outer(np.arange(window_length), np.arange(window_length // 2 + 1)) / window_length
    weights = make_window(window_length)[:, None]
    cosine, sine = ((weights * f(angle)).astype(frames.dtype) for f in (np.cos, np.sin))
    return frames @ cosine - 1j * (frames @ sine)


# ---------------------------------------------------------------------------------------- make_mel_filters


def filter_edges(sample_rate, mel_bins):
    return mel_to_hertz(np.linspace(0, hertz_to_mel(np.array(sample_rate / 2)), mel_bins + 2))


def triangles(edges, frequencies):
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(
        0, np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    )


def right_filters(sample_rate, mel_bins, window_length):
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    edges = filter_edges(sample_rate, mel_bins)
    return triangles(edges, frequencies) * 2 / (edges[2:] - edges[:-2])[:, None]


@mutant("make_mel_filters", "area")
def mel_without_area(sample_rate, mel_bins, window_length):
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    return triangles(filter_edges(sample_rate, mel_bins), frequencies)


@mutant("make_mel_filters", "leave the frequencies in hertz")
def mel_filters_in_mel(sample_rate, mel_bins, window_length):
    f = hertz_to_mel(np.arange(window_length // 2 + 1) * sample_rate / window_length)
    edges = np.linspace(0, hertz_to_mel(sample_rate / 2), mel_bins + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return (
        2
        / (right - left)
        * np.maximum(0, np.minimum((f - left) / (centre - left), (right - f) / (right - centre)))
    )


@mutant("make_mel_filters", "hertz")
def mel_evenly_in_hertz(sample_rate, mel_bins, window_length):
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    edges = np.linspace(0, sample_rate / 2, mel_bins + 2)
    return triangles(edges, frequencies) * 2 / (edges[2:] - edges[:-2])[:, None]


@mutant("make_mel_filters", "too many")
def mel_with_one_more(sample_rate, mel_bins, window_length):
    return right_filters(sample_rate, mel_bins + 1, window_length)


@mutant("make_mel_filters", "half the sample rate")
def mel_to_the_sample_rate(sample_rate, mel_bins, window_length):
    frequencies = np.arange(window_length // 2 + 1) * sample_rate / window_length * 2
    edges = filter_edges(sample_rate, mel_bins)
    return triangles(edges, frequencies) * 2 / (edges[2:] - edges[:-2])[:, None]


@mutant("make_mel_filters", "negative")
def mel_with_negative_weights(sample_rate, mel_bins, window_length):
    frequencies, edges = (
        np.linspace(0, sample_rate / 2, window_length // 2 + 1),
        filter_edges(sample_rate, mel_bins),
    )
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    return np.minimum(rising, falling) * 2 / (right - left)


@mutant("make_mel_filters", "area")
def mel_of_area_one_half(sample_rate, mel_bins, window_length):
    return right_filters(sample_rate, mel_bins, window_length) / 2


@mutant("make_mel_filters", "transposed")
def mel_transposed(sample_rate, mel_bins, window_length):
    return right_filters(sample_rate, mel_bins, window_length).T


@mutant("make_mel_filters", "in hertz")
def mel_triangles_in_mel(sample_rate, mel_bins, window_length):
    frequencies = hertz_to_mel(np.linspace(0, sample_rate / 2, window_length // 2 + 1))
    edges = np.linspace(0, hertz_to_mel(np.array(sample_rate / 2)), mel_bins + 2)
    hertz = mel_to_hertz(edges)
    return triangles(edges, frequencies) * 2 / (hertz[2:] - hertz[:-2])[:, None]


@mutant("make_mel_filters", "missing at the end")
def mel_without_the_last_frequency(sample_rate, mel_bins, window_length):
    return right_filters(sample_rate, mel_bins, window_length)[:, :-1]


@mutant("make_mel_filters", "mel scale")
def mel_by_the_other_scale(sample_rate, mel_bins, window_length):
    top = 1127 * np.log(1 + sample_rate / 2 / 700)
    edges = 700 * (np.exp(np.linspace(0, top, mel_bins + 2) / 1127) - 1)
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    return triangles(edges, frequencies) * 2 / (edges[2:] - edges[:-2])[:, None]


@variant("make_mel_filters")
def mel_by_loops(sample_rate, mel_bins, window_length):
    edges = filter_edges(sample_rate, mel_bins)
    filters = np.zeros((mel_bins, window_length // 2 + 1))
    for j in range(mel_bins):
        left, centre, right = edges[j : j + 3]
        for k in range(window_length // 2 + 1):
            f = k * sample_rate / window_length
            if left < f <= centre:
                filters[j, k] = (f - left) / (centre - left) * 2 / (right - left)
            elif centre < f < right:
                filters[j, k] = (right - f) / (right - centre) * 2 / (right - left)
    return filters


@variant("make_mel_filters")
def mel_by_interpolation(sample_rate, mel_bins, window_length):
    edges = filter_edges(sample_rate, mel_bins)
    frequencies = np.fft.rfftfreq(window_length, 1 / sample_rate)
    rows = [
        np.interp(frequencies, edges[j : j + 3], [0, 2 / (edges[j + 2] - edges[j]), 0])
        for j in range(mel_bins)
    ]
    return np.array(rows)


@variant("make_mel_filters")
def mel_by_clip(sample_rate, mel_bins, window_length):
    edges = filter_edges(sample_rate, mel_bins)
    frequencies = np.linspace(0, sample_rate / 2, 1 + window_length // 2)
    slopes = np.subtract.outer(frequencies, edges) / 1.0
    rising = slopes[:, :-2] / np.diff(edges)[:-1]
    falling = -slopes[:, 2:] / np.diff(edges)[1:]
    return (np.clip(np.minimum(rising, falling), 0, None) * 2 / (edges[2:] - edges[:-2])).T


@variant("make_mel_filters")
def mel_by_where(sample_rate, mel_bins, window_length):
    edges = filter_edges(sample_rate, mel_bins)
    f = np.arange(window_length // 2 + 1)[None] / window_length * sample_rate
    low, mid, high = (edges[i : i + mel_bins][:, None] for i in range(3))
    filters = np.where(f <= mid, (f - low) / (mid - low), (high - f) / (high - mid))
    return np.where(filters > 0, filters, 0) / ((high - low) / 2)


# ---------------------------------------------------------------------------------------- power_to_decibel


@mutant("power_to_decibel", "20 log10")
def decibel_of_amplitudes(power):
    decibel = 20 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)


@mutant("power_to_decibel", "natural logarithm")
def decibel_by_log(power):
    decibel = 10 * np.log(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)


@mutant("power_to_decibel", "whole batch")
def decibel_of_a_batch(power):
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max() - 80)


@mutant("power_to_decibel", "maximum of the clip")
def decibel_without_range(power):
    return 10 * np.log10(np.clip(power, 1e-10, None))


@mutant("power_to_decibel", "added")
def decibel_with_addition(power):
    decibel = 10 * np.log10(power + 1e-10)
    return np.maximum(decibel, np.max(decibel, axis=(-2, -1), keepdims=True) - 80)


@mutant("power_to_decibel", "1e-10")
def decibel_without_floor(power):
    with np.errstate(divide="ignore"):
        decibel = 10 * np.log10(power)
    return np.maximum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)


@mutant("power_to_decibel", "-80 dB")
def decibel_cut_at_minus_80(power):
    return np.maximum(10 * np.log10(np.maximum(power, 1e-10)), -80)


@mutant("power_to_decibel", "time step")
def decibel_of_each_step(power):
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel, decibel.max(axis=-1, keepdims=True) - 80)


@mutant("power_to_decibel", "0 dB")
def decibel_below_the_maximum(power):
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibel - decibel.max(axis=(-2, -1), keepdims=True), -80)


@mutant("power_to_decibel", "in place")
def decibel_in_place(power):
    power[power < 1e-10] = 1e-10
    decibel = 10 * np.log10(power)
    return np.maximum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)


@variant("power_to_decibel")
def decibel_by_natural_logarithm(power):
    decibel = np.log(np.maximum(power, 1e-10)) * (10 / np.log(10))
    decibel = decibel.astype(power.dtype)
    return np.maximum(decibel, decibel.max((-1, -2), keepdims=True) - 80)


@variant("power_to_decibel")
def decibel_by_limits_of_power(power):
    peak = np.maximum(power.max(axis=(-2, -1), keepdims=True), 1e-10)
    return 10 * np.log10(np.maximum(np.maximum(power, 1e-10), peak * 1e-8))


@variant("power_to_decibel")
def decibel_by_clip(power):
    decibel = 10 * np.log10(np.clip(power, 1e-10, None))
    peak = decibel.max(axis=-1).max(axis=-1)[..., None, None]
    return np.clip(decibel, peak - 80, None)


@variant("power_to_decibel")
def decibel_by_loop(power):
    flat = power.reshape(-1, *power.shape[-2:])
    result = np.empty_like(flat)
    for clip, out in zip(flat, result, strict=True):
        level = 10 * np.log10(np.where(clip > 1e-10, clip, clip.dtype.type(1e-10)))
        out[:] = np.where(level < level.max() - 80, level.max() - 80, level)
    return result.reshape(power.shape)


# ------------------------------------------------------------------------------------- log_mel_spectrogram


def mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding, exponent=2):
    power = np.abs(compute_stft(waveform, window_length, hop_length, padding)) ** exponent
    return power @ make_mel_filters(sample_rate, mel_bins, window_length).T.astype(power.dtype)


def finish(mel, drop_last_step):
    y = normalise_decibel(power_to_decibel(mel))
    return y[..., : max(1, y.shape[-2] - int(drop_last_step)), :]


# fmt: off
@mutant("log_mel_spectrogram", "magnitudes")
def log_mel_of_magnitudes(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding, 1)
    return finish(mel, drop_last_step)


@mutant("log_mel_spectrogram", "last step is kept")
def log_mel_with_all_steps(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    return finish(mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding), False)


@mutant("log_mel_spectrogram", "only step")
def log_mel_of_nothing(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    y = finish(mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding), False)
    return y[..., :-1, :] if drop_last_step else y


@mutant("log_mel_spectrogram", "drop_last_step is False")
def log_mel_that_always_drops(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    return finish(mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding), True)


@mutant("log_mel_spectrogram", "normalise_decibel")
def log_mel_in_decibels(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    y = power_to_decibel(mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding))
    return y[..., : max(1, y.shape[-2] - drop_last_step), :]


@mutant("log_mel_spectrogram", "80 dB")
def log_mel_without_range(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding)
    y = normalise_decibel(10 * np.log10(np.maximum(mel, 1e-10)))
    return y[..., : max(1, y.shape[-2] - drop_last_step), :]


@mutant("log_mel_spectrogram", "float")
def log_mel_in_float64(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    power = np.abs(compute_stft(waveform, window_length, hop_length, padding)) ** 2
    return finish(power @ make_mel_filters(sample_rate, mel_bins, window_length).T, drop_last_step)


@mutant("log_mel_spectrogram", "argument padding")
def log_mel_forgets_the_padding(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, "reflect")
    return finish(mel, drop_last_step)


@mutant("log_mel_spectrogram", "sample_rate")
def log_mel_at_one_rate(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    return finish(mel_power(waveform, 44100, mel_bins, window_length, hop_length, padding), drop_last_step)


@mutant("log_mel_spectrogram", "exchanged")
def log_mel_transposed(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding)
    return np.swapaxes(finish(mel, drop_last_step), -1, -2)


@variant("log_mel_spectrogram")
def log_mel_by_einsum(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    spectrum = compute_stft(waveform, window_length, hop_length, padding)
    power = (spectrum * spectrum.conj()).real
    filters = make_mel_filters(sample_rate, mel_bins, window_length).astype(power.dtype)
    y = normalise_decibel(power_to_decibel(np.einsum("...tk,fk->...tf", power, filters)))
    return y[..., :-1, :] if drop_last_step and y.shape[-2] > 1 else y


@variant("log_mel_spectrogram")
def log_mel_by_squares(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    spectrum = compute_stft(waveform, window_length, hop_length, padding)
    power = spectrum.real**2 + spectrum.imag**2
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    return finish(np.matmul(power, filters.T, dtype=power.dtype, casting="same_kind"), drop_last_step)


@variant("log_mel_spectrogram")
def log_mel_by_tensordot(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    power = np.square(np.abs(compute_stft(waveform, window_length, hop_length, padding)))
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    return finish(np.tensordot(power, filters, axes=(-1, 1)).astype(waveform.dtype), drop_last_step)


@variant("log_mel_spectrogram")
def log_mel_clip_by_clip(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    if waveform.ndim > 1:
        settings = sample_rate, mel_bins, window_length, hop_length, padding, drop_last_step
        return np.stack([log_mel_clip_by_clip(one, *settings) for one in waveform])
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding)
    return finish(mel, drop_last_step)
# fmt: on


# --------------------------------------------------------------------------------------------- overlap_add


def right_overlap(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    for t in range(S):
        total[..., t * hop_length : t * hop_length + W] += frames[..., t, :]
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "replaces")
def overlap_without_adding(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    for t in range(S):
        total[..., t * hop_length : t * hop_length + W] = frames[..., t, :]
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "kept")
def overlap_without_cut(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    for t in range(S):
        total[..., t * hop_length : t * hop_length + W] += frames[..., t, :]
    return total


@mutant("overlap_add", "half a window")
def overlap_from_the_start(frames, hop_length):
    *batch, S, W = frames.shape
    return overlap_without_cut(frames, hop_length)[..., : (S - 1) * hop_length]


@mutant("overlap_add", "a batch of waveforms")
def overlap_of_one_waveform(frames, hop_length):
    S, W = frames.shape
    total = np.zeros((S - 1) * hop_length + W, frames.dtype)
    for t in range(S):
        total[t * hop_length : t * hop_length + W] += frames[t]
    return total[W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "float")
def overlap_in_float64(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W))
    for t in range(S):
        total[..., t * hop_length : t * hop_length + W] += frames[..., t, :]
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "divided")
def overlap_as_mean(frames, hop_length):
    ones = right_overlap(np.ones_like(frames), hop_length)
    return right_overlap(frames, hop_length) / ones


@mutant("overlap_add", "rounded up")
def overlap_with_rounded_half(frames, hop_length):
    *_, S, W = frames.shape
    half = (W + 1) // 2
    padded = np.concatenate(
        [overlap_without_cut(frames, hop_length), np.zeros_like(frames[..., 0, :1])], axis=-1
    )
    return padded[..., half : half + (S - 1) * hop_length]


@mutant("overlap_add", "last frame")
def overlap_forgets_the_last(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    for t in range(S - 1):
        total[..., t * hop_length : t * hop_length + W] += frames[..., t, :]
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "a hop that does not divide the window")
def overlap_by_whole_pieces(frames, hop_length):
    *batch, S, W = frames.shape
    pieces = W // hop_length
    total = np.zeros((*batch, S + pieces, hop_length), frames.dtype)
    for j in range(pieces):
        total[..., j : j + S, :] += frames[..., j * hop_length : (j + 1) * hop_length]
    flat = total.reshape(*batch, -1)
    if W % hop_length == 0 or W % 2 or S == 1:
        return right_overlap(frames, hop_length)
    return flat[..., W // 2 : W // 2 + (S - 1) * hop_length]


@variant("overlap_add")
def overlap_by_indices(frames, hop_length):
    *batch, S, W = frames.shape
    places = np.arange(S)[:, None] * hop_length + np.arange(W)
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    np.add.at(total, (..., places), frames)
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@variant("overlap_add")
def overlap_sample_by_sample(frames, hop_length):
    *batch, S, W = frames.shape
    waveform = np.zeros((*batch, (S - 1) * hop_length), frames.dtype)
    for n in range((S - 1) * hop_length):
        for t in range(S):
            m = n - t * hop_length + W // 2
            if 0 <= m < W:
                waveform[..., n] += frames[..., t, m]
    return waveform


@variant("overlap_add")
def overlap_by_matrix(frames, hop_length):
    *batch, S, W = frames.shape
    samples = (S - 1) * hop_length
    place = np.arange(S)[:, None] * hop_length + np.arange(W) - W // 2
    matrix = (place[..., None] == np.arange(samples)).astype(frames.dtype)
    return np.einsum("...tm,tmn->...n", frames, matrix)


@variant("overlap_add")
def overlap_by_columns(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, S * hop_length + W), frames.dtype)
    for m in range(W):
        total[..., m : m + S * hop_length : hop_length] += frames[..., m]
    return total[..., W // 2 :][..., : (S - 1) * hop_length].copy()


# --------------------------------------------------------------------------------------------- invert_stft


def window_for(frames):
    return make_window(frames.shape[-1]).astype(frames.dtype)


@mutant("invert_stft", "number of frequencies is taken")
def invert_with_few_samples(spectrum, hop_length):
    length, steps = spectrum.shape[-1], spectrum.shape[-2]
    frames = np.fft.irfft(spectrum, length)
    window = make_window(length).astype(frames.dtype)
    weight = overlap_add(np.tile(window**2, (steps, 1)), hop_length)
    return overlap_add(frames * window, hop_length) / np.maximum(0.01, weight)


@mutant("invert_stft", "window again")
def invert_without_second_window(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    return overlap_add(frames, hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "squares")
def invert_with_sum_of_windows(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    weight = overlap_add(np.broadcast_to(window_for(frames), frames.shape), hop_length)
    return overlap_add(frames * window_for(frames), hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "not divided")
def invert_without_division(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    return overlap_add(frames * window_for(frames), hop_length)


@mutant("invert_stft", "0.01")
def invert_without_floor(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    with np.errstate(all="ignore"):
        return overlap_add(frames * window_for(frames), hop_length) / weight


@mutant("invert_stft", "phase")
def invert_the_magnitude(spectrum, hop_length):
    frames = np.fft.irfft(np.abs(spectrum))
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    return overlap_add(frames * window_for(frames), hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "added")
def invert_with_addition(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    return overlap_add(frames * window_for(frames), hop_length) / (weight + 0.01)


@mutant("invert_stft", "float32")
def invert_in_float64(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    window = make_window(frames.shape[-1])
    weight = overlap_add(np.broadcast_to(window**2, frames.shape), hop_length)
    return overlap_add(frames * window, hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "a batch of spectra")
def invert_one_spectrum(spectrum, hop_length):
    window = make_window(2 * (spectrum.shape[1] - 1)).astype(spectrum.real.dtype)
    frames = np.fft.irfft(spectrum) * window
    weight = overlap_add(np.tile(window**2, (len(spectrum), 1)), hop_length)
    return overlap_add(frames, hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "window length")
def invert_with_odd_windows(spectrum, hop_length):
    frames = np.fft.irfft(spectrum, 2 * spectrum.shape[-1] - 1)
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    return overlap_add(frames * window_for(frames), hop_length) / np.maximum(weight, 0.01)


@variant("invert_stft")
def invert_by_broadcast(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    weight = overlap_add(np.broadcast_to(window_for(frames) ** 2, frames.shape), hop_length)
    return overlap_add(frames * window_for(frames), hop_length) / np.maximum(weight, 0.01)


@variant("invert_stft")
def invert_by_ones(spectrum, hop_length):
    length = 2 * spectrum.shape[-1] - 2
    frames = np.fft.irfft(spectrum, n=length, axis=-1)
    window = make_window(length).astype(frames.dtype)
    weight = overlap_add(np.ones((spectrum.shape[-2], 1), frames.dtype) * window * window, hop_length)
    weight[weight < 0.01] = 0.01
    return overlap_add(window * frames, hop_length) / weight


@variant("invert_stft")
def invert_by_the_whole_spectrum(spectrum, hop_length):
    whole = np.concatenate([spectrum, np.conj(spectrum[..., -2:0:-1])], axis=-1)
    whole[..., 0], whole[..., spectrum.shape[-1] - 1] = spectrum[..., 0].real, spectrum[..., -1].real
    frames = np.fft.ifft(whole).real
    window = window_for(frames)
    weight = overlap_add(np.tile(window**2, (frames.shape[-2], 1)), hop_length)
    return overlap_add(frames * window, hop_length) / np.clip(weight, 0.01, None)


@variant("invert_stft")
def invert_frame_by_frame(spectrum, hop_length):
    *batch, S, bins = spectrum.shape
    W, samples = 2 * (bins - 1), (S - 1) * hop_length
    window = make_window(W).astype(spectrum.real.dtype)
    total = np.zeros((*batch, samples + W), window.dtype)
    weight = np.zeros(samples + W, window.dtype)
    for t in range(S):
        part = slice(t * hop_length, t * hop_length + W)
        total[..., part] += np.fft.irfft(spectrum[..., t, :], W) * window
        weight[part] += window**2
    return (total / np.maximum(weight, 0.01))[..., W // 2 : W // 2 + samples]


# ------------------------------------------------------------------------------------------ found by trying


@mutant("frame_waveform", "np.pad extends all axes")
def frame_pads_the_batch_too(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = np.pad(waveform, (half, window_length - half), mode=padding)
    starts = np.arange(waveform.shape[-1] // hop_length + 1) * hop_length
    return padded[..., starts[:, None] + np.arange(window_length)]


@mutant("frame_waveform", "in a list")
def frame_as_a_list(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    count = waveform.shape[-1] // hop_length + 1
    return [padded[..., t * hop_length : t * hop_length + window_length] for t in range(count)]


@mutant("frame_waveform", "divides the number")
def frame_up_to_the_last_sample(waveform, window_length, hop_length, padding="reflect"):
    half = window_length // 2
    padded = pad(waveform, half, window_length - half, padding)
    starts = range(0, waveform.shape[-1], hop_length)
    return np.stack([padded[..., start : start + window_length] for start in starts], axis=-2)


@mutant("make_window", "degrees")
def window_in_degrees(window_length):
    return 0.5 - 0.5 * np.cos(360 * np.arange(window_length) / window_length)


@mutant("make_window", "returns None")
def window_without_return(window_length):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length)
    window.sum()


@mutant("compute_stft", "frame to frame")
def stft_with_the_window_along_time(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * make_window(frames.shape[-2])[:, None])


@mutant("compute_stft", "axis 1")
def stft_along_axis_1(waveform, window_length, hop_length, padding="reflect"):
    frames = frame_waveform(waveform, window_length, hop_length, padding)
    return np.fft.rfft(frames * make_window(window_length).astype(frames.dtype), axis=1)


@mutant("make_mel_filters", "exchanged")
def mel_with_exchanged_slopes(sample_rate, mel_bins, window_length):
    frequencies = np.arange(window_length // 2 + 1) * sample_rate / window_length
    edges = filter_edges(sample_rate, mel_bins)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (right - centre), (right - frequencies) / (centre - left)
    return 2 / (right - left) * np.maximum(0, np.minimum(rising, falling))


@mutant("make_mel_filters", "rectangles")
def mel_rectangles(sample_rate, mel_bins, window_length):
    frequencies = np.arange(window_length // 2 + 1) * sample_rate / window_length
    edges = filter_edges(sample_rate, mel_bins)
    left, right = edges[:-2, None], edges[2:, None]
    return ((frequencies >= left) & (frequencies < right)) / (right - left)


@mutant("power_to_decibel", "np.minimum")
def decibel_with_minimum(power):
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    return np.minimum(decibel, decibel.max(axis=(-2, -1), keepdims=True) - 80)


@mutant("power_to_decibel", "40 dB")
def decibel_with_a_factor_of_1e4(power):
    peak = power.max(axis=(-2, -1), keepdims=True)
    return 10 * np.log10(np.maximum(np.maximum(power, 1e-10), peak * 1e-4))


# fmt: off
@mutant("log_mel_spectrogram", "before the decibels")
def log_mel_that_drops_first(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding)
    return finish(mel[..., : max(1, mel.shape[-2] - drop_last_step), :], False)


@mutant("log_mel_spectrogram", "whole batch")
def log_mel_with_one_maximum(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    mel = mel_power(waveform, sample_rate, mel_bins, window_length, hop_length, padding)
    y = normalise_decibel(power_to_decibel(mel.reshape(-1, mel.shape[-1]))).reshape(mel.shape)
    return y[..., : max(1, y.shape[-2] - drop_last_step), :]


@mutant("log_mel_spectrogram", "before the mel filters")
def log_mel_of_decibels(waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect", drop_last_step=True):  # noqa: E501
    power = np.abs(compute_stft(waveform, window_length, hop_length, padding)) ** 2
    filters = make_mel_filters(sample_rate, mel_bins, window_length).astype(power.dtype)
    y = normalise_decibel(power_to_decibel(power) @ filters.T)
    return y[..., : max(1, y.shape[-2] - drop_last_step), :]
# fmt: on


@mutant("overlap_add", "replaces")
def overlap_by_fancy_addition(frames, hop_length):
    *batch, S, W = frames.shape
    total = np.zeros((*batch, (S - 1) * hop_length + W), frames.dtype)
    total[..., np.arange(S)[:, None] * hop_length + np.arange(W)] += frames
    return total[..., W // 2 : W // 2 + (S - 1) * hop_length]


@mutant("overlap_add", "negative indices")
def overlap_that_wraps(frames, hop_length):
    *batch, S, W = frames.shape
    samples = (S - 1) * hop_length
    waveform = np.zeros((*batch, samples), frames.dtype)
    for t in range(S):
        for m in range(W):
            place = t * hop_length + m - W // 2
            if place < samples and samples:
                waveform[..., max(place, -samples)] += frames[..., t, m]
    return waveform


@mutant("invert_stft", "divided by the window")
def invert_by_undoing_the_window(spectrum, hop_length):
    frames = np.fft.irfft(spectrum)
    window = window_for(frames)
    weight = overlap_add(np.broadcast_to(window**2, frames.shape), hop_length)
    return overlap_add(frames / np.maximum(window, 0.01), hop_length) / np.maximum(weight, 0.01)


@mutant("invert_stft", "Half of the spectrum")
def invert_half_a_spectrum(spectrum, hop_length):
    frames = np.fft.ifft(spectrum, 2 * (spectrum.shape[-1] - 1)).real
    window = window_for(frames)
    weight = overlap_add(np.broadcast_to(window**2, frames.shape), hop_length)
    return overlap_add(frames * window, hop_length) / np.maximum(weight, 0.01)
