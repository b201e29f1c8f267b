"""AdamW, its learning rate, and the recipe of a training run."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array, map_tree, namespace, walk

SLICE = 1 << 15  # numbers: the dozen arrays of an update then fit the processor's cache


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result of a training run, beside the configuration and the data.

    Raises:
        ValueError: a value outside its range.
    """

    steps: int = 1800
    batch_size: int = 64
    micro_batches: int = 1  # parts that a batch is computed in, to save memory; gradients are the same
    learning_rate: float | int = 3e-3  # the highest, reached after the warm-up
    warmup_steps: int = 100
    weight_decay: float | int = 0.001
    beta1: float | int = 0.9
    beta2: float | int = 0.95
    clip_norm: float | int = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for names, kinds, is_valid, expected in RANGES:
            for name in names.split():
                value = getattr(self, name)
                if isinstance(value, bool) or not isinstance(value, kinds) or not is_valid(value):
                    raise ValueError(f"{name} must be {expected}, not {value!r}.")


RANGES = (  # NaN is never valid
    ("steps batch_size micro_batches", int, lambda x: x >= 1, "an integer of at least 1"),
    ("warmup_steps seed", int, lambda x: x >= 0, "an integer of at least 0"),
    ("learning_rate clip_norm", (int, float), lambda x: 0 < x < math.inf, "a finite number above 0"),
    ("weight_decay", (int, float), lambda x: 0 <= x < math.inf, "a finite number of at least 0"),
    ("beta1 beta2", (int, float), lambda x: 0 <= x < 1, "at least 0 and below 1"),
)


@dataclass(frozen=True)
class AdamWState:
    """Parameters and the moments that AdamW estimates: three arrays of one shape, or trees of arrays"""

    parameters: Any
    mean: Any  # running mean of the gradient
    square: Any  # running mean of its square


def start_adamw(params: Any) -> AdamWState:
    """Copy NumPy parameters, half precision as float32, and begin with moments of zero."""
    values = map_tree(lambda x: np.array(x, np.promote_types(x.dtype, np.float32), order="C"), params)
    return AdamWState(values, map_tree(np.zeros_like, values), map_tree(np.zeros_like, values))


def update_adamw(
    state: AdamWState, gradient: Float[Array, "*shape"], step: int, recipe: Recipe, decays: bool = True
) -> AdamWState:
    """Compute one step of AdamW for one array (Kingma and Ba 2015; Loshchilov and Hutter 2019).

    Args:
        state: the array of parameters and its moments.
        gradient: of the loss, already clipped.
        step: counted from 0.
        recipe: learning rate, betas, weight decay.
        decays: whether weight decay applies.
    """
    xp = namespace(gradient)
    rate = compute_learning_rate(step, recipe)
    mean = recipe.beta1 * state.mean + (1 - recipe.beta1) * gradient
    square = recipe.beta2 * state.square + (1 - recipe.beta2) * gradient * gradient
    # Both moments start at 0; dividing by these numbers undoes that bias.
    mean_bias, square_bias = 1 - recipe.beta1 ** (step + 1), 1 - recipe.beta2 ** (step + 1)
    deviation = xp.sqrt(square * (1 / square_bias)) + 1e-8
    kept = state.parameters * (1 - rate * recipe.weight_decay) if decays else state.parameters
    return AdamWState(kept - (rate / mean_bias) * mean / deviation, mean, square)


def apply_adamw(state: AdamWState, gradients: Any, scale: float, step: int, recipe: Recipe) -> None:
    """Compute one step of AdamW for all arrays of a state of NumPy trees, in place.

    Args:
        state: trees of contiguous arrays.
        gradients: a tree like the parameters.
        scale: what gradients are multiplied by: `clip_norm` divided by their norm, where that is below 1.
        step: counted from 0.
        recipe: learning rate, betas, weight decay.
    """
    trees = (state.parameters, state.mean, state.square, gradients)
    for named in zip(*map(walk, trees), strict=True):
        is_decaying = decays(*named[0])
        flat = [array.reshape(-1) for _, array in named]
        for start in range(0, flat[0].size, SLICE):
            *old, gradient = (array[start : start + SLICE] for array in flat)
            new = update_adamw(AdamWState(*old), gradient * scale, step, recipe, is_decaying)
            for array, values in zip(old, (new.parameters, new.mean, new.square), strict=True):
                array[...] = values


def decays(name: str, array: Float[Array, "..."]) -> bool:
    """Return whether weight decay applies: to matrices of linear maps, not to biases, norms and tables."""
    return name.endswith("weight") and len(array.shape) == 2


def compute_learning_rate(step: int, recipe: Recipe) -> float:
    """Rise linearly during the warm-up, then fall along half a cosine to 0 after the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
