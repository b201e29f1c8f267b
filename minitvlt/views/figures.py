"""Figures of clips, of training and of results: from NumPy arrays to matplotlib figures.

Every function `plot_*` returns a new figure and changes no global state (pyplot is not used); `draw_*` draw
into given axes. Video is always blue and audio always orange, which every kind of colour vision tells apart;
what concerns both is grey. Letters: B or n clips, T frames, C channels (1 or 3), H W pixels, S spectrogram
steps, F mel bins, N tokens. Frames and log-mel spectrograms lie in [-1, 1].
"""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if "matplotlib" not in sys.modules and (backend := os.environ.pop("MPLBACKEND", "")):
    import matplotlib  # which fails where it does not know the backend of pyplot; that is not used here

    os.environ["MPLBACKEND"] = backend
    dict.__setitem__(matplotlib.rcParams, "backend", backend)  # for the user's pyplot, which checks it
import matplotlib.style
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.signals.spectrogram import hertz_to_mel

VIDEO_COLOUR, AUDIO_COLOUR, NEUTRAL_COLOUR = "#0072b2", "#d55e00", "#55595f"
TRUE_COLOUR, HIDDEN_COLOUR = "#009e73", "#dfe1e4"
STYLE = {
    "font.family": "DejaVu Sans",  # is installed with matplotlib: the same letters on every machine
    "font.size": 14, "axes.titlesize": 14, "axes.titlelocation": "left", "axes.titlepad": 7,
    "xtick.labelsize": 12.5, "ytick.labelsize": 12.5, "legend.fontsize": 13, "legend.frameon": False,
    "axes.edgecolor": NEUTRAL_COLOUR, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": "#e4e6e9", "axes.axisbelow": True, "lines.linewidth": 2.8,
    "hatch.color": "#a9adb3", "hatch.linewidth": 1.2, "image.cmap": "magma",
    "savefig.dpi": 110, "figure.dpi": 110, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08, "figure.constrained_layout.h_pad": 0.08,
}  # fmt: skip
with_style = matplotlib.style.context(["default", STYLE])  # used as a decorator

# How `plot_curves` draws some metrics: metrics of one title share a panel
PANELS = {"video_loss": "reconstruction loss", "audio_loss": "reconstruction loss"}
COLOURS = {"video_loss": VIDEO_COLOUR, "audio_loss": AUDIO_COLOUR}
CHANCES = {"match_loss": np.log(2), "match_accuracy": 0.5}
LOGARITHMIC = ("reconstruction loss", "gradient norm")


class NotebookFigure(Figure):
    """A figure that Jupyter shows as the PNG that `save_figure` writes"""

    def _repr_png_(self) -> bytes:
        return encode_png(self)


@with_style
def encode_png(figure: Figure) -> bytes:
    """The figure as a PNG file in memory; the same arrays give the same bytes (no date or version in it)."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as PNG, whole or not at all; returns the path."""
    return write_atomically(path, lambda temporary: temporary.write_bytes(encode_png(figure)))


def tokens_to_pixels(
    values: Shaped[np.ndarray, "B N"], patch: tuple[int, int], size: tuple[int, ...]
) -> Shaped[np.ndarray, "B ..."]:
    """Repeat a value a token, a mask for instance, over the pixels of its patch.

    Returns (B, T, H, W) for a video of `size` (T, H, W) and (B, S, F) for a spectrogram of `size` (S, F).

    >>> tokens_to_pixels(np.array([[True, False]]), (1, 2), (1, 4)).tolist()
    [[[True, True, False, False]]]
    """
    *frames, H, W = size
    p, q = patch
    if H % p or W % q or values.shape[1] * p * q != np.prod(size):
        raise ValueError(f"values: {values.shape[1]} tokens with patch {patch} do not tile {size}")
    tokens = values.reshape(len(values), *frames, H // p, W // q)
    return tokens.repeat(p, axis=-2).repeat(q, axis=-1)


def to_rgb(video: Float[np.ndarray, "T C H W"]) -> Float[np.ndarray, "H T*W 3"]:
    """From [-1, 1], one channel or three, to red, green and blue in [0, 1], frames side by side."""
    T, C, H, W = video.shape
    rgb = np.clip((video.transpose(2, 0, 3, 1) + 1) / 2, 0, 1)  # (H, T, W, C)
    return np.broadcast_to(rgb.reshape(H, T * W, C), (H, T * W, 3))  # (H, T * W, 3)


def draw_frames(
    axes: Axes, video: Float[np.ndarray, "T C H W"], is_hidden: Bool[np.ndarray, "T H W"] | None = None
) -> None:
    """Show frames side by side; hidden pixels are transparent: the hatched background of the axes is seen."""
    T, _, H, W = video.shape
    opacity = 1.0 - (np.zeros((T, H, W)) if is_hidden is None else is_hidden)  # (T, H, W)
    opacity = opacity.transpose(1, 0, 2).reshape(H, T * W, 1)  # (H, T * W, 1)
    axes.imshow(np.concatenate([to_rgb(video), opacity], axis=-1))
    for t in range(1, T):
        axes.axvline(t * W - 0.5, color=VIDEO_COLOUR, linewidth=2)
    axes.set(xticks=[], yticks=[], anchor="NW")
    outline_image(axes, VIDEO_COLOUR)


def draw_spectrogram(
    axes: Axes,
    spectrogram: Float[np.ndarray, "S F"],
    config: Config,
    is_hidden: Bool[np.ndarray, "S F"] | None = None,
) -> matplotlib.image.AxesImage:
    """Show a log-mel spectrogram over seconds (a step lies at the middle of its window) and kilohertz.

    Filter i of F peaks at (i + 1) / (F + 1) of the mel scale, which ends at half the sample rate. Ticks are
    octaves.
    """
    S, F = spectrogram.shape
    step = config.hop_length / config.sample_rate  # seconds
    shown = np.ma.masked_array(spectrogram, False if is_hidden is None else is_hidden)
    extent = (-step / 2, (S - 0.5) * step, -0.5, F - 0.5)
    image = axes.imshow(shown.T, origin="lower", aspect="auto", vmin=-1, vmax=1, extent=extent)
    octaves = 500.0 * 2 ** np.arange(8)  # hertz
    octaves = octaves[octaves < config.sample_rate / 2]
    share = hertz_to_mel(octaves) / hertz_to_mel(np.array(config.sample_rate / 2))
    axes.set_yticks(share * (F + 1) - 1, [f"{hertz / 1000:g}" for hertz in octaves])
    axes.set(ylim=extent[2:], xlabel="time (s)", ylabel="kHz")
    outline_image(axes, AUDIO_COLOUR)
    return image


def outline_image(axes: Axes, colour: str) -> None:
    """Draw the outline of an image, and a hatched background that is seen where the image is masked."""
    axes.spines[:].set(visible=True, color=colour, linewidth=2)
    axes.patch.set(facecolor=HIDDEN_COLOUR, hatch="///", edgecolor="#b4b8bd")


def smooth(values: Float[np.ndarray, " n"], window: int) -> Float[np.ndarray, " n"]:
    """Mean over the `window` values around each one (an odd number); NaN and infinity are left out.

    >>> smooth(np.array([1.0, 2.0, np.nan, 6.0]), 3).tolist()
    [1.5, 1.5, 4.0, 6.0]
    """
    n = len(values)
    is_finite, ones, half = np.isfinite(values), np.ones(window), window // 2
    count = np.convolve(is_finite, ones)[half : half + n]  # (n,)
    total = np.convolve(np.where(is_finite, values, 0), ones)[half : half + n]  # (n,)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0.5)  # (n,)


@with_style
def plot_curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Every metric of a training run over the steps: raw values and running means.

    `metrics` are the lines of `metrics.jsonl`; a value that is missing, None or not finite leaves a gap, and
    a metric without any value is left out. Legends give the last value of each running mean; dashed lines
    are chance levels. ValueError if there is no line.
    """
    if not metrics:
        raise ValueError("metrics: expected at least one line, got none: train at least one step")
    panels: dict[str, dict[str, np.ndarray]] = {}
    for key in (key for key in metrics[-1] if key != "step"):
        values = np.array([line.get(key) for line in metrics], dtype=float)  # None becomes NaN
        if np.isfinite(values).any():
            panels.setdefault(PANELS.get(key, key.replace("_", " ")), {})[key] = values
    rows, columns = 1 if len(panels) == 1 else 2, max(1, -(-len(panels) // 2))
    figure = NotebookFigure(figsize=(5 * columns, 3.8 * rows))
    places = figure.subplots(rows, columns, squeeze=False).T.ravel()
    for axes, (title, curves) in zip(places, panels.items(), strict=False):
        draw_curves(axes, [line["step"] for line in metrics], curves, title in LOGARITHMIC)
        axes.set_title(title.capitalize())
    for axes in places[len(panels) :]:
        axes.axis("off")
    figure.supxlabel("step", fontsize=14)
    return figure


def draw_curves(
    axes: Axes, steps: Sequence[int], curves: Mapping[str, Float[np.ndarray, " n"]], is_logarithmic: bool
) -> None:
    """Draw the values of metrics, faint, their running means, and their chance levels."""
    for key, values in curves.items():
        mean, colour = smooth(values, len(values) // 40 * 2 + 1), COLOURS.get(key, NEUTRAL_COLOUR)
        label = f"{key.replace('_', ' ')} {mean[np.isfinite(mean)][-1]:.3g}"
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=1)
        axes.plot(steps, mean, color=colour, marker="o" if len(values) == 1 else None, label=label)
        if key in CHANCES:
            chance = {"linewidth": 1.5, "dashes": (4, 3), "label": f"chance {CHANCES[key]:.2f}"}
            axes.axhline(CHANCES[key], color=NEUTRAL_COLOUR, **chance)
    if is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.minorticks_off()
    else:
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y")
    axes.legend(loc="lower left" if CHANCES.keys() & curves.keys() else "upper right")  # "best" is slow


def new_clip_figure(rows: int, size: tuple[int, int, int]) -> tuple[Figure, Shaped[np.ndarray, "{rows} 2"]]:
    """An empty figure for rows of T frames of H x W pixels and a spectrogram beside them, and its axes."""
    T, H, W = size
    frame = min(2.0 * W / H, 8.5 / T)  # width in inches
    figure = NotebookFigure(figsize=(14, rows * (max(frame * H / W, 1.0) + 0.55) + 0.4))
    return figure, figure.subplots(rows, 2, squeeze=False, width_ratios=(T * frame, 14 - T * frame))


def draw_clip(
    axes: Shaped[np.ndarray, "2"],
    config: Config,
    title: str,
    video: Float[np.ndarray, "T C H W"],
    audio: Float[np.ndarray, "S F"],
    video_hidden: Bool[np.ndarray, "T H W"] | None = None,
    audio_hidden: Bool[np.ndarray, "S F"] | None = None,
) -> None:
    """Draw the frames and the spectrogram of one clip; the titles say which share is visible."""
    draw_frames(axes[0], video, video_hidden)
    draw_spectrogram(axes[1], audio, config, audio_hidden)
    modalities = ("Video", VIDEO_COLOUR, video_hidden), ("Audio", AUDIO_COLOUR, audio_hidden)
    for one, (name, colour, hidden) in zip(axes, modalities, strict=True):
        visible = "" if hidden is None else f" ({1 - hidden.mean():.0%} visible)"
        one.set_title(f"{name}: {title}{visible}", color=colour)


@with_style
def plot_reconstruction(
    config: Config,
    batch: PretrainingBatch,
    video: Float[np.ndarray, "B T C H W"],
    audio: Float[np.ndarray, "B C2 S F"],
) -> Figure:
    """The clips of a batch, one below another: original, input of the encoder, and reconstruction.

    `video` and `audio` are the reconstructed clips as `views.report.reconstruct` returns them, with the
    visible patches of the originals. Raises ValueError for arrays that do not fit the batch.
    """
    if video.shape != batch.video.shape or audio.shape != batch.audio.shape:
        shapes = f"{batch.video.shape} and {batch.audio.shape}, got {video.shape} and {audio.shape}"
        raise ValueError(f"video and audio: expected the shapes of the batch, {shapes}")
    B, T, _, H, W = video.shape
    frames_hidden = tokens_to_pixels(batch.video_masking.is_hidden, config.image_patch_size, (T, H, W))
    steps_hidden = tokens_to_pixels(batch.audio_masking.is_hidden, config.audio_patch_size, audio.shape[2:])
    figure, rows = new_clip_figure(3 * B, (T, H, W))
    for b in range(B):
        original, masks = (batch.video[b], batch.audio[b, 0]), (frames_hidden[b], steps_hidden[b])
        upper, middle, lower = rows[3 * b : 3 * b + 3]
        draw_clip(upper, config, "original", *original)
        draw_clip(middle, config, "input of the encoder", *original, *masks)
        draw_clip(lower, config, "reconstruction", video[b], audio[b, 0])
        for _, axes in (upper, middle):
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    return figure


@with_style
def plot_matching(
    scores: Float[np.ndarray, "n n"],
    frames: Float[np.ndarray, "n C H W"] | None = None,
    spectrograms: Float[np.ndarray, "n S F"] | None = None,
) -> Figure:
    """The score of every audio clip (row) with every video (column); true pairs lie on the diagonal.

    Dots mark the best video of each audio clip and the best audio clip of each video; recall@1 in the title
    is the share of them on the diagonal, 1/n by chance. `frames` (one a video) and `spectrograms` are drawn
    along the axes. Raises ValueError for scores that are not square or not finite.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or not np.isfinite(scores).all():
        raise ValueError(f"scores: expected a square matrix of finite numbers, got {scores.shape}: {scores}")
    n = len(scores)
    figure = NotebookFigure(figsize=(10.5, 10))
    axes = figure.subplots()
    image = axes.imshow(scores, cmap="Greys")
    figure.colorbar(image, label="matching score", fraction=0.04, pad=0.02, aspect=32)
    numbers = range(n if n <= 32 else 0)
    axes.set_xticks(numbers, [f"{i + 1}" for i in numbers])
    axes.set_yticks(numbers, [f"{i + 1}" for i in numbers])
    axes.tick_params(length=0, labelbottom=False)
    mark_best(axes, scores)
    draw_thumbnails(axes, frames, spectrograms)
    return figure


def mark_best(axes: Axes, scores: Float[np.ndarray, "n n"]) -> None:
    """Mark true pairs and the best of each row and column of a score matrix, with legend and recall."""
    n = len(scores)
    numbers, cell = np.arange(n), 500 / n  # points
    best_video, best_audio = scores.argmax(axis=1), scores.argmax(axis=0)
    square = {"marker": "s", "facecolor": "none", "edgecolor": TRUE_COLOUR, "linewidth": min(3, 0.1 * cell)}
    axes.scatter(numbers, numbers, s=(0.9 * cell) ** 2, label="true pair", **square)
    dot = {"s": min(0.36 * cell, 12) ** 2, "edgecolor": "white"}
    axes.scatter(best_video - 0.19, numbers, color=AUDIO_COLOUR, label="best video for the audio", **dot)
    axes.scatter(numbers + 0.19, best_audio, color=VIDEO_COLOUR, label="best audio for the video", **dot)
    legend = axes.figure.legend(loc="outside lower center", ncols=3)
    for handle in legend.legend_handles:
        handle.set_sizes([144])
    recalls = [(best == numbers).mean() for best in (best_video, best_audio)]
    title = "recall@1: audio → video {:.2f}, video → audio {:.2f} (chance {:.2f})".format(*recalls, 1 / n)
    axes.figure.suptitle(title, fontsize=16)


def draw_thumbnails(
    axes: Axes,
    frames: Float[np.ndarray, "n C H W"] | None,
    spectrograms: Float[np.ndarray, "n S F"] | None,
) -> None:
    """Draw frames above the columns and spectrograms before the rows of a score matrix, with titles."""
    top = left = axes
    if frames is not None:
        n, _, H, W = frames.shape
        top = axes.inset_axes((0, 1.01, 1, H / (n * W)))
        top.imshow(to_rgb(frames), extent=(-0.5, n - 0.5, 0, 1), aspect="auto")
        top.vlines(np.arange(1, n) - 0.5, 0, 1, color="white", linewidth=4)
    if spectrograms is not None:
        rows, n = np.concatenate([one.T[::-1] for one in spectrograms]), len(spectrograms)
        left = axes.inset_axes((-0.15, 0, 0.14, 1))
        left.imshow(rows, extent=(0, 1, n - 0.5, -0.5), aspect="auto", vmin=-1, vmax=1)
        left.hlines(np.arange(1, n) - 0.5, 0, 1, color="white", linewidth=4)
    for strip in {top, left} - {axes}:
        strip.set(xticks=[], yticks=[])
        strip.spines[:].set_visible(False)
    axes.tick_params(labeltop=top is axes, labelleft=left is axes)
    top.set_title("video", color=VIDEO_COLOUR, loc="center")
    left.set_ylabel("audio", color=AUDIO_COLOUR)


@with_style
def plot_confusion(
    labels: Int[np.ndarray, " B"], predictions: Int[np.ndarray, " B"], names: Sequence[str]
) -> Figure:
    """The confusion matrix of a classifier: counts, shaded by their share of the true class (row)."""
    n = len(names)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (labels, predictions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (n, n)
    side = min(10.0, 3 + 0.9 * n)
    figure = NotebookFigure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1)
    shown = range(n if n <= 40 else 0)
    axes.set_xticks(shown, [shorten(names[i], 24) for i in shown], rotation=90, parse_math=False)
    axes.set_yticks(shown, [shorten(names[i], 24) for i in shown], parse_math=False)
    axes.tick_params(length=0)
    axes.set(xlabel="prediction", ylabel="truth")
    for (row, column), count in np.ndenumerate(counts if n <= 16 else counts[:0]):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", color=colour, ha="center", va="center")
    return figure


@with_style
def plot_regression(targets: Float[np.ndarray, " B"], predictions: Float[np.ndarray, " B"]) -> Figure:
    """The predicted number of every clip over the true one; on the dashed diagonal they are equal."""
    figure = NotebookFigure(figsize=(7.2, 7.2))
    axes = figure.subplots()
    axes.scatter(targets, predictions, s=22, color=NEUTRAL_COLOUR, alpha=0.5, linewidth=0)
    axes.axline((targets[0], targets[0]), slope=1, color=NEUTRAL_COLOUR, linewidth=1.5, dashes=(4, 3))
    axes.set(xlabel="truth", ylabel="prediction", aspect="equal", adjustable="datalim")
    axes.grid()
    return figure


@with_style
def plot_bars(results: Mapping[str, tuple[float, float]]) -> Figure:
    """A bar from 0 to 1 for the value of each metric, the best 40 first, with a line at its chance level."""
    names = sorted(results, key=lambda name: -results[name][0])[:40]
    values, chances = np.array([results[name] for name in names]).T
    rows = np.arange(len(names))
    figure = NotebookFigure(figsize=(10, 0.5 * len(names) + 1))
    axes = figure.subplots()
    axes.bar_label(axes.barh(rows, values, height=0.6, color=NEUTRAL_COLOUR), fmt="%.2f", padding=4)
    axes.vlines(chances, rows - 0.38, rows + 0.38, color=AUDIO_COLOUR, label="chance")
    axes.set_yticks(rows, [shorten(name, 24) for name in names], parse_math=False)
    axes.set(xlim=(0, 1.08), ylim=(len(names) - 0.5, -0.5))
    figure.legend(loc="outside lower right")
    return figure


@with_style
def plot_retrieval(
    config: Config,
    query: Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"],
    found: Sequence[Float[np.ndarray, "..."]],
    captions: Sequence[str],
    name: str,
) -> Figure:
    """A query above what was found for it, the best first.

    Args:
        config: gives the scales of spectrograms.
        query: a video (T, C, H, W), of which up to six frames are shown, or a spectrogram (S, F).
        found: spectrograms or videos, of which one frame is best to see; one to five.
        captions: one for each of them.
        name: of the query.
    """
    is_audio = query.ndim == 2
    figure = NotebookFigure(figsize=(14, 6.4))
    upper, lower = figure.subfigures(2, 1)
    above, below = upper.subplots(), lower.subplots(1, 5)
    titles = (f"{'Audio' if is_audio else 'Video'}: {shorten(name, 80)}", *captions)
    colours = (AUDIO_COLOUR, *[VIDEO_COLOUR] * 5) if is_audio else (VIDEO_COLOUR, *[AUDIO_COLOUR] * 5)
    for axes, item, title, colour in zip((above, *below), (query, *found), titles, colours, strict=False):
        if item.ndim == 2:
            draw_spectrogram(axes, item, config)
        else:
            chosen = np.linspace(0, len(item) - 1, min(6, len(item))).round().astype(int)
            draw_frames(axes, item[chosen])
        axes.set_title(title, color=colour, parse_math=False)
    for axes in below[len(found) :]:
        axes.axis("off")
    return figure


def shorten(text: str, length: int) -> str:
    """Replace the middle of a text that is longer than `length` by an ellipsis, and half characters by "?".

    >>> shorten("a_very_long_name_of_a_film.mp4", 20)
    'a_very_lo…a_film.mp4'
    """
    half, text = (length - 1) // 2, text.encode("utf-8", "replace").decode()  # names of files may be no UTF-8
    return text if len(text) <= length else f"{text[:half]}…{text[half + 1 - length :]}"
