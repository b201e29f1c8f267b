"""Retrieval: the score of every audio with every video (TVLT, section 5).

The scores are those of `forward` on each pair, but each clip is embedded once, and pairs are scored in groups
of a size that suits the backend.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from minitvlt.backends import Array, map_tree, namespace, to_backend
from minitvlt.backends.fast.threads import share
from minitvlt.model.checks import check_clips
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.model.tasks import find_head
from minitvlt.model.tvlt import embed_audio, embed_video, match, run_encoder
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import move_beside

# Numbers in the widest array of a group of pairs. NumPy scores a group on each core and is fastest while its
# arrays are small; other libraries spread a group over all cores, or over a GPU.
NUMPY_GROUP, LARGE_GROUP = 1 << 20, 1 << 24

# Embedded clips of one modality, and their padding mask: None where all tokens are real
Embedded = tuple[Float[Array, "_clips _N D"], Bool[Array, "_clips _N"] | None]


def score_all_pairs(
    params: Params,
    examples: Examples | PretrainingBatch,
    video_examples: Examples | PretrainingBatch | None = None,
) -> Float[np.ndarray, "n m"]:
    """Score every audio (rows) with every video (columns): the higher, the better they match.

    The scores are those of the ranking head if the model has one, else the logits of the matching head. Apart
    from the returned array, the memory does not grow with the number of pairs.

    Args:
        params: the model, on any backend.
        examples: n clips with audio.
        video_examples: m clips with video; None means those of `examples`.

    Raises:
        ValueError: neither head, no audio, no video, or clips that do not fit the model.
    """
    video_examples = examples if video_examples is None else video_examples
    for name, clips in (("audio", examples.audio), ("video", video_examples.video)):
        if clips is None or len(clips) == 0:
            raise ValueError(f"Expected at least one clip with {name}, got none.")
    check_clips(params.config, (None, examples.audio), (None, examples.audio_mask))
    check_clips(params.config, (video_examples.video, None), (video_examples.video_mask, None))
    find_head(params)
    audio, audio_mask = move_beside(params, (examples.audio, examples.audio_mask))
    video, video_mask = move_beside(params, (video_examples.video, video_examples.video_mask))
    audio = embed_audio(params.encoder, params.config, audio, audio_mask)
    video = embed_video(params.encoder, params.config, video, video_mask)
    return score_embedded(params, (audio, audio_mask), (video, video_mask))


def score_embedded(params: Params, audio: Embedded, video: Embedded) -> Float[np.ndarray, "n m"]:
    """Score all pairs of embedded clips in groups, which NumPy shares between threads."""
    is_numpy = namespace(audio[0]).name == "numpy"
    (n, Na, D), (m, Nv, _) = audio[0].shape, video[0].shape
    numbers = (1 + Na + Nv) * max(3 * D, params.config.intermediate_size)  # of a pair, in the widest array
    size = max(1, (NUMPY_GROUP if is_numpy else LARGE_GROUP) // numbers)
    groups = [range(start, min(start + size, n * m)) for start in range(0, n * m, size)]

    def score(some: slice) -> list[Float[np.ndarray, " pairs"]]:
        return [score_group(params, audio, video, *np.divmod(group, m)) for group in groups[some]]

    parts = share(score, len(groups)) if is_numpy else [score(slice(None))]
    return np.concatenate([scores for part in parts for scores in part]).reshape(n, m)


def score_group(
    params: Params,
    audio: Embedded,
    video: Embedded,
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Score pairs of clips, which are given by their numbers."""
    audio, audio_mask = map_tree(lambda array: array[rows, ...], audio)
    video, video_mask = map_tree(lambda array: array[columns, ...], video)
    cls = run_encoder(params, (video, audio), (video_mask, audio_mask)).cls
    return to_backend(match(find_head(params), cls), "numpy")
