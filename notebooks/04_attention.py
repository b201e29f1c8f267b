# %% [markdown]
# # 04 · Attention
#
# The transformer has two moves: every token gathers from all others, and every token thinks for itself. This
# notebook opens one block, computes it by hand, looks at where a trained model looks, and shows how the
# largest array of all need never exist.
#
# **You will be able to** name the shape of everything in a block, compute attention in three lines, read an
# attention map over frames and sound, and explain online softmax and the memory that it saves.
#
# **Time to run:** about ten seconds. **Before this:** tokens, in [02](02_patches.ipynb); matrix products and
# the exponential function.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A sequence
#
# We take the trained model and four clips. A clip is 12 tokens of video and 6 of sound; before them stands
# `cls`, a learnt vector that is to gather a summary. These `N = 19` tokens of width `D = 64` are what goes
# in; for `B = 4` clips it is an array of the shape `(B, N, D)`.

# %%
import numpy as np

from helpers.notebook import show, show_source

params = mt.load("shapes-small")
config = params.config
clips = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(4), 4)
out = mt.forward(params, clips.video, clips.audio, return_hidden=True, return_attention=True)
x = out.hidden[0]  # what goes into the first block
print("tokens:", x.shape, "  blocks:", len(params.encoder.blocks), "  heads:", config.num_attention_heads)

# %% [markdown]
# ## A block
#
# This is all that a block does. `run_attention` is the gathering, `run_mlp` the thinking. Each result is
# *added* to what was there, so a block can only change its mind a little, and gradients find a straight way
# back. Each is preceded by a norm.

# %%
from minitvlt.model.transformer import run_attention, run_block, run_mlp

show_source(run_block, run_attention, run_mlp)

# %% [markdown]
# The picture shows both moves with the shapes that come out of each step; the whole is repeated for every
# block. Attention works in several heads, each with `d` of the `D` numbers, and with queries, keys and values
# (q, k, v); the MLP widens each token from `D` numbers to `width` and bends them with a function called GELU.
# All of it is explained below.

# %%
from helpers.diagrams import draw_flow, new_axes, use_style

use_style()
gather = "x: B N D | norm: B N D | q, k, v: 3 × B heads N d | weights: B heads N N"
gather += " | × v: B heads N d | map, + x: B N D"
think = "x: B N D | norm: B N D | widen: B N width | GELU: B N width | narrow: B N D | + x: B N D"
figure, axes = new_axes(2, 1, (11, 3.6), titles=("every token gathers", "every token thinks"))
for one, steps in zip(axes, (gather, think), strict=True):
    draw_flow(one, [tuple(step.split(": ")) for step in steps.split(" | ")])
show(figure, "Two rows of boxes with arrows: the steps of attention and of the MLP, with their shapes.")

# %% [markdown]
# ## The norm
#
# A norm brings each token to mean 0 and variance 1 over its `D` numbers, then scales and shifts each number
# by learnt $\gamma$ and $\beta$. With the mean $\mu$ and the variance $\sigma^2$ of the token $x$, and a
# small $\varepsilon$ that keeps it from dividing by zero:
#
# $$\operatorname{norm}(x) = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$

# %%
from minitvlt.model.transformer import run_norm

block, eps = params.encoder.blocks[0], config.layer_norm_eps
gamma, beta = block.attention_norm.weight, block.attention_norm.bias
mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
by_hand = gamma * (x - mean) / np.sqrt(variance + eps) + beta
normed = run_norm(x, block.attention_norm, eps)
print("as the package says:", np.allclose(by_hand, normed, atol=1e-5))

# %% [markdown]
# ## Queries, keys, values
#
# A token that gathers asks a question, its query $q$. Every token offers a key $k$, by which it is found, and
# a value $v$, what it has to give. All three come from the normed token by one linear map. They are cut into
# heads: each head asks its own question, in $d = D / \text{heads}$ numbers.

# %%
from minitvlt.model.transformer import attention_weights, split_heads

query, key, value = split_heads(normed, block.attention, config.num_attention_heads)
print("query, key and value:", query.shape, "each: clips, heads, tokens, numbers")

# %% [markdown]
# How well query $i$ fits key $j$ is their scalar product, divided by $\sqrt d$. The softmax of these scores
# makes weights of them that are positive and add up to 1, and the answer is the mean of the values, so
# weighted:
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
print("scores:", scores.shape, "  answer:", answer.shape)
print("weights as the package says:", np.allclose(weights, attention_weights(query, key), atol=1e-5))
print("and as forward returned them:", np.allclose(weights, out.attention[0], atol=1e-5))

# %% [markdown]
# Why $\sqrt d$? If the numbers in $q$ and $k$ are independent with variance 1, their product has the variance
# $d$. Without the division, scores grow with the width, the largest wins nearly all of the weight, and
# nothing can be learnt from the others. Below are random queries and keys: the share of the largest of 100
# weights, on average, with and without the division.

# %%
from minitvlt.backends.numpy_backend import gelu, softmax

rng = np.random.default_rng(0)
for size in (4, 16, 64, 256):
    s = rng.normal(size=(200, size)) @ rng.normal(size=(100, size)).T  # 200 queries, 100 keys
    without, divided = (softmax(t).max(axis=1).mean() for t in (s, s / np.sqrt(size)))
    print(f"d = {size:3}: without {without:.2f}, with {divided:.2f}")

# %% [markdown]
# ## The rest of the block
#
# The heads' answers are joined again, mapped once more and added to `x`. The MLP widens each token, bends it
# with GELU, and narrows it. With $\Phi$, the share of a normal distribution that lies below $x$:
#
# $$\operatorname{GELU}(x) = x \, \Phi(x)$$
#
# So a large number passes, a very negative one is stopped, and in between the passage is smooth. The left
# panel shows it, the right one checks the whole block: the change that each token went through, by attention
# and by the MLP.

# %%
after_attention = x + run_attention(normed, block.attention, config.num_attention_heads)
after = after_attention + run_mlp(run_norm(after_attention, block.mlp_norm, eps), block.mlp)
print("a block is both moves:", np.allclose(after, out.hidden[1], atol=1e-4))

# %%
line = np.linspace(-4, 4, 161, dtype=np.float32)
figure, (left, right) = new_axes(1, 2, (11, 3), titles=("GELU", "how far the tokens of one clip move"))
left.plot(line, gelu(line), color="black")
left.set(xlabel="x", ylabel="GELU(x)")
right.plot(np.linalg.norm(after_attention - x, axis=-1)[0], "o-", color="black", label="attention")
right.plot(np.linalg.norm(after - after_attention, axis=-1)[0], "s--", color="gray", label="MLP")
right.set(xlabel="token", ylabel="length of the change", ylim=(0, 34), xticks=range(0, 19, 3))
right.legend(ncols=2, loc="upper center")
show(
    figure, "Left: GELU, nearly zero for negative x, nearly x for positive. Right: two curves over 19 tokens."
)

# %% [markdown]
# ## Where it looks
#
# Row $i$ of the weights says where token $i$ looks. Here are the four heads of the last block for the first
# clip. Rows are tokens that look, columns those that are looked at; bright is much.

# %%
from helpers.diagrams import draw_heat, mark_senses

maps = out.attention[-1][0]  # (heads, N, N)
figure, axes = new_axes(1, 4, (11, 3), titles=[f"head {head + 1}" for head in range(4)])
for number, one in enumerate(axes):
    draw_heat(one, maps[number], has_scale=number == 3, vmin=0, vmax=0.6)
    mark_senses(one, (1, 12, 6), ("", "video", "sound"))
show(figure, "Four square maps of 19 by 19 weights, each with its own pattern of bright columns.")

# %% [markdown]
# A map is easier to read over the clip itself. `cls` decides whether a sound and a video belong together, so
# where does it look? We take the mean of its weights over the heads. What it looks at is bright, and the rest
# is dark. Here that is the lower half of every frame, where the two triangles fly, and the lower pitches.

# %% tags=["thumbnail"]
from helpers.diagrams import plot_weights

looks = maps.mean(axis=0)  # (N, N)
video, audio = clips.video[0], clips.audio[0, 0]
figure = plot_weights(config, video, audio, looks[0, 1:13], looks[0, 13:])
show(figure, "Three frames and a spectrogram; the patches that cls looks at are bright.")

# %% [markdown]
# And from a sound to a shape: where does the last moment of the voice look, in its lower half? It is token
# 17: `cls` is token 0, then come 12 of video, and among those of sound it is number 4.

# %%
figure = plot_weights(config, video, audio, looks[17, 1:13], looks[17, 13:])
show(figure, "The same clip; the patches that a patch of the last moment of sound looks at are bright.")

# %% [markdown]
# Such a map says where numbers come from, not why, and one head or block is never the whole story. It is a
# place to start asking.

# %% [markdown]
# ## Padding
#
# Tokens that are padding must be invisible. Their scores become $-\infty$, whose exponential is 0, so nobody
# looks at them, and the other weights add up to 1 without them. Here we call the last three tokens of the
# second clip padding.

# %%
is_real = np.ones((4, 19), bool)
is_real[1, -3:] = False
masked = attention_weights(query, key, is_real)
print(
    "weight on padding:",
    masked[1, :, :, -3:].sum(),
    "  sums of rows:",
    np.unique(masked.sum(axis=-1).round(5)),
)

# %% [markdown]
# ## The array that need not exist
#
# The weights have $B \cdot \text{heads} \cdot N^2$ numbers. Nineteen tokens make nothing of it, but the
# published model has 2593:

# %%
for N in (19, 649, 2593):
    print(f"N = {N:4}: 12 heads need {12 * N * N * 4 / 2**20:6.1f} MiB in each block, for one clip")

# %% [markdown]
# Each row of the answer is a sum over keys, divided by a sum over keys. Sums can be formed piece by piece.
# The only trouble is the exponential: $e^{100}$ does not fit into float32. So the largest score $m$ of a row
# is taken off first, which changes numerator and denominator alike:
#
# $$o_i = \frac{\sum_j e^{s_{ij} - m} v_j}{\sum_j e^{s_{ij} - m}}$$
#
# But the largest score is known only at the end. **Online softmax** uses the largest so far. When a new block
# of keys brings a larger one, $m'$, all that was summed up before is multiplied by $e^{m - m'}$, and all is
# as if $m'$ had been taken off from the beginning. With $\ell$ for the denominator and $u$ for the numerator:
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
for size in (1, 5, 19):
    in_blocks = attend_in_blocks(query, key, value, size)
    print(f"blocks of {size:2} keys give the same answer:", np.allclose(in_blocks, answer, atol=1e-5))

# %% [markdown]
# Never more than `N × size` scores exist at a time. Kernels for graphics cards do this with blocks that fit
# into the fast memory beside the arithmetic (FlashAttention; Dao et al., 2022), and PyTorch's attention,
# which the torch backend calls, is one of them. The package's own NumPy kernel works in the same way: it cuts
# queries and keys into **tiles** of scores that stay in a core's cache. The cell below shows its loop over
# the keys. `sums` holds $u$ and, in its last column, $\ell$, because each value has a 1 at its end; `highest`
# is $m$. Where the lengths of queries and keys show that no score can overflow, $m$ stays 0, and nothing
# needs to be corrected. `POWER` is $e^s$, or $2^s$ where the processor is faster with it; the scores are then
# scaled by $\log_2 e$, which gives the same weights. The queries come in piles of rows, for speed alone:
# [10](10_faster.ipynb) says why.

# %%
from minitvlt.backends.numpy_attention import sum_values
from minitvlt.backends.numpy_tiles import TILE

show_source(sum_values)

# %% [markdown]
# The curves show the memory that the scores of one clip take at a time, for 12 heads: all at once (dashed),
# it grows with the square of the tokens; in the package's tiles (solid), it takes 1.1 MiB at most, for each
# core that computes. The dotted line marks the 2593 tokens of the published model. Both axes are logarithmic.

# %%
counts = [2 ** (n / 2) for n in range(10, 29)]  # from 32 to 16,384 tokens
figure, (axes,) = new_axes(size=(8, 3.4), x="tokens", y="memory for scores (MiB)")
axes.loglog(counts, [12 * n**2 * 4 / 2**20 for n in counts], "--", color="gray", label="all at once")
in_tiles = [min(12 * n**2, TILE) * 4 / 2**20 for n in counts]
axes.loglog(counts, in_tiles, color="black", label="in tiles")
axes.axvline(2593, color="black", linestyle=":", linewidth=1.5)
axes.legend()
show(figure, "Two curves over the number of tokens: one keeps rising, the other stops at 1.1 MiB.")

# %% [markdown]
# ## Try it
#
# **1. What does attention do if all queries are 0?**
#
# <details><summary>Answer</summary>
#
# All scores are 0, all weights $1 / N$, and every token gets the mean of all values.
# `attention_weights(0 * query, key)` shows it. Attention starts near this when its weights are small.
#
# </details>

# %% [markdown]
# **2. What if one row has nothing but padding to look at?**
#
# <details><summary>Answer</summary>
#
# By the formula it would be $0 / 0$. The package defines the answer as 0, on every backend, and its gradient
# too. `attention_weights(query, key, np.zeros((4, 19), bool)).sum()` is 0.
#
# </details>

# %% [markdown]
# **3. Does it matter in which order the 12 tokens of video stand?**
#
# <details><summary>Answer</summary>
#
# No. Shuffle the tokens of `x`, run a block, undo the shuffle: the same, up to rounding. All that is known of
# order comes from the position vectors in `x`.
#
# </details>

# %% [markdown]
# **4. How many numbers has a block to learn?**
#
# <details><summary>Answer</summary>
#
# With $D = 64$ and a width of 128: queries, keys and values $3 D^2 + 3 D$, their map $D^2 + D$, the MLP
# $2 \cdot 128 \, D + 128 + D$, and two norms of $2 D$: together 33,472.
# `sum(a.size for a in mt.flatten(block).values())` counts them.
#
# </details>

# %% [markdown]
# **5. In `attend_in_blocks`, what happens at the first block, where $m = -\infty$?**
#
# <details><summary>Answer</summary>
#
# $e^{-\infty - m'} = 0$, times sums that are still 0. So the first block just starts them. (Were a whole
# block masked, $m'$ would be $-\infty$ too, and $\infty - \infty$ is no number: real kernels guard against
# it.)
#
# </details>

# %% [markdown]
# ## Recap
#
# A block normalises its tokens, lets each gather a weighted mean of all values, with weights from the softmax
# of query times key over $\sqrt d$, and lets each think for itself in an MLP; both results are added to what
# was there. The weights can be looked at as maps over frames and sound. Computed in blocks they never fill
# the memory, since sums, and even the largest score, can be kept up to date.

# %% [markdown]
# ## Where to go on
#
# Next, [05_tvlt](05_tvlt.ipynb) joins the two senses to the whole model and counts what it
# costs. The code is in [transformer.py](../minitvlt/model/transformer.py), and the kernel of attention in
# [numpy_attention.py](../minitvlt/backends/numpy_attention.py).
