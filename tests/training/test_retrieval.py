"""All pairs of sounds and videos: each has the score of the plain forward, on every backend."""

import dataclasses

import numpy as np
import pytest

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_ranking, init
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tvlt import forward, match
from minitvlt.signals.prepare import Examples
from minitvlt.training import retrieval
from minitvlt.training.metrics import rank_own
from minitvlt.training.retrieval import cut_range, cut_table, score_all_pairs
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend
from tests.helpers.models import draw_clips, draw_mask, draw_params

CONFIG = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=3,
    spectrogram_length=10,
    frequency_length=21,
    audio_patch_size=(2, 7),
    hidden_size=14,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=11,
    task_mae=False,
)


def draw_model(seed: int = 0, **changes) -> Params:
    return draw_params(CONFIG.replace(**changes), np.random.default_rng(seed))


def draw_set(B: int, seed: int, T: int = 3, steps: int = 5, is_padded: bool = True) -> Examples:
    """Clips with both senses; padding is full of rubbish."""
    rng = np.random.default_rng(seed)
    video, audio = draw_clips(CONFIG, rng, B, T, steps)
    if not is_padded:
        return Examples(video, audio)
    video_mask, audio_mask = draw_mask(rng, B, T, 4), draw_mask(rng, B, steps, 3)
    video[~video_mask[:, ::4]] = 1e3
    audio[:, 0][np.repeat(~audio_mask[:, ::3], 2, axis=1)] = -1e3
    return Examples(video, audio, video_mask, audio_mask)


def score_by_loops(params: Params, sounds: Examples, videos: Examples) -> np.ndarray:
    """One plain forward pass for each pair."""
    scores = np.empty((len(sounds.audio), len(videos.video)))
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            video_mask = None if videos.video_mask is None else videos.video_mask[j : j + 1]
            audio_mask = None if sounds.audio_mask is None else sounds.audio_mask[i : i + 1]
            pair = (videos.video[j : j + 1], sounds.audio[i : i + 1], video_mask, audio_mask)
            scores[i, j] = score_matches(params, *pair)[0]
    return scores


@pytest.mark.parametrize("heard_is_padded", [True, False])
@pytest.mark.parametrize("seen_is_padded", [True, False])
@on_every_backend
def test_scores_are_those_of_each_pair_alone(backend, heard_is_padded, seen_is_padded):
    params = draw_model()
    sounds = draw_set(5, 1, steps=4, is_padded=heard_is_padded)
    videos = draw_set(7, 2, T=2, is_padded=seen_is_padded)
    expected = score_by_loops(params, sounds, videos)
    found = score_all_pairs(backend.move(params), sounds, videos)
    assert isinstance(found, np.ndarray) and found.dtype == backend.dtype
    backend.assert_close(found, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 2},
        {"final_norm": False},
        {"qkv_bias": False},
        {"token_order": "audio-first"},
        {"layer_norm_eps": 0.3},
        {"num_attention_heads": 7},
        {"intermediate_size": 47},
    ],
)
def test_every_kind_of_encoder_gives_the_same_scores_as_forward(changes):
    params, sounds, videos = draw_model(**changes), draw_set(3, 1), draw_set(4, 2)
    expected = score_by_loops(params, sounds, videos)
    np.testing.assert_allclose(score_all_pairs(params, sounds, videos), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("numbers", [1, 3000, 7001, 20011, 1 << 30])
def test_no_pair_is_left_out_however_pairs_are_grouped(monkeypatch, numbers):
    """Trap 16: the released code's retrieval stops after ten videos."""
    monkeypatch.setattr(retrieval, "NUMPY_GROUP", numbers)
    params, sounds, videos = draw_model(), draw_set(5, 1), draw_set(11, 2)
    found = score_all_pairs(params, sounds, videos)
    np.testing.assert_allclose(found, score_by_loops(params, sounds, videos), rtol=1e-9, atol=1e-11)
    assert len(np.unique(found)) == 55


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 97), (97, 1), (23, 31), (301, 5)])
def test_groups_are_as_large_as_they_may_be_and_cover_the_table_once(monkeypatch, n, m):
    monkeypatch.setattr(retrieval, "NUMPY_GROUP", 50_000)
    params = draw_model()
    tokens = [retrieval.Tokens(np.zeros((count, N, 14)), None) for count, N in ((n, 5), (m, 12))]
    rows, columns = cut_table(params, *tokens)
    counted = np.zeros((n, m), int)
    sizes = []
    for row in rows:
        for column in columns:
            counted[row, column] += 1
            sizes.append(counted[row, column].size)
    assert (counted == 1).all()
    largest = 50_000 // (18 * 42)  # 18 tokens, and 42 numbers in the queries, keys and values of each
    assert max(sizes) <= largest
    assert max(sizes) > largest / 2 or len(sizes) == 1


def test_a_range_is_cut_into_parts():
    parts = [list(range(7))[part] for part in cut_range(7, 3)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6]]


def test_each_clip_is_embedded_once(monkeypatch):
    monkeypatch.setattr(retrieval, "NUMPY_GROUP", 3000)
    embedded = []
    for name in ("embed_video", "embed_audio"):
        embed = getattr(retrieval, name)

        def count(encoder, config, clips, mask, embed=embed):
            embedded.append(len(clips))
            return embed(encoder, config, clips, mask)

        monkeypatch.setattr(retrieval, name, count)
    score_all_pairs(draw_model(), draw_set(5, 1), draw_set(7, 2))
    assert sorted(embedded) == [5, 7]


def test_one_set_is_scored_with_itself():
    params, clips = draw_model(), draw_set(5, 1)
    found = score_all_pairs(params, clips)
    np.testing.assert_array_equal(found, score_all_pairs(params, clips, clips))
    np.testing.assert_allclose(found, score_by_loops(params, clips, clips), rtol=1e-9, atol=1e-11)


def test_sounds_need_no_pictures_and_videos_no_sound():
    params, sounds, videos = draw_model(), draw_set(3, 1), draw_set(4, 2)
    expected = score_all_pairs(params, sounds, videos)
    sounds = dataclasses.replace(sounds, video=None, video_mask=None)
    videos = dataclasses.replace(videos, audio=None, audio_mask=None)
    np.testing.assert_array_equal(score_all_pairs(params, sounds, videos), expected)


def test_more_padding_changes_no_score():
    params, sounds, videos = draw_model(), draw_set(3, 1), draw_set(4, 2)
    audio = np.concatenate([sounds.audio, np.full((3, 1, 4, 21), 7.0)], axis=2)
    audio_mask = np.concatenate([sounds.audio_mask, np.zeros((3, 6), bool)], axis=1)
    longer = Examples(None, audio, None, audio_mask)
    expected = score_all_pairs(params, sounds, videos)
    np.testing.assert_allclose(score_all_pairs(params, longer, videos), expected, rtol=1e-9, atol=1e-11)


def test_the_head_that_ranks_comes_first():
    params = dataclasses.replace(draw_model(), ranking=draw_model(seed=5).matching)
    sounds, videos = draw_set(3, 1), draw_set(4, 2)
    found = score_all_pairs(params, sounds, videos)
    for i, j in [(0, 0), (2, 3), (1, 2)]:
        masks = videos.video_mask[j : j + 1], sounds.audio_mask[i : i + 1]
        cls = forward(params, videos.video[j : j + 1], sounds.audio[i : i + 1], *masks).cls
        np.testing.assert_allclose(found[i, j], match(params.ranking, cls)[0], rtol=1e-9)
    started = add_ranking(draw_model())
    np.testing.assert_array_equal(
        score_all_pairs(started, sounds, videos), score_all_pairs(draw_model(), sounds, videos)
    )


def test_scores_in_single_precision_are_within_a_hundred_thousandth():
    config = Config.tiny(task_mae=False)
    params = init(config, seed=4)
    rng = np.random.default_rng(7)
    video, audio = (clips.astype(np.float32) for clips in draw_clips(config, rng, 9, 3, 3))
    clips = Examples(video, audio)
    assert score_all_pairs(params, clips).dtype == np.float32
    np.testing.assert_allclose(
        score_all_pairs(params, clips), score_by_loops(params, clips, clips), atol=1e-5
    )


def test_the_table_can_be_ranked():
    scores = score_all_pairs(draw_model(), draw_set(6, 1))
    expected = [sum(scores[i, j] >= scores[i, i] for j in range(6) if j != i) for i in range(6)]
    assert rank_own(scores).tolist() == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda s, v: (dataclasses.replace(s, audio=None, audio_mask=None), v),
            "at least one clip with audio, got none",
        ),
        (
            lambda s, v: (s, dataclasses.replace(v, video=None, video_mask=None)),
            "at least one clip with video, got none",
        ),
        (lambda s, v: (dataclasses.replace(s, audio=s.audio[:0], audio_mask=None), v), "audio, got none"),
        (lambda s, v: (dataclasses.replace(s, audio=s.audio[..., :-1]), v), "multiple|patch"),
        (lambda s, v: (dataclasses.replace(s, audio_mask=s.audio_mask[:, 1:]), v), "audio_mask as booleans"),
        (lambda s, v: (s, dataclasses.replace(v, video=v.video.astype(int))), "video as floating-point"),
        (lambda s, v: (s, dataclasses.replace(v, video_mask=v.video_mask * 1.0)), "video_mask as booleans"),
    ],
)
def test_sets_that_cannot_be_paired_are_refused_before_any_work(monkeypatch, change, expected):
    monkeypatch.setattr(retrieval, "embed_audio", None)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        score_all_pairs(draw_model(), *change(draw_set(3, 1), draw_set(4, 2)))


def test_without_a_head_for_pairs_it_is_said_how_to_get_one():
    params = dataclasses.replace(draw_model(), matching=None)
    with pytest.raises(ValueError, match="no head for pairs of sound and video"):
        score_all_pairs(params, draw_set(2, 1))


def test_an_error_in_a_group_is_not_lost(monkeypatch):
    def fail(*_):
        raise ValueError("one group failed")

    monkeypatch.setattr(retrieval, "NUMPY_GROUP", 1)
    monkeypatch.setattr(retrieval, "score_group", fail)
    with pytest.raises(ValueError, match="one group failed"):
        score_all_pairs(draw_model(), draw_set(2, 1))


def test_torch_parameters_score_numpy_clips():
    pytest.importorskip("torch")
    params, clips = draw_model(), draw_set(3, 1)
    found = score_all_pairs(to_backend(params, "torch"), clips)
    np.testing.assert_allclose(found, score_all_pairs(params, clips), rtol=1e-9, atol=1e-11)
