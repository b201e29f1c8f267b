# %% [markdown]
# # 04 · Attention
#
# A transformer block has two sublayers: attention, by which tokens exchange information, and an MLP, which is
# applied to each token on its own. This notebook computes one block by hand, plots the attention of a trained
# model, and shows how attention is computed without storing its largest array.
#
# **You will be able to** name the shape of every array in a block, compute attention in three lines, read an
# attention map over frames and spectrogram, and explain online softmax and the memory that it saves.
#
# **Time to run:** about ten seconds. **Before this:** tokens, in [02](02_patches.ipynb); matrix products and
# the exponential function.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The input
#
# We take the trained model and four clips. A clip has 12 video tokens and 6 audio tokens; before them stands
# `cls`, a learnt vector whose output summarises the clip. These `N = 19` tokens of width `D = 64` are the
# input of the first block: for `B = 4` clips an array of shape `(B, N, D)`.

# %%
import numpy as np

from helpers.notebook import show, show_source

params = mt.load("shapes-small")
config = params.config
clips = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(4), 4)
out = mt.forward(params, clips.video, clips.audio, return_hidden=True, return_attention=True)
x = out.hidden[0]  # the input of the first block
print("tokens:", x.shape, "  blocks:", len(params.encoder.blocks), "  heads:", config.num_attention_heads)

# %% [markdown]
# ## A block
#
# This is the whole block. `run_attention` and `run_mlp` are the two sublayers. The input of each is
# normalised, and its output is *added* to the tokens: this is the **residual connection**. Because of it a
# block computes a change of the tokens, and gradients also pass through the sum directly.

# %%
from minitvlt.model.transformer import run_attention, run_block, run_mlp

show_source(run_block, run_attention, run_mlp)

# %% [markdown]
# The figure shows the steps of both sublayers with the shape of each result; all blocks are alike. Attention
# has several heads, each with `d` of the `D` features, and with queries, keys and values (q, k, v). The MLP
# has one hidden layer of `width` features, with the non-linearity GELU. The sections below explain each step.

# %%
from helpers.diagrams import draw_flow, new_axes, use_style

use_style()
attention_steps = "x: B N D | norm: B N D | q, k, v: 3 × B heads N d | weights: B heads N N"
attention_steps += " | × v: B heads N d | linear, + x: B N D"
mlp_steps = "x: B N D | norm: B N D | linear: B N width | GELU: B N width | linear: B N D | + x: B N D"
figure, axes = new_axes(2, 1, (11, 3.6), titles=("attention", "MLP"))
for one, steps in zip(axes, (attention_steps, mlp_steps), strict=True):
    draw_flow(one, [tuple(step.split(": ")) for step in steps.split(" | ")])
show(figure, "Two rows of boxes with arrows: the steps of attention and of the MLP, with their shapes.")

# %% [markdown]
# ## LayerNorm
#
# LayerNorm normalises each token to mean 0 and variance 1 over its `D` features, then scales and shifts each
# feature by learnt $\gamma$ and $\beta$. With the mean $\mu$ and the variance $\sigma^2$ of the token $x$,
# and a small $\varepsilon$ that avoids a division by zero:
#
# $$\operatorname{norm}(x) = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$

# %%
from minitvlt.model.transformer import run_norm

block, eps = params.encoder.blocks[0], config.layer_norm_eps
gamma, beta = block.attention_norm.weight, block.attention_norm.bias
mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
by_hand = gamma * (x - mean) / np.sqrt(variance + eps) + beta
normed = run_norm(x, block.attention_norm, eps)
print("equal to the package's result:", np.allclose(by_hand, normed, atol=1e-5))

# %% [markdown]
# ## Queries, keys, values
#
# Each token has a query $q$, which is compared with the keys $k$ of all tokens, and a value $v$, of which the
# output is a weighted mean. One linear map of the normalised token gives all three. They are split into
# heads of $d = D / \text{heads}$ features, and each head computes attention on its own.

# %%
from minitvlt.model.transformer import split_heads

query, key, value = split_heads(normed, block.attention, config.num_attention_heads)
print("query, key and value:", query.shape, "each: clips, heads, tokens, features")

# %% [markdown]
# The score of query $i$ and key $j$ is their scalar product, divided by $\sqrt d$. The softmax over the keys
# turns the scores into weights, which are positive and sum to 1. The output is the mean of the values with
# these weights:
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}$$
#
# $$a_{ij} = \frac{e^{s_{ij}}}{\sum_{l} e^{s_{il}}}$$
#
# $$o_i = \sum_j a_{ij} v_j$$

# %%
d = query.shape[-1]
scores = query @ key.swapaxes(-1, -2) / np.sqrt(d)
weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
answer = weights @ value
print("scores:", scores.shape, "  output:", answer.shape)

# %% [markdown]
# The package's NumPy backend computes the same, with two additions: `softmax` first subtracts the largest
# score of a row, so that the exponential cannot overflow, and `is_real` excludes padding (see below).

# %%
from minitvlt.backends import numpy_backend

show_source(numpy_backend.softmax, numpy_backend.attention_weights, numpy_backend.attention)

# %%
print(
    "equal to the package's output:",
    np.allclose(answer, numpy_backend.attention(query, key, value), atol=1e-5),
)
print("equal to the weights that forward returned:", np.allclose(weights, out.attention[0], atol=1e-5))

# %% [markdown]
# These functions are the reference. By default the package runs faster versions that give the same results;
# [10](10_faster.ipynb) is about them, and `mt.use_kernels("plain")` selects the reference.

# %% [markdown]
# Why $\sqrt d$? If the features of $q$ and $k$ are independent with mean 0 and variance 1, their scalar
# product has variance $d$. Without the division, the scores grow with $d$, the largest weight approaches 1,
# and the gradient with respect to the scores approaches 0. The cell below draws random queries and keys, and
# prints the mean of the largest of 100 weights, with and without the division.

# %%
rng = np.random.default_rng(0)
for size in (4, 16, 64, 256):
    s = rng.normal(size=(200, size)) @ rng.normal(size=(100, size)).T  # 200 queries, 100 keys
    without, divided = (numpy_backend.softmax(t).max(axis=1).mean() for t in (s, s / np.sqrt(size)))
    print(f"d = {size:3}: without {without:.2f}, with {divided:.2f}")

# %% [markdown]
# ## The rest of the block
#
# The outputs of the heads are concatenated, a linear map is applied, and the result is added to `x`. The MLP
# is a linear map to `width` features, GELU, and a linear map back to `D`. With $\Phi(x)$, the probability
# that a standard normal variable is less than $x$:
#
# $$\operatorname{GELU}(x) = x \, \Phi(x)$$
#
# For large $x$ this is nearly $x$, for very negative $x$ nearly 0, and the transition is smooth. The next
# cell checks the whole block. The left panel shows GELU, the right one how far attention and the MLP change
# each token.

# %%
after_attention = x + run_attention(normed, block.attention, config.num_attention_heads)
after = after_attention + run_mlp(run_norm(after_attention, block.mlp_norm, eps), block.mlp)
print("equal to the output of the first block:", np.allclose(after, out.hidden[1], atol=1e-4))

# %%
line = np.linspace(-4, 4, 161)
figure, (left, right) = new_axes(1, 2, (11, 3), titles=("GELU", "change of the tokens of one clip"))
left.plot(line, numpy_backend.gelu(line), color="black")
left.set(xlabel="x", ylabel="GELU(x)")
right.plot(np.linalg.norm(after_attention - x, axis=-1)[0], "o-", color="black", label="attention")
right.plot(np.linalg.norm(after - after_attention, axis=-1)[0], "s--", color="gray", label="MLP")
right.set(xlabel="token", ylabel="length of the change", ylim=(0, 34), xticks=range(0, 19, 3))
right.legend(ncols=2, loc="upper center")
show(
    figure, "Left: GELU, nearly zero for negative x, nearly x for positive. Right: two curves over 19 tokens."
)

# %% [markdown]
# ## Attention maps
#
# Row $i$ of the weights says how much each token contributes to the output of token $i$. Here are the four
# heads of the last block for the first clip: rows are queries, columns are keys, large weights are bright.

# %%
from helpers.diagrams import draw_heat, mark_senses

maps = out.attention[-1][0]  # (heads, N, N)
figure, axes = new_axes(1, 4, (11, 3), titles=[f"head {head + 1}" for head in range(4)])
for number, one in enumerate(axes):
    draw_heat(one, maps[number], has_scale=number == 3, vmin=0, vmax=0.6)
    mark_senses(one, (1, 12, 6), ("", "video", "audio"))
show(figure, "Four square maps of 19 by 19 weights, each with its own pattern of bright columns.")

# %% [markdown]
# A map is easier to read over the clip itself. The matching head decides by `cls` whether audio and video
# belong together. The figure shows the weights of `cls`, averaged over the heads: patches with large weights
# are bright. Here these are the lower half of every frame, where the two triangles are, and the lower
# frequencies.

# %% tags=["thumbnail"]
from helpers.diagrams import plot_weights

mean_map = maps.mean(axis=0)  # (N, N)
video, audio = clips.video[0], clips.audio[0, 0]
figure = plot_weights(config, video, audio, mean_map[0, 1:13], mean_map[0, 13:])
show(figure, "Three frames and a spectrogram; the patches to which cls attends are bright.")

# %% [markdown]
# The same for an audio token: the last time step, lower half of the frequencies. It is token 17: `cls` is
# token 0, the video tokens are 1 to 12, and among the audio tokens it is number 4.

# %%
figure = plot_weights(config, video, audio, mean_map[17, 1:13], mean_map[17, 13:])
show(figure, "The same clip; the patches to which a patch of the last time step attends are bright.")

# %% [markdown]
# Such a map shows how one block mixes its inputs. It is not an explanation of the model's output: the values
# also matter, and so do all other heads and blocks.

# %% [markdown]
# ## Padding
#
# Padding must not influence the output. Its scores are replaced by a very negative number and its weights set
# to 0, and the weights of the real tokens sum to 1. Here the last three tokens of the second clip are marked
# as padding.

# %%
is_real = np.ones((4, 19), bool)
is_real[1, -3:] = False
masked = numpy_backend.attention_weights(query, key, is_real)
print(
    "weight of padding:",
    masked[1, :, :, -3:].sum(),
    "  sums of rows:",
    np.unique(masked.sum(axis=-1).round(5)),
)

# %% [markdown]
# ## Attention in blocks
#
# The weights are $B \cdot \text{heads} \cdot N^2$ numbers. For 19 tokens this is negligible, but the
# published model has 2593:

# %%
for N in (19, 649, 2593):
    print(f"N = {N:4}: 12 heads need {12 * N * N * 4 / 2**20:6.1f} MiB in each block, for one clip")

# %% [markdown]
# Each row of the output is a sum over keys, divided by another sum over keys, and a sum can be computed block
# by block. One difficulty remains: $e^{100}$ overflows in float32. So the largest score $m$ of a row is
# subtracted first, which scales numerator and denominator by the same factor:
#
# $$o_i = \frac{\sum_j e^{s_{ij} - m} v_j}{\sum_j e^{s_{ij} - m}}$$
#
# But the largest score is known only after the last block. **Online softmax** (Milakov and Gimelshein, 2018)
# subtracts the largest score so far. When a new block of keys has a larger one, $m'$, the sums so far are
# multiplied by $e^{m - m'}$, which gives what subtracting $m'$ from the beginning would have given. With
# $\ell$ for the denominator and $u$ for the numerator:
#
# $$\ell \leftarrow e^{m - m'} \ell + \sum_{j \in \text{block}} e^{s_{ij} - m'}$$
#
# $$u \leftarrow e^{m - m'} u + \sum_{j \in \text{block}} e^{s_{ij} - m'} v_j$$


# %%
def attend_in_blocks(query, key, value, size):
    m = np.full((*query.shape[:-1], 1), -np.inf)  # the largest score so far, for every query
    ell, u = 0.0, 0.0
    for start in range(0, key.shape[-2], size):
        k, v = key[..., start : start + size, :], value[..., start : start + size, :]
        s = query @ k.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
        larger = np.maximum(m, s.max(axis=-1, keepdims=True))
        shrink, e = np.exp(m - larger), np.exp(s - larger)
        ell = shrink * ell + e.sum(axis=-1, keepdims=True)
        u = shrink * u + e @ v
        m = larger
    return u / ell


# %%
expected = numpy_backend.attention(query, key, value)
for size in (1, 5, 19):
    in_blocks = attend_in_blocks(query, key, value, size)
    print(f"blocks of {size:2} keys give the same output:", np.allclose(in_blocks, expected, atol=1e-5))

# %% [markdown]
# At most `N × size` scores exist at a time. FlashAttention (Dao et al., 2022) does this on graphics cards,
# with blocks that fit into the fast memory of the chip. PyTorch's attention, which the torch backend calls,
# uses it where it can.
#
# The curves show the memory for the scores of one clip with 12 heads: all scores at once (dashed), and blocks
# of 128 keys (solid). The first grows with the square of the number of tokens, the second in proportion to
# it. The dotted line marks the 2593 tokens of the published model. Both axes are logarithmic.

# %%
counts = np.array([2 ** (n / 2) for n in range(10, 29)])  # from 32 to 16,384 tokens
figure, (axes,) = new_axes(size=(8, 3.4), x="tokens", y="memory for scores (MiB)")
axes.loglog(counts, 12 * counts * counts * 4 / 2**20, "--", color="gray", label="all at once")
axes.loglog(counts, 12 * counts * np.minimum(counts, 128) * 4 / 2**20, color="black", label="in blocks")
axes.axvline(2593, color="black", linestyle=":", linewidth=1.5)
axes.legend()
show(figure, "Two curves over the number of tokens: they part at 128 tokens, and one rises half as steeply.")

# %% [markdown]
# ## Try it
#
# **1. What does attention return if all queries are 0?**
#
# <details><summary>Answer</summary>
#
# All scores are 0, all weights $1 / N$, and the output of every token is the mean of all values.
# `numpy_backend.attention_weights(0 * query, key, None)` shows it. Attention starts near this when its
# parameters are small.
#
# </details>

# %% [markdown]
# **2. What if all keys are padding?**
#
# <details><summary>Answer</summary>
#
# By the formula the weights would be $0 / 0$. The package defines them as 0, on every backend, and the
# gradient too. `numpy_backend.attention_weights(query, key, np.zeros((4, 19), bool)).sum()` is 0.
#
# </details>

# %% [markdown]
# **3. Does the order of the 12 video tokens matter?**
#
# <details><summary>Answer</summary>
#
# Not to the block. Permute the tokens of `x`, run a block, and undo the permutation: the result is the same,
# up to rounding. The order is known only from the position embeddings in `x`.
#
# </details>

# %% [markdown]
# **4. How many parameters has a block?**
#
# <details><summary>Answer</summary>
#
# With $D = 64$ and a width of 128: queries, keys and values $3 D^2 + 3 D$, the output projection $D^2 + D$,
# the MLP $2 \cdot 128 \, D + 128 + D$, and two LayerNorms of $2 D$: together 33,472.
# `sum(a.size for a in mt.flatten(block).values())` counts them.
#
# </details>

# %% [markdown]
# **5. In `attend_in_blocks`, what happens at the first block, where $m = -\infty$?**
#
# <details><summary>Answer</summary>
#
# $e^{-\infty - m'} = 0$, times sums that are still 0. So the first block initialises the sums. (If all keys
# of the first block were padding with the score $-\infty$, $m'$ would be $-\infty$ too, and
# $\infty - \infty$ is not a number. The package uses $-10^{30}$ instead.)
#
# </details>

# %% [markdown]
# ## Recap
#
# A block computes x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)). Attention is a weighted mean of
# the values of all tokens; the weights are the softmax of query times key over $\sqrt d$. The weights can be
# plotted as maps over frames and spectrogram. Computed block by block, with the largest score so far
# subtracted, attention never stores all weights at once.

# %% [markdown]
# ## Where to go on
#
# Next, [05_tvlt](05_tvlt.ipynb) builds the whole model from blocks and counts its parameters and operations.
# The code is in [transformer.py](../minitvlt/model/transformer.py); the reference of attention is in
# [numpy_backend.py](../minitvlt/backends/numpy_backend.py).
