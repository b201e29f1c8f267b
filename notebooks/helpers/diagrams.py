"""Pictures that explain: numbered cells, masked clips, weights over a clip, the flow of a computation.

`views.figures` draws clips and results of runs; here is drawn how the model works, for the notebooks. The
style is that of all our pictures: video is blue, sound is orange. Letters: T frames, C channels, H W pixels,
S spectrogram steps, F mel bins, Nv and Na tokens of video and sound. Frames and log-mel lie in [-1, 1].
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.style
import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from minitvlt.config import Config
from minitvlt.signals.inversion import denormalise_decibel
from minitvlt.views.figures import (
    AUDIO_COLOUR,
    NEUTRAL_COLOUR,
    STYLE,
    VIDEO_COLOUR,
    NotebookFigure,
    draw_clip,
    draw_frames,
    draw_spectrogram,
    new_clip_figure,
    tokens_to_pixels,
    with_style,
)

# Light grounds for black letters that every kind of colour vision tells apart (Tol 2021, "light")
GROUNDS = ("#99ddff", "#ee8866", "#eedd88", "#bbcc33", "#ffaabb", "#44bb99", "#77aadd", "#aaaa00", "#dddddd")
HEAT = "viridis"


def use_style() -> None:
    """Draw everything that follows in the style of our pictures, for a notebook that draws by itself."""
    matplotlib.style.use(["default", STYLE])


@with_style
def new_axes(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float | int, float | int] = (11, 3.4),
    titles: Sequence[str] = (),
    x: str = "",
    y: str = "",
) -> tuple[Figure, list[Axes]]:
    """Make a figure in the style of all our pictures, with axes to draw on.

    Args:
        rows: of axes.
        columns: of axes.
        size: width and height of the figure in inches.
        titles: one for each of the axes, row by row.
        x: what runs along the lower edge of all axes, with its unit.
        y: what runs along the left edge of all axes, with its unit.
    """
    figure = NotebookFigure(figsize=size)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one, title in zip(axes, titles, strict=False):
        one.set_title(title)
    for number, one in enumerate(axes):
        one.set_xlabel(x if number >= (rows - 1) * columns else "")
        one.set_ylabel(y if number % columns == 0 else "")
    return figure, axes


def draw_cells(
    axes: Axes, words: Shaped[np.ndarray, "rows columns"], grounds: Shaped[np.ndarray, "rows columns"]
) -> None:
    """Write a table into axes, a word or number in each cell.

    Args:
        axes: where to draw.
        words: what is written; "" for nothing.
        grounds: whole numbers that choose the colour of each cell; equal numbers look the same, -1 is white.
    """
    rows, columns = words.shape
    for r, c in np.ndindex(rows, columns):
        colour = "white" if grounds[r, c] < 0 else GROUNDS[grounds[r, c] % len(GROUNDS)]
        axes.add_patch(Rectangle((c, r), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
        axes.text(c + 0.5, r + 0.5, str(words[r, c]), ha="center", va="center", fontsize=13)
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def draw_flow(axes: Axes, steps: Sequence[tuple[str, str]], colours: Sequence[str] = ()) -> None:
    """Draw a computation from left to right: boxes with an arrow from each to the next.

    Args:
        axes: where to draw.
        steps: what is written in a box, and beneath it (for instance the shape of what comes out).
        colours: of the frames of the boxes; grey where there are none.
    """
    for number, (name, below) in enumerate(steps):
        colour = colours[number] if number < len(colours) else NEUTRAL_COLOUR
        box = FancyBboxPatch(
            (number + 0.1, 0.35), 0.72, 0.5, boxstyle="round,pad=0.02", fill=False, edgecolor=colour, lw=2
        )
        axes.add_patch(box)
        axes.text(number + 0.46, 0.6, name, ha="center", va="center", fontsize=13)
        axes.text(number + 0.46, 0.14, below, ha="center", va="center", fontsize=12, color=NEUTRAL_COLOUR)
        if number:
            arrow = {"arrowstyle": "->", "color": NEUTRAL_COLOUR, "linewidth": 2}
            axes.annotate("", (number + 0.07, 0.6), (number - 0.15, 0.6), arrowprops=arrow)
    axes.set(xlim=(0, len(steps)), ylim=(0, 1), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@with_style
def plot_frames(video: Float[np.ndarray, "T C H W"]) -> Figure:
    """Draw the frames of one clip in a row."""
    T, _, H, W = video.shape
    width = min(2.6, 13.7 / T)
    figure = NotebookFigure(figsize=(T * width + 0.2, width * H / W + 0.5))
    axes = figure.subplots()
    draw_frames(axes, video)
    axes.set_xticks(np.arange(T) * W + (W - 1) / 2, [f"frame {t + 1}" for t in range(T)])
    return figure


@with_style
def plot_spectrogram(spectrogram: Float[np.ndarray, "S F"], config: Config) -> Figure:
    """Draw a log-mel spectrogram over seconds and kilohertz, with the level in decibels."""
    figure = NotebookFigure(figsize=(11, 4.4))
    axes = figure.subplots()
    image = draw_spectrogram(axes, spectrogram, config)
    axes.set_ylabel("mel frequency (kHz)")
    levels = np.linspace(-1, 1, 5, dtype=np.float32)
    scale = figure.colorbar(image, label="level (dB)", ticks=levels)
    scale.set_ticklabels([f"{decibel:.0f}" for decibel in denormalise_decibel(levels[None])[0]])
    return figure


@with_style
def plot_masked_clip(
    config: Config,
    video: Float[np.ndarray, "T C H W"],
    audio: Float[np.ndarray, "S F"],
    video_hidden: Bool[np.ndarray, " Nv"] | None = None,
    audio_hidden: Bool[np.ndarray, " Na"] | None = None,
) -> Figure:
    """Draw one clip; hidden patches are hatched."""
    T, _, H, W = video.shape
    figure, rows = new_clip_figure(1, (T, H, W))
    if video_hidden is None or audio_hidden is None:
        draw_clip(rows[0], config, "original", video, audio)
        return figure
    frames_hidden = tokens_to_pixels(video_hidden[None], config.image_patch_size, (T, H, W))[0]
    steps_hidden = tokens_to_pixels(audio_hidden[None], config.audio_patch_size, audio.shape)[0]
    draw_clip(rows[0], config, "input of the encoder", video, audio, frames_hidden, steps_hidden)
    return figure


@with_style
def plot_weights(
    config: Config,
    video: Float[np.ndarray, "T C H W"],
    audio: Float[np.ndarray, "S F"],
    video_weights: Float[np.ndarray, " Nv"],
    audio_weights: Float[np.ndarray, " Na"],
) -> Figure:
    """Draw one clip with a weight on each patch, for instance a row of an attention map: brighter is more.

    Each modality is brightest at its own largest weight; titles say which share of all weight it has.
    """
    T, _, H, W = video.shape
    figure, rows = new_clip_figure(1, (T, H, W))
    shares = [weights[None] / max(weights.max(), 1e-12) for weights in (video_weights, audio_weights)]
    light = 0.15 + 0.85 * tokens_to_pixels(shares[0], config.image_patch_size, (T, H, W))[0]  # (T, H, W)
    draw_frames(rows[0, 0], (video + 1) * light[:, None] - 1)
    rows[0, 0].set_title(f"Video: {video_weights.sum():.0%} of the weight", color=VIDEO_COLOUR)
    light = 0.15 + 0.85 * tokens_to_pixels(shares[1], config.audio_patch_size, audio.shape)[0]  # (S, F)
    draw_spectrogram(rows[0, 1], (audio + 1) * light - 1, config)
    rows[0, 1].set_title(f"Audio: {audio_weights.sum():.0%} of the weight", color=AUDIO_COLOUR)
    return figure


def draw_heat(
    axes: Axes, values: Float[np.ndarray, "rows columns"], has_scale: bool = True, **limits: Any
) -> None:
    """Draw a matrix as colours, light for large numbers, and their scale beside it."""
    image = axes.imshow(values, cmap=HEAT, aspect="equal", **limits)
    if has_scale:
        axes.figure.colorbar(image, ax=axes, shrink=0.85)


def mark_senses(axes: Axes, lengths: Sequence[int], names: Sequence[str] = ("cls", "video", "sound")) -> None:
    """Mark along both sides of a matrix over tokens where cls, video and sound lie."""
    edges = np.cumsum([0, *lengths]) - 0.5
    middles = (edges[:-1] + edges[1:]) / 2
    for edge in edges[1:-1]:
        axes.axhline(edge, color="white", linewidth=1)
        axes.axvline(edge, color="white", linewidth=1)
    axes.set_xticks(middles, names)
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
