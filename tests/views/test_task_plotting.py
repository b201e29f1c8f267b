"""Pictures of answers and of what was found show what the arrays say."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import same_color

from minitvlt.training.finetuning import LOGGED
from minitvlt.views.drawing import AUDIO_COLOUR, VIDEO_COLOUR, encode_png
from minitvlt.views.plotting import plot_curves
from minitvlt.views.task_plotting import (
    list_task_curves,
    plot_bars,
    plot_confusion,
    plot_found,
    plot_numbers,
    shorten,
)

RNG = np.random.default_rng(2)
SOUND: dict[str, int] = {"sample_rate": 16000, "hop_length": 400}
SPECTROGRAMS = RNG.uniform(-1, 1, (6, 12, 8))
VIDEO = RNG.uniform(-1, 1, (9, 3, 10, 14))
CAPTIONS = [f"{i + 1}. film_{i}.mp4\nscore {i:.2f}" for i in range(5)]


def make_pictures() -> dict[str, matplotlib.figure.Figure]:
    names = ("$a$", "b_1", "a very long name of a class indeed")
    return {
        "confusion": plot_confusion(np.arange(20) % 3, np.arange(20) % 7 % 3, names),
        "numbers": plot_numbers(np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 1.5])),
        "one number": plot_numbers(np.array([3.0]), np.array([3.0])),
        "bars": plot_bars(("x", "$y$"), np.array([0.2, 0.0]), np.array([0.5, 0.1])),
        "found videos": plot_found(SPECTROGRAMS[0], list(VIDEO[:5]), CAPTIONS, "bark_$x$.wav", **SOUND),
        "found sounds": plot_found(VIDEO, list(SPECTROGRAMS[:5]), CAPTIONS, "film.mp4", **SOUND),
        "found one": plot_found(VIDEO[:1], [SPECTROGRAMS[0]], CAPTIONS[:1], "film.mp4", **SOUND),
    }


def test_same_arrays_give_the_same_bytes_whatever_style_the_user_has_set():
    pictures = []
    for style in ({}, {"font.size": 30, "image.cmap": "jet", "axes.facecolor": "red"}):
        with matplotlib.rc_context(style):
            pictures.append({name: encode_png(figure) for name, figure in make_pictures().items()})
    assert pictures[0] == pictures[1]


def test_confusion_counts_truths_in_rows_and_predictions_in_columns():
    axes = plot_confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), ("a", "b", "c")).axes[0]
    counts = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert counts[(0, 0)] == "1" and counts[(1, 0)] == "2" and counts[(2, 2)] == "1" and counts[(0, 2)] == "0"
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 2 / 3, 0], [0, 0, 0], [0, 0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


def test_of_many_classes_neither_counts_nor_names_are_written():
    labels = np.arange(50)
    axes = plot_confusion(labels, labels, [f"class {i}" for i in range(50)]).axes[0]
    assert not axes.texts and not axes.get_yticklabels()
    np.testing.assert_array_equal(axes.images[0].get_array(), np.eye(50))


def test_numbers_stand_over_the_truth():
    axes = plot_numbers(np.array([0.0, 1.0]), np.array([0.5, 3.0])).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[0.0, 0.5], [1.0, 3.0]])
    assert axes.get_xlim() == axes.get_ylim()


def test_bars_are_sorted_and_have_their_chance():
    axes = plot_bars(("low", "high"), np.array([0.3, 0.9]), np.array([0.1, 0.6])).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["high", "low"]
    assert [segment[0][0] for segment in axes.collections[0].get_segments()] == [0.6, 0.1]


def test_what_was_found_stands_below_what_was_looked_for():
    for query, found, colours in (
        (SPECTROGRAMS[0], list(VIDEO[:5]), (AUDIO_COLOUR, VIDEO_COLOUR)),
        (VIDEO, list(SPECTROGRAMS[:5]), (VIDEO_COLOUR, AUDIO_COLOUR)),
    ):
        figure = plot_found(query, found, CAPTIONS, "query.mp4", **SOUND)
        first, *_ = figure.axes
        assert "query.mp4" in first.get_title(loc="left")
        assert same_color(first.spines["left"].get_edgecolor(), colours[0])
        last = figure.axes[-5:]
        assert [axes.get_title(loc="left") for axes in last] == CAPTIONS
        assert all(same_color(axes.spines["left"].get_edgecolor(), colours[1]) for axes in last)
        tops = [axes.get_position().y1 for axes in last]
        assert max(tops) < first.get_position().y0


def test_of_a_long_video_six_frames_are_shown_the_first_and_the_last_among_them():
    figure = plot_found(VIDEO, [SPECTROGRAMS[0]], CAPTIONS[:1], "film.mp4", **SOUND)
    frames = figure.axes[:-1]
    assert len(frames) == 6
    for axes, t in ((frames[0], 0), (frames[5], 8)):
        np.testing.assert_allclose(axes.images[0].get_array()[..., 0], (VIDEO[t, 0] + 1) / 2)


@pytest.mark.parametrize("loss_type", LOGGED)
def test_every_task_has_curves(loss_type):
    logged = LOGGED[loss_type]
    metrics = [{"step": 1, "loss": 2.0, logged: 0.5, "learning_rate": 0.1, "gradient_norm": 1.0}] * 3
    panels = plot_curves(metrics, list_task_curves(logged)).axes
    assert len(panels) == 4 and all(axes.lines for axes in panels)


def test_long_names_keep_beginning_and_end():
    assert shorten("short.mp4", 9) == "short.mp4"
    assert shorten("a_long_name.mp4", 9) == "a_lo….mp4" and len(shorten("x" * 99, 22)) == 22
