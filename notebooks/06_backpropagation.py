# %% [markdown]
# # 06 · Backpropagation
#
# Training needs the derivative of the loss with respect to every parameter. **Backpropagation** computes all
# of them at once, for about the price of two more forward passes. In this notebook you write a tape that
# records computations, in thirty lines, and the derivatives of the four functions that a transformer consists
# of. Each is compared with the package; then the gradient of the whole model is checked.
#
# **You will be able to** write reverse-mode differentiation, derive a vector-Jacobian product, check a
# gradient by finite differences, and explain what happens between a loss and the step that reduces it.
#
# **Time to run:** about ten seconds. **Before this:** partial derivatives and the chain rule; the transformer
# block ([04](04_attention.ipynb)) and the whole model ([05](05_tvlt.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# The package has two sets of functions for NumPy arrays. We choose the plain ones here, so that the code that
# is shown is the code that runs; [10](10_faster.ipynb) is about the faster ones.

# %%
mt.use_kernels("plain")

# %% [markdown]
# ## One parameter
#
# Take a model with a single parameter $w$, the input $x$ and the target $t$. The loss is
#
# $$L = (w x - t)^2$$
#
# With the intermediate results $y = w x$ and $e = y - t$, the chain rule multiplies the derivatives of the
# steps:
#
# $$\frac{\partial L}{\partial w} = \frac{\partial L}{\partial e} \cdot
# \frac{\partial e}{\partial y} \cdot \frac{\partial y}{\partial w} = 2 e \cdot 1 \cdot x$$
#
# For $w = 3$, $x = 2$ and $t = 5$ this is $2 \cdot 1 \cdot 1 \cdot 2 = 4$.

# %% [markdown]
# ## Arrays
#
# Let $L$ be the loss, a scalar, and $x$ any array that it was computed from. The **cotangent** of $x$ is
# $\partial L / \partial x$: an array of the same shape with the derivative of $L$ with respect to each
# element. If $y = f(x)$ and $g$ is the cotangent of $y$, the chain rule gives that of $x$:
#
# $$\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}$$
#
# Here one index $i$ or $j$ counts all elements of an array. This sum is the **vector-Jacobian product** (VJP)
# of $f$: the row vector $g$ times the Jacobian, the matrix of all derivatives $\partial y_j / \partial x_i$
# (row $j$, column $i$). The Jacobian itself is never computed. With 600 inputs and 600 outputs it would have
# 360,000 elements, but for most functions the product takes about as long as the function itself.

# %% [markdown]
# ## A tape
#
# The computer can apply the chain rule, if it knows how each array was computed. So every result records its
# *parents*, the arrays that it was computed from, and its VJP: a function that turns the cotangent of the
# result into those of the parents. Such a record is called a **tape**. For a sum $x + y$ both parents get
# $g$; for a product $x y$ the first gets $g y$, the second $g x$.

# %%
from itertools import count

import numpy as np

numbers = count()  # later arrays get larger numbers


# %%
class Recorded:
    """An array that knows what it was computed from"""

    def __init__(self, value, parents=(), vjp=None):
        self.value, self.parents, self.vjp = np.asarray(value), parents, vjp
        self.cotangent, self.number = 0.0, next(numbers)

    def __add__(self, other):
        return Recorded(self.value + other.value, (self, other), lambda g: (g, g))

    def __sub__(self, other):
        return Recorded(self.value - other.value, (self, other), lambda g: (g, -g))

    def __mul__(self, other):
        return Recorded(self.value * other.value, (self, other), lambda g: (g * other.value, g * self.value))


# %% [markdown]
# **Backward** starts with the cotangent of the loss, $\partial L / \partial L = 1$. It goes through the
# record, the latest result first. When it reaches an array, everything that was computed from it was made
# later and has been visited, so its cotangent is complete. An array that is used several times gets the sum
# of all contributions.


# %%
def run_backward(output, g=1.0):
    output.cotangent = g
    waiting = {output}
    while waiting:
        latest = max(waiting, key=lambda recorded: recorded.number)
        waiting.remove(latest)
        if latest.vjp is not None:
            for parent, contribution in zip(latest.parents, latest.vjp(latest.cotangent), strict=True):
                parent.cotangent = parent.cotangent + contribution
                waiting.add(parent)


# %% [markdown]
# That is all: about thirty lines. Here is the example from above, and $y = x + x$, where $x$ gets $g + g$.

# %%
w, x, t = Recorded(3.0), Recorded(2.0), Recorded(5.0)
e = w * x - t
L = e * e
run_backward(L)
print("L:", L.value, "  by backward:", w.cotangent, "  by the formula:", 2 * e.value * x.value)
x = Recorded(np.arange(3.0))
run_backward(x + x, np.ones(3))
print("x + x:", x.cotangent)

# %% [markdown]
# The package's tape does the same. It has more operations, and undoes broadcasting (`sum_to_shape`): if an
# array was repeated to fit another, its cotangent is the sum over the copies. `waiting` is a heap, from which
# `heappop` takes the smallest entry, here the latest node. `conjugate` has no effect on real numbers.

# %%
from helpers.notebook import show, show_source
from minitvlt.backends import tape, tape_backend
from minitvlt.backends.tape import TapeArray, backward

show_source(tape.multiply, backward)

# %%
theirs = TapeArray(np.array(3.0))
backward((theirs * 2.0 - 5.0) ** 2)
print("as the package's:", np.array_equal(theirs.node.cotangent, w.cotangent))

# %% [markdown]
# ## The record as a graph
#
# What does such a record look like? The figure shows attention in a block of the small model, with LayerNorm
# before it and the residual connection after it. Square boxes are parameters and the input; round boxes are
# results, with the name of the function and the shape. Arrows point in the direction of the computation;
# cotangents go the opposite way. The tokens `x` are used twice, so two arrows leave them, and their cotangent
# is the sum of two contributions.

# %%
from minitvlt.model.transformer import run_attention, run_norm

params = mt.load("shapes-small")
config = params.config
rng = np.random.default_rng(6)
block = mt.map_tree(TapeArray, params.encoder.blocks[0])
tokens = TapeArray(rng.normal(size=(2, 19, 64)).astype(np.float32))
normed = run_norm(tokens, block.attention_norm, config.layer_norm_eps)
after = tokens + run_attention(normed, block.attention, config.num_attention_heads)

# %% tags=["thumbnail"]
from helpers.tape_graph import plot_tape

names = {array.node: name.split(".")[-1] for name, array in mt.flatten(block).items()}
figure = plot_tape(after, names | {tokens.node: "x"}, size=(14, 5.4))
show(figure, "A chain of boxes from x by layer_norm, linear, reshape and attention to a sum with x itself.")

# %% [markdown]
# ## Linear
#
# Now the VJPs that a transformer needs. A linear map turns a matrix $x$ of $n$ rows into $y = x A^\top + b$,
# that is $y_{ij} = \sum_k x_{ik} A_{jk} + b_j$. Let $g$ be the cotangent of $y$. The derivative of $y_{ij}$
# with respect to $A_{jk}$ is $x_{ik}$, for every row $i$. So $\partial L / \partial A_{jk} = \sum_i g_{ij}
# x_{ik}$, which is a matrix product:
#
# $$\frac{\partial L}{\partial A} = g^\top x$$
#
# In the same way $x_{ik}$ contributes to every $y_{ij}$ of its row, and $b_j$ is added to every row:
#
# $$\frac{\partial L}{\partial x} = g \, A$$
#
# $$\frac{\partial L}{\partial b_j} = \sum_i g_{ij}$$


# %%
def linear_vjp(g, x, A):
    return g @ A, g.T @ x, g.sum(axis=0)


# %%
x, A, b, g = (rng.normal(size=size) for size in ((5, 3), (2, 3), (2,), (5, 2)))
theirs = tape_backend.linear_vjp(g, x, A)
print("as the package's:", all(map(np.allclose, linear_vjp(g, x, A), theirs)))

# %% [markdown]
# So one product in the forward pass needs two products in the backward pass, which is why a training step
# costs about three times as much as a forward pass.

# %% [markdown]
# ## Softmax
#
# $y_i = e^{x_i} / \sum_l e^{x_l}$. Here $x_i$ occurs in the numerator of $y_i$ and in the denominator of
# every $y_j$, so by the quotient rule
#
# $$\frac{\partial y_j}{\partial x_i} = y_j (\delta_{ij} - y_i)$$
#
# where $\delta_{ij}$ is 1 if $i = j$ and else 0. Inserted into the VJP, the sum over $j$ becomes
#
# $$\frac{\partial L}{\partial x_i} = y_i \Bigl(g_i - \sum_j g_j y_j\Bigr)$$
#
# The mean of $g$, weighted by $y$, is subtracted, because adding the same number to all $x_i$ does not change
# $y$.


# %%
def softmax_vjp(g, y):
    return y * (g - (g * y).sum(axis=-1, keepdims=True))


# %% [markdown]
# The next cell computes the Jacobian for comparison. Its figure shows positive derivatives on the diagonal
# and negative ones elsewhere: the weights sum to 1, so when one grows, the others shrink.

# %%
x, g = rng.normal(size=(2, 6))
y = np.exp(x) / np.exp(x).sum()
jacobian = y[:, None] * (np.eye(6) - y)  # row j, column i
print("by the Jacobian:", np.allclose(softmax_vjp(g, y), g @ jacobian), end="   ")
print("as the package's:", np.allclose(softmax_vjp(g, y), tape_backend.softmax_vjp(g, y)))

# %%
from helpers.diagrams import new_axes, use_style
from minitvlt.views.figures import NEUTRAL_COLOUR

use_style()
figure, (left, right) = new_axes(1, 2, (9, 3.2), titles=("y", "∂y (rows) / ∂x (columns)"))
left.bar(range(6), y, color=NEUTRAL_COLOUR)
left.set_xlabel("i")
image = right.imshow(jacobian, cmap="PuOr", vmin=-0.25, vmax=0.25)
figure.colorbar(image, ax=right)
show(figure, "Bars of six weights, and their Jacobian with a positive diagonal and negative rest.")

# %% [markdown]
# ## LayerNorm
#
# LayerNorm computes $z = (x - \mu) / \sigma$ for a row $x$ of $D$ features, with its mean $\mu$ and standard
# deviation $\sigma$ (with $\varepsilon$ under the root, as in [04](04_attention.ipynb)), and returns
# $y = \gamma z + \beta$ with learnt $\gamma$ and $\beta$. The cotangent of $z$ is $g_z = \gamma g$, element
# by element. If $\mu$ and $\sigma$ were constant, that of $x$ would be $g_z / \sigma$.

# %% [markdown]
# But $\mu$ and $\sigma$ depend on each $x_i$: their derivatives with respect to $x_i$ are $1 / D$ and
# $z_i / D$. By the quotient rule, the derivative of $z_j$ with respect to $x_i$ is
# $(\delta_{ij} - 1 / D - z_i z_j / D) / \sigma$. Inserted into the VJP, with $\langle a \rangle$ for the mean
# of a row, this gives
#
# $$\frac{\partial L}{\partial x} = \frac{1}{\sigma}
# \bigl(g_z - \langle g_z \rangle - z \, \langle g_z z \rangle \bigr)$$
#
# Two components of $g_z$ are subtracted, because two kinds of change of $x$ leave $z$ as it is, up to the
# small $\varepsilon$: adding a constant to the whole row, which $\mu$ removes, and adding a multiple of $z$,
# which $\sigma$ removes. For $\gamma$ and $\beta$, over all rows of a batch,
#
# $$\frac{\partial L}{\partial \gamma} = \sum_{\text{rows}} g \, z$$
#
# $$\frac{\partial L}{\partial \beta} = \sum_{\text{rows}} g$$


# %%
def layer_norm_vjp(g, x, gamma, eps):
    sigma = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    z = (x - x.mean(axis=-1, keepdims=True)) / sigma
    g_z = gamma * g
    mean, mean_z = g_z.mean(axis=-1, keepdims=True), (g_z * z).mean(axis=-1, keepdims=True)
    return (g_z - mean - z * mean_z) / sigma, (g * z).sum(axis=0), g.sum(axis=0)


# %% [markdown]
# To compare a whole function with the package's, `pull_back` records arrays on the package's tape, applies
# the function, and runs `backward` from a given cotangent of the result.


# %%
def pull_back(function, g, *arrays):
    leaves = [TapeArray(array) for array in arrays]
    backward(function(*leaves), g)
    return [leaf.node.cotangent for leaf in leaves]


x, g = rng.normal(size=(2, 5, 7))
gamma, beta = rng.normal(size=(2, 7))
mine = layer_norm_vjp(g, x, gamma, 1e-6)
theirs = pull_back(lambda *a: tape_backend.layer_norm(*a, 1e-6), g, x, gamma, beta)
print("as the package's:", all(map(np.allclose, mine, theirs)))
print("the rows of the cotangent of x have mean 0:", np.allclose(mine[0].sum(axis=1), 0))

# %% [markdown]
# ## Attention
#
# Attention is made of products and a softmax. For one head, with queries, keys and values $q, k, v$ of shape
# $(N, d)$: the scores are $s = q k^\top / \sqrt d$, the weights $a = \operatorname{softmax}(s)$ row by row,
# and the output is $o = a v$. Let $g$ be the cotangent of $o$. Going backwards, the last product gives
#
# $$\frac{\partial L}{\partial v} = a^\top g$$

# %% [markdown]
# and $\partial L / \partial a = g v^\top$. The VJP of the softmax turns this into the cotangent $g_s$ of $s$,
# where $\odot$ is the elementwise product. The column $c$ with $c_i = \sum_j (g v^\top)_{ij} a_{ij}$ is
# subtracted from every column of $g v^\top$:
#
# $$g_s = a \odot \bigl(g v^\top - c\bigr)$$
#
# The first product gives the rest:
#
# $$\frac{\partial L}{\partial q} = \frac{g_s \, k}{\sqrt d}$$
#
# $$\frac{\partial L}{\partial k} = \frac{g_s^\top q}{\sqrt d}$$


# %%
def attention_vjp(g, q, k, v):
    root = np.sqrt(q.shape[-1])
    scores = q @ k.T / root
    a = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    g_s = softmax_vjp(g @ v.T, a)
    return g_s @ k / root, g_s.T @ q / root, a.T @ g


# %% [markdown]
# The weights are the largest array, with $N^2$ numbers for each head. They need not be stored: the VJP
# computes them again from $q$ and $k$. The package does the same, for all clips and heads at once.

# %%
q, k, v, g = rng.normal(size=(4, 5, 3))  # five tokens, d = 3
theirs = tape_backend.attention_vjp(*(each[None, None] for each in (g, q, k, v)), None)
mine = attention_vjp(g, q, k, v)
print("as the package's:", all(np.allclose(m, t[0, 0]) for m, t in zip(mine, theirs, strict=True)))
show_source(tape_backend.attention_vjp)

# %% [markdown]
# The sum over a row, $c_i = \sum_j (g_i \cdot v_j) a_{ij}$, equals $g_i \cdot o_i$: it can be computed from
# the output, without $a$. Kernels that work in blocks use this (Dao et al., 2022): they keep $o$ and the
# logarithm of the sum of exponentials of each row, and compute $a$ again block by block.

# %% [markdown]
# ## A small network on your tape
#
# Each VJP becomes a function on your tape by one line: compute the value, name the parents, hand over the
# VJP. `total` sums all elements, so that there is a scalar to start from.


# %%
def linear(x, A, b):
    value = x.value @ A.value.T + b.value
    return Recorded(value, (x, A, b), lambda g: linear_vjp(g, x.value, A.value))


def layer_norm(x, gamma, beta, eps=1e-6):
    z = (x.value - x.value.mean(axis=-1, keepdims=True)) / np.sqrt(x.value.var(axis=-1, keepdims=True) + eps)
    y = gamma.value * z + beta.value
    return Recorded(y, (x, gamma, beta), lambda g: layer_norm_vjp(g, x.value, gamma.value, eps))


# %%
def attention(q, k, v):
    scores = q.value @ k.value.T / np.sqrt(q.value.shape[-1])
    a = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Recorded(a @ v.value, (q, k, v), lambda g: attention_vjp(g, q.value, k.value, v.value))


def total(x):
    return Recorded(x.value.sum(), (x,), lambda g: (g * np.ones_like(x.value),))


# %% [markdown]
# The network is a block of one head without the MLP: x + Attention(LayerNorm(x)), with linear maps to
# queries, keys and values. The loss is the sum of all squared outputs. The same text runs on your tape and on
# the package's; only the functions differ, which are attributes of `f`.


# %%
def compute_small_loss(f, x, gamma, beta, *maps):
    y = f.layer_norm(x, gamma, beta, 1e-6)
    q, k, v = (f.linear(y, maps[2 * i], maps[2 * i + 1]) for i in range(3))
    out = x + f.attention(q, k, v)
    return f.total(out * out)


x, maps = rng.normal(size=(5, 4)), [rng.normal(size=size) for size in 3 * ((4, 4), (4,))]
arrays = [x, *rng.normal(size=(2, 4)), *maps]

# %%
from types import SimpleNamespace

mine = SimpleNamespace(linear=linear, layer_norm=layer_norm, attention=attention, total=total)
recorded = [Recorded(array) for array in arrays]
run_backward(compute_small_loss(mine, *recorded))
theirs = SimpleNamespace(
    linear=tape_backend.linear, layer_norm=tape_backend.layer_norm, total=tape_backend.sum
)
theirs.attention = lambda *a: tape_backend.attention(*(each[None, None] for each in a))[0, 0]
by_package = pull_back(lambda *a: compute_small_loss(theirs, *a), np.array(1.0), *arrays)
same = [np.allclose(m.cotangent, t) for m, t in zip(recorded, by_package, strict=True)]
print("gradients that agree with the package's:", sum(same), "of", len(same))

# %% [markdown]
# ## Checking gradients
#
# A wrong gradient raises no error: the model still trains, only worse. So each gradient is compared with its
# definition: change one element by a small $\epsilon$ in both directions, and divide the difference of the
# losses by $2 \epsilon$,
#
# $$\frac{\partial L}{\partial x_i} \approx
# \frac{L(x + \epsilon \, \delta_i) - L(x - \epsilon \, \delta_i)}{2 \epsilon}$$
#
# where $\delta_i$ is 1 at position $i$ and else 0. This is a **central difference**. If $\epsilon$ is large,
# the higher derivatives of $L$ cause an error that grows with $\epsilon^2$. If it is very small, rounding
# causes an error that grows with $1 / \epsilon$.


# %%
def loss_of(x):
    return float(np.sum(np.log(1 + np.exp(x)) ** 2))


x = rng.normal(size=40)
leaf = TapeArray(x)
backward(tape_backend.sum(tape_backend.log(1 + tape_backend.exp(leaf)) ** 2))
steps, u = np.logspace(-12, 0, 49), np.eye(40)
errors = []
for step in steps:
    slopes = [(loss_of(x + step * one) - loss_of(x - step * one)) / (2 * step) for one in u]
    errors.append(np.abs(slopes - leaf.node.cotangent).max())
print("the best ε is near 1e-5:", 1e-7 < steps[np.argmin(errors)] < 1e-3)

# %% [markdown]
# The figure shows the largest error of the forty derivatives over $\epsilon$, both logarithmic: rounding on
# the left, higher derivatives on the right, and a minimum of about $10^{-9}$ between them.

# %%
figure, (axes,) = new_axes(size=(8, 3.4), x="ε", y="largest error")
axes.loglog(steps, errors, color="black")
show(figure, "A curve that falls, is lowest near 1e-5 and rises again, both axes logarithmic.")

# %% [markdown]
# ## The whole model
#
# `mt.value_and_grad` records all parameters, computes a loss, and returns it with the gradient: a tree like
# the parameters. Here is the loss of pre-training, which the next notebook minimises.

# %%
held_out = mt.ShapesWorld(config, split="held_out")
draws = np.random.default_rng(0)
batch = mt.make_batch(held_out.sample(draws, 8), config, draws)
exact = mt.map_tree(lambda array: array.astype(np.float64), params)  # more digits, to compare


def compute_loss(params):
    return mt.pretraining_loss(params, batch).loss


loss, gradients = mt.value_and_grad(compute_loss)(exact)
sizes = [array.size for array in mt.flatten(gradients).values()]
print("arrays:", len(sizes), "  elements:", sum(sizes))

# %% [markdown]
# Checking each of these derivatives by itself would take two losses for each. Instead we check one random
# direction $v$ in the space of all parameters: the derivative of $L$ along $v$ is the sum of all derivatives,
# each times the element of $v$ that belongs to it,
#
# $$\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx \sum_k v_k
# \frac{\partial L}{\partial \theta_k}$$
#
# with $\theta$ for all parameters in one vector. All elements of $v$ have to be independent, so they come
# from *one* random generator. If it were started anew for each array, all arrays of one shape would get the
# same direction, and a gradient that stands in the wrong one of them would not show.


# %%
def find_gradient_error(function, params, by_name, step=1e-6):
    """The relative difference of both sides, along a random direction; gradients are given by name."""
    rng = np.random.default_rng(0)
    v = mt.map_tree(lambda array: rng.normal(size=array.shape), params)
    ahead, behind = (function(mt.map_tree(lambda a, b, e=e: a + e * b, params, v)) for e in (step, -step))
    measured = (ahead - behind) / (2 * step)
    summed = sum(np.sum(array * by_name[name]) for name, array in mt.flatten(v).items())
    return abs(summed / measured - 1)


by_name = mt.flatten(gradients)
print("agree to six digits:", bool(find_gradient_error(compute_loss, exact, by_name) < 1e-6))

# %% [markdown]
# Would a mistake show? We exchange gradients of equal shape: the maps to queries, keys and values of the
# first and of the last block, then $\gamma$ and $\beta$ of a LayerNorm.

# %%
blocks = "encoder.blocks"
for first, last in (
    (f"{blocks}.0.attention.qkv.weight", f"{blocks}.3.attention.qkv.weight"),
    (f"{blocks}.1.mlp_norm.weight", f"{blocks}.1.mlp_norm.bias"),
):
    exchanged = by_name | {first: by_name[last], last: by_name[first]}
    error = find_gradient_error(compute_loss, exact, exchanged)
    print(first, "exchanged: agree to six digits:", bool(error < 1e-6))

# %% [markdown]
# What is the gradient good for? A sufficiently small step against it reduces the loss, and more than a step
# of the same length in any other direction. The figure shows the loss after a step against the gradient
# (solid) and along a random direction (dashed), over the length of the step.


# %%
def find_length(tree):
    return np.sqrt(sum(np.sum(array**2) for array in mt.flatten(tree).values()))


def loss_after(step, direction):
    share = step / find_length(direction)
    return compute_loss(mt.map_tree(lambda array, along: array - share * along, exact, direction))


rng, lengths = np.random.default_rng(0), np.linspace(-0.3, 0.3, 13)
random = mt.map_tree(lambda array: rng.normal(size=array.shape), exact)
against, elsewhere = ([loss_after(step, tree) for step in lengths] for tree in (gradients, random))

# %%
figure, (axes,) = new_axes(size=(8, 3.4), x="length of the step", y="loss")
axes.plot(lengths, against, color="black", label="against the gradient")
axes.plot(lengths, elsewhere, "--", color="gray", label="a random direction")
axes.legend()
show(figure, "The loss falls steeply against the gradient and is flat along a random direction.")

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Derive the VJP of GELU, $y = x \, \Phi(x)$, and compare it with `tape_backend.gelu_vjp`.** The
# derivative of $\Phi$ is $\varphi(x) = e^{-x^2/2} / \sqrt{2 \pi}$.
#
# <details><summary>Answer</summary>
#
# By the product rule, $dy/dx = \Phi(x) + x \, \varphi(x)$. GELU is applied to each element by itself, so the
# Jacobian is diagonal and the VJP is an elementwise product.
#
# ```python
# from scipy.special import erf
#
# def gelu_vjp(g, x):
#     phi = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
#     return g * (0.5 * (1 + erf(x / np.sqrt(2))) + x * phi)
#
# x, g = np.random.default_rng(1).normal(size=(2, 9))
# assert np.allclose(gelu_vjp(g, x), tape_backend.gelu_vjp(g, x))
# ```
#
# </details>

# %% [markdown]
# **2. Why go backwards from the loss, and not forwards from each parameter?**
#
# <details><summary>Answer</summary>
#
# One forward pass of derivatives gives the effect of *one* parameter on all results. One backward pass gives
# the effect of *all* parameters on one result, the loss. There are many parameters and one loss.
#
# </details>

# %% [markdown]
# **3. The gradient with respect to the biases of the keys is 0. Why? Check it in `gradients`, which is a tree
# like `params`: the biases of queries, keys and values stand in this order in `attention.qkv.bias`.**
#
# <details><summary>Answer</summary>
#
# A bias $b$ of all keys adds $q_i \cdot b / \sqrt d$ to row $i$ of the scores, the same number in every
# column, and this does not change the softmax.
#
# ```python
# for query, key, value in (np.split(each.attention.qkv.bias, 3) for each in gradients.encoder.blocks):
#     assert np.abs(key).max() < 1e-12 < 1e-6 < min(np.abs(query).max(), np.abs(value).max())
# ```
#
# </details>

# %% [markdown]
# **4. Change the model: multiply all matrices of `run_attention` in a new block by 0.2, then by 0.1. By which
# factor do the gradients of the query and of the value weights shrink from the first to the second? Predict
# it from the formulas for $q$ and $v$, then compute it.** A new block is `mt.init(mt.Config.tiny(),
# seed=0).encoder.blocks[0]`. Take random inputs, and as the loss the sum of all outputs, each times a fixed
# random number.
#
# <details><summary>Answer</summary>
#
# Halving all matrices halves $q$, $k$, $v$, and also the cotangent $g$ of $o$, which comes through the last
# linear map. The weights $a$ stay nearly uniform. So $a^\top g$ is halved, and the gradient of the value
# weights too: factor 2. In $g_s$ both $g$ and $v$ are halved, and $g_s k$ has one factor more: the gradient
# of the query weights shrinks by 8. With small initial values, a model learns late to attend.
#
# ```python
# from minitvlt.backends import namespace
#
# new = mt.init(mt.Config.tiny(), seed=0).encoder.blocks[0].attention
# new = mt.map_tree(lambda array: array.astype(float), new)
# inputs, targets = np.random.default_rng(0).normal(size=(2, 8, 19, 64))
#
# def compute_product(attention):
#     out = run_attention(inputs, attention, 4)
#     return namespace(out).sum(out * targets)
#
# lengths = []
# for factor in (0.2, 0.1):
#     scaled = mt.map_tree(lambda array: array * factor, new)
#     weight = mt.value_and_grad(compute_product)(scaled)[1].qkv.weight
#     lengths.append([np.linalg.norm(part) for part in np.split(weight, 3)])
# print("queries, keys, values:", np.round(np.divide(*lengths), 1))
# assert np.allclose(np.divide(*lengths), [8, 8, 2], rtol=0.05)
# ```
#
# </details>

# %% [markdown]
# **5. What can be done if the intermediate results do not fit into memory? Try
# `config.replace(gradient_checkpointing=True)` as the `config` of `exact`.**
#
# <details><summary>Answer</summary>
#
# They can be computed again (**gradient checkpointing**): each block keeps only its input, and the backward
# pass runs it once more, recording this time. It takes about a third more time and a fraction of the memory,
# and the gradients are the same.
#
# ```python
# from dataclasses import replace
#
# saving = replace(exact, config=config.replace(gradient_checkpointing=True))
# again = mt.flatten(mt.value_and_grad(compute_loss)(saving)[1])
# assert all(np.allclose(again[name], by_name[name]) for name in by_name)
# show_source(tape.recompute)
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# Each result records its parents and a VJP. The backward pass calls the VJPs from the loss to the parameters
# and adds up contributions. The VJP of a linear map is two products; those of softmax and LayerNorm subtract
# the components to which the function is invariant; that of attention combines products with that of the
# softmax. Central differences check them all.

# %% [markdown]
# ## Where to go on
#
# [07](07_pretraining.ipynb) takes many steps along such gradients, and [09](09_backends.ipynb) computes the
# same gradients with PyTorch; all notebooks are in the [overview](README.md). The mechanism is in
# [tape.py](../minitvlt/backends/tape.py), and each VJP with its derivation is in
# [tape_backend.py](../minitvlt/backends/tape_backend.py).

# %% [markdown]
# ## References
#
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul, J. M. Siskind, *Automatic Differentiation in Machine
#   Learning: a Survey*, 2018, [arXiv 1502.05767](https://arxiv.org/abs/1502.05767).
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, *Learning Representations by Back-Propagating
#   Errors*, 1986, [doi 10.1038/323533a0](https://doi.org/10.1038/323533a0).
# - T. Chen, B. Xu, C. Zhang, C. Guestrin, *Training Deep Nets with Sublinear Memory Cost*, 2016,
#   [arXiv 1604.06174](https://arxiv.org/abs/1604.06174): gradient checkpointing.
# - T. Dao et al., *FlashAttention*, 2022, [arXiv 2205.14135](https://arxiv.org/abs/2205.14135): attention and
#   its VJP in blocks.
