"""`count_flops` agrees with the matrix products that torch counts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import minitvlt as mt
from helpers.flops import count_flops

CONFIG = mt.Config.tiny(num_frames=3, spectrogram_length=32, intermediate_size=96)
B, T, S = 2, 2, 24  # fewer frames and steps than the configuration has


def count_by_torch(function: Callable[[], Any]) -> int:
    """Count with the plain form of attention: a fused one computes products twice in the backward pass."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


def draw_clips() -> mt.Examples:
    rng, (H, W) = np.random.default_rng(0), CONFIG.image_shape
    video, audio = rng.random((B, T, 3, H, W)), rng.random((B, 1, S, CONFIG.frequency_length))
    return mt.Examples(video, audio)


def test_inference():
    clips = draw_clips()
    moved = mt.to_backend((mt.init(CONFIG), clips.video, clips.audio), "torch", dtype="float32")
    assert count_by_torch(lambda: mt.forward(*moved)) == count_flops(CONFIG, "inference", B, T, S)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task_mae": False},
        {"task_matching": False, "joint_decoder": True, "audio_mask_ratio": 0.5},
        {"cls_in_autoencoding": False, "audio_mask_type": "patch-level", "pixel_mask_ratio": 0.3},
    ],
)
def test_a_training_step(changes):
    config = CONFIG.replace(**changes)
    batch = mt.make_batch(draw_clips(), config, np.random.default_rng(0))
    moved = mt.to_backend((mt.init(config), batch), "torch", dtype="float32")
    differentiate = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)
    assert count_by_torch(lambda: differentiate(*moved)) == count_flops(config, "step", B, T, S)
