"""The tape: arrays that remember how they were computed, so that a gradient can be carried back through them.

Let L be the scalar at the end of a computation. The cotangent of an array x is ∂L/∂x: an array of the same
shape that says how much L grows with each element. If y = f(x), the chain rule makes the cotangent of x out
of that of y, here always called g:

    ∂L/∂x_i = Σ_j g_j ∂y_j/∂x_i        the vector-Jacobian product, VJP, of f

Every function does two things when it is called: it computes its value, and it records, for each array that
went in, the VJP that leads back to it. `carry_back` walks these edges from L to the parameters, last array
first. An array that was used several times gets the sum of what comes back from each use. The tape keeps no
array: what a VJP needs it holds itself, and all else is freed as soon as the computation has done with it.

A complex cotangent is ∂L/∂Re + i ∂L/∂Im. With that, f(z) of slope f'(z) carries g back as g · conj(f'(z)).
"""

import operator
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from minitvlt.backends.tree import Array

_numbers = count()


class Node:
    """A place on the tape: the shape of an array, the edges to those it came from, and what has come back"""

    __slots__ = ("cotangent", "dtype", "edges", "is_ours", "number", "shape")

    def __init__(self, value: Array, edges: tuple) -> None:
        self.shape, self.dtype = value.shape, value.dtype
        self.edges = edges
        self.number = next(_numbers)  # in the order of their making, so parents before children
        self.cotangent = None  # what has come back so far
        self.is_ours = False  # whether the memory of the cotangent is used by nobody else


class TapeArray:
    """A NumPy array and its place on the tape.

    Arithmetic, comparisons, and indexing by numbers and slices work as on the array itself. Comparisons are
    not recorded: they jump or stay, so they have no slope.
    """

    __slots__ = ("node", "value")
    __array_ufunc__ = None  # NumPy array + TapeArray: NumPy declines, so Python asks TapeArray.__radd__
    __hash__ = object.__hash__

    def __init__(self, value: Array, edges: tuple = ()) -> None:
        self.value = value
        self.node = Node(value, edges)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    cotangent = property(lambda self: self.node.cotangent)

    def __repr__(self) -> str:
        return f"TapeArray({self.value!r})"

    def __add__(self, other: Array) -> "TapeArray":
        return add(self, other)

    def __sub__(self, other: Array) -> "TapeArray":
        return subtract(self, other)

    def __rsub__(self, other: Array) -> "TapeArray":
        return subtract(other, self)

    def __mul__(self, other: Array) -> "TapeArray":
        return multiply(self, other)

    def __truediv__(self, other: Array) -> "TapeArray":
        return divide(self, other)

    def __rtruediv__(self, other: Array) -> "TapeArray":
        return divide(other, self)

    def __pow__(self, exponent: int | float) -> "TapeArray":
        return power(self, exponent)

    def __neg__(self) -> "TapeArray":
        return record(-self.value, (self, operator.neg))

    def __getitem__(self, index: Any) -> "TapeArray":
        return pick(self, index)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: Array) -> Bool[Array, "..."]:
        return self.value < value_of(other)

    def __le__(self, other: Array) -> Bool[Array, "..."]:
        return self.value <= value_of(other)

    def __gt__(self, other: Array) -> Bool[Array, "..."]:
        return self.value > value_of(other)

    def __ge__(self, other: Array) -> Bool[Array, "..."]:
        return self.value >= value_of(other)

    def __eq__(self, other: Array) -> Bool[Array, "..."]:
        return self.value == value_of(other)

    def __ne__(self, other: Array) -> Bool[Array, "..."]:
        return self.value != value_of(other)


def value_of(x: Any) -> Any:
    """Return the NumPy array of a TapeArray; a constant is its own value."""
    return x.value if type(x) is TapeArray else x


# --------------------------------------------------------------------------------------------- forth and back


def record(value: Array, *edges: tuple[Any, Callable]) -> Array:
    """Put a value on the tape.

    Args:
        value: what was computed.
        edges: pairs (parent, VJP of g), or (several parents, VJP that returns a tuple) where one computation
            serves all. A parent that is not on the tape is a constant: its edge is dropped, and with no edge
            left the value is a constant too.
    """
    kept = tuple([(_find_node(parents), vjp) for parents, vjp in edges if _is_recorded(parents)])
    return TapeArray(value, kept) if kept else value


def _is_recorded(parent: Any) -> bool:
    if type(parent) is tuple:
        return any(type(one) is TapeArray for one in parent)
    return type(parent) is TapeArray


def _find_node(parent: Any) -> Any:
    if type(parent) is tuple:
        return tuple([_find_node(one) for one in parent])
    return parent.node if type(parent) is TapeArray else None


def carry_back(output: TapeArray, cotangent: Array | None = None) -> None:
    """Give every parameter that `output` was computed from its cotangent; all else is freed on the way.

    It starts with the cotangent of `output`, by default 1: that of a loss.

    The array made last is always next: whatever was computed from it was made later, so its cotangent is
    complete. There is no recursion, so a computation may be as long as it likes.
    """
    output.node.cotangent = np.ones_like(output.value) if cotangent is None else cotangent
    waiting = [(-output.node.number, output.node)]
    while waiting:
        _, node = heappop(waiting)
        if not node.edges:
            continue  # the beginning of the tape: a parameter keeps its cotangent
        g, edges = node.cotangent, node.edges
        node.cotangent, node.edges = None, ()
        for parents, vjp in edges:
            back = vjp(g)
            if type(parents) is not tuple:
                parents, back = (parents,), (back,)
            for parent, contribution in zip(parents, back, strict=True):
                if parent is not None:
                    if parent.cotangent is None and parent.edges:
                        heappush(waiting, (-parent.number, parent))
                    accumulate(parent, contribution, g)


class Part(NamedTuple):
    """The cotangent of `x[index]`, to be added into that part of the cotangent of x"""

    index: Any
    cotangent: Array


def accumulate(node: Node, contribution: Array | Part, g: Array) -> None:
    """Add a contribution to a cotangent, in place where the memory is nobody else's."""
    if type(contribution) is Part:
        if node.cotangent is None:
            node.cotangent, node.is_ours = np.zeros(node.shape, node.dtype), True
        elif not node.is_ours:
            node.cotangent, node.is_ours = node.cotangent.copy(), True
        node.cotangent[contribution.index] += contribution.cotangent
        return
    contribution = sum_to_shape(contribution, node)
    is_new = contribution is not g and contribution.base is None  # neither g nor a view of anything
    if node.cotangent is None:
        node.cotangent, node.is_ours = contribution, is_new
    elif is_new and not node.is_ours:
        contribution += node.cotangent
        node.cotangent, node.is_ours = contribution, True
    elif node.is_ours:
        node.cotangent += contribution
    else:
        node.cotangent, node.is_ours = node.cotangent + contribution, True


def sum_to_shape(g: Array, like: Array | Node) -> Array:
    """Undo broadcasting: where one element was used many times, its cotangent is the sum over its uses.

    The result has the shape and the dtype of `like`; a real array has a real cotangent.
    """
    shape = like.shape
    if g.shape != shape:
        extra = g.ndim - len(shape)
        repeated = [extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1]
        g = np.sum(g, axis=(*range(extra), *repeated), keepdims=True).reshape(shape)
    if g.dtype != like.dtype:
        g = (g.real if like.dtype.kind == "f" else g).astype(like.dtype)
    return g


# ------------------------------------------------------------------------------------------------- arithmetic


def add(x: Array, y: Array) -> Array:
    """z = x + y: a step of x or of y is the same step of z, so g goes back to both."""
    return record(value_of(x) + value_of(y), (x, lambda g: g), (y, lambda g: g))


def subtract(x: Array, y: Array) -> Array:
    """z = x - y: g goes back to x, -g to y."""
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


def pick(x: TapeArray, index: Any) -> TapeArray:
    """y = x[index] by numbers and slices: g belongs to that part of x, the rest gets nothing."""
    for i in index if isinstance(index, tuple) else (index,):
        if isinstance(i, list) or getattr(i, "shape", ()):
            raise ValueError(
                "Expected numbers and slices as an index: use take or take_along_axis for arrays."
            )
    return record(x.value[index], (x, lambda g: Part(index, g)))
