# %% [markdown]
# # 00 · Quickstart
#
# A trained TVLT, five lines from a clip to its outputs, and three looks at what it has learnt.
#
# **You will be able to** load a model, hand it a clip, ask it which sound belongs to which video, and let it
# fill in what it was not shown.
#
# **Time to run:** about ten seconds. **Before this:** Python and NumPy; everything else is explained on the
# way.

# %% [markdown]
# The next cell imports the package. Where it is not installed, as on Colab, Binder or Codespaces, the cell
# installs it from the repository that this notebook lies in; so keep the notebook in a copy of the whole
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
# TVLT, the Textless Vision-Language Transformer, learns from frames and from sound alone: nobody tells it in
# words what is going on. The model that comes with this package, `"shapes-small"`, has learnt a small world
# of moving shapes that sing. Here it meets sixteen clips of that world. None of them shows a combination of
# shape, colour and motion that it has met before: they were held out of its training.

# %%
import numpy as np

params = mt.load("shapes-small")
world = mt.ShapesWorld(params.config, split="held_out")
clips = world.sample(np.random.default_rng(4), 16)
out = mt.forward(params, clips.video, clips.audio)
out.cls.shape, out.video.shape, out.audio.shape

# %% [markdown]
# What came out are vectors of 64 numbers: one that sums each clip up (`cls`), and one for each patch of its
# frames and of its sound. A patch is a small rectangle, the unit in which the model reads;
# [02](02_patches.ipynb) cuts them.

# %% [markdown]
# ## What the model is given
#
# A video is an array of the shape `(B, T, C, H, W)`: `B` clips, `T` frames, `C` colour channels, `H` rows and
# `W` columns of pixels. A sound is a picture too, of the shape `(B, 1, S, F)`: `S` steps in time and `F`
# frequencies, in one channel. All numbers lie between -1 and 1.

# %%
clips.video.shape, clips.audio.shape

# %% [markdown]
# Here are the three frames of the first clip. They are coarse, 24 pixels a side, so that a laptop can learn
# them in minutes.

# %%
from helpers.diagrams import plot_frames, plot_spectrogram
from helpers.notebook import play, show, side_by_side
from minitvlt.views.figures import plot_matching, plot_reconstruction

show(plot_frames(clips.video[0]), "Three frames of the first clip: a shape moves over a dark ground.")

# %% [markdown]
# And here is its sound as the model sees it. Time runs to the right and pitch upwards; the brighter a spot
# is, the louder is this pitch at this moment. The scale at the right is in decibels. Below the picture is the
# sound itself, three quarters of a second long.

# %%
config = params.config
figure = plot_spectrogram(clips.audio[0, 0], config)
show(figure, "The spectrogram of the first clip: bands of pitch over time.")

# %%
_, waveforms, labels = world.draw_clips(np.random.default_rng(4), 16)
play(waveforms[0], config.sample_rate, "The sound of the first clip")

# %% [markdown]
# In this world what is seen is heard: the shape is the timbre of the voice, its height is the pitch, its size
# the loudness, and when it bounces off a wall, there is a click. Colour is only seen, and whether the voice
# trembles is only heard. So a sound tells much about its video, but not all.

# %% [markdown]
# ## Which sound belongs to which video?
#
# Half of TVLT's training is this question. From `cls` the model computes one number $z$ for a sound and a
# video, and reads it as the probability that the two belong together:
#
# $$\sigma(z) = \frac{1}{1 + e^{-z}}$$
#
# So $z = 0$ means "I cannot tell", and the larger $z$ is, the surer the model is of a match. We ask for every
# sound with every video of the sixteen clips: 256 questions.

# %%
batch = mt.make_batch(clips, config, np.random.default_rng(0))
scores = mt.score_all_pairs(params, batch)
scores.shape, scores.dtype

# %% [markdown]
# In the picture each row is a sound and each column a video; darker squares are higher scores. The true pairs
# are the framed squares on the diagonal. An orange dot marks the video that a sound would choose, a blue dot
# the sound that a video would choose. The title counts the right choices; one in sixteen, 0.06, would be
# luck.

# %% tags=["thumbnail"]
figure = plot_matching(scores, frames=clips.video[:, 1], spectrograms=clips.audio[:, 0])
show(figure, "A square of 16 by 16 matching scores, darkest along the diagonal of true pairs.")

# %% [markdown]
# ## What was hidden?
#
# The other half of the training is to fill in what was hidden. Half of the patches are taken away, at random;
# the model sees and hears the rest. `reconstruct` lets it predict the hidden patches; the visible ones are
# copied.

# %%
from minitvlt.views.report import invert_spectrogram, reconstruct

shown = mt.map_tree(lambda array: array[1:2], batch)  # the second clip
video, audio = reconstruct(params, shown)
video.shape, audio.shape

# %% [markdown]
# The picture has three rows: what happened, what the model was shown (hidden patches are hatched), and what
# it made of it. Where the crosses were hidden the model paints a blur: their colour and their height are
# right, but where they lie from left to right is half a guess, for that cannot be heard.

# %%
figure = plot_reconstruction(config, shown, video, audio)
show(figure, "Frames and spectrogram of a clip: original, with hidden patches hatched, and reconstructed.")

# %% [markdown]
# A spectrogram can be turned back into a sound. Both of these went that way, so that they can be compared;
# the second one has its hidden patches filled in by the model.

# %%
before = play(invert_spectrogram(config, shown.audio[0, 0]), config.sample_rate, "The second clip")
after = play(invert_spectrogram(config, audio[0, 0]), config.sample_rate, "With its hidden patches filled in")
side_by_side(before, after)

# %% [markdown]
# ## How good is it?
#
# One picture proves little. These figures, of 512 held-out clips, stand beside the model in the package. The
# two errors are squared errors of hidden patches, where 1 is what one gets by always answering with the
# average.

# %%
import json

from minitvlt.checkpoints.native import PACKAGED

made = json.loads((PACKAGED / "shapes-small.json").read_text())
for name, value in made["metrics"].items():
    print(f"{name:<32}{value:8.3g}")

# %% [markdown]
# ## Try it
#
# **1. The sixteen clips came from `default_rng(4)`. Is the model as good on those of another seed?**
#
# <details><summary>Answer</summary>
#
# Change the seed in the five lines and run the notebook again. Single groups of sixteen differ by a few hits;
# the mean over 32 groups is `audio to video, recall@1 of 16` in the list above.
#
# </details>

# %% [markdown]
# **2. What does the model make of a video without sound?**
#
# <details><summary>Answer</summary>
#
# `mt.forward(params, clips.video, None)` works, and so does `None` for the video: TVLT is one transformer for
# both senses, and takes what is there. `out.audio` is then `None`, and `cls` sums up what was seen.
#
# </details>

# %% [markdown]
# **3. Which pair that does not belong together comes nearest to fooling the model?**
#
# <details><summary>Answer</summary>
#
# The darkest square off the diagonal: the sound of clip 1 with the video of clip 5. `labels` says what
# happens in them (`labels["shape"][[0, 4]]`, and so on for `colour`, `motion`, `count`): a triangle that
# sinks, and two crosses that rise and bounce at the ceiling. Both begin small and high; the coarse picture of
# the sound blurs the rest.
#
# </details>

# %% [markdown]
# **4. What does an untrained model answer?**
#
# <details><summary>Answer</summary>
#
# Put `mt.init(config, seed=0)` in the place of `params`. The square of scores turns into stripes: it may
# prefer some videos or sounds, but no pair, and the hits are those of luck.
#
# </details>

# %% [markdown]
# **5. How many numbers has the model learnt?**
#
# <details><summary>Answer</summary>
#
# `sum(array.size for array in mt.flatten(params).values())`. The tree of parameters becomes a dictionary of
# named arrays; `05` counts them piece by piece.
#
# </details>

# %% [markdown]
# ## Recap
#
# A clip is two arrays of numbers between -1 and 1: frames, and a spectrogram, which is a picture of a sound.
# `mt.forward` turns both into vectors with one transformer. From the vector that sums a clip up, the model
# tells whether a sound belongs to a video; from the vectors of the patches it sees, it fills in the others.
# Both were learnt without a single word.

# %% [markdown]
# ## Where to go on
#
# [01](01_sound_to_picture.ipynb) makes the picture of a sound, [02](02_patches.ipynb) cuts pictures into
# patches, [03](03_masking.ipynb) hides them, and [04](04_attention.ipynb) opens the transformer. The whole
# path, up to the published model, is in the [overview](README.md).
