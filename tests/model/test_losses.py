"""The losses of the tasks: against torch and plain loops, values and gradients; labels that are refused."""

import math

import numpy as np
import pytest

from minitvlt.backends import to_backend, value_and_grad
from minitvlt.model.losses import (
    LOSSES,
    binary_cross_entropy,
    check_labels,
    sum_answer_cross_entropy,
    sum_class_cross_entropy,
    sum_label_cross_entropy,
    sum_regression_error,
)
from tests.helpers.backends import on_every_backend

RNG = np.random.default_rng(11)
LOGITS = 3 * RNG.normal(size=(7, 5))
LABELS = {
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
    expected = compute_by_torch(loss_type, logits, torch.tensor(LABELS[loss_type]))
    expected.backward()
    loss = value_and_grad(lambda logits: LOSSES[loss_type](logits, LABELS[loss_type]) / 7)
    value, gradient = loss(LOGITS)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, logits.grad.numpy(), rtol=1e-9, atol=1e-12)


@on_every_backend
@pytest.mark.parametrize("loss_type", LOSSES)
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
    gradient = to_backend(gradient, "numpy")
    assert np.isfinite(gradient).all()
    if loss_type in ("classification", "ranking"):
        np.testing.assert_allclose(gradient, [[-1, 1, 0], [1 / 3, 1 / 3 - 1, 1 / 3]], atol=1e-6)


def test_cross_entropy_is_minus_the_log_of_the_right_class_by_loops():
    expected = 0.0
    for z, right in zip(LOGITS, LABELS["classification"], strict=True):
        expected -= math.log(math.exp(z[right]) / sum(math.exp(one) for one in z))
    assert sum_class_cross_entropy(LOGITS, LABELS["classification"]) == pytest.approx(expected)


def test_cross_entropy_does_not_overflow():
    logits, truth = np.array([1e4, -1e4, 1e4, -1e4, 0.0]), np.array([True, False, False, True, True])
    np.testing.assert_allclose(binary_cross_entropy(logits, truth), [0, 0, 1e4, 1e4, math.log(2)])


def test_independent_labels_are_averaged_and_answers_are_added():
    table = np.zeros((7, 5))
    for b in range(7):
        for i in range(5):
            p, y = 1 / (1 + math.exp(-LOGITS[b, i])), float(LABELS["labels"][b, i])
            table[b, i] = -math.log(p if y else 1 - p)
    np.testing.assert_allclose(binary_cross_entropy(LOGITS, LABELS["labels"]), table)
    assert sum_label_cross_entropy(LOGITS, LABELS["labels"]) == pytest.approx(table.mean(axis=1).sum())
    scores = LABELS["labels"].astype(np.float64)
    assert sum_answer_cross_entropy(LOGITS, scores) == pytest.approx(table.sum())


def test_integers_and_booleans_are_the_same_labels():
    whole = sum_label_cross_entropy(LOGITS, LABELS["labels"].astype(np.int64))
    assert whole == sum_label_cross_entropy(LOGITS, LABELS["labels"])


def test_a_row_of_targets_beside_a_column_of_predictions_is_no_table():
    """Trap 9: (B,) beside (B, 1) would broadcast to B × B."""
    predictions, targets = np.array([[1.0], [2.0], [4.0]]), np.array([1.5, 2.0, 2.0])
    assert sum_regression_error(predictions, targets) == 0.25 + 0.0 + 4.0
    assert sum_regression_error(predictions, targets[:, None]) == 4.25
    for wrong in (targets[None], targets[:2], np.zeros((3, 2)), np.zeros((3, 1, 1)), np.array(1.0)):
        with pytest.raises(ValueError, match=r"labels for 'regression' of the shape \(3, 1\) or \(3,\)"):
            check_labels("regression", wrong, 3, 1)
    with pytest.raises(ValueError, match=r"of the shape \(3, 3\), got \(3,\)"):
        sum_regression_error(np.zeros((3, 3)), targets)


def test_precise_targets_make_no_precise_loss():
    assert sum_regression_error(LOGITS.astype(np.float32), LABELS["regression"]).dtype == np.float32
    assert sum_answer_cross_entropy(LOGITS.astype(np.float32), LABELS["soft-labels"]).dtype == np.float32


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
    for loss_type, labels in LABELS.items():
        check_labels(loss_type, backend.move(labels), 7, 5)
