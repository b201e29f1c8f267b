"""TVLT: frames and spectrogram in one sequence, behind one summary token (Tang et al. 2022, section 3)."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from jaxtyping import Bool, Float

from minitvlt.backends import Array, namespace
from minitvlt.config import Config
from minitvlt.model.checks import check_clips
from minitvlt.model.parameters import AudioPositions, Encoder, Linear, MatchingHead, Params, VideoPositions
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.transformer import run_blocks, run_head, run_linear, run_norm


@dataclass(frozen=True)
class Output:
    """What the encoder makes of a clip; N = 1 + Nv + Na"""

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
        audio_mask: the same for sound.
        return_hidden: also return the tokens between the layers.
        return_attention: also return the attention maps.

    Raises:
        ValueError: neither modality, axes or channels that do not fit, sizes that the patch does not divide,
            masks of another shape or type, arrays of different libraries.
    """
    check_clips(params.config, video, audio, video_mask, audio_mask)
    namespace(params.encoder.cls, video, audio)
    video_tokens = None if video is None else embed_video(params.encoder, params.config, video, video_mask)
    audio_tokens = None if audio is None else embed_audio(params.encoder, params.config, audio, audio_mask)
    return encode(params, video_tokens, audio_tokens, video_mask, audio_mask, return_hidden, return_attention)


def encode(
    params: Params,
    video: Float[Array, "B Nv D"] | None,
    audio: Float[Array, "B Na D"] | None,
    video_mask: Bool[Array, "B Nv"] | None = None,
    audio_mask: Bool[Array, "B Na"] | None = None,
    return_hidden: bool = False,
    return_attention: bool = False,
    has_cls: bool = True,
) -> Output:
    """Run embedded tokens through the joint encoder; all of them, or only those that a mask keeps."""
    encoder, config = params.encoder, params.config
    tokens = {"cls": None, "video": video, "audio": audio}
    masks = {"cls": None, "video": video_mask, "audio": audio_mask}
    if has_cls:
        xp, D = namespace(encoder.cls, video, audio), config.hidden_size
        B = (audio if video is None else video).shape[0]
        tokens["cls"] = xp.broadcast_to(xp.reshape(encoder.cls, (1, 1, D)), (B, 1, D))  # (B, 1, D)
    order = [name for name in TOKEN_ORDERS[config.token_order] if tokens[name] is not None]
    parts = tuple(tokens[name] for name in order)
    out = run_blocks(
        namespace(*parts).concat(parts, axis=1),
        encoder.blocks,
        config.num_attention_heads,
        config.layer_norm_eps,
        join_masks(parts, tuple(masks[name] for name in order)),
        return_hidden,
        return_attention,
        config.gradient_checkpointing,
    )
    x = out.x if encoder.norm is None else run_norm(out.x, encoder.norm, config.layer_norm_eps)
    cut = dict(zip(order, split_tokens(x, [part.shape[1] for part in parts]), strict=True))
    return Output(
        cls=cut["cls"][:, 0, ...] if has_cls else None,
        video=cut.get("video"),
        audio=cut.get("audio"),
        sequence=x,
        hidden=out.hidden,
        attention=out.attention,
    )


TOKEN_ORDERS = {"video-first": ("cls", "video", "audio"), "audio-first": ("cls", "audio", "video")}


def split_tokens(x: Float[Array, "B N D"], lengths: list[int]) -> list[Float[Array, "B _ D"]]:
    """Cut a sequence into its parts again."""
    edges = [0, *accumulate(lengths)]
    return [x[:, start:stop, ...] for start, stop in pairwise(edges)]


def join_masks(
    parts: tuple[Float[Array, "B _ D"], ...], masks: tuple[Bool[Array, "B _"] | None, ...]
) -> Bool[Array, "B N"] | None:
    """Join the masks of a sequence's parts; one left out counts as all True, None means no padding at all."""
    present = [mask for mask in masks if mask is not None]
    if not present:
        return None
    xp = namespace(*present)
    B = present[0].shape[0]
    joined = [
        ~xp.zeros((B, part.shape[1]), present[0]) if mask is None else mask
        for part, mask in zip(parts, masks, strict=True)
    ]
    return xp.concat(joined, axis=1)


def embed_video(
    encoder: Encoder, config: Config, video: Float[Array, "B T C H W"], mask: Bool[Array, "B N"] | None = None
) -> Float[Array, "B N D"]:
    """Turn frames into tokens: a linear map of each patch, plus its place, its frame and its modality."""
    p, q = config.image_patch_size
    T, H, W = video.shape[1], video.shape[3], video.shape[4]
    tokens = embed_patches(patchify_video(video, (p, q)), encoder.video_patches)
    return tokens + place_video(encoder.video_positions, config, T, (H // p, W // q), mask)


def embed_audio(
    encoder: Encoder, config: Config, audio: Float[Array, "B C S F"], mask: Bool[Array, "B N"] | None = None
) -> Float[Array, "B N D"]:
    """Turn a spectrogram into tokens: a linear map of each patch, plus its time, frequency and modality."""
    p, q = config.audio_patch_size
    S, F = audio.shape[2], audio.shape[3]
    tokens = embed_patches(patchify_audio(audio, (p, q)), encoder.audio_patches)
    return tokens + place_audio(encoder.audio_positions, (S // p, F // q), mask)


def embed_patches(
    rows: Float[Array, "B N values"], linear: Linear
) -> Float[Array, "B N {linear.weight.shape[0]}"]:
    """Map patches to tokens, in the precision of the parameters: data in float64 make no model of float64."""
    xp = namespace(rows, linear.weight)
    return run_linear(xp.astype(rows, linear.weight.dtype), linear)


def place_video(
    positions: VideoPositions,
    config: Config,
    T: int,
    grid: tuple[int, int],
    mask: Bool[Array, "B N"] | None = None,
) -> Float[Array, "{T}*{grid[0]}*{grid[1]} D"]:
    """Positions of all patches of T frames of (rows, columns) patches, in the order of the tokens."""
    xp = namespace(positions.space)
    h, w = grid
    space, D = positions.space, positions.space.shape[1]
    if grid != config.image_grid:
        space = xp.reshape(space, (*config.image_grid, D))
        space = stretch(space, h)
        space = xp.permute_dims(stretch(xp.permute_dims(space, (1, 0, 2)), w), (1, 0, 2))  # (h, w, D)
        space = xp.reshape(space, (h * w, D))  # (h*w, D)
    time = fit_length(positions.time, T, mask)  # (T, D)
    both = xp.reshape(time + positions.modality, (T, 1, D)) + space  # (T, h*w, D)
    return xp.reshape(both, (T * h * w, D))  # (T*h*w, D)


def place_audio(
    positions: AudioPositions, grid: tuple[int, int], mask: Bool[Array, "B N"] | None = None
) -> Float[Array, "{grid[0]}*{grid[1]} D"]:
    """Positions of all patches of (steps, bands) patches, in the order of the tokens: frequency fastest."""
    xp = namespace(positions.time)
    s, f = grid
    D = positions.time.shape[1]
    time = fit_length(positions.time, s, mask)  # (s, D)
    frequency = positions.frequency if f == positions.frequency.shape[0] else stretch(positions.frequency, f)
    both = xp.reshape(time + positions.modality, (s, 1, D)) + frequency  # (s, f, D)
    return xp.reshape(both, (s * f, D))  # (s*f, D)


def fit_length(
    table: Float[Array, "rows D"], n: int, mask: Bool[Array, "B N"] | None = None
) -> Float[Array, "{n} D"]:
    """Serve n positions in time: the first rows of a table that is long enough, else the table stretched.

    It is stretched to the last position that is real in any clip, so that more padding changes no clip; what
    lies beyond gets zeros.
    """
    rows, D = table.shape
    longest = n if mask is None or n <= rows else find_length(mask, n)
    if longest > rows:
        table = stretch(table, longest)
    if n <= table.shape[0]:
        return table if n == table.shape[0] else table[:n, :]
    xp = namespace(table)
    return xp.concat([table, xp.zeros((n - table.shape[0], D), table)], axis=0)  # (n, D)


def find_length(mask: Bool[Array, "B N"], n: int) -> int:
    """Of n steps that a clip's tokens make up, count those up to the last one that is real in any clip."""
    xp = namespace(mask)
    N = mask.shape[1]
    last = int(xp.max(xp.where(mask, xp.arange(N, mask), -1)))
    return last // (N // n) + 1


def stretch(table: Float[Array, "rows *rest"], n: int) -> Float[Array, "{n} *rest"]:
    """Interpolate a table linearly to n rows that span the same whole: centres aligned, edges held."""
    xp = namespace(table)
    rows, rest = table.shape[0], table.shape[1:]
    old, new = (xp.astype(xp.arange(count, table), table.dtype) for count in (rows, n))
    place = xp.minimum(xp.maximum((new + 0.5) * (rows / n) - 0.5, 0.0), rows - 1.0)  # (n,)
    weights = xp.maximum(1.0 - xp.abs(place[:, None] - old), 0.0)  # (n, rows)
    flat = xp.reshape(table, (rows, -1))
    return xp.reshape(xp.matmul(weights, flat), (n, *rest))


def match(head: MatchingHead, cls: Float[Array, "B D"]) -> Float[Array, "B"]:
    """Score how well sound and video belong together, as logits: above 0 means a match."""
    xp = namespace(head.pooler.weight, cls)
    return run_head(xp.tanh(run_linear(cls, head.pooler)), head.score)[:, 0]
