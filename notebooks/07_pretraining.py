# %% [markdown]
# # 07 · Pre-training
#
# Clips, a model, two tasks and gradients: now a model is trained. You write both losses, AdamW, the schedule
# of the learning rate and the training loop, and compare each with the package. Then your loop trains a small
# model for some hundred steps, from random parameters and without any label. We measure on new clips what it
# has learnt by then, and what the packaged model learnt in a longer training.
#
# **You will be able to** write the loss of TVLT, AdamW and a training loop, read the curves of a training,
# and tell a model that learns from one that does not.
#
# **Time to run:** about one minute. **Before this:** masking ([03](03_masking.ipynb)), the whole model
# ([05](05_tvlt.ipynb)) and gradients ([06](06_backpropagation.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The data
#
# The clips are made by a program. A shape moves over a dark background, and a tone is heard: the form of the
# shape decides the timbre, its height in the frame the pitch, its size the loudness. In this notebook there
# is one shape in each clip. New clips are drawn for each batch, so no clip is seen twice.
#
# A model is measured on a **test set** that training does not use. Here one in four of all combinations of
# shape, colour and motion is held out: training never shows them, and the test set consists of them.

# %%
import numpy as np

from helpers.notebook import show

config = mt.Config.tiny()
world = mt.ShapesWorld(config, max_count=1)
held_out = mt.ShapesWorld(config, split="held_out", max_count=1)
rng = np.random.default_rng(0)
batch = mt.make_batch(world.sample(rng, 32), config, rng)
print("video", batch.video.shape, " audio", batch.audio.shape)
is_hidden = batch.video_masking.is_hidden
print("hidden patches of video:", is_hidden.sum(), "of", is_hidden.size)
print("audio with its own video:", batch.is_match.sum(), "of", batch.is_match.size)

# %% [markdown]
# ## Matching
#
# In **vision-audio matching**, half of the audio clips of a batch get the video of another clip, and the
# model predicts for each pair whether it belongs together. Let $y_b$ be 1 for the pair $b$ if it does, else
# 0, and $z_b$ the score (logit) of the model. It stands for the probability $\sigma(z_b) = 1 / (1 +
# e^{-z_b})$. The loss is the **binary cross-entropy**:
#
# $$L_{\text{match}} = -\frac{1}{B} \sum_b
# \bigl( y_b \log \sigma(z_b) + (1 - y_b) \log (1 - \sigma(z_b)) \bigr)$$
#
# A model that always answers ½ has loss $\log 2 \approx 0.69$. (A **contrastive** loss, as in CLIP, compares
# each audio with all videos of the batch at once instead. TVLT decides about one pair at a time, because its
# encoder reads both together.)

# %% [markdown]
# Computed as it is written, this fails for large scores: where $\sigma(z)$ is rounded to 1, the logarithm of
# $1 - \sigma(z)$ is $-\infty$. But $-\log(1 - \sigma(z)) = \log(1 + e^z)$, and this is
# $\max(z, 0) + \log(1 + e^{-|z|})$, in which the exponential is at most 1; $-\log \sigma(z)$ is the same
# minus $z$. The loss has to run on NumPy and on the tape of [06](06_backpropagation.ipynb), so it takes its
# functions from `namespace(z)`.

# %%
from minitvlt.backends import namespace


def binary_cross_entropy(z, y):
    xp = namespace(z)
    return xp.mean(xp.maximum(z, 0.0) - z * y.astype(z.dtype) + xp.log(1.0 + xp.exp(-xp.abs(z))))


# %% [markdown]
# ## Masked autoencoding
#
# A **masked autoencoder** predicts the hidden patches from the visible ones. Let $H$ be the set of hidden
# patches of one modality in the batch, $u_n$ the $V$ values of patch $n$, and $\hat u_n$ the prediction. The
# loss is the mean squared error (MSE) over the hidden patches,
#
# $$L_{\text{mae}} = \frac{1}{|H|} \sum_{n \in H} \frac{1}{V} \sum_i (\hat u_{ni} - u_{ni})^2$$
#
# once for video and once for audio. Visible patches do not count: copying is trivial.


# %%
def masked_mse(predicted, patches, is_hidden):
    xp = namespace(predicted)
    error = xp.mean((predicted - patches) ** 2, axis=-1)  # (B, N)
    return xp.sum(xp.where(is_hidden, error, 0.0)) / is_hidden.sum()


# %% [markdown]
# The loss of a training step is a weighted sum:
#
# $$L = \lambda_{\text{match}} L_{\text{match}} + \lambda_{\text{mae}} \bigl( L_{\text{video}} +
# L_{\text{audio}} \bigr)$$
#
# The paper has the weights 1 and 0.3. The patches of our clips are mostly plain background, so their error is
# small, and we take 1 and 3. `predict_patches` is the encoder on visible patches, then the decoder.

# %%
from minitvlt.model.pretraining import predict_patches


def compute_loss(params, batch):
    z = mt.score_matches(params, batch.mixed_video, batch.audio)
    video, audio = predict_patches(params, batch)
    match = binary_cross_entropy(z, batch.is_match)
    rows = mt.patchify_video(batch.video, config.image_patch_size)
    video = masked_mse(video, rows, batch.video_masking.is_hidden)
    rows = mt.patchify_audio(batch.audio, config.audio_patch_size)
    audio = masked_mse(audio, rows, batch.audio_masking.is_hidden)
    loss = config.matching_weight * match + config.mae_weight * (video + audio)
    accuracy = namespace(z).to_numpy(z > 0) == batch.is_match
    losses = {"match_loss": match, "video_loss": video, "audio_loss": audio}
    return loss, {**losses, "match_accuracy": accuracy.mean()}


# %%
params = mt.init(config, seed=0)
loss, numbers = compute_loss(params, batch)
theirs = mt.pretraining_loss(params, batch)
for name in ("match_loss", "video_loss", "audio_loss"):
    print(f"{name}: as the package's:", np.allclose(numbers[name], getattr(theirs, name), rtol=1e-4))
print("loss: as the package's:", np.allclose(loss, theirs.loss, rtol=1e-4))

# %% [markdown]
# ## AdamW
#
# A step against the gradient reduces the loss, but how long should it be? **AdamW** keeps two running means
# for every parameter: $m$ of its gradient, and $s$ of the square of its gradient. For every parameter
# $\theta$ with the gradient $g$:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) \, g$$
#
# $$s \leftarrow \beta_2 s + (1 - \beta_2) \, g^2$$
#
# Both begin at 0, so after $k$ steps they are too small by a known factor, which is divided out:
#
# $$\hat m = \frac{m}{1 - \beta_1^k}, \quad \hat s = \frac{s}{1 - \beta_2^k}$$

# %% [markdown]
# The step of a parameter is $\hat m / \sqrt{\hat s}$, scaled by the **learning rate** $\eta$. Where the
# gradients of successive steps agree, the quotient is near 1 or -1, so the parameter moves by about $\eta$,
# however small its gradient is; where their signs change, it moves less. **Weight decay** also multiplies the
# matrices, but not biases and tables, by $1 - \eta \lambda$; and $\varepsilon = 10^{-8}$ avoids a division by
# zero:
#
# $$\theta \leftarrow (1 - \eta \lambda) \, \theta - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}$$


# %%
def adamw_step(theta, g, m, s, k, eta, decay, beta1=0.9, beta2=0.95):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g * g
    m_hat, s_hat = m / (1 - beta1**k), s / (1 - beta2**k)
    theta = (1 - eta * decay) * theta - eta * m_hat / (np.sqrt(s_hat) + 1e-8)
    return theta, m, s


# %% [markdown]
# In the first step $\hat m / \sqrt{\hat s}$ is the sign of the gradient, so all parameters move by $\eta$.
# The cell checks that, and compares a later step with the package, which counts steps from 0.

# %%
from minitvlt.training.optimizer import AdamWState, compute_learning_rate, decays, update_adamw

theta, g, m, s = np.random.default_rng(1).normal(size=(4, 5))
first = adamw_step(theta, g, 0, 0, k=1, eta=0.1, decay=0)[0]
print("the first step is ± η:", np.allclose(np.abs(first - theta), 0.1))
recipe = mt.Recipe(steps=600, batch_size=16, learning_rate=3e-3, warmup_steps=50)
theirs = update_adamw(AdamWState(theta, m, s * s), g, step=9, recipe=recipe)
eta = compute_learning_rate(9, recipe)
mine = adamw_step(theta, g, m, s * s, k=10, eta=eta, decay=recipe.weight_decay)
print("as the package's:", np.allclose(mine, [theirs.parameters, theirs.mean, theirs.square]))

# %% [markdown]
# ## The learning rate
#
# The learning rate changes during the training. It rises linearly over some steps of **warm-up**, because $s$
# is a mean of few gradients at first. Then it falls along half a cosine to 0, so that the parameters settle.
# A `Recipe` holds these numbers; the figure shows the learning rate of ours.


# %%
def learning_rate(k, recipe):
    """The learning rate of step k, counted from 1."""
    if k <= recipe.warmup_steps:
        return recipe.learning_rate * k / recipe.warmup_steps
    share = (k - 1 - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (1 + np.cos(np.pi * share)) / 2


# %%
from helpers.diagrams import new_axes, use_style

use_style()
rates = [learning_rate(k, recipe) for k in range(1, recipe.steps + 1)]
theirs = [compute_learning_rate(step, recipe) for step in range(recipe.steps)]
print("as the package's:", np.allclose(rates, theirs))
figure, (axes,) = new_axes(size=(8, 2.8), x="step", y="learning rate")
axes.plot(rates, color="black")
show(figure, "A line that rises in 50 steps to 0.003 and then falls along half a cosine to 0.")

# %% [markdown]
# ## The loop
#
# This is the whole training: draw a batch, compute the loss and its gradient, scale the gradient down if its
# norm is above `clip_norm` (**gradient clipping**, against rare large steps), and update each parameter. The
# random numbers of each step have a seed of their own, so a step always sees the same batch. `train` is a
# Python generator: `yield` returns a line of the log after each step, and then the loop goes on.
#
# `mt.value_and_grad` is that of [06](06_backpropagation.ipynb). With `has_aux=True` the function may return
# more than the loss: only the loss is differentiated, and the rest is passed on.

# %%
compute = mt.value_and_grad(compute_loss, has_aux=True)


# %% [markdown]
# In the last line but one of `train`, `array[...] =` writes the new parameter into the memory of the old
# one, which is also that of `params`, and `*moments[name]` takes the other two results, $m$ and $s$.


# %%
def train(params, recipe, draw):
    theta = mt.flatten(params)  # name: array; they share their memory with params
    moments = {name: (0 * array, 0 * array) for name, array in theta.items()}
    for k in range(1, recipe.steps + 1):
        batch = draw(np.random.default_rng([recipe.seed, k - 1]))
        (loss, numbers), gradients = compute(params, batch)
        g, eta = mt.flatten(gradients), learning_rate(k, recipe)
        norm = np.sqrt(sum(np.sum(each**2) for each in g.values()))
        for name, array in theta.items():
            decay = recipe.weight_decay * decays(name, array)
            step = array, g[name] * min(1, recipe.clip_norm / norm), *moments[name], k, eta, decay
            array[...], *moments[name] = adamw_step(*step)
        yield {"step": k, "loss": loss, **numbers, "gradient_norm": norm, "learning_rate": eta}


# %%
def draw_batch(rng):
    return mt.make_batch(world.sample(rng, recipe.batch_size), config, rng)


# %% [markdown]
# `mt.train` does the same. It also writes the log and the state into a folder, can be interrupted and
# resumed, and uses all cores. Three steps of both have the same losses, up to rounding.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

from minitvlt.training.trainer import METRICS, read_metrics

few, folder = replace(recipe, steps=3, warmup_steps=1), Path(tempfile.mkdtemp())
mine = [line["loss"] for line in train(mt.map_tree(np.copy, params), few, draw_batch)]
mt.train(params, world, few, folder, show_progress=False)
theirs = [line["loss"] for line in read_metrics(folder / METRICS)]
print("as the package's:", np.allclose(mine, theirs, rtol=1e-2))

# %% [markdown]
# ## The training
#
# Now your loop trains a model. The figure below is updated every 100 steps while the cell runs. Its panels
# show the loss, the matching loss, both reconstruction losses, the matching accuracy, the learning rate and
# the norm of the gradient. Thin lines are single steps, thick ones running means, dashed ones chance levels.
# Copies of the parameters are kept for later. So small a model is trained on one core: dividing its matrix
# products between threads would cost more than it gains.

# %% tags=["volatile"]
from minitvlt.backends.fast.threads import on_one_core
from minitvlt.views.figures import plot_curves

log, kept = [], {0: mt.map_tree(np.copy, params)}
handle = display(show(plot_curves([{"step": 0}]), "Empty axes, before the first step."), display_id=True)
with on_one_core():
    for line in train(params, recipe, draw_batch):
        log.append(line)
        if line["step"] in (50, 200, recipe.steps):
            kept[line["step"]] = mt.map_tree(np.copy, params)
        if line["step"] % 100 == 0:
            handle.update(show(plot_curves(log), "Curves of training: the losses fall, the accuracy rises."))

# %% [markdown]
# The next cell prints means over a twentieth of the steps: at the beginning, a little later, at half and at
# the end. The reconstruction losses fall at once: predicting the background and the mean spectrogram is easy.
# Matching stays near chance, a loss of 0.69 and an accuracy of 0.5, for longer.

# %% tags=["volatile"]
names = ("video_loss", "audio_loss", "match_loss", "match_accuracy")
print("steps".ljust(14) + "".join(name.rjust(16) for name in names))
width = recipe.steps // 20
for end in (width, 3 * width, recipe.steps // 2, recipe.steps):
    means = [np.mean([line[name] for line in log[end - width : end]]) for name in names]
    print(f"{end - width + 1:4} to {end:4}  " + "".join(f"{mean:16.2f}" for mean in means))

# %% [markdown]
# ## Reconstructions
#
# Here is one clip of the test set. The first column shows the clip, its three frames one below another and
# its spectrogram at the bottom (time runs to the right, frequency upwards); the second what the model was
# shown, with hidden patches hatched. Then come the predictions of your model after more and more steps. The
# last column is the packaged model, which was trained by the same objectives for 3600 steps of 64 clips, with
# up to two shapes in each.

# %%
from minitvlt.views.figures import draw_frames, draw_spectrogram, tokens_to_pixels
from minitvlt.views.report import reconstruct

rng = np.random.default_rng(12)
shown = mt.make_batch(held_out.sample(rng, 16), config, rng)
clip = mt.map_tree(lambda array: array[:1], shown)
frames_hidden = tokens_to_pixels(clip.video_masking.is_hidden, config.image_patch_size, (3, 24, 24))[0]
audio_hidden = tokens_to_pixels(clip.audio_masking.is_hidden, config.audio_patch_size, (24, 16))[0]
columns = {"the clip": (clip.video, clip.audio), "shown": (clip.video, clip.audio)}


# %%
def draw_column(axes, video, audio, is_seen):
    for t in range(3):
        draw_frames(axes[t], video[0, t : t + 1], is_seen & frames_hidden[t : t + 1])
    draw_spectrogram(axes[3], audio[0, 0], config, is_seen & audio_hidden)


# %% tags=["volatile", "thumbnail"]
models = {f"{step} steps": model for step, model in kept.items()} | {"packaged": mt.load("shapes-small")}
columns |= {name: reconstruct(model, clip) for name, model in models.items()}
figure, axes = new_axes(4, len(columns), (11, 6.2), titles=list(columns))
for number, (title, pair) in enumerate(columns.items()):
    draw_column(axes[number :: len(columns)], *pair, is_seen=title == "shown")
for one in axes:
    one.set(xticks=[], yticks=[], xlabel="", ylabel="")
show(figure, "Seven columns of frames and spectrograms: the clip, what was shown, and five reconstructions.")

# %% [markdown]
# Compare the columns yourself before you read on. The untrained model gives noise. After 50 steps the
# predictions are close to an average of all clips. The spectrogram comes next: first where it is dark and
# where it is bright, then its single bands. Hidden parts of the shape are the last. At the end of our short
# training bands and shape are hardly visible, and even in the last column they are blurred. The errors below
# say the same in numbers.

# %% [markdown]
# ## Matching
#
# Sixteen clips of the test set: the scores of every audio (row) with every video (column), darker for a
# higher score; true pairs are on the diagonal. Vertical and horizontal stripes mean that some videos or
# some audio clips score higher than others, whatever they are paired with. The titles give **recall@1**: for
# how many of the sixteen audio clips the own video has the highest score. By chance it is one.

# %% tags=["volatile"]
from minitvlt.training.metrics import compute_ranks

figure, axes = new_axes(1, len(models), (11, 2.8), x="video")
for one, (name, model) in zip(axes, models.items(), strict=True):
    scores = mt.score_all_pairs(model, shown)
    one.imshow(scores, cmap="Greys")
    found = (compute_ranks(scores) == 1).sum()  # rank 1: the own video has the highest score of its row
    one.set(title=f"{name}: {found}", xticks=[], yticks=[])
axes[0].set_ylabel("audio")
show(figure, "Five squares of 16 by 16 scores, from stripes to a dark diagonal.")

# %% [markdown]
# ## The test set
#
# Sixteen clips are too few to measure on. Here are 128 of the test set, for the untrained model, for yours
# and for the packaged one. The errors of hidden patches are relative to those of predicting the mean of each
# place: 1 is what a model reaches that does not look at the clip. If the training loss were much lower than
# the loss on the test set, the model would **overfit**. The last column shows your model on clips like those
# of the training: since no clip was seen twice, both should be similar.

# %% tags=["volatile"]
results = {name: mt.evaluate(models[name], held_out, clips=128) for name in ("0 steps", "packaged")}
results["yours"] = mt.evaluate(params, held_out, clips=128)
results["yours, training"] = mt.evaluate(params, world, clips=128)
print(" " * 34 + "".join(name.rjust(17) for name in results))
for name, metric in results["yours"].items():
    row = "".join(f"{one[name].value:17.2f}" for one in results.values())
    print(f"{name:<34}{row}   chance {metric.chance:.2f}")

# %%
yours, packaged = results["yours"], results["packaged"]
name = "audio to video, recall@1 of 16"
print("your model finds videos better than chance:", yours[name].value > 2 * yours[name].chance)
print("the packaged one far better:", packaged[name].value > 0.7)
name = "hidden audio, relative error"
print("hidden audio is predicted better than by the mean:", yours[name].value < 0.8)

# %% [markdown]
# The error of hidden video falls last, for the position of a hidden shape follows only from the other frames
# and from the pitch. The command `minitvlt pretrain` trains for 1800 steps of 64 clips by default; the
# packaged model took twice as long ([00](00_quickstart.ipynb)).

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Change the training: use the same 16 clips, with the same masks, in every step. Predict the loss on
# these clips and on new ones after 60 steps, then train a new model, with a function `draw` that always
# returns the same batch.**
#
# <details><summary>Answer</summary>
#
# The loss on the 16 clips falls quickly, the loss on new clips much less: the model overfits. With new clips
# in each batch, it cannot learn single clips by heart.
#
# ```python
# rng = np.random.default_rng(3)
# fixed, new = (mt.make_batch(world.sample(rng, 16), config, rng) for _ in range(2))
# model = mt.init(config, seed=0)
# before = float(compute_loss(model, new)[0])
# for line in train(model, replace(recipe, steps=60, warmup_steps=10), lambda rng: fixed):
#     pass
# print(f"fixed clips {line['loss']:.2f}, new clips {compute_loss(model, new)[0]:.2f}, before {before:.2f}")
# assert line["loss"] < compute_loss(model, new)[0] - 0.15
# ```
#
# </details>

# %% [markdown]
# **2. A new model gives small scores. What would its matching loss be if all of its scores were ±2, without
# any relation to the truth? Predict, then compute it.**
#
# <details><summary>Answer</summary>
#
# Half of the pairs cost $\log(1 + e^{2}) \approx 2.13$, half $\log(1 + e^{-2}) \approx 0.13$: 1.13 on
# average, more than 0.69. Confident wrong predictions are expensive, so a model first learns to give small
# scores.
#
# ```python
# z, y = np.array([2.0, 2.0, -2.0, -2.0]), np.array([True, False, True, False])
# assert np.isclose(binary_cross_entropy(z, y), (np.log(1 + np.exp(2)) + np.log(1 + np.exp(-2))) / 2)
# assert np.isclose(binary_cross_entropy(z, y), 1.127, atol=1e-3)
# ```
#
# </details>

# %% [markdown]
# **3. Write a contrastive loss: for each audio, the softmax over its scores with all videos of the batch
# gives probabilities, and the loss is minus the logarithm of that of its own video. What is its mean by
# chance, and for the packaged model with the clips `shown`?**
#
# <details><summary>Answer</summary>
#
# For 16 clips the chance level is $\log 16 \approx 2.77$. The packaged model was never trained with this
# loss, and is far below it. This loss needs the scores of all $B^2$ pairs, so methods that use it have one
# encoder for each modality, and a score that is a scalar product.
#
# ```python
# def contrastive_loss(scores):
#     log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
#     return -np.mean(np.diag(log_p))
#
# assert np.isclose(contrastive_loss(np.zeros((16, 16))), np.log(16))
# found = contrastive_loss(mt.score_all_pairs(mt.load("shapes-small"), shown))
# print(f"packaged model: {found:.1f}")
# assert found < 1.5
# ```
#
# </details>

# %% [markdown]
# **4. The gradient of a batch of 32 clips, such as `batch`, is to be computed in four parts of 8, to save
# memory. Is the mean of the four gradients of `compute_loss` the gradient of the batch?**
#
# <details><summary>Answer</summary>
#
# Here yes, because all parts have the same number of pairs and of hidden patches. If parts differ, for
# instance because of padding, a mean of means gives too much weight to parts with few patches. The package
# divides sums by the counts of the whole batch (`mt.Recipe(micro_batches=4)`), which is right in all cases.
#
# ```python
# parts = [mt.map_tree(lambda array, i=i: array[i : i + 8], batch) for i in range(0, 32, 8)]
# gradients = [mt.flatten(compute(params, part)[1]) for part in parts]
# whole = mt.flatten(compute(params, batch)[1])
# for name, array in whole.items():
#     assert np.allclose(sum(each[name] for each in gradients) / 4, array, atol=1e-4)
# ```
#
# </details>

# %% [markdown]
# **5. Could a model match audio and video without understanding either, for instance in films?**
#
# <details><summary>Answer</summary>
#
# It may use whatever distinguishes true pairs from false ones. In real films the audio and the video of one
# clip may share a hum of the camera, the same cuts, or the length of the padding. A score on held-out data of
# another origin says more than one on clips of the same films.
#
# </details>

# %% [markdown]
# ## Recap
#
# A step of pre-training: draw clips, mix half of the videos, hide half of the patches; compute the binary
# cross-entropy of matching and the squared error of hidden patches; compute the gradient, clip it, and update
# every parameter by AdamW, with a learning rate that warms up and then falls along a cosine. Some hundred
# steps take a model clearly above chance on held-out combinations; good reconstructions take thousands.

# %% [markdown]
# ## Where to go on
#
# [08](08_using_the_model.ipynb) uses a trained model; all notebooks are in the [overview](README.md). The
# code is in [trainer.py](../minitvlt/training/trainer.py), [optimizer.py](../minitvlt/training/optimizer.py)
# and [pretraining.py](../minitvlt/model/pretraining.py).

# %% [markdown]
# ## References
#
# - Z. Tang, J. Cho, Y. Nie, M. Bansal, *TVLT: Textless Vision-Language Transformer*, 2022,
#   [arXiv 2209.14156](https://arxiv.org/abs/2209.14156): both objectives are in its section 4.
# - K. He et al., *Masked Autoencoders Are Scalable Vision Learners*, 2021,
#   [arXiv 2111.06377](https://arxiv.org/abs/2111.06377).
# - I. Loshchilov, F. Hutter, *Decoupled Weight Decay Regularization*, 2019,
#   [arXiv 1711.05101](https://arxiv.org/abs/1711.05101): AdamW.
# - A. Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021,
#   [arXiv 2103.00020](https://arxiv.org/abs/2103.00020): CLIP, a contrastive loss.
