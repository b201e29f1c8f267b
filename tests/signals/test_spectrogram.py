"""The log-mel spectrogram: each step against an oracle, the whole against librosa and transformers."""

import re

import librosa
import numpy as np
import pytest
import scipy.signal

from minitvlt.backends import namespace, to_backend, value_and_grad
from minitvlt.signals.spectrogram import (
    compute_stft,
    log_mel_spectrogram,
    make_mel_filters,
    pad_by_reflection,
    pad_by_zeros,
    power_to_decibel,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import using_kernels
from tests.helpers.tracing import count_functions

RATES = [4000, 8000, 16000, 44100, 48000]


def make_waveform(samples: int, sample_rate: int = 44100, seed: int = 0) -> np.ndarray:
    """A tone, a rising tone and noise, with a silent stretch."""
    t = np.arange(samples) / sample_rate
    rng = np.random.default_rng(seed)
    waveform = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.2 * scipy.signal.chirp(t, 100, 1.0, sample_rate / 3)
    waveform += 0.01 * rng.standard_normal(samples)
    waveform[samples // 3 : samples // 2] = 0
    return waveform.astype(np.float32)


def librosa_log_mel(
    waveform, sample_rate=44100, mel_bins=128, window_length=2048, hop_length=512, padding="reflect"
):
    """The same spectrogram by librosa, in double precision, with the last step."""
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=sample_rate,
        n_fft=window_length,
        hop_length=hop_length,
        n_mels=mel_bins,
        pad_mode=padding,
        dtype=np.float64,
    )
    decibel = librosa.power_to_db(power, amin=1e-10, top_db=80)
    return np.clip((decibel.T - 20) / 40, -2, 0) + 1


# ---- steps


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 5), (11, 2), (30, 31)])
@pytest.mark.parametrize(("pad", "mode"), [(pad_by_reflection, "reflect"), (pad_by_zeros, "constant")])
def test_padding_is_numpys_also_where_it_is_longer_than_the_waveform(samples, before, after, pad, mode):
    waveform = np.random.default_rng(0).standard_normal((2, samples))
    expected = np.pad(waveform, ((0, 0), (before, after)), mode=mode)
    np.testing.assert_array_equal(pad(waveform, before, after), expected)


@pytest.mark.parametrize("padding", ["reflect", "constant"])
@pytest.mark.parametrize(("window_length", "hop_length"), [(64, 16), (62, 13), (50, 50)])
def test_stft_is_librosas(window_length, hop_length, padding):
    waveform = make_waveform(701).astype(np.float64)
    expected = librosa.stft(waveform, n_fft=window_length, hop_length=hop_length, pad_mode=padding)
    spectrum = compute_stft(waveform, window_length, hop_length, padding)
    np.testing.assert_allclose(spectrum, expected.T, atol=1e-12)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize(("mel_bins", "window_length"), [(128, 2048), (17, 512)])
def test_mel_filters_are_librosas_and_none_is_empty(sample_rate, mel_bins, window_length):
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    expected = librosa.filters.mel(sr=sample_rate, n_fft=window_length, n_mels=mel_bins, dtype=np.float64)
    np.testing.assert_allclose(filters, expected, atol=1e-12)
    assert (filters.max(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("mel_bins", "window_length", "sample_rate"), [(128, 512, 44100), (40, 64, 8000), (3, 6, 8000)]
)
def test_a_window_too_short_for_the_mel_bins_is_refused_with_good_advice(
    mel_bins, window_length, sample_rate
):
    with annotations_unchecked(), pytest.raises(ValueError, match="leave one empty") as error:
        make_mel_filters(sample_rate, mel_bins, window_length)
    fewer_bins, longer_window = map(int, re.findall(r"\d+", str(error.value))[-2:])
    assert 1 <= fewer_bins < mel_bins
    assert longer_window > window_length
    make_mel_filters(sample_rate, fewer_bins, window_length)
    make_mel_filters(sample_rate, mel_bins, longer_window)


def test_decibel_has_a_floor_at_minus_100_and_one_80_below_the_loudest_spot_of_each_clip():
    power = np.array([[[1.0, 1e-3], [1e-9, 0.0]], [[1e-7, 1e-9], [1e-12, 0.0]]])
    expected = [[[0, -30], [-80, -80]], [[-70, -90], [-100, -100]]]
    np.testing.assert_allclose(power_to_decibel(power), expected)


# ---- the whole


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize(("mel_bins", "window_length", "hop_length"), [(128, 2048, 512), (31, 510, 173)])
def test_log_mel_is_librosas_at_every_rate(sample_rate, mel_bins, window_length, hop_length):
    waveform = make_waveform(9973, sample_rate)
    log_mel = log_mel_spectrogram(waveform, sample_rate, mel_bins, window_length, hop_length)
    expected = librosa_log_mel(waveform, sample_rate, mel_bins, window_length, hop_length)
    assert log_mel.dtype == np.float32
    np.testing.assert_allclose(log_mel, expected[:-1], atol=1e-4)


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large")
@pytest.mark.parametrize("samples", [2, 511, 512, 513, 5003, 44100])
@pytest.mark.parametrize("drop_last_step", [True, False])
def test_log_mel_padded_with_zeros_is_that_of_librosas_defaults(samples, drop_last_step):
    waveform = make_waveform(samples)
    log_mel = log_mel_spectrogram(waveform, padding="constant", drop_last_step=drop_last_step)
    expected = librosa_log_mel(waveform, padding="constant")
    assert len(log_mel) == (max(1, samples // 512) if drop_last_step else samples // 512 + 1)
    np.testing.assert_allclose(log_mel, expected[: len(log_mel)], atol=1e-4)


@pytest.mark.parametrize("samples", [512, 513, 1024, 1025, 5003, 44100])
def test_log_mel_is_that_of_the_published_processor(samples):
    from transformers import TvltFeatureExtractor

    waveform = make_waveform(samples)
    made = TvltFeatureExtractor()([waveform], sampling_rate=44100, return_tensors="np")
    expected = made["audio_values"][0, 0, : samples // 512]
    np.testing.assert_allclose(log_mel_spectrogram(waveform), expected, atol=1e-4)


def test_the_step_that_is_dropped_still_counts_for_the_maximum_as_in_the_published_processor():
    waveform = make_waveform(512 * 9) * np.where(np.arange(512 * 9) < 512 * 7.5, 1e-3, 1).astype(np.float32)
    np.testing.assert_allclose(log_mel_spectrogram(waveform), librosa_log_mel(waveform)[:-1], atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 500, 511, 512, 513])
@pytest.mark.parametrize("sample_rate", [8000, 44100])
def test_any_length_from_one_sample_on_gives_at_least_one_step(samples, sample_rate):
    log_mel = log_mel_spectrogram(make_waveform(samples), sample_rate)
    assert log_mel.shape == (1, 128)
    assert np.isfinite(log_mel).all()
    assert np.abs(log_mel).max() <= 1


def test_clips_of_a_batch_do_not_touch_each_other():
    waveforms = np.stack([make_waveform(700, seed=seed) * 10.0**-seed for seed in range(6)])
    settings = {"sample_rate": 8000, "mel_bins": 11, "window_length": 128, "hop_length": 50}
    together = log_mel_spectrogram(waveforms.reshape(2, 3, 700), **settings)
    alone = [log_mel_spectrogram(waveform, **settings) for waveform in waveforms]
    np.testing.assert_allclose(together, np.reshape(alone, (2, 3, 14, 11)), atol=1e-6)


def test_a_call_passes_at_most_16_functions_of_the_package():
    waveform = make_waveform(3000)
    make_mel_filters.cache_clear()
    with using_kernels("plain"):
        passed = count_functions(lambda: log_mel_spectrogram(waveform))
    assert ("signals/spectrogram.py", "frame_waveform") in passed
    assert len(passed) <= 16, sorted(passed)


def test_the_gradient_is_that_of_torch():
    waveform = make_waveform(2 * 331, 8000).reshape(2, 331).astype(np.float64)
    weights = np.random.default_rng(0).standard_normal((2, 25, 7))

    def weigh(x):
        xp = namespace(x)
        return xp.sum(log_mel_spectrogram(x, 8000, 7, 62, 13) * xp.as_like(weights, x))

    value, gradient = value_and_grad(weigh)(waveform)
    torch_value, torch_gradient = value_and_grad(weigh)(to_backend(waveform, "torch"))
    np.testing.assert_allclose(value, torch_value.numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradient, torch_gradient.numpy(), rtol=1e-8, atol=1e-8)


# ---- bad input


@pytest.mark.parametrize(
    ("waveform", "complaint"),
    [
        (np.float32(1.0).reshape(()), "samples"),
        (np.zeros(0, np.float32), "at least one sample"),
        (np.zeros(5, np.int16), "float32 or float64, got int16: convert it to float32 and divide integers"),
        (np.full(5, 1e18, np.float32), r"goes beyond 1e\+12, .* divide it by its largest magnitude"),
        (np.array([0, np.nan, 0], np.float32), "NaN or infinity"),
        (np.array([0, -np.inf], np.float32), "NaN or infinity"),
    ],
)
def test_a_bad_waveform_is_refused(waveform, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        log_mel_spectrogram(waveform)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sample_rate": 0}, "at least 1 Hz"),
        ({"mel_bins": 0}, "1 mel bin"),
        ({"window_length": 2047}, "even window_length"),
        ({"window_length": 2}, "at least 4"),
        ({"hop_length": 0}, "hop_length"),
        ({"hop_length": 2049}, "no sample is skipped"),
        ({"padding": "zeros"}, "padding must be one of reflect, constant, not 'zeros'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        log_mel_spectrogram(np.zeros(3000, np.float32), **settings)
