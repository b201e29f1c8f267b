"""Trees of arrays: frozen dataclasses, tuples, lists and dictionaries, nested, with arrays as leaves.

Parameters, batches and gradients are such trees. Anything else in a tree (a number, a string, None, a
configuration) is part of its structure and is passed through unchanged.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from minitvlt.config import Config

Array = Any  # an array of any library: annotations give its shape, `namespace` finds its functions


def is_array(value: Any) -> bool:
    """Return whether a value is an array of any library: it has a shape and a dtype."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def children(node: Any) -> list[tuple[str, Any]]:
    """Return the named children of a node, in order; a leaf has none."""
    if isinstance(node, dict):
        return [(str(name), child) for name, child in node.items()]
    if isinstance(node, (tuple, list)):
        return [(str(i), child) for i, child in enumerate(node)]
    return [(name, getattr(node, name)) for name in field_names(type(node))]


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; none for other types and for Config, which has no arrays."""
    return () if kind is Config else tuple(getattr(kind, "__dataclass_fields__", ()))


def map_tree(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply a function to every array of a tree, or to matching arrays of several trees of one structure.

    The result has the structure of the first tree.

    >>> map_tree(lambda x, y: x + y, (np.ones(2), None, "a"), (np.ones(2), None, "a"))
    (array([2., 2.]), None, 'a')

    Raises:
        ValueError: the trees differ in structure.
    """
    node = trees[0]
    if is_array(node):
        return function(*trees)
    parts = [children(tree) for tree in trees]
    if not parts[0]:
        return node
    if len(set(map(len, parts))) > 1:
        raise ValueError(f"Trees of different structure: {[type(tree).__name__ for tree in trees]}.")
    mapped = [map_tree(function, *[child for _, child in row]) for row in zip(*parts, strict=True)]
    if isinstance(node, dict):
        return dict(zip(node, mapped, strict=True))
    if isinstance(node, (tuple, list)):
        return type(node)(*mapped) if hasattr(node, "_fields") else type(node)(mapped)
    return type(node)(**dict(zip(field_names(type(node)), mapped, strict=True)))


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the array of every leaf, in the order of the declarations."""
    if is_array(node):
        yield prefix, node
        return
    for name, child in children(node):
        yield from walk(child, f"{prefix}.{name}" if prefix else name)


def flatten(tree: Any) -> dict[str, Any]:
    """Return all arrays of a tree by name: {"encoder.blocks.0.attention.qkv.weight": array, …}."""
    return dict(walk(tree))


def unflatten(like: Any, arrays: dict[str, Any]) -> Any:
    """Build a tree of the structure of `like` from arrays by name: the inverse of `flatten`.

    Raises:
        ValueError: a name that is missing, or that the structure does not have.
    """
    names = [name for name, _ in walk(like)]
    missing, unknown = set(names) - set(arrays), set(arrays) - set(names)
    if missing or unknown:
        raise ValueError(f"Names do not fit: missing {sorted(missing)[:5]}, unknown {sorted(unknown)[:5]}.")
    in_order = iter(names)
    return map_tree(lambda _: arrays[next(in_order)], like)
