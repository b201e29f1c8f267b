"""Pictures that explain show the numbers that they are given."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import same_color

from minitvlt.config import Config
from minitvlt.diagrams import (
    GROUNDS,
    draw_cells,
    draw_flow,
    draw_heat,
    mark_senses,
    new_axes,
    plot_masked_clip,
    plot_weights,
    spread_weights,
    use_style,
)
from minitvlt.drawing import AUDIO_COLOUR, STYLE, VIDEO_COLOUR, encode_png

CONFIG = Config.tiny(image_size=(6, 9), image_patch_size=(3, 3), spectrogram_length=8, frequency_length=6,
                     audio_patch_size=(4, 2))  # fmt: skip
RNG = np.random.default_rng(0)
VIDEO, AUDIO = RNG.uniform(-1, 1, (3, 3, 6, 9)), RNG.uniform(-1, 1, (8, 6))


def test_axes_have_titles_and_units_where_they_belong():
    figure, axes = new_axes(2, 3, titles=("a", "b", "c", "d"), x="time (s)", y="level (dB)")
    assert [one.get_title(loc="left") for one in axes] == ["a", "b", "c", "d", "", ""]
    assert [one.get_xlabel() for one in axes] == ["", "", ""] + ["time (s)"] * 3
    assert [one.get_ylabel() for one in axes] == ["level (dB)", "", ""] * 2
    assert encode_png(figure)


def test_a_notebook_can_draw_in_the_same_style():
    with matplotlib.rc_context():
        use_style()
        assert matplotlib.rcParams["lines.linewidth"] == STYLE["lines.linewidth"]


def test_cells_hold_words_on_grounds():
    figure, (axes,) = new_axes()
    draw_cells(
        axes, np.array([["a", "b", ""], ["1", "2", "3"]]), np.array([[0, 1, -1], [0, len(GROUNDS), 2]])
    )
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["b"] == (1.5, 0.5) and places["1"] == (0.5, 1.5)
    colours = [patch.get_facecolor() for patch in axes.patches]
    expected = [GROUNDS[0], GROUNDS[1], "white", GROUNDS[0], GROUNDS[0], GROUNDS[2]]
    assert all(map(same_color, colours, expected))
    assert encode_png(figure)


def test_a_flow_has_a_box_a_step_and_an_arrow_between_them():
    figure, (axes,) = new_axes()
    draw_flow(axes, [("x", "(N, D)"), ("norm", "(N, D)"), ("map", "(N, 3 D)")], [VIDEO_COLOUR])
    assert [text.get_text() for text in axes.texts if text.get_text()] == [
        "x", "(N, D)", "norm", "(N, D)", "map", "(N, 3 D)",
    ]  # fmt: skip
    assert len(axes.patches) == 3 and sum(hasattr(text, "arrow_patch") for text in axes.texts) == 2
    assert same_color(axes.patches[0].get_edgecolor(), VIDEO_COLOUR)
    assert encode_png(figure)


def test_heat_and_the_senses_along_it():
    figure, (left, right) = new_axes(1, 2)
    values = RNG.random((4, 4))
    draw_heat(left, values, vmin=0, vmax=1)
    draw_heat(right, values, has_scale=False)
    mark_senses(left, (1, 3), ("cls", "video"))
    np.testing.assert_array_equal(left.images[0].get_array(), values)
    assert len(figure.axes) == 3
    assert left.get_xticks().tolist() == [0, 2] and [line.get_xdata()[0] for line in left.lines[1::2]] == [
        0.5
    ]
    assert encode_png(figure)


def test_a_masked_clip_leaves_hidden_patches_out():
    video_hidden, audio_hidden = np.arange(18) % 3 == 0, np.arange(6) < 2
    figure = plot_masked_clip(CONFIG, VIDEO, AUDIO, video_hidden, audio_hidden)
    *frames, sound = figure.axes
    assert frames[0].get_title(loc="left") == "Video: 12 of 18 patches kept"
    assert sound.get_title(loc="left") == "Sound: 4 of 6 patches kept"
    for t, row, column in np.ndindex(3, 6, 9):
        hidden = video_hidden[t * 6 + row // 3 * 3 + column // 3]
        assert frames[t].images[0].get_array()[row, column, 3] == (0 if hidden else 1)
    mask = np.ma.getmaskarray(sound.images[0].get_array()).T
    for step, band in np.ndindex(8, 6):
        assert mask[step, band] == audio_hidden[step // 4 * 3 + band // 2]


@pytest.mark.parametrize("T", [1, 3, 7])
def test_clips_of_any_length_and_one_sense_alone_are_drawn_on_the_figure(T):
    video = RNG.uniform(-1, 1, (T, 3, 6, 9))
    for figure, count in (
        (plot_masked_clip(CONFIG, video, AUDIO), T + 1),
        (plot_masked_clip(CONFIG, video, None), T),
        (plot_masked_clip(CONFIG, None, AUDIO), 1),
    ):
        assert len(figure.axes) == count and encode_png(figure)
        for axes in figure.axes:
            box = axes.get_position()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1
        boxes = [axes.get_position() for axes in figure.axes]
        assert all(a.x1 <= b.x0 or b.y1 <= a.y0 for a, b in pairwise(boxes))


def test_weights_shine_where_they_lie():
    video_weights, audio_weights = np.zeros(18), np.zeros(6)
    video_weights[7], audio_weights[5] = 0.75, 0.25
    figure = plot_weights(CONFIG, VIDEO, AUDIO, video_weights, audio_weights)
    *frames, sound = figure.axes
    assert frames[0].get_title(loc="left") == "Video: 75% of the weight"
    assert sound.get_title(loc="left") == "Sound: 25% of the weight"
    bright = np.moveaxis((VIDEO + 1) / 2, 1, -1)
    place = (1, slice(0, 3), slice(3, 6))  # token 7: frame 1, upper row, middle
    light = spread_weights(video_weights, (3, 3), (3, 6, 9))
    assert (light[place] == 0.75).all() and light.sum() == pytest.approx(0.75 * 9)
    shown = np.stack([axes.images[0].get_array()[..., :3] for axes in frames])
    np.testing.assert_allclose(shown[place], bright[place])
    np.testing.assert_allclose(shown[0], 0.15 * bright[0])
    np.testing.assert_allclose(sound.images[0].get_array().T[4:, 4:], AUDIO[4:, 4:])
    assert same_color(sound.spines["left"].get_edgecolor(), AUDIO_COLOUR)
