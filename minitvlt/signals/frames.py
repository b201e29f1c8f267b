"""From raw frames of any size to the frames that the model sees: resized, cropped, in [-1, 1].

Two ways lead there, each with antialiasing, and equal to Pillow to one grey level once rounded: the shortest
edge is resized (bilinear) and the centre cropped, as in transformers; or black borders and all but the centre
are cut off, and the rest is resized (bicubic), as in the released code of TVLT. Then [0, 255] becomes
[-1, 1]. An image is a video of one frame.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from minitvlt.backends import Array, namespace

BLACK = 30  # of 255: codecs do not leave black at 0


def choose_frames(count: int, total: int) -> Int[np.ndarray, " {count}"]:
    """Choose `count` of `total` frames evenly: the middle one of each of `count` equal spans.

    >>> choose_frames(3, 10), choose_frames(4, 4)
    (array([1, 5, 8]), array([0, 1, 2, 3]))
    """
    if count < 1 or total < 1:
        raise ValueError(f"Expected at least one frame to choose and to choose from, got {count} of {total}.")
    return (2 * np.arange(count) + 1) * total // (2 * count)


def weigh_linearly(distance: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Linear interpolation: a triangle over the pixels up to one away."""
    return np.maximum(0, 1 - distance)


def weigh_cubically(distance: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Cubic interpolation with a = -0.5 (Keys 1981): pixels from one to two away count a little below zero.

    >>> weigh_cubically(np.array([0.0, 0.5, 1.0, 1.5, 2.0]))
    array([ 1.    ,  0.5625,  0.    , -0.0625,  0.    ])
    """
    x = np.minimum(distance, 2)
    return np.where(x < 1, (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2)


INTERPOLATIONS = {"bilinear": weigh_linearly, "bicubic": weigh_cubically}


@lru_cache(maxsize=64)
def make_resize_weights(
    old: int, new: int, interpolation: str = "bilinear"
) -> Float[np.ndarray, "{new} {old}"]:
    """The matrix that resizes one axis: row i says how much each old pixel gives to new pixel i.

    A small curve over the old pixels, centred where the new pixel lies. Enlarging, it reaches to the
    neighbours (interpolation); shrinking, it is widened to all pixels that the new one stands for
    (antialiasing).

    >>> make_resize_weights(4, 2)
    array([[0.42857143, 0.42857143, 0.14285714, 0.        ],
           [0.        , 0.14285714, 0.42857143, 0.42857143]])
    """
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centre) / max(scale, 1.0)
    weights = INTERPOLATIONS[interpolation](distance)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.flags.writeable = False  # the cache hands the same array to everyone
    return weights


def check_frames(frames: Array, axes: str) -> None:
    """Raise a ValueError if these are not frames with the given four axes, none of them empty."""
    shape = tuple(frames.shape)
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"Expected frames of shape {axes} with no axis empty, got {shape}.")


def make_floating(pixels: Shaped[Array, "*any"]) -> Float[Array, "*any"]:
    """Turn pixels of uint8 into float32; floating-point ones stay as they are."""
    xp = namespace(pixels)
    float32 = xp.from_numpy(np.zeros(1, np.float32)).dtype
    return pixels if "float" in str(pixels.dtype) else xp.astype(pixels, float32)


def resize(
    frames: Shaped[Array, "T H W C"], height: int, width: int, interpolation: str = "bilinear"
) -> Float[Array, "T C {height} {width}"]:
    """Resize frames with antialiasing: one matrix mixes columns, another rows.

    Channels move to the front on the way. Cubic interpolation overshoots at edges; what leaves [0, 255] is
    clipped after each matrix, as Pillow does.
    """
    check_frames(frames, "(T, H, W, C)")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}.")
    if height < 1 or width < 1:
        raise ValueError(f"Expected a size of at least one pixel, got ({height}, {width}).")
    xp = namespace(frames)
    T, H, W, C = frames.shape
    mix_columns = make_resize_weights(W, width, interpolation)
    mix_rows = make_resize_weights(H, height, interpolation)
    x = xp.reshape(xp.permute_dims(frames, (0, 3, 1, 2)), (T * C * H, W))  # (T * C * H, W)
    x = make_floating(x)  # only here: to move bytes is cheaper
    x = _clip_overshoot(xp.matmul(x, xp.as_like(mix_columns.T, x)), interpolation)
    x = xp.reshape(x, (T * C, H, width))  # (T * C, H, width)
    x = _clip_overshoot(xp.matmul(xp.as_like(mix_rows, x), x), interpolation)
    return xp.reshape(x, (T, C, height, width))  # (T, C, height, width)


def _clip_overshoot(pixels: Float[Array, "*any"], interpolation: str) -> Float[Array, "*any"]:
    if interpolation == "bilinear":
        return pixels  # never leaves the range of its input
    xp = namespace(pixels)
    return xp.minimum(xp.maximum(pixels, 0.0), 255.0)


def resize_shortest_edge(
    frames: Shaped[Array, "T H W C"], size: int, interpolation: str = "bilinear"
) -> Float[Array, "T C h w"]:
    """Resize frames so that the shorter edge has `size` pixels; the longer one follows, rounded down."""
    check_frames(frames, "(T, H, W, C)")
    _, H, W, _ = frames.shape
    return resize(frames, size * H // min(H, W), size * W // min(H, W), interpolation)


def centre_crop(
    frames: Float[Array, "T C H W"], height: int, width: int
) -> Float[Array, "T C {height} {width}"]:
    """Cut out the middle; of an odd surplus the larger half is cut below and on the right."""
    check_frames(frames, "(T, C, H, W)")
    H, W = frames.shape[-2:]
    if height > H or width > W:
        raise ValueError(f"Cannot crop ({height}, {width}) from frames of ({H}, {W}): resize them first.")
    top, left = (H - height) // 2, (W - width) // 2
    return frames[:, :, top : top + height, left : left + width]


def scale_pixels(frames: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Bring pixels from [0, 255] to [-1, 1]."""
    return (frames / 255.0 - 0.5) / 0.5


def find_covering_edge(H: int, W: int, height: int, width: int) -> int:
    """The shortest edge to which frames of (H, W) must be resized to cover (height, width).

    For a square it is its side, as in the published processor.

    >>> find_covering_edge(480, 640, 120, 160), find_covering_edge(480, 640, 120, 200)
    (120, 150)
    """
    short = min(H, W)
    return max(-(-height * short // H), -(-width * short // W))  # -(-a // b) rounds up


def find_centre_part(H: int, W: int, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the largest part in the middle of (H, W) with the shape of (height, width).

    For a square it is the centre square. Of an odd surplus the larger half is cut above and on the left, as
    in the released code.

    >>> find_centre_part(48, 65, 24, 24), find_centre_part(48, 64, 10, 30)
    ((slice(0, 48, None), slice(9, 57, None)), (slice(14, 35, None), slice(0, 64, None)))
    """
    h = min(H, max(1, W * height // width))
    w = min(W, max(1, H * width // height))
    top, left = (H - h + 1) // 2, (W - w + 1) // 2
    return slice(top, top + h), slice(left, left + w)


def find_picture(frames: UInt8[np.ndarray, "T H W C"]) -> tuple[slice, slice]:
    """The rows and columns inside the black borders, which are black in every frame; all, if all is black.

    Black is what is nowhere brighter than `BLACK` in any channel. (The released code asks whether a pixel is
    bright in every frame and every channel, and so also cuts off what is only dark or moving.)
    """
    is_lit = frames.max(axis=0).max(axis=-1) > BLACK
    rows, columns = np.flatnonzero(is_lit.any(axis=1)), np.flatnonzero(is_lit.any(axis=0))
    if not rows.size:
        return slice(0, frames.shape[1]), slice(0, frames.shape[2])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def cut_black_borders(frames: UInt8[np.ndarray, "T H W C"]) -> UInt8[np.ndarray, "T h w C"]:
    """Cut off the rows and columns at the edges that are black in every frame."""
    rows, columns = find_picture(frames)
    return frames[:, rows, columns]


def transform_frames(
    frames: Shaped[Array, "T H W 3"],
    height: int,
    width: int,
    crop: str = "after-resizing",
    interpolation: str = "bilinear",
) -> Float[Array, "T 3 {height} {width}"]:
    """Turn raw frames with pixels in [0, 255] into frames of the model's size in [-1, 1].

    Args:
        frames: raw frames.
        height: of the result, in pixels.
        width: of the result, in pixels.
        crop: "after-resizing" covers (height, width) and crops the rest; "before-resizing" resizes the
            largest centre part of that shape. Black borders are not looked for: `cut_black_borders` does it.
        interpolation: "bilinear" or "bicubic".

    >>> transform_frames(np.zeros((2, 48, 64, 3), np.uint8), 12, 14).shape
    (2, 3, 12, 14)
    """
    check_frames(frames, "(T, H, W, 3)")
    _, H, W, _ = frames.shape
    if crop == "before-resizing":
        rows, columns = find_centre_part(H, W, height, width)
        return scale_pixels(resize(frames[:, rows, columns, :], height, width, interpolation))
    if crop != "after-resizing":
        raise ValueError(f"crop must be one of after-resizing, before-resizing, not {crop!r}.")
    edge = find_covering_edge(H, W, height, width)
    return scale_pixels(centre_crop(resize_shortest_edge(frames, edge, interpolation), height, width))
