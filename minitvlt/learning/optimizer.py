"""AdamW, its learning rate and gradient clipping, on one flat vector that holds all parameters.

The formulas are the same text on every backend. Nothing is updated in place: each step makes new vectors, and
trees are views of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array, map_tree, namespace, walk


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
    empty = namespace(vector).zeros(vector.shape, vector)
    return AdamWState(vector, empty, empty)


def update_adamw(
    state: AdamWState, gradient: Float[Array, "n"], decays: Float[Array, "n"], step: int, recipe: Recipe
) -> AdamWState:
    """Take one step of AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019).

    Args:
        state: the parameters and the memory.
        gradient: of the loss, already clipped.
        decays: 1 where weight decay applies, else 0.
        step: counted from 0.
        recipe: the rates.
    """
    xp = namespace(gradient)
    rate = compute_learning_rate(step, recipe)
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient * gradient
    # Both memories start at 0; these factors undo that bias.
    unbiased_mean = mean * (1 / (1 - recipe.beta1 ** (step + 1)))
    deviation = xp.sqrt(square * (1 / (1 - recipe.beta2 ** (step + 1)))) + 1e-8
    kept = state.parameters * (1 - rate * recipe.weight_decay * decays)
    return AdamWState(kept - rate * unbiased_mean / deviation, mean, square)


def compute_learning_rate(step: int, recipe: Recipe) -> float:
    """Rise linearly over the warm-up, then fall along half a cosine to 0 after the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def clip_gradient(gradient: Float[Array, "n"], longest: float) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """Shorten a gradient that is longer than `longest`; return it with the norm that it had."""
    xp = namespace(gradient)
    norm = xp.sqrt(xp.sum(gradient * gradient))
    return gradient * xp.minimum(longest / (norm + 1e-12), 1.0), norm


def find_decays(params: Any) -> Float[np.ndarray, "n"]:
    """Mark with 1 the matrices of linear maps; biases, norms, position tables and tokens do not decay."""
    return np.concatenate(
        [
            np.full(array.shape, name.endswith("weight") and array.ndim == 2, np.float32).reshape(-1)
            for name, array in walk(params)
        ]
    )


def to_vector(tree: Any) -> Float[Array, "n"]:
    """Lay all arrays of a tree end to end."""
    arrays = [array for _, array in walk(tree)]
    xp = namespace(*arrays)
    return xp.concat([xp.reshape(array, (-1,)) for array in arrays], axis=0)


def from_vector(vector: Float[Array, "n"], like: Any) -> Any:
    """Cut a vector into a tree of the structure and shapes of `like`; the way back from `to_vector`."""
    xp = namespace(vector)
    start = 0

    def cut(array: Array) -> Array:
        nonlocal start
        size = math.prod(array.shape)
        start += size
        return xp.reshape(vector[start - size : start], tuple(array.shape))

    return map_tree(cut, like)
