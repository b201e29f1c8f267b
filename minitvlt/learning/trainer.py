"""The training loop: the same text for NumPy and PyTorch, for pre-training and for every task after it.

Step n draws everything it needs from the generator seeded with (seed, n). So the number of steps done is the
position in the data and the state of the randomness at once, and a run that was killed goes on as if it never
had been.
"""

import json
import math
import operator
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from minitvlt.backends import Array, map_tree, namespace, to_backend, value_and_grad
from minitvlt.files import write_atomically
from minitvlt.learning.batches import World, split_batch
from minitvlt.learning.checkpoints import load_arrays, save_arrays
from minitvlt.learning.objectives import PRETRAINING, Objective
from minitvlt.learning.optimizer import (
    AdamWState,
    Recipe,
    clip_gradient,
    compute_learning_rate,
    find_decays,
    from_vector,
    start_adamw,
    to_vector,
    update_adamw,
)
from minitvlt.model.parameters import Params

METRICS, STATE = "metrics.jsonl", "training_state.safetensors"
SAVE_EVERY = 200  # steps


def train(
    params: Params,
    world: World,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    show_progress: bool = True,
    objective: Objective = PRETRAINING,
) -> Params:
    """Train a model, from its initial parameters or from where the folder's last saved state stands.

    The folder receives `metrics.jsonl`, a line a step, and `training_state.safetensors`, written every 200
    steps, after the last step and when an error or the keyboard ends the run. Both depend on nothing but the
    arguments: a run that was killed and called again ends with the same bytes as one that was not.

    Args:
        params: initial parameters; where they live, the training runs.
        world: where clips come from.
        recipe: steps, batch, rates, seed.
        folder: where to write; it is made if it is not there.
        show_progress: draw a progress bar.
        objective: what the model is trained for.

    Returns:
        The trained parameters, in the same place.

    Raises:
        ValueError: the folder holds another run, or damaged files; a loss or gradient that is not finite, in
            which case the state before that step is kept.
    """
    metrics_path, state_path = Path(folder) / METRICS, Path(folder) / STATE
    decays, progress = move_beside(params, (find_decays(params), load_state(state_path, params, recipe)))
    with (
        open_metrics(metrics_path, progress[0]) as metrics,
        start_bar(progress[0], recipe, show_progress) as bar,
    ):
        try:
            while progress[0] < recipe.steps:
                step, state = progress
                rng = np.random.default_rng([recipe.seed, step])
                batch = objective.draw(world, params.config, rng, recipe.batch_size)
                parts = move_beside(params, tuple(split_batch(batch, recipe.micro_batches)))
                counts = objective.count(batch)
                state, line = take_step(state, params, decays, parts, counts, step, recipe, objective)
                write_line(metrics, line)
                progress = (step + 1, state)  # one assignment: an interruption finds both or neither
                bar.set_postfix(loss=f"{line['loss']:.3f}", refresh=False)
                bar.update()
                if progress[0] % SAVE_EVERY == 0:
                    save_state(state_path, metrics, *progress, params, recipe)
        finally:
            save_state(state_path, metrics, *progress, params, recipe)
    return from_vector(progress[1].parameters, params)


def move_beside(params: Params, tree: Any) -> Any:
    """Bring the arrays of a tree to the library and the device of the parameters."""
    array = params.encoder.cls
    return to_backend(tree, namespace(array).name, str(array.device))


def start_bar(steps_done: int, recipe: Recipe, show: bool) -> tqdm:
    """Draw a progress bar: lively on a terminal; in a log, where each new state is a line, twice a minute."""
    interval = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=recipe.steps,
        initial=steps_done,
        unit="step",
        disable=not show,
        dynamic_ncols=True,
        mininterval=interval,
        maxinterval=30.0,
    )


def take_step(
    state: AdamWState,
    like: Params,
    decays: Float[Array, "n"],
    parts: tuple[Any, ...],
    counts: Any,
    step: int,
    recipe: Recipe,
    objective: Objective = PRETRAINING,
) -> tuple[AdamWState, dict[str, Any]]:
    """Move the parameters by the gradient over all parts of a batch; also return the line of metrics.

    Raises:
        ValueError: a loss or gradient that is not finite.
    """
    params = from_vector(state.parameters, like)
    compute = value_and_grad(objective.compute, has_aux=True)
    total = None
    for part in parts:
        found, gradients = compute(params, part, counts)
        found = (found, to_vector(gradients))
        total = found if total is None else map_tree(operator.add, total, found)
    (loss, sums), gradient = total
    gradient, norm = clip_gradient(gradient, recipe.clip_norm)
    check_finite(step, float(loss), float(norm))
    described = objective.describe(
        {name: None if number is None else float(number) for name, number in sums.items()}, counts
    )
    line = {
        "step": step + 1,
        "loss": float(loss),
        **described,
        "learning_rate": compute_learning_rate(step, recipe),
        "gradient_norm": float(norm),
    }
    return update_adamw(state, gradient, decays, step, recipe), line


def check_finite(step: int, loss: float, norm: float) -> None:
    """Raise a ValueError if training has diverged."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise ValueError(
            f"The loss at step {step + 1} is {loss}, its gradient's norm {norm}: training has diverged. "
            "Lower the learning rate, or look for values outside [-1, 1] in the data."
        )


def save_state(
    path: Path, metrics: BinaryIO, step: int, state: AdamWState, params: Params, recipe: Recipe
) -> None:
    """Save parameters, AdamW's memory and the number of steps, once the lines of these are on the disk."""
    os.fsync(metrics.fileno())
    host = to_backend(state, "numpy")
    save_arrays(vars(host), path, {"steps": step, "run": describe_run(params, recipe)})


def load_state(path: Path, params: Params, recipe: Recipe) -> tuple[int, AdamWState]:
    """Load what `save_state` saved; where there is nothing yet, begin with the initial parameters.

    Raises:
        ValueError: a damaged file, or one of a run with another configuration or recipe.
    """
    start = start_adamw(to_backend(params, "numpy"))
    if not path.exists():
        return 0, start
    arrays, metadata = load_arrays(path)
    if metadata.get("run") != json.loads(json.dumps(describe_run(params, recipe))):
        raise ValueError(
            f"{path} is of a run with another configuration or recipe: go on with those, "
            "or choose another folder."
        )
    if {name: array.shape for name, array in arrays.items()} != {
        name: array.shape for name, array in vars(start).items()
    }:
        raise ValueError(
            f"{path} is damaged: its arrays are not those of {start.parameters.size} parameters."
        )
    return metadata["steps"], AdamWState(**arrays)


def describe_run(params: Params, recipe: Recipe) -> dict[str, Any]:
    """What has to be the same when a run goes on."""
    return {"config": params.config.to_dict(), "recipe": asdict(recipe)}


def open_metrics(path: Path, steps_done: int) -> BinaryIO:
    """Open the metrics file to append; what is newer than the saved state, or half written, is cut off.

    Raises:
        ValueError: lines of steps that were done are missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_bytes() if path.exists() else b""
    lines = text.splitlines(keepends=True)[:steps_done]
    if len(lines) < steps_done or not all(line.endswith(b"\n") for line in lines):
        raise ValueError(
            f"{path} lacks lines: {STATE} beside it was saved after {steps_done} steps. "
            "Bring the file back, or start another run."
        )
    write_atomically(path, lambda temporary: temporary.write_bytes(b"".join(lines)))
    return path.open("ab")


def write_line(metrics: BinaryIO, line: dict[str, Any]) -> None:
    """Append a line and hand it to the operating system, so that killing this process does not lose it."""
    metrics.write(json.dumps(line).encode() + b"\n")
    metrics.flush()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics file: one dictionary a step."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
