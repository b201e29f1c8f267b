"""The parameters of the model: a tree of frozen dataclasses, one class for each piece, shapes at the
declaration; and their initial values.

The dotted path to an array (`encoder.blocks.0.attention.qkv.weight`) is its name in a checkpoint.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array
from minitvlt.config import Config

Draw = Callable[..., Array]  # makes the initial values of an array of a given shape


@dataclass(frozen=True)
class Linear:
    """x -> x @ weight.T + bias"""

    weight: Float[Array, "out in"]
    bias: Float[Array, "out"] | None


@dataclass(frozen=True)
class LayerNorm:
    """Scale and shift of each feature, after normalising every row to mean 0 and variance 1"""

    weight: Float[Array, "D"]
    bias: Float[Array, "D"]


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention: the projection to queries, keys and values, and the output projection"""

    qkv: Linear  # D -> 3 D: queries, then keys, then values; within each, head by head
    output: Linear  # D -> D


@dataclass(frozen=True)
class MLP:
    """Position-wise MLP: linear, GELU, linear"""

    expand: Linear
    contract: Linear


@dataclass(frozen=True)
class Block:
    """A pre-LN transformer block: LayerNorm before attention and before the MLP"""

    attention_norm: LayerNorm
    attention: Attention
    mlp_norm: LayerNorm
    mlp: MLP


@dataclass(frozen=True)
class VideoPositions:
    """Position and modality embeddings of video tokens: place in the frame + frame + modality"""

    space: Float[Array, "rows_columns D"]  # row by row
    time: Float[Array, "frames D"]
    modality: Float[Array, "D"]


@dataclass(frozen=True)
class AudioPositions:
    """Position and modality embeddings of audio tokens: time + frequency + modality"""

    time: Float[Array, "steps D"]
    frequency: Float[Array, "bins D"]
    modality: Float[Array, "D"]


@dataclass(frozen=True)
class Encoder:
    """Joint encoder of both modalities: the cls token, patch embeddings, blocks, final norm"""

    cls: Float[Array, "D"]
    video_patches: Linear
    video_positions: VideoPositions
    audio_patches: Linear
    audio_positions: AudioPositions
    blocks: tuple[Block, ...]
    norm: LayerNorm | None  # None where `config.final_norm` is False


@dataclass(frozen=True)
class Decoder:
    """Masked-autoencoding decoder: from the encoder's output on kept tokens to the values of all patches"""

    entry: Linear
    video_mask_token: Float[Array, "D"]
    video_positions: VideoPositions
    audio_mask_token: Float[Array, "D"]
    audio_positions: AudioPositions
    blocks: tuple[Block, ...]
    norm: LayerNorm
    video_head: Linear | None  # None in a model that was trained to predict the other modality alone
    audio_head: Linear | None


@dataclass(frozen=True)
class MatchingHead:
    """Vision-audio matching head: from cls to one logit"""

    pooler: Linear
    score: Linear


@dataclass(frozen=True)
class Classifier:
    """From the pooled tokens of a clip to a logit for each label (TVLT, section 5)"""

    pooler: Linear | None  # None where `config.classifier_pooler` is False
    expand: Linear  # D -> 2 D
    norm: LayerNorm
    output: Linear  # 2 D -> labels


@dataclass(frozen=True)
class Params:
    """The whole model; a part that its tasks do not need is None"""

    config: Config
    encoder: Encoder
    decoder: Decoder | None = None
    matching: MatchingHead | None = None
    classifier: Classifier | None = None
    ranking: MatchingHead | None = None  # scores how well a video fits an audio, among several videos


def count_patch_values(config: Config) -> tuple[int, int]:
    """Count the values in a video patch and in an audio patch."""
    video = math.prod(config.image_patch_size) * config.num_image_channels
    return video, math.prod(config.audio_patch_size) * config.num_audio_channels


def init(config: Config, seed: int | np.random.Generator = 0) -> Params:
    """Draw initial parameters: float32 NumPy arrays.

    Weights, position tables and tokens are normal with standard deviation `config.initializer_range`; biases
    are 0, and each LayerNorm is the identity.

    Args:
        config: the configuration.
        seed: a whole number, or the generator to draw from.
    """
    parts = ["decoder"] * config.task_mae + ["matching"] * config.task_matching
    return _init_params(config, parts, _draw_normal(config, seed))


def outline(config: Config, parts: Collection[str] = ("decoder", "matching")) -> Params:
    """Make the tree of a configuration from zeros that take hardly any memory, for names and shapes.

    Args:
        config: the configuration.
        parts: which parts there are beside the encoder.
    """
    return _init_params(config, parts, lambda *shape: np.broadcast_to(np.float32(0), shape))


def add_classifier(params: Params, seed: int | np.random.Generator = 0, **changes: Any) -> Params:
    """Add a randomly initialised classifier (float32 NumPy) to a model; the rest is unchanged.

    Args:
        params: the model, on NumPy.
        seed: a whole number, or the generator to draw from.
        changes: fields of the configuration that describe the task: `num_labels`, `loss_type`,
            `pooling`, `classifier_pooler`, `classifier_norm_eps`.

    Raises:
        ValueError: a value that the configuration cannot have.
    """
    config = params.config.replace(**changes)
    return replace(params, config=config, classifier=_init_classifier(config, _draw_normal(config, seed)))


def add_ranking(params: Params, seed: int | np.random.Generator = 0) -> Params:
    """Add a head that ranks videos: a copy of the matching head, or randomly initialised without one.

    Args:
        params: the model, on NumPy.
        seed: a whole number, or the generator to draw from.
    """
    config = params.config.replace(loss_type="ranking")
    head = params.matching or _init_matching(config, _draw_normal(config, seed))
    return replace(params, config=config, ranking=head)


def _draw_normal(config: Config, seed: int | np.random.Generator) -> Draw:
    rng, deviation = np.random.default_rng(seed), np.float32(config.initializer_range)
    return lambda *shape: deviation * rng.standard_normal(shape, dtype=np.float32)


def _init_params(config: Config, parts: Collection[str], draw: Draw) -> Params:
    make = {"decoder": _init_decoder, "matching": _init_matching, "classifier": _init_classifier}
    make |= {"ranking": _init_matching}
    encoder = _init_encoder(config, draw)
    return Params(config, encoder, **{part: make[part](config, draw) for part in make if part in parts})


def _init_encoder(config: Config, draw: Draw) -> Encoder:
    D = config.hidden_size
    return Encoder(
        cls=draw(D),
        video_patches=_init_linear(count_patch_values(config)[0], D, draw),
        video_positions=_init_video_positions(config, D, draw),
        audio_patches=_init_linear(count_patch_values(config)[1], D, draw),
        audio_positions=_init_audio_positions(config, D, draw),
        blocks=_init_blocks(config.num_hidden_layers, D, config.intermediate_size, config.qkv_bias, draw),
        norm=_init_norm(D) if config.final_norm else None,
    )


def _init_decoder(config: Config, draw: Draw) -> Decoder:
    D, values = config.decoder_hidden_size, count_patch_values(config)
    layers, width = config.decoder_num_hidden_layers, config.decoder_intermediate_size
    return Decoder(
        entry=_init_linear(config.hidden_size, D, draw),
        video_mask_token=draw(D),
        video_positions=_init_video_positions(config, D, draw),
        audio_mask_token=draw(D),
        audio_positions=_init_audio_positions(config, D, draw),
        blocks=_init_blocks(layers, D, width, config.qkv_bias, draw),
        norm=_init_norm(D),
        video_head=_init_linear(D, values[0], draw),
        audio_head=_init_linear(D, values[1], draw),
    )


def _init_matching(config: Config, draw: Draw) -> MatchingHead:
    D = config.hidden_size
    return MatchingHead(pooler=_init_linear(D, D, draw), score=_init_linear(D, 1, draw))


def _init_classifier(config: Config, draw: Draw) -> Classifier:
    D = config.hidden_size
    return Classifier(
        pooler=_init_linear(D, D, draw) if config.classifier_pooler else None,
        expand=_init_linear(D, 2 * D, draw),
        norm=_init_norm(2 * D),
        output=_init_linear(2 * D, config.num_labels, draw),
    )


def _init_blocks(layers: int, D: int, width: int, qkv_bias: bool, draw: Draw) -> tuple[Block, ...]:
    return tuple(
        Block(
            attention_norm=_init_norm(D),
            attention=Attention(_init_linear(D, 3 * D, draw, qkv_bias), _init_linear(D, D, draw)),
            mlp_norm=_init_norm(D),
            mlp=MLP(_init_linear(D, width, draw), _init_linear(width, D, draw)),
        )
        for _ in range(layers)
    )


def _init_linear(inputs: int, outputs: int, draw: Draw, has_bias: bool = True) -> Linear:
    return Linear(draw(outputs, inputs), np.zeros(outputs, np.float32) if has_bias else None)


def _init_norm(D: int) -> LayerNorm:
    return LayerNorm(np.ones(D, np.float32), np.zeros(D, np.float32))


def _init_video_positions(config: Config, D: int, draw: Draw) -> VideoPositions:
    return VideoPositions(draw(math.prod(config.image_grid), D), draw(config.num_frames, D), draw(D))


def _init_audio_positions(config: Config, D: int, draw: Draw) -> AudioPositions:
    steps, bins = config.audio_grid
    return AudioPositions(draw(steps, D), draw(bins, D), draw(D))
