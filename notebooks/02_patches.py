# %% [markdown]
# # 02 · Patches
#
# A transformer reads a sequence, and a film is no sequence of anything yet. This notebook cuts frames and
# spectrograms into small rectangles, lays each out as a row of numbers, and turns each row into a token that
# knows where it came from.
#
# **You will be able to** say in which order patches and the numbers in them run, cut and lay back by hand,
# count the tokens of a clip, and explain what a position embedding adds.
#
# **Time to run:** about ten seconds. **Before this:** NumPy's `reshape` and `transpose`;
# [01](01_sound_to_picture.ipynb) for the spectrogram.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A toy film
#
# Two frames of four rows and six columns, grey, and instead of a picture each pixel holds its own number. The
# array has the shape `(B, T, C, H, W)`: one clip, two frames, one channel, height 4, width 6. We cut it with
# patches of `p = 2` rows and `q = 3` columns.

# %%
import numpy as np

from helpers.diagrams import draw_cells, draw_heat, mark_senses, new_axes, use_style
from helpers.notebook import show, show_source
from minitvlt.views.figures import AUDIO_COLOUR, VIDEO_COLOUR

use_style()
toy = np.arange(48.0).reshape(1, 2, 1, 4, 6)
patch = (2, 3)
tokens = mt.patchify_video(toy, patch)
print("film:", toy.shape, "  tokens:", tokens.shape)

# %% [markdown]
# In the picture below, the two frames are on the left, and every patch has a colour of its own. On the right
# are the rows that `patchify_video` makes of them, one row for each patch, in the same colours. Patches run
# frame by frame, row by row, from left to right; inside a row of numbers the pixels of a patch run in the
# same way.

# %% tags=["thumbnail"]
which = mt.unpatchify_video(np.repeat(np.arange(8.0)[None, :, None], 6, axis=2), patch, (2, 4, 6))
figure, axes = new_axes(1, 3, (11, 4), titles=("frame 1", "frame 2", "tokens, one a row"))
for t in range(2):
    draw_cells(axes[t], toy[0, t, 0].astype(int), which[0, t, 0].astype(int))
grounds = np.repeat(np.arange(8)[:, None], 6, axis=1)
draw_cells(axes[2], tokens[0].astype(int), grounds)
show(figure, "Two frames of numbered pixels in eight coloured patches, and the eight rows made of them.")

# %% [markdown]
# As a formula: call the number of patches in a column $h = H / p$ and in a row $w = W / q$. The patch in
# frame $t$, in row $r$ and column $c$ of patches, becomes the token
#
# $$n = (t \, h + r) \, w + c$$
#
# and the pixel in row $a$ and column $b$ of the patch, in channel $k$ of $C$, becomes the number
#
# $$v = (a \, q + b) \, C + k$$
#
# of that token. All of them count from 0, and the channel runs fastest.

# %%
film = np.random.default_rng(0).normal(size=(1, 3, 3, 4, 6))  # 3 frames in colour
rows = mt.patchify_video(film, patch)
(_, T, C, H, W), (p, q) = film.shape, patch
h, w = H // p, W // q
same = [
    rows[0, (t * h + r) * w + c, (a * q + b) * C + k] == film[0, t, k, r * p + a, c * q + b]
    for t, r, c, a, b, k in np.ndindex(T, h, w, p, q, C)
]
print(f"{sum(same)} of {len(same)} numbers are where the two formulas say")

# %% [markdown]
# ## Three lines do it
#
# No loop is needed: split both sides of a frame into (patches, pixels in a patch), bring the axes into the
# order in which they shall run, and join them again. Here is the function; the comments at its right are the
# shapes, and whenever the tests of the package run, a machine checks them.

# %%
show_source(mt.patchify_video)

# %% [markdown]
# Only the middle line changes the order of the numbers. A wrong order of its axes would give an array of the
# right shape with the wrong contents, which is why a shape alone proves nothing, and the cell above counted
# every number.
#
# The way back is the same three lines, read backwards. Nothing is lost on the way:

# %%
print(np.array_equal(mt.unpatchify_video(rows, patch, (T, H, W)), film))

# %% [markdown]
# ## A spectrogram is cut the same way
#
# A sound is a picture of `S` steps in time and `F` mel bins (notebook 01), and a patch takes some of both.
# Time comes first in the array, so tokens run from moment to moment, and within a moment from low pitch to
# high:
#
# $$n = s \, f + b$$
#
# for the patch number $s$ in time and $b$ in pitch, where $f = F / q$ patches stand above each other. The
# picture shows a clip of the singing shapes with the numbers of its tokens; time runs to the right, so the
# numbers climb upwards first.

# %%
params = mt.load("shapes-small")
config = params.config
clips = mt.ShapesWorld(config).sample(np.random.default_rng(441), 4)
S, F = config.spectrogram_length, config.frequency_length
p, q = config.audio_patch_size
figure, (axes,) = new_axes(size=(7.5, 4.2), x="time (steps)", y="pitch (mel bins)")
axes.imshow(clips.audio[0, 0].T, origin="lower", extent=(0, S, 0, F), vmin=-1, vmax=1)
for s, b in np.ndindex(S // p, F // q):
    box = {"facecolor": "white", "edgecolor": AUDIO_COLOUR, "boxstyle": "circle"}
    axes.text((s + 0.5) * p, (b + 0.5) * q, s * (F // q) + b, ha="center", va="center", bbox=box)
axes.set(xticks=range(0, S + 1, p), yticks=range(0, F + 1, q))
axes.grid(color="white", linewidth=2)
show(figure, "A spectrogram in six patches: 0 below and 1 above at the left, 4 and 5 at the right.")

# %%
sound_rows = mt.patchify_audio(clips.audio, (p, q))
print("spectrograms:", clips.audio.shape, "  tokens:", sound_rows.shape)
s, b = 2, 1
corner = clips.audio[0, 0, s * p : (s + 1) * p, b * q : (b + 1) * q]
print("token 5 is its rectangle, laid out:", np.array_equal(sound_rows[0, s * (F // q) + b], corner.ravel()))

# %% [markdown]
# ## How many tokens?
#
# A clip has $T \, h \, w$ tokens of video and $(S / p)(F / q)$ of sound. The published model looks at 8
# frames of 224 by 224 pixels and at up to 2048 steps of 128 bins, with patches of 16 by 16 in both.

# %%
for name, one in (("this model", config), ("the published model", mt.Config())):
    (h, w), (s, f) = one.image_grid, one.audio_grid
    video, sound = one.num_frames * h * w, s * f
    print(f"{name}: {one.num_frames} × {h} × {w} + {s} × {f} = {video} + {sound} = {video + sound}")

# %% [markdown]
# ## From a row of numbers to a token
#
# A row $x_n$ of raw values becomes a vector $e_n$ of `D` numbers, the width of the model, by one linear map,
# the same for all patches. Its matrix $A$ has `D` rows and a column for each value in a patch, and $\beta$
# has `D` numbers:
#
# $$e_n = A \, x_n + \beta$$
#
# The small model began with random numbers in $A$ (`mt.init` with the same seed makes them again), so the
# difference is what it has learnt to look for. `np.linalg.svd` writes this difference as a sum of patterns,
# the strongest first.

# %%
encoder, start = params.encoder, mt.init(config, seed=0).encoder
print("A for video:", encoder.video_patches.weight.shape, "  for sound:", encoder.audio_patches.weight.shape)
patterns = {}
for sense in ("video_patches", "audio_patches"):
    learnt = getattr(encoder, sense).weight - getattr(start, sense).weight
    patterns[sense] = np.linalg.svd(learnt)[2][:8]

# %% [markdown]
# The upper row shows the eight strongest patterns for patches of video, the lower one those for sound (red
# and blue for more and less; time to the right, pitch upwards). In the first video patterns, upper and lower
# rows differ: the model cares at which height the edge of a shape lies. Colours come later. The patterns for
# sound are horizontal lines, which is to say pitches. Height and pitch is what the two senses have in common.

# %%
figure, axes = new_axes(2, 8, (11, 3.1))
for number in range(8):
    video, sound = patterns["video_patches"][number], patterns["audio_patches"][number]
    axes[number].imshow(0.5 + video.reshape(12, 12, 3) / (2 * np.abs(video).max()))
    axes[8 + number].imshow(sound.reshape(8, 8).T, origin="lower", cmap="RdBu_r")
for number, one in enumerate(axes):
    one.set(xticks=[], yticks=[])
    one.spines[:].set(visible=True, linewidth=2, color=VIDEO_COLOUR if number < 8 else AUDIO_COLOUR)
show(figure, "Eight patterns of video with light and dark bands, and eight of sound with horizontal lines.")

# %% [markdown]
# ## Where it came from
#
# A transformer takes its tokens as a set: it would give the same answers if they were shuffled. So every
# token is told where it came from, by adding vectors that are learnt. A video token gets the vector of its
# place in the frame, of its frame, and one that says "video"; a sound token that of its time, of its pitch,
# and one that says "sound":
#
# $$z_n = e_n + E^{\text{space}}_{r w + c} + E^{\text{time}}_{t} + E^{\text{video}}$$
#
# $$z_n = e_n + E^{\text{time}'}_{s} + E^{\text{pitch}}_{b} + E^{\text{sound}}$$

# %%
from minitvlt.model.tvlt import audio_position_embedding, embed_audio, embed_video, video_position_embedding

video_places = video_position_embedding(encoder.video_positions, config, clips.video.shape)
A, beta = encoder.video_patches.weight, encoder.video_patches.bias
by_hand = mt.patchify_video(clips.video, config.image_patch_size) @ A.T + beta + video_places
tokens = embed_video(encoder, config, clips.video)
print("video tokens:", tokens.shape, "  by hand the same:", np.allclose(tokens, by_hand, atol=1e-5))
print("sound tokens:", embed_audio(encoder, config, clips.audio).shape)

# %% [markdown]
# Tables for place and frame apart are much smaller than one for every pair of them: for the published model,
# 196 places and 8 frames are 204 vectors instead of 1568. What has the small model made of its tables? The
# picture shows how alike the sums of position vectors are, for every pair of its 12 + 6 tokens: the cosine of
# their angle, 1 where they point the same way.

# %%
audio_places = audio_position_embedding(encoder.audio_positions, config, clips.audio.shape)
places = np.concatenate([video_places, audio_places])
unit = places / np.linalg.norm(places, axis=1, keepdims=True)
figure, (axes,) = new_axes(size=(6.5, 5.4))
draw_heat(axes, unit @ unit.T, vmin=-1, vmax=1)
mark_senses(axes, (12, 6), ("video", "sound"))
axes.set_title("cosine of position vectors")
show(
    figure, "A square of 18 by 18 cosines: bright where two places lie at the same height or the same pitch."
)

# %% [markdown]
# The video block is made of bright two-by-two squares: the two patches of the upper row of a frame look
# alike, and so do the two of the lower row, while upper and lower are far apart. Frames hardly differ. In the
# sound block it is low and high that are told apart, and time hardly counts. So the model learnt well which
# places matter here: how high a shape flies and how high it sings tell about each other; left, right, early
# and late do not.

# %% [markdown]
# ## Try it
#
# **1. In which token of the toy film, and where in it, is pixel 31?**
#
# <details><summary>Answer</summary>
#
# 31 = 24 + 7: frame 1, row 1, column 1. So $r = 0$, $c = 0$, $a = 1$, $b = 1$, the token is
# $(1 \cdot 2 + 0) \cdot 2 + 0 = 4$ and the number in it $1 \cdot 3 + 1 = 4$. `tokens[0, 4, 4]` of the toy is
# 31, and so says the picture.
#
# </details>

# %% [markdown]
# **2. The paper also tried sound patches of 2 steps and all 128 bins. How many tokens are these?**
#
# <details><summary>Answer</summary>
#
# $2048 / 2 \cdot 128 / 128 = 1024$, as many as with 16 by 16; each holds 256 numbers in both cases. They are
# fine in time and blind to pitch on its own: `mt.Config(audio_patch_size=(2, 128)).audio_grid`.
#
# </details>

# %% [markdown]
# **3. What happens to a frame of 30 by 24 pixels with patches of 12 by 12?**
#
# <details><summary>Answer</summary>
#
# `mt.patchify_video(np.zeros((1, 1, 3, 30, 24)), (12, 12))` refuses it, and says which axis does not fit and
# which sizes do: nothing is cut off in silence.
#
# </details>

# %% [markdown]
# **4. Why channels last in a token, although the array has them first?**
#
# <details><summary>Answer</summary>
#
# Any fixed order would do, since $A$ is learnt. This is the one of masked autoencoders (He et al., 2021) and
# of the released TVLT, so that their weights can be loaded and reconstructions compared number by number.
#
# </details>

# %% [markdown]
# **5. The model has 3 frames. Can it be given 5?**
#
# <details><summary>Answer</summary>
#
# Yes: `mt.forward(params, np.zeros((1, 5, 3, 24, 24), np.float32), None)` works. The table of frames is
# stretched, by interpolation, to five rows. Fewer frames than rows simply use the first ones.
#
# </details>

# %% [markdown]
# ## Recap
#
# Both senses are cut into rectangles. Tokens run in time first; within a moment row by row for frames, from
# low to high for sound; and cutting is a reshape, a change of the order of axes and another reshape. A linear
# map turns each row of values into a vector, and learnt vectors for place, time and modality are added, so
# that a shuffled sequence still knows its order.

# %% [markdown]
# ## Where to go on
#
# [03](03_masking.ipynb) takes most of these patches away, which is how the model learns. The code is in
# [patches.py](../minitvlt/model/patches.py), the embeddings are in [tvlt.py](../minitvlt/model/tvlt.py). All
# notebooks are in the [overview](README.md).
