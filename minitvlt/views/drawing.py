"""What all pictures share: colours and style, drawing into a part of a figure, saving as PNG.

Video is always blue and sound always orange (every kind of colour vision tells them apart); what belongs to
both is grey. `views.plotting` makes whole figures with these functions. Places and sizes are in inches.
"""

import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
import numpy as np
from jaxtyping import Bool, Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from minitvlt.files import write_atomically
from minitvlt.signals.spectrogram import hertz_to_mel

P, R = ParamSpec("P"), TypeVar("R")

VIDEO_COLOUR, AUDIO_COLOUR, NEUTRAL_COLOUR = "#0072b2", "#d55e00", "#55595f"
HIDDEN_COLOUR, HATCH_COLOUR = "#dfe1e4", "#b4b8bd"
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 14, "axes.titlesize": 14, "axes.titlelocation": "left", "axes.titlepad": 7,
    "xtick.labelsize": 12.5, "ytick.labelsize": 12.5, "legend.fontsize": 13, "legend.frameon": False,
    "axes.edgecolor": NEUTRAL_COLOUR, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": False, "grid.color": "#e4e6e9", "axes.axisbelow": True, "lines.linewidth": 2.8,
    "hatch.color": "#a9adb3", "hatch.linewidth": 1.2, "image.cmap": "magma",
    "savefig.dpi": 110, "figure.dpi": 110,
}  # fmt: skip

Box = tuple[float, float, float, float]  # left, top (from the figure's upper left corner), width, height
GAP, TITLE = 0.1, 0.42  # between frames, and above a row
MATCHING: Box = (1.7, 1.75, 7.6, 7.6)  # where the matrix of scores stands


class Picture(Figure):
    """A figure that a notebook shows as the very PNG that `save_figure` writes, with nothing to be set up."""

    def _repr_png_(self) -> bytes:
        return encode_png(self)


def with_style(plot: Callable[P, R]) -> Callable[P, R]:
    """Run a function under the one style of all our pictures, whatever style the user has set."""

    @functools.wraps(plot)
    def plot_with_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.style.context(["default", STYLE]):
            return plot(*args, **kwargs)

    return plot_with_style


@with_style
def encode_png(figure: Figure) -> bytes:
    """The figure as a PNG file in memory; the same arrays give the same bytes (no date or version in it)."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as PNG, whole or not at all; ValueError for another suffix than .png."""
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"pictures are written as PNG, and {path} ends otherwise: end the name in .png")
    picture = encode_png(figure)
    return write_atomically(path, lambda temporary: temporary.write_bytes(picture))


def check_axes(**arrays: tuple[Any, str]) -> None:
    """ValueError unless every array (None is left out) has the axes beside it, equal sizes for equal letters.

    >>> check_axes(video=(np.zeros((2, 5)), "T H"), audio=(np.zeros(3), "T"))
    Traceback (most recent call last):
    ValueError: audio: expected an array (T,) with T = 2, got (3,)
    """
    sizes: dict[str, int] = {}
    for name, (array, axes) in arrays.items():
        if array is None:
            continue
        letters, shape = axes.split(), np.shape(array)
        known = [f"{letter} = {sizes[letter]}" for letter in letters if letter in sizes]
        fits = len(shape) == len(letters)
        if not fits or any(sizes.setdefault(a, n) != n for a, n in zip(letters, shape, strict=True)):
            wanted = str(tuple(letters)).replace("'", "") + (" with " + ", ".join(known) if known else "")
            raise ValueError(f"{name}: expected an array {wanted}, got {shape}")


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """New axes in a box of the figure."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def to_colours(frame: Float[np.ndarray, "C H W"]) -> Float[np.ndarray, "H W 3"]:
    """From [-1, 1], one channel or three, to red, green and blue in [0, 1], channels last."""
    _, H, W = frame.shape
    colours = np.clip((np.moveaxis(frame, 0, -1) + 1) / 2, 0, 1)
    return np.broadcast_to(colours, (H, W, 3))  # (H, W, 3)


def draw_frame(
    axes: Axes, frame: Float[np.ndarray, "C H W"], is_hidden: Bool[np.ndarray, "H W"] | None = None
) -> None:
    """Show one frame; where pixels are hidden, the hatched ground of the axes is seen."""
    _, H, W = frame.shape
    opacity = np.ones((H, W)) if is_hidden is None else 1.0 - is_hidden  # (H, W)
    colours = np.concatenate([to_colours(frame), opacity[..., None]], axis=-1)  # (H, W, 4)
    axes.imshow(colours)
    axes.set(xticks=[], yticks=[])
    finish_picture(axes, VIDEO_COLOUR)


def draw_spectrogram(
    axes: Axes,
    spectrogram: Float[np.ndarray, "S F"],
    sample_rate: int,
    hop_length: int,
    is_hidden: Bool[np.ndarray, "S F"] | None = None,
) -> AxesImage:
    """Show a log-mel picture over seconds (a step stands at its window's middle) and kilohertz.

    Filter i of F peaks at (i + 1) / (F + 1) of the mel scale, which ends at half the sample rate. Ticks are
    octaves.
    """
    S, F = spectrogram.shape
    step = hop_length / sample_rate  # seconds
    shown = np.ma.masked_array(spectrogram, False if is_hidden is None else is_hidden)
    extent = (-step / 2, (S - 0.5) * step, -0.5, F - 0.5)
    image = axes.imshow(shown.T, origin="lower", aspect="auto", vmin=-1, vmax=1, extent=extent)
    octaves = 500.0 * 2 ** np.arange(8)  # hertz
    octaves = octaves[octaves < sample_rate / 2]
    share = hertz_to_mel(octaves) / hertz_to_mel(np.array(sample_rate / 2))
    axes.set_yticks(share * (F + 1) - 1, [f"{hertz / 1000:g}" for hertz in octaves])
    axes.set(ylim=extent[2:], xlabel="time (s)", ylabel="kHz")
    finish_picture(axes, AUDIO_COLOUR)
    return image


def finish_picture(axes: Axes, colour: str) -> None:
    """The frame around a picture, and the hatched ground that is seen where the picture is left out."""
    axes.spines[:].set(visible=True, color=colour, linewidth=2)
    axes.patch.set(facecolor=HIDDEN_COLOUR, hatch="///", edgecolor=HATCH_COLOUR)


def make_stages(original: Any, prediction: Any, is_hidden: Any) -> list[tuple[str, Any, Any]]:
    """The three pictures of a reconstruction, each with its title and the mask of what to leave out."""
    rebuilt = np.where(is_hidden, prediction, original)  # what was visible is pasted back
    seen = f"what the encoder sees ({1 - is_hidden.mean():.0%} kept)"
    return [("original", original, None), (seen, original, is_hidden), ("reconstruction", rebuilt, None)]


def arrange_stages(T: int, ratio: float, has_sound: bool) -> tuple[Box, Box, tuple[float, float]]:
    """Boxes of a clip's first frame and first spectrogram, and width and height that the clip takes in all.

    `ratio` is a frame's height over its width. Up to four frames stand beside the sound, more stand above it.
    """
    beside = T <= 4
    width = min((7.3 if beside and has_sound else 13.4) / max(T, 1) - GAP, 2 / ratio)
    height = width * ratio if T else 1.8
    frame = (0.3, TITLE, width, height)
    if beside:
        left = T * (width + GAP) + (1.05 if T else 0.8)
        sound = (left, TITLE, 13.7 - left, height)
    else:
        sound = (0.8, 2 * TITLE + 3 * (height + TITLE) - 0.2, 12.9, 1.3)
    if not has_sound:
        return frame, sound, (T * (width + GAP) + 0.5, 3 * (height + TITLE) + 0.2)
    return frame, sound, (14.0, sound[1] + 3 * (sound[3] + TITLE) + 0.3)


def draw_video_stages(figure: Figure, box: Box, shift: float, stages: list[tuple[str, Any, Any]]) -> None:
    """The rows of frames, all of it `shift` further down."""
    left, top, width, height = box
    for row, (title, frames, is_hidden) in enumerate(stages):
        for t in range(len(frames)):
            down = shift + top + row * (height + TITLE)
            axes = place(figure, left + t * (width + GAP), down, width, height)
            draw_frame(axes, frames[t], None if is_hidden is None else is_hidden[t, 0])
            if t == 0:
                axes.set_title(f"Video: {title}", color=VIDEO_COLOUR)


def draw_sound_stages(
    figure: Figure,
    box: Box,
    shift: float,
    stages: list[tuple[str, Any, Any]],
    sample_rate: int,
    hop_length: int,
) -> None:
    """The spectrograms above one time axis, all of it `shift` further down."""
    left, top, width, height = box
    for row, (title, picture, is_hidden) in enumerate(stages):
        axes = place(figure, left, shift + top + row * (height + TITLE), width, height)
        draw_spectrogram(axes, picture, sample_rate, hop_length, is_hidden)
        axes.set_title(f"Sound: {title}", color=AUDIO_COLOUR)
        if row < len(stages) - 1:
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)


def mark_pairs(axes: Axes, scores: Float[np.ndarray, "n n"]) -> None:
    """Squares around the true pairs, dots on the best of each row and each column, and how to read them."""
    n = len(scores)
    numbers = np.arange(n)
    cell = 72 * MATCHING[2] / n  # points
    line = min(2, 0.1 * cell)
    halo = [patheffects.withStroke(linewidth=2.2 * line, foreground="white")]
    for i in range(n):
        square = Rectangle((i - 0.46, i - 0.46), 0.92, 0.92, fill=False, linewidth=line, path_effects=halo)
        square.set_label("true pair" if i == 0 else None)
        axes.add_patch(square)
    width = min(0.36 * cell, 12)
    dots = {"s": width**2, "edgecolor": "white", "linewidth": 0.1 * width, "zorder": 3}
    best_video, best_sound = scores.argmax(axis=1), scores.argmax(axis=0)
    axes.scatter(best_video - 0.19, numbers, color=AUDIO_COLOUR, label="best video of the sound", **dots)
    axes.scatter(numbers + 0.19, best_sound, color=VIDEO_COLOUR, label="best sound of the video", **dots)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.015), ncols=3, markerscale=11 / width)
    recalls = [(best == numbers).mean() for best in (best_video, best_sound)]
    title = "recall@1: sound → video {:.2f}, video → sound {:.2f} (chance {:.2f})".format(*recalls, 1 / n)
    axes.figure.suptitle(title, x=0.5, y=0.97, fontsize=16)


def draw_thumbnails(axes: Axes, frames: Any, spectrograms: Any) -> tuple[float, float]:
    """Frames above the columns, spectrograms before the rows; returns how far they reach up and out."""
    left, top, side, _ = MATCHING
    height, width = 0.3, 0.3  # room for numbers
    if frames is not None:
        n, _, H, W = frames.shape
        height = min(0.92 * side / n * H / W, 0.9)
        half = height * W / H * n / side / 2  # in columns
        strip = place(axes.figure, left, top - height - 0.07, side, height)
        for i, frame in enumerate(frames):
            strip.imshow(to_colours(frame), extent=(i - half, i + half, 0, 1), aspect="auto")
        strip.set(xlim=axes.get_xlim(), ylim=(0, 1))
        strip.axis("off")
    if spectrograms is not None:
        width = 1.0
        strip = place(axes.figure, left - width - 0.07, top, width, side)
        for i, picture in enumerate(spectrograms):
            strip.imshow(picture.T[::-1], extent=(0, 1, i + 0.46, i - 0.46), aspect="auto", vmin=-1, vmax=1)
        strip.set(xlim=(0, 1), ylim=axes.get_ylim())
        strip.axis("off")
    return height, width
