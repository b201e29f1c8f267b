"""The model's matrix products, counted: what an implementation has to multiply, however it goes about it.

Multiplying (m, k) by (k, n) is 2·m·k·n floating-point operations: a multiplication and an addition for each
of the m·k·n terms. The linear maps and the two products of attention are counted, and on the way back two
products for each of these, one for each factor. Not counted are all work element by element, position tables
that are stretched, the spectrogram, the optimizer, and whatever is computed a second time to save memory:
weights of attention that are made again on the way back, and blocks under gradient checkpointing.

Letters: Nv and Na tokens of video and sound, D width.
"""

import math
from collections.abc import Callable

from minitvlt.config import Config
from minitvlt.model.parameters import count_patch_values


def count_flops(
    config: Config,
    work: str = "inference",
    batch: int = 1,
    frames: int | None = None,
    steps: int | None = None,
) -> int:
    """Count the floating-point operations of the matrix products.

    >>> count_flops(Config(), "inference", batch=1, frames=8, steps=1024)    # the base model
    515190853632

    Args:
        config: the model. Frames have its size, and all tokens are real.
        work: "inference" is `forward`; "step" is `pretraining_loss` and its gradient, with the masks that the
            configuration draws and the decoder run as it says; "retrieval" scores every sound of the batch
            with every video of it, each clip embedded once.
        batch: clips.
        frames: of each clip; None means `config.num_frames`.
        steps: of each spectrogram; None means `config.spectrogram_length`.

    Raises:
        ValueError: another kind of work, or numbers that no clip has.
    """
    frames = config.num_frames if frames is None else frames
    steps = config.spectrogram_length if steps is None else steps
    check_amount(config, work, batch, frames, steps)
    Nv = frames * math.prod(config.image_grid)
    Na = steps // config.audio_patch_size[0] * config.audio_grid[1]
    return WORKS[work](config, batch, Nv, Na)


def count_inference(config: Config, batch: int, Nv: int, Na: int) -> int:
    """Embed the patches of both modalities, and encode them behind cls."""
    return batch * (count_embedding(config, Nv, Na) + count_encoder(config, 1 + Nv + Na))


def count_step(config: Config, batch: int, Nv: int, Na: int) -> int:
    """The forward pass of both objectives, and twice as much on the way back.

    No gradient goes back to frames and spectrograms: of their embedding, only the weights have one.
    """
    embedding = count_embedding(config, Nv, Na)
    passes = config.task_matching + config.task_mae
    rest = 0
    if config.task_matching:
        rest += count_encoder(config, 1 + Nv + Na) + count_matching(config)
    if config.task_mae:
        rest += count_autoencoding(config, Nv, Na)
    return batch * (2 * passes * embedding + 3 * rest)


def count_retrieval(config: Config, batch: int, Nv: int, Na: int) -> int:
    """Embed each clip once, then encode and score every pair."""
    pair = count_encoder(config, 1 + Nv + Na) + count_matching(config)
    return batch * count_embedding(config, Nv, Na) + batch * batch * pair


WORKS: dict[str, Callable[[Config, int, int, int], int]] = {
    "inference": count_inference,
    "step": count_step,
    "retrieval": count_retrieval,
}


def count_embedding(config: Config, Nv: int, Na: int) -> int:
    """From the values of the patches to tokens."""
    video_values, audio_values = count_patch_values(config)
    return count_product(Nv, video_values, config.hidden_size) + count_product(
        Na, audio_values, config.hidden_size
    )


def count_encoder(config: Config, N: int) -> int:
    """The blocks of the encoder on one sequence of N tokens."""
    return config.num_hidden_layers * count_block(N, config.hidden_size, config.intermediate_size)


def count_matching(config: Config) -> int:
    """The head that reads cls."""
    return count_product(1, config.hidden_size, config.hidden_size) + count_product(1, config.hidden_size, 1)


def count_autoencoding(config: Config, Nv: int, Na: int) -> int:
    """The encoder on the tokens that are kept, and the decoder on all of them."""
    kept = count_kept(config, Nv, Na)
    D, (video_values, audio_values) = config.decoder_hidden_size, count_patch_values(config)
    sequences = [Nv + Na] if config.joint_decoder else [Nv, Na]
    block = sum(count_block(N, D, config.decoder_intermediate_size) for N in sequences)
    return (
        count_encoder(config, config.cls_in_autoencoding + kept)
        + count_product(kept, config.hidden_size, D)
        + config.decoder_num_hidden_layers * block
        + count_product(Nv, D, video_values)
        + count_product(Na, D, audio_values)
    )


def count_kept(config: Config, Nv: int, Na: int) -> int:
    """Tokens of both modalities that are not hidden; of sound, whole time steps where so configured."""
    whole = config.audio_grid[1] if config.audio_mask_type == "frame-level" else 1
    kept_sound = int(Na // whole * (1 - config.audio_mask_ratio)) * whole
    return int(Nv * (1 - config.pixel_mask_ratio)) + kept_sound


def count_block(N: int, D: int, width: int) -> int:
    """One block: queries, keys and values, attention over all heads, its output, and the MLP."""
    attention = count_product(N, D, N) + count_product(N, N, D)
    return count_product(N, D, 4 * D) + attention + 2 * count_product(N, D, width)


def count_product(m: int, k: int, n: int) -> int:
    """Multiply (m, k) by (k, n)."""
    return 2 * m * k * n


def check_amount(config: Config, work: str, batch: int, frames: int, steps: int) -> None:
    """Refuse work that there is not, and numbers that no clip has."""
    if work not in WORKS:
        raise ValueError(f"Expected work to be one of {', '.join(WORKS)}, got {work!r}.")
    for name, value in {"batch": batch, "frames": frames, "steps": steps}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"Expected {name} as a whole number of at least 1, got {value!r}.")
    part = config.audio_patch_size[0]
    if steps % part:
        raise ValueError(f"Expected steps that the patch of {part} divides, got {steps}.")
