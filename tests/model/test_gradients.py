"""The gradient of the whole pre-training loss: the tape against autograd and against finite differences.

And the law of padding: however far a batch is padded, no loss, no prediction and no gradient changes.
"""

import dataclasses
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import flatten, map_tree, to_backend, unflatten, value_and_grad
from minitvlt.config import Config
from minitvlt.model.masking import Masking, random_masking
from minitvlt.model.parameters import Params, init
from minitvlt.model.pretraining import PretrainingBatch, pretraining_loss
from tests.helpers.backends import BACKENDS
from tests.helpers.models import draw_batch, draw_clips, draw_params, geometries, seeds

DEVICES = sorted({backend.device for backend in BACKENDS if backend.name == "torch"})
IN_FLOAT64 = [backend for backend in BACKENDS if backend.dtype == "float64"]


@st.composite
def settings_of_models(draw: Any) -> dict[str, Any]:
    """Draw the arguments of a small configuration, those that transformers does not know among them."""
    return draw(geometries()) | {
        "qkv_bias": draw(st.booleans()),
        "final_norm": draw(st.booleans()),
        "joint_decoder": draw(st.booleans()),
        "matching_weight": draw(st.sampled_from([1.0, 0.7])),
        "mae_weight": draw(st.sampled_from([1.0, 0.3])),
        "token_order": draw(st.sampled_from(["video-first", "audio-first"])),
        "cls_in_autoencoding": draw(st.booleans()),
        "gradient_checkpointing": draw(st.booleans()),
    }


def make_case(
    arguments: dict[str, Any], rng: np.random.Generator, is_padded: bool
) -> tuple[Params, PretrainingBatch]:
    """Make a small model and a batch for it, of full length, in float64."""
    config = Config(**arguments)
    batch = draw_batch(config, rng, 3, config.num_frames, config.audio_grid[0], is_padded)
    return draw_params(config, rng), batch


def find_gradient(params: Params, batch: PretrainingBatch) -> dict[str, np.ndarray]:
    """Differentiate the loss; the biases of query, key and value are named one by one."""
    _, gradient = value_and_grad(lambda params: pretraining_loss(params, batch).loss)(params)
    parts = {}
    for name, array in flatten(to_backend(gradient, "numpy")).items():
        if name.endswith("qkv.bias"):
            parts |= {f"{name} of {kind}": part for kind, part in zip("QKV", np.split(array, 3), strict=True)}
        else:
            parts[name] = array
    return parts


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@settings(max_examples=10)
@given(arguments=settings_of_models(), seed=seeds)
def test_the_tape_agrees_with_autograd(device, dtype, tolerance, is_padded, arguments, seed):
    case = make_case(arguments, np.random.default_rng(seed), is_padded)
    ours = find_gradient(*to_backend(case, "numpy", dtype=dtype))
    theirs = find_gradient(*to_backend(case, "torch", device, dtype))
    assert ours.keys() == theirs.keys()
    largest = max(np.linalg.norm(array) for array in theirs.values())
    for name, expected in theirs.items():
        # The bias of the key shifts all scores of a row alike: it has no gradient but what rounding leaves.
        norm = 0.01 * largest if name.endswith("of K") else np.linalg.norm(expected)
        error = np.linalg.norm(ours[name].astype(np.float64) - expected)
        assert error <= tolerance * norm + 1e-3 * tolerance * largest, f"{name}: {error} of {norm}"


@pytest.mark.parametrize("backend", IN_FLOAT64, ids=str)
@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@settings(max_examples=10)
@given(arguments=settings_of_models(), seed=seeds)
def test_gradient_checkpointing_changes_no_number(backend, is_padded, arguments, seed):
    params, batch = make_case(arguments, np.random.default_rng(seed), is_padded)
    found = []
    for saves_memory in (False, True):
        config = params.config.replace(gradient_checkpointing=saves_memory)
        case = backend.move((dataclasses.replace(params, config=config), batch))
        found.append(find_gradient(*case))
    for name, array in found[0].items():
        np.testing.assert_allclose(found[1][name], array, rtol=1e-12, atol=1e-12, err_msg=name)


def test_gradient_checkpointing_saves_memory():
    """What a block keeps beside its input and its output is made again: less than half is left of many."""
    config = Config.tiny(num_hidden_layers=12, decoder_num_hidden_layers=12)
    params, batch = init(config), draw_batch(config, np.random.default_rng(0), 16, 3, 3, False)
    batch = to_backend(batch, "numpy", dtype="float32")
    peaks = []
    for saves_memory in (False, True):
        switched = dataclasses.replace(params, config=config.replace(gradient_checkpointing=saves_memory))
        tracemalloc.start()
        value_and_grad(lambda params: pretraining_loss(params, batch).loss)(switched)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 0.5 * peaks[0]


def measure_slope(params: Params, batch: PretrainingBatch, direction: Any, length: float = 1e-5) -> float:
    """Measure how fast the loss grows along a direction, by central differences of the fourth order."""

    def loss(step: float) -> float:
        moved = map_tree(lambda x, d: x + step * d, params, direction)
        return float(pretraining_loss(moved, batch).loss)

    near, far = loss(length) - loss(-length), loss(2 * length) - loss(-2 * length)
    return (8 * near - far) / (12 * length)


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@settings(max_examples=10)
@given(arguments=settings_of_models(), seed=seeds)
def test_the_gradient_is_the_slope_in_a_random_direction(is_padded, arguments, seed):
    rng = np.random.default_rng(seed)
    params, batch = make_case(arguments, rng, is_padded)
    direction = map_tree(lambda x: rng.standard_normal(x.shape), params)
    _, gradient = value_and_grad(lambda params: pretraining_loss(params, batch).loss)(params)
    pairs = zip(flatten(gradient).values(), flatten(direction).values(), strict=True)
    expected = sum(float(np.sum(g * d)) for g, d in pairs)
    scale = np.sqrt(sum(float(np.sum(g**2)) for g in flatten(gradient).values()))
    assert abs(measure_slope(params, batch, direction) - expected) <= 1e-6 * scale


SMALL = Config(
    image_size=(6, 4),
    image_patch_size=(3, 2),
    num_frames=3,
    spectrogram_length=10,
    frequency_length=6,
    audio_patch_size=(2, 3),
    hidden_size=10,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=7,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=2,
    decoder_num_attention_heads=3,
    decoder_intermediate_size=5,
    audio_mask_ratio=0.5,
)


def test_the_gradient_is_the_slope_for_each_parameter_alone():
    rng = np.random.default_rng(5)
    params, batch = draw_params(SMALL, rng), draw_batch(SMALL, rng, 3, 3, 5, is_padded=True)
    _, gradient = value_and_grad(lambda params: pretraining_loss(params, batch).loss)(params)
    zero = {name: np.zeros_like(array) for name, array in flatten(params).items()}
    for name, array in flatten(gradient).items():
        direction = rng.standard_normal(array.shape)
        slope = measure_slope(params, batch, unflatten(params, zero | {name: direction}))
        assert abs(slope - np.sum(array * direction)) <= 1e-6 * max(1e-2, np.linalg.norm(array)), name


def replace_masks(batch: PretrainingBatch, change: Any) -> PretrainingBatch:
    names = ("video_mask", "audio_mask", "mixed_video_mask")
    return dataclasses.replace(batch, **{name: change(getattr(batch, name)) for name in names})


def append(array: np.ndarray, count: int, fill: Any) -> np.ndarray:
    """Append entries that `fill(shape)` makes to each row."""
    return np.concatenate([array, fill((len(array), count))], axis=1)


def pad_batch(
    config: Config, rng: np.random.Generator, batch: PretrainingBatch, noise: Any, frames: int, steps: int
) -> PretrainingBatch:
    """Append frames and steps of patches full of noise, which the masks tell to be padding."""
    B = len(batch.audio)
    h, w = config.image_grid
    more_video, more_audio = frames * h * w, steps * config.audio_grid[1]
    video, audio = draw_clips(config, rng, B, frames, steps)
    padding = partial(np.zeros, dtype=bool)
    padded = dataclasses.replace(
        batch,
        video=np.concatenate([batch.video, video], axis=1),
        audio=np.concatenate([batch.audio, audio], axis=2),
        mixed_video=np.concatenate([batch.mixed_video, video[:, ::-1]], axis=1),
        video_mask=append(batch.video_mask, more_video, padding),
        audio_mask=append(batch.audio_mask, more_audio, padding),
        mixed_video_mask=append(batch.mixed_video_mask, more_video, padding),
    )
    longer = [append(n, more, rng.random) for n, more in zip(noise, (more_video, more_audio), strict=True)]
    return draw_maskings(config, padded, longer)


def draw_maskings(config: Config, batch: PretrainingBatch, noise: Any) -> PretrainingBatch:
    """Hide patches by the given noise, padding left aside."""
    maskings: list[Masking] = [
        random_masking(noise[0], config.pixel_mask_ratio, batch.video_mask),
        random_masking(noise[1], config.audio_mask_ratio, batch.audio_mask),
    ]
    return dataclasses.replace(batch, video_masking=maskings[0], audio_masking=maskings[1])


@pytest.mark.parametrize("backend", IN_FLOAT64, ids=str)
@settings(max_examples=10)
@given(data=st.data(), seed=seeds, frames=st.integers(1, 3), steps=st.integers(1, 4))
def test_padding_a_batch_further_changes_nothing(backend, data, seed, frames, steps):
    geometry = data.draw(geometries())
    (a, _), T, s = geometry["audio_patch_size"], geometry["num_frames"], geometry["spectrogram_length"]
    config = Config(
        **geometry | {"num_frames": T + frames, "spectrogram_length": s + steps * a},
        joint_decoder=data.draw(st.booleans()),
    )
    rng = np.random.default_rng(seed)
    params = draw_params(config, rng)
    batch = draw_batch(config, rng, 3, T, s // a, is_padded=True)
    is_full = data.draw(st.booleans(), label="without padding before")
    if is_full:
        batch = replace_masks(batch, np.ones_like)
    masks = batch.video_mask, batch.audio_mask
    noise = rng.random(masks[0].shape), rng.random(masks[1].shape)
    padded = pad_batch(config, rng, batch, noise, frames, steps)
    batch = draw_maskings(config, replace_masks(batch, lambda _: None) if is_full else batch, noise)

    found = []
    for each in (batch, padded):
        ours, theirs = backend.move((params, each))
        (_, out), gradient = value_and_grad(run_all, has_aux=True)(ours, theirs)
        found.append(to_backend((out, gradient), "numpy"))
    (before, gradient_before), (after, gradient_after) = found

    for name in ("loss", "match_loss", "video_loss", "audio_loss", "match_logits"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-9, err_msg=name)
    for kind, mask in zip(("video", "audio"), masks, strict=True):
        predictions = [
            getattr(out, f"{kind}_prediction")[:, : mask.shape[1]][mask] for out in (before, after)
        ]
        np.testing.assert_allclose(*predictions, rtol=1e-9, atol=1e-9, err_msg=kind)
    expected = flatten(gradient_before)
    for name, array in flatten(gradient_after).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-8, atol=1e-9, err_msg=name)


def run_all(params: Params, batch: PretrainingBatch) -> tuple[Any, Any]:
    """Return the loss, and everything there is beside it."""
    out = pretraining_loss(params, batch)
    return out.loss, out
