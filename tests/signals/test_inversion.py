"""From the picture back to sound: each step against what it undoes, and a chirp through the whole way."""

import numpy as np
import pytest
import scipy.signal

from minitvlt.backends import namespace
from minitvlt.signals.inversion import (
    decibel_to_power,
    denormalise_decibel,
    impose_magnitude,
    invert_mel_filters,
    invert_stft,
    overlap_add,
    reconstruct_waveform,
    run_griffin_lim,
)
from minitvlt.signals.spectrogram import (
    apply_mel_filters,
    compute_power,
    compute_stft,
    frame_waveform,
    log_mel_spectrogram,
    make_mel_filters,
    normalise_decibel,
    power_to_decibel,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend


def make_chirp(sample_rate: int, seconds: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """A tone that rises from 300 Hz to an eighth of the sample rate, and its pitch at every sample."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    low, high = 300.0, sample_rate / 8
    sound = 0.5 * scipy.signal.chirp(t, low, seconds, high)
    return sound.astype(np.float32), low + (high - low) * t / seconds


# ---- steps


def test_normalising_is_undone_between_minus_60_and_20_decibel():
    decibel = np.linspace(-60, 20, 21).reshape(3, 7)
    np.testing.assert_allclose(denormalise_decibel(normalise_decibel(decibel)), decibel)


def test_decibel_are_undone_above_the_floors():
    power = 10 ** np.random.default_rng(0).uniform(-5, 2, (2, 5, 3))
    np.testing.assert_allclose(decibel_to_power(power_to_decibel(power)), power)


@pytest.mark.parametrize(("sample_rate", "mel_bins", "window_length"), [(44100, 128, 2048), (8000, 16, 512)])
def test_inverted_mel_filters_fill_the_filters_again_and_are_nowhere_negative(
    sample_rate, mel_bins, window_length
):
    filters = make_mel_filters(sample_rate, mel_bins, window_length)
    sound, _ = make_chirp(sample_rate)
    mel_power = apply_mel_filters(
        compute_power(compute_stft(sound, window_length, window_length // 4)), filters
    )
    power = invert_mel_filters(mel_power, filters)
    assert power.min() >= 0
    np.testing.assert_allclose(apply_mel_filters(power, filters), mel_power, atol=0.03 * mel_power.max())


@pytest.mark.parametrize(
    ("S", "window_length", "hop_length"),
    [(1, 8, 3), (2, 8, 3), (7, 8, 8), (5, 10, 7), (11, 6, 2), (13, 4, 1)],
)
def test_overlap_add_is_a_plain_loop(S, window_length, hop_length):
    frames = np.random.default_rng(0).standard_normal((2, S, window_length))
    expected = np.zeros((2, (S - 1) * hop_length))
    for t in range(S):
        for k in range(window_length):
            i = t * hop_length + k - window_length // 2
            if 0 <= i < (S - 1) * hop_length:
                expected[:, i] += frames[:, t, k]
    np.testing.assert_allclose(overlap_add(frames, hop_length), expected, atol=1e-12)


def test_overlap_add_is_the_transpose_of_framing():
    rng = np.random.default_rng(0)
    waveform = np.pad(rng.standard_normal(6 * 5), 15)  # nothing near the ends, where framing mirrors
    frames = rng.standard_normal((60 // 5 + 1, 14))
    framed_then_weighed = np.sum(frame_waveform(waveform, 14, 5) * frames)
    np.testing.assert_allclose(framed_then_weighed, np.sum(waveform * overlap_add(frames, 5)))


@pytest.mark.parametrize(("window_length", "hop_length"), [(64, 16), (62, 13), (50, 25), (12, 1)])
def test_stft_is_undone_exactly_where_windows_overlap_by_half_or_more(window_length, hop_length):
    waveform = np.random.default_rng(0).standard_normal((3, 17 * hop_length))
    spectrum = compute_stft(waveform, window_length, hop_length)
    np.testing.assert_allclose(invert_stft(spectrum, hop_length), waveform, atol=1e-12)


def test_imposed_magnitude_leaves_the_phases():
    spectrum = np.array([[3 + 4j, -2j, 0]])
    np.testing.assert_allclose(impose_magnitude(spectrum, np.array([[10.0, 1, 7]])), [[6 + 8j, -1j, 0]])


def test_griffin_lim_comes_nearer_to_the_magnitude_with_every_few_iterations():
    sound, _ = make_chirp(8000)
    magnitude = np.abs(compute_stft(sound, 256, 64))

    def miss(iterations):
        found = run_griffin_lim(magnitude, 64, iterations)
        return np.linalg.norm(np.abs(compute_stft(found, 256, 64)) - magnitude) / np.linalg.norm(magnitude)

    misses = [miss(iterations) for iterations in (0, 4, 16, 64)]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] < 0.25 * misses[0]


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
    [(44100, 128, 2048, 512), (16000, 128, 2048, 512), (8000, 64, 512, 128), (8000, 16, 512, 256)],
)
def test_a_chirp_comes_back_with_its_pitch(sample_rate, mel_bins, window_length, hop_length):
    sound, pitch = make_chirp(sample_rate)
    numbers = sample_rate, mel_bins, window_length, hop_length
    picture = log_mel_spectrogram(sound, *numbers)
    found = reconstruct_waveform(picture, sample_rate, window_length, hop_length)
    assert found.dtype == np.float32
    assert found.shape == (len(picture) * hop_length,)

    loudest = (
        np.abs(compute_stft(found, window_length, hop_length)).argmax(axis=1) * sample_rate / window_length
    )
    expected = pitch[::hop_length]
    inner = slice(4, len(picture) - 4)  # at the ends half a window is a mirror image
    edges = np.diff(make_mel_filters(*numbers[:3]).argmax(axis=1)) * sample_rate / window_length
    widest = edges[: mel_bins // 2].max()  # what the picture itself can tell apart, in hertz
    np.testing.assert_allclose(loudest[inner], expected[inner], atol=widest + sample_rate / window_length)


@pytest.mark.parametrize("samples", [7 * 512, 9 * 512 + 100])
@pytest.mark.parametrize("drop_last_step", [True, False])
def test_a_picture_of_either_lineage_gives_a_sound_that_is_as_long_to_one_hop(samples, drop_last_step):
    sound = make_chirp(44100)[0][:samples]
    picture = log_mel_spectrogram(sound, padding="constant", drop_last_step=drop_last_step)
    found = reconstruct_waveform(picture, iterations=8)
    assert abs(len(found) - samples) <= 512
    again = log_mel_spectrogram(found, padding="constant", drop_last_step=True)
    inner = slice(3, samples // 512 - 3)
    assert np.abs(again - picture[: len(again)])[inner].mean() < 0.1


@pytest.mark.parametrize(("mel_bins", "allowed"), [(64, 0.05), (16, 0.1)])
def test_the_picture_of_the_reconstruction_is_the_picture(mel_bins, allowed):
    rng = np.random.default_rng(0)
    sound = make_chirp(8000)[0] + 0.003 * rng.standard_normal(12000).astype(np.float32)
    picture = log_mel_spectrogram(sound, 8000, mel_bins, 512, 128)
    found = reconstruct_waveform(picture, 8000, 512, 128)
    assert np.abs(log_mel_spectrogram(found, 8000, mel_bins, 512, 128) - picture).mean() < allowed


@pytest.mark.parametrize("S", [1, 2])
def test_the_shortest_pictures_give_a_hop_a_step(S):
    assert reconstruct_waveform(np.zeros((S, 128))).shape == (512 * S,)


# ---- every backend

MAGNITUDE = np.random.default_rng(0).random((2, 9, 32))
FILTERS = make_mel_filters(8000, 7, 62)
STEPS = {
    "denormalise_decibel": (denormalise_decibel, MAGNITUDE),
    "decibel_to_power": (decibel_to_power, 10 * MAGNITUDE),
    "invert_mel_filters": (lambda x: invert_mel_filters(x, FILTERS), MAGNITUDE[..., :7]),
    "overlap_add": (lambda x: overlap_add(x, 13), MAGNITUDE),
    "invert_stft": (lambda x: invert_stft(compute_stft(x, 62, 13), 13), MAGNITUDE[..., 0, :]),
    "run_griffin_lim": (lambda x: run_griffin_lim(x, 13, 3), MAGNITUDE),
    "reconstruct_waveform": (lambda x: reconstruct_waveform(x, 8000, 62, 13, 3), MAGNITUDE[..., :7]),
}


@on_every_backend
@pytest.mark.parametrize("step", STEPS)
def test_every_step_equals_numpy_in_double_precision(backend, step):
    function, x = STEPS[step]
    expected = function(x)
    made = function(backend.move(x))
    assert str(made.dtype).endswith(backend.dtype)
    backend.assert_close(made, expected, atol={"float32": 1e-3, "float64": 1e-9}[backend.dtype])


@on_every_backend
def test_magnitude_is_imposed_on_every_backend(backend):
    waveform, magnitude = backend.move(np.sin(np.arange(104.0))), backend.move(MAGNITUDE)
    imposed = impose_magnitude(compute_stft(waveform, 62, 13), magnitude)
    backend.assert_close(namespace(imposed).abs(imposed), MAGNITUDE)


# ---- bad input


@pytest.mark.parametrize(
    ("picture", "complaint"),
    [
        (np.zeros(128), "shape"),
        (np.zeros((0, 128)), "empty"),
        (np.full((3, 128), np.nan), "NaN or infinity"),
        (np.zeros((3, 512)), "leave one empty"),
    ],
)
def test_a_bad_picture_is_refused(picture, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        reconstruct_waveform(picture)
