# %% [markdown]
# # 10 · Faster
#
# The plain kernels are the formulas as they are read; the fast kernels compute the same results in less time
# and memory. This notebook times each layer on both, counts the arithmetic, finds the least time that it
# takes on this machine, and explains how the fast kernels come closer to it. Then it compares with PyTorch,
# shorter number formats and a compiler, and divides a training step among processes.
#
# **You will be able to** profile a model, count its floating-point operations, tell whether a piece of code
# is limited by arithmetic or by memory, and divide a training step among processes.
#
# **Time to run:** about 30 seconds. **Before this:** the parts of a block and attention in blocks, in
# [04](04_attention.ipynb); the array interface and its kernels, in [09](09_backends.ipynb). All times below
# come from the machine on which the notebook ran, and differ on yours.

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
# The linear maps (four of the layers) are matrix products, which NumPy's library computes on both kernels.
# Where do the kernels differ most, and what do the linear maps take?

# %% tags=["volatile"]
saved = {name: spent["plain"][name] - spent["fast"][name] for name in calls}
print("largest savings:", " and ".join(sorted(saved, key=saved.get)[-2:]))
products = ("queries, keys, values", "output projection", "MLP, first linear map", "MLP, second linear map")
for kernels, times in spent.items():
    share = sum(times[name] for name in products) / sum(times.values())
    print(f"linear maps on {kernels} kernels: {share:.0%} of the time")

# %% [markdown]
# The figure shows the same times as bars.

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
show(figure, "Pairs of bars for eight layers, one for the plain and one for the fast kernels.")

# %% [markdown]
# ## Counting
#
# Multiplying an $(m, k)$ by a $(k, n)$ matrix takes $m k n$ multiplications and as many additions: $2 m k n$
# floating-point operations (**FLOPs**). In a block, each of the $N$ tokens of width $D$ goes through linear
# maps with $3 D^2$ weights (queries, keys, values), $D^2$ (output) and twice $4 D^2$ (the MLP, whose hidden
# layer is $4 D$ wide), together $12 D^2$; and attention has two products of $2 N^2 D$ FLOPs. So one block
# takes
#
# $$\text{FLOPs}_{\text{block}} = 24 N D^2 + 4 N^2 D$$


# %%
def count_block(N, D):
    """FLOPs of the linear maps and of attention in a block."""
    return 24 * N * D**2, 4 * N**2 * D


# %%
from helpers.flops import count_flops

linear_maps, attention = (layers * each for each in count_block(N, D))
embedding = 2 * D * (256 * 16 * 16 * 3 + 256 * 16 * 16)  # 256 patches of each modality
total = linear_maps + attention + embedding
for name, flops in {"linear maps": linear_maps, "attention": attention, "embedding": embedding}.items():
    print(f"{name:<14}{flops / 1e9:7.2f} GFLOP, {flops / total:6.1%}")
print("as helpers/flops.py counts:", total == count_flops(config))

# %% [markdown]
# The first term grows with $N$, the second with its square. They are equal for $N = 6 D$. The figure
# shows both for the width of the published model over the number of tokens, on logarithmic axes. The dotted
# line marks its 2593 tokens.

# %%
tokens, width = np.geomspace(100, 20000, 60), 768
figure, (axes,) = new_axes(size=(9, 3.4), x="tokens", y="GFLOP in a block")
for flops, style, name in zip(
    count_block(tokens, width), ("-", "--"), ("linear maps", "attention"), strict=True
):
    axes.loglog(tokens, flops / 1e9, style, color="black", label=name)
axes.axvline(2593, color="gray", linestyle=":")
axes.legend()
for n in (2593, 6 * width, 2 * 2593):
    a, b = count_block(n, width)
    print(f"{n} tokens: attention takes {b / (a + b):.0%} of the FLOPs")
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
# Small products spend their time on the call and on loading numbers (they are **memory-bound**); a large one
# uses each number that it has loaded many times, and is limited by arithmetic (**compute-bound**). So one
# product over all tokens of a batch is faster than one for each token.

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
# coefficients are fitted to keep the largest error small. Its code uses
# $\tfrac12 (1 + \tanh u) = 1 / (1 + e^{-2u})$:

# %%
from minitvlt.backends.fast import numpy as fast

show_source(fast.fill_cdf)

# %%
from scipy.special import ndtr

points = np.linspace(-8, 8, 100_001).astype(np.float32)
cdf = np.empty_like(points)
fast.fill_cdf(points, cdf)
error = np.abs(cdf - ndtr(points.astype(np.float64))).max()
spacing = np.finfo(np.float32).eps  # of the float32 numbers at 1
print("largest error below two spacings of float32 at 1:", bool(error < 2 * spacing))

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
# arrays of the same size for the softmax. [04](04_attention.ipynb) computed attention in blocks of keys.
# Blocks of *queries*, each with all keys, are simpler: a row of scores is complete, so its softmax needs no
# running maximum. The fast kernel does this, with 256 queries at a time.


# %%
def attend_in_query_blocks(q, k, v, size=256):
    out = np.empty(q.shape[:-1] + v.shape[-1:], v.dtype)
    for start in range(0, q.shape[-2], size):
        some = np.s_[..., start : start + size, :]
        out[some] = numpy_backend.softmax(q[some] @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5) @ v
    return out


plain = numpy_backend.attention(query, key, value)
print("as the package's:", np.allclose(attend_in_query_blocks(query, key, value), plain, atol=1e-5))

# %% [markdown]
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
mine = find_peak(lambda: attend_in_query_blocks(*work.args))
for kernels, (*_, before, last) in peaks.items():
    print(f"from 1024 to 2048 tokens, memory on {kernels} kernels grows {last / before:.0f} times")
print("at 2048 tokens, fast kernels need less than a tenth:", peaks["fast"][-1] < peaks["plain"][-1] / 10)
print("your function less than a third:", mine < peaks["plain"][-1] / 3)

# %% [markdown]
# The figure shows time and memory on logarithmic axes. The products are the same, so for many tokens the time
# of both grows with $N^2$. The memory of the plain kernel does as well; that of the fast one grows with $N$.

# %% tags=["thumbnail"]
figure, axes = new_axes(1, 2, size=(10, 3.6), titles=("time (ms)", "memory (MiB)"), x="tokens")
for one, curves in zip(axes, (times, peaks), strict=True):
    one.loglog(tokens, curves["plain"], "o--", color="gray", label="plain: all scores at once")
    one.loglog(tokens, curves["fast"], "o-", color="black", label="fast: blocks of queries")
    one.set_xticks(tokens, tokens)
    one.minorticks_off()
axes[0].legend()
show(figure, "Time and memory of attention over tokens: with many tokens, the fast kernel needs less memory.")

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
# The formula gives what that saves for the published model, with more and more tokens hidden.

# %%
for ratio in (0.0, 0.15, 0.5, 0.75):
    kept = int(2592 * (1 - ratio)) + 1
    flops, all_flops = (12 * sum(count_block(n, 768)) for n in (kept, 2593))
    print(f"{ratio:4.0%} hidden: {kept:5} tokens, {flops / 1e9:7.0f} GFLOP, {flops / all_flops:6.1%}")

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
# bfloat16 halves the memory traffic, and is faster where the processor or the card has instructions that
# multiply it. Without them it can be slower than float32.

# %% [markdown]
# ## More than one process
#
# In **data parallelism**, a batch is divided into parts, one for each process. If each process divided its
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
# With PyTorch, adding over processes is one call, `all_reduce` (an **all-reduce**). This is a whole program
# for it, whose imports are in the cell after next:
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
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Change the model: half the width $D$, twice as many blocks, as many tokens. Predict from the formula
# how the FLOPs of the linear maps and of attention change. Check the sum with `count_flops`.**
#
# <details><summary>Answer</summary>
#
# Linear maps: a quarter for each block, twice as many blocks: half. Attention: half for each block, so it
# does not change. The patch embedding has half the width: half.
#
# ```python
# deep = mt.Config.small(hidden_size=D // 2, intermediate_size=2 * D, num_hidden_layers=2 * layers)
# predicted = linear_maps / 2 + attention + embedding / 2
# assert predicted == count_flops(deep)
# print(f"{count_flops(deep) / total:.2f} times the FLOPs")
# ```
#
# </details>

# %% [markdown]
# **2. What share of the time is the spectrogram? Compare `mt.log_mel_spectrogram` for 5.9 s of audio with
# `whole["fast"]`.**
#
# <details><summary>Answer</summary>
#
# A small one here. In the paper's own measurement it was more than the model: 60 ms of 103 ms, for 20 s of
# audio; there, the model ran on a graphics card.
#
# ```python
# waveform = np.random.default_rng(0).normal(size=260_000).astype(np.float32)
# milliseconds = measure(lambda: mt.log_mel_spectrogram(waveform))
# print(f"spectrogram {milliseconds:.1f} ms, forward {whole['fast']:.0f} ms")
# ```
#
# </details>

# %% [markdown]
# **3. How much memory do the attention maps need that `return_attention=True` returns? Predict, then measure
# their size.**
#
# <details><summary>Answer</summary>
#
# $\text{layers} \cdot \text{heads} \cdot N^2$ numbers of four bytes. The fast kernel for attention cannot be
# used either, since it never has a whole map.
#
# ```python
# maps = mt.forward(params, clip.video, clip.audio, return_attention=True).attention
# assert sum(each.nbytes for each in maps) == 4 * layers * heads * N**2
# print(f"{4 * layers * heads * N**2 / 2**20:.0f} MiB")
# ```
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
# one for that of `w`. Only frames and spectrograms need no gradient. The times need not have the same ratio,
# for they also contain work that is not counted.
#
# ```python
# step = measure(lambda: compute(tiny, batch))
# forward = measure(lambda: mt.pretraining_loss(tiny, batch, counts))
# print(f"training step / forward pass: {step / forward:.1f}")
# assert step > 1.5 * forward
# ```
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

# %% [markdown]
# ## References
#
# - S. Williams, A. Waterman, D. Patterson, *Roofline: An Insightful Visual Performance Model for Multicore
#   Architectures*, 2009, [doi 10.1145/1498765.1498785](https://doi.org/10.1145/1498765.1498785): arithmetic
#   against memory.
# - T. Dao et al., *FlashAttention*, 2022, [arXiv 2205.14135](https://arxiv.org/abs/2205.14135).
# - J. Ansel et al., *PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and
#   Graph Compilation*, 2024, [doi 10.1145/3620665.3640366](https://doi.org/10.1145/3620665.3640366).
# - S. Li et al., *PyTorch Distributed: Experiences on Accelerating Data Parallel Training*, 2020,
#   [arXiv 2006.15704](https://arxiv.org/abs/2006.15704).
