"""Figures in the style of a textbook, written as SVG: boxes, arrows and words, and what is drawn with them.

A figure has its own white ground, so that it is readable in light and in dark themes. Units are pixels; x
runs to the right, y downwards. Video is blue, audio is orange, what belongs to both is grey.
"""

import base64
import math
from dataclasses import dataclass, field
from html import escape

import numpy as np
from jaxtyping import Float, Int

from helpers.notebook import Exhibit
from minitvlt.config import Config
from minitvlt.model.parameters import count_patch_values
from minitvlt.views.figures import AUDIO_COLOUR, NEUTRAL_COLOUR, VIDEO_COLOUR

FONT = 'font-family="Helvetica, Arial, sans-serif" text-anchor="middle"'
HEAD = (
    '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
)
HEAD = f'<defs>{HEAD}<path d="M0 0 10 5 0 10z" fill="#555"/></marker></defs>'
SMALL = ("#555", 13)  # colour and size of shapes beside an arrow
LINE = 19  # pixels from one line of words to the next


@dataclass
class Schematic:
    """A figure of this size, to which boxes, words and arrows are added"""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def write(self, x: float, y: float, text: str, colour: str = "#222", size: int = 15) -> None:
        """Write one line, centred at x, y; what stands between asterisks is bold."""
        pieces = enumerate(escape(text).split("*"))
        words = "".join(f'<tspan font-weight="bold">{p}</tspan>' if n % 2 else p for n, p in pieces)
        self.parts.append(
            f'<text x="{x:g}" y="{y + 0.35 * size:g}" font-size="{size}" fill="{colour}">{words}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, *lines: str, colour: str = NEUTRAL_COLOUR
    ) -> None:
        """Draw a box centred at x, y, with lines of words in it."""
        place = f'x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="6"'
        look = f'fill="{colour}" fill-opacity="0.13" stroke="{colour}" stroke-width="2"'
        self.parts.append(f"<rect {place} {look}/>")
        for number, line in enumerate(lines):
            self.write(x, y + (number - (len(lines) - 1) / 2) * LINE, line)

    def arrow(self, *points: tuple[float, float], colour: str = "#555", has_head: bool = True) -> None:
        """Draw an arrow along these points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        head = ' marker-end="url(#head)"' if has_head else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{head}/>'
        )

    def show(self, alt: str) -> Exhibit:
        """Show the figure in a notebook, with a text for those who cannot see it."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        ground = '<rect width="100%" height="100%" rx="8" fill="white"/>'
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>{HEAD}{ground}{"".join(self.parts)}</svg>'
        )
        source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}"
        attributes = f'alt="{escape(alt)}" width="{self.width}" style="max-width: 100%; height: auto"'
        return Exhibit(f'<img {attributes} src="{source}">', alt)


def draw_tvlt(config: Config, B: int) -> Schematic:
    """Draw the whole model with the shapes of B clips: matching on the left, autoencoding on the right."""
    s, D = Schematic(880, 752), config.hidden_size
    modalities = list_modalities(config, B)
    for x, one in zip((230, 650), modalities, strict=True):
        draw_embedding(s, x, one, f"{B}×{one.tokens}×{D}")
    s.arrow((230, 244), (650, 244), has_head=False)
    for x, title in ((230, "*matching:* all tokens"), (650, "*autoencoding:* kept tokens")):
        s.write(x, 283, title)
        s.box(x - 120, 312, 76, 30, "cls")
        counts = [one.tokens if x == 230 else one.kept for one in modalities]
        for place, count, one in zip((-40, 40), counts, modalities, strict=True):
            s.box(x + place, 312, 76, 30, f"{count} {one.name}", colour=one.colour)
        s.write(x + 125, 312, f"{B}×{1 + sum(counts)}×{D}", *SMALL)
        s.arrow((x, 330), (x, 362))
    encoder = f"*encoder:* {config.num_hidden_layers} transformer blocks, LayerNorm"
    s.box(440, 392, 800, 56, encoder, "the same parameters in both passes")
    s.arrow((230, 420), (230, 460))
    s.write(285, 440, f"cls: {B}×{D}", *SMALL)
    s.box(230, 493, 250, 62, "*matching head*", "linear, tanh, linear", f"logit z: {B}")
    for x, one in zip((540, 760), modalities, strict=True):
        s.write(x + 45, 436, f"{B}×{one.kept}×{D}", *SMALL)
        draw_decoding(s, x, one, config.decoder_hidden_size, f"{B}×{one.tokens}")
    decoder = f"*decoder:* {config.decoder_num_hidden_layers} blocks, LayerNorm"
    s.box(650, 614, 420, 56, decoder, "applied to each modality separately")
    return s


@dataclass(frozen=True)
class Modality:
    """What the figure of the model says about video or audio"""

    name: str
    colour: str
    clips: str  # the shape of the clips
    values: int  # numbers in a patch
    positions: str
    tokens: int
    kept: int


def list_modalities(config: Config, B: int) -> list[Modality]:
    """Collect names, shapes and numbers of both modalities."""
    (H, W), values = config.image_shape, count_patch_values(config)
    Nv, Na = config.num_frames * math.prod(config.image_grid), math.prod(config.audio_grid)
    Kv = math.floor(Nv * (1 - config.pixel_mask_ratio) + 1e-9)
    Ka = math.floor(Na * (1 - config.audio_mask_ratio) + 1e-9)
    frames = f"{B}×{config.num_frames}×{config.num_image_channels}×{H}×{W}"
    steps = f"{B}×{config.num_audio_channels}×{config.spectrogram_length}×{config.frequency_length}"
    return [
        Modality("video", VIDEO_COLOUR, frames, values[0], "+ place + frame + modality", Nv, Kv),
        Modality("audio", AUDIO_COLOUR, steps, values[1], "+ time + frequency + modality", Na, Ka),
    ]


def draw_embedding(s: Schematic, x: float, one: Modality, tokens: str) -> None:
    """Draw how clips become tokens."""
    s.box(x, 36, 250, 44, f"*{one.name}*", one.clips, colour=one.colour)
    s.arrow((x, 58), (x, 88))
    rows = f"{tokens.rpartition('×')[0]}×{one.values}"
    s.box(x, 112, 250, 44, "patchify", rows, colour=one.colour)
    s.arrow((x, 134), (x, 155))
    s.box(x, 188, 250, 62, "linear", one.positions, tokens, colour=one.colour)
    s.arrow((x, 219), (x, 270))


def draw_decoding(s: Schematic, x: float, one: Modality, D: int, tokens: str) -> None:
    """Draw how kept tokens become the values of all patches."""
    lines = (f"linear to width {D}", "restore, mask tokens", "+ positions", f"{tokens}×{D}")
    s.arrow((x, 420), (x, 450))
    s.box(x, 493, 200, 82, *lines, colour=one.colour)
    s.arrow((x, 534), (x, 584))
    s.arrow((x, 642), (x, 688))
    s.box(x, 714, 200, 48, f"linear to {one.values} values", f"{tokens}×{one.values}", colour=one.colour)


def draw_masking(
    noise: Float[np.ndarray, " N"], keep: Int[np.ndarray, " K"], restore: Int[np.ndarray, " N"]
) -> Schematic:
    """Draw tokens in the order of the clip, in the order of their noise, and back among mask tokens."""
    N, K, step = len(noise), len(keep), 78
    letters, order = [chr(ord("a") + n) for n in range(N)], np.argsort(restore)
    s = Schematic(170 + N * step, 356)
    x = [200 + n * step for n in range(N)]
    for y, *lines in (
        (50, "the clip"),
        (165, "sorted by noise;", "keep: the first " + str(K)),
        (290, "restored"),
    ):
        for number, line in enumerate(lines):
            s.write(85, y + (number - (len(lines) - 1) / 2) * LINE, line)
    for n in range(N):
        is_kept = restore[n] < K
        colour = VIDEO_COLOUR if is_kept else "#bbb"
        s.box(x[n], 50, 52, 36, letters[n], colour=colour)
        s.write(x[n], 20, f"{noise[n]:.2f}", *SMALL)
        s.arrow((x[n], 68), (x[restore[n]], 146), colour=colour, has_head=False)
        s.box(x[n], 165, 52, 36, letters[order[n]], colour=VIDEO_COLOUR if n < K else "#bbb")
        s.box(x[n], 290, 52, 36, letters[n] if is_kept else "M", colour=colour)
        if is_kept:
            s.arrow((x[restore[n]], 184), (x[n], 271), colour=colour, has_head=False)
    s.write(s.width / 2, 336, "blue: kept, read by the encoder; grey: hidden; M: the mask token", *SMALL)
    return s
