"""Where tests get their inputs: small unequal sizes that Hypothesis chooses, and numbers from a seed.

Every array is NumPy in double precision. Numbers come from a generator and not from Hypothesis, which would
spend its time on single elements; what it varies, and makes smaller when a test fails, are the sizes and the
choices.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch
from tests.helpers.models import draw_batch, draw_params, geometries


class Source:
    """Draws whatever a function may be called with."""

    def __init__(self, draw: Callable[[st.SearchStrategy], Any]) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def size(self, least: int = 1, most: int = 5) -> int:
        return self.draw(st.integers(least, most))

    def pair(self, least: int = 1, most: int = 3) -> tuple[int, int]:
        return self.size(least, most), self.size(least, most)

    def choose(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def array(self, *shape: int) -> np.ndarray:
        """Normal numbers."""
        return self.rng.standard_normal(shape)

    def noise(self, *shape: int) -> np.ndarray:
        """Multiples of 1/8 from 0 on, below 1: exact in every precision, and with many ties."""
        return self.rng.integers(0, 8, shape) / 8

    def waveform(self) -> np.ndarray:
        return 0.1 * self.array(*self.choose((), (2,), (3, 1)), self.size(1, 70))

    def mask(self, B: int, steps: int, tokens: int = 1) -> np.ndarray | None:
        """Clips padded at their ends, at least one step of each real, perhaps all of them padded; or None."""
        if not self.choose(False, True, True, True):
            return None
        lengths = self.rng.integers(1, steps + 1, (B, 1))
        return np.repeat(np.arange(steps) < lengths, tokens, axis=1)

    def config(self, **fixed: Any) -> Config:
        """A tiny model; a large eps, as a LayerNorm over three features would magnify every rounding."""
        names = ("qkv_bias", "final_norm", "joint_decoder", "cls_in_autoencoding", "gradient_checkpointing")
        choices = {name: self.flag() for name in names}
        choices["token_order"] = self.choose("video-first", "audio-first")
        others = {"matching_weight": 0.7, "mae_weight": 1.3, "layer_norm_eps": 0.01}
        return Config(**{**self.draw(geometries()), **choices, **others, **fixed})

    def params(self, config: Config | None = None) -> Params:
        """A model without any parameter that is 0 or 1."""
        return draw_params(config or self.config(), self.rng)

    def video(self, config: Config, B: int) -> np.ndarray:
        """Frames as many and as large as configured, or fewer, or more."""
        (h, w), (p, q) = config.image_grid, config.image_patch_size
        if self.flag():
            h, w = self.pair()
        return self.array(B, self.size(1, 4), config.num_image_channels, h * p, w * q)

    def audio(self, config: Config, B: int) -> np.ndarray:
        (_, f), (p, q) = config.audio_grid, config.audio_patch_size
        f = self.choose(f, f + 1)
        return self.array(B, config.num_audio_channels, self.size(1, 4) * p, f * q)

    def clips(self, config: Config, B: int | None = None) -> tuple[np.ndarray | None, ...]:
        """Video and audio of a batch, and their masks, in the order of `forward`."""
        B = B or self.size(1, 3)
        video, audio = self.video(config, B), self.audio(config, B)
        return video, audio, self.mask(*count_tokens(config, video)), self.mask(*count_tokens(config, audio))

    def batch(self, config: Config) -> PretrainingBatch:
        """Clips as long as configured, or shorter, or longer, and what is hidden of them."""
        return draw_batch(
            config, self.rng, self.size(1, 3), self.size(1, 4), self.size(1, 4), is_padded=self.flag()
        )


def count_tokens(config: Config, clip: np.ndarray) -> tuple[int, int, int]:
    """Clips, frames or patches along time, and tokens of each: what `Source.mask` needs."""
    if clip.ndim == 5:
        (p, q), (H, W) = config.image_patch_size, clip.shape[-2:]
        return len(clip), clip.shape[1], (H // p) * (W // q)
    (p, q), (S, F) = config.audio_patch_size, clip.shape[-2:]
    return len(clip), S // p, F // q
