"""What shape-changing functions must do, written a second time: in nested loops over single numbers."""

import math

import numpy as np


def patchify_video_by_loops(video: np.ndarray, patch: tuple[int, int]) -> np.ndarray:
    """Lay out the patches of (B, T, C, H, W) as (B, tokens, values): frames, rows, columns; channels last."""
    B, T, C, H, W = video.shape
    p, q = patch
    tokens = np.empty((B, T * (H // p) * (W // q), p * q * C), video.dtype)
    for b in range(B):
        token = 0
        for t in range(T):
            for top in range(0, H, p):
                for left in range(0, W, q):
                    value = 0
                    for y in range(p):
                        for x in range(q):
                            for c in range(C):
                                tokens[b, token, value] = video[b, t, c, top + y, left + x]
                                value += 1
                    token += 1
    return tokens


def patchify_audio_by_loops(audio: np.ndarray, patch: tuple[int, int]) -> np.ndarray:
    """Lay out the patches of (B, C, S, F) as (B, tokens, values): time, then frequency; channels last."""
    return patchify_video_by_loops(audio[:, None], patch)


def attend_by_loops(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, is_real: np.ndarray | None
) -> np.ndarray:
    """Attention, one query at a time, with one number for every key."""
    output = np.zeros(query.shape)
    for b, h, n in np.ndindex(query.shape[:3]):
        keys = [m for m in range(key.shape[2]) if is_real is None or is_real[b, m]]
        scores = [sum(query[b, h, n] * key[b, h, m]) / math.sqrt(query.shape[3]) for m in keys]
        total = sum(map(math.exp, scores))
        for m, score in zip(keys, scores, strict=True):
            output[b, h, n] += math.exp(score) / total * value[b, h, m]
    return output
