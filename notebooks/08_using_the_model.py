# %% [markdown]
# # 08 · Using the model
#
# A model that was pre-trained on matching and masked autoencoding is put to use. It finds videos for audio
# clips and audio clips for videos; then it is fine-tuned to classify shapes, to predict a number and six
# independent labels. You write the metrics. We look at attention, and sort the errors by their causes.
#
# **You will be able to** search with a pre-trained model, measure retrieval, classification, regression and
# labels, fine-tune a model, measure what pre-training contributes, and analyse errors.
#
# **Time to run:** about 40 seconds, most of it training. **Before this:** [00](00_quickstart.ipynb) and
# [04](04_attention.ipynb); a training step is the subject of [07](07_pretraining.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The model and the data
#
# We take the trained model of the package, clips to train on, and a **test set** of 512 clips, in which
# shape, colour and motion are combined as training never shows them.

# %%
import numpy as np

params = mt.load("shapes-small")
config = params.config
world = mt.ShapesWorld(config)
test = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(7), 512)
test.video.shape, test.audio.shape

# %% [markdown]
# Each clip comes with labels, which pre-training never uses. Fine-tuning will. Shape, colour and motion are
# numbers of classes; `count` says how many copies of the shape there are, one or two.

# %%
for name, label in test.labels.items():
    print(f"{name:<12}{label.shape!s:<10}of the first clip: {np.round(label[0].astype(float), 2)}")

# %% [markdown]
# ## Retrieval
#
# Search needs no further training. The model gives a score to each pair of an audio clip and a video; the
# score is read as the probability $\sigma(z)$ of [00](00_quickstart.ipynb). For each audio clip we score the
# videos of sixteen clips and sort them: this is **audio-to-video retrieval**. Sorting the audio clips of each
# video is the opposite direction, with the same scores.

# %%
batch = mt.make_batch(mt.map_tree(lambda array: array[:16], test), config, np.random.default_rng(0))
scores = mt.score_all_pairs(params, batch)  # (16 audio clips, 16 videos)
probabilities = 1 / (1 + np.exp(-scores))
best_videos = np.argsort(-scores, axis=1)  # for each audio clip, the best first
best_audio = np.argsort(-scores.T, axis=1)  # for each video
scores.shape, best_videos.shape

# %% [markdown]
# The two figures show three queries each, one a row, with the four best results beside it and their
# probabilities. The clip's own counterpart is marked by a star. First, audio clips that search for videos.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show
from minitvlt.views.figures import draw_frames, draw_spectrogram

use_style()


def draw_modality(axes, index, is_audio):
    """Draw the spectrogram or the middle frame of a clip, without scales."""
    if is_audio:
        draw_spectrogram(axes, batch.audio[index, 0], config)
        axes.set(xlabel="", ylabel="")
    else:
        draw_frames(axes, batch.video[index, 1:2])
    axes.set(xticks=[], yticks=[])


# %%
def draw_search(queries, best, probabilities, asks_with_audio):
    figure, axes = new_axes(len(queries), 5, (10, 1.9 * len(queries)))
    for row, query in enumerate(queries):
        draw_modality(axes[5 * row], query, asks_with_audio)
        for place, found in enumerate(best[query][:4]):
            one = axes[5 * row + place + 1]
            draw_modality(one, found, not asks_with_audio)
            one.set_title(f"{probabilities[query, found]:.2f}" + (" ★" if found == query else ""))
    axes[0].set_title("query")
    return figure


# %%
figure = draw_search((0, 3, 6), best_videos, probabilities, True)
show(figure, "Three spectrograms, each with the four best videos beside it.")

# %% [markdown]
# And videos that search for audio. Look at second results with a high probability: what do they have in
# common with the query, and in what do they differ from it?

# %%
figure = draw_search((0, 3, 6), best_audio, probabilities.T, False)
show(figure, "Three frames of videos, each with the four best spectrograms beside it.")

# %% [markdown]
# In the last row of the first figure, the second result is another cross at the same height; where it is from
# left to right is not audible. In the first row of the second figure it is a voice whose pitch falls instead
# of rising. In the last row a trembling voice comes first: the tremolo is not visible.

# %% [markdown]
# How good is a search? The *rank* of a query is the place of its own counterpart in the sorted results: 1
# plus the number of other items whose score is at least as high. **Recall@k** is the fraction of queries with
# a rank of at most k, and the **median rank** is the middle one.


# %%
def compute_ranks(scores):
    own = np.diag(scores)[:, None]  # the score of query i with item i
    return np.sum(scores >= own, axis=1)  # its own is one of them


def recall_at(k, scores):
    return np.mean(compute_ranks(scores) <= k)


def median_rank(scores):
    return np.median(compute_ranks(scores))


# %%
from minitvlt.training import metrics
from minitvlt.training.evaluation import score_retrieval

theirs = score_retrieval(scores)
print("ranks: as the package's:", np.array_equal(compute_ranks(scores), metrics.compute_ranks(scores)))
for k in (1, 5, 10):
    print(f"recall@{k}: as the package's:", recall_at(k, scores) == theirs[f"recall@{k} of 16"].value)
print("median rank: as the package's:", median_rank(scores) == theirs["median rank"].value)

# %% [markdown]
# Sixteen clips are too few to measure on. We search among 64 clips of the test set, in both directions. The
# directions need not be equal: a row and a column of the same matrix are different questions. By chance,
# recall@1 is 1/64 and the median rank is 32.5.

# %% tags=["volatile"]
square = mt.score_all_pairs(params, mt.map_tree(lambda array: array[:64], test))
for name, each in (("audio to video", square), ("video to audio", square.T)):
    recalls = "  ".join(f"recall@{k} {recall_at(k, each):.2f}" for k in (1, 5, 10))
    print(f"{name}: {recalls}  median rank {median_rank(each):g}")

# %%
print("recall@1 far above chance:", bool(min(recall_at(1, square), recall_at(1, square.T)) > 0.3))
print("median rank at most 3:", bool(max(median_rank(square), median_rank(square.T)) <= 3))

# %% [markdown]
# ## Fine-tuning
#
# For other tasks the model gets a new *head*: a small network that reads `cls` and gives one number $z_k$
# for each label $k$. The decoder and the matching head are dropped. The new head starts with random
# parameters; encoder and head are then trained together. This is **fine-tuning**. A `Task` says which labels
# of the clips are the targets, and which loss is used; three of the package's tasks are used here. The cell
# prints the kind of the loss and the names of the classes or labels.

# %%
from minitvlt.training.finetuning import EMBEDDED_TASKS

for name in ("shape", "valence", "attributes"):
    task = EMBEDDED_TASKS[name]
    print(f"{name:<12}{task.loss_type:<16}{', '.join(task.names)}")

# %% [markdown]
# For **classification**, the softmax turns the numbers into probabilities, and the loss is the
# **cross-entropy**: minus the logarithm of the probability of the true class $y$. If all of four shapes get
# the same probability, it is $\log 4 \approx 1.39$.
#
# $$p_k = \frac{e^{z_k}}{\sum_l e^{z_l}}$$
#
# $$\mathcal{L}_{\text{class}} = -\log p_y$$
#
# `mt.finetune` replaces the head and runs the training loop of [07](07_pretraining.ipynb). It writes the
# state and a line of metrics for each step into a folder.

# %%
import tempfile
from pathlib import Path

from minitvlt.training.trainer import METRICS, read_metrics


def tune(name, start, steps):
    recipe = mt.Recipe(steps=steps, batch_size=32, learning_rate=2e-3, warmup_steps=20)
    folder = Path(tempfile.mkdtemp())
    tuned = mt.finetune(start, world, EMBEDDED_TASKS[name], folder, recipe, show_progress=False)
    return tuned, read_metrics(folder / METRICS)


# %%
by_shape, log = tune("shape", params, 120)
shape_logits = mt.classify(by_shape, test.video, test.audio)
predictions = shape_logits.argmax(axis=1)
print("logits:", shape_logits.shape, "  loss fell:", log[-1]["loss"] < log[0]["loss"])

# %% [markdown]
# The metric of a classification is the **accuracy**, the fraction of clips that are classified correctly.
# Chance is not 1/4 in general, but what one reaches by always predicting the most frequent class.


# %%
def accuracy(predictions, labels):
    return np.mean(predictions == labels)


truth = test.labels["shape"]
print("as the package's:", accuracy(predictions, truth) == metrics.compute_accuracy(predictions, truth))
print("more than 95 of 100 clips are classified correctly:", bool(accuracy(predictions, truth) > 0.95))

# %% [markdown]
# The left panel shows the loss over the steps, with a dotted line at $\log 4$. The right panel is the
# **confusion matrix** of the test set: rows are true shapes, columns are predictions, and a cell says how
# many clips. All that is off the diagonal is wrong.

# %%
shapes = EMBEDDED_TASKS["shape"].names
confusion = np.zeros((4, 4), int)
np.add.at(confusion, (truth, predictions), 1)
figure, (left, right) = new_axes(1, 2, (11, 4), titles=("training", "test set: clips"))
left.plot([line["loss"] for line in log], color="black")
left.axhline(np.log(4), color="gray", linestyle=":")
left.set(xlabel="step", ylabel="loss", ylim=(0, None))
right.imshow(confusion, cmap="Greys", vmax=160)
for (row, column), count in np.ndenumerate(confusion):
    right.text(column, row, count, ha="center", va="center", color="white" if count > 80 else "black")
right.set(xticks=range(4), yticks=range(4), xticklabels=shapes, yticklabels=shapes)
right.set(xlabel="prediction", ylabel="truth")
show(figure, "Left: a loss that falls from the dotted line to near 0. Right: four by four counts.")

# %% [markdown]
# ## Regression
#
# In psychology, *valence* is how pleasant something is. Here the valence of a clip is defined by what is seen
# and what is heard together. With the hue $\alpha$ of the colour in degrees, of which orange (30°) counts as
# the warmest, and with $\tau$, the depth of the tremolo from 0 (steady) to 1 (the tone falls silent in each
# period):
#
# $$v = \tfrac12 \bigl( \cos(\alpha - 30°) + 1 - 2 \tau \bigr)$$
#
# So neither modality suffices. In a **regression** the head gives one number $\hat v$, and the loss is the
# squared error:
#
# $$\mathcal{L}_{\text{number}} = (\hat v - v)^2$$

# %%
by_valence, _ = tune("valence", params, 250)
valence = test.labels["valence"]
other = np.random.default_rng(0).permutation(512)  # whose audio, or whose video, is used instead
predicted = {
    "original": mt.classify(by_valence, test.video, test.audio)[:, 0],
    "audio of another clip": mt.classify(by_valence, test.video, test.audio[other])[:, 0],
    "video of another clip": mt.classify(by_valence, test.video[other], test.audio)[:, 0],
}

# %% [markdown]
# The **Pearson correlation** of predictions and targets is 1 if they lie on a rising line, 0 if there is no
# linear relation. Subtract the means, divide by the lengths, and take the scalar product.


# %%
def pearson(x, y):
    x, y = x - x.mean(), y - y.mean()
    return x @ y / np.sqrt((x @ x) * (y @ y))


mine, theirs = (f(predicted["original"], valence) for f in (pearson, metrics.compute_pearson))
print("as the package's:", np.isclose(mine, theirs))

# %% [markdown]
# Does the model use both modalities? We exchange one of them for that of another clip (an **ablation**): the
# model still gets the kind of input that it was trained on, but half of it is about another clip. In the
# three panels each dot is a clip; on the diagonal the prediction is exact. Titles give the correlation.

# %%
figure, axes = new_axes(1, 3, (11, 3.9), x="true valence", y="predicted")
for one, (name, values) in zip(axes, predicted.items(), strict=True):
    one.plot([-1, 1], [-1, 1], color="gray", linewidth=1.5)
    one.plot(valence, values, ".", color="black", markersize=4)
    one.set(title=f"{name}: {pearson(values, valence):.2f}", xlim=(-1.2, 1.2), ylim=(-1.4, 1.4))
    one.title.set_fontsize(12)
show(figure, "Three clouds of dots: near the diagonal for the original, spread out for exchanged inputs.")

# %%
correlations = [pearson(values, valence) for values in predicted.values()]
print("original, above 0.8:", bool(correlations[0] > 0.8))
print("with an exchanged modality, below 0.65:", bool(max(correlations[1:]) < 0.65))

# %% [markdown]
# ## Independent labels
#
# Attributes are independent: a clip may be warm (by its colour), large, high (the shape begins in the upper
# half), bouncing (it touches a wall), several (there are two copies) and trembling (a deep tremolo), or none
# of these. So each of the six numbers $z_k$ gets its own probability $\sigma(z_k)$, and the loss is the mean
# binary cross-entropy, with $y_k = 1$ where the attribute holds and 0 where it does not:
#
# $$\mathcal{L}_{\text{labels}} = -\frac16 \sum_{k=1}^{6} \bigl( y_k \log \sigma(z_k)
# + (1 - y_k) \log(1 - \sigma(z_k)) \bigr)$$
#
# We train twice: from the pre-trained model, and **from scratch**, that is from random parameters. All else
# is equal, so the difference is due to pre-training, apart from chance: each training is done only once.

# %%
tuned, _ = tune("attributes", params, 300)
scratch, _ = tune("attributes", mt.init(config, seed=0), 300)
labels = test.labels["attributes"]
logits = mt.classify(tuned, test.video, test.audio)
holds, scratch_holds = logits > 0, mt.classify(scratch, test.video, test.audio) > 0

# %% [markdown]
# If a label is rare, a model that never predicts it has a high accuracy. **F1** avoids this: it is
# $2 \, TP / (2 \, TP + FP + FN)$, with the counts of true positives (predicted and true), false positives
# (predicted, not true) and false negatives (true, not predicted).


# %%
def f1(predictions, targets):
    TP = np.sum(predictions & targets, axis=0)
    FP, FN = np.sum(predictions & ~targets, axis=0), np.sum(~predictions & targets, axis=0)
    return 2 * TP / (2 * TP + FP + FN)


print("as the package's:", np.allclose(f1(holds, labels), metrics.compute_f1(holds, labels)))

# %% tags=["volatile"]
names = EMBEDDED_TASKS["attributes"].names
print(f"{'F1':<16}" + "".join(f"{name:>12}" for name in names))
rows = {"pre-trained": holds, "from scratch": scratch_holds, "always predicted": np.ones_like(labels)}
for name, predictions in rows.items():
    print(f"{name:<16}" + "".join(f"{value:12.2f}" for value in f1(predictions, labels)))

# %% [markdown]
# The bars show the accuracy on 512 clips: black from the pre-trained model, grey from scratch. The short
# lines are what one reaches by always predicting the more frequent answer. Colour and size are learnt either
# way. The difference is largest for trembling, which is only in the swings of loudness in the spectrogram.

# %% tags=["thumbnail"]
places = np.arange(6)
hits, scratch_hits = np.mean(holds == labels, axis=0), np.mean(scratch_holds == labels, axis=0)
constant = np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0))
figure, (axes,) = new_axes(size=(11, 3.8), y="accuracy")
axes.bar(places - 0.2, hits, 0.4, color="black", label="pre-trained")
axes.bar(places + 0.2, scratch_hits, 0.4, color="#aaaaaa", label="from scratch")
axes.hlines(constant, places - 0.45, places + 0.45, color="#009e73", linewidth=3, label="constant prediction")
axes.set(xticks=places, xticklabels=names, ylim=(0.4, 1.0))
axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
show(figure, "Six pairs of bars; both high for warm, large and high, the pre-trained higher for trembling.")

# %%
print("trembling, pre-trained far better:", bool(hits[5] > scratch_hits[5] + 0.1))
print("largest difference for:", names[np.argmax(hits - scratch_hits)])
print("warm: both above 0.95:", bool(min(hits[0], scratch_hits[0]) > 0.95))

# %% [markdown]
# ## Attention from audio to video
#
# Back to the pre-trained model. Do audio tokens attend to the patches that contain the shape? Of the
# attention maps we take the rows of the six audio tokens and the columns of the twelve video tokens, and
# compute which share of that weight is on patches that contain a part of the shape: those in which more than
# 15% of the pixels differ from the background.

# %%
out = mt.forward(params, test.video, test.audio, return_attention=True)
rows = mt.patchify_video(test.video, config.image_patch_size).reshape(512, 12, -1, 3)  # pixels in RGB
background = np.median(rows.reshape(512, -1, 3), axis=1)[:, None, None]
has_shape = (np.abs(rows - background).max(axis=-1) > 0.1).mean(axis=-1) > 0.15  # (512, 12)
shares = []
for maps in out.attention:  # (512, heads, 19, 19): cls, 12 of video, 6 of audio
    weights = maps[:, :, 13:, 1:13].sum(axis=2)  # (512, heads, 12)
    on_shape = (weights * has_shape[:, None]).sum(axis=2) / weights.sum(axis=2)
    shares.append(on_shape.mean(axis=0))
block, head = np.unravel_index(np.argmax(shares), np.shape(shares))
print("patches with a part of the shape:", f"{has_shape.mean():.0%}")
print(f"largest share: head {head + 1} of block {block + 1}")

# %% [markdown]
# If a head attended to all patches equally, its share would be that of the patches themselves, the dashed
# line. Each dot is one head. The head with the largest share is marked; no loss asked for it.

# %%
figure, (axes,) = new_axes(size=(9, 3.2), x="block", y="share on the shape")
for number, heads in enumerate(shares):
    axes.plot([number + 1 + 0.06 * (each - 1.5) for each in range(4)], heads, "o", color="black")
axes.axhline(has_shape.mean(), color="gray", linestyle="--")
place = block + 1 + 0.06 * (head - 1.5), shares[block][head]
axes.annotate(f"head {head + 1}", place, (place[0] + 0.2, place[1] - 0.04), fontsize=13)
axes.set(xticks=range(1, 5), ylim=(0, 1))
show(
    figure, "Dots of four heads in each of four blocks; most lie near 0.5, one of the first block above 0.8."
)

# %% [markdown]
# Here is this head for one clip: its weights from the audio tokens, averaged, to the frames. Large weights
# are bright. They are on the patches that contain most of the triangle, and follow it from left to right. The
# clip was chosen because it shows this well; with other clips, for instance `clip = 3`, the head attends to
# a single frame.

# %%
from helpers.diagrams import plot_weights

clip = 427
weights = out.attention[block][clip, head, 13:].mean(axis=0)  # (19,): the mean over the audio tokens
figure = plot_weights(config, test.video[clip], test.audio[clip, 0], weights[1:13], weights[13:])
show(
    figure, "Three frames in which the patches with the triangle are bright, and the spectrogram beside them."
)

# %% [markdown]
# ## Error analysis
#
# Which clips are classified wrongly as to "bouncing"? The program that makes the clips knows when each shape
# touches a wall: 0 is the beginning of the clip, 1 its end, and a time above 1 is when it would have touched
# it, had the clip gone on. It also knows the direction of motion.

# %%
from minitvlt.worlds.shapes import MOTIONS, draw_scenes

scenes = draw_scenes(np.random.default_rng(7), 512, held_out=True, max_count=2)  # those of the test set
times = np.where(scenes.is_there, scenes.find_bounces(), np.inf).min(axis=1)  # of the first bounce
print("the labels say the same:", np.array_equal(times < 1, labels[:, 3]))
is_right = holds[:, 3] == labels[:, 3]
edges = np.linspace(0, 2, 11)
counts, rights = np.histogram(times, edges)[0], np.histogram(times[is_right], edges)[0]
by_motion = {name: is_right[scenes.motion == number].mean() for number, name in enumerate(MOTIONS)}

# %% [markdown]
# The left panel shows the accuracy over the time of the first bounce, a fifth of a clip in each bar; the
# dashed line is the end of the clip. The right panel shows it by direction. Shapes that move up or down can
# be *heard*: the pitch turns where they bounce. Shapes that move sideways are only seen, in three coarse
# frames.

# %%
figure, (left, right) = new_axes(1, 2, (11, 3.4), titles=("by time", "by direction"), y="accuracy")
left.bar(edges[:-1] + 0.1, rights / np.maximum(counts, 1), 0.17, color="black")
left.axvline(1, color="gray", linestyle="--")
left.set(xlabel="first bounce (1 is the end of the clip)", ylim=(0, 1))
right.bar(list(by_motion), list(by_motion.values()), 0.6, color="black")
right.set_ylim(0, 1)
show(figure, "Bars: lower just beyond the end of the clip; lower for right and left than for up and down.")

# %%
near_end = (times > 1) & (times < 1.4)  # the first two bars beyond the end
print("worse just beyond the end than elsewhere:", is_right[near_end].mean() < is_right[~near_end].mean())
sideways, vertical = (by_motion["right"], by_motion["left"]), (by_motion["up"], by_motion["down"])
print("worse for sideways motion:", bool(max(sideways) < min(vertical)))

# %% [markdown]
# And these are the three wrong predictions of which the model was most certain. The title gives the truth
# and, after the arrow, the predicted probability of "bouncing". A bounce makes a click, which is a bright
# vertical line in the spectrogram: look for it in the clips. Where there is none, nothing bounced, and the
# model could have known.

# %%
surest = np.argsort(np.where(is_right, 0, -np.abs(logits[:, 3])))[:3]
figure, axes = new_axes(3, 4, (10, 6.4))
for row, clip in enumerate(surest):
    for number, frame in enumerate(test.video[clip]):
        draw_frames(axes[4 * row + number], frame[None])
    draw_spectrogram(axes[4 * row + 3], test.audio[clip, 0], config)
    axes[4 * row + 3].set(xlabel="", ylabel="", xticks=[], yticks=[])
    probability = 1 / (1 + np.exp(-logits[clip, 3]))
    axes[4 * row].set_title(f"{'bounces' if labels[clip, 3] else 'does not bounce'} → {probability:.2f}")
show(figure, "Three rows of three frames and a spectrogram: the most certain of the wrong predictions.")

# %% [markdown]
# Three caveats. These trainings are short, and longer ones give better results. The test set comes from the
# same program as the training, so it says nothing about films. And a model that is right for the wrong reason
# fails when the reason is gone: ablations, as above, show what it relies on.

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Is pre-training useful for classifying shapes? Train 60 steps from both starts.**
#
# <details><summary>Answer</summary>
#
# Hardly: the timbre reveals the shape, and is learnt quickly. It depends on the task, as the attributes show.
#
# ```python
# for name, start in (("pre-trained", params), ("from scratch", mt.init(config, seed=0))):
#     model, _ = tune("shape", start, 60)
#     found = accuracy(mt.classify(model, test.video, test.audio).argmax(axis=1), test.labels["shape"])
#     print(f"{name}: {found:.2f}")
#     assert found > 0.8
# ```
#
# </details>

# %% [markdown]
# **2. What if the encoder is left as it is, and only a linear map of `cls` is fitted (a *linear probe*)? Use
# 2,000 clips of `world` and least squares (`np.linalg.lstsq`): the target is 1 for the true shape, and 0 for
# each other one.**
#
# <details><summary>Answer</summary>
#
# About four of five shapes are classified correctly, without any change of the model. It is a common measure
# of what a representation contains.
#
# ```python
# clips = world.sample(np.random.default_rng(0), 2000)
# features = [mt.forward(params, each.video, each.audio).cls for each in (clips, test)]
# features = [np.c_[x, np.ones(len(x))] for x in features]  # a column of ones for the bias
# weights = np.linalg.lstsq(features[0], np.eye(4)[clips.labels["shape"]], rcond=None)[0]
# found = accuracy((features[1] @ weights).argmax(axis=1), test.labels["shape"])
# print(f"linear probe: {found:.2f}")
# assert 0.7 < found < 0.9
# ```
#
# </details>

# %% [markdown]
# **3. Change the processing: mirror the frames left to right, reverse their order in time, or turn them
# upside down. For each, predict how many of the 512 true pairs the pre-trained model still calls a match
# (`mt.score_matches(params, video, test.audio) > 0`). Then compute it.**
#
# <details><summary>Answer</summary>
#
# Left and right have no counterpart in the audio, so mirroring changes little. Upside down, high shapes have
# low tones, and nearly all matches are lost. Reversing time should be noticed where a shape moves up or down,
# but it is hardly noticed at all: the model matches by height and timbre, and much less by motion.
#
# ```python
# changed = {"original": test.video, "mirrored": test.video[..., ::-1]}
# changed |= {"reversed": test.video[:, ::-1], "upside down": test.video[:, :, :, ::-1]}
# shares = {name: np.mean(mt.score_matches(params, video, test.audio) > 0) for name, video in changed.items()}
# print({name: f"{share:.2f}" for name, share in shares.items()})
# assert min(shares["original"], shares["mirrored"], shares["reversed"]) > 0.95
# assert shares["upside down"] < 0.2
# ```
#
# </details>

# %% [markdown]
# **4. How good is the shape head with audio alone? (Give `None` for the video.)**
#
# <details><summary>Answer</summary>
#
# Between chance and the accuracy with both, although the timbre alone determines the shape. The model was
# always trained with both modalities. If the video were left out in some of the training clips, it would
# learn to do without.
#
# ```python
# alone = mt.classify(by_shape, None, test.audio).argmax(axis=1)
# both = shape_logits.argmax(axis=1)
# print(f"audio alone: {accuracy(alone, truth):.2f}, both: {accuracy(both, truth):.2f}")
# assert 0.35 < accuracy(alone, truth) < accuracy(both, truth)
# ```
#
# </details>

# %% [markdown]
# **5. Fine-tune on clips of your own: write a label file, and let the model tell high tones from low ones.**
# A label file (CSV or JSON lines) has a row for each clip: `file`, or `video` and `audio` apart, and
# `label`. Where no column `split` says which rows are for the test, a fifth is drawn.
# `mt.FolderWorld(path, config, task="classification", split="train")` reads it,
# `mt.write_wav(path, samples, rate)` writes a sound, and `mt.Task("classification", names=...)` is the task.
#
# <details><summary>Answer</summary>
#
# `mt.FolderWorld` reads the files with PyAV. Like every world it has a method `sample(rng, count)` that
# returns `mt.Examples`, so `mt.finetune` and `mt.evaluate` take it. The command `minitvlt finetune
# classification --data labels.csv` does all of this; the label formats are in
# [labels.py](../minitvlt/worlds/labels.py).
#
# ```python
# folder, rng, rows = Path(tempfile.mkdtemp()), np.random.default_rng(0), ["audio,label"]
# for n in range(12):
#     label, pitch = (("low", 300), ("high", 1200))[n % 2]
#     tone = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.05 * rng.normal()) * np.arange(6144) / 8000)
#     mt.write_wav(folder / f"{n}.wav", tone, 8000)
#     rows.append(f"{n}.wav,{label}")
# (folder / "labels.csv").write_text("\n".join(rows))
# try:
#     mine, held = (mt.FolderWorld(folder / "labels.csv", config, task="classification", split=split)
#                   for split in ("train", "test"))
#     task = mt.Task("classification", names=mine.names)
#     recipe = mt.Recipe(steps=20, batch_size=8, learning_rate=2e-3, warmup_steps=3)
#     tuned = mt.finetune(params, mine, task, folder / "run", recipe, show_progress=False)
#     print(mt.evaluate(tuned, held, task, clips=16))
# except ImportError:
#     print('PyAV is missing: pip install "minitvlt[media]"')
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# A matching score sorts videos by an audio clip, or audio clips by a video; recall@k and the median rank
# measure it. For other tasks the encoder gets a new head and is fine-tuned: cross-entropy and accuracy for
# classes, squared error and Pearson correlation for numbers, one binary cross-entropy and F1 for each
# independent label. What pre-training contributes depends on the task. Exchanging a modality shows whether it
# is used, and sorting errors by a cause says more than their number.

# %% [markdown]
# ## Where to go on
#
# [09](09_backends.ipynb) runs the model on other libraries, [10](10_faster.ipynb) makes it faster, and
# [11](11_the_real_thing.ipynb) takes a checkpoint and a film of your own. The heads of the tasks and their
# losses are in [tasks.py](../minitvlt/model/tasks.py), fine-tuning is in
# [finetuning.py](../minitvlt/training/finetuning.py), the metrics are in
# [metrics.py](../minitvlt/training/metrics.py). All notebooks are in the [overview](README.md).

# %% [markdown]
# ## References
#
# - Z. Tang, J. Cho, Y. Nie, M. Bansal, *TVLT: Textless Vision-Language Transformer*, 2022,
#   [arXiv 2209.14156](https://arxiv.org/abs/2209.14156): its tasks are in section 5.
# - A. Zadeh et al., *Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic
# Fusion Graph*, 2018, [ACL P18-1208](https://aclanthology.org/P18-1208/): sentiment as a regression, emotions
# as independent labels.
# - S. Jain, B. C. Wallace, *Attention is not Explanation*, 2019,
#   [arXiv 1902.10186](https://arxiv.org/abs/1902.10186): what attention maps do not show.
