"""A small run, small films, and an interruption, for the tests of all commands."""

import contextlib
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitvlt.commands import finetune, pretrain
from minitvlt.commands.main import main
from minitvlt.config import Config
from minitvlt.signals.media import Clip, write_clip
from minitvlt.signals.waveforms import write_wav
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.media import make_frames, make_sweep

CONFIG = Config.tiny()
PRETRAIN = ["pretrain", "--batch", "3", "--steps", "2", "--seed", "3"]


def prepare_work(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder; few clips are scored."""
    patch.chdir(folder)
    for command in (pretrain, finetune):
        patch.setattr(command, "CLIPS_SCORED", 16)


def pretrain_small(folder: Path) -> str:
    """Make a small pre-training run in `run`; return what it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        prepare_work(folder, patch)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            assert main(PRETRAIN) == 0
    return printed.getvalue()


def write_film(path: Path, seed: int, seconds: float = CONFIG.clip_seconds) -> None:
    """Write a film of the model's size with colours and a tone of its own; odd seeds are bright."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 100, (3, 2, 2, 3)) + 150 * (seed % 2)
    frames = colours.repeat(12, 1).repeat(12, 2).astype(np.uint8)
    t = np.arange(round(seconds * 8000)) / 8000
    tone = rng.uniform(0.05, 0.9) * np.sin(2 * np.pi * rng.uniform(200, 3500) * t)
    write_clip(path, Clip(frames, 3 / seconds, tone.astype(np.float32), 8000))


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
    sample, calls = ShapesWorld.sample, itertools.count()

    def counted(*arguments: Any) -> Any:
        if next(calls) == step:
            raise KeyboardInterrupt
        return sample(*arguments)

    patch.setattr(ShapesWorld, "sample", counted)
