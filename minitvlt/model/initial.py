"""The first values of the parameters, for a whole model or for a head that it is given."""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np

from minitvlt.backends import Array
from minitvlt.config import Config
from minitvlt.model.parameters import (
    MLP,
    Attention,
    AudioPositions,
    Block,
    Classifier,
    Decoder,
    Encoder,
    LayerNorm,
    Linear,
    MatchingHead,
    Params,
    VideoPositions,
    count_patch_values,
)

Draw = Callable[..., Array]  # makes the first values of an array of a given shape
PRETRAINING_PARTS = ("decoder", "matching")


def init(config: Config, seed: int | np.random.Generator = 0) -> Params:
    """Draw initial parameters: float32 NumPy arrays.

    Weights, tables and tokens are normal with deviation `config.initializer_range`; biases are 0 and norms
    the identity.

    Args:
        config: the geometry.
        seed: a whole number, or the generator to draw from.
    """
    tasks = {"decoder": config.task_mae, "matching": config.task_matching}
    parts = [part for part, is_wanted in tasks.items() if is_wanted]
    return _init_params(config, parts, _draw_normal(config, seed))


def outline(config: Config, parts: Collection[str] = PRETRAINING_PARTS) -> Params:
    """Lay out the tree of a configuration with zeros that take hardly any memory, for names and shapes.

    Args:
        config: the geometry.
        parts: which parts there are beside the encoder.
    """
    return _init_params(config, parts, lambda *shape: np.broadcast_to(np.float32(0), shape))


def add_classifier(params: Params, seed: int | np.random.Generator = 0, **changes: Any) -> Params:
    """Give a model a new classifier, of initial float32 NumPy parameters; the rest of it stays as it is.

    Args:
        params: the model, on NumPy.
        seed: a whole number, or the generator to draw from.
        changes: fields of the configuration that say what is to be learnt: `num_labels`, `loss_type`,
            `pooling`, `classifier_pooler`, `classifier_norm_eps`.

    Raises:
        ValueError: a value that the configuration cannot have.
    """
    config = params.config.replace(**changes)
    return replace(params, config=config, classifier=_init_classifier(config, _draw_normal(config, seed)))


def add_ranking(params: Params, seed: int | np.random.Generator = 0) -> Params:
    """Give a model a head that ranks videos: it starts as the matching head, or from new values without one.

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
    make = {
        "decoder": _init_decoder,
        "matching": _init_matching,
        "classifier": _init_classifier,
        "ranking": _init_matching,
    }
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
