"""Raw frames to model frames: resizing against Pillow, the whole against the published processor."""

import numpy as np
import pytest
from PIL import Image

from minitvlt.signals.frames import (
    centre_crop,
    choose_frames,
    cut_black_borders,
    find_centre_part,
    find_covering_edge,
    find_picture,
    make_resize_weights,
    resize,
    resize_shortest_edge,
    scale_pixels,
    transform_frames,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend

GREY_LEVEL = 1 / 255


def make_frames(T: int, H: int, W: int, seed: int = 0) -> np.ndarray:
    """Gradients, a hard edge and noise, so that ringing, shifts and missing antialiasing all show."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    smooth = 120 + 60 * np.sin(x / 5) + 60 * np.cos(y / 7)
    frames = np.stack([smooth, 255 * (x > W // 3), rng.integers(0, 256, (H, W))], axis=-1)  # (H, W, 3)
    return np.stack([np.roll(frames, t, axis=1) for t in range(T)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("H", "W", "size"),
    [
        (48, 64, 24),  # landscape, shrunk
        (101, 67, 31),  # portrait, odd sizes
        (23, 37, 53),  # enlarged
        (37, 23, 37),  # one axis enlarged
        (29, 29, 29),  # nothing to do
        (211, 97, 7),  # much smaller
        (5, 3, 16),
        (1, 9, 8),
    ],
)
def test_resizing_is_pillows_to_one_grey_level(H, W, size):
    frames = make_frames(2, H, W)
    resized = resize_shortest_edge(frames.astype(np.float64), size)
    h, w = (size, int(size * W / H)) if H <= W else (int(size * H / W), size)
    assert resized.shape == (2, 3, h, w)
    for t in range(2):
        expected = np.asarray(Image.fromarray(frames[t]).resize((w, h), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(
            resized[t] / 255, expected.transpose(2, 0, 1) / 255, atol=GREY_LEVEL + 1e-9
        )


@pytest.mark.parametrize(
    ("H", "W", "h", "w"),
    [
        (48, 64, 24, 32),
        (101, 67, 31, 31),  # another shape
        (23, 37, 53, 41),  # enlarged
        (29, 31, 29, 17),  # one axis as it is
        (29, 29, 13, 29),
        (211, 97, 7, 5),
        (5, 3, 16, 11),
        (1, 9, 4, 8),
    ],
)
def test_bicubic_resizing_is_pillows_to_one_grey_level_once_rounded(H, W, h, w):
    """Pillow rounds twice, once after each axis; on a hard edge the overshoot is clipped both times."""
    frames = make_frames(2, H, W)
    resized = resize(frames, h, w, "bicubic")
    assert resized.shape == (2, 3, h, w)
    assert resized.min() >= 0
    assert resized.max() <= 255
    for t in range(2):
        expected = np.asarray(Image.fromarray(frames[t]).resize((w, h), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(np.rint(resized[t]), expected.transpose(2, 0, 1), atol=1)


def test_bicubic_resizing_overshoots_at_an_edge_and_bilinear_does_not():
    step = np.where(np.arange(16) < 8, 100.0, 150.0)[None, None, :, None] * np.ones((1, 4, 1, 1))
    for interpolation, overshoots in (("bilinear", False), ("bicubic", True)):
        resized = resize(step, 4, 48, interpolation)
        assert (resized.min() < 99, resized.max() > 151) == (overshoots, overshoots)


def test_whole_pixels_are_resized_in_single_precision_and_floating_ones_in_their_own():
    frames = make_frames(2, 11, 13)
    assert resize_shortest_edge(frames, 7).dtype == np.float32
    assert resize_shortest_edge(frames.astype(np.float64), 7).dtype == np.float64
    np.testing.assert_allclose(
        resize_shortest_edge(frames, 7), resize_shortest_edge(frames.astype(np.float64), 7), atol=1e-3
    )


def test_resizing_is_the_plain_sum_over_the_weights_of_both_axes():
    frames = np.random.default_rng(0).random((2, 5, 7, 3))
    resized = resize_shortest_edge(frames, 3)
    rows, columns = make_resize_weights(5, 3), make_resize_weights(7, 4)
    for t, c, i, j in np.ndindex(2, 3, 3, 4):
        total = sum(rows[i, y] * columns[j, x] * frames[t, y, x, c] for y in range(5) for x in range(7))
        assert np.isclose(resized[t, c, i, j], total)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("old", "new"), [(7, 3), (3, 7), (5, 5), (100, 1), (1, 4)])
def test_resize_weights_of_a_pixel_sum_to_one(old, new, interpolation):
    weights = make_resize_weights(old, new, interpolation)
    assert interpolation == "bicubic" or weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    if old == new:
        np.testing.assert_array_equal(weights, np.eye(old))


@pytest.mark.parametrize(("H", "W", "height", "width"), [(7, 11, 4, 4), (8, 8, 8, 3), (5, 6, 2, 3)])
def test_crop_is_centred_and_of_an_odd_surplus_more_is_cut_below_and_on_the_right(H, W, height, width):
    frames = np.arange(2.0 * 3 * H * W).reshape(2, 3, H, W)
    cropped = centre_crop(frames, height, width)
    assert cropped.shape == (2, 3, height, width)
    for y in range(height):
        for x in range(width):
            np.testing.assert_array_equal(
                cropped[..., y, x], frames[..., y + (H - height) // 2, x + (W - width) // 2]
            )


def test_pixels_are_scaled_to_plus_minus_one():
    np.testing.assert_allclose(scale_pixels(np.array([0, 51, 127.5, 255])), [-1, -0.6, 0, 1])


@pytest.mark.parametrize(("count", "total"), [(1, 1), (1, 9), (3, 9), (4, 9), (9, 9), (5, 132), (4, 2)])
def test_chosen_frames_are_the_middles_of_equal_spans(count, total):
    chosen = choose_frames(count, total)
    for i in range(count):
        assert chosen[i] == int((i + 0.5) * total / count)
    if count <= total:
        assert len(set(chosen)) == count  # none twice


@pytest.mark.parametrize(("H", "W"), [(48, 64), (64, 48), (33, 33), (7, 200)])
@pytest.mark.parametrize(("height", "width"), [(24, 24), (12, 31), (31, 12), (97, 5)])
def test_covering_edge_is_the_smallest_that_covers(H, W, height, width):
    def covers(edge):
        return edge * H // min(H, W) >= height and edge * W // min(H, W) >= width

    edge = find_covering_edge(H, W, height, width)
    assert covers(edge)
    assert not covers(edge - 1)


@pytest.mark.parametrize(("H", "W"), [(240, 320), (321, 241), (224, 224), (100, 177), (57, 31)])
def test_frames_are_those_of_the_published_processor_to_one_grey_level(H, W):
    from transformers import TvltImageProcessor

    frames = make_frames(3, H, W)
    expected = TvltImageProcessor()([list(frames)], return_tensors="np")["pixel_values"][0]
    made = transform_frames(frames, 224, 224)
    assert made.dtype == np.float32
    assert made.shape == expected.shape == (3, 3, 224, 224)
    np.testing.assert_allclose(made / 2, expected / 2, atol=GREY_LEVEL + 1e-6)  # [-1, 1] is two units wide


@pytest.mark.parametrize(("height", "width"), [(12, 31), (31, 12)])
def test_frames_of_a_size_that_is_not_square_are_filled_to_the_edges(height, width):
    frames = np.full((1, 40, 60, 3), 255, np.uint8)
    np.testing.assert_allclose(
        transform_frames(frames, height, width), np.ones((1, 3, height, width)), atol=1e-6
    )


# ---- cropped before resizing


@pytest.mark.parametrize(("H", "W"), [(48, 64), (64, 49), (33, 33), (7, 200), (1, 5)])
@pytest.mark.parametrize(("height", "width"), [(24, 24), (12, 31), (31, 12), (97, 5)])
def test_the_centre_part_is_the_largest_of_its_shape_and_lies_in_the_middle(H, W, height, width):
    rows, columns = find_centre_part(H, W, height, width)
    h, w = rows.stop - rows.start, columns.stop - columns.start
    assert h == H or w == W
    assert abs(h / w - height / width) <= max(1 / w, h / w**2, 1 / h) * 1.01 or 1 in (h, w)
    for part, whole in ((rows, H), (columns, W)):
        assert part.start - (whole - part.stop) in (0, 1)


def test_the_centre_square_is_as_wide_as_the_frame_is_high():
    assert find_centre_part(5, 12, 24, 24) == (slice(0, 5), slice(4, 9))
    assert find_centre_part(12, 5, 24, 24) == (slice(4, 9), slice(0, 5))


def put_into_borders(frames: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return np.pad(frames, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=9)  # codecs' black


@pytest.mark.parametrize("borders", [(0, 0, 0, 0), (3, 5, 0, 0), (0, 0, 7, 2), (1, 0, 0, 4), (2, 3, 5, 7)])
def test_black_borders_are_cut_off_all_round(borders):
    frames = np.maximum(make_frames(3, 11, 13), 40)
    np.testing.assert_array_equal(cut_black_borders(put_into_borders(frames, *borders)), frames)


def test_a_border_must_be_black_in_every_frame_and_every_channel():
    frames = np.zeros((3, 8, 9, 3), np.uint8)
    frames[0, 2, 4] = 200
    frames[2, 5, 3, 1] = 31  # dim green is a picture
    frames[1, 7, 8] = 30  # and this is still black
    assert find_picture(frames) == (slice(2, 6), slice(3, 5))


@pytest.mark.parametrize("level", [0, 16, 30])
def test_a_clip_that_is_black_throughout_is_left_whole(level):
    frames = np.full((2, 5, 7, 3), level, np.uint8)
    np.testing.assert_array_equal(cut_black_borders(frames), frames)


@pytest.mark.parametrize(("H", "W"), [(240, 320), (321, 240), (224, 224), (100, 177), (57, 31)])
def test_frames_cropped_before_resizing_are_pillows_centre_square_to_one_grey_level(H, W):
    frames = make_frames(2, H, W)
    made = transform_frames(frames, 97, 97, "before-resizing", "bicubic")
    side = min(H, W)
    top, left = -(-(H - side) // 2), -(-(W - side) // 2)
    for t in range(2):
        square = Image.fromarray(frames[t, top : top + side, left : left + side])
        expected = np.asarray(square.resize((97, 97), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        np.testing.assert_allclose(np.rint((made[t] + 1) * 127.5), expected, atol=1)


# ---- every backend

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 13, 17, 3))
STEPS = {
    "resize_shortest_edge": lambda x: resize_shortest_edge(x, 7),
    "resize, bicubic": lambda x: resize(x, 19, 5, "bicubic"),
    "centre_crop": lambda x: centre_crop(x, 5, 2),
    "scale_pixels": scale_pixels,
}


@on_every_backend
@pytest.mark.parametrize("step", STEPS)
def test_every_step_equals_numpy_in_double_precision(backend, step):
    made = STEPS[step](backend.move(PIXELS))
    assert str(made.dtype).endswith(backend.dtype)
    backend.assert_close(made, STEPS[step](PIXELS))


@on_every_backend
def test_raw_frames_are_transformed_on_every_backend(backend):
    frames = make_frames(2, 13, 17)
    made = transform_frames(backend.move(frames), 5, 7)
    assert str(made.dtype).endswith("float32")
    backend.assert_close(made, transform_frames(frames, 5, 7), rtol=1e-5, atol=1e-6)


# ---- bad input


def test_a_crop_larger_than_the_frame_is_refused():
    with annotations_unchecked(), pytest.raises(ValueError, match="resize them first"):
        centre_crop(np.zeros((1, 3, 5, 7)), 6, 7)


@pytest.mark.parametrize(("count", "total"), [(0, 5), (3, 0)])
def test_choosing_none_or_from_none_is_refused(count, total):
    with annotations_unchecked(), pytest.raises(ValueError, match="at least one frame"):
        choose_frames(count, total)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (0, 5, 7, 3), (1, 5, 0, 3)])
def test_what_is_no_stack_of_frames_is_refused(shape):
    frames = np.zeros(shape, np.float32)
    for function in (lambda x: resize_shortest_edge(x, 5), lambda x: transform_frames(x, 5, 5)):
        with annotations_unchecked(), pytest.raises(ValueError, match="Expected frames of shape"):
            function(frames)
    with annotations_unchecked(), pytest.raises(ValueError, match="Expected frames of shape"):
        centre_crop(frames, 1, 1)


def test_unknown_ways_are_refused_with_those_that_there_are():
    frames = np.zeros((1, 5, 7, 3))
    with pytest.raises(ValueError, match="interpolation must be one of bilinear, bicubic, not 'nearest'"):
        resize(frames, 3, 3, "nearest")
    with pytest.raises(ValueError, match="crop must be one of after-resizing, before-resizing, not 'never'"):
        transform_frames(frames, 3, 3, crop="never")


def test_a_size_of_no_pixels_is_refused():
    with annotations_unchecked(), pytest.raises(ValueError, match="at least one pixel"):
        resize_shortest_edge(np.zeros((1, 5, 7, 3)), 0)
