"""Pre-training (TVLT, section 4): tell whether a sound belongs to a video, and fill in hidden patches."""

from dataclasses import dataclass

from jaxtyping import Bool, Float

from minitvlt.backends import Array, namespace, walk
from minitvlt.config import Config
from minitvlt.model.checks import check_booleans, check_clips
from minitvlt.model.losses import binary_cross_entropy
from minitvlt.model.masking import Masking
from minitvlt.model.parameters import Decoder, Params
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.transformer import run_blocks, run_linear, run_norm
from minitvlt.model.tvlt import (
    embed_audio,
    embed_video,
    encode,
    forward,
    join_masks,
    match,
    place_audio,
    place_video,
)


@dataclass(frozen=True)
class PretrainingBatch:
    """Clips, what is hidden of them, and pairs to tell apart; a part that no objective needs may be None"""

    video: Float[Array, "B T C H W"] | None
    audio: Float[Array, "B C2 S F"]
    video_mask: Bool[Array, "B Nv"] | None  # True = real token; None: all are
    audio_mask: Bool[Array, "B Na"] | None
    mixed_video: Float[Array, "B T2 C H W"] | None  # in some rows the video of another clip
    mixed_video_mask: Bool[Array, "B Nv2"] | None
    is_match: Bool[Array, "B"] | None  # True where the mixed video is the sound's own
    video_masking: Masking | None
    audio_masking: Masking | None


@dataclass(frozen=True)
class LossCounts:
    """How many things each loss is a mean over"""

    match: float | Float[Array, ""]  # pairs
    video: float | Float[Array, ""]  # hidden patches
    audio: float | Float[Array, ""]


@dataclass(frozen=True)
class PretrainingOutput:
    """The losses, unweighted, and `loss`, their weighted sum; what belongs to a task left out is None"""

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
    """Compute both objectives on one batch.

    Args:
        params: the model; its configuration says which tasks there are and how much they weigh.
        batch: the clips.
        counts: what to divide the summed losses by; None means this batch's own `count_targets`. With the
            counts of a larger batch, the losses of its parts add up to the loss of the whole.

    Raises:
        ValueError: a part of the batch that a task needs and that is None, or that does not fit.
    """
    config = params.config
    check_batch(params, batch)
    counts = counts or count_targets(batch)
    match_loss = match_logits = video_loss = audio_loss = video_prediction = audio_prediction = None
    loss = 0.0
    if config.task_matching:
        match_logits = score_matches(
            params, batch.mixed_video, batch.audio, batch.mixed_video_mask, batch.audio_mask
        )
        surprise = binary_cross_entropy(match_logits, batch.is_match)
        match_loss = namespace(surprise).sum(surprise) / counts.match
        loss = loss + config.matching_weight * match_loss
    if config.task_mae:
        video_prediction, audio_prediction = autoencode(params, batch)
        video_rows = patchify_video(batch.video, config.image_patch_size)
        audio_rows = patchify_audio(batch.audio, config.audio_patch_size)
        video_loss = (
            sum_squared_error(video_prediction, video_rows, batch.video_masking.is_hidden) / counts.video
        )
        audio_loss = (
            sum_squared_error(audio_prediction, audio_rows, batch.audio_masking.is_hidden) / counts.audio
        )
        loss = loss + config.mae_weight * (video_loss + audio_loss)
    return PretrainingOutput(
        loss, match_loss, video_loss, audio_loss, match_logits, video_prediction, audio_prediction
    )


def count_targets(batch: PretrainingBatch) -> LossCounts:
    """Count pairs and hidden patches; at least 1 of each, so that nothing hidden means a loss of 0."""

    def count_hidden(masking: Masking | None) -> float:
        if masking is None:
            return 1.0
        xp = namespace(masking.is_hidden)
        return max(1.0, float(xp.sum(xp.astype(masking.is_hidden, masking.keep.dtype))))

    return LossCounts(
        float(batch.audio.shape[0]), count_hidden(batch.video_masking), count_hidden(batch.audio_masking)
    )


def score_matches(
    params: Params,
    video: Float[Array, "B T C H W"],
    audio: Float[Array, "B C2 S F"],
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
) -> Float[Array, "B"]:
    """Score whether each sound belongs to the video in the same row, as logits (TVLT, section 4.1)."""
    if params.matching is None:
        raise ValueError("These parameters have no matching head: make them with task_matching=True.")
    if video is None or audio is None:
        raise ValueError("Matching needs both: expected video and audio, got only one of them.")
    return match(params.matching, forward(params, video, audio, video_mask, audio_mask).cls)


def sum_squared_error(
    prediction: Float[Array, "B N values"], target: Float[Array, "B N values"], is_hidden: Bool[Array, "B N"]
) -> Float[Array, ""]:
    """Sum over hidden patches of the mean squared error of their raw values (no per-patch normalisation)."""
    xp = namespace(prediction, target)
    error = xp.mean((prediction - target) ** 2, axis=-1)
    return xp.sum(xp.where(is_hidden, error, 0.0))


def autoencode(
    params: Params, batch: PretrainingBatch
) -> tuple[Float[Array, "B Nv video_values"], Float[Array, "B Na audio_values"]]:
    """Show the encoder the kept patches of both modalities; the decoder predicts all (TVLT, section 4.2)."""
    encoder, config, decoder = params.encoder, params.config, params.decoder
    if decoder is None:
        raise ValueError("These parameters have no decoder: make them with task_mae=True.")
    check_masked_batch(config, batch)
    video_masking, audio_masking = batch.video_masking, batch.audio_masking
    seen = encode(
        params,
        keep_tokens(embed_video(encoder, config, batch.video, batch.video_mask), video_masking),
        keep_tokens(embed_audio(encoder, config, batch.audio, batch.audio_mask), audio_masking),
        None if batch.video_mask is None else video_masking.keep_is_real,
        None if batch.audio_mask is None else audio_masking.keep_is_real,
        has_cls=config.cls_in_autoencoding,
    )
    T, grid = batch.video.shape[1], _grid(batch.video, config.image_patch_size)
    video = restore_tokens(run_linear(seen.video, decoder.entry), decoder.video_mask_token, video_masking)
    video = video + place_video(decoder.video_positions, config, T, grid, batch.video_mask)
    audio = restore_tokens(run_linear(seen.audio, decoder.entry), decoder.audio_mask_token, audio_masking)
    grid = _grid(batch.audio, config.audio_patch_size)
    audio = audio + place_audio(decoder.audio_positions, grid, batch.audio_mask)
    video, audio = decode(decoder, config, video, audio, batch.video_mask, batch.audio_mask)
    return run_linear(video, decoder.video_head), run_linear(audio, decoder.audio_head)


def keep_tokens(tokens: Float[Array, "B N D"], masking: Masking) -> Float[Array, "B K D"]:
    """Pick the tokens that the encoder sees."""
    return namespace(tokens).take_along_axis(tokens, masking.keep[:, :, None], axis=1)


def restore_tokens(
    kept: Float[Array, "B K D"], mask_token: Float[Array, "D"], masking: Masking
) -> Float[Array, "B N D"]:
    """Put the kept tokens back in their places and the mask token in all others."""
    xp = namespace(kept, mask_token)
    B, K, D = kept.shape
    hole = xp.broadcast_to(xp.reshape(mask_token, (1, 1, D)), (B, 1, D))  # (B, 1, D)
    source = xp.where(masking.is_hidden | (masking.restore >= K), K, masking.restore)
    return xp.take_along_axis(xp.concat([kept, hole], axis=1), source[:, :, None], axis=1)


def decode(
    decoder: Decoder,
    config: Config,
    video: Float[Array, "B Nv D"],
    audio: Float[Array, "B Na D"],
    video_mask: Bool[Array, "B Nv"] | None,
    audio_mask: Bool[Array, "B Na"] | None,
) -> tuple[Float[Array, "B Nv D"], Float[Array, "B Na D"]]:
    """Run the decoder on each modality alone, as the paper found better, or on both in one sequence."""

    def run(x: Float[Array, "B N D"], is_real: Bool[Array, "B N"] | None) -> Float[Array, "B N D"]:
        heads, eps = config.decoder_num_attention_heads, config.layer_norm_eps
        saves_memory = config.gradient_checkpointing
        x = run_blocks(x, decoder.blocks, heads, eps, is_real, saves_memory=saves_memory).x
        return run_norm(x, decoder.norm, eps)

    if not config.joint_decoder:
        return run(video, video_mask), run(audio, audio_mask)
    Nv = video.shape[1]
    both = namespace(video, audio).concat([video, audio], axis=1)
    x = run(both, join_masks((video, audio), (video_mask, audio_mask)))
    return x[:, :Nv, ...], x[:, Nv:, ...]


def paste_visible(
    prediction: Float[Array, "B N values"], target: Float[Array, "B N values"], is_hidden: Bool[Array, "B N"]
) -> Float[Array, "B N values"]:
    """Complete a picture: predicted patches where they were hidden, the true ones elsewhere."""
    return namespace(prediction, target).where(is_hidden[:, :, None], prediction, target)


def check_batch(params: Params, batch: PretrainingBatch) -> None:
    """Refuse a batch of another library than the parameters', or one that lacks what a task needs."""
    namespace(params.encoder.cls, *(array for _, array in walk(batch)))
    if params.config.task_matching:
        _check_needs(batch, ("audio", "mixed_video", "is_match"))
        check_clips(params.config, batch.mixed_video, batch.audio, batch.mixed_video_mask, batch.audio_mask)
        check_booleans("is_match", batch.is_match, (batch.audio.shape[0],))
    if params.config.task_mae:
        check_masked_batch(params.config, batch)


def check_masked_batch(config: Config, batch: PretrainingBatch) -> None:
    """Refuse a batch that lacks what autoencoding needs, or whose masks do not fit its clips."""
    _check_needs(batch, ("video", "audio", "video_masking", "audio_masking"))
    check_clips(config, batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    h, w = _grid(batch.video, config.image_patch_size)
    s, f = _grid(batch.audio, config.audio_patch_size)
    counts = {"video_masking": batch.video.shape[1] * h * w, "audio_masking": s * f}
    for name, N in counts.items():
        masking, B = getattr(batch, name), batch.audio.shape[0]
        check_booleans(f"{name}.is_hidden", masking.is_hidden, (B, N))
        check_booleans(f"{name}.keep_is_real", masking.keep_is_real, tuple(masking.keep.shape))
        if tuple(masking.restore.shape) != (B, N) or masking.keep.shape[0] != B:
            raise ValueError(
                f"Expected {name} for {B} clips of {N} tokens: make it with the batch's own sizes."
            )


def _check_needs(batch: PretrainingBatch, names: tuple[str, ...]) -> None:
    missing = [name for name in names if getattr(batch, name) is None]
    if missing:
        raise ValueError(f"The batch lacks {', '.join(missing)}, which the configured tasks need.")


def _grid(clip: Array, patch: tuple[int, int]) -> tuple[int, int]:
    """Patches along the last two axes."""
    return clip.shape[-2] // patch[0], clip.shape[-1] // patch[1]
