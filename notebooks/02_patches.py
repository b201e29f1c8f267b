# %% [markdown]
# # 02 · Patches
#
# The input of a transformer is a sequence of vectors, called **tokens**. This notebook cuts frames and
# spectrograms into small rectangles, called **patches**, writes each patch as a row of numbers, and turns
# each row into a token.
#
# **You will be able to** cut a video and a spectrogram into patches with three NumPy calls, say in which
# order patches and the numbers in them stand, count the tokens of a clip, and explain patch and position
# embeddings.
#
# **Time to run:** about ten seconds. **Before this:** NumPy's `reshape` and `transpose`, matrix products;
# [01](01_sound_to_picture.ipynb) for the spectrogram.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Cutting a video
#
# A video is an array of shape `(B, T, C, H, W)`: `B` clips, `T` frames, `C` colour channels, `H` rows and
# `W` columns of pixels. We cut each frame into patches of `p` rows and `q` columns. Each side is split into
# patches and pixels within a patch, the axes are put in the order in which they shall run, and joined
# again:


# %%
import numpy as np


def patchify_video(video, p, q):
    B, T, C, H, W = video.shape
    h, w = H // p, W // q  # rows and columns of patches
    x = video.reshape(B, T, C, h, p, w, q)
    x = x.transpose(0, 1, 3, 5, 4, 6, 2)  # (B, T, h, w, p, q, C)
    return x.reshape(B, T * h * w, p * q * C)


# %% [markdown]
# The **Vision Transformer (ViT)** cuts images in this way; TVLT cuts each frame. To see what happens, we
# take one clip of two frames with 4 × 6 pixels, in which each pixel holds its own number.

# %%
from helpers.diagrams import draw_cells, draw_heat, mark_senses, new_axes, use_style
from helpers.notebook import show
from minitvlt.views.figures import AUDIO_COLOUR, VIDEO_COLOUR

use_style()
toy = np.arange(48.0).reshape(1, 2, 1, 4, 6)
p, q = 2, 3
tokens = patchify_video(toy, p, q)
print("video:", toy.shape, "  tokens:", tokens.shape)
print("equal to the package's:", np.array_equal(tokens, mt.patchify_video(toy, (p, q))))

# %% [markdown]
# In the figure each patch has its own colour. On the right are the rows that `patchify_video` makes of
# them, in the same colours. Patches run frame by frame, row by row, from left to right. Within a patch the
# pixels run in the same way.

# %% tags=["thumbnail"]
which = mt.unpatchify_video(np.repeat(np.arange(8.0)[None, :, None], 6, axis=2), (p, q), (2, 4, 6))
figure, axes = new_axes(1, 3, (11, 4), titles=("frame 0", "frame 1", "tokens, one a row"))
for t in range(2):
    draw_cells(axes[t], toy[0, t, 0].astype(int), which[0, t, 0].astype(int))
grounds = np.repeat(np.arange(8)[:, None], 6, axis=1)
draw_cells(axes[2], tokens[0].astype(int), grounds)
show(figure, "Two frames of numbered pixels in eight coloured patches, and the eight rows made of them.")

# %% [markdown]
# As a formula: there are $h = H / p$ rows and $w = W / q$ columns of patches. The patch in frame $t$, row
# $r$ and column $c$ becomes the token with the index
#
# $$n = (t \, h + r) \, w + c$$
#
# The pixel in row $i$ and column $j$ of the patch, in channel $k$ of $C$, becomes the number with the index
#
# $$m = (i \, q + j) \, C + k$$
#
# of this token. All indices begin at 0. The channel is the fastest axis: neighbouring numbers of a token
# belong to different channels. The cell checks both formulas for every number of a video in colour.

# %%
video = np.random.default_rng(0).normal(size=(1, 3, 3, 4, 6))  # 3 frames, 3 channels
rows = patchify_video(video, p, q)
(_, T, C, H, W) = video.shape
h, w = H // p, W // q
same = [
    rows[0, (t * h + r) * w + c, (i * q + j) * C + k] == video[0, t, k, r * p + i, c * q + j]
    for t, r, c, i, j, k in np.ndindex(T, h, w, p, q, C)
]
print(f"{sum(same)} of {len(same)} numbers are where the two formulas say")

# %% [markdown]
# Only `transpose` changes the order of the numbers. With its axes in any other order, the last `reshape`
# would still give the same shape, with wrong contents: a shape alone proves nothing. `mt.unpatchify_video`
# is the inverse.

# %%
print("the inverse gives the video:", np.array_equal(mt.unpatchify_video(rows, (p, q), (T, H, W)), video))

# %% [markdown]
# ## Cutting a spectrogram
#
# A spectrogram has the shape `(B, 1, S, F)`: one channel, `S` time steps and `F` mel bands. It is cut like
# one frame, with patches of `p` steps and `q` bands.


# %%
def patchify_audio(audio, p, q):
    B, C, S, F = audio.shape
    x = audio.reshape(B, C, S // p, p, F // q, q)
    x = x.transpose(0, 2, 4, 3, 5, 1)  # (B, S/p, F/q, p, q, C)
    return x.reshape(B, (S // p) * (F // q), p * q * C)


params = mt.load("shapes-small")
config = params.config
clips = mt.ShapesWorld(config).sample(np.random.default_rng(441), 4)
audio_rows = patchify_audio(clips.audio, *config.audio_patch_size)
expected = mt.patchify_audio(clips.audio, config.audio_patch_size)
print("spectrograms:", clips.audio.shape, "  tokens:", audio_rows.shape)
print("equal to the package's:", np.array_equal(audio_rows, expected))

# %% [markdown]
# Tokens run from time step to time step, and within a time step from low to high frequency. With $f = F /
# q$ patches above each other, the patch with index $t$ in time and $j$ in frequency is the token
#
# $$n = t \, f + j$$
#
# The figure shows the spectrogram of the first clip with the indices of its tokens.

# %%
S, F = config.spectrogram_length, config.frequency_length
p, q = config.audio_patch_size
figure, (axes,) = new_axes(size=(7.5, 4.2), x="time (steps)", y="frequency (mel bands)")
axes.imshow(clips.audio[0, 0].T, origin="lower", extent=(0, S, 0, F), vmin=-1, vmax=1)
for t, j in np.ndindex(S // p, F // q):
    box = {"facecolor": "white", "edgecolor": AUDIO_COLOUR, "boxstyle": "circle"}
    axes.text((t + 0.5) * p, (j + 0.5) * q, t * (F // q) + j, ha="center", va="center", bbox=box)
axes.set(xticks=range(0, S + 1, p), yticks=range(0, F + 1, q))
axes.grid(color="white", linewidth=2)
show(figure, "A spectrogram in six patches: 0 below and 1 above at the left, 4 and 5 at the right.")

# %% [markdown]
# ## How many tokens?
#
# A clip has $N_v = T \, h \, w$ video tokens and $N_a = (S / p)(F / q)$ audio tokens. The published model
# takes 8 frames of 224 × 224 pixels and at most 2048 steps of 128 bands, both in patches of 16 × 16.

# %%
for name, one in (("this model", config), ("the published model", mt.Config())):
    (h, w), (s, f) = one.image_grid, one.audio_grid
    Nv, Na = one.num_frames * h * w, s * f
    print(f"{name}: {one.num_frames} × {h} × {w} + {s} × {f} = {Nv} + {Na} = {Nv + Na}")

# %% [markdown]
# ## The patch embedding
#
# The row $u_n$ of the values of patch $n$ becomes a vector $e_n$ of `D` numbers by one linear map, the same
# for all patches. `D` is the width of the model. This is the **patch embedding**, with a matrix $A$ of `D`
# rows and one column for each value of a patch, and a bias $b$ of `D` numbers:
#
# $$e_n = A \, u_n + b$$
#
# In the code the $u_n$ are rows of an array, so all of them are multiplied at once by the transpose of $A$.

# %%
encoder = params.encoder
A, b = encoder.video_patches.weight, encoder.video_patches.bias
u = patchify_video(clips.video, *config.image_patch_size)
e = u @ A.T + b
print("A:", A.shape, "  rows:", u.shape, "  embedded:", e.shape)

# %% [markdown]
# Each row of $A$ is a pattern: the larger its scalar product with the patch, the larger the number in
# $e_n$. Training began with random numbers in $A$, which `mt.init` draws again from the same seed, 0. The
# difference is what the model has learnt. We take the 8 rows that have changed most.

# %%
start, changes = mt.init(config, seed=0).encoder, {}
for name in ("video_patches", "audio_patches"):
    change = getattr(encoder, name).weight - getattr(start, name).weight
    largest = np.argsort(-np.linalg.norm(change, axis=1))[:8]
    changes[name] = change[largest]

# %% [markdown]
# The upper row of the figure shows them for video (a patch of 12 × 12 pixels), the lower row for audio
# (time to the right, frequency upwards; red is positive, blue negative).

# %%
figure, axes = new_axes(2, 8, (11, 3.1))
for number in range(8):
    of_video, of_audio = changes["video_patches"][number], changes["audio_patches"][number]
    axes[number].imshow(0.5 + of_video.reshape(12, 12, 3) / (2 * np.abs(of_video).max()))
    limit = np.abs(of_audio).max()
    axes[8 + number].imshow(of_audio.reshape(8, 8).T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
for number, one in enumerate(axes):
    one.set(xticks=[], yticks=[])
    one.spines[:].set(visible=True, linewidth=2, color=VIDEO_COLOUR if number < 8 else AUDIO_COLOUR)
show(figure, "Eight patterns of video with light and dark bands, and eight of audio with horizontal lines.")

# %% [markdown]
# Most patterns are horizontal bands. The next cell measures this: which share of the squared values remains
# if each pattern is averaged over its columns (only height or frequency is left), or over its rows? If all
# numbers were independent, about 1/12 would remain for video and 1/8 for audio, either way.

# %%
patterns = {
    "video": changes["video_patches"].reshape(8, 12, 12, 3),  # rows, columns, channels
    "audio": changes["audio_patches"].reshape(8, 8, 8, 1).transpose(0, 2, 1, 3),  # frequencies, steps, 1
}
for name, pattern in patterns.items():
    kept = [(pattern.mean(axis=axis) ** 2).mean() / (pattern**2).mean() for axis in (2, 1)]
    print(f"{name}: {kept[0]:.0%} by the mean over columns, {kept[1]:.0%} by the mean over rows")

# %% [markdown]
# So the patch embedding mostly extracts height in a frame and frequency in a spectrogram. In this world the
# two belong together: the height of a shape decides the pitch of its voice.

# %% [markdown]
# ## Position and modality embeddings
#
# A transformer does not use the order of its tokens (question 4). So learnt vectors are added that say
# where a token comes from. A video token gets a **position embedding** for its place in the frame, one for
# its frame, and a **modality embedding** that is the same for all video tokens. The sum is the token $x_n$:
#
# $$x_n = e_n + E^{\text{space}}_{r w + c} + E^{\text{frame}}_{t} + E^{\text{video}}$$
#
# An audio token gets a vector for its time step, one for its frequency, and the modality embedding of
# audio:
#
# $$x_n = e_n + E^{\text{step}}_{t} + E^{\text{frequency}}_{j} + E^{\text{audio}}$$
#
# In the package both $E^{\text{frame}}$ and $E^{\text{step}}$ are called `time`, and $E^{\text{video}}$ and
# $E^{\text{audio}}$ are called `modality`.

# %%
from minitvlt.model.tvlt import embed_video

E, x = encoder.video_positions, e.copy()
T, (h, w) = config.num_frames, config.image_grid
for t, r, c in np.ndindex(T, h, w):
    x[:, (t * h + r) * w + c] += E.space[r * w + c] + E.time[t] + E.modality
print("video tokens:", x.shape)
print("equal to the package's:", np.allclose(x, embed_video(encoder, config, clips.video), atol=1e-5))

# %% [markdown]
# Separate tables for place and frame need fewer vectors than one table of all pairs: for the published
# model 196 + 8 = 204 instead of 196 · 8 = 1568.
#
# Before the tokens of a clip the model puts one more, `cls`: a learnt vector, the same for all clips. Its
# output is the vector `cls` of [00](00_quickstart.ipynb).
#
# What has the small model learnt? The figure shows the similarity of the sums of position vectors for each
# pair of its 12 + 6 tokens, as the cosine of the angle between them: 1 for equal directions, 0 for a right
# angle.

# %%
from minitvlt.model.tvlt import audio_position_embedding, video_position_embedding

video_places = video_position_embedding(E, config, clips.video.shape)
audio_places = audio_position_embedding(encoder.audio_positions, config, clips.audio.shape)
places = np.concatenate([video_places, audio_places])
unit = places / np.linalg.norm(places, axis=1, keepdims=True)
figure, (axes,) = new_axes(size=(6.5, 5.4))
draw_heat(axes, unit @ unit.T, vmin=-1, vmax=1)
mark_senses(axes, (12, 6), ("video", "audio"))
axes.set_title("cosine of position vectors")
show(figure, "18 by 18 cosines: large where two places have the same height or the same frequency.")

# %% [markdown]
# In the video part, the two patches in the upper row of a frame are similar, and so are the two in the
# lower row; upper and lower differ. Frames differ little. In the audio part low and high frequencies
# differ, time steps differ less. Again height and frequency matter most.

# %% [markdown]
# ## Try it
#
# **1. Code. In which token of the toy video is pixel 31, and at which index in it? Answer with the two
# formulas, then check.**
#
# <details><summary>Answer</summary>
#
# 31 = 24 + 7: frame 1, row 1, column 1. So $r = 0$, $c = 0$, $i = 1$, $j = 1$; the token is $(1 \cdot 2 +
# 0) \cdot 2 + 0 = 4$ and the index in it $1 \cdot 3 + 1 = 4$.
#
# ```python
# assert tokens[0, 4, 4] == 31
# ```
#
# </details>

# %% [markdown]
# **2. Code. Write the inverse of `patchify_video`.**
#
# <details><summary>Answer</summary>
#
# The same three calls backwards. `transpose` needs the inverse of the permutation, which is its `argsort`.
#
# ```python
# def unpatchify(rows, p, q, T, H, W):
#     x = rows.reshape(len(rows), T, H // p, W // q, p, q, -1)
#     x = x.transpose(np.argsort([0, 1, 3, 5, 4, 6, 2]))  # (B, T, C, h, p, w, q)
#     return x.reshape(len(rows), T, -1, H, W)
#
#
# assert np.array_equal(unpatchify(rows, 2, 3, 3, 4, 6), video)
# ```
#
# </details>

# %% [markdown]
# **3. Code. Implementations of ViT write the patch embedding as a convolution: an array of weights of the
# shape `(C, p, q)`, called a kernel, is laid over the image at every `p`-th row and every `q`-th column
# (the stride), multiplied element by element, and summed. Show that this is the same: compute one number of
# $e_n$ from a kernel and a part of `clips.video`.**
#
# <details><summary>Answer</summary>
#
# A convolution with this stride multiplies each patch by the kernel and adds up. A row of $A$ is such a
# kernel in the order of the patch, `(p, q, C)`. The package reads the kernels of other checkpoints in this
# way.
#
# ```python
# kernel = A[5].reshape(12, 12, 3).transpose(2, 0, 1)  # (C, p, q), of feature 5
# corner = clips.video[0, 0, :, :12, 12:]  # the patch in row 0, column 1 of frame 0
# assert np.isclose((kernel * corner).sum() + b[5], e[0, 1, 5], atol=1e-4)
# ```
#
# </details>

# %% [markdown]
# **4. Code. Change the model: set all position embeddings of video, `encoder.video_positions`, to 0.
# Predict how the output `cls` changes if the frames are played in reverse order, with and without
# position embeddings. Then compute it, for clips without audio.**
#
# <details><summary>Answer</summary>
#
# Without them it does not change, up to rounding. The transformer applies the same functions, attention
# and MLP ([04](04_attention.ipynb)), to all tokens, whatever their place. So a permutation of the tokens
# permutes the outputs in the same way (the model is **permutation-equivariant**), and `cls`, which stays
# in its place, gets the same result.
#
# ```python
# from dataclasses import replace
#
# zeros = mt.map_tree(np.zeros_like, encoder.video_positions)
# without = replace(params, encoder=replace(encoder, video_positions=zeros))
# reverse = np.ascontiguousarray(clips.video[:, ::-1])
# change = [
#     np.abs(mt.forward(model, reverse, None).cls - mt.forward(model, clips.video, None).cls).max()
#     for model in (params, without)
# ]
# assert change[0] > 0.05 and change[1] < 1e-3
# ```
#
# </details>

# %% [markdown]
# **5. The paper also used audio patches of 2 steps and all 128 bands. How many tokens are these for 2048
# steps, and what is different?**
#
# <details><summary>Answer</summary>
#
# $2048 / 2 \cdot 128 / 128 = 1024$, as many as with 16 × 16, and each has 256 values in both cases. The
# time resolution is finer. There is one token for each time step, so no position in frequency is needed.
# See `mt.Config(audio_patch_size=(2, 128)).audio_grid`.
#
# </details>

# %% [markdown]
# ## Recap
#
# Video and spectrogram are cut into patches by reshape, transpose, reshape. Tokens run in time first, then
# row by row in a frame or from low to high frequency in a spectrogram. A linear map turns the values of a
# patch into a vector of width `D`, and learnt embeddings for position and modality are added, because the
# transformer does not use the order of its tokens.

# %% [markdown]
# ## References
#
# - A. Dosovitskiy et al., *An image is worth 16x16 words: transformers for image recognition at scale*, 2020,
#   [arXiv:2010.11929](https://arxiv.org/abs/2010.11929): the Vision Transformer.
# - Y. Gong, Y.-A. Chung and J. Glass, *AST: audio spectrogram transformer*, 2021,
#   [arXiv:2104.01778](https://arxiv.org/abs/2104.01778): the same for spectrograms.
# - Z. Tang, J. Cho, Y. Nie and M. Bansal, *TVLT: textless vision-language transformer*, 2022,
#   [arXiv:2209.14156](https://arxiv.org/abs/2209.14156), section 3.

# %% [markdown]
# ## Where to go on
#
# [03](03_masking.ipynb) hides most of the patches, which is how the model learns. The code is in
# [patches.py](../minitvlt/model/patches.py), the embeddings are in [tvlt.py](../minitvlt/model/tvlt.py).
# All notebooks are in the [overview](README.md).
