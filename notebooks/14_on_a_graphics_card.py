# %% [markdown]
# # 14 · On a graphics card
#
# The published model does not train in reasonable time on a CPU. This notebook is about training it on one
# graphics card or several: how much memory a step needs, and how to need less; bfloat16 and what must stay in
# float32; what limits the speed; compiling; interrupting and resuming; and several cards. Each part also runs
# without a card, in small.
#
# **You will be able to** estimate memory and time of a training before it is started, choose between
# bfloat16, recomputation and micro-batches, resume a run exactly, and divide a batch between processes
# without changing the result.
#
# **Time to run:** about 40 seconds. **Before this:** AdamW and the training loop
# ([07](07_pretraining.ipynb)), rounding ([09](09_backends.ipynb)), FLOPs ([10](10_faster.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The device
#
# PyTorch drives the card. `mt.to_backend(params, "torch", "cuda")` moves parameters there, and everything
# that is computed from them is computed there. The cell says what is present here. Where there is no card,
# the cells below run on the CPU, on one core, which is faster for such small sizes; where PyTorch is missing,
# they say so, and everything in NumPy runs anyway.

# %%
from contextlib import ExitStack

from minitvlt.backends.fast.threads import on_one_core

stack = ExitStack()
stack.enter_context(on_one_core())  # matrix products of NumPy

# %% tags=["volatile"]
import importlib.util

has_torch, device = importlib.util.find_spec("torch") is not None, "cpu"
if has_torch:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
if device == "cuda":
    print(torch.cuda.get_device_name(), f"{torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB")
else:
    print("no graphics card:", "PyTorch on the CPU" if has_torch else "NumPy alone, PyTorch is missing")

# %% [markdown]
# ## Memory of the parameters
#
# A card has its own memory, and a training that does not fit ends with an error. So we count first. For each
# parameter, a step needs its value, its gradient, and the two running means of AdamW: four numbers, in
# float32 of four bytes each.

# %%
import numpy as np


def count_state_bytes(params):
    """Bytes of parameters, gradients and the two means of AdamW."""
    return 4 * 4 * sum(array.size for array in mt.flatten(params).values())


# %% [markdown]
# For comparison, the bytes of all arrays of one step of the tiny model. `outline` makes the parameters of a
# model without memory for them, so that the published one can be counted as well.

# %%
from minitvlt.model.parameters import outline
from minitvlt.training.optimizer import start_adamw

config = mt.Config.tiny()
params, rng = mt.init(config, seed=0), np.random.default_rng(0)
batch = mt.make_batch(mt.ShapesWorld(config).sample(rng, 16), config, rng)
compute = mt.value_and_grad(lambda params, batch: mt.pretraining_loss(params, batch).loss)
loss, gradients = compute(params, batch)
state = start_adamw(params)  # parameters and both means
trees = (state.parameters, state.mean, state.square, gradients)
counted = sum(array.nbytes for tree in trees for array in mt.flatten(tree).values())
print("as the package's arrays:", counted == count_state_bytes(params))
for name, each in {"tiny": config, "small": mt.Config.small(), "published": mt.Config()}.items():
    print(f"{name:<10}{count_state_bytes(outline(each)) / 1e9:6.3f} GB")

# %% [markdown]
# ## Memory of the activations
#
# The backward pass needs results of the forward pass (**activations**), so they are kept until then. The
# VJPs of [06](06_backpropagation.ipynb) say which ones: a linear map keeps its input, LayerNorm and GELU
# theirs, attention the queries, keys, values and its output. In a block this is, for each token:
#
# | kept | numbers |
# |---|---|
# | input of the first LayerNorm; its output, input of the linear map | $2 D$ |
# | queries, keys, values | $3 D$ |
# | output of attention, input of the output map | $D$ |
# | input of the second LayerNorm; its output | $2 D$ |
# | input of GELU; its output | $2 D_{\text{mlp}}$ |

# %% [markdown]
# The weights of attention are computed again in the backward pass, block by block, so their $N^2$ numbers are
# not kept. For $B$ clips of $N$ tokens in float32, a block keeps
#
# $$\text{bytes}_{\text{block}} = 4 B N (8 D + 2 D_{\text{mlp}})$$


# %%
def block_bytes(B, N, D, D_mlp):
    return 4 * B * N * (8 * D + 2 * D_mlp)


# %% [markdown]
# `tracemalloc` counts what NumPy has allocated. We run one block of `Config.small()` on the tape and look at
# what is still there after the forward pass, besides the parameters. With PyTorch,
# `saved_tensors_hooks` calls a function for each tensor that is kept; there we sum the bytes of their
# memory, each counted once.

# %%
import tracemalloc

from minitvlt.backends.tape import TapeArray
from minitvlt.model.transformer import run_block

small = mt.Config.small()
block, heads = mt.init(small).encoder.blocks[0], small.num_attention_heads
x = np.random.default_rng(0).normal(size=(2, 512, small.hidden_size)).astype(np.float32)
recorded, x_recorded = mt.map_tree(TapeArray, block), TapeArray(x)
tracemalloc.start()
output = run_block(x_recorded, recorded, heads, small.layer_norm_eps)
kept = tracemalloc.get_traced_memory()[0]
tracemalloc.stop()
estimate = block_bytes(2, 512, small.hidden_size, small.intermediate_size)
print(f"estimate {estimate / 2**20:.0f} MiB, on the tape {kept / estimate:.1f} times that")


# %% tags=["needs-torch"]
def measure_saved(run, weights):
    """Bytes that PyTorch keeps for the backward pass, without the weights."""
    known, kept = {w.untyped_storage().data_ptr() for w in weights}, {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


# %% tags=["needs-torch"]
if has_torch:
    on_torch, tokens = mt.to_backend((block, x), "torch")
    weights = [array.requires_grad_() for array in mt.flatten(on_torch).values()]
    tokens.requires_grad_()
    saved = measure_saved(lambda: run_block(tokens, on_torch, heads, small.layer_norm_eps), weights)
    print(f"with PyTorch {saved / estimate:.1f} times the estimate")
else:
    print('PyTorch is missing: pip install "minitvlt[torch]". The tape keeps the same arrays.')

# %% [markdown]
# Now the whole step. TVLT runs its encoder twice, on all tokens for matching and on the kept ones for
# autoencoding, and the decoder on each modality. What lies outside of the blocks is left out here: patches,
# predictions and their errors. It matters for the tiny model only, where a patch has up to 432 values and $D$
# is 64.

# %%
import math


def list_sequences(config):
    """Tokens, blocks, width and MLP width of all passes of a training step."""
    Nv, Na = config.num_frames * math.prod(config.image_grid), math.prod(config.audio_grid)
    Kv, Ka = round(Nv * (1 - config.pixel_mask_ratio)), round(Na * (1 - config.audio_mask_ratio))
    encoder = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    decoder = (config.decoder_num_hidden_layers, config.decoder_hidden_size)
    decoder += (config.decoder_intermediate_size,)
    return [(1 + Nv + Na, *encoder), (1 + Kv + Ka, *encoder), (Nv, *decoder), (Na, *decoder)]


def count_activation_bytes(config, B):
    return sum(layers * block_bytes(B, N, D, D_mlp) for N, layers, D, D_mlp in list_sequences(config))


# %%
rng, B = np.random.default_rng(0), 64
clips = mt.make_batch(mt.ShapesWorld(config).sample(rng, B), config, rng)
recorded = mt.map_tree(TapeArray, params)
tracemalloc.start()
output = mt.pretraining_loss(recorded, clips).loss
kept = tracemalloc.get_traced_memory()[0]
tracemalloc.stop()
estimate = count_activation_bytes(config, B)
print(f"estimate {estimate / 2**20:.0f} MiB; on the tape 1 to 1.5 times that:", 1 < kept / estimate < 1.5)

# %% [markdown]
# ## Less memory
#
# The following settings reduce the activations. The first two leave the gradient as it is; bfloat16 rounds.
#
# - **Recomputation** (gradient checkpointing, `Config(gradient_checkpointing=True)`) keeps only the input of
#   each block, $D$ numbers for each token, and computes the rest again in the backward pass, one block at a
#   time. The step takes about a third more FLOPs.
# - **Micro-batches** (`mt.Recipe(micro_batches=4)`) compute the gradient of a quarter of the batch at a time
#   and add them up, as in [07](07_pretraining.ipynb), exercise 4.
# - **bfloat16** has two bytes instead of four; the next section is about it. The residual stream, that is the
#   inputs of both LayerNorms, stays in float32.


# %%
def mixed_block_bytes(B, N, D, D_mlp):
    """The residual stream in float32, the rest in bfloat16."""
    return B * N * (4 * 2 * D + 2 * (6 * D + 2 * D_mlp))


# %% tags=["needs-torch"]
if has_torch:
    with torch.autocast("cpu", torch.bfloat16):
        saved = measure_saved(lambda: run_block(tokens, on_torch, heads, small.layer_norm_eps), weights)
    copies = 2 * sum(w.numel() for w in weights if w.ndim == 2)  # of the matrices, in bfloat16
    estimate = mixed_block_bytes(2, 512, small.hidden_size, small.intermediate_size)
    print(f"PyTorch on a CPU keeps {(saved - copies) / estimate:.1f} times the estimate, beside the weights")


# %%
def count_step_bytes(config, B, recompute=False, micro_batches=1, is_mixed=False):
    """Bytes of the activations of a training step."""
    B, block = -(-B // micro_batches), mixed_block_bytes if is_mixed else block_bytes  # B is rounded up
    sequences = list_sequences(config)
    if recompute:  # the inputs of all blocks, and all of the largest block
        inputs = sum(4 * B * N * D * layers for N, layers, D, _ in sequences)
        return inputs + max(block(B, N, D, D_mlp) for N, _, D, D_mlp in sequences)
    return sum(layers * block(B, N, D, D_mlp) for N, layers, D, D_mlp in sequences)


print("without settings as before:", count_step_bytes(config, B) == count_activation_bytes(config, B))

# %% [markdown]
# We check recomputation on the tape as well, by the peak of a whole step, forward and backward, with and
# without it.


# %%
def find_peak(config):
    """The most memory that a step takes at one time, in bytes, and the gradient."""
    compute = mt.value_and_grad(lambda params: mt.pretraining_loss(params, clips).loss)
    params = mt.init(config)
    tracemalloc.start()
    _, gradients = compute(params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, mt.flatten(gradients)


# %%
peaks, found = zip(
    *(find_peak(config.replace(gradient_checkpointing=on)) for on in (False, True)), strict=True
)
same = all(np.allclose(found[0][name], found[1][name], atol=1e-5) for name in found[0])
print("the same gradient:", same)
print("the peak with recomputation is less than half:", peaks[1] < peaks[0] / 2)

# %% [markdown]
# The figure shows the estimates for the published model and 16 clips. Dotted lines mark cards of 24 and
# 80 GB.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show

use_style()
base, B = mt.Config(), 16
choices = {"float32": {}, "bfloat16": {"is_mixed": True}, "recomputation": {"recompute": True}}
choices["bfloat16,\n4 micro-batches"] = {"is_mixed": True, "micro_batches": 4}
choices["bfloat16,\nrecomputation"] = {"is_mixed": True, "recompute": True}

# %% tags=["thumbnail"]
fixed = count_state_bytes(outline(base)) / 1e9
activations = [count_step_bytes(base, B, **choice) / 1e9 for choice in choices.values()]
figure, (axes,) = new_axes(size=(10, 3.8), y="GB")
axes.bar(list(choices), fixed, 0.6, color="black", label="parameters, gradients, AdamW")
axes.bar(list(choices), activations, 0.6, fixed, color="#bbbbbb", label="activations")
for size in (24, 80):
    axes.axhline(size, color="gray", linestyle=":")
axes.legend()
show(figure, "Five bars: activations are the largest part in float32, and small with both settings together.")

# %% [markdown]
# (In bfloat16 there is also a copy of the weights in two bytes.) On a card,
# `torch.cuda.max_memory_allocated()` gives the peak. It is somewhat higher than the estimate:
# temporary arrays, the libraries themselves, and memory that is lost between allocations.

# %% [markdown]
# ## bfloat16
#
# A float32 has 1 bit for the sign, 8 for the exponent and 23 for the fraction. **bfloat16** is its upper
# half: the same exponent, so the same range, but a fraction of 7 bits. To round to it, look at the 16 bits
# that are dropped: more than half of the last kept digit rounds up, less rounds down, and exactly half rounds
# to the even number. Adding `0x7FFF` plus the last kept bit before the shift does all this. Not-a-number
# needs care: the addition could turn it into infinity, so one bit of its fraction is set instead.


# %%
def to_bfloat16(x):
    """The 16 bits of the nearest bfloat16."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    last = (bits >> 16) & 1  # the last bit that is kept
    rounded = (bits + 0x7FFF + last) >> 16
    return np.where(np.isnan(x), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def from_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


# %% [markdown]
# The package reads bfloat16 from files of the format safetensors (the length of a header, the header in JSON,
# the numbers), so we write one and let it read. The second comparison is with
# PyTorch, bit by bit, for a million random numbers of all sizes.

# %%
import json
import tempfile
from pathlib import Path

from minitvlt.checkpoints.native import read_tensors

folder = Path(tempfile.mkdtemp())
numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32)
header = json.dumps({"x": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}).encode()
data = len(header).to_bytes(8, "little") + header + to_bfloat16(numbers).astype("<u2").tobytes()
(folder / "x.safetensors").write_bytes(data)
theirs = read_tensors(folder / "x.safetensors")["x"]
print("read by the package:", np.array_equal(theirs, from_bfloat16(to_bfloat16(numbers))))
print("largest relative error at most 2⁻⁸:", bool(np.max(np.abs(theirs / numbers - 1)) <= 2.0**-8))

# %% tags=["needs-torch"]
if has_torch:
    many = np.random.default_rng(1).integers(0, 2**32, 1_000_000, np.uint32).view(np.float32)
    theirs = torch.from_numpy(many).bfloat16().view(torch.int16).numpy().view(np.uint16)
    is_number = ~np.isnan(many)
    print("as PyTorch's, bit by bit:", np.array_equal(to_bfloat16(many)[is_number], theirs[is_number]))
else:
    print("PyTorch is missing, so there is nothing to compare with.")

# %% [markdown]
# ## Why the parameters stay in float32
#
# Near a number $\theta$, the next bfloat16 is $2^{-8}$ to $2^{-7}$ times $|\theta|$ away. A step that is less
# than half of that is lost when the result is rounded. AdamW changes each parameter by at most about the
# learning rate $\eta$, and learning rates are small. We take one step from the packaged model, for many
# learning rates, and ask what share of the parameters changes at all: stored in float32, and in bfloat16.

# %%
trained = mt.load("shapes-small")
gradient = np.concatenate([g.ravel() for g in mt.flatten(compute(trained, batch)[1]).values()])
theta = np.concatenate([array.ravel() for array in mt.flatten(trained).values()])
theta16 = from_bfloat16(to_bfloat16(theta))
rates, changed = np.geomspace(1e-7, 1e-2, 21), {"float32": [], "bfloat16": []}
for eta in rates:
    step = np.float32(eta) * np.sign(gradient)  # the first step of AdamW
    changed["float32"].append(np.mean(theta - step != theta))
    changed["bfloat16"].append(np.mean(from_bfloat16(to_bfloat16(theta16 - step)) != theta16))

# %%
figure, (axes,) = new_axes(size=(9, 3.4), x="learning rate", y="share that changes")
for (name, shares), style in zip(changed.items(), ("-", "--"), strict=True):
    axes.semilogx(rates, shares, style, color="black", label=name)
axes.axvline(1e-5, color="gray", linestyle=":")  # that of the paper
axes.set_ylim(0, 1.05)
axes.legend()
at = np.argmin(np.abs(rates - 1e-5))
print("at 1e-5, float32: above 90 of 100:", bool(changed["float32"][at] > 0.9))
print("at 1e-5, bfloat16: below 30 of 100:", bool(changed["bfloat16"][at] < 0.3))
show(
    figure,
    "A line at 1 for float32; for bfloat16 a curve that rises between learning rates of 1e-5 and 1e-3.",
)

# %% [markdown]
# The dotted line is the learning rate of the paper. So in **mixed precision** the parameters, the running
# means and the update are float32. Matrix products are computed on rounded copies, with sums in float32.
# In PyTorch, `torch.autocast` does the rounding inside of each product. (float16 has a smaller range, so
# small gradients would become 0, and losses must be scaled; with bfloat16 this is not necessary.)

# %% tags=["needs-torch"]
if has_torch:
    theta, data = mt.to_backend((params, batch), "torch", device)
    weights = [array.requires_grad_() for array in mt.flatten(theta).values()]
    with torch.autocast(device, torch.bfloat16):
        mixed = mt.pretraining_loss(theta, data)
    mixed.loss.backward()
    print("predictions:", mixed.video_prediction.dtype, "  loss:", mixed.loss.dtype)
    print("parameters:", weights[0].dtype, "  gradients:", weights[0].grad.dtype)
    print("relative difference of the loss below 1%:", abs(float(mixed.loss.detach()) / loss - 1) < 0.01)
else:
    print("PyTorch is missing: on a card, this would show bfloat16 predictions and float32 gradients.")

# %% [markdown]
# ## What limits the speed
#
# A card has a highest rate of arithmetic, in FLOPs a second, and a highest **bandwidth**, in bytes a second
# between its memory and its arithmetic units. An operation that makes $f$ FLOPs and moves $b$ bytes has the
# **arithmetic intensity** $I = f / b$. Its rate is at most
#
# $$\text{rate}(I) = \min(\text{peak}, \; I \cdot \text{bandwidth})$$
#
# Drawn over $I$ this is the **roofline**: a slope, where operations are memory-bound, and a flat part, where
# they are compute-bound. A product of $(m, k)$ and $(k, n)$ matrices, in numbers of $s$ bytes, has
#
# $$I = \frac{2 m k n}{s (m k + k n + m n)}$$


# %%
def product_intensity(m, k, n, size=2):
    return 2 * m * k * n / (size * (m * k + k * n + m * n))


def attainable_rate(intensity, peak, bandwidth):
    return np.minimum(peak, intensity * bandwidth)


# %% [markdown]
# The figures of two cards are from their data sheets: products in bfloat16 with sums in float32, and the
# bandwidth. Operations of the published model are marked: an MLP map for one token and for the 2593 tokens of
# a clip, LayerNorm (about 8 FLOPs for each number that is read and written), and AdamW (about 14 FLOPs for a
# parameter, of which 28 bytes are moved: four numbers are read and three written).

# %%
CARDS = {"A100 80 GB": (312e12, 2.04e12), "RTX 4090": (165e12, 1.01e12)}  # FLOPs and bytes a second
N, D, D_mlp = 2593, base.hidden_size, base.intermediate_size
works = {"AdamW": 14 / 28, "LayerNorm": 8 / 4, "linear map, 1 token": product_intensity(1, D, D_mlp)}
works["linear map, 2593 tokens"] = product_intensity(N, D, D_mlp)
print(f"{'share of the peak rate':<26}{'FLOPs a byte':>14}" + "".join(f"{name:>14}" for name in CARDS))
for name, intensity in works.items():
    shares = [attainable_rate(intensity, *card) / card[0] for card in CARDS.values()]
    print(f"{name:<26}{intensity:14.1f}" + "".join(f"{share:14.1%}" for share in shares))

# %%
figure, (axes,) = new_axes(size=(10, 3.8), x="FLOPs for each byte", y="FLOPs a second")
line = np.geomspace(0.1, 3000, 200)
for (name, card), style in zip(CARDS.items(), ("-", "--"), strict=True):
    axes.loglog(line, attainable_rate(line, *card), style, color="black", label=name)
for name, intensity in works.items():
    axes.axvline(intensity, color="gray", linestyle=":")
    height = 6e12 if intensity < 10 else 1.3e11  # where no line is
    axes.text(intensity * 1.08, height, name, rotation=90, fontsize=11, va="bottom")
axes.set_ylim(1e11, 1e15)
axes.legend(loc="lower center")
show(
    figure, "Two rooflines: AdamW, LayerNorm and a map of one token on the slope, the large map on the roof."
)

# %% [markdown]
# So only large products run near the peak; everything elementwise waits for memory. From this follow the
# habits of training on cards: large batches, few and fused elementwise operations, and no transfer between
# host and card inside of a step.
#
# For a whole step, `count_flops` of the helpers gives the FLOPs, and the peak the least time. Real steps
# often take more than twice as long. The share of the peak that is reached is called **model FLOPs
# utilisation**. The last figure of a line is for as many clips as in the paper, 200,000 steps of 4096, on one
# card, with the sizes of `mt.Config()`.

# %%
from helpers.flops import count_flops

step_flops = count_flops(base, "step", batch=64)
print(f"a step of 64 clips: {step_flops / 1e12:.0f} TFLOP")
for name, (peak, _) in CARDS.items():
    least = step_flops / peak
    days = 200_000 * 4096 / 64 * least / 0.4 / 86_400
    print(f"{name:<12} at least {least:.2f} s, at 40% of the peak {least / 0.4:.1f} s; all: {days:.0f} days")

# %% [markdown]
# ## Compiling
#
# Two elementwise operations in a row write an array and read it again. `torch.compile` joins them: it records
# the operations of a function as a graph, and makes one kernel of neighbours in it. How many bytes does that
# save? GELU after a bias, on an array of $n$ numbers: without fusion, the addition reads and writes $n$
# numbers and so does GELU; fused, they are read and written once.
#
# The graph can be looked at without any compiler: a *backend* of `torch.compile` is a function that gets the
# graph and returns something to call. Ours counts the operations and returns the graph as it is.


# %% tags=["needs-torch"]
def count_graphs(function, *arguments):
    """The number of operations in each graph that torch.compile finds in a function."""
    sizes = []

    def backend(graph, inputs):
        sizes.append(sum(node.op.startswith("call") for node in graph.graph.nodes))
        return graph.forward

    torch.compile(function, backend=backend)(*arguments)
    return sizes


# %% tags=["needs-torch"]
def with_print(tokens):
    double = tokens + tokens
    print("sum is a number:", float(double.sum()) < 1e9)
    return double * double


# %% tags=["needs-torch"]
import logging

if has_torch:
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it would warn of the graph break
    tokens = tokens.detach()
    sizes = count_graphs(lambda x: run_block(x, on_torch, heads, small.layer_norm_eps), tokens)
    print("a block of the model: graphs:", len(sizes))
    print("with a number printed in between: graphs:", len(count_graphs(with_print, tokens)))
else:
    print("PyTorch is missing: a block would be one graph, a function that prints a number two.")

# %% [markdown]
# The second function has a **graph break**: a Python number is needed in the middle, so the graph is cut
# there, and the card has to finish before Python can go on. The package's training step has none, which is
# why it keeps counts as tensors. Compiling takes a minute or more, once, and again for other shapes.

# %% [markdown]
# ## A training on the card
#
# All of this is chosen by options of one command:
#
# ```bash
# minitvlt pretrain --backend torch --device cuda --dtype bfloat16 --compile --config base \
#     --batch 64 --micro-batches 4 --data my_videos --out big_run
# ```
#
# In Python, the parameters decide the library and the device, and `mt.train` takes `dtype` and `compile`. The
# next cell trains the tiny model for ten steps in bfloat16, on the card if there is one; for so few steps it
# is not compiled.

# %%
world, recipe = mt.ShapesWorld(config), mt.Recipe(steps=10, batch_size=8, learning_rate=1e-3, warmup_steps=2)
how = {"show_progress": False}
if has_torch:
    start = mt.to_backend(params, "torch", device)
    tuned = mt.train(start, world, recipe, folder / "mixed", dtype="bfloat16", **how)
else:
    tuned = mt.train(params, world, recipe, folder / "mixed", **how)
same = all(array.dtype == np.float32 for array in mt.flatten(mt.to_backend(tuned, "numpy")).values())
print("all parameters still in float32:", same)

# %% [markdown]
# **Throughput** is measured in clips a second. A card works on its own while Python goes on, so before
# reading the clock, wait for it (`torch.cuda.synchronize`). The first steps do not count: memory is
# allocated, kernels are chosen or compiled. Small batches are slow, for the time to start each operation
# dominates. At some size the rate levels off; more only needs more memory.

# %%
import time


def measure_throughput(params, batch, tries=2):
    """Clips a second of loss and gradient: the best of some tries."""
    times = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        compute(params, batch)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return len(batch.audio) / min(times[1:])  # without the first


# %% tags=["volatile"]
rng, speeds = np.random.default_rng(0), {}
for B in (1, 8, 64):
    pair = params, mt.make_batch(world.sample(rng, B), config, rng)
    speeds[B] = measure_throughput(*(mt.to_backend(pair, "torch", device) if has_torch else pair))
    print(f"batch of {B:3}: {speeds[B]:6.0f} clips a second")

# %% [markdown]
# ## Interrupting and resuming
#
# Long runs are interrupted: by a time limit, an update, a power cut. A run that is resumed should end with
# the same numbers as one that was not. What has to be saved? You write it: a few steps at once; then half of
# them, a file, and the other half.

# %%
from minitvlt.training.optimizer import apply_adamw


def run_steps(state, first, last):
    """Take steps `first` to `last - 1`; the draw of a step depends on its number alone."""
    for step in range(first, last):
        rng = np.random.default_rng([recipe.seed, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), config, rng)
        _, gradients = compute(state.parameters, batch)
        apply_adamw(state, gradients, 1.0, step, recipe)
    return np.concatenate([array.ravel() for array in mt.flatten(state.parameters).values()])


# %%
def save_state(path, state, step):
    np.savez(path, step=step, **mt.flatten(state))


def load_state(path, like):
    """Arrays by their names, in the form of another state."""
    with np.load(path) as file:
        for name, array in mt.flatten(like).items():
            array[...] = file[name]
        return like, int(file["step"])


# %%
whole = run_steps(start_adamw(params), 0, 6)
state = start_adamw(params)
run_steps(state, 0, 3)
save_state(folder / "state.npz", state, 3)
resumed, step = load_state(folder / "state.npz", start_adamw(mt.init(config, seed=1)))
fresh = start_adamw(resumed.parameters)  # the same parameters, but both means are 0
print("resumed, bit for bit the same:", np.array_equal(run_steps(resumed, step, 6), whole))
print("resumed without the running means, the same:", np.array_equal(run_steps(fresh, step, 6), whole))

# %% [markdown]
# So the state is: parameters, both means, and the number of the step, which also decides the learning rate
# and, by the seed, the draws. `mt.train` saves these every 200 steps, at the end, and when it is interrupted;
# called again with the same folder, it goes on. Below a run is interrupted by an exception before its seventh
# step, which stands for any interruption, and resumed.


# %%
class Interrupted(mt.ShapesWorld):
    """A world that fails after some draws"""

    draws = 0

    def sample(self, rng, count):
        """Draw clips, up to the failure."""
        self.draws += 1
        if self.draws > 7:  # one draw checks the world before the first step
            raise KeyboardInterrupt
        return super().sample(rng, count)


# %%
from minitvlt.training.trainer import METRICS, STATE

single = mt.Recipe(steps=10, batch_size=4, micro_batches=4, learning_rate=1e-3, warmup_steps=2)
mt.train(params, world, single, folder / "whole", **how)
try:
    mt.train(params, Interrupted(config), single, folder / "parts", **how)
except KeyboardInterrupt:
    lines = (folder / "parts" / METRICS).read_text().splitlines()
    print("interrupted before the last step:", len(lines) < 10)
mt.train(params, world, single, folder / "parts", **how)
files = [(folder / name / STATE).read_bytes() for name in ("whole", "parts")]
print("the same bytes as without an interruption:", files[0] == files[1])

# %% [markdown]
# On the command line, `minitvlt pretrain --out big_run --resume` does it, with the settings of that run.

# %% [markdown]
# ## Several cards
#
# In data parallelism each process has a card, a copy of the model and a part of the batch
# ([10](10_faster.ipynb)). The figure shows a step: after the backward pass the gradients are summed over the
# processes, so every copy makes the same update.

# %%
from helpers.training_figure import draw_data_parallel

draw_data_parallel().show(
    "A batch is divided between two processes; each runs forward and backward; their counts and gradients "
    "are summed by an all-reduce; both make the same AdamW update."
)

# %% [markdown]
# The parts need not be equal: clips are padded, and a part may have fewer hidden patches or pairs. Let $g_r$
# be the gradient of the *sum* of the losses of process $r$, and $c_r$ its count. The gradient of the mean
# over all is
#
# $$g = \frac{\sum_r g_r}{\sum_r c_r}$$
#
# and not the mean of the $g_r / c_r$, in which a small part would have too much weight.


# %%
def average_gradients(sums, counts):
    """The gradient of the whole batch, from a tree of sums and a count of each process."""
    total = float(sum(counts))
    return mt.map_tree(lambda *arrays: sum(arrays) / total, *sums)


# %% [markdown]
# We try it with two real processes: programs that read parameters and clips, and write the gradient of their
# sum. For matching alone, `LossCounts` with ones makes sums of the losses. The first process gets seven
# clips, the second two.

# %%
WORKER = """
import pickle, sys
import minitvlt as mt
from minitvlt.model.pretraining import LossCounts
params, part = pickle.load(sys.stdin.buffer)
ones = LossCounts(match=1.0, video=1.0, audio=1.0)
compute = mt.value_and_grad(lambda params: mt.pretraining_loss(params, part, ones).loss)
sys.stdout.buffer.write(pickle.dumps((compute(params)[1], len(part.audio))))
"""

# %%
import pickle
import subprocess
import sys


def run_workers(messages):
    """Run a process for each message, all at the same time; return what they answer."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    workers = [subprocess.Popen([sys.executable, "-c", WORKER], **pipes) for _ in messages]
    for worker, message in zip(workers, messages, strict=True):
        worker.stdin.write(pickle.dumps(message))
        worker.stdin.close()
    return [pickle.loads(worker.stdout.read()) for worker in workers]


# %%
matching = mt.init(config.replace(task_mae=False), seed=0)
nine = mt.map_tree(lambda array: array[:9], batch)
parts = [mt.map_tree(lambda array, rows=rows: array[rows], nine) for rows in (slice(0, 7), slice(7, 9))]
sums, counts = zip(*run_workers([(matching, part) for part in parts]), strict=True)
whole = mt.flatten(compute(matching, nine)[1])


def agrees(tree):
    return all(np.allclose(array, whole[name], atol=1e-5) for name, array in mt.flatten(tree).items())


print("clips:", counts, "  sum of sums, as one process:", agrees(average_gradients(sums, counts)))
means = [average_gradients([g], [c]) for g, c in zip(sums, counts, strict=True)]
print("mean of the two means, as one process:", agrees(average_gradients(means, (1, 1))))

# %% [markdown]
# ## All-reduce
#
# How are gradients summed over $R$ cards? If all sent everything to one, it would receive $R - 1$ times the
# gradient. In a **ring all-reduce** each card sends to its neighbour only. The gradient is cut into $R$
# chunks. In $R - 1$ rounds, each card passes a chunk on, and the next adds its own; then each chunk is
# complete on one card. In $R - 1$ more rounds, the complete chunks are passed around. Each card sends, of $n$
# numbers,
#
# $$\text{sent} = 2 \, \frac{R - 1}{R} \, n$$
#
# which hardly depends on the number of cards.


# %%
def ring_all_reduce(arrays):
    """The sum on every card, and how many numbers each has sent."""
    R, sent = len(arrays), 0
    chunks = [np.array_split(np.array(array), R) for array in arrays]  # chunks[r][c]: chunk c on card r
    for t in range(2 * (R - 1)):
        moving = [chunks[r][(r - t) % R].copy() for r in range(R)]  # what card r sends
        for r in range(R):
            receiver, c = chunks[(r + 1) % R], (r - t) % R
            receiver[c] = receiver[c] + moving[r] if t < R - 1 else moving[r]
        sent += len(moving[0])
    return [np.concatenate(each) for each in chunks], sent


# %%
for R in (2, 4, 8):
    arrays = np.random.default_rng(0).normal(size=(R, 240))
    sums, sent = ring_all_reduce(arrays)
    right = all(np.allclose(each, arrays.sum(axis=0)) for each in sums)
    print(f"{R} cards: the sum on all: {right}, sent {sent} of {240} numbers")

# %% [markdown]
# `torchrun` starts the processes, and tells each its number by environment variables. `mt.train` reads them,
# draws the same batch in all processes, takes its part, and lets **DDP** (DistributedDataParallel of PyTorch)
# sum the gradients, chunk by chunk, while the backward pass still runs. On a machine with eight cards:
#
# ```bash
# torchrun --nproc-per-node 8 -m minitvlt pretrain --backend torch --device cuda --dtype bfloat16 \
#     --config base --batch 512 --data my_videos --out wide_run
# ```
#
# Where there is PyTorch, the cell starts two processes on the CPU, with a batch of nine clips. Their log is
# compared with that of one process on NumPy.

# %%
SCRIPT = """
import sys
import minitvlt as mt
params = mt.to_backend(mt.init(mt.Config.tiny(), seed=0), "torch")
recipe = mt.Recipe(steps=3, batch_size=9, warmup_steps=2)
mt.train(params, mt.ShapesWorld(params.config), recipe, sys.argv[1], show_progress=False)
"""
(folder / "train.py").write_text(SCRIPT)
torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
if has_torch:
    subprocess.run([*torchrun, folder / "train.py", folder / "two"], capture_output=True)
nine_clips = mt.Recipe(steps=3, batch_size=9, micro_batches=9, warmup_steps=2)
mt.train(params, world, nine_clips, folder / "one", **how)
print("steps in one process:", len((folder / "one" / METRICS).read_text().splitlines()))

# %% tags=["needs-torch"]
from minitvlt.training.trainer import read_metrics

if (folder / "two" / METRICS).exists():
    one, two = ([line["loss"] for line in read_metrics(folder / n / METRICS)] for n in ("one", "two"))
    print("two processes have the losses of one:", np.allclose(one, two, rtol=1e-3))
else:
    print("PyTorch is missing, or processes cannot reach each other here: two would have the losses of one.")

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Change the model: twice the width $D$ (and $D_{\text{mlp}}$, and both of the decoder), as many blocks
# and tokens. Predict the factors for the memory of the parameters, the activations and the FLOPs of a step.**
#
# <details><summary>Answer</summary>
#
# The matrices of a block have $D^2$ elements: four times the parameters. The activations have $D$ numbers for
# each token: twice. The FLOPs of linear maps grow fourfold, those of attention twofold: between the two.
#
# ```python
# sizes = ("hidden_size", "intermediate_size", "decoder_hidden_size", "decoder_intermediate_size")
# wide = base.replace(**{name: 2 * getattr(base, name) for name in sizes})
# factors = {
#     "parameters": count_state_bytes(outline(wide)) / count_state_bytes(outline(base)),
#     "activations": count_step_bytes(wide, 16) / count_step_bytes(base, 16),
#     "FLOPs": count_flops(wide, "step") / count_flops(base, "step"),
# }
# print({name: f"{factor:.2f}" for name, factor in factors.items()})
# assert 3.8 < factors["parameters"] < 4 and factors["activations"] == 2 and 3 < factors["FLOPs"] < 4
# ```
#
# </details>

# %% [markdown]
# **2. How many tokens must go through an MLP map of the published model at once, so that it is compute-bound
# on an A100? Predict from $I \approx m$ for small $m$ (in bfloat16), then search.**
#
# <details><summary>Answer</summary>
#
# For small $m$ the weights are nearly all that is moved: $I \approx 2 m k n / (2 k n) = m$. The peak divided
# by the bandwidth is 153 FLOPs for each byte. Because inputs and outputs are moved as well, it takes some
# more tokens.
#
# ```python
# peak, bandwidth = CARDS["A100 80 GB"]
# needed = next(m for m in range(1, 5000) if product_intensity(m, D, D_mlp) >= peak / bandwidth)
# print(f"{peak / bandwidth:.0f} FLOPs a byte, {needed} tokens")
# assert peak / bandwidth < needed < 2 * peak / bandwidth
# ```
#
# </details>

# %% [markdown]
# **3. Round at random: up with the probability that equals the dropped fraction (**stochastic rounding**). A
# parameter in bfloat16 is 1, and 1000 steps add 0.001 each. Predict where it ends with rounding to nearest,
# and at random. Then write it.**
#
# <details><summary>Answer</summary>
#
# Next to 1 are numbers at a distance of 1/128, so 0.001 is always lost: it stays at 1. At random, an eighth
# of the steps round up, and on average nothing is lost: it ends near 2. Add a random number of 16 bits before
# the lower bits are dropped.
#
# ```python
# def round_at_random(x, rng):
#     bits = np.asarray(x, np.float32).view(np.uint32)
#     return ((bits + rng.integers(0, 2**16, bits.shape, np.uint32)) >> 16).astype(np.uint16)
#
# rng, nearest, random = np.random.default_rng(0), np.ones(200, np.float32), np.ones(200, np.float32)
# for _ in range(1000):
#     nearest = from_bfloat16(to_bfloat16(nearest + np.float32(0.001)))
#     random = from_bfloat16(round_at_random(random + np.float32(0.001), rng))
# print(f"nearest {nearest.mean():.2f}, at random {random.mean():.2f}")
# assert (nearest == 1).all() and abs(random.mean() - 2) < 0.05
# ```
#
# </details>

# %% [markdown]
# **4. Which is the smallest number of micro-batches with which 64 clips of the published model fit into
# 24 GB, leaving a fifth free? Without other settings, in bfloat16, and in bfloat16 with recomputation.**
#
# <details><summary>Answer</summary>
#
# Search. Micro-batches cost nothing but the efficiency of small products, recomputation costs a third more
# FLOPs; so recomputation is worth it where micro-batches would become very small.
#
# ```python
# def needed_micro_batches(**settings):
#     free = 0.8 * 24e9 - count_state_bytes(outline(base))
#     fits = (m for m in range(1, 65) if count_step_bytes(base, 64, micro_batches=m, **settings) < free)
#     return next(fits)
#
# needed = [needed_micro_batches(), needed_micro_batches(is_mixed=True)]
# needed.append(needed_micro_batches(is_mixed=True, recompute=True))
# print(needed)
# assert needed[0] > needed[1] > needed[2]
# ```
#
# </details>

# %% [markdown]
# **5. Eight cards sum the gradient of the published model in float32 after each step, over links of 25 GB a
# second. How long does it take beside the step of 64 clips on each card? And with links of 1 GB a second,
# between machines on an ordinary network?**
#
# <details><summary>Answer</summary>
#
# On the fast links it is a small part, and DDP hides most of it behind the backward pass. On the slow ones it
# is of the order of the step itself: then one adds up several micro-batches between two exchanges.
#
# ```python
# gradient_bytes = count_state_bytes(outline(base)) / 4
# sent = 2 * 7 / 8 * gradient_bytes
# step = count_flops(base, "step", batch=64) / (0.4 * CARDS["A100 80 GB"][0])
# for rate in (25e9, 1e9):
#     print(f"links of {rate / 1e9:2.0f} GB/s: {sent / rate:.2f} s beside a step of {step:.2f} s")
# assert sent / 25e9 < step / 10 < sent / 1e9
# ```
#
# </details>

# %% [markdown]
# ## Recap
#
# A training step needs sixteen bytes for each parameter, and activations that grow with the batch;
# recomputation, micro-batches and bfloat16 reduce these. In mixed precision products are bfloat16, while
# parameters and updates are float32, because small steps would be lost. Large products are limited by
# arithmetic, everything else by memory, and compiling fuses what is limited by memory. A run can be resumed
# exactly from parameters, both means and the number of the step. Several processes sum gradients and counts,
# so that they compute the same step as one.

# %% [markdown]
# ## Where to go on
#
# [15](15_checkpoints.ipynb) opens the files in which models are stored, also those in bfloat16.
#
# Autocast, compiling and DDP are in [torch_trainer.py](../minitvlt/training/torch_trainer.py), saving and
# resuming in [trainer.py](../minitvlt/training/trainer.py), recomputation on the tape in
# [tape.py](../minitvlt/backends/tape.py). All notebooks are in the [overview](README.md).

# %% [markdown]
# ## References
#
# - P. Micikevicius et al., *Mixed Precision Training*, 2018,
#   [arXiv 1710.03740](https://arxiv.org/abs/1710.03740): why a copy of the parameters stays in float32.
# - T. Chen et al., *Training Deep Nets with Sublinear Memory Cost*, 2016,
#   [arXiv 1604.06174](https://arxiv.org/abs/1604.06174): recomputation.
# - V. Korthikanti et al., *Reducing Activation Recomputation in Large Transformer Models*, 2022,
#   [arXiv 2205.05198](https://arxiv.org/abs/2205.05198): the bytes of activations, counted as here.
# - P. Patarasuk, X. Yuan, *Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations*, 2009,
#   [doi 10.1016/j.jpdc.2008.09.002](https://doi.org/10.1016/j.jpdc.2008.09.002): the ring.
