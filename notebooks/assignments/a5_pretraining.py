# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Assignment 5 · Pre-training
#
# You write what a training consists of: the two losses of TVLT, the schedule of the learning rate, clipping,
# AdamW, and the loop that puts them together. Then your loop trains a model on clips of moving shapes with
# sound, for about one minute. At the end you see its learning curve, and hidden parts of clips that your own
# model filled in.
#
# - **You write** six functions of 1 to 15 lines, in plain NumPy, and train a model.
# - **Time:** about three hours. **Points:** 76.
# - **Before this:** notebook [07 · Pre-training](../07_pretraining.ipynb).
# - **How to work:** write a function where it says `raise NotImplementedError`, run its cell, then run the
#   check below it. A check says what is wrong and why. You may run it as often as you like. The checks of
#   the grader are the same, with other numbers.
# - **What is graded:** your functions, and the two files that the training writes beside this notebook.
#   Submit them together with it: `a5_losses.json` and `a5_model.safetensors`.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "solution": false, "schema_version": 3}
import json
import math
from pathlib import Path

import checks
import numpy as np

import minitvlt as mt
from minitvlt.training.optimizer import AdamWState, decays

# %% [markdown]
# ## 1 · The loss of hidden patches
#
# The decoder predicts the values of all patches. Only those of **hidden** patches count: the visible ones
# could simply be copied. The error of patch $n$ with $V$ values is the mean of the squared differences
# between the prediction $\hat u_n$ and the true patch $u_n$; these errors are summed over the set $H$ of
# hidden patches of all clips:
#
# $$\sum_{n \in H} \frac{1}{V} \sum_i (\hat u_{ni} - u_{ni})^2$$
#
# The function returns the sum and not the mean, because a batch may be computed in parts: whoever calls it
# divides by the number of hidden patches of the whole batch.
#
# **Example.** A clip has three patches of two values. The first is hidden: prediction (1, 3), truth (2, 1),
# so its error is (1 + 4) / 2 = 2.5. The second is visible and does not count. The third is hidden, with the
# error 0.5. The result is 3.0.


# %% nbgrader={"grade": false, "grade_id": "sum_squared_error", "locked": false, "solution": true, "schema_version": 3}
def sum_squared_error(prediction, target, is_hidden):
    """Sum over hidden patches of the mean squared error of their raw values (no per-patch normalisation).

    Args:
        prediction: (B, N, values), the predicted values of every patch.
        target: (B, N, values), the true ones.
        is_hidden: (B, N), True where a patch counts.

    Returns:
        One number, in the precision of the arguments; 0 where nothing is hidden.
    """
    # error of each patch: mean over its values -> (B, N)
    # 0 where a patch is visible -> (B, N)
    # sum over patches and clips -> one number
    ### BEGIN SOLUTION
    errors = np.square(prediction - target).mean(axis=-1)  # (B, N)
    return errors[is_hidden].sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_sum_squared_error", "locked": true, "points": 8, "solution": false, "schema_version": 3}
checks.check(sum_squared_error)

# %% [markdown]
# ## 2 · The loss of matching
#
# For each pair of a video and an audio the model gives a **logit** $z$. It stands for the probability
# $\sigma(z) = 1 / (1 + e^{-z})$ that the two belong together. With $y = 1$ if they do, else $y = 0$, the
# loss of the pair is the **binary cross-entropy**
#
# $$-y \log \sigma(z) - (1 - y) \log (1 - \sigma(z))$$
#
# Written so, it fails for large logits: $\sigma(40)$ is rounded to 1, and the logarithm of $1 - 1$ is
# $-\infty$. The same loss without this problem is
#
# $$\max(z, 0) - z y + \log(1 + e^{-|z|})$$
#
# in which the exponential is never above 1.
#
# **Example.** For $z = 2$ the probability is 0.881. If the pair matches, the loss is $-\log 0.881 = 0.127$;
# if it does not, $-\log 0.119 = 2.127$. In the second form: $2 - 2 + 0.127$ and $2 - 0 + 0.127$.


# %% nbgrader={"grade": false, "grade_id": "binary_cross_entropy", "locked": false, "solution": true, "schema_version": 3}
def binary_cross_entropy(logits, truth):
    """-y log σ(z) - (1 - y) log(1 - σ(z)), as max(z, 0) - z·y + log(1 + exp(-|z|)), which never overflows.

    Args:
        logits: z, of any shape.
        truth: y, of the same shape: True or 1 where the pair matches, False or 0 where it does not.

    Returns:
        The loss of each pair, in the shape and the precision of the logits.
    """
    ### BEGIN SOLUTION
    y = truth.astype(logits.dtype)
    return np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - y * logits
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_binary_cross_entropy", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(binary_cross_entropy)

# %% [markdown]
# ## 3 · The learning rate
#
# A `recipe` holds the numbers of a training, among them `recipe.steps`, `recipe.warmup_steps` and
# `recipe.learning_rate`, the highest rate $\eta$. Steps are counted from 0. In the first $w$ =
# `warmup_steps` steps the rate rises linearly; step $w - 1$ has the full rate:
#
# $$\eta \, \frac{k + 1}{w} \quad \text{for } k < w$$
#
# Then it falls along half a cosine, which would reach 0 one step after the last one:
#
# $$\eta \, \frac{1 + \cos(\pi \, \text{progress})}{2}, \quad
# \text{progress} = \frac{k - w}{\text{steps} - w}$$
#
# **Example.** With $\eta = 0.1$, 12 steps and a warm-up of 4, steps 0 to 3 have the rates 0.025, 0.05,
# 0.075 and 0.1. Step 4 has progress 0 and the rate 0.1, step 8 progress ½ and the rate 0.05, step 11
# progress 7/8 and the rate 0.0038.


# %% nbgrader={"grade": false, "grade_id": "compute_learning_rate", "locked": false, "solution": true, "schema_version": 3}
def compute_learning_rate(step, recipe):
    """Rise linearly during the warm-up, then fall along half a cosine to 0 after the last step.

    Args:
        step: counted from 0.
        recipe: with `steps`, `warmup_steps` (may be 0) and `learning_rate`.

    Returns:
        A number.
    """
    ### BEGIN SOLUTION
    warmup = recipe.warmup_steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (recipe.steps - warmup)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_compute_learning_rate", "locked": true, "points": 9, "solution": false, "schema_version": 3}
checks.check(compute_learning_rate)

# %% [markdown]
# ## 4 · AdamW
#
# For every parameter $\theta$, **AdamW** keeps two running means: $m$ of its gradient $g$, and $s$ of the
# square of its gradient. A step first updates both:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) \, g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2) \, g^2$$
#
# Both begin at 0, so they are too small at first. In the step number $k$, counted from 1, the factor is known
# and divided out; the state keeps $m$ and $s$ as they are:
#
# $$\hat m = \frac{m}{1 - \beta_1^k}, \qquad \hat s = \frac{s}{1 - \beta_2^k}$$
#
# The parameter moves against $\hat m / \sqrt{\hat s}$, by the learning rate $\eta$ of this step. **Weight
# decay** also makes it a little smaller, in proportion to the old parameter:
#
# $$\theta \leftarrow (1 - \eta \lambda) \, \theta - \eta \, \frac{\hat m}{\sqrt{\hat s} + 10^{-8}}$$
#
# The recipe has `beta1`, `beta2` and `weight_decay` ($\lambda$). The argument `step` is counted from 0, so
# $k$ = `step + 1`. Where `decays` is False, there is no weight decay.
#
# **Example.** One parameter, $\theta = 1$, in the first step: $g = 0.5$, $\beta_1 = 0.9$, $\beta_2 = 0.95$,
# $\eta = 0.1$, $\lambda = 0.2$. Then $m = 0.05$ and $s = 0.0125$; corrected, $\hat m = 0.5$ and $\hat s =
# 0.25$. The quotient is 0.5 / 0.5 = 1, so $\theta$ becomes 0.98 · 1 - 0.1 = 0.88; without weight decay it
# would be 0.9.


# %% nbgrader={"grade": false, "grade_id": "update_adamw", "locked": false, "solution": true, "schema_version": 3}
def update_adamw(state, gradient, step, recipe, decays=True):
    """Compute one step of AdamW for one array (Kingma and Ba 2015; Loshchilov and Hutter 2019).

    Args:
        state: the array `state.parameters`, and its moments `state.mean` and `state.square` of the same shape.
        gradient: of the loss, already clipped, of the same shape.
        step: counted from 0.
        recipe: `beta1`, `beta2`, `weight_decay`, and what `compute_learning_rate(step, recipe)` needs.
        decays: whether weight decay applies.

    Returns:
        AdamWState(parameters, mean, square) with new arrays; those of the argument stay as they are.
    """
    # rate of this step: one number
    # mean, square: new running means, same shape as gradient
    # corrected mean and square, for this step alone: same shape
    # parameters: decayed, then moved: same shape
    ### BEGIN SOLUTION
    rate, k = compute_learning_rate(step, recipe), step + 1
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * np.square(gradient)
    corrected_mean, corrected_square = mean / (1 - recipe.beta1**k), square / (1 - recipe.beta2**k)
    parameters = state.parameters - rate * corrected_mean / (np.sqrt(corrected_square) + 1e-8)
    if decays:
        parameters = parameters - rate * recipe.weight_decay * state.parameters
    return AdamWState(parameters, mean, square)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_update_adamw", "locked": true, "points": 13, "solution": false, "schema_version": 3}
checks.check(update_adamw)

# %% [markdown]
# ## 5 · Clipping
#
# A rare large gradient could undo many steps. So all gradients are multiplied by one number that keeps
# their norm at `clip_norm` or below. The norm is that of all numbers of all arrays together, as if they
# stood in one long vector:
#
# $$\text{norm} = \sqrt{\sum_{\text{arrays}} \sum_i g_i^2}, \qquad
# \text{scale} = \min \Bigl( 1, \frac{\text{clip\_norm}}{\text{norm}} \Bigr)$$
#
# Where all gradients are 0, the scale is 1. (Adding a very small number such as $10^{-12}$ to the norm
# avoids the division by 0.)
#
# **Example.** The arrays (3, 0) and (4) have the norm 5. With `clip_norm` 1 the scale is 0.2, with
# `clip_norm` 10 it is 1.


# %% nbgrader={"grade": false, "grade_id": "compute_clip_scale", "locked": false, "solution": true, "schema_version": 3}
def compute_clip_scale(gradients, clip_norm):
    """Compute the number that all gradients are multiplied by, so that their norm is at most `clip_norm`.

    Args:
        gradients: a dictionary of arrays of any shapes, by the names of the parameters.
        clip_norm: the largest norm that is allowed.

    Returns:
        One number, at most 1.
    """
    # sum of all squares, over all arrays -> one number
    # its root, and the quotient -> one number, at most 1
    ### BEGIN SOLUTION
    total = 0.0
    for array in gradients.values():
        total += float(np.vdot(array, array))
    return min(1.0, clip_norm / (math.sqrt(total) + 1e-12))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_compute_clip_scale", "locked": true, "points": 7, "solution": false, "schema_version": 3}
checks.check(compute_clip_scale)

# %% [markdown]
# ## 6 · The training loop
#
# In every step: draw a batch, compute its loss and the gradients, clip, update every array. These functions
# of the package help:
#
# | call | what it gives |
# |---|---|
# | `mt.map_tree(np.copy, params)` | a copy of the parameters |
# | `mt.flatten(params)` | a dictionary, name: array; the arrays **share their memory** with `params`, so `array[...] = new` changes `params` |
# | `np.random.default_rng([recipe.seed, step])` | the generator of a step |
# | `world.sample(rng, recipe.batch_size)` | new clips |
# | `mt.make_batch(clips, params.config, rng)` | a batch: what is hidden of them, and which videos are swapped |
# | `mt.pretraining_loss(params, batch).loss` | the weighted sum of both losses |
# | `mt.value_and_grad(function)` | a function that returns `(value, gradients)` of `function(params, batch)` |
# | `decays(name, array)` | whether this array gets weight decay |
#
# In a step, **one** generator is used twice: first by `world.sample`, then by `mt.make_batch`.
# `mt.pretraining_loss` contains the losses of sections 1 and 2; it uses the package's own functions,
# because `mt.value_and_grad` has to record every operation.
#
# The moments of each array begin at 0: `AdamWState(array, 0 * array, 0 * array)`. Keep one state for each
# name, and replace it in every step by what `update_adamw` returns.
#
# **Example.** `mt.value_and_grad(lambda params, batch: mt.pretraining_loss(params, batch).loss)(params,
# batch)` returns for a new model a loss of about 6, and gradients that `mt.flatten` turns into a dictionary
# with the same names as the parameters.


# %% nbgrader={"grade": false, "grade_id": "train", "locked": false, "solution": true, "schema_version": 3}
def train(params, world, recipe):
    """Train a copy of a model.

    Args:
        params: the initial parameters, which stay as they are.
        world: `world.sample(rng, count)` draws clips.
        recipe: `steps`, `batch_size`, `clip_norm`, `seed`, and what `update_adamw` needs.

    Returns:
        The trained parameters, and a list with the loss of every step, before its update, as Python numbers.
    """
    # before the loop: the function that computes loss and gradients; a copy of params; states by name
    # in each step: generator, clips, batch -> loss, gradients by name -> scale
    #     for each name: gradient * scale -> new state; write its parameters into the array
    ### BEGIN SOLUTION
    compute = mt.value_and_grad(lambda params, batch: mt.pretraining_loss(params, batch).loss)
    params, losses = mt.map_tree(np.copy, params), []
    states = {name: AdamWState(array, 0 * array, 0 * array) for name, array in mt.flatten(params).items()}
    for step in range(recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        clips = world.sample(rng, recipe.batch_size)
        loss, gradients = compute(params, mt.make_batch(clips, params.config, rng))
        gradients = mt.flatten(gradients)
        scale = compute_clip_scale(gradients, recipe.clip_norm)
        for name, array in mt.flatten(params).items():
            gradient = gradients[name] * scale
            states[name] = update_adamw(states[name], gradient, step, recipe, decays(name, array))
            array[...] = states[name].parameters
        losses.append(float(loss))
    return params, losses
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_train", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(train)

# %% [markdown]
# ## 7 · The training
#
# Now your functions train a model: four layers would take longer, so it has two in the encoder and one in
# the decoder, 175,153 parameters. Choose a seed of your own: it decides the initial parameters and all
# clips, so your run is not the same as anybody else's.

# %% nbgrader={"grade": false, "grade_id": "seed", "locked": false, "solution": false, "schema_version": 3}
SEED = 0  # your own number, 0 or more

# %% [markdown]
# The next cell trains for 800 steps of 16 clips, which takes about one minute on two cores, and writes the
# two files that are graded. A line is printed every 100 steps. Run it again whenever you want to train
# again.

# %% tags=["picture", "training"] nbgrader={"grade": false, "grade_id": "training", "locked": true, "solution": false, "schema_version": 3}
import itertools
from dataclasses import replace

from minitvlt.backends.fast.threads import on_one_core

CONFIG = mt.Config.tiny(num_hidden_layers=2, decoder_num_hidden_layers=1)
RECIPE = mt.Recipe(steps=800, batch_size=16, learning_rate=0.003, warmup_steps=80)


class PrintingWorld(mt.ShapesWorld):
    """The same clips; prints how many batches were drawn."""

    drawn = itertools.count(1)

    def sample(self, rng, count):
        """Draw clips."""
        if (number := next(self.drawn)) % 100 == 0:
            print(f"{number} of {RECIPE.steps} steps")
        return super().sample(rng, count)


if checks.are_written(compute_learning_rate, update_adamw, compute_clip_scale, train):
    with on_one_core():  # so small a model gains nothing by more
        recipe = replace(RECIPE, seed=SEED)
        trained, losses = train(mt.init(CONFIG, seed=SEED), PrintingWorld(CONFIG, max_count=1), recipe)
    mt.save(trained, "a5_model.safetensors")
    Path("a5_losses.json").write_text(json.dumps({"seed": SEED, "losses": losses}))


# %% [markdown]
# The grader reads both files. It computes the first and the last loss again, which follow from the seed and
# the stored model, and measures the model on 256 clips with combinations of shape, colour and motion that
# no training sees. A trained model reaches:
#
# | on held-out clips | needed | a good run |
# |---|---|---|
# | squared error of hidden audio, relative to the variance of each position | below 0.60 | 0.48 |
# | the same of hidden video | below 0.93 | 0.77 |
# | accuracy of matching (chance is 0.5) | above 0.70 | 0.86 |


# %% nbgrader={"grade": false, "grade_id": "stored_run", "locked": true, "solution": false, "schema_version": 3}
def stored_run(folder="."):
    """Return the folder of the run that is graded: the files are read from there."""
    return folder


# %% nbgrader={"grade": true, "grade_id": "check_stored_run", "locked": true, "points": 15, "solution": false, "schema_version": 3}
checks.check(stored_run)

# %% [markdown]
# ## Your code at work
#
# The learning curve of your run. It falls steeply at first: to predict the background and the average sound
# is easy. The thin line shows single steps, the thick one a running mean.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_curve", "locked": true, "solution": false, "schema_version": 3}
from minitvlt.views.figures import plot_curves, plot_reconstruction
from minitvlt.views.report import reconstruct

if Path("a5_losses.json").exists():
    losses = json.loads(Path("a5_losses.json").read_text())["losses"]
    display(plot_curves([{"step": step + 1, "loss": loss} for step, loss in enumerate(losses)]))
else:
    print("Train first: the picture needs the losses of a run.")

# %% [markdown]
# Held-out clips, and what your model makes of them: the original, what the encoder is given (hidden patches
# are hatched), and the reconstruction.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_reconstruction", "locked": true, "solution": false, "schema_version": 3}
if Path("a5_model.safetensors").exists():
    trained = mt.load("a5_model.safetensors")
    held_out = mt.ShapesWorld(trained.config, split="held_out", max_count=1)
    rng = np.random.default_rng([7, 0, 1])
    batch = mt.make_batch(held_out.sample(rng, 3), trained.config, rng)
    display(plot_reconstruction(trained.config, batch, *reconstruct(trained, batch)))
    for name, metric in mt.evaluate(trained, held_out, clips=256).items():
        print(f"{name:<34}{metric.value:6.2f}   chance {metric.chance:.2f}")
else:
    print("Train first: the picture needs the model of a run.")

# %% [markdown]
# The spectrogram is reconstructed well, the hidden parts of the shape are blurred: a short training of a
# small model. What `minitvlt pretrain` does in longer time is shown in notebook
# [07](../07_pretraining.ipynb).
