"""Figures show what the arrays hold, in one style, and the same arrays give the same bytes."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from minitvlt.config import Config
from minitvlt.signals.spectrogram import make_mel_filters
from minitvlt.views.figures import (
    AUDIO_COLOUR,
    VIDEO_COLOUR,
    draw_spectrogram,
    plot_bars,
    plot_confusion,
    plot_curves,
    plot_matching,
    plot_reconstruction,
    plot_regression,
    plot_retrieval,
    save_figure,
    smooth,
    tokens_to_pixels,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.models import draw_batch

CONFIG = Config.tiny(image_size=(24, 36))
BATCH = draw_batch(CONFIG, np.random.default_rng(0), B=2, T=3, s=2, is_padded=False)
RNG = np.random.default_rng(1)
VIDEO, AUDIO = RNG.uniform(-1, 1, BATCH.video.shape), RNG.uniform(-1, 1, BATCH.audio.shape)
METRICS = [
    {"step": i + 1, "loss": 1 / (i + 1), "video_loss": 0.5 / (i + 1), "audio_loss": 0.25, "match_loss": 0.6}
    for i in range(120)
]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def shown(axes: Axes) -> np.ndarray:
    return axes.images[0].get_array()


def side_by_side(video: np.ndarray) -> np.ndarray:
    """The colours that a row of frames should have."""
    return np.concatenate([(np.moveaxis(frame, 0, -1) + 1) / 2 for frame in video], axis=1)


# All figures


def test_notebooks_and_files_get_the_same_bytes_whatever_style_the_user_has_set(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    first = plot_matching(np.eye(3), VIDEO[[0, 1, 0], 0], AUDIO[[0, 1, 0], 0])._repr_png_()
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "image.cmap": "jet", "savefig.dpi": 20}):
        figure = plot_matching(np.eye(3), VIDEO[[0, 1, 0], 0], AUDIO[[0, 1, 0], 0])
        path = save_figure(figure, tmp_path / "new" / "matching.png")
    assert path.read_bytes() == first and first.startswith(b"\x89PNG")
    assert b"matplotlib" not in first.lower() and b"tEXt" not in first
    assert [entry.name for entry in path.parent.iterdir()] == ["matching.png"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_curves([]), "at least one line"),
        (lambda: plot_matching(np.array([[1.0, np.nan], [0.0, 1.0]])), "finite numbers"),
        (lambda: plot_matching(np.zeros((3, 4))), r"square matrix of finite numbers, got \(3, 4\)"),
        (lambda: plot_reconstruction(CONFIG, BATCH, VIDEO[:, :2], AUDIO), "the shapes of the batch"),
        (lambda: tokens_to_pixels(np.zeros((1, 30)), (3, 2), (2, 6, 10)), "30 tokens with patch"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(draw, message: str) -> None:
    with annotations_unchecked(), pytest.raises(ValueError, match=message):
        draw()


# Curves


def test_every_metric_is_drawn_raw_and_smoothed_beside_its_chance_level() -> None:
    panels = {axes.get_title(loc="left"): axes for axes in plot_curves(METRICS).axes}
    assert list(panels) == ["Loss", "Match loss", "Reconstruction loss", ""]
    lines = panels["Reconstruction loss"].lines
    for i, (key, colour) in enumerate({"video_loss": VIDEO_COLOUR, "audio_loss": AUDIO_COLOUR}.items()):
        pair = lines[2 * i : 2 * i + 2]
        values = np.array([line[key] for line in METRICS])
        np.testing.assert_array_equal(pair[0].get_xdata(), np.arange(1, 121))
        np.testing.assert_array_equal(pair[0].get_ydata(), values)
        np.testing.assert_array_equal(pair[1].get_ydata(), smooth(values, 7))
        assert all(same_color(line.get_color(), colour) for line in pair)
        assert pair[1].get_label() == f"{key.replace('_', ' ')} {pair[1].get_ydata()[-1]:.3g}"
    assert panels["Match loss"].lines[-1].get_ydata()[0] == pytest.approx(np.log(2))
    assert not panels[""].axison


def test_missing_and_diverged_values_leave_gaps_and_metrics_without_a_value_are_left_out() -> None:
    lines = [dict(line, match_loss=None) for line in METRICS[:3]]
    lines[1]["loss"] = float("nan")
    figure = plot_curves(lines)
    assert titles(figure) == ["Loss", "Reconstruction loss"]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).tolist() == [False, True, False]
    assert [len(plot_curves([line]).axes) for line in ({"step": 0}, {"step": 0, "loss": 1.0})] == [2, 1]


# Frames and spectrograms


def test_frequency_ticks_agree_with_the_mel_filters() -> None:
    config, axes = Config(), Figure().subplots()
    spectrogram = np.random.default_rng(3).uniform(-1, 1, (5, 128))
    draw_spectrogram(axes, spectrogram, config)
    np.testing.assert_array_equal(shown(axes), spectrogram.T)
    step = config.hop_length / config.sample_rate  # each is centred on its time
    assert axes.images[0].origin == "lower" and axes.get_xlim() == pytest.approx((-step / 2, 4.5 * step))
    filters = make_mel_filters(config.sample_rate, 128, 8192)
    peaks = filters.argmax(axis=1) * config.sample_rate / 8192  # hertz, bin by bin
    hertz = np.array([float(label.get_text()) * 1000 for label in axes.get_yticklabels()])
    assert hertz.tolist() == [500, 1000, 2000, 4000, 8000, 16000]
    np.testing.assert_allclose(np.interp(axes.get_yticks(), np.arange(128), peaks), hertz, rtol=0.02)


def test_values_of_tokens_are_repeated_over_their_patches() -> None:
    tokens = np.random.default_rng(3).random((2, 3 * 2 * 5))
    ones = np.ones((1, 3, 1, 2))
    pixels = np.kron(tokens.reshape(2, 3, 2, 5), ones.reshape(1, 1, 3, 2))
    np.testing.assert_array_equal(tokens_to_pixels(tokens, (3, 2), (3, 6, 10)), pixels)
    np.testing.assert_array_equal(tokens_to_pixels(tokens, (3, 2), (18, 10)), pixels.reshape(2, 18, 10))


def test_reconstruction_shows_original_input_and_prediction_of_every_clip() -> None:
    figure = plot_reconstruction(CONFIG, BATCH, VIDEO, AUDIO)
    visible = f"{1 - BATCH.video_masking.is_hidden[0].mean():.0%}"
    assert titles(figure)[:5] == [
        "Video: original", "Audio: original",
        f"Video: input of the encoder ({visible} visible)", "Audio: input of the encoder (50% visible)",
        "Video: reconstruction",
    ]  # fmt: skip
    hidden = tokens_to_pixels(BATCH.video_masking.is_hidden, CONFIG.image_patch_size, (3, 24, 36))
    steps = tokens_to_pixels(BATCH.audio_masking.is_hidden, CONFIG.audio_patch_size, AUDIO.shape[2:])
    for b in range(2):
        frames, spectrograms = figure.axes[6 * b : 6 * b + 6 : 2], figure.axes[6 * b + 1 : 6 * b + 6 : 2]
        for axes, video in zip(frames, (BATCH.video, BATCH.video, VIDEO), strict=True):
            np.testing.assert_allclose(shown(axes)[..., :3], side_by_side(video[b]))
        np.testing.assert_array_equal(shown(frames[1])[..., 3], ~np.concatenate(hidden[b], axis=1))
        for axes, audio in zip(spectrograms, (BATCH.audio, BATCH.audio, AUDIO), strict=True):
            np.testing.assert_array_equal(shown(axes).data, audio[b, 0].T)
        np.testing.assert_array_equal(shown(spectrograms[1]).mask, steps[b].T)
        assert frames[1].patch.get_hatch() and not spectrograms[0].get_xlabel()


# Matching and retrieval


def test_matching_marks_pairs_and_counts_recall_both_ways() -> None:
    scores = np.array([[5, 1, 9], [0, 7, 6], [2, 8, 3]], dtype=float)  # best video of each audio: 2, 1, 1
    figure = plot_matching(scores)
    np.testing.assert_array_equal(shown(figure.axes[0]), scores)
    assert "audio → video 0.33, video → audio 0.33 (chance 0.33)" in figure.get_suptitle()
    pairs, by_audio, by_video = figure.axes[0].collections
    np.testing.assert_array_equal(pairs.get_offsets(), [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(np.round(by_audio.get_offsets()), [[2, 0], [1, 1], [1, 2]])
    np.testing.assert_array_equal(np.round(by_video.get_offsets()), [[0, 0], [1, 2], [2, 0]])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2", "3"]
    assert not plot_matching(np.eye(33)).axes[0].get_xticklabels()


def test_results_of_a_search_are_drawn_below_the_query() -> None:
    captions, videos = ["1. $a$.mp4", "2. b.mp4"], [clip[1:2] for clip in VIDEO]
    for query, found, colours in (
        (AUDIO[0, 0], videos, (AUDIO_COLOUR, VIDEO_COLOUR)),
        (np.concatenate([*VIDEO, *VIDEO]), list(AUDIO[:, 0]), (VIDEO_COLOUR, AUDIO_COLOUR)),
    ):
        figure = plot_retrieval(CONFIG, query, found, captions, "query.wav")
        assert "query.wav" in titles(figure)[0] and titles(figure)[1:] == [*captions, "", "", ""]
        assert [axes.axison for axes in figure.axes] == [True] * 3 + [False] * 3
        edges = [axes.spines["left"].get_edgecolor() for axes in figure.axes[:2]]
        assert all(map(same_color, edges, colours))
    six = np.concatenate([*VIDEO, *VIDEO])[[0, 2, 4, 7, 9, 11]]
    np.testing.assert_allclose(shown(figure.axes[0])[..., :3], side_by_side(six))


# Tasks


def test_a_confusion_matrix_has_true_classes_in_rows() -> None:
    axes = plot_confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), ("a", "b", "$c$")).axes[0]
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert counts[0, 0] == "1" and counts[1, 0] == "2" and counts[2, 2] == "1" and counts[0, 2] == "0"
    np.testing.assert_allclose(shown(axes), [[1 / 3, 2 / 3, 0], [0, 0, 0], [0, 0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "$c$"]
    many = np.arange(50)
    axes = plot_confusion(many, many, [f"class {i}" for i in many]).axes[0]
    assert not axes.texts and not axes.get_yticklabels(), "too many to be read"


def test_predictions_are_drawn_over_the_truth_and_bars_in_order() -> None:
    points = plot_regression(np.array([0.0, 1.0]), np.array([0.5, 3.0])).axes[0].collections[0]
    np.testing.assert_array_equal(points.get_offsets(), [[0.0, 0.5], [1.0, 3.0]])
    axes = plot_bars({"low": (0.3, 0.1), "high": (0.9, 0.6)}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["high", "low"]
    assert [segment[0][0] for segment in axes.collections[0].get_segments()] == [0.6, 0.1]
