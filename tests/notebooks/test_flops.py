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
CLIPS = mt.Examples(np.zeros((B, T, 3, *CONFIG.image_shape)), np.zeros((B, 1, S, CONFIG.frequency_length)))


def count_by_torch(function: Callable[..., Any], *arguments: Any) -> int:
    """Count with the plain form of attention: a fused one computes products twice in the backward pass."""
    moved = mt.to_backend(arguments, "torch", dtype="float32")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function(*moved)
    return counter.get_total_flops()


def test_inference():
    counted = count_by_torch(mt.forward, mt.init(CONFIG), CLIPS.video, CLIPS.audio)
    assert counted == count_flops(CONFIG, "inference", B, T, S)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task_matching": False, "joint_decoder": True, "audio_mask_type": "frame-level"},
        {"cls_in_autoencoding": False, "pixel_mask_ratio": 0.3},
    ],
)
def test_a_training_step(changes):
    config = CONFIG.replace(**changes)
    batch = mt.make_batch(CLIPS, config, np.random.default_rng(0))
    differentiate = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)
    counted = count_by_torch(differentiate, mt.init(config), batch)
    assert counted == count_flops(config, "step", B, T, S)
