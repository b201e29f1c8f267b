"""Pictures of what a fine-tuned model answers, and of what a search finds, in the style of all pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minitvlt.views.drawing import (
    AUDIO_COLOUR,
    GAP,
    NEUTRAL_COLOUR,
    TITLE,
    VIDEO_COLOUR,
    Picture,
    check_axes,
    draw_frame,
    draw_spectrogram,
    place,
    with_style,
)

# The panels of `plot_curves` while a task is learnt; the second one shows the figure that is logged for it.
FIGURES_LOGGED = {"accuracy": "Accuracy", "absolute_error": "Absolute error", "vqa_score": "VQA accuracy"}


def list_task_curves(logged: str) -> tuple[tuple[Any, ...], ...]:
    """The panels of `plot_curves` for a task whose lines of metrics have the figure `logged`."""
    return (
        ("Loss", "linear", None, ("loss", "loss", NEUTRAL_COLOUR)),
        (FIGURES_LOGGED[logged], "linear", None, (logged, "in the batch", NEUTRAL_COLOUR)),
        ("Learning rate", "linear", None, ("learning_rate", None, NEUTRAL_COLOUR)),
        ("Gradient norm", "log", None, ("gradient_norm", "norm", NEUTRAL_COLOUR)),
    )


@with_style
def plot_confusion(
    labels: Int[np.ndarray, " B"], predictions: Int[np.ndarray, " B"], names: Sequence[str]
) -> Figure:
    """How often each class (row) is taken for each (column): counts, shaded by their share of the row."""
    check_axes(labels=(labels, "B"), predictions=(predictions, "B"))
    n = len(names)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (labels, predictions), 1)
    side, margin = min(9.0, 1.5 + 0.9 * n), 0.9 + 0.11 * min(24, max(map(len, names)))
    figure = Picture(figsize=(margin + side + 0.3, margin + side + 0.4))
    axes = place(figure, margin, margin, side, side)
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Greys", vmin=0, vmax=1)
    places, shown = range(n if n <= 40 else 0), [shorten(name, 24) for name in names[: n if n <= 40 else 0]]
    axes.set_xticks(places, shown, rotation=90, parse_math=False)
    axes.set_yticks(places, shown, parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.xaxis.set_label_position("top")
    if n <= 16:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if 2 * count > counts[row].sum() else "black"
            axes.text(column, row, f"{count}", color=colour, ha="center", va="center")
    return figure


@with_style
def plot_numbers(targets: Float[np.ndarray, " B"], predictions: Float[np.ndarray, " B"]) -> Figure:
    """The predicted number of every clip over the true one; on the diagonal they are equal."""
    check_axes(targets=(targets, "B"), predictions=(predictions, "B"))
    figure = Picture(figsize=(7.4, 7.2))
    axes = place(figure, 1.0, 0.3, 6.1, 6.1)
    both = np.concatenate([targets, predictions])
    room = 0.05 * (both.max() - both.min()) or 1.0
    ends = (both.min() - room, both.max() + room)
    axes.plot(ends, ends, color=NEUTRAL_COLOUR, linewidth=1.5, dashes=(4, 3))
    axes.scatter(targets, predictions, s=22, color=NEUTRAL_COLOUR, alpha=0.5, linewidth=0)
    axes.set(xlim=ends, ylim=ends, xlabel="truth", ylabel="prediction")
    axes.grid()
    return figure


@with_style
def plot_bars(
    names: Sequence[str], values: Float[np.ndarray, " n"], chances: Float[np.ndarray, " n"]
) -> Figure:
    """A bar from 0 to 1 for each figure, the best first; a line across it says what guessing reaches."""
    check_axes(values=(values, "n"), chances=(chances, "n"))
    order = np.argsort(-values, kind="stable")[:40]
    margin = 0.6 + 0.12 * min(24, max(map(len, names)))
    figure = Picture(figsize=(margin + 8, 0.5 * len(order) + 1.1))
    axes = place(figure, margin, 0.2, 7.2, 0.5 * len(order))
    places = np.arange(len(order))
    axes.barh(places, values[order], height=0.6, color=NEUTRAL_COLOUR)
    axes.vlines(chances[order], places - 0.38, places + 0.38, color=AUDIO_COLOUR, label="guessing")
    for at, value in zip(places, values[order], strict=True):
        axes.text(max(value - 0.01, 0.07), at, f"{value:.2f}", color="white", ha="right", va="center")
    axes.set_yticks(places, [shorten(names[i], 24) for i in order], parse_math=False)
    axes.set(xlim=(0, 1), ylim=(len(order) - 0.5, -0.5))
    axes.legend(loc="upper right", bbox_to_anchor=(1, -0.35 / (0.5 * len(order))))
    return figure


@with_style
def plot_found(
    query: Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"],
    found: Sequence[Float[np.ndarray, "C2 H2 W2"] | Float[np.ndarray, "_ F2"]],
    captions: Sequence[str],
    name: str,
    *,
    sample_rate: int,
    hop_length: int,
) -> Figure:
    """What was looked for, and below it what was found, the best first.

    Args:
        query: the frames of a video, or the spectrogram of a sound.
        found: of videos one frame each, or the spectrograms of sounds; at least one.
        captions: what to say below each of them.
        name: of the query.
        sample_rate: of the spectrogram's sound, samples a second.
        hop_length: samples from step to step.
    """
    is_sound = query.ndim == 2
    height = WIDTH_FOUND * found[0].shape[1] / found[0].shape[2] if is_sound else 1.6
    top = TITLE + (2.7 if is_sound else size_frames(query)[1]) + 0.8
    figure = Picture(figsize=(14, top + height + (0.2 if is_sound else 0.7)))
    axes = draw_query(figure, query, sample_rate, hop_length)
    title = f"{'Sound' if is_sound else 'Video'}: {shorten(name, 80)}"
    axes.set_title(title, color=AUDIO_COLOUR if is_sound else VIDEO_COLOUR, parse_math=False)
    for i, (picture, caption) in enumerate(zip(found, captions, strict=True)):
        axes = place(figure, 0.3 + i * (WIDTH_FOUND + 2 * GAP), top, WIDTH_FOUND, height)
        if is_sound:
            draw_frame(axes, picture)
        else:
            draw_spectrogram(axes, picture, sample_rate, hop_length)
            axes.set(yticks=[], ylabel="")
        axes.set_title(caption, color=VIDEO_COLOUR if is_sound else AUDIO_COLOUR, parse_math=False)
    return figure


FRAMES_SHOWN = 6
WIDTH_FOUND = 13.4 / 5 - 2 * GAP


def draw_query(
    figure: Figure,
    query: Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"],
    sample_rate: int,
    hop_length: int,
) -> Axes:
    """Draw a spectrogram over the whole width, or frames in a row; return the first axes."""
    if query.ndim == 2:
        axes = place(figure, 0.9, TITLE, 12.6, 1.9)
        draw_spectrogram(axes, query, sample_rate, hop_length)
        return axes
    width, height = size_frames(query)
    chosen = np.unique(np.linspace(0, len(query) - 1, FRAMES_SHOWN).round().astype(int))
    row = [place(figure, 0.3 + i * (width + GAP), TITLE, width, height) for i in range(len(chosen))]
    for axes, t in zip(row, chosen, strict=True):
        draw_frame(axes, query[t])
    return row[0]


def size_frames(video: Float[np.ndarray, "T C H W"]) -> tuple[float, float]:
    """Width and height of a frame in a row that holds `FRAMES_SHOWN`."""
    H, W = video.shape[2:]
    width = min(13.4 / FRAMES_SHOWN - GAP, 2.2 * W / H)
    return width, width * H / W


def shorten(text: str, length: int) -> str:
    """Keep a text that is short enough; of a longer one the beginning and the end.

    >>> shorten("a_very_long_name_of_a_film.mp4", 20)
    'a_very_lo…a_film.mp4'
    """
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[half + 1 - length :]}"
