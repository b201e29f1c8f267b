"""Pre-training (TVLT, section 4): vision-audio matching and masked autoencoding."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Shaped

from minitvlt.backends import Array, namespace
from minitvlt.config import Config
from minitvlt.model.checks import check_batch, check_part
from minitvlt.model.masking import Masking
from minitvlt.model.parameters import Decoder, Params
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.transformer import run_blocks, run_linear, run_norm
from minitvlt.model.tvlt import (
    Masks,
    Tokens,
    audio_position_embedding,
    embed_clips,
    forward,
    join_tokens,
    match,
    run_encoder,
    video_position_embedding,
)


@dataclass(frozen=True)
class PretrainingBatch:
    """Clips, what is hidden of them, and pairs to match; a part that no objective needs may be None"""

    video: Float[Array, "B T C H W"] | None
    audio: Float[Array, "B C2 S F"]
    video_mask: Bool[Array, "B Nv"] | None  # True = real token; None: all are
    audio_mask: Bool[Array, "B Na"] | None
    mixed_video: Float[Array, "B T2 C H W"] | None  # in some rows the video of another clip
    mixed_video_mask: Bool[Array, "B Nv2"] | None
    is_match: Bool[Array, "B"] | None  # True where the mixed video belongs to the audio
    video_masking: Masking | None
    audio_masking: Masking | None


@dataclass(frozen=True)
class LossCounts:
    """The numbers of terms that each loss is a mean over"""

    match: float | Float[Array, ""]  # pairs
    video: float | Float[Array, ""]  # hidden patches
    audio: float | Float[Array, ""]


@dataclass(frozen=True)
class PretrainingOutput:
    """The losses, unweighted, and `loss`, their weighted sum; what has no task or no head is None"""

    loss: Float[Array, ""]
    match_loss: Float[Array, ""] | None
    video_loss: Float[Array, ""] | None
    audio_loss: Float[Array, ""] | None
    match_logits: Float[Array, "B"] | None
    video_prediction: Float[Array, "B Nv video_values"] | None  # rows as `patchify_video` makes them
    audio_prediction: Float[Array, "B Na audio_values"] | None


def pretraining_loss(
    params: Params, batch: PretrainingBatch, counts: LossCounts | None = None
) -> PretrainingOutput:
    """Compute the losses of both objectives on one batch.

    Args:
        params: the model; its configuration says which objectives there are, and their weights.
        batch: the clips.
        counts: what to divide the summed losses by; None means this batch's own `count_targets`. With the
            counts of a larger batch, the losses of its micro-batches add up to the loss of the whole.

    Raises:
        ValueError: a part of the model or of the batch that a task needs and that is None, or that does not
            fit.
    """
    config = params.config
    check_batch(params, batch, config.task_matching, config.task_mae)
    counts = counts or count_targets(batch)
    match_loss = match_logits = video_loss = audio_loss = video_prediction = audio_prediction = None
    loss = 0.0
    if config.task_matching:
        clips, masks = (batch.mixed_video, batch.audio), (batch.mixed_video_mask, batch.audio_mask)
        cls = run_encoder(params, embed_clips(params, clips, masks), masks).cls
        match_logits = match(params.matching, cls)
        loss_per_pair = binary_cross_entropy(match_logits, batch.is_match)
        match_loss = namespace(loss_per_pair).sum(loss_per_pair) / counts.match
        loss = loss + config.matching_weight * match_loss
    if config.task_mae:
        video_prediction, audio_prediction = predict_patches(params, batch)
        if video_prediction is not None:
            rows = patchify_video(batch.video, config.image_patch_size)
            error = sum_squared_error(video_prediction, rows, batch.video_masking.is_hidden)
            video_loss = error / counts.video
        if audio_prediction is not None:
            rows = patchify_audio(batch.audio, config.audio_patch_size)
            error = sum_squared_error(audio_prediction, rows, batch.audio_masking.is_hidden)
            audio_loss = error / counts.audio
        loss = loss + config.mae_weight * sum(x for x in (video_loss, audio_loss) if x is not None)
    losses = (loss, match_loss, video_loss, audio_loss)
    return PretrainingOutput(*losses, match_logits, video_prediction, audio_prediction)


def count_targets(batch: PretrainingBatch) -> LossCounts:
    """Count pairs and hidden patches; at least 1 of each, so that the loss of no hidden patches is 0."""
    counts = {"match": float(batch.audio.shape[0]), "video": 1.0, "audio": 1.0}
    for name, masking in (("video", batch.video_masking), ("audio", batch.audio_masking)):
        if masking is not None:
            xp = namespace(masking.is_hidden)
            counts[name] = max(1.0, float(xp.sum(xp.astype(masking.is_hidden, masking.keep.dtype))))
    return LossCounts(**counts)


# ---- vision-audio matching (TVLT, section 4.1)


def score_matches(
    params: Params,
    video: Float[Array, "B T C H W"],
    audio: Float[Array, "B C2 S F"],
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B"]:
    """Score whether each audio belongs to the video in the same row, as logits: above 0 means a match.

    Raises:
        ValueError: no matching head, or clips that do not fit, as in `forward`.
    """
    check_part(params, "matching")
    if video is None or audio is None:
        raise ValueError("Matching needs both: expected video and audio, got only one of them.")
    return match(params.matching, forward(params, video, audio, video_mask, audio_mask).cls)


def binary_cross_entropy(
    logits: Float[Array, "*shape"], truth: Shaped[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """-y log σ(z) - (1 - y) log(1 - σ(z)), as max(z, 0) - z·y + log(1 + exp(-|z|)), which never overflows."""
    xp = namespace(logits, truth)
    truth = xp.astype(truth, logits.dtype)
    return xp.maximum(logits, 0.0) - logits * truth + xp.log(1.0 + xp.exp(-xp.abs(logits)))


# ---- masked autoencoding (TVLT, section 4.2)


def autoencode(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[Array, "B Nv video_values"] | None, Float[Array, "B Na audio_values"] | None]:
    """Predict the values of all patches of both modalities from the kept ones; None where there is no head.

    The decoder obeys the padding masks, too. Those of the released code and of transformers do not: where
    there is padding, their predictions are others.

    Raises:
        ValueError: no decoder, or a batch that lacks what autoencoding needs or whose parts do not fit.
    """
    check_batch(params, batch, has_matching=False, has_mae=True)
    return predict_patches(params, batch)


def predict_patches(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[Array, "B Nv video_values"] | None, Float[Array, "B Na audio_values"] | None]:
    """Do the work of `autoencode`, after its checks."""
    config, decoder, masks = params.config, params.decoder, (batch.video_mask, batch.audio_mask)
    maskings = (batch.video_masking, batch.audio_masking)
    tokens = embed_clips(params, (batch.video, batch.audio), masks)
    kept = tuple(map(keep_tokens, tokens, maskings))
    kept_masks = tuple(m if m is None else x.keep_is_real for m, x in zip(masks, maskings, strict=True))
    seen = run_encoder(params, kept, kept_masks, has_cls=config.cls_in_autoencoding)
    video = restore_tokens(run_linear(seen.video, decoder.entry), decoder.video_mask_token, maskings[0])
    video = video + video_position_embedding(decoder.video_positions, config, batch.video.shape, masks[0])
    audio = restore_tokens(run_linear(seen.audio, decoder.entry), decoder.audio_mask_token, maskings[1])
    audio = audio + audio_position_embedding(decoder.audio_positions, config, batch.audio.shape, masks[1])
    video, audio = decode(decoder, config, (video, audio), masks)
    video = None if decoder.video_head is None else run_linear(video, decoder.video_head)
    audio = None if decoder.audio_head is None else run_linear(audio, decoder.audio_head)
    return video, audio


def keep_tokens(tokens: Float[Array, "B N D"], masking: Masking) -> Float[Array, "B K D"]:
    """Pick the tokens that the encoder sees."""
    return namespace(tokens).take_along_axis(tokens, masking.keep[:, :, None], axis=1)


def restore_tokens(
    kept: Float[Array, "B K D"], mask_token: Float[Array, "D"], masking: Masking
) -> Float[Array, "B N D"]:
    """Put the kept tokens back in their places, and the mask token in all others."""
    xp = namespace(kept, mask_token)
    B, K, D = kept.shape
    mask_tokens = xp.broadcast_to(xp.reshape(mask_token, (1, 1, D)), (B, 1, D))  # (B, 1, D)
    source = xp.where(masking.is_hidden | (masking.restore >= K), K, masking.restore)
    return xp.take_along_axis(xp.concat([kept, mask_tokens], axis=1), source[:, :, None], axis=1)


def decode(decoder: Decoder, config: Config, tokens: Tokens, masks: Masks) -> Tokens:
    """Run the decoder on each modality alone, as the paper found better, or on both in one sequence."""
    heads, eps, Nv = config.decoder_num_attention_heads, config.layer_norm_eps, tokens[0].shape[1]
    sequences = [join_tokens(tokens, masks)] if config.joint_decoder else zip(tokens, masks, strict=True)
    decoded = []
    for x, is_real in sequences:
        x = run_blocks(x, decoder.blocks, heads, eps, is_real, None, None, config.gradient_checkpointing)
        decoded.append(run_norm(x, decoder.norm, eps))
    if config.joint_decoder:
        return decoded[0][:, :Nv, ...], decoded[0][:, Nv:, ...]
    return tuple(decoded)


def sum_squared_error(
    prediction: Float[Array, "B N values"], target: Float[Array, "B N values"], is_hidden: Bool[Array, "B N"]
) -> Float[Array, ""]:
    """Sum over hidden patches of the mean squared error of their raw values (no per-patch normalisation)."""
    xp = namespace(prediction, target)
    error = xp.mean((prediction - target) ** 2, axis=-1)  # (*is_hidden.shape,)
    return xp.sum(xp.where(is_hidden, error, 0.0))


def paste_visible(
    prediction: Float[Array, "B N values"], target: Float[Array, "B N values"], is_hidden: Bool[Array, "B N"]
) -> Float[Array, "B N values"]:
    """Combine predicted patches, where they were hidden, with the true patches elsewhere."""
    return namespace(prediction, target).where(is_hidden[:, :, None], prediction, target)
