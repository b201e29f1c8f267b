"""Heads: what they read and compute, piece by piece; ranking; the loss of each task and of its parts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from minitvlt.backends import map_tree, to_backend, value_and_grad, walk
from minitvlt.config import Config
from minitvlt.model import tasks
from minitvlt.model.initial import add_classifier, add_ranking, init
from minitvlt.model.losses import LOSSES
from minitvlt.model.parameters import Params
from minitvlt.model.tasks import (
    TaskBatch,
    classify,
    rank_videos,
    repeat_rows,
    run_classifier,
    summarise,
    task_loss,
)
from minitvlt.model.tvlt import forward, match
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_clips, draw_mask, draw_params

CONFIG = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=3,
    num_image_channels=2,
    spectrogram_length=10,
    frequency_length=21,
    audio_patch_size=(2, 7),
    hidden_size=14,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=11,
    decoder_hidden_size=10,
    decoder_num_attention_heads=2,
    num_labels=3,
    task_mae=False,
)
LABELS = {
    "classification": np.array([2, 0, 1, 1, 0]),
    "regression": np.random.default_rng(1).normal(size=(5, 3)),
    "labels": np.random.default_rng(2).random((5, 3)) < 0.5,
    "soft-labels": np.random.default_rng(3).choice([0.0, 0.3, 1.0], (5, 3)),
    "ranking": np.array([3, 0, 1, 1, 2]),
}


def draw_model(seed: int = 0, **changes) -> Params:
    config = CONFIG.replace(**changes)
    return draw_params(config, np.random.default_rng(seed), "classifier", "ranking")


def draw_padded_clips(B: int, seed: int = 5) -> tuple[np.ndarray, ...]:
    """Video, sound and their masks; padding is full of rubbish."""
    rng = np.random.default_rng(seed)
    video, audio = draw_clips(CONFIG, rng, B, 3, 5)
    video_mask, audio_mask = draw_mask(rng, B, 3, 4), draw_mask(rng, B, 5, 3)
    video[~video_mask[:, ::4]] = 1e3
    audio[:, 0][np.repeat(~audio_mask[:, ::3], 2, axis=1)] = -1e3
    return video, audio, video_mask, audio_mask


def draw_candidates(B: int, n: int, seed: int = 6) -> tuple[np.ndarray, ...]:
    """n videos for each of B sounds, and the masks of both."""
    video, _, video_mask, _ = draw_padded_clips(B * n, seed)
    _, audio, _, audio_mask = draw_padded_clips(B, seed + 1)
    return video.reshape(B, n, *video.shape[1:]), audio, video_mask.reshape(B, n, -1), audio_mask


def draw_task(loss_type: str, **changes) -> tuple[Params, TaskBatch]:
    clips = draw_candidates(5, 4) if loss_type == "ranking" else draw_padded_clips(5)
    return draw_model(loss_type=loss_type, **changes), TaskBatch(*clips, LABELS[loss_type])


# What the classifier reads, and what it makes of it


def test_the_summary_is_cls_unless_said_otherwise():
    params, clips = draw_model(), draw_padded_clips(4)
    np.testing.assert_array_equal(summarise(params, *clips), forward(params, *clips).cls)


@pytest.mark.parametrize("order", ["video-first", "audio-first"])
@pytest.mark.parametrize("left_out", [None, "video", "audio"])
@pytest.mark.parametrize("is_masked", [(True, True), (True, False), (False, True), (False, False)])
def test_the_mean_is_over_real_tokens_only_and_without_cls(order, left_out, is_masked):
    """Trap 8: mean pooling that pools nothing."""
    params = draw_model(pooling="mean", token_order=order)
    video, audio, video_mask, audio_mask = draw_padded_clips(4)
    video_mask, audio_mask = video_mask if is_masked[0] else None, audio_mask if is_masked[1] else None
    if left_out == "video":
        video = video_mask = None
    if left_out == "audio":
        audio = audio_mask = None
    out = forward(params, video, audio, video_mask, audio_mask)
    expected = np.zeros((4, 14))
    for b in range(4):
        tokens = []
        for part, mask in ((out.video, video_mask), (out.audio, audio_mask)):
            for i in range(0 if part is None else part.shape[1]):
                tokens += [part[b, i]] if mask is None or mask[b, i] else []
        expected[b] = np.mean(tokens, axis=0)
    found = summarise(params, video, audio, video_mask, audio_mask)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(rubbish=st.sampled_from([0.0, -1.0, 1e6]), pooling=st.sampled_from(["cls", "mean"]))
def test_what_lies_in_padding_changes_no_answer(rubbish, pooling):
    params, (video, audio, video_mask, audio_mask) = draw_model(pooling=pooling), draw_padded_clips(4)
    expected = classify(params, video, audio, video_mask, audio_mask)
    video, audio = video.copy(), audio.copy()
    video[~video_mask[:, ::4]] = rubbish
    audio[:, 0][np.repeat(~audio_mask[:, ::3], 2, axis=1)] = rubbish
    np.testing.assert_allclose(classify(params, video, audio, video_mask, audio_mask), expected, rtol=1e-9)


def test_a_clip_without_a_real_token_has_a_mean_of_nothing():
    params, (video, audio, _, _) = draw_model(pooling="mean"), draw_padded_clips(2)
    masks = np.array([[True] * 12, [False] * 12]), np.array([[True] * 15, [False] * 15])
    summary = summarise(params, video, audio, *masks)
    assert np.isfinite(summary).all() and summary[0].any() and not summary[1].any()


@pytest.mark.parametrize("has_pooler", [False, True])
def test_the_classifier_widens_normalises_bends_and_answers(has_pooler):
    classifier = draw_model(classifier_pooler=has_pooler, classifier_norm_eps=0.3).classifier
    assert (classifier.pooler is not None) == has_pooler
    summary = np.random.default_rng(4).normal(size=(2, 14))
    expected = np.zeros((2, 3))
    for b, x in enumerate(summary):
        if has_pooler:
            x = np.tanh(classifier.pooler.weight @ x + classifier.pooler.bias)
        x = classifier.expand.weight @ x + classifier.expand.bias
        assert x.shape == (28,)
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 0.3)
        x = x * classifier.norm.weight + classifier.norm.bias
        x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
        expected[b] = classifier.output.weight @ x + classifier.output.bias
    np.testing.assert_allclose(run_classifier(classifier, summary, 0.3), expected, rtol=1e-9)


def test_classify_uses_the_configured_pooling_and_eps():
    params, clips = draw_model(pooling="mean", classifier_norm_eps=0.3), draw_padded_clips(4)
    expected = run_classifier(params.classifier, summarise(params, *clips), 0.3)
    np.testing.assert_array_equal(classify(params, *clips), expected)
    assert expected.shape == (4, 3)


def test_without_a_head_it_is_said_how_to_get_one():
    params, clips = init(CONFIG), draw_padded_clips(2)
    with pytest.raises(ValueError, match="no classifier: give them one by add_classifier"):
        classify(params, *clips)
    with pytest.raises(ValueError, match="no head that ranks videos: give them one by add_ranking"):
        rank_videos(params, *draw_candidates(2, 3))
    assert classify(add_classifier(params), *clips).shape == (2, 3)
    assert rank_videos(add_ranking(params), *draw_candidates(2, 3)).shape == (2, 3)


# Ranking


@pytest.mark.parametrize("is_masked", [(True, True), (True, False), (False, True), (False, False)])
def test_scores_of_candidates_are_those_of_each_pair_alone(is_masked):
    params, (videos, audio, video_mask, audio_mask) = draw_model(), draw_candidates(3, 4)
    video_mask, audio_mask = video_mask if is_masked[0] else None, audio_mask if is_masked[1] else None
    scores = rank_videos(params, videos, audio, video_mask, audio_mask)
    for b in range(3):
        for i in range(4):
            masks = None if video_mask is None else video_mask[b, i][None]
            sound_masks = None if audio_mask is None else audio_mask[b][None]
            out = forward(params, videos[b, i][None], audio[b][None], masks, sound_masks)
            alone = match(params.ranking, out.cls)[0]
            np.testing.assert_allclose(scores[b, i], alone, rtol=1e-8, atol=1e-10)


def test_each_sound_is_embedded_once(monkeypatch):
    rows = []

    def embed(encoder, config, audio, mask=None):
        rows.append(len(audio))
        return embed_audio(encoder, config, audio, mask)

    embed_audio = tasks.embed_audio
    monkeypatch.setattr(tasks, "embed_audio", embed)
    rank_videos(draw_model(), *draw_candidates(3, 4))
    assert rows == [3]


def test_rows_are_repeated_one_after_the_other():
    np.testing.assert_array_equal(repeat_rows(np.array([[1, 2], [3, 4]]), 3), [[1, 2]] * 3 + [[3, 4]] * 3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v, a, m, k: (v[:, 0], a, None, k), r"several videos for every sound, \(B, n, T, C, H, W\)"),
        (lambda v, a, m, k: (v[:2], a, None, k), r"got \(2, 4, 3, 2, 6, 10\) and \(3, 1, 10, 21\)"),
        (lambda v, a, m, k: (v, None, m, None), "and nothing"),
        (lambda v, a, m, k: (None, a, None, k), "got nothing and"),
        (lambda v, a, m, k: (v, a, m[:, :3], k), r"video_mask of the shape \(3, 4\) and tokens"),
        (lambda v, a, m, k: (v, a, m[:, :, 1:], k), "video_mask as booleans"),
        (lambda v, a, m, k: (v, a, m, k[:, 1:]), "audio_mask as booleans"),
        (lambda v, a, m, k: (v[..., :-1], a, m, k), "multiple|whole patches|divide|patch"),
        (lambda v, a, m, k: (v, a.astype(int), m, k), "audio as floating-point"),
    ],
)
def test_candidates_that_do_not_fit_are_refused(change, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        rank_videos(draw_model(), *change(*draw_candidates(3, 4)))


# Losses of whole models


@pytest.mark.parametrize("loss_type", LOSSES)
def test_the_loss_is_the_mean_over_clips_of_what_the_head_gives(loss_type):
    params, batch = draw_task(loss_type)
    out = task_loss(params, batch)
    give = rank_videos if loss_type == "ranking" else classify
    logits = give(params, batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    np.testing.assert_array_equal(out.logits, logits)
    np.testing.assert_allclose(out.loss, LOSSES[loss_type](logits, batch.labels) / 5)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_parts_with_the_count_of_the_whole_add_up_to_it(loss_type):
    params, batch = draw_task(loss_type)
    loss = value_and_grad(lambda params, part, count: task_loss(params, part, count).loss)
    value, gradient = loss(params, batch, None)
    parts = [map_tree(lambda x, cut=cut: x[cut], batch) for cut in (slice(0, 2), slice(2, 5))]
    (first, first_gradient), (second, second_gradient) = (loss(params, part, 5) for part in parts)
    np.testing.assert_allclose(first + second, value, rtol=1e-12)
    total = map_tree(lambda x, y: x + y, first_gradient, second_gradient)
    assert_trees_close(total, gradient, rtol=1e-8, atol=1e-12)


@on_every_backend
@pytest.mark.parametrize("loss_type", LOSSES)
def test_gradients_agree_on_every_backend(backend, loss_type):
    params, batch = draw_task(loss_type, pooling="mean", classifier_pooler=True)
    loss = value_and_grad(lambda params, batch: task_loss(params, batch).loss)
    value, gradient = loss(params, batch)
    moved = loss(*backend.move((params, batch)))
    backend.assert_close(moved[0], value)
    wider = {} if backend.dtype == "float64" else {"rtol": 2e-3, "atol": 2e-4}
    backend.assert_close(moved[1], gradient, **wider)
    used = {name for name, array in walk(gradient) if np.any(array)}
    head = {name for name, _ in walk(params) if name.startswith(("classifier.", "ranking."))}
    # What is added to the scores of all candidates alike has no slope.
    expected = {name for name in head if name.startswith("ranking.") == (loss_type == "ranking")}
    assert expected - {"ranking.score.bias"} <= used
    assert not any(name.startswith("matching") for name in used)


@pytest.mark.parametrize("loss_type", ["classification", "ranking"])
def test_gradients_of_a_head_are_finite_differences(loss_type):
    params, batch = draw_task(loss_type)
    loss = value_and_grad(lambda params, batch: task_loss(params, batch).loss)
    name = "ranking.pooler.weight" if loss_type == "ranking" else "classifier.expand.weight"
    weight, gradient = dict(walk(params))[name], dict(walk(loss(params, batch)[1]))[name]
    step = np.random.default_rng(9).normal(size=weight.shape)
    values = []
    for sign in (1, -1):
        moved = map_tree(lambda x, sign=sign: x + sign * 1e-5 * step if x is weight else x, params)
        values.append(task_loss(moved, batch).loss)
    np.testing.assert_allclose((values[0] - values[1]) / 2e-5, np.sum(step * gradient), rtol=1e-6)


def test_sound_alone_can_be_classified():
    params, batch = draw_task("classification")
    batch = dataclasses.replace(batch, video=None, video_mask=None)
    out = task_loss(params, batch)
    np.testing.assert_array_equal(out.logits, classify(params, None, batch.audio, None, batch.audio_mask))


@pytest.mark.parametrize(
    ("loss_type", "changes", "expected"),
    [
        ("classification", {"labels": LABELS["labels"]}, "labels for 'classification' as whole numbers"),
        ("classification", {"labels": LABELS["classification"][:4]}, r"of the shape \(5,\), got \(4,\)"),
        ("regression", {"labels": LABELS["regression"][:, 0]}, r"of the shape \(5, 3\), got \(5,\)"),
        ("ranking", {"labels": np.array([0, 1, 2, 3, 4])}, "from 0 to 3, but 1 of them"),
        ("labels", {"video": None, "video_mask": None, "audio": None, "audio_mask": None}, "got neither"),
        ("labels", {"video": None}, "video_mask without video"),
        ("ranking", {"audio": None, "audio_mask": None}, "several videos for every sound"),
    ],
)
def test_batches_that_do_not_fit_the_task_are_refused_before_any_work(
    monkeypatch, loss_type, changes, expected
):
    params, batch = draw_task(loss_type)
    monkeypatch.setattr(tasks, "forward", None)
    monkeypatch.setattr(tasks, "encode", None)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        task_loss(params, dataclasses.replace(batch, **changes))


def test_a_batch_of_another_library_than_the_parameters_is_refused():
    pytest.importorskip("torch")
    params, batch = draw_task("classification")
    with pytest.raises(ValueError, match="Arrays of different libraries"):
        task_loss(to_backend(params, "torch"), batch)
