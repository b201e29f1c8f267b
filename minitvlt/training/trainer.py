"""The training loop: draw, gradient, clip, AdamW, log, save.

Step n draws everything it needs from the generator seeded with (seed, n). So the number of completed steps is
also the position in the data and the state of the randomness, and a run can be interrupted at any point and
resumed, bit for bit on the same number of cores. The same loop runs on NumPy and PyTorch, for pre-training
and for fine-tuning.
"""

import json
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from minitvlt.backends import namespace, to_backend, unflatten, walk
from minitvlt.backends.fast.threads import count_cores
from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.model.parameters import Params
from minitvlt.training.batches import World, split_batch
from minitvlt.training.objectives import PRETRAINING, Objective, sum_gradients
from minitvlt.training.optimizer import AdamWState, Recipe, apply_adamw, compute_learning_rate, start_adamw
from minitvlt.training.runs import METRICS, STATE, describe_run, hold_folder, list_changes

SAVE_EVERY = 200  # steps
SMALL = 1 << 22  # parameters: larger models use all cores by the threads of their matrix products
DIVERGED = (
    "The loss at step {} is {}, the norm of its gradient {}: training has diverged. "
    "Lower the learning rate, or look for values outside [-1, 1] in the data."
)


def train(
    params: Params,
    world: World,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    show_progress: bool = True,
    objective: Objective = PRETRAINING,
    dtype: str = "float32",
    compile: bool = False,
) -> Params:
    """Train a model, from its initial parameters or from the last state that was saved in the folder.

    The folder receives `metrics.jsonl`, one line a step, and `training_state.safetensors`, written at the
    start, every 200 steps, after the last step, and when an error or Ctrl-C ends the run. Both depend on
    nothing but the arguments and, by rounding, the number of cores, kernels and versions of libraries: on the
    same ones, a run that was killed and resumed ends with the same bytes as one that was not.

    Args:
        params: initial parameters; where they are, the training runs.
        world: where clips come from; a run is resumed only with the same `fingerprints`, if it has them.
        recipe: steps, batch, learning rate, seed.
        folder: where to write; it is created if it does not exist. Under torchrun the first process writes,
            and all read: they must see the same folder.
        show_progress: show a progress bar.
        objective: what the model is trained for.
        dtype: of PyTorch's matrix products, "float32" or "bfloat16"; parameters stay in float32.
        compile: whether to use torch.compile; it takes minutes at first, then less time and memory a step.

    Returns:
        The trained parameters, in the same library and on the same device.

    Raises:
        ValueError: the folder holds another run, one on other data, or damaged files, or another process
            trains there; arguments that `check_training` refuses; a loss or gradient that is not finite, in
            which case the state before that step is saved.
        ChildProcessError: a helper process has ended; the state before that step is saved.
    """
    check_training(params, recipe, dtype, compile)
    clips = recipe.batch_size // recipe.micro_batches  # at a time
    if namespace(params.encoder.cls).name == "torch":
        kind = import_module("minitvlt.training.torch_trainer").TorchTrainer
    elif min(count_cores(), clips) > 1 and sum(x.size for _, x in walk(params)) <= SMALL:
        kind = import_module("minitvlt.training.helpers").HelperTrainer
    else:
        kind = Trainer
    with ExitStack() as stack:
        trainer = kind(params, world, recipe, objective, Path(folder), show_progress, dtype, compile, stack)
        trainer.run_steps()
        return trainer.params


@dataclass
class Trainer:
    """A training run on NumPy, in one process; `helpers` and `torch_trainer` have the other kinds."""

    params: Params  # a copy of the caller's, which is updated in place
    world: World
    recipe: Recipe
    objective: Objective
    folder: Path
    show_progress: bool
    dtype: str
    compile: bool
    stack: ExitStack  # what ends with the run

    library = "numpy"
    rank, processes = 0, 1  # of those that share each batch
    draws_ahead = False  # shared operations change the number of BLAS threads, and so the last bits of a draw
    sum_gradients = staticmethod(sum_gradients)
    apply_adamw = staticmethod(apply_adamw)

    def __post_init__(self) -> None:
        """Load the saved state, or start a new one."""
        if self.rank == 0:
            self.stack.enter_context(hold_folder(self.folder))
        self.config = self.params.config
        self.description = describe_run(self)
        self.steps_saved, self.state = load_state(self.folder / STATE, self.params, self.description)
        self.steps_done, self.params = self.steps_saved or 0, self.state.parameters
        if self.rank == 0:
            self.metrics = self.stack.enter_context(open_metrics(self.folder / METRICS, self.steps_done))
            self.save()
        seconds = {} if sys.stderr.isatty() else {"mininterval": 30.0, "maxinterval": 30.0}
        is_quiet = not self.show_progress or self.rank > 0
        bar = tqdm(total=self.recipe.steps, initial=self.steps_done, disable=is_quiet, unit="step", **seconds)
        self.bar = self.stack.enter_context(bar)

    def run_steps(self) -> None:
        """Take the steps that are left; save regularly, at the end, and after an error or Ctrl-C."""
        recipe = self.recipe
        try:
            for step, shares, counts in self.draw_batches():
                loss, numbers, norm, gradients = self.compute(shares, counts)
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    raise ValueError(DIVERGED.format(step + 1, loss, norm))
                line = self.objective.describe(numbers, counts)
                with uninterrupted():
                    self.steps_done = None  # neither the old state nor the new one can be saved
                    scale = min(1.0, recipe.clip_norm / (norm + 1e-12))
                    self.apply_adamw(self.state, gradients, scale, step, recipe)
                    del gradients  # the next step needs the memory
                    self.log(step, loss, line, norm)
                    self.steps_done = step + 1
                    if self.steps_done % SAVE_EVERY == 0:
                        self.save()
        finally:
            self.save()

    def draw_batches(self) -> Iterator[tuple[int, list[Any], Any]]:
        """Yield each step that is left with what `draw` returns for it.

        Where `draws_ahead`, the next batch is drawn while a step is computed.
        """
        pool = self.stack.enter_context(ThreadPoolExecutor(max_workers=1))
        drawn = None
        for step in range(self.steps_done, self.recipe.steps):
            shares, counts = (drawn or pool.submit(self.draw, step)).result()
            is_ahead = self.draws_ahead and step + 1 < self.recipe.steps
            drawn = pool.submit(self.draw, step + 1) if is_ahead else None
            yield step, shares, counts

    def draw(self, step: int) -> tuple[list[list[Any]], Any]:
        """Draw the batch of a step: the micro-batches of each process, and the counts of the whole batch.

        Under torchrun every process draws the same batch.
        """
        rng, recipe = np.random.default_rng([self.recipe.seed, step]), self.recipe
        batch = self.objective.draw(self.world, self.config, rng, recipe.batch_size)
        shares = split_batch(batch, self.processes)
        return [split_batch(rows, recipe.micro_batches) for rows in shares], self.objective.count(batch)

    def compute(self, shares: list[list[Any]], counts: Any) -> tuple[float, dict[str, Any], float, Any]:
        """Compute the loss, the numbers to log, the norm of the gradient and the gradients of a batch."""
        numbers, gradients = self.sum_gradients(self.objective.compute, self.params, shares, counts)
        norm = math.sqrt(sum(float(np.sum(g * g)) for _, g in walk(gradients)))
        numbers = {name: None if x is None else float(x) for name, x in numbers.items()}
        return numbers.pop("loss"), numbers, norm, gradients

    def log(self, step: int, loss: float, numbers: dict[str, Any], norm: float) -> None:
        """Append a line of metrics and flush it, so that it survives if this process is killed."""
        rate = compute_learning_rate(step, self.recipe)
        line = {"step": step + 1, "loss": loss, **numbers, "learning_rate": rate, "gradient_norm": norm}
        if self.rank == 0:
            self.metrics.write(json.dumps(line).encode() + b"\n")
            self.metrics.flush()
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self.bar.update()

    def save(self) -> None:
        """Save parameters, moments and the number of steps, once the lines of these steps are on the disk."""
        if self.rank == 0 and self.steps_done not in (None, self.steps_saved):
            os.fsync(self.metrics.fileno())
            metadata = {"steps": self.steps_done, **self.description}
            state = self.state if self.library == "numpy" else to_backend(self.state, "numpy")
            save_arrays(dict(walk(state)), self.folder / STATE, metadata)
            self.steps_saved = self.steps_done


def check_training(params: Params, recipe: Recipe, dtype: str = "float32", compile: bool = False) -> None:
    """Check that this machine and the library of the parameters can train so, before anything is written.

    Raises:
        ValueError: an unknown dtype; what NumPy, this device or this machine cannot do; a batch with fewer
            clips than micro-batches of all processes.
    """
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"Expected dtype to be float32 or bfloat16, got {dtype!r}.")
    if namespace(params.encoder.cls).name == "torch":
        torch_trainer = import_module("minitvlt.training.torch_trainer")
        torch_trainer.check_torch(str(params.encoder.cls.device), dtype, compile)
    elif namespace(params.encoder.cls).name != "numpy":
        raise ValueError("Training runs on NumPy and PyTorch: convert the parameters by mt.to_backend.")
    elif dtype == "bfloat16" or compile or "WORLD_SIZE" in os.environ:
        raise ValueError("dtype, compile and torchrun need PyTorch: choose the backend torch.")
    least = int(os.environ.get("WORLD_SIZE", "1")) * recipe.micro_batches  # processes of torchrun
    if recipe.batch_size < least:
        raise ValueError(
            f"Expected a batch_size of at least {least}, the micro-batches of all processes, "
            f"got {recipe.batch_size}."
        )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay an interruption by Ctrl-C to the end of the `with` block."""
    is_main = threading.current_thread() is threading.main_thread()  # others are not interrupted
    if not is_main or signal.getsignal(signal.SIGINT) is None:  # None: a handler that cannot be put back
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


def open_metrics(path: Path, steps_done: int) -> BinaryIO:
    """Open the metrics file to append; lines that are newer than the saved state, or incomplete, are cut off.

    Raises:
        ValueError: lines of completed steps are missing.
    """
    lines = path.read_bytes().splitlines(keepends=True)[:steps_done]
    if len(lines) < steps_done or not all(line.endswith(b"\n") for line in lines):
        raise ValueError(
            f"{path} lacks lines: the state beside it was saved after {steps_done} steps. "
            "Restore the file, or start again in another folder."
        )
    os.truncate(path, sum(map(len, lines)))
    return path.open("ab")


def load_state(path: Path, params: Params, description: dict[str, Any]) -> tuple[int | None, AdamWState]:
    """Load the steps done and the state that `Trainer.save` saved; without a file, None and a new state.

    Raises:
        ValueError: a damaged file, or one of another run, or of an earlier version of minitvlt.
    """
    start = start_adamw(params)
    if not path.exists():
        return None, start
    arrays, saved = load_arrays(path)
    shapes, expected = ({name: x.shape for name, x in tree.items()} for tree in (arrays, dict(walk(start))))
    identity, circumstances = (list_changes(saved.get(kind, {}), description[kind]) for kind in description)
    if identity or shapes != expected:
        raise ValueError(
            f"{path} belongs to a run with another configuration, recipe or data, or of an earlier version: "
            f"{identity or 'its arrays do not fit'}. Resume with the same, or start again in another folder."
        )
    if circumstances:
        warnings.warn(f"{path}: {circumstances}. The run goes on; its results may differ.", stacklevel=5)
    return saved["steps"], unflatten(start, arrays)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics file: one dictionary a step."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
