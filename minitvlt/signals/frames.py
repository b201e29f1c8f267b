"""From raw frames of any size to the frames that the model sees: resized, cropped, in [-1, 1].

Equal to the published processor of TVLT to one grey level: bilinear resizing of the shortest edge with
antialiasing (what Pillow does), centre crop, [0, 255] to [-1, 1]. An image is a video of one frame.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, Shaped

from minitvlt.backends import Array, namespace


def choose_frames(count: int, total: int) -> Int[np.ndarray, " {count}"]:
    """Choose `count` of `total` frames evenly: the middle one of each of `count` equal spans.

    >>> choose_frames(3, 10), choose_frames(4, 4)
    (array([1, 5, 8]), array([0, 1, 2, 3]))
    """
    if count < 1 or total < 1:
        raise ValueError(f"Expected at least one frame to choose and to choose from, got {count} of {total}.")
    return (2 * np.arange(count) + 1) * total // (2 * count)


@lru_cache(maxsize=64)
def make_resize_weights(old: int, new: int) -> Float[np.ndarray, "{new} {old}"]:
    """The matrix that resizes one axis: row i says how much each old pixel gives to new pixel i.

    A triangle over the old pixels, centred where the new pixel lies. Enlarging, it reaches to the neighbours
    (linear interpolation); shrinking, it is widened to all pixels that the new one stands for (antialiasing).

    >>> make_resize_weights(4, 2)
    array([[0.42857143, 0.42857143, 0.14285714, 0.        ],
           [0.        , 0.14285714, 0.42857143, 0.42857143]])
    """
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centre) / max(scale, 1.0)
    weights = np.maximum(0, 1 - distance)
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


def resize_shortest_edge(frames: Shaped[Array, "T H W C"], size: int) -> Float[Array, "T C h w"]:
    """Resize frames so that the shorter edge has `size` pixels; the longer one follows, rounded down.

    Bilinear with antialiasing: one matrix mixes rows, another columns. Channels move to the front on the way.
    """
    check_frames(frames, "(T, H, W, C)")
    if size < 1:
        raise ValueError(f"Expected a size of at least one pixel, got {size}.")
    xp = namespace(frames)
    T, H, W, C = frames.shape
    h, w = size * H // min(H, W), size * W // min(H, W)
    x = xp.reshape(make_floating(frames), (T, H, W * C))  # (T, H, W * C)
    mix_rows = xp.as_like(make_resize_weights(H, h), x)
    mix_columns = xp.as_like(make_resize_weights(W, w).T, x)
    x = xp.matmul(mix_rows, x)  # (T, h, W * C)
    x = xp.permute_dims(xp.reshape(x, (T, h, W, C)), (0, 3, 1, 2))  # (T, C, h, W)
    x = xp.matmul(xp.reshape(x, (T * C * h, W)), mix_columns)  # (T * C * h, w)
    return xp.reshape(x, (T, C, h, w))  # (T, C, h, w)


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


def transform_frames(
    frames: Shaped[Array, "T H W 3"], height: int, width: int
) -> Float[Array, "T 3 {height} {width}"]:
    """Turn raw frames with pixels in [0, 255] into frames of the model's size in [-1, 1].

    >>> transform_frames(np.zeros((2, 48, 64, 3), np.uint8), 12, 14).shape
    (2, 3, 12, 14)
    """
    check_frames(frames, "(T, H, W, 3)")
    edge = find_covering_edge(frames.shape[1], frames.shape[2], height, width)
    return scale_pixels(centre_crop(resize_shortest_edge(frames, edge), height, width))
