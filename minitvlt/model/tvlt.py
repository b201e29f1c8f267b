"""The TVLT encoder: cls, video and audio tokens in one sequence (Tang et al. 2022, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float

from minitvlt.backends import Array, namespace
from minitvlt.config import Config
from minitvlt.model.checks import check_clips, check_library
from minitvlt.model.parameters import AudioPositions, Encoder, Linear, MatchingHead, Params, VideoPositions
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.transformer import Mask, run_blocks, run_linear, run_norm

# Video and audio, either of which may be missing, and True for their real tokens, None where all are
Clips = tuple[Float[Array, "B T C H W"] | None, Float[Array, "B C2 S F"] | None]
Tokens = tuple[Float[Array, "B Nv D"] | None, Float[Array, "B Na D"] | None]
Masks = tuple[Bool[Array, "B Nv"] | None, Bool[Array, "B Na"] | None]
TOKEN_ORDERS = {"video-first": ("cls", "video", "audio"), "audio-first": ("cls", "audio", "video")}


@dataclass(frozen=True)
class Output:
    """The output of the encoder; N = 1 + Nv + Na"""

    cls: Float[Array, "B D"] | None  # the summary of both modalities
    video: Float[Array, "B Nv D"] | None
    audio: Float[Array, "B Na D"] | None
    sequence: Float[Array, "B N D"]  # cls, video, audio; cls, audio, video where the configuration says so
    hidden: tuple[Float[Array, "B N D"], ...] | None  # layers + 1, before the final norm
    attention: tuple[Float[Array, "B heads N N"], ...] | None  # one a layer


def forward(
    params: Params,
    video: Float[Array, "B T C H W"] | None,
    audio: Float[Array, "B C2 S F"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
    return_hidden: bool = False,
    return_attention: bool = False,
) -> Output:
    """Encode clips: both modalities, or one alone where the other is None.

    Args:
        params: the model.
        video: frames in [-1, 1].
        audio: log-mel spectrograms in [-1, 1].
        video_mask: True where a video token is real; None where all are. No token attends to padding.
        audio_mask: the same for audio.
        return_hidden: also return the tokens between the layers.
        return_attention: also return the attention maps.

    Raises:
        ValueError: neither modality, axes or channels that do not fit, sizes that the patch does not divide,
            masks of another shape or type, arrays of different libraries.
    """
    check_library(params, video, audio, video_mask, audio_mask)
    clips, masks = (video, audio), (video_mask, audio_mask)
    check_clips(params.config, clips, masks)
    return run_encoder(params, embed_clips(params, clips, masks), masks, return_hidden, return_attention)


def encode(
    params: Params,
    video_tokens: Float[Array, "B Nv D"] | None,
    audio_tokens: Float[Array, "B Na D"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
    return_hidden: bool = False,
    return_attention: bool = False,
    has_cls: bool = True,
) -> Output:
    """Run embedded tokens of any origin through the encoder: `forward` without the embeddings.

    Args:
        params: the model.
        video_tokens: patch embeddings with position and modality embeddings added; None for audio alone.
        audio_tokens: the same for audio; None for video alone.
        video_mask: True where a video token is real; None where all are. No token attends to padding.
        audio_mask: the same for audio.
        return_hidden: also return the tokens between the layers.
        return_attention: also return the attention maps.
        has_cls: whether the sequence begins with the cls token.

    Raises:
        ValueError: neither modality, tokens of another width, masks of another shape or type, arrays of
            different libraries.
    """
    check_library(params, video_tokens, audio_tokens, video_mask, audio_mask)
    tokens, masks = (video_tokens, audio_tokens), (video_mask, audio_mask)
    check_clips(params.config, tokens, masks, is_embedded=True)
    return run_encoder(params, tokens, masks, return_hidden, return_attention, has_cls)


def run_encoder(
    params: Params,
    tokens: Tokens,
    masks: Masks,
    return_hidden: bool = False,
    return_attention: bool = False,
    has_cls: bool = True,
) -> Output:
    """Do the work of `encode`, after its checks."""
    encoder, config, cls = params.encoder, params.config, None
    if has_cls:
        xp, D = namespace(encoder.cls, *tokens), config.hidden_size
        B = (tokens[1] if tokens[0] is None else tokens[0]).shape[0]
        cls = xp.broadcast_to(xp.reshape(encoder.cls, (1, 1, D)), (B, 1, D))  # (B, 1, D)
    # The released code masks cls as the first audio patch; in autoencoding all of them may be hidden.
    audio_mask = masks[1] if config.silence_is_padding else None
    cls_mask = None if audio_mask is None or audio_mask.shape[1] == 0 else audio_mask[:, :1]
    parts = {"cls": (cls, cls_mask), "video": (tokens[0], masks[0]), "audio": (tokens[1], masks[1])}
    order = [name for name in TOKEN_ORDERS[config.token_order] if parts[name][0] is not None]
    x, is_real = join_tokens(*zip(*(parts[name] for name in order), strict=True))
    heads, eps = config.num_attention_heads, config.layer_norm_eps
    hidden, maps = [x] if return_hidden else None, [] if return_attention else None
    x = run_blocks(x, encoder.blocks, heads, eps, is_real, hidden, maps, config.gradient_checkpointing)
    x = x if encoder.norm is None else run_norm(x, encoder.norm, eps)
    found, start = dict.fromkeys(parts), 0
    for name in order:
        stop = start + parts[name][0].shape[1]
        found[name], start = x[:, start:stop, ...], stop
    found["cls"] = found["cls"][:, 0, ...] if has_cls else None
    hidden, maps = (None if arrays is None else tuple(arrays) for arrays in (hidden, maps))
    return Output(**found, sequence=x, hidden=hidden, attention=maps)


def join_tokens(
    parts: Sequence[Float[Array, "B _ D"] | None], masks: Sequence[Bool[Array, "B _"] | None]
) -> tuple[Float[Array, "B N D"], Bool[Array, "B N"] | None]:
    """Concatenate the parts that there are, and their padding masks: None where no token is padding."""
    pairs = [(x, mask) for x, mask in zip(parts, masks, strict=True) if x is not None]
    tokens = namespace(*parts).concat([x for x, _ in pairs], axis=1)
    present = [mask for mask in masks if mask is not None]
    if not present:
        return tokens, None
    xp = namespace(*present)
    filled = [~xp.zeros(x.shape[:2], present[0]) if mask is None else mask for x, mask in pairs]
    return tokens, xp.concat(filled, axis=1)


# ---- embeddings


def embed_clips(params: Params, clips: Clips, masks: Masks) -> Tokens:
    """Embed the modalities that there are."""
    (video, audio), (video_mask, audio_mask) = clips, masks
    video = None if video is None else embed_video(params.encoder, params.config, video, video_mask)
    audio = None if audio is None else embed_audio(params.encoder, params.config, audio, audio_mask)
    return video, audio


def embed_video(
    encoder: Encoder, config: Config, video: Float[Array, "B T C H W"], mask: Mask = None
) -> Float[Array, "B N D"]:
    """Patch embeddings plus position and modality embeddings of frames."""
    tokens = embed_patches(patchify_video(video, config.image_patch_size), encoder.video_patches)
    return tokens + video_position_embedding(encoder.video_positions, config, video.shape, mask)


def embed_audio(
    encoder: Encoder, config: Config, audio: Float[Array, "B C S F"], mask: Mask = None
) -> Float[Array, "B N D"]:
    """Patch embeddings plus position and modality embeddings of a spectrogram."""
    tokens = embed_patches(patchify_audio(audio, config.audio_patch_size), encoder.audio_patches)
    return tokens + audio_position_embedding(encoder.audio_positions, config, audio.shape, mask)


def embed_patches(
    rows: Float[Array, "B N values"], linear: Linear
) -> Float[Array, "B N {linear.weight.shape[0]}"]:
    """Project patches to tokens, in the parameters' precision: float64 clips do not make a float64 model."""
    xp = namespace(rows, linear.weight)
    return run_linear(xp.astype(rows, linear.weight.dtype), linear)


def video_position_embedding(
    positions: VideoPositions, config: Config, shape: Sequence[int], mask: Mask = None
) -> Float[Array, "N D"]:
    """Position and modality embeddings of video of the shape (B, T, C, H, W), in the order of its tokens."""
    xp = namespace(positions.space)
    (_, T, _, H, W), (p, q), D = shape, config.image_patch_size, positions.space.shape[1]
    h, w = H // p, W // q  # rows and columns of patches
    space = xp.reshape(positions.space, (*config.image_grid, D))
    space = xp.permute_dims(interpolate_positions(space, h), (1, 0, 2))  # (config.image_grid[1], h, D)
    space = xp.permute_dims(interpolate_positions(space, w), (1, 0, 2))  # (h, w, D)
    time = fit_time_positions(positions.time, T, mask) + positions.modality  # (T, D)
    both = time[:, None, :] + xp.reshape(space, (h * w, D))  # (T, h*w, D)
    return xp.reshape(both, (T * h * w, D))  # (T*h*w, D)


def audio_position_embedding(
    positions: AudioPositions, config: Config, shape: Sequence[int], mask: Mask = None
) -> Float[Array, "N D"]:
    """Position and modality embeddings of audio of the shape (B, C, S, F), in the order of its tokens."""
    xp = namespace(positions.time)
    (_, _, S, F), (p, q), D = shape, config.audio_patch_size, positions.time.shape[1]
    s, f = S // p, F // q  # patches along time and along frequency
    time = fit_time_positions(positions.time, s, mask) + positions.modality  # (s, D)
    both = time[:, None, :] + interpolate_positions(positions.frequency, f)  # (s, f, D)
    return xp.reshape(both, (s * f, D))  # (s*f, D)


def fit_time_positions(table: Float[Array, "rows D"], n: int, mask: Mask = None) -> Float[Array, "{n} D"]:
    """Take the first n rows of a table of time positions, or interpolate a table that is too short.

    It is interpolated to the last time step that is real in any clip, so that more padding changes no clip;
    the steps beyond get zeros.
    """
    xp, (rows, D) = namespace(table), table.shape
    if n <= rows:
        return table[:n, :]
    longest = n if mask is None else max(rows, count_steps(mask, n))
    table = interpolate_positions(table, longest)  # (longest, D)
    return xp.concat([table, xp.zeros((n - longest, D), table)], axis=0)  # (n, D)


def count_steps(mask: Bool[Array, "B N"], n: int) -> int:
    """Count the time steps, of n, up to the last one that is real in any clip."""
    xp, N = namespace(mask), mask.shape[1]
    last = int(xp.max(xp.where(mask, xp.arange(N, mask), -1)))
    return last // (N // n) + 1


def interpolate_positions(table: Float[Array, "rows *rest"], n: int) -> Float[Array, "{n} *rest"]:
    """Interpolate a table linearly along its first axis to n rows, as PyTorch does (align_corners=False)."""
    xp, (rows, *rest) = namespace(table), table.shape
    if n == rows:
        return table
    old, new = (xp.astype(xp.arange(count, table), table.dtype) for count in (rows, n))
    place = xp.minimum(xp.maximum((new + 0.5) * (rows / n) - 0.5, 0.0), rows - 1.0)  # (n,)
    weights = xp.maximum(1.0 - xp.abs(place[:, None] - old), 0.0)  # (n, rows)
    return xp.reshape(xp.matmul(weights, xp.reshape(table, (rows, -1))), (n, *rest))  # (n, *rest)


# ---- the matching head


def match(head: MatchingHead, cls: Float[Array, "B D"]) -> Float[Array, "B"]:
    """Score how well the audio and the video of each clip belong together, as logits."""
    xp = namespace(head.pooler.weight, cls)
    return run_linear(xp.tanh(run_linear(cls, head.pooler)), head.score)[:, 0]
