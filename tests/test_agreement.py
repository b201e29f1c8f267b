"""Plain NumPy in float64 is the truth: every public array function agrees with it on every backend.

`CASES` says for each function how its arguments are drawn. Whatever arrays these hold are moved to a backend,
a device and a precision; the results come back and are compared. The same table runs on CUDA where there is
a card.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import AbstractArray

import minitvlt.model
import minitvlt.signals
from minitvlt.backends import register_backend, to_backend, value_and_grad
from minitvlt.backends.tree import children, is_array
from minitvlt.model import masking, patches, pretraining, tasks, transformer, tvlt
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.model.tasks import TaskBatch
from minitvlt.signals import frames, inversion, spectrogram
from minitvlt.training import optimizer
from minitvlt.training.optimizer import AdamWState, Recipe
from tests.backends import array_api_strict_backend
from tests.helpers.backends import BACKENDS, Backend, using_kernels
from tests.helpers.models import draw_params
from tests.helpers.sources import Source, count_tokens

# The error as a root mean square, relative to that of the result, or absolute where that is below 1.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.2}


class Host:
    """An argument that stays a NumPy array: a constant of the computation."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


# ---- signals


def draw_window(s: Source) -> tuple[int, int]:
    """A window's length and a hop, not longer."""
    window_length = 2 * s.size(2, 8)
    return window_length, s.size(1, window_length)


def draw_spectrum(s: Source) -> np.ndarray:
    shape = (s.size(1, 2), s.size(2, 5), s.size(3, 6))
    return s.array(*shape) + 1j * s.array(*shape)


def draw_filters(s: Source, bins: int) -> Host:
    return Host(np.abs(s.array(s.size(), bins)))


def draw_magnitude(s: Source) -> tuple:
    """A spectrogram and a hop: a sound long enough for the noise that Griffin-Lim begins with."""
    bins = s.size(5, 8)
    return np.abs(s.array(2, s.size(4, 7), bins)) + 1, s.size(bins // 2, bins - 1)


def draw_power(s: Source, *shape: int) -> np.ndarray:
    return 10 ** s.rng.uniform(-12, 2, shape)


def draw_padding(s: Source) -> str:
    return s.choose("reflect", "constant")


def draw_log_mel_arguments(s: Source) -> tuple:
    window_length = 4 * s.size(8, 12)
    numbers = 8000, s.size(1, 3), window_length, s.size(1, window_length)
    return s.waveform(), *numbers, draw_padding(s), s.flag()


def draw_pixels(s: Source) -> np.ndarray:
    pixels = s.rng.integers(0, 256, (s.size(1, 3), s.size(2, 9), s.size(2, 9), 3))
    return pixels.astype(s.choose(np.uint8, np.float64))


def draw_interpolation(s: Source) -> str:
    return s.choose("bilinear", "bicubic")


def draw_numbers_as_pixels(s: Source) -> np.ndarray:
    return 300 * s.array(2, s.size(2, 9), s.size(2, 9), s.size(1, 3))


def draw_transform_arguments(s: Source) -> tuple:
    crop = s.choose("after-resizing", "before-resizing")
    return draw_pixels(s), s.size(1, 12), s.size(1, 12), crop, draw_interpolation(s)


SIGNALS = {
    spectrogram.pad_by_reflection: lambda s: (s.waveform(), s.size(0, 20), s.size(0, 20)),
    spectrogram.pad_by_zeros: lambda s: (s.waveform(), s.size(0, 20), s.size(0, 20)),
    spectrogram.frame_waveform: lambda s: (s.waveform(), *draw_window(s), draw_padding(s)),
    spectrogram.compute_stft: lambda s: (s.waveform(), *draw_window(s), draw_padding(s)),
    spectrogram.compute_power: lambda s: (draw_spectrum(s),),
    spectrogram.power_to_decibel: lambda s: (draw_power(s, 2, *s.pair()),),
    spectrogram.normalise_decibel: lambda s: (60 * s.array(2, *s.pair()),),
    spectrogram.log_mel_spectrogram: draw_log_mel_arguments,
    inversion.denormalise_decibel: lambda s: (s.array(2, *s.pair()),),
    inversion.decibel_to_power: lambda s: (s.array(2, *s.pair()),),
    inversion.invert_mel_filters: lambda s: (np.abs(s.array(2, 3, 5)), Host(np.abs(s.array(5, 7)))),
    inversion.overlap_add: lambda s: (s.array(2, s.size(), 9), s.size(1, 9)),
    inversion.invert_stft: lambda s: (draw_spectrum(s), s.size(1, 3)),
    inversion.impose_magnitude: lambda s: ((z := draw_spectrum(s)), np.abs(s.array(*z.shape))),
    inversion.run_griffin_lim: lambda s: (*draw_magnitude(s), 0, 7),
    inversion.reconstruct_waveform: lambda s: (s.array(2, s.size(2, 5), 3), 8000, 32, s.size(8, 16), 0, 7),
    frames.resize: lambda s: (
        draw_numbers_as_pixels(s),
        (s.size(5, 12), s.size(5, 12)),
        draw_interpolation(s),
        (s.size(1, 5), s.size(1, 5)),
    ),
    frames.scale_pixels: lambda s: (255 * s.rng.random((2, *s.pair())),),
    frames.transform_frames: draw_transform_arguments,
}

# ---- model


def draw_tokens(s: Source) -> tuple:
    """Tokens, a block for them and the number of its heads."""
    config = s.config()
    x = s.array(s.size(1, 3), s.size(), config.hidden_size)
    return x, s.params(config).encoder.blocks, config.num_attention_heads


def draw_run_blocks_arguments(s: Source) -> tuple:
    x, blocks, heads = draw_tokens(s)
    return x, blocks, heads, 0.01, s.mask(*x.shape[:2])


def draw_run_block_arguments(s: Source) -> tuple:
    x, blocks, heads = draw_tokens(s)
    return x, blocks[0], heads, 0.01, s.mask(*x.shape[:2])


def draw_attention_arguments(s: Source) -> tuple:
    x, blocks, heads = draw_tokens(s)
    return x, blocks[0].attention, heads, s.mask(*x.shape[:2])


def draw_rows_and_map(s: Source) -> tuple:
    linear = s.params().encoder.video_patches
    return s.array(2, s.size(), linear.weight.shape[1]), linear


def draw_answer_and_map(s: Source) -> tuple:
    x, blocks, heads = draw_tokens(s)
    B, N, D = x.shape
    return s.array(B, heads, N, D // heads), blocks[0].attention


def draw_queries_and_keys(s: Source) -> tuple:
    B, heads, d, N, M = (s.size() for _ in range(5))
    return s.array(B, heads, N, d), s.array(B, heads, M, d), s.mask(B, M)


def draw_piece(s: Source, piece: str) -> tuple:
    x, blocks, _ = draw_tokens(s)
    return x, getattr(blocks[0], piece)


def draw_forward_arguments(s: Source) -> tuple:
    config = s.config()
    video, audio, video_mask, audio_mask = s.clips(config)
    left_out = s.choose("nothing", "video", "audio")
    if left_out == "video":
        video = video_mask = None
    if left_out == "audio":
        audio = audio_mask = None
    return s.params(config), video, audio, video_mask, audio_mask, s.flag(), s.flag()


def draw_embed_clips_arguments(s: Source) -> tuple:
    params, *clips = draw_forward_arguments(s)[:5]
    return params, *pair_up(*clips)


def draw_encode_arguments(s: Source) -> tuple:
    config, B = s.config(), s.size(1, 3)
    video, audio = (s.array(B, s.size(), config.hidden_size) for _ in range(2))
    return s.params(config), video, audio, s.mask(*video.shape[:2]), s.mask(*audio.shape[:2])


def draw_embed_arguments(s: Source, modality: str) -> tuple:
    config = s.config()
    clip = getattr(s, modality)(config, s.size(1, 3))
    return s.params(config).encoder, config, clip, s.mask(*count_tokens(config, clip))


def draw_position_arguments(s: Source, modality: str) -> tuple:
    encoder, config, clip, mask = draw_embed_arguments(s, modality)
    return getattr(encoder, f"{modality}_positions"), config, clip.shape, mask


def draw_fit_time_positions_arguments(s: Source) -> tuple:
    n, tokens = s.size(), s.size()
    return s.array(s.size(), 3), n, s.mask(2, n, tokens)


def draw_join_arguments(s: Source) -> tuple:
    B, lengths = s.size(), (1, s.size(), s.size())
    return tuple(s.array(B, n, 2) for n in lengths), tuple(s.mask(B, n) for n in lengths)


def pair_up(video: Any, audio: Any, video_mask: Any, audio_mask: Any) -> tuple:
    return (video, audio), (video_mask, audio_mask)


def draw_steps(s: Source) -> tuple:
    return s.rng.integers(0, 9, (s.size(), s.size())), s.size()


def draw_masking_arguments(s: Source) -> tuple:
    B, N = s.size(), s.size(1, 11)
    return s.noise(B, N), s.choose(0.0, 0.15, 0.5, 0.9), s.mask(B, N)


def draw_frame_masking_arguments(s: Source) -> tuple:
    noise, ratio, mask = draw_masking_arguments(s)
    tokens = s.size()
    return noise, ratio, tokens, None if mask is None else np.repeat(mask, tokens, axis=1)


def draw_span_masking_arguments(s: Source) -> tuple:
    noise, ratio, mask = draw_masking_arguments(s)
    return noise, ratio, s.rng.random(noise.shape) < 0.5, mask


def draw_loud_and_silent_steps(s: Source) -> tuple:
    """Sound without a step whose loudness lies near the threshold, where rounding decides."""
    (p, q), steps = s.pair(), s.size()
    level = s.rng.choice([-1.0, 1.0], (s.size(), 1, steps, 1))
    return np.repeat(np.repeat(level, p, axis=2), q * s.size(), axis=3), (p, q)


def draw_patches(s: Source, ndim: int) -> tuple:
    (p, q), (h, w) = s.pair(), s.pair()
    leading = [s.size(1, 3) for _ in range(ndim - 2)]
    return s.array(*leading, p * h, q * w), (p, q)


def draw_video_rows(s: Source) -> tuple:
    (p, q), (h, w), T = s.pair(), s.pair(), s.size()
    return s.array(2, T * h * w, p * q * s.size(1, 3)), (p, q), (T, h * p, w * q)


def draw_audio_rows(s: Source) -> tuple:
    (p, q), (h, w) = s.pair(), s.pair()
    return s.array(2, h * w, p * q * s.size(1, 2)), (p, q), (h * p, w * q)


def draw_pretraining(s: Source) -> tuple[Params, PretrainingBatch]:
    config = s.config()
    return s.params(config), s.batch(config)


def draw_hidden_rows(s: Source) -> tuple:
    B, N, values = s.size(), s.size(), s.size()
    return s.array(B, N, values), s.array(B, N, values), s.rng.random((B, N)) < 0.5


def draw_restore_arguments(s: Source) -> tuple:
    config = s.config()
    chosen = s.batch(config).audio_masking
    return s.array(*chosen.keep.shape, 3), s.array(3), chosen


def draw_keep_arguments(s: Source) -> tuple:
    chosen = s.batch(s.config()).video_masking
    return s.array(*chosen.is_hidden.shape, 3), chosen


def draw_decode_arguments(s: Source) -> tuple:
    config, B = s.config(), s.size(1, 3)
    video, audio = (s.array(B, s.size(), config.decoder_hidden_size) for _ in range(2))
    masks = (s.mask(*video.shape[:2]), s.mask(*audio.shape[:2]))
    return s.params(config).decoder, config, (video, audio), masks


def draw_score_arguments(s: Source) -> tuple:
    config = s.config()
    return s.params(config), *s.clips(config)


def draw_patch_rows(s: Source) -> tuple:
    config = s.config()
    linear = s.params(config).encoder.audio_patches
    return s.array(*s.pair(), linear.weight.shape[1]), linear


def draw_match_arguments(s: Source) -> tuple:
    config = s.config()
    return s.params(config).matching, s.array(s.size(), config.hidden_size)


def differentiate_loss(params: Params, batch: PretrainingBatch) -> tuple:
    """The value of the whole loss, its parts, and the gradients of all parameters."""

    def loss_and_parts(params: Params, batch: PretrainingBatch) -> tuple:
        out = pretraining.pretraining_loss(params, batch)
        return out.loss, (out.match_loss, out.video_loss, out.audio_loss)

    return value_and_grad(loss_and_parts, has_aux=True)(params, batch)


def draw_head(s: Source, **fixed: Any) -> Params:
    """A model with both heads, with a pooler before the classifier or without."""
    choices = {"num_labels": s.size(), "pooling": s.choose("cls", "mean"), "classifier_pooler": s.flag()}
    config = s.config(**choices, classifier_norm_eps=0.01, **fixed)
    return draw_params(config, s.rng, "classifier", "ranking")


def draw_classify_arguments(s: Source) -> tuple:
    params = draw_head(s)
    return params, *s.clips(params.config)


def draw_head_arguments(s: Source) -> tuple:
    params, *clips = draw_classify_arguments(s)
    return params, *pair_up(*clips)


def draw_candidates(s: Source, params: Params) -> tuple:
    """Several videos for every sound, and the masks of both."""
    config, B, n = params.config, s.size(1, 3), s.size(1, 3)
    video, _, video_mask, _ = s.clips(config, B * n)
    _, audio, _, audio_mask = s.clips(config, B)
    video_mask = None if video_mask is None else video_mask.reshape(B, n, -1)
    return video.reshape(B, n, *video.shape[1:]), audio, video_mask, audio_mask


def draw_rank_arguments(s: Source) -> tuple:
    params = draw_head(s)
    return params, *draw_candidates(s, params)


def draw_score_candidates_arguments(s: Source) -> tuple:
    params, *clips = draw_rank_arguments(s)
    return params, *pair_up(*clips)


def draw_labels(s: Source, loss_type: str, B: int, k: int) -> np.ndarray:
    labels = {"labels": s.rng.random((B, k)) < 0.5, "soft-labels": s.rng.integers(0, 4, (B, k)) / 4}
    labels["regression"] = s.array(B, k)
    return labels[loss_type] if loss_type in labels else s.rng.integers(0, k, B)


def draw_loss_arguments(s: Source, loss_type: str) -> tuple:
    B, k = s.pair()
    return 9 * s.array(B, k), draw_labels(s, loss_type, B, k)


def draw_task(s: Source) -> tuple[Params, TaskBatch]:
    params = draw_head(s, loss_type=s.choose(*tasks.LOSSES))
    config, is_ranking = params.config, params.config.loss_type == "ranking"
    clips = draw_candidates(s, params) if is_ranking else s.clips(config)
    k = clips[0].shape[1] if is_ranking else config.num_labels
    return params, TaskBatch(*clips, draw_labels(s, config.loss_type, len(clips[0]), k))


def differentiate_task_loss(params: Params, batch: TaskBatch) -> tuple:
    """The loss of a task, and the gradients of all parameters."""
    return value_and_grad(lambda params, batch: tasks.task_loss(params, batch).loss)(params, batch)


MODEL = {
    patches.patchify_video: lambda s: draw_patches(s, 5),
    patches.patchify_audio: lambda s: draw_patches(s, 4),
    patches.unpatchify_video: draw_video_rows,
    patches.unpatchify_audio: draw_audio_rows,
    masking.random_masking: draw_masking_arguments,
    masking.frame_masking: draw_frame_masking_arguments,
    masking.span_masking: draw_span_masking_arguments,
    masking.repeat_steps: draw_steps,
    masking.list_tokens: draw_steps,
    masking.find_speech: draw_loud_and_silent_steps,
    transformer.run_blocks: draw_run_blocks_arguments,
    transformer.run_block: draw_run_block_arguments,
    transformer.run_attention: draw_attention_arguments,
    transformer.split_heads: lambda s: draw_attention_arguments(s)[:3],
    transformer.join_heads: draw_answer_and_map,
    transformer.attention_weights: draw_queries_and_keys,
    transformer.run_mlp: lambda s: draw_piece(s, "mlp"),
    transformer.run_norm: lambda s: (*draw_piece(s, "mlp_norm"), 0.01),
    transformer.run_linear: draw_rows_and_map,
    tvlt.forward: draw_forward_arguments,
    tvlt.encode: draw_encode_arguments,
    tvlt.run_encoder: lambda s: (
        (drawn := draw_encode_arguments(s))[0],
        *pair_up(*drawn[1:]),
        s.flag(),
        s.flag(),
        s.flag(),
    ),
    tvlt.join_tokens: draw_join_arguments,
    tvlt.embed_clips: draw_embed_clips_arguments,
    tvlt.embed_video: lambda s: draw_embed_arguments(s, "video"),
    tvlt.embed_audio: lambda s: draw_embed_arguments(s, "audio"),
    tvlt.embed_patches: draw_patch_rows,
    tvlt.video_position_embedding: lambda s: draw_position_arguments(s, "video"),
    tvlt.audio_position_embedding: lambda s: draw_position_arguments(s, "audio"),
    tvlt.fit_time_positions: draw_fit_time_positions_arguments,
    tvlt.count_steps: lambda s: (s.rng.random((s.size(), 6 * (n := s.size()))) < 0.2, n),
    tvlt.interpolate_positions: lambda s: (s.array(s.size(), *s.pair()), s.size(1, 9)),
    tvlt.match: draw_match_arguments,
    pretraining.pretraining_loss: draw_pretraining,
    pretraining.autoencode: draw_pretraining,
    pretraining.predict_patches: draw_pretraining,
    pretraining.count_targets: lambda s: (s.batch(s.config()),),
    pretraining.score_matches: draw_score_arguments,
    pretraining.sum_squared_error: draw_hidden_rows,
    pretraining.paste_visible: draw_hidden_rows,
    pretraining.keep_tokens: draw_keep_arguments,
    pretraining.restore_tokens: draw_restore_arguments,
    pretraining.decode: draw_decode_arguments,
    differentiate_loss: draw_pretraining,
    tasks.sum_class_cross_entropy: lambda s: draw_loss_arguments(s, "classification"),
    tasks.sum_regression_error: lambda s: draw_loss_arguments(s, "regression"),
    tasks.sum_label_cross_entropy: lambda s: draw_loss_arguments(s, "labels"),
    tasks.sum_answer_cross_entropy: lambda s: draw_loss_arguments(s, "soft-labels"),
    pretraining.binary_cross_entropy: lambda s: draw_loss_arguments(s, "soft-labels"),
    tasks.task_loss: draw_task,
    tasks.compute_task_loss: draw_task,
    tasks.classify: draw_classify_arguments,
    tasks.classify_clips: draw_head_arguments,
    tasks.pool_tokens: draw_head_arguments,
    tasks.run_classifier: lambda s: ((p := draw_head(s)).classifier, s.array(3, p.config.hidden_size), 0.01),
    tasks.rank_videos: draw_rank_arguments,
    tasks.score_candidates: draw_score_candidates_arguments,
    tasks.repeat_rows: lambda s: (s.array(s.size(), *s.pair()), s.size()),
    differentiate_task_loss: draw_task,
}

# ---- learning


def draw_update_arguments(s: Source) -> tuple:
    n = s.size()
    state = AdamWState(s.array(n), s.array(n), s.array(n) ** 2)
    recipe = Recipe(warmup_steps=s.size(0, 3), steps=s.size(4, 9), learning_rate=0.3, weight_decay=0.2)
    return state, s.array(n), s.size(0, 8), recipe, s.flag()


LEARNING = {
    optimizer.update_adamw: draw_update_arguments,
    optimizer.sum_squares: lambda s: (s.array(s.size()),),
    optimizer.find_scale: lambda s: (np.abs(s.array()), s.choose(0.1, 1.0, 10.0)),
    optimizer.slice_evenly: lambda s: (s.array(s.size()),),
    optimizer.to_vector: lambda s: (s.params(),),
    optimizer.from_vector: lambda s: (optimizer.to_vector(params := s.params()), params),
    optimizer.start_adamw: lambda s: (s.params(),),
}

CASES: dict[Callable, Callable[[Source], tuple]] = SIGNALS | MODEL | LEARNING

# ---- the test


STRICT = Backend(array_api_strict_backend.name, "cpu", "float64")  # has nothing beyond the standard
HALF = [dataclasses.replace(one, dtype="bfloat16") for one in BACKENDS if one.name == "torch"][::2]
register_backend(array_api_strict_backend, lambda x: type(x).__module__.startswith("array_api_strict"))


def list_runs() -> list:
    """Every function on every backend; the model also in half precision, which has no Fourier transform."""
    numpy = [backend for backend in BACKENDS if backend.name == "numpy"]
    runs = [("fast", backend, function) for backend in numpy for function in CASES]
    runs += [
        ("plain", backend, function) for backend in numpy if backend.dtype == "float32" for function in CASES
    ]
    runs += [(None, backend, function) for backend in BACKENDS if backend not in numpy for function in CASES]
    runs += [(None, backend, function) for backend in HALF for function in MODEL]
    runs += [(None, STRICT, f) for f in MODEL if not f.__name__.startswith("differentiate")]
    return [pytest.param(*run, id=f"{run[0] or ''}{run[1]}-{run[2].__name__}") for run in runs]


@pytest.mark.parametrize(("kernels", "backend", "function"), list_runs())
@given(data=st.data())
@settings(max_examples=settings.default.max_examples // 3)
def test_every_function_gives_what_plain_numpy_gives_in_float64(kernels, backend, function, data):
    arguments = CASES[function](Source(data.draw))
    with using_kernels("plain"):
        expected = function(*map(unwrap, arguments))
    with using_kernels(kernels):
        actual = function(*map(unwrap, backend.move(arguments)))
    compare(to_backend(actual, "numpy"), expected, backend.dtype)


def unwrap(argument: Any) -> Any:
    return argument.array if isinstance(argument, Host) else argument


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


# ---- the law


def takes_arrays(annotation: Any) -> bool:
    """Tell whether an annotation has in it arrays of any library: not only NumPy's."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return annotation.array_type is Any
    fields = getattr(annotation, "__dataclass_fields__", {})
    inside = [field.type for field in fields.values()] + list(typing.get_args(annotation))
    return any(takes_arrays(one) for one in inside)


def list_array_functions() -> set[Callable]:
    """Every public function of signals, model and optimizer that computes with arrays.

    Checks give nothing back, and what adds a head to a model draws its first values on the host.
    """
    names = [
        f"{room.__name__}.{module.name}"
        for room in (minitvlt.signals, minitvlt.model)
        for module in pkgutil.iter_modules(room.__path__)
    ]
    found = set()
    for module in (*map(importlib.import_module, names), optimizer):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith(("_", "check_", "add_")):
                continue
            hints = typing.get_type_hints(function)
            hints.pop("return")
            if any(map(takes_arrays, hints.values())):
                found.add(function)
    return found


def test_no_public_array_function_was_forgotten():
    found = list_array_functions()
    assert tvlt.forward in found  # parameters, and arrays that may be None, count
    forgotten = sorted(function.__qualname__ for function in found - CASES.keys())
    assert not forgotten, f"add a line to CASES for {forgotten}"
