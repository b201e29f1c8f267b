"""What a head's outputs are worth: the losses of the tasks, from logits and labels.

Each is a sum over clips, to be divided by a count of them, so that the parts of a large batch add up to the
whole. Labels are brought to the precision of the logits.
"""

import math
from collections.abc import Callable

from jaxtyping import Bool, Float, Integer, Shaped

from minitvlt.backends import Array, namespace


def sum_class_cross_entropy(logits: Float[Array, "B k"], labels: Integer[Array, "B"]) -> Float[Array, ""]:
    """Sum over clips of -log p(right class), p = softmax(z): log Σ exp(z) - z of the right class.

    The largest z is taken off first, so nothing overflows. Ranking is the same with videos for classes.
    """
    xp = namespace(logits, labels)
    is_right = labels[:, None] == xp.arange(logits.shape[1], logits)[None, :]
    z = logits - xp.max(logits, axis=1, keepdims=True)
    return xp.sum(xp.log(xp.sum(xp.exp(z), axis=1))) - xp.sum(xp.where(is_right, z, 0.0))


def sum_regression_error(predictions: Float[Array, "B k"], targets: Float[Array, "B *k"]) -> Float[Array, ""]:
    """Sum over clips of the squared error, a mean over the k numbers of a clip.

    Raises:
        ValueError: targets that are not one for each prediction: nothing is stretched to fit.
    """
    xp = namespace(predictions, targets)
    check_shape("regression", targets, *predictions.shape)
    targets = xp.reshape(xp.astype(targets, predictions.dtype), predictions.shape)
    return xp.sum(xp.mean((predictions - targets) ** 2, axis=1))


def sum_label_cross_entropy(
    logits: Float[Array, "B k"], labels: Bool[Array, "B k"] | Integer[Array, "B k"]
) -> Float[Array, ""]:
    """Sum over clips of the binary cross-entropy of k independent labels, a mean over the labels."""
    xp = namespace(logits, labels)
    return xp.sum(xp.mean(binary_cross_entropy(logits, labels), axis=1))


def sum_answer_cross_entropy(logits: Float[Array, "B k"], scores: Float[Array, "B k"]) -> Float[Array, ""]:
    """Sum over questions, and over their k answers, of the binary cross-entropy against soft scores (VQA)."""
    return namespace(logits, scores).sum(binary_cross_entropy(logits, scores))


def binary_cross_entropy(
    logits: Float[Array, "*shape"], truth: Shaped[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """-y log σ(z) - (1 - y) log(1 - σ(z)), as max(z, 0) - z·y + log(1 + exp(-|z|)), which never overflows."""
    xp = namespace(logits, truth)
    truth = xp.astype(truth, logits.dtype)
    return xp.maximum(logits, 0.0) - logits * truth + xp.log(1.0 + xp.exp(-xp.abs(logits)))


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "classification": sum_class_cross_entropy,
    "regression": sum_regression_error,
    "labels": sum_label_cross_entropy,
    "soft-labels": sum_answer_cross_entropy,
    "ranking": sum_class_cross_entropy,
}

# The dtypes that labels may have, and what they are called
LABEL_TYPES = {
    "classification": (("int",), "whole numbers"),
    "regression": (("float",), "floating-point numbers"),
    "labels": (("bool", "int"), "booleans, or whole numbers 0 and 1"),
    "soft-labels": (("float",), "floating-point numbers"),
    "ranking": (("int",), "whole numbers"),
}


def check_labels(loss_type: str, labels: Array, B: int, k: int) -> None:
    """Refuse labels of the wrong type, shape or range for B clips and k outputs of the head."""
    xp = namespace(labels)
    kinds, words = LABEL_TYPES[loss_type]
    if not any(kind in str(labels.dtype) for kind in kinds):
        raise ValueError(f"Expected labels for {loss_type!r} as {words}, got {labels.dtype}.")
    check_shape(loss_type, labels, B, k)
    if "bool" in str(labels.dtype):
        return
    if loss_type == "regression":
        is_fine, bounds = xp.abs(labels) < math.inf, "that are finite"
    else:
        highest = 1 if loss_type in ("labels", "soft-labels") else k - 1
        is_fine, bounds = (labels >= 0) & (labels <= highest), f"from 0 to {highest}"
    wrong = int(xp.sum(xp.astype(~is_fine, xp.arange(1, labels).dtype)))
    if wrong:
        raise ValueError(f"Expected labels for {loss_type!r} {bounds}, but {wrong} of them are not.")


def check_shape(loss_type: str, labels: Array, B: int, k: int) -> None:
    """Refuse labels that are not one for each clip, or for each clip and output."""
    wanted = [(B,)] if loss_type in ("classification", "ranking") else [(B, k)]
    if loss_type == "regression" and k == 1:
        wanted.append((B,))
    if tuple(labels.shape) not in wanted:
        raise ValueError(
            f"Expected labels for {loss_type!r} of the shape {' or '.join(map(str, wanted))}, "
            f"got {tuple(labels.shape)}."
        )
