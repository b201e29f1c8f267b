"""From a spectrogram back to a waveform: each step against what it inverts, and a chirp there and back."""

import numpy as np
import pytest
import scipy.signal

from minitvlt.signals.inversion import (
    invert_mel_filters,
    invert_stft,
    reconstruct_waveform,
    run_griffin_lim,
)
from minitvlt.signals.spectrogram import (
    compute_power,
    compute_stft,
    log_mel_spectrogram,
    make_mel_filters,
)
from tests.helpers.annotations import annotations_unchecked


def make_chirp(sample_rate: int, seconds: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """A tone that rises from 300 Hz to an eighth of the sample rate, and its pitch at every sample."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    low, high = 300.0, sample_rate / 8
    waveform = 0.5 * scipy.signal.chirp(t, low, seconds, high)
    return waveform.astype(np.float32), low + (high - low) * t / seconds


# ---- steps


@pytest.mark.parametrize(("sample_rate", "mel_bins", "window_length"), [(44100, 128, 2048), (8000, 16, 512)])
def test_inverted_mel_filters_fill_the_filters_again_and_are_nowhere_negative(
    sample_rate, mel_bins, window_length
):
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    waveform, _ = make_chirp(sample_rate)
    power = compute_power(compute_stft(waveform, window_length, window_length // 4))
    mel_power = power @ filters.T
    power = invert_mel_filters(mel_power, filters)
    assert power.min() >= 0
    np.testing.assert_allclose(power @ filters.T, mel_power, atol=0.03 * mel_power.max())


@pytest.mark.parametrize(("window_length", "hop_length"), [(64, 16), (62, 13), (50, 25), (12, 1)])
def test_stft_is_undone_exactly_where_windows_overlap_by_half_or_more(window_length, hop_length):
    waveform = np.random.default_rng(0).standard_normal((3, 17 * hop_length))
    spectrum = compute_stft(waveform, window_length, hop_length)
    np.testing.assert_allclose(invert_stft(spectrum, hop_length), waveform, atol=1e-12)


def test_griffin_lim_starts_from_the_seed_and_nothing_else():
    magnitude = np.random.default_rng(0).random((9, 17))
    first = run_griffin_lim(magnitude, 8, 3, seed=1)
    np.testing.assert_array_equal(first, run_griffin_lim(magnitude, 8, 3, seed=np.random.default_rng(1)))
    assert np.abs(first - run_griffin_lim(magnitude, 8, 3, seed=2)).max() > 0.01
    together = run_griffin_lim(np.stack([2 * magnitude, magnitude]), 8, 3, seed=1)
    np.testing.assert_allclose(together[1], first, atol=1e-12)


# ---- the whole


@pytest.mark.parametrize(
    ("sample_rate", "mel_bins", "window_length", "hop_length"),
    [(44100, 128, 2048, 512), (16000, 128, 2048, 512), (8000, 16, 512, 256)],
)
def test_a_chirp_comes_back_with_its_pitch(sample_rate, mel_bins, window_length, hop_length):
    waveform, pitch = make_chirp(sample_rate)
    log_mel = log_mel_spectrogram(waveform, sample_rate, mel_bins, window_length, hop_length)
    found = reconstruct_waveform(log_mel, sample_rate, window_length, hop_length)
    assert found.dtype == np.float32
    assert found.shape == (len(log_mel) * hop_length,)

    spacing = sample_rate / window_length  # of the frequencies, in hertz
    loudest = np.abs(compute_stft(found, window_length, hop_length)).argmax(axis=1) * spacing
    inner = slice(4, len(log_mel) - 4)  # at the ends half a window is a reflection
    centres = make_mel_filters(sample_rate, mel_bins, window_length).argmax(axis=1) * spacing
    resolution = np.diff(centres)[: mel_bins // 2].max()
    np.testing.assert_allclose(loudest[inner], pitch[::hop_length][inner], atol=resolution + spacing)


# ---- bad input


@pytest.mark.parametrize(
    ("log_mel", "settings", "complaint"),
    [
        (np.zeros(128), {}, r"\(\.\.\., S, F\)"),
        (np.zeros((0, 128)), {}, "empty"),
        (np.full((3, 128), np.nan), {}, "NaN or infinity"),
        (np.full((3, 128), -np.inf), {}, "NaN or infinity"),
        (np.zeros((3, 512)), {}, "leave one empty"),
        (np.zeros((3, 128)), {"sample_rate": 0}, "at least 1 Hz"),
        (np.zeros((3, 128)), {"window_length": 2047}, "even window_length"),
        (np.zeros((3, 128)), {"hop_length": 0}, "hop_length from 1"),
        (np.zeros((3, 128)), {"hop_length": 2049}, "no sample is skipped"),
    ],
)
def test_what_cannot_be_inverted_is_refused(log_mel, settings, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        reconstruct_waveform(log_mel, **settings)
