"""Tasks after pre-training: pooling, classifier and ranking by plain loops; losses as torch computes them."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import erf

from minitvlt.backends import map_tree, to_backend, value_and_grad
from minitvlt.model import tasks
from minitvlt.model.parameters import Params, add_classifier, add_ranking, init
from minitvlt.model.tasks import (
    LOSSES,
    TaskBatch,
    check_labels,
    classify,
    pool_tokens,
    rank_videos,
    run_classifier,
    sum_class_cross_entropy,
    task_loss,
)
from minitvlt.model.tvlt import forward, match
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import SMALL, draw_padded_clips, make_small

ON_EVERY_LOSS = pytest.mark.parametrize("loss_type", LOSSES)
MASKED = pytest.mark.parametrize("is_masked", [(True, True), (True, False), (False, False)])
RNG = np.random.default_rng(11)
LOGITS = 3 * RNG.normal(size=(5, 3))
LABELS = {
    "classification": np.array([2, 0, 1, 1, 0]),
    "regression": RNG.normal(size=(5, 3)),
    "labels": RNG.random((5, 3)) < 0.5,
    "soft-labels": RNG.choice([0.0, 0.3, 1.0], (5, 3)),
    "ranking": np.array([1, 0, 1, 1, 0]),
}


def draw_small(B: int, seed: int = 5) -> tuple[np.ndarray, ...]:
    return draw_padded_clips(SMALL, np.random.default_rng(seed), B, 3, 5)


def draw_candidates(B: int, n: int) -> tuple[np.ndarray, ...]:
    """n videos for each of B audios, and the masks of both."""
    video, _, video_mask, _ = draw_small(B * n, seed=6)
    _, audio, _, audio_mask = draw_small(B, seed=7)
    return video.reshape(B, n, *video.shape[1:]), audio, video_mask.reshape(B, n, -1), audio_mask


def draw_task(loss_type: str) -> tuple[Params, TaskBatch]:
    params, _ = make_small(loss_type=loss_type)
    clips = draw_candidates(5, 2) if loss_type == "ranking" else draw_small(5)
    return params, TaskBatch(*clips, LABELS[loss_type])


# ---- the classifier


@MASKED
@pytest.mark.parametrize("left_out", [None, 0, 1], ids=["both", "audio alone", "video alone"])
def test_the_mean_is_over_real_tokens_only_and_without_cls(left_out, is_masked):
    params, _ = make_small(pooling="mean", token_order="audio-first")
    *clips, video_mask, audio_mask = draw_small(4)
    masks = [video_mask if is_masked[0] else None, audio_mask if is_masked[1] else None]
    if left_out is not None:
        clips[left_out] = masks[left_out] = None
    out, expected = forward(params, *clips, *masks), np.zeros((4, 14))
    for b in range(4):
        tokens = []
        for part, mask in ((out.video, masks[0]), (out.audio, masks[1])):
            for i in range(0 if part is None else part.shape[1]):
                tokens += [part[b, i]] if mask is None or mask[b, i] else []
        expected[b] = np.mean(tokens, axis=0)
    found = pool_tokens(params, tuple(clips), tuple(masks))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_clip_without_a_real_token_has_a_mean_of_zero():
    (params, _), clips = make_small(pooling="mean"), draw_small(2)[:2]
    masks = np.array([[True] * 12, [False] * 12]), np.array([[True] * 15, [False] * 15])
    pooled = pool_tokens(params, clips, masks)
    assert np.isfinite(pooled).all() and pooled[0].any() and not pooled[1].any()


@pytest.mark.parametrize("has_pooler", [False, True])
def test_the_classifier_is_linear_layernorm_gelu_linear(has_pooler):
    params, _ = make_small(classifier_pooler=has_pooler, classifier_norm_eps=0.3, pooling="mean")
    classifier, clips = params.classifier, draw_small(4)
    assert (classifier.pooler is not None) == has_pooler
    pooled, expected = pool_tokens(params, clips[:2], clips[2:]), np.zeros((4, 3))
    for b, x in enumerate(pooled):
        if has_pooler:
            x = np.tanh(classifier.pooler.weight @ x + classifier.pooler.bias)
        x = classifier.expand.weight @ x + classifier.expand.bias
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 0.3)
        x = x * classifier.norm.weight + classifier.norm.bias
        x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
        expected[b] = classifier.output.weight @ x + classifier.output.bias
    np.testing.assert_allclose(run_classifier(classifier, pooled, 0.3), expected, rtol=1e-9)
    np.testing.assert_allclose(classify(params, *clips), expected, rtol=1e-9)


def test_a_missing_head_is_refused_with_the_function_that_adds_one():
    params, clips = init(SMALL), draw_small(2)
    with pytest.raises(ValueError, match=r"no classifier: give them one by mt.add_classifier"):
        classify(params, *clips)
    with pytest.raises(ValueError, match=r"no head that ranks videos: give them one by .*add_ranking"):
        rank_videos(params, *draw_candidates(2, 3))
    assert classify(add_classifier(params), *clips).shape == (2, 3)
    assert rank_videos(add_ranking(params), *draw_candidates(2, 3)).shape == (2, 3)


# ---- ranking


@MASKED
def test_scores_of_candidates_are_those_of_each_pair_alone(is_masked):
    (params, _), (videos, audio, *masks) = make_small(), draw_candidates(2, 3)
    masks = [mask if is_there else None for mask, is_there in zip(masks, is_masked, strict=True)]
    scores = rank_videos(params, videos, audio, *masks)
    for b, i in np.ndindex(2, 3):
        video_mask = None if masks[0] is None else masks[0][b, i][None]
        audio_mask = None if masks[1] is None else masks[1][b][None]
        out = forward(params, videos[b, i][None], audio[b][None], video_mask, audio_mask)
        np.testing.assert_allclose(scores[b, i], match(params.ranking, out.cls)[0], rtol=1e-8, atol=1e-10)


# ---- losses


@ON_EVERY_LOSS
def test_micro_batches_with_the_count_of_the_whole_add_up_to_it(loss_type):
    params, batch = draw_task(loss_type)
    head = rank_videos if loss_type == "ranking" else classify
    logits = head(params, batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    loss = value_and_grad(lambda params, part, count: task_loss(params, part, count).loss)
    value, gradient = loss(params, batch, None)
    np.testing.assert_allclose(value, LOSSES[loss_type](logits, batch.labels) / 5)
    parts = [map_tree(lambda x, cut=cut: x[cut], batch) for cut in (slice(0, 2), slice(2, 5))]
    (first, first_gradient), (second, second_gradient) = (loss(params, part, 5) for part in parts)
    np.testing.assert_allclose(first + second, value, rtol=1e-12)
    total = map_tree(lambda x, y: x + y, first_gradient, second_gradient)
    assert_trees_close(total, gradient, rtol=1e-8, atol=1e-12)


BY_TORCH = {
    "classification": F.cross_entropy,
    "regression": F.mse_loss,
    "labels": lambda z, y: F.binary_cross_entropy_with_logits(z, y.to(z.dtype)),
    "soft-labels": lambda z, y: F.binary_cross_entropy_with_logits(z, y) * z.shape[1],
    "ranking": F.cross_entropy,
}


@ON_EVERY_LOSS
def test_values_and_gradients_are_those_of_torch(loss_type):
    logits, labels = torch.tensor(LOGITS, requires_grad=True), LABELS[loss_type]
    expected = BY_TORCH[loss_type](logits, torch.tensor(labels))
    expected.backward()
    value, gradient = value_and_grad(lambda logits: LOSSES[loss_type](logits, labels) / 5)(LOGITS)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-9, atol=1e-12)


@on_every_backend
@ON_EVERY_LOSS
def test_logits_of_any_size_give_finite_losses_and_gradients(backend, loss_type):
    labels = np.array([0, 1]) if LABELS[loss_type].ndim == 1 else np.zeros((2, 3), LABELS[loss_type].dtype)
    logits = np.array([[-1e4, 1e4, 0.0], [0.0, 0.0, 0.0]])
    value, gradient = value_and_grad(LOSSES[loss_type])(*backend.move((logits, labels)))
    expected = {
        "classification": 2e4 + math.log(3),
        "ranking": 2e4 + math.log(3),
        "regression": 2e8 / 3,
        "labels": (1e4 + 4 * math.log(2)) / 3,
        "soft-labels": 1e4 + 4 * math.log(2),
    }
    np.testing.assert_allclose(to_backend(value, "numpy"), expected[loss_type], rtol=1e-5)
    assert np.isfinite(to_backend(gradient, "numpy")).all()


def test_labels_of_another_width_or_precision_are_the_same_labels():
    for dtype in (np.uint8, np.int32):
        loss = sum_class_cross_entropy(LOGITS, LABELS["classification"].astype(dtype))
        assert loss == sum_class_cross_entropy(LOGITS, LABELS["classification"])
    assert LOSSES["labels"](LOGITS, LABELS["labels"].astype(int)) == LOSSES["labels"](
        LOGITS, LABELS["labels"]
    )
    for loss_type in ("regression", "soft-labels"):
        assert LOSSES[loss_type](LOGITS.astype(np.float32), LABELS[loss_type]).dtype == np.float32


# ---- bad input

BAD_LABELS = [
    ("classification", np.array([0.0, 1.0]), "as whole numbers, got"),
    ("classification", np.array([True, False]), "as whole numbers, got"),
    ("classification", np.array([0, 3]), "from 0 to 2, but 1 of them"),
    ("classification", np.array([-1, -100]), "from 0 to 2, but 2 of them"),
    ("classification", np.zeros((2, 1), np.int64), r"of the shape \(2,\), got \(2, 1\)"),
    ("ranking", np.array([0, 3]), "labels for 'ranking' from 0 to 2"),
    ("regression", np.ones((2, 3), int), "as floating-point numbers, got"),
    ("regression", np.array([[1.0, 2.0, np.nan], [np.inf, 0.0, 0.0]]), "finite, but 2 of them"),
    ("regression", np.array([1.0, 2.0]), r"of the shape \(2, 3\), got \(2,\)"),
    ("labels", np.zeros((2, 3)), "as booleans, or whole numbers 0 and 1, got"),
    ("labels", np.array([[0, 1, 2], [0, 0, -1]]), "from 0 to 1, but 2 of them"),
    ("soft-labels", np.zeros((2, 3), bool), "as floating-point numbers, got"),
    ("soft-labels", np.array([[0.0, 0.3, 1.1], [np.nan, -0.1, 1.0]]), "from 0 to 1, but 3 of them"),
]


@on_every_backend
def test_labels_of_a_wrong_type_shape_or_range_are_refused(backend):
    for loss_type, labels, expected in BAD_LABELS:
        with pytest.raises(ValueError, match=expected):
            check_labels(loss_type, backend.move(labels), 2, 3)
    for loss_type, labels in LABELS.items():
        check_labels(loss_type, backend.move(labels), 5, 3)


BAD_BATCHES = [
    ("ranking", {"labels": np.array([0, 1, 2, 1, 0])}, "from 0 to 1, but 1 of them"),
    ("labels", {"video": None}, "video_mask without video"),
    ("ranking", {"audio": None, "audio_mask": None}, r"several videos .*\(B, n, T, C, H, W\).* and nothing"),
    ("ranking", {"video": None}, "got nothing and"),
    ("ranking", {"audio": np.zeros((4, 1, 10, 21))}, r"got \(5, 2, 3, 2, 6, 10\) and \(4, 1, 10, 21\)"),
    ("ranking", {"video_mask": np.ones((5, 1, 12), bool)}, r"video_mask .* shape \(5, 2, 12\)"),
    ("ranking", {"audio_mask": np.ones((5, 14), bool)}, "audio_mask as booleans"),
    ("ranking", {"audio": np.zeros((5, 1, 10, 21), int)}, "audio as dense floating-point"),
    ("classification", {"labels": torch.tensor([2, 0, 1, 1, 0])}, "different libraries"),
]


@pytest.mark.parametrize(("loss_type", "changes", "expected"), BAD_BATCHES)
def test_a_batch_that_does_not_fit_the_task_is_refused_before_any_work(
    monkeypatch, loss_type, changes, expected
):
    params, batch = draw_task(loss_type)
    monkeypatch.setattr(tasks, "run_encoder", None)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        task_loss(params, dataclasses.replace(batch, **changes))
