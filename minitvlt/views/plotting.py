"""Pictures of clips, of training and of what the model makes of a clip: from plain NumPy arrays to a figure.

Every function `plot_*` returns a new matplotlib figure and touches no global state; `save_figure` writes it,
and a notebook shows it as it is. Colours and style are those of `views.drawing`. Letters: B or n clips,
T frames, C channels (1 or 3), H W pixels, S spectrogram steps, F mel bins. Frames and log-mel lie in [-1, 1].
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from minitvlt.signals.inversion import denormalise_decibel
from minitvlt.views.drawing import (
    AUDIO_COLOUR,
    GAP,
    MATCHING,
    NEUTRAL_COLOUR,
    TITLE,
    VIDEO_COLOUR,
    Picture,
    arrange_stages,
    check_axes,
    draw_frame,
    draw_sound_stages,
    draw_spectrogram,
    draw_thumbnails,
    draw_video_stages,
    make_stages,
    mark_pairs,
    place,
    save_figure,
    with_style,
)

__all__ = [
    "AUDIO_COLOUR",
    "NEUTRAL_COLOUR",
    "VIDEO_COLOUR",
    "plot_curves",
    "plot_frames",
    "plot_matching",
    "plot_reconstruction",
    "plot_spectrogram",
    "save_figure",
    "spread_mask",
]

# the panels of plot_curves: title, scale, chance level, and the curves' keys in metrics.jsonl, names, colours
CURVES = (
    ("Loss", "linear", None, ("loss", "weighted sum", NEUTRAL_COLOUR)),
    ("Reconstruction loss", "log", None,
     ("video_loss", "video", VIDEO_COLOUR), ("audio_loss", "sound", AUDIO_COLOUR)),
    ("Learning rate", "linear", None, ("learning_rate", None, NEUTRAL_COLOUR)),
    ("Matching loss", "linear", float(np.log(2)), ("match_loss", "cross-entropy", NEUTRAL_COLOUR)),
    ("Matching accuracy", "linear", 0.5, ("match_accuracy", "accuracy", NEUTRAL_COLOUR)),
    ("Gradient norm", "log", None, ("gradient_norm", "norm", NEUTRAL_COLOUR)),
)  # fmt: skip


def smooth(values: Float[np.ndarray, " n"], window: int) -> Float[np.ndarray, " n"]:
    """Mean over the `window` values around each one (an odd number); NaN and infinity are left out.

    >>> smooth(np.array([1.0, 2.0, np.nan, 6.0]), 3).tolist()
    [1.5, 1.5, 4.0, 6.0]
    """
    n = len(values)
    known, ones, half = np.isfinite(values), np.ones(window), window // 2
    count = np.convolve(known, ones)[half : half + n]  # (n,)
    total = np.convolve(np.where(known, values, 0), ones)[half : half + n]  # (n,)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0.5)  # (n,)


def draw_curve(axes: Axes, steps: Any, values: Any, label: str | None, colour: str) -> None:
    """What was measured, faint, and its running mean; without label it was planned, drawn as it is."""
    marker = "o" if len(values) == 1 else None
    if label is None:
        axes.plot(steps, values, color=colour, marker=marker)
    elif np.isfinite(values).any():
        mean = smooth(values, len(values) // 40 * 2 + 1)
        last = mean[np.isfinite(mean)][-1]
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=1)
        axes.plot(steps, mean, color=colour, marker=marker, label=f"{label} {last:.3g}")


def finish_curves(axes: Axes, scale: str, chance: float | None) -> None:
    """Scale, level of chance and legend of a panel, once its curves are there."""
    if chance is not None:
        axes.axhline(chance, color=NEUTRAL_COLOUR, linewidth=1.5, dashes=(4, 3), label=f"chance {chance:.2f}")
    axes.set_yscale(scale)
    if scale == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if axes.get_legend_handles_labels()[0]:
        # Curves begin at the level of chance, others high; the best place of all takes long to find.
        axes.legend(loc="upper right" if chance is None else "lower left")


@with_style
def plot_curves(metrics: Sequence[Mapping[str, Any]], panels: Sequence[tuple[Any, ...]] = CURVES) -> Figure:
    """Loss, both objectives, learning rate and gradient norm over the steps, smoothed above the raw values.

    `metrics` are the lines of `metrics.jsonl`; a value that is missing, None or not finite leaves a gap.
    Legends give each smoothed curve's last value, dashed lines what guessing reaches. Other `panels`, an even
    number, are described as `CURVES` is. ValueError if there is no line.
    """
    if not metrics:
        raise ValueError("there is no step to draw: metrics is empty; train at least one step")
    steps = np.array([line["step"] for line in metrics])
    columns = len(panels) // 2
    figure = Picture(figsize=(5 * columns, 7.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    places = figure.subplots(2, columns, sharex=True).flat
    for axes, (title, scale, chance, *curves) in zip(places, panels, strict=True):
        for key, label, colour in curves:
            values = np.array([line.get(key) for line in metrics], dtype=float)  # None becomes NaN
            draw_curve(axes, steps, values, label, colour)
        axes.set_title(title)
        axes.grid(axis="y")
        finish_curves(axes, scale, chance)
    figure.supxlabel("step", fontsize=14)
    return figure


@with_style
def plot_frames(video: Float[np.ndarray, "T C H W"]) -> Figure:
    """The frames of one clip in a row, numbered from 1."""
    check_axes(video=(video, "T C H W"))
    T, _, H, W = video.shape
    width = min(2.6, 13.7 / T - GAP)
    height = width * H / W
    figure = Picture(figsize=(T * (width + GAP) + 0.3, height + TITLE + 0.15))
    for t in range(T):
        axes = place(figure, 0.2 + t * (width + GAP), TITLE, width, height)
        draw_frame(axes, video[t])
        axes.set_title(f"frame {t + 1}" if T <= 10 else f"{t + 1}", color=VIDEO_COLOUR)
    return figure


@with_style
def plot_spectrogram(spectrogram: Float[np.ndarray, "S F"], *, sample_rate: int, hop_length: int) -> Figure:
    """One log-mel picture with time in seconds, mel frequency in kilohertz and the level in decibels."""
    check_axes(spectrogram=(spectrogram, "S F"))
    figure = Picture(figsize=(11, 4.4))
    axes = place(figure, 0.85, 0.2, 8.85, 3.5)
    image = draw_spectrogram(axes, spectrogram, sample_rate, hop_length)
    axes.set_ylabel("mel frequency (kHz)")
    levels = np.linspace(-1, 1, 5, dtype=np.float32)
    scale = figure.colorbar(image, cax=place(figure, 9.85, 0.2, 0.2, 3.5), label="level (dB)", ticks=levels)
    scale.set_ticklabels([f"{decibel:.0f}" for decibel in denormalise_decibel(levels[None])[0]])
    return figure


def spread_mask(
    is_hidden: Bool[np.ndarray, "B N"], patch: tuple[int, int], size: tuple[int, ...]
) -> Bool[np.ndarray, "B ..."]:
    """From tokens to pixels: (B, T, H, W) for a video of `size` (T, H, W), (B, S, F) for sound of (S, F).

    Tokens run frame by frame, row by row, as a model's `is_hidden` does.

    >>> spread_mask(np.array([[True, False]]), (1, 2), (1, 4)).tolist()
    [[[True, True, False, False]]]
    """
    *frames, H, W = size
    p, q = patch
    if H % p or W % q or is_hidden.shape[1] * p * q != np.prod(size):
        raise ValueError(f"is_hidden: {is_hidden.shape[1]} tokens with patch {patch} do not tile {size}")
    tokens = is_hidden.reshape(len(is_hidden), *frames, H // p, W // q)
    return tokens.repeat(p, axis=-2).repeat(q, axis=-1)


@with_style
def plot_reconstruction(
    video: Float[np.ndarray, "B T C H W"] | None,
    video_prediction: Float[np.ndarray, "B T C H W"] | None,
    video_hidden: Bool[np.ndarray, "B T H W"] | None,
    audio: Float[np.ndarray, "B S F"] | None,
    audio_prediction: Float[np.ndarray, "B S F"] | None,
    audio_hidden: Bool[np.ndarray, "B S F"] | None,
    *,
    sample_rate: int,
    hop_length: int,
) -> Figure:
    """Original, what the encoder sees (hidden patches hatched) and reconstruction of B clips.

    Predictions are pictures like the originals; what was not hidden is pasted back from the original.
    `spread_mask` makes the masks from a model's tokens. A modality whose three arrays are None is left out.
    Raises ValueError for arrays that do not fit each other.
    """
    check_clips((video, video_prediction, video_hidden), (audio, audio_prediction, audio_hidden))
    B, T, _, H, W = (len(audio), 0, 0, 1, 1) if video is None else video.shape
    frame_box, sound_box, (across, down) = arrange_stages(T, H / W, audio is not None)
    figure = Picture(figsize=(across, B * down))
    for b in range(B):
        if video is not None:
            stages = make_stages(video[b], video_prediction[b], video_hidden[b][:, None])
            draw_video_stages(figure, frame_box, b * down, stages)
        if audio is not None:
            stages = make_stages(audio[b], audio_prediction[b], audio_hidden[b])
            draw_sound_stages(figure, sound_box, b * down, stages, sample_rate, hop_length)
    return figure


def check_clips(video: tuple[Any, Any, Any], audio: tuple[Any, Any, Any]) -> None:
    """ValueError unless each sense has all of its three arrays or none, and their sizes agree."""
    for sense, arrays in (("video", video), ("audio", audio)):
        if len({array is None for array in arrays}) > 1:
            raise ValueError(f"{sense}: expected original, prediction and mask, got a part: give all or none")
    if video[0] is None and audio[0] is None:
        raise ValueError("there is nothing to draw: hand in the video's arrays, the audio's, or both")
    check_axes(
        video=(video[0], "B T C H W"), video_prediction=(video[1], "B T C H W"),
        video_hidden=(video[2], "B T H W"),
        audio=(audio[0], "B S F"), audio_prediction=(audio[1], "B S F"), audio_hidden=(audio[2], "B S F"),
    )  # fmt: skip


@with_style
def plot_matching(
    scores: Float[np.ndarray, "n n"],
    *,
    frames: Float[np.ndarray, "n C H W"] | None = None,
    spectrograms: Float[np.ndarray, "n S F"] | None = None,
) -> Figure:
    """The score of every sound (row) with every video (column); the true pairs lie on the diagonal.

    Dots mark the best video of each sound and the best sound of each video; recall@1 in the title is the
    share of them that lie on the diagonal, 1/n by chance. `frames` (one a video) and `spectrograms` stand
    along the axes. Raises ValueError for scores that are not square or not finite.
    """
    check_axes(scores=(scores, "n n"), frames=(frames, "n C H W"), spectrograms=(spectrograms, "n S F"))
    if not np.isfinite(scores).all():
        raise ValueError("scores: expected finite numbers, got NaN or infinity: the model has diverged")
    n = len(scores)
    left, top, side, _ = MATCHING
    figure = Picture(figsize=(10.5, 10.2))
    axes = place(figure, *MATCHING)
    image = axes.imshow(scores, cmap="Greys")
    figure.colorbar(image, cax=place(figure, left + side + 0.15, top, 0.22, side), label="matching score")
    numbers = [f"{i + 1}" for i in range(n)] if n <= 32 else []
    axes.set_xticks(range(len(numbers)), numbers if frames is None else [""] * n)
    axes.set_yticks(range(len(numbers)), numbers if spectrograms is None else [""] * n)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    mark_pairs(axes, scores)
    above, before = ((depth + 0.25) / side for depth in draw_thumbnails(axes, frames, spectrograms))
    centred = {"transform": axes.transAxes, "ha": "center", "va": "center", "fontsize": 16}
    axes.text(0.5, 1 + above, "video", color=VIDEO_COLOUR, **centred)
    axes.text(-before, 0.5, "sound", rotation=90, color=AUDIO_COLOUR, **centred)
    return figure
