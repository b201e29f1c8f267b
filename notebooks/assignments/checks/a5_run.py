"""Judges the run that assignment 5 stores: from its files alone, without running anybody's code."""

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import minitvlt as mt

LOSSES, MODEL = "a5_losses.json", "a5_model.safetensors"
CONFIG = mt.Config.tiny(num_hidden_layers=2, decoder_num_hidden_layers=1)
RECIPE = mt.Recipe(steps=800, batch_size=16, learning_rate=0.003, warmup_steps=80)
MOST_BYTES = 20_000_000
CLIPS, SEED = 256, 5  # held-out clips, other ones than the notebook shows
SCORES = {  # part: metric of mt.evaluate, bound, whether it has to be below
    "hidden audio": ("hidden audio, relative error", 0.6, True),
    "hidden video": ("hidden video, relative error", 0.93, True),
    "matching": ("matching accuracy", 0.7, False),
}
PARTS = ("files", "losses", *SCORES)


@dataclass(frozen=True)
class Run:
    """What the files hold."""

    seed: int
    losses: list[float]
    params: mt.Params


def judge_run(arguments: dict[str, Any], result: Any) -> str:
    """Say what is wrong with a part of the stored run; "" if nothing is."""
    folder, part = Path(arguments["folder"]), arguments["part"]
    try:
        stamps = tuple(_stamp(folder / name) for name in (LOSSES, MODEL))
        run = read_run(folder, stamps)
        if part == "losses":
            return judge_losses(run)
        return judge_score(run, part) if part in SCORES else ""
    except ValueError as error:
        return str(error)


def _stamp(path: Path) -> tuple[int, int]:
    """The size of a file and when it was written.

    Raises:
        ValueError: no such file, or one that is far too large.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no file {path.name} beside the notebook: run the cell that trains and stores it."
        )
    state = path.stat()
    if state.st_size > MOST_BYTES:
        raise ValueError(
            f"{path.name} has {state.st_size:,} bytes, far more than a run of this assignment has."
        )
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=4)
def read_run(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Run:
    """Read both files.

    Raises:
        ValueError: a damaged file, one of another model, or a copy of the packaged model.
    """
    seed, losses = read_losses(folder / LOSSES)
    try:
        params = mt.load(folder / MODEL)
    except Exception:
        raise ValueError(
            f"{MODEL} is damaged, or was not written by mt.save: train and store again."
        ) from None
    if is_like(params, mt.load("shapes-small"), 0.9):
        raise ValueError(
            f"{MODEL} holds the model that is installed with the package, not one of this training."
        )
    if params.config != CONFIG or mt.flatten(params).keys() != mt.flatten(mt.init(CONFIG, 0)).keys():
        raise ValueError(f"{MODEL} holds a model of other sizes than CONFIG of this assignment.")
    if not is_like(params, mt.init(CONFIG, seed), 0.3):
        raise ValueError(
            f"{MODEL} does not come from a training that started at mt.init(CONFIG, seed={seed}), the seed "
            f"in {LOSSES}: store both files of the same run."
        )
    return Run(seed, losses, mt.to_backend(params, "numpy", dtype="float32"))


def read_losses(path: Path) -> tuple[int, list[float]]:
    """Read the seed, and the loss of every step.

    Raises:
        ValueError: a file that does not hold them.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        seed, losses = content["seed"], content["losses"]
        numbers = [float(loss) for loss in losses if type(loss) in (int, float) and math.isfinite(loss)]
        is_valid = (
            type(losses) is list and len(numbers) == len(losses) and type(seed) is int and 0 <= seed < 2**31
        )
    except Exception:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{path.name} is damaged: expected a seed and a list of finite losses.")
    if len(numbers) != RECIPE.steps:
        raise ValueError(f"{path.name} has {len(numbers)} losses; the training has {RECIPE.steps} steps.")
    return seed, numbers


def is_like(params: mt.Params, other: mt.Params, least: float) -> bool:
    """Whether the matrices that both have are correlated: their median correlation is above a number."""
    mine, theirs = mt.flatten(params), mt.flatten(other)
    shared = [n for n, x in mine.items() if x.ndim == 2 and n in theirs and theirs[n].shape == x.shape]
    pairs = [(np.float64(mine[name]).ravel(), np.float64(theirs[name]).ravel()) for name in shared]
    found = [x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-30) for x, y in pairs]
    return bool(found) and float(np.median(found)) > least


def judge_losses(run: Run) -> str:
    """Compute the first and the last loss again: they follow from the seed and the stored model."""
    world, recipe = mt.ShapesWorld(CONFIG, max_count=1), replace(RECIPE, seed=run.seed)
    for name, step, params in (
        ("first", 0, mt.init(CONFIG, run.seed)),
        ("last", recipe.steps - 1, run.params),
    ):
        rng = np.random.default_rng([run.seed, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), CONFIG, rng)
        expected = float(mt.pretraining_loss(params, batch).loss)
        if not abs(run.losses[step] - expected) <= 0.02 * expected:
            return (
                f"The {name} loss in {LOSSES} is {run.losses[step]:.4g}; computed again from the seed and "
                f"the stored model it is {expected:.4g}. The file does not belong to this run."
            )
    first, last = np.mean(run.losses[:40]), np.mean(run.losses[-40:])
    return (
        ""
        if last < 0.5 * first
        else f"The loss fell from {first:.3g} to {last:.3g} only: the model hardly learnt."
    )


def judge_score(run: Run, part: str) -> str:
    """Measure the stored model on held-out clips."""
    name, bound, is_below = SCORES[part]
    value = measure(tuple(run.losses), run.params)[name].value
    if value < bound if is_below else value > bound:
        return ""
    side = "below" if is_below else "above"
    return f"{name} of the stored model on {CLIPS} held-out clips: {value:.3f}; it has to be {side} {bound}."


_measured: dict[tuple[float, ...], dict[str, Any]] = {}


def measure(key: tuple[float, ...], params: mt.Params) -> dict[str, Any]:
    """Compute the metrics once for all parts."""
    if key not in _measured:
        _measured.clear()
        with np.errstate(all="ignore"):
            world = mt.ShapesWorld(CONFIG, split="held_out", max_count=1)
            _measured[key] = mt.evaluate(params, world, clips=CLIPS, seed=SEED)
    return _measured[key]
