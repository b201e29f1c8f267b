# %% [markdown]
# # 04 · Attention
#
# The **transformer** is a stack of equal blocks. A block has two sublayers: **multi-head self-attention**, by
# which tokens exchange information, and an **MLP** (multi-layer perceptron), which is applied to each token
# on its own. In this notebook you write a block in NumPy, function by function, and compare each with the
# package. Then we plot the attention of a trained model, and compute it without storing its largest array.
#
# **You will be able to** write a transformer block, name the shape of every array in it, read an attention
# map over frames and spectrogram, and explain online softmax and the memory that it saves.
#
# **Time to run:** about ten seconds. **Before this:** tokens, in [02](02_patches.ipynb); matrix products, the
# exponential function, mean and variance.

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
B, N, D = x.shape
block, heads, eps = params.encoder.blocks[0], config.num_attention_heads, config.layer_norm_eps
print("tokens:", x.shape, "  blocks:", len(params.encoder.blocks), "  heads:", heads)

# %% [markdown]
# ## A block
#
# The figure shows a block on the left; all blocks of the model are alike. The input of each sublayer is
# normalised first (**pre-LN**), and its output is *added* to the tokens: this is the **residual connection**.
# Because of it a block computes a change of the tokens, and derivatives pass through the sum directly
# ([06](06_backpropagation.ipynb)). The right half shows the steps of attention with the shape of each result.
# The sections below are about one box after the other.

# %%
from helpers.block_figure import draw_block

draw_block().show(
    "Left: a block from bottom to top, LayerNorm, multi-head self-attention, a sum with x, LayerNorm, MLP, a "
    "second sum. Right: the steps of attention with their shapes, from a linear map by scores, mask and "
    "softmax to the product with v, merged heads and a linear map."
)

# %% [markdown]
# ## LayerNorm
#
# **Layer normalisation** gives each token mean 0 and variance 1 over its `D` features, then scales and shifts
# each feature by learnt $\gamma$ and $\beta$. With the mean $\mu$ and the variance $\sigma^2$ of the token
# $x$, and a small $\varepsilon$ that avoids a division by zero:
#
# $$\operatorname{norm}(x) = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$


# %%
def layer_norm(x, norm, eps):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return norm.weight * (x - mean) / np.sqrt(variance + eps) + norm.bias


# %% [markdown]
# The package calls $\gamma$ and $\beta$ `weight` and `bias`; its own function is `run_norm`.

# %%
from minitvlt.model.transformer import run_norm

normed = layer_norm(x, block.attention_norm, eps)
print("as the package's:", np.allclose(normed, run_norm(x, block.attention_norm, eps), atol=1e-5))

# %% [markdown]
# ## Queries, keys, values
#
# Each token has a **query** $q$, which is compared with the **keys** $k$ of all tokens, and a **value** $v$,
# of which the output is a weighted mean. One linear map of the normalised token gives all three: `3 D`
# numbers. They are split into **heads** of $d = D / \text{heads}$ features, and each head computes attention
# on its own. The last axis becomes three axes (which of the three, head, feature); then the axes are
# permuted, so that tokens and features are the last two, as a matrix product needs them.


# %%
def linear(x, layer):
    return x @ layer.weight.T + layer.bias


def split_heads(qkv, heads):
    B, N, three_D = qkv.shape
    qkv = qkv.reshape(B, N, 3, heads, three_D // 3 // heads)
    return qkv.transpose(2, 0, 3, 1, 4)  # (3, B, heads, N, d)


def merge_heads(x):
    B, heads, N, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, N, heads * d)


# %%
from minitvlt.model import transformer

qkv = linear(normed, block.attention.qkv)  # (B, N, 3 * D)
q, k, v = split_heads(qkv, heads)
theirs = transformer.split_heads(normed, block.attention, heads)
print("q, k and v:", q.shape, "each: clips, heads, tokens, features")
print("as the package's:", np.allclose([q, k, v], theirs, atol=1e-5))
print("merging undoes splitting:", np.array_equal(merge_heads(q), qkv[..., :D]))

# %% [markdown]
# ## Scaled dot-product attention
#
# The score of query $i$ and key $j$ is their scalar product, divided by $\sqrt d$. The **softmax** over the
# keys turns the scores into weights, which are positive and sum to 1. The output is the mean of the values
# with these weights:
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}$$
#
# $$a_{ij} = \frac{e^{s_{ij}}}{\sum_{l} e^{s_{il}}}$$
#
# $$o_i = \sum_j a_{ij} v_j$$
#
# `softmax` subtracts the largest score of each row first. This changes no weight, because numerator and
# denominator are multiplied by the same factor, and the exponential cannot overflow.


# %%
def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attend(q, k, v):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])  # (B, heads, N, N)
    return softmax(scores) @ v  # (B, heads, N, d)


# %%
from minitvlt.backends import numpy_backend

print("output:", attend(q, k, v).shape)
print("as the package's:", np.allclose(attend(q, k, v), numpy_backend.attention(q, k, v), atol=1e-5))

# %% [markdown]
# Why $\sqrt d$? If the features of $q$ and $k$ are independent with mean 0 and variance 1, each product of
# two has variance 1, and their scalar product, a sum of $d$ of them, has variance $d$. Without the division,
# the scores grow with $d$, the largest weight approaches 1, and the derivative of the weights with respect to
# the scores approaches 0 (its formula is in [06](06_backpropagation.ipynb)). The cell below draws random
# queries and keys, and prints the mean of the largest of 100 weights, with and without the division.

# %%
rng = np.random.default_rng(0)
for size in (4, 16, 64, 256):
    s = rng.normal(size=(200, size)) @ rng.normal(size=(100, size)).T  # 200 queries, 100 keys
    without, divided = (softmax(t).max(axis=1).mean() for t in (s, s / np.sqrt(size)))
    print(f"d = {size:3}: without {without:.2f}, with {divided:.2f}")

# %% [markdown]
# ## The padding mask
#
# In a batch, shorter clips are filled up with padding, which must not influence the output. The **mask** says
# where a query is allowed to attend. Scores that are not allowed are replaced by a very negative number,
# whose exponential is 0 after the largest score has been subtracted. Where nothing at all is allowed in a
# row, the softmax would be $1/N$ everywhere; so the weights are set to 0 as well.


# %%
def attend_masked(q, k, v, allowed):
    """allowed is boolean, of a shape that broadcasts to (B, heads, N, N): True where i may attend to j."""
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = softmax(np.where(allowed, scores, -1e30))
    return np.where(allowed, weights, 0) @ v


# %% [markdown]
# Padding concerns the keys: no query may attend to them. So an array `is_real` of shape `(B, N)` gets two
# axes of length 1, for heads and queries. Here the last three tokens of the second clip are padding. The
# cell sets all numbers of their values $v$ to a thousand: no output changes.

# %%
is_real = np.ones((B, N), bool)
is_real[1, -3:] = False
masked = attend_masked(q, k, v, is_real[:, None, None, :])
print("as the package's:", np.allclose(masked, numpy_backend.attention(q, k, v, is_real), atol=1e-5))
changed = np.where(is_real[:, None, :, None], v, 1000)
print(
    "padding has no influence:", np.array_equal(masked, attend_masked(q, k, changed, is_real[:, None, None]))
)

# %% [markdown]
# ## The MLP
#
# The MLP is a linear map to $D_{\text{mlp}}$ features, the non-linearity GELU, and a linear map back to $D$:
#
# $$\operatorname{GELU}(x) = x \, \Phi(x)$$
#
# $\Phi(x) = \frac12 \bigl(1 + \operatorname{erf}(x / \sqrt2)\bigr)$ rises smoothly from 0 to 1. (It is the
# distribution function of the normal distribution; `erf` is in SciPy.) For large $x$, GELU is nearly $x$, for
# very negative $x$ nearly 0, and the transition is smooth.


# %%
from scipy.special import erf


def gelu(x):
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


line = np.linspace(-4, 4, 161)
print("as the package's:", np.allclose(gelu(line), numpy_backend.gelu(line)))

# %% [markdown]
# ## The whole block
#
# Now all of it: x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)). The outputs of the heads are
# concatenated by `merge_heads`, and one more linear map is applied. Without a mask everything is allowed.


# %%
def transformer_block(x, block, heads, eps, allowed=True):
    q, k, v = split_heads(linear(layer_norm(x, block.attention_norm, eps), block.attention.qkv), heads)
    x = x + linear(merge_heads(attend_masked(q, k, v, allowed)), block.attention.output)
    y = gelu(linear(layer_norm(x, block.mlp_norm, eps), block.mlp.expand))
    return x + linear(y, block.mlp.contract)


# %%
y = x
for number, each in enumerate(params.encoder.blocks):
    y = transformer_block(y, each, heads, eps)
    print(f"block {number + 1}: as the package's:", np.allclose(y, out.hidden[number + 1], atol=1e-3))

# %% [markdown]
# This is the package's block. It says the same in the same order; `namespace` chooses the array library,
# which [09](09_backends.ipynb) is about, and `maps` collects attention maps.

# %%
show_source(transformer.run_block, transformer.run_attention, transformer.run_mlp)

# %% [markdown]
# How much does each sublayer change the tokens? The left panel shows GELU, the right one the length of the
# change of each token of one clip, by attention and by the MLP. In this block the MLP changes every token
# more than attention does.

# %%
from helpers.diagrams import draw_heat, mark_senses, new_axes, plot_weights, use_style

use_style()
from_attention = linear(merge_heads(attend(q, k, v)), block.attention.output)
from_mlp = out.hidden[1] - x - from_attention
figure, (left, right) = new_axes(1, 2, (11, 3), titles=("GELU", "change of the tokens of one clip"))
left.plot(line, gelu(line), color="black")
left.set(xlabel="x", ylabel="GELU(x)")
right.plot(np.linalg.norm(from_attention, axis=-1)[0], "o-", color="black", label="attention")
right.plot(np.linalg.norm(from_mlp, axis=-1)[0], "s--", color="gray", label="MLP")
right.set(xlabel="token", ylabel="length of the change", ylim=(0, 34), xticks=range(0, 19, 3))
right.legend(ncols=2, loc="upper center")
show(
    figure, "Left: GELU, nearly zero for negative x, nearly x for positive. Right: two curves over 19 tokens."
)

# %% [markdown]
# ## Attention maps
#
# The weights of a head form an **attention map**: row $i$ says how much each token contributes to the output
# of token $i$. Here are the four heads of the last block for the first clip: rows are queries, columns are
# keys, large weights are bright.

# %%
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

# ## Attention in blocks
#
# The weights are $B \cdot \text{heads} \cdot N^2$ numbers of 4 bytes (float32), which the functions above
# store. For 19 tokens this is negligible, but the published model has 2593, or 649 with three quarters of the
# patches hidden:

# %%
for many in (19, 649, 2593):
    print(f"N = {many:4}: 12 heads need {12 * many * many * 4 / 2**20:6.1f} MiB for one clip")

# %% [markdown]
# This is for each block of the transformer. In what follows a *block* is something else: some keys that stand
# next to each other. Each row of the output is a sum over keys, divided by another sum over keys, and a sum
# can be computed block by block. One difficulty remains: $e^{100}$ overflows in float32. So the largest score
# $m$ of a row is subtracted first, which scales numerator and denominator by the same factor:
#
# $$o_i = \frac{\sum_j e^{s_{ij} - m} v_j}{\sum_j e^{s_{ij} - m}}$$
#
# But the largest score is known only after the last block. **Online softmax** (Milakov and Gimelshein, 2018)
# subtracts the largest score so far. Let $m'$ be the largest score after a new block of keys. The sums so far
# are multiplied by $e^{m - m'}$, which gives what subtracting $m'$ from the beginning would have given. With
# $\ell$ for the denominator and $u$ for the numerator:
#
# $$\ell \leftarrow e^{m - m'} \ell + \sum_{j \in \text{block}} e^{s_{ij} - m'}$$
#
# $$u \leftarrow e^{m - m'} u + \sum_{j \in \text{block}} e^{s_{ij} - m'} v_j$$


# %%
def attend_in_blocks(q, k, v, size):
    m = np.full((*q.shape[:-1], 1), -np.inf)  # the largest score so far, for every query
    ell, u = 0.0, 0.0
    for start in range(0, k.shape[-2], size):
        some = np.s_[..., start : start + size, :]
        s = q @ k[some].swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        larger = np.maximum(m, s.max(axis=-1, keepdims=True))
        shrink, e = np.exp(m - larger), np.exp(s - larger)
        ell = shrink * ell + e.sum(axis=-1, keepdims=True)
        u = shrink * u + e @ v[some]
        m = larger
    return u / ell


# %%
for size in (1, 5, 19):
    in_blocks = attend_in_blocks(q, k, v, size)
    print(
        f"blocks of {size:2} keys give the same output:", np.allclose(in_blocks, attend(q, k, v), atol=1e-5)
    )

# %% [markdown]
# At most `N × size` scores exist at a time. **FlashAttention** (Dao et al., 2022) does this on graphics
# cards, with blocks that fit into the fast memory of the chip. PyTorch's attention, which the package calls
# when it runs on PyTorch ([09](09_backends.ipynb)), uses it where it can.
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
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Does the order of the tokens, for instance of the 12 video tokens, matter to a block? Show it.**
#
# <details><summary>Answer</summary>
#
# No. If the tokens are permuted, the outputs are permuted in the same way: a block is *equivariant*. The
# order is known only from the position embeddings in `x`.
#
# ```python
# order = np.random.default_rng(1).permutation(N)
# permuted = transformer_block(x[:, order], block, heads, eps)
# assert np.allclose(permuted, transformer_block(x, block, heads, eps)[:, order], atol=1e-4)
# ```
#
# </details>

# %% [markdown]
# **2. Language models use a *causal* mask: token $i$ attends only to the tokens $j \le i$. Write it, and
# check that a change of the last token changes no other output.**
#
# <details><summary>Answer</summary>
#
# `np.tri(N)` has ones on and below the diagonal.
#
# ```python
# causal = np.tri(N, dtype=bool)
# changed = x.copy()
# changed[:, -1] += 5
# before, after = (transformer_block(t, block, heads, eps, causal) for t in (x, changed))
# assert np.array_equal(before[:, :-1], after[:, :-1]) and not np.allclose(before[:, -1], after[:, -1])
# ```
#
# </details>

# %% [markdown]
# **3. Change the model: let video tokens attend only to video, and audio tokens only to audio, in all blocks,
# while `cls` attends to all tokens. Then let `cls` attend to nothing but itself. Predict the accuracy of
# matching in both cases, then compute it.** In a batch of `make_batch` half of the pairs match:
# `pairs.mixed_video` with `pairs.audio`, and `pairs.is_match` is the truth. After the last block comes a
# LayerNorm, `params.encoder.norm`; then `match(params.matching, y[:, 0])` of `minitvlt.model.tvlt` gives the
# logits.
#
# <details><summary>Answer</summary>
#
# With separate modalities only `cls` can compare them, and it sees summaries that were made without the other
# modality: the accuracy falls, but not to chance. If `cls` sees nothing, its output is the same for all
# clips, and so is the predicted answer: of 128 pairs, half of which match, half are classified correctly.
#
# ```python
# from minitvlt.model.tvlt import match
#
# some = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(5), 128)
# pairs = mt.make_batch(some, config, np.random.default_rng(0))
# tokens = mt.forward(params, pairs.mixed_video, pairs.audio, return_hidden=True).hidden[0]
#
# def compute_accuracy(allowed):
#     y = tokens
#     for each in params.encoder.blocks:
#         y = transformer_block(y, each, heads, eps, allowed)
#     logits = match(params.matching, layer_norm(y, params.encoder.norm, eps)[:, 0])
#     return np.mean((logits > 0) == pairs.is_match)
#
# kind = np.repeat([0, 1, 2], [1, 12, 6])  # cls, video, audio
# separate = (kind[:, None] == kind) | (kind[:, None] == 0)
# blind = (kind[:, None] != 0) | (kind == 0)
# print([round(float(compute_accuracy(allowed)), 2) for allowed in (True, separate, blind)])
# assert compute_accuracy(True) > 0.9 > compute_accuracy(separate) > 0.6 > compute_accuracy(blind)
# ```
#
# </details>

# %% [markdown]
# **4. What does attention return if all queries are 0? And if all keys are padding?**
#
# <details><summary>Answer</summary>
#
# If all queries are 0, all scores are 0, all weights $1 / N$, and the output of every token is the mean of
# all values. If all keys are padding, the formula would give $0 / 0$; the package defines the weights as 0,
# on every backend.
#
# ```python
# assert np.allclose(attend(0 * q, k, v), v.mean(axis=2, keepdims=True), atol=1e-5)
# assert np.all(attend_masked(q, k, v, np.zeros((B, 1, 1, N), bool)) == 0)
# assert np.all(numpy_backend.attention(q, k, v, np.zeros((B, N), bool)) == 0)
# ```
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
# the values of all tokens; the weights are the softmax of query times key over $\sqrt d$, and a mask says
# which of them are 0. The weights can be plotted as maps over frames and spectrogram. Computed block by
# block, with the largest score so far subtracted, attention never stores all weights at once.

# %% [markdown]
# ## Where to go on
#
# Next, [05_tvlt](05_tvlt.ipynb) builds the whole model from blocks and counts its parameters and operations.
# The code is in [transformer.py](../minitvlt/model/transformer.py); the reference of attention is in
# [numpy_backend.py](../minitvlt/backends/numpy_backend.py). By default the package runs faster versions that
# give the same results; [10](10_faster.ipynb) is about them.

# %% [markdown]
# ## References
#
# - A. Vaswani et al., *Attention Is All You Need*, 2017, [arXiv 1706.03762](https://arxiv.org/abs/1706.03762):
#   the transformer.
# - J. L. Ba, J. R. Kiros, G. E. Hinton, *Layer Normalization*, 2016,
#   [arXiv 1607.06450](https://arxiv.org/abs/1607.06450).
# - R. Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020,
#   [arXiv 2002.04745](https://arxiv.org/abs/2002.04745): why the normalisation stands before the sublayer.
# - T. Dao et al., *FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness*, 2022,
#   [arXiv 2205.14135](https://arxiv.org/abs/2205.14135).
