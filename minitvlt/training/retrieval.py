"""Retrieval: the score of every sound with every video, from which either can be looked for by the other.

A pair costs less here than in `forward`, and gets the same score. What the tokens of a clip are before they
meet those of another, up to the queries, keys and values of the first transformer block, is computed once for
many pairs; and of the last block only cls is computed, because nothing else is read.
"""

from dataclasses import dataclass
from itertools import pairwise, product
from math import isqrt

import numpy as np
from jaxtyping import Bool, Float, Shaped

from minitvlt.backends import Array, map_tree, namespace, to_backend
from minitvlt.backends.fast.threads import share
from minitvlt.model.checks import check_clips
from minitvlt.model.parameters import Block, MatchingHead, Params
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.model.transformer import join_heads, run_mlp, run_norm, split_heads
from minitvlt.model.tvlt import embed_audio, embed_video, match
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import move_beside

# Numbers in the widest array of a group of pairs that are scored together. NumPy works on a group in each
# core and is fastest while they are small; other libraries spread one over all cores, or a graphics card.
NUMPY_GROUP, LARGE_GROUP = 1 << 20, 1 << 24


@dataclass(frozen=True)
class Tokens:
    """Clips of one modality, embedded"""

    x: Float[Array, "clips N D"]
    is_real: Bool[Array, "clips N"] | None  # None: all are


def score_all_pairs(
    params: Params, sounds: Examples | PretrainingBatch, videos: Examples | PretrainingBatch | None = None
) -> Float[np.ndarray, "sounds videos"]:
    """Score every sound (rows) with every video (columns): the higher, the better they belong together.

    No pair is left out. The scores are those of the head that ranks, if the model has one, else the logits of
    the matching head. Each clip's patches are embedded once. Pairs are scored in groups, so that with their
    number nothing but the table itself grows.

    Args:
        params: the model; where its parameters live, the work is done.
        sounds: clips with sound, whether they have pictures or not.
        videos: clips with pictures, as many as there are; None means those of `sounds`.

    Raises:
        ValueError: no head for pairs, no sounds or no videos, or clips that do not fit the model.
    """
    videos = sounds if videos is None else videos
    check_sets(params, sounds, videos)
    encoder, config = params.encoder, params.config
    audio, audio_mask = move_beside(params, (sounds.audio, sounds.audio_mask))
    video, video_mask = move_beside(params, (videos.video, videos.video_mask))
    heard = Tokens(embed_audio(encoder, config, audio, audio_mask), audio_mask)
    seen = Tokens(embed_video(encoder, config, video, video_mask), video_mask)
    rows, columns = cut_table(params, heard, seen)

    def score(group: tuple[slice, slice]) -> Float[np.ndarray, "rows columns"]:
        some_heard, some_seen = (
            map_tree(lambda x, part=part: x[part, ...], clips)
            for part, clips in zip(group, (heard, seen), strict=True)
        )
        return to_backend(score_group(params, some_heard, some_seen), "numpy")

    groups = list(product(rows, columns))
    if namespace(heard.x).name == "numpy":
        parts = share(lambda some: [score(group) for group in groups[some]], len(groups))
        tables = [table for part in parts for table in part]
    else:
        tables = [score(group) for group in groups]
    return np.block([tables[start : start + len(columns)] for start in range(0, len(tables), len(columns))])


def cut_table(params: Params, heard: Tokens, seen: Tokens) -> tuple[list[slice], list[slice]]:
    """Cut sounds and videos into parts, such that a group of pairs, part with part, has a good size.

    It is as square as it can be: so each clip is computed for as many pairs as possible.
    """
    (n, Na, D), (m, Nv, _) = heard.x.shape, seen.x.shape
    width = max(3 * D, params.config.intermediate_size)
    size = NUMPY_GROUP if namespace(heard.x).name == "numpy" else LARGE_GROUP
    pairs = max(1, size // ((1 + Na + Nv) * width))
    rows = min(n, max(isqrt(pairs), pairs // m))
    columns = max(1, pairs // rows)
    return cut_range(n, rows), cut_range(m, columns)


def cut_range(count: int, size: int) -> list[slice]:
    """Cut 0 … count - 1 into parts of at most `size`."""
    return [slice(start, start + size) for start in range(0, count, size)]


def score_group(params: Params, heard: Tokens, seen: Tokens) -> Float[Array, "sounds videos"]:
    """Score each of some sounds with each of some videos: the encoder's pass, with work shared and saved."""
    encoder, blocks, config = params.encoder, params.encoder.blocks, params.config
    heads, eps = config.num_attention_heads, config.layer_norm_eps
    clips = (encoder.cls[None, None, :], seen.x, heard.x)
    opened = [open_block(x, blocks[0], heads, eps) for x in clips]
    x, query, key, value = (pair_up(*parts) for parts in (clips, *zip(*opened, strict=True)))
    is_real = pair_masks(seen, heard)
    for block, following in pairwise(blocks):
        x = close_block(x, query, key, value, block, eps, is_real)
        query, key, value = open_block(x, following, heads, eps)
    cls = close_block(x[:, :1, :], query[:, :, :1, :], key, value, blocks[-1], eps, is_real)
    cls = cls if encoder.norm is None else run_norm(cls, encoder.norm, eps)
    scores = match(find_head(params), cls[:, 0, :])
    return namespace(scores).reshape(scores, (heard.x.shape[0], seen.x.shape[0]))


def open_block(
    x: Float[Array, "B N D"], block: Block, heads: int, eps: float
) -> tuple[Float[Array, "B {heads} N d"], Float[Array, "B {heads} N d"], Float[Array, "B {heads} N d"]]:
    """Do what a block does to each token alone before attention: make queries, keys and values."""
    return split_heads(run_norm(x, block.attention_norm, eps), block.attention, heads)


def close_block(
    x: Float[Array, "B M D"],
    query: Float[Array, "B heads M d"],
    key: Float[Array, "B heads N d"],
    value: Float[Array, "B heads N d"],
    block: Block,
    eps: float,
    is_real: Bool[Array, "B N"] | None,
) -> Float[Array, "B M D"]:
    """Do the rest of a block: attention, and the MLP; M tokens ask, and N are asked."""
    x = x + join_heads(namespace(x).attention(query, key, value, is_real), block.attention)
    return x + run_mlp(run_norm(x, block.mlp_norm, eps), block.mlp)


def pair_up(
    cls: Shaped[Array, "1 *heads 1 d"],
    videos: Shaped[Array, "m *heads Nv d"],
    sounds: Shaped[Array, "n *heads Na d"],
) -> Shaped[Array, "n*m *heads 1+Nv+Na d"]:
    """Make the sequence of every pair of what cls, m videos and n sounds have; all pairs of a sound first."""
    xp = namespace(cls, videos, sounds)
    m, n = videos.shape[0], sounds.shape[0]
    spread = [
        xp.broadcast_to(xp.reshape(x, (*counts, *x.shape[1:])), (n, m, *x.shape[1:]))
        for x, counts in ((cls, (1, 1)), (videos, (1, m)), (sounds, (n, 1)))
    ]
    pairs = xp.concat(spread, axis=-2)
    return xp.reshape(pairs, (n * m, *pairs.shape[2:]))


def pair_masks(seen: Tokens, heard: Tokens) -> Bool[Array, "pairs N"] | None:
    """Tell which tokens of every pair are real; None where all are."""
    like = heard.is_real if seen.is_real is None else seen.is_real
    if like is None:
        return None
    xp = namespace(like)

    def fill(tokens: Tokens) -> Bool[Array, "clips N 1"]:
        return (
            ~xp.zeros((*tokens.x.shape[:2], 1), like)
            if tokens.is_real is None
            else tokens.is_real[:, :, None]
        )

    return pair_up(~xp.zeros((1, 1, 1), like), fill(seen), fill(heard))[:, :, 0]


def find_head(params: Params) -> MatchingHead:
    """The head that scores pairs: the one that was trained to rank, or the one that was trained to match."""
    head = params.matching if params.ranking is None else params.ranking
    if head is None:
        raise ValueError(
            "These parameters have no head for pairs of sound and video: pre-train with task_matching=True, "
            "or give them one by add_ranking."
        )
    return head


def check_sets(
    params: Params, sounds: Examples | PretrainingBatch, videos: Examples | PretrainingBatch
) -> None:
    """Refuse sets of clips that cannot be paired, before any work is done."""
    find_head(params)
    for name, clips in (("audio", sounds.audio), ("video", videos.video)):
        if clips is None or len(clips) == 0:
            raise ValueError(f"Expected at least one clip with {name}, got none: pairs need sound and video.")
    check_clips(params.config, (None, sounds.audio), (None, sounds.audio_mask))
    check_clips(params.config, (videos.video, None), (videos.video_mask, None))
