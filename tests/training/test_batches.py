"""Batches: half of the sounds get another clip's video, masks are as configured, the seed decides all."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.model.masking import find_speech
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import draw_batch, draw_mixing, join_examples, make_batch, split_batch

CONFIG = Config.tiny(
    image_size=24,
    image_patch_size=(8, 8),
    num_frames=3,
    spectrogram_length=24,
    frequency_length=16,
    audio_patch_size=(8, 8),
    pixel_mask_ratio=0.75,
    audio_mask_ratio=0.5,
)
NV, NA = 27, 6  # 3 frames of 3×3 patches, 3×2 patches of sound


class NoiseWorld:
    """Clips of noise, the first pixel of which tells their number in the batch; padded or not."""

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
    for row in range(count):
        assert 0 <= source[row] < count
        assert (source[row] == row) == is_match[row]
    swapped = source[~is_match]
    assert len(set(swapped)) == len(swapped)  # nobody's video is handed out twice


def test_every_clip_is_swapped_now_and_then():
    rng = np.random.default_rng(0)
    shares = np.mean([~draw_mixing(rng, 6)[1] for _ in range(400)], axis=0)
    np.testing.assert_allclose(shares, 0.5, atol=0.1)


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
def test_the_mixed_video_is_the_whole_clip_of_another_row_with_its_mask(is_padded):
    batch = draw(is_padded=is_padded)
    for row in range(7):
        source = int(batch.mixed_video[row, 0, 0, 0, 0])
        assert (source == row) == batch.is_match[row]
        np.testing.assert_array_equal(batch.mixed_video[row], batch.video[source])
        if is_padded:
            np.testing.assert_array_equal(batch.mixed_video_mask[row], batch.video_mask[source])
    assert is_padded or batch.mixed_video_mask is batch.video_mask is batch.audio_mask is None


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@pytest.mark.parametrize("kind", ["frame-level", "patch-level", "speech-span"])
def test_as_much_is_hidden_as_configured(kind, is_padded):
    batch = draw(is_padded=is_padded, config=CONFIG.replace(audio_mask_type=kind))
    for row in range(7):
        video = NV if batch.video_mask is None else int(batch.video_mask[row].sum())
        assert batch.video_masking.is_hidden[row].sum() == video - int(video * 0.25)
        audio = NA if batch.audio_mask is None else int(batch.audio_mask[row].sum())
        expected = (
            2 * (audio // 2 - int(audio // 2 * 0.5)) if kind == "frame-level" else audio - int(audio * 0.5)
        )
        assert batch.audio_masking.is_hidden[row].sum() == expected


def test_frames_are_never_split():
    batch = draw(config=CONFIG.replace(audio_mask_type="frame-level"))
    steps = batch.audio_masking.is_hidden.reshape(7, 3, 2)
    np.testing.assert_array_equal(steps[..., 0], steps[..., 1])


def test_speech_is_hidden_first():
    clips = NoiseWorld().sample(np.random.default_rng(0), 5)
    level = np.where(np.arange(3) == 1, 0.9, -0.9).repeat(8)[None, None, :, None]
    loud = dataclasses.replace(clips, audio=(0.1 * clips.audio + level).astype(np.float32))
    batch = make_batch(loud, CONFIG.replace(audio_mask_type="speech-span"), np.random.default_rng(1))
    is_speech = find_speech(loud.audio, (8, 8))
    assert is_speech.sum() == 5 * 2
    assert batch.audio_masking.is_hidden[is_speech].all()


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
def test_the_seed_decides_everything(is_padded):
    one, same, other = (flatten(draw(seed, is_padded=is_padded)) for seed in (1, 1, 2))
    assert one.keys() == same.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], err_msg=name)
    assert any(
        array.shape != other[name].shape or (array != other[name]).any() for name, array in one.items()
    )


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@pytest.mark.parametrize(("count", "parts"), [(7, 1), (7, 3), (8, 4), (5, 5)])
def test_a_batch_is_split_along_its_clips_and_nothing_is_lost(count, parts, is_padded):
    batch = draw(count=count, is_padded=is_padded)
    split = [flatten(part) for part in split_batch(batch, parts)]
    sizes = [len(part["audio"]) for part in split]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    for name, array in flatten(batch).items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in split]), array, err_msg=name)


def test_a_single_clip_keeps_its_own_video():
    assert draw(count=1).is_match.tolist() == [True]


# Joining


def make_lengths(B: int, T: int, s: int, seed: int, is_masked: bool) -> Examples:
    """Clips of T frames and s steps of patches; if they are masked, the last token is padding."""
    rng = np.random.default_rng(seed)
    video = rng.uniform(-1, 1, (B, T, 3, 24, 24)).astype(np.float32)
    audio = rng.uniform(-1, 1, (B, 1, 8 * s, 16)).astype(np.float32)
    masks = (None, None)
    if is_masked:
        masks = tuple(np.broadcast_to(np.arange(N) < N - 1, (B, N)) for N in (4 * T, 2 * s))
    return Examples(video, audio, *masks, labels={"label": rng.integers(0, 9, B)})


def test_joined_clips_are_each_as_before_and_padding_is_masked():
    parts = [make_lengths(2, 3, 2, 0, False), make_lengths(3, 1, 3, 1, True), make_lengths(1, 2, 1, 2, False)]
    joined = join_examples(parts, Config.tiny())
    assert joined.video.shape == (6, 3, 3, 24, 24) and joined.audio.shape == (6, 1, 24, 16)
    row = 0
    for part in parts:
        T, S = part.video.shape[1], part.audio.shape[2]
        for b in range(len(part.audio)):
            np.testing.assert_array_equal(joined.video[row, :T], part.video[b])
            np.testing.assert_array_equal(joined.audio[row, :, :S], part.audio[b])
            for mask, own, N in (
                (joined.video_mask, part.video_mask, 4 * T),
                (joined.audio_mask, part.audio_mask, S // 4),
            ):
                np.testing.assert_array_equal(mask[row, :N], np.ones(N, bool) if own is None else own[b])
                assert not mask[row, N:].any()
            assert joined.labels["label"][row] == part.labels["label"][b]
            row += 1


def test_joined_clips_of_one_length_need_no_mask():
    joined = join_examples([make_lengths(2, 2, 3, 0, False), make_lengths(1, 2, 3, 1, False)], Config.tiny())
    assert joined.video_mask is joined.audio_mask is None and len(joined.audio) == 3


def test_what_some_clips_lack_cannot_be_joined():
    whole = make_lengths(2, 2, 3, 0, False)
    silent = Examples(whole.video, None)
    assert join_examples([silent, silent], Config.tiny()).audio is None
    assert join_examples([silent, silent], Config.tiny()).labels is None
    for parts in ([whole, silent], []):
        with pytest.raises(ValueError, match="batches that all have pictures, or none"):
            join_examples(parts, Config.tiny())
