# %% [markdown]
# # 13 · Sentiment and emotion
#
# Is a speaker for or against something, and which emotions are heard and seen? TVLT is fine-tuned for both
# questions on **CMU-MOSEI**, a collection of films of people who talk to a camera: the **sentiment** of a
# clip is a number from -3 to 3, and six **emotions** each are present or not. The films cannot be had here.
# So we make up data of the same form from moving shapes; no result below says anything about people. Label
# files, heads, losses, metrics and mistakes are those of the real task, and the last section says what to do
# with the real data and a published checkpoint.
#
# **You will be able to** write label files, both losses and the metrics of the task, fine-tune for a number
# and for independent labels, choose thresholds for rare labels, and say how certain a score is.
#
# **Time to run:** about 20 seconds, most of it training. **Before this:** fine-tuning, regression and F1, in
# [08](08_using_the_model.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The labels
#
# In CMU-MOSEI a film is cut into sentences, the clips. Three people rated each clip: its sentiment by a whole
# number from -3 (highly negative) to 3 (highly positive), and the intensity of each emotion from 0 to 3. A
# label is the mean of the ratings, and an emotion counts as present if its mean is above 0. A clip may show
# several emotions or none, so this is **multi-label classification**: six questions with yes or no.
#
# The package reads a **label file** for each task: a row for each clip, with its file, its begin and end in
# seconds, whether it is for training or for the test, and its label. Independent labels are written as 0 and
# 1, separated by `|`. Here are four clips of two recordings (of noise, and with labels that are made up).

# %%
import tempfile
from pathlib import Path

import numpy as np

from minitvlt.checkpoints.released import EMOTIONS

ratings = [  # file, start, stop, split, sentiment, mean intensity of each emotion
    ("a.wav", 0.0, 1.2, "train", 1.67, (1.33, 0, 0, 0, 0, 0.33)),
    ("a.wav", 1.2, 2.0, "train", -0.33, (0, 0, 0, 0, 0, 0)),
    ("a.wav", 2.0, 3.0, "train", -2.0, (0, 0.67, 0.33, 0, 1.0, 0)),
    ("b.wav", 0.5, 2.5, "test", 0.0, (0.33, 0, 0, 0.67, 0, 0)),
]
print(EMOTIONS)


# %%
def write_label_file(path, make_label):
    lines = ["audio,start,stop,split,label"]
    for file, start, stop, split, sentiment, emotions in ratings:
        lines.append(f"{file},{start},{stop},{split},{make_label(sentiment, emotions)}")
    path.write_text("\n".join(lines))


folder = Path(tempfile.mkdtemp())
for seed, name in enumerate(("a.wav", "b.wav")):
    mt.write_wav(folder / name, 0.1 * np.random.default_rng(seed).normal(size=3 * 8000), 8000)
write_label_file(folder / "sentiment.csv", lambda sentiment, emotions: sentiment)
write_label_file(
    folder / "emotions.csv", lambda _, emotions: "|".join(str(int(mean > 0)) for mean in emotions)
)
print((folder / "emotions.csv").read_text())

# %% [markdown]
# `read_labels` checks a file and turns it into arrays. Labels may also be written by name
# (`happy|surprise`). Then the columns are sorted by the alphabet, which is another order than that of
# `EMOTIONS`: a trap, if the head was trained with the latter (exercise 2).

# %%
from minitvlt.worlds.labels import read_labels

table = read_labels(folder / "sentiment.csv", "regression")
print("sentiment:", table.labels, "  test:", table.is_test)
table = read_labels(folder / "emotions.csv", "labels")
print(table.names, table.labels.astype(int), sep="\n")
names = [[name for name, mean in zip(EMOTIONS, row[-1], strict=True) if mean] for row in ratings]
write_label_file(
    folder / "by_name.csv", lambda _, emotions: "|".join(np.array(EMOTIONS)[np.array(emotions) > 0])
)
print(read_labels(folder / "by_name.csv", "labels").names)

# %% [markdown]
# ## Made-up clips
#
# Our clips are moving shapes. Their sentiment is the *valence* of [08](08_using_the_model.ipynb), warm colour
# and steady tone, from three raters who make errors. The emotions are arbitrary rules, some of which seldom
# hold. A model has to find them out from examples, as it would for faces and voices.

# %%
from dataclasses import replace

params = mt.load("shapes-small")
config = params.config


def make_up(rng, count):
    clips = mt.ShapesWorld(config).sample(rng, count)
    warm, large, high, _, several, _ = clips.labels["attributes"].T
    red, yellow, green, blue = (clips.labels["colour"] == number for number in range(4))
    sad, fear = ~warm & ~high, blue & ~large & high
    emotions = np.stack((warm, sad, red & large, fear, green & several, yellow & high & ~large), axis=1)
    noise = 0.7 * rng.normal(size=(count, 3))  # of three raters
    rated = np.clip(np.rint(3 * clips.labels["valence"][:, None] + noise), -3, 3)
    return replace(clips, labels={"sentiment": rated.mean(axis=1).astype("f4"), "emotions": emotions})


# %% [markdown]
# Real data are finite, and so are ours: a set to train on, a **validation set** for choices such as
# thresholds, and a test set, which is used once, at the end. The test set is small on purpose.

# %%
rng = np.random.default_rng(13)
training, validation, test = (make_up(rng, count) for count in (800, 200, 150))
sentiment, emotions = test.labels["sentiment"], test.labels["emotions"]
print("clips of the test set with", dict(zip(EMOTIONS, emotions.sum(axis=0).tolist(), strict=True)))

# %% [markdown]
# The left panel shows how often each sentiment occurs, the right panel the share of clips with each emotion.
# Such **class imbalance** is usual: in CMU-MOSEI, too, happy is the most frequent emotion, and few clips show
# fear or surprise.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show

use_style()
figure, (left, right) = new_axes(1, 2, (11, 3.4), titles=("sentiment", "share of clips with the emotion"))
left.hist(training.labels["sentiment"], bins=np.arange(-3.25, 3.5, 0.5), color="black", rwidth=0.9)
left.set(xlabel="mean of the raters", ylabel="clips")
right.bar(EMOTIONS, training.labels["emotions"].mean(axis=0), 0.6, color="black")
show(figure, "Left: a histogram from -3 to 3. Right: bars, highest for happy, lowest for fear and surprise.")

# %% [markdown]
# ## The head
#
# The released model has the same head for both tasks, with one output for the sentiment and six for the
# emotions: a linear map and tanh (the *pooler*), a linear map to twice the width, LayerNorm, GELU, and a
# linear map to the outputs. The packaged configuration has no pooler, so we ask for it. For the sentiment the
# output is the prediction; for emotion $k$ it is the logit $z_k$, and $\sigma(z_k)$ is the probability.

# %%
from scipy.special import erf

from minitvlt.training.finetuning import replace_head

start = replace(params, config=config.replace(classifier_pooler=True, classifier_norm_eps=1e-5))


def run_head(head, cls, eps):
    x = np.tanh(cls @ head.pooler.weight.T + head.pooler.bias)
    x = x @ head.expand.weight.T + head.expand.bias
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + eps)
    x = x * head.norm.weight + head.norm.bias
    return x * (1 + erf(x / np.sqrt(2))) / 2 @ head.output.weight.T + head.output.bias


# %%
feeling = mt.Task("labels", "emotions", EMOTIONS)
new = replace_head(start, feeling)
cls = mt.forward(new, test.video, test.audio).cls
z = run_head(new.classifier, cls, new.config.classifier_norm_eps)
print("logits:", z.shape, end="   ")
print("as the package's:", np.allclose(z, mt.classify(new, test.video, test.audio), atol=1e-4))

# %% [markdown]
# ## The losses
#
# The loss of the sentiment is the **mean squared error**. That of the emotions is the **binary cross-entropy
# with logits**, a mean over clips and emotions. `max(z, 0) - z y + log(1 + exp(-|z|))` is the form of
# [07](07_pretraining.ipynb), which does not overflow.


# %%
def squared_error(predicted, target):
    return np.mean((predicted - target) ** 2)


def label_loss(z, y):
    return np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))


# %%
from minitvlt.model.tasks import LOSSES  # they sum over clips

y, v = emotions, sentiment
same = np.isclose(squared_error(z[:, 0], v), LOSSES["regression"](z[:, :1], v) / len(z))
print("squared error: as the package's:", same)
print("label loss: as the package's:", np.isclose(label_loss(z, y), LOSSES["labels"](z, y) / len(z)))

# %% [markdown]
# ## Fine-tuning
#
# A world for `mt.finetune` needs only a method `sample`. Ours draws from the clips of the training set, again
# and again.


# %%
class Clips:
    """A finite set of clips as a world"""

    def __init__(self, clips, weights=None):
        self.clips, self.weights = clips, weights

    def sample(self, rng, count):
        """Draw clips, which may be the same ones again."""
        chosen = rng.choice(len(self.clips.video), size=count, p=self.weights)
        return mt.map_tree(lambda array: array[chosen], self.clips)


# %%
def tune(task, world, steps=100):
    recipe = mt.Recipe(steps=steps, batch_size=32, learning_rate=2e-3, warmup_steps=20)
    return mt.finetune(start, world, task, Path(tempfile.mkdtemp()), recipe, show_progress=False)


by_sentiment = tune(mt.Task("regression", "sentiment"), Clips(training))
by_emotion = tune(feeling, Clips(training))
predicted = mt.classify(by_sentiment, test.video, test.audio)[:, 0]
z = mt.classify(by_emotion, test.video, test.audio)
print("predictions:", predicted.shape, "  logits:", z.shape)

# %% [markdown]
# ## Metrics of the sentiment
#
# **A2** is the accuracy of the sign: the share of clips that are predicted on the correct side, where 0
# counts as positive. With the prediction $\hat v_b$ and the label $v_b$ of clip $b$ of $B$, and $[\cdot]$,
# which is 1 if a statement holds and else 0,
#
# $$\text{A2} = \frac{1}{B} \sum_b \bigl[ (\hat v_b \ge 0) = (v_b \ge 0) \bigr]$$
#
# The **mean absolute error** (MAE) says how far predictions are off, and the Pearson correlation whether high
# labels get high predictions.


# %%
def sign_accuracy(predicted, target):
    return np.mean((predicted >= 0) == (target >= 0))


def mean_absolute_error(predicted, target):
    return np.mean(np.abs(predicted - target))


def pearson(x, y):
    x, y = x - x.mean(), y - y.mean()
    return x @ y / np.sqrt((x @ x) * (y @ y))


# %%
from minitvlt.training import metrics

mine, theirs = (each(predicted, sentiment) for each in (sign_accuracy, metrics.compute_sign_accuracy))
print("A2: as the package's:", np.isclose(mine, theirs))
mine, theirs = mean_absolute_error(predicted, sentiment), metrics.compute_mean_absolute_error(predicted, v)
print("MAE: as the package's:", np.isclose(mine, theirs))
mine, theirs = (each(predicted, sentiment) for each in (pearson, metrics.compute_pearson))
print("correlation: as the package's:", np.isclose(mine, theirs))

# %% [markdown]
# A score means little without a **baseline**. The simplest one predicts the same for all clips, here the mean
# of the training set. Its A2 is the share of the clips with that sign, which may be far above one half.

# %% tags=["volatile"]
constant = np.full(len(sentiment), training.labels["sentiment"].mean())
print(f"{'':<12}{'A2':>6}{'MAE':>6}")
for name, values in {"model": predicted, "the mean": constant}.items():
    print(f"{name:<12}{sign_accuracy(values, sentiment):6.2f}{mean_absolute_error(values, sentiment):6.2f}")
print(f"correlation of the model: {pearson(predicted, sentiment):.2f}")

# %%
print("A2 above that of the mean:", bool(sign_accuracy(predicted, v) > sign_accuracy(constant, v) + 0.05))
print("correlation above 0.6:", bool(pearson(predicted, sentiment) > 0.6))

# %% [markdown]
# In the figure each dot is a clip of the test set. A2 counts the dots in the two shaded squares. Dots near
# the dotted lines decide it: a small error may be on the wrong side, and a large one on the right side. So A2
# is reported together with the MAE or the correlation.

# %%
figure, (axes,) = new_axes(size=(6, 4.6), x="label", y="predicted")
for low in (-3, 0):
    axes.fill_between([low, low + 3], low, low + 3, color="#dddddd", linewidth=0)
axes.plot(sentiment, predicted, ".", color="black")
axes.axhline(0, color="gray", linestyle=":")
axes.axvline(0, color="gray", linestyle=":")
axes.set(xlim=(-3.1, 3.1), ylim=(-3.6, 3.6))
show(figure, "A cloud of dots that rises from the lower left to the upper right, both of which are shaded.")

# %% [markdown]
# ## Metrics of the emotions
#
# A clip is predicted to show an emotion if its logit is above a **threshold**, at first 0, which is a
# probability of ½. Let TP, FP, TN and FN count the true positives (present and predicted), false positives
# (only predicted), true negatives and false negatives (only present). **Precision**, TP / (TP + FP), is the
# share of predicted clips that are right; **recall**, TP / (TP + FN), the share of present ones that are
# found. **F1** is their harmonic mean; the **weighted accuracy** (WA, also *balanced accuracy*) is the mean
# of the recall of the clips with the emotion and of the recall of those without:
#
# $$\text{F1} = \frac{2 \, TP}{2 \, TP + FP + FN}$$
#
# $$\text{WA} = \frac12 \Bigl( \frac{TP}{TP + FN} + \frac{TN}{TN + FP} \Bigr)$$


# %%
def count_outcomes(predictions, present):
    """TP, FP, TN and FN of each emotion"""
    pairs = (predictions & present, predictions & ~present, ~predictions & ~present, ~predictions & present)
    return [np.sum(pair, axis=0) for pair in pairs]


def f1(predictions, present):
    TP, FP, _, FN = count_outcomes(predictions, present)
    return 2 * TP / np.maximum(2 * TP + FP + FN, 1)  # 0 where it is neither present nor predicted


def weighted_accuracy(predictions, present):
    TP, FP, TN, FN = count_outcomes(predictions, present)
    return (TP / (TP + FN) + TN / (TN + FP)) / 2


# %%
shown = z > 0
print("F1: as the package's:", np.allclose(f1(shown, emotions), metrics.compute_f1(shown, emotions)))
theirs = metrics.compute_weighted_accuracy(shown, emotions)
print("WA: as the package's:", np.allclose(weighted_accuracy(shown, emotions), theirs))

# %% [markdown]
# ## Why accuracy misleads
#
# The model that never predicts an emotion has a high accuracy wherever the emotion is rare. Its F1 is 0 and
# its weighted accuracy is ½, as for every constant prediction. Compare the first two columns for fear.


# %%
def accuracy(predictions, present):
    return np.mean(predictions == present, axis=0)


never = np.zeros_like(emotions)
print("accuracy of never predicting fear above 0.9:", bool(accuracy(never, emotions)[3] > 0.9))
print("its F1:", f1(never, emotions)[3], "  its weighted accuracy:", weighted_accuracy(never, emotions)[3])

# %% tags=["volatile"]
print(f"{'':<10}{'never: accuracy':>16}{'model: accuracy':>17}{'F1':>7}{'WA':>7}")
rows = (accuracy(never, emotions), accuracy(shown, emotions), f1(shown, emotions))
for name, *row in zip(EMOTIONS, *rows, weighted_accuracy(shown, emotions), strict=True):
    print(f"{name:<10}{row[0]:16.2f}{row[1]:17.2f}{row[2]:7.2f}{row[3]:7.2f}")

# %% [markdown]
# ## Thresholds
#
# With few examples of an emotion the loss is lowest if the model gives it small probabilities, and few clips
# reach ½. The order of the clips may be good all the same: then another threshold helps. It is chosen on the
# validation set, for each emotion by itself. On the test set the choice would be part of the training, and
# the score too good.
#
# The figure shows the weighted accuracy on the validation set over the threshold of the logit. A threshold of
# 0 (dotted) is good for happy and too high for the rare emotions. A threshold that is good for the weighted
# accuracy may be bad for F1, in which false positives of a rare emotion weigh more: choose it for the metric
# that matters.

# %%
z_validation = mt.classify(by_emotion, validation.video, validation.audio)
thresholds = np.linspace(-5, 2, 71)
curves = np.array(
    [weighted_accuracy(z_validation > each, validation.labels["emotions"]) for each in thresholds]
)
chosen = thresholds[curves.argmax(axis=0)]
figure, (axes,) = new_axes(size=(9, 3.6), x="threshold", y="weighted accuracy")
for number, style in ((0, "-"), (2, "--"), (3, "-."), (5, ":")):
    axes.plot(thresholds, curves[:, number], style, color="black", label=EMOTIONS[number])
axes.axvline(0, color="gray", linestyle=":")
axes.legend(ncols=2)
show(figure, "Four curves over the threshold; those of angry, fear and surprise are highest left of 0.")

# %% tags=["volatile"]
found = z > chosen
print(f"{'on the test set':<18}{'F1 at 0':>9}{'chosen':>9}{'WA at 0':>10}{'chosen':>9}   threshold")
columns = (f1(shown, emotions), f1(found, emotions), weighted_accuracy(shown, emotions))
for name, *row in zip(EMOTIONS, *columns, weighted_accuracy(found, emotions), chosen, strict=True):
    print(f"{name:<18}{row[0]:9.2f}{row[1]:9.2f}{row[2]:10.2f}{row[3]:9.2f}{row[4]:12.1f}")

# %%
better = weighted_accuracy(found, emotions).mean() > weighted_accuracy(shown, emotions).mean()
print("mean weighted accuracy higher with chosen thresholds:", bool(better))
print("thresholds of the rare emotions below 0:", bool((chosen[2:] < 0).all()))

# %% [markdown]
# ## How certain is a score?
#
# The test set is a sample. With other clips the same model would have another score, most of all for an
# emotion that only few of the clips show. The **bootstrap** estimates by how much: draw as many clips as
# there are from the test set, *with replacement*, compute the score, and repeat this. The interval that
# contains 95% of these scores is a **confidence interval**.


# %%
def bootstrap(metric, predictions, labels, tries=1000):
    """The limits between which 95% of the scores of resampled clips lie"""
    rng, scores = np.random.default_rng(0), []
    for _ in range(tries):
        drawn = rng.integers(len(labels), size=len(labels))
        scores.append(metric(predictions[drawn], labels[drawn]))
    return np.percentile(scores, (2.5, 97.5), axis=0)


# %% [markdown]
# For an accuracy $p$ of $n$ clips there is a formula: the **standard error** is $\sqrt{p (1 - p) / n}$, and
# the interval reaches 1.96 standard errors to both sides. For A2 both agree.

# %%
low, high = bootstrap(sign_accuracy, predicted, sentiment)
p, n = sign_accuracy(predicted, sentiment), len(sentiment)
half = 1.96 * np.sqrt(p * (1 - p) / n)
print("A2: both agree within 0.02:", np.allclose((low, high), (p - half, p + half), atol=0.02))

# %% [markdown]
# The figure shows F1 with its intervals; the number of clips with the emotion is below its name. Two models
# whose scores differ by less than such an interval may be equally good. A comparison is sharper if the
# bootstrap resamples the *difference* of both scores, on the same clips.

# %% tags=["thumbnail"]
low, high = bootstrap(f1, found, emotions)
figure, (axes,) = new_axes(size=(9, 3.8), y="F1")
names = [f"{name}\n{count}" for name, count in zip(EMOTIONS, emotions.sum(axis=0), strict=True)]
middle = f1(found, emotions)
axes.errorbar(range(6), middle, (middle - low, high - middle), fmt="o", color="black", capsize=6)
axes.set(xticks=range(6), xticklabels=names, ylim=(0, 1.05))
show(figure, "Six dots with intervals: short for happy and sad, long for fear, disgust and surprise.")

# %%
widths = high - low
print("interval of fear at least three times as wide as that of sad:", bool(widths[3] > 3 * widths[1]))

# %% [markdown]
# ## With the real data
#
# 1. Get films and labels of CMU-MOSEI from its authors, and keep their division into training, validation and
#    test: it is by recording, so that no recording is in both the training and the test.
# 2. Write the label files as above, with the column `file` for films with sound. Clips of the validation set
#    are left out, or written to a file of their own. Convert intensities by `mean > 0`.
# 3. Look at the checkpoint: `minitvlt info TVLT.ckpt` says its sizes and which heads it has.
# 4. Fine-tune on a graphics card. The paper's learning rate is 1e-5 with 256 clips a step: `minitvlt
#    finetune regression --data sentiment.csv --checkpoint TVLT.ckpt --learning-rate 1e-5 --batch 256
#    --micro-batches 16 --backend torch --device cuda --dtype bfloat16 --out sentiment`, and the same with
#    `labels` and `emotions.csv`.
# 5. The folder `sentiment` holds the model, all predictions and the metrics of this notebook, each beside its
#    baseline. Choose thresholds on the validation set, and report intervals.

# %% [markdown]
# A published checkpoint may already be fine-tuned. `mt.from_original` then reads the head, too: one output is
# a sentiment, six are the emotions in the order of `EMOTIONS`. Here our model takes the place of the
# published one: it is written in the format of the released code, and read again.

# %%
from minitvlt.checkpoints.released import lost_settings

path = mt.to_original(by_emotion, Path(tempfile.mkdtemp()) / "emotions.safetensors")
read = mt.from_original(path, **lost_settings(by_emotion))
print("head:", read.config.loss_type, "with", read.config.num_labels, "outputs")
read = replace(read, config=by_emotion.config)  # shapes do not say how long our clips are
print("the same logits:", np.allclose(mt.classify(read, test.video, test.audio), z, atol=1e-4))

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Change the training: draw clips with fear ten times as often. Predict how its precision and its recall
# on the test set change, at the threshold 0. Then train.**
#
# <details><summary>Answer</summary>
#
# Fear is predicted for more clips, so the recall rises. Some of them are wrong, so the precision may fall.
# Drawing rare clips more often (**oversampling**) has a similar effect as a lower threshold; but the model
# also learns more about them.
#
# ```python
# weights = np.where(training.labels["emotions"][:, 3], 10.0, 1.0)
# other = tune(feeling, Clips(training, weights / weights.sum()))
# for name, logits in (("as before", z), ("oversampled", mt.classify(other, test.video, test.audio))):
#     TP, FP, _, FN = (count[3] for count in count_outcomes(logits > 0, emotions))
#     print(f"{name}: precision {TP / max(TP + FP, 1):.2f}, recall {TP / (TP + FN):.2f}")
# assert TP + FP > shown[:, 3].sum()
# ```
#
# </details>

# %% [markdown]
# **2. A head gives its outputs in the order of `EMOTIONS`, but the columns of the labels are sorted by the
# alphabet. Predict the weighted accuracy, then compute it. How would you notice?**
#
# <details><summary>Answer</summary>
#
# Most columns are compared with another emotion, so the mean is near ½. The accuracy looks fine for rare
# emotions. The weighted accuracy shows the mistake; and that *sad*, which has the same place in neither list,
# is predicted badly although it is frequent.
#
# ```python
# order = np.argsort(EMOTIONS)
# mixed, right = (weighted_accuracy(found, each).mean() for each in (emotions[:, order], emotions))
# print(f"right order {right:.2f}, by the alphabet {mixed:.2f}")
# assert abs(mixed - 0.5) < 0.15 < right - mixed
# ```
#
# </details>

# %% [markdown]
# **3. Papers also report A7, the accuracy of the sentiment rounded to whole numbers, and A2 without the clips
# whose label is exactly 0. Write both. Which of the three is lowest?**
#
# <details><summary>Answer</summary>
#
# A7, since seven classes are more difficult than two. Which A2 a paper means has to be read closely.
#
# ```python
# A7 = np.mean(np.clip(np.rint(predicted), -3, 3) == np.rint(sentiment))
# without = sign_accuracy(predicted[sentiment != 0], sentiment[sentiment != 0])
# print(f"A7 {A7:.2f}, A2 {sign_accuracy(predicted, sentiment):.2f}, without 0: {without:.2f}")
# assert A7 < min(without, sign_accuracy(predicted, sentiment))
# ```
#
# </details>

# %% [markdown]
# **4. Give each clip the audio of another one. Predict what happens to the correlation of the sentiment and
# to the weighted accuracy of happy. Then compute it.**
#
# <details><summary>Answer</summary>
#
# The steadiness of the tone, half of the sentiment, is only heard: the correlation falls. Happy is a warm
# colour, which is only seen, and stays.
#
# ```python
# other = np.random.default_rng(0).permutation(len(test.video))
# changed = mt.classify(by_sentiment, test.video, test.audio[other])[:, 0]
# assert pearson(changed, sentiment) < pearson(predicted, sentiment) - 0.05
# happy = mt.classify(by_emotion, test.video, test.audio[other])[:, :1] > 0
# assert weighted_accuracy(happy, emotions[:, :1]) > 0.9
# ```
#
# </details>

# %% [markdown]
# **5. How many clips are needed for an interval of A2 that is half as wide?**
#
# <details><summary>Answer</summary>
#
# Four times as many: $n$ stands below a square root. The intervals of rare emotions depend on the number of
# clips *with* the emotion.
#
# ```python
# many = make_up(np.random.default_rng(1), 4 * len(sentiment))
# values = mt.classify(by_sentiment, many.video, many.audio)[:, 0]
# narrow = np.ptp(bootstrap(sign_accuracy, values, many.labels["sentiment"]))
# print(f"{np.ptp(bootstrap(sign_accuracy, predicted, sentiment)) / narrow:.1f} times as wide")
# assert 1.4 < np.ptp(bootstrap(sign_accuracy, predicted, sentiment)) / narrow < 2.8
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# Sentiment is a regression with the squared error, measured by A2, MAE and correlation; emotions are six
# independent labels with the binary cross-entropy, measured by F1 and weighted accuracy. Each score stands
# beside that of a constant prediction. Rare labels make accuracy meaningless and need thresholds of their
# own, chosen on a validation set. Few clips make wide intervals, which belong to the score.

# %% [markdown]
# ## Where to go on
#
# The label formats are in [labels.py](../minitvlt/worlds/labels.py), the losses in
# [tasks.py](../minitvlt/model/tasks.py), the metrics in [metrics.py](../minitvlt/training/metrics.py), and
# the released checkpoints in [released.py](../minitvlt/checkpoints/released.py).
# [14](14_on_a_graphics_card.ipynb) trains on a graphics card, [15](15_checkpoints.ipynb) opens the files of
# checkpoints. All notebooks are in the [overview](README.md).

# %% [markdown]
# ## References
#
# - A. Zadeh et al., *Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic
#   Fusion Graph*, 2018, [ACL P18-1208](https://aclanthology.org/P18-1208/): the data and the metrics.
# - Z. Tang, J. Cho, Y. Nie, M. Bansal, *TVLT: Textless Vision-Language Transformer*, 2022,
#   [arXiv 2209.14156](https://arxiv.org/abs/2209.14156), section 5.
# - K. H. Brodersen et al., *The Balanced Accuracy and Its Posterior Distribution*, 2010,
#   [doi 10.1109/ICPR.2010.764](https://doi.org/10.1109/ICPR.2010.764).
# - B. Efron, *Bootstrap Methods: Another Look at the Jackknife*, 1979,
#   [doi 10.1214/aos/1176344552](https://doi.org/10.1214/aos/1176344552).
