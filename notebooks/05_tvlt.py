# %% [markdown]
# # 05 · TVLT
#
# This notebook builds the whole model from patches, position embeddings and transformer blocks: one
# sequence of video and audio tokens, one encoder, and two heads. Then it counts the parameters and the
# arithmetic operations.
#
# **You will be able to** run TVLT step by step, say what each part is for, count parameters and operations
# of any size, and read the configuration of the published model.
#
# **Time to run:** about five seconds. **Before this:** patches ([02](02_patches.ipynb)), masking
# ([03](03_masking.ipynb)) and the transformer block ([04](04_attention.ipynb)).

# %% [markdown]
# The next cell imports the package, or installs it from the repository that contains this notebook.

# %%
try:
    import minitvlt as mt
except ModuleNotFoundError:
    get_ipython().run_line_magic("pip", "install --quiet ..")
    import minitvlt as mt

# %% [markdown]
# ## The architecture
#
# **TVLT**, the Textless Vision-Language Transformer (Tang et al., 2022), is pre-trained with two
# objectives. **Vision-audio matching** decides whether a video and an audio belong together; **masked
# autoencoding** predicts hidden patches. Both use the same encoder. The figure shows all parts with the
# shapes of our small model for 4 clips; in training half of the tokens are kept. Blue is video, orange is
# audio, grey is both.

# %%
import numpy as np

from helpers.schematics import draw_tvlt

params = mt.load("shapes-small")
config, encoder, decoder = params.config, params.encoder, params.decoder
draw_tvlt(config, 4).show(
    "Video and audio are patchified and embedded, joined behind cls, and encoded, once for matching and "
    "once for autoencoding, where a decoder predicts the patches of each modality."
)

# %% [markdown]
# The following sections write these steps one by one for four clips.

# %%
clips = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(4), 4)
print("video:", clips.video.shape, "  audio:", clips.audio.shape)

# %% [markdown]
# ## From clips to tokens
#
# Notebook 02 added the vectors of position and modality one token at a time. With broadcasting this takes
# two lines: the table of frames gets an additional axis, so that the sum has an entry for each pair of
# frame and place. The same for time step and frequency.


# %%
def linear(x, layer):
    return x @ layer.weight.T + layer.bias


def video_positions(table, T):
    both = table.time[:T, None] + table.space + table.modality  # (T, h*w, D)
    return both.reshape(-1, both.shape[-1])  # (T*h*w, D)


def audio_positions(table, steps):
    both = table.time[:steps, None] + table.frequency + table.modality  # (steps, f, D)
    return both.reshape(-1, both.shape[-1])  # (steps*f, D)


# %%
from minitvlt.model.tvlt import embed_audio, embed_video

rows_video = mt.patchify_video(clips.video, config.image_patch_size)
rows_audio = mt.patchify_audio(clips.audio, config.audio_patch_size)
x_video = linear(rows_video, encoder.video_patches) + video_positions(encoder.video_positions, 3)
x_audio = linear(rows_audio, encoder.audio_patches) + audio_positions(encoder.audio_positions, 3)
same = np.allclose(x_video, embed_video(encoder, config, clips.video), atol=1e-4)
print("video, equal to the package's:", same)
same = np.allclose(x_audio, embed_audio(encoder, config, clips.audio), atol=1e-4)
print("audio, equal to the package's:", same)

# %% [markdown]
# ## One sequence
#
# The $N_v$ video tokens and the $N_a$ audio tokens become one sequence. Before them stands `cls`, a learnt
# vector that is the same for all clips; its output is used as the summary of a clip:
#
# $$x^{(0)} = \bigl[\, \text{cls}; \; x^{\text{video}}; \; x^{\text{audio}} \,\bigr]$$
#
# Its shape is `(B, N, D)` with $N = 1 + N_v + N_a$.


# %%
def join(cls, x_video, x_audio):
    cls = np.broadcast_to(cls, (len(x_video), 1, len(cls)))  # (B, 1, D)
    return np.concatenate([cls, x_video, x_audio], axis=1)  # (B, 1 + Nv + Na, D)


x = join(encoder.cls, x_video, x_audio)
print("video", x_video.shape, " audio", x_audio.shape, " with cls", x.shape)

# %% [markdown]
# The encoder applies its blocks one after the other. Block $l$ is the block of notebook 04:
#
# $$x^{(l + 1)} = \operatorname{block}_l\bigl(x^{(l)}\bigr)$$
#
# After the last block comes a LayerNorm. The output $y$ has the shape of the input:
#
# $$y = \operatorname{norm}\bigl(x^{(\text{layers})}\bigr)$$

# %%
from minitvlt.model.transformer import run_block, run_norm


def run_encoder(x, blocks, norm, heads, eps):
    for block in blocks:
        x = run_block(x, block, heads, eps)
    return run_norm(x, norm, eps)


heads, eps = config.num_attention_heads, config.layer_norm_eps
y = run_encoder(x, encoder.blocks, encoder.norm, heads, eps)
out = mt.forward(params, clips.video, clips.audio)
print("equal to the output of mt.forward:", np.allclose(y, out.sequence, atol=1e-4))
print("cls", out.cls.shape, " video", out.video.shape, " audio", out.audio.shape)

# %% [markdown]
# This is a **joint encoder**: apart from patch embeddings and position tables, no parameter belongs to one
# modality. Each token can attend to each other one in every block (**early fusion**). The alternative is
# one encoder for each modality, whose outputs are combined at the end (late fusion); the paper found it
# worse.

# %% [markdown]
# ## Do the modalities attend to each other?
#
# Row $i$ of an attention map holds the weights of all tokens for the output of token $i$. We add up the
# weights of the tokens of the other modality, and take the mean over clips, heads and rows.

# %%
maps = mt.forward(params, clips.video, clips.audio, return_attention=True).attention
video, audio = slice(1, 13), slice(13, 19)  # the tokens of each modality
to_audio = [each[:, :, video, audio].sum(axis=-1).mean() for each in maps]
to_video = [each[:, :, audio, video].sum(axis=-1).mean() for each in maps]
for number, (one, other) in enumerate(zip(to_video, to_audio, strict=True), 1):
    print(f"block {number}: audio attends to video {one:.1f}, video attends to audio {other:.1f}")

# %% [markdown]
# The figure shows both shares. The dotted lines show what they would be if each token attended equally to
# all 19 tokens: 12 / 19 for video and 6 / 19 for audio. No share is near 0: in each block, the first one
# included, information passes between the modalities in both directions.

# %%
from helpers.diagrams import new_axes, use_style
from helpers.notebook import show
from minitvlt.views.figures import AUDIO_COLOUR, NEUTRAL_COLOUR, VIDEO_COLOUR

use_style()
numbers = np.arange(1, len(maps) + 1)
figure, (axes,) = new_axes(size=(8, 3.4), x="block", y="share of attention")
axes.plot(numbers, to_video, "o-", color=AUDIO_COLOUR, label="audio attends to video")
axes.plot(numbers, to_audio, "s-", color=VIDEO_COLOUR, label="video attends to audio")
axes.axhline(12 / 19, color=AUDIO_COLOUR, linestyle=":", linewidth=1.5)
axes.axhline(6 / 19, color=VIDEO_COLOUR, linestyle=":", linewidth=1.5)
axes.set(ylim=(0, 1), xticks=numbers)
axes.legend(ncols=2, loc="upper center")
show(figure, "Two curves over the blocks: the share of attention that each modality gives to the other.")

# %% [markdown]
# ## The matching head
#
# Matching is a binary classification of `cls`: a linear map with matrix $A_1$ and bias $b_1$, the
# non-linearity tanh, and a second linear map to one number, with $A_2$ and $b_2$. The result is a **logit**
# $z$:
#
# $$z = A_2 \tanh(A_1 \, y_{\text{cls}} + b_1) + b_2$$
#
# The probability of a match is $\sigma(z)$, as in [00](00_quickstart.ipynb): $z > 0$ means a match.


# %%
def matching_head(head, y_cls):
    return linear(np.tanh(linear(y_cls, head.pooler)), head.score)[:, 0]  # (B,)


z = matching_head(params.matching, y[:, 0])
expected = mt.score_matches(params, clips.video, clips.audio)
print("equal to the package's:", np.allclose(z, expected, atol=1e-4))
print("each video with its own audio:    ", z > 0)
print("each video with the audio of the next clip:")
print(mt.score_matches(params, clips.video, np.roll(clips.audio, -1, axis=0)) > 0)

# %% [markdown]
# ## The decoder
#
# For autoencoding the encoder gets only `cls` and the kept tokens. A smaller transformer, the **decoder**,
# predicts all patches from its output. Kept tokens are mapped to the width of the decoder and restored
# among mask tokens (notebook 03); position embeddings of the decoder are added; after its blocks and a
# LayerNorm, a linear map gives the values of each patch. The decoder processes each modality separately. So
# what it needs to know of the other modality must be in the output of the encoder.

# %%
from minitvlt.model.pretraining import keep_tokens, restore_tokens


def fill_in(y_kept, masking, mask_token, positions, head):
    x = restore_tokens(linear(y_kept, decoder.entry), mask_token, masking) + positions
    x = run_encoder(x, decoder.blocks, decoder.norm, config.decoder_num_attention_heads, eps)
    return linear(x, head)  # (B, N, values of a patch)


batch = mt.make_batch(clips, config, np.random.default_rng(0))
masks = batch.video_masking, batch.audio_masking
kept = [keep_tokens(x, mask) for x, mask in zip((x_video, x_audio), masks, strict=True)]
y_kept = run_encoder(join(encoder.cls, *kept), encoder.blocks, encoder.norm, heads, eps)
of_video, of_audio = (f"{mask.keep.shape[1]} of {mask.is_hidden.shape[1]}" for mask in masks)
print("input of the encoder:", y_kept.shape, f"= cls, {of_video} video tokens, {of_audio} audio tokens")

# %%
places = video_positions(decoder.video_positions, 3)
filled_video = fill_in(y_kept[:, 1:7], masks[0], decoder.video_mask_token, places, decoder.video_head)
places = audio_positions(decoder.audio_positions, 3)
filled_audio = fill_in(y_kept[:, 7:], masks[1], decoder.audio_mask_token, places, decoder.audio_head)
expected = mt.autoencode(params, batch)
print("video, equal to the package's:", np.allclose(filled_video, expected[0], atol=1e-4))
print("audio, equal to the package's:", np.allclose(filled_audio, expected[1], atol=1e-4))

# %% [markdown]
# The encoder is large and processes few tokens, the decoder is small and processes all: He et al. call this
# an **asymmetric** encoder-decoder. After pre-training the decoder is not needed any more: tasks use the
# encoder.

# %% [markdown]
# ## Counting parameters
#
# A linear map from $n$ numbers to $m$ has $m n$ weights and $m$ biases. A block has four maps from $D$ to
# $D$ (queries, keys, values, and the output of attention), one from $D$ to the width $D_{\text{mlp}}$ of
# the MLP and one back, and two LayerNorms with $2 D$ numbers each. The sum is
#
# $$n_{\text{block}} = 4 D^2 + 2 D D_{\text{mlp}} + 9 D + D_{\text{mlp}}$$

# %%
from minitvlt.backends import walk


def count(tree):
    return sum(array.size for _, array in walk(tree))  # of every array in the tree


D, D_mlp = config.hidden_size, config.intermediate_size
print("one block by the formula:", 4 * D**2 + 2 * D * D_mlp + 9 * D + D_mlp)
print("one block by counting:   ", count(encoder.blocks[0]))
print("the whole model:", count(params))

# %% [markdown]
# The published model has the same parts in larger sizes. `mt.Config.original()` is the configuration of
# the code that its authors released (the versions are listed below). `outline` makes the tree of a
# configuration without filling the arrays, so they can be counted at once. The classifier is a head that
# reads `cls` for a task ([08](08_using_the_model.ipynb)).

# %%
from minitvlt.model.parameters import outline

published = outline(mt.Config.original(), ("decoder", "matching", "classifier"))
for name in ("encoder", "decoder", "matching", "classifier"):
    print(f"{name:<11}{count(getattr(published, name)) / 1e6:7.2f} million")
pieces = [count(getattr(published, name)) for name in ("encoder", "classifier", "decoder")]
print(f"encoder and classifier: {sum(pieces[:2]) / 1e6:.0f} million", end=", ")
print(f"with decoder: {sum(pieces) / 1e6:.0f} million")

# %% [markdown]
# The paper says 88 million with a classifier. The bars show where the parameters are, on the left in the
# published model, on the right in ours. (What is missing to 100% is in the classifier, in `cls` and the
# mask tokens, in the last LayerNorms and in the entry of the decoder.)


# %%
def list_pieces(p):
    e, d = p.encoder, p.decoder
    return {
        "encoder blocks": e.blocks,
        "decoder blocks": d.blocks,
        "patch embedding, heads": (e.video_patches, e.audio_patches, d.video_head, d.audio_head),
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
# ## Counting operations
#
# The product of matrices of the shapes $(m, k)$ and $(k, n)$ has $m n$ elements, each a sum of $k$
# products. With a multiplication and an addition for each, it takes
#
# $$\text{FLOPs}_{\text{product}} = 2 \, m \, k \, n$$
#
# floating-point operations (**FLOPs**).

# %% [markdown]
# In a block, $N$ tokens pass through linear maps with $4 D^2 + 2 D D_{\text{mlp}}$ weights. Attention
# multiplies queries by keys, $(N, D)$ by $(D, N)$ over all heads together, and weights by values, $(N, N)$
# by $(N, D)$. All else is small beside these products:
#
# $$\text{FLOPs}_{\text{block}} = 2 N (4 D^2 + 2 D D_{\text{mlp}}) + 4 N^2 D$$
#
# The patch embeddings, with $V_v$ and $V_a$ values in a patch of video and audio, take
#
# $$\text{FLOPs}_{\text{embed}} = 2 D (N_v V_v + N_a V_a)$$


# %%
def count_work(config, Nv, Na):
    D, D_mlp, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    Vv = config.num_image_channels * np.prod(config.image_patch_size)
    Va = config.num_audio_channels * np.prod(config.audio_patch_size)
    N = 1 + Nv + Na
    return {
        "linear maps": layers * 2 * N * (4 * D**2 + 2 * D * D_mlp),
        "attention": layers * 4 * N**2 * D,
        "embedding": 2 * D * (Nv * Vv + Na * Va),
    }


# %%
from helpers.flops import count_flops

base = mt.Config()
work = count_work(base, 8 * 196, 1024 // 16 * 8)  # 8 frames of 196 patches; 1024 steps of audio
for name, operations in work.items():
    print(f"{name:<12}{operations / 1e9:7.1f} billion, {operations / sum(work.values()):4.0%}")
print(f"together    {sum(work.values()) / 1e9:7.1f} billion for a clip of {1024 * 512 / 44100:.0f} s")
counted = count_flops(base, "inference", batch=1, frames=8, steps=1024)
print("equal to helpers/flops.py:", sum(work.values()) == counted)
print(f"our small model: {count_flops(config) / 1e6:.0f} million for a clip")

# %% [markdown]
# How long a machine needs for them is measured in [10](10_faster.ipynb).

# %% [markdown]
# The two terms of a block grow differently: linear maps with $N$, attention with $N^2$. They are equal if
# $4 N^2 D = 2 N (4 D^2 + 2 D D_{\text{mlp}})$, which gives
#
# $$N_{\text{equal}} = 2 D + D_{\text{mlp}}$$
#
# For $D = 768$ and $D_{\text{mlp}} = 3072$ this is 4608 tokens. The figure shows both curves on logarithmic
# axes; the dotted line marks the 2081 tokens that we just counted, the dashed line 4608.

# %%
N, D, D_mlp = np.logspace(2, 5, 50), base.hidden_size, base.intermediate_size
figure, (axes,) = new_axes(size=(8, 3.4), x="tokens", y="billions of operations")
axes.loglog(N, 12 * 2 * N * (4 * D**2 + 2 * D * D_mlp) / 1e9, color="black", label="linear maps")
axes.loglog(N, 12 * 4 * N**2 * D / 1e9, "-.", color="gray", label="attention")
axes.axvline(2081, color="black", linestyle=":", linewidth=1.5)
axes.axvline(2 * D + D_mlp, color="black", linestyle="--", linewidth=1.5)
axes.legend()
show(figure, "Two rising lines; attention is below the linear maps up to 4608 tokens, and above them beyond.")

# %% [markdown]
# ## The published model
#
# `mt.Config()` is the published base model. These are the values that determine its size, beside those of
# the small model.


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
# The published model exists in three versions, which differ in training and in details: `Config()` is the
# implementation in the library transformers, `Config.paper()` the recipe of the paper, `Config.original()`
# the code that the authors released. The table shows in which fields they differ; what each field means is
# said in [config.py](../minitvlt/config.py).

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
# A model of video and text needs automatic speech recognition (ASR) first. The paper measured both ways for
# 8 frames and 20 seconds of audio: 2890 ms for ASR and 26 ms for the model after it, against 60 ms for the
# spectrogram and 43 ms for TVLT. Both models together have 283 million parameters, TVLT has 88 million.

# %% tags=["thumbnail"]
figure, (time, size) = new_axes(1, 2, (11, 2.8), titles=("time for a clip (ms)", "parameters (millions)"))
ways, quiet = ["with ASR", "TVLT"], "#b4b8bd"
time.barh(ways, [2890, 60], color=quiet, label="ASR or spectrogram")
time.barh(ways, [26, 43], left=[2890, 60], color="black", label="the model")
time.legend(loc="lower right")
size.barh(ways, [283, 88], color=NEUTRAL_COLOUR)
size.set_yticks([])
for one in (time, size):
    one.invert_yaxis()
show(figure, "Bars: with speech recognition 2916 ms and 283 million parameters, TVLT 103 ms and 88 million.")

# %%
print(f"{(2890 + 26) / (60 + 43):.1f} times as fast, with {88 / 283:.2f} of the parameters")

# %% [markdown]
# ## Try it
#
# **1. Code. Must `cls` be the first token? Put it at the end of the sequence and compare its output.**
#
# <details><summary>Answer</summary>
#
# No: the encoder is permutation-equivariant (notebook 02). The released code has audio before video
# (`token_order` in the table above); outputs are the same, in another order.
#
# ```python
# last = np.concatenate([x[:, 1:], x[:, :1]], axis=1)
# assert np.allclose(run_encoder(last, encoder.blocks, encoder.norm, heads, eps)[:, -1], out.cls, atol=1e-3)
# ```
#
# </details>

# %% [markdown]
# **2. Code. Change the model: remove one of the four blocks of the encoder. Predict what happens to the
# accuracy of matching, and which block matters most. Then compute it for each block, with
# `mt.score_matches(model, pairs.mixed_video, pairs.audio)` and `pairs.is_match` of a batch `pairs`.**
#
# <details><summary>Answer</summary>
#
# Because of the residual connections the rest still runs, but the following blocks get an input that they
# were not trained with. The accuracy is 0.98 with all blocks, 0.63 without the first one, and between 0.89
# and 0.95 without one of the others: the first block matters most.
#
# ```python
# from dataclasses import replace
#
# many = mt.ShapesWorld(config, split="held_out").sample(np.random.default_rng(1), 256)
# pairs = mt.make_batch(many, config, np.random.default_rng(2))  # half of the videos are of other clips
# blocks, accuracy = encoder.blocks, []
# for left_out in (None, 0, 1, 2, 3):
#     rest = tuple(block for number, block in enumerate(blocks) if number != left_out)
#     model = replace(params, encoder=replace(encoder, blocks=rest))
#     logits = mt.score_matches(model, pairs.mixed_video, pairs.audio)
#     accuracy.append(((logits > 0) == pairs.is_match).mean())
# assert accuracy[0] > 0.97 > 0.96 > max(accuracy[2:]) and min(accuracy[2:]) > 0.88 > 0.7 > accuracy[1]
# ```
#
# </details>

# %% [markdown]
# **3. Code. How many parameters are added if the published model gets 16 frames instead of 8? How many
# times as many operations are there with the audio of the section above?**
#
# <details><summary>Answer</summary>
#
# Eight rows in two tables, of the encoder and of the decoder: $8 \cdot (768 + 512) = 10240$. The number of
# operations, however, is 2.2 times as large: linear maps and embeddings grow less than twofold, since the
# audio stays the same, but attention grows with the square of the number of tokens.
#
# ```python
# assert count(outline(base.replace(num_frames=16))) - count(outline(base)) == 10240
# longer = count_work(base, 16 * 196, 512)
# assert round(sum(longer.values()) / sum(work.values()), 1) == 2.2
# ```
#
# </details>

# %% [markdown]
# **4. Code. Halve the side of the video patches to 8 × 8 pixels. What happens to parameters and
# operations?**
#
# <details><summary>Answer</summary>
#
# There are four times as many video tokens, 6272 instead of 1568. Patch embedding and tables change by
# little. The operations are more than five times as many: with 6785 tokens attention is the larger term.
#
# ```python
# finer = count_work(base.replace(image_patch_size=8), 8 * 784, 512)
# assert sum(finer.values()) > 5 * sum(work.values()) and finer["attention"] > finer["linear maps"]
# ```
#
# </details>

# %% [markdown]
# **5. How many operations has a training step, compared with one forward pass?**
#
# <details><summary>Answer</summary>
#
# In the backward pass each matrix product needs two more, one for the gradient with respect to each factor
# (notebook 06). So forward and backward pass together take three times the forward pass. In pre-training
# this is a pass of the encoder over all tokens for matching, one over the kept tokens for autoencoding, and
# the decoder for both modalities.
#
# </details>

# %% [markdown]
# ## Recap
#
# TVLT puts `cls`, video tokens and audio tokens into one sequence for one encoder. A small head classifies
# the output of `cls`: do video and audio belong together? A smaller decoder predicts the hidden patches of
# each modality. Nearly all parameters are in blocks, $4 D^2 + 2 D D_{\text{mlp}}$ in each; each takes part
# in one multiplication for each token, and attention adds $4 N^2 D$ operations.

# %% [markdown]
# ## References
#
# - Z. Tang, J. Cho, Y. Nie and M. Bansal, *TVLT: textless vision-language transformer*, 2022,
#   [arXiv:2209.14156](https://arxiv.org/abs/2209.14156).
# - K. He et al., *Masked autoencoders are scalable vision learners*, 2021,
#   [arXiv:2111.06377](https://arxiv.org/abs/2111.06377): the asymmetric encoder and decoder.
# - W. Kim, B. Son and I. Kim, *ViLT: vision-and-language transformer without convolution or region
#   supervision*, 2021, [arXiv:2102.03334](https://arxiv.org/abs/2102.03334): one encoder for images and
#   text.

# %% [markdown]
# ## Where to go on
#
# [06](06_backpropagation.ipynb) computes the derivative of the loss with respect to each parameter,
# [07](07_pretraining.ipynb) trains the model, and [10](10_faster.ipynb) is about speed; all notebooks are
# in the [overview](README.md). The code is in [tvlt.py](../minitvlt/model/tvlt.py),
# [pretraining.py](../minitvlt/model/pretraining.py) and [parameters.py](../minitvlt/model/parameters.py),
# the configuration in [config.py](../minitvlt/config.py).
