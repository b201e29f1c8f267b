# %% [markdown]
# # 03 · Masking
#
# Hide most of a clip and ask for what is missing: that is a task which needs no teacher, and half of how TVLT
# learns. This notebook hides patches, whole moments and stretches of speech, and follows one token out of the
# sequence and back.
#
# **You will be able to** draw a mask by hand, read `keep` and `restore`, choose between the three kinds of
# masks for sound, and say what padding changes.
#
# **Time to run:** about ten seconds. **Before this:** patches and tokens, in [02](02_patches.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Why hide anything?
#
# Who can fill in the hidden part of a film has understood something about it: that a shape goes on behind a
# gap, that its pitch says how high it is. Neighbouring pixels are so alike that a small gap could be filled
# in by smearing, so much has to be hidden: the paper hides three quarters of the patches of both senses. What
# is hidden is not read by the encoder at all, so that hiding also makes training cheap.

# %% [markdown]
# ## By hand
#
# Take eight tokens of one clip and a mask ratio of $\rho = 0.75$. Draw a random number for each token, the
# noise. Of $N$ tokens, the
#
# $$K = \lfloor N (1 - \rho) \rfloor$$
#
# with the smallest noise are kept; $\lfloor \cdot \rfloor$ cuts off what follows the decimal point. Sorting
# the noise gives the order in which the tokens stand, kept ones first.

# %%
import numpy as np

noise = np.array([[0.62, 0.11, 0.87, 0.45, 0.93, 0.28, 0.71, 0.36]])
N, ratio = noise.shape[1], 0.75
K = int(N * (1 - ratio))
order = np.argsort(noise[0])
print("order:", order, "  kept:", order[:K], "  hidden:", order[K:])

# %% [markdown]
# `mt.random_masking` does just this. `keep` holds the numbers of the kept tokens. `restore` says for every
# token at which place of the sorted order it stands, so it is the order read backwards: a token is hidden if
# that place is $K$ or later.

# %%
masking = mt.random_masking(noise, ratio)
print("keep:     ", masking.keep[0])
print("restore:  ", masking.restore[0])
print("is_hidden:", masking.is_hidden[0].astype(int))
print("restore undoes order:", np.array_equal(order[masking.restore[0]], np.arange(N)))

# %% [markdown]
# The picture follows the tokens a to h. In the first row they stand as in the clip; coloured ones are kept.
# The second row is what the encoder reads, in the order of their noise. In the third row each is back in its
# place, and a learnt mask token, written M, stands wherever one is missing. That row is what the decoder
# reads.

# %%
from helpers.diagrams import draw_cells, new_axes, use_style
from helpers.notebook import Slider, play, show, show_source, side_by_side

use_style()
letters, keep, restore = np.array(list("abcdefgh")), masking.keep[0], masking.restore[0]
seen = np.where(np.arange(N) < K, letters[order], "")
back = np.where(masking.is_hidden[0], "M", letters[order][restore])
ground = np.where(masking.is_hidden[0], -1, np.arange(N))
words = np.stack([letters, seen, back])
grounds = np.stack([ground, np.where(np.arange(N) < K, order, -1), np.where(back == "M", 8, ground)])
figure, (axes,) = new_axes(size=(8, 3))
draw_cells(axes, words, grounds)
axes.set_yticks([0.5, 1.5, 2.5], ["the clip", "the encoder reads", "the decoder reads"])
show(figure, "Letters a to h; only b and f are kept, read together, and put back among mask tokens M.")

# %% [markdown]
# ## The same in the model
#
# In the model the tokens are vectors, but nothing else changes. `keep_tokens` picks, `restore_tokens` puts
# back. Their arrays have the shapes `(B, N, D)` and `(B, K, D)`: clips, tokens, width.

# %%
from minitvlt.model.pretraining import keep_tokens, restore_tokens

show_source(keep_tokens, restore_tokens)

# %%
tokens = np.arange(8.0).reshape(1, 8, 1) * [1.0, 10.0]  # token n is (n, 10 n)
kept = keep_tokens(tokens, masking)
restored = restore_tokens(kept, np.array([-1.0, -1.0]), masking)
print("the encoder reads\n", kept[0].T)
print("the decoder reads\n", restored[0].T)

# %% [markdown]
# ## What the encoder sees and hears
#
# Here is a clip of the singing shapes with a finer picture than the small model has: four frames of 96 by 96
# pixels in patches of 16 by 16, and a spectrogram of 96 steps and 64 bins, cut likewise. Three quarters of
# both are hidden, as in the paper; hidden patches are hatched.

# %% tags=["thumbnail"]
from helpers.diagrams import plot_masked_clip

config = mt.Config.tiny(
    image_size=96, num_frames=4, image_patch_size=(16, 16), audio_patch_size=(16, 16), sample_rate=16000,
    window_length=1024, hop_length=256, spectrogram_length=96, frequency_length=64,
)  # fmt: skip
clip = mt.ShapesWorld(config).sample(np.random.default_rng(441), 1)
video, audio = clip.video[0], clip.audio[0, 0]
video_noise, audio_noise = np.random.default_rng(1).random((1, 144)), np.random.default_rng(2).random((1, 24))
hide = [mt.random_masking(noise, 0.75).is_hidden[0] for noise in (video_noise, audio_noise)]
figure = plot_masked_clip(config, video, audio, *hide)
show(figure, "Four frames and a spectrogram of which only a quarter of the patches is seen.")

# %% [markdown]
# Move the slider to change the ratio for both. The noise stays the same, so a larger ratio hides what a
# smaller one hid, and more. (Where this page is only read and not run, the picture for 0.5 stands here.)


# %%
def draw_ratio(ratio):
    masks = [mt.random_masking(noise, ratio).is_hidden[0] for noise in (video_noise, audio_noise)]
    figure = plot_masked_clip(config, video, audio, *masks)
    return show(figure, f"The same clip with {ratio:.0%} of its patches hidden in both senses.")


Slider(draw_ratio, "mask ratio", (0, 0.15, 0.3, 0.5, 0.75, 0.9), 0.5)

# %% [markdown]
# And this is what the encoder hears: the hidden patches of the spectrogram are replaced by silence, and the
# picture is made a sound again.

# %%
from minitvlt.views.figures import tokens_to_pixels
from minitvlt.views.report import invert_spectrogram

is_silent = tokens_to_pixels(hide[1][None], config.audio_patch_size, audio.shape)[0]
whole = play(invert_spectrogram(config, audio), config.sample_rate, "The whole sound")
part = play(
    invert_spectrogram(config, np.where(is_silent, -1, audio)), config.sample_rate, "A quarter of its patches"
)
side_by_side(whole, part)

# %% [markdown]
# ## Three ways to hide sound
#
# A hidden patch of sound is often betrayed by the patches above and below it: the harmonics of a voice rise
# and fall together. So there are two other ways. **Frame masking** hides all pitches of a moment together, so
# that only other moments, or the video, can help. **Span masking** is the paper's: where somebody speaks is
# hidden first, since silence is easy to guess.

# %% [markdown]
# To see the difference, we let the shape be silent for the first two and the last of its six moments.
# `find_speech` is a simple detector of energy: a moment counts as speech if it is louder than the middle
# between the quietest and the loudest.

# %%
from minitvlt.model.masking import find_speech

spoken = clip.audio.copy()
spoken[:, :, :32] = spoken[:, :, 80:] = -1  # silence
speech = find_speech(spoken, config.audio_patch_size)
steps = np.random.default_rng(3).random((1, 6))  # one number for each of 6 moments
masks = {
    "patches": mt.random_masking(audio_noise, 0.5),
    "frames": mt.frame_masking(steps, 0.5, tokens_per_step=4),
    "spans": mt.span_masking(audio_noise, 0.5, speech),
}
print("moments that count as speech:", speech[0, ::4].astype(int))

# %% [markdown]
# The picture shows the three masks at a ratio of one half. Scattered patches, on the left, leave a bit of
# every moment to be seen. Frames, in the middle, take three moments away as a whole. Spans, on the right,
# hide the three moments of speech and waste nothing on silence.

# %%
from minitvlt.views.figures import draw_spectrogram

figure, axes = new_axes(1, 3, (11, 3), titles=tuple(masks))
for one, mask in zip(axes, masks.values(), strict=True):
    hidden = tokens_to_pixels(mask.is_hidden, config.audio_patch_size, audio.shape)[0]
    draw_spectrogram(one, spoken[0, 0], config, hidden)
show(
    figure, "One spectrogram under three masks: scattered patches, whole moments, and the moments of speech."
)

# %% [markdown]
# ## Padding
#
# Clips of different length share a batch; the shorter ones are filled up, and a mask says which tokens are
# real. Padding must be neither kept, for there is nothing to see, nor hidden, for there is nothing to fill
# in. So it sorts last, and each clip keeps its own share: of 8 tokens, 4 stay at a ratio of 0.5, of 5 real
# ones $\lfloor 5 \cdot 0.5 \rfloor = 2$.

# %%
is_real = np.arange(8) < np.array([[8], [5]])  # the second clip has 5 real tokens
padded = mt.random_masking(np.random.default_rng(4).random((2, 8)), 0.5, is_real)
for name in ("keep", "keep_is_real", "is_hidden"):
    print(f"{name:<13}", *getattr(padded, name).astype(int))

# %% [markdown]
# `keep` has to be a rectangle, so the second row is filled up with tokens that do not count, and
# `keep_is_real` says which. An implementation that forgets this shows the encoder padding, and averages its
# loss over a number of patches that were never there, or over none: then it is NaN.

# %% [markdown]
# ## What it saves
#
# The encoder of the published model reads 1568 tokens of video and 1024 of sound. The cost of its linear maps
# grows with their number, that of attention (notebook 04) with its square.

# %%
for video_ratio, audio_ratio in ((0.0, 0.0), (0.75, 0.15), (0.75, 0.75)):
    tokens = 1 + int(1568 * (1 - video_ratio)) + int(1024 * (1 - audio_ratio))
    maps, attention = tokens / 2593, (tokens / 2593) ** 2
    hidden = f"hide {video_ratio:.2f} and {audio_ratio:.2f}"
    print(f"{hidden}: {tokens:4} tokens, cost of maps {maps:4.0%}, of attention {attention:4.0%}")

# %% [markdown]
# The first line is matching, which always reads all. The second is the default of the published code in
# transformers, which hides 15% of the sound, in whole moments. The third is the paper.

# %% [markdown]
# ## Try it
#
# **1. What would `restore` be if the noise were already sorted?**
#
# <details><summary>Answer</summary>
#
# 0 to 7: every token stands where it stood. `mt.random_masking(np.sort(noise), 0.75)` keeps the first two.
#
# </details>

# %% [markdown]
# **2. Why hand in noise, and not let `random_masking` draw it?**
#
# <details><summary>Answer</summary>
#
# Then NumPy, PyTorch and the tape see the same mask, two runs can be compared number by number, and a run
# that was interrupted goes on as if nothing had happened. No function of the package draws numbers behind
# your back.
#
# </details>

# %% [markdown]
# **3. At a ratio of 0.99, how many of 24 tokens are kept?**
#
# <details><summary>Answer</summary>
#
# $\lfloor 24 \cdot 0.01 \rfloor = 0$. The encoder then hears nothing at all, and the decoder has to guess
# every patch of the sound from `M` and positions alone. That is allowed, and what one gets is close to an
# average clip.
#
# </details>

# %% [markdown]
# **4. Frame masking with a ratio of 0.15 on these 6 moments: how much is hidden?**
#
# <details><summary>Answer</summary>
#
# $\lfloor 6 \cdot 0.85 \rfloor = 5$ moments are kept, one is hidden, with all of its 4 tokens: 17%. A moment
# is never split.
#
# </details>

# %% [markdown]
# **5. Does the order in which the kept tokens reach the encoder matter?**
#
# <details><summary>Answer</summary>
#
# No. Their positions were added before they were picked (notebook 02), and a transformer treats its tokens as
# a set. That is why sorting by noise does no harm, and why `restore` is needed only before the decoder.
#
# </details>

# %% [markdown]
# ## Recap
#
# Noise is drawn and sorted; the tokens with the smallest are kept and read by the encoder, and `restore`
# leads them back to their places, where a mask token stands for each of the others. Patches, whole moments or
# speech can be hidden; padding is neither kept nor hidden. Hiding three quarters makes the task hard enough
# to learn from, and cheap enough to afford.

# %% [markdown]
# ## Where to go on
#
# [04](04_attention.ipynb) opens the transformer that reads what is left. The code is in
# [masking.py](../minitvlt/model/masking.py); how the decoder fills in is in
# [pretraining.py](../minitvlt/model/pretraining.py). All notebooks are in the [overview](README.md).
