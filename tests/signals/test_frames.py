"""Raw frames to model frames: resizing against Pillow and torch, the whole against transformers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minitvlt.signals.frames import (
    choose_frames,
    find_picture,
    resize,
    transform_frames,
)
from tests.helpers.backends import on_every_backend

GREY_LEVEL = 1 / 255


def make_frames(T: int, H: int, W: int, seed: int = 0) -> np.ndarray:
    """Gradients, a hard edge and noise, so that ringing, shifts and missing antialiasing all show."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    smooth = 120 + 60 * np.sin(x / 5) + 60 * np.cos(y / 7)
    frames = np.stack([smooth, 255 * (x > W // 3), rng.integers(0, 256, (H, W))], axis=-1)  # (H, W, 3)
    return np.stack([np.roll(frames, t, axis=1) for t in range(T)]).astype(np.uint8)


on_many_sizes = pytest.mark.parametrize(
    ("H", "W", "h", "w"),
    [
        (48, 64, 24, 32),
        (101, 67, 31, 31),  # another shape
        (23, 37, 53, 41),  # enlarged
        (29, 31, 29, 17),  # one axis as it is
        (29, 29, 29, 29),  # nothing to do
        (211, 97, 7, 5),
        (1, 9, 4, 8),
    ],
)
with_every_kernel = pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])


@on_many_sizes
@with_every_kernel
def test_resizing_is_pillows_to_one_grey_level_and_a_crop_is_the_middle_of_it(H, W, h, w, interpolation):
    """Pillow rounds twice, once after each axis; on a hard edge the overshoot is clipped both times."""
    frames = make_frames(2, H, W)
    resized = resize(frames, (h, w), interpolation)
    assert resized.shape == (2, 3, h, w) and resized.dtype == np.float32
    assert resized.min() >= 0 and resized.max() <= 255.001
    for t in range(2):
        image = Image.fromarray(frames[t]).resize((w, h), getattr(Image.Resampling, interpolation.upper()))
        np.testing.assert_allclose(np.rint(resized[t]), np.asarray(image).transpose(2, 0, 1), atol=1)
    rows, columns = max(1, h - 3), max(1, w - 4)
    top, left = (h - rows) // 2, (w - columns) // 2  # of an odd surplus more is cut below and on the right
    cropped = resize(frames, (h, w), interpolation, (rows, columns))
    np.testing.assert_allclose(cropped, resized[:, :, top : top + rows, left : left + columns], atol=1e-3)


def interpolate_by_torch(frames: np.ndarray, size: tuple[int, int], kind: str, antialias: bool) -> np.ndarray:
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    made = torch.nn.functional.interpolate(pixels, size, mode=kind, align_corners=False, antialias=antialias)
    return made.clamp(0, 255).numpy()


@on_many_sizes
@with_every_kernel
def test_resizing_without_antialiasing_is_that_of_torch_in_whole_levels_and_a_crop_is_its_middle(
    H, W, h, w, interpolation
):
    frames = make_frames(2, H, W)
    expected = np.rint(interpolate_by_torch(frames, (h, w), interpolation, antialias=False))
    resized = resize(frames, (h, w), interpolation, None, False)
    assert resized.dtype == np.float32
    assert (resized != expected).mean() < 1e-3  # processors differ in the last bit of torch's sums
    np.testing.assert_allclose(resized, expected, atol=1)
    rows, columns = max(1, h - 3), max(1, w - 4)
    top, left = (h - rows) // 2, (w - columns) // 2
    cropped = resize(frames, (h, w), interpolation, (rows, columns), False)
    np.testing.assert_array_equal(cropped, resized[:, :, top : top + rows, left : left + columns])


@on_many_sizes
@with_every_kernel
def test_resizing_with_antialiasing_is_that_of_torch(H, W, h, w, interpolation):
    frames = make_frames(2, H, W) // 4 + 90  # cubic interpolation does not overshoot [0, 255]
    expected = interpolate_by_torch(frames, (h, w), interpolation, antialias=True)
    np.testing.assert_allclose(resize(frames, (h, w), interpolation), expected, atol=2e-3)


@given(gaps=st.lists(st.floats(0.01, 2), min_size=1, max_size=20), count=st.integers(1, 7))
def test_chosen_frames_are_those_that_are_shown(gaps, count):
    times = np.cumsum(gaps)
    chosen = choose_frames(times, 0.5, 11.0, count)
    for k in range(count):
        moment = 0.5 + 10.5 * (k + 0.5) / count
        shown = [i for i in range(len(times)) if times[i] <= moment + 1e-9]
        assert chosen[k] == (shown[-1] if shown else 0)


@given(n=st.integers(1, 40), before=st.integers(0, 3), after=st.integers(0, 3), count=st.integers(1, 9))
def test_the_first_of_each_share_of_the_frames_in_a_span_is_chosen_and_few_are_repeated(
    n, before, after, count
):
    times = np.cumsum(np.random.default_rng(n).uniform(0.01, 2, before + n + after))
    start, stop = times[before], np.append(times, np.inf)[before + n]
    chosen = choose_frames(times, start, stop, count, "first")
    np.testing.assert_array_equal(chosen, before + np.floor(np.arange(count) * n / count + 1e-9))
    assert choose_frames(times, times[-1] + 1, np.inf, 2, "first").tolist() == [len(times) - 1] * 2


@pytest.mark.parametrize(("H", "W"), [(240, 320), (321, 241), (224, 224), (100, 177), (57, 31)])
def test_frames_are_those_of_the_published_processor_to_one_grey_level(H, W):
    from transformers import TvltImageProcessor

    frames = make_frames(3, H, W)
    expected = TvltImageProcessor()([list(frames)], return_tensors="np")["pixel_values"][0]
    made = transform_frames(frames, 224, 224)
    assert made.dtype == np.float32
    assert made.shape == expected.shape == (3, 3, 224, 224)
    np.testing.assert_allclose(made / 2, expected / 2, atol=GREY_LEVEL + 1e-6)  # [-1, 1] is two units wide


def test_a_long_narrow_image_takes_no_more_than_its_middle():
    frames = np.zeros((1, 4000, 20, 3), np.uint8)
    frames[0, 1995:2005] = 255
    np.testing.assert_allclose(transform_frames(frames, 224, 224)[0, :, 112], 1, atol=1e-6)


# ---- cropped before resizing


@pytest.mark.parametrize("borders", [(0, 0, 0, 0), (3, 5, 0, 0), (0, 0, 7, 2), (1, 0, 0, 4), (2, 3, 5, 7)])
def test_black_borders_are_found_all_round(borders):
    top, bottom, left, right = borders
    frames = np.maximum(make_frames(3, 11, 13), 40)  # and codecs do not leave black at 0
    black = 9  # of codecs
    padded = np.pad(frames, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=black)
    rows, columns = find_picture(padded)
    np.testing.assert_array_equal(padded[:, rows, columns], frames)


def test_a_border_must_be_black_in_every_frame_and_every_channel():
    frames = np.zeros((3, 8, 9, 3), np.uint8)
    frames[0, 2, 4] = 200
    frames[2, 5, 3, 1] = 31  # dim green is no border
    frames[1, 7, 8] = 30  # and this is still black
    assert find_picture(frames) == (slice(2, 6), slice(3, 5))
    assert find_picture(np.minimum(frames, 30)) == (slice(0, 8), slice(0, 9))  # all black: all is left


def test_the_part_that_is_bright_in_every_frame_and_every_channel_is_found():
    frames = np.full((3, 8, 9, 3), 99, np.uint8)
    frames[:, :2], frames[:, :, 7:, 1] = 30, 30  # a border, and what is dark in one channel
    frames[1, 6:] = 0  # and in one frame
    assert find_picture(frames, "bright-part") == (slice(2, 6), slice(0, 7))
    assert find_picture(frames) == (slice(2, 8), slice(0, 9))
    frames[2] = 0
    assert find_picture(frames, "bright-part") == (slice(0, 8), slice(0, 9))


# ---- every backend


@on_every_backend
@pytest.mark.parametrize("has_antialias", [True, False])
@pytest.mark.parametrize("crop", ["after-resizing", "before-resizing"])
def test_raw_frames_are_transformed_on_every_backend(backend, crop, has_antialias):
    frames, arguments = make_frames(2, 13, 17), (5, 7, crop, "bicubic", has_antialias)
    made = transform_frames(backend.move(frames), *arguments)
    assert str(made.dtype).endswith("float32")
    backend.assert_close(made, transform_frames(frames, *arguments), rtol=1e-5, atol=1e-6)


# ---- bad input


def test_what_cannot_be_resized_is_refused():
    with pytest.raises(ValueError, match="interpolation must be one of bilinear, bicubic, not 'nearest'"):
        resize(np.zeros((1, 5, 7, 3), np.float32), (5, 5), "nearest")
    with pytest.raises(ValueError, match=r"crop must be one of .*bright-part, not 'never'"):
        transform_frames(np.zeros((1, 5, 7, 3)), 3, 3, crop="never")
