"""Tasks after pre-training (TVLT, section 5): a classifier or a head that ranks videos, and their losses.

`config.loss_type` says which task it is. Each loss is a sum over clips that `task_loss` divides by a count of
clips, so that the losses of micro-batches add up to that of the whole batch. Labels are converted to the
precision of the logits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float, Integer, Shaped

from minitvlt.backends import Array, flatten, namespace
from minitvlt.config import Config
from minitvlt.model.checks import check_candidates, check_clips, check_library, check_part
from minitvlt.model.parameters import Classifier, MatchingHead, Params
from minitvlt.model.pretraining import binary_cross_entropy
from minitvlt.model.transformer import run_linear, run_norm
from minitvlt.model.tvlt import Clips, Masks, embed_clips, join_tokens, match, run_encoder


@dataclass(frozen=True)
class TaskBatch:
    """Clips and their labels; for ranking, n videos for every audio: candidates is n

    Labels are, for the `config.loss_type` of
        classification: the number of the class, whole numbers (B,)
        regression: floating-point numbers (B, k), or (B,) where k = `config.num_labels` is 1
        labels: whether each label holds, booleans or the whole numbers 0 and 1 (B, k)
        soft-labels: the score of each answer, floating-point numbers from 0 to 1 (B, k)
        ranking: the number of the video that belongs to the audio, whole numbers (B,) from 0 to n - 1
    """

    video: Float[Array, "B *candidates T C H W"] | None
    audio: Float[Array, "B C2 S F"] | None
    video_mask: Bool[Array, "B *candidates Nv"] | None  # True = real token; None: all are
    audio_mask: Bool[Array, "B Na"] | None
    labels: Shaped[Array, "B *labels"]


@dataclass(frozen=True)
class TaskOutput:
    """The loss, and the output of the head: logits, predicted numbers, or scores of the candidate videos"""

    loss: Float[Array, ""]
    logits: Float[Array, "B labels"]


def task_loss(
    params: Params, batch: TaskBatch, count: float | int | Float[Array, ""] | None = None
) -> TaskOutput:
    """Compute the loss of the configured task on one batch.

    Args:
        params: the model; `config.loss_type` says what its head learns.
        batch: the clips and their labels.
        count: what to divide the summed loss by; None means this batch's number of clips. With the number of
            a larger batch, the losses of its micro-batches add up to the loss of the whole.

    Raises:
        ValueError: a head that is missing; clips that do not fit; labels of another type, shape or range.
    """
    check_library(params, *flatten(batch).values())
    check_part(params, "ranking" if params.config.loss_type == "ranking" else "classifier")
    check_task_batch(params.config, batch)
    return compute_task_loss(params, batch, count)


def compute_task_loss(
    params: Params, batch: TaskBatch, count: float | int | Float[Array, ""] | None = None
) -> TaskOutput:
    """Do the work of `task_loss`, after its checks: reading labels would wait for the graphics card."""
    loss_type = params.config.loss_type
    compute_logits = score_candidates if loss_type == "ranking" else classify_clips
    logits = compute_logits(params, (batch.video, batch.audio), (batch.video_mask, batch.audio_mask))
    loss = LOSSES[loss_type](logits, batch.labels) / (logits.shape[0] if count is None else count)
    return TaskOutput(loss, logits)


# ---- classification, regression, labels


def classify(
    params: Params,
    video: Float[Array, "B T C H W"] | None,
    audio: Float[Array, "B C2 S F"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B labels"]:
    """Compute a logit for each label, or the predicted numbers of a regression.

    Args:
        params: a model with a classifier.
        video: frames in [-1, 1]; None for audio alone.
        audio: log-mel spectrograms in [-1, 1]; None for video alone.
        video_mask: True where a video token is real; None where all are.
        audio_mask: the same for audio.

    Raises:
        ValueError: no classifier, or clips that do not fit, as in `forward`.
    """
    check_part(params, "classifier")
    check_library(params, video, audio, video_mask, audio_mask)
    clips, masks = (video, audio), (video_mask, audio_mask)
    check_clips(params.config, clips, masks)
    return classify_clips(params, clips, masks)


def classify_clips(params: Params, clips: Clips, masks: Masks) -> Float[Array, "B labels"]:
    """Do the work of `classify`, after its checks."""
    pooled = pool_tokens(params, clips, masks)
    return run_classifier(params.classifier, pooled, params.config.classifier_norm_eps)


def pool_tokens(params: Params, clips: Clips, masks: Masks) -> Float[Array, "B D"]:
    """Encode clips to one vector each: cls, or with `config.pooling` "mean" the mean of the tokens.

    The mean is over all real tokens of video and audio, without padding and without cls.
    """
    out = run_encoder(params, embed_clips(params, clips, masks), masks)
    if params.config.pooling == "cls":
        return out.cls
    x, is_real = join_tokens((out.video, out.audio), masks)
    xp = namespace(x)
    if is_real is None:
        return xp.mean(x, axis=1)
    is_real = is_real[:, :, None]
    count = xp.sum(xp.astype(is_real, x.dtype), axis=1)
    return xp.sum(xp.where(is_real, x, 0.0), axis=1) / xp.maximum(count, 1.0)


def run_classifier(
    classifier: Classifier, pooled: Float[Array, "B D"], eps: float
) -> Float[Array, "B labels"]:
    """Linear and tanh (the pooler, which may be missing), then linear, LayerNorm, GELU, linear."""
    xp = namespace(classifier.output.weight, pooled)
    if classifier.pooler is not None:
        pooled = xp.tanh(run_linear(pooled, classifier.pooler))
    x = run_norm(run_linear(pooled, classifier.expand), classifier.norm, eps)
    return run_linear(xp.gelu(x), classifier.output)


# ---- ranking


def rank_videos(
    params: Params,
    videos: Float[Array, "B n T C H W"],
    audio: Float[Array, "B C2 S F"],
    video_mask: Bool[Array, "B n Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B n"]:
    """Score how well each of n videos fits the audio of its row: the highest score is the model's choice.

    Source: TVLT, section 5 (retrieval).

    Raises:
        ValueError: no head that ranks, or clips that do not fit each other.
    """
    check_part(params, "ranking")
    check_library(params, videos, audio, video_mask, audio_mask)
    clips, masks = (videos, audio), (video_mask, audio_mask)
    check_candidates(params.config, clips, masks)
    return score_candidates(params, clips, masks)


def score_candidates(
    params: Params,
    clips: tuple[Float[Array, "B n T C H W"], Float[Array, "B C2 S F"]],
    masks: tuple[Bool[Array, "B n Nv"] | None, Bool[Array, "B Na"] | None],
) -> Float[Array, "B n"]:
    """Do the work of `rank_videos`, after its checks: score each video with its row's audio."""
    (videos, audio), (video_mask, audio_mask) = clips, masks
    xp, (B, n, *clip) = namespace(params.encoder.cls, videos, audio), videos.shape
    video = xp.reshape(videos, (B * n, *clip))  # (B*n, *clip)
    video_mask = None if video_mask is None else xp.reshape(video_mask, (B * n, -1))
    audio_mask = None if audio_mask is None else repeat_rows(audio_mask, n)
    clips, masks = (video, repeat_rows(audio, n)), (video_mask, audio_mask)
    cls = run_encoder(params, embed_clips(params, clips, masks), masks).cls
    return xp.reshape(match(params.ranking, cls), (B, n))  # (B, n)


def repeat_rows(x: Shaped[Array, "B *rest"], n: int) -> Shaped[Array, "B*{n} *rest"]:
    """Repeat every row n times, one after the other."""
    xp, (B, *rest) = namespace(x), x.shape
    x = xp.broadcast_to(xp.reshape(x, (B, 1, *rest)), (B, n, *rest))  # (B, n, *rest)
    return xp.reshape(x, (B * n, *rest))  # (B*n, *rest)


# ---- losses, as sums over clips


def sum_class_cross_entropy(logits: Float[Array, "B k"], labels: Integer[Array, "B"]) -> Float[Array, ""]:
    """Sum over clips of -log p(right class), p = softmax(z): log Σ exp(z) - z of the right class.

    The largest z is subtracted first, so nothing overflows. Ranking is the same with videos for classes.
    """
    xp = namespace(logits, labels)
    is_right = labels[:, None] == xp.arange(logits.shape[1], logits)[None, :]
    z = logits - xp.max(logits, axis=1, keepdims=True)
    return xp.sum(xp.log(xp.sum(xp.exp(z), axis=1))) - xp.sum(xp.where(is_right, z, 0.0))


def sum_regression_error(predictions: Float[Array, "B k"], targets: Float[Array, "B *k"]) -> Float[Array, ""]:
    """Sum over clips of the squared error, a mean over the k numbers of a clip.

    Where k is 1, targets may be (B,): they are reshaped, because beside (B, 1) they would broadcast.
    """
    xp = namespace(predictions, targets)
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


# Of each loss type: the loss, the dtypes that labels may have, and what they are called
LOSS_TYPES: dict[str, tuple[Callable[[Array, Array], Array], tuple[str, ...], str]] = {
    "classification": (sum_class_cross_entropy, ("int",), "whole numbers"),
    "regression": (sum_regression_error, ("float",), "floating-point numbers"),
    "labels": (sum_label_cross_entropy, ("bool", "int"), "booleans, or whole numbers 0 and 1"),
    "soft-labels": (sum_answer_cross_entropy, ("float",), "floating-point numbers"),
    "ranking": (sum_class_cross_entropy, ("int",), "whole numbers"),
}
LOSSES = {name: loss for name, (loss, _, _) in LOSS_TYPES.items()}


def check_task_batch(config: Config, batch: TaskBatch) -> None:
    """Check the clips and the labels of a batch."""
    is_ranking = config.loss_type == "ranking"
    check = check_candidates if is_ranking else check_clips
    check(config, (batch.video, batch.audio), (batch.video_mask, batch.audio_mask))
    clip = batch.audio if batch.video is None else batch.video
    outputs = clip.shape[1] if is_ranking else config.num_labels
    check_labels(config.loss_type, batch.labels, clip.shape[0], outputs)


def check_labels(loss_type: str, labels: Array, B: int, k: int) -> None:
    """Check the type, shape and range of the labels of B clips, for k outputs of the head."""
    xp = namespace(labels)
    _, kinds, words = LOSS_TYPES[loss_type]
    if not any(kind in str(labels.dtype) for kind in kinds):
        raise ValueError(f"Expected labels for {loss_type!r} as {words}, got {labels.dtype}.")
    wanted = [(B,)] if loss_type in ("classification", "ranking") else [(B, k)]
    wanted += [(B,)] if loss_type == "regression" and k == 1 else []
    if tuple(labels.shape) not in wanted:
        shapes, found = " or ".join(map(str, wanted)), tuple(labels.shape)
        raise ValueError(f"Expected labels for {loss_type!r} of the shape {shapes}, got {found}.")
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


def find_head(params: Params) -> MatchingHead:
    """Return the ranking head, or else the matching head.

    Raises:
        ValueError: the model has neither.
    """
    if params.ranking is not None:
        return params.ranking
    check_part(params, "matching")
    return params.matching
