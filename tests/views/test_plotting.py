"""Pictures show what the arrays say, in one style, and the same arrays give the same bytes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure

from minitvlt.signals.spectrogram import make_mel_filters
from minitvlt.views.drawing import HIDDEN_COLOUR, arrange_stages, check_axes, encode_png
from minitvlt.views.plotting import (
    AUDIO_COLOUR,
    NEUTRAL_COLOUR,
    VIDEO_COLOUR,
    plot_curves,
    plot_frames,
    plot_matching,
    plot_reconstruction,
    plot_spectrogram,
    save_figure,
    smooth,
    spread_mask,
)

B, T, C, H, W, S, F = 2, 3, 3, 10, 14, 12, 8
SOUND: dict[str, int] = {"sample_rate": 16000, "hop_length": 400}  # 25 ms a step


def make_clips(T: int = T) -> tuple[np.ndarray, ...]:
    """Original, prediction and pixel mask of video and of sound."""
    rng = np.random.default_rng(0)
    video, video_prediction = rng.uniform(-1, 1, (2, B, T, C, H, W))
    audio, audio_prediction = rng.uniform(-1, 1, (2, B, S, F))
    video_hidden = spread_mask(rng.random((B, T * 2 * 2)) < 0.75, (5, 7), (T, H, W))
    audio_hidden = spread_mask(rng.random((B, 4 * 2)) < 0.5, (3, 4), (S, F))
    return video, video_prediction, video_hidden, audio, audio_prediction, audio_hidden


def make_metrics(steps: int) -> list[dict[str, Any]]:
    keys = (
        "loss",
        "match_loss",
        "video_loss",
        "audio_loss",
        "match_accuracy",
        "learning_rate",
        "gradient_norm",
    )
    values = np.random.default_rng(1).uniform(0.1, 1, (steps, len(keys)))
    return [{"step": i + 1, **dict(zip(keys, row.tolist(), strict=True))} for i, row in enumerate(values)]


def shown(axes: Axes) -> np.ndarray:
    return axes.images[0].get_array()


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def all_pictures() -> dict[str, Figure]:
    clips = make_clips()
    return {
        "curves": plot_curves(make_metrics(30)),
        "reconstruction": plot_reconstruction(*clips, **SOUND),
        "matching": plot_matching(np.eye(5), frames=clips[0][0, [0] * 5], spectrograms=clips[3][[0] * 5]),
        "spectrogram": plot_spectrogram(clips[3][0], **SOUND),
        "frames": plot_frames(clips[0][0]),
    }


# All pictures


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Figure, bytes]]:
    """Every figure, and its PNG."""
    return {name: (figure, encode_png(figure)) for name, figure in all_pictures().items()}


def test_same_arrays_give_the_same_bytes_whatever_style_the_user_has_set(drawn) -> None:
    with matplotlib.rc_context(
        {"font.size": 30, "image.cmap": "jet", "axes.facecolor": "red", "savefig.dpi": 20}
    ):
        for name, figure in all_pictures().items():
            assert encode_png(figure) == drawn[name][1], name


def test_writing_a_figure_again_gives_the_same_bytes(drawn) -> None:
    for name, (figure, first) in drawn.items():
        assert encode_png(figure) == first, name


def test_drawing_leaves_no_global_trace() -> None:
    before = dict(matplotlib.rcParams)
    all_pictures()
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_needed() -> None:
    program = "import sys, minitvlt.views.plotting; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_figure_is_saved_whole_without_date_or_version(tmp_path: Path) -> None:
    figure = plot_frames(make_clips()[0][0])
    path = save_figure(figure, tmp_path / "runs" / "frames.png")
    content = path.read_bytes()
    assert path == tmp_path / "runs" / "frames.png" and content.startswith(b"\x89PNG")
    assert b"matplotlib" not in content.lower() and b"tEXt" not in content
    assert [p.name for p in path.parent.iterdir()] == ["frames.png"]


def test_a_notebook_shows_the_very_bytes_that_are_saved(tmp_path: Path) -> None:
    figure = plot_frames(make_clips()[0][0])
    assert figure._repr_png_() == save_figure(figure, tmp_path / "frames.png").read_bytes()


def test_only_png_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"end the name in \.png"):
        save_figure(plot_frames(make_clips()[0][0]), tmp_path / "frames.jpg")
    assert list(tmp_path.iterdir()) == []


# Curves


def test_smooth_is_the_mean_of_the_finite_neighbours() -> None:
    values = np.random.default_rng(2).normal(size=17)
    values[[3, 4, 5, 11]] = np.nan, np.inf, np.nan, np.nan
    for window in (1, 3, 7):
        expected = []
        for i in range(17):
            near = values[max(0, i - window // 2) : i + window // 2 + 1]
            near = near[np.isfinite(near)]
            expected.append(near.mean() if len(near) else np.nan)
        np.testing.assert_allclose(smooth(values, window), expected)


def test_every_metric_is_drawn_raw_and_smoothed_in_its_colour() -> None:
    metrics = make_metrics(120)
    figure = plot_curves(metrics)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    raw_video, smooth_video, raw_sound, smooth_sound = panels["Reconstruction loss"].lines
    for raw, mean, key, colour in (
        (raw_video, smooth_video, "video_loss", VIDEO_COLOUR),
        (raw_sound, smooth_sound, "audio_loss", AUDIO_COLOUR),
    ):
        values = np.array([line[key] for line in metrics])
        np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 121))
        np.testing.assert_array_equal(raw.get_ydata(), values)
        np.testing.assert_array_equal(mean.get_ydata(), smooth(values, 7))
        assert same_color(raw.get_color(), colour) and same_color(mean.get_color(), colour)
        assert raw.get_alpha() < 1 and f"{mean.get_ydata()[-1]:.3g}" in mean.get_label()
    for title in ("Loss", "Matching loss", "Matching accuracy", "Gradient norm"):
        assert same_color(panels[title].lines[0].get_color(), NEUTRAL_COLOUR)
    assert len(panels["Learning rate"].lines) == 1  # planned, not measured


def test_chance_levels_of_matching_are_drawn() -> None:
    panels = {axes.get_title(loc="left"): axes for axes in plot_curves(make_metrics(9)).axes}
    assert panels["Matching accuracy"].lines[-1].get_ydata()[0] == 0.5
    assert panels["Matching loss"].lines[-1].get_ydata()[0] == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 41])
def test_runs_of_any_length_are_drawn(steps: int) -> None:
    assert encode_png(plot_curves(make_metrics(steps)))


def test_missing_and_diverged_values_leave_gaps() -> None:
    metrics = make_metrics(10)
    for line in metrics:
        del line["match_loss"]
        line["match_accuracy"] = None
    metrics[4]["loss"], metrics[5]["video_loss"] = float("nan"), float("inf")
    panels = {axes.get_title(loc="left"): axes for axes in plot_curves(metrics).axes}
    assert [line.get_label() for line in panels["Matching loss"].lines] == ["chance 0.69"]
    assert np.isnan(panels["Loss"].lines[0].get_ydata()[4])
    assert encode_png(panels["Loss"].figure)


def test_no_steps_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="metrics is empty"):
        plot_curves([])


# Frames and spectrograms


def test_frames_are_shown_in_order_from_black_to_white() -> None:
    video = make_clips()[0][0]
    figure = plot_frames(video)
    assert titles(figure) == ["frame 1", "frame 2", "frame 3"]
    for t, axes in enumerate(figure.axes):
        for row in range(H):
            for column in range(W):
                expected = [(video[t, channel, row, column] + 1) / 2 for channel in range(C)]
                np.testing.assert_allclose(shown(axes)[row, column], [*expected, 1])
        assert same_color(axes.spines["left"].get_edgecolor(), VIDEO_COLOUR)


def test_one_channel_is_grey_and_values_beyond_the_range_are_cut() -> None:
    frame = np.full((1, 1, 2, 3), 1.5, dtype=np.float32)
    frame[..., 0] = -7
    picture = shown(plot_frames(frame).axes[0])
    np.testing.assert_array_equal(picture[0], [[0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]])


def test_a_spectrogram_stands_on_seconds_and_kilohertz() -> None:
    audio = make_clips()[3][0]
    axes, scale = plot_spectrogram(audio, **SOUND).axes
    np.testing.assert_array_equal(shown(axes), audio.T)
    assert axes.images[0].origin == "lower"
    assert axes.get_xlim() == (-0.0125, pytest.approx((S - 0.5) * 0.025))  # a step is centred on its time
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == (
        "time (s)", "mel frequency (kHz)", "level (dB)",
    )  # fmt: skip
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.5", "1", "2", "4"]
    assert [label.get_text() for label in scale.get_yticklabels()] == ["-60", "-40", "-20", "0", "20"]


def test_frequency_ticks_agree_with_the_mel_filters() -> None:
    sample_rate, bins, window = 44100, 128, 8192
    axes = plot_spectrogram(np.zeros((5, bins)), sample_rate=sample_rate, hop_length=512).axes[0]
    peaks = (
        make_mel_filters(sample_rate, bins, window).argmax(axis=1) * sample_rate / window
    )  # hertz, bin by bin
    hertz = np.array([float(label.get_text()) * 1000 for label in axes.get_yticklabels()])
    assert hertz.tolist() == [500, 1000, 2000, 4000, 8000, 16000]
    np.testing.assert_allclose(np.interp(axes.get_yticks(), np.arange(bins), peaks), hertz, rtol=0.02)


# Reconstruction


def test_masks_spread_from_tokens_to_pixels() -> None:
    is_hidden = np.random.default_rng(3).random((2, 3 * 2 * 5)) < 0.5
    pixels = spread_mask(is_hidden, (3, 2), (3, 6, 10))
    for b, t, y, x in np.ndindex(2, 3, 6, 10):
        assert pixels[b, t, y, x] == is_hidden[b, t * 2 * 5 + (y // 3) * 5 + x // 2]
    steps = spread_mask(is_hidden, (7, 2), (42, 10))
    for b, s, f in np.ndindex(2, 42, 10):
        assert steps[b, s, f] == is_hidden[b, (s // 7) * 5 + f // 2]


@pytest.mark.parametrize(("patch", "size"), [((3, 2), (2, 6, 10)), ((4, 2), (3, 6, 10)), ((3, 2), (6, 10))])
def test_masks_that_do_not_tile_the_picture_are_refused(
    patch: tuple[int, int], size: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="30 tokens with patch"):
        spread_mask(np.zeros((1, 30), dtype=bool), patch, size)


@pytest.mark.parametrize("T", [3, 5])
def test_reconstruction_shows_what_is_hidden_and_pastes_back_what_is_not(T: int) -> None:
    video, video_prediction, video_hidden, audio, audio_prediction, audio_hidden = clips = make_clips(T)
    figure = plot_reconstruction(*clips, **SOUND)
    assert len(figure.axes) == B * (3 * T + 3)
    for b in range(B):
        axes = figure.axes[b * (3 * T + 3) : (b + 1) * (3 * T + 3)]
        for t in range(T):
            original, seen, rebuilt = (shown(axes[stage * T + t]) for stage in range(3))
            hidden = video_hidden[b, t]
            np.testing.assert_allclose(original[..., :3], (np.moveaxis(video[b, t], 0, -1) + 1) / 2)
            np.testing.assert_array_equal(seen[..., 3], np.where(hidden, 0, 1))
            np.testing.assert_array_equal(rebuilt[~hidden], original[~hidden])
            predicted = (np.moveaxis(video_prediction[b, t], 0, -1) + 1) / 2
            np.testing.assert_allclose(rebuilt[hidden][:, :3], predicted[hidden])
        original, seen, rebuilt = (shown(one) for one in axes[3 * T :])
        np.testing.assert_array_equal(np.ma.getmaskarray(seen), audio_hidden[b].T)
        np.testing.assert_array_equal(original, audio[b].T)
        np.testing.assert_array_equal(rebuilt, np.where(audio_hidden[b], audio_prediction[b], audio[b]).T)
    assert all(
        axes.patch.get_hatch() and same_color(axes.get_facecolor(), HIDDEN_COLOUR) for axes in figure.axes
    )


def test_reconstruction_says_how_much_was_kept_in_the_colour_of_the_sense() -> None:
    clips = make_clips()
    figure = plot_reconstruction(*clips, **SOUND)
    kept = f"{1 - clips[2][0].mean():.0%}"
    assert titles(figure)[:4] == [
        "Video: original",
        f"Video: what the encoder sees ({kept} kept)",
        "Video: reconstruction",
        "Sound: original",
    ]
    for axes in figure.axes:
        title = axes.get_title(loc="left")
        if title:
            colour = VIDEO_COLOUR if title.startswith("Video") else AUDIO_COLOUR
            assert same_color(axes.title.get_color(), "black") and same_color(
                axes._left_title.get_color(), colour
            )


@pytest.mark.parametrize("T", [3, 5])
def test_one_sense_alone_can_be_drawn(T: int) -> None:
    clips = make_clips(T)
    assert len(plot_reconstruction(*clips[:3], None, None, None, **SOUND).axes) == B * 3 * T
    assert len(plot_reconstruction(None, None, None, *clips[3:], **SOUND).axes) == B * 3


@pytest.mark.parametrize(
    ("T", "ratio"), [(0, 1), (1, 0.2), (1, 5), (3, 1), (4, 0.5), (8, 1), (8, 2), (30, 0.75)]
)
@pytest.mark.parametrize("has_sound", [True, False])
def test_boxes_lie_on_the_figure_and_apart(T: int, ratio: float, has_sound: bool) -> None:
    frame, sound, (across, down) = arrange_stages(T, float(ratio), has_sound)
    right = frame[0] + T * frame[2]
    assert right <= across and frame[1] + 3 * frame[3] < down
    if T:
        assert frame[3] == pytest.approx(frame[2] * ratio)
    if has_sound:
        assert sound[0] + sound[2] <= across and sound[1] + 3 * sound[3] < down and sound[2] > 3
        assert T == 0 or right < sound[0] or frame[1] + 3 * frame[3] < sound[1]


def test_arrays_that_do_not_fit_are_refused() -> None:
    video, video_prediction, video_hidden, *audio = make_clips()
    with pytest.raises(ValueError, match="video: expected original, prediction and mask"):
        plot_reconstruction(video, None, video_hidden, *audio, **SOUND)
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_reconstruction(None, None, None, None, None, None, **SOUND)
    jaxtyping.config.update("jaxtyping_disable", True)  # the package's own words, not the checker's
    try:
        with pytest.raises(ValueError, match=r"video_prediction: .*W = 14, got \(2, 3, 3, 10, 13\)"):
            plot_reconstruction(video, video_prediction[..., :-1], video_hidden, *audio, **SOUND)
        with pytest.raises(ValueError, match=r"expected an array \(S, F\), got \(2, 12, 8\)"):
            plot_spectrogram(audio[0], **SOUND)
        with pytest.raises(ValueError, match=r"scores: expected an array \(n, n\), got \(3, 4\)"):
            plot_matching(np.zeros((3, 4)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_axes_are_compared_by_letter() -> None:
    check_axes(one=(np.zeros((2, 3)), "A B"), none=(None, "A"), other=(np.zeros((3, 3)), "B B"))
    with pytest.raises(ValueError, match=r"other: expected an array \(B, C\) with B = 3, got \(2, 5\)"):
        check_axes(one=(np.zeros((2, 3)), "A B"), other=(np.zeros((2, 5)), "B C"))


# Matching


def test_matching_marks_pairs_and_counts_recall_both_ways() -> None:
    scores = np.array([[5, 1, 9], [0, 7, 6], [2, 8, 3]], dtype=float)  # best video of each sound: 2, 1, 1
    figure = plot_matching(scores)
    axes = figure.axes[0]
    np.testing.assert_array_equal(shown(axes), scores)
    assert "sound → video 0.33, video → sound 0.33 (chance 0.33)" in figure.get_suptitle()
    by_sound, by_video = axes.collections
    np.testing.assert_array_equal(np.round(by_sound.get_offsets()), [[2, 0], [1, 1], [1, 2]])
    np.testing.assert_array_equal(np.round(by_video.get_offsets()), [[0, 0], [1, 2], [2, 0]])
    np.testing.assert_allclose(by_sound.get_facecolor(), [to_rgba(AUDIO_COLOUR)])
    np.testing.assert_allclose(by_video.get_facecolor(), [to_rgba(VIDEO_COLOUR)])
    assert [np.round(square.get_center()).tolist() for square in axes.patches] == [[0, 0], [1, 1], [2, 2]]
    assert (
        "sound → video 1.00, video → sound 0.67"
        in plot_matching(np.array([[5, 1, 2], [0, 7, 6], [8, 1, 9]], dtype=float)).get_suptitle()
    )


def test_thumbnails_stand_at_their_row_and_column() -> None:
    video, _, _, audio, *_ = make_clips()
    figure = plot_matching(np.eye(3), frames=video[0], spectrograms=audio[[0, 1, 0]])
    matrix, scale, above, before = figure.axes
    assert scale.get_ylabel() == "matching score"
    assert [sum(image.get_extent()[:2]) / 2 for image in above.images] == pytest.approx([0, 1, 2])
    assert [sum(image.get_extent()[2:]) / 2 for image in before.images] == pytest.approx([0, 1, 2])
    assert above.get_xlim() == matrix.get_xlim() and before.get_ylim() == matrix.get_ylim()
    np.testing.assert_array_equal(shown(before), audio[0].T[::-1])  # low frequencies below
    np.testing.assert_allclose(above.images[2].get_array(), (np.moveaxis(video[0, 2], 0, -1) + 1) / 2)
    assert {text.get_text() for text in matrix.get_xticklabels()} == {""}


@pytest.mark.parametrize("n", [1, 2, 40])
def test_batches_of_any_size_are_drawn(n: int) -> None:
    figure = plot_matching(np.random.default_rng(4).normal(size=(n, n)))
    numbers = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert numbers == ([str(i + 1) for i in range(n)] if n <= 32 else [])
    assert encode_png(figure)


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        plot_matching(np.array([[1.0, np.nan], [0.0, 1.0]]))
