# %% [markdown]
# # Assignment 4 · Backpropagation
#
# You write the derivatives of the functions that a transformer consists of, a tape that applies the chain
# rule to any program made of them, and a check that finds wrong gradients. At the end your own tape
# differentiates a transformer block, and your own check shows that the result is right.
#
# **You write** ten functions: `linear_vjp`, `gelu_vjp`, `softmax_vjp`, `layer_norm_vjp`, `attention_vjp`,
# `sum_to_shape`, `record`, `backward`, `measure_slope`, `check_gradients`. None needs more than fifteen
# lines.
#
# **Time:** about four hours. **Points:** 112. **Before this:** NumPy, the chain rule, and the notebook [06 ·
# Backpropagation](../06_backpropagation.ipynb), which derives all formulas that you need here.
#
# **How to work:** replace `raise NotImplementedError(…)` by your code and keep the name and the arguments of
# each function. Run the cell below it: it checks your function on small inputs, says what came and what was
# expected, and gives points for each part. Every function is checked by itself, so you can skip one and come
# back. Write NumPy; the functions of the package with the same names are not accepted.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "solution": false, "schema_version": 3}
from itertools import count

import checks
import numpy as np
from scipy.special import ndtr  # Φ, the cumulative normal distribution

# %% [markdown]
# ## Words and rules
#
# $L$ is the loss, a scalar. The **cotangent** of an array is the derivative of $L$ with respect to each of
# its elements: an array of the same shape. If $y = f(x)$ and $g$ is the cotangent of $y$, the
# **vector-Jacobian product** (VJP) of $f$ gives the cotangent of $x$:
#
# $$\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}$$
#
# Rules for all functions: `*batch` means any number of axes, also none. Never change an argument in place.
# Arrays in float32 give results in float32: take care that no float64 number from NumPy, such as
# `np.sqrt(3)`, is multiplied with them, and use Python's numbers (`3**0.5`) instead.

# %% [markdown]
# ## 1 · Linear (10 points)
#
# A linear map turns each row $x$ into $y = x W^\top + b$. All rows use the same $W$ and $b$, so their
# contributions to $\partial L / \partial W$ and $\partial L / \partial b$ are added up:
#
# $$\frac{\partial L}{\partial x} = g \, W \qquad
# \frac{\partial L}{\partial W} = \sum_{\text{rows}} g^\top x \qquad
# \frac{\partial L}{\partial b} = \sum_{\text{rows}} g$$
#
# Example: for the single row $x = (1, 2)$ with $W$ of three rows $(1, 0), (2, 1), (0, 3)$ and $g = (1, 0,
# 2)$ the cotangent of $x$ is $1 \cdot (1, 0) + 0 \cdot (2, 1) + 2 \cdot (0, 3) = (1, 6)$, that of $W$ has
# the rows $(1, 2), (0, 0), (2, 4)$, and that of $b$ is $(1, 0, 2)$.


# %% nbgrader={"grade": false, "grade_id": "linear_vjp", "locked": false, "solution": true, "schema_version": 3}
def linear_vjp(g, x, weight):
    """The VJP of y = x Wᵀ + b, summed over all rows for weight and bias.

    Args:
        g: (*batch, out), the cotangent of y.
        x: (*batch, in).
        weight: (out, in).

    Returns:
        The cotangents of x (*batch, in), of the weight (out, in), and of the bias (out,).
    """
    # of x: (*batch, out) times (out, in) -> (*batch, in)
    # rows of g: (rows, out), rows of x: (rows, in), where rows is the product of all batch axes
    # of the weight: sums over rows -> (out, in)
    # of the bias: sums over rows -> (out,)
    ### BEGIN SOLUTION
    g_rows = g.reshape(-1, weight.shape[0])
    x_rows = x.reshape(-1, weight.shape[1])
    return g @ weight, g_rows.T @ x_rows, g_rows.sum(axis=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_linear_vjp", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(linear_vjp)

# %% [markdown]
# ## 2 · GELU (9 points)
#
# $y = x \, \Phi(x)$, element by element, where $\Phi$ is the cumulative normal distribution
# (`scipy.special.ndtr`). Its derivative is the density $\varphi(x) = e^{-x^2/2} / \sqrt{2\pi}$, so the
# product rule gives
#
# $$\frac{dy}{dx} = \Phi(x) + x \, \varphi(x)$$
#
# Example: at $x = 1$ it is $\Phi(1) + 1 \cdot \varphi(1) = 0.8413 + 0.2420 = 1.0833$; with $g = 2$ the
# cotangent of $x$ is 2.1666.


# %% nbgrader={"grade": false, "grade_id": "gelu_vjp", "locked": false, "solution": true, "schema_version": 3}
def gelu_vjp(g, x):
    """The VJP of y = x Φ(x), the exact GELU and not one of its approximations.

    Args:
        g: any shape, the cotangent of y.
        x: the same shape.

    Returns:
        The cotangent of x, of the same shape.
    """
    # φ(x), then the derivative of y, then times g: all have the shape of x
    ### BEGIN SOLUTION
    density = np.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5
    return g * ndtr(x) + g * x * density
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_gelu_vjp", "locked": true, "points": 9, "solution": false, "schema_version": 3}
checks.check(gelu_vjp)

# %% [markdown]
# ## 3 · Softmax (9 points)
#
# $y_i = e^{x_i} / \sum_l e^{x_l}$ for each row. Each $x_i$ is in the numerator of its own $y_i$ and in the
# denominator of all $y_j$ of the row. With $\delta_{ij}$, which is 1 for $i = j$ and else 0, this gives
#
# $$\frac{\partial y_j}{\partial x_i} = y_j (\delta_{ij} - y_i) \qquad
# \frac{\partial L}{\partial x_i} = y_i \Bigl(g_i - \sum_j g_j \, y_j\Bigr)$$
#
# The function gets $y$, the result of the softmax: $x$ is not needed any more.
#
# Example: for $y = (0.5, 0.25, 0.25)$ and $g = (2, 0, 4)$ the sum is $1 + 0 + 1 = 2$, and the cotangent of
# $x$ is $(0, -0.5, 0.5)$. Its sum is 0, because adding a number to all $x_i$ changes nothing.


# %% nbgrader={"grade": false, "grade_id": "softmax_vjp", "locked": false, "solution": true, "schema_version": 3}
def softmax_vjp(g, y):
    """The VJP of a softmax over the last axis, from its result.

    Args:
        g: (*batch, n), the cotangent of y.
        y: (*batch, n), the result of the softmax; each row sums to 1.

    Returns:
        The cotangent of the softmax's argument, (*batch, n).
    """
    # the sum over each row -> (*batch, 1)
    ### BEGIN SOLUTION
    weighted = g * y
    return weighted - y * weighted.sum(axis=-1, keepdims=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_softmax_vjp", "locked": true, "points": 9, "solution": false, "schema_version": 3}
checks.check(softmax_vjp)

# %% [markdown]
# ## 4 · LayerNorm (12 points)
#
# For each row of $D$ features $z = (x - \mu) / \sigma$ with the mean $\mu$ and $\sigma =
# \sqrt{\text{variance} + \varepsilon}$, and $y = w z + b$, element by element. The variance is the mean of
# the squared deviations. With the cotangent $h = g \, w$ of $z$, and $\langle a \rangle$ for the mean of a
# row,
#
# $$\frac{\partial L}{\partial x} = \frac{1}{\sigma} \bigl(h - \langle h \rangle - z \, \langle h z \rangle\bigr)$$
#
# $$\frac{\partial L}{\partial w} = g \, z \qquad \frac{\partial L}{\partial b} = g$$
#
# Here the last two are **not** summed over the rows: they keep the shape of $x$. Summing is left to
# `sum_to_shape` (section 6), because $w$ and $b$ were broadcast to all rows.
#
# Example: the row $x = (1, 1, 3, 3)$ has $\mu = 2$, $\sigma = 1$ (without $\varepsilon$) and $z = (-1, -1,
# 1, 1)$. For $w = (1, 1, 1, 1)$ and $g = (4, 0, 0, 0)$ we get $\langle h \rangle = 1$ and $\langle h z
# \rangle = -1$, so the cotangent of $x$ is $(4, 0, 0, 0) - 1 + z = (2, -2, 0, 0)$.


# %% nbgrader={"grade": false, "grade_id": "layer_norm_vjp", "locked": false, "solution": true, "schema_version": 3}
def layer_norm_vjp(g, x, weight, eps):
    """The VJP of LayerNorm over the last axis.

    Args:
        g: (*batch, D), the cotangent of y.
        x: (*batch, D).
        weight: (D,).
        eps: is added to the variance.

    Returns:
        Three arrays (*batch, D): the cotangent of x, and for each row the contributions to the cotangents of
        weight and bias, which are not summed here.
    """
    # mean and σ of each row: (*batch, 1)
    # z, and h, the cotangent of z: (*batch, D)
    # two means of each row: (*batch, 1)
    ### BEGIN SOLUTION
    centred = x - x.mean(axis=-1, keepdims=True)
    sigma = ((centred**2).mean(axis=-1, keepdims=True) + eps) ** 0.5
    z = centred / sigma
    h = g * weight
    h = h - h.mean(axis=-1, keepdims=True) - z * (h * z).mean(axis=-1, keepdims=True)
    return h / sigma, g * z, g
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_layer_norm_vjp", "locked": true, "points": 12, "solution": false, "schema_version": 3}
checks.check(layer_norm_vjp)

# %% [markdown]
# ## 5 · Attention (14 points)
#
# For each clip and head: the scores are $S = Q K^\top / \sqrt d$, the weights $P =
# \operatorname{softmax}(S)$ row by row, the result is $O = P V$. The function computes $P$ again and then
# goes back step by step. With $G$, the cotangent of $O$:
#
# $$\frac{\partial L}{\partial V} = P^\top G \qquad R = \operatorname{softmax\_vjp}(G V^\top, P)$$
#
# $$\frac{\partial L}{\partial Q} = \frac{R K}{\sqrt d} \qquad
# \frac{\partial L}{\partial K} = \frac{R^\top Q}{\sqrt d}$$
#
# Keys that are padding (`is_real` is False) have weight 0: they get no gradient, and give none. In a clip
# without any real key all weights are 0. Subtract the maximum of each row of scores before `np.exp`, so that
# large scores do not overflow. You may call your `softmax_vjp`; while this function is checked, a right one
# stands in its place.
#
# Example with $d = 1$: the query $0$, the keys $1$ and $3$, the values $2$ and $6$, and $G = 1$. Both scores
# are 0, so $P = (0.5, 0.5)$. Then $\partial L / \partial V = (0.5, 0.5)$ and $G V^\top = (2, 6)$, whose
# weighted sum is 4. So $R = (0.5 \cdot (2 - 4), 0.5 \cdot (6 - 4)) = (-1, 1)$ and $\partial L / \partial Q =
# -1 \cdot 1 + 1 \cdot 3 = 2$.


# %% nbgrader={"grade": false, "grade_id": "attention_vjp", "locked": false, "solution": true, "schema_version": 3}
def attention_vjp(g, query, key, value, is_real):
    """The VJP of softmax(Q Kᵀ / √d) V over the real keys.

    Args:
        g: (B, heads, N, d), the cotangent of the result.
        query: (B, heads, N, d).
        key: (B, heads, M, d).
        value: (B, heads, M, d).
        is_real: boolean (B, M), False for keys that are padding; None if all are real.

    Returns:
        The cotangents of query (B, heads, N, d), of key and of value (B, heads, M, d).
    """
    # scores: (B, heads, N, d) times (B, heads, d, M) -> (B, heads, N, M)
    # is_real for these: (B, 1, 1, M)
    # weights, over the real keys: (B, heads, N, M)
    # cotangent of the weights: (B, heads, N, d) times (B, heads, d, M) -> (B, heads, N, M)
    # cotangent of the scores: (B, heads, N, M)
    ### BEGIN SOLUTION
    root = query.shape[-1] ** 0.5
    real = True if is_real is None else is_real[:, None, None, :]
    scores = np.where(real, query @ key.swapaxes(-1, -2) / root, -1e30)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = np.where(real, exponentials / exponentials.sum(axis=-1, keepdims=True), 0.0)
    g_scores = softmax_vjp(g @ value.swapaxes(-1, -2), weights)
    return g_scores @ key / root, g_scores.swapaxes(-1, -2) @ query / root, weights.swapaxes(-1, -2) @ g
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_attention_vjp", "locked": true, "points": 14, "solution": false, "schema_version": 3}
checks.check(attention_vjp)

# %% [markdown]
# ## 6 · Undoing broadcasting (10 points)
#
# In `x + b` with shapes $(2, 3)$ and $(3,)$ NumPy repeats $b$ for each row. An element that was repeated
# contributes to $L$ through all its copies, so its cotangent is the **sum** over the copies. Broadcasting
# does two things: it adds axes in front, and it repeats along axes of length 1. Both are undone here.
#
# Example: for $g$ with the rows $(1, 2, 3)$ and $(10, 20, 30)$ an array of the shape $(3,)$ gets $(11, 22,
# 33)$, one of the shape $(2, 1)$ gets $((6), (60))$, and one of the shape $()$, a number, gets 66.


# %% nbgrader={"grade": false, "grade_id": "sum_to_shape", "locked": false, "solution": true, "schema_version": 3}
def sum_to_shape(g, like):
    """Undo broadcasting: the cotangent of an element that was repeated is the sum over its copies.

    Args:
        g: the cotangent of an array that `like` was broadcast to.
        like: an array with at most as many axes as g; its values do not matter.

    Returns:
        An array of the shape of `like`.
    """
    # axes in front that like does not have: summed and gone
    # axes of length 1 in like and longer in g: summed and kept, with length 1
    ### BEGIN SOLUTION
    while g.ndim > like.ndim:
        g = g.sum(axis=0)
    for axis, length in enumerate(like.shape):
        if length == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_sum_to_shape", "locked": true, "points": 10, "solution": false, "schema_version": 3}
checks.check(sum_to_shape)

# %% [markdown]
# ## 7 · Recording (9 points)
#
# A **tape** remembers how each array was computed, so that the chain rule can be applied afterwards. An
# array on the tape is a `TapeArray`. It holds its value; its *parents*, the arrays that it was computed
# from; and `vjp`, a function that turns its cotangent into a tuple with one contribution for each parent.
# Parameters have no parents. Arrays that are made later have larger numbers.

# %% nbgrader={"grade": false, "grade_id": "given_tape_array", "locked": true, "solution": false, "schema_version": 3}
numbers = count()  # 0, 1, 2, …


class TapeArray:
    """An array that knows what it was computed from."""

    def __init__(self, value, parents=(), vjp=None):
        self.value, self.parents, self.vjp = value, parents, vjp
        self.number = next(numbers)  # parents have smaller numbers than what is computed from them
        self.cotangent = None  # backward puts it here


# %% [markdown]
# `record` makes the entry for a result. Some parents may be constants: plain arrays, numbers, or None for a
# bias that is not there. They get no gradient, so None stands in their place among the parents. If *all* are
# constants, the result is a constant too, and there is nothing to record.
#
# Example: with `x = TapeArray(np.array(3.0))` the square is recorded by `y = record(x.value * x.value, (x,
# x), vjp)`, where `vjp(g)` returns the tuple `(g * 3.0, g * 3.0)`. Then `y.value` is 9 and `y.parents` is
# `(x, x)`. For `record(x.value * 5.0, (x, 5.0), vjp)` the parents are `(x, None)`, and `record(20.0, (4.0,
# 5.0), vjp)` is 20.0.


# %% nbgrader={"grade": false, "grade_id": "record", "locked": false, "solution": true, "schema_version": 3}
def record(value, parents, vjp):
    """Record a value that was computed from other arrays.

    Args:
        value: the result, a plain array.
        parents: a tuple of what it was computed from: TapeArrays and constants.
        vjp: takes the cotangent of the result, and returns a tuple with one contribution for each parent.

    Returns:
        A TapeArray with the value, the parents (a tuple, with None for each constant) and the VJP. If no parent
        is a TapeArray, the value itself.
    """
    # isinstance(parent, TapeArray) tells whether a parent is recorded
    ### BEGIN SOLUTION
    recorded = tuple(parent if isinstance(parent, TapeArray) else None for parent in parents)
    if all(parent is None for parent in recorded):
        return value
    return TapeArray(value, recorded, vjp)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_record", "locked": true, "points": 9, "solution": false, "schema_version": 3}
checks.check(record)

# %% [markdown]
# ## 8 · Backward (16 points)
#
# `backward` starts at the output, whose cotangent is given or 1, and visits the arrays that it was computed
# from, **the one with the largest number first**. All that was computed from this array was made later, so
# it has been visited, and the cotangent is complete. An array that is used several times gets the sum of the
# contributions of all uses:
#
# $$\frac{\partial L}{\partial x} = \sum_{\text{uses of } x} \text{contribution of this use}$$
#
# Example: for $a = 2 x$ and $y = a \cdot a$ with $x = 3$, `backward(y)` visits $y$ (cotangent 1), then $a$
# (6 from each of its two uses, 12 together), then $x$ ($2 \cdot 12 = 24$). To visit $a$ after its first
# contribution, and again after the second, would be wrong: $x$ would get $2 \cdot 6 + 2 \cdot 12$.
#
# What else is to be done: contributions go through `sum_to_shape`, since a parent may have been broadcast.
# Parents that are None are skipped. A second call of `backward` computes all again: it must not add to the
# cotangents of the first, and it needs the record as it was. Two parents may get the same array as
# contribution, so `+=` on an array is not allowed. A chain may have thousands of steps: Python does not
# allow so deep a recursion, so use a loop.


# %% nbgrader={"grade": false, "grade_id": "backward", "locked": false, "solution": true, "schema_version": 3}
def backward(output, cotangent=None):
    """Compute the cotangents of all arrays that `output` was computed from.

    Afterwards `array.cotangent` of each of them, and of the output itself, is the derivative of the output,
    weighted by `cotangent`, with respect to `array.value`: an array of the same shape. Each VJP is called once.

    Args:
        output: a TapeArray.
        cotangent: an array of the shape of output.value; None means ones.
    """
    # waiting: the arrays that have been reached and not visited, each with its cotangent so far
    # visit the latest: store its cotangent, call its vjp, hand the contributions to its parents
    ### BEGIN SOLUTION
    waiting = {output: np.ones_like(output.value) if cotangent is None else cotangent}
    while waiting:
        latest = max(waiting, key=lambda array: array.number)
        g = latest.cotangent = waiting.pop(latest)
        contributions = latest.vjp(g) if latest.parents else ()
        for parent, contribution in zip(latest.parents, contributions, strict=True):
            if parent is not None:
                contribution = sum_to_shape(contribution, parent.value)
                waiting[parent] = waiting[parent] + contribution if parent in waiting else contribution
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_backward", "locked": true, "points": 16, "solution": false, "schema_version": 3}
checks.check(backward)

# %% [markdown]
# ## 9 · Measuring a slope (7 points)
#
# How do you know that a gradient is right? Compare it with its definition. Move all arrays $\theta$ by a
# small step $\epsilon$ along a direction $v$, forwards and backwards; this **central difference** is the
# slope of $L$ along $v$, up to an error of the order $\epsilon^2$:
#
# $$\text{slope} = \frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon}$$
#
# The difference of two nearly equal numbers has few digits, so it is computed in float64, whatever the dtype
# of the arrays is.
#
# Example: for $L = x^3$ at $x = 2$ with $v = 1$ and $\epsilon = 0.5$ it is $(15.625 - 3.375) / 1 = 12.25$.
# The derivative is 12, and the error $\epsilon^2 = 0.25$.


# %% nbgrader={"grade": false, "grade_id": "measure_slope", "locked": false, "solution": true, "schema_version": 3}
def measure_slope(function, arrays, directions, step):
    """The slope of a function along a direction, by a central difference in float64.

    Args:
        function: takes all arrays, as function(*arrays), and returns a number.
        arrays: a list of arrays in float32 or float64.
        directions: a list of arrays of the same shapes.
        step: how far all arrays are moved, times the directions, in both senses.

    Returns:
        The slope, a number.
    """
    # all arrays as float64, moved by +step: a list of the same shapes; and by -step
    ### BEGIN SOLUTION
    ahead, behind = [], []
    for array, direction in zip(arrays, directions, strict=True):
        exact = array.astype(np.float64)
        ahead.append(exact + step * direction)
        behind.append(exact - step * direction)
    return (function(*ahead) - function(*behind)) / (2 * step)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_measure_slope", "locked": true, "points": 7, "solution": false, "schema_version": 3}
checks.check(measure_slope)

# %% [markdown]
# ## 10 · Checking gradients (16 points)
#
# The slope along $v$ must equal the sum of all derivatives, each times its element of $v$:
#
# $$\text{slope} \approx \text{sum} = \sum_{\text{arrays}} \sum_i g_i \, v_i$$
#
# A random direction, drawn from the normal distribution, shows almost every error. All directions come from
# **one** generator, one after the other: if each array had its own generator with the same seed, arrays of
# one shape would get the same direction, and two exchanged gradients would not show. Try three directions
# with the step $10^{-5}$, and accept only if for all of them
#
# $$|\text{slope} - \text{sum}| \le \text{tolerance} \cdot \max(|\text{slope}|, |\text{sum}|)$$
#
# Example: for a slope of 2.00001 and a sum of 2 the left side is $10^{-5}$, and the right side with the
# tolerance $10^{-5}$ is $2.00001 \cdot 10^{-5}$: accepted. Any comparison with NaN is False, so a gradient
# of NaN is rejected by this formula, but accepted if you ask whether the left side is *larger* and reject
# then.


# %% nbgrader={"grade": false, "grade_id": "check_gradients", "locked": false, "solution": true, "schema_version": 3}
def check_gradients(function, arrays, gradients, rng, tolerance=1e-5):
    """Whether gradients agree with slopes along three random directions.

    Args:
        function: takes all arrays, as function(*arrays), and returns a number.
        arrays: a list of arrays in float32 or float64.
        gradients: a list of arrays of the same shapes, which may be wrong.
        rng: a NumPy random generator, from which all directions are drawn by rng.normal.
        tolerance: the largest relative difference that is accepted.

    Returns:
        True or False.
    """
    # for each of three directions: a list of random arrays with the shapes of the arrays
    # slope, a number, by measure_slope; the sum of gradients times directions, a number
    ### BEGIN SOLUTION
    for _ in range(3):
        directions = [rng.normal(size=array.shape) for array in arrays]
        slope = measure_slope(function, arrays, directions, 1e-5)
        total = sum(np.sum(g * v) for g, v in zip(gradients, directions, strict=True))
        if not abs(slope - total) <= tolerance * max(abs(slope), abs(total)):
            return False
    return True
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_check_gradients", "locked": true, "points": 16, "solution": false, "schema_version": 3}
checks.check(check_gradients)

# %% [markdown]
# ## Your tape at work
#
# Each VJP becomes a function on your tape by one line: compute the value, name the parents, hand over the
# VJP. With plain arrays alone nothing is recorded, so the same text computes the loss for your gradient
# check.


# %% nbgrader={"grade": false, "grade_id": "given_functions", "locked": true, "solution": false, "schema_version": 3}
def value_of(x):
    """The plain array."""
    return x.value if isinstance(x, TapeArray) else x


def add(x, y):
    """x + y"""
    return record(value_of(x) + value_of(y), (x, y), lambda g: (g, g))


def total(x):
    """The sum of all elements."""
    return record(np.sum(value_of(x)), (x,), lambda g: (g * np.ones_like(value_of(x)),))


def linear(x, weight, bias):
    """x Wᵀ + b"""
    a, w = value_of(x), value_of(weight)
    return record(a @ w.T + value_of(bias), (x, weight, bias), lambda g: linear_vjp(g, a, w))


def gelu(x):
    """x Φ(x)"""
    a = value_of(x)
    return record(a * ndtr(a), (x,), lambda g: (gelu_vjp(g, a),))


def layer_norm(x, weight, bias):
    """LayerNorm over the last axis, with ε = 10⁻⁶."""
    a, w = value_of(x), value_of(weight)
    z = (a - a.mean(axis=-1, keepdims=True)) / np.sqrt(a.var(axis=-1, keepdims=True) + 1e-6)
    return record(z * w + value_of(bias), (x, weight, bias), lambda g: layer_norm_vjp(g, a, w, 1e-6))


def attention(query, key, value):
    """Attention without padding."""
    q, k, v = value_of(query), value_of(key), value_of(value)
    exponentials = np.exp(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5)
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return record(weights @ v, (query, key, value), lambda g: attention_vjp(g, q, k, v, None))


# %% [markdown]
# A transformer block with one head, for one clip: $a = x + \text{Attention}(\text{LayerNorm}(x))$, then $y =
# a + \text{MLP}(\text{LayerNorm}(a))$. The loss is the sum of `gelu(y)`. The tokens have the shape $(1, 1,
# N, d)$, so that `attention` takes them as they are.


# %% nbgrader={"grade": false, "grade_id": "given_block", "locked": true, "solution": false, "schema_version": 3}
def compute_loss(x, norm_weight, norm_bias, *maps):
    """The loss of a transformer block."""
    normed = layer_norm(x, norm_weight, norm_bias)
    query, key, value = (linear(normed, maps[2 * i], maps[2 * i + 1]) for i in range(3))
    a = add(x, attention(query, key, value))
    hidden = gelu(linear(layer_norm(a, norm_weight, norm_bias), maps[6], maps[7]))
    return total(gelu(add(a, linear(hidden, maps[8], maps[9]))))


def draw_block(rng, N=7, d=5):
    """Tokens and parameters of a block."""
    sizes = [(1, 1, N, d), (d,), (d,), *3 * ((d, d), (d,)), (2 * d, d), (2 * d,), (d, 2 * d), (d,)]
    return [rng.normal(size=size) * 0.5 for size in sizes]


# %% [markdown]
# The next cell computes the gradient of all 13 arrays by your tape, and then the slope along one random
# direction with your `measure_slope`, for steps from $10^{-12}$ to 1. The figure shows how far slope and
# gradient differ.
#
# What to expect: a V. On the right the error falls with $\epsilon^2$, as the difference comes closer to the
# derivative. On the left it rises with $1 / \epsilon$, as rounding is divided by a smaller and smaller step.
# The best step is near $10^{-6}$. The dashed line is the same with two gradients exchanged: no step makes
# its error small. If your solid line is flat too, a gradient is wrong.

# %% tags=["picture"] nbgrader={"grade": false, "grade_id": "picture", "locked": true, "solution": false, "schema_version": 3}
import matplotlib.pyplot as plt


def compare_over_steps(arrays, gradients, steps):
    """The relative difference of slope and gradients for each step, along one direction."""
    rng = np.random.default_rng(3)
    directions = [rng.normal(size=array.shape) for array in arrays]
    expected = sum(np.sum(g * v) for g, v in zip(gradients, directions, strict=True))
    slopes = [measure_slope(compute_loss, arrays, directions, step) for step in steps]
    return [abs(slope / expected - 1) for slope in slopes]


def draw_picture():
    """The error of your gradients over the step, and that of exchanged gradients."""
    arrays, steps = draw_block(np.random.default_rng(4)), np.logspace(-12, 0, 49)
    recorded = [TapeArray(array) for array in arrays]
    backward(compute_loss(*recorded))
    gradients = [array.cotangent for array in recorded]
    exchanged = [gradients[i] for i in (0, 2, 1, *range(3, len(gradients)))]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.loglog(steps, compare_over_steps(arrays, gradients, steps), "k", label="your gradients")
    axes.loglog(steps, compare_over_steps(arrays, exchanged, steps), "k--", label="two exchanged")
    axes.set(
        xlabel=r"step $\epsilon$", ylabel="relative error", title="A gradient check of a transformer block"
    )
    axes.legend()
    agree = check_gradients(compute_loss, arrays, gradients, np.random.default_rng(5))
    print("your check says that your gradients are", "right" if agree else "wrong")
    plt.show()


if checks.are_written(
    linear_vjp, gelu_vjp, softmax_vjp, layer_norm_vjp, attention_vjp, sum_to_shape, record, backward
) and checks.are_written(measure_slope, check_gradients):
    draw_picture()
