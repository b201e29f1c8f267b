"""Heads: pooling, classifier and ranking, piece by piece; the losses, against torch and plain loops."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from minitvlt.backends import map_tree, to_backend, value_and_grad, walk
from minitvlt.config import Config
from minitvlt.model import tasks
from minitvlt.model.parameters import Params, add_classifier, add_ranking, init
from minitvlt.model.pretraining import binary_cross_entropy
from minitvlt.model.tasks import (
    LOSSES,
    TaskBatch,
    check_labels,
    classify,
    pool_tokens,
    rank_videos,
    repeat_rows,
    run_classifier,
    sum_answer_cross_entropy,
    sum_class_cross_entropy,
    sum_label_cross_entropy,
    sum_regression_error,
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
    """Video, audio and their masks; padding holds large values."""
    rng = np.random.default_rng(seed)
    video, audio = draw_clips(CONFIG, rng, B, 3, 5)
    video_mask, audio_mask = draw_mask(rng, B, 3, 4), draw_mask(rng, B, 5, 3)
    video[~video_mask[:, ::4]] = 1e3
    audio[:, 0][np.repeat(~audio_mask[:, ::3], 2, axis=1)] = -1e3
    return video, audio, video_mask, audio_mask


def draw_candidates(B: int, n: int, seed: int = 6) -> tuple[np.ndarray, ...]:
    """n videos for each of B audios, and the masks of both."""
    video, _, video_mask, _ = draw_padded_clips(B * n, seed)
    _, audio, _, audio_mask = draw_padded_clips(B, seed + 1)
    return video.reshape(B, n, *video.shape[1:]), audio, video_mask.reshape(B, n, -1), audio_mask


def draw_task(loss_type: str, **changes) -> tuple[Params, TaskBatch]:
    clips = draw_candidates(5, 4) if loss_type == "ranking" else draw_padded_clips(5)
    return draw_model(loss_type=loss_type, **changes), TaskBatch(*clips, LABELS[loss_type])


# Pooling and the classifier


def test_the_default_pooling_is_cls():
    params, clips = draw_model(), draw_padded_clips(4)
    np.testing.assert_array_equal(pool_tokens(params, clips[:2], clips[2:]), forward(params, *clips).cls)


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
    found = pool_tokens(params, (video, audio), (video_mask, audio_mask))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(filler=st.sampled_from([0.0, -1.0, 1e6]), pooling=st.sampled_from(["cls", "mean"]))
def test_values_of_padding_change_nothing(filler, pooling):
    params, (video, audio, video_mask, audio_mask) = draw_model(pooling=pooling), draw_padded_clips(4)
    expected = classify(params, video, audio, video_mask, audio_mask)
    video, audio = video.copy(), audio.copy()
    video[~video_mask[:, ::4]] = filler
    audio[:, 0][np.repeat(~audio_mask[:, ::3], 2, axis=1)] = filler
    np.testing.assert_allclose(classify(params, video, audio, video_mask, audio_mask), expected, rtol=1e-9)


def test_a_clip_without_a_real_token_has_a_mean_of_nothing():
    params, (video, audio, _, _) = draw_model(pooling="mean"), draw_padded_clips(2)
    masks = np.array([[True] * 12, [False] * 12]), np.array([[True] * 15, [False] * 15])
    pooled = pool_tokens(params, (video, audio), masks)
    assert np.isfinite(pooled).all() and pooled[0].any() and not pooled[1].any()


@pytest.mark.parametrize("has_pooler", [False, True])
def test_the_classifier_is_linear_layernorm_gelu_linear(has_pooler):
    classifier = draw_model(classifier_pooler=has_pooler, classifier_norm_eps=0.3).classifier
    assert (classifier.pooler is not None) == has_pooler
    pooled = np.random.default_rng(4).normal(size=(2, 14))
    expected = np.zeros((2, 3))
    for b, x in enumerate(pooled):
        if has_pooler:
            x = np.tanh(classifier.pooler.weight @ x + classifier.pooler.bias)
        x = classifier.expand.weight @ x + classifier.expand.bias
        assert x.shape == (28,)
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 0.3)
        x = x * classifier.norm.weight + classifier.norm.bias
        x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
        expected[b] = classifier.output.weight @ x + classifier.output.bias
    np.testing.assert_allclose(run_classifier(classifier, pooled, 0.3), expected, rtol=1e-9)


def test_classify_uses_the_configured_pooling_and_eps():
    params, clips = draw_model(pooling="mean", classifier_norm_eps=0.3), draw_padded_clips(4)
    expected = run_classifier(params.classifier, pool_tokens(params, clips[:2], clips[2:]), 0.3)
    np.testing.assert_array_equal(classify(params, *clips), expected)
    assert expected.shape == (4, 3)


def test_a_missing_head_is_refused_with_the_function_that_adds_one():
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
            audio_masks = None if audio_mask is None else audio_mask[b][None]
            out = forward(params, videos[b, i][None], audio[b][None], masks, audio_masks)
            alone = match(params.ranking, out.cls)[0]
            np.testing.assert_allclose(scores[b, i], alone, rtol=1e-8, atol=1e-10)


def test_rows_are_repeated_one_after_the_other():
    np.testing.assert_array_equal(repeat_rows(np.array([[1, 2], [3, 4]]), 3), [[1, 2]] * 3 + [[3, 4]] * 3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v, a, m, k: (v[:, 0], a, None, k), r"several videos for every audio, \(B, n, T, C, H, W\)"),
        (lambda v, a, m, k: (v[:2], a, None, k), r"got \(2, 4, 3, 2, 6, 10\) and \(3, 1, 10, 21\)"),
        (lambda v, a, m, k: (v, None, m, None), "and nothing"),
        (lambda v, a, m, k: (None, a, None, k), "got nothing and"),
        (lambda v, a, m, k: (v, a, m[:, :3], k), r"video_mask as booleans of the shape \(3, 4, 12\)"),
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


def test_audio_alone_can_be_classified():
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
        ("ranking", {"audio": None, "audio_mask": None}, "several videos for every audio"),
    ],
)
def test_batches_that_do_not_fit_the_task_are_refused_before_any_work(
    monkeypatch, loss_type, changes, expected
):
    params, batch = draw_task(loss_type)
    monkeypatch.setattr(tasks, "run_encoder", None)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        task_loss(params, dataclasses.replace(batch, **changes))


def test_a_batch_of_another_library_than_the_parameters_is_refused():
    pytest.importorskip("torch")
    params, batch = draw_task("classification")
    with pytest.raises(ValueError, match="arrays of different libraries"):
        task_loss(to_backend(params, "torch"), batch)


# Losses

RNG = np.random.default_rng(11)
LOGITS = 3 * RNG.normal(size=(7, 5))
TARGETS = {
    "classification": RNG.integers(0, 5, 7),
    "regression": RNG.normal(size=(7, 5)),
    "labels": RNG.random((7, 5)) < 0.5,
    "soft-labels": RNG.choice([0.0, 0.3, 0.6, 1.0], (7, 5)),
    "ranking": RNG.integers(0, 5, 7),
}


def compute_by_torch(loss_type: str, logits, labels) -> float:
    """The mean over clips, in the words of torch.nn.functional."""
    import torch.nn.functional as F

    return {
        "classification": lambda: F.cross_entropy(logits, labels),
        "regression": lambda: F.mse_loss(logits, labels),
        "labels": lambda: F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)),
        "soft-labels": lambda: F.binary_cross_entropy_with_logits(logits, labels) * logits.shape[1],
        "ranking": lambda: F.cross_entropy(logits, labels),
    }[loss_type]()


@pytest.mark.parametrize("loss_type", LOSSES)
def test_values_and_gradients_are_those_of_torch(loss_type):
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    expected = compute_by_torch(loss_type, logits, torch.tensor(TARGETS[loss_type]))
    expected.backward()
    loss = value_and_grad(lambda logits: LOSSES[loss_type](logits, TARGETS[loss_type]) / 7)
    value, gradient = loss(LOGITS)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-9, atol=1e-12)


@on_every_backend
@pytest.mark.parametrize("loss_type", LOSSES)
def test_logits_of_any_size_give_finite_losses_and_gradients(backend, loss_type):
    labels = np.array([0, 1]) if TARGETS[loss_type].ndim == 1 else np.zeros((2, 3), TARGETS[loss_type].dtype)
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
    gradient = to_backend(gradient, "numpy")
    assert np.isfinite(gradient).all()
    if loss_type in ("classification", "ranking"):
        np.testing.assert_allclose(gradient, [[-1, 1, 0], [1 / 3, 1 / 3 - 1, 1 / 3]], atol=1e-6)


def test_cross_entropy_is_minus_the_log_of_the_right_class_by_loops():
    expected = 0.0
    for z, right in zip(LOGITS, TARGETS["classification"], strict=True):
        expected -= math.log(math.exp(z[right]) / sum(math.exp(one) for one in z))
    assert sum_class_cross_entropy(LOGITS, TARGETS["classification"]) == pytest.approx(expected)


def test_cross_entropy_does_not_overflow():
    logits, truth = np.array([1e4, -1e4, 1e4, -1e4, 0.0]), np.array([True, False, False, True, True])
    np.testing.assert_allclose(binary_cross_entropy(logits, truth), [0, 0, 1e4, 1e4, math.log(2)])


def test_independent_labels_are_averaged_and_answers_are_added():
    table = np.zeros((7, 5))
    for b in range(7):
        for i in range(5):
            p, y = 1 / (1 + math.exp(-LOGITS[b, i])), float(TARGETS["labels"][b, i])
            table[b, i] = -math.log(p if y else 1 - p)
    np.testing.assert_allclose(binary_cross_entropy(LOGITS, TARGETS["labels"]), table)
    assert sum_label_cross_entropy(LOGITS, TARGETS["labels"]) == pytest.approx(table.mean(axis=1).sum())
    scores = TARGETS["labels"].astype(np.float64)
    assert sum_answer_cross_entropy(LOGITS, scores) == pytest.approx(table.sum())


def test_integers_and_booleans_are_the_same_labels():
    whole = sum_label_cross_entropy(LOGITS, TARGETS["labels"].astype(np.int64))
    assert whole == sum_label_cross_entropy(LOGITS, TARGETS["labels"])


def test_a_row_of_targets_beside_a_column_of_predictions_is_no_table():
    """Trap 9: (B,) beside (B, 1) would broadcast to B × B."""
    predictions, targets = np.array([[1.0], [2.0], [4.0]]), np.array([1.5, 2.0, 2.0])
    assert sum_regression_error(predictions, targets) == 0.25 + 0.0 + 4.0
    assert sum_regression_error(predictions, targets[:, None]) == 4.25
    for wrong in (targets[None], targets[:2], np.zeros((3, 2)), np.zeros((3, 1, 1)), np.array(1.0)):
        with pytest.raises(ValueError, match=r"labels for 'regression' of the shape \(3, 1\) or \(3,\)"):
            check_labels("regression", wrong, 3, 1)
    with pytest.raises(ValueError, match=r"of the shape \(3, 3\), got \(3,\)"):
        check_labels("regression", targets, 3, 3)


def test_precise_targets_make_no_precise_loss():
    assert sum_regression_error(LOGITS.astype(np.float32), TARGETS["regression"]).dtype == np.float32
    assert sum_answer_cross_entropy(LOGITS.astype(np.float32), TARGETS["soft-labels"]).dtype == np.float32


@on_every_backend
@pytest.mark.parametrize(
    ("loss_type", "labels", "expected"),
    [
        ("classification", np.array([0.0, 1.0]), "as whole numbers, got"),
        ("classification", np.array([True, False]), "as whole numbers, got"),
        ("classification", np.array([0, 3]), "from 0 to 2, but 1 of them"),
        ("classification", np.array([-1, -100]), "from 0 to 2, but 2 of them"),
        ("classification", np.zeros((2, 1), np.int64), r"of the shape \(2,\), got \(2, 1\)"),
        ("classification", np.zeros(3, np.int64), r"of the shape \(2,\), got \(3,\)"),
        ("ranking", np.array([0, 3]), "labels for 'ranking' from 0 to 2"),
        ("regression", np.array([[1, 2, 3], [1, 2, 3]]), "as floating-point numbers, got"),
        ("regression", np.array([[1.0, 2.0, np.nan], [np.inf, 0.0, 0.0]]), "finite, but 2 of them"),
        ("regression", np.array([1.0, 2.0]), r"of the shape \(2, 3\), got \(2,\)"),
        ("labels", np.zeros((2, 3)), "as booleans, or whole numbers 0 and 1, got"),
        ("labels", np.array([[0, 1, 2], [0, 0, -1]]), "from 0 to 1, but 2 of them"),
        ("labels", np.zeros((2, 2), bool), r"of the shape \(2, 3\), got \(2, 2\)"),
        ("soft-labels", np.zeros((2, 3), bool), "as floating-point numbers, got"),
        ("soft-labels", np.array([[0.0, 0.3, 1.1], [np.nan, -0.1, 1.0]]), "from 0 to 1, but 3 of them"),
        ("soft-labels", np.zeros(3), r"of the shape \(2, 3\), got \(3,\)"),
    ],
)
def test_labels_of_a_wrong_type_shape_or_range_are_refused(backend, loss_type, labels, expected):
    with pytest.raises(ValueError, match=expected):
        check_labels(loss_type, backend.move(labels), 2, 3)


@on_every_backend
def test_right_labels_of_any_width_are_taken(backend):
    for dtype in (np.uint8, np.int32, np.int64):
        labels = backend.move(np.array([4, 0, 2], dtype))
        check_labels("classification", labels, 3, 5)
        loss = sum_class_cross_entropy(backend.move(LOGITS[:3]), labels)
        backend.assert_close(loss, sum_class_cross_entropy(LOGITS[:3], np.array([4, 0, 2])))
    for loss_type, labels in TARGETS.items():
        check_labels(loss_type, backend.move(labels), 7, 5)
