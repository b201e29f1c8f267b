"""What a pre-trained model is used for (TVLT, section 5): heads on the summary of a clip, and their losses.

A head is a classifier, whose outputs are classes, independent labels, answers or numbers, or it ranks videos.
`config.loss_type` says which task it is. Each loss is a sum that `task_loss` divides by a count of clips, so
that the parts of a large batch add up to the whole.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Shaped

from minitvlt.backends import Array, namespace, walk
from minitvlt.config import Config
from minitvlt.model.checks import check_clips
from minitvlt.model.losses import LOSSES, check_labels
from minitvlt.model.parameters import Classifier, Params
from minitvlt.model.transformer import run_head, run_linear, run_norm
from minitvlt.model.tvlt import embed_audio, embed_video, encode, forward, join_masks, match


@dataclass(frozen=True)
class TaskBatch:
    """Clips and what is to be said about them; for ranking, n videos for every sound: candidates is n

    Labels are, for the `config.loss_type` of
        classification: the number of the class, whole numbers (B,)
        regression: floating-point numbers (B, k), or (B,) where k = `config.num_labels` is 1
        labels: whether each label holds, booleans or the whole numbers 0 and 1 (B, k)
        soft-labels: how right each answer is, floating-point numbers from 0 to 1 (B, k)
        ranking: the number of the video that belongs to the sound, whole numbers (B,) from 0 to n - 1
    """

    video: Float[Array, "B *candidates T C H W"] | None
    audio: Float[Array, "B C2 S F"] | None
    video_mask: Bool[Array, "B *candidates Nv"] | None  # True = real token; None: all are
    audio_mask: Bool[Array, "B Na"] | None
    labels: Shaped[Array, "B *labels"]


@dataclass(frozen=True)
class TaskOutput:
    """The loss, and what the head gave for each clip: logits, predicted numbers, or scores of the videos"""

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
            a larger batch, the losses of its parts add up to the loss of the whole.

    Raises:
        ValueError: a head that is missing; clips that do not fit; labels of another type, shape or range.
    """
    config = params.config
    namespace(params.encoder.cls, *(array for _, array in walk(batch)))
    clips = (batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    if config.loss_type == "ranking":
        check_candidates(params, *clips)
    else:
        check_clips(config, *clips)
    check_batch_labels(config, batch)
    return compute_task_loss(params, batch, count)


def compute_task_loss(
    params: Params, batch: TaskBatch, count: float | int | Float[Array, ""] | None = None
) -> TaskOutput:
    """Do the work of `task_loss`, after its checks: to read labels is to wait for the graphics card."""
    loss_type = params.config.loss_type
    answer = rank_videos if loss_type == "ranking" else classify
    logits = answer(params, batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    loss = LOSSES[loss_type](logits, batch.labels) / (logits.shape[0] if count is None else count)
    return TaskOutput(loss, logits)


def check_batch_labels(config: Config, batch: TaskBatch) -> None:
    """Refuse labels of the wrong type, shape or range for the clips of a batch."""
    clip = batch.audio if batch.video is None else batch.video
    outputs = clip.shape[1] if config.loss_type == "ranking" else config.num_labels
    check_labels(config.loss_type, batch.labels, clip.shape[0], outputs)


def classify(
    params: Params,
    video: Float[Array, "B T C H W"] | None,
    audio: Float[Array, "B C2 S F"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B labels"]:
    """Give one number for each label: logits, or the predicted numbers of a regression.

    Args:
        params: a model with a classifier.
        video: frames in [-1, 1]; None where there is sound alone.
        audio: log-mel spectrograms in [-1, 1]; None where there are pictures alone.
        video_mask: True where a video token is real; None where all are.
        audio_mask: the same for sound.

    Raises:
        ValueError: no classifier, or clips that do not fit, as in `forward`.
    """
    if params.classifier is None:
        raise ValueError("These parameters have no classifier: give them one by add_classifier.")
    summary = summarise(params, video, audio, video_mask, audio_mask)
    return run_classifier(params.classifier, summary, params.config.classifier_norm_eps)


def summarise(
    params: Params,
    video: Float[Array, "B T C H W"] | None,
    audio: Float[Array, "B C2 S F"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B D"]:
    """Encode clips and sum each up in one vector: cls, or with `config.pooling` "mean" that of its tokens.

    The mean is over all real tokens of video and sound, never over padding, and cls is none of them.
    """
    out = forward(params, video, audio, video_mask, audio_mask)
    if params.config.pooling == "cls":
        return out.cls
    present = [part for part in ((out.video, video_mask), (out.audio, audio_mask)) if part[0] is not None]
    tokens, masks = zip(*present, strict=True)
    xp = namespace(*tokens)
    x = xp.concat(tokens, axis=1)
    is_real = join_masks(tokens, masks)
    if is_real is None:
        return xp.mean(x, axis=1)
    is_real = is_real[:, :, None]
    count = xp.sum(xp.astype(is_real, x.dtype), axis=1)
    return xp.sum(xp.where(is_real, x, 0.0), axis=1) / xp.maximum(count, 1.0)


def run_classifier(
    classifier: Classifier, summary: Float[Array, "B D"], eps: float
) -> Float[Array, "B labels"]:
    """Widen, normalise (with `eps` added to the variance), bend, and answer; the pooler may come first."""
    xp = namespace(classifier.output.weight, summary)
    if classifier.pooler is not None:
        summary = xp.tanh(run_linear(summary, classifier.pooler))
    x = run_norm(run_linear(summary, classifier.expand), classifier.norm, eps)
    return run_head(xp.gelu(x), classifier.output)


def rank_videos(
    params: Params,
    videos: Float[Array, "B n T C H W"],
    audio: Float[Array, "B C2 S F"],
    video_mask: Bool[Array, "B n Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B n"]:
    """Score how well each of n videos fits the sound of its row: the highest score is the model's choice.

    Every clip is embedded once, however often its tokens are used. Source: TVLT, section 5 (retrieval).

    Raises:
        ValueError: no head that ranks, or clips that do not fit each other.
    """
    check_candidates(params, videos, audio, video_mask, audio_mask)
    encoder, config = params.encoder, params.config
    xp = namespace(encoder.cls, videos, audio)
    B, n = videos.shape[:2]
    videos = xp.reshape(videos, (B * n, *videos.shape[2:]))
    video_mask = None if video_mask is None else xp.reshape(video_mask, (B * n, video_mask.shape[2]))
    sounds = repeat_rows(embed_audio(encoder, config, audio, audio_mask), n)
    audio_mask = None if audio_mask is None else repeat_rows(audio_mask, n)
    tokens = embed_video(encoder, config, videos, video_mask)
    cls = encode(params, tokens, sounds, video_mask, audio_mask).cls
    return xp.reshape(match(params.ranking, cls), (B, n))  # (B, n)


def repeat_rows(x: Shaped[Array, "B *rest"], n: int) -> Shaped[Array, "B*{n} *rest"]:
    """Have every row n times, one after the other."""
    xp = namespace(x)
    B, rest = x.shape[0], x.shape[1:]
    return xp.reshape(xp.broadcast_to(xp.reshape(x, (B, 1, *rest)), (B, n, *rest)), (B * n, *rest))


def check_candidates(
    params: Params, videos: Array, audio: Array, video_mask: Array | None, audio_mask: Array | None
) -> None:
    """Refuse candidate videos that do not fit the sounds or the model, before any work is done."""
    if params.ranking is None:
        raise ValueError("These parameters have no head that ranks videos: give them one by add_ranking.")
    if videos is None or audio is None or len(videos.shape) != 6 or videos.shape[0] != audio.shape[0]:
        shapes = ["nothing" if x is None else str(tuple(x.shape)) for x in (videos, audio)]
        raise ValueError(
            "Expected several videos for every sound, (B, n, T, C, H, W) and (B, C, S, F), "
            f"got {' and '.join(shapes)}."
        )
    xp, (B, n) = namespace(params.encoder.cls, videos, audio), videos.shape[:2]
    flat = xp.reshape(videos, (B * n, *videos.shape[2:]))
    if video_mask is not None:
        if tuple(video_mask.shape[:2]) != (B, n):
            raise ValueError(
                f"Expected video_mask of the shape {(B, n)} and tokens, got {tuple(video_mask.shape)}."
            )
        video_mask = namespace(video_mask).reshape(video_mask, (B * n, -1))
    check_clips(params.config, flat, None, video_mask, None)
    check_clips(params.config, None, audio, None, audio_mask)
