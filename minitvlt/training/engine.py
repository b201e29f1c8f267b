"""What computes the steps of a training run: here one process with any array library, NumPy above all.

The trainer asks an engine for gradients and lets it update the parameters. `numpy_engine.py` has the one for
small models on NumPy, where each core gets a process. `torch_engine.py` has the one for PyTorch, with all
that makes it fast: precision, compilation, several processes.
"""

import math
import operator
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from jaxtyping import Float

from minitvlt.backends import Array, map_tree, namespace, to_backend, value_and_grad
from minitvlt.model.parameters import Params
from minitvlt.training.optimizer import (
    AdamWState,
    Recipe,
    count_decaying,
    find_scale,
    from_vector,
    lay_out,
    slice_evenly,
    sum_squares,
    update_adamw,
)
from minitvlt.training.processes import count_processes, is_one_of_several

Numbers = dict[str, Float[Array, ""] | None]
Pieces = list[Float[Array, "_"]]
Compute = Callable[..., tuple[Float[Array, ""], Numbers]]  # of parameters, a part of a batch, and counts


@dataclass(frozen=True)
class Execution:
    """How the steps of a run are computed, on PyTorch; what is computed stays the same, beyond rounding.

    Raises:
        ValueError: an unknown precision.
    """

    dtype: str = "float32"  # of products, or "bfloat16"; parameters, gradients and sums stay in float32
    compile: bool = False  # by torch.compile: minutes at first, less time and memory for each step

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype must be float32 or bfloat16, not {self.dtype!r}.")


PLAIN = Execution()


class Engine:
    """The engine of a single process; its parameters are views of one vector, which is updated in place."""

    rank, processes = 0, 1
    ahead = 0  # for how many steps batches are drawn beforehand: where the processor computes, it has no time
    is_whole = True  # False while an update is under way: such a state is not saved

    def __init__(self, params: Params, state: AdamWState) -> None:
        """Begin with some parameters and AdamW's memory, NumPy vectors that nobody else may use any more.

        `params` say where to compute, and what the vectors hold; they stay as they are, and are not kept.
        """
        self.like = shape_like(params)
        self.state, self.decaying = move_beside(params, state), count_decaying(params)
        xp = namespace(self.state.parameters)
        self.is_fine = xp.zeros((), self.state.parameters) < 1  # no loss so far was NaN or infinite

    def move(self, tree: Any) -> Any:
        """Bring a part of a batch to where the parameters live."""
        return move_beside(self.like, tree)

    def compute(self, function: Compute, parts: list[Any], counts: Any) -> tuple[Numbers, Pieces]:
        """Add up over the parts of a batch what `function(params, part, counts)` returns, and its gradient.

        Returns:
            The numbers beside the value, the value as `loss`, and `gradient_norm`; and the gradient in
            pieces, which end to end are as long as the vector of parameters. The pieces hold until the next
            call, which may use their memory.
        """
        numbers, gradient = self.differentiate(function, parts, counts)
        norm = namespace(*gradient).sqrt(sum(map(sum_squares, gradient)))
        return {**numbers, "gradient_norm": norm}, gradient

    def differentiate(self, function: Compute, parts: list[Any], counts: Any) -> tuple[Numbers, Pieces]:
        """Do the work of `compute`, but for the norm."""
        compute, params, total = value_and_grad(function, has_aux=True), self.finish(), None
        for part in parts:
            (loss, numbers), gradients = compute(params, part, counts)
            pieces = [namespace(array).reshape(array, (-1,)) for _, array in lay_out(gradients)]
            found = ({"loss": loss, **numbers}, pieces)
            total = found if total is None else map_tree(operator.add, total, found)
        return total

    def update(self, gradient: Pieces, numbers: Numbers, step: int, recipe: Recipe) -> None:
        """Take a step of AdamW in place, unless a loss or gradient, now or in an earlier step, is not finite.

        From then on nothing changes any more. So nobody has to wait for the numbers before the next step
        begins, and the state is a good one when the trainer has read them and ends the run.
        """
        loss, norm = numbers["loss"], numbers["gradient_norm"]
        self.is_fine = self.is_fine & (namespace(loss).abs(loss) < math.inf) & (norm < math.inf)
        self.is_whole = False
        self.move_parameters(gradient, find_scale(norm, recipe.clip_norm), step, recipe)
        self.is_whole = True

    def move_parameters(self, gradient: Pieces, scale: Float[Array, ""], step: int, recipe: Recipe) -> None:
        """Do the work of `update`: slice by slice, so that all that is made on the way stays in the cache."""
        if not self.is_fine:
            return
        start = 0
        for piece in gradient:
            for some in slice_evenly(piece):
                places = slice(start + some.start, start + some.stop)
                old = map_tree(lambda vector, places=places: vector[places], self.state)
                new = update_adamw(old, piece[some] * scale, step, recipe, start < self.decaying)
                for place, value in zip(vars(old).values(), vars(new).values(), strict=True):
                    place[...] = value
            start += piece.shape[0]

    def read_later(self, numbers: Numbers) -> Callable[[], dict[str, float | None]]:
        """Begin to bring numbers to the host; the function that is returned waits for them."""
        return lambda: {name: None if number is None else float(number) for name, number in numbers.items()}

    def gather(self) -> AdamWState:
        """Return the state as NumPy arrays, to be saved."""
        return to_backend(self.state, "numpy")

    def finish(self) -> Params:
        """Hand out the parameters."""
        return from_vector(self.state.parameters, self.like)

    def close(self) -> None:
        """End what was started for the steps; here nothing was."""


def start_engine(params: Params, state: AdamWState, execution: Execution = PLAIN) -> Engine:
    """Choose the engine for the library of the parameters.

    Args:
        params: initial parameters; where they live, the engine computes.
        state: what to begin with, as NumPy vectors; the engine changes them in place.
        execution: as `check_execution` allows it.
    """
    library = namespace(params.encoder.cls).name
    if library == "torch":
        return _import("torch_engine").TorchEngine(params, state, execution)
    if library == "numpy" and _import("numpy_engine").is_worth_helpers(params):
        return _import("numpy_engine").NumpyEngine(params, state)
    return Engine(params, state)


def check_execution(params: Params, execution: Execution, recipe: Recipe) -> None:
    """Refuse an execution that the library of the parameters, this machine or the recipe does not allow."""
    library = namespace(params.encoder.cls).name
    asked = [name for name, value in vars(execution).items() if value != getattr(PLAIN, name)]
    if library != "torch" and asked:
        raise ValueError(
            f"Only PyTorch can do this: leave {', '.join(asked)} out, or choose the backend torch."
        )
    if library != "torch" and is_one_of_several():
        raise ValueError(f"torchrun starts processes that share the work; {library} cannot: choose torch.")
    if library == "torch":
        _import("torch_processes").check_torch(execution, str(params.encoder.cls.device))
    least = count_processes() * recipe.micro_batches
    if recipe.batch_size < least:
        raise ValueError(
            f"A batch of {recipe.batch_size} clips is too small for {count_processes()} processes with "
            f"{recipe.micro_batches} parts each: take at least {least} clips."
        )


def join_processes(params: Params) -> AbstractContextManager[None]:
    """Work together with the other processes that torchrun started, if it did, as long as this lasts."""
    if namespace(params.encoder.cls).name != "torch":
        return nullcontext()
    return _import("torch_processes").join_processes(str(params.encoder.cls.device))


def shape_like(tree: Any) -> Any:
    """Make a tree of the same structure, shapes, library and device, of zeros that take hardly any memory."""

    def repeat(x: Array) -> Array:
        xp = namespace(x)
        return xp.broadcast_to(xp.zeros((1,) * len(x.shape), x), tuple(x.shape))

    return map_tree(repeat, tree)


def move_beside(params: Params, tree: Any) -> Any:
    """Bring the arrays of a tree to the library and the device of the parameters."""
    array = params.encoder.cls
    return to_backend(tree, namespace(array).name, str(array.device))


def _import(name: str) -> ModuleType:
    return import_module(f"minitvlt.training.{name}")
