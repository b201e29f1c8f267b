"""Batches: half of the clips get another clip's video, masks are as configured, the seed decides all."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import flatten, value_and_grad
from minitvlt.config import Config
from minitvlt.model.masking import find_speech
from minitvlt.model.parameters import init
from minitvlt.model.pretraining import pretraining_loss
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import Examples, prepare
from minitvlt.training.batches import (
    AUDIO_MASKS,
    draw_batch,
    draw_mixing,
    make_batch,
    split_batch,
)

CONFIG = Config.tiny(image_patch_size=(8, 8), pixel_mask_ratio=0.75)
NV, NA = 27, 6  # 3 frames of 3×3 patches, 3×2 patches of the spectrogram
on_lengths = pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])


class NoiseWorld:
    """Clips of noise, whose first pixel is their number in the batch; padded or not."""

    def __init__(self, is_padded: bool = False) -> None:
        self.is_padded = is_padded

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        video = rng.uniform(-1, 1, (count, 3, 3, 24, 24)).astype(np.float32)
        audio = rng.uniform(-1, 1, (count, 1, 24, 16)).astype(np.float32)
        video[:, 0, 0, 0, 0] = np.arange(count)
        if not self.is_padded:
            return Examples(video, audio)
        frames, steps = rng.integers(1, 4, (count, 1)), rng.integers(1, 4, (count, 1))
        return Examples(video, audio, np.arange(NV) < 9 * frames, np.arange(NA) < 2 * steps)


def draw(seed: int = 0, count: int = 7, is_padded: bool = False, config: Config = CONFIG):
    return draw_batch(NoiseWorld(is_padded), config, np.random.default_rng(seed), count)


@given(count=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_half_of_the_clips_get_the_video_of_another_one(count, seed):
    source, is_match = draw_mixing(np.random.default_rng(seed), count)
    assert (~is_match).sum() == (count // 2 if count > 1 else 0)
    np.testing.assert_array_equal(source == np.arange(count), is_match)
    swapped = source[~is_match]
    assert len(set(swapped)) == len(swapped), "no video is used twice"


@pytest.mark.parametrize("audio_mask_type", AUDIO_MASKS)
@pytest.mark.parametrize("is_silent", [[True], [True, True], [False, True, True]])
def test_clips_that_are_silent_or_black_throughout_can_be_trained_on_where_that_is_padding(
    audio_mask_type, is_silent
):
    config = CONFIG.replace(
        audio_mask_type=audio_mask_type, silence_is_padding=True, audio_padding_value=-1.0
    )
    noise = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    frames = np.full((3, 24, 24, 3), 200, np.uint8)
    clips = [Clip(frames * (not it), 3.0, noise * (not it), 8000) for it in is_silent]
    batch = make_batch(prepare(clips, config), config, np.random.default_rng(0))
    is_hidden = batch.video_masking.is_hidden, batch.audio_masking.is_hidden
    assert not any(hidden[is_silent].any() for hidden in is_hidden)
    value, gradients = value_and_grad(lambda p: pretraining_loss(p, batch).loss)(init(config))
    assert np.isfinite(value) and all(np.isfinite(each).all() for each in flatten(gradients).values())


@on_lengths
def test_the_mixed_video_is_the_clip_of_another_row_with_its_mask(is_padded):
    batch = draw(is_padded=is_padded)
    source = batch.mixed_video[:, 0, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(source == np.arange(7), batch.is_match)
    np.testing.assert_array_equal(batch.mixed_video, batch.video[source])
    if is_padded:
        np.testing.assert_array_equal(batch.mixed_video_mask, batch.video_mask[source])
    else:
        assert batch.mixed_video_mask is batch.video_mask is batch.audio_mask is None


def test_videos_that_are_mixed_already_are_kept():
    clips = NoiseWorld().sample(np.random.default_rng(0), 3)
    clips = replace(clips, mixed_video=clips.video[::-1], is_match=np.array([False, True, False]))
    batch = make_batch(clips, CONFIG, np.random.default_rng(1))
    assert batch.mixed_video is clips.mixed_video and batch.is_match is clips.is_match


@on_lengths
@pytest.mark.parametrize("kind", AUDIO_MASKS)
def test_as_many_tokens_are_masked_as_configured(kind, is_padded):
    batch = draw(is_padded=is_padded, config=CONFIG.replace(audio_mask_type=kind))
    for row in range(7):
        video = NV if batch.video_mask is None else int(batch.video_mask[row].sum())
        assert batch.video_masking.is_hidden[row].sum() == video - int(video * 0.25)
        steps = (NA if batch.audio_mask is None else int(batch.audio_mask[row].sum())) // 2
        expected = 2 * (steps - int(steps * 0.5)) if kind == "frame-level" else 2 * steps - steps
        assert batch.audio_masking.is_hidden[row].sum() == expected


def test_each_kind_of_audio_masking_has_a_function():
    assert set(AUDIO_MASKS) == set(get_args(Config.__annotations__["audio_mask_type"]))
    batch = draw(config=CONFIG.replace(audio_mask_type="frame-level"))
    steps = batch.audio_masking.is_hidden.reshape(7, 3, 2)
    np.testing.assert_array_equal(steps[..., 0], steps[..., 1])
    clips = NoiseWorld().sample(np.random.default_rng(0), 5)
    level = np.where(np.arange(3) == 1, 0.9, -0.9).repeat(8)[None, None, :, None]
    loud = replace(clips, audio=(0.1 * clips.audio + level).astype(np.float32))
    batch = make_batch(loud, CONFIG.replace(audio_mask_type="speech-span"), np.random.default_rng(1))
    is_speech = find_speech(loud.audio, (8, 8))
    assert is_speech.sum() == 5 * 2 and batch.audio_masking.is_hidden[is_speech].all()


@on_lengths
def test_the_seed_decides_everything(is_padded):
    one, same, other = (flatten(draw(seed, is_padded=is_padded)) for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], err_msg=name)
    assert (one["audio"] != other["audio"]).any()
    assert (one["video_masking.is_hidden"] != other["video_masking.is_hidden"]).any()


@on_lengths
@pytest.mark.parametrize(("count", "parts"), [(7, 3), (8, 4), (5, 5)])
def test_a_batch_is_split_along_its_clips(count, parts, is_padded):
    batch = draw(count=count, is_padded=is_padded)
    split = [flatten(part) for part in split_batch(batch, parts)]
    sizes = [len(part["audio"]) for part in split]
    assert len(sizes) == parts and max(sizes) - min(sizes) <= 1
    for name, array in flatten(batch).items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in split]), array, err_msg=name)


# Joining
