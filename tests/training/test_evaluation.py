"""Figures mean what their names say: each is computed anew here, by loops, from scores that are known."""

import numpy as np
import pytest

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.signals.prepare import Examples
from minitvlt.training import evaluation
from minitvlt.training.batches import draw_batch
from minitvlt.training.evaluation import (
    Baseline,
    cut_groups,
    draw_evaluation_batch,
    evaluate,
    measure_baseline,
    measure_errors,
)

CONFIG = Config.tiny(
    image_size=(4, 6),
    image_patch_size=(2, 3),
    num_frames=3,
    spectrogram_length=10,
    frequency_length=4,
    audio_patch_size=(2, 4),
    hidden_size=6,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=5,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=7,
    pixel_mask_ratio=0.5,
)
NV, NA = 3 * 2 * 2, 5  # tokens
RNG = np.random.default_rng(3)
KNOWN = np.rint(
    RNG.normal(size=(64, 64)) * 2 + 3 * np.eye(64)
)  # sound × video; whole numbers: there are ties
NOTHING = Baseline(np.zeros((NV, 18), np.float32), np.zeros((NA, 8), np.float32))


class NumberedWorld:
    """Clip i of a batch is constant: its video and its sound have the value i / 64."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        number = (np.arange(count) / 64).astype(np.float32)
        video = np.broadcast_to(number[:, None, None, None, None], (count, 3, 3, 4, 6))
        return Examples(video, np.broadcast_to(number[:, None, None, None], (count, 1, 10, 4)))


class PaddedWorld:
    """Noise around a level, in clips of unequal length; the padding is full of rubbish."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        video = rng.normal(0.3, 1, (count, 3, 3, 4, 6)).astype(np.float32)
        audio = rng.normal(-0.2, 1, (count, 1, 10, 4)).astype(np.float32)
        frames, steps = rng.integers(1, 4, count), rng.integers(1, 6, count)
        video_mask = np.repeat(np.arange(3) < frames[:, None], 4, axis=1)
        audio_mask = np.arange(5) < steps[:, None]
        video[np.arange(3) >= frames[:, None]] = 77
        audio[:, 0][np.repeat(np.arange(5) >= steps[:, None], 2, axis=1)] = 99
        return Examples(video, audio, video_mask, audio_mask)


@pytest.fixture
def known_scores(monkeypatch):
    """A model that looks clips up in a table."""

    def read_numbers(clips: np.ndarray) -> np.ndarray:
        return np.rint(to_backend(clips, "numpy").reshape(len(clips), -1)[:, 0] * 64).astype(int)

    def look_up(params, video, audio, video_mask=None, audio_mask=None):
        return KNOWN[read_numbers(audio), read_numbers(video)]

    def look_up_all(params, clips):
        return KNOWN[np.ix_(read_numbers(clips.audio), read_numbers(clips.video))]

    monkeypatch.setattr(evaluation, "score_matches", look_up)
    monkeypatch.setattr(evaluation, "score_all_pairs", look_up_all)


def cut_video(clip: np.ndarray) -> list[np.ndarray]:
    """Patches of 2 × 3 pixels, frame by frame, row by row; channels fastest."""
    return [
        np.array([clip[t, c, y + a, x + b] for a in range(2) for b in range(3) for c in range(3)])
        for t in range(3)
        for y in (0, 2)
        for x in (0, 3)
    ]


def cut_audio(clip: np.ndarray) -> list[np.ndarray]:
    return [clip[0, s : s + 2].reshape(-1) for s in range(0, 10, 2)]


# Matching and retrieval


@pytest.mark.parametrize("clips", [5, 16, 41, 80])
def test_accuracy_and_recall_equal_those_counted_by_loops(known_scores, clips):
    scores = evaluate(init(CONFIG.replace(task_mae=False)), NumberedWorld(), NOTHING, clips, seed=7)
    right = found = asked = 0
    for number in range((clips + 63) // 64):
        count = min(64, clips - 64 * number)
        batch = draw_evaluation_batch(NumberedWorld(), CONFIG, count, 7, number)
        for i in range(count):
            video = round(float(batch.mixed_video[i, 0, 0, 0, 0]) * 64)
            assert batch.is_match[i] == (video == i)
            right += (KNOWN[i, video] > 0) == (video == i)
        size = min(clips, 16)
        for start in range(0, count - size + 1, size):
            for i in range(start, start + size):
                asked += 1
                found += all(KNOWN[i, i] > KNOWN[i, j] for j in range(start, start + size) if j != i)
    assert scores.match_accuracy == right / clips
    assert scores.recall_at_1 == pytest.approx(found / asked)
    assert 0 < found < asked
    assert scores.video_error is scores.audio_error is None
    assert scores.clips == clips


def test_groups_are_whole():
    batch = draw_evaluation_batch(PaddedWorld(), CONFIG, 7)
    first, second = cut_groups(batch, 3)
    np.testing.assert_array_equal(second.audio, batch.audio[3:6])
    np.testing.assert_array_equal(first.video_masking.is_hidden, batch.video_masking.is_hidden[:3])
    assert cut_groups(batch, 8) == []


# Reconstruction


def test_the_baseline_is_the_mean_of_the_real_patches_of_each_position():
    baseline = measure_baseline(PaddedWorld(), CONFIG, clips=70, seed=4)
    values = [[[] for _ in range(NV)], [[] for _ in range(NA)]]
    for number, count in enumerate((64, 6)):
        rng = np.random.default_rng([4, number, evaluation.EVALUATION])
        clips = PaddedWorld().sample(rng, count)
        for b in range(count):
            for i, patch in enumerate(cut_video(clips.video[b])):
                values[0][i] += [patch] if clips.video_mask[b, i] else []
            for i, patch in enumerate(cut_audio(clips.audio[b])):
                values[1][i] += [patch] if clips.audio_mask[b, i] else []
    for found, expected in zip((baseline.video, baseline.audio), values, strict=True):
        means = [np.mean(np.array(patches, np.float64), axis=0) for patches in expected]
        np.testing.assert_allclose(found, means, rtol=1e-5, atol=1e-6)


def test_without_padding_the_baseline_is_the_plain_mean():
    baseline = measure_baseline(NumberedWorld(), CONFIG, clips=9)
    np.testing.assert_allclose(baseline.video, np.full((NV, 18), 4 / 64), rtol=1e-6)
    np.testing.assert_allclose(baseline.audio, np.full((NA, 8), 4 / 64), rtol=1e-6)


def test_errors_of_hidden_patches_equal_those_summed_by_loops():
    batch = draw_batch(PaddedWorld(), CONFIG, np.random.default_rng(8), 5)
    predictions = RNG.normal(size=(5, NV, 18)), RNG.normal(size=(5, NA, 8))
    baseline = Baseline(RNG.normal(size=(NV, 18)), RNG.normal(size=(NA, 8)))
    expected = np.zeros((2, 2))
    for b in range(5):
        for m, (patches, masking, mean) in enumerate(
            (
                (cut_video(batch.video[b]), batch.video_masking, baseline.video),
                (cut_audio(batch.audio[b]), batch.audio_masking, baseline.audio),
            )
        ):
            for i, patch in enumerate(patches):
                if masking.is_hidden[b, i]:
                    expected[0, m] += sum((predictions[m][b, i] - patch) ** 2)
                    expected[1, m] += sum((mean[i] - patch) ** 2)
    found = measure_errors(CONFIG, batch, predictions, baseline)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert expected.max() < 1e4, "padding counts"


def test_who_predicts_the_baseline_has_the_error_1_and_who_knows_the_truth_0(monkeypatch):
    config = CONFIG.replace(task_matching=False)
    baseline = Baseline(RNG.normal(size=(NV, 18)), RNG.normal(size=(NA, 8)))

    def predict_baseline(params, batch):
        B = len(batch.audio)
        return np.tile(baseline.video, (B, 1, 1)), np.tile(baseline.audio, (B, 1, 1))

    def predict_truth(params, batch):
        video = np.array([cut_video(clip) for clip in batch.video])
        return video, np.array([cut_audio(clip) for clip in batch.audio])

    for predict, expected in ((predict_baseline, 1.0), (predict_truth, 0.0)):
        monkeypatch.setattr(evaluation, "autoencode", predict)
        scores = evaluate(init(config), PaddedWorld(), baseline, clips=70)
        assert (scores.video_error, scores.audio_error) == pytest.approx((expected, expected))
        assert scores.match_accuracy is scores.recall_at_1 is None


def test_where_nothing_is_hidden_there_is_no_error():
    config = CONFIG.replace(task_matching=False, pixel_mask_ratio=0.0)
    scores = evaluate(init(config), NumberedWorld(), NOTHING, clips=3)
    assert scores.video_error is None and scores.audio_error > 0


# Both


def test_torch_and_numpy_give_the_same_scores():
    params, baseline = init(CONFIG, seed=1), measure_baseline(PaddedWorld(), CONFIG, clips=6)
    ours = evaluate(params, PaddedWorld(), baseline, clips=21)
    theirs = evaluate(to_backend(params, "torch"), PaddedWorld(), baseline, clips=21)
    assert ours.match_accuracy == theirs.match_accuracy and ours.clips == theirs.clips == 21
    errors = [(scores.video_error, scores.audio_error) for scores in (ours, theirs)]
    np.testing.assert_allclose(*errors, rtol=1e-4)


def test_scores_depend_on_the_seed_alone():
    params = init(CONFIG)
    first, again, other = (evaluate(params, PaddedWorld(), NOTHING, clips=11, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_no_clip_of_training_is_drawn_again_where_both_use_one_world():
    scored = draw_evaluation_batch(PaddedWorld(), CONFIG, 4, seed=0, number=0)
    for step in range(5):
        trained = draw_batch(PaddedWorld(), CONFIG, np.random.default_rng([0, step]), 4)
        assert not np.array_equal(scored.audio, trained.audio)
