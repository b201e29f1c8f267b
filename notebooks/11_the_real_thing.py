# %% [markdown]
# # 11 · The real thing
#
# So far everything was small. This notebook is for the published model and for a film of your own: load a
# checkpoint, prepare a clip, look inside, fill in what was hidden, and find the sound that belongs to a
# video. Where neither is at hand, the identical steps run on a stand-in of the same format.
#
# **You will be able to** read checkpoints of three programs, prepare a real clip as they do, reconstruct and
# retrieve with it, check our numbers against another program's, and write checkpoints that it reads.
#
# **Time to run:** about ten seconds as it is; a few minutes with the published model. **Before this:**
# [00](00_quickstart.ipynb) to [03](03_masking.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Yours to set
#
# Two names decide what happens below. With `None`, as here, nothing is fetched from anywhere.
#
# - `CHECKPOINT`: a folder of transformers (`config.json` and the weights), a file of the released code
#   (`TVLT.ckpt`), a file of this package, or `"owner/name"`, a repository of the Hugging Face Hub. Only that
#   last one uses the network, and needs `pip install huggingface_hub`.
# - `CLIP`: a film with sound, as PyAV reads it (`pip install "minitvlt[media]"`). From it, four pieces are
#   cut: they begin at the seconds in `STARTS` and last `SECONDS` each.

# %%
CHECKPOINT = None
CLIP = None
STARTS = (0.0, 5.0, 10.0, 15.0)
SECONDS = 1.4

# %% [markdown]
# ## What was published
#
# `mt.Config()` is the published base model, value for value. `outline` lays out its parameters without memory
# for them, so that they can be counted here. The picture shows where they are: nearly all in the twelve
# blocks of the encoder, and not quite a quarter in the decoder, which is needed for filling in alone.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import play, show
from minitvlt.model.parameters import outline

use_style()
base = mt.flatten(outline(mt.Config()))
parts = {"encoder: patches, positions": 0, "encoder: blocks": 0, "decoder": 0, "matching head": 0}
for name, array in base.items():
    is_block = name.startswith("encoder.blocks")
    part = list(parts)[is_block if name.startswith("encoder") else 2 if name.startswith("decoder") else 3]
    parts[part] += array.size
print(f"together {sum(parts.values()) / 1e6:.0f} million in {len(base)} arrays")

# %%
figure, (axes,) = new_axes(size=(10, 2.6), x="millions of parameters")
bars = axes.barh(list(parts), [size / 1e6 for size in parts.values()], color="gray")
axes.bar_label(bars, fmt=" %.1f")
axes.invert_yaxis()
axes.set_xlim(0, 96)
show(figure, "Four bars: 85 million parameters in the encoder's blocks, 26 in the decoder, few elsewhere.")

# %% [markdown]
# The paper counts about 88 million with a classifier and 114 million with the decoder. That is the released
# code, whose tables of positions are longer, and whose heads have one layer more.

# %% [markdown]
# ## A checkpoint
#
# If you named one, it is read. If not, we make a stand-in: a model of the same layout, but small and
# **untrained**, written to a temporary folder in the format of transformers 4.40.2. From here on the two
# cannot be told apart by their form: the same two files, the same names, the same call.

# %%
import tempfile
from pathlib import Path

import numpy as np

sizes = {"image_size": 48, "num_frames": 4, "spectrogram_length": 96}
sizes |= {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 192}
sizes |= {"decoder_hidden_size": 64, "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 4}
source = CHECKPOINT
if source is None:
    stand_in = mt.init(mt.Config(**sizes, decoder_intermediate_size=128), seed=0)
    source = mt.to_huggingface(stand_in, Path(tempfile.mkdtemp()) / "stand-in")
    print("a stand-in:", *sorted(path.name for path in source.iterdir()))

# %%
params = mt.to_backend(mt.load_any(source), "numpy", dtype="float32")
config = params.config
count = sum(array.size for array in mt.flatten(params).values())
print(f"{count:,} numbers in {len(mt.flatten(params))} arrays")
print("frames:", config.num_frames, "of", config.image_shape, "  blocks:", config.num_hidden_layers)

# %% [markdown]
# `load_any` looks into what it is given and tells whose it is; no code in a file ever runs. Each program has
# its own names. Transformers keeps query, key and value apart, for instance, and its patch embedding is a
# convolution; here the first is one matrix, and the second a linear map of patch rows. All of it is a matter
# of names and of order: no number is changed. (Above, `to_backend` brought them to float32, in which we
# compute, since some files hold float16 to be small.)

# %%
if CHECKPOINT is None:
    from minitvlt.checkpoints.native import read_tensors

    theirs = {name: array.shape for name, array in read_tensors(source / "model.safetensors").items()}
    layer = "tvlt.encoder.layer.0.attention.attention."
    patches = "tvlt.pixel_embeddings.patch_embeddings.projection.weight"
    for name in (patches, *(f"{layer}{kind}.weight" for kind in ("query", "key", "value"))):
        print(f"{name:<60}{theirs[name]}")
    print()
    for name in ("encoder.video_patches.weight", "encoder.blocks.0.attention.qkv.weight"):
        print(f"{name:<60}{mt.flatten(params)[name].shape}")

# %% [markdown]
# ## Two programs, two settings
#
# The authors' code and the one in transformers hold the same model and still differ in small ways: whether
# the mean of the waveform is removed, how frames are cropped, in which order the tokens stand. These
# differences are fields of `mt.Config`, and a checkpoint comes with those of its kind. The few that are not
# reproduced are listed in [from_transformers.md](from_transformers.md).

# %%
theirs, ours = mt.Config.original().to_dict(), mt.Config.huggingface().to_dict()
print(f"{'':<22}{'released code':<20}transformers")
for name, value in theirs.items():
    if value != ours[name]:
        print(f"{name:<22}{value!s:<20}{ours[name]}")

# %% [markdown]
# ## A clip
#
# `mt.read_clip` decodes frames with the times at which they are shown, and one channel of sound, between two
# moments. Where there is no film, or no PyAV to read it, four clips of the embedded world are painted and
# sung at the size and the sample rate of the model.

# %% tags=["needs-av"]
import importlib.util

short = config.replace(spectrogram_length=min(config.spectrogram_length, 512))  # 5.9 s of sound at most
has_av = importlib.util.find_spec("av") is not None
if CLIP and has_av:
    pieces = [mt.read_clip(CLIP, start, start + SECONDS) for start in STARTS]
else:
    print("no film is set" if has_av else 'PyAV is missing: pip install "minitvlt[media]"')
    world = mt.ShapesWorld(short, split="held_out")
    frames, waveforms, _ = world.draw_clips(np.random.default_rng(4), 4, frames=12)
    rate = config.sample_rate
    pieces = [mt.Clip(f, 12 / short.clip_seconds, w, rate) for f, w in zip(frames, waveforms, strict=True)]
print(len(pieces), "pieces;", "the first:", pieces[0].frames.shape, pieces[0].waveform.shape)

# %% [markdown]
# How long is a clip for the model? A spectrogram has `S` steps, each `h` samples after the one before, and
# there are `R` samples in a second. So its seconds are
#
# $$t = \frac{S \, h}{R}$$
#
# and with 16 steps a patch, one patch of sound lasts 0.19 s. The sequence has one token for each patch and
# one for `cls`. With `T` frames of `H` by `W` pixels, `F` frequencies, and patches of `p` by `p` in both
# senses:
#
# $$N = 1 + T \, \frac{H}{p} \, \frac{W}{p} + \frac{S}{p} \, \frac{F}{p}$$
#
# The cell prints both: for the published model at its full length, and for the one that was loaded.

# %%
for name, c in (("published", mt.Config()), ("here", config)):
    t = c.spectrogram_length * c.hop_length / c.sample_rate
    N = 1 + c.num_frames * np.prod(c.image_grid) + np.prod(c.audio_grid)  # rows times columns of patches
    print(f"{name:<10}{t:6.2f} s of sound, {N:5} tokens")

# %% [markdown]
# ## As the model sees and hears it
#
# `prepare` does what the published processors do, in the habits of this checkpoint. It chooses the frames,
# resizes and crops them, and brings their values to [-1, 1]; it resamples the sound and makes its log-mel
# picture. Pieces of different length are padded, and masks say what is real.

# %%
examples = mt.prepare(pieces, short)
print("video:", examples.video.shape, "  sound:", examples.audio.shape)
print("video mask:", examples.video_mask is not None, "  sound mask:", examples.audio_mask is not None)

# %% [markdown]
# Below is the first piece: the frames that were chosen, and beside them its sound. At 44,100 samples a second
# the picture reaches up to 22 kHz, and one sees single harmonics, where the small world of the notebooks
# before had sixteen rows in all. The player below plays the beginning of
# the wave itself.

# %% tags=["thumbnail"]
from helpers.diagrams import plot_masked_clip

figure = plot_masked_clip(short, examples.video[0], examples.audio[0, 0])
show(figure, "Frames of the first piece in a row, and beside them its log-mel picture up to 22 kHz.")

# %%
seconds = slice(0, int(0.7 * pieces[0].sample_rate))
play(pieces[0].waveform[seconds], pieces[0].sample_rate, "The sound of the first piece")

# %% [markdown]
# ## Forward
#
# The call is that of the first notebook. On the published model, a clip of 8 frames and 5.9 s of sound takes
# a few seconds on two cores. What comes out has the same form as ever.

# %%
shown = (examples.video[:1], examples.audio[:1])
out = mt.forward(params, *shown, return_attention=True)
print("cls:", out.cls.shape, "  video:", out.video.shape, "  sound:", out.audio.shape)

# %% [markdown]
# Where does `cls` look in the last block, on the mean over the heads? An untrained model looks everywhere
# alike, so that the senses get the weight that their number of tokens gives them; what a trained one prefers
# shows as bright patches.

# %%
from helpers.diagrams import plot_weights

looks = out.attention[-1][0].mean(axis=0)[0]  # (N,): the row of cls
Nv = out.video.shape[1]
figure = plot_weights(short, shown[0][0], shown[1][0, 0], looks[1 : 1 + Nv], looks[1 + Nv :])
show(figure, "Frames and spectrogram of the first piece; bright patches are those that cls looks at.")

# %% [markdown]
# ## The same numbers as the other program
#
# A port may look right and be wrong. Where transformers 4.40.2 and PyTorch are installed, this cell loads
# the same folder there, hands it the same clip, and compares what comes out. The tests of the package do so
# for every class and setting. (Released checkpoints in other formats first go through `mt.to_huggingface`.)

# %% tags=["needs-transformers", "needs-torch"]
import contextlib
import warnings

with contextlib.suppress(ImportError, OSError), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from transformers import TvltModel, logging

    logging.set_verbosity_error()
    there = TvltModel.from_pretrained(source).eval()
    with torch.no_grad():
        answer = there(*(torch.from_numpy(array) for array in shown)).last_pixel_hidden_state.numpy()
    print("as transformers says:", np.abs(answer - out.video).max() < 1e-4)
if "answer" not in globals():
    print("not compared: it takes a folder, and pip install torch transformers==4.40.2")

# %% [markdown]
# ## Filling in
#
# Now hide three quarters of the frames, and of the sound whole moments, as the configuration says, and let
# the model fill them in. The three rows of the picture are what was there, what the model was shown, and
# what it made of it. The untrained stand-in answers with noise around grey: it knows nothing. A checkpoint
# that was fine-tuned often lacks its decoder; then there is nothing to fill in with, and the third row is the
# first.

# %%
from minitvlt.views.figures import plot_reconstruction
from minitvlt.views.report import reconstruct

batch = mt.make_batch(examples, short, np.random.default_rng(0))
first = mt.map_tree(lambda array: array[:1], batch)
video, audio = reconstruct(params, first) if params.decoder else (first.video, first.audio)
print("decoder:", params.decoder is not None)
print(f"hidden: {first.video_masking.is_hidden.mean():.0%} of the frames,", end=" ")
print(f"{first.audio_masking.is_hidden.mean():.0%} of the sound")

# %%
figure = plot_reconstruction(short, first, video, audio)
show(figure, "Frames and spectrogram in three rows: original, with hidden patches hatched, and filled in.")

# %% [markdown]
# A picture does not say how good that is; a number does. It is the squared error over hidden patches, divided
# by what one gets by always answering with the mean of this clip. Below 1, something was learnt. Noise is
# worse than the mean, so the stand-in fails, as it should.

# %%
from minitvlt.model.patches import patchify_video

truth, guess = (patchify_video(x, config.image_patch_size) for x in (first.video, video))
hidden = first.video_masking.is_hidden
error = np.mean((guess - truth)[hidden] ** 2) / np.mean((truth.mean() - truth)[hidden] ** 2)
print("better than the mean:", bool(error < 1))

# %% [markdown]
# ## Finding
#
# Which sound belongs to which piece of the film? Every sound is asked with every video. In the picture each
# row is a sound and each column a video; the frames stand above. Written in each square is the probability
# that the two belong together, white for 0 and black for 1, and the true pairs lie on the diagonal. The
# stand-in says one half to everything: it cannot tell.

# %%
has_head = params.matching is not None
scores = mt.score_all_pairs(params, batch) if has_head else np.zeros((4, 4))
chances = 1 / (1 + np.exp(-scores))
print("matching head:", has_head, "  pairs:", scores.shape)
print(
    "right pairs above a half, and all others below:", bool(((chances > 0.5) == np.eye(4, dtype=bool)).all())
)

# %%
from minitvlt.views.figures import draw_frames

figure, axes = new_axes(5, 4, (6, 7))
for number, one in enumerate(axes):
    row, column = number // 4 - 1, number % 4
    one.set(xticks=[], yticks=[], ylabel=f"sound {row + 1}" if column == 0 and row >= 0 else "")
    if row < 0:
        draw_frames(one, examples.video[column, 1:2])
        one.set_title(f"video {column + 1}")
        continue
    chance = chances[row, column]
    one.imshow([[chance]], cmap="Greys", vmin=0, vmax=1)
    one.text(0, 0, f"{chance:.2f}", ha="center", va="center", color="white" if chance > 0.6 else "black")
show(figure, "Four by four squares with probabilities, a frame above each column; all say one half.")

# %% [markdown]
# One clip's video and its own sound are the easiest test there is. A harder and fairer one takes pieces that
# look alike, such as four of one interview, and asks whether lips and voice still find each other.

# %% [markdown]
# ## Onwards from a checkpoint
#
# Fine-tuning it is what [08](08_using_the_model.ipynb) does; only the name of the model changes. On the
# command line, the same files are read, changed into one another, and told apart:
#
# ```bash
# minitvlt info TVLT.ckpt
# minitvlt convert TVLT.ckpt TVLT.safetensors
# minitvlt convert TVLT.safetensors TVLT-folder --to transformers
# minitvlt reconstruct film.mp4 --checkpoint TVLT.safetensors --out film
# ```
#
# And a round trip loses nothing, down to the last bit. Here we write what we loaded and read it again.

# %%
copy = mt.to_huggingface(params, Path(tempfile.mkdtemp()) / "copy")
again = mt.flatten(mt.from_huggingface(copy))
same = all(np.array_equal(array, again[name]) for name, array in mt.flatten(params).items())
print("the same", len(again), "arrays, bit for bit:", same)

# %% [markdown]
# ## Try it
#
# **1. What do these steps show with a model that has learnt something?**
#
# <details><summary>Answer</summary>
#
# Put `from minitvlt.checkpoints.native import PACKAGED` and
# `CHECKPOINT = PACKAGED / "shapes-small.safetensors"` where the two names are set, and run all: it is read by
# the same call. All sizes follow its configuration; hidden patches get colours, and the diagonal turns dark.
# (The comparison with transformers takes a folder: write one with `mt.to_huggingface`.)
#
# </details>

# %% [markdown]
# **2. Your film is silent, or your recording has no pictures. What now?**
#
# <details><summary>Answer</summary>
#
# `mt.prepare` then gives `None` for what is missing, and `mt.forward(params, None, audio)` takes it. What the
# `cls` of such a clip is worth depends on the training: the published model has seen both senses together.
# Pairs cannot be scored without both.
#
# </details>

# %% [markdown]
# **3. What if the film lasts longer than the model's 23.8 s?**
#
# <details><summary>Answer</summary>
#
# `prepare` takes the beginning of it, so cut it into pieces, as `STARTS` does. Or raise
# `spectrogram_length` by `config.replace`: a longer input stretches the table of positions. It runs, but the
# model has never heard such lengths, and the time of attention grows with the square.
#
# </details>

# %% [markdown]
# **4. You have frames and sound as arrays, from a camera or a program. Is a file needed?**
#
# <details><summary>Answer</summary>
#
# No. `mt.Clip(frames, frame_rate, waveform, sample_rate)` holds frames `(T, H, W, 3)` in `uint8` and samples
# in [-1, 1]; that is how the four clips of this notebook were made. Any sample rate will do, as `prepare`
# resamples.
#
# </details>

# %% [markdown]
# **5. A reconstruction looks washed out, although the error is small. Is something broken?**
#
# <details><summary>Answer</summary>
#
# No. The model answers with the mean of what it thinks possible, since that has the smallest squared error,
# and the mean of many sharp pictures is a blur. Look instead whether colours, edges and pitches go on where
# they should.
#
# </details>

# %% [markdown]
# ## Recap
#
# A checkpoint is a set of named arrays and a configuration; `load_any` tells whose names they are, and the
# configuration carries the habits of the program it came from. A clip is frames with times and a wave;
# `prepare` makes of it what the published processors would. With the two, everything of the notebooks
# before works as it is: forward, attention, filling in, finding. Whether it works *well* is a question of
# the weights, and the stand-in here shows what it looks like when there is nothing in them.

# %% [markdown]
# ## Where to go on
#
# This is the end of the path. Take a film of your own and a checkpoint, set the two names at the top, and run
# it again. The whole path is in the [overview](README.md), the readers of checkpoints are in
# [training](../minitvlt/training), and what files become clips is in
# [signals](../minitvlt/signals/media.py).
