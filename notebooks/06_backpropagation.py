# %% [markdown]
# # 06 · Backpropagation
#
# Training needs the derivative of the loss with respect to every parameter. Backpropagation computes all of
# them at once, for about the price of two more forward passes. This notebook derives it from the chain rule,
# derives the four functions that a transformer consists of, and checks each of them.
#
# **You will be able to** read the record of a computation, derive a vector-Jacobian product, check a gradient
# by finite differences, and explain what happens between a loss and the step that reduces it.
#
# **Time to run:** about ten seconds. **Before this:** derivatives and the chain rule; the transformer block
# ([04](04_attention.ipynb)) and the whole model ([05](05_tvlt.ipynb)).

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
# The computer can do this. A `TapeArray` holds a NumPy array and records how it was computed; such a record
# is called a **tape**. We compute the loss as usual, then `backward` goes through the record from the loss
# to $w$.

# %%
import numpy as np

from minitvlt.backends.tape import TapeArray, backward, record

w, x, t = TapeArray(np.array(3.0)), 2.0, 5.0
L = (w * x - t) ** 2
backward(L)
print("L:", L.value, "  by backward:", w.node.cotangent, "  by the formula:", 2 * (3 * x - t) * x)

# %% [markdown]
# What is recorded? Each result has a *node* with *edges*. An edge is a pair: the arrays that the result was
# computed from, its parents, and a function that turns the derivative with respect to the result into the
# derivatives with respect to the parents. Each operation calls `record`:

# %%
from helpers.notebook import show, show_source

show_source(record)

# %% [markdown]
# For example, this is the multiplication of two recorded arrays, which runs where the cell above says
# `w * x`. (`conjugate` has an effect on complex numbers only, which occur in spectrograms.)

# %%
from minitvlt.backends import tape, tape_backend

show_source(tape.multiply)

# %% [markdown]
# And `backward` goes through the nodes, last one first. When it reaches a node, everything that was computed
# from that node has been visited, so its derivative is complete.

# %%
show_source(backward)

# %% [markdown]
# ## Arrays
#
# Let $L$ be the loss, a scalar, and $x$ any array that it was computed from. The **cotangent** of $x$ is
# $\partial L / \partial x$: an array of the same shape with the derivative of $L$ with respect to each
# element. If $y = f(x)$ and $g$ is the cotangent of $y$, the chain rule gives that of $x$:
#
# $$\frac{\partial L}{\partial x_i} = \sum_j g_j \, \frac{\partial y_j}{\partial x_i}$$
#
# This sum is the **vector-Jacobian product** (VJP) of $f$: the row vector $g$ times the Jacobian, the matrix
# of all derivatives. The Jacobian itself is never computed. With 600 inputs and 600 outputs it would have
# 360,000 elements, but for most functions the product takes about as long as the function itself.

# %% [markdown]
# To look at a single VJP, `pull_back` records arrays, applies a function, and runs `backward` from a given
# cotangent $g$ of the result.


# %%
def pull_back(function, g, *arrays):
    leaves = [TapeArray(array) for array in arrays]
    backward(function(*leaves), g)
    return [leaf.node.cotangent for leaf in leaves]


rng = np.random.default_rng(6)
x, g = rng.normal(size=(2, 5))
(back,) = pull_back(tape_backend.exp, g, x)
print("the derivative of exp is exp:", np.allclose(back, g * np.exp(x)))

# %% [markdown]
# An array that is used twice gets the sum of the contributions of both uses: if $y = x + x$, then $g + g$.

# %%
(back,) = pull_back(lambda x: x + x, g, x)
print("2 g:", np.allclose(back, 2 * g))

# %% [markdown]
# ## The record as a graph
#
# Here is a small computation: three rows of four features, a linear map with weight and bias, a softmax, and
# a sum of squares. A node holds the shape of a result and its edges; the arrays are held by the VJPs that
# need them. We collect all nodes. The qualified name of a VJP says which function recorded it.

# %%
weight, bias = TapeArray(rng.normal(size=(2, 4))), TapeArray(np.zeros(2))
rows = rng.normal(size=(3, 4))
loss = tape_backend.sum(tape_backend.softmax(tape_backend.linear(rows, weight, bias)) ** 2)


def find_parents(node):
    return [parent for parents, _ in node.edges for parent in parents if parent is not None]


def name_of(node, names):
    return node.edges[0][1].__qualname__.split(".")[0] if node.edges else names[node]


print("the loss is the result of", name_of(loss.node, {}), "after", name_of(*find_parents(loss.node), {}))

# %% [markdown]
# The column of a node says how many steps it is away from the loss, which stands at the right. Arrows point
# in the direction of the computation; gradients go the opposite way.


# %%
def list_nodes(last):
    found, waiting = {last}, [last]
    while waiting:
        new = set(find_parents(waiting.pop())) - found
        found |= new
        waiting += new
    return sorted(found, key=lambda node: -node.number)  # the latest first


print("nodes:", len(list_nodes(loss.node)))


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
from minitvlt.views.figures import NEUTRAL_COLOUR


def draw_arrow(axes, start, stop):
    line = {"color": NEUTRAL_COLOUR, "linewidth": 1.5}
    arrow = {"arrowstyle": "->", "shrinkA": 22, "shrinkB": 26, **line}
    if stop[0] - start[0] > 1:  # above the boxes between
        top = axes.get_ylim()[1]
        axes.plot([start[0], start[0], stop[0]], [start[1], top, top], clip_on=False, **line)
        start, arrow["shrinkA"] = (stop[0], top), 0
    axes.annotate("", stop, start, arrowprops=arrow)


# %% [markdown]
# Square boxes are parameters; round boxes are results, with the name of the function and the shape. The rows
# are data: their gradient is not needed, so they are a plain NumPy array and are not recorded.

# %%
figure, (axes,) = new_axes(size=(9, 2.4))
axes.set(xlim=(-4.5, 0.5), ylim=(-1, 1))
axes.axis("off")
draw_tape(axes, loss.node, {weight.node: "weight", bias.node: "bias"})
show(figure, "Boxes with arrows: weight and bias lead to linear, then softmax, power and sum.")

# %% [markdown]
# The next figure shows attention in a block of the small model, with LayerNorm before it and the residual
# connection after it. The tokens `x` are used twice, so two arrows leave them, and their cotangent is the sum
# of two contributions.

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
figure, (axes,) = new_axes(size=(13, 5.4))
axes.set(xlim=(-10.5, 0.5), ylim=(-1.2, 2.1))
axes.axis("off")
draw_tape(axes, after.node, names | {tokens.node: "x"})
show(figure, "A chain of boxes from x by layer_norm, linear, reshape and attention to a sum with x itself.")

# %% [markdown]
# ## Linear
#
# Now the VJPs, one by one. A linear map turns a matrix $X$ of $n$ rows into $Y = X W^\top + b$, that is
# $Y_{ij} = \sum_k X_{ik} W_{jk} + b_j$. Let $G$ be the cotangent of $Y$. The derivative of $Y_{ij}$ with
# respect to $W_{jk}$ is $X_{ik}$, for every row $i$. So $\partial L / \partial W_{jk} = \sum_i G_{ij}
# X_{ik}$, which is a matrix product:
#
# $$\frac{\partial L}{\partial W} = G^\top X$$
#
# In the same way $X_{ik}$ contributes to every $Y_{ij}$ of its row, and $b_j$ is added to every row:
#
# $$\frac{\partial L}{\partial X} = G \, W$$
#
# $$\frac{\partial L}{\partial b_j} = \sum_i G_{ij}$$

# %% [markdown]
# So one product in the forward pass needs two products in the backward pass, which is why a training step
# costs about three times as much as a forward pass. This is the code of the package:

# %%
show_source(tape_backend.linear, tape_backend.linear_vjp)

# %%
X, W, b, G = (rng.normal(size=size) for size in ((5, 3), (2, 3), (2,), (5, 2)))
for_X, for_W, for_b = pull_back(tape_backend.linear, G, X, W, b)
print("X:", np.allclose(for_X, G @ W), "  W:", np.allclose(for_W, G.T @ X), end="   ")
print("b:", np.allclose(for_b, G.sum(axis=0)))

# %% [markdown]
# ## Softmax
#
# $y_i = e^{x_i} / \sum_l e^{x_l}$. Here $x_i$ occurs in the numerator of $y_i$ and in the denominator of
# every $y_j$:
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
show_source(tape_backend.softmax_vjp)

# %% [markdown]
# The next cell computes the Jacobian for comparison. Its figure shows positive derivatives on the diagonal
# and negative ones elsewhere: the weights sum to 1, so when one grows, the others shrink.

# %%
x, g = rng.normal(size=(2, 6))
y = np.exp(x) / np.exp(x).sum()
jacobian = y[:, None] * (np.eye(6) - y)  # row j, column i
(back,) = pull_back(tape_backend.softmax, g, x)
print("by the Jacobian:", np.allclose(back, g @ jacobian), end="   ")
print("by the formula:", np.allclose(back, y * (g - g @ y)))

# %%
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
# deviation $\sigma$, and returns $y = \gamma z + \beta$ with learnt $\gamma$ and $\beta$. The cotangent of
# $z$ is $h = \gamma g$, element by element. If $\mu$ and $\sigma$ were constant, that of $x$ would be
# $h / \sigma$.

# %% [markdown]
# But two kinds of change of $x$ leave $z$ as it is: adding a constant to the whole row, which $\mu$ removes,
# and adding a multiple of $z$, which $\sigma$ removes. So the components of $h$ in these two directions are
# subtracted. With $\langle a \rangle$ for the mean of a row:
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
show_source(tape_backend.layer_norm_vjp)

# %%
x, g = rng.normal(size=(2, 5, 7))
gamma, beta = rng.normal(size=(2, 7))
sigma = np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)  # as in LayerNorm, with a small number added
z, h = (x - x.mean(axis=1, keepdims=True)) / sigma, gamma * g
h_mean, hz_mean = h.mean(axis=1, keepdims=True), (h * z).mean(axis=1, keepdims=True)
by_hand = (h - h_mean - z * hz_mean) / sigma
for_x, for_gamma, for_beta = pull_back(lambda *a: tape_backend.layer_norm(*a, 1e-6), g, x, gamma, beta)
print("x:", np.allclose(for_x, by_hand), "  gamma:", np.allclose(for_gamma, (g * z).sum(axis=0)), end="  ")
print("beta:", np.allclose(for_beta, g.sum(axis=0)))
print("the rows of the cotangent of x have mean 0:", np.allclose(for_x.sum(axis=1), 0))

# %% [markdown]
# ## Attention
#
# Attention is made of products and a softmax. For one head, with queries $Q$, keys $K$ and values $V$ of $d$
# features: $S = Q K^\top / \sqrt d$, $A = \operatorname{softmax}(S)$ row by row, and $O = A V$. Let $G$ be
# the cotangent of $O$. Going backwards, the last product gives
#
# $$\frac{\partial L}{\partial V} = A^\top G$$

# %% [markdown]
# and $\partial L / \partial A = G V^\top$. The VJP of the softmax turns this into the cotangent $R$ of $S$,
# where $\odot$ is the elementwise product, and $r_i = \sum_j (G V^\top)_{ij} A_{ij}$ belongs to row $i$:
#
# $$R = A \odot \bigl(G V^\top - r\bigr)$$
#
# The first product gives the rest:
#
# $$\frac{\partial L}{\partial Q} = \frac{R \, K}{\sqrt d}$$
#
# $$\frac{\partial L}{\partial K} = \frac{R^\top Q}{\sqrt d}$$
#
# In the package $A$ is called `weights`. It is the largest array, with $N^2$ numbers for each head, so it is
# not stored: the VJP computes it again from $Q$ and $K$.

# %%
show_source(tape_backend.attention_vjp)

# %%
Q, K, V, G = rng.normal(size=(4, 5, 3))  # five tokens, d = 3
scores = Q @ K.T / np.sqrt(3)
A = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
r = ((G @ V.T) * A).sum(axis=1, keepdims=True)
R = A * (G @ V.T - r)
backs = pull_back(tape_backend.attention, G[None, None], Q[None, None], K[None, None], V[None, None])
for name, back, mine in zip("QKV", backs, (R @ K / np.sqrt(3), R.T @ Q / np.sqrt(3), A.T @ G), strict=True):
    print(f"{name}: {np.allclose(back[0, 0], mine)}", end="   ")

# %% [markdown]
# The sum over a row, $r_i = \sum_j (g_i \cdot v_j) A_{ij}$, equals $g_i \cdot o_i$: it can be computed from
# the output, without $A$. Kernels that work in blocks use this (Dao et al., 2022): they keep $O$ and the
# logarithm of the sum of exponentials of each row, and compute $A$ again block by block.

# %%
print("r from the output:", np.allclose(r[:, 0], (G * (A @ V)).sum(axis=1)))

# %% [markdown]
# ## Checking gradients
#
# A wrong gradient raises no error: the model still trains, only worse. So each gradient is compared with its
# definition: change one element by a small $\epsilon$ in both directions, and divide the difference of the
# losses by $2 \epsilon$,
#
# $$\frac{\partial L}{\partial x_i} \approx
# \frac{L(x + \epsilon \, u_i) - L(x - \epsilon \, u_i)}{2 \epsilon}$$
#
# where $u_i$ is 1 at position $i$ and else 0. This is a **central difference**. If $\epsilon$ is large, the
# higher derivatives of $L$ cause an error that grows with $\epsilon^2$. If it is very small, rounding causes
# an error that grows with $1 / \epsilon$.


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
# with $\theta$ for all parameters in one vector. All elements of $v$ are independent: they come from one
# random generator.

# %%
rng = np.random.default_rng(0)
v = mt.map_tree(lambda array: rng.normal(size=array.shape), exact)
ahead, behind = (compute_loss(mt.map_tree(lambda a, b, e=e: a + e * b, exact, v)) for e in (1e-6, -1e-6))
measured = (ahead - behind) / 2e-6


def agrees(by_name):
    summed = sum(np.sum(array * by_name[name]) for name, array in mt.flatten(v).items())
    return bool(abs(summed / measured - 1) < 1e-6)


by_name = mt.flatten(gradients)
print("they agree to six digits:", agrees(by_name))

# %% [markdown]
# Would a mistake show? We exchange the gradients of two arrays of the same shape: the maps to queries, keys
# and values of the first and of the last block.

# %%
first, last = (f"encoder.blocks.{number}.attention.qkv.weight" for number in (0, 3))
print("with two gradients exchanged:", agrees(by_name | {first: by_name[last], last: by_name[first]}))

# %% [markdown]
# What is the gradient good for? A small step against it reduces the loss, and more than a step of the same
# length in any other direction. The figure shows the loss after a step against the gradient (solid) and along
# $v$ (dashed), over the length of the step.


# %%
def find_length(tree):
    return np.sqrt(sum(np.sum(array**2) for array in mt.flatten(tree).values()))


def loss_after(step, direction):
    share = step / find_length(direction)
    return compute_loss(mt.map_tree(lambda array, along: array - share * along, exact, direction))


lengths = np.linspace(-0.3, 0.3, 13)
downhill, anywhere = ([loss_after(step, tree) for step in lengths] for tree in (gradients, v))

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
# The derivative of the sum with respect to each of $n$ elements is 1, so each gets $g$; with the mean it gets
# $g / n$. `pull_back(tape_backend.mean, np.array(1.0), np.arange(5.0))` gives five times 0.2.
#
# </details>

# %% [markdown]
# **2. Why go backwards from the loss, and not forwards from each parameter?**
#
# <details><summary>Answer</summary>
#
# One forward pass of derivatives gives the effect of *one* parameter on all results. One backward pass gives
# the effect of *all* parameters on one result, the loss. There are 275,569 parameters and one loss.
#
# </details>

# %% [markdown]
# **3. What is the gradient of a bias that is added to many rows?**
#
# <details><summary>Answer</summary>
#
# The sum over the rows. Broadcasting uses one element several times, and contributions of several uses are
# added. `sum_to_shape` in [tape.py](../minitvlt/backends/tape.py) does this for all functions.
#
# </details>

# %% [markdown]
# **4. The loss does not depend on the biases of the keys. Why?**
#
# <details><summary>Answer</summary>
#
# A bias $c$ of all keys adds $q_i \cdot c / \sqrt d$ to row $i$ of $S$, the same number in every column, and
# this does not change the softmax. In `gradients.encoder.blocks[0].attention.qkv.bias` the middle third, 64
# to 127, is 0 up to rounding.
#
# </details>

# %% [markdown]
# **5. What can be done if the intermediate results do not fit into memory?**
#
# <details><summary>Answer</summary>
#
# They can be computed again. With `config.replace(gradient_checkpointing=True)` each block keeps only its
# input, and the backward pass runs it once more, recording this time. This takes about a third more time and
# a fraction of the memory, and the gradients are the same. `show_source(tape.recompute)` shows how.
#
# </details>

# %% [markdown]
# ## Recap
#
# Each result records its parents and a VJP. `backward` calls the VJPs from the loss to the parameters and
# adds up contributions. The VJP of a linear map is two products; those of softmax and LayerNorm subtract the
# components to which the function is invariant; that of attention combines products with that of the softmax.
# Central differences check them all.

# %% [markdown]
# ## Where to go on
#
# [07](07_pretraining.ipynb) takes many steps along such gradients, and [09](09_backends.ipynb) computes the
# same gradients with PyTorch; all notebooks are in the [overview](README.md). The mechanism is in
# [tape.py](../minitvlt/backends/tape.py), and each VJP with its derivation is in
# [tape_backend.py](../minitvlt/backends/tape_backend.py).
