"""The training loop: the same text for NumPy and PyTorch, for pre-training and for every task after it.

Step n draws everything it needs from the generator seeded with (seed, n). So the number of steps done is the
position in the data and the state of the randomness at once, and a run that was killed goes on as if it never
had been. Where several processes share the work, each draws the same batch and works through its rows.
"""

import json
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minitvlt.backends import kernels_in_use, namespace, to_backend
from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.model.parameters import Params
from minitvlt.training.batches import World, split_batch
from minitvlt.training.engine import PLAIN, Engine, Execution, check_execution, join_processes, start_engine
from minitvlt.training.journal import Journal
from minitvlt.training.objectives import PRETRAINING, Objective
from minitvlt.training.optimizer import AdamWState, Recipe, compute_learning_rate, start_adamw

METRICS, STATE = "metrics.jsonl", "training_state.safetensors"
SAVE_EVERY = 200  # steps


def train(
    params: Params,
    world: World,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    show_progress: bool = True,
    objective: Objective = PRETRAINING,
    execution: Execution = PLAIN,
) -> Params:
    """Train a model, from its initial parameters or from where the folder's last saved state stands.

    The folder receives `metrics.jsonl`, a line a step, and `training_state.safetensors`, written every 200
    steps, after the last step and when an error or the keyboard ends the run. Both depend on nothing but the
    arguments and, by rounding, the number of cores: a run that was killed and called again ends with the same
    bytes as one that was not.

    Args:
        params: initial parameters; where they live, the training runs.
        world: where clips come from.
        recipe: steps, batch, rates, seed.
        folder: where to write; it is made if it is not there. Of several processes the first writes, and all
            read: they must see the same folder.
        show_progress: draw a progress bar.
        objective: what the model is trained for.
        execution: how PyTorch computes the steps.

    Returns:
        The trained parameters, in the same place.

    Raises:
        ValueError: the folder holds another run, or damaged files; an execution that is not to be had here;
            a loss or gradient that is not finite, in which case the state before that step is kept.
    """
    check_execution(params, execution, recipe)
    with join_processes(params):
        state_path = Path(folder) / STATE
        steps_done, state = load_state(state_path, params, recipe)
        with closing(start_engine(params, state, execution)) as engine:
            del params, state  # the engine has taken them over
            path = Path(folder) / METRICS if engine.rank == 0 else None
            with closing(Journal(path, steps_done, recipe.steps, show_progress)) as journal:
                save = partial(save_state, state_path, engine, journal, recipe)
                run_steps(engine, journal, world, recipe, objective, save)
            return engine.finish()


def run_steps(
    engine: Engine, journal: Journal, world: World, recipe: Recipe, objective: Objective, save: Callable
) -> None:
    """Take the steps that are left, and save the state now and then, at the end, and when something ends it.

    Nothing here waits for what computes: a step's numbers are read while the next one is under way.
    """
    draw = partial(draw_parts, engine, world, recipe, objective)
    try:
        for step, (parts, counts) in draw_ahead(draw, range(journal.steps, recipe.steps), engine.ahead):
            numbers, gradient = engine.compute(objective.compute, parts, counts)
            with uninterrupted():  # the state and the journal always belong to the same step
                engine.update(gradient, numbers, step, recipe)
                del gradient  # the next one needs the memory
                read = engine.read_later(numbers)
                journal.add(partial(make_line, step, read, counts, recipe, objective))
                if (step + 1) % SAVE_EVERY == 0:
                    save()
    except BaseException:
        if engine.is_whole:
            save()
        raise
    save()


def draw_parts(
    engine: Engine, world: World, recipe: Recipe, objective: Objective, step: int
) -> tuple[list[Any], Any]:
    """Draw a step's batch, the same in every process; return this one's rows, in parts, and the counts."""
    rng = np.random.default_rng([recipe.seed, step])
    batch = objective.draw(world, engine.like.config, rng, recipe.batch_size)
    rows = split_batch(batch, engine.processes)[engine.rank]
    return engine.move(split_batch(rows, recipe.micro_batches)), objective.count(batch)


def draw_ahead(draw: Callable[[int], Any], steps: range, ahead: int) -> Iterator[tuple[int, Any]]:
    """Yield each step with what is drawn for it, in a thread that may be so many steps ahead."""
    drawn: deque[tuple[int, Future]] = deque()
    with ThreadPoolExecutor(max_workers=1) as pool:
        for step in steps:
            drawn.append((step, pool.submit(draw, step)))
            if len(drawn) > ahead:
                yield drawn[0][0], drawn.popleft()[1].result()
        for step, batch in drawn:
            yield step, batch.result()


def make_line(
    step: int, read: Callable[[], dict[str, float | None]], counts: Any, recipe: Recipe, objective: Objective
) -> dict[str, Any]:
    """What the metrics say of a step, once its numbers can be read."""
    numbers = read()
    loss, norm = numbers.pop("loss"), numbers.pop("gradient_norm")
    return {
        "step": step + 1,
        "loss": loss,
        **objective.describe(numbers, counts),
        "learning_rate": compute_learning_rate(step, recipe),
        "gradient_norm": norm,
    }


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interruption by the keyboard wait for the end of what is done here."""
    if threading.current_thread() is not threading.main_thread():  # others are not interrupted
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def save_state(path: Path, engine: Engine, journal: Journal, recipe: Recipe) -> None:
    """Save parameters, AdamW's memory and the number of steps, once the lines of these are on the disk."""
    try:
        journal.flush()
    finally:  # a line that cannot be written, because its loss is not finite, is of a step that was not taken
        state = engine.gather()
        if engine.rank == 0:
            journal.sync()
            run = describe_run(engine.like, recipe)
            metadata = {"steps": journal.steps, "run": run, "kernels": kernels_in_use()}
            save_arrays(vars(state), path, metadata)


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
    kernels = metadata.get("kernels")
    if namespace(params.encoder.cls).name == "numpy" and kernels != kernels_in_use():
        warnings.warn(
            f"{path} was computed with the kernels {kernels!r}, the run goes on with {kernels_in_use()!r}: "
            "the results differ by rounding.",
            stacklevel=2,
        )
    return metadata["steps"], AdamWState(**arrays)


def describe_run(params: Params, recipe: Recipe) -> dict[str, Any]:
    """What has to be the same when a run goes on."""
    return {"config": params.config.to_dict(), "recipe": asdict(recipe), "order": "matrices first"}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics file: one dictionary a step."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
