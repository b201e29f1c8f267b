"""A small run, small films, and an interruption, for the tests of all commands."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitvlt.commands import finetune, pretrain
from minitvlt.commands.main import main
from minitvlt.config import Config
from minitvlt.signals.clips import Clip, write_clip, write_wav
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.media import make_frames, make_sweep

CONFIG = Config.tiny(
    image_size=8,
    image_patch_size=(4, 4),
    num_frames=2,
    window_length=128,
    hop_length=64,
    spectrogram_length=12,
    frequency_length=6,
    audio_patch_size=(4, 3),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=10,
    initializer_range=0.5,
)
PRETRAIN = ["pretrain", "--config", "small.json", "--batch", "3", "--steps", "4", "--seed", "3"]


def prepare_work(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a small configuration; few clips are scored."""
    patch.chdir(folder)
    for command in (pretrain, finetune):
        patch.setattr(command, "CLIPS_SCORED", 16)
    (folder / "small.json").write_text(json.dumps(CONFIG.to_dict()))


def pretrain_small(folder: Path) -> str:
    """Make a small pre-training run in `run`; return what it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        prepare_work(folder, patch)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            assert main(PRETRAIN) == 0
    return printed.getvalue()


def write_films(folder: Path, count: int = 6) -> None:
    """Write films of the model's size, the odd ones bright, each with its own tone."""
    rng = np.random.default_rng(0)
    for number in range(count):
        write_film(folder / f"{number}.mp4", rng, 150 * (number % 2))


def write_film(path: Path, rng: np.random.Generator, brightness: int = 0, seconds: float = 0.0) -> None:
    seconds = seconds or CONFIG.clip_seconds
    colours = rng.integers(0, 100, (2, 2, 2, 3)) + brightness
    frames = colours.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    t = np.arange(round(seconds * 8000)) / 8000
    tone = rng.uniform(0.05, 0.9) * np.sin(2 * np.pi * rng.uniform(200, 3500) * t)
    write_clip(path, Clip(frames, 2 / seconds, tone.astype(np.float32), 8000))


def write_oddities(folder: Path) -> None:
    """Write a sound, a silent film and files that are neither."""
    write_wav(folder / "tone.wav", make_sweep(0.5, 8000), 8000)
    write_clip(folder / "silent.mp4", Clip(make_frames(9, 18, 22), 25.0, None, 0))
    for name in ("broken.mp4", "broken.wav"):
        (folder / name).write_bytes(b"this is no film")


def read_everything(folder: str | Path = ".") -> dict[str, bytes]:
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def interrupt_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Interrupt a run from the keyboard when it draws the clips of a step; one more draw comes first."""
    sample, calls = ShapesWorld.sample, []

    def counted(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == step + 1:
            raise KeyboardInterrupt
        return sample(*arguments)

    patch.setattr(ShapesWorld, "sample", counted)
