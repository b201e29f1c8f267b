"""The model is the published one: transformers 4.40.2 computes the same from the same checkpoint.

Their side runs in float64, with every parameter random, so that nothing that is zero or one at the start can
hide a mistake; ours reads the folder that theirs saved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import MonkeyPatch

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.masking import random_masking
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch, pretraining_loss, score_matches
from minitvlt.model.tvlt import forward
from tests.helpers.backends import Backend, on_every_backend
from tests.helpers.models import draw_clips, draw_mask, geometries, seeds
from tests.helpers.peers import make_pair, port

TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
variants = st.fixed_dictionaries({"qkv_bias": st.booleans(), "use_mean_pooling": st.booleans()})


def assert_close(backend: Backend, ours: Any, theirs: torch.Tensor, rows: Any = ...) -> None:
    tolerance, expected = TOLERANCES[backend.dtype], theirs.detach().numpy()
    ours = to_backend(ours, "numpy")
    np.testing.assert_allclose(ours[rows], expected[rows], rtol=tolerance, atol=tolerance)


def draw_masks(rng: np.random.Generator, config: Config, B: int, T: int, s: int) -> tuple[np.ndarray, ...]:
    h, w = config.image_grid
    return draw_mask(rng, B, T, h * w), draw_mask(rng, B, s, config.audio_grid[1])


@on_every_backend
@settings(max_examples=8)
@given(geometry=geometries(), variant=variants, seed=seeds, is_padded=st.booleans(), sizes=st.data())
def test_the_encoder_and_the_matching_head_are_theirs(backend, geometry, variant, seed, is_padded, sizes):
    theirs, ours = make_pair("TvltForPreTraining", geometry | variant | {"task_mae": False}, seed)
    rng, config = np.random.default_rng(seed), ours.config
    T = sizes.draw(st.integers(1, config.num_frames))
    s = sizes.draw(st.integers(1, config.audio_grid[0]))
    clips = draw_clips(config, rng, 3, T, s)
    masks = draw_masks(rng, config, 3, T, s) if is_padded else (None, None)
    arguments = [None if each is None else torch.from_numpy(each).double() for each in (*clips, *masks)]
    theirs = theirs.double()
    expected = theirs.tvlt(*arguments, output_hidden_states=True, output_attentions=True)

    inputs = backend.move((ours, *clips, *masks))
    out = forward(*inputs, return_hidden=True, return_attention=True)
    real = np.ones(out.sequence.shape[:2], bool)
    if is_padded:
        real[:, 1:] = np.concatenate(masks, axis=1)
    assert_close(backend, out.sequence, expected.last_hidden_state, real)
    assert len(out.hidden) == config.num_hidden_layers + 1
    for hidden, theirs_hidden in zip(out.hidden, expected.hidden_states, strict=True):
        assert_close(backend, hidden, theirs_hidden, real)
    for weights, theirs_weights in zip(out.attention, expected.attentions, strict=True):
        assert_close(backend, weights, theirs_weights, np.broadcast_to(real[:, None], weights.shape[:3]))
    assert_close(backend, score_matches(*inputs), theirs.matching_head(expected[0])[:, 0])


@contextmanager
def same_noise(video: np.ndarray, audio: np.ndarray) -> Iterator[None]:
    """Have the port mask by this noise; how many patches it keeps is computed there."""

    def hand_out(function: Any, noise: np.ndarray) -> Any:
        return lambda *args, **kwargs: (torch.from_numpy(noise), function(*args, **kwargs)[1])

    with MonkeyPatch.context() as patch:
        for name, noise in (("generate_pixel_mask_noise", video), ("generate_audio_mask_noise", audio)):
            patch.setattr(port, name, hand_out(getattr(port, name), noise))
        yield


def draw_noise(config: Config, rng: np.random.Generator, B: int, T: int, s: int) -> tuple[np.ndarray, ...]:
    """Draw noise for both modalities; for audio alike within a step, but in the order of the tokens."""
    (h, w), f = config.image_grid, config.audio_grid[1]
    steps = np.repeat(rng.random((B, s)), f, axis=1)
    return rng.random((B, T * h * w)), steps + 1e-9 * np.arange(s * f)


def compare_pretraining(
    backends: list[Backend], theirs: Any, ours: Params, seed: int, shape: tuple[int, ...], is_padded: bool
) -> None:
    """Compare all losses and predictions; padding is in the mixed video, where theirs is right."""
    (B, T, s), rng, config = shape, np.random.default_rng(seed), ours.config
    video, audio = draw_clips(config, rng, B, T, s)
    noise, mixed = draw_noise(config, rng, B, T, s), rng.uniform(-1, 1, video.shape)
    mixed_mask, _ = draw_masks(rng, config, B, T, s) if is_padded else (None, None)
    maskings = (
        random_masking(noise[0], config.pixel_mask_ratio),
        random_masking(noise[1], config.audio_mask_ratio),
    )
    is_match = rng.random(B) < 0.5
    batch = PretrainingBatch(video, audio, None, None, mixed, mixed_mask, is_match, *maskings)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(next(theirs.parameters()).dtype)

    given = {"labels": tensor(is_match), "pixel_values_mixed": tensor(mixed)}
    if is_padded:  # a mask alone is ignored there, so audio gets one in which all is real
        given |= {"pixel_mask_mixed": tensor(mixed_mask), "audio_mask": tensor(np.ones(noise[1].shape))}
    theirs.train()  # the only mode in which they reconstruct
    with same_noise(*noise):
        expected = theirs(tensor(video), tensor(audio), **given)
    hidden = [tensor(masking.is_hidden) for masking in maskings]
    video_loss = theirs.pixel_mae_loss(tensor(video), expected.pixel_logits, hidden[0])
    audio_loss = theirs.audio_mae_loss(tensor(audio), expected.audio_logits, hidden[1])
    for backend in backends:
        out = pretraining_loss(*backend.move((ours, batch)))
        assert_close(backend, out.match_logits, expected.matching_logits[:, 0])
        assert_close(backend, out.video_prediction, expected.pixel_logits)
        assert_close(backend, out.audio_prediction, expected.audio_logits)
        assert_close(backend, out.video_loss, video_loss)
        assert_close(backend, out.audio_loss, audio_loss)
        assert_close(backend, out.loss, expected.loss)


@on_every_backend
@settings(max_examples=8)
@given(geometries(has_square_patches=True), variants, seeds, st.booleans(), st.data())
def test_pretraining_is_theirs(backend, geometry, variant, seed, is_padded, sizes):
    theirs, ours = make_pair("TvltForPreTraining", geometry | variant, seed)
    T = sizes.draw(st.integers(1, ours.config.num_frames))
    s = sizes.draw(st.integers(1, ours.config.audio_grid[0]))
    compare_pretraining([backend], theirs.double(), ours, seed, (3, T, s), is_padded)


def test_the_base_model_is_theirs():
    """All 114 million parameters at the published sizes; a short clip, so that it takes seconds."""
    theirs, ours = make_pair("TvltForPreTraining", {}, seed=11)
    backends = [Backend(name, "cpu", "float32") for name in ("numpy", "torch")]
    compare_pretraining(backends, theirs, ours, seed=13, shape=(1, 1, 5), is_padded=False)
