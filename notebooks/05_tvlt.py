# %% [markdown]
# # 05 · TVLT
#
# Patches, positions and a transformer are at hand; this notebook joins them to the whole model. Two senses
# become one sequence, one encoder reads it, and two small heads make something of it. Then we count: how many
# numbers are there to learn, and how many multiplications does a clip cost?
#
# **You will be able to** run TVLT step by step, say what each part is for, count the parameters and the
# arithmetic of any size on the back of an envelope, and read the configuration of the published model.
#
# **Time to run:** about five seconds. **Before this:** patches ([02](02_patches.ipynb)), masking
# ([03](03_masking.ipynb)) and the transformer block ([04](04_attention.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that this notebook lies in.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## Two senses in one sequence
#
# A clip has `Nv` tokens of video and `Na` tokens of sound, all of width `D`. TVLT lays them end to end behind
# one more, `cls`, which belongs to neither. We write $z^{\text{video}}$ and $z^{\text{sound}}$ for the tokens
# of notebook 02, in which each patch already knows its place, its moment and its sense:
#
# $$x^{(0)} = \bigl[\, \text{cls}; \; z^{\text{video}}; \; z^{\text{sound}} \,\bigr]$$
#
# So $x^{(0)}$ has the shape `(B, N, D)` for `B` clips, with $N = 1 + N_v + N_a$ rows for each. Here it is by
# hand, for four clips of the small world.

# %%
import numpy as np

from helpers.notebook import show, show_source
from minitvlt.model.tvlt import embed_audio, embed_video, match

params = mt.load("shapes-small")
config, encoder = params.config, params.encoder
clips = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(4), 4)
z_video = embed_video(encoder, config, clips.video)
z_sound = embed_audio(encoder, config, clips.audio)
cls = np.broadcast_to(encoder.cls, (4, 1, config.hidden_size))
x = np.concatenate([cls, z_video, z_sound], axis=1)
print("cls", cls.shape, "+ video", z_video.shape, "+ sound", z_sound.shape, "=", x.shape)

# %% [markdown]
# The encoder applies its blocks one after the other, and a last norm. Every block is the one of notebook 04:
#
# $$x^{(l + 1)} = \operatorname{block}_l\bigl(x^{(l)}\bigr)$$
#
# and after the last of $L$ blocks
#
# $$h = \operatorname{norm}\bigl(x^{(L)}\bigr)$$

# %%
from minitvlt.model.transformer import run_block, run_norm

for block in encoder.blocks:
    x = run_block(x, block, config.num_attention_heads, config.layer_norm_eps)
h = run_norm(x, encoder.norm, config.layer_norm_eps)
out = mt.forward(params, clips.video, clips.audio)
print("as mt.forward says:", np.allclose(h, out.sequence, atol=1e-4))
print("cls", out.cls.shape, " video", out.video.shape, " sound", out.audio.shape)

# %% [markdown]
# That is all of the encoder. There is no part for video and no part for sound beyond the two linear maps of
# the patches and the tables of positions. Nobody tells it in which order to bring the senses together,
# either: any token may look at any other, in every block.

# %% [markdown]
# ## Do the senses meet?
#
# They may look at each other; do they? Row $i$ of an attention map says how token $i$ shares its attention
# among all tokens. We add up what falls on the other sense, and take the mean over clips, heads and the rows
# of one sense.

# %%
maps = mt.forward(params, clips.video, clips.audio, return_attention=True).attention
video, sound = slice(1, 13), slice(13, 19)  # which tokens are which
to_sound = [each[:, :, video, sound].sum(axis=-1).mean() for each in maps]
to_video = [each[:, :, sound, video].sum(axis=-1).mean() for each in maps]
print("attention of sound to video in the first block:", f"{to_video[0]:.1f}")

# %% [markdown]
# The picture shows both shares for every block. The dotted lines are what they would be if every token looked
# at all 19 alike: 12 of these are video, 6 are sound. In each block, much of what a sense gathers comes from
# the other. Being one sequence, the two never need a place where they are joined: they are joined all along.

# %%
from helpers.diagrams import draw_flow, new_axes, use_style
from minitvlt.views.figures import AUDIO_COLOUR, NEUTRAL_COLOUR, VIDEO_COLOUR

use_style()
numbers = np.arange(1, len(maps) + 1)
figure, (axes,) = new_axes(size=(8, 3.4), x="block", y="share of attention")
axes.plot(numbers, to_video, "o-", color=AUDIO_COLOUR, label="sound looks at video")
axes.plot(numbers, to_sound, "s-", color=VIDEO_COLOUR, label="video looks at sound")
axes.axhline(12 / 19, color=AUDIO_COLOUR, linestyle=":", linewidth=1.5)
axes.axhline(6 / 19, color=VIDEO_COLOUR, linestyle=":", linewidth=1.5)
axes.set(ylim=(0, 1), xticks=numbers)
axes.legend(ncols=2, loc="upper center")
show(figure, "Two curves over the blocks: the share of attention that each sense gives to the other.")

# %% [markdown]
# ## Two heads
#
# **Does this sound belong to this video?** A head reads `cls` alone, by a linear map with weights $P$ and
# $\beta$, a tanh and a second linear map with one row $w$ and the number $b$. The tanh keeps each number
# between -1 and 1:
#
# $$z = w \cdot \tanh(P \, h_{\text{cls}} + \beta) + b$$
#
# The larger $z$ is, the surer the model is of a match ([00](00_quickstart.ipynb)).

# %%
pooler, score = params.matching.pooler, params.matching.score
by_hand = np.tanh(out.cls @ pooler.weight.T + pooler.bias) @ score.weight[0] + score.bias[0]
print("as the package says:", np.allclose(by_hand, match(params.matching, out.cls), atol=1e-4))
print("all four are matches:", bool((by_hand > 0).all()))

# %% [markdown]
# **What was hidden?** Here the encoder is shown only the kept tokens. A smaller transformer, the decoder,
# gets its answers back in their places, a mask token in all others, and positions of its own. It runs on each
# sense alone: whatever it needs to know of the other sense must have been gathered by the encoder. The source
# takes these steps one after the other, for video and for sound.

# %%
from minitvlt.model.pretraining import predict_patches

show_source(predict_patches)

# %% [markdown]
# The picture shows both ways through the model, with the shapes for our four clips. A patch has 432 numbers
# of video or 64 of sound. Of 12 + 6 tokens half are kept, which makes 10 with `cls`. Blue boxes hold video
# only, orange ones sound only, and what belongs to both is grey.

# %%
matching = "embed: 4 19 64 | 4 blocks: 4 19 64 | norm: 4 19 64 | take cls: 4 64 | tanh: 4 64 | score z: 4"
filling = "embed: 4 19 64 | keep half: 4 10 64 | 4 blocks: 4 10 64 | restore: 4 12 64"
filling += " | decode: 4 12 64 | patches: 4 12 432"
figure, axes = new_axes(3, 1, (11, 5.2), titles=("matching", "filling in, video", "filling in, sound"))
sound_too = filling.replace("4 12", "4 6").replace("432", "64")
rows = ((matching, [NEUTRAL_COLOUR] * 6), (filling, VIDEO_COLOUR), (sound_too, AUDIO_COLOUR))
for one, (steps, colour) in zip(axes, rows, strict=True):
    colours = [NEUTRAL_COLOUR] * 3 + [colour] * 3 if isinstance(colour, str) else colour
    draw_flow(one, [tuple(step.split(": ")) for step in steps.split(" | ")], colours)
show(figure, "Three rows of boxes with arrows: from tokens to a score, to patches of video, and of sound.")

# %% [markdown]
# The first three boxes of the lower two rows are the same ones, drawn twice: there is a single pass of the
# encoder over the kept tokens of both senses, and only then do the ways part.

# %% [markdown]
# ## Counting parameters
#
# A linear map from $n$ numbers to $m$ has $m n$ weights and $m$ biases. A block has four maps from $D$ to $D$
# (queries, keys, values, and the output of attention), one from $D$ to the width $W$ of the MLP and one back,
# and two norms with $2 D$ numbers each. Added up:
#
# $$P_{\text{block}} = 4 D^2 + 2 D W + 9 D + W$$

# %%
from minitvlt.backends import walk


def count(tree):
    return sum(array.size for _, array in walk(tree))  # every array of the tree, however deep


D, W = config.hidden_size, config.intermediate_size
print(
    "one block by the formula:", 4 * D**2 + 2 * D * W + 9 * D + W, " by counting:", count(encoder.blocks[0])
)
print("the whole model:", count(params))

# %% [markdown]
# The published model has the very same parts, only larger. `outline` lays out the tree of a configuration
# without filling it, so it can be counted in no time.

# %%
from minitvlt.model.parameters import outline

published = outline(mt.Config.original(), ("decoder", "matching", "classifier"))
for name in ("encoder", "decoder", "matching", "classifier"):
    print(f"{name:<11}{count(getattr(published, name)) / 1e6:7.2f} million")

# %% [markdown]
# The paper speaks of about 88 million for the encoder with a classifier, and of 114 million with the decoder:
# that is what we find. The bars show where they are, on the left in the published model and on the right in
# our small one. In a large model nearly everything is blocks; in a small one, the maps to and from patches
# weigh more.


# %%
def list_pieces(p):
    e, d = p.encoder, p.decoder
    return {
        "encoder blocks": e.blocks,
        "decoder blocks": d.blocks,
        "maps of patches": (e.video_patches, e.audio_patches, d.video_head, d.audio_head),
        "positions": (e.video_positions, e.audio_positions, d.video_positions, d.audio_positions),
        "matching head": p.matching,
    }


# %%
shares = {}
for title, model in (("published", published), ("small", params)):
    shares[title] = {name: 100 * count(part) / count(model) for name, part in list_pieces(model).items()}
    print(f"{title:<10}", ", ".join(f"{name} {share:.1f}%" for name, share in shares[title].items()))

# %%
figure, axes = new_axes(1, 2, (11, 3.4), titles=("published", "small"), x="share of the parameters (%)")
for one, of_pieces in zip(axes, shares.values(), strict=True):
    one.barh(list(of_pieces), list(of_pieces.values()), color=NEUTRAL_COLOUR)
    one.set(xlim=(0, 100))
    one.invert_yaxis()
axes[1].set_yticklabels([])
show(figure, "Bars of where the parameters are: nearly all in blocks, in the small model fewer.")

# %% [markdown]
# ## Counting arithmetic
#
# To multiply a matrix of the shape $(m, k)$ by one of the shape $(k, n)$, each of the $m n$ results takes $k$
# multiplications and $k$ additions. That makes
#
# $$F_{\text{product}} = 2 \, m \, k \, n$$
#
# floating-point operations, FLOPs.

# %% [markdown]
# In a block, $N$ tokens pass through linear maps with $4 D^2 + 2 D W$ weights. Attention multiplies queries
# by keys, $(N, D)$ by $(D, N)$ over all heads together, and weights by values, $(N, N)$ by $(N, D)$. All else
# is small beside these products. So
#
# $$F_{\text{block}} = 2 N (4 D^2 + 2 D W) + 4 N^2 D$$
#
# and to embed the patches, of $P_v$ and $P_a$ numbers, takes
#
# $$F_{\text{embed}} = 2 D (N_v P_v + N_a P_a)$$


# %%
def count_work(config, Nv, Na):
    D, W, L = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    Pv = config.num_image_channels * np.prod(config.image_patch_size)
    Pa = config.num_audio_channels * np.prod(config.audio_patch_size)
    N = 1 + Nv + Na
    maps, attention, embed = L * 2 * N * (4 * D**2 + 2 * D * W), L * 4 * N**2 * D, 2 * D * (Nv * Pv + Na * Pa)
    return {"linear maps": maps, "attention": attention, "embedding": embed}


# %%
from helpers.flops import count_flops

base = mt.Config()
work = count_work(base, 8 * 196, 1024 // 16 * 8)  # 8 frames of 196 patches; 1024 steps of sound, 8 bands
for name, operations in work.items():
    print(f"{name:<12}{operations / 1e9:7.1f} billion, {operations / sum(work.values()):4.0%}")
print(f"together    {sum(work.values()) / 1e9:7.1f} billion for a clip of {1024 * 512 / 44100:.0f} s")
counted = count_flops(base, "inference", batch=1, frames=8, steps=1024)
print("as helpers/flops.py counts:", sum(work.values()) == counted)
print(f"our small model needs {count_flops(config) / 1e6:.0f} million for a clip")

# %% [markdown]
# How many of these a machine computes in a second, and how near the model comes to that, is measured in
# [10](10_faster.ipynb).

# %% [markdown]
# The two parts of a block grow differently: linear maps with $N$, attention with $N^2$. They cost the same
# where $4 N^2 D = 2 N (4 D^2 + 2 D W)$, that is at
#
# $$N_{\text{equal}} = 2 D + W$$
#
# For $D = 768$ and $W = 3072$ this is 4608 tokens: longer sequences spend most of their time on attention.
# The picture shows both curves; the dotted line marks the 2081 tokens that we just counted, and the dashed
# one marks 4608. Both axes are logarithmic.

# %%
N, D, W = np.logspace(2, 5, 50), base.hidden_size, base.intermediate_size
figure, (axes,) = new_axes(size=(8, 3.4), x="tokens", y="billions of operations")
axes.loglog(N, 12 * 2 * N * (4 * D**2 + 2 * D * W) / 1e9, color="black", label="linear maps")
axes.loglog(N, 12 * 4 * N**2 * D / 1e9, "-.", color="gray", label="attention")
axes.axvline(2081, color="black", linestyle=":", linewidth=1.5)
axes.axvline(2 * D + W, color="black", linestyle="--", linewidth=1.5)
axes.legend()
show(figure, "Two rising lines; attention is below the linear maps up to 4608 tokens, and above them beyond.")

# %% [markdown]
# ## The published model
#
# `mt.Config()` is the published base model. Most of its values you know by now; here are those that give it
# its size, beside those of the small one.


# %%
def list_values(*names):
    for name in names:
        print(f"{name:<27}{getattr(base, name)!s:<14}{getattr(config, name)}")


print(f"{'':<27}{'published':<14}small")
list_values("image_size", "num_frames", "image_patch_size", "sample_rate", "hop_length")
list_values("spectrogram_length", "frequency_length", "audio_patch_size", "hidden_size")
list_values("num_hidden_layers", "num_attention_heads", "intermediate_size", "decoder_hidden_size")
list_values("decoder_num_hidden_layers", "pixel_mask_ratio", "audio_mask_ratio", "audio_mask_type")

# %% [markdown]
# There are three readings of "published", which differ in how they were trained and in details. `Config()` is
# the implementation in the library transformers; `Config.paper()` has the recipe of the paper;
# `Config.original()` does as the code does that the authors released. Weights of one fit into the others.

# %%
values = {name: getattr(mt.Config, name)().to_dict() for name in ("huggingface", "paper", "original")}
print(f"{'':<23}{'transformers':<16}{'paper':<16}released code")
for key in values["huggingface"]:
    row = [str(each[key]) for each in values.values()]
    if len({*row}) > 1:
        print(f"{key:<23}{row[0]:<16}{row[1]:<16}{row[2]}")

# %% [markdown]
# ## Why without text?
#
# The usual way from a film to an answer has a recogniser first, which writes down what is said, and then a
# model of pictures and text. The paper measured both ways for 8 frames and 20 seconds of sound: 2890 ms for
# the recogniser and 26 ms for the model that follows, against 60 ms for the spectrogram and 43 ms for TVLT.
# And the recogniser has to be stored: 283 million parameters against 88. The bars compare them.

# %% tags=["thumbnail"]
figure, (time, size) = new_axes(1, 2, (11, 2.8), titles=("time for a clip (ms)", "parameters (millions)"))
ways, quiet = ["with recogniser", "TVLT"], "#b4b8bd"
time.barh(ways, [2890, 60], color=quiet, label="before the model")
time.barh(ways, [26, 43], left=[2890, 60], color="black", label="the model")
time.legend(loc="lower right")
size.barh(ways, [283, 88], color=NEUTRAL_COLOUR)
size.set_yticks([])
for one in (time, size):
    one.invert_yaxis()
show(figure, "Bars: with a recogniser 2916 ms and 283 million parameters, TVLT 103 ms and 88 million.")

# %%
print(f"{(2890 + 26) / (60 + 43):.1f} times as fast, with {88 / 283:.2f} of the parameters")

# %% [markdown]
# ## Try it
#
# **1. Does `cls` have to stand first?**
#
# <details><summary>Answer</summary>
#
# No: attention treats its tokens as a set. The released code has sound before video (`token_order` in the
# list above), and the numbers that come out are the same, up to rounding, in another order. The order only
# has to be known to those who read `out.sequence`; `out.cls`, `out.video` and `out.audio` are cut right
# anyway.
#
# </details>

# %% [markdown]
# **2. What does `mt.forward(params, clips.video, None).cls` tell?**
#
# <details><summary>Answer</summary>
#
# The sequence is then 13 tokens long, and `cls` sums up what is seen. Nothing else changes, since nothing in
# the blocks knows how many tokens there are. Notebook 08 of the overview uses it.
#
# </details>

# %% [markdown]
# **3. How many parameters does the model gain if it gets sixteen frames instead of eight?**
#
# <details><summary>Answer</summary>
#
# Eight more rows in two tables, of the encoder and of the decoder: $8 \cdot (768 + 512) = 10240$.
# `count(outline(base.replace(num_frames=16))) - count(outline(base))` agrees. The work nearly doubles,
# though.
#
# </details>

# %% [markdown]
# **4. Halve the side of the video patches, to 8 by 8. What happens to parameters and work?**
#
# <details><summary>Answer</summary>
#
# The maps of patches shrink, since a patch has a quarter of its numbers, and the tables of places grow. Both
# hardly matter. But there are four times as many tokens of video, 6272, and
# `sum(count_work(base.replace(image_patch_size=8), 8 * 784, 512).values())` says that the work is more than
# five times as large: with 6785 tokens, attention has become the larger part.
#
# </details>

# %% [markdown]
# **5. What is the work of one training step, compared with that of looking once?**
#
# <details><summary>Answer</summary>
#
# On the way back each product $Y = X W$ needs two more, one for the gradient of $X$ and one for that of $W$
# (notebook 06). So a step takes about three times the forward pass. Here that is a pass over all tokens for
# matching, one over the kept ones for filling in, and the decoder's over both senses.
#
# </details>

# %% [markdown]
# ## Recap
#
# TVLT lays `cls`, the tokens of the video and those of the sound into one sequence and lets one transformer
# read it. From `cls` a small head tells whether the two belong together; from the kept tokens a smaller
# decoder fills in the others, each sense by itself. Nearly all parameters are in blocks, $4 D^2 + 2 D W$ in
# each, and each of these is multiplied once for every token; attention adds $4 N^2 D$. The published model
# has 12 blocks of width 768.

# %% [markdown]
# ## Where to go on
#
# [06](06_backpropagation.ipynb) finds out how each of these numbers should change,
# [07](07_pretraining.ipynb) changes them, and [10](10_faster.ipynb) asks how fast all this arithmetic can be
# done; all notebooks are in the [overview](README.md). The code is in
# [tvlt.py](../minitvlt/model/tvlt.py), [pretraining.py](../minitvlt/model/pretraining.py) and
# [parameters.py](../minitvlt/model/parameters.py), the configuration in [config.py](../minitvlt/config.py).
