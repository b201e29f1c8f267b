# %% [markdown]
# # 07 · Pre-training
#
# Everything is there: clips, a model, two tasks, gradients. In this notebook a model that knows nothing meets
# a world of shapes that sing, and a minute or two later it knows which sound belongs to which video. Nobody
# tells it a word.
#
# **You will be able to** write down the loss of TVLT, take a step of AdamW, run a training loop, read its
# curves, and tell a model that learns from one that does not.
#
# **Time to run:** one to two minutes. **Before this:** masking ([03](03_masking.ipynb)), the whole model
# ([05](05_tvlt.ipynb)) and gradients ([06](06_backpropagation.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A world to learn from
#
# The clips come from a small world. A shape moves over a dark ground and sings: its form is the timbre of the
# voice, its height the pitch, its size the loudness. In this notebook there is one shape in each clip. The
# world never ends; each batch has new clips. For the exam it keeps one in four of all combinations of shape,
# colour and motion back, and training never shows these.

# %%
import numpy as np

from helpers.notebook import show, show_source

config = mt.Config.tiny()
world = mt.ShapesWorld(config, max_count=1)
exam = mt.ShapesWorld(config, split="held_out", max_count=1)
draws = np.random.default_rng(0)
batch = mt.make_batch(world.sample(draws, 32), config, draws)
print("video", batch.video.shape, " sound", batch.audio.shape)
print(
    "hidden patches of video:", batch.video_masking.is_hidden.sum(), "of", batch.video_masking.is_hidden.size
)
print("sounds with their own video:", batch.is_match.sum(), "of", batch.is_match.size)

# %% [markdown]
# ## Two tasks, three losses
#
# **Matching.** Half of the sounds of a batch get the video of another clip. Let $y_b$ be 1 where sound and
# video of row $b$ belong together, else 0, and $z_b$ the score of the model. It stands for the probability
# $\sigma(z_b) = 1 / (1 + e^{-z_b})$. The loss is the cross-entropy, the surprise at the truth:
#
# $$L_{\text{match}} = -\frac{1}{B} \sum_b
# \bigl( y_b \log \sigma(z_b) + (1 - y_b) \log (1 - \sigma(z_b)) \bigr)$$
#
# Who always answers "one half" is surprised by $\log 2 = 0.69$.

# %% [markdown]
# **Filling in.** Let $H$ be the set of hidden patches of one sense in the batch, $x_n$ the $P$ numbers of
# patch $n$, and $\hat x_n$ what the decoder makes of it. The loss is the mean squared error,
#
# $$L_{\text{fill}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{P} \sum_k (\hat x_{nk} - x_{nk})^2$$
#
# once for video and once for sound. What the model was shown does not count: copying is no art. The weighted
# sum of all is to become small:
#
# $$L = \lambda_{\text{match}} L_{\text{match}} + \lambda_{\text{fill}} \bigl( L_{\text{video}} +
# L_{\text{sound}} \bigr)$$
#
# The paper has the weights 1 and 0.3; our plain patches have small errors, so we take 1 and 3.

# %%
params = mt.init(config, seed=0)
out = mt.pretraining_loss(params, batch)
together = config.matching_weight * out.match_loss + config.mae_weight * (out.video_loss + out.audio_loss)
print("the sum is the loss:", np.isclose(together, out.loss))

hidden = batch.video_masking.is_hidden
error = out.video_prediction - mt.patchify_video(batch.video, config.image_patch_size)
print("video by the formula:", np.isclose((error[hidden] ** 2).mean(), out.video_loss))

# %% [markdown]
# ## A step
#
# A step against the gradient makes the loss smaller. AdamW takes care of its length: it remembers the mean of
# the gradients, $m$, and of their squares, $s$, each with a fading memory, and divides one by the root of the
# other. A parameter whose gradients agree takes full steps, one whose gradients contradict each other small
# ones. For every parameter $\theta$ with the gradient $g$:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) \, g$$
#
# $$s \leftarrow \beta_2 s + (1 - \beta_2) \, g^2$$

# %% [markdown]
# Both begin at 0, so after $k$ steps they are too small by a factor that is known; $\hat m$ and $\hat s$ are
# put right:
#
# $$\hat m = \frac{m}{1 - \beta_1^k}, \quad \hat s = \frac{s}{1 - \beta_2^k}$$
#
# The step has the length $\eta$, the learning rate, and weights, but not biases, are drawn a little towards 0
# by $\lambda$, the weight decay; $\varepsilon = 10^{-8}$ keeps the division safe:
#
# $$\theta \leftarrow (1 - \eta \lambda) \, \theta - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}$$
#
# In the source, `apply_adamw` does this for every array of the parameters, in place.

# %%
from minitvlt.training.optimizer import compute_learning_rate, update_adamw

show_source(update_adamw)

# %% [markdown]
# The learning rate $\eta$ itself changes. It rises over some steps of warm-up, since the first gradients of a
# model that knows nothing point anywhere, and then falls along half a cosine, so that at the end the model
# settles. The curve shows it for the recipe of this notebook.

# %%
from helpers.diagrams import new_axes, use_style

use_style()
recipe = mt.Recipe(steps=900, batch_size=32, learning_rate=3e-3, warmup_steps=50)
figure, (axes,) = new_axes(size=(8, 2.8), x="step", y="learning rate")
axes.plot([compute_learning_rate(step, recipe) for step in range(recipe.steps)], color="black")
show(figure, "A line that rises quickly to 0.003 in 50 steps and then falls in a gentle bow to 0.")

# %% [markdown]
# ## The loop
#
# `mt.train` does all of this, writes a log, and can be interrupted and resumed. To watch the training, we
# write the loop ourselves: draw a batch, compute the loss and its gradient by the tape, scale a gradient down
# that is too long, and let AdamW update the parameters and its two moments, which `start_adamw` makes.

# %%
from minitvlt.training.objectives import PRETRAINING
from minitvlt.training.optimizer import apply_adamw, start_adamw

state, log = start_adamw(params), []
compute = mt.value_and_grad(PRETRAINING.compute, has_aux=True)

# %%


def learn(step):
    rng = np.random.default_rng([recipe.seed, step])  # a step always sees the same batch
    batch = mt.make_batch(world.sample(rng, recipe.batch_size), config, rng)
    counts = PRETRAINING.count(batch)
    (loss, numbers), gradients = compute(state.parameters, batch, counts)
    norm = float(np.sqrt(sum(np.sum(g * g) for g in mt.flatten(gradients).values())))
    apply_adamw(state, gradients, min(1.0, recipe.clip_norm / norm), step, recipe)
    line = {"step": step + 1, "loss": loss, **PRETRAINING.describe(numbers, counts), "gradient_norm": norm}
    log.append({**line, "learning_rate": compute_learning_rate(step, recipe)})


# %% [markdown]
# Now it learns. The figure below is updated every 100 steps while the cell runs. Its panels show the loss,
# the matching loss, both reconstruction losses, the matching accuracy, the learning rate and the norm of the
# gradient. Thin lines are single steps, thick ones running means, dashed ones chance levels. At five moments
# the model is put aside for later.

# %% tags=["volatile"]
from minitvlt.views.figures import plot_curves

moments, kept = (0, 50, 200, 450, 900), {}
handle = display(show(plot_curves([{"step": 0}]), "Empty axes, before the first step."), display_id=True)
for step in range(recipe.steps + 1):
    if step in moments:
        kept[step] = mt.map_tree(np.copy, state.parameters)
    if step % 100 == 0 and log:
        handle.update(show(plot_curves(log), "Curves of training: the losses fall, the accuracy rises."))
    if step < recipe.steps:
        learn(step)

# %% [markdown]
# Read the curves from the left. The reconstruction losses fall at once: to paint the dark ground and the mean
# of all sounds is easy. Matching stays at chance for a while, 0.69 and one half. Then the accuracy begins to
# rise: the model has found something that a sound and its video have in common, such as that what is high on
# the screen is high in pitch.

# %% [markdown]
# ## Five moments: filling in
#
# Here is one clip of the exam at the five moments. The first column shows the clip, its three frames one
# below another and its sound at the bottom (time runs to the right, pitch upwards); the second what the model
# was shown, with hidden patches hatched. Then comes what it filled in, after more and more steps: first
# noise, then an average of everything, then the bands of this voice and a glow where the shape must be.

# %%
from minitvlt.backends import map_tree
from minitvlt.views.figures import draw_frames, draw_spectrogram, tokens_to_pixels
from minitvlt.views.report import reconstruct

draws = np.random.default_rng(12)
shown = mt.make_batch(exam.sample(draws, 16), config, draws)
clip = map_tree(lambda array: array[:1], shown)
frames_hidden = tokens_to_pixels(clip.video_masking.is_hidden, config.image_patch_size, (3, 24, 24))[0]
sound_hidden = tokens_to_pixels(clip.audio_masking.is_hidden, config.audio_patch_size, (24, 16))[0]
columns = {"the clip": (clip.video, clip.audio), "shown": (clip.video, clip.audio)}


# %%
def draw_column(axes, video, audio, is_seen):
    for t in range(3):
        draw_frames(axes[t], video[0, t : t + 1], is_seen & frames_hidden[t : t + 1])
    draw_spectrogram(axes[3], audio[0, 0], config, is_seen & sound_hidden)


# %% tags=["volatile", "thumbnail"]
columns |= {f"{step} steps": reconstruct(model, clip) for step, model in kept.items()}
figure, axes = new_axes(4, 7, (11, 6.2), titles=list(columns))
for number, (title, pair) in enumerate(columns.items()):
    draw_column(axes[number::7], *pair, is_seen=title == "shown")
for one in axes:
    one.set(xticks=[], yticks=[], xlabel="", ylabel="")
show(figure, "Seven columns of frames and spectrograms: the clip, what was shown, and five reconstructions.")

# %% [markdown]
# ## Five moments: matching
#
# Sixteen clips of the exam: every sound (row) with every video (column), darker for a higher score, true
# pairs on the diagonal. At first there are stripes: some videos and some sounds score higher than others,
# whatever they meet. Then a pattern appears, as the model learns which pairs cannot be, and at last the
# diagonal stands out. The titles count the sounds that rank their own video first, of sixteen; luck is one.

# %% tags=["volatile"]
from minitvlt.training.metrics import compute_ranks

figure, axes = new_axes(1, 5, (11, 2.8), x="video")
for one, (step, model) in zip(axes, kept.items(), strict=True):
    scores = mt.score_all_pairs(model, shown)
    one.imshow(scores, cmap="Greys")
    one.set(title=f"{step} steps: {(compute_ranks(scores) == 1).sum()}", xticks=[], yticks=[])
axes[0].set_ylabel("sound")
show(figure, "Five squares of 16 by 16 scores, from stripes to a dark diagonal.")

# %% [markdown]
# ## The exam
#
# One clip proves nothing, and sixteen little. Here are 256 clips whose combinations of shape, colour and
# motion were never shown. Errors of hidden patches are relative to those of answering with the average of
# each place, so 1 is what one gets without looking.

# %% tags=["volatile"]
for step in (0, 900):
    metrics = mt.evaluate(kept[step], exam, clips=256)
    for name, metric in metrics.items():
        print(f"after {step:3} steps: {name:<32}{metric.value:.2f} (chance {metric.chance:.2f})")

# %%
print("matching well above chance:", metrics["matching accuracy"].value > 0.75)
print("hidden sound much better than the average:", metrics["hidden audio, relative error"].value < 0.7)

# %% [markdown]
# The default run of the package, `minitvlt pretrain`, does the same for 1800 steps of 64 clips with up to two
# shapes in each, and the model that comes with the package learnt for twice as long
# ([00](00_quickstart.ipynb)). Video comes later than sound: where a hidden cross lies from left to right can
# only be told from the other frames.

# %% [markdown]
# ## Try it
#
# **1. What becomes of a model that only matches, or only fills in?**
#
# <details><summary>Answer</summary>
#
# Set `config = mt.Config.tiny(task_mae=False)` or `task_matching=False` and run `mt.train`. Filling in alone
# gives no score of a pair at all. Matching alone learns too, but with this recipe it finds the right one of
# sixteen only about half as often. In the paper, too, both together were better than either.
#
# </details>

# %% [markdown]
# **2. Make the learning rate ten times larger, or smaller. What do the curves say?**
#
# <details><summary>Answer</summary>
#
# Try 0.03 and 0.0003 in the recipe. Look first at the matching loss: does it leave 0.69, and how soon? With
# steps that are longer than the valleys are wide, the thick lines jump about and the gradient has to be
# shortened again and again; with short ones all curves are smooth, and still falling when the steps are used
# up.
#
# </details>

# %% [markdown]
# **3. Why is the matching loss of a new model not exactly $\log 2$?**
#
# <details><summary>Answer</summary>
#
# Its scores are small, but not 0. A score of $\pm 1$ that has nothing to do with the truth costs $\log(1 + e)
# - 1/2 = 0.81$ on average. To be unsure is cheaper than to be sure without a reason, and that is the first
# thing that the model learns.
#
# </details>

# %% [markdown]
# **4. How is one batch of 32 different from four of 8, whose gradients are added?**
#
# <details><summary>Answer</summary>
#
# Not at all, if each loss is divided by the counts of the whole batch: `mt.Recipe(micro_batches=4)` does
# that. Dividing by the counts of each part and averaging would weigh a part with few hidden patches too much.
#
# </details>

# %% [markdown]
# **5. Could the model cheat, and match by something else than what we think?**
#
# <details><summary>Answer</summary>
#
# It may use whatever sets pairs apart, and here all of it is honest: pitch, loudness, timbre, clicks. In real
# films a sound and a video of one clip may share a hum of the camera, or the same cut; that is why a score on
# held-out data of another origin says more.
#
# </details>

# %% [markdown]
# ## Recap
#
# Draw clips, swap half of the videos, hide half of the patches; compute the surprise at what belongs together
# and the error of what was hidden; carry the gradient back; take a step of AdamW, with a learning rate that
# warms up and cools down. After some hundred steps the diagonal stands out, on clips of a kind that were
# never shown.

# %% [markdown]
# ## Where to go on
#
# [08](08_using_the_model.ipynb) puts a trained model to use; all notebooks are in the [overview](README.md).
# The code is in [trainer.py](../minitvlt/training/trainer.py), [helpers.py](../minitvlt/training/helpers.py),
# [optimizer.py](../minitvlt/training/optimizer.py) and [pretraining.py](../minitvlt/model/pretraining.py).
