# %% [markdown]
# # 09 · Backends
#
# The model is written once and runs on several array libraries. This notebook calls it on each of them,
# compares two sets of kernels for NumPy, adds a library that counts what the model does, tests libraries
# against each other, and measures what is lost in formats of fewer bits.
#
# **You will be able to** run the same call on NumPy, on PyTorch and with gradients, choose the kernels, write
# a backend in forty lines, find its errors with property tests, and say how many digits a format keeps.
#
# **Time to run:** about fifteen seconds. **Before this:** the parts of a block
# ([04](04_attention.ipynb)), gradients ([06](06_backpropagation.ipynb)), and classes and modules in Python.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## One text
#
# Here is a piece of the model: the MLP of a block. It names no library. `namespace` returns the functions of
# the library that its arrays belong to, and the code calls these functions by the name `xp`.

# %%
from helpers.notebook import show, show_source
from minitvlt.model.transformer import run_linear, run_mlp

show_source(run_linear, run_mlp)

# %% [markdown]
# `namespace` looks at the types of the arrays and returns a module. Arrays of different libraries are an
# error, with one exception: NumPy arrays beside recorded ones, because data are constants beside the
# parameters whose gradient is computed.

# %%
from minitvlt.backends import namespace

show_source(namespace)

# %% [markdown]
# ## The same call
#
# We take the trained model and sixteen clips, and compute the matching scores of the clips as they are: each
# audio with its own video. A score above 0 means that the model predicts a match. First on NumPy.

# %%
import numpy as np

params = mt.load("shapes-small")
clips = mt.ShapesWorld(params.config, split="held_out").sample(np.random.default_rng(4), 16)
scores = mt.score_matches(params, clips.video, clips.audio)
print("library:", namespace(scores).name, "  scores:", scores.shape)
print("predicted to match:", (scores > 0).sum(), "of 16")

# %% [markdown]
# `to_backend` converts arrays, or whole trees of them, to another library; the call is the same. Without
# PyTorch the next cell says so, and the notebook goes on.

# %% tags=["needs-torch"]
import importlib.util

has_torch = importlib.util.find_spec("torch") is not None
if has_torch:
    inputs = mt.to_backend((params, clips.video, clips.audio), "torch")
    torch_scores = mt.score_matches(*inputs)
    print("library:", namespace(torch_scores).name, "  scores:", tuple(torch_scores.shape))
    print("the same scores:", np.allclose(mt.to_backend(torch_scores, "numpy"), scores, atol=1e-3))
else:
    print('PyTorch is missing: pip install "minitvlt[torch]". The rest of this notebook goes without it.')

# %% [markdown]
# The third library is the **tape**: NumPy arrays that record how they were computed, so that gradients can be
# computed afterwards. You do not convert arrays to it yourself: `value_and_grad` records the parameters for
# the time of one call, and its results are NumPy arrays again.


# %%
def loss(params, video, audio):
    """The mean square of the scores, as an example of a scalar that depends on the parameters."""
    scores = mt.score_matches(params, video, audio)
    xp = namespace(scores)
    print("library inside of value_and_grad:", xp.name)
    return xp.mean(scores * scores)


value, gradients = mt.value_and_grad(loss)(params, clips.video, clips.audio)
print("library of the gradient:", namespace(gradients.encoder.cls).name, gradients.encoder.cls.shape)

# %% [markdown]
# With parameters on PyTorch the same call uses PyTorch's autograd. Both gradients are those of the same
# function, so they must agree, in all 105 arrays of parameters. We print the norm of the difference, relative
# to the norm of the gradient.

# %% tags=["needs-torch"]
flat = mt.flatten(gradients)
print("arrays of parameters:", len(flat))
if has_torch:
    _, by_autograd = mt.value_and_grad(loss)(*inputs)
    theirs = mt.flatten(mt.to_backend(by_autograd, "numpy"))
    difference = np.sqrt(sum(np.sum((flat[name] - theirs[name]) ** 2) for name in flat))
    length = np.sqrt(sum(np.sum(array**2) for array in flat.values()))
    print("relative difference below 1e-4:", bool(difference / length < 1e-4))

# %% [markdown]
# ## The array interface
#
# These are all functions of a library that the model uses. Most have the names and the meaning of the Python
# **array API standard**. The exceptions are the conversions `from_numpy`, `to_numpy` and `as_like`,
# `sliding_windows` for audio, and the last five, which are functions of neural networks.

# %%
from minitvlt.backends import numpy_backend

names = numpy_backend.FUNCTIONS
print(len(names), "functions")
for start in range(0, len(names), 9):
    print("  ", "  ".join(names[start : start + 9]))

# %% [markdown]
# The model above, the libraries below, and only these functions in between: with $m$ modules of the model and
# $l$ libraries, one writes $m + l$ modules instead of $m \cdot l$.

# %%
from helpers.diagrams import new_axes, use_style

use_style()
figure, (axes,) = new_axes(size=(9, 3.4))
rows = {2: ("patches", "masking", "transformer", "losses"), 0: ("NumPy", "PyTorch", "the tape", "yours")}
box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "gray"}
for height, words in rows.items():
    for place, word in enumerate(words):
        axes.plot([place, 1.5], [height, 1], color="gray", linewidth=1.5, zorder=0)
        axes.text(place, height, word, ha="center", va="center", fontsize=14, bbox=box)
label = f"the array interface: {len(names)} functions"
axes.text(1.5, 1, label, ha="center", va="center", fontsize=14, bbox=box)
axes.set(xlim=(-0.6, 3.6), ylim=(-0.4, 2.4))
axes.set_axis_off()
show(figure, "Four boxes of the model above and four libraries below, joined by one box in the middle.")

# %% [markdown]
# ## Kernels
#
# Why are `layer_norm`, `gelu` or `attention` in the interface, when they could be composed of the others?
# Because a library can compute them faster as a whole. The package does this for NumPy as well: it has two
# sets of functions, called **kernels**. The plain ones are the formulas. All other backends are tested
# against them:

# %%
show_source(numpy_backend.layer_norm, numpy_backend.gelu)

# %% [markdown]
# The fast ones, in [fast/numpy.py](../minitvlt/backends/fast/numpy.py), compute the same functions with less
# time and memory; [10](10_faster.ipynb) is about them. They are the default. `use_kernels` chooses for the
# whole process, by changing which module `namespace` returns:

# %%
show_source(mt.use_kernels)

# %%
kernels = {}
for choice in ("fast", "plain"):
    mt.use_kernels(choice)
    kernels[choice] = mt.score_matches(params, clips.video, clips.audio)
    print(f"{choice:<6}", namespace(scores).__name__)
print("the same scores up to rounding:", np.allclose(kernels["fast"], kernels["plain"], atol=1e-3))

# %% [markdown]
# From here on the plain kernels run, since they were chosen last.

# %% [markdown]
# ## A backend of your own
#
# You write a library that computes with NumPy and **counts** how often each function is called, and how many
# multiplications the large products make. First its array: it holds a NumPy array and has a shape and a
# dtype, by which the package knows that it is an array. The base class, which NumPy provides, turns `+`, `*`,
# `<` and the other operators into calls of the method `__array_ufunc__`; there we count them and wrap the
# result.

# %%
from collections import Counter


# %%
class Counted(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that NumPy computes, and whose operators are counted"""

    calls, products = Counter(), Counter()

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __array_ufunc__(self, ufunc, method, *inputs, **others):
        Counted.calls[ufunc.__name__] += 1
        return wrap(getattr(ufunc, method)(*map(unwrap, inputs), **others))

    def __getitem__(self, index):
        return wrap(self.array[unwrap(index)])


# %% [markdown]
# `unwrap` returns the NumPy array inside, also for lists and tuples of them; `wrap` is the inverse.


# %%
def unwrap(x):
    if isinstance(x, list | tuple):
        return type(x)(unwrap(part) for part in x)
    return x.array if isinstance(x, Counted) else x


def wrap(x):
    return Counted(x) if isinstance(x, np.ndarray | np.generic) else x


# %% [markdown]
# How many multiplications does a product make? A product of the shapes `(m, k)` and `(k, n)` makes `m k n`.
# So a linear map with `n` outputs makes `n` for each element of its input, and so does `matmul`. Attention
# has two products, of `N` queries with `M` keys and of `N` rows of weights with `M` values, each with `d`
# features in each head.


# %%
def count_multiplications(name, arrays):
    if name == "linear":
        return arrays[0].size * len(arrays[1])
    if name == "matmul":
        return arrays[0].size * arrays[1].shape[-1]
    return 2 * arrays[0].size * arrays[1].shape[-2] if name == "attention" else 0


# %% [markdown]
# `make_counting` makes a function that counts and then calls the plain kernel. A backend is a module with all
# functions of the interface and a name. A module need not be a file: `ModuleType` makes an empty one, which
# is filled here. One function is different: `to_numpy` has to return the array inside.

# %%
from types import ModuleType


# %%
def make_counting(name):
    def function(*inputs, **others):
        arrays = unwrap(inputs)
        Counted.calls[name] += 1
        Counted.products[name] += count_multiplications(name, arrays)
        return wrap(getattr(numpy_backend, name)(*arrays, **others))

    return function


# %%
def make_backend():
    backend = ModuleType("counting")
    for name in numpy_backend.FUNCTIONS:
        setattr(backend, name, make_counting(name))
    backend.name, backend.to_numpy = "counting", unwrap
    return backend


# %% [markdown]
# `register_backend` adds the library, with a function that recognises its arrays. That is all of it, in about
# forty lines. The model runs on it, and gives exactly the numbers of the plain kernels, since these do the
# work.

# %%
counting = make_backend()
mt.register_backend(counting, lambda array: isinstance(array, Counted))
inside = mt.to_backend((params, clips.video, clips.audio), "counting")
Counted.calls.clear()
counted_scores = mt.score_matches(*inside)
print("library:", namespace(counted_scores).name)
print("the same, bit for bit:", np.array_equal(mt.to_backend(counted_scores, "numpy"), kernels["plain"]))
for name, number in Counted.calls.most_common(8):
    print(f"{number:5} × {name}")

# %% [markdown]
# There are twenty linear maps: two that embed patches, four in each of the four blocks (one for queries, keys
# and values together, one after attention, two in the MLP), and two in the matching head. The next cell says
# where the multiplications are. For so few tokens those of attention are few; [10](10_faster.ipynb) shows
# when that changes.

# %%
total = sum(Counted.products.values())
for name, number in Counted.products.most_common(2):
    print(f"{name:<10}{number:12,} multiplications, {number / total:6.1%}")

# %% [markdown]
# ## Property tests
#
# An example shows that a function is right for one input. A **property** is a statement about all inputs, and
# a property test draws many inputs and looks for a counterexample. Two properties are tested for this
# package. The first: for all inputs, a library gives what the plain kernels give. Sizes are small, different
# and often prime, so that two axes that are exchanged by mistake are found.


# %%
def find_counterexample(function, reference, draw, tries=200):
    """The first seed whose inputs show a difference; None if all agree."""
    for seed in range(tries):
        inputs = draw(np.random.default_rng(seed))
        if not np.allclose(function(*inputs), reference(*inputs), rtol=1e-5, atol=1e-5):
            return seed
    return None


def draw_heads(rng):
    """Queries, keys and values for attention, (B, heads, N, d) and twice (B, heads, M, d)."""
    B, heads, N, M, d = rng.integers(1, 8, size=5)
    return rng.normal(size=(B, heads, N, d)), *rng.normal(size=(2, B, heads, M, d))


# %% [markdown]
# Does it find errors? Here are three versions of attention. The first is right. The second lacks the division
# by $\sqrt d$. The third exchanges heads and tokens and only reshapes back: the shape is always right, and
# for one head or one token so are the values.


# %%
def attend(query, key, value, divisor=None, mixes=False):
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(divisor or query.shape[-1])
    weights = numpy_backend.softmax(scores)
    answer = weights @ value
    return answer.swapaxes(1, 2).reshape(answer.shape) if mixes else answer


versions = {
    "right": attend,
    "without the root": lambda *x: attend(*x, divisor=1),
    "mixed axes": lambda *x: attend(*x, mixes=True),
}

# %%
for name, version in versions.items():
    seed = find_counterexample(version, numpy_backend.attention, draw_heads)
    print(f"{name:<18}", "no counterexample in 200" if seed is None else f"counterexample: seed {seed}")

# %% [markdown]
# A small error is found only by inputs for which it exceeds the tolerance. A common approximation of GELU
# uses tanh: with $c = \sqrt{2 / \pi}$,
#
# $$\operatorname{GELU}_{\tanh}(x) = \frac{x}{2} \Bigl(1 + \tanh\bigl(c \, (x + 0.044715 \, x^3)\bigr)\Bigr)$$
#
# The figure shows its difference from the exact one, $x \, \Phi(x)$: at most five parts in ten thousand. The
# dashed lines are the absolute tolerance of our test, which is much smaller, so the test finds it.

# %%
line = np.linspace(-5, 5, 401)
by_tanh = line / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (line + 0.044715 * line**3)))
figure, (axes,) = new_axes(size=(9, 3.2), x="x", y="difference in 10⁻⁴")
axes.plot(line, (by_tanh - numpy_backend.gelu(line)) * 1e4, color="black")
for sign in (-1, 1):
    axes.axhline(sign * 0.1, color="gray", linestyle="--", linewidth=1.5)
print("largest difference:", f"{np.abs(by_tanh - numpy_backend.gelu(line)).max():.1e}")
show(figure, "A wavy curve around zero, up to five parts in ten thousand away from it.")

# %% [markdown]
# The second property is about gradients: for any direction $v$ in the space of the parameters $\theta$, the
# central difference of the loss $L$ with a small $\epsilon$ equals the scalar product of the gradient with
# $v$ (see [06](06_backpropagation.ipynb)):
#
# $$\frac{L(\theta + \epsilon v) - L(\theta - \epsilon v)}{2 \epsilon} \approx \nabla L(\theta) \cdot v$$
#
# We check it for the whole model in float64, along five random directions. Here $\epsilon$ is $10^{-5}$: with
# a much smaller step, rounding errors would exceed the difference.


# %%
def quiet_loss(params):
    scores = mt.score_matches(params, clips.video, clips.audio)
    return namespace(scores).mean(scores * scores)


exact = mt.to_backend(params, "numpy", dtype="float64")
_, gradient = mt.value_and_grad(quiet_loss)(exact)


def find_slopes(rng, epsilon=1e-5):
    """The derivative along a random direction: measured, and from the gradient."""
    v = mt.map_tree(lambda array: rng.normal(size=array.shape) * 0.02, exact)
    up, down = (mt.map_tree(lambda a, b, e=e: a + e * b, exact, v) for e in (epsilon, -epsilon))
    pairs = zip(mt.flatten(gradient).values(), mt.flatten(v).values(), strict=True)
    return (quiet_loss(up) - quiet_loss(down)) / (2 * epsilon), sum(np.sum(a * b) for a, b in pairs)


# %%
rng = np.random.default_rng(0)
for _ in range(5):
    measured, summed = find_slopes(rng)
    print("agree to one part in ten thousand:", bool(abs(measured - summed) < 1e-4 * abs(summed) + 1e-6))

# %% [markdown]
# The tests of the package do the same with the library Hypothesis, which draws inputs and reduces what it
# finds to the smallest counterexample: values of all public functions in
# [test_agreement.py](../tests/test_agreement.py), gradients in
# [test_tape.py](../tests/backends/test_tape.py). A second backend of your own, for the strict implementation
# of the array API standard, is in
# [array_api_strict_backend.py](../tests/backends/array_api_strict_backend.py).

# %% [markdown]
# ## How many digits
#
# A floating-point number has a sign, a power of two, and $p$ binary digits. A result that needs more digits
# is rounded to the nearest number of the format, $\operatorname{fl}(x)$. So the relative error of one
# rounding is at most
#
# $$\max_x \frac{|\operatorname{fl}(x) - x|}{|x|} = 2^{-p}$$
#
# up to terms of the order of its square. bfloat16 is the upper half of a float32: the same range, and eight
# digits. float16 has three digits more and a smaller range: its largest number is 65,504.

# %%
digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
for name, p in digits.items():
    known = "" if name == "bfloat16" else f"   NumPy says {np.finfo(name).eps / 2:.1e}"
    print(f"{name:<10}{p:3} binary digits, error of a rounding {2.0**-p:.1e}{known}")

# %% [markdown]
# NumPy has no bfloat16, but rounding to it takes a few operations on the bits of a float32: add half of the
# last digit that is kept (a tie goes to the even number), and set the lower sixteen bits to 0. The result is
# a float32 with the digits of a bfloat16.


# %%
def to_bfloat16(x):
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


print("π:", np.float32(np.pi), "→", to_bfloat16(np.pi))
print("1.001:", "→", to_bfloat16(1.001), "  256 + 1:", "→", to_bfloat16(256 + 1))

# %% [markdown]
# The error of one rounding is small, below half a per cent, but in sums errors accumulate: with eight digits,
# 256 + 1 is 256. Below we add 2,000 ones, one after the other, in each format. Both lines should be the
# diagonal; bfloat16 stops at 256, where adding one no longer changes the sum. This is why libraries multiply
# numbers of 16 bits, but accumulate the sums in 32 bits: **mixed precision**.

# %%
sums = {"float32": [np.float32(0)], "bfloat16": [np.float32(0)]}
for _ in range(2000):
    sums["float32"].append(sums["float32"][-1] + np.float32(1))
    sums["bfloat16"].append(to_bfloat16(sums["bfloat16"][-1] + np.float32(1)))
figure, (axes,) = new_axes(size=(8, 3.2), x="ones added", y="sum")
axes.plot(sums["float32"], color="black", label="float32")
axes.plot(sums["bfloat16"], color="black", linestyle="--", label="bfloat16")
axes.legend()
print("2,000 ones in bfloat16:", int(sums["bfloat16"][-1]))
show(figure, "A rising line for float32, and one for bfloat16 that stays at 256.")

# %% [markdown]
# ## The error of the model
#
# Now the model. We run it in float64 as the reference, then in float32, then in float32 with all parameters
# rounded to bfloat16, and where there is PyTorch, with every operation in bfloat16. We compare the tokens
# after each block: the norm of the difference, relative to the norm of the reference.


# %%
def list_hidden(tree):
    out = mt.forward(*tree, return_hidden=True)
    return [np.asarray(x, np.float64) for x in mt.to_backend(out.hidden, "numpy")]


inputs = (params, clips.video, clips.audio)
reference = list_hidden(mt.to_backend(inputs, "numpy", dtype="float64"))
runs = {"float32": list_hidden(inputs)}
runs["parameters in bfloat16"] = list_hidden((mt.map_tree(to_bfloat16, params), *inputs[1:]))
if has_torch:
    runs["all in bfloat16"] = list_hidden(mt.to_backend(inputs, "torch", dtype="bfloat16"))

# %% [markdown]
# The vertical axis of the figure is logarithmic. The error of float32 stays below one part in a million. That
# of bfloat16 is of the order of one rounding, and grows slowly from block to block.

# %% tags=["thumbnail"]
figure, (axes,) = new_axes(size=(9, 3.6), x="after block", y="relative error")
for (name, hidden), style in zip(runs.items(), ("-", "--", ":"), strict=False):
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(hidden, reference, strict=True)]
    axes.semilogy(errors, "o" + style, color="black", label=name)
axes.axhline(2.0**-8, color="gray", linewidth=1.5)
axes.text(0, 2.0**-8 * 1.4, "one rounding to bfloat16", fontsize=12)
axes.set(xticks=range(5), ylim=(3e-8, 0.5))
axes.legend(loc="center", bbox_to_anchor=(0.5, 0.42))
show(figure, "Relative errors after each block: float32 below a millionth, bfloat16 some thousandths.")

# %% [markdown]
# Does this change predictions? A prediction is only the sign of a score. The last cell scores all 256 pairs
# of the sixteen clips, with the parameters as they are and rounded to bfloat16. Predictions change only for
# the few pairs whose score is near 0.

# %%
batch = mt.make_batch(clips, params.config, np.random.default_rng(0))
before = mt.score_all_pairs(params, batch)
after = mt.score_all_pairs(mt.map_tree(to_bfloat16, params), batch)
print("at least 250 of 256 predictions the same:", bool(((before > 0) == (after > 0)).sum() >= 250))
same = before.argmax(axis=1) == after.argmax(axis=1)
print("rows with the same best match:", same.sum(), "of 16")

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. What happens if you pass NumPy frames to a model whose parameters are on the counting library?**
#
# <details><summary>Answer</summary>
#
# It is an error that says how to convert. An implicit conversion could copy gigabytes between a graphics card
# and the host in each step, unnoticed.
#
# ```python
# try:
#     mt.score_matches(inside[0], clips.video, inside[2])
# except ValueError as error:
#     print(error)
#     assert "different libraries: counting and numpy" in str(error)
# ```
#
# </details>

# %% [markdown]
# **2. How often does a forward pass call `exp` and `softmax`, and how often with `return_attention=True`?**
#
# <details><summary>Answer</summary>
#
# Neither: the exponentials are inside of `attention`, which is one function of the interface. If the
# attention maps themselves are needed, `softmax` is called once for each block.
#
# ```python
# found = []
# for wanted in (False, True):
#     Counted.calls.clear()
#     mt.forward(*inside, return_attention=wanted)
#     found.append((Counted.calls["exp"], Counted.calls["softmax"], Counted.calls["attention"]))
# assert found == [(0, 0, 4), (0, 4, 0)]
# ```
#
# </details>

# %% [markdown]
# **3. Change the model: replace GELU in your library by ReLU, $\max(x, 0)$, then by $x$ itself, without a new
# training. Does the property test notice? How many of the 16 predictions change? Predict both.**
#
# <details><summary>Answer</summary>
#
# Any negative number is a counterexample, so the first seed is returned. ReLU differs from GELU by at most
# 0.17, and all predictions stay the same. If the MLPs become linear maps, a few predictions change; that most
# are still right shows how much attention alone contributes. So a model that gives good predictions may still
# contain a wrong function: only comparisons as above find it.
#
# ```python
# changed = []
# for function in (lambda x: np.maximum(x, 0), lambda x: x):
#     counting.gelu = lambda x: wrap(function(unwrap(x)))
#     assert find_counterexample(function, numpy_backend.gelu, lambda rng: [rng.normal(size=7)]) == 0
#     predictions = mt.to_backend(mt.score_matches(*inside), "numpy") > 0
#     changed.append(int(np.sum(predictions != (scores > 0))))
# counting.gelu = make_counting("gelu")
# print("changed predictions:", changed, "of 16")
# assert changed[0] == 0 < changed[1] < 8
# ```
#
# </details>

# %% [markdown]
# **4. Which $\epsilon$ is best for the check of the gradient?**
#
# <details><summary>Answer</summary>
#
# The error of the formula is about $\epsilon^2$, and that of rounding about $2^{-53} / \epsilon$. Their sum
# is smallest where $\epsilon^3 \approx 2^{-53}$, near $5 \cdot 10^{-6}$. With a large $\epsilon$ the higher
# derivatives of the loss matter, with a tiny one only rounding is left.
#
# ```python
# errors = {}
# for epsilon in (1e-1, 1e-5, 1e-13):
#     measured, summed = find_slopes(np.random.default_rng(0), epsilon)
#     errors[epsilon] = abs(measured / summed - 1)
# print({epsilon: f"{error:.0e}" for epsilon, error in errors.items()})
# assert errors[1e-5] < min(errors[1e-1], errors[1e-13]) / 100
# ```
#
# </details>

# %% [markdown]
# **5. Would float16 be as good as bfloat16? Round the parameters to it.**
#
# <details><summary>Answer</summary>
#
# It has three more digits, and these parameters do not change at all: the file of the packaged model stores
# them in float16. For training it is less suitable: the smallest positive number of float16 is
# $6 \cdot 10^{-8}$, and many gradients are smaller; bfloat16 has the range of float32.
#
# ```python
# rounded = mt.map_tree(lambda array: array.astype(np.float16).astype(np.float32), params)
# pairs = zip(mt.flatten(rounded).values(), mt.flatten(params).values(), strict=True)
# assert all(np.array_equal(a, b) for a, b in pairs)
# tiny = np.concatenate([np.abs(array).ravel() for array in mt.flatten(gradient).values()])
# print(f"gradients that float16 rounds to 0: {np.mean(tiny.astype(np.float16) == 0):.1%}")
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# The model calls `namespace` to get the functions of a library, and uses some thirty of them; the type of the
# arrays decides which library computes. NumPy, PyTorch and the tape are three libraries, and a fourth, which
# counts, took forty lines. NumPy has plain and fast kernels. Property tests compare them: any library gives
# what the plain kernels give, and any gradient what central differences give. float32 has 24 binary digits
# and errors below a millionth here; bfloat16 has 8, which is enough for most predictions if sums are
# accumulated in more.

# %% [markdown]
# ## Where to go on
#
# [10](10_faster.ipynb) measures where the time goes. The reference of all functions is
# [numpy_backend.py](../minitvlt/backends/numpy_backend.py), and libraries and kernels are chosen in
# [backends](../minitvlt/backends/__init__.py). All notebooks are in the [overview](README.md).

# %% [markdown]
# ## References
#
# - [The Python array API standard](https://data-apis.org/array-api/), 2021 and later.
# - K. Claessen, J. Hughes, *QuickCheck: A Lightweight Tool for Random Testing of Haskell Programs*, 2000,
#   [doi 10.1145/351240.351266](https://doi.org/10.1145/351240.351266): property tests.
# - P. Micikevicius et al., *Mixed Precision Training*, 2018,
#   [arXiv 1710.03740](https://arxiv.org/abs/1710.03740).
# - D. Kalamkar et al., *A Study of BFLOAT16 for Deep Learning Training*, 2019,
#   [arXiv 1905.12322](https://arxiv.org/abs/1905.12322).
