# %% [markdown]
# # 09 · Backends
#
# The text of the model stands once, and several array libraries run it. This notebook calls it on each of
# them, plugs in a library of its own that counts what the model does, tests libraries against each other, and
# looks at what is lost when numbers get shorter.
#
# **You will be able to** run the same call on NumPy, on PyTorch and on the tape, write a backend in forty
# lines, find its mistakes with property tests, and say how many digits a format keeps.
#
# **Time to run:** about fifteen seconds. **Before this:** the parts of a block, in
# [04](04_attention.ipynb). Gradients are the subject of [06](06_backpropagation.ipynb); here it is enough
# that they say how a value changes when its inputs do.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## One text
#
# Here is a piece of the model: the MLP of a block. It names no library. It asks for one, by the arrays that
# came in, calls it `xp`, and goes on with that.

# %%
from helpers.notebook import show, show_source
from minitvlt.model.transformer import run_linear, run_mlp

show_source(run_linear, run_mlp)

# %% [markdown]
# `namespace` is the one who answers. It looks at the types of the arrays and returns a module. Mixed arrays
# are refused, with one exception: NumPy beside the tape, because data stand beside recorded parameters as
# constants.

# %%
from minitvlt.backends import namespace

show_source(namespace)

# %% [markdown]
# ## The same call
#
# We take the trained model and sixteen clips, and ask for the matching scores of the clips as they are: each
# sound with its own video. A score above 0 says "they belong together". First on NumPy.

# %%
import numpy as np

params = mt.load("shapes-small")
clips = mt.ShapesWorld(params.config, split="held_out").sample(np.random.default_rng(4), 16)
scores = mt.score_matches(params, clips.video, clips.audio)
print("library:", namespace(scores).name, "  scores:", scores.shape)
print("told to belong together:", (scores > 0).sum(), "of 16")

# %% [markdown]
# `to_backend` moves arrays, or whole trees of them, to another library; the call stays what it was. Without
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
# The third library is the **tape**: NumPy that writes down each step, in order to walk the steps backwards
# afterwards. Nobody converts arrays to it by hand. `value_and_grad` does, for the time of one call: inside,
# parameters are arrays of the tape; what comes out is NumPy again.


# %%
def loss(params, video, audio):
    """The mean square of the scores: any number that depends on the parameters would do."""
    scores = mt.score_matches(params, video, audio)
    xp = namespace(scores)
    print("inside, the library is the", xp.name)
    return xp.mean(scores * scores)


value, gradients = mt.value_and_grad(loss)(params, clips.video, clips.audio)
print(
    "outside, the gradient of cls is of", namespace(gradients.encoder.cls).name, gradients.encoder.cls.shape
)

# %% [markdown]
# With parameters of PyTorch the same call uses PyTorch's own autograd. The two gradients are those of one
# function, so they must agree, in each of the 105 arrays of parameters. How far apart they are we measure by
# length: the length of the difference, relative to the length of the gradient.

# %% tags=["needs-torch"]
flat = mt.flatten(gradients)
print("arrays of parameters:", len(flat))
if has_torch:
    _, by_autograd = mt.value_and_grad(loss)(*inputs)
    theirs = mt.flatten(mt.to_backend(by_autograd, "numpy"))
    apart = np.sqrt(sum(np.sum((flat[name] - theirs[name]) ** 2) for name in flat))
    length = np.sqrt(sum(np.sum(array**2) for array in flat.values()))
    print("relative difference below 1e-4:", bool(apart / length < 1e-4))

# %% [markdown]
# ## The waist
#
# All that the model asks of a library are these functions. Most have the names and the meaning of the Python
# array API standard. The last five are what a neural network adds, each of them something that a library can
# do faster as a whole than in pieces.

# %%
from minitvlt.backends import numpy_backend

names = numpy_backend.FUNCTIONS
print(len(names), "functions")
for start in range(0, len(names), 9):
    print("  ", "  ".join(names[start : start + 9]))

# %% [markdown]
# The picture shows why it is called a waist: above it the model, written once; below it the libraries, each
# written once; and nothing but these functions in between. With $t$ texts and $l$ libraries, one writes
# $t + l$ things and not $t \cdot l$.

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
axes.text(1.5, 1, f"the waist: {len(names)} functions", ha="center", va="center", fontsize=14, bbox=box)
axes.set(xlim=(-0.6, 3.6), ylim=(-0.4, 2.4))
axes.set_axis_off()
show(figure, "Four boxes of the model above and four libraries below, joined by one box in the middle.")

# %% [markdown]
# ## A backend of your own
#
# We write a library that computes with NumPy and **counts**: how often each function is called, and how many
# multiplications the large products make. First its array. It holds a NumPy array and has a shape and a
# dtype, by which the package knows that it is an array. NumPy's `NDArrayOperatorsMixin` turns `+`, `*`, `<`
# and the other operators into calls of `__array_ufunc__`, where we count them and wrap the result up again.

# %%
from collections import Counter

calls, products = Counter(), Counter()


# %%
class Counted(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that NumPy computes, and whose operators are counted"""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __array_ufunc__(self, ufunc, method, *inputs, **others):
        calls[ufunc.__name__] += 1
        return wrap(getattr(ufunc, method)(*map(unwrap, inputs), **others))

    def __getitem__(self, places):
        return wrap(self.array[unwrap(places)])


# %% [markdown]
# `unwrap` takes NumPy arrays out, also out of lists and tuples of them; `wrap` puts one in.


# %%
def unwrap(x):
    if isinstance(x, list | tuple):
        return type(x)(unwrap(part) for part in x)
    return x.array if isinstance(x, Counted) else x


def wrap(x):
    return Counted(x) if isinstance(x, np.ndarray | np.generic) else x


# %% [markdown]
# How many multiplications does a product make? A product of `(m, k)` with `(k, n)` makes `m k n`. So a linear
# map of `n` outputs makes `n` for each number that goes in; a `matmul` likewise; and attention has two
# products, of `N` queries with `M` keys and of `N` weights with `M` values, each with `d` numbers in each
# head. `make_counting` makes a function that counts, and lets NumPy do the work.

# %%
MULTIPLICATIONS = {
    "linear": lambda x, weight, bias=None: x.size * len(weight),
    "matmul": lambda a, b: a.size * b.shape[-1],
    "attention": lambda query, key, value, mask=None: 2 * query.size * key.shape[-2],
}


def make_counting(name):
    def function(*inputs, **others):
        arrays = unwrap(inputs)
        calls[name] += 1
        products[name] += MULTIPLICATIONS[name](*arrays) if name in MULTIPLICATIONS else 0
        return wrap(getattr(numpy_backend, name)(*arrays, **others))

    return function


# %% [markdown]
# A backend is a module with these functions and a name. Two of them are not just wrapped: `to_numpy` has to
# take the array out, and what `from_numpy` returns has to be ours, which `wrap` sees to. Then the library is
# plugged in, with a function that recognises its arrays.

# %%
from types import ModuleType

counting = ModuleType("counting")
counting.name = "counting"
for name in names:
    setattr(counting, name, make_counting(name))
counting.to_numpy = unwrap
mt.register_backend(counting, lambda array: isinstance(array, Counted))

# %% [markdown]
# That was the whole library, in about forty lines. The model runs on it, and gives the very same numbers,
# because NumPy did the work.

# %%
inside = mt.to_backend((params, clips.video, clips.audio), "counting")
calls.clear()
counted_scores = mt.score_matches(*inside)
print("library:", namespace(counted_scores).name)
print("the same, bit for bit:", np.array_equal(mt.to_backend(counted_scores, "numpy"), scores))
for name, number in calls.most_common(8):
    print(f"{number:5} × {name}")

# %% [markdown]
# Twenty linear maps: two that embed patches, four in each of the four blocks (one for queries, keys and
# values together, one behind attention, two in the MLP), and two in the head that scores. The next cell says
# where the multiplications are. At so few tokens attention hardly counts; [10](10_faster.ipynb) shows when
# that changes.

# %%
total = sum(products.values())
for name, number in products.most_common(2):
    print(f"{name:<10}{number:12,} multiplications, {number / total:6.1%}")

# %% [markdown]
# ## Property tests
#
# An example shows that a function is right once. A **property** is a sentence about all inputs, and a
# property test draws many inputs and tries to refute it. Two such sentences hold this package together.
# The first: whatever is drawn, a library gives what NumPy gives. Sizes are small, unequal and often prime, so
# that two axes that are swapped by mistake do not go unnoticed.


# %%
def find_counterexample(function, reference, draw, tries=200):
    """The first seed whose inputs show a difference; None if all agree."""
    for seed in range(tries):
        inputs = draw(np.random.default_rng(seed))
        if not np.allclose(function(*inputs), reference(*inputs), rtol=1e-5, atol=1e-5):
            return seed
    return None


def draw_heads(rng):
    """Queries, keys and values for attention: clips, heads, tokens, numbers."""
    B, heads, N, M, d = rng.integers(1, 8, size=5)
    return rng.normal(size=(B, heads, N, d)), *rng.normal(size=(2, B, heads, M, d))


# %% [markdown]
# Does it find mistakes? Here are three ways to write attention. The first is right. The second forgot the
# root of $d$. The third swapped heads and tokens and only reshaped them back: the shape is always right, and
# where there is one head or one token, so are the numbers.


# %%
def attend(query, key, value, divisor=None, mixes=False):
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(divisor or query.shape[-1])
    weights = numpy_backend.softmax(scores)
    answer = weights @ value
    return answer.swapaxes(1, 2).reshape(answer.shape) if mixes else answer


versions = {
    "right": attend,
    "without the root": lambda *x: attend(*x, divisor=x[0].shape[-1] ** 2),
    "mixed axes": lambda *x: attend(*x, mixes=True),
}

# %%
for name, version in versions.items():
    seed = find_counterexample(version, numpy_backend.attention, draw_heads)
    print(
        f"{name:<18}", "no counterexample in 200" if seed is None else f"refuted by the inputs of seed {seed}"
    )

# %% [markdown]
# A mistake that is small needs inputs that reveal it. A common stand-in for GELU uses tanh and is fast
# where erf is slow: with $c = \sqrt{2 / \pi}$,
#
# $$g(x) = \frac{x}{2} \Bigl(1 + \tanh\bigl(c \, (x + 0.044715 \, x^3)\bigr)\Bigr)$$
#
# The picture shows how far it is from the exact one, $x \, \Phi(x)$, over $x$: nowhere more than five
# parts in ten thousand. The dashed lines are the tolerance of our test, hardly to be told from 0: so the test
# refutes it.

# %%
line = np.linspace(-5, 5, 401)
by_tanh = line / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (line + 0.044715 * line**3)))
figure, (axes,) = new_axes(size=(9, 3.2), x="x", y="difference in 10⁻⁴")
axes.plot(line, (by_tanh - numpy_backend.gelu(line)) * 1e4, color="black")
for sign in (-1, 1):
    axes.axhline(sign * 0.1, color="gray", linestyle="--", linewidth=1.5)
print("largest difference:", f"{np.abs(by_tanh - numpy_backend.gelu(line)).max():.1e}")
show(figure, "A wavy curve around zero, between minus two and plus five parts in ten thousand.")

# %% [markdown]
# The second sentence is about gradients: along whatever direction $u$ one walks away from the parameters
# $\theta$, a little step $h$ forward and one back, the loss $L$ changes as the gradient says:
#
# $$\frac{L(\theta + h u) - L(\theta - h u)}{2 h} \approx \nabla L(\theta) \cdot u$$
#
# We check it for the whole model, in float64, along five random directions. Here `h` is one part in a
# hundred thousand: much smaller, and rounding would drown the difference.


# %%
def quiet_loss(params):
    scores = mt.score_matches(params, clips.video, clips.audio)
    return namespace(scores).mean(scores * scores)


exact = mt.to_backend(params, "numpy", dtype="float64")
_, slope = mt.value_and_grad(quiet_loss)(exact)
rng, h = np.random.default_rng(0), 1e-5
for _ in range(5):
    u = mt.map_tree(lambda array: rng.normal(size=array.shape) * 0.02, exact)
    up, down = (mt.map_tree(lambda a, b, s=s: a + s * h * b, exact, u) for s in (1, -1))
    walked = (quiet_loss(up) - quiet_loss(down)) / (2 * h)
    told = sum(np.sum(a * b) for a, b in zip(*(mt.flatten(x).values() for x in (slope, u)), strict=True))
    print("agree to one part in ten thousand:", bool(abs(walked - told) < 1e-4 * abs(told) + 1e-6))

# %% [markdown]
# The tests of the package do the same with the library Hypothesis, which draws inputs, and shrinks what it
# finds to the smallest counterexample: values of all public functions in
# [test_agreement.py](../tests/test_agreement.py), gradients in
# [test_tape.py](../tests/backends/test_tape.py), and a backend of forty lines, for the strict array API
# standard, in [array_api_strict_backend.py](../tests/backends/array_api_strict_backend.py).

# %% [markdown]
# ## How many digits
#
# A floating-point number is a sign, a power of two, and $p$ binary digits. When a result does not fit, it is
# rounded to the nearest number that does, $\operatorname{fl}(x)$. So the relative error of one rounding is
# at most
#
# $$\max_x \frac{|\operatorname{fl}(x) - x|}{|x|} = 2^{-p}$$
#
# up to terms of the order of its square. bfloat16 is the upper half of a float32: the same powers of two,
# and eight digits. float16 spends three bits the other way: it is finer, but ends at 65,504.

# %%
digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
for name, p in digits.items():
    known = "" if name == "bfloat16" else f"   NumPy says {np.finfo(name).eps / 2:.1e}"
    print(f"{name:<10}{p:3} binary digits, error of a rounding {2.0**-p:.1e}{known}")

# %% [markdown]
# NumPy has no bfloat16, but it is made in two lines: take the bits of a float32, add a half of the last
# digit that stays (so that it rounds, and a tie goes to the even number), and set the lower sixteen bits to
# 0. This keeps bfloat16's digits in a float32.


# %%
def to_bfloat16(x):
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


print("π:", np.float32(np.pi), "→", to_bfloat16(np.pi))
print("1.001:", "→", to_bfloat16(1.001), "  256 + 1:", "→", to_bfloat16(256 + 1))

# %% [markdown]
# One rounding of half a per cent does little. Sums are where it goes wrong: with eight digits, 256 + 1 is
# 256. Below we add up 2,000 ones, one after the other, in each format. The lines should all lie on the
# diagonal. Where adding one no longer changes the sum, it stands still, and the larger it would have become,
# the worse. So libraries multiply numbers of 16 bits, but add them up in 32.

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
show(figure, "A rising line for float32, and one for bfloat16 that stands still at 256.")

# %% [markdown]
# ## How far the model drifts
#
# Now the model. We run it in float64, which we take for the truth, then in float32, then in float32 with all
# parameters rounded to bfloat16, and look at the tokens between the blocks: how long is their error, relative
# to their own length? And where there is PyTorch, once more with every operation in bfloat16.


# %%
def list_hidden(tree):
    out = mt.forward(*tree, return_hidden=True)
    return [np.asarray(x, np.float64) for x in mt.to_backend(out.hidden, "numpy")]


inputs = (params, clips.video, clips.audio)
truth = list_hidden(mt.to_backend(inputs, "numpy", dtype="float64"))
runs = {"float32": list_hidden(inputs)}
runs["parameters in bfloat16"] = list_hidden((mt.map_tree(to_bfloat16, params), *inputs[1:]))
if has_torch:
    runs["all in bfloat16"] = list_hidden(mt.to_backend(inputs, "torch", dtype="bfloat16"))

# %% [markdown]
# In the picture the vertical axis is logarithmic: a step up by one mark is ten times the error. float32
# stays below one part in a million. bfloat16 begins near its own rounding, and the blocks hardly make
# it worse: each adds to what was there, and norms bring the lengths back.

# %% tags=["thumbnail"]
figure, (axes,) = new_axes(size=(9, 3.6), x="after block", y="relative error")
for (name, hidden), style in zip(runs.items(), ("-", "--", ":"), strict=False):
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(hidden, truth, strict=True)]
    axes.semilogy(errors, "o" + style, color="black", label=name)
axes.axhline(2.0**-8, color="gray", linewidth=1.5)
axes.text(0, 2.0**-8 * 1.4, "one rounding to bfloat16", fontsize=12)
axes.set(xticks=range(5), ylim=(3e-8, 0.5))
axes.legend(loc="center", bbox_to_anchor=(0.5, 0.42))
show(figure, "Relative errors after each block: float32 below a millionth, bfloat16 some thousandths.")

# %% [markdown]
# Does anybody notice? A decision is only a sign. The last cell asks for all 256 pairs of the sixteen clips
# whether they belong together, by the exact model and by the one whose parameters were rounded. Few pairs
# are decided otherwise: those whose score was near 0 anyway.

# %%
batch = mt.make_batch(clips, params.config, np.random.default_rng(0))
before = mt.score_all_pairs(params, batch)
after = mt.score_all_pairs(mt.map_tree(to_bfloat16, params), batch)
print("all but a few of 256 decisions the same:", bool(((before > 0) == (after > 0)).sum() >= 250))
print(
    "sounds that still choose the same video:", (before.argmax(axis=1) == after.argmax(axis=1)).sum(), "of 16"
)

# %% [markdown]
# ## Try it
#
# **1. What happens if you hand NumPy frames to a model that lives on the counting library?**
#
# <details><summary>Answer</summary>
#
# `mt.score_matches(inside[0], clips.video, inside[2])` is refused: "Arrays of different libraries meet here:
# counting and numpy", and the sentence says how to convert. A silent conversion could copy gigabytes between
# a graphics card and the host, at each step, unnoticed.
#
# </details>

# %% [markdown]
# **2. How often is `exp` called, and why so seldom?**
#
# <details><summary>Answer</summary>
#
# `calls["exp"]` is 0: the exponentials are inside `attention`, which the waist hands to the library as a
# whole. With `mt.forward(*inside, return_attention=True)` the maps are computed beside it, and `softmax` is
# called once in each block.
#
# </details>

# %% [markdown]
# **3. Make a mistake in the counting library, and let the property test find it.**
#
# <details><summary>Answer</summary>
#
# For instance `counting.gelu = lambda x: x * (x > 0)`, which is ReLU. Then
# `find_counterexample(lambda x: unwrap(counting.gelu(wrap(x))), numpy_backend.gelu,
# lambda rng: [rng.normal(size=7)])` gives the seed 0: any negative number tells. Put it right with
# `counting.gelu = make_counting("gelu")`.
#
# </details>

# %% [markdown]
# **4. Which step $h$ is best for the check of the gradient?**
#
# <details><summary>Answer</summary>
#
# The formula is wrong by about $h^2$, and rounding by about $2^{-53} / h$. Their sum is smallest where
# $h^3 \approx 2^{-53}$, near $5 \cdot 10^{-6}$. Try 1e-2, where the curve of the loss shows, and 1e-13, where
# nothing but rounding is left.
#
# </details>

# %% [markdown]
# **5. Would float16 do as well as bfloat16?**
#
# <details><summary>Answer</summary>
#
# Better, for this: it keeps three more digits. Rounding these parameters to it,
# `mt.map_tree(lambda a: a.astype(np.float16).astype(np.float32), params)`, even changes nothing at all: the
# file that comes with the package holds them in float16 already. For training it is less handy. Below
# $6 \cdot 10^{-8}$ float16 has nothing but 0, and many gradients are smaller; bfloat16 reaches as far down as
# float32.
#
# </details>

# %% [markdown]
# ## Recap
#
# The model asks `namespace` for a library and uses some thirty functions of it; which arrays come in decides
# who computes. NumPy, PyTorch and the tape are three such libraries, and a fourth, one that counts, took
# forty lines. Property tests hold them together: any library gives what NumPy gives, and any gradient what a
# small step says. float32 keeps 24 binary digits and is as good as exact here; bfloat16 keeps 8, which is
# enough for most decisions, as long as sums are kept in more.

# %% [markdown]
# ## Where to go on
#
# [10](10_faster.ipynb) asks where the time goes, and counts multiplications again, by hand. The reference of
# all functions is [numpy_backend.py](../minitvlt/backends/numpy_backend.py), and what joins the libraries is
# [backends](../minitvlt/backends/__init__.py). The whole path is in the [overview](README.md).
