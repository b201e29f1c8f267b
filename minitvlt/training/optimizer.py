"""AdamW, its learning rate and gradient clipping, on one flat vector that holds all parameters.

Matrices of linear maps come first in the vector: weight decay applies to them alone, not to biases, norms,
tables and tokens. The formulas are the same text on every backend and change nothing in place. They treat
each number by itself, so the trainer applies them slice by slice (see `slice_evenly`): what is computed on
the way then stays in the processor's cache, and no vector is ever made anew.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from minitvlt.backends import Array, namespace, unflatten, walk


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: what decides the numbers that come out, beside its configuration and data.

    Raises:
        ValueError: a value outside its range.
    """

    steps: int = 1800
    batch_size: int = 64
    micro_batches: int = 1  # a batch is worked through in so many parts; the gradients are those of the whole
    learning_rate: float | int = 3e-3  # the highest, reached after the warm-up
    warmup_steps: int = 100
    weight_decay: float | int = 0.001
    beta1: float | int = 0.9
    beta2: float | int = 0.95
    clip_norm: float | int = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "micro_batches"):
            _check_number(self, name, int, lambda value: value >= 1, "a whole number of at least 1")
        for name in ("warmup_steps", "seed"):
            _check_number(self, name, int, lambda value: value >= 0, "a whole number of at least 0")
        for name in ("learning_rate", "clip_norm"):
            _check_number(self, name, float, lambda value: 0 < value < math.inf, "a finite number above 0")
        for name in ("beta1", "beta2"):
            _check_number(self, name, float, lambda value: 0 <= value < 1, "at least 0 and below 1")
        wanted = "a finite number of at least 0"
        _check_number(self, "weight_decay", float, lambda value: 0 <= value < math.inf, wanted)
        if self.micro_batches > self.batch_size:
            raise ValueError(
                f"micro_batches {self.micro_batches} is larger than batch_size {self.batch_size}: "
                "each part needs at least one clip."
            )


def _check_number(
    recipe: Recipe, name: str, kind: type, is_valid: Callable[[float | int], bool], wanted: str
) -> None:
    value = getattr(recipe, name)
    kinds = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not is_valid(value):  # NaN is never valid
        raise ValueError(f"{name} must be {wanted}, not {value!r}.")


@dataclass(frozen=True)
class AdamWState:
    """The parameters and what AdamW remembers of their gradients"""

    parameters: Float[Array, "n"]
    mean: Float[Array, "n"]  # running mean of the gradient
    square: Float[Array, "n"]  # running mean of its square


def start_adamw(params: Any) -> AdamWState:
    """Begin with no memory of any gradient."""
    vector = to_vector(params)
    return AdamWState(vector, *(namespace(vector).zeros(vector.shape, vector) for _ in range(2)))


def update_adamw(
    state: AdamWState, gradient: Float[Array, "n"], step: int, recipe: Recipe, decays: bool = True
) -> AdamWState:
    """Take one step of AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019).

    Args:
        state: the parameters and the memory, or a slice of each.
        gradient: of the loss, already clipped.
        step: counted from 0.
        recipe: the rates.
        decays: whether weight decay applies.
    """
    xp = namespace(gradient)
    rate = compute_learning_rate(step, recipe)
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient * gradient
    # Both memories start at 0; dividing by these numbers undoes that bias.
    mean_bias, square_bias = 1 - recipe.beta1 ** (step + 1), 1 - recipe.beta2 ** (step + 1)
    deviation = xp.sqrt(square * (1 / square_bias)) + 1e-8
    kept = state.parameters * (1 - rate * recipe.weight_decay) if decays else state.parameters
    return AdamWState(kept - (rate / mean_bias) * mean / deviation, mean, square)


def compute_learning_rate(step: int, recipe: Recipe) -> float:
    """Rise linearly over the warm-up, then fall along half a cosine to 0 after the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def sum_squares(vector: Float[Array, "n"]) -> Float[Array, ""]:
    """Add up the squares of a vector slice by slice: no vector of squares, and little is rounded off."""
    xp = namespace(vector)
    return sum(
        (xp.matmul(vector[piece], vector[piece]) for piece in slice_evenly(vector)), xp.zeros((), vector)
    )


def find_scale(norm: Float[Array, ""], longest: float) -> Float[Array, ""]:
    """What to multiply a gradient by so that it is no longer than `longest`: 1 where it is not."""
    return namespace(norm).minimum(longest / (norm + 1e-12), 1.0)


def slice_evenly(vector: Float[Array, "n"]) -> list[slice]:
    """Cut the places of a vector into slices; on a processor so small that a dozen of them fit its cache."""
    size, n = 2**15 if str(vector.device) == "cpu" else 2**24, vector.shape[0]
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def lay_out(tree: Any) -> list[tuple[str, Float[Array, "..."]]]:
    """Name the arrays of a tree in the order of the vector: those that decay first, then the others."""
    return sorted(walk(tree), key=lambda named: not _decays(*named))


def count_decaying(tree: Any) -> int:
    """Count the numbers at the beginning of the vector that weight decay applies to."""
    return sum(math.prod(array.shape) for name, array in walk(tree) if _decays(name, array))


def _decays(name: str, array: Array) -> bool:
    return name.endswith("weight") and len(array.shape) == 2


def to_vector(tree: Any) -> Float[Array, "n"]:
    """Lay all arrays of a tree end to end."""
    arrays = [array for _, array in lay_out(tree)]
    xp = namespace(*arrays)
    return xp.concat([xp.reshape(array, (-1,)) for array in arrays], axis=0)


def from_vector(vector: Float[Array, "n"], like: Any) -> Any:
    """Cut a vector into a tree of the structure and shapes of `like`; the way back from `to_vector`."""
    xp, start, found = namespace(vector), 0, {}
    for name, array in lay_out(like):
        stop = start + math.prod(array.shape)
        found[name] = xp.reshape(vector[start:stop], tuple(array.shape))
        start = stop
    return unflatten(like, found)
