"""An endless world of moving shapes that sing: what is seen is heard.

In every clip one or two copies of a shape fly through the frame and bounce off its walls, and each of them
sings:

    shape ↔ timbre        height ↔ pitch        size ↔ loudness        a bounce ↔ a click

So a sound tells much about its video, and a video about its sound, but neither tells all: colour, and where
a shape is from left to right, are only seen; whether a voice trembles is only heard.

Letters: `n` clips, `k` copies at most, `m` moments. Moments run from 0, the beginning of a clip, to 1, its
end; positions from 0 to 1 between the walls. Plain NumPy: clips are made on the host, whatever computes the
model.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from minitvlt.config import Config
from minitvlt.signals.prepare import Examples, prepare_audio, prepare_video

Range = tuple[float, float]

# ---- Frames. An outline is a signed distance, above 0 outside: edges are as sharp as pixels allow, and
# nothing flickers when a shape moves by a part of a pixel.

Floats = Float[np.ndarray, "..."]  # of shapes that broadcast

BACKGROUND = 96  # the grey behind the shapes, of 255


def measure_circle(x: Floats, y: Floats, radius: Floats) -> Floats:
    """Signed distance of points (x right, y up, from the centre) to a circle."""
    return np.sqrt(x * x + y * y) - radius


def measure_square(x: Floats, y: Floats, radius: Floats) -> Floats:
    """A square about as large as the circle; corners count as if its sides went on straight."""
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.85) * radius


def measure_triangle(x: Floats, y: Floats, radius: Floats) -> Floats:
    """An equilateral triangle that points up."""
    slope = np.float32(0.75**0.5)
    return np.maximum(slope * np.abs(x) + np.float32(0.5) * y, -y) - np.float32(0.6) * radius


def measure_cross(x: Floats, y: Floats, radius: Floats) -> Floats:
    """An upright cross of two bars, each three times as long as wide."""
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - radius, np.minimum(x, y) - np.float32(0.35) * radius)


OUTLINES = {
    "circle": measure_circle,
    "square": measure_square,
    "triangle": measure_triangle,
    "cross": measure_cross,
}


def paint_frames(
    shape: Int[np.ndarray, " n"],
    centre: Float[np.ndarray, "n k T 2"],
    radius: Float[np.ndarray, "n k"],
    colour: Float[np.ndarray, "n 3"],
    height: int,
    width: int,
) -> UInt8[np.ndarray, "n T {height} {width} 3"]:
    """Paint k copies of a shape on the frames of each clip.

    Args:
        shape: which of `OUTLINES`.
        centre: where its centre is, right and up from the lower left corner, in pixels.
        radius: in pixels; below 0 for a copy that is not there.
        colour: red, green and blue in [0, 1].
        height: of the frames, in pixels.
        width: the same.
    """
    n, _, T, _ = centre.shape
    frames = np.empty((n, T, height, width, 3), np.uint8)
    columns = np.arange(width, dtype=np.float32) + np.float32(0.5)
    rows = np.float32(height - 0.5) - np.arange(height, dtype=np.float32)[:, None]  # row 0 is the highest
    for number, measure in enumerate(OUTLINES.values()):
        (members,) = np.nonzero(shape == number)
        x, y = np.moveaxis(centre[members, ..., None, None], 3, 0)
        distance = measure(columns - x, rows - y, radius[members, :, None, None, None]).min(axis=1)
        cover = np.clip(np.float32(0.5) - distance, 0, 1)[..., None]  # half a pixel on both sides of the edge
        paint = 255 * colour[members, None, None, None] - np.float32(BACKGROUND)
        frames[members] = cover * paint + np.float32(BACKGROUND + 0.5)  # cut off to whole numbers: rounded
    return frames


# ---- Audio. A wavetable synthesiser: one period of each timbre is read again and again, faster for higher
# tones.

LOWEST_PITCH = 220.0  # Hz, at the floor
OCTAVES = 2.0  # from the floor to the ceiling
TREMBLE_RATE = 6.0  # Hz
LOUDEST_VOICE, CLICK = 0.4, 0.2  # amplitudes
TABLE_BITS = 12  # a period is kept as 2**12 samples

# Loudness of the harmonics 1, 2, 3 and 4, of sum 1. At the ceiling the highest one is at 3,520 Hz.
TIMBRES = {
    "circle": (1.0, 0.0, 0.0, 0.0),
    "square": (0.6, 0.0, 0.4, 0.0),
    "triangle": (0.3, 0.3, 0.2, 0.2),
    "cross": (0.6, 0.0, 0.0, 0.4),
}


def make_wavetables() -> Float[np.ndarray, "shapes period"]:
    """One period of every timbre."""
    harmonic, place = np.arange(1, 5)[:, None], np.arange(1 << TABLE_BITS) / (1 << TABLE_BITS)
    waves = np.cos(2 * np.pi * harmonic * place)  # (4, 1 << TABLE_BITS)
    return (np.array(list(TIMBRES.values())) @ waves).astype(np.float32)


def sing(
    shape: Int[np.ndarray, " n"],
    height: Float[np.ndarray, "n k samples"],
    loudness: Float[np.ndarray, "n k"],
    tremble: Float[np.ndarray, " n"],
    sample_rate: int,
) -> Float[np.ndarray, "n samples"]:
    """Let k copies of a shape sing in each clip.

    Args:
        shape: which of `TIMBRES`.
        height: of each copy at each sample: 0 sings the lowest pitch, 1 the highest.
        loudness: of each copy's voice, from 0 (silent) to 1.
        tremble: how far the loudness swings: 0 is a steady voice, 1 falls silent at every swing.
        sample_rate: samples a second.
    """
    # The phase is a 32-bit number that overflows once a period; its highest bits are the place in the table.
    samples = height.shape[-1]
    slowest = np.float32(LOWEST_PITCH / sample_rate * 2**32)
    advance = (slowest * np.exp2(np.float32(OCTAVES) * height)).astype(np.uint32)
    phase = np.cumsum(advance, axis=-1, dtype=np.uint32) - advance  # 0 at the first sample
    place = (phase >> (32 - TABLE_BITS)) + (shape[:, None, None] << TABLE_BITS)
    voices = np.take(make_wavetables(), place)
    time = np.arange(samples) / sample_rate
    swing = 1 - tremble[:, None] * np.sin(np.pi * TREMBLE_RATE * time) ** 2
    return LOUDEST_VOICE * swing.astype(np.float32) * np.einsum("nk,nks->ns", loudness, voices)


def add_clicks(
    waveforms: Float[np.ndarray, "n samples"], moments: Float[np.ndarray, "n k"], sample_rate: int
) -> None:
    """Add, in place, a click at each moment from 0, the beginning of a clip, to 1, its end (later: none).

    A click is a tone of 2.5 kHz, or of a quarter of a low sample rate, that dies away in some milliseconds.
    """
    samples = waveforms.shape[-1]
    time = np.arange(min(samples, sample_rate // 50)) / sample_rate
    tone = np.sin(2 * np.pi * min(2500.0, sample_rate / 4) * time)
    click = (CLICK * tone * np.exp(-time / 0.004)).astype(np.float32)
    for clip, copy in np.argwhere(moments < 1):
        begin = int(moments[clip, copy] * samples)
        heard = waveforms[clip, begin : begin + len(click)]
        heard += click[: len(heard)]


# ---- Clips

SHAPES = tuple(OUTLINES)
COLOURS = {"red": 0, "yellow": 60, "green": 130, "blue": 230}  # hue in degrees
MOTIONS = {"right": (1, 0), "left": (-1, 0), "up": (0, 1), "down": (0, -1)}  # as they set out
ATTRIBUTES = ("warm", "large", "high", "bouncing", "several", "trembling")
SMALL, LARGE = (0.13, 0.17), (0.22, 0.27)  # radius, in parts of the shorter side of a frame
STEADY, TREMBLING = (0.0, 0.15), (0.6, 0.9)  # how far the loudness swings
SPEED = (0.25, 0.75)  # way from wall to wall that is flown in a clip: below 1, so that no copy bounces twice


@dataclass(frozen=True)
class Scenes:
    """What happens in n clips, before anything is painted or sung"""

    shape: Int[np.ndarray, " n"]  # which of `SHAPES`
    colour: Int[np.ndarray, " n"]  # which of `COLOURS`
    motion: Int[np.ndarray, " n"]  # which of `MOTIONS`
    hue: Float[np.ndarray, " n"]  # degrees, about that of the colour
    radius: Float[np.ndarray, " n"]
    tremble: Float[np.ndarray, " n"]
    speed: Float[np.ndarray, " n"]
    start: Float[np.ndarray, "n k 2"]  # right and up: 0 at the left wall or the floor, 1 at the opposite one
    is_there: Bool[np.ndarray, "n k"]  # True for the copies that a clip has

    @property
    def direction(self) -> Int[np.ndarray, "n 2"]:
        """Right and up: 1, 0 or -1"""
        return np.array(list(MOTIONS.values()))[self.motion]

    def locate(self, moments: Float[np.ndarray, " m"], axis: int) -> Float[np.ndarray, "n k m"]:
        """Position of every copy at some moments, along axis 0 (right) or 1 (up).

        Walls are mirrors: the flight goes on straight behind them, and what is seen is its reflection.
        """
        travel = (self.speed * self.direction[:, axis])[:, None, None] * moments
        way = self.start[:, :, None, axis] + travel.astype(np.float32)
        return 1 - np.abs(1 - np.abs(way))

    def find_bounces(self) -> Float[np.ndarray, "n k"]:
        """The moment at which each copy touches a wall; 1 or more if it does not within the clip."""
        forward = np.sum(self.direction, axis=1, keepdims=True)  # 1 or -1
        place = np.sum(self.start * np.abs(self.direction)[:, None], axis=-1)  # along the way it flies
        ahead = np.where(forward > 0, 1 - place, place)
        return np.where(self.is_there, ahead / self.speed[:, None], 1)

    def label(self) -> dict[str, np.ndarray]:
        """What can be asked about a clip; one row for each.

        `shape`, `colour`, `motion`: numbers of `SHAPES`, `COLOURS`, `MOTIONS`. `count`: how many copies.
        `attributes`: six booleans, named by `ATTRIBUTES`, any of which may be true whatever the others are.
        `valence`: how pleasant a clip is, from -1 to 1: the mean of how warm its colour looks (the cosine of
        the hue's distance from orange) and of how calm its voice sounds (1 if it is steady, -1 if it falls
        silent), so that it takes eyes and ears to tell.
        """
        warmth, calm = np.cos(np.radians(self.hue - 30)), 1 - 2 * self.tremble
        count = np.sum(self.is_there, axis=1)
        attributes = (
            self.colour < 2,
            self.radius > SMALL[1],
            self.start[:, 0, 1] > 0.5,
            np.any(self.find_bounces() < 1, axis=1),
            count > 1,
            self.tremble > STEADY[1],
        )
        return {
            "shape": self.shape,
            "colour": self.colour,
            "motion": self.motion,
            "count": count,
            "valence": (0.5 * (warmth + calm)).astype(np.float32),
            "attributes": np.stack(attributes, axis=1),
        }


def is_held_out(combinations: Int[np.ndarray, "3 *any"]) -> Bool[np.ndarray, "*any"]:
    """Tell which combinations of shape, colour and motion are kept from training: one in four, a Latin square
    of shape and colour for each motion, so that training shows every two of the three together, but never
    these three."""
    return combinations.sum(axis=0) % 4 == 0


def draw_scenes(rng: np.random.Generator, count: int, held_out: bool, max_count: int) -> Scenes:
    """Draw what happens in `count` clips; different attributes are drawn independently."""
    grid = np.indices((len(SHAPES), len(COLOURS), len(MOTIONS))).reshape(3, -1)
    combinations = grid[:, is_held_out(grid) == held_out]
    shape, colour, motion = combinations[:, rng.integers(combinations.shape[1], size=count)]
    start = rng.random((count, max_count, 2), dtype=np.float32)
    start[:, :, 0] = (start[:, :1, 0] + np.arange(max_count) / max_count) % 1  # copies apart from each other
    start[:, :, 1] = 0.45 * start[:, :, 1] + 0.55 * rng.integers(2, size=(count, 1))  # all high or all low
    copies = rng.integers(1, max_count + 1, size=(count, 1))
    return Scenes(
        shape=shape,
        colour=colour,
        motion=motion,
        hue=np.array(list(COLOURS.values()))[colour] + rng.uniform(-15, 15, count),
        radius=_draw_level(rng, count, SMALL, LARGE),
        tremble=_draw_level(rng, count, STEADY, TREMBLING),
        speed=rng.uniform(*SPEED, count),
        start=start,
        is_there=np.arange(max_count) < copies,
    )


def _draw_level(rng: np.random.Generator, n: int, low: Range, high: Range) -> Float[np.ndarray, " {n}"]:
    """Draw from one of two ranges; the gap between them keeps them apart."""
    return np.where(rng.integers(2, size=n) == 1, rng.uniform(*high, n), rng.uniform(*low, n))


def check_draw(rng: np.random.Generator, count: int) -> None:
    """Raise a ValueError unless this many clips can be drawn from a generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"Expected rng as a generator, such as numpy.random.default_rng(3), got {rng!r}.")
    if count < 1:
        raise ValueError(f"Expected a count of 1 clip or more, got {count}.")


class ShapesWorld:
    """Where clips of singing shapes come from."""

    def __init__(self, config: Config, split: str = "train", max_count: int = 2) -> None:
        """Remember what clips look like.

        Args:
            config: says how large and how long clips are; any geometry will do.
            split: "held_out" shows only combinations of shape, colour and motion that "train" never shows.
            max_count: the most copies of the shape that a clip may have.
        """
        if split not in ("train", "held_out"):
            raise ValueError(f'split must be "train" or "held_out", not {split!r}.')
        self.config, self.split, self.max_count = config, split, max_count

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw clips that are ready for the model; the same state of the generator gives the same clips."""
        frames, waveforms, labels = self.draw_clips(rng, count)
        video, _ = prepare_video(list(frames), self.config)
        audio, _ = prepare_audio(list(waveforms), self.config.sample_rate, self.config)
        return Examples(video, audio, labels=labels)

    def draw_clips(
        self, rng: np.random.Generator, count: int, frames: int | None = None
    ) -> tuple[
        UInt8[np.ndarray, "{count} T H W 3"], Float[np.ndarray, "{count} samples"], dict[str, np.ndarray]
    ]:
        """Draw clips as they would be filmed: `sample` sees the same ones from the same state.

        Args:
            rng: what happens.
            count: how many clips.
            frames: evenly spaced over a clip, each in the middle of its share; `config.num_frames` if None.

        Returns:
            frames, waveforms at `config.sample_rate`, and the labels of `Scenes.label`.
        """
        check_draw(rng, count)
        scenes = draw_scenes(rng, count, self.split == "held_out", self.max_count)
        T = self.config.num_frames if frames is None else frames
        return self._paint(scenes, (np.arange(T) + 0.5) / T), self._sing(scenes), scenes.label()

    def _paint(self, scenes: Scenes, moments: np.ndarray) -> np.ndarray:
        H, W = self.config.image_shape
        radius = (min(H, W) * scenes.radius[:, None, None, None]).astype(np.float32)
        place = np.stack([scenes.locate(moments, axis) for axis in (0, 1)], axis=-1)
        centre = radius + (np.float32([W, H]) - 2 * radius) * place
        channels = np.array([0, 120, 240])  # the hues of red, green and blue
        colour = 0.64 + 0.36 * np.cos(np.radians(scenes.hue[:, None] - channels))
        sizes = np.where(scenes.is_there, radius[:, 0, 0], np.float32(-1000))
        return paint_frames(scenes.shape, centre, sizes, colour.astype(np.float32), H, W)

    def _sing(self, scenes: Scenes) -> np.ndarray:
        samples = self.config.spectrogram_length * self.config.hop_length
        height = scenes.locate(np.arange(samples) / samples, axis=1)
        loudness = ((scenes.radius[:, None] / LARGE[1]) ** 2 * scenes.is_there).astype(np.float32)
        tremble, rate = scenes.tremble.astype(np.float32), self.config.sample_rate
        waveforms = sing(scenes.shape, height, loudness, tremble, rate)
        add_clicks(waveforms, scenes.find_bounces(), rate)
        return waveforms
