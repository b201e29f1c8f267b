# %% [markdown]
# # 08 · Using the model
#
# A model that was trained on nothing but matching and filling in is put to use: it finds videos for sounds
# and sounds for videos, then gets a new head and learns to name shapes, to judge moods and to tick boxes. We
# look at where it looks, and at what it gets wrong.
#
# **You will be able to** search with a pre-trained model, fine-tune it for classes, numbers and labels,
# measure what pre-training was worth, and find out how it fails.
#
# **Time to run:** about 40 seconds, most of it training. **Before this:** [00](00_quickstart.ipynb) and
# [04](04_attention.ipynb); how a training step works is told in [07](07_pretraining.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## What we start from
#
# The trained model of the package, its world of singing shapes to learn from, and 512 clips for the exam.
# In these, shape, colour and motion are combined as training never showed them.

# %%
import numpy as np

params = mt.load("shapes-small")
config = params.config
world = mt.ShapesWorld(config)
exam = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(7), 512)
exam.video.shape, exam.audio.shape

# %% [markdown]
# Each clip comes with labels, which pre-training never saw. They are what fine-tuning will ask for.

# %%
for name, label in exam.labels.items():
    print(f"{name:<12}{label.shape!s:<10}of the first clip: {np.round(label[0].astype(float), 2)}")

# %% [markdown]
# ## Finding, both ways
#
# No training is needed to search. The model scores how well a sound and a video fit; the score is read as the
# probability $\sigma(z)$ of [00](00_quickstart.ipynb). For each sound we score the videos of sixteen clips
# and sort them: that is retrieval. Sorting the sounds of each video is the other way, with the same scores.

# %%
batch = mt.make_batch(mt.map_tree(lambda array: array[:16], exam), config, np.random.default_rng(0))
scores = mt.score_all_pairs(params, batch)  # (16 sounds, 16 videos)
chances = 1 / (1 + np.exp(-scores))
best_videos = np.argsort(-scores, axis=1)  # for each sound, the best first
best_sounds = np.argsort(-scores.T, axis=1)  # for each video
scores.shape, best_videos.shape

# %% [markdown]
# The two pictures show three questions each, one a row, and the four best answers beside it, each with its
# probability. The right answer is marked by a star. First, sounds that look for their videos.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show
from minitvlt.views.figures import draw_frames, draw_spectrogram

use_style()


def draw_sense(axes, index, is_sound):
    """Draw the sound or the middle frame of a clip, without scales."""
    if is_sound:
        draw_spectrogram(axes, batch.audio[index, 0], config)
        axes.set(xlabel="", ylabel="")
    else:
        draw_frames(axes, batch.video[index, 1:2])
    axes.set(xticks=[], yticks=[])


# %%
def draw_search(questions, best, chance, asks_with_sound):
    figure, axes = new_axes(len(questions), 5, (10, 1.9 * len(questions)))
    for row, asked in enumerate(questions):
        draw_sense(axes[5 * row], asked, asks_with_sound)
        for place, found in enumerate(best[asked][:4]):
            one = axes[5 * row + place + 1]
            draw_sense(one, found, not asks_with_sound)
            one.set_title(f"{chance[asked, found]:.2f}" + (" ★" if found == asked else ""))
    axes[0].set_title("asked")
    return figure


# %%
figure = draw_search((0, 3, 6), best_videos, chances, True)
show(figure, "Three sounds, each with the four best videos beside it.")

# %% [markdown]
# And videos that look for their sounds. What comes second is telling: often the same shape at another height,
# or the same height with another voice.

# %%
figure = draw_search((0, 3, 6), best_sounds, chances.T, False)
show(figure, "Three frames of videos, each with the four best sounds beside it.")

# %% [markdown]
# Over sixteen groups of sixteen, how often does the right one come first? Luck would be 0.06. The two ways
# need not be equal: a row and a column of the same square are different questions.

# %% tags=["volatile"]
from minitvlt.training.evaluation import cut_groups
from minitvlt.training.metrics import compute_ranks

all_clips = mt.make_batch(exam, config, np.random.default_rng(0))
groups = [mt.score_all_pairs(params, group) for group in cut_groups(all_clips, 16)[:16]]
to_video = np.mean([compute_ranks(square) == 1 for square in groups])
to_sound = np.mean([compute_ranks(square.T) == 1 for square in groups])
print(f"sound to video {to_video:.2f}, video to sound {to_sound:.2f}")

# %%
print("both above 0.8:", bool(min(to_video, to_sound) > 0.8))

# %% [markdown]
# ## A new head
#
# For other questions the model gets a new head: a small network that reads `cls` and gives one number $z_k$
# for each of $K$ possible answers. `replace_head` throws the decoder and the matching head away and puts
# the new one in, with random numbers. The encoder stays, and is trained on together with the head.

# %%
from minitvlt.training.finetuning import EMBEDDED_TASKS, make_objective, replace_head

for name in ("shape", "valence", "attributes"):
    task = EMBEDDED_TASKS[name]
    print(f"{name:<12}{task.loss_type:<16}{', '.join(task.names)}")

# %% [markdown]
# For classes, the softmax makes probabilities of the numbers, and the loss is how surprised the model is by
# the truth $y$. For four shapes, blind guessing costs $\log 4 \approx 1.39$.
#
# $$p_k = \frac{e^{z_k}}{\sum_{l=1}^{K} e^{z_l}}$$
#
# $$\mathcal{L}_{\text{class}} = -\log p_y$$
#
# The loop is `train`, the one of pre-training; only the objective is another. `tune` below is all that we
# need: a new head, a short recipe, a temporary folder for the log. It keeps to one core, which for so small a
# model is enough, and does not mind what else the machine is doing.

# %%
import tempfile
from pathlib import Path

from threadpoolctl import threadpool_limits

from minitvlt.training.trainer import METRICS, read_metrics


def tune(name, start, steps):
    task, folder = EMBEDDED_TASKS[name], Path(tempfile.mkdtemp())
    recipe = mt.Recipe(steps=steps, batch_size=32, learning_rate=2e-3, warmup_steps=20)
    begin, objective = replace_head(start, task), make_objective(task)
    with threadpool_limits(1):
        tuned = mt.train(begin, world, recipe, folder, show_progress=False, objective=objective)
    return tuned, read_metrics(folder / METRICS)


# %%
by_shape, log = tune("shape", params, 120)
shape_logits = mt.classify(by_shape, exam.video, exam.audio)
print("logits:", shape_logits.shape, "  loss fell:", log[-1]["loss"] < log[0]["loss"])

# %% [markdown]
# On the left of the picture is the loss over the 120 steps, with the dotted line of blind guessing. On the
# right is the exam, as a confusion matrix: each row is a true shape, each column an answer, and a square says
# how many clips. All that is off the diagonal is wrong.

# %%
shapes = EMBEDDED_TASKS["shape"].names
confusion = np.zeros((4, 4), int)
np.add.at(confusion, (exam.labels["shape"], shape_logits.argmax(axis=1)), 1)
figure, (left, right) = new_axes(1, 2, (11, 4), titles=("training", "exam: clips"))
left.plot([line["loss"] for line in log], color="black")
left.axhline(np.log(4), color="gray", linestyle=":")
left.set(xlabel="step", ylabel="loss", ylim=(0, None))
right.imshow(confusion, cmap="Greys", vmax=160)
for (row, column), count in np.ndenumerate(confusion):
    right.text(column, row, count, ha="center", va="center", color="white" if count > 80 else "black")
right.set(
    xticks=range(4), yticks=range(4), xticklabels=shapes, yticklabels=shapes, xlabel="answer", ylabel="truth"
)
show(figure, "Left: a loss that falls from 1.4 to near 0. Right: four by four counts, nearly all diagonal.")

# %%
right_answers = shape_logits.argmax(axis=1) == exam.labels["shape"]
print("right in more than 95 of 100 clips:", bool(right_answers.mean() > 0.95))

# %% [markdown]
# ## A number
#
# *Valence* is how pleasant a clip is, in psychology's word. In this world it is defined by what is seen and
# what is heard at once. With the hue $h$ of the colour in degrees, of which orange (30°) is the warmest, and
# with $\tau$, how far the voice trembles, from 0 (steady) to 1 (it falls silent at each swing):
#
# $$v = \tfrac12 \bigl( \cos(h - 30°) + 1 - 2 \tau \bigr)$$
#
# So neither eye nor ear can tell it alone. The head now gives one number $\hat v$, and the loss is the
# squared error:
#
# $$\mathcal{L}_{\text{number}} = (\hat v - v)^2$$

# %%
by_mood, _ = tune("valence", params, 250)
truth = exam.labels["valence"]
other = np.random.default_rng(0).permutation(512)  # whose sound, or whose video, is played instead
told = {
    "as it is": mt.classify(by_mood, exam.video, exam.audio)[:, 0],
    "another sound": mt.classify(by_mood, exam.video, exam.audio[other])[:, 0],
    "another video": mt.classify(by_mood, exam.video[other], exam.audio)[:, 0],
}

# %% [markdown]
# Does it use both senses? A fair way to find out is to exchange one of them for that of another clip: the
# model still gets what it is used to, but half of it is not true. (Leaving a sense out would be unfair: it
# has never had to do without.) In the three panels each dot is a clip; the better the answer, the nearer to
# the diagonal. The numbers are correlations, 1 for perfect and 0 for none.

# %%
figure, axes = new_axes(1, 3, (11, 3.9), x="true valence", y="told")
for one, (name, answers) in zip(axes, told.items(), strict=True):
    one.plot([-1, 1], [-1, 1], color="gray", linewidth=1.5)
    one.plot(truth, answers, ".", color="black", markersize=4)
    one.set(title=f"{name}: {np.corrcoef(answers, truth)[0, 1]:.2f}", xlim=(-1.2, 1.2), ylim=(-1.4, 1.4))
show(figure, "Three clouds of dots: near the diagonal with both senses, spread out when one is exchanged.")

# %%
correlations = [np.corrcoef(answers, truth)[0, 1] for answers in told.values()]
print("above 0.8 as it is:", bool(correlations[0] > 0.8))
print("much lower with another sound, and with another video:", bool(max(correlations[1:]) < 0.65))

# %% [markdown]
# ## Six boxes to tick
#
# Attributes are independent: a clip may be warm, large, high, bouncing, several and trembling, or none of it.
# So each of the six numbers $z_k$ gets its own probability $\sigma(z_k)$, and the loss is the mean surprise,
# with $y_k = 1$ where the attribute holds and 0 where it does not:
#
# $$\mathcal{L}_{\text{labels}} = -\frac16 \sum_{k=1}^{6} \bigl( y_k \log \sigma(z_k)
# + (1 - y_k) \log(1 - \sigma(z_k)) \bigr)$$
#
# This time we train twice: from the pre-trained model, and from nothing, that is from random parameters. All
# else is equal, so the difference is what pre-training was worth.

# %%
tuned, _ = tune("attributes", params, 300)
fresh, _ = tune("attributes", mt.init(config, seed=0), 300)
labels = exam.labels["attributes"]
logits = mt.classify(tuned, exam.video, exam.audio)
hits = ((logits > 0) == labels).mean(axis=0)
fresh_hits = ((mt.classify(fresh, exam.video, exam.audio) > 0) == labels).mean(axis=0)
always = np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0))  # saying always the more frequent

# %% [markdown]
# The bars show the accuracy on 512 clips: black from the pre-trained model, grey from nothing.
# The short lines are what one gets by always giving the more frequent answer. Warmth and size are plain to
# see, and anybody learns them at once. What takes listening closely, or following over time, is where
# pre-training shows: bouncing, and trembling most of all.

# %% tags=["thumbnail"]
names, places = EMBEDDED_TASKS["attributes"].names, np.arange(6)
figure, (axes,) = new_axes(size=(11, 3.8), y="accuracy")
axes.bar(places - 0.2, hits, 0.4, color="black", label="pre-trained")
axes.bar(places + 0.2, fresh_hits, 0.4, color="#aaaaaa", label="from nothing")
axes.hlines(always, places - 0.45, places + 0.45, color="#009e73", linewidth=3, label="always the same")
axes.set(xticks=places, xticklabels=names, ylim=(0.4, 1.0))
axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
show(figure, "Six pairs of bars; both high for warm, large and high, the pre-trained higher for trembling.")

# %%
print("trembling: the pre-trained model is far ahead:", bool(hits[5] > fresh_hits[5] + 0.1))
print("warm: both above 0.95:", bool(min(hits[0], fresh_hits[0]) > 0.95))

# %% [markdown]
# ## From a sound to a shape
#
# Back to the pre-trained model. When it takes in a sound, does it look at the shape that makes it? Of the
# attention maps we take the rows of the six sound tokens and the columns of the twelve video tokens, and ask
# which share of that weight falls on patches that hold a piece of the shape. Those are patches in which more
# than a seventh of the pixels differ from the ground.

# %%
out = mt.forward(params, exam.video, exam.audio, return_attention=True)
rows = mt.patchify_video(exam.video, config.image_patch_size).reshape(512, 12, -1, 3)  # pixels in RGB
ground = np.median(rows.reshape(512, -1, 3), axis=1)[:, None, None]
has_shape = (np.abs(rows - ground).max(axis=-1) > 0.1).mean(axis=-1) > 0.15  # (512, 12)
shares = []
for maps in out.attention:  # (512, heads, 19, 19): cls, 12 of video, 6 of sound
    looks = maps[:, :, 13:, 1:13].sum(axis=2)  # (512, heads, 12)
    on_shape = (looks * has_shape[:, None]).sum(axis=2) / looks.sum(axis=2)
    shares.append(on_shape.mean(axis=0))
print("patches with a piece of the shape:", f"{has_shape.mean():.0%}")

# %% [markdown]
# If a head looked anywhere, the share would be that of the patches themselves, the dashed line. Each dot is
# one head. Most are near the line, whatever they do: they care for positions more than for what is there. One
# head of the first block stands out. Nobody told it to look for shapes.

# %%
figure, (axes,) = new_axes(size=(9, 3.2), x="block", y="share on the shape")
for block, heads in enumerate(shares):
    axes.plot([block + 1 + 0.06 * (head - 1.5) for head in range(4)], heads, "o", color="black")
axes.axhline(has_shape.mean(), color="gray", linestyle="--")
axes.annotate("head 2", (0.97, shares[0][1]), (1.2, shares[0][1] - 0.04), fontsize=13)
axes.set(xticks=range(1, 5), ylim=(0, 1))
show(
    figure, "Dots of four heads in each of four blocks; most lie near 0.5, one of the first block above 0.8."
)

# %% [markdown]
# Here is that head at work on one clip: from the sound, taken together, to the frames. What it looks at is
# bright. It picks the patches in which most of the triangle lies, and goes with it from left to right. The
# clip was chosen because it shows this well: on others the head settles on a single frame, as `clip = 3`
# shows, and a small shape may escape it.

# %%
from helpers.diagrams import plot_weights

clip = 427
looks = out.attention[0][clip, 1, 13:].mean(axis=0)  # (19,): the mean over the sound's tokens
figure = plot_weights(config, exam.video[clip], exam.audio[clip, 0], looks[1:13], looks[13:])
show(
    figure, "Three frames in which the patches with the triangle are bright, and the spectrogram beside them."
)

# %% [markdown]
# ## What it gets wrong
#
# About four of five clips are correct for "bouncing". Which are the others? The world knows when each
# shape touches a wall: 0 is the beginning of the clip, 1 its end, and a moment beyond 1 is when it would have
# touched it, had the clip gone on. It also knows in which direction the shapes set out.

# %%
from minitvlt.worlds.shapes import MOTIONS, draw_scenes

scenes = draw_scenes(np.random.default_rng(7), 512, held_out=True, max_count=2)  # those of the exam
moments = np.where(scenes.is_there, scenes.find_bounces(), np.inf).min(axis=1)  # of the first bounce
print("the labels say the same:", np.array_equal(moments < 1, labels[:, 3]))
is_right = (logits[:, 3] > 0) == labels[:, 3]
edges = np.linspace(0, 2, 11)
counts, rights = np.histogram(moments, edges)[0], np.histogram(moments[is_right], edges)[0]
by_motion = [is_right[scenes.motion == number].mean() for number in range(4)]

# %% [markdown]
# The left panel of the picture counts right answers by the moment of the first bounce, a fifth of a clip in
# each bar; the dashed line is the end of the clip. In the middle of a clip a bounce is seldom missed. The
# worst bars are the first two beyond the end: shapes that fly towards a wall and do not get there in time.
# The right panel sorts the same answers by direction, and hints at why: what rises or sinks is *heard*, as a
# pitch that turns where it bounces. What flies sideways is only seen, in three coarse frames.

# %%
figure, (left, right) = new_axes(1, 2, (11, 3.4), titles=("by moment", "by direction"), y="accuracy")
left.bar(edges[:-1] + 0.1, rights / np.maximum(counts, 1), 0.17, color="black")
left.axvline(1, color="gray", linestyle="--")
left.set(xlabel="first bounce (1 is the end of the clip)", ylim=(0, 1))
right.bar(list(MOTIONS), by_motion, 0.6, color="black")
right.set_ylim(0, 1)
show(figure, "Bars: lower just beyond the end of the clip; lower for right and left than for up and down.")

# %%
print("sideways is told worse than up and down:", bool(max(by_motion[:2]) < min(by_motion[2:])))

# %% [markdown]
# And these are the three clips of which it was surest and wrong. The title says what is true and, after the
# arrow, with which probability the model said "bouncing". A bounce clicks, and a click is a bright upright
# line in the spectrogram. Where nothing bounced there is none, and ears would have told what eyes could not.
# The model does not listen enough yet.

# %%
surest = np.argsort(np.where(is_right, 0, -np.abs(logits[:, 3])))[:3]
figure, axes = new_axes(3, 4, (10, 6.4))
for row, clip in enumerate(surest):
    for number, frame in enumerate(exam.video[clip]):
        draw_frames(axes[4 * row + number], frame[None])
    draw_spectrogram(axes[4 * row + 3], exam.audio[clip, 0], config)
    axes[4 * row + 3].set(xlabel="", ylabel="", xticks=[], yticks=[])
    chance = 1 / (1 + np.exp(-logits[clip, 3]))
    axes[4 * row].set_title(f"{'bounces' if labels[clip, 3] else 'does not bounce'} → {chance:.2f}")
show(figure, "Three rows of three frames and a spectrogram: the clips that were told wrong most surely.")

# %% [markdown]
# Three remarks to be honest. These runs are short, and longer ones do better. The exam is from the same
# little world, so it says nothing of films. And a head that is right for the wrong reason is right only until
# the reason is gone: exchanging senses, as above, is how one finds out.

# %% [markdown]
# ## Try it
#
# **1. Is pre-training worth anything for naming shapes?**
#
# <details><summary>Answer</summary>
#
# Compare `tune("shape", params, 60)` with `tune("shape", mt.init(config, seed=0), 60)`: about 94 and 93 of
# 100. Hardly, then: a voice gives a shape away at once. It depends on the question, as the bars of the
# attributes show.
#
# </details>

# %% [markdown]
# **2. What if the encoder is left as it is, and only the head learns?**
#
# <details><summary>Answer</summary>
#
# Take `mt.forward(params, clips.video, clips.audio).cls` of 2,000 clips of `world`, add a column of ones, and
# fit the shapes, as rows of `np.eye(4)`, by `np.linalg.lstsq`. That tells about 81 of 100 shapes of the exam
# right. It is a common measure of what a summary holds, under
# the name *linear probe*.
#
# </details>

# %% [markdown]
# **3. How good is the shape head if it hears but does not see?**
#
# <details><summary>Answer</summary>
#
# `mt.classify(by_shape, None, exam.audio)`: between 50 and 60 of 100, although the voice alone tells the
# shape. It has always had both, and never learnt to do without. Train with `video` left out now and then, and
# it would.
#
# </details>

# %% [markdown]
# **4. What does a longer training change about the failures?**
#
# <details><summary>Answer</summary>
#
# `tune("attributes", params, 1200)` takes half a minute, and then bouncing is predicted correctly in more
# than 90 of 100 clips. The bars just beyond the end have risen most, and sideways is still behind up and
# down.
#
# </details>

# %% [markdown]
# **5. How would you fine-tune on clips of your own?**
#
# <details><summary>Answer</summary>
#
# A world is anything with a method `sample(rng, count)` that returns `mt.Examples` with `labels`: write one
# that picks from your prepared clips, and hand it to `mt.train` in the place of `world`, with a `Task` that
# says what the labels are.
#
# </details>

# %% [markdown]
# ## Recap
#
# A matching score sorts videos by a sound, or sounds by a video. For any other question the encoder gets a
# new head, and a short training by the same loop: cross-entropy for classes, squared error for numbers, one
# cross-entropy each for independent labels. What is plain to see needs no pre-training; what is hard to hear
# gains much by it. Exchanging a sense shows whether it is used, attention hints at where the model looks, and
# sorting failures by a cause says more than their number.

# %% [markdown]
# ## Where to go on
#
# [09](09_backends.ipynb) runs the model on other libraries, [10](10_faster.ipynb) makes it faster, and
# [11](11_the_real_thing.ipynb) takes a checkpoint and a film of your own. The heads of
# the tasks and their losses are in [tasks.py](../minitvlt/model/tasks.py), fine-tuning is in
# [finetuning.py](../minitvlt/training/finetuning.py). All notebooks are in the [overview](README.md).
