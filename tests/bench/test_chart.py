"""The chart shows every contender of every case: time, spread and floor."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from minitvlt.bench.cases import make_case
from minitvlt.bench.chart import plot_rows
from minitvlt.bench.results import Row
from minitvlt.drawing import HIDDEN_COLOUR, NEUTRAL_COLOUR, encode_png

STEP, SOUND = make_case("step", "tiny", batch=3), make_case("spectrogram", "base")
ROWS = [
    Row(STEP, "numpy", 3, (0.2, 0.1, 0.4), (1e10, 2e10, 3e10)),
    Row(STEP, "torch-cuda-bfloat16-compiled", 3, error="no card"),
    Row(STEP, "transformers", 3, (0.5,), (2e10,)),
    Row(SOUND, "librosa", 1, (0.03,)),
]


def test_a_panel_a_case_and_a_bar_a_contender():
    step, sound = plot_rows(ROWS).axes
    assert [axes.get_title(loc="left") for axes in (step, sound)] == [STEP.title, SOUND.title]
    names = [label.get_text() for label in step.get_yticklabels()]
    assert names == ["numpy", "torch-cuda-bfloat16-compiled", "transformers"]
    assert [(bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in step.patches] == [
        (0.2, 0),
        (0.5, 2),
    ]
    assert [bar.get_width() for bar in sound.patches] == [0.03]
    assert step.yaxis_inverted(), "the first on top"


def test_ours_are_dark_and_others_light():
    step, _ = plot_rows(ROWS).axes
    ours, theirs = (bar.get_facecolor() for bar in step.patches)
    assert same_color(ours, NEUTRAL_COLOUR) and same_color(theirs, HIDDEN_COLOUR)


def test_whiskers_are_the_quartiles_and_lines_the_floor():
    step, sound = plot_rows(ROWS).axes
    whisker = step.containers[1].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(whisker[:, 0], ROWS[0].quartiles)
    floors = [line.get_xdata()[0] for line in step.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(floors, [ROWS[0].floor, ROWS[2].floor])
    assert "matrix products" in step.get_xlabel() and sound.get_xlabel() == "seconds"


def test_where_batches_differ_times_are_those_of_one_clip():
    case = make_case("step", "tiny", batch="max")
    rows = [Row(case, "torch-cuda", 8, (2.0,), (1e10,)), Row(case, "transformers-cuda", 2, (0.5,), (1e10,))]
    (axes,) = plot_rows(rows).axes
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.25]
    assert axes.get_xlabel().startswith("seconds for one of the clips")
    floor = next(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2)
    assert floor == pytest.approx(rows[0].floor / 8)


def test_long_names_have_room():
    figure = plot_rows(ROWS)
    figure.canvas.draw()
    leftmost = min(label.get_window_extent().x0 for axes in figure.axes for label in axes.get_yticklabels())
    assert leftmost > 0


def test_the_same_figures_give_the_same_bytes():
    assert encode_png(plot_rows(ROWS)) == encode_png(plot_rows(ROWS))


def test_nothing_cannot_be_drawn():
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_rows([])
