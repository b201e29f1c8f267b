# %% [markdown]
# # 10 · Faster
#
# The plain kernels are the formulas as they are read; the fast kernels compute the same results in less time
# and memory. This notebook times each layer on both, counts the arithmetic, finds the least time that it
# takes on this machine, and explains how the fast kernels come closer to it. Then it compares with PyTorch,
# shorter number formats and a compiler, and divides a training step among processes.
#
# **You will be able to** profile a model, count its floating-point operations by hand, tell whether a piece
# of code is limited by arithmetic or by memory, and divide a training step among processes.
#
# **Time to run:** about 30 seconds. **Before this:** the parts of a block and attention in blocks, in
# [04](04_attention.ipynb); the array interface and its kernels, in [09](09_backends.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Measuring
#
# We take a middle-sized model, `Config.small()`, with random parameters: their values do not change the
# speed. One clip has 4 frames of 128 by 128 pixels and 5.9 seconds of audio: 513 tokens.

# %%
import time

import numpy as np

config = mt.Config.small()
params = mt.init(config, seed=0)
clip = mt.ShapesWorld(config).sample(np.random.default_rng(0), 1)
out = mt.forward(params, clip.video, clip.audio)
N, D = out.sequence.shape[1:]
print("tokens:", N, "  width:", D, "  blocks:", config.num_hidden_layers)

# %% [markdown]
# A single measurement is not reliable: the first call allocates memory, and other programs run on the
# machine. So `measure` makes one call to warm up, then returns the *shortest* of several times, because
# disturbances only make a call longer. Until the section on threads we use one core: inside
# `on_one_core` of the package, matrix products have one thread. The stack leaves it when it is closed.

# %%
from contextlib import ExitStack

from minitvlt.backends.fast.threads import on_one_core

one_core = ExitStack()
one_core.enter_context(on_one_core())

# %%


def measure(work, tries=5):
    """The shortest of some times, in milliseconds."""
    work()
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


# %% [markdown]
# `use_kernels` chooses between the plain and the fast kernels. `on_both` measures the same work on each,
# in turns, so that other programs disturb both alike.


# %%
def on_both(work, tries=2):
    """The shortest times on the plain and on the fast kernels; the fast ones are in use afterwards."""
    times = {"plain": [], "fast": []}
    for _ in range(tries):
        for kernels in times:
            mt.use_kernels(kernels)
            times[kernels].append(measure(work, 1))
    return {kernels: min(some) for kernels, some in times.items()}


# %% tags=["volatile"]
whole = on_both(lambda: mt.forward(params, clip.video, clip.audio))
for kernels, milliseconds in whole.items():
    print(f"forward on {kernels} kernels: {milliseconds:.0f} ms")

# %% [markdown]
# ## Where the time goes
#
# We time each layer by itself, on the tokens of this clip, and multiply by how often `forward` calls it. All
# blocks have the same shapes, so the first one stands for all.

# %%
from minitvlt.backends import namespace
from minitvlt.model.transformer import run_linear, run_norm, split_heads
from minitvlt.model.tvlt import embed_clips

block, heads, layers = params.encoder.blocks[0], config.num_attention_heads, config.num_hidden_layers
x = out.sequence
query, key, value = split_heads(x, block.attention, heads)
hidden = run_linear(x, block.mlp.expand)

# %%
calls = {"patch embedding": (1, lambda: embed_clips(params, (clip.video, clip.audio), (None, None)))}
calls["LayerNorm"] = 2 * layers + 1, lambda: run_norm(x, block.attention_norm, config.layer_norm_eps)
calls["queries, keys, values"] = layers, lambda: split_heads(x, block.attention, heads)
calls["attention"] = layers, lambda: namespace(x).attention(query, key, value)
calls["output projection"] = layers, lambda: run_linear(x, block.attention.output)
calls["MLP, first linear map"] = layers, lambda: run_linear(x, block.mlp.expand)
calls["GELU"] = layers, lambda: namespace(x).gelu(hidden)
calls["MLP, second linear map"] = layers, lambda: run_linear(hidden, block.mlp.contract)

# %% tags=["volatile"]
spent = {"plain": {}, "fast": {}}
for name, (count, layer) in calls.items():
    for kernels, milliseconds in on_both(layer).items():
        spent[kernels][name] = count * milliseconds
print(f"{'':<24}{'plain':>8}{'fast':>8}   ms of one forward pass")
for name in calls:
    print(f"{name:<24}{spent['plain'][name]:8.1f}{spent['fast'][name]:8.1f}")
print(f"{'sum':<24}{sum(spent['plain'].values()):8.1f}{sum(spent['fast'].values()):8.1f}")
print(f"{'forward':<24}{whole['plain']:8.1f}{whole['fast']:8.1f}")

# %% [markdown]
# The figure shows the same times as bars. The kernels differ most in attention and GELU. The linear maps are
# matrix products, which NumPy's library computes on both; on the fast kernels they take most of the time.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show, show_source

use_style()
figure, (axes,) = new_axes(size=(9, 4.2), x="milliseconds of one forward pass")
for kernels, shift, colour in (("plain", -0.2, "lightgray"), ("fast", 0.2, "black")):
    places = np.arange(len(calls)) + shift
    axes.barh(places, list(spent[kernels].values()), 0.4, color=colour, label=kernels)
axes.set_yticks(range(len(calls)), list(calls))
axes.invert_yaxis()
axes.legend()
show(figure, "Pairs of bars for eight layers: on fast kernels, attention and GELU are shorter.")

# %% [markdown]
# ## Counting
#
# Multiplying an $(m, k)$ by a $(k, n)$ matrix takes $m k n$ multiplications and as many additions: $2 m k n$
# floating-point operations (FLOPs). In a block, each of the $N$ tokens of width $D$ goes through linear maps
# with $3 D^2$ weights (queries, keys, values), $D^2$ (output) and $2 D W$ (the MLP, $W$ wide); and attention
# has two products of $2 N^2 D$ FLOPs. So one block takes
#
# $$F = 2 N \, (4 D^2 + 2 D W) + 4 N^2 D$$

# %%
from helpers.flops import count_flops

W = config.intermediate_size
linear_maps = 2 * N * (4 * D**2 + 2 * D * W) * layers
attention = 4 * N**2 * D * layers
embedding = 2 * D * (256 * 16 * 16 * 3 + 256 * 16 * 16)  # 256 patches of each
total = linear_maps + attention + embedding
for name, flops in {"linear maps": linear_maps, "attention": attention, "embedding": embedding}.items():
    print(f"{name:<14}{flops / 1e9:7.2f} GFLOP, {flops / total:6.1%}")
print("as helpers/flops.py counts:", total == count_flops(config))

# %% [markdown]
# The first term of $F$ grows with $N$, the second with its square. They are equal where
# $2 N (4 D^2 + 2 D W) = 4 N^2 D$, which for $W = 4 D$ means $N = 6 D$. The figure shows both for the width
# of the published model over the number of tokens, on logarithmic axes. The dotted line marks its 2593
# tokens. There the linear maps take more; for a clip twice as long, attention does.

# %%
tokens, width = np.geomspace(100, 20000, 60), 768
figure, (axes,) = new_axes(size=(9, 3.4), x="tokens", y="GFLOP in a block")
axes.loglog(tokens, 2 * tokens * 12 * width**2 / 1e9, color="black", label="linear maps")
axes.loglog(tokens, 4 * tokens**2 * width / 1e9, "--", color="black", label="attention")
axes.axvline(2593, color="gray", linestyle=":")
axes.legend()
print("equal at", 6 * width, "tokens")
show(figure, "Two rising lines over the tokens; the steeper one, attention, crosses the other at 4608.")

# %% [markdown]
# ## The least time
#
# No program multiplies faster than the machine. We measure the rate of one core in a large matrix product,
# and divide the FLOPs of `forward` by it. This is the least time that `forward` can take on one core, unless
# it computes less.

# %% tags=["volatile"]
a, b = np.random.default_rng(0).normal(size=(2, 1536, 1536)).astype(np.float32)
rate = 2 * 1536**3 / measure(lambda: a @ b)  # FLOPs in a millisecond
least = total / rate
print(f"one core multiplies at {rate / 1e6:.0f} GFLOP/s: the least time is {least:.0f} ms")
for kernels, milliseconds in whole.items():
    print(f"forward on {kernels} kernels takes {milliseconds / least:.1f} times as long")

# %% [markdown]
# Only large products reach this rate. In the figure, square matrices of more and more rows are multiplied.
# Small products spend their time on the call and on loading numbers; a large one uses each number that it
# has loaded many times. So one product over all tokens of a batch is faster than one for each token.

# %%
sizes = (8, 16, 32, 64, 128, 256, 512, 1024)
rates = [2 * n**3 / measure(lambda n=n: a[:n, :n] @ b[:n, :n]) / 1e6 for n in sizes]
figure, (axes,) = new_axes(size=(9, 3.2), x="rows and columns", y="GFLOP/s")
axes.semilogx(sizes, rates, "o-", color="black", base=2)
axes.axhline(rate / 1e6, color="gray", linestyle="--")
axes.set_xticks(sizes, sizes)
axes.set_ylim(0, None)
show(figure, "A curve that rises from nearly nothing for small matrices to a plateau for large ones.")

# %% [markdown]
# ## GELU in place
#
# GELU is $x \, \Phi(x)$, where $\Phi$ is the cumulative normal distribution. The plain kernel calls SciPy,
# which computes $\Phi$ in double precision. The fast one uses that
# $\Phi(x) \approx \tfrac12 \bigl(1 + \tanh(x \, p(x^2))\bigr)$ with a polynomial $p$ of degree 6, whose
# coefficients are fitted to keep the largest error small:

# %%
from minitvlt.backends.fast import numpy as fast

show_source(fast.fill_cdf)

# %%
from scipy.special import ndtr

points = np.linspace(-8, 8, 100_001).astype(np.float32)
cdf = np.empty_like(points)
fast.fill_cdf(points, cdf)
error = np.abs(cdf - ndtr(points.astype(np.float64))).max()
print("largest error below the spacing of float32 at 1:", error < np.finfo(np.float32).eps)

# %% [markdown]
# `fill_cdf` works **in place**: each step writes into an array that exists already. A formula such as
# `p * square + c` allocates two new arrays, and the operating system has to provide fresh memory for them.
# `gelu` also calls it for one block of elements at a time, so that both arrays stay in the cache of the core
# between the steps. We compare four versions on four million numbers.


# %%
def gelu_with_new_arrays(x):
    square = x * x
    p = fast.POLYNOMIAL[-1] * square
    for coefficient in fast.POLYNOMIAL[-2:0:-1]:
        p = (p + coefficient) * square
    return x * (0.5 * np.tanh(x * (p + fast.POLYNOMIAL[0])) + 0.5)


def gelu_in_place(x):
    y = np.empty_like(x)
    fast.fill_cdf(x, y)
    y *= x
    return y


# %% tags=["volatile"]
from minitvlt.backends import numpy_backend

many = np.random.default_rng(0).normal(size=4_000_000).astype(np.float32)
print(f"{'plain: SciPy':<28}{measure(lambda: numpy_backend.gelu(many), 3):6.0f} ms")
print(f"{'polynomial, new arrays':<28}{measure(lambda: gelu_with_new_arrays(many), 3):6.0f} ms")
print(f"{'polynomial, in place':<28}{measure(lambda: gelu_in_place(many), 3):6.0f} ms")
print(f"{'fast: in place, in blocks':<28}{measure(lambda: fast.gelu(many), 3):6.0f} ms")

# %% [markdown]
# ## Attention in blocks of queries
#
# The scores of attention are $N^2$ numbers for each head. The plain kernel makes them all, and then further
# arrays of the same size for the softmax. [04](04_attention.ipynb) computed attention in blocks of keys. The
# fast kernel takes blocks of *queries*, each with all keys: a row of scores is then complete, and its softmax
# needs no running maximum. Many short heads make one block; a long head is divided into blocks of 256
# queries. The scores of all blocks are written into the same array, the scratch buffer.

# %%
show_source(fast.attend)

# %% [markdown]
# `attend` also returns $\log \sum_j e^{s_j}$ of the scores $s$ of every query. The backward pass computes the
# scores again, block by block, and from this number the weights. The plain kernel of the tape keeps the
# weights of all queries until the backward pass instead.
#
# `tracemalloc` follows what NumPy allocates; `find_peak` returns the most at one time. We measure time and
# memory for more and more tokens, with 12 heads as in the published model.

# %%
import tracemalloc
from functools import partial


def run_kernel(query, key, value):
    return namespace(query).attention(query, key, value)


def find_peak(work):
    """The most memory at one time that NumPy allocates, in MiB."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


# %%
tokens = (128, 256, 512, 1024, 2048)
times, peaks = {"plain": [], "fast": []}, {"plain": [], "fast": []}
for n in tokens:
    work = partial(run_kernel, *np.random.default_rng(0).normal(size=(3, 1, 12, n, 64)).astype(np.float32))
    for kernels, milliseconds in on_both(work).items():
        times[kernels].append(milliseconds)
    for kernels in ("plain", "fast"):
        mt.use_kernels(kernels)
        peaks[kernels].append(find_peak(work))
for kernels, (*_, before, last) in peaks.items():
    print(f"from 1024 to 2048 tokens, memory on {kernels} kernels grows {last / before:.0f} times")
print("at 2048 tokens, fast kernels need less than a tenth:", peaks["fast"][-1] < peaks["plain"][-1] / 10)

# %% [markdown]
# The figure shows time and memory on logarithmic axes. The products are the same, so the time of both grows
# with $N^2$ in the end; the memory of the fast kernel grows with $N$.

# %% tags=["thumbnail"]
figure, axes = new_axes(1, 2, size=(10, 3.6), titles=("time (ms)", "memory (MiB)"), x="tokens")
for one, curves in zip(axes, (times, peaks), strict=True):
    one.loglog(tokens, curves["plain"], "o--", color="gray", label="plain: all scores at once")
    one.loglog(tokens, curves["fast"], "o-", color="black", label="fast: blocks of queries")
    one.set_xticks(tokens, tokens)
    one.minorticks_off()
axes[0].legend()
show(
    figure, "Time and memory of attention over tokens: with many tokens, the fast kernel needs less of both."
)

# %% [markdown]
# ## Threads for large operations
#
# NumPy runs matrix products on all cores, and everything else on one. The fast kernels divide the rows or
# heads of a large operation among threads, and each thread computes its part from start to end. NumPy
# releases Python's global lock inside its functions, so the threads run at the same time.

# %%
from minitvlt.backends.fast.threads import count_cores, on_one_core, share

show_source(share)

# %% [markdown]
# Starting threads takes time as well. We measure `share` without any work, beside a linear map of
# `"shapes-small"` (19 tokens) and one of this model (513 tokens). Where there is a single core, `share`
# starts no thread.

# %% tags=["volatile"]
one_core.close()
small = mt.load("shapes-small").encoder.blocks[0].mlp.expand
few = np.ones((19, small.weight.shape[1]), np.float32)
works = {"threads without work": lambda: share(lambda some: None, count_cores())}
works["linear map of 19 tokens"] = lambda: run_linear(few, small)
works["linear map of 513 tokens"] = lambda: run_linear(x, block.mlp.expand)
for name, work in works.items():
    print(f"{name:<26}{1000 * measure(work, 20):8.0f} µs")

# %% [markdown]
# So there are limits: only operations of at least `LARGE_PRODUCT` multiplications or `LARGE_ARRAY` elements
# are divided, and attention from `LARGE` scores. Smaller ones run as they are. Here is one block on one core
# and on all; where other programs need the cores, more threads are slower.

# %% tags=["volatile"]
from minitvlt.model.transformer import run_block

with on_one_core():
    on_one = on_both(lambda: run_block(x, block, heads, config.layer_norm_eps))
on_all = on_both(lambda: run_block(x, block, heads, config.layer_norm_eps))
print(f"{'one block':<10}{'one core':>10}{f'all ({count_cores()})':>10}   ms")
for kernels in ("plain", "fast"):
    print(f"{kernels:<10}{on_one[kernels]:10.1f}{on_all[kernels]:10.1f}")

# %% [markdown]
# ## Less work
#
# The largest saving is not to compute. In pre-training the encoder processes only the patches that are kept.
# The formula for $F$ gives what that saves for the published model; three quarters of the tokens hidden is
# its last line.

# %%
D, W = 768, 3072
for ratio in (0.0, 0.15, 0.5, 0.75):
    kept = int(2592 * (1 - ratio)) + 1
    flops, all_flops = (2 * n * (4 * D**2 + 2 * D * W) + 4 * n**2 * D for n in (kept, 2593))
    print(f"{ratio:4.0%} hidden: {kept:5} tokens, {12 * flops / 1e9:7.0f} GFLOP, {flops / all_flops:6.1%}")

# %% [markdown]
# ## PyTorch, bfloat16, a compiler, a graphics card
#
# One block, moved to PyTorch. Two libraries in one process compete for cores and caches, so PyTorch is
# timed in a process of its own, and on one core, as NumPy was. `torch.compile` joins operations that NumPy
# has to compute one by one; compiling takes a while. On a graphics card, `torch.cuda.synchronize` waits until
# the work is done: without it, one measures how long it takes to submit it.

# %%
SCRIPT = """
import time, numpy as np, torch, minitvlt as mt
from minitvlt.model.transformer import run_block
torch.set_num_threads(1)
config, device = mt.Config.small(), "cuda" if torch.cuda.is_available() else "cpu"
params, heads, eps = mt.init(config), config.num_attention_heads, config.layer_norm_eps
x = np.random.default_rng(0).normal(size=(1, 513, config.hidden_size))
for dtype, compiles in (("float32", False), ("bfloat16", False), ("float32", True)):
    block, tokens = mt.to_backend((params.encoder.blocks[0], x), "torch", device, dtype)
    run = lambda tokens: run_block(tokens, block, heads, eps)
    run, times = torch.compile(run) if compiles else run, []
"""

# %%
SCRIPT += """
    for _ in range(10):
        start = time.perf_counter()
        with torch.inference_mode():
            run(tokens)
        torch.cuda.synchronize() if device == "cuda" else None
        times.append(time.perf_counter() - start)
    name = f"torch, {device}, {dtype}{', compiled' if compiles else ''}"
    print(f"{name:<32}{1000 * min(times):8.1f} ms", flush=True)
"""

# %% tags=["volatile", "needs-torch"]
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("torch"):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=400)
    print(done.stdout, end="")
    if done.returncode:
        print("and no further: torch.compile needs a C++ compiler, and bfloat16 the right hardware")
    for kernels, milliseconds in on_one.items():
        print(f"{f'NumPy, {kernels} kernels, float32':<32}{milliseconds:8.1f} ms")
else:
    print('PyTorch is missing: pip install "minitvlt[torch]". The rest goes without it.')

# %% [markdown]
# These times depend on the machine: run the cell on yours. bfloat16 halves the memory traffic, and is faster
# where the processor or the card has instructions that multiply it. Without them it is slower than float32.

# %% [markdown]
# ## More than one process
#
# A batch that is too large for one process is divided into parts, one for each. If each process divided its
# loss by its own number of clips or of hidden patches, the sum over the parts would not be the loss of the
# batch: parts with few would have too much weight. So the losses here are sums, divided by the counts of the
# *whole* batch. Then, over $R$ parts,
#
# $$\nabla L = \sum_{r=1}^{R} \nabla L_r$$
#
# exactly. The cell checks it: 16 clips at once, against two parts of 8, whose gradients are added.

# %%
from minitvlt.model.pretraining import count_targets
from minitvlt.training.batches import split_batch

tiny = mt.load("shapes-small")
draws = np.random.default_rng(0)
batch = mt.make_batch(mt.ShapesWorld(tiny.config).sample(draws, 16), tiny.config, draws)
counts = count_targets(batch)
compute = mt.value_and_grad(lambda params, part: mt.pretraining_loss(params, part, counts).loss)
loss, gradient = compute(tiny, batch)
parts = [compute(tiny, part) for part in split_batch(batch, 2)]
added = mt.map_tree(lambda first, second: first + second, parts[0][1], parts[1][1])
pairs = zip(mt.flatten(gradient).values(), mt.flatten(added).values(), strict=True)
same = all(np.allclose(first, second, atol=1e-4) for first, second in pairs)
print("losses add up:", np.allclose(loss, parts[0][0] + parts[1][0], atol=1e-5), "  gradients too:", same)

# %% [markdown]
# With PyTorch, adding over processes is one call, `all_reduce`. This is a whole program for it, whose imports
# are in the cell after next:
#
# ```python
# dist.init_process_group("gloo")  # "nccl" among graphics cards
# params, draws = mt.load("shapes-small"), np.random.default_rng(0)
# batch = mt.make_batch(mt.ShapesWorld(params.config).sample(draws, 64), params.config, draws)
# counts, part = count_targets(batch), split_batch(batch, dist.get_world_size())[dist.get_rank()]
# loss = lambda params, part: mt.pretraining_loss(params, part, counts).loss
# value, gradients = mt.value_and_grad(loss)(*mt.to_backend((params, part), "torch"))
# for array in (value, *mt.flatten(gradients).values()):
#     dist.all_reduce(array)  # the sum over all processes
# print("process", dist.get_rank(), "has the loss of all 64 clips:", round(float(value), 3))
# dist.destroy_process_group()
# ```

# %% [markdown]
# Every process draws the same batch from the same seed, and computes its own part. After `all_reduce` each
# has the gradient of the whole batch, so all of them make the same update and their parameters stay equal.
# Put these lines before it and save it all as `two.py`:
#
# ```python
# import numpy as np, torch.distributed as dist, minitvlt as mt
# from minitvlt.training.batches import split_batch
# from minitvlt.model.pretraining import count_targets
# ```
#
# Then start two processes from a terminal. Both print the same loss.
#
# ```bash
# torchrun --nproc-per-node 2 two.py
# ```

# %% [markdown]
# The package's own training does this too. On NumPy, where the model is small, each core computes a part of
# the batch in a process of its own ([helpers.py](../minitvlt/training/helpers.py)). With PyTorch, `torchrun`
# starts the processes:
#
# ```bash
# torchrun --nproc-per-node 2 -m minitvlt pretrain --backend torch --out run
# ```

# %% [markdown]
# ## Try it
#
# **1. How far from the least time is a batch of eight clips?**
#
# <details><summary>Answer</summary>
#
# Sample 8 clips, measure again on one core, and compare with `8 * least`: about as far. The products of one
# clip, with its 513 tokens, are large enough already. The 19 tokens of `"shapes-small"` are not: there a
# batch takes much less time for each clip than a single one.
#
# </details>

# %% [markdown]
# **2. What share of the time is the spectrogram?**
#
# <details><summary>Answer</summary>
#
# Compare `measure(lambda: mt.log_mel_spectrogram(wave))` with `whole["fast"]`, where `wave` has 5.9 s, which
# are 260,000 random samples at 44.1 kHz. In the paper's own measurement it was more than the model: 60 ms of
# 103 ms, for 20 s of audio, and both together 28 times faster than a pipeline with a speech recogniser.
#
# </details>

# %% [markdown]
# **3. What does `return_attention=True` cost?**
#
# <details><summary>Answer</summary>
#
# The attention maps have to be stored: 12 blocks, 6 heads, 513 × 513 numbers, 72 MiB. The fast kernel for
# attention is not used either, since it never has a whole map. Compare the call on both kernels by `on_both`.
#
# </details>

# %% [markdown]
# **4. Why does `measure` return the minimum, and not the mean?**
#
# <details><summary>Answer</summary>
#
# Disturbances only add time, sometimes a lot, so the mean measures them too. The minimum is the time of the
# code on an otherwise idle machine. For what users experience on a busy system, the median or the slowest
# tenth would be the right figure.
#
# </details>

# %% [markdown]
# **5. How many times the FLOPs of a forward pass does a training step take?**
#
# <details><summary>Answer</summary>
#
# About three times: in the backward pass each product `x @ w.T` has two more, one for the gradient of `x` and
# one for that of `w`. Only frames and spectrograms need no gradient. Measure `compute(tiny, batch)` against
# `mt.pretraining_loss(tiny, batch, counts)`: is the ratio of the times the same?
#
# </details>

# %% [markdown]
# ## Recap
#
# Measure first, after a warm-up and more than once. Nearly all arithmetic is in products, $2 m k n$ each, so
# it can be counted by hand; divided by the rate of a large product, that is the least time. Most of what a
# program takes beyond it is spent on memory. The fast kernels write in place, compute attention in blocks of
# queries, and divide large operations among threads. Further gains come from computing less, from shorter
# number formats, from other hardware, and from several processes whose gradients are added.

# %% [markdown]
# ## Where to go on
#
# [11](11_the_real_thing.ipynb) runs the published model's sizes and your own film. The fast kernels are in
# [numpy.py](../minitvlt/backends/fast/numpy.py), [attention.py](../minitvlt/backends/fast/attention.py) and
# [threads.py](../minitvlt/backends/fast/threads.py); those with gradients, in
# [tape.py](../minitvlt/backends/fast/tape.py). All notebooks are in the [overview](README.md).
