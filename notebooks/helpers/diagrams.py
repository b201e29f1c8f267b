"""Pictures that explain: numbered cells, masked clips, weights over a clip, the flow of a computation.

`views.plotting` draws what a clip or a run is; here is drawn how the model works, for the notebooks. The
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
from minitvlt.views.drawing import (
    AUDIO_COLOUR,
    NEUTRAL_COLOUR,
    STYLE,
    TITLE,
    VIDEO_COLOUR,
    Picture,
    draw_frame,
    draw_spectrogram,
    place,
    with_style,
)
from minitvlt.views.plotting import spread_mask

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
    figure = Picture(figsize=size, layout="constrained")
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
def plot_masked_clip(
    config: Config,
    video: Float[np.ndarray, "T C H W"] | None,
    audio: Float[np.ndarray, "S F"] | None,
    video_hidden: Bool[np.ndarray, " Nv"] | None = None,
    audio_hidden: Bool[np.ndarray, " Na"] | None = None,
) -> Figure:
    """Draw what the encoder sees and hears of one clip: hidden patches are hatched."""
    figure, frames, sound = arrange_clip(config, video, audio)
    if video is not None:
        T, _, H, W = video.shape
        pixels = np.zeros((T, H, W), bool)
        if video_hidden is not None:
            pixels = spread_mask(video_hidden[None], config.image_patch_size, (T, H, W))[0]
        for axes, frame, hidden in zip(frames, video, pixels, strict=True):
            draw_frame(axes, frame, hidden)
        frames[0].set_title(describe_kept("Video", video_hidden), color=VIDEO_COLOUR)
    if audio is not None:
        steps = None
        if audio_hidden is not None:
            steps = spread_mask(audio_hidden[None], config.audio_patch_size, audio.shape)[0]
        draw_spectrogram(sound, audio, config.sample_rate, config.hop_length, steps)
        sound.set_title(describe_kept("Sound", audio_hidden), color=AUDIO_COLOUR)
    return figure


def describe_kept(name: str, is_hidden: Bool[np.ndarray, " N"] | None) -> str:
    """The title of one half of a masked clip."""
    return name if is_hidden is None else f"{name}: {(~is_hidden).sum()} of {is_hidden.size} patches kept"


def arrange_clip(
    config: Config, video: Float[np.ndarray, "T C H W"] | None, audio: Float[np.ndarray, "S F"] | None
) -> tuple[Figure, list[Axes], Axes | None]:
    """Lay out the frames of a clip in a row, and its spectrogram beside or below them."""
    T, H, W = (0, 1, 1) if video is None else (len(video), *video.shape[2:])
    across = 11.0
    width = min(1.9 * W / H, (across / 2 if audio is not None and T <= 4 else across) / max(T, 1) - 0.1)
    height = width * H / W
    is_beside = T <= 4
    left = 0.9 + T * (width + 0.1) if is_beside else 0.9
    top = TITLE if is_beside else 2 * TITLE + height
    depth = height if is_beside and height > 1.2 else 1.45
    bottom = top + depth + 0.65 if audio is not None else TITLE + height + 0.15
    figure = Picture(figsize=(across, bottom))
    frames = [place(figure, 0.1 + t * (width + 0.1), TITLE, width, height) for t in range(T)]
    return figure, frames, None if audio is None else place(figure, left, top, across - left - 0.15, depth)


@with_style
def plot_weights(
    config: Config,
    video: Float[np.ndarray, "T C H W"],
    audio: Float[np.ndarray, "S F"],
    video_weights: Float[np.ndarray, " Nv"],
    audio_weights: Float[np.ndarray, " Na"],
) -> Figure:
    """Draw one clip with a weight on each patch, for instance a row of an attention map: brighter is more.

    Each half is brightest at its own largest weight; titles say how much of the whole falls on each sense.
    """
    figure, frames, sound = arrange_clip(config, video, audio)
    T, _, H, W = video.shape
    size, patch = (T, H, W), config.image_patch_size
    light = spread_weights(video_weights, patch, size) / max(video_weights.max(), 1e-12)
    for axes, frame, shine in zip(frames, video, light, strict=True):
        draw_frame(axes, (frame + 1) * (0.15 + 0.85 * shine) - 1)
    frames[0].set_title(f"Video: {video_weights.sum():.0%} of the weight", color=VIDEO_COLOUR)
    light = spread_weights(audio_weights, config.audio_patch_size, audio.shape) / max(
        audio_weights.max(), 1e-12
    )
    draw_spectrogram(sound, (audio + 1) * (0.15 + 0.85 * light) - 1, config.sample_rate, config.hop_length)
    sound.set_title(f"Sound: {audio_weights.sum():.0%} of the weight", color=AUDIO_COLOUR)
    return figure


def spread_weights(
    weights: Float[np.ndarray, " N"], patch: tuple[int, int], size: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """From one weight a token to one a pixel, (T, H, W) or (S, F), as `spread_mask` does with booleans."""
    *frames, H, W = size
    p, q = patch
    return weights.reshape(*frames, H // p, W // q).repeat(p, axis=-2).repeat(q, axis=-1)


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
