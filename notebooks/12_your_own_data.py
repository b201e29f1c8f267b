# %% [markdown]
# # 12 · Your own data
#
# How to train on a folder of clips: what the files and the label file look like, how to divide them for an
# honest test, which loss to expect before the first step, how to read the curves, and when to stop. The same
# is done twice: by the commands `minitvlt pretrain`, `finetune` and `retrieve`, and in Python.
#
# **You will be able to** prepare a folder and a label file, split it without leakage, compute baselines,
# recognise overfitting, stop a training early, and use the commands on films of your own.
#
# **Time to run:** about a minute and a half. **Before this:** the losses and the training loop
# ([07](07_pretraining.ipynb)); fine-tuning and its metrics ([08](08_using_the_model.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Recordings
#
# A real data set consists of recordings. Each has a camera, a room and a microphone, so all clips that are
# cut from one recording resemble each other. We imitate this: a recording is four clips long and shows one
# shape that moves and sounds, as in [07](07_pretraining.ipynb). In addition, each has a background colour and
# a low hum of its own. `mt.Clip` holds what a file holds: frames, their rate, the waveform and its sample
# rate.

# %%
import numpy as np

config = mt.Config.tiny()
CLIPS = 4  # in a recording
long = config.replace(image_size=48, spectrogram_length=CLIPS * config.spectrogram_length)


def record(rng, count):
    frames, waves, labels = mt.ShapesWorld(long, max_count=1).draw_clips(rng, count, frames=6 * CLIPS)
    frames = np.clip(frames + rng.integers(-50, 50, (count, 1, 1, 1, 3)), 0, 255).astype(np.uint8)
    times = np.arange(waves.shape[1]) / config.sample_rate
    waves = waves + 0.03 * np.sin(2 * np.pi * rng.uniform(60, 200, (count, 1)) * times).astype(np.float32)
    rate = 6 / config.clip_seconds  # frames a second
    clips = [mt.Clip(f, rate, w, config.sample_rate) for f, w in zip(frames, waves, strict=True)]
    return clips, labels["shape"]


# %%
films, shapes = record(np.random.default_rng(0), 24)
print(len(films), "recordings; the first:", films[0].frames.shape, films[0].waveform.shape)
print(f"seconds of a recording: {long.clip_seconds:.1f}, of a clip: {config.clip_seconds:.1f}")

# %% [markdown]
# They are written as files into a folder: `mt.write_clip` makes mp4 files, for which it needs PyAV. Where
# PyAV is missing, only the audio is written, as WAV files; the frames stay in memory, and the cells that
# read films say that they cannot.

# %%
import importlib.util
import tempfile
from pathlib import Path

folder, has_av = Path(tempfile.mkdtemp()), importlib.util.find_spec("av") is not None
suffix = ".mp4" if has_av else ".wav"
paths = [folder / "films" / f"film{n:02}{suffix}" for n in range(len(films))]
for path, film in zip(paths, films, strict=True):
    if has_av:
        mt.write_clip(path, film)
    else:
        mt.write_wav(path, film.waveform, film.sample_rate)
print(len(list((folder / "films").iterdir())), "files:", paths[0].stem, "to", paths[-1].stem)

# %% [markdown]
# Four clips are cut from each recording, by time. `mt.prepare` then makes arrays of them: it chooses frames,
# resizes them, resamples the audio and computes spectrograms ([01](01_sound_to_picture.ipynb),
# [02](02_patches.ipynb)).


# %%
def cut(film, start, stop):
    """The frames and the samples from start to stop, in seconds."""
    is_inside = (film.times >= start) & (film.times < stop)
    samples = slice(round(start * film.sample_rate), round(stop * film.sample_rate))
    return mt.Clip(film.frames[is_inside], film.frame_rate, film.waveform[samples], film.sample_rate)


def cut_all(films):
    edges = config.clip_seconds * np.arange(CLIPS + 1)
    clips = [cut(film, *edges[n : n + 2]) for film in films for n in range(CLIPS)]
    return mt.prepare(clips, config)


clips = cut_all(films)
print("video", clips.video.shape, " audio", clips.audio.shape)

# %% [markdown]
# Here are the clips of two recordings, one recording a row: the middle frame of each clip, then the four
# spectrograms (time runs to the right, frequency upwards). The background and the hum, the bright band at the
# bottom, are those of the recording.

# %% tags=["thumbnail"]
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show
from minitvlt.views.figures import draw_frames, draw_spectrogram

use_style()
figure, axes = new_axes(2, 2 * CLIPS, (11, 3.2))
for row, film in enumerate((0, 3)):
    for n in range(CLIPS):
        draw_frames(axes[2 * CLIPS * row + n], clips.video[CLIPS * film + n, 1:2])
        draw_spectrogram(axes[2 * CLIPS * row + CLIPS + n], clips.audio[CLIPS * film + n, 0], config)
for one in axes:
    one.set(xticks=[], yticks=[], xlabel="", ylabel="")
show(figure, "Two rows of four frames and four spectrograms; each row has its own background.")

# %% [markdown]
# ## Leakage
#
# A model is measured on a **test set** that training does not use. If clips of one recording are in both
# parts, the model can recognise the recording instead of what the label is about. This is **leakage**, and
# the measured accuracy is too high.
#
# An extreme case makes it visible. Half of the recordings get the label 1 and half 0, *at random*: nothing in
# a clip tells its label, so no model can be better than chance on new recordings. The **nearest neighbour**
# classifier gives a clip the label of the most similar clip of the training set. We test each clip twice:
# once all other clips are training data, once only those of other recordings.


# %%
def nearest_accuracy(distances, labels, may_compare):
    """How many clips get the right label from the most similar clip that they may be compared with."""
    nearest = np.where(may_compare, distances, np.inf).argmin(axis=1)
    return np.mean(labels[nearest] == labels)


# %%
film_of = np.repeat(np.arange(len(films)), CLIPS)  # the recording of each clip
features = np.c_[clips.video.reshape(len(film_of), -1), clips.audio.reshape(len(film_of), -1)]
squares = (features**2).sum(axis=1)
distances = squares[:, None] + squares - 2 * features @ features.T  # |x|² + |y|² - 2 x·y
by_clip, by_film = ~np.eye(len(film_of), dtype=bool), film_of[:, None] != film_of
scores = {"by clip": [], "by recording": []}
for seed in range(10):
    random = np.repeat(np.random.default_rng(seed).permutation(len(films)) % 2, CLIPS)
    for split, may_compare in (("by clip", by_clip), ("by recording", by_film)):
        scores[split].append(nearest_accuracy(distances, random, may_compare))
for split, values in scores.items():
    print(f"random labels, split {split}: accuracy {np.mean(values):.1f} (mean of ten labellings)")

# %% [markdown]
# So the split is made by recording, never by clip; with faces or voices, by person.

# %%
from helpers.training_figure import draw_splits

draw_splits().show(
    "Five recordings of four clips: by clip, test clips lie in four rows; by recording, in one."
)

# %% [markdown]
# Files need care as well:
# the same film may lie in a folder twice, under two names. `split_by_content` gives all paths with the same
# bytes the same side. It sorts the contents by a **hash**, a number computed from the bytes alone, so the
# result does not depend on the order or the names of the files.

# %%
import hashlib


def split_by_content(paths, share, seed=0):
    """Which files are for the test: a share of all different contents."""
    hashes = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    contents = sorted(set(hashes))
    count = max(1, round(share * len(contents)))
    chosen = np.random.default_rng(seed).permutation(contents)[:count]
    return np.isin(hashes, chosen)


# %%
is_test = split_by_content(paths, 0.25)
print("for the test:", is_test.sum(), "of", len(paths), "recordings")
train_films = [film for film, test in zip(films, is_test, strict=True) if not test]
backwards = split_by_content(paths[::-1], 0.25)
print("the same for files in another order:", np.array_equal(backwards, is_test[::-1]))

# %% [markdown]
# ## The label file
#
# A label file has a row for each clip: the `file`, where needed `start` and `stop` in seconds, the `split`
# and the `label`. It is CSV, or one JSON object a line. The file names are relative to its own folder. Here
# the label is the shape.

# %%
from minitvlt.worlds.shapes import SHAPES

lines = ["file,start,stop,split,label"]
for path, test, shape in zip(paths, is_test, shapes, strict=True):
    for n in range(CLIPS):
        start, stop = n * config.clip_seconds, (n + 1) * config.clip_seconds
        side = "test" if test else "train"
        lines.append(f"films/{path.name},{start:.3f},{stop:.3f},{side},{SHAPES[shape]}")
table = folder / "labels.csv"
table.write_text("\n".join(lines) + "\n")
print(*(line.replace(suffix, "") for line in lines[:4]), sep="\n")

# %% [markdown]
# Reading it takes a few lines: `csv.DictReader` gives a dictionary for each row. The names of the classes are
# sorted, so that their numbers do not depend on which row comes first.

# %%
import csv


def read_label_file(path):
    """Numbers of the classes, their names, and which rows are for the test."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})
    numbers = np.array([names.index(row["label"]) for row in rows])
    return numbers, tuple(names), np.array([row["split"] == "test" for row in rows])


# %%
labels, names, is_test_row = read_label_file(table)
theirs = mt.read_labels(table, "classification")
print("labels: as the package's:", np.array_equal(labels, theirs.labels), names == theirs.names)
print("split: as the package's:", np.array_equal(is_test_row, theirs.is_test))

# %% [markdown]
# `mt.read_labels` checks more: that files are there, that numbers are numbers, that each class occurs. It
# warns where a clip is in both parts, also under two names, and where a clip has two labels. If there is no
# column `split`, it draws a fifth of the *rows*. That is right if each row is a recording of its own; if
# several rows are cut from one recording, write the column yourself, as here.

# %% [markdown]
# ## A world of your own
#
# For training, the package needs an object with a method `sample(rng, count)` that returns `mt.Examples`. If
# all clips fit into memory, this takes a few lines. `mt.FolderWorld` does it for folders and label files: it
# decodes files when they are first needed, draws spans at any position, and keeps what memory allows. Both
# get all randomness from the generator `rng`, so a training can be repeated.


# %%
class Clips:
    """Clips in memory, of which rows are drawn"""

    def __init__(self, examples):
        self.examples = examples

    def sample(self, rng, count):
        """Draw this many clips."""
        rows = rng.integers(len(self.examples.audio), size=count)
        return mt.map_tree(lambda array: array[rows], self.examples)


# %% tags=["needs-av"]
if has_av:
    world = mt.FolderWorld(folder / "films", config)
    sampled = world.sample(np.random.default_rng(0), 5)
    print("from the folder:", sampled.video.shape, sampled.audio.shape)
    span = mt.FolderWorld(table, config, task="classification", split="train")
    _, first = next(span.read(8))  # the first rows for training, in their order
    error = np.abs(first.video - clips.video[~is_test_row][:8]).mean()
    print("as our own arrays, up to the losses of mp4:", bool(error < 0.05))
else:
    print('PyAV is missing: pip install "minitvlt[media]". The notebook goes on with arrays in memory.')

# %% [markdown]
# ## Which loss to expect
#
# Before training, compute what a model reaches that ignores its input: the **baselines**. If training does
# not get below them, it has learnt nothing. For matching, the best constant answer is the probability ½, with
# the loss $\log 2 \approx 0.69$. For masked autoencoding, it is the **mean patch**: let $\bar u_n$ be the
# mean of patch $n$ over the training clips. With the hidden patches $H$ and $V$ values in a patch, its loss
# is
#
# $$L_{\text{mean}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{V} \sum_i (\bar u_{ni} - u_{ni})^2$$


# %%
def mean_patch_loss(train_patches, patches, is_hidden):
    mean = train_patches.mean(axis=0)  # (N, values)
    error = ((mean - patches) ** 2).mean(axis=-1)  # (B, N)
    return error[is_hidden].mean()


# %% [markdown]
# For comparison, `sum_squared_error` of the package is given the mean patch as the prediction. We measure on
# 64 clips of sixteen new recordings, with fixed masks and fixed pairs; they are used throughout the notebook.

# %%
from minitvlt.model.pretraining import count_targets, sum_squared_error

rng = np.random.default_rng(2)
held_out = mt.make_batch(cut_all(record(rng, 16)[0]), config, rng)
training = cut_all(train_films)
rows = [mt.patchify_video(each.video, config.image_patch_size) for each in (training, held_out)]
is_hidden = held_out.video_masking.is_hidden
video_baseline = mean_patch_loss(*rows, is_hidden)
mean = np.broadcast_to(rows[0].mean(axis=0), rows[1].shape)
theirs = sum_squared_error(mean, rows[1], is_hidden) / count_targets(held_out).video
print("as the package's:", np.isclose(video_baseline, theirs))

# %% tags=["needs-av"]
rows = [mt.patchify_audio(each.audio, config.audio_patch_size) for each in (training, held_out)]
audio_baseline = mean_patch_loss(*rows, held_out.audio_masking.is_hidden)
baseline = config.matching_weight * np.log(2) + config.mae_weight * (video_baseline + audio_baseline)
baselines = {"loss": baseline, "match_loss": np.log(2)}
baselines |= {"video_loss": video_baseline, "audio_loss": audio_baseline}
print(f"{'':<12}{'baseline':>10}{'untrained':>10}{'packaged':>10}")
outputs = [mt.pretraining_loss(each, held_out) for each in (mt.init(config, 0), mt.load("shapes-small"))]
for name, value in baselines.items():
    print(f"{name:<12}{value:10.2f}" + "".join(f"{getattr(out, name):10.2f}" for out in outputs))

# %% [markdown]
# An untrained model is worse than the baselines, because its predictions vary for no reason. In the first
# steps of a training, the losses fall to the baselines; only what comes after that is learnt from the clips.
# The packaged model reconstructs these clips better than the mean patch, although it was trained on clips
# with a grey background and without a hum. Its matching scores are worse than a constant: they are confident
# and often wrong on recordings of another kind.

# %% [markdown]
# ## Training on few recordings
#
# Now we train twice, from the same random parameters and for the same number of steps: on eight recordings
# (32 clips), and on 200. Every ten steps, the loss on the 64 held-out clips is computed. The loop is
# that of [07](07_pretraining.ipynb), with the package's AdamW.

# %%
from minitvlt.training.optimizer import apply_adamw, start_adamw

recipe = mt.Recipe(steps=120, batch_size=16, learning_rate=3e-3, warmup_steps=15)
compute = mt.value_and_grad(lambda params, batch: mt.pretraining_loss(params, batch).loss)


# %%
def train(start, world, recipe):
    """The losses of all steps; the steps of the measurements and their held-out losses."""
    state, losses, measured = start_adamw(start), [], []
    for step in range(recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), config, rng)
        loss, g = compute(state.parameters, batch)
        norm = np.sqrt(sum(np.sum(array**2) for array in mt.flatten(g).values()))
        apply_adamw(state, g, min(1, recipe.clip_norm / norm), step, recipe)
        losses.append(float(loss))
        if (step + 1) % 10 == 0:
            measured.append(float(mt.pretraining_loss(state.parameters, held_out).loss))
    return losses, np.arange(10, recipe.steps + 1, 10), measured


# %%
from minitvlt.backends.fast.threads import on_one_core

few = Clips(cut_all(films[:8]))
many = Clips(cut_all(record(np.random.default_rng(1), 200)[0]))
with on_one_core():  # so small a model is faster on one core
    runs = {"8 recordings": train(mt.init(config, 0), few, recipe)}
    runs["200 recordings"] = train(mt.init(config, 0), many, recipe)

# %% [markdown]
# ## Reading the curves
#
# The loss of single steps varies, because each batch has other clips, pairs and masks. A **moving average**
# shows the trend: at each step, the mean over the steps around it, at the ends over those that exist. For a
# window of $2 r + 1$ steps, away from the ends:
#
# $$\bar L_k = \frac{1}{2 r + 1} \sum_{j=k-r}^{k+r} L_j$$


# %%
def moving_average(values, window):
    r = window // 2
    return np.array([np.mean(values[max(0, k - r) : k + r + 1]) for k in range(len(values))])


# %%
from minitvlt.views.figures import smooth

values = np.array(runs["8 recordings"][0])
print("as the package's:", np.allclose(moving_average(values, 15), smooth(values, 15)))

# %% [markdown]
# In both panels the thin line is the training loss, the thick black line its moving average, and the green
# dots are the held-out loss. The dotted line is the baseline.


# %% tags=["volatile"]
def draw_run(axes, title, losses, steps, measured):
    axes.plot(range(1, len(losses) + 1), losses, color="lightgray")
    axes.plot(range(1, len(losses) + 1), moving_average(losses, 15), color="black", label="training")
    axes.plot(steps, measured, "o-", color="#009e73", markersize=4, label="held out")
    axes.axhline(baseline, color="gray", linestyle=":")
    axes.set(title=title, ylim=(0, 3.2))


figure, axes = new_axes(1, len(runs), (11, 3.8), x="step", y="loss")
for one, (title, curves) in zip(axes, runs.items(), strict=True):
    draw_run(one, title, *curves)
axes[0].legend(loc="lower left")
show(figure, "Left: the training loss falls, the held-out loss rises. Right: both fall together.")

# %%
ends = {name: np.mean(losses[-20:]) for name, (losses, _, _) in runs.items()}
last = {name: measured[-1] for name, (_, _, measured) in runs.items()}
for name in runs:
    print(
        f"{name}: held-out loss above the training loss by 0.5 or more:", bool(last[name] > ends[name] + 0.5)
    )
least = min(runs["8 recordings"][2])
print("8 recordings: the held-out loss has risen from its minimum:", bool(last["8 recordings"] > least + 0.1))
print("200 recordings: the held-out loss is far below the baseline:", last["200 recordings"] < baseline - 0.3)

# %% [markdown]
# With eight recordings, the training loss goes on falling while the held-out loss rises: the model
# **overfits**. It memorises single clips, for instance which background belongs to which hum. The 200
# recordings are too many to be memorised in these steps, and what lowers the loss on the training clips also
# lowers it on new ones. What to look for in any run:
#
# - both curves stay at the baseline: nothing is learnt yet (raise the learning rate, wait longer, check that
#   audio and video of a file belong together);
# - both fall together: go on, or take a larger model;
# - only the training loss falls: more recordings, a smaller model, fewer steps, or a pre-trained start.

# %% [markdown]
# ## Early stopping
#
# If there are no more recordings, one can at least stop in time. **Early stopping** keeps the parameters of
# the measurement with the lowest held-out loss, and ends the training once a number of measurements in a row,
# the *patience*, have brought no lower one.


# %%
def early_stop(measured, patience):
    """The number of the best measurement, and of that at which training ends."""
    best = 0
    for number, value in enumerate(measured):
        if value < measured[best]:
            best = number
        elif number - best >= patience:
            return best, number
    return best, len(measured) - 1


# %%
print("an example:", early_stop([3.0, 2.0, 2.1, 1.9, 2.0, 2.2, 2.3, 1.0], patience=3))
for name, (_, steps, measured) in runs.items():
    best, end = early_stop(measured, patience=3)
    print(f"{name}: ends before the last step:", bool(steps[end] < recipe.steps))

# %% [markdown]
# Choosing the step by the held-out loss uses the held-out clips. For the final figure in a report, another
# part of the recordings is needed, which decided nothing: **training, validation and test set**.
#
# ## A pre-trained start
#
# The other way is to start from a model that has seen more. We train the packaged model on the eight
# recordings, with a third of the learning rate, and draw its curves beside those of the random start.

# %% tags=["volatile"]
from dataclasses import replace

gentle = replace(recipe, learning_rate=1e-3)
with on_one_core():
    runs["8 recordings, pre-trained start"] = train(mt.load("shapes-small"), few, gentle)
chosen = ("8 recordings", "8 recordings, pre-trained start")
figure, axes = new_axes(1, 2, (11, 3.8), x="step", y="loss")
for one, title in zip(axes, chosen, strict=True):
    draw_run(one, title, *runs[title])
show(figure, "Left: random start, held-out loss rises. Right: pre-trained start, lower throughout.")

# %%
lowest = {name: min(measured) for name, (_, _, measured) in runs.items()}
better = lowest[chosen[1]] < lowest[chosen[0]] - 0.2
print("lowest held-out loss, pre-trained start clearly lower than random start:", bool(better))

# %% [markdown]
# ## The commands
#
# Without a line of Python, the command `minitvlt pretrain` trains on a folder and writes another folder with
# the model, the metrics, figures and a report. Here it is started for 20 steps only; for real work leave
# `--steps` out, or give thousands. `run` shows what a command printed; where PyAV is missing, that is a
# sentence that says so.

# %% tags=["volatile", "needs-av"]
import subprocess
import sys


def run(*arguments):
    command = [sys.executable, "-m", "minitvlt", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    print("\n".join((done.stdout or done.stderr).replace(str(folder), "…").splitlines()[:20]))


start = mt.save(mt.load("shapes-small"), folder / "start.safetensors")
run("pretrain", "--data", folder / "films", "--steps", 20, "--batch", 16, "--out", folder / "run")

# %% [markdown]
# After so few steps, the relative errors are still above 1, that is, above those of the mean patch. Note the
# line before the scores: a folder of films has no held-out part, so `pretrain` is measured on other
# moments of the *same* files. That says how well these files were learnt, no more. For an honest test, keep
# some recordings in another folder, and call `mt.evaluate(params, mt.FolderWorld(other, config))`.
#
# The folder holds one line of metrics for each step, and `report.html`, which opens in a browser. If a run
# is interrupted, `minitvlt pretrain --out run --resume` goes on from the last saved state.

# %% tags=["needs-av"]
from minitvlt.training.trainer import METRICS, read_metrics

if has_av:
    print("files:", *sorted(path.name for path in (folder / "run").iterdir()), sep="\n  ")
    log = read_metrics(folder / "run" / METRICS)
    print("lines of metrics:", len(log), "  the loss fell:", log[-1]["loss"] < log[0]["loss"])

# %% [markdown]
# ## Fine-tuning
#
# `minitvlt finetune` reads the label file. It trains on the rows with the split `train`, here from the
# packaged model, and measures on those with the split `test`: `chance` is always predicting the most frequent
# class.

# %% tags=["volatile", "needs-av"]
how = ("--checkpoint", start, "--steps", 40, "--batch", 16, "--out", folder / "tuned")
run("finetune", "classification", "--data", table, *how)

# %% [markdown]
# The same in Python, on the arrays in memory, which needs no PyAV: the clips get their labels, and two worlds
# the two parts.

# %%
from minitvlt.training import metrics

labelled = replace(clips, labels={"label": labels})
part = {test: mt.map_tree(lambda array, t=test: array[is_test_row == t], labelled) for test in (False, True)}
task = mt.Task("classification", names=names)
few_steps = mt.Recipe(steps=40, batch_size=16, learning_rate=2e-3, warmup_steps=10)
tuned = mt.finetune(
    mt.load("shapes-small"), Clips(part[False]), task, folder / "mine", few_steps, show_progress=False
)
predicted = mt.classify(tuned, part[True].video, part[True].audio).argmax(axis=1)
accuracy = metrics.compute_accuracy(predicted, labels[is_test_row])
chance = np.bincount(labels[is_test_row]).max() / is_test_row.sum()
print("clips of the test set:", is_test_row.sum(), "  accuracy above chance:", bool(accuracy > chance + 0.1))

# %% [markdown]
# The clips of one recording are not independent, so these 24 clips say hardly more than six recordings. If
# each recording is either right or wrong, the standard error of an accuracy $a$ from $n$ recordings is
# $\sqrt{a (1 - a) / n}$. Report the number of recordings with every figure.


# %%
def standard_error(accuracy, count):
    return np.sqrt(accuracy * (1 - accuracy) / count)


for count in (6, 24, 100, 1000):
    print(f"accuracy 0.8 from {count:4} recordings: ± {standard_error(0.8, count):.2f}")

# %% [markdown]
# ## Retrieval
#
# `minitvlt retrieve` searches. With `--sound` or `--video` it ranks the files of a folder; with neither it
# measures recall, each clip against all others.

# %% tags=["volatile", "needs-av"]
run("retrieve", folder / "films", "--checkpoint", start, "--out", folder / "found")

# %% [markdown]
# In Python, `mt.score_all_pairs` gives the matrix of scores of which the table is made
# ([08](08_using_the_model.ipynb)). Among clips of the same recordings, the score must not reward the
# background: search among one clip of each.

# %%
one_each = mt.map_tree(lambda array: array[1::CLIPS], clips)
ranks = metrics.compute_ranks(mt.score_all_pairs(mt.load("shapes-small"), one_each))
print(len(ranks), "clips; median rank better than by chance:", bool(np.median(ranks) < (len(ranks) + 1) / 2))

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Change the processing: in training on the eight recordings, change the video of each drawn clip at
# random. First mirror it left to right with probability ½ (the audio does not tell left from right); then
# instead add a random colour to the whole clip. Predict which of the two lowers the held-out loss. Then
# train.**
#
# <details><summary>Answer</summary>
#
# This is **data augmentation**. It helps if it changes what is memorised. Mirrored clips still have one of
# eight backgrounds, so the model tells the recordings apart as before, and little changes. With random
# colours the background no longer tells the recording: the held-out loss is clearly lower.
#
# ```python
# class Mirrored(Clips):
#     def sample(self, rng, count):
#         clips = super().sample(rng, count)
#         flips = (rng.random(count) < 0.5)[:, None, None, None, None]
#         return replace(clips, video=np.where(flips, clips.video[..., ::-1], clips.video))
#
# class Coloured(Clips):
#     def sample(self, rng, count):
#         clips = super().sample(rng, count)
#         colours = rng.uniform(-0.4, 0.4, (count, 1, 3, 1, 1)).astype(np.float32)
#         return replace(clips, video=np.clip(clips.video + colours, -1, 1))
#
# found = {"none": last["8 recordings"]}
# with on_one_core():
#     for name, kind in (("mirrored", Mirrored), ("coloured", Coloured)):
#         found[name] = train(mt.init(config, 0), kind(few.examples), recipe)[2][-1]
# print({name: f"{loss:.1f}" for name, loss in found.items()})
# assert found["coloured"] < min(found["none"], found["mirrored"]) - 0.3
# ```
#
# </details>

# %% [markdown]
# **2. Copy a file of the training part under another name, and add a row for it with the split `test`. Does
# the package notice? Does `split_by_content`?**
#
# <details><summary>Answer</summary>
#
# The package compares contents and warns. `split_by_content` gives both names the same side, whatever the
# seed.
#
# ```python
# import shutil, warnings
# twin = folder / "films" / f"another{suffix}"
# original = next(path for path, test in zip(paths, is_test) if not test)
# shutil.copy(original, twin)
# (folder / "leaky.csv").write_text("\n".join([*lines, f"films/{twin.name},0,0.5,test,circle"]))
# with warnings.catch_warnings(record=True) as caught:
#     warnings.simplefilter("always")
#     mt.read_labels(folder / "leaky.csv", "classification")
# assert any("In train and in test rows" in str(each.message) for each in caught)
# for seed in range(20):
#     sides = split_by_content([original, twin, *paths[-3:]], 0.4, seed)
#     assert sides[0] == sides[1]
# twin.unlink()
# ```
#
# </details>

# %% [markdown]
# **3. What is the cross-entropy of a classifier that ignores its input, if a class has the share $a_k$ of
# all clips? Compute it for our labels, and compare with $\log 4$.**
#
# <details><summary>Answer</summary>
#
# The best constant prediction is the shares themselves. Its loss is their **entropy**,
# $-\sum_k a_k \log a_k$. It is $\log 4 \approx 1.39$ if all four are equally frequent, and less otherwise.
#
# ```python
# shares = np.bincount(labels) / len(labels)
# entropy = -np.sum(shares * np.log(shares))
# cost = -np.mean(np.log(shares[labels]))  # the mean cross-entropy of predicting the shares
# print(f"{entropy:.2f}, at most {np.log(4):.2f}")
# assert np.isclose(entropy, cost) and entropy <= np.log(4)
# ```
#
# </details>

# %% [markdown]
# **4. What goes wrong with a patience of 1? Construct a held-out curve for which it stops far from the
# minimum, and find the smallest patience that reaches the minimum.**
#
# <details><summary>Answer</summary>
#
# A held-out loss varies as well, the more, the fewer clips it is measured on. With a patience of 1, the first
# measurement that is higher by accident ends the training.
#
# ```python
# curve = [3.0, 2.5, 2.6, 2.4, 2.5, 2.45, 2.0, 1.5, 1.6, 1.7, 1.8, 1.9]
# assert early_stop(curve, 1) == (1, 2)
# needed = next(patience for patience in range(1, 12) if early_stop(curve, patience)[0] == np.argmin(curve))
# assert needed == 3
# ```
#
# </details>

# %% [markdown]
# **5. Your matching loss stays at 0.69 for many steps, while the reconstruction losses fall. Name
# causes, and how you would tell them apart.**
#
# <details><summary>Answer</summary>
#
# It may only take longer: in [07](07_pretraining.ipynb) matching is learnt after the reconstruction. Or audio
# and video do not belong together: tracks that are shifted, or music that was added later; look at clips of
# your folder with their sound. Or nothing distinguishes the clips: a film of one speaker, cut into pieces,
# has nearly the same frames in all of them. If all videos are the same, a score cannot depend on whether a
# pair matches, so no model gets below 0.69:
#
# ```python
# same = replace(training, video=np.broadcast_to(training.video[:1], training.video.shape))
# batch = mt.make_batch(same, config, np.random.default_rng(0))
# z = mt.score_matches(mt.load("shapes-small"), batch.mixed_video, batch.audio)
# changed = mt.score_matches(mt.load("shapes-small"), batch.video, batch.audio)
# assert np.allclose(z, changed)  # the input is the same for pairs that match and for those that do not
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# A data set is split by recording, and files with the same content go to the same side. A label file names
# the files, their spans, the split and the labels. Baselines say which loss is worth nothing: $\log 2$ for
# matching, the error of the mean patch for reconstruction, the entropy for classes. Training and held-out
# curves together show whether a model learns, overfits, or does neither; early stopping keeps the best
# measurement. The commands do all of it on folders and label files.

# %% [markdown]
# ## Where to go on
#
# The folder is read by [folder.py](../minitvlt/worlds/folder.py), the label file by
# [labels.py](../minitvlt/worlds/labels.py), where all label formats are described; films are decoded in
# [media.py](../minitvlt/signals/media.py). [13](13_sentiment_and_emotion.ipynb) fine-tunes on labels like
# those of a real data set, [14](14_on_a_graphics_card.ipynb) trains on a graphics card. All notebooks are in
# the [overview](README.md).

# %% [markdown]
# ## References
#
# - S. Kaufman, S. Rosset, C. Perlich, O. Stitelman, *Leakage in Data Mining: Formulation, Detection, and
#   Avoidance*, 2012, [doi 10.1145/2382577.2382579](https://doi.org/10.1145/2382577.2382579).
# - L. Prechelt, *Early Stopping: But When?*, 1998,
#   [doi 10.1007/3-540-49430-8_3](https://doi.org/10.1007/3-540-49430-8_3).
# - C. Zhang et al., *Understanding Deep Learning Requires Rethinking Generalization*, 2017,
#   [arXiv 1611.03530](https://arxiv.org/abs/1611.03530): networks that memorise random labels.
# - A. Zadeh et al., *Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic
#   Fusion Graph*, 2018, [ACL P18-1208](https://aclanthology.org/P18-1208/): clips cut from
#   videos of many speakers.
