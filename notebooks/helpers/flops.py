"""Floating-point operations of the model's matrix products.

Multiplying (m, k) by (k, n) takes 2·m·k·n operations: a multiplication and an addition for each of the m·k·n
terms. Counted are the linear maps, the two products of attention, and in the backward pass two products for
each of these, one per factor. Not counted: elementwise work, interpolated position tables, the spectrogram,
the optimizer, and what is computed a second time to save memory.

Letters: Nv and Na tokens of video and audio, N tokens of a sequence, D width.
"""

import math

from minitvlt import Config


def count_flops(
    config: Config,
    work: str = "inference",
    batch: int = 1,
    frames: int | None = None,
    steps: int | None = None,
) -> int:
    """Count the operations of the matrix products.

    >>> count_flops(Config(), "inference", batch=1, frames=8, steps=1024)    # the base model
    515190853632

    Args:
        config: the model. Frames have its size, and all tokens are real.
        work: "inference" is `forward`; "step" is `pretraining_loss` and its gradient.
        batch: clips.
        frames: of each clip; None means `config.num_frames`.
        steps: of each spectrogram; None means `config.spectrogram_length`.

    Raises:
        ValueError: another kind of work.
    """
    Nv = (frames or config.num_frames) * math.prod(config.image_grid)
    Na = (steps or config.spectrogram_length) // config.audio_patch_size[0] * config.audio_grid[1]
    D = config.hidden_size
    embedding = count_product(Nv, count_values(config)[0], D) + count_product(Na, count_values(config)[1], D)
    encoder = count_encoder(config, 1 + Nv + Na)
    matching = count_product(1, D, D) + count_product(1, D, 1)
    if work == "inference":
        return batch * (embedding + encoder)
    if work != "step":
        raise ValueError(f"Expected work to be inference or step, got {work!r}.")
    # Frames and spectrograms have no gradient: the backward pass of the embedding is one product, not two.
    both = config.task_matching * (encoder + matching) + config.task_mae * count_autoencoding(config, Nv, Na)
    return batch * (2 * (config.task_matching + config.task_mae) * embedding + 3 * both)


def count_autoencoding(config: Config, Nv: int, Na: int) -> int:
    """The encoder on the kept tokens, and the decoder on all."""
    whole = config.audio_grid[1] if config.audio_mask_type == "frame-level" else 1  # tokens masked at once
    kept = math.floor(Nv * (1 - config.pixel_mask_ratio) + 1e-9)
    kept += math.floor(Na // whole * (1 - config.audio_mask_ratio) + 1e-9) * whole
    D, (video_values, audio_values) = config.decoder_hidden_size, count_values(config)
    sequences = [Nv + Na] if config.joint_decoder else [Nv, Na]
    block = sum(count_block(N, D, config.decoder_intermediate_size) for N in sequences)
    predictions = count_product(Nv, D, video_values) + count_product(Na, D, audio_values)
    encoder = count_encoder(config, config.cls_in_autoencoding + kept)
    projection = count_product(kept, config.hidden_size, D)
    return encoder + projection + config.decoder_num_hidden_layers * block + predictions


def count_encoder(config: Config, N: int) -> int:
    """All blocks of the encoder on one sequence."""
    return config.num_hidden_layers * count_block(N, config.hidden_size, config.intermediate_size)


def count_block(N: int, D: int, width: int) -> int:
    """One block: query, key, value and output maps, the two products of attention, and the MLP."""
    attention = count_product(N, D, N) + count_product(N, N, D)
    return count_product(N, D, 4 * D) + attention + 2 * count_product(N, D, width)


def count_values(config: Config) -> tuple[int, int]:
    """Numbers in a video patch and in an audio patch."""
    video = math.prod(config.image_patch_size) * config.num_image_channels
    return video, math.prod(config.audio_patch_size) * config.num_audio_channels


def count_product(m: int, k: int, n: int) -> int:
    """Multiply (m, k) by (k, n)."""
    return 2 * m * k * n
