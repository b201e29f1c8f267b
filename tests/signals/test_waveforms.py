"""Samples of any type, other sample rates, and WAV files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from minitvlt.signals.waveforms import find_samples, mix_channels, resample, write_wav
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.processing import resample_by_sinc

TONE = (0.5 * np.sin(np.arange(101) / 7)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_samples_of_every_type_mean_the_same_and_channels_become_their_mean(dtype):
    kind, half = np.dtype(dtype), 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    stereo = np.stack([TONE, TONE / 2])
    stored = stereo if kind.kind == "f" else np.rint(stereo * half) + (half if kind.kind == "u" else 0)
    mixed = mix_channels(stored.astype(dtype))
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, 0.75 * TONE, atol=1 / 128 if kind.itemsize == 1 else 2e-5)


@given(
    time=st.floats(0, 5), rate=st.integers(1, 1000), count=st.integers(0, 50),
    start=st.floats(0, 8), length=st.floats(0.001, 8),
)  # fmt: skip
def test_samples_are_found_by_their_times(time, rate, count, start, length):
    found, margin = find_samples(time, rate, count, start, start + length), 2e-6 / rate
    for i in range(count):
        t = time + i / rate
        if abs(t - start) > margin and abs(t - start - length) > margin:
            assert (found.start <= i < found.stop) == (start < t < start + length)


@pytest.mark.parametrize(("rate", "to_rate"), [(44100, 16000), (8000, 44100), (48000, 44100), (4001, 7919)])
def test_a_tone_is_the_same_tone_at_another_rate(rate, to_rate):
    tone, expected = (np.sin(2 * np.pi * 440 * np.arange(r // 4) / r) for r in (rate, to_rate))
    found = resample(tone, rate, to_rate)
    assert len(found) == -(-len(tone) * to_rate // rate) and found.dtype == tone.dtype
    inner = slice(to_rate // 20, to_rate // 5)  # the filter needs both sides
    np.testing.assert_allclose(found[inner], expected[inner], atol=5e-3)


def test_what_the_lower_rate_cannot_hold_is_removed():
    hiss = np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(resample(hiss, 44100, 16000)[1000:-1000]).max() < 1e-2


@pytest.mark.parametrize(("rate", "to_rate"), [(48000, 44100), (16000, 44100), (44100, 8000), (7, 5)])
def test_the_hann_filter_is_a_windowed_sinc_at_the_ends_too(rate, to_rate):
    wave = np.random.default_rng(rate).standard_normal(333)
    found = resample(wave, rate, to_rate, "hann")
    np.testing.assert_allclose(found, resample_by_sinc(wave, rate, to_rate), atol=1e-12)
    single = resample(wave.astype(np.float32), rate, to_rate, "hann")
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found, atol=1e-5)
    constant = resample(np.ones(333), rate, to_rate, "hann")
    reach = 1 + 7 * max(rate, to_rate) // rate
    np.testing.assert_allclose(constant[reach:-reach], 1, atol=1e-3)


@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=40), rate=st.sampled_from([8000, 44100])
)
def test_a_wav_file_holds_the_very_samples_and_louder_ones_are_clipped(tmp_path_factory, samples, rate):
    waveform = np.array([*samples, 7 * 32768, -7 * 32768], np.float32) / 32768
    found_rate, found = wavfile.read(
        write_wav(tmp_path_factory.mktemp("wav") / "new" / "tón 1.wav", waveform, rate)
    )
    assert (found_rate, found.dtype) == (rate, np.int16)
    assert found.tolist() == [*samples, 32767, -32768]


@pytest.mark.parametrize(
    ("waveform", "rate", "words"),
    [
        (np.zeros(0, np.float32), 8000, "at least one sample"),
        (np.array([0.0, np.inf]), 8000, "NaN or infinity"),
        (np.zeros((2, 300)), 8000, r"\(samples,\), got \(2, 300\): mix its channels"),
        ([0.0, 0.5], 8000, r"as an array \(samples,\), got \[0"),
        (np.zeros(3, np.int16), 8000, "int16 by 32768"),
        (np.full(3, 1e20), 8000, "divide it by its largest magnitude"),
        (np.zeros(3), 0, "whole hertz, 1 to 1,000,000, got 0"),
        (np.zeros(3), 1_000_003, "1 to 1,000,000, got 1000003"),
        (np.zeros(3), 8000.0, "whole hertz"),
        (np.zeros(3), "8000", "whole hertz"),
        (np.zeros(3), True, "whole hertz"),
    ],
)
def test_what_is_no_waveform_or_rate_is_refused_and_nothing_is_written(tmp_path, waveform, rate, words):
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        write_wav(tmp_path / "bad.wav", waveform, rate)
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        resample(waveform, 8000, rate)
    assert list(tmp_path.iterdir()) == []
