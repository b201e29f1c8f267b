"""The count of matrix products is that of the products which are really computed."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minitvlt.backends import numpy_backend, tape, to_backend, value_and_grad
from minitvlt.backends.tape import TapeArray
from minitvlt.config import Config
from minitvlt.learning.batches import make_batch
from minitvlt.model.flops import WORKS, count_flops
from minitvlt.model.initial import init
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch, pretraining_loss
from minitvlt.model.tvlt import embed_audio, embed_video, encode, forward, match
from minitvlt.signals.prepare import Examples
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.models import draw_clips, geometries, seeds
from tests.helpers.sources import count_tokens


def count_calls(patch: pytest.MonkeyPatch, backend: ModuleType) -> Callable[[], int]:
    """Watch linear maps, products and attention of a backend; return what tells the operations so far.

    On the tape each factor that is recorded costs a product on the way back: `linear` has the VJPs G W and
    Gᵀ X, attention G Vᵀ, Pᵀ G, R K and Rᵀ Q. Its weights, made again there, are not counted.
    """
    found: list[int] = []
    linear, attention = backend.linear, backend.attention

    def count_linear(x: Any, weight: Any, bias: Any = None) -> Any:
        product = 2 * math.prod(x.shape) * weight.shape[0]
        found.append(product * (1 + sum(isinstance(factor, TapeArray) for factor in (x, weight))))
        return linear(x, weight, bias)

    def count_attention(query: Any, key: Any, value: Any, is_real: Any = None) -> Any:
        product = 2 * math.prod(query.shape) * key.shape[2]
        found.append(product * (6 if isinstance(query, TapeArray) else 2))
        return attention(query, key, value, is_real)

    def refuse(*_: Any) -> None:
        raise AssertionError("a product that the count does not know")

    patch.setattr(backend, "linear", count_linear)
    patch.setattr(backend, "attention", count_attention)
    patch.setattr(backend, "matmul", refuse)
    return lambda: sum(found)


def draw_case(
    geometry: dict[str, Any], seed: int, choose: Callable[[st.SearchStrategy], Any]
) -> tuple[Params, Examples, dict[str, int]]:
    """Draw a model and clips without padding, no longer than its position tables."""
    channels = {"num_image_channels": 3, "num_audio_channels": 1}
    config, rng = Config(**geometry | channels), np.random.default_rng(seed)
    B = choose(st.integers(1, 3))
    T, s = choose(st.integers(1, config.num_frames)), choose(st.integers(1, config.audio_grid[0]))
    clips = Examples(*draw_clips(config, rng, B, T, s))
    return init(config), clips, {"batch": B, "frames": T, "steps": s * config.audio_patch_size[0]}


def draw_objectives(choose: Callable[[st.SearchStrategy], Any]) -> dict[str, Any]:
    """Choose what a step depends on: tasks, masks, and what the decoder is run on."""
    tasks = choose(st.sampled_from([(True, True), (True, False), (False, True)]))
    return {
        "task_matching": tasks[0],
        "task_mae": tasks[1],
        "joint_decoder": choose(st.booleans()),
        "cls_in_autoencoding": choose(st.booleans()),
        "audio_mask_type": choose(st.sampled_from(["frame-level", "patch-level", "speech-span"])),
        "pixel_mask_ratio": choose(st.sampled_from([0.0, 0.3, 0.75])),
        "audio_mask_ratio": choose(st.sampled_from([0.0, 0.15, 0.5])),
    }


def draw_step(
    geometry: dict[str, Any], seed: int, choose: Callable[[st.SearchStrategy], Any]
) -> tuple[Params, PretrainingBatch, int]:
    params, clips, amount = draw_case(geometry | draw_objectives(choose), seed, choose)
    batch = make_batch(clips, params.config, np.random.default_rng(seed))
    return params, batch, count_flops(params.config, "step", **amount)


def count_by_torch(function: Callable[[], Any]) -> int:
    """Let torch count what it multiplies; attention in its plain form, so that nothing is made twice."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_inference_on_numpy(geometry, seed, sizes):
    params, clips, amount = draw_case(geometry, seed, sizes.draw)
    with pytest.MonkeyPatch.context() as patch:
        counted = count_calls(patch, numpy_backend)
        forward(params, clips.video, clips.audio)
        assert counted() == count_flops(params.config, "inference", **amount)


@settings(max_examples=5)
@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_inference_as_torch_counts_it(geometry, seed, sizes):
    params, clips, amount = draw_case(geometry, seed, sizes.draw)
    moved = to_backend((params, clips.video, clips.audio), "torch", dtype="float32")
    expected = count_flops(params.config, "inference", **amount)
    assert count_by_torch(lambda: forward(*moved)) == expected


@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_a_step_on_the_tape(geometry, seed, sizes):
    params, batch, expected = draw_step(geometry, seed, sizes.draw)
    with pytest.MonkeyPatch.context() as patch:
        counted = count_calls(patch, tape)
        value_and_grad(lambda p, b: pretraining_loss(p, b).loss)(params, batch)
        assert counted() == expected


@settings(max_examples=5)
@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_a_step_as_torch_counts_it(geometry, seed, sizes):
    params, batch, expected = draw_step(geometry, seed, sizes.draw)
    moved = to_backend((params, batch), "torch", dtype="float32")
    differentiate = value_and_grad(lambda p, b: pretraining_loss(p, b).loss)
    assert count_by_torch(lambda: differentiate(*moved)) == expected


@settings(max_examples=5)
@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_retrieval_embeds_clips_once_and_encodes_every_pair(geometry, seed, sizes):
    params, clips, amount = draw_case(geometry, seed, sizes.draw)
    with pytest.MonkeyPatch.context() as patch:
        counted = count_calls(patch, numpy_backend)
        video = embed_video(params.encoder, params.config, clips.video)
        audio = embed_audio(params.encoder, params.config, clips.audio)
        for i in range(amount["batch"]):
            for j in range(amount["batch"]):
                match(params.matching, encode(params, video[j : j + 1], audio[i : i + 1]).cls)
        assert counted() == count_flops(params.config, "retrieval", **amount)


def test_checkpointing_computes_more_but_the_model_is_the_same():
    config = Config.tiny()
    assert count_flops(config.replace(gradient_checkpointing=True), "step") == count_flops(config, "step")


def test_without_sizes_clips_are_as_long_as_the_configuration_says():
    config = Config.tiny(num_frames=5, spectrogram_length=40)
    assert count_flops(config) == count_flops(config, "inference", 1, 5, 40)
    assert count_flops(config, batch=7) == 7 * count_flops(config)


def test_tokens_are_counted_as_the_tests_count_them():
    """The oracle above takes its tokens from arrays; here the base model's, by hand."""
    config = Config()
    video, audio = np.zeros((1, 8, 3, 224, 224)), np.zeros((1, 1, 1024, 128))
    (_, T, n), (_, s, f) = count_tokens(config, video), count_tokens(config, audio)
    N, D = 1 + T * n + s * f, 768
    by_hand = 12 * (24 * N * D * D + 4 * N * N * D) + 2 * T * n * D * 768 + 2 * s * f * D * 256
    assert (N, count_flops(config, frames=8, steps=1024)) == (2081, by_hand)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"work": "sleep"}, f"one of {', '.join(WORKS)}, got 'sleep'"),
        ({"batch": 0}, "batch as a whole number of at least 1, got 0"),
        ({"frames": 2.0}, "frames as a whole number of at least 1, got 2.0"),
        ({"steps": True}, "steps as a whole number of at least 1, got True"),
        ({"steps": 20}, "steps that the patch of 8 divides, got 20"),
    ],
)
def test_amounts_that_no_clip_has_are_refused(change, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        count_flops(Config.tiny(), **change)
