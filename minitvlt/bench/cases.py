"""What is measured: a kind of work, on a model, on so many clips of so many frames and steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from minitvlt.config import Config
from minitvlt.model.flops import WORKS as COUNTED
from minitvlt.model.flops import check_amount, count_flops
from minitvlt.signals.prepare import Examples


@dataclass(frozen=True)
class Size:
    """A model, and the clips that it is measured on unless others are asked for"""

    config: Config
    frames: int
    steps: int
    training_batch: int


# Sound is hidden by whole time steps, as it is in the peer: with other masks its training fails.
TINY = Config.tiny(audio_mask_type="frame-level")
TINY_97 = TINY.replace(
    image_size=32,
    image_patch_size=(8, 8),
    num_frames=4,
    spectrogram_length=64,
    frequency_length=32,
    intermediate_size=256,
    decoder_intermediate_size=256,
)
SIZES = {
    "tiny": Size(TINY, frames=3, steps=24, training_batch=64),  # the model of `minitvlt pretrain`
    "tiny-97": Size(TINY_97, frames=4, steps=64, training_batch=32),  # as wide, with 97 tokens
    "base-1": Size(Config(), frames=1, steps=1024, training_batch=2),
    "base": Size(Config(), frames=8, steps=1024, training_batch=2),
    "long": Size(Config(), frames=64, steps=2048, training_batch=1),
}

# Each kind of work, what it is, and the sizes that it is measured at unless others are asked for.
WORKS = {
    "inference": ("the encoder on clips, with masks that call every token real", ("base-1", "base")),
    "step": ("a pre-training step: loss, gradient, clipping and AdamW", ("tiny-97",)),
    "spectrogram": ("the log-mel picture of 10 s of sound at 44.1 kHz", ("base",)),
    "retrieval": ("the score of every sound of the batch with every video of it", ("tiny",)),
    "raw-inference": ("the encoder on frames and 20 s of waveform, spectrogram included", ("base",)),
}
SECONDS = {"spectrogram": 10, "raw-inference": 20}  # of sound
RETRIEVAL_BATCH = 32  # clips, so 1,024 pairs
PAIRS_AT_ONCE = 64


@dataclass(frozen=True)
class Case:
    """One comparison: everything that decides what is computed"""

    work: str
    size: str
    config: Config
    frames: int
    steps: int
    batch: int | None  # clips; None means as many as fit into the memory of the device

    @property
    def flops(self) -> int | None:
        """Operations of the matrix products; None where the work is something else, or its amount unknown."""
        work = {"raw-inference": "inference"}.get(self.work, self.work)
        if work not in COUNTED or self.batch is None:
            return None
        return count_flops(self.config, work, self.batch, self.frames, self.steps)

    @property
    def items(self) -> int | None:
        """How many clips are done at once, or pairs of them."""
        return self.batch**2 if self.work == "retrieval" and self.batch else self.batch

    @property
    def unit(self) -> str:
        """What `items` counts."""
        return "pairs" if self.work == "retrieval" else "clips"

    @property
    def title(self) -> str:
        """What is compared, in words."""
        amount = f"{SECONDS[self.work]} s of sound" if self.work in SECONDS else f"{self.steps:,} steps"
        clips = f"{self.size}, {self.frames} frame{'s' * (self.frames > 1)} + " * (self.work != "spectrogram")
        batch = "the largest batch that fits" if self.batch is None else f"batch {self.batch}"
        return f"{self.work}: {clips}{amount}, {batch}"


def make_case(
    work: str,
    size: str,
    frames: int | None = None,
    steps: int | None = None,
    batch: int | str | None = None,
) -> Case:
    """Settle a comparison.

    Position tables are made long enough for the clips, as the peer stretches none.

    Args:
        work: one of `WORKS`.
        size: one of `SIZES`.
        frames: of each clip; None means what the size says.
        steps: the same for spectrograms. Where the work begins with a waveform, its length decides.
        batch: clips; None means 1 for inference and what the size says for training, "max" as many as fit.

    Raises:
        ValueError: no such work or size, or numbers that no clip has.
    """
    for name, value, known in (("work", work, WORKS), ("size", size, SIZES)):
        if value not in known:
            raise ValueError(f"Expected {name} to be one of {', '.join(known)}, got {value!r}.")
    standard = SIZES[size]
    frames = standard.frames if frames is None else frames
    steps = standard.steps if steps is None else steps
    if work in SECONDS:
        steps = count_steps(standard.config, SECONDS[work])
    if batch is None:
        batch = {"step": standard.training_batch, "retrieval": RETRIEVAL_BATCH}.get(work, 1)
    check_amount(standard.config, "inference", 1 if batch == "max" else batch, frames, steps)
    config = standard.config.replace(
        num_frames=max(standard.config.num_frames, frames),
        spectrogram_length=max(standard.config.spectrogram_length, steps),
    )
    return Case(work, size, config, frames, steps, None if batch == "max" else batch)


def count_steps(config: Config, seconds: float | int) -> int:
    """Steps of the spectrogram of so much sound, less those that do not fill a patch."""
    steps, part = int(seconds * config.sample_rate) // config.hop_length, config.audio_patch_size[0]
    return max(part, steps // part * part)


def count_tokens(case: Case) -> tuple[int, int]:
    """Tokens of the video and of the sound of a clip."""
    (h, w), (_, f) = case.config.image_grid, case.config.audio_grid
    return case.frames * h * w, case.steps // case.config.audio_patch_size[0] * f


def list_pairs(batch: int) -> list[tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]]:
    """The sounds and the videos of all pairs, 64 pairs at a time, for contenders that work pair by pair."""
    blocks = np.split(np.arange(batch * batch), range(PAIRS_AT_ONCE, batch * batch, PAIRS_AT_ONCE))
    return [np.divmod(block, batch) for block in blocks]


def draw_clips(case: Case) -> Examples:
    """Draw clips of random numbers: nothing that is computed from them depends on what they show."""
    rng, config, B = np.random.default_rng(0), case.config, case.batch
    H, W = config.image_shape
    video = draw_numbers(rng, B, case.frames, 3, H, W)
    return Examples(video, draw_numbers(rng, B, 1, case.steps, config.frequency_length))


def draw_waveforms(case: Case) -> Float[np.ndarray, "B samples"]:
    """Draw sounds of random numbers."""
    samples = SECONDS[case.work] * case.config.sample_rate
    return draw_numbers(np.random.default_rng(0), case.batch, samples)


def draw_numbers(rng: np.random.Generator, *shape: int) -> Float[np.ndarray, "..."]:
    """Draw float32 numbers in [-1, 1)."""
    return 2 * rng.random(shape, dtype=np.float32) - 1


def case_to_dict(case: Case) -> dict[str, Any]:
    """Lay out a case in plain values, for a message to another process."""
    return {**vars(case), "config": case.config.to_dict()}


def case_from_dict(values: dict[str, Any]) -> Case:
    """The way back from `case_to_dict`."""
    return Case(**{**values, "config": Config.from_dict(values["config"])})
