"""Small models in which every parameter is random, and clips and batches that fit them."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minitvlt.backends import unflatten, walk
from minitvlt.config import Config
from minitvlt.model.masking import frame_masking, random_masking
from minitvlt.model.parameters import Params, outline
from minitvlt.model.pretraining import PretrainingBatch

seeds = st.integers(0, 2**32 - 1)

# A model in which no two sizes are equal that could be mistaken for each other.
SMALL = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=3,
    num_image_channels=2,
    spectrogram_length=10,
    frequency_length=21,
    audio_patch_size=(2, 7),
    hidden_size=14,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=11,
    decoder_hidden_size=10,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=13,
    audio_mask_ratio=0.5,
    num_labels=3,
)
NV, NA = 3 * 2 * 2, 5 * 3  # its tokens of a clip of full length


def make_small(B: int = 5, is_padded: bool = False, **changes: Any) -> tuple[Params, PretrainingBatch]:
    """Draw the small model, some of its settings changed, and a batch of full length for it; in float64."""
    config, rng = SMALL.replace(**changes), np.random.default_rng(0)
    params = draw_params(config, rng, "classifier", "ranking")
    return params, draw_batch(config, rng, B, 3, 5, is_padded)


@st.composite
def geometries(draw: Any, has_square_patches: bool = False) -> dict[str, Any]:
    """Draw a small geometry of unequal sizes, under the names that Config and transformers share."""

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    p = number(2, 4)
    q = p if has_square_patches else number(1, 5)
    a, b = draw(st.sampled_from([(3, 2), (2, 11), (4, 4), (1, 7)]))  # such as 16×16 and 2×128
    heads, decoder_heads = number(1, 3), number(1, 3)
    return {
        "image_size": (p * number(1, 3), q * number(1, 3)),
        "image_patch_size": (p, q),
        "num_frames": number(1, 4),
        "num_image_channels": number(1, 3),
        "spectrogram_length": a * number(2, 6),
        "frequency_length": b * number(1, 3),
        "audio_patch_size": (a, b),
        "num_audio_channels": number(1, 2),
        "hidden_size": heads * number(8, 11),  # a LayerNorm of a few numbers would blow up rounding errors
        "num_attention_heads": heads,
        "num_hidden_layers": number(1, 3),
        "intermediate_size": number(5, 23),
        "decoder_hidden_size": decoder_heads * number(8, 11),
        "decoder_num_attention_heads": decoder_heads,
        "decoder_num_hidden_layers": number(1, 2),
        "decoder_intermediate_size": number(5, 23),
        "pixel_mask_ratio": number(30, 80) / 100,
        "audio_mask_ratio": number(30, 80) / 100,
        "audio_mask_type": "frame-level",
        "layer_norm_eps": draw(st.sampled_from([1e-6, 1e-5, 1e-3])),
    }


def draw_params(config: Config, rng: np.random.Generator, *parts: str) -> Params:
    """Make parameters none of which is zero or one; in float64. `parts` come beside those of the tasks."""
    tasks = {"decoder": config.task_mae, "matching": config.task_matching, **dict.fromkeys(parts, True)}
    like = outline(config, [part for part, is_there in tasks.items() if is_there])
    return unflatten(like, {name: draw_values(name, blank.shape, rng) for name, blank in walk(like)})


def draw_values(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw an array for a parameter, of a size that keeps what the model computes near 1."""
    values = rng.standard_normal(shape)
    if name.endswith("weight") and len(shape) > 1:
        return values * np.prod(shape[1:]) ** -0.5
    return values * 0.3 + (1 if "norm" in name and name.endswith("weight") else 0)


def draw_clips(
    config: Config, rng: np.random.Generator, B: int, T: int, s: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw video (B, T, C, H, W) and audio (B, C, S, F) of s steps of patches."""
    S = s * config.audio_patch_size[0]
    video = rng.uniform(-1, 1, (B, T, config.num_image_channels, *config.image_shape))
    return video, rng.uniform(-1, 1, (B, config.num_audio_channels, S, config.frequency_length))


def draw_mask(rng: np.random.Generator, B: int, steps: int, tokens_per_step: int) -> np.ndarray:
    """Draw which tokens are real: at least the first frame or step, padding last; one row is full."""
    real = rng.integers(1, steps + 1, B)
    real[rng.integers(B)] = steps
    return np.repeat(np.arange(steps) < real[:, None], tokens_per_step, axis=1)


def draw_padded_clips(
    config: Config, rng: np.random.Generator, B: int, T: int, s: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw video, audio and their masks; padding holds large values."""
    video, audio = draw_clips(config, rng, B, T, s)
    (h, w), f = config.image_grid, config.audio_grid[1]
    video_mask, audio_mask = draw_mask(rng, B, T, h * w), draw_mask(rng, B, s, f)
    video[~video_mask[:, :: h * w]] = 1e3
    audio[:, 0][np.repeat(~audio_mask[:, ::f], config.audio_patch_size[0], axis=1)] = -1e3
    return video, audio, video_mask, audio_mask


def draw_batch(
    config: Config, rng: np.random.Generator, B: int, T: int, s: int, is_padded: bool
) -> PretrainingBatch:
    """Draw a batch for both objectives, of T frames and s steps of patches, in float64."""
    video, audio = draw_clips(config, rng, B, T, s)
    h, w = config.image_grid
    f = config.audio_grid[1]
    video_mask = draw_mask(rng, B, T, h * w) if is_padded else None
    audio_mask = draw_mask(rng, B, s, f) if is_padded else None
    return PretrainingBatch(
        video=video,
        audio=audio,
        video_mask=video_mask,
        audio_mask=audio_mask,
        mixed_video=np.roll(video, 1, axis=0),
        mixed_video_mask=np.roll(video_mask, 1, axis=0) if is_padded else None,
        is_match=np.arange(B) % 2 == 0,
        video_masking=random_masking(rng.random((B, T * h * w)), config.pixel_mask_ratio, video_mask),
        audio_masking=frame_masking(rng.random((B, s)), config.audio_mask_ratio, f, audio_mask),
    )
