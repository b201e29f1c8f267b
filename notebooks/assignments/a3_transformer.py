# %% [markdown]
# # Assignment 3 · A transformer block, and attention in blocks
#
# You write the parts of a transformer block and put them together: LayerNorm, softmax, GELU, the splitting
# and joining of heads, attention with padding, and the block. Then you compute attention without ever
# holding all of its weights. At the end, your block runs a trained model, and you see where it attends in a
# clip.
#
# **Time:** about four hours. **Points:** 100. **Before this:** NumPy arrays with several axes, matrix
# products with `@`, the exponential function; notebook [04](../04_attention.ipynb), to which each check
# refers.
#
# **How it works.** Replace each `raise NotImplementedError` by your code, and run the cell and the check
# below it. A check says how many points you have, and of the first thing that is wrong: the smallest input
# that shows it, what came, what was expected, and a likely cause. You may run a check as often as you like.
# A wrong function costs no points in later ones: there, the checks use a right one in its place. Use NumPy
# and `scipy.special`; `minitvlt.model` and `minitvlt.backends` hold the answers. Each solution fits in 15
# lines.

# %% [markdown]
# ## Three things that hold for every function
#
# **The last axes count from the end.** Inputs may have a batch in front, so write `axis=-1` and
# `np.swapaxes(x, -1, -2)`. `x @ y` multiplies the matrices in the last two axes; the axes before them are
# counted through. `keepdims=True` in `x.sum(axis=-1, keepdims=True)` keeps the axis with size 1, so that the
# result can be subtracted from `x`, or divide it.
#
# **Precision.** float32 in, float32 out. Python numbers, as in `0.5 * x` or `d ** -0.5`, change nothing;
# NumPy's do: `np.sqrt(d)` is a float64, and so are `np.zeros(n)` and `np.full(n, 0.5)`. Write
# `math.sqrt(d)`, `np.zeros(n, x.dtype)` and `np.full(n, 0.5, x.dtype)`. Some functions of notebook 04 use
# `np.sqrt`, so they give float64 here.
#
# **Inputs stay as they are.** Never write into an argument (`x -= mean`, `scores[...] = 0`): the caller
# still needs it, and it may be read-only. Make a new array.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "solution": false, "schema_version": 3}
import math

import checks
import numpy as np

import minitvlt as mt

# %% [markdown]
# ## 1 · LayerNorm
#
# **Layer normalisation** brings each token to mean 0 and variance 1 over its $D$ features, then scales and
# shifts each feature by learnt numbers. With the mean $\mu$ and the variance $\sigma^2$ of the row $x$:
#
# $$\operatorname{norm}(x)_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} \, \text{weight}_i +
# \text{bias}_i, \qquad \mu = \frac1D \sum_i x_i, \qquad \sigma^2 = \frac1D \sum_i (x_i - \mu)^2$$
#
# The small $\varepsilon$ is added to the variance, so that a row of equal values does not divide by 0.
#
# **Example.** The row `[1, 3, 5, 7]` has the mean 4 and the variance $(9 + 1 + 1 + 9) / 4 = 5$. With
# $\varepsilon = 4$ the divisor is 3, and the row becomes `[-1, -1/3, 1/3, 1]`. With weight `[2, 2, 2, 2]`
# and bias `[1, 0, 0, 0]` the result is `[-1, -2/3, 2/3, 2]`.


# %% nbgrader={"grade": false, "grade_id": "layer_norm", "locked": false, "solution": true, "schema_version": 3}
def layer_norm(x, weight, bias, eps):
    """Normalise every row to mean 0 and variance 1, then scale and shift each feature (Ba et al. 2016).

    Args:
        x: (..., D)
        weight: (D,)
        bias: (D,)
        eps: added to the variance.

    Returns:
        (..., D)
    """
    # mean and variance: (..., 1)
    ### BEGIN SOLUTION
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)  # (..., 1)
    return centred / np.sqrt(variance + eps) * weight + bias
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_layer_norm", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(layer_norm)

# %% [markdown]
# ## 2 · Softmax
#
# The softmax turns any numbers into weights, which are positive and sum to 1 in each row:
#
# $$\operatorname{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}} = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}},
# \qquad m = \max_j x_j$$
#
# Both fractions are equal, because numerator and denominator have the same factor $e^{-m}$. But $e^{1000}$
# overflows, so compute the second one, with the maximum **of each row**.
#
# **Example.** The row `[1000 + ln 3, 1000]` has the maximum $1000 + \ln 3$. The exponentials of the
# differences are 1 and $e^{-\ln 3} = 1/3$, their sum is $4/3$, and the weights are 0.75 and 0.25.


# %% nbgrader={"grade": false, "grade_id": "softmax", "locked": false, "solution": true, "schema_version": 3}
def softmax(x):
    """Return exp(x) of every row, divided by its sum; the row's maximum is subtracted first: no overflow.

    Args:
        x: (..., n)

    Returns:
        (..., n)
    """
    # maximum and sum of each row: (..., 1)
    ### BEGIN SOLUTION
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_softmax", "locked": true, "points": 8, "solution": false, "schema_version": 3}
checks.check(softmax)

# %% [markdown]
# ## 3 · GELU
#
# The non-linearity between the two linear maps of the MLP. $\Phi$ is the cumulative distribution function
# of the normal distribution: it rises smoothly from 0 to 1.
#
# $$\operatorname{GELU}(x) = x \, \Phi(x), \qquad
# \Phi(x) = \tfrac12 \bigl(1 + \operatorname{erf}(x / \sqrt2)\bigr)$$
#
# For large $x$ this is nearly $x$, for very negative $x$ nearly 0. `scipy.special` has `erf`, and also
# $\Phi$ itself under the name `ndtr`. Both take arrays and keep their precision. There are approximations
# by `tanh`; TVLT uses the exact function.
#
# **Example.** $\Phi(1) = 0.8413$, so $\operatorname{GELU}(1) = 0.8413$ and $\operatorname{GELU}(-1) = -1
# \cdot (1 - 0.8413) = -0.1587$.


# %% nbgrader={"grade": false, "grade_id": "gelu", "locked": false, "solution": true, "schema_version": 3}
def gelu(x):
    """Return x Φ(x), Φ being the cumulative normal distribution (Hendrycks and Gimpel 2016).

    Args:
        x: of any shape.

    Returns:
        an array of the same shape.
    """
    ### BEGIN SOLUTION
    from scipy.special import erf

    return 0.5 * x * (1 + erf(x / math.sqrt(2)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_gelu", "locked": true, "points": 7, "solution": false, "schema_version": 3}
checks.check(gelu)

# %% [markdown]
# ## The parameters of a block
#
# The package keeps parameters in small dataclasses, and your functions get these. A `Linear` has a `weight`
# of shape (out, in) and a `bias` of shape (out,). A `Block` has four parts, in the order in which they are
# used:
#
# | part | its fields |
# |---|---|
# | `block.attention_norm` | `weight` and `bias`, for `layer_norm` |
# | `block.attention` | `qkv`, a `Linear` from $D$ to $3 D$, and `output`, a `Linear` from $D$ to $D$ |
# | `block.mlp_norm` | `weight` and `bias`, for `layer_norm` |
# | `block.mlp` | `expand`, a `Linear` from $D$ to the hidden width, and `contract`, a `Linear` back to $D$ |
#
# `run_linear` applies a `Linear` to the last axis. It is given: use it for every linear map below. The cell
# prints the shapes of a block of a trained model with $D = 64$.


# %% nbgrader={"grade": false, "grade_id": "given_run_linear", "locked": true, "solution": false, "schema_version": 3}
def run_linear(x, linear):
    """x @ weight.T + bias, over the last axis: (..., in) to (..., out)."""
    return x @ linear.weight.T + linear.bias


for name, array in mt.flatten(mt.load("shapes-small").encoder.blocks[0]).items():
    print(f"{name:<24}{array.shape}")

# %% [markdown]
# ## 4 · Splitting into heads
#
# Each token has a **query**, a **key** and a **value**. One linear map of the token gives all three, as $3
# D$ numbers: first the $D$ numbers of the query, then those of the key, then those of the value. Within
# each, the first $d = D / \text{heads}$ numbers belong to head 0, the next $d$ to head 1, and so on. A
# reshape of the last axis says just this; it moves no number. Then the axes are permuted, so that query,
# key and value can be taken apart and tokens and features are the last two axes, as a matrix product needs
# them:
#
# $$(B, N, 3 D) \;\to\; (B, N, 3, \text{heads}, d) \;\to\; (3, B, \text{heads}, N, d)$$
#
# **Example.** With $D = 4$ and 2 heads, a token's 12 numbers after `run_linear` may be `[10, 11, 12, 13,
# 20, 21, 22, 23, 30, 31, 32, 33]`. Its query in head 0 is `[10, 11]`, in head 1 `[12, 13]`; its key in head
# 1 is `[22, 23]`, its value in head 0 `[30, 31]`.


# %% nbgrader={"grade": false, "grade_id": "split_heads", "locked": false, "solution": true, "schema_version": 3}
def split_heads(x, attention, heads):
    """Project tokens to the queries, keys and values of all heads.

    Args:
        x: (B, N, D)
        attention: the parameters `block.attention`; `attention.qkv` gives queries, then keys, then values;
            within each, head by head.
        heads: their number; it divides D.

    Returns:
        three arrays (B, heads, N, D // heads): query, key, value
    """
    # projected: (B, N, 3 * D)
    # reshaped: (B, N, 3, heads, D // heads)
    # permuted: (3, B, heads, N, D // heads)
    ### BEGIN SOLUTION
    B, N, D = x.shape
    qkv = run_linear(x, attention.qkv).reshape(B, N, 3, heads, D // heads)
    query, key, value = qkv.transpose(2, 0, 3, 1, 4)  # (3, B, heads, N, D // heads)
    return query, key, value
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_split_heads", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(split_heads)

# %% [markdown]
# ## 5 · Joining the heads
#
# The way back: the heads of a token are put side by side again, head 0 first, and one more linear map,
# `attention.output`, is applied. The order of the steps matters: a reshape only joins axes that are
# neighbours, so the axes are permuted first.
#
# $$(B, \text{heads}, N, d) \;\to\; (B, N, \text{heads}, d) \;\to\; (B, N, D)$$
#
# **Example.** Two heads and two tokens: head 0 holds `[1, 2]` for token 0 and `[3, 4]` for token 1, head 1
# holds `[5, 6]` and `[7, 8]`. Joined, token 0 is `[1, 2, 5, 6]` and token 1 is `[3, 4, 7, 8]`. (A reshape
# alone would give token 0 the numbers `[1, 2, 3, 4]`, half of which are those of token 1.)


# %% nbgrader={"grade": false, "grade_id": "join_heads", "locked": false, "solution": true, "schema_version": 3}
def join_heads(x, attention):
    """Concatenate the heads of every token, and apply the output projection.

    Args:
        x: (B, heads, N, d)
        attention: the parameters `block.attention`; `attention.output` is the projection.

    Returns:
        (B, N, heads * d)
    """
    # permuted: (B, N, heads, d)
    # joined: (B, N, heads * d)
    ### BEGIN SOLUTION
    B, heads, N, d = x.shape
    joined = x.transpose(0, 2, 1, 3).reshape(B, N, heads * d)
    return run_linear(joined, attention.output)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_join_heads", "locked": true, "points": 9, "solution": false, "schema_version": 3}
checks.check(join_heads)

# %% [markdown]
# ## 6 · Attention weights
#
# The **score** of query $i$ and key $j$ says how well they fit. The softmax over the keys turns the scores
# of a query into weights. There are $N$ queries and $M$ keys (in a block $M = N$, but not here):
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \qquad a_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{il}}}$$
#
# All scores are one matrix product, with the last two axes of the keys exchanged.
#
# **Padding.** Shorter clips of a batch are filled up with padding, which must have no weight. `is_real` of
# shape `(B, M)` is True for real keys. Replace the scores of padding by a very negative number, `-1e30`,
# *before* the softmax: its exponential is 0, and the other weights sum to 1. One case remains: if a clip
# has no real key at all, its scores are all equal and the softmax gives $1 / M$. So set the weights of
# padding to 0 *after* the softmax as well. `np.where(condition, a, b)` does both; `is_real[:, None, None,
# :]` has the shape `(B, 1, 1, M)`, which broadcasts over heads and queries. With `-np.inf` in place of
# `-1e30`, the softmax would compute $\infty - \infty$ for a clip without a real key, which is NaN.
#
# **Example.** One query `[2, 0]`, three keys `[1, 1]`, `[0, 5]` and `[9, 9]`, of which the last is padding:
# $d = 2$, so the scores are $2 / \sqrt2 = 1.414$ and 0. The exponentials are 4.11 and 1, the weights 0.804,
# 0.196 and 0.


# %% nbgrader={"grade": false, "grade_id": "attention_weights", "locked": false, "solution": true, "schema_version": 3}
def attention_weights(query, key, is_real=None):
    """Return softmax(Q Kᵀ / √d) over the real keys; padding has weight 0.

    Args:
        query: (B, heads, N, d)
        key: (B, heads, M, d)
        is_real: (B, M), boolean, True for real keys; None: all are.

    Returns:
        (B, heads, N, M)
    """
    # scores: (B, heads, N, M)
    # mask, if there is one: (B, 1, 1, M)
    ### BEGIN SOLUTION
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if is_real is None:
        return softmax(scores)
    mask = is_real[:, None, None, :]
    return np.where(mask, softmax(np.where(mask, scores, -1e30)), 0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attention_weights", "locked": true, "points": 15, "solution": false, "schema_version": 3}
checks.check(attention_weights)

# %% [markdown]
# ## 7 · Attention
#
# The output for query $i$ is the mean of the values with its weights, $o_i = \sum_j a_{ij} v_j$, for all
# queries at once another matrix product. With your `attention_weights` this is short.
#
# **Example.** The weights 0.804, 0.196 and 0 from above, and the values `[10, 0]`, `[0, 10]` and `[99,
# 99]`, give `[8.04, 1.96]`. The value of the padding does not matter. A clip without any real key gives
# `[0, 0]`.


# %% nbgrader={"grade": false, "grade_id": "attention", "locked": false, "solution": true, "schema_version": 3}
def attention(query, key, value, is_real=None):
    """Return softmax(Q Kᵀ / √d) V over the real keys (Vaswani et al. 2017, section 3.2.1).

    A clip without any real key gets 0.

    Args:
        query: (B, heads, N, d)
        key: (B, heads, M, d)
        value: (B, heads, M, d)
        is_real: (B, M), boolean, True for real keys; None: all are.

    Returns:
        (B, heads, N, d)
    """
    ### BEGIN SOLUTION
    return attention_weights(query, key, is_real) @ value
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attention", "locked": true, "points": 11, "solution": false, "schema_version": 3}
checks.check(attention)

# %% [markdown]
# ## 8 · The block
#
# Now all of it. Both parts of a block compute a change of the tokens, which is **added** to them; each gets
# the normalised tokens as its input (this order is called pre-LN):
#
# $$y = x + \operatorname{Attention}(\operatorname{LayerNorm}_1(x)), \qquad
# \text{output} = y + \operatorname{MLP}(\operatorname{LayerNorm}_2(y))$$
#
# Attention is: split into heads, attention, join the heads. The MLP is: `mlp.expand`, GELU, `mlp.contract`.
# If `maps` is a list, append what your `attention_weights` gives for query and key to it, one array of shape
# `(B, heads, N, N)`; the output does not depend on that. A Python list is changed by `maps.append(...)`, so
# nothing more has to be returned. The list is empty at first, and an empty list counts as False: ask `if maps
# is not None`, not `if maps`.
#
# **Example.** If all parameters of `attention.output` and `mlp.contract` were 0, attention and MLP would be
# 0, and the output would be $x$.


# %% nbgrader={"grade": false, "grade_id": "run_block", "locked": false, "solution": true, "schema_version": 3}
def run_block(x, block, heads, eps, is_real=None, maps=None):
    """x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)).

    Args:
        x: (B, N, D)
        block: its parameters: attention_norm, attention, mlp_norm, mlp.
        heads: number of attention heads; it divides D.
        eps: of both LayerNorms.
        is_real: (B, N), boolean, True for real tokens; None: all are.
        maps: a list to which the attention weights are appended, (B, heads, N, N); None: they are not kept.

    Returns:
        (B, N, D)
    """
    # normalised tokens: (B, N, D)
    # query, key and value: (B, heads, N, D // heads)
    # tokens after attention: (B, N, D)
    # hidden features of the MLP: (B, N, hidden)
    ### BEGIN SOLUTION
    normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
    query, key, value = split_heads(normed, block.attention, heads)
    if maps is not None:
        maps.append(attention_weights(query, key, is_real))
    x = x + join_heads(attention(query, key, value, is_real), block.attention)
    normed = layer_norm(x, block.mlp_norm.weight, block.mlp_norm.bias, eps)
    hidden = gelu(run_linear(normed, block.mlp.expand))
    return x + run_linear(hidden, block.mlp.contract)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_run_block", "locked": true, "points": 13, "solution": false, "schema_version": 3}
checks.check(run_block)

# %% [markdown]
# ## 9 · Attention in blocks of keys
#
# The published model has 2593 tokens. Its attention weights are $2593^2$ numbers for each head: 27 MB, and
# much more than the output, which has $2593 \cdot 64$. They need not all exist at once. Each output is a
# sum over keys, divided by another sum over keys, and both can be added up from one block of keys to the
# next:
#
# $$o_i = \frac{u_i}{\ell_i}, \qquad u_i = \sum_j e^{s_{ij} - m_i} v_j, \qquad
# \ell_i = \sum_j e^{s_{ij} - m_i}, \qquad m_i = \max_j s_{ij}$$
#
# The maximum is known only after the last block. **Online softmax** subtracts the largest score *so far*.
# When a block of keys raises it from $m$ to $m'$, the sums so far are multiplied by $e^{m - m'}$, as if
# $m'$ had been subtracted from the beginning. So, for each block of `size` keys (the last one may be
# shorter):
#
# $$m' = \max\bigl(m, \max_{j \in \text{block}} s_{ij}\bigr)$$
#
# $$\ell \leftarrow e^{m - m'} \ell + \sum_{j \in \text{block}} e^{s_{ij} - m'}, \qquad
# u \leftarrow e^{m - m'} u + \sum_{j \in \text{block}} e^{s_{ij} - m'} v_j, \qquad m \leftarrow m'$$
#
# Begin with $\ell = 0$, $u = 0$ and $m = -10^{30}$, which is below every score. The **exponentials** of
# padding are 0 (set them so with `np.where`, even if the scores of padding were replaced before); a query
# without any real key ends with $\ell = 0$ and gets the output 0, so do not divide by 0 there.
#
# **Example.** One query with the scores `[0, ln 2, ln 8]` and the values `[8, 4, 2]`, in blocks of 2 keys.
# After the first block, $m = \ln 2$, $\ell = 0.5 + 1 = 1.5$ and $u = 0.5 \cdot 8 + 1 \cdot 4 = 8$. The
# second block raises $m$ to $\ln 8$: the factor is $2 / 8 = 0.25$, so $\ell = 0.25 \cdot 1.5 + 1 = 1.375$
# and $u = 0.25 \cdot 8 + 1 \cdot 2 = 4$. The output is $4 / 1.375 = 2.909$.
#
# The last check has 5 queries and 40,009 keys, and measures the memory that your function takes.


# %% nbgrader={"grade": false, "grade_id": "attend_in_blocks", "locked": false, "solution": true, "schema_version": 3}
def attend_in_blocks(query, key, value, is_real, size):
    """Return what `attention` returns, computed for `size` keys at a time by an online softmax.

    At most N x size scores of each head exist at a time.

    Args:
        query: (B, heads, N, d)
        key: (B, heads, M, d)
        value: (B, heads, M, d)
        is_real: (B, M), boolean, True for real keys; None: all are.
        size: keys in a block, at least 1; the last block may be shorter.

    Returns:
        (B, heads, N, d)
    """
    # largest score so far, and denominator: (B, heads, N, 1)
    # numerator: (B, heads, N, d)
    # in each block, scores and their exponentials: (B, heads, N, size)
    ### BEGIN SOLUTION
    highest = np.full((*query.shape[:3], 1), -1e30, query.dtype)
    total, output = np.zeros_like(highest), np.zeros_like(query)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores = query @ np.swapaxes(key[:, :, part], -1, -2) / math.sqrt(query.shape[-1])
        mask = True if is_real is None else is_real[:, None, None, part]
        scores = np.where(mask, scores, -1e30)
        larger = np.maximum(highest, scores.max(axis=-1, keepdims=True))
        weights = np.where(mask, np.exp(scores - larger), 0)
        shrink = np.exp(highest - larger)
        total = shrink * total + weights.sum(axis=-1, keepdims=True)
        output = shrink * output + weights @ value[:, :, part]
        highest = larger
    return output / np.where(total == 0, 1, total)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attend_in_blocks", "locked": true, "points": 17, "solution": false, "schema_version": 3}
checks.check(attend_in_blocks)

# %% [markdown]
# ## Your functions at work
#
# The trained model of the package has four blocks. Here your `run_block` runs all of them on a clip: 12
# patches of video and 6 of audio, and before them `cls`, a token whose output summarises the clip. The
# picture shows where `cls` attends in the last block, averaged over the heads: patches with large weights
# are bright.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_attention", "locked": true, "solution": false, "schema_version": 3}
import matplotlib.pyplot as plt

from minitvlt.views.figures import to_rgb, tokens_to_pixels

params = mt.load("shapes-small")
config, blocks = params.config, params.encoder.blocks
clip = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(4), 1)
theirs = mt.forward(params, clip.video, clip.audio, return_hidden=True)

tokens, maps = theirs.hidden[0], []  # (1, 19, 64): cls, 12 of video, 6 of audio
if checks.are_written(run_block, layer_norm, softmax, gelu, split_heads, join_heads, attention):
    for block in blocks:
        tokens = run_block(tokens, block, config.num_attention_heads, config.layer_norm_eps, None, maps)
    print("as the model's output:", np.allclose(tokens, theirs.hidden[-1], atol=1e-3))

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture_attention_map", "locked": true, "solution": false, "schema_version": 3}
if not maps:
    print("The picture needs the attention weights that run_block appends to maps.")
else:
    weights = maps[-1][0].mean(axis=0)[:1]  # (1, 19): those of cls
    frames, sound = clip.video[0], clip.audio[0, 0]
    sizes = config.image_patch_size, (len(frames), *frames.shape[2:]), config.audio_patch_size, sound.shape
    on_frames = tokens_to_pixels(weights[:, 1:13] / weights[:, 1:13].max(), *sizes[:2])[0]  # (T, H, W)
    on_sound = tokens_to_pixels(weights[:, 13:] / weights[:, 13:].max(), *sizes[2:])[0]  # (S, F)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 2.4), width_ratios=(3, 1.4), layout="constrained")
    left.imshow(to_rgb((frames + 1) * (0.2 + 0.8 * on_frames[:, None]) - 1))
    for t in range(1, len(frames)):
        left.axvline(t * frames.shape[-1] - 0.5, color="white", linewidth=4)  # between two frames
    dimmed = (sound + 1) * (0.2 + 0.8 * on_sound) - 1
    right.imshow(dimmed.T, origin="lower", cmap="magma", aspect="auto", vmin=-1, vmax=1)
    left.set(title=f"frames: {weights[0, 1:13].sum():.0%} of the weight of cls", xticks=[], yticks=[])
    right.set(title=f"spectrogram: {weights[0, 13:].sum():.0%}", xticks=[], yticks=[])
    plt.show()
