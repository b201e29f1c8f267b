"""The model is the published one: transformers 4.40.2 computes the same from the same checkpoint.

Their side runs in float64, with every parameter random, so that nothing that is zero or one at the start can
hide a mistake; ours reads the folder that theirs saved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import to_backend
from minitvlt.model.masking import Masking, random_masking
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch, pretraining_loss, score_matches
from minitvlt.model.tvlt import forward
from tests.helpers.backends import Backend, on_every_backend
from tests.helpers.models import draw_clips, draw_mask, geometries, seeds
from tests.helpers.peers import make_pair, port

TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
VARIANTS = {
    "as published": {},
    "no bias of query, key and value": {"qkv_bias": False},
    "no final norm": {"use_mean_pooling": True},
    "neither": {"qkv_bias": False, "use_mean_pooling": True},
}
on_every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def assert_close(backend: Backend, ours: Any, theirs: torch.Tensor, rows: Any = ...) -> None:
    tolerance = TOLERANCES[backend.dtype]
    expected = theirs.detach().numpy()
    np.testing.assert_allclose(
        to_backend(ours, "numpy")[rows], expected[rows], rtol=tolerance, atol=tolerance
    )


@on_every_backend
@on_every_variant
@settings(max_examples=3)
@given(geometry=geometries(), seed=seeds, sizes=st.data())
def test_the_encoder_is_theirs(backend, variant, geometry, seed, sizes):
    theirs, ours = make_pair("TvltModel", geometry | variant, seed)
    rng, config = np.random.default_rng(seed), ours.config
    B, T = 3, sizes.draw(st.integers(1, config.num_frames))
    s = sizes.draw(st.integers(1, config.audio_grid[0]))
    video, audio = draw_clips(config, rng, B, T, s)
    masks = (None, None)
    if sizes.draw(st.booleans(), label="is padded"):
        h, w = config.image_grid
        masks = draw_mask(rng, B, T, h * w), draw_mask(rng, B, s, config.audio_grid[1])
    arguments = [None if each is None else torch.from_numpy(each).double() for each in (video, audio, *masks)]

    expected = theirs.double()(*arguments, output_hidden_states=True, output_attentions=True)
    out = forward(*backend.move((ours, video, audio, *masks)), return_hidden=True, return_attention=True)

    N = out.sequence.shape[1]
    real = np.ones((B, N), bool)
    if masks[0] is not None:
        real[:, 1:] = np.concatenate(masks, axis=1)
    assert_close(backend, out.sequence, expected.last_hidden_state, real)
    assert len(out.hidden) == len(expected.hidden_states) == config.num_hidden_layers + 1
    for hidden, theirs_hidden in zip(out.hidden, expected.hidden_states, strict=True):
        assert_close(backend, hidden, theirs_hidden, real)
    for weights, theirs_weights in zip(out.attention, expected.attentions, strict=True):
        of_real = np.broadcast_to(real[:, None, :], (B, config.num_attention_heads, N))
        assert_close(backend, weights, theirs_weights, of_real)


@contextmanager
def same_noise(video: np.ndarray, audio: np.ndarray) -> Iterator[None]:
    """Have the port mask by this noise; how much it keeps stays its own affair."""

    def hand_out(function: Any, noise: np.ndarray) -> Any:
        return lambda *args, **kwargs: (torch.from_numpy(noise), function(*args, **kwargs)[1])

    with pytest.MonkeyPatch.context() as patch:
        for name, noise in (("generate_pixel_mask_noise", video), ("generate_audio_mask_noise", audio)):
            patch.setattr(port, name, hand_out(getattr(port, name), noise))
        yield


def draw_noise(
    params: Params, rng: np.random.Generator, B: int, T: int, s: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw noise for both modalities; for sound alike within a step, but in the order of the tokens."""
    h, w = params.config.image_grid
    f = params.config.audio_grid[1]
    steps = np.repeat(rng.random((B, s)), f, axis=1)
    return rng.random((B, T * h * w)), steps + 1e-9 * np.arange(s * f)


def compare_pretraining(
    backends: list[Backend],
    theirs: Any,
    ours: Params,
    seed: int,
    shape: tuple[int, int, int],
    is_padded: bool,
) -> None:
    """Hold all losses and predictions to theirs; padding is in the mixed video, where theirs is right."""
    (B, T, s), rng, config = shape, np.random.default_rng(seed), ours.config
    video, audio = draw_clips(config, rng, B, T, s)
    noise = draw_noise(ours, rng, B, T, s)
    mixed_mask = draw_mask(rng, B, T, config.image_grid[0] * config.image_grid[1]) if is_padded else None
    maskings: list[Masking] = [
        random_masking(noise[0], config.pixel_mask_ratio),
        random_masking(noise[1], config.audio_mask_ratio),
    ]
    is_match = rng.random(B) < 0.5
    mixed = rng.uniform(-1, 1, video.shape)
    batch = PretrainingBatch(video, audio, None, None, mixed, mixed_mask, is_match, *maskings)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(next(theirs.parameters()).dtype)

    masks = {}
    if is_padded:  # a mask alone is ignored there, so sound gets one in which all is real
        masks = {"pixel_mask_mixed": tensor(mixed_mask), "audio_mask": tensor(np.ones(noise[1].shape))}
    theirs.train()  # the only mode in which they reconstruct
    with same_noise(*noise):
        expected = theirs(
            tensor(video), tensor(audio), labels=tensor(is_match), pixel_values_mixed=tensor(mixed), **masks
        )
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
@on_every_variant
@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "mixed video padded"])
@settings(max_examples=2)
@given(geometry=geometries(has_square_patches=True), seed=seeds, sizes=st.data())
def test_pretraining_is_theirs(backend, variant, is_padded, geometry, seed, sizes):
    theirs, ours = make_pair("TvltForPreTraining", geometry | variant, seed)
    T = sizes.draw(st.integers(1, ours.config.num_frames))
    s = sizes.draw(st.integers(1, ours.config.audio_grid[0]))
    compare_pretraining([backend], theirs.double(), ours, seed, (3, T, s), is_padded)


@on_every_backend
@settings(max_examples=3)
@given(geometry=geometries(has_square_patches=True), seed=seeds)
def test_matching_is_theirs_with_both_modalities_padded(backend, geometry, seed):
    theirs, ours = make_pair("TvltForPreTraining", geometry, seed)
    rng, config = np.random.default_rng(seed), ours.config
    B, T, s = 5, config.num_frames, config.audio_grid[0]
    h, w = config.image_grid
    inputs = (
        *draw_clips(config, rng, B, T, s),
        draw_mask(rng, B, T, h * w),
        draw_mask(rng, B, s, config.audio_grid[1]),
    )
    expected = theirs.double().matching_head(
        theirs.tvlt(*(torch.from_numpy(each).double() for each in inputs))[0]
    )
    assert_close(backend, score_matches(*backend.move((ours, *inputs))), expected[:, 0])


def test_the_base_model_is_theirs():
    """All 114 million parameters at the published sizes; a short clip, so that it takes seconds."""
    theirs, ours = make_pair("TvltForPreTraining", {}, seed=11)
    backends = [Backend(name, "cpu", "float32") for name in ("numpy", "torch")]
    compare_pretraining(backends, theirs, ours, seed=13, shape=(1, 1, 5), is_padded=False)
