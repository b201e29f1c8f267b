"""Every pair has the score that `forward` gives it alone, on every backend and however pairs are grouped."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_ranking
from minitvlt.model.tasks import find_head
from minitvlt.model.tvlt import forward, match
from minitvlt.signals.prepare import Examples
from minitvlt.training import retrieval
from minitvlt.training.retrieval import score_all_pairs
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend
from tests.helpers.models import draw_padded_clips, draw_params

CONFIG = Config.tiny(task_mae=False, hidden_size=14, num_attention_heads=2, intermediate_size=11)


def draw_model(seed: int = 0, **changes) -> Params:
    return draw_params(CONFIG.replace(**changes), np.random.default_rng(seed))


def draw_examples(B: int, seed: int, T: int = 3, steps: int = 3, is_padded: bool = True) -> Examples:
    """Clips whose padding holds large numbers; all of it is real where there are no masks."""
    clips = Examples(*draw_padded_clips(CONFIG, np.random.default_rng(seed), B, T, steps))
    return clips if is_padded else replace(clips, video_mask=None, audio_mask=None)


def score_by_loops(params: Params, audio: Examples, video: Examples) -> np.ndarray:
    scores = np.empty((len(audio.audio), len(video.video)))
    for i, j in np.ndindex(scores.shape):
        video_mask = None if video.video_mask is None else video.video_mask[j : j + 1]
        audio_mask = None if audio.audio_mask is None else audio.audio_mask[i : i + 1]
        out = forward(params, video.video[j : j + 1], audio.audio[i : i + 1], video_mask, audio_mask)
        scores[i, j] = match(find_head(params), out.cls)[0]
    return scores


@pytest.mark.parametrize("is_padded", [(True, True), (True, False), (False, False)])
@on_every_backend
def test_scores_are_those_of_each_pair_alone(backend, is_padded):
    params = draw_model()
    audio = replace(draw_examples(5, 1, is_padded=is_padded[0]), video=None, video_mask=None)
    video = replace(draw_examples(7, 2, T=2, is_padded=is_padded[1]), audio=None, audio_mask=None)
    found = score_all_pairs(backend.move(params), audio, video)
    assert isinstance(found, np.ndarray) and found.dtype == backend.dtype
    backend.assert_close(found, score_by_loops(params, audio, video))


@pytest.mark.parametrize(
    "changes", [{"final_norm": False, "qkv_bias": False}, {"token_order": "audio-first"}]
)
def test_audio_is_scored_with_its_own_videos_by_every_kind_of_encoder(changes):
    params, clips = draw_model(**changes), draw_examples(4, 1)
    expected = score_by_loops(params, clips, clips)
    np.testing.assert_allclose(score_all_pairs(params, clips), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("numbers", [1, 3000, 1 << 30])
def test_no_pair_is_left_out_and_each_clip_is_embedded_once(monkeypatch, numbers):
    """Trap 16: the released code's retrieval stops after ten videos."""
    params, audio, video = draw_model(), draw_examples(3, 1), draw_examples(11, 2)
    expected, embedded = score_by_loops(params, audio, video), []
    for name in ("embed_video", "embed_audio"):
        embed = Mock(wraps=getattr(retrieval, name))
        embedded.append(embed)
        monkeypatch.setattr(retrieval, name, embed)
    monkeypatch.setattr(retrieval, "NUMPY_GROUP", numbers)
    np.testing.assert_allclose(score_all_pairs(params, audio, video), expected, rtol=1e-9, atol=1e-11)
    assert [embed.call_count for embed in embedded] == [1, 1]


def test_a_ranking_head_comes_before_the_matching_head():
    params, clips = draw_model(), draw_examples(3, 1)
    started = add_ranking(params)
    np.testing.assert_array_equal(score_all_pairs(started, clips), score_all_pairs(params, clips))
    tuned = replace(params, ranking=draw_model(seed=5).matching)
    expected = score_by_loops(tuned, clips, clips)
    np.testing.assert_allclose(score_all_pairs(tuned, clips), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("audio", "video", "expected"),
    [
        ({"audio": None, "audio_mask": None}, {}, "at least one clip with audio, got none"),
        ({}, {"video": np.zeros((0, 3, 3, 24, 24)), "video_mask": None}, "one clip with video, got none"),
        ({"audio": np.zeros((3, 1, 24, 15))}, {}, "multiple|patch"),
        ({}, {"video_mask": np.ones((3, 12))}, "video_mask as booleans"),
    ],
)
def test_clips_that_cannot_be_paired_are_refused(audio, video, expected):
    clips = draw_examples(3, 1)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        score_all_pairs(draw_model(), replace(clips, **audio), replace(clips, **video))


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ValueError, match="no matching head"):
        score_all_pairs(replace(draw_model(), matching=None), draw_examples(2, 1))
