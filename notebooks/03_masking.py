# %% [markdown]
# # 03 · Masking
#
# TVLT learns without labels: parts of a clip are hidden, and the model has to predict them from the rest.
# This is **self-supervised learning**. This notebook draws masks, follows tokens through the two steps
# "keep" and "restore", and shows the kinds of masks that TVLT uses for audio.
#
# **You will be able to** write random masking, keep and restore yourself, read the arrays `keep`, `restore`
# and `is_hidden`, choose between three kinds of audio masks, and say what padding changes.
#
# **Time to run:** about ten seconds. **Before this:** patches and tokens, in [02](02_patches.ipynb);
# NumPy's `argsort` and `take_along_axis` (explained where they occur).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The idea
#
# A **masked autoencoder (MAE)** hides a random part of the patches. Its **encoder** processes the others;
# its **decoder** predicts the values of the hidden patches from the output of the encoder, for video and
# audio separately. Both are transformers ([05](05_tvlt.ipynb)). To do this well, the model must know how
# things look, move and sound. Neighbouring patches are similar, so a few small gaps could be filled by
# interpolation: the task teaches something only if much is hidden. The share of hidden patches is the
# **mask ratio** $\rho$. The TVLT paper uses $\rho = 0.75$ for video and audio. The encoder does not process
# hidden patches at all, which also makes training cheaper.

# %% [markdown]
# ## Random masking
#
# Draw a random number for each of $N$ tokens, called noise. The $K$ tokens with the smallest noise are
# kept, with
#
# $$K = \lfloor N (1 - \rho) \rfloor$$
#
# where $\lfloor \cdot \rfloor$ rounds down. Mind the rounding errors of floating point: $10 \, (1 - 0.9)$
# should be 1.

# %%
import math

import numpy as np

print("10 * (1 - 0.9) =", 10 * (1 - 0.9), "  rounded down:", math.floor(10 * (1 - 0.9)))

# %% [markdown]
# So a small number is added before rounding down. `argsort` returns the indices that sort an array.
# Sorting the noise gives the order of the tokens, kept ones first. `argsort` of this order gives the
# inverse: for each token its place in the order. (If token 1 is first in the order, the place of token 1
# is 0.) A token is hidden if its place is $K$ or later.


# %%
def random_masking(noise, ratio):
    N = noise.shape[1]
    K = math.floor(N * (1 - ratio) + 1e-9)
    order = np.argsort(noise, axis=1)  # (B, N)
    restore = np.argsort(order, axis=1)  # (B, N): the place of each token in the order
    return order[:, :K], restore, restore >= K  # keep, restore, is_hidden


noise = np.array([[0.62, 0.11, 0.87, 0.45, 0.93, 0.28, 0.71, 0.36]])
keep, restore, is_hidden = random_masking(noise, 0.5)
print("keep:     ", keep[0])
print("restore:  ", restore[0])
print("is_hidden:", is_hidden[0].astype(int))

# %%
masking = mt.random_masking(noise, 0.5)
same = [np.array_equal(keep, masking.keep), np.array_equal(restore, masking.restore)]
print("equal to the package's:", all(same) and np.array_equal(is_hidden, masking.is_hidden))

# %% [markdown]
# The noise is an argument: functions of the package never draw random numbers by themselves. So NumPy,
# PyTorch and the tape of notebook 06 get the same mask, and a run can be repeated.
#
# The figure follows the tokens a to h. They are sorted by their noise, the first four are kept, and at the
# end each is back in its place, with a **mask token** M in the places of the hidden ones.

# %%
from helpers.schematics import draw_masking

draw_masking(noise[0], keep[0], restore[0]).show(
    "Tokens a to h; b, f, h and d have the smallest noise, are kept, and return to their places among M."
)

# %% [markdown]
# ## Keep and restore
#
# In the model tokens are vectors: `x` has the shape `(B, N, D)`. `take_along_axis` picks for each clip
# the tokens with the indices in `keep`. It needs indices with as many axes as `x`: `keep[:, :, None]` has
# the shape `(B, K, 1)`, and broadcasting takes the same index for all `D` numbers of a token. To restore,
# mask tokens are appended to the $K$ kept tokens until there are $N$, and for each place the one with the
# index in `restore` is picked. The mask token is a learnt vector, the same in all places.


# %%
def keep_tokens(x, keep):
    return np.take_along_axis(x, keep[:, :, None], axis=1)  # (B, K, D)


def restore_tokens(kept, mask_token, restore):
    (B, K, D), N = kept.shape, restore.shape[1]
    mask_tokens = np.broadcast_to(mask_token, (B, N - K, D))
    both = np.concatenate([kept, mask_tokens], axis=1)  # (B, N, D), in the order of the noise
    return np.take_along_axis(both, restore[:, :, None], axis=1)  # (B, N, D), in the order of the clip


# %%
x = np.arange(8.0).reshape(1, 8, 1) * [1.0, 10.0]  # token n is (n, 10 n)
kept = keep_tokens(x, keep)
restored = restore_tokens(kept, np.array([-1.0, -1.0]), restore)
print("input of the encoder\n", kept[0].T)
print("input of the decoder\n", restored[0].T)

# %%
from minitvlt.model import pretraining

print("keep, equal to the package's:   ", np.array_equal(kept, pretraining.keep_tokens(x, masking)))
expected = pretraining.restore_tokens(kept, np.array([-1.0, -1.0]), masking)
print("restore, equal to the package's:", np.array_equal(restored, expected))

# %% [markdown]
# ## A masked clip
#
# Here is a clip of the small world in a finer resolution than that of the packaged model: four frames of 96
# × 96 pixels and a spectrogram of 96 steps and 64 bands, both in patches of 16 × 16. Three quarters are
# hidden, as in the paper; hidden patches are hatched.

# %%
config = mt.Config.tiny(
    image_size=96, num_frames=4, image_patch_size=(16, 16), audio_patch_size=(16, 16), sample_rate=16000,
    window_length=1024, hop_length=256, spectrogram_length=96, frequency_length=64,
)  # fmt: skip
clip = mt.ShapesWorld(config).sample(np.random.default_rng(441), 1)
video, audio = clip.video[0], clip.audio[0, 0]

# %% tags=["thumbnail"]
from helpers.diagrams import new_axes, plot_masked_clip, use_style
from helpers.notebook import Slider, play, show, side_by_side

# four frames of 6 × 6 patches, and 6 × 4 patches of audio
video_noise, audio_noise = np.random.default_rng(1).random((1, 144)), np.random.default_rng(2).random((1, 24))
hide = [random_masking(noise, 0.75)[2][0] for noise in (video_noise, audio_noise)]
figure = plot_masked_clip(config, video, audio, *hide)
show(figure, "Four frames and a spectrogram of which only a quarter of the patches is visible.")

# %% [markdown]
# Move the slider to change the ratio. The noise stays the same, so a larger ratio hides what a smaller one
# hides, and more. (Where this page is read and not run, the figure for 0.5 is shown.)


# %%
def draw_ratio(ratio):
    masks = [random_masking(noise, ratio)[2][0] for noise in (video_noise, audio_noise)]
    figure = plot_masked_clip(config, video, audio, *masks)
    return show(figure, f"The same clip with {ratio:.0%} of its patches hidden in both modalities.")


Slider(draw_ratio, "mask ratio", (0, 0.15, 0.3, 0.5, 0.75, 0.9), 0.5)

# %% [markdown]
# The visible quarter of the spectrogram can be listened to: hidden patches are set to silence, and a
# waveform is computed as in notebook 01.

# %%
from minitvlt.views.figures import tokens_to_pixels
from minitvlt.views.report import invert_spectrogram

is_silent = tokens_to_pixels(hide[1][None], config.audio_patch_size, audio.shape)[0]
visible = np.where(is_silent, -1, audio)  # -1 is silence
whole = play(invert_spectrogram(config, audio), config.sample_rate, "The whole clip")
part = play(invert_spectrogram(config, visible), config.sample_rate, "A quarter of the patches")
side_by_side(whole, part)

# %% [markdown]
# ## Three kinds of audio masks
#
# **Patch masking** hides single patches, as above. The harmonics of a voice rise and fall together, so a
# hidden patch can often be guessed from the patches above and below. **Frame masking** hides all
# frequencies of a time step together. (A time step is here one column of patches.) **Speech-span
# masking**, the choice of the paper, hides tokens of speech first, because silence is easy to predict;
# among the tokens of speech the noise decides.

# %% [markdown]
# To see the difference, we replace the first two and the last of the six time steps by silence.
# `find_speech` is a simple **voice activity detection**: a time step counts as speech if its mean level is
# above the midpoint of the quietest and the loudest step. (It takes any loud sound for speech.)

# %%
from minitvlt.model.masking import find_speech

spoken = clip.audio.copy()
spoken[:, :, :32] = spoken[:, :, 80:] = -1  # silence
speech = find_speech(spoken, config.audio_patch_size)
step_noise = np.random.default_rng(3).random((1, 6))  # one number for each of 6 time steps
masks = {
    "patches": mt.random_masking(audio_noise, 0.5),
    "frames": mt.frame_masking(step_noise, 0.5, tokens_per_step=4),
    "speech spans": mt.span_masking(audio_noise, 0.5, speech),
}
print("time steps that count as speech:", speech[0, ::4].astype(int))
print("hidden tokens:", {name: int(mask.is_hidden.sum()) for name, mask in masks.items()})

# %% [markdown]
# The figure shows the three masks; each hides half of the tokens. Left: single patches. Middle: three time
# steps. Right: the three time steps of speech, which are exactly half.

# %%
from minitvlt.views.figures import draw_spectrogram

use_style()
figure, axes = new_axes(1, 3, (11, 3), titles=tuple(masks))
for one, mask in zip(axes, masks.values(), strict=True):
    hidden = tokens_to_pixels(mask.is_hidden, config.audio_patch_size, audio.shape)[0]
    draw_spectrogram(one, spoken[0, 0], config, hidden)
show(figure, "One spectrogram with three masks: scattered patches, whole time steps, the steps of speech.")

# %% [markdown]
# ## Padding
#
# Clips of different length are put into one batch: the shorter ones get **padding**, and a mask says which
# tokens are real. Padding must not be kept, because it contains nothing, and not be hidden, because there
# is nothing to predict. So padding is sorted last, and $N$ in the formula is the number of real tokens of
# the clip: with $\rho = 0.5$, a clip of 8 keeps 4, one of 5 keeps 2.

# %%
is_real = np.arange(8) < np.array([[8], [5]])  # the second clip has 5 real tokens
two = np.random.default_rng(4).random((2, 8))
padded = mt.random_masking(two, 0.5, is_real)
for name in ("keep", "keep_is_real", "is_hidden"):
    print(f"{name:<13}", *getattr(padded, name).astype(int))
order = np.argsort(np.where(is_real, two, np.inf), axis=1)  # padding last
print("the first two kept tokens of clip 2, by hand:", order[1, :2])

# %% [markdown]
# `keep` is a rectangular array, so the second row is filled up with tokens that do not count;
# `keep_is_real` says which do. If an implementation ignores padding, its encoder processes padding, and its
# loss is a mean over patches that do not exist, or over no patch at all, which gives NaN.

# %% [markdown]
# ## What masking saves
#
# The published encoder takes `cls`, 1568 video tokens and 1024 audio tokens. The cost of its linear maps
# grows with the number of tokens, that of attention, which compares all pairs of tokens (notebook 04), with
# its square.

# %%
for ratios in ((0.0, 0.0), (0.75, 0.15), (0.75, 0.75)):
    count = 1 + sum(math.floor(N * (1 - ratio) + 1e-9) for N, ratio in zip((1568, 1024), ratios, strict=True))
    maps, attention = count / 2593, (count / 2593) ** 2
    hidden = f"hide {ratios[0]:.2f} and {ratios[1]:.2f}"
    print(f"{hidden}: {count:4} tokens, cost of linear maps {maps:4.0%}, of attention {attention:4.0%}")

# %% [markdown]
# The first line is vision-audio matching, which always takes all tokens. The second is the default of the
# implementation in the library transformers, which hides 15% of the audio, in whole time steps. The third
# is the paper.

# %% [markdown]
# ## Try it
#
# **1. Code. What is `restore` if the noise is sorted already? And if it is sorted in descending order?**
#
# <details><summary>Answer</summary>
#
# 0 to 7, since each token stays in its place; and 7 to 0.
#
# ```python
# assert np.array_equal(random_masking(np.sort(noise), 0.5)[1][0], np.arange(8))
# assert np.array_equal(random_masking(-np.sort(noise), 0.5)[1][0], np.arange(8)[::-1])
# ```
#
# </details>

# %% [markdown]
# **2. Code. Write frame masking with your `random_masking` and `step_noise`: noise for 6 time steps of 4
# tokens each.**
#
# <details><summary>Answer</summary>
#
# Give the 4 tokens of a step the same noise. Equal numbers stand next to each other when they are sorted,
# so the tokens of a step stay together. This works if $K$ is a multiple of 4. Otherwise a step would be
# split; the package masks the steps first and then lists their tokens.
#
# ```python
# by_hand = random_masking(np.repeat(step_noise, 4, axis=1), 0.5)[2]
# assert np.array_equal(by_hand, masks["frames"].is_hidden)
# ```
#
# </details>

# %% [markdown]
# **3. Code. Change what the trained model gets: hide 25%, 50% or 75% of the video patches (it was trained
# with 50%). Predict the order of the three losses, then compute them. (`make_batch` hides the share
# `pixel_mask_ratio` of its configuration, and `config.replace(pixel_mask_ratio=0.25)` makes another one;
# `mt.pretraining_loss(params, batch).video_loss` is the mean squared error of the hidden patches.)**
#
# <details><summary>Answer</summary>
#
# The more is hidden, the less there is to predict from, and the larger is the mean squared error of a
# hidden patch.
#
# ```python
# params = mt.load("shapes-small")
# clips = mt.ShapesWorld(params.config, split="held_out").sample(np.random.default_rng(0), 200)
# losses = []
# for ratio in (0.25, 0.5, 0.75):
#     changed = params.config.replace(pixel_mask_ratio=ratio)
#     batch = mt.make_batch(clips, changed, np.random.default_rng(1))
#     losses.append(float(mt.pretraining_loss(params, batch).video_loss))
# assert losses[0] < losses[1] < losses[2]
# ```
#
# </details>

# %% [markdown]
# **4. Code. Does the order matter in which the kept tokens reach the encoder? Reverse it in
# `batch.video_masking`, which has the fields `keep` and `restore`, and compare the predictions of the
# model, `mt.autoencode(params, batch)[0]`.**
#
# <details><summary>Answer</summary>
#
# No. The position embeddings have been added before, and the encoder is permutation-equivariant (notebook
# 02). Only `restore` must know the order: the kept token in place $j$ of the order is now in place
# $K - 1 - j$.
#
# ```python
# from dataclasses import replace
#
# params = mt.load("shapes-small")
# clips = mt.ShapesWorld(params.config).sample(np.random.default_rng(0), 4)
# batch = mt.make_batch(clips, params.config, np.random.default_rng(1))
# old, K = batch.video_masking, batch.video_masking.keep.shape[1]
# places = np.where(old.restore < K, K - 1 - old.restore, old.restore)
# reverse = replace(batch, video_masking=replace(old, keep=old.keep[:, ::-1], restore=places))
# assert np.allclose(mt.autoencode(params, batch)[0], mt.autoencode(params, reverse)[0], atol=1e-4)
# ```
#
# </details>

# %% [markdown]
# **5. At a ratio of 0.99, how many of 24 tokens are kept? What can the model predict then?**
#
# <details><summary>Answer</summary>
#
# $\lfloor 24 \cdot 0.01 \rfloor = 0$. For the audio the decoder then gets only mask tokens and position
# embeddings. It gets nothing of the video, because it processes each modality separately. So its
# prediction of the audio is the same for all clips, and the best one is the mean over all clips.
#
# </details>

# %% [markdown]
# ## Recap
#
# Noise is sorted, and the $K$ tokens with the smallest are kept and processed by the encoder. `restore`
# puts them back into their places, with a mask token in all others, for the decoder. Patches, time steps or
# speech can be hidden; padding is neither kept nor hidden. A high mask ratio makes the task difficult
# enough to teach something, and the encoder cheap.

# %% [markdown]
# ## References
#
# - K. He et al., *Masked autoencoders are scalable vision learners*, 2021,
#   [arXiv:2111.06377](https://arxiv.org/abs/2111.06377): masking, keep and restore.
# - P.-Y. Huang et al., *Masked autoencoders that listen*, 2022,
#   [arXiv:2207.06405](https://arxiv.org/abs/2207.06405): the same for spectrograms.
# - Z. Tang, J. Cho, Y. Nie and M. Bansal, *TVLT: textless vision-language transformer*, 2022,
#   [arXiv:2209.14156](https://arxiv.org/abs/2209.14156): speech-span masking.

# %% [markdown]
# ## Where to go on
#
# [04](04_attention.ipynb) is about the transformer that processes the kept tokens. The code is in
# [masking.py](../minitvlt/model/masking.py), keep and restore are in
# [pretraining.py](../minitvlt/model/pretraining.py). All notebooks are in the [overview](README.md).
