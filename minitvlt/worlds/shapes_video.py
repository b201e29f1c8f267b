"""How the shapes of `shapes.py` look: outlines with soft edges, painted on frames.

An outline is a signed distance: how far a point lies outside (above 0) or inside (below 0) of the shape. With
it an edge is as sharp as pixels allow, and nothing flickers when a shape moves by a part of a pixel.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8

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
