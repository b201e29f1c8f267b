"""What differs in the model between the released code and the port in transformers: one test a setting.

What differs in the processing of clips is in tests/signals/test_lineages.py.
"""

import dataclasses
from typing import Any

import numpy as np

from minitvlt.config import ORIGINAL, Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import autoencode, keep_tokens, pretraining_loss
from minitvlt.model.transformer import run_blocks, run_norm
from minitvlt.model.tvlt import embed_audio, embed_video, encode, forward
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import NA, NV, make_small

PARAMS, BATCH = make_small(3, is_padded=True)


def change(params: Params, **settings: Any) -> Params:
    return dataclasses.replace(params, config=params.config.replace(**settings))


def test_the_presets_name_every_setting_in_which_the_lineages_differ():
    port, released = Config.huggingface(), Config.original()
    assert port == Config()
    different = {name for name, value in released.to_dict().items() if value != getattr(port, name)}
    assert (released.audio_mask_type, released.audio_mask_ratio) == ("patch-level", 0.75)
    assert different == set(ORIGINAL)


def test_token_order_moves_the_tokens_and_nothing_else():
    clips = (BATCH.video, BATCH.audio, BATCH.video_mask, BATCH.audio_mask)
    port = forward(PARAMS, *clips, return_hidden=True, return_attention=True)
    released = forward(change(PARAMS, token_order="audio-first"), *clips, True, True)
    order = [0, *range(1 + NV, 1 + NV + NA), *range(1, 1 + NV)]  # cls, audio, video
    expected = dataclasses.replace(
        port,
        sequence=port.sequence[:, order],
        hidden=tuple(x[:, order] for x in port.hidden),
        attention=tuple(weights[:, :, order][:, :, :, order] for weights in port.attention),
    )
    assert_trees_close(released, expected, rtol=0, atol=1e-12)
    losses = [pretraining_loss(p, BATCH).loss for p in (PARAMS, change(PARAMS, token_order="audio-first"))]
    np.testing.assert_allclose(*losses, rtol=1e-12)


def test_cls_in_autoencoding_is_one_more_token_to_attend_to():
    """The kept tokens alone run through the blocks where cls is left out, and behind cls where it is not."""
    config, encoder = PARAMS.config, PARAMS.encoder
    video = keep_tokens(embed_video(encoder, config, BATCH.video), BATCH.video_masking)
    audio = keep_tokens(embed_audio(encoder, config, BATCH.audio), BATCH.audio_masking)
    masks = (BATCH.video_masking.keep_is_real, BATCH.audio_masking.keep_is_real)
    x = np.concatenate([video, audio], axis=1)
    x = run_blocks(x, encoder.blocks, 2, 1e-6, np.concatenate(masks, axis=1))
    found = encode(PARAMS, video, audio, *masks, has_cls=False)
    assert found.cls is None
    np.testing.assert_array_equal(found.sequence, run_norm(x, encoder.norm, 1e-6))

    without = change(PARAMS, cls_in_autoencoding=False)
    for one, other in zip(autoencode(PARAMS, BATCH), autoencode(without, BATCH), strict=True):
        assert np.abs(one - other).max() > 1e-3
    logits = [pretraining_loss(p, BATCH).match_logits for p in (PARAMS, without)]
    np.testing.assert_array_equal(*logits)
    released = change(without, token_order="audio-first")
    assert_trees_close(autoencode(released, BATCH), autoencode(without, BATCH), rtol=0, atol=1e-12)


def test_where_silence_is_padding_cls_is_masked_as_the_first_audio_patch_is():
    """Rows 0 and 1 begin with silence; row 1 is silent and black throughout: it has nothing to attend to."""
    masks = BATCH.video_mask.copy(), BATCH.audio_mask.copy()
    masks[1][0, 0], masks[0][1], masks[1][1] = False, False, False
    clips, changed = (BATCH.video, BATCH.audio), change(PARAMS, silence_is_padding=True)
    plain, released = (forward(p, *clips, *masks, return_attention=True) for p in (PARAMS, changed))
    for weights in released.attention:
        np.testing.assert_array_equal(weights[:, :, :, 0].any(axis=(1, 2)), masks[1][:, 0])
        assert not weights[1].any()
    assert all((weights[:, :, :, 0] > 0).all() for weights in plain.attention)
    np.testing.assert_array_equal(released.cls[2:], plain.cls[2:])
    assert np.isfinite(released.sequence).all() and np.abs(released.cls[:2] - plain.cls[:2]).max() > 1e-3
    assert_trees_close(forward(changed, *clips), forward(PARAMS, *clips), rtol=0, atol=0)
