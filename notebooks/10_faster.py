# %% [markdown]
# # 10 · Faster
#
# How fast is it, how fast could it be, and what lies between? This notebook measures where the time goes,
# counts the arithmetic, finds the floor below which no program can get, and looks at the tricks that bring
# one near it: blocks, cores, shorter numbers, compilers, and more than one process.
#
# **You will be able to** profile a model, count its floating-point operations by hand, tell whether a piece
# of code waits for arithmetic or for memory, and share a training step among processes.
#
# **Time to run:** about 30 seconds. **Before this:** the parts of a block and attention in blocks, in
# [04](04_attention.ipynb).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Measuring
#
# We take a middle-sized model, `Config.small()`, with random parameters: for speed it does not matter what
# they are. One clip has 4 frames of 128 by 128 pixels and 5.9 seconds of sound: 513 tokens.

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
# A single measurement says little: the first call fetches memory and wakes threads, and the machine has
# other things to do. So we call once for warming up, and then take the *shortest* of some: whatever disturbs
# can only make it longer. And we keep to one core until the section on cores: then the numbers hold even
# where others use the machine too.


# %%
from threadpoolctl import threadpool_limits

one_core = threadpool_limits(1)


def measure(work, tries=5):
    """The shortest of some times, in seconds."""
    work()
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


# %% tags=["volatile"]
whole = measure(lambda: mt.forward(params, clip.video, clip.audio))
print(f"forward: {1000 * whole:.0f} ms")

# %% [markdown]
# ## Where the time goes
#
# All work goes through the functions of the waist ([09](09_backends.ipynb)), so a clock around each of them
# tells where it goes. `clocked` puts the clocks on, and takes them off again.

# %%
from unittest.mock import patch

from minitvlt.backends import numpy_backend


def clocked(name, spent):
    function = getattr(numpy_backend, name)

    def with_clock(*inputs, **others):
        start = time.perf_counter()
        result = function(*inputs, **others)
        spent[name] += time.perf_counter() - start
        return result

    return patch.object(numpy_backend, name, with_clock)


# %%
from collections import defaultdict
from contextlib import ExitStack

spent = defaultdict(float)
with ExitStack() as stack:
    for name in ("linear", "attention", "gelu", "layer_norm"):
        stack.enter_context(clocked(name, spent))
    for _ in range(5):
        start = time.perf_counter()
        mt.forward(params, clip.video, clip.audio)
        spent["the rest"] += time.perf_counter() - start
spent["the rest"] -= sum(seconds for name, seconds in spent.items() if name != "the rest")
spent = dict(sorted(spent.items(), key=lambda item: -item[1]))

# %% [markdown]
# The picture shows the share of each. Linear maps take most of it, then attention; the other functions touch
# each number only a few times. The rest is additions, reordering, and Python itself.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show, show_source

use_style()
figure, (axes,) = new_axes(size=(9, 2.8), x="milliseconds of one forward pass")
bars = axes.barh(list(spent), [200 * seconds for seconds in spent.values()], color="gray")
axes.bar_label(bars, fmt=" %.0f")
axes.invert_yaxis()
axes.margins(x=0.1)
show(figure, "Five bars, of which the one of linear maps is by far the longest.")

# %% [markdown]
# ## Counting
#
# Multiplying an $(m, k)$ by a $(k, n)$ matrix takes $m k n$ multiplications and as many additions: $2 m k n$
# floating-point operations (FLOPs). In a block, each of the $N$ tokens of width $D$ goes through linear maps
# with $3 D^2$ weights (queries, keys, values), $D^2$ (output) and $2 D W$ (the MLP, $W$ wide); and attention
# has two products of $N \times D$ by $D \times N$ numbers. So one block takes
#
# $$F = 2 N \, (4 D^2 + 2 D W) + 4 N^2 D$$

# %%
from helpers.flops import count_flops

W, layers = config.intermediate_size, config.num_hidden_layers
linear_maps = 2 * N * (4 * D**2 + 2 * D * W) * layers
attention = 4 * N**2 * D * layers
embedding = 2 * D * (256 * 16 * 16 * 3 + 256 * 16 * 16)  # 256 patches of each
total = linear_maps + attention + embedding
for name, flops in {"linear maps": linear_maps, "attention": attention, "embedding": embedding}.items():
    print(f"{name:<14}{flops / 1e9:7.2f} GFLOP, {flops / total:6.1%}")
print("as helpers/flops.py counts:", total == count_flops(config))

# %% [markdown]
# The first part grows with $N$, the second with its square. They are equal where
# $2 N (4 D^2 + 2 D W) = 4 N^2 D$, which for $W = 4 D$ means $N = 6 D$. The picture shows both for the width
# of the published model over the number of tokens, on logarithmic axes. The dotted line marks its 2593
# tokens: linear maps still lead there, but a clip twice as long would be ruled by attention.

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
# ## The floor
#
# How fast could it be? No program can multiply faster than the machine. We measure what one core can do at
# its best, with one large matrix product, and divide. That is the time below which `forward` cannot get here,
# unless it computes less.

# %% tags=["volatile"]
a, b = np.random.default_rng(0).normal(size=(2, 1536, 1536)).astype(np.float32)
rate = 2 * 1536**3 / measure(lambda: a @ b)
floor = total / rate
print(f"one core multiplies at {rate / 1e9:.0f} GFLOP/s: floor {1000 * floor:.0f} ms")
print(f"forward takes {1000 * whole:.0f} ms: {whole / floor:.1f} times the floor")

# %% [markdown]
# That speed is reached by large products only. In the picture, square matrices of more and more rows
# are multiplied: small ones spend their time on the call and on fetching numbers. A large product uses each
# number it fetched many times over, a small one only a few times. That is why one product over all tokens of
# a batch beats one for each token.

# %%
sizes = (8, 16, 32, 64, 128, 256, 512, 1024)
speeds = [2 * n**3 / measure(lambda n=n: a[:n, :n] @ b[:n, :n]) / 1e9 for n in sizes]
figure, (axes,) = new_axes(size=(9, 3.2), x="rows and columns", y="GFLOP/s")
axes.semilogx(sizes, speeds, "o-", color="black", base=2)
axes.axhline(rate / 1e9, color="gray", linestyle="--")
axes.set_xticks(sizes, sizes)
axes.set_ylim(0, None)
show(figure, "A curve that rises from nearly nothing for small matrices to a plateau for large ones.")

# %% [markdown]
# ## Waiting for memory
#
# GELU has little arithmetic and still takes time. Written plainly, each step of the formula reads an array
# from memory and writes another one. Cut into blocks that stay in the cache of a core, all steps are done for
# a block before the next one comes. This is the package's:

# %%
from minitvlt.backends.numpy_kernels import cut_rows, fill_cdf

show_source(cut_rows, fill_cdf)

# %% [markdown]
# `fill_cdf` also replaces erf, which SciPy computes in double precision, by a polynomial inside a tanh that
# is as exact as float32 can be. How much do the two ideas bring? We compare three ways on four million
# numbers: erf, the same formula in whole arrays, and blocks.

# %%
from scipy.special import erf

from minitvlt.backends.numpy_kernels import gelu

x = np.random.default_rng(0).normal(size=4_000_000).astype(np.float32)


# %% tags=["volatile"]
def gelu_in_whole_arrays(x):
    cdf, square = np.empty_like(x), np.empty_like(x)
    fill_cdf(x, cdf, square)
    return x * cdf


ways = {"whole arrays": gelu_in_whole_arrays, "blocks": gelu}
ways["erf"] = lambda x: x * (0.5 + 0.5 * erf(x / np.float32(2**0.5)))
for name in ("erf", "whole arrays", "blocks"):
    print(f"{name:<14}{1000 * measure(lambda name=name: ways[name](x), 3):6.1f} ms")

# %% [markdown]
# ## Tiles
#
# Attention has the largest array of all, $N^2$ scores for each head. [04](04_attention.ipynb) showed that it
# need never exist. In the package it is made in *tiles*: some queries with some keys, small enough to stay in
# the cache between the product that makes the scores and the one that uses them up. This is the heart of it:

# %%
from minitvlt.backends import numpy_attention, numpy_tiles

show_source(numpy_attention.sum_values)

# %% [markdown]
# Both products have a short side, the 64 numbers of a head. Before NumPy's library of products multiplies, it
# copies the matrices into an order of its own; large products hardly notice, these do. Small matrices it
# takes as they lie, if the processor has AVX-512. So there the rows come in *piles*, small enough, and one
# call multiplies all piles. Here are the scores of 2300 queries with 128 keys, in one piece and in 20 piles:

# %% tags=["volatile"]
rng = np.random.default_rng(0)
queries, keys = (rng.normal(size=size).astype(np.float32) for size in [(2300, 64), (64, 128)])
flops = 2 * 2300 * 64 * 128
for name, rows in {"one piece": queries, "20 piles": queries.reshape(20, 115, 64)}.items():
    print(f"{name}: {flops / measure(lambda rows=rows: rows @ keys, 50) / 1e9:.0f} GFLOP/s")

# %% [markdown]
# How large should a tile be? Too small, and each call of NumPy has little to do; too large, and the scores
# fall out of the cache. We try some, for 2048 tokens and 12 heads, beside the plain way with all scores.

# %%
rng = np.random.default_rng(0)
query, key, value = rng.normal(size=(3, 1, 12, 2048, 64)).astype(np.float32)


def attend_plainly(query, key, value):
    scores = query @ key.swapaxes(-1, -2) / np.float32(8)
    return numpy_backend.softmax(scores) @ value


kib = [16, 64, 256, numpy_tiles.TILE * 4 // 1024, 3072, 12288]  # the last holds all heads with 128 keys
times = []
for size in kib:
    with patch.object(numpy_tiles, "TILE", size * 1024 // 4):
        times.append(measure(lambda: numpy_attention.attention(query, key, value), 3))
plain = measure(lambda: attend_plainly(query, key, value), 2)

# %% [markdown]
# The picture shows the time over the size of a tile; the dashed line is the plain way, which holds 192 MiB of
# scores. Small tiles lose much. Then the curve is flat for a while: the package's choice, marked by a square,
# has some room on both sides, so that it is good on machines with other caches too.

# %% tags=["thumbnail"]
figure, (axes,) = new_axes(size=(9, 3.4), x="scores in a tile (KiB)", y="milliseconds")
axes.semilogx(kib, [1000 * seconds for seconds in times], "o-", color="black", base=2, label="tiles")
axes.plot(kib[3], 1000 * times[3], "s", color="black", markersize=12)
axes.axhline(1000 * plain, color="gray", linestyle="--", label="all scores at once")
axes.set_ylim(0, None)
axes.set_xticks(kib, [f"{size:.0f}" for size in kib])
axes.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
show(figure, "Time over the size of a tile: high for small tiles, then flat, far below the plain way.")

# %% [markdown]
# The other gain is memory. `tracemalloc` follows what NumPy allocates; here is the most at one time.

# %%
import tracemalloc


def find_peak(work):
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


plainly = find_peak(lambda: attend_plainly(query, key, value))
tiled = find_peak(lambda: numpy_attention.attention(query, key, value))
print("plainly: more than 300 MiB:", plainly > 300, "  in tiles: less than 50 MiB:", tiled < 50)

# %% [markdown]
# ## Cores
#
# NumPy computes element by element on one core; only its matrix products use all. In the package,
# [cores.py](../minitvlt/backends/cores.py) gives each core a stretch of the rows and lets it do everything
# for them, products included, so that no core waits for another. `threadpool_limits` says how many cores may
# take part. With a core to spare the second line is clearly shorter; with a busy neighbour it is not.

# %% tags=["volatile"]
import os

one_core.restore_original_limits()
for count in sorted({1, os.cpu_count() or 1}):
    with threadpool_limits(count):
        seconds = measure(lambda: mt.forward(params, clip.video, clip.audio))
    print(f"{count:3} core{'s' if count > 1 else ' '}: {1000 * seconds:5.0f} ms")

# %% [markdown]
# ## Less work
#
# The fastest arithmetic is the one that is not done. In pre-training the encoder sees only the patches that
# are kept. With the formula for $F$ it is quickly said what that saves: hide three quarters of the published
# model's tokens, and the encoder does less than a fifth.

# %%
D, W = 768, 3072
for hidden in (0.0, 0.15, 0.5, 0.75):
    kept = int(2592 * (1 - hidden)) + 1
    flops, all_flops = (2 * n * (4 * D**2 + 2 * D * W) + 4 * n**2 * D for n in (kept, 2593))
    print(f"{hidden:4.0%} hidden: {kept:5} tokens, {12 * flops / 1e9:7.0f} GFLOP, {flops / all_flops:6.1%}")

# %% [markdown]
# ## PyTorch, bfloat16, a compiler, a graphics card
#
# The same model, moved to PyTorch. Two libraries in one process fight for cores and caches, and whoever is
# timed second loses; so PyTorch is timed in a process of its own, and on one core, like NumPy.
# `torch.compile` joins operations that NumPy has to do one by one; bfloat16 needs a processor or a card that
# multiplies it. On a card, `torch.cuda.synchronize` waits until it is done: without it, one measures how fast
# work is handed over.

# %%
SCRIPT = """
import time, sys, numpy as np, torch, minitvlt as mt
torch.set_num_threads(1)
config, device = mt.Config.small(), "cuda" if torch.cuda.is_available() else "cpu"
clip = mt.ShapesWorld(config).sample(np.random.default_rng(0), 1)
for dtype, compiles in (("float32", False), ("bfloat16", False), ("float32", True)):
    tree, *inputs = mt.to_backend((mt.init(config), clip.video, clip.audio), "torch", device, dtype)
    run = lambda video, audio: mt.forward(tree, video, audio).cls
    run, times = torch.compile(run) if compiles else run, []
"""

# %%
SCRIPT += """
    for _ in range(6):
        start = time.perf_counter()
        with torch.inference_mode():
            run(*inputs)
        torch.cuda.synchronize() if device == "cuda" else None
        times.append(time.perf_counter() - start)
    print(f"{device}, {dtype}{', compiled' if compiles else '':<12}{1000 * min(times):8.1f} ms", flush=True)
"""

# %% tags=["volatile", "needs-torch"]
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("torch"):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    print(done.stdout, end="")
    if done.returncode:
        print("and no further: torch.compile needs a C++ compiler, and bfloat16 the right hardware")
    print(f"NumPy, float32{'':<11}{1000 * whole:8.1f} ms")
else:
    print('PyTorch is missing: pip install "minitvlt[torch]". The rest goes without it.')

# %% [markdown]
# Do not believe these numbers for your machine: run the cell there. Where this was written, PyTorch was a
# little faster than NumPy on one core, compiling brought nothing, and bfloat16 was three times as fast,
# because that processor has units to multiply it; one without them is slower with it. On a graphics card the
# gap is much wider, and bfloat16 pays there too: half the memory to move, and units made for it.

# %% [markdown]
# ## More than one process
#
# A batch that is too large for one process is cut into parts, one for each. Is the sum of the parts the
# whole? Not if each divides by its own number of clips or of hidden patches: parts with few would count too
# much. So the losses here are sums, divided by the counts of the *whole* batch. Then, over $R$ parts,
#
# $$\nabla L = \sum_{r=1}^{R} \nabla L_r$$
#
# exactly. The cell checks it: 16 clips at once, against two parts of 8, whose gradients are added.

# %%
from minitvlt.learning.batches import split_batch
from minitvlt.model.pretraining import count_targets

tiny = mt.load("shapes-small")
batch = mt.draw_batch(mt.ShapesWorld(tiny.config), tiny.config, np.random.default_rng(0), 16)
counts = count_targets(batch)
compute = mt.value_and_grad(lambda params, part: mt.pretraining_loss(params, part, counts).loss)
loss, gradient = compute(tiny, batch)
parts = [compute(tiny, part) for part in split_batch(batch, 2)]
added = mt.map_tree(lambda first, second: first + second, parts[0][1], parts[1][1])
pairs = zip(mt.flatten(gradient).values(), mt.flatten(added).values(), strict=True)
same = all(np.allclose(first, second, atol=1e-4) for first, second in pairs)
print("losses add up:", np.allclose(loss, parts[0][0] + parts[1][0], atol=1e-5), "  gradients too:", same)

# %% [markdown]
# With PyTorch, adding up over processes is one call, `all_reduce`. This is a whole program for it, whose
# imports are in the cell after next:
#
# ```python
# dist.init_process_group("gloo")  # "nccl" among graphics cards
# params = mt.load("shapes-small")
# batch = mt.draw_batch(mt.ShapesWorld(params.config), params.config, np.random.default_rng(0), 64)
# counts, part = count_targets(batch), split_batch(batch, dist.get_world_size())[dist.get_rank()]
# loss = lambda params, part: mt.pretraining_loss(params, part, counts).loss
# value, gradients = mt.value_and_grad(loss)(*mt.to_backend((params, part), "torch"))
# for array in (value, *mt.flatten(gradients).values()):
#     dist.all_reduce(array)  # the sum over all processes
# print("process", dist.get_rank(), "has the loss of all 64 clips:", round(float(value), 3))
# dist.destroy_process_group()
# ```

# %% [markdown]
# Every process draws the same batch from the same seed, and works on its own part; after `all_reduce` each
# has the gradient of the whole, so all of them take the same step and stay equal, without a word about
# parameters. Put these lines before it and save it all as `two.py`:
#
# ```python
# import numpy as np, torch.distributed as dist, minitvlt as mt
# from minitvlt.learning.batches import split_batch
# from minitvlt.model.pretraining import count_targets
# ```
#
# Then start two processes from a terminal. Both say the same loss.
#
# ```bash
# torchrun --nproc-per-node 2 two.py
# ```

# %% [markdown]
# On NumPy the package's own training does this without being asked, where a model is small and the system is
# Linux: each core gets a process with a part of the batch
# ([numpy_engine.py](../minitvlt/learning/numpy_engine.py)). With PyTorch's engine, gradients are exchanged
# while others are still being computed:
#
# ```bash
# torchrun --nproc-per-node 2 -m minitvlt pretrain --backend torch --out run
# ```

# %% [markdown]
# ## Try it
#
# **1. How far from the floor is a batch of eight clips?**
#
# <details><summary>Answer</summary>
#
# Sample 8 clips, measure again, and compare with `8 * floor`: about as far. The products of one clip, with
# its 513 tokens, are large enough already. With the 19 tokens of `"shapes-small"` it is another matter: there
# a batch takes much less time for each clip than a single one.
#
# </details>

# %% [markdown]
# **2. What share of the time is the spectrogram?**
#
# <details><summary>Answer</summary>
#
# `measure(lambda: mt.log_mel_spectrogram(wave))` with `wave` of 5.9 s, that is 260,000 random samples at
# 44.1 kHz: about five milliseconds. In the paper's own measurement it was more than the model: 60 ms of
# 103 ms, for 20 s of sound, and both together 28 times faster than going through a speech recogniser.
#
# </details>

# %% [markdown]
# **3. What does `return_attention=True` cost?**
#
# <details><summary>Answer</summary>
#
# The maps have to be made after all: 12 blocks, 6 heads, 513 × 513 numbers, 72 MiB. Measure the call with
# it: it takes clearly longer, as queries and keys are computed once more beside the fused attention.
#
# </details>

# %% [markdown]
# **4. Why is `min` taken in `measure`, and not the mean?**
#
# <details><summary>Answer</summary>
#
# Disturbances only ever add time, sometimes a lot, so the mean measures them too. The minimum is what the
# code takes when it is left alone. For what users feel in a busy system, the median or the slowest tenth
# would be the right question.
#
# </details>

# %% [markdown]
# **5. How many times more does a training step take than a forward pass?**
#
# <details><summary>Answer</summary>
#
# About three times: on the way back each product `x @ w.T` gives two more, one for the gradient of `x` and
# one for that of `w`. Only frames and spectrograms need no gradient. Measure `compute(tiny, batch)` against
# `mt.pretraining_loss(tiny, batch, counts)`.
#
# </details>

# %% [markdown]
# ## Recap
#
# Measure first, warm and more than once. Nearly all arithmetic is in products, $2 m k n$ each, so it can be
# counted by hand; divided by the speed of the best product, that is the floor. What lies above it is waiting,
# mostly for memory, and is won back by doing more with each number while it is in the cache: blocks for
# element-wise work, tiles for attention, a stretch of rows for each core. Beyond that one computes less,
# with shorter numbers, on other hardware, or in several processes whose gradients add up.

# %% [markdown]
# ## Where to go on
#
# [11](11_the_real_thing.ipynb) runs the published model's sizes and your own film. The kernels are in
# [numpy_kernels.py](../minitvlt/backends/numpy_kernels.py) and
# [numpy_attention.py](../minitvlt/backends/numpy_attention.py). The whole path is in the
# [overview](README.md).
