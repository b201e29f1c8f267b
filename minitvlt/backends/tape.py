"""Reverse-mode differentiation: arrays that record how they were computed, and the backward pass over them.

Let L be the scalar at the end of a computation. The cotangent of an array x is ∂L/∂x, an array of the same
shape. If y = f(x), the chain rule gives the cotangent of x from that of y, which is called g here:

    ∂L/∂x_i = Σ_j g_j ∂y_j/∂x_i        the vector-Jacobian product (VJP) of f

Each function does two things when it is called: it computes its value, and it records, for every array that
went in, the VJP that leads back to it. `backward` follows these edges from L to the parameters, last array
first. An array that was used several times gets the sum of the contributions of all uses. The record holds no
arrays: each VJP holds those that it needs, and is dropped as soon as it has run.

A complex cotangent is ∂L/∂Re + i ∂L/∂Im. Then f(z) with the derivative f'(z) has the VJP g · conj(f'(z)).
"""

import operator
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from minitvlt.backends.tree import Array, map_tree, walk

_numbers = count()


class Node:
    """An array's entry in the record: shape and dtype, the edges to its parents, and its cotangent so far"""

    __slots__ = ("cotangent", "dtype", "edges", "number", "shape")

    def __init__(self, value: Array, edges: list) -> None:
        self.shape, self.dtype, self.edges = value.shape, value.dtype, edges
        self.number = next(_numbers)  # grows with time: parents have smaller numbers than their children
        self.cotangent: Array | None = None


def value_of(x: Any) -> Any:
    """Return the NumPy array of a TapeArray; a constant is returned as it is."""
    return x.value if isinstance(x, TapeArray) else x


def record(value: Array, *edges: tuple[Any, Callable]) -> Array:
    """Record a value that was computed from other arrays.

    Args:
        value: the result.
        edges: pairs (parent, vjp), or (tuple of parents, vjp) where one computation serves several: `vjp(g)`
            then returns a tuple. Parents that are not recorded are constants; an edge to constants alone is
            dropped, and a value without edges is a constant itself.
    """
    linked = []
    for parents, vjp in edges:
        parents = parents if isinstance(parents, tuple) else (parents,)
        nodes = [parent.node if isinstance(parent, TapeArray) else None for parent in parents]
        if any(nodes):
            linked.append((nodes, vjp))
    return TapeArray(value, linked) if linked else value


# --------------------------------------------------------------------------------------------- arithmetic


def add(x: Array, y: Array) -> Array:
    """z = x + y: ∂z/∂x = ∂z/∂y = 1."""
    return record(value_of(x) + value_of(y), (x, lambda g: g), (y, lambda g: g))


def subtract(x: Array, y: Array) -> Array:
    """z = x - y: ∂z/∂x = 1 and ∂z/∂y = -1."""
    return record(value_of(x) - value_of(y), (x, lambda g: g), (y, operator.neg))


def multiply(x: Array, y: Array) -> Array:
    """z = x y: ∂z/∂x = y and ∂z/∂y = x."""
    a, b = value_of(x), value_of(y)
    return record(a * b, (x, lambda g: g * b.conjugate()), (y, lambda g: g * a.conjugate()))


def divide(x: Array, y: Array) -> Array:
    """z = x / y: ∂z/∂x = 1 / y and ∂z/∂y = -x / y² = -z / y."""
    a, b = value_of(x), value_of(y)
    z = a / b
    return record(z, (x, lambda g: g / b.conjugate()), (y, lambda g: g * (-z / b).conjugate()))


def power(x: Array, exponent: float | int) -> Array:
    """y = xⁿ for a number n: dy/dx = n xⁿ⁻¹."""
    a = value_of(x)
    return record(a**exponent, (x, lambda g: g * (exponent * a ** (exponent - 1)).conjugate()))


def select(x: "TapeArray", index: Any) -> "TapeArray":
    """y = x[index] by integers and slices: g goes to the selected elements, 0 to all others."""
    for i in index if isinstance(index, tuple) else (index,):
        if isinstance(i, list) or getattr(i, "shape", ()):
            raise ValueError("Expected integers and slices as an index; for an array use take_along_axis.")

    def vjp(g: Array) -> Array:
        back = np.zeros(x.shape, g.dtype)
        back[index] = g
        return back

    return record(x.value[index], (x, vjp))


class TapeArray:
    """A NumPy array that is recorded.

    Arithmetic, comparisons, and indexing by integers and slices work as on the array itself. Comparisons are
    not recorded: they are piecewise constant, so their derivative is 0.
    """

    __slots__ = ("node", "value")
    __array_ufunc__ = None  # makes NumPy leave `array + TapeArray` to TapeArray.__radd__
    __hash__ = object.__hash__

    def __init__(self, value: Array, edges: list | None = None) -> None:
        self.value, self.node = value, Node(value, edges or [])

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)

    def __repr__(self) -> str:
        return f"TapeArray({self.value!r})"

    __add__ = __radd__ = add
    __mul__ = __rmul__ = multiply
    __sub__, __truediv__, __pow__, __getitem__ = subtract, divide, power, select

    def __rsub__(self, other: Array) -> "TapeArray":
        return subtract(other, self)

    def __rtruediv__(self, other: Array) -> "TapeArray":
        return divide(other, self)

    def __neg__(self) -> "TapeArray":
        return record(-self.value, (self, operator.neg))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ValueError("Recorded arrays cannot be changed in place: compute new ones, as where does.")


for _compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
    _method = f"__{_compare.__name__}__"  # on the values: __lt__ is lambda self, other: self.value < other
    setattr(TapeArray, _method, lambda self, other, compare=_compare: compare(self.value, value_of(other)))


# --------------------------------------------------------------------------------------- backward pass


def backward(output: TapeArray, cotangent: Array | None = None) -> None:
    """Compute the cotangents of all parameters that `output` was computed from.

    It starts with the cotangent of `output`: by default 1, as for a loss. The node that was made last is
    always next. All that was computed from it was made later, so its cotangent is complete.
    """
    output.node.cotangent = np.ones_like(output.value) if cotangent is None else cotangent
    waiting = [(-output.node.number, output.node)]
    while waiting:
        _, node = heappop(waiting)
        if not node.edges:
            continue  # a parameter: its cotangent is the result
        g, edges = node.cotangent, node.edges
        node.cotangent, node.edges = None, []
        for parents, vjp in edges:
            contributions = vjp(g)
            if not isinstance(contributions, tuple):
                contributions = (contributions,)
            for parent, contribution in zip(parents, contributions, strict=True):
                if parent is None:
                    continue
                contribution = sum_to_shape(contribution, parent)
                if parent.cotangent is None:
                    parent.cotangent = contribution
                    heappush(waiting, (-parent.number, parent))
                else:  # never in place: others may hold the same array
                    parent.cotangent = parent.cotangent + contribution


def sum_to_shape(g: Array, like: Array | Node) -> Array:
    """Undo broadcasting: the cotangent of an element that was repeated is the sum over its copies.

    The result has the shape and the dtype of `like`; the cotangent of a real array is real.
    """
    shape = like.shape
    if g.shape != shape:
        extra = g.ndim - len(shape)
        repeated = [extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1]
        g = np.sum(g, axis=(*range(extra), *repeated), keepdims=True).reshape(shape)
    if g.dtype != like.dtype:
        g = (g.real if like.dtype.kind == "f" else g).astype(like.dtype)
    return g


def differentiate(function: Callable[..., Any], params: Any, args: tuple) -> tuple[Array, Any, Any]:
    """Compute a function of parameters that returns a scalar and anything, and the gradient of the scalar.

    Returns:
        The value, the auxiliary result, and the gradients, all of them on NumPy.
    """
    recorded = map_tree(lambda x: TapeArray(x) if x.dtype.kind in "fc" else x, params)
    value, aux = function(recorded, *args)
    if isinstance(value, TapeArray):
        backward(value)
    return value_of(value), map_tree(value_of, aux), map_tree(_gradient_of, recorded)


def _gradient_of(x: Array) -> Array:
    if not isinstance(x, TapeArray) or x.node.cotangent is None:
        return np.zeros_like(value_of(x))
    return np.array(x.node.cotangent)  # a copy: cotangents may be views, or shared


def recompute(function: Callable[..., Array], *args: Any) -> Array:
    """Compute a function without recording its inside; the backward pass computes it once more.

    The VJP records the function on its own, and runs backward through it. So between the passes only the
    arguments and the result are in memory (gradient checkpointing; Chen et al. 2016).

    Args:
        function: returns one array.
        args: arrays and trees of arrays, recorded or not.
    """
    parents = tuple(array for _, array in walk(args) if isinstance(array, TapeArray))

    def vjp(g: Array) -> tuple[Array, ...]:
        again = map_tree(lambda x: TapeArray(x.value) if isinstance(x, TapeArray) else x, args)
        result = function(*again)
        if isinstance(result, TapeArray):
            backward(result, g)
        return tuple(_gradient_of(array) for _, array in walk(again) if isinstance(array, TapeArray))

    return record(function(*map_tree(value_of, args)), (parents, vjp))
