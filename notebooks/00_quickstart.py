# %% [markdown]
# # 00 · Quickstart
#
# This notebook loads a trained TVLT, computes its outputs for a few clips, and shows what the model can do:
# decide which audio belongs to which video, and predict hidden parts of a clip.
#
# **You will be able to** load a model, give it clips, compute matching scores and retrieval, and
# reconstruct hidden patches.
#
# **Time to run:** about ten seconds. **Before this:** Python and NumPy; all terms are explained in the
# following notebooks.

# %% [markdown]
# The next cell imports the package. Where it is not installed, as on Colab, Binder or Codespaces, the cell
# installs it from the repository that contains this notebook; so keep the notebook in a copy of the whole
# repository.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Five lines
#
# **TVLT**, the Textless Vision-Language Transformer ([Tang et al.,
# 2022](https://arxiv.org/abs/2209.14156)), takes the frames and the audio of a clip, and no text. It is a
# **transformer**, a kind of neural network: it turns a sequence of vectors into another one of the same
# length ([04](04_attention.ipynb)). The model that comes with this package, `"shapes-small"`, was trained
# on a small artificial world of moving shapes, each with a voice. The clips here are **held out**: none
# of their combinations of shape, colour and motion occurs in the training data.

# %%
import numpy as np

params = mt.load("shapes-small")
world = mt.ShapesWorld(params.config, split="held_out")
clips = world.sample(np.random.default_rng(4), 16)
out = mt.forward(params, clips.video, clips.audio)
out.cls.shape, out.video.shape, out.audio.shape

# %% [markdown]
# The output is one vector of 64 numbers for each clip, called `cls`, and one for each **patch** of its
# frames and of its audio. A patch is a small rectangle; [02](02_patches.ipynb) is about them. `params`
# holds the parameters of the model as arrays in a tree of attributes, such as `params.encoder.cls`, and
# `params.config` its sizes.

# %% [markdown]
# ## The input
#
# A video is an array of shape `(B, T, C, H, W)`: `B` clips, `T` frames, `C` colour channels, `H` rows and
# `W` columns of pixels. Audio is given as a **log-mel spectrogram** of shape `(B, 1, S, F)`: one channel,
# `S` time steps and `F` frequency bands. All values are between -1 and 1.

# %%
clips.video.shape, clips.audio.shape

# %% [markdown]
# These are the three frames of the first clip. They have only 24 × 24 pixels, so that a laptop can train
# the model in minutes. (`helpers`, beside the notebooks, draws figures and plays audio; its code can be
# skipped.)

# %%
from helpers.diagrams import plot_frames, plot_spectrogram
from helpers.notebook import play, show, side_by_side
from minitvlt.views.figures import plot_matching, plot_reconstruction

show(plot_frames(clips.video[0]), "Three frames of the first clip: a shape moves over a dark ground.")

# %% [markdown]
# And this is its spectrogram. Time runs to the right and frequency upwards; the brighter a point, the
# louder this frequency is at this time. The scale at the right is in decibels. Below is the waveform from
# which the spectrogram was computed, three quarters of a second long.

# %%
config = params.config
figure = plot_spectrogram(clips.audio[0, 0], config)
show(figure, "The spectrogram of the first clip: bright bands over time.")

# %% [markdown]
# `draw_clips` gives the same clips as `sample`: the frames (not needed here), the waveforms, and labels
# that say what is in each clip.

# %%
_, waveforms, labels = world.draw_clips(np.random.default_rng(4), 16)
play(waveforms[0], config.sample_rate, "The audio of the first clip")

# %% [markdown]
# In this world video and audio depend on each other: the shape determines the timbre of the voice, its
# height the pitch, its size the loudness, and when it bounces off a wall, there is a click. The colour is
# only in the video. A **tremolo** of the voice, a regular swing of its loudness, is only in the audio. So
# the audio says much about the video, but not everything.

# %% [markdown]
# ## Which audio belongs to which video?
#
# One of the two training objectives is **vision-audio matching**. From `cls` the model computes a number
# $z$, a **logit**. The **sigmoid** function turns it into the probability that video and audio belong
# together:
#
# $$\sigma(z) = \frac{1}{1 + e^{-z}}$$
#
# $z = 0$ is a probability of ½, large positive numbers are close to 1, large negative ones close to 0. We
# compute the logit for every audio with every video of the 16 clips, 256 pairs.
#
# `make_batch` adds to the clips what training needs: which patches are hidden, and for half of the clips
# the video of another clip (`mixed_video`; `is_match` says which videos are their own). `score_all_pairs`
# uses neither: it takes the clips as they are.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


batch = mt.make_batch(clips, config, np.random.default_rng(0))
scores = mt.score_all_pairs(params, batch)
print("scores:", scores.shape)
print(f"smallest probability of a true pair: {sigmoid(np.diag(scores)).min():.1f}")

# %% [markdown]
# In the figure rows are audios and columns videos; dark squares are large logits. The true pairs are the
# framed squares on the diagonal. To choose the video with the largest logit for a given audio is called
# **retrieval** (orange dots; blue dots for the other direction). The share of right choices is
# **recall@1**; random choice would give 1 / 16 = 0.06.

# %% tags=["thumbnail"]
chosen = scores.argmax(axis=1)  # for each audio the video with the largest logit
print(f"recall@1, audio to video: {(chosen == np.arange(16)).mean():.2f}")
figure = plot_matching(scores, frames=clips.video[:, 1], spectrograms=clips.audio[:, 0])
show(figure, "A square of 16 by 16 matching scores, darkest along the diagonal of true pairs.")

# %% [markdown]
# ## Hidden patches
#
# The other objective is **masked autoencoding**: half of the patches are hidden at random, and the model
# predicts them from the others. `reconstruct` returns the predictions for hidden patches and copies the
# visible ones. `mt.map_tree` applies a function to each array of a tree, here to keep one clip of the
# batch.

# %%
from minitvlt.views.report import invert_spectrogram, reconstruct

shown = mt.map_tree(lambda array: array[1:2], batch)  # the second clip
video, audio = reconstruct(params, shown)
video.shape, audio.shape

# %% [markdown]
# The rows of the figure: the original, the input of the model (hidden patches are hatched), and the
# reconstruction. In the hidden patches of the video the colour and the height of the crosses are right, but
# they are blurred: their horizontal position can be predicted from neighbouring patches only, because it
# has no effect on the audio.

# %%
figure = plot_reconstruction(config, shown, video, audio)
show(figure, "Frames and spectrogram of a clip: original, with hidden patches hatched, and reconstructed.")

# %% [markdown]
# A waveform can be computed from a spectrogram. Both of these were, so that they can be compared; for the
# second one the hidden patches were predicted.

# %%
before = play(invert_spectrogram(config, shown.audio[0, 0]), config.sample_rate, "The second clip")
after = play(invert_spectrogram(config, audio[0, 0]), config.sample_rate, "With predicted patches")
side_by_side(before, after)

# %% [markdown]
# ## Scores on the test set
#
# A single example proves little. The scores of the model on 512 held-out clips are part of the package. The
# two errors are mean squared errors of hidden patches, divided by the error of the model that always
# predicts the mean; so 1 means "no better than the mean". The matching accuracy is the share of pairs, half
# of them with the video of another clip, for which $\sigma(z)$ is on the right side of ½.

# %%
import json

from minitvlt.checkpoints.native import PACKAGED

made = json.loads((PACKAGED / "shapes-small.json").read_text())
for name, value in made["metrics"].items():
    print(f"{name:<32}{value:8.3g}")

# %% [markdown]
# ## Try it
#
# **1. Code. The 16 clips came from `default_rng(4)`. Compute recall@1 (audio to video) for five other
# seeds, and for a model that was not trained, `mt.init(config)`.**
#
# <details><summary>Answer</summary>
#
# Groups of 16 differ; the mean of many groups is near `audio to video, recall@1 of 16` in the list above. A
# model with random parameters chooses at random.
#
# ```python
# def recall_at_1(model, seed):
#     group = world.sample(np.random.default_rng(seed), 16)
#     pairs = mt.score_all_pairs(model, mt.make_batch(group, config, np.random.default_rng(0)))
#     return (pairs.argmax(axis=1) == np.arange(16)).mean()
#
#
# assert 0.8 < np.mean([recall_at_1(params, seed) for seed in range(10, 15)]) <= 1
# assert np.mean([recall_at_1(mt.init(config), seed) for seed in (10, 11)]) < 0.3
# ```
#
# </details>

# %% [markdown]
# **2. Code. Change the model: to each patch of audio it adds a learnt vector that says whether its
# frequencies are low or high. These are the two rows of `params.encoder.audio_positions.frequency`.
# Exchange them (with `replace` of `dataclasses`, for each level of the tree). Predict what happens to
# retrieval, then compute it for the 16 clips.**
#
# <details><summary>Answer</summary>
#
# The model then takes low for high frequencies. The pitch tells how high the shape is, so it chooses videos
# in which shapes are at the wrong height. Recall@1 falls from 1 nearly to that of random choice.
#
# ```python
# from dataclasses import replace
#
# positions = params.encoder.audio_positions
# exchanged = replace(positions, frequency=positions.frequency[::-1].copy())
# model = replace(params, encoder=replace(params.encoder, audio_positions=exchanged))
# pairs = mt.score_all_pairs(model, batch)
# assert (scores.argmax(axis=1) == np.arange(16)).mean() == 1
# assert (pairs.argmax(axis=1) == np.arange(16)).mean() < 0.4
# ```
#
# </details>

# %% [markdown]
# **3. Code. Which wrong pair has the largest logit? What have its clips in common? (See `labels`, and plot
# the frames.)**
#
# <details><summary>Answer</summary>
#
# Audio 0 and video 4: a triangle and two crosses, which begin near the top and sink at the same speed. So
# the pitch of their voices falls in the same way. `labels["shape"][[0, 4]]` and `labels["count"][[0, 4]]`
# differ. (`labels["motion"]` differs too: the crosses move upwards at first, but bounce at once.)
#
# ```python
# wrong = np.where(np.eye(16, dtype=bool), -np.inf, scores)
# assert np.unravel_index(wrong.argmax(), wrong.shape) == (0, 4)
# ```
#
# </details>

# %% [markdown]
# **4. What is the output for a video without audio? (Give `None` in its place.)**
#
# <details><summary>Answer</summary>
#
# `mt.forward(params, clips.video, None)` works, and so does `None` for the video: the same transformer
# takes either modality or both. `out.audio` is then `None`, and `cls` depends on the video alone.
#
# </details>

# %% [markdown]
# **5. Code. How many parameters does the model have? (`mt.flatten(params)` lists the arrays by name.)**
#
# <details><summary>Answer</summary>
#
# It is the sum of the sizes of all arrays; [05](05_tvlt.ipynb) counts them part by part.
#
# ```python
# assert sum(array.size for array in mt.flatten(params).values()) == 275_569
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# A clip is two arrays with values between -1 and 1: frames and a log-mel spectrogram. `mt.forward` turns
# both into vectors with one transformer. From the vector `cls` the model computes whether audio and video
# belong together; from the vectors of visible patches it predicts hidden ones. Both were learnt without
# text or labels.

# %% [markdown]
# ## References
#
# - Z. Tang, J. Cho, Y. Nie and M. Bansal, *TVLT: textless vision-language transformer*, 2022,
#   [arXiv:2209.14156](https://arxiv.org/abs/2209.14156).
# - A. Vaswani et al., *Attention is all you need*, 2017,
#   [arXiv:1706.03762](https://arxiv.org/abs/1706.03762): the transformer.

# %% [markdown]
# ## Where to go on
#
# [01](01_sound_to_picture.ipynb) computes a log-mel spectrogram, [02](02_patches.ipynb) cuts frames and
# spectrograms into patches, [03](03_masking.ipynb) hides patches, and [04](04_attention.ipynb) is about the
# transformer. All notebooks are in the [overview](README.md).
