"""The parameters of the model: a tree of frozen dataclasses, one class for each piece, shapes at the
declaration.

The dotted path to an array (`encoder.blocks.0.attention.qkv.weight`) is its name in a checkpoint.
"""

import math
from dataclasses import dataclass

from jaxtyping import Float

from minitvlt.backends import Array
from minitvlt.config import Config


@dataclass(frozen=True)
class Linear:
    """x -> x @ weight.T + bias"""

    weight: Float[Array, "out in"]
    bias: Float[Array, "out"] | None


@dataclass(frozen=True)
class LayerNorm:
    """Scale and shift of each feature after every row was brought to mean 0 and variance 1"""

    weight: Float[Array, "D"]
    bias: Float[Array, "D"]


@dataclass(frozen=True)
class Attention:
    """Queries, keys and values of all heads from one map, and the map of the heads' joined answers"""

    qkv: Linear  # D -> 3 D: queries, then keys, then values; within each, head by head
    output: Linear  # D -> D


@dataclass(frozen=True)
class MLP:
    """Two linear maps with a GELU between them"""

    expand: Linear
    contract: Linear


@dataclass(frozen=True)
class Block:
    """A transformer block that normalises before it computes (pre-LN)"""

    attention_norm: LayerNorm
    attention: Attention
    mlp_norm: LayerNorm
    mlp: MLP


@dataclass(frozen=True)
class VideoPositions:
    """What is added to a video token: its place in the frame, its frame, and that it is video"""

    space: Float[Array, "rows_columns D"]  # row by row
    time: Float[Array, "frames D"]
    modality: Float[Array, "D"]


@dataclass(frozen=True)
class AudioPositions:
    """What is added to a sound token: its time, its frequency, and that it is sound"""

    time: Float[Array, "steps D"]
    frequency: Float[Array, "bins D"]
    modality: Float[Array, "D"]


@dataclass(frozen=True)
class Encoder:
    """Both modalities in one transformer, behind the summary token cls"""

    cls: Float[Array, "D"]
    video_patches: Linear
    video_positions: VideoPositions
    audio_patches: Linear
    audio_positions: AudioPositions
    blocks: tuple[Block, ...]
    norm: LayerNorm | None  # None where `config.final_norm` is False


@dataclass(frozen=True)
class Decoder:
    """From the encoder's answer on the visible patches to the values of the hidden ones"""

    entry: Linear
    video_mask_token: Float[Array, "D"]
    video_positions: VideoPositions
    audio_mask_token: Float[Array, "D"]
    audio_positions: AudioPositions
    blocks: tuple[Block, ...]
    norm: LayerNorm
    video_head: Linear
    audio_head: Linear


@dataclass(frozen=True)
class MatchingHead:
    """From cls to one number: does this sound belong to this video?"""

    pooler: Linear
    score: Linear


@dataclass(frozen=True)
class Classifier:
    """From the summary of a clip to a number for each label (TVLT, section 5)"""

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
    ranking: MatchingHead | None = None  # how well a video fits a sound, among several videos


def count_patch_values(config: Config) -> tuple[int, int]:
    """Numbers in a video patch and in a sound patch."""
    video = math.prod(config.image_patch_size) * config.num_image_channels
    return video, math.prod(config.audio_patch_size) * config.num_audio_channels
