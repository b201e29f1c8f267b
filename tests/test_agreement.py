"""Plain NumPy in float64 is the truth: every public array function agrees with it on every backend.

`CASES` says for each function of signals and model how its arguments are drawn. Whatever arrays these hold
are moved to a backend, a device and a precision; the results are converted back and compared. The same table
runs on CUDA where there is a card. Single kernels are compared in tests/backends.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import AbstractArray

import minitvlt as mt
from minitvlt.backends import to_backend
from minitvlt.backends.tree import children, is_array
from minitvlt.model import masking, tasks
from minitvlt.model.tasks import TaskBatch
from minitvlt.signals import frames
from tests.helpers.backends import BACKENDS, Backend, register_strict, using_kernels
from tests.helpers.models import draw_params
from tests.helpers.sources import Source

# The error as a root mean square, relative to that of the result, or absolute where that is below 1.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.2}


# ---- how arguments are drawn


def draw_log_mel_arguments(s: Source) -> tuple:
    window_length = 4 * s.size(8, 12)
    sizes = 8000, s.size(1, 3), window_length, s.size(1, window_length)
    return s.waveform(), *sizes, s.choose("reflect", "constant"), s.flag()


def draw_transform_arguments(s: Source) -> tuple:
    pixels = s.rng.integers(0, 256, (s.size(1, 3), s.size(2, 9), s.size(2, 9), 3))
    crop, kind = s.choose("after-resizing", "before-resizing"), s.choose("bilinear", "bicubic")
    return pixels.astype(s.choose(np.uint8, np.float64)), s.size(1, 12), s.size(1, 12), crop, kind


def draw_video(s: Source) -> tuple:
    (p, q), (h, w) = s.pair(), s.pair()
    return s.array(s.size(1, 3), s.size(1, 3), s.size(1, 3), p * h, q * w), (p, q)


def draw_video_rows(s: Source) -> tuple:
    (p, q), (h, w), T = s.pair(), s.pair(), s.size()
    return s.array(2, T * h * w, p * q * s.size(1, 3)), (p, q), (T, h * p, w * q)


def draw_audio_rows(s: Source) -> tuple:
    rows, patch, (T, H, W) = draw_video_rows(s)
    return rows[:, : rows.shape[1] // T], patch, (H, W)


def draw_masking_arguments(s: Source) -> tuple:
    B, N = s.size(), s.size(1, 11)
    return s.noise(B, N), s.choose(0.0, 0.15, 0.5, 0.9), s.mask(B, N)


def draw_frame_masking_arguments(s: Source) -> tuple:
    (noise, ratio, mask), tokens = draw_masking_arguments(s), s.size()
    return noise, ratio, tokens, None if mask is None else np.repeat(mask, tokens, axis=1)


def draw_span_masking_arguments(s: Source) -> tuple:
    noise, ratio, mask = draw_masking_arguments(s)
    return noise, ratio, s.rng.random(noise.shape) < 0.5, mask


def draw_loud_and_silent_steps(s: Source) -> tuple:
    """Draw spectrograms without a step whose loudness is near the threshold, where rounding decides."""
    (p, q), steps = s.pair(), s.size()
    level = s.rng.choice([-1.0, 1.0], (s.size(), 1, steps, 1))
    return np.repeat(np.repeat(level, p, axis=2), q * s.size(), axis=3), (p, q)


def draw_forward_arguments(s: Source) -> tuple:
    config = s.config()
    clips, left_out = list(s.clips(config)), s.choose(None, 0, 1)
    if left_out is not None:
        clips[left_out] = clips[left_out + 2] = None
    return s.params(config), *clips, s.flag(), s.flag()


def draw_encode_arguments(s: Source) -> tuple:
    config, B = s.config(), s.size(1, 3)
    video, audio = (s.array(B, s.size(), config.hidden_size) for _ in range(2))
    masks = s.mask(*video.shape[:2]), s.mask(*audio.shape[:2])
    return s.params(config), video, audio, *masks, s.flag(), s.flag(), s.flag()


def draw_pretraining(s: Source) -> tuple:
    config = s.config()
    return s.params(config), s.batch(config)


def draw_patches(s: Source) -> tuple:
    B, N, values = s.size(), s.size(), s.size()
    return s.array(B, N, values), s.array(B, N, values), s.rng.random((B, N)) < 0.5


def draw_score_arguments(s: Source) -> tuple:
    config = s.config()
    return s.params(config), *s.clips(config)


def draw_heads(s: Source, **fixed: Any) -> mt.Params:
    """Draw a model with both heads, with a pooler before the classifier or without."""
    choices = {"num_labels": s.size(), "pooling": s.choose("cls", "mean"), "classifier_pooler": s.flag()}
    config = s.config(**choices, classifier_norm_eps=0.01, **fixed)
    return draw_params(config, s.rng, "classifier", "ranking")


def draw_classify_arguments(s: Source) -> tuple:
    params = draw_heads(s)
    return params, *s.clips(params.config)


def draw_candidates(s: Source, config: mt.Config) -> tuple:
    """Draw several videos for every audio, and the masks of both."""
    B, n = s.size(1, 3), s.size(1, 3)
    video, _, video_mask, _ = s.clips(config, B * n)
    _, audio, _, audio_mask = s.clips(config, B)
    video_mask = None if video_mask is None else video_mask.reshape(B, n, -1)
    return video.reshape(B, n, *video.shape[1:]), audio, video_mask, audio_mask


def draw_rank_arguments(s: Source) -> tuple:
    params = draw_heads(s)
    return params, *draw_candidates(s, params.config)


def draw_task(s: Source) -> tuple:
    params = draw_heads(s, loss_type=s.choose(*tasks.LOSSES))
    config, is_ranking = params.config, params.config.loss_type == "ranking"
    clips = draw_candidates(s, config) if is_ranking else s.clips(config)
    B, k = len(clips[0]), clips[0].shape[1] if is_ranking else config.num_labels
    labels = {"labels": s.rng.random((B, k)) < 0.5, "soft-labels": s.rng.integers(0, 4, (B, k)) / 4}
    labels["regression"] = s.array(B, k)
    return params, TaskBatch(*clips, labels.get(config.loss_type, s.rng.integers(0, k, B)))


def differentiate_loss(params: mt.Params, batch: mt.PretrainingBatch) -> tuple:
    """Return the loss of pre-training, its parts, and the gradients of all parameters."""

    def loss_and_parts(params: mt.Params) -> tuple:
        out = mt.pretraining_loss(params, batch)
        return out.loss, (out.match_loss, out.video_loss, out.audio_loss)

    return mt.value_and_grad(loss_and_parts, has_aux=True)(params)


def differentiate_task_loss(params: mt.Params, batch: TaskBatch) -> tuple:
    """Return the loss of a task, and the gradients of all parameters."""
    return mt.value_and_grad(lambda params: tasks.task_loss(params, batch).loss)(params)


SIGNALS = {
    mt.log_mel_spectrogram: draw_log_mel_arguments,
    mt.reconstruct_waveform: lambda s: (s.array(2, s.size(2, 5), 3), 8000, 32, s.size(8, 16), 0, 7),
    frames.transform_frames: draw_transform_arguments,
}
MODEL = {
    mt.patchify_video: draw_video,
    mt.patchify_audio: lambda s: ((drawn := draw_video(s))[0][:, 0], drawn[1]),
    mt.unpatchify_video: draw_video_rows,
    mt.unpatchify_audio: draw_audio_rows,
    mt.random_masking: draw_masking_arguments,
    mt.frame_masking: draw_frame_masking_arguments,
    mt.span_masking: draw_span_masking_arguments,
    masking.find_speech: draw_loud_and_silent_steps,
    mt.forward: draw_forward_arguments,
    mt.encode: draw_encode_arguments,
    mt.pretraining_loss: draw_pretraining,
    mt.autoencode: draw_pretraining,
    mt.score_matches: draw_score_arguments,
    mt.paste_visible: draw_patches,
    differentiate_loss: draw_pretraining,
    mt.classify: draw_classify_arguments,
    tasks.rank_videos: draw_rank_arguments,
    tasks.task_loss: draw_task,
    differentiate_task_loss: draw_task,
}
CASES: dict[Callable, Callable[[Source], tuple]] = SIGNALS | MODEL

# ---- the test

NUMPY = [backend for backend in BACKENDS if backend.name == "numpy"]
OTHERS = [backend for backend in BACKENDS if backend.name != "numpy"]
HALF = [dataclasses.replace(backend, dtype="bfloat16") for backend in OTHERS if backend.dtype == "float32"]
STRICT = Backend("array-api-strict", "cpu", "float64")


def list_runs() -> list:
    """Every function on every backend; the model also in half precision, which has no Fourier transform."""
    runs = [("fast", backend, function) for backend in NUMPY for function in CASES]
    runs += [("plain", NUMPY[0], function) for function in CASES]
    runs += [(None, backend, function) for backend in OTHERS for function in CASES]
    runs += [(None, backend, function) for backend in HALF for function in MODEL]
    runs += [(None, STRICT, f) for f in MODEL if not f.__name__.startswith("differentiate")]
    return [pytest.param(*run, id=f"{run[0] or ''}{run[1]}-{run[2].__name__}") for run in runs]


@pytest.mark.parametrize(("kernels", "backend", "function"), list_runs())
@given(data=st.data())
@settings(max_examples=settings.default.max_examples // 3)
def test_every_function_gives_what_plain_numpy_gives_in_float64(kernels, backend, function, data):
    register_strict()
    arguments = CASES[function](Source(data.draw))
    with using_kernels("plain"):
        expected = function(*arguments)
    with using_kernels(kernels):
        actual = function(*backend.move(arguments))
    compare(to_backend(actual, "numpy"), expected, backend.dtype)


def compare(actual: Any, expected: Any, dtype: str, name: str = "") -> None:
    """Compare two trees: structure, shapes, whole numbers and booleans exactly, others by precision."""
    if not is_array(expected):
        assert children(expected) or actual == expected, name
        for (part, one), (_, other) in zip(children(actual), children(expected), strict=True):
            compare(one, other, dtype, f"{name}.{part}")
        return
    assert actual.shape == expected.shape, name
    if expected.dtype.kind in "iub":
        np.testing.assert_array_equal(actual, expected, err_msg=name)
        return
    assert np.isfinite(actual).all(), name
    tolerance = TOLERANCES["float32" if expected.dtype == np.float32 else dtype]
    error, size = np.linalg.norm(actual - expected), np.linalg.norm(expected)
    assert error <= tolerance * max(expected.size**0.5, size), f"{name}: expected {expected}, got {actual}"


# ---- completeness


def takes_arrays(annotation: Any) -> bool:
    """Tell whether an annotation has in it arrays of any library: not only NumPy's."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return annotation.array_type is Any
    fields = getattr(annotation, "__dataclass_fields__", {})
    inside = [field.type for field in fields.values()] + list(typing.get_args(annotation))
    return any(takes_arrays(one) for one in inside)


def test_no_public_array_function_was_forgotten():
    found = set()
    for name in mt.__all__:
        function = getattr(mt, name)
        computes = inspect.isfunction(function) and function.__module__.split(".")[1] in ("signals", "model")
        if computes and not name.startswith("add_"):  # which draws the values of a head on the host
            hints = typing.get_type_hints(function)
            found |= (
                {function} if any(takes_arrays(hints[one]) for one in hints if one != "return") else set()
            )
    assert mt.forward in found  # parameters, and arrays that may be None, count
    forgotten = sorted(function.__qualname__ for function in found - CASES.keys())
    assert not forgotten, f"add a line to CASES for {forgotten}"
