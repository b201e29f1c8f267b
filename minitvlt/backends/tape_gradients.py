"""From a function to its gradient on the tape, and memory traded for time on the way."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minitvlt.backends.tape_array import TapeArray, carry_back, record, value_of
from minitvlt.backends.tree import Array, map_tree, walk


def differentiate(
    function: Callable[..., Any], params: Any, args: tuple, has_aux: bool
) -> tuple[Array, Any, Any]:
    """Compute a scalar function of parameters, and carry its gradient back to them.

    Returns:
        The value, what came beside it (None without `has_aux`), and the gradients: all of them NumPy.

    Raises:
        ValueError: a value that is not a scalar.
    """
    recorded = map_tree(lambda x: TapeArray(x) if x.dtype.kind in "fc" else x, params)
    result = function(recorded, *args)
    value, aux = result if has_aux else (result, None)
    if np.shape(value_of(value)) != ():
        raise ValueError(f"Expected the value to be a scalar, got the shape {value.shape}: sum it up.")
    aux = map_tree(value_of, aux)
    if isinstance(value, TapeArray):
        carry_back(value)
    return value_of(value), aux, map_tree(_gradient, recorded)


def recompute(function: Callable[..., Array], *args: Any) -> Array:
    """Compute a function without keeping what happens inside; on the way back it is computed once more.

    The VJP puts the arguments on a new tape, runs the function on it, and carries g back along that. So the
    memory between the two ways is that of the arguments and the result alone (Chen et al. 2016).

    Args:
        function: returns one array.
        args: arrays and trees of them, on the tape or not.
    """
    parents = tuple(array for _, array in walk(args) if isinstance(array, TapeArray))

    def vjp(g: Array) -> tuple[Array, ...]:
        again = map_tree(lambda x: TapeArray(x.value) if isinstance(x, TapeArray) else x, args)
        carry_back(function(*again), g)
        return tuple(_gradient(array) for _, array in walk(again) if isinstance(array, TapeArray))

    return record(function(*map_tree(value_of, args)), (parents, vjp))


def _gradient(leaf: Array) -> Array:
    if not isinstance(leaf, TapeArray) or leaf.cotangent is None:
        return np.zeros_like(value_of(leaf))
    return leaf.cotangent if leaf.node.is_ours else leaf.cotangent.copy()
