# %% [markdown]
# # 06 · Backpropagation
#
# A model learns by asking of each of its numbers: if this were a little larger, would I be wrong more, or
# less? Backpropagation answers for all of them at once, at the price of about two more forward passes. This
# notebook builds it up from the chain rule, derives the four functions that a transformer is made of, and
# checks every one.
#
# **You will be able to** read a tape, derive a vector-Jacobian product, check a gradient by finite
# differences, and explain what happens between a loss and the step that makes it smaller.
#
# **Time to run:** about five seconds. **Before this:** derivatives and the chain rule; the transformer block
# ([04](04_attention.ipynb)) and the whole model ([05](05_tvlt.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## One number
#
# Take a model with a single parameter $w$, which is to turn $x$ into $t$. Its loss is
#
# $$L = (w x - t)^2$$
#
# With $y = w x$ and $e = y - t$ for what is computed on the way, the chain rule multiplies one slope for each
# step, from the end to the beginning:
#
# $$\frac{\partial L}{\partial w} = \frac{\partial L}{\partial e} \cdot
# \frac{\partial e}{\partial y} \cdot \frac{\partial y}{\partial w} = 2 e \cdot 1 \cdot x$$
#
# A **tape** makes the computer do this. A `TapeArray` is a NumPy array that remembers what it was computed
# from. We compute forwards as usual, then `carry_back` walks the way backwards.

# %%
import numpy as np

from minitvlt.backends import tape
from minitvlt.backends.tape_array import TapeArray, carry_back, record

w, x, t = TapeArray(np.array(3.0)), 2.0, 5.0
L = (w * x - t) ** 2
carry_back(L)
print("L:", L.value, "  by the tape:", w.cotangent, "  by the formula:", 2 * (3 * x - t) * x)

# %% [markdown]
# What is written on the tape? Every result keeps *edges*: pairs of a parent, which went into it, and a
# function, which carries the slope back to that parent. This is all of the writing:

# %%
from helpers.notebook import show, show_source

show_source(record)

# %% [markdown]
# And this is all of the reading. Arrays that were made later come first, so that everything that was computed
# from an array is done before it is its turn.

# %%
show_source(carry_back)

# %% [markdown]
# ## Arrays
#
# Let $L$ be the loss, a single number, and $x$ any array on the way to it. The **cotangent** of $x$ is
# $\partial L / \partial x$: an array of the same shape, which says how $L$ changes with each of its numbers.
# If $y = f(x)$ and $g$ is the cotangent of $y$, the chain rule gives that of $x$:
#
# $$\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}$$
#
# This sum is the **vector-Jacobian product** of $f$, its VJP: the row vector $g$ times the matrix of all
# slopes. The matrix is never written down. For 600 numbers in and out it would have 360,000 entries, while
# for most functions the product takes no more work than the function itself.

# %% [markdown]
# To look at a single VJP, we put arrays on a tape, apply a function, hand in $g$ and read what comes back.


# %%
def pull_back(function, g, *arrays):
    leaves = [TapeArray(array) for array in arrays]
    carry_back(function(*leaves), g)
    return [leaf.cotangent for leaf in leaves]


rng = np.random.default_rng(6)
x, g = rng.normal(size=(2, 5))
(back,) = pull_back(tape.exp, g, x)
print("the slope of exp is exp:", np.allclose(back, g * np.exp(x)))

# %% [markdown]
# An array that is used twice gets the sum of what comes back from both uses: if $y = x + x$, then $g + g$.

# %%
(back,) = pull_back(lambda x: x + x, g, x)
print("twice g:", np.allclose(back, 2 * g))

# %% [markdown]
# ## A picture of the tape
#
# Here is a small computation: three rows of four numbers pass through a linear map with weights and biases, a
# softmax, and a sum of squares. Each result has a *node* on the tape, with its shape and its edges; the
# numbers themselves are not kept there. We collect all nodes. The name of a VJP tells which function wrote
# it.

# %%
weight, bias = TapeArray(rng.normal(size=(2, 4))), TapeArray(np.zeros(2))
rows = rng.normal(size=(3, 4))
loss = tape.sum(tape.softmax(tape.linear(rows, weight, bias)) ** 2)


def find_parents(node):
    groups = [parents if type(parents) is tuple else (parents,) for parents, _ in node.edges]
    return [parent for group in groups for parent in group if parent is not None]


def name_of(node, names):
    return node.edges[0][1].__qualname__.split(".")[0] if node.edges else names[node]


print("the loss was made by", name_of(loss.node, {}), "from", name_of(*find_parents(loss.node), {}))

# %% [markdown]
# Each node is drawn in the column that says how many steps it is away from the loss, which stands at the
# right. Arrows go the way in which numbers are computed; gradients take the same way back.


# %%
def list_nodes(last):
    found, waiting = {last}, [last]
    while waiting:
        new = set(find_parents(waiting.pop())) - found
        found |= new
        waiting += new
    return sorted(found, key=lambda node: -node.number)  # the latest first


print("nodes on the tape:", len(list_nodes(loss.node)))


# %%
def place_nodes(nodes):
    depth, columns, places = {nodes[0]: 0}, {}, {}
    for node in nodes:
        columns.setdefault(depth[node], []).append(node)
        for parent in find_parents(node):
            depth[parent] = max(depth.get(parent, 0), depth[node] + 1)
    for column, members in columns.items():
        for row, node in enumerate(members):
            places[node] = -column, (len(members) - 1) / 2 - row + column % 2 / 2
    return places


# %%
from helpers.diagrams import new_axes, use_style

use_style()


def draw_tape(axes, last, names):
    nodes = list_nodes(last)
    places = place_nodes(nodes)
    for node in nodes:
        for parent in find_parents(node):
            draw_arrow(axes, places[parent], places[node])
        label = f"{name_of(node, names)}\n{' × '.join(map(str, node.shape)) or '1'}"
        box = {"boxstyle": "round" if node.edges else "square", "facecolor": "white"}
        axes.text(*places[node], label, ha="center", va="center", fontsize=11, bbox=box)


# %%
from minitvlt.drawing import NEUTRAL_COLOUR


def draw_arrow(axes, start, stop):
    bend = -0.52 if stop[0] - start[0] > 1 else 0  # around the boxes between
    arrow = {"arrowstyle": "->", "color": NEUTRAL_COLOUR, "linewidth": 1.5, "shrinkA": 22, "shrinkB": 26}
    arrow["connectionstyle"] = f"arc3,rad={bend}"
    axes.annotate("", stop, start, arrowprops=arrow)


# %% [markdown]
# In the picture square boxes are the beginnings, the parameters; round ones are results, under the name of
# the function that made them. Beneath each is its shape. The rows that went in are data: no gradient is asked
# for, so they are not on the tape.

# %%
figure, (axes,) = new_axes(size=(9, 2.4))
axes.set(xlim=(-4.5, 0.5), ylim=(-1, 1))
axes.axis("off")
draw_tape(axes, loss.node, {weight.node: "weight", bias.node: "bias"})
show(figure, "Boxes with arrows: weight and bias lead to linear, then softmax, power and sum.")

# %% [markdown]
# And this is the tape of attention in a block of the small model, with its norm and with what is added at the
# end. The tokens `x` are used twice, so two arrows leave them, and two contributions will come back.

# %%
from minitvlt.model.transformer import run_attention, run_norm

params = mt.load("shapes-small")
config = params.config
block = mt.map_tree(TapeArray, params.encoder.blocks[0])
tokens = TapeArray(rng.normal(size=(2, 19, 64)).astype(np.float32))
normed = run_norm(tokens, block.attention_norm, config.layer_norm_eps)
after = tokens + run_attention(normed, block.attention, config.num_attention_heads)
names = {array.node: name.split(".")[-1] for name, array in mt.flatten(block).items()}

# %% tags=["thumbnail"]
figure, (axes,) = new_axes(size=(13, 6))
axes.set(xlim=(-10.5, 0.5), ylim=(-1.2, 3))
axes.axis("off")
draw_tape(axes, after.node, names | {tokens.node: "x"})
show(figure, "A chain of boxes from x by layer_norm, linear, reshape and attention to a sum with x itself.")

# %% [markdown]
# ## Linear
#
# Now the VJPs, one by one. A linear map turns a matrix $X$ of $n$ rows into $Y = X W^\top + b$, that is
# $Y_{ij} = \sum_k X_{ik} W_{jk} + b_j$. Let $G$ be the cotangent of $Y$. The number $W_{jk}$ meets every row
# $i$: a small step of it changes $Y_{ij}$ by $X_{ik}$ times as much. So $\partial L / \partial W_{jk} =
# \sum_i G_{ij} X_{ik}$, which is a matrix product:
#
# $$\frac{\partial L}{\partial W} = G^\top X$$
#
# In the same way $X_{ik}$ meets every $j$, and $b_j$ is added to every row:
#
# $$\frac{\partial L}{\partial X} = G \, W$$
#
# $$\frac{\partial L}{\partial b_j} = \sum_i G_{ij}$$

# %% [markdown]
# So a product forwards becomes two products backwards, and that is why a step of training costs about three
# times a forward pass.

# %%
X, W, b, G = (rng.normal(size=size) for size in ((5, 3), (2, 3), (2,), (5, 2)))
for_X, for_W, for_b = pull_back(tape.linear, G, X, W, b)
print("X:", np.allclose(for_X, G @ W), "  W:", np.allclose(for_W, G.T @ X), end="   ")
print("b:", np.allclose(for_b, G.sum(axis=0)))

# %% [markdown]
# ## Softmax
#
# $y_i = e^{x_i} / \sum_l e^{x_l}$. A step of $x_i$ raises the numerator of $y_i$ and the denominator of all:
#
# $$\frac{\partial y_j}{\partial x_i} = y_j (\delta_{ij} - y_i)$$
#
# where $\delta_{ij}$ is 1 if $i = j$ and else 0. Put into the VJP, the sum over $j$ becomes
#
# $$\frac{\partial L}{\partial x_i} = y_i \Bigl(g_i - \sum_j g_j y_j\Bigr)$$
#
# In words: take from $g$ its mean, weighted by $y$, since raising all $x$ alike changes nothing. Below, the
# matrix of all slopes is written down for once, to compare. Its picture shows positive slopes on the diagonal
# and negative ones elsewhere: what one gains, the others lose.

# %%
x, g = rng.normal(size=(2, 6))
y = np.exp(x) / np.exp(x).sum()
slopes = y[:, None] * (np.eye(6) - y)  # row j, column i
(back,) = pull_back(tape.softmax, g, x)
print("with the matrix:", np.allclose(back, g @ slopes), "  without:", np.allclose(back, y * (g - g @ y)))

# %%
figure, (left, right) = new_axes(1, 2, (9, 3.2), titles=("y", "slopes of y (rows) by x (columns)"))
left.bar(range(6), y, color=NEUTRAL_COLOUR)
left.set_xlabel("i")
image = right.imshow(slopes, cmap="PuOr", vmin=-0.25, vmax=0.25)
figure.colorbar(image, ax=right)
show(figure, "Bars of six weights, and a matrix of slopes with a positive diagonal and negative rest.")

# %% [markdown]
# ## LayerNorm
#
# A norm makes $z = (x - \mu) / \sigma$ of a row $x$ of $D$ numbers, with its mean $\mu$ and deviation
# $\sigma$, and returns $y = \gamma z + \beta$, where $\gamma$ and $\beta$ are learnt. The cotangent of $z$ is
# $h = \gamma g$, number by number. Were $\mu$ and $\sigma$ constant, that of $x$ would be $h / \sigma$.

# %% [markdown]
# But two kinds of steps leave $z$ as it is: shifting the whole row, which $\mu$ takes away, and stretching it
# along $z$, which $\sigma$ takes away. These two parts have to be taken out of $h$. With $\langle a \rangle$
# for the mean of a row:
#
# $$\frac{\partial L}{\partial x} = \frac{1}{\sigma}
# \bigl(h - \langle h \rangle - z \, \langle h z \rangle \bigr)$$
#
# and, over all rows of a batch,
#
# $$\frac{\partial L}{\partial \gamma} = \sum_{\text{rows}} g \, z$$
#
# $$\frac{\partial L}{\partial \beta} = \sum_{\text{rows}} g$$

# %%
x, g = rng.normal(size=(2, 5, 7))
gamma, beta = rng.normal(size=(2, 7))
sigma = np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)  # a small number keeps it above 0
z, h = (x - x.mean(axis=1, keepdims=True)) / sigma, gamma * g
h_mean, hz_mean = h.mean(axis=1, keepdims=True), (h * z).mean(axis=1, keepdims=True)
by_hand = (h - h_mean - z * hz_mean) / sigma
for_x, for_gamma, for_beta = pull_back(lambda *a: tape.layer_norm(*a, 1e-6), g, x, gamma, beta)
print("x:", np.allclose(for_x, by_hand), "  gamma:", np.allclose(for_gamma, (g * z).sum(axis=0)), end="  ")
print("beta:", np.allclose(for_beta, g.sum(axis=0)))
print("a shift gets nothing:", np.allclose(for_x.sum(axis=1), 0))

# %% [markdown]
# ## Attention
#
# All that is needed is there. For one head, with queries $Q$, keys $K$ and values $V$ of $d$ numbers: $S = Q
# K^\top / \sqrt d$, $A = \operatorname{softmax}(S)$ row by row, and $O = A V$. Backwards, step by step, from
# the cotangent $G$ of $O$: the last product gives
#
# $$\frac{\partial L}{\partial V} = A^\top G$$

# %% [markdown]
# Next, $\partial L / \partial A = G V^\top$. The softmax makes of it the cotangent $R$ of $S$, where $\odot$
# multiplies number by number, and $r_i = \sum_j (G V^\top)_{ij} A_{ij}$ belongs to row $i$:
#
# $$R = A \odot \bigl(G V^\top - r\bigr)$$
#
# Then the first product gives the rest:
#
# $$\frac{\partial L}{\partial Q} = \frac{R \, K}{\sqrt d}$$
#
# $$\frac{\partial L}{\partial K} = \frac{R^\top Q}{\sqrt d}$$

# %%
Q, K, V, G = rng.normal(size=(4, 5, 3))  # five tokens, d = 3
scores = Q @ K.T / np.sqrt(3)
A = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
r = ((G @ V.T) * A).sum(axis=1, keepdims=True)
R = A * (G @ V.T - r)
backs = pull_back(tape.attention, G[None, None], Q[None, None], K[None, None], V[None, None])
for name, back, mine in zip("QKV", backs, (R @ K / np.sqrt(3), R.T @ Q / np.sqrt(3), A.T @ G), strict=True):
    print(f"{name}: {np.allclose(back[0, 0], mine)}", end="   ")

# %% [markdown]
# One thing is worth a second look. The matrix $A$ is the large one, with $N^2$ numbers. The sum over a row,
# $r_i = \sum_j (g_i \cdot v_j) A_{ij}$, is nothing but $g_i \cdot o_i$: it needs no $A$. So the tape keeps
# only $O$ and the logarithm of each row's sum of exponentials, and makes $A$ again on the way back, in blocks
# that fit into the cache.

# %%
print("r without A:", np.allclose(r[:, 0], (G * (A @ V)).sum(axis=1)))

# %% [markdown]
# ## Checking gradients
#
# A wrong gradient does not crash. It trains, only worse. So each is compared with its definition: move a
# number by a small $\epsilon$ in both directions and see what happens to the loss,
#
# $$\frac{\partial L}{\partial x_i} \approx
# \frac{L(x + \epsilon \, u_i) - L(x - \epsilon \, u_i)}{2 \epsilon}$$
#
# where $u_i$ is 1 at place $i$ and else 0. How small should $\epsilon$ be? If it is large, the curve bends on
# the way, by an error that grows with $\epsilon^2$. If it is tiny, the difference drowns in rounding, by an
# error that grows with $1 / \epsilon$.


# %%
def loss_of(x):
    return float(np.sum(np.log(1 + np.exp(x)) ** 2))


x = rng.normal(size=40)
leaf = TapeArray(x)
carry_back(tape.sum(tape.log(1 + tape.exp(leaf)) ** 2))
steps, u = np.logspace(-12, 0, 49), np.eye(40)
errors = []
for step in steps:
    slopes = [(loss_of(x + step * one) - loss_of(x - step * one)) / (2 * step) for one in u]
    errors.append(np.abs(slopes - leaf.cotangent).max())
print("best near 1e-5:", 1e-7 < steps[np.argmin(errors)] < 1e-3)

# %% [markdown]
# The picture shows the largest error of forty slopes, over $\epsilon$, both logarithmic: rounding on the
# left, bending on the right, and between them a valley, some ten digits deep.

# %%
figure, (axes,) = new_axes(size=(8, 3.4), x="ε", y="largest error")
axes.loglog(steps, errors, color="black")
show(figure, "A curve that falls, bottoms near 1e-5 and rises again, both axes logarithmic.")

# %% [markdown]
# ## The whole model
#
# `mt.value_and_grad` puts all parameters on a tape, computes a loss, and returns it with the gradient: a tree
# like the parameters. Here is the loss of pre-training, which the next notebook makes small.

# %%
held_out = mt.ShapesWorld(config, split="held_out")
batch = mt.draw_batch(held_out, config, np.random.default_rng(0), 8)
exact = mt.map_tree(lambda array: array.astype(np.float64), params)  # more digits, to compare


def compute_loss(params):
    return mt.pretraining_loss(params, batch).loss


loss, gradients = mt.value_and_grad(compute_loss)(exact)
print(
    "arrays:", len(mt.flatten(gradients)), "  numbers:", sum(a.size for a in mt.flatten(gradients).values())
)

# %% [markdown]
# To check a quarter of a million slopes one by one would take a quarter of a million losses. One random
# direction $v$ in the space of all parameters does: the slope of $L$ along $v$ must be the sum of all slopes,
# each times the number of $v$ that belongs to it,
#
# $$\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx \sum_k v_k
# \frac{\partial L}{\partial \theta_k}$$
#
# with $\theta$ for all parameters in one row. A single wrong VJP would show.

# %%
v = mt.map_tree(lambda array: np.random.default_rng(array.size).normal(size=array.shape), exact)
ahead, behind = (compute_loss(mt.map_tree(lambda a, b, e=e: a + e * b, exact, v)) for e in (1e-6, -1e-6))
measured = (ahead - behind) / 2e-6
summed = sum(np.sum(a * b) for a, b in zip(*(mt.flatten(t).values() for t in (v, gradients)), strict=True))
print("they agree to six digits:", bool(abs(measured / summed - 1) < 1e-6))

# %% [markdown]
# What is such a gradient good for? A small step against it makes the loss smaller, more than one of the same
# length in any other direction. The picture shows the loss along the gradient (solid) and along a random
# direction (dashed), over the length of the step.


# %%
def find_length(tree):
    return np.sqrt(sum(np.sum(array**2) for array in mt.flatten(tree).values()))


def lose_after(step, direction):
    share = step / find_length(direction)
    return compute_loss(mt.map_tree(lambda array, along: array - share * along, exact, direction))


lengths = np.linspace(-0.3, 0.3, 13)
downhill, anywhere = ([lose_after(step, tree) for step in lengths] for tree in (gradients, v))

# %%
figure, (axes,) = new_axes(size=(8, 3.4), x="length of the step", y="loss")
axes.plot(lengths, downhill, color="black", label="against the gradient")
axes.plot(lengths, anywhere, "--", color="gray", label="a random direction")
axes.legend()
show(figure, "The loss falls steeply against the gradient and is flat along a random direction.")

# %% [markdown]
# ## Try it
#
# **1. What is the VJP of `sum`? And of `mean`?**
#
# <details><summary>Answer</summary>
#
# Each of $n$ numbers adds itself to the sum, with slope 1, so each gets $g$; with the mean it gets $g / n$.
# `pull_back(tape.mean, np.array(1.0), np.arange(5.0))` gives five times 0.2.
#
# </details>

# %% [markdown]
# **2. Why walk backwards, and not forwards, from each parameter to the loss?**
#
# <details><summary>Answer</summary>
#
# Forwards, one walk tells what *one* parameter does to everything. Backwards, one walk tells what *every*
# parameter does to one number, the loss. There are 275,569 parameters and one loss.
#
# </details>

# %% [markdown]
# **3. What does the gradient of a bias look like that is added to many rows?**
#
# <details><summary>Answer</summary>
#
# It is the sum over the rows. Broadcasting forwards, where one number is used many times, is a sum backwards,
# where all uses report back. `sum_to_shape` in the tape does this for every function alike.
#
# </details>

# %% [markdown]
# **4. The loss does not change when the biases of the keys do. Is that so?**
#
# <details><summary>Answer</summary>
#
# Yes. A bias $c$ on all keys adds $q_i \cdot c / \sqrt d$ to row $i$ of $S$, the same number in every column,
# and a softmax does not see that. In `gradients.encoder.blocks[0].attention.qkv.bias` the middle third, 64 to
# 127, is 0 up to rounding.
#
# </details>

# %% [markdown]
# **5. What would you do if the tape did not fit into memory?**
#
# <details><summary>Answer</summary>
#
# Forget, and compute again. With `config.replace(gradient_checkpointing=True)` each block keeps only what
# went into it, and on the way back it is run once more, on a small tape of its own. A third more work, a
# fraction of the memory, the same gradients.
#
# </details>

# %% [markdown]
# ## Recap
#
# A tape remembers, for each result, what it was computed from and how a cotangent goes back there. Walked
# backwards from the loss, it gives every parameter its slope. The VJP of a linear map is two products, that
# of a softmax or a norm takes out the parts that the function itself does not see, and that of attention is
# put together from these. Finite differences prove it all.

# %% [markdown]
# ## Where to go on
#
# [07](07_pretraining.ipynb) takes many such steps, and [09](09_backends.ipynb) lets PyTorch find the same
# gradients; all notebooks are in the [overview](README.md). The code is in
# [tape_array.py](../minitvlt/backends/tape_array.py), [tape.py](../minitvlt/backends/tape.py) and
# [tape_kernels.py](../minitvlt/backends/tape_kernels.py), each VJP with its derivation.
