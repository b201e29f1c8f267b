"""The gradient of the whole pre-training loss: finite differences, gradient checkpointing, padding.

That all backends compute the same gradients is in tests/test_agreement.py.
"""

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import flatten, map_tree, to_backend, unflatten, value_and_grad
from minitvlt.config import Config
from minitvlt.model.masking import random_masking
from minitvlt.model.parameters import Params, init
from minitvlt.model.pretraining import PretrainingBatch, pretraining_loss
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import BACKENDS, assert_trees_close
from tests.helpers.models import SMALL, draw_batch, draw_params, make_small
from tests.helpers.sources import Source

IN_FLOAT64 = pytest.mark.parametrize("backend", [one for one in BACKENDS if one.dtype == "float64"], ids=str)


def differentiate(params: Params, batch: PretrainingBatch) -> tuple[Any, Any]:
    """Return everything that there is beside the loss, and the gradients."""

    def loss(params: Params) -> tuple[Any, Any]:
        out = pretraining_loss(params, batch)
        return out.loss, out

    (_, out), gradients = value_and_grad(loss, has_aux=True)(params)
    return out, gradients


def measure_slope(params: Params, batch: PretrainingBatch, direction: Any, length: float = 1e-5) -> float:
    """Measure how fast the loss grows along a direction, by central differences of the fourth order."""

    def loss(step: float) -> float:
        with annotations_unchecked():  # they were checked when the gradient was computed
            moved = map_tree(lambda x, d: x + step * d, params, direction)
            return float(pretraining_loss(moved, batch).loss)

    near, far = loss(length) - loss(-length), loss(2 * length) - loss(-2 * length)
    return (8 * near - far) / (12 * length)


@settings(max_examples=8)
@given(data=st.data())
def test_the_gradient_is_the_slope_in_a_random_direction(data):
    s = Source(data.draw)
    config = s.config()
    params, batch = s.params(config), s.batch(config)
    direction = map_tree(lambda x: s.array(*x.shape), params)
    gradient = flatten(differentiate(params, batch)[1]).values()
    pairs = zip(gradient, flatten(direction).values(), strict=True)
    expected = sum(float(np.sum(g * d)) for g, d in pairs)
    scale = np.sqrt(sum(float(np.sum(g**2)) for g in gradient))
    assert abs(measure_slope(params, batch, direction) - expected) <= 1e-6 * scale


def test_the_gradient_is_the_slope_for_each_parameter_alone():
    params, batch = make_small(3, is_padded=True)
    rng, gradient = np.random.default_rng(5), flatten(differentiate(params, batch)[1])
    zero = {name: np.zeros_like(array) for name, array in flatten(params).items()}
    for name, array in gradient.items():
        direction = rng.standard_normal(array.shape)
        slope = measure_slope(params, batch, unflatten(params, zero | {name: direction}))
        assert abs(slope - np.sum(array * direction)) <= 1e-6 * max(1e-2, np.linalg.norm(array)), name


# ---- gradient checkpointing


def switch(params: Params, saves_memory: bool) -> Params:
    return dataclasses.replace(params, config=params.config.replace(gradient_checkpointing=saves_memory))


def test_gradient_checkpointing_saves_memory():
    """What a block keeps beside its input and its output is recomputed: less than half is left of many."""
    config = Config.tiny(num_hidden_layers=12, decoder_num_hidden_layers=12)
    params, batch = init(config), draw_batch(config, np.random.default_rng(0), 8, 3, 3, False)
    batch = to_backend(batch, "numpy", dtype="float32")
    peaks = []
    for flag in (False, True):
        with annotations_unchecked():
            tracemalloc.start()
            differentiate(switch(params, flag), batch)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 0.5 * peaks[0]


# ---- padding


def make_batch(T: int, s: int, frames: np.ndarray, steps: np.ndarray) -> PretrainingBatch:
    """Make a batch of T frames and s steps of patches, of which so many are real; the rest is noise.

    What is real is the same whatever T and s are. Where all is real, there are no masks.
    """
    rng = np.random.default_rng(2)
    video, mixed = rng.uniform(-1, 1, (2, 3, 9, 2, 6, 10))[:, :, :T]
    audio, noise = rng.uniform(-1, 1, (3, 1, 18, 21))[:, :, : 2 * s], rng.random((2, 3, 36))
    video_mask, audio_mask = np.arange(4 * T) < 4 * frames, np.arange(3 * s) < 3 * steps
    mixed_mask = video_mask[::-1]
    if video_mask.all() and audio_mask.all():
        video_mask = audio_mask = mixed_mask = None
    maskings = (
        random_masking(noise[0, :, : 4 * T], 0.5, video_mask),
        random_masking(noise[1, :, : 3 * s], 0.5, audio_mask),
    )
    is_match = np.array([True, False, True])
    return PretrainingBatch(video, audio, video_mask, audio_mask, mixed, mixed_mask, is_match, *maskings)


@IN_FLOAT64
@pytest.mark.parametrize("joint", [False, True], ids=["separate decoder", "joint decoder"])
@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded before", "padded before"])
def test_padding_a_batch_further_changes_no_loss_no_prediction_and_no_gradient(backend, joint, is_padded):
    params = backend.move(draw_params(SMALL.replace(joint_decoder=joint), np.random.default_rng(1)))
    lengths = ([2, 1, 2], [3, 4, 1]) if is_padded else ([2, 2, 2], [4, 4, 4])
    frames, steps = (np.array(each)[:, None] for each in lengths)
    found = []
    for T, s in ((2, 4), (6, 9)):  # the second is longer than the tables of positions
        out, gradients = to_backend(
            differentiate(params, backend.move(make_batch(T, s, frames, steps))), "numpy"
        )
        real = np.arange(4 * T) < 4 * frames, np.arange(3 * s) < 3 * steps
        predictions = out.video_prediction[real[0]], out.audio_prediction[real[1]]
        losses = out.loss, out.match_loss, out.video_loss, out.audio_loss
        found.append((losses, out.match_logits, predictions, gradients))
    assert_trees_close(found[1], found[0], rtol=1e-8, atol=1e-9)
