"""Samples of any type, pieces joined by their times, and WAV files: none of it needs PyAV."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from minitvlt.signals.waveforms import (
    Sound,
    find_samples,
    join_sounds,
    mix_channels,
    read_wav,
    resample,
    write_wav,
)
from tests.helpers.annotations import annotations_unchecked

SOMEWHERE = Path("somewhere.mp4")
TONE = (0.5 * np.sin(np.arange(101) / 7)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_samples_of_every_type_mean_the_same_sound(dtype):
    kind = np.dtype(dtype)
    half = 2.0 ** (8 * kind.itemsize - 1)
    offset = half if kind.kind == "u" else 0
    stored = TONE.astype(dtype) if kind.kind == "f" else (np.rint(TONE * half) + offset).astype(dtype)
    mixed = mix_channels(stored[None])
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, TONE, atol=1 / 128 if kind.itemsize == 1 else 2e-5)


def test_channels_are_mixed_by_their_mean():
    channels = np.random.default_rng(0).integers(-32768, 32768, (6, 37)).astype(np.int16)
    for i in range(37):
        expected = sum(int(channels[c, i]) for c in range(6)) / 6 / 32768
        assert mix_channels(channels)[i] == pytest.approx(expected, abs=1e-7)


@given(
    time=st.floats(0, 5), rate=st.integers(1, 1000), count=st.integers(0, 50),
    start=st.floats(0, 8), length=st.floats(0.001, 8),
)  # fmt: skip
def test_samples_are_found_as_a_loop_over_their_times_finds_them(time, rate, count, start, length):
    found = find_samples(time, rate, count, start, start + length)
    margin = 2e-6 / rate
    for i in range(count):
        t = time + i / rate
        if start + margin < t < start + length - margin:
            assert found.start <= i < found.stop
        if t < start - margin or t > start + length + margin:
            assert not found.start <= i < found.stop


def test_two_neighbouring_spans_share_no_sample_and_miss_none():
    edges = [0.0, 0.1, 0.3, 0.30000000000000004, 0.7, math.inf]
    parts = [find_samples(0.0, 441, 400, *pair) for pair in pairwise(edges)]
    assert parts[0].start == 0
    assert parts[-1].stop == 400
    for before, after in pairwise(parts):
        assert before.stop == after.start


def cut(rate: int, *edges: int, shift: float = 0.0) -> list[Sound]:
    """TONE cut at some samples, all pieces after the first late by `shift` seconds."""
    pairs = pairwise(edges)
    return [
        Sound(first / rate + shift * (i > 0), rate, TONE[first:last]) for i, (first, last) in enumerate(pairs)
    ]


def test_joined_pieces_are_the_whole():
    joined = join_sounds(SOMEWHERE, cut(100, 0, 31, 32, 101), 0.0, math.inf)
    assert joined.time == 0
    np.testing.assert_array_equal(joined.samples, TONE)


def test_a_span_is_cut_out_of_pieces():
    joined = join_sounds(SOMEWHERE, cut(100, 0, 31, 32, 101), 0.3, 0.45)
    assert joined.time == pytest.approx(0.3)
    np.testing.assert_array_equal(joined.samples, TONE[30:45])


def test_times_that_a_container_rounded_are_no_hole():
    joined = join_sounds(SOMEWHERE, cut(100, 0, 31, 101, shift=0.004), 0.0, math.inf)
    np.testing.assert_array_equal(joined.samples, TONE)


@pytest.mark.parametrize("shift", [0.2, -0.2])
def test_a_hole_or_an_overlap_is_an_error_and_never_silence(shift):
    with pytest.raises(ValueError, match=r"somewhere\.mp4.*hole or an overlap"):
        join_sounds(SOMEWHERE, cut(100, 0, 51, 101, shift=shift), 0.0, math.inf)


def test_what_lies_before_a_hole_can_be_had():
    before = [sound for sound in cut(100, 0, 51, 101, shift=0.2) if sound.time < 0.4]
    np.testing.assert_array_equal(join_sounds(SOMEWHERE, before, 0.0, 0.4).samples, TONE[:40])


def test_what_lies_after_a_hole_can_be_had():
    joined = join_sounds(SOMEWHERE, cut(100, 0, 51, 101, shift=0.2), 0.8, math.inf)
    np.testing.assert_array_equal(joined.samples, TONE[60:])


def test_a_change_of_the_rate_and_nan_are_errors():
    with pytest.raises(ValueError, match="changes from 100 to 200 Hz"):
        join_sounds(SOMEWHERE, [Sound(0.0, 100, TONE), Sound(1.01, 200, TONE)], 0.0, math.inf)
    with pytest.raises(ValueError, match="NaN or infinity"):
        join_sounds(SOMEWHERE, [Sound(0.0, 100, np.full(3, np.nan, np.float32))], 0.0, math.inf)


def test_no_sample_in_the_span_is_none():
    assert join_sounds(SOMEWHERE, cut(100, 0, 101), 2.0, 3.0) is None
    assert join_sounds(SOMEWHERE, [], 0.0, 1.0) is None


@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=40), rate=st.sampled_from([8000, 44100])
)
def test_a_wav_file_gives_back_the_very_samples(tmp_path_factory, samples, rate):
    waveform = np.array(samples, np.float32) / 32768
    path = write_wav(tmp_path_factory.mktemp("wav") / "tón 1.wav", waveform, rate)
    sound = read_wav(path)
    assert (sound.time, sound.rate, sound.samples.dtype) == (0.0, rate, np.float32)
    np.testing.assert_array_equal(sound.samples, waveform)


def test_loud_samples_are_clipped_and_do_not_wrap(tmp_path):
    sound = read_wav(write_wav(tmp_path / "loud.wav", np.array([1.0, 7.0, -1.0, -7.0]), 8000))
    np.testing.assert_allclose(sound.samples, [1, 1, -1, -1], atol=1 / 32768)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_a_span_of_a_stereo_wav_file_of_any_type(tmp_path, dtype):
    half = 2 ** (8 * np.dtype(dtype).itemsize - 1)
    stereo = np.stack([TONE, TONE / 2], axis=1)
    scaled = (
        stereo if np.dtype(dtype).kind == "f" else np.rint(stereo * (half - 1)) + half * (dtype is np.uint8)
    )
    wavfile.write(tmp_path / "stereo.wav", 100, scaled.astype(dtype))
    sound = read_wav(tmp_path / "stereo.wav", 0.3, 0.75)
    assert sound.time == pytest.approx(0.3)
    np.testing.assert_allclose(sound.samples, 0.75 * TONE[30:75], atol=0.01 if dtype is np.uint8 else 1e-4)


def test_24_bit_samples_are_read(tmp_path):
    samples = np.array([-8388608, -1, 0, 4194304], np.int32)
    data = b"".join(int(value).to_bytes(3, "little", signed=True) for value in samples)
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + b"\1\0\1\0" + (8000).to_bytes(4, "little")
    head += (24000).to_bytes(4, "little") + b"\3\0\x18\0data" + len(data).to_bytes(4, "little")
    path = tmp_path / "24.wav"
    path.write_bytes(b"RIFF" + (len(head) + len(data)).to_bytes(4, "little") + head + data)
    np.testing.assert_allclose(read_wav(path).samples, [-1, -1 / 8388608, 0, 0.5])


@pytest.mark.parametrize("keep", [3, 30, 44, 120])
def test_a_wav_file_that_ends_too_early_is_an_error(tmp_path, keep):
    path = write_wav(tmp_path / "cut.wav", TONE, 100)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut\.wav cannot be read"):
        read_wav(path)


@pytest.mark.parametrize(
    ("waveform", "rate", "words"),
    [
        (np.zeros(0, np.float32), 8000, "at least one sample"),
        (np.array([0.0, np.inf]), 8000, "NaN or infinity"),
        (np.zeros((2, 300)), 8000, r"shape \(samples,\), got \(2, 300\): mix its channels down to one"),
        (np.zeros(()), 8000, r"got \(\)"),
        ([0.0, 0.5], 8000, "as a NumPy array, got list"),
        (np.zeros(3, np.int16), 8000, "divide by 32768"),
        (np.full(3, 1e20), 8000, "divide it by its largest magnitude"),
        (np.zeros(3), 0, "whole hertz, at least 1, got 0"),
        (np.zeros(3), 8000.0, "whole hertz, at least 1, got 8000.0"),
        (np.zeros(3), "8000", "whole hertz, at least 1, got '8000'"),
        (np.zeros(3), True, "whole hertz, at least 1, got True"),
        (np.zeros(3), 2**31, "up to 2147483647 Hz"),
    ],
)
def test_what_no_wav_file_can_hold_is_refused_and_nothing_is_written(tmp_path, waveform, rate, words):
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        write_wav(tmp_path / "bad.wav", waveform, rate)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("waveform", "rates", "words"),
    [
        (np.zeros((2, 300)), (8000, 16000), r"got \(2, 300\): mix its channels down to one"),
        (np.zeros(0), (8000, 16000), "at least one sample"),
        (np.zeros(3, np.int16), (8000, 8000), "divide by 32768"),
        (np.zeros(3), (8000, 16000.5), r"whole hertz, at least 1, got 8000 and 16000\.5"),
        (np.zeros(3), (0, 8000), "whole hertz, at least 1, got 0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(waveform, rates, words):
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        resample(waveform, *rates)
