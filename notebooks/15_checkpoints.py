# %% [markdown]
# # 15 · Checkpoints
#
# A checkpoint is a file of named arrays and a configuration. Here you write a reader and a writer of the most
# common file format, decode numbers in bfloat16, and translate names and layouts between four programs: this
# package, transformers, the authors' code, and ViT MAE. A reader must also say what it did not read. All
# checkpoints of this notebook are small and made on the spot, in a temporary folder.
#
# **You will be able to** open a checkpoint byte by byte, convert one between programs, say what was read,
# left over and randomly initialised, fit position tables to another size, and tell which files are safe.
#
# **Time to run:** about ten seconds. **Before this:** [02](02_patches.ipynb), [04](04_attention.ipynb) and
# [05](05_tvlt.ipynb); numbers in binary for the section on precision.

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## A file of named arrays
#
# `mt.save` writes a model into one file in the format **safetensors**. Its parts are: 8 bytes
# with a number $n$, then $n$ bytes of text in JSON, the **header**, then the numbers of all arrays one after
# another. The header says for each name the data type, the shape, and where its bytes begin and end.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np

folder = Path(tempfile.mkdtemp())
params = mt.load("shapes-small")
arrays = mt.flatten(params)  # {name: array}
path = mt.save(params, folder / "model.safetensors")
print(len(arrays), "arrays; the file after the first 8 bytes:", path.read_bytes()[8:24], "…")

# %%
from helpers.notebook import show
from helpers.schematics import SMALL, Schematic
from minitvlt.views.figures import AUDIO_COLOUR, VIDEO_COLOUR

figure = Schematic(880, 190)
figure.box(75, 55, 110, 56, "*n*", "8 bytes")
figure.box(280, 55, 290, 56, "*header*: n bytes of JSON", "names, types, shapes, offsets")
for x, name, colour in ((500, "array", VIDEO_COLOUR), (620, "array", AUDIO_COLOUR), (740, "…", "#777")):
    figure.box(x, 55, 112, 56, f"*{name}*", "numbers", colour=colour)
figure.write(440, 127, '"encoder.cls": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}', "#222", 14)
figure.arrow((280, 83), (280, 112))
figure.arrow((600, 112), (500, 86))
figure.write(600, 165, "offsets are counted from the end of the header", *SMALL)
figure.show("A file as boxes in a row: n, a header of n bytes of JSON, and the numbers of the arrays.")

# %% [markdown]
# A dozen lines read it. `np.frombuffer` takes bytes as numbers of a type; `<` says that the lowest byte comes
# first. `types` translates the format's names of types to NumPy's; the last one is explained below.


# %%
def read_safetensors(path):
    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata, arrays = header.pop("__metadata__", {}), {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        numbers = np.frombuffer(data[start + first : start + last], types[entry["dtype"]])
        arrays[name] = numbers.reshape(entry["shape"])
    return arrays, metadata


# %%
def are_equal(mine, theirs):
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


mine, metadata = read_safetensors(path)
print("as the package's:", are_equal(mine, mt.flatten(mt.load(path))))

# %% [markdown]
# The header may also hold text under `__metadata__`. There `mt.save` puts the configuration. It is needed:
# the shapes do not say, for instance, how many heads the attention has.

# %%
settings = json.loads(metadata["minitvlt"])["config"]
print("heads:", settings["num_attention_heads"], "  layers:", settings["num_hidden_layers"])
print("the whole configuration:", mt.Config.from_dict(settings) == params.config)

# %% [markdown]
# Writing is as short. Now we can make any checkpoint, also a damaged one.


# %%
def write_safetensors(arrays, path, metadata=None):
    types = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<u2": "BF16"}
    header, offset = {"__metadata__": metadata or {}}, 0
    for name, array in arrays.items():
        places = [offset, offset + array.nbytes]
        header[name] = {"dtype": types[array.dtype.str], "shape": array.shape, "data_offsets": places}
        offset = places[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of 8 bytes
    numbers = b"".join(array.tobytes() for array in arrays.values())
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + numbers)


# %%
write_safetensors(arrays, folder / "mine.safetensors", metadata)
print("the package reads it:", are_equal(mt.flatten(mt.load(folder / "mine.safetensors")), arrays))

# %% [markdown]
# ## Precision
#
# Files are often in 16 bits, to be half as large. **float16** has 1 bit for the sign, 5 for the exponent and
# 10 for the fraction. **bfloat16** has 1, 8 and 7: it is the upper half of a float32, so it reaches as far
# ($10^{38}$; float16 ends at 65,504) and has fewer digits. NumPy has no bfloat16. But its bits can be read as
# whole numbers, shifted to the upper half, and taken as float32.


# %%
def from_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(x):
    bits = x.astype(np.float32).view(np.uint32)
    half = 0x7FFF + ((bits >> 16) & 1)  # a half of the last bit that is kept; ties become even
    return ((bits + half) >> 16).astype(np.uint16)


for x in (1.0, 0.1, 3e38):
    bits = to_bfloat16(np.array([x]))
    print(f"{x:<8g}{bits[0]:016b}   read back: {from_bfloat16(bits)[0]:g}")

# %% [markdown]
# We write the model in three types and load each file with the package. `mt.load` keeps float16, and makes
# float32 of bfloat16, which NumPy can compute with. `mt.save(params, path, dtype="float16")` writes float16
# directly.

# %%
halves = {name: array.astype("<f2") for name, array in arrays.items()}
shorter = {name: to_bfloat16(array) for name, array in arrays.items()}
files, loaded = {"F32": arrays, "F16": halves, "BF16": shorter}, {}
for kind, each in files.items():
    file = folder / f"{kind}.safetensors"
    write_safetensors(each, file, metadata)
    loaded[kind] = mt.load(file)
    print(f"{kind:<6}{file.stat().st_size / 1000:>8,.0f} kB, loaded as {loaded[kind].encoder.cls.dtype}")
mine = {name: from_bfloat16(array) for name, array in files["BF16"].items()}
print("bfloat16: as the package's:", are_equal(mine, mt.flatten(loaded["BF16"])))

# %% [markdown]
# What does the precision of the file do to the results? We compute in float32 and compare the matching
# scores $z$ of 64 clips. The packaged model is stored in float16, so float16 loses nothing here; bfloat16
# does, but not enough to change a match.

# %%
clips = mt.ShapesWorld(params.config, split="held_out").sample(np.random.default_rng(7), 64)


def score(params):
    return mt.score_matches(mt.to_backend(params, "numpy", dtype="float32"), clips.video, clips.audio)


for kind, each in loaded.items():
    z = score(each)
    difference = np.abs(z - score(params)).max()
    print(f"{kind:<6}z differ by more than 0.01: {difference > 0.01!s:<7}matches: {np.sum(z > 0)} of 64")

# %% [markdown]
# ## Four programs, four sets of names
#
# Every program has its own names for the same arrays. `mt.to_huggingface` and `mt.to_original` write those
# of transformers and of the authors' code. `mt.load_any` reads them all. All names stand in one table, in
# [names.py](../minitvlt/checkpoints/names.py). A warning says what the other program will do differently
# with the file; it is printed as the last lines.

# %%
import contextlib
import warnings

with contextlib.chdir(folder), warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    hub = folder / mt.to_huggingface(params, "hub")  # a folder
original = mt.to_original(params, folder / "original.safetensors")
print("the folder:", *sorted(file.name for file in hub.iterdir()))
theirs, _ = read_safetensors(hub / "model.safetensors")
released, _ = read_safetensors(original)
print(f"arrays here: {len(arrays)}, in transformers: {len(theirs)}, in the authors' code: {len(released)}")
print(*str(caught[0].message).split(";"), sep="\n  ")

# %%
from minitvlt.checkpoints.names import RELEASED, TRANSFORMERS, translate_name

block = "encoder.blocks.0."
names = ["encoder.cls", "encoder.video_patches.weight", "encoder.video_positions.space"]
names += [block + rest for rest in ("attention_norm.weight", "attention.qkv.weight", "mlp.expand.weight")]
for name in names:
    print(f"{name}  {arrays[name].shape}")
    for title, layout, file in (("transformers", TRANSFORMERS, theirs), ("original", RELEASED, released)):
        for there in translate_name(layout, name):
            print(f"    {title:<14}{there}  {file[there].shape}")

# %% [markdown]
# More differs than the names: transformers stores query, key and value apart; the projection of patches is a
# convolution in both; and tables have an axis of length 1 in front. You convert the first two.

# %% [markdown]
# ## Query, key and value
#
# Here the three maps of attention are the rows of one matrix, first the queries, then the keys, then the
# values. `split_qkv` and `join_qkv` translate one block, names included.


# %%
def split_qkv(ours, block):
    theirs = {}
    for kind in ("weight", "bias"):
        parts = np.split(ours[f"encoder.blocks.{block}.attention.qkv.{kind}"], 3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            theirs[f"tvlt.encoder.layer.{block}.attention.attention.{name}.{kind}"] = part
    return theirs


def join_qkv(theirs, block):
    prefix, ours = f"tvlt.encoder.layer.{block}.attention.attention", {}
    for kind in ("weight", "bias"):
        parts = [theirs[f"{prefix}.{name}.{kind}"] for name in ("query", "key", "value")]
        ours[f"encoder.blocks.{block}.attention.qkv.{kind}"] = np.concatenate(parts)
    return ours


# %%
split, joined = split_qkv(arrays, 2), join_qkv(theirs, 2)
print("split: as the package's:", all(np.array_equal(part, theirs[name]) for name, part in split.items()))
print("joined: as ours:", all(np.array_equal(part, arrays[name]) for name, part in joined.items()))

# %% [markdown]
# ## Convolution and linear map
#
# A convolution whose stride is the size of its kernel cuts an image into patches and applies the same linear
# map to each. Its weight has the shape $(D, C, p, q)$. Here patches are rows in the order row, column,
# channel ([02](02_patches.ipynb)), so the channels have to move to the end.


# %%
def flatten_convolution(weight):
    return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)


name = "tvlt.pixel_embeddings.patch_embeddings.projection.weight"
right = flatten_convolution(theirs[name])
wrong = theirs[name].reshape(right.shape)  # without the transposition
print("as the package's:", np.array_equal(right, arrays["encoder.video_patches.weight"]))
print("shapes:", theirs[name].shape, right.shape, wrong.shape)

# %% [markdown]
# Without the transposition the shape is the same, and no check of shapes notices. The figure shows what
# happens to the order. Instead of weights it takes six frames, in the layout of a convolution (channel, row,
# column), and reads them as rows of (row, column, channel): above with the transposition, below without.

# %% tags=["thumbnail"]
from helpers.diagrams import new_axes, use_style

use_style()
figure, axes = new_axes(2, 6, (11, 4))
for number, image in enumerate(clips.video[:6, 1]):  # (3, 24, 24)
    readings = flatten_convolution(image[None]), image.reshape(1, -1)
    for row, reading in enumerate(readings):
        one = axes[6 * row + number]
        one.imshow(0.5 + 0.5 * reading.reshape(24, 24, 3))
        one.set(xticks=[], yticks=[])
show(figure, "Six frames with a coloured shape, and below them the same numbers as nine small shapes each.")

# %% [markdown]
# What a test of shapes does not find, a test of results does.

# %%
from dataclasses import replace


def with_patches(weight):
    patches = replace(params.encoder.video_patches, weight=weight)
    return replace(params, encoder=replace(params.encoder, video_patches=patches))


for title, weight in (("right", right), ("wrong", wrong)):
    print(f"{title}: {np.sum(score(with_patches(weight)) > 0)} of 64 true pairs are called a match")

# %% [markdown]
# ## Whose file is it?
#
# A file does not say which program wrote it, but its names do. There is an array that every model must have,
# the projection of video patches, and each program has another name for it. `mt.load_any` looks for these
# names, with or without a prefix.

# %%
ANCHORS = {
    "encoder.video_patches.weight": "minitvlt",
    "pixel_embeddings.patch_embeddings.projection.weight": "transformers",
    "patch_embed_v.proj.weight": "original",
    "patch_embed.proj.weight": "mae",
}


def guess_format(names):
    ends = [f".{name}" for name in names]
    return next((kind for key, kind in ANCHORS.items() if any(end.endswith(f".{key}") for end in ends)), None)


# %%
from minitvlt.checkpoints import detect

for file in (path, hub / "model.safetensors", original):
    mine = guess_format(read_safetensors(file)[0])
    print(f"{mine:<14}as the package's: {mine == detect.guess_format(file)}")

# %% [markdown]
# On the command line, `minitvlt info` says what a checkpoint holds. The cell runs the command in the
# temporary folder and prints the beginning and the list of parts; the whole output lists every setting and
# every array.

# %%
import io

from minitvlt.commands.main import main


def run_command(*words):
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        main(list(words))
    return [line[:100] for line in printed.getvalue().splitlines()]


lines = run_command("info", "original.safetensors", "--heads", "4", "--decoder-heads", "4")
parts = lines.index("parts")
print(*lines[:6], "  …", *lines[parts : parts + 4], "  …", lines[-1], sep="\n")

# %% [markdown]
# Why `--heads`? A file of the authors' code holds no configuration. Widths, layers and patches follow from
# shapes; heads do not, and the reader assumes heads of width 64, as in the published model.
# `mt.from_original` takes the same settings as arguments. Without them this file is read as a model with one
# head: no error, and another function.

# %%
heads = {"num_attention_heads": 4, "decoder_num_attention_heads": 4}
for title, given in (("without", {}), ("with", heads)):
    again = mt.from_original(original, **given)
    same = are_equal(mt.flatten(again), arrays), np.allclose(score(again), score(params), atol=1e-3)
    print(f"{title} heads: the same arrays: {same[0]}, the same scores: {same[1]}")

# %% [markdown]
# Everything else that is not in the file gets the value of `mt.Config.original()`. These are the settings in
# which the authors' code differs from transformers: how frames are chosen and cropped, how audio is padded,
# in which order the tokens are. Each is a field of `mt.Config`, so both programs can be reproduced.

# %%
transformers = mt.Config.huggingface().to_dict()
print(f"{'':<22}{'original':<18}transformers")
for name, value in mt.Config.original().to_dict().items():
    if value != transformers[name]:
        print(f"{name:<22}{value!s:<18.12}{transformers[name]}")

# %% [markdown]
# So one function reads all of these files, and gives the same arrays.

# %%
with warnings.catch_warnings(action="ignore"):  # the warning about transformers, as above
    found = [mt.load_any(file, **given) for file, given in ((path, {}), (hub, {}), (original, heads))]
print("the same arrays:", *(are_equal(mt.flatten(each), arrays) for each in found))

# %% [markdown]
# ## Read, left over, missing
#
# A reader compares two sets of names: those in the file, and those that the model needs. It has to report
# three lists.


# %%
def sort_names(needed, there):
    read, missing, left_over = needed & there, needed - there, there - needed
    return sorted(read), sorted(missing), sorted(left_over)


needed = set(released)
prefixed = {f"transformer.{name}" for name in needed}
for title, there in (("the file", needed), ("with a prefix", prefixed), ("and a step", needed | {"step"})):
    print(f"{title:<16}read, missing, left over:", *(len(part) for part in sort_names(needed, there)))

# %% [markdown]
# The second line is a common mistake. Training programs wrap a model, and all names get a prefix. A reader
# that takes what fits and ignores the rest (in PyTorch `load_state_dict(..., strict=False)`) then reads
# nothing, and training starts from random parameters without any message. The package removes a common
# prefix, raises an error where something is missing, and warns where something is left over.

# %%
damaged = {
    "with a prefix": {f"transformer.{name}": array for name, array in released.items()},
    "and a step": released | {"global_step": np.zeros(1)},
    "without a norm": {name: array for name, array in released.items() if name != "norm.bias"},
    "other shape": released | {"norm.bias": np.zeros(63)},
    "not a number": released | {"norm.bias": np.full(64, np.nan)},
}

# %%
for title, each in damaged.items():
    write_safetensors(each, folder / "file.safetensors")
    with contextlib.chdir(folder), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            mt.from_original("file.safetensors", **heads)
            said = f"read, with a warning: {caught[0].message}" if caught else "read"
        except ValueError as error:
            said = f"error: {error}"
    print(f"{title:<16}{said}")

# %% [markdown]
# ## From an image model: MAE
#
# The authors of TVLT did not start from random parameters, but from a **masked autoencoder** that was trained
# on images (He et al., 2021). It has no audio, so a part of the model has to be initialised. We make a small
# file with its names: `patch_embed.proj` instead of `patch_embed_v.proj`, and so on. In its position tables,
# row 0 belongs to `cls`.

# %%
NAMES = {"patch_embed_v.proj": "patch_embed.proj", "pos_embed_v": "pos_embed", "mask_token_v": "mask_token"}
NAMES |= {"decoder_pos_embed_v": "decoder_pos_embed", "mae_score_video.decoder": "decoder_pred"}
SHARED = ("cls_token", "blocks", "norm", "decoder_embed", "decoder_blocks", "decoder_norm")
mae = {}
for name, array in released.items():
    stem, _, kind = name.rpartition(".") if name.endswith((".weight", ".bias")) else (name, "", "")
    if stem in NAMES:
        mae[".".join(filter(None, (NAMES[stem], kind)))] = array
    elif name.split(".")[0] in SHARED:
        mae[name] = array
for name in ("pos_embed", "decoder_pos_embed"):
    mae[name] = np.concatenate([np.full_like(mae[name][:, :1], 0.5), mae[name]], axis=1)
write_safetensors(mae, folder / "mae.safetensors")

# %% [markdown]
# `mt.from_mae` reads such a file. `read_any` of [detect.py](../minitvlt/checkpoints/detect.py) does the same,
# and also returns the names of the parameters that are randomly initialised, `drawn`. `minitvlt info` prints
# them too.

# %%
start = mt.from_mae(folder / "mae.safetensors", seed=0, **heads)
found = detect.read_any(folder / "mae.safetensors", **heads)
ours = mt.flatten(found.params)
print("the same model:", are_equal(mt.flatten(start), ours))
print(f"{len(ours) - len(found.drawn)} arrays read, {len(found.drawn)} randomly initialised:")
for part in ("encoder", "decoder", "matching"):
    print(f"  {part}:", *(name.partition(".")[2] for name in found.drawn if name.startswith(part)))

# %% [markdown]
# What concerns audio is randomly initialised, and so is what distinguishes frames and modalities. The blocks
# are read: they are the same for any tokens. TVLT adds no position to `cls`, so row 0 of the table is added
# to `cls` itself.

# %%
cls = mae["cls_token"][0, 0] + mae["pos_embed"][0, 0]
print("cls with its position: as the package's:", np.allclose(cls, start.encoder.cls))

# %% [markdown]
# One more thing has to be converted. The inputs of TVLT are pixels $x$ in [-1, 1]. Those of the MAE were
# pixels in [0, 1] minus their mean $\mu$ over ImageNet, divided by their standard deviation $\sigma$, for
# each of red, green and blue:
#
# $$\frac{(x + 1) / 2 - \mu}{\sigma} = \frac{x}{2 \sigma} + \frac{1 / 2 - \mu}{\sigma}$$
#
# This is a linear map, and the projection of patches $A u + b$ is another one. So both can be one map with
# another $A$ and another $b$.

# %%
from minitvlt.checkpoints.released import IMAGENET_DEVIATION, IMAGENET_MEAN


def fold_pixels(A, b):
    by_pixel = A.reshape(len(A), -1, 3)  # (D, p q, 3)
    shift = (by_pixel * ((0.5 - IMAGENET_MEAN) / IMAGENET_DEVIATION)).sum(axis=(1, 2))
    return (by_pixel / (2 * IMAGENET_DEVIATION)).reshape(A.shape), b + shift


# %%
A, b = flatten_convolution(mae["patch_embed.proj.weight"]), mae["patch_embed.proj.bias"]
folded = fold_pixels(A, b)
u = np.random.default_rng(0).uniform(-1, 1, 432)  # a patch of 12 x 12 pixels in [-1, 1]
normalised = ((u.reshape(-1, 3) + 1) / 2 - IMAGENET_MEAN) / IMAGENET_DEVIATION
print("one map for both:", np.allclose(A @ normalised.ravel() + b, folded[0] @ u + folded[1], atol=1e-5))
print("as the package's:", np.allclose(folded[0], start.encoder.video_patches.weight, atol=1e-6))

# %% [markdown]
# ## Position tables of another size
#
# A position table has one row for each position, so it fixes the number of patches. For another number it
# is **interpolated**: $n$ new rows are spread over the same range as the old ones, and each is the weighted
# mean of its two neighbours. It is the resizing of an image ([11](11_the_real_thing.ipynb)), with the rows
# of the table as pixels.


# %%
def interpolate_rows(table, n):
    rows = len(table)
    place = np.clip((np.arange(n) + 0.5) * rows / n - 0.5, 0, rows - 1)  # of the new rows among the old
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(rows)))  # (n, rows)
    return np.tensordot(weights, table, 1)


def interpolate_grid(table, old, new):
    grid = interpolate_rows(table.reshape(*old, -1), new[0])  # (new rows, old columns, D)
    grid = interpolate_rows(np.swapaxes(grid, 0, 1), new[1])  # (new columns, new rows, D)
    return np.swapaxes(grid, 0, 1).reshape(new[0] * new[1], -1)


# %%
from minitvlt.model.tvlt import interpolate_positions, video_position_embedding

positions = params.encoder.video_positions
rows = interpolate_rows(positions.time, 7)
print("rows: as the package's:", np.allclose(rows, interpolate_positions(positions.time, 7), atol=1e-6))
grid = interpolate_grid(positions.space, (2, 2), (3, 4)) + positions.time[0] + positions.modality
whole = video_position_embedding(positions, params.config, (1, 1, 3, 36, 48))
print("grid: as the package's:", np.allclose(grid, whole, atol=1e-6))

# %% [markdown]
# The left panel shows five features of the table of frame positions, with three rows, as dots, and the same
# interpolated to seven rows as lines. The right panel shows what the model makes of clips with more frames:
# how many of 64 true pairs it calls a match. It was trained with three frames only.

# %%
counts, matches = (3, 4, 6, 9, 12), []
for count in counts:
    longer = mt.ShapesWorld(params.config.replace(num_frames=count), split="held_out")
    each = longer.sample(np.random.default_rng(7), 64)
    matches.append(np.sum(mt.score_matches(params, each.video, each.audio) > 0))
figure, (left, other) = new_axes(1, 2, (11, 3.2), titles=("table of frame positions", "more frames"))
left.plot((np.arange(7) + 0.5) / 7, rows[:, :5], linewidth=1.5)
left.set_prop_cycle(None)
left.plot((np.arange(3) + 0.5) / 3, positions.time[:, :5], "o")
left.set(xlabel="position in the clip", ylabel="value")
other.plot(counts, matches, "o-", color=VIDEO_COLOUR)
other.set(xlabel="frames", ylabel="matches of 64", ylim=(0, 66), xticks=counts)
show(figure, "Left: lines through three dots each. Right: the number of matches for 3 to 12 frames.")

# %%
print("three frames:", matches[0] > 56, "  all of the others still above one half:", min(matches) > 32)

# %% [markdown]
# A longer table is a starting point for fine-tuning, not a replacement for training. For audio, shorter clips
# use the first rows, and only longer ones interpolate.

# %% [markdown]
# ## Large checkpoints
#
# Large models are stored in several files, the **shards**. A file `model.safetensors.index.json` says in
# which shard each array is. We split our folder in two and read it.


# %%
def read_shards(index):
    files = json.loads(index.read_text())["weight_map"]  # {name: file}
    shards = {file: read_safetensors(index.parent / file)[0] for file in set(files.values())}
    return {name: shards[file][name] for name, file in files.items()}


# %%
sharded, places = folder / "sharded", {}
sharded.mkdir()
for file in ("config.json", "preprocessor_config.json"):
    (sharded / file).write_bytes((hub / file).read_bytes())
for number in (0, 1):
    file = f"model-0000{number + 1}-of-00002.safetensors"
    part = dict(list(theirs.items())[number::2])
    write_safetensors(part, sharded / file, {"format": "pt"})
    places |= dict.fromkeys(part, file)
index = sharded / "model.safetensors.index.json"
_ = index.write_text(json.dumps({"weight_map": places}))

# %%
with warnings.catch_warnings(action="ignore"):  # the warning about processing, as above
    from_shards = mt.from_huggingface(sharded)
print("as the whole file:", are_equal(read_shards(index), theirs))
print("the package reads it:", are_equal(mt.flatten(from_shards), arrays))

# %% [markdown]
# ## Safety
#
# Files with the suffixes `.ckpt`, `.pth` and `.bin` are mostly written by `torch.save`. They contain a
# **pickle**, which is a program: reading it calls functions that the file names. This one calls `print`. It
# could as well delete your files.

# %%
import pickle


class Surprise:
    """An object whose pickle calls a function"""

    def __reduce__(self):
        return print, ("this was printed by a file",)


harmful = pickle.dumps({"cls_token": Surprise()}, protocol=2)  # the one that PyTorch uses
loaded_object = pickle.loads(harmful)

# %% [markdown]
# A pickle can be looked at without running it. The standard library lists its instructions: `GLOBAL` fetches
# a function by its name (in newer pickles `STACK_GLOBAL`, by the two texts before it), and `REDUCE` calls it.
# Tensors need a few functions as well, so a reader needs a short list of what is allowed.


# %%
import pickletools


def list_functions(data):
    words, functions = [], []
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("GLOBAL", "STACK_GLOBAL"):
            functions.append(argument or " ".join(words[-2:]))
        elif isinstance(argument, str):
            words.append(argument)
    return functions


print("harmful:", list_functions(harmful))
print("numbers:", list_functions(pickle.dumps({"cls_token": [0.5, 0.25]})))

# %% [markdown]
# What `torch.save` writes is a zip file with a pickle in it, and the numbers beside it. Its pickle calls the
# following functions.

# %% tags=["needs-torch"]
import zipfile

try:
    import torch

    torch.save({"cls_token": torch.ones(64)}, folder / "tensors.ckpt")
    with zipfile.ZipFile(folder / "tensors.ckpt") as archive:
        (file,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        print("tensors:", list_functions(archive.read(file)))
except ImportError:
    print("not shown: it takes torch")

# %% [markdown]
# PyTorch has a list of what is allowed: `torch.load(path, weights_only=True)`. The package reads pickles in
# no other way. Where PyTorch is missing, it says so, and safetensors are still read.

# %% tags=["needs-torch"]
(folder / "harmful.ckpt").write_bytes(harmful)
with contextlib.chdir(folder):
    try:
        mt.load_any("harmful.ckpt")
    except ValueError as error:
        print(error)

# %% [markdown]
# A safetensors file contains no program. It can still be wrong: cut off, with wrong offsets, or without a
# header. And the index of a folder may name files elsewhere on the disk. A reader for files of others has to
# check all of this; ours does not, the package does.

# %%
whole = (folder / "mine.safetensors").read_bytes()
other = whole.replace(b'"data_offsets": [0,', b'"data_offsets": [9,')
for title, data in (("cut off", whole[: len(whole) // 2]), ("wrong offset", other), ("no header", whole[:5])):
    (folder / "broken.safetensors").write_bytes(data)
    try:
        mt.load(folder / "broken.safetensors")
        print(f"{title:<14}read")
    except ValueError:
        print(f"{title:<14}refused")

# %% [markdown]
# ## Converting
#
# `minitvlt convert` reads any of the formats and writes another one; the suffix of the target says which. It
# prints what the target cannot hold; here the lines are cut after 100 characters.

# %%
for target in ("as-folder", "as-original.safetensors"):
    kind = ("--to", "original") if "." in target else ()
    print(*run_command("convert", "model.safetensors", target, *kind), sep="\n", end="\n\n")

# %% [markdown]
# Is the model in transformers the same? Where transformers 4.40.2 and PyTorch are installed, this cell loads
# the converted folder there, and compares the outputs for the same clip.

# %% tags=["needs-transformers", "needs-torch"]
one = clips.video[:1], clips.audio[:1]
try:
    with warnings.catch_warnings(action="ignore"):
        import torch
        from transformers import TvltModel, logging

        logging.set_verbosity_error()
        there = TvltModel.from_pretrained(hub).eval()
    with torch.no_grad():
        output = there(*(torch.from_numpy(array) for array in one)).last_pixel_hidden_state.numpy()
    print("as in transformers:", np.abs(output - mt.forward(params, *one).video).max() < 1e-4)
except (ImportError, OSError):
    print("not compared: it takes torch and transformers==4.40.2")

# %% [markdown]
# ## Try it
#
# Write your answer before you unfold ours. The code of the answers runs after the cells above.
#
# **1. Code. A file of several gigabytes shall be described without reading its numbers. Print the number of
# parameters and the types.**
#
# <details><summary>Answer</summary>
#
# The header is enough, and it is at the beginning.
#
# ```python
# with open(path, "rb") as stream:
#     header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
# header.pop("__metadata__")
# count = sum(np.prod(entry["shape"], dtype=int) for entry in header.values())
# print(f"{count:,} parameters,", *{entry["dtype"] for entry in header.values()})
# assert count == sum(array.size for array in arrays.values())
# ```
#
# </details>

# %% [markdown]
# **2. Code. Change the model: exchange heads 0 and 3 of block 0, first only in `qkv`, then also in the
# columns of the output projection. Predict for both whether the scores change.**
#
# <details><summary>Answer</summary>
#
# Heads are computed independently, and the output projection reads their results by place. If only `qkv`
# is permuted, each result is read by the weights of another head, and the scores change. If the columns are
# permuted in the same way, the function is the same. So different arrays can be the same model.
#
# ```python
# order = np.arange(64).reshape(4, 16)[[3, 1, 2, 0]].ravel()
# old = params.encoder.blocks[0].attention
# rows = np.concatenate([order, 64 + order, 128 + order])
# qkv = replace(old.qkv, weight=old.qkv.weight[rows], bias=old.qkv.bias[rows])
# output = replace(old.output, weight=old.output.weight[:, order])
#
# def with_attention(attention):
#     blocks = (replace(params.encoder.blocks[0], attention=attention), *params.encoder.blocks[1:])
#     return score(replace(params, encoder=replace(params.encoder, blocks=blocks)))
#
# half, both = with_attention(replace(old, qkv=qkv)), with_attention(replace(old, qkv=qkv, output=output))
# assert np.abs(half - score(params)).max() > 0.1 and np.allclose(both, score(params), atol=1e-3)
# ```
#
# </details>

# %% [markdown]
# **3. Code. Some programs store the rows of `qkv` head by head: query, key and value of head 0, then of
# head 1, and so on. Write the conversion. Would a check of shapes notice that it is missing?**
#
# <details><summary>Answer</summary>
#
# No: both have the shape $(3 D, D)$. Only results show it.
#
# ```python
# def from_head_by_head(weight, heads):
#     D = weight.shape[1]
#     return weight.reshape(heads, 3, D // heads, D).swapaxes(0, 1).reshape(3 * D, D)
#
# ours = arrays["encoder.blocks.0.attention.qkv.weight"]
# stored = ours.reshape(3, 4, 16, 64).swapaxes(0, 1).reshape(192, 64)
# assert stored.shape == ours.shape and not np.array_equal(stored, ours)
# assert np.array_equal(from_head_by_head(stored, 4), ours)
# ```
#
# </details>

# %% [markdown]
# **4. Code. In each MLP, the order of the hidden units can be changed as that of the heads in question 2. Do
# both in all blocks. The copy computes the same. Predict how many true pairs the mean of the model and its
# copy calls a match.**
#
# <details><summary>Answer</summary>
#
# The copy has the same scores, but the mean adds parameters of units that have nothing to do with each other,
# and loses many matches. Averaging checkpoints is only useful if their units correspond, for instance for
# two checkpoints of the same training.
#
# ```python
# rng, blocks = np.random.default_rng(0), []
# for block in params.encoder.blocks:
#     old, mlp = block.attention, block.mlp
#     order = np.arange(64).reshape(4, 16)[rng.permutation(4)].ravel()
#     rows, units = np.concatenate([order, 64 + order, 128 + order]), rng.permutation(128)
#     qkv = replace(old.qkv, weight=old.qkv.weight[rows], bias=old.qkv.bias[rows])
#     attention = replace(old, qkv=qkv, output=replace(old.output, weight=old.output.weight[:, order]))
#     expand = replace(mlp.expand, weight=mlp.expand.weight[units], bias=mlp.expand.bias[units])
#     contract = replace(mlp.contract, weight=mlp.contract.weight[:, units])
#     mlp = replace(mlp, expand=expand, contract=contract)
#     blocks.append(replace(block, attention=attention, mlp=mlp))
# copy = replace(params, encoder=replace(params.encoder, blocks=tuple(blocks)))
# mean = mt.map_tree(lambda x, y: (x + y) / 2, params, copy)
# print("copy:", np.sum(score(copy) > 0), "  mean:", np.sum(score(mean) > 0), "of 64")
# assert np.allclose(score(copy), score(params), atol=1e-3) and np.sum(score(mean) > 0) < 50
# ```
#
# </details>

# %% [markdown]
# **5. A checkpoint of the authors' code comes without a configuration. Which settings follow from shapes, and
# which must be known?**
#
# <details><summary>Answer</summary>
#
# From shapes: widths, layers, patch sizes, channels, the number of patches in a frame, of rows in tables, and
# of labels. Which heads and tasks there are follows from the names. To be known: the number of attention
# heads, $\varepsilon$ of LayerNorm, the order of tokens, everything about the processing of clips (sample
# rate, hop length, how frames are cropped), and mask ratios. `mt.from_original` takes them from
# `mt.Config.original()`.
#
# </details>

# %% [markdown]
# ## Recap
#
# A checkpoint is named arrays and a configuration. Between programs, names and layouts differ: query, key and
# value in one array or in three, patches as a convolution or as a linear map, the normalisation of pixels.
# Wrong layouts have right shapes, so a conversion is checked by its results. A reader reports what it
# read, what it left over and what was initialised. Position tables are interpolated for other sizes. Pickles
# are programs, and are read with `weights_only=True` or not at all.

# %% [markdown]
# ## References
#
# - Hugging Face, *Safetensors*, [the format](https://huggingface.co/docs/safetensors): header and offsets.
# - K. He et al., *Masked autoencoders are scalable vision learners*, 2021,
#   [arXiv:2111.06377](https://arxiv.org/abs/2111.06377): the model that TVLT starts from.
# - A. Dosovitskiy et al., *An image is worth 16x16 words*, 2020,
#   [arXiv:2010.11929](https://arxiv.org/abs/2010.11929): section 3.2, interpolation of position embeddings.
# - D. Kalamkar et al., *A study of BFLOAT16 for deep learning training*, 2019,
#   [arXiv:1905.12322](https://arxiv.org/abs/1905.12322).

# %% [markdown]
# ## Where to go on
#
# [11](11_the_real_thing.ipynb) uses a checkpoint on a film, [08](08_using_the_model.ipynb) fine-tunes one.
# The readers are in [released.py](../minitvlt/checkpoints/released.py),
# [huggingface.py](../minitvlt/checkpoints/huggingface.py) and
# [native.py](../minitvlt/checkpoints/native.py). What every class and argument of transformers is called here
# is listed in [from_transformers.md](from_transformers.md). All notebooks are in the [overview](README.md).
