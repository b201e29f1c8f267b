"""What is measured: a kind of work, a model, and clips."""

import math
from dataclasses import dataclass

import numpy as np

import minitvlt as mt
from notebooks.helpers.flops import count_flops

SECONDS = 10  # of audio, for the spectrogram
ON_MODEL = ("numpy", "torch", "transformers")


@dataclass(frozen=True)
class Case:
    """Everything that decides what is computed"""

    name: str
    work: str  # "inference", "step" or "spectrogram"
    config: mt.Config
    frames: int
    steps: int
    batch: int
    contenders: tuple[str, ...] = ON_MODEL

    @property
    def flops(self) -> int | None:
        """Operations of the matrix products; None for the spectrogram."""
        if self.work == "spectrogram":
            return None
        return count_flops(self.config, self.work, self.batch, self.frames, self.steps)

    @property
    def title(self) -> str:
        """The case in words."""
        if self.work == "spectrogram":
            return f"{self.name}: log-mel spectrogram of {SECONDS} s of audio"
        tokens = sum(count_tokens(self)) + 1
        amount = f"{self.batch} × ({self.frames} frames + {self.steps} steps)"
        return f"{self.name}: {self.work}, {amount}, {tokens} tokens"


def make_case(
    name: str,
    work: str,
    config: mt.Config,
    frames: int,
    steps: int,
    batch: int = 1,
    contenders: tuple[str, ...] = ON_MODEL,
) -> Case:
    """Settle a case; position tables are long enough, because transformers does not interpolate them."""
    config = config.replace(
        num_frames=max(config.num_frames, frames), spectrogram_length=max(config.spectrogram_length, steps)
    )
    return Case(name, work, config, frames, steps, batch, contenders)


BASE = mt.Config()
# Whole time steps of audio are masked: with other masks the training of transformers fails.
TINY = mt.Config.tiny(audio_mask_type="frame-level")
TINY_97_TOKENS = TINY.replace(
    image_size=32,
    image_patch_size=(8, 8),
    frequency_length=32,
    intermediate_size=256,
    decoder_intermediate_size=256,
)
CASES = {
    case.name: case
    for case in (
        make_case("base-forward", "inference", BASE, frames=8, steps=1024),
        make_case("base-step", "step", BASE, frames=4, steps=512, batch=2),
        make_case("tiny-step", "step", TINY_97_TOKENS, frames=4, steps=64, batch=32),
        make_case("first-step", "step", mt.Config.tiny(), 3, 24, batch=64, contenders=("numpy", "torch")),
        make_case("log-mel", "spectrogram", BASE, 1, 16, contenders=(*ON_MODEL, "librosa")),
        make_case("tokens-1013", "inference", BASE, frames=3, steps=848, contenders=("numpy",)),
        make_case("tokens-8001", "inference", BASE, frames=36, steps=1888, contenders=("numpy",)),
        make_case("long-forward", "inference", BASE, frames=64, steps=2048, contenders=("numpy", "torch")),
    )
}


def count_tokens(case: Case) -> tuple[int, int]:
    """Tokens of video and of audio in a clip."""
    Nv = case.frames * math.prod(case.config.image_grid)
    return Nv, case.steps // case.config.audio_patch_size[0] * case.config.audio_grid[1]


def draw_clips(case: Case) -> mt.Examples:
    """Draw clips: those of the `pretrain` command for its step, else random numbers, which cost the same."""
    rng, config = np.random.default_rng(0), case.config
    if case.name == "first-step":
        return mt.ShapesWorld(config).sample(rng, case.batch)
    video = rng.random((case.batch, case.frames, 3, *config.image_shape), np.float32)
    audio = rng.random((case.batch, 1, case.steps, config.frequency_length), np.float32)
    return mt.Examples(2 * video - 1, 2 * audio - 1)


def draw_waveform(case: Case) -> np.ndarray:
    """Draw audio of random numbers."""
    return 2 * np.random.default_rng(0).random(SECONDS * case.config.sample_rate, np.float32) - 1
