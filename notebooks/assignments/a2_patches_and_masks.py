# %% [markdown]
# # Assignment 2 · Patches and masks
#
# A transformer takes a sequence of tokens. You write the functions that cut videos and spectrograms into such
# tokens and lay them back, and then those that decide which tokens TVLT sees and which it has to fill in. At the
# end you see a clip as your functions cut and hide it.
#
# **Time:** about three hours. **Points:** 100. **Before this:** NumPy arrays with several axes, `reshape`,
# `transpose`, `argsort`; notebooks [02](../02_patches.ipynb) and [03](../03_masking.ipynb), to which each check
# refers.
#
# **How it works.** Replace each `raise NotImplementedError` by your code, and run the cell and the check below
# it. A check says how many points you have, and of the first thing that is wrong: the smallest input that
# shows it, what came, what was expected, and a likely cause. You may run a check as often as you like. A wrong
# function costs no points in later ones: there, the checks use a right one in its place. Use NumPy only; of the
# package, use `mt.Masking` alone, which holds the results of the last three functions. Each solution fits in 15
# lines.
#
# **Letters.** `B` clips in a batch, `T` frames, `C` channels, `H` and `W` rows and columns of pixels, `S` and `F`
# time steps and mel bands of a spectrogram, `N` tokens, `K` kept tokens.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "solution": false, "schema_version": 3}
import checks
import numpy as np

import minitvlt as mt

# %% [markdown]
# ## 1 · Cutting a video
#
# Each frame is cut into patches of `p` rows and `q` columns, and the values of each patch become one row: a
# **token**. There are $h = H / p$ rows and $w = W / q$ columns of patches in a frame. The patch in frame $t$, row
# $r$ and column $c$ becomes the token with the index
#
# $$n = (t \, h + r) \, w + c$$
#
# and of this token the pixel in row $i$ and column $j$ of the patch, channel $k$ of $C$, becomes the value with
# the index
#
# $$m = (i \, q + j) \, C + k.$$
#
# So tokens run frame by frame and row by row, and inside a token pixels run row by row, with channels fastest.
#
# An array lies in memory with its last axis fastest. `reshape` never moves a number: it only cuts an axis into
# several, or joins neighbouring ones. An axis of size `H` that is reshaped to `(h, p)` has index `r * p + i` at
# `[r, i]`. `transpose` changes the order of the axes. So cut the axes, transpose, and join.
#
# **Example.** A frame with the pixels `[[0, 1, 2, 3], [4, 5, 6, 7]]` and `patch = (1, 2)` gives the tokens
# `[0, 1]`, `[2, 3]`, `[4, 5]`, `[6, 7]`; with `patch = (2, 2)` it gives `[0, 1, 4, 5]` and `[2, 3, 6, 7]`.


# %% nbgrader={"grade": false, "grade_id": "patchify_video", "locked": false, "solution": true, "schema_version": 3}
def patchify_video(video, patch):
    """Cut every frame into patches and lay each patch out as one row.

    Tokens run frame by frame, row by row; inside a token pixels run row by row, channels last. The same order
    is the target of masked autoencoding (TVLT, section 3; He et al. 2021).

    >>> patchify_video(np.zeros((1, 2, 3, 4, 6)), (2, 2)).shape    # 2 frames × 2 rows × 3 columns
    (1, 12, 12)

    Args:
        video: (B, T, C, H, W)
        patch: (p, q), rows and columns of pixels in a patch; they divide H and W.

    Returns:
        (B, T * h * w, p * q * C)
    """
    # after the first reshape: (B, T, C, h, p, w, q)
    # after the transpose: (B, T, h, w, p, q, C)
    # after the last reshape: (B, T*h*w, p*q*C)
    ### BEGIN SOLUTION
    (B, T, C, H, W), (p, q) = video.shape, patch
    h, w = H // p, W // q
    split = video.reshape(B, T, C, h, p, w, q)
    return split.transpose(0, 1, 3, 5, 4, 6, 2).reshape(B, T * h * w, p * q * C)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_patchify_video", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(patchify_video)

# %% [markdown]
# ## 2 · Laying a video back
#
# The inverse: from tokens to frames, with the same three steps in the other direction. The tokens do not tell how
# many frames, rows and columns there are, so `size` does. The number of channels follows from the number of
# values of a token, `p * q * C`.
#
# **Example.** The tokens `[0, 1, 4, 5]` and `[2, 3, 6, 7]`, with `patch = (2, 2)` and `size = (1, 2, 4)`, give the
# frame `[[0, 1, 2, 3], [4, 5, 6, 7]]`.


# %% nbgrader={"grade": false, "grade_id": "unpatchify_video", "locked": false, "solution": true, "schema_version": 3}
def unpatchify_video(tokens, patch, size):
    """Lay rows of pixels back into frames of the size (T, H, W): the inverse of `patchify_video`.

    >>> unpatchify_video(np.zeros((1, 12, 12)), (2, 2), (2, 4, 6)).shape
    (1, 2, 3, 4, 6)

    Args:
        tokens: (B, T * h * w, p * q * C)
        patch: (p, q)
        size: (T, H, W)

    Returns:
        (B, T, C, H, W)
    """
    # after the first reshape: (B, T, h, w, p, q, C)
    # after the transpose: (B, T, C, h, p, w, q)
    # after the last reshape: (B, T, C, H, W)
    ### BEGIN SOLUTION
    (T, H, W), (p, q) = size, patch
    split = tokens.reshape(len(tokens), T, H // p, W // q, p, q, -1)
    return split.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, -1, H, W)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_unpatchify_video", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(unpatchify_video)

# %% [markdown]
# ## 3 · Cutting a spectrogram
#
# A spectrogram `(B, C, S, F)` is cut in the same way, into patches of `p` time steps and `q` mel bands. It is like
# a video of one frame whose rows are time steps. Call `patchify_video`, or write the three steps again. (If your
# `patchify_video` is wrong, a right one is used while this function is checked.)
#
# **Example.** `S = 4` and `F = 6` with `patch = (2, 3)` give 4 tokens: the first two are those of steps 0 and 1,
# low frequencies first.


# %% nbgrader={"grade": false, "grade_id": "patchify_audio", "locked": false, "solution": true, "schema_version": 3}
def patchify_audio(audio, patch):
    """Cut a log-mel spectrogram into patches of (steps, mel bins) and lay each one out as one row.

    It is cut like a video of one frame: tokens run step by step, frequency fastest; inside a token the values
    run step by step, channels last.

    >>> patchify_audio(np.zeros((1, 1, 4, 6)), (2, 3)).shape    # 2 along time × 2 along frequency
    (1, 4, 6)

    Args:
        audio: (B, C, S, F)
        patch: (p, q), time steps and mel bands in a patch; they divide S and F.

    Returns:
        (B, S//p * F//q, p * q * C)
    """
    # as a video of one frame: (B, 1, C, S, F)
    ### BEGIN SOLUTION
    return patchify_video(audio[:, None], patch)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_patchify_audio", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(patchify_audio)

# %% [markdown]
# ## 4 · Laying a spectrogram back
#
# The inverse of `patchify_audio`. The result keeps the channel axis, also for one channel.


# %% nbgrader={"grade": false, "grade_id": "unpatchify_audio", "locked": false, "solution": true, "schema_version": 3}
def unpatchify_audio(tokens, patch, size):
    """Lay rows of values back into a spectrogram of the size (S, F): the inverse of `patchify_audio`.

    >>> unpatchify_audio(np.zeros((1, 4, 6)), (2, 3), (4, 6)).shape
    (1, 1, 4, 6)

    Args:
        tokens: (B, S//p * F//q, p * q * C)
        patch: (p, q)
        size: (S, F)

    Returns:
        (B, C, S, F)
    """
    # as a video of one frame: (B, 1, C, S, F)
    ### BEGIN SOLUTION
    return unpatchify_video(tokens, patch, (1, *size))[:, 0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_unpatchify_audio", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(unpatchify_audio)

# %% [markdown]
# ## 5 · Random masking
#
# A random number is drawn for each of $N$ tokens, the noise. The tokens with the smallest noise are **kept**, the
# others are **hidden**, and the model has to predict them. With the mask ratio $\rho$,
#
# $$K = \lfloor N_{\text{real}} \, (1 - \rho) \rfloor$$
#
# tokens are kept. Computers round: `10 * (1 - 0.9)` is slightly less than 1. So add `1e-9` before you round down.
#
# `np.argsort(noise, axis=1)` gives the **order**: the indices of the tokens from the smallest noise to the largest.
# The argsort of the order is its inverse: for each token its **place** in the order. The result is an
# `mt.Masking(keep, restore, is_hidden, keep_is_real)`:
#
# | field | shape | |
# |---|---|---|
# | `keep` | `(B, K)` | indices of the kept tokens, in the order of their noise |
# | `restore` | `(B, N)` | for every token its place in the order |
# | `is_hidden` | `(B, N)` | True where a token is hidden |
# | `keep_is_real` | `(B, K)` | False where a row of `keep` is filled up |
#
# **Padding.** Clips of different length share a batch, and `mask` is False for tokens that only fill a row up.
# These are neither kept nor hidden. So they come last in the order, whatever their noise is, and
# $N_{\text{real}}$ counts the real tokens of each row. Rows then keep different numbers of tokens. `keep` is as
# wide as the largest number, and rows that keep fewer are filled up with any indices; `keep_is_real` is False
# there. (The checks show these entries as -1, and likewise the places of padding in `restore`, because they do not
# matter.)
#
# If two tokens have the same noise, the first one comes first: `kind="stable"` makes argsort keep such ties in
# order. `np.lexsort((a, b), axis=1)` sorts by `b`, and by `a` where `b` is equal; it is stable, too.
#
# **Example.** The noise `[[0.6, 0.1, 0.9, 0.4]]` and the ratio 0.5 give the order `[1, 3, 0, 2]`. So `keep` is
# `[[1, 3]]`, `restore` is `[[2, 0, 3, 1]]`, and tokens 0 and 2 are hidden. If token 1 is padding, 3 tokens are
# real, one of them is kept, and `keep` is `[[3]]`.


# %% nbgrader={"grade": false, "grade_id": "random_masking", "locked": false, "solution": true, "schema_version": 3}
def random_masking(noise, ratio, mask=None):
    """Keep, in every row, the ⌊N_real · (1 - ratio)⌋ tokens of the smallest noise, and hide the others.

    Ties stay in order. Padding sorts last, so it is neither kept nor hidden. The count is
    int(N_real * (1 - ratio) + 1e-9).

    >>> masking = random_masking(np.array([[0.3, 0.1, 0.2, 0.4]]), 0.5)
    >>> masking.keep, masking.is_hidden
    (array([[1, 2]]), array([[ True, False, False,  True]]))

    Args:
        noise: (B, N), one number a token.
        ratio: the share of the real tokens that is hidden, at least 0 and below 1.
        mask: (B, N), True where a token is real; None where all are.

    Returns:
        mt.Masking, with K the largest number of kept tokens of a row
    """
    # how many tokens each row keeps: (B,)
    # order, from the smallest noise to the largest, padding last: (B, N)
    # restore, the place of each token in the order: (B, N)
    ### BEGIN SOLUTION
    real = np.ones(noise.shape, bool) if mask is None else mask
    kept = (real.sum(axis=1) * (1 - ratio) + 1e-9).astype(int)
    order = np.lexsort((noise, ~real), axis=1)  # real tokens first, each group by its noise
    restore = np.argsort(order, axis=1)
    K = kept.max()
    is_hidden = real & (restore >= kept[:, None])
    return mt.Masking(order[:, :K], restore, is_hidden, keep_is_real=np.arange(K) < kept[:, None])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_random_masking", "locked": true, "points": 24, "solution": false, "schema_version": 3}
checks.check(random_masking)

# %% [markdown]
# ## 6 · Masking time steps
#
# Harmonics rise and fall together, so a hidden patch of a spectrogram can often be guessed from the patches above
# and below it. **Frame masking** keeps or hides all patches of a time step together. The noise has one number for
# each step, and step $i$ has the tokens $i \, n, \dots, i \, n + n - 1$, with $n$ = `tokens_per_step`.
#
# Mask the steps by `random_masking`, then make tokens of them: `keep` lists the tokens of the kept steps, step by
# step; a token has the place $r \, n + j$ if its step has the place $r$ and it is token $j$ of the step; hidden
# are the tokens of hidden steps. (A right `random_masking` is used while this function is checked.)
#
# **Padding.** A step is real if any of its tokens is. A real step may have some padding: these tokens are in
# `keep` if the step is kept, but `keep_is_real` is False for them, and they are never hidden.
#
# **Example.** For 3 steps of 2 tokens and the noise `[[0.5, 0.2, 0.9]]`, the ratio 0.5 keeps one step, step 1. So
# `keep` is `[[2, 3]]`, and `restore` is `[[2, 3, 0, 1, 4, 5]]`.


# %% nbgrader={"grade": false, "grade_id": "frame_masking", "locked": false, "solution": true, "schema_version": 3}
def frame_masking(noise, ratio, tokens_per_step, mask=None):
    """Keep or hide whole time steps: all frequencies of a step together.

    Args:
        noise: (B, steps), one number a time step.
        ratio: the share of the real steps that is hidden; a step is real if any of its tokens is.
        tokens_per_step: tokens of one step, frequency fastest; N is steps * tokens_per_step.
        mask: (B, N), True where a token is real; None where all are.

    Returns:
        mt.Masking of the N tokens
    """
    # which steps are real: (B, steps)
    # from indices or places of steps to those of tokens: (B, n) -> (B, n, tokens_per_step) -> (B, n * tokens_per_step)
    ### BEGIN SOLUTION
    (B, steps), n = noise.shape, tokens_per_step
    real = np.ones((B, steps * n), bool) if mask is None else mask
    by_step = random_masking(noise, ratio, real.reshape(B, steps, n).any(axis=2))
    keep = (by_step.keep[:, :, None] * n + np.arange(n)).reshape(B, -1)
    restore = (by_step.restore[:, :, None] * n + np.arange(n)).reshape(B, -1)
    is_hidden = np.repeat(by_step.is_hidden, n, axis=1) & real
    keep_is_real = np.repeat(by_step.keep_is_real, n, axis=1) & np.take_along_axis(real, keep, axis=1)
    return mt.Masking(keep, restore, is_hidden, keep_is_real)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_frame_masking", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(frame_masking)

# %% [markdown]
# ## 7 · Masking speech
#
# Silence is easy to predict. **Speech-span masking** hides tokens of speech first, and others only if there is not
# enough speech. Among the tokens of speech, and among the others, the noise decides as before. The ratio is the
# share of all real tokens.
#
# `random_masking` hides what has the largest noise. So give it another noise: one in which every token of speech
# has a larger number than all others, and in which both groups are in the order of the noise. The noise may have
# any scale and sign, so adding a fixed number to it is not enough. Ranks help: the smallest noise of a row has
# rank 0, the largest $N - 1$. (The argsort of the argsort gives them.)
#
# **Example.** The noise `[[0.6, 0.1, 0.9, 0.4]]` with speech in tokens 1 and 3: at the ratio 0.25 token 3 is
# hidden, at 0.5 tokens 1 and 3, and at 0.75 also token 2.


# %% nbgrader={"grade": false, "grade_id": "span_masking", "locked": false, "solution": true, "schema_version": 3}
def span_masking(noise, ratio, is_speech, mask=None):
    """Hide tokens of speech before any others; among speech, and among the others, the noise decides.

    Args:
        noise: (B, N), one number a token.
        ratio: the share of the real tokens that is hidden, speech and other audio together.
        is_speech: (B, N), True where there is speech.
        mask: (B, N), True where a token is real.

    Returns:
        mt.Masking
    """
    # rank of each token among the noise of its row: (B, N)
    # the same with speech behind all others: (B, N)
    ### BEGIN SOLUTION
    rank = np.argsort(np.argsort(noise, axis=1, kind="stable"), axis=1)
    speech_last = rank + is_speech * noise.shape[1]
    return random_masking(speech_last.astype(noise.dtype), ratio, mask)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_span_masking", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(span_masking)

# %% [markdown]
# ## Your functions at work
#
# A clip of coloured shapes that move and sound: four frames and a spectrogram of 6 × 4 patches, with silence at
# the beginning and the end. Your functions cut it into patches, hide three quarters of the video and half of the
# audio, and lay both back. What is hidden is grey.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_masked_clip", "locked": true, "solution": false, "schema_version": 3}
import matplotlib.pyplot as plt

from minitvlt.model.masking import find_speech

config = mt.Config.tiny(
    image_size=96, num_frames=4, image_patch_size=(16, 16), audio_patch_size=(16, 16), sample_rate=16000,
    window_length=1024, hop_length=256, spectrogram_length=96, frequency_length=64,
)  # fmt: skip
clip = mt.ShapesWorld(config).sample(np.random.default_rng(441), 1)
video, audio, random = clip.video, clip.audio.copy(), np.random.default_rng(0)
audio[:, :, :32] = audio[:, :, 80:] = -1  # silence


def hide_video(video, is_hidden):
    """The video with hidden patches in light grey."""
    tokens = np.where(is_hidden[:, :, None], 0.7, patchify_video(video, (16, 16)))
    return unpatchify_video(tokens, (16, 16), (4, 96, 96))


def hide_audio(audio, is_hidden):
    """The spectrogram with NaN, which is not drawn, in hidden patches."""
    tokens = np.where(is_hidden[:, :, None], np.nan, patchify_audio(audio, (16, 16)))
    return unpatchify_audio(tokens, (16, 16), (96, 64))


if checks.are_written(patchify_video, unpatchify_video, random_masking):
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.6), layout="constrained")
    masked = hide_video(video, random_masking(random.random((1, 144)), 0.75).is_hidden)
    for t in range(4):
        axes[0, t].imshow((video[0, t].transpose(1, 2, 0) + 1) / 2)
        axes[1, t].imshow((masked[0, t].transpose(1, 2, 0) + 1) / 2)
        axes[0, t].set_title(f"frame {t}")
        axes[0, t].set_axis_off()
        axes[1, t].set_axis_off()
    plt.show()

# %% [markdown]
# Below are the three masks of audio, each of which hides half of the tokens: single patches, whole time steps, and
# speech, which is what the paper does. `find_speech` takes time steps for speech that are loud.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_three_masks", "locked": true, "solution": false, "schema_version": 3}
if checks.are_written(patchify_audio, unpatchify_audio, random_masking, frame_masking, span_masking):
    noise = np.random.default_rng(2).random((1, 24))
    masks = {
        "random_masking": random_masking(noise, 0.5),
        "frame_masking": frame_masking(np.random.default_rng(3).random((1, 6)), 0.5, 4),
        "span_masking": span_masking(noise, 0.5, find_speech(audio, (16, 16))),
    }
    pictures = {"the spectrogram": audio}
    pictures |= {name: hide_audio(audio, masking.is_hidden) for name, masking in masks.items()}
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.8), layout="constrained", sharey=True)
    for one, (name, picture) in zip(axes, pictures.items(), strict=True):
        one.imshow(picture[0, 0].T, origin="lower", cmap="magma", vmin=-1, vmax=1, aspect="auto")
        one.set(title=name, xlabel="time step", facecolor="lightgrey")
    axes[0].set_ylabel("mel band")
    plt.show()

# %% [markdown]
# Frames that are hidden in patches can still be recognised, and so can a spectrogram with single patches missing:
# their neighbours say much about them. That is why so much is hidden, and why whole steps, or speech, are hidden
# in audio.
