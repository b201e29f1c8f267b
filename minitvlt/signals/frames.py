"""From raw frames of any size to the frames that the model sees: resized, cropped, in [-1, 1].

Two ways lead there: the shortest edge is resized (bilinear) and the centre cropped, as in transformers; or
black borders and all but the centre are cut off, and the rest is resized (bicubic), as in the released code
of TVLT. Resizing is Pillow's, with antialiasing, or that of torch without. Then [0, 255] becomes [-1, 1]. An
image is a video of one frame.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from minitvlt.backends import Array, namespace

BLACK = 30  # of 255: codecs do not leave black at 0
SAME_TIME = 1e-9  # seconds; two times nearer than this are one
WHOLE = 2.0**23  # added to a number in float32, it leaves no room for fractions: halves become even


def choose_frames(
    times: Float[np.ndarray, " T"], start: float, stop: float, count: int, choice: str = "middle"
) -> Int[np.ndarray, " {count}"]:
    """Choose `count` of the frames in [start, stop), which may repeat.

    Args:
        times: when each frame appears, in seconds.
        start: of the span.
        stop: of the span.
        count: how many frames.
        choice: "middle" chooses the frames that are shown in the middle of each of `count` equal parts of the
            span: they are even in time, also where the frame rate changes, and before the first frame there
            is only the first. "first", as in the released code, chooses the first of each of `count` equal
            parts of the frames that appear in the span: they are even in number.

    >>> choose_frames(np.array([0.0, 0.1, 0.2, 0.3, 4.0]), 0.0, 6.0, 3)
    array([3, 3, 4])
    >>> choose_frames(np.array([0.0, 0.1, 0.2, 0.3, 4.0]), 0.0, 6.0, 3, "first")
    array([0, 1, 3])
    """
    if choice == "first":
        first, last = np.searchsorted(times, np.array([start, stop]) - SAME_TIME)
        first = min(first, len(times) - 1)
        return np.linspace(first, max(last, first + 1), count, endpoint=False).astype(int)
    middles = start + (stop - start) * (np.arange(count) + 0.5) / count
    return np.maximum(np.searchsorted(times, middles + SAME_TIME, side="right") - 1, 0)


def weigh(distance: Float[np.ndarray, "*any"], interpolation: str, a: float) -> Float[np.ndarray, "*any"]:
    """How much a pixel counts at a distance, in pixels: a triangle, or cubic with parameter a (Keys 1981).

    >>> weigh(np.array([0.0, 0.5, 1.0, 1.5, 2.0]), "bicubic", -0.5)
    array([ 1.    ,  0.5625,  0.    , -0.0625,  0.    ])
    """
    if interpolation == "bilinear":
        return np.maximum(0, 1 - distance)
    x = np.minimum(distance, 2)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = multiply_add(a * x - 5 * a, x, 8 * a) * x - 4 * a
    return np.where(x < 1, inner, outer)


def multiply_add(
    x: Float[np.ndarray, "..."] | np.float32, y: Float[np.ndarray, "..."], z: float
) -> Float[np.ndarray, "..."]:
    """x * y + z, rounded once to the precision of x, as processors do it in one instruction."""
    return (np.float64(x) * y + z).astype(x.dtype)


INTERPOLATIONS = ("bilinear", "bicubic")


@lru_cache(maxsize=64)
def make_resize_weights(
    old: int, new: int, count: int, interpolation: str = "bilinear"
) -> Float[np.ndarray, "{count} {old}"]:
    """The matrix that resizes one axis: row i says how much each old pixel gives to new pixel i.

    A small curve over the old pixels, centred where the new pixel lies. Enlarging, it reaches to the
    neighbours (interpolation); shrinking, it is widened to all pixels that the new one stands for
    (antialiasing). Of the new pixels only the `count` in the middle are computed; of an odd surplus the
    larger half is cut at the end.

    >>> make_resize_weights(4, 2, 2)
    array([[0.42857143, 0.42857143, 0.14285714, 0.        ],
           [0.        , 0.14285714, 0.42857143, 0.42857143]])
    """
    scale = old / new
    centre = ((new - count) // 2 + np.arange(count)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centre) / max(scale, 1.0)
    weights = weigh(distance, interpolation, -0.5)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.flags.writeable = False  # the cache hands the same array to everyone
    return weights


def check_pixels(frames: np.ndarray, name: str) -> None:
    """Raise a ValueError unless these are frames of RGB pixels in uint8, at least one of one pixel."""
    shape, dtype = getattr(frames, "shape", ()), getattr(frames, "dtype", type(frames).__name__)
    if len(shape) != 4 or shape[-1] != 3 or 0 in shape or dtype != np.uint8:
        found = dtype, shape
        raise ValueError(f"Expected {name} as a NumPy array of uint8, (T, H, W, 3), not empty, got {found}.")


def resize(
    frames: Shaped[Array, "T H W C"],
    size: tuple[int, int],
    interpolation: str = "bilinear",
    crop: tuple[int, int] | None = None,
    has_antialias: bool = True,
) -> Float[Array, "T C h w"]:
    """Resize frames to `size` and crop their centre; channels move to the front.

    Only what remains after the crop is computed. Cubic interpolation overshoots at edges; what leaves
    [0, 255] is clipped.

    Args:
        frames: with pixels in [0, 255], integer or floating-point.
        size: height and width of the whole resized frames.
        interpolation: "bilinear" or "bicubic".
        crop: height and width of the part in the middle that is wanted; all if None.
        has_antialias: True for the filters of Pillow, each axis by one matrix; its cubic one has a = -0.5.
            False for `interpolate(align_corners=False)` of torch, with a = -0.75, rounded to whole levels as
            torchvision does it.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}.")
    h, w = crop or size
    xp = namespace(frames)
    if not has_antialias:
        x = interpolate(frames, 2, size[1], w, interpolation)
        x = interpolate(x, 1, size[0], h, interpolation)  # (frames.shape[0], h, w, frames.shape[3])
        x = xp.minimum(xp.maximum(x, 0.0), 255.0) + WHOLE - WHOLE
        return xp.permute_dims(x, (0, 3, 1, 2))
    T, H, W, C = frames.shape
    mix_rows = make_resize_weights(H, size[0], h, interpolation)
    mix_columns = make_resize_weights(W, size[1], w, interpolation)
    x = xp.reshape(xp.permute_dims(frames, (0, 3, 1, 2)), (T * C * H, W))  # (T * C * H, W)
    if "float" not in str(x.dtype):
        x = xp.astype(x, xp.from_numpy(np.zeros(1, np.float32)).dtype)  # only here: to move bytes is cheaper
    x = xp.matmul(x, xp.as_like(mix_columns.T, x))  # (T * C * H, w)
    if interpolation == "bicubic":
        x = xp.minimum(xp.maximum(x, 0.0), 255.0)
    x = xp.reshape(x, (T * C, H, w))  # (T * C, H, w)
    x = xp.matmul(xp.as_like(mix_rows, x), x)  # (T * C, h, w)
    if interpolation == "bicubic":
        x = xp.minimum(xp.maximum(x, 0.0), 255.0)
    return xp.reshape(x, (T, C, h, w))  # (T, C, h, w)


def interpolate(
    x: Shaped[Array, "T H W C"], axis: int, new: int, count: int, interpolation: str
) -> Float[Array, "T h w C"]:
    """Resize one axis of frames (1 or 2) without antialiasing, in float32, and keep the middle of it.

    Sums are rounded where those of torch are: then rounding to whole levels gives the same level everywhere.
    """
    xp = namespace(x)
    single, double = (xp.from_numpy(np.zeros(1, dtype)).dtype for dtype in (np.float32, np.float64))
    places, weights = find_neighbours(x.shape[axis], new, count, interpolation)
    total = 0.0
    for k in (1, 0, 2, 3)[: len(places)]:
        near = xp.astype(xp.take(x, xp.as_like(places[k], x), axis=axis), double)
        weight = xp.as_like(np.float64(weights[k]).reshape(-1, *(1,) * (3 - axis)), near)
        total = xp.astype(near * weight + total, single)
    return total


def find_neighbours(
    old: int, new: int, count: int, interpolation: str
) -> tuple[Int[np.ndarray, "k {count}"], Float[np.ndarray, "k {count}"]]:
    """For `count` new pixels in the middle, the 2 or 4 old pixels around each along one axis, and weights.

    Beyond the ends of the axis its last pixels are repeated.

    >>> find_neighbours(4, 2, 2, "bilinear")
    (array([[0, 2],
           [1, 3]]), array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32))
    """
    centres = (new - count) // 2 + np.arange(count) + 0.5  # in new pixels
    place = multiply_add(np.float32(old) / np.float32(new), centres, -0.5)
    offsets = np.arange(-1, 3, dtype=np.float32)[:, None]
    offsets = offsets[1:3] if interpolation == "bilinear" else offsets
    first = np.floor(place)
    weights = weigh(np.abs(place - first - offsets), interpolation, -0.75)
    return np.clip(first + offsets, 0, old - 1).astype(int), weights


def scale_pixels(frames: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Bring pixels from [0, 255] to [-1, 1]."""
    return (frames / 255.0 - 0.5) / 0.5


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


def find_picture(frames: UInt8[np.ndarray, "T H W C"], crop: str = "before-resizing") -> tuple[slice, slice]:
    """The rows and columns inside the black borders; all, if all is black.

    Borders have no pixel that is brighter than `BLACK` in any frame and any channel; where `crop` is
    "bright-part", none that is so in every frame and every channel: that is the rule of the
    released code, and also cuts off what is only dark or moving.
    """
    levels = frames.min(axis=(0, 3)) if crop == "bright-part" else frames.max(axis=(0, 3))
    is_lit = levels > BLACK
    rows, columns = np.flatnonzero(is_lit.any(axis=1)), np.flatnonzero(is_lit.any(axis=0))
    if not rows.size:
        return slice(0, frames.shape[1]), slice(0, frames.shape[2])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


CROPS = ("after-resizing", "before-resizing", "bright-part")


def transform_frames(
    frames: Shaped[Array, "T H W 3"],
    height: int,
    width: int,
    crop: str = "after-resizing",
    interpolation: str = "bilinear",
    has_antialias: bool = True,
) -> Float[Array, "T 3 {height} {width}"]:
    """Turn raw frames with pixels in [0, 255] into frames of the model's size in [-1, 1].

    Args:
        frames: raw frames.
        height: of the result, in pixels.
        width: of the result, in pixels.
        crop: "after-resizing" covers (height, width) and crops the rest; the others of `CROPS` resize the
            largest centre part of that shape. Black borders are not looked for: `find_picture` does it.
        interpolation: "bilinear" or "bicubic".
        has_antialias: whose filters, see `resize`.

    >>> transform_frames(np.zeros((2, 48, 64, 3), np.uint8), 12, 14).shape
    (2, 3, 12, 14)
    """
    _, H, W, _ = frames.shape
    if crop not in CROPS:
        raise ValueError(f"crop must be one of {', '.join(CROPS)}, not {crop!r}.")
    if crop != "after-resizing":
        rows, columns = find_centre_part(H, W, height, width)
        part = frames[:, rows, columns, :]
        return scale_pixels(resize(part, (height, width), interpolation, None, has_antialias))
    # The shorter edge is made as long as it must be for the whole to cover the result; -(-a // b) rounds up.
    short = min(H, W)
    edge = max(-(-height * short // H), -(-width * short // W))
    size = edge * H // short, edge * W // short
    return scale_pixels(resize(frames, size, interpolation, (height, width), has_antialias))
