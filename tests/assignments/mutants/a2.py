"""Wrong and right solutions of assignment a2."""

import itertools
import math

import numpy as np

import minitvlt as mt
from tests.assignments.mutants import mutant, variant

# ---- patchify_video


@mutant("patchify_video", "column by column")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    return x.transpose(0, 1, 5, 3, 4, 6, 2).reshape(B, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "channels come first")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    return x.transpose(0, 1, 3, 5, 2, 4, 6).reshape(B, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "pixels run column by column")
def patchify_video(video, patch):
    tokens = []
    p, q = patch
    for t, r, c in np.ndindex(video.shape[1], video.shape[3] // p, video.shape[4] // q):
        piece = video[:, t, :, r * p : (r + 1) * p, c * q : (c + 1) * q]
        tokens.append(piece.transpose(0, 3, 2, 1).reshape(len(video), -1))
    return np.stack(tokens, axis=1)


@mutant("patchify_video", "frames fastest")
def patchify_video(video, patch):
    p, q = patch
    tokens = []
    for r, c, t in np.ndindex(video.shape[3] // p, video.shape[4] // q, video.shape[1]):
        piece = video[:, t, :, r * p : (r + 1) * p, c * q : (c + 1) * q]
        tokens.append(piece.transpose(0, 2, 3, 1).reshape(len(video), -1))
    return np.stack(tokens, axis=1)


@mutant("patchify_video", "reshape alone")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    return video.reshape(B, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "(q, p)")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    q, p = patch
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    return x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "square")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p = patch[0]
    x = video.reshape(B, T, C, H // p, p, W // p, p)
    return x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * (H // p) * (W // p), p * p * C)


@mutant("patchify_video", "a batch of 2")
def patchify_video(video, patch):
    (T, C, H, W), (p, q) = video.shape[1:], patch
    x = video.reshape(1, T, C, H // p, p, W // q, q)
    return x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(1, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "written as a number")
def patchify_video(video, patch):
    B, T, _, H, W = video.shape
    p, q = patch
    x = video.reshape(B, T, 3, H // p, p, W // q, q)
    return x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * (H // p) * (W // q), p * q * 3)


@mutant("patchify_video", "float64")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    tokens = np.zeros((B, T * (H // p) * (W // q), p * q * C))
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    tokens[:] = x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(tokens.shape)
    return tokens


@mutant("patchify_video", "in place")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    tokens = x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * (H // p) * (W // q), p * q * C).copy()
    video *= 0
    return tokens


@mutant("patchify_video", "every h-th row")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    h, w = H // p, W // q
    tokens = [video[:, t, :, r::h, c::w] for t, r, c in np.ndindex(T, h, w)]
    return np.stack([x.transpose(0, 2, 3, 1).reshape(B, -1) for x in tokens], axis=1)


@mutant("patchify_video", "last reshape is missing")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    return video.reshape(B, T, C, H // p, p, W // q, q).transpose(0, 1, 3, 5, 4, 6, 2)


@mutant("patchify_video", "first frame")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video[:, 0].reshape(B, C, H // p, p, W // q, q)
    return x.transpose(0, 2, 4, 3, 5, 1).reshape(B, -1, p * q * C)


@mutant("patchify_video", "None")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video.reshape(B, T, C, H // p, p, W // q, q)
    x.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * (H // p) * (W // q), p * q * C)


@mutant("patchify_video", "last column")
def patchify_video(video, patch):
    p, q = patch
    tokens = []
    for t in range(video.shape[1]):
        for top in range(0, video.shape[3], p):
            for left in range(0, video.shape[4] - q, q):
                piece = video[:, t, :, top : top + p, left : left + q]
                tokens.append(piece.transpose(0, 2, 3, 1).reshape(len(video), -1))
    return np.stack(tokens, axis=1)


@mutant("patchify_video", "list")
def patchify_video(video, patch):
    p, q = patch
    tokens = []
    for t, r, c in np.ndindex(video.shape[1], video.shape[3] // p, video.shape[4] // q):
        piece = video[:, t, :, r * p : (r + 1) * p, c * q : (c + 1) * q]
        tokens.append(piece.transpose(0, 2, 3, 1).reshape(len(video), -1))
    return tokens


@mutant("patchify_video", "package's own")
def patchify_video(video, patch):
    return mt.patchify_video(video, patch) * 1.0


@mutant("patchify_video", "column by column")
def patchify_video(video, patch):
    B, T, C, H, W = video.shape
    p, q = patch
    x = video.swapaxes(3, 4).reshape(B, T, C, W // q, q, H // p, p)
    return x.transpose(0, 1, 3, 5, 6, 4, 2).reshape(B, T * (H // p) * (W // q), p * q * C)


@variant("patchify_video")
def patchify_video(video, patch):
    p, q = patch
    B, T, C, H, W = video.shape
    split = np.reshape(video, (B, T, C, -1, p, W // q, q))
    return np.einsum("btchpwq->bthwpqc", split).reshape(B, -1, p * q * C)


@variant("patchify_video")
def patchify_video(video, patch):
    p, q = patch
    rows = []
    for clip in video:
        for frame in clip:
            for top in range(0, frame.shape[1], p):
                for left in range(0, frame.shape[2], q):
                    rows.append(frame[:, top : top + p, left : left + q].transpose(1, 2, 0).ravel())
    return np.array(rows).reshape(len(video), -1, p * q * video.shape[2])


@variant("patchify_video")
def patchify_video(video, patch):
    last = np.moveaxis(video, 2, -1)
    strips = np.stack(np.split(last, video.shape[3] // patch[0], axis=2), axis=2)
    cut = np.stack(np.split(strips, video.shape[4] // patch[1], axis=4), axis=3)
    return cut.reshape(len(video), np.prod(cut.shape[1:4]), np.prod(cut.shape[4:]))


@variant("patchify_video")
def patchify_video(video, patch):
    (B, T, C, H, W), (p, q) = video.shape, patch
    h, w = H // p, W // q
    out = np.empty((B, T * h * w, p * q * C), dtype=video.dtype)
    for t, r, c, i, j, k in np.ndindex(T, h, w, p, q, C):
        out[:, (t * h + r) * w + c, (i * q + j) * C + k] = video[:, t, k, r * p + i, c * q + j]
    return out


@variant("patchify_video")
def patchify_video(video, patch):
    x = np.lib.stride_tricks.sliding_window_view(video, patch, axis=(-2, -1))[
        ..., :: patch[0], :: patch[1], :, :
    ]
    x = np.moveaxis(x, 2, -1)
    return np.ascontiguousarray(x).reshape(x.shape[0], -1, patch[0] * patch[1] * video.shape[2])


# ---- unpatchify_video


@mutant("unpatchify_video", ("column by column", "read wrongly"))
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, W // q, H // p, p, q, -1)
    return x.transpose(0, 1, 6, 3, 4, 2, 5).reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", "channels come first")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    C = tokens.shape[-1] // (p * q)
    x = tokens.reshape(len(tokens), T, H // p, W // q, C, p, q)
    return x.transpose(0, 1, 4, 2, 5, 3, 6).reshape(len(tokens), T, C, H, W)


@mutant("unpatchify_video", "reshape alone")
def unpatchify_video(tokens, patch, size):
    T, H, W = size
    return tokens.reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", "neighbours")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, -1)
    return x.transpose(0, 1, 6, 2, 3, 4, 5).reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", "channels")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, 3)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, 3, H, W)


@mutant("unpatchify_video", "channels")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, -1)
    return x.transpose(0, 1, 2, 4, 3, 5, 6).reshape(len(tokens), T, H, W, -1)


@mutant("unpatchify_video", ("(q, p)", "patch"))
def unpatchify_video(tokens, patch, size):
    (T, H, W), (q, p) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, -1)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", "size")
def unpatchify_video(tokens, patch, size):
    (T, W, H), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, -1)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", ("batch", "axis is missing"))
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens[0].reshape(T, H // p, W // q, p, q, -1)
    return x.transpose(0, 5, 1, 3, 2, 4).reshape(T, -1, H, W)


@mutant("unpatchify_video", "float64")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    C = tokens.shape[-1] // p // q
    video = np.zeros((len(tokens), T, C, H, W))
    n = 0
    for t in range(T):
        for top in range(0, H, p):
            for left in range(0, W, q):
                piece = tokens[:, n].reshape(-1, p, q, C).transpose(0, 3, 1, 2)
                video[:, t, :, top : top + p, left : left + q] = piece
                n += 1
    return video


@mutant("unpatchify_video", ("whole number", "float"))
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H / p, W / q, p, q, -1)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, -1, H, W)


@mutant("unpatchify_video", ("frames", "several frames"))
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), H // p, W // q, T, p, q, -1)
    return x.transpose(0, 3, 6, 1, 4, 2, 5).reshape(len(tokens), T, -1, H, W)


@variant("unpatchify_video")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    h, w = H // p, W // q
    split = np.reshape(tokens, (-1, T, h, w, p, q, tokens.shape[2] // (p * q)))
    return np.einsum("bthwpqc->btchpwq", split).reshape(tokens.shape[0], T, split.shape[-1], H, W)


@variant("unpatchify_video")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    C = tokens.shape[-1] // p // q
    video = np.empty((len(tokens), T, C, H, W), tokens.dtype)
    places = itertools.product(range(T), range(0, H, p), range(0, W, q))
    for n, (t, top, left) in enumerate(places):
        piece = tokens[:, n].reshape(-1, p, q, C)
        video[:, t, :, top : top + p, left : left + q] = np.moveaxis(piece, -1, 1)
    return video


@variant("unpatchify_video")
def unpatchify_video(tokens, patch, size):
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(tokens.shape[0] * T, H // p, W // q, p, q, -1)
    x = np.concatenate([x[:, r].swapaxes(1, 2) for r in range(H // p)], axis=1)  # (B*T, H, w, q, C)
    x = x.reshape(tokens.shape[0], T, H, W, -1)
    return np.moveaxis(x, -1, 2)


@variant("unpatchify_video")
def unpatchify_video(tokens, patch, size):
    shape = (len(tokens), size[0], tokens.shape[2] // math.prod(patch), size[1], size[2])
    index = np.arange(math.prod(shape)).reshape(shape)
    B, T, C, H, W = shape
    p, q = patch
    index = index.reshape(B, T, C, H // p, p, W // q, q).transpose(0, 1, 3, 5, 4, 6, 2).ravel()
    video = np.zeros(math.prod(shape), tokens.dtype)
    video[index] = tokens.ravel()
    return video.reshape(shape)


# ---- patchify_audio


@mutant("patchify_audio", ("time fastest", "band by band"))
def patchify_audio(audio, patch):
    B, C, S, F = audio.shape
    p, q = patch
    x = audio.reshape(B, C, S // p, p, F // q, q).transpose(0, 4, 2, 3, 5, 1)
    return x.reshape(B, -1, p * q * C)


@mutant("patchify_audio", "channels come first")
def patchify_audio(audio, patch):
    B, C, S, F = audio.shape
    p, q = patch
    x = audio.reshape(B, C, S // p, p, F // q, q).transpose(0, 2, 4, 1, 3, 5)
    return x.reshape(B, -1, p * q * C)


@mutant("patchify_audio", "channels")
def patchify_audio(audio, patch):
    return patchify_video(audio[:, :, None], patch)


@mutant("patchify_audio", "reshape alone")
def patchify_audio(audio, patch):
    p, q = patch
    return audio.reshape(len(audio), -1, p * q * audio.shape[1])


@mutant("patchify_audio", "what it expects")
def patchify_audio(audio, patch):
    return patchify_video(audio, patch)


@mutant("patchify_audio", ("(q, p)", "patch"))
def patchify_audio(audio, patch):
    return patchify_video(audio[:, None], (patch[1], patch[0]))


@mutant("patchify_audio", "time fastest")
def patchify_audio(audio, patch):
    B, C, S, F = audio.shape
    p, q = patch
    x = audio.swapaxes(2, 3).reshape(B, C, F // q, q, S // p, p).transpose(0, 2, 4, 5, 3, 1)
    return x.reshape(B, -1, p * q * C)


@mutant("patchify_audio", "float64")
def patchify_audio(audio, patch):
    return patchify_video(np.asarray(audio, dtype=float)[:, None], patch)


@mutant("patchify_audio", ("channel", "first"))
def patchify_audio(audio, patch):
    return patchify_video(audio[:, None, :1], patch)


@variant("patchify_audio")
def patchify_audio(audio, patch):
    return patchify_video(np.expand_dims(audio, 1), patch)


@variant("patchify_audio")
def patchify_audio(audio, patch):
    B, C, S, F = audio.shape
    p, q = patch
    x = audio.reshape(B, C, S // p, p, F // q, q)
    return x.transpose(0, 2, 4, 3, 5, 1).reshape(B, (S // p) * (F // q), p * q * C)


@variant("patchify_audio")
def patchify_audio(audio, patch):
    p, q = patch
    starts = itertools.product(range(0, audio.shape[2], p), range(0, audio.shape[3], q))
    rows = [np.moveaxis(audio[:, :, s : s + p, f : f + q], 1, -1).reshape(len(audio), -1) for s, f in starts]
    return np.stack(rows, 1)


@variant("patchify_audio")
def patchify_audio(audio, patch):
    B, C, S, F = audio.shape
    p, q = patch
    x = np.einsum("bcspfq->bsfpqc", audio.reshape(B, C, S // p, p, F // q, q))
    return np.reshape(x, (B, -1, p * q * C))


# ---- unpatchify_audio


@mutant("unpatchify_audio", "channel axis is missing")
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    x = tokens.reshape(len(tokens), S // p, F // q, p, q)
    return x.transpose(0, 1, 3, 2, 4).reshape(len(tokens), S, F)


@mutant("unpatchify_audio", "single frame")
def unpatchify_audio(tokens, patch, size):
    return unpatchify_video(tokens, patch, (1, *size))


@mutant("unpatchify_audio", ("time fastest", "read wrongly"))
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    x = tokens.reshape(len(tokens), F // q, S // p, p, q, -1)
    return x.transpose(0, 5, 2, 3, 1, 4).reshape(len(tokens), -1, S, F)


@mutant("unpatchify_audio", "reshape alone")
def unpatchify_audio(tokens, patch, size):
    return tokens.reshape(len(tokens), -1, *size)


@mutant("unpatchify_audio", ("channels come first", "channels lie"))
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    x = tokens.reshape(len(tokens), S // p, F // q, -1, p, q)
    return x.transpose(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, S, F)


@mutant("unpatchify_audio", "channel")
def unpatchify_audio(tokens, patch, size):
    return unpatchify_video(tokens, patch, (1, *size))[:, :, 0]


@mutant("unpatchify_audio", ("time and frequency", "exchanged"))
def unpatchify_audio(tokens, patch, size):
    return unpatchify_video(tokens, patch, (1, *size))[:, 0].transpose(0, 1, 3, 2)


@mutant("unpatchify_audio", "too few arguments")
def unpatchify_audio(tokens, patch, size):
    return unpatchify_video(tokens, patch)[:, 0]


@variant("unpatchify_audio")
def unpatchify_audio(tokens, patch, size):
    return unpatchify_video(tokens, patch, (1, size[0], size[1])).squeeze(1)


@variant("unpatchify_audio")
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    x = tokens.reshape(len(tokens), S // p, F // q, p, q, -1)
    return x.transpose(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, S, F)


@variant("unpatchify_audio")
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    C = tokens.shape[-1] // (p * q)
    out = np.zeros((len(tokens), C, S, F), tokens.dtype)
    for n in range(tokens.shape[1]):
        s, f = divmod(n, F // q)
        out[:, :, s * p : s * p + p, f * q : f * q + q] = (
            tokens[:, n].reshape(-1, p, q, C).transpose(0, 3, 1, 2)
        )
    return out


@variant("unpatchify_audio")
def unpatchify_audio(tokens, patch, size):
    (S, F), (p, q) = size, patch
    x = tokens.reshape(-1, S // p, F // q, p, q, tokens.shape[2] // p // q)
    return np.einsum("bsfpqc->bcspfq", x).reshape(tokens.shape[0], -1, S, F).copy()


# ---- random_masking


def finish(order, kept, real):
    restore = np.argsort(order, axis=1)
    K = int(kept.max())
    return mt.Masking(order[:, :K], restore, (restore >= kept[:, None]) & real, np.arange(K) < kept[:, None])


def count(real, ratio):
    return np.floor(real.sum(axis=1) * (1 - ratio) + 1e-9).astype(int)


@mutant("random_masking", "inverse permutation")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    order = np.lexsort((noise, ~real), axis=1)
    right = finish(order, count(real, ratio), real)
    return mt.Masking(right.keep, order, right.is_hidden, right.keep_is_real)


@mutant("random_masking", "largest noise")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    return finish(np.lexsort((-noise, ~real), axis=1), count(real, ratio), real)


@mutant("random_masking", "share that is kept")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    return finish(np.lexsort((noise, ~real), axis=1), np.floor(real.sum(1) * ratio).astype(int), real)


@mutant("random_masking", "rounding errors")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = np.floor(real.sum(axis=1) * (1 - ratio)).astype(int)
    return finish(np.lexsort((noise, ~real), axis=1), kept, real)


@mutant("random_masking", "nearest")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = np.rint(real.sum(axis=1) * (1 - ratio)).astype(int)
    return finish(np.lexsort((noise, ~real), axis=1), kept, real)


@mutant("random_masking", "order of the noise")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = count(real, ratio)
    right = finish(np.lexsort((noise, ~real), axis=1), kept, real)
    is_hidden = np.zeros(noise.shape, bool)
    for row, k in zip(is_hidden, kept, strict=True):
        row[k:] = True
    return mt.Masking(right.keep, right.restore, is_hidden & real, right.keep_is_real)


@mutant("random_masking", "ignored")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool)
    return finish(np.argsort(noise, axis=1, kind="stable"), count(real, ratio), real)


@mutant("random_masking", "counts padding")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = np.full(len(noise), int(noise.shape[1] * (1 - ratio) + 1e-9))
    return finish(np.lexsort((noise, ~real), axis=1), kept, real)


@mutant("random_masking", "padding is hidden")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    return finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), True)


@mutant("random_masking", "last only as long as")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    return finish(np.argsort(np.where(real, noise, 1.5), axis=1, kind="stable"), count(real, ratio), real)


@mutant("random_masking", "last only as long as")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    return finish(np.argsort(noise + 5 * ~real, axis=1, kind="stable"), count(real, ratio), real)


@mutant("random_masking", "sorted by index")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    right = finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)
    return mt.Masking(np.sort(right.keep, axis=1), right.restore, right.is_hidden, right.keep_is_real)


@mutant("random_masking", "keep_is_real")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    right = finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)
    return mt.Masking(right.keep, right.restore, right.is_hidden, np.ones(right.keep.shape, bool))


@mutant("random_masking", "smallest number")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = count(real, ratio)
    order = np.lexsort((noise, ~real), axis=1)
    restore = np.argsort(order, axis=1)
    K = int(kept.min())
    return mt.Masking(order[:, :K], restore, (restore >= kept[:, None]) & real, np.arange(K) < kept[:, None])


@mutant("random_masking", ("equal noise", "ties"))
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    order = np.argsort(np.where(real, -noise, -np.inf), axis=1, kind="stable")[:, ::-1]
    return finish(order, count(real, ratio), real)


@mutant("random_masking", "first row")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    order = np.repeat(np.lexsort((noise[0], ~real[0]))[None], len(noise), axis=0)
    return finish(order, count(real, ratio), real)


@mutant("random_masking", ("tuple", "object with"))
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    right = finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)
    return right.keep, right.restore, right.is_hidden


@mutant("random_masking", ("None", "padding"))
def random_masking(noise, ratio, mask=None):
    return finish(np.lexsort((noise, ~mask), axis=1), count(mask, ratio), mask)


@mutant("random_masking", "argument")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    noise[~real] = np.inf
    noise.sort(axis=1)
    return finish(np.argsort(noise, axis=1, kind="stable"), count(real, ratio), real)


@mutant("random_masking", "number of hidden tokens")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    n = real.sum(axis=1)
    return finish(np.lexsort((noise, ~real), axis=1), n - np.floor(n * ratio + 1e-9).astype(int), real)


@mutant("random_masking", "wrong way round")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else ~mask
    return finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)


@mutant("random_masking", ("bool", "True and False"))
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    right = finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)
    return mt.Masking(right.keep, right.restore, right.is_hidden.astype(float), right.keep_is_real)


@mutant("random_masking", "assert")
def random_masking(noise, ratio, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    assert mask is None or ((np.sort(~mask, axis=1) == ~mask).all() and mask.all())
    return finish(np.lexsort((noise, ~real), axis=1), count(real, ratio), real)


@variant("random_masking")
def random_masking(noise, ratio, mask=None):
    if mask is None:
        mask = np.full(noise.shape, True)
    order = np.argsort(np.where(mask, noise, np.inf), axis=1, kind="stable")
    counts = np.array([int(n * (1 - ratio) + 1e-9) for n in mask.sum(axis=1)])
    return finish(order, counts, mask)


@variant("random_masking")
def random_masking(noise, ratio, mask=None):
    B, N = noise.shape
    real = mask if mask is not None else np.ones((B, N), dtype=bool)
    rows = []
    for b in range(B):
        tokens = sorted(np.flatnonzero(real[b]), key=lambda n, b=b: noise[b, n])
        rows.append([*tokens, *np.flatnonzero(~real[b])])
    order = np.array(rows, dtype=int).reshape(B, N)
    kept = [math.floor(int(real[b].sum()) * (1 - ratio) + 1e-9) for b in range(B)]
    restore = np.empty_like(order)
    np.put_along_axis(restore, order, np.arange(N)[None], axis=1)
    keep = np.zeros((B, max(kept)), int)
    keep_is_real, is_hidden = np.zeros(keep.shape, bool), real.copy()
    for b, k in enumerate(kept):
        keep[b, :k], keep_is_real[b, :k] = order[b, :k], True
        is_hidden[b, order[b, :k]] = False
    return mt.Masking(keep, restore, is_hidden, keep_is_real)


@variant("random_masking")
def random_masking(noise, ratio, mask=None):
    real = np.ones_like(noise, dtype=bool) if mask is None else mask
    first = np.argsort(noise, axis=-1, kind="stable")
    second = np.argsort(~np.take_along_axis(real, first, -1), axis=-1, kind="stable")
    return finish(np.take_along_axis(first, second, -1), count(real, ratio), real)


@variant("random_masking")
def random_masking(noise, ratio, mask=None):
    is_padding = np.zeros(noise.shape, int) if mask is None else 1 - mask.astype(int)
    order = np.lexsort((noise, is_padding), axis=-1).astype(np.int32)
    restore = np.argsort(order, axis=-1)
    kept = ((1 - is_padding).sum(-1, keepdims=True) * (1 - ratio) + 1e-9) // 1
    width = int(np.max(kept))
    return mt.Masking(
        keep=order[:, 0:width],
        restore=restore,
        is_hidden=np.logical_and(restore >= kept, is_padding == 0),
        keep_is_real=np.arange(width)[None, :] < kept,
    )


# ---- frame_masking


def spread(steps, n):
    return (steps[..., None] * n + np.arange(n)).reshape(len(steps), -1)


def finish_frames(steps, real, n):
    keep = spread(steps.keep, n)
    keep_is_real = np.repeat(steps.keep_is_real, n, 1) & np.take_along_axis(real, keep, 1)
    return mt.Masking(keep, spread(steps.restore, n), np.repeat(steps.is_hidden, n, 1) & real, keep_is_real)


def all_real(noise, n, mask):
    return np.ones((len(noise), noise.shape[1] * n), bool) if mask is None else mask


@mutant("frame_masking", ("masked alone", "a step is split"))
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    return random_masking(np.repeat(noise, tokens_per_step, axis=1), ratio, mask)


@mutant("frame_masking", "tiled")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    return random_masking(np.tile(noise, (1, tokens_per_step)), ratio, mask)


@mutant("frame_masking", "any instead of all")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).all(axis=2))
    return finish_frames(steps, real, n)


@mutant("frame_masking", "ignored")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n = tokens_per_step
    return finish_frames(mt.random_masking(noise, ratio), all_real(noise, n, None), n)


@mutant("frame_masking", "padding within a step")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    return finish_frames(steps, np.ones_like(real), n)


@mutant("frame_masking", "keep_is_real")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    right = finish_frames(steps, real, n)
    return mt.Masking(right.keep, right.restore, right.is_hidden, np.repeat(steps.keep_is_real, n, 1))


@mutant("frame_masking", "indices of steps")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    right = finish_frames(steps, real, n)
    keep_is_real = np.repeat(steps.keep_is_real, n, 1) & np.take_along_axis(real, right.keep, 1)
    return mt.Masking(np.repeat(steps.keep, n, axis=1), right.restore, right.is_hidden, keep_is_real)


@mutant("frame_masking", "`restore`, has indices of steps")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    right = finish_frames(steps, real, n)
    return mt.Masking(right.keep, np.repeat(steps.restore, n, axis=1), right.is_hidden, right.keep_is_real)


@mutant("frame_masking", "np.repeat instead of np.tile")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    right = finish_frames(steps, real, n)
    return mt.Masking(right.keep, right.restore, np.tile(steps.is_hidden, n) & real, right.keep_is_real)


@mutant("frame_masking", "masks of the steps")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    return mt.random_masking(noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))


@mutant("frame_masking", "share")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(noise, 1 - ratio, real.reshape(len(noise), -1, n).any(axis=2))
    return finish_frames(steps, real, n)


@mutant("frame_masking", "steps of padding count")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    return finish_frames(mt.random_masking(noise, ratio), real, n)


@mutant("frame_masking", ("first token", "first entries"))
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    return finish_frames(mt.random_masking(noise, ratio, real[:, 0::n]), real, n)


@mutant("frame_masking", ("opposite", "largest"))
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    steps = mt.random_masking(-noise, ratio, real.reshape(len(noise), -1, n).any(axis=2))
    return finish_frames(steps, real, n)


@variant("frame_masking")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    n, real = tokens_per_step, all_real(noise, tokens_per_step, mask)
    is_real = real.reshape(len(noise), -1, n).sum(axis=-1) > 0
    return finish_frames(random_masking(noise, ratio, is_real), real, n)


@variant("frame_masking")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    B, s, n = *noise.shape, tokens_per_step
    if mask is None:
        mask = np.ones((B, s * n), bool)
    is_real = np.stack([mask[:, i * n : i * n + n].any(axis=1) for i in range(s)], axis=1)
    steps = random_masking(noise, ratio, is_real)
    keep, restore = np.zeros((B, steps.keep.shape[1] * n), int), np.zeros((B, s * n), int)
    for b in range(B):
        keep[b] = [step * n + j for step in steps.keep[b] for j in range(n)]
        restore[b] = [place * n + j for place in steps.restore[b] for j in range(n)]
    places = [[(b, i) for i in range(keep.shape[1])] for b in range(B)]
    real = [[steps.keep_is_real[b, i // n] and mask[b, keep[b, i]] for b, i in row] for row in places]
    real = np.array(real, bool).reshape(keep.shape)
    return mt.Masking(keep, restore, np.repeat(steps.is_hidden, n, axis=1) & mask, real)


@variant("frame_masking")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    B, steps = noise.shape
    n = tokens_per_step
    if mask is None:
        mask = np.ones((B, steps * n), dtype=bool)
    small = random_masking(noise, ratio, np.logical_or.reduce(mask.reshape(B, steps, n), axis=2))
    j = np.arange(n)
    keep = np.add(small.keep[:, :, None] * n, j).reshape(B, small.keep.shape[1] * n)
    restore = np.add(small.restore[:, :, None] * n, j).reshape(B, steps * n)
    shown = np.kron(small.keep_is_real, np.ones(n, int)).astype(bool) & mask[np.arange(B)[:, None], keep]
    return mt.Masking(keep, restore, np.kron(small.is_hidden, np.ones(n, int)).astype(bool) & mask, shown)


@variant("frame_masking")
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    B, steps = noise.shape
    n = tokens_per_step
    real = np.full((B, steps, n), True) if mask is None else mask.reshape(B, steps, n)
    some = real.any(2)
    order = np.argsort(np.where(some, noise, np.inf), axis=1, kind="stable")
    kept = np.floor(some.sum(1) * (1 - ratio) + 1e-9).astype(int)[:, None]
    place = np.argsort(order, axis=1)
    K = int(kept.max())
    tokens = np.arange(steps * n).reshape(steps, n)
    in_keep = np.take_along_axis(real, order[:, :K, None], axis=1) & (np.arange(K) < kept)[:, :, None]
    return mt.Masking(
        tokens[order[:, :K]].reshape(B, K * n), tokens[place].reshape(B, -1),
        ((place >= kept)[:, :, None] & real).reshape(B, -1), in_keep.reshape(B, K * n),
    )  # fmt: skip


# ---- span_masking


@mutant("span_masking", ("ignored", "at random"))
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(noise, ratio, mask)


@mutant("span_masking", "kept")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = noise.argsort(1).argsort(1)
    return mt.random_masking(np.where(is_speech, rank, rank + noise.shape[1]) * 1.0, ratio, mask)


@mutant("span_masking", "lies closer together")
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(noise + is_speech, ratio, mask)


@mutant("span_masking", "lies closer together")
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(np.where(is_speech, noise + 50, noise), ratio, mask)


@mutant("span_masking", "noise does not decide")
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(is_speech.astype(float), ratio, mask)


@mutant("span_masking", "same noise")
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(np.where(is_speech, np.inf, noise), ratio, mask)


@mutant("span_masking", "argsort is taken once")
def span_masking(noise, ratio, is_speech, mask=None):
    order = np.argsort(noise, axis=1)
    return mt.random_masking((order + noise.shape[1] * is_speech).astype(float), ratio, mask)


@mutant("span_masking", "`mask` is ignored")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = noise.argsort(1).argsort(1)
    return mt.random_masking((rank + noise.shape[1] * is_speech).astype(float), ratio)


@mutant("span_masking", "never hidden")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = noise.argsort(1).argsort(1)
    all_of_it = mt.random_masking((rank + noise.shape[1] * is_speech).astype(float), ratio, mask)
    return mt.Masking(
        all_of_it.keep, all_of_it.restore, all_of_it.is_hidden & is_speech, all_of_it.keep_is_real
    )


@mutant("span_masking", ("count as padding", "handed on as the mask"))
def span_masking(noise, ratio, is_speech, mask=None):
    real = is_speech if mask is None else mask & is_speech
    return mt.random_masking(noise, ratio, real)


@mutant("span_masking", "smallest noise is hidden")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = (-noise).argsort(1).argsort(1)
    return mt.random_masking((rank + noise.shape[1] * is_speech).astype(float), ratio, mask)


@mutant("span_masking", ("add n", "1 is added"))
def span_masking(noise, ratio, is_speech, mask=None):
    rank = noise.argsort(1).argsort(1)
    return mt.random_masking((rank + is_speech).astype(float), ratio, mask)


@mutant("span_masking", "share")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = noise.argsort(1).argsort(1)
    return mt.random_masking((rank + noise.shape[1] * is_speech).astype(float), 1 - ratio, mask)


@mutant("span_masking", ("twice", "speech"))
def span_masking(noise, ratio, is_speech, mask=None):
    return mt.random_masking(noise * np.where(is_speech, 10, 1), ratio, mask)


@variant("span_masking")
def span_masking(noise, ratio, is_speech, mask=None):
    order = np.lexsort((noise, is_speech), axis=1)
    return random_masking(np.argsort(order, axis=1).astype(float), ratio, mask)


@variant("span_masking")
def span_masking(noise, ratio, is_speech, mask=None):
    width = np.ptp(noise, axis=1, keepdims=True) + 1
    return random_masking(noise + is_speech * width, ratio, mask)


@variant("span_masking")
def span_masking(noise, ratio, is_speech, mask=None):
    changed = np.empty(noise.shape)
    for b, (row, speech) in enumerate(zip(noise, is_speech, strict=True)):
        quiet = sorted(np.flatnonzero(~speech), key=lambda n, row=row: row[n])
        loud = sorted(np.flatnonzero(speech), key=lambda n, row=row: row[n])
        changed[b, np.array(quiet + loud, int)] = range(len(row))
    return random_masking(changed, ratio, mask)


@variant("span_masking")
def span_masking(noise, ratio, is_speech, mask=None):
    rank = np.argsort(np.argsort(noise, axis=-1), axis=-1)
    return random_masking(np.where(is_speech, rank + rank.shape[-1], rank), ratio, mask)


@variant("span_masking")
def span_masking(noise, ratio, is_speech, mask=None):
    real = np.ones(noise.shape, bool) if mask is None else mask
    order = np.lexsort((noise, is_speech, ~real), axis=1)
    kept = np.floor(real.sum(1) * (1 - ratio) + 1e-9).astype(int)
    return finish(order, kept, real)
