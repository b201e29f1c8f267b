"""What assignment 6 is tried on: clips with and without padding, small models, and held-out clips."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minitvlt as mt

CONFIG = mt.Config.tiny(num_hidden_layers=2, decoder_num_hidden_layers=1)
MODEL, RUN = "a6_model.safetensors", "a6_run.json"
GROUPS = 16  # of 16 held-out clips
RECIPE = mt.Recipe(steps=600, batch_size=16, learning_rate=0.003, warmup_steps=60)
SMALL = mt.Config.tiny(
    num_frames=2,
    hidden_size=12,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=20,
    decoder_hidden_size=8,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=12,
)


@dataclass(frozen=True)
class PaddedWorld:
    """Clips of the embedded world, of which every second one is shorter: what is missing is padding."""

    config: mt.Config
    has_padding: bool = True

    def sample(self, rng: np.random.Generator, count: int) -> Any:
        """Draw clips; the last frame and the last third of the audio of every second clip are padding."""
        clips = mt.ShapesWorld(self.config, max_count=1).sample(rng, count)
        if not self.has_padding:
            return clips
        tokens = [np.prod(self.config.image_grid), *self.config.audio_grid]
        video_mask = np.ones((count, self.config.num_frames * tokens[0]), bool)
        audio_mask = np.ones((count, tokens[1] * tokens[2]), bool)
        video_mask[1::2, -tokens[0] :] = False
        audio_mask[1::2, -tokens[2] :] = False
        video, audio = clips.video.copy(), clips.audio.copy()
        video[1::2, -1] = 0
        audio[1::2, :, -self.config.audio_patch_size[0] :] = 0
        return replace(clips, video=video, audio=audio, video_mask=video_mask, audio_mask=audio_mask)


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for the small model and the clips of a case."""
    return int(rng.integers(1000))


def draw_held_out(config: mt.Config, number: int, count: int) -> Any:
    """Draw a batch of clips that no training sees, with what is hidden of them."""
    rng = np.random.default_rng([6, number, 1])  # training has seeds of two numbers
    world = mt.ShapesWorld(config, split="held_out", max_count=1)
    return mt.make_batch(world.sample(rng, count), config, rng)


def erase_hidden(batch: Any, value: float = 0.0) -> Any:
    """The batch without what is hidden: those patches are filled with one value."""
    p, q = CONFIG.image_patch_size, CONFIG.audio_patch_size  # those of SMALL, too
    fill = batch.video.dtype.type(value)
    video = np.where(batch.video_masking.is_hidden[..., None], fill, mt.patchify_video(batch.video, p))
    audio = np.where(batch.audio_masking.is_hidden[..., None], fill, mt.patchify_audio(batch.audio, q))
    (T, _, H, W), (S, F) = batch.video.shape[1:], batch.audio.shape[2:]
    video, audio = mt.unpatchify_video(video, p, (T, H, W)), mt.unpatchify_audio(audio, q, (S, F))
    return replace(batch, video=video, audio=audio)
